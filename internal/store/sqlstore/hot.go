package sqlstore

import (
	"time"

	"busybridge/internal/directory"
)

// A HotQuery is a statement of questions, or of changes of one calendar. It must cost
// the same however much is kept, so each names the key of what it is about; the tests
// of the databases hold their plans against it.
type HotQuery struct {
	Name string
	Text string
	Args []any
	Many bool // it is about several mailboxes
}

// HotQueries returns them all, with arguments that look like real ones.
func HotQueries() []HotQuery {
	const org, mailbox = "o", "m"
	objects := func(name string, f directory.CalendarFilter) HotQuery {
		text, args := calendarObjectsQuery(org, mailbox, f, f.UIDs)
		return HotQuery{Name: name, Text: text, Args: args}
	}
	one := func(name, text string, more ...any) HotQuery {
		return HotQuery{Name: name, Text: text, Args: append([]any{org, mailbox}, more...)}
	}
	folder := ""
	many := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	return []HotQuery{
		one("recipient by address", recipientByAddress),
		one("address", addressOf),
		one("recipient by id", recipientByID),
		one("state", selectCalendarState),
		one("months", selectCalendarMonths, 1, 2),
		objects("objects by UID", directory.CalendarFilter{UIDs: []string{"a", "b"}}),
		objects("series", directory.CalendarFilter{Series: true, From: time.Unix(0, 0), To: time.Unix(1, 0), Text: true}),
		objects("mailbox zone", directory.CalendarFilter{MailboxZone: true, Text: true}),
		objects("an event in all folders", directory.CalendarFilter{Shadows: true, UIDs: []string{"a"}}),
		objects("an object by its name", directory.CalendarFilter{Shadows: true, Folder: &folder, Name: "a.ics"}),
		objects("availability", directory.CalendarFilter{Shadows: true, Availability: true, Text: true}),
		one("folders", selectCalendarFolders),
		one("unreadable", selectCalendarUnreadable),
		one("position", selectCalendarPosition, ""),
		{Name: "recipients by address", Text: recipientsByAddress(len(many)), Args: listed(many, org), Many: true},
		{Name: "calendars", Text: calendarsWithMonths(len(many)), Args: listed(many, org, 1, 2), Many: true},
	}
}
