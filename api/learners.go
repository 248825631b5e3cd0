package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

var learnerStates = []string{storage.LearnerWaiting, storage.LearnerEnrolled, storage.LearnerRefused, storage.LearnerOff}

// learnerView is a user as the LMS knows them.
type learnerView struct {
	User        string     `json:"user"`
	Participant string     `json:"participant"`
	State       string     `json:"state"`   // waiting, enrolled, refused, off
	Why         *string    `json:"why"`     // it was refused, or waits still
	Learner     *string    `json:"learner"` // the record's id in the LMS
	Courses     []string   `json:"courses"` // assigned, by the LMS's ids
	Due         *time.Time `json:"due"`     // when the LMS is told next
	Changed     time.Time  `json:"changed"`
}

func showLearner(l storage.Learner) learnerView {
	return learnerView{
		User: l.User, Participant: l.Participant, State: l.State, Why: optional(l.Why), Learner: optional(l.LMSID),
		Courses: append([]string{}, l.Modules...), Due: l.Due, Changed: l.Changed,
	}
}

func (s *server) listLearners(ctx context.Context, c *call, _ none) (page[learnerView], error) {
	var empty page[learnerView]
	participant, err := c.within(c.query.Get("participant"))
	if err != nil {
		return empty, err
	}
	state := c.query.Get("state")
	if err := oneOf("state", state, learnerStates); err != nil {
		return empty, err
	}
	limit, err := c.limit()
	if err != nil {
		return empty, err
	}
	bound, err := json.Marshal([]string{"learners", participant, state})
	if err != nil {
		return empty, fmt.Errorf("bind cursor: %w", err)
	}
	begin, err := after[string](s, bound, c.query.Get("cursor"))
	if err != nil {
		return empty, err
	}
	q := storage.LearnerQuery{Participant: participant, State: state, Limit: limit + 1}
	if begin != nil {
		q.After = *begin
	}
	found, err := s.read.ListLearners(ctx, q)
	if err != nil {
		return empty, err
	}
	var answer page[learnerView]
	if len(found) > limit {
		found = found[:limit]
		next, err := s.cursor(bound, found[limit-1].User)
		if err != nil {
			return empty, err
		}
		answer.NextCursor = &next
	}
	answer.Items = as(found, showLearner)
	return answer, nil
}

func (s *server) enrolAnew(ctx context.Context, c *call, _ none) (none, error) {
	return none{}, s.Service.EnrolAnew(ctx, c.who.Actor, c.id())
}

// retried says how many are tried again.
type retried struct {
	Retried int `json:"retried"`
}

func (s *server) retryLearners(ctx context.Context, c *call, _ none) (retried, error) {
	n, err := s.Service.RetryLearners(ctx, c.who.Actor)
	return retried{n}, err
}

// tellEnrolment says beside gate training, to staff, what keeps a user from
// being trained.
func (s *server) tellEnrolment(ctx context.Context, c *call, v *UserView) error {
	i := slices.IndexFunc(v.Access.Gates, func(g gateView) bool { return g.Gate == policy.GateTraining && !g.Open })
	if i < 0 || !c.staffTexts() {
		return nil
	}
	l, found, err := s.read.FindLearner(ctx, v.ID)
	if err != nil || !found || l.Why == "" {
		return err
	}
	verb := "waits to be enrolled"
	if l.State == storage.LearnerRefused {
		verb = "is not enrolled, and an operator must look"
	}
	v.Access.Gates[i].Reason += "; the user " + verb + ": " + l.Why
	return nil
}

const (
	hookFolder = root + "/hooks/litmos/"
	hookPath   = hookFolder + "{secret}"
	// maxHook bounds a webhook's body.
	maxHook = 64 << 10
)

// wrongHookRate is what one address may ask with wrong secrets.
var wrongHookRate = Rate{PerSecond: 1, Burst: 60}

// unnamed takes a webhook's secret out of a request before anybody can log it or
// repeat it, and hands it over apart.
func unnamed(r *http.Request) (cleaned *http.Request, secret string) {
	secret, is := strings.CutPrefix(r.URL.Path, hookFolder)
	if !is {
		return r, ""
	}
	cleaned = r.Clone(r.Context())
	cleaned.URL.Path, cleaned.URL.RawPath, cleaned.RequestURI = hookFolder+"-", "", hookFolder+"-"
	return cleaned, secret
}

// serveHook takes a webhook of the LMS. It is a hint about a learner, whom the
// LMS is asked about; what else it says, and who sent it, does not count.
func (s *server) serveHook(w http.ResponseWriter, r *http.Request) {
	if err := s.takeHook(w, r); err != nil {
		s.refuse(w, r, err)
		return
	}
	write(w, r, http.StatusAccepted, "text/plain; charset=utf-8", []byte("accepted\n"))
}

func (s *server) takeHook(w http.ResponseWriter, r *http.Request) error {
	t := trailOf(r.Context())
	if !s.isHookSecret(t.secret) {
		if err := s.pace(w.Header(), s.visitors, "hook "+neighbourhood(t.address), wrongHookRate); err != nil {
			return err
		}
		return lifecycle.Faultf(lifecycle.KindNotFound, "", "there is nothing at this path")
	}
	body, err := readWhole(w, r, maxHook)
	if err != nil {
		return err
	}
	learner, ok := s.ReadHook(body)
	if !ok {
		return nil // of another kind, or of none; the LMS would only repeat it
	}
	return s.Service.HintCompletion(r.Context(), learner)
}

// isHookSecret compares with all there are, in a time that tells nothing.
func (s *server) isHookSecret(given string) bool {
	sum, same := sha256.Sum256([]byte(given)), 0
	for _, secret := range s.HookSecrets {
		is := sha256.Sum256([]byte(secret))
		same |= subtle.ConstantTimeCompare(sum[:], is[:])
	}
	return same == 1
}

// lmsGauges tell how things stand with the LMS; they are there when it is.
type lmsGauges struct {
	once       sync.Once
	learners   *prometheus.GaugeVec
	polled     prometheus.Gauge
	keyRefused prometheus.Gauge
}

// LMS says how things stand with the LMS.
func (m *Metrics) LMS(state lifecycle.LMSState) {
	g := &m.lms
	g.once.Do(func() {
		g.learners = prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "healthix_lms_learners", Help: "Users whom the LMS knows or is to know, by state; refused ones want a look.",
		}, []string{"state"})
		g.polled = prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "healthix_lms_polled_timestamp_seconds", Help: "When completions were last read from the LMS, by any server.",
		})
		g.keyRefused = prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "healthix_lms_key_refused", Help: "1 while the LMS does not accept the API key of this server.",
		})
		m.registry.MustRegister(g.learners, g.polled, g.keyRefused)
	})
	for _, name := range learnerStates {
		g.learners.WithLabelValues(name).Set(float64(state.Learners[name]))
	}
	if !state.Polled.IsZero() {
		g.polled.Set(float64(state.Polled.Unix()))
	}
	g.keyRefused.Set(0)
	if state.KeyRefused {
		g.keyRefused.Set(1)
	}
}
