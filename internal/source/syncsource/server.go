package syncsource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"busybridge/internal/dial/safehttp"
	"busybridge/internal/dial/winauth"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
)

// Servers asks other servers about one mailbox each. They cannot be asked what
// changed, nor about all of time: a window of whole days around today is asked
// about, in parts, and copied whole. What is outside of it is copied as time without
// data.
type Servers struct {
	Transport *http.Transport // required: one of safehttp
	Dial      safehttp.Config // its Timeout and redirect rules are not used
	Now       func() time.Time
	// Application signs requests in as the application of a source; required. An error
	// of it, and one of its RoundTripper when it has no token, is a *safehttp.FaultError.
	Application func(ctx context.Context, source *directory.CalendarSource) (http.RoundTripper, error)
	Timeout     time.Duration // of one question; 0: a minute
}

const (
	serverTimeout  = time.Minute
	attemptTimeout = 5 * time.Minute // of all questions; well below claimFor
	maxQuestions   = 200             // of one attempt
	minPart        = time.Hour
	// partEntries is what servers return at most for one question (EWS reference 2.2, 5.3).
	partEntries = 1000
)

// errTooMuch: the answer is not whole; about less time it may be.
var errTooMuch = errors.New("there is more than the server tells at once")

// walk asks about w in parts of the given length, and in halves again about a part
// of which there was too much.
func walk(ctx context.Context, w freebusy.Window, length time.Duration, v *directory.CalendarSource, ask func(context.Context, freebusy.Window) ([]entry, error)) (*picture, error) {
	p := &picture{Window: w}
	var parts []freebusy.Window // those to ask about, the first last
	for end := w.End; end.After(w.Start); {
		start := w.Start.Add((end.Sub(w.Start) - 1).Truncate(length))
		parts = append(parts, freebusy.Window{Start: start, End: end})
		end = start
	}
	for asked := 0; len(parts) > 0; asked++ {
		part := parts[len(parts)-1]
		parts = parts[:len(parts)-1]
		list, err := ask(ctx, part)
		switch half := part.Duration() / 2; {
		case errors.Is(err, errTooMuch) && half >= minPart && asked < maxQuestions:
			middle := part.Start.Add(half.Truncate(time.Minute))
			parts = append(parts, freebusy.Window{Start: middle, End: part.End}, freebusy.Window{Start: part.Start, End: middle})
			continue
		case errors.Is(err, errTooMuch):
			return nil, &failed{name: FailureEvents, text: fmt.Sprintf("from %s to %s %v", part.Start.Format(time.RFC3339), part.End.Format(time.RFC3339), err)}
		case err != nil:
			return nil, err
		}
		p.add(part, list)
		if len(p.entries) > v.MaxEvents {
			return nil, &failed{name: FailureEvents, text: fmt.Sprintf("more than %d entries", v.MaxEvents)}
		}
	}
	return p, nil
}

// copyOf is the result of an attempt.
func copyOf(v *directory.CalendarSource, p *picture, method string) *Result {
	return &Result{Text: p.text(v.ID), Method: method, From: p.Start, To: p.End, around: p.around()}
}

// window is what is asked about now.
func (s *Servers) window(v *directory.CalendarSource) freebusy.Window {
	from, to := v.Server.Days(s.Now())
	return freebusy.Window{Start: from, End: to}
}

// client is an HTTP client that signs in as the source says, and whose errors are
// faults. done is to be called when it is no longer needed.
func (s *Servers) client(ctx context.Context, v *directory.CalendarSource, mediaType string) (c *http.Client, done func(), err error) {
	done = func() {}
	var rt http.RoundTripper
	switch v.Server.Authentication {
	case directory.SourceBasic:
		rt = safehttp.BasicAuth{Base: s.Transport, User: v.UserName, Password: string(v.Password)}
	case directory.SourceNTLM:
		own := winauth.OneConnection(s.Transport)
		rt, done = winauth.NTLM{Base: own, User: v.UserName, Password: string(v.Password)}, own.CloseIdleConnections
	case directory.SourceOAuth:
		if rt, err = s.Application(ctx, v); err != nil {
			return nil, nil, err
		}
	default:
		return nil, nil, &failed{name: FailureKind, text: fmt.Sprintf("authentication %q is not known to this program", v.Server.Authentication)}
	}
	dial := s.Dial
	// Of a question with credentials redirects lead nowhere.
	dial.Timeout, dial.MaxRedirects, dial.RedirectAnywhere, dial.RedirectHosts = s.Timeout, -1, false, nil
	if dial.Timeout == 0 {
		dial.Timeout = serverTimeout
	}
	return safehttp.Client(faults{rt, mediaType, s.Now}, dial), done, nil
}
