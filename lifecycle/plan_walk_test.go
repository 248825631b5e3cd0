package lifecycle_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// variant is a policy that the walk may put in force, and what its titles lead to
// instead of what they do by default.
type variant struct {
	replace []string
	roles   map[string]string // title → role, "" for none
}

var variants = []variant{
	{},
	{
		replace: []string{"Registered Nurse,clinical practitioner,practitioner,\"RN", "Registered Nurse,clinical practitioner,clinical-staff,\"RN"},
		roles:   map[string]string{"Registered Nurse": "clinical-staff"},
	},
	{
		replace: []string{
			"Registered Nurse,clinical practitioner,practitioner,\"RN", "Nurse on Register,clinical practitioner,practitioner,\"Nurse of Register",
			"|R.N.|", "|",
			"Emergency Medicine Physician,clinical practitioner,practitioner-btg,", "Emergency Medicine Physician,clinical practitioner,practitioner,",
		},
		roles: map[string]string{"Registered Nurse": "", "Emergency Medicine Physician": "practitioner"},
	},
	{
		// Less for nurses, and more asked of who becomes a practitioner instead.
		replace: []string{
			"Registered Nurse,clinical practitioner,practitioner,\"RN", "Registered Nurse,clinical practitioner,clinical-staff,\"RN",
			"clinical.sensitive], modules: [nys-policy, clinical-access]}", "clinical.sensitive], modules: [nys-policy, clinical-access, break-the-glass]}",
		},
		roles: map[string]string{"Registered Nurse": "clinical-staff"},
	},
	{
		// Clinical staff must know about emergencies as well, and have ten days to learn it.
		replace: []string{
			"clinical.summary, clinical.full], modules: [nys-policy, clinical-access]}", "clinical.summary, clinical.full], modules: [nys-policy, clinical-access, break-the-glass]}",
			"break-the-glass:     Emergency access", "break-the-glass:     {name: Emergency access, graceDays: 10}",
		},
	},
}

func (v variant) role(title string) string {
	if role, told := v.roles[title]; told {
		return role
	}
	return known[title].role
}

// policyWalk is a walk during which the policy changes, step by step.
type policyWalk struct {
	walk
	inForce variant
	plan    string // under way, "" for none
	next    variant
}

// TestPolicyWalk changes policies among deeds. Whatever the order, nobody has a
// permission that their title's row in force does not grant, and nobody gains
// one while a gate is closed.
func TestPolicyWalk(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		h := newHouse(t)
		w := &policyWalk{walk: walk{house: h, r: r}}
		r.Repeat(map[string]func(*rapid.T){
			"create":  w.create,
			"title":   func(r *rapid.T) { w.edit(r, set("title", orNil(rapid.SampledFrom(walkTitles).Draw(r, "title")))) },
			"active":  func(r *rapid.T) { w.edit(r, set("active", rapid.Bool().Draw(r, "active"))) },
			"train":   w.trainOne,
			"unlearn": w.unlearn,
			"approve": w.approve,
			"hold":    w.hold,
			"lift":    w.lift,
			"apply":   w.apply,
			"force":   w.force,
			"carry":   w.carry,
			"":        w.look,
		})
		w.force(r)
		w.carry(r)
		h.work()
		w.look(r)
		for _, p := range w.people {
			if u := w.get(p.id); u.Narrowing != nil && len(u.Decision.Permissions) > 0 {
				r.Fatalf("%s is still narrowed: %+v", u.UserName, u.Narrowing)
			}
		}
		w.record(r)
	})
}

// apply begins a change.
func (w *policyWalk) apply(r *rapid.T) {
	if w.plan != "" {
		r.Skip("one is under way")
	}
	w.next = rapid.SampledFrom(variants).Draw(r, "policy")
	p, err := w.PlanPolicy(w.ctx, dana, lifecycle.PlanSpec{Document: document(w.t, w.next.replace...)})
	if err != nil {
		r.Fatal(err)
	}
	if _, err = w.ComputePlan(w.ctx, p.ID, nil); err != nil {
		r.Fatal(err)
	}
	if _, err = w.ConfirmPlan(w.ctx, erin, p.ID); err != nil {
		r.Fatal(err)
	}
	if _, err = w.ApplyPlan(w.ctx, dana, p.ID, nil); err != nil {
		r.Fatal(err)
	}
	w.plan = p.ID
}

func (w *policyWalk) force(r *rapid.T) {
	if w.plan == "" {
		return
	}
	p, err := w.PutInForce(w.ctx, w.plan, nil)
	if err != nil {
		r.Fatal(err)
	}
	switch p.State {
	case lifecycle.PlanApplied:
		w.inForce = w.next
	case lifecycle.PlanRefused:
		if !strings.Contains(p.Note, "did not show") {
			r.Fatalf("refused: %s", p.Note)
		}
		w.plan = ""
	default:
		r.Fatalf("the plan is %s", p.State)
	}
}

func (w *policyWalk) carry(r *rapid.T) {
	if w.plan == "" {
		return
	}
	p, err := w.CarryOut(w.ctx, w.plan, nil)
	if err != nil {
		r.Fatal(err)
	}
	if p.Carried != nil {
		w.plan = ""
	}
}

func (w *policyWalk) look(r *rapid.T) {
	now := w.Now()
	for _, p := range w.people {
		u := w.get(p.id)
		d := u.Access(now)
		role := permissionsOf[w.inForce.role(u.Title)]
		until := permissionsOf[known[u.Title].until]
		training := d.Gate(policy.GateTraining).Open
		approval, asked := find(d.Gates, policy.GateApproval)
		for _, permission := range d.Permissions {
			if !slices.Contains(role, permission) {
				r.Fatalf("%s (%q) holds %s, which the row in force does not grant (decided under %d, narrowing %+v)", u.UserName, u.Title, permission, u.Decision.PolicyVersion, u.Narrowing)
			}
			whole := training && (!asked || approval.Open)
			if !whole && !slices.Contains(until, permission) && !slices.Contains(p.before, permission) {
				r.Fatalf("%s (%q) gained %s with gates %v closed", u.UserName, u.Title, permission, d.ClosedGates())
			}
		}
		for _, hard := range []policy.Gate{policy.GateParticipant, policy.GateTitle, policy.GateEmail, policy.GateMobile, policy.GateHold} {
			if !d.Gate(hard).Open && len(d.Permissions) > 0 {
				r.Fatalf("%s holds %v while gate %s is closed", u.UserName, d.Permissions, hard)
			}
		}
		for _, permission := range d.Permissions {
			if n := w.holders(r, permission, u.ID); n != 1 {
				r.Fatalf("%s holds %s and a search finds %d", u.UserName, permission, n)
			}
		}
		if (d.Status == policy.StatusReleased) != (len(d.Permissions) > 0) {
			r.Fatalf("%s is %s with %v", u.UserName, d.Status, d.Permissions)
		}
		p.before = d.Permissions
	}
}

// holders is what a filter says about one person's permission.
func (w *policyWalk) holders(r *rapid.T, permission, id string) int {
	_, n, err := w.store.ListUsers(w.ctx, storage.Query{Total: true, Now: w.Now(), Filter: storage.And{
		storage.Cmp{Field: storage.FieldPermission, Op: storage.OpEq, Value: permission},
		storage.Cmp{Field: storage.FieldID, Op: storage.OpEq, Value: id},
	}})
	if err != nil {
		r.Fatal(err)
	}
	return n
}
