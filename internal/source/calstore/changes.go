package calstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"busybridge/internal/directory"
)

// MaxChanges is how many changes are told at once.
const MaxChanges = 5000

// A Change is an object of a folder that is new, has changed, or is gone.
type Change struct {
	Name         string // see ObjectName
	ETag         string // "": it is gone
	Availability bool   // it is a VAVAILABILITY
}

// Changes returns what has changed in a calendar after a token: all there is, for
// "". The token is that of next of an earlier answer, or of SyncToken; one that is
// not known, or too old, is directory.ErrCalendarPosition. No more than limit
// changes come at once; where there may be more of them, next leads to those.
func (c *Calendars) Changes(ctx context.Context, mailbox *directory.Recipient, folder, token string, limit int) (list []Change, next string, more bool, err error) {
	list, next, more, err = c.changes(ctx, mailbox, folder, token, limit)
	if err != nil {
		return nil, "", false, fmt.Errorf("changes of calendar %q of %s: %w", folder, mailbox.Primary, err)
	}
	return list, next, more, nil
}

func (c *Calendars) changes(ctx context.Context, mailbox *directory.Recipient, folder, token string, limit int) (list []Change, next string, more bool, err error) {
	if folder, err = Folder(folder); err != nil {
		return nil, "", false, err
	}
	since, err := readToken(token)
	if err != nil {
		return nil, "", false, err
	}
	news, after, more, err := c.Store.CalendarChanges(ctx, mailbox.Org, mailbox.ID, folder, since, min(limit, MaxChanges))
	if err != nil {
		return nil, "", false, err
	}
	list = make([]Change, 0, len(news))
	for i := range news {
		n := &news[i]
		o := directory.CalendarObject{Name: n.Name, UID: n.UID, Digest: n.Digest, Version: n.Version}
		switch ch := (Change{Name: ObjectName(&o), Availability: n.Availability}); {
		case !n.Gone:
			ch.ETag = ETag(&o)
			list = append(list, ch)
		case token != "": // who begins has nothing that could be gone
			list = append(list, ch)
		}
	}
	return list, writeToken(after), more, nil
}

// SyncToken is the token of Changes for what is new from now on, as of a folder
// that Folders returned.
func SyncToken(f *directory.CalendarFolder) string {
	return writeToken(directory.CalendarPosition{Version: f.Version + 1})
}

func writeToken(p directory.CalendarPosition) string {
	s := strconv.FormatInt(p.Version, 10)
	if p.UID != "" {
		s += "/" + p.UID
	}
	return s
}

func readToken(token string) (p directory.CalendarPosition, err error) {
	if token == "" {
		return p, nil
	}
	version, uid, _ := strings.Cut(token, "/")
	p.Version, err = strconv.ParseInt(version, 10, 64)
	p.UID = uid
	if err == nil && (p.Version < 1 || writeToken(p) != token) {
		err = errors.New("not as it was written")
	}
	if err != nil {
		return p, fmt.Errorf("%w: token %.100q: %w", directory.ErrCalendarPosition, token, err)
	}
	return p, nil
}
