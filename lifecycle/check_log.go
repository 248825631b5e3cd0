package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// log walks through the positions and computes the tree anew.
func (c *inspection) log(ctx context.Context) error {
	for more := true; more; {
		err := c.s.store.Look(ctx, func(ctx context.Context, read storage.Reader) error {
			lines, err := read.ListLogLines(ctx, c.next, linesAtOnce)
			if err != nil {
				return err
			}
			more = len(lines) == linesAtOnce
			for i, line := range lines {
				if line.Position >= c.head.Size {
					lines, more = lines[:i], false
					break
				}
			}
			if len(lines) == 0 {
				return nil
			}
			return c.page(ctx, read, lines)
		})
		if err != nil {
			return err
		}
	}
	c.end()
	return nil
}

// page checks consecutive positions.
func (c *inspection) page(ctx context.Context, read storage.Reader, lines []storage.LogLine) error {
	behind := lines[len(lines)-1].Position + 1
	kept, err := read.ListCheckpointsOf(ctx, c.next, behind)
	if err != nil {
		return err
	}
	if len(kept) > 0 {
		c.largest = kept[len(kept)-1].Size
	}
	var nodes []audit.Node
	entries := make([]storage.EntryRow, 0, len(lines))
	for _, line := range lines {
		c.line(line)
		if line.Entry.ID != "" {
			entries = append(entries, line.Entry)
		}
		if c.torn {
			continue
		}
		nodes = append(nodes, c.tree.Append(line.Leaf)...)
		size := int64(c.tree.Size())
		if size == c.head.NoteOf {
			c.noteOf = c.tree.Root()
		}
		for len(kept) > 0 && kept[0].Size == size {
			root := c.tree.Root()
			c.note("audit_checkpoint", strconv.FormatInt(kept[0].Size, 10), kept[0].Note, kept[0].Size, kept[0].At, &root)
			kept = kept[1:]
			c.report.Checkpoints++
		}
	}
	for _, k := range kept { // of a torn log
		c.note("audit_checkpoint", strconv.FormatInt(k.Size, 10), k.Note, k.Size, k.At, nil)
	}
	c.report.Entries += len(lines)
	if err := c.nodes(ctx, read, nodes); err != nil {
		return err
	}
	if err := c.entries(ctx, read, entries); err != nil {
		return err
	}
	c.advance(len(lines))
	return nil
}

func (c *inspection) line(line storage.LogLine) {
	id := strconv.FormatInt(line.Position, 10)
	if expected := c.next; line.Position != expected && !c.torn {
		c.wrong("audit_position", strconv.FormatInt(expected, 10), "the log has nothing at this position; it goes on with position %d", line.Position)
		c.torn = true
	}
	if number := c.numbers[line.Participant] + 1; line.Number != number {
		c.wrong("audit_position", id, "the number among the participant's entries is %d where %d follows", line.Number, number)
	}
	c.numbers[line.Participant] = line.Number
	c.next = line.Position + 1
	switch e := line.Entry; {
	case e.ID == "":
		c.wrong("audit_entry", line.LogPosition.Entry, "there is no such entry, and position %s is its", id)
		c.wrong("audit_position", id, "there is no entry %s, which stands at this position", line.LogPosition.Entry)
	case e.Participant != line.Participant:
		c.wrong("audit_position", id, "the participant is not that of entry %s", e.ID)
	case leafAt(line.LogPosition, audit.Sum(e.Canonical)).Hash() != line.Leaf:
		c.wrong("audit_position", id, "the leaf hash is not that of entry %s at this position", e.ID)
	}
}

// nodes holds kept inner nodes to those that were computed.
func (c *inspection) nodes(ctx context.Context, read storage.Reader, computed []audit.Node) error {
	byLevel := map[uint][]audit.Node{}
	for _, n := range computed {
		byLevel[n.Level] = append(byLevel[n.Level], n)
	}
	for level := uint(audit.KeptEvery); len(byLevel[level]) > 0; level += audit.KeptEvery {
		want := byLevel[level]
		rows, err := read.ListLogNodes(ctx, int(level), int64(want[0].Index), int64(want[len(want)-1].Index)+1)
		if err != nil {
			return err
		}
		kept := make(map[uint64]audit.Digest, len(rows))
		for _, n := range rows {
			kept[uint64(n.Index)] = n.Hash
		}
		for _, n := range want {
			id := fmt.Sprintf("%d/%d", level, n.Index)
			switch hash, there := kept[n.Index]; {
			case !there:
				c.wrong("audit_node", id, "the node is missing")
			case hash != n.Hash:
				c.wrong("audit_node", id, "the hash is not that of the leaves below it")
			}
		}
	}
	return nil
}

// end holds the log's head to what was walked through.
func (c *inspection) end() {
	if c.headless {
		return
	}
	if c.head.Size > c.next {
		c.wrong("audit_position", strconv.FormatInt(c.next, 10), "the log has nothing from this position on; its head counts %d entries", c.head.Size)
		c.wrong("audit_head", "1", "the size is %d, and positions end before %d", c.head.Size, c.next)
		c.torn = true
	}
	head := func(format string, args ...any) { c.wrong("audit_head", "1", format, args...) }
	var root *audit.Digest
	if !c.torn {
		computed := c.tree.Root()
		c.report.Root = computed.String()
		root = &c.noteOf
		if c.head.Root != computed {
			head("the root is not that of the log's %d entries", c.head.Size)
		}
		if !bytes.Equal(c.head.Edge, c.tree.Edge()) {
			head("the edge is not that of the log's %d entries", c.head.Size)
		}
	}
	c.report.Signed = c.head.NoteOf
	switch h := c.head; {
	case h.NoteOf < c.largest:
		head("the newest checkpoint covers %d entries, and one of %d is kept", h.NoteOf, c.largest)
	case h.Note == "" && (h.NoteOf != 0 || !h.Signed.IsZero()):
		head("the newest checkpoint is missing")
	case h.NoteOf > h.Size:
		head("the newest checkpoint covers %d entries, and the log has %d", h.NoteOf, h.Size)
	case h.Note != "":
		c.note("audit_head", "1", h.Note, h.NoteOf, h.Signed, root)
	}
}

// note checks a signed checkpoint; root is that of its size, nil when it cannot
// be computed.
func (c *inspection) note(table, id, text string, size int64, at time.Time, root *audit.Digest) {
	read := func() (audit.Checkpoint, error) {
		if len(c.keys) == 0 {
			return audit.Checkpoint{}, errors.New("no key is known that checkpoints are signed by")
		}
		return audit.OpenCheckpoint(text, c.keys...)
	}
	switch k, err := read(); {
	case err != nil:
		c.wrong(table, id, "%v", err)
	case k.Origin != c.origin:
		c.wrong(table, id, "the checkpoint is of %s, the log is %s", k.Origin, c.origin)
	case int64(k.Size) != size, !k.At.Equal(at):
		c.wrong(table, id, "size and instant are not those of the signed checkpoint, which has %d entries and was signed at %s", k.Size, audit.Stamp(k.At))
	case root != nil && k.Root != *root:
		c.wrong(table, id, "the first %d entries are not those that were signed at %s", k.Size, audit.Stamp(k.At))
	}
}

// entries checks entries by themselves, and their personal values.
func (c *inspection) entries(ctx context.Context, read storage.Reader, rows []storage.EntryRow) error {
	if len(rows) == 0 {
		return nil
	}
	ids := make([]string, len(rows))
	for i, e := range rows {
		ids[i] = e.ID
	}
	personal, err := read.ListPersonal(ctx, ids)
	if err != nil {
		return err
	}
	gone := map[string][]string{} // ids of values, by user
	for _, e := range rows {
		missing := c.entry(e, personal[e.ID])
		gone[e.User] = append(gone[e.User], missing...)
	}
	var users []string
	for user, values := range gone {
		if user != "" && len(values) > 0 {
			users = append(users, user)
		}
	}
	erased := map[string]bool{}
	if len(users) > 0 {
		if erased, err = read.ListErased(ctx, users); err != nil {
			return err
		}
	}
	for _, e := range rows { // in their order
		if !erased[e.User] {
			for _, id := range gone[e.User] {
				c.wrong("audit_personal", id, "the value is missing, and no entry says that the user was erased")
			}
		}
		delete(gone, e.User)
	}
	return nil
}

// entry checks one, and answers which of its personal values are gone.
func (c *inspection) entry(e storage.EntryRow, values []storage.PersonalValue) (gone []string) {
	wrong := func(format string, args ...any) { c.wrong("audit_entry", e.ID, format, args...) }
	if audit.Sum(e.Canonical).String() != e.Hash {
		wrong("the hash is not that of the entry")
	}
	k, err := audit.ReadEntry(e.Canonical)
	if err != nil {
		wrong("the entry cannot be read")
		return nil
	}
	for _, column := range []struct {
		name string
		same bool
	}{
		{"id", k.ID == e.ID}, {"at", k.At.Equal(e.At)}, {"participant", k.Participant == e.Participant}, {"user_id", k.User == e.User},
		{"actor", k.Actor.Name() == e.Actor}, {"action", k.Action == e.Action},
	} {
		if !column.same {
			wrong("column %s is not what the entry says", column.name)
		}
	}
	if k.User == "" && len(k.History) > 0 {
		wrong("the entry commits to a version, and is about nobody")
	}
	byN := make(map[int]storage.PersonalValue, len(values))
	for _, v := range values {
		byN[v.N] = v
	}
	n := 0
	for _, f := range k.Fields {
		if f.Digest == "" {
			continue
		}
		id := fmt.Sprintf("%s/%d", e.ID, n)
		switch v, there := byN[n]; {
		case !there:
			gone = append(gone, id)
		case v.Name != f.Name || v.Personal.Digest().String() != f.Digest:
			c.wrong("audit_personal", id, "name, salt and value are not those that the entry has the digest of")
		}
		delete(byN, n)
		n++
	}
	for _, v := range values {
		if _, left := byN[v.N]; left {
			c.wrong("audit_personal", fmt.Sprintf("%s/%d", e.ID, v.N), "the entry has no such field")
		}
	}
	return gone
}
