package main

import (
	"context"
	"strconv"
)

type auditRecover struct {
	Reason string `required:"" help:"What happened, for the record; staff only."`
	Force  bool   `help:"Do it although no checkpoint that can be read back shows a gap."`
}

// Run recovers from a restore. A server that runs takes requests again within
// seconds; none needs to run.
func (c *auditRecover) Run(ctx context.Context, p *program) error {
	return p.deed(ctx, func(ctx context.Context, h *house) error {
		did, err := h.deeds.Recover(ctx, p.actor(), c.Reason, c.Force)
		if err != nil {
			return err
		}
		if did.Gap != nil {
			say(p.stderr, "on record: the log goes on with %s entries; a checkpoint of %s entries had left this machine\n",
				thousands(int(did.Gap.Here)), strconv.FormatUint(did.Gap.Left.Size, 10))
		}
		say(p.stderr, "%s links that nobody had redeemed are void\n", thousands(did.Links))
		say(p.stderr, "%s participants are closed until their identity providers have told of everybody; participant resume opens one before\n", thousands(did.Participants))
		return nil
	})
}
