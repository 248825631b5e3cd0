package sqlstore

import (
	"fmt"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/policy"
)

// What follows computes policy's Decision.At in SQL: the participant's state and
// the clock laid over the stored decision. storagetest holds the two against
// each other.

const (
	participantOpen = "(p.status = 'active' and p.mode = 'live')"
	accessExpired   = "(u.valid_until is not null and u.valid_until <= ?)"
	accessEnded     = "(u.transition and p.closed_at is distinct from u.closed_seen)"
	// accessLapsed: released as decided, and no longer.
	accessLapsed = "(u.status = 'released' and (not " + participantOpen + " or " + accessExpired + " or " + accessEnded + "))"
)

func (l *lowering) instant() instant { return instant(l.now.Truncate(time.Microsecond)) }

func (l *lowering) unlessLapsed(then, otherwise string) statement {
	return statement{sql: "(case when " + accessLapsed + " then " + then + " else " + otherwise + " end)", args: []any{l.instant()}}
}

func (l *lowering) status() statement { return l.unlessLapsed("'suspended'", "u.status") }
func (l *lowering) role() statement   { return l.unlessLapsed("''", "u.role") }
func (l *lowering) requestedRole() statement {
	return l.unlessLapsed("u.title_role", "u.requested_role")
}

// overlaySentences are policy's own words for each overlay.
var overlaySentences = func() (s struct{ suspended, notLive, expired, ended string }) {
	now := time.Unix(0, 0)
	later := now.Add(time.Second)
	open := policy.ParticipantState{Status: "active", Mode: "live"}
	of := func(d policy.Decision, p policy.ParticipantState) string {
		d.Status = policy.StatusReleased
		return d.At(now, p).Reason
	}
	s.suspended = of(policy.Decision{}, policy.ParticipantState{Status: "suspended", Mode: "live"})
	s.notLive = of(policy.Decision{}, policy.ParticipantState{Status: "active", Mode: "observe"})
	s.expired = of(policy.Decision{ValidUntil: &now}, open)
	open.ClosedAt = &later
	s.ended = of(policy.Decision{Transition: true, DecidedAt: now}, open)
	return s
}()

func (l *lowering) reason() statement {
	return statement{
		sql: "(case when u.status <> 'released' then u.reason when p.status <> 'active' then ? when p.mode <> 'live' then ?" +
			" when " + accessExpired + " then ? when " + accessEnded + " then ? else u.reason end)",
		args: []any{overlaySentences.suspended, overlaySentences.notLive, l.instant(), overlaySentences.expired, overlaySentences.ended},
	}
}

func (l *lowering) permissions() statement {
	return statement{sql: "exists (select 1 from " + l.elements("u.permissions") + " v where not " + accessLapsed + " and ", args: []any{l.instant()}}
}

// elements is a table whose column value holds the texts of a JSON array.
func (l *lowering) elements(column string) string {
	if l.postgres() {
		return "(select jsonb_array_elements_text(" + column + ") as value)"
	}
	return "json_each(" + column + ")"
}

func (l *lowering) gates() statement {
	s := l.closedGates()
	return statement{sql: "exists (select 1 from (" + s.sql + ") v where ", args: s.args}
}

// closedGates are the gates closed now. The participant's is as the participant
// is now; expiry closes training. A gate that was not asked for stays away.
func (l *lowering) closedGates() statement {
	return statement{
		sql: "select c.value from " + l.elements("u.closed_gates") + " c where c.value <> 'participant'" +
			" union all select 'participant' where not " + participantOpen + " and " + l.asked(policy.GateParticipant) +
			" union all select 'training' where u.status = 'released' and " + participantOpen + " and " + accessExpired +
			" and " + l.asked(policy.GateTraining),
		args: []any{l.instant()},
	}
}

func (l *lowering) asked(gate policy.Gate) string {
	if l.postgres() {
		return fmt.Sprintf(`u.decision @> '{"gates":[{"gate":"%s"}]}'`, gate)
	}
	return fmt.Sprintf("exists (select 1 from json_each(u.decision, '$.gates') d where d.value ->> '$.gate' = '%s')", gate)
}

// gateOrder is the order in which policy evaluates gates.
var gateOrder = []policy.Gate{
	policy.GateParticipant, policy.GateTitle, policy.GateEmail, policy.GateMobile,
	policy.GateTraining, policy.GateApproval, policy.GateNPI, policy.GateHold,
}

// firstGate and firstPermission are what a sort by several values goes by.
func (l *lowering) firstGate() statement {
	s := l.closedGates()
	var rank strings.Builder
	for i, gate := range gateOrder {
		fmt.Fprintf(&rank, " when '%s' then %d", gate, i)
	}
	return statement{sql: "(select v.value from (" + s.sql + ") v order by case v.value" + rank.String() + " end limit 1)", args: s.args}
}

func (l *lowering) firstPermission() statement {
	first := "(u.permissions ->> 0)"
	return l.unlessLapsed("null", first)
}
