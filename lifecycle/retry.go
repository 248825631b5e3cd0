package lifecycle

import (
	"context"
	"fmt"
	"strconv"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// RetryJob makes a job available now, with all its attempts before it: whoever
// brings a message or a decision on its way by hand is on record. One that waits
// or runs already, itself or another in its name, goes on as it is.
func (s *Service) RetryJob(ctx context.Context, by Actor, id int64) error {
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		job, again, err := tx.RetryJob(ctx, id)
		if err != nil || !again {
			return err
		}
		return s.entry(ctx, tx, by, audit.Draft{
			Action: "job.retried", Sentence: "A job was started again by hand: " + job.Kind + ".",
			Fields: []audit.Field{public("job", strconv.FormatInt(id, 10)), public("kind", job.Kind), public("key", job.Key), public("was", job.State)},
		})
	})
	if err != nil {
		return fmt.Errorf("retry job: %w", err)
	}
	return nil
}
