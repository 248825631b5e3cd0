package scim

import (
	"bytes"
	"encoding/base64"
	"errors"
	"reflect"
	"regexp"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/scim/discovery"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/schema"
	"github.com/healthix/healthix-scim/storage"
)

// TestCursorOpensOneQueryOnly: whatever else it is sent with, it is no cursor,
// and the answer does not tell why.
func TestCursorOpensOneQueryOnly(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	on := func(root, participant string) *exchange {
		seal, err := cursorSeal([]byte(root))
		if err != nil {
			t.Fatal(err)
		}
		return &exchange{engine: &engine{seal: seal}, caller: Caller{Participant: storage.Participant{ID: participant}}, now: now}
	}
	filter, other := `userName sw "a"`, `userName sw "b"`
	q := query{filter: &filter, sortBy: "name.familyName", attributes: []string{"userName"}, excluded: []string{"groups"}, count: 10}
	users := []*part{{resource: schema.User}}
	bound := func(x *exchange, parts []*part, change func(*query)) []byte {
		changed := q
		change(&changed)
		text, err := x.bound(parts, changed)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	same := func(*query) {}
	mercy := on("root", "mercy")
	want := cursor{Total: 7, Count: 10, Back: true, After: &storage.Position{Keys: []any{"Moriarty", now, nil, true}, ID: "0198f0aa"}}
	sealed, err := mercy.sealCursor(bound(mercy, users, same), want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := mercy.openCursor(bound(mercy, users, func(q *query) { q.count, q.sortOrder = 3, "ascending" }), sealed)
	got.Until = 0
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if raw, err := base64.RawURLEncoding.DecodeString(sealed); err != nil || bytes.Contains(raw, []byte("Moriarty")) {
		t.Errorf("%q says whom it is about: %v", raw, err)
	}
	if !regexp.MustCompile(`^[A-Za-z0-9._~-]+$`).MatchString(sealed) { // RFC 9865 §2
		t.Errorf("%q has characters that are reserved in a URL", sealed)
	}
	if again, err := mercy.sealCursor(bound(mercy, users, same), want); err != nil || again == sealed {
		t.Errorf("two cursors are alike: %v", err)
	}

	details := map[string]bool{}
	for name, tc := range map[string]struct {
		x      *exchange
		parts  []*part
		change func(*query)
		text   string
	}{
		"another participant": {on("root", "north"), users, same, sealed},
		"another key":         {on("other", "mercy"), users, same, sealed},
		"no key":              {on("", "mercy"), users, same, sealed},
		"another type":        {mercy, []*part{{resource: schema.Group}}, same, sealed},
		"all types":           {mercy, append(users[:1:1], &part{resource: schema.Group}), same, sealed},
		"another filter":      {mercy, users, func(q *query) { q.filter = &other }, sealed},
		"no filter":           {mercy, users, func(q *query) { q.filter = nil }, sealed},
		"another sort":        {mercy, users, func(q *query) { q.sortBy = "userName" }, sealed},
		"another order":       {mercy, users, func(q *query) { q.sortOrder = "Descending" }, sealed},
		"more attributes":     {mercy, users, func(q *query) { q.attributes = append(q.attributes, "title") }, sealed},
		"attributes moved":    {mercy, users, func(q *query) { q.attributes, q.excluded = q.excluded, q.attributes }, sealed},
		"changed":             {mercy, users, same, "A" + sealed[1:]},
		"cut":                 {mercy, users, same, sealed[:len(sealed)-4]},
		"longer":              {mercy, users, same, sealed + "AAAA"},
		"padded":              {mercy, users, same, sealed + "="},
		"short":               {mercy, users, same, "AAAA"},
		"no base64":           {mercy, users, same, "%"},
	} {
		_, err := tc.x.openCursor(bound(tc.x, tc.parts, tc.change), tc.text)
		var kind protocol.Type
		if !errors.As(err, &kind) || kind != protocol.InvalidCursor {
			t.Errorf("%s: %v", name, err)
			continue
		}
		details[err.Error()] = true
	}
	if len(details) != 1 {
		t.Errorf("the answers differ: %v", details)
	}

	mercy.now = now.Add(discovery.CursorLife)
	if _, err := mercy.openCursor(bound(mercy, users, same), sealed); err != nil {
		t.Errorf("at its last instant: %v", err)
	}
	mercy.now = mercy.now.Add(time.Second)
	var kind protocol.Type
	if _, err := mercy.openCursor(bound(mercy, users, same), sealed); !errors.As(err, &kind) || kind != protocol.ExpiredCursor {
		t.Errorf("after it: %v", err)
	}
}

func BenchmarkCursor(b *testing.B) {
	seal, err := cursorSeal([]byte("root"))
	if err != nil {
		b.Fatal(err)
	}
	x := &exchange{engine: &engine{seal: seal}, now: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}
	c := cursor{Total: 100_000, Count: 100, After: &storage.Position{Keys: []any{x.now}, ID: "0198f0aa-0000-7000-8000-000000000002"}}
	b.ReportAllocs()
	for b.Loop() {
		text, err := x.sealCursor([]byte("query"), c)
		if err == nil {
			_, err = x.openCursor([]byte("query"), text)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
