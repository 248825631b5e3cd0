package policy

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// maxTitle bounds a normal form in bytes. A longer title is cut for the record
// and never matched: what was cut off might have said "assistant".
const maxTitle = 1024

// joint is what stands before a word of a title.
type joint byte

const (
	bySpace joint = iota
	byHyphen
	bySlash
	byComma
	byDash
)

// word is one word of a title in normal form.
type word struct {
	text    string
	before  joint
	bracket int // number of the bracket it stands in, 0 outside
}

// NormalTitle is the form in which titles are compared: compatibility
// composition, case folding, no invisible characters, no dots, one spelling of
// spaces, dashes, commas and brackets. It is idempotent and at most 1,024 bytes
// long.
func NormalTitle(title string) string {
	normal, _, _ := readTitle(title)
	return normal
}

// readTitle answers the normal form, its words, and whether it is whole.
func readTitle(title string) (normal string, ws []word, whole bool) {
	cut := len(title) > 16*maxTitle
	if cut {
		title = title[:16*maxTitle]
	}
	r := titleReader{out: make([]byte, 0, len(title)+8), spans: make([]span, 0, 8)}
	r.read(fold(title))
	normal = string(r.out)
	for range 4 {
		// What was dropped may have kept an accent from its letter.
		if ascii(normal) || fold(normal) == normal {
			break
		}
		again := titleReader{}
		again.read(fold(normal))
		again.full = again.full || r.full
		r, normal = again, string(again.out)
	}
	ws = make([]word, len(r.spans))
	for i, s := range r.spans {
		ws[i] = word{text: normal[s.start:s.end], before: s.before, bracket: s.bracket}
	}
	return normal, ws, !cut && !r.full
}

// fold composes, folds case and drops what cannot be seen.
func fold(s string) string {
	if ascii(s) {
		return strings.ToLower(s)
	}
	s = strings.ToValidUTF8(s, "\ufffd")
	for range 4 { // folding may undo a composition and the other way round
		next := strings.Map(visible, norm.NFKC.String(cases.Fold().String(norm.NFKC.String(s))))
		if next == s {
			break
		}
		s = next
	}
	return s
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// visible drops format characters, variation selectors and fillers, which can
// hide a word or pretend another.
func visible(r rune) rune {
	switch {
	case r < utf8.RuneSelf:
		if classOf(r) == isNothing {
			return -1
		}
		return r
	case unicode.Is(unicode.Cf, r), unicode.Is(unicode.Variation_Selector, r), unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r), r == '\u2800':
		return -1
	case unicode.IsSpace(r):
		return ' '
	}
	return r
}

// class says what a character of folded text does.
type class byte

const (
	inWord class = iota
	isSpace
	isNothing
	isDot
	isApostrophe
	isHyphen
	isDash
	isSlash
	isComma
	isAnd
	isOpen
	isClose
)

func classOf(r rune) class {
	switch r {
	case ' ', '\t', '\n', '\v', '\f', '\r', '"', '#', '*', '$', '%', '\u201c', '\u201d', '\u201e', '\u00ab', '\u00bb':
		return isSpace
	case '.':
		return isDot
	case '\'', '\u2018', '\u2019', '\u02bc', '\u00b4', '`', '\u2032':
		return isApostrophe
	case '-', '\u2010', '\u2011', '_':
		return isHyphen
	case '\u2012', '\u2013', '\u2014', '\u2015', '\u2212', '|', ':', '@', '~', '\u2022', '\u00b7':
		return isDash
	case '/', '+', '\\':
		return isSlash
	case ',', ';':
		return isComma
	case '&':
		return isAnd
	case '(', '[', '{':
		return isOpen
	case ')', ']', '}':
		return isClose
	}
	if r < ' ' || r == 0x7f || unicode.Is(unicode.Cc, r) {
		return isNothing
	}
	return inWord // also ! ? < > = and other signs: they may negate, so they stay and never match
}

// titleReader writes the normal form and remembers where its words stand.
type titleReader struct {
	out      []byte
	spans    []span
	within   bool  // in a word
	pending  joint // what stands before the coming word
	bracket  int   // number of the open bracket, 0 outside
	brackets int   // how many were opened
	written  bool  // the open bracket has a word
	full     bool  // the rest did not fit
}

type span struct {
	start, end int
	undo       int // length before the word and what joins it
	before     joint
	bracket    int
}

func (r *titleReader) read(text string) {
	for i, c := range text {
		if r.full {
			break
		}
		switch classOf(c) {
		case inWord:
			r.put(c)
		case isSpace:
			r.end(bySpace)
		case isNothing, isDot:
		case isApostrophe:
			if r.within {
				r.out = append(r.out, '\'')
			}
		case isHyphen:
			if after := i + utf8.RuneLen(c); r.within && after < len(text) && text[after] != ' ' {
				r.end(byHyphen)
			} else {
				r.end(byDash)
			}
		case isDash:
			r.end(byDash)
		case isSlash:
			r.end(bySlash)
		case isComma:
			r.end(byComma)
		case isAnd:
			r.end(bySpace)
			for _, c := range "and" {
				r.put(c)
			}
			r.end(bySpace)
		case isOpen:
			r.end(bySpace)
			if r.bracket == 0 {
				r.brackets++
				r.bracket, r.written = r.brackets, false
			}
		case isClose:
			r.end(bySpace)
			r.close()
		}
	}
	r.end(bySpace)
	r.close()
}

func (r *titleReader) put(c rune) {
	if !r.within {
		opens := r.bracket != 0 && !r.written
		if opens {
			r.pending = bySpace // a bracket is joined by itself
		}
		s := span{undo: len(r.out), before: r.pending, bracket: r.bracket}
		switch {
		case len(r.out) == 0:
		case r.pending == byComma:
			r.out = append(r.out, ", "...)
		case r.pending == byDash:
			r.out = append(r.out, " - "...)
		default:
			r.out = append(r.out, ' ')
		}
		if opens {
			r.out = append(r.out, '(')
			r.written = true
		}
		s.start = len(r.out)
		r.spans = append(r.spans, s)
		r.within, r.pending = true, bySpace
	}
	r.out = utf8.AppendRune(r.out, c)
}

// end ends the word, if there is one, and says what comes before the next.
func (r *titleReader) end(next joint) {
	if r.within {
		r.within = false
		last := &r.spans[len(r.spans)-1]
		last.end = len(r.out)
		if last.end >= maxTitle { // room for a closing bracket is kept
			r.overflow(last)
		}
	}
	r.pending = max(r.pending, next)
}

func (r *titleReader) overflow(last *span) {
	r.full = true
	if last.undo == 0 {
		r.out = r.out[:maxTitle-1]
		for !utf8.Valid(r.out) {
			r.out = r.out[:len(r.out)-1]
		}
		last.end = len(r.out)
		return
	}
	if last.bracket != 0 && r.out[last.start-1] == '(' {
		r.written = false
	}
	r.out = r.out[:last.undo]
	r.spans = r.spans[:len(r.spans)-1]
}

func (r *titleReader) close() {
	if r.bracket != 0 && r.written {
		r.out = append(r.out, ')')
	}
	r.bracket, r.written = 0, false
}
