package main

import (
	"context"
	"errors"
	"fmt"
)

type serveCommand struct {
	Demo        bool `help:"Try it: a temporary folder, and the staff of a small invented hospital pushed through SCIM. Takes no database of yours."`
	PrintConfig bool `help:"Print every setting as it is in force, secrets starred, and leave."`
}

// Run serves until a signal says stop.
func (c *serveCommand) Run(ctx context.Context, p *program) (err error) {
	if c.PrintConfig {
		return printConfig(p.stdout, p.settings, p.sources)
	}
	var stage *demo
	if c.Demo {
		if stage, err = newDemo(p); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stage.strike()) }()
	}
	if err := p.settings.serving(); err != nil {
		return err
	}
	s, err := p.start(ctx)
	if err != nil {
		return err
	}
	if stage != nil {
		if err := stage.play(ctx, p, s); err != nil && ctx.Err() == nil {
			return errors.Join(fmt.Errorf("demo: %w", err), s.stop())
		}
	}
	select {
	case <-ctx.Done():
		p.log.Info("shutting down")
	case err = <-s.failed:
	}
	return errors.Join(err, s.stop())
}
