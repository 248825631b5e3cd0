package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// staff is a person as the hospital knows one.
type staff struct {
	given, family, title, department, mobile string
	email                                    string // "" for given.family@mercy.example
}

func (s staff) userName() string {
	return fmt.Sprintf("%s.%s@mercy.example", strings.ToLower(s.given), strings.ToLower(s.family))
}

func (s staff) address() string {
	if s.email != "" {
		return s.email
	}
	return s.userName()
}

// The people. All are invented; so is the hospital.
var (
	ana   = staff{given: "Ana", family: "Lima", title: "Registered Nurse", department: "Medicine", mobile: "+1 212 555 0101"}
	ben   = staff{given: "Ben", family: "Okafor", title: "RN II", department: "Surgery", mobile: "+1 212 555 0102"}
	carla = staff{given: "Carla", family: "Reyes", title: "ED Physician", department: "Emergency", mobile: "+1 212 555 0103"}
	dora  = staff{given: "Dora", family: "Petrov", title: "ED Registrar", department: "Emergency", mobile: "+1 212 555 0104"}
	emil  = staff{given: "Emil", family: "Novak", title: "Trauma Surgeon", department: "Surgery", mobile: "+1 212 555 0105"}
	felix = staff{given: "Felix", family: "Moreau", title: "Housekeeper", department: "Facilities", mobile: "+1 212 555 0106"}
	gina  = staff{given: "Gina", family: "Rossi", title: "Staff Nurse", department: "Medicine", mobile: "+1 212 555 0107"}
	hugo  = staff{given: "Hugo", family: "Brandt", title: "Patient Registrar", department: "Admitting", mobile: "+1 212 555 0108"}
	iris  = staff{given: "Iris", family: "Tanaka", title: "Wellness Ambassador", department: "Outreach", mobile: "+1 212 555 0109"}
	jonas = staff{given: "Jonas", family: "Weber", title: "Nurse", department: "Medicine", mobile: "+1 212 555 0110"}
	desk  = staff{given: "Front", family: "Desk", title: "Front Desk Receptionist", department: "Admitting", mobile: "+1 212 555 0111", email: "frontdesk@mercy.example"}
	kofi  = staff{given: "Kofi", family: "Mensah", title: "PharmD", department: "Pharmacy"}
	lena  = staff{given: "Lena", family: "Fischer", title: "PA-C", department: "Orthopedics", mobile: "+1 212 555 0113"}
	mateo = staff{given: "Mateo", family: "Silva", department: "Outreach", mobile: "+1 212 555 0114"}
	nora  = staff{given: "Nora", family: "Haddad", title: "Care Coordinator", department: "Case Management", mobile: "+1 212 555 0115"}
	petra = staff{given: "Petra", family: "Vogel", title: "LPN", department: "Geriatrics", mobile: "+1 212 555 0116"}
)

// push is the first sync: Entra ID pushes the hospital, Okta the clinics.
func (d *demo) push(ctx context.Context) error {
	for i, s := range []staff{ana, ben, carla, dora, felix, iris, jonas, desk} {
		if err := d.create(ctx, d.entra, s.fromEntra(i+1)); err != nil {
			return err
		}
	}
	// Entra ID fills in addresses one path at a time, in capitals.
	if err := d.patch(ctx, d.entra, ben.userName(),
		object{"op": "Add", "path": `emails[type eq "work"].value`, "value": ben.address()},
		object{"op": "Add", "path": `phoneNumbers[type eq "mobile"].value`, "value": ben.mobile},
		object{"op": "Replace", "path": "name.familyName", "value": ben.family},
	); err != nil {
		return err
	}
	for i, s := range []staff{emil, gina, hugo, kofi, lena, mateo, nora, petra} {
		if err := d.create(ctx, d.okta, s.fromOkta(i+1)); err != nil {
			return err
		}
	}
	// Okta's wizard apps send the whole person again.
	whole := nora.fromOkta(7)
	whole["id"], whole["password"], whole["groups"] = d.ids[nora.userName()], "placeholder", array{}
	whole["nickName"] = "Nor"
	return d.call(ctx, d.okta, http.MethodPut, "/scim/v2/Users/"+d.ids[nora.userName()], whole, nil)
}

// fromEntra is a person as Entra ID writes one, booleans as text. Ben comes
// without his address, which follows by PATCH.
func (s staff) fromEntra(number int) object {
	user := object{
		"schemas":     array{"urn:ietf:params:scim:schemas:core:2.0:User", enterprise},
		"externalId":  fmt.Sprintf("entra-%04d", number),
		"userName":    s.userName(),
		"displayName": s.given + " " + s.family,
		"active":      "True",
		"name":        object{"formatted": s.given + " " + s.family, "givenName": s.given, "familyName": s.family},
		"title":       s.title,
		enterprise:    object{"department": s.department, "employeeNumber": fmt.Sprintf("E%04d", number)},
	}
	if s == ben {
		return user
	}
	user["emails"] = array{object{"type": "work", "primary": "True", "value": s.address()}}
	user["phoneNumbers"] = array{object{"type": "mobile", "value": s.mobile}}
	return user
}

// fromOkta is a person as Okta writes one.
func (s staff) fromOkta(number int) object {
	user := object{
		"schemas":     array{"urn:ietf:params:scim:schemas:core:2.0:User", enterprise},
		"externalId":  fmt.Sprintf("00u%07d", number),
		"userName":    s.userName(),
		"displayName": s.given + " " + s.family,
		"active":      true,
		"name":        object{"givenName": s.given, "middleName": "", "familyName": s.family},
		"emails":      array{object{"type": "work", "primary": true, "value": s.address()}},
		"locale":      "en-US",
		enterprise:    object{"department": s.department},
	}
	if s.title != "" {
		user["title"] = s.title
	}
	if s.mobile != "" {
		user["phoneNumbers"] = array{object{"type": "mobile", "primary": true, "value": s.mobile}}
	}
	return user
}

const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

// train records who has done which modules, as an operator does after a
// webinar.
func (d *demo) train(ctx context.Context) error {
	day := time.Now().UTC().AddDate(0, 0, -3).Truncate(time.Hour)
	for _, done := range []struct {
		who     staff
		modules []string
	}{
		{ana, []string{"nys-policy", "clinical-access"}},
		{carla, []string{"nys-policy", "clinical-access", "break-the-glass"}},
		{emil, []string{"nys-policy", "clinical-access", "break-the-glass"}},
		{dora, []string{"nys-policy", "hosted-registration"}},
		{gina, []string{"nys-policy", "clinical-access"}},
		{hugo, []string{"nys-policy", "hosted-registration"}},
		{kofi, []string{"nys-policy", "clinical-access"}},
		{lena, []string{"nys-policy", "clinical-access"}},
		{nora, []string{"nys-policy"}},
		{petra, []string{"nys-policy", "clinical-access"}},
	} {
		for _, module := range done.modules {
			if err := d.call(ctx, d.operator, http.MethodPost, "/api/v1/users/"+d.ids[done.who.userName()]+"/evidence", object{
				"gate": "training", "module": module, "completedAt": day, "source": "webinar",
			}, nil); err != nil {
				return fmt.Errorf("%s: %w", done.who.userName(), err)
			}
		}
	}
	return nil
}

// change is what happens later: an approval, a leaver, a mover, a rehire, a
// hold.
func (d *demo) change(ctx context.Context) error {
	// A second person approves emergency access; Emil's still waits.
	var seen struct{ Version int64 }
	if err := d.call(ctx, d.approver, http.MethodGet, "/api/v1/users/"+d.ids[carla.userName()], nil, &seen); err != nil {
		return err
	}
	if err := d.call(ctx, d.approver, http.MethodPost, "/api/v1/users/"+d.ids[carla.userName()]+"/approvals",
		object{"decision": "approve", "reason": "ED attending", "ifVersion": seen.Version}, nil); err != nil {
		return err
	}
	// Gina leaves: Okta's path-less replace.
	if err := d.patch(ctx, d.okta, gina.userName(), object{"op": "replace", "value": object{"active": false}}); err != nil {
		return err
	}
	// Hugo becomes a nurse: Entra's newer form, with dotted and URN-qualified
	// keys. He keeps what both roles share until his training is done.
	if err := d.patch(ctx, d.entra, hugo.userName(), object{"op": "replace", "value": object{
		"title": "Registered Nurse", "name.honorificSuffix": "RN", enterprise + ":department": "Medicine",
	}}); err != nil {
		return err
	}
	// Lena leaves and is hired again: she keeps her id and her training.
	if err := d.patch(ctx, d.okta, lena.userName(), object{"op": "replace", "value": object{"active": false}}); err != nil {
		return err
	}
	before := d.ids[lena.userName()]
	if err := d.create(ctx, d.okta, lena.fromOkta(5)); err != nil {
		return err
	}
	if after := d.ids[lena.userName()]; after != before {
		return fmt.Errorf("rehire %s: id %s became %s", lena.userName(), before, after)
	}
	return d.call(ctx, d.operator, http.MethodPost, "/api/v1/users/"+d.ids[petra.userName()]+"/holds",
		object{"reason": "license under review"}, nil)
}
