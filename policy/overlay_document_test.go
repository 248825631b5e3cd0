package policy

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

const smallOverlay = `synonyms:
  Lector: Reader
  Chief Scribbler: Writer
roles:
  writer-desk: reader
  Inspector: no-access
guards:
  Reader: {department: {in: [Library]}, npi: present}
`

func overlaid(t testing.TB) *Policy {
	t.Helper()
	p, err := Parse([]byte(tidy))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParseOverlay(t *testing.T) {
	p := overlaid(t)
	o, err := ParseOverlay([]byte(smallOverlay), p)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.synonyms) != 2 || o.synonyms["lector"].title != "Reader" || o.synonyms["chief scribbler"].title != "Writer" {
		t.Errorf("%v", o.synonyms)
	}
	if len(o.roles) != 2 || o.roles["writer-desk"] != "reader" || o.roles["inspector"] != NoAccess {
		t.Errorf("%v", o.roles)
	}
	if g := o.guards["reader"]; len(o.guards) != 1 || len(g) != 2 || g[0].String() != "department is Library" || !g[0].holds(Facts{Department: "LIBRARY"}) {
		t.Errorf("%v", o.guards)
	}
	if o.Empty() || len(o.Lint(p)) != 0 {
		t.Errorf("%s", says(o.Lint(p)))
	}
	none, err := ParseOverlay([]byte("{}"), p)
	if err != nil || !none.Empty() || !(*Overlay)(nil).Empty() || len(none.Digest()) != 64 || none.Digest() == o.Digest() {
		t.Errorf("%v %v", none, err)
	}
}

func TestOverlayDigest(t *testing.T) {
	p := overlaid(t)
	digest := func(document string) string {
		t.Helper()
		o, err := ParseOverlay([]byte(document), p)
		if err != nil {
			t.Fatal(err)
		}
		return o.Digest()
	}
	want := digest(smallOverlay)
	for name, edit := range map[string][2]string{
		"order": {"  Lector: Reader\n  Chief Scribbler: Writer\n", "  Chief Scribbler: Writer\n  Lector: Reader\n"}, "spelling": {"Lector: Reader", "LECTOR: reader"},
		"id for title": {"Inspector: no-access", "inspector: no-access"}, "flow": {"roles:\n  writer-desk: reader\n  Inspector: no-access\n", "roles: {Inspector: no-access, writer-desk: reader}\n"},
		"comment": {"roles:", "# narrower\nroles:"},
	} {
		if document := strings.Replace(smallOverlay, edit[0], edit[1], 1); document == smallOverlay || digest(document) != want {
			t.Errorf("%s: another digest, or no other document", name)
		}
	}
	for name, edit := range map[string][2]string{
		"synonym": {"  Lector: Reader\n", ""}, "target": {"Lector: Reader", "Lector: Writer"}, "role": {"  Inspector: no-access\n", ""}, "guard": {"npi: present", "npi: absent"}, "value": {"Library", "Libraries"},
	} {
		if digest(strings.Replace(smallOverlay, edit[0], edit[1], 1)) == want {
			t.Errorf("%s: the same digest", name)
		}
	}
}

func TestParseOverlayRefuses(t *testing.T) {
	p := overlaid(t)
	for name, tc := range map[string]struct {
		old, new string
		line     int
		says     []string
	}{
		"unknown key":          {"synonyms:", "synonym:", 1, []string{`did you mean "synonyms"`}},
		"a policy's key":       {"guards:", "bans: [x]\nguards:", 7, []string{"bans"}},
		"a mapped title":       {"Lector: Reader", "Author: Reader", 2, []string{"synonyms.Author", "mapped by the policy of all", "Writer"}},
		"a mapped reading":     {"Lector: Reader", "Senior Scrvnr: Reader", 2, []string{"mapped by the policy of all"}},
		"a banned title":       {"Lector: Reader", "R.T.: Reader", 2, []string{"is in bans"}},
		"a banned reading":     {"Lector: Reader", "Asst: Reader", 2, []string{"is in bans"}},
		"an unknown title":     {"Lector: Reader", "Lector: Raeder", 2, []string{"no title of the table", `did you mean "Reader"`}},
		"an alias":             {"Lector: Reader", "Lector: Author", 2, []string{"is an alias", `write "Writer"`}},
		"a title twice":        {"  Chief Scribbler:", "  LECTOR:", 3, []string{"again", "line 2"}},
		"no title":             {"Lector: Reader", "'--': Reader", 2, []string{"a title with a letter"}},
		"a long title":         {"Lector: Reader", "? " + strings.Repeat("x", 1100) + "\n  : Reader", 2, []string{"longer than"}},
		"no text":              {"Lector: Reader", "Lector: ''", 2, []string{"empty text"}},
		"a list":               {"Lector: Reader", "Lector: [Reader]", 2, []string{"a list came"}},
		"an unknown row":       {"  writer-desk: reader", "  writer-dask: reader", 5, []string{"did you mean writer-desk"}},
		"a title with rows":    {"  writer-desk: reader", "  Writer: reader", 5, []string{"has several rows", "writer-desk or writer-other"}},
		"an unknown role":      {"writer-desk: reader", "writer-desk: raeder", 5, []string{"unknown role", `did you mean "reader"`}},
		"a wider role":         {"writer-desk: reader", "Reader: writer", 5, []string{"writer holds write", "may only narrow"}},
		"another role":         {"writer-desk: reader", "Reader: official", 5, []string{"official holds report"}},
		"the same role":        {"writer-desk: reader", "writer-desk: writer", 5, []string{"fewer permissions"}},
		"a row twice":          {"Inspector: no-access", "WRITER-DESK: no-access", 6, []string{"no title of the table and no row id", "writer-desk"}},
		"a row by both names":  {"writer-desk: reader", "inspector: no-access", 6, []string{"row inspector", "line 5"}},
		"a guard's row":        {"  Reader: {dep", "  Raeder: {dep", 8, []string{"did you mean Reader"}},
		"a guard's row twice":  {"  Reader: {dep", "  reader: {npi: present}\n  Reader: {dep", 9, []string{"line 8"}},
		"a guard's attribute":  {"department:", "departement:", 8, []string{`did you mean "department"`}},
		"nothing":              {smallOverlay, " \n", 0, []string{"nothing came"}},
		"a list of everything": {smallOverlay, "[]", 1, []string{"a list came"}},
	} {
		document := strings.Replace(smallOverlay, tc.old, tc.new, 1)
		o, err := ParseOverlay([]byte(document), p)
		var bad *DocumentError
		if o != nil || !errors.As(err, &bad) || !strings.HasPrefix(err.Error(), "policy overlay: ") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.ContainsFunc(bad.Problems, func(p Problem) bool {
			ok := p.Line == tc.line
			for _, s := range tc.says {
				ok = ok && strings.Contains(p.Key+": "+p.Message, s)
			}
			return ok
		}) {
			t.Errorf("%s: want line %d and %q in %v", name, tc.line, tc.says, err)
		}
	}
}

// The policy of all may come to speak of a title: then it wins, and lint says so.
func TestKeptOverlay(t *testing.T) {
	p := overlaid(t)
	o, err := ParseOverlay([]byte(smallOverlay), p)
	if err != nil {
		t.Fatal(err)
	}
	mapped, err := Parse([]byte(strings.Replace(tidy, "RD|R.D.", "RD|R.D.|Chief Scribbler", 1) + "bans: [lector]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseOverlay([]byte(smallOverlay), mapped); err == nil {
		t.Error("a new overlay may map what the policy maps")
	}
	kept, err := KeptOverlay([]byte(smallOverlay), mapped)
	if err != nil || len(kept.synonyms) != 0 || len(kept.roles) != 2 || kept.Empty() || kept.Digest() != o.Digest() {
		t.Errorf("%+v, %v", kept, err)
	}
	found := o.Lint(mapped)
	if len(found) != 2 || found[0].Code != CodeYields || found[0].Severity != SeverityWarning || found[0].Line != 2 || found[1].Line != 3 || found[1].Key != "synonyms.Chief Scribbler" ||
		!strings.Contains(found[0].Message, "bans") || !strings.Contains(found[1].Message, "as Reader") {
		t.Errorf("%s", says(found))
	}
	// What else does not fit is refused.
	for name, edit := range map[string][2]string{
		"row": {",ours,writer-desk", ",ours,writer-top"}, "title": {"Reader,a,reader", "Rader,a,reader"}, "role": {"writer: {permissions: [read, write]", "writer: {permissions: [write]"},
	} {
		other, err := Parse([]byte(strings.ReplaceAll(strings.Replace(tidy, edit[0], edit[1], 1), "writer-desk:", map[bool]string{true: "writer-top:", false: "writer-desk:"}[name == "row"])))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := KeptOverlay([]byte(smallOverlay), other); err == nil {
			t.Errorf("%s: fits", name)
		}
		if found := o.Lint(other); len(found) == 0 || found[0].Code != CodeMisfit || found[0].Severity != SeverityError {
			t.Errorf("%s: %s", name, says(found))
		}
	}
	if _, err := KeptOverlay([]byte("{"), p); err == nil {
		t.Error("what cannot be read fits")
	}
	never, err := ParseOverlay([]byte("guards: {writer-desk: {department: {notIn: [Desk, Letters]}}}\n"), p)
	if err != nil {
		t.Fatal(err)
	}
	if found := never.Lint(p); len(found) != 1 || found[0].Code != CodeUnreachable || found[0].Severity != SeverityWarning || found[0].Line != 1 {
		t.Errorf("%s", says(found))
	}
}
