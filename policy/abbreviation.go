package policy

// abbreviates says whether short is a short form of long: each word of it is a
// word of long, a shortening of one, or the initials of several, in order, and
// nothing of long is left over.
func abbreviates(short, long []string) bool {
	if len(short) == 0 || len(long) > 16 || letters(short) >= letters(long) || letters(short) > 64 {
		return false
	}
	a := abbreviation{short: short, long: long, failed: map[[3]int]bool{}}
	return a.fits(0, 0, 0)
}

func letters(ws []string) int {
	n := 0
	for _, w := range ws {
		n += len(w)
	}
	return n
}

// small words give no letter, or their first.
var small = set("and of the in for to a")

// abbreviation lays the letters of short along the words of long. What has
// failed once is not tried again: the work is bounded by the letters of short
// times the words of long.
type abbreviation struct {
	short, long []string
	failed      map[[3]int]bool
}

// fits says whether what remains from letter n of the i-th short word fits the
// long words from the j-th. Each long word gives its first letter, or its first
// few: "CPhT".
func (a *abbreviation) fits(i, n, j int) bool {
	if i == len(a.short) {
		return j == len(a.long)
	}
	if n == len(a.short[i]) {
		return a.fits(i+1, 0, j)
	}
	if j == len(a.long) || a.failed[[3]int{i, n, j}] {
		return false
	}
	if a.takes(i, n, j) {
		return true
	}
	a.failed[[3]int{i, n, j}] = true
	return false
}

func (a *abbreviation) takes(i, n, j int) bool {
	if small[a.long[j]] && a.fits(i, n, j+1) {
		return true
	}
	word, from := a.short[i], a.long[j]
	for k := 0; n < len(word) && k < len(from) && word[n] == from[k]; k++ {
		n++
		if a.fits(i, n, j+1) {
			return true
		}
	}
	return false
}
