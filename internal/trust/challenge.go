package trust

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
)

// ErrNoIssuer: none of the issuers that a resource trusts is configured here.
var ErrNoIssuer = errors.New("no common issuer")

// ChallengeFor is the Bearer challenge of a host that serves orgs (oauth-s2s
// 2.1). One organization lists its enabled AuthServers and then the partners
// that it trusts directly, with their realms. A host of several organizations
// names no tenant: each of their authorization servers stands once, with "@*".
func ChallengeFor(orgs []*directory.Organization) acs.Challenge {
	c := acs.Challenge{ClientID: directory.ExchangeAppID}
	add := func(p acs.PrincipalName) {
		if !slices.Contains(c.TrustedIssuers, p) {
			c.TrustedIssuers = append(c.TrustedIssuers, p)
		}
	}
	for _, org := range orgs {
		if org.AuthConfig.ServiceName != "" {
			c.ClientID = org.AuthConfig.ServiceName
		}
		for i := range org.AuthServers {
			s := &org.AuthServers[i]
			if !s.Enabled {
				continue
			}
			if s.IsDefaultAuthorizationEndpoint && c.AuthorizationURI == "" {
				c.AuthorizationURI = s.AuthorizationEndpoint
			}
			switch {
			case !isACS(s) || realmAt(org, s) == "":
			case s.Realm == "" || len(orgs) > 1:
				add(acs.PrincipalName{PID: s.IssuerIdentifier, Realm: acs.AnyRealm})
			default:
				add(acs.PrincipalName{PID: s.IssuerIdentifier, Realm: s.Realm})
			}
		}
	}
	if len(orgs) == 1 {
		for i := range orgs[0].PartnerApplications {
			if p := &orgs[0].PartnerApplications[i]; p.Enabled && !p.UseAuthServer && p.Realm != "" {
				add(acs.PrincipalName{PID: p.ApplicationIdentifier, Realm: p.Realm})
				for _, text := range p.DelegateStrings {
					if der, err := base64.StdEncoding.DecodeString(text); err == nil {
						c.ES256Keys = append(c.ES256Keys, X5T(der))
					}
				}
			}
		}
	}
	return c
}

func isACS(s *directory.AuthServer) bool {
	return s.Type == directory.AuthServerACS || s.Type == ""
}

// realmAt is the realm of org at s: that of s, else the tenant that a hosted
// organization is. A hosted organization has no other realm than its tenant.
func realmAt(org *directory.Organization, s *directory.AuthServer) string {
	switch {
	case org.Tenant == "":
		return s.Realm
	case s.Realm == "" || s.Realm == org.Tenant:
		return org.Tenant
	}
	return ""
}

// chooseIssuer picks the authorization server that both org and the resource
// trust (oauth-s2s 2.2); one whose DomainName covers the user's domain is
// preferred. Entries "@*" match any realm.
func chooseIssuer(org *directory.Organization, ch acs.Challenge, userDomain string, trace *Trace) (*directory.AuthServer, error) {
	var found *directory.AuthServer
	for i := range org.AuthServers {
		s := &org.AuthServers[i]
		realm := realmAt(org, s)
		if !s.Enabled || !isACS(s) || realm == "" {
			continue
		}
		name := acs.PrincipalName{PID: s.IssuerIdentifier, Realm: realm}
		trusted := slices.ContainsFunc(ch.TrustedIssuers, func(p acs.PrincipalName) bool { return p.Covers(name) })
		trace.compared(s, name, trusted)
		if !trusted {
			continue
		}
		if covers(s.DomainName, userDomain) {
			return s, nil
		}
		if found == nil {
			found = s
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%w: The trusted issuers contained the following entries '%s'. None of them are configured locally.",
			ErrNoIssuer, strings.ToValidUTF8(ch.Issuers, "?"))
	}
	return found, nil
}

func covers(patterns []string, domain string) bool {
	return domain != "" && slices.ContainsFunc(patterns, func(p string) bool { return directory.MatchDomain(p, domain) })
}
