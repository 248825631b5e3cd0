package audit

import (
	"fmt"
	"strings"
	"time"
)

// Report is what a whole and unchanged export proves.
type Report struct {
	Origin            string
	Participant       string // "": the whole log
	Size              uint64 // of the log at the checkpoint
	Root              Digest
	CheckpointAt      time.Time
	Entries           uint64
	Number            uint64    // of the participant's last entry, up to which nothing is missing
	First, Last       time.Time // instants of the first and the last entry; zero when there is none
	Policies          uint64
	PoliciesByMeaning uint64       // of those: compared by meaning, not by their bytes
	PoliciesUnread    uint64       // of those: not compared
	Personal          uint64       // values that are in the file
	Withheld          uint64       // values that are not: erased
	WrongClock        uint64       // entries dated before 2000, or a day after the checkpoint
	WrongAt           uint64       // position of the first of them
	Older             []Checkpoint // that the log was shown to continue, by size
}

// Proven says what holds, in sentences for whoever reads the report.
func (r Report) Proven() []string {
	out := []string{fmt.Sprintf("The checkpoint of %s (%s, %s) is signed by a key that you named.", Stamp(r.CheckpointAt), r.Origin, entries(r.Size))}
	if r.Participant == "" {
		out = append(out, fmt.Sprintf("The file is complete up to the checkpoint: it holds the log's %s in their order; nothing was changed, dropped or inserted.", entries(r.Entries)))
	} else {
		out = append(out, fmt.Sprintf("The file is complete up to %s, number %d: it holds every entry of participant %s from the first to that one, unchanged and in order.", Stamp(r.Last), r.Number, r.Participant))
	}
	if r.Personal > 0 {
		out = append(out, fmt.Sprintf("What was recorded is also in the file's %s.", counted(r.Personal, "personal value")))
	}
	if n := r.Policies - r.PoliciesByMeaning - r.PoliciesUnread; n > 0 {
		out = append(out, fmt.Sprintf("Byte for byte what was put in force: %s.", counted(n, "policy document")))
	}
	if r.PoliciesByMeaning > 0 {
		out = append(out, fmt.Sprintf("The same rules as were put in force: %s.", counted(r.PoliciesByMeaning, "policy document")))
	}
	for _, c := range r.Older {
		out = append(out, fmt.Sprintf("The log continues the checkpoint of %s (%s) that you kept: nothing before it was rewritten since.", Stamp(c.At), entries(c.Size)))
	}
	return out
}

// NotProven says where the proof ends.
func (r Report) NotProven() []string {
	before := "That nobody who can write to the database had the log rewritten and signed anew before this checkpoint: keep checkpoints elsewhere, and compare with them."
	if len(r.Older) > 0 {
		before = fmt.Sprintf("That nobody who can write to the database had the log rewritten before the oldest checkpoint that you kept (%s) was signed.", Stamp(r.Older[0].At))
	}
	after := fmt.Sprintf("What came after the checkpoint of %s. A deed of the seconds before it may have come into the log after it.", Stamp(r.CheckpointAt))
	if r.Participant != "" {
		after = fmt.Sprintf("What came after number %d (%s). A deed of the seconds before it may have a later number.", r.Number, Stamp(r.Last))
	}
	out := []string{before, after, "That what was recorded is true: only that it is what was recorded."}
	if r.Participant != "" {
		out = append(out, "That the file has every policy of all participants: only the participant's own entries are numbered in it.")
	}
	if r.WrongClock > 0 {
		out = append(out, fmt.Sprintf("When %s came about, from position %d on: dated before 2000 or after the checkpoint, by a clock that was wrong.", entries(r.WrongClock), r.WrongAt))
	}
	if r.Withheld > 0 {
		out = append(out, fmt.Sprintf("What was in %s not in the file: once erased, only a salted digest is left.", counted(r.Withheld, "personal value")))
	}
	if r.PoliciesByMeaning > 0 {
		out = append(out, fmt.Sprintf("What the comments were in %s: the record names them by their rules.", counted(r.PoliciesByMeaning, "policy document")))
	}
	if r.PoliciesUnread > 0 {
		out = append(out, fmt.Sprintf("That what was put in force stands in the file: %s not compared.", counted(r.PoliciesUnread, "policy document")))
	}
	return out
}

func entries(n uint64) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

func counted(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// String is the report as it is read by people.
func (r Report) String() string {
	return "Proven:\n- " + strings.Join(r.Proven(), "\n- ") + "\nNot proven:\n- " + strings.Join(r.NotProven(), "\n- ") + "\n"
}
