package policy

import (
	"testing"
	"time"
)

// Who names a narrowed title beside another one of the same role is not decided
// by which of them stands first.
func TestOverlayIsNotAvoidedByWordOrder(t *testing.T) {
	p := defaultPolicy(t)
	o, err := ParseOverlay([]byte("roles: {Registered Nurse: clinical-staff}"), p)
	if err != nil {
		t.Fatal(err)
	}
	for _, title := range []string{"Clinical Nurse Specialist / Registered Nurse", "Registered Nurse / Clinical Nurse Specialist"} {
		everywhere := p.Decide(Facts{Title: title, Active: true}, time.Time{}).TitleRole
		if everywhere != "practitioner" {
			t.Errorf("%s is %q; this test shows nothing", title, everywhere)
		}
		if here := p.With(o).Decide(Facts{Title: title, Active: true}, time.Time{}).TitleRole; here == everywhere {
			t.Errorf("%s is %q here too", title, here)
		}
	}
}
