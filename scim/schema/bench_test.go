package schema_test

import (
	"testing"

	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/schema"
)

// sent is a user as Entra ID creates them.
const sent = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],"externalId":"0a21f0f2","userName":"ana@mercy.example","active":true,"displayName":"Ana Lima","title":"Registered Nurse","meta":{"resourceType":"User"},"roles":[],"name":{"formatted":"Ana Lima","familyName":"Lima","givenName":"Ana"},
	"emails":[{"primary":true,"type":"work","value":"ana@mercy.example"},{"type":"home","value":"ana@home.example"}],"phoneNumbers":[{"type":"mobile","value":"+1 212 555 0123"}],"addresses":[{"type":"work","streetAddress":"1 Main St","locality":"Albany","region":"NY","postalCode":"12207","country":"US"}],
	"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"employeeNumber":"17","department":"ED","manager":{"value":"boss-1"}}}`

func BenchmarkDecode(b *testing.B) {
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := protocol.Read([]byte(sent)); err != nil {
				b.Fatal(err)
			}
		}
	})
	o, err := protocol.Read([]byte(sent))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := schema.User.Decode(o, &dialect.Reading{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	doc, err := schema.User.Decode(o, &dialect.Reading{})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("fold", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := schema.User.FoldJSON(doc); err != nil {
				b.Fatal(err)
			}
		}
	})
}
