package caldavserver

import (
	"errors"
	"strings"
	"time"

	"busybridge/internal/spec/ical"
	"busybridge/internal/spec/soap"
	"busybridge/internal/spec/wintz"
)

const utcLayout = "20060102T150405Z"

// A span is the time-range of a filter: [from, to), a zero time is no bound.
type span struct{ from, to time.Time }

// readSpan reads the start and end of an element (RFC 4791 9.9).
func readSpan(e *soap.Element) (s span, err error) {
	for _, a := range []struct {
		name string
		to   *time.Time
	}{{"start", &s.from}, {"end", &s.to}} {
		v, ok := e.LookupAttr(a.name)
		if !ok {
			continue
		}
		if *a.to, err = time.Parse(utcLayout, v); err != nil {
			return s, errSpan
		}
	}
	if s.from.IsZero() && s.to.IsZero() || !s.from.IsZero() && !s.to.IsZero() && !s.from.Before(s.to) {
		return s, errSpan
	}
	return s, nil
}

var errSpan = broken("valid-filter", "A time-range has a start or an end, or both in order, each like 20261123T080000Z.")

// A compFilter is a comp-filter (RFC 4791 9.7.1).
type compFilter struct {
	name   string
	absent bool
	span   *span
	comps  []compFilter
	props  []propFilter
}

// A propFilter is a prop-filter, or a param-filter, which has no params (9.7.2, 9.7.3).
type propFilter struct {
	name   string
	absent bool
	text   *textMatch
	params []propFilter
}

// A textMatch is a text-match (9.7.5). fold is how texts are made comparable.
type textMatch struct {
	text   string
	negate bool
	fold   func(string) string
}

// maxFilters bounds the elements of a filter.
const maxFilters = 256

// readFilter reads a filter whose root is VCALENDAR.
func readFilter(e *soap.Element) (*compFilter, error) {
	if e == nil || len(e.Children) != 1 || !e.Children[0].Is(calNS, "comp-filter") {
		return nil, broken("valid-filter", "A filter has one comp-filter.")
	}
	room := maxFilters
	f, err := readComp(e.Children[0], &room)
	if err == nil && f.name != "VCALENDAR" {
		err = broken("valid-filter", "A filter begins with VCALENDAR.")
	}
	return &f, err
}

// unsupported names what filters cannot have here (RFC 4791 7.8, supported-filter).
func unsupported(format string, args ...any) error {
	return broken("supported-filter", format, args...)
}

func readComp(e *soap.Element, room *int) (f compFilter, err error) {
	f.name = strings.ToUpper(e.AttrValue("name"))
	if *room--; f.name == "" || *room < 0 {
		return f, broken("valid-filter", "A comp-filter has no name, or the filter more than %d parts.", maxFilters)
	}
	for _, c := range e.Children {
		switch {
		case c.Is(calNS, "is-not-defined"):
			f.absent = true
		case c.Is(calNS, "time-range"):
			s, err := readSpan(c)
			if err != nil {
				return f, err
			}
			if f.span = &s; f.name == "VCALENDAR" || f.name == "VALARM" || f.name == "VTIMEZONE" {
				return f, unsupported("There is no time-range of %s here.", f.name)
			}
		case c.Is(calNS, "comp-filter"):
			sub, err := readComp(c, room)
			if err != nil {
				return f, err
			}
			f.comps = append(f.comps, sub)
		case c.Is(calNS, "prop-filter"):
			p, err := readProp(c, room)
			if err != nil {
				return f, err
			}
			f.props = append(f.props, p)
		default:
			return f, unsupported("There is no %s in a comp-filter here.", c.Local)
		}
	}
	return f, nil
}

func readProp(e *soap.Element, room *int) (f propFilter, err error) {
	f.name = strings.ToUpper(e.AttrValue("name"))
	if *room--; f.name == "" || *room < 0 {
		return f, broken("valid-filter", "A filter has no name, or more than %d parts.", maxFilters)
	}
	for _, c := range e.Children {
		switch {
		case c.Is(calNS, "is-not-defined"):
			f.absent = true
		case c.Is(calNS, "text-match"):
			if f.text, err = readText(c); err != nil {
				return f, err
			}
		case c.Is(calNS, "param-filter") && e.Is(calNS, "prop-filter"):
			p, err := readProp(c, room)
			if err != nil {
				return f, err
			}
			f.params = append(f.params, p)
		default:
			return f, unsupported("There is no %s in a %s here.", c.Local, e.Local)
		}
	}
	return f, nil
}

// readText reads a text-match and its collation (RFC 4790 9, RFC 5051).
func readText(e *soap.Element) (*textMatch, error) {
	t := &textMatch{negate: strings.EqualFold(e.AttrValue("negate-condition"), "yes")}
	switch e.AttrValue("collation") {
	case "", "default", "i;ascii-casemap":
		t.fold = asciiLower
	case "i;unicode-casemap":
		t.fold = strings.ToLower
	case "i;octet":
		t.fold = func(s string) string { return s }
	default:
		return nil, broken("supported-collation", "The collations are i;ascii-casemap, i;octet and i;unicode-casemap.")
	}
	t.text = t.fold(e.Text)
	return t, nil
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

// within is the span of the events that a filter finds; the zero span where it says none.
func (f *compFilter) within() span {
	for i := range f.comps {
		if c := &f.comps[i]; c.name == "VEVENT" && c.span != nil && !c.absent {
			return *c.span
		}
	}
	return span{}
}

// A matcher holds objects against filters.
type matcher struct{ zone *time.Location } // of floating times

func (x matcher) expander(o *Object) *ical.Expander {
	zone := x.zone
	if loc, ok := wintz.Location(o.FloatingZone); ok {
		zone = loc
	}
	return &ical.Expander{FloatingZone: zone, All: true}
}

// object reports whether the filter finds an object.
func (x matcher) object(f *compFilter, o *Object) (bool, error) {
	if f.bare() {
		return true, nil // all are events
	}
	cal, _, err := ical.Parse(o.Text, ical.Limits{})
	if errors.Is(err, ical.ErrNotCalendar) || err == nil && len(cal.Components) == 0 {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return f.matches(cal.Components[0], func(s span) bool { return x.overlaps(cal, o, s) }), nil
}

// bare: the filter asks for nothing but events.
func (f *compFilter) bare() bool {
	return !f.absent && len(f.props) == 0 && len(f.comps) == 1 && f.comps[0].name == "VEVENT" && !f.comps[0].absent &&
		f.comps[0].span == nil && len(f.comps[0].props)+len(f.comps[0].comps) == 0
}

// matches reports whether f holds of a component of its name; overlaps says whether
// an event has an instance in a span.
func (f *compFilter) matches(c *ical.Component, overlaps func(span) bool) bool {
	for i := range f.props {
		if !f.props[i].matches(c) {
			return false
		}
	}
	for i := range f.comps {
		sub := &f.comps[i]
		found := false
		for _, child := range c.Components {
			if child.Name == sub.name && (sub.absent || sub.matches(child, overlaps)) {
				found = true
				break
			}
		}
		if found && !sub.absent && sub.span != nil {
			found = sub.name == "VEVENT" && overlaps(*sub.span)
		}
		if found == sub.absent {
			return false
		}
	}
	return true
}

func (f *propFilter) matches(c *ical.Component) bool {
	found := false
	for p := range c.All(f.name) {
		if f.absent {
			return false
		}
		ok := f.text.matches(p.Text())
		for i := range f.params {
			ok = ok && f.params[i].matchesParam(p)
		}
		found = found || ok
	}
	return found || f.absent
}

func (f *propFilter) matchesParam(p *ical.Property) bool {
	for _, q := range p.Params {
		if q.Name == f.name {
			return !f.absent && f.text.matches(strings.Join(q.Values, ","))
		}
	}
	return f.absent
}

// matches may be called on nil, which any text does.
func (t *textMatch) matches(s string) bool {
	return t == nil || strings.Contains(t.fold(s), t.text) != t.negate
}

// overlaps reports whether an object has an instance in a span. Of a span without
// one of its ends the whole of the series is looked at.
func (x matcher) overlaps(cal *ical.Calendar, o *Object, s span) bool {
	e := x.expander(o)
	groups := ical.Groups(cal)
	for i := range groups {
		g := &groups[i]
		if s.from.IsZero() || s.to.IsZero() {
			all, ok := e.Span(g)
			if ok && (s.to.IsZero() || all.First.Before(s.to)) && (s.from.IsZero() || all.Endless || all.Last.After(s.from) || all.Last.Equal(all.First) && all.Last.Equal(s.from)) {
				return true
			}
			continue
		}
		if list, _ := e.Expand(g, s.from, s.to); len(list) > 0 {
			return true
		}
	}
	return false
}
