// Package apiserver is the program's own HTTP interface. So far it has what
// busybridge import needs; every answer is JSON, errors are RFC 9457 problems.
package apiserver

import (
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

// Sentinels that an Importer's errors wrap, and what they are answered with.
var (
	ErrForbidden = errors.New("not permitted")                   // 403
	ErrUnusable  = errors.New("not a calendar that can be read") // 422
)

// An Importer reads one calendar file into a mailbox, all or nothing. progress
// is called from time to time with the number of objects stored.
type Importer interface {
	Import(ctx context.Context, caller *callers.Caller, mailbox smtpaddr.Address, name string, r io.Reader, progress func(done, total int)) (directory.ImportSummary, error)
}

// An Authenticator says who sent a request (callers.Authenticator).
type Authenticator interface {
	Authenticate(r *http.Request) (*callers.Caller, error)
	Challenge(w http.ResponseWriter, r *http.Request, err error)
}

// Config is what New needs.
type Config struct {
	Auth      Authenticator // required
	Importer  Importer      // required
	MaxImport int64         // bytes of one file; 0: DefaultMaxImport
}

// A Server answers the routes of this package.
type Server struct{ cfg Config }

// New checks the configuration.
func New(cfg Config) (*Server, error) {
	if cfg.Auth == nil || cfg.Importer == nil {
		return nil, errors.New("apiserver: Config.Auth and Config.Importer are required")
	}
	if cfg.MaxImport <= 0 {
		cfg.MaxImport = DefaultMaxImport
	}
	return &Server{cfg}, nil
}

// Routes are the routes of the server.
func (s *Server) Routes() []mount.Route {
	return []mount.Route{
		{Pattern: "POST /api/v1/mailboxes/{address}/import", Handler: s.importCalendar, Name: "api_import"},
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

// importCalendar reads a text/calendar body into a mailbox; the query parameter
// name is the file's. The status is decided before the first progress line:
// what fails later is the stream's last line.
func (s *Server) importCalendar(w http.ResponseWriter, r *http.Request) error {
	caller, err := s.cfg.Auth.Authenticate(r)
	if err != nil {
		s.cfg.Auth.Challenge(w, r, err)
		return nil
	}
	if caller.Account == nil {
		return writeProblem(w, Problem{"partner organizations cannot import", http.StatusForbidden, ""})
	}
	address, err := smtpaddr.Parse(r.PathValue("address"))
	if err != nil {
		return writeProblem(w, Problem{"no such mailbox", http.StatusNotFound, err.Error()})
	}
	mount.AddAttrs(r.Context(), slog.String(mount.KeyOrg, string(caller.Org.ID)), slog.String(mount.KeyCaller, caller.Account.UserName))
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
	sum, err := s.cfg.Importer.Import(r.Context(), caller, address, name, http.MaxBytesReader(w, r.Body, s.cfg.MaxImport), func(done, total int) {
		wrote = true
		progress(done, total)
	})
	if err == nil {
		return enc.Encode(ImportEvent{Summary: &sum})
	}
	p, known := problemOf(err)
	if wrote {
		return errors.Join(unknown(err, known), enc.Encode(ImportEvent{Problem: &p}))
	}
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
	case errors.Is(err, directory.ErrNotFound):
		return Problem{"no such mailbox", http.StatusNotFound, err.Error()}, true
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
