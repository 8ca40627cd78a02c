package ical

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"busybridge/internal/spec/recur"
	"busybridge/internal/spec/smtpaddr"
)

// A Status says how busy an instance is; the names are those of EWS.
type Status string

// The values of Status.
const (
	Free             Status = "Free"
	Tentative        Status = "Tentative"
	Busy             Status = "Busy"
	OOF              Status = "OOF"
	WorkingElsewhere Status = "WorkingElsewhere"
	NoData           Status = "NoData" // written by us alone, for times that a copy knows nothing of
)

// An Instance is one occurrence of an event, whole: Start < End, both UTC.
type Instance struct {
	UID        string
	Start, End time.Time
	// Status is what Exchange would show: X-MICROSOFT-CDO-BUSYSTATUS where there
	// is one, else TRANSP, STATUS and the owner's answer to the invitation.
	Status Status
	// Transparent: TRANSP says so, whatever Status is.
	Transparent       bool
	Subject, Location string
	AllDay            bool
	Meeting           bool // has an organizer or attendees
	Recurring         bool // belongs to a series
	Exception         bool // was changed within its series
	Reminder          bool
	Private           bool

	// Of an Expander that wants All: what describes it, and the start that it has by
	// the rule of its series.
	Component *Component
	By        time.Time
}

// An Expander finds instances of events. Its methods may be called at once by
// several goroutines.
type Expander struct {
	// FloatingZone is the zone of floating times and dates; nil: UTC.
	FloatingZone *time.Location
	// Owner is whose calendar it is: what the owner declined is not there, what
	// the owner has not accepted is tentative. The zero Address: nobody's.
	Owner smtpaddr.Address
	// MaxInstances bounds the instances of one group; 0: 100,000. A series with
	// more is left out, with a Problem.
	MaxInstances int
	// All asks for what is cancelled or declined, too, and for what takes no time,
	// which overlaps a span that has its start (RFC 4791 9.9).
	All bool
}

// Expand returns the instances of g that overlap [from, to), sorted by start.
// An event that cannot be read gives a Problem instead of instances; so does a
// rule that cannot, and its event is then there once. Instances without length
// are left out.
//
// DTSTART is an instance whether the rule matches it or not. An override counts
// though an EXDATE names its instance: old programs write one for each. DATE
// values and the whole days of a series match by the local date (RFC 5545
// 3.8.4.4, 3.8.5.1).
func (x *Expander) Expand(g *Group, from, to time.Time) ([]Instance, []Problem) {
	r := x.reader(g, from.Unix())
	defer r.close()
	s := r.series()
	list := r.expand(s, from.Unix(), to.Unix())
	for id := range r.used {
		if z := r.g.zones.compiled[cleanZoneID(id)]; z != nil && z.rules != nil && z.rules.err != nil {
			r.problem(0, "time zone %s: %v: its times are not certain", clip(id), z.rules.err)
		}
	}
	slices.SortStableFunc(list, func(a, b Instance) int {
		if c := a.Start.Compare(b.Start); c != 0 {
			return c
		}
		return a.End.Compare(b.End)
	})
	return list, r.problems
}

// A Span is what a group covers.
type Span struct {
	// First is the first start and Last the last end of its instances, moved ones
	// and excluded ones included.
	First, Last time.Time
	// Endless: its series has no last instance, or one too far to count to.
	Endless bool
	// Floating: it has times without a zone, or dates, so that its instants
	// depend on Expander.FloatingZone.
	Floating bool
}

// Span returns what g covers; ok is false if it has no instance that can be read.
func (x *Expander) Span(g *Group) (span Span, ok bool) {
	r := x.reader(g, max(0, g.Stamp.Unix()))
	defer r.close()
	s := r.series()
	first, last := int64(1<<62), int64(-1<<62)
	note := func(e *event, o occurrence) {
		first, last = min(first, o.utc), max(last, e.start.end(o))
	}
	if s.master != nil {
		m := s.master
		note(m, m.start.lasting(m.length))
		for _, d := range s.rdates {
			note(m, d)
		}
		// Of readings that the clocks skip a later one may be an earlier instant.
		skipped := func(utc int64) int64 {
			return max(0, m.start.zone.wall(utc)-m.start.zone.wall(utc-86400)-86400)
		}
		for i := range s.rules {
			first = min(first, m.start.utc()-skipped(m.start.utc()))
			rule := &s.rules[i]
			t, some, err := rule.Last(endOfTime)
			if rule.Endless() || err != nil {
				span.Endless = true
			} else if some {
				utc := min(m.start.zone.utc(t.Unix()), rule.until)
				note(m, occurrence{wall: t.Unix(), utc: utc + skipped(utc), length: m.length})
			}
		}
		reach := int64(0)
		for _, o := range s.future {
			reach = max(reach, max(0, o.move)+86400+max(0, o.length.days)*86400+max(0, o.length.seconds))
		}
		last += reach
	}
	for _, o := range s.overrides {
		note(o, o.start.lasting(o.length))
	}
	if first > last {
		return Span{}, false
	}
	span.First, span.Last = time.Unix(first, 0).UTC(), time.Unix(last, 0).UTC()
	span.Floating = r.floating
	return span, true
}

var endOfTime = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	defaultMaxInstances = 100_000
	maxRules            = 20 // RRULEs of one event; RFC 5545 3.8.5.3 wants one
)

// A reader reads the components of one group.
type reader struct {
	x        *Expander
	g        *Group
	local    *zone // of floating times
	floating bool  // it was used
	problems []Problem
	used     map[string]bool // TZIDs
}

func (x *Expander) reader(g *Group, near int64) *reader {
	g.zones.mu.Lock()
	g.zones.near = near
	r := &reader{x: x, g: g, local: utcZone}
	if x.FloatingZone != nil {
		r.local = &zone{loc: x.FloatingZone}
	}
	return r
}

func (r *reader) close() { r.g.zones.mu.Unlock() }

func (r *reader) problem(line int, format string, args ...any) {
	r.problems = append(r.problems, Problem{Line: line, UID: r.g.UID, Reason: fmt.Sprintf(format, args...)})
}

// A moment is a time as an event states it.
type moment struct {
	wall int64
	form form
	zone *zone
}

func (m moment) utc() int64 { return m.zone.utc(m.wall) }

// end returns where an instance of m's form and zone ends. Days of a date are
// counted by the calendar: a midnight that the clocks skip is one all the same.
func (m moment) end(o occurrence) int64 {
	end := o.utc
	if o.length.days != 0 {
		wall := o.wall
		if m.form != formDate {
			wall = m.zone.wall(o.utc)
		}
		end = m.zone.utc(wall + o.length.days*86400)
	}
	return end + o.length.seconds
}

// An occurrence is an instance of a series before it is looked at.
type occurrence struct {
	wall, utc int64 // as the clock of the series shows it, and the instant
	length    length
	period    bool // RDATE gives the length
}

// key tells the occurrences of a series beginning at m apart: instants, but days of
// whole days. So nothing is left of a day that the clocks of its place skip.
func (m moment) key(o occurrence) int64 {
	if m.form == formDate {
		return o.wall
	}
	return o.utc
}

// lasting is the occurrence at m itself.
func (m moment) lasting(l length) occurrence {
	return occurrence{wall: m.wall, utc: m.utc(), length: l}
}

func dayOf(wall int64) int64 {
	if wall < 0 {
		return (wall - 86399) / 86400
	}
	return wall / 86400
}

// moment reads a time. One without a zone is read in that of base, if there is one.
func (r *reader) moment(p *Property, value string, base *moment) (moment, error) {
	wall, f, err := parseTime(value)
	if err != nil {
		return moment{}, fmt.Errorf("%s: %w", p.Name, err)
	}
	m := moment{wall, f, r.local} // VALUE is not asked: programs write VALUE=DATE beside a time
	switch m.form {
	case formUTC:
		m.zone = utcZone
		return m, nil
	case formLocal:
		if id := p.Param("TZID"); cleanZoneID(id) != "" {
			if z := r.zone(id, p.Line); z != nil {
				m.zone = z
				return m, nil
			}
		} else if base != nil {
			m.zone = base.zone
			return m, nil
		}
	default:
		if base != nil && base.form == formLocal {
			m.zone = base.zone
			return m, nil
		}
	}
	r.floating = true
	return m, nil
}

// zone looks up a TZID; an unknown one is reported once and means floating time.
func (r *reader) zone(id string, line int) *zone {
	z := r.g.zones.zone(id)
	if r.used[id] {
		return z
	}
	if r.used == nil {
		r.used = map[string]bool{}
	}
	r.used[id] = true
	for _, p := range r.g.zones.problems[cleanZoneID(id)] {
		p.UID = r.g.UID
		r.problems = append(r.problems, p)
	}
	if z == nil {
		r.problem(line, "time zone %s is not known: its times are read as local time", clip(id))
	}
	return z
}

// An event is a component that has been read.
type event struct {
	c        *Component
	start    moment
	length   length
	id       moment // RECURRENCE-ID of an override
	instance Instance
	hidden   bool // cancelled, or declined by the owner

	future bool  // RANGE=THISANDFUTURE: the rest is about instances from it on
	from   int64 // the key of the first
	move   int64 // by how much their readings are later
	clock  *zone // where the moved readings are read
}

// event reads a component; nil if it cannot be read.
func (r *reader) event(c *Component) *event {
	p := c.Get("DTSTART")
	if p == nil {
		r.problem(c.Line, "event without DTSTART is left out")
		return nil
	}
	e := &event{c: c}
	var err error
	if e.start, err = r.moment(p, p.Value, nil); err != nil {
		r.problem(p.Line, "event is left out: %v", err)
		return nil
	}
	e.length = r.length(c, e.start)
	e.instance, e.hidden = r.describe(c)
	e.instance.AllDay = e.start.form == formDate || allDay(c)
	return e
}

// allDay reports whether Exchange says that c covers whole days.
func allDay(c *Component) bool { return c.word("X-MICROSOFT-CDO-ALLDAYEVENT") == "TRUE" }

func (m moment) midnight() bool { return m.form != formUTC && m.wall%86400 == 0 }

// length reads DTEND, else DURATION; an end that cannot be read is as if it were
// not there (RFC 5545 3.6.1).
func (r *reader) length(c *Component, start moment) length {
	if p := c.Get("DTEND"); p != nil {
		end, err := r.moment(p, p.Value, &start)
		if err == nil {
			if start.form == formDate && end.form == formDate || allDay(c) && start.midnight() && end.midnight() && start.zone == end.zone {
				return length{days: dayOf(end.wall) - dayOf(start.wall)}
			}
			return length{seconds: end.utc() - start.utc()}
		}
		r.problem(p.Line, "%v", err)
	}
	if p := c.Get("DURATION"); p != nil {
		l, err := parseDuration(p.Value)
		if err == nil {
			return l
		}
		r.problem(p.Line, "DURATION: %v", err)
	}
	if start.form == formDate {
		return length{days: 1}
	}
	return length{}
}

// describe reads what an instance of c shows, apart from its time.
func (r *reader) describe(c *Component) (i Instance, hidden bool) {
	i = Instance{
		UID:         r.g.UID,
		Status:      Busy,
		Transparent: c.word("TRANSP") == "TRANSPARENT",
		Subject:     c.text("SUMMARY"),
		Location:    c.text("LOCATION"),
		Meeting:     c.Get("ORGANIZER") != nil || c.Get("ATTENDEE") != nil,
	}
	status := c.word("STATUS")
	if status == "CANCELLED" {
		return i, true
	}
	if class := c.word("CLASS"); class == "PRIVATE" || class == "CONFIDENTIAL" {
		i.Private = true
	}
	for _, sub := range c.Components {
		if sub.Name == "VALARM" && sub.word("ACTION") != "NONE" {
			i.Reminder = true
		}
	}
	answer := r.answer(c)
	switch c.word("X-MICROSOFT-CDO-BUSYSTATUS") {
	case "FREE":
		i.Status = Free
	case "TENTATIVE":
		i.Status = Tentative
	case "BUSY":
		i.Status = Busy
	case "OOF":
		i.Status = OOF
	case "WORKINGELSEWHERE":
		i.Status = WorkingElsewhere
	case "NODATA":
		i.Status = NoData
	default:
		switch {
		case i.Transparent:
			i.Status = Free
		case status == "TENTATIVE" || answer == "TENTATIVE" || answer == "NEEDS-ACTION":
			i.Status = Tentative
		}
	}
	return i, answer == "DECLINED"
}

// answer is the PARTSTAT of the owner as an invited attendee, else "". The
// default is NEEDS-ACTION (RFC 5545 3.2.12).
func (r *reader) answer(c *Component) string {
	if r.x.Owner.IsZero() {
		return ""
	}
	if p := c.Get("ORGANIZER"); p != nil && r.owner(p) {
		return ""
	}
	for p := range c.All("ATTENDEE") {
		if r.owner(p) {
			if a := strings.ToUpper(p.Param("PARTSTAT")); a != "" {
				return a
			}
			return "NEEDS-ACTION"
		}
	}
	return ""
}

// owner reports whether a CAL-ADDRESS is the owner's.
func (r *reader) owner(p *Property) bool {
	for _, v := range []string{p.Value, p.Param("EMAIL")} {
		v = strings.TrimSpace(v)
		if rest, ok := cutFold(v, "mailto:"); ok {
			v = rest
		}
		if a, err := smtpaddr.Parse(v); err == nil && a == r.x.Owner {
			return true
		}
	}
	return false
}

// series is a group that has been read.
type series struct {
	master    *event // nil: none, or none that can be read
	recurring bool
	rules     []rule // RRULE
	exrules   []rule
	rdates    []occurrence
	exdates   exclusions
	overrides []*event
	future    []*event             // overrides that hold for all later instances, by id
	byID      map[recurrenceID]int // place in overrides
}

// A recurrenceID is a RECURRENCE-ID whatever the zone it was written in.
type recurrenceID struct {
	utc  int64
	date bool
}

// A rule is one that begins with the event.
type rule struct {
	recur.Series       // Until may be too late, never too early
	until        int64 // the last instant
}

// exclusions match instances by their instant, or by their date.
type exclusions struct {
	instants map[int64]bool
	days     map[int64]bool
}

func (r *reader) series() *series {
	s := &series{recurring: len(r.g.Overrides) > 0, byID: map[recurrenceID]int{}}
	if m := r.g.Master; m != nil {
		for _, name := range []string{"RRULE", "RDATE"} {
			s.recurring = s.recurring || m.Get(name) != nil
		}
		if s.master = r.event(m); s.master != nil {
			s.rules = r.rules(m, "RRULE", s.master.start)
			s.exrules = r.rules(m, "EXRULE", s.master.start)
			r.rdates(s)
			s.exdates = exclusions{map[int64]bool{}, map[int64]bool{}}
			r.times(m, "EXDATE", &s.master.start, func(d moment) { s.exdates.add(s.master.start, d, r.local) })
		}
	}
	for _, c := range r.g.Overrides {
		r.override(s, c)
	}
	for _, o := range s.overrides {
		if o.future && s.master != nil {
			o.follow(s.master.start, r.local)
			s.future = append(s.future, o)
		}
	}
	slices.SortStableFunc(s.future, func(a, b *event) int { return cmp.Compare(a.from, b.from) })
	return s
}

// follow finds what e, a RANGE=THISANDFUTURE, does to the later instances of a
// series beginning at start: each is moved by as much as the first, on the clock
// of e; a time in UTC is none, then it is that of the series.
func (e *event) follow(start moment, local *zone) {
	first := start
	switch {
	case start.form == formDate:
		first.wall = start.day(e.id, local) * 86400
		e.from = first.wall
	case e.id.form == formDate:
		first.wall += (dayOf(e.id.wall) - dayOf(start.wall)) * 86400
		e.from = first.utc()
	case e.id.zone == start.zone: // as it is written, though the clocks may skip it
		first.wall, e.from = e.id.wall, e.id.utc()
	default:
		e.from = e.id.utc()
		first.wall = start.zone.wall(e.from)
	}
	e.clock, e.move = e.start.zone, e.start.wall-first.wall
	if e.start.form == formUTC {
		e.clock, e.move = start.zone, start.zone.wall(e.start.wall)-first.wall
	}
}

// day returns the day that d names in a series beginning at m, of whole days or
// not. A midnight names its date, whatever the zone: Exchange writes it so.
func (m moment) day(d moment, local *zone) int64 {
	if m.form == formDate && d.form == formUTC && d.wall%86400 != 0 {
		return dayOf(local.wall(d.wall))
	}
	return dayOf(d.wall)
}

// add notes a time that names an instance of a series beginning at start.
func (x *exclusions) add(start, d moment, local *zone) {
	if start.form == formDate || d.form == formDate {
		x.days[start.day(d, local)] = true
	} else {
		x.instants[d.utc()] = true
	}
}

// has reports whether an instance is named.
func (x *exclusions) has(o occurrence) bool {
	return x.instants[o.utc] || len(x.days) > 0 && x.days[dayOf(o.wall)]
}

// rules reads RRULE or EXRULE. UNTIL is taken to the clock of DTSTART; a date
// means the whole day.
func (r *reader) rules(c *Component, name string, start moment) []rule {
	var list []rule
	for p := range c.All(name) {
		if len(list) == maxRules {
			r.problem(p.Line, "%s is left out: the event has more than %d", name, maxRules)
			break
		}
		parsed, err := recur.Parse(p.Value)
		if err != nil {
			r.problem(p.Line, "%s is left out: %v", name, err)
			continue
		}
		s := rule{recur.Series{Rule: parsed, Start: time.Unix(start.wall, 0).UTC(), Date: start.form == formDate}, math.MaxInt64}
		if !parsed.Until.IsZero() {
			u := parsed.Until.Unix()
			switch {
			case parsed.UntilForm == recur.Date:
				u += 86399
			case parsed.UntilForm == recur.UTC && start.form != formDate:
				// The latest reading until then: clocks may have been set back.
				s.until = u
				u = max(start.zone.wall(u), start.zone.wall(u-86400)+86400)
			}
			s.Until = time.Unix(u, 0).UTC()
		}
		list = append(list, s)
	}
	return list
}

// times calls f with each time of the properties of that name.
func (r *reader) times(c *Component, name string, base *moment, f func(moment)) {
	for p := range c.All(name) {
		for v := range strings.SplitSeq(p.Value, ",") {
			if v = strings.TrimSpace(v); v == "" {
				continue
			}
			d, err := r.moment(p, v, base)
			if err != nil {
				r.problem(p.Line, "%v", err)
				continue
			}
			f(d)
		}
	}
}

// rdates reads RDATE, whose values may be periods with a length of their own.
func (r *reader) rdates(s *series) {
	start := s.master.start
	for p := range s.master.c.All("RDATE") {
		for v := range strings.SplitSeq(p.Value, ",") {
			if v = strings.TrimSpace(v); v == "" {
				continue
			}
			begin, rest, period := strings.Cut(v, "/")
			d, err := r.moment(p, begin, &start)
			l := s.master.length
			if err == nil && period {
				if rest != "" && (rest[0] == 'P' || rest[0] == 'p' || rest[0] == '+' || rest[0] == '-') {
					l, err = parseDuration(rest)
				} else {
					var end moment
					if end, err = r.moment(p, rest, &start); err == nil {
						l = length{seconds: end.utc() - d.utc()}
					}
				}
			}
			if err != nil {
				r.problem(p.Line, "RDATE is left out: %v", err)
				continue
			}
			o := occurrence{wall: d.wall, utc: d.utc(), length: l, period: period}
			if d.zone != start.zone {
				o.wall = start.zone.wall(o.utc)
			}
			s.rdates = append(s.rdates, o)
		}
	}
}

// override reads a component with RECURRENCE-ID.
func (r *reader) override(s *series, c *Component) {
	e := r.event(c)
	if e == nil {
		return
	}
	p := c.Get("RECURRENCE-ID")
	var base *moment
	if s.master != nil {
		base = &s.master.start
	}
	var err error
	if e.id, err = r.moment(p, p.Value, base); err != nil {
		r.problem(p.Line, "event is left out: %v", err)
		return
	}
	e.instance.Exception = true
	e.future = strings.EqualFold(p.Param("RANGE"), "THISANDFUTURE")
	key := recurrenceID{e.id.utc(), e.id.form == formDate}
	if i, ok := s.byID[key]; ok {
		if newer(c, s.overrides[i].c) {
			s.overrides[i] = e
		}
		return
	}
	s.byID[key] = len(s.overrides)
	s.overrides = append(s.overrides, e)
}

// expand finds the instances that overlap [from, to).
func (r *reader) expand(s *series, from, to int64) []Instance {
	var list []Instance
	add := func(e *event, m moment, o occurrence, by int64) {
		end := m.end(o)
		outside := e.hidden || o.utc >= end || o.utc >= to || end <= from
		if r.x.All {
			end = max(end, o.utc)
			outside = o.utc >= to || end <= from && (o.utc < end || end < from)
		}
		if outside {
			return
		}
		i := e.instance
		i.Start, i.End = time.Unix(o.utc, 0).UTC(), time.Unix(end, 0).UTC()
		i.Recurring = s.recurring
		if r.x.All {
			i.Component, i.By = e.c, time.Unix(by, 0).UTC()
		}
		list = append(list, i)
	}
	for _, o := range s.overrides {
		add(o, o.start, o.start.lasting(o.length), o.id.utc())
	}
	if s.master == nil {
		return list
	}
	replaced := exclusions{map[int64]bool{}, map[int64]bool{}}
	for _, o := range s.overrides {
		replaced.add(s.master.start, o.id, r.local)
	}
	all, err := r.occurrences(s, from, to)
	if err != nil {
		r.problem(s.master.c.Line, "series is left out: %v", err)
		return list
	}
	for _, o := range all {
		if s.exdates.has(o) || replaced.has(o) {
			continue
		}
		key := s.master.start.key(o)
		n := sort.Search(len(s.future), func(i int) bool { return s.future[i].from > key })
		if n == 0 {
			add(s.master, s.master.start, o, o.utc)
			continue
		}
		e := s.future[n-1]
		wall := o.wall + e.move
		add(e, moment{form: e.start.form, zone: e.clock}, occurrence{wall: wall, utc: e.clock.utc(wall), length: e.length}, o.utc)
	}
	return list
}

// occurrences returns those of the series that may overlap [from, to), sorted, each
// key once: of two a period before others, then the earlier reading.
func (r *reader) occurrences(s *series, from, to int64) ([]occurrence, error) {
	limit := r.x.MaxInstances
	if limit <= 0 {
		limit = defaultMaxInstances
	}
	m := s.master
	const slack = 2 * 86400 // more than any offset
	before, after := max(0, m.length.days*86400)+max(0, m.length.seconds), int64(0)
	for _, o := range s.future {
		before = max(before, max(0, o.length.days*86400)+max(0, o.length.seconds)+max(0, o.move))
		after = max(after, -o.move)
	}
	lo, hi := time.Unix(from-before-slack, 0), time.Unix(to+after+slack, 0)
	list := append([]occurrence{m.start.lasting(m.length)}, s.rdates...)
	walk := func(rules []rule, f func(occurrence)) error {
		for i := range rules {
			times, err := rules[i].Between(lo, hi, limit)
			if err != nil {
				return err
			}
			for _, t := range times {
				wall := t.Unix()
				if utc := m.start.zone.utc(wall); utc <= rules[i].until {
					f(occurrence{wall: wall, utc: utc, length: m.length})
				}
			}
		}
		return nil
	}
	if err := walk(s.rules, func(o occurrence) { list = append(list, o) }); err != nil {
		return nil, err
	}
	if len(list) > limit {
		return nil, recur.ErrTooMany
	}
	if len(s.exrules) > 0 {
		out := map[int64]bool{}
		if err := walk(s.exrules, func(o occurrence) { out[m.start.key(o)] = true }); err != nil {
			return nil, fmt.Errorf("EXRULE: %w", err)
		}
		list = slices.DeleteFunc(list, func(o occurrence) bool { return out[m.start.key(o)] })
	}
	slices.SortStableFunc(list, func(a, b occurrence) int {
		switch {
		case m.start.key(a) != m.start.key(b):
			return cmp.Compare(m.start.key(a), m.start.key(b))
		case a.period != b.period && a.period:
			return -1
		case a.period != b.period:
			return 1
		}
		return cmp.Compare(a.wall, b.wall)
	})
	return slices.CompactFunc(list, func(a, b occurrence) bool { return m.start.key(a) == m.start.key(b) }), nil
}
