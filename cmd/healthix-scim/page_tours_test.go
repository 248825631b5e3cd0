package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the outputs in the tours of docs anew")

// tourBlock is lines for a shell in a page of docs, and the output that follows
// them there.
var tourBlock = regexp.MustCompile("(?m)^```sh tour\n((?:.*\n)*?)```\n(?:\n```text\n((?:.*\n)*?)```\n)?")

// What differs from run to run, and what stands for it in a comparison.
var passing = []struct {
	what *regexp.Regexp
	mask string
}{
	// Whether the command or the server's worker takes a plan first is chance.
	{regexp.MustCompile(`(?m)^a server is .* plan \S+; waiting for it\n`), ""},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "ID"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "DIGEST"},
	{regexp.MustCompile(`\+[0-9a-f]{8}\+\S{44}`), "+KEY"},
	{regexp.MustCompile(`\bkey [0-9a-f]{8}\b`), "key KEY"},
	{regexp.MustCompile(`(?m)[A-Za-z0-9+/]{43,}=*$`), "BASE64"}, // roots and signatures
	{regexp.MustCompile(`\d+( of \d+)? (tests|rows)`), "N"},     // of the default policy
	{regexp.MustCompile(`policy\.tests\.csv:\d+`), "LINE"},
	{regexp.MustCompile(`"score":[0-9.]+`), "SCORE"},
	{regexp.MustCompile(` +`), " "},
}

func masked(text string) string {
	for _, p := range passing {
		text = p.what.ReplaceAllString(text, p.mask)
	}
	return text
}

// The tour of a policy change works when pasted, and shows what docs/policy.md
// says it shows; go test ./cmd/healthix-scim -run TourOfPolicy -update writes
// that anew.
func TestTourOfPolicy(t *testing.T) {
	t.Parallel()
	takeTour(t, "../../docs/policy.md", 8)
}

// So does what docs/audit.md shows an auditor.
func TestTourOfAudit(t *testing.T) {
	t.Parallel()
	takeTour(t, "../../docs/audit.md", 6)
}

// takeTour runs the blocks of a page in one shell and holds what they print
// against what the page shows.
func takeTour(t *testing.T, page string, least int) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	blocks := tourBlock.FindAllStringSubmatch(string(text), -1)
	if len(blocks) < least {
		t.Fatalf("the tour has %d blocks", len(blocks))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	folder := t.TempDir()
	if err := os.Symlink(binary(t), filepath.Join(folder, "healthix-scim")); err != nil {
		t.Fatal(err)
	}
	const end = "--- end of block"
	script := "trap 'kill %1 2>/dev/null || true' EXIT\n" // a tour that fails leaves no server behind
	for _, b := range blocks {
		script += b[1] + fmt.Sprintf("echo '%s'\n", end)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", strings.ReplaceAll(script, "127.0.0.1:8080", address))
	cmd.Dir = folder
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "HEALTHIX_ADDR=" + address}
	out, err := cmd.CombinedOutput()
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(folder, "serve.log"))
		t.Fatalf("%v\n%s\n%s", err, out, log)
	}
	said := strings.Split(string(out), end+"\n")
	if len(said) != len(blocks)+1 {
		t.Fatalf("%d outputs of %d blocks:\n%s", len(said)-1, len(blocks), out)
	}
	if *update {
		i := -1
		anew := tourBlock.ReplaceAllStringFunc(string(text), func(block string) string {
			i++
			lines, _, shows := strings.Cut(block, "\n```text\n")
			if !shows {
				return block
			}
			return lines + "\n```text\n" + said[i] + "```\n"
		})
		if err := os.WriteFile(page, []byte(anew), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for i, b := range blocks {
		if masked(said[i]) != masked(b[2]) {
			t.Errorf("%s\nshows\n%s\n%s says\n%s", b[1], said[i], filepath.Base(page), b[2])
		}
	}
}
