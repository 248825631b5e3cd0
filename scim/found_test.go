package scim_test

import (
	"net/url"
	"strings"
	"testing"
)

// Whom a filter found alone is noted, for a provider that is asked to tell of
// everybody looks people up so; whoever is one of many, or of a list, is not.
func TestWhomAFilterFoundIsNoted(t *testing.T) {
	s := newServer(t, engines[0])
	ana, ben := s.newUser(t, "ana"), s.newUser(t, "ben")
	noted := func(query string) string {
		t.Helper()
		s.log.Reset()
		s.must(t, 200, "GET", "/Users?"+query, "")
		_, id, _ := strings.Cut(s.log.String(), "found=")
		id, _, _ = strings.Cut(id, " ")
		return id
	}
	for query, want := range map[string]string{
		"filter=" + url.QueryEscape(`userName eq "ana"`):              ana,
		"filter=" + url.QueryEscape(`id eq "`+ben+`"`):                ben,
		"filter=" + url.QueryEscape(`userName eq "ana"`) + "&count=0": "",
		"filter=" + url.QueryEscape(`userName eq "cleo"`):             "",
		"filter=" + url.QueryEscape(`userName pr`):                    "",
		"filter=" + url.QueryEscape(`userName pr`) + "&startIndex=2":  "",
		"count=1": "",
	} {
		if got := noted(query); got != want {
			t.Errorf("%s: %q, not %q", query, got, want)
		}
	}
	s.log.Reset()
	if s.must(t, 200, "POST", "/Users/.search", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],"filter":"userName eq \"ben\""}`); !strings.Contains(s.log.String(), "found="+ben) {
		t.Error("a search is not noted")
	}
}
