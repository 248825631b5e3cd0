package protocol_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/healthix/healthix-scim/scim/protocol"
)

func TestReadKeepsOrder(t *testing.T) {
	o, err := protocol.Read([]byte(` {"b":1,"a":[true,null,"x",{"c":2.50}]} `))
	want := protocol.Object{{Name: "b", Value: json.Number("1")}, {Name: "a", Value: []any{true, nil, "x", protocol.Object{{Name: "c", Value: json.Number("2.50")}}}}}
	if err != nil || !reflect.DeepEqual(o, want) {
		t.Errorf("got %v, %v", o, err)
	}
}

func TestReadRefuses(t *testing.T) {
	many := &strings.Builder{}
	for i := range 30 {
		fmt.Fprintf(many, `"m%d":1,`, i)
	}
	for text, want := range map[string]protocol.Type{
		``: protocol.InvalidSyntax, `null`: protocol.InvalidSyntax, `{"a":1,}`: protocol.InvalidSyntax, `{"a":1}x`: protocol.InvalidSyntax, `{'a':1}`: protocol.InvalidSyntax,
		"{\"a\":\"\xff\"}": protocol.InvalidSyntax, `{"a":1,"A":2}`: protocol.InvalidSyntax, `{"a":{"x":1,"x":2}}`: protocol.InvalidSyntax,
		`{` + many.String() + `"M29":1}`: protocol.InvalidSyntax, `{` + many.String() + `"M3":1}`: protocol.InvalidSyntax,
		`{"a":"\u0000"}`: protocol.InvalidValue, `{"\u0000":1}`: protocol.InvalidValue, `{"a":1e400}`: protocol.InvalidValue, `{"a":` + strings.Repeat("1", 65) + `}`: protocol.InvalidValue,
		"{\"\u017f\":1,\"S\":2}": protocol.InvalidSyntax, `{` + many.String() + "\"\u017f\":1,\"s\":2}": protocol.InvalidSyntax,
		`{"a":[` + strings.Repeat("0,", 500_000) + `0]}`: protocol.InvalidSyntax, `{"a":"\x"}`: protocol.InvalidSyntax,
		strings.Repeat(`{"a":`, 30) + `1` + strings.Repeat(`}`, 30): protocol.InvalidSyntax,
	} {
		_, err := protocol.Read([]byte(text))
		var kind protocol.Type
		if !errors.As(err, &kind) || kind != want {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

func BenchmarkReadFiftyThousandMembers(b *testing.B) {
	text := &strings.Builder{}
	text.WriteString(`{"Operations":[{"op":"add","path":"members","value":[{"value":"x"}`)
	for i := range 50_000 {
		fmt.Fprintf(text, `,{"value":"7b1f6e0a-83d2-4a34-bc42-%012d"}`, i)
	}
	text.WriteString(`]}]}`)
	body := []byte(text.String())
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := protocol.Read(body); err != nil {
			b.Fatal(err)
		}
	}
}
