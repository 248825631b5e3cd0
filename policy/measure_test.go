package policy

import (
	_ "embed"
	"testing"
)

//go:embed testdata/onet-health-titles.csv
var occupationalTitles string

// What the default policy reached when this was last set. It may only rise.
const (
	leastMapped = 0.58 // of the titles that have a role: mapped, within the ceiling
	leastExact  = 0.57 // of the same: mapped to exactly the expected role
	mostReview  = 6    // titles that a person should look at and that map by themselves
)

// No title may get a permission that its ceiling lacks: that is never traded
// for recall.
func TestOccupationalTitles(t *testing.T) {
	p := defaultPolicy(t)
	var titles, mapped, exact, over, review, reviewMapped int
	for _, row := range rowsOf(t, occupationalTitles)[1:] {
		title, expected, ceiling := row[0], row[2], p.role(row[3])
		m := p.match(title)
		if ceiling == nil {
			t.Fatalf("%s: no role %s", title, row[3])
		}
		if m.Row != nil && !within(p.role(m.Row.Role).Permissions, ceiling.Permissions...) {
			over++
			t.Errorf("over-grant: %q is %s, at most %s: %v", title, m.Row.Role, ceiling.Name, m.how)
		}
		if expected == "review" {
			review++
			if m.Row != nil && m.Row.Role != NoAccess {
				reviewMapped++
			}
			continue
		}
		titles++
		if m.Row != nil {
			mapped++
			if m.Row.Role == expected {
				exact++
			}
		}
	}
	share := func(n, of int) float64 { return float64(n) / float64(of) }
	t.Logf("%d titles with a role: %d mapped (%.1f %%), %d exactly (%.1f %%), %d left to a person (%.1f %%)",
		titles, mapped, 100*share(mapped, titles), exact, 100*share(exact, titles), titles-mapped, 100*share(titles-mapped, titles))
	t.Logf("%d titles for review: %d map by themselves; over-grants: %d", review, reviewMapped, over)
	if share(mapped, titles) < leastMapped || share(exact, titles) < leastExact || reviewMapped > mostReview {
		t.Errorf("mapped %.3f (least %.2f), exact %.3f (least %.2f), for review %d (most %d)",
			share(mapped, titles), leastMapped, share(exact, titles), leastExact, reviewMapped, mostReview)
	}
}

// Titles without a person's own occupation behind them, and of other trades,
// have no access by themselves, whatever they sound like.
func TestOtherTradesGetNothing(t *testing.T) {
	p := defaultPolicy(t)
	for _, title := range []string{
		"Clinical Engineer", "Surgical Sales Representative", "Medical Illustrator", "Nurse Staffing Recruiter", "Medical Writer",
		"Physician Recruiter", "Physician Relations Liaison", "Pharmacy Benefits Manager", "Hospital Architect", "Health Economist",
		"Health Insurance Agent", "Patient Experience Officer", "Clinical Trials Manager", "Pharmacy Delivery Driver", "Dental Lab Technician",
		"Nuclear Technician", "Sound Technician", "Radiation Safety Officer", "Radiation Protection Technician", "Art Director",
		"Speech Writer", "Occupational Safety Specialist", "Physical Education Teacher", "Mental Health Researcher", "School Psychologist Intern",
		"Animal Nurse", "Fish Pathologist", "Computer Doctor", "Spin Doctor", "Paper Surgeon", "Museum Registrar", "Visiting Professor",
		"Community Manager", "Career Counselor", "Legal Counselor", "Camp Counselor", "Financial Analyst", "Case Officer", "Trade Union Representative",
		"Emergency Management Director", "Emergency Dispatcher", "Home Inspector", "Home Economist", "Child Care Worker", "Night Auditor",
		"Day Trader", "Lead Engineer", "Senior Software Engineer", "Staff Engineer", "Principal Scientist", "Family Lawyer", "General Contractor",
	} {
		if m := p.match(title); m.Row != nil && len(p.role(m.Row.Role).Permissions) > 0 {
			t.Errorf("%q is %s (%s)", title, m.Row.Title, m.Row.Role)
		}
	}
}
