// Package graph reads and writes getSchedule of Microsoft Graph, both directions.
// Sections in comments are those of the getSchedule reference.
package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"busybridge/internal/spec/wintz"
)

// Limits of one call (2).
const (
	// MaxSchedules is what a service takes, ChunkSchedules what a client sends.
	MaxSchedules   = 100
	ChunkSchedules = 20
)

// A Request is the body of getSchedule (2).
type Request struct {
	Schedules []string  `json:"schedules"`
	Start     *DateTime `json:"startTime"`
	End       *DateTime `json:"endTime"`
	Interval  Minutes   `json:"availabilityViewInterval,omitempty"` // 0: not said
}

// Minutes are a number, which some write as a text.
type Minutes int

// UnmarshalJSON implements json.Unmarshaler.
func (m *Minutes) UnmarshalJSON(b []byte) error {
	text := string(b)
	if len(b) > 1 && b[0] == '"' {
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
	}
	if text == "null" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return fmt.Errorf("%.20q is no number of minutes", text)
	}
	*m = Minutes(n)
	return nil
}

// A DateTime is a dateTimeTimeZone: what clocks show, and where.
type DateTime struct {
	Wall     time.Time // labelled UTC
	Zone     string    // a Windows or IANA name; "" is UTC
	Absolute bool      // the text had an offset: Wall is UTC, whatever Zone says
}

type dateTime struct {
	DateTime string `json:"dateTime"`
	TimeZone string `json:"timeZone"`
}

const layout = "2006-01-02T15:04:05.0000000"

// MarshalJSON writes seven digits of a second, as the service does (3).
func (d DateTime) MarshalJSON() ([]byte, error) {
	return json.Marshal(dateTime{d.Wall.Format(layout), d.Zone})
}

// UnmarshalJSON implements json.Unmarshaler.
func (d *DateTime) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	var raw dateTime
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	for _, l := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(l, raw.DateTime); err == nil {
			*d = DateTime{Wall: t, Zone: raw.TimeZone}
			return nil
		}
		if t, err := time.Parse(l+"Z07:00", raw.DateTime); err == nil {
			*d = DateTime{Wall: t.UTC(), Zone: raw.TimeZone, Absolute: true}
			return nil
		}
	}
	return fmt.Errorf("dateTime %.40q is not of the form yyyy-MM-ddTHH:mm:ss", raw.DateTime)
}

// UTC is the instant; an unknown zone is a *ZoneError.
func (d *DateTime) UTC() (time.Time, error) {
	if d.Absolute {
		return d.Wall, nil
	}
	loc, err := Location(d.Zone)
	if err != nil {
		return time.Time{}, err
	}
	return wintz.UTC(loc, d.Wall), nil
}

// A ZoneError is a time zone that nobody knows.
type ZoneError struct{ Zone string }

func (e *ZoneError) Error() string {
	return fmt.Sprintf("A valid TimeZone value must be specified. The following TimeZone value is not supported: '%.80s'.", e.Zone)
}

// Location finds a time zone by a Windows or IANA name; "" is UTC.
func Location(zone string) (*time.Location, error) {
	if zone == "" {
		return time.UTC, nil
	}
	if loc, ok := wintz.Location(zone); ok {
		return loc, nil
	}
	return nil, &ZoneError{zone}
}

// ErrBody: a body is not what it should be.
var ErrBody = errors.New("graph: unreadable body")

// ParseRequest reads the body of a call: names in any letter case, unknown ones
// left alone. An error wraps ErrBody.
func ParseRequest(b []byte) (*Request, error) {
	r := new(Request)
	if err := decode(b, r); err != nil {
		return nil, err
	}
	if r.Start == nil || r.End == nil {
		return nil, fmt.Errorf("%w: startTime and endTime are needed", ErrBody)
	}
	return r, nil
}

// decode reads one JSON object and nothing after it.
func decode(b []byte, v any) error {
	if t := bytes.TrimLeft(b, " \t\r\n"); len(t) == 0 || t[0] != '{' {
		return fmt.Errorf("%w: it is no JSON object", ErrBody)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %w", ErrBody, err)
	}
	return nil
}

// A Schedule is the scheduleInformation of one address (3). With Error there is
// nothing else but the ID.
type Schedule struct {
	ID    string        `json:"scheduleId"`
	View  string        `json:"availabilityView"`
	Items []Item        `json:"scheduleItems"`
	Hours *WorkingHours `json:"workingHours,omitempty"`
	Error *MailboxError `json:"error,omitempty"`
}

// MarshalJSON leaves out of an error what is not its own.
func (s Schedule) MarshalJSON() ([]byte, error) {
	if s.Error != nil {
		return marshal(struct {
			ID    string        `json:"scheduleId"`
			Error *MailboxError `json:"error"`
		}{s.ID, s.Error})
	}
	if s.Items == nil {
		s.Items = []Item{}
	}
	type plain Schedule
	return marshal(plain(s))
}

// An Item is a scheduleItem. Who may not see its details is not told either
// whether it is private: Private is nil.
type Item struct {
	Private  *bool    `json:"isPrivate,omitempty"`
	Status   string   `json:"status"`
	Subject  string   `json:"subject,omitempty"`
	Location string   `json:"location,omitempty"`
	Start    DateTime `json:"start"`
	End      DateTime `json:"end"`
}

// A MailboxError is a freeBusyError (5).
type MailboxError struct {
	Message string `json:"message"`
	Code    string `json:"responseCode"`
}

// A response is the answer of a call.
type response struct {
	Context string     `json:"@odata.context,omitempty"`
	Value   []Schedule `json:"value"`
}

// Response writes the answer of a service whose root is a URL, https://host/v1.0.
func Response(root string, list []Schedule) ([]byte, error) {
	if list == nil {
		list = []Schedule{}
	}
	return marshal(response{root + "/$metadata#Collection(microsoft.graph.scheduleInformation)", list})
}

// ParseResponse reads an answer. An error wraps ErrBody. A schedule that cannot be
// read becomes one with an error without code.
func ParseResponse(b []byte) ([]Schedule, error) {
	var r struct{ Value []json.RawMessage }
	if err := decode(b, &r); err != nil {
		return nil, err
	}
	if r.Value == nil {
		return nil, fmt.Errorf("%w: it has no value", ErrBody)
	}
	list := make([]Schedule, len(r.Value))
	for i, raw := range r.Value {
		if err := json.Unmarshal(raw, &list[i]); err != nil {
			list[i] = Schedule{ID: list[i].ID, Error: &MailboxError{Message: err.Error()}}
		}
	}
	return list, nil
}

// An Error is why a whole call was refused (6).
type Error struct {
	Code, Message string
	Date          time.Time
	RequestID     string
	ClientRequest string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

type errorBody struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Inner   struct {
			Date          string `json:"date,omitempty"`
			RequestID     string `json:"request-id,omitempty"`
			ClientRequest string `json:"client-request-id,omitempty"`
		} `json:"innerError"`
	} `json:"error"`
}

// MarshalJSON writes the body of the answer.
func (e *Error) MarshalJSON() ([]byte, error) {
	var b errorBody
	b.Error.Code, b.Error.Message = e.Code, e.Message
	b.Error.Inner.Date = e.Date.UTC().Format("2006-01-02T15:04:05")
	b.Error.Inner.RequestID, b.Error.Inner.ClientRequest = e.RequestID, e.ClientRequest
	return marshal(b)
}

// ParseError reads the body of a refusal; nil: it is none.
func ParseError(b []byte) *Error {
	var e errorBody
	if decode(b, &e) != nil || e.Error.Code == "" {
		return nil //nolint:nilerr // the other server's answer is no error of ours
	}
	return &Error{Code: e.Error.Code, Message: e.Error.Message, RequestID: e.Error.Inner.RequestID, ClientRequest: e.Error.Inner.ClientRequest}
}

// marshal is json.Marshal that leaves <, > and & as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// ZoneOf is the time zone that the Prefer headers of a request ask for (2):
// outlook.timezone="W. Europe Standard Time"; "": none.
func ZoneOf(prefer []string) string {
	for _, line := range prefer {
		for p := range preferences(line) {
			name, value, _ := strings.Cut(p, "=")
			if strings.EqualFold(strings.TrimSpace(name), "outlook.timezone") {
				value, _, _ = strings.Cut(value, ";")
				return strings.Trim(strings.TrimSpace(value), `"`)
			}
		}
	}
	return ""
}

// preferences yields the preferences of a line, which are between commas that are
// in no quotes (RFC 7240 2).
func preferences(line string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		quoted, from := false, 0
		for i := range len(line) {
			switch {
			case line[i] == '"':
				quoted = !quoted
			case line[i] == ',' && !quoted:
				if !yield(line[from:i]) {
					return
				}
				from = i + 1
			}
		}
		yield(line[from:])
	}
}

// PreferZone is the Prefer header, and what the answer says of it.
func PreferZone(zone string) string { return `outlook.timezone="` + zone + `"` }
