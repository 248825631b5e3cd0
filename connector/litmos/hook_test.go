package litmos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/healthix/healthix-scim/connector/litmos/litmosfake"
)

// Litmos's own example, shortened by nothing.
const documented = `{ "id": 4513, "created": "2019-05-06T01:13:19.533", "type": "achievement.earned", "object": "event",
 "data": { "userId": "yj-nr8PhW8o1", "userName": "sample", "courseId": "nAcqwEA8jUo1", "title": "Course Demo", "code": "",
 "achievementDate": "2019-05-06T01:12:35.990", "compliantTilldate": null, "result": "Completed", "type": "Course Completed",
 "firstName": "Sample", "lastName": "User", "achievementId": 368800, "certificateId": "biZrK8ab0LE1" } }`

func TestParseHook(t *testing.T) {
	for body, want := range map[string]string{
		documented:                  "yj-nr8PhW8o1",
		"\xef\xbb\xbf" + documented: "yj-nr8PhW8o1",
		`{"TYPE":"Achievement.Earned","Data":{"UserID":"w8_XWWRCq7S5"}}`:         "w8_XWWRCq7S5",
		`{"type":"achievement.earned","data":{"userId":4513}}`:                   "4513",
		`{"type":"achievement.earned","data":{"userId":"a"},"more":[{"x":[1]}]}`: "a",
	} {
		if got, ok := ParseHook([]byte(body)); got != want || !ok {
			t.Errorf("%s: %q, %v", body, got, ok)
		}
	}
	for _, body := range []string{
		"", "null", "[]", "5", `"achievement.earned"`, "{", documented + "}", "<xml/>",
		`{"type":"session.created","data":{"userId":"a"}}`,
		`{"data":{"userId":"a"}}`,
		`{"type":"achievement.earned"}`,
		`{"type":"achievement.earned","data":null}`,
		`{"type":"achievement.earned","data":"a"}`,
		`{"type":"achievement.earned","data":{"userId":null}}`,
		`{"type":"achievement.earned","data":{"userId":["a"]}}`,
		`{"type":"achievement.earned","data":{"userId":"../users"}}`,
		`{"type":"achievement.earned","data":{"userId":"a&userid=b"}}`,
		`{"type":"achievement.earned","data":{"userId":"` + strings.Repeat("a", 51) + `"}}`,
		`{"type":"achievement.earned","data":{"userId":"a"},"pad":"` + strings.Repeat("x", LongestHook) + `"}`,
	} {
		if got, ok := ParseHook([]byte(body)); ok {
			t.Errorf("%.80s is about %q", body, got)
		}
	}
}

func FuzzParseHook(f *testing.F) {
	f.Add([]byte(documented))
	f.Add([]byte(`{"type":"achievement.earned","data":{"userId":"&lt;"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		id, ok := ParseHook(body)
		if ok && (!isID(id) || !json.Valid([]byte(strings.TrimPrefix(string(body), "\xef\xbb\xbf")))) {
			t.Errorf("%q is taken for a hook about %q", body, id)
		}
	})
}

// A flood of webhooks about a few learners costs one look each, at most twenty
// looks a minute, in the order of their coming.
func TestHintsCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHints(time.Now)
		for i := range 3000 {
			if !h.Add(fmt.Sprintf("user%d", i%50)) {
				t.Fatal("refused")
			}
		}
		begun := time.Now()
		var handed []time.Time
		for i := range 50 {
			id, err := h.Next(t.Context())
			if err != nil || id != fmt.Sprintf("user%d", i) {
				t.Fatalf("hint %d is %q, %v", i, id, err)
			}
			handed = append(handed, time.Now())
		}
		for i := range handed {
			if want := begun.Add(time.Duration(i/20) * time.Minute); !handed[i].Equal(want) {
				t.Errorf("hint %d after %s, want %s", i, handed[i].Sub(begun), want.Sub(begun))
			}
		}
		// Named again after being looked at: looked at again.
		h.Add("user7")
		if id, err := h.Next(t.Context()); id != "user7" || err != nil {
			t.Errorf("%q, %v", id, err)
		}
	})
}

func TestHintsWaitAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // its end proves that no goroutine is left
		h := NewHints(time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		got := make(chan string, 10)
		for range 30 { // more than there are places
			wg.Go(func() {
				for {
					id, err := h.Next(ctx)
					if err != nil {
						if !errors.Is(err, context.Canceled) {
							t.Errorf("Next = %v", err)
						}
						return
					}
					got <- id
				}
			})
		}
		synctest.Wait()
		for _, id := range []string{"a", "b", "c"} {
			h.Add(id)
		}
		synctest.Wait()
		if len(got) != 3 {
			t.Errorf("%d of 3 hints woke somebody", len(got))
		}
		cancel()
		wg.Wait()
		// No place was lost: three are used, seventeen are free.
		for i := range 18 {
			h.Add(fmt.Sprint(i))
		}
		begun := time.Now()
		for range 17 {
			if _, err := h.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if time.Since(begun) != 0 {
			t.Errorf("17 hints took %s", time.Since(begun))
		}
		h.Next(t.Context())
		if time.Since(begun) != time.Minute {
			t.Errorf("the 21st came after %s, want a minute", time.Since(begun))
		}
	})
}

// Two hints may leave one signal between them; who takes the first passes it on,
// or somebody who waits would sleep beside the second.
func TestHintsPassTheSignalOn(t *testing.T) {
	h := NewHints(time.Now)
	h.Add("a")
	h.Add("b")
	<-h.arrived
	if id, ok := h.first(); id != "a" || !ok || len(h.arrived) != 1 {
		t.Fatalf("%q, %v, %d signals; want one for b", id, ok, len(h.arrived))
	}
	<-h.arrived
	if id, ok := h.first(); id != "b" || !ok || len(h.arrived) != 0 {
		t.Errorf("%q, %v, %d signals; want none", id, ok, len(h.arrived))
	}
}

func TestHintsAreBounded(t *testing.T) {
	h := NewHints(time.Now)
	for i := range mostHints {
		if !h.Add(fmt.Sprint(i)) {
			t.Fatalf("hint %d is refused", i)
		}
	}
	if h.Add("one more") {
		t.Error("there is no bound")
	}
	if !h.Add("7") {
		t.Error("who waits already is refused")
	}
	if _, err := h.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !h.Add("one more") {
		t.Error("a free place is refused")
	}
}

// The whole way: webhooks that come twice, late, in any order or before the
// achievement shows, and some not at all; with the poll nothing is missed, and
// nobody's word but Litmos's counts.
func TestHintsAndPollMissNothing(t *testing.T) {
	for name, knobs := range map[string]litmosfake.Knobs{
		"well":                  {},
		"repeated and shuffled": {HookRepeat: 3, HookShuffle: true, Shuffle: true, Repeat: true},
		"late":                  {HookDelay: litmosfake.Duration(100 * time.Millisecond)},
		"before it shows":       {Late: litmosfake.Duration(200 * time.Millisecond)},
		"lost":                  {HookLose: true},
	} {
		t.Run(name, func(t *testing.T) {
			hints := NewHints(time.Now)
			house := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(io.LimitReader(r.Body, LongestHook+1))
				if id, ok := ParseHook(body); ok {
					hints.Add(id)
				}
				w.WriteHeader(http.StatusAccepted)
			}))
			defer house.Close()
			s := newStage(t, func(_ *Options, fo *litmosfake.Options) { fo.Hook, fo.Knobs = house.URL+"/hooks/litmos/hunter2", knobs })
			id := s.enrol(june)
			s.assign(id, privacy, bundle)
			begun := time.Now()

			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var mu sync.Mutex
			told := map[string]string{} // by achievement: module
			var looks int
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					learner, err := hints.Next(ctx)
					if err != nil {
						return
					}
					got, err := s.client.Completed(ctx, learner)
					s.say(err)
					mu.Lock()
					looks++
					for _, a := range got {
						told[a.Key()] = a.Module
					}
					mu.Unlock()
				}
			}()
			hints.Add("forged1") // anybody may call: a look, and nothing comes of it
			s.complete(id, privacy, time.Time{})
			s.complete(id, bundle, time.Time{})
			poll := s.client.PollFrom(begun.Add(-time.Hour))
			for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
				mu.Lock()
				err := poll.Next(ctx, func(a Achievement) error { told[a.Key()] = a.Module; return nil })
				n := len(told)
				mu.Unlock()
				s.say(err)
				if n == 4 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("told %v", told)
				}
			}
			cancel()
			<-done
			if looks > hintsPerMinute {
				t.Errorf("%d looks", looks)
			}
		})
	}
}
