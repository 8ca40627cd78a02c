package caldavclient

import (
	"iter"
	"strconv"
	"strings"

	"busybridge/internal/spec/soap"
)

// The namespaces of WebDAV (RFC 4918), CalDAV (RFC 4791), and of what Apple's server
// added (getctag).
const (
	nsDAV    = "DAV:"
	nsCalDAV = "urn:ietf:params:xml:ns:caldav"
	nsCS     = "http://calendarserver.org/ns/"
)

const (
	xmlHead    = `<?xml version="1.0" encoding="utf-8"?>` + "\n"
	namespaces = ` xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:S="http://calendarserver.org/ns/"`
)

// responses yields the responses of a multistatus (RFC 4918 14.24): the href as it
// is written, the status of the resource where it has one (0: none), and the
// properties that were found.
func responses(root *soap.Element) iter.Seq[response] {
	return func(yield func(response) bool) {
		for _, r := range root.Children {
			if !r.Is(nsDAV, "response") {
				continue
			}
			out := response{status: statusOf(r)}
			for _, c := range r.Children {
				switch {
				case c.Is(nsDAV, "href"):
					out.hrefs = append(out.hrefs, c.Trimmed())
				case c.Is(nsDAV, "propstat") && statusOf(c)/100 == 2:
					if p := c.Child(nsDAV, "prop"); p != nil {
						out.props = append(out.props, p.Children...)
					}
				}
			}
			if len(out.hrefs) > 0 && !yield(out) {
				return
			}
		}
	}
}

type response struct {
	hrefs  []string // one, but for those of which there is only a status
	status int
	props  []*soap.Element
}

// prop is the property of that name, nil if it was not found.
func (r *response) prop(space, local string) *soap.Element {
	for _, p := range r.props {
		if p.Is(space, local) {
			return p
		}
	}
	return nil
}

func (r *response) text(space, local string) string {
	if p := r.prop(space, local); p != nil {
		return p.Trimmed()
	}
	return ""
}

// links are the hrefs in a property.
func (r *response) links(space, local string) (list []string) {
	if p := r.prop(space, local); p != nil {
		for _, c := range p.Children {
			if c.Is(nsDAV, "href") && c.Trimmed() != "" {
				list = append(list, c.Trimmed())
			}
		}
	}
	return list
}

// statusOf is the code of "HTTP/1.1 200 OK"; 0: there is none.
func statusOf(e *soap.Element) int {
	f := strings.Fields(e.ChildText(nsDAV, "status"))
	if len(f) < 2 {
		return 0
	}
	n, err := strconv.Atoi(f[1])
	if err != nil {
		return 0
	}
	return n
}
