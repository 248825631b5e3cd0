// Package policy decides who should hold which role and whether a gate is
// open, given facts and a time. It never asks the time, opens no file, talks to
// nobody, and never grants on a resemblance: a title is in the table or it is
// looked at by a person.
package policy

import (
	"slices"
	"time"
)

// Policy is one policy document, read and checked. It never changes; it is safe
// for concurrent use.
type Policy struct {
	version int64
	since   time.Time // when that version came into force
	digest  string
	roles   []Role
	modules []Module
	common  []Gate // of every role with permissions
	rows    []Row
	words   words

	byRole     map[string]*Role
	privileged []string // permissions that only roles with gate approval may hold
	breakGlass []string // of those: permissions whose gain by a policy change takes two people
	jobCodes   jobCodes
	overlay    *Overlay // of one participant; nil for the policy of all

	byKey     map[string]*occupation // whole normal forms of titles and aliases
	bySynonym map[string]*occupation // the same with synonyms in place; nil where they differ
	names     []string               // role names in alphabetical order
	likeness  likeness               // of titles, for suggestions

	places places // where its parts stand in the document, for lint
}

// Role is a named set of permissions and what must hold before it is released.
type Role struct {
	Name             string
	Permissions      []string
	Modules          []string
	Gates            []Gate // beyond those of every role
	UntilApproved    string // the role that applies meanwhile, "" when none
	ParticipantTypes []string
}

// Module is a piece of training.
type Module struct {
	ID        string
	Name      string
	Litmos    string // course or learning path in the LMS, "" when not known
	GraceDays int
}

// occupation is a title of the table with its rows. It has several when guards
// tell apart who of its people gets which role.
type occupation struct {
	title string
	rows  []*Row
}

// jobCodes says what a code beside the title stands for.
type jobCodes struct {
	attribute string                 // of JobCodeAttributes, "" for none
	byCode    map[string]*occupation // code in normal form → title of the table
}

// Row is one line of the title table.
type Row struct {
	ID       string // e.g. registered-nurse; the column row, else made of the title
	Title    string
	Category string
	Role     string
	Aliases  []string
	Basis    string
	Guards   []Guard // all must hold
}

// Version is the number under which the policy is in force, 0 when it has none.
func (p *Policy) Version() int64 { return p.version }

// Since is when the version came into force; zero when it is not.
func (p *Policy) Since() time.Time { return p.since }

// WithVersion is the same policy under a number, in force since an instant.
func (p *Policy) WithVersion(version int64, since time.Time) *Policy {
	q := *p
	q.version, q.since = version, since
	return &q
}

// Digest is the hexadecimal SHA-256 of the canonical form: the same content in
// another layout has the same digest.
func (p *Policy) Digest() string { return p.digest }

// Roles lists the roles in the document's order. The caller must not change
// what the slices inside hold.
func (p *Policy) Roles() []Role { return slices.Clone(p.roles) }

// Role finds a role by name.
func (p *Policy) Role(name string) (Role, bool) {
	if r := p.role(name); r != nil {
		return *r, true
	}
	return Role{}, false
}

// Titles lists the rows of the title table in the document's order. The caller
// must not change what the slices inside hold.
func (p *Policy) Titles() []Row { return slices.Clone(p.rows) }

// Modules lists the training that a role asks for.
func (p *Policy) Modules(role string) []Module {
	r := p.role(role)
	if r == nil {
		return nil
	}
	out := make([]Module, 0, len(r.Modules))
	for _, id := range r.Modules {
		if i := slices.IndexFunc(p.modules, func(m Module) bool { return m.ID == id }); i >= 0 {
			out = append(out, p.modules[i])
		}
	}
	return out
}

// role finds a role, nil when there is none of that name.
func (p *Policy) role(name string) *Role { return p.byRole[name] }
