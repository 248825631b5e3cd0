package storage

import "time"

// Client is an OAuth client on record: a machine that fetches short-lived
// tokens with a secret or with a signature of its own key. Of the secret only a
// digest is kept.
type Client struct {
	ID          string
	Participant string
	Label       string
	Scopes      []string // what its tokens may say: scim
	SecretHash  []byte   // SHA-256 of the secret; empty when it signs
	Keys        []byte   // public keys, a JSON Web Key Set; empty when it has a secret
	Created     time.Time
	CreatedBy   string
	Expires     time.Time
	Revoked     *time.Time
	LastUsed    *time.Time // when it last fetched a token
}

// What a Credential is.
const (
	CredentialToken  = "token"
	CredentialClient = "client"
)

// Credential is what an identity provider holds for a long time, and what a
// participant has to renew before it ends: a scim token issued by hand, or an
// OAuth client.
type Credential struct {
	Kind        string // token, client
	ID          string
	Participant string
	Label       string
	Issued      time.Time
	Expires     time.Time
	Warned      int // days before its end for which a warning was promised last; 0 for none
}
