package policy

import (
	"math/bits"
	"slices"
	"strings"
)

// The guards of one title split its people along a few attributes, each with a
// closed domain: every listed value, anything else, and nothing at all. Whom a
// row covers is a box over those domains, so that overlaps and gaps are computed
// and not looked for: what is left of everybody when box after box is taken away
// is a gap.

// mostWork bounds the taking away, in words of 64 positions. What people write
// needs some thousands.
const mostWork = 20_000_000

// domain is what an attribute can be, as far as one title's guards tell.
type domain struct {
	attribute Attribute
	values    []string       // as first written; behind them anything else and nothing, unless closed
	index     map[string]int // of values in normal form
	closed    bool           // a participant has one of the listed types
}

func (d domain) size() int {
	if d.closed {
		return len(d.values)
	}
	return len(d.values) + 2
}

// says writes a position in English.
func (d domain) says(position int) string {
	switch {
	case position < len(d.values):
		return string(d.attribute) + " = " + d.values[position]
	case position > len(d.values):
		return string(d.attribute) + " not given"
	case len(d.values) > 0:
		return string(d.attribute) + " something else"
	default:
		return string(d.attribute) + " given"
	}
}

// allows answers where in its domain a guard holds.
func (d domain) allows(g Guard) positions {
	all, listed := newPositions(d.size()), newPositions(d.size())
	for i := range d.size() {
		all.put(i)
	}
	for _, v := range g.normal {
		listed.put(d.index[v])
	}
	nothing := newPositions(d.size())
	if !d.closed {
		nothing.put(len(d.values) + 1)
	}
	switch g.Test {
	case TestIn:
		return listed
	case TestNotIn:
		return all.without(listed)
	case TestPresent:
		return all.without(nothing)
	case TestAbsent:
		return nothing
	}
	return newPositions(d.size())
}

// space is the domains of one title's guards.
type space struct {
	domains []domain
	work    int // that is left
}

func newSpace(rows []*Row) *space {
	s := &space{work: mostWork}
	for _, name := range attributes {
		d := domain{attribute: Attribute(name), index: map[string]int{}}
		add := func(values []string) {
			for _, v := range values {
				normal := NormalTitle(v)
				if _, again := d.index[normal]; !again {
					d.index[normal] = len(d.values)
					d.values = append(d.values, v)
				}
			}
		}
		if d.attribute == AttributeParticipantType {
			d.closed = true
			add(participantKind)
		}
		for _, row := range rows {
			for _, g := range row.Guards {
				if g.Attribute == d.attribute {
					add(g.Values)
				}
			}
		}
		s.domains = append(s.domains, d)
	}
	return s
}

// box is a set of positions for each domain.
type box []positions

// positions are a set of numbers from 0.
type positions []uint64

func newPositions(size int) positions { return make(positions, size/64+1) }

func (p positions) has(i int) bool { return p[i/64]&(1<<(i%64)) != 0 }
func (p positions) put(i int)      { p[i/64] |= 1 << (i % 64) }
func (p positions) empty() bool {
	return !slices.ContainsFunc(p, func(w uint64) bool { return w != 0 })
}

// first is the least member of a set that has one.
func (p positions) first() int {
	for i, w := range p {
		if w != 0 {
			return 64*i + bits.TrailingZeros64(w)
		}
	}
	return 0
}

func (p positions) and(q positions) positions {
	out := make(positions, len(p))
	for i := range p {
		out[i] = p[i] & q[i]
	}
	return out
}

func (p positions) without(q positions) positions {
	out := make(positions, len(p))
	for i := range p {
		out[i] = p[i] &^ q[i]
	}
	return out
}

// everybody is the whole space.
func (s *space) everybody() box { return s.box(nil) }

// box is whom guards let through.
func (s *space) box(guards []Guard) box {
	b := make(box, len(s.domains))
	for i, d := range s.domains {
		b[i] = newPositions(d.size())
		for at := range d.size() {
			b[i].put(at)
		}
		for _, g := range guards {
			if g.Attribute == d.attribute {
				b[i] = b[i].and(d.allows(g))
			}
		}
	}
	return b
}

func (b box) empty() bool { return slices.ContainsFunc(b, positions.empty) }

func (b box) and(c box) box {
	out := make(box, len(b))
	for i := range b {
		out[i] = b[i].and(c[i])
	}
	return out
}

// uncovered answers a part of b that is in none of the boxes, ok false when there
// is none. It stops, with s.work below 0, when that exceeds its bound.
func (s *space) uncovered(b box, boxes []box) (rest box, ok bool) {
	for len(boxes) > 0 && b.and(boxes[0]).empty() {
		boxes = boxes[1:]
	}
	for i := range b {
		s.work -= 2 * len(b[i]) * (1 + len(boxes))
	}
	if s.work < 0 || b.empty() {
		return nil, false
	}
	if len(boxes) == 0 {
		return b, true
	}
	// b without the box is disjoint pieces, one for each attribute in which b
	// reaches beyond it.
	b = slices.Clone(b)
	for i := range b {
		inside := b[i].and(boxes[0][i])
		if outside := b[i].without(boxes[0][i]); !outside.empty() {
			b[i] = outside
			if rest, ok := s.uncovered(b, boxes[1:]); ok || s.work < 0 {
				return rest, ok
			}
		}
		b[i] = inside
	}
	return nil, false
}

// witness describes somebody of a box by the attributes in which it is not
// everybody.
func (s *space) witness(b box) string {
	var says []string
	all := s.everybody()
	for i, d := range s.domains {
		if !slices.Equal(all[i], b[i]) {
			says = append(says, d.says(b[i].first()))
		}
	}
	if len(says) == 0 {
		return "whatever the person's attributes are"
	}
	return strings.Join(says, ", ")
}
