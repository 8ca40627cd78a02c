package ewsserver

import (
	"fmt"
	"time"

	"busybridge/internal/availability"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/wintz"
)

// suggest answers SuggestionsViewOptions (2.8).
func (c *call) suggest(req *ews.AvailabilityRequest, z *zone) (*ews.SuggestionsResponse, error) {
	w, err := c.window(req.Suggestions.Start, req.Suggestions.End, "SuggestionsViewOptions.DetailedSuggestionsWindow", z)
	if err != nil {
		return nil, err
	}
	q, problem := suggestionQuery(req.Suggestions, z)
	if problem != "" {
		// A client that asked fails when the element is missing.
		return &ews.SuggestionsResponse{Message: ews.ResponseMessage{Class: "Error", Code: "ErrorMeetingSuggestionGenerationFailed", Text: problem}}, nil
	}
	q.Days = days(w, z)
	found, err := c.cfg.Engine.Suggest(c.ctx, c.attendees(req), q)
	if err != nil {
		return nil, fmt.Errorf("suggest a time for %d mailboxes: %w", len(req.Mailboxes), err)
	}
	r := &ews.SuggestionsResponse{Message: ews.ResponseMessage{Class: "Success", Code: "NoError"}, Days: make([]ews.SuggestionDay, len(found))}
	for i := range found {
		r.Days[i] = suggestionDay(&found[i], z)
	}
	return r, nil
}

// suggestionQuery reads the options; problem says which one is out of its range.
func suggestionQuery(o *ews.SuggestionsOptions, z *zone) (q *availability.SuggestionQuery, problem string) {
	q = &availability.SuggestionQuery{Minimum: availability.Fair, Hours: officeHours(z, z.utc(o.Start))}
	minutes := 0
	for _, v := range [...]struct {
		name           string
		given          *int
		or, least, top int
		to             *int
	}{
		{"GoodThreshold", o.GoodThreshold, 25, 0, 50, &q.GoodThreshold},
		{"MaximumResultsByDay", o.MaximumResultsByDay, 10, 0, 48, &q.MaxResults},
		{"MaximumNonWorkHourResultsByDay", o.MaximumNonWorkHourResultsByDay, 0, 0, 48, &q.MaxNonWorkResult},
		{"MeetingDurationInMinutes", o.MeetingDurationInMinutes, 60, 30, 1440, &minutes},
	} {
		*v.to = v.or
		if v.given != nil {
			*v.to = *v.given
		}
		if *v.to < v.least || *v.to > v.top {
			return nil, fmt.Sprintf("The value %d of SuggestionsViewOptions.%s is invalid. The allowed values are %d to %d.", *v.to, v.name, v.least, v.top)
		}
	}
	q.Duration = time.Duration(minutes) * time.Minute
	if o.MinimumSuggestionQuality != "" {
		q.Minimum, _ = availability.ParseQuality(o.MinimumSuggestionQuality) // ews lets only the known names through
	}
	if o.CurrentMeetingTime != nil {
		q.CurrentMeeting = z.utc(*o.CurrentMeetingTime)
	}
	return q, ""
}

// officeHours are Monday to Friday, 8:00 to 17:00, in the requester's zone.
func officeHours(z *zone, at time.Time) routing.Hours {
	rule := z.rule
	if z.loc != nil {
		rule = wintz.RuleAt(z.loc, at)
	}
	return routing.Hours{Zone: rule, Periods: []routing.Period{{Days: 0b0111110, Start: 8 * 60, End: 17 * 60}}}
}

// days are the days of the zone that have an instant in w.
func days(w freebusy.Window, z *zone) (out []freebusy.Window) {
	midnight := func(d time.Time, plus int) time.Time {
		return z.utc(ews.DateTime{Time: time.Date(d.Year(), d.Month(), d.Day()+plus, 0, 0, 0, 0, time.UTC), Local: true})
	}
	for start := midnight(z.wall(w.Start), 0); start.Before(w.End); {
		next := midnight(z.wall(start), 1)
		if !next.After(start) { // a zone without that midnight
			next = start.Add(24 * time.Hour)
		}
		out = append(out, freebusy.Window{Start: start, End: next})
		start = next
	}
	return out
}

func suggestionDay(d *availability.SuggestionDay, z *zone) ews.SuggestionDay {
	out := ews.SuggestionDay{Date: z.wall(d.Start), Quality: d.Quality.String(), Suggestions: make([]ews.Suggestion, len(d.Suggestions))}
	for i := range d.Suggestions {
		s := &d.Suggestions[i]
		o := &out.Suggestions[i]
		*o = ews.Suggestion{MeetingTime: z.wall(s.Start), IsWorkTime: s.WorkTime, Quality: s.Quality.String(), Conflicts: make([]ews.AttendeeConflict, len(s.Conflicts))}
		for k, v := range s.Conflicts {
			a := ews.AttendeeConflict{Kind: conflictKinds[v.Kind]}
			switch v.Kind {
			case availability.IndividualConflict:
				a.BusyType = v.Status.String()
			case availability.GroupConflict:
				a.Members, a.Available, a.WithConflict, a.NoData = v.Members, v.Available, v.InConflict, v.NoData
			}
			o.Conflicts[k] = a
		}
	}
	return out
}

var conflictKinds = [...]string{
	availability.IndividualConflict: "Individual", availability.GroupConflict: "Group", availability.TooBigGroupConflict: "TooBigGroup", availability.UnknownConflict: "Unknown",
}
