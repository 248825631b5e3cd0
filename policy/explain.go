package policy

import "time"

// Explanation is what a title would lead to, for people who ask before they
// submit. It grants nothing.
type Explanation struct {
	Role            *string          `json:"role"` // the title's role, null when none
	Rule            string           `json:"rule"`
	Title           ExplainedTitle   `json:"title"`
	JobCodeTitle    string           `json:"jobCodeTitle,omitempty"` // what the job code stands for, when it disagrees with the title
	Permissions     []string         `json:"permissions"`            // of the role; of both, when title and job code disagree
	Trace           []Step           `json:"trace"`
	Reason          string           `json:"reason"`
	Counterfactuals []Counterfactual `json:"counterfactuals"` // what would give another role, fewest changes first
	Suggestions     []Suggestion     `json:"suggestions"`
	PolicyVersion   int64            `json:"policyVersion"`
}

// ExplainedTitle is a title as given and as the policy looks it up.
type ExplainedTitle struct {
	Raw    string `json:"raw"`
	Normal string `json:"normal"`
}

// Explain says what title and job code of f lead to, and what would lead
// elsewhere; suggestions come when the title is not in the table. Of f only
// title, job code, department, user type, NPI and the participant's type are
// read.
func (p *Policy) Explain(f Facts, _ time.Time) Explanation {
	a := p.verdict(&f)
	t := newTrace()
	t.answer(p, &f, &a)
	e := Explanation{
		Title:           ExplainedTitle{Raw: f.Title, Normal: a.Normal},
		Permissions:     []string{},
		Trace:           t.done(),
		Counterfactuals: append([]Counterfactual{}, p.counterfactuals(&f, &a, 0)...),
		Suggestions:     []Suggestion{},
		PolicyVersion:   p.version,
	}
	if a.row != nil {
		e.Rule = ruleOf(a.row)
	}
	if a.disagree {
		e.JobCodeTitle = a.code.title
	}
	if a.role == nil {
		e.Reason = "No access: " + p.titleReason(&f, &a) + "."
		if a.Of == nil {
			e.Suggestions = append(e.Suggestions, p.Suggest(f.Title, f.Department, nil, 3)...)
		}
		return e
	}
	e.Role = &a.role.Name
	e.Permissions = append(e.Permissions, a.role.Permissions...)
	e.Reason = p.roleReason(&a)
	return e
}

// roleReason says what a role gives and what it asks for.
func (p *Policy) roleReason(a *verdict) string {
	role, subject := a.role, a.Of.title
	if a.disagree {
		subject += " with the job code of " + a.code.title
	}
	if len(role.Permissions) == 0 {
		return subject + " gives no access to patients' records."
	}
	reason := subject + " is " + p.roleName(role) + ": " + list(role.Permissions)
	if modules := p.training(role); len(modules) > 0 {
		reason += "; training " + list(modules) + " is required"
	}
	if p.asks(role, GateNPI) {
		reason += "; a National Provider Identifier is required"
	}
	if p.asks(role, GateApproval) {
		reason += "; Healthix must approve it"
		if role.UntilApproved != "" {
			reason += ", until then " + role.UntilApproved + " applies"
		}
	}
	return reason + "."
}
