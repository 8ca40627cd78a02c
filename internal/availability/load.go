package availability

import (
	"context"
	"log/slog"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/smtpaddr"
)

// recipientLoader are Recipients that read many at once, which is one trip to a
// database on another machine instead of one for each.
type recipientLoader interface {
	// LoadRecipients reads the recipients with the addresses into memory.
	LoadRecipients(ctx context.Context, org directory.OrgID, addresses []smtpaddr.Address) error
}

// calendarLoader are Calendars that read many at once.
type calendarLoader interface {
	// Unloaded returns those of the mailboxes whose calendar is not in memory for w.
	// It must not block.
	Unloaded(org directory.OrgID, mailboxes []*directory.Recipient, w freebusy.Window) []*directory.Recipient
	// Load reads calendars into memory.
	Load(ctx context.Context, org directory.OrgID, mailboxes []*directory.Recipient, w freebusy.Window) error
}

// loadRecipients reads what is going to be looked up, where that is more than one.
func (a *asking) loadRecipients(ctx context.Context, entries []*entry) {
	from, ok := a.e.Recipients.(recipientLoader)
	if !ok || len(entries) < 2 {
		return
	}
	addresses := make([]smtpaddr.Address, len(entries))
	for i, en := range entries {
		addresses[i] = en.asked
	}
	a.load(ctx, func() error { return from.LoadRecipients(ctx, a.q.Org.ID, addresses) })
}

// loadCalendars reads the calendars that are going to be read, where more than one
// is not in memory.
func (a *asking) loadCalendars(ctx context.Context) {
	from, ok := a.e.Calendars.(calendarLoader)
	if !ok {
		return
	}
	var mailboxes []*directory.Recipient
	for _, en := range a.entries {
		if r := en.route.Recipient; en.err == nil && r != nil && r.IsMailbox() && (en.direct || en.member) {
			mailboxes = append(mailboxes, r)
		}
	}
	if len(mailboxes) < 2 {
		return
	}
	if mailboxes = from.Unloaded(a.q.Org.ID, mailboxes, a.q.Window); len(mailboxes) < 2 {
		return
	}
	ctx = a.limited(ctx)
	a.load(ctx, func() error { return from.Load(ctx, a.q.Org.ID, mailboxes, a.q.Window) })
}

// load does what reads many at once. It waits no longer than ctx; what could not be
// read so is read one by one, and says what is wrong with it.
func (a *asking) load(ctx context.Context, read func() error) {
	done := make(chan struct{})
	a.e.run(ctx, done, 1, func(int) {
		defer close(done)
		defer a.e.contain(ctx, "read many at once", a.entries[0].asked, func() {})
		if err := read(); err != nil && ctx.Err() == nil {
			a.e.Log.WarnContext(ctx, "mailboxes could not be read at once", slog.Any("err", err))
		}
	})
}
