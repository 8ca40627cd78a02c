// Package apiserver is the program's own HTTP interface: calendar files into
// mailboxes, and the calendars of a mailbox. Every answer is JSON, errors are RFC
// 9457 problems.
package apiserver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"busybridge/internal/directory"
	"busybridge/internal/serve/callers"
	"busybridge/internal/serve/mount"
	"busybridge/internal/spec/smtpaddr"
)

// DefaultMaxImport is the size of one calendar file.
const DefaultMaxImport = 64 << 20

// Sentinels that the errors of Calendars wrap, and what they are answered with. A
// directory.ErrNotFound is 404.
var (
	ErrForbidden = errors.New("not permitted")                   // 403
	ErrUnusable  = errors.New("not a calendar that can be read") // 422
	ErrCalendar  = errors.New("not possible")                    // 409
)

// Calendars are those of the mailboxes, for a caller who may change them. A
// calendar is named as people name it.
type Calendars interface {
	// Import reads one calendar file into a calendar ("": the main one), all or
	// nothing. progress is called from time to time with the number of objects stored.
	Import(ctx context.Context, caller *callers.Caller, mailbox smtpaddr.Address, calendar, name string, r io.Reader, progress func(done, total int)) (directory.ImportSummary, error)
	// Folders returns the main calendar first.
	Folders(ctx context.Context, caller *callers.Caller, mailbox smtpaddr.Address) ([]directory.CalendarFolder, error)
	// SetFolder makes a calendar where there is none.
	SetFolder(ctx context.Context, caller *callers.Caller, mailbox smtpaddr.Address, calendar string, transparent bool) (created bool, err error)
	DeleteFolder(ctx context.Context, caller *callers.Caller, mailbox smtpaddr.Address, calendar string) error
}

// An Authenticator says who sent a request (callers.Authenticator).
type Authenticator interface {
	Authenticate(r *http.Request) (*callers.Caller, error)
	Challenge(w http.ResponseWriter, r *http.Request, err error)
}

// Config is what New needs.
type Config struct {
	Auth      Authenticator // required
	Calendars Calendars     // required
	MaxImport int64         // bytes of one file; 0: DefaultMaxImport
}

// A Server answers the routes of this package.
type Server struct{ cfg Config }

// New checks the configuration.
func New(cfg Config) (*Server, error) {
	if cfg.Auth == nil || cfg.Calendars == nil {
		return nil, errors.New("apiserver: Config.Auth and Config.Calendars are required")
	}
	if cfg.MaxImport <= 0 {
		cfg.MaxImport = DefaultMaxImport
	}
	return &Server{cfg}, nil
}

// Routes are the routes of the server.
func (s *Server) Routes() []mount.Route {
	return []mount.Route{
		{Pattern: "POST /api/v1/mailboxes/{address}/import", Handler: s.authenticated(s.importCalendar), Name: "api_import"},
		{Pattern: "GET /api/v1/mailboxes/{address}/calendars", Handler: s.authenticated(s.calendars), Name: "api_calendars"},
		{Pattern: "PUT /api/v1/mailboxes/{address}/calendars", Handler: s.authenticated(s.putCalendar), Name: "api_calendar"},
		{Pattern: "DELETE /api/v1/mailboxes/{address}/calendars", Handler: s.authenticated(s.deleteCalendar), Name: "api_calendar"},
	}
}

// An ImportEvent is one line of the answer of an import, which is a stream of
// JSON objects (application/x-ndjson): progress, then a summary or a problem.
type ImportEvent struct {
	Done    int                      `json:"done,omitempty"`
	Total   int                      `json:"total,omitempty"`
	Summary *directory.ImportSummary `json:"summary,omitempty"`
	Problem *Problem                 `json:"problem,omitempty"`
}

// A Problem is an RFC 9457 problem.
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// authenticated hands over requests of an account that name an address.
func (s *Server) authenticated(h func(http.ResponseWriter, *http.Request, *callers.Caller, smtpaddr.Address) error) mount.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		caller, err := s.cfg.Auth.Authenticate(r)
		if err != nil {
			s.cfg.Auth.Challenge(w, r, err)
			return nil
		}
		if caller.Account == nil {
			return writeProblem(w, Problem{"partner organizations have no calendars here", http.StatusForbidden, ""})
		}
		address, err := smtpaddr.Parse(r.PathValue("address"))
		if err != nil {
			return writeProblem(w, Problem{"no such mailbox", http.StatusNotFound, err.Error()})
		}
		mount.AddAttrs(r.Context(), slog.String(mount.KeyOrg, string(caller.Org.ID)), slog.String(mount.KeyCaller, caller.Account.UserName))
		return h(w, r, caller, address)
	}
}

// A Calendar is one of the calendars of a mailbox.
type Calendar struct {
	Name        string `json:"name"`
	Main        bool   `json:"main,omitempty"`
	Transparent bool   `json:"transparent"` // its events do not count
	Objects     int    `json:"objects"`
}

// calendars lists the calendars of a mailbox, the main one first.
func (s *Server) calendars(w http.ResponseWriter, r *http.Request, caller *callers.Caller, address smtpaddr.Address) error {
	folders, err := s.cfg.Calendars.Folders(r.Context(), caller, address)
	if err != nil {
		return failed(w, err)
	}
	list := make([]Calendar, len(folders))
	for i, f := range folders {
		list[i] = Calendar{Name: cmp.Or(f.Name, directory.MainFolder), Main: f.Name == "", Transparent: f.Transparent, Objects: f.Objects}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(map[string][]Calendar{"calendars": list})
}

// putCalendar makes the calendar that the query parameter calendar names (paths
// have no case), or changes whether it counts: {"transparent": true}.
func (s *Server) putCalendar(w http.ResponseWriter, r *http.Request, caller *callers.Caller, address smtpaddr.Address) error {
	var c struct {
		Transparent bool `json:"transparent"`
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return writeProblem(w, Problem{`the body is not {"transparent": true} or {"transparent": false}`, http.StatusBadRequest, err.Error()})
	}
	created, err := s.cfg.Calendars.SetFolder(r.Context(), caller, address, r.URL.Query().Get("calendar"), c.Transparent)
	switch {
	case err != nil:
		return failed(w, err)
	case created:
		w.WriteHeader(http.StatusCreated)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
	return nil
}

// deleteCalendar deletes the calendar that the query parameter names, with all that is in it.
func (s *Server) deleteCalendar(w http.ResponseWriter, r *http.Request, caller *callers.Caller, address smtpaddr.Address) error {
	if err := s.cfg.Calendars.DeleteFolder(r.Context(), caller, address, r.URL.Query().Get("calendar")); err != nil {
		return failed(w, err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// importCalendar reads a text/calendar body into a mailbox; the query parameter
// name is the file's, calendar the calendar's ("": the main one). The status is
// decided before the first progress line: what fails later is the stream's last
// line.
func (s *Server) importCalendar(w http.ResponseWriter, r *http.Request, caller *callers.Caller, address smtpaddr.Address) error {
	name := r.URL.Query().Get("name")
	if name == "" || len(name) > 255 {
		return writeProblem(w, Problem{"query parameter name: 1 to 255 characters are needed", http.StatusBadRequest, ""})
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	enc, flush := json.NewEncoder(w), http.NewResponseController(w)
	progress := func(done, total int) {
		// A client that went away is noticed by the context; its import goes on or not there.
		if enc.Encode(ImportEvent{Done: done, Total: total}) == nil {
			_ = flush.Flush()
		}
	}
	wrote := false
	sum, err := s.cfg.Calendars.Import(r.Context(), caller, address, r.URL.Query().Get("calendar"), name, http.MaxBytesReader(w, r.Body, s.cfg.MaxImport), func(done, total int) {
		wrote = true
		progress(done, total)
	})
	if err == nil {
		return enc.Encode(ImportEvent{Summary: &sum})
	}
	if p, known := problemOf(err); wrote {
		return errors.Join(unknown(err, known), enc.Encode(ImportEvent{Problem: &p}))
	}
	return failed(w, err)
}

// failed answers an error.
func failed(w http.ResponseWriter, err error) error {
	p, known := problemOf(err)
	return errors.Join(unknown(err, known), writeProblem(w, p))
}

// unknown returns err when nobody has been told the cause, so that it is logged.
func unknown(err error, known bool) error {
	if known {
		return nil
	}
	return err
}

// problemOf is the one table from errors to problems.
func problemOf(err error) (p Problem, known bool) {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return Problem{fmt.Sprintf("the file is larger than %d bytes", tooLarge.Limit), http.StatusRequestEntityTooLarge, ""}, true
	case errors.Is(err, ErrForbidden):
		return Problem{"not permitted", http.StatusForbidden, err.Error()}, true
	case errors.Is(err, ErrCalendar):
		return Problem{"not possible", http.StatusConflict, err.Error()}, true
	case errors.Is(err, directory.ErrNotFound):
		return Problem{"no such mailbox or calendar", http.StatusNotFound, err.Error()}, true
	case errors.Is(err, ErrUnusable):
		return Problem{"the calendar cannot be read", http.StatusUnprocessableEntity, err.Error()}, true
	}
	return Problem{"internal error", http.StatusInternalServerError, ""}, false
}

func writeProblem(w http.ResponseWriter, p Problem) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_, err = w.Write(append(b, '\n'))
	return err
}
