package directory

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// The access methods of address spaces (EWS reference 3.4). PublicFolder and
// OrgWideFBToken are not among them.
const (
	InternalProxy  = "InternalProxy"  // a newer server of the same organization asks on
	PerUserFB      = "PerUserFB"      // another forest, as an account of it, for the user who asks
	OrgWideFB      = "OrgWideFB"      // the same, for nobody in particular
	OrgWideFBBasic = "OrgWideFBBasic" // the same, by HTTP Basic only
)

// An AddressSpaceError says why no question can go by an address space.
type AddressSpaceError struct {
	Reason AddressSpaceReason
	Text   string // a sentence about it
}

func (e *AddressSpaceError) Error() string { return e.Text }

// An AddressSpaceReason is the kind of an AddressSpaceError.
type AddressSpaceReason uint8

// The reasons.
const (
	NotConfigured AddressSpaceReason = iota // something is missing, or leads elsewhere
	NoCredentials                           // for another forest
	TooOld                                  // the server that it names
)

// Check returns nil when questions of the organization can go by the address
// space, else an *AddressSpaceError. The password of the service account goes to
// servers of the organization only; which of them can ask on is a matter of their
// version (article, step 8).
func (a *AvailabilityAddressSpace) Check(o *Organization) error {
	fail := func(r AddressSpaceReason, format string, args ...any) error {
		return &AddressSpaceError{r, fmt.Sprintf(format, args...)}
	}
	if a.AccessMethod != InternalProxy {
		switch {
		case a.UserName != "" && len(a.Password) > 0:
			return nil
		case a.UseServiceAccount:
			return fail(NoCredentials, "the service account of the organization is unknown in another forest. Use -Credentials.")
		}
		return fail(NoCredentials, "it has no credentials. Use -Credentials with an account of the other forest.")
	}
	switch {
	case a.ProxyURL == "":
		return fail(NotConfigured, "it has no ProxyUrl.")
	case !a.UseServiceAccount:
		return fail(NotConfigured, "%s needs -UseServiceAccount $true.", InternalProxy)
	}
	u, err := url.Parse(a.ProxyURL)
	if err != nil {
		return fail(NotConfigured, "its ProxyUrl is no URL.")
	}
	s := o.ServerAt(u.Hostname())
	switch {
	case s == nil:
		return fail(NotConfigured, "%s is no server of this organization (Get-WebServicesVirtualDirectory), and the service account's password is sent to those only.", u.Hostname())
	case s.AdminDisplayVersion.Less(OAuthVersion):
		return fail(TooOld, "the server %s is %s. A proxy has to be %s or later.", s.Name, s.AdminDisplayVersion, OAuthVersion)
	}
	return nil
}

// Proxy is the server that an address space hands questions to; nil: none of the organization.
func (o *Organization) Proxy(a *AvailabilityAddressSpace) *Server {
	if u, err := url.Parse(a.ProxyURL); err == nil && a.AccessMethod == InternalProxy {
		return o.ServerAt(u.Hostname())
	}
	return nil
}

// ServerAt is the server that answers to the host: one of its names, or that of
// one of its addresses. nil: none does.
func (o *Organization) ServerAt(host string) *Server {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "" {
		return nil
	}
	for i := range o.Servers {
		if slices.Contains(o.Servers[i].HostNames, host) {
			return &o.Servers[i]
		}
	}
	for i := range o.Servers {
		for _, address := range []string{o.Servers[i].ExternalURL, o.Servers[i].InternalURL} {
			if u, err := url.Parse(address); err == nil && strings.EqualFold(u.Hostname(), host) {
				return &o.Servers[i]
			}
		}
	}
	return nil
}

// Discovery is where Autodiscover of the forest is asked. Administrators write
// autodiscover.xml, the address of the older protocol; both are at one place.
func (a *AvailabilityAddressSpace) Discovery() string {
	const older, newer = "autodiscover.xml", "autodiscover.svc"
	switch epr := a.TargetAutodiscoverEpr; {
	case epr == "":
		return "https://autodiscover." + a.ForestName + "/autodiscover/" + newer
	case len(epr) >= len(older) && strings.EqualFold(epr[len(epr)-len(older):], older):
		return epr[:len(epr)-len(older)] + newer
	default:
		return epr
	}
}

// IsForest reports whether another forest asks with the account: what it asks is
// another organization's question, and is never forwarded. perUser: it may say for whom.
func (c *AvailabilityConfig) IsForest(account string) (forest, perUser bool) {
	if account == "" {
		return false, false
	}
	perUser = strings.EqualFold(account, c.PerUserAccount)
	return perUser || strings.EqualFold(account, c.OrgWideAccount), perUser
}
