package policy

import (
	"testing"
)

// Colleagues speak for a title that the words leave open, and for no other.
func TestSuggestHearsColleagues(t *testing.T) {
	p := parsed(t, `roles:
  low: {permissions: [a]}
  high: {permissions: [a, b]}
guards:
  float-a: {npi: present}
  float-b: {npi: absent}
titles: |
  title,role,row
  Infusion Therapist,low,
  Intrusion Therapist,high,
  Zookeeper,low,
  Floating Therapist,low,float-a
  Floating Therapist,high,float-b
`)
	first := func(peers map[string]int) Suggestion {
		got := p.Suggest("Ifusion Therapist", "", peers, 1)
		if len(got) != 1 {
			t.Fatalf("%v", got)
		}
		return got[0]
	}
	alone := first(nil)
	if alone.Title != "Infusion Therapist" {
		t.Fatalf("%+v", alone)
	}
	if got := first(map[string]int{"title:intrusion-therapist": 3}); got.Title != "Intrusion Therapist" || got.Role != "high" {
		t.Errorf("all colleagues are: %+v", got)
	}
	if got := first(map[string]int{"title:intrusion-therapist": 1, "title:infusion-therapist": 9}); got.Title != alone.Title || got.Score <= alone.Score || got.Score > alone.Score+mostByPeer {
		t.Errorf("most colleagues are: %+v, alone %+v", got, alone)
	}
	for _, s := range p.Suggest("Ifusion Therapist", "", map[string]int{"title:zookeeper": 1000}, 9) {
		if s.Title == "Zookeeper" {
			t.Errorf("colleagues alone: %+v", s)
		}
	}
	// A title with several rows is suggested once, with all that it may lead to.
	var floating []Suggestion
	for _, s := range p.Suggest("Floatng Therapist", "", map[string]int{"title:float-a": 1, "title:float-b": 1}, 9) {
		if s.Title == "Floating Therapist" {
			floating = append(floating, s)
		}
	}
	if len(floating) != 1 || floating[0].Role != "low or high" {
		t.Errorf("%+v", floating)
	}
}

// An alias maps what is taken off it too; it is refused as the table would.
func TestWithAlias(t *testing.T) {
	p := wardPolicy(t)
	q := p.WithAlias("Bedside R.N.", "ward nurse")
	if q == nil {
		t.Fatal("refused")
	}
	for title, want := range map[string]string{
		"Bedside RN": "Ward Nurse", "Senior Bedside Nurse": "Ward Nurse", "Bedside Nurse - ICU": "Ward Nurse", "Bedside Clerk": "", "Nurse": "",
		"Front Clerk": "Front Clerk", "Wizard": "",
	} {
		if got := q.Reads(title); got != want {
			t.Errorf("%q reads %q, want %q", title, got, want)
		}
	}
	if got := p.Reads("Bedside RN"); got != "" {
		t.Errorf("the policy itself changed: %q", got)
	}
	for alias, title := range map[string]string{
		"Nurse": "Ward Nurse", "Unit Nurse": "Front Clerk", "Anything": "Wizard", "": "Ward Nurse", "Ward Nurse": "Ward Nurse",
	} {
		if p.WithAlias(alias, title) != nil {
			t.Errorf("%q as %q", alias, title)
		}
	}
	// Where two titles read alike with synonyms, neither answers to them.
	if r := q.WithAlias("Bedside Nurse", "Front Clerk"); r == nil || r.Reads("Bedside Nurse") != "Front Clerk" || r.Reads("Sr. Bedside Nurse") != "" || r.Reads("Bedside RN") != "Ward Nurse" {
		t.Errorf("%q", r.Reads("Sr. Bedside Nurse"))
	}
}
