// Package discovery states what this server serves (RFC 7643 §5–7): exactly
// what is on, nothing that is planned.
package discovery

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/schema"
)

// Limits that clients are told.
const (
	DefaultPage = 100
	MaxPage     = 1000
	// CursorLife is how long a cursor can be used. It costs the server nothing;
	// the limit is for what a cursor that lies about may still be good for.
	CursorLife = 24 * time.Hour
	// MaxOperations is also what authentik reads as the number of operations it
	// may put into one PATCH.
	MaxOperations = 10_000
	MaxPayload    = 16 << 20 // of a Bulk, in bytes
)

// Schema URNs of the discovery resources themselves.
const (
	urnConfig       = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
	urnResourceType = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
	urnSchema       = "urn:ietf:params:scim:schemas:core:2.0:Schema"
)

// Documents are the answers, made once.
type Documents struct {
	Config        []byte
	ResourceTypes Collection
	Schemas       Collection
}

// Collection is a list of documents that each have a name.
type Collection struct {
	List  []byte
	items map[string][]byte
}

// Find finds one document by its name or URN in any letter case.
func (c Collection) Find(name string) ([]byte, bool) {
	item, ok := c.items[strings.ToLower(name)]
	return item, ok
}

type supported struct {
	Supported bool `json:"supported"`
}

type meta struct {
	ResourceType string `json:"resourceType"`
	Location     string `json:"location"`
}

type config struct {
	Schemas          []string  `json:"schemas"`
	DocumentationURI string    `json:"documentationUri,omitempty"`
	Patch            supported `json:"patch"`
	Bulk             struct {
		Supported      bool `json:"supported"`
		MaxOperations  int  `json:"maxOperations"`
		MaxPayloadSize int  `json:"maxPayloadSize"`
	} `json:"bulk"`
	Filter struct {
		Supported  bool `json:"supported"`
		MaxResults int  `json:"maxResults"`
	} `json:"filter"`
	ChangePassword supported  `json:"changePassword"`
	Sort           supported  `json:"sort"`
	ETag           supported  `json:"etag"`
	Pagination     pagination `json:"pagination"`
	Schemes        []scheme   `json:"authenticationSchemes"`
	Meta           meta       `json:"meta"`
}

// pagination is RFC 9865 §4.
type pagination struct {
	Cursor  bool   `json:"cursor"`
	Index   bool   `json:"index"`
	Method  string `json:"defaultPaginationMethod"`
	Default int    `json:"defaultPageSize"`
	Max     int    `json:"maxPageSize"`
	Timeout int    `json:"cursorTimeout"` // in seconds
}

type scheme struct {
	Type        string `json:"type"`
	Name        string `json:"name"`
	Description string `json:"description"`
	SpecURI     string `json:"specUri"`
	Primary     bool   `json:"primary"`
}

type resourceType struct {
	Schemas     []string    `json:"schemas"`
	ID          string      `json:"id"`
	Name        string      `json:"name"`
	Description string      `json:"description"`
	Endpoint    string      `json:"endpoint"`
	Schema      string      `json:"schema"`
	Extensions  []extension `json:"schemaExtensions,omitempty"`
	Meta        meta        `json:"meta"`
}

type extension struct {
	Schema   string `json:"schema"`
	Required bool   `json:"required"`
}

type schemaDocument struct {
	Schemas     []string    `json:"schemas"`
	ID          string      `json:"id"`
	Name        string      `json:"name"`
	Description string      `json:"description"`
	Attributes  []attribute `json:"attributes"`
	Meta        meta        `json:"meta"`
}

type attribute struct {
	Name            string      `json:"name"`
	Type            schema.Type `json:"type"`
	MultiValued     bool        `json:"multiValued"`
	Description     string      `json:"description"`
	Required        bool        `json:"required"`
	CanonicalValues []string    `json:"canonicalValues,omitempty"`
	CaseExact       bool        `json:"caseExact"`
	Mutability      string      `json:"mutability"`
	Returned        string      `json:"returned"`
	Uniqueness      string      `json:"uniqueness"`
	ReferenceTypes  []string    `json:"referenceTypes,omitempty"`
	SubAttributes   []attribute `json:"subAttributes,omitempty"`
}

// New makes the documents for a service at a URL.
func New(baseURL string) (*Documents, error) {
	d := &Documents{}
	var err error
	if d.Config, err = encode(newConfig(baseURL)); err != nil {
		return nil, err
	}
	var types, schemas []named
	for _, r := range schema.Resources {
		types = append(types, named{r.Name, newResourceType(r, baseURL)})
		for _, s := range r.Schemas() {
			schemas = append(schemas, named{s.URN, newSchema(s, baseURL)})
		}
	}
	if d.ResourceTypes, err = collect(types); err != nil {
		return nil, err
	}
	d.Schemas, err = collect(schemas)
	return d, err
}

func newConfig(baseURL string) config {
	c := config{
		Schemas: []string{urnConfig},
		Patch:   supported{true}, Sort: supported{true}, ETag: supported{true},
		Pagination: pagination{
			Cursor: true, Index: true, Method: "index", Default: DefaultPage, Max: MaxPage, Timeout: int(CursorLife / time.Second),
		},
		Schemes: []scheme{{
			Type: "oauthbearertoken", Name: "Bearer token",
			Description: "A token issued by Healthix for one participant, sent as Authorization: Bearer",
			SpecURI:     "https://www.rfc-editor.org/rfc/rfc6750", Primary: true,
		}, {
			Type: "oauth2", Name: "OAuth 2.0 client credentials",
			Description: "A short-lived token, fetched from the token endpoint that /.well-known/oauth-authorization-server names, sent the same way",
			SpecURI:     "https://www.rfc-editor.org/rfc/rfc6749#section-4.4",
		}},
		Meta: meta{"ServiceProviderConfig", baseURL + "/ServiceProviderConfig"},
	}
	c.Bulk.Supported, c.Bulk.MaxOperations, c.Bulk.MaxPayloadSize = true, MaxOperations, MaxPayload
	c.Filter.Supported, c.Filter.MaxResults = true, MaxPage
	return c
}

func newResourceType(r *schema.Resource, baseURL string) resourceType {
	out := resourceType{
		Schemas: []string{urnResourceType}, ID: r.Name, Name: r.Name, Description: r.Description,
		Endpoint: r.Endpoint, Schema: r.Base.URN,
		Meta: meta{"ResourceType", baseURL + "/ResourceTypes/" + r.Name},
	}
	for _, x := range r.Extensions {
		out.Extensions = append(out.Extensions, extension{Schema: x.URN})
	}
	return out
}

func newSchema(s *schema.Schema, baseURL string) schemaDocument {
	return schemaDocument{
		Schemas: []string{urnSchema}, ID: s.URN, Name: s.Name.Value(), Description: s.Description.Value(),
		Attributes: newAttributes(s.Attributes),
		Meta:       meta{"Schema", baseURL + "/Schemas/" + s.URN},
	}
}

func newAttributes(list []*schema.Attribute) []attribute {
	out := make([]attribute, 0, len(list))
	for _, a := range list {
		d := attribute{
			Name: a.Name(), Type: a.Type, MultiValued: a.MultiValued(), Description: a.Description(),
			Required: a.Required(), CanonicalValues: a.CanonicalValues(), CaseExact: a.CaseExact(),
			Mutability: a.Mutability(), Returned: a.Returned(), Uniqueness: a.Uniqueness(),
		}
		for _, t := range a.ReferenceTypes() {
			d.ReferenceTypes = append(d.ReferenceTypes, string(t))
		}
		if len(a.Subs) > 0 {
			d.SubAttributes = newAttributes(a.Subs)
		}
		out = append(out, d)
	}
	return out
}

type named struct {
	name     string
	document any
}

func collect(documents []named) (Collection, error) {
	c := Collection{items: map[string][]byte{}}
	var raw []json.RawMessage
	for _, d := range documents {
		text, err := encode(d.document)
		if err != nil {
			return c, err
		}
		c.items[strings.ToLower(d.name)] = text
		raw = append(raw, text)
	}
	var err error
	c.List, err = encode(struct {
		Schemas   []string          `json:"schemas"`
		Total     int               `json:"totalResults"`
		Start     int               `json:"startIndex"`
		Page      int               `json:"itemsPerPage"`
		Resources []json.RawMessage `json:"Resources"`
	}{[]string{protocol.MessageList}, len(raw), 1, len(raw), raw})
	return c, err
}

func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode a discovery document: %w", err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}
