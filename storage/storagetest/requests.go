package storagetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// requestRow is a row of the log with every field set.
func requestRow(participant, id string, at time.Time) storage.RequestRow {
	return storage.RequestRow{
		Participant: participant, At: at, ID: id, RequestID: "req-" + id, Token: "t1", TokenLabel: "entra \u00e9", Address: "192.0.2.7",
		Method: "PATCH", Route: "/scim/v2/Users/{id}", Resource: "u1", Query: "filter=userName eq \"\u2039string 3\u203a\"", Status: 200,
		Took: 1500 * time.Microsecond, BytesIn: 70, BytesOut: 9000, Leniencies: []string{"op-case"}, Dropped: []string{"shoeSize"},
		UserAgent: `agent "7"`, Request: `{"Operations":[{"op":"Replace"}]}`, Answer: `{"id":"u1"}`,
	}
}

func requestsAreKept(h *house) {
	ctx := h.Context()
	whole := requestRow("mercy", "b", minute(5))
	bare := storage.RequestRow{Participant: "mercy", ID: "a", At: minute(5).Add(999), Status: 204}
	if err := h.AppendRequests(ctx, []storage.RequestRow{bare, whole}); err != nil {
		h.Fatal(err)
	}
	bare.At = minute(5)
	list := func(q storage.RequestQuery) []storage.RequestRow {
		h.Helper()
		q.Limit = 100
		got, err := h.ListRequests(ctx, q)
		if err != nil {
			h.Fatal(err)
		}
		return got
	}
	h.same("rows of one instant", list(storage.RequestQuery{Participant: "mercy"}), []storage.RequestRow{whole, bare})

	// A batch whose answer was lost comes again.
	if err := h.AppendRequests(ctx, []storage.RequestRow{whole, requestRow("mercy", "c", minute(6))}); err != nil {
		h.Fatal(err)
	}
	if got := list(storage.RequestQuery{Participant: "mercy"}); len(got) != 3 || got[0].ID != "c" {
		h.Errorf("after a batch that came again: %v", got)
	}
	if err := h.AppendRequests(ctx, nil); err != nil {
		h.Errorf("no rows: %v", err)
	}

	// The log is no deed: it leaves no entry.
	if entries, err := h.ListEntries(ctx, ""); err != nil || len(entries) != 0 {
		h.Errorf("entries %v, %v", entries, err)
	}
}

func requestsAreFound(h *house) {
	ctx := h.Context()
	var rows []storage.RequestRow
	for i := range 12 { // three to an instant
		r := requestRow([]string{"mercy", "mercy", "general", ""}[i%4], fmt.Sprintf("%02d", i), minute(i/3))
		r.Status = []int{200, 404, 201, 401, 503, 429}[i%6]
		r.Resource = []string{"u1", "", "u2"}[i%3]
		rows = append(rows, r)
	}
	if err := h.AppendRequests(ctx, rows); err != nil {
		h.Fatal(err)
	}
	for what, tc := range map[string]struct {
		q    storage.RequestQuery
		want string
	}{
		"one participant":    {storage.RequestQuery{Participant: "mercy"}, "[09 08 05 04 01 00]"},
		"the other":          {storage.RequestQuery{Participant: "general"}, "[10 06 02]"},
		"of no participant":  {storage.RequestQuery{}, "[11 07 03]"},
		"nobody's":           {storage.RequestQuery{Participant: "nobody"}, "[]"},
		"from":               {storage.RequestQuery{Participant: "mercy", From: minute(2)}, "[09 08]"},
		"to is not included": {storage.RequestQuery{Participant: "mercy", To: minute(1)}, "[01 00]"},
		"between":            {storage.RequestQuery{Participant: "mercy", From: minute(1), To: minute(2)}, "[05 04]"},
		"a status":           {storage.RequestQuery{Participant: "mercy", StatusFrom: 404, StatusTo: 404}, "[01]"},
		"a class":            {storage.RequestQuery{Participant: "mercy", StatusFrom: 400, StatusTo: 499}, "[09 05 01]"},
		"good ones":          {storage.RequestQuery{Participant: "mercy", StatusFrom: 200, StatusTo: 299}, "[08 00]"},
		"a resource":         {storage.RequestQuery{Participant: "mercy", Resource: "u1"}, "[09 00]"},
		"a foreign resource": {storage.RequestQuery{Participant: "mercy", Resource: "u9"}, "[]"},
		"all at once":        {storage.RequestQuery{Participant: "mercy", Resource: "u1", StatusFrom: 400, StatusTo: 599, From: minute(3)}, "[09]"},
	} {
		h.Run(what, func(t *testing.T) {
			for _, limit := range []int{1, 2, 100} { // the same, page by page
				if got := walk(t, h, tc.q, limit); got != tc.want {
					t.Errorf("%d to a page: %s, want %s", limit, got, tc.want)
				}
			}
		})
	}
}

// walk reads page after page and answers the ids.
func walk(t *testing.T, h *house, q storage.RequestQuery, limit int) string {
	t.Helper()
	ids := []string{}
	for q.Limit = limit; ; {
		page, err := h.ListRequests(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page {
			ids = append(ids, r.ID)
		}
		if len(page) < limit {
			return fmt.Sprint(ids)
		}
		last := page[len(page)-1]
		q.Before = &storage.RequestPlace{At: last.At, ID: last.ID}
	}
}

func requestsAreForgotten(h *house) {
	ctx := h.Context()
	var rows []storage.RequestRow
	for i := range 10 {
		rows = append(rows, requestRow([]string{"mercy", "general"}[i%2], fmt.Sprint(i), minute(i)))
	}
	if err := h.AppendRequests(ctx, rows); err != nil {
		h.Fatal(err)
	}
	for round, want := range []int{4, 3, 0} { // before minute 7, four at a time
		if n, err := h.DeleteRequests(ctx, minute(7), 4); err != nil || n != want {
			h.Errorf("round %d forgot %d, %v, want %d", round, n, err, want)
		}
	}
	if got := walk(h.T, h, storage.RequestQuery{Participant: "mercy"}, 100) + walk(h.T, h, storage.RequestQuery{Participant: "general"}, 100); got != "[8][9 7]" {
		h.Errorf("left: %s", got)
	}
}
