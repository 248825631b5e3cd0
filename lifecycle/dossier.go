package lifecycle

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// dossier is what the house has on record about a user besides the document. A
// deed reads it once, before it writes; what the deed keeps goes into both.
type dossier struct {
	evidence  []storage.Evidence // revoked ones too
	approvals []storage.Approval // ended ones too
	holds     []storage.Hold     // lifted ones too

	along noted
}

// noted is what a deed did to the dossier along the way, for its entry to say:
// what no entry knows of, a check of the record takes for somebody's own hand.
type noted struct {
	endedEvidence  []string
	endedApprovals []string
	liftedHolds    []string
	voidedLinks    []string
	link           *storage.Activation // issued
}

// fields is what the entry says of it.
func (n noted) fields() []audit.Field {
	var fields []audit.Field
	list := func(name string, ids []string) {
		if len(ids) > 0 {
			fields = append(fields, public(name, strings.Join(ids, " ")))
		}
	}
	list("endedEvidence", n.endedEvidence)
	list("endedApprovals", n.endedApprovals)
	list("liftedHolds", n.liftedHolds)
	list("voidedLinks", n.voidedLinks)
	if n.link != nil {
		// Of the code, which has 256 bits, the digest of its digest says nothing.
		fields = append(fields, public("link", n.link.ID), public("linkExpires", audit.Stamp(n.link.Expires)), public("linkCode", audit.Sum(n.link.CodeHash).String()))
		if n.link.ClosedSeen != nil {
			fields = append(fields, public("linkClosedSeen", audit.Stamp(*n.link.ClosedSeen)))
		}
	}
	return fields
}

func readDossier(ctx context.Context, tx storage.Tx, user string) (*dossier, error) {
	var d dossier
	var err error
	if d.evidence, err = tx.ListEvidence(ctx, user); err != nil {
		return nil, fmt.Errorf("evidence of %s: %w", user, err)
	}
	if d.approvals, err = tx.ListApprovals(ctx, user); err != nil {
		return nil, fmt.Errorf("approvals of %s: %w", user, err)
	}
	if d.holds, err = tx.ListHolds(ctx, user); err != nil {
		return nil, fmt.Errorf("holds of %s: %w", user, err)
	}
	return &d, nil
}

func (d *dossier) keepEvidence(ctx context.Context, tx storage.Tx, e storage.Evidence) error {
	if err := tx.PutEvidence(ctx, e); err != nil {
		return fmt.Errorf("keep evidence %s: %w", e.ID, err)
	}
	d.evidence = keep(d.evidence, e, func(o storage.Evidence) bool { return o.ID == e.ID })
	return nil
}

func (d *dossier) keepApproval(ctx context.Context, tx storage.Tx, a storage.Approval) error {
	if err := tx.PutApproval(ctx, a); err != nil {
		return fmt.Errorf("keep approval %s: %w", a.ID, err)
	}
	d.approvals = keep(d.approvals, a, func(o storage.Approval) bool { return o.ID == a.ID })
	return nil
}

func (d *dossier) keepHold(ctx context.Context, tx storage.Tx, h storage.Hold) error {
	if err := tx.PutHold(ctx, h); err != nil {
		return fmt.Errorf("keep hold %s: %w", h.ID, err)
	}
	d.holds = keep(d.holds, h, func(o storage.Hold) bool { return o.ID == h.ID })
	return nil
}

// keep replaces the row that is meant, or adds it.
func keep[T any](rows []T, row T, meant func(T) bool) []T {
	if i := slices.IndexFunc(rows, meant); i >= 0 {
		rows[i] = row
		return rows
	}
	return append(rows, row)
}

// facts adds what counts now to what a decision rests on.
func (d *dossier) facts(f *policy.Facts) {
	for _, e := range d.evidence {
		if e.Revoked == nil {
			f.Evidence = append(f.Evidence, e.Evidence)
		}
	}
	for _, a := range d.approvals {
		if a.Ended == nil {
			f.Approvals = append(f.Approvals, a.Approval)
		}
	}
	for _, h := range d.holds {
		if h.Lifted == nil {
			f.Holds = append(f.Holds, h.Hold)
		}
	}
}

// everConfirmed says whether an operator's evidence has ever opened gate email:
// then an open gate does not prove that the user holds the address.
func (d *dossier) everConfirmed() bool {
	return slices.ContainsFunc(d.evidence, func(e storage.Evidence) bool { return e.Gate == policy.GateEmail })
}

// addressChanged is why evidence of an address ends.
const addressChanged = "the address changed"

// endAddressEvidence ends evidence that was given for another address.
func (d *dossier) endAddressEvidence(ctx context.Context, tx storage.Tx) error {
	now := tx.Now()
	for _, e := range slices.Clone(d.evidence) {
		if e.Gate != policy.GateEmail || e.Revoked != nil {
			continue
		}
		e.Revoked, e.RevokedWhy = &now, addressChanged
		if err := d.keepEvidence(ctx, tx, e); err != nil {
			return err
		}
		d.along.endedEvidence = append(d.along.endedEvidence, e.ID)
	}
	return nil
}

// endApprovals ends those that fits does not hold for (product rules 7 and 8).
func (d *dossier) endApprovals(ctx context.Context, tx storage.Tx, fits func(storage.Approval) bool) error {
	now := tx.Now()
	for _, a := range slices.Clone(d.approvals) {
		if a.Ended != nil || fits(a) {
			continue
		}
		a.Ended = &now
		if err := d.keepApproval(ctx, tx, a); err != nil {
			return err
		}
		d.along.endedApprovals = append(d.along.endedApprovals, a.ID)
	}
	return nil
}
