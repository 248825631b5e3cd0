package policy

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"

	"gopkg.in/yaml.v3"
)

// Source is a document as it stands somewhere, perhaps with its title table in
// a file beside it. This package opens no file: Read does, for its caller.
type Source struct {
	Name string // names the document in problems and findings; "" for none
	Text []byte
	Read func(name string) ([]byte, error) // a file beside the document, by relative path with slashes; nil: there is none
}

// places are the lines of a policy's parts, for findings. A line is 0 when it is
// not known.
type places struct {
	document string         // file, "" when it has no name
	table    string         // the file that the rows stand in
	roles    map[string]int // by name
	modules  map[string]int // by id
	synonyms map[string]int // as written
	rows     map[string]int // by id, in table
	guards   map[string]int // by row id
}

// ParseSource reads a document like Parse, and the file of its title table when
// it names one (titles: titles.csv). Both forms of a document have one digest.
func ParseSource(from Source) (*Policy, error) {
	d := reader{}
	p := d.policy(from)
	if err := d.err(""); err != nil {
		return nil, err
	}
	return p, nil
}

// byteOrderMark stands before the CSV that a spreadsheet saves.
const byteOrderMark = "\ufeff"

// beside says whether the value of titles is the name of a file.
func beside(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 &&
		strings.HasSuffix(n.Value, ".csv") && !strings.ContainsAny(n.Value, "\r\n")
}

// tableText is the CSV of the title table, inside the document or beside it.
type tableText struct {
	csv  string
	file string
	line func(inTable int) int
}

// table finds the text of the title table; ok is false when there is none.
func (d *reader) table(n *yaml.Node, from Source) (t tableText, ok bool) {
	text := d.text(n, "titles")
	switch {
	case text == "" && n.Kind == yaml.ScalarNode && n.Tag != "!!null":
		d.fault(n.Line, "titles", "an empty text came; CSV with its header line first, or the name of a file, was expected")
		return t, false
	case text == "":
		return t, false
	case !beside(n):
		return tableText{csv: text, file: d.file, line: func(inTable int) int {
			if n.Style&yaml.LiteralStyle != 0 {
				return n.Line + inTable // in a literal block the text begins on the line after its key
			}
			return n.Line
		}}, true
	case !fs.ValidPath(text) || strings.ContainsAny(text, `\:`):
		d.fault(n.Line, "titles", "%q came; a file beside the document was expected, such as titles.csv", clip(text))
		return t, false
	case from.Read == nil:
		d.fault(n.Line, "titles", "the table is in the file %s, which is not at hand here; send the document with the table inside it (titles: |)", text)
		return t, false
	}
	csv, err := from.Read(text)
	if err != nil {
		d.fault(n.Line, "titles", "reading %s: %v", text, err)
		return t, false
	}
	if len(csv) > maxDocument {
		d.fault(n.Line, "titles", "%s has %d bytes; at most %d are read", text, len(csv), maxDocument)
		return t, false
	}
	folder := from.Name[:strings.LastIndexByte(from.Name, '/')+1]
	return tableText{csv: strings.TrimPrefix(string(csv), byteOrderMark), file: folder + text, line: func(inTable int) int { return inTable }}, true
}

// Inline answers a document with its title table inside it (titles: |): the form
// in which a policy is planned and kept. Comments and layout stay. A document
// that names no file is answered as it is. Problems are those of ParseSource.
func Inline(from Source) ([]byte, error) {
	p, err := ParseSource(from)
	if err != nil {
		return nil, err
	}
	d := reader{file: from.Name}
	root := d.root(from.Text, documentKeys)
	i := keyIndex(root, "titles")
	if !beside(root.Content[i+1]) {
		return from.Text, nil
	}
	table, ok := d.table(root.Content[i+1], from)
	if !ok {
		return nil, d.err("")
	}
	csv := strings.ReplaceAll(strings.TrimRight(table.csv, "\r\n"), "\r\n", "\n") + "\n"
	same := func(document []byte) bool {
		q, err := Parse(document)
		return err == nil && q.Digest() == p.Digest()
	}
	if document, ok := inlineText(root, i, from.Text, csv); ok && same(document) {
		return document, nil
	}
	// A flow mapping (JSON), or a table that a literal block cannot hold.
	root.Style &^= yaml.FlowStyle
	root.Content[i].Style = 0
	root.Content[i+1].Value, root.Content[i+1].Style = csv, yaml.LiteralStyle
	document, err := encode(d.tree)
	if err != nil {
		return nil, fmt.Errorf("put the table into the document: %w", err)
	}
	if !same(document) {
		return nil, fmt.Errorf("put the table into the document: %s does not read the same inside it", table.file)
	}
	return document, nil
}

// keyIndex is where a key of a mapping stands in its content, -1 for nowhere.
func keyIndex(mapping *yaml.Node, key string) int {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return i
		}
	}
	return -1
}

// inlineText puts the table in place of its name and leaves all else alone.
func inlineText(root *yaml.Node, at int, document []byte, csv string) (inlined []byte, ok bool) {
	key, value := root.Content[at], root.Content[at+1]
	lines := bytes.SplitAfter(document, []byte("\n"))
	if root.Style&yaml.FlowStyle != 0 || key.Line != value.Line || key.Column != 1 {
		return nil, false
	}
	line := string(lines[value.Line-1])
	if !strings.HasPrefix(line, "titles:") {
		return nil, false
	}
	comment := ""
	if value.LineComment != "" {
		comment = " " + value.LineComment
	}
	var b bytes.Buffer
	for _, l := range lines[:value.Line-1] {
		b.Write(l)
	}
	b.WriteString("titles: |" + comment + "\n")
	for l := range strings.Lines(csv) {
		if l != "\n" {
			b.WriteString("  ")
		}
		b.WriteString(l)
	}
	for _, l := range lines[value.Line:] {
		b.Write(l)
	}
	return b.Bytes(), true
}

// encode writes a document.
func encode(document *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(document); err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	if err := e.Close(); err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	return b.Bytes(), nil
}
