package litmos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// kind is what a module of the policy is in Litmos: the name of its list.
type kind string

const (
	kindNone   kind = ""
	kindCourse kind = "/courses"
	kindPath   kind = "/learningpaths"
)

// Assign gives a learner the courses and learning paths of these ids, and looks
// whether Litmos kept them: it ignores without a word what it cannot assign.
// What is assigned already stays as it is, so that Assign may be repeated.
// ErrNoModule names the modules that cannot be had; the others are assigned.
// Litmos sends no mail about it.
func (c *Client) Assign(ctx context.Context, litmosID string, modules ...string) error {
	if err := c.assign(ctx, litmosID, modules); err != nil {
		return fmt.Errorf("assign to learner %s: %w", litmosID, err)
	}
	return nil
}

func (c *Client) assign(ctx context.Context, litmosID string, modules []string) error {
	if !isID(litmosID) {
		return ErrNotFound
	}
	byKind := map[kind][]string{}
	for _, module := range modules {
		k, err := c.kindOf(ctx, module)
		if err != nil {
			return err
		}
		if !slices.Contains(byKind[k], module) {
			byKind[k] = append(byKind[k], module)
		}
	}
	missing := byKind[kindNone]
	for _, k := range []kind{kindCourse, kindPath} {
		if len(byKind[k]) == 0 {
			continue
		}
		ignored, err := c.assignKind(ctx, litmosID, k, byKind[k])
		if err != nil {
			return err
		}
		missing = append(missing, ignored...)
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: %s", ErrNoModule, quoted(missing))
	}
	return nil
}

// quoted keeps a mistyped id readable in an error, whatever it holds.
func quoted(ids []string) string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = strconv.Quote(id)
	}
	return strings.Join(out, ", ")
}

// reference is how Litmos is told which course or path.
type reference struct {
	ID string `json:"Id"`
}

// assignKind answers the modules that Litmos ignored.
func (c *Client) assignKind(ctx context.Context, litmosID string, k kind, modules []string) (ignored []string, err error) {
	path := "/users/" + litmosID + string(k)
	body := make([]reference, len(modules))
	for i, module := range modules {
		body[i].ID = module
	}
	err = c.do(ctx, request{
		lane: laneWrite, method: http.MethodPost, path: path,
		query: url.Values{"sendmessage": {"false"}}, body: body,
	})
	if err != nil {
		return nil, err
	}
	ignored = slices.Clone(modules)
	err = c.ids(ctx, path, func(id string) {
		ignored = slices.DeleteFunc(ignored, func(module string) bool { return module == id })
	})
	if err != nil {
		return nil, fmt.Errorf("look at what is assigned: %w", err)
	}
	return ignored, nil
}

// ids reads the ids of a list.
func (c *Client) ids(ctx context.Context, path string, each func(id string)) error {
	return pages(func(start int) (int, error) {
		n := 0
		err := c.do(ctx, request{
			lane: laneWrite, method: http.MethodGet, path: path, query: pageQuery(start), bound: boundPage,
			read: readList(&n, func(e struct {
				ID text `json:"Id"`
			}) {
				each(string(e.ID))
			}),
		})
		return n, err
	})
}

// kindOf asks Litmos once what a module is; kindNone when it knows neither a
// course nor a path of that id.
func (c *Client) kindOf(ctx context.Context, module string) (kind, error) {
	if !isID(module) {
		return kindNone, nil
	}
	c.mu.Lock()
	known := c.kinds[module]
	c.mu.Unlock()
	if known != kindNone {
		return known, nil
	}
	for _, k := range []kind{kindCourse, kindPath} {
		var found struct {
			ID text `json:"Id"`
		}
		err := c.do(ctx, request{
			lane: laneWrite, method: http.MethodGet, path: string(k) + "/" + module,
			bound: boundOne, read: readOne(&found),
		})
		switch {
		case errors.Is(err, ErrNotFound):
			continue
		case err != nil:
			return kindNone, fmt.Errorf("look up module %q: %w", module, err)
		case string(found.ID) != module:
			continue
		}
		c.mu.Lock()
		c.kinds[module] = k
		c.mu.Unlock()
		return k, nil
	}
	return kindNone, nil
}

// Reset makes a learner take a course again: for the yearly refresher. Of a
// learning path it resets every course. It is not to be repeated once the
// learner has begun anew: what they did since would be lost.
func (c *Client) Reset(ctx context.Context, litmosID, module string) error {
	if err := c.reset(ctx, litmosID, module); err != nil {
		return fmt.Errorf("reset module %q of learner %s: %w", module, litmosID, err)
	}
	return nil
}

func (c *Client) reset(ctx context.Context, litmosID, module string) error {
	if !isID(litmosID) {
		return ErrNotFound
	}
	k, err := c.kindOf(ctx, module)
	if err != nil {
		return err
	}
	var courses []string
	switch k {
	case kindNone:
		return ErrNoModule
	case kindCourse:
		courses = []string{module}
	case kindPath:
		// Litmos resets courses only.
		err := c.ids(ctx, string(kindPath)+"/"+module+"/courses", func(id string) {
			if isID(id) {
				courses = append(courses, id)
			}
		})
		if err != nil {
			return fmt.Errorf("courses of the path: %w", err)
		}
	}
	for _, course := range courses {
		err := c.do(ctx, request{lane: laneWrite, method: http.MethodPut, path: "/users/" + litmosID + "/courses/" + course + "/reset"})
		if err != nil {
			return err
		}
	}
	return nil
}
