package policy

import "strings"

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
