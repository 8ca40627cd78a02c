package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"busybridge/internal/directory"
)

// A CalendarStore keeps the built-in calendars.
type CalendarStore interface {
	CalendarState(ctx context.Context, org directory.OrgID, mailbox string) (directory.CalendarState, error)
	CalendarMonths(ctx context.Context, org directory.OrgID, mailbox string, from, to int) (version int64, months []directory.CalendarMonth, err error)
	CalendarObjects(ctx context.Context, org directory.OrgID, mailbox string, f directory.CalendarFilter) iter.Seq2[*directory.CalendarObject, error]
	ChangeCalendar(ctx context.Context, org directory.OrgID, mailbox string, base int64, c *directory.CalendarChange) error
	CalendarUnreadable(ctx context.Context, org directory.OrgID, mailbox string) (int, error)
	CalendarFolders(ctx context.Context, org directory.OrgID, mailbox string) ([]directory.CalendarFolder, error)
	CalendarChanges(ctx context.Context, org directory.OrgID, mailbox, folder string, since directory.CalendarPosition, limit int) (list []directory.CalendarNews, next directory.CalendarPosition, more bool, err error)
}

// RunCalendars runs every test of calendars, each with a database of its own.
// The Stores of the databases must be CalendarStores too.
func RunCalendars(t *testing.T, create func(testing.TB) Database) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *calendars)
	}{
		{"a mailbox without calendar is empty", calendarEmpty},
		{"what is kept comes back", calendarRoundTrip},
		{"objects are replaced, months are replaced or go away", calendarReplace},
		{"filters select objects", calendarFilters},
		{"shadows stand beside the objects that count", calendarShadows},
		{"folders are kept, and go away with their imports", calendarFolders},
		{"changes of a folder are told once, in order", calendarChanges},
		{"what is gone is remembered for a while", calendarForgets},
		{"many UIDs at once", calendarManyUIDs},
		{"a change from another version changes nothing", calendarConflict},
		{"a change that is cut short changes nothing", calendarAllOrNothing},
		{"concurrent changes lose nothing", calendarConcurrent},
		{"months and their version are of one moment", calendarSnapshot},
		{"another process sees a change at once", calendarOtherProcess},
		{"calendars do not see each other", calendarIsolation},
		{"a calendar goes with its mailbox", calendarDeleted},
		{"unreadable events are counted by their last import", calendarUnreadable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db := create(t)
			s := db.Open(t, time.Now)
			cs, ok := s.(CalendarStore)
			if !ok {
				t.Fatalf("%T keeps no calendars", s)
			}
			e := &calendars{T: t, db: db, Store: s, CalendarStore: cs}
			e.org, e.mailbox = e.newMailbox("contoso.com")
			c.test(t, e)
		})
	}
}

// calendars is one test's store with a mailbox in it.
type calendars struct {
	*testing.T
	db Database
	Store
	CalendarStore
	org     directory.OrgID
	mailbox string
}

func (e *calendars) newMailbox(domain string) (directory.OrgID, string) {
	e.Helper()
	o := Organization(domain, domain)
	if err := e.CreateOrganization(e.Context(), o); err != nil {
		e.Fatal(err)
	}
	return o.ID, e.addMailbox(o.ID, "anna@"+domain)
}

func (e *calendars) addMailbox(org directory.OrgID, address string) string {
	e.Helper()
	r := Mailbox(org, address)
	r.ID = ""
	if err := e.CreateRecipient(e.Context(), r); err != nil {
		e.Fatal(err)
	}
	return r.ID
}

func (e *calendars) change(base int64, c directory.CalendarChange) {
	e.Helper()
	if err := e.ChangeCalendar(e.Context(), e.org, e.mailbox, base, &c); err != nil {
		e.Fatal(err)
	}
}

func (e *calendars) state() directory.CalendarState {
	e.Helper()
	st, err := e.CalendarState(e.Context(), e.org, e.mailbox)
	if err != nil {
		e.Fatal(err)
	}
	return st
}

func (e *calendars) months(from, to int) (int64, []directory.CalendarMonth) {
	e.Helper()
	v, m, err := e.CalendarMonths(e.Context(), e.org, e.mailbox, from, to)
	if err != nil {
		e.Fatal(err)
	}
	slices.SortFunc(m, func(a, b directory.CalendarMonth) int { return a.Month - b.Month })
	return v, m
}

func (e *calendars) objects(f directory.CalendarFilter) []*directory.CalendarObject {
	e.Helper()
	var list []*directory.CalendarObject
	for o, err := range e.CalendarObjects(e.Context(), e.org, e.mailbox, f) {
		if err != nil {
			e.Fatal(err)
		}
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b *directory.CalendarObject) int { return strings.Compare(a.UID, b.UID) })
	return list
}

func put(objects ...*directory.CalendarObject) iter.Seq[*directory.CalendarObject] {
	return slices.Values(objects)
}

func event(uid string) *directory.CalendarObject {
	until := now.Add(time.Hour)
	return &directory.CalendarObject{UID: uid, Text: []byte("BEGIN:" + uid), Digest: "d-" + uid, Source: "a.ics", From: now, Until: &until, Changed: now}
}

func calendarEmpty(t *testing.T, e *calendars) {
	if d := cmp.Diff(directory.CalendarState{}, e.state()); d != "" {
		t.Errorf("state (-want +got):\n%s", d)
	}
	if v, m := e.months(0, 1<<20); v != 0 || len(m) != 0 {
		t.Errorf("version %d, months %v, want none", v, m)
	}
	if o := e.objects(directory.CalendarFilter{}); len(o) != 0 {
		t.Errorf("got %d objects, want none", len(o))
	}
}

func calendarRoundTrip(t *testing.T, e *calendars) {
	until := now.AddDate(1, 0, 0)
	objects := []*directory.CalendarObject{
		{
			UID: "a%_'\"ü", Text: []byte("BEGIN:\x00\xff\xfe\r\n 'quoted'"), Digest: "00ff", Source: "Büro's.ics", Sequence: 1<<40 + 1,
			Folder: "Büro's", Name: "a b.ics", Unreadable: true, Occurrences: 7, Version: 1, Stamp: now, FloatingZone: "Asia/Shanghai", UsesMailboxZone: true, Series: true, From: now, Until: &until, Changed: now.Add(time.Microsecond),
		},
		{UID: "b", Occurrences: -1, Version: 1, Text: []byte{}, Series: true, From: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), Changed: now},
	}
	want := directory.CalendarState{Version: 1, Zone: "China Standard Time", Years: []int{2013, 2014, 2065}, Objects: 2, Occurrences: 7}
	months := []directory.CalendarMonth{{Month: -3, Data: []byte{7}}, {Month: -2, Data: []byte{8}}, {Month: directory.LongMonth, Data: []byte{9}}, {Month: 24100, Data: []byte{1, 0, 255}}, {Month: 24101, Data: []byte("x")}, {Month: 24102, Data: []byte("y")}}
	e.change(0, directory.CalendarChange{State: want, Put: put(objects...), Months: months})

	if d := cmp.Diff(want, e.state()); d != "" {
		t.Errorf("state (-want +got):\n%s", d)
	}
	if d := cmp.Diff(objects, e.objects(directory.CalendarFilter{Text: true}), cmpopts.EquateEmpty()); d != "" {
		t.Errorf("objects (-want +got):\n%s", d)
	}
	for _, tt := range []struct {
		from, to int
		want     []directory.CalendarMonth
	}{
		{0, 1 << 20, months},
		{24100, 24101, months[:5]},
		{24103, 24200, months[:3]},
		{24102, 24101, months[:3]},
	} {
		v, got := e.months(tt.from, tt.to)
		if d := cmp.Diff(tt.want, got); d != "" || v != 1 {
			t.Errorf("months %d..%d at version %d (-want +got):\n%s", tt.from, tt.to, v, d)
		}
	}
}

func calendarReplace(t *testing.T, e *calendars) {
	e.change(0, directory.CalendarChange{Put: put(event("a"), event("b")),
		Months: []directory.CalendarMonth{{Month: 1, Data: []byte("1")}, {Month: 2, Data: []byte("2")}, {Month: 3, Data: []byte("3")}}})
	other := event("b")
	other.Until, other.Series, other.Text, other.Sequence, other.Stamp, other.Digest = nil, true, []byte("other"), 2, now, "other"
	e.change(1, directory.CalendarChange{State: directory.CalendarState{Zone: "UTC", Objects: 3}, Put: put(other, event("c")),
		Months: []directory.CalendarMonth{{Month: 2, Data: []byte("two")}, {Month: 3}, {Month: 4}}})

	a, c := event("a"), event("c")
	a.Version, other.Version, c.Version = 1, 2, 2
	if d := cmp.Diff([]*directory.CalendarObject{a, other, c}, e.objects(directory.CalendarFilter{Text: true})); d != "" {
		t.Errorf("objects (-want +got):\n%s", d)
	}
	_, got := e.months(0, 10)
	if d := cmp.Diff([]directory.CalendarMonth{{Month: 1, Data: []byte("1")}, {Month: 2, Data: []byte("two")}}, got); d != "" {
		t.Errorf("months (-want +got):\n%s", d)
	}
	if d := cmp.Diff(directory.CalendarState{Version: 2, Zone: "UTC", Objects: 3}, e.state()); d != "" {
		t.Errorf("state (-want +got):\n%s", d)
	}
}

func calendarFilters(t *testing.T, e *calendars) {
	at := func(day int) time.Time { return now.AddDate(0, 0, day) }
	object := func(uid string, series, zone bool, from time.Time, until *time.Time) *directory.CalendarObject {
		return &directory.CalendarObject{UID: uid, Text: []byte(uid), Series: series, UsesMailboxZone: zone, From: from, Until: until, Changed: now}
	}
	one, nine := at(1), at(9)
	zero := time.Unix(0, 0).UTC()
	e.change(0, directory.CalendarChange{Put: put(object("cancelled", false, false, zero, &zero),
		object("early", false, false, at(0), &one), object("early series", true, true, at(0), &one),
		object("whole", false, true, at(0), &nine), object("whole series", true, false, at(0), &nine),
		object("endless", true, true, at(5), nil), object("late", false, false, at(8), &nine))})
	for _, tt := range []struct {
		name string
		f    directory.CalendarFilter
		want string
	}{
		{"all", directory.CalendarFilter{}, "cancelled, early, early series, endless, late, whole, whole series"},
		{"series", directory.CalendarFilter{Series: true}, "early series, endless, whole series"},
		{"mailbox zone", directory.CalendarFilter{MailboxZone: true}, "early series, endless, whole"},
		{"both", directory.CalendarFilter{MailboxZone: true, Series: true}, "early series, endless"},
		{"that end at From are left out", directory.CalendarFilter{From: at(1)}, "endless, late, whole, whole series"},
		{"timeless ones of a span", directory.CalendarFilter{From: at(1), To: at(5), Timeless: true}, "cancelled, whole, whole series"},
		{"that begin at To are left out", directory.CalendarFilter{To: at(5)}, "cancelled, early, early series, whole, whole series"},
		{"series of a span", directory.CalendarFilter{Series: true, From: at(2), To: at(6)}, "endless, whole series"},
		{"by UID", directory.CalendarFilter{UIDs: []string{"late", "endless", "none"}}, "endless, late"},
		{"by no UID", directory.CalendarFilter{UIDs: []string{}}, ""},
		{"by UID and kind", directory.CalendarFilter{UIDs: []string{"late", "endless"}, Series: true}, "endless"},
	} {
		var uids []string
		for _, o := range e.objects(tt.f) {
			if o.Text != nil {
				t.Errorf("%s: text of %s was not asked for", tt.name, o.UID)
			}
			uids = append(uids, o.UID)
		}
		if got := strings.Join(uids, ", "); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
	for range e.CalendarObjects(t.Context(), e.org, e.mailbox, directory.CalendarFilter{}) {
		break // leaving early must free the connection
	}
}

func calendarShadows(t *testing.T, e *calendars) {
	object := func(folder, uid, name string, shadow, availability bool) *directory.CalendarObject {
		o := event(uid)
		o.Folder, o.Name, o.Shadow, o.Availability, o.Unreadable = folder, name, shadow, availability, shadow && !availability
		return o
	}
	e.change(0, directory.CalendarChange{Put: put(
		object("", "a", "", false, false), object("Work", "a", "x.ics", true, false), object("Team", "a", "", true, false),
		object("Work", "b", "y.ics", false, false), object("", "hours", "x.ics", true, true))})
	work, top := "Work", ""
	check := func(step string, f directory.CalendarFilter, want ...string) {
		t.Helper()
		var got []string
		for _, o := range e.objects(f) {
			got = append(got, fmt.Sprintf("%s/%s %v %v", o.Folder, o.UID, o.Shadow, o.Availability))
		}
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", step, d)
		}
	}
	check("those that count", directory.CalendarFilter{}, "/a false false", "Work/b false false")
	check("all", directory.CalendarFilter{Shadows: true}, "/a false false", "/hours true true", "Team/a true false", "Work/a true false", "Work/b false false")
	check("a folder", directory.CalendarFilter{Shadows: true, Folder: &work}, "Work/a true false", "Work/b false false")
	check("the main folder", directory.CalendarFilter{Shadows: true, Folder: &top}, "/a false false", "/hours true true")
	check("a name of a folder", directory.CalendarFilter{Shadows: true, Folder: &work, Name: "x.ics"}, "Work/a true false")
	check("a UID", directory.CalendarFilter{Shadows: true, UIDs: []string{"a"}}, "/a false false", "Team/a true false", "Work/a true false")
	check("availability", directory.CalendarFilter{Shadows: true, Availability: true}, "/hours true true")
	if n, err := e.CalendarUnreadable(t.Context(), e.org, e.mailbox); n != 2 || err != nil {
		t.Errorf("%d unreadable, %v; want 2", n, err)
	}

	// Another one of the same UID comes to count, and one goes away.
	e.change(1, directory.CalendarChange{
		Delete: []directory.CalendarPlace{{Folder: "", UID: "a"}, {Folder: "Work", UID: "a", Shadow: true}, {Folder: "", UID: "hours", Shadow: true}, {Folder: "x", UID: "b"}},
		Put:    put(object("", "a", "", true, false), object("Work", "a", "x.ics", false, false))})
	check("after a change", directory.CalendarFilter{Shadows: true}, "/a true false", "Team/a true false", "Work/a false false", "Work/b false false")
}

func calendarFolders(t *testing.T, e *calendars) {
	folders := func() []directory.CalendarFolder {
		t.Helper()
		list, err := e.CalendarFolders(t.Context(), e.org, e.mailbox)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if list := folders(); len(list) != 0 {
		t.Errorf("%v, want none", list)
	}
	record := func(source string, n int) *directory.CalendarImport {
		return &directory.CalendarImport{Source: source, At: now, Unreadable: n}
	}
	e.change(0, directory.CalendarChange{Folders: []directory.CalendarFolder{{Name: "Work", Objects: 3}, {Name: "Wörk", Transparent: true}}, Import: record("Work/a.ics", 1)})
	e.change(1, directory.CalendarChange{Folders: []directory.CalendarFolder{{Name: "", Objects: 1}, {Name: "Wörk", Objects: 9}}, Import: record("Wörk/a.ics", 2)})
	e.change(2, directory.CalendarChange{Import: record("Work", 4)})
	want := []directory.CalendarFolder{{Objects: 1, Version: 2}, {Name: "Work", Objects: 3, Version: 1}, {Name: "Wörk", Objects: 9, Version: 2}}
	if d := cmp.Diff(want, folders()); d != "" {
		t.Errorf("folders (-want +got):\n%s", d)
	}
	e.change(3, directory.CalendarChange{DropFolder: "Work"})
	if d := cmp.Diff([]directory.CalendarFolder{want[0], want[2]}, folders()); d != "" {
		t.Errorf("folders after one is dropped (-want +got):\n%s", d)
	}
	if n, err := e.CalendarUnreadable(t.Context(), e.org, e.mailbox); n != 6 || err != nil {
		t.Errorf("%d unreadable, %v; want 6: those of the other imports", n, err)
	}
}

// changes reads what is new in a folder since a position, as text, page by page.
func (e *calendars) changes(folder string, since directory.CalendarPosition, limit int) (list []string, next directory.CalendarPosition) {
	e.Helper()
	for {
		news, next, more, err := e.CalendarChanges(e.Context(), e.org, e.mailbox, folder, since, limit)
		if err != nil {
			e.Fatal(err)
		}
		if len(news) > limit || more && len(news) != limit {
			e.Errorf("%d changes of %d, more: %v", len(news), limit, more)
		}
		for _, n := range news {
			list = append(list, fmt.Sprintf("%d %s %s %s %v %v", n.Version, n.UID, n.Name, n.Digest, n.Availability, n.Gone))
		}
		if !more {
			return list, next
		}
		since = next
	}
}

func calendarChanges(t *testing.T, e *calendars) {
	type position = directory.CalendarPosition
	named := func(folder, uid, name string) *directory.CalendarObject {
		o := event(uid)
		o.Folder, o.Name = folder, name
		return o
	}
	hours := named("Work", "hours", "")
	hours.Shadow, hours.Availability = true, true
	check := func(step string, since position, next position, want ...string) {
		t.Helper()
		for _, limit := range []int{1, 2, 100} {
			got, end := e.changes("Work", since, limit)
			if d := cmp.Diff(want, got); d != "" || end != next {
				t.Errorf("%s, %d at once: up to %v, want %v (-want +got):\n%s", step, limit, end, next, d)
			}
		}
	}
	work := directory.CalendarChange{Folders: []directory.CalendarFolder{{Name: "Work"}}}
	with := func(c directory.CalendarChange, gone []directory.CalendarGone, objects ...*directory.CalendarObject) directory.CalendarChange {
		for _, g := range gone {
			c.Delete = append(c.Delete, directory.CalendarPlace{Folder: g.Folder, UID: g.UID})
		}
		c.Gone, c.Put = gone, put(objects...)
		return c
	}
	check("no calendar", position{}, position{Version: 1})
	e.change(0, with(work, nil, named("Work", "b", "b.ics"), named("Work", "a", ""), named("", "other", ""), hours))
	all := []string{"1 a  d-a false false", "1 b b.ics d-b false false", "1 hours  d-hours true false"}
	check("all", position{}, position{Version: 2}, all...)
	check("the rest of a page", position{Version: 1, UID: "a"}, position{Version: 2}, all[1:]...)
	check("nothing new", position{Version: 2}, position{Version: 2})

	// An object that is put with its version has not changed.
	moved := named("Work", "a", "")
	moved.Version = 1
	e.change(1, with(directory.CalendarChange{}, nil, moved, named("", "other", "")))
	check("nothing new in this folder", position{Version: 2}, position{Version: 2})

	e.change(2, with(work, []directory.CalendarGone{{Folder: "Work", UID: "b", Name: "b.ics"}}, named("Work", "c", "c.ics")))
	check("one is gone, one came", position{Version: 2}, position{Version: 4}, "3 b b.ics  false true", "3 c c.ics d-c false false")
	e.change(3, with(work, nil, named("Work", "d", "b.ics")))
	check("its name is another's", position{Version: 2}, position{Version: 5}, "3 c c.ics d-c false false", "4 d b.ics d-d false false")
	e.change(4, with(work, []directory.CalendarGone{{Folder: "Work", UID: "a"}}))
	check("one without a name is gone", position{Version: 5}, position{Version: 6}, "5 a   false true")
	e.change(5, with(work, nil, named("Work", "a", "")))
	check("it came back", position{Version: 5}, position{Version: 7}, "6 a  d-a false false")
	e.change(6, with(work, []directory.CalendarGone{{Folder: "Work", UID: "a"}}))
	check("and went again", position{Version: 5}, position{Version: 8}, "7 a   false true")

	if got, _ := e.changes("", position{}, 10); len(got) != 1 {
		t.Errorf("the main folder has %v", got)
	}
	for _, since := range []position{{Version: 9}, {Version: -1}, {UID: "a"}} {
		if _, _, _, err := e.CalendarChanges(t.Context(), e.org, e.mailbox, "Work", since, 1); !errors.Is(err, directory.ErrCalendarPosition) {
			t.Errorf("since %v: %v, want ErrCalendarPosition", since, err)
		}
	}
	e.change(7, directory.CalendarChange{Folders: []directory.CalendarFolder{{Name: "Work", Properties: map[string]string{"a b": "ü\n"}}}})
	list, err := e.CalendarFolders(t.Context(), e.org, e.mailbox)
	if d := cmp.Diff([]directory.CalendarFolder{{Name: "Work", Version: 8, Properties: map[string]string{"a b": "ü\n"}}}, list); d != "" || err != nil {
		t.Errorf("folders: %v (-want +got):\n%s", err, d)
	}
}

func calendarForgets(t *testing.T, e *calendars) {
	const half = directory.MaxGone/2 + 1
	gone := func(from int) (list []directory.CalendarGone) {
		for i := range half {
			list = append(list, directory.CalendarGone{UID: fmt.Sprint(from + i)})
		}
		return list
	}
	e.change(0, directory.CalendarChange{Gone: gone(0)})
	e.change(1, directory.CalendarChange{})
	if got, _ := e.changes("", directory.CalendarPosition{Version: 1}, directory.MaxGone); len(got) != half {
		t.Errorf("%d are gone, want %d", len(got), half)
	}
	e.change(2, directory.CalendarChange{Gone: gone(half)})
	if _, _, _, err := e.CalendarChanges(t.Context(), e.org, e.mailbox, "", directory.CalendarPosition{Version: 1}, 1); !errors.Is(err, directory.ErrCalendarPosition) {
		t.Errorf("since before what is forgotten: %v, want ErrCalendarPosition", err)
	}
	for _, since := range []directory.CalendarPosition{{}, {Version: 2}} {
		if got, _ := e.changes("", since, directory.MaxGone); len(got) != half {
			t.Errorf("since %v %d are gone, want %d", since, len(got), half)
		}
	}
}

func calendarManyUIDs(t *testing.T, e *calendars) {
	const n = 1700
	var uids []string
	e.change(0, directory.CalendarChange{Put: func(yield func(*directory.CalendarObject) bool) {
		for i := range n {
			uids = append(uids, fmt.Sprint("uid", i))
			if !yield(event(uids[i])) {
				return
			}
		}
	}})
	if got := len(e.objects(directory.CalendarFilter{UIDs: uids})); got != n {
		t.Errorf("got %d objects, want %d", got, n)
	}
	count := 0
	for range e.CalendarObjects(t.Context(), e.org, e.mailbox, directory.CalendarFilter{UIDs: uids}) {
		if count++; count == 3 {
			break
		}
	}
	if count != 3 {
		t.Errorf("got %d objects after leaving at the third", count)
	}
}

func calendarConflict(t *testing.T, e *calendars) {
	e.change(0, directory.CalendarChange{State: directory.CalendarState{Objects: 1}, Put: put(event("a"))})
	for _, base := range []int64{0, 2, -1} {
		err := e.ChangeCalendar(t.Context(), e.org, e.mailbox, base, &directory.CalendarChange{
			State: directory.CalendarState{Objects: 2}, Put: put(event("b")), Months: []directory.CalendarMonth{{Month: 1, Data: []byte("1")}}})
		if !errors.Is(err, directory.ErrCalendarChanged) {
			t.Errorf("change from version %d: %v, want ErrCalendarChanged", base, err)
		}
	}
	err := e.ChangeCalendar(t.Context(), e.org, "no such mailbox", 0, &directory.CalendarChange{})
	if !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("change of no mailbox: %v, want ErrNotFound", err)
	}
	if st := e.state(); st.Version != 1 || st.Objects != 1 {
		t.Errorf("state %+v, want that of the first change", st)
	}
	if _, m := e.months(0, 10); len(m) != 0 || len(e.objects(directory.CalendarFilter{})) != 1 {
		t.Error("a refused change left something")
	}
}

func calendarAllOrNothing(t *testing.T, e *calendars) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := e.ChangeCalendar(ctx, e.org, e.mailbox, 0, &directory.CalendarChange{
		Put: func(yield func(*directory.CalendarObject) bool) {
			for i := 0; yield(event(fmt.Sprint(i))); i++ {
				if i == 10 {
					cancel()
				}
			}
		},
		Months: []directory.CalendarMonth{{Month: 1, Data: []byte("1")}},
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if _, m := e.months(0, 10); e.state().Version != 0 || len(m) != 0 || len(e.objects(directory.CalendarFilter{})) != 0 {
		t.Error("a change that was cut short left something")
	}
	e.change(0, directory.CalendarChange{})
}

func calendarConcurrent(t *testing.T, e *calendars) {
	const workers, changes = 4, 10
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for done := 0; done < changes; {
				st, err := e.CalendarState(t.Context(), e.org, e.mailbox)
				if err != nil {
					t.Error(err)
					return
				}
				base := st.Version
				st.Objects++
				switch err := e.ChangeCalendar(t.Context(), e.org, e.mailbox, base, &directory.CalendarChange{State: st}); {
				case err == nil:
					done++
				case !errors.Is(err, directory.ErrCalendarChanged):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if st := e.state(); st.Version != workers*changes || st.Objects != workers*changes {
		t.Errorf("got %+v after %d changes", st, workers*changes)
	}
}

func calendarSnapshot(t *testing.T, e *calendars) {
	const changes = 40
	var wg sync.WaitGroup
	wg.Go(func() {
		for v := range int64(changes) {
			data := []byte(fmt.Sprint(v + 1))
			if err := e.ChangeCalendar(t.Context(), e.org, e.mailbox, v, &directory.CalendarChange{
				Months: []directory.CalendarMonth{{Month: directory.LongMonth, Data: data}, {Month: 1, Data: data}, {Month: 2, Data: data}}}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for seen := int64(0); seen < changes && !t.Failed(); {
		v, months, err := e.CalendarMonths(t.Context(), e.org, e.mailbox, 0, 10)
		if err != nil {
			t.Error(err)
			break
		}
		if v < seen || v > 0 && len(months) != 3 {
			t.Errorf("%d months at version %d after %d", len(months), v, seen)
		}
		for _, m := range months {
			if string(m.Data) != fmt.Sprint(v) {
				t.Errorf("month %d of version %s at version %d", m.Month, m.Data, v)
			}
		}
		seen = v
	}
	wg.Wait()
}

func calendarOtherProcess(t *testing.T, e *calendars) {
	other := e.db.Open(t, time.Now).(CalendarStore)
	for v := range int64(3) {
		e.change(v, directory.CalendarChange{Months: []directory.CalendarMonth{{Month: 5, Data: fmt.Append(nil, v)}}})
		st, err := other.CalendarState(t.Context(), e.org, e.mailbox)
		if err != nil || st.Version != v+1 {
			t.Fatalf("the other process sees version %d, %v; want %d", st.Version, err, v+1)
		}
	}
	err := other.ChangeCalendar(t.Context(), e.org, e.mailbox, 2, &directory.CalendarChange{})
	if !errors.Is(err, directory.ErrCalendarChanged) {
		t.Errorf("change of the other process from an old version: %v, want ErrCalendarChanged", err)
	}
}

func calendarIsolation(t *testing.T, e *calendars) {
	here := e.mailbox
	there := e.addMailbox(e.org, "bert@contoso.com")
	otherOrg, otherMailbox := e.newMailbox("fabrikam.com")
	type place struct {
		org     directory.OrgID
		mailbox string
	}
	places := []place{{e.org, here}, {e.org, there}, {otherOrg, otherMailbox}}
	for i, p := range places {
		o := event("same uid")
		o.Source = fmt.Sprint(i)
		if err := e.ChangeCalendar(t.Context(), p.org, p.mailbox, 0, &directory.CalendarChange{
			State: directory.CalendarState{Objects: i}, Put: put(o), Months: []directory.CalendarMonth{{Month: 1, Data: fmt.Append(nil, i)}},
			Import: &directory.CalendarImport{Source: "same", At: now, Unreadable: i},
		}); err != nil {
			t.Fatal(err)
		}
	}
	for i, p := range places {
		e.org, e.mailbox = p.org, p.mailbox
		_, m := e.months(0, 10)
		o := e.objects(directory.CalendarFilter{})
		n, err := e.CalendarUnreadable(t.Context(), p.org, p.mailbox)
		if e.state().Objects != i || len(m) != 1 || string(m[0].Data) != fmt.Sprint(i) || len(o) != 1 || o[0].Source != fmt.Sprint(i) || n != i || err != nil {
			t.Errorf("calendar %d: %+v, months %v, %d objects, %d unreadable, %v", i, e.state(), m, len(o), n, err)
		}
	}
	// A mailbox is only found in its own organization.
	e.org, e.mailbox = otherOrg, here
	if st := e.state(); st.Version != 0 {
		t.Errorf("mailbox of the other organization: %+v", st)
	}
	err := e.ChangeCalendar(t.Context(), otherOrg, here, 0, &directory.CalendarChange{})
	if !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("change in the other organization: %v, want ErrNotFound", err)
	}
}

func calendarDeleted(t *testing.T, e *calendars) {
	e.change(0, directory.CalendarChange{Put: put(event("a")), Months: []directory.CalendarMonth{{Month: 1, Data: []byte("1")}},
		Import: &directory.CalendarImport{Source: "a.ics", At: now, Unreadable: 1}})
	if err := e.DeleteRecipient(t.Context(), e.org, e.mailbox); err != nil {
		t.Fatal(err)
	}
	n, err := e.CalendarUnreadable(t.Context(), e.org, e.mailbox)
	if err != nil {
		t.Fatal(err)
	}
	if _, m := e.months(0, 10); e.state().Version != 0 || len(m) != 0 || len(e.objects(directory.CalendarFilter{})) != 0 || n != 0 {
		t.Error("the calendar is still there")
	}
}

func calendarUnreadable(t *testing.T, e *calendars) {
	for v, tt := range []struct {
		source     string
		unreadable int
		want       int
	}{{"a", 3, 3}, {"b", 2, 5}, {"a", 1, 3}, {"b", 0, 1}} {
		e.change(int64(v), directory.CalendarChange{Import: &directory.CalendarImport{Source: tt.source, At: now, Events: 5, Unreadable: tt.unreadable}})
		n, err := e.CalendarUnreadable(t.Context(), e.org, e.mailbox)
		if err != nil || n != tt.want {
			t.Errorf("after %s: %d, %v; want %d", tt.source, n, err, tt.want)
		}
	}
}
