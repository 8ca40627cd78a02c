// Package callers says who is asking: which organization a request was
// addressed to, and which user or partner organization sent it. The servers of
// Exchange Web Services and Autodiscover share it.
package callers

import (
	"context"
	"net"
	"net/http"
	"strings"

	"busybridge/internal/availability"
	"busybridge/internal/directory"
	"busybridge/internal/serve/mount"
	"busybridge/internal/trust"
)

// A Site is the organization and the node that a request was addressed to.
type Site struct {
	Org    *directory.Organization
	Server *directory.Server // the node of Org that answers to Host; nil when it offers no scheme at all
	Host   string            // lower case, without port
}

// Sites knows what is served under a host name.
type Sites interface {
	// Site returns the sites of host (as HostOf gives it). A host that is not
	// served here is directory.ErrNotFound. As long as nothing has changed it
	// should return the same SiteSet, for look-up tables are kept with it.
	Site(ctx context.Context, host string) (*SiteSet, error)
}

// A SiteSet is what one host name serves: one organization on premises, many in
// a cloud. A user's organization then follows from the account, a partner's
// from the realm of its token, and for a request without credentials from the
// domain of the address that it asks about. A SiteSet does not change.
type SiteSet struct {
	Host  string
	sites []Site
	orgs  []*directory.Organization
	byOrg map[directory.OrgID]int
	// byDomain has the accepted domains, those with "*." as they are written.
	byDomain map[string]int
	// oauth and basic say which schemes the node offers under this host.
	oauth, basic bool
}

// NewSiteSet returns the set of the given sites, all of the same host. When two
// organizations accept one domain the first has it.
func NewSiteSet(host string, sites []Site) *SiteSet {
	s := &SiteSet{
		Host: host, sites: sites, orgs: make([]*directory.Organization, len(sites)),
		byOrg: make(map[directory.OrgID]int, len(sites)), byDomain: make(map[string]int, len(sites)),
	}
	for i := range sites {
		org := sites[i].Org
		s.orgs[i], s.byOrg[org.ID] = org, i
		if v := sites[i].Server; v != nil {
			s.oauth = s.oauth || v.OAuthAuthentication
			s.basic = s.basic || v.BasicAuthentication
		}
		for j := range org.AcceptedDomains {
			d := org.AcceptedDomains[j].DomainName
			if _, ok := s.byDomain[d]; !ok {
				s.byDomain[d] = i
			}
		}
	}
	return s
}

// All returns every site. The slice is the set's own.
func (s *SiteSet) All() []Site { return s.sites }

// Organizations returns the organizations, always in the same slice, which is
// the set's own: what trust.Organizations has to return.
func (s *SiteSet) Organizations() []*directory.Organization { return s.orgs }

// ByOrg returns the site of one organization.
func (s *SiteSet) ByOrg(id directory.OrgID) (Site, bool) {
	i, ok := s.byOrg[id]
	if !ok {
		return Site{}, false
	}
	return s.sites[i], true
}

// ByDomain returns the site of the organization that accepts domain (an A-label
// in lower case): the domain itself, else the nearest "*." above it.
func (s *SiteSet) ByDomain(domain string) (Site, bool) {
	if i, ok := s.byDomain[domain]; ok {
		return s.sites[i], true
	}
	for rest := domain; ; {
		_, above, ok := strings.Cut(rest, ".")
		if !ok {
			return Site{}, false
		}
		if i, ok := s.byDomain["*."+above]; ok {
			return s.sites[i], true
		}
		rest = above
	}
}

// Only returns the site when the host serves exactly one organization.
func (s *SiteSet) Only() (Site, bool) {
	if len(s.sites) != 1 {
		return Site{}, false
	}
	return s.sites[0], true
}

// HostOf is the host that a request was addressed to: lower case, without port
// and trailing dot.
func HostOf(r *http.Request) string {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// A Caller is who asks: a user with an account, or a partner organization.
type Caller struct {
	Site    Site
	Org     *directory.Organization // Site.Org: whose data is asked for
	Account *directory.Account      // nil for a partner
	// AppPassword is the name of the app password that the account signed in with, if any.
	AppPassword string
	// ApplicationID is the application whose token it is: a partner's, or one that a
	// user signed in to; "": who signed in himself.
	ApplicationID string
	Recipient     *directory.Recipient // the caller's own mailbox or mail user; nil if none
	Partner       *trust.Caller        // nil for a user
}

// Name is who asks, for logs: a user name, or an application and its realm.
func (c *Caller) Name() string {
	switch {
	case c.Partner != nil:
		return c.Partner.ApplicationID + "@" + c.Partner.Realm
	case c.Account != nil:
		return c.Account.UserName
	}
	return ""
}

// Forest reports whether another forest asks with the account; perUser: it may say
// for whom.
func (c *Caller) Forest() (forest, perUser bool) {
	if c.Account == nil {
		return false, false
	}
	return c.Org.AvailabilityConfig.IsForest(c.Account.UserName)
}

// Asker is the caller of a question.
func (c *Caller) Asker() availability.Caller {
	if forest, _ := c.Forest(); forest {
		return availability.Caller{Forest: true}
	}
	return availability.Caller{Recipient: c.Recipient, Partner: c.Partner}
}

// budget is whose turn a request of the caller takes. A server that asks for its
// users, of whichever organization, has what a partner has.
func (c *Caller) budget() mount.Caller {
	b := mount.Caller{Kind: mount.User, Org: string(c.Org.ID)}
	forest, _ := c.Forest()
	switch {
	case c.Partner != nil:
		b.Kind, b.Name, b.Realm = mount.Partner, c.Partner.ApplicationID, c.Partner.Realm
	case forest, c.Account.HasRole(directory.RoleImpersonation):
		b.Kind, b.Name = mount.Partner, c.Account.UserName
	default:
		b.Name = c.Account.UserName
	}
	return b
}
