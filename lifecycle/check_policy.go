package lifecycle

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// policies holds the documents on record to the entries by which they came into
// force.
func (c *inspection) policies(ctx context.Context) error {
	return c.s.store.Look(ctx, func(ctx context.Context, read storage.Reader) error {
		entries, err := entriesOf(ctx, read, audit.PolicyApplied)
		if err != nil {
			return err
		}
		applied := map[int64][]audit.Kept{}
		for _, k := range entries {
			applied[k.PolicyVersion] = append(applied[k.PolicyVersion], k)
		}
		rows, err := read.ListPolicies(ctx)
		if err != nil {
			return err
		}
		var all *policy.Policy // of the newest version before, by which an overlay is read
		for i, row := range rows {
			c.report.Policies++
			id := strconv.FormatInt(row.Version, 10)
			if row.Version != int64(i+1) {
				c.wrong("policy_version", id, "versions are counted from 1 without gaps")
			}
			entries := applied[row.Version]
			delete(applied, row.Version)
			if len(entries) == 0 {
				c.wrong("policy_version", id, "no entry put this version in force")
				continue
			}
			if row, err = read.GetPolicy(ctx, row.Version); err != nil {
				return err
			}
			for _, e := range entries {
				c.policy(id, row, e, &all)
			}
		}
		for _, version := range slices.Sorted(maps.Keys(applied)) {
			c.wrong("policy_version", strconv.FormatInt(version, 10), "entry %s put this version in force, and it is not there", applied[version][0].ID)
		}
		return nil
	})
}

func (c *inspection) policy(id string, row storage.PolicyVersion, e audit.Kept, all **policy.Policy) {
	fields := e.Public()
	document, kept := fields[audit.DocumentField]
	same := document == audit.Sum(row.Document).String()
	if !kept { // an entry from before documents were named by their bytes
		same = meaningOf(row, all) == fields["digest"]
	}
	actor := e.Actor.Subject
	for _, one := range []column{
		{"participant", row.Participant == e.Participant}, {"digest", row.Digest == fields["digest"]}, {"document", same},
		{"applied", row.Applied.Equal(e.At)}, {"actor", row.Actor == actor}, {"plan", row.Plan == fields["plan"]},
	} {
		if !one.same {
			c.wrong("policy_version", id, "column %s is not what entry %s says", one.name, e.ID)
		}
	}
}

// meaningOf is the digest of what a document means, "" when it means nothing.
func meaningOf(row storage.PolicyVersion, all **policy.Policy) string {
	if row.Participant == "" {
		p, err := policy.Parse(row.Document)
		if err != nil {
			return ""
		}
		*all = p
		return p.Digest()
	}
	if *all == nil {
		return ""
	}
	o, err := policy.KeptOverlay(row.Document, *all)
	if err != nil {
		return ""
	}
	return o.Digest()
}
