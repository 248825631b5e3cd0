package lifecycle

import (
	"archive/zip"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// An evidence pack is one ZIP file for the auditor of one participant and one
// period [From, To). It is written as it is read: each file's digest is taken
// while it passes, the manifest has them all, and the manifest's own digest is
// recorded as an entry. What follows the manifest proves itself: a checkpoint
// over that entry, the entry's proof, and the participant's export.

// Packed is the action of the entry that holds a manifest's digest.
const Packed = "audit.packed"

// Names in a pack that others look for.
const (
	PackManifestFile   = "manifest.json"
	PackEntryFile      = "packed-entry.json"
	PackCheckpointFile = "packed-checkpoint.txt"
	PackRecordFile     = "record.jsonl"
	PackKeyFile        = "public-key.txt"
	PackBeginFile      = "checkpoint.txt"
	packSumsFile       = "SHA256SUMS"
)

const (
	// PackSample is how many people are drawn when nobody says.
	PackSample = 25
	packMost   = 1000 // people in a sample
)

// PackSpec asks for an evidence pack.
type PackSpec struct {
	Participant string
	From, To    time.Time // [From, To), whole microseconds; To is not in the future
	Sample      int       // people whose whole timelines are in it, up to 1000
	Seed        string    // of the sample; "" draws one
}

// PackFile is a file of a pack as the manifest has it.
type PackFile struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// PackCounts are how many there are of what in a pack. Of everybody with access
// when the period began, and of who came to have it and lost it in the period,
// follows who had it when the period ended.
type PackCounts struct {
	PeopleOpening int  `json:"peopleOpening"` // on record when the period began, those who had left too
	PeopleCreated int  `json:"peopleCreated"`
	PeopleClosing int  `json:"peopleClosing"`
	AccessOpening int  `json:"accessOpening"` // who had access when the period began
	AccessBegan   int  `json:"accessBegan"`
	AccessEnded   int  `json:"accessEnded"`
	AccessClosing int  `json:"accessClosing"`
	AddsUp        bool `json:"addsUp"` // opening, and what changed, make closing

	Joiners   int `json:"joiners"` // rows, as the following
	Movers    int `json:"movers"`
	Leavers   int `json:"leavers"`
	Approvals int `json:"approvals"`
	Policies  int `json:"policies"`
	Reviews   int `json:"reviews"`
	Frame     int `json:"sampleFrame"` // people among whom the sample was drawn
	Sampled   int `json:"sampled"`
}

// PackManifest says what is in a pack.
type PackManifest struct {
	V               int         `json:"v"`
	Instance        string      `json:"instance"`
	Participant     string      `json:"participant"`
	ParticipantName string      `json:"participantName"`
	From            string      `json:"from"`
	To              string      `json:"to"`
	OpeningAsOf     string      `json:"openingAsOf"` // the last microsecond before From
	ClosingAsOf     string      `json:"closingAsOf"` // the last microsecond before To
	MadeAt          string      `json:"madeAt"`
	MadeBy          string      `json:"madeBy"`
	Seed            string      `json:"seed"`
	Sample          int         `json:"sample"` // people asked for
	SampleMethod    string      `json:"sampleMethod"`
	Keys            []string    `json:"keys"`       // public, the one that signs first
	Checkpoint      string      `json:"checkpoint"` // signed; the proofs in sample/ lead to it
	Counts          PackCounts  `json:"counts"`
	TimeToClose     TimeToClose `json:"timeToClose"`
	Files           []PackFile  `json:"files"`
	After           []string    `json:"after"` // files behind this one, which prove themselves
}

const sampleMethod = "Of every id in population-closing.csv whose column deleted is empty or not before from: the ids whose SHA-256(seed followed by id, both as text) in hexadecimal sort first."

// pack is one that is being made.
type pack struct {
	s                *Service
	spec             PackSpec
	opening, closing time.Time
	made             time.Time
	begun            audit.Checkpoint
	zip              *zip.Writer
	m                PackManifest
	drawn            []drawn
	progress         Progress
	done, total      int
}

// Pack writes an evidence pack to w. Memory does not grow with the number of
// people, but for eight bytes for each who left. That somebody takes it is an entry before anything is written, and so is
// in the end what was taken. progress, if any, is told how many people were
// written, of how many in the three walks over them.
//
// A period in the future, or that ends before it begins, is KindInvalid.
func (s *Service) Pack(ctx context.Context, w io.Writer, by Actor, spec PackSpec, progress Progress) (PackManifest, error) {
	p, err := s.beginPack(ctx, by, spec)
	if err != nil {
		return PackManifest{}, wrapped("pack the evidence", err)
	}
	p.zip, p.progress = zip.NewWriter(w), progress
	for _, write := range []func(context.Context) error{p.preface, p.populations, p.changes, p.approvals, p.policies, p.reviews, p.samples, p.sums} {
		if err := write(ctx); err != nil {
			return PackManifest{}, wrapped("pack the evidence", err)
		}
	}
	if err := p.seal(ctx, by); err != nil {
		return PackManifest{}, wrapped("seal the evidence", err)
	}
	return p.m, wrapped("pack the evidence", p.zip.Close())
}

// beginPack checks what is asked for, and records that it is.
func (s *Service) beginPack(ctx context.Context, by Actor, spec PackSpec) (*pack, error) {
	now := s.Now()
	spec.From, spec.To = spec.From.UTC(), spec.To.UTC()
	whole := func(t time.Time) bool { return t.Equal(t.Truncate(time.Microsecond)) }
	switch {
	case len(s.logKeys) == 0:
		return nil, errors.New("there is no key that signs")
	case !spec.From.Before(spec.To):
		return nil, Faultf(KindInvalid, "to", "to is %s, which is not after from, %s", audit.Stamp(spec.To), audit.Stamp(spec.From))
	case spec.To.After(now):
		return nil, Faultf(KindInvalid, "to", "to lies in the future; the record ends at %s", now.Format(time.RFC3339))
	case !whole(spec.From) || !whole(spec.To):
		return nil, Faultf(KindInvalid, "from", "from or to is finer than a microsecond; the record is not")
	case spec.Sample < 0 || spec.Sample > packMost:
		return nil, Faultf(KindInvalid, "sample", "sample is %d; expected 0 to %d people", spec.Sample, packMost)
	case len(spec.Seed) > 200 || strings.ContainsFunc(spec.Seed, func(r rune) bool { return r < ' ' || r > '~' }):
		return nil, Faultf(KindInvalid, "seed", "the seed holds something else than printable ASCII, or over 200 bytes; an auditor could not type it")
	}
	participant, err := s.store.GetParticipant(ctx, spec.Participant)
	if err != nil {
		return nil, notFound(err, "there is no participant %s", spec.Participant)
	}
	if spec.Seed == "" {
		var drawn [8]byte
		if _, err := io.ReadFull(s.random, drawn[:]); err != nil {
			return nil, fmt.Errorf("draw a seed: %w", err)
		}
		spec.Seed = hex.EncodeToString(drawn[:])
	}
	p := &pack{s: s, spec: spec, made: now, opening: spec.From.Add(-time.Microsecond), closing: spec.To.Add(-time.Microsecond)}
	if err := s.Settle(ctx, p.closing); err != nil {
		return nil, err
	}
	people, err := s.store.CountUsersAt(ctx, spec.Participant, p.closing)
	if err != nil {
		return nil, err
	}
	p.total = 3 * people
	asked := audit.Sum([]byte(audit.Stamp(spec.From) + " " + audit.Stamp(spec.To))).String()
	if err := s.ReadLog(ctx, by, Reading{Route: "audit pack", Participant: spec.Participant, Filter: asked, Rows: people}); err != nil {
		return nil, err
	}
	note, err := s.SignedNow(ctx)
	if err != nil {
		return nil, err
	}
	if p.begun, err = audit.ParseCheckpoint(note); err != nil {
		return nil, err
	}
	instance, err := s.store.Instance(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := s.LogKeys(ctx)
	if err != nil {
		return nil, err
	}
	p.m = PackManifest{
		V: 1, Instance: instance, Participant: participant.ID, ParticipantName: participant.Name,
		From: audit.Stamp(spec.From), To: audit.Stamp(spec.To), OpeningAsOf: audit.Stamp(p.opening), ClosingAsOf: audit.Stamp(p.closing),
		MadeAt: audit.Stamp(now), MadeBy: by.Subject, Seed: spec.Seed, Sample: spec.Sample, SampleMethod: sampleMethod,
		Keys: keys, Checkpoint: note, Files: []PackFile{}, After: []string{PackEntryFile, PackCheckpointFile, PackRecordFile},
	}
	return p, nil
}

// within says whether an instant lies in the period.
func (p *pack) within(at time.Time) bool { return !at.Before(p.spec.From) && at.Before(p.spec.To) }

// measured counts and digests what passes.
type measured struct {
	sum   hash.Hash
	bytes int64
}

func (t *measured) Write(b []byte) (int, error) {
	t.bytes += int64(len(b))
	return t.sum.Write(b)
}

// file writes one file and answers it as the manifest has it.
func (p *pack) file(name string, write func(w io.Writer) error) (PackFile, error) {
	fail := func(err error) (PackFile, error) { return PackFile{}, fmt.Errorf("write %s: %w", name, err) }
	in, err := p.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: p.made})
	if err != nil {
		return fail(err)
	}
	t := &measured{sum: sha256.New()}
	out := bufio.NewWriterSize(io.MultiWriter(in, t), 64<<10)
	if err := write(out); err != nil {
		return fail(err)
	}
	if err := out.Flush(); err != nil {
		return fail(err)
	}
	return PackFile{Name: name, Bytes: t.bytes, SHA256: hex.EncodeToString(t.sum.Sum(nil))}, nil
}

// listed writes a file that the manifest lists.
func (p *pack) listed(name string, write func(w io.Writer) error) error {
	f, err := p.file(name, write)
	if err == nil {
		p.m.Files = append(p.m.Files, f)
	}
	return err
}

func (p *pack) text(name, text string) error {
	return p.listed(name, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

// table writes a file of CSV: rows hands its rows to add.
func (p *pack) table(name string, header []string, rows func(add func(cells ...string) error) error) error {
	return p.listed(name, func(w io.Writer) error {
		out := csv.NewWriter(w)
		if err := out.Write(header); err != nil {
			return err
		}
		err := rows(func(cells ...string) error {
			for i := range cells {
				cells[i] = inertCell(cells[i])
			}
			return out.Write(cells)
		})
		if err != nil {
			return err
		}
		out.Flush()
		return out.Error()
	})
}

// inertCell keeps what people sent from being run as a formula by a spreadsheet.
func inertCell(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

func (p *pack) stepped(people int) {
	p.done += people
	if p.progress != nil {
		p.progress(min(p.done, p.total), p.total)
	}
}

// sums lists the files so far as sha256sum reads them.
func (p *pack) sums(context.Context) error {
	var list strings.Builder
	for _, f := range p.m.Files {
		list.WriteString(f.SHA256 + "  " + f.Name + "\n")
	}
	return p.text(packSumsFile, list.String())
}

// packedEntry is the proof that a manifest's digest is on record.
type packedEntry struct {
	Manifest    string          `json:"manifest"` // SHA-256 of manifest.json
	Position    int64           `json:"position"`
	Participant string          `json:"participant"`
	Number      int64           `json:"number"`
	Size        int64           `json:"size"` // of the log at packed-checkpoint.txt
	Entry       json.RawMessage `json:"entry"`
	Proof       []string        `json:"proof"`
}

// seal writes the manifest, records its digest, and writes what proves that.
func (p *pack) seal(ctx context.Context, by Actor) error {
	text, err := json.MarshalIndent(p.m, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the manifest: %w", err)
	}
	text = append(text, '\n')
	if _, err := p.file(PackManifestFile, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	}); err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("entry id: %w", err)
	}
	digest := audit.Sum(text).String()
	err = p.s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		return p.s.entry(ctx, tx, by, audit.Draft{
			ID: id.String(), Action: Packed, Participant: p.spec.Participant, Sentence: "An evidence pack was made; its manifest has this digest.",
			Fields: []audit.Field{
				public("manifest", digest), public("from", p.m.From), public("to", p.m.To), public("seed", p.m.Seed),
				public("files", strconv.Itoa(len(p.m.Files))), public("people", strconv.Itoa(p.m.Counts.PeopleClosing)),
			},
		})
	})
	if err != nil {
		return err
	}
	if _, err := p.s.checkpointOver(ctx, id.String()); err != nil {
		return err
	}
	in, err := p.s.ProveInclusion(ctx, p.spec.Participant, id.String(), 0)
	if err != nil {
		return err
	}
	proof, err := compactJSON(packedEntry{
		Manifest: digest, Position: in.Position.Position, Participant: in.Position.Participant, Number: in.Position.Number, Size: in.Size,
		Entry: in.Entry.Canonical, Proof: hexOf(in.Proof),
	})
	if err != nil {
		return err
	}
	for _, f := range [][2]string{{PackEntryFile, string(proof) + "\n"}, {PackCheckpointFile, in.Checkpoint}} {
		if _, err := p.file(f[0], func(w io.Writer) error {
			_, err := io.WriteString(w, f[1])
			return err
		}); err != nil {
			return err
		}
	}
	packed, err := audit.ParseCheckpoint(in.Checkpoint)
	if err != nil {
		return err
	}
	_, err = p.file(PackRecordFile, func(w io.Writer) error {
		return p.s.ExportLog(ctx, w, by, p.spec.Participant, []audit.Checkpoint{p.begun, packed}, nil)
	})
	return err
}

func hexOf(proof []audit.Digest) []string {
	out := make([]string, len(proof))
	for i, d := range proof {
		out[i] = d.String()
	}
	return out
}
