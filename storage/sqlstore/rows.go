package sqlstore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// userRow is a user as a table keeps it. Columns that only queries look at are
// written with it and not read back.
type userRow struct {
	ID               string `gorm:"primaryKey"`
	Participant      string
	Version          int64
	UserName         string
	UserNameKey      string
	ExternalID       string
	DisplayName      string
	DisplayNameKey   string
	GivenName        string
	GivenNameKey     string
	FamilyName       string
	FamilyNameKey    string
	Email            string
	EmailKey         string
	Mobile           string
	Title            string
	TitleFold        string
	TitleKey         string
	Department       string
	DepartmentFold   string
	Active           bool
	SharedExternal   bool
	Document         string
	Fold             string
	Status           string
	Role             string
	TitleRole        string
	RequestedRole    string
	Permissions      string
	ClosedGates      string
	TitleSince       *instant
	Transition       bool
	Reason           string
	JobCodeTitle     string
	UserType         string
	NPI              string
	Rule             string
	PolicyVersion    int64
	DecidedAt        instant
	ClosedSeen       *instant
	ValidUntil       *instant
	TrainingExpires  *instant
	Decision         string // without its trace
	Trace            string
	HealthixUsername string
	ClinicalAlerts   string
	ReleasedAt       *instant
	ClosedAt         *instant
	InvitedAt        *instant
	Created          instant
	Modified         instant
	Deleted          *instant
	Erased           *instant

	// The participant's state, joined at every read.
	ParticipantType     string   `gorm:"->"`
	ParticipantStatus   string   `gorm:"->"`
	ParticipantMode     string   `gorm:"->"`
	ParticipantVersion  int64    `gorm:"->"`
	ParticipantClosedAt *instant `gorm:"->"`
	ParticipantRecovers *instant `gorm:"->"`

	// What a newer policy version leaves, joined likewise.
	NarrowVersion *int64  `gorm:"->"`
	Narrowing     *string `gorm:"->"`
}

// TableName names the table for gorm.
func (userRow) TableName() string { return "users" }

const userColumns = `u.id, u.participant, u.version, u.user_name, u.user_name_key, u.external_id, u.shared_external,
  u.display_name, u.given_name, u.family_name, u.email, u.email_key, u.mobile, u.title, u.title_key, u.department,
  u.active, u.document, u.fold, u.decision, u.healthix_username, u.clinical_alerts, u.released_at, u.closed_at,
  u.invited_at, u.created, u.modified, u.deleted, u.erased, p.type as participant_type, p.status as participant_status,
  p.mode as participant_mode, p.version as participant_version, p.closed_at as participant_closed_at, p.recovering as participant_recovers,
  case when n.user_id is not null then ` + carriedVersion + ` end as narrow_version, n.narrowing`

func userRowOf(u storage.User) (userRow, error) {
	row := userRow{
		ID: u.ID, Participant: u.Participant, Version: u.Version,
		UserName: u.UserName, UserNameKey: u.UserNameKey, ExternalID: u.ExternalID, SharedExternal: u.ExternalShared,
		DisplayName: u.DisplayName, DisplayNameKey: storage.FoldKey(u.DisplayName),
		GivenName: u.GivenName, GivenNameKey: storage.FoldKey(u.GivenName),
		FamilyName: u.FamilyName, FamilyNameKey: storage.FoldKey(u.FamilyName),
		Email: u.Email, EmailKey: u.EmailKey, Mobile: u.Mobile,
		Title: u.Title, TitleFold: storage.FoldKey(u.Title), TitleKey: u.TitleKey,
		Department: u.Department, DepartmentFold: storage.FoldKey(u.Department),
		Active: u.Active,
		Status: string(u.Decision.Status), Role: u.Decision.Role, TitleRole: u.Decision.TitleRole,
		RequestedRole: u.Decision.RequestedRole, Transition: u.Decision.Transition, Reason: u.Decision.Reason,
		JobCodeTitle: u.Decision.JobCodeTitle, Rule: u.Decision.Rule,
		UserType: textIn(u.Document, userTypePath), NPI: textIn(u.Document, npiPath),
		TitleSince: instantOf(u.Decision.Gate(policy.GateTitle).Since), PolicyVersion: u.Decision.PolicyVersion, DecidedAt: instant(u.Decision.DecidedAt), ClosedSeen: instantOf(u.Decision.ClosedSeen),
		ValidUntil: instantOf(u.Decision.ValidUntil), TrainingExpires: instantOf(u.Decision.TrainingExpiresAt),
		HealthixUsername: u.HealthixUsername, ClinicalAlerts: u.ClinicalAlerts,
		ReleasedAt: instantOf(u.ReleasedAt), ClosedAt: instantOf(u.ClosedAt), InvitedAt: instantOf(u.InvitedAt),
		Created: instant(u.Created), Modified: instant(u.LastModified), Deleted: instantOf(u.Deleted), Erased: instantOf(u.Erased),
	}
	permissions := u.Decision.Permissions
	if permissions == nil {
		permissions = []string{}
	}
	var err error
	if row.Document, err = documentText(u.Document); err != nil {
		return userRow{}, err
	}
	if row.Fold, err = foldText(u.Fold); err != nil {
		return userRow{}, err
	}
	if row.Permissions, err = jsonText(permissions); err != nil {
		return userRow{}, fmt.Errorf("encode permissions: %w", err)
	}
	if row.ClosedGates, err = jsonText(u.Decision.ClosedGates()); err != nil {
		return userRow{}, fmt.Errorf("encode closed gates: %w", err)
	}
	trace := u.Decision.Trace
	if trace == nil {
		trace = []policy.Step{}
	}
	if row.Trace, err = jsonText(trace); err != nil {
		return userRow{}, fmt.Errorf("encode trace: %w", err)
	}
	short := u.Decision
	short.Trace = nil
	if row.Decision, err = jsonText(short); err != nil {
		return userRow{}, fmt.Errorf("encode decision: %w", err)
	}
	return row, nil
}

func (row userRow) user() (storage.User, error) {
	u := storage.User{
		ID: row.ID, Participant: row.Participant, Version: row.Version,
		UserName: row.UserName, UserNameKey: row.UserNameKey, ExternalID: row.ExternalID, ExternalShared: row.SharedExternal,
		DisplayName: row.DisplayName, GivenName: row.GivenName, FamilyName: row.FamilyName,
		Email: row.Email, EmailKey: row.EmailKey, Mobile: row.Mobile,
		Title: row.Title, TitleKey: row.TitleKey, Department: row.Department, Active: row.Active,
		Fold:             json.RawMessage(row.Fold),
		HealthixUsername: row.HealthixUsername, ClinicalAlerts: row.ClinicalAlerts,
		ReleasedAt: row.ReleasedAt.time(), ClosedAt: row.ClosedAt.time(), InvitedAt: row.InvitedAt.time(),
		Created: *(&row.Created).time(), LastModified: *(&row.Modified).time(), Deleted: row.Deleted.time(), Erased: row.Erased.time(),
		ParticipantState: policy.ParticipantState{
			Type: row.ParticipantType, Status: row.ParticipantStatus, Mode: row.ParticipantMode,
			Version: row.ParticipantVersion, ClosedAt: row.ParticipantClosedAt.time(), Recovering: row.ParticipantRecovers != nil,
		},
	}
	var err error
	if u.Document, err = documentOf(row.Document); err != nil {
		return storage.User{}, fmt.Errorf("read the document of user %s: %w", row.ID, err)
	}
	if err = json.Unmarshal([]byte(row.Decision), &u.Decision); err != nil {
		return storage.User{}, fmt.Errorf("read the decision of user %s: %w", row.ID, err)
	}
	if row.NarrowVersion != nil {
		if u.Narrowing, err = narrowing(*row.NarrowVersion, *row.Narrowing); err != nil {
			return storage.User{}, fmt.Errorf("read what a policy version leaves to user %s: %w", row.ID, err)
		}
	}
	return u, nil
}

// groupRow is a group as a table keeps it.
type groupRow struct {
	ID             string `gorm:"primaryKey"`
	Participant    string
	Version        int64
	DisplayName    string
	DisplayNameKey string
	ExternalID     string
	Document       string
	Fold           string
	Created        instant
	Modified       instant
	Deleted        *instant
}

// TableName names the table for gorm.
func (groupRow) TableName() string { return "groups" }

const groupColumns = `g.id, g.participant, g.version, g.display_name, g.display_name_key, g.external_id, g.document,
  g.fold, g.created, g.modified, g.deleted`

func groupRowOf(g storage.Group) (groupRow, error) {
	row := groupRow{
		ID: g.ID, Participant: g.Participant, Version: g.Version,
		DisplayName: g.DisplayName, DisplayNameKey: g.DisplayNameKey, ExternalID: g.ExternalID,
		Created: instant(g.Created), Modified: instant(g.LastModified), Deleted: instantOf(g.Deleted),
	}
	var err error
	if row.Document, err = documentText(g.Document); err != nil {
		return groupRow{}, err
	}
	if row.Fold, err = foldText(g.Fold); err != nil {
		return groupRow{}, err
	}
	return row, nil
}

func (row groupRow) group() (storage.Group, error) {
	g := storage.Group{
		ID: row.ID, Participant: row.Participant, Version: row.Version,
		DisplayName: row.DisplayName, DisplayNameKey: row.DisplayNameKey, ExternalID: row.ExternalID,
		Fold: json.RawMessage(row.Fold), Created: *(&row.Created).time(), LastModified: *(&row.Modified).time(), Deleted: row.Deleted.time(),
	}
	var err error
	if g.Document, err = documentOf(row.Document); err != nil {
		return storage.Group{}, fmt.Errorf("read the document of group %s: %w", row.ID, err)
	}
	return g, nil
}

// jsonText is JSON without HTML escapes, members of maps in order.
func jsonText(v any) (string, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(buf.String(), "\n"), nil
}

func documentText(doc storage.Document) (string, error) {
	if doc == nil {
		doc = storage.Document{}
	}
	text, err := jsonText(doc)
	if err != nil {
		return "", fmt.Errorf("encode document: %w", err)
	}
	return text, holdsNUL("document", text)
}

// textIn is the text at a path of a document, "" when there is none.
func textIn(doc map[string]any, path []string) string {
	for _, name := range path[:len(path)-1] {
		doc, _ = doc[name].(map[string]any)
	}
	text, _ := doc[path[len(path)-1]].(string)
	return text
}

func foldText(fold json.RawMessage) (string, error) {
	if len(fold) == 0 {
		return "{}", nil
	}
	return string(fold), holdsNUL("folded document", string(fold))
}

func documentOf(text string) (storage.Document, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber() // a number stays as it was sent
	var doc storage.Document
	return doc, dec.Decode(&doc)
}

// holdsNUL refuses U+0000 in JSON text: PostgreSQL cannot keep it.
func holdsNUL(what, text string) error {
	for rest := text; ; {
		at := strings.Index(rest, `\u0000`)
		if at < 0 {
			return nil
		}
		slashes := 0
		for i := at - 1; i >= 0 && rest[i] == '\\'; i-- {
			slashes++
		}
		if slashes%2 == 0 { // else the backslash itself is escaped
			return fmt.Errorf("%s holds the character U+0000, which no database column can keep", what)
		}
		rest = rest[at+len(`\u0000`):]
	}
}
