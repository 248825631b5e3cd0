package policy

import (
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxRows bounds the rows of one title: a decision looks at all of them.
const maxRows = 100

// sheet reads a CSV text whose header line comes first, and hands out line and
// fields of each record.
func (d *reader) sheet(text, key string, columns, needed []string, line func(inTable int) int, each func(line int, get func(column string) string)) {
	if !utf8.ValidString(text) {
		d.fault(line(1), key, "the table is not UTF-8; a spreadsheet saves it as CSV UTF-8")
		return
	}
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	header, err := r.Read()
	if err != nil {
		d.fault(line(1), key, "no header line came; %s was expected", strings.Join(columns, ","))
		return
	}
	if len(header) == 1 && strings.ContainsAny(header[0], ";\t") {
		d.fault(line(1), key, "%q came as the header line; columns are separated by commas", clip(header[0]))
		return
	}
	at := map[string]int{}
	for i, name := range header {
		name = strings.TrimSpace(name)
		switch _, again := at[name]; {
		case again:
			d.fault(line(1), key, "column %q stands here twice", name)
		case !slices.Contains(columns, name):
			d.unknown(line(1), key, "column", name, columns)
		}
		at[name] = i
	}
	for _, name := range needed {
		if _, ok := at[name]; !ok {
			d.fault(line(1), key, "column %q is missing", name)
			return
		}
	}
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			var bad *csv.ParseError
			inTable := 1
			if errors.As(err, &bad) {
				inTable = bad.Line
			}
			d.fault(line(inTable), key, "not readable as CSV: %v", errors.Unwrap(err))
			d.doubt("")
			return
		}
		inTable, _ := r.FieldPos(0)
		if len(fields) != len(header) {
			d.fault(line(inTable), key, "%d fields came; %d were expected, as in the header (a text with a comma stands in quotes)", len(fields), len(header))
			d.doubt("")
			continue
		}
		each(line(inTable), func(column string) string {
			if i, ok := at[column]; ok {
				return strings.TrimSpace(fields[i])
			}
			return ""
		})
	}
}

// titles reads the table and indexes it. Every title and alias belongs to one
// occupation, and none is banned.
func (d *reader) titles(p *Policy, e entry, guards []guarded, from Source) {
	text, ok := d.table(e.value, from)
	if !ok {
		return
	}
	t := table{reader: d, policy: p, lines: map[string]int{}}
	p.places.table = text.file
	document := d.file
	d.file = text.file
	d.sheet(text.csv, "titles", titleColumns, []string{"title", "role"}, text.line, func(line int, get func(string) string) {
		t.add(line, Row{ID: get("row"), Title: get("title"), Category: get("category"), Role: get("role"), Basis: get("basis")}, get("aliases"))
	})
	t.occupations()
	d.file = document
	d.attach(p, p.register(), guards)
	d.file = text.file
	t.alone()
	t.synonyms()
	d.file = document
}

// table collects rows before they are indexed; rows may still move.
type table struct {
	*reader
	policy *Policy
	of     []*occupation  // of each row; nil for a row that is refused
	lines  map[string]int // of each key
	at     []int          // line of each row
}

func (t *table) add(line int, row Row, aliases string) {
	if row.Title == "" && row.Role == "" && row.Category == "" && row.Basis == "" && strings.Trim(aliases, "| ") == "" {
		return // spreadsheets save empty rows below the table
	}
	if row.Title == "" || tableKey(row.Title) == "" {
		t.fault(line, "titles", "title %q came; a title with a letter was expected", clip(row.Title))
		return
	}
	if t.policy.role(row.Role) == nil && row.Role == "" {
		t.fault(line, "titles", "the role of %q is empty; one of %s was expected", clip(row.Title), or(t.policy.names))
		t.doubt(tableKey(row.Title))
		return
	}
	if t.policy.role(row.Role) == nil {
		t.unknown(line, "titles", "role", row.Role, t.policy.names)
		t.doubt(tableKey(row.Title))
		return
	}
	if row.ID == "" {
		row.ID = slug(row.Title)
	} else {
		t.identifier(line, "titles", "row id", row.ID)
	}
	for alias := range strings.SplitSeq(aliases, "|") {
		if alias = strings.TrimSpace(alias); alias != "" {
			row.Aliases = append(row.Aliases, alias)
		}
	}
	t.policy.rows = append(t.policy.rows, row)
	t.at = append(t.at, line)
}

// occupations puts rows of one title together, and indexes titles and aliases.
func (t *table) occupations() {
	p := t.policy
	p.byKey = make(map[string]*occupation, 4*len(p.rows))
	t.of = make([]*occupation, len(p.rows))
	titles := map[string]*occupation{}
	for i := range p.rows {
		row := &p.rows[i]
		key := tableKey(row.Title)
		of := titles[key]
		if first, again := p.places.rows[row.ID]; again {
			if of != nil {
				t.fault(t.at[i], "titles", "title %q stands here again; it was first on line %d (rows of one title need guards that tell them apart, and in column row an id each)", row.Title, first)
			} else {
				t.fault(t.at[i], "titles", "row id %q stands here again; it was first on line %d (column row gives a row another one)", row.ID, first)
			}
			t.doubt(key)
			continue
		}
		p.places.rows[row.ID] = t.at[i]
		if of == nil {
			of = &occupation{title: row.Title}
			titles[key] = of
		}
		if of.rows = append(of.rows, row); len(of.rows) == maxRows+1 {
			t.fault(t.at[i], "titles", "title %q has more than %d rows", row.Title, maxRows)
		}
		t.of[i] = of
	}
	for i := range p.rows {
		row := &p.rows[i]
		if t.of[i] == nil {
			continue
		}
		t.name(t.of[i], row, t.at[i], "title", row.Title)
		for _, alias := range row.Aliases {
			t.name(t.of[i], row, t.at[i], "alias", alias)
		}
	}
}

// name indexes one title or alias of an occupation's row.
func (t *table) name(of *occupation, row *Row, line int, kind, name string) {
	p := t.policy
	_, ws, whole := readTitle(name)
	key := strings.Join(texts(ws), " ")
	switch first := p.byKey[key]; {
	case !whole:
		t.fault(line, "titles", "%s %q is longer than %d bytes", kind, clip(name), maxTitle)
	case key == "":
		t.fault(line, "titles", "%s %q has no letter", kind, name)
	case p.words.bans[key]:
		t.fault(line, "titles", "%s %q is in bans, because it stands for several occupations", kind, name)
	case first == of:
	case first != nil && first.rows[0].Role != row.Role:
		t.fault(line, "titles", "%s %q maps to two roles: %s here and %s on line %d", kind, name, row.Role, first.rows[0].Role, t.lines[key])
	case first != nil:
		t.fault(line, "titles", "%s %q stands here again; it was first on line %d, for %s", kind, name, t.lines[key], first.title)
	default:
		p.byKey[key] = of
		t.lines[key] = line
	}
	if kind == "title" && p.byKey[key] != of {
		t.doubt(key)
	}
}

// alone refuses rows of one title that nothing tells apart. Whether guards
// really do is for lint, which looks at all of them together.
func (t *table) alone() {
	first := map[*occupation]int{}
	for i := range t.policy.rows {
		row, of := &t.policy.rows[i], t.of[i]
		if of == nil || len(row.Guards) > 0 {
			continue
		}
		if line, again := first[of]; again {
			t.fault(t.at[i], "titles", "title %q stands here again without guards, as on line %d; rows of one title need guards that tell them apart", row.Title, line)
			t.doubt(tableKey(row.Title))
			continue
		}
		first[of] = t.at[i]
	}
}

// synonyms indexes titles and aliases as they read with synonyms in place.
func (t *table) synonyms() {
	p := t.policy
	p.bySynonym = make(map[string]*occupation, len(p.byKey))
	for i := range p.rows {
		row, of := &p.rows[i], t.of[i]
		for _, name := range append([]string{row.Title}, row.Aliases...) {
			key := tableKey(name)
			if of == nil || p.byKey[key] != of {
				continue
			}
			rewritten := strings.Join(p.words.rewrite(strings.Fields(key)), " ")
			switch other, ok := p.bySynonym[rewritten]; {
			case !ok:
				p.bySynonym[rewritten] = of
			case other != nil && other != of && !alike(of, other):
				p.bySynonym[rewritten] = nil // two titles read alike with synonyms: neither answers to them
			}
		}
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
