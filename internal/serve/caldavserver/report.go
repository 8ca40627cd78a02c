package caldavserver

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/ical"
	"busybridge/internal/spec/soap"
	"busybridge/internal/spec/wintz"
)

// A reportType is one of the reports, and what it can be asked of.
type reportType struct {
	name   name
	handle func(*call, *soap.Element) error
	on     []kind
}

func reports() []reportType {
	return []reportType{
		{name{calNS, "calendar-query"}, (*call).calendarQuery, []kind{calendarKind}},
		{name{calNS, "calendar-multiget"}, (*call).calendarMultiget, []kind{calendarKind}},
		{name{calNS, "free-busy-query"}, (*call).freeBusyQuery, []kind{calendarKind, homeKind}},
		{name{davNS, "sync-collection"}, (*call).syncCollection, []kind{calendarKind}},
	}
}

// report answers REPORT (RFC 3253 3.6). Of a mailbox that the caller may not read
// nothing is told but busy times: not even that there is one.
func (c *call) report() error {
	r := &c.resource
	err := c.answerReport()
	if _, ok := errors.AsType[*problem](err); ok && r.foreign && !c.readable(r.owner) {
		return errNotFound
	}
	return err
}

func (c *call) answerReport() error {
	r := &c.resource
	e, err := c.body()
	if err != nil {
		return err
	}
	if r.foreign && (e == nil || !e.Is(calNS, "free-busy-query")) && !c.readable(r.owner) {
		return errNotFound
	}
	if err := c.there(); err != nil {
		return err
	}
	if e == nil {
		return badRequest("The body has to be a report.")
	}
	for i := range c.reports {
		if rep := &c.reports[i]; rep.name == nameOf(e) && slices.Contains(rep.on, r.kind) {
			return rep.handle(c, e)
		}
	}
	return &problem{http.StatusForbidden, name{davNS, "supported-report"}, "", "That report is not to be had here."}
}

// calendarQuery answers calendar-query (RFC 4791 7.8).
func (c *call) calendarQuery(e *soap.Element) error {
	s, err := selected(e)
	if err != nil {
		return err
	}
	f, err := readFilter(e.Child(calNS, "filter"))
	if err != nil {
		return err
	}
	depth, err := c.depth()
	if err != nil {
		return err
	}
	m := newMultistatus()
	r := &c.resource
	if depth == 0 && c.r.Header.Get("Depth") != "" {
		return c.multistatus(m) // the collection itself matches no filter
	}
	x := matcher{zone: c.zone(r.owner)}
	span := f.within()
	for o, err := range c.cfg.Calendars.ObjectsWithin(c.r.Context(), r.owner, r.folder.Name, span.from, span.to) {
		if err == nil {
			err = m.full()
		}
		if err != nil {
			return err
		}
		if o.Availability {
			continue
		}
		ok, err := x.object(f, o)
		if err != nil {
			return err
		}
		if ok {
			child := r.child(o)
			if err := c.properties(m, &child, child.href(), &s); err != nil {
				return err
			}
		}
	}
	return c.multistatus(m)
}

// zone is that of the floating times of a mailbox.
func (c *call) zone(owner *directory.Recipient) *time.Location {
	if loc, ok := wintz.Location(owner.Calendar.TimeZone); ok {
		return loc
	}
	return time.UTC
}

// calendarMultiget answers calendar-multiget (RFC 4791 7.9).
func (c *call) calendarMultiget(e *soap.Element) error {
	s, err := selected(e)
	if err != nil {
		return err
	}
	m := newMultistatus()
	n := 0
	for _, h := range e.Children {
		if !h.Is(davNS, "href") {
			continue
		}
		if n++; n > maxHrefs {
			return errTooMuch
		}
		at := h.Trimmed()
		child, err := c.named(at)
		if errors.Is(err, errNotFound) {
			m.status(at, http.StatusNotFound, name{})
			continue
		}
		if err == nil {
			err = c.properties(m, &child, at, &s)
		}
		if err == nil {
			err = m.full()
		}
		if err != nil {
			return err
		}
	}
	return c.multistatus(m)
}

// named is the object of the calendar that a URL names.
func (c *call) named(at string) (resource, error) {
	r := &c.resource
	u, err := url.Parse(at)
	if err != nil {
		return resource{}, errNotFound
	}
	path, ok := cutPath(u.EscapedPath())
	if !ok || len(path) != 4 || !slices.EqualFunc(path[:2], c.path[:2], strings.EqualFold) || folderName(path[2]) != r.name {
		return resource{}, errNotFound
	}
	o, err := c.object(r, path[3])
	if err != nil {
		return resource{}, err
	}
	return r.child(o), nil
}

// syncCollection answers sync-collection (RFC 6578 3).
func (c *call) syncCollection(e *soap.Element) error {
	s, err := selected(e)
	if err != nil {
		return err
	}
	if level := e.ChildText(davNS, "sync-level"); level != "1" && level != "" { // "": what older programs send
		return &problem{http.StatusForbidden, name{davNS, "sync-traversal-supported"}, "", "A calendar has the level 1 only."}
	}
	limit := maxHrefs
	if l := e.Child(davNS, "limit"); l != nil {
		n, err := strconv.Atoi(l.ChildText(davNS, "nresults"))
		if err != nil || n < 1 {
			return badRequest("nresults is a number greater than 0.")
		}
		limit = min(limit, n)
	}
	since := e.ChildText(davNS, "sync-token")
	if since != "" {
		if since, err = readToken(since); err != nil {
			return err
		}
	}
	r := &c.resource
	list, next, more, err := c.cfg.Calendars.Changes(c.r.Context(), r.owner, r.folder.Name, since, limit)
	if err != nil {
		return err
	}
	m := newMultistatus()
	for _, ch := range list {
		if ch.Availability {
			continue
		}
		child := r.child(&Object{Name: ch.Name, ETag: ch.ETag})
		gone := ch.ETag == ""
		if !gone && (s.all || slices.ContainsFunc(s.names, func(e *soap.Element) bool { return needsObject(nameOf(e)) })) {
			err := c.textOf(&child)
			if gone = errors.Is(err, directory.ErrCalendarChanged); err != nil && !gone {
				return err
			}
		}
		if gone {
			m.status(child.href(), http.StatusNotFound, name{})
			continue
		}
		if err := c.properties(m, &child, child.href(), &s); err != nil {
			return err
		}
		if err := m.full(); err != nil {
			return err
		}
	}
	if more { // RFC 6578 3.6
		m.status(r.href(), http.StatusInsufficientStorage, name{davNS, "number-of-matches-within-limits"})
	}
	m.b = soap.AppendText(append(m.b, "<D:sync-token>"...), writeToken(next))
	m.b = append(m.b, "</D:sync-token>"...)
	return c.multistatus(m)
}

// needsObject: the property is not known from the list of changes.
func needsObject(n name) bool {
	return n == calendarData || n == name{davNS, "getlastmodified"} || n == name{davNS, "getcontentlength"}
}

// calendarData appends what e asks for of an object: all of it, parts of it (RFC
// 4791 9.6.1), or its instances (9.6.5).
func (c *call) calendarData(b []byte, r *resource, e *soap.Element) ([]byte, error) {
	if err := c.textOf(r); err != nil {
		return b, err
	}
	for _, a := range []struct{ name, want string }{{"content-type", "text/calendar"}, {"version", "2.0"}} {
		if v, ok := e.LookupAttr(a.name); ok && !strings.EqualFold(v, a.want) {
			return b, broken("supported-calendar-data", "Objects are text/calendar of version 2.0.")
		}
	}
	part, expand := e.Child(calNS, "comp"), e.Child(calNS, "expand")
	for _, child := range e.Children {
		if child.Is(calNS, "limit-recurrence-set") || child.Is(calNS, "limit-freebusy-set") {
			return b, broken("supported-calendar-data", "There is no %s here.", child.Local)
		}
	}
	if part == nil && expand == nil {
		return soap.AppendText(b, string(r.object.Text)), nil
	}
	cal, _, err := ical.Parse(r.object.Text, ical.Limits{})
	if err != nil {
		return b, fmt.Errorf("object %q: %w", r.object.Name, err)
	}
	tree := cal.Components[0]
	if expand != nil {
		if tree, err = c.expanded(cal, r, expand); err != nil {
			return b, err
		}
	}
	if part != nil {
		if !strings.EqualFold(part.AttrValue("name"), "VCALENDAR") {
			return b, nil
		}
		tree = pruned(tree, part)
	}
	return soap.AppendText(b, string(ical.Append(nil, tree))), nil
}

// pruned is what comp asks for of a component (RFC 4791 9.6.1 to 9.6.4).
func pruned(of *ical.Component, comp *soap.Element) *ical.Component {
	if len(comp.Children) == 0 { // nothing is named: all of it
		return of
	}
	out := &ical.Component{Name: of.Name}
	for i := range of.Properties {
		p := of.Properties[i]
		for _, e := range comp.Children {
			if e.Is(calNS, "allprop") || e.Is(calNS, "prop") && strings.EqualFold(e.AttrValue("name"), p.Name) {
				if strings.EqualFold(e.AttrValue("novalue"), "yes") {
					p.Value = ""
				}
				out.Properties = append(out.Properties, p)
				break
			}
		}
	}
	for _, sub := range of.Components {
		for _, e := range comp.Children {
			if e.Is(calNS, "allcomp") {
				out.Components = append(out.Components, sub)
				break
			}
			if e.Is(calNS, "comp") && strings.EqualFold(e.AttrValue("name"), sub.Name) {
				out.Components = append(out.Components, pruned(sub, e))
				break
			}
		}
	}
	return out
}

const maxExpanded = 10_000 // instances of one object

// expanded is an object as its instances in a span: without rules and zones.
func (c *call) expanded(cal *ical.Calendar, r *resource, e *soap.Element) (*ical.Component, error) {
	span, err := readSpan(e)
	if err != nil || span.from.IsZero() || span.to.IsZero() {
		return nil, badRequest("expand has a start and an end, in UTC.")
	}
	x := matcher{zone: c.zone(r.owner)}.expander(r.object)
	x.MaxInstances = maxExpanded
	out := &ical.Component{Name: "VCALENDAR", Properties: cal.Components[0].Properties}
	groups := ical.Groups(cal)
	for i := range groups {
		list, _ := x.Expand(&groups[i], span.from, span.to)
		for j := range list {
			out.Components = append(out.Components, instance(&list[j], x.FloatingZone))
		}
	}
	return out, nil
}

// timing are the properties of an event that its instances have of their own, or not.
var timing = []string{"DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID"}

// instance is one instance as a component, in UTC; of whole days, as dates.
func instance(in *ical.Instance, zone *time.Location) *ical.Component {
	begin := in.Component.Get("DTSTART")
	at := func(name string, t time.Time) ical.Property {
		if len(strings.TrimSpace(begin.Value)) == len("20060102") {
			return ical.Property{Name: name, Params: []ical.Param{{Name: "VALUE", Values: []string{"DATE"}}}, Value: t.In(zone).Format("20060102")}
		}
		return ical.Property{Name: name, Value: t.UTC().Format(utcLayout)}
	}
	c := &ical.Component{Name: in.Component.Name, Properties: []ical.Property{at("DTSTART", in.Start)}, Components: in.Component.Components}
	if in.Start.Before(in.End) {
		c.Properties = append(c.Properties, at("DTEND", in.End))
	}
	if in.Recurring {
		c.Properties = append(c.Properties, at("RECURRENCE-ID", in.By))
	}
	for _, p := range in.Component.Properties {
		if !slices.Contains(timing, p.Name) {
			c.Properties = append(c.Properties, p)
		}
	}
	return c
}
