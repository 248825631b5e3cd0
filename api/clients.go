package api

import (
	"context"
	"encoding/json"
	"time"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

// ClientView is an OAuth client's record. Its secret is answered once, when it
// is made.
type ClientView struct {
	ID          string          `json:"id"` // the client_id
	Participant string          `json:"participant"`
	Label       string          `json:"label,omitempty"`
	Scopes      []string        `json:"scopes"`
	Methods     []string        `json:"methods"`        // how it proves itself at the token endpoint
	Keys        []clientKeyView `json:"keys,omitempty"` // public, of a client that signs
	Created     time.Time       `json:"created"`
	CreatedBy   string          `json:"createdBy"`
	Expires     time.Time       `json:"expires"`
	Revoked     *time.Time      `json:"revoked"`
	LastUsed    *time.Time      `json:"lastUsed"` // when it last fetched a token
	Secret      string          `json:"secret,omitempty"`
}

type clientKeyView struct {
	Kid string `json:"kid"`
	Alg string `json:"alg"`
}

func showClient(c storage.Client) (ClientView, error) {
	v := ClientView{
		ID: c.ID, Participant: c.Participant, Label: c.Label, Scopes: c.Scopes, Methods: auth.SecretMethods(),
		Created: c.Created, CreatedBy: c.CreatedBy, Expires: c.Expires, Revoked: c.Revoked, LastUsed: c.LastUsed,
	}
	keys, err := auth.ReadKeys(c.Keys)
	if err != nil {
		return ClientView{}, err
	}
	if len(keys) > 0 {
		v.Methods = []string{auth.SignedMethod}
	}
	for _, k := range keys {
		v.Keys = append(v.Keys, clientKeyView{Kid: k.Kid, Alg: k.Alg})
	}
	return v, nil
}

func (s *server) listClients(ctx context.Context, c *call, _ none) (page[ClientView], error) {
	participant, err := c.within(c.query.Get("participant"))
	if err != nil {
		return page[ClientView]{}, err
	}
	clients, err := s.read.ListClients(ctx, participant)
	if err != nil {
		return page[ClientView]{}, err
	}
	views := make([]ClientView, len(clients))
	for i, client := range clients {
		if views[i], err = showClient(client); err != nil {
			return page[ClientView]{}, err
		}
	}
	return whole(views), nil
}

type newClient struct {
	Participant string          `json:"participant,omitempty"`
	Label       string          `json:"label,omitempty"`
	Scopes      []string        `json:"scopes,omitempty"`
	JWKS        json.RawMessage `json:"jwks,omitempty"` // public keys, for a client that signs; without them it gets a secret
	TTL         string          `json:"ttl,omitempty"`  // like 8760h
}

func (s *server) issueClient(ctx context.Context, c *call, in newClient) (ClientView, error) {
	spec := lifecycle.ClientSpec{Label: in.Label, Scopes: in.Scopes}
	if in.TTL != "" {
		ttl, err := time.ParseDuration(in.TTL)
		if err != nil || ttl <= 0 {
			return ClientView{}, lifecycle.Faultf(lifecycle.KindInvalid, "ttl", "ttl is %q; expected a duration like 8760h", in.TTL)
		}
		spec.TTL = ttl
	}
	var err error
	if in.JWKS != nil && string(in.JWKS) != "null" {
		if spec.Keys, err = auth.ParseKeys(in.JWKS); err != nil {
			return ClientView{}, err
		}
	}
	if spec.Participant, err = c.within(in.Participant); err != nil {
		return ClientView{}, err
	}
	client, secret, err := s.Service.IssueClient(ctx, c.who.Actor, spec)
	if err != nil {
		return ClientView{}, err
	}
	v, err := showClient(client)
	v.Secret = secret
	return v, err
}

func (s *server) revokeClient(ctx context.Context, c *call, _ none) (none, error) {
	client, err := s.read.GetClient(ctx, c.id())
	if err != nil {
		return none{}, err
	}
	if own := c.who.Participant; own != "" && client.Participant != own {
		return none{}, storage.ErrNotFound
	}
	if err := s.Service.RevokeClient(ctx, c.who.Actor, client.ID); err != nil {
		return none{}, err
	}
	s.Checker.ForgetClient(client.ID) // here at once; on other nodes within seconds
	return none{}, nil
}
