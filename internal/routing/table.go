package routing

import (
	"fmt"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
)

// A Table answers for one version of an organization, as one of its servers
// sees it, where addresses live. It does not change and may be shared.
type Table struct {
	accepted      domains[*directory.AcceptedDomain]
	connectors    domains[*directory.IntraOrganizationConnector]
	relationships domains[*directory.OrganizationRelationship]
	spaces        domains[*directory.AvailabilityAddressSpace]
	// old names the version of a server that knows only address spaces, and is
	// empty for a newer one.
	old string
}

// NewTable compiles the routes of org as server sees them. Disabled objects and
// relationships without free/busy are left out; of two objects of one kind for
// the same domain the first counts. A nil server is one that knows every kind.
func NewTable(org *directory.Organization, server *directory.Server) *Table {
	t := &Table{}
	if server != nil && server.AdminDisplayVersion.Less(directory.OAuthVersion) {
		t.old = server.AdminDisplayVersion.String()
	}
	for i := range org.AcceptedDomains {
		d := &org.AcceptedDomains[i]
		t.accepted.add(d.DomainName, d)
	}
	for i := range org.Connectors {
		if c := &org.Connectors[i]; c.Enabled {
			for _, d := range c.TargetAddressDomains {
				t.connectors.add(d, c)
			}
		}
	}
	for i := range org.Relationships {
		if r := &org.Relationships[i]; r.Enabled && r.FreeBusyAccessEnabled {
			for _, d := range r.DomainNames {
				t.relationships.add(d, r)
			}
		}
	}
	for i := range org.AddressSpaces {
		t.spaces.add(org.AddressSpaces[i].ForestName, &org.AddressSpaces[i])
	}
	return t
}

// Route says where asked lives (EWS reference 3.1). r is its directory entry,
// nil when there is none. A mailbox or a group is kept here; a mail user lives
// where its target address says; an address without entry where its domain
// says, unless the domain is one that this organization alone answers for.
// Without a route, Kind is None and Err says why.
func (t *Table) Route(asked smtpaddr.Address, r *directory.Recipient) Route {
	switch {
	case r == nil:
		if d, match, ok := t.accepted.find(asked.Domain()); ok && d.DomainType == authoritative {
			return none(asked, match, NotFound(asked))
		}
		return t.foreign(asked)
	case r.IsMailbox(), r.Type == directory.MailGroup:
		return Route{Kind: Local, Target: asked, Recipient: r}
	case r.Type == directory.MailUser && !r.ExternalAddress.IsZero():
		// A target in a domain of our own that nothing leads out of would come
		// back to us: it is an address that is not there.
		route := t.foreign(r.ExternalAddress)
		if route.Kind == None {
			if d, match, ok := t.accepted.find(route.Target.Domain()); ok && d.DomainType == authoritative {
				return none(route.Target, match, NotFound(route.Target))
			}
		}
		return route
	case r.Type == directory.MailUser:
		return none(asked, "", &MailboxError{Reason: NoRoute, Text: fmt.Sprintf("Mail user %s has no target address.", asked)})
	}
	return none(asked, "", NotFound(asked))
}

const authoritative = "Authoritative"

// foreign routes an address that is not kept here by its domain.
func (t *Table) foreign(target smtpaddr.Address) Route {
	domain := target.Domain()
	c, match, ok := t.connectors.find(domain)
	if ok && t.old == "" {
		return Route{Kind: Connector, Target: target, Connector: c, Match: match}
	}
	r, rmatch, rok := t.relationships.find(domain)
	if rok && t.old == "" {
		return Route{Kind: Relationship, Target: target, Relationship: r, Match: rmatch}
	}
	if s, match, ok := t.spaces.find(domain); ok {
		return Route{Kind: AddressSpace, Target: target, AddressSpace: s, Match: match}
	}
	text := fmt.Sprintf("Configuration information for forest/domain %s could not be found in Active Directory.", domain)
	switch { // only an old server gets here with ok or rok
	case ok:
		text += fmt.Sprintf(" This server (%s) uses availability address spaces only, not connector %q.", t.old, c.Name)
	case rok:
		text += fmt.Sprintf(" This server (%s) uses availability address spaces only, not organization relationship %q.", t.old, r.Name)
	}
	return none(target, "", &MailboxError{Reason: NoRoute, Text: text})
}

func none(target smtpaddr.Address, match string, err *MailboxError) Route {
	return Route{Kind: None, Target: target, Match: match, Err: err}
}

// NotFound is the error of an address that the directory does not know (EWS
// reference 2.7).
func NotFound(a smtpaddr.Address) *MailboxError {
	return &MailboxError{Reason: RecipientNotFound, Text: fmt.Sprintf("Unable to resolve e-mail address %s to an Active Directory object.", a)}
}

// domains finds what a domain belongs to: itself, else the longest "*.parent",
// with the meaning of directory.MatchDomain. A look-up costs one hash for each
// label at most, however many entries there are.
type domains[T any] struct{ exact, wild map[string]T }

// add enters v for "domain" or "*.domain" unless that is taken.
func (d *domains[T]) add(pattern string, v T) {
	pattern = strings.ToLower(pattern)
	m := &d.exact
	if rest, ok := strings.CutPrefix(pattern, "*."); ok {
		m, pattern = &d.wild, rest
	}
	if *m == nil {
		*m = map[string]T{}
	}
	if _, taken := (*m)[pattern]; !taken {
		(*m)[pattern] = v
	}
}

// find returns the entry for domain and the pattern that it was entered by.
func (d *domains[T]) find(domain string) (v T, pattern string, ok bool) {
	if v, ok = d.exact[domain]; ok || len(d.wild) == 0 {
		return v, domain, ok
	}
	for rest := domain; ; {
		_, parent, more := strings.Cut(rest, ".")
		if !more {
			return v, "", false
		}
		if v, ok = d.wild[parent]; ok {
			return v, "*." + parent, true
		}
		rest = parent
	}
}
