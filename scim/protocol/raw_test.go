package protocol_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/healthix/healthix-scim/scim/protocol"
)

func TestRawTellsThePartsApart(t *testing.T) {
	text := " {\"a\" : \"x\\\"],}\" ,\n\"b\":[1, [2,{\"c\":\"]\"}] ,true,null,\"\\u00e9\"],\"\\u0063\":{ },\"d\":-1.5e3}\t"
	raw, err := protocol.Scan([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	members, err := raw.Members()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, m := range members {
		got[m.Name] = string(m.Value)
	}
	want := map[string]string{"a": `"x\"],}"`, "b": `[1, [2,{"c":"]"}] ,true,null,"\u00e9"]`, "c": "{ }", "d": "-1.5e3"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if s, ok := members[0].Value.Text(); !ok || s != `x"],}` {
		t.Errorf("text %q %t", s, ok)
	}
	elements, ok := members[1].Value.Elements(10)
	if !ok || len(elements) != 5 || string(elements[1]) != `[2,{"c":"]"}]` || elements[2].Kind() != "a boolean" || elements[3].Kind() != "null" || elements[0].Kind() != "a number" {
		t.Errorf("elements %q", elements)
	}
	if some, _ := members[1].Value.Elements(2); len(some) != 3 {
		t.Errorf("%d elements above a limit of 2, want 3", len(some))
	}
	if _, ok := raw.Elements(1); ok {
		t.Error("an object has no elements")
	}
	if _, err := elements[0].Members(); err == nil {
		t.Error("a number has no members")
	}
}

func TestScanRefuses(t *testing.T) {
	for _, text := range []string{"", " ", "{", `{"a":1}{}`, `{"a":1,}`, "{\"a\":\"\xff\"}", strings.Repeat("[", 20_000)} {
		if _, err := protocol.Scan([]byte(text)); !errors.Is(err, protocol.InvalidSyntax) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	for _, text := range []string{`{"a":1,"A":2}`, `{"path":1,"path":2}`} {
		raw, err := protocol.Scan([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := raw.Members(); !errors.Is(err, protocol.InvalidSyntax) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What Append writes is what was read, in whatever way it is cut up.
func FuzzRaw(f *testing.F) {
	for _, seed := range []string{`{"a":[1,"b",{"c":null}],"\u0064":false}`, ` { } `, `{"a":"\\\""}`, `{"a":1e9,"b":[[],[[]]]}`, `{"a":"é<>&\u2028"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		whole, err := protocol.Read([]byte(text))
		if err != nil {
			return
		}
		raw, err := protocol.Scan([]byte(text))
		if err != nil {
			t.Fatalf("%q is read and not scanned: %v", text, err)
		}
		members, err := raw.Members()
		if err != nil || len(members) != len(whole) {
			t.Fatalf("%q: %d members, want %d: %v", text, len(members), len(whole), err)
		}
		for i, m := range members {
			if m.Name != whole[i].Name || !json.Valid(m.Value) || m.Value.Kind() != protocol.Kind(whole[i].Value) {
				t.Fatalf("%q: member %q is %q", text, m.Name, m.Value)
			}
			if list, ok := whole[i].Value.([]any); ok {
				if elements, _ := m.Value.Elements(len(text)); len(elements) != len(list) {
					t.Fatalf("%q: %d elements, want %d", text, len(elements), len(list))
				}
			}
		}
		again, err := protocol.Read(protocol.Append(nil, whole))
		if err != nil || !reflect.DeepEqual(again, whole) {
			t.Fatalf("%q became %v, want %v: %v", text, again, whole, err)
		}
	})
}
