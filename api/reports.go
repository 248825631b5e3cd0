package api

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// accessRow is a line of the access report: one user as they were.
type accessRow struct {
	Participant   string        `json:"participant"`
	ID            string        `json:"id"`
	UserName      string        `json:"userName"`
	Email         *string       `json:"email"`
	Title         *string       `json:"title"`
	Status        policy.Status `json:"status"`
	Role          *string       `json:"role"`
	Permissions   []string      `json:"permissions"`
	ClosedGates   []string      `json:"closedGates"`
	Rule          *string       `json:"rule"`
	PolicyVersion int64         `json:"policyVersion"`
	ValidUntil    *time.Time    `json:"validUntil"`
	RequestedRole *string       `json:"requestedRole"`
	Username      *string       `json:"healthixUsername"`
	GivenName     string        `json:"givenName"`
	FamilyName    string        `json:"familyName"`
	Department    *string       `json:"department"`
	Active        bool          `json:"active"`
	ReleasedAt    *time.Time    `json:"releasedAt"`
	DecidedAt     time.Time     `json:"decidedAt"`
	Reason        string        `json:"reason"`
	Deleted       *time.Time    `json:"deleted"`
	Erased        bool          `json:"erased"`
	Version       int64         `json:"version"`
}

// accessColumns is the report's header as CSV. Columns are only ever added, at
// the end.
var accessColumns = []string{
	"participant", "id", "userName", "email", "title", "status", "role", "permissions", "closedGates", "rule", "policyVersion", "validUntil",
	"requestedRole", "healthixUsername", "givenName", "familyName", "department", "active", "releasedAt", "decidedAt", "reason", "deleted", "erased", "version",
}

func (c *call) accessRow(u storage.User, at time.Time) accessRow {
	d := u.Access(at)
	return accessRow{
		Participant: u.Participant, ID: u.ID, UserName: u.UserName, Email: optional(u.Email), Title: optional(u.Title),
		Status: d.Status, Role: optional(d.Role), Permissions: append([]string{}, d.Permissions...), ClosedGates: d.ClosedGates(),
		Rule: optional(d.Rule), PolicyVersion: d.PolicyVersion, ValidUntil: d.ValidUntil, RequestedRole: optional(d.RequestedRole),
		Username: optional(u.HealthixUsername), GivenName: u.GivenName, FamilyName: u.FamilyName, Department: optional(u.Department),
		Active: u.Active, ReleasedAt: u.ReleasedAt, DecidedAt: d.DecidedAt, Reason: c.text(d.Reason, d.Staff),
		Deleted: u.Deleted, Erased: u.Erased != nil || u.UserName == "", Version: u.Version,
	}
}

func (r accessRow) cells() []string {
	cells := []string{
		r.Participant, r.ID, r.UserName, orEmpty(r.Email), orEmpty(r.Title), string(r.Status), orEmpty(r.Role), strings.Join(r.Permissions, " "),
		strings.Join(r.ClosedGates, " "), orEmpty(r.Rule), strconv.FormatInt(r.PolicyVersion, 10), whenOf(r.ValidUntil),
		orEmpty(r.RequestedRole), orEmpty(r.Username), r.GivenName, r.FamilyName, orEmpty(r.Department), strconv.FormatBool(r.Active),
		whenOf(r.ReleasedAt), whenOf(&r.DecidedAt), r.Reason, whenOf(r.Deleted), strconv.FormatBool(r.Erased), strconv.FormatInt(r.Version, 10),
	}
	for i := range cells {
		cells[i] = inert(cells[i])
	}
	return cells
}

// accessReport is everybody's access at an instant. It is written as it is
// read: however many people there are, it holds a page of them.
type accessReport struct {
	AsOf       time.Time   `json:"asOf"`
	Items      []accessRow `json:"items"`
	NextCursor *string     `json:"nextCursor"` // always null: it is whole

	count int
	csv   bool
	each  func(ctx context.Context, do func(accessRow) error) error
}

func (a accessReport) rows() int { return a.count }

func (a accessReport) stream() (string, func(context.Context, io.Writer) error) {
	if a.csv {
		return csvType, a.writeCSV
	}
	return "application/json", a.writeJSON
}

// atOnce is how much of a report is written at once.
const atOnce = 64 << 10

func (a accessReport) writeCSV(ctx context.Context, w io.Writer) error {
	out := csv.NewWriter(bufio.NewWriterSize(w, atOnce))
	if err := out.Write(accessColumns); err != nil {
		return err
	}
	if err := a.each(ctx, func(row accessRow) error { return out.Write(row.cells()) }); err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

func (a accessReport) writeJSON(ctx context.Context, w io.Writer) error {
	out := bufio.NewWriterSize(w, atOnce)
	lines := json.NewEncoder(out)
	before := `{"asOf":"` + whenOf(&a.AsOf) + `","items":[` + "\n"
	err := a.each(ctx, func(row accessRow) error {
		if _, err := out.WriteString(before); err != nil {
			return err
		}
		before = ","
		return lines.Encode(row)
	})
	if err != nil {
		return err
	}
	if before == "," {
		before = ""
	}
	if _, err := out.WriteString(before + "],\"nextCursor\":null}\n"); err != nil {
		return err
	}
	return out.Flush()
}

// reportAccess answers who has, or had at an instant, which access.
func (s *server) reportAccess(ctx context.Context, c *call, _ none) (accessReport, error) {
	var empty accessReport
	if err := oneOf("format", c.query.Get("format"), []string{"csv", "json"}); err != nil {
		return empty, err
	}
	participant, err := c.within(c.query.Get("participant"))
	if err != nil {
		return empty, err
	}
	if participant != "" {
		if _, err := s.read.GetParticipant(ctx, participant); err != nil {
			return empty, lifecycle.Faultf(lifecycle.KindNotFound, "participant", "there is no participant %q", participant)
		}
	}
	asked, err := s.asOf(ctx, c)
	if err != nil {
		return empty, err
	}
	at := s.Service.Now()
	if asked != nil {
		at = *asked
	} else if err := s.Service.Settle(ctx, at); err != nil {
		return empty, err
	}
	// How many there were at a settled instant does not change any more, so that
	// the number is on record before the first line leaves.
	count, err := s.read.CountUsersAt(ctx, participant, at)
	if err != nil {
		return empty, err
	}
	return accessReport{
		AsOf: at, Items: []accessRow{}, count: count, csv: c.query.Get("format") == "csv",
		each: func(ctx context.Context, do func(accessRow) error) error {
			return lifecycle.EachUserAt(ctx, s.read, participant, at, func(users []storage.User) error {
				for _, u := range users {
					if err := do(c.accessRow(u, at)); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}, nil
}
