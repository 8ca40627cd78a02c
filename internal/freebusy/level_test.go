package freebusy_test

import (
	"testing"

	"pgregory.net/rapid"

	"busybridge/internal/freebusy"
)

// shown is what of an entry a cut of it holds.
func shown(t *rapid.T, level freebusy.Level, d freebusy.Detail) freebusy.Shown {
	in := []freebusy.Interval{{Start: at(8, 0), End: at(9, 0), Status: freebusy.Busy, Detail: &d}}
	before := d
	out := freebusy.Cut(in, level)
	if d != before || in[0].Detail != &d {
		t.Fatalf("Cut(%v) changes its argument", level)
	}
	if len(out) == 0 {
		return 0
	}
	if len(out) != 1 || out[0].Start != in[0].Start || out[0].End != in[0].End || out[0].Status != in[0].Status {
		t.Fatalf("Cut(%v) = %+v", level, out)
	}
	s := freebusy.ShowTime
	c := out[0].Detail
	if c == nil {
		return s
	}
	s |= freebusy.ShowFlags
	if c.Meeting != d.Meeting || c.Recurring != d.Recurring || c.Exception != d.Exception || c.Reminder != d.Reminder || c.Private != d.Private {
		t.Fatalf("Cut(%v) changes the flags of %+v to %+v", level, d, *c)
	}
	for _, part := range []struct {
		was, is string
		bit     freebusy.Shown
	}{{d.Subject, c.Subject, freebusy.ShowText}, {d.Location, c.Location, freebusy.ShowText}, {d.ID, c.ID, freebusy.ShowID}} {
		switch part.is {
		case part.was:
			if part.was != "" {
				s |= part.bit
			}
		case "":
		default:
			t.Fatalf("Cut(%v) makes %q of %q", level, part.is, part.was)
		}
	}
	return s
}

// A higher level never sees less, a private entry never shows more than an open
// one of the same kind, and Cut keeps to Shows.
func TestLevelsAreMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"", "Budget", "0A"})
		d := freebusy.Detail{
			ID: text.Draw(t, "id"), Subject: text.Draw(t, "subject"), Location: text.Draw(t, "location"),
			Meeting: rapid.Bool().Draw(t, "meeting"), Recurring: rapid.Bool().Draw(t, "recurring"),
			Exception: rapid.Bool().Draw(t, "exception"), Reminder: rapid.Bool().Draw(t, "reminder"),
		}
		secret := d
		secret.Private = true
		var below, belowSecret freebusy.Shown
		for level := freebusy.LevelNone; level <= freebusy.LevelOwner; level++ {
			open, private := shown(t, level, d), shown(t, level, secret)
			if below&^open != 0 || belowSecret&^private != 0 {
				t.Fatalf("%v sees less than the level below: %b after %b, private %b after %b", level, open, below, private, belowSecret)
			}
			if private&^open != 0 {
				t.Fatalf("%v sees more of a private entry: %b, of an open one %b", level, private, open)
			}
			if open&^level.Shows(false) != 0 || private&^level.Shows(true) != 0 {
				t.Fatalf("%v sees %b and %b, Shows says %b and %b", level, open, private, level.Shows(false), level.Shows(true))
			}
			if level < freebusy.LevelOwner && private&(freebusy.ShowText|freebusy.ShowID) != 0 {
				t.Fatalf("%v sees the text of a private entry", level)
			}
			below, belowSecret = open, private
		}
	})
	for _, private := range []bool{false, true} {
		if s := (freebusy.LevelOwner + 1).Shows(private); s != 0 {
			t.Errorf("an unknown level sees %b", s)
		}
	}
}
