package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// apart is the document above with its table taken out of it.
func apart(t testing.TB, document string) (head, csv string) {
	t.Helper()
	head, table, ok := strings.Cut(document, "titles: |\n")
	if !ok {
		t.Fatal("no table")
	}
	for line := range strings.Lines(table) {
		csv += strings.TrimPrefix(line, "  ")
	}
	return head, csv
}

func files(of map[string]string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		if text, ok := of[name]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	}
}

// A table beside the document and the same table inside it are one policy, however
// a spreadsheet saved it.
func TestTableBesideTheDocument(t *testing.T) {
	for name, document := range map[string]string{"small": small1, "tidy": tidy, "default": string(Default())} {
		want, err := Parse([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		head, csv := apart(t, document)
		for form, table := range map[string]string{
			"as it is": csv, "CRLF": strings.ReplaceAll(csv, "\n", "\r\n"), "byte order mark": "\ufeff" + csv, "both": "\ufeff" + strings.ReplaceAll(csv, "\n", "\r\n"),
			"no last line end": strings.TrimSuffix(csv, "\n"), "blank lines": csv + "\n\r\n",
		} {
			for reference, text := range map[string]string{
				"plain": head + "titles: titles.csv\n", "commented": head + "titles: titles.csv # ours\n", "first": "titles: titles.csv\n" + head,
				"quoted": head + "titles: \"titles.csv\"\n", "on its own line": head + "titles:\n  titles.csv\n", "CRLF": strings.ReplaceAll(head+"titles: titles.csv\n", "\n", "\r\n"),
			} {
				if name == "default" && (form != "both" || reference != "plain") && (form != "as it is" || reference != "commented") {
					continue // reading it takes its time
				}
				from := Source{Name: "policies/p.yaml", Text: []byte(text), Read: files(map[string]string{"titles.csv": table})}
				p, err := ParseSource(from)
				if err != nil {
					t.Errorf("%s, %s, %s: %v", name, form, reference, err)
					continue
				}
				if p.Digest() != want.Digest() {
					t.Errorf("%s, %s, %s: another digest", name, form, reference)
				}
				inline, err := Inline(from)
				if err != nil {
					t.Errorf("%s, %s, %s: %v", name, form, reference, err)
					continue
				}
				q, err := Parse(inline)
				if err != nil || q.Digest() != want.Digest() || !bytes.Contains(inline, []byte("titles: |")) {
					t.Errorf("%s, %s, %s: %v in\n%.2000s", name, form, reference, err, inline)
				}
				if reference == "plain" && string(inline) != document && form == "as it is" {
					t.Errorf("%s: not the document that it was taken from:\n%.2000s", name, inline)
				}
				if reference == "commented" && !bytes.Contains(inline, []byte("titles: | # ours\n")) {
					t.Errorf("%s: the comment is lost in\n%.2000s", name, inline)
				}
			}
		}
		// JSON, too.
		var tree map[string]any
		if err := yaml.Unmarshal([]byte(head), &tree); err != nil {
			t.Fatal(err)
		}
		tree["titles"] = "titles.csv"
		text, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		inline, err := Inline(Source{Text: text, Read: files(map[string]string{"titles.csv": csv})})
		if err != nil {
			t.Fatal(err)
		}
		if q, err := Parse(inline); err != nil || q.Digest() != want.Digest() || !bytes.Contains(inline, []byte("titles: |\n")) {
			t.Errorf("%s as JSON: %v in\n%.2000s", name, err, inline)
		}
		if same, err := Inline(Source{Text: []byte(document)}); err != nil || string(same) != document {
			t.Errorf("%s: what names no file changed: %v", name, err)
		}
	}
}

// A table that a literal block cannot hold goes inside all the same.
func TestInlineOfOddTables(t *testing.T) {
	head := "# ours\nroles: {r: {permissions: [x]}} # one\ntitles: t.csv\nsynonyms: {} # none\n"
	for name, csv := range map[string]string{
		"spaces before": "  title,role\nA,r\n", "spaces behind": "title,role  \nA,r  \n", "tabs": "title,role,basis\nA,r,\"\tx\t\"\n",
		"lines in a field": "title,role,basis\nA,r,\"one\n two  \nthree\"\nB,r,\n", "unusual lines": "title,role,basis\nA,r,a\u2028b\u0085c\n",
		"signs": "title,role,basis\nA,r,\"# : - | > & * ! % @\"\nB,r,'\n", "nothing": "title,role\n",
	} {
		from := Source{Text: []byte(head), Read: files(map[string]string{"t.csv": csv})}
		p, err := ParseSource(from)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		inline, err := Inline(from)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if q, err := Parse(inline); err != nil || q.Digest() != p.Digest() || !bytes.Contains(inline, []byte("# ours")) || !bytes.Contains(inline, []byte("# none")) {
			t.Errorf("%s: %v in\n%s", name, err, inline)
		}
	}
}

// A mistake in the table names the table's file and its own line.
func TestProblemsBesideTheDocument(t *testing.T) {
	head, csv := apart(t, tidy)
	for name, tc := range map[string]struct {
		head, csv string
		want      []Problem
	}{
		"role": {head, strings.Replace(csv, "Reader,a,reader", "Reader,a,raeder", 1), []Problem{{File: "policies/titles.csv", Line: 2, Key: "titles"}}},
		"both": {strings.Replace(head, "modules: [basics]}", "modules: [basix]}", 1), strings.Replace(csv, "Inspector,b", "RT,b", 1),
			[]Problem{{File: "policies/p.yaml", Line: 5, Key: "roles.reader.modules"}, {File: "policies/titles.csv", Line: 5, Key: "titles"}}},
		"guard":   {strings.Replace(head, "  writer-desk:", "  writer-dask:", 1), csv, []Problem{{File: "policies/p.yaml", Line: 14, Key: "guards.writer-dask"}}},
		"columns": {head, "title;role\nA;r\n", []Problem{{File: "policies/titles.csv", Line: 1, Key: "titles"}}},
		"Latin-1": {head, "title,role\nM\xe9decin,reader\n", []Problem{{File: "policies/titles.csv", Line: 1, Key: "titles"}}},
		"quotes":  {head, csv + "\"A,b,reader,,,\n", []Problem{{File: "policies/titles.csv", Line: 6, Key: "titles"}}},
		"empty":   {head, "", []Problem{{File: "policies/titles.csv", Line: 1, Key: "titles"}}},
	} {
		_, err := ParseSource(Source{Name: "policies/p.yaml", Text: []byte(tc.head + "titles: titles.csv\n"), Read: files(map[string]string{"titles.csv": tc.csv})})
		var bad *DocumentError
		if !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, w := range tc.want {
			found := false
			for _, p := range bad.Problems {
				found = found || p.File == w.File && p.Line == w.Line && p.Key == w.Key
			}
			if !found {
				t.Errorf("%s: want %+v in %+v", name, w, bad.Problems)
			}
		}
	}
	_, err := ParseSource(Source{Name: "p.yaml", Text: []byte(head + "titles: titles.csv\n"), Read: files(nil)})
	if err == nil || !strings.Contains(err.Error(), "p.yaml:16, titles: reading titles.csv: file does not exist") {
		t.Errorf("%v", err)
	}
	_, err = ParseSource(Source{Name: "p.yaml", Text: []byte(head + "titles: titles.csv\n"), Read: func(string) ([]byte, error) { return make([]byte, maxDocument+1), nil }})
	if err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("%v", err)
	}
	// Only the names of files beside it are ever asked for.
	for _, name := range []string{"/etc/t.csv", "../t.csv", "a/../../t.csv", "./t.csv", "a//t.csv", `a\t.csv`, "C:t.csv", "http://x.example/t.csv"} {
		asked := false
		_, err := ParseSource(Source{Text: []byte(head + "titles: '" + name + "'\n"), Read: func(string) ([]byte, error) { asked = true; return []byte(csv), nil }})
		if err == nil || asked {
			t.Errorf("%s: %v, asked for: %t", name, err, asked)
		}
	}
	if _, err := ParseSource(Source{Text: []byte(head + "titles: a/b/t.csv\n"), Read: files(map[string]string{"a/b/t.csv": csv})}); err != nil {
		t.Error(err)
	}
	if _, err := Inline(Source{Text: []byte("roles: 1")}); err == nil {
		t.Error("Inline of what cannot be read")
	}
}

// FuzzPolicyDocument: whatever comes, Parse answers a policy or says what is
// wrong. What it takes can be linted, has a digest, tests itself, and is the same
// policy with its table inside or beside it.
func FuzzPolicyDocument(f *testing.F) {
	for _, document := range []string{small1, tidy, everyKey, everyOverlayKey, "{}", "titles: t.csv\nroles: {r: {permissions: [x]}}\n", "a: &a [*a]", "\ufeffroles: {}", "roles:\r\n  r: {permissions: []}\r\ntitles: t.csv # x\r\n"} {
		f.Add([]byte(document), []byte("title,role,row\nA,r,\nA,r,b\n"))
	}
	base, err := Parse([]byte(everyKey))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, document, table []byte) {
		from := Source{Name: "p.yaml", Text: document, Read: func(string) ([]byte, error) { return table, nil }}
		p, err := ParseSource(from)
		if (p == nil) == (err == nil) {
			t.Fatalf("%v, %v", p, err)
		}
		q, found := LintSource(from, LintOptions{Fixtures: []Fixture{}, LMS: true})
		if (q == nil) != (p == nil) || (p == nil && len(found) == 0) {
			t.Fatalf("%v, %v", q, found)
		}
		if p != nil {
			inline, err := Inline(from)
			if err != nil {
				t.Fatal(err)
			}
			q, err := Parse(inline)
			if err != nil || q.Digest() != p.Digest() || len(p.Digest()) != 64 {
				t.Fatalf("inside: %v\n%s", err, inline)
			}
			report := p.Test([]Fixture{{Title: "A", ParticipantType: "standard", Role: NoRole}})
			if _, err := report.JUnit(); err != nil || len(report.Results) != 1 {
				t.Fatalf("%+v, %v", report, err)
			}
			if drafted, err := Draft(inline, "Some New Title", "A"); err == nil {
				if r, err := Parse(drafted); err != nil || len(r.rows) != len(p.rows) || r.match("Some New Title").Of == nil {
					t.Fatalf("draft: %v\n%s", err, drafted)
				}
			}
		}
		if o, err := ParseOverlay(document, base); err == nil {
			if len(o.Digest()) != 64 || errorsIn(o.Lint(base)) > 0 {
				t.Fatalf("%s", says(o.Lint(base)))
			}
			if drafted, err := DraftOverlay(document, "Some New Title", "Reader"); err == nil {
				if _, err := ParseOverlay(drafted, base); err != nil {
					t.Fatalf("draft: %v\n%s", err, drafted)
				}
			}
		}
		if fixtures, err := ParseFixtures("t.csv", table); err == nil {
			base.Test(fixtures)
		}
	})
}

func errorsIn(found []Finding) int {
	n := 0
	for _, f := range found {
		if f.Severity == SeverityError {
			n++
		}
	}
	return n
}
