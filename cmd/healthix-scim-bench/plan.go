package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// planned is the participant whose people are copies, and the titles that they
// have in equal parts; each stands in the default policy as a practitioner.
const planned = "planned"

var plannedTitles = []string{
	"Registered Nurse", "Physician", "Hospitalist", "Surgeon", "Pediatrician", "Anesthesiologist", "Cardiologist", "Neurologist", "Psychiatrist", "Radiologist",
	"Pathologist", "Geriatrician", "Oncologist", "Physician Assistant", "Nurse Practitioner", "Dermatologist", "Urologist", "Nephrologist", "Pulmonologist", "Endocrinologist",
}

// planChange is a policy change that is planned: a text of the document in force
// and what stands there then.
type planChange struct{ name, old, new string }

var planChanges = []planChange{
	{"nobody is concerned", "gates: [participant, title, email, mobile, training, hold]", "gates: [title, participant, email, mobile, training, hold]"},
	{"one title of twenty loses a permission", "\n  Registered Nurse,clinical practitioner,practitioner,", "\n  Registered Nurse,clinical practitioner,clinical-staff,"},
	{"everybody loses a permission",
		"practitioner:         {permissions: [patient.search, consent.write, clinical.summary, clinical.full, clinical.sensitive]",
		"practitioner:         {permissions: [patient.search, consent.write, clinical.summary, clinical.full]"},
}

// plans measures what a plan over many people takes, beside a bare query that
// reads the same columns of the same rows, and what memory the server has
// meanwhile.
func (s *stage) plans(ctx context.Context, out io.Writer) error {
	fmt.Fprintf(os.Stderr, "copying %d people\n", s.o.people)
	if err := s.crowd(ctx); err != nil {
		return fmt.Errorf("copy people: %w", err)
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "a plan over %d people\tseconds\tpeople per second\ttimes a bare query\tserver before\tat most\t\n", s.o.people) //nolint:errcheck // Flush answers
	for _, change := range planChanges {
		fmt.Fprintf(os.Stderr, "plan: %s\n", change.name)
		if err := s.drain(ctx); err != nil {
			return err
		}
		scan, err := s.scan(ctx)
		if err != nil {
			return err
		}
		before, err := memory(s.server.Process.Pid)
		if err != nil {
			return err
		}
		took, most, err := s.plan(ctx, change)
		if err != nil {
			return fmt.Errorf("plan %q: %w", change.name, err)
		}
		fmt.Fprintf(w, "%s\t%.1f\t%.0f\t%.1f\t%d MB\t%d MB\t\n", //nolint:errcheck // Flush answers
			change.name, took.Seconds(), float64(s.o.people)/took.Seconds(), took.Seconds()/scan.Seconds(), before>>20, most>>20)
	}
	return w.Flush()
}

// crowd makes one person of each title as identity providers and operators do,
// and copies them, with what they were trained in, behind the server's back:
// through the door it would take minutes.
func (s *stage) crowd(ctx context.Context) error {
	const asJSON = "application/json"
	if err := s.exchange(ctx, s.admin, asJSON, shot{method: http.MethodPost, url: s.url + "/api/v1/participants", body: []byte(`{"id":"` + planned + `","name":"Planned Hospital"}`)}, nil); err != nil {
		return err
	}
	var issued struct{ Token string }
	if err := s.exchange(ctx, s.admin, asJSON, shot{method: http.MethodPost, url: s.url + "/api/v1/tokens", body: []byte(`{"participant":"` + planned + `","scope":"scim"}`)}, &issued); err != nil {
		return err
	}
	now := time.Now().UTC().Format(time.RFC3339)
	for i, title := range plannedTitles {
		body := bytes.Replace(user(fmt.Sprintf("model%d", i), i), []byte("Registered Nurse"), []byte(title), 1)
		var made struct{ ID string }
		if err := s.exchange(ctx, issued.Token, "application/scim+json", shot{method: http.MethodPost, url: s.users(), body: body}, &made); err != nil {
			return err
		}
		for _, module := range []string{"nys-policy", "clinical-access"} {
			evidence := fmt.Appendf(nil, `{"module":%q,"completedAt":%q,"source":"webinar"}`, module, now)
			if err := s.exchange(ctx, s.admin, asJSON, shot{method: http.MethodPost, url: s.url + "/api/v1/users/" + made.ID + "/evidence", body: evidence}, nil); err != nil {
				return err
			}
		}
	}
	each := max(1, s.o.people/len(plannedTitles))
	copies := fmt.Sprintf(`begin;
create temporary table copy as
  select u.id old, gen_random_uuid()::text id, n from users u, generate_series(2, %d) n where u.participant = '%s';
insert into users select (jsonb_populate_record(u, jsonb_build_object(
    'id', c.id, 'user_name', c.id, 'user_name_key', c.id, 'external_id', c.id,
    'email', c.id || '@bench.example', 'email_key', c.id || '@bench.example', 'healthix_username', c.id))).*
  from copy c join users u on u.id = c.old;
insert into evidence select (jsonb_populate_record(e, jsonb_build_object('id', gen_random_uuid()::text, 'user_id', c.id))).*
  from copy c join evidence e on e.user_id = c.old;
commit;`, each, planned)
	if _, err := s.tool(ctx, "psql", "-q", "-v", "ON_ERROR_STOP=1", "-c", copies, s.filled); err != nil {
		return err
	}
	return s.settle(ctx)
}

// scan is the yardstick: what a plan must at least read of everybody, handed to
// a client that throws it away.
func (s *stage) scan(ctx context.Context) (time.Duration, error) {
	const query = `\copy (select id, participant, title, department, document ->> 'userType', document #>> '{urn:ietf:params:scim:schemas:extension:healthix:2.0:User,npi}', status, title_role, policy_version from users where deleted is null and active order by id) to '/dev/null'`
	begin := time.Now()
	_, err := s.tool(ctx, "psql", "-q", "-c", query, s.filled)
	return time.Since(begin), err
}

// plan plans a change and waits until it is worked out. It answers how long that
// took and the most memory that the server had meanwhile, in bytes.
func (s *stage) plan(ctx context.Context, change planChange) (took time.Duration, most int64, err error) {
	document, err := s.document(ctx)
	if err != nil {
		return 0, 0, err
	}
	if !strings.Contains(document, change.old) {
		return 0, 0, fmt.Errorf("the policy does not hold %q", change.old)
	}
	body := []byte(strings.Replace(document, change.old, change.new, 1))
	watching, stop := context.WithCancel(ctx)
	peak := make(chan int64)
	go func() { peak <- s.peak(watching) }()
	begin := time.Now()
	err = s.worked(ctx, body)
	took = time.Since(begin)
	stop()
	return took, <-peak, err
}

// worked sends a document and looks at its plan until it is ready.
func (s *stage) worked(ctx context.Context, document []byte) error {
	var plan struct {
		Plan, State string
		Summary     *struct{ Checked int }
	}
	if err := s.exchange(ctx, s.admin, "application/yaml", shot{method: http.MethodPost, url: s.url + "/api/v1/policy/plan", body: document}, &plan); err != nil {
		return err
	}
	for plan.State == "computing" {
		time.Sleep(50 * time.Millisecond)
		if err := s.exchange(ctx, s.admin, "", shot{method: http.MethodGet, url: s.url + "/api/v1/policy/plans/" + plan.Plan + "?limit=1"}, &plan); err != nil {
			return err
		}
	}
	if plan.State != "ready" || plan.Summary == nil || plan.Summary.Checked < s.o.people {
		return fmt.Errorf("the plan is %+v", plan)
	}
	return nil
}

// document is the policy in force.
func (s *stage) document(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/api/v1/policy", http.NoBody)
	if err != nil {
		return "", fmt.Errorf("read policy: %w", err)
	}
	req.Header.Set("Accept", "application/yaml")
	text, err := s.said(req, s.admin)
	return string(text), err
}

// exchange sends a shot and reads the answer, which must be a success.
func (s *stage) exchange(ctx context.Context, token, media string, x shot, into any) error {
	req, err := http.NewRequestWithContext(ctx, x.method, x.url, bytes.NewReader(x.body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", media)
	text, err := s.said(req, token)
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s %s: %w", x.method, x.url, err)
	}
	return nil
}

func (s *stage) said(req *http.Request, token string) ([]byte, error) {
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("send request: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // read whole below
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("%s %s answered %d, %w: %.300s", req.Method, req.URL, res.StatusCode, err, text)
	}
	return text, nil
}

// peak looks at the server's memory until ctx ends and answers the most it had.
func (s *stage) peak(ctx context.Context) int64 {
	var most int64
	for ctx.Err() == nil {
		if now, err := memory(s.server.Process.Pid); err == nil {
			most = max(most, now)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return most
}

// memory is what a process holds in memory, in bytes, as Linux counts it.
func memory(process int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process))
	if err != nil {
		return 0, fmt.Errorf("memory of the server: %w", err)
	}
	_, rest, found := strings.Cut(string(text), "VmRSS:")
	fields := strings.Fields(rest)
	if !found || len(fields) == 0 {
		return 0, errors.New("memory of the server: no VmRSS")
	}
	kilobytes, err := strconv.ParseInt(fields[0], 10, 64)
	return kilobytes << 10, err
}
