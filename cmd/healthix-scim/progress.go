package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
)

// bar shows on a terminal how far long work has come.
type bar struct {
	w     io.Writer
	label string
	unit  string // what is counted
	shown time.Time
	drawn bool
}

// progress makes a bar on stderr; it listens to nothing when that is no
// terminal. end wipes it away.
func (p *program) progress(label string) (listen lifecycle.Progress, end func()) {
	return p.progressOf(label, "people")
}

// progressOf is progress of something else than people.
func (p *program) progressOf(label, unit string) (listen lifecycle.Progress, end func()) {
	if !isTerminal(p.stderr) {
		return nil, func() {}
	}
	b := &bar{w: p.stderr, label: label, unit: unit}
	return b.show, b.end
}

// show draws the bar, ten times a second at most.
func (b *bar) show(done, total int) {
	const pause = 100 * time.Millisecond
	if now := time.Now(); now.Sub(b.shown) >= pause || done >= total {
		b.shown, b.drawn = now, true
		say(b.w, "\r%s", barText(b.label, done, total, b.unit))
	}
}

func (b *bar) end() {
	if b.drawn {
		say(b.w, "\r\x1b[K")
	}
}

// barText is the bar as text: what is done, and how much of all.
func barText(label string, done, total int, unit string) string {
	const width = 30
	total = max(total, 1)
	filled := min(width, width*done/total)
	return fmt.Sprintf("%s [%s%s] %3d %%  %s of %s %s", label, strings.Repeat("#", filled), strings.Repeat(".", width-filled),
		min(100, 100*done/total), thousands(done), thousands(total), unit)
}

// thousands writes a number with commas.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
