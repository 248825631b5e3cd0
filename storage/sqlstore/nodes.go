package sqlstore

import (
	"context"
	"fmt"
	"time"
)

// nodeLife is how long a server counts after its last sign of life.
const nodeLife = 15 * time.Second

// Beat is a server's sign of life; see storage.Store.
func (s *Store) Beat(ctx context.Context, node string) (int, error) {
	var alive int
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.do(ctx, "insert into node (id, seen) values (?, ?) on conflict (id) do update set seen = excluded.seen", node, instant(t.Now())); err != nil {
			return err
		}
		if _, err := t.do(ctx, "delete from node where seen < ?", instant(t.Now().Add(-nodeLife))); err != nil {
			return err
		}
		_, err := t.get(ctx, &alive, "select count(*) from node")
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("sign of life of %s: %w", node, err)
	}
	return alive, nil
}
