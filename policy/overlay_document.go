package policy

import (
	"fmt"
	"strings"
)

// overlayDocument is an overlay as it is written, before it lies over a policy.
type overlayDocument struct {
	file     string
	synonyms []written
	roles    []written
	guards   []guarded
}

// written is one name with what stands for it.
type written struct {
	key, value      string
	line, valueLine int
}

// misfit is a part of an overlay that does not fit a policy.
type misfit struct {
	line    int
	key     string
	message string
	yields  bool // the policy of all says something about the title by now, and wins
}

// ParseOverlay reads one participant's overlay, YAML or JSON, strictly, for the
// policy of all that it will lie over. An overlay may map a title only where the
// policy leaves it unmapped, and may only narrow what a row gives. A mapping
// without keys ({}) is an overlay that changes nothing.
func ParseOverlay(document []byte, of *Policy) (*Overlay, error) {
	return readOverlay(document, of, true)
}

// KeptOverlay reads an overlay that is in force already, for a policy of all
// that may be newer than it: where that has come to map or ban a title, the
// overlay's synonym is left out, because the policy of all wins. Everything else
// must fit, as in ParseOverlay.
func KeptOverlay(document []byte, of *Policy) (*Overlay, error) {
	return readOverlay(document, of, false)
}

func readOverlay(document []byte, of *Policy, all bool) (*Overlay, error) {
	d := reader{}
	w := d.overlay(document)
	if err := d.err("policy overlay"); err != nil {
		return nil, err
	}
	o, misfits := w.over(of)
	for _, m := range misfits {
		if all || !m.yields {
			d.fault(m.line, m.key, "%s", m.message)
		}
	}
	if err := d.err("policy overlay"); err != nil {
		return nil, err
	}
	return o, nil
}

// Empty says whether the overlay changes nothing; nil is empty.
func (o *Overlay) Empty() bool {
	return o == nil || len(o.written.synonyms)+len(o.written.roles)+len(o.written.guards) == 0
}

func (d *reader) overlay(document []byte) overlayDocument {
	var w overlayDocument
	root := d.root(document, overlayKeys)
	if root == nil {
		return w
	}
	for _, e := range d.entries(root, "", overlayKeys) {
		switch e.key {
		case "synonyms":
			w.synonyms = d.writtenOf(e)
		case "roles":
			w.roles = d.writtenOf(e)
		case "guards":
			w.guards = d.guards(e.value)
		}
	}
	return w
}

func (d *reader) writtenOf(e entry) []written {
	var out []written
	for _, f := range d.entries(e.value, e.key, nil) {
		value := d.text(f.value, path(e.key, f.key))
		if value == "" && len(d.problems) == 0 {
			d.fault(f.value.Line, path(e.key, f.key), "an empty text came; a name was expected")
		}
		out = append(out, written{key: f.key, value: value, line: f.line, valueLine: f.value.Line})
	}
	return out
}

// over lays an overlay over a policy and says what does not fit.
func (w overlayDocument) over(p *Policy) (*Overlay, []misfit) {
	p = p.With(nil)
	o := &Overlay{written: w, synonyms: map[string]*occupation{}, roles: map[string]string{}, guards: map[string][]Guard{}}
	c := canonicalOverlay{V: 1, Synonyms: map[string]string{}, Roles: map[string]string{}, Guards: map[string][]canonicalGuard{}}
	var misfits []misfit
	bad := func(line int, key string, yields bool, format string, args ...any) {
		misfits = append(misfits, misfit{line: line, key: key, message: fmt.Sprintf(format, args...), yields: yields})
	}
	names := p.register()
	lines := map[string]int{}
	for _, s := range w.synonyms {
		key := path("synonyms", s.key)
		normal := NormalTitle(s.key)
		first, again := lines[normal]
		lines[normal] = s.line
		of, fault := names.title(s.value)
		switch says, yields := p.speaksOf(s.key); {
		case again:
			bad(s.line, key, false, "stands here again; it was first on line %d", first)
		case fault != "":
			bad(s.valueLine, key, false, "%s", fault)
		case says != "":
			c.Synonyms[normal] = of.title
			bad(s.line, key, yields, "%s", says)
		default:
			c.Synonyms[normal] = of.title
			o.synonyms[normal] = of
		}
	}
	rows := map[string]int{}
	for _, r := range w.roles {
		key := path("roles", r.key)
		row, fault := names.row(r.key)
		if fault != "" {
			bad(r.line, key, false, "%s", fault)
			continue
		}
		first, again := rows[row.ID]
		rows[row.ID] = r.line
		if again {
			bad(r.line, key, false, "row %s stands here again; it was first on line %d", row.ID, first)
			continue
		}
		if fault := p.narrower(r.value, row); fault != "" {
			bad(r.valueLine, key, false, "%s", fault)
			continue
		}
		o.roles[row.ID], c.Roles[row.ID] = r.value, r.value
	}
	rows = map[string]int{}
	for _, g := range w.guards {
		key := path("guards", g.key)
		row, fault := names.row(g.key)
		if fault != "" {
			bad(g.line, key, false, "%s", fault)
			continue
		}
		if first, again := rows[row.ID]; again {
			bad(g.line, key, false, "row %s is guarded here again; it was first on line %d", row.ID, first)
			continue
		}
		rows[row.ID] = g.line
		o.guards[row.ID], c.Guards[row.ID] = g.guards, canonicalGuards(g.guards)
	}
	o.digest = digestOf(c)
	return o, misfits
}

// speaksOf says why an overlay may not map a title, "" when it may. With yields
// the reason is that the policy of all maps or bans the title itself.
func (p *Policy) speaksOf(title string) (says string, yields bool) {
	m := p.match(title)
	key := tableKey(title)
	switch {
	case m.Normal == "":
		return "a title with a letter was expected", false
	case m.Why == tooLong:
		return fmt.Sprintf("is longer than %d bytes", maxTitle), false
	case m.Of != nil:
		return "is mapped by the policy of all already, as " + m.Of.title, true
	case p.words.bans[key], p.words.rewritten[strings.Join(p.words.rewrite(strings.Fields(key)), " ")]:
		return "is in bans, because it stands for several occupations", true
	}
	return "", false
}

// narrower says why a role may not stand in place of a row's, "" when it may.
func (p *Policy) narrower(name string, row *Row) string {
	role, held := p.role(name), p.role(row.Role)
	if role == nil {
		fault := fmt.Sprintf("unknown role %q", clip(name))
		if near := nearest(name, p.names); near != "" {
			fault += fmt.Sprintf("; did you mean %q?", near)
		}
		return fault + " (" + or(p.names) + " was expected)"
	}
	if role.Name == NoAccess {
		return ""
	}
	if more, ok := beyond(role.Permissions, held.Permissions); ok {
		return fmt.Sprintf("%s holds %s, which %s of the row does not; an overlay may only narrow", role.Name, more, held.Name)
	}
	if _, ok := beyond(held.Permissions, role.Permissions); !ok {
		return fmt.Sprintf("%s holds all that %s of the row holds; a role with fewer permissions was expected", role.Name, held.Name)
	}
	return ""
}
