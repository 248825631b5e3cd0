package litmosfake

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Knobs make the fake misbehave as the real one does. The zero value is a
// Litmos in good health without a limit.
type Knobs struct {
	PerMinute  int      `json:"perMinute" help:"requests in any minute; more are answered 503 (Litmos: 100; 0: no limit)"`
	RetryAfter int      `json:"retryAfter" help:"seconds in a Retry-After header of every 503 and 429 (0: no header, as Litmos)"`
	Trouble    float64  `json:"trouble" help:"share of requests, 0 to 1, that meet 503, 504, drop, lost or cut at random"`
	Next       []string `json:"next" help:"what happens to the next requests, comma-separated: ok, 503, 504, 500, 429, 401, drop (cut before it is carried out), lost (carried out, no answer), cut (the answer ends in the middle), garbage (a web page)"`
	Delay      Duration `json:"delay" help:"how long every answer takes"`

	AnyEmail bool     `json:"anyEmail" help:"several records may have one address"`
	NoByName bool     `json:"noByName" help:"GET /users/{id} takes no user name"`
	PageCap  int      `json:"pageCap" help:"rows of a page at most, whatever limit says (0: 1000)"`
	Shuffle  bool     `json:"shuffle" help:"achievements come out of order"`
	Repeat   bool     `json:"repeat" help:"every achievement is listed twice"`
	Deaf     bool     `json:"deaf" help:"achievements ignores userid"`
	Dates    string   `json:"dates" help:"how achievements are dated: wcf for /Date(…)/ (also when empty), iso"`
	Late     Duration `json:"late" help:"an achievement appears in lists this long after its webhook"`

	HookRepeat  int      `json:"hookRepeat" help:"more deliveries of every webhook"`
	HookDelay   Duration `json:"hookDelay" help:"how long every webhook is under way"`
	HookShuffle bool     `json:"hookShuffle" help:"webhooks overtake each other"`
	HookHold    bool     `json:"hookHold" help:"webhooks are held back until POST /_fake/hooks"`
	HookLose    bool     `json:"hookLose" help:"no webhook arrives"`
}

// Duration is written as text: 1.5s, 200ms, 2m.
type Duration time.Duration

// MarshalText writes the duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads a duration; it may not be negative.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil || parsed < 0 {
		return fmt.Errorf("duration %q: want one such as 200ms", text)
	}
	*d = Duration(parsed)
	return nil
}

// fates are what Knobs.Next may hold.
var fates = map[string]bool{
	"ok": true, "503": true, "504": true, "500": true, "429": true, "401": true,
	"drop": true, "lost": true, "cut": true, "garbage": true,
}

// Check says what is wrong with the knobs.
func (k Knobs) Check() error {
	switch {
	case k.PerMinute < 0, k.RetryAfter < 0, k.PageCap < 0, k.HookRepeat < 0:
		return fmt.Errorf("a count is negative")
	case k.Trouble < 0 || k.Trouble > 1:
		return fmt.Errorf("trouble is %v; want 0 to 1", k.Trouble)
	case k.Dates != "" && k.Dates != "wcf" && k.Dates != "iso":
		return fmt.Errorf("dates is %q; want wcf or iso", k.Dates)
	}
	for _, fate := range k.Next {
		if !fates[fate] {
			return fmt.Errorf("next holds %q; see GET /", fate)
		}
	}
	return nil
}

// fate decides over one request, and counts it.
func (f *Fake) fate() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts.Requests++
	now := f.now()
	if f.knobs.PerMinute > 0 {
		for len(f.taken) > 0 && now.Sub(f.taken[0]) >= time.Minute {
			f.taken = f.taken[1:]
		}
		if len(f.taken) >= f.knobs.PerMinute {
			f.counts.Overruns++
			return "503"
		}
		f.taken = append(f.taken, now)
	}
	if len(f.knobs.Next) > 0 {
		next := f.knobs.Next[0]
		f.knobs.Next = f.knobs.Next[1:]
		return next
	}
	if f.random.Float64() < f.knobs.Trouble {
		return []string{"503", "504", "drop", "lost", "cut"}[f.random.IntN(5)]
	}
	return "ok"
}

// spoil lets a request meet its fate. carryOut does what the request asks.
func (f *Fake) spoil(w http.ResponseWriter, r *http.Request, carryOut http.HandlerFunc) {
	f.mu.Lock()
	delay, after := time.Duration(f.knobs.Delay), f.knobs.RetryAfter
	before := time.Duration(0) // a request may wait a while until it is counted
	if delay > 0 {
		before = time.Duration(f.random.Int64N(int64(delay)))
	}
	f.mu.Unlock()
	if !f.pause(r, before) {
		return
	}
	fate := f.fate()
	if !f.pause(r, delay-before) {
		return
	}
	if code, err := strconv.Atoi(fate); err == nil {
		if after > 0 && (code == http.StatusServiceUnavailable || code == http.StatusTooManyRequests) {
			w.Header().Set("Retry-After", strconv.Itoa(after))
		}
		say(w, code, http.StatusText(code))
		return
	}
	switch fate {
	case "drop":
		panic(http.ErrAbortHandler)
	case "garbage":
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html><title>We are improving Litmos for you</title></html>")
		return
	case "ok":
		carryOut(w, r)
		return
	}
	kept := &keptAnswer{header: http.Header{}, code: http.StatusOK}
	carryOut(kept, r)
	if fate == "lost" {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(kept.body.Len()+1))
	w.WriteHeader(kept.code)
	_, _ = w.Write(kept.body.Bytes()[:kept.body.Len()/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// pause waits; false when the caller or the fake has gone meanwhile.
func (f *Fake) pause(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
	case <-f.stop.Done():
	}
	return false
}
