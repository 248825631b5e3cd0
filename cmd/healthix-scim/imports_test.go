package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/healthix/healthix-scim"

// floors are ARCHITECTURE.md's, lowest first: a package imports lower floors,
// and inside its own room what it likes.
var floors = [][]string{
	{"policy", "audit"},
	{"storage", "connector/litmos", "connector/mail", "connector/offsite", "connector/stream"},
	{"lifecycle"},
	{"scim", "api"},
	{"cmd"},
}

// room is the part of the house a package belongs to, and its floor.
func room(path string) (name string, floor int) {
	short := strings.TrimPrefix(path, module+"/")
	for floor, rooms := range floors {
		for _, name := range rooms {
			if short == name || strings.HasPrefix(short, name+"/") {
				return name, floor
			}
		}
	}
	return "", -1
}

type goPackage struct {
	ImportPath string
	Dir        string
	Imports    []string
	GoFiles    []string
}

func allPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var all []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 15 {
		t.Fatalf("go list names %d packages; that is not the house", len(all))
	}
	return all
}

func TestImportsKeepTheFloors(t *testing.T) {
	for _, p := range allPackages(t) {
		for _, complaint := range complaints(p) {
			t.Error(complaint)
		}
	}
}

// complaints are a package's breaches of the rule.
func complaints(p goPackage) []string {
	own, floor := room(p.ImportPath)
	if floor < 0 {
		return []string{fmt.Sprintf("%s stands on no floor of ARCHITECTURE.md", p.ImportPath)}
	}
	var out []string
	for _, imported := range p.Imports {
		if !strings.HasPrefix(imported, module+"/") {
			continue
		}
		other, below := room(imported)
		switch {
		case other == "cmd":
			out = append(out, fmt.Sprintf("%s imports %s; nothing imports cmd", p.ImportPath, imported))
		case other == own:
		case below >= floor:
			out = append(out, fmt.Sprintf("%s (floor %d) imports %s (floor %d); only lower floors may be imported", p.ImportPath, floor+1, imported, below+1))
		case strings.HasPrefix(imported, module+"/storage/") && own != "cmd":
			out = append(out, fmt.Sprintf("%s imports %s; only cmd knows how the promise of storage is kept", p.ImportPath, imported))
		}
	}
	return out
}

// The rule itself must bite.
func TestImportRuleFindsBreaches(t *testing.T) {
	for _, tc := range []struct{ from, to, want string }{
		{"api", "scim", "only lower floors"},
		{"scim", "api/auth", "only lower floors"},
		{"lifecycle", "api", "only lower floors"},
		{"connector/mail", "storage", "only lower floors"},
		{"policy", "audit", "only lower floors"},
		{"api", "cmd/healthix-scim", "nothing imports cmd"},
		{"lifecycle", "storage/sqlstore", "only cmd knows"},
		{"util", "policy", "stands on no floor"},
		{"scim/filter", "scim/schema", ""},
		{"api/auth", "lifecycle", ""},
		{"cmd/healthix-scim", "storage/sqlstore", ""},
	} {
		got := strings.Join(complaints(goPackage{ImportPath: module + "/" + tc.from, Imports: []string{module + "/" + tc.to}}), "\n")
		if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
			t.Errorf("%s imports %s: complaint %q, want %q", tc.from, tc.to, got, tc.want)
		}
	}
}

// Who opens a write transaction names storage.Tx: only lifecycle, and those
// that keep and prove the promise, may.
func TestOnlyLifecycleWrites(t *testing.T) {
	may := []string{module + "/lifecycle", module + "/storage/sqlstore", module + "/storage/storagetest"}
	seen := false
	for _, p := range allPackages(t) {
		for _, name := range p.GoFiles {
			file := filepath.Join(p.Dir, name)
			if !namesTx(t, file) {
				continue
			}
			if p.ImportPath == may[0] {
				seen = true
			}
			if !slices.Contains(may, p.ImportPath) {
				t.Errorf("%s handles storage.Tx; only lifecycle opens write transactions", file)
			}
		}
	}
	if !seen {
		t.Error("lifecycle handles no storage.Tx: this test looks for the wrong thing")
	}
}

func namesTx(t *testing.T, file string) bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	found := false
	ast.Inspect(parsed, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "storage" && s.Sel.Name == "Tx" {
				found = true
			}
		}
		return true
	})
	return found
}
