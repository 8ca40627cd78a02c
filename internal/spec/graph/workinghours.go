package graph

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"busybridge/internal/spec/wintz"
)

// WorkingHours are those of one mailbox (3): one stretch, on some days.
type WorkingHours struct {
	Days       uint8 // bit n: weekday n, Sunday = 0
	Start, End int   // minutes since local midnight
	Zone       wintz.Rule
	Named      string // the zone, where it is only named: then Zone is empty
}

type workingHours struct {
	Days  []string `json:"daysOfWeek"`
	Start string   `json:"startTime"`
	End   string   `json:"endTime"`
	Zone  timeZone `json:"timeZone"`
}

// A timeZone is a timeZoneBase, or with Type a customTimeZone: the EWS rule.
type timeZone struct {
	Type     string     `json:"@odata.type,omitempty"`
	Bias     *int       `json:"bias,omitempty"`
	Name     string     `json:"name"`
	Standard *offset    `json:"standardOffset,omitempty"`
	Daylight *dayOffset `json:"daylightOffset,omitempty"`
}

type dayOffset struct {
	Bias int `json:"daylightBias"`
	offset
}

type offset struct {
	Time       string `json:"time"`
	Occurrence int    `json:"dayOccurrence"`
	Day        string `json:"dayOfWeek"`
	Month      int    `json:"month"`
	Year       int    `json:"year"`
}

const (
	customType = "#microsoft.graph.customTimeZone"
	customName = "Customized Time Zone"
	timeOfDay  = "15:04:05.0000000"
	endOfDay   = "23:59:59.9999999" // 24:00 is no time of a day
)

// MarshalJSON implements json.Marshaler. A zone that has only a rule is a custom one.
func (h WorkingHours) MarshalJSON() ([]byte, error) {
	w := workingHours{Days: []string{}, Start: clock(h.Start), End: clock(h.End)}
	for d := time.Sunday; d <= time.Saturday; d++ {
		if h.Days&(1<<d) != 0 {
			w.Days = append(w.Days, weekday(d))
		}
	}
	if h.Zone == wintz.UTCRule {
		w.Zone.Name = cmp.Or(h.Named, "UTC")
		return json.Marshal(w)
	}
	s, d := h.Zone.Standard, h.Zone.Daylight
	bias := h.Zone.Bias + s.Bias
	w.Zone = timeZone{
		Type: customType, Name: customName, Bias: &bias,
		Standard: &offset{}, Daylight: &dayOffset{Bias: d.Bias - s.Bias},
	}
	*w.Zone.Standard, w.Zone.Daylight.offset = offsetOf(s), offsetOf(d)
	if s.Month == 0 || d.Month == 0 {
		w.Zone.Daylight.Bias = 0
	}
	return json.Marshal(w)
}

func clock(minutes int) string {
	if minutes >= 24*60 {
		return endOfDay
	}
	return time.Unix(int64(minutes)*60, 0).UTC().Format(timeOfDay)
}

func weekday(d time.Weekday) string { return strings.ToLower(d.String()) }

func offsetOf(s wintz.Switch) offset {
	order := s.DayOrder
	if s.Month != 0 && s.Year == 0 && order <= 0 {
		order = 5
	}
	return offset{time.Time{}.Add(s.Time).Format(timeOfDay), order, weekday(s.Weekday), s.Month, s.Year}
}

// UnmarshalJSON implements json.Unmarshaler. Hours that cannot be read have no
// day: they are no reason to do without the rest.
func (h *WorkingHours) UnmarshalJSON(b []byte) error {
	*h = WorkingHours{}
	var read WorkingHours
	if read.read(b) == nil {
		*h = read
	}
	return nil
}

func (h *WorkingHours) read(b []byte) error {
	var w workingHours
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	var err error
	for _, name := range w.Days {
		d, err := parseWeekday(name)
		if err != nil {
			return err
		}
		h.Days |= 1 << d
	}
	if h.Start, err = parseClock(w.Start); err != nil {
		return err
	}
	if h.End, err = parseClock(w.End); err != nil {
		return err
	}
	if w.Zone.Standard == nil || w.Zone.Daylight == nil {
		h.Named = cmp.Or(w.Zone.Name, "UTC")
		return nil
	}
	h.Zone, err = w.Zone.rule()
	return err
}

func (z *timeZone) rule() (wintz.Rule, error) {
	var r wintz.Rule
	if z.Bias != nil {
		r.Bias = *z.Bias
	}
	var err error
	if r.Standard, err = z.Standard.change(); err != nil {
		return r, err
	}
	if r.Daylight, err = z.Daylight.change(); err != nil {
		return r, err
	}
	r.Daylight.Bias = z.Daylight.Bias
	return r, r.Validate()
}

func (o *offset) change() (wintz.Switch, error) {
	d, err := parseWeekday(o.Day)
	if err != nil {
		return wintz.Switch{}, err
	}
	t, err := time.Parse("15:04:05", o.Time)
	if err != nil {
		return wintz.Switch{}, fmt.Errorf("%.20q is no time of a day", o.Time)
	}
	return wintz.Switch{Time: t.Sub(t.Truncate(24 * time.Hour)), DayOrder: o.Occurrence, Month: o.Month, Weekday: d, Year: o.Year}, nil
}

func parseWeekday(name string) (time.Weekday, error) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.EqualFold(name, d.String()) {
			return d, nil
		}
	}
	return 0, fmt.Errorf("%.20q is no day of a week", name)
}

// parseClock reads a time of a day as minutes, rounded up from 23:59:59.
func parseClock(s string) (int, error) {
	t, err := time.Parse("15:04:05", s)
	if err != nil {
		return 0, fmt.Errorf("%.20q is no time of a day", s)
	}
	n := t.Hour()*60 + t.Minute()
	if t.Second() == 59 && n == 24*60-1 {
		n++
	}
	return n, nil
}
