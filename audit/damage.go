package audit

import (
	"fmt"
	"strings"
)

// DamageKind says in one word what is wrong with evidence.
type DamageKind string

// Kinds of damage.
const (
	Changed     DamageKind = "changed"               // something is not what was recorded
	Dropped     DamageKind = "dropped"               // something recorded is missing
	Inserted    DamageKind = "inserted"              // something stands there that was not recorded there
	Swapped     DamageKind = "swapped"               // something stands in another place
	Truncated   DamageKind = "truncated"             // the end is missing
	Forged      DamageKind = "forged"                // no signature by a key that is trusted
	Foreign     DamageKind = "from another instance" // another log
	NotPrefix   DamageKind = "not a continuation"    // an older checkpoint is of another past
	Malformed   DamageKind = "malformed"             // not the format at all
	Unproven    DamageKind = "not proven"            // evidence that was asked for is not there
	Implausible DamageKind = "implausible"           // signed so, but cannot be
)

// Damage is the first thing found wrong with a checkpoint or an export.
type Damage struct {
	Kind     DamageKind
	Line     int     // of the file, from 1; 0 when it is not about a line
	Position *uint64 // in the log, when known
	Entry    string  // its id, when known
	Detail   string  // a sentence without a full stop
}

func (d *Damage) Error() string {
	var at []string
	if d.Line > 0 {
		at = append(at, fmt.Sprintf("line %d", d.Line))
	}
	if d.Position != nil {
		at = append(at, fmt.Sprintf("position %d", *d.Position))
	}
	if d.Entry != "" {
		at = append(at, "entry "+d.Entry)
	}
	if len(at) == 0 {
		return string(d.Kind) + ": " + d.Detail
	}
	return strings.Join(at, ", ") + ": " + string(d.Kind) + ": " + d.Detail
}
