package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"busybridge/internal/app/client"
	"busybridge/internal/app/daytable"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/wintz"
)

// Once starts a lab, joins it, checks it, prints a line for each check and a
// table of everybody, and stops it. The error is for a lab that could not be
// started; checks that failed are in the report.
func Once(ctx context.Context, o Options) (r *Report, err error) {
	l, err := Start(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	r = &Report{Edition: l.o.Edition, Fault: l.o.Fault}
	if err := l.join(ctx, r); err != nil {
		return nil, err
	}
	if err := l.check(ctx, r); err != nil {
		return nil, err
	}
	if r.Failed == 0 {
		err = l.table(ctx)
	}
	if err == nil {
		_, err = fmt.Fprintf(l.o.Out, "\n%d checks, %d failed\n", len(r.Checks), r.Failed)
	}
	return r, err
}

// check asks, as people of both sides, for people of both sides.
func (l *Lab) check(ctx context.Context, r *Report) (err error) {
	week := l.nextWeek()
	t := l.transcript(io.Discard)
	defer func() { err = errors.Join(err, t.close()) }()
	for _, v := range []struct {
		from, to deploymentName
		file     string
	}{
		{onprem, cloud, "verify-onprem.ps1"},
		{cloud, onprem, "verify-cloud.ps1"},
	} {
		detail, err := t.verify(ctx, v.from, v.file)
		l.addRefusable(r, fmt.Sprintf("OAuth from %s to %s", v.from, v.to), v.to, detail, err)
	}
	for _, v := range []struct {
		name, as, colleague string
		from, to            deploymentName
	}{
		{"free/busy from on premises to the cloud", "alice@" + domain, "kim@" + domain, onprem, cloud},
		{"free/busy from the cloud to on premises", "kim@" + domain, "alice@" + domain, cloud, onprem},
		{"free/busy from the old server to the cloud", "judy@" + domain, "kim@" + domain, onprem, cloud},
	} {
		detail, err := l.compare(ctx, v.as, v.colleague, l.addresses(v.from), l.addresses(v.to), week)
		r.add(l.o.Out, v.name, detail, err)
	}
	for _, as := range []string{"kim@" + domain, "alice@" + domain} {
		detail, err := l.clockChange(ctx, as)
		r.add(l.o.Out, "a weekly meeting across the change of clocks, asked by "+as, detail, err)
	}
	r.add(l.o.Out, "an address that does not exist spoils no other", "", l.unknown(ctx, week))
	return nil
}

// closed reports whether Exchange Web Services of to are closed to applications.
func (l *Lab) closed(to deploymentName) bool { return to == cloud && l.o.Edition == Edition2026 }

// addRefusable adds a check of Exchange Web Services that holds when it passed;
// where the edition's cloud refuses them, when they were refused as there.
func (l *Lab) addRefusable(r *Report, name string, to deploymentName, detail string, err error) {
	if !l.closed(to) {
		r.add(l.o.Out, name, detail, err)
		return
	}
	const refusal = "403"
	name += " is refused"
	switch {
	case err == nil:
		r.add(l.o.Out, name, "", fmt.Errorf("the cloud answered, and ought to refuse: %s", detail))
	case !strings.Contains(err.Error(), refusal):
		r.add(l.o.Out, name, "", fmt.Errorf("want a refusal with %s: %w", refusal, err))
	default:
		r.add(l.o.Out, name, explain(err.Error())+": "+strings.Join(strings.Fields(err.Error()), " "), nil)
	}
}

// nextWeek is a window of seven days from the coming Monday, China time.
func (l *Lab) nextWeek() freebusy.Window {
	zone, ok := wintz.Location(chinaZone)
	if !ok {
		panic("lab: " + chinaZone + " is in the zone table")
	}
	n := l.o.Now().In(zone)
	monday := time.Date(n.Year(), n.Month(), n.Day()+(8-int(n.Weekday()))%7, 0, 0, 0, 0, zone)
	return freebusy.Window{Start: monday.UTC(), End: monday.AddDate(0, 0, 7).UTC()}
}

// addresses of the mailboxes of one side.
func (l *Lab) addresses(of deploymentName) (out []string) {
	for _, p := range people[of] {
		out = append(out, p.name+"@"+domain)
	}
	return out
}

// secretive are the people whose calendar nobody else sees.
func secretive(address string) bool {
	for _, side := range people {
		for _, p := range side {
			if p.name+"@"+domain == address {
				return p.level == freebusy.LevelNone
			}
		}
	}
	return false
}

// ask asks as one mailbox's user, at that mailbox's own node.
func (l *Lab) ask(ctx context.Context, as string, addresses []string, w freebusy.Window, view freebusy.View) ([]client.Answer, error) {
	m, ok := l.file.Mailbox(as)
	if !ok {
		return nil, fmt.Errorf("the lab has no mailbox %s", as)
	}
	c, err := client.New(l.file.ForLab(m))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Availability(ctx, addresses, w, view)
}

// compare asks, in one question, for everybody of both sides, and for the far
// side once more as one of their own colleagues, who needs no other server: the
// answers must be the same.
func (l *Lab) compare(ctx context.Context, as, colleague string, near, far []string, w freebusy.Window) (string, error) {
	far = slices.DeleteFunc(slices.Clone(far), func(a string) bool { return a == colleague })
	got, err := l.ask(ctx, as, slices.Concat(near, far), w, freebusy.ViewFreeBusyMerged)
	if err != nil {
		return "", err
	}
	want, err := l.ask(ctx, colleague, far, w, freebusy.ViewFreeBusyMerged)
	if err != nil {
		return "", fmt.Errorf("as %s: %w", colleague, err)
	}
	events := 0
	for _, a := range got[:len(near)] {
		if err := l.expect(a, as); err != nil {
			return "", err
		}
	}
	for i, a := range got[len(near):] {
		if err := l.expect(a, as); err != nil {
			return "", err
		}
		if own, other := plain(want[i]), plain(a); own != other {
			return "", fmt.Errorf("%s sees %s of %s, a colleague sees %s", as, other, a.Address, own)
		}
		events += len(a.Events)
	}
	return fmt.Sprintf("%s asked %s for %d mailboxes here and %d there, %d entries came", as, hostOf(l, as), len(near), len(far), events), nil
}

// expect checks that an answer is there, or refused where nothing is shared.
func (l *Lab) expect(a client.Answer, as string) error {
	switch {
	case secretive(a.Address) && a.Address != as:
		if a.Error == nil || a.Error.Code != "ErrorNoFreeBusyAccess" {
			return fmt.Errorf("%s shares nothing, but %s was answered %+v", a.Address, as, a)
		}
	case a.Error != nil:
		return fmt.Errorf("%s: %w", a.Address, a.Error)
	case len(a.Events) == 0:
		return fmt.Errorf("%s: a week without an entry", a.Address)
	}
	return nil
}

// plain is what two people with the same rights must see alike.
func plain(a client.Answer) string {
	if a.Error != nil {
		return a.Error.Code
	}
	var b strings.Builder
	b.WriteString(a.Merged)
	for _, e := range a.Events {
		fmt.Fprintf(&b, " %s/%s %s", e.Start.Format(time.RFC3339), e.End.Format(time.RFC3339), e.Status)
	}
	return b.String()
}

func hostOf(l *Lab, address string) string {
	m, _ := l.file.Mailbox(address)
	return m.Node
}

// clockChange asks for carol's weekly meeting at nine in Vienna before and
// after the next change of clocks there: its time in UTC must move by an hour.
func (l *Lab) clockChange(ctx context.Context, as string) (string, error) {
	zone, ok := wintz.Location("W. Europe Standard Time")
	if !ok {
		return "", errors.New("no zone W. Europe Standard Time")
	}
	_, change := l.o.Now().In(zone).ZoneBounds()
	if change.IsZero() {
		return "", errors.New("the zone has no change of clocks")
	}
	w, err := freebusy.NewWindow(change.AddDate(0, 0, -7), change.AddDate(0, 0, 7))
	if err != nil {
		return "", err
	}
	answers, err := l.ask(ctx, as, []string{"carol@" + domain}, w, freebusy.ViewFreeBusy)
	if err != nil {
		return "", err
	}
	if answers[0].Error != nil {
		return "", answers[0].Error
	}
	var starts []string
	for _, e := range answers[0].Events {
		if local := e.Start.In(zone); local.Weekday() == time.Monday {
			if h, m, _ := local.Clock(); h != 9 || m != 0 {
				return "", fmt.Errorf("the meeting is at %s in Vienna, want 09:00", local.Format("15:04 on 2006-01-02"))
			}
			starts = append(starts, e.Start.UTC().Format("2006-01-02 15:04")+"Z")
		}
	}
	if len(starts) != 2 || starts[0][11:] == starts[1][11:] {
		return "", fmt.Errorf("Mondays at nine in Vienna are %v: want two with different hours in UTC", starts)
	}
	return "09:00 in Vienna is " + strings.Join(starts, " and "), nil
}

// unknown asks for an address that does not exist together with two that do.
func (l *Lab) unknown(ctx context.Context, w freebusy.Window) error {
	answers, err := l.ask(ctx, "alice@"+domain, []string{"bob@" + domain, "nobody@" + domain, "kim@" + domain}, w, freebusy.ViewMergedOnly)
	if err != nil {
		return err
	}
	if e := answers[1].Error; e == nil || e.Code != "ErrorMailRecipientNotFound" {
		return fmt.Errorf("nobody@%s was answered %+v, want ErrorMailRecipientNotFound", domain, answers[1])
	}
	for _, i := range []int{0, 2} {
		if answers[i].Error != nil {
			return fmt.Errorf("%s: %w", answers[i].Address, answers[i].Error)
		}
	}
	return nil
}

// table prints everybody as alice and as kim see them on the coming Tuesday.
func (l *Lab) table(ctx context.Context) error {
	w := l.nextWeek()
	w = freebusy.Window{Start: w.Start.Add(24 * time.Hour), End: w.Start.Add(48 * time.Hour)}
	zone, ok := wintz.Location(chinaZone)
	if !ok {
		return fmt.Errorf("no zone %s", chinaZone)
	}
	for _, as := range []string{"alice@" + domain, "kim@" + domain} {
		answers, err := l.ask(ctx, as, slices.Concat(l.addresses(onprem), l.addresses(cloud)), w, freebusy.ViewFreeBusyMerged)
		if err != nil {
			return err
		}
		t := daytable.Table{Window: w, Zone: zone, Note: "as " + as + " sees it from " + hostOf(l, as)}
		for _, a := range answers {
			m, _ := l.file.Mailbox(a.Address)
			row := daytable.Row{Address: a.Address, Where: m.Org, Events: a.Events}
			if a.Error != nil {
				row.Err = a.Error.Error()
			}
			t.Rows = append(t.Rows, row)
		}
		if _, err := fmt.Fprintln(l.o.Out); err != nil {
			return err
		}
		if err := t.Write(l.o.Out); err != nil {
			return err
		}
	}
	return nil
}
