package storage

import (
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

// FoldKey prepares text for comparison without regard to letter case: Unicode
// case folding between two canonical compositions, so that composed and
// decomposed accents meet. Every folded column, folded document and filter
// value goes through it, else they would not find one another.
func FoldKey(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	// A Caser keeps state, so each call has its own.
	return norm.NFC.String(cases.Fold().String(norm.NFC.String(s)))
}

// UserNameKey prepares a userName for comparison: PRECIS UsernameCaseMapped
// (RFC 7644 §5, RFC 8265), or FoldKey for names which that profile refuses (with
// spaces, say), because a provider may well send one.
func UserNameKey(s string) string {
	if isASCII(s) {
		return strings.ToLower(s) // what the profile answers for ASCII
	}
	if key, err := precis.UsernameCaseMapped.CompareKey(s); err == nil {
		return key
	}
	return FoldKey(s)
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
