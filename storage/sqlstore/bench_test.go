package sqlstore_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
)

// BenchmarkWriteUser is what a create and a change cost the store: row, history
// row, entry and a promised job, from 16 goroutines.
func BenchmarkWriteUser(b *testing.B) {
	for _, engine := range []struct {
		name    string
		address func(b *testing.B) string
	}{
		{"SQLite", func(b *testing.B) string { return file(b) }},
		{"PostgreSQL", func(b *testing.B) string { return pgtest.URL(b) }},
	} {
		b.Run(engine.name+"/create", func(b *testing.B) { writeUsers(b, open(b, engine.address(b)), false) })
		b.Run(engine.name+"/change", func(b *testing.B) { writeUsers(b, open(b, engine.address(b)), true) })
	}
}

func writeUsers(b *testing.B, s storage.Store, change bool) {
	const goroutines = 16
	ctx := context.Background()
	err := s.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		_, err := tx.PutParticipant(ctx, storage.Participant{
			ID: "mercy", Name: "Mercy", Type: "standard", Status: "active", Mode: "live", Version: 1, Created: tx.Now(), Changed: tx.Now(),
		})
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	users := make([]storage.User, 1000)
	if change {
		err = s.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
			for i := range users {
				users[i] = benchUser(int64(-i))
				if _, err := tx.PutUser(ctx, users[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	var n atomic.Int64
	b.SetParallelism(max(1, goroutines/2))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			err := s.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
				u := benchUser(i)
				if change {
					var err error
					if u, err = tx.LockUser(ctx, "mercy", users[int(i)%len(users)].ID); err != nil {
						return err
					}
					u.Version++
					u.Active = !u.Active
				}
				digest, err := tx.PutUser(ctx, u)
				if err != nil {
					return err
				}
				e, err := audit.Seal(audit.Draft{
					ID: uuid.Must(uuid.NewV7()).String(), At: tx.Now(), Participant: "mercy", User: u.ID, Action: "user.changed",
					History: []audit.Digest{digest},
				}, rand.Reader)
				if err != nil {
					return err
				}
				if err := tx.Append(ctx, e); err != nil {
					return err
				}
				return tx.Enqueue(ctx, "decide", fmt.Sprint(u.ID, "/", u.Version), u.ID, time.Time{})
			})
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deeds/s")
}

func benchUser(n int64) storage.User {
	name := fmt.Sprintf("ana.%d@mercy.example", n)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Second)
	emails := []any{map[string]any{"value": name, "type": "work", "primary": true}}
	u := storage.User{
		ID: uuid.NewString(), Participant: "mercy", Version: 1, UserName: name, UserNameKey: name, ExternalID: fmt.Sprint("E", n),
		DisplayName: "Ana Lima", GivenName: "Ana", FamilyName: "Lima", Email: name, EmailKey: name, Mobile: "+12125550123",
		Title: "Registered Nurse", TitleKey: "registered nurse", Department: "Ward 3", Active: true, ClinicalAlerts: "none",
		Document: storage.Document{
			"userName": name, "externalId": fmt.Sprint("E", n), "displayName": "Ana Lima", "title": "Registered Nurse", "emails": emails,
			"name": map[string]any{"givenName": "Ana", "familyName": "Lima"}, "active": true,
			"phoneNumbers": []any{map[string]any{"value": "+12125550123", "type": "mobile"}},
		},
		Decision: policy.Decision{
			Status: policy.StatusPending, TitleRole: "clinical", RequestedRole: "clinical", NormalTitle: "registered nurse", PolicyVersion: 1,
			DecidedAt: now, Reason: "Pending: training missing.",
			Gates: []policy.GateState{
				{Gate: policy.GateParticipant, Open: true, Reason: "the participant is active and live"},
				{Gate: policy.GateTitle, Open: true, Reason: "known"}, {Gate: policy.GateTraining, Since: &now, Missing: []string{"privacy"}},
			},
			Trace: []policy.Step{{Step: "row", Detail: "Registered Nurse → clinical"}, {Step: "gate", Detail: "training closed"}},
		},
		Created: now, LastModified: now,
	}
	u.Fold, _ = json.Marshal(map[string]any{"username": name, "emails": emails, "displayname": "ana lima", "title": "registered nurse"})
	return u
}
