package syncsource

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/dial/ewsclient"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/wintz"
)

// Exchange is the Fetcher of directory.SourceExchange. It reads the calendar where
// the account may, else it asks about the busy time.
type Exchange struct{ Servers }

// Fetch implements Fetcher.
func (x Exchange) Fetch(ctx context.Context, v *directory.CalendarSource, known directory.CalendarSourceState) (*Result, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	hc, done, err := x.client(ctx, v, soapType)
	if err != nil {
		return nil, err
	}
	defer done()
	client, err := ewsclient.New(ewsclient.Config{HTTP: hc, UserAgent: "busybridge", MaxBody: v.MaxBytes})
	if err != nil {
		return nil, err
	}
	for _, version := range versions {
		var res *Result
		res, err = exchangeQuestion{client, v, x.window(v), version}.ask(ctx, known)
		if !errors.Is(err, errVersion) {
			return res, err
		}
	}
	return nil, &safehttp.FaultError{Fault: safehttp.FaultServer, Err: err}
}

// versions are those that are asked in: the first with WorkingElsewhere (EWS
// reference 2.5), and that of the oldest servers which have all that is asked.
var versions = []string{"Exchange2013", "Exchange2010_SP1", "Exchange2007_SP1"}

func (q exchangeQuestion) ask(ctx context.Context, known directory.CalendarSourceState) (*Result, error) {
	v := q.v
	if v.Method == directory.MethodGetUserAvailability {
		return q.getUserAvailability(ctx)
	}
	// What was refused today is not tried again today.
	if v.Method == "" && known.Method == directory.MethodGetUserAvailability && known.To.Equal(q.w.End) {
		return q.getUserAvailability(ctx)
	}
	res, err := q.findItem(ctx)
	if v.Method == "" && refused(err) {
		return q.getUserAvailability(ctx)
	}
	return res, err
}

// refused: the account may not read the calendar; what else it may is not said.
func refused(err error) bool {
	f, ok := errors.AsType[*safehttp.FaultError](err)
	return ok && (f.Fault == safehttp.FaultForbidden || f.Fault == FaultImpersonation || f.Fault == FaultMailbox)
}

// An exchangeQuestion is one attempt to learn of a window.
type exchangeQuestion struct {
	client  *ewsclient.Client
	v       *directory.CalendarSource
	w       freebusy.Window
	version string // of the protocol
}

func (q exchangeQuestion) header() ews.Header {
	h := ews.Header{Version: q.version}
	if q.v.Server.Impersonate || q.v.Server.Authentication == directory.SourceOAuth {
		h.Impersonate = &ews.ConnectingSID{Kind: "SmtpAddress", Value: q.v.Server.Address}
	}
	return h
}

// findItem reads the calendar, series as their occurrences (EWS reference 5.3).
func (q exchangeQuestion) findItem(ctx context.Context) (*Result, error) {
	const length = 31 * 24 * time.Hour
	p, err := walk(ctx, q.w, length, q.v, func(ctx context.Context, part freebusy.Window) ([]entry, error) {
		req := &ews.FindItemRequest{Header: q.header(), RequestID: uuid.NewString(), Start: part.Start, End: part.End, Max: partEntries}
		if req.Header.Impersonate == nil {
			req.Mailbox = q.v.Server.Address
		}
		resp, err := q.client.FindItem(ctx, q.v.URL.Reveal(), q.v.Server.Address, req)
		switch {
		case err != nil:
			return nil, serverError(err, q.v.URL)
		case !resp.Message.OK():
			return nil, refusedCode(resp.Message.Code, resp.Message.Text)
		case !resp.Whole:
			return nil, errTooMuch
		}
		list := make([]entry, len(resp.Items))
		for i := range resp.Items {
			list[i] = itemEntry(&resp.Items[i])
		}
		return list, nil
	})
	if err != nil {
		return nil, err
	}
	return copyOf(q.v, p, directory.MethodFindItem), nil
}

func itemEntry(i *ews.CalendarItem) entry {
	status, ok := freebusy.ParseStatus(i.BusyType)
	if !ok {
		status = freebusy.NoData
	}
	e := entry{uid: uidOf(i.UID), stamp: i.Stamp, Interval: freebusy.Interval{Start: i.Start, End: i.End, Status: status, Detail: &freebusy.Detail{
		Subject: i.Subject, Location: i.Location, Meeting: i.Meeting, Reminder: i.Reminder,
		Recurring: i.Type == "Occurrence" || i.Type == "Exception", Exception: i.Type == "Exception",
		Private: i.Sensitivity == "Private" || i.Sensitivity == "Confidential",
	}}}
	if i.Start.IsZero() || !i.Start.Before(i.End) {
		e.Start, e.End = time.Time{}, time.Time{}
	}
	if e.Detail.Recurring && e.uid != "" {
		if e.recurrenceID = i.RecurrenceID; e.recurrenceID == nil {
			e.recurrenceID = &i.Start
		}
	}
	return e
}

// globalObject begins a GlobalObjectId in hexadecimal digits (MS-OXOCAL 2.2.1.27).
const globalObject = "040000008200E00074C5B7101A82E008"

// uidOf is the UID that iCalendar has for the UID of an item. What was made by
// Exchange is its GlobalObjectId, without the date of an occurrence; what came from
// elsewhere is within one (MS-OXCICAL 2.1.3.1.1.20.26).
func uidOf(uid string) string {
	if len(uid) < 80 || !strings.EqualFold(uid[:len(globalObject)], globalObject) {
		return uid
	}
	b, err := hex.DecodeString(uid)
	if err != nil {
		return uid
	}
	const data = 40 // behind id, date, time of creation, eight zeros and the length
	if inner, ok := strings.CutPrefix(string(b[data:]), "vCal-Uid\x01\x00\x00\x00"); ok {
		if inner = strings.TrimRight(inner, "\x00"); inner != "" {
			return inner
		}
	}
	clear(b[16:20]) // the date
	return strings.ToUpper(hex.EncodeToString(b))
}

// getUserAvailability asks about the busy time, with as much of it as the account
// may see (EWS reference 2).
func (q exchangeQuestion) getUserAvailability(ctx context.Context) (*Result, error) {
	const length = 42 * 24 * time.Hour // what every server allows
	p, err := walk(ctx, q.w, length, q.v, func(ctx context.Context, part freebusy.Window) ([]entry, error) {
		zone := wintz.UTCRule
		resp, err := q.client.GetUserAvailability(ctx, q.v.URL.Reveal(), &ews.AvailabilityRequest{
			Header: q.header(), RequestID: uuid.NewString(), Zone: &zone,
			Mailboxes: []ews.MailboxData{{Address: q.v.Server.Address}},
			FreeBusy: &ews.FreeBusyOptions{Start: ews.DateTime{Time: part.Start, Local: true}, End: ews.DateTime{Time: part.End, Local: true},
				IntervalMinutes: int(freebusy.MinSlot / time.Minute), Views: []string{freebusy.ViewDetailedMerged.String()}},
		})
		if err != nil {
			return nil, serverError(err, q.v.URL)
		}
		if len(resp.FreeBusy) != 1 {
			return nil, safehttp.Faultf(safehttp.FaultContent, "the answer is about %d mailboxes, want one", len(resp.FreeBusy))
		}
		return availabilityEntries(&resp.FreeBusy[0], part)
	})
	if err != nil {
		return nil, err
	}
	return copyOf(q.v, p, directory.MethodGetUserAvailability), nil
}

func availabilityEntries(r *ews.FreeBusyResponse, part freebusy.Window) ([]entry, error) {
	if !r.Message.OK() {
		return nil, refusedCode(r.Message.Code, r.Message.Text)
	}
	view, _ := freebusy.ParseView(r.View)
	if view&freebusy.ViewEvents == 0 { // only merged strings are known
		return mergedEntries(r.Merged, part)
	}
	if len(r.Events) > partEntries {
		return nil, errTooMuch
	}
	list := make([]entry, 0, len(r.Events))
	for i := range r.Events {
		ev := &r.Events[i]
		status, ok := freebusy.ParseStatus(ev.BusyType)
		if !ok {
			status = freebusy.NoData
		}
		e := entry{Interval: freebusy.Interval{Start: ev.Start, End: ev.End, Status: status}}
		if d := ev.Details; d != nil {
			e.Detail = &freebusy.Detail{ID: d.ID, Subject: d.Subject, Location: d.Location,
				Meeting: d.Meeting, Recurring: d.Recurring, Exception: d.Exception, Reminder: d.ReminderSet, Private: d.Private}
		}
		list = append(list, e)
	}
	return list, nil
}

// mergedEntries makes entries of a merged string of five minutes each.
func mergedEntries(merged string, part freebusy.Window) ([]entry, error) {
	const slot = freebusy.MinSlot
	if n := part.Slots(slot); len(merged) != n || strings.Trim(merged, "01234") != "" {
		return nil, safehttp.Faultf(safehttp.FaultContent, "the merged string is not one of %d digits", n)
	}
	statuses := [...]freebusy.Status{freebusy.Free, freebusy.Tentative, freebusy.Busy, freebusy.OOF, freebusy.NoData}
	var list []entry
	for i := 0; i < len(merged); {
		from := i
		for i < len(merged) && merged[i] == merged[from] {
			i++
		}
		if status := statuses[merged[from]-'0']; status != freebusy.Free {
			list = append(list, entry{Interval: freebusy.Interval{Status: status, Start: part.Start.Add(time.Duration(from) * slot), End: part.Start.Add(time.Duration(i) * slot)}})
		}
	}
	return list, nil
}
