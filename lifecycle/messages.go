package lifecycle

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// letter is what a message may say.
type letter struct {
	User        storage.User
	Participant storage.Participant
	Decision    policy.Decision
	Portal      string
	Modules     []string // names of the missing training modules
	Link        string   // credentials only
	Expires     time.Time
}

// Name is how the person is addressed: letters and what stands between them in
// names. A provider may send anything as a name, and our letterhead carries none
// of its links, lines or instructions.
func (l letter) Name() string {
	const longest = 60
	name := []rune(strings.Join(strings.FieldsFunc(l.sent(), func(r rune) bool {
		return !unicode.In(r, unicode.L, unicode.M) && !strings.ContainsRune("'’-", r)
	}), " "))
	if len(name) == 0 {
		return "colleague"
	}
	return string(name[:min(len(name), longest)])
}

func (l letter) sent() string {
	name := strings.TrimSpace(l.User.GivenName + " " + l.User.FamilyName)
	switch {
	case name != "":
		return name
	case l.User.DisplayName != "":
		return l.User.DisplayName
	default:
		return l.User.UserName
	}
}

// Until is the last day of the link, as people in New York read it.
func (l letter) Until() string {
	return l.Expires.In(newYork).Format("Monday, January 2, 2006, 3:04 PM MST")
}

// unlinked takes out of a reason what could make a link of text that it quotes: a
// provider may send anything as a title, too.
func unlinked(reason string) string {
	quoted, escaped := false, false
	return strings.Map(func(r rune) rune {
		switch {
		case escaped:
			escaped = false
		case r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		}
		if quoted && strings.ContainsRune(".:/@", r) {
			return ' '
		}
		return r
	}, reason)
}

// moduleNames are the names of the modules that a decision found missing.
func moduleNames(p *policy.Policy, d policy.Decision) []string {
	missing := d.Gate(policy.GateTraining).Missing
	names := make([]string, 0, len(missing))
	for _, m := range p.Modules(d.TitleRole) {
		if slices.Contains(missing, m.ID) {
			names = append(names, m.Name)
		}
	}
	return names
}
