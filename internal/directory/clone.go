package directory

import "slices"

// Clone returns a copy that shares no memory with o.
func (o *Organization) Clone() *Organization {
	c := *o
	c.AcceptedDomains = slices.Clone(o.AcceptedDomains)
	c.AuthConfig.NextCertificateEffectiveDate = clonePointer(o.AuthConfig.NextCertificateEffectiveDate)
	c.Certificates = cloneEach(o.Certificates, (*Certificate).own)
	c.AuthServers = cloneEach(o.AuthServers, func(s *AuthServer) {
		own(&s.CertificateStrings, &s.DomainName, &s.AllowedAudiences)
	})
	c.PartnerApplications = cloneEach(o.PartnerApplications, func(p *PartnerApplication) {
		own(&p.CertificateStrings, &p.PendingCertificateStrings, &p.DelegateStrings, &p.AppOnlyPermissions, &p.ActAsPermissions)
	})
	c.LinkedUsers = cloneEach(o.LinkedUsers, func(u *LinkedUser) { own(&u.Roles) })
	c.Connectors = cloneEach(o.Connectors, func(k *IntraOrganizationConnector) { own(&k.TargetAddressDomains) })
	c.Relationships = cloneEach(o.Relationships, func(r *OrganizationRelationship) { own(&r.DomainNames) })
	c.AddressSpaces = cloneEach(o.AddressSpaces, func(a *AvailabilityAddressSpace) { a.Password = slices.Clone(a.Password) })
	c.AvailabilityConfig.EWS.Enabled = clonePointer(o.AvailabilityConfig.EWS.Enabled)
	own(&c.AvailabilityConfig.EWS.AllowedAppIDs)
	c.Servers = cloneEach(o.Servers, func(s *Server) { own(&s.HostNames, &s.AutodiscoverSiteScope) })
	return &c
}

// Clone returns a copy that shares no memory with r.
func (r *Realm) Clone() *Realm {
	c := *r
	own(&c.ServiceHosts)
	c.Domains = slices.Clone(r.Domains)
	c.Principals = cloneEach(r.Principals, func(p *ServicePrincipal) {
		own(&p.ServicePrincipalNames)
		p.AppRoles, p.AppRoleAssignments = slices.Clone(p.AppRoles), slices.Clone(p.AppRoleAssignments)
		p.KeyCredentials = cloneEach(p.KeyCredentials, func(k *KeyCredential) { k.Value = slices.Clone(k.Value) })
	})
	return &c
}

// Clone returns a copy that shares no memory with r.
func (r *Recipient) Clone() *Recipient {
	c := *r
	c.Proxies = slices.Clone(r.Proxies)
	c.Members = slices.Clone(r.Members)
	c.Permissions = slices.Clone(r.Permissions)
	return &c
}

// Clone returns a copy that shares no memory with a.
func (a *Account) Clone() *Account {
	c := *a
	own(&c.Roles, &c.Certificates)
	c.AppPasswords = slices.Clone(a.AppPasswords)
	return &c
}

// Clone returns a copy that shares no memory with a.
func (a *AuthorityConfig) Clone() *AuthorityConfig {
	c := *a
	own(&c.Cloud.LoginHosts, &c.Cloud.AutodiscoverHosts)
	c.Certificates = cloneEach(a.Certificates, (*Certificate).own)
	return &c
}

func (k *Certificate) own() {
	k.DER, k.Key = slices.Clone(k.DER), slices.Clone(k.Key)
	k.EffectiveAt, k.RetiredAt = clonePointer(k.EffectiveAt), clonePointer(k.RetiredAt)
	own(&k.Services)
}

// own replaces lists by copies of their own.
func own(lists ...*[]string) {
	for _, l := range lists {
		*l = slices.Clone(*l)
	}
}

func cloneEach[T any](s []T, own func(*T)) []T {
	s = slices.Clone(s)
	for i := range s {
		own(&s[i])
	}
	return s
}

func clonePointer[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}
