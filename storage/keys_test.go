package storage_test

import (
	"testing"

	"github.com/healthix/healthix-scim/storage"
)

func TestKeys(t *testing.T) {
	for _, tc := range []struct{ a, b string }{
		{"Ana.Lima@Example.ORG", "ana.lima@example.org"},
		{"Jos\u00e9", "JOSE\u0301"},
		{"Stra\u00dfe", "STRASSE"},
	} {
		if storage.FoldKey(tc.a) != storage.FoldKey(tc.b) {
			t.Errorf("FoldKey(%q) = %q, FoldKey(%q) = %q", tc.a, storage.FoldKey(tc.a), tc.b, storage.FoldKey(tc.b))
		}
	}
	for _, tc := range []struct{ in, want string }{
		{"ANA.Lima@example.org", "ana.lima@example.org"},
		{"\uff21na", "ana"}, // full-width A, mapped by the profile
		{"ANA LIMA \u00c9", "ana lima \u00e9"},
		{"", ""},
	} {
		if got := storage.UserNameKey(tc.in); got != tc.want {
			t.Errorf("UserNameKey(%q) = %q, want %q", tc.in, got, tc.want)
		}
	}
}
