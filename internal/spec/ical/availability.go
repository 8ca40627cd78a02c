package ical

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// An Availability is a VAVAILABILITY component (RFC 7953 3.1): within its bounds
// its owner is available where one of its AVAILABLE parts says so, and else not.
type Availability struct {
	// UID is the component's, or one made from its text if it has none.
	UID      string
	Sequence int
	Stamp    time.Time // DTSTAMP; zero: none
	// Zone is that of its floating times; nil: Expander.FloatingZone.
	Zone *time.Location

	component *Component
	zones     *zones
}

// Availabilities returns the VAVAILABILITY components of cal in the order of the
// file. Of several with one UID the newest stays, as in Groups.
func Availabilities(cal *Calendar) []Availability {
	var list []Availability
	byUID := map[string]int{}
	for _, root := range cal.Components {
		if root.Name != "VCALENDAR" {
			continue
		}
		var zones *zones
		for _, c := range root.Components {
			if c.Name != "VAVAILABILITY" {
				continue
			}
			if zones == nil {
				zones = newZones(root)
			}
			a := Availability{UID: uidOf(c), Sequence: sequence(c), Stamp: stamp(c), component: c, zones: zones}
			i, ok := byUID[a.UID]
			switch {
			case !ok:
				byUID[a.UID] = len(list)
				list = append(list, a)
			case newer(c, list[i].component):
				list[i] = a
			}
		}
	}
	return list
}

// Line is that of the component's BEGIN.
func (a *Availability) Line() int { return a.component.Line }

// Text returns a as a calendar of its own, like Group.Text.
func (a *Availability) Text() []byte {
	b := []byte("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:" + prodID + "\r\n")
	for _, z := range a.zones.named(append([]*Component{a.component}, a.component.Components...)) {
		b = appendSource(b, z)
	}
	return append(appendSource(b, a.component), "END:VCALENDAR\r\n"...)
}

// maxAvailabilities is the number of VAVAILABILITY components that count for one
// calendar user.
const maxAvailabilities = 100

// Unavailable returns when the owner of all of list is not available within
// [from, to), sorted, without overlaps, and cut to that span. The status is that
// of the BUSYTYPE: Busy, Tentative or OOF (BUSY-UNAVAILABLE).
//
// Where components overlap that of the highest PRIORITY decides (RFC 7953 4): 1,
// 2, ... 9, and last 0, which is none. Of the same priority one that says
// available decides, else BUSY goes before BUSY-UNAVAILABLE before BUSY-TENTATIVE.
// A component whose bounds cannot be read is left out with a Problem; so is an
// AVAILABLE part that cannot.
func (x *Expander) Unavailable(list []Availability, from, to time.Time) ([]Period, []Problem) {
	var problems []Problem
	if len(list) > maxAvailabilities {
		problems = append(problems, Problem{Reason: fmt.Sprintf("%d VAVAILABILITY components: only the first %d count", len(list), maxAvailabilities)})
		list = list[:maxAvailabilities]
	}
	type layer struct {
		priority  int
		status    Status
		on        bool
		available int // AVAILABLE instances under way
	}
	type edge struct {
		at    int64
		layer int
		bound bool // of the component, not of an AVAILABLE part
		begin bool
	}
	var layers []layer
	var edges []edge
	for i := range list {
		a := &list[i]
		x := x.in(a.Zone)
		lo, hi, err := x.bounds(a, from.Unix(), to.Unix(), &problems)
		if err != nil {
			problems = append(problems, Problem{Line: a.Line(), UID: a.UID, Reason: "VAVAILABILITY is left out: " + err.Error()})
			continue
		}
		if lo >= hi {
			continue
		}
		n := len(layers)
		layers = append(layers, layer{priority: a.priority(), status: a.status()})
		edges = append(edges, edge{lo, n, true, true}, edge{hi, n, true, false})
		for _, g := range a.parts() {
			instances, more := x.Expand(&g, time.Unix(lo, 0), time.Unix(hi, 0))
			problems = append(problems, more...)
			for _, in := range instances {
				edges = append(edges, edge{max(lo, in.Start.Unix()), n, false, true}, edge{min(hi, in.End.Unix()), n, false, false})
			}
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return int(max(-1, min(1, a.at-b.at))) })

	// decide is the status where the layers are as they are; "": available.
	decide := func() (s Status) {
		best := 0
		for i := range layers {
			l := &layers[i]
			if !l.on || l.priority < best {
				continue
			}
			mine := l.status
			if l.available > 0 {
				mine = ""
			}
			if l.priority > best {
				best, s = l.priority, mine
			} else if s != "" && (mine == "" || slices.Index(busyOrder, mine) < slices.Index(busyOrder, s)) {
				s = mine
			}
		}
		return s
	}
	var out []Period
	for i := 0; i < len(edges); {
		at := edges[i].at
		for ; i < len(edges) && edges[i].at == at; i++ {
			e := edges[i]
			l := &layers[e.layer]
			switch {
			case e.bound:
				l.on = e.begin
			case e.begin:
				l.available++
			default:
				l.available--
			}
		}
		if i == len(edges) {
			break
		}
		s := decide()
		if s == "" {
			continue
		}
		start, end := time.Unix(at, 0).UTC(), time.Unix(edges[i].at, 0).UTC()
		if n := len(out); n > 0 && out[n-1].Status == s && out[n-1].End.Equal(start) {
			out[n-1].End = end
		} else {
			out = append(out, Period{start, end, s})
		}
	}
	return out, problems
}

// Readable is nil if a counts, and else says why Unavailable leaves it out.
func (x *Expander) Readable(a *Availability) error {
	var problems []Problem
	_, _, err := x.in(a.Zone).bounds(a, 0, 1<<40, &problems)
	return err
}

// in is x with another zone for floating times, if that is not nil.
func (x *Expander) in(zone *time.Location) *Expander {
	if zone == nil {
		return x
	}
	y := *x
	y.FloatingZone = zone
	return &y
}

// busyOrder says which status of components of the same priority is shown.
var busyOrder = []Status{Busy, OOF, Tentative}

// bounds is the part of [from, to) that a covers. Without DTSTART it has no
// beginning, without DTEND and DURATION no end (RFC 7953 3.1).
func (x *Expander) bounds(a *Availability, from, to int64, problems *[]Problem) (lo, hi int64, err error) {
	r := x.reader(&Group{UID: a.UID, zones: a.zones}, from)
	defer r.close()
	defer func() { *problems = append(*problems, r.problems...) }()
	var start *moment
	if p := a.component.Get("DTSTART"); p != nil {
		m, err := r.moment(p, p.Value, nil)
		if err != nil {
			return 0, 0, err
		}
		start = &m
		from = max(from, m.utc())
	}
	end, bounded := to, true
	if p := a.component.Get("DTEND"); p != nil {
		m, err := r.moment(p, p.Value, start)
		if err != nil {
			return 0, 0, err
		}
		end = m.utc()
	} else if p := a.component.Get("DURATION"); p != nil {
		l, err := parseDuration(p.Value)
		switch {
		case err != nil:
			return 0, 0, fmt.Errorf("DURATION: %w", err)
		case start == nil:
			return 0, 0, errors.New("it has DURATION without DTSTART")
		}
		end = start.end(start.lasting(l))
	} else {
		bounded = false
	}
	if start != nil && bounded && end <= start.utc() {
		return 0, 0, errors.New("it does not end after it begins")
	}
	return from, min(to, end), nil
}

// priority is 10 for the highest, PRIORITY:1, and 1 for the lowest, 0 or none.
func (a *Availability) priority() int {
	n, err := strconv.Atoi(a.component.word("PRIORITY"))
	if err != nil || n < 1 || n > 9 {
		return 1
	}
	return 11 - n
}

// status is that of the BUSYTYPE; one that is not known is BUSY-UNAVAILABLE
// (RFC 7953 3.2).
func (a *Availability) status() Status {
	switch a.component.word("BUSYTYPE") {
	case "BUSY":
		return Busy
	case "BUSY-TENTATIVE":
		return Tentative
	}
	return OOF
}

// parts are the AVAILABLE components, those of one UID together.
func (a *Availability) parts() []Group {
	var groups []Group
	byUID := map[string]int{}
	for _, c := range a.component.Components {
		if c.Name != "AVAILABLE" {
			continue
		}
		uid := uidOf(c)
		i, ok := byUID[uid]
		if !ok {
			i = len(groups)
			byUID[uid] = i
			groups = append(groups, Group{UID: uid, zones: a.zones})
		}
		groups[i].add(c)
	}
	return groups
}
