package lifecycle

import (
	"testing"
	"time"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

func TestTrainingIsValidToTheSameDateAYearLater(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	old := func(until string) []storage.Evidence {
		return []storage.Evidence{{Evidence: policy.Evidence{Gate: policy.GateTraining, Module: "m", ValidUntil: at(until)}}}
	}
	for name, tc := range map[string]struct {
		completed string
		earlier   []storage.Evidence
		want      string // the first instant at which it is not valid
	}{
		"end of day in New York":       {"2026-03-02T15:00:00Z", nil, "2027-03-03T05:00:00Z"},
		"evening there is tomorrow":    {"2026-03-03T04:59:59Z", nil, "2027-03-03T05:00:00Z"},
		"summer":                       {"2026-07-01T12:00:00Z", nil, "2027-07-02T04:00:00Z"},
		"29 February":                  {"2028-02-29T12:00:00Z", nil, "2029-03-01T05:00:00Z"},
		"end of the year":              {"2026-12-31T20:00:00Z", nil, "2028-01-01T05:00:00Z"},
		"30 days early extends":        {"2027-02-10T12:00:00Z", old("2027-03-03T05:00:00Z"), "2028-03-03T05:00:00Z"},
		"the 30th day, its first hour": {"2027-01-31T05:00:00Z", old("2027-03-03T05:00:00Z"), "2028-03-03T05:00:00Z"},
		"an hour before that day":      {"2027-01-31T04:59:59Z", old("2027-03-03T05:00:00Z"), "2028-01-31T05:00:00Z"},
		"the 30th day over the clocks": {"2027-02-18T05:00:00Z", old("2027-03-21T04:00:00Z"), "2028-03-21T04:00:00Z"},
		"the last second of the end":   {"2027-03-03T04:59:59Z", old("2027-03-03T05:00:00Z"), "2028-03-03T05:00:00Z"},
		"twice early, extended once":   {"2027-02-12T12:00:00Z", append(old("2027-03-03T05:00:00Z"), old("2028-03-03T05:00:00Z")...), "2028-03-03T05:00:00Z"},
		"31 days early does not":       {"2027-01-30T12:00:00Z", old("2027-03-03T05:00:00Z"), "2028-01-31T05:00:00Z"},
		"after the end does not":       {"2027-03-04T12:00:00Z", old("2027-03-03T05:00:00Z"), "2028-03-05T05:00:00Z"},
		"early, to a leap year's end":  {"2028-02-10T12:00:00Z", old("2028-03-01T05:00:00Z"), "2029-03-01T05:00:00Z"},
	} {
		if got := validUntil(at(tc.completed), "m", tc.earlier); !got.Equal(at(tc.want)) {
			t.Errorf("%s: %s, want %s", name, got.Format(time.RFC3339), tc.want)
		}
	}
	other := old("2027-03-03T05:00:00Z")
	other[0].Module = "n"
	if got := validUntil(at("2027-02-10T12:00:00Z"), "m", other); !got.Equal(at("2028-02-11T05:00:00Z")) {
		t.Errorf("another module's end was extended: %s", got)
	}
}
