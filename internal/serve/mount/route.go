package mount

import "net/http"

// A Handler answers a request. An error that it returns is logged, and answered
// with 500 without details when nothing was written yet.
type Handler func(w http.ResponseWriter, r *http.Request) error

// A Route is one line of a server's route list.
type Route struct {
	Pattern string // of net/http.ServeMux; the path in lower case, for the request's is folded
	Handler Handler
	Name    string // for logs and metrics: from a closed set
	// Waits says that the requests wait for something to happen, and that the
	// handler bounds their number itself: they do not count as worked on.
	Waits bool
}
