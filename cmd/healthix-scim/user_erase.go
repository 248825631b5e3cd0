package main

import (
	"context"
	"errors"
	"fmt"
)

type userErase struct {
	ID            string `arg:"" optional:"" help:"The user's id."`
	PastRetention bool   `help:"Everybody who was revoked longer ago than the record is kept, instead of one."`
	Participant   string `placeholder:"ID" help:"With --past-retention: this participant's people only."`
	DryRun        bool   `help:"With --past-retention: only print whose turn it is."`
}

// Run erases what is personal; there is no way back.
func (c *userErase) Run(ctx context.Context, p *program) error {
	if (c.ID == "") == !c.PastRetention || c.ID != "" && (c.Participant != "" || c.DryRun) {
		return usage(errors.New("give one user's id, or --past-retention with --participant and --dry-run where wanted"))
	}
	keep, err := parseAge(p.settings.KeepRecord)
	if err != nil {
		return fmt.Errorf("%s: %w", variable("retention-record"), err)
	}
	return p.deed(ctx, func(ctx context.Context, h *house) error {
		before := keep.before(h.deeds.Now())
		if c.ID != "" {
			if err := h.deeds.EraseUser(ctx, p.actor(), c.ID, before); err != nil {
				return named("user", c.ID, err)
			}
			say(p.stderr, "erased %s\n", c.ID)
			return nil
		}
		if c.Participant != "" {
			if _, err := h.store.GetParticipant(ctx, c.Participant); err != nil {
				return named("participant", c.Participant, err)
			}
		}
		n := 0
		err := h.deeds.ListErasable(ctx, c.Participant, before, func(id string) error {
			if !c.DryRun {
				if err := h.deeds.EraseUser(ctx, p.actor(), id, before); err != nil {
					return err
				}
			}
			n++
			return printLine(p.stdout, id)
		})
		if c.DryRun {
			say(p.stderr, "%d to erase; nothing was changed\n", n)
		} else {
			say(p.stderr, "erased %d\n", n)
		}
		return err
	})
}
