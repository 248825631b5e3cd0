package scim

// plan orders the operations of a Bulk: as sent, but one that refers to a
// resource comes after the POST that makes it, and operations on one resource
// keep their order (RFC 7644 §3.7: the same result as processing them one by
// one). Operations whose references form a circle come as one step.
func plan(ops []*operation) [][]*operation {
	p := planner{ops: ops, makers: makers(ops), step: make([]int, len(ops))}
	p.circles()
	p.edges()
	return p.order()
}

// makers finds the POST behind each bulkId.
func makers(ops []*operation) map[string]*operation {
	found := map[string]*operation{}
	for _, op := range ops {
		if op.makes() {
			found[op.bulkID] = op
		}
	}
	return found
}

type planner struct {
	ops    []*operation
	makers map[string]*operation

	steps   [][]*operation // ascending within one
	step    []int          // of each operation
	blocked []int          // how many steps must come before a step
	blocks  [][]int        // which steps wait for a step
}

// circles makes the steps: strongly connected operations share one (Tarjan).
func (p *planner) circles() {
	seen, low := make([]int, len(p.ops)), make([]int, len(p.ops)) // 0: not seen yet
	done := make([]bool, len(p.ops))
	var stack []int
	count := 0
	var visit func(at int)
	visit = func(at int) {
		count++
		seen[at], low[at] = count, count
		stack = append(stack, at)
		for _, name := range p.ops[at].refs {
			maker := p.makers[name]
			if maker == nil {
				continue
			}
			if seen[maker.index] == 0 {
				visit(maker.index)
			}
			if !done[maker.index] { // it leads back to something on the stack
				low[at] = min(low[at], low[maker.index])
			}
		}
		if low[at] != seen[at] {
			return
		}
		for {
			last := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			done[last], p.step[last] = true, -at-1 // the root's index, for now
			if last == at {
				return
			}
		}
	}
	for at := range p.ops {
		if seen[at] == 0 {
			visit(at)
		}
	}
	// Steps are numbered by their last operation, so that a circle waits for
	// all that was sent before its end.
	number := map[int]int{}
	for at := len(p.ops) - 1; at >= 0; at-- {
		root := p.step[at]
		if _, known := number[root]; !known {
			number[root] = len(number)
		}
	}
	p.steps = make([][]*operation, len(number))
	for at, op := range p.ops {
		p.step[at] = len(number) - 1 - number[p.step[at]]
		p.steps[p.step[at]] = append(p.steps[p.step[at]], op)
	}
}

// edges says which step waits for which.
func (p *planner) edges() {
	p.blocked, p.blocks = make([]int, len(p.steps)), make([][]int, len(p.steps))
	wait := func(later, first *operation) {
		if a, b := p.step[first.index], p.step[later.index]; a != b {
			p.blocks[a] = append(p.blocks[a], b)
			p.blocked[b]++
		}
	}
	last := map[string]*operation{}
	for _, op := range p.ops {
		for _, name := range op.refs {
			if maker := p.makers[name]; maker != nil {
				wait(op, maker)
			}
		}
		if op.target == "" {
			continue
		}
		if before := last[op.target]; before != nil {
			wait(op, before)
		}
		last[op.target] = op
	}
}

// order takes each step in its turn; one that had to wait follows at once what
// it waited for.
func (p *planner) order() [][]*operation {
	ordered := make([][]*operation, 0, len(p.steps))
	turn := 0
	var take func(step int)
	take = func(step int) {
		ordered = append(ordered, p.steps[step])
		for _, next := range p.blocks[step] {
			p.blocked[next]--
			if p.blocked[next] == 0 && next < turn {
				take(next)
			}
		}
	}
	for turn = range p.steps {
		if p.blocked[turn] == 0 {
			take(turn)
		}
	}
	return ordered
}
