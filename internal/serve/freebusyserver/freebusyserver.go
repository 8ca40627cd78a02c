// Package freebusyserver serves free/busy at a URL for each address, as a VFREEBUSY
// that is published (RFC 5546 3.3.1): what calendar programs read that know no
// other protocol. The query parameters are those of the Freebusy Read URL of
// CalConnect (CC/S 0903).
//
// Who has signed in sees what he sees elsewhere, and of partner organizations,
// too; an answer holds time and status in any case. Anybody else sees what a
// calendar grants to Anonymous, and does not learn which mailboxes exist: what is
// not open to all asks for credentials.
package freebusyserver

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"busybridge/internal/availability"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/serve/callers"
	"busybridge/internal/serve/mount"
	"busybridge/internal/spec/ical"
	"busybridge/internal/spec/smtpaddr"
)

// slot is that of answers of which only a merged string is known.
const slot = 15 * time.Minute

// An Asker answers questions; *availability.Engine is one.
type Asker interface {
	Ask(ctx context.Context, q *availability.Question) ([]availability.Answer, error)
}

// An Authenticator says who sent a request; *callers.Authenticator is one.
type Authenticator interface {
	Authenticate(r *http.Request) (*callers.Caller, error)
	Challenge(w http.ResponseWriter, r *http.Request, err error)
	// Site is what is served under the host of r.
	Site(r *http.Request) (*callers.SiteSet, error)
	// Anonymous waits for the turn of somebody who has not said who he is.
	Anonymous(r *http.Request, org directory.OrgID) error
}

// A Config is what a Server needs.
type Config struct {
	Engine Asker            // required
	Auth   Authenticator    // required
	Now    func() time.Time // required
	Log    *slog.Logger     // required
}

// A Server answers the routes of this package.
type Server struct{ cfg Config }

// New checks the configuration.
func New(cfg Config) (*Server, error) {
	if cfg.Engine == nil || cfg.Auth == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("free/busy server: Engine, Auth, Now and Log are required")
	}
	return &Server{cfg}, nil
}

// Routes are the routes of the server. A name is an address, with .ifb or .vfb
// behind it or without.
func (s *Server) Routes() []mount.Route {
	return []mount.Route{{Pattern: "GET /freebusy/{name}", Handler: s.serve, Name: "freebusy"}}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Vary", "Authorization")
	name := r.PathValue("name")
	for _, ending := range []string{".ifb", ".vfb"} {
		name = strings.TrimSuffix(name, ending)
	}
	address, _ := smtpaddr.Parse(name) // zero is told below
	q := &availability.Question{
		Attendees: []availability.Attendee{{Raw: name, Address: address}}, View: freebusy.ViewFreeBusyMerged, Slot: slot, RequestID: mount.RequestID(r.Context()),
	}
	err := s.asked(r, address, q)
	switch {
	case errors.Is(err, errApplication):
		http.Error(w, "The application may not ask here.", http.StatusForbidden)
		return nil
	case err != nil:
		s.cfg.Auth.Challenge(w, r, err)
		return nil
	case address.IsZero():
		http.Error(w, "The name is no mail address.", http.StatusNotFound)
		return nil
	}
	mount.AddAttrs(r.Context(), slog.String(mount.KeyOrg, string(q.Org.ID)), slog.Int(mount.KeyMailboxes, 1))
	if q.Window, err = window(r.URL.Query(), s.cfg.Now()); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return nil
	}
	answers, err := s.cfg.Engine.Ask(r.Context(), q)
	if err == nil && len(answers) != 1 {
		err = fmt.Errorf("got %d answers", len(answers))
	}
	if err != nil {
		return fmt.Errorf("ask about %s: %w", address, err)
	}
	rep := &answers[0].Reply
	switch {
	case rep.Err != nil && q.Caller.Anonymous: // whatever it is
		s.cfg.Auth.Challenge(w, r, callers.ErrNoCredentials)
		return nil
	case rep.Err != nil:
		return s.fail(w, r, rep.Err)
	}
	return s.publish(w, r, ical.FreeBusy{
		UID: "freebusy:" + address.String(), Organizer: "mailto:" + address.String(), URL: "https://" + r.Host + "/freebusy/" + address.String() + ".ifb",
		Start: q.Window.Start, End: q.Window.End, Periods: Periods(rep, q.Window, slot),
	})
}

var errApplication = errors.New("the application is refused")

// asked fills in who asks whom. An error is for Challenge.
func (s *Server) asked(r *http.Request, address smtpaddr.Address, q *availability.Question) error {
	c, err := s.cfg.Auth.Authenticate(r)
	if err == nil {
		q.Org, q.Server, q.Caller = c.Org, c.Site.Server, c.Asker()
		// What is closed to it as EWS is not open as a URL.
		if c.ApplicationID != "" && c.Org.RefusesEWS(c.Site.Server, c.ApplicationID) {
			return errApplication
		}
		if c.Account != nil {
			mount.AddAttrs(r.Context(), slog.String(mount.KeyCaller, c.Account.UserName))
		}
		return nil
	}
	if !errors.Is(err, callers.ErrNoCredentials) || r.Header.Get("Authorization") != "" {
		return err
	}
	sites, siteErr := s.cfg.Auth.Site(r)
	if siteErr != nil {
		return siteErr
	}
	site, ok := sites.ByDomain(address.Domain())
	if !ok {
		return err
	}
	q.Org, q.Server, q.Caller = site.Org, site.Server, availability.Caller{Anonymous: true}
	return s.cfg.Auth.Anonymous(r, site.Org.ID)
}

// window is the span that the parameters ask for: from the beginning of today, as
// long as a question may be, unless they say something else. A longer one is cut:
// clients look at what they get (CC/S 0903 4).
func window(p url.Values, now time.Time) (freebusy.Window, error) {
	var w freebusy.Window
	for name := range p {
		if n := len(p[name]); n > 1 {
			return w, fmt.Errorf("parameter %.20q is there %d times", name, n)
		}
	}
	y, m, d := now.UTC().Date()
	w.Start = time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	var err error
	if v := p.Get("start"); v != "" {
		if w.Start, err = instant(v); err != nil {
			return w, fmt.Errorf("start: %w", err)
		}
	}
	w.End = w.Start.Add(freebusy.MaxWindow)
	switch end, period := p.Get("end"), p.Get("period"); {
	case end != "" && period != "":
		return w, errors.New("parameters end and period exclude each other")
	case end != "":
		if w.End, err = instant(end); err != nil {
			return w, fmt.Errorf("end: %w", err)
		}
	case period != "":
		length, err := ical.ParseDuration(period)
		if err != nil {
			return w, fmt.Errorf("period: %w", err)
		}
		w.End = w.Start.Add(length)
	}
	if last := w.Start.Add(freebusy.MaxWindow); w.End.After(last) {
		w.End = last
	}
	return freebusy.NewWindow(w.Start, w.End)
}

// instant reads a time with its offset, as RFC 3339 or iCalendar write it. In a
// query, a plus sign that nobody has escaped is a blank.
func instant(s string) (time.Time, error) {
	s = strings.Replace(s, " ", "+", 1)
	for _, layout := range []string{time.RFC3339, "20060102T150405Z"} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() > 0 && t.Year() < 9999 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is no time with an offset, such as 2026-11-23T08:00:00Z", s)
}

// statuses are those that an answer shows, the strongest first. A client that
// reads overlapping periods would add them up, or keep the last. That somebody is
// there for an unknown purpose is busy.
var statuses = []struct {
	is   freebusy.Status
	show ical.Status
}{{freebusy.OOF, ical.OOF}, {freebusy.Busy, ical.Busy}, {freebusy.NoData, ical.Busy}, {freebusy.Tentative, ical.Tentative}}

// Periods are the busy times of a reply within w: in order, none of them
// overlapping another, each with the strongest status. Of what only a merged
// string is known, its slots count; those without data are left out.
func Periods(r *routing.Reply, w freebusy.Window, slot time.Duration) []ical.Period {
	events := r.Events
	if r.View&freebusy.ViewEvents == 0 {
		for i := range len(r.Merged) {
			if d := r.Merged[i]; d >= '1' && d <= '3' {
				from := w.Start.Add(time.Duration(i) * slot)
				events = append(events, freebusy.Interval{Start: from, End: from.Add(slot), Status: freebusy.Status(d - '0')})
			}
		}
	}
	// A change is where an event begins (1) or ends (-1).
	type change struct {
		at time.Time
		of freebusy.Status
		by int
	}
	changes := make([]change, 0, 2*len(events))
	for i := range events {
		e := &events[i]
		if !w.Overlaps(e.Start, e.End) {
			continue
		}
		from, until := e.Start, e.End
		if from.Before(w.Start) {
			from = w.Start
		}
		if until.After(w.End) {
			until = w.End
		}
		changes = append(changes, change{from, e.Status, 1}, change{until, e.Status, -1})
	}
	slices.SortFunc(changes, func(a, b change) int { return a.at.Compare(b.at) })
	var out []ical.Period
	var open [freebusy.NoData + 1]int
	for i, c := range changes {
		open[min(c.of, freebusy.NoData)] += c.by
		if i+1 == len(changes) || changes[i+1].at.Equal(c.at) {
			continue
		}
		for _, s := range statuses {
			if open[s.is] == 0 {
				continue
			}
			until := changes[i+1].at
			if n := len(out) - 1; n >= 0 && out[n].End.Equal(c.at) && out[n].Status == s.show {
				out[n].End = until
			} else {
				out = append(out, ical.Period{Start: c.at, End: until, Status: s.show})
			}
			break
		}
	}
	return out
}

// publish writes the answer, or that the client has it already. The tag is of what
// the answer says; when it was made does not count.
func (s *Server) publish(w http.ResponseWriter, r *http.Request, fb ical.FreeBusy) error {
	sum := sha256.Sum256(ical.AppendFreeBusy(nil, fb))
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	h := w.Header()
	h.Set("ETag", "W/"+tag)
	h.Set("Cache-Control", "private, no-cache")
	if has(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	fb.Stamp = s.cfg.Now()
	body := ical.AppendFreeBusy(nil, fb)
	h.Set("Content-Type", "text/calendar; charset=utf-8; component=vfreebusy; method=PUBLISH")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(body)
	return err
}

// has reports whether If-None-Match names the tag (RFC 9110 13.1.2).
func has(lines []string, tag string) bool {
	for _, line := range lines {
		for t := range strings.SplitSeq(line, ",") {
			if t = strings.TrimSpace(t); t == "*" || strings.TrimPrefix(t, "W/") == tag {
				return true
			}
		}
	}
	return false
}

// refusals are the statuses of what one mailbox has no answer for; any other is
// of a server behind us.
var refusals = map[routing.Reason]int{
	routing.RecipientNotFound: http.StatusNotFound,
	routing.InvalidAddress:    http.StatusNotFound,
	routing.NoRoute:           http.StatusNotFound,
	routing.NoAccess:          http.StatusForbidden,
	routing.ProxyNotAllowed:   http.StatusForbidden,
	routing.SharingPolicy:     http.StatusForbidden,
	routing.TooManyEvents:     http.StatusBadRequest,
	routing.GroupTooBig:       http.StatusBadRequest,
	routing.GenerationFailed:  http.StatusInternalServerError,
	routing.TimedOut:          http.StatusGatewayTimeout,
}

// remote are those of the codes that another server gave.
var remote = map[string]int{
	"ErrorMailRecipientNotFound": http.StatusNotFound,
	"ErrorNoFreeBusyAccess":      http.StatusForbidden,
	"ErrorResultSetTooBig":       http.StatusBadRequest,
}

// fail answers somebody who has signed in. An error without a reason is for the log.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) error {
	me, ok := errors.AsType[*routing.MailboxError](err)
	if !ok {
		return err
	}
	mount.AddAttrs(r.Context(), slog.String("fault", string(me.Reason)))
	http.Error(w, me.Text, cmp.Or(refusals[me.Reason], remote[me.Code], http.StatusBadGateway))
	return nil
}
