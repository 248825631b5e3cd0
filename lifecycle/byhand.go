package lifecycle

import (
	"context"
	"fmt"
	"maps"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// Deactivate ends a user's access by hand, as Healthix's form does: names,
// address and username must all match, else the refusal names none of them. A
// user who is not active any more stays as they are.
func (s *Service) Deactivate(ctx context.Context, by Actor, participant, user string, who Identity) (storage.User, error) {
	kept, err := s.onUser(ctx, by, participant, user, func(_ context.Context, d *deed) (change, error) {
		u := &d.u
		if storage.FoldKey(who.GivenName) != storage.FoldKey(u.GivenName) || storage.FoldKey(who.FamilyName) != storage.FoldKey(u.FamilyName) ||
			storage.FoldKey(who.Email) != storage.FoldKey(u.Email) || storage.FoldKey(who.Username) != u.HealthixUsername {
			return change{}, Faultf(KindRefused, "", "given name, family name, e-mail address and Healthix username do not all match this user; nothing was changed")
		}
		if !u.Active {
			return change{}, nil
		}
		deactivate(u)
		return change{document: true, action: "user.deactivated", sentence: "The user was deactivated by hand; access has ended."}, nil
	})
	if err != nil {
		return storage.User{}, fmt.Errorf("deactivate %s: %w", user, err)
	}
	return kept, nil
}

// deactivate says of a user what a provider says of who left.
func deactivate(u *storage.User) {
	u.Active = false
	u.Document = maps.Clone(u.Document)
	u.Document["active"] = false
}

// SetClinicalAlerts keeps what was asked for. It takes effect with access, and
// no role brings it (product fact 5).
func (s *Service) SetClinicalAlerts(ctx context.Context, by Actor, participant, user, value string) (storage.User, error) {
	switch value {
	case "none", "alerts", "alerts-plus":
	default:
		return storage.User{}, Faultf(KindInvalid, "value", "value is %q; expected none, alerts or alerts-plus", value)
	}
	kept, err := s.onUser(ctx, by, participant, user, func(_ context.Context, d *deed) (change, error) {
		u := &d.u
		switch {
		case u.Decision.Status == policy.StatusRevoked:
			return change{}, Faultf(KindRefused, "", "the user's access has ended; clinical alerts end with it")
		case u.ClinicalAlerts == value:
			return change{}, nil
		}
		u.ClinicalAlerts = value
		return change{action: "alerts.set", sentence: "Clinical alerts were asked for or given up.", fields: []audit.Field{public("clinicalAlerts", value)}}, nil
	})
	if err != nil {
		return storage.User{}, fmt.Errorf("set clinical alerts of %s: %w", user, err)
	}
	return kept, nil
}
