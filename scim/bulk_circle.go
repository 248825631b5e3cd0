package scim

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/healthix/healthix-scim/scim/protocol"
)

// circular says whether the operations of a step refer to one another, or the
// only one to itself.
func circular(step []*operation) bool {
	return len(step) > 1 || step[0].makes() && slices.Contains(step[0].refs, step[0].bulkID)
}

// circle makes resources that refer to one another (RFC 7644 §3.7.1): each is
// created without what does not exist yet, and gets it once all do. The circle
// stands or falls as a whole, so that no reference is left to what failed.
func (b *bulk) circle(circle []*operation) {
	culprit := b.closeCircle(circle)
	if culprit == nil {
		return
	}
	for _, op := range slices.Backward(circle) {
		if id, made := b.ids[op.bulkID]; made {
			b.undo(op, id)
			delete(b.ids, op.bulkID)
		}
	}
	for _, op := range circle {
		if op != culprit {
			op.result = b.refused(op, refuse(http.StatusConflict, fmt.Sprintf("this operation and others refer to one another, and operation %d of them, counted from 0, failed; none of them was kept", culprit.index)))
		}
	}
}

// closeCircle answers the operation that failed, if one did.
func (b *bulk) closeCircle(circle []*operation) (culprit *operation) {
	pending := map[string]bool{}
	for _, op := range circle {
		pending[op.bulkID] = true
	}
	for _, op := range circle {
		if err := b.unresolved(op, pending); err != nil {
			op.result = b.refused(op, err)
			return op
		}
	}
	var open []*operation
	for _, op := range circle {
		whole := true
		body := op.body(func(bulkID string) (string, bool) {
			id, made := b.made(bulkID)
			whole = whole && made
			return id, made
		})
		op.result = b.carryOut(op, http.MethodPost, op.url, body)
		if op.result.failed() {
			return op
		}
		b.ids[op.bulkID] = op.result.id
		if !whole {
			open = append(open, op)
		}
	}
	for _, op := range open {
		put := b.carryOut(op, http.MethodPut, op.resourceURL(b.ids[op.bulkID]), op.body(b.made))
		if put.failed() {
			put.rehired = op.result.rehired
			op.result = put
			return op
		}
		op.result.version, op.result.body = put.version, put.body
	}
	return nil
}

func (op *operation) resourceURL(id string) *url.URL {
	return &url.URL{Path: op.url.Path + "/" + id, RawQuery: op.url.RawQuery}
}

// inactive takes back a rehire: the person was inactive before, and their
// history is not ours to delete.
var inactive = []byte(`{"schemas":["` + protocol.MessagePatch + `"],"Operations":[{"op":"replace","path":"active","value":false}]}`)

func (b *bulk) undo(op *operation, id string) {
	method, body := http.MethodDelete, []byte(nil)
	if op.result.rehired {
		method, body = http.MethodPatch, inactive
	}
	if gone := b.carryOut(op, method, op.resourceURL(id), body); gone.failed() {
		b.options.Log.ErrorContext(b.r.Context(), "scim bulk leaves a resource of a failed circle", "id", id, "status", gone.status, "request", b.w.Header().Get("X-Request-Id"))
	}
}
