package policy

// enterpriseURN is the schema of the attributes that a job code may stand in
// (RFC 7643 §4.3).
const enterpriseURN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

// JobCodePath is where the job code stands in a SCIM document, from the outside
// in; nil when the policy reads none.
func (p *Policy) JobCodePath() []string {
	switch attribute := p.jobCodes.attribute; attribute {
	case "":
		return nil
	case "userType":
		return []string{attribute}
	default:
		return []string{enterpriseURN, attribute}
	}
}

// of finds what a code stands for, nil when nothing is known of it.
func (j jobCodes) of(code string) *occupation {
	if code == "" || len(j.byCode) == 0 {
		return nil
	}
	return j.byCode[NormalTitle(code)]
}
