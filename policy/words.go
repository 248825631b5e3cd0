package policy

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// wordLists are the words of a document as written.
type wordLists struct {
	Synonyms    map[string]string `json:"synonyms"`    // one way of writing → the way of the table
	Removable   []string          `json:"removable"`   // say nothing about the occupation, wherever they stand
	Units       []string          `json:"units"`       // after a dash, comma or hyphen, or in brackets
	Degrees     []string          `json:"degrees"`     // after a comma or in brackets
	Specialties []string          `json:"specialties"` // before a title, and where units may stand
	Bans        []string          `json:"bans"`        // stand for several occupations and never map
}

// words are the lists as the matcher reads them. Keys are normal forms.
type words struct {
	synonyms    phrases
	removable   phrases
	units       phrases
	degrees     phrases
	specialties phrases
	bans        map[string]bool
}

// phrases are normal forms of one or more words, and what each stands for.
type phrases struct {
	to      map[string]string
	longest int // words
}

// neverRemovable change what a person is. No list may hold one: the engine
// refuses the document, whoever wrote it.
var neverRemovable = set(`assistant assistants aide aides student students intern interns extern externs trainee trainees chief
director secretary recruiter liaison billing former retired test not no non ex applicant candidate volunteer
veterinary veterinarian vet animal`)

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
			case "degrees":
				lists.Degrees = d.phrases(value, key)
			case "specialties":
				lists.Specialties = d.phrases(value, key)
			case "bans":
				for _, i := range d.list(value, key) {
					lists.Bans = append(lists.Bans, i.text)
				}
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
		"removable": {&l.Removable, &b.Removable}, "units": {&l.Units, &b.Units}, "degrees": {&l.Degrees, &b.Degrees},
		"specialties": {&l.Specialties, &b.Specialties}, "bans": {&l.Bans, &b.Bans},
	} {
		if !found[key] {
			*lists[0] = *lists[1]
		}
	}
	return l
}

// phrases reads a list of removable phrases.
func (d *reader) phrases(n *yaml.Node, key string) []string {
	var out []string
	for _, i := range d.list(n, key) {
		_, ws, _ := readTitle(i.text)
		for _, w := range ws {
			if kept(w.text) {
				d.fault(i.line, key, "%q holds %q, which changes what a person is and is never removable", i.text, w.text)
			}
		}
		if len(ws) == 0 {
			d.fault(i.line, key, "%q has no word", i.text)
			continue
		}
		out = append(out, i.text)
	}
	return out
}

// kept says whether a word may never be taken off a title.
func kept(w string) bool {
	return neverRemovable[w] || strings.ContainsRune(w, '\'')
}

func (d *reader) synonyms(n *yaml.Node) map[string]string {
	out := map[string]string{}
	for _, e := range d.entries(n, "synonyms", nil) {
		key := path("synonyms", e.key)
		to := d.text(e.value, key)
		if tableKey(e.key) == "" || tableKey(to) == "" {
			d.fault(e.line, key, "a word and what it stands for were expected")
			continue
		}
		out[e.key] = to
	}
	return out
}

func (l wordLists) compile() words {
	w := words{
		removable: phrasesOf(l.Removable), units: phrasesOf(l.Units), degrees: phrasesOf(l.Degrees),
		specialties: phrasesOf(l.Specialties), bans: map[string]bool{},
	}
	for _, b := range l.Bans {
		w.bans[tableKey(b)] = true
	}
	w.synonyms = phrases{to: map[string]string{}}
	for from, to := range l.Synonyms {
		w.synonyms.put(tableKey(from), tableKey(to))
	}
	return w
}

func phrasesOf(list []string) phrases {
	p := phrases{to: map[string]string{}}
	for _, text := range list {
		p.put(tableKey(text), "")
	}
	return p
}

func (p *phrases) put(key, to string) {
	p.to[key] = to
	p.longest = max(p.longest, strings.Count(key, " ")+1)
}

// sorted is a copy in alphabetical order.
func sorted(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return out
}
