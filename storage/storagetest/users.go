package storagetest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// fullUser has a value everywhere.
func fullUser() storage.User {
	at := func(minute int) *time.Time {
		t := time.Date(2026, 5, 4, 3, minute, 1, 123456000, time.UTC)
		return &t
	}
	u := person("mercy", "Ana.Lima@mercy.example")
	u.ExternalID = "E-4711"
	u.DisplayName, u.GivenName, u.FamilyName = "Ana Lima", "Ana", "Lima"
	u.Email, u.EmailKey, u.Mobile = "Ana.Lima@mail.example", "ana.lima@mail.example", "+12125550123"
	u.Title, u.TitleKey, u.Department = "Registered Nurse", "registered nurse", "Ward 3"
	u.Document = storage.Document{
		"userName": u.UserName, "title": u.Title,
		"emails": []any{map[string]any{"value": u.Email, "primary": true}},
	}
	u.Fold = json.RawMessage(`{"emails": [{"value": "ana.lima@mail.example"}], "username": "ana.lima@mercy.example"}`)
	u.Decision = policy.Decision{
		Status: policy.StatusReleased, Role: "clinical", Permissions: []string{"read", "write"}, TitleRole: "clinical",
		RequestedRole: "", NormalTitle: "registered nurse", Rule: "title:registered-nurse",
		Gates:      []policy.GateState{{Gate: policy.GateTitle, Open: true, Reason: "title <known> & fine"}, {Gate: policy.GateTraining, Since: at(1), Missing: []string{"privacy"}}},
		Transition: true, ValidUntil: at(2), TrainingExpiresAt: at(3), WasReleased: true, PolicyVersion: 7, DecidedAt: *at(4),
		Reason: "Released.", Staff: "Released after a call.", Trace: []policy.Step{{Step: "row", Detail: "Registered Nurse → clinical"}},
	}
	u.HealthixUsername, u.ClinicalAlerts = "bcdfg234", "alerts-plus"
	u.ReleasedAt, u.ClosedAt, u.InvitedAt = at(5), at(6), at(7)
	u.Created, u.LastModified = *at(8), *at(9)
	return u
}

// compact takes out the space that an engine may put into JSON.
func compact(u storage.User) storage.User {
	var fold any
	if err := json.Unmarshal(u.Fold, &fold); err == nil {
		u.Fold = json.RawMessage(text(fold))
	}
	return u
}

func usersAreKept(h *house) {
	want := fullUser()
	h.keep(want)
	want.ParticipantState = policy.ParticipantState{Type: "standard", Status: "active", Mode: "live", Version: 1}
	trace, err := h.GetTrace(h.Context(), "mercy", want.ID)
	if err != nil || !slices.Equal(trace, want.Decision.Trace) {
		h.Errorf("trace %v, %v", trace, err)
	}
	if _, err := h.GetTrace(h.Context(), "north", want.ID); !errors.Is(err, storage.ErrNotFound) {
		h.Errorf("another participant's trace: %v", err)
	}
	want.Decision.Trace = nil // read by itself only
	check := func(what string, got storage.User, found bool, err error) {
		h.Helper()
		if err != nil || !found {
			h.Fatalf("%s: found %v, %v", what, found, err)
		}
		h.same(what, compact(got), compact(want))
	}
	got, err := h.GetUser(h.Context(), "mercy", want.ID)
	check("by id", got, true, err)
	got, found, err := h.FindUserName(h.Context(), "mercy", want.UserNameKey)
	check("by userName", got, found, err)
	got, found, err = h.FindExternalID(h.Context(), "mercy", "E-4711")
	check("by externalId", got, found, err)
	got, found, err = h.FindHealthixUsername(h.Context(), "bcdfg234")
	check("by username", got, found, err)

	// The next version may change all of it, also back to nothing.
	next := person("mercy", "ana")
	next.ID, next.Version = want.ID, 2
	h.keep(next)
	want = next
	want.ParticipantState = policy.ParticipantState{Type: "standard", Status: "active", Mode: "live", Version: 1}
	check("version 2", h.user(want.ID), true, nil)
	_, found, err = h.FindUserName(h.Context(), "mercy", "ana.lima@mercy.example")
	if found || err != nil {
		h.Errorf("by the old userName: %v, %v", found, err)
	}
	for what, find := range map[string]func() (storage.User, bool, error){
		"externalId ''": func() (storage.User, bool, error) { return h.FindExternalID(h.Context(), "mercy", "") },
		"username ''":   func() (storage.User, bool, error) { return h.FindHealthixUsername(h.Context(), "") },
	} {
		if _, found, err := find(); found || err != nil {
			h.Errorf("%s: found %v, %v", what, found, err)
		}
	}
	_, err = h.GetUser(h.Context(), "", newID())
	h.missing("an unknown id", err)
}

func letterCase(h *house) {
	u := person("mercy", "Ana.Lima@Mercy.example")
	u.ExternalID, u.HealthixUsername = "Abc", "bcdfgh23"
	h.keep(u)
	other := person("mercy", "other")
	other.ExternalID = "aBC" // another one: externalId is compared exactly
	h.keep(other)
	got, found, err := h.FindExternalID(h.Context(), "mercy", "Abc")
	if err != nil || !found || got.ID != u.ID {
		h.Errorf("externalId Abc: %v %v %v", got.ID, found, err)
	}
	err = h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
		_, err := tx.PutUser(ctx, person("mercy", "ANA.LIMA@mercy.EXAMPLE"))
		return err
	})
	h.taken("userName in another case", "userName", err)
	got, found, err = h.FindUserName(h.Context(), "mercy", storage.UserNameKey("aNA.lima@mercy.example"))
	if err != nil || !found || got.UserName != "Ana.Lima@Mercy.example" {
		h.Errorf("userName %q, %v, %v", got.UserName, found, err)
	}
}

func timesKeepMicroseconds(h *house) {
	for _, at := range []time.Time{
		time.Date(2026, 11, 1, 5, 30, 0, 1000, time.UTC),
		time.Date(2026, 11, 1, 5, 30, 0, 999999000, time.FixedZone("west", -5*3600)),
		time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC),
		time.Date(2999, 12, 31, 0, 0, 0, 0, time.UTC),
	} {
		u := person("mercy", at.String())
		u.Created, u.LastModified, u.ReleasedAt = at, at, &at
		h.keep(u)
		got := h.user(u.ID)
		for _, is := range []time.Time{got.Created, got.LastModified, *got.ReleasedAt} {
			if !is.Equal(at) || is.Location() != time.UTC {
				h.Errorf("%v came back as %v", at, is)
			}
		}
	}
}

func documentsAsSent(h *house) {
	u := person("mercy", "ana")
	u.Document = storage.Document{
		"userName": "ana",
		"numbers": []any{
			json.Number("1"), json.Number("1.0"), json.Number("-0.50"), json.Number("12345678901234567890123"),
			json.Number("0.1234567890123456789012345"),
		},
		"nothing": nil, "yes": true, "empty": "", "list": []any{}, "object": map[string]any{},
		"letters": "<é\u0301😀\u2028\ufffd> & \\u0000 \"quoted\" 'single' ?",
		"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": map[string]any{"manager": map[string]any{"value": "7"}},
	}
	h.keep(u)
	h.same("document", h.user(u.ID).Document, u.Document)
	if _, ok := h.user(u.ID).Document["numbers"].([]any)[0].(json.Number); !ok {
		h.Error("a number is not a json.Number")
	}
	u.Version, u.Document, u.Fold = 2, nil, nil
	h.keep(u)
	if got := h.user(u.ID).Document; len(got) != 0 {
		h.Errorf("no document came back as %v", got)
	}
}

func nulIsRefused(h *house) {
	u := person("mercy", "ana")
	u.Document["nickName"] = "a\x00b"
	err := h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
		_, err := tx.PutUser(ctx, u)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "U+0000") {
		h.Errorf("a document with U+0000: %v", err)
	}
	u.Document["nickName"] = `a\u0000b` // six letters, not a NUL
	h.keep(u)
	h.same("document", h.user(u.ID).Document, u.Document)
}

func deletedUsers(h *house) {
	u := person("mercy", "ana")
	u.ExternalID, u.HealthixUsername, u.EmailKey, u.Email = "E1", "bcdfgh23", "ana@mail.example", "ana@mail.example"
	h.keep(u)
	gone := u
	gone.Version = 2
	gone.Deleted = &gone.Created
	h.keep(gone)

	_, err := h.GetUser(h.Context(), "mercy", u.ID)
	h.missing("a deleted user", err)
	for what, find := range map[string]func() (storage.User, bool, error){
		"userName":   func() (storage.User, bool, error) { return h.FindUserName(h.Context(), "mercy", "ana") },
		"externalId": func() (storage.User, bool, error) { return h.FindExternalID(h.Context(), "mercy", "E1") },
		"username":   func() (storage.User, bool, error) { return h.FindHealthixUsername(h.Context(), "bcdfgh23") },
	} {
		if _, found, err := find(); found || err != nil {
			h.Errorf("deleted user by %s: %v, %v", what, found, err)
		}
	}
	if holders, err := h.ListEmailHolders(h.Context(), "ana@mail.example"); err != nil || len(holders) != 0 {
		h.Errorf("holders %v, %v", holders, err)
	}
	h.write(func(ctx context.Context, tx storage.Tx) error {
		locked, err := tx.LockUser(ctx, "mercy", u.ID)
		if err == nil && (locked.Deleted == nil || locked.Version != 2) {
			h.Errorf("locked %+v", locked)
		}
		return err
	})
	if history, err := h.ListHistory(h.Context(), u.ID); err != nil || len(history) != 2 {
		h.Errorf("history of a deleted user: %d rows, %v", len(history), err)
	}

	// Its userName and externalId are free again; its username never is.
	again := person("mercy", "ana")
	again.ExternalID = "E1"
	h.keep(again)
	reuse := person("general", "bea")
	reuse.HealthixUsername = "bcdfgh23"
	err = h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
		_, err := tx.PutUser(ctx, reuse)
		return err
	})
	h.taken("the username of a deleted user", "username", err)
}

func participantStateIsJoined(h *house) {
	u := person("mercy", "ana")
	u.ParticipantState = policy.ParticipantState{Type: "nonsense", Status: "nonsense", Version: 99}
	h.keep(u)
	closed := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	h.write(func(ctx context.Context, tx storage.Tx) error {
		p, err := tx.LockParticipant(ctx, "mercy")
		if err != nil {
			return err
		}
		p.Version, p.Status, p.ClosedAt, p.Recovering = 2, "suspended", &closed, &closed
		_, err = tx.PutParticipant(ctx, p)
		return err
	})
	want := policy.ParticipantState{Type: "standard", Status: "suspended", Mode: "live", Version: 2, ClosedAt: &closed, Recovering: true}
	got := h.user(u.ID)
	h.same("state", got.ParticipantState, want)
	if got.Version != 1 {
		h.Errorf("the user moved to version %d", got.Version)
	}
	h.write(func(ctx context.Context, tx storage.Tx) error {
		locked, err := tx.LockUser(ctx, "mercy", u.ID)
		h.same("state of a locked user", locked.ParticipantState, want)
		return err
	})
}

func participantsAreApart(h *house) {
	u := person("mercy", "ana")
	u.ExternalID = "E1"
	h.keep(u)
	other := person("general", "ana")
	other.ExternalID = "E1"
	h.keep(other) // no conflict

	_, err := h.GetUser(h.Context(), "general", u.ID)
	h.missing("a user of another participant", err)
	for _, p := range []struct{ participant, id string }{{"mercy", u.ID}, {"general", other.ID}} {
		got, found, err := h.FindUserName(h.Context(), p.participant, "ana")
		if err != nil || !found || got.ID != p.id {
			h.Errorf("userName at %s: %s, %v, %v", p.participant, got.ID, found, err)
		}
		got, found, err = h.FindExternalID(h.Context(), p.participant, "E1")
		if err != nil || !found || got.ID != p.id {
			h.Errorf("externalId at %s: %s, %v, %v", p.participant, got.ID, found, err)
		}
	}
	err = h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
		_, err := tx.LockUser(ctx, "general", u.ID)
		return err
	})
	h.missing("lock a user of another participant", err)
}

func expiredUsers(h *house) {
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	until := func(name string, end time.Duration, decided time.Time) storage.User {
		u := person("mercy", name)
		u.Decision.Status = policy.StatusReleased
		t := now.Add(end)
		u.Decision.ValidUntil, u.Decision.DecidedAt = &t, decided
		return u
	}
	before := now.Add(-365 * 24 * time.Hour)
	users := []storage.User{
		until("later", time.Microsecond, before), until("now", 0, before), until("past", -time.Hour, before),
		until("decided since", -time.Hour, now), until("pending", -time.Hour, before), until("deleted", -time.Hour, before),
		person("mercy", "endless"),
	}
	users[4].Decision.Status = policy.StatusPending
	users[5].Deleted = &now
	users[6].Decision.Status = policy.StatusReleased
	h.keep(users...)
	names := func(limit int) []string {
		found, err := h.ListExpired(h.Context(), now, limit)
		if err != nil {
			h.Fatal(err)
		}
		var out []string
		for _, u := range found {
			out = append(out, u.UserName)
		}
		return out
	}
	if got := names(10); !slices.Equal(got, []string{"past", "now"}) {
		h.Errorf("expired %v", got)
	}
	if got := names(1); !slices.Equal(got, []string{"past"}) {
		h.Errorf("expired, one of them: %v", got)
	}
}

func emailHolders(h *house) {
	holder := func(participant, name string, minute int) storage.User {
		u := person(participant, name)
		u.Email, u.EmailKey = "Shared@mail.example", "shared@mail.example"
		u.Created = time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC)
		return u
	}
	second, first, inactive, other := holder("mercy", "second", 2), holder("general", "first", 1), holder("mercy", "inactive", 0), person("mercy", "other")
	inactive.Active = false
	h.keep(second, first, inactive, other)
	got, err := h.ListEmailHolders(h.Context(), "shared@mail.example")
	if err != nil || len(got) != 2 || got[0].ID != first.ID || got[1].ID != second.ID {
		h.Errorf("holders %v, %v", got, err)
	}
	if got, err := h.ListEmailHolders(h.Context(), ""); err != nil || len(got) != 0 {
		h.Errorf("holders of no address: %v, %v", got, err)
	}
}
