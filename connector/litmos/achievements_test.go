package litmos

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/connector/litmos/litmosfake"
)

var march = time.Date(2026, 3, 2, 15, 4, 5, 678_000_000, time.UTC)

func TestAchievementIsInOurWords(t *testing.T) {
	for _, dates := range []string{"wcf", "iso"} {
		s := newStage(t, nil)
		s.fake.Set(litmosfake.Knobs{Dates: dates})
		id := s.enrol(june)
		s.assign(id, bundle)
		s.complete(id, bundle, march)
		got := s.all(time.Time{})
		for i := range got {
			if got[i].ID == "" {
				t.Errorf("%s: no number: %+v", dates, got[i])
			}
			got[i].ID = ""
		}
		slices.SortFunc(got, func(a, b Achievement) int { return strings.Compare(a.Module, b.Module) })
		want := []Achievement{{"", id, consent, march}, {"", id, portal, march}, {"", id, bundle, march}}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %+v, want %+v", dates, got, want)
		}
	}
}

// history gives a learner n achievements, a minute apart, ending at an instant.
func (s *stage) history(n int, end time.Time) (id string) {
	s.t.Helper()
	id = s.enrol(june)
	var many []string
	for i := range n {
		module := fmt.Sprintf("C-%05d", i)
		s.fake.AddCourse(module, "One of many")
		many = append(many, module)
	}
	s.assign(id, many...)
	for i, module := range many {
		s.complete(id, module, end.Add(time.Duration(i-n)*time.Minute))
	}
	return id
}

func TestAchievementsPageByPage(t *testing.T) {
	s := newStage(t, nil)
	s.history(2345, march)
	for name, tc := range map[string]struct {
		knobs    litmosfake.Knobs
		times    int // each is told
		requests int
	}{
		"plain":                     {litmosfake.Knobs{}, 1, 3},
		"pages shorter than limit":  {litmosfake.Knobs{PageCap: 500}, 1, 5},
		"pages that divide it":      {litmosfake.Knobs{PageCap: 469}, 1, 6},
		"out of order and repeated": {litmosfake.Knobs{Shuffle: true, Repeat: true}, 2, 5},
	} {
		s.fake.Set(tc.knobs)
		s.sent.requests()
		times := map[string]int{}
		for _, a := range s.all(time.Time{}) {
			times[a.Module]++
		}
		if len(times) != 2345 {
			t.Errorf("%s: %d modules", name, len(times))
		}
		for module, n := range times {
			if n != tc.times {
				t.Errorf("%s: %s told %d times", name, module, n)
				break
			}
		}
		if got := s.sent.requests(); len(got) != tc.requests {
			t.Errorf("%s: %d requests, want %d", name, len(got), tc.requests)
		}
	}
}

func TestAchievementsSince(t *testing.T) {
	s := newStage(t, nil)
	s.history(10, march)
	east := time.FixedZone("", 5*60*60)
	if got := s.all(march.Truncate(time.Second).Add(-3 * time.Minute).In(east)); len(got) != 3 {
		t.Errorf("%d since three minutes before the end", len(got))
	}
	if sent := s.sent.requests(); !strings.Contains(sent[len(sent)-1], "since=2026-03-02%2015%3A01%3A05") {
		t.Errorf("sent %q", sent[len(sent)-1])
	}
}

// A walk that ends early says so.
func TestAchievementsStop(t *testing.T) {
	s := newStage(t, nil)
	s.history(1500, march)
	stop := errors.New("the store is away")
	n := 0
	err := s.client.Achievements(t.Context(), time.Time{}, func(Achievement) error {
		if n++; n == 5 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || n != 5 {
		t.Errorf("%d told, %v", n, err)
	}
	s.fake.Set(litmosfake.Knobs{Next: []string{"ok", "cut"}})
	n = 0
	err = s.client.Achievements(t.Context(), time.Time{}, func(Achievement) error { n++; return nil })
	if !errors.Is(s.say(err), ErrBusy) || n != 1000 {
		t.Errorf("%d told, %v; want the first page and ErrBusy", n, err)
	}
}

// What does not say clearly that somebody completed something is not told, and
// keeps nothing else from being told.
func TestUnclearAchievements(t *testing.T) {
	row := func(change string) string {
		fields := map[string]string{
			"UserId": `"abc1"`, "CourseId": `"C1"`, "AchievementDate": `"/Date(1772463845678)/"`,
			"Result": `"Completed"`, "Type": `"Course Completed"`, "AchievementId": `7`,
		}
		name, value, _ := strings.Cut(change, "=")
		if fields[name] = value; value == "" {
			delete(fields, name)
		}
		var parts []string
		for name, value := range fields {
			if name != "" {
				parts = append(parts, fmt.Sprintf("%q:%s", name, value))
			}
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	rows := map[string]bool{
		row(""): true, row("Result="): true, row(`Result="PASSED"`): true, row("Type=null"): true,
		row(`Type="Learning Path Completed"`): true, row(`AchievementId="x7"`): true, row("AchievementId="): true,
		row(`Result="Failed"`): false, row(`Result="Not Completed"`): false, row(`Type="Certificate Expired"`): false,
		row("UserId="): false, row("CourseId="): false, row("CourseId=5"): true, row(`UserId=["abc1"]`): false,
		row(`UserId="a/../b"`): false, row("AchievementDate="): false, row(`AchievementDate="soon"`): false,
		row(`AchievementDate="/Date(-62135596800000)/"`): false, row(`AchievementDate="2026-03-02T15:04:05.678"`): true,
		`{"UserId":"abc1","CourseId":null,"LearningPathId":"LP1","AchievementDate":"2026-03-02T15:04:05Z"}`: true,
		"null": false, "5": false, "[]": false, `"text"`: false, "{}": false,
	}
	for text, told := range rows {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "\xef\xbb\xbf["+text+","+row("CourseId=\"C2\"")+"]")
		})
		var got []string
		err := c.Achievements(t.Context(), time.Time{}, func(a Achievement) error {
			got = append(got, a.Module)
			return nil
		})
		want := 1
		if told {
			want = 2
		}
		if err != nil || len(got) != want || got[len(got)-1] != "C2" {
			t.Errorf("%s: told %v, %v; want it told: %v", text, got, err, told)
		}
	}
}

// Achievements count for the stored id only, whatever Litmos lists.
func TestCompletedIsOneLearners(t *testing.T) {
	for _, knobs := range []litmosfake.Knobs{{}, {Deaf: true, Repeat: true, Shuffle: true}} {
		s := newStage(t, nil)
		a, b := s.enrol(june), s.enrol(omar)
		s.assign(a, privacy, portal)
		s.assign(b, privacy)
		s.complete(a, privacy, march)
		s.complete(b, privacy, march)
		s.fake.Set(knobs)
		got, err := s.client.Completed(t.Context(), a)
		if s.say(err) != nil || len(got) != 1 || got[0].LitmosID != a || got[0].Module != privacy {
			t.Errorf("%+v: %v, %v", knobs, got, err)
		}
		if none, err := s.client.Completed(t.Context(), "nobody1"); s.say(err) != nil || len(none) != 0 {
			t.Errorf("nobody completed %v, %v", none, err)
		}
		if _, err := s.client.Completed(t.Context(), "a&b"); !errors.Is(err, ErrNotFound) {
			t.Errorf("an id that is none: %v", err)
		}
	}
}

// A Litmos that hears no userid is not read to its end.
func TestCompletedIsBounded(t *testing.T) {
	s := newStage(t, nil)
	s.history(1100, march)
	s.fake.Set(litmosfake.Knobs{Deaf: true, PageCap: 100})
	s.sent.requests()
	if _, err := s.client.Completed(t.Context(), "nobody1"); s.say(err) == nil || errors.Is(err, ErrRefused) {
		t.Errorf("Completed = %v", err)
	}
	if sent := s.sent.requests(); len(sent) != mostPages {
		t.Errorf("%d requests", len(sent))
	}
}

// clock is a hand that a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func TestPollTellsOnce(t *testing.T) {
	hand := &clock{at: march}
	s := newStage(t, func(o *Options, fo *litmosfake.Options) { o.Now, fo.Now = hand.now, hand.now })
	id := s.enrol(june)
	s.assign(id, privacy, portal, consent)
	poll := s.client.PollFrom(march.Add(-time.Hour))
	next := func() (modules []string) {
		t.Helper()
		err := poll.Next(t.Context(), func(a Achievement) error {
			modules = append(modules, a.Module)
			return nil
		})
		if s.say(err) != nil {
			t.Fatal(err)
		}
		return modules
	}
	if got := next(); len(got) != 0 || !poll.Since().Equal(march.Add(-time.Hour)) {
		t.Fatalf("%v, since %s", got, poll.Since())
	}
	s.complete(id, privacy, hand.at.Add(-time.Minute))
	s.fake.Set(litmosfake.Knobs{Repeat: true, Shuffle: true})
	if got := next(); !slices.Equal(got, []string{privacy}) {
		t.Errorf("told %v", got)
	}
	if got := next(); len(got) != 0 {
		t.Errorf("told again %v", got)
	}
	// Three days on, an achievement that Litmos heard of late.
	hand.at = hand.at.Add(72 * time.Hour)
	next()
	if want := hand.at.Add(-Overlap).Truncate(time.Second); !poll.Since().Equal(want) {
		t.Errorf("since %s, want %s", poll.Since(), want)
	}
	s.complete(id, portal, hand.at.Add(-Overlap+time.Minute))
	if got := next(); !slices.Equal(got, []string{portal}) {
		t.Errorf("told %v", got)
	}
	// What the store could not take is told again; what it took is not.
	s.complete(id, consent, hand.at)
	if err := poll.Next(t.Context(), func(Achievement) error { return errors.New("away") }); err == nil {
		t.Error("the store's error is lost")
	}
	if got := next(); !slices.Equal(got, []string{consent}) {
		t.Errorf("told %v", got)
	}
	// A restart begins where the last walk did, and tells the overlap once more.
	poll = s.client.PollFrom(poll.Since())
	if got := next(); len(got) != 2 {
		t.Errorf("told %v after a restart", got)
	}
}

// A walk that failed moves nothing, and memory follows the overlap, not history.
func TestPollMovesOnlyWhenItEndedWell(t *testing.T) {
	hand := &clock{at: march}
	s := newStage(t, func(o *Options, fo *litmosfake.Options) { o.Now, fo.Now = hand.now, hand.now })
	s.history(1200, march.AddDate(0, 0, -10))
	poll := s.client.PollFrom(time.Time{})
	s.fake.Set(litmosfake.Knobs{Next: []string{"ok", "504"}})
	told := 0
	count := func(Achievement) error { told++; return nil }
	if err := poll.Next(t.Context(), count); !errors.Is(s.say(err), ErrBusy) || !poll.Since().IsZero() {
		t.Fatalf("%v, since %s", err, poll.Since())
	}
	if err := s.say(poll.Next(t.Context(), count)); err != nil || told != 2200 {
		t.Errorf("%v, %d told; want the failed page's and then all", err, told)
	}
	if len(poll.told) != 0 {
		t.Errorf("%d old achievements are remembered", len(poll.told))
	}
}
