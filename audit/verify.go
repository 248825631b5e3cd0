package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// VerifyOptions says what an export is held to besides itself and the keys.
type VerifyOptions struct {
	// Older are signed checkpoints that the auditor kept: the log must continue
	// them.
	Older []string
	// PolicyDigest computes what entries call the digest of a document. It is asked
	// in the order of the file, for documents that an entry names by meaning only.
	// Nil: those documents are not compared, and the report says so.
	PolicyDigest func(PolicyDocument) (string, error)
	// Progress is told now and then how many entries were verified.
	Progress func(entries uint64)
}

// Verify reads an export and holds it to the keys, as `audit key` prints them.
// The error is a *Damage that names the first thing wrong with it, or says that
// it could not be read. Memory does not grow with the number of entries.
func Verify(r io.Reader, keys []string, opts VerifyOptions) (Report, error) {
	v := &verifier{in: bufio.NewReaderSize(r, 64<<10), opts: opts, numbers: map[string]uint64{}}
	if err := v.begin(keys); err != nil {
		return Report{}, err
	}
	for {
		line, err := v.read()
		if err != nil {
			return Report{}, err
		}
		kind := kindOf(line)
		if v.promised != nil && kind != "policy" {
			return Report{}, v.at(v.position, Dropped, "the policy document that the entry before put in force is missing")
		}
		switch kind {
		case "tile":
			err = v.readTile(line)
		case "entry":
			err = v.readEntry(line)
		case "policy":
			err = v.readPolicy(line)
		case "end":
			if err := v.readEnd(line); err != nil {
				return Report{}, err
			}
			return v.report, nil
		default:
			err = v.damage(Changed, "the line is of no kind that exports have")
		}
		if err != nil {
			return Report{}, err
		}
	}
}

type verifier struct {
	in    *bufio.Reader
	opts  VerifyOptions
	buf   []byte
	again []byte
	line  int

	participant string // "": the whole log
	signed      Checkpoint
	older       []Checkpoint // still to be met on the way, by size

	tree     Tree              // of the entries read; whole log only
	tile     []Digest          // what remains of the tile: proven leaf hashes
	numbers  map[string]uint64 // newest number of each participant
	position uint64            // of the entry read last
	id       string            // of the line's entry, or of the one before
	action   string            // of the participant's newest entry
	promised *promise
	report   Report
}

// promise is the policy line that must follow.
type promise struct {
	PolicyDocument        // without the document
	sum            string // of the document's bytes, "" when the entry does not say
}

// mostParticipants bounds what numbers may hold.
const mostParticipants = 1_000_000

func kindOf(line []byte) string {
	rest, ok := bytes.CutPrefix(line, []byte(`{"kind":"`))
	if i := bytes.IndexByte(rest, '"'); ok && i >= 0 {
		return string(rest[:i])
	}
	return ""
}

// damage is about the line read last.
func (v *verifier) damage(kind DamageKind, format string, args ...any) *Damage {
	return &Damage{Kind: kind, Line: v.line, Entry: v.id, Detail: fmt.Sprintf(format, args...)}
}

// at is damage to an entry.
func (v *verifier) at(position uint64, kind DamageKind, format string, args ...any) *Damage {
	d := v.damage(kind, format, args...)
	d.Position = &position
	return d
}

// begin reads the first line: the signed checkpoint, and that the rest of the
// line says the same.
func (v *verifier) begin(keys []string) error {
	if len(keys) == 0 {
		return errors.New("verify export: no key to verify with")
	}
	line, err := v.read()
	if err != nil {
		return err
	}
	if kindOf(line) != "export" {
		return v.damage(Malformed, "this is not an export: its first line does not say so")
	}
	var h headerLine
	if err := v.decode(line, &h); err != nil {
		return err
	}
	if h.Version != exportVersion {
		return v.damage(Malformed, "the export is of format %d, which this release does not know", h.Version)
	}
	if v.signed, err = OpenCheckpoint(h.Checkpoint, keys...); err != nil {
		return onLine(err, v.line)
	}
	if h.Origin != v.signed.Origin || h.Size != v.signed.Size || h.Made != Stamp(v.signed.At) {
		return v.damage(Changed, "the line does not say what its checkpoint says")
	}
	v.participant = h.Participant
	v.report = Report{Origin: h.Origin, Participant: h.Participant, Size: h.Size, Root: v.signed.Root, CheckpointAt: v.signed.At}
	shown := map[uint64]Digest{}
	for _, c := range h.Consistency {
		path, ok := digestsOf(c.Proof)
		root, alright := digestsOf([][]byte{c.Root})
		if !ok || !alright || VerifyConsistency(c.From, v.signed.Size, path, root[0], v.signed.Root) != nil {
			return v.damage(Changed, "the proof that the log continues the one of size %d does not hold", c.From)
		}
		shown[c.From] = root[0]
	}
	return v.meetOlder(keys, shown)
}

func onLine(err error, line int) error {
	var damage *Damage
	if errors.As(err, &damage) {
		damage.Line = line
	}
	return err
}

// meetOlder reads the checkpoints that the auditor kept. In an export of the
// whole log they are met on the way; otherwise the first line must have shown
// that the log continues them.
func (v *verifier) meetOlder(keys []string, shown map[uint64]Digest) error {
	for _, text := range v.opts.Older {
		c, err := OpenCheckpoint(text, keys...)
		if err != nil {
			return fmt.Errorf("older checkpoint: %w", err)
		}
		if c.Origin != v.signed.Origin {
			return &Damage{Kind: Foreign, Detail: fmt.Sprintf("the older checkpoint is of %s, the export of %s", c.Origin, v.signed.Origin)}
		}
		root, ok := shown[c.Size]
		switch {
		case c.Size > v.signed.Size:
			return &Damage{Kind: NotPrefix, Detail: fmt.Sprintf("the older checkpoint (%s) has %d entries, the export's (%s) only %d: the log was cut, or the export is the older of the two",
				Stamp(c.At), c.Size, Stamp(v.signed.At), v.signed.Size)}
		case c.Size == v.signed.Size:
			root, ok = v.signed.Root, true
		case c.Size == 0:
			root, ok = new(Tree).Root(), true
		}
		if ok && root != c.Root {
			return v.notPrefix(c)
		}
		if !ok && v.participant != "" {
			return &Damage{Kind: Unproven, Detail: fmt.Sprintf("the export of one participant can be held to the older checkpoint (%s) only by a consistency proof from size %d, which it does not carry: ask for one that does, or for the whole log",
				Stamp(c.At), c.Size)}
		}
		if !ok {
			v.older = append(v.older, c)
		}
		v.report.Older = append(v.report.Older, c)
	}
	bySize := func(a, b Checkpoint) int { return cmp.Compare(a.Size, b.Size) }
	slices.SortFunc(v.older, bySize)
	slices.SortFunc(v.report.Older, bySize)
	return nil
}

func (v *verifier) notPrefix(c Checkpoint) *Damage {
	return &Damage{Kind: NotPrefix, Detail: fmt.Sprintf("the first %d entries are not those of the older checkpoint (%s): the log was rewritten after it", c.Size, Stamp(c.At))}
}

func (v *verifier) readTile(line []byte) error {
	v.id = ""
	if v.participant != "" {
		return v.damage(Inserted, "an export of one participant has no such line")
	}
	var l tileLine
	if err := v.decode(line, &l); err != nil {
		return err
	}
	leaves, ok := digestsOf(l.Leaves)
	path, alright := digestsOf(l.Proof)
	size := v.signed.Size
	if !ok || !alright || l.First%tileSize != 0 || l.First >= size || uint64(len(leaves)) != min(tileSize, size-l.First) {
		return v.at(l.First, Changed, "the line does not hold the leaf hashes that belong here")
	}
	var tile Tree
	for _, h := range leaves {
		tile.Append(h)
	}
	if VerifyInclusion(tile.Root(), l.First/tileSize, (size-1)/tileSize+1, path, v.signed.Root) != nil {
		return v.at(l.First, Changed, "the leaf hashes of the line are not those of the log that was signed")
	}
	next := v.tree.Size()
	switch {
	case l.First < next || l.First == next && len(v.tile) > 0:
		return v.at(l.First, Inserted, "the leaf hashes from this position stand here a second time")
	case l.First > next:
		return v.missing(next, l.First)
	}
	v.tile = leaves
	return nil
}

// missing says what became of positions from up to, but without, to.
func (v *verifier) missing(from, to uint64) error {
	line, id := v.line, v.id
	detail := fmt.Sprintf("the entry of position %d is missing", from)
	if to > from+1 {
		detail = fmt.Sprintf("the entries of positions %d to %d are missing", from, to-1)
	}
	d := v.at(from, Dropped, "%s", detail)
	if found := v.find(appendPlace(nil, from)); found > 0 {
		d = v.at(from, Swapped, "the entry that belongs here stands on line %d", found)
	}
	d.Line, d.Entry = line, id
	if d.Kind == Dropped {
		d.Entry = "" // what is missing has no name
	}
	return d
}

func (v *verifier) readEntry(line []byte) error {
	v.id = ""
	var l entryLine
	if err := v.decode(line, &l); err != nil {
		return v.guess(err)
	}
	c, at, err := parseCanonical(l.Entry)
	v.id = c.ID
	if err != nil {
		return v.at(l.Position, Changed, "%v", err)
	}
	if c.Participant != l.Participant {
		return v.at(l.Position, Changed, "the line says participant %q, its entry %q", l.Participant, c.Participant)
	}
	if v.participant == "" {
		err = v.placeWhole(&l)
	} else {
		err = v.placeOne(&l, c.Action)
	}
	if err != nil {
		return err
	}
	v.position = l.Position
	if err := v.checkPersonal(&l, c.Fields); err != nil {
		return err
	}
	if at.Year() < 2000 || at.After(v.signed.At.Add(24*time.Hour)) {
		// A clock that was wrong for a minute stays on record; it takes the proof of
		// nothing else.
		if v.report.WrongClock++; v.report.WrongClock == 1 {
			v.report.WrongAt = l.Position
		}
	}
	if c.Action == PolicyApplied {
		v.promised = promised(c)
	}
	v.report.Entries++
	if l.Participant == v.participant || v.participant == "" {
		v.action, v.report.Last = c.Action, at
		if v.report.First.IsZero() {
			v.report.First = at
		}
	}
	if v.opts.Progress != nil && v.report.Entries%4096 == 0 {
		v.opts.Progress(v.report.Entries)
	}
	return nil
}

// guess adds the position that a line which cannot be read should have.
func (v *verifier) guess(err error) error {
	var damage *Damage
	if next := v.tree.Size(); v.participant == "" && errors.As(err, &damage) {
		damage.Position = &next
	}
	return err
}

// leafOf is the leaf that a line claims to be.
func leafOf(l *entryLine) Leaf {
	return Leaf{Position: l.Position, Participant: l.Participant, Number: l.Number, Entry: Sum(l.Entry)}
}

// placeWhole holds an entry to the proven leaf hash of the position it must have.
func (v *verifier) placeWhole(l *entryLine) error {
	next := v.tree.Size()
	if l.Proof != nil {
		return v.at(l.Position, Changed, "an entry of the whole log has no proof of its own")
	}
	if next >= v.signed.Size {
		return v.at(l.Position, Inserted, "the checkpoint covers %d entries, this is one more", v.signed.Size)
	}
	if len(v.tile) == 0 {
		return v.at(next, Dropped, "the line with the leaf hashes from position %d is missing", next)
	}
	leaf := leafOf(l)
	number := v.numbers[l.Participant] + 1
	if hash := leaf.Hash(); hash != v.tile[0] {
		meant := leaf
		meant.Position, meant.Number = next, number
		ahead := l.Position - next // when it is ahead
		switch {
		case meant.Hash() == v.tile[0] && l.Position == next:
			return v.at(next, Changed, "the line says number %d, in the log it is number %d", l.Number, number)
		case meant.Hash() == v.tile[0]:
			return v.at(next, Changed, "the line says position %d, in the log it is position %d", l.Position, next)
		case l.Position == next, l.Position > next && ahead < uint64(len(v.tile)) && hash != v.tile[ahead]:
			return v.at(l.Position, Changed, "the entry is not the one that the log holds at this position")
		case l.Position >= v.signed.Size:
			return v.at(l.Position, Inserted, "the checkpoint covers %d entries; the log continues with position %d", v.signed.Size, next)
		case l.Position < next:
			return v.at(l.Position, Inserted, "an entry of this position stood before; the log continues with position %d", next)
		}
		return v.missing(next, l.Position)
	}
	if l.Number != number {
		return v.at(l.Position, Implausible, "the log itself has number %d of participant %q after number %d", l.Number, l.Participant, number-1)
	}
	if len(v.numbers) >= mostParticipants {
		return v.at(l.Position, Malformed, "more than %d participants", mostParticipants)
	}
	v.numbers[l.Participant] = number
	v.tree.Append(v.tile[0])
	v.tile = v.tile[1:]
	for len(v.older) > 0 && v.older[0].Size == v.tree.Size() {
		if v.older[0].Root != v.tree.Root() {
			return v.notPrefix(v.older[0])
		}
		v.older = v.older[1:]
	}
	return nil
}

// placeOne holds an entry to its own proof and to the participant's numbers.
func (v *verifier) placeOne(l *entryLine, action string) error {
	path, ok := digestsOf(l.Proof)
	if !ok || VerifyInclusion(leafOf(l).Hash(), l.Position, v.signed.Size, path, v.signed.Root) != nil {
		return v.at(l.Position, Changed, "the proof does not lead to the signed root: entry, place, number or proof are not those of the log")
	}
	if l.Participant != v.participant {
		if l.Participant != "" || action != PolicyApplied {
			return v.at(l.Position, Inserted, "the entry is of participant %q", l.Participant)
		}
	} else {
		number := v.numbers[l.Participant] + 1
		switch {
		case l.Number < number:
			return v.at(l.Position, Inserted, "number %d of the participant stood before", l.Number)
		case l.Number > number:
			d := v.at(l.Position, Dropped, "number %d of the participant is missing before number %d", number, l.Number)
			if found := v.findNumber(number); found > 0 {
				d.Kind, d.Detail = Swapped, fmt.Sprintf("number %d of the participant belongs here, and stands on line %d", number, found)
			}
			return d
		}
		v.numbers[l.Participant] = number
		v.report.Number = number
	}
	if v.report.Entries > 0 && l.Position <= v.position {
		kind := Swapped
		if l.Position == v.position {
			kind = Inserted
		}
		return v.at(l.Position, kind, "the entry stands after the one of position %d", v.position)
	}
	return nil
}

func (v *verifier) checkPersonal(l *entryLine, fields []wireField) error {
	least := 0
	for _, p := range l.Personal {
		if p.Field < least || p.Field >= len(fields) || fields[p.Field].Digest == "" || fields[p.Field].Name != p.Name {
			return v.at(l.Position, Inserted, "a personal value belongs to no field of the entry")
		}
		if (Personal{Name: p.Name, Salt: p.Salt, Value: p.Value}).Digest().String() != fields[p.Field].Digest {
			return v.at(l.Position, Changed, "the personal value of field %d, %q, is not the one that was recorded", p.Field, p.Name)
		}
		least = p.Field + 1
		v.report.Personal++
	}
	for _, f := range fields {
		if f.Digest != "" {
			v.report.Withheld++
		}
	}
	v.report.Withheld -= uint64(len(l.Personal))
	return nil
}

// promised is what an entry says about the document that it puts in force, nil
// when it names none.
func promised(c canonical) *promise {
	p := &promise{PolicyDocument: PolicyDocument{Version: c.PolicyVersion, Participant: c.Participant}}
	for _, f := range c.Fields {
		switch {
		case f.Value == nil:
		case f.Name == "digest":
			p.Digest = *f.Value
		case f.Name == DocumentField:
			p.sum = *f.Value
		}
	}
	if p.Digest == "" {
		return nil
	}
	return p
}

func (v *verifier) readPolicy(line []byte) error {
	if v.promised == nil {
		return v.damage(Inserted, "no entry before this line put a policy document in force")
	}
	var l policyLine
	if err := v.decode(line, &l); err != nil {
		return err
	}
	want := *v.promised
	v.promised = nil
	document := PolicyDocument(l)
	if l.Version != want.Version || l.Participant != want.Participant || l.Digest != want.Digest {
		return v.at(v.position, Changed, "the policy document is not the one that the entry put in force")
	}
	switch {
	case want.sum != "":
		if sum := sha256.Sum256([]byte(l.Document)); hex.EncodeToString(sum[:]) != want.sum {
			return v.at(v.position, Changed, "the text of policy version %d is not the one that was put in force", l.Version)
		}
	case v.opts.PolicyDigest != nil:
		digest, err := v.opts.PolicyDigest(document)
		if err != nil {
			return v.at(v.position, Changed, "the text of policy version %d is none: %v", l.Version, err)
		}
		if digest != want.Digest {
			return v.at(v.position, Changed, "policy version %d does not mean what was put in force", l.Version)
		}
		v.report.PoliciesByMeaning++
	default:
		v.report.PoliciesUnread++
	}
	v.report.Policies++
	return nil
}

func (v *verifier) readEnd(line []byte) error {
	var l endLine
	if err := v.decode(line, &l); err != nil {
		return err
	}
	v.id = ""
	if next := v.tree.Size(); v.participant == "" && next < v.signed.Size {
		return v.at(next, Dropped, "the checkpoint covers %d entries; from position %d they are missing", v.signed.Size, next)
	}
	if v.participant != "" && v.action != Exported {
		return v.damage(Truncated, "the export does not end with the entry of its own making (%s): what the participant's log holds further is missing", Exported)
	}
	if l.Entries != v.report.Entries || l.Policies != v.report.Policies {
		kind := Dropped
		if l.Entries < v.report.Entries || l.Policies < v.report.Policies {
			kind = Inserted
		}
		return v.damage(kind, "the line says %d entries and %d policy documents, there are %d and %d", l.Entries, l.Policies, v.report.Entries, v.report.Policies)
	}
	if v.participant == "" && v.tree.Root() != v.signed.Root {
		return v.damage(Changed, "the entries are not those of the log that was signed")
	}
	v.line++
	switch _, err := v.in.ReadByte(); {
	case err == nil:
		return v.damage(Inserted, "something stands after the last line")
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("read line %d: %w", v.line, err)
	}
	return nil
}
