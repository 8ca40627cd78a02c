package ews

import (
	"strconv"
	"time"

	"busybridge/internal/spec/soap"
)

// A FindItemRequest is FindItem with a CalendarView of a mailbox's calendar (5.3):
// its items from Start to End, series as their occurrences.
type FindItemRequest struct {
	Header    Header
	RequestID string
	// Mailbox is whose calendar; "": that of the caller, or of whom the header names.
	Mailbox    string
	Start, End time.Time
	Max        int // items of the answer; the server may have a lower limit
}

// itemFields are the properties asked for: those that FindItem can give (5.3), in
// schema order.
var itemFields = [...]string{
	"item:Subject", "item:Sensitivity", "item:ReminderIsSet", "calendar:UID", "calendar:RecurrenceId", "calendar:DateTimeStamp", "calendar:Start", "calendar:End",
	"calendar:LegacyFreeBusyStatus", "calendar:Location", "calendar:IsMeeting", "calendar:CalendarItemType",
}

// AppendFindItemRequest appends the whole envelope of r.
func AppendFindItemRequest(b []byte, r *FindItemRequest) []byte {
	b = append(b, `<?xml version="1.0" encoding="utf-8"?>`+"\n"+`<s:Envelope xmlns:s="`+soap.NS+`" xmlns:m="`+NSMessages+`" xmlns:t="`+NSTypes+`">`...)
	b = r.Header.append(b)
	b = append(b, `<s:Body><m:FindItem Traversal="Shallow"><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape><t:AdditionalProperties>`...)
	for _, f := range itemFields {
		b = append(append(append(b, `<t:FieldURI FieldURI="`...), f...), `"/>`...)
	}
	b = append(b, `</t:AdditionalProperties></m:ItemShape><m:CalendarView MaxEntriesReturned="`...)
	b = strconv.AppendInt(b, int64(r.Max), 10)
	b = append(append(b, `" StartDate="`...), r.Start.UTC().Format(time.RFC3339)...)
	b = append(append(b, `" EndDate="`...), r.End.UTC().Format(time.RFC3339)...)
	b = append(b, `"/><m:ParentFolderIds><t:DistinguishedFolderId Id="calendar">`...)
	if r.Mailbox != "" {
		b = append(b, `<t:Mailbox>`...)
		b = appendElement(b, "t:EmailAddress", r.Mailbox)
		b = append(b, `</t:Mailbox>`...)
	}
	return append(b, `</t:DistinguishedFolderId></m:ParentFolderIds></m:FindItem></s:Body></s:Envelope>`...)
}

// A FindItemResponse is what FindItem says of one folder.
type FindItemResponse struct {
	Message ResponseMessage
	Items   []CalendarItem
	Whole   bool // there is no item beyond those
}

// A CalendarItem is an appointment, or one occurrence of a series (5.4).
type CalendarItem struct {
	UID string // iCalendar's, the same for all of a series
	// RecurrenceID is when the occurrence of a series would begin; nil: not said.
	RecurrenceID, Stamp *time.Time
	Start, End          time.Time // zero where the item has none that can be read
	BusyType            string    // as CalendarEvent's
	Subject, Location   string
	Type                string // Single, Occurrence, Exception; "" is Single
	Sensitivity         string // Normal, Personal, Private, Confidential; "" is Normal
	Meeting, Reminder   bool
}

// ParseFindItemResponse reads the answer for one folder. A response that is not
// FindItem's is a *SchemaError; a fault is for soap.FaultOf.
func ParseFindItemResponse(env *soap.Envelope) (*FindItemResponse, error) {
	if len(env.Body) == 0 || !env.Body[0].Is(NSMessages, "FindItemResponse") {
		return nil, violation(env.At, "The body is no FindItemResponse.")
	}
	e := env.Body[0].Child(NSMessages, "ResponseMessages").Child(NSMessages, "FindItemResponseMessage")
	if e == nil {
		return nil, missing(env.Body[0], "FindItemResponseMessage")
	}
	r := &FindItemResponse{Message: parseMessage(e)}
	if !r.Message.OK() {
		return r, nil
	}
	root := e.Child(NSMessages, "RootFolder")
	items := root.Child(NSTypes, "Items")
	if items == nil {
		return nil, missing(e, "RootFolder")
	}
	// An answer that does not say it is one of a server without limit.
	last, said := root.LookupAttr("IncludesLastItemInRange")
	r.Whole = !said || last == "true" || last == "1"
	r.Items = make([]CalendarItem, 0, len(items.Children))
	for _, c := range items.Children {
		if c.Is(NSTypes, "CalendarItem") {
			r.Items = append(r.Items, parseCalendarItem(c))
		}
	}
	return r, nil
}

func parseCalendarItem(e *soap.Element) (i CalendarItem) {
	at := func(c *soap.Element) *time.Time {
		d, ok := ParseDateTime(c.Trimmed())
		if !ok {
			return nil
		}
		return &d.Time // one without offset is UTC: the request has no TimeZoneContext (5.1)
	}
	for _, c := range e.Children {
		if c.Space != NSTypes {
			continue
		}
		switch c.Local {
		case "UID":
			i.UID = c.Trimmed()
		case "RecurrenceId":
			i.RecurrenceID = at(c)
		case "DateTimeStamp":
			i.Stamp = at(c)
		case "Start":
			if t := at(c); t != nil {
				i.Start = *t
			}
		case "End":
			if t := at(c); t != nil {
				i.End = *t
			}
		case "LegacyFreeBusyStatus":
			i.BusyType = c.Trimmed()
		case "Subject":
			i.Subject = c.Text
		case "Location":
			i.Location = c.Text
		case "CalendarItemType":
			i.Type = c.Trimmed()
		case "Sensitivity":
			i.Sensitivity = c.Trimmed()
		case "IsMeeting":
			i.Meeting = c.Trimmed() == "true" || c.Trimmed() == "1"
		case "ReminderIsSet":
			i.Reminder = c.Trimmed() == "true" || c.Trimmed() == "1"
		}
	}
	return i
}
