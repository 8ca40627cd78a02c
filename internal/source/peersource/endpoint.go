package peersource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"busybridge/internal/dial/autodiscoverclient"
	"busybridge/internal/directory"
	"busybridge/internal/routing"
	"busybridge/internal/spec/autodiscover"
	"busybridge/internal/spec/smtpaddr"
)

// A site is the other side of a route as one question reaches it.
type site struct {
	key      string // of the cache: what the endpoint depends on
	endpoint string // of Autodiscover; empty: EWS is asked at once
	org      *directory.Organization
	client   *http.Client
	by       routing.Requester
	sameOrg  bool // another server of the organization, asked as service account
	forest   bool // another forest, asked as an account of it
	// impersonate: the token is an application's, and the question says for whom it asks
	impersonate bool
}

// A place is where one address is asked for: the EWS endpoint, and the address
// that Autodiscover's redirects led to.
type place struct {
	url     string
	address smtpaddr.Address
	cached  bool  // it may have changed since
	err     error // no place; then the rest is zero
}

// A cached is one entry of the cache: a place, or why there is none.
type cached struct {
	url     string
	address smtpaddr.Address // zero: the asked one
	err     error
	expires time.Time
}

func (c *cached) place(asked smtpaddr.Address) place {
	if c.err != nil {
		return place{err: c.err}
	}
	p := place{url: c.url, address: c.address, cached: true}
	if p.address.IsZero() {
		p.address = asked
	}
	return p
}

// A cacheKey names what is known of a whole domain, or of one address that
// differs from its domain.
type cacheKey struct {
	site    string
	domain  string           // empty with an address
	address smtpaddr.Address // zero with a domain
}

// maxCached bounds the cache; when it is full, what is expired goes, then all.
const maxCached = 10_000

// endpoints keeps what Autodiscover said, and lets one question of many at the
// same time ask it.
type endpoints struct {
	mu      sync.Mutex
	m       map[cacheKey]*cached
	flights map[cacheKey]chan struct{} // of domains; closed when the answer is there
}

// get returns the fresh entry for an address or its domain, or nil.
// The caller holds mu.
func (e *endpoints) get(site string, a smtpaddr.Address, now time.Time) *cached {
	for _, key := range [...]cacheKey{{site: site, address: a}, {site: site, domain: a.Domain()}} {
		if c := e.m[key]; c != nil && now.Before(c.expires) {
			return c
		}
	}
	return nil
}

func (e *endpoints) put(key cacheKey, c *cached, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.m) >= maxCached {
		for k, old := range e.m {
			if !now.Before(old.expires) {
				delete(e.m, k)
			}
		}
		if len(e.m) >= maxCached {
			clear(e.m)
		}
	}
	if e.m == nil {
		e.m = map[cacheKey]*cached{}
	}
	e.m[key] = c
}

// putNew is put unless there is a fresh entry for another endpoint.
func (e *endpoints) putNew(key cacheKey, c *cached, now time.Time) bool {
	e.mu.Lock()
	old := e.m[key]
	e.mu.Unlock()
	if old != nil && old.err == nil && old.url != c.url && now.Before(old.expires) {
		return false
	}
	e.put(key, c, now)
	return true
}

// drop removes what leads address a to url.
func (e *endpoints) drop(site string, a smtpaddr.Address, url string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, key := range [...]cacheKey{{site: site, address: a}, {site: site, domain: a.Domain()}} {
		if c := e.m[key]; c != nil && c.err == nil && c.url == url {
			delete(e.m, key)
		}
	}
}

// places finds where addresses are asked for: from the cache, else by
// Autodiscover, all in one question. Of several questions for one domain at
// the same time one asks, and the others wait for it.
func (s *Source) places(ctx context.Context, st *site, addresses []smtpaddr.Address) []place {
	out := make([]place, len(addresses))
	var lead, follow []int
	mine := map[string]chan struct{}{}
	waits := map[string]chan struct{}{}
	now := s.Now()
	s.cache.mu.Lock()
	for i, a := range addresses {
		if c := s.cache.get(st.key, a, now); c != nil {
			out[i] = c.place(a)
			continue
		}
		key := cacheKey{site: st.key, domain: a.Domain()}
		flight := s.cache.flights[key]
		switch {
		case mine[key.domain] != nil:
			lead = append(lead, i)
		case flight != nil:
			waits[key.domain] = flight
			follow = append(follow, i)
		default:
			if s.cache.flights == nil {
				s.cache.flights = map[cacheKey]chan struct{}{}
			}
			mine[key.domain] = make(chan struct{})
			s.cache.flights[key] = mine[key.domain]
			lead = append(lead, i)
		}
	}
	s.cache.mu.Unlock()
	if len(lead)+len(follow) == 0 {
		return out
	}

	budget, cancel := context.WithTimeout(ctx, s.AutodiscoverTimeout)
	defer cancel()
	func() {
		defer func() { // also when discover panics: others wait
			s.cache.mu.Lock()
			defer s.cache.mu.Unlock()
			for domain, flight := range mine {
				delete(s.cache.flights, cacheKey{site: st.key, domain: domain})
				close(flight)
			}
		}()
		s.discoverInto(budget, ctx, st, addresses, lead, out)
	}()
	for _, flight := range waits {
		select {
		case <-flight:
		case <-budget.Done():
		}
	}
	var alone []int // what the others' question did not find out
	now = s.Now()
	s.cache.mu.Lock()
	for _, i := range follow {
		if c := s.cache.get(st.key, addresses[i], now); c != nil {
			out[i] = c.place(addresses[i])
		} else {
			alone = append(alone, i)
		}
	}
	s.cache.mu.Unlock()
	s.discoverInto(budget, ctx, st, addresses, alone, out)
	return out
}

// discoverInto discovers the addresses at the given indexes, keeps what was
// found, and enters it in out. budget is ctx with the time for Autodiscover.
func (s *Source) discoverInto(budget, ctx context.Context, st *site, addresses []smtpaddr.Address, at []int, out []place) {
	if len(at) == 0 {
		return
	}
	ask := make([]smtpaddr.Address, len(at))
	for n, i := range at {
		ask[n] = addresses[i]
	}
	for n, p := range s.discover(budget, st, ask) {
		if ctx.Err() == nil {
			if budget.Err() != nil && errors.Is(p.err, context.DeadlineExceeded) {
				p.err = &discoveryTimeout{st.endpoint, s.AutodiscoverTimeout, p.err}
			}
			s.keep(st, ask[n], p)
		}
		out[at[n]] = p
	}
}

// keep enters a place in the cache. The first place that is found without
// redirect of the address counts for its domain. Of failures only those are kept, and for moments,
// that do not depend on who asked: the address is unknown, or nobody answers.
func (s *Source) keep(st *site, asked smtpaddr.Address, p place) {
	now := s.Now()
	domain, address := cacheKey{site: st.key, domain: asked.Domain()}, cacheKey{site: st.key, address: asked}
	switch {
	case p.err == nil:
		c := &cached{url: p.url, expires: now.Add(s.EndpointTTL)}
		if p.address != asked {
			c.address = p.address
			s.cache.put(address, c, now)
		} else if !s.cache.putNew(domain, c, now) {
			s.cache.put(address, c, now)
		}
	case isOf[*autodiscoverclient.UserError](p.err), isOf[*redirectError](p.err):
		s.cache.put(address, &cached{err: p.err, expires: now.Add(s.FailureTTL)}, now)
	case !isOf[*autodiscoverclient.StatusError](p.err) && !errors.Is(p.err, context.Canceled):
		s.cache.put(domain, &cached{err: p.err, expires: now.Add(s.FailureTTL)}, now)
	}
}

// A pursuit is one address on its way through redirects.
type pursuit struct {
	i        int
	address  smtpaddr.Address
	endpoint string
	seen     map[stop]bool
}

type stop struct {
	endpoint string
	address  smtpaddr.Address
}

// discover asks Autodiscover for addresses and follows its redirects, round by
// round: one question to each endpoint (Autodiscover reference, part 5).
func (s *Source) discover(ctx context.Context, st *site, addresses []smtpaddr.Address) []place {
	out := make([]place, len(addresses))
	var newID func() string // nil: a random one
	if id := st.by.RequestID; id != "" {
		newID = func() string { return id }
	}
	client, err := autodiscoverclient.New(autodiscoverclient.Config{
		HTTP: st.client, UserAgent: "ASAutoDiscover/CrossForest/EmailDomain//" + s.Version.Padded(), NewID: newID,
	})
	if err != nil {
		for i := range out {
			out[i] = place{err: err}
		}
		return out
	}
	open := make([]*pursuit, len(addresses))
	for i, a := range addresses {
		open[i] = &pursuit{i, a, st.endpoint, map[stop]bool{}}
	}
	for len(open) > 0 {
		rounds := map[string][]*pursuit{}
		for _, p := range open {
			rounds[p.endpoint] = append(rounds[p.endpoint], p)
		}
		var wg sync.WaitGroup
		for endpoint, ps := range rounds {
			wg.Go(func() {
				var users []autodiscoverclient.User
				s.Trace.discover(endpoint)
				err := s.contain(ctx, func() (err error) {
					users, err = ask(ctx, client, endpoint, ps)
					return err
				})
				for n, p := range ps {
					if err == nil {
						s.Trace.discovered(endpoint, &users[n])
					}
					if err != nil {
						out[p.i] = place{err: err}
					} else {
						out[p.i] = p.follow(&users[n], st, addresses[p.i])
					}
				}
			})
		}
		wg.Wait()
		next := open[:0]
		for _, p := range open {
			if out[p.i] == (place{}) {
				next = append(next, p)
			}
		}
		open = next
	}
	return out
}

func ask(ctx context.Context, c *autodiscoverclient.Client, endpoint string, ps []*pursuit) ([]autodiscoverclient.User, error) {
	addresses := make([]smtpaddr.Address, len(ps))
	for i, p := range ps {
		addresses[i] = p.address
	}
	r, err := c.UserSettings(ctx, endpoint, addresses, []string{autodiscover.ExternalEwsVersion})
	if err != nil {
		return nil, err
	}
	if len(r.Users) != len(ps) {
		return nil, fmt.Errorf("%d answers for %d addresses", len(r.Users), len(ps))
	}
	return r.Users, nil
}

// follow returns the place that u names, an error, or the zero place when u
// is a redirect, which p then has followed.
func (p *pursuit) follow(u *autodiscoverclient.User, st *site, asked smtpaddr.Address) place {
	p.seen[stop{p.endpoint, p.address}] = true
	switch {
	case u.Err != nil:
		return place{err: u.Err}
	case u.EWSURL != "":
		return place{url: u.EWSURL, address: p.address}
	case u.RedirectURL != "":
		p.endpoint = u.RedirectURL
	case !u.RedirectAddress.IsZero():
		p.address = u.RedirectAddress
		// A redirect into a domain of our own leads back to us.
		if d := p.address.Domain(); d != asked.Domain() && st.org.Accepts(d) {
			return place{err: &redirectError{st.endpoint, asked, fmt.Sprintf("it is redirected to %s, which is in a domain of this organization", p.address)}}
		}
	default:
		return place{err: &redirectError{st.endpoint, asked, "the answer is empty"}}
	}
	switch {
	case p.seen[stop{p.endpoint, p.address}]:
		return place{err: &redirectError{st.endpoint, asked, fmt.Sprintf("redirects go round at %s for %s", p.endpoint, p.address)}}
	case len(p.seen) > autodiscover.MaxRedirects:
		return place{err: &redirectError{st.endpoint, asked, fmt.Sprintf("more than %d redirects", autodiscover.MaxRedirects)}}
	}
	return place{}
}

// A redirectError is an answer of Autodiscover that leads nowhere.
type redirectError struct {
	endpoint string
	asked    smtpaddr.Address
	text     string
}

func (e *redirectError) Error() string {
	return fmt.Sprintf("Autodiscover at '%s' has no endpoint for %s: %s", e.endpoint, e.asked, e.text)
}

// A discoveryTimeout says that Autodiscover used up its part of the time.
type discoveryTimeout struct {
	endpoint string
	after    time.Duration
	err      error
}

func (e *discoveryTimeout) Error() string {
	return fmt.Sprintf("Autodiscover at '%s' gave no answer within %v", e.endpoint, e.after)
}
func (e *discoveryTimeout) Unwrap() error { return e.err }

func isOf[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
