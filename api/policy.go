package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// waitingTitle is a title that no row of the policy answers.
type waitingTitle struct {
	Key          string              `json:"key"`
	Title        string              `json:"title"`
	People       int                 `json:"people"`
	Participants int                 `json:"participants"`
	Since        time.Time           `json:"since"`
	Suggestions  []policy.Suggestion `json:"suggestions"`
}

func (s *server) listUnmapped(ctx context.Context, c *call, _ none) (page[waitingTitle], error) {
	var empty page[waitingTitle]
	participant, err := c.within(c.query.Get("participant"))
	if err != nil {
		return empty, err
	}
	waiting, err := s.read.ListWaitingTitles(ctx, participant)
	if err != nil {
		return empty, err
	}
	inForce, err := s.Service.Policy(ctx)
	if err != nil {
		return empty, err
	}
	const best = 3
	return whole(as(waiting, func(t storage.WaitingTitle) waitingTitle {
		return waitingTitle{
			Key: t.Key, Title: t.Title, People: t.People, Participants: t.Participants, Since: t.Since,
			Suggestions: append([]policy.Suggestion{}, inForce.Suggest(t.Title, "", best)...),
		}
	})), nil
}

// policyView is the policy in force: in short as JSON, or the document itself
// when YAML was asked for.
type policyView struct {
	PolicyVersionView
	Roles []roleView `json:"roles"`

	document []byte
}

type roleView struct {
	Name          string        `json:"name"`
	Permissions   []string      `json:"permissions"`
	Gates         []policy.Gate `json:"gates"`
	Modules       []moduleView  `json:"modules"`
	UntilApproved *string       `json:"untilApproved"`
}

type moduleView struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// PolicyVersionView is a policy version on record, without its document.
type PolicyVersionView struct {
	Version int64     `json:"version"`
	Digest  string    `json:"digest"`
	Applied time.Time `json:"applied"`
	Actor   string    `json:"actor"`
}

// ShowPolicyVersion shows a policy version.
func ShowPolicyVersion(p storage.PolicyVersion) PolicyVersionView {
	return PolicyVersionView{Version: p.Version, Digest: p.Digest, Applied: p.Applied, Actor: p.Actor}
}

func (v policyView) render() (string, []byte) {
	if v.document == nil {
		return "", nil
	}
	return "application/yaml", v.document
}

func (s *server) getPolicy(ctx context.Context, c *call, _ none) (policyView, error) {
	kept, err := s.read.CurrentPolicy(ctx)
	if err != nil {
		return policyView{}, err
	}
	c.header.Set("Vary", "Accept")
	v := policyView{PolicyVersionView: ShowPolicyVersion(kept)}
	if wantsYAML(c.r.Header) {
		v.document = kept.Document
		return v, nil
	}
	inForce, err := policy.Parse(kept.Document)
	if err != nil {
		return policyView{}, err
	}
	v.Roles = as(inForce.Roles(), func(r policy.Role) roleView {
		return roleView{
			Name: r.Name, Permissions: append([]string{}, r.Permissions...), Gates: append([]policy.Gate{}, r.Gates...),
			Modules:       as(inForce.Modules(r.Name), func(m policy.Module) moduleView { return moduleView{ID: m.ID, Name: m.Name} }),
			UntilApproved: optional(r.UntilApproved),
		}
	})
	return v, nil
}

func wantsYAML(h http.Header) bool {
	return strings.Contains(strings.ToLower(strings.Join(h.Values("Accept"), ",")), "yaml")
}

func (s *server) listPolicies(ctx context.Context, _ *call, _ none) (page[PolicyVersionView], error) {
	kept, err := s.read.ListPolicies(ctx)
	return whole(as(kept, ShowPolicyVersion)), err
}

type titleQuestion struct {
	Title       string `json:"title"`
	Department  string `json:"department,omitempty"`
	Participant string `json:"participant,omitempty"`
}

func (s *server) explain(ctx context.Context, c *call, in titleQuestion) (policy.Explanation, error) {
	facts := policy.Facts{Title: in.Title, Department: in.Department, Active: true}
	participant, err := c.within(in.Participant)
	if err != nil {
		return policy.Explanation{}, err
	}
	facts.Participant.Type = "standard" // when the question names no participant
	if participant != "" {
		p, err := s.read.GetParticipant(ctx, participant)
		if err != nil {
			return policy.Explanation{}, err
		}
		facts.Participant = p.State()
	}
	return s.Service.Explain(ctx, facts)
}

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
	return none{}, s.Store.RetryJob(ctx, id)
}
