package lifecycle

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"maps"
	"slices"
	"strings"
	texttemplate "text/template"
	"time"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// Each kind of message has a text template, whose first line is the subject,
// and an HTML template.
//
//go:embed messages
var messageFiles embed.FS

// templates are the messages in force.
type templates struct {
	texts *texttemplate.Template
	pages *htmltemplate.Template

	own      []string                     // files that replace built-in ones
	builtIn  *templates                   // nil when nothing is replaced
	stumbled func(kind string, err error) // hears that a built-in one was taken instead
}

// readTemplates reads the built-in templates, and over them those of a folder:
// NAME.txt or NAME.html, each replacing one. All are tried with invented people,
// so that a mistake shows here and not when a mail is due; it names file and
// line. nil is no folder.
func readTemplates(folder fs.FS) (*templates, error) {
	t := &templates{texts: texttemplate.New(""), pages: htmltemplate.New("")}
	builtIn, err := fs.Sub(messageFiles, "messages")
	if err != nil {
		return nil, err
	}
	known, err := t.add(builtIn, nil)
	if err != nil {
		return nil, err
	}
	if folder != nil {
		if t.builtIn, err = readTemplates(nil); err != nil {
			return nil, err
		}
		if t.own, err = t.add(folder, known); err != nil {
			return nil, err
		}
	}
	samples := samples()
	for _, kind := range slices.Sorted(maps.Keys(samples)) {
		for _, says := range samples[kind] {
			if _, _, _, err := t.try(kind, says); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

// CheckTemplates says what is wrong with a folder of templates, as New would, by
// file and line.
func CheckTemplates(folder fs.FS) error {
	_, err := readTemplates(folder)
	return err
}

// add takes in every file of a folder; known are the names that it may have, nil
// for any. Files whose name begins with a dot are somebody else's (Kubernetes
// mounts have them).
func (t *templates) add(folder fs.FS, known []string) (names []string, err error) {
	files, err := fs.ReadDir(folder, ".")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		name := f.Name()
		if strings.HasPrefix(name, ".") {
			continue
		}
		if known != nil && !slices.Contains(known, name) {
			return nil, fmt.Errorf("%s replaces no template; there are %s", name, strings.Join(known, ", "))
		}
		text, err := fs.ReadFile(folder, name)
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(name, ".html") {
			_, err = t.pages.New(name).Parse(string(text))
		} else {
			_, err = t.texts.New(name).Parse(string(text))
		}
		if err != nil {
			return nil, placed(err)
		}
		names = append(names, name)
	}
	return names, nil
}

// try writes a kind of message. What somebody's own templates leave out that
// nobody can do without is a mistake, too.
func (t *templates) try(kind string, says any) (subject, text, html string, err error) {
	if subject, text, html, err = t.write(kind, says); err != nil {
		return "", "", "", placed(err)
	}
	return subject, text, html, t.lacks(kind, says, subject, text, html)
}

func (t *templates) lacks(kind string, says any, subject, text, html string) error {
	l, hasLink := says.(letter)
	hasLink = hasLink && l.Link != ""
	switch {
	case slices.Contains(t.own, kind+".txt") && (strings.TrimSpace(subject) == "" || strings.TrimSpace(text) == ""):
		return fmt.Errorf("%s.txt:1: the first line is the subject and the message stands below; one of them is empty", kind)
	case hasLink && !strings.Contains(text, l.Link):
		return fmt.Errorf("%s.txt:1: it does not show {{.Link}}, without which nobody can begin", kind)
	case hasLink && !strings.Contains(html, `href="`+l.Link+`"`):
		return fmt.Errorf(`%s.html:1: it has no href="{{.Link}}", without which nobody can begin`, kind)
	}
	return nil
}

// placed is a mistake in a template as NAME:LINE: what is wrong.
func placed(err error) error {
	text := err.Error()
	for _, said := range []string{"html/template: ", "html/template:", "template: ", "template:"} {
		if _, after, found := strings.Cut(text, said); found {
			text = after
			break
		}
	}
	return errors.New(text)
}

// render writes a kind of message. Where a template of somebody's own trips over
// what none of the invented people has, the built-in ones are taken: nobody goes
// without their link for it.
func (t *templates) render(kind string, says any) (subject, text, html string, err error) {
	subject, text, html, err = t.try(kind, says)
	if err == nil || t.builtIn == nil {
		return subject, text, html, err
	}
	if t.stumbled != nil {
		t.stumbled(kind, err)
	}
	return t.builtIn.write(kind, says)
}

// write fills in the templates of a kind of message.
func (t *templates) write(kind string, says any) (subject, text, html string, err error) {
	var buf bytes.Buffer
	if err := t.texts.ExecuteTemplate(&buf, kind+".txt", says); err != nil {
		return "", "", "", fmt.Errorf("render %s: %w", kind, err)
	}
	// A name may hold anything; a subject is one line.
	subject, text, _ = strings.Cut(buf.String(), "\n")
	subject = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, subject)
	buf.Reset()
	if err := t.pages.ExecuteTemplate(&buf, kind+".html", says); err != nil {
		return "", "", "", fmt.Errorf("render %s: %w", kind, err)
	}
	return subject, strings.TrimLeft(text, "\n"), buf.String(), nil
}

// samples are what each kind of message is tried with; several where a template
// may say one thing or another.
func samples() map[string][]any {
	at := time.Date(2026, time.March, 2, 15, 0, 0, 0, time.UTC)
	someone := letter{
		User:        storage.User{ID: "0", GivenName: "Ana", FamilyName: "Lima", Email: "ana.lima@mercy.example", HealthixUsername: "bcdfghjk"},
		Participant: storage.Participant{ID: "mercy", Name: "Mercy General", Settings: storage.Settings{Contacts: []string{"aum@mercy.example"}}},
		Decision:    policy.Decision{Status: policy.StatusReleased, Role: "practitioner", Reason: "Released."},
		Portal:      "https://portal.example",
		Modules:     []string{"Clinical Access", "New York State Policy"},
	}
	linked, sso := someone, someone
	linked.Link, linked.Expires = "https://portal.example/activate?code=abc", at
	sso.Participant.Settings.SSO = true
	modules := []endingModule{{id: "a", Name: "Clinical Access", ends: at}, {id: "b", Name: "New York State Policy", ends: at.Add(2 * day)}}
	all := map[string][]any{
		JobCredentials: {linked},
		JobReminder:    {refresher{letter: someone, Ending: modules}},
		JobExpiry: {
			ending{Participant: someone.Participant, ID: "0", label: "entra", expires: at},
			ending{Participant: someone.Participant, ID: "0", Client: true, expires: at},
		},
		JobBreakerMail: {caseLetter{Participant: someone.Participant.Name, Case: storage.BreakerCase{ID: "0", People: 30, Base: 100, Threshold: "more than 25 people", Opened: at}}},
		JobDigest: {
			digest{Participant: someone.Participant, Waiting: []waitingFor{{"training", 3}}, Ending: 1, Titles: 1, Titled: 1},
			digest{Participant: someone.Participant, Ending: 2, Titles: 2, Titled: 5},
		},
	}
	review := storage.Review{ID: "0", Due: at, OnSilence: SilenceEscalates, Note: "Year's end."}
	silent := review
	silent.OnSilence, silent.Note = SilenceSuspends, ""
	all[JobReviewMail] = []any{
		reviewLetter{Participant: someone.Participant, Review: review, Open: 12, People: 12},
		reviewLetter{Participant: someone.Participant, Review: silent, Open: 1, People: 12, Days: 1},
	}
	for _, kind := range []string{JobInvitation, JobConfirmed, JobReturned, JobSuspended, JobAddressChanged} {
		all[kind] = []any{someone, sso}
	}
	return all
}
