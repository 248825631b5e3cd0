package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
	"gopkg.in/yaml.v3"
)

// source says where a setting's value came from; a higher one wins.
type source int

const (
	fromDefault source = iota
	fromFile
	fromEnvironment
	fromFlag
)

func (s source) String() string {
	switch s {
	case fromFile:
		return "file"
	case fromEnvironment:
		return "environment"
	case fromFlag:
		return "flag"
	case fromDefault:
	}
	return "default"
}

// sources says where each setting came from, by the flag's name.
type sources map[string]source

const prefix = "HEALTHIX_"

// variable is the environment variable of a setting.
func variable(name string) string { return prefix + strings.ToUpper(key(name)) }

// key is a setting's name in the file.
func key(name string) string { return strings.ReplaceAll(name, "-", "_") }

// given is what environment and file say, by the setting's name.
type given struct {
	values map[string]string
	from   sources
}

// gather reads the environment and, when there is one, the file. What nobody
// knows is an error: a misspelt setting must not be a silent default.
func gather(environ []string, file string, known []string) (given, error) {
	g := given{values: map[string]string{}, from: sources{}}
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return g, fmt.Errorf("read settings: %w", err)
		}
		if err := g.file(file, text, known); err != nil {
			return g, err
		}
	}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		bare, ours := strings.CutPrefix(name, prefix)
		if !ours || strings.HasPrefix(bare, "TEST_") { // told to the tests, not to the program
			continue
		}
		setting := strings.ToLower(strings.ReplaceAll(bare, "_", "-"))
		if variable(setting) != name || !slices.Contains(known, setting) {
			return g, fmt.Errorf("%s: %w", name, unknown(name, known, variable))
		}
		if value != "" { // set and empty is how containers leave a variable out
			g.set(setting, value, fromEnvironment)
		}
	}
	return g, nil
}

func (g given) set(name, value string, from source) {
	g.values[name], g.from[name] = value, from
}

// file reads YAML: one mapping of keys to scalars, or to a list where several
// values belong.
func (g given) file(path string, text []byte, known []string) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return fmt.Errorf("read settings %s: %w", path, err)
	}
	if len(doc.Content) == 0 {
		return nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("%s:%d: expected lines like addr: 127.0.0.1:8080", path, root.Line)
	}
	for i := 0; i < len(root.Content); i += 2 {
		name, value := root.Content[i], root.Content[i+1]
		setting := strings.ReplaceAll(name.Value, "_", "-")
		if key(setting) != name.Value || !slices.Contains(known, setting) {
			return fmt.Errorf("%s:%d: %s: %w", path, name.Line, name.Value, unknown(name.Value, known, key))
		}
		if _, twice := g.values[setting]; twice {
			return fmt.Errorf("%s:%d: %s is given twice", path, name.Line, name.Value)
		}
		text, err := scalar(value)
		if err != nil {
			return fmt.Errorf("%s:%d: %s: %w", path, value.Line, name.Value, err)
		}
		if text != "" {
			g.set(setting, text, fromFile)
		}
	}
	return nil
}

func scalar(n *yaml.Node) (string, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return "", nil
		}
		return n.Value, nil
	case yaml.SequenceNode:
		var items []string
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				return "", errors.New("expected a list of plain values")
			}
			items = append(items, item.Value)
		}
		return strings.Join(items, ","), nil
	case yaml.DocumentNode, yaml.MappingNode, yaml.AliasNode:
	}
	return "", errors.New("expected a plain value")
}

// unknown says why a name is not taken, and what may have been meant.
func unknown(name string, known []string, spell func(string) string) error {
	spelt := make([]string, len(known))
	for i, k := range known {
		spelt[i] = spell(k)
	}
	if best := closest(name, spelt); best != "" {
		return fmt.Errorf("there is no such setting; did you mean %s?", best)
	}
	return errors.New("there is no such setting; healthix-scim serve --help lists them")
}

// resolver hands what was gathered to the flags that the command line left out.
type resolver struct {
	environ []string
	given   given
	read    bool
}

func (*resolver) Validate(*kong.Application) error { return nil }

// Resolve answers nil where neither environment nor file says anything.
func (r *resolver) Resolve(ctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if !r.read {
		r.read = true
		file := ""
		for _, p := range ctx.Path {
			if p.Flag == nil {
				continue
			}
			if p.Flag.Name == "config" {
				file, _ = ctx.FlagValue(p.Flag).(string)
			}
		}
		var err error
		if r.given, err = gather(r.environ, file, settingNames()); err != nil {
			return nil, settingError{err}
		}
		for _, p := range ctx.Path {
			if p.Flag != nil && isSetting(p.Flag) {
				r.given.from[p.Flag.Name] = fromFlag
			}
		}
	}
	value, ok := r.given.values[flag.Name]
	if !ok || !isSetting(flag) {
		return nil, nil
	}
	if flag.IsBool() {
		if _, err := strconv.ParseBool(value); err != nil {
			return nil, settingError{fmt.Errorf("%s (%s) is %q; expected true or false", variable(flag.Name), r.given.from[flag.Name], value)}
		}
	}
	return value, nil
}

// settingError is a mistake in environment or file; the flag on whose behalf
// they were read has nothing to do with it.
type settingError struct{ error }

func (e settingError) Unwrap() error { return e.error }

func isSetting(f *kong.Flag) bool { return f.Group != nil && f.Group.Key == settingsGroup }

// settingNames lists the flags' names in the order of the struct.
func settingNames() []string {
	var names []string
	t := reflect.TypeFor[settings]()
	for i := range t.NumField() {
		names = append(names, t.Field(i).Tag.Get("name"))
	}
	return names
}

// closest finds the name that a misspelt one most likely means, "" when none is
// near.
func closest(name string, names []string) string {
	best, distance := "", 1+len(name)/3
	for _, candidate := range names {
		if d := edits(strings.ToLower(name), strings.ToLower(candidate)); d < distance {
			best, distance = candidate, d
		}
	}
	return best
}

// edits counts the letters to insert, remove or replace between two words.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
