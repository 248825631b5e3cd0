package audit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// An export is a file of JSON lines that is verified with nothing but itself and
// a public key. Every line has one spelling: members in the order of the types
// below, no space, no HTML escaping. Whoever verifies writes each line anew and
// compares.
//
//	{"kind":"export",…}   first: whose log, whose entries, the signed checkpoint
//	{"kind":"tile",…}     in an export of the whole log, before each 256 entries:
//	                      their leaf hashes, and the proof that leads from those
//	                      to the signed root; so every line is judged at once
//	{"kind":"entry",…}    an entry, its place, its personal values, and in an
//	                      export of one participant its own inclusion proof
//	{"kind":"policy",…}   directly after the entry that put the document in force
//	{"kind":"end",…}      last: how many there are

// Exported is the action of the deed that makes an export of a participant: the
// entry by which the export ends.
const Exported = "audit.exported"

// PolicyApplied is the action of an entry that puts a policy document in force.
// Its public field "digest" names the document by meaning; the field
// DocumentField, where there is one, by its bytes.
const PolicyApplied = "policy.applied"

// DocumentField is the public field that holds the SHA-256 sum of a policy
// document as it was written, in hexadecimal.
const DocumentField = "document"

const (
	exportVersion = 1
	longestLine   = 16 << 20 // bytes, with its end
	deepestLine   = 16       // objects and arrays in one another
)

// ExportHeader says what an export is of.
type ExportHeader struct {
	Participant string       // "": the whole log
	Checkpoint  string       // signed note; everything is proven against it
	Older       []Checkpoint // that an auditor may have kept: the export proves that the log continues them
}

// ExportEntry is an entry with its place in the log.
type ExportEntry struct {
	Position    uint64
	Participant string
	Number      uint64
	Canonical   []byte     // as it was sealed
	Personal    []Personal // in the order of the entry's fields; none where erased
}

// PolicyDocument is a document that an entry put in force.
type PolicyDocument struct {
	Version     int64
	Participant string // whose overlay, "" for the policy of all
	Digest      string // as the entry has it
	Document    string // as it was written
}

// Export writes an export. Its methods are called in the order of the file:
// entries by position, a policy after its entry, End. What it writes it does not
// judge, so that a damaged record can be shown to others; Verify does.
type Export struct {
	w           *bufio.Writer
	nodes       NodeSource
	participant string
	size        uint64
	entries     uint64
	policies    uint64
	line        []byte
	err         error
}

// NewExport writes the first line. Proofs come from nodes, which are asked in
// ascending order and for each tile once.
func NewExport(ctx context.Context, w io.Writer, h ExportHeader, nodes NodeSource) (*Export, error) {
	c, err := ParseCheckpoint(h.Checkpoint)
	if err != nil {
		return nil, fmt.Errorf("begin export: %w", err)
	}
	const tiles = 16 // one a level, and the right edge
	x := &Export{w: bufio.NewWriterSize(w, 64<<10), nodes: Cached(nodes, c.Size, tiles), participant: h.Participant, size: c.Size}
	line := headerLine{Version: exportVersion, Origin: c.Origin, Participant: h.Participant, Size: c.Size, Made: Stamp(c.At), Checkpoint: h.Checkpoint}
	for _, older := range h.Older {
		proof, err := ConsistencyProof(ctx, x.nodes, older.Size, c.Size)
		if err != nil {
			return nil, fmt.Errorf("begin export: %w", err)
		}
		line.Consistency = append(line.Consistency, consistencyLine{From: older.Size, Root: older.Root[:], Proof: slicesOf(proof)})
	}
	if err := x.put(line.append(nil)); err != nil {
		return nil, fmt.Errorf("begin export: %w", err)
	}
	return x, nil
}

// Entry writes an entry. It fails when the canonical bytes are no JSON of one
// line: such an export could not be read.
func (x *Export) Entry(ctx context.Context, e ExportEntry) error {
	if !oneLine(e.Canonical) {
		return fmt.Errorf("export position %d: its bytes are no JSON of one line", e.Position)
	}
	line := entryLine{Position: e.Position, Participant: e.Participant, Number: e.Number, Entry: e.Canonical}
	if len(e.Personal) > 0 {
		var err error
		if line.Personal, err = placed(e.Personal, e.Canonical); err != nil {
			return fmt.Errorf("export position %d: %w", e.Position, err)
		}
	}
	if x.participant != "" {
		proof, err := InclusionProof(ctx, x.nodes, e.Position, x.size)
		if err != nil {
			return fmt.Errorf("export position %d: %w", e.Position, err)
		}
		line.Proof = slicesOf(proof)
	} else if e.Position%tileSize == 0 {
		if err := x.tile(ctx, e.Position); err != nil {
			return fmt.Errorf("export position %d: %w", e.Position, err)
		}
	}
	x.line = line.append(x.line[:0])
	if err := x.put(x.line); err != nil {
		return fmt.Errorf("export position %d: %w", e.Position, err)
	}
	x.entries++
	return nil
}

// placed finds the fields that personal values belong to. A value that belongs
// to none is written as if it were the next of its name, for Verify to see.
func placed(personal []Personal, entry []byte) ([]personalLine, error) {
	var c canonical
	if err := json.Unmarshal(entry, &c); err != nil {
		return nil, fmt.Errorf("read entry: %w", err)
	}
	var out []personalLine
	next := 0
	for _, p := range personal {
		at, digest := len(c.Fields), p.Digest().String()
		for i := len(c.Fields) - 1; i >= next; i-- {
			if c.Fields[i].Name == p.Name && c.Fields[i].Digest != "" && (at == len(c.Fields) || c.Fields[at].Digest != digest || c.Fields[i].Digest == digest) {
				at = i
			}
		}
		out = append(out, personalLine{Field: at, Name: p.Name, Salt: p.Salt, Value: p.Value})
		next = min(at+1, len(c.Fields))
	}
	return out, nil
}

// tile writes the leaf hashes of the 256 entries that follow, or of as many as
// the log still has.
func (x *Export) tile(ctx context.Context, first uint64) error {
	if first >= x.size {
		return fmt.Errorf("the checkpoint is of size %d", x.size)
	}
	n := min(tileSize, x.size-first)
	leaves, err := x.nodes.Hashes(ctx, 0, first, int(n))
	if err != nil {
		return err
	}
	proof, err := InclusionProof(ctx, x.nodes, first, x.size)
	if err != nil {
		return err
	}
	inside := bits.Len64(n - 1) // of the first leaf's path; the rest is the path of the tile
	return x.put(tileLine{First: first, Leaves: slicesOf(leaves), Proof: slicesOf(proof[inside:])}.append(nil))
}

// Policy writes a document, after the entry that put it in force.
func (x *Export) Policy(p PolicyDocument) error {
	x.line = policyLine(p).append(x.line[:0])
	if err := x.put(x.line); err != nil {
		return fmt.Errorf("export policy version %d: %w", p.Version, err)
	}
	x.policies++
	return nil
}

// End writes the last line. Without it an export is truncated.
func (x *Export) End() error {
	if err := x.put(endLine{Entries: x.entries, Policies: x.policies}.append(nil)); err != nil {
		return fmt.Errorf("end export: %w", err)
	}
	if err := x.w.Flush(); err != nil {
		x.err = err
		return fmt.Errorf("end export: %w", err)
	}
	x.err = errors.New("the export has ended")
	return nil
}

func (x *Export) put(line []byte) error {
	if x.err != nil {
		return x.err
	}
	if len(line) >= longestLine {
		return fmt.Errorf("a line of %d bytes is longer than exports may have", len(line)) // nothing is written: the caller may go on
	}
	if _, x.err = x.w.Write(line); x.err == nil {
		x.err = x.w.WriteByte('\n')
	}
	return x.err
}
