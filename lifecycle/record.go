package lifecycle

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// System is the actor of jobs and of the sweep.
var System = Actor{Kind: "system", Subject: "healthix-scim"}

// entry seals a draft and keeps it in the deed's transaction. Time, actor and
// request are filled in here, and the id unless the deed has given one.
func (s *Service) entry(ctx context.Context, tx storage.Tx, a Actor, d audit.Draft) error {
	if d.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("entry id: %w", err)
		}
		d.ID = id.String()
	}
	d.At = tx.Now()
	d.Actor = audit.Actor{Kind: a.Kind, Subject: a.Subject, Token: a.Token, Label: a.Label}
	d.RequestID = a.RequestID
	d.Source = a.Source
	sealed, err := audit.Seal(d, s.random)
	if err != nil {
		return fmt.Errorf("record %s: %w", d.Action, err)
	}
	if err := tx.Append(ctx, sealed); err != nil {
		return fmt.Errorf("record %s: %w", d.Action, err)
	}
	return nil
}

func public(name, value string) audit.Field {
	return audit.Field{Name: name, Class: audit.ClassPublic, Value: value}
}

func personal(name, value string) audit.Field {
	return audit.Field{Name: name, Class: audit.ClassPersonal, Value: value}
}

// documentFields says what moved between two versions of a user's document.
func documentFields(old *storage.User, u storage.User) []audit.Field {
	var before storage.User
	if old != nil {
		before = *old
	}
	var fields []audit.Field
	differ := func(make func(name, value string) audit.Field, name, was, is string) {
		if was != is {
			fields = append(fields, make(name, is))
		}
	}
	differ(personal, "userName", before.UserName, u.UserName)
	differ(personal, "externalId", before.ExternalID, u.ExternalID)
	differ(personal, "name", before.GivenName+" "+before.FamilyName, u.GivenName+" "+u.FamilyName)
	differ(personal, "email", before.Email, u.Email)
	differ(personal, "mobile", before.Mobile, u.Mobile)
	differ(public, "title", before.Title, u.Title)
	differ(public, "department", before.Department, u.Department)
	if old == nil || before.Active != u.Active {
		fields = append(fields, public("active", fmt.Sprint(u.Active)))
	}
	return fields
}

// accessFields is what an auditor wants to read of a decision.
func accessFields(d policy.Decision, username string) []audit.Field {
	fields := []audit.Field{
		public("status", string(d.Status)),
		public("role", d.Role),
		public("requestedRole", d.RequestedRole),
		public("permissions", strings.Join(d.Permissions, " ")),
		public("closedGates", strings.Join(d.ClosedGates(), " ")),
	}
	if username != "" {
		fields = append(fields, public("healthixUsername", username))
	}
	if d.ValidUntil != nil {
		fields = append(fields, public("validUntil", d.ValidUntil.UTC().Format(time.RFC3339Nano)))
	}
	return fields
}
