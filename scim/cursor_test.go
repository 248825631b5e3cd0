package scim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/scim"
	"github.com/healthix/healthix-scim/scim/discovery"
)

type cursorPage struct {
	Total     int    `json:"totalResults"`
	Next      string `json:"nextCursor"`
	Previous  string `json:"previousCursor"`
	Items     int    `json:"itemsPerPage"`
	Type      string `json:"scimType"`
	Resources []struct {
		ID string `json:"id"`
	} `json:"Resources"`
}

func (s *server) askPage(t testing.TB, method, path, body string, status int) (page cursorPage) {
	t.Helper()
	req := httptest.NewRequest(method, baseURL+scim.Prefix+path, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/scim+json")
	}
	w := s.do(req, "mercy")
	if w.Code != status {
		t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
		t.Fatal(err)
	}
	return page
}

func (p cursorPage) ids() (ids []string) {
	for _, r := range p.Resources {
		ids = append(ids, r.ID)
	}
	return ids
}

// TestCursorsWalkThereAndBack: pages of any size, put together, are the list, in
// both directions and across types.
func TestCursorsWalkThereAndBack(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			proves(t, 142, 143, 145)
			s := newServer(t, engine)
			for i := range 7 {
				s.askPage(t, http.MethodPost, "/Users", fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"u%d@mercy.example","title":"%s"}`, i*5%7, strings.Repeat("x", i%3)), http.StatusCreated)
			}
			for i := range 4 {
				s.askPage(t, http.MethodPost, "/Groups", fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Ward %d"}`, i/2), http.StatusCreated)
			}
			for _, path := range []string{
				"/?", "/Users?", "/Groups?", "/Groups?sortBy=displayName&", "/?sortBy=displayName&sortOrder=descending&", "/?sortBy=title&", "/Users?sortBy=title&sortOrder=descending&",
				"/?sortBy=meta.resourceType&", "/?sortBy=meta.lastModified&sortOrder=descending&", "/?filter=" + url.QueryEscape(`displayName pr`) + "&",
			} {
				all := s.askPage(t, http.MethodGet, path, "", http.StatusOK)
				want := all.ids()
				if len(want) < 4 {
					t.Fatalf("%s: %d in all", path, len(want))
				}
				for count := 1; count <= len(want)+1; count++ {
					walk := func(cursor string, on func(cursorPage) string, add func(seen, page []string) []string) (seen []string, last cursorPage) {
						for pages := 0; pages <= len(want); pages++ {
							last = s.askPage(t, http.MethodGet, fmt.Sprintf("%scount=%d&cursor=%s", path, count, cursor), "", http.StatusOK)
							if last.Total != len(want) || last.Items != len(last.Resources) || last.Items == 0 {
								t.Fatalf("%s by %d: a page of %+v, want of %d", path, count, last, len(want))
							}
							seen = add(seen, last.ids())
							if cursor = on(last); cursor == "" {
								return seen, last
							}
						}
						t.Fatalf("%s by %d: no end", path, count)
						return nil, last
					}
					there, end := walk("", func(p cursorPage) string { return p.Next }, func(seen, page []string) []string { return append(seen, page...) })
					if !slices.Equal(there, want) {
						t.Errorf("%s by %d:\n got %q\nwant %q", path, count, there, want)
					}
					if end.Previous == "" {
						continue // one page
					}
					back, start := walk(end.Previous, func(p cursorPage) string { return p.Previous }, func(seen, page []string) []string { return append(page, seen...) })
					if back = append(back, end.ids()...); !slices.Equal(back, want) || start.Next == "" {
						t.Errorf("%s by %d, back:\n got %q\nwant %q", path, count, back, want)
					}
				}
			}
		})
	}
}

// FuzzCursor: what is no cursor of ours is refused as one, whatever it is.
func FuzzCursor(f *testing.F) {
	s := newServer(f, engines[0])
	for i := range 3 {
		s.askPage(f, http.MethodPost, "/Users", fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"u%d@mercy.example"}`, i), http.StatusCreated)
	}
	ours := s.askPage(f, http.MethodGet, "/Users?cursor&count=1", "", http.StatusOK).Next
	for _, seed := range []string{"", ours, ours[1:], ours[:len(ours)-1], ours + "A", ours + "=", "1", "VZUTiyhEQJ94IR", "%", "\x00", "\xff", `["a",null]`, strings.Repeat("A", 5000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		status := http.StatusBadRequest
		if cursor == "" || cursor == ours {
			status = http.StatusOK
		}
		got := s.askPage(t, http.MethodGet, "/Users?count=1&cursor="+url.QueryEscape(cursor), "", status)
		if status != http.StatusOK && got.Type != "invalidCursor" {
			t.Errorf("%q: %+v", cursor, got)
		}
		body, err := json.Marshal(map[string]any{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:SearchRequest"}, "cursor": cursor, "count": 1})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(cursor, "\x00") {
			return // no text, before it is a cursor
		}
		if got := s.askPage(t, http.MethodPost, "/Users/.search", string(body), status); status != http.StatusOK && got.Type != "invalidCursor" {
			t.Errorf("%q: %+v", cursor, got)
		}
	})
}

// later is the house with a clock that is ahead.
type later struct {
	scim.Deeds
	by time.Duration
}

func (l later) Now() time.Time { return l.Deeds.Now().Add(l.by) }

// TestCursorsExpire: a cursor lasts as long as ServiceProviderConfig says, and
// then has an error of its own. A server with the same key reads it, one with
// another does not.
func TestCursorsExpire(t *testing.T) {
	proves(t, 144, 146)
	s := newServer(t, engines[0])
	for i := range 2 {
		s.askPage(t, http.MethodPost, "/Users", fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"u%d@mercy.example"}`, i), http.StatusCreated)
	}
	at := func(key string, by time.Duration) {
		s.handler = scim.New(later{s.deeds, by}, scim.Options{BaseURL: baseURL, CursorKey: []byte(key)})
	}
	at("key", 0)
	next := s.askPage(t, http.MethodGet, "/Users?cursor&count=1", "", http.StatusOK).Next
	path := "/Users?count=1&cursor=" + next
	at("key", discovery.CursorLife-time.Minute)
	s.askPage(t, http.MethodGet, path, "", http.StatusOK)
	at("key", discovery.CursorLife+time.Minute)
	if got := s.askPage(t, http.MethodGet, path, "", http.StatusBadRequest); got.Type != "expiredCursor" {
		t.Errorf("too late: %+v", got)
	}
	at("other", 0)
	if got := s.askPage(t, http.MethodGet, path, "", http.StatusBadRequest); got.Type != "invalidCursor" {
		t.Errorf("another key: %+v", got)
	}
}
