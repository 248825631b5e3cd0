package main

import (
	"context"
	"time"
)

const (
	// renewEvery is how often the server looks at what participants have to
	// renew: tokens and clients that end.
	renewEvery = 10 * time.Minute
	// endedLately is how long ago a participant's last credential may have ended
	// for its gauge to say so.
	endedLately = 30 * 24 * time.Hour
)

// renewals warns participants of tokens and clients that end, measures them, and
// forgets short-lived tokens that ended.
func (s *server) renewals(ctx context.Context) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		deeds := s.house.deeds
		if n, err := deeds.WarnExpiring(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("warnings about tokens that end", "error", err)
		} else if n > 0 {
			s.log.Info("warnings about tokens that end are promised", "tokens", n)
		}
		if all, err := s.house.store.ListCredentials(ctx, deeds.Now().Add(-endedLately)); err == nil {
			s.metrics.Expiries(all, deeds.Now())
		} else if ctx.Err() == nil {
			s.log.Warn("measure tokens that end", "error", err)
		}
		if _, err := deeds.SweepClients(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("sweep of clients' tokens", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
