package admin

import (
	"context"
	"errors"
	"fmt"
	"io"

	"busybridge/internal/directory"
)

var errNoCalendars = errors.New("no calendars are kept here")

// ImportCalendar reads a calendar file into a mailbox: its own account may, and
// who has RoleImport.
func (s *Service) ImportCalendar(ctx context.Context, actor Actor, org directory.OrgID, mailbox, fileName string, file io.Reader) (sum directory.ImportSummary, err error) {
	if s.Calendars == nil {
		return sum, errNoCalendars
	}
	err = s.WithCalendar(ctx, actor, "Import-Calendar", org, mailbox, func(r *directory.Recipient) (any, error) {
		sum, err = s.Calendars.Import(ctx, r, fileName, file)
		return sum, err
	})
	return sum, err
}

// WithCalendar runs one of the operations on the calendars of a mailbox, which its
// own account may do, and who has RoleImport: Import-Calendar,
// Get-CalendarFolder, Set-CalendarFolder, Remove-CalendarFolder. What do returns is
// kept in the audit trail; nil: it changed nothing.
func (s *Service) WithCalendar(ctx context.Context, actor Actor, op string, org directory.OrgID, mailbox string, do func(*directory.Recipient) (after any, err error)) error {
	sc := scope{org: org, object: "Mailbox " + mailbox}
	after, err := s.withCalendar(ctx, actor, op, &sc, mailbox, do)
	if err != nil {
		return s.finish(ctx, actor, op, sc, err)
	}
	if after == nil {
		return nil
	}
	e, err := s.event(actor, op, sc, outcome{after: after}, nil)
	if err == nil {
		err = s.Audit.Record(ctx, e)
	}
	if err != nil {
		return fmt.Errorf("%s %s: done, but not in the audit trail: %w", op, sc.object, err)
	}
	return nil
}

func (s *Service) withCalendar(ctx context.Context, actor Actor, op string, sc *scope, mailbox string, do func(*directory.Recipient) (after any, err error)) (any, error) {
	// Somebody of another organization does not learn which mailboxes there are.
	if !actor.System && actor.Org != sc.org {
		return nil, s.permit(ctx, actor, op, *sc)
	}
	r, missing := s.find(ctx, sc.org, mailbox, directory.MailboxTypes()...)
	if missing == nil {
		sc.mailbox = r
	}
	if err := s.permit(ctx, actor, op, *sc); err != nil {
		return nil, err
	}
	if missing != nil {
		return nil, missing
	}
	return do(r)
}
