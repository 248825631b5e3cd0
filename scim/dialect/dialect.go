// Package dialect says what real identity providers send beside the RFCs. Every
// leniency has a name; a Reading notes which ones a request needed. It never
// guesses in silence, and in a strict reading it allows none.
package dialect

import (
	"slices"
	"strings"
)

// Leniency names one forgiveness. The names are counted and logged.
type Leniency string

// The leniencies, in alphabetical order. docs/scim.md says what each does.
const (
	BareValue           Leniency = "bare-value"            // a scalar where an object with "value" belongs
	ContentTypeMissing  Leniency = "content-type-missing"  // a body without Content-Type
	CoreNamed           Leniency = "core-named"            // the core schema's URN holding an object of core attributes
	CountChanged        Leniency = "count-changed"         // another count than that of the query which a cursor came from
	CreateOnMiss        Leniency = "create-on-miss"        // a value filter of plain eq that matches nothing creates its element
	ExtensionUnlisted   Leniency = "extension-unlisted"    // an extension's object without its URN in schemas
	ExtensionUnnamed    Leniency = "extension-unnamed"     // an extension's attribute without its URN, where no core attribute has the name
	FormAsSent          Leniency = "form-as-sent"          // a country, certificate or reference of another form than the RFC's, kept
	MethodCase          Leniency = "method-case"           // "post" for "POST" in a Bulk
	OpCase              Leniency = "op-case"               // "Replace" for "replace"
	PasswordDropped     Leniency = "password-dropped"      // password is never kept
	ReadOnlyRepeated    Leniency = "read-only-repeated"    // a path-less PATCH repeats unchanged read-only values
	RehireByPost        Leniency = "rehire-by-post"        // a POST brings an inactive user back
	RemoveWithValue     Leniency = "remove-with-value"     // a remove whose value says which elements go
	SchemasMissing      Leniency = "schemas-missing"       // schemas absent, null, or without the URN it needs
	SchemasRepeated     Leniency = "schemas-repeated"      // a URN twice in schemas
	SchemasUnknown      Leniency = "schemas-unknown"       // a URN in schemas that this server does not serve
	SecondPrimary       Leniency = "second-primary"        // two primaries: the first stays
	SingleAsArray       Leniency = "single-as-array"       // one value where an array belongs
	ArrayAsSingle       Leniency = "array-as-single"       // an array of one where a single value belongs
	StringBoolean       Leniency = "string-boolean"        // "True" for true
	URNDot              Leniency = "urn-dot"               // a dot after a schema URN
	UnknownDropped      Leniency = "unknown-dropped"       // an attribute that no schema defines
	PathlessTargetInKey Leniency = "pathless-key-expanded" // dotted or URN-qualified keys in a path-less value
)

// Reading is how one request is read, and what that took. The zero value
// forgives and is ready for use. It belongs to one goroutine.
type Reading struct {
	Strict  bool
	names   []Leniency
	dropped []string
}

// Allow notes a leniency and says whether it may be granted.
func (r *Reading) Allow(l Leniency) bool {
	if r.Strict {
		return false
	}
	r.Note(l)
	return true
}

// Note counts a leniency that both profiles grant.
func (r *Reading) Note(l Leniency) {
	if !slices.Contains(r.names, l) {
		r.names = append(r.names, l)
	}
}

// Merge notes what another reading took: that of an operation of a Bulk.
func (r *Reading) Merge(other *Reading) {
	for _, l := range other.names {
		r.Note(l)
	}
	for _, name := range other.dropped {
		r.Drop(name)
	}
}

// maxDropped bounds what one request may write to the log.
const maxDropped = 20

// Drop notes an unknown attribute by name (never by value) and says whether it
// may be left out.
func (r *Reading) Drop(name string) bool {
	if !r.Allow(UnknownDropped) {
		return false
	}
	name, _, _ = strings.Cut(name, "[") // a filter in a key holds values
	name = name[:min(len(name), 200)]
	if len(r.dropped) < maxDropped && !slices.Contains(r.dropped, name) {
		r.dropped = append(r.dropped, name)
	}
	return true
}

// Leniencies lists what was granted, in the order it was needed.
func (r *Reading) Leniencies() []Leniency { return r.names }

// Dropped lists the names of attributes left out.
func (r *Reading) Dropped() []string { return r.dropped }
