package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// UserView is a user as the API shows one.
type UserView struct {
	ID           string     `json:"id"`
	Participant  string     `json:"participant"`
	UserName     string     `json:"userName"`
	ExternalID   *string    `json:"externalId"`
	Name         nameView   `json:"name"`
	Email        *string    `json:"email"`
	Mobile       *string    `json:"mobile"`
	Title        *string    `json:"title"`
	Department   *string    `json:"department"`
	Active       bool       `json:"active"`
	Access       accessView `json:"access"`
	Created      time.Time  `json:"created"`
	Deleted      *time.Time `json:"deleted,omitempty"`
	Erased       bool       `json:"erased,omitempty"` // what was personal is gone
	LastModified time.Time  `json:"lastModified"`
	Version      int64      `json:"version"`
}

type nameView struct {
	GivenName  string `json:"givenName"`
	FamilyName string `json:"familyName"`
	Formatted  string `json:"formatted,omitempty"`
}

type accessView struct {
	Status            policy.Status `json:"status"`
	Role              *string       `json:"role"`
	Permissions       []string      `json:"permissions"`
	RequestedRole     *string       `json:"requestedRole"`
	Gates             []gateView    `json:"gates"`
	Username          *string       `json:"username"`
	ReleasedAt        *time.Time    `json:"releasedAt"`
	TrainingExpiresAt *time.Time    `json:"trainingExpiresAt"`
	ValidUntil        *time.Time    `json:"validUntil"`
	ClinicalAlerts    string        `json:"clinicalAlerts"`
	Activation        string        `json:"activation,omitempty"` // sent, redeemed, expired; of one user only
	PolicyVersion     int64         `json:"policyVersion"`
	Reason            string        `json:"reason"`
}

type gateView struct {
	Gate    policy.Gate `json:"gate"`
	Open    bool        `json:"open"`
	Reason  string      `json:"reason"`
	Since   *time.Time  `json:"since"`
	Missing []string    `json:"missing,omitempty"`
}

// optional is a text that may be absent: null, never "".
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// text picks the staff's sentence for staff, if there is one, and the outward
// one for everybody else.
func (c *call) text(outward, staff string) string {
	if staff != "" && c.staffTexts() {
		return staff
	}
	return outward
}

// user shows a user as things stand at an instant.
func (c *call) user(u storage.User, now time.Time) UserView {
	d := u.Access(now)
	formatted := ""
	if name, ok := u.Document["name"].(map[string]any); ok {
		formatted, _ = name["formatted"].(string)
	}
	return UserView{
		ID: u.ID, Participant: u.Participant, UserName: u.UserName, ExternalID: optional(u.ExternalID),
		Name:  nameView{GivenName: u.GivenName, FamilyName: u.FamilyName, Formatted: formatted},
		Email: optional(u.Email), Mobile: optional(u.Mobile), Title: optional(u.Title), Department: optional(u.Department),
		Active: u.Active, Created: u.Created, Deleted: u.Deleted, Erased: u.Erased != nil || u.UserName == "", LastModified: u.LastModified, Version: u.Version,
		Access: accessView{
			Status: d.Status, Role: optional(d.Role), Permissions: append([]string{}, d.Permissions...), RequestedRole: optional(d.RequestedRole),
			Gates: as(d.Gates, c.gate), Username: optional(u.HealthixUsername), ReleasedAt: u.ReleasedAt,
			TrainingExpiresAt: d.TrainingExpiresAt, ValidUntil: d.ValidUntil, ClinicalAlerts: u.ClinicalAlerts,
			PolicyVersion: d.PolicyVersion, Reason: c.text(d.Reason, d.Staff),
		},
	}
}

func (c *call) gate(g policy.GateState) gateView {
	return gateView{Gate: g.Gate, Open: g.Open, Reason: c.text(g.Reason, g.Staff), Since: g.Since, Missing: g.Missing}
}

// userOf answers the user in the path; another participant's is not found.
func (s *server) userOf(ctx context.Context, c *call) (storage.User, error) {
	return c.looksAt(s.read.GetUser(ctx, c.who.Participant, c.id()))
}

var (
	statuses = []string{"pending", "released", "suspended", "revoked", "ineligible"}
	gates    = []string{"participant", "title", "email", "mobile", "training", "approval", "npi", "hold"}
)

func oneOf(name, value string, known []string) error {
	if value == "" || slices.Contains(known, value) {
		return nil
	}
	return lifecycle.Faultf(lifecycle.KindInvalid, name, "%s is %q; expected %s", name, value, orNone(known))
}

// userFilter is what a list of users is narrowed by.
func userFilter(c *call) (storage.Filter, error) {
	q := c.query
	if err := oneOf("status", q.Get("status"), statuses); err != nil {
		return nil, err
	}
	if err := oneOf("gate", q.Get("gate"), gates); err != nil {
		return nil, err
	}
	if err := oneOf("sort", q.Get("sort"), []string{"since"}); err != nil {
		return nil, err
	}
	switch {
	case q.Get("sort") == "":
	case q.Get("gate") == "":
		return nil, lifecycle.Faultf(lifecycle.KindInvalid, "gate", "gate is missing; name the gate since which people are to be sorted")
	case q.Get("asOf") != "":
		return nil, lifecycle.Faultf(lifecycle.KindInvalid, "sort", "sort is for who waits now; leave sort or asOf out")
	}
	all := storage.And{}
	if text := storage.FoldKey(q.Get("q")); text != "" {
		either := storage.Or{storage.Cmp{Field: storage.FieldUserName, Op: storage.OpCo, Value: storage.UserNameKey(q.Get("q"))}}
		for _, field := range []storage.Field{storage.FieldDisplayName, storage.FieldGivenName, storage.FieldFamilyName, storage.FieldEmail} {
			either = append(either, storage.Cmp{Field: field, Op: storage.OpCo, Value: text})
		}
		all = append(all, either)
	}
	for _, by := range []struct {
		name  string
		field storage.Field
	}{{"status", storage.FieldStatus}, {"role", storage.FieldRole}, {"gate", storage.FieldGate}} {
		if value := q.Get(by.name); value != "" {
			all = append(all, storage.Cmp{Field: by.field, Op: storage.OpEq, Value: value})
		}
	}
	return all, nil
}

func (s *server) listUsers(ctx context.Context, c *call, _ none) (page[UserView], error) {
	var empty page[UserView]
	participant, err := c.within(c.query.Get("participant"))
	if err != nil {
		return empty, err
	}
	filter, err := userFilter(c)
	if err != nil {
		return empty, err
	}
	limit, err := c.limit()
	if err != nil {
		return empty, err
	}
	bound, err := json.Marshal([]string{"users", participant, c.query.Get("q"), c.query.Get("status"), c.query.Get("role"), c.query.Get("gate"), c.query.Get("sort")})
	if err != nil {
		return empty, fmt.Errorf("bind cursor: %w", err)
	}
	at, err := s.asOf(ctx, c)
	if err != nil {
		return empty, err
	}
	if at != nil {
		return s.listUsersAt(ctx, c, participant, *at, limit)
	}
	now := s.Service.Now()
	q := storage.Query{Participant: participant, Filter: filter, Limit: limit + 1, Total: true, Now: now}
	if c.query.Get("sort") != "" {
		return s.queue(ctx, c, policy.Gate(c.query.Get("gate")), q, bound)
	}
	if q.After, err = after[storage.Position](s, bound, c.query.Get("cursor")); err != nil {
		return empty, err
	}
	users, total, err := s.read.ListUsers(ctx, q)
	if err != nil {
		return empty, err
	}
	answer := page[UserView]{Total: &total}
	if len(users) > limit {
		users = users[:limit]
		next, err := s.cursor(bound, users[limit-1].Position(q))
		if err != nil {
			return empty, err
		}
		answer.NextCursor = &next
	}
	answer.Items = as(users, func(u storage.User) UserView { return c.user(u, now) })
	return answer, nil
}

// everOf is userOf that finds deleted users too, for operators and auditors: who
// left is still asked about.
func (s *server) everOf(ctx context.Context, c *call) (storage.User, error) {
	u, err := s.userOf(ctx, c)
	if !errors.Is(err, storage.ErrNotFound) || !c.staffTexts() {
		return u, err
	}
	found, _, listed := s.read.ListUsers(ctx, storage.Query{
		Participant: c.who.Participant, Deleted: true, Limit: 1, Now: s.Service.Now(),
		Filter: storage.Cmp{Field: storage.FieldID, Op: storage.OpEq, Value: c.id()},
	})
	if listed != nil || len(found) == 0 {
		return u, errors.Join(listed, err)
	}
	return c.looksAt(found[0], nil)
}

func (s *server) getUser(ctx context.Context, c *call, _ none) (userAnswer, error) {
	at, err := s.asOf(ctx, c)
	if err != nil {
		return userAnswer{}, err
	}
	if at != nil {
		return s.getUserAt(ctx, c, *at)
	}
	u, err := s.everOf(ctx, c)
	if err != nil {
		return userAnswer{}, err
	}
	v, err := s.wholeUser(ctx, c, u)
	return userAnswer{UserView: v}, err
}

// wholeUser shows a user and how far their activation link has come.
func (s *server) wholeUser(ctx context.Context, c *call, u storage.User) (UserView, error) {
	links, err := s.read.ListActivations(ctx, u.ID)
	if err != nil {
		return UserView{}, err
	}
	now := s.Service.Now()
	v := c.user(u, now)
	if len(links) > 0 {
		v.Access.Activation = activation(links[0], u, now)
	}
	return v, s.tellEnrolment(ctx, c, &v)
}

// activation says how far the newest link has come.
func activation(a storage.Activation, u storage.User, now time.Time) string {
	switch {
	case a.Redeemed != nil:
		return "redeemed"
	case lifecycle.LinkLives(a, u, now):
		return "sent"
	default:
		return "expired"
	}
}

// decisionView is a decision with the trace that led there.
type decisionView struct {
	User        string        `json:"user"`
	Status      policy.Status `json:"status"`
	Role        *string       `json:"role"`
	Permissions []string      `json:"permissions"`
	TitleRole   *string       `json:"titleRole"`
	NormalTitle *string       `json:"normalTitle"`
	Rule        *string       `json:"rule"`
	JobCode     *string       `json:"jobCodeTitle"` // what the job code stands for, when it disagrees with the title
	Transition  bool          `json:"transition"`
	Gates       []gateView    `json:"gates"`
	Trace       []policy.Step `json:"trace"`
	Reason      string        `json:"reason"`

	ValidUntil    *time.Time `json:"validUntil"`
	PolicyVersion int64      `json:"policyVersion"`
	DecidedAt     time.Time  `json:"decidedAt"`
	Version       int64      `json:"version"`
}

func (s *server) getDecision(ctx context.Context, c *call, _ none) (decisionView, error) {
	at, err := s.asOf(ctx, c)
	if err != nil {
		return decisionView{}, err
	}
	if at != nil {
		u, err := s.userAt(ctx, c, *at)
		if err != nil {
			return decisionView{}, err
		}
		return c.decision(u, u.Decision.Trace, *at), nil
	}
	u, err := s.userOf(ctx, c)
	if err != nil {
		return decisionView{}, err
	}
	trace, err := s.read.GetTrace(ctx, u.Participant, u.ID)
	if err != nil {
		return decisionView{}, err
	}
	return c.decision(u, trace, s.Service.Now()), nil
}

// decision shows the decision on a user as it holds at an instant.
func (c *call) decision(u storage.User, trace []policy.Step, at time.Time) decisionView {
	d := u.Access(at)
	return decisionView{
		User: u.ID, Status: d.Status, Role: optional(d.Role), Permissions: append([]string{}, d.Permissions...),
		TitleRole: optional(d.TitleRole), NormalTitle: optional(d.NormalTitle), Rule: optional(d.Rule), JobCode: optional(d.JobCodeTitle), Transition: d.Transition,
		Gates: as(d.Gates, c.gate), Trace: append([]policy.Step{}, trace...), Reason: c.text(d.Reason, d.Staff),
		ValidUntil: d.ValidUntil, PolicyVersion: d.PolicyVersion, DecidedAt: d.DecidedAt, Version: u.Version,
	}
}
