// Package audit says what a kept fact looks like: entries, their canonical
// bytes and their digests. It is pure: it reads no clock, opens no file and
// talks to no database.
package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// Class says who may see a field's value. The zero value is the safe one.
type Class int

// Field classes. A value without a class never leaves the process.
const (
	ClassSecret   Class = iota // dropped: neither value nor digest is kept
	ClassPublic                // kept in the entry as it is
	ClassPersonal              // kept in the erasable table; the entry holds a salted digest
)

// Digest is a SHA-256 sum.
type Digest [sha256.Size]byte

// String renders a digest as lower-case hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Sum digests bytes.
func Sum(b []byte) Digest { return sha256.Sum256(b) }

// Actor is who did a deed.
type Actor struct {
	Kind    string `json:"kind"`              // provider, aum, operator, auditor, portal, system
	Subject string `json:"subject,omitempty"` // token subject or system user
	Token   string `json:"token,omitempty"`   // jti
	Label   string `json:"label,omitempty"`   // token label
}

// Name is what finds the deeds of an actor: the subject, or the token of a
// machine that has none.
func (a Actor) Name() string {
	if a.Subject != "" {
		return a.Subject
	}
	return a.Token
}

// Draft is an entry before it is sealed.
type Draft struct {
	ID            string // UUID, time-ordered
	At            time.Time
	Participant   string
	User          string // internal id of the user, group or participant it is about
	Actor         Actor
	Action        string // e.g. user.created, access.released
	RequestID     string
	Source        string // peer address
	Rule          string
	PolicyVersion int64
	Sentence      string   // outward English sentence, no personal data
	Fields        []Field  // what changed
	History       []Digest // of the history rows the deed wrote
}

// Field is one value with its class.
type Field struct {
	Name  string
	Class Class
	Value string
}

// Personal is a value that may be erased without breaking a proof.
type Personal struct {
	Name  string `json:"name"`
	Salt  []byte `json:"salt"` // 128 random bits of its own
	Value string `json:"value"`
}

// Entry is a sealed, immutable record of one deed.
type Entry struct {
	ID          string
	At          time.Time
	Participant string
	User        string
	Actor       Actor
	Action      string
	Canonical   []byte // the bytes that Hash covers
	Hash        Digest
	Personal    []Personal // goes to its own table
}

// canonical is the wire form of an entry: fixed member order, UTC times with
// microseconds, no insignificant space, no HTML escaping.
type canonical struct {
	V             int         `json:"v"`
	ID            string      `json:"id"`
	At            string      `json:"at"`
	Participant   string      `json:"participant"`
	User          string      `json:"user,omitempty"`
	Actor         Actor       `json:"actor"`
	Action        string      `json:"action"`
	RequestID     string      `json:"request,omitempty"`
	Source        string      `json:"source,omitempty"`
	Rule          string      `json:"rule,omitempty"`
	PolicyVersion int64       `json:"policy,omitempty"`
	Sentence      string      `json:"sentence,omitempty"`
	Fields        []wireField `json:"fields,omitempty"`
	History       []string    `json:"history,omitempty"`
}

type wireField struct {
	Name   string  `json:"name"`
	Value  *string `json:"value,omitempty"`
	Digest string  `json:"digest,omitempty"`
}

// Seal fixes a draft's canonical bytes and hash. Salts come from random, which
// must be a cryptographic source; 16 bytes are read for each personal field.
func Seal(d Draft, random io.Reader) (Entry, error) {
	c := canonical{
		V: 1, ID: d.ID, At: Stamp(d.At), Participant: d.Participant, User: d.User,
		Actor: d.Actor, Action: d.Action, RequestID: d.RequestID, Source: d.Source,
		Rule: d.Rule, PolicyVersion: d.PolicyVersion, Sentence: d.Sentence,
	}
	e := Entry{ID: d.ID, At: d.At, Participant: d.Participant, User: d.User, Actor: d.Actor, Action: d.Action}
	for _, f := range d.Fields {
		switch f.Class {
		case ClassSecret:
			continue
		case ClassPublic:
			value := f.Value
			c.Fields = append(c.Fields, wireField{Name: f.Name, Value: &value})
		case ClassPersonal:
			salt := make([]byte, 16)
			if _, err := io.ReadFull(random, salt); err != nil {
				return Entry{}, fmt.Errorf("salt field %s: %w", f.Name, err)
			}
			// A value must come back from a database and from JSON as it was digested.
			p := Personal{Name: f.Name, Salt: salt, Value: strings.ToValidUTF8(f.Value, "\ufffd")}
			c.Fields = append(c.Fields, wireField{Name: f.Name, Digest: p.Digest().String()})
			e.Personal = append(e.Personal, p)
		}
	}
	for _, h := range d.History {
		c.History = append(c.History, h.String())
	}
	var err error
	if e.Canonical, err = c.bytes(); err != nil {
		return Entry{}, fmt.Errorf("encode entry %s: %w", d.ID, err)
	}
	e.Hash = Sum(e.Canonical)
	return e, nil
}

func (c canonical) bytes() ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(c); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// Digest is what an entry holds in place of the value: SHA-256 over salt,
// name, a zero byte and value.
func (p Personal) Digest() Digest {
	h := sha256.New()
	h.Write(p.Salt)
	io.WriteString(h, p.Name) //nolint:errcheck // a hash never fails to write
	h.Write([]byte{0})
	io.WriteString(h, p.Value) //nolint:errcheck // a hash never fails to write
	return Digest(h.Sum(nil))
}

// Stamp renders an instant the way entries do: UTC, RFC 3339, microseconds.
func Stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
