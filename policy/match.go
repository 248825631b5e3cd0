package policy

import (
	"slices"
	"strconv"
	"strings"
)

// match is what the title table says to a title.
type match struct {
	Normal string
	Of     *occupation // nil: the title is not in the table
	Row    *Row        // of Of, when it has one only
	Why    string      // when Of is nil, to follow: title "…"
	how    string      // how the title became Of, or what it is instead; "" when it stands there as it is
}

const (
	notInTable  = "is not in the title table"
	severalJobs = "stands for several occupations"
	tooLong     = "is longer than a title can be"
)

// found is what a phrase leads to: an occupation, a ban, or (zero) nothing.
type found struct {
	of  *occupation
	ban bool
	how string // how the phrase became the title, "" when it stands there as it is
}

func (f found) any() bool { return f.of != nil || f.ban }

// match looks a title up: whole normal forms only, never a part of one
// (product rule 1). What may be taken off it is listed in the document, and
// what a banned form results from maps to nothing.
func (p *Policy) match(title string) match { return p.matchWords(readTitle(title)) }

func (p *Policy) matchWords(normal string, ws []word, whole bool) match {
	m := match{Normal: normal, Why: notInTable}
	if !whole {
		m.Why = tooLong
		return m
	}
	if len(ws) == 0 {
		return m
	}
	f := p.look(ws)
	if !f.any() {
		f = p.overlay.look(normal) // the word of the policy of all wins
	}
	m.how = f.how
	switch {
	case f.ban:
		m.Why = severalJobs
	case f.of != nil:
		m.Of, m.Why = f.of, ""
		if len(f.of.rows) == 1 {
			m.Row = f.of.rows[0]
		}
	}
	return m
}

// look tries the title as a whole, then its parts.
func (p *Policy) look(ws []word) found {
	whole := texts(ws)
	parts, brackets := partsOf(ws)
	if len(brackets) > 0 || len(parts) == 1 {
		// "RT (R)" is one form; its bracket is no comment.
		if f := p.find(whole); f.any() || len(brackets) == 0 {
			return f
		}
	} else if f := p.plain(whole); f.any() {
		return f
	}
	return p.agreed(p.unbracket(parts, brackets))
}

// part is a stretch of a title between commas, dashes or slashes, or what
// stands in a bracket.
type part struct {
	words   []string
	before  joint
	follows int // a bracket's: the part that it stands in
}

func partsOf(ws []word) (parts, brackets []part) {
	last := 0
	for _, w := range ws {
		if w.bracket != 0 {
			if w.bracket != last {
				brackets = append(brackets, part{follows: max(0, len(parts)-1), before: byComma})
				last = w.bracket
			}
			b := &brackets[len(brackets)-1]
			b.words = append(b.words, w.text)
			continue
		}
		if len(parts) == 0 || w.before == byComma || w.before == byDash || w.before == bySlash {
			parts = append(parts, part{before: w.before})
		}
		s := &parts[len(parts)-1]
		s.words = append(s.words, w.text)
	}
	return parts, brackets
}

// texts are the words, brackets kept on them.
func texts(ws []word) []string {
	out := make([]string, len(ws))
	for i, w := range ws {
		t := w.text
		if w.bracket != 0 {
			if i == 0 || ws[i-1].bracket != w.bracket {
				t = "(" + t
			}
			if i == len(ws)-1 || ws[i+1].bracket != w.bracket {
				t += ")"
			}
		}
		out[i] = t
	}
	return out
}

// tableKey is the form of a title, alias or ban in the table: the words with
// their brackets, whatever joins them.
func tableKey(title string) string {
	_, ws, _ := readTitle(title)
	return strings.Join(texts(ws), " ")
}

// unbracket settles what each bracket is to the part it stands in: one form
// with it, its short form, its long form, a unit, or a claim of its own.
func (p *Policy) unbracket(parts, brackets []part) []part {
	for _, b := range brackets {
		if len(parts) == 0 {
			parts = append(parts, b)
			continue
		}
		s := &parts[b.follows]
		bare := p.words.without(p.words.removable, p.words.rewrite(s.words))
		one := append(slices.Clone(s.words), bracketed(b.words)...)
		switch {
		case p.plain(one).any():
			s.words = one
		case abbreviates(b.words, s.words), abbreviates(b.words, bare):
			// The long form decides: "Certified Medical Aide (CMA)" is an aide.
		case abbreviates(s.words, b.words), abbreviates(bare, b.words):
			s.words = b.words
		case p.words.aside(p.words.rewrite(b.words)):
		default:
			parts = append(parts, b)
		}
	}
	return parts
}

func bracketed(ws []string) []string {
	out := slices.Clone(ws)
	out[0] = "(" + out[0]
	out[len(out)-1] += ")"
	return out
}

// agreed maps a title of several parts: parts that only say where or how
// somebody works are taken off, and the others must agree.
func (p *Policy) agreed(parts []part) found {
	if len(parts) == 2 {
		if f := p.inverted(parts[0], parts[1]); f.any() {
			return f
		}
	}
	var all found
	for _, s := range parts {
		if len(parts) > 1 && p.words.aside(p.words.rewrite(s.words)) && !p.plain(s.words).any() {
			continue
		}
		f := p.find(s.words)
		switch {
		case !f.any() || f.ban:
			return f
		case all.of == nil:
			all = f
		case !alike(f.of, all.of):
			return found{ban: true, how: "it names " + all.of.title + " and " + f.of.title + ", whose roles differ"}
		}
	}
	if all.of != nil && all.how == "" {
		all.how = "read as " + strconv.Quote(strings.ToLower(all.of.title))
	}
	return all
}

// alike says whether it makes no difference which of two occupations answers.
func alike(a, b *occupation) bool {
	if a == b {
		return true
	}
	return len(a.rows) == 1 && len(b.rows) == 1 && a.rows[0].Role == b.rows[0].Role && len(a.rows[0].Guards)+len(b.rows[0].Guards) == 0
}

// inverted reads "Nurse, Registered" and "Physician - Emergency Medicine".
func (p *Policy) inverted(a, b part) found {
	if b.before == bySlash || slices.ContainsFunc(a.words, kept) {
		return found{}
	}
	behind := p.words.rewrite(b.words)
	if b.before == byDash && !p.words.aside(behind) {
		return found{}
	}
	if p.plain(a.words).ban && p.words.placed(behind) {
		return found{} // "Nurse, ICU" is a nurse somewhere, and so nobody
	}
	turned := append(slices.Clone(b.words), a.words...)
	return p.plain(turned).read(turned)
}

// find maps one phrase: as it is, without removable words, and without the
// units and fields around it.
func (p *Policy) find(ws []string) found {
	if f := p.plain(ws); f.any() {
		return f
	}
	bare := p.words.without(p.words.removable, p.words.rewrite(ws))
	bare = p.words.withoutLast(bare, p.words.degrees)
	if f := p.behind(bare); f.any() {
		return f
	}
	short := p.words.withoutLast(bare, p.words.units, p.words.degrees)
	if len(short) == len(bare) {
		return found{}
	}
	return p.behind(short)
}

// behind looks for a title behind units and fields, taking them off one at a
// time: "Pediatric Cardiac Surgeon", "Adult and Pediatric Neurologist".
func (p *Policy) behind(ws []string) found {
	for len(ws) > 0 {
		if f := p.read(ws); f.any() {
			return f.read(ws)
		}
		n := p.words.place(ws)
		if n == 0 || n == len(ws) || p.words.compounds.prefix(ws) > 0 {
			break
		}
		ws = ws[n:]
		if ws[0] == "and" && p.words.place(ws[1:]) > 0 {
			ws = ws[1:]
		}
	}
	return found{}
}

// read says in the trace as what a title was read.
func (f found) read(ws []string) found {
	if f.of != nil {
		f.how = "read as " + strconv.Quote(strings.Join(ws, " "))
	}
	return f
}

// plain maps words as they are, or with synonyms in place of some.
func (p *Policy) plain(ws []string) found {
	var buf [128]byte
	key := appendKey(buf[:0], ws)
	if of := p.byKey[string(key)]; of != nil {
		return found{of: of}
	}
	if p.words.bans[string(key)] {
		return banned(string(key))
	}
	rewritten := p.words.rewrite(ws)
	return p.read(rewritten).read(rewritten)
}

// read maps words that synonyms have been put into.
func (p *Policy) read(ws []string) found {
	var buf [128]byte
	key := appendKey(buf[:0], ws)
	if of := p.bySynonym[string(key)]; of != nil {
		return found{of: of}
	}
	if p.words.rewritten[string(key)] {
		return banned(string(key))
	}
	return found{}
}

func banned(key string) found {
	return found{ban: true, how: strconv.Quote(key) + " stands for several occupations"}
}
