package api

import (
	"context"
	"testing"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage/pgtest"
)

// forgetful records no read.
type forgetful struct{ *lifecycle.Service }

func (forgetful) ReadLog(context.Context, lifecycle.Actor, lifecycle.Reading) error { return nil }

// BenchmarkGetUser is what the entry of a read costs on PostgreSQL, with fsync as
// the test cluster has it.
func BenchmarkGetUser(b *testing.B) {
	for name, service := range map[string]func(*Options){
		"Recorded": func(o *Options) { o.RateLimit.Off = true },
		"NotRecorded": func(o *Options) {
			o.RateLimit.Off = true
			o.Service = forgetful{o.Service.(*lifecycle.Service)}
		},
	} {
		b.Run(name, func(b *testing.B) {
			h := newHouseAt(b, pgtest.URL(b), service)
			operator := h.token(auth.ScopeOperator, "")
			path := root + "/users/" + h.mercy.ID
			for b.Loop() {
				h.must(200, "GET", path, operator, "")
			}
		})
	}
}
