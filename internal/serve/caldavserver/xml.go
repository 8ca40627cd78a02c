package caldavserver

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"busybridge/internal/spec/soap"
)

const (
	davNS   = "DAV:"
	calNS   = "urn:ietf:params:xml:ns:caldav"
	serNS   = "http://calendarserver.org/ns/"
	appleNS = "http://apple.com/ns/ical/"

	xmlHeader  = `<?xml version="1.0" encoding="utf-8"?>` + "\n"
	namespaces = `xmlns:D="` + davNS + `" xmlns:C="` + calNS + `" xmlns:S="` + serNS + `" xmlns:A="` + appleNS + `"`
)

var prefixes = map[string]string{davNS: "D", calNS: "C", serNS: "S", appleNS: "A"}

// A name is that of an element.
type name struct{ space, local string }

func nameOf(e *soap.Element) name { return name{e.Space, e.Local} }

// append appends an element; content may be nil.
func (n name) append(b []byte, content func([]byte) []byte) []byte {
	tag := n.local
	b = append(b, '<')
	switch p, ok := prefixes[n.space]; {
	case ok:
		tag = p + ":" + n.local
		b = append(b, tag...)
	case n.space == "":
		b = append(b, tag...)
	default:
		tag = "X:" + n.local
		b = append(append(b, tag...), ` xmlns:X="`...)
		b = append(soap.AppendAttr(b, n.space), '"')
	}
	b = append(b, '>')
	at := len(b)
	if content != nil {
		b = content(b)
	}
	if len(b) == at {
		return append(b[:at-1], "/>"...)
	}
	b = append(append(b, "</"...), tag...)
	return append(b, '>')
}

func appendHref(b []byte, href string) []byte {
	return append(soap.AppendText(append(b, "<D:href>"...), href), "</D:href>"...)
}

// body reads the XML of a request; nil: there is none.
func (c *call) body() (*soap.Element, error) {
	if c.r.ContentLength == 0 {
		return nil, nil
	}
	e, err := soap.ReadXML(c.r.Body, c.cfg.MaxBody)
	if syntax, ok := errors.AsType[*soap.SyntaxError](err); ok {
		if c.r.ContentLength < 0 && syntax.Line <= 1 && syntax.Col <= 1 { // chunked, and empty
			return nil, nil
		}
		return nil, badRequest("The XML cannot be read: %v.", syntax)
	}
	switch {
	case errors.Is(err, soap.ErrTooLarge):
		return nil, &problem{status: http.StatusRequestEntityTooLarge, text: "The request is too large."}
	case err != nil:
		return nil, badRequest("The request cannot be read.")
	}
	return e, nil
}

// root is body for a request that must have one of that name.
func (c *call) root(n name) (*soap.Element, error) {
	e, err := c.body()
	if err == nil && (e == nil || nameOf(e) != n) {
		err = badRequest("The body has to be %s.", n.local)
	}
	return e, err
}

// A multistatus is an answer about several resources (RFC 4918 13). It is written at
// once, so that what it is made of need not wait for the network.
type multistatus struct{ b []byte }

func newMultistatus() *multistatus {
	return &multistatus{append(make([]byte, 0, 4<<10), xmlHeader+`<D:multistatus `+namespaces+`>`...)}
}

var errTooMuch = &problem{http.StatusInsufficientStorage, name{davNS, "number-of-matches-within-limits"}, "", "The answer would be too large: ask for less."}

// status appends a response without properties.
func (m *multistatus) status(href string, status int, condition name) {
	m.b = appendHref(append(m.b, "<D:response>"...), href)
	m.b = appendStatus(m.b, status)
	if condition.local != "" {
		m.b = name{davNS, "error"}.append(m.b, func(b []byte) []byte { return condition.append(b, nil) })
	}
	m.b = append(m.b, "</D:response>"...)
}

func appendStatus(b []byte, status int) []byte {
	return fmt.Appendf(b, "<D:status>HTTP/1.1 %d %s</D:status>", status, http.StatusText(status))
}

// full says that no more fits in.
func (m *multistatus) full() error {
	if len(m.b) > maxAnswer {
		return errTooMuch
	}
	return nil
}

func (c *call) multistatus(m *multistatus) error {
	return c.write(http.StatusMultiStatus, "application/xml; charset=utf-8", append(m.b, "</D:multistatus>\n"...))
}

// depth is the Depth header: 0, 1, or 2 for infinity, which is what is meant where
// there is none (RFC 4918 9.1).
func (c *call) depth() (int, error) {
	switch d := strings.ToLower(strings.TrimSpace(c.r.Header.Get("Depth"))); d {
	case "0":
		return 0, nil
	case "1":
		return 1, nil
	case "", "infinity":
		return 2, nil
	default:
		return 0, badRequest("Depth is 0, 1 or infinity.")
	}
}
