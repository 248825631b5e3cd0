package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"text/tabwriter"
	"time"
)

// past is the participant whose people the report is about.
const past = "past"

// reports measures the access report of many people as of an instant, beside a
// bare query that reads the same versions, and what memory the server has
// meanwhile.
func (s *stage) reports(ctx context.Context, out io.Writer) error {
	fmt.Fprintf(os.Stderr, "copying the versions of %d people\n", s.o.past)
	if err := s.pastCrowd(ctx); err != nil {
		return fmt.Errorf("copy versions: %w", err)
	}
	begin := time.Now()
	const bare = `\copy (select h.body, m.body from user_history h join user_personal m using (user_id, version) where h.participant = '` + past + `' order by h.user_id) to '/dev/null'`
	if _, err := s.tool(ctx, "psql", "-q", "-c", bare, s.filled); err != nil {
		return err
	}
	scan := time.Since(begin)
	before, err := memory(s.server.Process.Pid)
	if err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	peak := make(chan int64)
	go func() { peak <- s.peak(watching) }()
	begin = time.Now()
	people, bytes, err := s.report(ctx, begin)
	took := time.Since(begin)
	stop()
	most := <-peak
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "access report as of an instant\tseconds\tpeople per second\ttimes a bare query\tsize\tserver before\tat most\t\n") //nolint:errcheck // Flush answers
	fmt.Fprintf(w, "%d people\t%.1f\t%.0f\t%.1f\t%d MB\t%d MB\t%d MB\t\n",                                                             //nolint:errcheck // Flush answers
		people, took.Seconds(), float64(people)/took.Seconds(), took.Seconds()/scan.Seconds(), bytes>>20, before>>20, most>>20)
	return w.Flush()
}

// pastCrowd makes one person as an identity provider does, and copies the newest
// version: the report of a participant reads no row of users.
func (s *stage) pastCrowd(ctx context.Context) error {
	const asJSON = "application/json"
	if err := s.exchange(ctx, s.admin, asJSON, shot{method: http.MethodPost, url: s.url + "/api/v1/participants", body: []byte(`{"id":"` + past + `","name":"Past Hospital"}`)}, nil); err != nil {
		return err
	}
	var issued struct{ Token string }
	if err := s.exchange(ctx, s.admin, asJSON, shot{method: http.MethodPost, url: s.url + "/api/v1/tokens", body: []byte(`{"participant":"` + past + `","scope":"scim"}`)}, &issued); err != nil {
		return err
	}
	if err := s.exchange(ctx, issued.Token, "application/scim+json", shot{method: http.MethodPost, url: s.users(), body: user("model", 0)}, nil); err != nil {
		return err
	}
	copies := fmt.Sprintf(`begin;
create temporary table copy as select gen_random_uuid()::text id from generate_series(2, %d) n;
create temporary table half as
  select c.id, m.version, m.salt, replace(m.body, 'model', 'u' || c.id) body from copy c, user_personal m, users u where m.user_id = u.id and u.participant = '%[2]s';
insert into user_personal (user_id, version, salt, body) select id, version, salt, body from half;
insert into user_history (user_id, version, participant, valid_from, body, digest)
  select v.id, v.version, '%[2]s', v.valid_from, v.body, encode(sha256('healthix-scim/user_history'::bytea || '\x00'::bytea || convert_to(v.body, 'UTF8')), 'hex')
  from (select m.id, h.version, h.valid_from, replace(replace(h.body, h.user_id, m.id), substring(h.body from '"personal":"([0-9a-f]{64})"'),
      encode(sha256(m.salt || 'user'::bytea || '\x00'::bytea || convert_to(m.body, 'UTF8')), 'hex')) body
    from half m, user_history h where h.participant = '%[2]s' and h.version = m.version) v;
commit;`, s.o.past, past)
	if _, err := s.tool(ctx, "psql", "-q", "-v", "ON_ERROR_STOP=1", "-c", copies, s.filled); err != nil {
		return err
	}
	_, err := s.tool(ctx, "psql", "-q", "-c", "vacuum analyze user_history, user_personal", s.filled)
	return err
}

// report reads the report as JSON, line by line, and counts.
func (s *stage) report(ctx context.Context, at time.Time) (people, bytes int64, err error) {
	query := url.Values{"participant": {past}, "asOf": {at.UTC().Format(time.RFC3339Nano)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/api/v1/reports/access?"+query.Encode(), http.NoBody)
	if err != nil {
		return 0, 0, fmt.Errorf("ask for the report: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+s.admin)
	res, err := s.client.Do(req)
	if err != nil {
		return 0, 0, fmt.Errorf("ask for the report: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // read whole below
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 300)) // it says why
		return 0, 0, fmt.Errorf("the report answered %d: %s", res.StatusCode, text)
	}
	lines := bufio.NewReaderSize(res.Body, 1<<20)
	ended := false
	for {
		line, err := lines.ReadBytes('\n')
		bytes += int64(len(line))
		if len(line) > 100 {
			people++
		}
		ended = ended || string(line) == "],\"nextCursor\":null}\n"
		if err == io.EOF {
			break
		}
		if err != nil {
			return people, bytes, fmt.Errorf("read the report: %w", err)
		}
	}
	if people != int64(s.o.past) || !ended {
		return people, bytes, fmt.Errorf("the report holds %d people of %d, and its end: %t", people, s.o.past, ended)
	}
	return people, bytes, s.counted(ctx)
}

// counted: the newest read on record says how many rows left.
func (s *stage) counted(ctx context.Context) error {
	text, err := s.ask(ctx, s.url+"/api/v1/audit/events?action=read&limit=1")
	if err != nil {
		return err
	}
	var page struct {
		Items []struct {
			Fields []struct{ Name, Value string }
		}
	}
	if err := json.Unmarshal(text, &page); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	for _, item := range page.Items {
		for _, f := range item.Fields {
			if f.Name == "rows" && f.Value == fmt.Sprint(s.o.past) {
				return nil
			}
		}
	}
	return fmt.Errorf("the report is not on record with its number of rows: %s", text)
}
