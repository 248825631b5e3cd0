package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/api"
	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/connector/litmos"
	"github.com/healthix/healthix-scim/scim"
	"github.com/healthix/healthix-scim/storage"
)

const (
	// drainTime bounds how long requests under way may take at shutdown; it is
	// more than a request's own deadline.
	drainTime = 40 * time.Second
	// noticeTime is how long a server that others balance to says that it is
	// not ready before it takes no more connections.
	noticeTime = 2 * time.Second
	// sweepEvery is how often expiries are recorded. Access ends at its
	// instant without it.
	sweepEvery = time.Minute
	// beatEvery is how often a server says that it lives. Those that do share
	// the limits of rate.
	beatEvery = 5 * time.Second
	// gaugeEvery is how often the jobs are counted for the metrics.
	gaugeEvery = 15 * time.Second
)

// server is the house with its doors open.
type server struct {
	metrics  *api.Metrics
	house    *house
	address  string // where it listens
	base     string // public URL
	log      *slog.Logger
	http     []*http.Server
	requests *api.RequestLog
	failed   chan error // what ended the server before it was told to stop
	leaving  atomic.Bool
	nodes    atomic.Int32 // servers on this database, this one included
	notice   time.Duration
	trains   bool               // there is an LMS
	offsite  bool               // checkpoints leave the machine
	ends     context.CancelFunc // of the work in the background
	work     sync.WaitGroup
}

// start opens the doors. The listeners come first, so that a port in use is
// found before anything is migrated or generated.
func (p *program) start(ctx context.Context) (*server, error) {
	s := &server{log: p.log, failed: make(chan error, 4)}
	tlsConfig, err := serverTLS(p.settings)
	if err != nil {
		return nil, err
	}
	rate, err := api.ParseRate(p.settings.RateLimit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", variable("rate-limit"), err)
	}
	keep, err := parseAge(p.settings.KeepRequests)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", variable("retention-requests"), err)
	}
	proxies, err := p.settings.proxies()
	if err != nil {
		return nil, err
	}
	door, err := listen(ctx, "addr", p.settings.Addr)
	if err != nil {
		return nil, err
	}
	listeners := []net.Listener{door}
	giveUp := func(err error) (*server, error) {
		for _, l := range listeners {
			err = errors.Join(err, l.Close())
		}
		return nil, err
	}
	metrics := api.NewMetrics()
	s.metrics = metrics
	if p.settings.MetricsAddr != "" {
		l, err := listen(ctx, "metrics-addr", p.settings.MetricsAddr)
		if err != nil {
			return giveUp(err)
		}
		listeners = append(listeners, l)
	}
	s.address = door.Addr().String()
	s.base = p.settings.address(s.address)
	portal, standIn := p.settings.portal(s.base)
	if s.house, err = p.openHouse(ctx, portal); err != nil {
		return giveUp(err)
	}
	if err := s.house.deeds.EnsureLogKey(ctx); err != nil {
		return giveUp(errors.Join(err, s.house.store.Close()))
	}
	handler, checker, err := s.assemble(ctx, api.Options{
		BaseURL: s.base, Version: version(), TrustedProxies: proxies, RateLimit: rate,
		PortalStandIn: standIn, Metrics: metrics, HideMetrics: p.settings.MetricsAddr != "", Log: p.log,
		HookSecrets: p.settings.hookSecrets(), ReadHook: litmos.ParseHook,
	})
	if err != nil {
		return giveUp(errors.Join(err, s.house.store.Close()))
	}
	if open, err := offLoopback(p.settings.Addr); err == nil && (open || len(proxies) > 0) {
		s.notice = noticeTime
	}
	p.remarks(proxies)
	s.offsite = p.settings.checkpointURL() != ""
	s.compare(ctx)
	s.trains = p.settings.LitmosURL != ""
	s.background(ctx, checker, keep)
	s.serve(door, handler, p.settings.Addr, tlsConfig)
	if len(listeners) > 1 {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", metrics.Handler())
		s.serve(listeners[1], mux, p.settings.MetricsAddr, nil)
	}
	p.log.Info("listening", "address", s.address, "url", s.base, "version", version())
	return s, nil
}

// remarks tells what an operator should know of the settings.
func (p *program) remarks(proxies []netip.Prefix) {
	if p.settings.checkpointURL() == "" {
		p.log.Warn("no checkpoint of the record leaves this machine: whoever owns the database can rewrite it unseen, and a restore from backup is not noticed", "setting", variable("checkpoint-url"))
	}
	if open, err := offLoopback(p.settings.Addr); err == nil && open && p.settings.TLSCertFile == "" && len(proxies) == 0 {
		p.log.Warn("tokens and personal data travel in the clear", "setting", variable("insecure"))
	}
}

// assemble makes the front door with the SCIM face behind it.
func (s *server) assemble(ctx context.Context, o api.Options) (http.Handler, *auth.Checker, error) {
	h := s.house
	signer, instance, err := h.signer(ctx)
	if err != nil {
		return nil, nil, err
	}
	checker := auth.NewChecker(auth.Options{
		Key: h.keys.public(), Issuer: instance, Records: h.store, Now: h.deeds.Now, Log: s.log,
	})
	o.Service, o.Store, o.Checker, o.Signer, o.Key = h.deeds, ready{h.store, &s.leaving}, checker, signer, h.keys.secret
	o.SCIM = scim.New(h.deeds, scim.Options{
		BaseURL: o.BaseURL, CursorKey: h.keys.secret, Log: s.log, Lenient: o.Metrics.Leniency, Note: api.Note,
	})
	o.SCIMError = scim.WriteError
	s.requests = api.NewRequestLog(h.store, o.Metrics, s.log, h.deeds.Now)
	o.Requests = s.requests
	o.Halted = s.halted
	o.Nodes = func() int { return int(s.nodes.Load()) }
	o.WithCaller = func(ctx context.Context, who auth.Principal, at storage.Participant) context.Context {
		return scim.WithCaller(ctx, scim.Caller{
			Actor: who.Actor, Strict: at.Settings.Strict(), ReadOnly: who.Scope != auth.ScopeSCIM, Participant: at,
		})
	}
	return api.New(o), checker, nil
}

// ready is the store as the front door sees it: not ready once the server is
// leaving.
type ready struct {
	storage.Store
	leaving *atomic.Bool
}

func (r ready) Ready(ctx context.Context) error {
	if r.leaving.Load() {
		return errors.New("shutting down")
	}
	return r.Store.Ready(ctx)
}

// background starts what runs beside the requests: job workers, the sweeps, and
// the writing of tokens' last uses and of the request log.
func (s *server) background(ctx context.Context, checker *auth.Checker, keep age) {
	// A signal ends ctx; the work goes on until requests have drained.
	ctx, s.ends = context.WithCancel(context.WithoutCancel(ctx))
	s.run("log", func() error { return s.house.deeds.RunLog(ctx) })
	s.run("checkpoints", func() error { return s.house.deeds.RunOffsite(ctx) })
	s.run("stream", func() error { return s.house.deeds.RunStream(ctx) })
	s.runSound(ctx, "jobs", func(ctx context.Context) error { return s.house.store.Work(ctx, s.do) })
	s.run("gauges", func() error { s.gauge(ctx); return nil })
	s.run("last uses", func() error { return checker.Run(ctx) })
	s.run("request log", func() error { return s.requests.Run(ctx) })
	s.runSound(ctx, "sweep", func(ctx context.Context) error { s.sweep(ctx); return nil })
	s.runSound(ctx, "retention", func(ctx context.Context) error { s.forget(ctx, keep); return nil })
	s.runSound(ctx, "renewals", func(ctx context.Context) error { s.renewals(ctx); return nil })
	s.runSound(ctx, "recoveries", func(ctx context.Context) error { s.recoveries(ctx); return nil })
	s.run("signs of life", func() error { s.beat(ctx); return nil })
	if s.trains {
		s.untaught(ctx)
		s.runSound(ctx, "LMS", s.house.deeds.RunLMS)
	}
}

// do does a job, and says when it failed: somebody may wait for a mail.
func (s *server) do(ctx context.Context, job storage.Job) error {
	err := s.house.deeds.Do(ctx, job)
	if inOtherHands(err) {
		s.log.Info("another process works on this plan; looked at again later", "job", job.ID, "kind", job.Kind, "plan", job.Subject)
		return err
	}
	if err != nil && ctx.Err() == nil {
		s.log.Warn("a job failed and will be tried again or given up; see healthix-scim jobs list", "job", job.ID, "kind", job.Kind, "attempt", job.Attempt, "error", err)
	}
	return err
}

// gauge shows how many jobs are in the states that somebody should look at, and
// how the policy and its changes stand.
func (s *server) gauge(ctx context.Context) {
	const most = 1000
	tick := time.NewTicker(gaugeEvery)
	defer tick.Stop()
	for {
		for _, state := range []string{"available", "retryable", "discarded", "cancelled"} {
			if jobs, err := s.house.store.ListJobs(ctx, state, most); err == nil {
				s.metrics.Jobs(state, len(jobs))
			}
		}
		state, err := s.house.store.PolicyState(ctx)
		if plans, listed := s.house.store.ListPlans(ctx, most); err == nil && listed == nil {
			s.metrics.Policy(state.Version, plans, s.house.deeds.Now())
		}
		if cases, err := s.house.store.ListOpenCases(ctx); err == nil {
			s.metrics.Breakers(cases)
		}
		s.gaugeReviews(ctx)
		if training, err := s.house.deeds.LMSState(ctx); err == nil && training != nil {
			s.metrics.LMS(*training)
		}
		s.gaugeRecord(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// beat counts the servers that share this database. One that cannot be counted
// keeps its last part of the rates.
func (s *server) beat(ctx context.Context) {
	self := uuid.NewString()
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		if n, err := s.house.store.Beat(ctx, self); err == nil {
			s.nodes.Store(int32(n)) //nolint:gosec // a handful
		} else if ctx.Err() == nil {
			s.log.Warn("sign of life", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *server) run(what string, do func() error) {
	s.work.Go(func() {
		if err := do(); err != nil && !errors.Is(err, context.Canceled) {
			s.fail(fmt.Errorf("%s: %w", what, err))
		}
	})
}

// fail reports what ended the server; only the first matters.
func (s *server) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// runSound runs what waits over a gap in the log.
func (s *server) runSound(ctx context.Context, what string, do func(ctx context.Context) error) {
	s.run(what, func() error { return whileSound(ctx, s.halted, waitEvery, do) })
}

func (s *server) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if n, err := s.house.deeds.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("sweep of expired access", "error", err)
		} else if n > 0 {
			s.log.Info("expired access recorded", "users", n)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *server) serve(l net.Listener, handler http.Handler, addr string, tlsConfig *tls.Config) {
	one := api.NewServer(handler, addr)
	one.TLSConfig = tlsConfig
	// Its remarks name peers' addresses, and any port scan makes them.
	one.ErrorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)
	s.http = append(s.http, one)
	accept := func() error { return one.Serve(l) }
	if tlsConfig != nil {
		accept = func() error { return one.ServeTLS(l, "", "") }
	}
	s.work.Go(func() {
		if err := accept(); !errors.Is(err, http.ErrServerClosed) {
			s.fail(fmt.Errorf("serve %s: %w", addr, err))
		}
	})
}

// stop closes the doors in order: not ready, no new requests, requests under
// way answered, workers ended, store closed.
func (s *server) stop() error {
	s.leaving.Store(true)
	time.Sleep(s.notice)
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	var err error
	for _, one := range s.http {
		if stopped := one.Shutdown(ctx); stopped != nil {
			err = errors.Join(err, fmt.Errorf("drain requests: %w", stopped), one.Close())
		}
	}
	s.ends()
	s.work.Wait()
	if closed := s.house.store.Close(); closed != nil {
		err = errors.Join(err, fmt.Errorf("close database: %w", closed))
	}
	return err
}

// listen opens a port, and says in one sentence when it cannot.
func listen(ctx context.Context, setting, addr string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %s: another program uses this address; stop it, or give another with %s", addr, variable(setting))
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s (%s): %w", addr, variable(setting), err)
	}
	return l, nil
}

func serverTLS(s settings) (*tls.Config, error) {
	if s.TLSCertFile == "" {
		return nil, nil
	}
	certificate, err := tls.LoadX509KeyPair(s.TLSCertFile, s.TLSKeyFile)
	if err != nil {
		return nil, fmt.Errorf("load TLS certificate (%s, %s): %w", variable("tls-cert-file"), variable("tls-key-file"), err)
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}, nil
}
