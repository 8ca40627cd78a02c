// Package peersource asks other organizations and other servers about
// calendars: where they are served by Autodiscover, what they contain by EWS.
// Nothing that comes back is believed before it is checked.
package peersource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/routing"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/smtpaddr"
)

// Config is what a Source needs.
type Config struct {
	// Client returns the HTTP client that a question goes out by: it adds the
	// organization's bearer token for the host it calls, on behalf of the
	// requester. With app, a server of Entra, the token is that of the
	// organization's application there. required
	Client func(org *directory.Organization, q routing.Requester, app *directory.AuthServer) *http.Client
	// Service returns the HTTP client that signs in as the service account of the
	// organization, for an address space that is an InternalProxy, else with the
	// credentials of the address space. nil: address spaces are not asked.
	Service func(org *directory.Organization, space *directory.AvailabilityAddressSpace, q routing.Requester) (*http.Client, error)
	Now     func() time.Time // required
	Log     *slog.Logger     // required

	Version             directory.Version // in the User-Agent; zero: directory.OAuthVersion
	AutodiscoverTimeout time.Duration     // of a question's discovery; 0: 10 s (EWS reference 3.3)
	EndpointTTL         time.Duration     // how long an endpoint counts; 0: 4 h
	FailureTTL          time.Duration     // how long a failed discovery counts; 0: 3 s
	MaxBody             int64             // bytes of an EWS answer; 0: the default of ewsclient
	Trace               *Trace            // nil: nobody watches
}

// A Source asks other servers. It may be used by many goroutines.
type Source struct {
	Config
	cache endpoints
	hours ews.HoursMemory
}

// New returns a source.
func New(c Config) (*Source, error) {
	if c.Client == nil || c.Now == nil || c.Log == nil {
		return nil, errors.New("peer source: Client, Now and Log are required")
	}
	if c.Version == (directory.Version{}) {
		c.Version = directory.OAuthVersion
	}
	if c.AutodiscoverTimeout == 0 {
		c.AutodiscoverTimeout = 10 * time.Second
	}
	if c.EndpointTTL == 0 {
		c.EndpointTTL = 4 * time.Hour
	}
	if c.FailureTTL == 0 {
		c.FailureTTL = 3 * time.Second
	}
	return &Source{Config: c}, nil
}

// Ask asks for the addresses of q by route r, and returns a reply for each, in
// the same order. A failure is a *routing.MailboxError in the reply that it
// concerns. An error is one that concerns all.
func (s *Source) Ask(ctx context.Context, org *directory.Organization, r routing.Route, q routing.Query) ([]routing.Reply, error) {
	parts := partsOf(org, r, q.Addresses)
	if len(parts) == 1 {
		return s.ask(ctx, org, r, q, parts[0].app)
	}
	replies := make([]routing.Reply, len(q.Addresses))
	var wg sync.WaitGroup
	for _, p := range parts {
		wg.Go(func() {
			part := q
			part.Addresses = make([]smtpaddr.Address, len(p.at))
			for i, at := range p.at {
				part.Addresses[i] = q.Addresses[at]
			}
			var got []routing.Reply
			err := s.contain(ctx, func() (err error) {
				got, err = s.ask(ctx, org, r, part, p.app)
				return err
			})
			for i, at := range p.at {
				if err != nil {
					replies[at] = routing.Reply{Address: part.Addresses[i], Err: err}
				} else {
					replies[at] = got[i]
				}
			}
		})
	}
	wg.Wait()
	return replies, nil
}

// Prompt implements availability's promptPeers: connections end with the context of
// their question. Who signs in as a service account may wait for the store.
func (*Source) Prompt(r routing.Route) bool { return r.Kind != routing.AddressSpace }

// A part of a question is for the addresses that are asked about with the same
// kind of token.
type part struct {
	app *directory.AuthServer // nil: the challenge decides
	at  []int                 // indexes of the addresses
}

// partsOf splits addresses by the application of Entra that asks about their
// domain. Nearly always that is one part.
func partsOf(org *directory.Organization, r routing.Route, addresses []smtpaddr.Address) []part {
	var parts []part
next:
	for i, a := range addresses {
		var app *directory.AuthServer
		if r.Kind != routing.AddressSpace {
			app = org.ApplicationServer(a.Domain())
		}
		for n := range parts {
			if parts[n].app == app {
				parts[n].at = append(parts[n].at, i)
				continue next
			}
		}
		parts = append(parts, part{app, []int{i}})
	}
	if len(parts) == 0 {
		return []part{{}}
	}
	return parts
}

func (s *Source) ask(ctx context.Context, org *directory.Organization, r routing.Route, q routing.Query, app *directory.AuthServer) ([]routing.Reply, error) {
	if app != nil && app.GraphBaseURL != "" {
		return s.askGraph(ctx, org, q, app)
	}
	switch r.Kind {
	case routing.Connector:
		c := r.Connector
		if c.TargetSharingEpr != "" {
			return s.askAt(ctx, s.oauth(org, q, c.GUID, "", app), c.TargetSharingEpr, q), nil
		}
		return s.discoverAndAsk(ctx, s.oauth(org, q, c.GUID, c.DiscoveryEndpoint, app), q), nil
	case routing.Relationship:
		o := r.Relationship
		switch {
		case usable(o.TargetSharingEpr):
			return s.askAt(ctx, s.oauth(org, q, o.GUID, "", app), o.TargetSharingEpr, q), nil
		case o.TargetSharingEpr == "" && usable(o.TargetAutodiscoverEpr):
			return s.discoverAndAsk(ctx, s.oauth(org, q, o.GUID, o.TargetAutodiscoverEpr, app), q), nil
		}
		return nil, badRelationship(o)
	case routing.AddressSpace:
		return s.askSpace(ctx, org, r.AddressSpace, q)
	}
	return nil, fmt.Errorf("peer source: route %v leads nowhere", r.Kind)
}

// usable reports whether an endpoint of a relationship can be asked with
// OAuth. …/WSSecurity wants the tokens of a federation gateway.
func usable(epr string) bool {
	return epr != "" && !strings.HasSuffix(strings.ToLower(strings.TrimSuffix(epr, "/")), "/wssecurity")
}

func (s *Source) oauth(org *directory.Organization, q routing.Query, guid, endpoint string, app *directory.AuthServer) *site {
	return &site{
		key: string(org.ID) + "\x00" + guid + "\x00" + endpoint, endpoint: endpoint,
		org: org, client: s.Client(org, q.Requester, app), by: q.Requester, impersonate: app != nil,
	}
}

// askAt asks for all addresses at one EWS endpoint.
func (s *Source) askAt(ctx context.Context, st *site, url string, q routing.Query) []routing.Reply {
	at := make([]place, len(q.Addresses))
	for i, a := range q.Addresses {
		at[i] = place{url: url, address: a}
	}
	replies, _ := s.askPlaces(ctx, st, at, q)
	return replies
}

// discoverAndAsk asks each address where Autodiscover says. Where that was
// known from before and is not right any more, it asks Autodiscover anew, once.
func (s *Source) discoverAndAsk(ctx context.Context, st *site, q routing.Query) []routing.Reply {
	at := s.places(ctx, st, q.Addresses)
	replies, moved := s.askPlaces(ctx, st, at, q)
	var gones, others []int
	for i, m := range moved {
		if m == gone {
			s.cache.drop(st.key, q.Addresses[i], at[i].url)
		}
		switch {
		case !at[i].cached:
		case m == gone:
			gones = append(gones, i)
		case m == elsewhere:
			others = append(others, i)
		}
	}
	if len(gones)+len(others) == 0 || ctx.Err() != nil {
		return replies
	}
	anew := make([]place, len(at))
	if len(gones) > 0 {
		addresses := make([]smtpaddr.Address, len(gones))
		for n, i := range gones {
			addresses[n] = q.Addresses[i]
		}
		for n, p := range s.places(ctx, st, addresses) {
			anew[gones[n]] = p
		}
	}
	budget, cancel := context.WithTimeout(ctx, s.AutodiscoverTimeout)
	defer cancel()
	s.discoverInto(budget, ctx, st, q.Addresses, others, anew)

	second := q
	second.Addresses = nil
	var places []place
	var index []int
	for _, i := range append(gones, others...) {
		if p := anew[i]; p.err == nil && (p.url != at[i].url || p.address != at[i].address) {
			second.Addresses = append(second.Addresses, q.Addresses[i])
			places = append(places, p)
			index = append(index, i)
		}
	}
	if len(index) == 0 {
		return replies
	}
	s.Log.DebugContext(ctx, "endpoint moved", slog.String("org", string(st.org.ID)), slog.String("request_id", st.by.RequestID),
		slog.String("from", at[index[0]].url), slog.String("to", places[0].url), slog.Int("mailboxes", len(index)))
	more, _ := s.askPlaces(ctx, st, places, second)
	for n, i := range index {
		replies[i] = more[n]
	}
	return replies
}

// askPlaces asks all endpoints at once, one question each, and says which
// addresses are not served any more where they were asked for.
func (s *Source) askPlaces(ctx context.Context, st *site, at []place, q routing.Query) ([]routing.Reply, []move) {
	replies, moved := make([]routing.Reply, len(at)), make([]move, len(at))
	byURL := map[string][]int{}
	for i, p := range at {
		if p.err != nil {
			replies[i] = routing.Reply{Address: q.Addresses[i], Err: discoveryError(q.Addresses[i], p.err)}
			continue
		}
		byURL[p.url] = append(byURL[p.url], i)
	}
	ask := func(url string, index []int) {
		addresses := make([]smtpaddr.Address, len(index))
		for n, i := range index {
			addresses[n] = at[i].address
		}
		var got []routing.Reply
		err := s.contain(ctx, func() (err error) {
			got, err = s.getUserAvailability(ctx, st, url, addresses, q)
			return err
		})
		for n, i := range index {
			if err != nil {
				replies[i] = routing.Reply{Err: askError(err)}
				moved[i] = movedBy(ctx, err)
			} else {
				replies[i] = got[n]
				moved[i] = movedBy(ctx, got[n].Err)
			}
			replies[i].Address = q.Addresses[i]
		}
	}
	var wg sync.WaitGroup
	for url, index := range byURL {
		if len(byURL) == 1 {
			ask(url, index)
			break
		}
		wg.Go(func() { ask(url, index) })
	}
	wg.Wait()
	return replies, moved
}

// contain makes an error of a panic in f, which runs in a goroutine of ours.
func (s *Source) contain(ctx context.Context, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.Log.ErrorContext(ctx, "panic", slog.String("step", "ask another server"), slog.Any("err", p), slog.String("stack", string(debug.Stack())))
			err = errors.New("internal error")
		}
	}()
	return f()
}
