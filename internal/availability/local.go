package availability

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/spec/smtpaddr"
)

// read answers for a mailbox that is kept here.
func (a *asking) read(ctx context.Context, en *entry) (rep routing.Reply) {
	r := en.route.Recipient
	defer a.e.contain(ctx, "read calendar of "+r.Primary.String(), func() { rep = routing.Reply{Err: generationFailed(en.asked, nil)} })
	level := a.viewer.level(r)
	if level == freebusy.LevelNone {
		return routing.Reply{Err: &routing.MailboxError{Reason: routing.NoAccess, Text: "The caller does not have access to free/busy data."}}
	}
	iv, err := a.e.Calendars.Busy(ctx, a.q.Org.ID, r, a.q.Window)
	if err != nil {
		return routing.Reply{Err: a.e.failed(ctx, en.asked, err)}
	}
	iv = tidy(iv, a.q.Window)
	rep.View = a.view(en)
	if level < freebusy.LevelLimited {
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

// A viewer is who looks at calendars: a requester as the directory knows it,
// nil for any other, and the most that it may see.
type viewer struct {
	as    *directory.Recipient
	limit freebusy.Level
}

// newViewer finds out who the caller of a question is. What a partner may see
// is capped by the organization relationship with it (EWS reference 2.4). Its
// user counts as itself only where it is a mail user here; for any other, and
// for one that a partner names but whose mailbox is here, Default counts.
func newViewer(q *Question) viewer {
	p := q.Caller.Partner
	if p == nil {
		return viewer{q.Caller.Recipient, freebusy.LevelOwner}
	}
	v := viewer{limit: freebusy.LevelFull}
	if u := p.User; u != nil && u.Org == q.Org.ID && u.Type == directory.MailUser {
		v.as = u
	}
	// The user's domain is only what the partner says: a relationship with any
	// of its names is a cap, and the lowest counts.
	for _, name := range []string{p.SMTP, p.UPN, p.Realm} {
		domain, err := smtpaddr.ParseDomain(name[strings.LastIndexByte(name, '@')+1:])
		if err != nil {
			continue
		}
		if limit, ok := q.Org.MaxLevel(domain); ok {
			v.limit = min(v.limit, limit)
		}
	}
	return v
}

// level is what the viewer may see of r: what r's Calendar folder grants, and
// no more than the cap.
func (v viewer) level(r *directory.Recipient) freebusy.Level {
	return min(folderLevel(r, v.as), v.limit)
}

// folderLevel is Recipient.LevelFor for a requester with several addresses;
// nil is one that is not known here.
func folderLevel(r, requester *directory.Recipient) freebusy.Level {
	if requester != nil {
		if requester.ID == r.ID || r.HasAddress(requester.Primary) {
			return freebusy.LevelOwner
		}
		for i := range r.Permissions {
			p := &r.Permissions[i]
			if strings.IndexByte(p.User, '@') < 0 {
				continue // Default, Anonymous
			}
			if addr, err := smtpaddr.Parse(p.User); err == nil && requester.HasAddress(addr) {
				return p.Level
			}
		}
	}
	return r.LevelFor(smtpaddr.Address{})
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
