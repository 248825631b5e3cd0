package policy

// ValidNPI verifies the check digit of a National Provider Identifier: ten
// digits, the first 1 or 2, ISO 7812 (Luhn) over the card prefix 80840 and the
// number (45 CFR 162.406). A valid number is a claim, never a proof.
func ValidNPI(npi string) bool {
	if len(npi) != 10 || (npi[0] != '1' && npi[0] != '2') {
		return false
	}
	sum := 24 // what the prefix 80840 adds
	for i := 0; i < 10; i++ {
		if npi[i] < '0' || npi[i] > '9' {
			return false
		}
		digit := int(npi[i] - '0')
		if i%2 == 0 {
			if digit *= 2; digit > 9 {
				digit -= 9
			}
		}
		sum += digit
	}
	return sum%10 == 0
}
