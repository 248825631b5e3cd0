package storagetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// queryNow is the instant that query tests ask at; times lie around it.
var queryNow = time.Date(2026, 11, 25, 12, 0, 0, 123456000, time.UTC)

// words are texts that an engine may take for something else than text, or
// order differently from bytes.
var words = []string{
	"", "a", "A", "ab", "b", "B", "z", "Z", "_", "%", "a%b", "a_b", `\`, `a\`, "'", "''", `"`, "?", "$1", "@a", ":a", "*", "[a]", "{}",
	"null", "true", "1", "1.0", "é", "e\u0301", "ä", "ß", "Ω", "\uE000", "\uFFFD", "😀", "😀b", "\U0010FFFF", "日本", "a b", " a", "a\nb",
	"'; drop table users; --", `") or true --`, `x" || "y`, `$.a ? (@ > 1)`, "work", "home", "suspended", "released",
}

const extension = "urn:example:params:scim:schemas:extension:test:2.0:user"

// population is what query tests ask about, as it was kept.
type population struct {
	participants []storage.Participant
	users        []storage.User
	groups       []storage.Group
	members      map[string][]storage.Member
	// effects are of the newest policy version; userRecords takes from them
	// what readers should find joined.
	effects []storage.Effect
}

// newestVersion is the policy version of a population with effects.
const newestVersion = 3

// narrow lays what the newest policy version does to a user over it as readers
// should find it.
func (p *population) narrow(u *storage.User, n *policy.Narrowing) {
	p.effects = append(p.effects, storage.Effect{User: u.ID, Narrowing: n})
	if n != nil && u.Decision.Status == policy.StatusReleased && u.Decision.PolicyVersion < newestVersion {
		u.Narrowing = n
	}
}

// keepEffects writes them beside some that readers must look away from: of a
// version that was followed by another one, and of a plan that is still pending.
func (p *population) keepEffects(ctx context.Context, tx storage.Tx) error {
	for version := int64(1); version <= newestVersion; version++ {
		if err := tx.PutPolicy(ctx, storage.PolicyVersion{Version: version, Document: []byte("p"), Applied: queryNow, Plan: fmt.Sprint("plan-", version)}); err != nil {
			return err
		}
	}
	var all []storage.Effect
	for _, u := range p.users {
		all = append(all, storage.Effect{User: u.ID, Narrowing: &policy.Narrowing{Gate: policy.GateHold}})
	}
	return errors.Join(
		tx.PutEffects(ctx, "plan-2", all),
		tx.PendPolicy(ctx, "plan-4"),
		tx.PutEffects(ctx, "plan-4", all),
		tx.PutEffects(ctx, "plan-3", p.effects),
	)
}

// keep writes it.
func (p *population) keep(t *testing.T, s storage.Store) {
	t.Helper()
	err := s.Write(t.Context(), func(ctx context.Context, tx storage.Tx) error {
		for _, participant := range p.participants {
			if _, err := tx.PutParticipant(ctx, participant); err != nil {
				return err
			}
		}
		for _, u := range p.users {
			if _, err := tx.PutUser(ctx, u); err != nil {
				return err
			}
		}
		for _, g := range p.groups {
			if _, err := tx.PutGroup(ctx, g, storage.MemberChange{Add: p.members[g.ID]}); err != nil {
				return err
			}
		}
		if p.effects == nil {
			return nil
		}
		return p.keepEffects(ctx, tx)
	})
	if err != nil {
		t.Fatalf("keep a population: %v", err)
	}
}

func (p *population) userRecords(now time.Time) []record {
	var out []record
	for _, u := range p.users {
		out = append(out, recordOfUser(u, p.holding(u.ID), now))
	}
	return out
}

func (p *population) groupRecords() []record {
	var out []record
	for _, g := range p.groups {
		out = append(out, recordOfGroup(g, slices.DeleteFunc(slices.Clone(p.members[g.ID]), p.deleted)))
	}
	return out
}

// deleted says whether a membership has outlived its member.
func (p *population) deleted(m storage.Member) bool {
	return slices.ContainsFunc(p.users, func(u storage.User) bool { return u.ID == m.ID && u.Deleted != nil }) ||
		slices.ContainsFunc(p.groups, func(g storage.Group) bool { return g.ID == m.ID && g.Deleted != nil })
}

// holding lists the live groups that hold a member, directly or not.
func (p *population) holding(id string) []string {
	var found []string
	for next := []string{id}; len(next) > 0; next = next[1:] {
		for _, g := range p.groups {
			held := slices.ContainsFunc(p.members[g.ID], func(m storage.Member) bool { return m.ID == next[0] })
			if held && g.Deleted == nil && !slices.Contains(found, g.ID) {
				found = append(found, g.ID)
				next = append(next, g.ID)
			}
		}
	}
	return found
}

func newParticipant(id, status, mode string, closed *time.Time) storage.Participant {
	return storage.Participant{
		ID: id, Name: id, Type: "standard", Status: status, Mode: mode, ClosedAt: closed, Version: 1,
		Created: queryNow.AddDate(-1, 0, 0), Changed: queryNow.AddDate(-1, 0, 0),
	}
}

func recovering(p storage.Participant) storage.Participant {
	p.Recovering = p.ClosedAt
	return p
}

// newUser is a user with nothing but a name and a folded document.
func newUser(p storage.Participant, id, fold string) storage.User {
	return storage.User{
		ID: id, Participant: p.ID, Version: 1, UserName: id, UserNameKey: storage.UserNameKey(id), Active: true,
		Document: storage.Document{"userName": id}, Fold: json.RawMessage(fold),
		Decision:         policy.Decision{Status: policy.StatusPending, DecidedAt: queryNow, Gates: []policy.GateState{{Gate: policy.GateParticipant, Open: p.State().Open()}}},
		ClinicalAlerts:   "none",
		Created:          queryNow.Add(-time.Hour),
		LastModified:     queryNow.Add(-time.Hour),
		ParticipantState: p.State(),
	}
}

func pick[T any](t *rapid.T, label string, from ...T) T {
	return rapid.SampledFrom(from).Draw(t, label)
}

func instants() []time.Time {
	var out []time.Time
	for _, d := range []time.Duration{-time.Hour, -time.Microsecond, 0, time.Microsecond, time.Hour} {
		out = append(out, queryNow.Add(d))
	}
	return out
}

func someInstant(t *rapid.T, label string) *time.Time {
	if i := rapid.IntRange(-1, len(instants())-1).Draw(t, label); i >= 0 {
		return &instants()[i]
	}
	return nil
}

var permissions = []string{"view", "alerts", "break-glass"}

// randomPopulation holds every kind of state at several participants.
var randomPopulation = rapid.Custom(func(t *rapid.T) *population {
	p := &population{members: map[string][]storage.Member{}}
	before, after := queryNow.Add(-time.Hour), queryNow.Add(time.Microsecond)
	p.participants = []storage.Participant{
		newParticipant("open", "active", "live", nil),
		newParticipant("reopened", "active", "live", &before),
		newParticipant("reopened-late", "active", "live", &after),
		newParticipant("suspended", "suspended", "live", &before),
		newParticipant("observed", "active", "observe", nil),
		recovering(newParticipant("recovering", "active", "live", &before)),
	}
	for i, participant := range p.participants {
		for n := range 30 {
			u := randomUser(t, participant, n)
			u.ID = fmt.Sprintf("user-%d-%02d", i, n)
			if u.HealthixUsername != "" {
				u.HealthixUsername += u.ID
			}
			if effect := randomEffect(t); effect != nil {
				p.narrow(&u, effect.Narrowing)
			}
			p.users = append(p.users, u)
		}
		for n := range 6 {
			g := storage.Group{
				ID: fmt.Sprintf("group-%d-%d", i, n), Participant: participant.ID, Version: 1,
				DisplayName: pick(t, "displayName", words[1:]...), Document: storage.Document{}, Fold: randomFold(t),
				Created: *pick(t, "created", instantsOf()...), LastModified: queryNow,
			}
			g.DisplayNameKey = storage.FoldKey(g.DisplayName)
			if n == 5 {
				g.Deleted = &before
			}
			p.groups = append(p.groups, g)
			for m := range 30 {
				if rapid.IntRange(0, 7).Draw(t, "member") == 0 {
					p.members[g.ID] = append(p.members[g.ID], storage.Member{ID: fmt.Sprintf("user-%d-%02d", i, m), Type: "User"})
				}
			}
			if n > 0 { // a chain, closed to a ring of groups 0 to 2
				p.members[g.ID] = append(p.members[g.ID], storage.Member{ID: fmt.Sprintf("group-%d-%d", i, n-1), Type: "Group"})
			}
		}
		first := fmt.Sprintf("group-%d-0", i)
		p.members[first] = append(p.members[first], storage.Member{ID: fmt.Sprintf("group-%d-2", i), Type: "Group"})
	}
	return p
})

func instantsOf() []*time.Time {
	var out []*time.Time
	for _, at := range instants() {
		out = append(out, &at)
	}
	return out
}

func randomUser(t *rapid.T, p storage.Participant, n int) storage.User {
	u := newUser(p, "", "")
	word := func(label string) string { return pick(t, label, words...) }
	u.UserName = fmt.Sprintf("%s.%d", word("userName"), n)
	u.UserNameKey = storage.UserNameKey(u.UserName)
	u.ExternalID, u.ExternalShared = word("externalId"), true
	u.DisplayName, u.GivenName, u.FamilyName = word("displayName"), word("givenName"), word("familyName")
	u.Email = word("email")
	u.EmailKey = storage.FoldKey(u.Email)
	u.Title, u.Department = word("title"), word("department")
	u.TitleKey = strings.ToLower(u.Title)
	u.Active = rapid.Bool().Draw(t, "active")
	u.Fold = randomFold(t)
	u.HealthixUsername = pick(t, "username", "", "hx")
	u.ClinicalAlerts = pick(t, "alerts", "none", "alerts", "")
	u.ReleasedAt = someInstant(t, "releasedAt")
	u.Created = *pick(t, "created", instantsOf()...)
	u.LastModified = *pick(t, "modified", instantsOf()...)
	if rapid.IntRange(0, 9).Draw(t, "deleted") == 0 {
		u.Deleted = &u.Created
	}
	u.Decision = randomDecision(t)
	if rapid.Bool().Draw(t, "saw the last closing") {
		u.Decision.ClosedSeen = p.ClosedAt
	}
	return u
}

func randomDecision(t *rapid.T) policy.Decision {
	d := policy.Decision{
		Status: pick(t, "status", policy.StatusReleased, policy.StatusReleased, policy.StatusReleased,
			policy.StatusPending, policy.StatusSuspended, policy.StatusRevoked, policy.StatusIneligible),
		Role:              pick(t, "role", "", "nurse", "clerk"),
		TitleRole:         pick(t, "titleRole", "", "nurse", "clerk"),
		RequestedRole:     pick(t, "requestedRole", "", "nurse"),
		Transition:        rapid.Bool().Draw(t, "transition"),
		ValidUntil:        someInstant(t, "validUntil"),
		TrainingExpiresAt: someInstant(t, "training"),
		PolicyVersion:     rapid.Int64Range(1, 3).Draw(t, "policy"),
		DecidedAt:         *pick(t, "decided", instantsOf()...),
		Reason:            pick(t, "reason", "Title \"RN\" is nurse; released, all gates are open.", "Not released: title is missing.", ""),
	}
	for _, name := range []policy.Gate{
		policy.GateParticipant, policy.GateTitle, policy.GateEmail, policy.GateMobile, policy.GateTraining, policy.GateApproval, policy.GateNPI, policy.GateHold,
	} {
		if asked := rapid.IntRange(0, 3).Draw(t, "asked") > 0; asked {
			d.Gates = append(d.Gates, policy.GateState{Gate: name, Open: rapid.Bool().Draw(t, "open")})
		}
	}
	for _, permission := range permissions {
		if rapid.Bool().Draw(t, permission) {
			d.Permissions = append(d.Permissions, permission)
		}
	}
	return d
}

// randomEffect is what a policy version does to a user, nil for nothing known.
func randomEffect(t *rapid.T) *storage.Effect {
	switch rapid.IntRange(0, 4).Draw(t, "effect") {
	case 0:
		return nil
	case 1:
		return &storage.Effect{}
	}
	n := &policy.Narrowing{
		Version: newestVersion, Permissions: []string{}, Role: pick(t, "role left", "", "nurse", "clerk"),
		Gate: pick(t, "gate that closes", "", policy.GateParticipant, policy.GateTitle, policy.GateTraining, policy.GateApproval, policy.GateHold),
	}
	for _, permission := range append(slices.Clone(permissions), "of nobody") {
		if rapid.IntRange(0, 2).Draw(t, "left "+permission) == 0 {
			n.Permissions = append(n.Permissions, permission)
		}
	}
	return &storage.Effect{Narrowing: n}
}

// randomFold is a folded document with values of every shape at every place
// where a schema could put them.
func randomFold(t *rapid.T) json.RawMessage {
	word := func() any { return pick(t, "word", words...) }
	several := func(one func() any) func() any { // absent, null, one, or an array
		return func() any {
			switch n := rapid.IntRange(-3, 3).Draw(t, "several"); {
			case n == -3:
				return nil
			case n < 0:
				return one()
			default:
				list := []any{}
				for range n {
					list = append(list, one())
				}
				return list
			}
		}
	}
	object := func(members map[string]func() any) func() any {
		return func() any {
			o := map[string]any{}
			for _, name := range slices.Sorted(mapKeys(members)) {
				if rapid.IntRange(0, 2).Draw(t, "has "+name) > 0 {
					o[name] = members[name]()
				}
			}
			return o
		}
	}
	truth := func() any { return pick[any](t, "truth", true, false, nil) }
	level := func() any {
		return json.Number(pick(t, "level", "0", "-1", "1", "1.0", "1.5", "1e2", "100", "9007199254740991"))
	}
	email := object(map[string]func() any{"value": word, "type": word, "primary": truth})
	document := object(map[string]func() any{
		"nickname": word,
		"tags":     several(word),
		"mixed":    several(func() any { return pick[any](t, "mixed", "1", "true", json.Number("1"), true, nil, map[string]any{}) }),
		"emails": func() any {
			list := []any{}
			for range rapid.IntRange(0, 3).Draw(t, "emails") {
				e := email().(map[string]any)
				if _, ok := e["value"].(string); !ok {
					delete(e, "value")
				}
				list = append(list, e)
			}
			return list
		},
		"places": several(object(map[string]func() any{"value": several(word), "type": word, "primary": truth, "level": level})),
		extension: object(map[string]func() any{
			"costcenter": word,
			"flag":       truth,
			"level":      level,
			"codes":      several(word),
			"manager":    several(object(map[string]func() any{"value": word, "type": word, "primary": truth})),
		}),
	})
	text, err := json.Marshal(document())
	if err != nil {
		t.Fatalf("write a folded document: %v", err)
	}
	return text
}

func mapKeys[V any](m map[string]V) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
