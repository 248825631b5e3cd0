package api

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/audit"
)

// What an auditor can do with curl alone: fetch a checkpoint, prove that an
// entry stands under it, and that a later one continues it.
func TestProofs(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		auditor, own := h.token(auth.ScopeAuditor, ""), h.token(auth.ScopeAuditor, "mercy")
		h.must(404, "GET", root+"/audit/checkpoint", auditor, "")
		checkpoint := func() audit.Checkpoint {
			t.Helper()
			if _, err := h.service.Place(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := h.must(200, "GET", root+"/audit/checkpoint", auditor, "")
			if kind := got.header.Get("Content-Type"); kind != "text/plain; charset=utf-8" {
				t.Errorf("a checkpoint of type %q", kind)
			}
			keys, err := h.service.LogKeys(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c, err := audit.OpenCheckpoint(got.body, keys[0])
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		first := checkpoint()

		var theirs string
		events := h.must(200, "GET", root+"/audit/events?limit=500", auditor, "").json["items"].([]any)
		for _, e := range events {
			event := e.(map[string]any)
			if event["position"] == nil {
				continue // the read of the list itself
			}
			id := event["id"].(string)
			if event["participant"] == "general" {
				theirs = id
			}
			got := h.must(200, "GET", root+"/audit/proof/inclusion?event="+id, auditor, "").json
			sum := sha256.Sum256([]byte(got["canonical"].(string)))
			if hex.EncodeToString(sum[:]) != event["hash"] || got["entry"] != event["hash"] {
				t.Errorf("entry %s: canonical bytes of another hash", id)
			}
			if !strings.Contains(got["leaf"].(string), event["hash"].(string)) {
				t.Errorf("leaf %q does not name the entry", got["leaf"])
			}
			leaf := audit.Digest(sha256.Sum256(append([]byte{0}, got["leaf"].(string)...)))
			if leaf.String() != got["leafHash"] || event["position"] != got["position"] {
				t.Errorf("entry %s at %v: leaf %s, answered %v", id, got["position"], leaf, got["leafHash"])
			}
			c, err := audit.ParseCheckpoint(got["checkpoint"].(string))
			if err != nil {
				t.Fatal(err)
			}
			if err := audit.VerifyInclusion(leaf, uint64(got["position"].(float64)), c.Size, digests(t, got["proof"]), c.Root); err != nil {
				t.Errorf("entry %s: %v", id, err)
			}
		}
		if theirs == "" {
			t.Fatal("nothing of general is on record")
		}
		h.must(404, "GET", root+"/audit/proof/inclusion?event="+theirs, own, "")

		h.pass(2 * time.Second)
		second := checkpoint()
		if second.Size <= first.Size { // the reads above are entries
			t.Fatalf("from %d to %d entries", first.Size, second.Size)
		}
		got := h.must(200, "GET", root+"/audit/proof/consistency?from="+strconv.FormatUint(first.Size, 10), auditor, "").json
		if err := audit.VerifyConsistency(first.Size, second.Size, digests(t, got["proof"]), first.Root, second.Root); err != nil || got["to"] != float64(second.Size) {
			t.Errorf("to %v: %v", got["to"], err)
		}

		for _, tc := range []struct {
			status int
			path   string
			says   string
		}{
			{400, "/audit/proof/inclusion", "event is missing"},
			{400, "/audit/proof/inclusion?event=" + theirs + "&size=x", "size is \\\"x\\\""},
			{400, "/audit/proof/inclusion?event=" + theirs + "&size=100000", "100000"},
			{404, "/audit/proof/inclusion?event=nothing", "nothing"},
			{412, "/audit/proof/inclusion?event=" + theirs + "&size=1", "ask again"},
			{400, "/audit/proof/consistency", "from is 0"},
			{400, "/audit/proof/consistency?from=9999999", "9999999"},
			{400, "/audit/proof/consistency?from=1&to=9999999", "9999999"},
		} {
			if got := h.must(tc.status, "GET", root+tc.path, auditor, ""); !strings.Contains(got.body, tc.says) {
				t.Errorf("%s: %s", tc.path, got.body)
			}
		}
		for _, path := range []string{"/audit/checkpoint", "/audit/proof/inclusion?event=" + theirs, "/audit/proof/consistency?from=1"} {
			for _, token := range []string{h.token(auth.ScopeAUM, "mercy"), h.token(auth.ScopePortal, ""), h.token(auth.ScopeSCIM, "mercy")} {
				h.must(http.StatusForbidden, "GET", root+path, token, "")
			}
		}
	})
}

func digests(t *testing.T, list any) []audit.Digest {
	t.Helper()
	var found []audit.Digest
	for _, one := range list.([]any) {
		raw, err := base64.StdEncoding.DecodeString(one.(string))
		if err != nil || len(raw) != len(audit.Digest{}) {
			t.Fatalf("%v is no hash: %v", one, err)
		}
		found = append(found, audit.Digest(raw))
	}
	return found
}
