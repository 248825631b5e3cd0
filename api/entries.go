package api

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// entryBody is what an entry's canonical bytes say beside its columns.
type entryBody struct {
	Actor         audit.Actor `json:"actor"`
	RequestID     string      `json:"request"`
	Source        string      `json:"source"`
	Rule          string      `json:"rule"`
	PolicyVersion int64       `json:"policy"`
	Sentence      string      `json:"sentence"`
	Fields        []struct {
		Name   string  `json:"name"`
		Value  *string `json:"value"`
		Digest string  `json:"digest"`
	} `json:"fields"`
	History []string `json:"history"`
}

func readEntry(row storage.EntryRow) (entryBody, error) {
	var b entryBody
	if err := json.Unmarshal(row.Canonical, &b); err != nil {
		return b, fmt.Errorf("read entry %s: %w", row.ID, err)
	}
	return b, nil
}

// actorView is who did something. All but the kind is for staff.
type actorView struct {
	Kind    string `json:"kind"`
	Subject string `json:"subject,omitempty"`
	Token   string `json:"token,omitempty"` // jti
	Label   string `json:"label,omitempty"` // of the token
}

func (c *call) actor(a audit.Actor) actorView {
	if !c.staffTexts() {
		return actorView{Kind: a.Kind}
	}
	return actorView(a)
}

// fieldView is one value of an entry. A personal one has a digest that the entry
// commits to, and a value unless that was erased.
type fieldView struct {
	Name    string  `json:"name"`
	Value   *string `json:"value"`
	Digest  string  `json:"digest,omitempty"`
	Erased  bool    `json:"erased,omitempty"`
	Altered bool    `json:"altered,omitempty"` // the value is not the one that the entry commits to, and is not shown
}

// fields puts an entry's values together: the public ones from itself, the
// personal ones from where an erasure takes them.
func (b entryBody) fields(personal []storage.PersonalValue) []fieldView {
	kept := make(map[int]storage.PersonalValue, len(personal))
	for _, p := range personal {
		kept[p.N] = p
	}
	shown, n := make([]fieldView, 0, len(b.Fields)), 0
	for _, f := range b.Fields {
		v := fieldView{Name: f.Name, Value: f.Value, Digest: f.Digest}
		if f.Digest != "" {
			p, found := kept[n]
			n++
			switch {
			case !found:
				v.Erased = true
			case p.Digest().String() != f.Digest:
				v.Altered = true
			default:
				v.Value = &p.Value
			}
		}
		shown = append(shown, v)
	}
	return shown
}

// personalOf reads the personal values of entries.
func (s *server) personalOf(ctx context.Context, rows []storage.EntryRow) (map[string][]storage.PersonalValue, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	return s.read.ListPersonal(ctx, entryIDs(rows))
}

func entryIDs(rows []storage.EntryRow) []string {
	return as(rows, func(row storage.EntryRow) string { return row.ID })
}
