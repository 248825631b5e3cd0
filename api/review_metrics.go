package api

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/healthix/healthix-scim/storage"
)

// newUndecided makes the gauge of reviews that nobody decided in by their
// deadline. A participant has one such review at most.
func newUndecided() *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "healthix_review_undecided",
		Help: "People whom an access review left undecided at its deadline and who are so still, by participant: an operator should see to them, and close it.",
	}, []string{"participant"})
}

// Reviews says how many people are undecided in reviews whose deadline passed. A
// participant that is not among them any more has no series. One goroutine calls it.
func (m *Metrics) Reviews(escalated []storage.Review, tallies map[string]storage.ReviewTally) {
	late := map[string]bool{}
	for _, r := range escalated {
		late[r.Participant] = true
		m.undecided.WithLabelValues(r.Participant).Set(float64(tallies[r.ID][storage.ItemOpen]))
	}
	for id := range m.late {
		if !late[id] {
			m.undecided.DeleteLabelValues(id)
		}
	}
	m.late = late
}
