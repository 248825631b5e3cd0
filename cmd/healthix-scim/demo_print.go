package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/healthix/healthix-scim/api"
)

// tell prints how the story ends and what to try.
func (d *demo) tell(ctx context.Context, s *server, out io.Writer) error {
	var people struct{ Items []api.UserView }
	if err := d.call(ctx, d.operator, http.MethodGet, "/api/v1/users?participant="+demoParticipant+"&limit=100", nil, &people); err != nil {
		return err
	}
	count, link, err := d.activationLink(ana.address())
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Healthix SCIM demo at %s: %d people of an invented hospital, pushed through %s/scim/v2.\n\n", s.base, len(people.Items), s.base)
	if err := d.table(&b, people.Items); err != nil {
		return err
	}
	fmt.Fprintf(&b, "\nToken for SCIM (participant %s):\n%s\n\nToken for the API (operator %s):\n%s\n", demoParticipant, d.entra, demoOperator, d.operator)
	fmt.Fprintf(&b, "\n%d mails are in %s. The link in %s's works once:\n%s\n", count, d.mails(), ana.given, link)
	fmt.Fprintf(&b, "\nTry, from another terminal:\n\n# who is there, as an identity provider sees it\n%s\n\n# %s leaves: access ends in the same transaction\n%s\n\n# which role does a title lead to, and why\n%s\n\nCtrl-C ends the demo and removes its folder.\n",
		curl(d.entra, `'`+s.base+`/scim/v2/Users?filter=title%20co%20%22nurse%22&attributes=userName,title,urn:ietf:params:scim:schemas:extension:healthix:2.0:User'`),
		dora.given, curl(d.entra, `-X PATCH -H 'Content-Type: application/scim+json' -d '{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"active","value":false}]}' '`+s.base+"/scim/v2/Users/"+d.ids[dora.userName()]+`'`),
		curl(d.operator, `-H 'Content-Type: application/json' -d '{"title":"Nurse Practitioner, Pediatrics","participant":"`+demoParticipant+`"}' '`+s.base+`/api/v1/policy/explain'`))
	_, err = io.WriteString(out, b.String())
	return err
}

func curl(token, rest string) string {
	return "curl -s -H 'Authorization: Bearer " + token + "' " + rest
}

// table prints everybody, the reason below each row: beside it, no terminal is
// wide enough.
func (d *demo) table(b *strings.Builder, people []api.UserView) error {
	rows := make([][]string, len(people))
	for i, p := range people {
		role := text(p.Access.Role)
		if wanted := text(p.Access.RequestedRole); wanted != "" {
			role = strings.TrimPrefix(role+", waits for "+wanted, ", ")
		}
		if role == "" {
			role = "no role"
		}
		var closed []string
		for _, g := range p.Access.Gates {
			if !g.Open {
				closed = append(closed, string(g.Gate))
			}
		}
		title := text(p.Title)
		if title == "" {
			title = "(no title)"
		}
		rows[i] = []string{
			p.Name.GivenName + " " + p.Name.FamilyName, title + " → " + role, string(p.Access.Status), orDash(strings.Join(closed, " ")),
		}
	}
	var lines strings.Builder
	if err := printTable(&lines, []string{"WHO", "TITLE → ROLE", "STATUS", "CLOSED GATES"}, rows); err != nil {
		return err
	}
	for i, line := range strings.Split(strings.TrimSuffix(lines.String(), "\n"), "\n") {
		fmt.Fprintln(b, line)
		if i > 0 {
			fmt.Fprintf(b, "    %s\n", clean(people[i-1].Access.Reason))
		}
	}
	return nil
}

var activation = regexp.MustCompile(`https?://\S+/activate\?code=[A-Za-z0-9_-]+`)

// activationLink counts the mails and finds the link in the one to an address.
func (d *demo) activationLink(to string) (count int, link string, err error) {
	files, err := filepath.Glob(filepath.Join(d.mails(), "*.eml"))
	if err != nil {
		return 0, "", err
	}
	for _, file := range files {
		letter, err := readLetter(file)
		if err != nil {
			return 0, "", fmt.Errorf("read %s: %w", file, err)
		}
		if found := activation.FindString(letter.text); letter.to == to && found != "" {
			link = found
		}
	}
	if link == "" {
		return 0, "", errors.New("no activation link was mailed")
	}
	return len(files), link, nil
}

// letter is what a person reads of a mail.
type letter struct{ to, subject, text string }

func readLetter(path string) (letter, error) {
	file, err := os.Open(path)
	if err != nil {
		return letter{}, err
	}
	defer file.Close() //nolint:errcheck // read only
	message, err := mail.ReadMessage(file)
	if err != nil {
		return letter{}, err
	}
	to, err := mail.ParseAddress(message.Header.Get("To"))
	if err != nil {
		return letter{}, err
	}
	subject, err := (&mime.WordDecoder{}).DecodeHeader(message.Header.Get("Subject"))
	if err != nil {
		return letter{}, err
	}
	body, err := plainText(message.Header.Get("Content-Type"), message.Header.Get("Content-Transfer-Encoding"), message.Body)
	return letter{to: to.Address, subject: subject, text: body}, err
}

// plainText is the first text/plain part, decoded.
func plainText(contentType, encoding string, body io.Reader) (string, error) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(media, "multipart/") {
		part, err := multipart.NewReader(body, params["boundary"]).NextPart() // decodes quoted-printable
		if err != nil {
			return "", err
		}
		return plainText(part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), part)
	}
	if strings.EqualFold(encoding, "quoted-printable") {
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	return string(text), err
}
