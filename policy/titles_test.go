package policy

import (
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func rowsOf(t testing.TB, table string) [][]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(table)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestEveryTitleAndAliasMapsToItsRole(t *testing.T) {
	p := defaultPolicy(t)
	rows := rowsOf(t, defaultTitles+moreTitles)[1:]
	if len(rows) < 139 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		names := append([]string{row[0]}, strings.Split(row[3], "|")...)
		for _, name := range names {
			if name == "" {
				continue
			}
			m := p.match(name)
			if m.Row == nil || m.Row.Role != row[2] || m.Row.Title != row[0] {
				t.Errorf("%q: %+v, want %s", name, m.Row, row[0])
			}
			for _, written := range []string{strings.ToUpper(name), "  " + strings.ToLower(name) + "\t", strings.ReplaceAll(name, " ", "\u00a0 ")} {
				if m := p.match(written); m.Row == nil || m.Row.Title != row[0] {
					t.Errorf("%q: %+v, want %s", written, m.Row, row[0])
				}
			}
		}
	}
}

// Every banned form, alone and behind everything that may be taken off.
func TestBannedFormsNeverMap(t *testing.T) {
	p := defaultPolicy(t)
	banned := strings.Fields(`RT PT PTA PCA CPT CST CM CCS LPC CO CVT DSP RA
		Doctor Nurse Resident Fellow Intern Counselor Coordinator Manager Director Specialist Technician Secretary Practitioner`)
	for _, b := range banned {
		for _, title := range []string{b, strings.ToLower(b), "Senior " + b, b + " II", b + ", Night Shift", b + " - ICU", "Sr. " + b + " (Per Diem)", "Pediatric " + b, b + " (" + b + ")", b + ", MSN"} {
			// Where the table has the longer form as a whole, it is that title's.
			if title == "Pediatric Nurse" || title == "Pediatric Nurse Practitioner" {
				continue
			}
			m := p.match(title)
			if m.Row != nil || m.Why != severalJobs {
				t.Errorf("%q maps to %+v (%s)", title, m.Row, m.Why)
			}
		}
	}
}

func TestTitles(t *testing.T) {
	p := defaultPolicy(t)
	for _, tc := range []struct{ title, role string }{
		// Brackets: with the text, then without it, never so that a ban results.
		{"RT(R)", "clinical-staff"},
		{"R.T. (R)", "clinical-staff"},
		{"RT", ""},
		{"RT (Radiology)", ""},
		{"Senior RT(R)", "clinical-staff"},
		{"Radiologic Technologist, RT(R)", "clinical-staff"},
		{"Intern (Physician)", "practitioner"},
		{"Intern", ""},
		{"Fellow (Physician)", "practitioner"},
		{"Fellow", ""},
		{"Resident (Physician)", ""},
		{"Registered Nurse (RN)", "practitioner"},
		{"RN (Registered Nurse)", "practitioner"},
		{"Registered Nurse (ICU)", "practitioner"},
		{"Registered Nurse (Night Shift)", "practitioner"},
		{"Registered Nurse (Student)", ""},
		{"Registered Nurse (Retired)", ""},
		{"Registered Nurse (Trainee)", ""},
		{"Registered Nurse (Volunteer)", ""},
		{"Physical Therapist (DPT)", "practitioner"},
		// The long form beats the abbreviation in its brackets.
		{"Certified Medical Aide (CMA)", ""},
		{"CMA (Certified Medical Aide)", ""},
		{"Certified Medical Assistant (CMA)", "clinical-staff"},
		{"Physical Therapist (PT)", "practitioner"},
		{"PT (Physical Therapist)", "practitioner"},
		{"Psychiatric Technician (PT)", "clinical-staff"},
		{"Respiratory Therapist (RT)", "practitioner"},
		{"Radiologic Technologist (RT)", "clinical-staff"},
		{"Personal Care Assistant (PCA)", "no-access"},
		{"Physical Therapy Aide (PTA)", "clinical-staff"},
		// Removable words, units and degrees.
		{"Sr. RN", "practitioner"},
		{"RN II", "practitioner"},
		{"Lead Medical Assistant", "clinical-staff"},
		{"Registered Nurse - Per Diem", "practitioner"},
		{"Registered Nurse, Nights", "practitioner"},
		{"Registered Nurse \u2013 ICU", "practitioner"},
		{"Registered Nurse, Part-Time", "practitioner"},
		{"RN-ICU", "practitioner"},
		{"Float Pool RN", "practitioner"},
		{"RN, BSN", "practitioner"},
		{"BSN, RN", "practitioner"},
		{"Physician, MPH", "practitioner"},
		{"Nurse, Registered", "practitioner"},
		{"Physician - Emergency Medicine", "practitioner-btg"},
		{"Attending - Emergency Medicine", "practitioner-btg"},
		{"Registrar - Emergency Department", "registration-consent"},
		{"Adult and Pediatric Neurologist", "practitioner"},
		// Never removable.
		{"Assistant Registered Nurse", ""},
		{"Registered Nurse Assistant", ""},
		{"Registered Nurse - Assistant", ""},
		{"Registered Nurse Aide", ""},
		{"Registered Nurse Intern", ""},
		{"Registered Nurse Extern", ""},
		{"Chief Registered Nurse", ""},
		{"Registered Nurse Director", ""},
		{"Registered Nurse Recruiter", ""},
		{"Physician Liaison", ""},
		{"Physician Billing", ""},
		{"Physician - Billing", ""},
		{"Former Physician", ""},
		{"Retired Physician", ""},
		{"Test Physician", ""},
		{"Test Registered Nurse", ""},
		{"Not a Physician", ""},
		{"Not Registered Nurse", ""},
		{"Assistant, Physician", ""},
		// Possessives and other traps of the data's README.
		{"Physician's Secretary", ""},
		{"Physician's Assistant", "practitioner"},
		{"Physician\u2019s Assistant", "practitioner"},
		{"Physicians' Secretary", ""},
		{"Physician's", ""},
		{"Physician's Registered Nurse", ""},
		{"General Counsel", "no-access"},
		{"Counsel", "no-access"},
		{"Genetic Counselor", "practitioner"},
		{"Genetic Counsel", ""},
		{"Physicist", ""},
		{"Medical Physicist", ""},
		{"Veterinary Nurse", "no-access"},
		{"Veterinary Registered Nurse", ""},
		{"Veterinary Surgeon", "no-access"},
		{"Animal Surgeon", "no-access"},
		{"Nurse's Aide", "clinical-staff"},
		{"Nurse", ""},
		{"Medical Secretary", "registration-consent"},
		{"Secretary", ""},
		{"Surgical Technologist", "clinical-staff"},
		{"Surgeon", "practitioner"},
		{"Surgeon General", ""},
		{"Tree Surgeon", ""},
		{"University Registrar", "no-access"},
		{"School Secretary", ""},
		{"Registrar", "registration-consent"},
		// Never "contains".
		{"Nurse Practitioner Recruiter", ""},
		{"Registered Nurse Union Delegate", ""},
		{"Wet Nurse", ""},
		{"Plant Pathologist", ""},
		{"Industrial Psychologist", ""},
		{"Day Care Coordinator", ""},
		{"Day Care Manager", ""},
		{"Child Care Coordinator", ""},
		{"Dental Lab Technician", ""},
		{"Staff Scheduler", ""},
		{"Dermatologist Assistant", ""},
		{"MD Assistant", ""},
		// Several titles in one.
		{"Registered Nurse / Nurse Practitioner", "practitioner"},
		{"Physician, Medical Assistant", ""},
		{"Registered Nurse (Medical Assistant)", ""},
		{"Nurse Practitioner, Volunteer Coordinator", ""},
		// Synonyms.
		{"ER RN", "practitioner"},
		{"Emergency Room Physician", "practitioner-btg"},
		{"Asst. Physician", ""},
		{"Physician Asst", "practitioner"},
		{"Dietician", "practitioner"},
		{"ICU Technician", "clinical-staff"},
		// What hides.
		{"Regis\u200btered Nur\u00adse", "practitioner"},
		{"\uff32\uff2e", "practitioner"},
		{"Nurs\u0435 Practitioner", ""}, // a Cyrillic letter
		{"Registered Nurse?", ""},
		{"!Physician", ""},
		{"", ""},
		{" - , ()", ""},
		{strings.Repeat(" ", 20_000) + "Physician", ""},
		{"Physician" + strings.Repeat(" ", 20_000) + "Assistant's Friend", ""},
		{"Physician " + strings.Repeat("II ", 400), ""},
	} {
		if got := roleOf(p, tc.title); got != tc.role {
			m := p.match(tc.title)
			t.Errorf("%q (%q) maps to %q, want %q: %v", clip(tc.title), clip(m.Normal), got, tc.role, m.how)
		}
	}
}

func TestPublicHealthIsForGovernment(t *testing.T) {
	p := defaultPolicy(t)
	f := readyFacts("Epidemiologist")
	if d := p.Decide(f, noon); d.TitleRole != "" || d.Status != StatusPending || !strings.Contains(d.Reason, "participants of type government") {
		t.Errorf("standard: %+v", d)
	}
	f.Participant.Type = "government"
	if d := p.Decide(f, noon); d.Role != "public-health" || d.Status != StatusReleased {
		t.Errorf("government: %+v", d)
	}
}

// Taking listed words off never changes what the rest is read as, and a word
// that is not listed always does.
func TestOnlyListedWordsComeOff(t *testing.T) {
	p := defaultPolicy(t)
	rows := rowsOf(t, defaultTitles)[1:]
	stranger := []string{"assistant", "aide", "student", "intern", "extern", "trainee", "chief", "director", "secretary", "recruiter",
		"liaison", "billing", "former", "retired", "test", "not", "physician's", "nurse's", "veterinary", "zookeeper", "delegate", "impostor"}
	rapid.Check(t, func(t *rapid.T) {
		row := rapid.SampledFrom(rows).Draw(t, "row")
		word := rapid.SampledFrom(stranger).Draw(t, "stranger")
		title := rapid.SampledFrom([]string{"%w %t", "%t %w", "%t - %w", "%t, %w", "%t (%w)", "Senior %w %t", "%t II %w"}).Draw(t, "shape")
		title = strings.NewReplacer("%w", word, "%t", row[0]).Replace(title)
		m := p.match(title)
		if m.Row == nil || m.Row.Role == NoAccess {
			return
		}
		// A longer title may be a row of its own, as "Medical Secretary" is; then
		// the word is one of the row's.
		for _, name := range append([]string{m.Row.Title}, m.Row.Aliases...) {
			key := " " + strings.Join(p.words.rewrite(strings.Fields(tableKey(name))), " ") + " "
			if strings.Contains(key, " "+word+" ") {
				return
			}
		}
		t.Fatalf("%q maps to %s", title, m.Row.Title)
	})
}

func TestSuggest(t *testing.T) {
	p := defaultPolicy(t)
	for _, tc := range []struct{ title, department, want string }{
		{"Regstered Nurse", "", "Registered Nurse"},
		{"Nurse Pracitioner", "", "Nurse Practitioner"},
		{"Phlebotmist", "", "Phlebotomist"},
		{"Licensed Clinical Socal Worker", "", "Licensed Clinical Social Worker"},
		{"Front Desk Recepptionist", "", "Front Desk Receptionist"},
	} {
		got := p.Suggest(tc.title, tc.department, nil, 3)
		if len(got) == 0 || len(got) > 3 || got[0].Title != tc.want {
			t.Errorf("%q: %v, want %s first", tc.title, got, tc.want)
		}
		if roleOf(p, tc.title) != "" {
			t.Errorf("%q was granted by likeness", tc.title)
		}
	}
}

func TestSuggestIsRankedAndBounded(t *testing.T) {
	p := defaultPolicy(t)
	rapid.Check(t, func(t *rapid.T) {
		title := rapid.String().Draw(t, "title")
		n := rapid.IntRange(0, 5).Draw(t, "n")
		got := p.Suggest(title, rapid.String().Draw(t, "department"), nil, n)
		for i, s := range got {
			if s.Score <= 0 || s.Score > 1 || (i > 0 && got[i-1].Score < s.Score) {
				t.Fatalf("%v", got)
			}
		}
		if len(got) > n {
			t.Fatalf("%d suggestions, %d asked for", len(got), n)
		}
	})
}

func TestAbbreviates(t *testing.T) {
	for _, tc := range []struct {
		short, long string
		want        bool
	}{
		{"cma", "certified medical aide", true},
		{"cpht", "certified pharmacy technician", true},
		{"acute care pt", "acute care physical therapist", true},
		{"vet tech", "veterinary technician", true},
		{"sa c", "surgical assistant certified", true},
		{"rns", "registered nurse", false},
		{"l and d rn", "labor and delivery registered nurse", true},
		{"lmft", "licensed marriage and family therapist", true},
		{"lmaft", "licensed marriage and family therapist", true},
		{"rn", "licensed practical nurse", false},
		{"cma", "certified medical", false},
		{"student", "registered nurse", false},
		{"registered nurse", "rn", false},
		{"pa", "physician", false},
		{"", "registered nurse", false},
	} {
		if got := abbreviates(strings.Fields(tc.short), strings.Fields(tc.long)); got != tc.want {
			t.Errorf("%q of %q: %t", tc.short, tc.long, got)
		}
	}
}

// A title made to cost much costs little.
func TestMatchIsBounded(t *testing.T) {
	p := defaultPolicy(t)
	for _, title := range []string{
		strings.Repeat("a", 60) + " (" + strings.TrimSpace(strings.Repeat(strings.Repeat("a", 50)+" ", 16)) + "b)",
		strings.Repeat("(a) ", 250), strings.Repeat("rn, ", 250), strings.Repeat("icu ", 250), strings.Repeat("a-", 500),
		strings.Repeat("icu and ", 120) + "rn", strings.Repeat("icu (rn) - ", 90),
	} {
		least := time.Hour
		for range 3 {
			began := time.Now()
			p.match(title)
			least = min(least, time.Since(began))
		}
		if least > 50*time.Millisecond {
			t.Errorf("%.30s… takes %s", title, least)
		}
	}
}
