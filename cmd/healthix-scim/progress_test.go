package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/sqlstore"
)

func TestBar(t *testing.T) {
	for _, tc := range []struct {
		done, total int
		want        string
	}{
		{0, 0, "planning [..............................]   0 %  0 of 1 people"},
		{450000, 1000000, "planning [#############.................]  45 %  450,000 of 1,000,000 people"},
		{1234, 1234, "planning [##############################] 100 %  1,234 of 1,234 people"},
		{12, 10, "planning [##############################] 100 %  12 of 10 people"},
	} {
		if got := barText("planning", tc.done, tc.total, "people"); got != tc.want {
			t.Errorf("%d of %d: %q, want %q", tc.done, tc.total, got, tc.want)
		}
	}
	var out bytes.Buffer
	b := &bar{w: &out, label: "planning", unit: "people"}
	for i := range 1000 { // far faster than anybody reads
		b.show(i, 1000)
	}
	b.show(1000, 1000)
	b.end()
	if drawn := strings.Count(out.String(), "\r") - 1; drawn < 2 || drawn > 20 || !strings.HasSuffix(out.String(), "1,000 of 1,000 people\r\x1b[K") {
		t.Errorf("drawn %d times: %q", drawn, out.String())
	}
	if listen, _ := (&program{stderr: &out}).progress("planning"); listen != nil {
		t.Error("a bar is drawn where no terminal is")
	}
}

// planHouse is a house on the embedded database with one plan in it, whose clock
// can be set ahead.
func planHouse(t *testing.T, ahead *time.Duration) (*house, storage.Plan) {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), "sqlite://"+t.TempDir()+"/healthix.db", sqlstore.Options{Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	deeds, err := lifecycle.New(lifecycle.Options{Store: store, Mailer: post{}, Key: make([]byte, 32), Clock: func() time.Time { return time.Now().Add(*ahead) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := deeds.EnsurePolicy(t.Context()); err != nil {
		t.Fatal(err)
	}
	document := bytes.Replace(policy.Default(), []byte("Registered Nurse,clinical practitioner,practitioner,"), []byte("Registered Nurse,clinical practitioner,clinical-staff,"), 1)
	plan, err := deeds.PlanPolicy(t.Context(), lifecycle.Actor{Kind: "operator", Subject: "dana@healthix.example"}, lifecycle.PlanSpec{Document: document})
	if err != nil {
		t.Fatal(err)
	}
	return &house{store: store, deeds: deeds}, plan
}

func computed(plan storage.Plan) bool { return plan.State != lifecycle.PlanComputing }

// A command that finds its plan in a server's hands watches, and takes it up when
// they let go of it.
func TestCommandsWatchServers(t *testing.T) {
	var ahead time.Duration
	h, plan := planHouse(t, &ahead)
	var said bytes.Buffer
	p := &program{stderr: &said}
	tries := 0
	got, err := p.follow(t.Context(), h, plan.ID, "planning", func(ctx context.Context, id string, _ lifecycle.Progress) (storage.Plan, error) {
		tries++
		go func() { // the server is done with it a little later
			time.Sleep(50 * time.Millisecond)
			if _, err := h.deeds.ComputePlan(ctx, id, nil); err != nil {
				t.Error(err)
			}
		}()
		return storage.Plan{}, lifecycle.Faultf(lifecycle.KindUnavailable, "plan", "in other hands")
	}, computed)
	if err != nil || got.State != lifecycle.PlanReady || tries != 1 || strings.Count(said.String(), "waiting for it") != 1 {
		t.Errorf("%s after %d tries, %v; said %q", got.State, tries, err, said.String())
	}
	for _, fault := range []error{
		lifecycle.Faultf(lifecycle.KindUnavailable, "", "the database cannot be reached"), lifecycle.Faultf(lifecycle.KindStale, "plan", "moved"), io.ErrUnexpectedEOF,
	} {
		_, err := p.follow(t.Context(), h, plan.ID, "planning", func(context.Context, string, lifecycle.Progress) (storage.Plan, error) {
			return storage.Plan{}, fault
		}, func(storage.Plan) bool { return false })
		if err == nil {
			t.Errorf("%v was waited for", fault)
		}
	}
}

// A plan that nobody applied is ended by the server after a month.
func TestOldPlansAreSwept(t *testing.T) {
	var ahead time.Duration
	h, plan := planHouse(t, &ahead)
	if _, err := h.deeds.ComputePlan(t.Context(), plan.ID, nil); err != nil {
		t.Fatal(err)
	}
	s := &server{house: h, log: slog.New(slog.DiscardHandler)}
	for _, tc := range []struct {
		after time.Duration
		want  string
	}{{29 * 24 * time.Hour, lifecycle.PlanReady}, {31 * 24 * time.Hour, lifecycle.PlanRefused}} {
		ahead = tc.after
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.forget(ctx, age{days: 90}) }()
		var got storage.Plan
		for range 100 {
			var err error
			if got, err = h.store.GetPlan(t.Context(), plan.ID); err != nil {
				t.Fatal(err)
			}
			if got.State == lifecycle.PlanRefused {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		stop()
		<-done
		if got.State != tc.want {
			t.Errorf("after %s the plan is %s, want %s", tc.after, got.State, tc.want)
		}
	}
}
