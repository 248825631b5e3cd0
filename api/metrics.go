package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

// Metrics counts what the server does. Labels are route templates and names
// from closed sets, never ids.
type Metrics struct {
	registry   *prometheus.Registry
	requests   *prometheus.CounterVec
	durations  *prometheus.HistogramVec
	leniencies *prometheus.CounterVec
	jobs       *prometheus.GaugeVec
	version    prometheus.Gauge
	plans      *prometheus.GaugeVec
	breakers   *prometheus.GaugeVec
	tripped    map[string]bool // whom breakers names; one goroutine tells
	lost       *prometheus.CounterVec

	expires  *prometheus.GaugeVec
	expiring map[string]time.Duration // what expires holds, by participant

	undecided *prometheus.GaugeVec
	late      map[string]bool // whom undecided names

	lms    lmsGauges
	record recordGauges
}

// NewMetrics makes a set of metrics with a registry of its own.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "healthix_http_requests_total", Help: "Requests answered, by method, route and status.",
		}, []string{"method", "route", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "healthix_http_request_duration_seconds", Help: "Time from a request to its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"method", "route"}),
		leniencies: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "healthix_scim_leniencies_total", Help: "SCIM requests read generously, by the leniency's name.",
		}, []string{"name"}),
		jobs: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "healthix_jobs", Help: "Jobs by state, counted to 1000; retryable and discarded ones want a look.",
		}, []string{"state"}),
		version: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "healthix_policy_version", Help: "The policy version in force.",
		}),
		plans: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "healthix_policy_plans", Help: "Policy changes under way by state, and of the last week those that were refused after somebody applied them; overdue and refused ones want a look.",
		}, []string{"state"}),
		breakers: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "healthix_breaker_open", Help: "1 for a participant whose mass-change breaker is open: somebody should restore or accept.",
		}, []string{"participant"}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "healthix_request_log_lost_total", Help: "Requests that are missing in the request log, by reason.",
		}, []string{"reason"}),
		expires: newExpiries(), undecided: newUndecided(),
	}
	for _, reason := range []string{lostToQueue, lostToStore, lostToStrangers} {
		m.lost.WithLabelValues(reason)
	}
	m.registry.MustRegister(m.requests, m.durations, m.leniencies, m.jobs, m.version, m.plans, m.breakers, m.lost, m.expires, m.undecided,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Leniency counts one use of a named leniency.
func (m *Metrics) Leniency(name string) { m.leniencies.WithLabelValues(name).Inc() }

// Jobs says how many jobs are in a state.
func (m *Metrics) Jobs(state string, n int) { m.jobs.WithLabelValues(state).Set(float64(n)) }

// Policy says which policy version is in force, and how its changes stand.
func (m *Metrics) Policy(version int64, plans []storage.Plan, now time.Time) {
	m.version.Set(float64(version))
	for state, n := range countPlans(plans, now) {
		m.plans.WithLabelValues(state).Set(float64(n))
	}
}

// Breakers says whose breakers are open. The names of participants are few, and
// operators chose them.
func (m *Metrics) Breakers(open []storage.BreakerCase) {
	tripped := map[string]bool{}
	for _, c := range open {
		tripped[c.Participant] = true
		m.breakers.WithLabelValues(c.Participant).Set(1)
	}
	for id := range m.tripped {
		if !tripped[id] {
			m.breakers.DeleteLabelValues(id)
		}
	}
	m.tripped = tripped
}

// overdueAfter is how late a scheduled change, or one that is being applied or
// carried out, may be before somebody should look.
const overdueAfter = 10 * time.Minute

// countPlans counts policy changes as operators watch them.
func countPlans(plans []storage.Plan, now time.Time) map[string]int {
	const week = 7 * 24 * time.Hour
	counts := map[string]int{"computing": 0, "ready": 0, "scheduled": 0, "applying": 0, "carrying": 0, "overdue": 0, "refused": 0}
	for _, p := range plans {
		since := p.Changed
		switch {
		case p.State == lifecycle.PlanRefused:
			if p.AppliedBy != "" && now.Sub(p.Changed) < week {
				counts["refused"]++
			}
			continue
		case p.State == lifecycle.PlanApplied && p.Carried != nil:
			continue
		case p.State == lifecycle.PlanApplied:
			counts["carrying"]++
		default:
			counts[p.State]++
		}
		if p.State == lifecycle.PlanScheduled && p.At != nil {
			since = *p.At
		}
		held := p.HeldUntil != nil && p.HeldUntil.After(now) // somebody works on it
		if p.State != lifecycle.PlanReady && !held && now.Sub(since) > overdueAfter {
			counts["overdue"]++
		}
	}
	return counts
}

// Handler serves the metrics in Prometheus' text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// requestLost counts requests that the request log does not hold.
func (m *Metrics) requestLost(reason string, n int) { m.lost.WithLabelValues(reason).Add(float64(n)) }

// knownMethod is a method as metrics and request log name it: the peer chose
// it, from an open set.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	default:
		return "other"
	}
}

func (m *Metrics) request(method, route string, status int, took time.Duration) {
	method = knownMethod(method)
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	m.durations.WithLabelValues(method, route).Observe(took.Seconds())
}
