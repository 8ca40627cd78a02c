package ews

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"busybridge/internal/spec/soap"
	"busybridge/internal/spec/wintz"
)

// An AvailabilityReader is ParseGetUserAvailabilityResponse for large answers. Nearly
// all of such a text are FreeBusyResponses that are written as Exchange writes them:
// no white space between tags, no prefixes, the types namespace declared where it
// begins. They are read from the bytes, and an empty element takes the place of each
// in what goes through the guard of package soap. Where that is not the element that
// was put there (but inside a comment, say, or in another namespace), or anything is
// wrong, the whole text goes through the guard.
type AvailabilityReader struct {
	toUTC func(wall time.Time) time.Time // nil: the clocks show UTC
	hours *HoursMemory                   // nil: none
	resp  *AvailabilityResponse          // of the text, when it was skimmed

	found []skimmed
	slab  []CalendarEvent
	days  [32]skimDay
	// The working hours that were read last: many mailboxes have the same.
	lastText  []byte
	lastHours *WorkingHours
}

// A skimmed FreeBusyResponse and the offset of the element in its place.
type skimmed struct {
	at int
	FreeBusyResponse
}

// A skimDay is a date that was read before.
type skimDay struct {
	text     [10]byte
	midnight int64 // Unix time
}

// NewAvailabilityReader is for one answer in the zone of its request; nil is UTC.
// The memory may be nil.
func NewAvailabilityReader(zone *wintz.Rule, hours *HoursMemory) *AvailabilityReader {
	r := &AvailabilityReader{hours: hours}
	if zone != nil && *zone != wintz.UTCRule {
		r.toUTC = zone.UTC
	}
	return r
}

// Parse makes an envelope of an answer for Response, see soap.ReadWith. It lacks
// what was skimmed.
func (a *AvailabilityReader) Parse(text []byte, limit int64) (*soap.Envelope, error) {
	if skeleton := a.skim(text); skeleton != nil {
		if env, err := soap.Parse(skeleton, limit); err == nil {
			if resp, rest, err := a.response(env, a.found); err == nil && len(rest) == 0 {
				a.resp = resp
				return env, nil
			}
			env.Release()
		}
	}
	return soap.Parse(text, limit)
}

// Response is the answer of the envelope.
func (a *AvailabilityReader) Response(env *soap.Envelope) (*AvailabilityResponse, error) {
	if a.resp != nil {
		return a.resp, nil
	}
	r, _, err := a.response(env, nil)
	return r, err
}

// response puts in what was skimmed, and returns what has no place.
func (a *AvailabilityReader) response(env *soap.Envelope, found []skimmed) (*AvailabilityResponse, []skimmed, error) {
	if len(env.Body) == 0 || !env.Body[0].Is(NSMessages, "GetUserAvailabilityResponse") {
		return nil, found, violation(env.At, "The body is no GetUserAvailabilityResponse.")
	}
	e := env.Body[0]
	r := &AvailabilityResponse{Version: ParseServerVersion(env)}
	if array := e.Child(NSMessages, "FreeBusyResponseArray"); array != nil {
		r.FreeBusy = make([]FreeBusyResponse, 0, len(array.Children))
		for _, c := range array.Children {
			if !c.Is(NSMessages, "FreeBusyResponse") {
				continue
			}
			if len(found) > 0 && found[0].at == c.Off {
				r.FreeBusy = append(r.FreeBusy, found[0].FreeBusyResponse)
				found = found[1:]
				continue
			}
			f, err := a.freeBusyResponse(c)
			if err != nil {
				return nil, found, err
			}
			r.FreeBusy = append(r.FreeBusy, f)
		}
	}
	if s := e.Child(NSMessages, "SuggestionsResponse"); s != nil {
		var err error
		if r.Suggestions, err = parseSuggestions(s, a.utc); err != nil {
			return nil, found, err
		}
	}
	return r, found, nil
}

func (a *AvailabilityReader) utc(wall time.Time) time.Time {
	if a.toUTC == nil {
		return wall
	}
	return a.toUTC(wall)
}

// Begin and end of what is skimmed, and what stands in its place.
const (
	skimBegin = `<FreeBusyResponse>`
	skimEnd   = `</FreeBusyView></FreeBusyResponse>`
	skimPlace = `<FreeBusyResponse/>`
)

// skim reads what it can into found and returns the text without it; nil: it found nothing.
func (a *AvailabilityReader) skim(text []byte) []byte {
	// The text is UTF-8, which the guard will find it to be declared.
	if declaration, _, ok := bytes.Cut(text[:min(len(text), 100)], []byte("?>")); bytes.HasPrefix(text, []byte("<?xml")) {
		if !ok || !bytes.Contains(bytes.ToLower(declaration), []byte(`encoding="utf-8"`)) {
			return nil
		}
	} else if !bytes.HasPrefix(text, []byte("<")) { // perhaps a byte order mark
		return nil
	}
	var skeleton []byte
	defer func() { a.lastText = nil }()
	for {
		n := bytes.Index(text, []byte(skimBegin))
		if n < 0 {
			break
		}
		c := cursor(text[n+len(skimBegin):])
		var f FreeBusyResponse
		if !a.freeBusy(&c, &f) {
			n += len(skimBegin)
			skeleton, text = append(skeleton, text[:n]...), text[n:]
			continue
		}
		if a.found == nil {
			a.found = make([]skimmed, 0, 1+len(c)/1024)
			skeleton = slices.Grow(skeleton, n+1024)
		}
		skeleton = append(skeleton, text[:n]...)
		a.found = append(a.found, skimmed{len(skeleton), f})
		skeleton, text = append(skeleton, skimPlace...), c
	}
	if len(a.found) == 0 {
		return nil
	}
	return append(skeleton, text...)
}

// A cursor is the text that is not read yet.
type cursor []byte

// is reads s, if it is next.
func (c *cursor) is(s string) bool {
	if len(*c) < len(s) || string((*c)[:len(s)]) != s {
		return false
	}
	*c = (*c)[len(s):]
	return true
}

// text reads character data that means itself, up to a tag.
func (c *cursor) text() (string, bool) {
	n := bytes.IndexByte(*c, '<')
	if n < 0 {
		return "", false
	}
	t, ascii := (*c)[:n], true
	for _, b := range t {
		if b < ' ' && b != '\t' && b != '\n' || b == '&' || b == '>' {
			return "", false
		}
		ascii = ascii && b < utf8.RuneSelf
	}
	if !ascii && (!utf8.Valid(t) || bytes.Contains(t, []byte("\ufffe")) || bytes.Contains(t, []byte("\uffff"))) {
		return "", false
	}
	*c = (*c)[n:]
	return string(t), true
}

// freeBusy reads the rest of a FreeBusyResponse that is a success (2.6).
func (a *AvailabilityReader) freeBusy(c *cursor, f *FreeBusyResponse) bool {
	if !c.is(`<ResponseMessage ResponseClass="Success"><ResponseCode>NoError</ResponseCode></ResponseMessage><FreeBusyView><FreeBusyViewType` + inTypes) {
		return false
	}
	f.Message = ResponseMessage{Class: "Success", Code: "NoError"}
	i := slices.IndexFunc(viewTypes, func(v string) bool {
		return len(*c) > len(v) && string((*c)[:len(v)]) == v && (*c)[len(v)] == '<'
	})
	if i < 0 {
		return false
	}
	f.View = viewTypes[i]
	if *c = (*c)[len(f.View):]; !c.is(`</FreeBusyViewType>`) {
		return false
	}
	if c.is(`<MergedFreeBusy`+inTypes) && !c.merged(f) {
		return false
	}
	if c.is(`<CalendarEventArray`+inTypes) && !a.events(c, f) {
		return false
	}
	if len(*c) > 1 && (*c)[1] == 'W' && !a.workingHours(c, f) {
		return false
	}
	return c.is(skimEnd)
}

func (c *cursor) merged(f *FreeBusyResponse) bool {
	n := 0
	for n < len(*c) && (*c)[n] >= '0' && (*c)[n] <= '5' {
		n++
	}
	f.Merged = strings.ReplaceAll(string((*c)[:n]), "5", "4")
	*c = (*c)[n:]
	return c.is(`</MergedFreeBusy>`)
}

func (a *AvailabilityReader) events(c *cursor, f *FreeBusyResponse) bool {
	if a.slab == nil {
		a.slab = make([]CalendarEvent, 0, min(8+len(*c)/200, 4096))
	}
	from := len(a.slab)
	for c.is(`<CalendarEvent><StartTime>`) {
		var ev CalendarEvent
		var ok bool
		if ev.Start, ok = a.clock(c); !ok || !c.is(`</StartTime><EndTime>`) {
			return false
		}
		if ev.End, ok = a.clock(c); !ok || !c.is(`</EndTime><BusyType>`) {
			return false
		}
		if ev.BusyType = c.busyType(); ev.BusyType == "" || !c.is(`</BusyType>`) {
			return false
		}
		if c.is(`<CalendarEventDetails>`) {
			if ev.Details = c.details(); ev.Details == nil {
				return false
			}
		}
		if !c.is(`</CalendarEvent>`) {
			return false
		}
		a.slab = append(a.slab, ev)
	}
	f.HasEvents, f.Events = true, a.slab[from:len(a.slab):len(a.slab)]
	return c.is(`</CalendarEventArray>`)
}

// clock reads a reading of the clocks of the request's zone in whole seconds.
func (a *AvailabilityReader) clock(c *cursor) (time.Time, bool) {
	const form = len("2006-01-02T15:04:05")
	if len(*c) <= form || (*c)[form] != '<' {
		return time.Time{}, false
	}
	t := (*c)[:form:form]
	d := &a.days[(t[8]&15*10+t[9]&15)%byte(len(a.days))]
	if string(t[:10]) != string(d.text[:]) {
		whole, ok := ParseDateTime(string(t[:10]) + "T00:00:00")
		if !ok {
			return time.Time{}, false
		}
		copy(d.text[:], t)
		d.midnight = whole.Time.Unix()
	}
	h, m, s := two(t[11:]), two(t[14:]), two(t[17:])
	if t[10] != 'T' || t[13] != ':' || t[16] != ':' || h > 23 || m > 59 || s > 59 {
		return time.Time{}, false
	}
	*c = (*c)[form:]
	return a.utc(time.Unix(d.midnight+int64(h*3600+m*60+s), 0).UTC()), true
}

// two is a number of two digits, a large one for anything else.
func two(b []byte) int {
	h, l := b[0]-'0', b[1]-'0'
	if h > 9 || l > 9 {
		return 100
	}
	return int(h)*10 + int(l)
}

var busyTypes = [...]string{"Busy", "Free", "Tentative", "OOF", "WorkingElsewhere", "NoData"}

func (c *cursor) busyType() string {
	for _, t := range busyTypes {
		if c.is(t) {
			return t
		}
	}
	return ""
}

// details reads what stands in the order of the schema; nil: something else does.
func (c *cursor) details() *EventDetails {
	d := &EventDetails{}
	for _, f := range [...]struct {
		begin, end string
		into       *string
	}{{`<ID>`, `</ID>`, &d.ID}, {`<Subject>`, `</Subject>`, &d.Subject}, {`<Location>`, `</Location>`, &d.Location}} {
		if c.is(f.begin) {
			var ok bool
			if *f.into, ok = c.text(); !ok || !c.is(f.end) {
				return nil
			}
		}
	}
	for _, f := range [...]struct {
		name string
		into *bool
	}{{`IsMeeting>`, &d.Meeting}, {`IsRecurring>`, &d.Recurring}, {`IsException>`, &d.Exception}, {`IsReminderSet>`, &d.ReminderSet}, {`IsPrivate>`, &d.Private}} {
		if !c.is(`<`) || !c.is(f.name) {
			return nil
		}
		if *f.into = c.is(`true`); !*f.into && !c.is(`false`) || !c.is(`</`) || !c.is(f.name) {
			return nil
		}
	}
	if !c.is(`</CalendarEventDetails>`) {
		return nil
	}
	return d
}

const (
	hoursBegin = `<WorkingHours` + inTypes
	hoursEnd   = `</WorkingHours>`
	maxHours   = 2 << 10 // bytes that are remembered
	manyHours  = 256     // texts
)

// workingHours reads an element whose text was read before, or through the guard.
func (a *AvailabilityReader) workingHours(c *cursor, f *FreeBusyResponse) bool {
	if len(a.lastText) > 0 && bytes.HasPrefix(*c, a.lastText) {
		f.Hours, *c = a.lastHours, (*c)[len(a.lastText):]
		return true
	}
	n := bytes.Index((*c)[:min(len(*c), maxHours)], []byte(hoursEnd))
	if n < 0 || !bytes.HasPrefix(*c, []byte(hoursBegin)) {
		return false
	}
	text := (*c)[:n+len(hoursEnd)]
	h, err := a.hours.of(text)
	if err != nil {
		return false
	}
	a.lastText, a.lastHours, f.Hours = text, h, h
	*c = (*c)[len(text):]
	return true
}

// A HoursMemory remembers what texts of working hours say: an organization has few.
// The zero value is ready. It may be used by many goroutines.
type HoursMemory struct {
	mu    sync.Mutex
	known map[string]*WorkingHours // guarded by mu
}

var errDeep = errors.New("ews: elements are nested too deep to be read by themselves")

// of reads an element that declares its namespace. Working hours that make no sense
// are nil, as in parseHours.
func (m *HoursMemory) of(text []byte) (*WorkingHours, error) {
	if m != nil {
		m.mu.Lock()
		h, ok := m.known[string(text)]
		m.mu.Unlock()
		if ok {
			return h, nil
		}
	}
	e, err := soap.ReadXML(bytes.NewReader(text), maxHours)
	if err != nil {
		return nil, err
	}
	if deeper(e, 8) {
		return nil, errDeep
	}
	h, _ := parseHours(e) // without working hours an answer is still an answer
	if m != nil {
		m.mu.Lock()
		if m.known == nil || len(m.known) == manyHours {
			m.known = make(map[string]*WorkingHours)
		}
		m.known[string(text)] = h
		m.mu.Unlock()
	}
	return h, nil
}

// deeper reports whether elements are nested deeper than n inside e.
func deeper(e *soap.Element, n int) bool {
	return n == 0 || slices.ContainsFunc(e.Children, func(c *soap.Element) bool { return deeper(c, n-1) })
}
