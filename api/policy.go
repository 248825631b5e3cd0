package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// policyView is the policy in force, or a participant's overlay: in short as
// JSON, or the document itself when YAML was asked for.
type policyView struct {
	PolicyVersionView
	PolicyVersion int64      `json:"policyVersion"` // in force; its number counts overlays too
	Roles         []roleView `json:"roles"`

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
	Version     int64     `json:"version"`
	Participant *string   `json:"participant"` // whose overlay it is, null for the policy of all
	Digest      string    `json:"digest"`
	Applied     time.Time `json:"applied"`
	Actor       string    `json:"actor"`
	Plan        *string   `json:"plan"` // that was applied, null for the first
}

// ShowPolicyVersion shows a policy version.
func ShowPolicyVersion(p storage.PolicyVersion) PolicyVersionView {
	return PolicyVersionView{
		Version: p.Version, Participant: optional(p.Participant), Digest: p.Digest, Applied: p.Applied, Actor: p.Actor, Plan: optional(p.Plan),
	}
}

func (v policyView) render() (string, []byte) {
	if v.document == nil {
		return "", nil
	}
	return yamlType, v.document
}

// getPolicy answers the policy of all, which everybody may read, or the overlay
// of one participant.
func (s *server) getPolicy(ctx context.Context, c *call, _ none) (policyView, error) {
	state, err := s.read.PolicyState(ctx)
	if err != nil {
		return policyView{}, err
	}
	rows, err := s.read.ListPoliciesInForce(ctx, state.Version)
	if err != nil {
		return policyView{}, err
	}
	participant := c.query.Get("participant")
	if participant != "" {
		if participant, err = c.within(participant); err != nil {
			return policyView{}, err
		}
		if _, err := s.read.GetParticipant(ctx, participant); err != nil {
			return policyView{}, err
		}
	}
	i := slices.IndexFunc(rows, func(v storage.PolicyVersion) bool { return v.Participant == participant })
	if i < 0 {
		return policyView{}, lifecycle.Faultf(lifecycle.KindNotFound, "participant", "this participant has no overlay; the policy of all holds there")
	}
	c.header.Set("Vary", "Accept")
	v := policyView{PolicyVersionView: ShowPolicyVersion(rows[i]), PolicyVersion: state.Version}
	if wants(c.r.Header, "yaml") {
		v.document = rows[i].Document
		return v, nil
	}
	inForce, err := s.Service.PolicyAt(ctx, participant)
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

const (
	yamlType = "application/yaml"
	csvType  = "text/csv; charset=utf-8"
)

// wants says whether an Accept header asks for a kind of document.
func wants(h http.Header, kind string) bool {
	return strings.Contains(strings.ToLower(strings.Join(h.Values("Accept"), ",")), kind)
}

// listPolicies shows every version to who sees every participant; the others see
// no other participant's overlay.
func (s *server) listPolicies(ctx context.Context, c *call, _ none) (page[PolicyVersionView], error) {
	kept, err := s.read.ListPolicies(ctx)
	if own := c.who.Participant; own != "" {
		kept = slices.DeleteFunc(kept, func(v storage.PolicyVersion) bool { return v.Participant != "" && v.Participant != own })
	}
	return whole(as(kept, ShowPolicyVersion)), err
}

type titleQuestion struct {
	Title       string `json:"title"`
	Department  string `json:"department,omitempty"`
	Participant string `json:"participant,omitempty"`
	UserType    string `json:"userType,omitempty"`
	NPI         string `json:"npi,omitempty"`
	JobCode     string `json:"jobCode,omitempty"`
}

func (s *server) explain(ctx context.Context, c *call, in titleQuestion) (policy.Explanation, error) {
	facts := policy.Facts{Title: in.Title, Department: in.Department, UserType: in.UserType, NPI: in.NPI, JobCode: in.JobCode, Active: true}
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
	return s.Service.Explain(ctx, participant, facts)
}
