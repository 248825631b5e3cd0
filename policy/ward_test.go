package policy

import (
	"testing"
	"time"
)

// ward is a small policy in which everything occurs that decides: rows told
// apart by guards, an overlap, participant types, job codes, an untilApproved
// role, modules with and without days of grace.
const ward = `modules:
  privacy: Privacy and consent
  clinical: Clinical portal
  emergency: {name: Emergency access, graceDays: 30}
roles:
  no-access: {permissions: []}
  desk: {permissions: [search], modules: [privacy]}
  quality: {permissions: [reports], modules: [privacy]}
  analyst: {permissions: [search, reports], modules: [privacy], gates: [npi]}
  staff: {permissions: [search, chart], modules: [privacy, clinical]}
  clinician: {permissions: [search, chart, sensitive], modules: [privacy, clinical]}
  emergency: {permissions: [search, chart, sensitive, override], modules: [privacy, clinical, emergency], gates: [approval], untilApproved: clinician}
  registry: {permissions: [registry], modules: [privacy], participantTypes: [government]}
synonyms: {rn: nurse, tech: technician}
removable: [senior, sr, ii]
units: [icu, emergency, icu tower]
fields: []
degrees: [msn]
compounds: []
bans: [Nurse, Clerk, PT]
privileged: [override]
breakGlass: [override]
jobCodes:
  attribute: costCenter
  codes: {"29-1141": Ward Nurse, "31-9094": Scribe, "43-1": Front Clerk, "15-2": Data Analyst, "53-3": Driver, "29-12": Trauma Doctor, "19-1": Epidemiologist, "11-9": Quality Reviewer}
guards:
  scribe-ed: {department: {in: [Emergency, ICU]}}
  scribe-desk: {department: {in: [Registration]}}
  Coder: {npi: present, userType: {notIn: [Contractor, Vendor]}}
  float-any: {department: present}
  float-npi: {npi: present}
titles: |
  title,role,aliases,row
  Ward Nurse,clinician,WN|Unit Nurse,
  Scribe,staff,,scribe-ed
  Scribe,desk,,scribe-desk
  Coder,staff,,
  Float,staff,,float-any
  Float,clinician,,float-npi
  Front Clerk,desk,Desk Clerk,
  Data Analyst,analyst,,
  Quality Reviewer,quality,,
  Driver,no-access,,
  Epidemiologist,registry,,
  Trauma Doctor,emergency,,
`

func wardPolicy(t testing.TB) *Policy { return parsed(t, ward).WithVersion(1, time.Time{}) }

func parsed(t testing.TB, document string) *Policy {
	t.Helper()
	p, err := Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func withOverlay(t testing.TB, p *Policy, document string) *Policy {
	t.Helper()
	o, err := ParseOverlay([]byte(document), p)
	if err != nil {
		t.Fatal(err)
	}
	return p.With(o)
}

// wardFacts are those of a person of the ward who lacks nothing but approval
// and an NPI.
func wardFacts(title string) Facts {
	f := readyFacts(title)
	f.Evidence = trainedIn(noon.AddDate(1, 0, 0), "privacy", "clinical", "emergency")
	return f
}
