package lifecycle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// peopleColumns are those of the access report.
var peopleColumns = []string{
	"participant", "id", "userName", "email", "title", "status", "role", "permissions", "closedGates", "rule", "policyVersion", "validUntil",
	"requestedRole", "healthixUsername", "givenName", "familyName", "department", "active", "releasedAt", "decidedAt", "reason", "deleted", "erased", "version",
}

func personCells(u storage.User, at time.Time) []string {
	d := u.Access(at)
	return []string{
		u.Participant, u.ID, u.UserName, u.Email, u.Title, string(d.Status), d.Role, strings.Join(d.Permissions, " "), strings.Join(d.ClosedGates(), " "),
		d.Rule, strconv.FormatInt(d.PolicyVersion, 10), whenOrEmpty(d.ValidUntil), d.RequestedRole, u.HealthixUsername, u.GivenName, u.FamilyName,
		u.Department, strconv.FormatBool(u.Active), whenOrEmpty(u.ReleasedAt), whenOrEmpty(&d.DecidedAt), staffReason(d), whenOrEmpty(u.Deleted),
		strconv.FormatBool(isErased(u)), strconv.FormatInt(u.Version, 10),
	}
}

// staffReason is the sentence that staff read: an auditor is staff.
func staffReason(d policy.Decision) string {
	if d.Staff != "" {
		return d.Staff
	}
	return d.Reason
}

// isErased says whether what is personal of a version is gone.
func isErased(u storage.User) bool { return u.Erased != nil || u.UserName == "" }

// whenOrEmpty is an instant as tables have it, "" for none.
func whenOrEmpty(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// populations writes everybody as they were at both ends, and draws the sample.
func (p *pack) populations(ctx context.Context) error {
	n := &p.m.Counts
	err := p.population(ctx, "population-opening.csv", p.opening, func(u storage.User, released bool) {
		n.PeopleOpening++
		if released {
			n.AccessOpening++
		}
	})
	if err != nil {
		return err
	}
	return p.population(ctx, "population-closing.csv", p.closing, func(u storage.User, released bool) {
		n.PeopleClosing++
		if released {
			n.AccessClosing++
		}
		if u.Deleted == nil || !u.Deleted.Before(p.spec.From) {
			n.Frame++
			p.draw(u.ID)
		}
	})
}

func (p *pack) population(ctx context.Context, name string, at time.Time, see func(u storage.User, released bool)) error {
	return p.table(name, peopleColumns, func(add func(cells ...string) error) error {
		return EachUserAt(ctx, p.s.store, p.spec.Participant, at, func(page []storage.User) error {
			for _, u := range page {
				see(u, u.Access(at).Status == policy.StatusReleased)
				if err := add(personCells(u, at)...); err != nil {
					return err
				}
			}
			p.stepped(len(page))
			return nil
		})
	})
}

// drawn is somebody in the sample.
type drawn struct {
	sum [sha256.Size]byte
	id  string
}

// draw keeps an id while it is among those whose digests sort first.
func (p *pack) draw(id string) {
	d := drawn{sum: sha256.Sum256([]byte(p.spec.Seed + id)), id: id}
	i, _ := slices.BinarySearchFunc(p.drawn, d, func(a, b drawn) int { return bytes.Compare(a.sum[:], b.sum[:]) })
	if i >= p.spec.Sample {
		return
	}
	p.drawn = slices.Insert(p.drawn, i, d)
	p.drawn = p.drawn[:min(len(p.drawn), p.spec.Sample)]
}

func (d drawn) digest() string { return hex.EncodeToString(d.sum[:]) }
