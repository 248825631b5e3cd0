package lifecycle

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// ReviewHead is a closing report without its people. Instants are UTC with
// microseconds, as entries have them. Which operators started and closed the
// review stands in the entries, which are not for the participant's eyes.
type ReviewHead struct {
	V           int          `json:"v"`
	Review      string       `json:"review"`
	Participant string       `json:"participant"`
	AsOf        string       `json:"asOf"` // it is about who had access then
	Due         string       `json:"due"`
	OnSilence   string       `json:"onSilence"`
	Escalated   string       `json:"escalated,omitempty"`
	Closed      string       `json:"closed"`
	Entry       string       `json:"entry"` // of the closing, which holds this report's digest
	Totals      ReviewTotals `json:"totals"`
}

// ReviewTotals are how many people a review came to what for.
type ReviewTotals struct {
	People    int `json:"people"`
	Kept      int `json:"kept"`
	Revoked   int `json:"revoked"`
	Ended     int `json:"ended"` // access ended otherwise
	Suspended int `json:"suspended"`
	Undecided int `json:"undecided"`
}

// TotalsOf reads a tally.
func TotalsOf(t storage.ReviewTally) ReviewTotals {
	return ReviewTotals{
		People: t.Total(), Kept: t[storage.ItemKept], Revoked: t[storage.ItemRevoked], Ended: t[storage.ItemEnded],
		Suspended: t[storage.ItemSuspended], Undecided: t[storage.ItemOpen],
	}
}

// ReviewLine is one person in a closing report, by id. A decision stands there
// also when it counted no more in the end: then state is not what it says.
type ReviewLine struct {
	User     string          `json:"user"`
	State    string          `json:"state"` // open, kept, revoked, ended, suspended
	Made     storage.Looked  `json:"made"`  // at the review's instant
	Changed  string          `json:"changed,omitempty"`
	Decision string          `json:"decision,omitempty"`
	By       string          `json:"by,omitempty"`
	At       string          `json:"at,omitempty"`
	Decided  *storage.Looked `json:"decided,omitempty"` // the user who was decided on
	Hold     string          `json:"hold,omitempty"`    // that was placed at the deadline
}

// ReviewReport is a closing report: the people stand by id.
type ReviewReport struct {
	ReviewHead
	Items []ReviewLine `json:"items"`
}

func stampOf(t *time.Time) string {
	if t == nil {
		return ""
	}
	return audit.Stamp(*t)
}

// writeReport writes a closed review's report: the members in this order, no
// space, no HTML escapes, so that the same review is the same bytes at any time.
// Comments are left out, for an erasure takes them.
func writeReport(ctx context.Context, read storage.Reader, r storage.Review, w io.Writer) (ReviewTotals, error) {
	tally, err := read.TallyReviews(ctx, []string{r.ID})
	if err != nil {
		return ReviewTotals{}, err
	}
	head := ReviewHead{
		V: 1, Review: r.ID, Participant: r.Participant, AsOf: audit.Stamp(r.AsOf), Due: audit.Stamp(r.Due), OnSilence: r.OnSilence,
		Escalated: stampOf(r.Escalated), Closed: stampOf(r.Closed), Entry: r.Entry,
		Totals: TotalsOf(tally[r.ID]),
	}
	begin, err := compactJSON(head)
	if err != nil {
		return head.Totals, err
	}
	if _, err := io.WriteString(w, string(begin[:len(begin)-1])+`,"items":[`); err != nil {
		return head.Totals, err
	}
	q, comma := storage.ReviewItemQuery{Review: r.ID, Limit: walk}, ""
	for {
		items, err := read.ListReviewItems(ctx, q)
		if err != nil {
			return head.Totals, err
		}
		for _, i := range items {
			line := ReviewLine{
				User: i.User, State: i.State, Made: i.Made, Changed: stampOf(i.Changed), Decision: i.Decision, By: i.By, At: stampOf(i.At), Hold: i.Hold,
			}
			if i.Decision != "" {
				line.Decided = &i.Decided
			}
			text, err := compactJSON(line)
			if err != nil {
				return head.Totals, err
			}
			if _, err := io.WriteString(w, comma+string(text)); err != nil {
				return head.Totals, err
			}
			comma = ","
		}
		if len(items) < q.Limit {
			_, err := io.WriteString(w, "]}")
			return head.Totals, err
		}
		q.After = items[len(items)-1].User
	}
}

func compactJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode the report of a review: %w", err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

func digestReport(ctx context.Context, read storage.Reader, r storage.Review) (ReviewTotals, string, error) {
	sum := sha256.New()
	totals, err := writeReport(ctx, read, r, sum)
	return totals, hex.EncodeToString(sum.Sum(nil)), err
}

// VerifyReport answers a closed review whose report is what the entry of its
// closing has the SHA-256 of. Rows that do not give that any more are an error:
// somebody altered them.
func VerifyReport(ctx context.Context, read storage.Reader, participant, id string) (storage.Review, ReviewTotals, error) {
	r, err := read.GetReview(ctx, participant, id)
	if err != nil {
		return r, ReviewTotals{}, err
	}
	if r.State != storage.ReviewClosed {
		return r, ReviewTotals{}, Faultf(KindRefused, "", "the review is %s; its report is made when it is closed", r.State)
	}
	totals, digest, err := digestReport(ctx, read, r)
	if err != nil {
		return r, totals, fmt.Errorf("report of review %s: %w", id, err)
	}
	if digest != r.Digest {
		return r, totals, fmt.Errorf("report of review %s has digest %s, and %s is on record in entry %s: its rows were altered", id, digest, r.Digest, r.Entry)
	}
	return r, totals, nil
}

// WriteReport writes the report of a closed review as it is read: however many
// people there are, it holds a page of them.
func WriteReport(ctx context.Context, read storage.Reader, r storage.Review, w io.Writer) error {
	out := bufio.NewWriterSize(w, 64<<10)
	_, err := writeReport(ctx, read, r, out)
	if err == nil {
		err = out.Flush()
	}
	return wrapped("report of review "+r.ID, err)
}
