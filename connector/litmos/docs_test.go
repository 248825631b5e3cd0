package litmos

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func document(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/litmos.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The table of docs/litmos.md is what goes out.
func TestDocumentListsTheRequests(t *testing.T) {
	_, rest, found := strings.Cut(document(t), "| When | Method | Requests |\n|---|---|---|\n")
	table, _, _ := strings.Cut(rest, "\n\n")
	if !found {
		t.Fatal("docs/litmos.md has no table of requests")
	}
	documented := map[string][]string{}
	row := regexp.MustCompile("^\\| [^|]+ \\| `([^`]+)`( [a-z]+)? \\| (.+) \\|$")
	code := regexp.MustCompile("`([^`]+)`")
	for _, line := range strings.Split(table, "\n") {
		m := row.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("this row is no occasion, method, requests: %s", line)
		}
		for _, request := range code.FindAllStringSubmatch(m[3], -1) {
			documented[m[1]+m[2]] = append(documented[m[1]+m[2]], request[1])
		}
	}

	s := newStage(t, nil)
	real := map[string][]string{}
	note := func(name string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		real[name] = s.fake.Calls()
	}
	ctx := t.Context()
	id, err := s.client.Enrol(ctx, june)
	note("Enrol", err)
	_, err = s.client.Enrol(ctx, june)
	note("Enrol again", err)
	changed := june
	changed.GivenName = "Juno"
	_, err = s.client.Enrol(ctx, changed)
	note("Enrol changed", err)
	note("Assign courses", s.client.Assign(ctx, id, privacy))
	note("Assign path", s.client.Assign(ctx, id, bundle))
	s.complete(id, privacy, time.Now())
	s.complete(id, bundle, time.Now())
	note("Poll.Next", s.client.PollFrom(time.Time{}).Next(ctx, func(Achievement) error { return nil }))
	_, err = s.client.Completed(ctx, id)
	note("Completed", err)
	_, err = s.client.Find(ctx, juneID)
	note("Find", err)
	note("Deactivate", s.client.Deactivate(ctx, id))
	note("Reactivate", s.client.Reactivate(ctx, id))
	note("Reset course", s.client.Reset(ctx, id, privacy))
	note("Reset path", s.client.Reset(ctx, id, bundle))
	// Two courses of the path are two resets of one kind.
	real["Reset path"] = slices.Compact(real["Reset path"])

	for name := range documented {
		if _, has := real[name]; !has {
			t.Errorf("%s is documented and not tried", name)
		}
	}
	for name, requests := range real {
		if !slices.Equal(requests, documented[name]) {
			t.Errorf("%s sends %q, documented are %q", name, requests, documented[name])
		}
	}
}

// The figures and errors in docs/litmos.md are the code's.
func TestDocumentHasTheFigures(t *testing.T) {
	text := strings.Join(strings.Fields(document(t)), " ")
	b := newBudget(perMinute, time.Now)
	for _, sentence := range []string{
		fmt.Sprintf("%d requests a minute for a key", perMinute),
		fmt.Sprintf("%d for polling, %d for confirmations, %d for everything else", cap(b.lanes[lanePoll].free), cap(b.lanes[laneConfirm].free), cap(b.lanes[laneWrite].free)),
		fmt.Sprintf("never sees more than %d", perMinute),
		fmt.Sprintf("reads again from %.0f hours", Overlap.Hours()),
		fmt.Sprintf("Lists of %d and more may take further pages of up to %d", shortest, page),
		fmt.Sprintf("silences all calls, %.0f minutes at most", longestRetryAfter.Minutes()),
		"| `ErrBusy` |", "| `ErrOthers` |", "| `ErrNoModule` |", "| `ErrNotFound` |", "| `ErrRefused` |", "| `ErrKey` |",
	} {
		if !strings.Contains(text, sentence) {
			t.Errorf("docs/litmos.md does not say %q", sentence)
		}
	}
}
