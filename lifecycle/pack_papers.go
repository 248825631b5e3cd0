package lifecycle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// Approvals, policies and reviews that counted in the period. What came after it
// is not told: the same pack can be made again.

// before is an instant that lies before the period's end, nil for a later one.
func (p *pack) before(at *time.Time) *time.Time {
	if at == nil || !at.Before(p.spec.To) {
		return nil
	}
	return at
}

var approvalColumns = []string{
	"approval", "id", "userName", "givenName", "familyName", "erased", "decision", "role", "title", "by", "at", "validUntil", "ended", "reason", "request", "entry",
}

// approvals writes those that held at some time in the period, or were given in
// it; rejections too.
func (p *pack) approvals(ctx context.Context) error {
	return p.table("approvals.csv", approvalColumns, func(add func(cells ...string) error) error {
		for _, action := range []string{"approval.given", "approval.rejected"} {
			q := storage.EventQuery{Participant: p.spec.Participant, Action: action, To: p.spec.To}
			err := eachEvent(ctx, p.s.store, q, func(e audit.Kept) error { return p.approval(ctx, e, add) })
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *pack) approval(ctx context.Context, e audit.Kept, add func(cells ...string) error) error {
	id := e.Public()["approval"]
	all, err := p.s.store.ListApprovals(ctx, e.User)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(a storage.Approval) bool { return a.ID == id })
	if i < 0 {
		return fmt.Errorf("approval %s of entry %s is not on record", id, e.ID)
	}
	a := all[i]
	until := a.ValidUntil
	if a.Ended != nil && a.Ended.Before(until) {
		until = *a.Ended
	}
	if until.Before(p.spec.From) {
		return nil
	}
	u, err := p.s.store.GetUserAt(ctx, p.spec.Participant, e.User, p.closing)
	if err != nil {
		return err
	}
	decision := "rejected"
	if a.Approved {
		decision = "approved"
	}
	p.m.Counts.Approvals++
	return add(a.ID, u.ID, u.UserName, u.GivenName, u.FamilyName, strconv.FormatBool(isErased(u)), decision, a.Role, a.Title, a.Actor,
		stampOf(&a.At), stampOf(&a.ValidUntil), stampOf(p.before(a.Ended)), a.Reason, e.RequestID, e.ID)
}

var policyColumns = []string{"version", "of", "digest", "sha256", "inForceFrom", "inForceUntil", "appliedBy", "plan", "confirmedBy", "entry", "file"}

// policies writes the policy of all and the participant's overlays that were in
// force at some time in the period, with their documents.
func (p *pack) policies(ctx context.Context) error {
	all, err := p.s.store.ListPolicies(ctx)
	if err != nil {
		return err
	}
	entries, err := p.policyEntries(ctx)
	if err != nil {
		return err
	}
	var rows [][]string
	for i, v := range all {
		if v.Participant != "" && v.Participant != p.spec.Participant || !v.Applied.Before(p.spec.To) {
			continue
		}
		var until *time.Time
		if n := slices.IndexFunc(all[i+1:], func(o storage.PolicyVersion) bool { return o.Participant == v.Participant }); n >= 0 {
			until = p.before(&all[i+1+n].Applied)
		}
		if until != nil && !until.After(p.spec.From) {
			continue
		}
		full, err := p.s.store.GetPolicy(ctx, v.Version)
		if err != nil {
			return err
		}
		name, of := fmt.Sprintf("policy/version-%d.yaml", v.Version), "everybody"
		if v.Participant != "" {
			name, of = fmt.Sprintf("policy/version-%d-overlay.yaml", v.Version), v.Participant
		}
		if err := p.text(name, string(full.Document)); err != nil {
			return err
		}
		confirmed := ""
		if v.Plan != "" {
			plan, err := p.s.store.GetPlan(ctx, v.Plan)
			if err != nil {
				return err
			}
			confirmed = plan.ConfirmedBy
		}
		rows = append(rows, []string{
			strconv.FormatInt(v.Version, 10), of, v.Digest, audit.Sum(full.Document).String(), stampOf(&v.Applied), stampOf(until),
			v.Actor, v.Plan, confirmed, entries[v.Version].ID, name,
		})
	}
	p.m.Counts.Policies = len(rows)
	return p.table("policies.csv", policyColumns, func(add func(cells ...string) error) error {
		for _, row := range rows {
			if err := add(row...); err != nil {
				return err
			}
		}
		return nil
	})
}

// policyEntries answers by version the entries that put policies in force.
func (p *pack) policyEntries(ctx context.Context) (map[int64]audit.Kept, error) {
	found := map[int64]audit.Kept{}
	err := eachEvent(ctx, p.s.store, storage.EventQuery{Action: audit.PolicyApplied, To: p.spec.To}, func(e audit.Kept) error {
		found[e.PolicyVersion] = e
		return nil
	})
	return found, err
}

var reviewColumns = []string{"review", "state", "asOf", "due", "onSilence", "startedBy", "opened", "escalated", "closed", "closedBy", "reportSha256", "entry", "file"}

// reviews writes the access reviews that were under way in the period, and the
// reports of those that were closed by its end.
func (p *pack) reviews(ctx context.Context) error {
	var rows [][]string
	q := storage.ReviewQuery{Participant: p.spec.Participant, Limit: 100}
	for {
		page, err := p.s.store.ListReviews(ctx, q)
		if err != nil {
			return err
		}
		for _, r := range page {
			closed := p.before(r.Closed)
			if !r.AsOf.Before(p.spec.To) || closed != nil && closed.Before(p.spec.From) {
				continue
			}
			row := []string{
				r.ID, storage.ReviewOpen, stampOf(&r.AsOf), stampOf(&r.Due), r.OnSilence, r.StartedBy,
				stampOf(p.before(r.Opened)), stampOf(p.before(r.Escalated)), "", "", "", "", "",
			}
			if p.before(r.Escalated) != nil {
				row[1] = storage.ReviewEscalated
			}
			if closed != nil {
				name := "reviews/" + r.ID + ".json"
				if err := p.reviewReport(ctx, name, r); err != nil {
					return err
				}
				row[1] = storage.ReviewClosed
				copy(row[8:], []string{stampOf(closed), r.ClosedBy, r.Digest, r.Entry, name})
			}
			rows = append(rows, row)
		}
		if len(page) < q.Limit {
			break
		}
		q.Before = &page[len(page)-1]
	}
	p.m.Counts.Reviews = len(rows)
	return p.table("reviews.csv", reviewColumns, func(add func(cells ...string) error) error {
		for _, row := range rows {
			if err := add(row...); err != nil {
				return err
			}
		}
		return nil
	})
}

// reviewReport writes a closed review's report as it is read, and holds it to the
// digest in the entry of the closing.
func (p *pack) reviewReport(ctx context.Context, name string, r storage.Review) error {
	sum := sha256.New()
	err := p.listed(name, func(w io.Writer) error {
		_, err := writeReport(ctx, p.s.store, r, io.MultiWriter(w, sum))
		return err
	})
	if digest := hex.EncodeToString(sum.Sum(nil)); err == nil && digest != r.Digest {
		err = fmt.Errorf("report of review %s has digest %s, and %s is on record in entry %s: its rows were altered", r.ID, digest, r.Digest, r.Entry)
	}
	return err
}
