package lifecycle

import (
	"strings"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// What entries say of evidence, approvals, holds and links is put together again
// and compared with the rows. Entries are read by their instants, and a clock of
// one server may be behind another's: what a deed ended or gave back counts by
// the version of the user that it made.

// worded are the actions whose personal values stand in rows too.
var worded = []string{"evidence.recorded", "evidence.revoked", "approval.given", "approval.rejected", "hold.placed"}

// made is a row as entries have it.
type made[T any] struct {
	row   T
	known bool // an entry made it
	moved int64
	link  string // digest that the entry has of a link's code
}

// end keeps what a deed did to a row, unless a later one did something since.
func (m *made[T]) end(version int64, f func(row *T)) {
	if version < m.moved {
		return
	}
	m.moved = version
	f(&m.row)
}

type expected struct {
	evidence  map[string]*made[storage.Evidence]
	approvals map[string]*made[storage.Approval]
	holds     map[string]*made[storage.Hold]
	links     map[string]*made[storage.Activation]
}

func newExpected() expected {
	return expected{
		evidence: map[string]*made[storage.Evidence]{}, approvals: map[string]*made[storage.Approval]{},
		holds: map[string]*made[storage.Hold]{}, links: map[string]*made[storage.Activation]{},
	}
}

// of answers the row of an id; an entry that ends it may be read first.
func of[T any](rows map[string]*made[T], id string) *made[T] {
	if rows[id] == nil {
		rows[id] = &made[T]{}
	}
	return rows[id]
}

// take reads an entry; version is that of the user which its deed made, 0 for none.
func (x *expected) take(k audit.Kept, version int64, personal []storage.PersonalValue) {
	fields := k.Public()
	words := map[string]string{}
	for _, p := range personal {
		words[p.Name] = p.Value
	}
	at := k.At
	switch k.Action {
	case "evidence.recorded":
		m := of(x.evidence, fields["evidence"])
		m.known = true
		m.row.Evidence = policy.Evidence{
			ID: fields["evidence"], Gate: policy.Gate(fields["gate"]), Module: fields["module"],
			CompletedAt: instantIn(fields["completedAt"]), ValidUntil: instantIn(fields["validUntil"]),
		}
		m.row.User, m.row.Participant, m.row.Source, m.row.Note = k.User, k.Participant, fields["source"], words["note"]
		m.row.Actor, m.row.Recorded = k.Actor.Subject, at
	case "evidence.revoked":
		of(x.evidence, fields["evidence"]).end(version, func(e *storage.Evidence) { e.Revoked, e.RevokedWhy = &at, words["reason"] })
	case "approval.given", "approval.rejected":
		m := of(x.approvals, fields["approval"])
		m.known = true
		m.row.Approval = policy.Approval{
			ID: fields["approval"], Approved: k.Action == "approval.given", Role: fields["role"], Title: fields["title"],
			At: at, ValidUntil: instantIn(fields["validUntil"]),
		}
		m.row.User, m.row.Participant, m.row.Actor, m.row.Reason = k.User, k.Participant, k.Actor.Subject, words["reason"]
	case "hold.placed":
		m := of(x.holds, fields["hold"])
		m.known = true
		m.row.Hold = policy.Hold{ID: fields["hold"], Reason: words["reason"], Since: at}
		m.row.User, m.row.Participant, m.row.Actor = k.User, k.Participant, k.Actor.Subject
	case "hold.lifted":
		of(x.holds, fields["hold"]).end(version, func(h *storage.Hold) { h.Lifted = &at })
	case "activation.redeemed":
		of(x.links, fields["activation"]).row.Redeemed = &at
	}
	x.along(k, fields, version)
}

// along reads what a deed did to the dossier beside what it was about.
func (x *expected) along(k audit.Kept, fields map[string]string, version int64) {
	at := k.At
	for _, id := range strings.Fields(fields["endedEvidence"]) {
		of(x.evidence, id).end(version, func(e *storage.Evidence) { e.Revoked, e.RevokedWhy = &at, addressChanged })
	}
	if k.Action == "user.restored" {
		for _, id := range strings.Fields(fields["evidence"]) {
			of(x.evidence, id).end(version, func(e *storage.Evidence) { e.Revoked, e.RevokedWhy = nil, "" })
		}
		for _, id := range strings.Fields(fields["approvals"]) {
			of(x.approvals, id).end(version, func(a *storage.Approval) { a.Ended = nil })
		}
	}
	for _, id := range strings.Fields(fields["endedApprovals"]) { // what was given back, too
		of(x.approvals, id).end(version, func(a *storage.Approval) { a.Ended = &at })
	}
	for _, id := range strings.Fields(fields["liftedHolds"]) {
		of(x.holds, id).end(version, func(h *storage.Hold) { h.Lifted = &at })
	}
	if id := fields["link"]; id != "" {
		m := of(x.links, id)
		m.known, m.link = true, fields["linkCode"]
		m.row.ID, m.row.User, m.row.Participant, m.row.Issued, m.row.Expires = id, k.User, k.Participant, at, instantIn(fields["linkExpires"])
		if closed := instantIn(fields["linkClosedSeen"]); !closed.IsZero() {
			m.row.ClosedSeen = &closed
		}
	}
	for _, id := range strings.Fields(fields["voidedLinks"]) {
		of(x.links, id).end(version, func(l *storage.Activation) { l.Voided = &at })
	}
}

// instantIn is the instant of a field, zero when it has none.
func instantIn(text string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}

// column is a value of a row beside the one that entries have.
type column struct {
	name string
	same bool
}

// dossier compares what is on record about a user with what entries say.
func (c *inspection) dossier(user string, one *subject, d storage.Dossier) {
	word := func(said, kept string) bool { // an erasure empties staff's words
		return said == kept || one.erased && kept == ""
	}
	for _, e := range d.Evidence {
		c.compare("evidence", e.ID, one.evidence[e.ID] != nil && one.evidence[e.ID].known, func() []column {
			m := one.evidence[e.ID].row
			return []column{
				{"participant", m.Participant == e.Participant}, {"gate", m.Gate == e.Gate}, {"module", m.Module == e.Module},
				{"completed_at", m.CompletedAt.Equal(e.CompletedAt)}, {"valid_until", m.ValidUntil.Equal(e.ValidUntil)},
				{"source", m.Source == e.Source}, {"note", word(m.Note, e.Note)}, {"actor", m.Actor == e.Actor},
				{"recorded", m.Recorded.Equal(e.Recorded)}, {"revoked", sameTime(m.Revoked, e.Revoked)}, {"revoked_why", word(m.RevokedWhy, e.RevokedWhy)},
			}
		})
		delete(one.evidence, e.ID)
	}
	for _, a := range d.Approvals {
		c.compare("approval", a.ID, one.approvals[a.ID] != nil && one.approvals[a.ID].known, func() []column {
			m := one.approvals[a.ID].row
			return []column{
				{"participant", m.Participant == a.Participant}, {"approved", m.Approved == a.Approved}, {"role", m.Role == a.Role},
				{"title", m.Title == a.Title}, {"at", m.At.Equal(a.At)}, {"valid_until", m.ValidUntil.Equal(a.ValidUntil)},
				{"actor", m.Actor == a.Actor}, {"reason", word(m.Reason, a.Reason)}, {"ended", sameTime(m.Ended, a.Ended)},
			}
		})
		delete(one.approvals, a.ID)
	}
	for _, h := range d.Holds {
		c.compare("hold", h.ID, one.holds[h.ID] != nil && one.holds[h.ID].known, func() []column {
			m := one.holds[h.ID].row
			return []column{
				{"participant", m.Participant == h.Participant}, {"reason", word(m.Reason, h.Reason)}, {"since", m.Since.Equal(h.Since)},
				{"actor", m.Actor == h.Actor}, {"lifted", sameTime(m.Lifted, h.Lifted)},
			}
		})
		delete(one.holds, h.ID)
	}
	for _, m := range one.links {
		c.recover(&m.row)
	}
	for _, l := range d.Activations {
		c.compare("activation", l.ID, one.links[l.ID] != nil && one.links[l.ID].known, func() []column {
			m := one.links[l.ID]
			return []column{
				{"participant", m.row.Participant == l.Participant}, {"code_hash", m.link == audit.Sum(l.CodeHash).String()},
				{"issued", m.row.Issued.Equal(l.Issued)}, {"expires", m.row.Expires.Equal(l.Expires)}, {"voided", sameTime(m.row.Voided, l.Voided)},
				{"closed_seen", sameTime(m.row.ClosedSeen, l.ClosedSeen)}, {"redeemed", sameTime(m.row.Redeemed, l.Redeemed)},
			}
		})
		delete(one.links, l.ID)
	}
	missing(c, "evidence", user, one.evidence)
	missing(c, "approval", user, one.approvals)
	missing(c, "hold", user, one.holds)
	missing(c, "activation", user, one.links)
}

// recover voids a link that was not used as the recovery of the log did, whose
// one entry is about all of them.
func (c *inspection) recover(l *storage.Activation) {
	for _, at := range c.recovered {
		if at.After(l.Issued) && (l.Voided == nil || l.Voided.After(at)) && (l.Redeemed == nil || l.Redeemed.After(at)) {
			l.Voided = &at
		}
	}
}

// compare says in which columns a row is not what entries say of it.
func (c *inspection) compare(table, id string, known bool, columns func() []column) {
	if !known {
		c.wrong(table, id, "no entry knows of this row")
		return
	}
	for _, one := range columns() {
		if !one.same {
			c.wrong(table, id, "column %s is not what the entries about the user say", one.name)
		}
	}
}

// missing says which rows are gone that entries speak of.
func missing[T any](c *inspection, table, user string, rows map[string]*made[T]) {
	for _, id := range sortedKeys(rows) {
		if rows[id].known {
			c.wrong(table, id, "the row is missing that entries about user %s speak of", user)
		}
	}
}
