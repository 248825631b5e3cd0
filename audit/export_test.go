package audit_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/audit"
)

var update = flag.Bool("update", false, "write testdata anew")

// book is a log as a store keeps it: sealed entries, their places, the tree.
type book struct {
	kept
	entries  []audit.ExportEntry
	policies map[uint64]audit.PolicyDocument // by position
	numbers  map[string]uint64
	signer   *audit.Signer
	origin   string
}

func newBook(t testing.TB, origin string, seed byte) *book {
	return &book{policies: map[uint64]audit.PolicyDocument{}, numbers: map[string]uint64{}, signer: signer(t, origin, seed), origin: origin}
}

var began = time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)

// moment is when the nth entry was recorded; the checkpoint follows a second
// after the last.
func moment(n int) time.Time { return began.Add(time.Duration(n) * time.Second) }

func (b *book) record(t testing.TB, participant, action string, fields ...audit.Field) audit.Entry {
	t.Helper()
	n := len(b.entries)
	e, err := audit.Seal(audit.Draft{
		ID: fmt.Sprintf("0198c0de-0000-7000-8000-%012d", n), At: moment(n), Participant: participant, User: "5f2c", PolicyVersion: 1,
		Actor: audit.Actor{Kind: "provider", Token: "t-1"}, Action: action, Sentence: "It <happened>.", Fields: fields,
	}, salt(n))
	if err != nil {
		t.Fatal(err)
	}
	b.put(e)
	return e
}

func (b *book) put(e audit.Entry) {
	b.numbers[e.Participant]++
	leaf := audit.Leaf{Position: uint64(len(b.entries)), Participant: e.Participant, Number: b.numbers[e.Participant], Entry: e.Hash}
	b.add(leaf.Hash())
	b.entries = append(b.entries, audit.ExportEntry{
		Position: leaf.Position, Participant: leaf.Participant, Number: leaf.Number, Canonical: e.Canonical, Personal: e.Personal,
	})
}

func (b *book) applyPolicy(t testing.TB, participant, document string, fields ...audit.Field) {
	digest := meaning(document)
	position := uint64(len(b.entries))
	b.record(t, participant, audit.PolicyApplied, append(fields, public("digest", digest))...)
	b.policies[position] = audit.PolicyDocument{Version: 1, Participant: participant, Digest: digest, Document: document}
}

// meaning stands for policy's digest, which does not see comments.
func meaning(document string) string {
	var lines []string
	for line := range strings.Lines(document) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return audit.Sum([]byte(strings.Join(lines, ""))).String()
}

func digestOf(p audit.PolicyDocument) (string, error) { return meaning(p.Document), nil }

func public(name, value string) audit.Field {
	return audit.Field{Name: name, Class: audit.ClassPublic, Value: value}
}

func personal(name, value string) audit.Field {
	return audit.Field{Name: name, Class: audit.ClassPersonal, Value: value}
}

func (b *book) checkpoint() audit.Checkpoint {
	return audit.Checkpoint{Origin: b.origin, Size: b.tree.Size(), Root: b.tree.Root(), At: moment(len(b.entries))}
}

func (b *book) note(t testing.TB) string { return signed(t, b.checkpoint(), b.signer) }

func (b *book) export(t testing.TB, participant string, older ...audit.Checkpoint) string {
	t.Helper()
	var out bytes.Buffer
	x, err := audit.NewExport(t.Context(), &out, audit.ExportHeader{Participant: participant, Checkpoint: b.note(t), Older: older}, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range b.entries {
		policy, ok := b.policies[e.Position]
		if participant != "" && e.Participant != participant && (!ok || e.Participant != "") {
			continue
		}
		if err := x.Entry(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if ok {
			if err := x.Policy(policy); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := x.End(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func verify(file string, key string, older ...string) (audit.Report, error) {
	return audit.Verify(strings.NewReader(file), []string{key}, audit.VerifyOptions{Older: older, PolicyDigest: digestOf})
}

// threeEntries is the log of testdata/export.jsonl.
func threeEntries(t testing.TB) *book {
	b := newBook(t, origin, 1)
	b.applyPolicy(t, "", "roles:\n  practitioner: {}\n")
	b.record(t, "mercy", "user.created", public("title", "RN"), personal("email", "ana.lima@mercy.example"), personal("phone", "+1 212 555 0101"))
	b.record(t, "mercy", audit.Exported)
	b.entries[1].Personal = b.entries[1].Personal[1:] // one value is erased
	return b
}

// hospital is a log of two participants.
func hospital(t testing.TB, n int) *book {
	b := newBook(t, origin, 1)
	b.applyPolicy(t, "", "roles:\n  practitioner: {}\n")
	b.record(t, "", "participant.added", public("id", "mercy"))
	for i := range n {
		who := []string{"mercy", "mercy", "north"}[i%3]
		b.record(t, who, "user.created", public("title", "RN \"é\" \u2028 <b>"), personal("email", fmt.Sprintf("p%d@%s.example", i, who)))
	}
	b.applyPolicy(t, "mercy", "# whose\ntitles:\n", public(audit.DocumentField, audit.Sum([]byte("# whose\ntitles:\n")).String()))
	b.record(t, "north", "user.deleted")
	b.record(t, "mercy", audit.Exported)
	return b
}

// TestExportFile pins the file format: what was exported years ago must still
// verify.
func TestExportFile(t *testing.T) {
	for name, participant := range map[string]string{"testdata/export.jsonl": "", "testdata/mercy.jsonl": "mercy"} {
		b := threeEntries(t)
		got := b.export(t, participant)
		if *update {
			if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, want)
		}
		r, err := verify(string(want), b.signer.Key())
		if err != nil {
			t.Fatal(name, err)
		}
		if r.Entries != 3 || r.Size != 3 || r.Policies != 1 || r.PoliciesByMeaning != 1 || r.Personal != 1 || r.Withheld != 1 || r.Origin != origin || r.Root != b.tree.Root() {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestReportsSayWhatIsProven(t *testing.T) {
	b := hospital(t, 700)
	for participant, says := range map[string][]string{
		"":      {"the log's 705 entries", "700 personal values", "Byte for byte what was put in force: 1 policy document.", "same rules as were put in force: 1 policy document.", "Not proven", "keep checkpoints elsewhere", "after the checkpoint of 2026-03-02T15:11:45"},
		"mercy": {"complete up to 2026-03-02T15:11:44.000000Z, number 469", "every entry of participant mercy", "after number 469 (2026-03-02T15:11:44", "every policy of all participants"},
	} {
		r, err := verify(b.export(t, participant), b.signer.Key())
		if err != nil {
			t.Fatal(participant, err)
		}
		for _, s := range says {
			if !strings.Contains(r.String(), s) {
				t.Errorf("%q: the report does not say %q:\n%s", participant, s, r)
			}
		}
	}
	r, err := audit.Verify(strings.NewReader(b.export(t, "")), []string{b.signer.Key()}, audit.VerifyOptions{})
	if err != nil || r.PoliciesUnread != 1 || !strings.Contains(strings.Join(r.NotProven(), "\n"), "1 policy document not compared") {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAnEmptyLogIsExported(t *testing.T) {
	b := newBook(t, origin, 1)
	r, err := verify(b.export(t, ""), b.signer.Key())
	if err != nil || r.Entries != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := verify(b.export(t, "mercy"), b.signer.Key()); err == nil {
		t.Error("a participant's export without the entry of its making: taken")
	}
}

func TestProgress(t *testing.T) {
	b := newBook(t, origin, 1)
	for range 9000 {
		b.record(t, "mercy", "user.changed")
	}
	var told []uint64
	_, err := audit.Verify(strings.NewReader(b.export(t, "")), []string{b.signer.Key()}, audit.VerifyOptions{Progress: func(n uint64) { told = append(told, n) }})
	if err != nil || len(told) != 2 || told[1] != 8192 {
		t.Errorf("%v, %v", told, err)
	}
}

// TestWhatCannotBeWritten: the writer refuses what no reader could read, and
// says so at every call that follows a failed write.
func TestWhatCannotBeWritten(t *testing.T) {
	b := hospital(t, 3)
	ctx := t.Context()
	var out bytes.Buffer
	if _, err := audit.NewExport(ctx, &out, audit.ExportHeader{Checkpoint: "no note"}, b); err == nil {
		t.Error("no checkpoint: taken")
	}
	later := b.checkpoint()
	later.Size++
	if _, err := audit.NewExport(ctx, &out, audit.ExportHeader{Checkpoint: b.note(t), Older: []audit.Checkpoint{later}}, b); err == nil {
		t.Error("a later checkpoint as an older one: taken")
	}
	x, err := audit.NewExport(ctx, &out, audit.ExportHeader{Checkpoint: b.note(t)}, b)
	if err != nil {
		t.Fatal(err)
	}
	for name, canonical := range map[string]string{"no JSON": "{", "two lines": "{\n}", "two values": "{}{}", "too long": `"` + strings.Repeat("x", 16<<20) + `"`} {
		if err := x.Entry(ctx, audit.ExportEntry{Canonical: []byte(canonical)}); err == nil {
			t.Error(name, "written")
		}
	}
	if err := x.Entry(ctx, audit.ExportEntry{Position: 256, Canonical: []byte("{}")}); err == nil {
		t.Error("an entry beyond the checkpoint: written")
	}
	if err := x.End(); err != nil {
		t.Fatal(err)
	}
	if x.End() == nil || x.Policy(audit.PolicyDocument{}) == nil {
		t.Error("written after the end")
	}
	x, err = audit.NewExport(ctx, full{}, audit.ExportHeader{Participant: "mercy", Checkpoint: b.note(t)}, b)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err = x.Entry(ctx, b.entries[2]); err != nil {
			break
		}
	}
	if err == nil {
		err = x.End()
	}
	if err == nil {
		t.Error("a full disk: not seen")
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, context.DeadlineExceeded }

// TestEscapesStay pins how texts are escaped: verifying writes entries anew, so a
// toolchain that escapes otherwise would call old entries changed.
func TestEscapesStay(t *testing.T) {
	e, err := audit.Seal(audit.Draft{
		ID: "1", At: began, Action: "a",
		Fields: []audit.Field{public("all", "\x00\x01\b\t\n\v\f\r\x1f \"\\/<>&'\x7f\u0080é\u2028\u2029\ufffd😀"), public("no UTF-8", "a\xffb")},
	}, salt(0))
	if err != nil {
		t.Fatal(err)
	}
	const want = `"fields":[{"name":"all","value":"\u0000\u0001\b\t\n\u000b\f\r\u001f \"\\/<>&'` + "\x7f\u0080é" + `\u2028\u2029` + "\ufffd😀" + `"},{"name":"no UTF-8","value":"a\ufffdb"}]}`
	if !strings.HasSuffix(string(e.Canonical), want) {
		t.Errorf("got %s", hex.Dump(e.Canonical))
	}
	// Such an entry verifies: with the sign, and with the escape that sealing
	// writes where a text was no UTF-8.
	b := newBook(t, origin, 1)
	b.put(e)
	if _, err := verify(b.export(t, ""), b.signer.Key()); err != nil {
		t.Error(err)
	}
}

// TestPersonalTextIsText: a value must come back from JSON as it was digested.
func TestPersonalTextIsText(t *testing.T) {
	b := newBook(t, origin, 1)
	b.record(t, "mercy", "user.created", personal("name", "Lim\xff\xfe"), personal("name", "again"), public("name", "x"), personal("name", "third"))
	if r, err := verify(b.export(t, ""), b.signer.Key()); err != nil || r.Personal != 3 || r.Withheld != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}
