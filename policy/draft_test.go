package policy

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"
)

// oneAlias checks that a policy differs from another by one alias of one row.
func oneAlias(t testing.TB, before, after *Policy, row, alias string) {
	t.Helper()
	if len(before.rows) != len(after.rows) {
		t.Fatalf("%d rows, then %d", len(before.rows), len(after.rows))
	}
	for i := range before.rows {
		b, a := before.rows[i], after.rows[i]
		if b.ID == row {
			if !slices.Equal(append(slices.Clone(b.Aliases), alias), a.Aliases) {
				t.Fatalf("%s: %q, then %q", row, b.Aliases, a.Aliases)
			}
			a.Aliases = b.Aliases
		}
		if b.Title != a.Title || b.ID != a.ID || b.Role != a.Role || b.Category != a.Category || b.Basis != a.Basis || !slices.Equal(b.Aliases, a.Aliases) || len(b.Guards) != len(a.Guards) {
			t.Fatalf("%+v, then %+v", b, a)
		}
	}
}

// changedLines are the lines of two texts that differ, from 1; nil when their
// numbers do.
func changedLines(a, b string) []int {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	if len(as) != len(bs) {
		return nil
	}
	var out []int
	for i := range as {
		if as[i] != bs[i] {
			out = append(out, i+1)
		}
	}
	return out
}

func TestDraftChangesOneLine(t *testing.T) {
	for name, tc := range map[string]struct {
		document, title, as string
		line                int
		row, alias, text    string
	}{
		"a row with aliases":    {tidy, "Lector", "Reader", 18, "reader", "Lector", "  Reader,a,reader,RD|R.D.|Lector,ours,"},
		"a row without":         {tidy, " Desk  Examiner ", "Inspector", 21, "inspector", "Desk Examiner", "  Inspector,b,official,Desk Examiner,ours,"},
		"several rows":          {tidy, "Penman", "writer", 19, "writer-desk", "Penman", "  Writer,a,writer,Author|Penman,ours,writer-desk"},
		"a comma":               {tidy, "Lector, Senior", "Reader", 18, "reader", "Lector, Senior", `  Reader,a,reader,"RD|R.D.|Lector, Senior",ours,`},
		"a quotation mark":      {tidy, `The "Lector"`, "Reader", 18, "reader", `The "Lector"`, `  Reader,a,reader,"RD|R.D.|The ""Lector""",ours,`},
		"a bar":                 {tidy, "Lector | ICU", "Reader", 18, "reader", "Lector - ICU", "  Reader,a,reader,RD|R.D.|Lector - ICU,ours,"},
		"what hides":            {tidy, "Lec\u200btor\x00", "Reader", 18, "reader", "lector", "  Reader,a,reader,RD|R.D.|lector,ours,"},
		"several lines":         {tidy, "Lector\n  of Law", "Reader", 18, "reader", "Lector of Law", "  Reader,a,reader,RD|R.D.|Lector of Law,ours,"},
		"quoted fields":         {strings.Replace(tidy, "RD|R.D.", `"RD|R.D."`, 1), "Lector", "Reader", 18, "reader", "Lector", "  Reader,a,reader,RD|R.D.|Lector,ours,"},
		"deep":                  {strings.ReplaceAll(tidy, "\n  ", "\n      "), "Lector", "Reader", 18, "reader", "Lector", "      Reader,a,reader,RD|R.D.|Lector,ours,"},
		"CRLF":                  {strings.ReplaceAll(tidy, "\n", "\r\n"), "Lector", "Reader", 18, "reader", "Lector", "  Reader,a,reader,RD|R.D.|Lector,ours,\r"},
		"a block without end":   {strings.Replace(tidy, "titles: |", "titles: |-", 1), "Lector", "Reader", 18, "reader", "Lector", "  Reader,a,reader,RD|R.D.|Lector,ours,"},
		"blank lines":           {strings.Replace(tidy, "  Inspector,b", "\n\n  Inspector,b", 1), "Examiner", "Inspector", 23, "inspector", "Examiner", "  Inspector,b,official,Examiner,ours,"},
		"the last line":         {strings.TrimSuffix(tidy, "\n"), "Examiner", "Inspector", 21, "inspector", "Examiner", "  Inspector,b,official,Examiner,ours,"},
		"keys behind the table": {tidy + "units: [icu]\n", "Examiner", "Inspector", 21, "inspector", "Examiner", "  Inspector,b,official,Examiner,ours,"},
		"a field of lines":      {strings.Replace(tidy, "Reader,a,reader,RD|R.D.,ours,", "Reader,\"a\n  b\",reader,RD|R.D.,ours,", 1), "Examiner", "Inspector", 22, "inspector", "Examiner", "  Inspector,b,official,Examiner,ours,"},
		"after a ban was taken": {strings.Replace(tidy, "privileged:", "bans: [RT]\nprivileged:", 1), "Senior Technician", "Inspector", 22, "inspector", "Senior Technician", "  Inspector,b,official,Senior Technician,ours,"},
	} {
		before, err := Parse([]byte(tc.document))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out, err := Draft([]byte(tc.document), tc.title, tc.as)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if lines := changedLines(tc.document, string(out)); !slices.Equal(lines, []int{tc.line}) || strings.Split(string(out), "\n")[tc.line-1] != tc.text {
			t.Errorf("%s: lines %v changed, want %d to be %q in\n%s", name, lines, tc.line, tc.text, out)
		}
		after, err := Parse(out)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		oneAlias(t, before, after, tc.row, tc.alias)
		if m := after.match(tc.title); m.Of == nil || !strings.EqualFold(m.Of.title, tc.as) {
			t.Errorf("%s: %q is read as %+v", name, tc.title, m.Of)
		}
	}
}

// Other layouts are written anew, and say the same but for the alias.
func TestDraftOfOtherLayouts(t *testing.T) {
	before, err := Parse([]byte(tidy))
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := yaml.Unmarshal([]byte(tidy), &tree); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	head, csv := apart(t, tidy)
	for name, document := range map[string]string{
		"JSON": string(asJSON), "folded": head + "titles: >\n  " + strings.ReplaceAll(csv, "\n", "\n\n  ") + "\n",
		"quoted": head + "titles: " + mustJSON(t, csv) + "\n",
	} {
		out, err := Draft([]byte(document), "Lector", "Reader")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		after, err := Parse(out)
		if err != nil {
			t.Fatalf("%s: %v in\n%s", name, err, out)
		}
		oneAlias(t, before, after, "reader", "Lector")
	}
	// A table without the column, and a row whose fields span lines.
	for name, document := range map[string]string{
		"no column": head + "titles: |\n  title,role,row\n  Reader,reader,\n  Writer,writer,writer-desk\n  Writer,reader,writer-other\n",
		"lines":     head + "titles: |\n  title,role,row,basis,aliases\n  Reader,reader,,\"by\n  us\",\n  Writer,writer,writer-desk,,\n  Writer,reader,writer-other,,\n",
	} {
		document = strings.Replace(document, "  writer-other: {department: {notIn: [Letters, Desk]}}\n", "  writer-other: {department: {notIn: [Letters, Desk]}} # others\n", 1)
		before, err := Parse([]byte(document))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out, err := Draft([]byte(document), "Lector", "Reader")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		after, err := Parse(out)
		if err != nil {
			t.Fatalf("%s: %v in\n%s", name, err, out)
		}
		oneAlias(t, before, after, "reader", "Lector")
		if !strings.Contains(string(out), "# others") {
			t.Errorf("%s: comments are lost:\n%s", name, out)
		}
	}
}

func mustJSON(t testing.TB, text string) string {
	t.Helper()
	out, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestDraftRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ document, title, as, says string }{
		"a banned title":           {tidy, "R.T.", "Reader", "is in bans"},
		"a banned reading":         {tidy, "Asst", "Reader", "is in bans"},
		"a mapped title":           {tidy, "author", "Reader", "mapped by the policy of all already, as Writer"},
		"a mapped reading":         {tidy, "Senior Reader", "Writer", "already, as Reader"},
		"its own title":            {tidy, "Reader", "Reader", "already"},
		"no title":                 {tidy, " - ", "Reader", "a title with a letter"},
		"a long title":             {tidy, strings.Repeat("word ", 400), "Reader", "longer than"},
		"an unknown title":         {tidy, "Lector", "Raeder", `did you mean "Reader"?`},
		"an alias":                 {tidy, "Lector", "Author", `write "Writer"`},
		"no document":              {"roles: {}", "Lector", "Reader", "titles: is missing"},
		"a table in a file":        {"roles: {}\ntitles: t.csv\n", "Lector", "Reader", "not at hand"},
		"a row instead of a title": {tidy, "Lector", "writer-desk", "no title of the table"},
	} {
		out, err := Draft([]byte(tc.document), tc.title, tc.as)
		if out != nil || err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want %q", name, err, tc.says)
		}
	}
}

// Whatever is drafted changes one line, and is read as it was said.
func TestDraftsOfAnyTitle(t *testing.T) {
	before, err := Parse([]byte(tidy))
	if err != nil {
		t.Fatal(err)
	}
	check := func(t interface{ Fatalf(string, ...any) }, document, title, as string) {
		out, err := Draft([]byte(document), title, as)
		if err != nil {
			if out != nil {
				t.Fatalf("an error and a document")
			}
			return
		}
		after, err := Parse(out)
		if err != nil {
			t.Fatalf("%v", err)
		}
		if lines := changedLines(document, string(out)); len(lines) != 1 {
			t.Fatalf("lines %v", lines)
		}
		if m := after.match(title); m.Of == nil || m.Of.title != as {
			t.Fatalf("%q is read as %+v", title, m.Of)
		}
	}
	odd := []string{"Zookeeper, Chief", "RN | Falconry", `"Wizard" (Acting)`, "Zoë's Aide", "a,b|c\"d", "\u2028", "# x", "- y"}
	rapid.Check(t, func(t *rapid.T) {
		check(t, tidy, rapid.OneOf(rapid.SampledFrom(odd), rapid.String()).Draw(t, "title"), rapid.SampledFrom(before.rows).Draw(t, "row").Title)
	})
	for _, title := range odd {
		check(t, string(Default()), title, "Registered Nurse")
	}
}

func TestDraftOverlay(t *testing.T) {
	p := overlaid(t)
	for name, tc := range map[string]struct{ document, want string }{
		"nothing":       {"", "synonyms:\n  Bookworm: Reader\n"},
		"an empty one":  {"{}", "synonyms:\n  Bookworm: Reader\n"},
		"a comment":     {"# ours\nroles:\n  inspector: no-access # none\n", "# ours\nroles:\n  inspector: no-access # none\nsynonyms:\n  Bookworm: Reader\n"},
		"another title": {"synonyms:\n  Lector: Reader\n", "synonyms:\n  Lector: Reader\n  Bookworm: Reader\n"},
		"JSON":          {`{"synonyms":{"Lector":"Reader"}}`, "\"synonyms\":\n  \"Lector\": \"Reader\"\n  Bookworm: Reader\n"},
	} {
		out, err := DraftOverlay([]byte(tc.document), "Bookworm", "Reader")
		if err != nil || string(out) != tc.want {
			t.Errorf("%s: %v, got\n%s", name, err, out)
			continue
		}
		if o, err := ParseOverlay(out, p); err != nil || o.synonyms["bookworm"] == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, title := range []string{"true", "12", "a: b", "- a", "# a", "'", "|", "Zoë, Jr.", "null & void", "~x"} {
		out, err := DraftOverlay(nil, title, "Reader")
		if NormalTitle(title) == "" {
			if err == nil {
				t.Errorf("%q is taken", title)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", title, err)
			continue
		}
		if o, err := ParseOverlay(out, p); err != nil || o.synonyms[NormalTitle(title)] == nil {
			t.Errorf("%q: %v in\n%s", title, err, out)
		}
	}
	for document, says := range map[string]string{
		"synonyms: {bookworm: Writer}": `reads it as "Writer" already`, "synonym: {}": "did you mean", "{": "not readable",
	} {
		if out, err := DraftOverlay([]byte(document), "Bookworm", "Reader"); out != nil || err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", document, err)
		}
	}
	if _, err := DraftOverlay(nil, "Bookworm", " "); err == nil {
		t.Error("no title is taken")
	}
}
