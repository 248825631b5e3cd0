package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Severity says whether a finding keeps a document from being used.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// The codes of findings.
const (
	CodeDocument      = "document"                    // it cannot be read: a DocumentError's problem
	CodeOverlap       = "overlap"                     // two rows of a title answer for one person
	CodeGap           = "gap"                         // people of a title whom no row answers for
	CodeUnreachable   = "unreachable-row"             // a row that can never answer
	CodeSynonymCycle  = "synonym-cycle"               // synonyms that lead to one another, or not to where they say
	CodeUnapproved    = "privileged-without-approval" // a privileged permission without gate approval
	CodeUntested      = "untested-row"                // a row that no passing fixture is answered by
	CodeMissingLitmos = "missing-litmos"              // a module that the LMS would not find
	CodeMisfit        = "overlay-misfit"              // an overlay that does not fit the policy of all
	CodeYields        = "overlay-yields"              // a synonym of an overlay that the policy of all overrules
)

// Finding is one thing that lint has to say.
type Finding struct {
	Severity Severity `json:"severity"`
	Code     string   `json:"code"`
	File     string   `json:"file,omitempty"` // "" when the document has no name
	Line     int      `json:"line"`           // from 1; 0 when it concerns the whole document, or what a document leaves out
	Key      string   `json:"key"`
	Message  string   `json:"message"`
}

// LintOptions say what lint looks at besides the document.
type LintOptions struct {
	Fixtures []Fixture // the tests beside the document; nil when there are none
	LMS      bool      // the modules are courses of an LMS
}

// Findings are the problems as lint lists them.
func (e *DocumentError) Findings() []Finding {
	out := make([]Finding, len(e.Problems))
	for i, p := range e.Problems {
		out[i] = Finding{Severity: SeverityError, Code: CodeDocument, File: p.File, Line: p.Line, Key: p.Key, Message: p.Message}
	}
	return out
}

// LintSource reads a document and says everything at once that is wrong with it.
// The policy is nil when it cannot be used; then only such parts are judged
// further as could be read.
func LintSource(from Source, o LintOptions) (*Policy, []Finding) {
	d := reader{}
	p := d.policy(from)
	err := d.err("")
	if err == nil {
		return p, p.Lint(o)
	}
	var bad *DocumentError
	var found []Finding
	if errors.As(err, &bad) {
		found = bad.Findings()
	}
	if p != nil {
		l := lint{policy: p, doubts: d.doubts, found: found}
		l.roles()
		l.synonyms()
		l.table()
		l.modules(o)
		found = l.sorted()
	}
	return nil, found
}

// Lint says what is doubtful about a policy that can be read, in the order of
// the document. Overlaps, gaps and rows out of reach are computed over everything
// that the guards can tell apart; none is missed, and each comes with a person
// whom it concerns.
func (p *Policy) Lint(o LintOptions) []Finding {
	l := lint{policy: p.With(nil)}
	l.roles()
	l.synonyms()
	l.table()
	l.names()
	l.modules(o)
	l.coverage(o)
	return l.sorted()
}

type lint struct {
	policy *Policy
	doubts map[string]bool
	found  []Finding
}

func (l *lint) add(severity Severity, code, file string, line int, key, format string, args ...any) {
	l.found = append(l.found, Finding{Severity: severity, Code: code, File: file, Line: line, Key: key, Message: fmt.Sprintf(format, args...)})
}

func (l *lint) sorted() []Finding {
	document := l.policy.places.document
	slices.SortStableFunc(l.found, func(a, b Finding) int {
		if a.File != b.File && a.File == document {
			return -1
		}
		if a.File != b.File && b.File == document {
			return 1
		}
		return cmp.Compare(a.Line, b.Line)
	})
	return l.found
}

// roles finds privileged permissions that nobody has to approve.
func (l *lint) roles() {
	p := l.policy
	for i := range p.roles {
		r := &p.roles[i]
		if l.spoilt(path("roles", r.Name), "gates", "privileged") {
			continue
		}
		if held := intersect(p.privileged, r.Permissions); len(held) > 0 && !p.asks(r, GateApproval) {
			l.add(SeverityError, CodeUnapproved, p.places.document, p.places.roles[r.Name], path("roles", r.Name),
				"holds %s, which is privileged, without gate approval", list(held))
		}
	}
}

// spoilt says whether something of the document's parts could not be read.
func (l *lint) spoilt(keys ...string) bool {
	return slices.ContainsFunc(l.found, func(f Finding) bool {
		return f.Code == CodeDocument && slices.ContainsFunc(keys, func(key string) bool { return f.Key == key || strings.HasPrefix(f.Key, key+".") })
	})
}

func (l *lint) modules(o LintOptions) {
	if !o.LMS {
		return
	}
	for _, m := range l.policy.modules {
		if m.Litmos == "" {
			l.add(SeverityWarning, CodeMissingLitmos, l.policy.places.document, l.policy.places.modules[m.ID], path("modules", m.ID),
				"names no course of the LMS (litmos); nobody can be enrolled for it")
		}
	}
}

// synonyms finds what is read as something that is itself read differently:
// what a synonym stands for is not read again.
func (l *lint) synonyms() {
	p := l.policy
	names := make([]string, 0, len(p.places.synonyms))
	for name := range p.places.synonyms {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(p.places.synonyms[a], p.places.synonyms[b]), strings.Compare(a, b))
	})
	told := map[string]bool{} // members of cycles
	for _, name := range names {
		key := tableKey(name)
		next := p.words.synonymsIn(p.words.synonyms.to[key])
		if len(next) == 0 || told[key] {
			continue
		}
		if cycle := p.words.cycle(key); len(cycle) > 0 {
			for _, k := range cycle {
				told[k] = true
			}
			l.add(SeverityError, CodeSynonymCycle, p.places.document, p.places.synonyms[name], path("synonyms", name),
				"leads back to itself: %s", strings.Join(append(cycle, key), " → "))
			continue
		}
		stands := p.words.synonyms.to[key]
		l.add(SeverityWarning, CodeSynonymCycle, p.places.document, p.places.synonyms[name], path("synonyms", name),
			"is read as %q, where %s is itself a synonym and is not read again; write %q", clip(strings.Join(stands, " ")), next[0], clip(strings.Join(p.words.settle(stands), " ")))
	}
}

// synonymsIn are the synonyms that would be put in place of words, were they
// read again.
func (w *words) synonymsIn(ws []string) []string {
	var out []string
	for i := 0; i < len(ws); {
		n, _ := w.synonyms.at(ws[i:])
		if n > 0 {
			out = append(out, strings.Join(ws[i:i+n], " "))
		}
		i += max(n, 1)
	}
	return out
}

// cycle is a way from a synonym over others back to it, nil when there is none:
// its words come round again, or growing ones do that hold it.
func (w *words) cycle(from string) []string {
	way, ws := []string{from}, strings.Fields(from)
	for range mostRounds {
		ws = w.rewrite(ws)
		key := strings.Join(ws, " ")
		if key == from {
			return way
		}
		if len(ws) > maxPhrase || key == way[len(way)-1] {
			break
		}
		way = append(way, key)
	}
	before := map[string]string{}
	open := []string{from}
	for len(open) > 0 {
		key := open[0]
		open = open[1:]
		for _, next := range w.synonymsIn(w.synonyms.to[key]) {
			if next == from {
				way := []string{key}
				for way[0] != from {
					way = slices.Insert(way, 0, before[way[0]])
				}
				return way
			}
			if _, seen := before[next]; !seen {
				before[next] = key
				open = append(open, next)
			}
		}
	}
	return nil
}

// How often words are read again before they are said to lead nowhere, and how
// many they may become meanwhile.
const (
	mostRounds = 16
	maxPhrase  = 64
)

// settle reads words until nothing is read differently, within reason: they may
// lead into a cycle.
func (w *words) settle(ws []string) []string {
	for range mostRounds {
		if len(w.synonymsIn(ws)) == 0 || len(ws) > maxPhrase {
			break
		}
		ws = w.rewrite(ws)
	}
	return ws
}

// names finds titles that do not find their own row.
func (l *lint) names() {
	p := l.policy
	for i := range p.rows {
		row := &p.rows[i]
		for n, name := range append([]string{row.Title}, row.Aliases...) {
			kind := "alias"
			if n == 0 {
				kind = "title"
			}
			if of := p.match(name).Of; of == nil || !slices.Contains(of.rows, row) {
				l.row(SeverityError, CodeUnreachable, row, "%s %q does not find the row when it is looked up", kind, name)
			}
		}
	}
}

// row adds a finding about a row of the table.
func (l *lint) row(severity Severity, code string, row *Row, format string, args ...any) {
	places := l.policy.places
	l.add(severity, code, places.table, places.rows[row.ID], path("titles", row.ID), format, args...)
}

// coverage finds rows without a test.
func (l *lint) coverage(o LintOptions) {
	p := l.policy
	if o.Fixtures == nil {
		if len(p.rows) > 0 {
			l.add(SeverityWarning, CodeUntested, p.places.document, 0, "", "there are no tests beside the document; no row is tested")
		}
		return
	}
	rows := p.register().rows
	for _, id := range p.Test(o.Fixtures).Uncovered {
		l.row(SeverityError, CodeUntested, rows[id], "no test that passes is answered by row %s", id)
	}
}
