package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"github.com/healthix/healthix-scim/audit"
)

// mustFind verifies a damaged file and gives what was found.
func mustFind(t testing.TB, what, file, key string, older ...string) *audit.Damage {
	t.Helper()
	r, err := verify(file, key, older...)
	var damage *audit.Damage
	if err == nil {
		t.Fatalf("%s: not found: %+v", what, r)
	}
	if !errors.As(err, &damage) {
		t.Fatalf("%s: %v is not about damage", what, err)
	}
	return damage
}

// TestEveryByteCounts flips each byte of small exports in several ways. Each flip
// must be found, on the line on which it was made.
func TestEveryByteCounts(t *testing.T) {
	for _, participant := range []string{"", "mercy"} {
		b := threeEntries(t)
		b.record(t, "mercy", "user.created", personal("email", "lee@mercy.example"))
		older := b.checkpoint()
		b.record(t, "mercy", audit.Exported)
		file, key := b.export(t, participant, older), b.signer.Key()
		if _, err := verify(file, key); err != nil {
			t.Fatal(err)
		}
		line := 1
		for i := range len(file) {
			for _, flip := range []byte{1, 2 << (i % 7)} {
				damaged := []byte(file)
				damaged[i] ^= flip
				d := mustFind(t, fmt.Sprintf("byte %d ^ %#x", i, flip), string(damaged), key)
				// Whose export it is stands nowhere else on the first line: the first
				// entry shows it.
				whose := participant != "" && line == 1 && i >= strings.Index(file, participant) && i < strings.Index(file, participant)+len(participant)
				if d.Line != line && !whose {
					t.Errorf("byte %d ^ %#x of line %d: %v", i, flip, line, d)
				}
			}
			if file[i] == '\n' {
				line++
			}
		}
	}
}

// TestLinesDroppedTwiceSwapped does to each line what a careless hand would do.
func TestLinesDroppedTwiceSwapped(t *testing.T) {
	for _, participant := range []string{"", "mercy"} {
		b := hospital(t, 8)
		key := b.signer.Key()
		lines := strings.SplitAfter(strings.TrimSuffix(b.export(t, participant), "\n"), "\n")
		lines[len(lines)-1] += "\n"
		file := func(lines []string) string { return strings.Join(lines, "") }
		if _, err := verify(file(lines), key); err != nil {
			t.Fatal(err)
		}
		seen := map[audit.DamageKind]int{}
		for i := range lines {
			what := fmt.Sprintf("%q: line %d", participant, i+1)
			d := mustFind(t, what+" dropped", file(slices.Delete(slices.Clone(lines), i, i+1)), key)
			seen[d.Kind]++
			isEntry := strings.Contains(lines[i], `"entry"`)
			// What is left out of all participants' entries is found by the count, and
			// what stands last by what should stand there.
			own := strings.Contains(lines[i], `"participant":"mercy","number"`) || participant == ""
			if isEntry && own && i < len(lines)-2 && !strings.Contains(lines[i], audit.PolicyApplied) && (d.Kind != audit.Dropped || d.Line != i+1) {
				t.Errorf("%s dropped: %v", what, d)
			}
			d = mustFind(t, what+" twice", file(slices.Insert(slices.Clone(lines), i, lines[i])), key)
			seen[d.Kind]++
			if isEntry && !strings.Contains(lines[i], audit.PolicyApplied) && (d.Kind != audit.Inserted || d.Line != i+2) {
				t.Errorf("%s twice: %v", what, d)
			}
			d = mustFind(t, what+" cut", file(lines[:i]), key)
			if d.Kind != audit.Truncated && (i == 0 || d.Kind != audit.Dropped) {
				t.Errorf("%s cut: %v", what, d)
			}
			if len(lines[i]) > 1 {
				d = mustFind(t, what+" cut within", file(lines[:i])+lines[i][:len(lines[i])/2], key)
				if d.Kind != audit.Truncated || d.Line != i+1 {
					t.Errorf("%s cut within: %v", what, d)
				}
				mustFind(t, what+" without its end", file(lines[:i])+strings.TrimSuffix(lines[i], "\n"), key)
			}
			for j := i + 1; j < len(lines); j++ {
				swapped := slices.Clone(lines)
				swapped[i], swapped[j] = swapped[j], swapped[i]
				d = mustFind(t, fmt.Sprintf("%s swapped with %d", what, j+1), file(swapped), key)
				seen[d.Kind]++
				plain := func(l string) bool {
					return strings.Contains(l, `"number"`) && !strings.Contains(l, audit.PolicyApplied) && (participant == "" || strings.Contains(l, `"mercy"`))
				}
				if plain(lines[i]) && plain(lines[j]) && (d.Kind != audit.Swapped || d.Line != i+1 || !strings.Contains(d.Detail, fmt.Sprintf("line %d", j+1))) {
					t.Errorf("%s swapped with %d: %v", what, j+1, d)
				}
			}
			mustFind(t, what+" inserted empty", file(slices.Insert(slices.Clone(lines), i+1, "\n")), key)
		}
		t.Log(participant, seen)
	}
}

// TestAWholeTileIsMissing: everything between two tiles may be cut out without a
// trace in the lines that are left.
func TestAWholeTileIsMissing(t *testing.T) {
	b := hospital(t, 700)
	file := b.export(t, "")
	cut := func(from, to string) string {
		i, j := strings.Index(file, from), strings.Index(file, to)
		return file[:i] + file[j:]
	}
	d := mustFind(t, "tile", cut(`{"kind":"tile","first":256`, `{"kind":"tile","first":512`), b.signer.Key())
	if d.Kind != audit.Dropped || *d.Position != 256 || !strings.Contains(d.Detail, "256 to 511") {
		t.Error(d)
	}
	d = mustFind(t, "some", cut(`{"kind":"entry","position":300,`, `{"kind":"entry","position":310,`), b.signer.Key())
	if d.Kind != audit.Dropped || *d.Position != 300 || !strings.Contains(d.Detail, "300 to 309") {
		t.Error(d)
	}
	d = mustFind(t, "across", cut(`{"kind":"entry","position":300,`, `{"kind":"entry","position":600,`), b.signer.Key())
	if d.Kind != audit.Dropped || *d.Position != 300 {
		t.Error(d)
	}
	tile := strings.Split(file, "\n")[1]
	at := strings.Index(file, `{"kind":"entry","position":300,`)
	d = mustFind(t, "tile again", file[:at]+tile+"\n"+file[at:], b.signer.Key())
	if d.Kind != audit.Inserted || d.Line != 1+strings.Count(file[:at], "\n") {
		t.Error(d)
	}
	// Entries that nobody recorded, in place of one and far from any.
	for _, position := range []string{"299", "300", "301", "550", "9000"} {
		at := strings.Index(file, `{"kind":"entry","position":300,`)
		line, _, _ := strings.Cut(file[at:], "\n")
		line = strings.Replace(strings.Replace(line, "300,", position+",", 1), "RN", "MD", 1)
		d = mustFind(t, "forged as "+position, file[:at]+line+"\n"+file[at:], b.signer.Key())
		if d.Line != 1+strings.Count(file[:at], "\n") {
			t.Error(position, d)
		}
	}
	d = mustFind(t, "end", cut(`{"kind":"entry","position":600,`, `{"kind":"end"`), b.signer.Key())
	if d.Kind != audit.Dropped || *d.Position != 600 {
		t.Error(d)
	}
}

// TestAnEntryReplacedWithAllThatFollows: a forger who has the program but not
// the key rewrites one entry and computes everything anew.
func TestAnEntryReplacedWithAllThatFollows(t *testing.T) {
	honest := hospital(t, 700)
	forged := newBook(t, origin, 1)
	const position = 345
	for i, e := range honest.entries {
		canonical := e.Canonical
		if i == position {
			canonical = bytes.Replace(canonical, []byte("RN"), []byte("MD"), 1)
		}
		forged.put(audit.Entry{Participant: e.Participant, Canonical: canonical, Hash: audit.Sum(canonical), Personal: e.Personal})
	}
	forged.policies = honest.policies
	key := honest.signer.Key()
	for _, participant := range []string{"", "mercy"} {
		// Its own tree under the honest checkpoint.
		file := withCheckpoint(t, forged, participant, honest)
		d := mustFind(t, "honest checkpoint", file, key)
		if participant == "" && (d.Kind != audit.Changed || d.Position == nil || *d.Position != 0) {
			t.Error(d)
		}
		// Signed by another key, under the same name.
		forged.signer = signer(t, origin, 2)
		d = mustFind(t, "another key", forged.export(t, participant), key)
		if d.Kind != audit.Forged || d.Line != 1 {
			t.Error(d)
		}
		// By the right key: only a checkpoint kept elsewhere shows it.
		forged.signer = honest.signer
		if _, err := verify(forged.export(t, participant), key); err != nil {
			t.Error(err)
		}
		older := hospital(t, 500) // another past from position 502 on
		older.entries = older.entries[:400]
		past := newBook(t, origin, 1)
		for _, e := range older.entries {
			past.put(audit.Entry{Participant: e.Participant, Canonical: e.Canonical, Hash: audit.Sum(e.Canonical)})
		}
		forgedPast := newBook(t, origin, 1)
		for _, e := range forged.entries[:400] {
			forgedPast.put(audit.Entry{Participant: e.Participant, Canonical: e.Canonical, Hash: audit.Sum(e.Canonical)})
		}
		file = forged.export(t, participant, forgedPast.checkpoint())
		d = mustFind(t, "kept checkpoint", file, key, past.note(t))
		if d.Kind != audit.NotPrefix {
			t.Error(d)
		}
		// The honest log continues it.
		r, err := verify(honest.export(t, participant, past.checkpoint()), key, past.note(t))
		if err != nil || len(r.Older) != 1 || !strings.Contains(r.String(), "continues the checkpoint of 2026-03-02T15:06:40") {
			t.Errorf("%v\n%s", err, r)
		}
	}
	// Only the one line changed: it is named, and so is the entry.
	file := honest.export(t, "")
	mark := fmt.Sprintf(`{"kind":"entry","position":%d,`, position)
	i := strings.Index(file, mark)
	file = file[:i] + strings.Replace(file[i:], "RN", "MD", 1)
	d := mustFind(t, "one line", file, key)
	if d.Kind != audit.Changed || *d.Position != position || d.Line != 1+strings.Count(file[:i], "\n") || d.Entry != fmt.Sprintf("0198c0de-0000-7000-8000-%012d", position) {
		t.Error(d)
	}
}

// withCheckpoint exports one log under the checkpoint of another.
func withCheckpoint(t testing.TB, b *book, participant string, of *book) string {
	t.Helper()
	own, other := b.export(t, participant), of.export(t, participant)
	i, j := strings.IndexByte(own, '\n'), strings.IndexByte(other, '\n')
	return other[:j] + own[i:]
}

func TestFromAnotherInstance(t *testing.T) {
	here, there := hospital(t, 5), newBook(t, "healthix-scim/elsewhere", 1)
	there.record(t, "mercy", audit.Exported)
	d := mustFind(t, "export", there.export(t, ""), here.signer.Key())
	if d.Kind != audit.Foreign || d.Line != 1 || !strings.Contains(d.Error(), "elsewhere") {
		t.Error(d)
	}
	keys := []string{here.signer.Key(), there.signer.Key()}
	_, err := audit.Verify(strings.NewReader(here.export(t, "")), keys, audit.VerifyOptions{Older: []string{there.note(t)}, PolicyDigest: digestOf})
	var damage *audit.Damage
	if !errors.As(err, &damage) || damage.Kind != audit.Foreign {
		t.Error(err)
	}
}

func TestOlderCheckpoints(t *testing.T) {
	b := newBook(t, origin, 1)
	var notes []string
	var checkpoints []audit.Checkpoint
	for i := range 600 {
		if i%37 == 0 {
			notes, checkpoints = append(notes, b.note(t)), append(checkpoints, b.checkpoint())
		}
		b.record(t, "mercy", audit.Exported)
	}
	notes = append(notes, b.note(t))
	slices.Reverse(notes)
	key := b.signer.Key()
	whole, one := b.export(t, ""), b.export(t, "mercy", checkpoints[1:]...)
	for _, file := range []string{whole, one} {
		r, err := verify(file, key, notes...)
		if err != nil || len(r.Older) != len(notes) || r.Older[0].Size != 0 {
			t.Errorf("%v, %d", err, len(r.Older))
		}
		later := newBook(t, origin, 1)
		later.tree = *b.tree.Clone()
		later.entries = b.entries
		later.record(t, "mercy", audit.Exported)
		if d := mustFind(t, "later", file, key, later.note(t)); d.Kind != audit.NotPrefix || !strings.Contains(d.Detail, "601") {
			t.Error(d)
		}
		wrong := b.checkpoint()
		for _, c := range append([]audit.Checkpoint{wrong}, checkpoints...) {
			c.Root = audit.Sum(c.Root[:])
			if d := mustFind(t, "another past", file, key, signed(t, c, b.signer)); d.Kind != audit.NotPrefix {
				t.Error(c.Size, d)
			}
		}
		if d := mustFind(t, "by another key", file, key, signed(t, checkpoints[3], signer(t, origin, 2))); d.Kind != audit.Forged {
			t.Error(d)
		}
	}
	if d := mustFind(t, "no proof", b.export(t, "mercy"), key, notes[3]); d.Kind != audit.Unproven || !strings.Contains(d.Detail, "consistency proof from size") {
		t.Error(d)
	}
}

// TestAWrongClock: entries of a server whose clock was wrong stand on record, and
// the rest is proven all the same; the report says which are meant.
func TestAWrongClock(t *testing.T) {
	for name, at := range map[string]time.Time{
		"long ago": time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC), "in the future": began.Add(25 * time.Hour), "right": began.Add(23 * time.Hour),
	} {
		for _, participant := range []string{"", "mercy"} {
			b := newBook(t, origin, 1)
			for i, at := range []time.Time{began, at, at, began} {
				e, err := audit.Seal(audit.Draft{ID: fmt.Sprint("x", i), At: at, Participant: "mercy", Action: audit.Exported}, salt(1))
				if err != nil {
					t.Fatal(err)
				}
				b.put(e)
			}
			report, err := verify(b.export(t, participant), b.signer.Key())
			if err != nil {
				t.Errorf("%s, of %q: %v", name, participant, err)
				continue
			}
			wrong, says := uint64(2), "When 2 entries came about, from position 1 on"
			if name == "right" {
				wrong, says = 0, "\n"
			}
			if report.WrongClock != wrong || wrong > 0 && report.WrongAt != 1 || report.Entries != 4 || !strings.Contains(report.String(), says) {
				t.Errorf("%s, of %q: %+v", name, participant, report)
			}
		}
	}
}

// TestALogThatIsWrongItself: what was signed, but cannot have been.
func TestALogThatIsWrongItself(t *testing.T) {
	seal := func(at time.Time, participant string) audit.Entry {
		e, err := audit.Seal(audit.Draft{ID: "x", At: at, Participant: participant, Action: audit.Exported}, salt(1))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	for name, c := range map[string]struct {
		wrong func(b *book)
		kind  audit.DamageKind
	}{
		"a number twice": {func(b *book) { b.numbers["mercy"]--; b.put(seal(began, "mercy")) }, audit.Implausible},
		"a number's gap": {func(b *book) { b.numbers["mercy"]++; b.put(seal(began, "mercy")) }, audit.Implausible},
		"another's": {func(b *book) {
			e := seal(began, "mercy")
			e.Participant = "north"
			b.put(e)
		}, audit.Changed},
		"a space": {func(b *book) {
			e := seal(began, "mercy")
			e.Canonical = bytes.Replace(e.Canonical, []byte(`,"`), []byte(`, "`), 1)
			e.Hash = audit.Sum(e.Canonical)
			b.put(e)
		}, audit.Changed},
		"a member twice": {func(b *book) {
			e := seal(began, "mercy")
			e.Canonical = bytes.Replace(e.Canonical, []byte(`"v":1`), []byte(`"v":1,"action":"x"`), 1)
			e.Hash = audit.Sum(e.Canonical)
			b.put(e)
		}, audit.Changed},
		"a later format": {func(b *book) {
			e := seal(began, "mercy")
			e.Canonical = bytes.Replace(e.Canonical, []byte(`"v":1`), []byte(`"v":2`), 1)
			e.Hash = audit.Sum(e.Canonical)
			b.put(e)
		}, audit.Changed},
		"deep": {func(b *book) {
			e := seal(began, "mercy")
			e.Canonical = []byte(strings.Repeat("[", 100) + strings.Repeat("]", 100))
			e.Hash = audit.Sum(e.Canonical)
			b.put(e)
		}, audit.Changed},
	} {
		b := newBook(t, origin, 1)
		b.record(t, "mercy", audit.Exported)
		c.wrong(b)
		d := mustFind(t, name, b.export(t, ""), b.signer.Key())
		if d.Kind != c.kind || d.Line != 4 || *d.Position != 1 || name == "deep" && !strings.Contains(d.Detail, "nested") {
			t.Errorf("%s: %v", name, d)
		}
	}
}

// TestWhatMayStandAmongAParticipantsEntries: policies of all, once and in their
// place; nothing else of others.
func TestWhatMayStandAmongAParticipantsEntries(t *testing.T) {
	b := hospital(t, 5)
	key := b.signer.Key()
	lines := strings.SplitAfter(b.export(t, "mercy"), "\n")
	again := slices.Insert(slices.Clone(lines), 3, lines[1], lines[2]) // the policy of all a second time
	again[len(again)-2] = `{"kind":"end","entries":7,"policies":3}` + "\n"
	if d := mustFind(t, "twice", strings.Join(again, ""), key); d.Kind != audit.Inserted || d.Line != 4 || *d.Position != 0 {
		t.Error(d)
	}
	later := slices.Insert(slices.Delete(slices.Clone(lines), 1, 3), 2, lines[1], lines[2])
	if d := mustFind(t, "later", strings.Join(later, ""), key); d.Kind != audit.Swapped || d.Line != 3 {
		t.Error(d)
	}
	b.policies[1] = audit.PolicyDocument{} // takes along an entry of no participant that is no policy
	if d := mustFind(t, "no policy", b.export(t, "mercy"), key); d.Kind != audit.Inserted || *d.Position != 1 {
		t.Error(d)
	}
}

// TestPersonalValuesOfOthers: values may be left out, not exchanged or added.
func TestPersonalValuesOfOthers(t *testing.T) {
	build := func(change func(p []audit.Personal) []audit.Personal) *book {
		b := newBook(t, origin, 1)
		b.record(t, "mercy", "user.created", personal("email", "a@mercy.example"), public("title", "RN"), personal("email", "b@mercy.example"))
		b.entries[0].Personal = change(b.entries[0].Personal)
		return b
	}
	for name, c := range map[string]struct {
		change func(p []audit.Personal) []audit.Personal
		kind   audit.DamageKind
	}{
		"swapped": {func(p []audit.Personal) []audit.Personal { return []audit.Personal{p[1], p[0]} }, audit.Inserted},
		"twice":   {func(p []audit.Personal) []audit.Personal { return []audit.Personal{p[0], p[1], p[1]} }, audit.Inserted},
		"of no field": {func(p []audit.Personal) []audit.Personal {
			return append(p, audit.Personal{Name: "title", Value: "RN"})
		}, audit.Inserted},
		"other value": {func(p []audit.Personal) []audit.Personal { p[0].Value = "c"; return p }, audit.Changed},
		"other salt":  {func(p []audit.Personal) []audit.Personal { p[0].Salt = []byte("0123456789abcdef"); return p }, audit.Changed},
	} {
		b := build(c.change)
		d := mustFind(t, name, b.export(t, ""), b.signer.Key())
		if d.Kind != c.kind || d.Line != 3 || strings.Contains(d.Error(), ".example") {
			t.Errorf("%s: %v", name, d)
		}
	}
	b := build(func(p []audit.Personal) []audit.Personal { return p[1:] })
	file := b.export(t, "")
	value := regexp.MustCompile(`\{"field":2[^}]*}`).FindString(file)
	if d := mustFind(t, "a value twice", strings.Replace(file, value, value+","+value, 1), b.signer.Key()); d.Kind != audit.Inserted || d.Line != 3 {
		t.Error(d)
	}
	b = build(func([]audit.Personal) []audit.Personal { return nil })
	if r, err := verify(b.export(t, ""), b.signer.Key()); err != nil || r.Personal != 0 || r.Withheld != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestPolicyDocuments(t *testing.T) {
	b := hospital(t, 5)
	key := b.signer.Key()
	file := b.export(t, "mercy")
	replace := func(old, by string) string {
		if strings.Count(file, old) != 1 {
			t.Fatalf("%q is there %d times", old, strings.Count(file, old))
		}
		return strings.Replace(file, old, by, 1)
	}
	// Named by its bytes: the comment counts too.
	if d := mustFind(t, "a comment", replace("# whose", "# those"), key); d.Kind != audit.Changed || !strings.Contains(d.Detail, "policy version 1") {
		t.Error(d)
	}
	if d := mustFind(t, "meaning", replace("practitioner", "administrator"), key); d.Kind != audit.Changed || d.Line != 3 {
		t.Error(d)
	}
	no := func(audit.PolicyDocument) (string, error) { return "", errors.New("no policy") }
	if _, err := audit.Verify(strings.NewReader(file), []string{key}, audit.VerifyOptions{PolicyDigest: no}); err == nil || !strings.Contains(err.Error(), "no policy") {
		t.Error(err)
	}
}

func TestWhatIsNoExport(t *testing.T) {
	b := hospital(t, 5)
	file, key := b.export(t, ""), b.signer.Key()
	for name, text := range map[string]string{
		"empty": "", "hello": "hello\n", "an array": "[]\n", "another kind": `{"kind":"end","entries":0,"policies":0}` + "\n",
		"a later format": strings.Replace(file, `"v":1`, `"v":2`, 1), "with a mark": "\ufeff" + file, "crlf": strings.ReplaceAll(file, "\n", "\r\n"),
		"an endless line": `{"kind":"export",` + strings.Repeat(" ", 17<<20),
	} {
		if d := mustFind(t, name, text, key); d.Line != 1 {
			t.Errorf("%s: %v", name, d)
		}
	}
	for _, keys := range [][]string{nil, {""}, {"hello"}} {
		if _, err := audit.Verify(strings.NewReader(file), keys, audit.VerifyOptions{}); err == nil || !strings.Contains(err.Error(), "key") {
			t.Errorf("%v: %v", keys, err)
		}
	}
	broken := errors.New("the disk is gone")
	for _, after := range []int{0, 100, 2000, len(file)} {
		_, err := audit.Verify(io.MultiReader(strings.NewReader(file[:after]), iotest.ErrReader(broken)), []string{key}, audit.VerifyOptions{PolicyDigest: digestOf})
		if !errors.Is(err, broken) {
			t.Errorf("after %d: %v", after, err)
		}
	}
}

// TestWhateverIsExportedVerifies: and whatever happens to it is found.
func TestWhateverIsExportedVerifies(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b := newBook(t, origin, 1)
		who := rapid.SampledFrom([]string{"", "mercy", "north", "ü \"x\""})
		text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 9), func(b []byte) string { return string(b) }))
		for range rapid.IntRange(0, 40).Draw(r, "entries") {
			var fields []audit.Field
			for range rapid.IntRange(0, 4).Draw(r, "fields") {
				fields = append(fields, audit.Field{
					Name: rapid.SampledFrom([]string{"email", "phone", "x<y"}).Draw(r, "name"), Value: text.Draw(r, "value"),
					Class: rapid.SampledFrom([]audit.Class{audit.ClassSecret, audit.ClassPublic, audit.ClassPersonal}).Draw(r, "class"),
				})
			}
			b.record(t, who.Draw(r, "who"), "user.changed", fields...)
			if rapid.Bool().Draw(r, "erased") {
				b.entries[len(b.entries)-1].Personal = nil
			}
		}
		participant := rapid.SampledFrom([]string{"", "mercy", "ü \"x\""}).Draw(r, "of")
		b.record(t, participant, audit.Exported)
		file, key := b.export(t, participant), b.signer.Key()
		if _, err := verify(file, key); err != nil {
			r.Fatal(err)
		}
		i := rapid.IntRange(0, len(file)-1).Draw(r, "byte")
		j := min(len(file), i+rapid.IntRange(0, 300).Draw(r, "cut"))
		damaged := file[:i] + string(rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(r, "put")) + file[j:]
		if _, err := verify(damaged, key); damaged != file && err == nil {
			r.Fatalf("bytes %d to %d: not found", i, j)
		}
	})
}

func FuzzVerify(f *testing.F) {
	for _, participant := range []string{"", "mercy"} {
		f.Add(threeEntries(f).export(f, participant))
		f.Add(hospital(f, 4).export(f, participant))
	}
	f.Add("{\"kind\":\"export\",\"v\":1}\n")
	b := threeEntries(f)
	key := b.signer.Key()
	known := map[string]bool{}
	for _, participant := range []string{"", "mercy"} {
		known[threeEntries(f).export(f, participant)] = true
		known[hospital(f, 4).export(f, participant)] = true
	}
	f.Fuzz(func(t *testing.T, file string) {
		r, err := verify(file, key)
		if err == nil && !known[file] {
			t.Errorf("a file that nobody made verifies: %s", r)
		}
	})
}

// endless makes the export of a large log without holding it.
type endless struct {
	t     testing.TB
	n     int
	write *io.PipeWriter
}

func (e endless) run() {
	b := newBook(e.t, origin, 1)
	var canonical [][]byte
	for i := range 1000 {
		entry := b.record(e.t, fmt.Sprintf("hospital-%d", i%50), "user.changed", public("title", "Registered Nurse"), public("department", "Cardiology"), personal("email", "ana.lima@mercy.example"))
		canonical = append(canonical, entry.Canonical)
	}
	personal := b.entries[0].Personal
	b = newBook(e.t, origin, 1)
	for i := range e.n {
		participant := fmt.Sprintf("hospital-%d", i%50)
		b.numbers[participant]++
		b.add(audit.Leaf{Position: uint64(i), Participant: participant, Number: b.numbers[participant], Entry: audit.Sum(canonical[i%1000])}.Hash())
	}
	clear(b.numbers)
	x, err := audit.NewExport(e.t.Context(), e.write, audit.ExportHeader{Checkpoint: signed(e.t, audit.Checkpoint{Origin: origin, Size: uint64(e.n), Root: b.tree.Root(), At: moment(1000)}, b.signer)}, b)
	for i := 0; i < e.n && err == nil; i++ {
		participant := fmt.Sprintf("hospital-%d", i%50)
		b.numbers[participant]++
		entry := audit.ExportEntry{Position: uint64(i), Participant: participant, Number: b.numbers[participant], Canonical: canonical[i%1000]}
		if i%1000 == 0 {
			entry.Personal = personal
		}
		err = x.Entry(e.t.Context(), entry)
	}
	if err == nil {
		err = x.End()
	}
	e.write.CloseWithError(err)
}

// TestMemoryStaysFlat: what verifying holds does not grow with the log.
func TestMemoryStaysFlat(t *testing.T) {
	b := newBook(t, origin, 1)
	for range 20000 {
		b.record(t, "mercy", "user.changed", public("title", "Registered Nurse"))
	}
	file := b.export(t, "")
	held := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var early, late uint64
	_, err := audit.Verify(strings.NewReader(file), []string{b.signer.Key()}, audit.VerifyOptions{Progress: func(n uint64) {
		if early == 0 {
			early = held()
		}
		late = held()
	}})
	if err != nil {
		t.Fatal(err)
	}
	if late > early+256<<10 {
		t.Errorf("%d bytes held after 4,096 entries, %d after 16,384", early, late)
	}
}

func BenchmarkVerify(b *testing.B) {
	const n = 50_000
	read, write := io.Pipe()
	go endless{b, n, write}.run()
	file, err := io.ReadAll(read)
	if err != nil {
		b.Fatal(err)
	}
	key := signer(b, origin, 1).Key()
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := audit.Verify(bytes.NewReader(file), []string{key}, audit.VerifyOptions{})
		if err != nil || r.Entries != n {
			b.Fatal(r, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "µs/entry")
}
