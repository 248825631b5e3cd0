package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Problem is one thing that is wrong with a document.
type Problem struct {
	File    string `json:"file,omitempty"` // "" when the document has no name
	Line    int    `json:"line"`           // from 1; 0 when it concerns the whole document
	Key     string `json:"key"`
	Message string `json:"message"` // what came, what was expected
}

// DocumentError says everything that is wrong with a document.
type DocumentError struct {
	What     string // that was read; "" for a policy document
	Problems []Problem
}

func (e *DocumentError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		where := p.File
		switch {
		case where != "" && p.Line > 0:
			where = fmt.Sprintf("%s:%d", where, p.Line)
		case p.Line > 0:
			where = fmt.Sprintf("line %d", p.Line)
		case where == "":
			where = "document"
		}
		if p.Key != "" {
			where += ", " + p.Key
		}
		lines[i] = where + ": " + p.Message
	}
	return cmp.Or(e.What, "policy document") + ": " + strings.Join(lines, "\n")
}

// Parse reads a document, YAML or JSON, strictly: what it does not know it
// refuses, and says line, what came and what was expected. Word lists that are
// left out are the built-in ones. A document that keeps its title table in a
// file beside it is read by ParseSource.
func Parse(document []byte) (*Policy, error) { return ParseSource(Source{Text: document}) }

// policy reads as much of a document as can be read: with problems it is for
// lint only.
func (d *reader) policy(from Source) *Policy {
	d.file = from.Name
	root := d.root(from.Text, documentKeys)
	if root == nil {
		return nil
	}
	p := &Policy{byRole: map[string]*Role{}, byKey: map[string]*occupation{}, bySynonym: map[string]*occupation{}}
	p.places = places{document: from.Name, table: from.Name, roles: map[string]int{}, modules: map[string]int{}, synonyms: map[string]int{}, rows: map[string]int{}, guards: map[string]int{}}
	at := map[string]entry{}
	for _, e := range d.entries(root, "", documentKeys) {
		at[e.key] = e
	}
	for _, needed := range []string{"roles", "titles"} {
		if _, ok := at[needed]; !ok {
			d.fault(root.Line, needed, "is missing")
		}
	}
	if e, ok := at["modules"]; ok {
		p.modules = d.modules(p, e.value)
	}
	p.common = []Gate{GateParticipant, GateTitle, GateEmail, GateMobile, GateTraining, GateHold}
	if e, ok := at["gates"]; ok {
		p.common = d.gates(e)
	}
	if e, ok := at["roles"]; ok {
		d.roles(p, e.value)
	}
	d.twoPeople(p, at)
	lists, found := d.words(root)
	lists = lists.or(builtIn(), found)
	p.words = lists.compile()
	if e, ok := at["synonyms"]; ok {
		d.distinct(p, e.value)
	}
	var guards []guarded
	if e, ok := at["guards"]; ok {
		guards = d.guards(e.value)
	}
	if e, ok := at["titles"]; ok {
		d.titles(p, e, guards, from)
	}
	if e, ok := at["jobCodes"]; ok {
		d.jobCodes(p, e)
	}
	d.noShortcuts(p, lists, at["synonyms"].line)
	p.indexLikeness()
	p.digest = digest(p, lists)
	return p
}

// distinct refuses two synonyms that are one word to the matcher, and remembers
// where each stands.
func (d *reader) distinct(p *Policy, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return
	}
	first := map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, line := n.Content[i].Value, n.Content[i].Line
		key := tableKey(name)
		if other, again := first[key]; again && other != name {
			d.fault(line, path("synonyms", name), "reads like %q on line %d", other, p.places.synonyms[other])
			continue
		}
		first[key] = name
		p.places.synonyms[name] = line
	}
}

// What is kept from one person alone when a document does not say.
var (
	defaultPrivileged = []string{"emergency.override", "accounts.request", "accesslog.read"}
	defaultBreakGlass = []string{"emergency.override"}
)

// twoPeople reads which permissions need an approval, and which a second
// operator. What is written must name permissions of the document: a slip here
// would leave one unguarded.
func (d *reader) twoPeople(p *Policy, at map[string]entry) {
	p.privileged, p.breakGlass = defaultPrivileged, defaultBreakGlass
	if e, ok := at["privileged"]; ok {
		var held []string
		for _, r := range p.roles {
			held = append(held, r.Permissions...)
		}
		p.privileged = d.names(e.value, "privileged", "permission", sortedOnce(held))
	}
	if e, ok := at["breakGlass"]; ok {
		p.breakGlass = d.names(e.value, "breakGlass", "privileged permission", p.privileged)
	}
}

func sortedOnce(list []string) []string { return slices.Compact(sorted(list)) }

func (d *reader) modules(p *Policy, n *yaml.Node) []Module {
	var out []Module
	for _, e := range d.entries(n, "modules", nil) {
		key := path("modules", e.key)
		d.identifier(e.line, key, "module", e.key)
		p.places.modules[e.key] = e.line
		m := Module{ID: e.key, Name: e.key}
		if e.value.Kind != yaml.MappingNode {
			m.Name = d.text(e.value, key)
			out = append(out, m)
			continue
		}
		for _, f := range d.entries(e.value, key, moduleKeys) {
			switch f.key {
			case "name":
				m.Name = d.text(f.value, path(key, f.key))
			case "litmos":
				m.Litmos = d.text(f.value, path(key, f.key))
			case "graceDays":
				if err := f.value.Decode(&m.GraceDays); err != nil || f.value.Tag != "!!int" || m.GraceDays < 0 || m.GraceDays > mostGraceDays {
					d.fault(f.value.Line, path(key, f.key), "%q came; a number of days from 0 to %d was expected", f.value.Value, mostGraceDays)
				}
			}
		}
		out = append(out, m)
	}
	return out
}

func (d *reader) gates(e entry) []Gate {
	given := d.names(e.value, "gates", "gate", allGates)
	for _, needed := range everybodysGates {
		if !slices.Contains(given, needed) {
			d.fault(e.line, "gates", "%s is not listed; %s apply to everybody", needed, list(everybodysGates))
		}
	}
	return asGates(given)
}

func asGates(names []string) []Gate {
	out := make([]Gate, len(names))
	for i, n := range names {
		out[i] = Gate(n)
	}
	return out
}

func (d *reader) roles(p *Policy, n *yaml.Node) {
	entries := d.entries(n, "roles", nil)
	ids := make([]string, len(p.modules))
	for i, m := range p.modules {
		ids[i] = m.ID
	}
	for _, e := range entries {
		d.identifier(e.line, path("roles", e.key), "role", e.key)
		p.places.roles[e.key] = e.line
		p.names = append(p.names, e.key)
		p.roles = append(p.roles, d.role(e, ids))
	}
	slices.Sort(p.names)
	for i := range p.roles {
		p.byRole[p.roles[i].Name] = &p.roles[i]
	}
	for i := range p.roles {
		d.consistent(p, &p.roles[i], p.places.roles[p.roles[i].Name])
	}
}

func (d *reader) role(e entry, modules []string) Role {
	key := path("roles", e.key)
	r := Role{Name: e.key}
	listed := false
	for _, f := range d.entries(e.value, key, roleKeys) {
		at := path(key, f.key)
		switch f.key {
		case "permissions":
			listed = true
			for _, i := range d.list(f.value, at) {
				d.identifier(i.line, at, "permission", i.text)
				r.Permissions = append(r.Permissions, i.text)
			}
		case "modules":
			r.Modules = d.names(f.value, at, "module", modules)
		case "gates":
			r.Gates = asGates(d.names(f.value, at, "gate", allGates))
		case "untilApproved":
			r.UntilApproved = d.text(f.value, at)
		case "participantTypes":
			r.ParticipantTypes = d.names(f.value, at, "participant type", participantKind)
		}
	}
	if !listed && e.value.Kind == yaml.MappingNode {
		d.fault(e.line, key, "permissions is missing; a list was expected, [] for none")
	}
	return r
}

// consistent checks what one role says against the others.
func (d *reader) consistent(p *Policy, r *Role, line int) {
	key := path("roles", r.Name)
	if r.Name == NoAccess && len(r.Permissions) > 0 {
		d.fault(line, key, "holds %s; %s was expected to hold no permission", list(r.Permissions), NoAccess)
	}
	if len(r.Modules) > 0 && !p.asks(r, GateTraining) {
		d.fault(line, key, "names modules, but neither the role nor gates asks for training")
	}
	if r.UntilApproved == "" {
		return
	}
	key = path(key, "untilApproved")
	meanwhile := p.role(r.UntilApproved)
	switch {
	case meanwhile == nil:
		d.unknown(line, key, "role", r.UntilApproved, p.names)
	case meanwhile == r:
		d.fault(line, key, "is the role itself; another role was expected")
	case !p.asks(r, GateApproval):
		d.fault(line, key, "stands beside no gate approval; it applies only while that is closed")
	default:
		if more, ok := beyond(meanwhile.Permissions, r.Permissions); ok {
			d.fault(line, key, "%s holds %s, which %s does not; a role with fewer permissions was expected", meanwhile.Name, more, r.Name)
		}
	}
}
