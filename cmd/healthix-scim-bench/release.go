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
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"
)

// releases measures the way from pending to released, and then the portal's
// question, held against the bare echo round by round.
func (s *stage) releases(ctx context.Context, out io.Writer) error {
	fmt.Fprintf(os.Stderr, "releasing %d people\n", s.o.releases)
	before, err := memory(s.server.Process.Pid)
	if err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	most := make(chan int64, 1)
	go func() { most <- s.peak(watching) }()

	ids := make([]string, s.o.releases)
	creates := paceOf(len(ids))
	err = s.each(len(ids), func(i int) (err error) {
		ids[i], err = s.make(ctx, s.o.users+i)
		creates.done()
		return err
	})
	if err == nil {
		err = s.drain(ctx)
	}
	invited := time.Since(creates.begin)
	if err != nil {
		return fmt.Errorf("people to be released: %w", err)
	}

	evidence := paceOf(2 * len(ids))
	begin := evidence.begin
	completed := begin.Add(-time.Hour).UTC().Format(time.RFC3339)
	err = s.each(len(ids), func(i int) error {
		for _, module := range []string{"nys-policy", "clinical-access"} {
			body := fmt.Appendf(nil, `{"module":%q,"completedAt":%q,"source":"webinar"}`, module, completed)
			if err := s.evidence(ctx, ids[i], body); err != nil {
				return err
			}
			evidence.done()
		}
		return nil
	})
	recorded := time.Since(begin)
	if err == nil {
		err = s.drain(ctx)
	}
	if err != nil {
		return fmt.Errorf("release people: %w", err)
	}
	took := time.Since(begin)
	stop()
	names := make([]string, len(ids))
	err = s.each(len(ids), func(i int) (err error) {
		names[i], err = s.released(ctx, ids[i])
		return err
	})
	if err != nil {
		return err
	}
	n := float64(len(ids))
	fmt.Fprintf(out, "%d people released: evidence %.1f s (%.0f a second), all links mailed after %.1f s (%.0f people and jobs a second)\n", //nolint:errcheck // the terminal
		len(ids), recorded.Seconds(), 2*n/recorded.Seconds(), took.Seconds(), n/took.Seconds())
	fmt.Fprintf(out, "created in %.1f s and invited after %.1f s; %s; evidence: %s; memory %d MB before, %d MB at most\n\n", //nolint:errcheck // the terminal
		creates.took().Seconds(), invited.Seconds(), creates, evidence, before>>20, <-most>>20)

	check := s.load(func(client, n int) shot {
		return shot{method: http.MethodGet, url: s.url + "/api/v1/access/" + names[(client*7919+n)%len(names)], status: http.StatusOK, token: s.portal}
	})
	echo := s.load(s.echo)
	var checks, echoes []result
	for range s.o.rounds {
		for _, side := range []struct {
			run  func(context.Context) (result, error)
			seen *[]result
		}{{echo, &echoes}, {check, &checks}} {
			got, err := side.run(ctx)
			if err != nil {
				return fmt.Errorf("the portal's question: %w", err)
			}
			*side.seen = append(*side.seen, got)
		}
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tper second\tp50\tp99\tto HTTP echo\t") //nolint:errcheck // Flush answers
	fmt.Fprintf(w, "portal check\t%.0f\t%s\t%s\t%.2f\t\n",    //nolint:errcheck // Flush answers
		median(checks, checks, func(a, _ result) float64 { return a.rate }),
		span(median(checks, checks, func(a, _ result) float64 { return float64(a.p50) })),
		span(median(checks, checks, func(a, _ result) float64 { return float64(a.p99) })),
		median(checks, echoes, func(a, b result) float64 { return a.rate / b.rate }))
	return w.Flush()
}

// pace is how fast many equal things went, and whether they slowed down.
type pace struct {
	n     int
	begin time.Time
	count atomic.Int64
	marks [11]atomic.Int64 // nanoseconds after begin at which each tenth was done
}

func paceOf(n int) *pace { return &pace{n: n, begin: time.Now()} }

func (p *pace) done() {
	if i := int(p.count.Add(1)); i*10%p.n < 10 {
		p.marks[i*10/p.n].Store(int64(time.Since(p.begin)))
	}
}

func (p *pace) took() time.Duration { return time.Duration(p.marks[10].Load()) }

// rate of one tenth, per second; the first is 1.
func (p *pace) rate(tenth int) float64 {
	return float64(p.n) / 10 / time.Duration(p.marks[tenth].Load()-p.marks[tenth-1].Load()).Seconds()
}

func (p *pace) String() string {
	return fmt.Sprintf("%.0f a second in the first tenth, %.0f in the fifth, %.0f in the last", p.rate(1), p.rate(5), p.rate(10))
}

// each does something for 0 to n-1 from o.clients sides; the first error ends it.
func (s *stage) each(n int, do func(i int) error) error {
	var (
		wg    sync.WaitGroup
		next  atomic.Int64
		first atomic.Pointer[error]
	)
	for range s.o.clients {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && first.Load() == nil; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					first.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	if err := first.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *stage) evidence(ctx context.Context, user string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/api/v1/users/"+user+"/evidence", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+s.admin)
	req.Header.Set("Content-Type", "application/json")
	res, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // read whole below
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusCreated {
		err = fmt.Errorf("status %d: %.300s", res.StatusCode, answer)
	}
	return err
}

// released answers the name under which the portal asks about somebody.
func (s *stage) released(ctx context.Context, user string) (name string, err error) {
	text, err := s.ask(ctx, s.url+"/api/v1/users/"+user)
	if err != nil {
		return "", fmt.Errorf("look at who was released: %w", err)
	}
	var u struct {
		Access struct{ Status, Username string }
	}
	if err := json.Unmarshal(text, &u); err != nil {
		return "", fmt.Errorf("look at who was released: %w", err)
	}
	if u.Access.Status != "released" || u.Access.Username == "" {
		return "", errors.New("somebody with all training was not released")
	}
	return u.Access.Username, nil
}
