package ical_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"busybridge/internal/spec/ical"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// sameTree compares what was read, not where.
var sameTree = cmp.Options{
	cmpopts.IgnoreUnexported(ical.Component{}),
	cmpopts.IgnoreFields(ical.Component{}, "Line"),
	cmpopts.IgnoreFields(ical.Property{}, "Line"),
	cmpopts.EquateEmpty(),
}

func event(lines ...string) string {
	return "BEGIN:VCALENDAR\nBEGIN:VEVENT\n" + strings.Join(lines, "\n") + "\nEND:VEVENT\nEND:VCALENDAR\n"
}

func TestContentLines(t *testing.T) {
	param := func(name string, v ...string) ical.Param { return ical.Param{Name: name, Values: v} }
	for _, tt := range []struct {
		line string
		want ical.Property
	}{
		{"SUMMARY:one", ical.Property{Name: "SUMMARY", Value: "one"}},
		{"summary:one", ical.Property{Name: "SUMMARY", Value: "one"}},
		{"item1.SUMMARY:one", ical.Property{Name: "SUMMARY", Value: "one"}},
		{"SUMMARY:", ical.Property{Name: "SUMMARY"}},
		{"SUM\n MARY:on\n\te", ical.Property{Name: "SUMMARY", Value: "one"}},
		{"SUMMARY:a\n\n\n b", ical.Property{Name: "SUMMARY", Value: "ab"}},
		{`ATTENDEE;CN="a;b:c,d";ROLE=x,"y":mailto:z`, ical.Property{Name: "ATTENDEE", Params: []ical.Param{param("CN", "a;b:c,d"), param("ROLE", "x", "y")}, Value: "mailto:z"}},
		{`X;A="b"c:d`, ical.Property{Name: "X", Params: []ical.Param{param("A", "bc")}, Value: "d"}},
		{"X;A=:d", ical.Property{Name: "X", Params: []ical.Param{param("A", "")}, Value: "d"}},
		{"X;A;;B=1:d", ical.Property{Name: "X", Params: []ical.Param{param("A", ""), param("B", "1")}, Value: "d"}},
		{"X;A=a^nb^^c^'d^x:d", ical.Property{Name: "X", Params: []ical.Param{param("A", "a\nb^c\"d^x")}, Value: "d"}},
		{"DTSTART;TZID=(UTC+01:00) Amsterdam, Berlin:20260101T000000", ical.Property{Name: "DTSTART", Params: []ical.Param{param("TZID", "(UTC+01:00) Amsterdam, Berlin")}, Value: "20260101T000000"}},
		{"NOTE;ENCODING=QUOTED-PRINTABLE:a=0Ab=\n=C3=BC=\nc", ical.Property{Name: "NOTE", Params: []ical.Param{param("ENCODING", "QUOTED-PRINTABLE")}, Value: "a=0Ab=C3=BCc"}},
	} {
		cal, problems, err := ical.Parse([]byte(event(tt.line)), ical.Limits{})
		if err != nil || len(problems) > 0 {
			t.Errorf("%q: %v %v", tt.line, err, problems)
			continue
		}
		got := cal.Components[0].Components[0].Properties
		if diff := cmp.Diff([]ical.Property{tt.want}, got, sameTree); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.line, diff)
		}
	}
}

func TestText(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{`X:a\, b\; c\\ d\ne\Nf`, "a, b; c\\ d\ne\nf"},
		{`X:ends in \`, `ends in \`},
		{"X:gr\xfc\xdfe", "grüße"},
		{"X;QUOTED-PRINTABLE:gr=C3=BC=C3=9Fe=3", "grüße=3"},
	} {
		cal, _, err := ical.Parse([]byte(event(tt.line)), ical.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := cal.Components[0].Components[0].Properties[0].Text(); got != tt.want {
			t.Errorf("%q is %q, want %q", tt.line, got, tt.want)
		}
	}
}

// TestEncodings: one calendar in every form that is accepted gives one tree.
func TestEncodings(t *testing.T) {
	text := "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Gr\u00fc\u00dfe\r\n \U0001f600 und mehr\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	utf16Of := func(s string, order func(u uint16) []byte) []byte {
		var b []byte
		for _, u := range utf16.Encode([]rune(s)) {
			b = append(b, order(u)...)
		}
		return b
	}
	little := func(u uint16) []byte { return []byte{byte(u), byte(u >> 8)} }
	big := func(u uint16) []byte { return []byte{byte(u >> 8), byte(u)} }
	want, _, err := ical.Parse([]byte(text), ical.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	// The emoji is four octets: the fold may come within it.
	i := strings.Index(text, "\U0001f600")
	for name, data := range map[string][]byte{
		"LF":             []byte(strings.ReplaceAll(text, "\r\n", "\n")),
		"CR":             []byte(strings.ReplaceAll(text, "\r\n", "\r")),
		"doubled CR":     []byte(strings.ReplaceAll(text, "\r\n", "\r\r\n")),
		"BOM":            []byte("\ufeff" + text),
		"UTF-16LE":       utf16Of("\ufeff"+text, little),
		"UTF-16BE":       utf16Of("\ufeff"+text, big),
		"UTF-16 no BOM":  utf16Of(text, little),
		"UTF-16 odd":     append(utf16Of("\ufeff"+text, little), 'x'),
		"lower case":     []byte(strings.NewReplacer("BEGIN", "begin", "END", "End", "UID", "uid", "VEVENT", "vevent").Replace(text)),
		"indented begin": []byte("  " + text),
		"fold in a rune": []byte(text[:i+2] + "\r\n " + text[i+2:]),
		"no last end":    []byte(strings.TrimSpace(text)),
	} {
		got, problems, err := ical.Parse(data, ical.Limits{})
		if err != nil || len(problems) > 0 {
			t.Errorf("%s: %v %v", name, err, problems)
			continue
		}
		if diff := cmp.Diff(want, got, sameTree); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestProblems: one bad part costs that part, and is reported with its line.
func TestProblems(t *testing.T) {
	good := "BEGIN:VEVENT\nUID:good\nEND:VEVENT\n"
	for _, tt := range []struct {
		name, body string
		uids       string
		line       int // of the first problem
	}{
		{"a line without a colon", "BEGIN:VEVENT\nUID:a\nnonsense\nEND:VEVENT\n", "a good", 4},
		{"an open quote", "BEGIN:VEVENT\nUID:a\nDTSTART;TZID=\"x:20260101\nEND:VEVENT\n", "a good", 4},
		{"a line that ends in a parameter", "BEGIN:VEVENT\nUID:a\nX;A=\nEND:VEVENT\n", "a good", 4},
		{"a name with a space", "BEGIN:VEVENT\nUID:a\nMeeting ID: 7\nEND:VEVENT\n", "a good", 4},
		{"an END too many", "END:VEVENT\n", "good", 2},
		{"an alarm without END", "BEGIN:VEVENT\nUID:a\nBEGIN:VALARM\nEND:VEVENT\n", "a good", 5},
		{"an event without END", "BEGIN:VEVENT\nUID:a\n", "a good", 4},
		{"a misspelt END", "BEGIN:VTODO\nUID:a\nEND:VTOOD\n", "good", 4},
		{"an empty BEGIN", "BEGIN:\n", "good", 2},
	} {
		cal, problems, err := ical.Parse([]byte("BEGIN:VCALENDAR\n"+tt.body+good+"END:VCALENDAR\n"), ical.Limits{})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var uids []string
		for _, g := range ical.Groups(cal) {
			uids = append(uids, g.UID)
		}
		if got := strings.Join(uids, " "); got != tt.uids {
			t.Errorf("%s: events %q, want %q", tt.name, got, tt.uids)
		}
		if len(problems) == 0 || problems[0].Line != tt.line || problems[0].Reason == "" {
			t.Errorf("%s: problems %v, want one in line %d", tt.name, problems, tt.line)
		}
	}
	cal, problems, err := ical.Parse([]byte("BEGIN:VCALENDAR\n"+good+"BEGIN:VEVENT\nUID:cut\nSUMM"), ical.Limits{})
	if err != nil || len(ical.Groups(cal)) != 1 || len(problems) != 2 || problems[1].UID != "cut" {
		t.Errorf("a cut file: %v, %v, want the good event and a problem of the other", err, problems)
	}
}

// TestLists: properties keep their order and belong to their component, whatever
// comes between them and however many there are.
func TestLists(t *testing.T) {
	var text strings.Builder
	want := &ical.Component{Name: "VCALENDAR"}
	add := func(c *ical.Component, n int) {
		for range n {
			p := ical.Property{Name: "X", Params: []ical.Param{{Name: "A", Values: []string{itoa(text.Len()), "b"}}}, Value: "v"}
			text.WriteString("X;A=" + p.Params[0].Values[0] + ",b:v\n")
			c.Properties = append(c.Properties, p)
		}
	}
	text.WriteString("BEGIN:VCALENDAR\n")
	for i := range 40 {
		c := &ical.Component{Name: "VEVENT"}
		want.Components = append(want.Components, c)
		text.WriteString("BEGIN:VEVENT\n")
		add(c, i*7%40)
		for j := range i % 3 {
			sub := &ical.Component{Name: "VALARM"}
			c.Components = append(c.Components, sub)
			text.WriteString("BEGIN:VALARM\n")
			add(sub, j*5)
			text.WriteString("bad line\nEND:VALARM\n")
			add(c, i%4)
		}
		text.WriteString("END:VEVENT\n")
		add(want, i%2)
	}
	text.WriteString("END:VCALENDAR\n")
	got, _, err := ical.Parse([]byte(text.String()), ical.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]*ical.Component{want}, got.Components, sameTree); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// What somebody appends to one list does not show in another.
	got.Components[0].Components[7].Properties = append(got.Components[0].Components[7].Properties, ical.Property{Name: "MINE"})
	if diff := cmp.Diff(want.Components[8:], got.Components[0].Components[8:], sameTree); diff != "" {
		t.Errorf("after an append (-want +got):\n%s", diff)
	}
}

func TestNotCalendars(t *testing.T) {
	for _, tt := range []struct {
		name, data string
		limits     ical.Limits
		want       error
	}{
		{"empty", "", ical.Limits{}, ical.ErrNotCalendar},
		{"a page", "<html><body>Sign in</body></html>", ical.Limits{}, ical.ErrNotCalendar},
		{"gzip", "\x1f\x8b\x08\x00", ical.Limits{}, ical.ErrNotCalendar},
		{"octets", event("UID:1"), ical.Limits{Bytes: 10}, ical.ErrTooLarge},
		{"components", event("UID:1"), ical.Limits{Components: 1}, ical.ErrTooLarge},
		{"properties", event("UID:1", "A:1"), ical.Limits{Properties: 1}, ical.ErrTooLarge},
	} {
		if _, _, err := ical.Parse([]byte(tt.data), tt.limits); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestLimitsThatLeaveOut(t *testing.T) {
	cal, problems, err := ical.Parse([]byte(event("UID:1", "LONG:"+strings.Repeat("x\n y", 100), "SUMMARY:s")), ical.Limits{Line: 50})
	if err != nil || len(problems) != 1 || problems[0].Line != 4 || len(cal.Components[0].Components[0].Properties) != 2 {
		t.Errorf("a long line: %v %v", err, problems)
	}
	deep := strings.Repeat("BEGIN:X\n", 50_000) + strings.Repeat("END:X\n", 50_000)
	cal, problems, err = ical.Parse([]byte(event("UID:1", deep+"SUMMARY:s")), ical.Limits{})
	if err != nil || len(problems) != 1 || len(cal.Components[0].Components[0].Properties) != 2 {
		t.Errorf("deep nesting: %v %v", err, problems)
	}
	_, problems, err = ical.Parse([]byte(event(strings.Repeat("bad\n", 100))), ical.Limits{Problems: 10})
	if err != nil || len(problems) != 11 || problems[10].Reason != "90 more problems" {
		t.Errorf("many problems: %v %v", err, problems)
	}
}

func TestAppend(t *testing.T) {
	c := &ical.Component{Name: "VEVENT", Properties: []ical.Property{
		{Name: "SUMMARY", Value: ical.EscapeText("one, two; three\\four\nfive\x00\x07")},
		{Name: "X", Params: []ical.Param{{Name: "A", Values: []string{"plain", "with:colon", `with "quote"`, "(bracket)"}}}, Value: "v"},
		{Name: "LONG", Value: strings.Repeat("ä", 80)},
	}, Components: []*ical.Component{{Name: "VALARM"}}}
	got := string(ical.Append(nil, c))
	want := "BEGIN:VEVENT\r\nSUMMARY:one\\, two\\; three\\\\four\\nfive\r\n" +
		"X;A=plain,\"with:colon\",with ^'quote^',\"(bracket)\":v\r\n" +
		"LONG:" + strings.Repeat("ä", 35) + "\r\n " + strings.Repeat("ä", 37) + "\r\n " + strings.Repeat("ä", 8) + "\r\n" +
		"BEGIN:VALARM\r\nEND:VALARM\r\nEND:VEVENT\r\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Append (-want +got):\n%s", diff)
	}
	for line := range strings.SplitSeq(got, "\r\n") {
		if len(line) > 75 {
			t.Errorf("line of %d octets: %q", len(line), line)
		}
	}
	back, problems, err := ical.Parse([]byte(got), ical.Limits{})
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	if diff := cmp.Diff(c, back.Components[0], sameTree); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

// seeds are the test calendars of this package.
func seeds(f *testing.F) [][]byte {
	names, err := filepath.Glob("testdata/*.ics")
	if err != nil || len(names) == 0 {
		f.Fatal("no test calendars", err)
	}
	var list [][]byte
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			f.Fatal(err)
		}
		list = append(list, b)
	}
	return list
}

func FuzzParse(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
		f.Add(bytes.ReplaceAll(b, []byte("\n"), []byte("\r")))
	}
	f.Add([]byte("BEGIN:A\nX;A=\"b\"c;D=^n^':e=\n f\nEND:A"))
	f.Add([]byte("\xff\xfeB\x00E\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cal, _, err := ical.Parse(data, ical.Limits{Bytes: 1 << 20})
		if err != nil {
			return
		}
		var text []byte
		for _, c := range cal.Components {
			text = ical.Append(text, c)
		}
		again, problems, err := ical.Parse(text, ical.Limits{})
		if err != nil || len(problems) > 0 {
			t.Fatalf("what was written does not parse: %v %v\n%s", err, problems, text)
		}
		if diff := cmp.Diff(cal, again, sameTree); diff != "" {
			t.Fatalf("read back (-first +again):\n%s", diff)
		}
	})
}

// tenThousand is a calendar of 10,000 events as a mail program exports them.
func tenThousand() []byte {
	var b bytes.Buffer
	b.WriteString("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\n")
	for i := range 10_000 {
		b.WriteString("BEGIN:VEVENT\r\nUID:event-" + string(rune('a'+i%26)) + strings.Repeat("0", i%7) + itoa(i) + "@contoso.com\r\n" +
			"DTSTAMP:20260101T000000Z\r\nDTSTART;TZID=Europe/Berlin:2026" + two(1+i%12) + two(1+i%28) + "T" + two(8+i%10) + "0000\r\n" +
			"DTEND;TZID=Europe/Berlin:2026" + two(1+i%12) + two(1+i%28) + "T" + two(9+i%10) + "0000\r\n" +
			"SUMMARY:Weekly planning of the team\\, with guests\r\nLOCATION:Room 4\r\nSTATUS:CONFIRMED\r\nTRANSP:OPAQUE\r\nSEQUENCE:0\r\n" +
			"ORGANIZER;CN=Ann:mailto:ann@contoso.com\r\nATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=ACCEPTED;\r\n CN=\"Bob Example\":mailto:bob@contoso.com\r\n")
		switch i % 20 {
		case 0:
			b.WriteString("RRULE:FREQ=WEEKLY;BYDAY=MO,WE\r\n")
		case 1:
			b.WriteString("RRULE:FREQ=DAILY;COUNT=200\r\n")
		case 2:
			b.WriteString("RRULE:FREQ=MONTHLY;BYDAY=-1FR\r\n")
		}
		b.WriteString("END:VEVENT\r\n")
	}
	b.WriteString("END:VCALENDAR\r\n")
	return b.Bytes()
}

func two(n int) string { return string([]byte{byte('0' + n/10%10), byte('0' + n%10)}) }

func itoa(n int) string { return two(n/100) + two(n) }

func BenchmarkParse10000(b *testing.B) {
	data := tenThousand()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		cal, problems, err := ical.Parse(data, ical.Limits{})
		if err != nil || len(problems) > 0 {
			b.Fatal(err, problems)
		}
		if n := len(ical.Groups(cal)); n != 10_000 {
			b.Fatal(n)
		}
	}
}
