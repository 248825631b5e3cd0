package policy

import (
	"strings"

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
