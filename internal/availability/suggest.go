package availability

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
)

// A Quality says how well a time suits (EWS reference 2.8). A larger one is better.
type Quality uint8

// The qualities, by the share of attendees who are not free.
const (
	Poor      Quality = iota // half of them or more
	Fair                     // less than half
	Good                     // at most 50 - GoodThreshold percent
	Excellent                // nobody
)

var qualityNames = [...]string{"Poor", "Fair", "Good", "Excellent"}

func (q Quality) String() string { return qualityNames[q] }

// ParseQuality reads a SuggestionQuality.
func ParseQuality(name string) (Quality, bool) {
	i := slices.Index(qualityNames[:], name)
	return Quality(max(i, 0)), i >= 0
}

// Candidates begin every half-hour after midnight.
const candidateStep = 30 * time.Minute

// A SuggestionQuery asks when people could meet (EWS reference 2.8).
type SuggestionQuery struct {
	// Days are the days to look at, in order, each from midnight to midnight of
	// the requester's zone. Required.
	Days     []freebusy.Window
	Duration time.Duration // of the meeting
	// GoodThreshold is 0..50: a time is Good with at least 50 percent and that much
	// of the attendees free.
	GoodThreshold                int
	MaxResults, MaxNonWorkResult int     // of each day, within and outside of working hours
	Minimum                      Quality // worse ones are not listed
	// CurrentMeeting is the start of the meeting that is to be moved: its own entry
	// is no conflict. Zero: none.
	CurrentMeeting time.Time
	// Hours are working hours where no attendee's are known.
	Hours routing.Hours
}

// A SuggestionDay is what one day offers, best first, then earliest.
type SuggestionDay struct {
	Start       time.Time // midnight, in UTC
	Quality     Quality   // of the best time; Poor when there is none
	Suggestions []Suggestion
}

// A Suggestion is a time when people could meet. Conflicts stand in the order
// of the attendees.
type Suggestion struct {
	Start     time.Time
	WorkTime  bool
	Quality   Quality
	Conflicts []Conflict
}

// A Conflict is what one attendee does at a time.
type Conflict struct {
	Kind   ConflictKind
	Status freebusy.Status // of an individual
	// Of a group: its members, and how many are free, are not, or are not known.
	Members, Available, InConflict, NoData int
}

// A ConflictKind says what an attendee is.
type ConflictKind uint8

// The kinds of AttendeeConflictData.
const (
	IndividualConflict ConflictKind = iota
	GroupConflict
	TooBigGroupConflict
	UnknownConflict
)

// ErrNoDays: a query names no day, or its meeting does not fit.
var ErrNoDays = errors.New("availability: no days to suggest a time on")

// Suggest finds times for a meeting of q's attendees. Window, View and Slot of q
// are set by it.
func (e *Engine) Suggest(ctx context.Context, q *Question, s *SuggestionQuery) ([]SuggestionDay, error) {
	if len(s.Days) == 0 || s.Duration <= 0 {
		return nil, ErrNoDays
	}
	// The finest step that candidates and their ends fall on.
	minutes := max(5, (int(s.Duration/time.Minute)+4)/5*5)
	p := planner{SuggestionQuery: s, slot: time.Duration(gcd(minutes, int(candidateStep/time.Minute))) * time.Minute}
	p.need = (int(s.Duration) + int(p.slot) - 1) / int(p.slot)
	ask := *q
	// The last day may reach a little over the limit, for its hours are those of clocks.
	ask.Window = freebusy.Window{Start: s.Days[0].Start, End: s.Days[len(s.Days)-1].End}
	if longest := ask.Window.Start.Add(freebusy.MaxWindow); ask.Window.End.After(longest) {
		ask.Window.End = longest
	}
	ask.View, ask.Slot, ask.Members = freebusy.ViewFreeBusyMerged, p.slot, true
	answers, err := e.Ask(ctx, &ask)
	if err != nil {
		return nil, fmt.Errorf("calendars for suggestions: %w", err)
	}
	p.window = ask.Window
	for i := range answers {
		p.add(&answers[i], ask.Attendees[i].ExcludeConflicts)
	}
	days := make([]SuggestionDay, len(s.Days))
	for i := range days {
		days[i] = p.day(s.Days[i])
	}
	return days, nil
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// A planner holds everybody's days as digits of slots.
type planner struct {
	*SuggestionQuery
	window freebusy.Window
	slot   time.Duration
	need   int // slots of the meeting
	rows   []row
	hours  *routing.Hours // of the first attendee whose are known
}

// A row is one attendee.
type row struct {
	kind    ConflictKind
	members []string // merged strings; of an individual one, "" is not known
	exclude bool
}

func (p *planner) add(a *Answer, exclude bool) {
	r := row{kind: IndividualConflict, exclude: exclude}
	var me *routing.MailboxError
	switch {
	case errors.As(a.Err, &me) && me.Reason == routing.GroupTooBig:
		r.kind = TooBigGroupConflict
	case errors.As(a.Err, &me) && (me.Reason == routing.RecipientNotFound || me.Reason == routing.InvalidAddress):
		r.kind = UnknownConflict
	case a.Err != nil:
		r.members = []string{""}
	case a.Members != nil:
		r.kind, r.members = GroupConflict, a.Members
	default:
		merged := a.Merged
		if !p.CurrentMeeting.IsZero() && a.View&freebusy.ViewEvents != 0 {
			merged = freebusy.Merge(p.window, p.slot, p.others(a.Events))
		}
		r.members = []string{merged}
	}
	if p.hours == nil && a.Hours != nil {
		p.hours = a.Hours
	}
	p.rows = append(p.rows, r)
}

// others are the entries without the meeting that is to be moved.
func (p *planner) others(events []freebusy.Interval) []freebusy.Interval {
	return slices.DeleteFunc(slices.Clone(events), func(iv freebusy.Interval) bool {
		return iv.Start.Equal(p.CurrentMeeting) && iv.End.Equal(p.CurrentMeeting.Add(p.Duration))
	})
}

func (p *planner) day(w freebusy.Window) SuggestionDay {
	d := SuggestionDay{Start: w.Start}
	for at := w.Start; at.Before(w.End) && !at.Add(p.Duration).After(p.window.End); at = at.Add(candidateStep) {
		if s, ok := p.candidate(at); ok {
			d.Suggestions = append(d.Suggestions, s)
		}
	}
	slices.SortStableFunc(d.Suggestions, func(a, b Suggestion) int { return cmp.Compare(b.Quality, a.Quality) })
	work, other := 0, 0
	d.Suggestions = slices.DeleteFunc(d.Suggestions, func(s Suggestion) bool {
		if s.WorkTime {
			work++
			return work > p.MaxResults
		}
		other++
		return other > p.MaxNonWorkResult
	})
	if len(d.Suggestions) > 0 {
		d.Quality = d.Suggestions[0].Quality
	}
	return d
}

// candidate judges one time; ok is false when it is not to be offered.
func (p *planner) candidate(at time.Time) (s Suggestion, ok bool) {
	s = Suggestion{Start: at, WorkTime: p.works(at), Conflicts: make([]Conflict, len(p.rows))}
	if s.WorkTime && p.MaxResults == 0 || !s.WorkTime && p.MaxNonWorkResult == 0 {
		return s, false
	}
	first := int(at.Sub(p.window.Start) / p.slot)
	people, busy := 0, 0
	for i := range p.rows {
		r, c := &p.rows[i], &s.Conflicts[i]
		c.Kind = r.kind
		for _, merged := range r.members {
			status := freebusy.NoData
			if merged != "" {
				status = worst(merged[first:min(first+p.need, len(merged))])
			}
			c.Status = status
			c.Members++
			switch status {
			case freebusy.NoData:
				c.NoData++
			case freebusy.Free:
				c.Available++
			default:
				c.InConflict++
			}
		}
		if r.exclude && c.InConflict > 0 {
			return s, false
		}
		people += max(c.Members, 1)
		busy += c.InConflict
	}
	switch free := 100 * (people - busy); {
	case busy == 0:
		s.Quality = Excellent
	case free >= (50+p.GoodThreshold)*people:
		s.Quality = Good
	case free > 50*people:
		s.Quality = Fair
	}
	return s, s.Quality >= p.Minimum
}

// worst is the status of a stretch of slots: not free wins over not known.
func worst(digits string) freebusy.Status {
	known, unknown := byte('0'), false
	for i := range len(digits) {
		switch d := digits[i]; d {
		case '1', '2', '3':
			known = max(known, d)
		case '4':
			unknown = true
		}
	}
	switch {
	case known == '3':
		return freebusy.OOF
	case known == '2':
		return freebusy.Busy
	case known == '1':
		return freebusy.Tentative
	case unknown:
		return freebusy.NoData
	}
	return freebusy.Free
}

// works reports whether the whole meeting is within working hours.
func (p *planner) works(at time.Time) bool {
	h := p.hours
	if h == nil {
		h = &p.Hours
	}
	wall := h.Zone.Wall(at)
	start := wall.Hour()*60 + wall.Minute()
	end := start + int(p.Duration/time.Minute)
	for _, q := range h.Periods {
		if q.Days&(1<<wall.Weekday()) != 0 && start >= q.Start && end <= q.End {
			return true
		}
	}
	return false
}
