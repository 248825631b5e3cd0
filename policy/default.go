package policy

import (
	_ "embed"
	"strings"
	"sync"
)

// The default document in its parts: data that Healthix replaces.
var (
	//go:embed default/roles.yaml
	defaultRoles string
	//go:embed default/words.yaml
	defaultWords string
	//go:embed default/titles.csv
	defaultTitles string
	// Rows beyond the published table, without a header line.
	//go:embed default/more-titles.csv
	moreTitles string
	//go:embed default/tests.csv
	defaultTests string
)

// Default is the default document: roles, words and the title table as one
// YAML text.
func Default() []byte {
	var b strings.Builder
	b.WriteString(defaultRoles)
	b.WriteString(defaultWords)
	b.WriteString("titles: |\n")
	for line := range strings.Lines(defaultTitles + moreTitles) {
		b.WriteString("  " + strings.TrimRight(line, "\r\n") + "\n") // CSV ends lines with CR LF (RFC 4180)
	}
	return []byte(b.String())
}

// DefaultTests are the tests of the default document, CSV as ParseFixtures reads
// it.
func DefaultTests() []byte { return []byte(defaultTests) }

// builtIn are the words of a document that leaves them out.
var builtIn = sync.OnceValue(func() wordLists {
	d := reader{}
	root := d.root([]byte(defaultWords), documentKeys)
	lists, _ := d.words(root)
	return lists
})
