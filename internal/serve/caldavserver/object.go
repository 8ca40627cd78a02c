package caldavserver

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/ical"
)

const contentType = "text/calendar; charset=utf-8; component=vevent"

var zeroTime time.Time

// get answers GET and HEAD.
func (c *call) get() error {
	if err := c.there(); err != nil {
		return err
	}
	o := c.resource.object
	h := c.w.Header()
	h.Set("ETag", quote(o.ETag))
	h.Set("Last-Modified", o.Changed.UTC().Format(http.TimeFormat))
	switch tags := c.r.Header.Values("If-Match"); {
	case len(tags) > 0 && !matches(tags, o.ETag, true):
		return ErrPrecondition
	case matches(c.r.Header.Values("If-None-Match"), o.ETag, false):
		return c.empty(http.StatusNotModified)
	}
	return c.write(http.StatusOK, contentType, o.Text)
}

// matches reports whether the lines of If-Match or If-None-Match name the tag; only
// the strong ones do for a change (RFC 9110 13.1).
func matches(lines []string, etag string, strong bool) bool {
	for _, t := range tags(lines) {
		if t == "*" || t == quote(etag) || !strong && t == "W/"+quote(etag) {
			return true
		}
	}
	return false
}

func tags(lines []string) (list []string) {
	for _, line := range lines {
		for t := range strings.SplitSeq(line, ",") {
			if t = strings.TrimSpace(t); t != "" {
				list = append(list, t)
			}
		}
	}
	return list
}

// condition reads If-Match and If-None-Match for a change. Where several tags are
// given, that of the object as it is stands for all: it is held against the object
// again when it is changed.
func (c *call) condition() (cond Condition, err error) {
	match, none := tags(c.r.Header.Values("If-Match")), tags(c.r.Header.Values("If-None-Match"))
	cond.Exists, cond.Absent = slices.Contains(match, "*"), slices.Contains(none, "*")
	match = slices.DeleteFunc(match, func(t string) bool { return t == "*" })
	none = slices.DeleteFunc(none, func(t string) bool { return t == "*" })
	if len(match)+len(none) == 0 {
		return cond, nil
	}
	err = c.there()
	switch o := c.resource.object; {
	case errors.Is(err, errNotFound) && len(match) == 0:
		cond.Absent = true
	case errors.Is(err, errNotFound):
		return cond, ErrPrecondition
	case err != nil:
		return cond, err
	case len(match) > 0 && !matches(match, o.ETag, true), matches(none, o.ETag, false):
		return cond, ErrPrecondition
	default:
		cond.ETag = o.ETag
	}
	return cond, nil
}

// put answers PUT.
func (c *call) put() error {
	if err := c.own(); err != nil {
		return err
	}
	if t, ok := c.mediaType(); !ok || t != "text/calendar" && t != "" {
		return broken("supported-calendar-data", "Objects of a calendar are text/calendar.")
	}
	text, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, c.cfg.MaxBody))
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return ErrTooLarge
		}
		return badRequest("The request cannot be read.")
	}
	if err := c.acceptable(text); err != nil {
		return err
	}
	cond, err := c.condition()
	if err != nil {
		return err
	}
	r := &c.resource
	etag, created, err := c.cfg.Calendars.PutObject(c.r.Context(), r.owner, r.folder.Name, r.name, text, cond)
	if err != nil {
		return err
	}
	c.w.Header().Set("ETag", quote(etag))
	if created {
		return c.empty(http.StatusCreated)
	}
	return c.empty(http.StatusNoContent)
}

// acceptable checks what is put (RFC 4791 4.1, 5.3.2.1): one event or series, and
// nothing that would be sent.
func (c *call) acceptable(text []byte) error {
	cal, _, err := ical.Parse(text, ical.Limits{Bytes: int(c.cfg.MaxBody)})
	if err != nil {
		return broken("valid-calendar-data", "The text is no iCalendar object.")
	}
	invalid := func(text string) error { return broken("valid-calendar-object-resource", "%s", text) }
	if len(cal.Components) != 1 || cal.Components[0].Name != "VCALENDAR" {
		return broken("valid-calendar-data", "The text is not one VCALENDAR.")
	}
	if cal.Components[0].Get("METHOD") != nil {
		return invalid("An object of a calendar has no METHOD.")
	}
	uid, events := "", 0
	for _, part := range cal.Components[0].Components {
		switch part.Name {
		case "VEVENT":
			p := part.Get("UID")
			if p == nil || strings.TrimSpace(p.Value) == "" {
				return invalid("An event has no UID.")
			}
			if events++; events > 1 && p.Text() != uid {
				return invalid("The events have several UIDs.")
			}
			uid = p.Text()
		case "VTODO", "VJOURNAL", "VFREEBUSY", "VAVAILABILITY", "VPOLL":
			return broken("supported-calendar-component", "Calendars have events here, and no %s.", part.Name)
		}
	}
	if events == 0 {
		return invalid("There is no event in it.")
	}
	return nil
}

// delete answers DELETE.
func (c *call) delete() error {
	if err := c.own(); err != nil {
		return err
	}
	r := &c.resource
	if r.kind == calendarKind {
		if err := c.there(); err != nil {
			return err
		}
		if err := c.cfg.Calendars.DeleteFolder(c.r.Context(), c.caller, r.name); err != nil {
			return err
		}
		return c.empty(http.StatusNoContent)
	}
	err := c.there() // a VAVAILABILITY is none
	if err != nil && !errors.Is(err, errNotFound) {
		return err
	}
	cond, condErr := c.condition()
	switch {
	case condErr != nil:
		return condErr
	case err != nil && cond.Exists:
		return ErrPrecondition
	case err != nil:
		return err
	}
	if err := c.cfg.Calendars.DeleteObject(c.r.Context(), r.owner, r.folder.Name, r.name, cond); err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}

// textOf reads the text of an object where it was not.
func (c *call) textOf(r *resource) error {
	if r.object.Text != nil {
		return nil
	}
	o, err := c.cfg.Calendars.Object(c.r.Context(), r.owner, r.folder.Name, r.object.Name)
	if errors.Is(err, directory.ErrNotFound) {
		return directory.ErrCalendarChanged
	}
	if err == nil {
		r.object = o
	}
	return err
}
