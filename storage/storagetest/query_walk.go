package storagetest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// everyOrder is every key that can be sorted by, in both directions, and none.
func everyOrder(users bool) [][]storage.Order {
	orders := [][]storage.Order{nil}
	for _, descending := range []bool{false, true} {
		for _, f := range fieldsOf(users, true) {
			orders = append(orders, []storage.Order{{Field: f, Descending: descending}})
		}
		for _, path := range sortPaths {
			orders = append(orders, []storage.Order{{Path: path, Descending: descending}})
		}
		orders = append(orders, []storage.Order{{Field: storage.FieldCreated}, {Path: []string{"nickname"}, Descending: descending}})
	}
	return orders
}

// testWalks: page by page, there and back, one sees what a list of all shows,
// whatever it is sorted by: ties, absent values, letter case, no letters at all.
func testWalks(t *testing.T, s storage.Store) {
	p := randomPopulation.Example(20261125)
	p.keep(t, s)
	for _, users := range []bool{true, false} {
		for _, sort := range everyOrder(users) {
			q := storage.Query{Participant: "open", Sort: sort, Limit: -1, Now: queryNow}
			read := userPage
			if !users {
				read = groupPage
			}
			all, _ := read(t, s, q)
			if len(all) < 5 {
				t.Fatalf("sort %+v: %d in all, which is no walk", sort, len(all))
			}
			q.Limit = 4
			if got := walkAll(t, s, q, read); !slices.Equal(got, all) {
				t.Errorf("users %t, sort %+v\n got %q\nwant %q", users, sort, got, all)
			}
			slices.Reverse(all)
			if got := walkAll(t, s, q.Reversed(), read); !slices.Equal(got, all) {
				t.Errorf("users %t, sort %+v, backwards\n got %q\nwant %q", users, sort, got, all)
			}
		}
	}
}

func userPage(t *testing.T, s storage.Reader, q storage.Query) (ids []string, last *storage.Position) {
	t.Helper()
	users, _, err := s.ListUsers(t.Context(), q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	for _, u := range users {
		ids, last = append(ids, u.ID), u.Position(q)
	}
	return ids, last
}

func groupPage(t *testing.T, s storage.Reader, q storage.Query) (ids []string, last *storage.Position) {
	t.Helper()
	groups, _, err := s.ListGroups(t.Context(), q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	for _, g := range groups {
		ids, last = append(ids, g.ID), g.Position(q)
	}
	return ids, last
}

// walkAll goes to the end, each page from where the last one ended, as a client that
// was given the place.
func walkAll(t *testing.T, s storage.Reader, q storage.Query, read func(*testing.T, storage.Reader, storage.Query) ([]string, *storage.Position)) (seen []string) {
	t.Helper()
	for range 1000 {
		ids, last := read(t, s, q)
		if len(ids) == 0 {
			return seen
		}
		seen = append(seen, ids...)
		text, err := json.Marshal(last)
		if err != nil {
			t.Fatal(err)
		}
		q.After = &storage.Position{}
		if err := json.Unmarshal(text, q.After); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	t.Fatalf("%+v: the walk does not end", q)
	return nil
}

// testMovingWalks: while people come and go on all sides, nobody is seen twice
// and nobody missed who was there all the time.
func testMovingWalks(t *testing.T, s storage.Store) {
	for n, sort := range [][]storage.Order{
		nil,
		{{Field: storage.FieldCreated, Descending: true}},
		{{Field: storage.FieldUserName}},
		{{Field: storage.FieldTitle, Descending: true}},
		{{Path: []string{"nickname"}}},
	} {
		participant := newParticipant(fmt.Sprintf("moving%d", n), "active", "live", nil)
		user := func(i int) storage.User {
			u := newUser(participant, fmt.Sprintf("%s-%02d", participant.ID, i), `{}`)
			u.Created = queryNow.Add(time.Duration(i/3) * time.Second)
			if i%4 > 0 {
				u.Title = []string{"Nurse", "NURSE", "clerk"}[i%3]
				u.Fold = json.RawMessage(fmt.Sprintf(`{"nickname":%q}`, strings.ToLower(u.Title)))
			}
			return u
		}
		kept := &population{participants: []storage.Participant{participant}}
		for i := 0; i < 60; i += 2 {
			kept.users = append(kept.users, user(i))
		}
		kept.keep(t, s)
		q := storage.Query{Participant: participant.ID, Sort: sort, Limit: 5, Now: queryNow}
		seen, gone := map[string]int{}, map[string]bool{}
		for page := 0; ; page++ {
			users, _, err := s.ListUsers(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if len(users) == 0 {
				break
			}
			for _, u := range users {
				seen[u.ID]++
			}
			q.After = users[len(users)-1].Position(q)
			leave := []storage.User{users[len(users)-1]} // the place itself, and somebody who may still be ahead
			if other := kept.users[(page*7)%len(kept.users)]; other.ID != leave[0].ID {
				leave = append(leave, other)
			}
			err = s.Write(t.Context(), func(ctx context.Context, tx storage.Tx) error {
				for _, u := range leave {
					if gone[u.ID] {
						continue
					}
					u.Version, u.Deleted = 2, &queryNow
					if _, err := tx.PutUser(ctx, u); err != nil {
						return err
					}
				}
				for _, i := range []int{2*page + 1, 59 - 2*page} {
					if i > 0 && i < 60 && 2*page+1 < 59-2*page {
						if _, err := tx.PutUser(ctx, user(i)); err != nil {
							return err
						}
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range leave {
				gone[u.ID] = true
			}
		}
		for id, times := range seen {
			if times > 1 {
				t.Errorf("sort %+v: %s is seen %d times", sort, id, times)
			}
		}
		for _, u := range kept.users {
			if seen[u.ID] == 0 && !gone[u.ID] {
				t.Errorf("sort %+v: %s is missed", sort, u.ID)
			}
		}
		if len(gone) < 5 || len(seen) < 20 {
			t.Errorf("sort %+v: %d seen, %d gone: nothing moved", sort, len(seen), len(gone))
		}
	}
}

// testLongKeys: a long text counts by its beginning, so that a place stays small.
func testLongKeys(t *testing.T, s storage.Store) {
	long := func(beginning string, n int) string {
		return `{"nickname":"` + beginning + strings.Repeat("é", n) + `"}`
	}
	seed(t, s, map[string]string{
		"b": long("a", storage.MaxSortText), "a": long("a", 5000), // the same, as far as it counts
		"c": long("a", storage.MaxSortText-2), "d": long("b", 100_000), "e": `{}`,
	})
	q := storage.Query{Participant: openParticipant.ID, Sort: []storage.Order{{Path: []string{"nickname"}}}, Limit: 1, Now: queryNow}
	if got := walkAll(t, s, q, userPage); strings.Join(got, " ") != "c a b d e" {
		t.Errorf("got %q", got)
	}
	if got := walkAll(t, s, q.Reversed(), userPage); strings.Join(got, " ") != "e d b a c" {
		t.Errorf("backwards: got %q", got)
	}
	users, _, err := s.ListUsers(t.Context(), storage.Query{Filter: field(storage.FieldID, storage.OpEq, "d"), Limit: 1, Now: queryNow})
	if err != nil || len(users) != 1 {
		t.Fatalf("%d users: %v", len(users), err)
	}
	if text, err := json.Marshal(users[0].Position(q)); err != nil || len(text) > 1000 {
		t.Errorf("a position of %d bytes: %v", len(text), err)
	}
}
