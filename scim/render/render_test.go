package render

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/policy"
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

func BenchmarkAppendUser(b *testing.B) {
	var doc storage.Document
	if err := json.Unmarshal([]byte(`{"userName":"ana@mercy.example","displayName":"Ana Lima","title":"Registered Nurse","name":{"givenName":"Ana","familyName":"Lima"},
		"emails":[{"type":"work","value":"ana@mercy.example","primary":true}],"phoneNumbers":[{"type":"mobile","value":"+1 212 555 0123"}]}`), &doc); err != nil {
		b.Fatal(err)
	}
	u := User{User: storage.User{ID: "7b1f6e0a-83d2-4a34-bc42-000000000000", Document: doc, Active: true}}
	v := View{BaseURL: "https://scim.example/scim/v2", Now: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		_ = v.AppendUser(make([]byte, 0, 2048), u)
	}
}
