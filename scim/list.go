package scim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/healthix/healthix-scim/scim/filter"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/render"
	"github.com/healthix/healthix-scim/scim/schema"
	"github.com/healthix/healthix-scim/storage"
)

// list answers a query over one resource type, or over all at the root: one
// type after the other, in one count.
func (x *exchange) list(resources []*schema.Resource, read func() (query, error)) error {
	q, err := read()
	if err != nil {
		return err
	}
	var parsed filter.Expr
	if q.filter != nil {
		if parsed, err = filter.Parse(*q.filter); err != nil {
			return err
		}
	}
	page := render.Page{Start: q.start}
	offset, room := q.start-1, q.count
	for _, r := range resources {
		asked, err := x.storageQuery(r, resources, q, parsed)
		if err != nil {
			return err
		}
		asked.Offset, asked.Limit = max(offset-page.Total, 0), room
		view, err := x.viewOf(r, q)
		if err != nil {
			return err
		}
		total, items, err := x.page(r, asked, view)
		if err != nil {
			return err
		}
		page.Total += total
		page.Items = append(page.Items, items...)
		room -= len(items)
	}
	write(x.w, x.r, http.StatusOK, render.AppendPage(make([]byte, 0, 4096), protocol.MessageList, page))
	return nil
}

func (x *exchange) storageQuery(r *schema.Resource, all []*schema.Resource, q query, parsed filter.Expr) (storage.Query, error) {
	out := storage.Query{Participant: x.caller.Participant.ID, Total: true, Now: x.now}
	binder := filter.Binder{
		Resource: r, Reading: x.reading, Location: x.baseURL + r.Endpoint,
		Others: slices.DeleteFunc(slices.Clone(all), func(o *schema.Resource) bool { return o == r }),
	}
	if parsed != nil {
		var err error
		if out.Filter, err = binder.Bind(parsed); err != nil {
			return out, err
		}
	}
	if q.sortBy == "" {
		return out, nil
	}
	order := strings.ToLower(q.sortOrder)
	if order != "" && order != "ascending" && order != "descending" {
		return out, protocol.Errorf(protocol.InvalidValue, "sortOrder", "sortOrder is %s; send ascending or descending", protocol.Quote(q.sortOrder))
	}
	sort, ok, err := binder.Order(q.sortBy, order == "descending")
	if ok {
		out.Sort = []storage.Order{sort}
	}
	return out, err
}

// page reads and writes one type's share of a page.
func (x *exchange) page(r *schema.Resource, q storage.Query, view render.View) (int, [][]byte, error) {
	if r == schema.Group {
		groups, total, err := x.deeds.Reader().ListGroups(x.r.Context(), q)
		if err != nil {
			return 0, nil, fmt.Errorf("list groups: %w", err)
		}
		items, err := x.renderGroups(view, groups)
		return total, items, err
	}
	users, total, err := x.deeds.Reader().ListUsers(x.r.Context(), q)
	if err != nil {
		return 0, nil, fmt.Errorf("list users: %w", err)
	}
	items, err := x.renderUsers(view, users)
	return total, items, err
}
