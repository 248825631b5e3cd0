package filter

import (
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/storage"
)

// The price of a comparison, by what it makes a database do. An eq on an
// attribute without a column is looked up in an index; everything else on such
// an attribute is read out of every document, once per comparison.
const (
	lookedUp = 1
	readOut  = 5
	// MaxCost is what one filter may cost: 200 look-ups, or 40 readings of
	// every document. Comparisons of columns are free.
	MaxCost = 200
)

// CheckCost refuses a filter that would keep the database from the others.
func CheckCost(f storage.Filter) error {
	if cost(f, false) > MaxCost {
		return protocol.Errorf(protocol.InvalidFilter, "filter", "the filter has more comparisons of attributes without an index than are carried out at once (200 eq, or 40 of another kind); ask in several requests")
	}
	return nil
}

// cost sums a tree up; under a not nothing is looked up.
func cost(f storage.Filter, negated bool) int {
	switch f := f.(type) {
	case storage.And:
		return sum(f, negated)
	case storage.Or:
		return sum(f, negated)
	case storage.Not:
		return cost(f.Filter, true)
	case storage.Element:
		return max(lookedUp, cost(f.Filter, negated))
	case storage.Attr:
		if f.Op == storage.OpEq && !negated {
			return lookedUp
		}
		return readOut
	case storage.Cmp, storage.In:
		return 0
	}
	return 0
}

func sum(list []storage.Filter, negated bool) int {
	total := 0
	for _, f := range list {
		total += cost(f, negated)
	}
	return total
}
