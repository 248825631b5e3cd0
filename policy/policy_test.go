package policy

import (
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

var live = ParticipantState{Type: "standard", Status: "active", Mode: "live", Version: 1}

func defaultPolicy(t testing.TB) *Policy {
	t.Helper()
	p, err := Parse(Default())
	if err != nil {
		t.Fatal(err)
	}
	return p.WithVersion(1, time.Time{})
}

// readyFacts are those of a person who lacks nothing but approval.
func readyFacts(title string) Facts {
	return Facts{
		Participant: live, Active: true, Title: title,
		Email: "ana.lima@mercy.example", Mobile: "+12125550123",
		Evidence: trainedIn(noon.AddDate(1, 0, 0), "nys-policy", "hosted-registration", "clinical-access", "break-the-glass", "account-management"),
	}
}

func trainedIn(until time.Time, modules ...string) []Evidence {
	var out []Evidence
	for _, m := range modules {
		out = append(out, Evidence{ID: "e-" + m, Gate: GateTraining, Module: m, CompletedAt: noon.AddDate(0, -1, 0), ValidUntil: until})
	}
	return out
}

func roleOf(p *Policy, title string) string {
	e := p.Explain(Facts{Title: title, Participant: ParticipantState{Type: "government"}}, noon)
	if e.Role == nil {
		return ""
	}
	return *e.Role
}
