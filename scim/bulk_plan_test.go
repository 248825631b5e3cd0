package scim

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/protocol"
)

// sent reads operations as a Bulk would.
func sent(t interface{ Fatal(...any) }, operations ...string) []*operation {
	raw, err := protocol.Scan([]byte("[" + strings.Join(operations, ",") + "]"))
	if err != nil {
		t.Fatal(err)
	}
	list, _ := raw.Elements(len(operations))
	return readOperations(list, &dialect.Reading{})
}

func makeGroup(bulkID string, members ...string) string {
	quoted := []string{}
	for _, m := range members {
		quoted = append(quoted, fmt.Sprintf(`{"value":"bulkId:%s"}`, m))
	}
	return fmt.Sprintf(`{"method":"POST","path":"/Groups","bulkId":%q,"data":{"members":[%s]}}`, bulkID, strings.Join(quoted, ","))
}

func touch(path string, members ...string) string {
	return strings.Replace(strings.Replace(makeGroup("", members...), "POST", "PUT", 1), "/Groups", path, 1)
}

func steps(ops []*operation) string {
	var text []string
	for _, step := range plan(ops) {
		var one []string
		for _, op := range step {
			one = append(one, fmt.Sprint(op.index))
		}
		text = append(text, strings.Join(one, "+"))
	}
	return strings.Join(text, " ")
}

func TestPlan(t *testing.T) {
	for name, tc := range map[string]struct {
		operations []string
		want       string
	}{
		"as sent":                       {[]string{makeGroup("a"), touch("/Groups/1"), makeGroup("b", "a"), touch("/Groups/1", "b")}, "0 1 2 3"},
		"one waits for its reference":   {[]string{makeGroup("a", "c"), touch("/Groups/1"), makeGroup("c"), touch("/Groups/2")}, "1 2 0 3"},
		"a chain backwards":             {[]string{makeGroup("a", "b"), makeGroup("b", "c"), makeGroup("c")}, "2 1 0"},
		"a path waits":                  {[]string{touch("/Groups/bulkId:a"), touch("/Groups/2"), makeGroup("a")}, "1 2 0"},
		"one resource keeps its order":  {[]string{touch("/Groups/1", "a"), touch("/Groups/1/"), touch("/Groups/2"), makeGroup("a"), touch("/Groups/1")}, "2 3 0 1 4"},
		"a circle at its end":           {[]string{makeGroup("a", "b"), touch("/Groups/1"), makeGroup("b", "a"), touch("/Groups/2")}, "1 0+2 3"},
		"a circle waits for what is in": {[]string{makeGroup("a", "b", "x"), makeGroup("b", "a"), touch("/Groups/bulkId:b"), makeGroup("x"), makeGroup("y", "a")}, "3 0+1 2 4"},
		"two circles":                   {[]string{makeGroup("a", "b"), makeGroup("c", "d"), makeGroup("b", "a", "c"), makeGroup("d", "c")}, "1+3 0+2"},
		"itself":                        {[]string{makeGroup("a", "a"), makeGroup("b", "a")}, "0 1"},
		"nobody":                        {[]string{makeGroup("a", "nobody"), touch("/Groups/bulkId:nobody")}, "0 1"},
	} {
		if got := steps(sent(t, tc.operations...)); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
	if step := sent(t, makeGroup("a", "a")); !circular(step) {
		t.Error("a group in itself is a circle")
	}
	if step := sent(t, makeGroup("a", "b")); circular(step) {
		t.Error("a reference to nobody is no circle")
	}
}

func TestPlanHoldsItsPromises(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 14).Draw(r, "operations")
		name := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "nobody"})
		var list []string
		free := []string{"a", "b", "c", "d", "e"}
		for range n {
			members := rapid.SliceOfN(name, 0, 3).Draw(r, "members")
			if len(free) > 0 && rapid.Bool().Draw(r, "post") {
				list = append(list, makeGroup(free[0], members...))
				free = free[1:]
				continue
			}
			target := rapid.SampledFrom([]string{"/Groups/1", "/Groups/2", "/Groups/bulkId:a", "/Groups/bulkId:b"}).Draw(r, "path")
			list = append(list, touch(target, members...))
		}
		ops := sent(r, list...)
		ordered := plan(ops)
		place := map[int]int{} // step of each operation
		for i, step := range ordered {
			for _, op := range step {
				if _, twice := place[op.index]; twice {
					r.Fatalf("operation %d comes twice", op.index)
				}
				place[op.index] = i
			}
		}
		if len(place) != n {
			r.Fatalf("%d of %d operations: %s", len(place), n, steps(ops))
		}
		by := makers(ops)
		// reach: whom an operation refers to in the end.
		var reach func(op *operation, seen map[int]bool)
		reach = func(op *operation, seen map[int]bool) {
			for _, ref := range op.refs {
				if m := by[ref]; m != nil && !seen[m.index] {
					seen[m.index] = true
					reach(m, seen)
				}
			}
		}
		waits := false
		for i, op := range ops {
			mine := map[int]bool{}
			reach(op, mine)
			for _, ref := range op.refs {
				m := by[ref]
				if m == nil {
					continue
				}
				waits = waits || m.index >= i
				back := map[int]bool{}
				reach(m, back)
				if together := back[i]; together != (place[i] == place[m.index]) || place[i] < place[m.index] {
					r.Fatalf("operation %d and %d, which makes %s: %s", i, m.index, ref, steps(ops))
				}
			}
			for j, other := range ops[:i] {
				if op.target != "" && op.target == other.target && place[j] > place[i] {
					r.Fatalf("operations %d and %d on %s change places: %s", j, i, op.target, steps(ops))
				}
			}
		}
		if !waits && !slices.IsSortedFunc(ordered, func(a, b []*operation) int { return a[0].index - b[0].index }) {
			r.Fatalf("nothing has to wait, and yet: %s", steps(ops))
		}
	})
}

// As many operations as there may be are planned in no time, however they hang
// together.
func TestPlanOfTenThousand(t *testing.T) {
	const n = 10_000
	shapes := map[string]func(i int) string{
		"a chain":  func(i int) string { return makeGroup(fmt.Sprint(i), fmt.Sprint(i+1)) },
		"a circle": func(i int) string { return makeGroup(fmt.Sprint(i), fmt.Sprint((i+1)%n)) },
		"one resource": func(int) string {
			return touch("/Groups/1", fmt.Sprint(n))
		},
		"anyhow": func(i int) string {
			return makeGroup(fmt.Sprint(i), fmt.Sprint(rand.IntN(n)), fmt.Sprint(rand.IntN(n)), fmt.Sprint(rand.IntN(n)))
		},
	}
	for name, shape := range shapes {
		list := make([]string, n)
		for i := range list {
			list[i] = shape(i)
		}
		ops := sent(t, list...)
		begin, done := time.Now(), 0
		for _, step := range plan(ops) {
			done += len(step)
		}
		if took := time.Since(begin); done != n || took > 5*time.Second {
			t.Errorf("%s: %d operations in %v", name, done, took)
		}
	}
}

func TestSwap(t *testing.T) {
	ids := swap(func(bulkID string) (string, bool) {
		if bulkID == "late" {
			return "", false
		}
		return "<" + bulkID + ">", true
	})
	for _, tc := range []struct{ in, want string }{
		{`{"members":[{"value":"bulkId:a"},{"value":"bulkId:late","type":"Group"},{"value":"x"}]}`, `{"members":[{"value":"<a>"},{"value":"x"}]}`},
		{`{"members":{"value":"bulkId:late"},"displayName":"G"}`, `{"displayName":"G"}`},
		{`{"members":["bulkId:a","bulkId:late"]}`, `{"members":["<a>"]}`},
		{`{"urn:x:User":{"manager":{"value":"bulkId:late","n":1},"department":"ICU"}}`, `{"urn:x:User":{"department":"ICU"}}`},
		{`{"urn:x:User":{"manager":"bulkId:late","department":"ICU"}}`, `{"urn:x:User":{"department":"ICU"}}`},
		{`{"manager":{"$ref":"../Users/bulkId:a/b","value":"bulkId:"}}`, `{"manager":{"$ref":"../Users/<a/b>","value":"<>"}}`},
		{`{"a":{"b":[{"c":[["bulkId:a"]]}]}}`, `{"a":{"b":[{"c":[["<a>"]]}]}}`},
		{`{"note":"see bulkId:a","x":"BulkId:a","Users/bulkId:a":1}`, `{"note":"see bulkId:a","x":"BulkId:a","Users/bulkId:a":1}`},
		{`{"Operations":[{"op":"remove","Path":"members[value eq \"bulkId:a\" or value eq \"bulkId:b\\\"c\"]"}]}`, `{"Operations":[{"op":"remove","Path":"members[value eq \"<a>\" or value eq \"<b\"c>\"]"}]}`},
		{`{"Operations":[{"op":"add","value":{"members[value eq \"bulkId:a\"].display":"bulkId:a"}}]}`, `{"Operations":[{"op":"add","value":{"members[value eq \"<a>\"].display":"<a>"}}]}`},
	} {
		o, err := protocol.Read([]byte(tc.in))
		if err != nil {
			t.Fatal(err)
		}
		var got, want any
		if err := json.Unmarshal(protocol.Append(nil, ids.resource(o)), &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(tc.want), &want); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s\ngot  %v\nwant %v", tc.in, got, want)
		}
	}
}

// Whatever is sent, reading and planning end, and every operation has one place.
func FuzzBulkOperations(f *testing.F) {
	f.Add(makeGroup("a", "b") + "," + makeGroup("b", "a") + "," + touch("/Groups/bulkId:a?attributes=%zz"))
	f.Add(`{"method":"post","path":"Users/%2e./bulkId:","bulkId":"\u0000","data":{"path":"x[value eq \"bulkId:\\\"]"}}`)
	f.Add(`1,null,{"PATH":[],"version":""},{"method":"PATCH","path":"?","data":[]}`)
	f.Fuzz(func(t *testing.T, text string) {
		raw, err := protocol.Scan([]byte("[" + text + "]"))
		if err != nil {
			return
		}
		list, _ := raw.Elements(50)
		ops := readOperations(list, &dialect.Reading{})
		done := 0
		for _, step := range plan(ops) {
			done += len(step)
			for _, op := range step {
				if op.fault != nil {
					continue
				}
				ids := swap(func(string) (string, bool) { return "id", true })
				if body := op.body(ids); len(body) > 0 && !json.Valid(body) {
					t.Fatalf("%q became %q", op.data, body)
				}
				if at := op.at(ids); !strings.HasPrefix(at.String(), Prefix+"/") {
					t.Fatalf("%q leads to %s", text, at)
				}
			}
		}
		if done != len(list) {
			t.Fatalf("%d of %d operations", done, len(list))
		}
	})
}
