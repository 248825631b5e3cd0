package sqlstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// before is a version as the record kept it when it was one whole.
func before(t *testing.T, u storage.User, validFrom time.Time) string {
	t.Helper()
	var whole, personal map[string]any
	digest := audit.Sum(nil)
	for into, half := range map[*map[string]any]any{&whole: userRecordOf(u, validFrom, digest), &personal: personalRecordOf(u)} {
		text, err := json.Marshal(half)
		if err == nil {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	delete(whole, "personal")
	delete(personal, "staff")
	delete(personal, "gateStaff")
	for name, value := range personal {
		whole[name] = value
	}
	whole["decision"] = u.Decision // staff's words in it
	text, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A database from before the record had two halves is read as it was written,
// its entries come into the log, and an erasure leaves of a person who they were
// to the policy and nothing else.
func TestRecordFromBefore(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		ctx := t.Context()
		s, err := connect(ctx, address, Options{})
		if err != nil {
			t.Fatal(err)
		}
		provider, err := s.provider()
		if err == nil {
			_, err = provider.UpTo(ctx, 9)
		}
		if err != nil {
			t.Fatal(err)
		}
		day := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
		next := day.Add(24 * time.Hour)
		ids := []string{"00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002", "00000000-0000-4000-8000-000000000003"}
		version := func(id, name string, n int64, d policy.Decision) storage.User {
			u := storage.User{
				ID: id, Participant: "mercy", Version: n, UserName: name, UserNameKey: name, GivenName: name, Email: name + "@mail.example", Title: "Nurse",
				Active: d.Status == policy.StatusReleased, Document: storage.Document{"userName": name}, Fold: json.RawMessage(`{"username":"` + name + `"}`),
				Decision: d, ClinicalAlerts: "none", Created: day, LastModified: day,
			}
			u.Decision.DecidedAt = day
			u.Decision.Gates = []policy.GateState{{Gate: policy.GateHold, Staff: name + " called"}}
			return u
		}
		out := audit.Draft{ID: "0199-1", At: day, Participant: "mercy", User: ids[1], Action: "user.created", Actor: audit.Actor{Kind: "provider", Token: "jti-1"},
			Fields: []audit.Field{{Name: "userName", Class: audit.ClassPersonal, Value: "bo"}}}
		sealed, err := audit.Seal(out, bytes.NewReader(bytes.Repeat([]byte{7}, 16)))
		if err != nil {
			t.Fatal(err)
		}
		err = s.write(ctx, func(ctx context.Context, tx *tx) error {
			p := participantRecord{ID: "mercy", Version: 1, ValidFrom: audit.Stamp(day), Type: "standard", Status: "active", Mode: "live", Created: audit.Stamp(day), Changed: audit.Stamp(day)}
			body, err := recordText(p)
			if err != nil {
				return err
			}
			errs := []error{
				exec(ctx, tx, "insert into participant (id, name, type, status, mode, settings, reason, version, created, changed) values ('mercy', 'Mercy', 'standard', 'active', 'live', '{}', '', 1, ?, ?)", instant(day), instant(day)),
				exec(ctx, tx, "insert into participant_history (participant, version, valid_from, body, digest) values ('mercy', 1, ?, ?, ?)", instant(day), body, digestOf(participantHistory, body).String()),
				exec(ctx, tx, "insert into audit_entry (id, at, participant, user_id, action, canonical, hash) values (?, ?, 'mercy', ?, 'user.created', ?, ?)", sealed.ID, instant(day), ids[1], sealed.Canonical, sealed.Hash.String()),
				exec(ctx, tx, "insert into audit_personal (entry_id, n, name, salt, value) values (?, 0, 'userName', ?, 'bo')", sealed.ID, sealed.Personal[0].Salt),
				exec(ctx, tx, "insert into audit_pending (entry_id) values (?)", sealed.ID),
			}
			for i, name := range []string{"ana", "bo", "cleo"} {
				was, is := version(ids[i], name, 1, policy.Decision{Status: policy.StatusReleased, Role: "CLINICAL"}), version(ids[i], name, 2, policy.Decision{Status: policy.StatusRevoked})
				row, err := userRowOf(is)
				if err != nil {
					return err
				}
				errs = append(errs, fault(tx.db.WithContext(ctx).Omit("Erased").Create(&row).Error))
				for from, u := range map[time.Time]storage.User{day: was, next: is} {
					body := before(t, u, from)
					errs = append(errs, exec(ctx, tx, "insert into user_history (user_id, version, participant, valid_from, body, digest) values (?, ?, 'mercy', ?, ?, ?)",
						u.ID, u.Version, instant(from), body, HistoryDigest([]byte(body)).String()))
				}
			}
			return errors.Join(errs...)
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.migrate(ctx); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() }) //nolint:errcheck // the database goes with it

		people := func(at time.Time) string {
			t.Helper()
			var found []string
			q := storage.AsOfQuery{Participant: "mercy", At: at, Limit: 1}
			for {
				page, err := s.ListUsersAt(ctx, q)
				if err != nil {
					t.Fatal(err)
				}
				if len(page) == 0 {
					return strings.Join(found, "; ")
				}
				u := page[0]
				one, err := s.GetUserAt(ctx, "mercy", u.ID, at)
				if err != nil || fmt.Sprintf("%+v", one) != fmt.Sprintf("%+v", u) {
					t.Fatalf("%q one by one: %+v, %v", u.ID, one, err)
				}
				found = append(found, fmt.Sprint(u.ID[len(u.ID)-1:], " ", u.UserName, " ", u.Title, " ", u.Version, " ", u.Participant, " ", u.Access(at).Status, " ", u.ParticipantState.Mode, " ", u.Decision.Gates[0].Staff))
				if q.After = u.ID; len(found) > 5 {
					t.Fatalf("pages without an end: %v", found)
				}
			}
		}
		if got, want := people(day), "1 ana Nurse 1 mercy released live ana called; 2 bo Nurse 1 mercy released live bo called; 3 cleo Nurse 1 mercy released live cleo called"; got != want {
			t.Errorf("as it was: %s\nwant %s", got, want)
		}
		history := func() []storage.HistoryRow {
			t.Helper()
			rows, err := s.ListHistory(ctx, ids[1])
			if err != nil || len(rows) != 2 {
				t.Fatal(rows, err)
			}
			return rows
		}
		whole := history()
		for _, row := range whole {
			if row.Erased || HistoryDigest(row.Body).String() != row.Digest {
				t.Errorf("version %d is not what was recorded", row.Version)
			}
		}
		events, err := s.ListEvents(ctx, storage.EventQuery{Actor: "jti-1", Limit: 9})
		waiting, counted := s.CountUnplaced(ctx)
		if err != nil || counted != nil || len(events) != 1 || waiting != 1 {
			t.Errorf("%d by their actor, %d wait for the log, %v", len(events), waiting, errors.Join(err, counted))
		}

		erase := func() {
			t.Helper()
			if err := s.Write(ctx, func(ctx context.Context, tx storage.Tx) error { return tx.EraseUser(ctx, ids[1]) }); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			erase()
			if got, want := people(day), "1 ana Nurse 1 mercy released live ana called; 2  Nurse 1 mercy released live ; 3 cleo Nurse 1 mercy released live cleo called"; got != want {
				t.Errorf("after the erasure: %s\nwant %s", got, want)
			}
			if got, want := people(next), "1 ana Nurse 2 mercy revoked live ana called; 2  Nurse 2 mercy revoked live ; 3 cleo Nurse 2 mercy revoked live cleo called"; got != want {
				t.Errorf("a day later: %s\nwant %s", got, want)
			}
			for i, row := range history() {
				if !row.Erased || len(row.Body) != 0 || row.Digest != whole[i].Digest || row.Kept.ID != ids[1] || row.Kept.Version != row.Version {
					t.Errorf("version %d after the erasure: %+v", row.Version, row)
				}
			}
			kept, err := s.ListKept(ctx, storage.KeptUsers, "", 9)
			if err != nil || len(kept) != 3 {
				t.Fatal(kept, err)
			}
			for _, row := range kept {
				for _, w := range row.Wrongs {
					if w.Table != "users" || row.ID != ids[1] { // their row is the deed's own to keep
						t.Errorf("held to the record: %+v", w)
					}
				}
			}
			for _, table := range []string{"user_personal", "user_history", "audit_personal"} {
				column := map[string]string{"audit_personal": "value"}[table]
				if column == "" {
					column = "body"
				}
				var n int
				if _, err := s.get(ctx, &n, "select count(*) from "+table+" where "+column+" like '%bo%called%' or "+column+" like '%\"bo%' or "+column+" = 'bo'"); err != nil || n != 0 {
					t.Errorf("%s still knows who it was: %d, %v", table, n, err)
				}
			}
		}
	})
}
