package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// exportPage is how many entries are read at once.
const exportPage = 1000

// ExportLog writes the log, or one participant's part of it, as one file that
// verifies with nothing but the public key (audit.Verify). The export itself is
// an entry, and the last one of a participant's file. Older are checkpoints that
// somebody kept: the file proves that the log continues them. progress, if any,
// is told how many entries were written, of how many in the whole log.
func (s *Service) ExportLog(ctx context.Context, w io.Writer, by Actor, participant string, older []audit.Checkpoint, progress Progress) error {
	fail := func(err error) error { return wrapped("export the log", err) }
	// What was signed had its positions then; and what is refused is not on record
	// as an export.
	now, err := s.store.GetLogHead(ctx)
	if err != nil {
		return fail(err)
	}
	for _, c := range older {
		if c.Size > uint64(now.Size) { //nolint:gosec // not negative
			return Faultf(KindRefused, "", "the checkpoint that you give is of %d entries, and the log has %d: entries are missing, or it is another log's", c.Size, now.Size)
		}
	}
	head, last, err := s.sealExport(ctx, by, participant)
	if err != nil {
		return fail(err)
	}
	to := head.NoteOf
	var rules []storage.LogRow
	if participant != "" {
		to = last.Position + 1 // what came after the export's own entry is not promised
		if rules, err = s.policiesBefore(ctx, to); err != nil {
			return fail(err)
		}
	}
	x, err := audit.NewExport(ctx, w, audit.ExportHeader{Participant: participant, Checkpoint: head.Note, Older: older}, logNodes{s.store})
	if err != nil {
		return fail(err)
	}
	for q := (storage.LogQuery{Participant: participant, To: to, Limit: exportPage}); q.From < to; {
		rows, err := s.store.ListLog(ctx, q)
		if err != nil {
			return fail(err)
		}
		if len(rows) == 0 {
			break
		}
		q.From, q.After = rows[len(rows)-1].Position+1, rows[len(rows)-1].Number
		n, _ := slices.BinarySearchFunc(rules, q.From, func(row storage.LogRow, from int64) int { return cmp.Compare(row.Position, from) })
		rows, rules = append(rows, rules[:n]...), rules[n:]
		slices.SortFunc(rows, func(a, b storage.LogRow) int { return cmp.Compare(a.Position, b.Position) })
		if err := s.exportRows(ctx, x, rows); err != nil {
			return fail(err)
		}
		if progress != nil {
			progress(int(q.From), int(to))
		}
	}
	return fail(x.End())
}

// policiesBefore answers the entries by which policies of all came into force, in
// the log's order: a participant's entries refer to them.
func (s *Service) policiesBefore(ctx context.Context, to int64) ([]storage.LogRow, error) {
	var rows []storage.LogRow
	for q := (storage.EventQuery{Action: audit.PolicyApplied, Limit: exportPage}); ; {
		page, err := s.store.ListEvents(ctx, q)
		if err != nil {
			return nil, err
		}
		ids := make([]string, len(page))
		for i, e := range page {
			ids[i] = e.ID
		}
		positions, err := s.store.ListPositions(ctx, ids)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			if p, placed := positions[e.ID]; placed && p.Position < to && e.Participant == "" {
				rows = append(rows, storage.LogRow{EntryRow: e, LogPosition: p})
			}
		}
		if len(page) < q.Limit {
			slices.SortFunc(rows, func(a, b storage.LogRow) int { return cmp.Compare(a.Position, b.Position) })
			return rows, nil
		}
		q.Before = page[len(page)-1].ID
	}
}

func (s *Service) exportRows(ctx context.Context, x *audit.Export, rows []storage.LogRow) error {
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	personal, err := s.store.ListPersonal(ctx, ids)
	if err != nil {
		return err
	}
	for _, row := range rows {
		e := audit.ExportEntry{
			Position: uint64(row.Position), Participant: row.LogPosition.Participant, Number: uint64(row.Number), Canonical: row.Canonical, //nolint:gosec // not negative
		}
		for _, p := range personal[row.ID] {
			e.Personal = append(e.Personal, p.Personal)
		}
		if err := x.Entry(ctx, e); err != nil {
			return err
		}
		if row.Action != audit.PolicyApplied {
			continue
		}
		if err := s.exportPolicy(ctx, x, row); err != nil {
			return err
		}
	}
	return nil
}

// exportPolicy writes the document that an entry put in force.
func (s *Service) exportPolicy(ctx context.Context, x *audit.Export, row storage.LogRow) error {
	entry, err := audit.ReadEntry(row.Canonical)
	if err != nil {
		return err
	}
	p, err := s.store.GetPolicy(ctx, entry.PolicyVersion)
	if err != nil {
		return err
	}
	return x.Policy(audit.PolicyDocument{Version: p.Version, Participant: p.Participant, Digest: p.Digest, Document: string(p.Document)})
}

// sealExport records the export and waits until a checkpoint covers the entry.
func (s *Service) sealExport(ctx context.Context, by Actor, participant string) (storage.LogHead, storage.LogPosition, error) {
	none := func(err error) (storage.LogHead, storage.LogPosition, error) {
		return storage.LogHead{}, storage.LogPosition{}, err
	}
	if len(s.logKeys) == 0 {
		return none(errors.New("there is no key that signs"))
	}
	fresh, err := uuid.NewV7()
	if err != nil {
		return none(err)
	}
	id := fresh.String()
	err = s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		d := audit.Draft{ID: id, Action: audit.Exported, Participant: participant, Sentence: "The record was exported."}
		if participant != "" {
			if _, err := tx.GetParticipant(ctx, participant); err != nil {
				return notFound(err, "there is no participant %s", participant)
			}
			d.Sentence = "The participant's record was exported; the export is complete up to this entry."
		}
		return s.entry(ctx, tx, by, d)
	})
	if err != nil {
		return none(err)
	}
	head, err := s.checkpointOver(ctx, id)
	if err != nil {
		return none(err)
	}
	p, _, err := s.store.FindPosition(ctx, id)
	return head, p, err
}

// checkpointOver waits until a checkpoint covers an entry; a server that runs
// beside places and signs too.
func (s *Service) checkpointOver(ctx context.Context, entry string) (storage.LogHead, error) {
	for {
		if _, err := s.Place(ctx); err != nil {
			return storage.LogHead{}, err
		}
		p, placed, err := s.store.FindPosition(ctx, entry)
		if err != nil {
			return storage.LogHead{}, err
		}
		head, err := s.store.GetLogHead(ctx)
		if err != nil || placed && head.NoteOf > p.Position {
			return head, err
		}
		select {
		case <-time.After(placeEvery / 5):
		case <-ctx.Done():
			return storage.LogHead{}, fmt.Errorf("wait for a checkpoint: %w", ctx.Err())
		}
	}
}
