package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// shot is one request and the status that counts as done.
type shot struct {
	method, url string
	body        []byte
	status      int
	token       string // "": the stage's
}

// load fires shots from o.clients connections, each as soon as its last one was
// answered, and counts what came back. An answer of another status ends it: a
// benchmark of errors is none.
func (s *stage) load(next func(client, n int) shot) func(ctx context.Context) (result, error) {
	return func(ctx context.Context) (result, error) {
		ctx, cancel := context.WithTimeout(ctx, s.o.seconds)
		defer cancel()
		var (
			wg    sync.WaitGroup
			mu    sync.Mutex
			times []time.Duration
			first error
		)
		begin := time.Now()
		for client := range s.o.clients {
			wg.Add(1)
			go func() {
				defer wg.Done()
				var mine []time.Duration
				var err error
				for n := 0; err == nil && ctx.Err() == nil; n++ {
					at := time.Now()
					if err = s.fire(ctx, next(client, n)); err == nil {
						mine = append(mine, time.Since(at))
					}
				}
				mu.Lock()
				defer mu.Unlock()
				times = append(times, mine...)
				if err != nil && !errors.Is(err, context.DeadlineExceeded) && first == nil {
					first = err
				}
			}()
		}
		wg.Wait()
		took := time.Since(begin)
		if first != nil {
			return result{}, first
		}
		if len(times) == 0 {
			return result{}, errors.New("nothing was answered in time")
		}
		slices.Sort(times)
		return result{rate: float64(len(times)) / took.Seconds(), p50: times[len(times)/2], p99: times[len(times)*99/100]}, nil
	}
}

// beside measures a participant that sends 25 requests a second, each answered
// as it should be, while another one floods the server from all clients (nil:
// while it is quiet).
func (s *stage) beside(flood, steady func(client, n int) shot) func(ctx context.Context) (result, error) {
	return func(ctx context.Context) (result, error) {
		ctx, cancel := context.WithTimeout(ctx, s.o.seconds)
		defer cancel()
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		for client := range s.o.clients {
			if flood == nil {
				break
			}
			wg.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					_ = s.send(ctx, s.other, flood(client, n)) // most are refused: that is the point
				}
			})
		}
		const perSecond = 25
		var times []time.Duration
		tick := time.NewTicker(time.Second / perSecond)
		defer tick.Stop()
		begin := time.Now()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				if len(times) == 0 {
					return result{}, errors.New("nothing was answered in time")
				}
				slices.Sort(times)
				return result{rate: float64(len(times)) / time.Since(begin).Seconds(), p50: times[len(times)/2], p99: times[len(times)*99/100]}, nil
			case <-tick.C:
			}
			at := time.Now()
			if err := s.fire(ctx, steady(0, n)); err == nil {
				times = append(times, time.Since(at))
			} else if ctx.Err() == nil {
				return result{}, fmt.Errorf("beside a flood: %w", err)
			}
		}
	}
}

func (s *stage) fire(ctx context.Context, x shot) error {
	return s.send(ctx, cmp.Or(x.token, s.token), x)
}

// send sends a shot with a token.
func (s *stage) send(ctx context.Context, token string, x shot) error {
	req, err := http.NewRequestWithContext(ctx, x.method, x.url, bytes.NewReader(x.body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/scim+json")
	res, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // read whole below
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if res.StatusCode != x.status {
		return fmt.Errorf("%s %s answered %d, want %d: %.300s", x.method, x.url, res.StatusCode, x.status, answer)
	}
	return nil
}

const userBody = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"%[1]s@bench.example","externalId":"hr-%[1]s",` +
	`"name":{"givenName":"Ana","familyName":"Lima-%[1]s"},"title":"Registered Nurse","active":true,"displayName":"Ana Lima %[1]s",` +
	`"emails":[{"value":"%[1]s@bench.example","type":"work","primary":true}],"phoneNumbers":[{"value":"+12125550123","type":"mobile"}],` +
	`"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"Ward %[2]d","employeeNumber":"E%[1]s"}}`

func user(name string, n int) []byte { return fmt.Appendf(nil, userBody, name, n%40) }

func (s *stage) users() string { return s.url + "/scim/v2/Users" }

func (s *stage) create(_, _ int) shot {
	n := s.made.Add(1)
	return shot{method: http.MethodPost, url: s.users(), body: user(fmt.Sprintf("new%d", n), int(n)), status: http.StatusCreated}
}

// known is the name of a user of the stage; strides keep clients apart.
func (s *stage) known(client, n int) int { return (client*7919 + n*104729) % s.o.users }

func (s *stage) get(client, n int) shot {
	return shot{method: http.MethodGet, url: s.users() + "/" + s.ids[s.known(client, n)], status: http.StatusOK}
}

func (s *stage) query(filter string) shot {
	return shot{method: http.MethodGet, url: s.users() + "?filter=" + url.QueryEscape(filter), status: http.StatusOK}
}

func (s *stage) filter(client, n int) shot {
	return s.query(fmt.Sprintf(`userName eq "u%d@bench.example"`, s.known(client, n)))
}

func (s *stage) filterEmail(client, n int) shot {
	return s.query(fmt.Sprintf(`emails[type eq "work" and value eq "u%d@bench.example"]`, s.known(client, n)))
}

func (s *stage) patch(client, n int) shot {
	titles := []string{"Registered Nurse", "Licensed Practical Nurse"}
	body := fmt.Appendf(nil, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"title","value":"%s"},{"op":"replace","path":"nickName","value":"n%d"}]}`, titles[n%2], n)
	return shot{method: http.MethodPatch, url: s.users() + "/" + s.ids[s.known(client, n)], body: body, status: http.StatusOK}
}

func (s *stage) list(client, n int) shot {
	start := 1 + s.known(client, n)/100*100
	return shot{method: http.MethodGet, url: fmt.Sprintf("%s?startIndex=%d&count=100", s.users(), start), status: http.StatusOK}
}

func (s *stage) echo(client, n int) shot {
	return shot{method: http.MethodPost, url: s.echoURL, body: user("echo", client+n), status: http.StatusOK}
}
