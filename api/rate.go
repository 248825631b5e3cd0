package api

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rate is how many requests a second one participant, client, visitor or person
// may make, with a burst. The zero value is the default, 200/1000.
type Rate struct {
	PerSecond float64
	Burst     int
	Off       bool
}

var defaultRate = Rate{PerSecond: 200, Burst: 1000}

func (r Rate) orDefault() Rate {
	if r == (Rate{}) {
		return defaultRate
	}
	return r
}

// share is one server's part of a rate that n servers hold together: requests
// are spread over them well enough, and none asks another before it answers.
func (r Rate) share(n int) Rate {
	if r.Off || n < 2 {
		return r
	}
	r = r.orDefault()
	return Rate{PerSecond: r.PerSecond / float64(n), Burst: max(1, r.Burst/n)}
}

// ParseRate reads "200/1000", "off", or "" for the default.
func ParseRate(text string) (Rate, error) {
	switch text {
	case "":
		return defaultRate, nil
	case "off":
		return Rate{Off: true}, nil
	}
	perSecond, burst, _ := strings.Cut(text, "/")
	r := Rate{}
	var errRate, errBurst error
	r.PerSecond, errRate = strconv.ParseFloat(perSecond, 64)
	r.Burst, errBurst = strconv.Atoi(burst)
	if errRate != nil || errBurst != nil || !(r.PerSecond > 0) || math.IsInf(r.PerSecond, 0) || r.Burst < 1 {
		return Rate{}, fmt.Errorf(`rate limit %q: expected requests per second/burst, like 200/1000, or "off"`, text)
	}
	return r, nil
}

// forgetAfter is how long an idle key keeps its bucket. Any bucket of a
// sensible rate is full again by then, so forgetting it gives nothing away.
const forgetAfter = 10 * time.Minute

// maxBuckets bounds the keys that one limiter remembers, to some 20 MB. Only
// somebody with as many addresses gets there, and has as many bursts anyway.
const maxBuckets = 100_000

// limiter holds one bucket per key.
type limiter struct {
	now func() time.Time

	mu      sync.Mutex
	buckets map[string]*bucket
	swept   time.Time
}

type bucket struct {
	rate Rate
	left *rate.Limiter
	last time.Time
}

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, buckets: map[string]*bucket{}}
}

// allow takes one request from the key's bucket, or says how long to wait.
func (l *limiter) allow(key string, r Rate) (wait time.Duration, ok bool) {
	if r.Off {
		return 0, true
	}
	r = r.orDefault()
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)
	b := l.buckets[key]
	if b == nil || b.rate != r { // new, or the setting was changed
		l.makeRoom(key)
		b = &bucket{rate: r, left: rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst)}
		l.buckets[key] = b
	}
	b.last = now
	if b.left.AllowN(now, 1) {
		return 0, true
	}
	missing := 1 - b.left.TokensAt(now)
	return time.Duration(missing / r.PerSecond * float64(time.Second)), false
}

// makeRoom forgets any other key when there are too many: to look for the best
// one would cost most while somebody floods.
func (l *limiter) makeRoom(key string) {
	if _, known := l.buckets[key]; known || len(l.buckets) < maxBuckets {
		return
	}
	for other := range l.buckets {
		delete(l.buckets, other)
		return
	}
}

func (l *limiter) sweep(now time.Time) {
	if now.Sub(l.swept) < forgetAfter {
		return
	}
	l.swept = now
	for key, b := range l.buckets {
		if now.Sub(b.last) >= forgetAfter {
			delete(l.buckets, key)
		}
	}
}

// retryAfter writes a wait as a Retry-After header, in whole seconds upward.
func retryAfter(wait time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(wait.Seconds()))))
}
