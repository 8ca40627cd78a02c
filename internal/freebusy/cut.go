package freebusy

// Cut returns what a caller of the given level may see of iv (EWS reference
// 2.4): nothing; time and status; details without ID; everything but private
// items' ID, subject and location; everything. An unknown level is LevelNone.
// iv and its details stay as they are; the result may share memory with them.
func Cut(iv []Interval, level Level) []Interval {
	var hidden func(*Detail) bool
	switch level {
	case LevelTime:
		hidden = func(*Detail) bool { return true }
	case LevelLimited:
		hidden = func(d *Detail) bool { return d.ID != "" || d.Private && d.tells() }
	case LevelFull:
		hidden = func(d *Detail) bool { return d.Private && d.tells() }
	case LevelOwner:
		return iv
	default:
		return nil
	}
	n := 0
	for i := range iv {
		if d := iv[i].Detail; d != nil && hidden(d) {
			n++
		}
	}
	if n == 0 {
		return iv
	}
	out := make([]Interval, len(iv))
	copy(out, iv)
	if level == LevelTime {
		for i := range out {
			out[i].Detail = nil
		}
		return out
	}
	less := make([]Detail, 0, n)
	for i := range out {
		d := out[i].Detail
		if d == nil || !hidden(d) {
			continue
		}
		c := *d
		c.ID = ""
		if c.Private {
			c.Subject, c.Location = "", ""
		}
		less = append(less, c)
		out[i].Detail = &less[len(less)-1]
	}
	return out
}

// tells reports whether d names the item.
func (d *Detail) tells() bool { return d.ID != "" || d.Subject != "" || d.Location != "" }
