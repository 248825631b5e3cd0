package litmos

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/connector/litmos/litmosfake"
)

func TestAssignCoursesAndPaths(t *testing.T) {
	s := newStage(t, nil)
	id := s.enrol(june)
	s.sent.requests()
	s.assign(id, privacy, bundle, privacy)
	want := map[string]bool{privacy: false, bundle: false, portal: false, consent: false}
	if got := s.fake.Assigned(id); !maps.Equal(got, want) {
		t.Errorf("assigned %v, want %v", got, want)
	}
	first := s.sent.requests()
	for _, sent := range first {
		if strings.HasPrefix(sent, "POST") && !strings.Contains(sent, "sendmessage=false") {
			t.Errorf("%q mails", sent)
		}
		if strings.Count(sent, privacy+`"`) > 1 {
			t.Errorf("%q names a course twice", sent)
		}
	}
	s.assign(id, privacy, bundle)
	if again := s.sent.requests(); len(again) != 4 || len(first) != 7 {
		t.Errorf("sent %q, then %q; want what a module is to be asked once", first, again)
	}
	s.sent.requests()
	s.assign(id)
	if none := s.sent.requests(); len(none) != 0 {
		t.Errorf("nothing to assign sends %q", none)
	}
}

// Litmos says 201 to what it ignores; we look.
func TestAssignTellsWhatLitmosIgnored(t *testing.T) {
	s := newStage(t, nil)
	id := s.enrol(june)
	s.fake.AddCourse("C-OLD1", "Old")
	s.fake.Retire("C-OLD1")
	for _, module := range []string{"C-TYPO1", "C-OLD1", "no id at all", "../users", ""} {
		err := s.say(s.client.Assign(t.Context(), id, module, privacy))
		if !errors.Is(err, ErrNoModule) || strings.Contains(err.Error(), privacy) {
			t.Errorf("Assign %q = %v, want ErrNoModule about it alone", module, err)
		}
	}
	if got := s.fake.Assigned(id); !maps.Equal(got, map[string]bool{privacy: false}) {
		t.Errorf("assigned %v", got)
	}
	s.fake.Retire(bundle)
	if err := s.client.Assign(t.Context(), id, bundle); !errors.Is(s.say(err), ErrNoModule) {
		t.Errorf("a retired path: %v, want ErrNoModule", err)
	}
	// What was mistyped is there later: nothing wrong is remembered.
	s.fake.AddCourse("C-TYPO1", "No typo any more")
	s.assign(id, "C-TYPO1")
}

func TestAssignToInactiveAndMissingLearners(t *testing.T) {
	s := newStage(t, nil)
	id := s.enrol(june)
	if err := s.say(s.client.Deactivate(t.Context(), id)); err != nil {
		t.Fatal(err)
	}
	if err := s.client.Assign(t.Context(), id, privacy); !errors.Is(s.say(err), ErrNoModule) {
		t.Errorf("to an inactive learner: %v, want ErrNoModule", err)
	}
	s.fake.Remove(id)
	for _, module := range []string{privacy, bundle} {
		if err := s.client.Assign(t.Context(), id, module); !errors.Is(s.say(err), ErrNotFound) {
			t.Errorf("%s to a learner who is gone: %v, want ErrNotFound", module, err)
		}
	}
}

// The assignment of a learner with many courses is found on a later page.
func TestAssignLooksThroughAllPages(t *testing.T) {
	s := newStage(t, nil)
	id := s.enrol(june)
	s.fake.Set(litmosfake.Knobs{PageCap: 100})
	var many []string
	for i := range 130 {
		module := "C-A" + strings.Repeat("x", i%7) + strings.Repeat("y", i/7) + "1"
		s.fake.AddCourse(module, "One of many")
		many = append(many, module)
	}
	s.assign(id, many...)
	s.assign(id, portal) // sorts behind all of them
}

// The yearly refresher: a reset makes the next completion a new achievement.
func TestReset(t *testing.T) {
	for _, module := range []string{privacy, bundle} {
		s := newStage(t, nil)
		id := s.enrol(june)
		s.assign(id, module)
		year := time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)
		s.complete(id, module, year)
		if err := s.say(s.client.Reset(t.Context(), id, module)); err != nil {
			t.Fatal(err)
		}
		for course, complete := range s.fake.Assigned(id) {
			if complete {
				t.Errorf("%s: %s is complete after the reset", module, course)
			}
		}
		s.complete(id, module, year.AddDate(1, 0, -20))
		got, err := s.client.Completed(t.Context(), id)
		if s.say(err) != nil {
			t.Fatal(err)
		}
		times := 0
		for _, a := range got {
			if a.Module == module {
				times++
			}
		}
		if times != 2 {
			t.Errorf("%s: achieved %d times, want 2: %v", module, times, got)
		}
	}
}

func TestResetOfWhatIsNotThere(t *testing.T) {
	s := newStage(t, nil)
	id := s.enrol(june)
	if err := s.client.Reset(t.Context(), id, "C-TYPO1"); !errors.Is(s.say(err), ErrNoModule) {
		t.Errorf("an unknown course: %v, want ErrNoModule", err)
	}
	if err := s.client.Reset(t.Context(), id, privacy); !errors.Is(s.say(err), ErrNotFound) {
		t.Errorf("a course that is not assigned: %v, want ErrNotFound", err)
	}
	if err := s.client.Reset(t.Context(), "..", privacy); !errors.Is(s.say(err), ErrNotFound) {
		t.Errorf("an id that is none: %v, want ErrNotFound", err)
	}
}
