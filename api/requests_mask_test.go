package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const (
	anaID = "0198f0aa-0000-7000-8000-00000000000a"
	urn   = "urn:ietf:params:scim:schemas:core:2.0:User"
	ours  = "urn:ietf:params:scim:schemas:extension:healthix:2.0:User"
)

func TestBodiesAreMasked(t *testing.T) {
	for name, c := range map[string]struct {
		answer     bool
		body, want string
	}{
		"nothing": {body: ``, want: ``},
		"a user": {
			body: `{"schemas":["` + urn + `"],"userName":"ana.lima@mercy.example","name":{"givenName":"Ana"},"title":"Registered Nurse","active":true,"password":"s3cret","emails":[{"value":"ana@mercy.example","type":"work","primary":true}],"x":null,"n":12,"b":false}`,
			want: `{"schemas":["` + urn + `"],"userName":"‹string 22›","name":{"givenName":"‹string 3›"},"title":"Registered Nurse","active":true,"password":"‹string 6›","emails":[{"value":"‹string 17›","type":"work","primary":true}],"x":null,"n":"‹number›","b":"‹boolean›"}`,
		},
		"letter case": {body: `{"ACTIVE":"False","Title":"RN","USERNAME":"ana"}`, want: `{"ACTIVE":"False","Title":"RN","USERNAME":"‹string 3›"}`},
		"what is not of the form that is expected": {
			body: `{"active":"Ana","schemas":["Ana"],"op":"Ana","type":"Ana","id":"ana","members":["ana"],"primary":7,"manager":{"value":"ana"}}`,
			want: `{"active":"‹string 3›","schemas":["‹string 3›"],"op":"‹string 3›","type":"‹string 3›","id":"‹string 3›","members":["‹string 3›"],"primary":"‹number›","manager":{"value":"‹string 3›"}}`,
		},
		"a patch": {
			body: `{"Operations":[{"op":"Add","path":"emails[type eq \"work\" and value eq \"ana@x.example\"].value","value":"ana@mercy.example"},{"value":"Charge Nurse","op":"replace","path":"` + urn + `:title"},{"op":"replace","path":"active","value":"False"},{"op":"add","path":"externalId","value":"` + anaID + `"}]}`,
			want: `{"Operations":[{"op":"Add","path":"emails[type eq \"work\" and value eq \"‹string 13›\"].value","value":"‹string 17›"},{"value":"Charge Nurse","op":"replace","path":"` + urn + `:title"},{"op":"replace","path":"active","value":"False"},{"op":"add","path":"externalId","value":"‹string 36›"}]}`,
		},
		"members": {
			body: `{"Operations":[{"op":"add","path":"members","value":[{"value":"` + anaID + `","display":"Ana"}]},{"op":"remove","path":"members[value eq \"` + anaID + `\"]"},{"op":"replace","value":{"members":[{"value":"` + anaID + `"}],"displayName":"Night shift"}}]}`,
			want: `{"Operations":[{"op":"add","path":"members","value":[{"value":"` + anaID + `","display":"‹string 3›"}]},{"op":"remove","path":"members[value eq \"` + anaID + `\"]"},{"op":"replace","value":{"members":[{"value":"` + anaID + `"}],"displayName":"‹string 11›"}}]}`,
		},
		"keys that are paths": {
			body: `{"Operations":[{"op":"replace","value":{"name.familyName":"Lima","` + urn + `:title":"RN","emails[value eq \"ana@x.example\"].value":"b@x.example","manager.value":"` + anaID + `"}}]}`,
			want: `{"Operations":[{"op":"replace","value":{"name.familyName":"‹string 4›","` + urn + `:title":"RN","emails[value eq \"‹string 13›\"].value":"‹string 11›","manager.value":"` + anaID + `"}}]}`,
		},
		"keys that are none": {
			body: `{"ana.lima@mercy.example":1,"Ana Lima":{"title":"RN"},"+12125550123":"x","":"y"}`,
			want: `{"‹name 22›":"‹number›","‹name 8›":{"title":"RN"},"‹name 12›":"‹string 1›","‹name 0›":"‹string 1›"}`,
		},
		"a search": {
			body: `{"filter":"userName eq \"ana\"","attributes":["userName","Ana Lima"],"sortBy":"name.familyName","sortOrder":"descending","startIndex":1,"count":2}`,
			want: `{"filter":"userName eq \"‹string 3›\"","attributes":["userName","‹name 8›"],"sortBy":"name.familyName","sortOrder":"descending","startIndex":1,"count":2}`,
		},
		"a bulk": {
			body: `{"Operations":[{"method":"POST","path":"/Users","bulkId":"ana","data":{"userName":"ana"}},{"method":"DELETE","path":"/Users/` + anaID + `"},{"method":"PUT","path":"/Users/ana@x.example"},{"method":"PUT","path":"/Ana Lima"}]}`,
			want: `{"Operations":[{"method":"POST","path":"/Users","bulkId":"‹string 3›","data":{"userName":"‹string 3›"}},{"method":"DELETE","path":"/Users/` + anaID + `"},{"method":"PUT","path":"/Users/{id}"},{"method":"PUT","path":"/*"}]}`,
		},
		"what only we may say": {
			body: `{"role":"Lima","closedGates":["ana"],"accessStatus":"ana","scimType":"ana","detail":"ana","schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"location":"http://x/Users/` + anaID + `"}`,
			want: `{"role":"‹string 4›","closedGates":["‹string 3›"],"accessStatus":"‹string 3›","scimType":"‹string 3›","detail":"‹string 3›","schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"location":"‹string 51›"}`,
		},
		"an answer": {
			answer: true,
			body:   `{"id":"` + anaID + `","meta":{"resourceType":"User","created":"2026-03-02T12:00:00Z","location":"https://scim.example/scim/v2/Users/` + anaID + `"},"` + ours + `":{"accessStatus":"pending","role":"nurse","permissions":["view"],"closedGates":["training"],"healthixUsername":"k3v9x2ab","npi":"1234567893","policyVersion":3,"reason":"Ana"}}`,
			want:   `{"id":"` + anaID + `","meta":{"resourceType":"User","created":"‹string 20›","location":"https://scim.example/scim/v2/Users/` + anaID + `"},"` + ours + `":{"accessStatus":"pending","role":"nurse","permissions":["view"],"closedGates":["training"],"healthixUsername":"‹string 8›","npi":"‹string 10›","policyVersion":3,"reason":"‹string 3›"}}`,
		},
		"an error": {
			answer: true,
			body:   `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"400","scimType":"invalidValue","detail":"title is an object; op is \"Ana Lima\"; op is \"Ana\"; bulkId \"ana\"; the Content-Type is \"text/plain\"; members names \"` + anaID + `\"; members names \"ana\"; schemas lists \"` + urn + `\"; attribute \"shoeSize\"; attribute \"ana@x.example\""}`,
			want:   `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"400","scimType":"invalidValue","detail":"title is an object; op is \"‹string 8›\"; op is \"‹string 3›\"; bulkId \"‹string 3›\"; the Content-Type is \"text/plain\"; members names \"` + anaID + `\"; members names \"‹string 3›\"; schemas lists \"` + urn + `\"; attribute \"shoeSize\"; attribute \"‹string 13›\""}`,
		},
		"a detail that is no error's": {answer: true, body: `{"detail":"Ana"}`, want: `{"detail":"‹string 3›"}`},
		"no JSON":                     {body: `userName=ana`, want: `"‹not JSON, 12 bytes›"`},
		"JSON that ends":              {body: `{"userName": "an`, want: `"‹not JSON, 16 bytes›"`},
		"JSON that goes on":           {body: `{"userName":"ana"}{}`, want: `"‹not JSON, 20 bytes›"`},
		"no object":                   {body: `["ana",1,true,null]`, want: `["‹string 3›","‹number›","‹boolean›",null]`},
		"a string":                    {body: `"ana"`, want: `"‹string 3›"`},
		"not UTF-8":                   {body: "{\"userName\":\"a\xffna\"}", want: `{"userName":"‹string 4›"}`},
		"NUL":                         {body: `{"userName":"a\u0000","\u0000":1,"title":"R\u0000N"}`, want: `{"userName":"‹string 2›","‹name 1›":"‹number›","title":"R\u0000N"}`},
	} {
		t.Run(name, func(t *testing.T) {
			got := masking{answer: c.answer}.body([]byte(c.body), int64(len(c.body)))
			if got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestLargeBodiesAreCut(t *testing.T) {
	members := strings.Repeat(`{"value":"`+anaID+`","display":"Ana Lima"},`, 5000)
	body := `{"schemas":["` + urn + `"],"members":[` + strings.TrimSuffix(members, ",") + `]}`
	head := []byte(body)[:maxHeard]
	for name, given := range map[string][]byte{"whole": []byte(body), "its beginning": head} {
		got := masking{}.body(given, int64(len(body)))
		if !json.Valid([]byte(got)) || len(got) > maxShown+200 || !strings.Contains(got, anaID) || !strings.Contains(got, " more›") || strings.Contains(got, "Ana Lima") {
			t.Errorf("%s: %d bytes, %s", name, len(got), got)
		}
	}
	// Wherever the beginning ends, what was read is shown and the rest is not.
	text := `{"a":[1,{"userName":"ana","active":true,"emails":[{"value":"x"}]}],"title":"RN"}`
	for end := 1; end < len(text); end++ {
		got := masking{}.body([]byte(text)[:end], int64(len(text)))
		if !json.Valid([]byte(got)) || strings.Contains(got, "ana") || strings.Contains(got, "not JSON") {
			t.Errorf("%s\n%s", text[:end], got)
		}
	}
	deep := strings.Repeat(`{"a":`, maxHeard/5)
	if got := (masking{}).body([]byte(deep), int64(len(deep))+1); !json.Valid([]byte(got)) || len(got) > 40<<10 {
		t.Errorf("deep: %d bytes", len(got))
	}
}

func TestFiltersAreMasked(t *testing.T) {
	for given, want := range map[string]string{
		`userName eq "ana@x.example"`:                   `userName eq "‹string 13›"`,
		`USERNAME Eq "ana" and title sw "RN"`:           `USERNAME Eq "‹string 3›" and title sw "RN"`,
		`id eq "` + anaID + `" and manager eq "ana"`:    `id eq "` + anaID + `" and manager eq "‹string 3›"`,
		`emails[type eq "work"].value eq "a@x.example"`: `emails[type eq "work"].value eq "‹string 11›"`,
		`externalId eq "` + anaID + `"`:                 `externalId eq "‹string 36›"`,
		`roles[primary eq "True"]`:                      `roles[primary eq "True"]`,
		`not (active eq true) or (userName pr)`:         `not (active eq true) or (userName pr)`,
		`meta.lastModified gt "2026-01-01T00:00:00Z"`:   `meta.lastModified gt "‹string 20›"`,
		`urn:a:2.0:User:department eq "ICU ] \" x"`:     `urn:a:2.0:User:department eq "‹string 9›"`,
		`x eq null and n eq 12 and b eq true`:           `x eq null and n eq ‹literal 2› and b eq ‹literal 4›`,
		`userName eq ana`:                               `userName eq ‹literal 3›`,
		`userName eq Ana Lima`:                          `userName eq ‹literal 3› ‹text 4›`,
		`userName eq 'Ana Lima'`:                        `userName eq ‹literal 4› ‹text 5›`,
		`userName eq "Ana Lima`:                         `‹text 21›`,
		`userName is "Ana"`:                             `‹text 17›`,
		`Ana Lima`:                                      `‹text 8›`,
		`Lima`:                                          `‹text 4›`,
		`"Ana"`:                                         `‹text 5›`,
		`ana@x.example`:                                 `‹text 13›`,
		`+1 212 555 0123`:                               `‹text 15›`,
		`emails[value eq "Ana`:                          `‹text 20›`,
		`emails[Ana Lima]`:                              `emails[‹text 8›]`,
		``:                                              ``,
	} {
		if got := (masking{}).filter(given, ""); got != want {
			t.Errorf("%s\n got %s\nwant %s", given, got, want)
		}
	}
	if long := strings.Repeat("(", 200_000) + strings.Repeat(`a[`, 200_000); len((masking{}).filter(long, "")) > 200_100 {
		t.Error("a long filter grows")
	}
}

func TestQueriesAreMasked(t *testing.T) {
	for given, want := range map[string]string{
		`startIndex=1&count=2`:                                    `startIndex=1&count=2`,
		`filter=userName%20eq%20%22ana%22&count=ten`:              `filter=userName eq "‹string 3›"&count=‹string 3›`,
		`filter=userName+eq+"ana"`:                                `filter=userName eq "‹string 3›"`,
		`attributes=userName,%20Ana%20Lima&excludedAttributes=x`:  `attributes=userName,‹name 8›&excludedAttributes=x`,
		`sortBy=name.familyName&sortOrder=descending&sortOrder=x`: `sortBy=name.familyName&sortOrder=descending&sortOrder=‹string 1›`,
		`token=s3cret&cursor=abc&ana@x.example&=x`:                `token=‹string 6›&cursor=‹string 3›&‹name 13›&‹name 0›=‹string 1›`,
		`filter=a;b`: `filter=‹text 3›`,
		`name=%zz`:   `‹text 8›`,
	} {
		if got := (masking{}).query(given); got != want {
			t.Errorf("%s\n got %s\nwant %s", given, got, want)
		}
	}
	if got := (masking{}).query("filter=" + strings.Repeat(`a+eq+"b"+or+`, 600)); len(got) > maxQuery+3 {
		t.Errorf("%d bytes", len(got))
	}
}

// FuzzMask: whatever is sent, the row holds valid JSON of bounded size, and
// nothing of a string that stands where only values do.
func FuzzMask(f *testing.F) {
	for _, seed := range []string{`{"a":"b"}`, `{"Operations":[{"op":"add","path":"x[y eq \"z\"]","value":[1]}]}`, `{"schemas":["x"],"detail":"\"q\""}`, `[[[`, `{"":{}}`, "\xff"} {
		f.Add(seed, len(seed))
	}
	f.Fuzz(func(t *testing.T, text string, size int) {
		for _, m := range []masking{{}, {answer: true}} {
			got := m.body([]byte(text), int64(max(size, len(text))))
			if got != "" && !json.Valid([]byte(got)) || len(got) > maxShown+8*len(text) && len(got) > maxShown+1000 {
				t.Errorf("%q: %d bytes, %q", text, len(got), got)
			}
			m.query(text)
			m.sentence(text)
		}
		const secret = "Ω-secret-Ω"
		literal, err := json.Marshal(secret + text)
		if err != nil {
			t.Fatal(err)
		}
		for _, given := range []string{`userName eq ` + string(literal), `emails[value eq ` + string(literal) + `]`, `(x co ` + string(literal) + `) ` + text} {
			if got := (masking{}).filter(given, ""); strings.Contains(got, secret) {
				t.Errorf("%s\n%s", given, got)
			}
			body, err := json.Marshal(map[string]any{"op": "add", "path": given, "value": secret + text, text: []any{secret}})
			if err != nil {
				t.Fatal(err)
			}
			if got := (masking{}).body(body, int64(len(body))); strings.Contains(got, secret) && !strings.Contains(strings.ToLower(text), "title") && !strings.Contains(strings.ToLower(text), "usertype") {
				t.Errorf("%s\n%s", body, got)
			}
		}
	})
}

func BenchmarkMask(b *testing.B) {
	list := strings.Repeat(`{"schemas":["`+urn+`"],"id":"`+anaID+`","userName":"ana.lima@mercy.example","active":true,"title":"RN","emails":[{"value":"ana@mercy.example","type":"work"}]},`, 100)
	for name, body := range map[string]string{"user": list[:strings.Index(list, "]},")+2], "page of 100": `{"Resources":[` + list[:len(list)-1] + `]}`} {
		b.Run(fmt.Sprintf("%s, %d bytes", name, len(body)), func(b *testing.B) {
			head := []byte(body)[:min(len(body), maxHeard)]
			for b.Loop() {
				masking{answer: true}.body(head, int64(len(body)))
			}
		})
	}
}
