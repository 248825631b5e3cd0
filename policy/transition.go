package policy

import (
	"slices"
	"strconv"
	"time"
)

// meanwhile puts the untilApproved role in force when its own gates are open
// (product rule 7): before approval, after a rejection, and until the role is
// open for good, so that an approval never takes anything away. It answers when
// that ends; zero is no end.
func (p *Policy) meanwhile(d *Decision, f *Facts, role *Role, g *gates, now time.Time, t *trace) time.Time {
	fallback := p.role(role.UntilApproved)
	if fallback == nil || !forParticipant(fallback, f.Participant) {
		return time.Time{}
	}
	missing, ends := trained(p.training(fallback), f.Evidence, now)
	open, until := p.vouched(fallback, f, d.NormalTitle, now)
	if len(missing) > 0 || !open {
		return time.Time{}
	}
	d.Permissions = slices.Clone(fallback.Permissions)
	d.StandsOn = p.training(fallback)
	t.step("transition", fallback.Name, " applies until ", role.Name, " is fully open")
	return earlier(earlier(ends, until), g.email)
}

// vouched says whether a role's own gates approval and npi are open, and until
// when.
func (p *Policy) vouched(r *Role, f *Facts, title string, now time.Time) (open bool, ends time.Time) {
	if p.asks(r, GateApproval) {
		newest, open, _ := approved(f.Approvals, r.Name, title, now)
		if !open {
			return false, time.Time{}
		}
		ends = newest.ValidUntil
	}
	return !p.asks(r, GateNPI) || ValidNPI(f.NPI), ends
}

// carry keeps what was in force and the role also has while the role's gates
// are not open (product rule 6), beside what is in force until ends. It answers
// when all of it ends.
func (p *Policy) carry(d *Decision, f *Facts, role *Role, g *gates, closed []Gate, ends, now time.Time, t *trace) time.Time {
	prior := &f.Prior
	if !f.Participant.Open() || !p.moved(d, f, role, closed, now) || !stands(prior, f, now) {
		return ends
	}
	kept := intersect(prior.Permissions, role.Permissions)
	// What takes an approval is not kept by who never had one: a policy by which
	// nobody was asked does not outlive itself.
	if slices.Contains(closed, GateApproval) && !prior.Gate(GateApproval).Open && !prior.Transition {
		kept = lacking(p.privileged, kept)
	}
	if within(kept, d.Permissions...) {
		return ends
	}
	added, until := p.grace(f, role, now)
	if len(added) > 0 && !now.Before(until) {
		t.say("nothing is kept: ")
		t.list(added)
		t.step("transition", " is asked for since policy version ", strconv.FormatInt(p.version, 10), ", and no day of grace is left")
		return ends
	}
	if len(d.Permissions) == 0 {
		ends = g.email
	}
	ends = earlier(ends, until)
	if prior.ValidUntil != nil {
		ends = earlier(ends, *prior.ValidUntil)
	}
	d.StandsOn = slices.Concat(d.StandsOn, lacking(d.StandsOn, prior.StandsOn))
	d.Permissions = union(role.Permissions, kept, d.Permissions)
	d.Transition = true
	t.list(kept)
	t.say(" kept from what was in force while ", role.Name, " waits for ")
	t.list(names(closed))
	if len(added) > 0 {
		t.say(", for which policy version ", strconv.FormatInt(p.version, 10), " asks anew: ")
		t.list(added)
	}
	t.say(",")
	t.until(ends)
	t.end("transition")
	return ends
}

// moved says whether title, job code or policy lead somewhere else than before,
// or such a change is still going on. A gate that closed is no such change, and
// a new policy version does not soften a rejection.
func (p *Policy) moved(d *Decision, f *Facts, role *Role, closed []Gate, now time.Time) bool {
	prior := &f.Prior
	if prior.TitleRole != role.Name || prior.Transition {
		return true
	}
	if prior.PolicyVersion == p.version && prior.JobCodeTitle == d.JobCodeTitle {
		return false
	}
	if lost(prior, closed) {
		return false
	}
	// What applied until approval stood on gates that no decision lists: they
	// must be open still.
	fallback := p.role(role.UntilApproved)
	if fallback == nil || prior.Role != fallback.Name {
		return true
	}
	open, _ := p.vouched(fallback, f, d.NormalTitle, now)
	return open
}

// lost says whether a gate closed that was open before.
func lost(prior *Decision, closed []Gate) bool {
	return slices.ContainsFunc(closed, func(g Gate) bool { return g != GateTraining && prior.Gate(g).Open })
}

// stands says whether what was in force may be carried on: it has not expired,
// the training it stood on is still valid (evidence may have been revoked), and
// the participant was not closed in between.
func stands(prior *Decision, f *Facts, now time.Time) bool {
	if prior.ValidUntil != nil && !now.Before(*prior.ValidUntil) {
		return false
	}
	missing, _ := trained(prior.StandsOn, f.Evidence, now)
	return len(missing) == 0 && !endedMeanwhile(prior, f.Participant)
}

// grace answers the missing modules that a policy version asks for anew of
// somebody whose role stayed the same, and until when the least patient of them
// lets access go on: its graceDays, counted from when the version came into
// force. A module that had to be there before has no grace.
func (p *Policy) grace(f *Facts, role *Role, now time.Time) (added []string, until time.Time) {
	prior := &f.Prior
	if prior.TitleRole != role.Name || prior.PolicyVersion == p.version {
		return nil, time.Time{}
	}
	asked := p.training(role)
	if fallback := p.role(role.UntilApproved); fallback != nil && prior.Role == fallback.Name {
		asked = slices.Concat(asked, lacking(asked, p.training(fallback)))
	}
	missing, _ := trained(asked, f.Evidence, now)
	since := p.since
	if since.IsZero() {
		since = now // not in force yet: as if it came into force now
	}
	before := prior.Gate(GateTraining).Missing
	for _, id := range missing {
		if slices.Contains(prior.StandsOn, id) || slices.Contains(before, id) {
			continue
		}
		added = append(added, id)
		until = earlier(until, since.AddDate(0, 0, p.graceDays(id)))
	}
	return added, until
}

func (p *Policy) graceDays(module string) int {
	for _, m := range p.modules {
		if m.ID == module {
			return m.GraceDays
		}
	}
	return 0
}

// endedMeanwhile: a participant closed after the decision ended what was carried
// in transition, even when it is open again now. Whether it closed since is told
// by the closing that the decision knew of, never by comparing clocks: a deed may
// run while another one closes the participant.
func endedMeanwhile(d *Decision, p ParticipantState) bool {
	return d.Transition && !ClosedAsSeen(d.ClosedSeen, p)
}

// ClosedAsSeen says whether a participant has not closed since somebody saw it.
func ClosedAsSeen(seen *time.Time, p ParticipantState) bool {
	if seen == nil || p.ClosedAt == nil {
		return seen == p.ClosedAt
	}
	return seen.Equal(*p.ClosedAt)
}
