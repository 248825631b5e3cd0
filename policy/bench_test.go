package policy

import "testing"

var sink any

func BenchmarkDecide(b *testing.B) {
	p := defaultPolicy(b)
	f := readyFacts("Senior Registered Nurse - ICU")
	b.ReportAllocs()
	for b.Loop() {
		sink = p.Decide(f, noon)
	}
}

// A release is what is decided most.
func BenchmarkDecideReleased(b *testing.B) {
	p := defaultPolicy(b)
	f := readyFacts("Registered Nurse")
	b.ReportAllocs()
	for b.Loop() {
		sink = p.Decide(f, noon)
	}
}

// A gap says what would change it.
func BenchmarkDecideGap(b *testing.B) {
	p := wardPolicy(b)
	f := wardFacts("Scribe")
	b.ReportAllocs()
	for b.Loop() {
		sink = p.Decide(f, noon)
	}
}

func BenchmarkLeadsAlike(b *testing.B) {
	p := defaultPolicy(b)
	next := amended(b, registrarsModules, "modules: [nys-policy]}")
	for name, title := range map[string]string{
		"table":   "Registered Nurse",
		"reduced": "Sr. Pediatric Nurse Practitioner (PNP), Night Shift",
		"unknown": "Regional Growth Evangelist",
	} {
		b.Run(name, func(b *testing.B) {
			f := Facts{Participant: live, Active: true, Title: title, Department: "Ward 3"}
			b.ReportAllocs()
			for b.Loop() {
				if !p.LeadsAlike(next, f) {
					b.Fatal(title)
				}
			}
		})
	}
}

func BenchmarkExplain(b *testing.B) {
	p := wardPolicy(b)
	f := wardFacts("Scribe")
	b.ReportAllocs()
	for b.Loop() {
		sink = p.Explain(f, noon)
	}
}

func BenchmarkMatch(b *testing.B) {
	p := defaultPolicy(b)
	for name, title := range map[string]string{
		"table":   "Registered Nurse",
		"reduced": "Sr. Pediatric Nurse Practitioner (PNP), Night Shift",
		"unknown": "Regional Growth Evangelist",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sink = p.match(title)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	document := Default()
	for b.Loop() {
		p, err := Parse(document)
		if err != nil {
			b.Fatal(err)
		}
		sink = p
	}
}

func BenchmarkSuggest(b *testing.B) {
	p := defaultPolicy(b)
	for b.Loop() {
		sink = p.Suggest("Regstered Nurse", "Emergency", nil, 3)
	}
}

func BenchmarkParseMobile(b *testing.B) {
	for b.Loop() {
		sink, _ = ParseMobile("+1 (212) 555-0123", "")
	}
}
