package policy

import (
	"slices"
	"strings"
)

// table finds rows that answer together, people whom no row answers for, and
// rows that can never answer.
func (l *lint) table() {
	p := l.policy
	seen := map[*occupation]bool{}
	for i := range p.rows {
		key := tableKey(p.rows[i].Title)
		of := p.byKey[key]
		if of == nil || seen[of] || l.doubts[""] || l.doubts[key] {
			continue
		}
		seen[of] = true
		if len(of.rows) > 1 || len(of.rows[0].Guards) > 0 {
			l.occupation(of)
		}
	}
}

func (l *lint) occupation(of *occupation) {
	s := newSpace(of.rows)
	boxes := make([]box, len(of.rows))
	for i, row := range of.rows {
		boxes[i] = s.box(row.Guards)
		l.reach(s, row, boxes[i])
		for j := range i {
			if both := boxes[i].and(boxes[j]); !both.empty() {
				first := of.rows[j]
				l.row(SeverityError, CodeOverlap, row, "rows %s (line %d) and %s both answer where %s; then neither gives access",
					first.ID, l.policy.places.rows[first.ID], row.ID, s.witness(both))
				break
			}
		}
	}
	rest, ok := s.uncovered(s.everybody(), boxes)
	switch {
	case ok:
		l.row(SeverityWarning, CodeGap, of.rows[0], "no row of %s answers where %s; these people wait in the title queue", of.title, s.witness(rest))
	case s.work < 0:
		l.row(SeverityWarning, CodeGap, of.rows[0], "the guards of %s divide its people too finely to say whether every one of them is answered for; use fewer values", of.title)
	}
}

// reach finds rows whose guards contradict one another, or the participants
// that the role is for.
func (l *lint) reach(s *space, row *Row, b box) {
	places := l.policy.places
	role := l.policy.role(row.Role)
	for i, d := range s.domains {
		var said []string
		for _, g := range row.Guards {
			if g.Attribute == d.attribute {
				said = append(said, g.String())
			}
		}
		if b[i].empty() {
			l.add(SeverityError, CodeUnreachable, places.document, places.guards[row.ID], path("guards", row.ID), "the row answers for nobody: %s", never(said))
			continue
		}
		if d.attribute != AttributeParticipantType || len(role.ParticipantTypes) == 0 {
			continue
		}
		if !slices.ContainsFunc(role.ParticipantTypes, func(t string) bool { return b[i].has(slices.Index(d.values, t)) }) {
			l.add(SeverityError, CodeUnreachable, places.document, places.guards[row.ID], path("guards", row.ID),
				"the row answers for nobody: %s, but role %s is for participants of type %s", strings.Join(said, " and "), role.Name, or(role.ParticipantTypes))
		}
	}
}

func never(guards []string) string {
	if len(guards) == 1 {
		return guards[0] + " can never hold"
	}
	return list(guards) + " cannot hold together"
}

// Lint says what of an overlay does not fit a policy of all, which may be newer
// than the one it was read for.
func (o *Overlay) Lint(p *Policy) []Finding {
	w := o.written
	fitting, misfits := w.over(p)
	names := p.register()
	l := lint{policy: p}
	for _, m := range misfits {
		severity, code, message := SeverityError, CodeMisfit, m.message
		if m.yields {
			severity, code, message = SeverityWarning, CodeYields, m.message+"; the overlay's synonym does nothing"
		}
		l.add(severity, code, w.file, m.line, m.key, "%s", message)
	}
	for _, g := range w.guards {
		row, fault := names.row(g.key)
		if fault != "" {
			continue
		}
		both := append(slices.Clone(row.Guards), fitting.guards[row.ID]...)
		s := newSpace([]*Row{{Guards: both}})
		if s.box(row.Guards).empty() || !s.box(both).empty() {
			continue
		}
		said := make([]string, len(both))
		for i, g := range both {
			said[i] = g.String()
		}
		l.add(SeverityWarning, CodeUnreachable, w.file, g.line, path("guards", g.key), "row %s answers for nobody at this participant: %s", row.ID, never(said))
	}
	slices.SortStableFunc(l.found, func(a, b Finding) int { return a.Line - b.Line })
	return l.found
}
