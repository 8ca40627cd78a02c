package ews

import (
	"slices"
	"strings"
	"time"

	"busybridge/internal/spec/soap"
	"busybridge/internal/spec/wintz"
)

// An AvailabilityRequest is GetUserAvailability (2.1).
type AvailabilityRequest struct {
	Header Header // not part of the body
	// RequestID is the correlation id; a client sends it as client-request-id.
	RequestID string

	Zone        *wintz.Rule // body TimeZone; nil: none
	Mailboxes   []MailboxData
	FreeBusy    *FreeBusyOptions
	Suggestions *SuggestionsOptions
}

// MailboxData is one attendee. The address is as it was written.
type MailboxData struct {
	Name, Address    string
	RoutingType      string // "" is SMTP
	AttendeeType     string // Organizer, Required, Optional, Room, Resource
	ExcludeConflicts bool
}

// FreeBusyOptions is FreeBusyViewOptions (2.2).
type FreeBusyOptions struct {
	Start, End      DateTime
	IntervalMinutes int      // of the merged string; 0: not given
	Views           []string // values of RequestedView; none: not given
}

// SuggestionsOptions is SuggestionsViewOptions (2.8). Pointers are nil where
// nothing was given.
type SuggestionsOptions struct {
	GoodThreshold, MaximumResultsByDay, MaximumNonWorkHourResultsByDay, MeetingDurationInMinutes *int
	MinimumSuggestionQuality                                                                     string
	Start, End                                                                                   DateTime // DetailedSuggestionsWindow
	CurrentMeetingTime                                                                           *DateTime
	GlobalObjectID                                                                               string
}

var (
	attendeeTypes = []string{"Organizer", "Required", "Optional", "Room", "Resource"}
	viewTypes     = []string{"None", "MergedOnly", "FreeBusy", "FreeBusyMerged", "Detailed", "DetailedMerged"}
	qualities     = []string{"Excellent", "Good", "Fair", "Poor"}
)

// ParseGetUserAvailability reads m:GetUserAvailabilityRequest. Limits that have
// a code of their own (2.2) are left to the caller. Errors are *SchemaError or
// wrap ErrTimeZone.
func ParseGetUserAvailability(e *soap.Element) (*AvailabilityRequest, error) {
	r := &AvailabilityRequest{}
	if z := e.Child(NSTypes, "TimeZone"); z != nil {
		rule, err := parseZone(z)
		if err != nil {
			return nil, err
		}
		r.Zone = &rule
	}
	array := e.Child(NSMessages, "MailboxDataArray")
	if array == nil {
		return nil, missing(e, "MailboxDataArray")
	}
	r.Mailboxes = make([]MailboxData, 0, len(array.Children))
	for _, c := range array.Children {
		if !c.Is(NSTypes, "MailboxData") {
			continue
		}
		m, err := parseMailboxData(c)
		if err != nil {
			return nil, err
		}
		r.Mailboxes = append(r.Mailboxes, m)
	}
	if o := e.Child(NSTypes, "FreeBusyViewOptions"); o != nil {
		var err error
		if r.FreeBusy, err = parseFreeBusyOptions(o); err != nil {
			return nil, err
		}
	}
	if o := e.Child(NSTypes, "SuggestionsViewOptions"); o != nil {
		var err error
		if r.Suggestions, err = parseSuggestionsOptions(o); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func parseMailboxData(e *soap.Element) (MailboxData, error) {
	m := MailboxData{AttendeeType: "Required"}
	email := e.Child(NSTypes, "Email")
	if email == nil {
		return m, missing(e, "Email")
	}
	if email.Child(NSTypes, "Address") == nil {
		return m, missing(email, "Address")
	}
	m.Name = email.ChildText(NSTypes, "Name")
	m.Address = email.ChildText(NSTypes, "Address")
	m.RoutingType = email.ChildText(NSTypes, "RoutingType")
	if t := e.Child(NSTypes, "AttendeeType"); t != nil {
		if m.AttendeeType = t.Trimmed(); !slices.Contains(attendeeTypes, m.AttendeeType) {
			return m, badValue(t, m.AttendeeType)
		}
	}
	var err error
	if x := e.Child(NSTypes, "ExcludeConflicts"); x != nil {
		m.ExcludeConflicts, err = parseBool(x)
	}
	return m, err
}

func parseFreeBusyOptions(e *soap.Element) (o *FreeBusyOptions, err error) {
	o = &FreeBusyOptions{}
	if o.Start, o.End, err = parseTimes(e, "TimeWindow"); err != nil {
		return nil, err
	}
	if m := e.Child(NSTypes, "MergedFreeBusyIntervalInMinutes"); m != nil {
		if o.IntervalMinutes, err = parseInt(m, -1<<31, 1<<31-1); err != nil {
			return nil, err
		}
		if o.IntervalMinutes == 0 { // given, and out of range
			o.IntervalMinutes = -1
		}
	}
	if v := e.Child(NSTypes, "RequestedView"); v != nil {
		if o.Views, err = parseViews(v); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// parseViews reads an xs:list of FreeBusyViewType.
func parseViews(e *soap.Element) ([]string, error) {
	list := strings.Fields(e.Text)
	for _, v := range list {
		if !slices.Contains(viewTypes, v) {
			return nil, badValue(e, v)
		}
	}
	if len(list) == 0 {
		list = []string{"None"}
	}
	return list, nil
}

// parseTimes reads the StartTime and EndTime of the named child of e.
func parseTimes(e *soap.Element, name string) (start, end DateTime, err error) {
	window := e.Child(NSTypes, name)
	if window == nil {
		return start, end, missing(e, name)
	}
	if start, err = parseTime(window, "StartTime"); err != nil {
		return start, end, err
	}
	end, err = parseTime(window, "EndTime")
	return start, end, err
}

func parseTime(e *soap.Element, name string) (DateTime, error) {
	c := e.Child(NSTypes, name)
	if c == nil {
		return DateTime{}, missing(e, name)
	}
	d, ok := ParseDateTime(c.Trimmed())
	if !ok {
		return d, badValue(c, c.Trimmed())
	}
	return d, nil
}

func parseSuggestionsOptions(e *soap.Element) (o *SuggestionsOptions, err error) {
	o = &SuggestionsOptions{GlobalObjectID: e.ChildText(NSTypes, "GlobalObjectId")}
	if o.Start, o.End, err = parseTimes(e, "DetailedSuggestionsWindow"); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		name string
		into **int
	}{
		{"GoodThreshold", &o.GoodThreshold}, {"MaximumResultsByDay", &o.MaximumResultsByDay},
		{"MaximumNonWorkHourResultsByDay", &o.MaximumNonWorkHourResultsByDay}, {"MeetingDurationInMinutes", &o.MeetingDurationInMinutes},
	} {
		if c := e.Child(NSTypes, f.name); c != nil {
			n, err := parseInt(c, -1<<31, 1<<31-1)
			if err != nil {
				return nil, err
			}
			*f.into = &n
		}
	}
	if c := e.Child(NSTypes, "MinimumSuggestionQuality"); c != nil {
		if o.MinimumSuggestionQuality = c.Trimmed(); !slices.Contains(qualities, o.MinimumSuggestionQuality) {
			return nil, badValue(c, o.MinimumSuggestionQuality)
		}
	}
	if e.Child(NSTypes, "CurrentMeetingTime") != nil {
		d, err := parseTime(e, "CurrentMeetingTime")
		if err != nil {
			return nil, err
		}
		o.CurrentMeetingTime = &d
	}
	return o, nil
}

// AppendGetUserAvailabilityRequest appends the whole envelope of r.
func AppendGetUserAvailabilityRequest(b []byte, r *AvailabilityRequest) []byte {
	b = slices.Grow(b, 1600+192*len(r.Mailboxes))
	b = append(b, `<?xml version="1.0" encoding="utf-8"?>`+"\n"+`<s:Envelope xmlns:s="`+soap.NS+`" xmlns:m="`+NSMessages+`" xmlns:t="`+NSTypes+`">`...)
	b = r.Header.append(b)
	b = append(b, `<s:Body><m:GetUserAvailabilityRequest>`...)
	if r.Zone != nil {
		b = appendZone(b, "t:", r.Zone)
	}
	b = append(b, `<m:MailboxDataArray>`...)
	for i := range r.Mailboxes {
		m := &r.Mailboxes[i]
		b = append(b, `<t:MailboxData><t:Email>`...)
		if m.Name != "" {
			b = appendElement(b, "t:Name", m.Name)
		}
		b = appendElement(b, "t:Address", m.Address)
		if m.RoutingType != "" {
			b = appendElement(b, "t:RoutingType", m.RoutingType)
		}
		attendee := m.AttendeeType
		if attendee == "" {
			attendee = "Required"
		}
		b = append(b, `</t:Email>`...)
		b = appendElement(b, "t:AttendeeType", attendee)
		b = appendBool(b, "t:ExcludeConflicts", m.ExcludeConflicts)
		b = append(b, `</t:MailboxData>`...)
	}
	b = append(b, `</m:MailboxDataArray>`...)
	if o := r.FreeBusy; o != nil {
		b = append(b, `<t:FreeBusyViewOptions>`...)
		b = appendTimes(b, "t:TimeWindow", o.Start, o.End)
		if o.IntervalMinutes != 0 {
			b = appendInt(b, "t:MergedFreeBusyIntervalInMinutes", o.IntervalMinutes)
		}
		if len(o.Views) > 0 {
			b = appendElement(b, "t:RequestedView", strings.Join(o.Views, " "))
		}
		b = append(b, `</t:FreeBusyViewOptions>`...)
	}
	if o := r.Suggestions; o != nil {
		b = o.append(b)
	}
	return append(b, `</m:GetUserAvailabilityRequest></s:Body></s:Envelope>`...)
}

func (o *SuggestionsOptions) append(b []byte) []byte {
	b = append(b, `<t:SuggestionsViewOptions>`...)
	for _, f := range []struct {
		name  string
		value *int
	}{
		{"t:GoodThreshold", o.GoodThreshold}, {"t:MaximumResultsByDay", o.MaximumResultsByDay},
		{"t:MaximumNonWorkHourResultsByDay", o.MaximumNonWorkHourResultsByDay}, {"t:MeetingDurationInMinutes", o.MeetingDurationInMinutes},
	} {
		if f.value != nil {
			b = appendInt(b, f.name, *f.value)
		}
	}
	if o.MinimumSuggestionQuality != "" {
		b = appendElement(b, "t:MinimumSuggestionQuality", o.MinimumSuggestionQuality)
	}
	b = appendTimes(b, "t:DetailedSuggestionsWindow", o.Start, o.End)
	if o.CurrentMeetingTime != nil {
		b = appendDateTime(b, "t:CurrentMeetingTime", *o.CurrentMeetingTime)
	}
	if o.GlobalObjectID != "" {
		b = appendElement(b, "t:GlobalObjectId", o.GlobalObjectID)
	}
	return append(b, `</t:SuggestionsViewOptions>`...)
}

func appendTimes(b []byte, name string, start, end DateTime) []byte {
	b = append(append(append(b, '<'), name...), '>')
	b = appendDateTime(b, "t:StartTime", start)
	b = appendDateTime(b, "t:EndTime", end)
	return append(append(append(b, '<', '/'), name...), '>')
}

func appendDateTime(b []byte, name string, d DateTime) []byte {
	b = append(append(append(b, '<'), name...), '>')
	b = appendWall(b, d.Time)
	if !d.Local {
		b = append(b, 'Z')
	}
	return append(append(append(b, '<', '/'), name...), '>')
}

// An AvailabilityResponse is GetUserAvailabilityResponse (2.6).
type AvailabilityResponse struct {
	Version     ServerVersion      // of the header
	FreeBusy    []FreeBusyResponse // nil when free/busy was not asked for
	Suggestions *SuggestionsResponse
}

// A FreeBusyResponse is the answer for one mailbox.
type FreeBusyResponse struct {
	Message ResponseMessage
	View    string // FreeBusyViewType that was granted; "" with an error is written as None
	Merged  string // "": none
	// Events are written when HasEvents is set.
	HasEvents bool
	Events    []CalendarEvent
	Hours     *WorkingHours
}

// A CalendarEvent is one entry of CalendarEventArray. Start and End are written
// as the clock readings that they are labelled with; what is read is in UTC.
type CalendarEvent struct {
	Start, End time.Time
	BusyType   string // Free, Tentative, Busy, OOF, WorkingElsewhere, NoData
	Details    *EventDetails
}

// EventDetails is CalendarEventDetails; empty strings are not written.
type EventDetails struct {
	ID, Subject, Location                               string
	Meeting, Recurring, Exception, ReminderSet, Private bool
}

// WorkingHours are the zone of a mailbox and when its owner works in it.
type WorkingHours struct {
	Zone    wintz.Rule
	Periods []WorkingPeriod
}

// A WorkingPeriod is a stretch of time on the given days.
type WorkingPeriod struct {
	Days       uint8 // bit n: weekday n, Sunday = 0
	Start, End int   // minutes since midnight, 0..1440
}

// A SuggestionsResponse says how suggestions went, and with no error what each
// day offers (2.8).
type SuggestionsResponse struct {
	Message ResponseMessage
	Days    []SuggestionDay
}

// AppendGetUserAvailabilityResponse appends the whole envelope of r.
func AppendGetUserAvailabilityResponse(b []byte, r *AvailabilityResponse) []byte {
	b = AppendAvailabilityStart(b, r.Version)
	if r.FreeBusy != nil {
		b = AppendFreeBusyArrayStart(b)
		for i := range r.FreeBusy {
			b = AppendFreeBusyResponse(b, &r.FreeBusy[i])
		}
		b = AppendFreeBusyArrayEnd(b)
	}
	return AppendAvailabilityEnd(b, r.Suggestions)
}

// The pieces of AppendGetUserAvailabilityResponse, for a server that has one
// mailbox at a time in its hand.

func AppendAvailabilityStart(b []byte, v ServerVersion) []byte {
	return append(AppendStart(b, v), `<GetUserAvailabilityResponse xmlns="`+NSMessages+`">`...)
}

func AppendFreeBusyArrayStart(b []byte) []byte { return append(b, `<FreeBusyResponseArray>`...) }

func AppendFreeBusyArrayEnd(b []byte) []byte { return append(b, `</FreeBusyResponseArray>`...) }

func AppendAvailabilityEnd(b []byte, s *SuggestionsResponse) []byte {
	if s != nil {
		b = appendSuggestions(b, s)
	}
	return AppendEnd(append(b, `</GetUserAvailabilityResponse>`...))
}

// AppendFreeBusyResponse appends the answer for one mailbox. The messages
// namespace must be the default one.
func AppendFreeBusyResponse(b []byte, r *FreeBusyResponse) []byte {
	b = AppendFreeBusyStart(b, &r.Message, r.View, r.Merged)
	if r.HasEvents {
		var w EventWriter
		b = AppendEventsStart(b)
		for i := range r.Events {
			e := &r.Events[i]
			b = w.Append(b, e.Start.Unix(), e.End.Unix(), e.BusyType, e.Details)
		}
		b = AppendEventsEnd(b)
	}
	return AppendFreeBusyEnd(AppendWorkingHours(b, r.Hours))
}

// The pieces of AppendFreeBusyResponse, in their order, for a server that has one
// event at a time in its hand.

// inTypes ends the start tag of an element whose children are in the types namespace.
const inTypes = ` xmlns="` + NSTypes + `">`

func AppendFreeBusyStart(b []byte, m *ResponseMessage, view, merged string) []byte {
	b = append(b, `<FreeBusyResponse>`...)
	b = appendMessage(b, m)
	if view == "" {
		view = "None"
	}
	b = append(b, `<FreeBusyView><FreeBusyViewType`+inTypes...)
	b = append(soap.AppendText(b, view), `</FreeBusyViewType>`...)
	if merged != "" {
		b = append(b, `<MergedFreeBusy`+inTypes...)
		b = append(soap.AppendText(b, merged), `</MergedFreeBusy>`...)
	}
	return b
}

func AppendEventsStart(b []byte) []byte { return append(b, `<CalendarEventArray`+inTypes...) }

func AppendEventsEnd(b []byte) []byte { return append(b, `</CalendarEventArray>`...) }

// AppendWorkingHours appends nothing for hours without a period: a reader takes
// the first one without looking (2.6).
func AppendWorkingHours(b []byte, h *WorkingHours) []byte {
	if h == nil || len(h.Periods) == 0 {
		return b
	}
	b = append(b, `<WorkingHours`+inTypes...)
	b = appendZone(b, "", &h.Zone)
	b = append(b, `<WorkingPeriodArray>`...)
	for _, p := range h.Periods {
		b = append(b, `<WorkingPeriod><DayOfWeek>`...)
		b = append(appendDays(b, p.Days), `</DayOfWeek>`...)
		b = appendInt(b, "StartTimeInMinutes", p.Start)
		b = appendInt(b, "EndTimeInMinutes", p.End)
		b = append(b, `</WorkingPeriod>`...)
	}
	return append(b, `</WorkingPeriodArray></WorkingHours>`...)
}

func AppendFreeBusyEnd(b []byte) []byte { return append(b, `</FreeBusyView></FreeBusyResponse>`...) }

// An EventWriter appends calendar events. It remembers how days are written, for
// an answer has thousands of times on few days. The zero value is ready.
type EventWriter struct{ days [64]dayText }

type dayText struct {
	day  int64 // since 1970-01-01, plus one; 0: none
	text [11]byte
}

// Append appends one event. start and end are readings of the clocks of the
// answer's zone, in the seconds at which UTC's clocks show the same; empty strings
// of details are not written.
func (w *EventWriter) Append(b []byte, start, end int64, busyType string, d *EventDetails) []byte {
	b = append(b, `<CalendarEvent><StartTime>`...)
	b = w.appendClock(b, start)
	b = append(b, `</StartTime><EndTime>`...)
	b = w.appendClock(b, end)
	b = append(b, `</EndTime><BusyType>`...)
	b = append(soap.AppendText(b, busyType), `</BusyType>`...)
	if d != nil {
		b = append(b, `<CalendarEventDetails>`...)
		if d.ID != "" {
			b = appendElement(b, "ID", d.ID)
		}
		if d.Subject != "" {
			b = appendElement(b, "Subject", d.Subject)
		}
		if d.Location != "" {
			b = appendElement(b, "Location", d.Location)
		}
		b = appendBool(b, "IsMeeting", d.Meeting)
		b = appendBool(b, "IsRecurring", d.Recurring)
		b = appendBool(b, "IsException", d.Exception)
		b = appendBool(b, "IsReminderSet", d.ReminderSet)
		b = appendBool(b, "IsPrivate", d.Private)
		b = append(b, `</CalendarEventDetails>`...)
	}
	return append(b, `</CalendarEvent>`...)
}

// appendClock is appendWall for a reading in seconds.
func (w *EventWriter) appendClock(b []byte, seconds int64) []byte {
	const perDay = 24 * 60 * 60
	day := seconds / perDay
	second := int(seconds - day*perDay)
	if second < 0 {
		day, second = day-1, second+perDay
	}
	t := &w.days[uint64(day)%uint64(len(w.days))]
	if t.day != day+1 {
		text := time.Unix(day*perDay, 0).UTC().AppendFormat(t.text[:0], "2006-01-02T")
		if len(text) != len(t.text) { // a year of five digits
			t.day = 0
			return appendWall(b, time.Unix(seconds, 0))
		}
		t.day = day + 1
	}
	h, m, s := second/3600, second/60%60, second%60
	b = append(b, t.text[:]...)
	return append(b, '0'+byte(h/10), '0'+byte(h%10), ':', '0'+byte(m/10), '0'+byte(m%10), ':', '0'+byte(s/10), '0'+byte(s%10))
}

func appendDays(b []byte, days uint8) []byte {
	start := len(b)
	for d := time.Sunday; d <= time.Saturday; d++ {
		if days&(1<<d) != 0 {
			if len(b) > start {
				b = append(b, ' ')
			}
			b = append(b, d.String()...)
		}
	}
	return b
}

// ParseGetUserAvailabilityResponse reads a response envelope. Times without
// offset are clock readings in zone, the one of the request; nil is UTC. The
// digit 5 of merged strings, which some write for "no data", is read as 4. A
// response that is not GetUserAvailability's is a *SchemaError; a fault is for
// soap.FaultOf.
func ParseGetUserAvailabilityResponse(env *soap.Envelope, zone *wintz.Rule) (*AvailabilityResponse, error) {
	return NewAvailabilityReader(zone, nil).Response(env)
}

func (a *AvailabilityReader) freeBusyResponse(e *soap.Element) (r FreeBusyResponse, err error) {
	if m := e.Child(NSMessages, "ResponseMessage"); m != nil {
		r.Message = parseMessage(m)
	}
	v := e.Child(NSMessages, "FreeBusyView")
	if v == nil {
		return r, nil
	}
	if t := v.Child(NSTypes, "FreeBusyViewType"); t != nil {
		views, err := parseViews(t)
		if err != nil {
			return r, err
		}
		r.View = slices.MaxFunc(views, func(a, b string) int { return slices.Index(viewTypes, a) - slices.Index(viewTypes, b) })
	}
	r.Merged = strings.ReplaceAll(v.ChildText(NSTypes, "MergedFreeBusy"), "5", "4")
	if array := v.Child(NSTypes, "CalendarEventArray"); array != nil {
		r.HasEvents = true
		r.Events = make([]CalendarEvent, 0, len(array.Children))
		for _, c := range array.Children {
			if !c.Is(NSTypes, "CalendarEvent") {
				continue
			}
			ev, err := parseEvent(c, a.utc)
			if err != nil {
				return r, err
			}
			r.Events = append(r.Events, ev)
		}
	}
	if h := v.Child(NSTypes, "WorkingHours"); h != nil {
		// Without working hours an answer is still an answer.
		r.Hours, _ = parseHours(h)
	}
	return r, nil
}

func parseEvent(e *soap.Element, toUTC func(time.Time) time.Time) (ev CalendarEvent, err error) {
	start, err := parseTime(e, "StartTime")
	if err != nil {
		return ev, err
	}
	end, err := parseTime(e, "EndTime")
	if err != nil {
		return ev, err
	}
	ev = CalendarEvent{Start: start.UTC(toUTC), End: end.UTC(toUTC), BusyType: e.ChildText(NSTypes, "BusyType")}
	d := e.Child(NSTypes, "CalendarEventDetails")
	if d == nil {
		return ev, nil
	}
	ev.Details = &EventDetails{}
	for _, c := range d.Children {
		if c.Space != NSTypes {
			continue
		}
		switch c.Local {
		case "ID":
			ev.Details.ID = c.Text
		case "Subject":
			ev.Details.Subject = c.Text
		case "Location":
			ev.Details.Location = c.Text
		case "IsMeeting":
			ev.Details.Meeting, err = parseBool(c)
		case "IsRecurring":
			ev.Details.Recurring, err = parseBool(c)
		case "IsException":
			ev.Details.Exception, err = parseBool(c)
		case "IsReminderSet":
			ev.Details.ReminderSet, err = parseBool(c)
		case "IsPrivate":
			ev.Details.Private, err = parseBool(c)
		}
		if err != nil {
			return ev, err
		}
	}
	return ev, nil
}

func parseHours(e *soap.Element) (*WorkingHours, error) {
	zone := e.Child(NSTypes, "TimeZone")
	if zone == nil {
		return nil, missing(e, "TimeZone")
	}
	rule, err := parseZone(zone)
	if err != nil {
		return nil, err
	}
	array := e.Child(NSTypes, "WorkingPeriodArray")
	if array == nil {
		return nil, missing(e, "WorkingPeriodArray")
	}
	h := &WorkingHours{Zone: rule}
	for _, c := range array.Children {
		var p WorkingPeriod
		start, end, days := c.Child(NSTypes, "StartTimeInMinutes"), c.Child(NSTypes, "EndTimeInMinutes"), c.Child(NSTypes, "DayOfWeek")
		if start == nil || end == nil || days == nil {
			return nil, missing(c, "StartTimeInMinutes")
		}
		if p.Start, err = parseInt(start, 0, 1440); err != nil {
			return nil, err
		}
		if p.End, err = parseInt(end, 0, 1440); err != nil {
			return nil, err
		}
		if p.Days, err = parseDays(days); err != nil {
			return nil, err
		}
		h.Periods = append(h.Periods, p)
	}
	return h, nil
}

// parseDays reads a list of days.
func parseDays(e *soap.Element) (days uint8, err error) {
	for name := range strings.FieldsSeq(e.Text) {
		switch name {
		case "Day":
			days |= 0b1111111
		case "Weekday":
			days |= 0b0111110
		case "WeekendDay":
			days |= 0b1000001
		default:
			d, ok := weekday(name)
			if !ok {
				return 0, badValue(e, name)
			}
			days |= 1 << d
		}
	}
	return days, nil
}
