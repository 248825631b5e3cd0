package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/healthix/healthix-scim/connector/litmos"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
)

// leastHookSecret is how many bytes a webhook's secret has at least: it is all
// that tells Litmos from others.
const leastHookSecret = 16

// litmosSource is the default of that setting.
const litmosSource = "healthix"

// checkLitmos refuses settings of the LMS that have no effect or cannot work. No
// error repeats a secret.
func (s *settings) checkLitmos() error {
	if s.LitmosURL == "" {
		for name, given := range map[string]bool{
			"litmos-api-key": s.LitmosAPIKey != "", "litmos-hook-secret": s.LitmosHook != "", "litmos-source": s.LitmosSource != litmosSource,
		} {
			if given {
				return fmt.Errorf("%s has no effect without %s; give both, or neither", variable(name), variable("litmos-url"))
			}
		}
		return nil
	}
	if s.LitmosAPIKey == "" {
		return fmt.Errorf("%s needs the account's key: %s, or a file with it: %s", variable("litmos-url"), variable("litmos-api-key"), variable("litmos-api-key-file"))
	}
	if _, err := s.litmosClient(); err != nil {
		return fmt.Errorf("%s…: %w", variable("litmos"), err)
	}
	secrets := s.hookSecrets()
	if len(secrets) > 2 {
		return fmt.Errorf("%s holds %d secrets; expected one, or two while they are being exchanged", variable("litmos-hook-secret"), len(secrets))
	}
	for _, secret := range secrets {
		if len(secret) < leastHookSecret {
			return fmt.Errorf("%s is shorter than %d bytes; openssl rand -hex 24 makes a good one", variable("litmos-hook-secret"), leastHookSecret)
		}
	}
	return nil
}

// hookSecrets are one, or two while they are being exchanged.
func (s *settings) hookSecrets() []string {
	if s.LitmosHook == "" {
		return nil
	}
	secrets := strings.Split(s.LitmosHook, ",")
	for i := range secrets {
		secrets[i] = strings.TrimSpace(secrets[i])
	}
	return secrets
}

func (s *settings) litmosClient() (*litmos.Client, error) {
	return litmos.New(litmos.Options{URL: s.LitmosURL, APIKey: s.LitmosAPIKey, Source: s.LitmosSource, Now: time.Now})
}

// lms is where people are trained, nil when no LMS is set.
func (s *settings) lms() (lifecycle.LMS, error) {
	if s.LitmosURL == "" {
		return nil, nil
	}
	client, err := s.litmosClient()
	if err != nil {
		return nil, err
	}
	return &school{client: client}, nil
}

// untaught says which modules the policy in force gives no course: nobody is
// enrolled for them.
func (s *server) untaught(ctx context.Context) {
	p, err := s.house.deeds.Policy(ctx)
	if err != nil {
		return // every deed will say it
	}
	var modules []string
	for _, f := range p.Lint(policy.LintOptions{LMS: true}) {
		if f.Code == policy.CodeMissingLitmos {
			modules = append(modules, strings.TrimPrefix(f.Key, "modules."))
		}
	}
	if len(modules) > 0 {
		s.log.Warn("modules of the policy name no course of the LMS (litmos); nobody is enrolled for them", "modules", modules)
	}
}

// school hands lifecycle's wishes to the connector and its refusals back.
type school struct {
	client *litmos.Client

	mu   sync.Mutex
	poll *litmos.Poll // remembers what it told, so that a walk tells the new
}

// lmsWords puts the connector's errors into lifecycle's. The key comes first: its
// refusal is one of every request.
var lmsWords = []struct{ theirs, ours error }{
	{litmos.ErrKey, lifecycle.ErrLMSKey},
	{litmos.ErrBusy, lifecycle.ErrLMSBusy},
	{litmos.ErrNotFound, lifecycle.ErrLMSGone},
	{litmos.ErrOthers, lifecycle.ErrLMSRefused},
	{litmos.ErrNoModule, lifecycle.ErrLMSRefused},
	{litmos.ErrRefused, lifecycle.ErrLMSRefused},
}

func lmsError(err error) error {
	for _, word := range lmsWords {
		if errors.Is(err, word.theirs) {
			return fmt.Errorf("%w: %w", word.ours, err)
		}
	}
	return err
}

// Enrol makes sure of one active record.
func (s *school) Enrol(ctx context.Context, who lifecycle.Trainee) (string, error) {
	id, err := s.client.Enrol(ctx, litmos.Learner{UserID: who.User, GivenName: who.GivenName, FamilyName: who.FamilyName, Email: who.Email})
	return id, lmsError(err)
}

// Find answers the id of a user's record.
func (s *school) Find(ctx context.Context, user string) (string, error) {
	id, err := s.client.Find(ctx, user)
	return id, lmsError(err)
}

// Assign gives a learner courses and paths.
func (s *school) Assign(ctx context.Context, id string, courses []string) error {
	return lmsError(s.client.Assign(ctx, id, courses...))
}

// Reset lets a learner take a course again.
func (s *school) Reset(ctx context.Context, id, course string) error {
	return lmsError(s.client.Reset(ctx, id, course))
}

// Deactivate makes a record inactive.
func (s *school) Deactivate(ctx context.Context, id string) error {
	return lmsError(s.client.Deactivate(ctx, id))
}

// Completed is everything that a learner completed.
func (s *school) Completed(ctx context.Context, id string) ([]lifecycle.Completion, error) {
	found, err := s.client.Completed(ctx, id)
	completed := make([]lifecycle.Completion, len(found))
	for i, a := range found {
		completed[i] = completionOf(a)
	}
	return completed, lmsError(err)
}

// Completions walks on from an instant.
func (s *school) Completions(ctx context.Context, since time.Time, f func(lifecycle.Completion) error) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.poll == nil || !s.poll.Since().Equal(since) { // another process walked meanwhile
		s.poll = s.client.PollFrom(since)
	}
	err := s.poll.Next(ctx, func(a litmos.Achievement) error { return f(completionOf(a)) })
	return s.poll.Since(), lmsError(err)
}

func completionOf(a litmos.Achievement) lifecycle.Completion {
	return lifecycle.Completion{Key: a.Key(), ID: a.LitmosID, Course: a.Module, At: a.CompletedAt}
}
