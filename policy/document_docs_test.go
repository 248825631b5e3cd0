package policy

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tableBehind lists the names in the first column of the table that follows a
// text in docs/policy.md.
func tableBehind(t *testing.T, text, heading string) []string {
	t.Helper()
	_, rest, found := strings.Cut(text, heading)
	_, rest, table := strings.Cut(rest, "\n|---|")
	if !found || !table {
		t.Fatalf("docs/policy.md has no table behind %q", heading)
	}
	rest, _, _ = strings.Cut(rest, "\n\n")
	var out []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(rest, -1) {
		out = append(out, m[1])
	}
	slices.Sort(out)
	return out
}

func behind(t *testing.T, text, heading, fence string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, heading)
	_, rest, opened := strings.Cut(rest, "\n"+fence+"\n")
	block, _, closed := strings.Cut(rest, "```")
	if !found || !opened || !closed {
		t.Fatalf("docs/policy.md has no block behind %q", heading)
	}
	return block
}

// docs/policy.md names every key, column and code there is, and its examples are
// true.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	docs := string(text)
	for heading, want := range map[string][]string{
		"## The document\n": documentKeys, "**An overlay**": overlayKeys,
		"## Checking": {CodeDocument, CodeOverlap, CodeGap, CodeUnreachable, CodeSynonymCycle, CodeUnapproved, CodeUntested, CodeMissingLitmos, CodeMisfit, CodeYields},
	} {
		if got := tableBehind(t, docs, heading); !slices.Equal(got, sorted(want)) {
			t.Errorf("%s: %v, want %v", heading, got, sorted(want))
		}
	}
	for _, columns := range [][]string{titleColumns, fixtureColumns} {
		if !strings.Contains(docs, "`"+strings.Join(columns, ",")+"`") {
			t.Errorf("docs/policy.md does not list the columns %s", strings.Join(columns, ","))
		}
	}
	example := "roles:\n  practitioner: {permissions: [a]}\n  practitioner-btg: {permissions: [a, b]}\n" + behind(t, docs, "**The table**", "```yaml")
	p, found := LintSource(Source{Text: []byte(example)}, LintOptions{})
	if p == nil || len(found) != 1 || len(p.rows) != 2 {
		t.Errorf("the example of rows:\n%s", says(found))
	}
	_, found = LintSource(Source{Text: []byte(strings.Replace(example, "notIn: [Emergency, Trauma]", "notIn: [Emergency]", 1))}, LintOptions{})
	quoted := regexp.MustCompile("`rows (nurse-ed) \\(line \\d+\\)([^`]+)`").FindStringSubmatch(docs)
	if quoted == nil || len(found) != 2 || !strings.HasPrefix(found[1].Message, "rows "+quoted[1]+" (line ") || !strings.Contains(found[1].Message, quoted[2]) {
		t.Errorf("the example of an overlap, %q:\n%s", quoted, says(found))
	}
	fixtures, err := ParseFixtures("docs", []byte(behind(t, docs, "**Tests** stand beside", "```")))
	if err != nil {
		t.Fatal(err)
	}
	if r := defaultPolicy(t).Test(fixtures); len(r.Results) != 4 || len(r.Failed()) != 0 {
		t.Errorf("the example of tests: %+v", r.Failed())
	}
}
