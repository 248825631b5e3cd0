package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// NodeSource gives what a store keeps of a tree.
type NodeSource interface {
	// Hashes gives the hashes of n perfect nodes (at most 256) of a level that is
	// a multiple of 8, from the node with index first; level 0 are leaf hashes.
	// Fewer than n are an error.
	Hashes(ctx context.Context, level uint, first uint64, n int) ([]Digest, error)
}

// InclusionProof proves that the leaf at index is in the tree of that size
// (RFC 6962 §2.1.1). It asks for hashes that a tree of that size has, no others.
func InclusionProof(ctx context.Context, nodes NodeSource, index, size uint64) ([]Digest, error) {
	need, err := proof.Inclusion(index, size)
	if err != nil {
		return nil, fmt.Errorf("inclusion proof of %d in %d: %w", index, size, err)
	}
	p, err := build(ctx, nodes, need)
	if err != nil {
		return nil, fmt.Errorf("inclusion proof of %d in %d: %w", index, size, err)
	}
	return p, nil
}

// ConsistencyProof proves that the tree of size from is a prefix of that of size
// to (RFC 6962 §2.1.2). From must be at least 1: of the empty tree there is
// nothing to prove. Equal sizes have the empty proof.
func ConsistencyProof(ctx context.Context, nodes NodeSource, from, to uint64) ([]Digest, error) {
	if from == 0 {
		return nil, fmt.Errorf("consistency proof from 0 to %d: every log continues the empty one", to)
	}
	need, err := proof.Consistency(from, to)
	if err != nil {
		return nil, fmt.Errorf("consistency proof from %d to %d: %w", from, to, err)
	}
	p, err := build(ctx, nodes, need)
	if err != nil {
		return nil, fmt.Errorf("consistency proof from %d to %d: %w", from, to, err)
	}
	return p, nil
}

// VerifyInclusion says whether the proof leads from the leaf hash to the root.
func VerifyInclusion(leaf Digest, index, size uint64, path []Digest, root Digest) error {
	return proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, leaf[:], slicesOf(path), root[:])
}

// VerifyConsistency says whether the proof shows that the tree of the older size
// and root is a prefix of the newer.
func VerifyConsistency(from, to uint64, path []Digest, fromRoot, toRoot Digest) error {
	if from == 0 {
		return errors.New("every log continues the empty one; there is no proof of it")
	}
	return proof.VerifyConsistency(rfc6962.DefaultHasher, from, to, slicesOf(path), fromRoot[:], toRoot[:])
}

func slicesOf(path []Digest) [][]byte {
	out := make([][]byte, len(path))
	for i := range path {
		out[i] = path[i][:]
	}
	return out
}

func build(ctx context.Context, nodes NodeSource, need proof.Nodes) ([]Digest, error) {
	hashes := make([][]byte, len(need.IDs))
	for i, id := range need.IDs {
		h, err := nodeHash(ctx, nodes, id)
		if err != nil {
			return nil, err
		}
		hashes[i] = h[:]
	}
	hashes, err := need.Rehash(hashes, rfc6962.DefaultHasher.HashChildren)
	if err != nil {
		return nil, err
	}
	out := make([]Digest, len(hashes))
	for i, h := range hashes {
		out[i] = Digest(h)
	}
	return out, nil
}

// nodeHash computes a perfect node from the kept level at or below it.
func nodeHash(ctx context.Context, nodes NodeSource, id compact.NodeID) (Digest, error) {
	if c, ok := nodes.(*cached); ok {
		return c.node(ctx, id)
	}
	up := id.Level % KeptEvery
	hashes, err := fetch(ctx, nodes, id.Level-up, id.Index<<up, 1<<up)
	if err != nil {
		return Digest{}, err
	}
	for len(hashes) > 1 {
		hashes = parents(hashes)
	}
	return hashes[0], nil
}

// fetch holds a source to its promise.
func fetch(ctx context.Context, nodes NodeSource, level uint, first uint64, n int) ([]Digest, error) {
	hashes, err := nodes.Hashes(ctx, level, first, n)
	if err != nil {
		return nil, fmt.Errorf("hashes of level %d from %d: %w", level, first, err)
	}
	if len(hashes) != n {
		return nil, fmt.Errorf("hashes of level %d from %d: %d instead of %d", level, first, len(hashes), n)
	}
	return hashes, nil
}

// parents gives the level above; a last node without a sibling has no parent yet.
func parents(hashes []Digest) []Digest {
	out := make([]Digest, len(hashes)/2)
	for i := range out {
		out[i] = Digest(rfc6962.DefaultHasher.HashChildren(hashes[2*i][:], hashes[2*i+1][:]))
	}
	return out
}

// tileSize is how many hashes of a kept level are fetched at once.
const tileSize = 1 << KeptEvery

// Cached keeps the newest tiles (256 hashes of one level each, with what is
// computed from them: about 16 KiB) that a walk over a tree of the given size
// asks for: a walk in ascending order fetches every tile once. It needs room
// for one tile a level and a few to the right of the walk; 16 are plenty. It is
// not safe for use by several goroutines.
func Cached(source NodeSource, size uint64, tiles int) NodeSource {
	return &cached{source: source, size: size, most: max(tiles, 1), tiles: map[compact.NodeID]*tile{}}
}

type cached struct {
	source NodeSource
	size   uint64
	most   int
	tiles  map[compact.NodeID]*tile // by kept level and number of the tile on it
	clock  uint64
}

type tile struct {
	used   uint64
	levels [KeptEvery][]Digest // the kept level, then those computed from it
}

// Hashes implements NodeSource.
func (c *cached) Hashes(ctx context.Context, level uint, first uint64, n int) ([]Digest, error) {
	out := make([]Digest, 0, n)
	for len(out) < n {
		at := first + uint64(len(out))
		t, err := c.tile(ctx, level, at/tileSize)
		if err != nil {
			return nil, err
		}
		have := t.levels[0]
		if at%tileSize >= uint64(len(have)) {
			return nil, fmt.Errorf("a tree of %d has no node %d on level %d", c.size, at, level)
		}
		have = have[at%tileSize:]
		out = append(out, have[:min(len(have), n-len(out))]...)
	}
	return out, nil
}

func (c *cached) node(ctx context.Context, id compact.NodeID) (Digest, error) {
	up := id.Level % KeptEvery
	wide := uint64(tileSize) >> up // nodes of this level in a tile
	t, err := c.tile(ctx, id.Level-up, id.Index/wide)
	if err != nil {
		return Digest{}, err
	}
	level := t.levels[up]
	if id.Index%wide >= uint64(len(level)) {
		return Digest{}, fmt.Errorf("a tree of %d has no node %d on level %d", c.size, id.Index, id.Level)
	}
	return level[id.Index%wide], nil
}

func (c *cached) tile(ctx context.Context, level uint, number uint64) (*tile, error) {
	c.clock++
	key := compact.NewNodeID(level, number)
	if t, ok := c.tiles[key]; ok {
		t.used = c.clock
		return t, nil
	}
	first, end := number*tileSize, c.size>>level
	if first >= end {
		return nil, fmt.Errorf("a tree of %d has no node %d on level %d", c.size, first, level)
	}
	hashes, err := fetch(ctx, c.source, level, first, int(min(tileSize, end-first)))
	if err != nil {
		return nil, err
	}
	t := &tile{used: c.clock}
	for i := range t.levels {
		t.levels[i] = hashes
		hashes = parents(hashes)
	}
	if len(c.tiles) >= c.most {
		var oldest compact.NodeID
		least := c.clock
		for k, t := range c.tiles {
			if t.used < least {
				oldest, least = k, t.used
			}
		}
		delete(c.tiles, oldest)
	}
	c.tiles[key] = t
	return t, nil
}
