package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

func february(day int) *time.Time {
	t := time.Date(2026, 2, day, 0, 0, 0, 0, time.UTC)
	return &t
}

// waits is somebody whose title no row of the policy answers.
func waits(participant, name, title, department string, since *time.Time) storage.User {
	u := person(participant, name)
	u.Title, u.TitleKey, u.Department = title, strings.ToLower(title), department
	u.Decision.Gates = []policy.GateState{{Gate: policy.GateTitle, Since: since}}
	return u
}

// mapped is somebody whose title a rule answers.
func mapped(participant, name, title, department, rule string) storage.User {
	u := waits(participant, name, title, department, nil)
	u.Decision.TitleRole, u.Decision.Rule = "clinical", rule
	return u
}

func waitingTitles(h *house) {
	users := []storage.User{
		waits("mercy", "a", "Wizard", "Magic", february(3)), waits("mercy", "b", "WIZARD", "Cellar", february(2)),
		waits("general", "c", "Wizard", "MAGIC", february(4)), waits("general", "d", "Wizard", "", february(5)),
		waits("mercy", "e", "", "", february(1)),
		mapped("mercy", "f", "Nurse", "Magic", "title:nurse"),
		waits("mercy", "g", "Witch", "", february(1)), waits("mercy", "h", "Witch", "", february(1)),
		waits("mercy", "i", "Elf", "b", february(1)), waits("mercy", "j", "Elf", "A", february(1)), // as many in either
	}
	users[6].Active = false
	users[7].Deleted = february(9)
	// Titles that the policy answers, and the job code disagrees.
	for i, code := range []string{"Clerk", "Clerk", "Physician"} {
		u := mapped("mercy", fmt.Sprint("k", i), "Nurse", "Ward", "title:nurse")
		u.Decision.JobCodeTitle, u.LastModified = code, *february(10 + i)
		users = append(users, u)
	}
	both := waits("mercy", "l", "Wizard", "Ward", february(6)) // counts once
	both.Decision.JobCodeTitle = "Clerk"
	users = append(users, both)
	h.keep(users...)

	wizard := storage.WaitingTitle{Key: "wizard", Title: "WIZARD", Department: "MAGIC", People: 4, Participants: 2, Since: *february(2)}
	for participant, want := range map[string][]storage.WaitingTitle{
		"": {
			wizard,
			{Key: "elf", Title: "Elf", Department: "A", People: 2, Participants: 1, Since: *february(1)},
			{Key: "nurse", Title: "Nurse", Department: "Ward", People: 2, Participants: 1, Since: *february(10), Disagrees: "Clerk"},
			{Key: "", Title: "", People: 1, Participants: 1, Since: *february(1)},
			{Key: "nurse", Title: "Nurse", Department: "Ward", People: 1, Participants: 1, Since: *february(12), Disagrees: "Physician"},
			{Key: "wizard", Title: "Wizard", Department: "Ward", People: 1, Participants: 1, Since: *february(6), Disagrees: "Clerk"},
		},
		"general": {{Key: "wizard", Title: "Wizard", Department: "MAGIC", People: 2, Participants: 1, Since: *february(4)}},
		"nobody":  {},
	} {
		got, err := h.ListWaitingTitles(h.Context(), participant)
		if err != nil {
			h.Fatal(err)
		}
		h.same("waiting titles of "+participant, got, want)
	}
}

func titlePeers(h *house) {
	disagrees := mapped("mercy", "dis", "Nurse", "Ward", "title:nurse")
	disagrees.Decision.JobCodeTitle = "Clerk"
	users := []storage.User{
		waits("mercy", "w1", "Wizard", "Ward", nil), waits("mercy", "w2", "Wizard", "WARD", nil), waits("mercy", "w3", "Wizard", "Cellar", nil),
		waits("mercy", "w4", "Wizard", "", nil), waits("general", "w5", "Wizard", "Ward", nil), waits("mercy", "elf", "Elf", "Attic", nil),
		disagrees,
		mapped("mercy", "m1", "Physician", "ward", "title:physician"), mapped("mercy", "m2", "Physician", "Ward", "title:physician"),
		mapped("mercy", "m3", "Clerk", "Cellar", "title:clerk"), mapped("mercy", "m4", "Clerk", "", "title:clerk"),
		mapped("mercy", "m5", "Clerk", "Office", "title:clerk"), mapped("general", "m6", "Nurse", "Ward", "title:nurse"),
		mapped("mercy", "m7", "Clerk", "Ward", ""),
		mapped("mercy", "m8", "Clerk", "Ward", "title:clerk"), mapped("mercy", "m9", "Clerk", "Ward", "title:clerk"),
	}
	users[14].Active = false
	users[15].Deleted = february(1)
	h.keep(users...)
	keys := []string{"wizard", "elf", "nurse", "nobody's"}
	for i := range 46 {
		keys = append(keys, fmt.Sprint("another ", i))
	}
	for participant, want := range map[string]map[string]storage.TitlePeers{
		"": {
			"wizard": {"title:physician": 2, "title:clerk": 1, "title:nurse": 2},
			"nurse":  {"title:physician": 2},
		},
		"mercy": {
			"wizard": {"title:physician": 2, "title:clerk": 1, "title:nurse": 1},
			"nurse":  {"title:physician": 2},
		},
		"general": {"wizard": {"title:nurse": 1}},
	} {
		got, err := h.ListTitlePeers(h.Context(), participant, keys)
		if err != nil {
			h.Fatal(err)
		}
		h.same("peers at "+participant, got, want)
	}
	if got, err := h.ListTitlePeers(h.Context(), "", nil); err != nil || len(got) != 0 {
		h.Errorf("peers of no title: %v, %v", got, err)
	}
}

const (
	enterpriseURN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	healthixURN   = "urn:ietf:params:scim:schemas:extension:healthix:2.0:User"
)

func titledPeople(h *house) {
	ctx := h.Context()
	h.write(func(ctx context.Context, tx storage.Tx) error {
		_, err := tx.PutParticipant(ctx, storage.Participant{ID: "cedar", Type: "health-plan", Status: "suspended", Mode: "observe", Version: 1, Created: tx.Now(), Changed: tx.Now()})
		return err
	})
	full := mapped("cedar", "full", "Nurse", "Ward", "title:nurse")
	full.ID = "b"
	full.Document = storage.Document{
		"userName": "full", "title": "Nurse", "userType": "it's \"so\" 😀",
		healthixURN:   map[string]any{"npi": "1234567893"},
		enterpriseURN: map[string]any{"costCenter": "29-1141", "division": "x"},
	}
	full.Decision.Status, full.Decision.Transition, full.Decision.PolicyVersion = policy.StatusReleased, true, 7
	bare := person("mercy", "bare")
	bare.ID = "a"
	other := person("mercy", "other")
	other.ID, other.Document = "c", storage.Document{"userType": "staff", enterpriseURN: map[string]any{}, healthixURN: map[string]any{}}
	left := person("mercy", "left")
	left.Active = false
	gone := person("mercy", "gone")
	gone.Deleted = february(1)
	h.keep(full, bare, other, left, gone)

	wantFull := storage.Titled{
		ID: "b", Participant: "cedar", Type: "health-plan", Title: "Nurse", Department: "Ward", UserType: "it's \"so\" 😀", NPI: "1234567893",
		JobCode: "29-1141", Active: true, Status: policy.StatusReleased, Rule: "title:nurse", TitleRole: "clinical", Transition: true, PolicyVersion: 7,
	}
	wantBare := storage.Titled{ID: "a", Participant: "mercy", Type: "standard", Active: true, Status: policy.StatusPending, PolicyVersion: 1}
	wantOther := wantBare
	wantOther.ID, wantOther.UserType = "c", "staff"
	list := func(q storage.TitledQuery) []storage.Titled {
		h.Helper()
		found, err := h.ListTitled(ctx, q)
		if err != nil {
			h.Fatalf("%+v: %v", q, err)
		}
		h.write(func(ctx context.Context, tx storage.Tx) error {
			inside, err := tx.ListTitled(ctx, q)
			h.same("in a deed", inside, found)
			return err
		})
		return found
	}
	code := []string{enterpriseURN, "costCenter"}
	h.same("everybody", list(storage.TitledQuery{JobCode: code, Limit: 10}), []storage.Titled{wantBare, wantFull, wantOther})
	h.same("one participant", list(storage.TitledQuery{Participant: "mercy", JobCode: code, Limit: 10}), []storage.Titled{wantBare, wantOther})
	h.same("a page", list(storage.TitledQuery{JobCode: code, Limit: 1, After: "a"}), []storage.Titled{wantFull})
	h.same("the end", list(storage.TitledQuery{JobCode: code, Limit: 1, After: "c"}), []storage.Titled{})
	wantFull.JobCode = ""
	h.same("without a job code", list(storage.TitledQuery{Participant: "cedar", Limit: 10}), []storage.Titled{wantFull})
	wantFull.JobCode = wantFull.UserType
	h.same("a job code at the top", list(storage.TitledQuery{Participant: "cedar", JobCode: []string{"userType"}, Limit: 10}), []storage.Titled{wantFull})
	for _, path := range [][]string{{"a'b"}, {enterpriseURN, `x"`}, {""}, {"a b"}} {
		if _, err := h.ListTitled(ctx, storage.TitledQuery{JobCode: path, Limit: 1}); err == nil {
			h.Errorf("a job code at %q", path)
		}
	}

	for participant, want := range map[string][2]int{"": {3, 1}, "mercy": {2, 0}, "cedar": {1, 1}, "nobody": {0, 0}} {
		active, released, err := h.CountUsers(ctx, participant)
		if got := [2]int{active, released}; err != nil || got != want {
			h.Errorf("active and released at %q: %v, %v; want %v", participant, got, err, want)
		}
	}
}

// titledOverMoving: who is there from beginning to end is on one page, while
// others come and go.
func titledOverMoving(h *house) {
	ids := h.crowd(150)
	var walked atomic.Bool
	seen := map[string]int{}
	walk := func() error {
		defer walked.Store(true)
		for after := ""; ; {
			page, err := h.ListTitled(h.Context(), storage.TitledQuery{After: after, Limit: 7})
			if err != nil || len(page) == 0 {
				return err
			}
			for _, t := range page {
				if t.ID <= after {
					return fmt.Errorf("%s behind %s", t.ID, after)
				}
				after = t.ID
				seen[t.ID]++
			}
		}
	}
	move := func() error {
		for n := 0; !walked.Load(); n++ {
			u := person("mercy", fmt.Sprint("new ", n))
			u.ID = fmt.Sprintf("u%05d-%d", (n*37)%150, n)
			err := h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
				if _, err := tx.PutUser(ctx, u); err != nil {
					return err
				}
				u.Version++
				u.Active = n%2 == 0
				_, err := tx.PutUser(ctx, u)
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	if err := errors.Join(together(2, func(i int) error {
		if i == 0 {
			return walk()
		}
		return move()
	})...); err != nil {
		h.Fatal(err)
	}
	for _, id := range ids {
		if seen[id] != 1 {
			h.Errorf("%s was on %d pages", id, seen[id])
		}
	}
}

func casesAreWhole(h *house) {
	ctx := h.Context()
	const n = 1000
	ids := h.crowd(n)
	first := h.user(ids[0])
	first.EmailKey, first.Email = "ana@mercy.example", "Ana@mercy.example"
	first.Version++
	second := h.user(ids[1])
	second.EmailKey = "own@mercy.example"
	second.Version++
	gone := h.user(ids[2])
	gone.Version++
	gone.Deleted = february(1)
	h.keep(first, second, gone)
	var want storage.Case
	h.write(func(ctx context.Context, tx storage.Tx) error {
		_, err := tx.ClaimEmail(ctx, "ana@mercy.example", "somebody else")
		_, err2 := tx.ClaimEmail(ctx, "own@mercy.example", ids[1])
		_, err3 := tx.ClaimEmail(ctx, "", "nobody") // says nothing about those without an address
		err = errors.Join(err, err2, err3)
		for i, user := range []string{ids[0], ids[0], ids[5]} {
			err = errors.Join(err,
				tx.PutEvidence(ctx, storage.Evidence{Evidence: policy.Evidence{ID: fmt.Sprint("e", i), Gate: policy.GateTraining, CompletedAt: minute(1)}, User: user, Recorded: minute(9 - i), Revoked: minuteOf(i)}),
				tx.PutApproval(ctx, storage.Approval{Approval: policy.Approval{ID: fmt.Sprint("a", i), At: minute(9 - i)}, User: user, Ended: minuteOf(i)}),
				tx.PutHold(ctx, storage.Hold{Hold: policy.Hold{ID: fmt.Sprint("h", i), Since: minute(9 - i)}, User: user, Lifted: minuteOf(i)}))
		}
		return err
	})
	var err, err2, err3 error
	want.User, want.EmailTaken = h.user(ids[0]), true
	want.Evidence, err = h.ListEvidence(ctx, ids[0])
	want.Approvals, err2 = h.ListApprovals(ctx, ids[0])
	want.Holds, err3 = h.ListHolds(ctx, ids[0])
	if err := errors.Join(err, err2, err3); err != nil || len(want.Evidence) != 2 || want.Evidence[0].ID != "e1" {
		h.Fatalf("%+v, %v", want, err)
	}

	asked := append(slices.Clone(ids), "nobody", ids[0])
	slices.Reverse(asked)
	cases, err := h.ListCases(ctx, asked)
	if err != nil || len(cases) != n-1 {
		h.Fatalf("%d cases, %v", len(cases), err)
	}
	h.same("a whole case", cases[0], want)
	h.same("a plain one", cases[1], storage.Case{User: h.user(ids[1])})
	left := slices.Delete(slices.Clone(ids), 2, 3)
	for i, c := range cases {
		if c.User.ID != left[i] || c.EmailTaken != (i == 0) {
			h.Errorf("case %d is of %s, address taken: %t", i, c.User.ID, c.EmailTaken)
		}
		if has := len(c.Evidence) + len(c.Approvals) + len(c.Holds); has != map[string]int{ids[0]: 6, ids[5]: 3}[c.User.ID] {
			h.Errorf("%s has %d facts", c.User.ID, has)
		}
	}
	if none, err := h.ListCases(ctx, nil); err != nil || len(none) != 0 {
		h.Errorf("of nobody: %v, %v", none, err)
	}
}
