package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Schema is the JSON Schema (2020-12) of a policy document, for editors; an
// overlay's is in it as #/$defs/overlay. It is made of the same tables of keys
// that Parse reads by. What it cannot say, as that a role exists, Parse does.
func Schema() ([]byte, error) {
	document := mapping(documentFields, "roles", "titles")
	document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	document["$id"] = "urn:healthix:policy:document"
	document["title"] = "Healthix policy document"
	document["description"] = "Which title leads to which role, what a role holds, and what must hold before it is released."
	overlay := mapping(overlayFields)
	overlay["title"] = "Healthix policy overlay"
	overlay["description"] = "What one participant adds to the policy of all: ways of writing a title, and narrowing."
	document["$defs"] = shape{"overlay": overlay}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(document); err != nil {
		return nil, fmt.Errorf("write JSON Schema: %w", err)
	}
	return b.Bytes(), nil
}
