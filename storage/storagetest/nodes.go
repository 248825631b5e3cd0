package storagetest

// nodesAreCounted: servers count while they give signs of life.
func nodesAreCounted(h *house) {
	for i, step := range []struct {
		node string
		want int
	}{{"a", 1}, {"a", 1}, {"b", 2}, {"a", 2}} {
		got, err := h.Beat(h.Context(), step.node)
		if err != nil || got != step.want {
			h.Errorf("beat %d of %s: %d alive, %v; want %d", i, step.node, got, err, step.want)
		}
	}
}
