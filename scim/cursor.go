package scim

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/discovery"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/render"
	"github.com/healthix/healthix-scim/storage"
)

// cursor is what a cursor of RFC 9865 says to whom it came from. The server keeps
// nothing of a walk, so none can be exhausted.
type cursor struct {
	Total int               `json:"n"` // counted once, for the first page
	Count int               `json:"c"` // of the first page
	Until int64             `json:"u"` // Unix seconds
	Type  int               `json:"t"` // of the query's resource types, where the page begins
	Back  bool              `json:"b,omitempty"`
	After *storage.Position `json:"a,omitempty"` // nil at the beginning
}

// cursorSeal makes the cipher of cursors, with a key of its own. A cursor holds
// sort keys, which may be names: a signature would not do.
func cursorSeal(root []byte) (cipher.AEAD, error) {
	if len(root) == 0 {
		root = make([]byte, 32)
		rand.Read(root) //nolint:errcheck // it never fails
	}
	key, err := hkdf.Key(sha256.New, root, nil, "healthix-scim scim cursor", 32)
	if err != nil {
		return nil, fmt.Errorf("derive cursor key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("derive cursor key: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// bound is what a cursor is sealed for: this participant and this query, count
// apart (RFC 9865 §2).
func (x *exchange) bound(parts []*part, q query) ([]byte, error) {
	types := make([]string, len(parts))
	for i, p := range parts {
		types[i] = p.resource.Name
	}
	text, err := json.Marshal([]any{
		"1", x.caller.Participant.ID, types, q.filter, q.sortBy, strings.EqualFold(q.sortOrder, descending), q.attributes, q.excluded,
	})
	if err != nil {
		return nil, fmt.Errorf("bind a cursor: %w", err)
	}
	return text, nil
}

func (x *exchange) sealCursor(bound []byte, c cursor) (string, error) {
	c.Until = x.now.Add(discovery.CursorLife).Unix()
	text, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("write a cursor: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(x.seal.Seal(nil, nil, text, bound)), nil //nolint:gosec // the nonce is random, and Seal's own
}

// openCursor has one answer for all that is no cursor of this query, whether it
// was made up, damaged, or another's (RFC 9865 §5.2).
func (x *exchange) openCursor(bound []byte, sealed string) (c cursor, err error) {
	refused := protocol.Errorf(protocol.InvalidCursor, "cursor",
		"the cursor is not one of this query; send nextCursor or previousCursor as it came, with all other parameters as they were, or begin with an empty cursor")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return c, refused
	}
	text, err := x.seal.Open(nil, nil, raw, bound)
	if err != nil {
		return c, refused
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("read a cursor: %w", err) // it is one of ours
	}
	if x.now.After(time.Unix(c.Until, 0)) {
		return c, protocol.Errorf(protocol.ExpiredCursor, "cursor",
			"the cursor is older than %s, which is as long as one lasts; begin again with an empty cursor", discovery.CursorLife)
	}
	return c, nil
}

// walk answers a page by cursor: what stands after a place in the order of the
// query, or before it. Who comes or goes elsewhere moves nobody from one page to
// another.
func (x *exchange) walk(parts []*part, q query) (page render.Page, err error) {
	bound, err := x.bound(parts, q)
	if err != nil {
		return page, err
	}
	c := cursor{Count: q.count}
	first := *q.cursor == ""
	if !first {
		if c, err = x.openCursor(bound, *q.cursor); err != nil {
			return page, err
		}
		if c.Count != q.count && !x.reading.Allow(dialect.CountChanged) {
			return page, protocol.Errorf(protocol.InvalidCount, "count", "count is %d, but %d in the query that the cursor came from; send the same (RFC 9865 §2.1)", q.count, c.Count)
		}
	}
	more, err := x.gather(parts, &c, q.count, first)
	if err == nil && c.Back && filled(parts) == nil { // nobody is left there, so that this is the first page
		c, first = cursor{Total: c.Total, Count: c.Count}, true
		more, err = x.gather(parts, &c, q.count, false)
	}
	if err != nil {
		return page, err
	}
	page.Total = c.Total
	shown := filled(parts)
	if shown == nil { // nor does a count of 0 begin a walk
		return page, nil
	}
	if more || c.Back {
		last := shown[len(shown)-1]
		next := cursor{Total: c.Total, Count: c.Count, Type: last.index, After: last.position(last.len() - 1)}
		if page.Next, err = x.sealCursor(bound, next); err != nil {
			return page, err
		}
	}
	if more && c.Back || !first && !c.Back {
		previous := cursor{Total: c.Total, Count: c.Count, Type: shown[0].index, After: shown[0].position(0), Back: true}
		page.Previous, err = x.sealCursor(bound, previous)
	}
	return page, err
}

// gather reads a page on from the cursor, type by type, and says whether there is
// more in that direction. It counts all when asked to.
func (x *exchange) gather(parts []*part, c *cursor, count int, counting bool) (more bool, err error) {
	room, step := count, 1
	if count > 0 {
		room++ // one more tells whether there is more
	}
	if c.Back {
		step = -1
	}
	for i := c.Type; i >= 0 && i < len(parts) && (room > 0 || counting); i += step {
		p := parts[i]
		p.asked.Limit, p.asked.Total, p.asked.After = room, counting, nil
		if i == c.Type {
			p.asked.After = c.After
		}
		total, err := x.read(p, c.Back)
		if err != nil {
			return false, err
		}
		c.Total += total
		room -= p.len()
	}
	shown := filled(parts)
	switch {
	case room > 0 || shown == nil:
		return false, nil
	case c.Back:
		shown[0].keep(1, shown[0].len())
	default:
		last := shown[len(shown)-1]
		last.keep(0, last.len()-1)
	}
	return true, nil
}
