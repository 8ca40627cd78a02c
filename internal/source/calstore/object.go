package calstore

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/ical"
)

// MaxObject is the size of one object in bytes, where it is put by itself.
const MaxObject = 4 << 20

// The errors of single objects that are the caller's fault. Nothing was changed.
var (
	// ErrObject: the text is not one event or series, or one VAVAILABILITY, that can
	// be read (RFC 4791 5.3.2.1, valid-calendar-object-resource).
	ErrObject = errors.New("not one event that can be read")
	// ErrUIDConflict: the UID is another object's, or the object of that name has
	// another (RFC 4791 5.3.2.1, no-uid-conflict).
	ErrUIDConflict = errors.New("the UID is that of another object")
	// ErrPrecondition: the object is not as the caller thinks (RFC 9110 13.1).
	ErrPrecondition = errors.New("the object was changed meanwhile")
	ErrObjectName   = errors.New("not an object name")
)

// A UIDConflictError is an ErrUIDConflict with the name of the object that has the UID.
type UIDConflictError struct{ Name string }

func (e *UIDConflictError) Error() string { return fmt.Sprintf("%v: %s", ErrUIDConflict, e.Name) }

func (e *UIDConflictError) Unwrap() error { return ErrUIDConflict }

// A Condition is what a caller wants to be so before it changes an object.
type Condition struct {
	ETag   string // the object is there with this ETag; "": not asked
	Exists bool   // the object is there (If-Match: *)
	Absent bool   // no object is there (If-None-Match: *)
	Folder bool   // the folder is there; else it is directory.ErrNotFound
}

func (c Condition) check(o *directory.CalendarObject) error {
	if c.Absent && o != nil || (c.Exists || c.ETag != "") && o == nil || c.ETag != "" && c.ETag != ETag(o) {
		return ErrPrecondition
	}
	return nil
}

// ETag tells whether two states of an object are the same, octet for octet.
func ETag(o *directory.CalendarObject) string {
	if o.Digest == "" { // of an import that could not read all of it
		return "v" + strconv.FormatInt(o.Version, 10)
	}
	return o.Digest
}

// ObjectName is the name of an object within its folder: the one it was put
// under, else one made from its UID.
func ObjectName(o *directory.CalendarObject) string {
	if o.Name != "" {
		return o.Name
	}
	return "uid-" + base64.RawURLEncoding.EncodeToString([]byte(o.UID)) + ".ics"
}

// uidOfName is the UID in a name that ObjectName made.
func uidOfName(name string) (uid string, ok bool) {
	rest, ok := strings.CutPrefix(name, "uid-")
	if rest, ok2 := strings.CutSuffix(rest, ".ics"); ok && ok2 {
		if b, err := base64.RawURLEncoding.Strict().DecodeString(rest); err == nil && len(b) > 0 {
			return string(b), true
		}
	}
	return "", false
}

// A PutResult says what PutObject did.
type PutResult struct {
	ETag    string
	Created bool
	// Problems are what could not be read of an object that was kept. It counts as
	// unreadable in Health.
	Problems []ical.Problem
}

// PutObject keeps one object, octet for octet, under a name of a folder, which is
// made where there is none. What was there under the name is replaced, whatever
// its SEQUENCE.
func (c *Calendars) PutObject(ctx context.Context, mailbox *directory.Recipient, folder, name string, text []byte, cond Condition) (PutResult, error) {
	r, err := c.putObject(ctx, mailbox, folder, name, text, cond)
	if err != nil {
		return PutResult{}, fmt.Errorf("put %q into %s: %w", name, mailbox.Primary, err)
	}
	return r, nil
}

func (c *Calendars) putObject(ctx context.Context, mailbox *directory.Recipient, folder, name string, text []byte, cond Condition) (r PutResult, err error) {
	if folder, err = Folder(folder); err != nil {
		return r, err
	}
	if err := checkName(name); err != nil {
		return r, err
	}
	if len(text) > MaxObject {
		return r, fmt.Errorf("%w: %d bytes, limit %d", ErrTooLarge, len(text), MaxObject)
	}
	f, err := c.readFile(name, bytes.NewReader(text))
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrObject, err)
	}
	if n := len(f.groups) + len(f.availabilities); n != 1 {
		return r, fmt.Errorf("%w: it has %d", ErrObject, n)
	}
	text = bytes.Clone(text)
	err = c.changeReady(ctx, mailbox, func(e *edit) (*directory.CalendarImport, error) {
		o := &directory.CalendarObject{Folder: folder, Text: text, Digest: digest(f.zone, text), Source: f.name, FloatingZone: f.zone, Changed: e.Now().UTC()}
		if len(f.groups) == 1 {
			g := &f.groups[0]
			o.UID, o.Sequence, o.Stamp = g.UID, g.Sequence, g.Stamp
		} else {
			a := &f.availabilities[0]
			o.UID, o.Sequence, o.Stamp, o.Availability = a.UID, a.Sequence, a.Stamp, true
		}
		if err := checkUID(o.UID); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrObject, err)
		}
		if cond.Folder && e.folders[folder] == nil {
			return nil, fmt.Errorf("calendar %q: %w", folder, directory.ErrNotFound)
		}
		was, err := e.named(ctx, folder, name)
		if err != nil {
			return nil, err
		}
		if err := cond.check(was); err != nil {
			return nil, err
		}
		all, err := e.present(ctx, []string{o.UID})
		if err != nil {
			return nil, err
		}
		if uid, made := uidOfName(name); !made {
			o.Name = name
		} else if uid != o.UID {
			return nil, &UIDConflictError{name}
		}
		if same := in(folder, all[o.UID]); same != nil && ObjectName(same) != name || was != nil && (was.UID != o.UID || was.Availability != o.Availability) {
			return nil, &UIDConflictError{ObjectName(cmpOr(same, was))}
		}
		if was != nil && was.Digest == o.Digest && was.Name == o.Name {
			r = PutResult{ETag: ETag(was)}
			return nil, errNothing
		}
		if _, err := e.folder(folder); err != nil {
			return nil, err
		}
		kept, problems, err := e.putOne(ctx, o, f, all[o.UID])
		switch {
		case err != nil:
			return nil, err
		case !kept:
			return nil, fmt.Errorf("%w: %s", ErrObject, problems[0].Reason)
		}
		o.Unreadable = len(problems) > 0
		r = PutResult{ETag: ETag(o), Created: was == nil, Problems: problems}
		return nil, nil
	})
	return r, err
}

func cmpOr(a, b *directory.CalendarObject) *directory.CalendarObject {
	if a != nil {
		return a
	}
	return b
}

// putOne puts the only object of f into the edit, if it can be read.
func (e *edit) putOne(ctx context.Context, o *directory.CalendarObject, f *file, same []*directory.CalendarObject) (kept bool, problems []ical.Problem, err error) {
	if o.Availability {
		a := f.availabilities[0]
		kept, problems = e.putAvailability(o, &a, in(o.Folder, same))
		return kept, append(problems, f.problems...), nil
	}
	found, problems, err := e.putEvent(ctx, o, &f.groups[0], events(same))
	return err == nil && (found > 0 || len(problems) == 0), append(problems, f.problems...), err
}

// putEvent puts an event in the place of the one of its folder.
func (e *edit) putEvent(ctx context.Context, o *directory.CalendarObject, g *ical.Group, before []*directory.CalendarObject) (found int, problems []ical.Problem, err error) {
	after := []*directory.CalendarObject{o}
	for _, b := range before {
		if b.Folder != o.Folder {
			after = append(after, b)
		}
	}
	return e.settle(ctx, before, after, o, g)
}

// DeleteObject deletes one object. One that is not there is directory.ErrNotFound.
func (c *Calendars) DeleteObject(ctx context.Context, mailbox *directory.Recipient, folder, name string, cond Condition) error {
	folder, err := Folder(folder)
	if err == nil {
		err = c.changeReady(ctx, mailbox, func(e *edit) (*directory.CalendarImport, error) {
			o, err := e.named(ctx, folder, name)
			switch {
			case err != nil:
				return nil, err
			case o == nil:
				return nil, directory.ErrNotFound
			}
			if err := cond.check(o); err != nil {
				return nil, err
			}
			if o.Availability {
				e.available = true
				e.deleted(o)
				return nil, nil
			}
			all, err := e.present(ctx, []string{o.UID})
			if err != nil {
				return nil, err
			}
			before := events(all[o.UID])
			after := make([]*directory.CalendarObject, 0, len(before))
			for _, b := range before {
				if b.Folder != folder {
					after = append(after, b)
				}
			}
			_, _, err = e.settle(ctx, before, after, nil, nil)
			return nil, err
		})
	}
	if err != nil {
		return fmt.Errorf("delete %q of %s: %w", name, mailbox.Primary, err)
	}
	return nil
}

// Object returns one object with its text. One that is not there is
// directory.ErrNotFound.
func (c *Calendars) Object(ctx context.Context, mailbox *directory.Recipient, folder, name string) (*directory.CalendarObject, error) {
	folder, err := Folder(folder)
	if err != nil {
		return nil, err
	}
	e := edit{Calendars: c, k: key{mailbox.Org, mailbox.ID}}
	o, err := e.named(ctx, folder, name)
	if err == nil && o == nil {
		err = directory.ErrNotFound
	}
	if err == nil {
		err = e.readText(ctx, o)
	}
	if err != nil {
		return nil, fmt.Errorf("read %q of %s: %w", name, mailbox.Primary, err)
	}
	return o, nil
}

// Objects yields what a folder has, without the texts: see ObjectName, ETag and
// CalendarObject.Version.
func (c *Calendars) Objects(ctx context.Context, mailbox *directory.Recipient, folder string) iter.Seq2[*directory.CalendarObject, error] {
	return c.objectsOf(ctx, mailbox, folder, directory.CalendarFilter{})
}

// ObjectsWithin yields what a folder has, with the texts, but for most of the
// objects that have no occurrence in [from, to): who needs to know looks himself.
// A zero time is no bound.
func (c *Calendars) ObjectsWithin(ctx context.Context, mailbox *directory.Recipient, folder string, from, to time.Time) iter.Seq2[*directory.CalendarObject, error] {
	// The times of shadows may be those of another zone of the mailbox.
	const slack = 48 * time.Hour
	f := directory.CalendarFilter{Text: true, Timeless: true}
	if !from.IsZero() {
		f.From = from.Add(-slack)
	}
	if !to.IsZero() {
		f.To = to.Add(slack)
	}
	return c.objectsOf(ctx, mailbox, folder, f)
}

func (c *Calendars) objectsOf(ctx context.Context, mailbox *directory.Recipient, folder string, f directory.CalendarFilter) iter.Seq2[*directory.CalendarObject, error] {
	return func(yield func(*directory.CalendarObject, error) bool) {
		folder, err := Folder(folder)
		if err != nil {
			yield(nil, err)
			return
		}
		f.Shadows, f.Folder = true, &folder
		for o, err := range c.Store.CalendarObjects(ctx, mailbox.Org, mailbox.ID, f) {
			if !yield(o, err) || err != nil {
				return
			}
		}
	}
}

// named is the object of that name, nil if there is none.
func (e *edit) named(ctx context.Context, folder, name string) (*directory.CalendarObject, error) {
	f := directory.CalendarFilter{Shadows: true, Folder: &folder, Name: name}
	if uid, made := uidOfName(name); made {
		f.Name, f.UIDs = "", []string{uid}
	}
	for o, err := range e.Store.CalendarObjects(ctx, e.k.org, e.k.mailbox, f) {
		if err != nil {
			return nil, err
		}
		if ObjectName(o) == name {
			return o, nil
		}
	}
	return nil, nil
}

func checkName(name string) error {
	if name == "" || len(name) > 2048 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' }) {
		return fmt.Errorf("%w: %.300q", ErrObjectName, name)
	}
	return nil
}

// checkUID says why a UID cannot be kept.
func checkUID(uid string) error {
	if len(uid) > MaxUID || strings.ContainsRune(uid, 0) {
		return fmt.Errorf("UID of %d bytes, limit %d and no NUL", len(uid), MaxUID)
	}
	return nil
}
