package lifecycle

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"strconv"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// The timeline of a person is JSON lines: who it is, every version of them, and
// every entry about them that has a place under the pack's checkpoint, each with
// its proof. Who looked at them is left out; it stands in record.jsonl.

type sampledPerson struct {
	Kind        string `json:"kind"` // person
	ID          string `json:"id"`
	Participant string `json:"participant"`
	Rank        int    `json:"rank"`
	Digest      string `json:"digest"` // SHA-256 of seed and id
	Size        uint64 `json:"size"`   // of the log that the proofs lead to
}

type sampledVersion struct {
	Kind      string          `json:"kind"` // version
	Version   int64           `json:"version"`
	ValidFrom string          `json:"validFrom"`
	Digest    string          `json:"digest"` // SHA-256 of "healthix-scim/user_history", a zero byte, and body
	Erased    bool            `json:"erased,omitempty"`
	UserName  string          `json:"userName,omitempty"`
	GivenName string          `json:"givenName,omitempty"`
	Family    string          `json:"familyName,omitempty"`
	Email     string          `json:"email,omitempty"`
	Body      json.RawMessage `json:"body"`
}

type sampledEntry struct {
	Kind        string           `json:"kind"` // entry
	Position    int64            `json:"position"`
	Participant string           `json:"participant"`
	Number      int64            `json:"number"`
	Entry       json.RawMessage  `json:"entry"`
	Personal    []audit.Personal `json:"personal,omitempty"`
	Proof       []string         `json:"proof"`
}

// samples writes who was drawn, and everything that is on record about them.
func (p *pack) samples(ctx context.Context) error {
	p.m.Counts.Sampled = len(p.drawn)
	err := p.table("sample.csv", []string{"rank", "id", "sha256", "file"}, func(add func(cells ...string) error) error {
		for i, d := range p.drawn {
			if err := add(strconv.Itoa(i+1), d.id, d.digest(), sampleFile(d.id)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	nodes := audit.Cached(logNodes{p.s.store}, p.begun.Size, 256)
	for i, d := range p.drawn {
		if err := p.listed(sampleFile(d.id), func(w io.Writer) error { return p.timeline(ctx, w, i+1, d, nodes) }); err != nil {
			return err
		}
	}
	return nil
}

func sampleFile(id string) string { return "sample/" + id + ".jsonl" }

func (p *pack) timeline(ctx context.Context, w io.Writer, rank int, d drawn, nodes audit.NodeSource) error {
	line := func(v any) error {
		text, err := compactJSON(v)
		if err == nil {
			_, err = w.Write(append(text, '\n'))
		}
		return err
	}
	if err := line(sampledPerson{"person", d.id, p.spec.Participant, rank, d.digest(), p.begun.Size}); err != nil {
		return err
	}
	history, err := p.s.store.ListHistory(ctx, d.id)
	if err != nil {
		return err
	}
	for _, v := range history {
		if v.ValidFrom.After(p.begun.At) { // after the checkpoint, as its entry
			break
		}
		u := v.Kept
		if err := line(sampledVersion{"version", v.Version, audit.Stamp(v.ValidFrom), v.Digest, v.Erased, u.UserName, u.GivenName, u.FamilyName, u.Email, v.Body}); err != nil {
			return err
		}
	}
	rows, err := p.entriesAbout(ctx, d.id)
	if err != nil {
		return err
	}
	for page := range slices.Chunk(rows, exportPage) {
		ids := make([]string, len(page))
		for i, row := range page {
			ids[i] = row.ID
		}
		places, err := p.s.store.ListPositions(ctx, ids)
		if err != nil {
			return err
		}
		personal, err := p.s.store.ListPersonal(ctx, ids)
		if err != nil {
			return err
		}
		for _, row := range page {
			at, placed := places[row.ID]
			if !placed || uint64(at.Position) >= p.begun.Size { //nolint:gosec // not negative
				continue // after the checkpoint
			}
			proof, err := audit.InclusionProof(ctx, nodes, uint64(at.Position), p.begun.Size) //nolint:gosec // not negative
			if err != nil {
				return err
			}
			e := sampledEntry{Kind: "entry", Position: at.Position, Participant: at.Participant, Number: at.Number, Entry: row.Canonical, Proof: hexOf(proof)}
			for _, v := range personal[row.ID] {
				e.Personal = append(e.Personal, v.Personal)
			}
			if err := line(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// entriesAbout answers the entries about a user, oldest first, but for those that
// say who looked.
func (p *pack) entriesAbout(ctx context.Context, user string) ([]storage.EntryRow, error) {
	var all []storage.EntryRow
	q := storage.EventQuery{User: user, Without: ActionRead, Limit: exportPage}
	for {
		rows, err := p.s.store.ListEvents(ctx, q)
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
		if len(rows) < q.Limit {
			slices.Reverse(all)
			return all, nil
		}
		q.Before = rows[len(rows)-1].ID
	}
}
