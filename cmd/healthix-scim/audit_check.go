package main

import (
	"context"
	"fmt"
	"io"

	"github.com/healthix/healthix-scim/lifecycle"
)

type auditCheck struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run prints what was looked at, and what is wrong, the first finding first.
func (c *auditCheck) Run(ctx context.Context, p *program) error {
	return p.deed(ctx, func(ctx context.Context, h *house) error {
		listen, end := p.progressOf("checking", "rows")
		defer end()
		report, err := h.deeds.CheckRecord(ctx, listen)
		end()
		if err != nil {
			return err
		}
		if c.JSON {
			err = printJSON(p.stdout, report)
		} else {
			err = printCheck(p.stdout, report)
		}
		if err != nil || report.Sound() {
			return err
		}
		first := report.Wrongs[0]
		return fmt.Errorf("the record is not sound, %s; the first: %s %s: %s", findings(len(report.Wrongs)+report.More), first.Table, first.ID, first.Detail)
	})
}

func findings(n int) string {
	if n == 1 {
		return "1 finding"
	}
	return thousands(n) + " findings"
}

func printCheck(w io.Writer, r lifecycle.CheckReport) error {
	text := fmt.Sprintf("log           %s entries, %s wait for a position\nsigned        %s entries, %s kept checkpoints\nroot          %s\n"+
		"participants  %s\ngroups        %s\nusers         %s\nversions      %s\npolicies      %s\nclients       %s\ntokens        %s\n",
		thousands(r.Entries), thousands(r.Waiting), thousands(int(r.Signed)), thousands(r.Checkpoints), r.Root,
		thousands(r.Participants), thousands(r.Groups), thousands(r.Users), thousands(r.Versions), thousands(r.Policies), thousands(r.Clients), thousands(r.Tokens))
	for _, wrong := range r.Wrongs {
		text += fmt.Sprintf("wrong         %s %s: %s\n", wrong.Table, wrong.ID, wrong.Detail)
	}
	if r.More > 0 {
		text += fmt.Sprintf("and           %s more\n", thousands(r.More))
	}
	if r.Sound() {
		text += "sound         rows, versions, entries, log and checkpoints agree\n"
	}
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}
