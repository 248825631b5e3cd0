package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
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

// userRecord is a version of a user as the record keeps it for good: member
// order is fixed, times have microseconds. Members are only ever added, at the
// end. What is personal stands in a row of its own, which an erasure takes; here
// is its salted digest.
type userRecord struct {
	ID               string          `json:"id"`
	Participant      string          `json:"participant"`
	Version          int64           `json:"version"`
	ValidFrom        string          `json:"validFrom"`
	Title            string          `json:"title,omitempty"`
	TitleKey         string          `json:"titleKey,omitempty"`
	Department       string          `json:"department,omitempty"`
	Active           bool            `json:"active"`
	HealthixUsername string          `json:"healthixUsername,omitempty"`
	ClinicalAlerts   string          `json:"clinicalAlerts,omitempty"`
	ReleasedAt       string          `json:"releasedAt,omitempty"`
	ClosedAt         string          `json:"closedAt,omitempty"`
	InvitedAt        string          `json:"invitedAt,omitempty"`
	Created          string          `json:"created"`
	LastModified     string          `json:"lastModified"`
	Deleted          string          `json:"deleted,omitempty"`
	Erased           string          `json:"erased,omitempty"`
	Decision         policy.Decision `json:"decision"`
	Personal         string          `json:"personal"` // digest of the personal half
}

// personalRecord is the half of a version that an erasure takes.
type personalRecord struct {
	UserName       string           `json:"userName,omitempty"`
	UserNameKey    string           `json:"userNameKey,omitempty"`
	ExternalID     string           `json:"externalId,omitempty"`
	ExternalShared bool             `json:"externalShared,omitempty"`
	DisplayName    string           `json:"displayName,omitempty"`
	GivenName      string           `json:"givenName,omitempty"`
	FamilyName     string           `json:"familyName,omitempty"`
	Email          string           `json:"email,omitempty"`
	EmailKey       string           `json:"emailKey,omitempty"`
	Mobile         string           `json:"mobile,omitempty"`
	Document       storage.Document `json:"document"`
	// What staff wrote, of holds for example, may name people.
	Staff     string                 `json:"staff,omitempty"`
	GateStaff map[policy.Gate]string `json:"gateStaff,omitempty"`
}

// outward is a decision without what staff wrote. The two are kept apart, for
// staff's words go with an erasure.
func outward(d policy.Decision) policy.Decision {
	d.Staff = ""
	d.Gates = slices.Clone(d.Gates)
	for i := range d.Gates {
		d.Gates[i].Staff = ""
	}
	return d
}

func staffWords(d policy.Decision) map[policy.Gate]string {
	var words map[policy.Gate]string
	for _, g := range d.Gates {
		if g.Staff == "" {
			continue
		}
		if words == nil {
			words = map[policy.Gate]string{}
		}
		words[g.Gate] = g.Staff
	}
	return words
}

func userRecordOf(u storage.User, validFrom time.Time, personal audit.Digest) userRecord {
	return userRecord{
		ID: u.ID, Participant: u.Participant, Version: u.Version, ValidFrom: audit.Stamp(validFrom),
		Title: u.Title, TitleKey: u.TitleKey, Department: u.Department, Active: u.Active,
		HealthixUsername: u.HealthixUsername, ClinicalAlerts: u.ClinicalAlerts,
		ReleasedAt: stamp(u.ReleasedAt), ClosedAt: stamp(u.ClosedAt), InvitedAt: stamp(u.InvitedAt),
		Created: audit.Stamp(u.Created), LastModified: audit.Stamp(u.LastModified), Deleted: stamp(u.Deleted), Erased: stamp(u.Erased),
		Decision: outward(u.Decision), Personal: personal.String(),
	}
}

func personalRecordOf(u storage.User) personalRecord {
	return personalRecord{
		UserName: u.UserName, UserNameKey: u.UserNameKey, ExternalID: u.ExternalID, ExternalShared: u.ExternalShared,
		DisplayName: u.DisplayName, GivenName: u.GivenName, FamilyName: u.FamilyName,
		Email: u.Email, EmailKey: u.EmailKey, Mobile: u.Mobile, Document: u.Document,
		Staff: u.Decision.Staff, GateStaff: staffWords(u.Decision),
	}
}

// personalHalf is what a version's digest covers of its personal half.
func personalHalf(salt []byte, body string) audit.Personal {
	return audit.Personal{Name: "user", Salt: salt, Value: body}
}

// publicOf is what an erasure leaves of a version that is one whole.
func publicOf(whole string) (string, error) {
	var r userRecord
	if err := json.Unmarshal([]byte(whole), &r); err != nil {
		return "", fmt.Errorf("read a version: %w", err)
	}
	r.Decision = outward(r.Decision)
	return recordText(r)
}

// userOf reads the two halves of a version; personal is "" for one that was
// erased. A version from before the halves were told apart is one whole.
func userOf(body, personal string) (storage.User, error) {
	if body == "" {
		body = personal
	}
	if personal == "" {
		personal = body
	}
	var r userRecord
	if body != "" {
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			return storage.User{}, fmt.Errorf("read a version: %w", err)
		}
	}
	var p personalRecord
	if personal != "" {
		dec := json.NewDecoder(strings.NewReader(personal))
		dec.UseNumber() // a number stays as it was sent
		if err := dec.Decode(&p); err != nil {
			return storage.User{}, fmt.Errorf("read what is personal of a version: %w", err)
		}
	}
	u := storage.User{
		ID: r.ID, Participant: r.Participant, Version: r.Version,
		UserName: p.UserName, UserNameKey: p.UserNameKey, ExternalID: p.ExternalID, ExternalShared: p.ExternalShared,
		DisplayName: p.DisplayName, GivenName: p.GivenName, FamilyName: p.FamilyName,
		Email: p.Email, EmailKey: p.EmailKey, Mobile: p.Mobile, Document: p.Document,
		Title: r.Title, TitleKey: r.TitleKey, Department: r.Department, Active: r.Active,
		HealthixUsername: r.HealthixUsername, ClinicalAlerts: r.ClinicalAlerts, Decision: r.Decision,
	}
	if p.Staff != "" {
		u.Decision.Staff = p.Staff
	}
	for i, g := range u.Decision.Gates {
		if words := p.GateStaff[g.Gate]; words != "" {
			u.Decision.Gates[i].Staff = words
		}
	}
	for _, at := range []struct {
		text string
		to   **time.Time
	}{{r.ReleasedAt, &u.ReleasedAt}, {r.ClosedAt, &u.ClosedAt}, {r.InvitedAt, &u.InvitedAt}, {r.Deleted, &u.Deleted}, {r.Erased, &u.Erased}} {
		if at.text == "" {
			continue
		}
		when, err := unstamp(at.text)
		if err != nil {
			return storage.User{}, err
		}
		*at.to = &when
	}
	var err error
	if r.Created != "" {
		if u.Created, err = unstamp(r.Created); err != nil {
			return storage.User{}, err
		}
		if u.LastModified, err = unstamp(r.LastModified); err != nil {
			return storage.User{}, err
		}
	}
	return u, nil
}

func unstamp(text string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("read a version: %w", err)
	}
	return at.UTC(), nil
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

	Recovering string `json:"recovering,omitempty"`
}

func participantRecordOf(p storage.Participant, validFrom time.Time) participantRecord {
	return participantRecord{
		ID: p.ID, Version: p.Version, ValidFrom: audit.Stamp(validFrom), Name: p.Name, Type: p.Type,
		Status: p.Status, Mode: p.Mode, Settings: p.Settings, Reason: p.Reason, ClosedAt: stamp(p.ClosedAt),
		Created: audit.Stamp(p.Created), Changed: audit.Stamp(p.Changed), Recovering: stamp(p.Recovering),
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

// historyRow is a version as two tables keep it.
type historyRow struct {
	UserID    string
	Version   int64
	ValidFrom instant
	Body      string
	Digest    string
	Salt      []byte
	Personal  *string
	Remains   *string // of a version from before that was erased
}

// remains stands in place of a salt beside what an erasure left of a version from
// before: its public members. That is no personal half any more: to whoever asks
// for one there is none, and the bytes that its digest covers are gone.
var remains = []byte{0}

const (
	historyTables = "user_history h" + historyHalves
	historyHalves = " left join user_personal m on m.user_id = h.user_id and m.version = h.version and length(m.salt) <> 1" +
		" left join user_personal l on l.user_id = h.user_id and l.version = h.version and length(l.salt) = 1"
	historyColumns = "h.user_id, h.version, h.valid_from, h.body, h.digest, m.salt, m.body as personal, l.body as remains"
)

// version answers what was kept; its body is what the digest covers, nothing
// where an erasure took that.
func (row historyRow) version() (storage.HistoryRow, error) {
	h := storage.HistoryRow{
		User: row.UserID, Version: row.Version, ValidFrom: time.Time(row.ValidFrom),
		Body: []byte(row.Body), Digest: row.Digest, Erased: row.Personal == nil,
	}
	personal := ""
	if row.Personal != nil {
		personal = *row.Personal
	}
	body := row.Body
	switch {
	case row.Body != "":
	case row.Remains != nil:
		body, h.Body = *row.Remains, nil
	default:
		h.Body = []byte(personal) // one whole, from before
	}
	if err := row.whole(personal); err != nil {
		return h, err
	}
	var err error
	h.Kept, err = userOf(body, personal)
	return h, err
}

// whole says whether a version is what its digest covers, both halves and the
// instant from which it holds. Whoever altered the digest as well is found by the
// entry that committed to it, and that is audit check's part.
func (row historyRow) whole(personal string) error {
	body := row.Body
	switch {
	case body == "" && row.Remains != nil:
		return nil // what an erasure left of one from before has no digest
	case body == "":
		body = personal
	default:
		// The digest holds the body, and the body says these two of the others.
		if row.Personal != nil && !strings.Contains(body, `"personal":"`+personalHalf(row.Salt, personal).Digest().String()+`"`) {
			return fmt.Errorf("its personal half: %w", storage.ErrAltered)
		}
	}
	if HistoryDigest([]byte(body)).String() != row.Digest {
		return fmt.Errorf("its body: %w", storage.ErrAltered)
	}
	if !strings.Contains(body, `"validFrom":"`+audit.Stamp(time.Time(row.ValidFrom))+`"`) {
		return fmt.Errorf("its instant: %w", storage.ErrAltered)
	}
	return nil
}

// ListHistory answers a user's versions, oldest first.
func (r reader) ListHistory(ctx context.Context, user string) ([]storage.HistoryRow, error) {
	var rows []historyRow
	if _, err := r.get(ctx, &rows, "select "+historyColumns+" from "+historyTables+" where h.user_id = ? order by h.version", user); err != nil {
		return nil, fmt.Errorf("history of user %s: %w", user, err)
	}
	history := make([]storage.HistoryRow, len(rows))
	for i, row := range rows {
		var err error
		if history[i], err = row.version(); err != nil {
			return nil, fmt.Errorf("history of user %s, version %d: %w", user, row.Version, err)
		}
	}
	return history, nil
}
