package policy

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
)

// Suggestion is a row that a person might mean. It is for the title queue and
// never grants anything.
type Suggestion struct {
	Title string  `json:"title"`
	Role  string  `json:"role"`  // several, joined by "or", where guards tell the title's people apart
	Score float64 `json:"score"` // 0 to 1
}

const (
	leastScore = 0.25 // keeps out what only shares an ending
	mostByPeer = 0.1  // what colleagues may add to a score
)

// Suggest ranks the titles of the table that a title resembles, the most alike
// first, n at most. The department counts a little where the words of the title
// leave a choice, and so do colleagues: peers counts the rules (Decision.Rule)
// by which people of the same department were decided, nil when that is not
// known. Neither brings in a title that nothing in the words speaks for.
func (p *Policy) Suggest(title, department string, peers map[string]int, n int) []Suggestion {
	wanted := p.pieces(clip(title))
	if n <= 0 || len(wanted.words) == 0 {
		return nil
	}
	words := p.likeness.count(p.likeness.byWord, wanted.words)
	trigrams := p.likeness.count(p.likeness.byTrigram, wanted.trigrams)
	scores := make([]float64, len(p.rows))
	for i, name := range p.likeness.names {
		alike := 0.4*dice(words[i], len(wanted.words), name.words) + 0.6*dice(trigrams[i], len(wanted.trigrams), name.trigrams)
		scores[name.row] = max(scores[name.row], alike)
	}
	if place := p.pieces(clip(department)).words; len(place) > 0 {
		for i, shared := range p.likeness.count(p.likeness.byWord, place) {
			if row := p.likeness.names[i].row; shared > 0 && scores[row] >= leastScore {
				scores[row] = min(1, scores[row]+0.05*float64(shared)/float64(len(place)))
			}
		}
	}
	everybody := 0
	for _, people := range peers {
		everybody += people
	}
	best := map[*occupation]float64{}
	for i, score := range scores {
		if score >= leastScore {
			of := p.byKey[tableKey(p.rows[i].Title)]
			best[of] = max(best[of], score)
		}
	}
	out := make([]Suggestion, 0, len(best))
	for of, score := range best {
		colleagues := 0
		var roles []string
		for _, row := range of.rows {
			colleagues += peers[ruleOf(row)]
			roles = once(roles, row.Role)
		}
		if colleagues > 0 {
			score = min(1, score+mostByPeer*float64(colleagues)/float64(everybody))
		}
		out = append(out, Suggestion{Title: of.title, Role: or(roles), Score: math.Round(score*1000) / 1000})
	}
	slices.SortFunc(out, func(a, b Suggestion) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.Title, b.Title))
	})
	return out[:min(n, len(out))]
}

// WithAlias is the policy as if a title of the table had one more alias, for
// people who ask whom that would map before they draft it; nil when the table
// would refuse the alias.
func (p *Policy) WithAlias(alias, title string) *Policy {
	of := p.byKey[tableKey(title)]
	_, ws, whole := readTitle(alias)
	words := texts(ws)
	key, rewritten := strings.Join(words, " "), strings.Join(p.words.rewrite(words), " ")
	if of == nil || !whole || key == "" || p.byKey[key] != nil || p.words.bans[key] {
		return nil
	}
	q := *p
	q.byKey, q.bySynonym = maps.Clone(p.byKey), maps.Clone(p.bySynonym)
	q.byKey[key] = of
	if other, ok := q.bySynonym[rewritten]; !ok {
		q.bySynonym[rewritten] = of
	} else if other != nil && !alike(of, other) {
		q.bySynonym[rewritten] = nil
	}
	return &q
}

// Reads is the title of the table that a title is read as, "" for none. Which of
// its people get which role is another question.
func (p *Policy) Reads(title string) string {
	if m := p.match(title); m.Of != nil {
		return m.Of.title
	}
	return ""
}

// likeness is an index of the table's titles and aliases by word and trigram.
type likeness struct {
	names     []likeName
	byWord    map[string][]int32
	byTrigram map[string][]int32
}

type likeName struct{ row, words, trigrams int }

// pieces is a title taken apart for comparison, each piece once.
type pieces struct{ words, trigrams []string }

func (p *Policy) pieces(title string) pieces {
	_, ws, _ := readTitle(title)
	all := p.words.rewrite(texts(ws))
	var q pieces
	for _, w := range all {
		q.words = once(q.words, strings.Trim(w, "()"))
	}
	padded := []rune(" " + strings.Join(all, " ") + " ")
	for i := 0; i+3 <= len(padded); i++ {
		q.trigrams = once(q.trigrams, string(padded[i:i+3]))
	}
	return q
}

func once(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

func (p *Policy) indexLikeness() {
	x := likeness{byWord: map[string][]int32{}, byTrigram: map[string][]int32{}}
	add := func(row int, title string) {
		q := p.pieces(title)
		id := int32(len(x.names))
		x.names = append(x.names, likeName{row: row, words: len(q.words), trigrams: len(q.trigrams)})
		for _, w := range q.words {
			x.byWord[w] = append(x.byWord[w], id)
		}
		for _, t := range q.trigrams {
			x.byTrigram[t] = append(x.byTrigram[t], id)
		}
	}
	for i := range p.rows {
		add(i, p.rows[i].Title)
		for _, alias := range p.rows[i].Aliases {
			add(i, alias)
		}
	}
	p.likeness = x
}

// count says how many of the pieces each name has.
func (x *likeness) count(index map[string][]int32, of []string) []int {
	counts := make([]int, len(x.names))
	for _, piece := range of {
		for _, id := range index[piece] {
			counts[id]++
		}
	}
	return counts
}

// dice is twice what two sets share by what they hold together.
func dice(both, a, b int) float64 {
	if a+b == 0 {
		return 0
	}
	return 2 * float64(both) / float64(a+b)
}

// nearest is the known name that a misspelt one resembles, "" when none does.
func nearest(name string, known []string) string {
	lower := []rune(strings.ToLower(clip(name)))
	best, least := "", min(len(lower), max(2, len(lower)/3)+1)
	for _, k := range known {
		if far := distance(lower, []rune(strings.ToLower(k))); far < least {
			best, least = k, far
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b []rune) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j := range b {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
