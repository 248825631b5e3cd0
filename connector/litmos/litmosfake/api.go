package litmosfake

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// root is where Litmos's API begins.
const root = "/v1.svc"

// mostCalls bounds what Calls remembers, for a fake that nobody asks.
const mostCalls = 10_000

// keptAnswer is an answer that is not sent yet.
type keptAnswer struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (k *keptAnswer) Header() http.Header         { return k.header }
func (k *keptAnswer) WriteHeader(code int)        { k.code = code }
func (k *keptAnswer) Write(p []byte) (int, error) { return k.body.Write(p) }

// routes are the API's, each with what it does under the lock: the answer's
// status and body (nil for none).
func (f *Fake) routes() {
	f.mux = http.NewServeMux()
	for pattern, handle := range map[string]func(r *http.Request, body []byte) (int, any){
		"GET /users":                             f.listUsers,
		"POST /users":                            f.createUser,
		"GET /users/{id}":                        f.getUser,
		"PUT /users/{id}":                        f.putUser,
		"GET /users/{id}/courses":                f.listAssigned,
		"POST /users/{id}/courses":               f.assignCourses,
		"PUT /users/{id}/courses/{course}/reset": f.resetCourse,
		"GET /users/{id}/learningpaths":          f.listPaths,
		"POST /users/{id}/learningpaths":         f.assignPaths,
		"GET /courses/{id}":                      f.getCourse,
		"GET /learningpaths/{id}":                f.getPath,
		"GET /learningpaths/{id}/courses":        f.listPathCourses,
		"GET /achievements":                      f.listAchievements,
	} {
		method, path, _ := strings.Cut(pattern, " ")
		f.mux.HandleFunc(method+" "+root+path, func(w http.ResponseWriter, r *http.Request) {
			f.spoil(w, r, func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, pattern, handle) })
		})
	}
	f.control()
}

// ServeHTTP answers the API and /_fake.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.mux.ServeHTTP(w, r) }

func (f *Fake) serve(w http.ResponseWriter, r *http.Request, pattern string, handle func(*http.Request, []byte) (int, any)) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		say(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	}
	query := r.URL.Query()
	switch {
	case r.Header.Get("apikey") != f.key:
		say(w, http.StatusUnauthorized, "The API key that you have used for this request is either not valid or your account is not enabled for API access.")
		return
	case query.Get("source") == "":
		say(w, http.StatusBadRequest, "The source parameter is missing.")
		return
	case query.Get("format") != "json":
		say(w, http.StatusNotAcceptable, "The fake does not speak XML: add format=json.")
		return
	}
	code, answer := f.locked(r, body, pattern, handle)
	if answer == nil {
		w.WriteHeader(code)
		return
	}
	if text, ok := answer.(string); ok {
		say(w, code, text)
		return
	}
	write(w, code, answer)
}

func (f *Fake) locked(r *http.Request, body []byte, pattern string, handle func(*http.Request, []byte) (int, any)) (int, any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.calls) < mostCalls {
		f.calls = append(f.calls, pattern)
	}
	return handle(r, body)
}

// say answers a sentence as Litmos does: {"Detail":"…"}.
func say(w http.ResponseWriter, code int, text string) {
	write(w, code, map[string]string{"Detail": escaped(text)})
}

func write(w http.ResponseWriter, code int, answer any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // texts are HTML-escaped instead
	if err := enc.Encode(answer); err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write(b.Bytes())
}

// paged cuts a list as start and limit ask.
func paged[T any](f *Fake, r *http.Request, all []T) []T {
	number := func(name string, otherwise int) int {
		n, err := strconv.Atoi(r.URL.Query().Get(name))
		if err != nil || n < 0 {
			return otherwise
		}
		return n
	}
	limit := min(number("limit", 100), 1000)
	if f.knobs.PageCap > 0 {
		limit = min(limit, f.knobs.PageCap)
	}
	start := min(number("start", 0), len(all))
	return all[start:min(start+limit, len(all))]
}

// brief is a user as lists show it.
type brief struct {
	ID          string `json:"Id"`
	UserName    string
	FirstName   string
	LastName    string
	Active      bool
	Email       string
	AccessLevel string
}

func (f *Fake) listUsers(r *http.Request, _ []byte) (int, any) {
	search := strings.ToLower(r.URL.Query().Get("search"))
	found := []brief{}
	for _, id := range f.order {
		u := f.users[id].escaped()
		if strings.Contains(strings.ToLower(u.UserName+" "+u.FirstName+" "+u.LastName+" "+u.Email), search) {
			found = append(found, brief{u.ID, u.UserName, u.FirstName, u.LastName, u.Active, u.Email, u.AccessLevel})
		}
	}
	return http.StatusOK, paged(f, r, found)
}

// shown is a user's whole record, the sign-in key included, as Litmos shows it.
func (u *user) shown() profile {
	p := u.profile
	p.LoginKey = u.loginKey
	return p.escaped()
}

func (f *Fake) getUser(r *http.Request, _ []byte) (int, any) {
	id := r.PathValue("id")
	u := f.users[id]
	if u == nil && !f.knobs.NoByName {
		u = f.find(id)
	}
	if u == nil {
		return http.StatusNotFound, "User - " + id + " was not found"
	}
	return http.StatusOK, u.shown()
}

// clash is what Litmos says of a profile that may not be stored.
func (f *Fake) clash(p profile, own string) string {
	for id, other := range f.users {
		switch {
		case id == own:
		case strings.EqualFold(other.UserName, p.UserName):
			return "UserName already exists"
		case !f.knobs.AnyEmail && strings.EqualFold(other.Email, p.Email):
			return "Email already exists"
		}
	}
	return p.complaint()
}

func (f *Fake) createUser(_ *http.Request, body []byte) (int, any) {
	p, err := parseProfile(body)
	if err != nil {
		return http.StatusBadRequest, "Please check the xml/json in the body of the request."
	}
	if text := f.clash(p, ""); text != "" {
		return http.StatusConflict, text
	}
	p.Password = ""
	return http.StatusCreated, f.add(p).shown()
}

func (f *Fake) putUser(r *http.Request, body []byte) (int, any) {
	u := f.users[r.PathValue("id")]
	p, err := parseProfile(body)
	switch {
	case err != nil:
		return http.StatusBadRequest, "Please check the xml/json in the body of the request."
	case u == nil || p.ID != u.ID:
		return http.StatusNotFound, "Please check the userid in the xml/json and the userid in the URL. They must match."
	}
	if text := f.clash(p, u.ID); text != "" {
		return http.StatusConflict, text
	}
	// The record becomes what was sent, but for what Litmos keeps itself.
	p.OriginalID, p.CreatedDate, p.Points, p.LastLogin = u.OriginalID, u.CreatedDate, u.Points, u.LastLogin
	p.LoginKey, p.Password = "", ""
	u.profile = p
	return http.StatusOK, nil
}

// parseProfile reads a record; the mandatory fields must be there.
func parseProfile(body []byte) (profile, error) {
	var p profile
	if err := json.Unmarshal(body, &p); err != nil {
		return profile{}, err
	}
	if p.UserName == "" || p.LastName == "" || p.Email == "" || p.AccessLevel == "" || p.TimeZone == "" {
		return profile{}, errors.New("a mandatory field is missing")
	}
	return p, nil
}

// assigned is a course or path of a user's.
type assigned struct {
	ID                 string `json:"Id"`
	Code               string
	Name               string
	Active             bool
	Complete           bool
	PercentageComplete float64
	AssignedDate       string
	DateCompleted      *string
	IsLearningPath     bool
}

func (f *Fake) rows(have map[string]*assignment, offered map[string]*course, path bool) []assigned {
	out := []assigned{}
	for id, a := range have {
		row := assigned{ID: id, Name: escaped(offered[id].Name), Active: !offered[id].Inactive, AssignedDate: wcf(a.at), IsLearningPath: path}
		if !a.completed.IsZero() {
			date := wcf(a.completed)
			row.Complete, row.PercentageComplete, row.DateCompleted = true, 100, &date
		}
		out = append(out, row)
	}
	slices.SortFunc(out, func(a, b assigned) int { return strings.Compare(a.ID, b.ID) })
	return out
}

func (f *Fake) listAssigned(r *http.Request, _ []byte) (int, any) {
	u := f.users[r.PathValue("id")]
	if u == nil {
		return http.StatusNotFound, "The user does not exist."
	}
	return http.StatusOK, paged(f, r, append(f.rows(u.courses, f.courses, false), f.rows(u.paths, f.paths, true)...))
}

func (f *Fake) listPaths(r *http.Request, _ []byte) (int, any) {
	u := f.users[r.PathValue("id")]
	if u == nil {
		return http.StatusNotFound, "The userid does not exist."
	}
	return http.StatusOK, paged(f, r, f.rows(u.paths, f.paths, true))
}

func references(body []byte) ([]string, error) {
	var list []struct{ ID string }
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, err
	}
	ids := []string{}
	for _, e := range list {
		ids = append(ids, e.ID)
	}
	return ids, nil
}

// assignCourses ignores what it does not know, what is inactive and what is
// assigned, and inactive users, and says 201 all the same.
func (f *Fake) assignCourses(r *http.Request, body []byte) (int, any) {
	u := f.users[r.PathValue("id")]
	ids, err := references(body)
	switch {
	case err != nil:
		return http.StatusBadRequest, "Please check the xml/json in the body of the request."
	case u == nil:
		return http.StatusNotFound, "The user does not exist."
	}
	for _, id := range ids {
		f.give(u, id)
	}
	return http.StatusCreated, nil
}

func (f *Fake) give(u *user, id string) {
	if c := f.courses[id]; c != nil && !c.Inactive && u.Active && u.courses[id] == nil {
		u.courses[id] = &assignment{at: f.now()}
	}
}

func (f *Fake) assignPaths(r *http.Request, body []byte) (int, any) {
	u := f.users[r.PathValue("id")]
	ids, err := references(body)
	known := slices.ContainsFunc(ids, func(id string) bool { return f.paths[id] != nil })
	switch {
	case err != nil || len(ids) == 0:
		return http.StatusBadRequest, "The LearningPath Id can't be null. Check the body for the proper format."
	case u == nil || !known:
		return http.StatusNotFound, "The userid does not exist or no valid learning paths were included in the request."
	}
	for _, id := range ids {
		p := f.paths[id]
		if p == nil || p.Inactive || !u.Active || u.paths[id] != nil {
			continue
		}
		u.paths[id] = &assignment{at: f.now()}
		for _, course := range p.Courses {
			f.give(u, course)
		}
	}
	return http.StatusCreated, nil
}

// resetCourse moves a course back to the learner's list, and the paths it is in.
func (f *Fake) resetCourse(r *http.Request, _ []byte) (int, any) {
	u := f.users[r.PathValue("id")]
	if u == nil || u.courses[r.PathValue("course")] == nil {
		return http.StatusNotFound, "The course is not assigned to the user."
	}
	u.courses[r.PathValue("course")].completed = time.Time{}
	for id, a := range u.paths {
		if slices.Contains(f.paths[id].Courses, r.PathValue("course")) {
			a.completed = time.Time{}
		}
	}
	return http.StatusOK, nil
}

// offered is a course or path as Litmos shows it.
type offered struct {
	ID     string `json:"Id"`
	Code   string
	Name   string
	Active bool
}

func (c *course) shown() offered {
	return offered{ID: c.ID, Name: escaped(c.Name), Active: !c.Inactive}
}

func (f *Fake) getCourse(r *http.Request, _ []byte) (int, any) {
	if c := f.courses[r.PathValue("id")]; c != nil {
		return http.StatusOK, c.shown()
	}
	return http.StatusNotFound, "Not Found. The record you requested does not exist."
}

func (f *Fake) getPath(r *http.Request, _ []byte) (int, any) {
	if p := f.paths[r.PathValue("id")]; p != nil {
		return http.StatusOK, p.shown()
	}
	return http.StatusNotFound, "The Learning Path does not exist."
}

func (f *Fake) listPathCourses(r *http.Request, _ []byte) (int, any) {
	p := f.paths[r.PathValue("id")]
	if p == nil {
		return http.StatusNotFound, "The Learning Path does not exist."
	}
	list := []offered{}
	for _, id := range p.Courses {
		list = append(list, f.courses[id].shown())
	}
	return http.StatusOK, paged(f, r, list)
}
