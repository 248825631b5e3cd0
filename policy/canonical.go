package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
)

// The canonical form of a policy: JSON with fixed member order, everything
// whose order means nothing sorted, word lists and gates written out.
type canonicalPolicy struct {
	V          int               `json:"v"`
	Modules    []canonicalModule `json:"modules"`
	Roles      []canonicalRole   `json:"roles"`
	Gates      []string          `json:"gates"`
	Privileged []string          `json:"privileged"`
	BreakGlass []string          `json:"breakGlass"`
	Words      wordLists         `json:"words"`
	JobCodes   canonicalJobCodes `json:"jobCodes"`
	Titles     []canonicalRow    `json:"titles"`
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

type canonicalJobCodes struct {
	Attribute string            `json:"attribute"`
	Codes     map[string]string `json:"codes"` // code in normal form → title
}

type canonicalRow struct {
	Row      string           `json:"row"`
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
	c := canonicalPolicy{V: 2, Gates: sortedGates(p.common), Privileged: sorted(p.privileged), BreakGlass: sorted(p.breakGlass), Words: wordLists{
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
		c.Titles = append(c.Titles, canonicalRow{
			Row: row.ID, Title: row.Title, Category: row.Category, Role: row.Role, Aliases: sorted(row.Aliases), Basis: row.Basis, Guards: canonicalGuards(row.Guards),
		})
	}
	if p.jobCodes.attribute != "" {
		c.JobCodes = canonicalJobCodes{Attribute: p.jobCodes.attribute, Codes: map[string]string{}}
		for code, of := range p.jobCodes.byCode {
			c.JobCodes.Codes[code] = of.title
		}
	}
	slices.SortFunc(c.Modules, func(a, b canonicalModule) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(c.Roles, func(a, b canonicalRole) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(c.Titles, func(a, b canonicalRow) int {
		return cmp.Or(strings.Compare(a.Title, b.Title), strings.Compare(a.Row, b.Row))
	})
	return digestOf(c)
}

func digestOf(canonical any) string {
	text, err := json.Marshal(canonical)
	if err != nil {
		panic("policy: texts and numbers do not encode: " + err.Error()) // cannot be: the types here hold nothing else
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func canonicalGuards(guards []Guard) []canonicalGuard {
	var out []canonicalGuard
	for _, g := range guards {
		out = append(out, canonicalGuard{g.Attribute, g.Test, sorted(g.Values)})
	}
	slices.SortFunc(out, func(a, b canonicalGuard) int {
		return cmp.Or(strings.Compare(string(a.Attribute), string(b.Attribute)), strings.Compare(string(a.Test), string(b.Test)))
	})
	return out
}

// The canonical form of an overlay.
type canonicalOverlay struct {
	V        int                         `json:"v"`
	Synonyms map[string]string           `json:"synonyms"` // title in normal form → title of the table
	Roles    map[string]string           `json:"roles"`    // by row id
	Guards   map[string][]canonicalGuard `json:"guards"`
}

func sortedGates(gates []Gate) []string {
	out := make([]string, len(gates))
	for i, g := range gates {
		out[i] = string(g)
	}
	slices.Sort(out)
	return out
}
