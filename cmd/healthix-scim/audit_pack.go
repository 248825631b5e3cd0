package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
)

type auditPack struct {
	Participant string `required:"" placeholder:"ID" help:"Whose evidence."`
	From        string `required:"" placeholder:"TIME" help:"The period's first instant, such as 2026-01-01T00:00:00Z."`
	To          string `required:"" placeholder:"TIME" help:"The first instant after the period; not in the future."`
	Sample      int    `default:"25" placeholder:"N" help:"How many people are drawn whose whole timelines are in it."`
	Seed        string `placeholder:"S" help:"Seed of the drawing, of the auditor's choice; drawn when left out."`
	Out         string `placeholder:"FILE.zip" help:"Where to write it; an existing file is not overwritten. Standard output when left out."`
}

func (c *auditPack) Run(ctx context.Context, p *program) error {
	from, err := instantOf("--from", c.From)
	if err != nil {
		return err
	}
	to, err := instantOf("--to", c.To)
	if err != nil {
		return err
	}
	if c.Out == "" && isTerminal(p.stdout) {
		return usage(errors.New("a ZIP file is nothing for a terminal; name a file with --out, or send standard output to one"))
	}
	spec := lifecycle.PackSpec{Participant: c.Participant, From: from, To: to, Sample: c.Sample, Seed: c.Seed}
	return p.deed(ctx, func(ctx context.Context, h *house) error {
		if err := h.deeds.EnsureLogKey(ctx); err != nil {
			return err
		}
		out, kept, err := c.open(p.stdout)
		if err != nil {
			return err
		}
		listen, end := p.progress("packing")
		defer end()
		m, err := h.deeds.Pack(ctx, out, p.actor(), spec, listen)
		end()
		if err = kept(err); err != nil {
			return err
		}
		n := m.Counts
		say(p.stderr, "%s people; %s had access when the period began, %s came to have it, %s lost it, %s had it when it ended; %s drawn by seed %s\n",
			thousands(n.PeopleClosing), thousands(n.AccessOpening), thousands(n.AccessBegan), thousands(n.AccessEnded), thousands(n.AccessClosing),
			thousands(n.Sampled), m.Seed)
		if !n.AddsUp {
			say(p.stderr, "the numbers do not add up: what changed does not lead from the beginning to the end; run healthix-scim audit check\n")
		}
		return nil
	})
}

func instantOf(flag, text string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, usage(fmt.Errorf("%s is %q; expected an instant with its zone, such as 2026-01-01T00:00:00Z", flag, text))
	}
	return at, nil
}

// open answers where the pack goes. kept closes it, and takes away what was
// written of a pack that failed.
func (c *auditPack) open(stdout io.Writer) (out io.Writer, kept func(error) error, err error) {
	if c.Out == "" {
		return stdout, func(err error) error { return err }, nil
	}
	f, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, nil, fmt.Errorf("%s is there already; evidence is not overwritten: name another file", c.Out)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("write the pack: %w", err)
	}
	return f, func(err error) error {
		if err == nil {
			err = f.Sync()
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return errors.Join(err, os.Remove(c.Out))
		}
		return nil
	}, nil
}
