package policy

import (
	_ "embed"
	"fmt"
	"strings"
	"testing"
)

var (
	//go:embed testdata/onet-health-titles.csv
	occupationalTitles string
	//go:embed testdata/hospital-titles.csv
	hospitalTitles string
	//go:embed testdata/later-titles.csv
	laterTitles string
)

// What the default policy reached when this was last set. Shares may only rise.
var reached = []struct {
	list          string
	titles        *string
	mapped, exact float64 // least, of the titles that have a role: mapped within the ceiling; to exactly the expected role
	review        int     // most, of the titles that a person should look at: mapped to a role with permissions
}{
	{"occupational titles", &occupationalTitles, 0.62, 0.60, 6},
	{"hospital titles", &hospitalTitles, 0.97, 0.96, 0},
	{"later titles", &laterTitles, 0.91, 0.90, 0},
}

// No title may get a permission that its ceiling lacks: that is never traded
// for recall.
func TestTitleLists(t *testing.T) {
	p := defaultPolicy(t)
	for _, list := range reached {
		var titles, mapped, exact, over, review, reviewMapped int
		for _, row := range rowsOf(t, *list.titles)[1:] {
			title, expected := row[0], row[2]
			m := p.match(title)
			if excess(t, p, m, row[3]) {
				over++
				t.Errorf("over-grant: %q is %s, at most %s", title, m.Row.Role, row[3])
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
		share := func(n int) float64 { return float64(n) / float64(titles) }
		t.Logf("%s: %d with a role: %d mapped (%.1f %%), %d exactly (%.1f %%), %d left to a person (%.1f %%)",
			list.list, titles, mapped, 100*share(mapped), exact, 100*share(exact), titles-mapped, 100*share(titles-mapped))
		t.Logf("%s: %d for review: %d map by themselves; over-grants: %d", list.list, review, reviewMapped, over)
		if share(mapped) < list.mapped || share(exact) < list.exact || reviewMapped > list.review {
			t.Errorf("%s: mapped %.3f (least %.2f), exact %.3f (least %.2f), for review %d (most %d)",
				list.list, share(mapped), list.mapped, share(exact), list.exact, reviewMapped, list.review)
		}
	}
}

// excess says whether a match holds a permission that its ceiling lacks.
func excess(t *testing.T, p *Policy, m match, ceiling string) bool {
	t.Helper()
	most := p.role(ceiling)
	if most == nil {
		t.Fatalf("no role %s", ceiling)
	}
	return m.Row != nil && !within(p.role(m.Row.Role).Permissions, most.Permissions...)
}

// harmless say nothing about what a person is.
var harmless = []string{
	"Sr %s", "Sr. %s", "Senior %s", "Lead %s", "Interim %s", "Bilingual %s", "PRN %s", "Travel %s", "New Grad %s", "Male %s",
	"%s II", "%s 3", "%s, Nights", "%s - Days", "%s - Part Time", "%s (Per Diem)", "%s (0.9 FTE)", "%s - R0045123", "%s [Req# 88121]", "%s - CC 4120",
	"%s - 7p-7a", "%s ICU", "%s - Cardiology", "%s, Oncology", "%s - Main Campus", "%s - Emergency Department", "%s Emergency Medicine", "%s, BSN", "%s, MPH", "%ss",
}

// telling are never taken off: such a title gets nothing, or has a row of its own.
var telling = []string{
	"%s Assistant", "Assistant %s", "%s - Assistant", "%s's Assistant", "%s Aide", "%s Student", "Student %s", "%s (Student)", "%s Intern", "%s Extern",
	"%s Trainee", "Former %s", "%s (Former)", "Retired %s", "%s, Retired", "Veterinary %s", "%s - Veterinary", "Animal %s", "Test %s", "%s (Test)",
	"Not %s", "Ex %s", "Chief %s", "%s Director", "%s Manager", "%s Supervisor", "%s Secretary", "%s's Secretary", "%s Recruiter", "%s - Recruiter",
	"%s Liaison", "%s Billing", "%s Instructor", "%s Applicant", "%s Volunteer", "%s Sales", "Inactive %s", "%s Apprentice",
}

// Every title of the lists, with much before and behind it.
func TestTitleListsWithMore(t *testing.T) {
	p := defaultPolicy(t)
	for _, list := range reached {
		var tried, kept, mapped int
		for _, row := range rowsOf(t, *list.titles)[1:] {
			alone := p.match(row[0])
			for _, more := range harmless {
				title := fmt.Sprintf(more, row[0])
				tried++
				m := p.match(title)
				if alone.Row != nil {
					mapped++
					if m.Row != nil && m.Row.Role == alone.Row.Role {
						kept++
					}
				}
				if excess(t, p, m, row[3]) && !standsInTable(p, title) {
					t.Errorf("over-grant: %q is %s (%s), at most %s", title, m.Row.Title, m.Row.Role, row[3])
				}
			}
			for _, more := range telling {
				title := fmt.Sprintf(more, row[0])
				tried++
				m := p.match(title)
				if m.Row == nil || m.Row.Role == NoAccess {
					continue
				}
				if excess(t, p, m, row[3]) && !standsInTable(p, title) {
					t.Errorf("over-grant: %q is %s (%s), at most %s", title, m.Row.Title, m.Row.Role, row[3])
				}
				for _, word := range strings.Fields(strings.ToLower(more)) {
					if word = strings.Trim(word, "(),-"); word != "" && !strings.Contains(word, "%s") && !named(p, m.Row, word) {
						t.Errorf("%q maps to %s (%s), which does not say %q", title, m.Row.Title, m.Row.Role, word)
					}
				}
			}
		}
		t.Logf("%s: %d titles tried; harmless words leave the role as it is for %.1f %%", list.list, tried, 100*float64(kept)/float64(mapped))
		if float64(kept) < 0.9*float64(mapped) {
			t.Errorf("%s: harmless words leave the role as it is for %d of %d", list.list, kept, mapped)
		}
	}
}

// standsInTable says whether a title is one of the table by itself although it
// is none without what was added: "Technician II, Cardiology", "Student Nurse -
// ICU". Rank, number and the unit behind do not count; it may be turned round.
func standsInTable(p *Policy, title string) bool {
	all := p.words.rewrite(strings.Fields(strings.NewReplacer("(", "", ")", "").Replace(tableKey(title))))
	for _, ws := range [][]string{all, p.words.bare(all)} {
		for _, ws := range [][]string{ws, ws[:len(ws)-p.words.last(ws, &p.words.units)]} {
			for i := range ws {
				if p.read(append(append([]string{}, ws[i:]...), ws[:i]...)).of != nil {
					return true
				}
			}
		}
	}
	return false
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
		"DC Lead", "Service Coordinator", "House Supervisor", "Camp Nurse Counselor", "Pet Psychologist", "Plasma Center Manager", "Physician Services", "Vehicle Registration Clerk",
		"High School Registrar", "School Receptionist", "Travel Consultant", "Spiritual Director", "Life Coach", "Massage Parlor Attendant", "Nursing Scheduler", "Director of Nursing Program",
	} {
		if m := p.match(title); m.Row != nil && len(p.role(m.Row.Role).Permissions) > 0 {
			t.Errorf("%q is %s (%s)", title, m.Row.Title, m.Row.Role)
		}
	}
}
