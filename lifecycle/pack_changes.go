package lifecycle

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// Who joined, moved and left is told from access as every reader saw it, not from
// what deeds are called: it changes by a person's own version, by a change of the
// participant, by a policy version that takes at once, and when time runs out.

// The kinds of a joiner.
const (
	JoinerCreated     = "created"     // was not on record before
	JoinerReactivated = "reactivated" // had left
	JoinerReleased    = "released"    // has access for the first time
	JoinerReturned    = "returned"    // has access again
)

// The kinds of a leaver beside the gates that closed: hold, title, email and so on.
const (
	LeaverDeleted     = "deleted"
	LeaverDeactivated = "deactivated"
	LeaverExpiry      = "expiry"
	LeaverPolicy      = "policy"
	LeaverParticipant = "participant"
)

var changeColumns = []string{
	"class", "kind", "at", "id", "userName", "givenName", "familyName", "erased", "statusBefore", "statusAfter", "titleBefore", "titleAfter",
	"roleBefore", "roleAfter", "permissionsBefore", "permissionsAfter", "closedGates", "rule", "policyVersion", "sentence",
	"actorKind", "actor", "tokenLabel", "action", "request", "entry", "requestAt", "secondsToClose",
}

// around is a change that moves everybody's access at once: of the participant,
// or of the policy.
type around struct {
	at    time.Time
	entry audit.Kept
}

// tracker follows people through the period.
type tracker struct {
	*pack
	add      func(cells ...string) error
	house    []around                   // changes of the participant, by instant
	states   []*policy.ParticipantState // states[i] held before house[i]; the last one at the end; nil is not read yet
	policies []around
	requests requestTimes
	took     []time.Duration // from request to closed access
	close    TimeToClose
}

func (p *pack) changes(ctx context.Context) error {
	t := &tracker{pack: p, requests: requestTimes{read: p.s.store, participant: p.spec.Participant}}
	var err error
	if t.house, err = t.housePeriod(ctx); err != nil {
		return err
	}
	t.states = make([]*policy.ParticipantState, len(t.house)+1)
	if t.policies, err = t.policyPeriod(ctx); err != nil {
		return err
	}
	err = p.table("changes.csv", changeColumns, func(add func(cells ...string) error) error {
		t.add = add
		after := ""
		return EachUserAt(ctx, p.s.store, p.spec.Participant, p.closing, func(page []storage.User) error {
			if err := t.page(ctx, after, page); err != nil {
				return err
			}
			after = page[len(page)-1].ID
			p.stepped(len(page))
			return nil
		})
	})
	if err != nil {
		return err
	}
	n := &p.m.Counts
	n.AddsUp = n.PeopleOpening+n.PeopleCreated == n.PeopleClosing && n.AccessOpening+n.AccessBegan-n.AccessEnded == n.AccessClosing
	p.m.TimeToClose = t.close.of(t.took)
	text, err := compactJSON(p.m.TimeToClose)
	if err != nil {
		return err
	}
	return p.text("time-to-close.json", string(text)+"\n")
}

// housePeriod reads the participant's changes in the period; of several at one
// instant the last one counts.
func (t *tracker) housePeriod(ctx context.Context) ([]around, error) {
	var found []around
	err := eachEvent(ctx, t.s.store, storage.EventQuery{Participant: t.spec.Participant, User: t.spec.Participant, From: t.spec.From, To: t.spec.To}, func(e audit.Kept) error {
		if len(e.History) > 0 {
			found = append(found, around{e.At, e})
		}
		return nil
	})
	slices.Reverse(found)
	slices.SortStableFunc(found, func(a, b around) int { return a.at.Compare(b.at) })
	for i := len(found) - 2; i >= 0; i-- {
		if found[i].at.Equal(found[i+1].at) {
			found = slices.Delete(found, i, i+1)
		}
	}
	return found, err
}

// policyPeriod reads which policy versions came into force in the period that may
// take something from the participant's people before they are decided again.
func (t *tracker) policyPeriod(ctx context.Context) ([]around, error) {
	all, err := t.s.store.ListPolicies(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := t.policyEntries(ctx)
	if err != nil {
		return nil, err
	}
	var found []around
	for _, v := range all {
		if v.Plan != "" && t.within(v.Applied) && (v.Participant == "" || v.Participant == t.spec.Participant) {
			found = append(found, around{v.Applied, entries[v.Version]})
		}
	}
	slices.SortStableFunc(found, func(a, b around) int { return a.at.Compare(b.at) })
	return found, nil
}

// page follows the people of a page; after is the last id of the page before.
func (t *tracker) page(ctx context.Context, after string, page []storage.User) error {
	// Whoever was there before is among those who are: a page of as many reaches
	// as far.
	before, err := t.pageAt(ctx, t.opening, after, len(page))
	if err != nil {
		return err
	}
	narrowings := make([]map[string]*policy.Narrowing, len(t.policies))
	for i, v := range t.policies {
		then, err := t.pageAt(ctx, v.at, after, len(page))
		if err != nil {
			return err
		}
		narrowings[i] = map[string]*policy.Narrowing{}
		for id, u := range then {
			if u.Narrowing != nil {
				narrowings[i][id] = u.Narrowing
			}
		}
	}
	for _, u := range page {
		var opening *storage.User
		if was, found := before[u.ID]; found {
			opening = &was
		}
		narrowed := make([]*policy.Narrowing, len(narrowings))
		for i := range narrowings {
			narrowed[i] = narrowings[i][u.ID]
		}
		if err := t.person(ctx, opening, u, narrowed); err != nil {
			return fmt.Errorf("user %s: %w", u.ID, err)
		}
	}
	return nil
}

func (t *tracker) pageAt(ctx context.Context, at time.Time, after string, limit int) (map[string]storage.User, error) {
	users, err := t.s.store.ListUsersAt(ctx, storage.AsOfQuery{Participant: t.spec.Participant, At: at, After: after, Limit: limit})
	if err != nil {
		return nil, err
	}
	found := make(map[string]storage.User, len(users))
	for _, u := range users {
		found[u.ID] = u
	}
	return found, nil
}

// What makes access change.
type trigger int

const (
	byHouse trigger = iota
	byPolicy
	byVersion
	byTime
)

type step struct {
	at time.Time
	by trigger
	n  int // which change of the participant, policy, or version
}

// moment is a person at an instant. The zero moment is before they were there.
type moment struct {
	u      storage.User
	digest string // of the version
	access policy.Decision
}

// person follows one person from the period's beginning to its end.
func (t *tracker) person(ctx context.Context, opening *storage.User, closing storage.User, narrowed []*policy.Narrowing) error {
	who := &lookup{read: t.s.store, user: closing.ID}
	var now moment
	var state policy.ParticipantState
	var narrowing *policy.Narrowing
	if opening != nil {
		now = moment{u: *opening, access: opening.Access(t.opening)}
		state, narrowing = opening.ParticipantState, opening.Narrowing
	}
	var versions []storage.HistoryRow // of the period
	if opening == nil || opening.Version != closing.Version || ends(opening.Decision, t.spec.From, t.spec.To) {
		history, err := t.s.store.ListHistory(ctx, closing.ID)
		if err != nil {
			return err
		}
		for _, v := range history {
			switch {
			case v.ValidFrom.Before(t.spec.From):
				now.digest = v.Digest
			case v.ValidFrom.Before(t.spec.To):
				versions = append(versions, v)
			}
		}
	}
	house := 0 // changes of the participant so far
	for _, s := range t.steps(opening, versions) {
		is := now
		switch s.by {
		case byHouse:
			house = s.n + 1
		case byPolicy:
			narrowing = narrowed[s.n]
		case byVersion:
			is.u, is.digest = versions[s.n].Kept, versions[s.n].Digest
		case byTime:
		}
		if is.u.ID == "" {
			continue // not there yet
		}
		if now.u.ID == "" || s.by == byHouse {
			var err error
			if state, err = t.stateBefore(ctx, house); err != nil {
				return err
			}
		}
		is.access = is.u.Decision.Within(narrowing).At(s.at, state)
		if err := t.compare(ctx, who, s, now, is); err != nil {
			return err
		}
		now = is
	}
	return nil
}

func ends(d policy.Decision, from, to time.Time) bool {
	return d.ValidUntil != nil && !d.ValidUntil.Before(from) && d.ValidUntil.Before(to)
}

// steps is everything that may have changed a person's access, in order.
func (t *tracker) steps(opening *storage.User, versions []storage.HistoryRow) []step {
	var steps []step
	for i, c := range t.house {
		steps = append(steps, step{c.at, byHouse, i})
	}
	for i, c := range t.policies {
		steps = append(steps, step{c.at, byPolicy, i})
	}
	end := func(d policy.Decision, since time.Time, next int) {
		until := t.spec.To
		if next < len(versions) {
			until = versions[next].ValidFrom
		}
		if ends(d, since, until) {
			steps = append(steps, step{*d.ValidUntil, byTime, 0})
		}
	}
	if opening != nil {
		end(opening.Decision, t.spec.From, 0)
	}
	for i, v := range versions {
		steps = append(steps, step{v.ValidFrom, byVersion, i})
		end(v.Kept.Decision, v.ValidFrom, i+1)
	}
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.by, b.by)) })
	return steps
}

// stateBefore is the participant's state between two of its changes: as it was
// last, so that it is read once however many people there are.
func (t *tracker) stateBefore(ctx context.Context, change int) (policy.ParticipantState, error) {
	if known := t.states[change]; known != nil {
		return *known, nil
	}
	at := t.closing
	if change < len(t.house) {
		at = t.house[change].at.Add(-time.Microsecond)
	}
	users, err := t.s.store.ListUsersAt(ctx, storage.AsOfQuery{Participant: t.spec.Participant, At: at, Limit: 1})
	if err != nil {
		return policy.ParticipantState{}, err
	}
	if len(users) == 0 { // whoever asks is about somebody who was there
		return policy.ParticipantState{}, fmt.Errorf("nobody is on record at %s", audit.Stamp(at))
	}
	t.states[change] = &users[0].ParticipantState
	return users[0].ParticipantState, nil
}

// compare writes what a step came to: a row for each thing that changed.
func (t *tracker) compare(ctx context.Context, who *lookup, s step, was, is moment) error {
	there := was.u.ID != ""
	had, has := was.access.Status == policy.StatusReleased, is.access.Status == policy.StatusReleased
	left := is.access.Status == policy.StatusRevoked
	n := &t.m.Counts
	var rows [][2]string // class and kind
	joins := func(kind string) {
		n.Joiners++
		rows = append(rows, [2]string{"joiner", kind})
	}
	switch {
	case !there:
		n.PeopleCreated++
		joins(JoinerCreated)
	case was.access.Status == policy.StatusRevoked && !left:
		joins(JoinerReactivated)
	}
	if !had && has {
		n.AccessBegan++
		if was.u.HealthixUsername == "" {
			joins(JoinerReleased)
		} else {
			joins(JoinerReturned)
		}
	}
	if moved := moves(was, is); there && len(moved) > 0 {
		n.Movers++
		rows = append(rows, [2]string{"mover", strings.Join(moved, "+")})
	}
	leaves := there && (had && !has || left && was.access.Status != policy.StatusRevoked)
	if had && !has {
		n.AccessEnded++
	}
	if leaves {
		n.Leavers++
	} else if len(rows) == 0 {
		return nil
	}
	by, documented, err := t.behind(ctx, who, s, was, is)
	if err != nil {
		return err
	}
	if leaves {
		rows = append(rows, [2]string{"leaver", leftBy(s, was, is, documented)})
	}
	for _, row := range rows {
		var request [2]string
		if row[1] == LeaverDeactivated || row[1] == LeaverDeleted {
			if request, err = t.sinceRequest(ctx, who.user, by, s.at); err != nil {
				return err
			}
		}
		if err := t.row(row, s, was, is, by, request); err != nil {
			return err
		}
	}
	return nil
}

// moves names what moved of title, role and permissions. A role that begins or
// ends with access is a joiner's or a leaver's.
func moves(was, is moment) []string {
	var moved []string
	if was.u.Title != is.u.Title {
		moved = append(moved, "title")
	}
	if was.access.Status != policy.StatusReleased || is.access.Status != policy.StatusReleased {
		return moved
	}
	if was.access.Role != is.access.Role {
		moved = append(moved, "role")
	}
	if !slices.Equal(was.access.Permissions, is.access.Permissions) {
		moved = append(moved, "permissions")
	}
	return moved
}

// leftBy says what ended access: the step itself, what the identity provider
// said, or the first gate that closed. documented says whether somebody did
// something to the person, else they were only decided again.
func leftBy(s step, was, is moment, documented bool) string {
	switch s.by {
	case byHouse:
		return LeaverParticipant
	case byPolicy:
		return LeaverPolicy
	case byTime:
		return LeaverExpiry
	case byVersion:
	}
	switch {
	case is.u.Deleted != nil && was.u.Deleted == nil:
		return LeaverDeleted
	case !is.u.Active && was.u.Active:
		return LeaverDeactivated
	case !documented && is.access.PolicyVersion != was.access.PolicyVersion:
		return LeaverPolicy
	}
	for _, g := range is.access.Gates {
		if !g.Open && was.access.Gate(g.Gate).Open {
			return string(g.Gate)
		}
	}
	for _, g := range is.access.ClosedGates() { // one that was not asked for before
		return g
	}
	return string(policy.GateTitle) // a title without access
}

// behind answers the entry behind a step, and whether it or another entry says
// that something was done to the person. When time runs out, it is the entry of
// the decision that said when.
func (t *tracker) behind(ctx context.Context, who *lookup, s step, was, is moment) (audit.Kept, bool, error) {
	switch s.by {
	case byHouse:
		return t.house[s.n].entry, true, nil
	case byPolicy:
		return t.policies[s.n].entry, true, nil
	case byVersion:
		return who.of(ctx, is.digest)
	case byTime:
	}
	e, _, err := who.of(ctx, was.digest)
	e.Actor, e.Action, e.RequestID = audit.Actor{Kind: "clock"}, "", ""
	return e, true, err
}

func (t *tracker) row(row [2]string, s step, was, is moment, by audit.Kept, request [2]string) error {
	u := is.u
	return t.add(
		row[0], row[1], stampOf(&s.at), u.ID, u.UserName, u.GivenName, u.FamilyName, strconv.FormatBool(isErased(u)),
		string(was.access.Status), string(is.access.Status), was.u.Title, u.Title, was.access.Role, is.access.Role,
		strings.Join(was.access.Permissions, " "), strings.Join(is.access.Permissions, " "), strings.Join(is.access.ClosedGates(), " "),
		is.access.Rule, strconv.FormatInt(is.access.PolicyVersion, 10), staffReason(is.access),
		by.Actor.Kind, by.Actor.Name(), by.Actor.Label, by.Action, by.RequestID, by.ID, request[0], request[1],
	)
}
