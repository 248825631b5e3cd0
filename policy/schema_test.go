package policy

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

var update = flag.Bool("update", false, "write docs/policy.schema.json anew")

const schemaFile = "../docs/policy.schema.json"

func TestSchemaFile(t *testing.T) {
	schema, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, schema, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, schema) {
		t.Errorf("%s is not what Schema answers; go test ./policy -run SchemaFile -update writes it", schemaFile)
	}
}

func compiled(t *testing.T, part string) *jsonschema.Schema {
	t.Helper()
	schema, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("urn:healthix:policy:document", tree); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("urn:healthix:policy:document" + part)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func asJSON(t *testing.T, document string) any {
	t.Helper()
	var tree any
	if err := yaml.Unmarshal([]byte(document), &tree); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// Every key there is, with a value that it takes.
const everyKey = `modules:
  basics: {name: Basics, litmos: LP-7, graceDays: 30}
  other: Other
roles:
  low: {permissions: [read]}
  high: {permissions: [read, write], modules: [basics], gates: [approval, npi], untilApproved: low, participantTypes: [standard, cbo]}
gates: [participant, title, email, mobile, training, hold]
privileged: [write]
breakGlass: [write]
synonyms: {tech: technologist}
removable: [senior]
units: [icu]
fields: [adult]
degrees: [bsn]
compounds: [day care]
bans: [RT]
jobCodes: {attribute: costCenter, codes: {"29-1141": Reader}}
guards:
  reader: {department: {in: [A], notIn: [B]}, userType: present, participantType: {in: [cbo]}, npi: absent}
titles: |
  title,role
  Reader,high
`

const everyOverlayKey = `synonyms: {Lector: Reader}
roles: {reader: low}
guards: {reader: {department: {in: [A]}, npi: present}}
`

func TestSchemaTakesWhatParseTakes(t *testing.T) {
	document, overlay := compiled(t, ""), compiled(t, "#/$defs/overlay")
	for name, text := range map[string]string{"default": string(Default()), "small": small1, "tidy": tidy, "every key": everyKey} {
		if _, err := Parse([]byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := document.Validate(asJSON(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	p, err := Parse([]byte(everyKey))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"{}", everyOverlayKey} {
		if _, err := ParseOverlay([]byte(text), p); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if err := overlay.Validate(asJSON(t, text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if document.Validate(asJSON(t, everyOverlayKey)) == nil || overlay.Validate(asJSON(t, everyKey)) == nil {
		t.Error("a document passes for an overlay, or the other way round")
	}
}

// seeded puts one defect after the other into every place of a document: an
// unknown key into each mapping that has fixed keys, and each wrong type in place
// of each value.
func seeded(t *testing.T, text string, open []string, each func(where, document string)) {
	t.Helper()
	var tree yaml.Node
	if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
		t.Fatal(err)
	}
	tell := func(where string) {
		out, err := yaml.Marshal(&tree)
		if err != nil {
			t.Fatal(err)
		}
		each(where, string(out))
	}
	var walk func(n *yaml.Node, at string)
	walk = func(n *yaml.Node, at string) {
		was := *n
		wrong := map[string]yaml.Node{"null": {Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}}
		switch n.Kind {
		case yaml.ScalarNode:
			wrong["list"] = yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{scalar("x")}}
			wrong["mapping"] = yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{scalar("zz"), scalar("x")}}
		case yaml.SequenceNode:
			wrong["text"], wrong["mapping"] = *scalar("x"), yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{scalar("zz"), scalar("x")}}
			wrong["twice"] = yaml.Node{Kind: yaml.SequenceNode, Content: append(slices.Clone(n.Content), n.Content...)}
			wrong["empty text"] = yaml.Node{Kind: yaml.SequenceNode, Content: append(slices.Clone(n.Content), scalar(""))}
		case yaml.MappingNode:
			wrong["text"], wrong["list"] = *scalar("x y"), yaml.Node{Kind: yaml.SequenceNode}
			if !slices.Contains(open, at) {
				wrong["unknown key"] = yaml.Node{Kind: yaml.MappingNode, Content: append(slices.Clone(n.Content), scalar("zz"), scalar("x"))}
			}
		case yaml.DocumentNode, yaml.AliasNode:
		}
		for kind, node := range wrong {
			*n = node
			tell(at + " " + kind)
		}
		*n = was
		for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
			walk(n.Content[i+1], at+"."+n.Content[i].Value)
		}
		if n.Kind == yaml.SequenceNode && len(n.Content) > 0 {
			walk(n.Content[0], at+"[]")
		}
	}
	walk(tree.Content[0], "")
}

// What is wrong in kind is refused by both, wherever it stands.
func TestSchemaRefusesWhatParseRefuses(t *testing.T) {
	document, overlay := compiled(t, ""), compiled(t, "#/$defs/overlay")
	n := 0
	seeded(t, everyKey, []string{".modules", ".roles", ".synonyms", ".jobCodes.codes", ".guards"}, func(where, text string) {
		n++
		if where == ".modules.other mapping" || where == ".modules.basics text" {
			return // a module is a text or a mapping
		}
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s: Parse takes\n%s", where, text)
		}
		if document.Validate(asJSON(t, text)) == nil {
			t.Errorf("%s: the schema takes\n%s", where, text)
		}
	})
	p, err := Parse([]byte(everyKey))
	if err != nil {
		t.Fatal(err)
	}
	seeded(t, everyOverlayKey, []string{".synonyms", ".roles", ".guards"}, func(where, text string) {
		n++
		if _, err := ParseOverlay([]byte(text), p); err == nil {
			t.Errorf("%s: ParseOverlay takes\n%s", where, text)
		}
		if overlay.Validate(asJSON(t, text)) == nil {
			t.Errorf("%s: the schema takes\n%s", where, text)
		}
	})
	if n < 150 {
		t.Errorf("%d defects", n)
	}
	for name, edit := range map[string][2]string{
		"no roles":         {"roles:\n", "rolls:\n"},
		"gates lack hold":  {", training, hold]", ", training]"},
		"role name":        {"  low: {", "  lo w: {"},
		"permission name":  {"[read, write]", "[read, wr/te]"},
		"grace days":       {"graceDays: 30", "graceDays: 367"},
		"gate":             {"[approval, npi]", "[approval, nip]"},
		"participant type": {"[standard, cbo]", "[standard, cob]"},
		"attribute":        {"attribute: costCenter", "attribute: costcenter"},
		"guard word":       {"userType: present", "userType: yes"},
		"guard values":     {"participantType: {in: [cbo]}", "participantType: {in: [cob]}"},
		"no codes":         {", codes: {\"29-1141\": Reader}}", "}"},
		"no values":        {"in: [A]", "in: []"},
	} {
		text := strings.Replace(everyKey, edit[0], edit[1], 1)
		_, err := Parse([]byte(text))
		if invalid := document.Validate(asJSON(t, text)); text == everyKey || err == nil || invalid == nil {
			t.Errorf("%s: Parse says %v, the schema %v", name, err, invalid)
		}
	}
}

// The names that Parse's switches know are those of the tables.
func TestEveryKeyIsRead(t *testing.T) {
	var tree map[string]any
	if err := yaml.Unmarshal([]byte(everyKey), &tree); err != nil {
		t.Fatal(err)
	}
	for _, key := range documentKeys {
		if _, ok := tree[key]; !ok {
			t.Errorf("%s is not in the document of this test", key)
		}
	}
	base, err := Parse([]byte(everyKey))
	if err != nil {
		t.Fatal(err)
	}
	// A key that is taken but not read would not reach the digest.
	for key, edit := range map[string][2]string{
		"modules": {"other: Other", "other: Others"}, "name": {"name: Basics", "name: Basic"}, "litmos": {"LP-7", "LP-8"}, "graceDays": {"30", "31"},
		"permissions": {"[read, write]", "[read, write, burn]"}, "role modules": {"modules: [basics], gates", "modules: [other], gates"}, "role gates": {"[approval, npi]", "[approval]"},
		"untilApproved": {", untilApproved: low", ""}, "participantTypes": {"[standard, cbo]", "[cbo]"}, "gates": {"training, hold]", "training, hold, npi]"},
		"privileged": {"privileged: [write]", "privileged: [read, write]"}, "breakGlass": {"breakGlass: [write]", "breakGlass: []"},
		"synonyms": {"technologist}", "technician}"}, "removable": {"[senior]", "[junior]"}, "units": {"[icu]", "[ccu]"}, "fields": {"[adult]", "[child]"},
		"degrees": {"[bsn]", "[msn]"}, "compounds": {"[day care]", "[night care]"}, "bans": {"[RT]", "[PT]"}, "attribute": {"costCenter", "division"},
		"codes": {"29-1141", "29-1142"}, "guards": {"in: [A]", "in: [C]"}, "titles": {"Reader,high", "Reader,low"},
	} {
		p, err := Parse([]byte(strings.Replace(everyKey, edit[0], edit[1], 1)))
		if err != nil {
			t.Errorf("%s: %v", key, err)
		} else if p.Digest() == base.Digest() {
			t.Errorf("%s is not read", key)
		}
	}
}

func TestIdentifierRule(t *testing.T) {
	s := compiled(t, "#/properties/privileged")
	for _, name := range []string{"a", "a.b-c_1", strings.Repeat("x", 64), strings.Repeat("x", 65), "a b", "a/b", "é", "a\n", ".", "-"} {
		d := reader{}
		d.identifier(1, "", "name", name)
		if fits := s.Validate([]any{name}) == nil; fits != (len(d.problems) == 0) {
			t.Errorf("%q: the schema says %t, Parse %v", name, fits, d.problems)
		}
	}
	if fmt.Sprint(keysOf(documentFields)) != fmt.Sprint(documentKeys) {
		t.Error("documentKeys")
	}
}
