package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
	"pgregory.net/rapid"
)

func TestParseEmail(t *testing.T) {
	for _, tc := range []struct{ in, key, fault string }{
		{"ana.lima@mercy.example", "ana.lima@mercy.example", ""},
		{"Ana.LIMA@Mercy.Example", "ana.lima@mercy.example", ""},
		{"ana+healthix@mercy.example", "ana+healthix@mercy.example", ""},
		{"a@b.example", "a@b.example", ""},
		{"o'neil_x@mercy.example", "o'neil_x@mercy.example", ""},
		{"Jose\u0301@mercy.example", "jos\u00e9@mercy.example", ""},
		{"ana@m\u00fcnchen.example", "ana@xn--mnchen-3ya.example", ""},
		{"ana@xn--mnchen-3ya.example", "ana@xn--mnchen-3ya.example", ""}, // the same domain
		{"ana@\uff4dercy.example", "ana@mercy.example", ""},              // a full-width letter
		{"\uff49nfo@mercy.example", "", "several people"},
		{"\u0456nfo@mercy.example", "", "several alphabets"}, // a Cyrillic i
		{"ana@merc\u0443.example", "", "several alphabets"},
		{"\u0438\u0440\u0438\u043d\u0430@mercy.example", "\u0438\u0440\u0438\u043d\u0430@mercy.example", ""},
		{"ed.lab@mercy.example", "", "several people"},
		{"ed@mercy.example", "ed@mercy.example", ""}, // a person may be called Ed
		{"art.staffordson@mercy.example", "art.staffordson@mercy.example", ""},
		{"infante@mercy.example", "infante@mercy.example", ""},
		{"steve.jobs@mercy.example", "steve.jobs@mercy.example", ""},
		{"ana.nurse@mercy.example", "ana.nurse@mercy.example", ""},
		{"", "", "missing"},
		{"ana", "", "not valid"},
		{"@mercy.example", "", "not valid"},
		{"ana@", "", "not valid"},
		{"ana@mercy", "", "not valid"},
		{"ana@@mercy.example", "", "not valid"},
		{"ana@mercy..example", "", "not valid"},
		{"ana@-mercy.example", "", "not valid"},
		{"ana@mercy-.example", "", "not valid"},
		{"ana@mercy.example.", "", "not valid"},
		{"ana@10.0.0.1", "", "not valid"},
		{"ana@[10.0.0.1]", "", "not valid"},
		{".ana@mercy.example", "", "not valid"},
		{"ana.@mercy.example", "", "not valid"},
		{"a..b@mercy.example", "", "not valid"},
		{"ana lima@mercy.example", "", "not valid"},
		{" ana@mercy.example", "", "not valid"},
		{"ana@mercy.example ", "", "not valid"},
		{"ana@mercy.example\r\nBcc: x@y.example", "", "not valid"},
		{"Ana Lima <ana@mercy.example>", "", "not valid"},
		{"<ana@mercy.example>", "", "not valid"},
		{"ana@mercy.example,bo@mercy.example", "", "not valid"},
		{`"ana lima"@mercy.example`, "", "not valid"},
		{"ana(comment)@mercy.example", "", "not valid"},
		{"ana\u200b@mercy.example", "", "not valid"},
		{"ana@mercy.example\x00", "", "not valid"},
		{"\xff@mercy.example", "", "not valid"},
		{strings.Repeat("a", 64) + "@mercy.example", strings.Repeat("a", 64) + "@mercy.example", ""},
		{strings.Repeat("a", 65) + "@mercy.example", "", "not valid"},
		{"ana@" + strings.Repeat("a", 63) + ".example", "ana@" + strings.Repeat("a", 63) + ".example", ""},
		{"ana@" + strings.Repeat("a", 64) + ".example", "", "not valid"},
		{"ana@" + strings.Repeat("abc.", 70) + "example", "", "not valid"},
		{"info@mercy.example", "", "several people"},
		{"INFO@mercy.example", "", "several people"},
		{"frontdesk@mercy.example", "", "several people"},
		{"front.desk@mercy.example", "", "several people"},
		{"Front-Desk@mercy.example", "", "several people"},
		{"frontdesk.ed@mercy.example", "", "several people"},
		{"ed-frontdesk2@mercy.example", "", "several people"},
		{"front_desk_icu@mercy.example", "", "several people"},
		{"nurses@mercy.example", "", "several people"},
		{"3west.nurses@mercy.example", "", "several people"},
		{"nursing.station@mercy.example", "", "several people"},
		{"noreply@mercy.example", "", "several people"},
		{"no-reply@mercy.example", "", "several people"},
		{"do.not.reply@mercy.example", "", "several people"},
		{"helpdesk+ana@mercy.example", "", "several people"},
		{"postmaster@mercy.example", "", "several people"},
		{"hr@mercy.example", "", "several people"},
		{"medical.records@mercy.example", "", "several people"},
	} {
		key, fault := ParseEmail(tc.in)
		if key != tc.key || (fault == "") != (tc.fault == "") || !strings.Contains(fault, tc.fault) {
			t.Errorf("ParseEmail(%q) = %q, %q; want %q, …%s…", tc.in, key, fault, tc.key, tc.fault)
		}
	}
}

func TestParseEmailKeyIsAKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.OneOf(rapid.String(), rapid.StringMatching(`[A-Za-z0-9._+-]{1,12}@[a-zA-Z0-9-]{1,8}\.[a-z]{2,8}`)).Draw(t, "address")
		key, fault := ParseEmail(in)
		if (key == "") == (fault == "") {
			t.Fatalf("%q: key %q, fault %q", in, key, fault)
		}
		if key == "" {
			return
		}
		if again, fault := ParseEmail(key); again != key || fault != "" {
			t.Fatalf("the key of %q is %q, and that key's %q (%s)", in, key, again, fault)
		}
		if upper, _ := ParseEmail(strings.ToUpper(in)); ascii(in) && upper != key {
			t.Fatalf("letter case counts: %q and %q", key, upper)
		}
	})
}

func TestParseMobile(t *testing.T) {
	for _, tc := range []struct{ in, region, e164, fault string }{
		{"+12125550123", "", "+12125550123", ""},
		{"+1 (212) 555-0123", "", "+12125550123", ""},
		{"212-555-0123", "", "+12125550123", ""},
		{"212.555.0123", "US", "+12125550123", ""},
		{"1 212 555 0123", "", "+12125550123", ""},
		{" (718) 555-0199 ", "", "+17185550199", ""},
		{"001 212 555 0123", "US", "", "not valid"},
		{"+447400123456", "", "+447400123456", ""},
		{"07400 123456", "GB", "+447400123456", ""},
		{"+442079460000", "", "", "land line"},
		{"+18005550123", "", "", "special service"},
		{"+19005550100", "", "", "special service"},
		{"+12125550123 ext. 4", "", "", "not valid"},
		{"+12125550123x4", "", "", "not valid"},
		{"+12125550123;ext=4", "", "", "not valid"},
		{"+12125550123,4", "", "", ""},
		{"1-800-FLOWERS", "", "", "not valid"},
		{"5550123", "", "", "not valid"},
		{"555-0123", "", "", "not valid"},
		{"+1212555012", "", "", "not valid"},
		{"+121255501234", "", "", "not valid"},
		{"+11125550123", "", "", "not valid"},
		{"12125550123", "GB", "", "not valid"},
		{"none", "", "", "not valid"},
		{"", "", "", "missing"},
		{"   ", "", "", "missing"},
		{strings.Repeat("2", 65), "", "", "not valid"},
		{"+12125550123", "XX", "+12125550123", ""},
		{"2125550123", "XX", "", "not valid"},
	} {
		if tc.in == "+12125550123,4" {
			if e164, fault := ParseMobile(tc.in, tc.region); fault == "" {
				t.Errorf("%q is %q", tc.in, e164)
			}
			continue
		}
		for range 2 { // what was learnt of an exchange says the same
			e164, fault := ParseMobile(tc.in, tc.region)
			if e164 != tc.e164 || (fault == "") != (tc.fault == "") || !strings.Contains(fault, tc.fault) {
				t.Errorf("ParseMobile(%q, %q) = %q, %q; want %q, …%s…", tc.in, tc.region, e164, fault, tc.e164, tc.fault)
			}
		}
	}
}

// The remembered exchanges and the library must not differ for any number of
// an exchange.
func TestExchangesAnswerLikeTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		exchange := rapid.IntRange(0, 999_999).Draw(t, "exchange")
		for range 4 {
			line := rapid.IntRange(0, 9_999).Draw(t, "line")
			number := fmt.Sprintf("%06d%04d", exchange, line)
			for _, written := range []string{"+1" + number, number, "1" + number, "(" + number[:3] + ") " + number[3:6] + "-" + number[6:]} {
				got, gotFault := ParseMobile(written, "")
				want, wantFault := parseMobile(written, "US")
				if got != want || gotFault != wantFault {
					t.Fatalf("%s: %q %q, the library says %q %q", written, got, gotFault, want, wantFault)
				}
			}
		}
	})
}

// Every test number of this project is one: 555-0100 to 555-0199.
func TestFictionNumbersAreValid(t *testing.T) {
	for _, area := range []string{"212", "347", "516", "631", "646", "718", "914", "917", "929"} {
		for line := 100; line < 200; line++ {
			number := fmt.Sprintf("+1%s555%04d", area, line)
			if e164, fault := ParseMobile(number, ""); e164 != number {
				t.Errorf("%s: %s", number, fault)
			}
		}
	}
	if phonenumbers.GetSupportedRegions()["US"] != true {
		t.Error("the library knows no US")
	}
}

func TestValidNPI(t *testing.T) {
	for npi, want := range map[string]bool{
		"1234567893":      true, // the example of the NPI standard
		"1245319599":      true,
		"1234567890":      false,
		"1234567891":      false,
		"2234567892":      false,
		"3234567898":      false, // begins with 3
		"123456789":       false,
		"12345678931":     false,
		"123456789a":      false,
		"":                false,
		"\u0661234567893": false,
	} {
		if ValidNPI(npi) != want {
			t.Errorf("ValidNPI(%q) = %t", npi, !want)
		}
	}
	if ValidNPI(" 1234567893") {
		t.Error("a space before the number")
	}
	// One wrong digit is always found.
	for i := 1; i < 10; i++ {
		for d := byte('0'); d <= '9'; d++ {
			npi := []byte("1234567893")
			if npi[i] == d {
				continue
			}
			npi[i] = d
			if ValidNPI(string(npi)) {
				t.Errorf("%s is valid", npi)
			}
		}
	}
}
