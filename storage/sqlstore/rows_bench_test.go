package sqlstore

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// BenchmarkReadUser is what a row costs between the driver and the caller.
func BenchmarkReadUser(b *testing.B) {
	p, err := policy.Parse(policy.Default())
	if err != nil {
		b.Fatal(err)
	}
	now := time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)
	state := policy.ParticipantState{Type: "standard", Status: "active", Mode: "live"}
	u := storage.User{
		ID: "0d7b9f1e-3b6f-4d4e-8a43-0a1d2c3b4a59", Participant: "mercy", Version: 1, UserName: "ana@mercy.example", Title: "RN II",
		Document: storage.Document{
			"userName": "ana@mercy.example", "externalId": "hr-1", "active": true, "title": "RN II", "displayName": "Ana Lima",
			"name":         map[string]any{"givenName": "Ana", "familyName": "Lima"},
			"emails":       []any{map[string]any{"value": "ana@mercy.example", "type": "work", "primary": true}},
			"phoneNumbers": []any{map[string]any{"value": "+12125550123", "type": "mobile"}},
			"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": map[string]any{"department": "Ward 3", "employeeNumber": "E1"},
		},
		Fold:     json.RawMessage(`{}`),
		Decision: p.Decide(policy.Facts{Participant: state, Active: true, Title: "RN II", Email: "ana@mercy.example", Mobile: "+12125550123"}, now),
	}
	row, err := userRowOf(u)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("document %d bytes, decision %d bytes", len(row.Document), len(row.Decision))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := row.user(); err != nil {
			b.Fatal(err)
		}
	}
}
