package storagetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// RunQueries holds a store's queries against the promise of storage/query.go.
// open answers an empty store that the test closes itself.
func RunQueries(t *testing.T, open func(t *testing.T) storage.Store) {
	for name, test := range map[string]func(t *testing.T, s storage.Store){
		"random":    testRandomQueries,
		"text":      testText,
		"elements":  testElements,
		"missing":   testMissing,
		"fields":    testFields,
		"overlay":   testOverlay,
		"order":     testOrder,
		"pages":     testPages,
		"walks":     testWalks,
		"moving":    testMovingWalks,
		"long keys": testLongKeys,
		"groups":    testGroupQueries,
		"isolation": testIsolation,
		"deleted":   testDeleted,
		"large":     testLargeQueries,
		"refused":   testRefusedQueries,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

var openParticipant = newParticipant("open", "active", "live", nil)

// seed keeps users at one participant: id → folded document.
func seed(t *testing.T, s storage.Store, folds map[string]string) {
	t.Helper()
	p := &population{participants: []storage.Participant{openParticipant}}
	for id, fold := range folds {
		p.users = append(p.users, newUser(openParticipant, id, fold))
	}
	p.keep(t, s)
}

// expect asks for all users that a filter finds, by id.
func expect(t *testing.T, s storage.Reader, f storage.Filter, want ...string) {
	t.Helper()
	got, total, err := userIDs(t, s, storage.Query{Participant: openParticipant.ID, Filter: f, Sort: []storage.Order{{Field: storage.FieldID}}, Limit: -1, Total: true, Now: queryNow})
	if err != nil {
		t.Errorf("%+v: %v", f, err)
		return
	}
	slices.Sort(want)
	if !slices.Equal(got, want) || total != len(want) {
		t.Errorf("%+v: got %q of %d, want %q", f, got, total, want)
	}
}

func attr(path string, op storage.Op, v any) storage.Attr {
	a := storage.Attr{Op: op, Value: v}
	if path != "" {
		a.Path = strings.Split(path, ".")
	}
	return a
}

func field(f storage.Field, op storage.Op, v any) storage.Cmp {
	return storage.Cmp{Field: f, Op: op, Value: v}
}

// testText: a value is text, whatever it looks like, and its order is that of
// its bytes.
func testText(t *testing.T, s storage.Store) {
	seed(t, s, map[string]string{
		"percent": `{"nickname":"100% sure"}`, "under": `{"nickname":"a_b"}`, "plain": `{"nickname":"axb"}`, "back": `{"nickname":"a\\b"}`,
		"upper": `{"nickname":"Upper"}`, "smile": `{"nickname":"hi 😀"}`, "private": `{"nickname":"hi \ue000"}`, "quote": `{"nickname":"it's \"so\""}`,
		"number": `{"nickname":1}`, "truth": `{"nickname":true}`, "empty": `{"nickname":""}`, "null": `{"nickname":null}`, "none": `{}`,
	})
	const n = "nickname"
	for _, tc := range []struct {
		op   storage.Op
		v    any
		want string
	}{
		{storage.OpCo, "%", "percent"},
		{storage.OpCo, "_", "under"},
		{storage.OpSw, "a_", "under"},
		{storage.OpEw, "_b", "under"},
		{storage.OpCo, `\`, "back"},
		{storage.OpEq, `a\b`, "back"},
		{storage.OpEq, "upper", ""},
		{storage.OpSw, "u", ""},
		{storage.OpCo, "PP", ""},
		{storage.OpEw, "😀", "smile"},
		{storage.OpGt, "hi \uffff", "smile quote"}, // UTF-16 would put the emoji first
		{storage.OpLe, "hi \ue000", "percent under plain back upper private empty"},
		{storage.OpEq, `it's "so"`, "quote"},
		{storage.OpEq, "' or true --", ""},
		{storage.OpCo, `" || true || "`, ""},
		{storage.OpEq, "1", ""},
		{storage.OpEq, "true", ""},
		{storage.OpEq, int64(1), "number"},
		{storage.OpEq, 1.0, "number"},
		{storage.OpLt, 1.5, "number"},
		{storage.OpEq, true, "truth"},
		{storage.OpEq, false, ""},
		{storage.OpGt, false, ""},
		{storage.OpCo, "", "percent under plain back upper smile private quote empty"},
		{storage.OpPresent, nil, "percent under plain back upper smile private quote number truth"},
	} {
		expect(t, s, attr(n, tc.op, tc.v), strings.Fields(tc.want)...)
	}
}

func testElements(t *testing.T, s storage.Store) {
	seed(t, s, map[string]string{
		"same":  `{"emails":[{"type":"work","value":"x@a.example"},{"type":"home","value":"y@a.example"}]}`,
		"apart": `{"emails":[{"type":"home","value":"x@a.example"},{"type":"work","value":"y@a.example"}]}`,
		"bare":  `{"emails":[{"value":"x@a.example"}]}`,
		"none":  `{"emails":[]}`,
	})
	work, x := attr("emails.type", storage.OpEq, "work"), attr("emails.value", storage.OpEq, "x@a.example")
	expect(t, s, storage.And{work, x}, "same", "apart")
	emails := func(f storage.Filter) storage.Filter { return storage.Element{Path: []string{"emails"}, Filter: f} }
	isWork, isX := attr("type", storage.OpEq, "work"), attr("value", storage.OpEq, "x@a.example")
	expect(t, s, emails(storage.And{isWork, isX}), "same")
	expect(t, s, emails(storage.And{isX, storage.Not{Filter: isWork}}), "apart", "bare")
	expect(t, s, emails(storage.And{isX, attr("type", storage.OpNe, "work")}), "apart", "bare")
	expect(t, s, emails(storage.Or{isWork, isX}), "same", "apart", "bare")
	expect(t, s, emails(storage.And{isWork, attr("value", storage.OpSw, "x")}), "same")
	expect(t, s, storage.Not{Filter: emails(isWork)}, "bare", "none")
	expect(t, s, emails(storage.And{}), "same", "apart", "bare")
	expect(t, s, emails(storage.Or{}))
	expect(t, s, attr("emails.type", storage.OpNe, "work"), "bare", "none")
	expect(t, s, field(storage.FieldEmail, storage.OpEq, "y@a.example"), "same", "apart")
	expect(t, s, field(storage.FieldEmail, storage.OpNe, "y@a.example"), "bare", "none")
	expect(t, s, field(storage.FieldEmail, storage.OpSw, "y@"), "same", "apart")
	expect(t, s, field(storage.FieldEmail, storage.OpPresent, nil), "same", "apart", "bare")
	expect(t, s, storage.In{Field: storage.FieldEmail, Values: []string{"y@a.example", "z@a.example"}}, "same", "apart")
}

// testMissing: a missing value satisfies ne and no other but a negation.
func testMissing(t *testing.T, s storage.Store) {
	full := newUser(openParticipant, "full", `{}`)
	full.Title, full.ExternalID, full.ReleasedAt, full.Decision.Role = "nurse", "e1", &queryNow, "nurse"
	p := &population{participants: []storage.Participant{openParticipant}, users: []storage.User{full, newUser(openParticipant, "bare", `{}`)}}
	p.keep(t, s)
	for _, f := range []storage.Field{storage.FieldTitle, storage.FieldExternalID, storage.FieldRole, storage.FieldReleasedAt} {
		var other any = "zzz"
		if f == storage.FieldReleasedAt {
			other = queryNow.Add(time.Hour)
		}
		for _, op := range []storage.Op{storage.OpLt, storage.OpLe} {
			expect(t, s, field(f, op, other), "full")
			expect(t, s, storage.Not{Filter: field(f, op, other)}, "bare")
		}
		for _, op := range []storage.Op{storage.OpEq, storage.OpGt, storage.OpGe} {
			expect(t, s, field(f, op, other))
			expect(t, s, storage.Not{Filter: field(f, op, other)}, "bare", "full")
		}
		expect(t, s, field(f, storage.OpNe, other), "bare", "full")
		expect(t, s, storage.Not{Filter: field(f, storage.OpNe, other)})
		expect(t, s, field(f, storage.OpPresent, nil), "full")
		expect(t, s, storage.Not{Filter: field(f, storage.OpPresent, nil)}, "bare")
	}
	expect(t, s, field(storage.FieldTitle, storage.OpEq, ""))
	expect(t, s, storage.In{Field: storage.FieldTitle, Values: []string{"", "none"}})
	expect(t, s, storage.And{}, "bare", "full")
	expect(t, s, storage.Or{})
	expect(t, s, storage.Not{Filter: storage.Or{}}, "bare", "full")
	expect(t, s, nil, "bare", "full")
}

// testFields: what a column keeps folded is found folded.
func testFields(t *testing.T, s storage.Store) {
	u := newUser(openParticipant, "ana", `{}`)
	u.UserName, u.UserNameKey, u.DisplayName, u.GivenName, u.FamilyName = "Ana.LIMA", "ana.lima", "Ana LIMA", "Ana", "STRASSE"
	u.Title, u.TitleKey, u.Department, u.Email, u.EmailKey = "Registered NURSE", "registered nurse", "ICU East", "Ana@X.example", "ana@x.example"
	other := newUser(openParticipant, "other", `{}`)
	other.Active = false
	p := &population{participants: []storage.Participant{openParticipant}, users: []storage.User{u, other}}
	p.keep(t, s)
	for f, want := range map[storage.Field]string{
		storage.FieldUserName: "ana.lima", storage.FieldDisplayName: "ana lima", storage.FieldGivenName: "ana", storage.FieldFamilyName: storage.FoldKey("Straße"),
		storage.FieldTitle: "registered nurse", storage.FieldTitleKey: "registered nurse", storage.FieldDepartment: "icu east", storage.FieldEmailKey: "ana@x.example",
		storage.FieldID: "ana",
	} {
		expect(t, s, field(f, storage.OpEq, want), "ana")
		expect(t, s, field(f, storage.OpEq, strings.ToUpper(want)))
		expect(t, s, field(f, storage.OpSw, want[:2]), "ana")
		expect(t, s, storage.In{Field: f, Values: []string{"nobody", want}}, "ana")
	}
	expect(t, s, field(storage.FieldActive, storage.OpEq, true), "ana")
	expect(t, s, field(storage.FieldActive, storage.OpNe, true), "other")
	created := u.Created
	expect(t, s, field(storage.FieldCreated, storage.OpEq, created), "ana", "other")
	expect(t, s, field(storage.FieldCreated, storage.OpGt, created.Add(-time.Nanosecond)), "ana", "other")
	expect(t, s, field(storage.FieldCreated, storage.OpGe, created.Add(time.Nanosecond)))
	expect(t, s, field(storage.FieldCreated, storage.OpLt, created.Add(time.Nanosecond)), "ana", "other")
	expect(t, s, field(storage.FieldCreated, storage.OpEq, created.In(time.FixedZone("", 3600))), "ana", "other")
}

// testOverlay: status, role, permissions, gates and reason are those that
// User.Access shows, at each way in which access lapses, in combination with
// what a newer policy version leaves.
func testOverlay(t *testing.T, s storage.Store) {
	late, early := queryNow.Add(time.Minute), queryNow.Add(-time.Minute)
	p := &population{participants: []storage.Participant{
		openParticipant,
		newParticipant("suspended", "suspended", "live", &early),
		newParticipant("observed", "active", "observe", nil),
		newParticipant("reopened", "active", "live", &early),
	}}
	for _, participant := range p.participants {
		released := newUser(participant, "released", `{}`)
		released.Decision = policy.Decision{
			Status: policy.StatusReleased, Role: "nurse", TitleRole: "nurse", Permissions: []string{"view", "alerts"}, DecidedAt: queryNow.Add(-time.Hour),
			Reason: "Released.", Gates: []policy.GateState{{Gate: policy.GateParticipant, Open: true}, {Gate: policy.GateTraining, Open: true}, {Gate: policy.GateHold, Open: true}},
		}
		until := func(id string, at time.Time) storage.User {
			u := released
			u.ID = id
			u.Decision.ValidUntil = &at
			return u
		}
		move := func(u storage.User) storage.User {
			u.Decision.Transition = true
			u.Decision.Role, u.Decision.RequestedRole = "", "nurse"
			return u
		}
		empty, closed := released, released
		empty.ID, empty.Decision.Permissions = "empty", nil
		closed.ID, closed.Decision.Gates = "closed", slices.Insert(slices.Clone(closed.Decision.Gates), 2, policy.GateState{Gate: policy.GateNPI})
		for _, u := range []storage.User{
			released, empty, closed, until("expired", early), until("expires-now", queryNow), until("later", late),
			move(until("moving", late)), move(until("moved-too-slowly", early)), newUser(participant, "pending", `{}`),
		} {
			for how, n := range map[string]*policy.Narrowing{
				"not":           nil,
				"to all of it":  {Permissions: []string{"alerts", "view"}, Role: "clerk"},
				"to a role":     {Permissions: []string{"alerts"}, Role: "clerk"},
				"to the title":  {Permissions: []string{"alerts"}, Role: "nurse"},
				"to part of it": {Permissions: []string{"alerts", "break-glass"}, Role: "clerk"},
				"to no role":    {Permissions: []string{"view"}},
				"to nothing":    {Gate: policy.GateTraining},
				"to others":     {Permissions: []string{"break-glass"}, Role: "clerk", Gate: policy.GateHold},
				"gate unasked":  {Gate: policy.GateApproval},
				"gate is where": {Gate: policy.GateParticipant},
				"gate unnamed":  {},
			} {
				u := u
				u.ID = strings.Join([]string{participant.ID, u.ID, how}, "-")
				u.UserName, u.UserNameKey = u.ID, u.ID
				if n != nil {
					n.Version = newestVersion
				}
				p.narrow(&u, n)
				p.users = append(p.users, u)
			}
		}
	}
	p.keep(t, s)
	for _, f := range []storage.Field{
		storage.FieldStatus, storage.FieldRole, storage.FieldRequestedRole, storage.FieldPermission, storage.FieldGate, storage.FieldReason,
	} {
		q := storage.Query{Sort: []storage.Order{{Field: f}}, Limit: -1, Now: queryNow}
		got, _, err := userIDs(t, s, q)
		if want, _ := answer(p.userRecords(queryNow), q); err != nil || !slices.Equal(got, want) {
			t.Errorf("in the order of %s: %v\n got %q\nwant %q", f, err, got, want)
		}
	}
	for _, u := range p.users {
		seen := u.Access(queryNow)
		for f, value := range map[storage.Field]string{
			storage.FieldStatus: string(seen.Status), storage.FieldRole: seen.Role, storage.FieldRequestedRole: seen.RequestedRole, storage.FieldReason: seen.Reason,
		} {
			if value != "" {
				expectUser(t, s, u, field(f, storage.OpEq, value), true)
			} else {
				expectUser(t, s, u, field(f, storage.OpPresent, nil), false)
			}
		}
		for _, permission := range permissions {
			expectUser(t, s, u, field(storage.FieldPermission, storage.OpEq, permission), slices.Contains(seen.Permissions, permission))
		}
		for _, gate := range []policy.Gate{policy.GateParticipant, policy.GateTraining, policy.GateHold, policy.GateApproval} {
			expectUser(t, s, u, field(storage.FieldGate, storage.OpEq, string(gate)), slices.Contains(seen.ClosedGates(), string(gate)))
		}
		expectUser(t, s, u, field(storage.FieldStoredStatus, storage.OpEq, string(u.Decision.Status)), true)
	}
}

func expectUser(t *testing.T, s storage.Reader, u storage.User, f storage.Filter, want bool) {
	t.Helper()
	got, _, err := userIDs(t, s, storage.Query{Participant: u.Participant, Filter: storage.And{field(storage.FieldID, storage.OpEq, u.ID), f}, Limit: -1, Now: queryNow})
	if err != nil || (len(got) == 1) != want {
		t.Errorf("%s: %+v found %q, want %t: %v", u.ID, f, got, want, err)
	}
}
