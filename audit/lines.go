package audit

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

func oneLine(b []byte) bool {
	for _, c := range b {
		if c < ' ' {
			return false
		}
	}
	return json.Valid(b)
}

type headerLine struct {
	Version     int               `json:"v"`
	Origin      string            `json:"origin"`
	Participant string            `json:"participant"`
	Size        uint64            `json:"size"`
	Made        string            `json:"made"`
	Checkpoint  string            `json:"checkpoint"`
	Consistency []consistencyLine `json:"consistency"`
}

type consistencyLine struct {
	From  uint64   `json:"from"`
	Root  []byte   `json:"root"`
	Proof [][]byte `json:"proof"`
}

func (l headerLine) append(b []byte) []byte {
	b = append(b, `{"kind":"export","v":`...)
	b = strconv.AppendInt(b, int64(l.Version), 10)
	b = appendText(append(b, `,"origin":`...), l.Origin)
	b = appendText(append(b, `,"participant":`...), l.Participant)
	b = strconv.AppendUint(append(b, `,"size":`...), l.Size, 10)
	b = appendText(append(b, `,"made":`...), l.Made)
	b = appendText(append(b, `,"checkpoint":`...), l.Checkpoint)
	for i, c := range l.Consistency {
		b = append(b, separator(i, `,"consistency":[`)...)
		b = strconv.AppendUint(append(b, `{"from":`...), c.From, 10)
		b = appendBase64(append(b, `,"root":`...), c.Root)
		b = append(appendHashes(append(b, `,"proof":`...), c.Proof), '}')
	}
	if len(l.Consistency) > 0 {
		b = append(b, ']')
	}
	return append(b, '}')
}

// tileLine proves 256 leaf hashes, fewer at the log's end, as one: the tile is a
// leaf of the tree that is made of tiles.
type tileLine struct {
	First  uint64   `json:"first"` // position
	Leaves [][]byte `json:"leaves"`
	Proof  [][]byte `json:"proof"`
}

func (l tileLine) append(b []byte) []byte {
	b = strconv.AppendUint(append(b, `{"kind":"tile","first":`...), l.First, 10)
	b = appendHashes(append(b, `,"leaves":`...), l.Leaves)
	return append(appendHashes(append(b, `,"proof":`...), l.Proof), '}')
}

type entryLine struct {
	Position    uint64          `json:"position"`
	Participant string          `json:"participant"`
	Number      uint64          `json:"number"`
	Entry       json.RawMessage `json:"entry"`
	Personal    []personalLine  `json:"personal"`
	Proof       [][]byte        `json:"proof"`
}

type personalLine struct {
	Field int    `json:"field"` // its place among the entry's fields, from 0
	Name  string `json:"name"`
	Salt  []byte `json:"salt"`
	Value string `json:"value"`
}

func (l *entryLine) append(b []byte) []byte {
	b = appendPlace(b, l.Position)
	b = appendText(append(b, `"participant":`...), l.Participant)
	b = strconv.AppendUint(append(b, `,"number":`...), l.Number, 10)
	b = append(append(b, `,"entry":`...), l.Entry...)
	for i, p := range l.Personal {
		b = append(b, separator(i, `,"personal":[`)...)
		b = strconv.AppendInt(append(b, `{"field":`...), int64(p.Field), 10)
		b = appendText(append(b, `,"name":`...), p.Name)
		b = appendBase64(append(b, `,"salt":`...), p.Salt)
		b = append(appendText(append(b, `,"value":`...), p.Value), '}')
	}
	if len(l.Personal) > 0 {
		b = append(b, ']')
	}
	if l.Proof != nil {
		b = appendHashes(append(b, `,"proof":`...), l.Proof)
	}
	return append(b, '}')
}

// appendPlace begins the line of an entry.
func appendPlace(b []byte, position uint64) []byte {
	return append(strconv.AppendUint(append(b, `{"kind":"entry","position":`...), position, 10), ',')
}

type policyLine struct {
	Version     int64  `json:"version"`
	Participant string `json:"participant"`
	Digest      string `json:"digest"`
	Document    string `json:"document"`
}

func (l policyLine) append(b []byte) []byte {
	b = strconv.AppendInt(append(b, `{"kind":"policy","version":`...), l.Version, 10)
	b = appendText(append(b, `,"participant":`...), l.Participant)
	b = appendText(append(b, `,"digest":`...), l.Digest)
	return append(appendText(append(b, `,"document":`...), l.Document), '}')
}

type endLine struct {
	Entries  uint64 `json:"entries"`
	Policies uint64 `json:"policies"`
}

func (l endLine) append(b []byte) []byte {
	b = strconv.AppendUint(append(b, `{"kind":"end","entries":`...), l.Entries, 10)
	return append(strconv.AppendUint(append(b, `,"policies":`...), l.Policies, 10), '}')
}

func separator(i int, first string) string {
	if i == 0 {
		return first
	}
	return ","
}

func appendHashes(b []byte, hashes [][]byte) []byte {
	b = append(b, '[')
	for i, h := range hashes {
		b = appendBase64(append(b, separator(i, "")...), h)
	}
	return append(b, ']')
}

func appendBase64(b, data []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(b, '"'), data), '"')
}

// digestsOf reads hashes; ok says whether each part has the length of a hash.
func digestsOf(hashes [][]byte) (out []Digest, ok bool) {
	for _, h := range hashes {
		if len(h) != len(Digest{}) {
			return nil, false
		}
		out = append(out, Digest(h))
	}
	return out, true
}

// parseCanonical reads an entry, and says why it cannot be one that was sealed.
func parseCanonical(b []byte) (canonical, time.Time, error) {
	var c canonical
	if err := json.Unmarshal(b, &c); err != nil {
		return canonical{}, time.Time{}, errors.New("the entry does not have the members of an entry")
	}
	if c.V != 1 {
		return canonical{}, time.Time{}, fmt.Errorf("the entry is of format %d, which this release does not know", c.V)
	}
	again, err := c.bytes()
	if err != nil {
		return canonical{}, time.Time{}, err
	}
	if string(again) != string(b) && string(again) != unescaped(b) {
		return canonical{}, time.Time{}, errors.New("the entry is not written the way entries are: spaces, order, or members that no entry has")
	}
	at, err := time.Parse(stampLayout, c.At)
	if err != nil || Stamp(at) != c.At {
		return canonical{}, time.Time{}, fmt.Errorf("the entry's instant %q is none", c.At)
	}
	return c, at, nil
}

// unescaped writes \ufffd as the sign itself. Sealing writes the escape where a
// text was no UTF-8 and the sign where it was the sign; both are read as the sign.
func unescaped(b []byte) string {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 >= len(b) {
			out = append(out, b[i])
			continue
		}
		if i+6 <= len(b) && string(b[i:i+6]) == `\ufffd` {
			out = append(out, "\ufffd"...)
			i += 5
			continue
		}
		out = append(out, b[i], b[i+1])
		i++
	}
	return string(out)
}
