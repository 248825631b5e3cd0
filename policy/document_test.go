package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"
)

const small1 = `modules:
  basics: Basics
  deep: {name: Deeper, litmos: LP-7, graceDays: 30}
roles:
  no-access: {permissions: []}
  reader: {permissions: [read], modules: [basics]}
  writer: {permissions: [read, write], modules: [basics, deep], gates: [approval], untilApproved: reader}
gates: [participant, title, email, mobile, training, hold]
guards:
  Writer:
    department: {in: [Letters, "E.D."]}
    npi: present
` + small1Titles

const small1Titles = `titles: |
  title,category,role,aliases,basis
  Reader,a,reader,RD|R.D.,ours
  Writer,a,writer,Author,ours
  Janitor,b,no-access,,ours
`

func TestParse(t *testing.T) {
	p, err := Parse([]byte(small1))
	if err != nil {
		t.Fatal(err)
	}
	if p.Version() != 0 || p.WithVersion(7, time.Time{}).Version() != 7 || p.Version() != 0 {
		t.Error("version")
	}
	if len(p.Digest()) != 64 || p.WithVersion(7, time.Time{}).Digest() != p.Digest() {
		t.Errorf("digest %s", p.Digest())
	}
	roles := p.Roles()
	if len(roles) != 3 || roles[2].Name != "writer" || roles[2].UntilApproved != "reader" || roles[1].Permissions[0] != "read" {
		t.Errorf("%+v", roles)
	}
	modules := p.Modules("writer")
	if len(modules) != 2 || modules[0] != (Module{ID: "basics", Name: "Basics"}) || modules[1] != (Module{ID: "deep", Name: "Deeper", Litmos: "LP-7", GraceDays: 30}) {
		t.Errorf("%+v", modules)
	}
	if p.Modules("nobody") != nil {
		t.Error("modules of an unknown role")
	}
	f := Facts{Title: "author", Participant: live, Active: true}
	if e := p.Explain(f, noon); e.Role != nil || !strings.Contains(e.Reason, "department is Letters or E.D.") {
		t.Errorf("%+v", e)
	}
	f.Department, f.NPI = "ed", "1234567893"
	if e := p.Explain(f, noon); e.Role == nil || *e.Role != "writer" || e.Rule != "title:writer" {
		t.Errorf("%+v", e)
	}
}

func TestGuards(t *testing.T) {
	for _, tc := range []struct {
		guard string
		facts Facts
		want  bool
		says  string
	}{
		{"department: {in: [Emergency]}", Facts{Department: "EMERGENCY "}, true, "department is Emergency"},
		{"department: {in: [Emergency]}", Facts{Department: "Emergency Room"}, false, "department is Emergency"},
		{"department: {in: [Emergency]}", Facts{}, false, "department is Emergency"},
		{"department: {notIn: [Billing, Legal]}", Facts{Department: "billing"}, false, "department is not Billing or Legal"},
		{"department: {notIn: [Billing]}", Facts{}, true, "department is not Billing"},
		{"userType: present", Facts{UserType: "Employee"}, true, "userType is given"},
		{"userType: present", Facts{UserType: " "}, false, "userType is given"},
		{"userType: absent", Facts{}, true, "userType is not given"},
		{"userType: absent", Facts{UserType: "x"}, false, "userType is not given"},
		{"participantType: {in: [cbo, government]}", Facts{Participant: ParticipantState{Type: "cbo"}}, true, "participantType is cbo or government"},
		{"participantType: {in: [cbo]}", Facts{Participant: ParticipantState{Type: "standard"}}, false, "participantType is cbo"},
		{"npi: present", Facts{NPI: "1234567893"}, true, "npi is given"},
		{"npi: absent", Facts{NPI: "1234567893"}, false, "npi is not given"},
	} {
		p, err := Parse([]byte("roles:\n  r: {permissions: [x]}\nguards: {T: {" + tc.guard + "}}\ntitles: |\n  title,role\n  T,r\n"))
		if err != nil {
			t.Fatal(err)
		}
		tc.facts.Title = "T"
		e := p.Explain(tc.facts, noon)
		if (e.Role != nil) != tc.want {
			t.Errorf("%s of %+v: %+v", tc.guard, tc.facts, e)
		}
		if got := p.rows[0].Guards[0].String(); got != tc.says {
			t.Errorf("%s says %q, want %q", tc.guard, got, tc.says)
		}
	}
	if (Guard{}).holds(Facts{}) {
		t.Error("the zero guard holds")
	}
}

func TestParseRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		old, new string // in the document above
		line     int
		says     []string
	}{
		"unknown key":            {"gates: [part", "gatez: [part", 8, []string{"gatez", `did you mean "gates"`}},
		"key twice":              {"guards:\n", "modules: {}\nguards:\n", 9, []string{"modules", "again", "line 1"}},
		"no roles":               {small1, "titles: |\n  title,role\n", 1, []string{"roles: is missing"}},
		"no titles":              {small1, "roles:\n  r: {permissions: [x]}\n", 1, []string{"titles: is missing"}},
		"unknown role key":       {"untilApproved: reader", "untilAproved: reader", 7, []string{"untilAproved", `did you mean "untilApproved"`}},
		"unknown untilApproved":  {"untilApproved: reader", "untilApproved: raeder", 7, []string{"raeder", `did you mean "reader"`}},
		"untilApproved itself":   {"untilApproved: reader", "untilApproved: writer", 7, []string{"the role itself"}},
		"untilApproved bigger":   {"reader: {permissions: [read]", "reader: {permissions: [read, burn]", 7, []string{"burn", "fewer permissions"}},
		"untilApproved alone":    {"gates: [approval], untilA", "untilA", 7, []string{"no gate approval"}},
		"unknown gate":           {"gates: [approval]", "gates: [aprovel]", 7, []string{"aprovel", `did you mean "approval"`}},
		"gates lack hold":        {", training, hold]", ", training]", 8, []string{"hold is not listed"}},
		"no training gate":       {", training, hold]", ", hold]", 6, []string{"asks for training"}},
		"unknown module":         {"modules: [basics]", "modules: [basix]", 6, []string{"basix", `did you mean "basics"`}},
		"unknown module key":     {"litmos: LP-7", "litmus: LP-7", 3, []string{"litmus", `did you mean "litmos"`}},
		"grace days":             {"graceDays: 30", "graceDays: soon", 3, []string{"soon", "number of days"}},
		"grace days too many":    {"graceDays: 30", "graceDays: 3000", 3, []string{"3000"}},
		"participant type":       {"modules: [basics]}", "modules: [basics], participantTypes: [gouvernment]}", 6, []string{"gouvernment", `did you mean "government"`}},
		"no permissions":         {"reader: {permissions: [read], ", "reader: {", 6, []string{"permissions is missing"}},
		"permission twice":       {"[read, write]", "[write, write]", 7, []string{`"write" stands here twice`}},
		"permission name":        {"[read, write]", "[read, 'wr ite']", 7, []string{"wr ite", "letters, digits"}},
		"no-access with rights":  {"no-access: {permissions: []}", "no-access: {permissions: [read]}", 5, []string{"no permission"}},
		"list expected":          {"permissions: [read], modules", "permissions: read, modules", 6, []string{`"read" came`, "a list was expected"}},
		"mapping expected":       {"no-access: {permissions: []}", "no-access: none", 5, []string{"a mapping was expected"}},
		"null text":              {"basics: Basics", "basics:", 2, []string{"nothing came", "a text was expected"}},
		"alias node":             {"basics: Basics", "basics: &a Basics\n  other: *a", 3, []string{"a YAML alias came"}},
		"unknown role in table":  {"Reader,a,reader", "Reader,a,redaer", 15, []string{"redaer", `did you mean "reader"`}},
		"title twice":            {"Janitor,b,no-access,", "READER,b,reader,", 17, []string{"READER", "line 15"}},
		"alias twice":            {"Author", "Author|Authors", 0, nil},
		"alias of another title": {"Janitor,b,no-access,", "Janitor,b,no-access,Author", 17, []string{"Author", "two roles", "line 16"}},
		"alias like a title":     {"RD|R.D.", "RD|Writer", 16, []string{"Writer", "two roles"}},
		"banned alias":           {"RD|R.D.", "RD|R.A.", 15, []string{"R.A.", "bans"}},
		"banned title":           {"Janitor,b", "nurse,b", 17, []string{"nurse", "bans"}},
		"empty title":            {"Janitor,b", "--,b", 17, []string{"a title with a letter"}},
		"fields missing":         {"Janitor,b,no-access,,ours", "Janitor,b,no-access", 17, []string{"3 fields came", "5 were expected"}},
		"quotes":                 {"Janitor,b", `Jan"itor,b`, 17, []string{"not readable as CSV"}},
		"unknown column":         {"title,category,role,aliases", "title,category,role,alias", 14, []string{"alias", `did you mean "aliases"`}},
		"column missing":         {"title,category,role,", "title,category,basis,", 14, []string{`"role" is missing`}},
		"guard on no title":      {"  Writer:\n", "  Wirter:\n", 10, []string{"Wirter", "did you mean Writer"}},
		"guard attribute":        {"    department:", "    departmant:", 11, []string{"departmant", `did you mean "department"`}},
		"guard test":             {"{in: [Letters", "{inn: [Letters", 11, []string{"inn", `did you mean "in"`}},
		"guard word":             {"npi: present", "npi: presnt", 12, []string{"presnt", `did you mean "present"`}},
		"guard without values":   {`{in: [Letters, "E.D."]}`, "{in: []}", 11, []string{"no value came"}},
		"guard with values":      {"npi: present", "npi: {present: [x]}", 12, []string{"takes no values"}},
		"guard participant type": {"npi: present", "participantType: {in: [cob]}", 12, []string{"cob", `did you mean "cbo"`}},
		"removable assistant":    {"guards:\n", "removable: [senior, assistant]\nguards:\n", 9, []string{"assistant", "never removable"}},
		"removable possessive":   {"guards:\n", "units: [\"physician's\"]\nguards:\n", 9, []string{"physician's", "never removable"}},
		"synonym of a ban":       {"guards:\n", "synonyms: {pt: reader}\nguards:\n", 9, []string{"PT", "Reader", "several occupations"}},
		"synonym hides a word":   {"guards:\n", "synonyms: {retired nurse: registered nurse}\nguards:\n", 9, []string{"retired nurse", "may not be read"}},
		"empty titles":           {small1Titles, "titles: ''\n", 13, []string{"an empty text came"}},
		"guards twice":           {"guards:\n", "guards:\n  writer: {npi: present}\n", 11, []string{"row writer", "again", "line 10"}},
		"guard of an alias":      {"  Writer:\n", "  Author:\n", 10, []string{"is an alias", `write "Writer"`}},
		"guard without test":     {"npi: present", "npi: {}", 12, []string{"no test came"}},
		"guard value empty":      {"[Letters,", "['..',", 11, []string{"no letter or digit"}},
		"row id twice":           {"title,category,role,aliases,basis\n  Reader,a,reader,RD|R.D.,ours\n  Writer,a,writer,Author,ours", "title,category,role,aliases,basis,row\n  Reader,a,reader,RD|R.D.,ours,writer\n  Writer,a,writer,Author,ours,", 16, []string{`row id "writer"`, "line 15"}},
		"row id":                 {"category,role,aliases,basis\n  Reader,a,", "row,role,aliases,basis\n  Reader,a b,", 15, []string{`row id "a b" came`, "letters, digits"}},
		"no headers":             {"  title,category", "  title;category", 14, []string{"unknown column"}},
		"semicolons":             {"  title,category,role,aliases,basis\n", "  title;category;role;aliases;basis\n", 14, []string{"separated by commas"}},
		"two rows, no guard":     {"Janitor,b,no-access,,ours", "Reader,b,no-access,,ours", 17, []string{"Reader", "again", "line 15"}},
		"two rows with ids":      {"aliases,basis\n  Reader,a,reader,RD|R.D.,ours\n  Writer,a,writer,Author,ours", "aliases,row\n  Reader,a,reader,RD|R.D.,one\n  Reader,a,writer,Author,two", 16, []string{"Reader", "again without guards", "line 15"}},
		"synonyms alike":         {"guards:\n", "synonyms:\n  tch: teacher\n  T.C.H.: touch\nguards:\n", 11, []string{"T.C.H.", `reads like "tch" on line 10`}},
		"privileged unknown":     {"guards:\n", "privileged: [raed]\nguards:\n", 9, []string{"raed", `did you mean "read"`}},
		"break glass unguarded":  {"guards:\n", "privileged: [read]\nbreakGlass: [write]\nguards:\n", 10, []string{"privileged permission", "write", "read was expected"}},
		"job codes no attribute": {"guards:\n", "jobCodes: {codes: {a1: Reader}}\nguards:\n", 9, []string{"jobCodes.attribute", "is missing"}},
		"job codes no codes":     {"guards:\n", "jobCodes: {attribute: division}\nguards:\n", 9, []string{"jobCodes.codes", "is missing"}},
		"job codes key":          {"guards:\n", "jobCodes: {attributes: division, codes: {}}\nguards:\n", 9, []string{`did you mean "attribute"`}},
		"job code attribute":     {"guards:\n", "jobCodes: {attribute: divisions, codes: {}}\nguards:\n", 9, []string{`did you mean "division"`}},
		"job code title":         {"guards:\n", "jobCodes: {attribute: division, codes: {a1: Raeder}}\nguards:\n", 9, []string{"jobCodes.codes.a1", `did you mean "Reader"`}},
		"job code alias":         {"guards:\n", "jobCodes: {attribute: division, codes: {a1: Author}}\nguards:\n", 9, []string{`"Author" is an alias`, `write "Writer"`}},
		"job code twice":         {"guards:\n", "jobCodes:\n  attribute: division\n  codes:\n    a-1: Reader\n    A 1: Writer\nguards:\n", 13, []string{"again", "line 12"}},
		"job code empty":         {"guards:\n", "jobCodes: {attribute: division, codes: {'..': Reader}}\nguards:\n", 9, []string{"a code with a letter"}},
		"not UTF-8":              {"Basics", "B\xffsics", 0, []string{"not UTF-8"}},
		"table in a file":        {small1Titles, "titles: titles.csv\n", 13, []string{"titles.csv", "not at hand", "titles: |"}},
		"an absolute file":       {small1Titles, "titles: /etc/titles.csv\n", 13, []string{"/etc/titles.csv", "beside the document"}},
		"a file above":           {small1Titles, "titles: ../titles.csv\n", 13, []string{"../titles.csv", "beside the document"}},
		"a file on a drive":      {small1Titles, "titles: 'C:titles.csv'\n", 13, []string{"beside the document"}},
		"not YAML":               {"modules:\n", "modules: [\n", 2, []string{"not readable"}},
		"second document":        {"gates: [part", "---\ngates: [part", 8, []string{"a second document"}},
		"list of documents":      {small1, "- a\n- b\n", 1, []string{"a list came", "a mapping"}},
		"nothing":                {small1, "", 0, []string{"not readable"}},
		"too long":               {small1, strings.Repeat("#", maxDocument+1), 0, []string{"bytes came"}},
		"long title":             {"Janitor,b", strings.Repeat("x", 1100) + ",b", 17, []string{"longer than"}},
	} {
		document := strings.Replace(small1, tc.old, tc.new, 1)
		if document == small1 {
			t.Errorf("%s: the document is as before", name)
			continue
		}
		p, err := Parse([]byte(document))
		if tc.says == nil {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var bad *DocumentError
		if p != nil || !errors.As(err, &bad) || len(bad.Problems) == 0 {
			t.Errorf("%s: no refusal: %v", name, err)
			continue
		}
		found := false
		for _, problem := range bad.Problems {
			text := (&DocumentError{Problems: []Problem{problem}}).Error()
			ok := problem.Line == tc.line
			for _, s := range tc.says {
				ok = ok && strings.Contains(text, s)
			}
			found = found || ok
		}
		if !found {
			t.Errorf("%s: want line %d and %q in\n%v", name, tc.line, tc.says, err)
		}
	}
}

func TestEveryProblemIsTold(t *testing.T) {
	document := strings.NewReplacer("Reader,a,reader", "Reader,a,redaer", "modules: [basics]", "modules: [basix]", "Janitor,b", "RT,b", "guards:\n", "guards:\n  RT: {npi: present}\n  Reader: {npi: present}\n").Replace(small1)
	_, err := Parse([]byte(document))
	var bad *DocumentError
	if !errors.As(err, &bad) || len(bad.Problems) != 3 || bad.Problems[0].Line != 6 || bad.Problems[1].Line != 17 || bad.Problems[2].Line != 19 {
		t.Errorf("%v", err)
	}
}

// The same content in another layout has the same digest; other content has
// another.
func TestDigest(t *testing.T) {
	digest := func(document string) string {
		t.Helper()
		p, err := Parse([]byte(document))
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		return p.Digest()
	}
	want := digest(small1)
	var tree any
	if err := yaml.Unmarshal([]byte(small1), &tree); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.MarshalIndent(tree, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	for name, document := range map[string]string{
		"JSON":           string(asJSON),
		"YAML again":     string(asYAML),
		"comments":       "# by us\n" + strings.ReplaceAll(small1, "roles:\n", "roles: # all\n"),
		"order of rows":  strings.Replace(strings.Replace(small1, "  Janitor,b,no-access,,ours\n", "", 1), "  Reader,a", "  Janitor,b,no-access,,ours\n  Reader,a", 1),
		"order of gates": strings.Replace(small1, "[participant, title, email,", "[title, email, participant,", 1),
		"quoting":        strings.Replace(small1, "Reader,a,reader", `"Reader",a,reader`, 1),
		"columns":        strings.NewReplacer("title,category,role,aliases,basis", "role,title,category,aliases,basis", "Reader,a,reader", "reader,Reader,a", "Writer,a,writer", "writer,Writer,a", "Janitor,b,no-access", "no-access,Janitor,b").Replace(small1),
		"no gates":       strings.Replace(small1, "gates: [participant, title, email, mobile, training, hold]\n", "", 1),
	} {
		if got := digest(document); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	coded := "jobCodes: {attribute: division, codes: {a-1: Reader}}\n" + small1
	if digest(coded) != digest(strings.Replace(coded, "a-1", "A 1", 1)) {
		t.Error("one code written in two ways")
	}
	for name, document := range map[string]string{
		"row id":      strings.NewReplacer("aliases,basis", "aliases,basis,row", "ours\n", "ours,\n", "Janitor,b,no-access,,ours", "Janitor,b,no-access,,ours,cleaner").Replace(small1),
		"privileged":  "privileged: [write]\n" + small1,
		"break glass": "privileged: [write]\nbreakGlass: []\n" + small1,
		"job codes":   coded,
		"permission":  strings.Replace(small1, "[read, write]", "[read, write, burn]", 1),
		"alias":       strings.Replace(small1, "RD|R.D.", "RD", 1),
		"guard":       strings.Replace(small1, "npi: present", "npi: absent", 1),
		"grace":       strings.Replace(small1, "graceDays: 30", "graceDays: 31", 1),
		"bans":        small1 + "bans: []\n",
		"category":    strings.Replace(small1, "Janitor,b", "Janitor,c", 1),
	} {
		if digest(document) == want {
			t.Errorf("%s: the same digest", name)
		}
	}
}

func TestDefault(t *testing.T) {
	p := defaultPolicy(t)
	if !slices.Equal(p.privileged, defaultPrivileged) || !slices.Equal(p.breakGlass, defaultBreakGlass) {
		t.Errorf("privileged %v, break glass %v", p.privileged, p.breakGlass)
	}
	if len(p.Roles()) != 11 || !bytes.Contains(Default(), []byte("titles: |\n  title,category,role,aliases,basis\n")) {
		t.Error("default document")
	}
	for _, r := range p.Roles() {
		for _, permission := range r.Permissions {
			if permission == "" {
				t.Errorf("%s: empty permission", r.Name)
			}
		}
	}
	// A document that leaves the word lists out has the built-in ones.
	bare := strings.Replace(string(Default()), defaultWords, "", 1)
	q, err := Parse([]byte(bare))
	if err != nil {
		t.Fatal(err)
	}
	if q.Digest() != p.Digest() {
		t.Error("the built-in words are not the default document's")
	}
}

// Whatever comes, Parse answers a policy or says what is wrong; it does not
// panic, and never answers both.
func TestParseSurvives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		document := []byte(small1)
		for range rapid.IntRange(1, 4).Draw(t, "edits") {
			from := rapid.IntRange(0, len(document)).Draw(t, "from")
			to := min(len(document), from+rapid.IntRange(0, 6).Draw(t, "length"))
			put := rapid.SampledFrom([]string{"", ":", "\n", "- ", "{", "}", "[", "]", "'", "\"", "|", "*a", "&a", "<<: ", "null", "\t", "!!binary x", "\x00", "é"}).Draw(t, "put")
			document = append(append(append([]byte{}, document[:from]...), put...), document[to:]...)
		}
		p, err := Parse(document)
		if (p == nil) == (err == nil) {
			t.Fatalf("%v, %v", p, err)
		}
		if p != nil {
			p.Explain(Facts{Title: "Reader"}, noon)
		}
	})
}

// Rows of one title, each with an id, guards by id or title, and job codes.
func TestRowsOfOneTitle(t *testing.T) {
	p, err := Parse([]byte(`roles:
  low: {permissions: [a]}
  high: {permissions: [a, b], gates: [approval]}
privileged: [b]
breakGlass: [b]
jobCodes: {attribute: costCenter, codes: {"29-1141": nurse X}}
guards:
  nurse-ed: {department: {in: [Emergency]}}
  nurse-x: {department: {notIn: [Emergency]}}
  Typist: {npi: absent}
titles: |
  row,title,role,aliases
  nurse-ed,Nurse X,high,NX
  ,Nurse X,low,NX|N.Y.
  ,Typist,low,
`))
	if err != nil {
		t.Fatal(err)
	}
	of := p.byKey["nurse x"]
	if len(p.rows) != 3 || of == nil || len(of.rows) != 2 || of.rows[0].ID != "nurse-ed" || of.rows[1].ID != "nurse-x" || p.byKey["ny"] != of || p.byKey["nx"] != of {
		t.Fatalf("%+v", p.rows)
	}
	for i, says := range []string{"department is Emergency", "department is not Emergency", "npi is not given"} {
		if g := p.rows[i].Guards; len(g) != 1 || g[0].String() != says {
			t.Errorf("%s: %v", p.rows[i].ID, g)
		}
	}
	if p.jobCodes.attribute != "costCenter" || p.jobCodes.byCode["29 1141"] != of {
		t.Errorf("%+v", p.jobCodes)
	}
	if !slices.Equal(p.privileged, []string{"b"}) || !slices.Equal(p.breakGlass, []string{"b"}) {
		t.Errorf("%v, %v", p.privileged, p.breakGlass)
	}
	for key, says := range map[string]string{
		"Nurse X": "has several rows; nurse-ed or nurse-x was expected",
		"Nurse Z": "did you mean Nurse X?",
		"nurse-e": "did you mean nurse-ed?",
		"NX":      `is an alias; write "Nurse X"`,
	} {
		if row, fault := p.register().row(key); row != nil || !strings.Contains(fault, says) {
			t.Errorf("%s: %v, %s", key, row, fault)
		}
	}
	// An id that reads like another title is nobody's.
	q, err := Parse([]byte("roles: {r: {permissions: [x]}}\ntitles: |\n  row,title,role\n  typist,Writer,r\n  other,Typist,r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if row, fault := q.register().row("typist"); row != nil || !strings.Contains(fault, "is a row of Writer, and Typist is a title") {
		t.Errorf("%v, %s", row, fault)
	}
}

// What costs a hundred times its text, or nests without end, is refused before
// or while it is parsed, and nothing is expanded.
func TestDocumentsMadeToCostMuch(t *testing.T) {
	var many strings.Builder
	for i := range maxItems + 1 {
		fmt.Fprintf(&many, "ab%d, ", i)
	}
	const separators, depth = "hyphens and lines came; at most", "exceeded max depth"
	for name, tc := range map[string]struct{ document, says string }{
		"flow list":     {"a: [" + strings.Repeat("1,", maxSeparators) + "]", separators},
		"flow mapping":  {"{" + strings.Repeat("a: b,", maxSeparators/2) + "}", separators},
		"empty lists":   {"[" + strings.Repeat("[],", maxSeparators/2) + "]", separators},
		"lines":         {strings.Repeat("a: b\n", maxSeparators/2), separators},
		"nulls":         {strings.Repeat("?\n", maxSeparators/2), separators},
		"open brackets": {strings.Repeat("[", maxSeparators-2), depth},
		"open braces":   {strings.Repeat("{a: ", maxSeparators/2-2), depth},
		"hyphens":       {strings.Repeat("- ", maxSeparators-2), depth},
		"nested":        {strings.Repeat("[", 9000) + strings.Repeat("]", 9000), "a list came"},
		"laughs":        {"roles: &a {r: &b {permissions: &c [x, x]}}\nmodules: {m: *a, n: *b, o: {name: *c}}\ntitles: |\n  title,role\n", "a YAML alias came"},
		"merge":         {"roles:\n  r: &a {permissions: [x]}\n  s: {<<: *a}\ntitles: |\n  title,role\n", `unknown key "<<"`},
		"itself":        {"roles: &a\n  r: *a\ntitles: |\n  title,role\n", "a YAML alias came"},
		"long list":     {"roles: {}\ntitles: |\n  title,role\nbans: [" + many.String() + "]", "at most 10000 are read"},
	} {
		began := time.Now()
		p, err := Parse([]byte(tc.document))
		var bad *DocumentError
		if p != nil || !errors.As(err, &bad) || len(bad.Problems) > maxProblems || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s took %s", name, took)
		}
	}
}
