package ical

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"busybridge/internal/spec/recur"
	"busybridge/internal/spec/wintz"
)

// Wall-clock readings and instants are seconds here: a reading counts as if the
// clock showed UTC.

// A zone turns one into the other. Where a calendar brings a VTIMEZONE that is
// what counts (RFC 5545 3.8.3.1), and the zone its name stands for only before
// its first observance: some programs write one that begins after the event.
type zone struct {
	rules *timezone      // the VTIMEZONE; nil: none
	loc   *time.Location // what the name stands for; nil: nothing
}

var utcZone = &zone{loc: time.UTC}

func (z *zone) utc(wall int64) int64 {
	if z.rules != nil {
		if off, ok := z.rules.atWall(wall); ok || z.loc == nil {
			return wall - off
		}
	}
	if z.loc == time.UTC {
		return wall
	}
	return wintz.UTC(z.loc, time.Unix(wall, 0)).Unix()
}

func (z *zone) wall(utc int64) int64 {
	if z.rules != nil {
		if off, ok := z.rules.atUTC(utc); ok || z.loc == nil {
			return utc + off
		}
	}
	_, off := time.Unix(utc, 0).In(z.loc).Zone()
	return utc + int64(off)
}

// zones are the VTIMEZONEs of a calendar by TZID, compiled when first used.
type zones struct {
	components map[string]*Component
	merged     bool // belongs to one group

	mu       sync.Mutex // held while a group of the calendar is expanded
	compiled map[string]*zone
	problems map[string][]Problem // by TZID
	near     int64                // a time that will be asked for
}

func newZones(cal *Component) *zones {
	z := &zones{components: map[string]*Component{}, compiled: map[string]*zone{}, problems: map[string][]Problem{}}
	for _, c := range cal.Components {
		if c.Name == "VTIMEZONE" {
			id := strings.Trim(c.text("TZID"), `"'`)
			if z.components[id] == nil {
				z.components[id] = c
			}
		}
	}
	return z
}

// with returns the zones of z, and of more those that z does not have.
func (z *zones) with(more *zones) *zones {
	if !z.merged {
		z = &zones{components: maps.Clone(z.components), merged: true, compiled: map[string]*zone{}, problems: map[string][]Problem{}}
	}
	for id, c := range more.components {
		if z.components[id] == nil {
			z.components[id] = c
		}
	}
	return z
}

func cleanZoneID(id string) string { return strings.Trim(strings.TrimSpace(id), `"'`) }

// component returns the VTIMEZONE of a TZID, nil if there is none. Some programs
// cut a name with a comma or colon where they refer to it.
func (z *zones) component(id string) *Component {
	const few = 50
	if c := z.components[id]; c != nil || len(id) < 4 || len(z.components) > few {
		return c
	}
	var found *Component
	for name, c := range z.components {
		if strings.HasPrefix(name, id) || strings.EqualFold(name, id) {
			if found != nil {
				return nil
			}
			found = c
		}
	}
	return found
}

// zone returns the zone of a TZID, nil if it means nothing.
func (z *zones) zone(id string) *zone {
	id = cleanZoneID(id)
	if id == "" {
		return nil
	}
	if known, ok := z.compiled[id]; ok {
		return known
	}
	var zn zone
	if c := z.component(id); c != nil {
		for _, name := range []string{id, c.text("X-LIC-LOCATION"), c.text("TZID-ALIAS-OF")} {
			if loc, ok := wintz.Location(name); ok {
				zn.loc = loc
				break
			}
		}
		zn.rules, z.problems[id] = compile(c, z.near)
	} else if loc, ok := wintz.Location(id); ok && (loc.String() == id || !strings.EqualFold(loc.String(), id)) {
		// An IANA name in another case is not taken: other programs do not know
		// it either, and one answer everywhere is worth more.
		zn.loc = loc
	}
	result := &zn
	if zn.loc == nil && zn.rules == nil {
		result = nil
	}
	z.compiled[id] = result
	return result
}

// named returns the VTIMEZONEs that the components refer to.
func (z *zones) named(components []*Component) []*Component {
	var list []*Component
	seen := map[string]bool{}
	for _, c := range components {
		for i := range c.Properties {
			if len(c.Properties[i].Params) == 0 {
				continue
			}
			id := cleanZoneID(c.Properties[i].Param("TZID"))
			if id == "" || seen[id] {
				continue
			}
			seen[id] = true
			if tz := z.component(id); tz != nil && len(tz.raw) <= maxZoneText && !slices.Contains(list, tz) {
				list = append(list, tz)
			}
		}
	}
	return list
}

// Bounds of a VTIMEZONE: the longest real ones have some 240 observances and
// 30 kB. A zone beyond them is left out.
const (
	maxZoneText    = 64 << 10
	maxObservances = 400
	maxOnsets      = 4000
)

// A timezone is a compiled VTIMEZONE (RFC 5545 3.6.5).
type timezone struct {
	id          string
	observances []observance
	spans       map[int64][]change // by number of the span
	err         error              // of an observance that could not be expanded
}

// An observance is one STANDARD or DAYLIGHT. Offsets are local - UTC in seconds.
type observance struct {
	before, after int64
	onsets        []int64 // DTSTART and RDATEs, wall clock before the change
	series        []recur.Series
	standard      bool
}

type change struct {
	at            int64 // instant
	before, after int64
	standard      bool
}

// compile reads a VTIMEZONE. An observance that cannot be read is left out; the
// result is nil if none is left. The zone is made ready for times about near.
func compile(c *Component, near int64) (*timezone, []Problem) {
	tz := timezone{id: c.text("TZID"), spans: map[int64][]change{}}
	var problems []Problem
	leave := func(reason any) (*timezone, []Problem) {
		return nil, append(problems, Problem{Line: c.Line, Reason: fmt.Sprintf("time zone %s is left out: %v", clip(tz.id), reason)})
	}
	if len(c.raw) > maxZoneText || len(c.Components) > maxObservances {
		return leave("it is too long")
	}
	for _, sub := range c.Components {
		if sub.Name != "STANDARD" && sub.Name != "DAYLIGHT" {
			continue
		}
		o, err := newObservance(sub)
		if err != nil {
			problems = append(problems, Problem{Line: sub.Line, Reason: fmt.Sprintf("time zone %s: %s is left out: %v", clip(tz.id), sub.Name, err)})
			continue
		}
		tz.observances = append(tz.observances, o)
	}
	if len(tz.observances) == 0 {
		return leave("it has no rule")
	}
	tz.changes(near)
	if tz.err != nil {
		return leave(tz.err)
	}
	return &tz, problems
}

var errZoneRule = errors.New("its rule changes the clocks more than twice a month")

func newObservance(c *Component) (observance, error) {
	o := observance{standard: c.Name == "STANDARD"}
	after, err := parseOffset(c.Get("TZOFFSETTO"))
	if err != nil {
		return o, fmt.Errorf("TZOFFSETTO %w", err)
	}
	o.after, o.before = after, after
	if p := c.Get("TZOFFSETFROM"); p != nil {
		if o.before, err = parseOffset(p); err != nil {
			return o, fmt.Errorf("TZOFFSETFROM %w", err)
		}
	}
	p := c.Get("DTSTART")
	if p == nil {
		return o, errors.New("it has no DTSTART")
	}
	start, _, err := parseTime(p.Value)
	if err != nil {
		return o, err
	}
	o.onsets = append(o.onsets, start)
	for p := range c.All("RRULE") {
		r, err := recur.Parse(p.Value)
		if err != nil {
			return o, err
		}
		if r.Freq > recur.Monthly || len(o.series) == maxRules {
			return o, errZoneRule
		}
		s := recur.Series{Rule: r, Start: time.Unix(start, 0).UTC()}
		if !r.Until.IsZero() {
			s.Until = r.Until
			switch r.UntilForm {
			case recur.UTC:
				s.Until = r.Until.Add(time.Duration(o.before) * time.Second)
			case recur.Date:
				s.Until = r.Until.AddDate(0, 0, 1).Add(-time.Second)
			}
		}
		o.series = append(o.series, s)
	}
	for p := range c.All("RDATE") {
		for v := range strings.SplitSeq(p.Value, ",") {
			v, _, _ = strings.Cut(v, "/")
			t, f, err := parseTime(v)
			if err != nil {
				return o, err
			}
			if f == formUTC {
				t += o.before
			}
			if len(o.onsets) >= maxOnsets {
				return o, recur.ErrTooMany
			}
			o.onsets = append(o.onsets, t)
		}
	}
	return o, nil
}

// parseOffset reads a UTC-OFFSET (RFC 5545 3.3.14) in seconds.
func parseOffset(p *Property) (int64, error) {
	if p == nil {
		return 0, errors.New("is missing")
	}
	s := strings.TrimSpace(p.Value)
	if len(s) != 5 && len(s) != 7 || s[0] != '+' && s[0] != '-' {
		return 0, fmt.Errorf("%s is no offset", clip(s))
	}
	var f [3]int64
	for i := 1; i < len(s); i += 2 {
		n, ok := digits(s[i : i+2])
		if !ok {
			return 0, fmt.Errorf("%s is no offset", clip(s))
		}
		f[i/2] = int64(n)
	}
	if f[0] > 23 || f[1] > 59 || f[2] > 59 {
		return 0, fmt.Errorf("%s is out of range", clip(s))
	}
	off := f[0]*3600 + f[1]*60 + f[2]
	if s[0] == '-' {
		off = -off
	}
	return off, nil
}

// spanSeconds is the time for which changes are computed at once: 8 years.
const spanSeconds = 8 * 366 * 86400

// changes returns the changes about t, sorted: all of its span, and before them
// the last one of each observance.
func (tz *timezone) changes(t int64) []change {
	n := t / spanSeconds
	if t < 0 {
		n--
	}
	list, ok := tz.spans[n]
	if ok {
		return list
	}
	const slack = 3 * 86400 // more than two offsets: readings are asked for too
	lo, hi := time.Unix(n*spanSeconds-slack, 0).UTC(), time.Unix((n+1)*spanSeconds+slack, 0).UTC()
	for i := range tz.observances {
		o := &tz.observances[i]
		add := func(wall int64) {
			list = append(list, change{wall - o.before, o.before, o.after, o.standard})
		}
		for _, wall := range o.onsets {
			if wall < hi.Unix() {
				add(wall)
			}
		}
		for j := range o.series {
			s := &o.series[j]
			last, ok, err := s.Last(lo)
			if ok {
				add(last.Unix())
			}
			onsets, err2 := s.Between(lo, hi, maxOnsets)
			if err = errors.Join(err, err2); err != nil {
				tz.err = err
			}
			for _, t := range onsets {
				add(t.Unix())
			}
		}
	}
	slices.SortFunc(list, func(a, b change) int {
		if c := cmp.Compare(a.at, b.at); c != 0 {
			return c
		}
		if a.standard != b.standard { // of two at once standard time holds
			if b.standard {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.before, b.before), cmp.Compare(a.after, b.after))
	})
	list = slices.Compact(list)
	tz.spans[n] = list
	return list
}

// atUTC returns the offset at an instant; ok is false before the first change.
func (tz *timezone) atUTC(utc int64) (off int64, ok bool) {
	list := tz.changes(utc)
	n := sort.Search(len(list), func(i int) bool { return list[i].at > utc })
	return tz.offset(list, n)
}

// atWall returns the offset for a reading: before a change for one that the
// change skips, and for the first of two (RFC 5545 3.3.5).
func (tz *timezone) atWall(wall int64) (off int64, ok bool) {
	list := tz.changes(wall)
	n := sort.Search(len(list), func(i int) bool { return list[i].at+max(list[i].before, list[i].after) > wall })
	return tz.offset(list, n)
}

// offset is what holds after the first n changes.
func (tz *timezone) offset(list []change, n int) (off int64, ok bool) {
	switch {
	case n > 0:
		return list[n-1].after, true
	case len(list) > 0:
		return list[0].before, false
	}
	// The zone begins after the span: what held before its first change.
	first := &tz.observances[0]
	for i := range tz.observances {
		if o := &tz.observances[i]; o.onsets[0]-o.before < first.onsets[0]-first.before {
			first = o
		}
	}
	return first.before, false
}
