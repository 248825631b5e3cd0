package litmosfake

import (
	"encoding/json"
	"reflect"
	"strings"
)

// profile is a user's record in the order of Litmos's fields. Its zero values
// are what a PUT that leaves a field out leaves behind.
type profile struct {
	ID                     string  `json:"Id"`
	UserName               string  `json:"UserName"`
	FirstName              string  `json:"FirstName"`
	LastName               string  `json:"LastName"`
	FullName               string  `json:"FullName"`
	Email                  string  `json:"Email"`
	AccessLevel            string  `json:"AccessLevel"`
	DisableMessages        bool    `json:"DisableMessages"`
	Active                 bool    `json:"Active"`
	Skype                  *string `json:"Skype"`
	PhoneWork              *string `json:"PhoneWork"`
	PhoneMobile            *string `json:"PhoneMobile"`
	LastLogin              string  `json:"LastLogin"`
	LoginKey               string  `json:"LoginKey"`
	IsCustomUsername       bool    `json:"IsCustomUsername"`
	Password               string  `json:"Password"`
	SkipFirstLogin         bool    `json:"SkipFirstLogin"`
	TimeZone               string  `json:"TimeZone"`
	SalesforceID           *string `json:"SalesforceId"`
	OriginalID             int     `json:"OriginalId"`
	Street1                *string `json:"Street1"`
	Street2                *string `json:"Street2"`
	City                   *string `json:"City"`
	State                  *string `json:"State"`
	PostalCode             *string `json:"PostalCode"`
	Country                *string `json:"Country"`
	CompanyName            *string `json:"CompanyName"`
	JobTitle               *string `json:"JobTitle"`
	CustomField1           *string `json:"CustomField1"`
	CustomField2           *string `json:"CustomField2"`
	CustomField3           *string `json:"CustomField3"`
	Culture                string  `json:"Culture"`
	CustomField4           *string `json:"CustomField4"`
	CustomField5           *string `json:"CustomField5"`
	CustomField6           *string `json:"CustomField6"`
	CustomField7           *string `json:"CustomField7"`
	CustomField8           *string `json:"CustomField8"`
	CustomField9           *string `json:"CustomField9"`
	CustomField10          *string `json:"CustomField10"`
	SalesforceContactID    *string `json:"SalesforceContactId"`
	SalesforceAccountID    *string `json:"SalesforceAccountId"`
	CreatedDate            string  `json:"CreatedDate"`
	Points                 int     `json:"Points"`
	Brand                  string  `json:"Brand"`
	ManagerID              string  `json:"ManagerId"`
	ManagerName            string  `json:"ManagerName"`
	EnableTextNotification bool    `json:"EnableTextNotification"`
	Website                string  `json:"Website"`
	Twitter                string  `json:"Twitter"`
	ExpirationDate         string  `json:"ExpirationDate"`
	JobRole                string  `json:"JobRole"`
	ExternalEmployeeID     string  `json:"ExternalEmployeeId"`
	ProfileType            string  `json:"ProfileType"`
}

// escaped is the profile with every text HTML-escaped.
func (p profile) escaped() profile {
	v := reflect.ValueOf(&p).Elem()
	for i := range v.NumField() {
		field := v.Field(i)
		if field.Kind() == reflect.String {
			field.SetString(escaped(field.String()))
		} else if s, ok := field.Interface().(*string); ok && s != nil {
			text := escaped(*s)
			field.Set(reflect.ValueOf(&text))
		}
	}
	return p
}

// fields is the profile by name, for tests to look at.
func (p profile) fields() map[string]any {
	p.LoginKey = ""
	raw, err := json.Marshal(p) //nolint:gosec // a field of Litmos's that the fake never fills
	if err != nil {
		panic(err) // texts, truths and numbers
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		panic(err)
	}
	return out
}

// complaint is why Litmos would not take a profile, "" when it would.
func (p profile) complaint() string {
	switch {
	case len(p.UserName) <= 3:
		return "Username must be greater than 3 characters."
	case strings.ContainsAny(p.UserName, "<>&\"' "):
		return "Invalid special character's in the username."
	case !strings.Contains(p.Email, "@") || len(p.Email) > 255:
		return "Invalid email address."
	case p.Culture != "" && p.Culture != "en-US":
		return "Culture is invalid"
	}
	return ""
}
