package render

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	model "github.com/elimity-com/scim/schema"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/scim/schema"
	"github.com/healthix/healthix-scim/storage"
)

func TestStringsComeBack(t *testing.T) {
	for _, s := range []string{"", "plain", `"\/`, "a\nb\tc\rd\x00\x1f\x7f", "Łucja 😀 \u2028", "bad \xff byte", "ends \xc3"} {
		text := appendString(nil, s)
		var got, want string
		if err := json.Unmarshal(text, &got); err != nil {
			t.Errorf("%q: %v in %s", s, err, text)
		}
		reference, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(reference, &want); err != nil || got != want {
			t.Errorf("%q: got %q, want %q, %v", s, got, want, err)
		}
	}
}

func TestUserTagCoversWhatChangesWithoutARow(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	until := now
	u := storage.User{Version: 3, ParticipantState: policy.ParticipantState{Version: 2}}
	plain := UserTag(u, now)
	u.ParticipantState.Version = 3
	suspended := UserTag(u, now)
	u.Decision.ValidUntil = &until
	before, expired := UserTag(u, now.Add(-time.Microsecond)), UserTag(u, now)
	if plain != `W/"3.2"` || suspended == plain || before != suspended || expired == before {
		t.Error(plain, suspended, before, expired)
	}
}

// TestUserTagCoversANarrowing: the tag moves when a policy version begins to take
// something from a released user, and only then.
func TestUserTagCoversANarrowing(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	u := storage.User{Version: 3, ParticipantState: policy.ParticipantState{Version: 2, Status: "active", Mode: "live"}}
	u.Decision = policy.Decision{Status: policy.StatusReleased, PolicyVersion: 7, Permissions: []string{"view", "alerts"}}
	whole, access := UserTag(u, now), u.Access(now)
	u.Narrowing = &policy.Narrowing{Version: 8, Permissions: []string{"view"}}
	narrowed := UserTag(u, now)
	if narrowed == whole || slices.Equal(u.Access(now).Permissions, access.Permissions) {
		t.Errorf("tag %s, then %s", whole, narrowed)
	}
	u.Narrowing.Version = 9
	if again := UserTag(u, now); again == narrowed {
		t.Errorf("two narrowings with one tag %s", again)
	}
	u.Narrowing.Version = 7 // decided under it
	decided := UserTag(u, now)
	u.Narrowing.Version, u.Decision.Status = 8, policy.StatusPending
	if pending := UserTag(u, now); decided != whole || pending != whole {
		t.Errorf("tags %s and %s of what nothing is taken from, want %s", decided, pending, whole)
	}
}

// TestReturned: RFC 7643 §7. No attribute of ours is returned on request only;
// schemas may say so all the same.
func TestReturned(t *testing.T) {
	attribute := func(returned string) *schema.Attribute {
		var core model.Schema
		if err := json.Unmarshal([]byte(`{"id":"urn:x","name":"X","attributes":[{"name":"a","type":"string","returned":"`+returned+`"}]}`), &core); err != nil {
			t.Fatal(err)
		}
		return &schema.Attribute{CoreAttribute: core.Attributes[0], Key: "a", Type: schema.String, Schema: &schema.Schema{}}
	}
	for returned, want := range map[string][3]bool{ // by default, when named, when excluded
		"always": {true, true, true}, "default": {true, true, false}, "request": {false, true, false}, "never": {false, false, false},
	} {
		a := attribute(returned)
		chosen := selection{attributes: map[*schema.Attribute]bool{a: true}}
		got := [3]bool{Projection{}.Shows(a), Projection{Named: true, include: chosen}.Shows(a), Projection{exclude: chosen}.Shows(a)}
		if got != want {
			t.Errorf("%s: shown %v, want %v", returned, got, want)
		}
	}
}
