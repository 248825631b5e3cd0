package litmosfake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Usage is what GET / answers.
func Usage() string {
	var b strings.Builder
	b.WriteString(`A stand-in for Litmos's API v1, below /v1.svc: header apikey, query source and format=json.

GET  /_fake/state                    users with what is assigned to them; counts
POST /_fake/complete                 {"user":ID or user name,"module":COURSE or PATH,"at"?:RFC 3339}
POST /_fake/users                    {"userName","firstName","lastName","email"}: somebody else's record; answers {"id"}
POST /_fake/courses                  {"id","name"}
POST /_fake/paths                    {"id","name","courses":[ids]}
POST /_fake/retire                   {"id"}: a course or path becomes inactive
POST /_fake/remove                   {"id"}: a user's record is deleted
POST /_fake/hooks                    sends the webhooks that hookHold held back
GET  /_fake/knobs                    how it misbehaves
PUT  /_fake/knobs                    changes what is named, such as {"perMinute":100,"next":["503","lost"]}

Knobs:
`)
	kind := reflect.TypeFor[Knobs]()
	for i := range kind.NumField() {
		fmt.Fprintf(&b, "  %-12s %s\n", kind.Field(i).Tag.Get("json"), kind.Field(i).Tag.Get("help"))
	}
	return b.String()
}

// control adds what rules the fake.
func (f *Fake) control() {
	f.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, Usage())
	})
	f.mux.HandleFunc("GET /_fake/state", func(w http.ResponseWriter, _ *http.Request) { write(w, http.StatusOK, f.state()) })
	f.mux.HandleFunc("GET /_fake/knobs", func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		knobs := f.knobs
		f.mu.Unlock()
		write(w, http.StatusOK, knobs)
	})
	f.mux.HandleFunc("PUT /_fake/knobs", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		knobs := f.knobs
		f.mu.Unlock()
		knobs.Next = slices.Clone(knobs.Next)                            // a decoder writes into the list it finds
		if f.obey(w, r, &knobs, func() error { return knobs.Check() }) { //nolint:gocritic // knobs.Check would be about the knobs of now
			f.Set(knobs)
			w.WriteHeader(http.StatusNoContent)
		}
	})
	command(f, "complete", func(c struct {
		User   string    `json:"user"`
		Module string    `json:"module"`
		At     time.Time `json:"at"`
	}) (any, error) {
		return nil, f.Complete(c.User, c.Module, c.At)
	})
	command(f, "users", func(c struct {
		UserName  string `json:"userName"`
		FirstName string `json:"firstName"`
		LastName  string `json:"lastName"`
		Email     string `json:"email"`
	}) (any, error) {
		return map[string]string{"id": f.AddUser(c.UserName, c.FirstName, c.LastName, c.Email)}, nil
	})
	command(f, "courses", func(c struct{ ID, Name string }) (any, error) {
		f.AddCourse(c.ID, c.Name)
		return nil, nil
	})
	command(f, "paths", func(c struct {
		ID, Name string
		Courses  []string
	}) (any, error) {
		return nil, f.AddPath(c.ID, c.Name, c.Courses...)
	})
	command(f, "retire", func(c struct{ ID string }) (any, error) {
		f.Retire(c.ID)
		return nil, nil
	})
	command(f, "remove", func(c struct{ ID string }) (any, error) {
		f.Remove(c.ID)
		return nil, nil
	})
	command(f, "hooks", func(struct{}) (any, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		held := f.hooks
		f.hooks = nil
		for _, e := range held {
			f.deliver(e)
		}
		return map[string]int{"sent": len(held)}, nil
	})
}

// command adds POST /_fake/name.
func command[T any](f *Fake, name string, do func(T) (any, error)) {
	f.mux.HandleFunc("POST /_fake/"+name, func(w http.ResponseWriter, r *http.Request) {
		var c T
		var answer any
		ok := f.obey(w, r, &c, func() (err error) {
			answer, err = do(c)
			return err
		})
		switch {
		case !ok:
		case answer == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			write(w, http.StatusOK, answer)
		}
	})
}

// obey reads a command and carries it out; what is wrong with it is the
// answer, 400 or 422.
func (f *Fake) obey(w http.ResponseWriter, r *http.Request, into any, do func() error) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err == nil && len(bytes.TrimSpace(body)) > 0 {
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.DisallowUnknownFields()
		err = dec.Decode(into)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	if err := do(); err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return false
	}
	return true
}

// state is what a person who looks on wants to see: no sign-in key.
func (f *Fake) state() any {
	type person struct {
		ID       string          `json:"id"`
		UserName string          `json:"userName"`
		Name     string          `json:"name"`
		Email    string          `json:"email"`
		Active   bool            `json:"active"`
		Assigned map[string]bool `json:"assigned"` // true: complete
	}
	f.mu.Lock()
	ids := append([]string{}, f.order...)
	people := []person{}
	for _, id := range ids {
		u := f.users[id]
		p := person{u.ID, u.UserName, strings.TrimSpace(u.FirstName + " " + u.LastName), u.Email, u.Active, map[string]bool{}}
		people = append(people, p)
	}
	counts, achievements := f.counts, len(f.achievements)
	f.mu.Unlock()
	for i := range people {
		people[i].Assigned = f.Assigned(people[i].ID)
	}
	return map[string]any{"users": people, "achievements": achievements, "counts": counts}
}
