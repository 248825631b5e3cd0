package api

import "sync"

// lanes give each participant a lane of its own for work that is dear: a few
// run, a few wait, and the rest is told to come later. One participant's flood
// leaves the others' lanes alone.
type lanes struct {
	running, waiting int

	mu   sync.Mutex
	open map[string]*lane
}

type lane struct {
	inside int           // running and waiting
	turn   chan struct{} // who could put something in runs; the others follow in order
}

func newLanes(running, waiting int) *lanes {
	return &lanes{running: running, waiting: waiting, open: map[string]*lane{}}
}

// enter takes a place in the participant's lane, if there is one.
func (l *lanes) enter(participant string) (turn chan struct{}, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.open[participant]
	if one == nil {
		one = &lane{turn: make(chan struct{}, l.running)}
		l.open[participant] = one
	}
	if one.inside >= l.running+l.waiting {
		return nil, false
	}
	one.inside++
	return one.turn, true
}

// exit gives the place back.
func (l *lanes) exit(participant string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.open[participant]
	one.inside--
	if one.inside == 0 {
		delete(l.open, participant)
	}
}
