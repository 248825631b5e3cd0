// Package filter reads SCIM filters and paths (RFC 7644 §3.4.2.2), binds them to
// a schema and lowers them to storage's closed tree. It never glues text into a
// query, and refuses length and depth before it recurses.
package filter

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/healthix/healthix-scim/scim/protocol"
)

// Limits of a filter. A parser without them can be killed by brackets alone.
const (
	MaxLength = 8 << 10
	MaxDepth  = 50
)

// Expr is a parsed filter, not yet bound to a schema.
type Expr interface{ expr() }

// And holds when all hold.
type And []Expr

// Or holds when one holds.
type Or []Expr

// Not holds when its operand does not.
type Not struct{ Expr Expr }

// Compare is attrPath op value; Value is string, bool, json.Number or nil, and
// means nothing with Op "pr".
type Compare struct {
	Path  string
	Op    string // lower case
	Value any
}

// ValuePath is attrPath[filter]: one element satisfies all of Filter.
type ValuePath struct {
	Path   string
	Filter Expr
}

func (And) expr()       {}
func (Or) expr()        {}
func (Not) expr()       {}
func (Compare) expr()   {}
func (ValuePath) expr() {}

// Parse reads a filter.
func Parse(text string) (Expr, error) {
	p, err := newParser(text)
	if err != nil {
		return nil, err
	}
	e, err := p.or(0, false)
	if err != nil {
		return nil, err
	}
	if p.space(); p.pos < len(p.text) {
		return nil, p.fault("expected and, or, or the end of the filter")
	}
	return e, nil
}

// Path is a PATCH path: attr, attr.sub, attr[filter] or attr[filter].sub, each
// with an optional URN before it.
type Path struct {
	Attr   string // with URN and, when there is no Filter, the sub-attribute
	Filter Expr   // nil when there is none
	Sub    string // after the filter
}

// ParsePath reads a PATCH path.
func ParsePath(text string) (Path, error) {
	text = strings.Trim(text, " ")
	open := strings.IndexByte(text, '[')
	attr := text
	if open >= 0 {
		attr = text[:open]
	}
	if attr == "" || len(text) > MaxLength || strings.IndexFunc(attr, notName) >= 0 {
		return Path{}, protocol.Errorf(protocol.InvalidPath, "path", "the path %s cannot be read; send attr, attr.sub, attr[filter] or attr[filter].sub", protocol.Quote(attr))
	}
	if open < 0 {
		return Path{Attr: attr}, nil
	}
	p, err := newParser(text)
	if err != nil {
		return Path{}, err
	}
	p.pos = open + 1
	e, err := p.or(1, true)
	if err != nil {
		return Path{}, err
	}
	if !p.take(']') {
		return Path{}, p.fault("expected ]")
	}
	path := Path{Attr: attr, Filter: e}
	rest := text[p.pos:]
	if rest == "" {
		return path, nil
	}
	if rest[0] != '.' || len(rest) == 1 || strings.IndexFunc(rest[1:], notName) >= 0 || strings.ContainsAny(rest[1:], ".:") {
		return Path{}, protocol.Errorf(protocol.InvalidPath, "path", "after ] the path may only go on with .sub-attribute")
	}
	path.Sub = rest[1:]
	return path, nil
}

type parser struct {
	text string
	pos  int
}

func newParser(text string) (*parser, error) {
	if len(text) > MaxLength {
		return nil, protocol.Errorf(protocol.InvalidFilter, "filter", "the filter has %d bytes; at most %d are read", len(text), MaxLength)
	}
	if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
		return nil, protocol.Errorf(protocol.InvalidFilter, "filter", "the filter is not UTF-8 text")
	}
	return &parser{text: text}, nil
}

// fault names the place and what was expected; it does not repeat the filter,
// which may hold personal data.
func (p *parser) fault(expected string) error {
	return protocol.Errorf(protocol.InvalidFilter, "filter", "the filter cannot be read at character %d: %s", utf8.RuneCountInString(p.text[:p.pos])+1, expected)
}

func (p *parser) space() {
	for p.pos < len(p.text) && (p.text[p.pos] == ' ' || p.text[p.pos] == '\t') {
		p.pos++
	}
}

func (p *parser) take(c byte) bool {
	p.space()
	if p.pos < len(p.text) && p.text[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

// keyword takes a word in any letter case when it stands alone.
func (p *parser) keyword(word string) bool {
	p.space()
	end := p.pos + len(word)
	if end > len(p.text) || !strings.EqualFold(p.text[p.pos:end], word) {
		return false
	}
	if end < len(p.text) && !notName(rune(p.text[end])) {
		return false
	}
	p.pos = end
	return true
}

// or, and, unary: grouping binds tightest, then not, and, or (RFC 7644
// §3.4.2.2, erratum 4670). inside says that a value path's brackets are open,
// where no other may open.
func (p *parser) or(depth int, inside bool) (Expr, error) {
	if depth > MaxDepth {
		return nil, protocol.Errorf(protocol.InvalidFilter, "filter", "the filter nests deeper than %d levels; write it flatter", MaxDepth)
	}
	first, err := p.and(depth, inside)
	if err != nil {
		return nil, err
	}
	if !p.keyword("or") {
		return first, nil
	}
	list := Or{first}
	for more := true; more; more = p.keyword("or") {
		next, err := p.and(depth, inside)
		if err != nil {
			return nil, err
		}
		list = append(list, next)
	}
	return list, nil
}

func (p *parser) and(depth int, inside bool) (Expr, error) {
	first, err := p.unary(depth, inside)
	if err != nil {
		return nil, err
	}
	if !p.keyword("and") {
		return first, nil
	}
	list := And{first}
	for more := true; more; more = p.keyword("and") {
		next, err := p.unary(depth, inside)
		if err != nil {
			return nil, err
		}
		list = append(list, next)
	}
	return list, nil
}

func (p *parser) unary(depth int, inside bool) (Expr, error) {
	start := p.pos
	if p.keyword("not") {
		if p.take('(') {
			e, err := p.group(depth, inside)
			return Not{e}, err
		}
		p.pos = start // an attribute of that name, as far as the grammar goes
	}
	if p.take('(') {
		return p.group(depth, inside)
	}
	return p.attribute(depth, inside)
}

func (p *parser) group(depth int, inside bool) (Expr, error) {
	e, err := p.or(depth+1, inside)
	if err != nil {
		return nil, err
	}
	if !p.take(')') {
		return nil, p.fault("expected )")
	}
	return e, nil
}

func (p *parser) attribute(depth int, inside bool) (Expr, error) {
	path := p.name()
	if path == "" {
		return nil, p.fault("expected an attribute name, not or (")
	}
	if p.pos < len(p.text) && p.text[p.pos] == '[' {
		if inside {
			return nil, p.fault("brackets cannot stand inside brackets")
		}
		return p.valuePath(path, depth)
	}
	return p.comparison(path)
}

func (p *parser) valuePath(path string, depth int) (Expr, error) {
	p.pos++
	e, err := p.or(depth+1, true)
	if err != nil {
		return nil, err
	}
	if !p.take(']') {
		return nil, p.fault("expected ]")
	}
	if p.pos == len(p.text) || p.text[p.pos] != '.' {
		return ValuePath{path, e}, nil
	}
	// emails[type eq "work"].value eq "x": the comparison joins the brackets,
	// for it speaks of the same element.
	p.pos++
	sub := p.name()
	if sub == "" {
		return nil, p.fault("expected a sub-attribute after ].")
	}
	c, err := p.comparison(sub)
	if err != nil {
		return nil, err
	}
	if c.Op == "ne" {
		return Not{ValuePath{path, And{e, Compare{c.Path, "eq", c.Value}}}}, nil
	}
	return ValuePath{path, And{e, c}}, nil
}

func (p *parser) comparison(path string) (Compare, error) {
	c := Compare{Path: path, Op: strings.ToLower(p.name())}
	switch c.Op {
	case "pr":
		return c, nil
	case "eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le":
		v, err := p.value()
		c.Value = v
		return c, err
	}
	return c, p.fault("expected eq, ne, co, sw, ew, pr, gt, ge, lt or le")
}

// name takes an attribute path or an operator.
func (p *parser) name() string {
	p.space()
	start := p.pos
	for p.pos < len(p.text) && !notName(rune(p.text[p.pos])) {
		p.pos++
	}
	return p.text[start:p.pos]
}

// notName says whether a character ends a name. Names are ASCII (RFC 7643
// §2.1); colons and dots come with URNs, $ with $ref.
func notName(c rune) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return false
	}
	return !strings.ContainsRune("-_$.:", c)
}

// value takes a compValue: a JSON string, number, true, false or null.
func (p *parser) value() (any, error) {
	p.space()
	if p.pos < len(p.text) && p.text[p.pos] == '"' {
		return p.stringValue()
	}
	start := p.pos
	for p.pos < len(p.text) && (!notName(rune(p.text[p.pos])) || p.text[p.pos] == '+') {
		p.pos++
	}
	switch word := p.text[start:p.pos]; {
	case strings.EqualFold(word, "true"):
		return true, nil
	case strings.EqualFold(word, "false"):
		return false, nil
	case strings.EqualFold(word, "null"):
		return nil, nil
	case word != "" && json.Valid([]byte(word)): // no other word is, but a number
		return json.Number(word), nil
	}
	p.pos = start
	return nil, p.fault("expected a value: a string in double quotes, a number, true, false or null")
}

func (p *parser) stringValue() (any, error) {
	plain := true // no escape, and nothing that JSON would have escaped
	for i := p.pos + 1; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c < ' ':
			plain = false
		case c == '\\':
			plain = false
			i++
		case c == '"':
			if plain {
				s := p.text[p.pos+1 : i]
				p.pos = i + 1
				return s, nil
			}
			var s string
			if json.Unmarshal([]byte(p.text[p.pos:i+1]), &s) != nil {
				return nil, p.fault("the string's escapes are not JSON's")
			}
			if strings.IndexByte(s, 0) >= 0 {
				return nil, p.fault("the string holds the character U+0000")
			}
			p.pos = i + 1
			return s, nil
		}
	}
	return nil, p.fault("the string is not closed")
}
