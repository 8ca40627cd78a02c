package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"busybridge/internal/app/client"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/ews"
)

// A suggestion is a time to meet, as --json prints it.
type suggestion struct {
	Start    time.Time         `json:"start"`
	End      time.Time         `json:"end"`
	Quality  string            `json:"quality"` // Excellent, Good, Fair
	WorkTime bool              `json:"workTime"`
	NotFree  map[string]string `json:"notFree,omitempty"` // address to what it does then
}

// suggest prints when the mailboxes could meet.
func (e *env) suggest(ctx context.Context, c *client.Client, f *availabilityFlags, w freebusy.Window, zone *time.Location) error {
	if f.format == "ics" {
		return usageError{fmt.Errorf("--suggest prints a table or json")}
	}
	days, err := c.Suggest(ctx, f.addresses, w, zone, f.duration)
	if err != nil {
		return err
	}
	list := []suggestion{}
	for _, d := range days {
		for _, s := range d.Suggestions {
			if s.MeetingTime.Before(w.Start) || s.MeetingTime.Add(f.duration).After(w.End) {
				continue // days are whole
			}
			list = append(list, suggestion{
				Start: s.MeetingTime.In(zone), End: s.MeetingTime.Add(f.duration).In(zone), Quality: s.Quality, WorkTime: s.IsWorkTime, NotFree: notFree(f.addresses, s.Conflicts),
			})
		}
	}
	if f.format == "json" {
		err = e.printJSON(list)
	} else {
		err = e.writeSuggestions(list, f, zone)
	}
	if err == nil && len(list) == 0 {
		err = errReported
	}
	return err
}

func (e *env) writeSuggestions(list []suggestion, f *availabilityFlags, zone *time.Location) error {
	if len(list) == 0 {
		_, err := fmt.Fprintf(e.stdout, "no time for a meeting of %v in working hours\n", f.duration)
		return err
	}
	t := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "DAY\tTIME (%s)\tQUALITY\tNOT FREE\n", zone)
	for _, s := range list {
		var who []string
		for _, a := range f.addresses {
			if does, ok := s.NotFree[a]; ok {
				who = append(who, a+" ("+does+")")
			}
		}
		fmt.Fprintf(t, "%s\t%s to %s\t%s\t%s\n", s.Start.Format("Mon 2006-01-02"), s.Start.Format("15:04"), s.End.Format("15:04"), s.Quality, strings.Join(who, ", "))
	}
	return t.Flush()
}

// notFree says what those do who are not free; conflicts are in the order of addresses.
func notFree(addresses []string, conflicts []ews.AttendeeConflict) map[string]string {
	out := map[string]string{}
	for i, c := range conflicts {
		if i == len(addresses) {
			break
		}
		switch {
		case c.Kind == "Individual" && c.BusyType != "Free":
			out[addresses[i]] = c.BusyType
		case c.Kind == "Group" && c.Available < c.Members:
			out[addresses[i]] = fmt.Sprintf("%d of %d members", c.Members-c.Available, c.Members)
		case c.Kind == "TooBigGroup":
			out[addresses[i]] = "too big a group"
		case c.Kind == "Unknown":
			out[addresses[i]] = "unknown"
		}
	}
	return out
}
