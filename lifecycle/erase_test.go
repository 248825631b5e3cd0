package lifecycle_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/sqlstore"
)

func refused(t *testing.T, err error, says string) {
	t.Helper()
	var f *lifecycle.Fault
	if !errors.As(err, &f) || f.Kind != lifecycle.KindRefused || !strings.Contains(f.Message, says) {
		t.Errorf("%v; want a refusal that says %q", err, says)
	}
}

// Nobody is erased who has access, or who lost it lately; afterwards nothing
// personal of them is left in the database, and what was proven is proven.
func TestErase(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, address string) {
		h := newHouseAt(t, address)
		u := h.create(mercy, person("quintana", "Registered Nurse", set("phoneNumbers", []any{map[string]any{"value": "+12125550177", "type": "mobile"}})))
		other := h.create(mercy, person("renata", "Registered Nurse"))
		if _, err := h.Hold(h.ctx, dana, u.ID, "quintana called about it"); err != nil {
			t.Fatal(err)
		}
		h.change(mercy, u.ID, email("quintana.new@mail.example"))
		refused(t, h.EraseUser(h.ctx, dana, u.ID, h.Now()), "only who was revoked")
		h.clock.pass(time.Hour)
		h.change(mercy, u.ID, set("active", false))
		left := h.Now()
		h.clock.pass(time.Hour)
		h.change(mercy, u.ID, set("department", "ER")) // written, and still revoked
		h.clock.pass(time.Hour)
		refused(t, h.EraseUser(h.ctx, dana, u.ID, left.Add(-time.Minute)), "still kept")

		before, err := h.store.ListHistory(h.ctx, u.ID)
		if err != nil {
			t.Fatal(err)
		}
		back := h.create(mercy, person("bea", "Registered Nurse")) // was away then, and came back
		h.change(mercy, back.ID, set("active", false))
		h.clock.pass(time.Hour)
		then := h.Now()
		h.change(mercy, back.ID, set("active", true))
		h.change(mercy, back.ID, set("active", false))
		if err := h.ListErasable(h.ctx, "", then, func(id string) error {
			if id == back.ID {
				t.Error("somebody is erasable who was revoked later")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		var erasable []string
		if err := h.ListErasable(h.ctx, "mercy", left.Add(time.Minute), func(id string) error { erasable = append(erasable, id); return nil }); err != nil {
			t.Fatal(err)
		}
		if len(erasable) != 1 || erasable[0] != u.ID {
			t.Errorf("erasable: %v", erasable)
		}
		for range 2 { // the second changes nothing
			if err := h.EraseUser(h.ctx, dana, u.ID, left.Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		for table, rows := range everything(t, address) {
			for _, row := range rows {
				if strings.Contains(strings.ToLower(row), "quintana") || strings.Contains(row, "2125550177") {
					t.Errorf("%s still knows who it was: %s", table, row)
				}
			}
		}
		if _, err := h.store.GetUser(h.ctx, "", other.ID); err != nil {
			t.Errorf("somebody else: %v", err)
		}

		// Versions are what they were, but for their personal halves.
		after, err := h.store.ListHistory(h.ctx, u.ID)
		if err != nil || len(after) != len(before)+1 {
			t.Fatalf("%d versions, had %d, %v", len(after), len(before), err)
		}
		for i, row := range after {
			if !row.Erased || row.Kept.UserName != "" || row.Kept.Document != nil || sqlstore.HistoryDigest(row.Body).String() != row.Digest {
				t.Errorf("version %d: erased %v, %+v", row.Version, row.Erased, row.Kept)
			}
			if i < len(before) && (row.Digest != before[i].Digest || string(row.Body) != string(before[i].Body) || row.Kept.Decision.Status != before[i].Kept.Decision.Status) {
				t.Errorf("version %d is not what it was", row.Version)
			}
		}
		// Entries too, and they say what became of the user without saying who it was.
		entries, err := h.store.ListEntries(h.ctx, u.ID)
		if err != nil {
			t.Fatal(err)
		}
		erased := 0
		for _, e := range entries {
			if audit.Sum(e.Canonical).String() != e.Hash {
				t.Errorf("entry %s is not what it was", e.Action)
			}
			if e.Action == "user.erased" {
				erased++
			}
		}
		if erased != 1 {
			t.Errorf("erased %d times on record", erased)
		}
		// As of then: the access, not the person.
		was, err := h.store.GetUserAt(h.ctx, "", u.ID, left)
		if err != nil || was.Access(left).Status != policy.StatusRevoked || was.UserName != "" || was.Title != "Registered Nurse" {
			t.Errorf("as of then: %+v, %v", was, err)
		}
		// The name is free for somebody new, who is somebody else.
		again := h.create(mercy, person("quintana", "Registered Nurse"))
		if again.ID == u.ID {
			t.Error("the erased user is back")
		}
	})
}

// everything is each row of each table of a database as text.
func everything(t *testing.T, address string) map[string][]string {
	t.Helper()
	driver, tables, source := "pgx", "select table_name from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'", address
	if path, lite := strings.CutPrefix(address, "sqlite://"); lite {
		driver, tables, source = "sqlite", "select name from sqlite_master where type = 'table'", path
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // it was only read
	read := func(query string) (rows []string) {
		found, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer found.Close() //nolint:errcheck // its error is Err's
		columns, err := found.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for found.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = &sql.RawBytes{}
			}
			if err := found.Scan(values...); err != nil {
				t.Fatal(err)
			}
			var row []string
			for _, v := range values {
				row = append(row, string(*v.(*sql.RawBytes)))
			}
			rows = append(rows, strings.Join(row, " "))
		}
		if err := found.Err(); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	all := map[string][]string{}
	for _, table := range read(tables) {
		all[table] = read("select * from " + table)
	}
	return all
}

// Who was erased while a breaker case stages them is not brought back by its
// restore, and who had been deleted before is erased like who had not.
func TestEraseInAnOpenCase(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		ids := h.crowd("p", 12)
		away := ids[11]
		h.remove(away)
		h.leave(ids[:10]...)
		c := h.open()
		if c == nil {
			t.Fatal("no case is open")
		}
		h.clock.pass(time.Minute)
		gone := ids[3]
		for _, id := range []string{gone, away} {
			if err := h.EraseUser(h.ctx, dana, id, h.Now()); err != nil {
				t.Fatal(err)
			}
		}
		r := h.restore(false)
		if r.Restored != 9 || len(r.Listed) != 0 {
			t.Errorf("restored %d, listed %v", r.Restored, r.Listed)
		}
		for _, id := range []string{gone, away} {
			u, err := h.store.ListUsersByID(h.ctx, []string{id})
			if err != nil || u[id].Erased == nil || u[id].Deleted == nil || u[id].UserName != "" || u[id].Decision.Status != policy.StatusRevoked {
				t.Errorf("%s is %+v, %v", id, u[id], err)
			}
			if _, err := h.store.GetUser(h.ctx, "", id); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("%s is shown: %v", id, err)
			}
			if _, err := h.Hold(h.ctx, dana, id, "about somebody who is nobody"); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("%s is held: %v", id, err)
			}
		}
		// One who was deleted comes up when the time of all is over.
		h.remove(ids[4])
		h.clock.pass(time.Hour)
		var found []string
		if err := h.ListErasable(h.ctx, "mercy", h.Now(), func(id string) error { found = append(found, id); return nil }); err != nil || len(found) != 1 || found[0] != ids[4] {
			t.Errorf("erasable: %v, %v", found, err)
		}
		for i := 1; i <= 3; i++ { // pages of what was, erased among them
			n, last := 0, ""
			for q := (storage.AsOfQuery{Participant: "mercy", At: h.Now(), Limit: i}); ; {
				page, err := h.store.ListUsersAt(h.ctx, q)
				if err != nil {
					t.Fatal(err)
				}
				for _, u := range page {
					if n++; u.ID <= last {
						t.Fatalf("%q after %q", u.ID, last)
					}
					last = u.ID
				}
				if len(page) < i {
					break
				}
				q.After = last
			}
			if n != 12 {
				t.Errorf("%d people in pages of %d", n, i)
			}
		}
	})
}
