package calstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"busybridge/internal/directory"
	"busybridge/internal/spec/ical"
)

// A mailbox has several calendars, which are called folders here. All of them
// make one picture: events of a transparent folder do not count (RFC 6638 9.1),
// and an event (a UID) that several others have counts once. The one that wins is
// the newest, by SEQUENCE and then DTSTAMP, as of two versions of one event (RFC
// 5546 2.1.5); of the same age that of the main folder, then that of the first in
// alphabetical order. The others are kept as shadows, and take its place when it
// goes away.

// MaxFolders is the number of calendars of one mailbox.
const MaxFolders = 250

// The errors that are the caller's fault. Nothing was changed.
var (
	ErrFolderName = errors.New("not a calendar name")
	ErrMainFolder = errors.New("the main calendar cannot be deleted")
	ErrFolders    = errors.New("the mailbox has too many calendars")
)

// Folder is the name of a calendar as it is kept: "" for the main one, which has
// the name "Calendar" too, whatever its case.
func Folder(name string) (string, error) {
	name = strings.TrimSpace(name)
	if strings.EqualFold(name, directory.MainFolder) {
		return "", nil
	}
	bad := func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' }
	if len(name) > 255 || !utf8.ValidString(name) || strings.ContainsFunc(name, bad) {
		return "", fmt.Errorf("%w: %.300q: 255 bytes of UTF-8 without control characters and slash are allowed", ErrFolderName, name)
	}
	return name, nil
}

// Folders returns the calendars of a mailbox, the main one first.
func (c *Calendars) Folders(ctx context.Context, mailbox *directory.Recipient) ([]directory.CalendarFolder, error) {
	for range maxTries {
		st, err := c.Store.CalendarState(ctx, mailbox.Org, mailbox.ID)
		if err != nil {
			return nil, err
		}
		e := edit{Calendars: c, k: key{mailbox.Org, mailbox.ID}, state: st}
		if err := e.readFolders(ctx); err != nil {
			return nil, err
		}
		if again, err := c.Store.CalendarState(ctx, mailbox.Org, mailbox.ID); err != nil {
			return nil, err
		} else if again.Version != st.Version {
			continue
		}
		list := make([]directory.CalendarFolder, 0, len(e.folders))
		for _, f := range e.folders {
			list = append(list, *f)
		}
		slices.SortFunc(list, func(a, b directory.CalendarFolder) int { return cmp.Compare(a.Name, b.Name) })
		return list, nil
	}
	return nil, directory.ErrCalendarChanged
}

// SetFolder makes a calendar where there is none of the name, and says whether
// its events count. created reports which it was.
func (c *Calendars) SetFolder(ctx context.Context, mailbox *directory.Recipient, name string, transparent bool) (created bool, err error) {
	err = c.EditFolder(ctx, mailbox, name, func(f *directory.CalendarFolder, isNew bool) error {
		created, f.Transparent = isNew, transparent
		return nil
	})
	return created && err == nil, err
}

// EditFolder lets fn change the Properties of a calendar, and whether it is
// Transparent; created: there was none of the name. fn may be called again. Its
// error is returned, and nothing is changed then.
func (c *Calendars) EditFolder(ctx context.Context, mailbox *directory.Recipient, name string, fn func(f *directory.CalendarFolder, created bool) error) error {
	name, err := Folder(name)
	if err != nil {
		return err
	}
	err = c.changeReady(ctx, mailbox, func(e *edit) (*directory.CalendarImport, error) {
		was := e.folders[name]
		next := directory.CalendarFolder{Name: name}
		if was != nil {
			next = *was
			next.Properties = maps.Clone(was.Properties)
		}
		if err := fn(&next, was == nil); err != nil {
			return nil, err
		}
		if was != nil && was.Transparent == next.Transparent && maps.Equal(was.Properties, next.Properties) {
			return nil, errNothing
		}
		f, err := e.folder(name)
		if err != nil {
			return nil, err
		}
		counts := f.Transparent == next.Transparent
		if f.Transparent, f.Properties = next.Transparent, next.Properties; counts {
			return nil, nil
		}
		return nil, e.resettle(ctx, name, false)
	})
	if err != nil {
		return fmt.Errorf("set calendar %q of %s: %w", name, mailbox.Primary, err)
	}
	return nil
}

// DeleteFolder deletes a calendar with its objects. One that is not there is
// directory.ErrNotFound.
func (c *Calendars) DeleteFolder(ctx context.Context, mailbox *directory.Recipient, name string) error {
	name, err := Folder(name)
	if err == nil && name == "" {
		err = ErrMainFolder
	}
	if err != nil {
		return err
	}
	err = c.changeReady(ctx, mailbox, func(e *edit) (*directory.CalendarImport, error) {
		if e.folders[name] == nil {
			return nil, directory.ErrNotFound
		}
		if err := e.resettle(ctx, name, true); err != nil {
			return nil, err
		}
		delete(e.touched, name)
		e.dropped = name
		return nil, nil
	})
	if err != nil {
		return fmt.Errorf("delete calendar %q of %s: %w", name, mailbox.Primary, err)
	}
	return nil
}

var (
	errNothing  = errors.New("nothing to change")
	errNotReady = errors.New("the calendar has another zone or lacks years")
)

// changeReady is change of a calendar that stands in the mailbox's zone and has
// the present years, so that fn has only its own events to expand. It is begun
// where there is none.
func (c *Calendars) changeReady(ctx context.Context, mailbox *directory.Recipient, fn func(*edit) (record *directory.CalendarImport, err error)) error {
	if !mailbox.IsMailbox() {
		return fmt.Errorf("a %s has no calendar here", mailbox.Type)
	}
	k := key{mailbox.Org, mailbox.ID}
	for range maxTries {
		err := c.change(ctx, k, mailbox, func(e *edit) (record *directory.CalendarImport, todo bool, err error) {
			switch years := e.missing(&e.state); {
			case e.base == 0:
				e.state.Zone, e.state.Years = e.mailbox.Calendar.TimeZone, years
			case e.stale() || len(years) > 0:
				return nil, false, errNotReady
			}
			record, err = fn(e)
			if errors.Is(err, errNothing) {
				return nil, false, nil
			}
			return record, err == nil, err
		})
		if !errors.Is(err, errNotReady) {
			return err
		}
		if err := c.prepare(ctx, k, mailbox); err != nil {
			return err
		}
	}
	return directory.ErrCalendarChanged
}

// readFolders reads the folders as they are; the main one is always there, and
// has the objects that no other has.
func (e *edit) readFolders(ctx context.Context) error {
	main := &directory.CalendarFolder{Objects: e.state.Objects}
	e.folders, e.touched = map[string]*directory.CalendarFolder{"": main}, map[string]bool{}
	if e.state.Version == 0 {
		return nil
	}
	list, err := e.Store.CalendarFolders(ctx, e.k.org, e.k.mailbox)
	for _, f := range list {
		if f.Name == "" {
			main.Transparent, main.Version = f.Transparent, f.Version
			continue
		}
		main.Objects -= f.Objects
		e.folders[f.Name] = &f
	}
	return err
}

// folder returns a folder, made where there is none.
func (e *edit) folder(name string) (*directory.CalendarFolder, error) {
	f := e.folders[name]
	if f == nil {
		if len(e.folders) >= MaxFolders {
			return nil, fmt.Errorf("%w: the limit is %d", ErrFolders, MaxFolders)
		}
		f = &directory.CalendarFolder{Name: name}
		e.folders[name] = f
	}
	e.touched[name] = true
	return f, nil
}

// counted notes that an object of a folder is put, a new one or not.
func (e *edit) counted(folder string, added bool) {
	e.touched[folder] = true
	if added {
		e.folders[folder].Objects++
		e.state.Objects++
	}
}

// deleted notes that an object goes away.
func (e *edit) deleted(o *directory.CalendarObject) {
	e.touched[o.Folder] = true
	e.folders[o.Folder].Objects--
	e.state.Objects--
	e.gone = append(e.gone, placeOf(o))
	e.left = append(e.left, directory.CalendarGone{Folder: o.Folder, UID: o.UID, Name: o.Name})
}

// renamed notes that an object takes the place of another one of its folder, which
// may have had another name.
func (e *edit) renamed(was, o *directory.CalendarObject) {
	if was != nil && was.Name != o.Name {
		e.left = append(e.left, directory.CalendarGone{Folder: was.Folder, UID: was.UID, Name: was.Name})
	}
}

func placeOf(o *directory.CalendarObject) directory.CalendarPlace {
	return directory.CalendarPlace{Folder: o.Folder, UID: o.UID, Shadow: o.Shadow}
}

// winner is the one of several objects of one UID that counts, nil if none does.
func (e *edit) winner(same []*directory.CalendarObject) (win *directory.CalendarObject) {
	for _, o := range same {
		if e.folders[o.Folder].Transparent {
			continue
		}
		if win == nil || age(o, win) > 0 || age(o, win) == 0 && o.Folder < win.Folder {
			win = o
		}
	}
	return win
}

// age compares two versions of an event (RFC 5546 2.1.5).
func age(a, b *directory.CalendarObject) int {
	return cmp.Or(cmp.Compare(a.Sequence, b.Sequence), a.Stamp.Compare(b.Stamp))
}

// in is the object of a folder, nil if there is none.
func in(folder string, list []*directory.CalendarObject) *directory.CalendarObject {
	for _, o := range list {
		if o.Folder == folder {
			return o
		}
	}
	return nil
}

// settle puts after in the place of before: the events of one UID, one in a
// folder. next is the one of after that is new, with its group; nil: none is. It
// returns how many occurrences next has now, and what could not be read of it; a
// next of which nothing could be read changes nothing.
func (e *edit) settle(ctx context.Context, before, after []*directory.CalendarObject, next *directory.CalendarObject, g *ical.Group) (found int, problems []ical.Problem, err error) {
	var old *directory.CalendarObject
	for _, o := range before {
		if !o.Shadow {
			old = o
		}
	}
	win := e.winner(after)
	switch {
	case win == old:
	case win == next && next != nil:
		e.describe(next, g)
		if found, problems = e.expand(next, g, e.state.Years); found == 0 && len(problems) > 0 {
			return 0, problems, nil
		}
	case win != nil:
		if err := e.readText(ctx, win); err != nil {
			return 0, nil, err
		}
		g, err := e.group(win)
		if err != nil {
			return 0, nil, err
		}
		e.describe(win, g)
		e.reexpand(ctx, win, g, e.state.Years)
	}
	if old != nil && win != old {
		e.remove(old)
	}
	if next != nil && next != win {
		e.describe(next, g)
	}
	for _, o := range before {
		if in(o.Folder, after) == nil {
			e.deleted(o)
		}
	}
	for _, o := range after {
		was, shadow := in(o.Folder, before), o != win
		if o == was && o.Shadow == shadow {
			continue
		}
		e.renamed(was, o)
		if was != nil && was.Shadow != shadow {
			e.gone = append(e.gone, placeOf(was))
		}
		if err := e.readText(ctx, o); err != nil {
			return 0, nil, err
		}
		o.Shadow = shadow
		e.counted(o.Folder, was == nil)
		e.put = append(e.put, o)
	}
	return found, problems, nil
}

// readText fills in the text of an object of the store.
func (e *edit) readText(ctx context.Context, o *directory.CalendarObject) error {
	if o.Text != nil {
		return nil
	}
	f := directory.CalendarFilter{Shadows: true, Folder: &o.Folder, UIDs: []string{o.UID}, Text: true}
	for full, err := range e.Store.CalendarObjects(ctx, e.k.org, e.k.mailbox, f) {
		if err != nil {
			return err
		}
		if full.Availability == o.Availability {
			o.Text = full.Text
		}
	}
	if o.Text == nil {
		return directory.ErrCalendarChanged
	}
	return nil
}

// resettle settles every event that a folder has, after the folder became
// transparent or the contrary, or to be without it.
func (e *edit) resettle(ctx context.Context, folder string, without bool) error {
	if e.folders[folder].Objects == 0 {
		return nil
	}
	var uids []string
	for o, err := range e.Store.CalendarObjects(ctx, e.k.org, e.k.mailbox, directory.CalendarFilter{Shadows: true, Folder: &folder}) {
		if err != nil {
			return err
		}
		uids = append(uids, o.UID)
		if o.Availability {
			e.available = true
			if without {
				e.deleted(o)
			}
		}
	}
	same, err := e.present(ctx, uids)
	if err != nil {
		return err
	}
	for _, uid := range uids {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		before := events(same[uid])
		delete(same, uid)
		after := before
		if without {
			after = slices.DeleteFunc(slices.Clone(before), func(o *directory.CalendarObject) bool { return o.Folder == folder })
		}
		if len(before) == 0 {
			continue
		}
		if _, _, err := e.settle(ctx, before, after, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// events are the objects that are no VAVAILABILITY.
func events(list []*directory.CalendarObject) []*directory.CalendarObject {
	return slices.DeleteFunc(slices.Clone(list), func(o *directory.CalendarObject) bool { return o.Availability })
}

// present are the objects of the calendar that have one of the UIDs, in all
// folders.
func (e *edit) present(ctx context.Context, uids []string) (map[string][]*directory.CalendarObject, error) {
	old := map[string][]*directory.CalendarObject{}
	if e.state.Objects == 0 || len(uids) == 0 {
		return old, nil
	}
	for o, err := range e.Store.CalendarObjects(ctx, e.k.org, e.k.mailbox, directory.CalendarFilter{Shadows: true, UIDs: uids}) {
		if err != nil {
			return nil, err
		}
		old[o.UID] = append(old[o.UID], o)
	}
	return old, nil
}
