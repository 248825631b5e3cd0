package api

import (
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

func TestExpiriesAreMeasured(t *testing.T) {
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	ends := func(participant string, in time.Duration) storage.Credential {
		return storage.Credential{Kind: storage.CredentialToken, ID: "secret-id", Label: "entra", Participant: participant, Expires: now.Add(in)}
	}
	m := NewMetrics()
	for i, step := range []struct {
		all  []storage.Credential
		want []string
	}{
		{[]storage.Credential{ends("general", -time.Hour), ends("general", -2*time.Hour), ends("mercy", -time.Hour), ends("mercy", 2*time.Hour), ends("mercy", time.Hour)},
			[]string{`{participant="general"} -3600`, `{participant="mercy"} 3600`}},
		{[]storage.Credential{ends("mercy", time.Hour), ends("mercy", -time.Hour), ends("north", 0)},
			[]string{`{participant="mercy"} 3600`, `{participant="north"} 0`}},
		{nil, nil},
	} {
		m.Expiries(step.all, now)
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
		var got []string
		for _, line := range regexp.MustCompile(`(?m)^healthix_token_expires_seconds(.*)$`).FindAllStringSubmatch(w.Body.String(), -1) {
			got = append(got, line[1])
		}
		if !slices.Equal(got, step.want) || strings.Contains(w.Body.String(), "secret-id") || strings.Contains(w.Body.String(), "entra") {
			t.Errorf("%d: %q, want %q", i, got, step.want)
		}
	}
}
