package policy

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// titleReason says in words that leave the house what a title leads to, and
// when nothing, what would change that.
func (p *Policy) titleReason(f *Facts, a *verdict) string {
	if a.role != nil {
		return "title " + strconv.Quote(f.Title) + " is " + a.Of.title
	}
	if a.Of == nil {
		if a.Normal == "" {
			return "title is missing"
		}
		return "title " + strconv.Quote(f.Title) + " " + a.Why
	}
	why := p.missReason(f, a)
	if hints := p.counterfactuals(f, a, 1); len(hints) > 0 {
		why += "; " + hints[0].Sentence
	}
	return why
}

// missReason says why a title of the table gives this person nothing.
func (p *Policy) missReason(f *Facts, a *verdict) string {
	title := "title " + strconv.Quote(f.Title)
	seen := seen{facts: f}
	switch a.miss {
	case missGap:
		if len(a.Of.rows) == 1 {
			return title + " counts only where " + seen.unheld(a.Of.rows[0].Guards)
		}
		return title + " counts for some people only, and no row of " + a.Of.title + " is for this one"
	case missAmbiguous:
		return title + " has several rows of " + a.Of.title + " that are for this person, so none answers"
	case missOverlay:
		return title + " counts at this participant only where " + seen.unheld(p.overlay.further(a.row))
	case missType:
		role := p.role(a.row.Role)
		if forParticipant(role, f.Participant) {
			role = p.role(p.overlay.instead(a.row))
		}
		return "role " + role.Name + " is for participants of type " + or(role.ParticipantTypes) + " only"
	case missShared:
		return "the role that this participant gives " + a.Of.title + " has no permission of the one that the policy gives"
	case missJobCode:
		why := "title and job code disagree: " + title + " is " + a.Of.title + ", the job code stands for " + a.code.title
		if a.coded.role == nil {
			return why + ", which gives this person no role"
		}
		return why + ", and their roles share no permission"
	case missNone:
	}
	return title + " gives no role"
}

// unheld says the first guard that does not hold, and what is there instead.
func (s *seen) unheld(guards []Guard) string {
	for _, g := range guards {
		if g.accepts(s.value(g.Attribute)) {
			continue
		}
		was := "is not given"
		if s.value(g.Attribute) != "" {
			was = "is " + strconv.Quote(clip(g.Attribute.of(s.facts)))
		}
		return g.inShort() + ", and " + string(g.Attribute) + " " + was
	}
	return "never"
}

// sentence puts a decision into one English sentence, outward and for staff.
func (p *Policy) sentence(f *Facts, d *Decision, a *verdict) (outward, staff string) {
	var head string
	switch d.Status {
	case StatusRevoked:
		if f.Deleted {
			return "Access ended: the user was deleted.", ""
		}
		return "Access ended: the user is not active.", ""
	case StatusIneligible:
		return subject(f, a) + " gives no access to patients' records.", ""
	case StatusReleased:
		closed := slices.ContainsFunc(d.Gates, func(g GateState) bool { return !g.Open && g.Gate != GateParticipant })
		is := subject(f, a) + " is " + p.roleName(a.role)
		switch {
		case !closed && d.Role == d.TitleRole:
			return is + "; released, all gates are open.", ""
		case d.Role == d.TitleRole:
			head = is + "; access is kept "
			if d.ValidUntil != nil {
				head += "until " + d.ValidUntil.UTC().Format(time.DateOnly) + " "
			}
			head += "although: "
		case !closed: // the role is a part of the one whose name it has
			return is + ": " + isAre(d.Permissions) + " in force; released, all gates are open.", ""
		case d.Role != "":
			head = is + "; meanwhile " + d.Role + " is in force: "
		default:
			head = is + "; meanwhile only " + isAre(d.Permissions) + " in force: "
		}
	case StatusSuspended, StatusPending:
		if a.role != nil {
			head = subject(f, a) + " is " + p.roleName(a.role) + ". "
		}
		if d.Status == StatusSuspended {
			head += "Suspended: "
		} else {
			head += "Not released: "
		}
	}
	outward, staff = closings(d, a)
	if outward == staff {
		return head + outward, ""
	}
	return head + outward, head + staff
}

// roleName is a role as sentences name it.
func (p *Policy) roleName(r *Role) string {
	if p.partly(r) {
		return r.Name + " in part"
	}
	return r.Name
}

// subject is the title as somebody will recognise it.
func subject(f *Facts, a *verdict) string {
	s := "The missing title"
	if a.Normal != "" {
		s = "Title " + strconv.Quote(f.Title)
	}
	if a.Of != nil && !strings.EqualFold(a.Of.title, f.Title) {
		s += " (" + a.Of.title + ")"
	}
	if a.disagree {
		s += " with the job code of " + a.code.title
	}
	return s
}

// closings say which gates are closed and why, outward and for staff.
func closings(d *Decision, a *verdict) (outward, staff string) {
	var out, in []string
	for _, g := range d.Gates {
		// What is released is decided as if the participant were open; At says
		// otherwise, and the sentence must not outlive a suspension.
		if g.Open || (d.Status == StatusReleased && g.Gate == GateParticipant) {
			continue
		}
		reason := g.Reason
		unknown := a.Of == nil && a.Normal != ""
		if g.Gate == GateTitle && (unknown || a.miss == missJobCode) {
			reason += ", a person at Healthix will look at it"
		}
		out = append(out, reason)
		if g.Staff != "" {
			reason = g.Staff
		}
		in = append(in, reason)
	}
	return strings.Join(out, "; ") + ".", strings.Join(in, "; ") + "."
}

func isAre(permissions []string) string {
	if len(permissions) == 1 {
		return permissions[0] + " is"
	}
	return list(permissions) + " are"
}
