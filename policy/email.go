package policy

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// RFC 5321 §4.5.3.1: octets of a local part, a domain and (with RFC 3696
// erratum 1690) an address.
const (
	maxLocal   = 64
	maxDomain  = 253
	maxAddress = 254
	maxLabel   = 63
)

const outwardEmail = "e-mail address is not valid; send one plain address, such as ana.lima@hospital.example"

// ParseEmail answers the key under which an address is unique, or a sentence
// that says what is wrong with it. It takes a whole addr-spec (RFC 5322 §3.4.1,
// RFC 6531) in dot-atom form: no name, no comment, no quoted local part, no
// address literal. Mailboxes that several people read are refused, because one
// account belongs to one person.
func ParseEmail(s string) (key, fault string) {
	if s == "" {
		return "", "e-mail address is missing"
	}
	if len(s) > maxAddress || !utf8.ValidString(s) {
		return "", outwardEmail
	}
	key = foldAddress(s)
	at := strings.LastIndexByte(key, '@')
	if at < 0 || len(key) > maxAddress {
		return "", outwardEmail
	}
	local, domain := key[:at], key[at+1:]
	if !validLocal(local) || !validDomain(domain) {
		return "", outwardEmail
	}
	if mixed(local) || slices.ContainsFunc(strings.Split(domain, "."), mixed) {
		return "", "e-mail address mixes letters of several alphabets, which look alike; send the address as it is written"
	}
	if !ascii(domain) {
		// One domain has one name, however it is written (RFC 5891 §4.4).
		name, err := idna.Lookup.ToASCII(domain)
		if err != nil {
			return "", outwardEmail
		}
		key = local + "@" + name
	}
	if shared(local) {
		return "", "e-mail address " + local + "@ is a mailbox that several people read; send an address that only this person can read"
	}
	return key, ""
}

// foldAddress is case folding between two compatible compositions: full-width
// letters and ligatures are the letters that they stand for.
func foldAddress(s string) string {
	if ascii(s) {
		return strings.ToLower(s)
	}
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(s)))
}

// alphabets are the scripts whose letters pass for one another's.
var alphabets = []*unicode.RangeTable{unicode.Latin, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Cherokee}

// mixed says whether a text has letters of more than one of the alphabets.
func mixed(s string) bool {
	var of *unicode.RangeTable
	for _, r := range s {
		for _, a := range alphabets {
			if !unicode.Is(a, r) {
				continue
			}
			if of != nil && of != a {
				return true
			}
			of = a
		}
	}
	return false
}

func validLocal(local string) bool {
	if local == "" || len(local) > maxLocal || local[0] == '.' || local[len(local)-1] == '.' || strings.Contains(local, "..") {
		return false
	}
	for _, r := range local {
		if r >= utf8.RuneSelf {
			if !unicode.In(r, unicode.L, unicode.M, unicode.N) {
				return false
			}
			continue
		}
		if !letterOrDigit(r) && !strings.ContainsRune(".!#$%&'*+-/=?^_`{|}~", r) {
			return false
		}
	}
	return true
}

func validDomain(domain string) bool {
	if len(domain) > maxDomain {
		return false
	}
	labels := strings.Split(domain, ".")
	if len(labels) < 2 {
		return false
	}
	for _, label := range labels {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if r >= utf8.RuneSelf && unicode.In(r, unicode.L, unicode.M, unicode.N) {
				continue
			}
			if !letterOrDigit(r) && r != '-' {
				return false
			}
		}
	}
	last := labels[len(labels)-1]
	return strings.IndexFunc(last, func(r rune) bool { return r < '0' || r > '9' }) >= 0
}

func letterOrDigit(r rune) bool {
	return ('a' <= r && r <= 'z') || ('A' <= r && r <= 'Z') || ('0' <= r && r <= '9')
}

// shared says whether a local part names a function instead of a person. A
// subaddress (+tag) and digits around a word change nothing about who reads it.
func shared(local string) bool {
	local, _, _ = strings.Cut(local, "+")
	parts := strings.FieldsFunc(local, func(r rune) bool { return r == '.' || r == '-' || r == '_' })
	for i := range parts {
		parts[i] = strings.Trim(parts[i], "0123456789")
	}
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	if len(parts) == 0 {
		return false
	}
	if sharedMailboxes[strings.Join(parts, "")] {
		return true
	}
	// frontdesk.ed@, 3west-nurses@: words of functions and units only, at least
	// one of a function. A surname among them makes it a person's.
	function := false
	for i := 0; i < len(parts); i++ {
		switch {
		case i+1 < len(parts) && sharedMailboxes[parts[i]+parts[i+1]]: // front-desk.ed
			function = true
			i++
		case sharedMailboxes[parts[i]]:
			function = true
		case !mailboxUnits[parts[i]]:
			return false
		}
	}
	return function
}

// sharedMailboxes are local parts of functions: RFC 2142 and what practices and
// hospitals use. Words that are also names of people are left out.
var sharedMailboxes = set(`
abuse accounting accounts admin administration administrator admissions admitting all alerts
allstaff appointment appointments ask assistants billing bookings business callcenter careers caremanagement casemanagement
charts claims clinic clinical coders coding collections compliance contact contactus coordinator customerservice
daemon department desk dispatch doctors donotreply education eligibility emergency enquiries enquiry
everybody everyone faculty fax feedback finance frontdesk frontoffice ftp general group hello help
helpdesk him home hostmaster hotline housekeeping hr humanresources info informatics information inquiries inquiry
insurance intake invoices it itsupport jobs laboratory lab labs legal list mail mailbox mailerdaemon
maintenance management manager managers marketing medicalrecords medrec medrecords members messages news newsletter
nobody noc noreply notifications nurse nurses nursestation nursingstation nursing office officemanager
onboarding oncall operations operator orders patientaccess patients payroll pharmacy physicians portal postmaster practice
practicemanager press privacy providers providerrelations purchasing quality questions reception receptionist
receptionists records recruiting recruitment referral referrals refills registrar registrars registration reply reports
residents results sales schedule scheduler schedulers scheduling secretaries secretary security service services shared social
socialwork staff subscribe supervisor supervisors support switchboard team techsupport test training triage unsubscribe
user users usenet uucp volunteers webmaster welcome work www`)

// mailboxUnits are words that may stand beside a function.
var mailboxUnits = set(`
the and of at our us ed er icu ccu nicu picu or pacu ob gyn obgyn peds pediatric pediatrics surgery medical
cardiology oncology neurology radiology imaging dental behavioral mental health center centre hospital main campus
north south east west floor fl th st nd rd unit ward suite building bldg day night shift weekend central primary care family
medicine urgent group new york ny nyc bronx brooklyn queens manhattan staten island long`)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}
