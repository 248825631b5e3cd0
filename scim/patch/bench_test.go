package patch_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/patch"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/schema"
)

var patches = map[string]string{
	"one":   `{"op":"replace","value":{"active":false}}`,
	"entra": `{"op":"Replace","path":"emails[type eq \"work\"].value","value":"ana.lima@mercy.example"},{"op":"Add","path":"phoneNumbers[type eq \"mobile\"].value","value":"+12125550123"},{"op":"Add","path":"addresses[type eq \"work\"].streetAddress","value":"1 Main St"},{"op":"Add","path":"addresses[type eq \"work\"].locality","value":"Albany"},{"op":"Add","path":"addresses[type eq \"work\"].region","value":"NY"},{"op":"Replace","path":"title","value":"Registered Nurse"},{"op":"Replace","path":"active","value":"True"},{"op":"Add","path":"name.middleName","value":"M"},{"op":"Add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department","value":"ED"},{"op":"Add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager","value":"boss-1"}`,
}

func BenchmarkApply(b *testing.B) {
	old := document(b, start)
	for name, operations := range patches {
		body := []byte(`{"Operations":[` + operations + `]}`)
		o, err := protocol.Read(body)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("parse/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := patch.Parse(schema.User, o, &dialect.Reading{}); err != nil {
					b.Fatal(err)
				}
			}
		})
		req, err := patch.Parse(schema.User, o, &dialect.Reading{})
		if err != nil {
			b.Fatal(err)
		}
		b.Run("apply/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := req.Apply(old, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRemoveAThousandMembers(b *testing.B) {
	var operations []string
	for i := range 1000 {
		operations = append(operations, fmt.Sprintf(`{"op":"remove","path":"members[value eq \"7b1f6e0a-83d2-4a34-bc42-%012d\"]"}`, i))
	}
	o, err := protocol.Read([]byte(`{"Operations":[` + strings.Join(operations, ",") + `]}`))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		req, err := patch.Parse(schema.Group, o, &dialect.Reading{})
		if err != nil {
			b.Fatal(err)
		}
		if c, err := req.Members(); err != nil || len(c.Remove()) != 1000 {
			b.Fatal(err)
		}
	}
}
