package lifecycle

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/healthix/healthix-scim/audit"
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

	// LogKeys sign the checkpoints of the record: the first for good, the others,
	// of before a change of keys, sign along. None: nothing is signed.
	LogKeys []ed25519.PrivateKey

	Offsite      Offsite       // where checkpoints go; nil: nowhere
	OffsiteEvery time.Duration // how often they leave; 0: 1h
	Stream       Stream        // where entries go; nil: nowhere

	ClientTokenTTL time.Duration // how long a token lives that an OAuth client fetched, from 1m to 12h; 0: 1h

	LMS LMS // where people are trained; nil: invitations go out without enrolment

	// Templates is a folder of mail templates that replace built-in ones, by name;
	// nil for none.
	Templates fs.FS
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
	inForce   atomic.Pointer[rulebook]
	pending   atomic.Pointer[rulebook]
	reading   sync.Mutex // of documents into the two

	clientTokenTTL time.Duration

	logKeys []ed25519.PrivateKey
	signers atomic.Pointer[[]*audit.Signer] // of logKeys
	logEnd  atomic.Pointer[logEnd]          // where this process left the log

	offsite       Offsite
	offsiteEvery  time.Duration
	offsiteFailed atomic.Int64
	gap           atomic.Pointer[Gap]
	compared      atomic.Int64 // when with what left, in microseconds; 0 for never
	heard         sync.Map     // since when a wait after a recovery is over, by wait
	sizeSeen      atomic.Int64 // entries of the log when it was looked at last
	stream        Stream
	streamFailed  atomic.Int64

	letters *templates

	lms        LMS
	keyRefused atomic.Bool  // by the LMS
	touched    atomic.Int64 // policy version under which all learners were looked at
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
	ttl, err := clientTTL(o.ClientTokenTTL)
	if err != nil {
		return nil, err
	}
	letters, err := readTemplates(o.Templates)
	if err != nil {
		return nil, fmt.Errorf("mail templates: %w", err)
	}
	s := &Service{
		letters: letters,
		store:   o.Store, mailer: o.Mailer, codeKey: codeKey, portalURL: o.PortalURL,
		random: o.Random, clock: o.Clock, log: o.Log, clientTokenTTL: ttl, lms: o.LMS, logKeys: o.LogKeys,
		offsite: o.Offsite, offsiteEvery: o.OffsiteEvery, stream: o.Stream,
	}
	if s.offsiteEvery == 0 {
		s.offsiteEvery = time.Hour
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
	letters.stumbled = func(kind string, err error) {
		s.log.Error("a mail template of your own cannot write this message; the built-in one was sent", "kind", kind, "error", err)
	}
	return s, nil
}

// Reader looks things up outside a transaction.
func (s *Service) Reader() storage.Reader { return s.store }

// Now is the time at which readers see access: UTC, whole microseconds. Deeds
// use their transaction's clock instead.
func (s *Service) Now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }
