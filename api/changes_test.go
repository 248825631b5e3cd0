package api

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
	"github.com/healthix/healthix-scim/storage/sqlstore"
)

const changesPath = root + "/access/changes"

// twoNodes are two servers on one database. Deeds are done in the first house;
// the answer is where the second listens, and its clock and keys are the first's.
func twoNodes(t *testing.T, test func(t *testing.T, h *house, second string)) {
	for name, address := range map[string]func() string{
		"SQLite":     func() string { return "sqlite://" + filepath.Join(t.TempDir(), "house.db") },
		"PostgreSQL": func() string { return pgtest.URL(t) },
	} {
		t.Run(name, func(t *testing.T) {
			address := address()
			h := newHouseAt(t, address, nil)
			store, err := sqlstore.Open(t.Context(), address, sqlstore.Options{Clock: h.now})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { store.Close() }) //nolint:errcheck // the folder goes with it
			service, err := lifecycle.New(lifecycle.Options{Store: store, Mailer: noMail{}, Key: h.options.Key, Clock: h.now})
			if err != nil {
				t.Fatal(err)
			}
			options := h.options
			options.Service, options.Store, options.Metrics, options.ChangesWait = service, store, nil, 3*time.Second
			server := httptest.NewServer(New(options))
			t.Cleanup(server.Close)
			test(t, h, server.URL)
		})
	}
}

// portal is what docs/portal.md asks of one: what it remembers is never more
// than there is, once it has heard of everything.
type portal struct {
	*house
	token  string
	cursor string
	known  map[string]map[string]any // by username, as the server said
}

// newPortal takes its place first; what it asks from then on it may remember.
func newPortal(h *house, at, participant string) *portal {
	p := &portal{house: &house{t: h.t, url: at}, token: h.token(auth.ScopePortal, participant), known: map[string]map[string]any{}}
	if first := p.poll(); len(first) != 0 || p.cursor == "" {
		h.t.Fatalf("the first answer is %v, cursor %q", first, p.cursor)
	}
	return p
}

// poll asks once and does what a page says; what it forgets it asks for at once.
func (p *portal) poll() []map[string]any {
	p.t.Helper()
	path := changesPath
	if p.cursor != "" {
		path += "?cursor=" + url.QueryEscape(p.cursor)
	}
	a := p.must(200, "GET", path, p.token, "")
	p.cursor = a.json["nextCursor"].(string)
	var items []map[string]any
	for _, item := range a.json["items"].([]any) {
		item := item.(map[string]any)
		items = append(items, item)
		switch item["about"] {
		case "user":
			p.known[item["username"].(string)] = item
		default:
			for username, known := range p.known {
				if item["about"] == "all" || known["participant"] == item["participant"] {
					p.known[username] = p.must(200, "GET", root+"/access/"+username, p.token, "").json
				}
			}
		}
	}
	return items
}

// hear polls until a change is about what is wanted.
func (p *portal) hear(what, about, whom string) map[string]any {
	p.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		for _, item := range p.poll() {
			name := item["username"]
			if about == aboutParticipant {
				name = item["participant"]
			}
			if item["about"] == about && (name == whom || about == aboutAll) {
				return item
			}
		}
	}
	p.t.Fatalf("%s: nothing is heard of %s %s", what, about, whom)
	return nil
}

func TestChangesAreHeard(t *testing.T) {
	twoNodes(t, func(t *testing.T, h *house, second string) {
		ctx := t.Context()
		p := newPortal(h, second, "")
		bound := newPortal(h, second, "general")
		h.train(h.mercy)
		u, err := h.store.GetUser(ctx, "", h.mercy.ID)
		if err != nil {
			t.Fatal(err)
		}
		item := p.hear("release", aboutUser, u.HealthixUsername)
		asked := h.must(200, "GET", root+"/access/"+u.HealthixUsername, p.token, "")
		for _, name := range []string{"participant", "status", "role", "permissions", "version", "validUntil", "email", "mobile"} {
			if fmt.Sprint(item[name]) != fmt.Sprint(asked.json[name]) || item[name] == nil {
				t.Errorf("%s is %v in the changes and %v when asked", name, item[name], asked.json[name])
			}
		}

		// One that waits is woken, by a deed on the other server.
		woken := func(what, about, whom string, deed func() error) map[string]any {
			t.Helper()
			if idle := p.poll(); len(idle) > 0 { // it waits its whole time
				t.Errorf("before %s: %v", what, idle)
			}
			failed := make(chan error, 1)
			go func() {
				time.Sleep(300 * time.Millisecond)
				failed <- deed()
			}()
			item := p.hear(what, about, whom)
			if err := <-failed; err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			return item
		}
		_ = woken("suspension of the participant", aboutParticipant, "mercy", func() error {
			_, err := h.service.SuspendParticipant(ctx, operator, "mercy", "audit")
			return err
		})
		if _, err := h.service.ResumeParticipant(ctx, operator, "mercy"); err != nil {
			t.Fatal(err)
		}
		p.hear("its end", aboutParticipant, "mercy")

		// Several changes of one person are one item, as they are now; what the portal
		// does not see is none.
		hold, err := h.service.Hold(ctx, operator, u.ID, "a question")
		if err == nil {
			err = h.service.LiftHold(ctx, operator, u.ID, hold.ID)
		}
		if err == nil {
			_, err = h.service.Hold(ctx, operator, u.ID, "another question")
		}
		if err == nil {
			_, err = h.service.SetClinicalAlerts(ctx, operator, "", h.general.ID, "alerts")
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // all of it is committed, and nobody else's transaction under way
		items := p.poll()
		if len(items) != 1 || items[0]["status"] != "suspended" || len(items[0]["permissions"].([]any)) != 0 {
			t.Errorf("after two holds: %v", items)
		}

		_ = woken("deactivation", aboutUser, u.HealthixUsername, func() error {
			return h.service.DeleteUser(ctx, lifecycle.Actor{Kind: "provider", Subject: "mercy", Participant: "mercy"}, u.ID, nil)
		})
		if last := p.known[u.HealthixUsername]; last["status"] != "revoked" {
			t.Errorf("who was deleted is %v", last)
		}
		if items := bound.poll(); len(items) > 0 {
			t.Errorf("a portal of general hears of %v", items)
		}
	})
}

func TestChangesOfPolicy(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		h.working()
		h.train(h.mercy)
		dana := h.named("dana@healthix.example")
		everybody, there := newPortal(h, h.url, ""), newPortal(h, h.url, "mercy")
		plan := h.plan(dana, "", nursesAsStaff(t))
		h.must(200, "POST", plansPath+"/"+plan.json["plan"].(string)+"/confirm", h.named("erin@healthix.example"), "")
		h.apply(dana, plan)
		everybody.hear("a policy", aboutAll, "")
		there.hear("a policy", aboutAll, "")
		u, err := h.store.GetUser(t.Context(), "", h.mercy.ID)
		if err != nil {
			t.Fatal(err)
		}
		h.carried(dana, plan)
		for _, p := range []*portal{everybody, there} {
			if p.known[u.HealthixUsername] == nil { // not told in the same page
				p.hear("who was decided again", aboutUser, u.HealthixUsername)
			}
			permissions := p.known[u.HealthixUsername]["permissions"].([]any)
			if len(permissions) == 0 || slices.Contains(permissions, any("clinical.sensitive")) {
				t.Errorf("after the policy: %v", permissions)
			}
		}
	})
}

func TestCursorsOfChanges(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.ChangesWait = 2 * time.Second })
	p := newPortal(h, h.url, "")
	h.must(400, "GET", changesPath+"?cursor="+p.cursor, h.token(auth.ScopePortal, "mercy"), "")
	h.must(403, "GET", changesPath, h.token(auth.ScopeOperator, ""), "")

	bound, err := json.Marshal([]string{"changes", ""})
	if err != nil {
		t.Fatal(err)
	}
	seal := &server{seal: cursorSeal(h.options.Key)}
	ahead, err := seal.cursor(bound, changesCursor{Place: storage.ChangePlace{Tx: 1 << 40, ID: 1 << 40}, At: h.now()})
	if err != nil {
		t.Fatal(err)
	}
	if a := h.must(410, "GET", changesPath+"?cursor="+ahead, p.token, ""); a.json["type"] != "urn:healthix:problem:gone" {
		t.Error(a.body)
	}

	// As many as may wait do; one more is refused, and the others go on.
	var wg sync.WaitGroup
	statuses := make(chan int, changesWaiters+1)
	for range changesWaiters + 1 {
		wg.Go(func() { statuses <- h.ask("GET", changesPath+"?cursor="+p.cursor, p.token, "").status })
	}
	wg.Wait()
	close(statuses)
	count := map[int]int{}
	for status := range statuses {
		count[status]++
	}
	if count[200] != changesWaiters || count[429] != 1 {
		t.Errorf("answers by status: %v", count)
	}

	// Who stays away for a week goes on, longer not; what is older is forgotten.
	h.train(h.mercy)
	week := p.cursor
	h.pass(lifecycle.ChangesLast - time.Hour)
	if err := h.service.SweepChanges(t.Context()); err != nil {
		t.Fatal(err)
	}
	if items := p.poll(); len(items) != 1 {
		t.Errorf("after almost a week: %v", items)
	}
	h.pass(2 * time.Hour)
	if a := h.must(410, "GET", changesPath+"?cursor="+week, p.token, ""); a.json["attribute"] != "cursor" {
		t.Error(a.body)
	}
	h.pass(24 * time.Hour)
	if err := h.service.SweepChanges(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, _, err := h.store.ListAccessChanges(t.Context(), storage.ChangePlace{}, 10); err != nil || len(left) > 0 {
		t.Errorf("what is left: %v, %v", left, err)
	}
}

// A poll that waits answers nothing to a token that was revoked meanwhile.
func TestChangesEndWithTheToken(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.ChangesWait = time.Second })
	p := newPortal(h, h.url, "")
	tokens, err := h.store.ListTokens(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(200*time.Millisecond, func() {
		if err := h.service.RevokeToken(context.Background(), operator, tokens[0].ID); err != nil {
			t.Error(err)
		}
		h.checker.Forget(tokens[0].ID)
	})
	h.must(401, "GET", changesPath+"?cursor="+p.cursor, p.token, "")
}

// slow is a store whose deeds commit late, each by as much as it likes.
type slow struct {
	storage.Store
	by time.Duration // at most
}

func (s slow) Write(ctx context.Context, f func(ctx context.Context, tx storage.Tx) error) error {
	return s.Store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		err := f(ctx, tx)
		time.Sleep(rand.N(s.by)) //nolint:gosec // a test
		return err
	})
}

// Eight writers change people's access and commit when they like, a participant
// is suspended and resumed, and a portal at another server follows. Whatever it
// remembers in the end is what is so.
func TestPortalFollows(t *testing.T) {
	twoNodes(t, func(t *testing.T, h *house, second string) {
		const writers, each = 8, 5
		ctx := t.Context()
		late := slow{h.store, 10 * time.Millisecond} // one after the other
		if strings.HasSuffix(t.Name(), "PostgreSQL") {
			late.by = 200 * time.Millisecond // at the same time, overtaking one another
		}
		service, err := lifecycle.New(lifecycle.Options{Store: late, Mailer: noMail{}, Key: h.options.Key, Clock: h.now})
		if err != nil {
			t.Fatal(err)
		}
		people := make([]storage.User, writers*each)
		for i := range people {
			u := h.person("mercy", fmt.Sprintf("P%d", i), "Lima", "Registered Nurse")
			h.train(u)
			if people[i], err = h.store.GetUser(ctx, "", u.ID); err != nil {
				t.Fatal(err)
			}
		}
		p := newPortal(h, second, "")
		for _, u := range people {
			p.known[u.HealthixUsername] = p.must(200, "GET", root+"/access/"+u.HealthixUsername, p.token, "").json
		}
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for _, u := range people[w*each : (w+1)*each] { // of each there is a last word, while others go on
					hold, err := service.Hold(ctx, operator, u.ID, "a question")
					if err == nil && rand.N(2) > 0 { //nolint:gosec // a test
						err = service.LiftHold(ctx, operator, u.ID, hold.ID)
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Go(func() {
			for range 3 {
				if _, err := service.SuspendParticipant(ctx, operator, "mercy", "audit"); err != nil {
					t.Error(err)
				}
				if _, err := service.ResumeParticipant(ctx, operator, "mercy"); err != nil {
					t.Error(err)
				}
			}
		})
		ended := make(chan struct{})
		go func() { wg.Wait(); close(ended) }()
		for quiet := false; !quiet; {
			select {
			case <-ended:
				quiet = len(p.poll()) == 0
			default:
				p.poll()
			}
		}
		for username, said := range p.known {
			is := h.must(200, "GET", root+"/access/"+username, p.token, "").json
			if said["status"] != is["status"] || fmt.Sprint(said["permissions"]) != fmt.Sprint(is["permissions"]) || said["version"] != is["version"] {
				t.Errorf("the portal remembers %v; it is %v", said, is)
			}
		}
	})
}
