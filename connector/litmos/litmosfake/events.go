package litmosfake

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// earned is an achievement as lists show it.
type earned struct {
	UserID            string `json:"UserId"`
	Title             string
	Description       string
	AchievementDate   string
	CourseID          string `json:"CourseId"`
	CompliantTillDate *string
	Score             *string
	Result            string
	Type              string
	FirstName         string
	LastName          string
	AchievementID     int     `json:"AchievementId"`
	CertificateID     *string `json:"CertificateId"`
}

func (f *Fake) listAchievements(r *http.Request, _ []byte) (int, any) {
	var since time.Time
	if text := r.URL.Query().Get("since"); text != "" {
		for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
			if at, err := time.Parse(layout, text); err == nil {
				since = at
				break
			}
		}
		if since.IsZero() {
			return http.StatusNotAcceptable, "Please enter a valid date in the 'since' parameter"
		}
	}
	user := r.URL.Query().Get("userid")
	rows, now := []achievement{}, f.now()
	for _, a := range f.achievements {
		if a.at.Before(since) || a.appeared.After(now) || user != "" && a.user != user && !f.knobs.Deaf {
			continue
		}
		rows = append(rows, a)
		if f.knobs.Repeat {
			rows = append(rows, a)
		}
	}
	slices.SortStableFunc(rows, func(a, b achievement) int { return b.at.Compare(a.at) })
	if f.knobs.Shuffle {
		// The same order for every page of a walk: by the number, backwards.
		slices.SortStableFunc(rows, func(a, b achievement) int {
			return strings.Compare(backwards(a.number), backwards(b.number))
		})
	}
	list := []earned{}
	for _, a := range paged(f, r, rows) {
		list = append(list, f.earned(a))
	}
	return http.StatusOK, list
}

func backwards(n int) string {
	digits := []byte(strconv.Itoa(n))
	slices.Reverse(digits)
	return string(digits)
}

func (f *Fake) earned(a achievement) earned {
	e := earned{
		UserID: a.user, Title: escaped(a.title), AchievementDate: wcf(a.at), CourseID: a.module,
		Result: "Completed", Type: a.kind(), AchievementID: a.number,
	}
	if f.knobs.Dates == "iso" {
		e.AchievementDate = a.at.UTC().Format("2006-01-02T15:04:05.000")
	}
	if u := f.users[a.user]; u != nil {
		e.FirstName, e.LastName = escaped(u.FirstName), escaped(u.LastName)
	}
	return e
}

func (a achievement) kind() string {
	if a.path {
		return "Learning Path Completed"
	}
	return "Course Completed"
}

// wcf is how .NET writes an instant into JSON.
func wcf(at time.Time) string {
	return "/Date(" + strconv.FormatInt(at.UnixMilli(), 10) + "-0000)/"
}

// event is a webhook's body.
type event struct {
	ID      int       `json:"id"`
	Created string    `json:"created"`
	Type    string    `json:"type"`
	Object  string    `json:"object"`
	Data    eventData `json:"data"`
}

type eventData struct {
	UserID            string  `json:"userId"`
	UserName          string  `json:"userName"`
	CourseID          string  `json:"courseId"`
	Title             string  `json:"title"`
	Code              string  `json:"code"`
	AchievementDate   string  `json:"achievementDate"`
	CompliantTilldate *string `json:"compliantTilldate"` // spelled so
	Result            string  `json:"result"`
	Type              string  `json:"type"`
	FirstName         string  `json:"firstName"`
	LastName          string  `json:"lastName"`
	AchievementID     int     `json:"achievementId"`
	CertificateID     string  `json:"certificateId"`
}

// announce sends an achievement's webhook as the knobs say; the lock is held.
func (f *Fake) announce(u *user, a achievement) {
	if f.hook == "" || f.knobs.HookLose {
		return
	}
	const iso = "2006-01-02T15:04:05.000"
	f.serial++
	e := event{
		ID: f.serial, Created: f.now().UTC().Format(iso), Type: "achievement.earned", Object: "event",
		Data: eventData{
			UserID: u.ID, UserName: u.UserName, CourseID: a.module, Title: a.title, AchievementDate: a.at.UTC().Format(iso),
			Result: "Completed", Type: a.kind(), FirstName: u.FirstName, LastName: u.LastName, AchievementID: a.number,
		},
	}
	if f.knobs.HookHold {
		f.hooks = append(f.hooks, e)
		return
	}
	f.deliver(e)
}

// deliver sends one webhook and its repeats, later; the lock is held.
func (f *Fake) deliver(e event) {
	if f.stop.Err() != nil {
		return
	}
	body, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	for range 1 + f.knobs.HookRepeat {
		delay := time.Duration(f.knobs.HookDelay)
		if f.knobs.HookShuffle {
			delay += time.Duration(f.random.Int64N(int64(200 * time.Millisecond)))
		}
		f.sending.Go(func() { f.send(body, delay) })
	}
}

// tries is how often a webhook is sent that nobody takes; patience, how long
// the fake waits between.
const (
	tries    = 3
	patience = time.Second
)

// send delivers one webhook. Litmos takes 200, 201 and 202 for a receipt.
func (f *Fake) send(body []byte, delay time.Duration) {
	for try := range tries {
		if try > 0 {
			delay = patience
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-f.stop.Done():
			timer.Stop()
			return
		}
		code, err := f.post(body)
		if err == nil && code >= 200 && code <= 202 {
			f.mu.Lock()
			f.counts.Hooks++
			f.mu.Unlock()
			return
		}
		if err != nil {
			f.log.Warn("webhook not delivered", "try", try+1, "error", err)
		} else {
			f.log.Warn("webhook not taken", "try", try+1, "status", code)
		}
	}
}

func (f *Fake) post(body []byte) (int, error) {
	req, err := http.NewRequestWithContext(f.stop, http.MethodPost, f.hook, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("the webhook's URL is no URL")
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	res, err := f.client.Do(req)
	if err != nil {
		var inner *url.Error // repeats the URL, and with it the secret
		if errors.As(err, &inner) {
			return 0, inner.Err
		}
		return 0, errors.New("connection lost")
	}
	return res.StatusCode, res.Body.Close()
}
