package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// The kinds of history. Each body is digested behind its kind, so that a row of
// one table never passes for one of another.
const (
	userHistory        = "user_history"
	groupHistory       = "group_history"
	participantHistory = "participant_history"
)

// HistoryDigest is the digest of a user's history row over its body: SHA-256 of
// "healthix-scim/user_history", a zero byte and the body.
func HistoryDigest(body []byte) audit.Digest { return digestOf(userHistory, string(body)) }

func digestOf(kind, body string) audit.Digest {
	return audit.Sum([]byte("healthix-scim/" + kind + "\x00" + body))
}

// userRecord is a version of a user as the record keeps it: member order is
// fixed, times have microseconds. Members are only ever added, at the end.
type userRecord struct {
	ID               string           `json:"id"`
	Participant      string           `json:"participant"`
	Version          int64            `json:"version"`
	ValidFrom        string           `json:"validFrom"`
	UserName         string           `json:"userName"`
	UserNameKey      string           `json:"userNameKey"`
	ExternalID       string           `json:"externalId,omitempty"`
	ExternalShared   bool             `json:"externalShared,omitempty"`
	DisplayName      string           `json:"displayName,omitempty"`
	GivenName        string           `json:"givenName,omitempty"`
	FamilyName       string           `json:"familyName,omitempty"`
	Email            string           `json:"email,omitempty"`
	EmailKey         string           `json:"emailKey,omitempty"`
	Mobile           string           `json:"mobile,omitempty"`
	Title            string           `json:"title,omitempty"`
	TitleKey         string           `json:"titleKey,omitempty"`
	Department       string           `json:"department,omitempty"`
	Active           bool             `json:"active"`
	HealthixUsername string           `json:"healthixUsername,omitempty"`
	ClinicalAlerts   string           `json:"clinicalAlerts,omitempty"`
	ReleasedAt       string           `json:"releasedAt,omitempty"`
	ClosedAt         string           `json:"closedAt,omitempty"`
	InvitedAt        string           `json:"invitedAt,omitempty"`
	Created          string           `json:"created"`
	LastModified     string           `json:"lastModified"`
	Deleted          string           `json:"deleted,omitempty"`
	Decision         policy.Decision  `json:"decision"`
	Document         storage.Document `json:"document"`
}

func userRecordOf(u storage.User, validFrom time.Time) userRecord {
	return userRecord{
		ID: u.ID, Participant: u.Participant, Version: u.Version, ValidFrom: audit.Stamp(validFrom),
		UserName: u.UserName, UserNameKey: u.UserNameKey, ExternalID: u.ExternalID, ExternalShared: u.ExternalShared,
		DisplayName: u.DisplayName, GivenName: u.GivenName, FamilyName: u.FamilyName,
		Email: u.Email, EmailKey: u.EmailKey, Mobile: u.Mobile, Title: u.Title, TitleKey: u.TitleKey,
		Department: u.Department, Active: u.Active,
		HealthixUsername: u.HealthixUsername, ClinicalAlerts: u.ClinicalAlerts,
		ReleasedAt: stamp(u.ReleasedAt), ClosedAt: stamp(u.ClosedAt), InvitedAt: stamp(u.InvitedAt),
		Created: audit.Stamp(u.Created), LastModified: audit.Stamp(u.LastModified), Deleted: stamp(u.Deleted),
		Decision: u.Decision, Document: u.Document,
	}
}

// groupRecord is a version of a group and what it changed of the members.
type groupRecord struct {
	ID           string           `json:"id"`
	Participant  string           `json:"participant"`
	Version      int64            `json:"version"`
	ValidFrom    string           `json:"validFrom"`
	DisplayName  string           `json:"displayName"`
	ExternalID   string           `json:"externalId,omitempty"`
	Created      string           `json:"created"`
	LastModified string           `json:"lastModified"`
	Deleted      string           `json:"deleted,omitempty"`
	Document     storage.Document `json:"document"`
	Cleared      bool             `json:"cleared,omitempty"`
	Added        []memberRecord   `json:"added,omitempty"`
	Removed      []string         `json:"removed,omitempty"`
}

type memberRecord struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

func groupRecordOf(g storage.Group, change storage.MemberChange, validFrom time.Time) groupRecord {
	r := groupRecord{
		ID: g.ID, Participant: g.Participant, Version: g.Version, ValidFrom: audit.Stamp(validFrom),
		DisplayName: g.DisplayName, ExternalID: g.ExternalID,
		Created: audit.Stamp(g.Created), LastModified: audit.Stamp(g.LastModified), Deleted: stamp(g.Deleted),
		Document: g.Document, Cleared: change.Clear, Removed: change.Remove,
	}
	for _, m := range change.Add {
		r.Added = append(r.Added, memberRecord{ID: m.ID, Type: m.Type})
	}
	return r
}

// participantRecord is a version of a participant.
type participantRecord struct {
	ID        string           `json:"id"`
	Version   int64            `json:"version"`
	ValidFrom string           `json:"validFrom"`
	Name      string           `json:"name"`
	Type      string           `json:"type"`
	Status    string           `json:"status"`
	Mode      string           `json:"mode"`
	Settings  storage.Settings `json:"settings"`
	Reason    string           `json:"reason,omitempty"`
	ClosedAt  string           `json:"closedAt,omitempty"`
	Created   string           `json:"created"`
	Changed   string           `json:"changed"`
}

func participantRecordOf(p storage.Participant, validFrom time.Time) participantRecord {
	return participantRecord{
		ID: p.ID, Version: p.Version, ValidFrom: audit.Stamp(validFrom), Name: p.Name, Type: p.Type,
		Status: p.Status, Mode: p.Mode, Settings: p.Settings, Reason: p.Reason, ClosedAt: stamp(p.ClosedAt),
		Created: audit.Stamp(p.Created), Changed: audit.Stamp(p.Changed),
	}
}

func stamp(t *time.Time) string {
	if t == nil {
		return ""
	}
	return audit.Stamp(*t)
}

// validFrom is when a version begins to hold: now, but strictly after the
// version before it, else two versions would share an instant.
func (t *tx) validFrom(ctx context.Context, table, key, id string, version int64) (time.Time, error) {
	if version == 1 {
		return t.Now(), nil
	}
	if err := t.flush(ctx); err != nil { // a deed may write one twice
		return time.Time{}, err
	}
	var before instant
	found, err := t.get(ctx, &before, "select valid_from from "+table+" where "+key+" = ? and version = ?", id, version-1)
	if err != nil {
		return time.Time{}, err
	}
	if after := time.Time(before).Add(time.Microsecond); found > 0 && after.After(t.Now()) {
		return after, nil
	}
	return t.Now(), nil
}

// recordText is a record's canonical bytes.
func recordText(record any) (string, error) {
	text, err := jsonText(record)
	if err != nil {
		return "", fmt.Errorf("encode the history row: %w", err)
	}
	return text, nil
}

// ListHistory answers a user's versions, oldest first.
func (r reader) ListHistory(ctx context.Context, user string) ([]storage.HistoryRow, error) {
	var rows []struct {
		UserID    string
		Version   int64
		ValidFrom instant
		Body      string
		Digest    string
	}
	if _, err := r.get(ctx, &rows, "select user_id, version, valid_from, body, digest from user_history where user_id = ? order by version", user); err != nil {
		return nil, fmt.Errorf("history of user %s: %w", user, err)
	}
	history := make([]storage.HistoryRow, len(rows))
	for i, row := range rows {
		history[i] = storage.HistoryRow{
			User: row.UserID, Version: row.Version, ValidFrom: time.Time(row.ValidFrom),
			Body: json.RawMessage(row.Body), Digest: row.Digest,
		}
	}
	return history, nil
}
