package calstore

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"busybridge/internal/directory"
)

// resourcePrefix keeps the names of resources apart from those that ObjectName makes.
const resourcePrefix = "~"

// Resources are the ETags of the resources that a copied calendar holds, by name. One
// that is not there holds none.
func (c *Calendars) Resources(ctx context.Context, mailbox *directory.Recipient, folder string) (map[string]string, error) {
	etags := map[string]string{}
	for o, err := range c.Objects(ctx, mailbox, folder) {
		if err != nil {
			return nil, fmt.Errorf("read calendar %q of %s: %w", folder, mailbox.Primary, err)
		}
		if name, ok := resourceName(o); ok {
			etags[name] = o.Source
		}
	}
	return etags, nil
}

// resourceName is the name under which ApplyDelta put an object.
func resourceName(o *directory.CalendarObject) (name string, ok bool) {
	return strings.CutPrefix(o.Name, resourcePrefix)
}

// A resource is one that is put, parsed.
type resource struct {
	directory.CalendarResource
	file  *file
	o     *directory.CalendarObject // nil: there is none that can be read
	empty bool                      // it holds no event, but tasks perhaps
}

// ApplyDelta makes what became different elsewhere so in a calendar, which is there,
// in one transaction. Of several resources with one UID the newest counts. One that
// cannot be read takes no other with it: what was there under its name stays, and the
// summary says so. More than maxEvents objects afterwards are ErrTooManyEvents.
func (c *Calendars) ApplyDelta(ctx context.Context, mailbox *directory.Recipient, folder string, d *directory.CalendarDelta, maxEvents int) (directory.DeltaSummary, error) {
	s, err := c.applyDelta(ctx, mailbox, folder, d, maxEvents)
	if err != nil {
		return directory.DeltaSummary{}, fmt.Errorf("follow calendar %q of %s: %w", folder, mailbox.Primary, err)
	}
	return s, nil
}

func (c *Calendars) applyDelta(ctx context.Context, mailbox *directory.Recipient, folder string, d *directory.CalendarDelta, maxEvents int) (s directory.DeltaSummary, err error) {
	if folder, err = Folder(folder); err != nil {
		return s, err
	}
	list := make([]*resource, 0, len(d.Put))
	at := map[string]int{}
	for _, p := range d.Put {
		r := c.readResource(folder, p)
		if i, again := at[p.Name]; again { // the last one counts
			list[i] = r
			continue
		}
		at[p.Name] = len(list)
		list = append(list, r)
	}
	err = c.changeReady(ctx, mailbox, func(e *edit) (*directory.CalendarImport, error) {
		if e.folders[folder] == nil {
			return nil, fmt.Errorf("calendar %q: %w", folder, directory.ErrNotFound)
		}
		if s, err = e.applyDelta(ctx, folder, list, d); err != nil {
			return nil, err
		}
		if s.Events = e.folders[folder].Objects; s.Events > maxEvents {
			return nil, fmt.Errorf("%w: %d, limit %d", ErrTooManyEvents, s.Events, maxEvents)
		}
		if len(e.put)+len(e.gone) == 0 {
			return nil, errNothing
		}
		return nil, nil
	})
	return s, err
}

// readResource parses what is put. The object is nil where it is none.
func (c *Calendars) readResource(folder string, p directory.CalendarResource) *resource {
	r := &resource{CalendarResource: p}
	if len(p.Text) > MaxObject || checkName(resourcePrefix+p.Name) != nil {
		return r
	}
	f, err := c.readFile(p.Name, bytes.NewReader(p.Text))
	if err != nil || len(f.groups)+len(f.availabilities) != 1 {
		r.empty = err == nil && f.events == 0
		return r
	}
	o := &directory.CalendarObject{Folder: folder, Name: resourcePrefix + p.Name, Text: bytes.Clone(p.Text), Digest: digest(f.zone, p.Text), Source: p.ETag, FloatingZone: f.zone}
	if len(f.groups) == 1 {
		g := &f.groups[0]
		o.UID, o.Sequence, o.Stamp = g.UID, g.Sequence, g.Stamp
	} else {
		a := &f.availabilities[0]
		o.UID, o.Sequence, o.Stamp, o.Availability = a.UID, a.Sequence, a.Stamp, true
	}
	if checkUID(o.UID) == nil {
		r.file, r.o = f, o
	}
	return r
}

// applyDelta puts the resources and takes away those that are gone.
func (e *edit) applyDelta(ctx context.Context, folder string, list []*resource, d *directory.CalendarDelta) (s directory.DeltaSummary, err error) {
	going := make(map[string]bool, len(d.Gone))
	for _, name := range d.Gone {
		going[name] = true
	}
	byName := make(map[string]*resource, len(list))
	left := make(map[string]bool, len(list)) // names of what will not be there
	next := map[string]*resource{}           // by UID
	uids := map[string]bool{}                // that are touched
	for _, r := range list {
		byName[r.Name], left[r.Name] = r, !r.empty
		if delete(going, r.Name); r.o == nil {
			continue
		}
		uids[r.o.UID] = true
		if other := next[r.o.UID]; other == nil || wins(r.o, other.o) {
			next[r.o.UID] = r
		}
	}
	leaves, unreadable := map[string]bool{}, map[string]bool{} // UIDs: their object goes away; is there in part
	for o, err := range e.Store.CalendarObjects(ctx, e.k.org, e.k.mailbox, directory.CalendarFilter{Shadows: true, Folder: &folder}) {
		if err != nil {
			return s, err
		}
		name, ours := resourceName(o)
		r := byName[name]
		if !ours && d.Whole || going[name] || ours && r != nil && (r.empty || r.o != nil && r.o.UID != o.UID) {
			leaves[o.UID], uids[o.UID] = true, true
		}
		if o.Unreadable {
			unreadable[o.UID] = true
		}
	}
	order := slices.Sorted(maps.Keys(uids))
	same, err := e.present(ctx, order)
	if err != nil {
		return s, err
	}
	for _, uid := range order {
		if ctx.Err() != nil {
			return s, context.Cause(ctx)
		}
		r, all := next[uid], same[uid]
		was := in(folder, all)
		if r != nil && was != nil && !leaves[uid] && was.Name != r.o.Name && wins(was, r.o) {
			continue // another resource of the UID, which neither changed nor went away
		}
		if r != nil {
			if was != nil && was.Name == r.o.Name && was.Digest == r.o.Digest && was.Source == r.ETag {
				left[r.Name] = false
				continue
			}
			kept, partly, err := e.putResource(ctx, r, was, all)
			if err != nil {
				return s, err
			}
			if kept {
				left[r.Name] = false
				if was != nil && !leaves[uid] && was.Name != r.o.Name { // it had the UID, and is there elsewhere
					if name, ours := resourceName(was); ours && byName[name] == nil {
						left[name] = true
					}
				}
				if delete(unreadable, uid); partly {
					unreadable[uid] = true
				}
				continue
			}
		}
		if was == nil || !leaves[uid] {
			continue // what cannot be read leaves what was there
		}
		delete(unreadable, uid)
		if err := e.removeResource(ctx, was, all); err != nil {
			return s, err
		}
	}
	for name, is := range left {
		if is {
			s.Left = append(s.Left, name)
		}
	}
	slices.Sort(s.Left)
	s.Unreadable = len(unreadable) + len(s.Left)
	return s, nil
}

// wins decides between two resources with one UID: the newer, then the first by name.
func wins(a, b *directory.CalendarObject) bool {
	n := age(a, b)
	return n > 0 || n == 0 && a.Name < b.Name
}

// putResource puts one in the place of that of its UID.
func (e *edit) putResource(ctx context.Context, r *resource, was *directory.CalendarObject, all []*directory.CalendarObject) (kept, partly bool, err error) {
	if was != nil && was.Availability != r.o.Availability {
		return false, false, nil // an event and a VAVAILABILITY: two things
	}
	o := *r.o // an edit may be made again
	o.Changed = e.Now().UTC()
	kept, problems, err := e.putOne(ctx, &o, r.file, all)
	o.Unreadable = len(problems) > 0
	return kept, o.Unreadable, err
}

// removeResource takes an object away.
func (e *edit) removeResource(ctx context.Context, was *directory.CalendarObject, all []*directory.CalendarObject) error {
	if was.Availability {
		e.available = true
		e.deleted(was)
		return nil
	}
	before := events(all)
	after := slices.DeleteFunc(slices.Clone(before), func(o *directory.CalendarObject) bool { return o == was })
	_, _, err := e.settle(ctx, before, after, nil, nil)
	return err
}
