package main

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// The table of docs/operations.md is the settings there are, in their order of
// meaning, with their defaults.
func TestOperationsListsTheSettings(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "| Variable | Default | Meaning |\n|---|---|---|\n")
	table, _, _ := strings.Cut(rest, "\n\n")
	if !found {
		t.Fatal("docs/operations.md has no table of settings")
	}
	row := regexp.MustCompile("^\\| `(HEALTHIX_[A-Z_]+)` \\| (?:`([^`]*)`)? ?\\| (\\S.*) \\|$")
	documented := map[string]string{}
	for _, line := range strings.Split(table, "\n") {
		m := row.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("this row is no variable, default, meaning: %s", line)
			continue
		}
		documented[m[1]] = m[2]
	}
	real := map[string]string{}
	kind := reflect.TypeFor[settings]()
	for i := range kind.NumField() {
		field := kind.Field(i)
		value := field.Tag.Get("default")
		if value == "" && field.Type.Kind() == reflect.Bool {
			value = "false"
		}
		real[variable(field.Tag.Get("name"))] = value
	}
	if !reflect.DeepEqual(documented, real) {
		t.Errorf("docs/operations.md says\n%v\nthe settings are\n%v", documented, real)
	}
}

// compose.yaml sets nothing that the program would refuse, and mounts every
// file it names.
func TestComposeSetsWhatThereIs(t *testing.T) {
	text, err := os.ReadFile("../../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct {
			Environment map[string]string
			Secrets     []string
		}
		Secrets map[string]struct{ File string }
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	server := compose.Services["server"]
	var environ []string
	for name, value := range server.Environment {
		environ = append(environ, name+"="+value)
		if file, ok := strings.CutPrefix(value, "/run/secrets/"); ok && !strings.Contains(fmt.Sprint(server.Secrets), file) {
			t.Errorf("%s is %s, which is not mounted", name, value)
		}
	}
	if len(environ) == 0 {
		t.Fatal("compose.yaml sets nothing")
	}
	given, err := gather(environ, "", settingNames())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range server.Secrets {
		if compose.Secrets[name].File == "" {
			t.Errorf("secret %s has no file", name)
		}
	}
	s := settings{
		Addr: "0.0.0.0:8080", BaseURL: given.values["base-url"], DatabaseURL: "postgres://database/healthix",
		MailURL: given.values["mail-url"], Insecure: given.values["insecure"] == "true",
	}
	if err := s.serving(); err != nil {
		t.Errorf("the server would refuse to start: %v", err)
	}
}
