package ews

import (
	"slices"
	"strconv"
	"time"

	"busybridge/internal/spec/soap"
)

// A SuggestionDay is SuggestionDayResult (2.8). Its times are written as the
// clock readings that they are labelled with; what is read is in UTC.
type SuggestionDay struct {
	Date        time.Time // midnight
	Quality     string    // Excellent, Good, Fair, Poor
	Suggestions []Suggestion
}

// A Suggestion is a time when people could meet.
type Suggestion struct {
	MeetingTime time.Time
	IsWorkTime  bool
	Quality     string
	Conflicts   []AttendeeConflict // in the order of the request's mailboxes
}

// An AttendeeConflict is one of the variants of AttendeeConflictData.
type AttendeeConflict struct {
	Kind     string // Individual, Group, TooBigGroup, Unknown
	BusyType string // of an Individual
	// Of a Group.
	Members, Available, WithConflict, NoData int
}

var conflictKinds = []string{"Individual", "Group", "TooBigGroup", "Unknown"}

// maxSuggestions bounds what is read: days, times of a day, attendees of a time.
const maxSuggestions = 1000

func appendSuggestions(b []byte, s *SuggestionsResponse) []byte {
	b = appendMessage(append(b, `<SuggestionsResponse>`...), &s.Message)
	if s.Days != nil {
		b = append(b, `<SuggestionDayResultArray>`...)
		for i := range s.Days {
			b = appendSuggestionDay(b, &s.Days[i])
		}
		b = append(b, `</SuggestionDayResultArray>`...)
	}
	return append(b, `</SuggestionsResponse>`...)
}

func appendSuggestionDay(b []byte, d *SuggestionDay) []byte {
	b = append(b, `<SuggestionDayResult xmlns="`+NSTypes+`"><Date>`...)
	b = append(appendWall(b, d.Date), `</Date>`...)
	b = appendElement(b, "DayQuality", d.Quality)
	b = append(b, `<SuggestionArray>`...)
	for i := range d.Suggestions {
		g := &d.Suggestions[i]
		b = append(appendWall(append(b, `<Suggestion><MeetingTime>`...), g.MeetingTime), `</MeetingTime><IsWorkTime>`...)
		b = append(strconv.AppendBool(b, g.IsWorkTime), `</IsWorkTime>`...)
		b = append(appendElement(b, "SuggestionQuality", g.Quality), `<AttendeeConflictDataArray>`...)
		for k := range g.Conflicts {
			b = appendConflict(b, &g.Conflicts[k])
		}
		b = append(b, `</AttendeeConflictDataArray></Suggestion>`...)
	}
	return append(b, `</SuggestionArray></SuggestionDayResult>`...)
}

func appendConflict(b []byte, c *AttendeeConflict) []byte {
	name := c.Kind + "AttendeeConflictData"
	b = append(append(append(b, '<'), name...), '>')
	switch c.Kind {
	case "Individual":
		b = appendElement(b, "BusyType", c.BusyType)
	case "Group":
		for _, n := range [...]struct {
			name  string
			value int
		}{{"NumberOfMembers", c.Members}, {"NumberOfMembersAvailable", c.Available}, {"NumberOfMembersWithConflict", c.WithConflict}, {"NumberOfMembersWithNoData", c.NoData}} {
			b = appendElement(b, n.name, strconv.Itoa(n.value))
		}
	}
	return append(append(append(b, '<', '/'), name...), '>')
}

func parseSuggestions(e *soap.Element, toUTC func(time.Time) time.Time) (*SuggestionsResponse, error) {
	r := &SuggestionsResponse{}
	if m := e.Child(NSMessages, "ResponseMessage"); m != nil {
		r.Message = parseMessage(m)
	}
	array := e.Child(NSMessages, "SuggestionDayResultArray")
	if array == nil {
		return r, nil
	}
	for _, c := range array.Children {
		if !c.Is(NSTypes, "SuggestionDayResult") || len(r.Days) == maxSuggestions {
			continue
		}
		date, err := parseTime(c, "Date")
		if err != nil {
			return nil, err
		}
		d := SuggestionDay{Date: date.UTC(toUTC), Quality: c.ChildText(NSTypes, "DayQuality")}
		if list := c.Child(NSTypes, "SuggestionArray"); list != nil {
			for _, g := range list.Children {
				if !g.Is(NSTypes, "Suggestion") || len(d.Suggestions) == maxSuggestions {
					continue
				}
				s, err := parseSuggestion(g, toUTC)
				if err != nil {
					return nil, err
				}
				d.Suggestions = append(d.Suggestions, s)
			}
		}
		r.Days = append(r.Days, d)
	}
	return r, nil
}

func parseSuggestion(e *soap.Element, toUTC func(time.Time) time.Time) (s Suggestion, err error) {
	s.Quality = e.ChildText(NSTypes, "SuggestionQuality")
	at, err := parseTime(e, "MeetingTime")
	if err != nil {
		return s, err
	}
	s.MeetingTime = at.UTC(toUTC)
	w := e.Child(NSTypes, "IsWorkTime")
	if w == nil {
		return s, missing(e, "IsWorkTime")
	}
	if s.IsWorkTime, err = strconv.ParseBool(w.Trimmed()); err != nil {
		return s, badValue(w, w.Trimmed())
	}
	array := e.Child(NSTypes, "AttendeeConflictDataArray")
	if array == nil {
		return s, nil
	}
	for _, c := range array.Children {
		i := slices.IndexFunc(conflictKinds, func(k string) bool { return c.Is(NSTypes, k+"AttendeeConflictData") })
		if i < 0 || len(s.Conflicts) == maxSuggestions {
			continue
		}
		a := AttendeeConflict{Kind: conflictKinds[i], BusyType: c.ChildText(NSTypes, "BusyType")}
		for _, n := range [...]struct {
			name string
			to   *int
		}{{"NumberOfMembers", &a.Members}, {"NumberOfMembersAvailable", &a.Available}, {"NumberOfMembersWithConflict", &a.WithConflict}, {"NumberOfMembersWithNoData", &a.NoData}} {
			m := c.Child(NSTypes, n.name)
			if m == nil {
				continue
			}
			if *n.to, err = strconv.Atoi(m.Trimmed()); err != nil || *n.to < 0 {
				return s, badValue(m, m.Trimmed())
			}
		}
		s.Conflicts = append(s.Conflicts, a)
	}
	return s, nil
}
