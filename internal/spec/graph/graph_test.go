package graph_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/spec/graph"
	"busybridge/internal/spec/wintz"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func at(hour, minute int) time.Time { return time.Date(2026, 11, 23, hour, minute, 0, 0, time.UTC) }

func TestParseRequest(t *testing.T) {
	utc := func(hour int) *graph.DateTime { return &graph.DateTime{Wall: at(hour, 0), Zone: "UTC"} }
	eight := `"startTime":{"dateTime":"2026-11-23T08:00:00","timeZone":"UTC"},"endTime":{"dateTime":"2026-11-23T12:00:00","timeZone":"UTC"}`
	for name, tt := range map[string]struct {
		body string
		want *graph.Request // nil: refused
	}{
		"as documented":         {`{"schedules":["ana@contoso.com","r1@contoso.com"],` + eight + `,"availabilityViewInterval":60}`, &graph.Request{Schedules: []string{"ana@contoso.com", "r1@contoso.com"}, Start: utc(8), End: utc(12), Interval: 60}},
		"as the schema":         {`{"Schedules":["a"],"StartTime":{"DateTime":"2026-11-23T08:00:00","TimeZone":"UTC"},"EndTime":{"DateTime":"2026-11-23T12:00:00","TimeZone":"UTC"},"AvailabilityViewInterval":60}`, &graph.Request{Schedules: []string{"a"}, Start: utc(8), End: utc(12), Interval: 60}},
		"interval as text":      {`{"schedules":["a"],` + eight + `,"availabilityViewInterval":"60"}`, &graph.Request{Schedules: []string{"a"}, Start: utc(8), End: utc(12), Interval: 60}},
		"no interval":           {`{"schedules":["a"],` + eight + `,"availabilityViewInterval":null}`, &graph.Request{Schedules: []string{"a"}, Start: utc(8), End: utc(12)}},
		"more than we know":     {`{"@odata.type":"x","schedules":[],` + eight + `,"more":{"a":[1]}}`, &graph.Request{Schedules: []string{}, Start: utc(8), End: utc(12)}},
		"fractions and minutes": {`{"schedules":["a"],"startTime":{"dateTime":"2026-11-23T08:00:00.0000000"},"endTime":{"dateTime":"2026-11-23T12:00"}}`, &graph.Request{Schedules: []string{"a"}, Start: &graph.DateTime{Wall: at(8, 0)}, End: &graph.DateTime{Wall: at(12, 0)}}},
		"offsets":               {`{"startTime":{"dateTime":"2026-11-23T09:00:00+01:00","timeZone":"UTC"},"endTime":{"dateTime":"2026-11-23T12:00:00Z","timeZone":"Nowhere"}}`, &graph.Request{Start: &graph.DateTime{Wall: at(8, 0), Zone: "UTC", Absolute: true}, End: &graph.DateTime{Wall: at(12, 0), Zone: "Nowhere", Absolute: true}}},

		"nothing":             {``, nil},
		"a list":              {`[1]`, nil},
		"null":                {`null`, nil},
		"two objects":         {`{` + eight + `}{}`, nil},
		"no times":            {`{"schedules":["a"]}`, nil},
		"no end":              {`{"startTime":{"dateTime":"2026-11-23T08:00:00"}}`, nil},
		"end is null":         {`{"startTime":{"dateTime":"2026-11-23T08:00:00"},"endTime":null}`, nil},
		"not a time":          {`{"startTime":{"dateTime":"tomorrow"},"endTime":{"dateTime":"2026-11-23T12:00:00"}}`, nil},
		"not an interval":     {`{` + eight + `,"availabilityViewInterval":"half"}`, nil},
		"interval overflows":  {`{` + eight + `,"availabilityViewInterval":99999999999}`, nil},
		"schedules no text":   {`{"schedules":[1],` + eight + `}`, nil},
		"half an interval":    {`{` + eight + `,"availabilityViewInterval":1.5}`, nil},
		"interval is a truth": {`{` + eight + `,"availabilityViewInterval":true}`, nil},
	} {
		got, err := graph.ParseRequest([]byte(tt.body))
		if tt.want == nil {
			if !errors.Is(err, graph.ErrBody) {
				t.Errorf("%s: %+v, %v; want ErrBody", name, got, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestDateTimesAreOfTheirZone(t *testing.T) {
	for _, tt := range []struct {
		d    graph.DateTime
		want time.Time // zero: no such zone
	}{
		{graph.DateTime{Wall: at(9, 0)}, at(9, 0)},
		{graph.DateTime{Wall: at(9, 0), Zone: "W. Europe Standard Time"}, at(8, 0)},
		{graph.DateTime{Wall: at(9, 0), Zone: "Europe/Berlin"}, at(8, 0)},
		{graph.DateTime{Wall: at(9, 0), Zone: "Europe/Berlin", Absolute: true}, at(9, 0)},
		{graph.DateTime{Wall: at(9, 0), Zone: "Middle Earth Standard Time"}, time.Time{}},
	} {
		got, err := tt.d.UTC()
		_, unknown := errors.AsType[*graph.ZoneError](err)
		if !got.Equal(tt.want) || unknown != tt.want.IsZero() {
			t.Errorf("%+v is %v, %v; want %v", tt.d, got, err, tt.want)
		}
	}
}

func TestZoneOf(t *testing.T) {
	for _, tt := range []struct {
		prefer []string
		want   string
	}{
		{nil, ""},
		{[]string{`outlook.timezone="W. Europe Standard Time"`}, "W. Europe Standard Time"},
		{[]string{`outlook.body-content-type="text, plain", Outlook.TimeZone = "Eastern Standard Time"; x=1`}, "Eastern Standard Time"},
		{[]string{`odata.maxpagesize=5`, `outlook.timezone=UTC`}, "UTC"},
		{[]string{`outlook.timezone`}, ""},
		{[]string{`x="outlook.timezone=UTC`}, ""},
	} {
		if got := graph.ZoneOf(tt.prefer); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.prefer, got, tt.want)
		}
	}
	if got := graph.ZoneOf([]string{graph.PreferZone("China Standard Time")}); got != "China Standard Time" {
		t.Errorf("what PreferZone writes is read as %q", got)
	}
}

var berlin = wintz.Rule{
	Bias:     -60,
	Standard: wintz.Switch{Time: 3 * time.Hour, DayOrder: 5, Month: 10, Weekday: time.Sunday},
	Daylight: wintz.Switch{Bias: -60, Time: 2 * time.Hour, DayOrder: 5, Month: 3, Weekday: time.Sunday},
}

func schedules() []graph.Schedule {
	no := false
	dt := func(h, m int) graph.DateTime { return graph.DateTime{Wall: at(h, m), Zone: "UTC"} }
	return []graph.Schedule{
		{
			ID: "ana@contoso.com", View: "0210",
			Items: []graph.Item{
				{Private: &no, Status: "busy", Subject: "Budget <draft> & more", Location: "R1", Start: dt(9, 15), End: dt(10, 0)},
				{Status: "tentative", Start: dt(10, 30), End: dt(11, 0)},
			},
			Hours: &graph.WorkingHours{Days: 0b0111110, Start: 480, End: 1020, Zone: berlin},
		},
		{ID: "lee@contoso.com", View: "0000", Items: []graph.Item{}, Hours: &graph.WorkingHours{Days: 0b1111111, Start: 0, End: 1440, Named: "UTC"}},
		{ID: "room1@contoso.com", Error: &graph.MailboxError{Message: "Unable to resolve e-mail address room1@contoso.com to an Active Directory object.", Code: "5009"}},
	}
}

func TestResponseGolden(t *testing.T) {
	b, err := graph.Response("https://graph.contoso.com/v1.0", schedules())
	if err != nil {
		t.Fatal(err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, b, "", " "); err != nil {
		t.Fatal(err)
	}
	golden(t, "response.json", append(pretty.Bytes(), '\n'))
	got, err := graph.ParseResponse(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(schedules(), got); diff != "" {
		t.Errorf("read again (-want +got):\n%s", diff)
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// One schedule that nobody can read spoils no other, and hours that nobody can
// read spoil nothing.
func TestParseResponseKeepsWhatIsGood(t *testing.T) {
	got, err := graph.ParseResponse([]byte(`{"value":[
		{"scheduleId":"a","scheduleItems":[{"start":{"dateTime":"soon"}}]},
		{"scheduleId":"b","availabilityView":"02","workingHours":{"daysOfWeek":["noday"]}},
		{"scheduleId":"c","availabilityView":"00","workingHours":{"daysOfWeek":["Monday"],"startTime":"08:00:00","endTime":"17:30:00.0000000","timeZone":{"name":"W. Europe Standard Time"}}},
		7]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []graph.Schedule{
		{ID: "a", Error: &graph.MailboxError{Message: `dateTime "soon" is not of the form yyyy-MM-ddTHH:mm:ss`}},
		{ID: "b", View: "02", Hours: &graph.WorkingHours{}},
		{ID: "c", View: "00", Hours: &graph.WorkingHours{Days: 2, Start: 480, End: 1050, Named: "W. Europe Standard Time"}},
		{Error: &graph.MailboxError{Message: "json: cannot unmarshal number into Go value of type graph.Schedule"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ParseResponse (-want +got):\n%s", diff)
	}
	for _, bad := range []string{``, `[]`, `{}`, `{"value":7}`, `{"value":[`} {
		if got, err := graph.ParseResponse([]byte(bad)); !errors.Is(err, graph.ErrBody) {
			t.Errorf("%q: %v, %v; want ErrBody", bad, got, err)
		}
	}
}

func TestErrorBody(t *testing.T) {
	e := &graph.Error{Code: "ErrorAccessDenied", Message: "Access is denied.", Date: at(9, 0), RequestID: "r", ClientRequest: "c"}
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"error":{"code":"ErrorAccessDenied","message":"Access is denied.","innerError":{"date":"2026-11-23T09:00:00","request-id":"r","client-request-id":"c"}}}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	read := graph.ParseError(b)
	if read == nil || read.Code != e.Code || read.Message != e.Message || read.RequestID != "r" || read.ClientRequest != "c" {
		t.Errorf("read again: %+v", read)
	}
	if e := graph.ParseError([]byte(`<html>`)); e != nil {
		t.Errorf("of a page: %+v", e)
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(`{"schedules":["ana@contoso.com"],"startTime":{"dateTime":"2026-11-23T08:00:00","timeZone":"UTC"},"endTime":{"dateTime":"2026-11-23T12:00:00.1234567","timeZone":"Europe/Berlin"},"availabilityViewInterval":"60"}`))
	f.Add([]byte(`{"STARTTIME":{"dateTime":"0000-01-01"},"endTime":{"dateTime":"9999-12-31T23:59:59-23:59"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := graph.ParseRequest(b)
		if err != nil {
			if !errors.Is(err, graph.ErrBody) {
				t.Errorf("%v is not ErrBody", err)
			}
			return
		}
		for _, d := range []*graph.DateTime{r.Start, r.End} {
			if _, err := d.UTC(); err != nil {
				if _, ok := errors.AsType[*graph.ZoneError](err); !ok {
					t.Errorf("%+v: %v", d, err)
				}
			}
		}
		// What a client writes means the same.
		again, err := json.Marshal(r)
		if err != nil {
			return // a year of five digits
		}
		if _, err := graph.ParseRequest(again); err != nil && r.Start.Wall.Year() > 0 && r.End.Wall.Year() < 9999 && r.End.Wall.Year() > 0 && r.Start.Wall.Year() < 9999 {
			t.Errorf("%s is written as %s: %v", b, again, err)
		}
	})
}

func FuzzParseResponse(f *testing.F) {
	b, err := graph.Response("https://graph.contoso.com/v1.0", schedules())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"value":[{"scheduleId":"a","workingHours":{"timeZone":{"standardOffset":{"time":"99:00:00"},"daylightOffset":{}}}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := graph.ParseResponse(b)
		if err != nil {
			return
		}
		out, err := graph.Response("", list)
		if err != nil {
			t.Fatal(err)
		}
		again, err := graph.ParseResponse(out)
		if err != nil || len(again) != len(list) {
			t.Errorf("%s is written as %s: %v", b, out, err)
		}
	})
}
