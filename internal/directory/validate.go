package directory

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1" // thumbprints are SHA-1 (oauth-s2s reference 6.1)
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"busybridge/internal/spec/smtpaddr"
)

// MinRSABits is the smallest modulus that is accepted anywhere (oauth-s2s reference 4.5, step 7).
const MinRSABits = 2048

// MaxRelationshipDomains is the limit of DomainNames (cmdlet reference 9.1).
const MaxRelationshipDomains = 238

const maxAllowedAppIDs = 1000 // of EWSAccess

// Validate checks the rules of the organization and of all of its objects. The
// error joins a *FieldError for each problem.
func (o *Organization) Validate() error {
	c := &checker{}
	c.of("organization", o.Name)
	c.guid("ID", string(o.ID))
	c.text("Name", o.Name, maxName)
	if o.Tenant != "" {
		c.guid("Tenant", o.Tenant)
	}
	o.checkAcceptedDomains(c)
	o.checkCertificates(c)
	o.checkAuthConfig(c)
	o.checkAuthServers(c)
	o.checkPartnerApplications(c)
	o.checkLinkedUsers(c)
	o.checkConnectors(c)
	o.checkRelationships(c)
	o.checkAddressSpaces(c)
	c.of("availability configuration", o.Name)
	c.printable("PerUserAccount", o.AvailabilityConfig.PerUserAccount)
	c.printable("OrgWideAccount", o.AvailabilityConfig.OrgWideAccount)
	ids := o.AvailabilityConfig.EWS.AllowedAppIDs
	c.of("organization config", o.Name)
	if n := len(ids); n > maxAllowedAppIDs {
		c.bad("EwsAllowedAppIDs", fmt.Sprint(n), "want at most %d", maxAllowedAppIDs)
		ids = nil
	}
	for i, id := range ids {
		if c.guid("EwsAllowedAppIDs", id); slices.Contains(ids[:i], id) {
			c.bad("EwsAllowedAppIDs", id, "is there twice")
		}
	}
	o.checkServers(c)
	return c.err()
}

// named checks what all objects of a kind have in common. It returns a
// function that is called with each.
func named(c *checker, kind string) func(*Common) {
	names, guids := once{}, once{}
	return func(m *Common) {
		c.of(kind, m.Name)
		c.text("Name", m.Name, maxName)
		c.guid("GUID", m.GUID)
		names.add(c, "Name", m.Name, FoldKey(m.Name), "another "+kind)
		guids.add(c, "GUID", m.GUID, m.GUID, "another "+kind)
	}
}

// FoldKey is the form in which names are compared: without regard to case.
func FoldKey(name string) string { return strings.ToLower(strings.ToUpper(name)) }

func (o *Organization) checkAcceptedDomains(c *checker) {
	common, domains, defaults := named(c, "accepted domain"), once{}, 0
	for i := range o.AcceptedDomains {
		d := &o.AcceptedDomains[i]
		common(&d.Common)
		c.pattern("DomainName", d.DomainName)
		c.oneOf("DomainType", d.DomainType, "Authoritative", "InternalRelay", "ExternalRelay")
		domains.add(c, "DomainName", d.DomainName, d.DomainName, "another accepted domain")
		if d.Default {
			defaults++
			if strings.HasPrefix(d.DomainName, "*.") {
				c.bad("Default", d.DomainName, "a domain with a wildcard cannot be the default")
			}
		}
	}
	if defaults != 1 {
		c.of("organization", o.Name).bad("AcceptedDomains", fmt.Sprint(len(o.AcceptedDomains)), "%d of them are the default, want exactly one", defaults)
	}
}

func (o *Organization) checkCertificates(c *checker) {
	prints := once{}
	for i := range o.Certificates {
		k := &o.Certificates[i]
		k.check(c.of("certificate", k.Thumbprint))
		prints.add(c, "Thumbprint", k.Thumbprint, k.Thumbprint, "another certificate")
	}
}

// check parses the certificate and its key: what is kept can be used.
func (k *Certificate) check(c *checker) {
	if want := Thumbprint(k.DER); k.Thumbprint != want {
		c.bad("Thumbprint", k.Thumbprint, "is not the certificate's, which is %s", want)
	}
	c.printable("FriendlyName", k.FriendlyName)
	cert, err := x509.ParseCertificate(k.DER)
	if err != nil {
		c.bad("DER", k.Thumbprint, "cannot be parsed: %v", err)
		return
	}
	if len(k.Key) == 0 {
		return
	}
	key, err := x509.ParsePKCS8PrivateKey(k.Key)
	if err != nil {
		// The error of the parser may quote the key.
		c.bad("Key", "(secret)", "is no PKCS#8 private key")
		return
	}
	ok := false
	switch key := key.(type) {
	case *rsa.PrivateKey:
		ok = key.PublicKey.Equal(cert.PublicKey)
	case *ecdsa.PrivateKey:
		ok = key.PublicKey.Equal(cert.PublicKey)
	}
	if !ok {
		c.bad("Key", "(secret)", "does not belong to the certificate")
	}
}

// Thumbprint is the SHA-1 of a DER certificate as 40 upper-case hex digits.
func Thumbprint(der []byte) string {
	sum := sha1.Sum(der)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// Certificate is the certificate with the thumbprint, or nil.
func (o *Organization) Certificate(thumbprint string) *Certificate {
	for i := range o.Certificates {
		if o.Certificates[i].Thumbprint == thumbprint {
			return &o.Certificates[i]
		}
	}
	return nil
}

func (o *Organization) checkAuthConfig(c *checker) {
	a := &o.AuthConfig
	c.of("auth configuration", o.Name)
	c.guid("ServiceName", a.ServiceName)
	c.realm("Realm", a.Realm)
	for _, t := range []struct {
		field, thumbprint string
		signs             bool
	}{
		{"CurrentCertificateThumbprint", a.CurrentCertificateThumbprint, true},
		{"PreviousCertificateThumbprint", a.PreviousCertificateThumbprint, false},
		{"NextCertificateThumbprint", a.NextCertificateThumbprint, true},
	} {
		if t.thumbprint == "" {
			continue
		}
		k := o.Certificate(t.thumbprint)
		switch {
		case k == nil:
			c.bad(t.field, t.thumbprint, "no certificate has this thumbprint")
		case t.signs && len(k.Key) == 0:
			c.bad(t.field, t.thumbprint, "the certificate has no private key here")
		}
	}
	if (a.NextCertificateThumbprint == "") != (a.NextCertificateEffectiveDate == nil) {
		c.bad("NextCertificateEffectiveDate", a.NextCertificateThumbprint, "next certificate and effective date belong together")
	}
}

func (o *Organization) checkAuthServers(c *checker) {
	common, defaults, hosts := named(c, "auth server"), once{}, map[[2]string]string{}
	for i := range o.AuthServers {
		s := &o.AuthServers[i]
		common(&s.Common)
		c.oneOf("Type", s.Type, AuthServerACS, AuthServerAzureAD)
		if s.Type == AuthServerAzureAD {
			c.https("IssuerIdentifier", s.IssuerIdentifier, true)
		} else {
			c.text("IssuerIdentifier", s.IssuerIdentifier, 256)
			c.realm("IssuerIdentifier", s.IssuerIdentifier)
		}
		c.realm("Realm", s.Realm)
		c.https("TokenIssuingEndpoint", s.TokenIssuingEndpoint, false)
		c.https("GraphBaseURL", s.GraphBaseURL, false)
		c.https("AuthorizationEndpoint", s.AuthorizationEndpoint, false)
		c.https("AuthMetadataURL", s.AuthMetadataURL, false)
		c.certificates("CertificateStrings", s.CertificateStrings, false)
		for _, d := range s.DomainName {
			c.domain("DomainName", d)
		}
		// A document of another host that claims the issuer of a server that is
		// trusted already is an impostor's.
		if u, err := url.Parse(s.AuthMetadataURL); err == nil && u.Host != "" && s.Realm != "" && s.Type != AuthServerAzureAD {
			key := [2]string{s.IssuerIdentifier, s.Realm}
			if other, ok := hosts[key]; ok && !strings.EqualFold(other, u.Host) {
				c.bad("IssuerIdentifier", s.IssuerIdentifier+"@"+s.Realm, "is that of another auth server, whose metadata come from %s", other)
			}
			hosts[key] = u.Host
		}
		if s.IsDefaultAuthorizationEndpoint {
			defaults.add(c, "IsDefaultAuthorizationEndpoint", "true", "", "another auth server")
		}
	}
}

func (o *Organization) checkPartnerApplications(c *checker) {
	common, apps := named(c, "partner application"), once{}
	for i := range o.PartnerApplications {
		p := &o.PartnerApplications[i]
		common(&p.Common)
		c.text("ApplicationIdentifier", p.ApplicationIdentifier, 256)
		c.realm("ApplicationIdentifier", p.ApplicationIdentifier)
		c.realm("Realm", p.Realm)
		c.realm("IssuerIdentifier", p.IssuerIdentifier)
		if p.LinkedAccount != "" && o.LinkedUser(p.LinkedAccount) == nil {
			c.bad("LinkedAccount", p.LinkedAccount, "is no linked user of the organization: Get-User shows them, New-LinkedUser makes one")
		}
		c.https("AuthMetadataURL", p.AuthMetadataURL, false)
		c.certificates("CertificateStrings", p.CertificateStrings, true)
		c.certificates("PendingCertificateStrings", p.PendingCertificateStrings, true)
		c.certificates("DelegateStrings", p.DelegateStrings, true)
		apps.add(c, "ApplicationIdentifier", p.ApplicationIdentifier, p.ApplicationIdentifier+"@"+p.Realm, "another partner application of the same realm")
		// oauth-s2s reference 4.6: the two forms exclude each other, and direct
		// trust without a pinned realm would accept every realm.
		switch {
		case p.UseAuthServer && (p.AuthMetadataURL != "" || len(p.CertificateStrings)+len(p.PendingCertificateStrings)+len(p.DelegateStrings) > 0):
			c.bad("UseAuthServer", "true", "an application that an auth server vouches for has no metadata or certificates of its own")
		case !p.UseAuthServer && p.Realm == "":
			c.bad("Realm", "", "direct trust needs a realm")
		case !p.UseAuthServer && p.Enabled && len(p.CertificateStrings) == 0:
			c.bad("CertificateStrings", "", "direct trust needs certificates")
		}
	}
}

func (o *Organization) checkLinkedUsers(c *checker) {
	common := named(c, "linked user")
	for i := range o.LinkedUsers {
		u, own := &o.LinkedUsers[i], once{}
		common(&u.Common)
		for _, r := range u.Roles {
			c.oneOf("Roles", r, ApplicationRoles()...)
			own.add(c, "Roles", r, r, "this linked user already")
		}
	}
}

func (o *Organization) checkConnectors(c *checker) {
	common, owner := named(c, "intra-organization connector"), once{}
	for i := range o.Connectors {
		k := &o.Connectors[i]
		common(&k.Common)
		if len(k.TargetAddressDomains) == 0 {
			c.bad("TargetAddressDomains", "", "is empty")
		}
		own := once{}
		for _, d := range k.TargetAddressDomains {
			c.pattern("TargetAddressDomains", d)
			own.add(c, "TargetAddressDomains", d, d, "this connector already")
			// Cmdlet reference 7.1: a domain belongs to one connector only.
			if k.Enabled {
				if by, ok := owner[d]; ok && by != k.Name {
					c.taken("TargetAddressDomains", d, fmt.Sprintf("is taken by the connector %q", by))
				}
				owner[d] = k.Name
			}
		}
		c.https("DiscoveryEndpoint", k.DiscoveryEndpoint, k.TargetSharingEpr == "")
		c.https("TargetSharingEpr", k.TargetSharingEpr, false)
	}
}

func (o *Organization) checkRelationships(c *checker) {
	common, owner := named(c, "organization relationship"), once{}
	for i := range o.Relationships {
		r := &o.Relationships[i]
		common(&r.Common)
		if n := len(r.DomainNames); n == 0 || n > MaxRelationshipDomains {
			c.bad("DomainNames", fmt.Sprint(n), "want 1 to %d domains", MaxRelationshipDomains)
		}
		own := once{}
		for _, d := range r.DomainNames {
			c.pattern("DomainNames", d)
			own.add(c, "DomainNames", d, d, "this relationship already")
			if r.Enabled {
				if by, ok := owner[d]; ok && by != r.Name {
					c.taken("DomainNames", d, fmt.Sprintf("is taken by the relationship %q", by))
				}
				owner[d] = r.Name
			}
		}
		c.oneOf("FreeBusyAccessLevel", r.FreeBusyAccessLevel, "None", "AvailabilityOnly", "LimitedDetails")
		c.printable("TargetApplicationURI", r.TargetApplicationURI)
		c.https("TargetSharingEpr", r.TargetSharingEpr, false)
		c.https("TargetAutodiscoverEpr", r.TargetAutodiscoverEpr, false)
		c.https("TargetOwaURL", r.TargetOwaURL, false)
		if r.MailTipsAccessLevel != "" {
			c.oneOf("MailTipsAccessLevel", r.MailTipsAccessLevel, "None", "Limited", "All")
		}
		if _, err := smtpaddr.Parse(r.OrganizationContact); r.OrganizationContact != "" && err != nil {
			c.bad("OrganizationContact", r.OrganizationContact, "is no mail address")
		}
	}
}

// accessMethods are those that a server here can use; the methods that need
// another protocol (PublicFolder) or a token from tenant to tenant
// (OrgWideFBToken) are not among them.
var accessMethods = []string{InternalProxy, PerUserFB, OrgWideFB, OrgWideFBBasic}

func (o *Organization) checkAddressSpaces(c *checker) {
	common, forests := named(c, "availability address space"), once{}
	for i := range o.AddressSpaces {
		a := &o.AddressSpaces[i]
		common(&a.Common)
		c.domain("ForestName", a.ForestName)
		forests.add(c, "ForestName", a.ForestName, a.ForestName, "another availability address space")
		c.oneOf("AccessMethod", a.AccessMethod, accessMethods...)
		c.https("ProxyURL", a.ProxyURL, false)
		c.https("TargetAutodiscoverEpr", a.TargetAutodiscoverEpr, false)
		c.printable("UserName", a.UserName)
		switch proxy := a.AccessMethod == "InternalProxy"; {
		case a.ProxyURL != "" && !proxy:
			c.bad("ProxyURL", a.ProxyURL, "belongs to the access method InternalProxy")
		case !proxy && !a.UseServiceAccount && a.UserName == "":
			c.bad("AccessMethod", a.AccessMethod, "needs the service account or credentials")
		case a.UserName == "" && len(a.Password) > 0:
			c.bad("UserName", "", "a password without a user name")
		}
	}
}

func (o *Organization) checkServers(c *checker) {
	common, hosts := named(c, "server"), once{}
	for i := range o.Servers {
		s := &o.Servers[i]
		common(&s.Common)
		if len(s.HostNames) == 0 {
			c.bad("HostNames", "", "is empty")
		}
		for _, h := range s.HostNames {
			c.domain("HostNames", h)
			hosts.add(c, "HostNames", h, h, fmt.Sprintf("the server %q", s.Name))
		}
		if s.AdminDisplayVersion.Major < 8 {
			c.bad("AdminDisplayVersion", s.AdminDisplayVersion.String(), "want version 8.0 or later")
		}
		c.https("InternalURL", s.InternalURL, false)
		c.https("ExternalURL", s.ExternalURL, false)
		c.https("AutodiscoverInternalURI", s.AutodiscoverInternalURI, false)
		c.oneOf("EWSApplications", s.EWSApplications, EWSAnyApplication, EWSDedicatedApplications, EWSNoApplication)
		for _, site := range s.AutodiscoverSiteScope {
			c.text("AutodiscoverSiteScope", site, maxName)
		}
	}
}

var (
	errWeakRSA = errors.New("its key is not RSA of 2048 bits or more")
	errWeakKey = errors.New("its key is neither RSA of 2048 bits or more nor P-256")
)

// parseCertificate accepts certificates with an RSA key of MinRSABits or more,
// and with a P-256 key when ec is set.
func parseCertificate(der []byte, ec bool) (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() >= MinRSABits {
			return cert, nil
		}
	case *ecdsa.PublicKey:
		if ec && key.Curve == elliptic.P256() {
			return cert, nil
		}
	}
	if ec {
		return nil, errWeakKey
	}
	return nil, errWeakRSA
}
