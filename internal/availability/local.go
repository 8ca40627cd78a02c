package availability

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/spec/smtpaddr"
)

// knownRecipients are Recipients with a memory. What they know is used at once,
// without a goroutine that could be left behind: it must not block.
type knownRecipients interface {
	// RecipientKnown returns what the directory has for the address, nil for nothing;
	// known is false where that is not in memory.
	RecipientKnown(org directory.OrgID, a smtpaddr.Address) (r *directory.Recipient, known bool)
	// DirectoryMark is another number whenever a recipient may have changed. ok is
	// false while nobody knows.
	DirectoryMark() (mark uint64, ok bool)
}

// knownCalendars are Calendars with a memory. It must not block either.
type knownCalendars interface {
	// AppendBusyKnown appends what Busy returns; ok is false where that is not in memory.
	AppendBusyKnown(iv []freebusy.Interval, org directory.OrgID, mailbox *directory.Recipient, w freebusy.Window, details bool) (_ []freebusy.Interval, ok bool)
}

// readKnown answers for a mailbox whose recipient and calendar are in memory. They
// are of one moment: where a recipient may have changed since it was looked up, ok
// is false.
func (a *asking) readKnown(ctx context.Context, en *entry, memory *[]freebusy.Interval) (rep routing.Reply, ok bool) {
	rep, ok = a.readOne(ctx, en, func(r *directory.Recipient, details bool) (iv []freebusy.Interval, ok bool, err error) {
		if memory == nil {
			iv, ok = a.e.knownCalendars.AppendBusyKnown(nil, a.q.Org.ID, r, a.q.Window, details)
			return iv, ok, nil
		}
		*memory, ok = a.e.knownCalendars.AppendBusyKnown((*memory)[:0], a.q.Org.ID, r, a.q.Window, details)
		return *memory, ok, nil
	})
	mark, sure := a.e.knownRecipients.DirectoryMark()
	return rep, ok && sure && mark == a.mark
}

// readLate answers for an entry whose turn has come.
func (a *asking) readLate(ctx context.Context, en *entry) routing.Reply {
	if r, ok := a.readKnown(ctx, en, a.memory); ok {
		return r
	}
	ctx = a.limited(ctx)
	b := newBoard(make([]routing.Reply, 1), make([]bool, 1))
	a.e.run(ctx, b.done, 1, func(int) { b.put(0, a.read(ctx, en)) })
	replies, have := b.close()
	if !have[0] {
		return routing.Reply{Err: timedOut()}
	}
	return replies[0]
}

// read answers for a mailbox that is kept here. Recipient and calendar are of one
// moment: where the recipient became another one while its calendar was read, it
// is read again.
func (a *asking) read(ctx context.Context, en *entry) routing.Reply {
	now := *en // which another goroutine may read
	for range maxTries {
		rep, _ := a.readOne(ctx, &now, func(r *directory.Recipient, details bool) ([]freebusy.Interval, bool, error) {
			iv, err := a.e.Calendars.Busy(ctx, a.q.Org.ID, r, a.q.Window, details)
			return iv, true, err
		})
		is := a.lookUp(ctx, en.asked)
		switch {
		case is.hidden:
			return routing.Reply{Err: a.viewer.Refusal(en.asked, false)}
		case is.err != nil:
			return routing.Reply{Err: is.err}
		case is.route.Kind != routing.Local || !is.route.Recipient.IsMailbox():
			return routing.Reply{Err: generationFailed(en.asked, errors.New("it is no mailbox here any more"))}
		case same(is.route.Recipient, now.route.Recipient):
			return rep
		}
		now.resolve(is)
	}
	return routing.Reply{Err: generationFailed(en.asked, errors.New("the recipient was changed again and again"))}
}

// maxTries is how often a mailbox is read whose recipient changes meanwhile.
const maxTries = 10

func same(a, b *directory.Recipient) bool { return a == b || reflect.DeepEqual(a, b) }

// readOne answers from what busy knows; ok is false when busy does not know.
func (a *asking) readOne(ctx context.Context, en *entry, busy func(r *directory.Recipient, details bool) ([]freebusy.Interval, bool, error)) (rep routing.Reply, ok bool) {
	r := en.route.Recipient
	defer a.e.contain(ctx, "read calendar", r.Primary, func() { rep, ok = routing.Reply{Err: generationFailed(en.asked, nil)}, true })
	level := a.viewer.Level(r)
	if level == freebusy.LevelNone {
		return routing.Reply{Err: a.viewer.Refusal(en.asked, true)}, true
	}
	view := a.view(en)
	if level.Shows(false)&freebusy.ShowFlags == 0 {
		view &^= freebusy.ViewDetails
	}
	iv, ok, err := busy(r, view&freebusy.ViewDetails != 0)
	switch {
	case err != nil:
		return routing.Reply{Err: a.e.failed(ctx, en.asked, err)}, true
	case !ok:
		return routing.Reply{}, false
	}
	return a.reply(ctx, en, r, tidy(iv, a.q.Window), view, level), true
}

// reply makes the answer from the entries of a calendar, in order.
func (a *asking) reply(ctx context.Context, en *entry, r *directory.Recipient, iv []freebusy.Interval, view freebusy.View, level freebusy.Level) (rep routing.Reply) {
	rep.View = view
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
