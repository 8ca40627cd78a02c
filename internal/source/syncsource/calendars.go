package syncsource

import (
	"context"
	"errors"
	"fmt"

	"busybridge/internal/directory"
)

// A Follower asks one kind of source that holds several calendars.
type Follower interface {
	// Follow tells what changed since known. held are the ETags of the resources that
	// the copy of a calendar holds. An error is *safehttp.FaultError, or wraps one: then
	// nothing is known; that of one calendar is with it.
	Follow(ctx context.Context, source *directory.CalendarSource, mailbox *directory.Recipient, known directory.CalendarSourceState, held func(key string) (map[string]string, error)) (*News, error)
}

// News are how the calendars of a source are now: those that are not among them are gone.
type News struct {
	Home      string
	Calendars []CalendarNews
}

// CalendarNews are those of one calendar.
type CalendarNews struct {
	// State is what is known of it now. Events, Unreadable and Again are as they were.
	State directory.SourceCalendarState
	Err   error // it was not read: its copy stays
	// Delta is what changed, Text is all that there is; one of them. Neither: nothing changed.
	Delta *directory.CalendarDelta
	Text  []byte
}

// maxAgain bounds the objects that are read again with each change.
const maxAgain = 200

// followCalendars does the work of an attempt for a source with several calendars.
func (s *Syncer) followCalendars(ctx context.Context, v *directory.CalendarSource, mailbox *directory.Recipient, f Follower) (next directory.CalendarSourceState, err error) {
	next = v.State
	folders, err := s.Copies.Folders(ctx, mailbox)
	if err != nil {
		return next, err
	}
	there := map[string]bool{}
	for _, f := range folders {
		there[f.Name] = true
	}
	next.Calendars = nil
	for _, c := range v.State.Calendars {
		if there[v.FolderOf(c.Key)] { // one that somebody took away is read anew
			next.Calendars = append(next.Calendars, c)
		}
	}
	known := next
	news, err := f.Follow(ctx, v, mailbox, known, func(key string) (map[string]string, error) {
		if !there[v.FolderOf(key)] {
			return nil, nil
		}
		return s.Copies.Resources(ctx, mailbox, v.FolderOf(key))
	})
	if err != nil {
		return known, err
	}
	defer func() {
		if ctx.Err() == nil {
			if checked := s.check(ctx, v, mailbox); checked != nil {
				err = checked
			}
		}
	}()
	done, err := s.turn(ctx)
	if err != nil {
		return known, err
	}
	defer done()
	if err := s.check(ctx, v, mailbox); err != nil {
		return known, err
	}
	next.Home, next.Calendars, next.Events, next.Unreadable, next.Bytes = news.Home, []directory.SourceCalendarState{}, 0, 0, 0
	keep := map[string]bool{}
	var failed []error
	for i := range news.Calendars {
		n := &news.Calendars[i]
		folder := v.FolderOf(n.State.Key)
		keep[folder] = true
		if n.Err == nil {
			n.Err = s.copyCalendar(ctx, v, mailbox, folder, n, v.MaxEvents-next.Events)
		}
		if n.Err != nil {
			if ctx.Err() != nil {
				return known, n.Err
			}
			failed = append(failed, n.Err)
			if n.State = stateOf(known.Calendars, n.State.Key); n.State.Key == "" {
				continue // never read
			}
		}
		next.Calendars = append(next.Calendars, n.State)
		next.Events, next.Unreadable, next.Bytes = next.Events+n.State.Events, next.Unreadable+n.State.Unreadable, next.Bytes+n.State.Bytes
	}
	if err := s.drop(ctx, v, mailbox, keep); err != nil {
		return next, err
	}
	if len(failed) == 0 {
		return next, nil
	}
	why := s.failure(failed[0])
	if n := len(news.Calendars); n > 1 {
		why.text = fmt.Sprintf("%d of %d calendars: %s", len(failed), n, why.text)
	}
	return next, &why
}

// stateOf is what is known of one of several calendars.
func stateOf(list []directory.SourceCalendarState, key string) directory.SourceCalendarState {
	for _, c := range list {
		if c.Key == key {
			return c
		}
	}
	return directory.SourceCalendarState{}
}

// copyCalendar brings the copy of one calendar up to date, and its state with it.
func (s *Syncer) copyCalendar(ctx context.Context, v *directory.CalendarSource, mailbox *directory.Recipient, folder string, n *CalendarNews, maxEvents int) error {
	if _, err := s.Copies.SetFolder(ctx, mailbox, folder, v.Transparent); err != nil {
		return err
	}
	st := &n.State
	switch {
	case n.Delta != nil:
		sum, err := s.Copies.ApplyDelta(ctx, mailbox, folder, n.Delta, maxEvents)
		if err != nil {
			return err
		}
		st.Events, st.Unreadable, st.Again = sum.Events, sum.Unreadable, sum.Left[:min(len(sum.Left), maxAgain)]
	case n.Text != nil:
		sum, err := s.Copies.ReplaceFolder(ctx, mailbox, folder, n.Text, maxEvents)
		if err != nil {
			return err
		}
		st.Events, st.Unreadable, st.Again = sum.Events, unreadable(&sum), nil
	case st.Events > maxEvents:
		return &failed{name: FailureEvents, text: fmt.Sprintf("the calendars have more events than the limit of %d", v.MaxEvents)}
	}
	return nil
}

// drop deletes the folders of a source but those to keep.
func (s *Syncer) drop(ctx context.Context, v *directory.CalendarSource, mailbox *directory.Recipient, keep map[string]bool) error {
	folders, err := s.Copies.Folders(ctx, mailbox)
	if err != nil {
		return err
	}
	for _, f := range folders {
		if !v.HasFolder(f.Name) || keep[f.Name] {
			continue
		}
		if err := s.Copies.DeleteFolder(ctx, mailbox, f.Name); err != nil && !errors.Is(err, directory.ErrNotFound) {
			return err
		}
	}
	return nil
}

// testCalendars asks for everything, as if nothing were known.
func (s *Syncer) testCalendars(ctx context.Context, v *directory.CalendarSource, f Follower) (t directory.CalendarSourceTest) {
	fail := func(err error) {
		if why := s.failure(err); t.Failure == "" {
			t.Failure, t.Text = why.name, why.text
		}
	}
	mailbox, err := s.Store.RecipientByID(ctx, v.Org, v.Mailbox)
	if err != nil {
		fail(&failed{name: FailureMailbox, text: "there is no mailbox to copy into"})
		return t
	}
	news, err := f.Follow(ctx, v, mailbox, directory.CalendarSourceState{}, func(string) (map[string]string, error) { return nil, nil })
	if err != nil {
		fail(err)
		return t
	}
	var st directory.CalendarSourceState
	for i := range news.Calendars {
		n := &news.Calendars[i]
		if n.Err != nil {
			fail(n.Err)
			continue
		}
		st.Calendars = append(st.Calendars, n.State)
		texts := [][]byte{n.Text}
		if n.Delta != nil {
			texts = texts[:0]
			for _, p := range n.Delta.Put {
				texts = append(texts, p.Text)
			}
		}
		for _, text := range texts {
			if count(&t, text, int(v.MaxBytes)) != nil {
				t.Unreadable++
			}
		}
	}
	t.Calendars, t.Methods = len(news.Calendars), st.Methods()
	return t
}
