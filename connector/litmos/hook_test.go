package litmos

import (
	"encoding/json"
	"strings"
	"testing"
)

// Litmos's own example, shortened by nothing.
const documented = `{ "id": 4513, "created": "2019-05-06T01:13:19.533", "type": "achievement.earned", "object": "event",
 "data": { "userId": "yj-nr8PhW8o1", "userName": "sample", "courseId": "nAcqwEA8jUo1", "title": "Course Demo", "code": "",
 "achievementDate": "2019-05-06T01:12:35.990", "compliantTilldate": null, "result": "Completed", "type": "Course Completed",
 "firstName": "Sample", "lastName": "User", "achievementId": 368800, "certificateId": "biZrK8ab0LE1" } }`

func TestParseHook(t *testing.T) {
	for body, want := range map[string]string{
		documented:                  "yj-nr8PhW8o1",
		"\xef\xbb\xbf" + documented: "yj-nr8PhW8o1",
		`{"TYPE":"Achievement.Earned","Data":{"UserID":"w8_XWWRCq7S5"}}`:         "w8_XWWRCq7S5",
		`{"type":"achievement.earned","data":{"userId":4513}}`:                   "4513",
		`{"type":"achievement.earned","data":{"userId":"a"},"more":[{"x":[1]}]}`: "a",
	} {
		if got, ok := ParseHook([]byte(body)); got != want || !ok {
			t.Errorf("%s: %q, %v", body, got, ok)
		}
	}
	for _, body := range []string{
		"", "null", "[]", "5", `"achievement.earned"`, "{", documented + "}", "<xml/>",
		`{"type":"session.created","data":{"userId":"a"}}`,
		`{"data":{"userId":"a"}}`,
		`{"type":"achievement.earned"}`,
		`{"type":"achievement.earned","data":null}`,
		`{"type":"achievement.earned","data":"a"}`,
		`{"type":"achievement.earned","data":{"userId":null}}`,
		`{"type":"achievement.earned","data":{"userId":["a"]}}`,
		`{"type":"achievement.earned","data":{"userId":"../users"}}`,
		`{"type":"achievement.earned","data":{"userId":"a&userid=b"}}`,
		`{"type":"achievement.earned","data":{"userId":"` + strings.Repeat("a", 51) + `"}}`,
		`{"type":"achievement.earned","data":{"userId":"a"},"pad":"` + strings.Repeat("x", LongestHook) + `"}`,
	} {
		if got, ok := ParseHook([]byte(body)); ok {
			t.Errorf("%.80s is about %q", body, got)
		}
	}
}

func FuzzParseHook(f *testing.F) {
	f.Add([]byte(documented))
	f.Add([]byte(`{"type":"achievement.earned","data":{"userId":"&lt;"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		id, ok := ParseHook(body)
		if ok && (!isID(id) || !json.Valid([]byte(strings.TrimPrefix(string(body), "\xef\xbb\xbf")))) {
			t.Errorf("%q is taken for a hook about %q", body, id)
		}
	})
}
