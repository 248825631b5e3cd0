package audit

import (
	"encoding/json"
	"fmt"
	"time"
)

// Kept is an entry read back from its canonical bytes.
type Kept struct {
	ID            string
	At            time.Time
	Participant   string
	User          string
	Actor         Actor
	Action        string
	RequestID     string
	Source        string
	Rule          string
	PolicyVersion int64
	Sentence      string
	Fields        []KeptField
	History       []Digest // of the history rows that the deed wrote
}

// KeptField is a field of an entry: its value, or the digest of one that is
// personal.
type KeptField struct {
	Name   string
	Value  *string
	Digest string
}

// ReadEntry reads an entry's canonical bytes. It proves nothing.
func ReadEntry(bytes []byte) (Kept, error) {
	var c canonical
	if err := json.Unmarshal(bytes, &c); err != nil {
		return Kept{}, fmt.Errorf("read entry: %w", err)
	}
	at, err := time.Parse(stampLayout, c.At)
	if err != nil {
		return Kept{}, fmt.Errorf("read entry %s: %w", c.ID, err)
	}
	k := Kept{
		ID: c.ID, At: at, Participant: c.Participant, User: c.User, Actor: c.Actor, Action: c.Action, RequestID: c.RequestID,
		Source: c.Source, Rule: c.Rule, PolicyVersion: c.PolicyVersion, Sentence: c.Sentence,
	}
	for _, f := range c.Fields {
		k.Fields = append(k.Fields, KeptField(f))
	}
	for _, h := range c.History {
		d, err := ParseDigest(h)
		if err != nil {
			return Kept{}, fmt.Errorf("read entry %s: %w", c.ID, err)
		}
		k.History = append(k.History, d)
	}
	return k, nil
}

// Public answers the entry's public fields by name.
func (k Kept) Public() map[string]string {
	fields := make(map[string]string, len(k.Fields))
	for _, f := range k.Fields {
		if f.Value != nil {
			fields[f.Name] = *f.Value
		}
	}
	return fields
}
