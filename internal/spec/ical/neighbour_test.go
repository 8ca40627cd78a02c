package ical_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"busybridge/internal/spec/ical"
)

// good is an event that can be read, in hour h of a day.
func good(uid string, h int) string {
	return fmt.Sprintf("BEGIN:VEVENT\r\nUID:%s\r\nDTSTART:20260305T%02d0000Z\r\nDTEND:20260305T%02d3000Z\r\nSUMMARY:x\r\nEND:VEVENT\r\n", uid, h, h)
}

const before, after = "before-5c1e@contoso.com", "after-5c1e@contoso.com"

// survives reports which good event is lost with broken lines between the two,
// or "". Both are in UTC: a broken zone may move its own events.
func survives(broken string) string {
	text := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n" + good(before, 8) + broken + "\r\n" + good(after, 15) + "END:VCALENDAR\r\n"
	cal, problems, err := ical.Parse([]byte(text), ical.Limits{})
	if err != nil {
		return err.Error()
	}
	day := time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC)
	want := map[string]time.Time{before: day.Add(8 * time.Hour), after: day.Add(15 * time.Hour)}
	var x ical.Expander
	for _, g := range ical.Groups(cal) {
		start, ok := want[g.UID]
		if !ok {
			continue
		}
		list, _ := x.Expand(&g, day, day.AddDate(0, 0, 1))
		if len(list) == 1 && list[0].Start.Equal(start) && list[0].End.Equal(start.Add(30*time.Minute)) && list[0].Subject == "x" {
			delete(want, g.UID)
		}
	}
	for uid := range want {
		return fmt.Sprintf("%s is lost: %v", uid, problems)
	}
	return ""
}

// nasty are lines that take a neighbour with them in a careless parser.
var nasty = []string{
	"BEGIN:VEVENT", "END:VEVENT", "BEGIN:VCALENDAR", "END:VCALENDAR", "BEGIN:VALARM", "END:VALARM", "BEGIN:VTODO", "BEGIN:X-Y", "END:X-Y", "BEGIN:", "END:",
	"begin:vevent", "End:vcalendar", "BEGIN:VEV", " ENT", " ", "\t", "", " x", "\tEND:VEVENT", " END:VCALENDAR", "BEGIN:VTIMEZONE", "TZID:UTC",
	`X;A="b`, `X;A="b"c:d`, "X;A=", "X;", ":", ";", "=", "\"", "\x00", "\xff\xfe", "\ufeff", "\r", "\n", "\x1f\x8b", "UID", "UID:broken", "DTSTART:nonsense",
	"NOTE;ENCODING=QUOTED-PRINTABLE:a=", "NOTE;QUOTED-PRINTABLE:=", "RRULE:FREQ=SECONDLY", "RRULE:FREQ=DAILY;INTERVAL=0", "METHOD:CANCEL", "STATUS:CANCELLED",
	"X-WR-TIMEZONE:Asia/Tokyo", strings.Repeat("BEGIN:X\r\n", 40), strings.Repeat("x", 5<<20), strings.Repeat("y\r\n ", 1000),
}

// TestNeighbours: an event that can be read alone can be read beside anything.
func TestNeighbours(t *testing.T) {
	for _, a := range nasty {
		if lost := survives(a); lost != "" {
			t.Errorf("%.60q: %.300s", a, lost)
		}
	}
	const seed = 5
	random := rand.New(rand.NewPCG(seed, seed))
	for range 2000 {
		var lines []string
		for range 1 + random.IntN(8) {
			if line := nasty[random.IntN(len(nasty))]; len(line) < 1<<20 {
				lines = append(lines, line)
			}
		}
		broken := strings.Join(lines, "\r\n")
		if lost := survives(broken); lost != "" {
			t.Fatalf("seed %d: %.300q: %.300s", seed, broken, lost)
		}
	}
}

func FuzzNeighbour(f *testing.F) {
	for _, line := range nasty {
		if len(line) < 1000 {
			f.Add([]byte(line))
		}
	}
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, broken []byte) {
		if bytes.Contains(broken, []byte("-5c1e@contoso.com")) {
			t.Skip("it speaks of the good ones")
		}
		if lost := survives(string(broken)); lost != "" {
			t.Fatal(lost)
		}
	})
}

// TestStrayEnd: what belongs in a VCALENDAR counts to it though an END came too
// early, and not where there is no second END: then it is not part of one.
func TestStrayEnd(t *testing.T) {
	tree := func(c ...*ical.Component) string {
		var b strings.Builder
		var write func(c []*ical.Component)
		write = func(c []*ical.Component) {
			for i, c := range c {
				if i > 0 {
					b.WriteByte(' ')
				}
				b.WriteString(c.Name)
				if len(c.Components) > 0 {
					b.WriteByte('(')
					write(c.Components)
					b.WriteByte(')')
				}
			}
		}
		write(c)
		return b.String()
	}
	for _, tt := range []struct{ name, text, want string }{
		{"between events", "BEGIN:VCALENDAR|BEGIN:VEVENT|END:VEVENT|END:VCALENDAR|BEGIN:VEVENT|END:VEVENT|END:VCALENDAR", "VCALENDAR(VEVENT VEVENT)"},
		{"in an event", "BEGIN:VCALENDAR|BEGIN:VEVENT|END:VCALENDAR|END:VEVENT|BEGIN:VEVENT|END:VEVENT|END:VCALENDAR", "VCALENDAR(VEVENT VEVENT)"},
		{"twice", "BEGIN:VCALENDAR|END:VCALENDAR|BEGIN:VTODO|END:VTODO|END:VCALENDAR|BEGIN:VEVENT|END:VEVENT|END:VCALENDAR", "VCALENDAR(VTODO VEVENT)"},
		{"of the second calendar", "BEGIN:VCALENDAR|END:VCALENDAR|BEGIN:VCALENDAR|END:VCALENDAR|BEGIN:VEVENT|END:VEVENT|END:VCALENDAR", "VCALENDAR VCALENDAR(VEVENT)"},
		{"with something else", "BEGIN:VCALENDAR|END:VCALENDAR|BEGIN:X|END:X|BEGIN:VEVENT|END:VEVENT|END:VCALENDAR", "VCALENDAR(VEVENT) X"},
		{"an open component", "BEGIN:VCALENDAR|BEGIN:X|BEGIN:VEVENT|END:VEVENT|END:VCALENDAR", "VCALENDAR(X VEVENT)"},
		{"no second END", "BEGIN:VCALENDAR|END:VCALENDAR|BEGIN:VEVENT|END:VEVENT", "VCALENDAR VEVENT"},
		{"no calendar", "BEGIN:VEVENT|END:VEVENT|END:VCALENDAR", "VEVENT"},
	} {
		cal, _, err := ical.Parse([]byte(strings.ReplaceAll(tt.text, "|", "\n")), ical.Limits{})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := tree(cal.Components...); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestHugeFilesInTime: what makes a parser look at the same octets again and
// again, some megabytes of it. One that is slow in the square takes minutes.
func TestHugeFilesInTime(t *testing.T) {
	if raceDetector {
		t.Skip("measures time")
	}
	for _, tt := range []struct{ name, text string }{
		{"lines that end in CR", strings.Repeat("X:1\r", 1<<20)},
		{"empty lines that end in CR", strings.Repeat("\r", 4<<20)},
		{"one line folded", "X:1" + strings.Repeat("\n x", 1<<20)},
		{"ENDs of what is not open in deep nesting", strings.Repeat("BEGIN:A\n", 150_000) + strings.Repeat("END:B\n", 300_000)},
		{"ENDs of the calendar", strings.Repeat("BEGIN:X\nEND:X\n", 100_000) + strings.Repeat("END:VCALENDAR\n", 200_000)},
		{"nesting closed from above", strings.Repeat(strings.Repeat("BEGIN:A\n", 500)+"BEGIN:VEVENT\n", 1000)},
		{"properties between components", strings.Repeat("X:1\nBEGIN:A\nY:2\nEND:A\n", 100_000)},
		{"problems in a large component", strings.Repeat("X:1\n", 500_000) + strings.Repeat("bad\n", 2000)},
		{"soft line breaks", "X;QUOTED-PRINTABLE:=\n" + strings.Repeat("a=\n", 1<<20)},
		{"parameters", strings.Repeat("X"+strings.Repeat(";A=b,c", 100)+":1\n", 3000)},
	} {
		text := []byte("BEGIN:VCALENDAR\nEND:VCALENDAR\nBEGIN:VCALENDAR\n" + tt.text + "\n" + good(after, 15) + "END:VCALENDAR\n")
		began := cpu(t)
		cal, _, err := ical.Parse(text, ical.Limits{})
		took := cpu(t) - began
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if took > 5*time.Second {
			t.Errorf("%s: %d kB took %v", tt.name, len(text)>>10, took)
		}
		groups := ical.Groups(cal)
		if n := len(groups); n == 0 || groups[n-1].UID != after {
			t.Errorf("%s: the good event is lost", tt.name)
		}
	}
}
