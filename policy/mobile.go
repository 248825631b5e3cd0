package policy

import (
	"strings"
	"sync/atomic"

	"github.com/nyaruka/phonenumbers"
)

// maxNumber bounds a telephone number as sent, in bytes.
const maxNumber = 64

const outwardMobile = "mobile number is not valid; send it with its country code, such as +12125550123"

// ParseMobile answers the number in E.164, or a sentence that says what is
// wrong with it. region (US when empty) is where a number without country code
// belongs. The number must be one that a mobile telephone can have: in North
// America land lines look the same, so there it says only what it can. The
// fiction numbers 555-0100 to 555-0199 are valid as any other of their area.
func ParseMobile(number, region string) (e164, fault string) {
	number = strings.TrimSpace(number)
	if number == "" {
		return "", "mobile number is missing"
	}
	if len(number) > maxNumber {
		return "", outwardMobile
	}
	if region == "" {
		region = "US"
	}
	if ten, ok := northAmerican(number, region); ok {
		if knownExchange(ten) {
			return "+1" + string(ten[:]), ""
		}
		e164, fault = parseMobile(number, region)
		if e164 == "+1"+string(ten[:]) {
			learnExchange(ten)
		}
		return e164, fault
	}
	return parseMobile(number, region)
}

func parseMobile(number, region string) (e164, fault string) {
	for _, r := range number {
		// The library would read letters as keys: 1-800-FLOWERS.
		if ('a' <= r && r <= 'z') || ('A' <= r && r <= 'Z') {
			return "", outwardMobile
		}
	}
	parsed, err := phonenumbers.Parse(number, region)
	if err != nil || !phonenumbers.IsValidNumber(parsed) {
		return "", outwardMobile
	}
	if parsed.GetExtension() != "" {
		return "", "mobile number has an extension, which cannot receive text messages; send a mobile number of the person's own"
	}
	kind := phonenumbers.GetNumberType(parsed)
	if kind != phonenumbers.MOBILE && kind != phonenumbers.FIXED_LINE_OR_MOBILE {
		return "", "mobile number belongs to a land line or a special service and cannot receive text messages; send a mobile number of the person's own"
	}
	return phonenumbers.Format(parsed, phonenumbers.E164), ""
}

// The library takes 40 µs for a number, most of a decision. In North America
// its patterns say the same for all 10,000 numbers of an exchange, so what it
// said once is remembered, one bit per exchange: 125 KB for all there can be.
var exchanges [1_000_000/32 + 1]atomic.Uint32

// northAmerican reads ten digits in any of the usual ways of writing them.
func northAmerican(number, region string) (ten [10]byte, ok bool) {
	plus := strings.HasPrefix(number, "+")
	if plus {
		number = number[1:]
	} else if region != "US" {
		return ten, false
	}
	n, skipped := 0, false
	for i := 0; i < len(number); i++ {
		switch c := number[i]; {
		case '0' <= c && c <= '9':
			if n == 0 && !skipped && c == '1' {
				skipped = true // country code
				continue
			}
			if n == len(ten) {
				return ten, false
			}
			ten[n] = c
			n++
		case c == ' ' || c == '-' || c == '(' || c == ')' || c == '.':
		default:
			return ten, false
		}
	}
	return ten, n == len(ten) && (skipped || !plus)
}

func exchangeOf(ten [10]byte) (index int, bit uint32) {
	n := 0
	for _, c := range ten[:6] {
		n = n*10 + int(c-'0')
	}
	return n / 32, 1 << (n % 32)
}

func knownExchange(ten [10]byte) bool {
	i, bit := exchangeOf(ten)
	return exchanges[i].Load()&bit != 0
}

func learnExchange(ten [10]byte) {
	i, bit := exchangeOf(ten)
	exchanges[i].Or(bit)
}
