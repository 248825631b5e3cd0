package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// README's tour works when pasted: its lines run in one shell, but for the
// build (the program is there) and the port (another may be in use).
func TestTourOfREADME(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	const fence = "```"
	var script strings.Builder
	for _, block := range regexp.MustCompile("(?ms)^"+fence+"sh tour\n(.*?)^"+fence+"$").FindAllStringSubmatch(string(readme), -1) {
		script.WriteString(block[1])
	}
	const build = "go build -o healthix-scim ./cmd/healthix-scim\n"
	if !strings.HasPrefix(script.String(), build) || strings.Count(script.String(), "\n") < 20 {
		t.Fatalf("README's tour is not found:\n%s", &script)
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
	lines := strings.ReplaceAll(strings.TrimPrefix(script.String(), build), "127.0.0.1:8080", address)
	const tidy = "trap 'kill %1 2>/dev/null || true' EXIT\n" // a tour that fails leaves no server behind
	cmd := exec.CommandContext(t.Context(), "bash", "-e", "-c", tidy+lines)
	cmd.Dir = folder
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "HEALTHIX_ADDR=" + address}
	out, err := cmd.CombinedOutput()
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(folder, "serve.log"))
		t.Fatalf("%v\n%s\n%s", err, out, log)
	}
	for _, step := range []string{
		`pending`, `role +practitioner`, `released`, `http://` + address + `/portal/activate\?code=\S{43}`,
		`ana\.lima@mercy\.example .* revoked`, `status +released`, `The file is complete up to the checkpoint`, `"action":"user\.deactivated"`,
	} {
		if !regexp.MustCompile(step).Match(out) {
			t.Errorf("the tour does not show %s:\n%s", step, out)
		}
	}
}
