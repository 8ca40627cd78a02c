package directory

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"strings"
	"time"
)

// MaxTokenLifetime bounds AuthorityConfig.TokenLifetime (oauth-s2s reference 8.3).
const MaxTokenLifetime = 24 * time.Hour

// Validate checks the rules of the realm, its domains and its service
// principals. The error joins a *FieldError for each problem.
func (r *Realm) Validate() error {
	c := &checker{}
	c.of("realm", r.Name)
	c.guid("ID", r.ID)
	c.text("Name", r.Name, 256)
	for _, h := range r.ServiceHosts {
		c.pattern("ServiceHosts", h)
	}
	domains, initial, defaults := once{}, 0, 0
	for _, d := range r.Domains {
		c.of("domain", d.Name).domain("Name", d.Name)
		domains.add(c, "Name", d.Name, d.Name, "another domain of the realm")
		if d.Initial {
			initial++
		}
		if d.Default {
			defaults++
		}
	}
	c.of("realm", r.Name)
	if initial != 1 {
		c.bad("Domains", fmt.Sprint(len(r.Domains)), "%d of them are the initial domain, want exactly one", initial)
	}
	if defaults != 1 {
		c.bad("Domains", fmt.Sprint(len(r.Domains)), "%d of them are the default, want exactly one", defaults)
	}
	objects, apps, names, keys := once{}, once{}, once{}, once{}
	for i := range r.Principals {
		p := &r.Principals[i]
		c.of("service principal", p.DisplayName)
		c.text("DisplayName", p.DisplayName, 256)
		c.guid("ObjectID", p.ObjectID)
		c.guid("AppPrincipalID", p.AppPrincipalID)
		objects.add(c, "ObjectID", p.ObjectID, p.ObjectID, "another service principal")
		apps.add(c, "AppPrincipalID", p.AppPrincipalID, p.AppPrincipalID, "another service principal")
		r.checkNames(c, p, names)
		for j := range p.KeyCredentials {
			k := &p.KeyCredentials[j]
			keys.add(c, "KeyID", k.KeyID, k.KeyID, "another key credential")
			k.check(c)
		}
		r.checkRoles(c, p)
		if p.TokenVersion < 0 || p.TokenVersion > 2 {
			c.bad("TokenVersion", fmt.Sprint(p.TokenVersion), "want 1 or 2")
		}
	}
	return c.err()
}

// checkRoles: roles of one application differ in id and value, and each that is
// given exists and is given once.
func (r *Realm) checkRoles(c *checker, p *ServicePrincipal) {
	ids, values, given, assignments := once{}, once{}, once{}, once{}
	for _, role := range p.Roles() {
		c.guid("AppRoles.ID", role.ID)
		c.text("AppRoles.DisplayName", role.DisplayName, 256)
		if role.Value == "" || len(role.Value) > maxRoleValue || strings.ContainsFunc(role.Value, func(r rune) bool { return r <= ' ' || r > '~' }) {
			c.bad("AppRoles.Value", role.Value, "want 1 to %d characters of ASCII without spaces", maxRoleValue)
		}
		ids.add(c, "AppRoles.ID", role.ID, role.ID, "another role")
		values.add(c, "AppRoles.Value", role.Value, role.Value, "another role")
	}
	for _, a := range p.AppRoleAssignments {
		c.guid("AppRoleAssignments.ID", a.ID)
		assignments.add(c, "AppRoleAssignments.ID", a.ID, a.ID, "another assignment")
		if resource := r.Principal(a.ResourceID); resource == nil || resource.Role(a.RoleID) == nil {
			c.bad("AppRoleAssignments.RoleID", a.RoleID, "is no role of an application %s of the realm", a.ResourceID)
		}
		given.add(c, "AppRoleAssignments.RoleID", a.RoleID, a.ResourceID+"/"+a.RoleID, "another assignment to the same application")
	}
}

// maxRoleValue is the limit of Entra.
const maxRoleValue = 250

func (r *Realm) checkNames(c *checker, p *ServicePrincipal, names once) {
	own := false
	for _, s := range p.ServicePrincipalNames {
		n, err := r.CheckSPN(p.AppPrincipalID, s)
		switch {
		case err != nil:
			c.bad("ServicePrincipalNames", s, "%v", err)
			continue
		case n.String() != s:
			c.bad("ServicePrincipalNames", s, "is not in canonical form, want %q", n)
		}
		names.add(c, "ServicePrincipalNames", s, s, fmt.Sprintf("the service principal %q", p.DisplayName))
		own = own || s == p.AppPrincipalID
	}
	if !own {
		c.bad("ServicePrincipalNames", "", "the application id %s is not among them", p.AppPrincipalID)
	}
}

// check holds the rules of oauth-s2s reference 5.2: RSA of 2048 bits or more,
// and dates within the certificate's validity, or no token is issued.
func (k *KeyCredential) check(c *checker) {
	c.guid("KeyCredentials.KeyID", k.KeyID)
	c.oneOf("KeyCredentials.Type", k.Type, "Asymmetric")
	c.oneOf("KeyCredentials.Usage", k.Usage, "Verify")
	cert, err := parseCertificate(k.Value, false)
	if err != nil {
		c.bad("KeyCredentials.Value", k.KeyID, "is no usable certificate: %v", err)
		return
	}
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	if !k.StartDate.Before(k.EndDate) {
		c.bad("KeyCredentials.EndDate", stamp(k.EndDate), "is not after the start %s", stamp(k.StartDate))
	}
	if k.StartDate.Before(cert.NotBefore) {
		c.bad("KeyCredentials.StartDate", stamp(k.StartDate), "is before the certificate becomes valid at %s", stamp(cert.NotBefore))
	}
	if k.EndDate.After(cert.NotAfter) {
		c.bad("KeyCredentials.EndDate", stamp(k.EndDate), "is after the certificate ends at %s", stamp(cert.NotAfter))
	}
}

// Validate checks the cloud's names and the signing certificates.
func (a *AuthorityConfig) Validate() error {
	c := &checker{}
	c.of("cloud", a.Cloud.Name)
	c.text("Name", a.Cloud.Name, maxName)
	c.text("ACSPrincipalID", a.Cloud.ACSPrincipalID, 256)
	c.realm("ACSPrincipalID", a.Cloud.ACSPrincipalID)
	c.domain("ACSHost", a.Cloud.ACSHost)
	if len(a.Cloud.LoginHosts) == 0 {
		c.bad("LoginHosts", "", "is empty")
	}
	for _, l := range []struct {
		field string
		hosts []string
	}{
		{"LoginHosts", a.Cloud.LoginHosts},
		{"AutodiscoverHosts", a.Cloud.AutodiscoverHosts},
		{"EWSHost", optional(a.Cloud.EWSHost)},
		{"GraphHost", optional(a.Cloud.GraphHost)},
		{"CoexistenceSuffix", optional(a.Cloud.CoexistenceSuffix)},
		{"InitialSuffix", optional(a.Cloud.InitialSuffix)},
	} {
		for _, h := range l.hosts {
			c.domain(l.field, h)
		}
	}
	c.https("V1IssuerBase", a.Cloud.V1IssuerBase, false)
	c.https("AuthorizationURI", a.Cloud.AuthorizationURI, false)
	c.of("authorization server", a.Cloud.Name)
	if a.TokenLifetime <= 0 || a.TokenLifetime > MaxTokenLifetime {
		c.bad("TokenLifetime", a.TokenLifetime.String(), "want more than 0 and at most %s", MaxTokenLifetime)
	}
	if len(a.Certificates) == 0 {
		c.bad("Certificates", "", "is empty")
	}
	prints, next := once{}, 0
	for i := range a.Certificates {
		k := &a.Certificates[i]
		k.check(c.of("certificate", k.Thumbprint))
		prints.add(c, "Thumbprint", k.Thumbprint, k.Thumbprint, "another certificate")
		switch {
		case i > 0 && k.EffectiveAt != nil && len(k.Key) == 0:
			c.bad("Key", "", "the next certificate is going to sign and needs its private key")
		case i == 0 && len(k.Key) == 0:
			c.bad("Key", "", "the first certificate signs and needs its private key")
		case i == 0 && (k.EffectiveAt != nil || k.RetiredAt != nil):
			c.bad("EffectiveAt", k.Thumbprint, "the first certificate signs: it is neither the next nor a former one")
		case k.EffectiveAt != nil && k.RetiredAt != nil:
			c.bad("EffectiveAt", k.Thumbprint, "is both the next certificate and a former one")
		case k.EffectiveAt != nil:
			if next++; next > 1 {
				c.bad("EffectiveAt", k.Thumbprint, "there is another next certificate")
			}
		}
		if cert, err := x509.ParseCertificate(k.DER); err == nil {
			if _, ok := cert.PublicKey.(*rsa.PublicKey); !ok {
				c.bad("DER", k.Thumbprint, "an authorization server signs with RSA")
			}
		}
	}
	return c.err()
}

func optional(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}
