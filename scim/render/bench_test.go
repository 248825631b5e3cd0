package render_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/render"
	"github.com/healthix/healthix-scim/scim/schema"
	"github.com/healthix/healthix-scim/storage"
)

// ana is a user as Entra ID makes them, in two groups.
func ana(b *testing.B) render.User {
	b.Helper()
	var doc storage.Document
	if err := json.Unmarshal([]byte(`{"userName":"ana@mercy.example","displayName":"Ana Lima","title":"Registered Nurse","name":{"givenName":"Ana","familyName":"Lima","formatted":"Ana Lima"},"active":true,
		"emails":[{"type":"work","value":"ana@mercy.example","primary":true},{"type":"home","value":"ana@home.example"}],"phoneNumbers":[{"type":"mobile","value":"+1 212 555 0123"}],
		"addresses":[{"type":"work","streetAddress":"1 Main St","locality":"Albany","region":"NY","postalCode":"12207","country":"US"}],
		"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"employeeNumber":"17","department":"ED","manager":{"value":"boss-1"}}}`), &doc); err != nil {
		b.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return render.User{
		User: storage.User{
			ID: "7b1f6e0a-83d2-4a34-bc42-000000000000", ExternalID: "0a21f0f2", Version: 3, Document: doc, Active: true, Created: now, LastModified: now,
			Decision: policy.Decision{Status: policy.StatusReleased, Role: "practitioner", Permissions: []string{"view", "alerts"}, PolicyVersion: 1, Reason: "Registered Nurse is a practitioner."},
		},
		Groups: []storage.Membership{{GroupID: "7b1f6e0a-83d2-4a34-bc42-000000000001", Display: "ED"}, {GroupID: "7b1f6e0a-83d2-4a34-bc42-000000000002", Display: "Hospital", Indirect: true}},
	}
}

func BenchmarkAppendUser(b *testing.B) {
	u := ana(b)
	for name, attributes := range map[string][]string{"whole": nil, "id alone": {"id"}, "some": {"userName", "emails.value", "active"}} {
		b.Run(name, func(b *testing.B) {
			project, err := render.Project(schema.User, attributes, nil, &dialect.Reading{})
			if err != nil {
				b.Fatal(err)
			}
			v := render.View{BaseURL: "https://scim.example/scim/v2", Now: time.Now(), Project: project}
			b.ReportAllocs()
			for b.Loop() {
				_ = v.AppendUser(make([]byte, 0, 2048), u)
			}
		})
	}
}

func BenchmarkPageOfHundred(b *testing.B) {
	u := ana(b)
	v := render.View{BaseURL: "https://scim.example/scim/v2", Now: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		page := render.Page{Total: 5000, Start: 1}
		for range 100 {
			page.Items = append(page.Items, v.AppendUser(make([]byte, 0, 2048), u))
		}
		_ = render.AppendPage(make([]byte, 0, 4096), protocol.MessageList, page)
	}
}

func BenchmarkGroupOfThousand(b *testing.B) {
	g := storage.Group{ID: "7b1f6e0a-83d2-4a34-bc42-000000000009", Document: storage.Document{"displayName": "ED"}}
	var members []storage.Member
	for i := range 1000 {
		members = append(members, storage.Member{ID: fmt.Sprintf("7b1f6e0a-83d2-4a34-bc42-%012d", i), Type: "User", Display: "Ana Lima"})
	}
	v := render.View{BaseURL: "https://scim.example/scim/v2", Now: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		_ = v.AppendGroup(make([]byte, 0, 512), g, members)
	}
}
