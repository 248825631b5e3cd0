package scim

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/protocol"
)

// operation is one of a Bulk, as it was sent.
type operation struct {
	index   int
	method  string // upper case; as sent when it is none of the four
	url     *url.URL
	target  string   // endpoint/id, unless it is a POST
	bulkID  string   // of a POST it names what is made
	version string   // becomes If-Match
	data    []byte   // the body
	refs    []string // bulkIds in path and data, each once
	shown   bool     // the client named the attributes that it wants to see
	fault   error    // why it cannot be tried
	result  *result  // nil until it was attempted
}

// makes says whether others may refer to what the operation makes.
func (op *operation) makes() bool {
	return op.method == http.MethodPost && op.bulkID != "" && op.fault == nil
}

// readOperations reads all operations, so that what refers to what is known
// before the first is carried out. One that cannot be read fails alone.
func readOperations(list []protocol.Raw, reading *dialect.Reading) []*operation {
	ops := make([]*operation, len(list))
	first := map[string]*operation{}
	for i, raw := range list {
		op := &operation{index: i}
		ops[i] = op
		if op.fault = op.read(raw, reading); op.fault == nil {
			op.findReferences()
		}
		if op.method != http.MethodPost || op.bulkID == "" {
			continue
		}
		// Nobody can tell whom a reference to one of two would mean, so that
		// neither is made.
		if twin := first[op.bulkID]; twin != nil {
			op.fault = protocol.Errorf(protocol.InvalidValue, "bulkId", "bulkId %s is sent with more than one POST; give each its own", protocol.Quote(op.bulkID))
			twin.fault = op.fault
		} else {
			first[op.bulkID] = op
		}
	}
	return ops
}

func (op *operation) read(raw protocol.Raw, reading *dialect.Reading) error {
	members, err := raw.Members()
	if err != nil {
		return err
	}
	fields := map[string]protocol.Raw{}
	for _, m := range members {
		if m.Value.Kind() != protocol.Kind(nil) {
			fields[strings.ToLower(m.Name)] = m.Value
		}
	}
	var path string
	for _, f := range []struct {
		name string
		into *string
	}{{"method", &op.method}, {"bulkId", &op.bulkID}, {"path", &path}, {"version", &op.version}} {
		value, sent := fields[strings.ToLower(f.name)]
		if !sent {
			continue
		}
		text, ok := value.Text()
		if !ok {
			return protocol.Errorf(protocol.InvalidSyntax, f.name, "%s is %s; send a string", f.name, value.Kind())
		}
		*f.into = text
	}
	if err := op.setMethod(reading); err != nil {
		return err
	}
	if err := op.setPath(path); err != nil {
		return err
	}
	if op.method == http.MethodPost {
		op.version = "" // there is none yet
	}
	op.data = fields["data"]
	switch {
	case op.method == http.MethodDelete:
		op.data = nil
	case op.data == nil:
		return protocol.Errorf(protocol.InvalidValue, "data", "data is missing; send what a single %s would have as its body", op.method)
	case op.method == http.MethodPost && op.bulkID == "":
		return protocol.Errorf(protocol.InvalidValue, "bulkId", "bulkId is missing; a POST in a Bulk needs one of its own")
	}
	return nil
}

func (op *operation) setMethod(reading *dialect.Reading) error {
	upper := strings.ToUpper(op.method)
	switch upper {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return protocol.Errorf(protocol.InvalidSyntax, "method", "method is %s; send POST, PUT, PATCH or DELETE", protocol.Quote(op.method))
	}
	if op.method != upper && !reading.Allow(dialect.MethodCase) {
		return protocol.Errorf(protocol.InvalidSyntax, "method", "method is %s; send it in upper case", protocol.Quote(op.method))
	}
	op.method = upper
	return nil
}

// setPath reads a path relative to the root of the service. What it leads to is
// said by the router, as for a single request; only what is no operation on a
// resource is refused here.
func (op *operation) setPath(path string) error {
	u, err := url.Parse(path)
	if err != nil || path == "" || u.Scheme != "" || u.Host != "" || u.Fragment != "" {
		return protocol.Errorf(protocol.InvalidValue, "path", "the path cannot be read; send it from the root of the service, such as /Users or /Users/id")
	}
	endpoint, id, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	switch {
	case endpoint == "Bulk":
		return protocol.Errorf(protocol.InvalidValue, "path", "an operation of a Bulk cannot be a Bulk; send its operations themselves")
	case endpoint == ".search" || id == ".search":
		return protocol.Errorf(protocol.InvalidValue, "path", "a search is no operation of a Bulk; send it by itself")
	}
	op.url = &url.URL{Path: Prefix + "/" + strings.Trim(u.Path, "/"), RawQuery: u.RawQuery}
	query, err := url.ParseQuery(u.RawQuery)
	op.shown = query.Has("attributes") || query.Has("excludedAttributes")
	if err == nil && !op.shown { // nothing is loaded that nobody will see
		query.Set("attributes", "id")
		op.url.RawQuery = query.Encode()
	}
	if op.method != http.MethodPost && id != "" {
		op.target = endpoint + "/" + id
	}
	return nil
}

// findReferences notes the bulkIds in path and data. A body that cannot be read
// has none; it fails when its turn comes.
func (op *operation) findReferences() {
	seen := map[string]bool{}
	note := func(bulkID string) (string, bool) {
		if !seen[bulkID] {
			seen[bulkID] = true
			op.refs = append(op.refs, bulkID)
		}
		return "", true
	}
	if _, id, _ := strings.Cut(op.target, "/"); strings.HasPrefix(id, bulkIDPrefix) {
		note(strings.TrimPrefix(id, bulkIDPrefix))
	}
	if len(op.data) > maxGroup || !mayRefer(op.data) {
		return
	}
	if o, err := protocol.Read(op.data); err == nil {
		swap(note).resource(o)
	}
}

// at answers the operation's URL with an id in place of a bulkId.
func (op *operation) at(s swap) *url.URL {
	endpoint, id, _ := strings.Cut(op.target, "/")
	bulkID, refers := strings.CutPrefix(id, bulkIDPrefix)
	if !refers {
		return op.url
	}
	id, _ = s(bulkID)
	return &url.URL{Path: Prefix + "/" + endpoint + "/" + id, RawQuery: op.url.RawQuery}
}

// body answers the operation's data with ids in place of bulkIds.
func (op *operation) body(s swap) []byte {
	if len(op.refs) == 0 || len(op.data) == 0 {
		return op.data
	}
	o, err := protocol.Read(op.data)
	if err != nil {
		return op.data // the handler says so
	}
	return protocol.Append(make([]byte, 0, len(op.data)+64), s.resource(o))
}
