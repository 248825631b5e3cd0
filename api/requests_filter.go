package api

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// How paths, filters and query strings look in the request log: attributes and
// operators are shown, literals like any other value. The grammar is RFC 7644's
// figures 1 and 7, read only as far as it takes to tell a name from a value.

const maxQuery = 1 << 10 // of a query string, masked

var (
	subName    = regexp.MustCompile(`^\.[A-Za-z$][A-Za-z0-9_$-]{0,99}`)
	bracketed  = regexp.MustCompile(`^\[((?:[^"\[\]]|"(?:[^"\\]|\\.)*")*)\]`)
	comparison = regexp.MustCompile(`^( +)([A-Za-z]{2})( +|$|[)\]])`)
	literal    = regexp.MustCompile(`^("(?:[^"\\]|\\.)*"|[^\s()\[\]"]+)`)
	citation   = regexp.MustCompile(`(attribute |member |the path |path names |key |sortBy )?"((?:[^"\\]|\\.)*)"`)
	mediaType  = regexp.MustCompile(`^[a-z]+/[a-z0-9.+-]+(; ?charset=[A-Za-z0-9-]+)?$`)
)

const maxName = 200

// nameHead is the attribute path at the beginning of a text: a letter or $, then
// letters, digits and what joins them.
func nameHead(text string) string {
	for i := 0; i < len(text); i++ {
		c := text[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c == '$'
		if !letter && (i == 0 || (c < '0' || c > '9') && strings.IndexByte("_.:-", c) < 0) || i == maxName {
			return text[:i]
		}
	}
	return text
}

// comparisons are the operators that take a literal.
var comparisons = []string{"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"}

// governing is the attribute, in lower case, that says what a value is: the
// last of a path, but the one above "value".
func governing(path, above string) string {
	path = strings.ToLower(path[strings.LastIndexByte(path, ':')+1:])
	if path == "value" {
		return above
	}
	path = strings.TrimSuffix(path, ".value")
	return path[strings.LastIndexByte(path, '.')+1:]
}

// path reads attr, attr.sub, attr[filter] or attr[filter].sub at the beginning
// of a text.
func (m masking) path(text, above string) (shown, rules, rest string, ok bool) {
	shown = nameHead(text)
	if shown == "" {
		return "", "", text, false
	}
	rules, rest = governing(shown, above), text[len(shown):]
	if !strings.HasPrefix(rest, "[") {
		return shown, rules, rest, true
	}
	if inside := bracketed.FindStringSubmatch(rest); inside != nil {
		shown += "[" + m.filter(inside[1], rules) + "]"
		rest = rest[len(inside[0]):]
		if sub := subName.FindString(rest); sub != "" {
			shown, rules, rest = shown+sub, governing(sub[1:], rules), rest[len(sub):]
		}
	}
	return shown, rules, rest, true
}

// name masks what should be one path, and says which attribute it ends at.
func (m masking) name(text, above string) (shown, rules string) {
	shown, rules, rest, ok := m.path(text, above)
	if !ok || rest != "" {
		return hidden("name", text), ""
	}
	return shown, rules
}

// names masks paths with commas between them.
func (m masking) names(text string) string {
	parts := strings.Split(text, ",")
	for i, part := range parts {
		if part = strings.TrimSpace(part); part != "" {
			parts[i], _ = m.name(part, "")
		}
	}
	return strings.Join(parts, ",")
}

// filter masks a filter of values of the attribute above. From the first thing
// that is no filter on, everything is hidden.
func (m masking) filter(text, above string) string {
	var out strings.Builder
	for rest := text; rest != ""; {
		if c := rest[0]; c == ' ' || c == '(' || c == ')' {
			out.WriteByte(c)
			rest = rest[1:]
			continue
		}
		if word := nameHead(rest); slices.Contains([]string{"and", "or", "not"}, strings.ToLower(word)) {
			out.WriteString(word)
			rest = rest[len(word):]
			continue
		}
		shown, left, ok := m.expression(rest, above)
		if !ok {
			out.WriteString(hidden("text", rest))
			break
		}
		out.WriteString(shown)
		rest = left
	}
	return out.String()
}

// expression masks one comparison, or a value path that stands alone.
func (m masking) expression(text, above string) (shown, rest string, ok bool) {
	shown, rules, rest, ok := m.path(text, above)
	if !ok {
		return "", text, false
	}
	op := comparison.FindStringSubmatch(rest)
	if op == nil {
		return shown, rest, strings.HasSuffix(shown, "]")
	}
	shown += op[1] + op[2]
	rest = rest[len(op[1])+len(op[2]):]
	switch word := strings.ToLower(op[2]); {
	case word == "pr":
		return shown, rest, true
	case !slices.Contains(comparisons, word):
		return "", text, false
	}
	blank := len(rest) - len(strings.TrimLeft(rest, " "))
	value := literal.FindString(rest[blank:])
	if blank == 0 || value == "" {
		return "", text, false
	}
	return shown + rest[:blank] + m.literal(rules, value), rest[blank+len(value):], true
}

func (m masking) literal(attribute, value string) string {
	var text string
	switch {
	case value == "null":
		return value
	case json.Unmarshal([]byte(value), &text) == nil:
		return quoted(m.text(attribute, text))
	case m.shows(attribute, value):
		return cut(value, maxValue)
	}
	return hidden("literal", value)
}

// query masks a query string.
func (m masking) query(raw string) string {
	pairs := []string{}
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		name, value, valued := strings.Cut(pair, "=")
		name, errName := url.QueryUnescape(name)
		value, errValue := url.QueryUnescape(value)
		if errName != nil || errValue != nil {
			pairs = append(pairs, hidden("text", pair))
			continue
		}
		shown, _ := m.name(name, "")
		if valued {
			shown += "=" + m.parameter(strings.ToLower(name), value)
		}
		pairs = append(pairs, shown)
	}
	return cut(strings.Join(pairs, "&"), maxQuery)
}

func (m masking) parameter(name, value string) string {
	switch name {
	case "filter":
		return m.filter(value, "")
	case "attributes", "excludedattributes", "sortby":
		return m.names(value)
	case "startindex", "count", "sortorder":
		return m.text(name, value)
	default:
		return hidden("string", value)
	}
}

// sentence masks the detail of an error. It may cite what was sent: an id, a
// schema, a media type, and what is said to be an attribute's name and can be.
func (m masking) sentence(text string) string {
	return cut(citation.ReplaceAllStringFunc(text, func(cited string) string {
		parts := citation.FindStringSubmatch(cited)
		before, inside := parts[1], parts[2]
		name := before != "" && inside != "" && nameHead(inside) == inside
		if name || uuids.MatchString(inside) || urns.MatchString(inside) || mediaType.MatchString(inside) {
			return cited
		}
		return before + `"` + hidden("string", inside) + `"`
	}), maxQuery)
}
