// Package api is the front door and the face toward people: it gives every
// request an id, a limit and a deadline, knows who asks, and answers operators,
// auditors, participants' user managers and the portal in JSON. It refuses to
// decide: what a deed means is lifecycle's, what a title means is policy's. It
// writes nothing itself, and it has never heard of the SCIM protocol: the
// handler, its error writer and its notion of a caller are handed to it.
package api

import (
	"context"
	"crypto/cipher"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// Deeds is what the front door asks of lifecycle.
type Deeds interface {
	Reader() storage.Reader
	Now() time.Time

	AddParticipant(ctx context.Context, by lifecycle.Actor, p storage.Participant) (storage.Participant, error)
	ChangeParticipant(ctx context.Context, by lifecycle.Actor, id string, edit func(*storage.Participant) error) (storage.Participant, error)
	SuspendParticipant(ctx context.Context, by lifecycle.Actor, id, reason string) (storage.Participant, error)
	ResumeParticipant(ctx context.Context, by lifecycle.Actor, id string) (storage.Participant, error)
	GoLive(ctx context.Context, by lifecycle.Actor, id string) (storage.Participant, error)
	Restore(ctx context.Context, by lifecycle.Actor, spec lifecycle.RestoreSpec, progress lifecycle.Progress) (lifecycle.Restored, error)
	AcceptLosses(ctx context.Context, by lifecycle.Actor, participant string) (storage.BreakerCase, error)

	IssueToken(ctx context.Context, by lifecycle.Actor, spec lifecycle.TokenSpec) (storage.Token, error)
	RevokeToken(ctx context.Context, by lifecycle.Actor, id string) error
	IssueClient(ctx context.Context, by lifecycle.Actor, spec lifecycle.ClientSpec) (storage.Client, string, error)
	RevokeClient(ctx context.Context, by lifecycle.Actor, id string) error
	GrantToken(ctx context.Context, g lifecycle.Grant) (storage.Token, error)

	RecordEvidence(ctx context.Context, by lifecycle.Actor, user string, spec lifecycle.EvidenceSpec) (storage.Evidence, error)
	RevokeEvidence(ctx context.Context, by lifecycle.Actor, user, evidence, reason string) error
	Approve(ctx context.Context, by lifecycle.Actor, user string, approved bool, reason string, ifVersion int64) (storage.User, error)
	Hold(ctx context.Context, by lifecycle.Actor, user, reason string) (storage.Hold, error)
	LiftHold(ctx context.Context, by lifecycle.Actor, user, hold string) error
	Deactivate(ctx context.Context, by lifecycle.Actor, participant, user string, who lifecycle.Identity) (storage.User, error)
	SetClinicalAlerts(ctx context.Context, by lifecycle.Actor, participant, user, value string) (storage.User, error)
	ResendActivation(ctx context.Context, by lifecycle.Actor, participant, user string) error
	Redeem(ctx context.Context, by lifecycle.Actor, code, idempotencyKey string) (lifecycle.Redeemed, error)

	Explain(ctx context.Context, participant string, f policy.Facts) (policy.Explanation, error)
	PolicyAt(ctx context.Context, participant string) (*policy.Policy, error)
	PlanPolicy(ctx context.Context, by lifecycle.Actor, spec lifecycle.PlanSpec) (storage.Plan, error)
	DraftSynonym(ctx context.Context, by lifecycle.Actor, participant, key, title string) (storage.Plan, error)
	RollBack(ctx context.Context, by lifecycle.Actor, version int64) (storage.Plan, error)
	ConfirmPlan(ctx context.Context, by lifecycle.Actor, id string) (storage.Plan, error)
	WithdrawPlan(ctx context.Context, by lifecycle.Actor, id string) (storage.Plan, error)
	ApplyPlan(ctx context.Context, by lifecycle.Actor, id string, at *time.Time) (storage.Plan, error)
	WaitPlan(ctx context.Context, id, state string, patience time.Duration) (storage.Plan, error)

	StartReview(ctx context.Context, by lifecycle.Actor, spec lifecycle.ReviewSpec) (storage.Review, error)
	DecideReview(ctx context.Context, by lifecycle.Actor, review, user string, d lifecycle.ReviewDecision) (storage.ReviewItem, storage.User, error)
	CloseReview(ctx context.Context, by lifecycle.Actor, id string) (storage.Review, error)

	HintCompletion(ctx context.Context, learner string) error
	EnrolAnew(ctx context.Context, by lifecycle.Actor, user string) error
	RetryLearners(ctx context.Context, by lifecycle.Actor) (int, error)

	RetryJob(ctx context.Context, by lifecycle.Actor, id int64) error
	ReadLog(ctx context.Context, by lifecycle.Actor, r lifecycle.Reading) error
	Settle(ctx context.Context, at time.Time) error
	Checkpoint(ctx context.Context) (string, error)
	ProveInclusion(ctx context.Context, participant, entry string, size int64) (lifecycle.Inclusion, error)
	ProveConsistency(ctx context.Context, from, to int64) (proof []audit.Digest, size int64, err error)
}

// Store is what the front door asks of the store beside its Reader.
type Store interface {
	Ready(ctx context.Context) error
}

// Options is what the front door is made of. Service, Store, Checker, Signer,
// Key, SCIM, WithCaller and SCIMError must be given.
type Options struct {
	Service Deeds
	Store   Store
	Checker *auth.Checker
	Signer  *auth.Signer
	Key     []byte // HKDF root; cursors are sealed with a key of their own

	SCIM       http.Handler // mounted at /scim/v2
	WithCaller func(ctx context.Context, who auth.Principal, at storage.Participant) context.Context
	SCIMError  func(w http.ResponseWriter, r *http.Request, status int, scimType, detail string)

	BaseURL        string
	Version        string         // of the program, for /openapi.json
	TrustedProxies []netip.Prefix // only they may set Forwarded and X-Forwarded-For
	RateLimit      Rate           // of a participant without a setting of its own; off: staff have none either
	Halted         func() error   // why nothing may be written; nil, or nil from it: all is well
	Nodes          func() int     // servers that share the limits of rate; nil: this one alone
	PortalStandIn  bool           // serve /portal/activate
	PlanPatience   time.Duration  // how long a request waits for a plan before it answers 202; 0: 10 s
	ChangesWait    time.Duration  // how long the portal's poll waits for a change; 0: 25 s
	RestoreWait    time.Duration  // how long a request restores before it answers 202; 0: 25 s
	Requests       *RequestLog    // nil: SCIM requests leave no row
	Metrics        *Metrics       // nil: a new one
	HideMetrics    bool           // /metrics is served elsewhere
	Log            *slog.Logger   // nil means slog.Default

	HookSecrets []string                                    // of the LMS's webhooks, at the end of their path; none: they are not taken
	ReadHook    func(body []byte) (learner string, ok bool) // which learner a webhook is about
}

// server is the front door at work.
type server struct {
	Options
	read     storage.Reader
	settled  *settled
	seal     cipher.AEAD
	digests  []byte   // key of the digests of what staff asked for
	clients  *limiter // per participant, on /scim/v2; per OAuth client, on /oauth/token
	people   *limiter // per staff member, on /api/v1
	visitors *limiter // per address: redeeming, fetching tokens, and SCIM discovery without a token
	bulks    *lanes
	lists    *lanes
	polls    *lanes // per token, of changes of access
	watch    *watch
	oauth    *auth.Clients
	routes   []route
	openAPI  []byte
}

// New makes the handler of the whole server.
func New(o Options) http.Handler {
	if o.Metrics == nil {
		o.Metrics = NewMetrics()
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.PlanPatience == 0 {
		o.PlanPatience = planPatience
	}
	if o.ChangesWait == 0 {
		o.ChangesWait = changesWait
	}
	if o.RestoreWait == 0 {
		o.RestoreWait = restoreWait
	}
	o.BaseURL = strings.TrimSuffix(o.BaseURL, "/")
	s := &server{
		Options: o, read: o.Service.Reader(), settled: newSettled(o.Service.Reader(), o.Service.Now), seal: cursorSeal(o.Key), digests: digestKey(o.Key),
		bulks: newLanes(1, bulkQueued), lists: newLanes(listsAtOnce, listsQueued),
		polls: newLanes(changesWaiters, 0), watch: newWatch(o.Service.Reader().LastAccessChange),
		clients: newLimiter(o.Service.Now), people: newLimiter(o.Service.Now), visitors: newLimiter(o.Service.Now),
	}
	var err error
	s.oauth, err = auth.NewClients(auth.ClientOptions{Records: s.read, Issuer: o.BaseURL, TokenURL: o.BaseURL + tokenPath, Now: o.Service.Now})
	if err != nil { // only a machine without random numbers
		panic(err)
	}
	s.routes = s.table()
	s.openAPI = s.describe()
	return s.door(s.router())
}

// router mounts the route table. Echo only finds the route: what a route needs
// of a request is read by net/http-shaped code.
func (s *server) router() *echo.Echo {
	e := echo.New()
	e.HideBanner = true
	e.IPExtractor = s.address
	e.HTTPErrorHandler = func(err error, c echo.Context) { s.refuse(c.Response(), c.Request(), fromEcho(err)) }
	for _, rt := range s.routes {
		handler := s.handler(rt)
		mounted := func(c echo.Context) error {
			r := c.Request()
			trailOf(r.Context()).route = rt.path
			for _, name := range c.ParamNames() {
				value, ok := pathText(r, c.Param(name))
				switch {
				case isSCIM(rt.path): // sees to its own, once it is known who asks
					value = c.Param(name)
				case !ok: // no database holds such an id, and some refuse to look
					return storage.ErrNotFound
				}
				r.SetPathValue(name, value)
			}
			handler(c.Response(), r)
			return nil
		}
		switch rt.method {
		case "":
			e.Any(echoPath(rt.path), mounted)
		case http.MethodGet:
			e.GET(echoPath(rt.path), mounted)
			e.HEAD(echoPath(rt.path), mounted)
		default:
			e.Add(rt.method, echoPath(rt.path), mounted)
		}
	}
	return e
}

// pathText is a path's value as it was meant: the router splits the path before
// its escapes are read when one of them needs it, such as a slash in a title.
func pathText(r *http.Request, value string) (string, bool) {
	if r.URL.RawPath != "" {
		var err error
		if value, err = url.PathUnescape(value); err != nil {
			return "", false
		}
	}
	return value, isText(value)
}

// fromEcho turns the router's own two answers into faults.
func fromEcho(err error) error {
	var known *echo.HTTPError
	if !errors.As(err, &known) {
		return err
	}
	switch known.Code {
	case http.StatusNotFound:
		return lifecycle.Faultf(lifecycle.KindNotFound, "", "there is nothing at this path")
	case http.StatusMethodNotAllowed:
		return lifecycle.Faultf(kindMethod, "", "this path does not take this method; see the Allow header")
	default:
		return err
	}
}

// echoPath writes a path's {name} as :name.
func echoPath(path string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(path)
}
