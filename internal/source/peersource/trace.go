package peersource

import "busybridge/internal/dial/autodiscoverclient"

// A Trace is told where one question goes: a diagnosis watches by it. Its functions
// may be called by many goroutines; a nil Trace costs nothing.
type Trace struct {
	Discover   func(endpoint string)                                // Autodiscover is about to be asked
	Discovered func(endpoint string, says *autodiscoverclient.User) // what it says of an address
	Ask        func(url string)                                     // a server is about to be asked for calendars
}

func (t *Trace) discover(endpoint string) {
	if t != nil {
		t.Discover(endpoint)
	}
}

func (t *Trace) discovered(endpoint string, says *autodiscoverclient.User) {
	if t != nil {
		t.Discovered(endpoint, says)
	}
}

func (t *Trace) ask(url string) {
	if t != nil {
		t.Ask(url)
	}
}
