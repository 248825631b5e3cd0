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
	of   *occupation
	ban  bool
	word string // the banned form
	how  string // how the phrase became the title, "" when it stands there as it is
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
	parts, brackets := p.words.parts(ws)
	switch {
	case len(brackets) > 0:
		// "RT (R)" is one form; its bracket is no comment.
		if f := p.reduced(whole); f.any() {
			return f
		}
	case len(parts) == 1:
		return p.find(whole)
	default:
		if f := p.plain(whole); f.any() {
			return f
		}
	}
	return p.agreed(p.unbracket(parts, brackets))
}

// part is a stretch of a title between commas, dashes or slashes, or what
// stands in a bracket.
type part struct {
	words   []string
	before  joint
	shared  bool // a slash stands before or behind it: two jobs, not a job and a licence
	follows int  // a bracket's: the part that it stands in
}

// parts takes a title apart.
func (w *words) parts(ws []word) (parts, brackets []part) {
	last := 0
	for i, t := range ws {
		if t.bracket != 0 {
			if t.bracket != last {
				brackets = append(brackets, part{follows: max(0, len(parts)-1), before: byComma})
				last = t.bracket
			}
			b := &brackets[len(brackets)-1]
			b.words = append(b.words, t.text)
			continue
		}
		apart := t.before == byComma || t.before == byDash || t.before == bySlash && (i == 0 || !w.spans(ws[i-1].text, t.text))
		if len(parts) == 0 || apart {
			shared := t.before == bySlash && len(parts) > 0
			if shared {
				parts[len(parts)-1].shared = true
			}
			parts = append(parts, part{before: t.before, shared: shared})
		}
		s := &parts[len(parts)-1]
		s.words = append(s.words, t.text)
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
		bare := p.words.bare(p.words.rewrite(s.words))
		one := append(slices.Clone(s.words), bracketed(b.words)...)
		switch {
		case p.plain(one).any():
			s.words = one
		case slices.ContainsFunc(b.words, kept) && !slices.ContainsFunc(s.words, kept):
			parts = append(parts, b) // no short form: "Hospitalist - Nocturnist (no)"
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
	parts = p.turned(parts)
	var all answer
	var degrees []part
	for i, s := range parts {
		if len(parts) > 1 {
			ws := p.words.rewrite(s.words)
			if i > 0 && !s.shared && p.words.credentials(ws) {
				degrees = append(degrees, s)
				continue
			}
			if p.words.aside(ws) && !p.plain(s.words).any() || p.tooShort(ws) {
				continue
			}
		}
		if f := p.find(s.words); !all.add(p, f, s) {
			return all.found
		}
	}
	if all.of == nil && all.general == "" {
		// Nothing but degrees: "MD, PhD".
		for _, s := range degrees {
			if len(parts) > 1 && !p.plain(s.words).any() {
				continue
			}
			if f := p.find(s.words); !all.add(p, f, s) {
				return all.found
			}
		}
	}
	return all.settle(p)
}

// answer is what the parts of a title say together.
type answer struct {
	found
	licence bool   // it comes from the short form of a title, as in "Care Manager, RN"
	general string // a banned word among the parts, which another part must make definite
}

// add hears one part more, and says whether there is still an answer to come.
func (a *answer) add(p *Policy, f found, s part) bool {
	licence := !s.shared && p.licence(s.words)
	switch {
	case f.ban && f.word != "" && !kept(f.word) && (a.general == "" || a.general == f.word):
		a.general = f.word
	case !f.any() || f.ban:
		a.found = f
		return false
	case a.of == nil:
		a.found, a.licence = f, licence
	case f.of == a.of || alike(f.of, a.of) && p.plainly(f.of) && p.plainly(a.of):
		a.licence = a.licence && licence
		if slices.ContainsFunc(s.words, kept) {
			a.found = f // the word that changes what a person is stays in the answer
		}
	// What somebody is licensed as says no more than what they work as, where
	// the work needs less: "Care Manager, RN".
	case licence && p.lesser(a.of, f.of):
	case a.licence && p.lesser(f.of, a.of):
		a.found, a.licence = f, false
	default:
		a.found = found{ban: true, how: "it names " + a.of.title + " and " + f.of.title + ", whose roles differ"}
		return false
	}
	return true
}

// clinicians are general words that a licence makes definite: "Therapist, LMHC".
var clinicians = set("doctor nurse practitioner provider clinician therapist counselor")

// settle ends the hearing. A banned word adds nothing beside a title that holds
// it, that it is short for, or that is a licence: "Nurse, LPN", "PT - Physical
// Therapist".
func (a *answer) settle(p *Policy) found {
	switch {
	case a.general != "" && a.of == nil:
		return banned(a.general)
	case a.general != "":
		ws := p.words.rewrite(strings.Fields(tableKey(a.of.title)))
		definite := slices.Contains(ws, a.general) || abbreviates([]string{a.general}, ws) || a.licence && clinicians[a.general]
		if !definite {
			return banned(a.general)
		}
	}
	if a.of != nil && a.how == "" {
		a.how = "read as " + strconv.Quote(strings.ToLower(a.of.title))
	}
	return a.found
}

// alike says whether it makes no difference which of two occupations answers.
func alike(a, b *occupation) bool {
	if a == b {
		return true
	}
	return unguarded(a) && unguarded(b) && a.rows[0].Role == b.rows[0].Role
}

// plainly says that an occupation gives its role to everybody, here as elsewhere:
// where a participant narrows one of two, it does make a difference which answers.
func (p *Policy) plainly(o *occupation) bool {
	return unguarded(o) && p.overlay.further(o.rows[0]) == nil && p.overlay.instead(o.rows[0]) == ""
}

func unguarded(o *occupation) bool { return len(o.rows) == 1 && len(o.rows[0].Guards) == 0 }

// licence says whether words are the short form of a title: RN, LCSW.
func (p *Policy) licence(ws []string) bool {
	if len(ws) != 1 || len(ws[0]) > 6 {
		return false
	}
	of := p.byKey[ws[0]]
	return of != nil && tableKey(of.title) != ws[0]
}

// lesser says whether a grants less than b, and nothing that b does not.
func (p *Policy) lesser(a, b *occupation) bool {
	return p.plainly(a) && p.plainly(b) && within(p.role(a.rows[0].Role).Permissions, p.role(b.rows[0].Role).Permissions...)
}

// turned puts inverted parts into their order: "Nurse, Registered - Per Diem".
func (p *Policy) turned(parts []part) []part {
	for i := 0; i+1 < len(parts); i++ {
		if turned := p.inverted(parts[i], parts[i+1]); turned != nil {
			out := append(slices.Clone(parts[:i]), part{words: turned, before: parts[i].before})
			return append(out, parts[i+2:]...)
		}
	}
	return parts
}

// persons are general words; what a dash sets off behind them only says where
// somebody works: "Nurse - Pediatric" may be any nurse there.
var persons = set("doctor nurse resident fellow intern practitioner provider clinician")

// inverted reads "Nurse, Registered", "Physician - Emergency Medicine" and
// "Technologist - Radiology", nil when it is nothing of the kind.
func (p *Policy) inverted(a, b part) []string {
	if b.before == bySlash || slices.ContainsFunc(a.words, kept) {
		return nil
	}
	front := p.words.bare(p.words.rewrite(a.words))
	if len(front) == 0 {
		return nil
	}
	general := p.read(front).ban
	behind := p.words.rewrite(b.words)
	if b.before == byDash && !p.words.aside(behind) && (!general || slices.ContainsFunc(b.words, kept)) {
		return nil
	}
	if general && (p.words.sited(behind) || b.before == byDash && p.words.placed(behind) && persons[front[len(front)-1]]) {
		return nil // "Nurse, ICU" is a nurse somewhere, and so nobody
	}
	for n := len(behind); n > 0; {
		turned := append(slices.Clone(behind[:n]), front...)
		if p.read(turned).of != nil {
			return turned
		}
		off := p.words.last(behind[:n], &p.words.removable)
		if off == 0 {
			break
		}
		n -= off
	}
	return nil
}

// mostOff bounds how much is taken off one end of a title.
const mostOff = 8

// find maps one phrase, in its number and grade: "Registered Nurses", "RN2".
func (p *Policy) find(ws []string) found {
	if f := p.whole(ws); f.any() {
		return f
	}
	if again := ungraded(ws); again != nil {
		if f := p.whole(again); f.any() {
			return f.read(again)
		}
	}
	if again := singular(ws); again != nil {
		if f := p.whole(again); f.any() {
			return f.read(again)
		}
	}
	return found{}
}

// whole maps one phrase: as it is, without removable words, without the units
// and fields around it, or as two titles that agree.
func (p *Policy) whole(ws []string) found {
	if f := p.reduced(ws); f.any() {
		return f
	}
	return p.pair(ws)
}

// reduced maps a phrase as it is, or without what may be taken off.
func (p *Policy) reduced(ws []string) found {
	if f := p.plain(ws); f.any() {
		return f
	}
	bare := p.words.bare(p.words.rewrite(ws))
	for range mostOff {
		if f := p.behind(bare); f.any() {
			return f
		}
		n := p.words.last(bare, &p.words.units, &p.words.fields, &p.words.degrees)
		if n == 0 {
			break
		}
		bare = bare[:len(bare)-n]
	}
	return found{}
}

// behind looks for a title behind units and fields, taking them off one at a
// time: "Pediatric Cardiac Surgeon", "Adult and Pediatric Neurologist".
func (p *Policy) behind(ws []string) found {
	for range mostOff {
		if len(ws) == 0 {
			break
		}
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

// pair reads two titles that stand next to each other and agree: "RN Staff
// Nurse", "Nurse Practitioner or Physician Assistant".
func (p *Policy) pair(ws []string) found {
	if len(ws) > mostOff {
		return found{}
	}
	for i := 1; i < len(ws); i++ {
		left := p.reduced(ws[:i])
		if !left.any() {
			continue
		}
		rest := ws[i:]
		if len(rest) > 1 && (rest[0] == "and" || rest[0] == "or") {
			rest = rest[1:]
		}
		right := p.reduced(rest)
		if !right.any() {
			continue
		}
		var all answer // the last word is what English titles are about
		if all.add(p, right, part{words: rest}) && all.add(p, left, part{words: ws[:i]}) {
			if f := all.settle(p); f.of != nil {
				return f
			}
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

// bareLetters left over say too little to map: DC, IP and OD are a person's
// title when they stand alone, and a place or a day beside anything else. Short
// forms that do say enough are among the synonyms, in long.
const bareLetters = 2

// tooShort says whether words are such a title; beside others it says nothing.
func (p *Policy) tooShort(ws []string) bool {
	return len(ws) == 1 && len(ws[0]) <= bareLetters && p.byKey[ws[0]] != nil
}

// read maps words that synonyms have been put into.
func (p *Policy) read(ws []string) found {
	var buf [128]byte
	key := appendKey(buf[:0], ws)
	if of := p.bySynonym[string(key)]; of != nil && len(key) > bareLetters {
		return found{of: of}
	}
	if p.words.rewritten[string(key)] {
		return banned(string(key))
	}
	return found{}
}

func banned(key string) found {
	return found{ban: true, word: key, how: strconv.Quote(key) + " stands for several occupations"}
}
