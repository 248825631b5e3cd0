package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object of the description.
type object = map[string]any

// describe writes the OpenAPI 3.1 document from the route table and the Go
// types of its handlers, so that it cannot say what is not so. SCIM describes
// itself, under /scim/v2/Schemas.
func (s *server) describe() []byte {
	schemas := object{}
	schemas["Problem"] = structSchema(reflect.TypeFor[problem](), schemas)
	paths := map[string]object{}
	for _, rt := range s.routes {
		if rt.method == "" {
			continue
		}
		if paths[rt.path] == nil {
			paths[rt.path] = object{}
		}
		paths[rt.path][strings.ToLower(rt.method)] = rt.describe(schemas)
	}
	document, err := json.Marshal(object{
		"openapi": "3.1.0",
		"info":    object{"title": "Healthix provisioning", "version": orUnknown(s.Version)},
		"servers": []object{{"url": s.BaseURL}},
		"paths":   paths,
		"components": object{
			"schemas":         schemas,
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
			"responses": object{"problem": object{
				"description": "Refused; the document says why",
				"content":     object{problemType: object{"schema": reference("Problem")}},
			}},
		},
	})
	if err != nil { // maps of strings always encode
		panic(fmt.Errorf("describe the API: %w", err))
	}
	return document
}

func orUnknown(version string) string {
	if version == "" {
		return "unknown"
	}
	return version
}

func (rt route) describe(schemas object) object {
	answer := object{"description": http.StatusText(rt.statusOf())}
	switch {
	case rt.serve != nil:
		answer["content"] = object{rt.produces: object{}}
	case rt.statusOf() != http.StatusNoContent:
		content := object{"application/json": object{"schema": schemaOf(rt.do.out, schemas)}}
		for _, media := range rt.also {
			content[media] = object{"schema": object{"type": "string"}}
		}
		answer["content"] = content
	}
	responses := object{
		strconv.Itoa(rt.statusOf()): answer,
		"default":                   object{"$ref": "#/components/responses/problem"},
	}
	if rt.later {
		responses[strconv.Itoa(http.StatusAccepted)] = object{
			"description": "Not done yet; look again at Location", "content": answer["content"],
			"headers": object{"Location": object{"schema": object{"type": "string"}}},
		}
	}
	if rt.form != nil { // RFC 6749 §5 says what is answered, and how it is refused
		answer["content"] = object{rt.produces: object{"schema": schemaOf(reflect.TypeFor[grantView](), schemas)}}
		responses["default"] = object{
			"description": "Refused; the code says why (RFC 6749 §5.2)",
			"content":     object{rt.produces: object{"schema": schemaOf(reflect.TypeFor[grantProblem](), schemas)}},
		}
	}
	described := object{"summary": rt.summary, "parameters": rt.parameters(), "responses": responses}
	if content := rt.body(schemas); content != nil {
		described["requestBody"] = object{"required": true, "content": content}
	}
	if !rt.public {
		// The scheme is plain bearer: its scopes are named for the reader.
		described["security"] = []object{{"token": []string{}}}
		described["description"] = "Scope: " + strings.Join(rt.scopes, " or ")
	}
	return described
}

// body describes what an operation takes, nil for nothing.
func (rt route) body(schemas object) object {
	content := object{}
	for _, media := range rt.do.takes {
		content[media] = object{"schema": object{"type": "string"}}
		if media == "application/json" {
			content[media] = object{"schema": object{"type": "object"}}
		}
	}
	switch {
	case rt.form != nil:
		properties := object{}
		for _, name := range rt.form {
			properties[name] = object{"type": "string"}
		}
		return object{formType: object{"schema": object{"type": "object", "properties": properties, "required": rt.form[:1]}}}
	case len(content) > 0:
		return content
	case rt.do.in == nil || rt.do.in == reflect.TypeFor[none]():
		return nil
	}
	return object{"application/json": object{"schema": schemaOf(rt.do.in, schemas)}}
}

var pathValue = regexp.MustCompile(`\{(\w+)\}`)

func (rt route) parameters() []object {
	text := object{"type": "string"}
	found := []object{}
	for _, name := range pathValue.FindAllStringSubmatch(rt.path, -1) {
		found = append(found, object{"name": name[1], "in": "path", "required": true, "schema": text})
	}
	for _, name := range rt.query {
		found = append(found, object{"name": name, "in": "query", "schema": text})
	}
	return found
}

// schemaOf describes how encoding/json writes a type. Structs become named
// components.
func schemaOf(t reflect.Type, schemas object) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return object{} // any JSON
	case t.Kind() == reflect.Pointer:
		return orNull(schemaOf(t.Elem(), schemas))
	case t.Kind() == reflect.Slice:
		return object{"type": "array", "items": schemaOf(t.Elem(), schemas)}
	case t.Kind() == reflect.String:
		return object{"type": "string"}
	case t.Kind() == reflect.Bool:
		return object{"type": "boolean"}
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return object{"type": "integer"}
	case t.Kind() == reflect.Float64:
		return object{"type": "number"}
	case t.Kind() == reflect.Struct && t.Name() == "":
		return structSchema(t, schemas)
	case t.Kind() == reflect.Struct:
		name := componentName(t)
		if _, known := schemas[name]; !known {
			schemas[name] = object{} // a type may hold itself
			schemas[name] = structSchema(t, schemas)
		}
		return reference(name)
	default: // a type that the table should not hold
		panic(fmt.Sprintf("describe %v: no schema for this kind", t))
	}
}

func structSchema(t reflect.Type, schemas object) object {
	properties, required := object{}, []string{}
	for _, m := range members(t) {
		properties[m.name] = schemaOf(m.typ, schemas)
		if !m.optional {
			required = append(required, m.name)
		}
	}
	return object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

func orNull(schema object) object {
	if name, plain := schema["type"].(string); plain {
		schema["type"] = []string{name, "null"}
		return schema
	}
	return object{"anyOf": []object{schema, {"type": "null"}}}
}

func reference(name string) object { return object{"$ref": "#/components/schemas/" + name} }

var notName = regexp.MustCompile(`\W+`)

// componentName is a type's name as a component: page[UserView] is UserPage.
func componentName(t reflect.Type) string {
	outer, inner, generic := strings.Cut(t.Name(), "[")
	name := strings.TrimSuffix(outer, "View")
	if generic {
		element := inner[strings.LastIndex(inner, ".")+1:]
		name = strings.TrimSuffix(notName.ReplaceAllString(element, ""), "View") + strings.ToUpper(name[:1]) + name[1:]
	}
	return strings.ToUpper(name[:1]) + name[1:]
}
