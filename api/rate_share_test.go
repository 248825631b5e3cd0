package api

import "testing"

func TestServersShareARate(t *testing.T) {
	for _, tc := range []struct {
		rate  Rate
		nodes int
		want  Rate
	}{
		{Rate{PerSecond: 200, Burst: 1000}, 1, Rate{PerSecond: 200, Burst: 1000}},
		{Rate{PerSecond: 200, Burst: 1000}, 4, Rate{PerSecond: 50, Burst: 250}},
		{Rate{}, 2, Rate{PerSecond: 100, Burst: 500}},
		{Rate{PerSecond: 1, Burst: 1}, 3, Rate{PerSecond: 1.0 / 3, Burst: 1}},
		{Rate{Off: true}, 3, Rate{Off: true}},
	} {
		if got := tc.rate.share(tc.nodes); got != tc.want {
			t.Errorf("%+v shared by %d: %+v, want %+v", tc.rate, tc.nodes, got, tc.want)
		}
	}
}

// TestNodesNarrowTheDoor: what one server lets through follows the number of
// those that share the limit.
func TestNodesNarrowTheDoor(t *testing.T) {
	nodes := 1
	h := newHouse(t, func(o *Options) {
		o.RateLimit = Rate{PerSecond: 0.001, Burst: 8}
		o.Nodes = func() int { return nodes }
	})
	passed := func(participant string) (n int) {
		token := h.token("scim", participant)
		for range 10 {
			if h.ask("GET", scimRoot+"/Users", token, "").status == 200 {
				n++
			}
		}
		return n
	}
	if got := passed("mercy"); got != 8 {
		t.Errorf("one server let %d through, want 8", got)
	}
	nodes = 4
	if got := passed("general"); got != 2 {
		t.Errorf("one of four servers let %d through, want 2", got)
	}
}
