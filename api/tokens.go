package api

import (
	"context"
	"slices"
	"time"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

// TokenView is a token's record. The token itself is answered once, when it is
// issued.
type TokenView struct {
	ID          string     `json:"id"`
	Participant *string    `json:"participant"`
	Scope       string     `json:"scope"`
	Subject     string     `json:"subject"`
	Label       string     `json:"label,omitempty"`
	Issued      time.Time  `json:"issued"`
	IssuedBy    string     `json:"issuedBy"`
	Expires     time.Time  `json:"expires"`
	Revoked     *time.Time `json:"revoked"`
	LastUsed    *time.Time `json:"lastUsed"`
	Token       string     `json:"token,omitempty"`
}

// ShowToken shows a token's record, never the token.
func ShowToken(t storage.Token) TokenView {
	return TokenView{
		ID: t.ID, Participant: optional(t.Participant), Scope: t.Scope, Subject: t.Subject, Label: t.Label,
		Issued: t.Issued, IssuedBy: t.IssuedBy, Expires: t.Expires, Revoked: t.Revoked, LastUsed: t.LastUsed,
	}
}

// mine says whether the caller may see and revoke a token: a participant's own
// manager sees that participant's machine tokens only.
func (c *call) mine(t storage.Token) bool {
	return c.who.Scope != auth.ScopeAUM || t.Participant == c.who.Participant && t.Scope == auth.ScopeSCIM
}

func (s *server) listTokens(ctx context.Context, c *call, _ none) (page[TokenView], error) {
	participant, err := c.within(c.query.Get("participant"))
	if err != nil {
		return page[TokenView]{}, err
	}
	tokens, err := s.read.ListTokens(ctx, participant)
	if err != nil {
		return page[TokenView]{}, err
	}
	tokens = slices.DeleteFunc(tokens, func(t storage.Token) bool { return !c.mine(t) })
	return whole(as(tokens, ShowToken)), nil
}

type newToken struct {
	Participant string `json:"participant,omitempty"`
	Scope       string `json:"scope"`
	Subject     string `json:"subject,omitempty"`
	Label       string `json:"label,omitempty"`
	TTL         string `json:"ttl,omitempty"` // like 720h
}

func (s *server) issueToken(ctx context.Context, c *call, in newToken) (TokenView, error) {
	spec := lifecycle.TokenSpec{Participant: in.Participant, Scope: in.Scope, Subject: in.Subject, Label: in.Label}
	if in.TTL != "" {
		ttl, err := time.ParseDuration(in.TTL)
		if err != nil || ttl <= 0 {
			return TokenView{}, lifecycle.Faultf(lifecycle.KindInvalid, "ttl", "ttl is %q; expected a duration like 720h", in.TTL)
		}
		spec.TTL = ttl
	}
	switch {
	case c.who.Scope == auth.ScopeAUM && in.Scope != auth.ScopeSCIM:
		return TokenView{}, lifecycle.Faultf(lifecycle.KindForbidden, "scope", "a participant's manager issues tokens of scope scim only")
	case in.Scope == auth.ScopeOperator:
		// Who could give themselves a second subject could approve their own doing.
		return TokenView{}, lifecycle.Faultf(lifecycle.KindForbidden, "scope", "operator tokens are issued with the command line: healthix-scim token issue --scope operator")
	}
	var err error
	if spec.Participant, err = c.within(in.Participant); err != nil {
		return TokenView{}, err
	}
	record, err := s.Service.IssueToken(ctx, c.who.Actor, spec)
	if err != nil {
		return TokenView{}, err
	}
	text, err := s.Signer.Mint(record)
	if err != nil {
		return TokenView{}, err
	}
	v := ShowToken(record)
	v.Token = text
	return v, nil
}

func (s *server) revokeToken(ctx context.Context, c *call, _ none) (none, error) {
	t, err := s.read.GetToken(ctx, c.id())
	if err != nil {
		return none{}, err
	}
	if !c.mine(t) {
		return none{}, storage.ErrNotFound
	}
	if err := s.Service.RevokeToken(ctx, c.who.Actor, t.ID); err != nil {
		return none{}, err
	}
	s.Checker.Forget(t.ID) // here at once; on other nodes within seconds
	return none{}, nil
}
