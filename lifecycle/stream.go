package lifecycle

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/storage"
)

// StreamLine is an entry on its way to the outside. It holds digests in place of
// what is personal, as the entry does.
type StreamLine struct {
	Position int64
	At       time.Time
	Action   string
	Text     []byte // one JSON object, without a line break
}

// Stream is where entries go. Send answers when all lines are taken; after an
// error they come again.
type Stream interface {
	Send(ctx context.Context, lines []StreamLine) error
}

const (
	// streamLease is the sending of entries: by one process at a time, in order.
	// Sending ends before the lease does.
	streamLease = "stream"
	streamLife  = 20 * time.Second
	streamTime  = 14 * time.Second
	streamLook  = time.Second
	streamRest  = time.Minute // at most, between tries
	streamLines = 200         // at once
	streamBytes = 1 << 20     // at once, but for a line that is longer
)

// RunStream takes entries to the outside in the order of the log, each at least
// once, until ctx ends. It runs on every server; one sends. No deed waits for it.
func (s *Service) RunStream(ctx context.Context) error {
	if s.stream == nil {
		return nil
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return fmt.Errorf("holder id: %w", err)
	}
	holder, most := id.String(), streamLines
	pause := streamLook
	for ctx.Err() == nil {
		n, err := s.streamSome(ctx, holder, most)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			s.streamFailed.Add(1)
			s.log.WarnContext(ctx, "entries wait for the stream to the outside", "error", err, "again in", pause.String())
			rest(ctx, pause)
			pause, most = min(2*pause, streamRest), max(most/2, 1) // a slow place takes less at once
		case n == 0:
			pause = streamLook
			rest(ctx, pause)
		default:
			pause, most = streamLook, min(2*most, streamLines)
		}
	}
	const patience = 5 * time.Second
	free, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := s.store.Write(free, func(ctx context.Context, tx storage.Tx) error { return tx.DropLease(ctx, streamLease, holder) }); err != nil {
		s.log.WarnContext(free, "a lease was not given up; it ends by itself", "lease", streamLease, "error", err)
	}
	return nil
}

// streamSome sends what comes next, and answers how many; none when there is
// nothing or another process sends.
func (s *Service) streamSome(ctx context.Context, holder string, most int) (int, error) {
	if lag, err := s.streamLag(ctx); err != nil || lag <= 0 {
		return 0, err
	}
	begin := time.Now() // a duration, never a fact
	if held, err := s.lease(ctx, streamLease, holder, streamLife); err != nil || !held {
		return 0, err
	}
	from, err := s.store.GetStreamed(ctx)
	if err != nil {
		return 0, err
	}
	head, err := s.store.GetLogHead(ctx)
	if err != nil {
		return 0, err
	}
	rows, err := s.store.ListLog(ctx, storage.LogQuery{From: from, To: head.Size, Limit: most})
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	var lines []StreamLine
	for bytes := 0; len(lines) < len(rows); {
		line, err := streamLine(rows[len(lines)])
		if err != nil {
			return 0, err
		}
		if bytes += len(line.Text); bytes > streamBytes && len(lines) > 0 {
			break
		}
		lines = append(lines, line)
	}
	send, cancel := context.WithTimeout(ctx, streamTime-time.Since(begin))
	defer cancel()
	last := lines[len(lines)-1].Position
	if err := s.stream.Send(send, lines); err != nil {
		return 0, fmt.Errorf("positions %d to %d: %w", lines[0].Position, last, err) // one line may be what the place refuses
	}
	next := last + 1
	return len(lines), s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		// A process that stood still does not put another one back.
		if held, err := tx.TakeLease(ctx, streamLease, holder, tx.Now().Add(streamLife)); err != nil || !held {
			return err
		}
		return tx.PutStreamed(ctx, next)
	})
}

func streamLine(row storage.LogRow) (StreamLine, error) {
	whose, err := json.Marshal(row.LogPosition.Participant)
	if err != nil {
		return StreamLine{}, fmt.Errorf("encode entry %s: %w", row.ID, err)
	}
	text := append([]byte(`{"position":`), strconv.FormatInt(row.Position, 10)...)
	text = append(append(text, `,"participant":`...), whose...)
	text = append(strconv.AppendInt(append(text, `,"number":`...), row.Number, 10), `,"entry":`...)
	text = append(append(text, row.Canonical...), '}')
	return StreamLine{Position: row.Position, At: row.At, Action: row.Action, Text: text}, nil
}

// streamLag is how many entries of the log wait for the stream.
func (s *Service) streamLag(ctx context.Context) (int64, error) {
	head, err := s.store.GetLogHead(ctx)
	if err != nil {
		return 0, err
	}
	from, err := s.store.GetStreamed(ctx)
	if err == nil && from > head.Size {
		err = fmt.Errorf("the stream has sent %d entries and the log has %d: the log was cut, or the database restored; run healthix-scim audit check", from, head.Size)
	}
	return head.Size - from, err
}

// StreamState is how things stand with the stream.
type StreamState struct {
	Lag    int64 // entries of the log that wait
	Failed int64 // tries of this process that went wrong
}

// StreamState answers for the metrics; nil when there is no stream.
func (s *Service) StreamState(ctx context.Context) (*StreamState, error) {
	if s.stream == nil {
		return nil, nil
	}
	lag, err := s.streamLag(ctx)
	return &StreamState{Lag: lag, Failed: s.streamFailed.Load()}, err
}
