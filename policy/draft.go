package policy

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"
)

// Draft adds a title to a document's table, as an alias of the row of asTitle
// (of its first, when it has several). In a document whose table is a literal
// block only that line changes; any other is written anew. It refuses titles
// that are banned or that the policy maps already, and an asTitle that is not in
// the table.
func Draft(document []byte, title, asTitle string) ([]byte, error) {
	p, err := Parse(document)
	if err != nil {
		return nil, err
	}
	if says, _ := p.speaksOf(title); says != "" {
		return nil, fmt.Errorf("draft %q: it %s", clip(title), says)
	}
	of, fault := p.register().title(asTitle)
	if fault != "" {
		return nil, fmt.Errorf("draft %q: %s", clip(title), fault)
	}
	d := reader{}
	root := d.root(document, documentKeys)
	value := root.Content[keyIndex(root, "titles")+1]
	alias := aliasFor(title)
	table, line, err := withAlias(value.Value, of.rows[0], alias)
	if err != nil {
		return nil, fmt.Errorf("draft %q: %w", clip(title), err)
	}
	out, ok := document, false
	if line > 0 && value.Style&yaml.LiteralStyle != 0 {
		out, ok = replaceLine(document, value.Line+line, lineOf(value.Value, line), lineOf(table, line))
	}
	if !ok {
		value.Value, value.Style = table, yaml.LiteralStyle
		if out, err = encode(d.tree); err != nil {
			return nil, fmt.Errorf("draft %q: %w", clip(title), err)
		}
	}
	q, err := Parse(out)
	if err != nil {
		return nil, fmt.Errorf("draft %q: %w", clip(title), err)
	}
	if m := q.match(title); m.Of == nil || m.Of.title != of.title {
		return nil, fmt.Errorf("draft %q: it would not be read as %s even then", clip(title), of.title)
	}
	return out, nil
}

// aliasFor writes a title as a field of the table: on one line, nothing hidden,
// and no bar, which separates aliases and reads like a dash.
func aliasFor(title string) string {
	alias := strings.Join(strings.Fields(strings.ReplaceAll(title, "|", " - ")), " ")
	hidden := strings.ContainsFunc(alias, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar })
	if hidden || NormalTitle(alias) != NormalTitle(title) {
		return NormalTitle(title)
	}
	return alias
}

// withAlias adds an alias to a row in the text of the table. It answers the line
// that changed, from 1, or 0 when others did too.
func withAlias(table string, row *Row, alias string) (text string, line int, err error) {
	r := csv.NewReader(strings.NewReader(table))
	r.FieldsPerRecord = -1
	var records [][]string
	var found []string
	start := 0 // offset of the record
	for {
		before := r.InputOffset()
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", 0, fmt.Errorf("read the table: %w", err)
		}
		if fields = slices.Clone(fields); found == nil && len(records) > 0 && isRow(records[0], fields, row) {
			found, start = fields, int(before)
			line, _ = r.FieldPos(0)
			if end := int(r.InputOffset()); strings.Contains(strings.Trim(table[start:end], "\r\n"), "\n") {
				line = 0 // a field of several lines
			}
		}
		records = append(records, fields)
	}
	if found == nil {
		return "", 0, fmt.Errorf("the table has no line for %s", row.ID)
	}
	at := slices.IndexFunc(records[0], func(name string) bool { return strings.TrimSpace(name) == "aliases" })
	if at < 0 {
		at, line = len(records[0]), 0
		for i := range records {
			records[i] = append(records[i], "")
		}
		records[0][at] = "aliases"
		found = records[slices.IndexFunc(records, func(fields []string) bool { return isRow(records[0], fields, row) })]
	}
	if strings.TrimSpace(found[at]) != "" {
		alias = strings.TrimSpace(found[at]) + "|" + alias
	}
	found[at] = alias
	if line > 0 {
		changed, err := writeCSV([][]string{found})
		if err != nil {
			return "", 0, err
		}
		lines := strings.SplitAfter(table, "\n")
		ending := lines[line-1][len(strings.TrimRight(lines[line-1], "\r\n")):]
		lines[line-1] = strings.TrimSuffix(changed, "\n") + ending
		return strings.Join(lines, ""), line, nil
	}
	text, err = writeCSV(records)
	return text, 0, err
}

// isRow says whether a record is the line of a row.
func isRow(header, fields []string, row *Row) bool {
	get := func(column string) string {
		for i, name := range header {
			if strings.TrimSpace(name) == column && i < len(fields) {
				return strings.TrimSpace(fields[i])
			}
		}
		return ""
	}
	if get("title") != row.Title {
		return false
	}
	id := get("row")
	return id == row.ID || (id == "" && slug(row.Title) == row.ID)
}

func writeCSV(records [][]string) (string, error) {
	var b strings.Builder
	w := csv.NewWriter(&b)
	if err := w.WriteAll(records); err != nil {
		return "", fmt.Errorf("write the table: %w", err)
	}
	return b.String(), nil
}

func lineOf(text string, line int) string {
	return strings.TrimRight(strings.Split(text, "\n")[line-1], "\r")
}

// replaceLine puts a line of a literal block in place of another, behind the same
// indentation; ok is false when the document's line is not the one expected.
func replaceLine(document []byte, line int, old, replacement string) (out []byte, ok bool) {
	lines := bytes.SplitAfter(document, []byte("\n"))
	if line > len(lines) {
		return document, false
	}
	whole := lines[line-1]
	bare := bytes.TrimRight(whole, "\r\n")
	indentation, found := bytes.CutSuffix(bare, []byte(old))
	if !found || len(bytes.TrimLeft(indentation, " ")) > 0 {
		return document, false
	}
	lines[line-1] = slices.Concat(indentation, []byte(replacement), whole[len(bare):])
	return bytes.Join(lines, nil), true
}

// DraftOverlay adds a synonym to an overlay; an empty document is an overlay that
// holds nothing yet. Whether the policy of all maps the title, and has asTitle,
// is for ParseOverlay, which knows it.
func DraftOverlay(document []byte, title, asTitle string) ([]byte, error) {
	if NormalTitle(title) == "" || NormalTitle(asTitle) == "" {
		return nil, fmt.Errorf("draft %q: a title with a letter was expected", clip(title))
	}
	d := reader{tree: &yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{Kind: yaml.MappingNode}}}}
	if len(bytes.TrimSpace(document)) > 0 {
		w := d.overlay(document)
		if err := d.err("policy overlay"); err != nil {
			return nil, err
		}
		for _, s := range w.synonyms {
			if NormalTitle(s.key) == NormalTitle(title) {
				return nil, fmt.Errorf("draft %q: the overlay reads it as %q already", clip(title), s.value)
			}
		}
	}
	root := d.tree.Content[0]
	at := keyIndex(root, "synonyms")
	if at < 0 {
		at = len(root.Content)
		root.Content = append(root.Content, scalar("synonyms"), &yaml.Node{Kind: yaml.MappingNode})
	}
	synonyms := root.Content[at+1]
	synonyms.Content = append(synonyms.Content, scalar(aliasFor(title)), scalar(strings.TrimSpace(asTitle)))
	root.Style &^= yaml.FlowStyle
	synonyms.Style &^= yaml.FlowStyle
	out, err := encode(d.tree)
	if err != nil {
		return nil, fmt.Errorf("draft %q: %w", clip(title), err)
	}
	return out, nil
}

// scalar is a text; YAML quotes what would be read as a number or a truth value.
func scalar(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	return n
}
