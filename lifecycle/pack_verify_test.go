package lifecycle_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/lifecycle"
)

// evidencePack is a pack that was unpacked.
type evidencePack struct {
	names []string // in order
	files map[string][]byte
	m     lifecycle.PackManifest
}

func (h *house) packed(spec lifecycle.PackSpec) evidencePack {
	h.t.Helper()
	var out bytes.Buffer
	m, err := h.packer().Pack(h.ctx, &out, dana, spec, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		h.t.Fatal(err)
	}
	p := evidencePack{files: map[string][]byte{}}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			h.t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			h.t.Fatal(err)
		}
		p.names, p.files[f.Name] = append(p.names, f.Name), text
	}
	if err := json.Unmarshal(p.files[lifecycle.PackManifestFile], &p.m); err != nil {
		h.t.Fatal(err)
	}
	if got, want := fmt.Sprint(p.m), fmt.Sprint(m); len(got) != len(want) {
		h.t.Errorf("the manifest in the pack\n%s\nis not what was answered\n%s", got, want)
	}
	return p
}

// verify does what README.txt tells an auditor to do.
func (p evidencePack) verify(key string) error {
	for _, f := range p.m.Files {
		text, found := p.files[f.Name]
		if sum := sha256.Sum256(text); !found || hex.EncodeToString(sum[:]) != f.SHA256 || int64(len(text)) != f.Bytes {
			return fmt.Errorf("%s is not what the manifest has", f.Name)
		}
	}
	var sums string
	for _, f := range p.m.Files[:len(p.m.Files)-1] {
		sums += f.SHA256 + "  " + f.Name + "\n"
	}
	if string(p.files["SHA256SUMS"]) != sums {
		return errors.New("SHA256SUMS is not the manifest's")
	}
	older := []string{string(p.files[lifecycle.PackBeginFile]), string(p.files[lifecycle.PackCheckpointFile])}
	report, err := audit.Verify(bytes.NewReader(p.files[lifecycle.PackRecordFile]), []string{key}, audit.VerifyOptions{Older: older})
	if err != nil {
		return err
	}
	if report.Participant != p.m.Participant || len(report.Older) != 2 {
		return fmt.Errorf("the record proves %+v", report)
	}
	sum := sha256.Sum256(p.files[lifecycle.PackManifestFile])
	digest := hex.EncodeToString(sum[:])
	if n := strings.Count(string(p.files[lifecycle.PackRecordFile]), `"manifest","value":"`+digest); n != 1 {
		return fmt.Errorf("the record names the manifest %d times", n)
	}
	var entry struct {
		Manifest         string
		Position, Number uint64
		Participant      string
		Size             uint64
		Entry            json.RawMessage
		Proof            []string
	}
	if err := json.Unmarshal(p.files[lifecycle.PackEntryFile], &entry); err != nil {
		return err
	}
	kept, err := audit.ReadEntry(entry.Entry)
	if err != nil {
		return err
	}
	if kept.Action != lifecycle.Packed || kept.Public()["manifest"] != digest || entry.Manifest != digest {
		return fmt.Errorf("the entry is of another manifest: %s", entry.Entry)
	}
	return included(older[1], key, entry.Entry, entry.Participant, entry.Position, entry.Number, entry.Proof)
}

// included holds an entry's proof to a checkpoint.
func included(note, key string, entry []byte, participant string, position, number uint64, proof []string) error {
	c, err := audit.OpenCheckpoint(note, key)
	if err != nil {
		return err
	}
	path := make([]audit.Digest, len(proof))
	for i, text := range proof {
		if path[i], err = audit.ParseDigest(text); err != nil {
			return err
		}
	}
	leaf := audit.Leaf{Position: position, Participant: participant, Number: number, Entry: audit.Sum(entry)}.Hash()
	return audit.VerifyInclusion(leaf, position, c.Size, path, c.Root)
}

// tampered changes one file after the other: each is found.
func (h *house) tampered(p evidencePack, key string) {
	h.t.Helper()
	for _, name := range p.names {
		if len(p.files[name]) == 0 {
			continue
		}
		changed := evidencePack{names: p.names, files: maps.Clone(p.files), m: p.m}
		text := bytes.Clone(p.files[name])
		text[len(text)/2] ^= 1
		changed.files[name] = text
		if changed.verify(key) == nil {
			h.t.Errorf("%s was changed, and nobody saw it", name)
		}
	}
	// A whole and other pack: its manifest fits, and the record names another one.
	changed := evidencePack{names: p.names, files: maps.Clone(p.files), m: p.m}
	changed.m.Files = slices.Clone(p.m.Files)
	text := append(bytes.Clone(p.files["approvals.csv"]), "forged\n"...)
	sum := sha256.Sum256(text)
	i := slices.IndexFunc(changed.m.Files, func(f lifecycle.PackFile) bool { return f.Name == "approvals.csv" })
	changed.files["SHA256SUMS"] = bytes.Replace(p.files["SHA256SUMS"], []byte(p.m.Files[i].SHA256), []byte(hex.EncodeToString(sum[:])), 1)
	sums := sha256.Sum256(changed.files["SHA256SUMS"])
	changed.m.Files[i].SHA256, changed.m.Files[i].Bytes, changed.files["approvals.csv"] = hex.EncodeToString(sum[:]), int64(len(text)), text
	changed.m.Files[len(changed.m.Files)-1].SHA256 = hex.EncodeToString(sums[:])
	manifest, err := json.MarshalIndent(changed.m, "", "  ")
	if err != nil {
		h.t.Fatal(err)
	}
	changed.files[lifecycle.PackManifestFile] = append(manifest, '\n')
	if err := changed.verify(key); err == nil || !strings.Contains(err.Error(), "names the manifest 0 times") {
		h.t.Errorf("a forged manifest: %v", err)
	}
}

// drawnAgain draws the sample from the seed as README.txt tells, and holds every
// entry in it to its proof.
func (h *house) drawnAgain(p evidencePack, key string, from time.Time) {
	t := h.t
	t.Helper()
	var frame []string
	byDigest := map[string]string{}
	for _, row := range p.rows(t, "population-closing.csv") {
		if at, err := time.Parse(time.RFC3339, row["deleted"]); err == nil && at.Before(from) {
			continue
		}
		sum := sha256.Sum256([]byte(p.m.Seed + row["id"]))
		frame = append(frame, hex.EncodeToString(sum[:]))
		byDigest[frame[len(frame)-1]] = row["id"]
	}
	slices.Sort(frame)
	sample := p.rows(t, "sample.csv")
	if len(sample) != min(p.m.Sample, len(frame)) || p.m.Counts.Frame != len(frame) || p.m.Counts.Sampled != len(sample) {
		t.Fatalf("%d of %d were drawn, the manifest has %+v", len(sample), len(frame), p.m.Counts)
	}
	for i, row := range sample {
		if row["id"] != byDigest[frame[i]] || row["sha256"] != frame[i] {
			t.Errorf("rank %d is %s, drawn again it is %s", i+1, row["id"], byDigest[frame[i]])
		}
		entries, versions := 0, map[string]bool{}
		for line := range bytes.Lines(p.files[row["file"]]) {
			var l struct {
				Kind             string
				Digest           string
				Body             json.RawMessage
				Position, Number uint64
				Participant      string
				Entry            json.RawMessage
				Personal         []audit.Personal
				Proof            []string
			}
			if err := json.Unmarshal(line, &l); err != nil {
				t.Fatal(err)
			}
			switch l.Kind {
			case "version":
				if audit.Sum([]byte("healthix-scim/user_history\x00"+string(l.Body))).String() != l.Digest {
					t.Errorf("a version of %s is not what its digest is of", row["id"])
				}
				versions[l.Digest] = true
			case "entry":
				entries++
				if err := included(string(p.files[lifecycle.PackBeginFile]), key, l.Entry, l.Participant, l.Position, l.Number, l.Proof); err != nil {
					t.Errorf("an entry of %s: %v", row["id"], err)
				}
				for _, v := range l.Personal {
					if !bytes.Contains(l.Entry, []byte(v.Digest().String())) {
						t.Errorf("a personal value of %s is not that of its entry", row["id"])
					}
				}
				kept, err := audit.ReadEntry(l.Entry)
				if err != nil || kept.User != row["id"] {
					t.Errorf("an entry of %s: %+v, %v", row["id"], kept, err)
				}
				for _, d := range kept.History {
					delete(versions, d.String())
				}
			}
		}
		want, err := h.store.ListEntries(h.ctx, row["id"])
		if err != nil || entries != len(want) || entries == 0 || len(versions) != 0 {
			t.Errorf("%s has %d entries, %d on record, %d versions that no entry is about, %v", row["id"], entries, len(want), len(versions), err)
		}
	}
}
