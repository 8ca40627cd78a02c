// Package wintz names time zones as Windows and Exchange do, and finds the zone
// behind whatever a calendar calls it. The table comes from the Unicode CLDR.
package wintz

import (
	"fmt"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // a bare container has no zone files
)

//go:generate go run ./gen ${NODE_MODULES}/cldr-core/supplemental/windowsZones.json ${NODE_MODULES}/cldr-bcp47/bcp47/timezone.json table.go

// displayYear is the year whose offsets stand in the display names.
const displayYear = 2026

// A place is one name of a zone. The location is loaded when first asked for.
type place struct {
	name    string // as tzdata spells it
	iana    string // the name CLDR prefers
	windows string // "" where Windows has no such zone
	once    sync.Once
	loc     *time.Location
}

func (p *place) location() *time.Location {
	p.once.Do(func() {
		loc, err := time.LoadLocation(p.name)
		if err != nil && p.name != p.iana {
			loc, err = time.LoadLocation(p.iana) // US/Pacific-New left tzdata in 2020
		}
		if err == nil {
			p.loc = loc
		}
	})
	return p.loc
}

// index is the table made ready for look-ups; it is built once and not changed.
var index = sync.OnceValue(func() *tables {
	t := &tables{iana: map[string]*place{}, windows: map[string]string{}, folded: map[string]*place{}, city: map[string][]*place{}}
	for i := range zones {
		z := &zones[i]
		for j, name := range append([]string{z.iana}, strings.Fields(z.aliases)...) {
			p := &place{name: name, iana: z.iana, windows: z.windows}
			t.iana[name] = p
			if k := fold(name); j == 0 || t.folded[k] == nil {
				t.folded[k] = p
			}
			k := fold(name[strings.LastIndexByte(name, '/')+1:])
			t.city[k] = append(t.city[k], p)
		}
	}
	for _, d := range defaults {
		t.windows[d[0]] = d[1]
		t.folded[fold(d[0])] = t.iana[d[1]]
	}
	for _, r := range regions {
		t.folded[fold(r[0])] = t.iana[t.windows[r[1]]]
	}
	return t
})

type tables struct {
	iana    map[string]*place
	windows map[string]string // Windows id to IANA name
	folded  map[string]*place
	city    map[string][]*place
}

// regions are the parts of Microsoft's display names that name no city of tzdata.
var regions = [...][2]string{
	{"Abu Dhabi", "Arabian Standard Time"},
	{"Alaska", "Alaskan Standard Time"},
	{"Arizona", "US Mountain Standard Time"},
	{"Atlantic Time (Canada)", "Atlantic Standard Time"},
	{"Baja California", "Pacific Standard Time (Mexico)"},
	{"Beijing", "China Standard Time"},
	{"Cabo Verde Is.", "Cape Verde Standard Time"},
	{"Cape Verde Is.", "Cape Verde Standard Time"},
	{"Central America", "Central America Standard Time"},
	{"Central Time (US & Canada)", "Central Standard Time"},
	{"Chennai", "India Standard Time"},
	{"Coordinated Universal Time", "UTC"},
	{"Coordinated Universal Time-02", "UTC-02"},
	{"Coordinated Universal Time-08", "UTC-08"},
	{"Coordinated Universal Time-09", "UTC-09"},
	{"Coordinated Universal Time-11", "UTC-11"},
	{"Coordinated Universal Time+12", "UTC+12"},
	{"Coordinated Universal Time+13", "UTC+13"},
	{"Eastern Time (US & Canada)", "Eastern Standard Time"},
	{"Greenland", "Greenland Standard Time"},
	{"Greenwich Mean Time", "GMT Standard Time"},
	{"Hawaii", "Hawaiian Standard Time"},
	{"Indiana (East)", "US Eastern Standard Time"},
	{"International Date Line West", "Dateline Standard Time"},
	{"Islamabad", "Pakistan Standard Time"},
	{"Kuwait", "Arab Standard Time"},
	{"Mountain Time (US & Canada)", "Mountain Standard Time"},
	{"Newfoundland", "Newfoundland Standard Time"},
	{"Pacific Time (US & Canada)", "Pacific Standard Time"},
	{"Saskatchewan", "Canada Central Standard Time"},
	{"Solomon Is.", "Central Pacific Standard Time"},
	{"Sri Jayawardenepura", "Sri Lanka Standard Time"},
	{"West Central Africa", "W. Central Africa Standard Time"},
}

// fold makes names equal that differ in case or in the way words are joined.
func fold(s string) string {
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'A' && c <= 'Z':
			b = append(b, c+'a'-'A')
		case c == '/' || c == '_' || c == '-' || c == ' ':
			b = append(b, '_')
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// maxName is longer than every name and display name of a zone.
const maxName = 255

// Location returns the zone that name means: a Windows id, an IANA name or alias
// (in any case, with "_" or "-" between its parts), either of them behind a
// "/vendor/date_n/" prefix, or a display name such as "(UTC+01:00) Amsterdam,
// Berlin, ...". It never opens a file by a name it does not know, and never
// returns the machine's own zone.
func Location(name string) (*time.Location, bool) {
	p := index().find(name)
	if p == nil {
		return nil, false
	}
	loc := p.location()
	return loc, loc != nil
}

func (t *tables) find(name string) *place {
	if p := t.iana[name]; p != nil {
		return p
	}
	name = strings.Trim(name, " \t\"'")
	if name == "" || len(name) > maxName {
		return nil
	}
	if name[0] == '(' {
		return t.display(name)
	}
	if p := t.folded[fold(name)]; p != nil {
		return p
	}
	// tzone://Microsoft/Utc, /citadel.org/20210210_1/Europe/Berlin
	if rest, ok := strings.CutPrefix(name, "tzone://Microsoft/"); ok {
		return t.folded[fold(rest)]
	}
	for rest, ok := name, name[0] == '/'; ok; {
		if _, rest, ok = strings.Cut(rest, "/"); ok {
			if p := t.folded[fold(rest)]; p != nil {
				return p
			}
		}
	}
	// Outlook says "Pacific Daylight Time", Exchange numbers a second zone of
	// the same name: "W. Europe Standard Time 1".
	if s := strings.Replace(name, " Daylight Time", " Standard Time", 1); s != name {
		return t.folded[fold(s)]
	}
	if s := strings.TrimRight(name, "0123456789"); s != name && strings.HasSuffix(s, "Time ") {
		return t.folded[fold(s[:len(s)-1])]
	}
	return nil
}

// display finds "(UTC+01:00) Amsterdam, Berlin, ..." by the first of its places
// that lies in the offset it states. Without a place the name says too little:
// the zones of one offset change their clocks differently.
func (t *tables) display(name string) *place {
	head, cities, ok := strings.Cut(name, ")")
	if !ok {
		return nil
	}
	bias, ok := parseOffset(strings.TrimPrefix(strings.TrimPrefix(head[1:], "UTC"), "GMT"))
	if !ok {
		return nil
	}
	here := func(p *place) bool {
		loc := p.location()
		return loc != nil && RuleAt(loc, time.Date(displayYear, 1, 1, 0, 0, 0, 0, time.UTC)).Bias == bias
	}
	for city := range strings.SplitSeq(strings.ReplaceAll(cities, " and ", " & "), ",") {
		k := fold(strings.TrimSpace(city))
		if p := t.folded[k]; p != nil && here(p) {
			return p
		}
		for _, p := range t.city[k] {
			if here(p) {
				return p
			}
		}
	}
	return nil
}

// parseOffset reads "", "+01:00" or "-0330" as the bias in minutes: UTC - local.
func parseOffset(s string) (bias int, ok bool) {
	if s == "" {
		return 0, true
	}
	d := strings.Replace(s[1:], ":", "", 1)
	if len(d) != 4 || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	for i := range len(d) {
		if d[i] < '0' || d[i] > '9' {
			return 0, false
		}
	}
	bias = (int(d[0]-'0')*10+int(d[1]-'0'))*60 + int(d[2]-'0')*10 + int(d[3]-'0')
	if s[0] == '+' {
		bias = -bias
	}
	return bias, true
}

// IANA returns the IANA name of a Windows id where no territory refines it.
func IANA(windows string) (string, bool) {
	name, ok := index().windows[windows]
	return name, ok
}

// Windows returns the Windows id of an IANA name or alias.
func Windows(iana string) (string, bool) {
	p := index().iana[iana]
	if p == nil {
		return "", false
	}
	return p.windows, p.windows != ""
}

// IDs returns every Windows id, sorted.
func IDs() []string {
	ids := make([]string, len(defaults))
	for i, d := range defaults {
		ids[i] = d[0]
	}
	return ids
}

// DisplayName returns a name for people, "(UTC+01:00) Berlin". The part in
// brackets is the offset of standard time. An unknown id is returned as it is.
func DisplayName(id string) string {
	t := index()
	p := t.iana[t.windows[id]]
	if p == nil || p.location() == nil {
		return id
	}
	bias := RuleAt(p.location(), time.Date(displayYear, 1, 1, 0, 0, 0, 0, time.UTC)).Bias
	city := strings.ReplaceAll(p.iana[strings.LastIndexByte(p.iana, '/')+1:], "_", " ")
	if rest, ok := strings.CutPrefix(id, "UTC"); ok {
		city = "Coordinated Universal Time" + rest
	}
	if bias == 0 {
		return "(UTC) " + city
	}
	sign, m := '-', bias
	if bias < 0 {
		sign, m = '+', -bias
	}
	return fmt.Sprintf("(UTC%c%02d:%02d) %s", sign, m/60, m%60, city)
}

// UTC returns the instant at which the clocks of loc show wall, a wall clock
// reading labelled UTC. A reading that a clock change skips is taken with the
// offset before the change; one that occurs twice is the first (RFC 5545 3.3.5).
func UTC(loc *time.Location, wall time.Time) time.Time {
	w := wall.Unix()
	guess := time.Unix(w, 0).In(loc)
	_, off := guess.Zone()
	guess = time.Unix(w-int64(off), 0).In(loc)
	start, end := guess.ZoneBounds()
	_, cur := guess.Zone()
	prev, next := cur, cur
	if !start.IsZero() {
		_, prev = start.Add(-time.Second).Zone()
	}
	if !end.IsZero() {
		_, next = end.Zone()
	}
	s, e := start.Unix(), end.Unix()
	var u int64
	switch {
	// Earlier first: the second occurrence of an ambiguous time is never taken.
	case !start.IsZero() && w-int64(prev) < s:
		u = w - int64(prev)
	case (start.IsZero() || w-int64(cur) >= s) && (end.IsZero() || w-int64(cur) < e):
		u = w - int64(cur)
	case !start.IsZero() && w-int64(cur) < s: // in the gap at start
		u = w - int64(prev)
	case w-int64(next) >= e:
		u = w - int64(next)
	default: // in the gap at end
		u = w - int64(cur)
	}
	return time.Unix(u, int64(wall.Nanosecond())).UTC()
}

// Wall returns what the clocks of loc show at t, labelled UTC.
func Wall(loc *time.Location, t time.Time) time.Time {
	_, off := t.In(loc).Zone()
	return t.UTC().Add(time.Duration(off) * time.Second)
}
