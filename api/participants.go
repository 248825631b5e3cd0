package api

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

// ParticipantView is a participant as the API shows it.
type ParticipantView struct {
	ID       string       `json:"id"`
	Name     string       `json:"name"`
	Type     string       `json:"type"`
	Status   string       `json:"status"`
	Mode     string       `json:"mode"`
	Settings SettingsView `json:"settings"`
	Reason   string       `json:"reason,omitempty"` // of the last suspension; staff only
	ClosedAt *time.Time   `json:"closedAt,omitempty"`

	// Recovering is since when gate participant waits, after a restore of the
	// database, for the identity provider to tell of everybody.
	Recovering *time.Time `json:"recovering,omitempty"`

	Created time.Time    `json:"created"`
	Changed time.Time    `json:"changed"`
	Version int64        `json:"version"`
	Breaker *BreakerView `json:"breaker,omitempty"` // not in lists
}

// SettingsView is a participant's own choices.
type SettingsView struct {
	SSO              bool     `json:"sso"`
	Profile          string   `json:"profile"`
	RateLimit        string   `json:"rateLimit"` // "" for the server's
	SharedExternalID bool     `json:"sharedExternalId"`
	Contacts         []string `json:"contacts"`
	Breaker          string   `json:"breaker"` // default, off, or limits: 25/10/50/30
	Digest           string   `json:"digest"`  // weekly, off
}

func (c *call) participant(p storage.Participant) ParticipantView {
	v := ParticipantView{
		ID: p.ID, Name: p.Name, Type: p.Type, Status: p.Status, Mode: p.Mode,
		Settings: SettingsView{
			SSO: p.Settings.SSO, Profile: p.Settings.Profile, RateLimit: p.Settings.RateLimit,
			SharedExternalID: p.Settings.SharedExternalID, Contacts: append([]string{}, p.Settings.Contacts...),
			Breaker: p.Settings.Breaker, Digest: p.Settings.Digest,
		},
		ClosedAt: p.ClosedAt, Recovering: p.Recovering, Created: p.Created, Changed: p.Changed, Version: p.Version,
	}
	if v.Settings.Profile == "" {
		v.Settings.Profile = "auto"
	}
	if v.Settings.Breaker == "" {
		v.Settings.Breaker = "default"
	}
	if v.Settings.Digest == "" {
		v.Settings.Digest = "weekly"
	}
	if c.staffTexts() {
		v.Reason = p.Reason
	}
	return v
}

func (s *server) listParticipants(ctx context.Context, c *call, _ none) (page[ParticipantView], error) {
	if own := c.who.Participant; own != "" {
		p, err := s.read.GetParticipant(ctx, own)
		if err != nil {
			return page[ParticipantView]{}, err
		}
		return whole([]ParticipantView{c.participant(p)}), nil
	}
	all, err := s.read.ListParticipants(ctx)
	return whole(as(all, c.participant)), err
}

// participantOf answers the participant in the path, if the caller may see it.
func (s *server) participantOf(ctx context.Context, c *call) (storage.Participant, error) {
	id, err := c.within(c.id())
	if err != nil {
		return storage.Participant{}, err
	}
	return s.read.GetParticipant(ctx, id)
}

func (s *server) getParticipant(ctx context.Context, c *call, _ none) (ParticipantView, error) {
	p, err := s.participantOf(ctx, c)
	return s.wholeParticipant(ctx, c, p, err)
}

// settingsChange is a merge patch (RFC 7396): what is absent stays.
type settingsChange struct {
	SSO              *bool     `json:"sso,omitempty"`
	Profile          *string   `json:"profile,omitempty"`
	RateLimit        *string   `json:"rateLimit,omitempty"`
	SharedExternalID *bool     `json:"sharedExternalId,omitempty"`
	Contacts         *[]string `json:"contacts,omitempty"`
	Breaker          *string   `json:"breaker,omitempty"`
	Digest           *string   `json:"digest,omitempty"`
}

func (change *settingsChange) apply(to *storage.Settings) error {
	if change == nil {
		return nil
	}
	set(&to.SSO, change.SSO)
	set(&to.Profile, change.Profile)
	set(&to.RateLimit, change.RateLimit)
	set(&to.SharedExternalID, change.SharedExternalID)
	set(&to.Contacts, change.Contacts)
	set(&to.Breaker, change.Breaker)
	set(&to.Digest, change.Digest)
	if _, err := ParseRate(to.RateLimit); err != nil {
		return lifecycle.Faultf(lifecycle.KindInvalid, "settings.rateLimit", "%v", err)
	}
	return nil
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

type newParticipant struct {
	ID       string          `json:"id"`
	Name     string          `json:"name"`
	Type     string          `json:"type,omitempty"`
	Mode     string          `json:"mode,omitempty"`
	Settings *settingsChange `json:"settings,omitempty"`
}

func (s *server) addParticipant(ctx context.Context, c *call, in newParticipant) (ParticipantView, error) {
	draft := storage.Participant{ID: in.ID, Name: in.Name, Type: in.Type, Mode: in.Mode}
	if err := in.Settings.apply(&draft.Settings); err != nil {
		return ParticipantView{}, err
	}
	p, err := s.Service.AddParticipant(ctx, c.who.Actor, draft)
	if err != nil {
		return ParticipantView{}, err
	}
	c.location = root + "/participants/" + p.ID
	return s.wholeParticipant(ctx, c, p, nil)
}

type participantChange struct {
	Name     *string         `json:"name,omitempty"`
	Settings *settingsChange `json:"settings,omitempty"`
}

func (s *server) changeParticipant(ctx context.Context, c *call, in participantChange) (ParticipantView, error) {
	p, err := s.Service.ChangeParticipant(ctx, c.who.Actor, c.id(), func(p *storage.Participant) error {
		set(&p.Name, in.Name)
		return in.Settings.apply(&p.Settings)
	})
	s.settled.forget(c.id())
	return s.wholeParticipant(ctx, c, p, err)
}

// merging is typed for a change of what is sent. RFC 7396 takes null for what is
// to be as if it were never set; no name and no setting is, and a null that is
// passed over would look as if it had done something.
func merging[In, Out any](run func(context.Context, *call, In) (Out, error)) operation {
	o := typed(run)
	read := o.run
	o.run = func(ctx context.Context, c *call, body []byte) (any, error) {
		if at := nullIn(body, ""); at != "" {
			return nil, lifecycle.Faultf(lifecycle.KindInvalid, at, "%s is null; leave it out to keep it as it is, or send the value that it is to have", at)
		}
		return read(ctx, c, body)
	}
	return o
}

// nullIn answers the path of a member that is null, "" when there is none.
func nullIn(body []byte, at string) string {
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) != nil { // decode says what is wrong
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		path := strings.TrimPrefix(at+"."+name, ".")
		if string(object[name]) == "null" {
			return path
		}
		if deeper := nullIn(object[name], path); deeper != "" {
			return deeper
		}
	}
	return ""
}

// why is the body of deeds that ask for a reason.
type why struct {
	Reason string `json:"reason"`
}

func (s *server) suspendParticipant(ctx context.Context, c *call, in why) (ParticipantView, error) {
	p, err := s.Service.SuspendParticipant(ctx, c.who.Actor, c.id(), in.Reason)
	return s.wholeParticipant(ctx, c, p, err)
}

func (s *server) resumeParticipant(ctx context.Context, c *call, _ none) (ParticipantView, error) {
	p, err := s.Service.ResumeParticipant(ctx, c.who.Actor, c.id())
	return s.wholeParticipant(ctx, c, p, err)
}

func (s *server) goLive(ctx context.Context, c *call, _ none) (ParticipantView, error) {
	p, err := s.Service.GoLive(ctx, c.who.Actor, c.id())
	return s.wholeParticipant(ctx, c, p, err)
}
