package caldavserver

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/spec/ical"
	"busybridge/internal/spec/soap"
)

// An instruction sets one property, or removes it (RFC 4918 14.19).
type instruction struct {
	name   name
	value  *soap.Element
	remove bool
}

// instructions reads set and remove among the children of e.
func instructions(e *soap.Element) (list []instruction, err error) {
	if e == nil {
		return nil, nil
	}
	for _, c := range e.Children {
		remove := c.Is(davNS, "remove")
		if !remove && !c.Is(davNS, "set") {
			continue
		}
		for _, prop := range c.Children {
			if prop.Is(davNS, "prop") {
				for _, p := range prop.Children {
					list = append(list, instruction{nameOf(p), p, remove})
				}
			}
		}
	}
	if len(list) > 256 {
		return nil, badRequest("More than 256 properties.")
	}
	return list, nil
}

// An outcome is what became of an instruction.
type outcome struct {
	name      name
	status    int
	condition name
}

var errRefused = errors.New("an instruction is refused") // see outcome

var protected = name{davNS, "cannot-modify-protected-property"}

// apply carries out instructions on a calendar, which is new or not; errRefused:
// one of them cannot be.
func apply(f *directory.CalendarFolder, created bool, list []instruction) (out []outcome, err error) {
	for _, in := range list {
		o := outcome{name: in.name, status: http.StatusOK}
		o.status, o.condition = in.apply(f, created)
		if o.status != http.StatusOK {
			err = errRefused
		}
		out = append(out, o)
	}
	if err != nil { // then nothing is done (RFC 4918 9.2)
		for i := range out {
			if out[i].status == http.StatusOK {
				out[i].status = http.StatusFailedDependency
			}
		}
	}
	return out, err
}

func (in *instruction) apply(f *directory.CalendarFolder, created bool) (status int, condition name) {
	has := func(space, local string) bool { return in.value.Child(space, local) != nil }
	limit := maxMember
	switch n := in.name; {
	case n == transparency:
		opaque, transparent := has(calNS, "opaque"), has(calNS, "transparent")
		if !in.remove && opaque == transparent {
			return http.StatusForbidden, name{}
		}
		f.Transparent = transparent && !in.remove
		return http.StatusOK, name{}
	case n == resourceType && created && !in.remove && has(davNS, "collection") && has(calNS, "calendar"):
		return http.StatusOK, name{}
	case n == resourceType && created:
		return http.StatusForbidden, name{davNS, "valid-resourcetype"}
	case n == components && created && !in.remove:
		for _, comp := range in.value.Children {
			if comp.Is(calNS, "comp") && strings.EqualFold(comp.AttrValue("name"), "VEVENT") {
				return http.StatusOK, name{}
			}
		}
		return http.StatusForbidden, name{calNS, "supported-calendar-component"}
	case n == timezone && !in.remove:
		if limit = maxZone; !isZone(in.value.Text) {
			return http.StatusForbidden, name{calNS, "valid-calendar-data"}
		}
	case n != displayName && known(n) != nil || n == calendarData || n == hours:
		return http.StatusForbidden, protected
	}
	if in.remove {
		delete(f.Properties, in.name.key())
		return http.StatusOK, name{}
	}
	// What a program has invented is kept where it is a text.
	if len(in.value.Children) > 0 {
		return http.StatusForbidden, name{}
	}
	if f.Properties == nil {
		f.Properties = map[string]string{}
	}
	key := in.name.key()
	f.Properties[key] = in.value.Text
	if len(f.Properties) > maxProperties || len(key)+len(in.value.Text) > limit {
		return http.StatusInsufficientStorage, name{davNS, "quota-not-exceeded"}
	}
	return http.StatusOK, name{}
}

// isZone reports whether a text is a calendar with one time zone (RFC 4791 5.2.2).
func isZone(text string) bool {
	cal, _, err := ical.Parse([]byte(text), ical.Limits{Bytes: maxZone})
	return err == nil && len(cal.Components) == 1 && cal.Components[0].Name == "VCALENDAR" &&
		len(cal.Components[0].Components) == 1 && cal.Components[0].Components[0].Name == "VTIMEZONE"
}

func (m *multistatus) outcomes(list []outcome) {
	for len(list) > 0 {
		first, n := list[0], 0
		var names []name
		for _, o := range list {
			if o.status == first.status && o.condition == first.condition {
				names = append(names, o.name)
			} else {
				list[n] = o
				n++
			}
		}
		list = list[:n]
		m.propstat(names, first.status, first.condition)
	}
}

// proppatch answers PROPPATCH.
func (c *call) proppatch() error {
	if err := c.own(); err != nil {
		return err
	}
	if err := c.there(); err != nil {
		return err
	}
	e, err := c.root(name{davNS, "propertyupdate"})
	if err != nil {
		return err
	}
	list, err := instructions(e)
	if err != nil {
		return err
	}
	r := &c.resource
	var out []outcome
	switch r.kind {
	case calendarKind:
		err = c.cfg.Calendars.EditFolder(c.r.Context(), c.caller, r.name, func(f *directory.CalendarFolder, created bool) (err error) {
			if created { // it was deleted meanwhile
				return errNotFound
			}
			out, err = apply(f, false, list)
			return err
		})
	case inboxKind:
		out, err = c.setHours(list)
	default:
		for _, in := range list {
			out = append(out, outcome{in.name, http.StatusForbidden, name{}})
		}
	}
	if err != nil && !errors.Is(err, errRefused) {
		return err
	}
	m := newMultistatus()
	m.b = appendHref(append(m.b, "<D:response>"...), r.href())
	m.outcomes(out)
	m.b = append(m.b, "</D:response>"...)
	return c.multistatus(m)
}

// setHours sets calendar-availability, which nothing else can be set beside.
func (c *call) setHours(list []instruction) (out []outcome, err error) {
	r := &c.resource
	for _, in := range list {
		o := outcome{in.name, http.StatusForbidden, protected}
		if in.name == hours && len(list) == 1 {
			o = outcome{in.name, http.StatusOK, name{}}
			err = ErrObject
			switch {
			case in.remove:
				if err = c.cfg.Calendars.DeleteObject(c.r.Context(), r.owner, "", hoursObject, Condition{}); errors.Is(err, directory.ErrNotFound) {
					err = nil // it may be removed twice (RFC 4918 14.23)
				}
			case isHours(in.value.Text):
				_, _, err = c.cfg.Calendars.PutObject(c.r.Context(), r.owner, "", hoursObject, []byte(in.value.Text), Condition{})
			}
			if errors.Is(err, ErrObject) {
				o.status, o.condition, err = http.StatusForbidden, name{calNS, "valid-calendar-data"}, nil
			}
		}
		out = append(out, o)
	}
	return out, err
}

// isHours reports whether a text is a calendar with a VAVAILABILITY and, beside it,
// nothing but zones (RFC 7953 7.2.4).
func isHours(text string) bool {
	cal, _, err := ical.Parse([]byte(text), ical.Limits{Bytes: DefaultMaxBody})
	if err != nil || len(cal.Components) != 1 {
		return false
	}
	n := 0
	for _, part := range cal.Components[0].Components {
		switch part.Name {
		case "VAVAILABILITY":
			n++
		case "VTIMEZONE":
		default:
			return false
		}
	}
	return n == 1
}

// mkcalendar answers MKCALENDAR (RFC 4791 5.3.1).
func (c *call) mkcalendar() error {
	e, err := c.body()
	if err == nil && e != nil && nameOf(e) != (name{calNS, "mkcalendar"}) {
		err = badRequest("The body has to be mkcalendar.")
	}
	if err != nil {
		return err
	}
	return c.make(e, name{calNS, "mkcalendar-response"})
}

// mkcol answers the extended MKCOL of RFC 5689, for calendars.
func (c *call) mkcol() error {
	e, err := c.root(name{davNS, "mkcol"})
	if err != nil {
		return broken("calendar-collection-location-ok", "A calendar home has calendars only: make one by MKCALENDAR, or by an extended MKCOL.")
	}
	list, err := instructions(e)
	if err != nil {
		return err
	}
	for _, in := range list {
		if in.name == resourceType {
			return c.make(e, name{davNS, "mkcol-response"})
		}
	}
	return broken("calendar-collection-location-ok", "A calendar home has calendars only.")
}

func (c *call) make(e *soap.Element, response name) error {
	if err := c.own(); err != nil {
		return err
	}
	list, err := instructions(e)
	if err != nil {
		return err
	}
	r := &c.resource
	if strings.TrimSpace(r.name) != r.name || r.name == "." || r.name == ".." {
		return ErrName
	}
	exists := &problem{http.StatusForbidden, name{davNS, "resource-must-be-null"}, "", "There is a calendar of that name."}
	if r.folder != nil {
		return exists
	}
	var out []outcome
	err = c.cfg.Calendars.EditFolder(c.r.Context(), c.caller, r.name, func(f *directory.CalendarFolder, created bool) (err error) {
		if !created {
			return exists
		}
		out, err = apply(f, true, list)
		return err
	})
	if errors.Is(err, errRefused) {
		m := newMultistatus()
		m.b = append(m.b[:0], xmlHeader+"<"+prefixes[response.space]+":"+response.local+" "+namespaces+">"...)
		m.outcomes(out)
		m.b = fmt.Appendf(m.b, "</%s:%s>\n", prefixes[response.space], response.local)
		return c.write(http.StatusFailedDependency, "application/xml; charset=utf-8", m.b)
	}
	if err != nil {
		return err
	}
	c.w.Header().Set("Cache-Control", "no-cache") // RFC 4791 5.3.1
	return c.empty(http.StatusCreated)
}

// mediaType is the type of the request's body, "" where it is not said.
func (c *call) mediaType() (string, bool) {
	h := c.r.Header.Get("Content-Type")
	if h == "" {
		return "", true
	}
	t, _, err := mime.ParseMediaType(h)
	return t, err == nil
}
