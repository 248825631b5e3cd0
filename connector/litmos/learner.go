package litmos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/google/uuid"
)

// Learner is one of our users. Their UserID, a UUID, is their user name in
// Litmos: how we know a record as ours.
type Learner struct {
	UserID     string
	GivenName  string
	FamilyName string
	Email      string
}

// longestName and longestEmail are Litmos's, in UTF-16 units.
const (
	longestName  = 50
	longestEmail = 255
)

// fit is the learner as Litmos can hold them: names are cut to its length.
func (l Learner) fit() (Learner, error) {
	if id, err := uuid.Parse(l.UserID); err != nil || id.String() != strings.ToLower(l.UserID) {
		return Learner{}, fmt.Errorf("%w: the user id is no UUID", ErrRefused)
	}
	l.GivenName, l.FamilyName, l.Email = cut(l.GivenName), cut(l.FamilyName), strings.TrimSpace(l.Email)
	switch {
	case l.FamilyName == "":
		return Learner{}, fmt.Errorf("%w: the family name is missing", ErrRefused)
	case l.Email == "" || len(l.Email) > longestEmail:
		return Learner{}, fmt.Errorf("%w: the address is missing or longer than %d bytes", ErrRefused, longestEmail)
	}
	return l, nil
}

func cut(name string) string {
	name = strings.TrimSpace(name)
	units := 0
	for i, r := range name {
		units += max(utf16.RuneLen(r), 1)
		if units > longestName {
			return strings.TrimSpace(name[:i])
		}
	}
	return name
}

// Enrol makes sure that the learner has one active record with the names and
// address given, and answers its id. It may be repeated. ErrOthers: the user
// name or address belongs to another record, which is left alone.
func (c *Client) Enrol(ctx context.Context, l Learner) (litmosID string, err error) {
	id, err := c.enrol(ctx, l)
	if err != nil {
		return "", fmt.Errorf("enrol %s: %w", l.UserID, err)
	}
	return id, nil
}

func (c *Client) enrol(ctx context.Context, l Learner) (string, error) {
	l, err := l.fit()
	if err != nil {
		return "", err
	}
	own, err := c.get(ctx, l.UserID)
	if errors.Is(err, ErrNotFound) {
		var id string
		id, err = c.create(ctx, l)
		if id != "" || err != nil && !errors.Is(err, ErrOthers) {
			return id, err
		}
		// Made a moment ago by an attempt whose answer was lost, or somebody
		// else's. Only a record with our user name is ours.
		own, err = c.search(ctx, l.UserID, err)
	}
	if err != nil {
		return "", err
	}
	if !strings.EqualFold(own.text("UserName"), l.UserID) {
		return "", fmt.Errorf("the record found has another user name: %w", ErrOthers)
	}
	return own.text("Id"), c.amend(ctx, own, l)
}

// get reads a record by its id or user name.
func (c *Client) get(ctx context.Context, idOrUserName string) (record, error) {
	if !isID(idOrUserName) {
		return nil, ErrNotFound
	}
	var rec record
	err := c.do(ctx, request{
		lane: laneWrite, method: http.MethodGet, path: "/users/" + idOrUserName,
		bound: boundOne, read: readRecord(&rec),
	})
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	if !isID(rec.text("Id")) {
		return nil, fmt.Errorf("record: %w", errNotJSON)
	}
	return rec, nil
}

// create answers "" when Litmos made the record without saying its id.
func (c *Client) create(ctx context.Context, l Learner) (string, error) {
	var made struct{ Id text } //nolint:staticcheck // Litmos's spelling
	err := c.do(ctx, request{
		lane: laneWrite, method: http.MethodPost, path: "/users",
		query: url.Values{"sendmessage": {strconv.FormatBool(!c.quiet)}},
		body:  newRecord(l), bound: boundOne, read: readOne(&made),
	})
	if err != nil && !errors.Is(err, errNotJSON) {
		return "", fmt.Errorf("new record: %w", err)
	}
	if !isID(string(made.Id)) {
		return "", nil
	}
	return string(made.Id), nil
}

// search looks for our own record the other way Litmos offers, after it said
// that there is none and that there is one; why is returned when there is none.
func (c *Client) search(ctx context.Context, userName string, why error) (record, error) {
	found, n := "", 0
	err := c.do(ctx, request{
		lane: laneWrite, method: http.MethodGet, path: "/users",
		query: url.Values{"search": {userName}, "limit": {strconv.Itoa(page)}}, bound: boundPage,
		read: readList(&n, func(u struct{ Id, UserName text }) {
			if strings.EqualFold(string(u.UserName), userName) {
				found = string(u.Id)
			}
		}),
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("search: %w", err)
	case found != "":
		return c.get(ctx, found)
	case why == nil:
		return nil, errors.New("litmos made a record and does not show it")
	}
	return nil, why
}

// amend writes the whole record where it differs from the learner.
func (c *Client) amend(ctx context.Context, own record, l Learner) error {
	same := own.text("FirstName") == l.GivenName && own.text("LastName") == l.FamilyName
	if same && own.text("Email") == l.Email && own.active() {
		return nil
	}
	changes := []change{{"FirstName", l.GivenName}, {"LastName", l.FamilyName}, {"Email", l.Email}, {"Active", true}}
	if !same {
		changes = append(changes, change{"FullName", strings.TrimSpace(l.GivenName + " " + l.FamilyName)})
	}
	return c.put(ctx, own, changes...)
}

type change struct {
	field string
	value any
}

// put writes a record back whole: Litmos clears what a PUT leaves out.
func (c *Client) put(ctx context.Context, rec record, changes ...change) error {
	for _, ch := range changes {
		var err error
		if rec, err = rec.with(ch.field, ch.value); err != nil {
			return err
		}
	}
	err := c.do(ctx, request{lane: laneWrite, method: http.MethodPut, path: "/users/" + rec.text("Id"), body: rec})
	if err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	return nil
}

// Find answers the id of the record that is ours of a user; ErrNotFound when
// there is none.
func (c *Client) Find(ctx context.Context, userID string) (litmosID string, err error) {
	own, err := c.get(ctx, userID)
	if errors.Is(err, ErrNotFound) {
		own, err = c.search(ctx, userID, err)
	}
	if err == nil && !strings.EqualFold(own.text("UserName"), userID) {
		err = ErrNotFound // answered by id
	}
	if err != nil {
		return "", fmt.Errorf("find %s: %w", userID, err)
	}
	return own.text("Id"), nil
}

// Deactivate ends a leaver's way into Litmos. A record that is gone is as good
// as inactive.
func (c *Client) Deactivate(ctx context.Context, litmosID string) error {
	err := c.setActive(ctx, litmosID, false)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("deactivate learner %s: %w", litmosID, err)
	}
	return nil
}

// Reactivate opens Litmos to a learner again; their assignments and results are
// as they were. ErrNotFound: the record is gone, enrol anew.
func (c *Client) Reactivate(ctx context.Context, litmosID string) error {
	if err := c.setActive(ctx, litmosID, true); err != nil {
		return fmt.Errorf("reactivate learner %s: %w", litmosID, err)
	}
	return nil
}

func (c *Client) setActive(ctx context.Context, litmosID string, active bool) error {
	rec, err := c.get(ctx, litmosID)
	switch {
	case err != nil:
		return err
	case rec.text("Id") != litmosID:
		return fmt.Errorf("record: %w", errNotJSON) // answered by user name
	case rec.active() == active:
		return nil
	}
	return c.put(ctx, rec, change{"Active", active})
}

// newRecord has every field that Litmos asks for, in its order.
func newRecord(l Learner) record {
	rec := record{}
	for _, ch := range []change{
		{"Id", ""}, {"UserName", l.UserID}, {"FirstName", l.GivenName}, {"LastName", l.FamilyName}, {"FullName", ""},
		{"Email", l.Email}, {"AccessLevel", "Learner"}, {"DisableMessages", false}, {"Active", true},
		{"Skype", ""}, {"PhoneWork", ""}, {"PhoneMobile", ""}, {"LastLogin", ""}, {"LoginKey", ""},
		{"IsCustomUsername", true}, {"Password", ""}, {"SkipFirstLogin", false}, {"TimeZone", "UTC"},
		{"Street1", ""}, {"Street2", ""}, {"City", ""}, {"State", ""}, {"PostalCode", ""}, {"Country", ""},
		{"CompanyName", ""}, {"JobTitle", ""}, {"CustomField1", ""}, {"CustomField2", ""}, {"CustomField4", ""},
		{"CustomField5", ""}, {"CustomField6", ""}, {"CustomField7", ""}, {"CustomField8", ""}, {"CustomField9", ""},
		{"CustomField10", ""}, {"Culture", ""},
	} {
		rec, _ = rec.with(ch.field, ch.value) // texts and truths always have JSON
	}
	return rec
}
