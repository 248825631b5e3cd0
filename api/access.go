package api

import (
	"context"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// portalView is what the portal acts on: permissions, never the role.
type portalView struct {
	Participant string        `json:"participant"`
	Status      policy.Status `json:"status"`
	Username    *string       `json:"username"`
	Role        *string       `json:"role"`
	Permissions []string      `json:"permissions"`
	Email       *string       `json:"email"`
	Mobile      *string       `json:"mobile"`
	Version     int64         `json:"version"`
	ValidUntil  *time.Time    `json:"validUntil"`
}

func (s *server) portal(u storage.User) portalView {
	d := u.Access(s.Service.Now())
	return portalView{
		Participant: u.Participant, Status: d.Status, Username: optional(u.HealthixUsername), Role: optional(d.Role), Permissions: append([]string{}, d.Permissions...),
		Email: optional(u.Email), Mobile: optional(u.Mobile), Version: u.Version, ValidUntil: d.ValidUntil,
	}
}

func (s *server) getAccess(ctx context.Context, c *call, _ none) (portalView, error) {
	return s.found(c)(s.read.FindHealthixUsername(ctx, c.r.PathValue("username")))
}

// findAccess is for single sign-on: the portal knows the person as the
// participant's identity provider does.
func (s *server) findAccess(ctx context.Context, c *call, _ none) (portalView, error) {
	participant, userName, externalID := c.query.Get("participant"), c.query.Get("userName"), c.query.Get("externalId")
	switch within := c.who.Participant; {
	case participant == "":
		return portalView{}, lifecycle.Faultf(lifecycle.KindInvalid, "participant", "participant is missing; name the participant whose sign-on it was")
	case within != "" && participant != within: // not even its settings are told
		return portalView{}, storage.ErrNotFound
	case (userName == "") == (externalID == ""):
		return portalView{}, lifecycle.Faultf(lifecycle.KindInvalid, "userName", "send either userName or externalId")
	case userName != "":
		return s.found(c)(s.read.FindUserName(ctx, participant, storage.UserNameKey(userName)))
	default:
		at, err := s.read.GetParticipant(ctx, participant)
		if err != nil {
			return portalView{}, err
		}
		if at.Settings.SharedExternalID {
			return portalView{}, lifecycle.Faultf(lifecycle.KindRefused, "externalId", "several people may share an externalId at this participant; ask by userName")
		}
		return s.found(c)(s.read.FindExternalID(ctx, participant, externalID))
	}
}

// found shows whom a Find answered, unless they are beyond the caller's bound.
func (s *server) found(c *call) func(storage.User, bool, error) (portalView, error) {
	return func(u storage.User, ok bool, err error) (portalView, error) {
		if err != nil {
			return portalView{}, err
		}
		if within := c.who.Participant; !ok || within != "" && u.Participant != within {
			return portalView{}, storage.ErrNotFound
		}
		return s.portal(u), nil
	}
}

type redeemRequest struct {
	Code string `json:"code"`
}

type redeemedView struct {
	ID          string     `json:"id"`
	Participant string     `json:"participant"`
	Username    string     `json:"username"`
	Role        *string    `json:"role"`
	Permissions []string   `json:"permissions"`
	Email       *string    `json:"email"`
	Mobile      *string    `json:"mobile"`
	ValidUntil  *time.Time `json:"validUntil"`
}

// Rates of redeeming, per client address. A code cannot be guessed; this keeps
// a broken or hostile client from filling the record.
var (
	portalRedeemRate = Rate{PerSecond: 50, Burst: 100} // the portal speaks for everybody
	personRedeemRate = Rate{PerSecond: 1, Burst: 20}   // a hospital shares one address
)

func (s *server) redeem(ctx context.Context, c *call, in redeemRequest) (redeemedView, error) {
	if in.Code == "" {
		return redeemedView{}, lifecycle.Faultf(lifecycle.KindInvalid, "code", "code is missing; send the code from the activation link")
	}
	if err := s.pace(c.header, s.visitors, "redeem "+neighbourhood(c.who.Actor.Source), portalRedeemRate); err != nil {
		return redeemedView{}, err
	}
	got, err := s.Service.Redeem(ctx, c.who.Actor, in.Code, c.r.Header.Get("Idempotency-Key"))
	if err != nil {
		return redeemedView{}, err
	}
	return redeemedView{
		ID: got.ID, Participant: got.Participant, Username: got.Username, Role: optional(got.Role),
		Permissions: append([]string{}, got.Permissions...), Email: optional(got.Email), Mobile: optional(got.Mobile), ValidUntil: got.ValidUntil,
	}, nil
}
