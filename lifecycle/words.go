// Package lifecycle holds the deeds: every change from request to kept fact,
// and the workers that keep promises. It is the only package that opens a write
// transaction. It knows no protocol: neither SCIM, nor HTTP, nor SQL.
package lifecycle

import (
	"context"
	"encoding/json"
	"time"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// Actor is who asks for a deed, and by which request.
type Actor struct {
	Kind        string // provider, aum, operator, auditor, portal, system
	Subject     string
	Token       string // jti
	Label       string
	Participant string // the participant the actor is bound to, "" for all
	RequestID   string
	Source      string // peer address
}

// UserDraft is what a user should be: the document as sent (canonical names)
// and its folded shadow, both made by the face that parsed it.
type UserDraft struct {
	Document storage.Document
	Fold     json.RawMessage
}

// UserEdit is a function of the old user. It may run more than once, touches
// only its arguments, and answers changed=false for a no-op, which keeps
// version and lastModified. Returning a *Fault ends the deed with nothing done.
type UserEdit func(old storage.User) (draft UserDraft, changed bool, err error)

// GroupDraft is what a group should be, without its members.
type GroupDraft struct {
	Document storage.Document
	Fold     json.RawMessage
}

// GroupEdit is a function of the old group; members is the delta it asks for.
// load lists the members in force, for edits that need them; it costs what the
// group is large.
type GroupEdit func(old storage.Group, load func() ([]storage.Member, error)) (draft GroupDraft, members storage.MemberChange, changed bool, err error)

// TokenSpec asks for a token on record.
type TokenSpec struct {
	Participant string
	Scope       string // scim, aum, operator, auditor, portal
	Subject     string
	Label       string
	TTL         time.Duration // 0: the scope's default
}

// EvidenceSpec asks for evidence on a user.
type EvidenceSpec struct {
	Gate        policy.Gate // training (default) or email
	Module      string
	CompletedAt time.Time
	Source      string
	Note        string
}

// Identity is what a deactivation by hand must match.
type Identity struct{ GivenName, FamilyName, Email, Username string }

// Redeemed is what the portal learns when a code is redeemed.
type Redeemed struct {
	ID          string
	Participant string
	Username    string
	Role        string
	Permissions []string
	Email       string
	Mobile      string
	ValidUntil  *time.Time
}

// Mail is one message to one person. ID is stable over retries.
type Mail struct {
	ID      string // becomes the Message-ID
	To      string
	Subject string
	Text    string
	HTML    string
}

// Mailer sends mail; an error is retried by the job that asked for it.
type Mailer interface {
	Send(ctx context.Context, m Mail) error
}
