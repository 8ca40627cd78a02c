package caldavserver

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/serve/mount"
	"busybridge/internal/spec/soap"
)

// A problem is what is answered to a request that cannot be met. A condition is the
// element of RFC 4918 16, of the specification that knows it.
type problem struct {
	status    int
	condition name
	href      string // within the condition
	text      string // for people
}

func (p *problem) Error() string { return p.text }

var errNotFound = &problem{status: http.StatusNotFound, text: "There is no such resource."}

func readOnly(text string) *problem {
	return &problem{status: http.StatusForbidden, condition: name{davNS, "need-privileges"}, text: text}
}

// broken is a precondition of CalDAV that does not hold (RFC 4791 1.3).
func broken(condition, format string, args ...any) *problem {
	return &problem{status: http.StatusForbidden, condition: name{calNS, condition}, text: fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) *problem {
	return &problem{status: http.StatusBadRequest, text: fmt.Sprintf(format, args...)}
}

// conditions are what the errors of Calendars are answered with.
var conditions = []struct {
	err error
	p   problem
}{
	{directory.ErrNotFound, *errNotFound},
	{ErrObject, problem{http.StatusForbidden, name{calNS, "valid-calendar-data"}, "", "The text is not one event or series that can be read."}},
	{ErrTooLarge, problem{http.StatusForbidden, name{calNS, "max-resource-size"}, "", "The object is too large."}},
	{ErrToken, problem{http.StatusForbidden, name{davNS, "valid-sync-token"}, "", "The sync token is not known, or too old: read all."}},
	{ErrReadOnly, problem{http.StatusForbidden, name{davNS, "need-privileges"}, "", "That is not to be changed here."}},
	{ErrPrecondition, problem{http.StatusPreconditionFailed, name{}, "", "The object is not as the request says."}},
	{ErrName, problem{http.StatusForbidden, name{}, "", "The name cannot be kept."}},
	{ErrTooMany, problem{http.StatusInsufficientStorage, name{davNS, "quota-not-exceeded"}, "", "The mailbox has too many calendars."}},
	{directory.ErrCalendarChanged, problem{http.StatusServiceUnavailable, name{}, "", "The calendar changes too fast: try again."}},
}

// fail answers a request that cannot be met. What has no answer is for the log.
func (c *call) fail(err error) error {
	p, ok := errors.AsType[*problem](err)
	if !ok {
		if u, is := errors.AsType[*UIDConflictError](err); is {
			p, ok = broken("no-uid-conflict", "The UID is that of another object, or the object has another."), true
			p.href = calendarOf(c.resource.owner, c.resource.folder.Name) + url.PathEscape(u.Name)
		}
	}
	if !ok {
		i := slices.IndexFunc(conditions, func(k struct {
			err error
			p   problem
		}) bool {
			return errors.Is(err, k.err)
		})
		if i < 0 {
			return err
		}
		p = &conditions[i].p
	}
	if p.status == http.StatusServiceUnavailable {
		c.w.Header().Set("Retry-After", "1")
	}
	if p.condition.local == "" {
		http.Error(c.w, p.text, p.status)
		return nil
	}
	mount.AddAttrs(c.r.Context(), slog.String("fault", p.condition.local))
	b := []byte(xmlHeader + `<D:error ` + namespaces + `>`)
	b = p.condition.append(b, func(b []byte) []byte {
		if p.href != "" {
			b = appendHref(b, p.href)
		}
		return b
	})
	b = append(b, "<D:responsedescription>"...)
	b = soap.AppendText(b, p.text)
	b = append(b, "</D:responsedescription></D:error>\n"...)
	return c.write(p.status, "application/xml; charset=utf-8", b)
}

func (c *call) write(status int, contentType string, body []byte) error {
	h := c.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "private, no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	c.w.WriteHeader(status)
	if c.r.Method == http.MethodHead {
		return nil
	}
	_, err := c.w.Write(body)
	return err
}

// empty answers without a body.
func (c *call) empty(status int) error {
	if status != http.StatusNoContent {
		c.w.Header().Set("Content-Length", "0")
	}
	c.w.WriteHeader(status)
	return nil
}

// allow is the Allow header.
func (c *call) allow() string {
	var list []string
	for i := range c.methods {
		if m := &c.methods[i]; m.allowedOn(c.resource.kind) {
			list = append(list, m.name)
		}
	}
	return strings.Join(list, ", ")
}
