package policy

import (
	"fmt"
	"slices"

	"gopkg.in/yaml.v3"
)

// guarded are the guards that stand under one key: a row id or a title.
type guarded struct {
	line   int
	key    string
	guards []Guard
	broken bool // something of it could not be read
}

// guards reads row → attribute → test.
func (d *reader) guards(n *yaml.Node) []guarded {
	var out []guarded
	for _, e := range d.entries(n, "guards", nil) {
		before := len(d.problems)
		key := path("guards", e.key)
		g := guarded{line: e.line, key: e.key}
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
			entries := d.entries(a.value, at, tests)
			if len(entries) == 0 {
				d.fault(a.line, at, "no test came; %s was expected", or(tests))
			}
			for _, t := range entries {
				g.guards = append(g.guards, d.guard(Attribute(a.key), t, at))
			}
		}
		if len(g.guards) == 0 && len(d.problems) == before {
			d.fault(e.line, key, "no guard came; an attribute with a test was expected, such as department: {in: [Emergency]}")
		}
		g.broken = len(d.problems) > before
		out = append(out, g)
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
			if NormalTitle(i.text) == "" {
				d.fault(i.line, at, "%q has no letter or digit", i.text)
				continue
			}
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

// jobCodes reads which attribute carries a code, and what the codes stand for.
func (d *reader) jobCodes(p *Policy, e entry) {
	at := map[string]entry{}
	for _, f := range d.entries(e.value, "jobCodes", jobCodeKeys) {
		at[f.key] = f
	}
	for _, needed := range jobCodeKeys {
		if _, ok := at[needed]; !ok && e.value.Kind == yaml.MappingNode {
			d.fault(e.line, path("jobCodes", needed), "is missing")
		}
	}
	if f, ok := at["attribute"]; ok {
		attribute := d.text(f.value, "jobCodes.attribute")
		if attribute != "" && !slices.Contains(JobCodeAttributes, attribute) {
			d.unknown(f.value.Line, "jobCodes.attribute", "attribute", attribute, JobCodeAttributes)
		}
		p.jobCodes.attribute = attribute
	}
	f, ok := at["codes"]
	if !ok {
		return
	}
	names := p.register()
	p.jobCodes.byCode = map[string]*occupation{}
	lines := map[string]int{}
	for _, c := range d.entries(f.value, "jobCodes.codes", nil) {
		key := path("jobCodes.codes", c.key)
		code := NormalTitle(c.key)
		title := d.text(c.value, key)
		first, again := lines[code]
		switch {
		case code == "":
			d.fault(c.line, key, "a code with a letter or digit was expected")
			continue
		case again:
			d.fault(c.line, key, "stands here again; it was first on line %d", first)
			continue
		case title == "":
			continue
		}
		lines[code] = c.line
		of, fault := names.title(title)
		if fault != "" {
			d.fault(c.value.Line, key, "%s", fault)
			continue
		}
		p.jobCodes.byCode[code] = of
	}
}

// register finds what a document means by a name: titles and rows.
type register struct {
	rows   map[string]*Row        // by id
	titles map[string]*occupation // by table key
	alias  map[string]*occupation // titles and aliases by table key
}

func (p *Policy) register() register {
	r := register{rows: make(map[string]*Row, len(p.rows)), titles: map[string]*occupation{}, alias: p.byKey}
	for i := range p.rows {
		row := &p.rows[i]
		r.rows[row.ID] = row
		if of := p.byKey[tableKey(row.Title)]; of != nil {
			r.titles[tableKey(row.Title)] = of
		}
	}
	return r
}

// title finds a title of the table, or says why there is none.
func (r register) title(name string) (of *occupation, fault string) {
	key := tableKey(name)
	if of := r.titles[key]; of != nil {
		return of, ""
	}
	if of := r.alias[key]; of != nil {
		return nil, fmt.Sprintf("%q is an alias; write %q", clip(name), of.title)
	}
	fault = fmt.Sprintf("%q is no title of the table", clip(name))
	titles := make([]string, 0, len(r.titles))
	for _, of := range r.titles {
		titles = append(titles, of.title)
	}
	if near := nearest(name, sorted(titles)); near != "" {
		fault += fmt.Sprintf("; did you mean %q?", near)
	}
	return nil, fault
}

// row finds the row of an id, or the only row of a title, or says why there is
// none.
func (r register) row(name string) (row *Row, fault string) {
	row = r.rows[name]
	of := r.titles[tableKey(name)]
	switch {
	case row != nil && of != nil && tableKey(of.title) != tableKey(row.Title):
		return nil, fmt.Sprintf("is a row of %s, and %s is a title; give the row another id in column row", row.Title, of.title)
	case row != nil:
		return row, ""
	case of != nil && len(of.rows) == 1:
		return of.rows[0], ""
	case of != nil:
		ids := make([]string, len(of.rows))
		for i, row := range of.rows {
			ids[i] = row.ID
		}
		return nil, fmt.Sprintf("has several rows; %s was expected", or(ids))
	case r.alias[tableKey(name)] != nil:
		return nil, fmt.Sprintf("is an alias; write %q", r.alias[tableKey(name)].title)
	}
	known := make([]string, 0, len(r.rows)+len(r.titles))
	for _, of := range r.titles {
		known = append(known, of.title)
	}
	for id := range r.rows {
		known = append(known, id)
	}
	fault = "is no title of the table and no row id"
	if near := nearest(name, sorted(known)); near != "" {
		fault += fmt.Sprintf("; did you mean %s?", near)
	}
	return nil, fault
}

// attach puts guards on the rows they name.
func (d *reader) attach(p *Policy, names register, guards []guarded) {
	for _, g := range guards {
		key := path("guards", g.key)
		row, fault := names.row(g.key)
		if fault != "" && d.doubts[tableKey(g.key)] {
			continue // its row is refused, and says so
		}
		if fault != "" {
			d.fault(g.line, key, "%s", fault)
			d.doubt("")
			continue
		}
		if first, again := p.places.guards[row.ID]; again {
			d.fault(g.line, key, "row %s is guarded here again; it was first on line %d", row.ID, first)
			d.doubt(tableKey(row.Title))
			continue
		}
		if g.broken {
			d.doubt(tableKey(row.Title))
		}
		p.places.guards[row.ID] = g.line
		row.Guards = g.guards
	}
}
