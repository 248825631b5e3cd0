package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/healthix/healthix-scim/storage"
)

// fault turns a driver's error into storage's words. It is the only place that
// knows what drivers say; text it does not know goes on as it came.
func fault(err error) error {
	if err == nil {
		return nil
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return postgresFault(err, pg)
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return sqliteFault(err, lite)
	}
	// A caller that gave up says nothing about the database.
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var connecting *pgconn.ConnectError
	var network net.Error
	if errors.As(err, &connecting) || errors.As(err, &network) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		pgconn.SafeToRetry(err) { // such as "conn closed": nothing was sent
		return unavailable(err)
	}
	return err
}

func postgresFault(err error, pg *pgconn.PgError) error {
	const (
		uniqueViolation = "23505"
		lockUnavailable = "55P03"
	)
	switch {
	case pg.Code == uniqueViolation:
		return takenBy(pg.ConstraintName, err)
	case again(pg):
		return err
	case pg.Code == lockUnavailable,
		strings.HasPrefix(pg.Code, "08"),    // connection
		strings.HasPrefix(pg.Code, "53"),    // no disk, memory, connections
		strings.HasPrefix(pg.Code, "57P"),   // shutting down, starting up
		strings.HasPrefix(pg.Code, "58"),    // the system's own errors
		strings.HasPrefix(pg.Code, "25P03"), // a deed that did nothing for too long
		strings.HasPrefix(pg.Code, "25006"): // read-only: a standby
		return unavailable(err)
	default:
		return err
	}
}

// again says whether PostgreSQL asks to run the transaction again.
func again(pg *pgconn.PgError) bool {
	return pg.Code == "40001" || pg.Code == "40P01" // serialization, deadlock
}

func sqliteFault(err error, lite *sqlite.Error) error {
	switch lite.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return takenBy(columns(lite.Error()), err)
	}
	switch lite.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
		sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PROTOCOL:
		return unavailable(err)
	}
	return err
}

// columns cuts "users.participant, users.user_name_key" out of SQLite's
// message; it has no other way to say which.
func columns(message string) string {
	_, list, _ := strings.Cut(message, "UNIQUE constraint failed: ")
	list, _, _ = strings.Cut(list, " (")
	return list
}

// takenBy names what is taken, by constraint (PostgreSQL) or columns (SQLite).
func takenBy(where string, err error) error {
	switch where {
	case "users_user_name", "users.participant, users.user_name_key":
		return &storage.ConflictError{Attribute: "userName"}
	case "users_external_id", "users.participant, users.external_id",
		"groups_external_id", "groups.participant, groups.external_id":
		return &storage.ConflictError{Attribute: "externalId"}
	case "users_healthix_username", "users.healthix_username":
		return &storage.ConflictError{Attribute: "username"}
	case "learner_lms_id", "learner.lms_id":
		return &storage.ConflictError{Attribute: "lmsId"}
	case "review_open", "review.participant":
		return &storage.ConflictError{Attribute: "participant"}
	case "policy_version_pkey", "policy_version.version":
		return storage.ErrStale
	default:
		if strings.HasSuffix(where, "_pkey") || strings.HasSuffix(where, ".id") {
			return &storage.ConflictError{Attribute: "id"}
		}
		return err
	}
}
