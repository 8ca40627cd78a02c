package caldavserver

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/spec/soap"
)

// A property is one that the server knows. value appends what is in it; ok is false
// where the resource has none of it.
type property struct {
	name  name
	all   bool // part of DAV:allprop (RFC 4791 5.2 wants little there)
	value func(c *call, r *resource, b []byte) (_ []byte, ok bool)
}

// The names of properties that may be set.
var (
	displayName  = name{davNS, "displayname"}
	resourceType = name{davNS, "resourcetype"}
	transparency = name{calNS, "schedule-calendar-transp"}
	timezone     = name{calNS, "calendar-timezone"}
	components   = name{calNS, "supported-calendar-component-set"}
	hours        = name{calNS, "calendar-availability"}
	calendarData = name{calNS, "calendar-data"}
)

// hoursObject is the object of the main calendar that calendar-availability is.
const hoursObject = "calendar-availability.ics"

// properties are those that the server makes; what a program has set is beside them.
var properties = []property{
	{resourceType, true, func(_ *call, r *resource, b []byte) ([]byte, bool) {
		switch r.kind {
		case objectKind:
			return b, true
		case principalKind:
			return append(b, "<D:collection/><D:principal/>"...), true
		case calendarKind:
			return append(b, "<D:collection/><C:calendar/>"...), true
		case inboxKind:
			return append(b, "<D:collection/><C:schedule-inbox/>"...), true
		case outboxKind:
			return append(b, "<D:collection/><C:schedule-outbox/>"...), true
		}
		return append(b, "<D:collection/>"...), true
	}},
	{displayName, true, func(_ *call, r *resource, b []byte) ([]byte, bool) {
		switch r.kind {
		case principalKind, homeKind:
			return soap.AppendText(b, r.owner.DisplayName), true
		case calendarKind:
			if s, ok := r.folder.Properties[displayName.key()]; ok {
				return soap.AppendText(b, s), true
			}
			if r.name == "" {
				return append(b, directory.MainFolder...), true
			}
			return soap.AppendText(b, r.name), true
		}
		return b, false
	}},
	{name{davNS, "getetag"}, true, func(_ *call, r *resource, b []byte) ([]byte, bool) {
		if r.kind != objectKind {
			return b, false
		}
		return soap.AppendText(b, quote(r.object.ETag)), true
	}},
	{name{davNS, "getcontenttype"}, true, func(_ *call, r *resource, b []byte) ([]byte, bool) {
		return append(b, contentType...), r.kind == objectKind
	}},
	{name{davNS, "getlastmodified"}, true, func(_ *call, r *resource, b []byte) ([]byte, bool) {
		if r.kind != objectKind {
			return b, false
		}
		return r.object.Changed.UTC().AppendFormat(b, http.TimeFormat), true
	}},
	{name{davNS, "getcontentlength"}, true, func(_ *call, r *resource, b []byte) ([]byte, bool) {
		if r.kind != objectKind || r.object.Text == nil {
			return b, false
		}
		return strconv.AppendInt(b, int64(len(r.object.Text)), 10), true
	}},
	{name{davNS, "current-user-principal"}, false, func(c *call, _ *resource, b []byte) ([]byte, bool) { // RFC 5397
		return appendHref(b, principalOf(c.caller.Recipient)), true
	}},
	{name{davNS, "principal-URL"}, false, hrefOf(principalOf, principalKind)},
	{name{davNS, "principal-collection-set"}, false, func(_ *call, _ *resource, b []byte) ([]byte, bool) {
		return appendHref(b, href("principals")), true
	}},
	{name{davNS, "owner"}, false, func(_ *call, r *resource, b []byte) ([]byte, bool) {
		if r.owner == nil {
			return b, false
		}
		return appendHref(b, principalOf(r.owner)), true
	}},
	{name{davNS, "current-user-privilege-set"}, false, privileges},
	{name{davNS, "supported-report-set"}, false, func(c *call, r *resource, b []byte) ([]byte, bool) {
		for i := range c.reports {
			if rep := &c.reports[i]; slices.Contains(rep.on, r.kind) {
				b = append(b, "<D:supported-report><D:report>"...)
				b = rep.name.append(b, nil)
				b = append(b, "</D:report></D:supported-report>"...)
			}
		}
		return b, true
	}},
	{name{davNS, "sync-token"}, false, func(c *call, r *resource, b []byte) ([]byte, bool) { // RFC 6578 4
		if r.kind != calendarKind {
			return b, false
		}
		return soap.AppendText(b, writeToken(c.cfg.Calendars.SyncToken(r.folder))), true
	}},
	{name{serNS, "getctag"}, false, func(_ *call, r *resource, b []byte) ([]byte, bool) {
		if r.kind != calendarKind {
			return b, false
		}
		return strconv.AppendInt(b, r.folder.Version, 10), true
	}},
	{name{calNS, "calendar-home-set"}, false, hrefOf(homeOf, principalKind)},
	{name{calNS, "schedule-inbox-URL"}, false, hrefOf(inboxOf, principalKind)},
	{name{calNS, "schedule-outbox-URL"}, false, hrefOf(outboxOf, principalKind)},
	{name{calNS, "schedule-default-calendar-URL"}, false, hrefOf(func(r *directory.Recipient) string { return calendarOf(r, "") }, inboxKind)},
	{name{calNS, "calendar-user-address-set"}, false, func(_ *call, r *resource, b []byte) ([]byte, bool) {
		if r.kind != principalKind {
			return b, false
		}
		for _, a := range r.owner.Addresses() {
			b = appendHref(b, "mailto:"+a.String())
		}
		return appendHref(b, principalOf(r.owner)), true
	}},
	{name{calNS, "calendar-user-type"}, false, func(_ *call, r *resource, b []byte) ([]byte, bool) {
		if r.kind != principalKind {
			return b, false
		}
		switch r.owner.Type {
		case directory.RoomMailbox:
			return append(b, "ROOM"...), true
		case directory.EquipmentMailbox:
			return append(b, "RESOURCE"...), true
		}
		return append(b, "INDIVIDUAL"...), true
	}},
	{transparency, false, func(_ *call, r *resource, b []byte) ([]byte, bool) { // RFC 6638 9.1
		if r.kind != calendarKind {
			return b, false
		}
		if r.folder.Transparent {
			return append(b, "<C:transparent/>"...), true
		}
		return append(b, "<C:opaque/>"...), true
	}},
	{components, false, onCalendar(`<C:comp name="VEVENT"/>`)},
	{name{calNS, "supported-calendar-data"}, false, onCalendar(`<C:calendar-data content-type="text/calendar" version="2.0"/>`)},
	{name{calNS, "supported-collation-set"}, false, onCalendar(`<C:supported-collation>i;ascii-casemap</C:supported-collation><C:supported-collation>i;octet</C:supported-collation><C:supported-collation>i;unicode-casemap</C:supported-collation>`)},
	{name{calNS, "max-resource-size"}, false, func(c *call, r *resource, b []byte) ([]byte, bool) {
		return strconv.AppendInt(b, c.cfg.MaxBody, 10), r.kind == calendarKind
	}},
}

// hrefOf is a property of resources of one kind that says where another is.
func hrefOf(of func(*directory.Recipient) string, k kind) func(*call, *resource, []byte) ([]byte, bool) {
	return func(_ *call, r *resource, b []byte) ([]byte, bool) {
		if r.kind != k {
			return b, false
		}
		return appendHref(b, of(r.owner)), true
	}
}

func onCalendar(value string) func(*call, *resource, []byte) ([]byte, bool) {
	return func(_ *call, r *resource, b []byte) ([]byte, bool) {
		return append(b, value...), r.kind == calendarKind
	}
}

// privileges are what the caller may do (RFC 3744 5.4, RFC 6638 6).
func privileges(_ *call, r *resource, b []byte) ([]byte, bool) {
	list := []string{"<D:read/>", "<D:read-current-user-privilege-set/>"}
	copied := r.folder != nil && directory.IsSourceFolder(r.folder.Name)
	switch {
	case r.kind == outboxKind:
		list = append(list, "<C:schedule-send-freebusy/>")
	case r.foreign || copied || r.kind == rootKind || r.kind == principalKind:
	case r.kind == homeKind:
		list = append(list, "<D:bind/>", "<D:unbind/>")
	case r.kind == inboxKind:
		list = append(list, "<D:write-properties/>", "<C:schedule-query-freebusy/>")
	default:
		list = append(list, "<D:write/>", "<D:write-properties/>", "<D:write-content/>", "<D:bind/>", "<D:unbind/>")
	}
	if r.kind == calendarKind || r.kind == homeKind {
		list = append(list, "<C:read-free-busy/>")
	}
	for _, p := range list {
		b = append(append(append(b, "<D:privilege>"...), p...), "</D:privilege>"...)
	}
	return b, true
}

func (n name) key() string { return "{" + n.space + "}" + n.local }

// nameOfKey is the name of a property that is kept.
func nameOfKey(key string) name {
	space, local, _ := strings.Cut(strings.TrimPrefix(key, "{"), "}")
	return name{space, local}
}

func known(n name) *property {
	for i := range properties {
		if properties[i].name == n {
			return &properties[i]
		}
	}
	return nil
}

// A selection is what a PROPFIND or a report asks for (RFC 4918 14.20).
type selection struct {
	names     []*soap.Element // by name
	all, only bool            // allprop; propname
}

// selected reads prop, allprop or propname among the children of e.
func selected(e *soap.Element) (s selection, err error) {
	if e == nil {
		return selection{all: true}, nil
	}
	for _, c := range e.Children {
		switch nameOf(c) {
		case name{davNS, "allprop"}:
			s.all = true
		case name{davNS, "propname"}:
			s.all, s.only = true, true
		case name{davNS, "prop"}, name{davNS, "include"}:
			s.names = append(s.names, c.Children...)
		}
	}
	if len(s.names) > 256 {
		return s, badRequest("More than 256 properties.")
	}
	return s, nil
}

// wants says whether a property is asked for, by name.
func (s *selection) wants(n name) *soap.Element {
	for _, e := range s.names {
		if nameOf(e) == n {
			return e
		}
	}
	return nil
}

// properties appends the response about one resource (RFC 4918 14.24).
func (c *call) properties(m *multistatus, r *resource, at string, s *selection) error {
	m.b = appendHref(append(m.b, "<D:response>"...), at)
	begin := len(m.b)
	m.b = append(m.b, "<D:propstat><D:prop>"...)
	empty := len(m.b)
	var missing []name
	one := func(n name, value func([]byte) ([]byte, bool)) {
		had := true
		start := len(m.b)
		m.b = n.append(m.b, func(b []byte) []byte {
			v, ok := value(b)
			if had = ok; !ok || s.only {
				return b
			}
			return v
		})
		if !had {
			m.b = m.b[:start]
			missing = append(missing, n)
		}
	}
	var failed error
	for _, e := range s.names {
		n := nameOf(e)
		p := known(n)
		one(n, func(b []byte) ([]byte, bool) {
			switch {
			case p != nil:
				return p.value(c, r, b)
			case n == calendarData && r.kind == objectKind:
				b, err := c.calendarData(b, r, e)
				failed = errors.Join(failed, err)
				return b, err == nil
			case n == hours && r.kind == inboxKind:
				b, ok, err := c.availability(b, r)
				failed = errors.Join(failed, err)
				return b, ok
			case r.kind == calendarKind:
				v, ok := r.folder.Properties[n.key()]
				return soap.AppendText(b, v), ok
			}
			return b, false
		})
	}
	if s.all {
		for i := range properties {
			if p := &properties[i]; (p.all || s.only) && s.wants(p.name) == nil {
				one(p.name, func(b []byte) ([]byte, bool) { return p.value(c, r, b) })
			}
		}
		missing = nil
		if r.kind == calendarKind {
			for _, key := range sortedKeys(r.folder.Properties) {
				if n := nameOfKey(key); known(n) == nil && s.wants(n) == nil && (n.space != calNS || s.only) {
					one(n, func(b []byte) ([]byte, bool) { return soap.AppendText(b, r.folder.Properties[key]), true })
				}
			}
		}
	}
	if len(m.b) == empty && len(missing) > 0 && !c.minimal() {
		m.b = m.b[:begin]
	} else {
		m.b = appendStatus(append(m.b, "</D:prop>"...), http.StatusOK)
		m.b = append(m.b, "</D:propstat>"...)
	}
	if len(missing) > 0 && !c.minimal() {
		m.propstat(missing, http.StatusNotFound, name{})
	}
	m.b = append(m.b, "</D:response>"...)
	return failed
}

// propstat appends names of one status.
func (m *multistatus) propstat(names []name, status int, condition name) {
	m.b = append(m.b, "<D:propstat><D:prop>"...)
	for _, n := range names {
		m.b = n.append(m.b, nil)
	}
	m.b = appendStatus(append(m.b, "</D:prop>"...), status)
	if condition.local != "" {
		m.b = name{davNS, "error"}.append(m.b, func(b []byte) []byte { return condition.append(b, nil) })
	}
	m.b = append(m.b, "</D:propstat>"...)
}

// minimal: what is not there need not be told (RFC 8144 2.1).
func (c *call) minimal() bool {
	for _, line := range c.r.Header.Values("Prefer") {
		for p := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.ReplaceAll(strings.TrimSpace(p), " ", ""), "return=minimal") {
				return true
			}
		}
	}
	return false
}

// availability is the calendar-availability of a mailbox (RFC 7953 7.2.4).
func (c *call) availability(b []byte, r *resource) ([]byte, bool, error) {
	o, err := c.cfg.Calendars.Object(c.r.Context(), r.owner, "", hoursObject)
	if errors.Is(err, directory.ErrNotFound) {
		return b, false, nil
	}
	if err != nil {
		return b, false, err
	}
	return soap.AppendText(b, string(o.Text)), true, nil
}

// propfind answers PROPFIND.
func (c *call) propfind() error {
	depth, err := c.depth()
	if err != nil {
		return err
	}
	if depth > 1 && c.resource.kind != objectKind {
		return &problem{http.StatusForbidden, name{davNS, "propfind-finite-depth"}, "", "Depth is 0 or 1."}
	}
	e, err := c.body()
	if err == nil && e != nil && nameOf(e) != (name{davNS, "propfind"}) {
		err = badRequest("The body has to be propfind.")
	}
	if err != nil {
		return err
	}
	s, err := selected(e)
	if err == nil {
		err = c.there()
	}
	if err != nil {
		return err
	}
	m := newMultistatus()
	r := &c.resource
	if err := c.properties(m, r, r.href(), &s); err != nil {
		return err
	}
	if depth == 1 {
		if err := c.children(m, &s); err != nil {
			return err
		}
	}
	return c.multistatus(m)
}

// children appends what is within a collection.
func (c *call) children(m *multistatus, s *selection) error {
	r := &c.resource
	ctx := c.r.Context()
	switch r.kind {
	case homeKind:
		list, err := c.cfg.Calendars.Folders(ctx, r.owner)
		if err != nil {
			return err
		}
		for i := range list {
			f := &list[i]
			if f.Name == "." || f.Name == ".." { // no URL names those
				continue
			}
			child := resource{kind: calendarKind, owner: r.owner, folder: f, name: f.Name, foreign: r.foreign}
			if err := c.properties(m, &child, child.href(), s); err != nil {
				return err
			}
		}
	case calendarKind:
		objects := c.cfg.Calendars.Objects(ctx, r.owner, r.folder.Name)
		if s.only || s.wants(calendarData) != nil || s.wants(name{davNS, "getcontentlength"}) != nil {
			objects = c.cfg.Calendars.ObjectsWithin(ctx, r.owner, r.folder.Name, zeroTime, zeroTime)
		}
		for o, err := range objects {
			if err == nil {
				err = m.full()
			}
			if err != nil {
				return err
			}
			if o.Availability {
				continue
			}
			child := r.child(o)
			if err := c.properties(m, &child, child.href(), s); err != nil {
				return err
			}
		}
	}
	return nil
}

// child is an object of a calendar.
func (r *resource) child(o *Object) resource {
	return resource{kind: objectKind, owner: r.owner, folder: r.folder, name: o.Name, object: o, foreign: r.foreign}
}

func (m *method) allowedOn(k kind) bool { return m.on == nil || slices.Contains(m.on, k) }

func quote(etag string) string { return `"` + etag + `"` }

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

const tokenPrefix = "urn:busybridge:sync:"

func writeToken(token string) string { return tokenPrefix + url.PathEscape(token) }

func readToken(s string) (string, error) {
	rest, ok := strings.CutPrefix(s, tokenPrefix)
	token, err := url.PathUnescape(rest)
	if !ok || err != nil || token == "" {
		return "", fmt.Errorf("%w: %.100q", ErrToken, s)
	}
	return token, nil
}
