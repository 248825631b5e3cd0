package lifecycle_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// TestBreakerWalk does what providers and operators do at random, and counts
// everything a second time the slow way: from the whole history of who was
// active when, and who lost what.
func TestBreakerWalk(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		w := &breakerWalk{house: newHouse(t), limits: [4]int{2, 40, 50, 30}}
		if _, err := w.ChangeParticipant(w.ctx, dana, "mercy", func(p *storage.Participant) error {
			p.Settings.Breaker = "2/40/50/30"
			return nil
		}); err != nil {
			r.Fatal(err)
		}
		for range 7 {
			w.create(r)
		}
		r.Repeat(map[string]func(*rapid.T){
			"create": w.create,
			"leave":  func(r *rapid.T) { w.write(r, set("active", false)) },
			"back":   func(r *rapid.T) { w.write(r, set("active", true)) },
			"title":  func(r *rapid.T) { w.write(r, set("title", orNil(rapid.SampledFrom(walkTitles).Draw(r, "title")))) },
			"mobile": func(r *rapid.T) { w.write(r, set("phoneNumbers", nil)) },
			"name": func(r *rapid.T) {
				w.write(r, set("displayName", rapid.SampledFrom([]string{"A", "B", "C"}).Draw(r, "name")))
			},
			"delete":  w.remove,
			"hand":    w.hand,
			"hold":    w.hold,
			"close":   w.openOrClose,
			"train":   w.trainAll,
			"accept":  w.accept,
			"restore": w.restoreAll,
			"minutes": func(r *rapid.T) { w.clock.pass(time.Duration(rapid.IntRange(1, 5).Draw(r, "n")) * 131 * time.Second) },
			"hours":   func(r *rapid.T) { w.clock.pass(time.Duration(rapid.IntRange(1, 9).Draw(r, "n")) * 4217 * time.Second) },
			"sweep": func(r *rapid.T) {
				if _, err := w.Sweep(w.ctx); err != nil {
					r.Fatal(err)
				}
			},
			"": w.look,
		})
		w.checked(r)
	})
}

// spell is a time during which somebody was active; until is zero while it lasts.
type spell struct {
	who         string
	since, till time.Time
}

type slip struct {
	who string
	at  time.Time
}

type breakerWalk struct {
	*house
	limits [4]int
	made   int
	people []string // not deleted
	spells []spell
	slips  []slip // that no case holds
	staged []string
	isOpen bool
	shut   bool // the participant is suspended
}

func (w *breakerWalk) somebody(r *rapid.T) storage.User {
	if len(w.people) == 0 {
		r.Skip("nobody")
	}
	return w.get(rapid.SampledFrom(w.people).Draw(r, "who"))
}

func (w *breakerWalk) create(r *rapid.T) {
	if len(w.people) > 11 {
		r.Skip("enough")
	}
	w.made++
	active := rapid.IntRange(0, 4).Draw(r, "active") > 0
	u, err := w.CreateUser(w.ctx, mercy, person(fmt.Sprintf("p%d", w.made), "Registered Nurse", set("active", active)))
	if err != nil {
		r.Fatal(err)
	}
	w.people = append(w.people, u.ID)
	if active {
		w.begin(u.ID)
	}
	if w.made%3 == 0 { // the others wait for training, and have active to lose
		w.trainUser(u)
	}
}

func (w *breakerWalk) trainUser(u storage.User) {
	if w.get(u.ID).Active {
		w.train(u)
	}
}

func (w *breakerWalk) trainAll(*rapid.T) {
	for _, id := range w.people {
		w.trainUser(w.get(id))
	}
}

func (w *breakerWalk) begin(id string) {
	w.spells = append(w.spells, spell{who: id, since: w.Now()})
}

func (w *breakerWalk) end(id string) {
	for i := range w.spells {
		if w.spells[i].who == id && w.spells[i].till.IsZero() {
			w.spells[i].till = w.Now()
		}
	}
}

// write is a provider's write; what it took is worked out from before and after.
func (w *breakerWalk) write(r *rapid.T, edit func(storage.Document)) {
	was := w.somebody(r)
	had := w.released(was)
	is, err := w.tryChange(mercy, was.ID, edit)
	if err != nil {
		r.Fatal(err)
	}
	switch {
	case was.Active && !is.Active:
		w.end(is.ID)
		w.slip(is.ID)
	case !was.Active && is.Active:
		w.begin(is.ID)
	case had && !w.released(is):
		w.slip(is.ID)
	}
}

// released says whether somebody has access, or has it when their participant
// opens.
func (w *breakerWalk) released(u storage.User) bool {
	u.ParticipantState.Status = "active"
	return u.Access(w.Now()).Status == policy.StatusReleased
}

func (w *breakerWalk) remove(r *rapid.T) {
	u := w.somebody(r)
	if err := w.DeleteUser(w.ctx, mercy, u.ID, nil); err != nil {
		r.Fatal(err)
	}
	w.people = slices.DeleteFunc(w.people, func(id string) bool { return id == u.ID })
	if u.Active {
		w.end(u.ID)
		w.slip(u.ID)
	}
}

func (w *breakerWalk) hand(r *rapid.T) {
	u := w.somebody(r)
	w.byHand(u.ID)
	w.end(u.ID)
}

func (w *breakerWalk) hold(r *rapid.T) {
	if _, err := w.Hold(w.ctx, dana, w.somebody(r).ID, "why"); err != nil {
		r.Fatal(err)
	}
}

func (w *breakerWalk) openOrClose(r *rapid.T) {
	var err error
	if w.shut = !w.shut; w.shut {
		_, err = w.SuspendParticipant(w.ctx, dana, "mercy", "why")
	} else {
		_, err = w.ResumeParticipant(w.ctx, dana, "mercy")
	}
	if err != nil {
		r.Fatal(err)
	}
}

// slip counts a loss the slow way.
func (w *breakerWalk) slip(who string) {
	if w.isOpen {
		w.staged = append(w.staged, who)
		return
	}
	now := w.Now()
	w.slips = append(w.slips, slip{who, now})
	for _, rule := range []struct {
		window      time.Duration
		more, share int
	}{{10 * time.Minute, w.limits[0] + 1, w.limits[1]}, {10 * time.Minute, 5, w.limits[2]}, {24 * time.Hour, 5, w.limits[3]}} {
		since := now.Add(-rule.window)
		lost, base := map[string]bool{}, map[string]bool{}
		for _, s := range w.slips {
			if s.at.After(since) {
				lost[s.who] = true
			}
		}
		for _, s := range w.spells {
			if s.till.IsZero() || s.till.After(since) {
				base[s.who] = true
			}
		}
		if len(lost) < rule.more || float64(len(lost)) <= float64(rule.share)/100*float64(len(base)) {
			continue
		}
		w.isOpen = true
		c := w.tripped(len(lost), len(base), fmt.Sprintf("more than %d %% within %.0f", rule.share, windowText(rule.window)))
		if !strings.HasSuffix(c.Threshold, map[bool]string{true: "minutes", false: "hours"}[rule.window < time.Hour]) {
			w.t.Fatalf("threshold %q", c.Threshold)
		}
		for _, s := range w.slips {
			if s.at.After(since) {
				w.staged = append(w.staged, s.who)
			}
		}
		w.slips = slices.DeleteFunc(w.slips, func(s slip) bool { return s.at.After(since) })
		return
	}
}

func windowText(d time.Duration) float64 {
	if d < time.Hour {
		return d.Minutes()
	}
	return d.Hours()
}

func (w *breakerWalk) accept(r *rapid.T) {
	_, err := w.AcceptLosses(w.ctx, dana, "mercy")
	tolerate(r, err)
	if (err == nil) != w.isOpen {
		r.Fatalf("accept: %v, open: %v", err, w.isOpen)
	}
	w.isOpen, w.staged = false, nil
}

func (w *breakerWalk) restoreAll(r *rapid.T) {
	if !w.isOpen {
		r.Skip("nothing to restore")
	}
	was := map[string]bool{}
	for _, id := range w.people {
		was[id] = w.get(id).Active
	}
	got, err := w.Restore(w.ctx, dana, lifecycle.RestoreSpec{Participant: "mercy"}, nil)
	if err != nil {
		r.Fatal(err)
	}
	listed := map[string]bool{}
	for _, l := range got.Listed {
		listed[l.ID] = true
	}
	people := slices.Compact(slices.Sorted(slices.Values(w.staged)))
	if got.Restored+len(listed) != len(people) {
		r.Fatalf("restored %d and listed %d of %d", got.Restored, len(listed), len(people))
	}
	for _, id := range people {
		u, err := w.store.GetUser(w.ctx, "", id)
		switch {
		case listed[id]:
		case err != nil || !u.Active:
			r.Fatalf("%s was restored: %+v, %v", id, u.Active, err)
		case !was[id]:
			w.begin(id)
			if !slices.Contains(w.people, id) {
				w.people = append(w.people, id)
			}
		}
		if listed[id] && err != nil && !errors.Is(err, storage.ErrNotFound) {
			r.Fatal(err)
		}
	}
	w.isOpen, w.staged = false, nil
}

// look holds the case against what was counted.
func (w *breakerWalk) look(r *rapid.T) {
	c := w.open()
	if (c != nil) != w.isOpen {
		r.Fatalf("a case is open: %v, want %v (%d losses)", c != nil, w.isOpen, len(w.slips))
	}
	if c == nil {
		return
	}
	n, err := w.store.TallyCase(w.ctx, c.ID)
	if err != nil {
		r.Fatal(err)
	}
	if people := slices.Compact(slices.Sorted(slices.Values(w.staged))); n.Staged != len(people) {
		r.Fatalf("%d are staged, want %d", n.Staged, len(people))
	}
}
