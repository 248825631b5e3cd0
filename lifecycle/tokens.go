package lifecycle

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// scopeRule says what a token of a scope must and may say.
type scopeRule struct {
	participant string // must, may, never
	subject     string // what the subject is; "" when it need not be given
	ttl         time.Duration
	most        time.Duration // longest ttl; 0: maxTTL
}

const (
	machineTTL = 365 * 24 * time.Hour
	personTTL  = 30 * 24 * time.Hour
	auditorTTL = 90 * 24 * time.Hour // at most: an audit has an end
)

var scopes = map[string]scopeRule{
	"scim":     {participant: "must", ttl: machineTTL},
	"portal":   {participant: "may", subject: "the service's name", ttl: machineTTL},
	"operator": {participant: "never", subject: "the person's e-mail address", ttl: personTTL},
	"aum":      {participant: "must", subject: "the person's e-mail address", ttl: personTTL},
	"auditor":  {participant: "may", subject: "the person's e-mail address", ttl: personTTL, most: auditorTTL},
}

// maxTTL bounds how long a token may live.
const maxTTL = 3 * 365 * 24 * time.Hour

// IssueToken puts a token on record; the face that has the key mints it.
func (s *Service) IssueToken(ctx context.Context, by Actor, spec TokenSpec) (storage.Token, error) {
	rule, known := scopes[spec.Scope]
	if spec.TTL == 0 {
		spec.TTL = rule.ttl
	}
	most := maxTTL
	if rule.most != 0 {
		most = rule.most
	}
	person := rule.subject != "" && spec.Scope != "portal"
	switch {
	case !known:
		return storage.Token{}, Faultf(KindInvalid, "scope", "scope is %q; expected scim, operator, auditor, aum or portal", spec.Scope)
	case rule.participant == "must" && spec.Participant == "":
		return storage.Token{}, Faultf(KindInvalid, "participant", "participant is missing; a token of scope %s belongs to one participant", spec.Scope)
	case rule.participant == "never" && spec.Participant != "":
		return storage.Token{}, Faultf(KindInvalid, "participant", "a token of scope %s is bound to no participant; leave participant out", spec.Scope)
	case rule.subject != "" && strings.TrimSpace(spec.Subject) == "":
		return storage.Token{}, Faultf(KindInvalid, "subject", "subject is missing; send %s", rule.subject)
	case person && !isAddress(spec.Subject):
		return storage.Token{}, Faultf(KindInvalid, "subject", "subject is not an e-mail address; a token of scope %s names the person who uses it", spec.Scope)
	case len(spec.Subject) > 254 || len(spec.Label) > 100:
		return storage.Token{}, Faultf(KindInvalid, "label", "subject or label is too long; expected 254 and 100 bytes at most")
	case spec.TTL < time.Minute || spec.TTL > most:
		return storage.Token{}, Faultf(KindInvalid, "ttl", "ttl is %s; a token of scope %s lives between 1m and %dh", spec.TTL, spec.Scope, int(most.Hours()))
	}
	var kept storage.Token
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		if spec.Participant != "" {
			if _, err := tx.GetParticipant(ctx, spec.Participant); err != nil {
				return fmt.Errorf("participant %s: %w", spec.Participant, err)
			}
		}
		id, err := uuid.NewRandom()
		if err != nil {
			return fmt.Errorf("token id: %w", err)
		}
		kept = storage.Token{
			ID: id.String(), Participant: spec.Participant, Scope: spec.Scope, Subject: spec.Subject, Label: spec.Label,
			Issued: tx.Now(), IssuedBy: by.Subject, Expires: tx.Now().Add(spec.TTL).Truncate(time.Second),
		}
		if err := tx.PutToken(ctx, kept); err != nil {
			return fmt.Errorf("keep token %s: %w", kept.ID, err)
		}
		return s.entry(ctx, tx, by, audit.Draft{
			Participant: kept.Participant, Action: "token.issued", Sentence: "A token was issued.",
			Fields: append(tokenFields(kept), public("expires", audit.Stamp(kept.Expires))),
		})
	})
	if err != nil {
		return storage.Token{}, fmt.Errorf("issue token: %w", err)
	}
	return kept, nil
}

// RevokeToken ends a token; within seconds no node takes it any more. A second
// call changes nothing.
func (s *Service) RevokeToken(ctx context.Context, by Actor, id string) error {
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		t, err := tx.GetToken(ctx, id)
		if err != nil {
			return fmt.Errorf("token %s: %w", id, err)
		}
		if t.Revoked != nil {
			return nil
		}
		now := tx.Now()
		t.Revoked = &now
		if err := tx.PutToken(ctx, t); err != nil {
			return fmt.Errorf("keep token %s: %w", id, err)
		}
		return s.entry(ctx, tx, by, audit.Draft{
			Participant: t.Participant, Action: "token.revoked", Sentence: "A token was revoked.", Fields: tokenFields(t),
		})
	})
	if err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	return nil
}

// tokenFields says which token it was. Subject and label of a person's token
// name the person.
func tokenFields(t storage.Token) []audit.Field {
	of := personal
	if t.Scope == "scim" || t.Scope == "portal" {
		of = public
	}
	return []audit.Field{public("token", t.ID), public("scope", t.Scope), of("subject", t.Subject), of("label", t.Label)}
}
