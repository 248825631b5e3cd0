package policy

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
func (p *Policy) With(o *Overlay) *Policy {
	q := *p
	q.overlay = o
	return &q
}
