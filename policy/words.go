package policy

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// wordLists are the words of a document as written.
type wordLists struct {
	Synonyms  map[string]string `json:"synonyms"`  // one way of writing → the way of the table
	Removable []string          `json:"removable"` // say nothing about the occupation, wherever they stand
	Units     []string          `json:"units"`     // where somebody works: around a title
	Fields    []string          `json:"fields"`    // in which field: before a title, or set off behind it
	Degrees   []string          `json:"degrees"`   // behind a title
	Compounds []string          `json:"compounds"` // belong together; no part is taken off
	Bans      []string          `json:"bans"`      // stand for several occupations and never map
}

// words are the lists as the matcher reads them. Keys are normal forms; all but
// those of synonyms have synonyms in place.
type words struct {
	synonyms  phrases
	removable phrases
	units     phrases
	fields    phrases
	degrees   phrases
	compounds phrases
	bans      map[string]bool // as written
	rewritten map[string]bool // bans with synonyms in place
}

// phrases are forms of one or more words, and the words each stands for.
type phrases struct {
	to      map[string][]string
	longest map[string]int // words of the longest phrase that begins with a word
	words   int            // of the longest
}

// neverRemovable change what a person is. No list may hold one: the engine
// refuses the document, whoever wrote it.
var neverRemovable = set(`assistant assistants asst aide aides student students intern interns extern externs trainee trainees chief
director directors secretary secretaries recruiter recruiters recruitment recruiting liaison billing former formerly retired test not no non ex
applicant candidate volunteer volunteers veterinary veterinarian vet animal
apprentice shadow observer orientee cadet instructor teacher professor faculty manager supervisor sales vendor
inactive terminated deceased dummy demo`)

// words reads the lists of a document, and which of them it has.
func (d *reader) words(root *yaml.Node) (lists wordLists, found map[string]bool) {
	found = map[string]bool{}
	if root != nil && root.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(root.Content); i += 2 {
			key, value := root.Content[i].Value, root.Content[i+1]
			switch key {
			case "synonyms":
				lists.Synonyms = d.synonyms(value)
			case "removable":
				lists.Removable = d.phrases(value, key)
			case "units":
				lists.Units = d.phrases(value, key)
			case "fields":
				lists.Fields = d.phrases(value, key)
			case "degrees":
				lists.Degrees = d.phrases(value, key)
			case "compounds":
				lists.Compounds = d.forms(value, key)
			case "bans":
				lists.Bans = d.forms(value, key)
			default:
				continue
			}
			found[key] = true
		}
	}
	return lists, found
}

// or puts the lists of b where l has none.
func (l wordLists) or(b wordLists, found map[string]bool) wordLists {
	if !found["synonyms"] {
		l.Synonyms = b.Synonyms
	}
	for key, lists := range map[string][2]*[]string{
		"removable": {&l.Removable, &b.Removable}, "units": {&l.Units, &b.Units}, "fields": {&l.Fields, &b.Fields}, "degrees": {&l.Degrees, &b.Degrees},
		"compounds": {&l.Compounds, &b.Compounds}, "bans": {&l.Bans, &b.Bans},
	} {
		if !found[key] {
			*lists[0] = *lists[1]
		}
	}
	return l
}

// forms reads a list of titles or parts of titles.
func (d *reader) forms(n *yaml.Node, key string) []string {
	var out []string
	for _, i := range d.list(n, key) {
		if tableKey(i.text) == "" {
			d.fault(i.line, key, "%q has no word", i.text)
			continue
		}
		out = append(out, i.text)
	}
	return out
}

// phrases reads a list of what may be taken off a title.
func (d *reader) phrases(n *yaml.Node, key string) []string {
	for _, i := range d.list(n, key) {
		_, ws, _ := readTitle(i.text)
		for _, w := range ws {
			if kept(w.text) {
				d.fault(i.line, key, "%q holds %q, which changes what a person is and is never removable", i.text, w.text)
			}
		}
	}
	return d.forms(n, key)
}

// patients are possessives of those who are cared for; every other possessive
// names somebody whom a person works for: "Physician's Secretary".
var patients = set("women's men's children's")

// kept says whether a word may never be taken off a title.
func kept(w string) bool {
	return neverRemovable[w] || strings.ContainsRune(w, '\'') && !patients[w]
}

func (d *reader) synonyms(n *yaml.Node) map[string]string {
	out := map[string]string{}
	for _, e := range d.entries(n, "synonyms", nil) {
		key := path("synonyms", e.key)
		to := d.text(e.value, key)
		from, into := strings.Fields(tableKey(e.key)), strings.Fields(tableKey(to))
		switch {
		case len(from) == 0 || len(into) == 0:
			d.fault(e.line, key, "a word and what it stands for were expected")
			continue
		case slices.ContainsFunc(from, kept) && !slices.ContainsFunc(into, kept):
			d.fault(e.line, key, "%q changes what a person is and may not be read as %q", e.key, to)
		}
		out[e.key] = to
	}
	return out
}

// noShortcuts refuses synonyms that lead a banned form to a row.
func (d *reader) noShortcuts(p *Policy, l wordLists, line int) {
	for _, b := range l.Bans {
		if of := p.bySynonym[strings.Join(p.words.rewrite(strings.Fields(tableKey(b))), " ")]; of != nil {
			d.fault(line, "synonyms", "read %q as %s, but it is in bans, because it stands for several occupations", b, of.title)
		}
	}
}

func (l wordLists) compile() words {
	w := words{synonyms: newPhrases(len(l.Synonyms)), bans: map[string]bool{}, rewritten: map[string]bool{}}
	for from, to := range l.Synonyms {
		w.synonyms.put(strings.Fields(tableKey(from)), strings.Fields(tableKey(to)))
	}
	w.removable, w.units, w.fields = w.list(l.Removable), w.list(l.Units), w.list(l.Fields)
	w.degrees, w.compounds = w.list(l.Degrees), w.list(l.Compounds)
	for _, b := range l.Bans {
		key := tableKey(b)
		w.bans[key] = true
		w.rewritten[strings.Join(w.rewrite(strings.Fields(key)), " ")] = true
	}
	return w
}

func (w *words) list(texts []string) phrases {
	p := newPhrases(len(texts))
	for _, text := range texts {
		p.put(w.rewrite(strings.Fields(tableKey(text))), nil)
	}
	return p
}

func newPhrases(n int) phrases {
	return phrases{to: make(map[string][]string, n), longest: make(map[string]int, n)}
}

func (p *phrases) put(key, to []string) {
	p.to[strings.Join(key, " ")] = to
	p.longest[key[0]] = max(p.longest[key[0]], len(key))
	p.words = max(p.words, len(key))
}

// at is the longest phrase that ws begins with: its number of words, 0 for none.
func (p *phrases) at(ws []string) (n int, to []string) {
	if len(ws) == 0 {
		return 0, nil
	}
	var buf [128]byte
	for n := min(p.longest[ws[0]], len(ws)); n > 0; n-- {
		if to, ok := p.to[string(appendKey(buf[:0], ws[:n]))]; ok {
			return n, to
		}
	}
	return 0, nil
}

func (p *phrases) prefix(ws []string) int {
	n, _ := p.at(ws)
	return n
}

func appendKey(b []byte, ws []string) []byte {
	for i, w := range ws {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, w...)
	}
	return b
}

// rewrite puts synonyms in place of words, the longest first. What a synonym
// stands for is not read again.
func (w *words) rewrite(ws []string) []string {
	var out []string
	for i := 0; i < len(ws); {
		n, to := w.synonyms.at(ws[i:])
		if n > 0 && out == nil {
			out = append(make([]string, 0, len(ws)+4), ws[:i]...)
		}
		switch {
		case n > 0:
			out = append(out, to...)
		case out != nil:
			out = append(out, ws[i])
		}
		i += max(n, 1)
	}
	if out == nil {
		return ws
	}
	return out
}

// bare takes removable phrases and numbers off, wherever they stand.
func (w *words) bare(ws []string) []string {
	var out []string
	for i := 0; i < len(ws); {
		bound := w.compounds.prefix(ws[i:])
		n := max(w.removable.prefix(ws[i:]), figures(ws[i:]))
		if bound == 0 && n > 0 {
			if out == nil {
				out = append(make([]string, 0, len(ws)), ws[:i]...)
			}
			i += n
			continue
		}
		n = max(1, bound)
		if out != nil {
			out = append(out, ws[i:i+n]...)
		}
		i += n
	}
	if out == nil {
		return ws
	}
	return out
}

// last is how many words at the end of ws are the longest phrase of a list that
// leaves something over, 0 when there is none or when they belong together with
// what stands before them.
func (w *words) last(ws []string, lists ...*phrases) int {
	ends := len(ws)
	if ends > 2 && wards[ws[ends-1]] {
		ends--
	}
	longest := 0
	for _, list := range lists {
		for n := min(list.words, ends-1); n > longest; n-- {
			if list.prefix(ws[ends-n:ends]) == n {
				longest = n
			}
		}
	}
	if longest > 0 {
		longest += len(ws) - ends
	}
	for n := min(w.compounds.words, len(ws)); n > longest && longest > 0; n-- {
		if w.compounds.prefix(ws[len(ws)-n:]) == n {
			return 0
		}
	}
	return longest
}

// wards are general words behind a unit or field that make a place of it:
// "Oncology Services", "Cancer Center". They are the written and the rewritten form.
var wards = set("service services department center institute division team section program laboratory")

// place is the longest unit or field that ws begins with, in words.
func (w *words) place(ws []string) int {
	n := max(w.units.prefix(ws), w.fields.prefix(ws))
	if n > 0 && n < len(ws) && wards[ws[n]] && w.compounds.prefix(ws) == 0 {
		return n + 1
	}
	return n
}

// placed says whether ws is units and fields throughout.
func (w *words) placed(ws []string) bool {
	for len(ws) > 0 {
		n := w.place(ws)
		if n == 0 {
			return false
		}
		ws = ws[n:]
	}
	return true
}

// spans says whether two words with a slash between them are one: "Med/Surg",
// "F/T".
func (w *words) spans(a, b string) bool {
	two := []string{a, b}
	return w.units.prefix(two) == 2 || w.fields.prefix(two) == 2 || w.removable.prefix(two) == 2
}

// sited says whether ws is units throughout.
func (w *words) sited(ws []string) bool {
	for len(ws) > 0 {
		n := w.units.prefix(ws)
		if n == 0 {
			return false
		}
		ws = ws[n:]
	}
	return true
}

// aside says whether words only tell where, how, with which degree or under
// which number somebody works.
func (w *words) aside(ws []string) bool {
	for i := 0; i < len(ws); {
		n := max(w.removable.prefix(ws[i:]), w.place(ws[i:]), w.degrees.prefix(ws[i:]), figures(ws[i:]), labelled(ws[i:]))
		if n == 0 && i > 0 && i+1 < len(ws) && ws[i] == "and" {
			n = 1
		}
		if n == 0 {
			return false
		}
		i += n
	}
	return true
}

// credentials says whether words are degrees and certificates throughout.
func (w *words) credentials(ws []string) bool {
	for i := 0; i < len(ws); {
		n := w.degrees.prefix(ws[i:])
		if n == 0 {
			return false
		}
		i += n
	}
	return true
}

// sorted is a copy in alphabetical order.
func sorted(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return out
}
