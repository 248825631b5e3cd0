package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// How a body looks in the request log: structure and attribute names are shown,
// a value only when its attribute is on the list below and it has the form that
// is expected there, else as its type and length. What is not understood is
// hidden, so that a mistake hides too much and never too little.

const (
	maxHeard = 16 << 10 // how much of a body is looked at
	maxShown = 4 << 10  // how much of it is kept, masked; what is open then is closed
	maxValue = 200      // of one value that is shown
)

var (
	anyText = regexp.MustCompile(`^`)
	uuids   = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
	urns    = regexp.MustCompile(`^(urn:(ietf:params:)?scim:|http://schemas\.microsoft\.com/)[A-Za-z0-9.:/_-]{1,150}$`)
	bools   = regexp.MustCompile(`^(?i:true|false)$`)
	counts  = regexp.MustCompile(`^-?[0-9]{1,9}$`)
	slugs   = regexp.MustCompile(`^[A-Za-z][A-Za-z-]{0,49}$`)
)

// sentValues is the allow-list: attributes, in lower case, and what their
// values must look like.
var sentValues = map[string]*regexp.Regexp{
	"schemas": urns, "op": regexp.MustCompile(`^(?i:add|remove|replace)$`),
	"method": regexp.MustCompile(`^(?i:post|put|patch|delete)$`), "active": bools, "primary": bools,
	"title": anyText, "usertype": anyText, // what the policy reads
	"id": uuids, "members": uuids, "groups": uuids, "manager": uuids, // ids of ours
	"type":         regexp.MustCompile(`^(?i:work|home|other|mobile|fax|pager|user|group|direct|indirect)$`),
	"resourcetype": regexp.MustCompile(`^(User|Group|Schema|ResourceType|ServiceProviderConfig)$`),
	"startindex":   counts, "count": counts, "sortorder": regexp.MustCompile(`^(?i:ascending|descending)$`),
}

// answeredValues are shown of an answer too. There they are ours and from
// closed sets; a client may send anything under these names.
var answeredValues = map[string]*regexp.Regexp{
	"scimtype": slugs, "status": regexp.MustCompile(`^[1-5][0-9]{2}$`), "accessstatus": slugs, "role": slugs, "requestedrole": slugs,
	"permissions": slugs, "closedgates": slugs, "clinicalalerts": slugs, "policyversion": counts, "totalresults": counts, "itemsperpage": counts,
	"location": regexp.MustCompile(`^https?://[^/@?#\s]+(/[A-Za-z0-9._~-]+)*/(Users|Groups)/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`),
}

// masking is how one text is masked. The zero value shows least.
type masking struct {
	answer bool // an answer of ours, not what a client sent
}

func (m masking) shows(attribute, value string) bool {
	form := sentValues[attribute]
	if form == nil && m.answer {
		form = answeredValues[attribute]
	}
	return form != nil && form.MatchString(value)
}

func (m masking) text(attribute, value string) string {
	if m.shows(attribute, value) {
		return cut(value, maxValue)
	}
	return hidden("string", value)
}

func hidden(kind, value string) string {
	return "‹" + kind + " " + strconv.Itoa(utf8.RuneCountInString(value)) + "›"
}

// cut shortens a text to at most n bytes and a mark.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + "…"
}

// body masks a body of size bytes, of which head is the beginning or all. It
// answers JSON, or "" when there is no body.
func (m masking) body(head []byte, size int64) string {
	if len(head) == 0 {
		return ""
	}
	root, ok := readJSON(head, int64(len(head)) == size)
	if !ok {
		return quoted(fmt.Sprintf("‹not JSON, %d bytes›", size))
	}
	s := sheet{masking: m}
	s.write(root, "", 0)
	return s.String()
}

// address is the path of a Bulk operation: its template, and the id when it is
// one of ours.
func address(path string) string {
	route, _ := scimRoute(scimRoot + path)
	id := path[strings.LastIndexByte(path, '/')+1:]
	if uuids.MatchString(id) {
		route = strings.Replace(route, "{id}", id, 1)
	}
	return strings.TrimPrefix(route, scimRoot)
}

// sheet is what a masked body is written on.
type sheet struct {
	masking
	bytes.Buffer
}

// write writes a value of an attribute, the name of which rules what is shown
// of plain values inside.
func (s *sheet) write(n node, attribute string, depth int) {
	switch n.kind {
	case '{':
		s.object(n, attribute, depth)
	case '[':
		s.list(n, '[', ']', func(it item) { s.write(it.value, attribute, depth+1) })
	case '"':
		s.WriteString(quoted(s.text(attribute, n.text)))
	case '0', 't':
		switch {
		case s.shows(attribute, n.text):
			s.WriteString(n.text)
		case n.kind == 't':
			s.WriteString(`"‹boolean›"`)
		default:
			s.WriteString(`"‹number›"`)
		}
	default:
		s.WriteString("null")
	}
}

// list writes items between brackets, as many as there is room for.
func (s *sheet) list(n node, open, end byte, write func(it item)) {
	s.WriteByte(open)
	for i, it := range n.items {
		if i > 0 {
			s.WriteByte(',')
		}
		if s.Len() > maxShown {
			s.rest(open, fmt.Sprintf("‹%d more›", len(n.items)-i))
			break
		}
		write(it)
	}
	if n.cut && s.Len() <= maxShown {
		if len(n.items) > 0 {
			s.WriteByte(',')
		}
		s.rest(open, "‹cut›")
	}
	s.WriteByte(end)
}

func (s *sheet) rest(open byte, what string) {
	if open == '{' {
		s.WriteString(`"…":`)
	}
	s.WriteString(quoted(what))
}

// object writes a resource, one of its complex values, an operation of a PATCH
// or a Bulk, or a message of RFC 7644.
func (s *sheet) object(n node, attribute string, depth int) {
	_, operation := n.find("op")
	_, bulk := n.find("method")
	failed := s.answer && n.lists("schemas", "urn:ietf:params:scim:api:messages:2.0:Error") // our words, written to be shown
	target := ""                                                                            // what an operation's value belongs to
	if at, ok := n.find("path"); ok && operation {
		_, target = s.name(at.text, "")
	}
	s.list(n, '{', '}', func(it item) {
		name, rules := s.name(it.name, attribute)
		s.WriteString(quoted(name) + ":")
		switch lower := strings.ToLower(it.name); {
		case operation && lower == "value":
			s.write(it.value, target, depth+1)
		case operation && lower == "path":
			s.texts(it.value, s.names)
		case bulk && lower == "path":
			s.texts(it.value, address)
		case depth == 0 && !s.answer && lower == "filter": // RFC 7644 §3.4.3
			s.texts(it.value, func(text string) string { return s.filter(text, "") })
		case depth == 0 && !s.answer && (lower == "sortby" || lower == "attributes" || lower == "excludedattributes"):
			s.texts(it.value, s.names)
		case failed && lower == "detail":
			s.texts(it.value, s.sentence)
		default:
			s.write(it.value, rules, depth+1)
		}
	})
}

// texts writes a string, or each of a list, as show shows it.
func (s *sheet) texts(n node, show func(string) string) {
	switch n.kind {
	case '"':
		s.WriteString(quoted(show(n.text)))
	case '[':
		s.list(n, '[', ']', func(it item) { s.texts(it.value, show) })
	default:
		s.write(n, "", 1)
	}
}

// quoted writes a JSON string.
func quoted(text string) string {
	plain := func(c rune) bool { return c >= ' ' && c != '"' && c != '\\' && c != utf8.RuneError }
	if strings.IndexFunc(text, func(c rune) bool { return !plain(c) }) < 0 {
		return `"` + text + `"`
	}
	out, err := json.Marshal(text)
	if err != nil { // a string always encodes
		panic(err)
	}
	return string(out)
}
