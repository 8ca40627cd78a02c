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
func (s *Service) ImportCalendar(ctx context.Context, actor Actor, org directory.OrgID, mailbox, fileName string, file io.Reader) (directory.ImportSummary, error) {
	const op = "Import-Calendar"
	sc := scope{org: org, object: "Mailbox " + mailbox}
	sum, err := s.importCalendar(ctx, actor, op, &sc, mailbox, fileName, file)
	if err != nil {
		return sum, s.finish(ctx, actor, op, sc, err)
	}
	e, err := s.event(actor, op, sc, outcome{after: sum}, nil)
	if err == nil {
		err = s.Audit.Record(ctx, e)
	}
	if err != nil {
		return sum, fmt.Errorf("%s %s: imported, but not in the audit trail: %w", op, sc.object, err)
	}
	return sum, nil
}

func (s *Service) importCalendar(ctx context.Context, actor Actor, op string, sc *scope, mailbox, fileName string, file io.Reader) (directory.ImportSummary, error) {
	if s.Calendars == nil {
		return directory.ImportSummary{}, errNoCalendars
	}
	// Somebody of another organization does not learn which mailboxes there are.
	if !actor.System && actor.Org != sc.org {
		return directory.ImportSummary{}, s.permit(ctx, actor, op, *sc)
	}
	r, missing := s.find(ctx, sc.org, mailbox, directory.MailboxTypes()...)
	if missing == nil {
		sc.mailbox = r
	}
	if err := s.permit(ctx, actor, op, *sc); err != nil {
		return directory.ImportSummary{}, err
	}
	if missing != nil {
		return directory.ImportSummary{}, missing
	}
	return s.Calendars.Import(ctx, r, fileName, file)
}
