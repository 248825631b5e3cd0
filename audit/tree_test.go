package audit_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"

	"github.com/healthix/healthix-scim/audit"
)

// TestLeafData pins what a leaf covers.
func TestLeafData(t *testing.T) {
	l := audit.Leaf{Position: 41, Participant: "mercy", Number: 7, Entry: audit.Sum([]byte("entry"))}
	want := "healthix-scim/leaf\x00" + `{"position":41,"participant":"mercy","number":7,"entry":"` + audit.Sum([]byte("entry")).String() + `"}`
	if got := string(l.Data()); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := l.Hash(); got != audit.Digest(sha256.Sum256([]byte("\x00"+want))) {
		t.Errorf("leaf hash %s", got)
	}
	l.Participant = "a\"b\\c<é\u2028"
	if got := string(l.Data()); !strings.Contains(got, `"participant":"a\"b\\c<é\u2028"`) {
		t.Errorf("got %q", got)
	}
}

// leafHash is the hash of the nth leaf of an invented log.
func leafHash(n uint64) audit.Digest {
	return audit.Sum(binary.BigEndian.AppendUint64([]byte("leaf"), n))
}

// TestTreeAgainstTheReference holds size, root, edge and kept nodes to another
// implementation, at every size.
func TestTreeAgainstTheReference(t *testing.T) {
	const sizes = 1100 // past a second tile of four
	var tree audit.Tree
	ref := testonly.New(rfc6962.DefaultHasher)
	if tree.Root() != sha256.Sum256(nil) || tree.Size() != 0 || len(tree.Edge()) != 0 {
		t.Fatalf("empty tree: size %d, root %s", tree.Size(), tree.Root())
	}
	for n := range uint64(sizes) {
		h := leafHash(n)
		before := tree.Clone()
		nodes := tree.Append(h)
		ref.Append(h[:])
		if tree.Size() != n+1 || !bytes.Equal(ref.Hash(), rootOf(&tree)) {
			t.Fatalf("size %d: root differs", n+1)
		}
		if before.Size() != n || !bytes.Equal(ref.HashAt(n), rootOf(before)) {
			t.Fatalf("size %d: the clone grew along", n)
		}
		back, err := audit.ParseEdge(n+1, tree.Edge())
		if err != nil || back.Root() != tree.Root() {
			t.Fatalf("size %d: edge does not come back: %v", n+1, err)
		}
		before.Append(h)
		if before.Root() != tree.Root() {
			t.Fatalf("size %d: the clone grows differently", n+1)
		}
		if (n+1)%256 != 0 {
			if len(nodes) != 0 {
				t.Fatalf("size %d: nodes %v", n+1, nodes)
			}
			continue
		}
		tile := testonly.New(rfc6962.DefaultHasher)
		for i := n + 1 - 256; i <= n; i++ {
			h := leafHash(i)
			tile.Append(h[:])
		}
		if len(nodes) != 1 || nodes[0].Level != 8 || nodes[0].Index != n/256 || !bytes.Equal(nodes[0].Hash[:], tile.Hash()) {
			t.Fatalf("size %d: nodes %v", n+1, nodes)
		}
	}
}

func rootOf(t *audit.Tree) []byte { r := t.Root(); return r[:] }

func TestTreeKeepsHigherLevels(t *testing.T) {
	var tree audit.Tree
	kept := map[uint]uint64{}
	for n := range uint64(1 << 16) {
		for i, node := range tree.Append(leafHash(n)) {
			if node.Level != uint(8*(i+1)) || node.Index != kept[node.Level] {
				t.Fatalf("size %d: node %d/%d", n+1, node.Level, node.Index)
			}
			kept[node.Level]++
			if node.Level == 16 && node.Hash != tree.Root() {
				t.Error("the node over 65,536 leaves is not the root over them")
			}
		}
	}
	if kept[8] != 256 || kept[16] != 1 || len(kept) != 2 {
		t.Errorf("kept %v", kept)
	}
}

func TestAnEdgeOfAnotherSizeIsRefused(t *testing.T) {
	for _, c := range []struct {
		size  uint64
		bytes int
	}{{0, 1}, {0, 32}, {1, 0}, {1, 31}, {1, 33}, {3, 32}, {4, 64}, {1<<63 - 1, 62 * 32}} {
		if _, err := audit.ParseEdge(c.size, make([]byte, c.bytes)); err == nil {
			t.Errorf("size %d, %d bytes: taken", c.size, c.bytes)
		}
	}
}

func TestDigestsComeBack(t *testing.T) {
	d := audit.Sum([]byte("x"))
	if back, err := audit.ParseDigest(d.String()); err != nil || back != d {
		t.Errorf("%s, %v", back, err)
	}
	for _, s := range []string{"", d.String()[1:], d.String() + "0", strings.ToUpper(d.String()), "g" + d.String()[1:]} {
		if _, err := audit.ParseDigest(s); err == nil {
			t.Errorf("%q: taken", s)
		}
	}
}
