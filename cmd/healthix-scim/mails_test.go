package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/storage/sqlstore"
)

// What a mail server puts off, or breaks off, is sent again under the same
// Message-ID; what it refuses for good is given up, and both are on record.
func TestMailServersMoods(t *testing.T) {
	t.Parallel()
	office := newPostOffice(t)
	s := newSite(t, "sqlite://healthix.db", "HEALTHIX_MAIL_URL=smtp://"+office.address)
	s.run("participant", "add", "mercy", "--name", "Mercy General")
	provider := s.run("token", "issue", "--scope", "scim", "--participant", "mercy", "--label", "entra")
	n := s.start()
	ids := map[string]string{}
	for _, mood := range []string{"Grey", "Cut", "Refused"} {
		u := n.must(201, "POST", "/scim/v2/Users", provider, nurse(mood, "Lima"))
		ids[strings.ToLower(mood)], _ = u["id"].(string)
	}
	eventually(t, 40*time.Second, func() error {
		office.mu.Lock()
		defer office.mu.Unlock()
		if len(office.received["grey.lima@mercy.example"]) == 0 || len(office.received["cut.lima@mercy.example"]) == 0 {
			return fmt.Errorf("received %v, tried %v", office.received, office.tries)
		}
		return nil
	})
	// The record of a message is written behind it.
	var jobs []struct{ Subject, State string }
	eventually(t, 20*time.Second, func() error {
		decode(t, s.run("jobs", "list", "--json"), &jobs)
		for _, j := range jobs {
			if j.State != "completed" && j.State != "cancelled" {
				return fmt.Errorf("jobs %v", jobs)
			}
		}
		return nil
	})
	n.stop()

	for _, mood := range []string{"grey", "cut"} {
		to := mood + ".lima@mercy.example"
		tries, got := office.tries[to], office.received[to]
		if len(tries) != 2 || len(got) != 1 || tries[0] != tries[1] || tries[0].id == "" {
			t.Errorf("%s: tried %q, received %q; want one Message-ID twice, received once", mood, tries, got)
		}
	}
	if tries := office.tries["refused.lima@mercy.example"]; len(tries) != 1 {
		t.Errorf("what was refused for good was tried %d times", len(tries))
	}
	given := slices.DeleteFunc(jobs, func(j struct{ Subject, State string }) bool { return j.State != "cancelled" })
	if len(given) != 1 || given[0].Subject != ids["refused"] {
		t.Errorf("given up: %v, want the one that was refused (%s)", given, ids["refused"])
	}
	if log := n.logged(); strings.Contains(log, "lima@") {
		t.Error("the log names a recipient")
	}
	store, err := sqlstore.Open(t.Context(), "sqlite://"+s.folder+"/healthix.db", sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for mood, want := range map[string]string{"grey": "mail.sent", "cut": "mail.sent", "refused": "mail.refused"} {
		entries, err := store.ListEntries(t.Context(), ids[mood])
		if err != nil {
			t.Fatal(err)
		}
		var actions []string
		for _, e := range entries {
			if strings.HasPrefix(e.Action, "mail.") {
				actions = append(actions, e.Action)
			}
		}
		if !slices.Equal(actions, []string{want}) {
			t.Errorf("%s: on record is %v, want %s", mood, actions, want)
		}
	}
}
