package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
)

// Leaf is what the log says about one entry: where it stands, whose it is, and
// which of theirs.
type Leaf struct {
	Position    uint64 // in the log, from 0
	Participant string // "" for none
	Number      uint64 // among the participant's entries, from 1, without gaps
	Entry       Digest // hash of the entry's canonical bytes
}

// leafPrefix keeps leaves apart from anything else that is ever hashed.
const leafPrefix = "healthix-scim/leaf\x00"

// Data is what the leaf hash covers.
func (l Leaf) Data() []byte {
	b := make([]byte, 0, 192)
	b = append(b, leafPrefix+`{"position":`...)
	b = strconv.AppendUint(b, l.Position, 10)
	b = append(b, `,"participant":`...)
	b = appendText(b, l.Participant)
	b = append(b, `,"number":`...)
	b = strconv.AppendUint(b, l.Number, 10)
	b = append(b, `,"entry":"`...)
	b = append(b, l.Entry.String()...)
	return append(b, `"}`...)
}

// Hash is the leaf hash of RFC 6962 §2.1: SHA-256 over a zero byte and the data.
func (l Leaf) Hash() Digest { return Digest(rfc6962.DefaultHasher.HashLeaf(l.Data())) }

// appendText appends s as JSON, escaped the way entries are.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return append(b, encoded(s)...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func encoded(s string) string {
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic("audit: a text does not encode: " + err.Error()) // cannot be
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// Node is a perfect inner node of the tree. Its hash never changes any more.
type Node struct {
	Level uint   // 0 for leaf hashes; the node covers 2^Level leaves
	Index uint64 // among the nodes of its level, from 0
	Hash  Digest
}

// KeptEvery says which levels of the tree are kept: the multiples of 8. Others
// are computed from at most 128 hashes of the level below that is kept.
const KeptEvery = 8

var ranges = compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}

// Tree is the right edge of a Merkle tree (RFC 6962 §2.1): what is needed to
// append and to name the root. The zero value is the empty tree. A Tree is not
// safe for use by several goroutines.
type Tree struct {
	edge *compact.Range // nil: empty
}

// ParseEdge is the reverse of Edge. It fails when the bytes do not belong to a
// tree of that size.
func ParseEdge(size uint64, edge []byte) (*Tree, error) {
	want := compact.RangeSize(0, size) * len(Digest{})
	if len(edge) != want {
		return nil, fmt.Errorf("edge of a tree of %d: %d bytes where %d belong", size, len(edge), want)
	}
	var hashes [][]byte
	for len(edge) > 0 {
		h := Digest(edge)
		hashes, edge = append(hashes, h[:]), edge[len(h):]
	}
	r, err := ranges.NewRange(0, size, hashes)
	if err != nil {
		return nil, fmt.Errorf("edge of a tree of %d: %w", size, err)
	}
	return &Tree{edge: r}, nil
}

// Edge gives the tree's bytes: the hashes of the largest perfect subtrees that
// cover it, from the left, 32 bytes each. It is what a store keeps.
func (t *Tree) Edge() []byte {
	if t.edge == nil {
		return nil
	}
	var out []byte
	for _, h := range t.edge.Hashes() {
		out = append(out, h...)
	}
	return out
}

// Size is how many leaves the tree has.
func (t *Tree) Size() uint64 {
	if t.edge == nil {
		return 0
	}
	return t.edge.End()
}

// Root is the tree's hash. An empty tree has one too.
func (t *Tree) Root() Digest {
	if t.Size() == 0 {
		return Digest(rfc6962.DefaultHasher.EmptyRoot())
	}
	root, err := t.edge.GetRootHash(nil)
	if err != nil {
		panic("audit: an edge that does not begin at 0: " + err.Error()) // cannot be
	}
	return Digest(root)
}

// Append adds a leaf hash and gives the inner nodes on kept levels (8, 16, …)
// that became perfect by it, lowest first; mostly there are none. The leaf
// hashes themselves are level 0. A store keeps both, insert-only.
func (t *Tree) Append(leaf Digest) []Node {
	if t.edge == nil {
		t.edge = ranges.NewEmptyRange(0)
	}
	var kept []Node
	err := t.edge.Append(leaf[:], func(id compact.NodeID, hash []byte) {
		if id.Level > 0 && id.Level%KeptEvery == 0 {
			kept = append(kept, Node{Level: id.Level, Index: id.Index, Hash: Digest(hash)})
		}
	})
	if err != nil {
		panic("audit: an edge whose length was checked: " + err.Error()) // cannot be
	}
	return kept
}

// Clone gives a tree that may grow apart from this one: what is appended in a
// transaction counts only after its commit.
func (t *Tree) Clone() *Tree {
	c, err := ParseEdge(t.Size(), t.Edge())
	if err != nil {
		panic("audit: " + err.Error()) // cannot be: Edge has the length that belongs to Size
	}
	return c
}

// ParseDigest reads what String wrote.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) != 2*len(d) {
		return Digest{}, errors.New("a digest has 64 hexadecimal digits")
	}
	for i := range d {
		hi, lo := nibble(s[2*i]), nibble(s[2*i+1])
		if hi > 15 || lo > 15 {
			return Digest{}, errors.New("a digest has lower-case hexadecimal digits only")
		}
		d[i] = hi<<4 | lo
	}
	return d, nil
}

func nibble(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}
