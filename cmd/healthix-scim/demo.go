package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
)

// demo is a server over a temporary folder, and the story that is played on it:
// two identity providers push the staff of an invented hospital, operators
// record training. It speaks to its own server over HTTP, as others would.
type demo struct {
	folder string
	client *http.Client
	base   string

	operator string // tokens
	approver string
	entra    string
	okta     string

	ids map[string]string // of people, by userName
}

const (
	demoParticipant = "mercy"
	demoOperator    = "dana@healthix.example"
	demoApprover    = "sam@healthix.example"
)

// newDemo makes the folder and points the settings into it. It takes nothing
// that is somebody's own.
func newDemo(p *program) (*demo, error) {
	for _, name := range []string{"database-url", "database-url-file", "mail-url", "mail-url-file", "secret-key-file", "token-key-file", "log-key-file", "portal-url", "litmos-url"} {
		if p.sources[name] != fromDefault {
			return nil, usage(fmt.Errorf("--demo works in a temporary folder of its own; leave %s out", variable(name)))
		}
	}
	folder, err := os.MkdirTemp("", "healthix-demo-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the demo: %w", err)
	}
	p.settings.DatabaseURL = "sqlite://" + filepath.Join(folder, "healthix.db")
	p.settings.MailURL = "file://" + filepath.Join(folder, "mail")
	p.settings.Migrate = true
	if p.sources["log"] == fromDefault {
		p.settings.Log = "warn" // the story is what is to be read
		level, err := p.settings.level()
		if err != nil {
			return nil, err
		}
		p.log = newLog(p.stderr, level)
	}
	return &demo{folder: folder, ids: map[string]string{}}, nil
}

func (d *demo) mails() string { return filepath.Join(d.folder, "mail") }

// strike removes the folder.
func (d *demo) strike() error {
	if err := os.RemoveAll(d.folder); err != nil {
		return fmt.Errorf("remove the demo's folder: %w", err)
	}
	return nil
}

// play runs the story and prints how it ends.
func (d *demo) play(ctx context.Context, p *program, s *server) error {
	var err error
	if d.base, d.client, err = reach(p.settings, s.address); err != nil {
		return err
	}
	if err := d.tokens(ctx, s.house); err != nil {
		return err
	}
	for _, scene := range []struct {
		name string
		play func(context.Context) error
	}{
		{"the identity providers push", d.push},
		{"training is recorded", d.train},
		{"people come, move and leave", d.change},
		{"mails go out", d.quiet},
	} {
		if err := scene.play(ctx); err != nil {
			return fmt.Errorf("%s: %w", scene.name, err)
		}
	}
	return d.tell(ctx, s, p.stdout)
}

// tokens makes the participant and everybody's tokens. Operators' come from the
// command line's way, the others from the API.
func (d *demo) tokens(ctx context.Context, h *house) error {
	by := lifecycle.Actor{Kind: "operator", Subject: "demo", Label: "command line"}
	for subject, token := range map[string]*string{demoOperator: &d.operator, demoApprover: &d.approver} {
		text, err := h.issue(ctx, by, lifecycle.TokenSpec{Scope: "operator", Subject: subject, TTL: 24 * time.Hour})
		if err != nil {
			return err
		}
		*token = text
	}
	if err := d.call(ctx, d.operator, http.MethodPost, "/api/v1/participants",
		object{"id": demoParticipant, "name": "Mercy General (invented)"}, nil); err != nil {
		return err
	}
	for label, token := range map[string]*string{"entra": &d.entra, "okta": &d.okta} {
		var issued struct{ Token string }
		if err := d.call(ctx, d.operator, http.MethodPost, "/api/v1/tokens",
			object{"participant": demoParticipant, "scope": "scim", "label": label}, &issued); err != nil {
			return err
		}
		*token = issued.Token
	}
	return nil
}

// object and array are JSON as it is written by hand.
type (
	object = map[string]any
	array  = []any
)

// call sends one request and reads its answer; anything but a success is an
// error.
func (d *demo) call(ctx context.Context, token, method, path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	var send io.Reader = http.NoBody
	if body != nil {
		send = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, d.base+path, send)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		req.Header.Set("Content-Type", mediaType(path))
	}
	got, err := d.client.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer got.Body.Close() //nolint:errcheck // read only
	const largest = 4 << 20
	said, err := io.ReadAll(io.LimitReader(got.Body, largest))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if got.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %s %s", method, path, got.Status, said)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(said, answer); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

func mediaType(path string) string {
	if strings.HasPrefix(path, "/scim/") {
		return "application/scim+json"
	}
	return "application/json"
}

// create pushes a person, looking for the userName first as providers do.
func (d *demo) create(ctx context.Context, token string, user object) error {
	userName, _ := user["userName"].(string)
	filter := url.Values{"filter": {fmt.Sprintf("userName eq %q", userName)}}
	if err := d.call(ctx, token, http.MethodGet, "/scim/v2/Users?"+filter.Encode(), nil, nil); err != nil {
		return err
	}
	var kept struct{ ID string }
	if err := d.call(ctx, token, http.MethodPost, "/scim/v2/Users", user, &kept); err != nil {
		return err
	}
	d.ids[userName] = kept.ID
	return nil
}

// patch sends operations to a person.
func (d *demo) patch(ctx context.Context, token, userName string, operations ...any) error {
	return d.call(ctx, token, http.MethodPatch, "/scim/v2/Users/"+d.ids[userName], object{
		"schemas":    array{"urn:ietf:params:scim:api:messages:2.0:PatchOp"},
		"Operations": operations,
	}, nil)
}

// quiet waits until every promised job is done, so that the mails are there.
func (d *demo) quiet(ctx context.Context) error {
	const patience, pause = 30 * time.Second, 200 * time.Millisecond // three requests each: below the rate of staff
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		busy := 0
		for _, state := range []string{"available", "running", "retryable"} {
			var jobs struct{ Items []struct{ Kind string } }
			if err := d.call(ctx, d.operator, http.MethodGet, "/api/v1/jobs?state="+state, nil, &jobs); err != nil {
				return err
			}
			busy += len(jobs.Items)
		}
		if busy == 0 {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return errors.New("jobs are not done after 30 s")
		}
	}
}
