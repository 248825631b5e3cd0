package main

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/sqlstore"
)

func TestAges(t *testing.T) {
	at := time.Date(2028, 2, 29, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"1d": "2028-02-28", "90d": "2027-12-01", "1y": "2027-03-01", "6y": "2022-03-01", "99999d": "1754-05-17",
		"": "", "0d": "", "-1d": "", "90": "", "90 d": "", "d": "", "6Y": "", "1.5y": "", "2160h": "", "100000d": "", "1y6d": "",
	} {
		a, err := parseAge(text)
		switch got := a.before(at).Format(time.DateOnly); {
		case want == "" && err == nil:
			t.Errorf("%q is taken for %v", text, a)
		case want != "" && (err != nil || got != want):
			t.Errorf("%q: kept since %s, %v, want %s", text, got, err, want)
		}
	}
}

func TestOldRequestsAreForgotten(t *testing.T) {
	store, err := sqlstore.Open(t.Context(), "sqlite://"+t.TempDir()+"/healthix.db", sqlstore.Options{Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	deeds, err := lifecycle.New(lifecycle.Options{Store: store, Mailer: post{}, Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	keep := age{days: 90}
	edge := keep.before(deeds.Now())
	var rows []storage.RequestRow
	for i := range 2*forgetRows + 10 { // more than one batch
		rows = append(rows, storage.RequestRow{Participant: fmt.Sprintf("p%d", i%3), ID: fmt.Sprint(i), At: edge.Add(-time.Duration(i+1) * time.Minute)})
	}
	old := len(rows)
	for i := range 10 {
		rows = append(rows, storage.RequestRow{Participant: "p0", ID: fmt.Sprint(old + i), At: edge.Add(time.Duration(i) * time.Minute)})
	}
	if err := store.AppendRequests(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	s := &server{house: &house{store: store, deeds: deeds}, log: slog.New(slog.DiscardHandler)}
	for _, want := range []int{old, 0} {
		if n, err := s.forgetRequests(t.Context(), edge); err != nil || n != want {
			t.Errorf("%d deleted, %v, want %d", n, err, want)
		}
	}
	for participant, want := range map[string]int{"p0": 10, "p1": 0, "p2": 0} {
		left, err := store.ListRequests(t.Context(), storage.RequestQuery{Participant: participant, Limit: 100})
		if err != nil || len(left) != want {
			t.Errorf("%s: %d left, %v, want %d", participant, len(left), err, want)
		}
	}
}
