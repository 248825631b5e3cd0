package litmos

import (
	"bytes"
	"encoding/json"
	"html"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseInstant(t *testing.T) {
	for text, want := range map[string]string{
		"/Date(1478044800123)/":        "2016-11-02T00:00:00.123Z",
		"/Date(1478044800123-0500)/":   "2016-11-02T00:00:00.123Z", // the number is UTC
		"/Date(1478044800123+1300)/":   "2016-11-02T00:00:00.123Z",
		"/Date(0)/":                    "1970-01-01T00:00:00Z",
		"2019-05-06T01:12:35.990":      "2019-05-06T01:12:35.99Z",
		"2016-12-09T07:54:27Z":         "2016-12-09T07:54:27Z",
		"2016-12-09T07:54:27.1234567Z": "2016-12-09T07:54:27.1234567Z",
		"2016-12-09T07:54:27.5+13:00":  "2016-12-08T18:54:27.5Z",
		"2016-12-09 07:54:27":          "2016-12-09T07:54:27Z",
		"2016-12-09":                   "2016-12-09T00:00:00Z",
		"":                             "", "null": "", "/Date()/": "", "/Date(x)/": "", "/Date(1)": "", "Date(1)/": "",
		"/Date(-62135596800000)/": "", // .NET's year 1
		"/Date(-1)/":              "", "/Date(99999999999999999999)/": "", "/Date(9223372036854775807)/": "",
		"0001-01-01T00:00:00": "", "2016-13-01": "", "tomorrow": "",
	} {
		got, ok := parseInstant(text)
		if ok != (want != "") || ok && (got.Format(time.RFC3339Nano) != want || got.Location() != time.UTC) {
			t.Errorf("%q: %s, %v; want %q", text, got, ok, want)
		}
	}
}

func FuzzInstant(f *testing.F) {
	for _, s := range []string{"/Date(1478044800123-0500)/", "2019-05-06T01:12:35.990", "", "/Date(-+)/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, ok := parseInstant(s)
		switch {
		case !ok && !at.IsZero():
			t.Errorf("%q: %s and not ok", s, at)
		case ok && (at.Year() < 1970 || at.Year() > 9999 || at.Location() != time.UTC):
			t.Errorf("%q: %s", s, at)
		}
		if _, err := at.MarshalJSON(); err != nil {
			t.Errorf("%q cannot be kept: %v", s, err)
		}
	})
}

// What a record holds goes out as it is meant, whatever it is; credentials at
// any depth do not.
func FuzzRecord(f *testing.F) {
	for _, s := range []string{
		`{"Id":"a","LoginKey":"https://x//login.aspx?loginkey=hunter2","Active":true}`,
		`{"Password":"hunter2","Nested":{"loginkey":"hunter2","List":[{"APIKEY":"hunter2"},"&lt;"]},"N":1e400}`,
		`{"A":"&amp;lt;","A":null}`, `{"Active":true,"x":1,"active":true}`, `{}`, `[]`, `{"a":[[[[[[[[[1]]]]]]]]]}`, `{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{}}}}}}}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var rec record
		if err := readRecord(&rec)(bytes.NewReader(body)); err != nil {
			return
		}
		out, err := json.Marshal(rec)
		if err != nil {
			t.Fatalf("%q cannot be written: %v", body, err)
		}
		var again any
		dec := json.NewDecoder(bytes.NewReader(out))
		dec.UseNumber()
		if err := dec.Decode(&again); err != nil {
			t.Fatalf("%q is written as %q: %v", body, out, err)
		}
		assertNoCredential(t, again)
		// Written, read as Litmos would show it, and written again: the same.
		changed, err := rec.with("Active", false)
		if err != nil || changed.active() || changed.text("Active") != "" {
			t.Errorf("%q: Active stays", body)
		}
		if n := strings.Count(strings.ToLower(names(changed)), ",active,"); n != 1 {
			t.Errorf("%q: Active stands %d times", body, n)
		}
	})
}

func names(rec record) string {
	out := ","
	for _, f := range rec {
		out += f.name + ",,"
	}
	return out
}

func assertNoCredential(t *testing.T, v any) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if isCredential(name) && value != "" {
				t.Errorf("%s is %v", name, value)
			}
			assertNoCredential(t, value)
		}
	case []any:
		for _, e := range v {
			assertNoCredential(t, e)
		}
	}
}

// Text comes back from Litmos's escaping as it was, escaped once and not more.
func TestTextIsUnescapedOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		meant := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"&amp;lt;", "&#39;", "<script>", `"`})).Draw(rt, "text")
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(html.EscapeString(meant)); err != nil {
			rt.Fatal(err)
		}
		var got text
		if err := json.Unmarshal(b.Bytes(), &got); err != nil || string(got) != meant {
			rt.Errorf("%q is read as %q, %v", meant, got, err)
		}
	})
}

func TestTextTakesWhatLitmosSends(t *testing.T) {
	for raw, want := range map[string]string{
		`"a&amp;b"`: "a&b", `368800`: "368800", `null`: "", `true`: "true", `{"a":1}`: "", `["a"]`: "", `""`: "",
		`"https:\/\/x"`: "https://x", `1.50`: "1.50",
	} {
		got := text("before")
		if err := json.Unmarshal([]byte(raw), &got); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", raw, got, err)
		}
	}
}

// The order of a record is Litmos's: it reads by it.
func TestRecordKeepsItsOrder(t *testing.T) {
	const given = `{"Id":"a","Zeta":null,"Active":true,"Beta":{"y":1,"x":"&lt;"},"N":12345678901234567890,"LoginKey":"secret"}`
	const want = `{"Id":"a","Zeta":null,"Active":false,"Beta":{"y":1,"x":"\u003c"},"N":12345678901234567890,"LoginKey":"","New":1}`
	var rec record
	if err := readRecord(&rec)(strings.NewReader(given)); err != nil {
		t.Fatal(err)
	}
	rec, _ = rec.with("active", false)
	rec, _ = rec.with("New", 1)
	if out, err := json.Marshal(rec); err != nil || string(out) != want {
		t.Errorf("%s, %v; want\n%s", out, err, want)
	}
	var deep record
	if err := readRecord(&deep)(strings.NewReader(strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000))); err == nil {
		t.Error("nesting has no end")
	}
}
