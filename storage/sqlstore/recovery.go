package sqlstore

import (
	"context"
	"fmt"
	"time"
)

// CountUnheard answers how many users of a participant the request log does not
// name since an instant. It names one user a row: of what was read or written
// singly. Its rows outlive the tokens of OAuth clients, which have scope scim
// only, so that a row counts unless its token is on record with another scope.
func (r reader) CountUnheard(ctx context.Context, participant string, since time.Time, most int) (int, error) {
	var n int
	if _, err := r.get(ctx, &n, `select count(*) from (select 1 from users u
	  where u.participant = ? and u.deleted is null and u.active and not exists (select 1 from request_log q
	    where q.participant = u.participant and q.resource <> '' and q.resource = u.id and q.at >= ?
	      and (q.status between 200 and 299 or q.status = 304) and q.token <> ''
	      and not exists (select 1 from token t where t.id = q.token and t.scope <> 'scim')) limit ?) unheard`,
		participant, instant(since), most); err != nil {
		return 0, fmt.Errorf("count users of %s whom its identity provider has not told of: %w", participant, err)
	}
	return n, nil
}

// VoidActivations voids every link that nobody redeemed.
func (t *tx) VoidActivations(ctx context.Context, at time.Time) (int, error) {
	n, err := t.do(ctx, "update activation set voided = ? where voided is null and redeemed is null", instant(at))
	return n, wrapped(err, "void activation links")
}

// GetStreamed answers the first position that the stream has not come to.
func (r reader) GetStreamed(ctx context.Context) (int64, error) {
	var position int64
	if _, err := r.get(ctx, &position, "select position from audit_stream"); err != nil {
		return 0, fmt.Errorf("position of the stream: %w", err)
	}
	return position, nil
}

// PutStreamed keeps how far the stream has come.
func (t *tx) PutStreamed(ctx context.Context, position int64) error {
	_, err := t.do(ctx, "update audit_stream set position = ? where one = 1", position)
	return wrapped(err, "keep the position of the stream")
}
