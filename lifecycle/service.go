package lifecycle

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// Options are what a Service needs from the outside.
type Options struct {
	Store     storage.Store
	Mailer    Mailer
	Key       []byte // root of the activation codes; at least 32 bytes
	PortalURL string // activation links point to PortalURL/activate?code=…
	Random    io.Reader
	Clock     func() time.Time
	Log       *slog.Logger
}

// Service does the deeds. It is safe for concurrent use.
type Service struct {
	store     storage.Store
	mailer    Mailer
	codeKey   []byte
	portalURL string
	random    io.Reader
	clock     func() time.Time
	log       *slog.Logger
	inForce   atomic.Pointer[policy.Policy] // of version inForce.Version()
}

// New makes a Service. Store, Mailer and Key must be given; the other options
// have safe defaults.
func New(o Options) (*Service, error) {
	if o.Store == nil || o.Mailer == nil {
		return nil, errors.New("lifecycle needs a store and a mailer")
	}
	codeKey, err := activationKey(o.Key)
	if err != nil {
		return nil, err
	}
	s := &Service{
		store: o.Store, mailer: o.Mailer, codeKey: codeKey, portalURL: o.PortalURL,
		random: o.Random, clock: o.Clock, log: o.Log,
	}
	if s.random == nil {
		s.random = rand.Reader
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s, nil
}

// Reader looks things up outside a transaction.
func (s *Service) Reader() storage.Reader { return s.store }

// Now is the time at which readers see access: UTC, whole microseconds. Deeds
// use their transaction's clock instead.
func (s *Service) Now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// Policy answers the policy in force.
func (s *Service) Policy(ctx context.Context) (*policy.Policy, error) {
	return s.policyIn(ctx, s.store)
}

// policyIn answers the policy that r sees in force. Its number is asked for
// every time, its document only when the number moved.
func (s *Service) policyIn(ctx context.Context, r storage.Reader) (*policy.Policy, error) {
	version, err := r.CurrentPolicyVersion(ctx)
	if err != nil {
		return nil, fmt.Errorf("policy in force: %w", err)
	}
	if p := s.inForce.Load(); p != nil && p.Version() == version {
		return p, nil
	}
	row, err := r.GetPolicy(ctx, version)
	if err != nil {
		return nil, fmt.Errorf("policy version %d: %w", version, err)
	}
	p, err := policy.Parse(row.Document)
	if err != nil {
		return nil, fmt.Errorf("policy version %d: %w", version, err)
	}
	p = p.WithVersion(version, row.Applied)
	s.inForce.Store(p)
	return p, nil
}
