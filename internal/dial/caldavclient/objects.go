package caldavclient

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"busybridge/internal/dial/safehttp"
	"busybridge/internal/spec/soap"
)

// A Member is a resource of a calendar.
type Member struct{ Path, ETag string }

// Name is the resource's own in its calendar.
func (m *Member) Name() string {
	p, _, _ := strings.Cut(m.Path, "?")
	return unescaped(p[strings.LastIndexByte(p, '/')+1:])
}

// unescaped is the same for all ways to write a path.
func unescaped(p string) string {
	if u, err := url.PathUnescape(p); err == nil {
		return u
	}
	return p
}

// MemberOf is the resource of that name, whose ETag is not known.
func MemberOf(calendar, name string) Member {
	return Member{Path: strings.TrimSuffix(calendar, "/") + "/" + url.PathEscape(name)}
}

// SamePath reports whether two paths are of one resource.
func SamePath(a, b string) bool {
	return strings.TrimSuffix(unescaped(a), "/") == strings.TrimSuffix(unescaped(b), "/")
}

// Changes are what became different in a calendar.
type Changes struct {
	Token   string // for the next time
	Whole   bool   // Members are all that there are
	Members []Member
	Gone    []Member
}

// maxRounds bounds how often a server may say that there is more.
const maxRounds = 1000

// Sync asks what changed since the token (RFC 6578); "", or a token that the server
// forgot: it tells all.
func (s *Session) Sync(ctx context.Context, calendar, token string) (*Changes, error) {
	c, err := s.sync(ctx, calendar, token)
	if token != "" && Refused(err) {
		return s.sync(ctx, calendar, "")
	}
	return c, err
}

func (s *Session) sync(ctx context.Context, calendar, token string) (*Changes, error) {
	c := &Changes{Token: token, Whole: token == ""}
	for range maxRounds {
		body := append([]byte(`<sync-collection`+namespaces+`><sync-token>`), soap.AppendText(nil, c.Token)...)
		body = append(body, `</sync-token><sync-level>1</sync-level><prop><getetag/></prop></sync-collection>`...)
		root, at, err := s.document(ctx, "REPORT", calendar, "0", string(body), "multistatus")
		if err != nil {
			return nil, err
		}
		more := false
		for r := range responses(root) {
			for _, href := range r.hrefs {
				m, member, err := s.member(at, href, &r)
				switch {
				case err != nil:
					return nil, err
				case !member: // RFC 6578 3.6: the calendar itself, with 507
					more = more || r.status == http.StatusInsufficientStorage
				case r.status == http.StatusNotFound || r.status == http.StatusGone:
					c.Gone = append(c.Gone, m)
				default:
					c.Members = append(c.Members, m)
				}
			}
		}
		next := root.ChildText(nsDAV, "sync-token")
		if next == "" || more && next == c.Token {
			return nil, safehttp.Faultf(safehttp.FaultContent, "the answer has no new sync-token")
		}
		if c.Token = next; !more {
			return c, nil
		}
	}
	return nil, safehttp.Faultf(safehttp.FaultContent, "the answer has no end")
}

// member is a resource in a calendar; ok is false for the calendar itself and other
// collections.
func (s *Session) member(at, href string, r *response) (m Member, ok bool, err error) {
	p, err := s.path(at, href)
	if err != nil {
		return m, false, err
	}
	return Member{p, r.text(nsDAV, "getetag")}, !strings.HasSuffix(p, "/") && !SamePath(p, at), nil
}

// List are the resources with their ETags, but those that the server says to hold
// something else than events.
func (s *Session) List(ctx context.Context, calendar string) ([]Member, error) {
	// A calendar-query would leave out what the server cannot read, and we perhaps can.
	root, at, err := s.document(ctx, "PROPFIND", calendar, "1", `<propfind`+namespaces+`><prop><getetag/><getcontenttype/></prop></propfind>`, "multistatus")
	if err != nil {
		return nil, err
	}
	var list []Member
	for r := range responses(root) {
		m, ok, err := s.member(at, r.hrefs[0], &r)
		if err != nil {
			return nil, err
		}
		if ok && !otherComponent(r.text(nsDAV, "getcontenttype")) {
			list = append(list, m)
		}
	}
	return list, nil
}

// otherComponent: the content type has a component parameter (RFC 5545 8.1) that is
// of no event.
func otherComponent(contentType string) bool {
	_, params, err := mime.ParseMediaType(contentType)
	c := strings.ToUpper(params["component"])
	return err == nil && (c == "VTODO" || c == "VJOURNAL")
}

func query(props, filter string) string {
	return `<C:calendar-query` + namespaces + `><prop>` + props + `</prop><C:filter><C:comp-filter name="VCALENDAR">` + filter + `</C:comp-filter></C:filter></C:calendar-query>`
}

// An Object is a resource with its text. Of one that the server has but does not
// give there is none.
type Object struct {
	Member
	Text []byte
}

// A Window is a span of time; the zero Window is all.
type Window struct{ Start, End time.Time }

const instant = "20060102T150405Z"

func (w Window) attributes() string {
	return ` start="` + w.Start.UTC().Format(instant) + `" end="` + w.End.UTC().Format(instant) + `"`
}

// Query reads all objects with events, or the occurrences in a window, as the server
// expands them.
func (s *Session) Query(ctx context.Context, calendar string, w Window) ([]Object, error) {
	data, filter := `<C:calendar-data/>`, `<C:comp-filter name="VEVENT"/>`
	if w != (Window{}) {
		data = `<C:calendar-data><C:expand` + w.attributes() + `/></C:calendar-data>`
		filter = `<C:comp-filter name="VEVENT"><C:time-range` + w.attributes() + `/></C:comp-filter>`
	}
	root, at, err := s.document(ctx, "REPORT", calendar, "1", query(`<getetag/>`+data, filter), "multistatus")
	if err != nil {
		return nil, err
	}
	list, _, err := s.objects(root, at)
	return list, err
}

func (s *Session) objects(root *soap.Element, at string) (list []Object, gone []Member, err error) {
	for r := range responses(root) {
		for _, href := range r.hrefs {
			m, ok, err := s.member(at, href, &r)
			switch {
			case err != nil:
				return nil, nil, err
			case !ok:
			case r.status == http.StatusNotFound || r.status == http.StatusGone:
				gone = append(gone, m)
			default:
				o := Object{Member: m}
				if d := r.prop(nsCalDAV, "calendar-data"); d != nil {
					o.Text = []byte(d.Text)
				}
				list = append(list, o)
			}
		}
	}
	return list, gone, nil
}

// batch is how many objects are asked for at once.
const batch = 100

// Get reads objects. One that breaks the answer does not take the others with it, and
// one that went away meanwhile is not in the list.
func (s *Session) Get(ctx context.Context, calendar string, members []Member) ([]Object, error) {
	var out []Object
	for len(members) > 0 {
		n := min(batch, len(members))
		list, err := s.some(ctx, calendar, members[:n])
		if err != nil {
			return nil, err
		}
		out, members = append(out, list...), members[n:]
	}
	return out, nil
}

// some asks for a few objects at once and, if that fails because of one of them, for
// fewer.
func (s *Session) some(ctx context.Context, calendar string, members []Member) ([]Object, error) {
	list, err := s.multiget(ctx, calendar, members)
	switch {
	case err == nil:
		return list, nil
	case Refused(err) && !s.throttled(err):
		for _, m := range members {
			o, err := s.single(ctx, m)
			if err != nil {
				return nil, err
			}
			list = append(list, o...)
		}
		return list, nil
	case !brokenBy(err) || s.extra == 0:
		return nil, err
	case len(members) == 1:
		s.extra--
		return s.single(ctx, members[0])
	}
	s.extra--
	half := len(members) / 2
	if list, err = s.some(ctx, calendar, members[:half]); err != nil {
		return nil, err
	}
	rest, err := s.some(ctx, calendar, members[half:])
	return append(list, rest...), err
}

func (s *Session) throttled(err error) bool {
	f, ok := errors.AsType[*safehttp.FaultError](err)
	return ok && f.RetryAfter > 0
}

// brokenBy: one object may be the cause, which is written as XML cannot hold it, or
// which the server stumbles over.
func brokenBy(err error) bool {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.code == http.StatusInternalServerError && r.RetryAfter == 0
	}
	f, ok := errors.AsType[*safehttp.FaultError](err)
	return ok && f.Fault == safehttp.FaultContent
}

func (s *Session) multiget(ctx context.Context, calendar string, members []Member) ([]Object, error) {
	body := []byte(`<C:calendar-multiget` + namespaces + `><prop><getetag/><C:calendar-data/></prop>`)
	for _, m := range members {
		body = append(soap.AppendText(append(body, `<href>`...), m.Path), `</href>`...)
	}
	root, at, err := s.document(ctx, "REPORT", calendar, "1", string(body)+`</C:calendar-multiget>`, "multistatus")
	if err != nil {
		return nil, err
	}
	list, gone, err := s.objects(root, at)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(members))
	for i := range list {
		known[list[i].Name()] = true
	}
	for i := range gone {
		known[gone[i].Name()] = true
	}
	for _, m := range members {
		if !known[m.Name()] { // the server says nothing of it
			list = append(list, Object{Member: m})
		}
	}
	return list, nil
}

// single reads one object as a file; there is none in the list if it went away, and
// no text if the server does not give it.
func (s *Session) single(ctx context.Context, m Member) ([]Object, error) {
	a, err := s.send(ctx, http.MethodGet, m.Path, "", "", nil, http.StatusOK)
	switch {
	case isNotFound(err):
		return nil, nil
	case Refused(err) || brokenBy(err):
		return []Object{{Member: m}}, nil
	case err != nil:
		return nil, err
	}
	return []Object{{m, a.body}}, nil
}
