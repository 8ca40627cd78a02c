package availability_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/availability"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
)

// days are n days from monday, in UTC.
func days(n int) (out []freebusy.Window) {
	for i := range n {
		out = append(out, freebusy.Window{Start: at(float64(24 * i)), End: at(float64(24 * (i + 1)))})
	}
	return out
}

func office() routing.Hours {
	return routing.Hours{Periods: []routing.Period{{Days: 0b0111110, Start: 8 * 60, End: 17 * 60}}}
}

// shown is a day as text: its quality, then each time with what the attendees do.
func shown(d availability.SuggestionDay) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s:", d.Start.Format("Mon"), d.Quality)
	for _, s := range d.Suggestions {
		fmt.Fprintf(&b, " %s", s.Start.Format("15:04"))
		if !s.WorkTime {
			b.WriteString("*")
		}
		b.WriteString("/" + s.Quality.String()[:1])
		for _, c := range s.Conflicts {
			switch c.Kind {
			case availability.IndividualConflict:
				b.WriteString("," + c.Status.String())
			case availability.GroupConflict:
				fmt.Fprintf(&b, ",%d=%d+%d+%d", c.Members, c.Available, c.InConflict, c.NoData)
			case availability.TooBigGroupConflict:
				b.WriteString(",big")
			case availability.UnknownConflict:
				b.WriteString(",?")
			}
		}
	}
	return b.String()
}

// TestSuggestionTable holds the rules of reference 2.8.
func TestSuggestionTable(t *testing.T) {
	w := newWorld()
	cases := readSuggestions(t, w)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			days, err := w.engine(t).Suggest(t.Context(), w.suggestionQuestion(c.ask), &c.query)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range days {
				got = append(got, shown(d))
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("suggestions (-want +got):\n%s", d)
			}
		})
	}
}

type suggestionCase struct {
	name  string
	ask   []string
	query availability.SuggestionQuery
	want  []string
}

// readSuggestions reads testdata/suggestions.txt: the people into w, and the cases.
func readSuggestions(t *testing.T, w *world) (cases []suggestionCase) {
	t.Helper()
	for _, l := range tableLines(t, "suggestions.txt") {
		word, rest, _ := strings.Cut(l.text, " ")
		rest = strings.TrimSpace(rest)
		name, more, _ := strings.Cut(rest, " ")
		more = strings.TrimSpace(more)
		var c *suggestionCase
		if len(cases) > 0 {
			c = &cases[len(cases)-1]
		}
		switch word {
		case "person":
			w.mailbox(name, l.entries(t, more)...)
		case "hidden":
			w.mailbox(name, iv(freebusy.Busy, 0, 24)).Permissions = []directory.Permission{{User: "Default", Level: freebusy.LevelNone}}
		case "hours":
			from, to := l.span(t, more)
			cal := &w.people[addr(name)].Calendar
			cal.WorkStart, cal.WorkEnd = int(from/time.Minute), int(to/time.Minute)
		case "group":
			w.group(name, strings.Fields(more)...)
		case "crowd":
			var members []string
			for i := range l.number(t, more) {
				members = append(members, fmt.Sprintf("%s-%d", name, i))
				w.mailbox(members[i])
			}
			w.group(name, members...)
		case "case":
			cases = append(cases, suggestionCase{name: rest, query: availability.SuggestionQuery{
				Days: days(1), Duration: time.Hour, GoodThreshold: 25, MaxResults: 1, Minimum: availability.Fair, Hours: office(),
			}})
		case "ask":
			c.ask = strings.Fields(rest)
		case "want":
			c.want = append(c.want, rest)
		case "set":
			l.set(t, &c.query, rest)
		default:
			t.Fatalf("%s: %q", l.at, word)
		}
	}
	return cases
}

func (l tableLine) set(t *testing.T, q *availability.SuggestionQuery, settings string) {
	t.Helper()
	first, n := 0, 1
	for _, s := range strings.Split(settings, ", ") {
		name, value, _ := strings.Cut(s, " ")
		switch name {
		case "minutes":
			q.Duration = time.Duration(l.number(t, value)) * time.Minute
		case "threshold":
			q.GoodThreshold = l.number(t, value)
		case "results":
			q.MaxResults = l.number(t, value)
		case "nonwork":
			q.MaxNonWorkResult = l.number(t, value)
		case "days":
			n = l.number(t, value)
		case "from":
			first = l.number(t, value)
		case "moving":
			q.CurrentMeeting = monday.Add(l.time(t, value))
		case "minimum":
			var ok bool
			if q.Minimum, ok = availability.ParseQuality(value); !ok {
				t.Fatalf("%s: quality %q", l.at, value)
			}
		default:
			t.Fatalf("%s: setting %q", l.at, s)
		}
	}
	q.Days = days(first + n)[first:]
}

// suggestionQuestion asks for names; one with ! must not be in conflict.
func (w *world) suggestionQuestion(names []string) *availability.Question {
	q := w.question(freebusy.ViewMergedOnly)
	for _, n := range names {
		name, exclude := strings.CutPrefix(n, "!")
		at := availability.Attendee{Raw: name, ExcludeConflicts: exclude}
		if name != "@@" {
			at.Address = addr(name)
		}
		q.Attendees = append(q.Attendees, at)
	}
	return q
}

func TestSuggestionsNeedDays(t *testing.T) {
	w := newWorld()
	for _, s := range []availability.SuggestionQuery{{Duration: time.Hour}, {Days: days(1)}} {
		if _, err := w.engine(t).Suggest(t.Context(), w.question(freebusy.ViewMergedOnly, "ana"), &s); err == nil {
			t.Errorf("%+v: no error", s)
		}
	}
}

// TestSuggestionsStayBounded asks for a hundred people and the longest window.
func TestSuggestionsStayBounded(t *testing.T) {
	w := newWorld()
	var names []string
	for i := range availability.MaxAttendees {
		names = append(names, fmt.Sprintf("p%d", i))
		w.mailbox(names[i], iv(freebusy.Busy, 8, 16))
	}
	got, err := w.engine(t).Suggest(t.Context(), w.question(freebusy.ViewMergedOnly, names...), &availability.SuggestionQuery{
		Days: days(62), Duration: time.Hour, MaxResults: 48, MaxNonWorkResult: 48, Minimum: availability.Poor, Hours: office(),
	})
	if err != nil || len(got) != 62 || len(got[0].Suggestions) != 48 {
		t.Errorf("%d days, %v", len(got), err)
	}
}
