// Package storagetest asks of a store what storage promises. It knows no SQL
// and no engine; what only one engine could answer is not asked here.
package storagetest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// Run asks all of it but jobs and queries of stores that open gives: empty,
// migrated, one per call, closed by whoever opened them.
func Run(t *testing.T, open func(t *testing.T) storage.Store) {
	t.Helper()
	for name, test := range map[string]func(h *house){
		"NodesAreCounted":     nodesAreCounted,
		"Instance":            instanceIsFixed,
		"Participants":        participantsAreKept,
		"Users":               usersAreKept,
		"LetterCase":          letterCase,
		"Times":               timesKeepMicroseconds,
		"Documents":           documentsAsSent,
		"NUL":                 nulIsRefused,
		"DeletedUsers":        deletedUsers,
		"ParticipantState":    participantStateIsJoined,
		"Apart":               participantsAreApart,
		"Conflicts":           conflictsHaveNames,
		"SharedExternalID":    sharedExternalIDs,
		"TwelveCreates":       twelveCreates,
		"Stale":               staleVersions,
		"NothingIsLost":       nothingIsLost,
		"RunsAgain":           runsAgain,
		"RollBack":            rollsBack,
		"Panic":               panicRollsBack,
		"Goexit":              goexitRollsBack,
		"OwnWrites":           ownWritesAreSeen,
		"Clock":               oneClockReading,
		"Cancelled":           cancelledWrites,
		"History":             historyIsStrict,
		"Entries":             entriesAreKept,
		"VersionsHold":        versionsHold,
		"ParticipantsWere":    participantsWere,
		"PoliciesNarrowed":    policiesNarrowed,
		"PopulationsWere":     populationsWere,
		"Events":              eventsAreFound,
		"PersonalValues":      personalValuesGo,
		"Settled":             settledIsSettled,
		"Positions":           positionsAreFound,
		"EmailClaims":         emailClaims,
		"EmailRace":           emailRace,
		"EmailHolders":        emailHolders,
		"Groups":              groupsAreKept,
		"GroupsInParallel":    groupsInParallel,
		"LargeGroup":          largeGroup,
		"Memberships":         memberships,
		"FindMembers":         findMembers,
		"Tokens":              tokensAreKept,
		"Clients":             clientsAreKept,
		"ClientsTokens":       clientsTokensEndWithThem,
		"Assertions":          assertionsAreSpentOnce,
		"Spent":               spentIsForgotten,
		"Warnings":            warningsAreMarkedOnce,
		"Evidence":            evidenceIsKept,
		"Approvals":           approvalsAreKept,
		"Holds":               holdsAreKept,
		"Activations":         activationsAreKept,
		"Policies":            policiesAreGapless,
		"PoliciesInParallel":  policiesInParallel,
		"PoliciesInForce":     policiesInForce,
		"Plans":               plansAreKept,
		"PlansMoveOnce":       plansMoveOnce,
		"PlanPeople":          planPeopleAreKept,
		"Pending":             onePlanIsPending,
		"Narrowing":           narrowingHolds,
		"Effects":             effectsAreKept,
		"EffectsByThousand":   effectsByTheThousand,
		"EffectsMeet":         effectsMeet,
		"EffectsOverMoving":   effectsOverMoving,
		"Titled":              titledPeople,
		"TitledOverMoving":    titledOverMoving,
		"Cases":               casesAreWhole,
		"TitlePeers":          titlePeers,
		"Barrier":             barrierWaits,
		"BarrierPatience":     barrierIsPatient,
		"BarrierUnderLoad":    barrierUnderLoad,
		"WaitingTitles":       waitingTitles,
		"Expired":             expiredUsers,
		"Losses":              lossesAreCounted,
		"LossesResolved":      lossesAreResolved,
		"LossesForgotten":     lossesAreForgotten,
		"BreakerCases":        casesAreKept,
		"ActiveSince":         activeOnes,
		"BreakersLocked":      breakersAreLocked,
		"Requests":            requestsAreKept,
		"RequestsFound":       requestsAreFound,
		"RequestsForgotten":   requestsAreForgotten,
		"Unheard":             unheardAreCounted,
		"LinksVoided":         linksAreVoided,
		"Streamed":            streamIsKept,
		"Learners":            learnersAreKept,
		"LearnersAsked":       learnersAreAskedAbout,
		"LearnersTouched":     learnersAreTouched,
		"Bookmarks":           bookmarksAreKept,
		"Leases":              leasesAreOnes,
		"Changes":             changesAreTold,
		"ChangesLate":         lateChangesAreNotSkipped,
		"ChangesForgotten":    changesAreForgotten,
		"Reminders":           remindersAreMarkedOnce,
		"BookmarksMove":       bookmarksMoveOnce,
		"Reviews":             reviewsAreKept,
		"ReviewItems":         reviewItemsAreKept,
		"ReviewsShared":       reviewsAreShared,
		"ReviewUsersLocked":   reviewUsersAreLocked,
		"ManyReadersAndDeeds": manyReadersAndDeeds,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &house{T: t, Store: open(t)}
			h.participant("mercy")
			h.participant("general")
			test(h)
		})
	}
}

// house is one store under test, with two participants.
type house struct {
	*testing.T
	storage.Store
}

// write runs a deed that must end well.
func (h *house) write(f func(ctx context.Context, tx storage.Tx) error) {
	h.Helper()
	if err := h.Write(h.Context(), f); err != nil {
		h.Fatalf("write: %v", err)
	}
}

func (h *house) participant(id string) {
	h.Helper()
	h.write(func(ctx context.Context, tx storage.Tx) error {
		_, err := tx.PutParticipant(ctx, storage.Participant{
			ID: id, Name: id + " hospital", Type: "standard", Status: "active", Mode: "live", Version: 1,
			Created: tx.Now(), Changed: tx.Now(),
		})
		return err
	})
}

// newID is a fresh id.
func newID() string { return uuid.NewString() }

// person is a user not kept yet.
func person(participant, userName string) storage.User {
	now := time.Now().UTC().Truncate(time.Microsecond)
	return storage.User{
		ID: newID(), Participant: participant, Version: 1, UserName: userName, UserNameKey: storage.UserNameKey(userName),
		Active: true, ClinicalAlerts: "none", Created: now, LastModified: now,
		Document: storage.Document{"userName": userName},
		Fold:     json.RawMessage(fmt.Sprintf(`{"username":%q}`, storage.UserNameKey(userName))),
		Decision: policy.Decision{Status: policy.StatusPending, Permissions: []string{}, DecidedAt: now, PolicyVersion: 1, Gates: []policy.GateState{}, Trace: []policy.Step{}},
	}
}

// keep writes users at their versions.
func (h *house) keep(users ...storage.User) {
	h.Helper()
	h.write(func(ctx context.Context, tx storage.Tx) error {
		for _, u := range users {
			if _, err := tx.PutUser(ctx, u); err != nil {
				return err
			}
		}
		return nil
	})
}

// user reads one back.
func (h *house) user(id string) storage.User {
	h.Helper()
	u, err := h.GetUser(h.Context(), "", id)
	if err != nil {
		h.Fatal(err)
	}
	return u
}

// same compares by JSON, which is how readers see these values.
func (h *house) same(what string, got, want any) {
	h.Helper()
	if g, w := text(got), text(want); g != w {
		h.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// missing wants ErrNotFound.
func (h *house) missing(what string, err error) {
	h.Helper()
	if !errors.Is(err, storage.ErrNotFound) {
		h.Errorf("%s: %v, want ErrNotFound", what, err)
	}
}

// taken wants a ConflictError about an attribute.
func (h *house) taken(what, attribute string, err error) {
	h.Helper()
	var conflict *storage.ConflictError
	if !errors.As(err, &conflict) || conflict.Attribute != attribute {
		h.Errorf("%s: %v, want a conflict about %s", what, err, attribute)
	}
}

// together runs f n times at once and answers the errors.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// entry is a sealed entry about a user.
func entry(h *house, user string, at time.Time, fields ...audit.Field) audit.Entry {
	h.Helper()
	e, err := audit.Seal(audit.Draft{
		ID: newID(), At: at, Participant: "mercy", User: user, Action: "user.changed", Fields: fields,
	}, rand.Reader)
	if err != nil {
		h.Fatal(err)
	}
	return e
}

func instanceIsFixed(h *house) {
	first, err := h.Instance(h.Context())
	if err != nil || first == "" {
		h.Fatalf("instance %q, %v", first, err)
	}
	if again, err := h.Instance(h.Context()); err != nil || again != first {
		h.Errorf("instance %q, then %q, %v", first, again, err)
	}
	if err := h.Ready(h.Context()); err != nil {
		h.Errorf("ready: %v", err)
	}
}

func participantsAreKept(h *house) {
	closed := time.Date(2026, 3, 1, 12, 0, 0, 1000, time.UTC)
	want := storage.Participant{
		ID: "cedar", Name: "Cedar Plan", Type: "health-plan", Status: "suspended", Mode: "observe", Reason: "contract ended",
		Settings: storage.Settings{SSO: true, Profile: "strict", RateLimit: "5/10", SharedExternalID: true, Contacts: []string{"it@cedar.example"}, Breaker: "off"},
		ClosedAt: &closed, Version: 1, Created: closed, Changed: closed,
	}
	put := func(p storage.Participant) (digest audit.Digest, err error) {
		err = h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
			var err error
			digest, err = tx.PutParticipant(ctx, p)
			return err
		})
		return digest, err
	}
	first, err := put(want)
	if err != nil {
		h.Fatal(err)
	}
	got, err := h.GetParticipant(h.Context(), "cedar")
	if err != nil {
		h.Fatal(err)
	}
	h.same("participant", got, want)

	_, err = put(want)
	h.taken("the same id again", "id", err)
	want.Version, want.Status, want.ClosedAt = 2, "active", nil
	second, err := put(want)
	if err != nil {
		h.Fatal(err)
	}
	if first == second {
		h.Error("two versions with one digest")
	}
	if _, err := put(want); !errors.Is(err, storage.ErrStale) {
		h.Errorf("version 2 again: %v, want ErrStale", err)
	}
	h.write(func(ctx context.Context, tx storage.Tx) error {
		locked, err := tx.LockParticipant(ctx, "cedar")
		h.same("locked participant", locked, want)
		return err
	})
	list, err := h.ListParticipants(h.Context())
	if err != nil || len(list) != 3 || list[0].ID != "cedar" || list[1].ID != "general" || list[2].ID != "mercy" {
		h.Errorf("participants %v, %v", list, err)
	}
	_, err = h.GetParticipant(h.Context(), "nobody")
	h.missing("a participant that is not there", err)
}
