package app

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"busybridge/internal/directory"
	"busybridge/internal/serve/callers"
	"busybridge/internal/store/sqlstore"
)

// sites finds what is served under a host name. The set of a host stays the
// same value until one of its organizations changes.
type sites struct {
	store *sqlstore.Store

	mu   sync.Mutex // guards sets
	sets map[string]*callers.SiteSet
}

func newSites(store *sqlstore.Store) *sites {
	return &sites{store: store, sets: make(map[string]*callers.SiteSet)}
}

// Site implements callers.Sites.
func (s *sites) Site(ctx context.Context, host string) (*callers.SiteSet, error) {
	orgs, err := s.store.OrganizationsAt(ctx, host)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(orgs) == 0 {
		delete(s.sets, host) // names that are not served are not kept: callers choose them
		return nil, fmt.Errorf("host %q: %w", host, directory.ErrNotFound)
	}
	if set, ok := s.sets[host]; ok && slices.Equal(set.Organizations(), orgs) {
		return set, nil
	}
	list := make([]callers.Site, 0, len(orgs))
	for _, o := range orgs {
		list = append(list, callers.Site{Org: o, Server: serverAt(o, host), Host: host})
	}
	set := callers.NewSiteSet(host, list)
	s.sets[host] = set
	return set, nil
}

// OrganizationsAt implements trust.Organizations.
func (s *sites) OrganizationsAt(ctx context.Context, host string) ([]*directory.Organization, error) {
	set, err := s.Site(ctx, host)
	if err != nil {
		return nil, err
	}
	return set.Organizations(), nil
}

// serverAt is the node of the organization that answers to host.
func serverAt(o *directory.Organization, host string) *directory.Server {
	for i := range o.Servers {
		if slices.Contains(o.Servers[i].HostNames, host) {
			return &o.Servers[i]
		}
	}
	return nil
}
