package policy

import (
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

var titleColumns = []string{"title", "category", "role", "aliases", "basis"}

// titles reads the table, a CSV text with its header line first, and indexes
// it. Every title and alias maps to one row, and none is banned.
func (d *reader) titles(p *Policy, n *yaml.Node, guards map[string]guarded) {
	text := d.text(n, "titles")
	if text == "" {
		return
	}
	// In a literal block the text begins on the line after its key.
	line := func(inTable int) int {
		if n.Style&yaml.LiteralStyle != 0 {
			return n.Line + inTable
		}
		return n.Line
	}
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	columns := map[string]int{}
	header, err := r.Read()
	if err != nil {
		d.fault(n.Line, "titles", "no header line came; %s was expected", strings.Join(titleColumns, ","))
		return
	}
	for i, name := range header {
		name = strings.TrimSpace(name)
		switch _, again := columns[name]; {
		case again:
			d.fault(line(1), "titles", "column %q stands here twice", name)
		case !slices.Contains(titleColumns, name):
			d.unknown(line(1), "titles", "column", name, titleColumns)
		}
		columns[name] = i
	}
	for _, needed := range []string{"title", "role"} {
		if _, ok := columns[needed]; !ok {
			d.fault(line(1), "titles", "column %q is missing", needed)
			return
		}
	}
	t := table{reader: d, policy: p, lines: map[string]int{}}
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			var bad *csv.ParseError
			at := n.Line
			if errors.As(err, &bad) {
				at = line(bad.Line)
			}
			d.fault(at, "titles", "not readable as CSV: %v", errors.Unwrap(err))
			return
		}
		inTable, _ := r.FieldPos(0)
		at := line(inTable)
		if len(fields) != len(header) {
			d.fault(at, "titles", "%d fields came; %d were expected, as in the header (a text with a comma stands in quotes)", len(fields), len(header))
			continue
		}
		get := func(column string) string {
			if i, ok := columns[column]; ok {
				return strings.TrimSpace(fields[i])
			}
			return ""
		}
		t.add(at, Row{Title: get("title"), Category: get("category"), Role: get("role"), Basis: get("basis")}, get("aliases"))
	}
	t.index(guards)
}

// table collects rows before they are indexed; rows may still move.
type table struct {
	*reader
	policy *Policy
	lines  map[string]int // of each key
	at     []int          // line of each row
}

func (t *table) add(line int, row Row, aliases string) {
	if row.Title == "" || tableKey(row.Title) == "" {
		t.fault(line, "titles", "title %q came; a title with a letter was expected", clip(row.Title))
		return
	}
	if t.policy.role(row.Role) == nil {
		t.unknown(line, "titles", "role", row.Role, t.policy.names)
		return
	}
	row.ID = slug(row.Title)
	for alias := range strings.SplitSeq(aliases, "|") {
		if alias = strings.TrimSpace(alias); alias != "" {
			row.Aliases = append(row.Aliases, alias)
		}
	}
	t.policy.rows = append(t.policy.rows, row)
	t.at = append(t.at, line)
}

func (t *table) index(guards map[string]guarded) {
	p := t.policy
	p.byKey = make(map[string]*occupation, 4*len(p.rows))
	p.bySynonym = make(map[string]*occupation, 4*len(p.rows))
	ids := map[string]int{}
	titles := map[string]*occupation{}
	for i := range p.rows {
		row := &p.rows[i]
		if first, again := ids[row.ID]; again {
			t.fault(t.at[i], "titles", "title %q reads like the one on line %d", row.Title, first)
			continue
		}
		ids[row.ID] = t.at[i]
		if g, ok := guards[tableKey(row.Title)]; ok {
			row.Guards = g.guards
			delete(guards, tableKey(row.Title))
		}
		of := titles[tableKey(row.Title)]
		if of == nil {
			of = &occupation{title: row.Title}
			titles[tableKey(row.Title)] = of
		}
		of.rows = append(of.rows, row)
		t.name(of, row, t.at[i], "title", row.Title)
		for _, alias := range row.Aliases {
			t.name(of, row, t.at[i], "alias", alias)
		}
	}
	for _, g := range guards {
		titles := make([]string, len(p.rows))
		for i := range p.rows {
			titles[i] = p.rows[i].Title
		}
		hint := ""
		if near := nearest(g.title, titles); near != "" {
			hint = "; did you mean " + near + "?"
		}
		t.fault(g.line, path("guards", g.title), "is no title of the table (an alias is guarded through its title)%s", hint)
	}
}

// name indexes one title or alias of an occupation's row.
func (t *table) name(of *occupation, row *Row, line int, kind, name string) {
	p := t.policy
	_, ws, whole := readTitle(name)
	words := texts(ws)
	key := strings.Join(words, " ")
	switch first := p.byKey[key]; {
	case !whole:
		t.fault(line, "titles", "%s %q is longer than %d bytes", kind, clip(name), maxTitle)
		return
	case key == "":
		t.fault(line, "titles", "%s %q has no letter", kind, name)
		return
	case p.words.bans[key]:
		t.fault(line, "titles", "%s %q is in bans, because it stands for several occupations", kind, name)
		return
	case first == of:
		return
	case first != nil && first.rows[0].Role != row.Role:
		t.fault(line, "titles", "%s %q maps to two roles: %s here and %s on line %d", kind, name, row.Role, first.rows[0].Role, t.lines[key])
		return
	case first != nil:
		t.fault(line, "titles", "%s %q stands here again; it was first on line %d, for %s", kind, name, t.lines[key], first.title)
		return
	}
	p.byKey[key] = of
	t.lines[key] = line
	rewritten := strings.Join(p.words.rewrite(words), " ")
	switch other, ok := p.bySynonym[rewritten]; {
	case !ok:
		p.bySynonym[rewritten] = of
	case other != nil && other != of && !alike(of, other):
		p.bySynonym[rewritten] = nil // two titles read alike with synonyms: neither answers to them
	}
}

// slug names a row in traces, records and filters.
func slug(title string) string {
	var b strings.Builder
	for _, w := range strings.FieldsFunc(NormalTitle(title), func(r rune) bool {
		return r == ' ' || r == '-' || r == ',' || r == '(' || r == ')' || r == '\''
	}) {
		if b.Len() > 0 {
			b.WriteByte('-')
		}
		b.WriteString(w)
	}
	return b.String()
}
