package scim_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/healthix/healthix-scim/scim"
	"github.com/healthix/healthix-scim/storage"
)

// TestParallelPatchesLoseNothing: sixteen at once, each adding a member and
// renaming the group.
func TestParallelPatchesLoseNothing(t *testing.T) {
	inBothProfiles(t, func(t *testing.T, s *server) {
		const n = 16
		var users []string
		for i := range n {
			users = append(users, s.newUser(t, fmt.Sprintf("u%d@mercy.example", i)))
		}
		group := s.newGroup(t, "G", users[0])
		all(n, func(i int) {
			s.expect(t, 200, "PATCH", "/Groups/"+group, patchOf(
				fmt.Sprintf(`{"op":"add","path":"members","value":[{"value":%q}]}`, users[i]),
				fmt.Sprintf(`{"op":"replace","path":"displayName","value":"G%d"}`, i)))
		})
		if members := s.must(t, 200, "GET", "/Groups/"+group, "").body["members"].([]any); len(members) != n {
			t.Errorf("%d members, want %d", len(members), n)
		}
		all(n, func(i int) {
			s.expect(t, 200, "PATCH", "/Users/"+users[0], patchOf(fmt.Sprintf(`{"op":"add","path":"emails","value":[{"value":"e%d@mercy.example","type":"t%d"}]}`, i, i)))
		})
		if emails := s.must(t, 200, "GET", "/Users/"+users[0], "").body["emails"].([]any); len(emails) != n {
			t.Errorf("%d addresses, want %d", len(emails), n)
		}
	}, 100)
}

// TestParallelCreatesMakeOne: the retries of an impatient provider.
func TestParallelCreatesMakeOne(t *testing.T) {
	inBothProfiles(t, func(t *testing.T, s *server) {
		var mu sync.Mutex
		answers := map[int]int{}
		all(12, func(i int) {
			name := []string{"ana@mercy.example", "ANA@mercy.example"}[i%2]
			r := s.ask(t, "POST", "/Users", fmt.Sprintf(`{"schemas":[%q],"userName":%q}`, urnUser, name))
			mu.Lock()
			defer mu.Unlock()
			answers[r.Code]++
		})
		if answers[201] != 1 || answers[409] != 11 {
			t.Errorf("answers %v, want one 201 and eleven 409", answers)
		}
		if total := s.must(t, 200, "GET", "/Users", "").total(); total != 1 {
			t.Errorf("%v users", total)
		}
	}, 43, 56)
}

func all(n int, do func(i int)) {
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { do(i) })
	}
	group.Wait()
}

// counting counts the reads of whole memberships.
type counting struct {
	scim.Deeds
	loads int
}

type countingReader struct {
	storage.Reader
	of *counting
}

func (c *counting) Reader() storage.Reader { return countingReader{c.Deeds.Reader(), c} }

func (r countingReader) ListMembers(ctx context.Context, group string) ([]storage.Member, error) {
	r.of.loads++
	return r.Reader.ListMembers(ctx, group)
}

// TestManyMembers: a thousand go in and out in one request each, and a group of
// thousands is not read where it is not shown.
func TestManyMembers(t *testing.T) {
	inBothProfiles(t, func(t *testing.T, s *server) {
		const n = 1000
		seen := &counting{Deeds: s.deeds}
		s.handler = newHandler(s, seen)
		group := s.newGroup(t, "G")
		users := make([]string, n)
		all(8, func(i int) {
			for j := i; j < n; j += 8 {
				users[j] = s.newUser(t, fmt.Sprintf("u%d@mercy.example", j))
			}
		})
		seen.loads = 0
		r := s.must(t, 204, "PATCH", "/Groups/"+group, patchOf(`{"op":"add","path":"members","value":`+memberList(users)+`}`))
		if r.Header().Get("ETag") == "" {
			t.Error("204 without ETag")
		}
		s.must(t, 200, "GET", "/Groups/"+group+"?excludedAttributes=members", "")
		s.must(t, 200, "GET", "/Groups?excludedAttributes=members", "")
		s.must(t, 200, "GET", "/Groups?attributes=displayName", "")
		s.must(t, 200, "PATCH", "/Groups/"+group+"?excludedAttributes=members", patchOf(`{"op":"replace","path":"displayName","value":"H"}`))
		if seen.loads != 0 {
			t.Errorf("members were loaded %d times where they were not shown", seen.loads)
		}
		named := s.must(t, 200, "PATCH", "/Groups/"+group+"?attributes=members.value", patchOf(`{"op":"replace","path":"displayName","value":"I"}`))
		if members := named.body["members"].([]any); len(members) != n {
			t.Errorf("%d members, want %d", len(members), n)
		}
		removals := make([]string, n)
		for i, id := range users {
			removals[i] = fmt.Sprintf(`{"op":"remove","path":"members[value eq %s]"}`, strings.ReplaceAll(fmt.Sprintf("%q", id), `"`, `\"`))
		}
		seen.loads = 0
		r = s.must(t, 200, "PATCH", "/Groups/"+group, patchOf(removals...))
		if r.body["members"] != nil || seen.loads > 1 {
			t.Errorf("%v members left, loaded %d times", r.body["members"], seen.loads)
		}
	}, 66, 101, 114)
}
