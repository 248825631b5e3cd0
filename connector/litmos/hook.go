package litmos

import (
	"bytes"
	"encoding/json"
	"strings"
)

// LongestHook is how many bytes of a webhook are worth reading.
const LongestHook = 64 << 10

// ParseHook reads which learner a webhook is about. It is a hint and no more:
// webhooks are unsigned, and only Completed tells what is true. Not ok is
// whatever is not an earned achievement.
func ParseHook(body []byte) (litmosUserID string, ok bool) {
	if len(body) > LongestHook {
		return "", false
	}
	var event struct {
		Type text
		Data struct{ UserID text }
	}
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if json.Unmarshal(body, &event) != nil || !strings.EqualFold(string(event.Type), "achievement.earned") {
		return "", false
	}
	id := string(event.Data.UserID)
	return id, isID(id)
}
