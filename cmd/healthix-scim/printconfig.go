package main

import (
	"fmt"
	"io"
	"net/url"
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"
)

const stars = "********"

// printConfig writes every setting as it is in force, as a file for --config,
// with secrets starred and the source of each beside it.
func printConfig(w io.Writer, s settings, from sources) error {
	value := reflect.ValueOf(s)
	for i := range value.NumField() {
		field := value.Type().Field(i)
		name := field.Tag.Get("name")
		shown := value.Field(i).Interface()
		if text, ok := shown.(string); ok && field.Tag.Get("secret") == "url" {
			shown = starred(text)
		}
		if text, ok := shown.(string); ok && field.Tag.Get("secret") == "outlet" {
			shown = starredOutlet(text)
		}
		if shown != "" && field.Tag.Get("secret") == "whole" {
			shown = stars
		}
		if list, ok := shown.([]string); ok {
			shown = strings.Join(list, ",")
		}
		line, err := yaml.Marshal(map[string]any{key(name): shown})
		if err != nil {
			return fmt.Errorf("print %s: %w", name, err)
		}
		if _, err := fmt.Fprintf(w, "%-50s # %s\n", strings.TrimSpace(string(line)), from[name]); err != nil {
			return err
		}
	}
	return nil
}

// starred hides the password of a URL. What cannot be read, or holds a password
// elsewhere, is hidden whole.
func starred(text string) string {
	scheme, _, ok := strings.Cut(text, "://")
	if !ok {
		return stars
	}
	if scheme == "file" || scheme == "sqlite" {
		return text // a path
	}
	u, err := url.Parse(text)
	if err != nil {
		return scheme + "://" + stars
	}
	for name := range u.Query() {
		if strings.Contains(strings.ToLower(name), "password") {
			return scheme + "://" + stars
		}
	}
	return strings.Replace(u.Redacted(), ":xxxxx@", ":"+stars+"@", 1)
}

// starredOutlet hides everything of an address but its scheme and host: a user
// alone may be a token there, and so may a path or a query.
func starredOutlet(text string) string {
	if text == "" || text == off || strings.HasPrefix(text, "file://") || strings.HasPrefix(text, "mailto:") {
		return text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return stars
	}
	shown := u.Scheme + "://"
	if u.User != nil {
		shown += stars + "@"
	}
	if shown += u.Host; strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		shown += "/" + stars
	}
	return shown
}
