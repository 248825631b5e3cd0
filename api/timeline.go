package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// timelineView is one entry of a user's record: what happened, and what it
// changed.
type timelineView struct {
	ID            string      `json:"id"`
	At            time.Time   `json:"at"`
	Action        string      `json:"action"`
	Actor         actorView   `json:"actor"`
	Request       string      `json:"request,omitempty"` // staff only, as the two below
	Source        string      `json:"source,omitempty"`  //
	Fields        []fieldView `json:"fields,omitempty"`  //
	Rule          *string     `json:"rule"`
	PolicyVersion *int64      `json:"policyVersion"`
	Sentence      string      `json:"sentence"`
	Version       *int64      `json:"version"` // of the user, that it brought; null when it brought none
	Changes       []movedView `json:"changes"`
}

// movedView is what one value was before and after. What was erased of it is
// null.
type movedView struct {
	Field  string  `json:"field"`
	Before *string `json:"before"`
	After  *string `json:"after"`
	Erased bool    `json:"erased,omitempty"`
}

func (s *server) getTimeline(ctx context.Context, c *call, _ none) (page[timelineView], error) {
	var empty page[timelineView]
	u, err := s.everOf(ctx, c)
	if err != nil {
		return empty, err
	}
	rows, err := s.entriesOf(ctx, u)
	if err != nil {
		return empty, err
	}
	history, err := s.read.ListHistory(ctx, u.ID)
	if err != nil {
		return empty, err
	}
	personal, err := s.personalOf(ctx, rows)
	if err != nil {
		return empty, err
	}
	bodies := make([]entryBody, len(rows))
	for i, row := range rows {
		if bodies[i], err = readEntry(row); err != nil {
			return empty, err
		}
	}
	moves := movesOf(rows, bodies, history)
	line := make([]timelineView, 0, len(rows))
	for i, row := range rows {
		b := bodies[i]
		v := timelineView{
			ID: row.ID, At: row.At, Action: row.Action, Actor: c.actor(b.Actor), Rule: optional(b.Rule), Sentence: b.Sentence,
			Version: moves[i].version, Changes: append([]movedView{}, moves[i].changes...),
		}
		if b.PolicyVersion != 0 {
			v.PolicyVersion = &b.PolicyVersion
		}
		if row.User == u.Participant {
			if v.Changes, err = s.movedAround(ctx, u, row.At); err != nil {
				return empty, err
			}
		}
		if c.staffTexts() {
			v.Request, v.Source, v.Fields = b.RequestID, b.Source, b.fields(personal[row.ID])
		}
		line = append(line, v)
	}
	return whole(line), nil
}

// entriesOf answers what stands in a user's timeline, oldest first. Who looked at
// them does not: it is found among the events. A participant that closes or opens
// moves everybody's access and writes no user's row; it stands in everybody's
// timeline.
func (s *server) entriesOf(ctx context.Context, u storage.User) ([]storage.EntryRow, error) {
	var rows []storage.EntryRow
	q := storage.EventQuery{User: u.ID, Without: lifecycle.ActionRead, Limit: 1000}
	for {
		found, err := s.read.ListEvents(ctx, q)
		if err != nil {
			return nil, err
		}
		rows = append(rows, found...)
		if len(found) < q.Limit {
			break
		}
		q.Before = found[len(found)-1].ID
	}
	around, err := s.read.ListEntries(ctx, u.Participant)
	if err != nil {
		return nil, err
	}
	for _, row := range around {
		moves := slices.Contains([]string{"participant.suspended", "participant.resumed", "participant.live", "participant.recovering", "participant.recovered"}, row.Action)
		if moves && !row.At.Before(u.Created) && (u.Deleted == nil || row.At.Before(*u.Deleted)) {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b storage.EntryRow) int { return cmp.Or(a.At.Compare(b.At), strings.Compare(a.ID, b.ID)) })
	return rows, nil
}

// movedAround is what a change of the participant did to a user's access.
func (s *server) movedAround(ctx context.Context, u storage.User, at time.Time) ([]movedView, error) {
	none := []movedView{}
	before, err := s.read.GetUserAt(ctx, u.Participant, u.ID, at.Add(-time.Microsecond))
	if errors.Is(err, storage.ErrNotFound) {
		return none, nil
	}
	if err != nil {
		return nil, err
	}
	after, err := s.read.GetUserAt(ctx, u.Participant, u.ID, at)
	if err != nil {
		return nil, err
	}
	return append(none, differ(accessFacets(before.Access(at.Add(-time.Microsecond))), accessFacets(after.Access(at)))...), nil
}

// moved is what an entry changed of its user.
type moved struct {
	version *int64
	changes []movedView
}

// movesOf finds for each entry what it changed: an entry commits to the digests
// of the versions that its deed brought. Where two entries tell of one version,
// the one about access has what changed of access, the other one the rest.
func movesOf(rows []storage.EntryRow, bodies []entryBody, history []storage.HistoryRow) []moved {
	at := make(map[string]int, len(history))
	for i, h := range history {
		at[h.Digest] = i
	}
	aboutAccess := func(i int) bool { return strings.HasPrefix(rows[i].Action, "access.") }
	document, access := map[int]int{}, map[int]int{} // by version: which entry has it
	for i, b := range bodies {
		for _, digest := range b.History {
			version, known := at[digest]
			if !known {
				continue
			}
			if old, taken := document[version]; !taken || aboutAccess(old) && !aboutAccess(i) {
				document[version] = i
			}
			if old, taken := access[version]; !taken || !aboutAccess(old) && aboutAccess(i) {
				access[version] = i
			}
		}
	}
	moves := make([]moved, len(rows))
	for i, b := range bodies {
		for _, digest := range b.History {
			n, known := at[digest]
			if !known {
				continue
			}
			var was storage.HistoryRow // nothing before the first
			if n > 0 {
				was = history[n-1]
			}
			is := history[n]
			moves[i].version = &is.Version
			if document[n] == i {
				moves[i].changes = append(moves[i].changes, differ(documentFacets(was.Kept), documentFacets(is.Kept))...)
				moves[i].changes = append(moves[i].changes, personalChanges(was, is, b)...)
			}
			if access[n] == i {
				moves[i].changes = append(moves[i].changes, differ(accessFacets(was.Kept.Decision), accessFacets(is.Kept.Decision))...)
			}
		}
	}
	return moves
}

// facet is one value as text, "" for none.
type facet struct{ name, value string }

func differ(was, is []facet) []movedView {
	var changes []movedView
	for i := range is {
		if was[i].value != is[i].value {
			changes = append(changes, movedView{Field: is[i].name, Before: optional(was[i].value), After: optional(is[i].value)})
		}
	}
	return changes
}

func documentFacets(u storage.User) []facet {
	active := ""
	if u.Version > 0 {
		active = strconv.FormatBool(u.Active)
	}
	return []facet{
		{"title", u.Title}, {"department", u.Department}, {"active", active}, {"deleted", whenOf(u.Deleted)},
		{"healthixUsername", u.HealthixUsername}, {"clinicalAlerts", u.ClinicalAlerts},
	}
}

func accessFacets(d policy.Decision) []facet {
	version := ""
	if d.PolicyVersion > 0 {
		version = strconv.FormatInt(d.PolicyVersion, 10)
	}
	return []facet{
		{"status", string(d.Status)}, {"role", d.Role}, {"requestedRole", d.RequestedRole}, {"permissions", strings.Join(d.Permissions, " ")},
		{"closedGates", strings.Join(d.ClosedGates(), " ")}, {"validUntil", whenOf(d.ValidUntil)}, {"rule", d.Rule}, {"policyVersion", version},
	}
}

func whenOf(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// personalChanges is what changed of a user's personal half. After an erasure
// only the entry's own words say what it was that changed.
func personalChanges(was, is storage.HistoryRow, b entryBody) []movedView {
	var changes []movedView
	if is.Erased || was.Erased {
		for _, f := range b.Fields {
			if f.Digest != "" {
				changes = append(changes, movedView{Field: f.Name, Erased: true})
			}
		}
		return changes
	}
	changes = differ(personalFacets(was.Kept), personalFacets(is.Kept))
	names := slices.Sorted(maps.Keys(is.Kept.Document))
	for name := range was.Kept.Document {
		if _, kept := is.Kept.Document[name]; !kept {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		switch name {
		case "userName", "externalId", "title", "active": // told already
			continue
		}
		if before, after := attribute(was.Kept.Document[name]), attribute(is.Kept.Document[name]); before != after {
			changes = append(changes, movedView{Field: name, Before: optional(before), After: optional(after)})
		}
	}
	return changes
}

func personalFacets(u storage.User) []facet {
	return []facet{
		{"userName", u.UserName}, {"externalId", u.ExternalID}, {"givenName", u.GivenName}, {"familyName", u.FamilyName},
		{"email", u.Email}, {"mobile", u.Mobile},
	}
}

// attribute is a document's value as JSON, "" for none.
func attribute(value any) string {
	if value == nil {
		return ""
	}
	if text, ok := value.(string); ok {
		return text
	}
	text, err := json.Marshal(value)
	if err != nil { // what came from JSON can be written as JSON
		return fmt.Sprint(value)
	}
	return string(text)
}
