package policy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Bounds of a document. What a YAML node costs is a hundred times its text, so
// what may begin one is counted before anything is parsed.
const (
	maxDocument   = 8 << 20 // bytes
	maxSeparators = 500_000 // commas, colons, brackets, hyphens and lines
	maxItems      = 10_000  // of one list
	maxProblems   = 50
)

// reader collects problems while it reads.
type reader struct {
	problems []Problem
	file     string          // that is being read, "" when it has no name
	tree     *yaml.Node      // the document that root read
	doubts   map[string]bool // titles whose rows or guards were not all read; "" stands for every title
}

func (d *reader) fault(line int, key, format string, args ...any) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, Problem{File: d.file, Line: line, Key: key, Message: fmt.Sprintf(format, args...)})
	}
}

// doubt keeps lint from judging a title of which not everything was read.
func (d *reader) doubt(title string) {
	if d.doubts == nil {
		d.doubts = map[string]bool{}
	}
	d.doubts[title] = true
}

// err is what was found wrong, the document first, then the file beside it.
func (d *reader) err(what string) error {
	if len(d.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(d.problems, func(a, b Problem) int {
		if a.File != b.File && (a.File == d.file || b.File == d.file) {
			if a.File == d.file {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Line, b.Line)
	})
	return &DocumentError{What: what, Problems: d.problems}
}

// root reads the outermost mapping; known are the keys it may have.
func (d *reader) root(document []byte, known []string) *yaml.Node {
	if len(document) > maxDocument {
		d.fault(0, "", "%d bytes came; at most %d are read", len(document), maxDocument)
		return nil
	}
	if n := separators(document); n > maxSeparators {
		d.fault(0, "", "%d commas, colons, brackets, hyphens and lines came; at most %d are read", n, maxSeparators)
		return nil
	}
	if !utf8.Valid(document) {
		d.fault(0, "", "the text is not UTF-8")
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(document))
	var doc, second yaml.Node
	if err := decoder.Decode(&doc); err != nil {
		d.unreadable(err, known)
		return nil
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		d.fault(second.Line, "", "a second document begins here; one was expected")
		return nil
	case !errors.Is(err, io.EOF):
		d.unreadable(err, known)
		return nil
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		d.fault(doc.Line, "", "%s came; a mapping with the keys %s was expected", kindOf(&doc), list(known))
		return nil
	}
	d.tree = &doc
	return doc.Content[0]
}

// separators counts what may begin a node.
func separators(document []byte) int {
	n := 1
	for _, b := range document {
		switch b {
		case ',', ':', '-', '?', '[', '{', '\n':
			n++
		}
	}
	return n
}

// unreadable says where YAML gave up.
func (d *reader) unreadable(err error, known []string) {
	if errors.Is(err, io.EOF) {
		d.fault(0, "", "not readable as YAML or JSON: nothing came; a mapping with the keys %s was expected", list(known))
		return
	}
	said := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if rest, ok := strings.CutPrefix(said, "line "); ok {
		if number, what, ok := strings.Cut(rest, ": "); ok {
			if at, err := strconv.Atoi(number); err == nil {
				line, said = at, what
			}
		}
	}
	d.fault(line, "", "not readable as YAML or JSON: %s", said)
}

// entry is one key of a mapping.
type entry struct {
	key   string
	line  int
	value *yaml.Node
}

// entries reads a mapping; known nil takes any key.
func (d *reader) entries(n *yaml.Node, what string, known []string) []entry {
	if n.Kind != yaml.MappingNode {
		d.fault(n.Line, what, "%s came; a mapping was expected", kindOf(n))
		return nil
	}
	var out []entry
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			d.fault(k.Line, what, "%s came as a key; a name was expected", kindOf(k))
			continue
		}
		if first, again := seen[k.Value]; again {
			d.fault(k.Line, path(what, k.Value), "stands here again; it was first on line %d", first)
			continue
		}
		seen[k.Value] = k.Line
		if known != nil && !slices.Contains(known, k.Value) {
			d.unknown(k.Line, what, "key", k.Value, known)
			continue
		}
		out = append(out, entry{key: k.Value, line: k.Line, value: v})
	}
	return out
}

// unknown refuses a name that is not in a list.
func (d *reader) unknown(line int, key, kind, name string, known []string) {
	if len(d.problems) >= maxProblems {
		return
	}
	hint := ""
	if near := nearest(name, known); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	expected := "none is defined"
	if len(known) > 0 {
		expected = or(known) + " was expected"
	}
	d.fault(line, key, "unknown %s %q%s (%s)", kind, name, hint, expected)
}

func (d *reader) text(n *yaml.Node, key string) string {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		d.fault(n.Line, key, "%s came; a text was expected", kindOf(n))
		return ""
	}
	return n.Value
}

// item is one text of a list, with its line.
type item struct {
	text string
	line int
}

func (d *reader) list(n *yaml.Node, key string) []item {
	if n.Kind != yaml.SequenceNode {
		d.fault(n.Line, key, "%s came; a list was expected", kindOf(n))
		return nil
	}
	if len(n.Content) > maxItems {
		d.fault(n.Line, key, "a list of %d came; at most %d are read", len(n.Content), maxItems)
		return nil
	}
	out := make([]item, 0, len(n.Content))
	seen := make(map[string]bool, len(n.Content))
	for _, c := range n.Content {
		text := d.text(c, key)
		if text == "" {
			if c.Kind == yaml.ScalarNode && c.Tag != "!!null" {
				d.fault(c.Line, key, "an empty text came; a name was expected")
			}
			continue
		}
		if seen[text] {
			d.fault(c.Line, key, "%q stands here twice", text)
			continue
		}
		seen[text] = true
		out = append(out, item{text: text, line: c.Line})
	}
	return out
}

// names is a list whose members must be known.
func (d *reader) names(n *yaml.Node, key, kind string, known []string) []string {
	var out []string
	for _, i := range d.list(n, key) {
		if !slices.Contains(known, i.text) {
			d.unknown(i.line, key, kind, i.text, known)
			continue
		}
		out = append(out, i.text)
	}
	return out
}

// beyond is the first of some permissions that a set does not hold.
func beyond(permissions, set []string) (string, bool) {
	held := make(map[string]bool, len(set))
	for _, s := range set {
		held[s] = true
	}
	for _, s := range permissions {
		if !held[s] {
			return s, true
		}
	}
	return "", false
}

// identifier keeps names to letters, digits, dots and hyphens: they travel in
// filters, logs and file names.
func (d *reader) identifier(line int, key, kind, name string) {
	ok := name != "" && len(name) <= 64
	for _, r := range name {
		if !letterOrDigit(r) && r != '-' && r != '.' && r != '_' {
			ok = false
		}
	}
	if !ok {
		d.fault(line, key, "%s %q came; letters, digits, dots and hyphens were expected, 64 at most", kind, name)
	}
}

func path(above, key string) string {
	if above == "" {
		return key
	}
	return above + "." + key
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "a YAML alias"
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return "nothing"
		}
		return fmt.Sprintf("%q", clip(n.Value))
	case yaml.DocumentNode:
		if len(n.Content) == 1 {
			return kindOf(n.Content[0])
		}
	}
	return "nothing"
}

// clip keeps messages readable whatever came.
func clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}
