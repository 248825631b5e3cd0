package policy

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Bounds of a document.
const (
	maxDocument = 8 << 20 // bytes
	maxProblems = 50
)

// Problem is one thing that is wrong with a document.
type Problem struct {
	Line    int    `json:"line"` // from 1; 0 when it concerns the whole document
	Key     string `json:"key"`
	Message string `json:"message"` // what came, what was expected
}

// DocumentError says everything that is wrong with a document.
type DocumentError struct{ Problems []Problem }

func (e *DocumentError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		where := "document"
		if p.Line > 0 {
			where = fmt.Sprintf("line %d", p.Line)
		}
		if p.Key != "" {
			where += ", " + p.Key
		}
		lines[i] = where + ": " + p.Message
	}
	return "policy document: " + strings.Join(lines, "\n")
}

var (
	documentKeys    = []string{"modules", "roles", "gates", "synonyms", "removable", "units", "fields", "degrees", "compounds", "bans", "guards", "titles"}
	moduleKeys      = []string{"name", "litmos", "graceDays"}
	roleKeys        = []string{"permissions", "modules", "gates", "untilApproved", "participantTypes"}
	participantKind = []string{"standard", "health-plan", "cbo", "government"}
	everybodysGates = []string{string(GateParticipant), string(GateTitle), string(GateEmail), string(GateMobile), string(GateHold)}
	allGates        = []string{string(GateParticipant), string(GateTitle), string(GateEmail), string(GateMobile), string(GateTraining), string(GateApproval), string(GateNPI), string(GateHold)}
)

// Parse reads a document, YAML or JSON, strictly: what it does not know it
// refuses, and says line, what came and what was expected. Word lists that are
// left out are the built-in ones.
func Parse(document []byte) (*Policy, error) {
	d := reader{}
	p := d.policy(document)
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b Problem) int { return a.Line - b.Line })
		return nil, &DocumentError{Problems: d.problems}
	}
	return p, nil
}

// reader collects problems while it reads.
type reader struct{ problems []Problem }

func (d *reader) fault(line int, key, format string, args ...any) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, Problem{Line: line, Key: key, Message: fmt.Sprintf(format, args...)})
	}
}

func (d *reader) root(document []byte) *yaml.Node {
	if len(document) > maxDocument {
		d.fault(0, "", "%d bytes came; at most %d are read", len(document), maxDocument)
		return nil
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(document)))
	var doc, second yaml.Node
	if err := decoder.Decode(&doc); err != nil {
		d.fault(0, "", "not readable as YAML or JSON: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		return nil
	}
	if err := decoder.Decode(&second); err == nil {
		d.fault(second.Line, "", "a second document begins here; one was expected")
		return nil
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		d.fault(doc.Line, "", "%s came; a mapping with the keys %s was expected", kindOf(&doc), list(documentKeys))
		return nil
	}
	return doc.Content[0]
}

// entry is one key of a mapping.
type entry struct {
	key   string
	line  int
	value *yaml.Node
}

// entries reads a mapping; known nil takes any key.
func (d *reader) entries(n *yaml.Node, what string, known []string) []entry {
	if n.Kind != yaml.MappingNode {
		d.fault(n.Line, what, "%s came; a mapping was expected", kindOf(n))
		return nil
	}
	var out []entry
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			d.fault(k.Line, what, "%s came as a key; a name was expected", kindOf(k))
			continue
		}
		if first, again := seen[k.Value]; again {
			d.fault(k.Line, path(what, k.Value), "stands here again; it was first on line %d", first)
			continue
		}
		seen[k.Value] = k.Line
		if known != nil && !slices.Contains(known, k.Value) {
			d.unknown(k.Line, what, "key", k.Value, known)
			continue
		}
		out = append(out, entry{key: k.Value, line: k.Line, value: v})
	}
	return out
}

// unknown refuses a name that is not in a list.
func (d *reader) unknown(line int, key, kind, name string, known []string) {
	hint := ""
	if near := nearest(name, known); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	expected := "none is defined"
	if len(known) > 0 {
		expected = or(known) + " was expected"
	}
	d.fault(line, key, "unknown %s %q%s (%s)", kind, name, hint, expected)
}

func (d *reader) text(n *yaml.Node, key string) string {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		d.fault(n.Line, key, "%s came; a text was expected", kindOf(n))
		return ""
	}
	return n.Value
}

// item is one text of a list, with its line.
type item struct {
	text string
	line int
}

func (d *reader) list(n *yaml.Node, key string) []item {
	if n.Kind != yaml.SequenceNode {
		d.fault(n.Line, key, "%s came; a list was expected", kindOf(n))
		return nil
	}
	out := make([]item, 0, len(n.Content))
	for _, c := range n.Content {
		text := d.text(c, key)
		if text == "" {
			if c.Kind == yaml.ScalarNode && c.Tag != "!!null" {
				d.fault(c.Line, key, "an empty text came; a name was expected")
			}
			continue
		}
		if slices.ContainsFunc(out, func(i item) bool { return i.text == text }) {
			d.fault(c.Line, key, "%q stands here twice", text)
			continue
		}
		out = append(out, item{text: text, line: c.Line})
	}
	return out
}

// names is a list whose members must be known.
func (d *reader) names(n *yaml.Node, key, kind string, known []string) []string {
	var out []string
	for _, i := range d.list(n, key) {
		if !slices.Contains(known, i.text) {
			d.unknown(i.line, key, kind, i.text, known)
			continue
		}
		out = append(out, i.text)
	}
	return out
}

func (d *reader) policy(document []byte) *Policy {
	root := d.root(document)
	if root == nil {
		return nil
	}
	p := &Policy{byRole: map[string]*Role{}, byKey: map[string]*occupation{}, bySynonym: map[string]*occupation{}}
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
		p.modules = d.modules(e.value)
	}
	p.common = []Gate{GateParticipant, GateTitle, GateEmail, GateMobile, GateTraining, GateHold}
	if e, ok := at["gates"]; ok {
		p.common = d.gates(e)
	}
	if e, ok := at["roles"]; ok {
		d.roles(p, e.value)
	}
	lists, found := d.words(root)
	lists = lists.or(builtIn(), found)
	p.words = lists.compile()
	var guards map[string]guarded
	if e, ok := at["guards"]; ok {
		guards = d.guards(e.value)
	}
	if e, ok := at["titles"]; ok {
		d.titles(p, e.value, guards)
	}
	d.noShortcuts(p, lists, at["synonyms"].line)
	p.indexLikeness()
	p.digest = digest(p, lists)
	return p
}

func (d *reader) modules(n *yaml.Node) []Module {
	var out []Module
	for _, e := range d.entries(n, "modules", nil) {
		key := path("modules", e.key)
		d.identifier(e.line, key, "module", e.key)
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
				if err := f.value.Decode(&m.GraceDays); err != nil || f.value.Tag != "!!int" || m.GraceDays < 0 || m.GraceDays > 366 {
					d.fault(f.value.Line, path(key, f.key), "%q came; a number of days from 0 to 366 was expected", f.value.Value)
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
	lines := map[string]int{}
	for _, e := range entries {
		d.identifier(e.line, path("roles", e.key), "role", e.key)
		lines[e.key] = e.line
		p.names = append(p.names, e.key)
		p.roles = append(p.roles, d.role(e, ids))
	}
	slices.Sort(p.names)
	for i := range p.roles {
		p.byRole[p.roles[i].Name] = &p.roles[i]
	}
	for i := range p.roles {
		d.consistent(p, &p.roles[i], lines[p.roles[i].Name])
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
		for _, permission := range meanwhile.Permissions {
			if !slices.Contains(r.Permissions, permission) {
				d.fault(line, key, "%s holds %s, which %s does not; a role with fewer permissions was expected", meanwhile.Name, permission, r.Name)
				return
			}
		}
	}
}

// identifier keeps names to letters, digits, dots and hyphens: they travel in
// filters, logs and file names.
func (d *reader) identifier(line int, key, kind, name string) {
	ok := name != "" && len(name) <= 64
	for _, r := range name {
		if !letterOrDigit(r) && r != '-' && r != '.' && r != '_' {
			ok = false
		}
	}
	if !ok {
		d.fault(line, key, "%s %q came; letters, digits, dots and hyphens were expected, 64 at most", kind, name)
	}
}

// guarded are the guards of a title, with their line.
type guarded struct {
	line   int
	title  string
	guards []Guard
}

// guards reads title → attribute → test, keyed by the title's normal form.
func (d *reader) guards(n *yaml.Node) map[string]guarded {
	out := map[string]guarded{}
	for _, e := range d.entries(n, "guards", nil) {
		key := path("guards", e.key)
		g := guarded{line: e.line, title: e.key}
		for _, a := range d.entries(e.value, key, attributes) {
			at := path(key, a.key)
			if a.value.Kind == yaml.ScalarNode {
				test := Test(a.value.Value)
				if test != TestPresent && test != TestAbsent {
					d.unknown(a.value.Line, at, "test", a.value.Value, []string{string(TestPresent), string(TestAbsent)})
					continue
				}
				g.guards = append(g.guards, Guard{Attribute: Attribute(a.key), Test: test})
				continue
			}
			for _, t := range d.entries(a.value, at, tests) {
				g.guards = append(g.guards, d.guard(Attribute(a.key), t, at))
			}
		}
		if len(g.guards) == 0 {
			d.fault(e.line, key, "no guard came; an attribute with a test was expected, such as department: {in: [Emergency]}")
		}
		out[tableKey(e.key)] = g
	}
	return out
}

func (d *reader) guard(attribute Attribute, t entry, key string) Guard {
	g := Guard{Attribute: attribute, Test: Test(t.key)}
	at := path(key, t.key)
	if g.Test == TestPresent || g.Test == TestAbsent {
		d.fault(t.line, at, "takes no values; write %s: %s", attribute, t.key)
		return g
	}
	if attribute == AttributeParticipantType {
		g.Values = d.names(t.value, at, "participant type", participantKind)
	} else {
		for _, i := range d.list(t.value, at) {
			g.Values = append(g.Values, i.text)
		}
	}
	if len(g.Values) == 0 {
		d.fault(t.line, at, "no value came; a list was expected")
	}
	for _, v := range g.Values {
		g.normal = append(g.normal, NormalTitle(v))
	}
	return g
}

func path(above, key string) string {
	if above == "" {
		return key
	}
	return above + "." + key
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "a YAML alias"
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return "nothing"
		}
		return fmt.Sprintf("%q", clip(n.Value))
	case yaml.DocumentNode:
		if len(n.Content) == 1 {
			return kindOf(n.Content[0])
		}
	}
	return "nothing"
}

// clip keeps messages readable whatever came.
func clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}
