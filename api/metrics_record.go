package api

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/healthix/healthix-scim/lifecycle"
)

// recordGauges tell how the record reaches the outside; what is not set up, or
// did not happen yet, is absent.
type recordGauges struct {
	once, first, streams, log sync.Once

	age, pending, failed, halted prometheus.Gauge
	lag, streamFailed            prometheus.Gauge
	unplaced                     prometheus.Gauge
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

// Checkpoints says how things stand with the checkpoints that leave the machine.
func (m *Metrics) Checkpoints(state lifecycle.OffsiteState, now time.Time) {
	g := &m.record
	g.once.Do(func() {
		g.pending = gauge("healthix_checkpoint_pending", "1 while a checkpoint is signed that did not leave this machine.")
		g.failed = gauge("healthix_checkpoint_failures", "Tries of this server to take a checkpoint away, or to read one back, that went wrong since it started.")
		g.halted = gauge("healthix_log_gap", "1 while the log does not continue the last checkpoint that left: nothing is changed until somebody recovers.")
		m.registry.MustRegister(g.pending, g.failed, g.halted)
	})
	g.pending.Set(one(state.Pending))
	g.failed.Set(float64(state.Failed))
	g.halted.Set(one(state.Gap))
	if state.Sent.Year() < 2000 { // never, or since a recovery not again
		return
	}
	g.first.Do(func() {
		g.age = gauge("healthix_checkpoint_age_seconds", "How long ago a checkpoint left this machine last, by any server; absent before the first.")
		m.registry.MustRegister(g.age)
	})
	g.age.Set(now.Sub(state.Sent).Seconds())
}

// Unplaced says how many entries wait for their position in the log: hardly any,
// but where a server will not build upon a log that was altered.
func (m *Metrics) Unplaced(entries int) {
	g := &m.record
	g.log.Do(func() {
		g.unplaced = gauge("healthix_log_unplaced_entries", "Entries that have no position in the log yet, and so no checkpoint over them; 100000 stands for more.")
		m.registry.MustRegister(g.unplaced)
	})
	g.unplaced.Set(float64(entries))
}

// Stream says how things stand with the stream of entries to the outside.
func (m *Metrics) Stream(state lifecycle.StreamState) {
	g := &m.record
	g.streams.Do(func() {
		g.lag = gauge("healthix_stream_lag_entries", "Entries of the log that the stream has not taken to the outside.")
		g.streamFailed = gauge("healthix_stream_failures", "Tries of this server to send entries that went wrong since it started.")
		m.registry.MustRegister(g.lag, g.streamFailed)
	})
	g.lag.Set(float64(state.Lag))
	g.streamFailed.Set(float64(state.Failed))
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
