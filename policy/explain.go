package policy

import "time"

// Explanation is what a title would lead to, for people who ask before they
// submit. It grants nothing.
type Explanation struct {
	Role          *string        `json:"role"` // the title's role, null when none
	Rule          string         `json:"rule"`
	Title         ExplainedTitle `json:"title"`
	Trace         []Step         `json:"trace"`
	Reason        string         `json:"reason"`
	Suggestions   []Suggestion   `json:"suggestions"`
	PolicyVersion int64          `json:"policyVersion"`
}

// ExplainedTitle is a title as given and as the policy looks it up.
type ExplainedTitle struct {
	Raw    string `json:"raw"`
	Normal string `json:"normal"`
}

// Explain says what the title of f leads to; suggestions come when it leads to
// nothing. Only title, department, user type, NPI and participant are read.
func (p *Policy) Explain(f Facts, _ time.Time) Explanation {
	m := p.match(f.Title)
	role, m, steps := p.titleRole(f, m)
	e := Explanation{
		Title:         ExplainedTitle{Raw: f.Title, Normal: m.Normal},
		Trace:         steps,
		Suggestions:   []Suggestion{},
		PolicyVersion: p.version,
	}
	if m.Row != nil {
		e.Rule = "title:" + m.Row.ID
	}
	switch {
	case role == nil:
		e.Reason = "No access: " + titleReason(f, m, nil) + "."
		if m.Row == nil {
			e.Suggestions = append(e.Suggestions, p.Suggest(f.Title, f.Department, 3)...)
		}
	case len(role.Permissions) == 0:
		e.Role = &role.Name
		e.Reason = m.Row.Title + " gives no access to patients' records."
	default:
		e.Role = &role.Name
		e.Reason = m.Row.Title + " is " + role.Name + ": " + list(role.Permissions)
		if len(role.Modules) > 0 {
			e.Reason += "; training " + list(role.Modules) + " is required"
		}
		if p.asks(role, GateApproval) {
			e.Reason += "; Healthix must approve it"
			if role.UntilApproved != "" {
				e.Reason += ", until then " + role.UntilApproved + " applies"
			}
		}
		e.Reason += "."
	}
	return e
}
