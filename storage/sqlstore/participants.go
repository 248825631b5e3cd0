package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// participantRow is a participant as a table keeps it.
type participantRow struct {
	ID       string `gorm:"primaryKey"`
	Name     string
	Type     string
	Status   string
	Mode     string
	Settings string
	Reason   string
	ClosedAt *instant
	Version  int64
	Created  instant
	Changed  instant

	Recovering *instant
}

// TableName names the table for gorm.
func (participantRow) TableName() string { return "participant" }

func participantRowOf(p storage.Participant) (participantRow, error) {
	settings, err := jsonText(p.Settings)
	if err != nil {
		return participantRow{}, fmt.Errorf("encode settings: %w", err)
	}
	return participantRow{
		ID: p.ID, Name: p.Name, Type: p.Type, Status: p.Status, Mode: p.Mode, Settings: settings, Reason: p.Reason,
		ClosedAt: instantOf(p.ClosedAt), Version: p.Version, Created: instant(p.Created), Changed: instant(p.Changed), Recovering: instantOf(p.Recovering),
	}, nil
}

func (row participantRow) participant() (storage.Participant, error) {
	p := storage.Participant{
		ID: row.ID, Name: row.Name, Type: row.Type, Status: row.Status, Mode: row.Mode, Reason: row.Reason,
		ClosedAt: row.ClosedAt.time(), Version: row.Version, Created: time.Time(row.Created), Changed: time.Time(row.Changed), Recovering: row.Recovering.time(),
	}
	if err := json.Unmarshal([]byte(row.Settings), &p.Settings); err != nil {
		return storage.Participant{}, fmt.Errorf("read the settings of participant %s: %w", row.ID, err)
	}
	return p, nil
}

func (r reader) participants(ctx context.Context, tail string, args ...any) ([]storage.Participant, error) {
	var rows []participantRow
	if _, err := r.get(ctx, &rows, "select id, name, type, status, mode, settings, reason, closed_at, version, created, changed, recovering from participant p "+tail, args...); err != nil {
		return nil, err
	}
	found := make([]storage.Participant, len(rows))
	for i, row := range rows {
		var err error
		if found[i], err = row.participant(); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// GetParticipant answers one participant.
func (r reader) GetParticipant(ctx context.Context, id string) (storage.Participant, error) {
	return r.getParticipant(ctx, id, "")
}

// LockParticipant answers one participant and keeps others from changing it.
func (t *tx) LockParticipant(ctx context.Context, id string) (storage.Participant, error) {
	return t.getParticipant(ctx, id, t.lock("p"))
}

func (r reader) getParticipant(ctx context.Context, id, lock string) (storage.Participant, error) {
	found, err := r.participants(ctx, "where id = ?"+lock, id)
	if err != nil {
		return storage.Participant{}, fmt.Errorf("participant %s: %w", id, err)
	}
	if len(found) == 0 {
		return storage.Participant{}, fmt.Errorf("participant %s: %w", id, storage.ErrNotFound)
	}
	return found[0], nil
}

// ListParticipants answers all participants by id.
func (r reader) ListParticipants(ctx context.Context) ([]storage.Participant, error) {
	found, err := r.participants(ctx, "order by id")
	if err != nil {
		return nil, fmt.Errorf("participants: %w", err)
	}
	return found, nil
}

// PutParticipant keeps a participant and its history row.
func (t *tx) PutParticipant(ctx context.Context, p storage.Participant) (audit.Digest, error) {
	digest, err := t.putParticipant(ctx, p)
	if err != nil {
		return audit.Digest{}, fmt.Errorf("keep participant %s version %d: %w", p.ID, p.Version, err)
	}
	return digest, nil
}

func (t *tx) putParticipant(ctx context.Context, p storage.Participant) (audit.Digest, error) {
	row, err := participantRowOf(p)
	if err != nil {
		return audit.Digest{}, err
	}
	validFrom, err := t.validFrom(ctx, participantHistory, "participant", p.ID, p.Version)
	if err != nil {
		return audit.Digest{}, err
	}
	body, err := recordText(participantRecordOf(p, validFrom))
	if err != nil {
		return audit.Digest{}, err
	}
	if err := t.put(ctx, &row, "version", row.Version); err != nil {
		return audit.Digest{}, err
	}
	digest := digestOf(participantHistory, body)
	t.add(participantHistory, "participant, version, valid_from, body, digest",
		p.ID, p.Version, instant(validFrom), body, digest.String())
	return digest, nil
}
