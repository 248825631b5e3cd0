package lifecycle_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

// silentStore does not answer writes from some moment on, as a database behind a
// network that swallows packets.
type silentStore struct {
	storage.Store
	silent atomic.Bool
}

func (s *silentStore) Write(ctx context.Context, f func(ctx context.Context, tx storage.Tx) error) error {
	if s.silent.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.Store.Write(ctx, f)
}

// slowLMS waits for its turn while it enrols.
type slowLMS struct {
	lifecycle.LMS
	begun, ended chan struct{}
}

func (l *slowLMS) Enrol(ctx context.Context, _ lifecycle.Trainee) (string, error) {
	close(l.begun)
	<-ctx.Done()
	close(l.ended)
	return "", ctx.Err()
}

// A process whose database is silent does not go on when its lease is over: the
// LMS would obey it beside the one that took over.
func TestWorkEndsBeforeTheLease(t *testing.T) {
	t.Parallel()
	s := newSchool(t, "sqlite://"+t.TempDir()+"/house.db")
	s.create(mercy, person("ana", "Registered Nurse"))
	s.work()
	store := &silentStore{Store: s.store}
	slow := &slowLMS{LMS: s.lms, begun: make(chan struct{}), ended: make(chan struct{})}
	kept := s.store
	s.store = store
	other := s.serviceWith(slow)
	s.store = kept
	ctx, stop := context.WithCancel(s.ctx)
	done := make(chan error, 1)
	began := time.Now()
	go func() { done <- other.RunLMS(ctx) }()
	<-slow.begun
	store.silent.Store(true)
	select {
	case <-slow.ended:
		if took := time.Since(began); took < 5*time.Second {
			t.Errorf("the work ended after %v, with the lease", took)
		}
	case <-time.After(20*time.Second - time.Since(began)):
		t.Error("20 seconds on, somebody else may have the lease, and the work goes on")
	}
	stop()
	store.silent.Store(false)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// standingLMS stands still before it tells, while another process works.
type standingLMS struct {
	lifecycle.LMS
	meanwhile func()
}

func (l *standingLMS) still() {
	if l.meanwhile != nil {
		l.meanwhile()
	}
	l.meanwhile = nil
}

func (l *standingLMS) Enrol(ctx context.Context, who lifecycle.Trainee) (string, error) {
	l.still()
	return l.LMS.Enrol(ctx, who)
}

func (l *standingLMS) Deactivate(ctx context.Context, id string) error {
	l.still()
	return l.LMS.Deactivate(ctx, id)
}

// What a process tells that stood still for longer than its lease is put right.
func TestProcessThatStoodStill(t *testing.T) {
	atSchool(t, func(s *school) {
		u, id := s.enrolled("ana", "Registered Nurse")
		named := func(family string) {
			s.change(mercy, u.ID, set("name", map[string]any{"givenName": "Ana", "familyName": family}))
		}
		stands := func(meanwhile func()) {
			s.t.Helper()
			late := s.serviceWith(&standingLMS{LMS: s.lms, meanwhile: meanwhile})
			if _, err := late.TendLearners(s.ctx); err != nil && !errors.Is(err, lifecycle.ErrLMSBusy) {
				s.t.Fatal(err)
			}
			s.tell()
		}
		named("Costa")
		stands(func() {
			named("Reyes")
			s.tell()
		})
		if p, _ := s.fake.Profile(id); p["LastName"] != "Reyes" {
			s.t.Errorf("the record is of %v", p["LastName"])
		}
		s.is(u.ID, storage.LearnerEnrolled)

		s.change(mercy, u.ID, set("active", false))
		stands(func() {
			s.change(mercy, u.ID, set("active", true))
			s.tell()
		})
		s.active(id, true)
		s.is(u.ID, storage.LearnerEnrolled)

		named("Silva")
		stands(func() {
			s.change(mercy, u.ID, set("active", false))
			s.tell()
		})
		s.active(id, false)
		s.is(u.ID, storage.LearnerOff)
	})
}
