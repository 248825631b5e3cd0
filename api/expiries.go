package api

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/healthix/healthix-scim/storage"
)

// newExpiries makes the gauge of what participants have to renew. A participant
// is one series, whatever it holds: its id is a name of an organization.
func newExpiries() *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "healthix_token_expires_seconds",
		Help: "Time to the end of the participant's scim token or OAuth client that ends first; negative since the last one ended.",
	}, []string{"participant"})
}

// Expiries says when participants' credentials end: those that live, and those
// that ended lately, so that a participant whose last one ended does not go
// quiet. A participant that is not among them any more has no series. One
// goroutine calls it.
func (m *Metrics) Expiries(credentials []storage.Credential, now time.Time) {
	left := map[string]time.Duration{}
	for _, c := range credentials {
		ends := c.Expires.Sub(now)
		known, there := left[c.Participant]
		switch {
		case !there,
			ends > 0 && (known <= 0 || ends < known), // of those that live the first to end
			ends <= 0 && known <= 0 && ends > known:  // of the others the last that did
			left[c.Participant] = ends
		}
	}
	for participant, ends := range left {
		m.expires.WithLabelValues(participant).Set(ends.Seconds())
	}
	for participant := range m.expiring {
		if _, still := left[participant]; !still {
			m.expires.DeleteLabelValues(participant)
		}
	}
	m.expiring = left
}
