package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// A check holds every table of the record to the log: positions, entries and the
// tree to each other and to signed checkpoints; versions to their digests, and
// those to the entries that commit to them; rows to their last versions; evidence,
// approvals, holds, links, tokens and clients to the entries that made and ended
// them. Whoever owns the database can change a row; they cannot change what entries
// that were signed say of it.
//
// It reads pages, each of one state of the database, so that deeds of a running
// server are never seen half; and it writes nothing.

const (
	// wrongsListed is how many findings are listed; all are counted.
	wrongsListed = 100
	// linesAtOnce is how many positions are read at once.
	linesAtOnce = 1000
	// placesAtOnce is how many entries are looked up at once.
	placesAtOnce = 5000
)

// keptAtOnce is how many rows are held to their versions at once: of a group all
// members are in memory.
var keptAtOnce = map[storage.KeptKind]int{storage.KeptUsers: 200, storage.KeptGroups: 5, storage.KeptParticipants: 50}

// CheckReport is what a check came to.
type CheckReport struct {
	Entries      int             `json:"entries"` // with a position
	Waiting      int             `json:"waiting"` // without one yet
	Root         string          `json:"root"`    // of the log, recomputed; "" when it cannot be
	Signed       int64           `json:"signed"`  // entries that the newest checkpoint covers
	Checkpoints  int             `json:"checkpoints"`
	Participants int             `json:"participants"`
	Groups       int             `json:"groups"`
	Users        int             `json:"users"`
	Versions     int             `json:"versions"`
	Policies     int             `json:"policies"`
	Clients      int             `json:"clients"`
	Tokens       int             `json:"tokens"`
	Wrongs       []storage.Wrong `json:"wrongs"`
	More         int             `json:"more"` // findings that are not listed
}

// Sound says whether nothing was found.
func (r CheckReport) Sound() bool { return len(r.Wrongs) == 0 }

// inspection is a check under way.
type inspection struct {
	s        *Service
	report   CheckReport
	progress Progress
	done     int
	total    int

	recovered []time.Time // instants at which every unused link was voided, newest first
	origin    string
	keys      []string // that sign, or signed
	head      storage.LogHead
	numbers   map[string]int64 // last one of each participant
	tree      audit.Tree
	next      int64 // position
	torn      bool  // positions are missing: the tree cannot be computed
	headless  bool  // the log's head is gone
	noteOf    audit.Digest
	largest   int64 // kept checkpoint
}

// CheckRecord compares the live tables with the log. progress, if any, is told
// how many rows were looked at, of about how many. What is wrong is in the
// report; the error says that it could not be looked at.
func (s *Service) CheckRecord(ctx context.Context, progress Progress) (CheckReport, error) {
	c := &inspection{s: s, progress: progress, numbers: map[string]int64{}, report: CheckReport{Wrongs: []storage.Wrong{}}}
	for _, stage := range []func(context.Context) error{c.begin, c.log, c.places, c.waiting, c.policies, c.kept, c.credentials, c.strays} {
		if err := stage(ctx); err != nil {
			return c.report, fmt.Errorf("check the record: %w", err)
		}
	}
	return c.report, nil
}

func (c *inspection) wrong(table, id, format string, args ...any) {
	c.found(storage.Wrong{Table: table, ID: id, Detail: fmt.Sprintf(format, args...)})
}

func (c *inspection) found(w storage.Wrong) {
	if len(c.report.Wrongs) < wrongsListed {
		c.report.Wrongs = append(c.report.Wrongs, w)
		return
	}
	c.report.More++
}

func (c *inspection) advance(n int) {
	c.done += n
	if c.progress != nil {
		c.progress(c.done, max(c.total, c.done))
	}
}

// begin reads how far the log has come and which keys are known.
func (c *inspection) begin(ctx context.Context) error {
	var err error
	if c.origin, err = c.s.Origin(ctx); err != nil {
		return err
	}
	return c.s.store.Look(ctx, func(ctx context.Context, read storage.Reader) error {
		c.head, err = read.GetLogHead(ctx)
		if errors.Is(err, storage.ErrNotFound) {
			c.wrong("audit_head", "1", "the log has no head")
			c.head, c.headless, err = storage.LogHead{Size: math.MaxInt64}, true, nil
		}
		if err != nil {
			return err
		}
		beyond, err := read.ListBeyond(ctx)
		if err != nil {
			return err
		}
		for _, w := range beyond {
			c.found(w)
		}
		users, err := read.CountKept(ctx)
		if err != nil {
			return err
		}
		c.total = users
		if !c.headless {
			c.total += 2 * int(c.head.Size)
		}
		return c.knownKeys(ctx, read)
	})
}

// knownKeys are the keys that sign now and those that are on record.
func (c *inspection) knownKeys(ctx context.Context, read storage.Reader) error {
	keys, err := c.s.LogKeys(ctx)
	if err != nil {
		return err
	}
	entries, err := entriesOf(ctx, read, LogKeySet)
	if err != nil {
		return err
	}
	for _, k := range entries {
		fields := k.Public()
		keys = append(keys, fields["key"], fields["before"])
		keys = append(keys, strings.Fields(fields["along"])...)
	}
	seen := map[string]bool{}
	for _, key := range keys {
		var damage *audit.Damage
		if _, err := audit.OpenCheckpoint("", key); errors.As(err, &damage) && !seen[key] { // it is a key
			c.keys = append(c.keys, key)
		}
		seen[key] = true
	}
	recovered, err := entriesOf(ctx, read, LogRecovered)
	for _, k := range recovered {
		c.recovered = append(c.recovered, k.At)
	}
	return err
}

// entriesOf reads the entries of an action, newest first: of one that is rare.
func entriesOf(ctx context.Context, read storage.Reader, action string) ([]audit.Kept, error) {
	var all []audit.Kept
	for q := (storage.EventQuery{Action: action, Limit: linesAtOnce}); ; {
		page, err := read.ListEvents(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			if k, err := audit.ReadEntry(e.Canonical); err == nil { // else it is found on the way
				all = append(all, k)
			}
		}
		if len(page) < q.Limit {
			return all, nil
		}
		q.Before = page[len(page)-1].ID
	}
}

// places looks for entries that stand nowhere.
func (c *inspection) places(ctx context.Context) error {
	said := map[string]bool{} // of whom, as long as findings are listed
	for after := ""; ; {
		page, err := c.s.store.ListEntryPlaces(ctx, after, placesAtOnce)
		if err != nil {
			return err
		}
		for _, e := range page {
			switch {
			case !e.Placed && !e.Pending:
				c.wrong("audit_entry", e.ID, "the entry has no position in the log, and waits for none")
			case e.Placed && e.Pending:
				c.wrong("audit_pending", e.ID, "the entry waits for a position, and has one")
			}
			if !e.Known && !said[e.User] {
				c.wrong(tableOf(e.EntryRow), e.User, "the row is missing that entry %s is about", e.ID)
				said[e.User] = len(said) < wrongsListed
			}
		}
		if len(page) < placesAtOnce {
			return nil
		}
		after = page[len(page)-1].ID
		c.advance(len(page))
	}
}

// tableOf is where an entry's subject belongs.
func tableOf(e storage.EntryRow) string {
	switch {
	case e.User == e.Participant:
		return "participant"
	case strings.HasPrefix(e.Action, "group."):
		return "groups"
	default:
		return "users"
	}
}

// waiting checks entries that have no position yet.
func (c *inspection) waiting(ctx context.Context) error {
	for after, more := "", true; more; {
		err := c.s.store.Look(ctx, func(ctx context.Context, read storage.Reader) error {
			page, err := read.ListWaiting(ctx, after, linesAtOnce)
			if more = len(page) == linesAtOnce; err != nil || len(page) == 0 {
				return err
			}
			after = page[len(page)-1].ID
			c.report.Waiting += len(page)
			return c.entries(ctx, read, page)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *inspection) strays(ctx context.Context) error {
	return c.s.store.EachStray(ctx, func(w storage.Wrong) error {
		c.found(w)
		return nil
	})
}
