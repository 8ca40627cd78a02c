package freebusy

// Shown is what an answer holds of one calendar entry: a set of bits.
type Shown uint8

const (
	ShowTime  Shown = 1 << iota // that it is there, when, and its status
	ShowFlags                   // Detail without the texts below
	ShowText                    // Detail's Subject and Location
	ShowID                      // Detail's ID
)

// levelShows is the one table of what a level sees of an entry, and of a private
// one (EWS reference 2.4).
var levelShows = [...][2]Shown{
	LevelNone:    {0, 0},
	LevelTime:    {ShowTime, ShowTime},
	LevelLimited: {ShowTime | ShowFlags | ShowText, ShowTime | ShowFlags},
	LevelFull:    {ShowTime | ShowFlags | ShowText | ShowID, ShowTime | ShowFlags},
	LevelOwner:   {ShowTime | ShowFlags | ShowText | ShowID, ShowTime | ShowFlags | ShowText | ShowID},
}

// Shows is what a viewer of this level sees of an entry. An unknown level sees nothing.
func (l Level) Shows(private bool) Shown {
	switch {
	case int(l) >= len(levelShows):
		return 0
	case private:
		return levelShows[l][1]
	}
	return levelShows[l][0]
}

// Cut returns what a viewer of the given level may see of iv, by Level.Shows.
// iv and its details stay as they are; the result may share memory with them.
func Cut(iv []Interval, level Level) []Interval {
	if level.Shows(false)&ShowTime == 0 {
		return nil
	}
	n := 0
	for i := range iv {
		if d := iv[i].Detail; d != nil && d.beyond(level.Shows(d.Private)) {
			n++
		}
	}
	if n == 0 {
		return iv
	}
	out := make([]Interval, len(iv))
	copy(out, iv)
	var less []Detail
	if level.Shows(false)&ShowFlags != 0 {
		less = make([]Detail, 0, n)
	}
	for i := range out {
		d := out[i].Detail
		if d == nil {
			continue
		}
		shown := level.Shows(d.Private)
		if !d.beyond(shown) {
			continue
		}
		if shown&ShowFlags == 0 {
			out[i].Detail = nil
			continue
		}
		less = append(less, d.only(shown))
		out[i].Detail = &less[len(less)-1]
	}
	return out
}

// beyond reports whether d holds more than shown.
func (d *Detail) beyond(shown Shown) bool {
	return shown&ShowFlags == 0 || shown&ShowText == 0 && (d.Subject != "" || d.Location != "") || shown&ShowID == 0 && d.ID != ""
}

func (d *Detail) only(shown Shown) Detail {
	c := *d
	if shown&ShowText == 0 {
		c.Subject, c.Location = "", ""
	}
	if shown&ShowID == 0 {
		c.ID = ""
	}
	return c
}
