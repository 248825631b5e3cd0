package policy

import "strconv"

// Overlay is what one participant adds to the policy of all: ways of writing a
// title that the policy leaves unmapped, and narrowing. It never widens what the
// policy of all grants to a title that it maps.
type Overlay struct {
	digest   string
	synonyms map[string]*occupation // title in normal form → title of the table
	roles    map[string]string      // row id → a role whose permissions the row's role contains
	guards   map[string][]Guard     // row id → further conditions

	written overlayDocument // as read, for lint
}

// Digest is the hexadecimal SHA-256 of the overlay's canonical form.
func (o *Overlay) Digest() string { return o.digest }

// With is the policy as it is at a participant with this overlay; nil for none.
// Titles of the overlay that this version of the policy no longer has are left
// out: they map to nothing.
func (p *Policy) With(o *Overlay) *Policy {
	q := *p
	q.overlay = o
	if o == nil {
		return &q
	}
	here := *o
	here.synonyms = make(map[string]*occupation, len(o.synonyms))
	for title, of := range o.synonyms {
		if own := p.byKey[tableKey(of.title)]; own != nil {
			here.synonyms[title] = own
		}
	}
	q.overlay = &here
	return &q
}

// look finds a title that the policy of all leaves unmapped.
func (o *Overlay) look(normal string) found {
	if o == nil {
		return found{}
	}
	of := o.synonyms[normal]
	if of == nil {
		return found{}
	}
	return found{of: of, how: "the participant reads it as " + strconv.Quote(of.title)}
}

// further are the conditions that a row has at this participant beside its own.
func (o *Overlay) further(row *Row) []Guard {
	if o == nil {
		return nil
	}
	return o.guards[row.ID]
}

// instead is the role that narrows a row at this participant, "" for none.
func (o *Overlay) instead(row *Row) string {
	if o == nil {
		return ""
	}
	return o.roles[row.ID]
}
