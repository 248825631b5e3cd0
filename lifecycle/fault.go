package lifecycle

import (
	"errors"
	"fmt"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// Kind says what went wrong in a caller's terms; the faces translate it into
// their protocol in one place each.
type Kind string

// The kinds of fault.
const (
	KindInternal    Kind = "" // the zero kind tells the outside nothing
	KindInvalid     Kind = "invalid"
	KindNotFound    Kind = "not found"
	KindTaken       Kind = "taken"   // a unique value is in use
	KindStale       Kind = "stale"   // a version condition failed
	KindRefused     Kind = "refused" // understood, against the rules (422)
	KindForbidden   Kind = "forbidden"
	KindUnavailable Kind = "unavailable"
)

// Fault is an error with a kind and a sentence that may leave the house: what
// came, what was expected, what to do. Err never leaves it.
type Fault struct {
	Kind      Kind
	Attribute string // SCIM attribute or JSON member, when one is at fault
	Message   string
	Problems  []policy.Problem // of a policy document, each with its place
	Err       error
}

func (f *Fault) Error() string {
	if f.Err != nil {
		return fmt.Sprintf("%s: %v", f.Message, f.Err)
	}
	return f.Message
}

func (f *Fault) Unwrap() error { return f.Err }

// Faultf makes a fault.
func Faultf(kind Kind, attribute, format string, args ...any) *Fault {
	return &Fault{Kind: kind, Attribute: attribute, Message: fmt.Sprintf(format, args...)}
}

// AsFault finds the fault in err, or makes one of what storage answers; any
// other error is KindInternal with a message that says nothing.
func AsFault(err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	var conflict *storage.ConflictError
	switch {
	case errors.As(err, &conflict):
		return &Fault{Kind: KindTaken, Attribute: conflict.Attribute, Message: conflict.Attribute + " is already in use; send another value or change the existing resource", Err: err}
	case errors.Is(err, storage.ErrNotFound):
		return &Fault{Kind: KindNotFound, Message: "not found", Err: err}
	case errors.Is(err, storage.ErrStale):
		return &Fault{Kind: KindUnavailable, Message: "too many changes to this resource at once; try again", Err: err}
	case errors.Is(err, storage.ErrUnavailable):
		return &Fault{Kind: KindUnavailable, Message: "the database cannot be reached; try again shortly", Err: err}
	}
	return &Fault{Kind: KindInternal, Message: "internal error", Err: err}
}
