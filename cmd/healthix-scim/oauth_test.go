package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2/clientcredentials"
)

// A provider that knows OAuth and nothing of ours: it fetches a token, pushes a
// person, is cut off on every node, and its participant hears in time.
func TestOAuthEndToEnd(t *testing.T) {
	onBothEngines(t, func(t *testing.T, s *site) {
		s.run("participant", "add", "mercy", "--name", "Mercy General")
		s.run("participant", "set", "mercy", "contacts=it@mercy.example")
		operator := s.run("token", "issue", "--scope", "operator", "--subject", "dana@healthix.example")
		aum := s.run("token", "issue", "--scope", "aum", "--participant", "mercy", "--subject", "kim@mercy.example")
		// It has a day left when the server looks, and never had a week.
		old := s.run("token", "issue", "--scope", "scim", "--participant", "mercy", "--label", "entra", "--ttl", "24h1s")
		time.Sleep(1100 * time.Millisecond)
		n := s.start()
		other := n
		if !strings.Contains(fmt.Sprint(s.env), "sqlite://") {
			other = s.start()
		}

		client := n.must(201, "POST", "/api/v1/clients", aum, object{"label": "okta"})
		id, _ := client["id"].(string)
		secret, _ := client["secret"].(string)
		config := clientcredentials.Config{ClientID: id, ClientSecret: secret, TokenURL: n.base + "/oauth/token", Scopes: []string{"scim"}}
		body, err := json.Marshal(nurse("Ana", "Lima"))
		if err != nil {
			t.Fatal(err)
		}
		res, err := config.Client(t.Context()).Post(n.base+"/scim/v2/Users", "application/scim+json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		var ana object
		if err != nil || res.StatusCode != http.StatusCreated || json.Unmarshal(text, &ana) != nil {
			t.Fatalf("%d %s %v", res.StatusCode, text, err)
		}
		token, err := config.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}

		// On record under client and token; the request log shows the label.
		timeline := fmt.Sprint(n.must(200, "GET", "/api/v1/users/"+ana["id"].(string)+"/timeline", operator, nil))
		if !strings.Contains(timeline, id) {
			t.Errorf("the record does not say which client it was: %s", timeline)
		}
		eventually(t, 10*time.Second, func() error {
			if log := fmt.Sprint(n.must(200, "GET", "/api/v1/participants/mercy/requests?user="+ana["id"].(string), operator, nil)); !strings.Contains(log, "okta") {
				return fmt.Errorf("the request log does not name the client: %s", log)
			}
			return nil
		})

		// Warned of the old token, by mail and by metric.
		mail := s.waitForLetter("it@mercy.example", "expires on")
		if !strings.Contains(mail.text, "entra") || strings.Contains(mail.text, old) {
			t.Errorf("the warning reads\n%s", mail.text)
		}
		eventually(t, 10*time.Second, func() error {
			metrics := fmt.Sprint(n.must(200, "GET", "/metrics", "", nil)["text"])
			if !regexp.MustCompile(`healthix_token_expires_seconds\{participant="mercy"\} 86\d{3}`).MatchString(metrics) {
				return fmt.Errorf("no metric of the token that ends:\n%s", metrics)
			}
			return nil
		})

		// Revoked by the participant: within five seconds everywhere.
		for _, node := range []*node{n, other} {
			node.must(200, "GET", "/scim/v2/Users", token.AccessToken, nil)
		}
		n.must(204, "DELETE", "/api/v1/clients/"+id, aum, nil)
		cut := time.Now()
		n.must(401, "GET", "/scim/v2/Users", token.AccessToken, nil)
		eventually(t, 5*time.Second-time.Since(cut), func() error {
			status, answer, err := ask(t.Context(), "GET", other.base+"/scim/v2/Users", token.AccessToken, nil)
			if status != 401 || !strings.Contains(fmt.Sprint(answer["detail"]), "revoked") {
				return fmt.Errorf("a revoked client's token is answered %d %v %w", status, answer, err)
			}
			return nil
		})
		if _, err := config.Token(t.Context()); err == nil || !strings.Contains(err.Error(), "invalid_client") {
			t.Errorf("a revoked client gets a token: %v", err)
		}
		for _, node := range []*node{n, other} {
			if log := node.logged(); strings.Contains(log, secret) || strings.Contains(log, token.AccessToken) {
				t.Error("the log holds a secret")
			}
		}
	})
}

// The lines of docs/oauth.md run when pasted.
func TestOAuthDocument(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/oauth.md")
	if err != nil {
		t.Fatal(err)
	}
	const fence = "```"
	var script strings.Builder
	for _, block := range regexp.MustCompile("(?ms)^"+fence+"sh oauth\n(.*?)^"+fence+"$").FindAllStringSubmatch(string(document), -1) {
		script.WriteString(block[1] + "echo\n")
	}
	if strings.Count(script.String(), "\n") < 20 {
		t.Fatalf("docs/oauth.md has no lines to run:\n%s", &script)
	}
	s := newSite(t, "sqlite://healthix.db")
	s.run("participant", "add", "mercy", "--name", "Mercy General")
	operator := s.run("token", "issue", "--scope", "operator", "--subject", "dana@healthix.example")
	n := s.start()
	cmd := exec.CommandContext(t.Context(), "bash", "-e", "-u", "-o", "pipefail", "-c", script.String())
	cmd.Dir, cmd.Env = t.TempDir(), slices.Concat(s.env, []string{"BASE=" + n.base, "TOKEN=" + operator})
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if pages := strings.Count(string(out), `"totalResults":0`); pages != 2 || !strings.Contains(string(out), `"token_endpoint":"`+n.base+`/oauth/token"`) {
		t.Errorf("%d answers of the SCIM endpoint:\n%s", pages, out)
	}
}
