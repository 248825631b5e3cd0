package lifecycle_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
)

// mishap is what goes wrong while a deed or a job is done.
type mishap string

const (
	nothing    mishap = "nothing"
	unkept     mishap = "the commit is lost"
	unheard    mishap = "the commit's answer is lost"
	early      mishap = "the worker dies before the job"
	late       mishap = "the worker dies behind the job"
	inMail     mishap = "the worker dies when the mail server has the message"
	noMail     mishap = "the mail server refuses for now"
	cutMail    mishap = "the mail server's answer is lost"
	cutContext mishap = "the job's context ends in its mail"
)

var (
	deedMishaps = []mishap{nothing, nothing, nothing, unkept, unheard}
	jobMishaps  = []mishap{nothing, nothing, unkept, unheard, early, late, inMail, noMail, cutMail, cutContext}
)

// fate carries the one mishap of a deed or job; whoever meets it takes it.
type fate struct {
	mu  sync.Mutex
	is  mishap
	die func()
}

func (f *fate) meets(some ...mishap) mishap {
	if f == nil {
		return nothing
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Contains(some, f.is) {
		return nothing
	}
	is := f.is
	f.is = nothing
	return is
}

type fateKey struct{}

func fateOf(ctx context.Context) *fate {
	f, _ := ctx.Value(fateKey{}).(*fate)
	return f
}

// shaky is a store of which some transactions end in a mishap.
type shaky struct{ storage.Store }

func (s shaky) Write(ctx context.Context, f func(ctx context.Context, tx storage.Tx) error) error {
	lost := fmt.Errorf("the connection broke: %w", storage.ErrUnavailable)
	is := fateOf(ctx).meets(unkept, unheard)
	err := s.Store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		if err := f(ctx, tx); err != nil || is != unkept {
			return err
		}
		return lost
	})
	if err == nil && is == unheard {
		return lost
	}
	return err
}

// shakyPost is a mail server of which some messages end in a mishap.
type shakyPost struct{ *postbox }

func (p shakyPost) Send(ctx context.Context, m lifecycle.Mail) error {
	f := fateOf(ctx)
	is := f.meets(noMail, cutMail, inMail, cutContext)
	if is == noMail {
		return errors.New("greylisted, try again later")
	}
	if err := p.postbox.Send(ctx, m); err != nil {
		return err
	}
	if is == inMail {
		f.die()
	}
	return map[mishap]error{cutMail: errors.New("connection reset by peer"), cutContext: context.Canceled}[is]
}

// crashWalk is the walk in which the program, the database's connection and the
// mail server fail at any moment.
type crashWalk struct {
	walk
	steady   context.Context
	postgres bool

	mu   sync.Mutex
	dead map[int64]bool // jobs whose worker died: nobody told the store

	lost     map[string]bool        // links that lived while access was closed
	promised map[string]storage.Job // messages by their ids; the store forgets jobs after a day
}

// TestCrashWalk is TestWalk with crashes. At every moment access is what the rules
// say; at the end every promised job is done, and each message arrived once, as
// a mail reader counts that: by Message-ID.
func TestCrashWalk(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(r *rapid.T) { crashes(t, r, newHouse(t), false) })
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		const most = 4
		walks, broke := 0, false
		rapid.Check(t, func(r *rapid.T) {
			if walks >= most && !broke {
				return // a broken one is made smaller, however often that takes
			}
			walks++
			whole := broke
			broke = true
			crashes(t, r, newHouseAt(t, pgtest.URL(t)), true)
			broke = whole
		})
	})
}

func crashes(t *testing.T, r *rapid.T, h *house, postgres bool) {
	w := &crashWalk{
		walk: walk{house: h, r: r, crashes: true}, steady: h.ctx, postgres: postgres, dead: map[int64]bool{}, lost: map[string]bool{},
		promised: map[string]storage.Job{},
	}
	w.restart(r)
	actions := map[string]func(*rapid.T){}
	for name, deed := range w.deeds() {
		actions[name] = w.crashing(deed)
	}
	for range 2 { // somebody has access before the first mishap, and their mails wait
		w.create(r)
		w.trainWhole(r)
	}
	actions["train whole"] = w.crashing(w.trainWhole)
	actions["blink"] = w.crashing(w.blink)
	actions["time"] = w.time
	actions["hours"] = func(r *rapid.T) { w.clock.pass(time.Duration(rapid.IntRange(1, 60).Draw(r, "hours")) * time.Hour) }
	actions["redeem"] = w.crashing(w.redeem)
	actions["resend"] = w.crashing(w.resend)
	for _, turn := range []string{"jobs", "jobs 2", "jobs 3", "jobs 4"} { // as often as deeds promise some
		actions[turn] = w.jobs
	}
	actions["restart"] = w.restart
	actions[""] = func(r *rapid.T) {
		w.look(r)
		w.links(r)
	}
	r.Repeat(actions)

	w.drain(r)
	w.time(r)
	w.sweep(r)
	w.drain(r)
	w.look(r)
	w.links(r)
	w.record(r)
	w.messages(r)
}

// crashing lets a deed meet a mishap.
func (w *crashWalk) crashing(deed func(*rapid.T)) func(*rapid.T) {
	return func(r *rapid.T) {
		w.ctx = context.WithValue(w.steady, fateKey{}, &fate{is: rapid.SampledFrom(deedMishaps).Draw(r, "mishap")})
		defer func() { w.ctx = w.steady }()
		deed(r)
	}
}

// trainWhole gives somebody what opens access, as far as they can have it: a
// title, a number, an address of their own, and every module.
func (w *crashWalk) trainWhole(r *rapid.T) {
	p := w.somebody(r)
	_, err := w.tryChange(lifecycle.Actor{Kind: "provider", Participant: p.participant}, p.id,
		set("title", "Registered Nurse"), email(p.id+"@mail.example"), set("phoneNumbers", []any{map[string]any{"value": "+12125550123", "type": "mobile"}}))
	w.tolerates(r, err)
	for _, module := range known["Registered Nurse"].modules {
		_, err := w.RecordEvidence(w.ctx, dana, p.id, lifecycle.EvidenceSpec{Module: module, CompletedAt: w.Now().Add(-time.Hour), Source: "webinar"})
		w.tolerates(r, err)
	}
}

// blink closes a participant and opens it again.
func (w *crashWalk) blink(r *rapid.T) {
	p := w.somebody(r)
	_, err := w.SuspendParticipant(w.ctx, dana, p.participant, "why")
	w.fine(r, err)
	w.links(r)
	_, err = w.ResumeParticipant(w.ctx, dana, p.participant)
	w.fine(r, err)
}

// restart makes a new Service on the same store: it remembers nothing.
func (w *crashWalk) restart(r *rapid.T) {
	s, err := lifecycle.New(lifecycle.Options{
		Store: shaky{w.store}, Mailer: shakyPost{w.post}, Key: bytes.Repeat([]byte("k"), 32), PortalURL: "https://portal.example", Clock: w.clock.Now,
	})
	if err != nil {
		r.Fatal(err)
	}
	w.Service = s
}

func (w *crashWalk) list(r *rapid.T, state string) []storage.Job {
	jobs, err := w.store.ListJobs(w.steady, state, -1)
	if err != nil {
		r.Fatal(err)
	}
	slices.Reverse(jobs) // as they were promised
	return jobs
}

// jobs does what can be done now, each job with a mishap of its own, and some of
// those that wait for another try.
func (w *crashWalk) jobs(r *rapid.T) {
	for _, j := range w.list(r, "retryable") {
		if rapid.Bool().Draw(r, "again") {
			w.again(r, j)
		}
	}
	const mortal = 4 // a loop has 8 workers, and one that died does not come back to it
	fates := map[int64]*fate{}
	for _, j := range w.list(r, "available") {
		is := rapid.SampledFrom(jobMishaps).Draw(r, "mishap of "+j.Kind)
		if len(fates) == mortal {
			break
		}
		if is != nothing {
			fates[j.ID] = &fate{is: is, die: func() { w.die(j.ID) }}
		}
	}
	w.run(r, fates)
	if len(w.dead) > 0 {
		w.restart(r)
	}
}

func (w *crashWalk) again(r *rapid.T, j storage.Job) {
	if err := w.store.RetryJob(w.steady, j.ID); err != nil {
		r.Fatal(err)
	}
}

// die ends the goroutine of a job as the end of the process does: nothing after
// this runs, and the store is told nothing. River's loop would wait for such a
// job, so that on PostgreSQL it is a panic, which comes to the same for what
// the job did; a worker's death there is for storagetest.
func (w *crashWalk) die(job int64) {
	if w.postgres {
		panic("the process died")
	}
	w.mu.Lock()
	w.dead[job] = true
	w.mu.Unlock()
	runtime.Goexit()
}

// run lets workers run until nothing is left that they could do. A link that was
// dead before is mailed to nobody: its job looks again.
func (w *crashWalk) run(r *rapid.T, fates map[int64]*fate) {
	w.promises(r)
	dead := map[string]bool{}
	for _, p := range slices.Concat(w.people, w.gone) {
		for _, l := range w.linksOf(r, p.id) {
			dead["credentials."+l.ID] = l.Voided != nil || w.lost[l.ID]
		}
	}
	before := len(w.post.mails)
	defer func() {
		w.promises(r)
		for _, m := range w.post.mails[before:] {
			if dead[m.ID] {
				r.Fatalf("%s was sent, and its link was dead already", m.ID)
			}
		}
	}()
	w.clock.pass(time.Minute) // what dead workers held is free
	clear(w.dead)
	ctx, cancel := context.WithCancel(w.steady)
	ended := make(chan error, 1)
	service := w.Service
	go func() {
		ended <- w.store.Work(ctx, func(ctx context.Context, j storage.Job) error {
			f := fates[j.ID]
			if f.meets(early) != nothing {
				f.die()
			}
			err := service.Do(context.WithValue(ctx, fateKey{}, f), j)
			if f.meets(late) != nothing {
				f.die()
			}
			return err
		})
	}()
	busy := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		n := 0
		for _, j := range w.list(r, "") { // at one moment: a job that ends may have promised another
			if j.State == "available" || j.State == "running" {
				n++
			}
		}
		return n - len(w.dead)
	}
	deadline := time.Now().Add(90 * time.Second)
	left := busy()
	for left > 0 && time.Now().Before(deadline) {
		time.Sleep(2 * time.Millisecond)
		left = busy()
	}
	stuck := slices.Concat(w.list(r, "available"), w.list(r, "running"))
	cancel()
	if err := <-ended; err != nil || left > 0 {
		r.Fatalf("%d jobs are left: %.1000v; %v", left, stuck, err)
	}
}

// promises keeps in mind which messages were promised.
func (w *crashWalk) promises(r *rapid.T) {
	for _, j := range w.list(r, "") {
		if slices.Contains(messageKinds, j.Kind) {
			w.promised[j.Kind+"."+strings.ReplaceAll(j.Key, "/", ".")] = j
		}
	}
}

// drain works until every job has ended.
func (w *crashWalk) drain(r *rapid.T) {
	const rounds = 20
	for range rounds {
		w.run(r, nil)
		waiting := slices.Concat(w.list(r, "retryable"), w.list(r, "scheduled"))
		for _, j := range waiting {
			w.again(r, j)
		}
		// One that came due when the workers were stopping was put back.
		if len(waiting)+len(w.list(r, "available")) == 0 {
			break
		}
	}
	for _, j := range w.list(r, "") {
		if j.State != "completed" { // nothing happened here that should have killed one
			r.Fatalf("job %s %s is %s: %.200v", j.Kind, j.Key, j.State, j.Errors)
		}
	}
}

// linksOf lists somebody's links, deleted people's too.
func (w *crashWalk) linksOf(r *rapid.T, id string) []storage.Activation {
	links, err := w.store.ListActivations(w.steady, id)
	if err != nil {
		r.Fatal(err)
	}
	return links
}

// links: nobody whose access ended has a link that works, then or later.
func (w *crashWalk) links(r *rapid.T) {
	for _, p := range slices.Concat(w.people, w.gone) {
		u, err := w.store.GetUser(w.steady, "", p.id)
		gone := errors.Is(err, storage.ErrNotFound)
		if err != nil && !gone {
			r.Fatal(err)
		}
		closed := gone || u.Access(w.Now()).Status != policy.StatusReleased
		live := 0
		for _, l := range w.linksOf(r, p.id) {
			w.lost[l.ID] = w.lost[l.ID] || closed && l.Redeemed == nil
			if l.Redeemed != nil {
				continue
			}
			if l.Voided == nil && (gone || !u.Active) {
				r.Fatalf("%s is revoked, and the row of link %s is not void", p.id, l.ID)
			}
			if lives := lifecycle.LinkLives(l, u, w.Now()); lives && (gone || w.lost[l.ID]) {
				r.Fatalf("link %s of %s works, and access was closed since it was issued", l.ID, p.id)
			} else if lives {
				live++
			}
		}
		if live > 1 {
			r.Fatalf("%s has %d links that work", p.id, live)
		}
	}
}

// redeem presents some link of somebody, also of who is gone. Only one that works
// opens anything, and only once.
func (w *crashWalk) redeem(r *rapid.T) {
	everybody := slices.Concat(w.people, w.gone)
	if len(everybody) == 0 {
		r.Skip("nobody yet")
	}
	p := rapid.SampledFrom(everybody).Draw(r, "who")
	links := w.linksOf(r, p.id)
	if len(links) == 0 {
		r.Skip("no link yet")
	}
	l := rapid.SampledFrom(links).Draw(r, "link")
	got, err := w.Redeem(w.ctx, door, w.ActivationCode(l.ID), "")
	w.tolerates(r, err)
	if err == nil && (l.Redeemed != nil || l.Voided != nil || w.lost[l.ID] || !w.Now().Before(l.Expires) || len(got.Permissions) == 0) {
		r.Fatalf("link %+v was redeemed: %+v", l, got)
	}
}

func (w *crashWalk) resend(r *rapid.T) {
	p := w.somebody(r)
	w.tolerates(r, w.ResendActivation(w.ctx, dana, p.participant, p.id))
}

// messageKinds are the jobs of this walk that tell a person something.
var messageKinds = []string{
	lifecycle.JobInvitation, lifecycle.JobCredentials, lifecycle.JobConfirmed, lifecycle.JobReturned, lifecycle.JobSuspended,
	lifecycle.JobAddressChanged, lifecycle.JobReminder,
}

// noted are the messages of somebody that are on record under an action.
func (w *crashWalk) noted(r *rapid.T, user, action string) map[string]string {
	entries, err := w.store.ListEntries(w.steady, user)
	if err != nil {
		r.Fatal(err)
	}
	noted := map[string]string{}
	for _, e := range entries {
		if e.Action != action {
			continue
		}
		var c struct {
			Sentence string
			Fields   []struct{ Name, Value string }
		}
		if err := json.Unmarshal(e.Canonical, &c); err != nil {
			r.Fatal(err)
		}
		for _, f := range c.Fields {
			if f.Name == "message" {
				noted[f.Value] = c.Sentence
			}
		}
	}
	return noted
}

// messages: what was promised was sent, or did not hold any more when its turn
// came, and the record says which. Nothing came that nobody promised. Copies of a
// message have its Message-ID, and say the same.
func (w *crashWalk) messages(r *rapid.T) {
	arrived := map[string][]lifecycle.Mail{}
	for _, m := range w.post.mails {
		arrived[m.ID] = append(arrived[m.ID], m)
	}
	for id, copies := range arrived {
		if _, there := w.promised[id]; !there {
			r.Fatalf("message %s was promised by no job", id)
		}
		for _, c := range copies[1:] {
			if code(c) != code(copies[0]) {
				r.Fatalf("copies of message %s hold different links", id)
			}
		}
	}
	for _, p := range slices.Concat(w.people, w.gone) {
		u, err := w.store.GetUser(w.steady, "", p.id)
		gone := errors.Is(err, storage.ErrNotFound) // of whom nothing is told any more
		links := w.linksOf(r, p.id)
		for _, l := range links {
			if _, there := w.promised["credentials."+l.ID]; !there {
				r.Fatalf("nobody promised to send link %s", l.ID)
			}
		}
		if !gone && len(links) > 0 && lifecycle.LinkLives(links[0], u, w.Now()) && links[0].Redeemed == nil && arrived["credentials."+links[0].ID] == nil {
			r.Fatalf("the link of %s works and was not sent", p.id)
		}
		sent, withheld := w.noted(r, p.id, "mail.sent"), w.noted(r, p.id, "mail.withheld")
		invited := false
		for id, j := range w.promised {
			about := strings.HasPrefix(j.Subject, p.id) || slices.ContainsFunc(links, func(l storage.Activation) bool { return j.Subject == l.ID })
			if !about {
				continue
			}
			invited = invited || j.Kind == lifecycle.JobInvitation
			came, isSent := len(arrived[id]) > 0, sent[id] != ""
			sentence, isWithheld := withheld[id]
			switch {
			case isSent && !came:
				r.Fatalf("message %s is on record as sent and was not", id)
			case gone:
			case !came && !isWithheld:
				r.Fatalf("message %s was neither sent nor withheld", id)
			case came && !isSent && !strings.Contains(sentence, "earlier"):
				r.Fatalf("message %s was sent; the record says %q", id, sentence)
			}
		}
		if !gone && u.InvitedAt != nil && !invited {
			r.Fatalf("%s is on record as invited, and nobody promised that", p.id)
		}
	}
}

func code(m lifecycle.Mail) string {
	_, rest, _ := strings.Cut(m.Text, "code=")
	code, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(code)
}
