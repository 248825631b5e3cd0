package litmos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Achievement is a completed course or learning path. It counts for the user
// whose stored Litmos id equals LitmosID, and for nobody else.
type Achievement struct {
	ID          string // Litmos's number; "" when it gives none
	LitmosID    string // the learner
	Module      string // the course or learning path
	CompletedAt time.Time
}

// Key is the same whenever Litmos tells of the same achievement.
func (a Achievement) Key() string {
	if a.ID != "" {
		return a.ID
	}
	return a.LitmosID + "/" + a.Module + "/" + strconv.FormatInt(a.CompletedAt.UnixMilli(), 10)
}

// achievement is the wire's; names and scores of people stay there.
type achievement struct {
	ID             text `json:"AchievementId"`
	UserID         text `json:"UserId"`
	CourseID       text `json:"CourseId"`
	LearningPathID text `json:"LearningPathId"`
	Date           text `json:"AchievementDate"`
	Result         text `json:"Result"`
	Type           text `json:"Type"`
}

// words turns a row into an Achievement; false when it does not say clearly
// that somebody completed something at some time.
func (w achievement) words() (Achievement, bool) {
	a := Achievement{ID: string(w.ID), LitmosID: string(w.UserID), Module: string(w.CourseID)}
	if a.Module == "" {
		a.Module = string(w.LearningPathID)
	}
	var dated bool
	a.CompletedAt, dated = parseInstant(string(w.Date))
	ok := dated && isID(a.LitmosID) && isID(a.Module) && len(a.ID) <= 50 && saysCompleted(string(w.Result), string(w.Type))
	return a, ok
}

// saysCompleted reads the two texts that tell how it ended. They may be absent;
// one that we do not know opens no gate.
func saysCompleted(result, kind string) bool {
	switch strings.ToLower(strings.TrimSpace(result)) {
	case "", "complete", "completed", "pass", "passed":
	default:
		return false
	}
	kind = strings.ToLower(strings.TrimSpace(kind))
	return kind == "" || strings.HasSuffix(kind, "completed")
}

const (
	// page is the longest list that Litmos gives at once.
	page = 1000
	// shortest is the page Litmos gives unasked: it keeps no limit below that,
	// whatever it makes of ours.
	shortest = 100
	// mostPages bounds what is read about one learner.
	mostPages = 10
)

// pages calls get with the rows seen so far until there are no more: a page that
// is shorter than Litmos's shortest, or than the one before, is the last.
func pages(get func(start int) (rows int, err error)) error {
	for start, before := 0, 0; ; {
		rows, err := get(start)
		if err != nil || rows < max(shortest, before) {
			return err
		}
		start, before = start+rows, rows
	}
}

func pageQuery(start int) url.Values {
	return url.Values{"start": {strconv.Itoa(start)}, "limit": {strconv.Itoa(page)}}
}

// Achievements tells f of everything completed since an instant (zero: ever),
// one page in memory at a time. The order is Litmos's, and an achievement may
// come twice: when one is earned during the walk, the rest moves on by a place.
// f's error ends the walk; after any error the walk must begin anew from the
// same instant.
func (c *Client) Achievements(ctx context.Context, since time.Time, f func(Achievement) error) error {
	query := url.Values{}
	if !since.IsZero() {
		query.Set("since", since.UTC().Format(time.DateTime))
	}
	err := pages(func(start int) (int, error) {
		rows, found, err := c.achievements(ctx, lanePoll, start, query)
		for i := 0; err == nil && i < len(found); i++ {
			err = f(found[i])
		}
		return rows, err
	})
	if err != nil {
		return fmt.Errorf("achievements since %s: %w", since.UTC().Format(time.RFC3339), err)
	}
	return nil
}

// Completed is everything that one learner completed: the call back that a
// webhook's hint asks for.
func (c *Client) Completed(ctx context.Context, litmosID string) ([]Achievement, error) {
	own, err := c.completed(ctx, litmosID)
	if err != nil {
		return nil, fmt.Errorf("achievements of learner %s: %w", litmosID, err)
	}
	return own, nil
}

func (c *Client) completed(ctx context.Context, litmosID string) ([]Achievement, error) {
	if !isID(litmosID) {
		return nil, ErrNotFound
	}
	var own []Achievement
	seen := map[string]bool{}
	read := 0
	err := pages(func(start int) (int, error) {
		if read++; read > mostPages {
			return 0, errors.New("more pages than one learner can have")
		}
		rows, found, err := c.achievements(ctx, laneConfirm, start, url.Values{"userid": {litmosID}})
		for _, a := range found {
			if a.LitmosID == litmosID && !seen[a.Key()] {
				seen[a.Key()] = true
				own = append(own, a)
			}
		}
		return rows, err
	})
	return own, err
}

// achievements reads one page; rows counts also what says nothing clear.
func (c *Client) achievements(ctx context.Context, l lane, start int, query url.Values) (rows int, found []Achievement, err error) {
	q := pageQuery(start)
	for name, values := range query {
		q[name] = values
	}
	err = c.do(ctx, request{
		lane: l, method: http.MethodGet, path: "/achievements", query: q, bound: boundPage,
		read: readList(&rows, func(w achievement) {
			if a, ok := w.words(); ok {
				found = append(found, a)
			}
		}),
	})
	return rows, found, err
}

// Overlap is how far before its last walk a Poll looks again. It covers
// achievements that Litmos hears of late (offline courses, results entered by
// hand) and a since that Litmos reads in any time zone.
const Overlap = 48 * time.Hour

// Poll walks the achievements again and again, each time from a little before
// the walk that went before, and tells of each one once as far back as Overlap
// reaches. It is for one goroutine.
type Poll struct {
	client *Client
	since  time.Time
	told   map[string]time.Time // by Key: when it was completed
}

// PollFrom begins a Poll at an instant: what Since answered before a restart, or
// zero for all there ever was.
func (c *Client) PollFrom(since time.Time) *Poll {
	return &Poll{client: c, since: since, told: map[string]time.Time{}}
}

// Since is where the next walk begins. It moves only when a walk has ended
// well.
func (p *Poll) Since() time.Time { return p.since }

// Next walks once. What f took without error is not told again, also when the
// walk fails later on.
func (p *Poll) Next(ctx context.Context, f func(Achievement) error) error {
	// Whole seconds, which are what Litmos is asked by: so that Since is the same
	// when it comes back from where the caller kept it.
	next := p.client.now().UTC().Add(-Overlap).Truncate(time.Second)
	if next.Before(p.since) {
		next = p.since
	}
	err := p.client.Achievements(ctx, p.since, func(a Achievement) error {
		key := a.Key()
		if _, told := p.told[key]; told {
			return nil
		}
		if err := f(a); err != nil {
			return err
		}
		// Older ones are not in the next walk, in whatever zone Litmos reads its
		// since: remembering them would cost memory by the length of history.
		if !a.CompletedAt.Before(next.Add(-Overlap)) {
			p.told[key] = a.CompletedAt
		}
		return nil
	})
	if err != nil {
		return err
	}
	p.since = next
	for key, at := range p.told {
		if at.Before(next.Add(-Overlap)) {
			delete(p.told, key)
		}
	}
	return nil
}
