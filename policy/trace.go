package policy

import (
	"strconv"
	"sync"
	"time"
)

// trace writes the steps of a decision. Their texts share one string: there are
// a dozen of them, and a policy change decides about everybody.
type trace struct {
	text  []byte
	names []string
	ends  []int // of each step's text
}

var traces = sync.Pool{New: func() any { return new(trace) }}

// newTrace begins a trace; done ends it.
func newTrace() *trace {
	t, _ := traces.Get().(*trace)
	t.text, t.names, t.ends = t.text[:0], t.names[:0], t.ends[:0]
	return t
}

// done answers the steps. The trace must not be written to any more.
func (t *trace) done() []Step {
	text := string(t.text)
	out := make([]Step, len(t.names))
	from := 0
	for i, name := range t.names {
		out[i] = Step{Step: name, Detail: text[from:t.ends[i]]}
		from = t.ends[i]
	}
	traces.Put(t)
	return out
}

// say adds to the step that is being written.
func (t *trace) say(parts ...string) {
	for _, part := range parts {
		t.text = append(t.text, part...)
	}
}

func (t *trace) quote(s string) { t.text = strconv.AppendQuote(t.text, s) }

// until says when something ends; the zero time is no end.
func (t *trace) until(end time.Time) {
	if end.IsZero() {
		t.say(" without end")
		return
	}
	t.say(" until ")
	t.text = end.UTC().AppendFormat(t.text, time.RFC3339)
}

// list writes "a", "a and b", "a, b and c".
func (t *trace) list(words []string) {
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			t.say(" and ")
		default:
			t.say(", ")
		}
		t.say(w)
	}
}

// end ends the step that is being written.
func (t *trace) end(step string) {
	t.names = append(t.names, step)
	t.ends = append(t.ends, len(t.text))
}

func (t *trace) step(step string, parts ...string) {
	t.say(parts...)
	t.end(step)
}

// answer writes how title and job code were read.
func (t *trace) answer(p *Policy, f *Facts, a *verdict) {
	t.quote(f.Title)
	t.say(" reads ")
	t.quote(a.Normal)
	t.end("normalize")
	switch {
	case a.Of != nil:
		if a.how != "" {
			t.step("synonym", a.how)
		}
		seen := seen{facts: f}
		t.chosen(p, a.Of, a.chosen, &seen)
	case a.Normal == "":
		t.step("row", "none: there is no title")
	case a.how != "":
		t.step("row", "none: ", a.how)
	case a.Why == tooLong:
		t.step("row", "none: the title is longer than ", strconv.Itoa(maxTitle), " bytes")
	default:
		t.step("row", "none: no row has this title or alias")
	}
	if f.JobCode != "" && p.jobCodes.attribute != "" {
		t.jobCode(p, f, a)
	}
}

// chosen writes each guard with what was seen, and the row that answered.
func (t *trace) chosen(p *Policy, of *occupation, c chosen, s *seen) {
	for _, row := range of.rows {
		t.guards(rowName(of, row), row.Guards, s)
	}
	if c.row == nil {
		if c.miss == missAmbiguous {
			t.step("row", "none: several rows of ", of.title, " answer")
		} else {
			t.step("row", "none: no row of ", of.title, " answers")
		}
		return
	}
	t.say(of.title, ", role ", c.row.Role)
	if len(of.rows) > 1 {
		t.say(" (row ", c.row.ID, ")")
	}
	t.end("row")
	role := p.role(c.row.Role)
	t.types(role, s)
	t.guards("at this participant", p.overlay.further(c.row), s)
	name := p.overlay.instead(c.row)
	if name == "" {
		return
	}
	if narrower := p.role(name); narrower != nil {
		t.types(narrower, s)
	}
	switch {
	case c.miss == missShared:
		t.step("overlay", "at this participant ", name, " instead of ", role.Name, ": they share no permission")
	case c.role == nil:
	case c.role == role:
		t.step("overlay", "at this participant ", name, " instead of ", role.Name, ": it holds no less, so ", role.Name, " stays")
	case p.partly(c.role):
		t.say("at this participant ", name, " instead of ", role.Name, ": what both give, ")
		t.list(c.role.Permissions)
		t.end("overlay")
	default:
		t.step("overlay", "at this participant ", name, " instead of ", role.Name)
	}
}

// rowName tells the rows of an occupation apart, where it has several.
func rowName(of *occupation, row *Row) string {
	if len(of.rows) == 1 {
		return ""
	}
	return row.ID
}

func (t *trace) guards(whose string, guards []Guard, s *seen) {
	for _, g := range guards {
		if whose != "" {
			t.say(whose, ": ")
		}
		t.say(string(g.Attribute))
		switch g.Test {
		case TestIn:
			t.say(" is in ", or(g.Values))
		case TestNotIn:
			t.say(" is not in ", or(g.Values))
		case TestPresent:
			t.say(" is given")
		case TestAbsent:
			t.say(" is not given")
		}
		t.say(": ", yesOrNo(g.accepts(s.value(g.Attribute))), ", ")
		t.saw(g.Attribute, s)
		t.end("guard")
	}
}

// saw says what an attribute is.
func (t *trace) saw(a Attribute, s *seen) {
	t.say(string(a), " is ")
	if s.value(a) == "" {
		t.say("not given")
		return
	}
	t.quote(clip(a.of(s.facts)))
}

func (t *trace) types(r *Role, s *seen) {
	if len(r.ParticipantTypes) == 0 {
		return
	}
	t.say("role ", r.Name, " is for participants of type ", or(r.ParticipantTypes), ": ", yesOrNo(forParticipant(r, s.facts.Participant)), ", ")
	t.saw(AttributeParticipantType, s)
	t.end("guard")
}

func yesOrNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// jobCode writes what the code beside the title stands for, and what follows.
func (t *trace) jobCode(p *Policy, f *Facts, a *verdict) {
	t.quote(clip(f.JobCode))
	if a.code == nil {
		t.step("jobCode", " stands for nothing that this policy knows")
		return
	}
	t.say(" stands for ", a.code.title)
	switch {
	case a.Of == nil:
		t.step("jobCode", ", but a job code alone gives nothing")
		return
	case a.code == a.Of:
		t.step("jobCode", ", as the title does")
		return
	}
	t.end("jobCode")
	seen := seen{facts: f}
	t.chosen(p, a.code, a.coded, &seen)
	switch {
	case a.row == nil || a.role == nil && a.miss != missJobCode:
		t.say("a job code alone gives nothing")
	case a.coded.role == nil:
		t.say("the job code's occupation gives this person no role, so neither holds")
	case !a.disagree:
		t.say("it gives the same role as the title")
	case a.role == nil:
		t.say("title and job code share no permission, so neither holds")
	case p.partly(a.role):
		t.say("title and job code disagree; what both give holds: ")
		t.list(a.role.Permissions)
	default:
		t.say("title and job code disagree; the narrower role holds: ", a.role.Name)
	}
	t.end("jobCode")
}

// training writes which evidence opens or opened each module.
func (t *trace) training(modules []string, evidence []Evidence, now time.Time) {
	separator := "; "
	for _, module := range modules {
		e := longest(evidence, GateTraining, module, now)
		if e != nil {
			t.say(separator, module, " by evidence ", e.ID)
			t.until(e.ValidUntil)
		} else if e = lastEnded(evidence, module, now); e != nil {
			t.say(separator, module, " by evidence ", e.ID, " ended ")
			t.text = e.ValidUntil.UTC().AppendFormat(t.text, time.RFC3339)
		} else {
			continue
		}
		separator = ", "
	}
}

// lastEnded is the evidence for a module that ended last, nil when none has.
func lastEnded(evidence []Evidence, module string, now time.Time) *Evidence {
	var last *Evidence
	for i := range evidence {
		e := &evidence[i]
		if e.Gate == GateTraining && e.Module == module && !e.ValidUntil.IsZero() && !now.Before(e.ValidUntil) && (last == nil || e.ValidUntil.After(last.ValidUntil)) {
			last = e
		}
	}
	return last
}
