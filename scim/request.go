package scim

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/discovery"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/render"
	"github.com/healthix/healthix-scim/scim/schema"
)

// Body limits, in bytes.
const (
	maxResource = 1 << 20
	maxGroup    = 8 << 20 // a group's PUT or PATCH
)

// acceptable says whether an Accept header allows what this server answers.
func acceptable(headers []string) bool {
	any := false
	for _, part := range strings.Split(strings.Join(headers, ","), ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		any = true
		media, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		if q, err := strconv.ParseFloat(params["q"], 64); err == nil && q == 0 {
			continue
		}
		switch media {
		case "*/*", "application/*", contentType, "application/json":
			return true
		}
	}
	return !any
}

// body reads the request's JSON object.
func (x *exchange) body(limit int64) (protocol.Object, error) {
	text, err := x.text(limit)
	if err != nil {
		return nil, err
	}
	return protocol.Read(text)
}

func (x *exchange) text(limit int64) ([]byte, error) {
	if err := x.checkContentType(); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, limit))
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	return text, nil
}

func (x *exchange) checkContentType() error {
	header := x.r.Header.Get("Content-Type")
	if header == "" && x.reading.Allow(dialect.ContentTypeMissing) {
		return nil
	}
	media, params, err := mime.ParseMediaType(header)
	charset := params["charset"]
	if err != nil || media != contentType && media != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return refuse(http.StatusUnsupportedMediaType, "the Content-Type is "+protocol.Quote(header)+"; send "+contentType+" in UTF-8")
	}
	return nil
}

// query is what a list or a projection asks for.
type query struct {
	attributes, excluded []string
	filter               *string
	sortBy, sortOrder    string
	start, count         int
	cursor               *string // "" is the first page (RFC 9865 §2)
}

// parameters reads the URL's parameters. net/http would drop pairs that cannot
// be read, and with them a filter.
func (x *exchange) parameters() (url.Values, error) {
	values, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return nil, protocol.Errorf(protocol.InvalidSyntax, "", "the URL's parameters cannot be read; percent-encode their values")
	}
	return values, nil
}

func (x *exchange) queryOfURL() (query, error) {
	values, err := x.parameters()
	if err != nil {
		return query{}, err
	}
	q := query{
		attributes: names(values["attributes"]), excluded: names(values["excludedAttributes"]),
		sortBy: values.Get("sortBy"), sortOrder: values.Get("sortOrder"),
	}
	if values.Has("filter") {
		text := values.Get("filter")
		q.filter = &text
	}
	if values.Has("cursor") {
		text := values.Get("cursor")
		q.cursor = &text
	}
	return q.paged(values.Get("startIndex"), values.Get("count"))
}

// paged reads which page is wanted. Counting begins at 1, and a negative count
// means none (RFC 7644 §3.4.2.4).
func (q query) paged(start, count string) (query, error) {
	wrong := protocol.InvalidValue
	if q.cursor != nil {
		wrong = protocol.InvalidCount // RFC 9865 §2.1
		if start != "" {
			return q, protocol.Errorf(protocol.InvalidValue, "startIndex", "startIndex and cursor are two ways of paging; send one of them")
		}
	}
	var err error
	if q.start, err = integer("startIndex", start, 1, protocol.InvalidValue); err != nil {
		return q, err
	}
	q.count, err = integer("count", count, discovery.DefaultPage, wrong)
	q.start = max(q.start, 1)
	q.count = min(max(q.count, 0), discovery.MaxPage)
	return q, err
}

func names(values []string) []string {
	var out []string
	for _, v := range values {
		for _, name := range strings.Split(v, ",") {
			if name = strings.TrimSpace(name); name != "" {
				out = append(out, name)
			}
		}
	}
	return out
}

func integer(name, text string, unset int, wrong protocol.Type) (int, error) {
	if text == "" {
		return unset, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if errors.Is(err, strconv.ErrRange) {
		return int(n), nil // the nearest there is: no page lies beyond
	}
	if err != nil {
		return 0, protocol.Errorf(wrong, name, "%s is %s; send an integer", name, protocol.Quote(text))
	}
	return int(n), nil
}

// queryOfBody reads a SearchRequest (RFC 7644 §3.4.3).
func (x *exchange) queryOfBody() (query, error) {
	var q query
	o, err := x.body(maxResource)
	if err != nil {
		return q, err
	}
	listed, _ := o.Get("schemas")
	urns, _ := texts("schemas", listed)
	if !containsFold(urns, protocol.MessageSearch) && !x.reading.Allow(dialect.SchemasMissing) {
		return q, protocol.Errorf(protocol.InvalidSyntax, "schemas", "schemas does not list %s; add it", protocol.MessageSearch)
	}
	var start, count string
	for _, m := range o {
		if m.Value == nil {
			continue
		}
		switch strings.ToLower(m.Name) {
		case "startindex":
			start = fmt.Sprint(m.Value)
		case "count":
			count = fmt.Sprint(m.Value)
		default:
			if err := q.set(m); err != nil {
				return q, err
			}
		}
	}
	return q.paged(start, count)
}

func (q *query) set(m protocol.Member) (err error) {
	switch strings.ToLower(m.Name) {
	case "attributes":
		q.attributes, err = texts("attributes", m.Value)
	case "excludedattributes":
		q.excluded, err = texts("excludedAttributes", m.Value)
	case "filter":
		var text string
		text, err = textOf("filter", m.Value)
		q.filter = &text
	case "sortby":
		q.sortBy, err = textOf("sortBy", m.Value)
	case "sortorder":
		q.sortOrder, err = textOf("sortOrder", m.Value)
	case "cursor":
		text, ok := m.Value.(string)
		if !ok {
			return protocol.Errorf(protocol.InvalidCursor, "cursor", "cursor is %s; send a string", protocol.Kind(m.Value))
		}
		q.cursor = &text
	}
	return err
}

func textOf(name string, v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", protocol.Errorf(protocol.InvalidValue, name, "%s is %s; send a string", name, protocol.Kind(v))
	}
	return s, nil
}

// texts reads an array of strings; one string with commas is read as the URL's
// parameter is.
func texts(name string, v any) ([]string, error) {
	if s, ok := v.(string); ok {
		return names([]string{s}), nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, protocol.Errorf(protocol.InvalidValue, name, "%s is %s; send an array of strings", name, protocol.Kind(v))
	}
	out := make([]string, 0, len(list))
	for _, e := range list {
		s, err := textOf(name, e)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func containsFold(list []string, s string) bool {
	for _, e := range list {
		if strings.EqualFold(e, s) {
			return true
		}
	}
	return false
}

// view is how this request's single answers look.
func (x *exchange) view(r *schema.Resource) (render.View, error) {
	values, err := x.parameters()
	if err != nil {
		return render.View{}, err
	}
	return x.viewOf(r, query{attributes: names(values["attributes"]), excluded: names(values["excludedAttributes"])})
}

func (x *exchange) viewOf(r *schema.Resource, q query) (render.View, error) {
	p, err := render.Project(r, q.attributes, q.excluded, x.reading)
	return render.View{BaseURL: x.baseURL, Now: x.now, Project: p}, err
}

// matches compares entity tags weakly on purpose: RFC 9110 wants the strong
// comparison for If-Match, under which the weak tags of RFC 7644 §3.14 would
// never match.
func matches(header, tag string) bool {
	for _, part := range strings.Split(header, ",") {
		part = strings.TrimSpace(part)
		if part == "*" || strings.Trim(strings.TrimPrefix(part, "W/"), `"`) == strings.Trim(strings.TrimPrefix(tag, "W/"), `"`) {
			return true
		}
	}
	return false
}

// condition joins a header that may be sent on several lines.
func (x *exchange) condition(name string) string { return strings.Join(x.r.Header.Values(name), ",") }

// precondition checks If-Match and If-None-Match of a write.
func (x *exchange) precondition(tag string) error {
	if header := x.condition("If-Match"); header != "" && !matches(header, tag) {
		return lifecycle.Faultf(lifecycle.KindStale, "meta.version", "If-Match is not the current version; read the resource again and repeat the change")
	}
	if header := x.condition("If-None-Match"); header != "" && matches(header, tag) {
		return lifecycle.Faultf(lifecycle.KindStale, "meta.version", "If-None-Match names the current version")
	}
	return nil
}

// readable checks the same of a read. It answers 304 when the client has this
// version already; unmet says that nothing is left to do.
func (x *exchange) readable(tag string) (unmet bool, err error) {
	if header := x.condition("If-Match"); header != "" && !matches(header, tag) {
		return true, lifecycle.Faultf(lifecycle.KindStale, "meta.version", "If-Match is not the current version; read without it")
	}
	if header := x.condition("If-None-Match"); header == "" || !matches(header, tag) {
		return false, nil
	}
	x.w.Header().Set("ETag", tag)
	x.w.WriteHeader(http.StatusNotModified)
	return true, nil
}

// send answers with one resource.
func (x *exchange) send(status int, location, tag string, body []byte) error {
	h := x.w.Header()
	h.Set("ETag", tag)
	if status == http.StatusCreated {
		h.Set("Location", location)
	}
	write(x.w, x.r, status, body)
	return nil
}
