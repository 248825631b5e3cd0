package filter

import (
	"strings"
	"testing"

	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/schema"
)

func TestDearFiltersAreRefused(t *testing.T) {
	repeat := func(n int, term, by string) string {
		return strings.TrimSuffix(strings.Repeat(term+by, n), by)
	}
	for name, tc := range map[string]struct {
		filter string
		fits   bool
	}{
		"a column, often":             {repeat(300, `userName co "a"`, " or "), true},
		"looked up, often":            {repeat(200, `nickName eq "a"`, " or "), true},
		"looked up, too often":        {repeat(201, `nickName eq "a"`, " or "), false},
		"read out, often":             {repeat(40, `nickName co "a"`, " or "), true},
		"read out, too often":         {repeat(41, `nickName co "a"`, " or "), false},
		"elements, too often":         {repeat(41, `phoneNumbers[type eq "w" and value co "9"]`, " or "), false},
		"negated, too often":          {repeat(41, `not (nickName eq "a")`, " or "), false},
		"what a provider really asks": {`userName eq "a" and emails[type eq "work"].value sw "a"`, true},
	} {
		parsed, err := Parse(tc.filter)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		bound, err := (&Binder{Resource: schema.User, Reading: &dialect.Reading{}}).Bind(parsed)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := CheckCost(bound); (err == nil) != tc.fits {
			t.Errorf("%s: %v", name, err)
		}
	}
}
