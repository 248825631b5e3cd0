package policy

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Every rule of reading, with what it is for and with what it must not do.
func TestReading(t *testing.T) {
	p := defaultPolicy(t)
	for rule, cases := range map[string][]struct{ title, role string }{
		"numbers and their labels come off": {
			{"RN (0.9 FTE)", "practitioner"},
			{"RN .9", "practitioner"},
			{"Registered Nurse - R0045123", "practitioner"},
			{"Registered Nurse [Req# 88121]", "practitioner"},
			{"Registered Nurse - Job ID: 20314", "practitioner"},
			{"RN - CC 4120", "practitioner"},
			{"Registered Nurse - 7p-7a", "practitioner"},
			{"Medical Assistant - 12hr Nights", "clinical-staff"},
			{"Unit Clerk - 4 North", "registration-consent"},
			{"RN 5West", "practitioner"},
			{"CNA - E4", "clinical-staff"},
			{"Phlebotomist, Grade 12", "clinical-staff"},
			{"Nurse 2", ""},
			{"Technician 1234", ""},
			{"340B Pharmacist", ""},
			{"RN X12345", ""},
			{"Registered Nurse R2D2", ""},
			{"Registered Nurse Job Coach", ""},
			{"Registered Nurse Department Secretary", ""},
			{"No. 1234 RN", ""},
		},
		"a grade may be glued to its word": {
			{"RN2", "practitioner"},
			{"CNA1 - Nights", "clinical-staff"},
			{"RT2", ""},
			{"Nurse2", ""},
			{"RN7", ""},
		},
		"the last word may be a plural": {
			{"Registered Nurses", "practitioner"},
			{"Medical Secretaries", "registration-consent"},
			{"Pharmacy Technicians - Inpatient", "clinical-staff"},
			{"Nurses", ""},
			{"Secretaries", ""},
			{"Physicians Secretary", ""},
			{"Physics", ""},
			{"Registered Nurse Aides", ""},
		},
		"a slash stands inside a unit": {
			{"RN - Med/Surg - Days", "practitioner"},
			{"RN Mother/Baby", "practitioner"},
			{"Medical Assistant F/T", "clinical-staff"},
			{"Nurse - Med/Surg", ""},
			{"LPN/Student", ""},
		},
		"inverted titles are turned round": {
			{"Nurse, Registered - PRN", "practitioner"},
			{"Nurse II, Registered", "practitioner"},
			{"Technologist - Radiology", "clinical-staff"},
			{"Technologist, MRI, Nights", "clinical-staff"},
			{"Technician - Patient Care", "clinical-staff"},
			{"Representative - Patient Access - ED", "registration-consent"},
			{"Physician - Emergency Medicine - Nights", "practitioner-btg"},
			{"Nurse, ICU", ""},
			{"Nurse - Pediatric", ""},
			{"Nurse, Pediatric", "practitioner"},
			{"Resident, Internal Medicine", "practitioner"},
			{"Resident - Emergency Medicine", ""},
			{"Resident, Long Term Care", ""},
			{"Technician - ICU", ""},
			{"Nurse - Student", ""},
			{"Assistant - Physician", ""},
			{"Director - Medical", ""},
		},
		"a general word beside the title it means adds nothing": {
			{"Nurse, LPN", "practitioner"},
			{"Nurse RN", "practitioner"},
			{"PT - Physical Therapist", "practitioner"},
			{"RT Respiratory Therapist - Nights", "practitioner"},
			{"Outpatient Therapist, LMHC", "practitioner"},
			{"PGY-2 Resident", "practitioner"},
			{"Therapist, Registered Nurse", ""},
			{"Specialist, LMHC", ""},
			{"Counselor at Law, LMHC", ""},
			{"PT - Pharmacist", ""},
			{"Nurse, Physician", ""},
			{"Manager, RN", ""},
			{"Director, RN", ""},
			{"Technician, RN", ""},
		},
		"two titles side by side must agree": {
			{"RN Staff Nurse", "practitioner"},
			{"NICU Registered Nurse RN PRN", "practitioner"},
			{"Nurse Practitioner or Physician Assistant", "practitioner"},
			{"Medical Assistant Phlebotomist - Urgent Care", "clinical-staff"},
			{"Physician Scribe", ""},
			{"Physician Billing Specialist", ""},
			{"Surgeon Scheduler", ""},
			{"Nurse Practitioner Student", ""},
			{"Nurse Practitioner or Student", ""},
		},
		"the work says more than the licence, where it needs less": {
			{"Care Manager, RN", "care-management"},
			{"RN Care Manager", "care-management"},
			{"Care Coordinator (LPN)", "care-management"},
			{"Nocturnist (no)", ""},
			{"CMA (Certified Medical Aide)", ""},
			{"RN Scheduler", "registration-consent"},
			{"EMT Instructor", "no-access"},
			{"Volunteer, RN", "no-access"},
			{"Registered Nurse (Medical Assistant)", ""},
			{"Physician, Medical Assistant", ""},
			{"RN/Unit Clerk", ""},
			{"Director of Education, RN", ""},
			{"ED Physician, RN", ""},
		},
		"degrees and certificates follow a title": {
			{"RN, BSN, CCRN", "practitioner"},
			{"Surgical Technologist, CST", "clinical-staff"},
			{"Receptionist - PT", "registration-consent"},
			{"Emergency Physician, MD", "practitioner-btg"},
			{"MD, PhD", "practitioner"},
			{"CST, MBA", ""},
			{"RT, RN", ""},
			{"PT/RN", ""},
			{"BSN", ""},
		},
		"two letters left over say too little": {
			{"DC", "practitioner"},
			{"DC Lead", ""},
			{"DC - Nights", ""},
			{"OD II", ""},
			{"RN - ex", ""},
			{"RN - xy", ""},
			{"MD II", "practitioner"},
			{"MA - Pediatrics", "clinical-staff"},
		},
		"fields stand behind a title too, with what makes a place of them": {
			{"Nurse Practitioner Cardiology", "practitioner"},
			{"Registered Nurse Oncology Services", "practitioner"},
			{"RN - Cancer Center", "practitioner"},
			{"Pharmacist Inpatient Pharmacy", "practitioner"},
			{"Nurse Practitioner - Women's Health", "practitioner"},
			{"Women's Health Secretary", ""},
			{"Doctor's Registered Nurse", ""},
			{"Registered Nurse Consultant", ""},
			{"Registered Nurse - Consultant", ""},
			{"Registered Nurse Services", ""},
			{"Physician Services Representative", ""},
			{"Director of Nursing Education", ""},
			{"Surgeon General", ""},
		},
		"words that belong together stay together": {
			{"ICU Charge Nurse", "practitioner"},
			{"LPN Charge Nurse", "practitioner"},
			{"Staff Nurse Telemetry", "practitioner"},
			{"Charge ICU", ""},
			{"Charge Entry Receptionist", ""},
			{"Travel Scheduler", ""},
			{"Human Resource Receptionist", ""},
		},
		"other forms of a word": {
			{"Promotor de Salud", "care-management"},
			{"Male CNA", "clinical-staff"},
			{"Female Home Health Aide", "no-access"},
			{"Waitress", "no-access"},
			{"PUB HLTH NURSE 2", "practitioner"},
			{"Nsg Asst", "clinical-staff"},
			{"Pt Access Rep", "registration-consent"},
			{"Male Nurse", ""},
			{"Pub Hlth Asst", ""},
		},
	} {
		for _, tc := range cases {
			if got := roleOf(p, tc.title); got != tc.role {
				t.Errorf("%s: %q maps to %q, want %q (%+v)", rule, tc.title, got, tc.role, p.match(tc.title))
			}
		}
	}
}

// A word that changes what a person is never yields more than the title
// without it, unless the longer title stands in the table itself.
func TestNeverRemovableWordsAddNothing(t *testing.T) {
	p := defaultPolicy(t)
	titles := rowsOf(t, occupationalTitles+withoutHeader(hospitalTitles)+withoutHeader(laterTitles))[1:]
	var words []string
	for w := range neverRemovable {
		words = append(words, w)
	}
	words = append(sorted(words), "physician's", "surgeons'")
	rapid.Check(t, func(t *rapid.T) {
		title := rapid.SampledFrom(titles).Draw(t, "title")[0]
		word := rapid.SampledFrom(words).Draw(t, "word")
		shape := rapid.SampledFrom([]string{"%w %t", "%t %w", "%t - %w", "%w - %t", "%t, %w", "%w, %t", "%t (%w)", "%t/%w", "Sr. %w %t", "%t II %w, Nights", "%w %ts"}).Draw(t, "shape")
		longer := strings.NewReplacer("%w", word, "%t", title).Replace(shape)
		m := p.match(longer)
		if m.Row == nil || m.Row.Role == NoAccess || named(p, m.Row, word) || standsInTable(p, longer) {
			return
		}
		before := p.match(title)
		if before.Row == nil || !within(p.role(m.Row.Role).Permissions, p.role(before.Row.Role).Permissions...) {
			t.Fatalf("%q is %s (%s), %q is %+v", longer, m.Row.Title, m.Row.Role, title, before.Row)
		}
		t.Fatalf("%q maps to %s although %q is never taken off", longer, m.Row.Title, word)
	})
}

// named says whether a word is one of a row's own.
func named(p *Policy, row *Row, word string) bool {
	if one := singular([]string{word}); one != nil && named(p, row, one[0]) {
		return true
	}
	spelt := strings.Join(p.words.rewrite([]string{word}), " ")
	for _, name := range append([]string{row.Title}, row.Aliases...) {
		key := strings.Fields(tableKey(name))
		for _, ws := range [][]string{key, p.words.rewrite(key)} {
			written := " " + strings.Join(ws, " ") + " "
			if strings.Contains(written, " "+word+" ") || strings.Contains(written, " "+spelt+" ") {
				return true
			}
		}
	}
	return false
}

func withoutHeader(table string) string {
	_, rest, _ := strings.Cut(table, "\n")
	return rest
}

func TestFigures(t *testing.T) {
	for text, want := range map[string]int{
		"4120": 1, "3rd": 1, "12hr": 1, "7p": 1, "4w": 1, "e4": 1, "5west": 1, "r0045123": 1, "jr10423": 1, "req 1234": 2, "cost center 4120": 3, "job id 20314 x": 3,
		"rn": 0, "req": 0, "340b": 0, "x12345": 0, "h1n1": 0, "a1c": 0, "job coach": 0, "ms3": 0, "": 0,
	} {
		if got := figures(strings.Fields(text)); got != want {
			t.Errorf("%q: %d words, want %d", text, got, want)
		}
	}
}
