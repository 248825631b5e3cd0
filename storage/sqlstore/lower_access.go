package sqlstore

import (
	"fmt"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/policy"
)

// What follows computes policy's Decision.Within and Decision.At in SQL: what a
// newer policy version leaves, then the participant's state and the clock, laid
// over the stored decision. storagetest holds the two against each other.

const (
	participantOpen = "(p.status = 'active' and p.mode = 'live' and p.recovering is null)"
	accessExpired   = "(u.valid_until is not null and u.valid_until <= ?)"
	narrowGate      = "(n.narrowing ->> 'gate')"
	accessEnded     = "(u.transition and p.closed_at is distinct from u.closed_seen)"
)

func (l *lowering) instant() instant { return instant(l.now.Truncate(time.Microsecond)) }

// inForce is "from … where" over the permissions in force as decided (v.value).
func (l *lowering) inForce() string { return " from " + l.elements("u.permissions") + " v where " }

// left says that one of them is among those which a newer policy version leaves.
func (l *lowering) left() string {
	if l.postgres() {
		return "jsonb_exists(n.narrowing -> 'permissions', v.value)"
	}
	return "v.value in (select value from json_each(n.narrowing, '$.permissions'))"
}

// joined is what holds when a newer policy version leaves at most some, and
// false otherwise: userTables joins that for released users only.
func (l *lowering) joined(condition string) string {
	l.narrows = true
	return "(case when n.user_id is not null then " + condition + " else false end)"
}

// narrowed: a newer policy version takes something that is in force.
func (l *lowering) narrowed() string {
	return l.joined("exists (select 1" + l.inForce() + "not " + l.left() + ")")
}

// emptied: it takes everything.
func (l *lowering) emptied() string {
	return l.joined("exists (select 1" + l.inForce() + "true) and not exists (select 1" + l.inForce() + l.left() + ")")
}

// roleLeft is the role that is whole in what it leaves.
func (l *lowering) roleLeft() string {
	length := "json_array_length"
	if l.postgres() {
		length = "jsonb_array_length"
	}
	return "case when (select count(*)" + l.inForce() + l.left() + ") = " + length + "(n.narrowing -> 'permissions') then n.narrowing ->> 'role' else '' end"
}

// lapsed: released as decided, and no longer.
func (l *lowering) lapsed() string {
	return "(u.status = 'released' and (not " + participantOpen + " or " + accessExpired + " or " + accessEnded + " or " + l.emptied() + "))"
}

func (l *lowering) unlessLapsed(then, otherwise string) statement {
	return statement{sql: "(case when " + l.lapsed() + " then " + then + " else " + otherwise + " end)", args: []any{l.instant()}}
}

func (l *lowering) status() statement { return l.unlessLapsed("'suspended'", "u.status") }

func (l *lowering) role() statement {
	return l.unlessLapsed("''", "case when "+l.narrowed()+" then "+l.roleLeft()+" else u.role end")
}

func (l *lowering) requestedRole() statement {
	return l.unlessLapsed("u.title_role",
		"case when not "+l.narrowed()+" then u.requested_role when "+l.roleLeft()+" = u.title_role then '' else u.title_role end")
}

// overlaySentences are policy's own words for each overlay.
var overlaySentences = func() (s struct {
	suspended, notLive, recovering, expired, expiredMoving, ended, narrowed, emptied string
}) {
	now := time.Unix(0, 0)
	later := now.Add(time.Second)
	open := policy.ParticipantState{Status: "active", Mode: "live"}
	of := func(d policy.Decision, p policy.ParticipantState) string {
		d.Status = policy.StatusReleased
		return d.At(now, p).Reason
	}
	s.suspended = of(policy.Decision{}, policy.ParticipantState{Status: "suspended", Mode: "live"})
	s.notLive = of(policy.Decision{}, policy.ParticipantState{Status: "active", Mode: "observe"})
	s.recovering = of(policy.Decision{}, policy.ParticipantState{Status: "active", Mode: "live", Recovering: true})
	s.expired = of(policy.Decision{ValidUntil: &now}, open)
	s.expiredMoving = of(policy.Decision{ValidUntil: &now, Transition: true}, open)
	s.ended = of(policy.Decision{Transition: true, DecidedAt: now}, policy.ParticipantState{Status: "active", Mode: "live", ClosedAt: &later})
	both := policy.Decision{Status: policy.StatusReleased, Permissions: []string{"one", "two"}}
	s.narrowed = both.Within(&policy.Narrowing{Version: 1, Permissions: []string{"one"}}).Reason
	s.emptied = both.Within(&policy.Narrowing{Version: 1}).Reason
	return s
}()

func (l *lowering) reason() statement {
	s := overlaySentences
	return statement{
		sql: "(case when u.status <> 'released' then u.reason when " + l.emptied() + " then ? when p.status <> 'active' then ? when p.mode <> 'live' then ? when p.recovering is not null then ?" +
			" when " + accessExpired + " then case when u.transition then ? else ? end when " + accessEnded + " then ? when " + l.narrowed() + " then ? else u.reason end)",
		args: []any{s.emptied, s.suspended, s.notLive, s.recovering, l.instant(), s.expiredMoving, s.expired, s.ended, s.narrowed},
	}
}

func (l *lowering) permissions() statement {
	return statement{
		sql:  "exists (select 1" + l.inForce() + "not " + l.lapsed() + " and (n.user_id is null or " + l.left() + ") and ",
		args: []any{l.instant()},
	}
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
// is now; a newer policy version that leaves nothing closes the gate it names,
// and asks for it where that was not done (late); expiry closes training. Else a
// gate that was not asked for stays away.
func (l *lowering) closedGates() statement {
	emptied, asked := l.emptied(), l.askedNarrowed()
	return statement{
		sql: "select c.value, 0 as late from " + l.elements("u.closed_gates") + " c where c.value <> 'participant'" +
			" union all select 'participant', 0 where not " + participantOpen + " and " + l.asked(policy.GateParticipant) +
			" union all select " + narrowGate + ", case when " + asked + " then 0 else 1 end where " + emptied + " and " + narrowGate + " <> ''" +
			" and (" + narrowGate + " <> 'participant' or not " + participantOpen + ")" +
			" union all select 'training', 0 where u.status = 'released' and " + participantOpen + " and " + accessExpired +
			" and not " + emptied + " and " + l.asked(policy.GateTraining),
		args: []any{l.instant()},
	}
}

// askedNarrowed: the gate that a newer policy version closes was asked for.
func (l *lowering) askedNarrowed() string {
	if l.postgres() {
		return "u.decision @> jsonb_build_object('gates', jsonb_build_array(jsonb_build_object('gate', " + narrowGate + ")))"
	}
	return "exists (select 1 from json_each(u.decision, '$.gates') a where a.value ->> 'gate' = " + narrowGate + ")"
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
	return statement{sql: "(select v.value from (" + s.sql + ") v order by v.late, case v.value" + rank.String() + " end limit 1)", args: s.args}
}

func (l *lowering) firstPermission() statement {
	first := "select v.value from json_each(u.permissions) v where " + l.left() + " order by v.key limit 1"
	if l.postgres() {
		first = "select v.value from jsonb_array_elements_text(u.permissions) with ordinality v(value, place) where " + l.left() + " order by v.place limit 1"
	}
	return l.unlessLapsed("null", "case when n.user_id is not null then ("+first+") else (u.permissions ->> 0) end")
}
