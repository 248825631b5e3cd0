package policy

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// Suggestion is a row that a person might mean. It is for the title queue and
// never grants anything.
type Suggestion struct {
	Title string  `json:"title"`
	Role  string  `json:"role"`
	Score float64 `json:"score"` // 0 to 1
}

// leastScore keeps out what only shares an ending.
const leastScore = 0.25

// Suggest ranks the rows that a title resembles, the most alike first, n at
// most. The department counts a little where the words of the title leave a
// choice.
func (p *Policy) Suggest(title, department string, n int) []Suggestion {
	whole, _, _ := readTitle(clip(title))
	wanted := p.profile(whole)
	place := p.profile(NormalTitle(clip(department)))
	if n <= 0 || len(wanted.words) == 0 {
		return nil
	}
	var out []Suggestion
	for i := range p.rows {
		row := &p.rows[i]
		best := wanted.likeness(p.profiles[i].names)
		if best < leastScore {
			continue
		}
		if len(place.words) > 0 {
			best = min(1, best+0.05*place.shared(p.profiles[i].names[0]))
		}
		out = append(out, Suggestion{Title: row.Title, Role: row.Role, Score: math.Round(best*1000) / 1000})
	}
	slices.SortStableFunc(out, func(a, b Suggestion) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.Title, b.Title))
	})
	return out[:min(n, len(out))]
}

// profile is a title taken apart for comparison.
type profile struct {
	words    map[string]bool
	trigrams map[string]bool
}

// rowProfile are the profiles of a row's title and aliases.
type rowProfile struct{ names []profile }

func (p *Policy) profile(normal string) profile {
	_, ws, _ := readTitle(normal)
	key := strings.Join(p.words.without(p.words.removable, p.words.rewrite(texts(ws))), " ")
	if key == "" {
		key = strings.Join(texts(ws), " ")
	}
	q := profile{words: map[string]bool{}, trigrams: map[string]bool{}}
	for _, w := range strings.Fields(key) {
		q.words[strings.Trim(w, "()")] = true
	}
	padded := []rune(" " + key + " ")
	for i := 0; i+3 <= len(padded); i++ {
		q.trigrams[string(padded[i:i+3])] = true
	}
	return q
}

func (p *Policy) profileRows() {
	p.profiles = make([]rowProfile, len(p.rows))
	for i := range p.rows {
		names := []profile{p.profile(p.rows[i].Title)}
		for _, alias := range p.rows[i].Aliases {
			names = append(names, p.profile(alias))
		}
		p.profiles[i] = rowProfile{names: names}
	}
}

// likeness is the best over a row's names of the mean of what words and
// trigrams have in common (Dice).
func (q profile) likeness(names []profile) float64 {
	best := 0.0
	for _, n := range names {
		best = max(best, 0.4*dice(q.words, n.words)+0.6*dice(q.trigrams, n.trigrams))
	}
	return best
}

// shared is the part of q's words that n has.
func (q profile) shared(n profile) float64 {
	both := 0
	for w := range q.words {
		if n.words[w] {
			both++
		}
	}
	return float64(both) / float64(len(q.words))
}

func dice(a, b map[string]bool) float64 {
	if len(a)+len(b) == 0 {
		return 0
	}
	if len(a) > len(b) {
		a, b = b, a
	}
	both := 0
	for s := range a {
		if b[s] {
			both++
		}
	}
	return 2 * float64(both) / float64(len(a)+len(b))
}

// nearest is the known name that a misspelt one resembles, "" when none does.
func nearest(name string, known []string) string {
	best, least := "", max(1, len([]rune(name))/3)+1
	lower := []rune(strings.ToLower(clip(name)))
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
