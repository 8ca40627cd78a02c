package calstore

// Limits are the limits that tests make smaller; zero fields stay.
type Limits struct {
	File                                        int64
	Entries, Occurrences, Work, Answer, Patches int
}

// Limit sets limits of c.
func (c *Calendars) Limit(l Limits) {
	set := func(to *int, v int) {
		if v != 0 {
			*to = v
		}
	}
	if l.File != 0 {
		c.limits.file = l.File
	}
	set(&c.limits.entries, l.Entries)
	set(&c.limits.occurrences, l.Occurrences)
	set(&c.limits.work, l.Work)
	set(&c.limits.answer, l.Answer)
	set(&c.limits.patches, l.Patches)
}

// Forget empties the memory.
func (c *Calendars) Forget() { c.cache.InvalidateAll() }

// Remembered is the size of what is in memory, and the number of calendars.
func (c *Calendars) Remembered() (bytes, calendars int) {
	c.cache.CleanUp()
	return int(c.cache.WeightedSize()), c.cache.EstimatedSize()
}
