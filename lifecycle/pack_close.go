package lifecycle

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// TimeToClose is how long it took from an identity provider's request to closed
// access, in seconds.
type TimeToClose struct {
	Measures       string   `json:"measures"`
	DoesNotMeasure string   `json:"doesNotMeasure"`
	Departures     int      `json:"departures"`     // deactivations and deletions
	ByProvider     int      `json:"byProvider"`     // of those: asked for by the identity provider
	WithoutRequest int      `json:"withoutRequest"` // of those: the request is not in the request log any more
	Measured       int      `json:"measured"`
	Min            *float64 `json:"minSeconds"`
	Median         *float64 `json:"medianSeconds"`
	P95            *float64 `json:"p95Seconds"` // by nearest rank, as the median
	Max            *float64 `json:"maxSeconds"`
}

const (
	closeMeasures = "From when the identity provider's request reached this service (requestAt in changes.csv, from the request log) to the instant from which the record shows the person without access (at in changes.csv). " +
		"Deactivation and the end of access are one database transaction: from its commit, milliseconds after that instant, every reader sees access closed; nothing waits in between for a job, a batch or a person."
	closeDoesNot = "How long the organization took to tell its identity provider, how long that one took to send the request, and whether other systems that read access from this service ended sessions that were open. " +
		"Requests are kept for a limited time (HEALTHIX_RETENTION_REQUESTS); what is forgotten is not measured. The clocks are those of this service and its database."
)

// of is the distribution of what was measured.
func (c TimeToClose) of(took []time.Duration) TimeToClose {
	c.Measures, c.DoesNotMeasure, c.Measured = closeMeasures, closeDoesNot, len(took)
	if len(took) == 0 {
		return c
	}
	slices.Sort(took)
	rank := func(percent int) *float64 { // the smallest that so many are not above
		n := (percent*len(took) + 99) / 100
		s := took[max(n, 1)-1].Seconds()
		return &s
	}
	c.Min, c.Median, c.P95, c.Max = rank(0), rank(50), rank(95), rank(100)
	return c
}

// sinceRequest answers when the request behind a departure came, and how many
// seconds before access closed; empty where that is not known.
func (t *tracker) sinceRequest(ctx context.Context, user string, by audit.Kept, at time.Time) ([2]string, error) {
	var none [2]string
	t.close.Departures++
	if by.Actor.Kind != "provider" {
		return none, nil
	}
	t.close.ByProvider++
	asked, found, err := t.requests.find(ctx, user, by.RequestID, at)
	if err != nil {
		return none, err
	}
	if !found {
		t.close.WithoutRequest++
		return none, nil
	}
	took := at.Sub(asked)
	t.took = append(t.took, took)
	return [2]string{stampOf(&asked), strconv.FormatFloat(took.Seconds(), 'f', 6, 64)}, nil
}

// requestTimes finds when requests came.
type requestTimes struct {
	read        storage.Reader
	participant string
	known       map[string]*time.Time // by request id; nil was looked for in vain
}

const (
	requestLongest = 25 * time.Minute // a Bulk may wait and work so long
	requestScan    = 2000             // rows looked at for a request that names no person
	requestsKnown  = 10_000
)

// find looks for a request: among those about the person, and then among all of
// the participant's, for a Bulk names nobody.
func (r *requestTimes) find(ctx context.Context, user, id string, at time.Time) (time.Time, bool, error) {
	if id == "" {
		return time.Time{}, false, nil
	}
	came, looked := r.known[id]
	if !looked {
		var err error
		if came, err = r.scan(ctx, user, id, at); err != nil {
			return time.Time{}, false, err
		}
		if came == nil {
			if came, err = r.scan(ctx, "", id, at); err != nil {
				return time.Time{}, false, err
			}
		}
		if len(r.known) >= requestsKnown || r.known == nil {
			r.known = map[string]*time.Time{}
		}
		r.known[id] = came
	}
	if came == nil {
		return time.Time{}, false, nil
	}
	return *came, true, nil
}

func (r *requestTimes) scan(ctx context.Context, user, id string, at time.Time) (*time.Time, error) {
	q := storage.RequestQuery{
		Participant: r.participant, Resource: user, From: at.Add(-requestLongest), To: at.Add(time.Minute), Limit: 200, // clocks differ a little
	}
	for seen := 0; seen < requestScan; seen += q.Limit {
		rows, err := r.read.ListRequests(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if row.RequestID == id {
				return &row.At, nil
			}
		}
		if len(rows) < q.Limit {
			break
		}
		last := rows[len(rows)-1]
		q.Before = &storage.RequestPlace{At: last.At, ID: last.ID}
	}
	return nil, nil //nolint:nilnil // looked for in vain
}
