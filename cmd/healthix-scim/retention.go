package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

const (
	// forgetEvery is how often what is too old is deleted, and at start.
	forgetEvery = 24 * time.Hour
	// forgetRows go at once; deeds wait for them no longer than for one another.
	forgetRows  = 500
	forgetPause = 50 * time.Millisecond
)

// age is how long something is kept, by the calendar.
type age struct{ years, days int }

var ageText = regexp.MustCompile(`^([1-9][0-9]{0,4})([dy])$`)

// parseAge reads 90d or 6y.
func parseAge(text string) (age, error) {
	parts := ageText.FindStringSubmatch(text)
	if parts == nil {
		return age{}, fmt.Errorf("%q is no age; expected days or years, like 90d or 6y", text)
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil {
		return age{}, err
	}
	if parts[2] == "y" {
		return age{years: n}, nil
	}
	return age{days: n}, nil
}

// before is the instant from which on something is kept.
func (a age) before(now time.Time) time.Time { return now.AddDate(-a.years, 0, -a.days) }

// forget deletes from the request log what is older than keep, ends and forgets
// old plans, and forgets old changes of access, day by day.
func (s *server) forget(ctx context.Context, keep age) {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		if n, err := s.forgetRequests(ctx, keep.before(s.house.deeds.Now())); err != nil && ctx.Err() == nil {
			s.log.Error("delete old requests", "error", err)
		} else if n > 0 {
			s.log.Info("old requests deleted", "requests", n)
		}
		if err := s.house.deeds.SweepPlans(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("sweep of old plans", "error", err)
		}
		if err := s.house.deeds.SweepChanges(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("sweep of old changes of access", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// forgetRequests deletes by small batches with pauses between them.
func (s *server) forgetRequests(ctx context.Context, before time.Time) (total int, err error) {
	for {
		n, err := s.house.store.DeleteRequests(ctx, before, forgetRows)
		if total += n; err != nil || n < forgetRows {
			return total, err
		}
		select {
		case <-time.After(forgetPause):
		case <-ctx.Done():
			return total, ctx.Err()
		}
	}
}
