package scim

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/healthix/healthix-scim/scim/filter"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/render"
	"github.com/healthix/healthix-scim/scim/schema"
	"github.com/healthix/healthix-scim/storage"
)

// part is one type's share of a page.
type part struct {
	resource *schema.Resource
	index    int // among the query's types
	asked    storage.Query
	view     render.View
	users    []storage.User  // of schema.User
	groups   []storage.Group // of schema.Group
}

// list answers a query over one resource type, or over all at the root: one
// type after the other, in one count.
func (x *exchange) list(resources []*schema.Resource, read func() (query, error)) error {
	q, err := read()
	if err != nil {
		return err
	}
	parts, err := x.parts(resources, q)
	if err != nil {
		return err
	}
	answer := x.index
	if q.cursor != nil {
		answer = x.walk
	}
	page, err := answer(parts, q)
	if err != nil {
		return err
	}
	x.remarkFound(parts, q, page)
	for _, p := range parts {
		items, err := x.render(p)
		if err != nil {
			return err
		}
		page.Items = append(page.Items, items...)
	}
	write(x.w, x.r, http.StatusOK, render.AppendPage(make([]byte, 0, 4096), protocol.MessageList, page))
	return nil
}

// remarkFound tells whom a filter found when it found exactly one: identity
// providers ask so for somebody before they write.
func (x *exchange) remarkFound(parts []*part, q query, page render.Page) {
	if q.filter == nil || page.Total != 1 {
		return
	}
	for _, p := range parts {
		if len(p.users) == 1 {
			x.remarks = append(x.remarks, slog.String("found", p.users[0].ID))
		}
	}
}

// index answers a page by startIndex and count (RFC 7644 §3.4.2.4).
func (x *exchange) index(parts []*part, q query) (render.Page, error) {
	page := render.Page{Start: q.start}
	offset, room := q.start-1, q.count
	for _, p := range parts {
		p.asked.Offset, p.asked.Limit, p.asked.Total = max(offset-page.Total, 0), room, true
		total, err := x.read(p, false)
		if err != nil {
			return page, err
		}
		page.Total += total
		room -= p.len()
	}
	return page, nil
}

// parts bind the query to each of its types, before anything is read.
func (x *exchange) parts(resources []*schema.Resource, q query) ([]*part, error) {
	var parsed filter.Expr
	if q.filter != nil {
		var err error
		if parsed, err = filter.Parse(*q.filter); err != nil {
			return nil, err
		}
	}
	parts := make([]*part, len(resources))
	for i, r := range resources {
		asked, err := x.storageQuery(r, resources, q, parsed)
		if err != nil {
			return nil, err
		}
		view, err := x.viewOf(r, q)
		if err != nil {
			return nil, err
		}
		parts[i] = &part{resource: r, index: i, asked: asked, view: view}
	}
	return parts, nil
}

func (x *exchange) storageQuery(r *schema.Resource, all []*schema.Resource, q query, parsed filter.Expr) (storage.Query, error) {
	out := storage.Query{Participant: x.caller.Participant.ID, Now: x.now}
	binder := filter.Binder{
		Resource: r, Reading: x.reading, Location: x.baseURL + r.Endpoint,
		Others: slices.DeleteFunc(slices.Clone(all), func(o *schema.Resource) bool { return o == r }),
	}
	if parsed != nil {
		var err error
		if out.Filter, err = binder.Bind(parsed); err != nil {
			return out, err
		}
		if err := filter.CheckCost(out.Filter); err != nil {
			return out, err
		}
	}
	if q.sortBy == "" {
		return out, nil
	}
	order := strings.ToLower(q.sortOrder)
	if order != "" && order != "ascending" && order != descending {
		return out, protocol.Errorf(protocol.InvalidValue, "sortOrder", "sortOrder is %s; send ascending or descending", protocol.Quote(q.sortOrder))
	}
	sort, ok, err := binder.Order(q.sortBy, order == descending)
	if ok {
		out.Sort = []storage.Order{sort}
	}
	return out, err
}

const descending = "descending" // RFC 7644 §3.4.2.3

// read reads a part, and all matches' number when it asks for it. Backwards, it
// is what comes before, and still stands in the order of the query.
func (x *exchange) read(p *part, backwards bool) (total int, err error) {
	asked := p.asked
	if backwards {
		asked = asked.Reversed()
	}
	if p.resource == schema.Group {
		p.groups, total, err = x.deeds.Reader().ListGroups(x.r.Context(), asked)
	} else {
		p.users, total, err = x.deeds.Reader().ListUsers(x.r.Context(), asked)
	}
	if err != nil {
		return 0, fmt.Errorf("list %s: %w", p.resource.Name, err)
	}
	if backwards {
		slices.Reverse(p.groups)
		slices.Reverse(p.users)
	}
	return total, nil
}

func (x *exchange) render(p *part) ([][]byte, error) {
	if p.resource == schema.Group {
		return x.renderGroups(p.view, p.groups)
	}
	return x.renderUsers(p.view, p.users)
}

func (p *part) len() int { return len(p.users) + len(p.groups) }

func (p *part) keep(from, to int) {
	if p.resource == schema.Group {
		p.groups = p.groups[from:to]
		return
	}
	p.users = p.users[from:to]
}

func (p *part) position(i int) *storage.Position {
	if p.resource == schema.Group {
		return p.groups[i].Position(p.asked)
	}
	return p.users[i].Position(p.asked)
}

// filled are the parts that hold something.
func filled(parts []*part) (some []*part) {
	for _, p := range parts {
		if p.len() > 0 {
			some = append(some, p)
		}
	}
	return some
}
