package policy

import (
	"fmt"
	"slices"
	"strings"
)

// match is what the title table says to a title.
type match struct {
	Normal string
	Row    *Row   // nil: no row answers
	Why    string // when Row is nil, to follow: title "…"
	Steps  []Step
}

const (
	notInTable  = "is not in the title table"
	severalJobs = "stands for several occupations"
	tooLong     = "is longer than a title can be"
)

// found is what a phrase leads to: a row, a ban, or (zero) nothing.
type found struct {
	row *Row
	ban bool
	how string // how the phrase became the row's, "" when it stands there as it is
}

func (f found) any() bool { return f.row != nil || f.ban }

// match looks a title up: whole normal forms only, never a part of one
// (product rule 1). What may be taken off it is listed in the document, and
// what a banned form results from maps to nothing.
func (p *Policy) match(title string) match {
	normal, ws, whole := readTitle(title)
	m := match{Normal: normal, Why: notInTable, Steps: make([]Step, 0, 12)}
	m.step("normalize", "%q reads %q", title, normal)
	if !whole {
		m.Why = tooLong
		m.step("row", "none: the title is longer than %d bytes", maxTitle)
		return m
	}
	if len(ws) == 0 {
		m.step("row", "none: there is no title")
		return m
	}
	f := p.look(ws)
	switch {
	case f.ban:
		m.Why = severalJobs
		m.step("row", "none: %s", f.how)
	case f.row == nil:
		m.step("row", "none: no row has this title or alias")
	default:
		m.Row, m.Why = f.row, ""
		if f.how != "" {
			m.step("synonym", "%s", f.how)
		}
		m.step("row", "%s, role %s", f.row.Title, f.row.Role)
	}
	return m
}

func (m *match) step(step, format string, args ...any) {
	m.Steps = append(m.Steps, Step{Step: step, Detail: fmt.Sprintf(format, args...)})
}

// look tries the title as a whole, then its parts.
func (p *Policy) look(ws []word) found {
	if f := p.exact(texts(ws)); f.any() {
		return f
	}
	parts, groups := partsOf(ws)
	if len(groups) > 0 || len(parts) == 1 {
		// "RT (R)" is one form; its bracket is no comment.
		if f := p.find(texts(ws)); f.any() {
			return f
		}
		if len(groups) == 0 {
			return p.hyphenated(parts[0])
		}
	}
	return p.inParts(p.unbracket(parts, groups))
}

// part is a stretch of a title between commas, dashes or brackets.
type part struct {
	words   []string
	joints  []joint
	before  joint
	follows int // a bracket's: the part that it stands in
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

func partsOf(ws []word) (parts, groups []part) {
	last := 0 // bracket of the last group
	for _, w := range ws {
		if w.bracket != 0 {
			if w.bracket != last {
				groups = append(groups, part{follows: max(0, len(parts)-1)})
				last = w.bracket
			}
			g := &groups[len(groups)-1]
			g.words = append(g.words, w.text)
			g.joints = append(g.joints, w.before)
			continue
		}
		if len(parts) == 0 || w.before == byComma || w.before == byDash || w.before == bySlash {
			parts = append(parts, part{before: w.before})
		}
		s := &parts[len(parts)-1]
		s.words = append(s.words, w.text)
		s.joints = append(s.joints, w.before)
	}
	return parts, groups
}

// unbracket settles what each bracket is to the part it stands in: the short
// form of it, its long form, a unit, or a claim of its own.
func (p *Policy) unbracket(parts, groups []part) []part {
	parts = slices.Clone(parts)
	for _, g := range groups {
		if len(parts) == 0 {
			parts = append(parts, part{words: g.words, joints: g.joints})
			continue
		}
		s := &parts[g.follows]
		bare := p.words.without(p.words.removable, s.words)
		switch {
		case abbreviates(g.words, s.words), abbreviates(g.words, bare):
			// The long form decides: "Certified Medical Aide (CMA)" is an aide.
		case abbreviates(s.words, g.words), abbreviates(bare, g.words):
			s.words, s.joints = g.words, g.joints
		case p.words.aside(g.words):
		default:
			parts = append(parts, part{words: g.words, joints: g.joints, before: byComma})
		}
	}
	return parts
}

// inParts maps a title of several parts: parts that only say where or how
// somebody works are taken off, and the others must agree.
func (p *Policy) inParts(parts []part) found {
	if len(parts) == 2 {
		if f := p.inverted(parts[0], parts[1]); f.any() {
			return f
		}
	}
	var all found
	for _, s := range parts {
		if len(parts) > 1 && p.words.aside(s.words) {
			if !p.exact(s.words).any() {
				continue
			}
		}
		f := p.find(s.words)
		if !f.any() {
			f = p.hyphenated(s)
		}
		switch {
		case !f.any() || f.ban:
			return f
		case all.row == nil:
			all = f
		case f.row != all.row && (f.row.Role != all.row.Role || len(f.row.Guards)+len(all.row.Guards) > 0):
			return found{ban: true, how: fmt.Sprintf("it names %s and %s, whose roles differ", all.row.Title, f.row.Title)}
		}
	}
	if all.row != nil && all.how == "" {
		all.how = fmt.Sprintf("read as %q", strings.ToLower(all.row.Title))
	}
	return all
}

// inverted reads "Nurse, Registered" and "Physician - Emergency Medicine".
func (p *Policy) inverted(a, b part) found {
	if b.before == bySlash || slices.ContainsFunc(a.words, kept) {
		return found{}
	}
	if b.before == byDash && !p.words.aside(b.words) {
		return found{}
	}
	turned := append(slices.Clone(b.words), a.words...)
	f := p.exact(turned)
	if !f.any() {
		f = p.canonical(turned)
	}
	if f.row != nil {
		f.how = fmt.Sprintf("read as %q", strings.Join(turned, " "))
		return f
	}
	return found{}
}

// hyphenated takes a unit off that a hyphen binds: "RN-ICU".
func (p *Policy) hyphenated(s part) found {
	for i := len(s.words) - 1; i > 0; i-- {
		if s.joints[i] == byHyphen && p.words.aside(s.words[i:]) {
			return p.find(s.words[:i])
		}
	}
	return found{}
}

// find maps one phrase: as it is, without removable words, and without
// specialties before it.
func (p *Policy) find(ws []string) found {
	if f := p.plain(ws); f.any() {
		return f
	}
	bare := p.words.without(p.words.removable, ws)
	bare = p.words.withoutLast(p.words.degrees, bare)
	if len(bare) == 0 {
		return found{}
	}
	if len(bare) < len(ws) {
		if f := p.plain(bare); f.any() {
			return f.read(bare)
		}
	}
	for len(bare) > 1 {
		n := p.words.specialties.prefix(bare)
		if n == 0 || n == len(bare) {
			return found{}
		}
		bare = bare[n:]
		if f := p.plain(bare); f.any() {
			return f.read(bare)
		}
	}
	return found{}
}

func (f found) read(ws []string) found {
	if f.row != nil {
		f.how = fmt.Sprintf("read as %q", strings.Join(ws, " "))
	}
	return f
}

// plain maps words as they are, or with synonyms in place of some.
func (p *Policy) plain(ws []string) found {
	if f := p.exact(ws); f.any() {
		return f
	}
	return p.canonical(ws)
}

func (p *Policy) exact(ws []string) found {
	var buf [128]byte
	key := appendKey(buf[:0], ws)
	if row := p.byKey[string(key)]; row != nil {
		return found{row: row}
	}
	if p.words.bans[string(key)] {
		return found{ban: true, how: fmt.Sprintf("%q stands for several occupations", key)}
	}
	return found{}
}

func (p *Policy) canonical(ws []string) found {
	key := p.words.canonical(ws)
	if row := p.byCanon[key]; row != nil {
		return found{row: row, how: fmt.Sprintf("read as %q", key)}
	}
	return found{}
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

// canonical puts synonyms in place of words, the longest first. What a synonym
// stands for is not read again.
func (w *words) canonical(ws []string) string {
	var b []byte
	for i := 0; i < len(ws); {
		n, to := w.synonyms.at(ws[i:])
		if n == 0 {
			n, to = 1, ws[i]
		}
		if len(b) > 0 {
			b = append(b, ' ')
		}
		b = append(b, to...)
		i += n
	}
	return string(b)
}

// at is the longest phrase that ws begins with: its number of words, 0 for none.
func (p *phrases) at(ws []string) (n int, to string) {
	var buf [128]byte
	for n := min(p.longest, len(ws)); n > 0; n-- {
		if to, ok := p.to[string(appendKey(buf[:0], ws[:n]))]; ok {
			return n, to
		}
	}
	return 0, ""
}

func (p *phrases) prefix(ws []string) int {
	n, _ := p.at(ws)
	return n
}

// without takes the phrases of a list off, wherever they stand.
func (w *words) without(list phrases, ws []string) []string {
	var out []string
	for i := 0; i < len(ws); {
		n := list.prefix(ws[i:])
		if n > 0 && out == nil {
			out = append(make([]string, 0, len(ws)), ws[:i]...)
		}
		if n == 0 {
			if out != nil {
				out = append(out, ws[i])
			}
			n = 1
		}
		i += n
	}
	if out == nil {
		return ws
	}
	return out
}

// withoutLast takes phrases off the end.
func (w *words) withoutLast(list phrases, ws []string) []string {
	for again := true; again; {
		again = false
		for n := min(list.longest, len(ws)-1); n > 0; n-- {
			if list.prefix(ws[len(ws)-n:]) == n {
				ws, again = ws[:len(ws)-n], true
				break
			}
		}
	}
	return ws
}

// aside says whether words only tell where, how or with which degree somebody
// works.
func (w *words) aside(ws []string) bool {
	for i := 0; i < len(ws); {
		n := max(w.removable.prefix(ws[i:]), w.units.prefix(ws[i:]), w.degrees.prefix(ws[i:]), w.specialties.prefix(ws[i:]))
		if n == 0 {
			return false
		}
		i += n
	}
	return true
}

// abbreviates says whether short is a short form of long: each word of it is a
// word of long, a shortening of one, or the initials of several, in order, and
// nothing of long is left over.
func abbreviates(short, long []string) bool {
	if len(short) > 12 || len(long) > 12 || letters(short) >= letters(long) {
		return false
	}
	if len(short) == 0 {
		return len(long) == 0
	}
	return shortens(short[0], short[1:], long, 0)
}

func letters(ws []string) int {
	n := 0
	for _, w := range ws {
		n += len(w)
	}
	return n
}

var small = set("and of the in for to a")

// shortens matches the letters of one short word along the long words; each
// long word gives at least its first letter, small words may give none.
func shortens(word string, rest, long []string, depth int) bool {
	if depth > 64 {
		return false
	}
	if word == "" {
		if len(rest) == 0 {
			return len(long) == 0
		}
		return shortens(rest[0], rest[1:], long, depth+1)
	}
	if len(long) == 0 {
		return false
	}
	if small[long[0]] && shortens(word, rest, long[1:], depth+1) {
		return true
	}
	if word[0] != long[0][0] {
		return false
	}
	// Take as many letters from the first long word as it has in order.
	n, at := 1, 1
	for {
		if shortens(word[n:], rest, long[1:], depth+1) {
			return true
		}
		if n == len(word) {
			return false
		}
		i := strings.IndexByte(long[0][at:], word[n])
		if i < 0 {
			return false
		}
		at += i + 1
		n++
	}
}
