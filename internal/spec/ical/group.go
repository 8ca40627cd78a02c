package ical

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"busybridge/internal/spec/wintz"
)

// A Group is an event or a series: the VEVENT components of one UID.
type Group struct {
	// UID is the event's, or one made from its text if it has none.
	UID string
	// Sequence and Stamp are the highest SEQUENCE and the latest DTSTAMP of its
	// components; Stamp is zero if they have none.
	Sequence int
	Stamp    time.Time
	// Master is the component without RECURRENCE-ID, nil if only single
	// instances are known.
	Master *Component
	// Overrides are the components with RECURRENCE-ID, in the order of the file.
	Overrides []*Component

	zones   *zones
	byRecID map[string]int // place in Overrides by RECURRENCE-ID as written
}

// Groups returns the events of cal in the order of the file. Of two components
// for the same thing (one UID, one RECURRENCE-ID) that with the higher SEQUENCE,
// then the later DTSTAMP stays, of equal ones the first. Only events within a
// VCALENDAR count.
func Groups(cal *Calendar) []Group {
	var groups []Group
	byUID := map[string]int{}
	for _, root := range cal.Components {
		if root.Name != "VCALENDAR" {
			continue
		}
		zones := newZones(root)
		for _, c := range root.Components {
			if c.Name != "VEVENT" {
				continue
			}
			uid := uidOf(c)
			i, ok := byUID[uid]
			if !ok {
				i = len(groups)
				byUID[uid] = i
				groups = append(groups, Group{UID: uid, zones: zones})
			}
			groups[i].add(c)
			if groups[i].zones != zones { // one UID in several calendars
				groups[i].zones = groups[i].zones.with(zones)
			}
		}
	}
	for i := range groups {
		g := &groups[i]
		for _, c := range g.components() {
			g.Sequence = max(g.Sequence, sequence(c))
			if t := stamp(c); t.After(g.Stamp) {
				g.Stamp = t
			}
		}
	}
	return groups
}

// uidOf is the component's UID, or one made from its text if it has none.
func uidOf(c *Component) string {
	if uid := strings.TrimSpace(c.text("UID")); uid != "" {
		return uid
	}
	sum := sha256.Sum256([]byte(strings.TrimRight(c.source(), "\r\n")))
	return "no-uid-" + hex.EncodeToString(sum[:16])
}

// components are the master and the overrides.
func (g *Group) components() []*Component {
	if g.Master == nil {
		return g.Overrides
	}
	return append([]*Component{g.Master}, g.Overrides...)
}

func (g *Group) add(c *Component) {
	rid := c.Get("RECURRENCE-ID")
	if rid == nil {
		if g.Master == nil || newer(c, g.Master) {
			g.Master = c
		}
		return
	}
	id := rid.Param("TZID") + "\x00" + rid.Value
	if i, ok := g.byRecID[id]; ok {
		if newer(c, g.Overrides[i]) {
			g.Overrides[i] = c
		}
		return
	}
	if g.byRecID == nil {
		g.byRecID = map[string]int{}
	}
	g.byRecID[id] = len(g.Overrides)
	g.Overrides = append(g.Overrides, c)
}

// newer reports whether a is a later version than b.
func newer(a, b *Component) bool {
	if sa, sb := sequence(a), sequence(b); sa != sb {
		return sa > sb
	}
	return stamp(a).After(stamp(b))
}

func sequence(c *Component) int {
	n, err := strconv.Atoi(c.word("SEQUENCE"))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func stamp(c *Component) time.Time {
	t, err := time.Parse("20060102T150405Z", c.word("DTSTAMP"))
	if err != nil {
		return time.Time{}
	}
	return t
}

// TimeZone is the calendar's X-WR-TIMEZONE where that names a zone, else "".
func (c *Calendar) TimeZone() string {
	for _, root := range c.Components {
		if root.Name != "VCALENDAR" {
			continue
		}
		if name := strings.TrimSpace(root.text("X-WR-TIMEZONE")); name != "" {
			if loc, ok := wintz.Location(name); ok {
				return loc.String()
			}
		}
	}
	return ""
}
