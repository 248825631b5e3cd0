package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/healthix/healthix-scim/api"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

type reviewCommands struct {
	Start  reviewStart  `cmd:"" help:"Ask a participant's user managers who of those with access now keeps it; a running server makes the list and sends the mails."`
	List   reviewList   `cmd:"" help:"List access reviews, newest first."`
	Show   reviewShow   `cmd:"" help:"Show one review and how far it has come."`
	Report reviewReport `cmd:"" help:"Print the report of a closed review, byte by byte what its digest on record is of."`
	Close  reviewClose  `cmd:"" help:"Close a review in which everybody is decided about, or whose deadline has passed."`
}

type reviewStart struct {
	Participant string `arg:"" help:"The participant."`
	Due         string `required:"" placeholder:"TIME" help:"When it is due, such as 2026-12-01T17:00:00-05:00."`
	OnSilence   string `name:"on-silence" enum:"escalate,suspend" default:"escalate" help:"What becomes of those about whom nobody decides: escalate to operators, or suspend."`
	Note        string `help:"What the reviewers are told; name nobody."`
	JSON        bool   `name:"json" help:"Print JSON."`
}

func (c *reviewStart) Run(ctx context.Context, p *program) error {
	due, err := time.Parse(time.RFC3339, c.Due)
	if err != nil {
		return usage(fmt.Errorf("--due is %q; expected an instant with its zone, such as 2026-12-01T17:00:00-05:00", c.Due))
	}
	return p.deed(ctx, func(ctx context.Context, h *house) error {
		r, err := h.deeds.StartReview(ctx, p.actor(), lifecycle.ReviewSpec{Participant: c.Participant, Due: due, OnSilence: c.OnSilence, Note: c.Note})
		if err != nil {
			return named("participant", c.Participant, err)
		}
		say(p.stderr, "review %s is started; a running server makes the list of people\n", r.ID)
		return p.showReview(ctx, h.store, r, c.JSON)
	})
}

type reviewList struct {
	Participant string `help:"Only this participant's."`
	State       string `enum:",preparing,open,escalated,closed" default:"" help:"Only reviews in this state: preparing, open, escalated, closed."`
	JSON        bool   `name:"json" help:"Print JSON."`
}

func (c *reviewList) Run(ctx context.Context, p *program) error {
	return p.look(ctx, func(ctx context.Context, read storage.Store) error {
		if c.Participant != "" {
			if _, err := read.GetParticipant(ctx, c.Participant); err != nil {
				return named("participant", c.Participant, err)
			}
		}
		q := storage.ReviewQuery{Participant: c.Participant, Limit: 500}
		if c.State != "" {
			q.States = []string{c.State}
		}
		views, rows := []api.ReviewView{}, [][]string{}
		for {
			found, err := read.ListReviews(ctx, q)
			if err != nil {
				return fmt.Errorf("list reviews: %w", err)
			}
			for i, r := range found {
				v, err := api.ShowReview(ctx, read, r)
				if err != nil {
					return fmt.Errorf("list reviews: %w", err)
				}
				views = append(views, v)
				rows = append(rows, []string{
					v.ID, v.Participant, v.State, stamp(&v.AsOf), stamp(&v.Due), v.OnSilence, strconv.Itoa(v.Totals.People), strconv.Itoa(v.Totals.Undecided),
				})
				q.Before = &found[i]
			}
			if len(found) < q.Limit {
				break
			}
		}
		if c.JSON {
			return printJSON(p.stdout, views)
		}
		return printTable(p.stdout, []string{"ID", "PARTICIPANT", "STATE", "STARTED", "DUE", "ON SILENCE", "PEOPLE", "UNDECIDED"}, rows)
	})
}

type reviewShow struct {
	ID   string `arg:"" help:"The review's id."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (c *reviewShow) Run(ctx context.Context, p *program) error {
	return p.look(ctx, func(ctx context.Context, read storage.Store) error {
		r, err := read.GetReview(ctx, "", c.ID)
		if err != nil {
			return named("review", c.ID, err)
		}
		return p.showReview(ctx, read, r, c.JSON)
	})
}

// showReview prints a review, as a table or as the API shows it to staff.
func (p *program) showReview(ctx context.Context, read storage.Reader, r storage.Review, asJSON bool) error {
	v, err := api.ShowReview(ctx, read, r)
	if err != nil {
		return fmt.Errorf("show review %s: %w", r.ID, err)
	}
	if asJSON {
		return printJSON(p.stdout, v)
	}
	t := v.Totals
	pairs := [][2]string{
		{"id", v.ID}, {"participant", v.Participant}, {"state", v.State}, {"started", stamp(&v.AsOf) + " by " + orDash(v.StartedBy)}, {"due", stamp(&v.Due)},
		{"on silence", v.OnSilence}, {"note", text(v.Note)}, {"people", thousands(t.People)}, {"undecided", thousands(t.Undecided)}, {"kept", thousands(t.Kept)},
		{"revoked", thousands(t.Revoked)}, {"ended otherwise", thousands(t.Ended)}, {"suspended", thousands(t.Suspended)},
	}
	if v.Undecided != nil {
		pairs = append(pairs, [2]string{"escalated", fmt.Sprintf("%s with %s undecided", stamp(v.Escalated), thousands(*v.Undecided))})
	}
	if v.Report != nil {
		position := "waits for its position"
		if v.Report.Position != nil {
			position = strconv.FormatInt(*v.Report.Position, 10)
		}
		pairs = append(pairs, [2]string{"closed", stamp(v.Closed) + " by " + orDash(v.ClosedBy)},
			[2]string{"report", "sha256:" + v.Report.Digest}, [2]string{"entry", v.Report.Entry}, [2]string{"position", position})
	}
	return show(p.stdout, pairs)
}

type reviewReport struct {
	ID string `arg:"" help:"The review's id."`
}

func (c *reviewReport) Run(ctx context.Context, p *program) error {
	return p.look(ctx, func(ctx context.Context, read storage.Store) error {
		r, _, err := lifecycle.VerifyReport(ctx, read, "", c.ID)
		if err != nil {
			return named("review", c.ID, err)
		}
		return lifecycle.WriteReport(ctx, read, r, p.stdout)
	})
}

type reviewClose struct {
	ID   string `arg:"" help:"The review's id."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (c *reviewClose) Run(ctx context.Context, p *program) error {
	return p.deed(ctx, func(ctx context.Context, h *house) error {
		r, err := h.deeds.CloseReview(ctx, p.actor(), c.ID)
		if err != nil {
			return named("review", c.ID, err)
		}
		say(p.stderr, "the review is closed; healthix-scim review report %s prints its report\n", r.ID)
		return p.showReview(ctx, h.store, r, c.JSON)
	})
}

// gaugeReviews shows reviews whose deadline passed with people undecided.
func (s *server) gaugeReviews(ctx context.Context) {
	const most = 10_000 // a participant has one at most
	late, err := s.house.store.ListReviews(ctx, storage.ReviewQuery{States: []string{storage.ReviewEscalated}, Limit: most})
	if err != nil {
		return
	}
	ids := make([]string, len(late))
	for i, r := range late {
		ids[i] = r.ID
	}
	if tallies, err := s.house.store.TallyReviews(ctx, ids); err == nil {
		s.metrics.Reviews(late, tallies)
	}
}
