package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"busybridge/internal/app/client"
	"busybridge/internal/app/daytable"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/ical"
	"busybridge/internal/spec/wintz"
)

// availabilityFlags are what busybridge availability was asked.
type availabilityFlags struct {
	target
	addresses                      []string
	start, end, view, format, zone string
	suggest                        bool
	duration                       time.Duration
}

func (e *env) availabilityCommand() *cobra.Command {
	var f availabilityFlags
	cmd := &cobra.Command{
		Use:   "availability --for ADDRESS [--for ADDRESS …]",
		Short: "Ask who is busy when",
		Long: `Asks a server for the free/busy of mailboxes, here and in other organizations,
by Exchange Web Services, and prints a bar of each day, JSON, or iCalendar
(VFREEBUSY).

Times are 2026-11-23, 2026-11-23T08:00 (in --zone) or 2026-11-23T08:00:00Z.
Without --start it is today, without --end one day.

With --suggest it prints when all of them could meet instead: for each day the
best times of --duration in working hours, and who is not free then.

The exit status is 1 when a mailbox has no answer, or when there is no time for
a meeting.`,
		Example: `  busybridge availability --lab lab --for alice@contoso.com --for kim@contoso.com
  busybridge availability --server https://mail.contoso.com --user alice@contoso.com --for bob@contoso.com --format json
  busybridge availability --lab lab --for alice@contoso.com --for kim@contoso.com --suggest --duration 30m`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.availability(cmd.Context(), &f) },
	}
	f.flags(cmd)
	fs := cmd.Flags()
	fs.StringArrayVar(&f.addresses, "for", nil, "address to ask for; may be given up to 100 times")
	fs.StringVar(&f.start, "start", "", "begin of the window")
	fs.StringVar(&f.end, "end", "", "end of the window, not included; at most 62 days after its begin")
	fs.StringVar(&f.view, "view", "freebusy", "merged, freebusy or detailed")
	fs.StringVar(&f.format, "format", "table", "table, json or ics")
	fs.BoolFunc("json", "the same as --format json", func(string) error { f.format = "json"; return nil })
	fs.StringVar(&f.zone, "zone", "", "time zone of times and bars, IANA or Windows name; default: this machine's")
	fs.BoolVar(&f.suggest, "suggest", false, "print when they could meet")
	fs.DurationVar(&f.duration, "duration", time.Hour, "length of the meeting to suggest, 30m to 24h")
	if err := cmd.MarkFlagRequired("for"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

var views = map[string]freebusy.View{
	"merged": freebusy.ViewMergedOnly, "freebusy": freebusy.ViewFreeBusyMerged, "detailed": freebusy.ViewDetailedMerged,
}

func (e *env) availability(ctx context.Context, f *availabilityFlags) error {
	view, ok := views[f.view]
	if !ok {
		return usageError{fmt.Errorf("--view %q: want merged, freebusy or detailed", f.view)}
	}
	zone := time.Local
	if f.zone != "" {
		if zone, ok = wintz.Location(f.zone); !ok {
			return usageError{fmt.Errorf("--zone %q is not a known time zone", f.zone)}
		}
	}
	w, err := parseWindow(f.start, f.end, zone, time.Now())
	if err != nil {
		return usageError{err}
	}
	if f.duration < 30*time.Minute || f.duration > 24*time.Hour {
		return usageError{fmt.Errorf("--duration %v: want 30m to 24h", f.duration)}
	}
	write, ok := map[string]func(*availabilityReport) error{"table": e.writeTable, "json": e.writeJSON, "ics": e.writeICS}[f.format]
	if !ok {
		return usageError{fmt.Errorf("--format %q: want table, json or ics", f.format)}
	}
	c, l, err := f.connect(e, "")
	if err != nil {
		return err
	}
	if f.suggest {
		return e.suggest(ctx, c, f, w, zone)
	}
	answers, err := c.Availability(ctx, f.addresses, w, view)
	if err != nil {
		return err
	}
	if err := write(&availabilityReport{answers, w, zone, c.User() + " asked " + c.Host(), l}); err != nil {
		return err
	}
	for _, a := range answers {
		if a.Error != nil {
			return errReported
		}
	}
	return nil
}

// parseWindow reads the two times; each may be absent.
func parseWindow(start, end string, zone *time.Location, now time.Time) (freebusy.Window, error) {
	n := now.In(zone)
	from := time.Date(n.Year(), n.Month(), n.Day(), 0, 0, 0, 0, zone)
	var err error
	if start != "" {
		if from, err = parseTime(start, zone); err != nil {
			return freebusy.Window{}, fmt.Errorf("--start: %w", err)
		}
	}
	from = from.In(zone)
	to := time.Date(from.Year(), from.Month(), from.Day()+1, from.Hour(), from.Minute(), from.Second(), 0, zone)
	if end != "" {
		if to, err = parseTime(end, zone); err != nil {
			return freebusy.Window{}, fmt.Errorf("--end: %w", err)
		}
	}
	return freebusy.NewWindow(from, to)
}

func parseTime(s string, zone *time.Location) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: want 2026-11-23, 2026-11-23T08:00 or 2026-11-23T08:00:00Z", s)
}

type availabilityReport struct {
	answers []client.Answer
	window  freebusy.Window
	zone    *time.Location
	note    string
	lab     *client.LabFile
}

func (e *env) writeTable(r *availabilityReport) error {
	t := daytable.Table{Window: r.window, Zone: r.zone, Note: r.note}
	for _, a := range r.answers {
		row := daytable.Row{Address: a.Address, Events: a.Events}
		if a.Error != nil {
			row.Err = a.Error.Error()
		} else if a.View == freebusy.ViewMergedOnly.String() {
			row.Events = a.SlotEvents(r.window)
		}
		if r.lab != nil {
			if m, ok := r.lab.Mailbox(strings.ToLower(a.Address)); ok {
				row.Where = m.Org
			}
		}
		t.Rows = append(t.Rows, row)
	}
	if err := t.Write(e.stdout); err != nil {
		return err
	}
	return e.writeDetails(r)
}

// writeDetails lists the entries that have a subject or a place.
func (e *env) writeDetails(r *availabilityReport) error {
	for _, a := range r.answers {
		for _, ev := range a.Events {
			if ev.Detail == nil || ev.Detail.Subject == "" && ev.Detail.Location == "" {
				continue
			}
			where := ""
			if ev.Detail.Location != "" {
				where = " (" + ev.Detail.Location + ")"
			}
			if _, err := fmt.Fprintf(e.stdout, "%s  %s to %s  %s%s\n", a.Address,
				ev.Start.In(r.zone).Format("2006-01-02 15:04"), ev.End.In(r.zone).Format("2006-01-02 15:04"), ev.Detail.Subject, where); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *env) writeJSON(r *availabilityReport) error {
	return e.printJSON(struct {
		Start   time.Time       `json:"start"`
		End     time.Time       `json:"end"`
		Answers []client.Answer `json:"answers"`
	}{r.window.Start, r.window.End, r.answers})
}

// writeICS writes one VFREEBUSY for each mailbox that has an answer; the others
// are named on standard error.
func (e *env) writeICS(r *availabilityReport) error {
	var fb []ical.FreeBusy
	for _, a := range r.answers {
		if a.Error != nil {
			fmt.Fprintf(e.stderr, "%s: %v\n", a.Address, a.Error)
			continue
		}
		fb = append(fb, a.FreeBusy(r.window, time.Now()))
	}
	if len(fb) == 0 {
		return errors.New("no mailbox has an answer")
	}
	_, err := e.stdout.Write(ical.AppendFreeBusy(nil, fb...))
	return err
}
