package lifecycle

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// Every template has a sample that it is tried with, and the other way round.
func TestEveryTemplateIsTried(t *testing.T) {
	files, err := fs.ReadDir(messageFiles, "messages")
	if err != nil {
		t.Fatal(err)
	}
	all := samples()
	for _, f := range files {
		kind, _, _ := strings.Cut(f.Name(), ".")
		if len(all[kind]) == 0 {
			t.Errorf("%s is tried with nothing", f.Name())
		}
	}
	if len(files) != 2*len(all) {
		t.Errorf("%d templates for %d kinds of message", len(files), len(all))
	}
}

// One template is replaced, the others stay; what Kubernetes mounts beside them
// is left alone.
func TestOneTemplateIsReplaced(t *testing.T) {
	own := fstest.MapFS{
		"returned.txt": {Data: []byte("Welcome back\nDear {{.Name}},\n\nyour access to Healthix is back.\n")},
		"..data/x.txt": {Data: []byte("{{")},
	}
	letters, err := readTemplates(own)
	if err != nil {
		t.Fatal(err)
	}
	builtIn, err := readTemplates(nil)
	if err != nil {
		t.Fatal(err)
	}
	someone := samples()[JobReturned][0]
	subject, text, html, err := letters.render(JobReturned, someone)
	if err != nil || subject != "Welcome back" || text != "Dear Ana Lima,\n\nyour access to Healthix is back.\n" {
		t.Errorf("%q %q %v", subject, text, err)
	}
	_, _, page, err := builtIn.render(JobReturned, someone)
	if err != nil || html != page {
		t.Errorf("the page that nobody replaced is another: %v\n%s", err, html)
	}
}

func TestTemplatesThatCannotBeSent(t *testing.T) {
	for name, tc := range map[string]struct{ file, text, want string }{
		"no subject":        {"returned.txt", "\nHello\n", "returned.txt:1: the first line is the subject"},
		"no text":           {"returned.txt", "Subject only\n", "returned.txt:1: the first line is the subject"},
		"seldom branch":     {"expiry.txt", "Subject\nHello\n{{if .Client}}{{.Secret}}{{end}}", "expiry.txt:3:"},
		"page without link": {"credentials.html", "<p>{{.Link}}</p>", "credentials.html:1: it has no href"},
		"broken page":       {"returned.html", "<p>\n<a href='{{.Portal}}>x</a>{{if .Name}}'{{end}}", "returned.html"},
		"wrong ending":      {"returned.htm", "<p>", "returned.htm replaces no template"},
	} {
		_, err := readTemplates(fstest.MapFS{tc.file: {Data: []byte(tc.text)}})
		if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s…", name, err, tc.want)
		}
	}
}

// What trips over somebody whom no sample is like costs nobody the message: the
// built-in one goes out, and the log says why.
func TestTemplatesThatTripLater(t *testing.T) {
	for name, own := range map[string]fstest.MapFS{
		"beyond a list": {"credentials.txt": {Data: []byte("Hi\n{{.Link}} {{if ne .User.GivenName \"Ana\"}}{{index .Modules 9}}{{end}}\n")}},
		"without link":  {"credentials.html": {Data: []byte(`{{if eq .User.GivenName "Ana"}}<a href="{{.Link}}">x</a>{{end}}`)}},
	} {
		letters, err := readTemplates(own)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var heard string
		letters.stumbled = func(kind string, err error) { heard = kind + ": " + err.Error() }
		said := samples()[JobCredentials][0].(letter)
		if _, _, _, err := letters.render(JobCredentials, said); err != nil || heard != "" {
			t.Errorf("%s: Ana's: %v, %s", name, err, heard)
		}
		said.User.GivenName = "Ben"
		_, text, html, err := letters.render(JobCredentials, said)
		if err != nil || !strings.Contains(text, said.Link) || !strings.Contains(html, `href="`+said.Link+`"`) || !strings.Contains(text, "Please activate") {
			t.Errorf("%s: Ben's: %v\n%s\n%s", name, err, text, html)
		}
		if !strings.HasPrefix(heard, "credentials: credentials.") || strings.Contains(heard, "Ben") || strings.Contains(heard, said.Link) {
			t.Errorf("%s: heard %q", name, heard)
		}
	}
}
