package api

import (
	"context"
	"encoding/base64"
	"strconv"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/lifecycle"
)

// checkpointView is the newest signed checkpoint, as it reads in JSON.
type checkpointView struct {
	Origin string    `json:"origin"`
	Size   uint64    `json:"size"`
	Root   string    `json:"root"` // base64
	At     time.Time `json:"at"`
	Note   string    `json:"note"` // signed, as text/plain has it

	json bool
}

func (v checkpointView) render() (string, []byte) {
	if v.json {
		return "", nil
	}
	return noteType, []byte(v.Note)
}

const noteType = "text/plain; charset=utf-8"

// getCheckpoint answers the signed note itself, or with Accept:
// application/json the same taken apart.
func (s *server) getCheckpoint(ctx context.Context, c *call, _ none) (checkpointView, error) {
	note, err := s.Service.Checkpoint(ctx)
	if err != nil {
		return checkpointView{}, err
	}
	if note == "" {
		return checkpointView{}, lifecycle.Faultf(lifecycle.KindNotFound, "", "no checkpoint was signed yet; the first one follows the first entry within a second")
	}
	c.header.Set("Vary", "Accept")
	v := checkpointView{Note: note, json: wants(c.r.Header, "application/json")}
	if v.json {
		read, err := audit.ParseCheckpoint(note)
		if err != nil {
			return checkpointView{}, err
		}
		v.Origin, v.Size, v.Root, v.At = read.Origin, read.Size, base64.StdEncoding.EncodeToString(read.Root[:]), read.At
	}
	return v, nil
}

// inclusionView proves that an entry stands in the log. The leaf hash is
// SHA-256(0x00 ‖ leaf); with the proof it leads to the root of that size
// (RFC 6962 §2.1.1).
type inclusionView struct {
	Event       string   `json:"event"`
	Canonical   string   `json:"canonical"` // the entry's bytes; entry is their SHA-256
	Entry       string   `json:"entry"`
	Position    int64    `json:"position"`
	Participant *string  `json:"participant"`
	Number      int64    `json:"number"`
	Leaf        string   `json:"leaf"` // the leaf's data
	LeafHash    string   `json:"leafHash"`
	Size        int64    `json:"size"`
	Proof       []string `json:"proof"`      // base64, from the leaf to the root
	Checkpoint  *string  `json:"checkpoint"` // signed, of that size; null when another size was asked for than the newest checkpoint's
}

func (s *server) getInclusion(ctx context.Context, c *call, _ none) (inclusionView, error) {
	event := c.query.Get("event")
	if event == "" {
		return inclusionView{}, lifecycle.Faultf(lifecycle.KindInvalid, "event", "event is missing; give the id of an entry, as GET %s/audit/events lists it", root)
	}
	size, err := c.size("size")
	if err != nil {
		return inclusionView{}, err
	}
	bound, err := c.within("")
	if err != nil {
		return inclusionView{}, err
	}
	in, err := s.Service.ProveInclusion(ctx, bound, event, size)
	if err != nil {
		return inclusionView{}, err
	}
	leaf := in.Leaf()
	return inclusionView{
		Event: in.Entry.ID, Canonical: string(in.Entry.Canonical), Entry: in.Entry.Hash,
		Position: in.Position.Position, Participant: optional(in.Position.Participant), Number: in.Position.Number,
		Leaf: string(leaf.Data()), LeafHash: in.Position.Leaf.String(), Size: in.Size, Proof: base64s(in.Proof), Checkpoint: optional(in.Checkpoint),
	}, nil
}

// consistencyView proves that the log of size To continues that of size From
// (RFC 6962 §2.1.2).
type consistencyView struct {
	From  int64    `json:"from"`
	To    int64    `json:"to"`
	Proof []string `json:"proof"` // base64
}

func (s *server) getConsistency(ctx context.Context, c *call, _ none) (consistencyView, error) {
	from, err := c.size("from")
	if err != nil {
		return consistencyView{}, err
	}
	to, err := c.size("to")
	if err != nil {
		return consistencyView{}, err
	}
	proof, to, err := s.Service.ProveConsistency(ctx, from, to)
	if err != nil {
		return consistencyView{}, err
	}
	return consistencyView{From: from, To: to, Proof: base64s(proof)}, nil
}

// size reads a number of entries, 0 when it is left out.
func (c *call) size(name string) (int64, error) {
	text := c.query.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, lifecycle.Faultf(lifecycle.KindInvalid, name, "%s is %q; expected a number of entries, 1 or more", name, text)
	}
	return n, nil
}

func base64s(hashes []audit.Digest) []string {
	return as(hashes, func(h audit.Digest) string { return base64.StdEncoding.EncodeToString(h[:]) })
}
