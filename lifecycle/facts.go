package lifecycle

import (
	"strings"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// The extensions that facts are read from.
const (
	enterpriseURN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	healthixURN   = "urn:ietf:params:scim:schemas:extension:healthix:2.0:User"
)

// fill copies what is looked up and decided upon from a user's document into
// its typed fields. Everything else of the document is kept, not read.
func fill(u *storage.User, draft UserDraft) error {
	doc := draft.Document
	u.Document, u.Fold = doc, draft.Fold

	u.UserName = text(doc, "userName")
	if strings.TrimSpace(u.UserName) == "" {
		return Faultf(KindInvalid, "userName", "userName is missing or empty; send the name by which your identity provider knows the person")
	}
	u.UserNameKey = storage.UserNameKey(u.UserName)
	u.ExternalID = text(doc, "externalId")
	u.DisplayName = text(doc, "displayName")
	name, _ := doc["name"].(map[string]any)
	u.GivenName = text(name, "givenName")
	u.FamilyName = text(name, "familyName")

	u.Title = text(doc, "title")
	enterprise, _ := doc[enterpriseURN].(map[string]any)
	u.Department = text(enterprise, "department")

	u.Email = gateAddress(doc)
	u.EmailKey = ""
	if u.Email != "" {
		// A malformed address cannot clash: it opens no gate and is never claimed.
		if key, fault := policy.ParseEmail(u.Email); fault == "" {
			u.EmailKey = key
		}
	}
	u.Mobile = ""
	if e164, fault := policy.ParseMobile(gateNumber(doc), ""); fault == "" {
		u.Mobile = e164
	}

	active, given := doc["active"].(bool)
	u.Active = active || !given
	return nil
}

// facts is what a policy decides upon.
func facts(u storage.User, participant policy.ParticipantState, p *policy.Policy) policy.Facts {
	own, _ := u.Document[healthixURN].(map[string]any)
	return policy.Facts{
		Participant: participant,
		Active:      u.Active,
		Deleted:     u.Deleted != nil,
		Title:       u.Title,
		Department:  u.Department,
		UserType:    text(u.Document, "userType"),
		NPI:         text(own, "npi"),
		JobCode:     textAt(u.Document, p.JobCodePath()),
		Email:       u.Email,
		Mobile:      gateNumber(u.Document),
	}
}

// gateAddress is the address that gate email looks at: primary, else type
// work, else the first.
func gateAddress(doc map[string]any) string {
	list := values(doc, "emails")
	for _, e := range list {
		if primary, _ := e["primary"].(bool); primary {
			return text(e, "value")
		}
	}
	for _, e := range list {
		if strings.EqualFold(text(e, "type"), "work") {
			return text(e, "value")
		}
	}
	if len(list) > 0 {
		return text(list[0], "value")
	}
	return ""
}

// gateNumber is the number that gate mobile looks at: type mobile, else
// primary; never a fallback to a desk phone.
func gateNumber(doc map[string]any) string {
	list := values(doc, "phoneNumbers")
	for _, p := range list {
		if strings.EqualFold(text(p, "type"), "mobile") {
			return text(p, "value")
		}
	}
	for _, p := range list {
		if primary, _ := p["primary"].(bool); primary && !strings.EqualFold(text(p, "type"), "work") {
			return text(p, "value")
		}
	}
	return ""
}

func values(doc map[string]any, name string) []map[string]any {
	list, _ := doc[name].([]any)
	out := make([]map[string]any, 0, len(list))
	for _, v := range list {
		if m, ok := v.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// textAt is the text at a path, "" when there is none.
func textAt(doc map[string]any, path []string) string {
	if len(path) == 0 {
		return ""
	}
	for _, name := range path[:len(path)-1] {
		doc, _ = doc[name].(map[string]any)
	}
	return text(doc, path[len(path)-1])
}

func text(doc map[string]any, name string) string {
	s, _ := doc[name].(string)
	return s
}
