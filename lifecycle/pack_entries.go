package lifecycle

import (
	"context"
	"strings"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// lookup finds the entries about one person, when somebody asks.
type lookup struct {
	read     storage.Reader
	user     string
	byDigest map[string][]audit.Kept
}

// of answers the entry that committed to a version: the one about access, where
// there are two. documented says whether another one, or the only one, is about
// something else.
func (l *lookup) of(ctx context.Context, digest string) (entry audit.Kept, documented bool, err error) {
	if l.byDigest == nil {
		l.byDigest = map[string][]audit.Kept{}
		err := eachEvent(ctx, l.read, storage.EventQuery{User: l.user, Without: ActionRead}, func(e audit.Kept) error {
			for _, d := range e.History {
				l.byDigest[d.String()] = append(l.byDigest[d.String()], e)
			}
			return nil
		})
		if err != nil {
			return entry, false, err
		}
	}
	for _, e := range l.byDigest[digest] {
		about := strings.HasPrefix(e.Action, "access.")
		documented = documented || !about
		if about || entry.ID == "" {
			entry = e
		}
	}
	return entry, documented, nil
}

// eachEvent hands entries to do, newest first.
func eachEvent(ctx context.Context, read storage.Reader, q storage.EventQuery, do func(audit.Kept) error) error {
	q.Limit = exportPage
	for {
		rows, err := read.ListEvents(ctx, q)
		if err != nil {
			return err
		}
		for _, row := range rows {
			e, err := audit.ReadEntry(row.Canonical)
			if err != nil {
				return err
			}
			if err := do(e); err != nil {
				return err
			}
		}
		if len(rows) < q.Limit {
			return nil
		}
		q.Before = rows[len(rows)-1].ID
	}
}
