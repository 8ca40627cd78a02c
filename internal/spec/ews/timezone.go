package ews

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"busybridge/internal/spec/soap"
	"busybridge/internal/spec/wintz"
)

// parseZone reads a SerializableTimeZone (2.3). One that cannot be wraps ErrTimeZone.
func parseZone(e *soap.Element) (wintz.Rule, error) {
	var r wintz.Rule
	bias := e.Child(NSTypes, "Bias")
	if bias == nil {
		return r, missing(e, "Bias")
	}
	var err error
	if r.Bias, err = parseBias(bias); err != nil {
		return r, err
	}
	for _, half := range []struct {
		name string
		into *wintz.Switch
	}{{"StandardTime", &r.Standard}, {"DaylightTime", &r.Daylight}} {
		c := e.Child(NSTypes, half.name)
		if c == nil {
			return r, missing(e, half.name)
		}
		if *half.into, err = parseSwitch(c); err != nil {
			return r, err
		}
	}
	// Month 0 in either half, or the same moment or bias in both, is no daylight time.
	moment := func(s wintz.Switch) wintz.Switch { s.Bias = 0; return s }
	if r.Standard.Month == 0 || r.Daylight.Month == 0 || r.Standard.Bias == r.Daylight.Bias || moment(r.Standard) == moment(r.Daylight) {
		r = wintz.Rule{Bias: r.Bias + r.Standard.Bias}
	}
	if err := r.Validate(); err != nil {
		return r, fmt.Errorf("%w: %w", ErrTimeZone, err)
	}
	return r, nil
}

const maxBias = 24 * 60

func parseBias(e *soap.Element) (int, error) {
	n, err := parseInt(e, -1<<31, 1<<31-1)
	if err == nil && (n < -maxBias || n > maxBias) {
		return 0, fmt.Errorf("%w: bias of %d minutes", ErrTimeZone, n)
	}
	return n, err
}

func parseSwitch(e *soap.Element) (wintz.Switch, error) {
	var s wintz.Switch
	var dayName string
	hasYear := false
	for _, c := range e.Children {
		if c.Space != NSTypes {
			continue
		}
		var err error
		switch c.Local {
		case "Bias":
			s.Bias, err = parseBias(c)
		case "Time":
			t, ok := parseClock(c.Trimmed())
			if !ok {
				err = fmt.Errorf("%w: %s %q", ErrTimeZone, c.Local, clip(c.Trimmed()))
			}
			s.Time = t
		case "DayOrder":
			s.DayOrder, err = parseInt(c, -1<<15, 1<<15-1)
		case "Month":
			s.Month, err = parseInt(c, -1<<15, 1<<15-1)
		case "DayOfWeek":
			dayName = c.Trimmed()
		case "Year":
			hasYear = true
			y, convErr := strconv.Atoi(c.Trimmed())
			if convErr != nil || y < 1601 || y > 9999 {
				err = fmt.Errorf("%w: year %q", ErrTimeZone, clip(c.Trimmed()))
			}
			s.Year = y
		}
		if err != nil {
			return s, err
		}
	}
	if s.Month == 0 {
		return wintz.Switch{Bias: s.Bias}, nil
	}
	if !hasYear && dayName != "" {
		day, ok := weekday(dayName)
		if !ok {
			return s, fmt.Errorf("%w: DayOfWeek %q", ErrTimeZone, clip(dayName))
		}
		s.Weekday = day
		if s.DayOrder <= 0 { // clients mean the last one
			s.DayOrder = 5
		}
	}
	return s, nil
}

// parseClock reads hh:mm:ss, maybe with a fraction that counts for nothing.
func parseClock(s string) (time.Duration, bool) {
	s, _, _ = strings.Cut(s, ".")
	if len(s) != 8 || s[2] != ':' || s[5] != ':' {
		return 0, false
	}
	h, err1 := strconv.ParseUint(s[:2], 10, 8)
	m, err2 := strconv.ParseUint(s[3:5], 10, 8)
	sec, err3 := strconv.ParseUint(s[6:], 10, 8)
	if err1 != nil || err2 != nil || err3 != nil || h > 23 || m > 59 || sec > 59 {
		return 0, false
	}
	return time.Duration(h*3600+m*60+sec) * time.Second, true
}

func weekday(name string) (time.Weekday, bool) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if d.String() == name {
			return d, true
		}
	}
	return 0, false
}

// appendZone writes a SerializableTimeZone. The types namespace is the default
// one, or prefix is "t:".
func appendZone(b []byte, prefix string, r *wintz.Rule) []byte {
	b = append(append(append(b, '<'), prefix...), `TimeZone>`...)
	b = appendInt(b, prefix+"Bias", r.Bias)
	b = appendSwitch(b, prefix, "StandardTime", &r.Standard)
	b = appendSwitch(b, prefix, "DaylightTime", &r.Daylight)
	return append(append(append(b, `</`...), prefix...), `TimeZone>`...)
}

func appendSwitch(b []byte, prefix, name string, s *wintz.Switch) []byte {
	b = append(append(append(append(b, '<'), prefix...), name...), '>')
	b = appendInt(b, prefix+"Bias", s.Bias)
	b = append(append(append(b, '<'), prefix...), `Time>`...)
	sec := int(s.Time / time.Second)
	for i, n := range [...]int{sec / 3600, sec / 60 % 60, sec % 60} {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, byte('0'+n/10), byte('0'+n%10))
	}
	b = append(append(append(b, `</`...), prefix...), `Time>`...)
	b = appendInt(b, prefix+"DayOrder", s.DayOrder)
	b = appendInt(b, prefix+"Month", s.Month)
	// The schema wants a DayOfWeek also before a Year; it means nothing there.
	b = appendElement(b, prefix+"DayOfWeek", s.Weekday.String())
	if s.Year != 0 {
		b = appendInt(b, prefix+"Year", s.Year)
	}
	return append(append(append(append(b, `</`...), prefix...), name...), '>')
}

// A ZoneDefinition is a TimeZoneDefinition (5.6): periods with their offset, and
// when which holds. In a TimeZoneContext header often only the ID is set.
type ZoneDefinition struct {
	ID, Name    string
	Periods     []ZonePeriod
	Groups      []ZoneGroup
	Transitions []ZoneTransition // to groups, the first without a date
}

// A ZonePeriod is an offset from UTC: UTC = local + Bias.
type ZonePeriod struct {
	ID, Name string
	Bias     time.Duration
}

// A ZoneGroup is what happens in every year in which it holds.
type ZoneGroup struct {
	ID          string
	Transitions []ZoneTransition
}

// A ZoneTransition is one of the four kinds of transition to a period or a
// group. Month 0 is t:Transition or, with At, t:AbsoluteDateTransition; with
// Day it is t:RecurringDateTransition, else t:RecurringDayTransition.
type ZoneTransition struct {
	ToGroup    bool
	To         string // ID of the period or group
	At         time.Time
	Month      int
	Offset     time.Duration // since midnight
	Weekday    time.Weekday
	Occurrence int // 1..4, -1: last
	Day        int
}

// DefineZone makes the definition of a zone from its rules of the years from
// first on; equal rules of years that follow each other become one group.
func DefineZone(id, name string, first int, rules []wintz.Rule) ZoneDefinition {
	d := ZoneDefinition{ID: id, Name: name}
	for i, r := range rules {
		if i > 0 && r == rules[i-1] {
			continue
		}
		year := 1
		to := ZoneTransition{ToGroup: true, To: strconv.Itoa(len(d.Groups))}
		if i > 0 {
			year = first + i
			to.At = time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		}
		key := fmt.Sprintf("trule:Microsoft/Registry/%s/%d-", id, year)
		g := ZoneGroup{ID: to.To}
		d.Periods = append(d.Periods, ZonePeriod{key + "Standard", "Standard", time.Duration(r.Bias+r.Standard.Bias) * time.Minute})
		if r.Standard.Month == 0 || r.Daylight.Month == 0 {
			g.Transitions = []ZoneTransition{{To: key + "Standard"}}
		} else {
			d.Periods = append(d.Periods, ZonePeriod{key + "Daylight", "Daylight", time.Duration(r.Bias+r.Daylight.Bias) * time.Minute})
			g.Transitions = []ZoneTransition{transitionOf(r.Daylight, key+"Daylight"), transitionOf(r.Standard, key+"Standard")}
		}
		d.Groups = append(d.Groups, g)
		d.Transitions = append(d.Transitions, to)
	}
	return d
}

func transitionOf(s wintz.Switch, to string) ZoneTransition {
	t := ZoneTransition{To: to, Month: s.Month, Offset: s.Time}
	switch {
	case s.Year != 0:
		t.Day = s.DayOrder
	case s.DayOrder == 5:
		t.Weekday, t.Occurrence = s.Weekday, -1
	default:
		t.Weekday, t.Occurrence = s.Weekday, s.DayOrder
	}
	return t
}

// Rule returns the rule in force in the year of at. A definition without
// periods, or one that does not fit together, is ErrTimeZone.
func (d *ZoneDefinition) Rule(at time.Time) (wintz.Rule, error) {
	bad := func(what string) (wintz.Rule, error) {
		return wintz.Rule{}, fmt.Errorf("%w: definition %q %s", ErrTimeZone, clip(d.ID), what)
	}
	if len(d.Periods) == 0 {
		return bad("has no periods")
	}
	inForce := ZoneTransition{To: d.Periods[0].ID}
	for _, t := range d.Transitions {
		if t.Month == 0 && !t.At.After(at) {
			inForce = t
		}
	}
	transitions := []ZoneTransition{inForce}
	if inForce.ToGroup {
		g := d.group(inForce.To)
		if g == nil {
			return bad("names a group that it does not have")
		}
		transitions = g.Transitions
	}
	var last ZoneTransition
	type half struct {
		bias int
		at   wintz.Switch
	}
	var halves []half
	for _, t := range transitions {
		p := d.period(t.To)
		if p == nil || t.ToGroup {
			return bad("names a period that it does not have")
		}
		if p.Bias%time.Minute != 0 || p.Bias.Abs() > maxBias*time.Minute {
			return bad("has a bias that is not in minutes")
		}
		h := half{bias: int(p.Bias / time.Minute)}
		if t.Month != 0 {
			h.at = wintz.Switch{Month: t.Month, Time: t.Offset, Weekday: t.Weekday, DayOrder: t.Occurrence}
			switch {
			case t.Day != 0:
				h.at.Year, h.at.DayOrder = at.UTC().Year(), t.Day
			case t.Occurrence == -1:
				h.at.DayOrder = 5
			}
		}
		halves, last = append(halves, h), t
	}
	var r wintz.Rule
	switch {
	case len(halves) == 1 && last.Month == 0:
		r.Bias = halves[0].bias
	case len(halves) == 2 && halves[0].at.Month != 0 && halves[1].at.Month != 0:
		std, dst := halves[0], halves[1]
		if std.bias < dst.bias { // standard time is the one further back
			std, dst = dst, std
		}
		if r.Bias = std.bias; std.bias != dst.bias {
			r.Standard, r.Daylight = std.at, dst.at
			r.Daylight.Bias = dst.bias - std.bias
		}
	default:
		return bad("has a group that is no yearly rule")
	}
	if err := r.Validate(); err != nil {
		return wintz.Rule{}, fmt.Errorf("%w: %w", ErrTimeZone, err)
	}
	return r, nil
}

func (d *ZoneDefinition) group(id string) *ZoneGroup {
	for i := range d.Groups {
		if d.Groups[i].ID == id {
			return &d.Groups[i]
		}
	}
	return nil
}

func (d *ZoneDefinition) period(id string) *ZonePeriod {
	for i := range d.Periods {
		if d.Periods[i].ID == id {
			return &d.Periods[i]
		}
	}
	return nil
}

func parseZoneDefinition(e *soap.Element) (*ZoneDefinition, error) {
	d := &ZoneDefinition{ID: e.AttrValue("Id"), Name: e.AttrValue("Name")}
	if periods := e.Child(NSTypes, "Periods"); periods != nil {
		for _, p := range periods.Children {
			bias, ok := parseDuration(p.AttrValue("Bias"))
			if !ok {
				return nil, violation(p, "The 'Bias' attribute is invalid - the value %q is not allowed.", clip(p.AttrValue("Bias")))
			}
			d.Periods = append(d.Periods, ZonePeriod{p.AttrValue("Id"), p.AttrValue("Name"), bias})
		}
	}
	var err error
	if groups := e.Child(NSTypes, "TransitionsGroups"); groups != nil {
		for _, g := range groups.Children {
			group := ZoneGroup{ID: g.AttrValue("Id")}
			if group.Transitions, err = parseTransitions(g); err != nil {
				return nil, err
			}
			d.Groups = append(d.Groups, group)
		}
	}
	if t := e.Child(NSTypes, "Transitions"); t != nil {
		if d.Transitions, err = parseTransitions(t); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func parseTransitions(e *soap.Element) ([]ZoneTransition, error) {
	var list []ZoneTransition
	for _, c := range e.Children {
		to := c.Child(NSTypes, "To")
		if to == nil {
			return nil, missing(c, "To")
		}
		t := ZoneTransition{To: to.Trimmed(), ToGroup: to.AttrValue("Kind") == "Group"}
		var err error
		for _, f := range c.Children {
			switch f.Local {
			case "DateTime":
				// An instant, or a wall clock: the day is what counts.
				at, ok := ParseDateTime(f.Trimmed())
				if !ok {
					err = badValue(f, f.Trimmed())
				}
				t.At = at.Time
			case "TimeOffset":
				ok := false
				if t.Offset, ok = parseDuration(f.Trimmed()); !ok {
					err = badValue(f, f.Trimmed())
				}
			case "Month":
				t.Month, err = parseInt(f, 1, 12)
			case "Day":
				t.Day, err = parseInt(f, 1, 31)
			case "DayOfWeek":
				ok := false
				if t.Weekday, ok = weekday(f.Trimmed()); !ok {
					err = badValue(f, f.Trimmed())
				}
			case "Occurrence":
				t.Occurrence, err = parseInt(f, -5, 5)
			}
			if err != nil {
				return nil, err
			}
		}
		list = append(list, t)
	}
	return list, nil
}

// appendZoneDefinition writes d; without full only its names.
func appendZoneDefinition(b []byte, d *ZoneDefinition, full bool) []byte {
	b = append(b, `<t:TimeZoneDefinition Id="`...)
	b = soap.AppendAttr(b, d.ID)
	if d.Name != "" {
		b = append(b, `" Name="`...)
		b = soap.AppendAttr(b, d.Name)
	}
	b = append(b, `">`...)
	if full && len(d.Periods) > 0 {
		b = append(b, `<t:Periods>`...)
		for _, p := range d.Periods {
			b = append(b, `<t:Period Bias="`...)
			b = appendDuration(b, p.Bias)
			b = append(b, `" Name="`...)
			b = soap.AppendAttr(b, p.Name)
			b = append(b, `" Id="`...)
			b = append(soap.AppendAttr(b, p.ID), `"/>`...)
		}
		b = append(b, `</t:Periods><t:TransitionsGroups>`...)
		for _, g := range d.Groups {
			b = append(b, `<t:TransitionsGroup Id="`...)
			b = append(soap.AppendAttr(b, g.ID), `">`...)
			b = append(appendTransitions(b, g.Transitions), `</t:TransitionsGroup>`...)
		}
		b = append(b, `</t:TransitionsGroups><t:Transitions>`...)
		b = append(appendTransitions(b, d.Transitions), `</t:Transitions>`...)
	}
	return append(b, `</t:TimeZoneDefinition>`...)
}

func appendTransitions(b []byte, list []ZoneTransition) []byte {
	for i := range list {
		t := &list[i]
		name, kind := "t:Transition", "Period"
		switch {
		case t.Day != 0:
			name = "t:RecurringDateTransition"
		case t.Month != 0:
			name = "t:RecurringDayTransition"
		case !t.At.IsZero():
			name = "t:AbsoluteDateTransition"
		}
		if t.ToGroup {
			kind = "Group"
		}
		b = append(append(append(b, '<'), name...), `><t:To Kind="`...)
		b = append(append(b, kind...), `">`...)
		b = append(soap.AppendText(b, t.To), `</t:To>`...)
		switch {
		case t.Month != 0:
			b = append(b, `<t:TimeOffset>`...)
			b = append(appendDuration(b, t.Offset), `</t:TimeOffset>`...)
			b = appendInt(b, "t:Month", t.Month)
			if t.Day != 0 {
				b = appendInt(b, "t:Day", t.Day)
			} else {
				b = appendElement(b, "t:DayOfWeek", t.Weekday.String())
				b = appendInt(b, "t:Occurrence", t.Occurrence)
			}
		case !t.At.IsZero():
			b = append(b, `<t:DateTime>`...)
			b = append(appendWall(b, t.At), `Z</t:DateTime>`...)
		}
		b = append(append(append(b, '<', '/'), name...), '>')
	}
	return b
}
