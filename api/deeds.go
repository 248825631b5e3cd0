package api

import (
	"context"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// evidenceView is a dated fact about a user.
type evidenceView struct {
	ID          string      `json:"id"`
	Gate        policy.Gate `json:"gate"`
	Module      string      `json:"module,omitempty"`
	CompletedAt time.Time   `json:"completedAt"`
	ValidUntil  *time.Time  `json:"validUntil"` // null: no end
	Source      string      `json:"source"`
	Recorded    time.Time   `json:"recorded"`
	Revoked     *time.Time  `json:"revoked"`
	Note        string      `json:"note,omitempty"`       // staff only, as the two below
	Actor       string      `json:"actor,omitempty"`      //
	RevokedWhy  string      `json:"revokedWhy,omitempty"` //
}

func (c *call) evidence(e storage.Evidence) evidenceView {
	v := evidenceView{
		ID: e.ID, Gate: e.Gate, Module: e.Module, CompletedAt: e.CompletedAt, Source: e.Source, Recorded: e.Recorded, Revoked: e.Revoked,
	}
	if !e.ValidUntil.IsZero() {
		v.ValidUntil = &e.ValidUntil
	}
	if c.staffTexts() {
		v.Note, v.Actor, v.RevokedWhy = e.Note, e.Actor, e.RevokedWhy
	}
	return v
}

func (s *server) listEvidence(ctx context.Context, c *call, _ none) (page[evidenceView], error) {
	u, err := s.userOf(ctx, c)
	if err != nil {
		return page[evidenceView]{}, err
	}
	kept, err := s.read.ListEvidence(ctx, u.ID)
	return whole(as(kept, c.evidence)), err
}

type newEvidence struct {
	Gate        policy.Gate `json:"gate,omitempty"` // training when absent
	Module      string      `json:"module,omitempty"`
	CompletedAt time.Time   `json:"completedAt"`
	Source      string      `json:"source,omitempty"`
	Note        string      `json:"note,omitempty"`
}

func (s *server) recordEvidence(ctx context.Context, c *call, in newEvidence) (evidenceView, error) {
	u, err := s.userOf(ctx, c)
	if err != nil {
		return evidenceView{}, err
	}
	e, err := s.Service.RecordEvidence(ctx, c.who.Actor, u.ID, lifecycle.EvidenceSpec{
		Gate: in.Gate, Module: in.Module, CompletedAt: in.CompletedAt, Source: in.Source, Note: in.Note,
	})
	return c.evidence(e), err
}

func (s *server) revokeEvidence(ctx context.Context, c *call, _ none) (none, error) {
	u, err := s.userOf(ctx, c)
	if err != nil {
		return none{}, err
	}
	return none{}, s.Service.RevokeEvidence(ctx, c.who.Actor, u.ID, c.r.PathValue("evidence"), c.query.Get("reason"))
}

type approval struct {
	Decision  string `json:"decision"` // approve, reject
	Reason    string `json:"reason,omitempty"`
	IfVersion *int64 `json:"ifVersion"` // the user's version that was looked at
}

func (s *server) approve(ctx context.Context, c *call, in approval) (UserView, error) {
	switch {
	case in.Decision != "approve" && in.Decision != "reject":
		return UserView{}, lifecycle.Faultf(lifecycle.KindInvalid, "decision", "decision is %q; expected approve or reject", in.Decision)
	case in.IfVersion == nil:
		return UserView{}, lifecycle.Faultf(lifecycle.KindInvalid, "ifVersion", "ifVersion is missing; send the version of the user that was looked at")
	}
	u, err := s.userOf(ctx, c)
	if err != nil {
		return UserView{}, err
	}
	if u, err = s.Service.Approve(ctx, c.who.Actor, u.ID, in.Decision == "approve", in.Reason, *in.IfVersion); err != nil {
		return UserView{}, err
	}
	return s.wholeUser(ctx, c, u)
}

// holdView is for staff only: its reason is.
type holdView struct {
	ID     string     `json:"id"`
	Reason string     `json:"reason"`
	Since  time.Time  `json:"since"`
	Actor  string     `json:"actor"`
	Lifted *time.Time `json:"lifted"`
}

func showHold(h storage.Hold) holdView {
	return holdView{ID: h.ID, Reason: h.Reason, Since: h.Since, Actor: h.Actor, Lifted: h.Lifted}
}

func (s *server) listHolds(ctx context.Context, c *call, _ none) (page[holdView], error) {
	u, err := s.userOf(ctx, c)
	if err != nil {
		return page[holdView]{}, err
	}
	holds, err := s.read.ListHolds(ctx, u.ID)
	return whole(as(holds, showHold)), err
}

func (s *server) hold(ctx context.Context, c *call, in why) (holdView, error) {
	u, err := s.userOf(ctx, c)
	if err != nil {
		return holdView{}, err
	}
	h, err := s.Service.Hold(ctx, c.who.Actor, u.ID, in.Reason)
	return showHold(h), err
}

func (s *server) liftHold(ctx context.Context, c *call, _ none) (none, error) {
	u, err := s.userOf(ctx, c)
	if err != nil {
		return none{}, err
	}
	return none{}, s.Service.LiftHold(ctx, c.who.Actor, u.ID, c.r.PathValue("hold"))
}

type identity struct {
	GivenName  string `json:"givenName"`
	FamilyName string `json:"familyName"`
	Email      string `json:"email"`
	Username   string `json:"username,omitempty"` // absent when none is assigned
}

func (s *server) deactivate(ctx context.Context, c *call, in identity) (UserView, error) {
	u, err := s.Service.Deactivate(ctx, c.who.Actor, c.who.Participant, c.id(), lifecycle.Identity(in))
	if err != nil {
		return UserView{}, err
	}
	return s.wholeUser(ctx, c, u)
}

type alerts struct {
	Value string `json:"value"` // none, alerts, alerts-plus
}

func (s *server) setClinicalAlerts(ctx context.Context, c *call, in alerts) (UserView, error) {
	u, err := s.Service.SetClinicalAlerts(ctx, c.who.Actor, c.who.Participant, c.id(), in.Value)
	if err != nil {
		return UserView{}, err
	}
	return s.wholeUser(ctx, c, u)
}

func (s *server) resendActivation(ctx context.Context, c *call, _ none) (none, error) {
	return none{}, s.Service.ResendActivation(ctx, c.who.Actor, c.who.Participant, c.id())
}
