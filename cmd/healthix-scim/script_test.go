package main

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The commands, one script each. Beside testscript's own words:
//
//	waitready URL                      until the server is ready
//	http STATUS METHOD URL TOKENFILE [BODYFILE]
//	                                   send a request, print the answer
//	free VARIABLE                      an address that nobody listens on
//	taken VARIABLE                     an address that somebody listens on
//	certificate CERT KEY               a self-signed certificate for localhost
//	json FILE PATH WANT                compare one value, as in "0.name"
//	take VARIABLE FILE PATH            keep one value
//	unpack FILE.zip DIR                take a ZIP apart
//
// A body whose name ends in .yaml is sent as YAML.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: false,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HEALTHIX_ACTOR", "tester")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"waitready": waitReady, "http": sendHTTP, "free": freeAddress, "taken": takenAddress,
			"certificate": certificate, "json": compareJSON,
			"take": takeJSON, "unpack": unpack,
		},
	})
}

func waitReady(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitready URL")
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		answer, err := http.Get(args[0] + "/readyz")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s is not ready: %v", args[0], err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func sendHTTP(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: http STATUS METHOD URL TOKENFILE [BODYFILE]")
	}
	var body string
	if len(args) > 4 {
		body = ts.ReadFile(args[4])
	}
	req, err := http.NewRequest(args[1], args[2], strings.NewReader(body))
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(ts.ReadFile(args[3])))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		if strings.HasSuffix(args[4], ".yaml") {
			req.Header.Set("Content-Type", "application/yaml")
		}
	}
	answer, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s\n", said)
	if want, err := strconv.Atoi(args[0]); err != nil || answer.StatusCode != want {
		ts.Fatalf("%s %s: %s, want %s\n%s", args[1], args[2], answer.Status, args[0], said)
	}
}

func freeAddress(ts *testscript.TestScript, neg bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	ts.Check(l.Close())
}

func takenAddress(ts *testscript.TestScript, neg bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	ts.Defer(func() { l.Close() })
}

func certificate(ts *testscript.TestScript, neg bool, args []string) {
	cert, key, err := selfSigned()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), cert, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), key, 0o600))
}

func compareJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: json FILE PATH WANT")
	}
	if got := fmt.Sprint(valueIn(ts, args[0], args[1])); (got == args[2]) == neg {
		ts.Fatalf("%s is %q, want %q (not: %t)", args[1], got, args[2], neg)
	}
}

func takeJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: take VARIABLE FILE PATH")
	}
	ts.Setenv(args[0], fmt.Sprint(valueIn(ts, args[1], args[2])))
}

func unpack(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: unpack FILE.zip DIR")
	}
	z, err := zip.OpenReader(ts.MkAbs(args[0]))
	ts.Check(err)
	defer z.Close()
	ts.Check(os.CopyFS(ts.MkAbs(args[1]), z))
}

// valueIn walks into a file of JSON.
func valueIn(ts *testscript.TestScript, file, path string) any {
	var value any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &value))
	whole := value
	for _, name := range strings.Split(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(v) {
				ts.Fatalf("no %s in %v", path, whole)
			}
			value = v[i]
		default:
			ts.Fatalf("no %s in %v", path, whole)
		}
	}
	return value
}
