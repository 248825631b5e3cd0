package filter_test

import (
	"testing"

	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/filter"
	"github.com/healthix/healthix-scim/scim/schema"
)

// commonFilters are what identity providers send.
var commonFilters = map[string]string{
	"userName": `userName eq "ana.lima@mercy.example"`,
	"probe":    `id eq "7b1f6e0a-83d2-4a34-bc42-000000000000" and manager eq "7b1f6e0a-83d2-4a34-bc42-000000000001"`,
	"element":  `emails[type eq "work" and value eq "ana.lima@mercy.example"] and active eq true`,
	"urn":      `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber eq "17" or meta.lastModified gt "2026-01-02T03:04:05.1234567Z"`,
}

func BenchmarkParse(b *testing.B) {
	for name, text := range commonFilters {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := filter.Parse(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkBind(b *testing.B) {
	for name, text := range commonFilters {
		e, err := filter.Parse(text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				binder := filter.Binder{Resource: schema.User, Reading: &dialect.Reading{}, Location: "https://scim.example/scim/v2/Users"}
				if _, err := binder.Bind(e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
