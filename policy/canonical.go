package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
)

// The canonical form of a policy: JSON with fixed member order, everything
// whose order means nothing sorted, word lists and gates written out.
type canonicalPolicy struct {
	V       int               `json:"v"`
	Modules []canonicalModule `json:"modules"`
	Roles   []canonicalRole   `json:"roles"`
	Gates   []string          `json:"gates"`
	Words   wordLists         `json:"words"`
	Titles  []canonicalRow    `json:"titles"`
}

type canonicalModule struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Litmos    string `json:"litmos"`
	GraceDays int    `json:"graceDays"`
}

type canonicalRole struct {
	Name             string   `json:"name"`
	Permissions      []string `json:"permissions"`
	Modules          []string `json:"modules"`
	Gates            []string `json:"gates"`
	UntilApproved    string   `json:"untilApproved"`
	ParticipantTypes []string `json:"participantTypes"`
}

type canonicalRow struct {
	Title    string           `json:"title"`
	Category string           `json:"category"`
	Role     string           `json:"role"`
	Aliases  []string         `json:"aliases"`
	Basis    string           `json:"basis"`
	Guards   []canonicalGuard `json:"guards"`
}

type canonicalGuard struct {
	Attribute Attribute `json:"attribute"`
	Test      Test      `json:"test"`
	Values    []string  `json:"values"`
}

func digest(p *Policy, lists wordLists) string {
	c := canonicalPolicy{V: 1, Gates: sortedGates(p.common), Words: wordLists{
		Synonyms: lists.Synonyms, Removable: sorted(lists.Removable), Units: sorted(lists.Units), Fields: sorted(lists.Fields),
		Degrees: sorted(lists.Degrees), Compounds: sorted(lists.Compounds), Bans: sorted(lists.Bans),
	}}
	for _, m := range p.modules {
		c.Modules = append(c.Modules, canonicalModule(m))
	}
	for _, r := range p.roles {
		c.Roles = append(c.Roles, canonicalRole{
			Name: r.Name, Permissions: sorted(r.Permissions), Modules: sorted(r.Modules), Gates: sortedGates(r.Gates),
			UntilApproved: r.UntilApproved, ParticipantTypes: sorted(r.ParticipantTypes),
		})
	}
	for _, row := range p.rows {
		t := canonicalRow{Title: row.Title, Category: row.Category, Role: row.Role, Aliases: sorted(row.Aliases), Basis: row.Basis}
		for _, g := range row.Guards {
			t.Guards = append(t.Guards, canonicalGuard{g.Attribute, g.Test, sorted(g.Values)})
		}
		slices.SortFunc(t.Guards, func(a, b canonicalGuard) int {
			return strings.Compare(string(a.Attribute)+string(a.Test), string(b.Attribute)+string(b.Test))
		})
		c.Titles = append(c.Titles, t)
	}
	slices.SortFunc(c.Modules, func(a, b canonicalModule) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(c.Roles, func(a, b canonicalRole) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(c.Titles, func(a, b canonicalRow) int { return strings.Compare(a.Title, b.Title) })
	text, err := json.Marshal(c)
	if err != nil {
		panic("policy: texts and numbers do not encode: " + err.Error()) // cannot be: the types above hold nothing else
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func sortedGates(gates []Gate) []string {
	out := make([]string, len(gates))
	for i, g := range gates {
		out[i] = string(g)
	}
	slices.Sort(out)
	return out
}
