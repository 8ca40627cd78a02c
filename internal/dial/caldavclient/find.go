package caldavclient

import (
	"context"
	"errors"
	"slices"
	"strings"

	"busybridge/internal/dial/safehttp"
	"busybridge/internal/spec/soap"
)

// A Calendar is a collection of events, as a server lists it.
type Calendar struct {
	Path        string
	Transparent bool   // RFC 6638 9.1
	SyncToken   string // RFC 6578; "": not told
	Tag         string // getctag; "": not told
	Sync        bool   // it answers sync-collection
}

// A Place is where somebody's calendars are.
type Place struct {
	Calendars []Calendar
	// Home is the collection that lists them; "": the address is that of a calendar.
	Home string
	// Outbox takes free/busy requests (RFC 6638 5); "": there is none.
	Outbox    string
	Addresses []string // of the user who signed in, "mailto:" and others
}

// A Who says whose calendars are looked for.
type Who struct {
	// Address is that of the owner, who is looked up by it; "": not looked up.
	Address string
	// Here: the calendars are at the address that was given, not at those that the
	// server calls the user's own.
	Here bool
}

const props = `<resourcetype/><current-user-principal/><principal-collection-set/><sync-token/><supported-report-set/>` +
	`<C:calendar-home-set/><C:schedule-outbox-URL/><C:calendar-user-address-set/><C:schedule-calendar-transp/><C:supported-calendar-component-set/><S:getctag/>`

const propfind = `<propfind` + namespaces + `><prop>` + props + `</prop></propfind>`

// resources are what a PROPFIND finds, the one that was asked first, by path.
func (s *Session) resources(ctx context.Context, path, depth string) ([]resource, error) {
	root, at, err := s.document(ctx, "PROPFIND", path, depth, propfind, "multistatus")
	if err != nil {
		return nil, err
	}
	var list []resource
	for r := range responses(root) {
		p, err := s.path(at, r.hrefs[0])
		if err != nil {
			return nil, err
		}
		list = append(list, resource{p, &r})
	}
	if len(list) == 0 {
		return nil, safehttp.Faultf(safehttp.FaultContent, "the answer names no resource")
	}
	if i := slices.IndexFunc(list, func(r resource) bool { return SamePath(r.path, at) }); i > 0 {
		list[0], list[i] = list[i], list[0]
	}
	return list, nil
}

type resource struct {
	path string
	*response
}

func (r resource) is(space, local string) bool {
	return r.prop(nsDAV, "resourcetype").Child(space, local) != nil
}

// calendar is the resource as a calendar for events; ok is false if it is none.
func (r resource) calendar() (c Calendar, ok bool) {
	if !r.is(nsCalDAV, "calendar") || r.is(nsCalDAV, "schedule-inbox") || r.is(nsCalDAV, "schedule-outbox") {
		return c, false
	}
	if set := r.prop(nsCalDAV, "supported-calendar-component-set"); set != nil && len(set.Children) > 0 &&
		!slices.ContainsFunc(set.Children, func(e *soap.Element) bool { return strings.EqualFold(e.AttrValue("name"), "VEVENT") }) {
		return c, false
	}
	return Calendar{
		Path: r.path, Transparent: r.prop(nsCalDAV, "schedule-calendar-transp").Child(nsCalDAV, "transparent") != nil,
		SyncToken: r.text(nsDAV, "sync-token"), Tag: r.text(nsCS, "getctag"), Sync: r.reports(nsDAV, "sync-collection"),
	}, true
}

// reports: the resource answers a REPORT (RFC 3253 3.1.5).
func (r resource) reports(space, local string) bool {
	set := r.prop(nsDAV, "supported-report-set")
	if set == nil {
		return false
	}
	for _, c := range set.Children {
		if c.Is(nsDAV, "supported-report") && c.Child(nsDAV, "report").Child(space, local) != nil {
			return true
		}
	}
	return false
}

// Calendars lists those of a home.
func (s *Session) Calendars(ctx context.Context, home string) ([]Calendar, error) {
	list, err := s.resources(ctx, home, "1")
	if err != nil {
		return nil, err
	}
	var out []Calendar
	for _, r := range list {
		if c, ok := r.calendar(); ok {
			out = append(out, c)
		}
	}
	return out, nil
}

// Find looks for calendars from the address that was given: it is that of a
// calendar, of a collection of calendars, or of anything that knows the user's
// principal (RFC 6764 6, RFC 5397, RFC 4791 6.2.1). Only the host is enough.
func (s *Session) Find(ctx context.Context, who Who) (*Place, error) {
	r, err := s.first(ctx)
	if err != nil {
		return nil, err
	}
	if c, ok := r.calendar(); ok {
		return &Place{Calendars: []Calendar{c}}, nil
	}
	own := r
	if len(r.links(nsCalDAV, "calendar-home-set")) == 0 {
		// A collection of calendars, perhaps of somebody else.
		if r.is(nsDAV, "collection") && (who.Address == "" || who.Here) {
			list, err := s.Calendars(ctx, r.path)
			if err != nil && !Refused(err) {
				return nil, err
			}
			if len(list) > 0 {
				return &Place{Home: r.path, Calendars: list}, nil
			}
		}
		if who.Here {
			return nil, safehttp.Faultf(safehttp.FaultNotFound, "there is no calendar at the address")
		}
		links := r.links(nsDAV, "current-user-principal")
		if len(links) == 0 {
			return nil, safehttp.Faultf(safehttp.FaultNotFound, "there is no calendar at the address, and the server does not say where the user's are")
		}
		if own, err = s.link(ctx, r.path, links[0]); err != nil {
			return nil, err
		}
	}
	place := &Place{Addresses: own.links(nsCalDAV, "calendar-user-address-set")}
	if links := own.links(nsCalDAV, "schedule-outbox-URL"); len(links) > 0 {
		if place.Outbox, err = s.path(own.path, links[0]); err != nil {
			return nil, err
		}
	}
	owner := own
	if who.Address != "" {
		if owner, err = s.lookUp(ctx, own, who.Address); err != nil {
			if place.Outbox != "" && isNotFound(err) {
				return place, nil // the outbox may know
			}
			return nil, err
		}
	}
	for _, link := range owner.links(nsCalDAV, "calendar-home-set") {
		home, err := s.path(owner.path, link)
		if err != nil {
			return nil, err
		}
		list, err := s.Calendars(ctx, home)
		if err != nil && !(Refused(err) && place.Outbox != "") {
			return nil, err
		}
		if place.Home == "" || len(place.Calendars) == 0 { // of several homes the first that has calendars
			place.Home, place.Calendars = home, list
		}
	}
	if len(place.Calendars) == 0 && place.Outbox == "" {
		return nil, safehttp.Faultf(safehttp.FaultNotFound, "the server names no calendar of the user")
	}
	return place, nil
}

func isNotFound(err error) bool {
	f, ok := errors.AsType[*safehttp.FaultError](err)
	return ok && f.Fault == safehttp.FaultNotFound
}

// first is the resource at the address or, where that is a host only, the one that
// the host names for CalDAV.
func (s *Session) first(ctx context.Context) (resource, error) {
	if s.base.Path == "" || s.base.Path == "/" {
		list, err := s.resources(ctx, "/.well-known/caldav", "0")
		if err == nil {
			return list[0], nil
		}
		if f, ok := errors.AsType[*safehttp.FaultError](err); !Refused(err) && !(ok && f.Fault == safehttp.FaultContentType) {
			return resource{}, err
		}
	}
	list, err := s.resources(ctx, s.Start(), "0")
	if err != nil {
		return resource{}, err
	}
	return list[0], nil
}

func (s *Session) link(ctx context.Context, at, href string) (resource, error) {
	p, err := s.path(at, href)
	if err != nil {
		return resource{}, err
	}
	list, err := s.resources(ctx, p, "0")
	if err != nil {
		return resource{}, err
	}
	return list[0], nil
}

// lookUp finds the principal with a calendar user address (RFC 3744 9.4, RFC 6638 2.4.1).
func (s *Session) lookUp(ctx context.Context, own resource, address string) (resource, error) {
	uri := "mailto:" + address
	has := func(r resource) bool {
		return slices.ContainsFunc(r.links(nsCalDAV, "calendar-user-address-set"), func(a string) bool { return strings.EqualFold(strings.TrimSuffix(a, "/"), uri) })
	}
	if has(own) {
		return own, nil
	}
	body := []byte(`<principal-property-search` + namespaces + `><property-search><prop><C:calendar-user-address-set/></prop><match>`)
	body = soap.AppendText(body, uri)
	body = append(body, `</match></property-search><prop>`+props+`</prop></principal-property-search>`...)
	places := own.links(nsDAV, "principal-collection-set")
	if len(places) == 0 {
		places = []string{own.path}
	}
	for _, link := range places {
		p, err := s.path(own.path, link)
		if err != nil {
			return resource{}, err
		}
		root, at, err := s.document(ctx, "REPORT", p, "0", string(body), "multistatus")
		if Refused(err) {
			continue
		}
		if err != nil {
			return resource{}, err
		}
		for r := range responses(root) {
			// Servers match parts of an address too.
			p, err := s.path(at, r.hrefs[0])
			if err != nil {
				return resource{}, err
			}
			if found := (resource{p, &r}); has(found) {
				return found, nil
			}
		}
	}
	return resource{}, safehttp.Faultf(safehttp.FaultNotFound, "the server knows no user with the address of the mailbox")
}
