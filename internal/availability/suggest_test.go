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

// TestSuggestions holds the rules of reference 2.8.
func TestSuggestions(t *testing.T) {
	w := newWorld()
	w.mailbox("am", iv(freebusy.Busy, 8, 12))
	w.mailbox("pm", iv(freebusy.Tentative, 12, 17))
	w.mailbox("free")
	w.mailbox("odd", iv(freebusy.Busy, 8, 10.25), iv(freebusy.Busy, 10.75, 17))
	w.mailbox("shy").Permissions = []directory.Permission{{User: "Default", Level: freebusy.LevelNone}}
	w.group("two", "am", "pm")
	var many []string
	for i := range availability.MaxMembers + 1 {
		many = append(many, fmt.Sprintf("m%d", i))
		w.mailbox(many[i])
	}
	w.group("big", many...)
	late := w.mailbox("late")
	late.Calendar = directory.CalendarConfiguration{TimeZone: "UTC", WorkDays: 0b0111110, WorkStart: 10 * 60, WorkEnd: 11 * 60}

	base := availability.SuggestionQuery{Days: days(1), Duration: time.Hour, GoodThreshold: 25, MaxResults: 3, Minimum: availability.Fair, Hours: office()}
	for _, c := range []struct {
		name  string
		who   []string
		alter func(*availability.SuggestionQuery, *availability.Question)
		want  []string
	}{
		{"everybody is free in the afternoon", []string{"am", "free"}, nil, []string{"Mon Excellent: 12:00/E,Free,Free 12:30/E,Free,Free 13:00/E,Free,Free"}},
		{"half of them is never good", []string{"am", "pm"}, nil, []string{"Mon Poor:"}},
		{"half of them is poor", []string{"am", "pm"}, func(s *availability.SuggestionQuery, _ *availability.Question) {
			s.Minimum, s.MaxResults = availability.Poor, 1
		},
			[]string{"Mon Poor: 08:00/P,Busy,Free"}},
		{"one of three is fair", []string{"am", "pm", "free"}, func(s *availability.SuggestionQuery, _ *availability.Question) { s.MaxResults = 1 }, []string{"Mon Fair: 08:00/F,Busy,Free,Free"}},
		{"one of three is good with a low threshold", []string{"am", "pm", "free"}, func(s *availability.SuggestionQuery, _ *availability.Question) { s.MaxResults, s.GoodThreshold = 1, 10 },
			[]string{"Mon Good: 08:00/G,Busy,Free,Free"}},
		{"a minimum leaves the fair ones out", []string{"am", "pm", "free"}, func(s *availability.SuggestionQuery, _ *availability.Question) { s.Minimum = availability.Good }, []string{"Mon Poor:"}},
		{"better ones come first", []string{"odd", "am", "free"}, func(s *availability.SuggestionQuery, _ *availability.Question) {
			s.Duration, s.MaxResults = 30*time.Minute, 2
		}, []string{"Mon Fair: 12:00/F,Busy,Free,Free 12:30/F,Busy,Free,Free"}},
		{"an attendee who must not conflict", []string{"am", "pm", "free", "late"}, func(s *availability.SuggestionQuery, q *availability.Question) {
			q.Attendees[1].ExcludeConflicts, s.MaxResults, s.MaxNonWorkResult = true, 0, 40
		}, nil},
		{"outside of working hours only on request", []string{"free"}, func(s *availability.SuggestionQuery, _ *availability.Question) {
			s.MaxResults, s.MaxNonWorkResult = 1, 2
		},
			[]string{"Mon Excellent: 00:00*/E,Free 00:30*/E,Free 08:00/E,Free"}},
		{"a day for each of the window, also a Sunday", []string{"free"}, func(s *availability.SuggestionQuery, _ *availability.Question) {
			s.Days, s.MaxResults = days(7)[5:], 1
		}, []string{"Sat Poor:", "Sun Poor:"}},
		{"working hours of the first who has some", []string{"nobody", "late", "free"}, func(s *availability.SuggestionQuery, _ *availability.Question) { s.MaxResults = 9 },
			[]string{"Mon Excellent: 10:00/E,?,Free,Free"}},
		{"no access is no data and no conflict", []string{"shy", "free"}, func(s *availability.SuggestionQuery, _ *availability.Question) { s.MaxResults = 1 }, []string{"Mon Excellent: 08:00/E,NoData,Free"}},
		{"a group counts its members", []string{"two", "free", "late"}, func(s *availability.SuggestionQuery, _ *availability.Question) { s.MaxResults = 1 },
			[]string{"Mon Good: 08:00/G,2=1+1+0,Free,Free"}},
		{"a group that is too big", []string{"big", "free"}, func(s *availability.SuggestionQuery, _ *availability.Question) { s.MaxResults = 1 }, []string{"Mon Excellent: 08:00/E,big,Free"}},
		{"ten minutes between two meetings are no half-hour", []string{"odd"}, func(s *availability.SuggestionQuery, _ *availability.Question) { s.Duration = 30 * time.Minute }, []string{"Mon Poor:"}},
		{"an odd length ends in the middle of a slot", []string{"pm"}, func(s *availability.SuggestionQuery, _ *availability.Question) {
			s.Duration, s.MaxResults = 45*time.Minute, 99
		}, []string{"Mon Excellent: 08:00/E,Free 08:30/E,Free 09:00/E,Free 09:30/E,Free 10:00/E,Free 10:30/E,Free 11:00/E,Free"}},
		{"a meeting does not stand in its own way", []string{"am"}, func(s *availability.SuggestionQuery, _ *availability.Question) {
			s.CurrentMeeting, s.Duration, s.MaxResults = at(8), 4*time.Hour, 1
		}, []string{"Mon Excellent: 08:00/E,Free"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, q := base, w.question(freebusy.ViewMergedOnly, c.who...)
			if c.alter != nil {
				c.alter(&s, q)
			}
			got, err := w.engine(t).Suggest(t.Context(), q, &s)
			if err != nil {
				t.Fatal(err)
			}
			if c.want == nil { // the attendee who must be free is
				for _, g := range got[0].Suggestions {
					if g.Conflicts[1].Status != freebusy.Free {
						t.Errorf("%s: %v", g.Start, g.Conflicts[1])
					}
				}
				if len(got[0].Suggestions) == 0 {
					t.Error("no suggestions")
				}
				return
			}
			var lines []string
			for _, d := range got {
				lines = append(lines, shown(d))
			}
			if d := cmp.Diff(c.want, lines); d != "" {
				t.Errorf("suggestions (-want +got):\n%s", d)
			}
		})
	}
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
