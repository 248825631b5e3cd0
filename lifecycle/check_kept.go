package lifecycle

import (
	"context"
	"fmt"
	"slices"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// historyOf names the table of versions of a kind.
var historyOf = map[storage.KeptKind]string{
	storage.KeptUsers: "user_history", storage.KeptGroups: "group_history", storage.KeptParticipants: "participant_history",
}

// kept holds rows and versions to the entries about them.
func (c *inspection) kept(ctx context.Context) error {
	for _, kind := range []storage.KeptKind{storage.KeptParticipants, storage.KeptGroups, storage.KeptUsers} {
		for after, more := "", true; more; {
			err := c.s.store.Look(ctx, func(ctx context.Context, read storage.Reader) error {
				rows, err := read.ListKept(ctx, kind, after, keptAtOnce[kind])
				if more = len(rows) == keptAtOnce[kind]; err != nil || len(rows) == 0 {
					return err
				}
				after = rows[len(rows)-1].ID
				return c.rows(ctx, read, kind, rows)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// subject is a user, group or participant whose entries are read.
type subject struct {
	id      string
	kind    storage.KeptKind
	digests map[string]int64 // version by digest
	named   map[string]bool  // digests that an entry committed to
	erased  bool
	expected
}

func (c *inspection) rows(ctx context.Context, read storage.Reader, kind storage.KeptKind, rows []storage.KeptRow) error {
	subjects := make(map[string]*subject, len(rows))
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
		one := &subject{id: row.ID, kind: kind, digests: map[string]int64{}, named: map[string]bool{}, expected: newExpected()}
		for _, v := range row.Versions {
			one.digests[v.Digest] = v.Version
		}
		subjects[row.ID] = one
	}
	for after := (storage.EntryRow{}); ; {
		page, err := read.ListEntriesAbout(ctx, ids, after, linesAtOnce)
		if err != nil {
			return err
		}
		if err := c.about(ctx, read, subjects, page); err != nil {
			return err
		}
		if len(page) < linesAtOnce {
			break
		}
		after = page[len(page)-1]
	}
	for _, row := range rows {
		c.row(row, subjects[row.ID])
	}
	if kind != storage.KeptUsers {
		return nil
	}
	dossiers, err := read.ListDossiers(ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		c.dossier(id, subjects[id], dossiers[id])
	}
	c.advance(len(rows))
	return nil
}

// about reads a page of entries about subjects.
func (c *inspection) about(ctx context.Context, read storage.Reader, subjects map[string]*subject, page []storage.EntryRow) error {
	var wordy []string // entries whose personal values are compared with rows
	for _, e := range page {
		if slices.Contains(worded, e.Action) {
			wordy = append(wordy, e.ID)
		}
	}
	personal := map[string][]storage.PersonalValue{}
	if len(wordy) > 0 {
		var err error
		if personal, err = read.ListPersonal(ctx, wordy); err != nil {
			return err
		}
	}
	for _, e := range page {
		k, err := audit.ReadEntry(e.Canonical)
		if err != nil {
			continue // and that was said
		}
		one := subjects[e.User]
		version := int64(0)
		for _, d := range k.History {
			digest := d.String()
			v, there := one.digests[digest]
			if !there {
				c.wrong(historyOf[one.kind], one.id, "entry %s commits to a version that is not there", e.ID)
			}
			one.named[digest] = true
			version = max(version, v)
		}
		if k.Action == "user.erased" {
			one.erased = true
		}
		if one.kind == storage.KeptUsers {
			one.take(k, version, personal[e.ID])
		}
	}
	return nil
}

// row says what is wrong with a row, and with versions that no entry knows.
func (c *inspection) row(row storage.KeptRow, one *subject) {
	switch one.kind {
	case storage.KeptUsers:
		c.report.Users++
	case storage.KeptGroups:
		c.report.Groups++
	case storage.KeptParticipants:
		c.report.Participants++
	}
	for _, w := range row.Wrongs {
		c.found(w)
	}
	for _, v := range row.Versions {
		c.report.Versions++
		id := fmt.Sprintf("%s/%d", row.ID, v.Version)
		if !one.named[v.Digest] {
			c.wrong(historyOf[one.kind], id, "no entry commits to this version")
		}
		if v.Gone && !one.erased {
			c.wrong("user_personal", id, "what is personal of the version is missing, and no entry says that the user was erased")
		}
	}
}
