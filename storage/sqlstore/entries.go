package sqlstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// entryRow is an entry as a table keeps it.
type entryRow struct {
	ID          string
	At          instant
	Participant string
	UserID      string
	Actor       string
	Action      string
	Canonical   []byte
	Hash        string
}

const entryColumns = "e.id, e.at, e.participant, e.user_id, e.actor, e.action, e.canonical, e.hash"

func (row entryRow) entry() storage.EntryRow {
	return storage.EntryRow{
		ID: row.ID, At: time.Time(row.At), Participant: row.Participant, User: row.UserID, Actor: row.Actor, Action: row.Action,
		Canonical: row.Canonical, Hash: row.Hash,
	}
}

// entries answers those that a tail selects from "audit_entry e".
func (r reader) entries(ctx context.Context, tail string, args ...any) ([]storage.EntryRow, error) {
	var rows []entryRow
	if _, err := r.get(ctx, &rows, "select "+entryColumns+" from audit_entry e "+tail, args...); err != nil {
		return nil, fmt.Errorf("entries: %w", err)
	}
	found := make([]storage.EntryRow, len(rows))
	for i, row := range rows {
		found[i] = row.entry()
	}
	return found, nil
}

// ListEntries answers the entries about a user or group, or all of them,
// oldest first.
func (r reader) ListEntries(ctx context.Context, user string) ([]storage.EntryRow, error) {
	if user == "" {
		return r.entries(ctx, "order by e.at, e.id")
	}
	return r.entries(ctx, "where e.user_id = ? and e.user_id <> '' order by e.at, e.id", user)
}

// ListEvents answers a page of entries, newest first. Ids rise with time, so
// that a page by id is a page by time. To is no bound of an index: the first page
// of a period long ago goes past all entries since that the rest leaves.
func (r reader) ListEvents(ctx context.Context, q storage.EventQuery) ([]storage.EntryRow, error) {
	var where []string
	var args []any
	narrow := func(given bool, condition string, arg any) {
		if given {
			where = append(where, condition)
			args = append(args, arg)
		}
	}
	narrow(q.Participant != "", "e.participant <> '' and e.participant = ?", q.Participant)
	narrow(q.User != "", "e.user_id <> '' and e.user_id = ?", q.User)
	narrow(q.Actor != "", "e.actor <> '' and e.actor = ?", q.Actor)
	narrow(q.Action != "", "e.action = ?", q.Action)
	narrow(q.Without != "", "e.action <> ?", q.Without)
	narrow(!q.From.IsZero(), "e.at >= ?", instant(q.From))
	narrow(!q.To.IsZero(), "e.at < ?", instant(q.To))
	narrow(q.Before != "", "e.id < ?", q.Before)
	tail := " order by e.id desc limit " + strconv.Itoa(q.Limit)
	if len(where) > 0 {
		tail = "where " + strings.Join(where, " and ") + tail
	}
	return r.entries(ctx, tail, args...)
}

// GetEntry answers one entry.
func (r reader) GetEntry(ctx context.Context, id string) (storage.EntryRow, error) {
	found, err := r.entries(ctx, "where e.id = ?", id)
	if err == nil && len(found) == 0 {
		err = storage.ErrNotFound
	}
	if err != nil {
		return storage.EntryRow{}, fmt.Errorf("entry %s: %w", id, err)
	}
	return found[0], nil
}

// ListPersonal answers what was not erased of entries' personal values.
func (r reader) ListPersonal(ctx context.Context, entries []string) (map[string][]storage.PersonalValue, error) {
	among, arg := r.anyOf("entry_id", entries)
	var rows []struct {
		EntryID string
		N       int
		Name    string
		Salt    []byte
		Value   string
	}
	if _, err := r.get(ctx, &rows, "select entry_id, n, name, salt, value from audit_personal where "+among+" order by entry_id, n", arg); err != nil {
		return nil, fmt.Errorf("personal values: %w", err)
	}
	found := make(map[string][]storage.PersonalValue)
	for _, row := range rows {
		found[row.EntryID] = append(found[row.EntryID], storage.PersonalValue{N: row.N, Personal: audit.Personal{Name: row.Name, Salt: row.Salt, Value: row.Value}})
	}
	return found, nil
}

// ListPositions answers where entries stand that have a position.
func (r reader) ListPositions(ctx context.Context, entries []string) (map[string]storage.LogPosition, error) {
	among, arg := r.anyOf("a.entry_id", entries)
	var rows []positionRow
	if _, err := r.get(ctx, &rows, "select "+positionColumns+" from audit_position a where "+among, arg); err != nil {
		return nil, fmt.Errorf("positions of entries: %w", err)
	}
	found := make(map[string]storage.LogPosition, len(rows))
	for _, row := range rows {
		found[row.EntryID] = row.position()
	}
	return found, nil
}
