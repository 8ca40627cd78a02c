package trust

import (
	"slices"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
)

// An anchor is what an organization trusts a token by: an authorization server,
// or a partner application that it trusts directly.
type anchor struct {
	org     *directory.Organization
	server  *directory.AuthServer         // nil under direct trust
	partner *directory.PartnerApplication // nil for a server
}

func (a anchor) certificates() []string {
	if a.server != nil {
		return a.server.CertificateStrings
	}
	return a.partner.CertificateStrings
}

// ownRealm reports whether realm, of an audience, names the organization: step
// 11 of oauth-s2s 4.5. An accepted domain with "*" is no realm.
func (a anchor) ownRealm(realm string) bool {
	if realm == "" || strings.HasPrefix(realm, "*") {
		return false
	}
	switch realm {
	case a.org.Tenant, a.org.AuthConfig.Realm:
		return true
	}
	if a.server != nil && realmAt(a.org, a.server) == realm || a.partner != nil && a.partner.Realm == realm {
		return true
	}
	return slices.ContainsFunc(a.org.AcceptedDomains, func(d directory.AcceptedDomain) bool { return d.DomainName == realm })
}

// anchorIn is step 5 for one organization: an enabled AuthServer with this issuer
// and exactly this realm, or an enabled partner under direct trust.
func anchorIn(org *directory.Organization, iss acs.PrincipalName) (anchor, bool) {
	for i := range org.AuthServers {
		s := &org.AuthServers[i]
		if s.Enabled && isACS(s) && s.IssuerIdentifier == iss.PID && realmAt(org, s) == iss.Realm {
			return anchor{org: org, server: s}, true
		}
	}
	for i := range org.PartnerApplications {
		p := &org.PartnerApplications[i]
		if p.Enabled && !p.UseAuthServer && p.Realm == iss.Realm && (p.ApplicationIdentifier == iss.PID || p.IssuerIdentifier != "" && p.IssuerIdentifier == iss.PID) {
			return anchor{org: org, partner: p}, true
		}
	}
	return anchor{}, false
}

// An index finds the organizations of one host by the realm of an issuer. It
// belongs to one slice of organizations.
type index struct {
	of      []*directory.Organization
	byRealm map[string][]*directory.Organization
	byID    map[directory.OrgID]*directory.Organization
}

// maxIndexes bounds the hosts for which an index is kept.
const maxIndexes = 256

// index returns the index of orgs, made anew when the slice is another one.
func (v *Validator) index(host string, orgs []*directory.Organization) *index {
	v.mu.Lock()
	defer v.mu.Unlock()
	if x := v.indexes[host]; x != nil && len(x.of) == len(orgs) && &x.of[0] == &orgs[0] {
		return x
	}
	x := &index{of: orgs, byRealm: make(map[string][]*directory.Organization), byID: make(map[directory.OrgID]*directory.Organization, len(orgs))}
	for _, org := range orgs {
		x.byID[org.ID] = org
		add := func(realm string) {
			if realm != "" && !slices.Contains(x.byRealm[realm], org) {
				x.byRealm[realm] = append(x.byRealm[realm], org)
			}
		}
		for i := range org.AuthServers {
			add(realmAt(org, &org.AuthServers[i]))
		}
		for i := range org.PartnerApplications {
			if p := &org.PartnerApplications[i]; !p.UseAuthServer {
				add(p.Realm)
			}
		}
	}
	if len(v.indexes) >= maxIndexes {
		clear(v.indexes)
	}
	v.indexes[host] = x
	return x
}

// current reports whether org is still the newest snapshot.
func (x *index) current(org *directory.Organization) bool {
	now := x.byID[org.ID]
	return now != nil && now.Version == org.Version
}

// anchor finds the trust anchor of an issuer. Several organizations of a host
// may trust one partner directly; the realm of the audience then chooses.
func (x *index) anchor(iss acs.PrincipalName, audienceRealm string) (anchor, bool) {
	var first anchor
	found := false
	for _, org := range x.byRealm[iss.Realm] {
		a, ok := anchorIn(org, iss)
		if !ok {
			continue
		}
		if a.ownRealm(audienceRealm) {
			return a, true
		}
		if !found {
			first, found = a, true
		}
	}
	return first, found
}
