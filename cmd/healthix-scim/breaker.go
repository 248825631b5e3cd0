package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/healthix/healthix-scim/api"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

type participantRestore struct {
	ID     string `arg:"" help:"The participant."`
	Except string `placeholder:"FILE" help:"Ids of users who stay as they are, one a line; - reads standard input."`
	DryRun bool   `name:"dry-run" help:"Say what would come of it, and change nothing."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

func (c *participantRestore) Run(ctx context.Context, p *program) error {
	except, err := readIDs(c.Except)
	if err != nil {
		return err
	}
	return p.deed(ctx, func(ctx context.Context, h *house) error {
		listen, end := p.progress("restoring")
		got, err := h.deeds.Restore(ctx, p.actor(), lifecycle.RestoreSpec{Participant: c.ID, Except: except, DryRun: c.DryRun}, listen)
		end()
		if err != nil {
			return named("participant", c.ID, err)
		}
		if c.JSON {
			return printJSON(p.stdout, api.ShowRestored(got))
		}
		return c.print(p, got)
	})
}

func (c *participantRestore) print(p *program, got lifecycle.Restored) error {
	if err := show(p.stdout, [][2]string{
		{"restored", thousands(got.Restored)}, {"left out", thousands(got.Excepted)}, {"listed", thousands(len(got.Listed))},
	}); err != nil {
		return err
	}
	if len(got.Listed) > 0 {
		rows := make([][]string, len(got.Listed))
		for i, l := range got.Listed {
			rows[i] = []string{l.ID, l.Reason}
		}
		if _, err := fmt.Fprintln(p.stdout); err != nil {
			return err
		}
		if err := printTable(p.stdout, []string{"ID", "WHY NOT"}, rows); err != nil {
			return err
		}
	}
	if c.DryRun {
		say(p.stderr, "nothing is changed; without --dry-run it is\n")
		return nil
	}
	say(p.stderr, "the case of %s is closed\n", c.ID)
	return nil
}

// readIDs reads a file of ids; "" names none.
func readIDs(name string) ([]string, error) {
	if name == "" {
		return nil, nil
	}
	from := io.Reader(os.Stdin)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read ids: %w", err)
		}
		defer f.Close() //nolint:errcheck // only read
		from = f
	}
	var ids []string
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		if id := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff")); id != "" { // editors begin files with a BOM
			ids = append(ids, id)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read ids from %s: %w", name, err)
	}
	return ids, nil
}

type participantAccept struct {
	ID string `arg:"" help:"The participant."`
}

func (c *participantAccept) Run(ctx context.Context, p *program) error {
	return p.deed(ctx, func(ctx context.Context, h *house) error {
		if _, err := h.deeds.AcceptLosses(ctx, p.actor(), c.ID); err != nil {
			return named("participant", c.ID, err)
		}
		say(p.stderr, "the case of %s is closed: what was lost stays lost\n", c.ID)
		return nil
	})
}

// breakerPairs is a participant's breaker as participant show prints it.
func breakerPairs(p storage.Participant, v *api.BreakerView) [][2]string {
	state := v.State
	if p.Settings.Breaker != "" && v.State == "armed" {
		state += " with limits " + p.Settings.Breaker
	}
	pairs := [][2]string{{"breaker", state}}
	if c := v.Case; c != nil {
		pairs = append(pairs,
			[2]string{"  opened", stamp(&c.Opened)},
			[2]string{"  because", fmt.Sprintf("%d of %d active people were deactivated or lost access: %s", c.Losses, c.Base, c.Threshold)},
			[2]string{"  staged", fmt.Sprintf("%s people, until %s", thousands(c.Staged), stamp(&c.Until))})
		if c.Restoring != nil {
			pairs = append(pairs, [2]string{"  restoring", fmt.Sprintf("since %s: %s restored, %s listed", stamp(c.Restoring), thousands(c.Restored), thousands(c.Listed))})
		}
	}
	if c := v.Last; c != nil {
		closed := *c.Outcome + " " + stamp(c.Closed)
		if c.ClosedBy != nil {
			closed += " by " + *c.ClosedBy
		}
		if *c.Outcome == lifecycle.CaseRestored {
			closed += ": " + strconv.Itoa(c.Restored) + " restored, " + strconv.Itoa(c.Listed) + " listed"
		}
		pairs = append(pairs, [2]string{"  last case", closed})
	}
	return pairs
}
