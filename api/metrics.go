package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics counts what the server does. Labels are route templates and names
// from closed sets, never ids.
type Metrics struct {
	registry   *prometheus.Registry
	requests   *prometheus.CounterVec
	durations  *prometheus.HistogramVec
	leniencies *prometheus.CounterVec
	jobs       *prometheus.GaugeVec
	lost       *prometheus.CounterVec
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
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "healthix_request_log_lost_total", Help: "Requests that are missing in the request log, by reason.",
		}, []string{"reason"}),
	}
	for _, reason := range []string{lostToQueue, lostToStore, lostToStrangers} {
		m.lost.WithLabelValues(reason)
	}
	m.registry.MustRegister(m.requests, m.durations, m.leniencies, m.jobs, m.lost,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Leniency counts one use of a named leniency.
func (m *Metrics) Leniency(name string) { m.leniencies.WithLabelValues(name).Inc() }

// Jobs says how many jobs are in a state.
func (m *Metrics) Jobs(state string, n int) { m.jobs.WithLabelValues(state).Set(float64(n)) }

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
