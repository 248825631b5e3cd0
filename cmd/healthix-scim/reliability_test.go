package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/reliability.md names no test and no metric that there is not, and each
// row of its matrix names a test.
func TestReliabilityNamesWhatThereIs(t *testing.T) {
	text, err := os.ReadFile("../../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	tests, sources := map[string]bool{}, &strings.Builder{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err = filepath.WalkDir("../..", func(path string, file fs.DirEntry, err error) error {
		if err != nil || file.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, "_test.go") {
			for _, m := range declared.FindAllSubmatch(source, -1) {
				tests[string(m[1])] = true
			}
		} else {
			sources.Write(source) // the cases of storagetest too
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test\\w+)(?:/(\\w+))?`")
	check := func(where string) (found int) {
		for _, m := range named.FindAllStringSubmatch(where, -1) {
			found++
			if !tests[m[1]] || m[2] != "" && !strings.Contains(sources.String(), `"`+m[2]+`":`) {
				t.Errorf("there is no test %s", m[0])
			}
		}
		return found
	}
	_, rest, found := strings.Cut(string(text), "| What fails | The user sees | The operator sees | Lost | Shown by |\n|---|---|---|---|---|\n")
	matrix, after, _ := strings.Cut(rest, "\n\n")
	if !found {
		t.Fatal("docs/reliability.md has no matrix")
	}
	for _, row := range strings.Split(matrix, "\n") {
		cells := strings.Split(strings.Trim(row, "| "), " | ")
		if len(cells) != 5 {
			t.Errorf("this row has %d cells: %s", len(cells), row)
			continue
		}
		if check(cells[4]) == 0 {
			t.Errorf("no test shows what happens when: %s", cells[0])
		}
	}
	check(after)
	for _, m := range regexp.MustCompile(`\bhealthix_\w+`).FindAllString(string(text), -1) {
		if !strings.Contains(sources.String(), `"`+m+`"`) {
			t.Errorf("there is no metric %s", m)
		}
	}
}
