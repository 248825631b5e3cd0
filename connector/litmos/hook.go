package litmos

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"
)

// LongestHook is how many bytes of a webhook are worth reading.
const LongestHook = 64 << 10

// ParseHook reads which learner a webhook is about. It is a hint and no more:
// webhooks are unsigned, and only Completed tells what is true. Not ok is
// whatever is not an earned achievement.
func ParseHook(body []byte) (litmosUserID string, ok bool) {
	if len(body) > LongestHook {
		return "", false
	}
	var event struct {
		Type text
		Data struct{ UserID text }
	}
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if json.Unmarshal(body, &event) != nil || !strings.EqualFold(string(event.Type), "achievement.earned") {
		return "", false
	}
	id := string(event.Data.UserID)
	return id, isID(id)
}

// mostHints is how many learners can wait for a confirmation. Beyond that
// polling finds what they completed.
const mostHints = 10_000

// hintsPerMinute is how many confirmations webhooks may cause.
const hintsPerMinute = 20

// Hints holds the learners whom webhooks named until somebody looks at them:
// one place per learner, in the order of their coming, at most 20 handed out in
// any minute. Its methods may be called from several goroutines; it starts none.
type Hints struct {
	now    func() time.Time
	places *window

	mu      sync.Mutex
	waiting map[string]bool
	queue   []string
	arrived chan struct{} // holds one signal while the queue is not empty
}

// NewHints makes an empty one; now is the clock.
func NewHints(now func() time.Time) *Hints {
	return &Hints{now: now, places: newWindow(hintsPerMinute), waiting: map[string]bool{}, arrived: make(chan struct{}, 1)}
}

// Add notes a learner; false when there are too many, and polling must do.
func (h *Hints) Add(litmosUserID string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.waiting[litmosUserID]:
		return true
	case len(h.queue) == mostHints:
		return false
	}
	h.waiting[litmosUserID] = true
	h.queue = append(h.queue, litmosUserID)
	h.signal()
	return true
}

// Next waits for a learner to look at. Who is named again after that gets a new
// place. Its only errors are the context's and an ErrBusy in their stead when
// the minute is used up until after the deadline.
func (h *Hints) Next(ctx context.Context) (litmosUserID string, err error) {
	if err := h.places.take(ctx, h.now, func() time.Time { return time.Time{} }); err != nil {
		return "", err
	}
	for {
		if id, ok := h.first(); ok {
			h.places.give(h.now().Add(time.Minute))
			return id, nil
		}
		select {
		case <-h.arrived:
		case <-ctx.Done():
			h.places.give(time.Time{})
			return "", ctx.Err()
		}
	}
}

func (h *Hints) first() (string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queue) == 0 {
		return "", false
	}
	id := h.queue[0]
	h.queue = h.queue[1:]
	delete(h.waiting, id)
	if len(h.queue) > 0 {
		h.signal()
	}
	return id, true
}

// signal wakes one that waits; the lock is held.
func (h *Hints) signal() {
	select {
	case h.arrived <- struct{}{}:
	default:
	}
}
