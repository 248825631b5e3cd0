package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/healthix/healthix-scim/api"
	"github.com/healthix/healthix-scim/storage"
)

type jobsCommands struct {
	List  jobsList  `cmd:"" help:"List jobs, newest first."`
	Retry jobsRetry `cmd:"" help:"Do a job again now."`
}

type jobsList struct {
	State string `enum:",available,running,retryable,completed,discarded,cancelled,scheduled" default:"" help:"Only jobs in this state: available, running, retryable, completed, discarded, cancelled, scheduled."`
	Limit int    `default:"100" help:"At most so many."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

func (c *jobsList) Run(ctx context.Context, p *program) error {
	if c.Limit < 1 {
		return usage(fmt.Errorf("--limit is %d; expected 1 or more", c.Limit))
	}
	return p.look(ctx, func(ctx context.Context, read storage.Store) error {
		jobs, err := read.ListJobs(ctx, c.State, c.Limit)
		if err != nil {
			return fmt.Errorf("list jobs: %w", err)
		}
		views := make([]api.JobView, len(jobs))
		rows := make([][]string, len(jobs))
		for i, j := range jobs {
			last := "-"
			if len(j.Errors) > 0 {
				last = j.Errors[len(j.Errors)-1]
			}
			rows[i] = []string{strconv.FormatInt(j.ID, 10), j.Kind, j.Subject, j.State, strconv.Itoa(j.Attempt), stamp(&j.Schedule), last}
			views[i] = api.ShowJob(j)
		}
		if c.JSON {
			return printJSON(p.stdout, views)
		}
		return printTable(p.stdout, []string{"ID", "KIND", "SUBJECT", "STATE", "ATTEMPT", "SCHEDULE", "LAST ERROR"}, rows)
	})
}

type jobsRetry struct {
	ID int64 `arg:"" help:"The job, as jobs list shows it."`
}

func (c *jobsRetry) Run(ctx context.Context, p *program) error {
	return p.deed(ctx, func(ctx context.Context, h *house) error {
		if err := h.deeds.RetryJob(ctx, p.actor(), c.ID); err != nil {
			return named("job", strconv.FormatInt(c.ID, 10), err)
		}
		say(p.stderr, "job %d is due now; a running server does it\n", c.ID)
		return nil
	})
}
