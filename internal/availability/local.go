package availability

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
)

// read answers for a mailbox that is kept here.
func (a *asking) read(ctx context.Context, en *entry) (rep routing.Reply) {
	r := en.route.Recipient
	defer a.e.contain(ctx, "read calendar of "+r.Primary.String(), func() { rep = routing.Reply{Err: generationFailed(en.asked, nil)} })
	level := a.viewer.Level(r)
	if level == freebusy.LevelNone {
		return routing.Reply{Err: a.viewer.Refusal(en.asked, true)}
	}
	iv, err := a.e.Calendars.Busy(ctx, a.q.Org.ID, r, a.q.Window)
	if err != nil {
		return routing.Reply{Err: a.e.failed(ctx, en.asked, err)}
	}
	iv = tidy(iv, a.q.Window)
	rep.View = a.view(en)
	if level.Shows(false)&freebusy.ShowFlags == 0 {
		rep.View &^= freebusy.ViewDetails
	}
	if rep.View&freebusy.ViewMerged != 0 {
		rep.Merged = freebusy.Merge(a.q.Window, a.slot, iv)
	}
	if rep.View&freebusy.ViewEvents == 0 {
		return rep
	}
	if n := len(iv); n > freebusy.MaxEvents {
		return routing.Reply{Err: &routing.MailboxError{Reason: routing.TooManyEvents,
			Text: fmt.Sprintf("The result set contains too many calendar entries. The allowed size = %d; the actual size = %d.", freebusy.MaxEvents, n)}}
	}
	if rep.View&freebusy.ViewDetails == 0 {
		level = freebusy.LevelTime
	}
	rep.Events = freebusy.Cut(iv, level)
	rep.Hours = a.e.hours.of(ctx, a.e.Log, r, a.q.Window)
	return rep
}

// tidy returns the intervals that overlap w, sorted. iv stays as it is.
func tidy(iv []freebusy.Interval, w freebusy.Window) []freebusy.Interval {
	inside := func(v *freebusy.Interval) bool { return w.Overlaps(v.Start, v.End) && v.Start.Before(v.End) }
	n := 0
	for i := range iv {
		if inside(&iv[i]) {
			n++
		}
	}
	if n == len(iv) && freebusy.Sorted(iv) {
		return iv
	}
	out := make([]freebusy.Interval, 0, n)
	for i := range iv {
		if inside(&iv[i]) {
			out = append(out, iv[i])
		}
	}
	freebusy.Sort(out)
	return out
}

// hours keeps working hours, which are the same for many mailboxes.
type hours struct {
	mu sync.RWMutex
	m  map[hoursKey]*routing.Hours // nil: they cannot be made
}

type hoursKey struct {
	c    directory.CalendarConfiguration
	year int
}

const maxHours = 4096 // keys; then the map starts anew

// of returns the working hours of r by the rule of the year in which w begins.
func (h *hours) of(ctx context.Context, log *slog.Logger, r *directory.Recipient, w freebusy.Window) *routing.Hours {
	key := hoursKey{r.Calendar, w.Start.Year()}
	h.mu.RLock()
	v, ok := h.m[key]
	h.mu.RUnlock()
	if ok {
		return v
	}
	v, err := routing.HoursOf(r.Calendar, time.Date(key.year, time.July, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		log.WarnContext(ctx, "answer without working hours", slog.String("mailbox", r.Primary.String()), slog.Any("err", err))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.m == nil || len(h.m) >= maxHours {
		h.m = map[hoursKey]*routing.Hours{}
	}
	h.m[key] = v
	return v
}
