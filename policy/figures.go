package policy

// Personnel systems glue numbers to a title: a requisition, a cost centre, a
// pay grade, hours, a ward. None of them says what a person is. The grammar is
// closed: a word that it does not know stays.

// labels stand before such a number and say nothing without it.
var labels = set(`req requisition reqs job id ids number num nbr position pos posn code jobcode cc cost center centre department dept
grade step level lvl tier class zone pay step fte`)

// prefixes are glued to a long number: R0045123, CC4120.
var prefixes = set("r jr jo req reqid job id pos posn cc dept")

// suffixes are glued behind a short number: 12hr, 7pm, 3rd, 0.9fte, 5west.
var suffixes = set("st nd rd th hr hrs hour hours fte am pm north south east west")

// figures is how many words at the beginning of ws are a number, with its label
// when it has one.
func figures(ws []string) int {
	n := 0
	for n < len(ws) && n < 4 && labels[ws[n]] {
		n++
	}
	if n < len(ws) && figure(ws[n]) {
		return n + 1
	}
	return 0
}

// labelled is how many words at the beginning of ws are labels; a part of a
// title may consist of one: "Registered Nurse - Req: 20314".
func labelled(ws []string) int {
	n := 0
	for n < len(ws) && labels[ws[n]] {
		n++
	}
	return n
}

// figure says whether a word is a number or a code, and nothing else.
func figure(w string) bool {
	from := 0
	for from < len(w) && !digit(w[from]) {
		from++
	}
	to := from
	for to < len(w) && digit(w[to]) {
		to++
	}
	before, digits, behind := w[:from], to-from, w[to:]
	switch {
	case digits == 0:
		return false
	case before == "" && behind == "":
		return true
	case before == "":
		return suffixes[behind] || digits <= 2 && letter(behind) // 7p, and wards: 4W
	case behind == "":
		return digits >= 3 && prefixes[before] || digits <= 2 && letter(before) // R0045123; E4
	}
	return false
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func letter(s string) bool { return len(s) == 1 && letterOnly(s) }

// ungraded splits a grade off its word: RN2 is a registered nurse of grade 2.
// It answers nil when no word has one.
func ungraded(ws []string) []string {
	var out []string
	for i, w := range ws {
		n := len(w) - 1
		if n < 2 || w[n] < '1' || w[n] > '5' || !letterOnly(w[:n]) {
			if out != nil {
				out = append(out, w)
			}
			continue
		}
		if out == nil {
			out = append(make([]string, 0, len(ws)+2), ws[:i]...)
		}
		out = append(out, w[:n], w[n:])
	}
	return out
}

func letterOnly(w string) bool {
	for i := range len(w) {
		if w[i] < 'a' || w[i] > 'z' {
			return false
		}
	}
	return true
}

// singular puts the last word into the singular: "Medical Assistants". It
// answers nil when the word does not look like a plural.
func singular(ws []string) []string {
	last := len(ws) - 1
	w := ws[last]
	if len(w) < 5 || !letterOnly(w) || w[len(w)-1] != 's' || w[len(w)-2] == 's' {
		return nil
	}
	out := append([]string(nil), ws...)
	switch {
	case len(w) > 5 && w[len(w)-3:] == "ies":
		out[last] = w[:len(w)-3] + "y"
	default:
		out[last] = w[:len(w)-1]
	}
	return out
}
