package app

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/serve/caldavserver"
	"busybridge/internal/serve/callers"
	"busybridge/internal/source/calstore"
)

// davCalendars are the calendars of mailboxes, for CalDAV.
type davCalendars struct{ d *Deployment }

// davErrors are the errors of calstore as caldavserver knows them.
var davErrors = []struct{ of, as error }{
	{calstore.ErrPrecondition, caldavserver.ErrPrecondition},
	{calstore.ErrObject, caldavserver.ErrObject},
	{calstore.ErrNotCalendar, caldavserver.ErrObject},
	{calstore.ErrTooLarge, caldavserver.ErrTooLarge},
	{calstore.ErrObjectName, caldavserver.ErrName},
	{calstore.ErrFolderName, caldavserver.ErrName},
	{calstore.ErrFolders, caldavserver.ErrTooMany},
	{calstore.ErrMainFolder, caldavserver.ErrReadOnly},
	{admin.ErrForbidden, caldavserver.ErrReadOnly},
	{directory.ErrCalendarPosition, caldavserver.ErrToken},
}

func davError(err error) error {
	if err == nil {
		return nil
	}
	if conflict, ok := errors.AsType[*calstore.UIDConflictError](err); ok {
		return &caldavserver.UIDConflictError{Name: conflict.Name}
	}
	for _, e := range davErrors {
		if errors.Is(err, e.of) {
			return fmt.Errorf("%w: %w", e.as, err)
		}
	}
	return err
}

func davObject(o *directory.CalendarObject) *caldavserver.Object {
	return &caldavserver.Object{
		Name: calstore.ObjectName(o), ETag: calstore.ETag(o), Text: o.Text, Changed: o.Changed, Availability: o.Availability, FloatingZone: o.FloatingZone,
	}
}

// Folders implements caldavserver.Calendars. The copy of a source has its name.
func (c davCalendars) Folders(ctx context.Context, mailbox *directory.Recipient) ([]directory.CalendarFolder, error) {
	list, err := c.d.calendars.Folders(ctx, mailbox)
	if err != nil {
		return nil, err
	}
	var names map[string]string
	for i := range list {
		f := &list[i]
		if !directory.IsSourceFolder(f.Name) {
			continue
		}
		if names == nil {
			sources, err := c.d.Store.CalendarSources(ctx, mailbox.Org, mailbox.ID)
			if err != nil {
				return nil, err
			}
			names = map[string]string{}
			for _, s := range sources {
				names[s.Folder()] = s.Name
			}
		}
		f.Properties = maps.Clone(f.Properties)
		if f.Properties == nil {
			f.Properties = map[string]string{}
		}
		f.Properties["{DAV:}displayname"] = names[f.Name]
	}
	return list, nil
}

// EditFolder implements caldavserver.Calendars.
func (c davCalendars) EditFolder(ctx context.Context, caller *callers.Caller, folder string, fn func(f *directory.CalendarFolder, created bool) error) error {
	return davError(c.d.Admin.WithCalendar(ctx, actorOf(ctx, caller), "Set-CalendarFolder", caller.Org.ID, caller.Recipient.Primary.String(), func(of *directory.Recipient) (any, error) {
		var after directory.CalendarFolder
		err := c.d.calendars.EditFolder(ctx, of, folder, func(f *directory.CalendarFolder, created bool) error {
			err := fn(f, created)
			after = directory.CalendarFolder{Name: f.Name, Transparent: f.Transparent, Properties: f.Properties}
			return err
		})
		return after, err
	}))
}

// DeleteFolder implements caldavserver.Calendars.
func (c davCalendars) DeleteFolder(ctx context.Context, caller *callers.Caller, folder string) error {
	return davError(c.d.Admin.WithCalendar(ctx, actorOf(ctx, caller), "Remove-CalendarFolder", caller.Org.ID, caller.Recipient.Primary.String(), func(of *directory.Recipient) (any, error) {
		return directory.CalendarFolder{Name: folder}, c.d.calendars.DeleteFolder(ctx, of, folder)
	}))
}

// SyncToken implements caldavserver.Calendars.
func (davCalendars) SyncToken(f *directory.CalendarFolder) string { return calstore.SyncToken(f) }

// Changes implements caldavserver.Calendars.
func (c davCalendars) Changes(ctx context.Context, mailbox *directory.Recipient, folder, token string, limit int) (list []caldavserver.Change, next string, more bool, err error) {
	changes, next, more, err := c.d.calendars.Changes(ctx, mailbox, folder, token, limit)
	for _, ch := range changes {
		list = append(list, caldavserver.Change(ch))
	}
	return list, next, more, davError(err)
}

// Object implements caldavserver.Calendars.
func (c davCalendars) Object(ctx context.Context, mailbox *directory.Recipient, folder, name string) (*caldavserver.Object, error) {
	o, err := c.d.calendars.Object(ctx, mailbox, folder, name)
	if err != nil {
		return nil, davError(err)
	}
	return davObject(o), nil
}

// Objects implements caldavserver.Calendars.
func (c davCalendars) Objects(ctx context.Context, mailbox *directory.Recipient, folder string) iter.Seq2[*caldavserver.Object, error] {
	return davObjects(c.d.calendars.Objects(ctx, mailbox, folder))
}

// ObjectsWithin implements caldavserver.Calendars.
func (c davCalendars) ObjectsWithin(ctx context.Context, mailbox *directory.Recipient, folder string, from, to time.Time) iter.Seq2[*caldavserver.Object, error] {
	return davObjects(c.d.calendars.ObjectsWithin(ctx, mailbox, folder, from, to))
}

func davObjects(seq iter.Seq2[*directory.CalendarObject, error]) iter.Seq2[*caldavserver.Object, error] {
	return func(yield func(*caldavserver.Object, error) bool) {
		for o, err := range seq {
			if err != nil {
				yield(nil, davError(err))
				return
			}
			if !yield(davObject(o), nil) {
				return
			}
		}
	}
}

// PutObject implements caldavserver.Calendars.
func (c davCalendars) PutObject(ctx context.Context, mailbox *directory.Recipient, folder, name string, text []byte, cond caldavserver.Condition) (etag string, created bool, err error) {
	r, err := c.d.calendars.PutObject(ctx, mailbox, folder, name, text, davCondition(cond))
	return r.ETag, r.Created, davError(err)
}

// DeleteObject implements caldavserver.Calendars.
func (c davCalendars) DeleteObject(ctx context.Context, mailbox *directory.Recipient, folder, name string, cond caldavserver.Condition) error {
	return davError(c.d.calendars.DeleteObject(ctx, mailbox, folder, name, davCondition(cond)))
}

func davCondition(c caldavserver.Condition) calstore.Condition {
	return calstore.Condition{ETag: c.ETag, Exists: c.Exists, Absent: c.Absent, Folder: true}
}
