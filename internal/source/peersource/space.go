package peersource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"busybridge/internal/dial/autodiscoverclient"
	"busybridge/internal/dial/ewsclient"
	"busybridge/internal/directory"
	"busybridge/internal/routing"
)

// askSpace asks by an address space (EWS reference 3.4): a newer server of the
// organization, which asks on, or another forest with an account of it.
func (s *Source) askSpace(ctx context.Context, org *directory.Organization, sp *directory.AvailabilityAddressSpace, q routing.Query) ([]routing.Reply, error) {
	if err := sp.Check(org); err != nil {
		return nil, badSpace(sp, err)
	}
	if s.Service == nil {
		return nil, badSpace(sp, errors.New("this server has no way to sign in elsewhere."))
	}
	client, err := s.Service(org, sp, q.Requester)
	if err != nil {
		return nil, proxyFailed(err)
	}
	if sp.AccessMethod == directory.InternalProxy {
		c := *client
		c.Transport = via{client.Transport, q.Requester.Via}
		return s.askAt(ctx, &site{org: org, client: &c, by: q.Requester, sameOrg: true}, sp.ProxyURL, q), nil
	}
	// The key has the user: what one account is told does not count for another.
	st := &site{
		key: string(org.ID) + "\x00" + sp.GUID + "\x00" + sp.UserName + "\x00" + sp.Discovery(), endpoint: sp.Discovery(),
		org: org, client: client, by: q.Requester, forest: true, impersonate: sp.AccessMethod == directory.PerUserFB,
	}
	replies := s.discoverAndAsk(ctx, st, q)
	for i := range replies {
		if unauthorized(replies[i].Err) {
			replies[i].Err = badCredentials(sp, replies[i].Err)
		}
	}
	return replies, nil
}

// unauthorized reports whether the other side did not let us in.
func unauthorized(err error) bool {
	es, ews := errors.AsType[*ewsclient.StatusError](err)
	as, auto := errors.AsType[*autodiscoverclient.StatusError](err)
	return ews && es.Status == http.StatusUnauthorized || auto && as.Status == http.StatusUnauthorized
}

func badCredentials(sp *directory.AvailabilityAddressSpace, err error) *routing.MailboxError {
	text := err.Error()
	if me, ok := errors.AsType[*routing.MailboxError](err); ok {
		text = me.Text
	}
	return &routing.MailboxError{Reason: routing.CrossForestCredentials, Err: err,
		Text: clean(fmt.Sprintf("The credentials of availability address space %q, user %s, are not accepted. %s", sp.Name, sp.UserName, text), maxText)}
}

// badSpace says why an address space cannot be used.
func badSpace(sp *directory.AvailabilityAddressSpace, err error) *routing.MailboxError {
	me := &routing.MailboxError{Reason: routing.ProxyFailed, Text: fmt.Sprintf("Availability address space %q cannot be used: %v", sp.Name, err), Err: err}
	if e, ok := errors.AsType[*directory.AddressSpaceError](err); ok {
		switch e.Reason {
		case directory.NoCredentials:
			me.Reason = routing.CrossForestCredentials
		case directory.TooOld:
			me.Reason = routing.ServiceDiscoveryFailed
			me.Text = "Unable to find a Client Access server that can serve a request for an intraforest mailbox. " + me.Text
		}
	}
	return me
}

// via says by which servers of the organization a question came (RFC 9110 7.6.3).
type via struct {
	base    http.RoundTripper
	servers []string
}

func (v via) RoundTrip(r *http.Request) (*http.Response, error) {
	if len(v.servers) > 0 {
		r = r.Clone(r.Context())
		r.Header.Set("Via", "1.1 "+strings.Join(v.servers, ", 1.1 "))
	}
	return v.base.RoundTrip(r)
}
