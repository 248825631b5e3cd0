// Package protocol holds the words of RFC 7644 that every part of the engine
// shares: message URNs, error types, and JSON read in order. It knows no
// resource, no schema and no HTTP.
package protocol

import "github.com/healthix/healthix-scim/lifecycle"

// Message URNs (RFC 7644 §8.2); they never appear in /Schemas.
const (
	MessageBulk   = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
	MessageDone   = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
	MessageError  = "urn:ietf:params:scim:api:messages:2.0:Error"
	MessageList   = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	MessagePatch  = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
	MessageSearch = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
)

// Type is a scimType (RFC 7644 table 9). It travels as the inner error of a
// lifecycle.Fault, so that it comes back whole from inside a deed.
type Type string

// The types this engine answers.
const (
	InvalidFilter Type = "invalidFilter"
	TooMany       Type = "tooMany"
	Uniqueness    Type = "uniqueness"
	Mutability    Type = "mutability"
	InvalidSyntax Type = "invalidSyntax"
	InvalidPath   Type = "invalidPath"
	NoTarget      Type = "noTarget"
	InvalidValue  Type = "invalidValue"
	InvalidVers   Type = "invalidVers"

	// Of RFC 9865 §2.1.
	InvalidCursor Type = "invalidCursor"
	ExpiredCursor Type = "expiredCursor"
	InvalidCount  Type = "invalidCount"
)

func (t Type) Error() string { return string(t) }

// Errorf makes the fault of a request that cannot be followed. The message
// leaves the house: it names the attribute, what came, what was expected and
// what to do, and never repeats personal data.
func Errorf(t Type, attribute, format string, args ...any) error {
	f := lifecycle.Faultf(lifecycle.KindInvalid, attribute, format, args...)
	f.Err = t
	return f
}
