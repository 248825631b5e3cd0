package lifecycle

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

const (
	// linkLife is how long an activation link may be used.
	linkLife = 7 * 24 * time.Hour
	// repeatLife is how long a redeem repeats its answer for the same
	// Idempotency-Key: a portal whose connection broke may ask again.
	repeatLife = 15 * time.Minute
	// minKey is the shortest root key that is taken, in bytes.
	minKey = 32
)

// activationKey derives the key of activation codes from the root key, so that
// no other use of the root ever makes a code.
func activationKey(root []byte) ([]byte, error) {
	if len(root) < minKey {
		return nil, fmt.Errorf("the secret key has %d bytes; at least %d are needed", len(root), minKey)
	}
	key, err := hkdf.Key(sha256.New, root, nil, "healthix activation code v1", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive activation key: %w", err)
	}
	return key, nil
}

// ActivationCode is the code of a link on record. It is computed when a mail is
// sent, equal on every retry, and stored nowhere: the database holds its digest.
func (s *Service) ActivationCode(activation string) string {
	mac := hmac.New(sha256.New, s.codeKey)
	mac.Write([]byte(activation))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func codeHash(code string) []byte {
	sum := sha256.Sum256([]byte(code))
	return sum[:]
}

// newActivation issues a link; an earlier one that was not used is void.
func (s *Service) newActivation(ctx context.Context, tx storage.Tx, on *dossier, u storage.User) (storage.Activation, error) {
	if err := on.voidLinks(ctx, tx, u.ID); err != nil {
		return storage.Activation{}, err
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return storage.Activation{}, fmt.Errorf("activation id: %w", err)
	}
	link := storage.Activation{
		ID: id.String(), User: u.ID, Participant: u.Participant, CodeHash: codeHash(s.ActivationCode(id.String())),
		Issued: tx.Now(), Expires: tx.Now().Add(linkLife), ClosedSeen: u.ParticipantState.ClosedAt,
	}
	if err := tx.PutActivation(ctx, link); err != nil {
		return storage.Activation{}, fmt.Errorf("keep activation %s: %w", link.ID, err)
	}
	on.along.link = &link
	return link, nil
}

// voidLinks ends the links of a user that were not used.
func (d *dossier) voidLinks(ctx context.Context, tx storage.Tx, user string) error {
	links, err := tx.ListActivations(ctx, user)
	if err != nil {
		return fmt.Errorf("links of %s: %w", user, err)
	}
	now := tx.Now()
	for _, l := range links {
		if l.Voided != nil || l.Redeemed != nil {
			continue
		}
		l.Voided = &now
		if err := tx.PutActivation(ctx, l); err != nil {
			return fmt.Errorf("void activation %s: %w", l.ID, err)
		}
		d.along.voidedLinks = append(d.along.voidedLinks, l.ID)
	}
	return nil
}

// LinkLives says whether a link may still be used at an instant: access must be
// released, and must not have been closed at any time since the link was issued.
// A user's own closing voids the row; a participant's is told by the closing that
// was known when it was issued, and rewrites no rows (product.md).
func LinkLives(l storage.Activation, u storage.User, now time.Time) bool {
	return l.Voided == nil && now.Before(l.Expires) && u.Deleted == nil &&
		u.Access(now).Status == policy.StatusReleased && policy.ClosedAsSeen(l.ClosedSeen, u.ParticipantState)
}

// ResendActivation sends a new link; the old one is void.
func (s *Service) ResendActivation(ctx context.Context, by Actor, participant, user string) error {
	_, err := s.onUser(ctx, by, participant, user, func(ctx context.Context, d *deed) (change, error) {
		switch {
		case d.at.Settings.SSO:
			return change{}, Faultf(KindRefused, "", "this participant signs on by itself; there is no link to send")
		case d.u.Access(d.tx.Now()).Status != policy.StatusReleased:
			return change{}, Faultf(KindRefused, "", "access is not released; a link is sent when it is: %s", d.u.Access(d.tx.Now()).Reason)
		}
		return s.newLink(ctx, d, "activation.resent", "A new activation link was asked for; earlier ones are void.")
	})
	if err != nil {
		return fmt.Errorf("resend activation of %s: %w", user, err)
	}
	return nil
}

// newLink issues a link and promises to send it.
func (s *Service) newLink(ctx context.Context, d *deed, action, sentence string) (change, error) {
	link, err := s.newActivation(ctx, d.tx, d.on, d.u)
	if err != nil {
		return change{}, err
	}
	if err := d.tx.Enqueue(ctx, JobCredentials, link.ID, link.ID, time.Time{}); err != nil {
		return change{}, fmt.Errorf("promise the link: %w", err)
	}
	return change{action: action, sentence: sentence, fields: []audit.Field{public("activation", link.ID)}}, nil
}

// errNotACode answers every code that opens nothing in the same words, so that
// nobody learns which codes were ever real.
func errNotACode() error {
	return Faultf(KindRefused, "code", "this link is not valid any more; ask your Authorized User Manager for a new one")
}

// Redeem uses a code: once, within its life, while access is released, looked
// at again under a row lock. For the same idempotency key the answer is
// repeated for 15 minutes, as long as access stays released.
func (s *Service) Redeem(ctx context.Context, by Actor, code, idempotencyKey string) (Redeemed, error) {
	if len(code) > 200 || len(idempotencyKey) > 200 {
		return Redeemed{}, Faultf(KindInvalid, "code", "code and Idempotency-Key have 200 bytes at most")
	}
	// Unknown codes are many and cost no write transaction.
	found, ok, err := s.store.FindActivation(ctx, codeHash(code))
	if err != nil {
		return Redeemed{}, fmt.Errorf("look for activation: %w", err)
	}
	if !ok || (by.Participant != "" && by.Participant != found.Participant) {
		return Redeemed{}, errNotACode()
	}
	var answer Redeemed
	var refused error
	err = s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		answer, refused = Redeemed{}, nil
		u, err := tx.LockUser(ctx, found.Participant, found.User)
		if err != nil {
			return fmt.Errorf("user %s: %w", found.User, err)
		}
		link, err := tx.LockActivation(ctx, found.ID)
		if err != nil {
			return fmt.Errorf("activation %s: %w", found.ID, err)
		}
		at, err := tx.GetParticipant(ctx, u.Participant)
		if err != nil {
			return fmt.Errorf("participant %s: %w", u.Participant, err)
		}
		now := tx.Now()
		key := sha256.Sum256([]byte(idempotencyKey))
		repeats := link.Redeemed != nil && idempotencyKey != "" && link.RedeemKey == hex.EncodeToString(key[:]) && now.Sub(*link.Redeemed) < repeatLife
		entry := audit.Draft{Participant: u.Participant, User: u.ID, Fields: []audit.Field{public("activation", link.ID)}}
		if repeats { // it was used in time
			link.Expires = link.Redeemed.Add(repeatLife)
		}
		// Where people sign on by themselves, no link makes a password.
		if !LinkLives(link, u, now) || at.Settings.SSO || (link.Redeemed != nil && !repeats) {
			refused = errNotACode()
			entry.Action, entry.Sentence = "activation.refused", "An activation link was presented that is used, void or expired, or whose access is closed, or where people sign on by themselves."
			return s.entry(ctx, tx, by, entry) // a refusal is kept (product rule 15)
		}
		d := u.Access(now)
		answer = Redeemed{
			ID: u.ID, Participant: u.Participant, Username: u.HealthixUsername, Role: d.Role, Permissions: slices.Clone(d.Permissions),
			Email: u.Email, Mobile: u.Mobile, ValidUntil: d.ValidUntil,
		}
		if repeats {
			return nil
		}
		link.Redeemed = &now
		if idempotencyKey != "" {
			link.RedeemKey = hex.EncodeToString(key[:])
		}
		if err := tx.PutActivation(ctx, link); err != nil {
			return fmt.Errorf("keep activation %s: %w", link.ID, err)
		}
		entry.Action, entry.Sentence = "activation.redeemed", "The activation link was used."
		return s.entry(ctx, tx, by, entry)
	})
	if err != nil {
		return Redeemed{}, fmt.Errorf("redeem: %w", err)
	}
	if refused != nil {
		return Redeemed{}, refused
	}
	return answer, nil
}
