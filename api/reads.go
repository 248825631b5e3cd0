package api

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

// sight is what a route shows of people. The zero value is recorded as if it
// showed them, and the table may not hold it.
type sight int

const (
	undecided  sight = iota
	people           // each request is an entry of its own, kept before the answer leaves
	itsDeed          // no more than was sent: the deed's own entry says who and about whom
	nothing          // nobody
	toMachines       // answers machines, none of the staff
)

// recorded says whether each request of the route is a read on record.
func (rt route) recorded() bool { return rt.shows == undecided || rt.shows == people }

// staffRate is what one member of the staff gets, by however many tokens. What
// they read becomes entries, which nobody can delete: a script that runs wild
// must not fill the record.
var staffRate = Rate{PerSecond: 20, Burst: 200}

// paceStaff takes one request of an operator, an auditor or a user manager from
// their bucket, before anything is read or recorded. Two participants' people
// may go by one subject; they are not one.
func (s *server) paceStaff(h http.Header, who auth.Principal) error {
	if who.Scope == auth.ScopePortal || s.RateLimit.Off {
		return nil
	}
	return s.pace(h, s.people, who.Participant+" "+who.Actor.Subject, staffRate)
}

// looksAt remembers who is looked at, for the entry.
func (c *call) looksAt(u storage.User, err error) (storage.User, error) {
	if err == nil {
		c.person = &u
	}
	return u, err
}

// recordRead keeps that staff read about people. A read that cannot be
// recorded is not answered; one that found nothing is recorded too.
func (s *server) recordRead(r *http.Request, rt route, c *call, body []byte, answer any, err error) error {
	reading := lifecycle.Reading{Route: rt.method + " " + rt.path, Participant: c.who.Participant, Filter: s.filterDigest(r, body), Rows: 1}
	if err != nil {
		if asFault(err).Kind != lifecycle.KindNotFound {
			return nil //nolint:nilerr // the read failed and is answered so; nobody read anything
		}
		reading.Rows = 0
	} else if list, ok := answer.(interface{ rows() int }); ok {
		reading.Rows = list.rows()
	}
	switch {
	case err == nil && c.person != nil:
		reading.User, reading.Participant = c.person.ID, c.person.Participant
	case reading.Participant == "" && c.of != "":
		if _, lost := s.settled.get(r.Context(), c.of); lost == nil { // the entry names no participant that is none
			reading.Participant = c.of
		}
	}
	return s.readLog(r.Context(), c.who.Actor, reading)
}

func (s *server) readLog(ctx context.Context, by lifecycle.Actor, reading lifecycle.Reading) error {
	if err := s.Service.ReadLog(ctx, by, reading); err != nil {
		return &lifecycle.Fault{Kind: lifecycle.KindUnavailable, Message: "this read cannot be put on record, so it is not answered; try again shortly", Err: err}
	}
	return nil
}

// digestKey is the key of the digests of what staff asked for.
func digestKey(root []byte) []byte {
	key, err := hkdf.Key(sha256.New, root, nil, "healthix-scim read filter", sha256.Size)
	if err != nil { // 32 bytes can always be expanded
		panic(fmt.Errorf("derive the key of read filters: %w", err))
	}
	return key
}

// filterDigest is an HMAC-SHA-256 of the path, the query with its parameters in
// order, and the body. Entries go into exports, and a plain hash of q=lima is
// found by whoever hashes every family name; so the digest has a key. Equal
// questions have equal digests, and who has the key can check a guess.
func (s *server) filterDigest(r *http.Request, body []byte) string {
	query := r.URL.RawQuery
	if values, err := url.ParseQuery(query); err == nil {
		query = values.Encode()
	}
	sum := hmac.New(sha256.New, s.digests)
	sum.Write([]byte(r.URL.Path + "?" + query + "\n"))
	sum.Write(body)
	return hex.EncodeToString(sum.Sum(nil))
}

// scimUser is the user whom a SCIM request looked at, "" when it found nobody or
// several.
func scimUser(path string, status int) string {
	id, found := strings.CutPrefix(path, scimRoot+"/Users/")
	if !found || status != http.StatusOK || strings.ContainsAny(id, "/.") {
		return ""
	}
	return id
}
