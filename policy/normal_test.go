package policy

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestNormalTitle(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"Registered Nurse", "registered nurse"},
		{"  R.N.\t", "rn"},
		{"Sr. RN \u2014 ICU", "sr rn - icu"},
		{"RN-ICU", "rn icu"},
		{"OB/GYN", "ob gyn"},
		{`RN\LPN`, "rn lpn"},
		{"RN ~ Nights", "rn - nights"},
		{"RT(R)", "rt (r)"},
		{"Nurse [ICU]", "nurse (icu)"},
		{"BSN,RN", "bsn, rn"},
		{"Physician\u2019s Assistant", "physician's assistant"},
		{"'Physician'", "physician'"},
		{"L&D Nurse", "l and d nurse"},
		{"Nur\u200bse", "nurse"},
		{"\ufb01rst assistant", "first assistant"},
		{"STRA\u00dfE", "strasse"},
		{"Jose\u0301", "jos\u00e9"},
		{"a (b", "a (b)"},
		{"a) b", "a b"},
		{"((a)) b", "(a) b"},
		{"a () b", "a b"},
		{"- a -", "a"},
		{"a ,- b", "a - b"},
		{"a, [; b]", "a (b)"},
		{"a (b,) c", "a (b), c"},
		{"", ""},
		{"...", ""},
	} {
		if got := NormalTitle(tc.in); got != tc.want {
			t.Errorf("NormalTitle(%q) = %q, want %q", tc.in, got, tc.want)
		}
	}
}

func checkNormal(t *testing.T, title string) {
	t.Helper()
	normal := NormalTitle(title)
	if len(normal) > maxTitle {
		t.Fatalf("%d bytes", len(normal))
	}
	if !utf8.ValidString(normal) {
		t.Fatalf("%q is not UTF-8", normal)
	}
	if again := NormalTitle(normal); again != normal {
		t.Fatalf("not idempotent: %q, then %q, then %q", title, normal, again)
	}
	if strings.TrimSpace(normal) != normal || strings.Contains(normal, "  ") {
		t.Fatalf("spaces: %q", normal)
	}
	if strings.ContainsFunc(normal, func(r rune) bool { return unicode.Is(unicode.Cf, r) || unicode.IsControl(r) }) {
		t.Fatalf("invisible characters: %q", normal)
	}
	if strings.ToUpper(title) == title && utf8.ValidString(title) && ascii(title) {
		if lower := NormalTitle(strings.ToLower(title)); lower != normal {
			t.Fatalf("letter case: %q and %q", normal, lower)
		}
	}
}

func FuzzNormalTitle(f *testing.F) {
	for _, seed := range []string{"Registered Nurse", "RT(R)", "a-(b", "((", ")", "&", "\u0345", "\u03a3", "\ufdfa", "\u1e9e", "\u00bd", "\xff", "a\u0301\u200d", "a\x01\u0301", "a.\u0301", "- -", strings.Repeat("ab ", 400), "(" + strings.Repeat("x", 1100)} {
		f.Add(seed)
	}
	p := defaultPolicy(f)
	f.Fuzz(func(t *testing.T, title string) {
		checkNormal(t, title)
		m := p.match(title)
		if m.Row == nil && m.Normal != "" && m.Why == "" {
			t.Fatalf("%q: no row and no reason", title)
		}
	})
}
