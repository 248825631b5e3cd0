package api

import (
	"context"
	"strconv"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

var jobStates = []string{"available", "running", "retryable", "completed", "discarded", "cancelled", "scheduled"}

// JobView is a promised job as it stands.
type JobView struct {
	ID       int64     `json:"id"`
	Kind     string    `json:"kind"`
	Key      string    `json:"key"`
	Subject  string    `json:"subject"`
	State    string    `json:"state"`
	Attempt  int       `json:"attempt"`
	Errors   []string  `json:"errors"`
	Created  time.Time `json:"created"`
	Schedule time.Time `json:"schedule"`
}

// ShowJob shows a job.
func ShowJob(j storage.Job) JobView {
	j.Errors = append([]string{}, j.Errors...)
	return JobView(j)
}

func (s *server) listJobs(ctx context.Context, c *call, _ none) (page[JobView], error) {
	if err := oneOf("state", c.query.Get("state"), jobStates); err != nil {
		return page[JobView]{}, err
	}
	limit, err := c.limit()
	if err != nil {
		return page[JobView]{}, err
	}
	jobs, err := s.read.ListJobs(ctx, c.query.Get("state"), limit)
	return whole(as(jobs, ShowJob)), err
}

func (s *server) retryJob(ctx context.Context, c *call, _ none) (none, error) {
	id, err := strconv.ParseInt(c.id(), 10, 64)
	if err != nil {
		return none{}, lifecycle.Faultf(lifecycle.KindNotFound, "", "not found")
	}
	return none{}, s.Service.RetryJob(ctx, c.who.Actor, id)
}
