package audit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"
	"pgregory.net/rapid"

	"github.com/healthix/healthix-scim/audit"
)

// kept is what a store keeps of a tree, and how often it was asked.
type kept struct {
	levels map[uint][]audit.Digest
	asked  int
	tree   audit.Tree
}

func (k *kept) add(leaf audit.Digest) {
	if k.levels == nil {
		k.levels = map[uint][]audit.Digest{}
	}
	k.levels[0] = append(k.levels[0], leaf)
	for _, n := range k.tree.Append(leaf) {
		if n.Index != uint64(len(k.levels[n.Level])) {
			panic(fmt.Sprintf("node %d/%d out of order", n.Level, n.Index))
		}
		k.levels[n.Level] = append(k.levels[n.Level], n.Hash)
	}
}

func (k *kept) Hashes(_ context.Context, level uint, first uint64, n int) ([]audit.Digest, error) {
	k.asked++
	have := k.levels[level]
	if level%audit.KeptEvery != 0 || n > 256 || first+uint64(n) > uint64(len(have)) {
		return nil, fmt.Errorf("asked for %d nodes from %d on level %d, where %d are", n, first, level, len(have))
	}
	return have[first : first+uint64(n)], nil
}

func grown(n uint64) (*kept, *testonly.Tree) {
	k, ref := &kept{}, testonly.New(rfc6962.DefaultHasher)
	for i := range n {
		h := leafHash(i)
		k.add(h)
		ref.Append(h[:])
	}
	return k, ref
}

func same(t testing.TB, what string, got []audit.Digest, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d hashes, want %d", what, len(got), len(want))
	}
	for i := range got {
		if string(got[i][:]) != string(want[i]) {
			t.Fatalf("%s: hash %d differs", what, i)
		}
	}
}

func TestProofsAgainstTheReference(t *testing.T) {
	const most = 600
	k, ref := grown(most)
	for size := uint64(1); size <= most; size++ {
		root := audit.Digest(ref.HashAt(size))
		source := audit.Cached(k, size, 16)
		// All indices of small trees; of larger ones, a different seventh each.
		step := uint64(1)
		if size > 70 {
			step = 7
		}
		for i := size % step; i < size; i += step {
			what := fmt.Sprintf("leaf %d of %d", i, size)
			got, err := audit.InclusionProof(t.Context(), source, i, size)
			if err != nil {
				t.Fatal(what, err)
			}
			want, err := ref.InclusionProof(i, size)
			if err != nil {
				t.Fatal(err)
			}
			same(t, what, got, want)
			if err := audit.VerifyInclusion(leafHash(i), i, size, got, root); err != nil {
				t.Fatal(what, err)
			}
			if audit.VerifyInclusion(leafHash(i+1), i, size, got, root) == nil {
				t.Fatal(what, "proves another leaf")
			}
			if size > 1 && audit.VerifyInclusion(leafHash(i), (i+1)%size, size, got, root) == nil {
				t.Fatal(what, "proves another place")
			}

			from := i + 1
			what = fmt.Sprintf("from %d to %d", from, size)
			if got, err = audit.ConsistencyProof(t.Context(), source, from, size); err != nil {
				t.Fatal(what, err)
			}
			if want, err = ref.ConsistencyProof(from, size); err != nil {
				t.Fatal(err)
			}
			same(t, what, got, want)
			older := audit.Digest(ref.HashAt(from))
			if err := audit.VerifyConsistency(from, size, got, older, root); err != nil {
				t.Fatal(what, err)
			}
			if audit.VerifyConsistency(from, size, got, audit.Sum(older[:]), root) == nil {
				t.Fatal(what, "proves another past")
			}
		}
	}
}

func TestProofsOfLargerTrees(t *testing.T) {
	const most = 1<<16 + 1000
	k, ref := grown(most)
	rapid.Check(t, func(r *rapid.T) {
		size := rapid.Uint64Range(1, most).Draw(r, "size")
		i := rapid.Uint64Range(0, size-1).Draw(r, "index")
		var source audit.NodeSource = k
		if rapid.Bool().Draw(r, "cached") {
			source = audit.Cached(k, size, rapid.IntRange(0, 4).Draw(r, "tiles"))
		}
		got, err := audit.InclusionProof(t.Context(), source, i, size)
		if err != nil {
			r.Fatal(err)
		}
		want, err := ref.InclusionProof(i, size)
		if err != nil {
			r.Fatal(err)
		}
		same(t, "inclusion", got, want)
		if got, err = audit.ConsistencyProof(t.Context(), source, i+1, size); err != nil {
			r.Fatal(err)
		}
		if want, err = ref.ConsistencyProof(i+1, size); err != nil {
			r.Fatal(err)
		}
		same(t, "consistency", got, want)
		// Any flipped bit of a proof is seen.
		if len(got) > 0 {
			n := rapid.IntRange(0, len(got)*256-1).Draw(r, "bit")
			got[n/256][n%256/8] ^= 1 << (n % 8)
			if audit.VerifyConsistency(i+1, size, got, audit.Digest(ref.HashAt(i+1)), audit.Digest(ref.HashAt(size))) == nil {
				r.Fatal("a consistency proof with a flipped bit holds")
			}
		}
	})
}

// TestAWalkFetchesEveryTileOnce: an export of a large participant asks for
// thousands of proofs.
func TestAWalkFetchesEveryTileOnce(t *testing.T) {
	const size = 1<<16 + 700
	k, _ := grown(size)
	source := audit.Cached(k, size, 16)
	k.asked = 0
	for i := range uint64(size) {
		if _, err := audit.InclusionProof(t.Context(), source, i, size); err != nil {
			t.Fatal(err)
		}
	}
	// 259 of leaves, two of level 8 and one of level 16.
	if k.asked > 259+2+1 {
		t.Errorf("%d fetches", k.asked)
	}
	// Sixteen are held, not all: the second tile has made room.
	k.asked = 0
	if _, err := audit.InclusionProof(t.Context(), source, 300, size); err != nil || k.asked == 0 {
		t.Errorf("%d fetches, %v", k.asked, err)
	}
	got, err := source.Hashes(t.Context(), 0, 300, 256)
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range got {
		if h != leafHash(300+uint64(i)) {
			t.Fatalf("hash %d across two tiles differs", i)
		}
	}
}

type deaf struct{ err error }

func (d deaf) Hashes(context.Context, uint, uint64, int) ([]audit.Digest, error) { return nil, d.err }

func TestWhatHasNoProof(t *testing.T) {
	k, _ := grown(10)
	ctx := t.Context()
	cached := audit.Cached(k, 10, 4)
	down := errors.New("no database")
	for name, f := range map[string]func() error{
		"a leaf beyond":     func() error { _, err := audit.InclusionProof(ctx, k, 10, 10); return err },
		"an empty tree":     func() error { _, err := audit.InclusionProof(ctx, k, 0, 0); return err },
		"from nothing":      func() error { _, err := audit.ConsistencyProof(ctx, k, 0, 10); return err },
		"backwards":         func() error { _, err := audit.ConsistencyProof(ctx, k, 10, 9); return err },
		"a larger tree":     func() error { _, err := audit.InclusionProof(ctx, cached, 3, 300); return err },
		"too few hashes":    func() error { _, err := audit.InclusionProof(ctx, deaf{}, 3, 10); return err },
		"too few, cached":   func() error { _, err := audit.InclusionProof(ctx, audit.Cached(deaf{}, 10, 4), 3, 10); return err },
		"hashes beyond":     func() error { _, err := cached.Hashes(ctx, 0, 8, 3); return err },
		"verified from 0":   func() error { return audit.VerifyConsistency(0, 10, nil, audit.Digest{}, audit.Digest{}) },
		"verified too long": func() error { return audit.VerifyInclusion(leafHash(0), 0, 1, make([]audit.Digest, 1), leafHash(0)) },
	} {
		if f() == nil {
			t.Error(name)
		}
	}
	if _, err := audit.InclusionProof(ctx, deaf{down}, 3, 10); !errors.Is(err, down) || !strings.Contains(err.Error(), "3 in 10") {
		t.Errorf("%v", err)
	}
}
