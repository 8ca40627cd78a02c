package calstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"busybridge/internal/directory"
)

// ErrTooManyEvents: a file has more events than its copy may have.
var ErrTooManyEvents = errors.New("too many events")

// ReplaceFolder makes a calendar, which is there, the copy of one iCalendar file, in
// one transaction: objects that the file does not have go away, and others are as it
// has them, be they older or newer. An object that differs in its DTSTAMP only is
// left as it is. What cannot be read is in the summary. More than maxEvents events
// are ErrTooManyEvents; other errors are those of Import.
func (c *Calendars) ReplaceFolder(ctx context.Context, mailbox *directory.Recipient, folder string, text []byte, maxEvents int) (directory.ImportSummary, error) {
	s, err := c.replaceFolder(ctx, mailbox, folder, text, maxEvents)
	if err != nil {
		return directory.ImportSummary{}, fmt.Errorf("copy into calendar %q of %s: %w", folder, mailbox.Primary, err)
	}
	return s, nil
}

func (c *Calendars) replaceFolder(ctx context.Context, mailbox *directory.Recipient, folder string, text []byte, maxEvents int) (s directory.ImportSummary, err error) {
	if folder, err = Folder(folder); err != nil {
		return s, err
	}
	f, err := c.readFile("copy.ics", bytes.NewReader(text))
	if err != nil {
		return s, err
	}
	if f.events > maxEvents {
		return s, fmt.Errorf("%w: %d, limit %d", ErrTooManyEvents, f.events, maxEvents)
	}
	f.folder, f.exact = folder, true
	uids := make(map[string]bool, len(f.groups)+len(f.availabilities))
	for i := range f.groups {
		uids[f.groups[i].UID] = true
	}
	for i := range f.availabilities {
		uids[f.availabilities[i].UID] = true
	}
	err = c.changeReady(ctx, mailbox, func(e *edit) (record *directory.CalendarImport, err error) {
		if e.folders[folder] == nil {
			return nil, fmt.Errorf("calendar %q: %w", folder, directory.ErrNotFound)
		}
		if err := e.vanish(ctx, folder, uids); err != nil {
			return nil, err
		}
		if s, record, err = e.importFile(ctx, f); err != nil {
			return nil, err
		}
		if len(e.put)+len(e.gone) == 0 {
			return nil, errNothing
		}
		return record, nil
	})
	return s, err
}

// vanish takes the objects out of a folder whose UIDs are not among uids.
func (e *edit) vanish(ctx context.Context, folder string, uids map[string]bool) error {
	var gone []string
	for o, err := range e.Store.CalendarObjects(ctx, e.k.org, e.k.mailbox, directory.CalendarFilter{Shadows: true, Folder: &folder}) {
		switch {
		case err != nil:
			return err
		case uids[o.UID]:
		case o.Availability:
			e.available = true
			e.deleted(o)
		default:
			gone = append(gone, o.UID)
		}
	}
	same, err := e.present(ctx, gone)
	if err != nil {
		return err
	}
	for _, uid := range gone {
		before := events(same[uid])
		after := make([]*directory.CalendarObject, 0, len(before))
		for _, o := range before {
			if o.Folder != folder {
				after = append(after, o)
			}
		}
		if _, _, err := e.settle(ctx, before, after, nil, nil); err != nil {
			return err
		}
	}
	return nil
}
