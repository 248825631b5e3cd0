package sqlstore

import (
	"context"
	"database/sql"

	"gorm.io/gorm"

	"github.com/healthix/healthix-scim/storage"
)

type group struct{ store *Store }

func newGroup(s *Store) *group { return &group{s} }
func (g *group) close()        {}
func (g *group) write(ctx context.Context, f func(ctx context.Context, tx storage.Tx) error) error {
	return g.store.transaction(ctx, f)
}

// within is gorm inside a transaction of database/sql.
func (s *Store) within(begun *sql.Tx) *gorm.DB {
	db := s.writes.Session(&gorm.Session{NewDB: true})
	db.Statement.ConnPool = begun
	return db
}

func closing(c *sql.Conn) error { return fault(c.Close()) }

func commitFault(err error) error { return fault(err) }
