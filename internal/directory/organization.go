package directory

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"busybridge/internal/freebusy"
)

// OrgID is the identity of an organization in a deployment: a lower-case GUID.
type OrgID string

// ExchangeAppID is the application id that every Exchange, on premises and
// online, calls its own (ServiceName of AuthConfig; oauth-s2s reference 5.1).
const ExchangeAppID = "00000002-0000-0ff1-ce00-000000000000"

// GraphAppID is the application id of Microsoft Graph in every realm (getSchedule
// reference 8).
const GraphAppID = "00000003-0000-0000-c000-000000000000"

// Common is what every configuration object has.
type Common struct {
	Name        string    `json:"name"` // unique in its kind without regard to case, at most 64 characters
	GUID        string    `json:"guid"` // lower case
	WhenCreated time.Time `json:"whenCreated"`
	WhenChanged time.Time `json:"whenChanged"`
}

// An Organization is accepted domains, signing certificates, what it trusts and
// where it sends questions. The value is a snapshot: treat it as read-only and
// change it through the store's UpdateOrganization.
type Organization struct {
	ID   OrgID  `json:"id"`
	Name string `json:"name"`
	// Tenant is the realm GUID of the organization at the authorization server
	// when it is a hosted (cloud) organization, else empty.
	Tenant string `json:"tenant,omitempty"`
	// Version grows with every change of any object of the organization.
	Version int64 `json:"version"`

	AcceptedDomains     []AcceptedDomain
	AuthConfig          AuthConfig
	Certificates        []Certificate
	AuthServers         []AuthServer
	PartnerApplications []PartnerApplication
	LinkedUsers         []LinkedUser
	Connectors          []IntraOrganizationConnector
	Relationships       []OrganizationRelationship
	AddressSpaces       []AvailabilityAddressSpace
	AvailabilityConfig  AvailabilityConfig
	Servers             []Server
}

// An AcceptedDomain is a mail domain of the organization. A name "*.domain"
// covers every subdomain, but is no realm and no explicit domain (oauth-s2s 2.3, 2000004).
type AcceptedDomain struct {
	Common
	DomainName string `json:"domainName"` // A-label, lower case, maybe with a leading "*."
	DomainType string `json:"domainType"` // Authoritative, InternalRelay, ExternalRelay
	Default    bool   `json:"default"`
}

// AuthConfig names the organization's own signing certificates by thumbprint
// (40 upper-case hex digits, SHA-1 of the DER; oauth-s2s reference 6.1).
type AuthConfig struct {
	ServiceName                  string // ExchangeAppID unless changed
	Realm                        string // empty: the default accepted domain
	CurrentCertificateThumbprint string
	PreviousCertificateThumbprint,
	NextCertificateThumbprint string
	NextCertificateEffectiveDate *time.Time
	WhenCreated, WhenChanged     time.Time
}

// A Certificate is a certificate with its private key in the organization's own
// store (Cert:\LocalMachine\My).
type Certificate struct {
	Thumbprint   string `json:"thumbprint"`
	FriendlyName string `json:"friendlyName"`
	DER          []byte `json:"der"`
	// Key is the PKCS#8 private key. It is sealed (encrypted at rest) by the
	// store and plain in memory; it is never logged or shown. Empty: none here.
	Key      Secret   `json:"key"`
	Services []string `json:"services,omitempty"` // IIS, SMTP, …
	// Exportable: the key may leave the store again (Export-ExchangeCertificate).
	Exportable bool `json:"exportable,omitempty"`
	// Of an authorization server's certificates: when the next one begins to sign,
	// and when a former one ceased to.
	EffectiveAt *time.Time `json:"effectiveAt,omitempty"`
	RetiredAt   *time.Time `json:"retiredAt,omitempty"`
}

// The types of an AuthServer.
const (
	AuthServerACS     = "MicrosoftACS"
	AuthServerAzureAD = "AzureAD"
)

// An AuthServer is an authorization server that the organization trusts
// (cmdlet reference 4.2, oauth-s2s reference 1.4).
type AuthServer struct {
	Common
	Type                           string
	IssuerIdentifier               string // ACS: the pid left of "@"; AzureAD: an https URL
	Realm                          string // tenant GUID; empty in a multi-tenant cloud: any hosted tenant
	TokenIssuingEndpoint           string
	AuthorizationEndpoint          string
	ApplicationIdentifier          string
	AuthMetadataURL                string
	CertificateStrings             []string // base64 DER, in the document's order
	DomainName                     []string
	Enabled                        bool
	IsDefaultAuthorizationEndpoint bool
	// GraphBaseURL is the https URL of the cloud's Graph: addresses in DomainName are
	// asked about there, and not by Exchange Web Services.
	GraphBaseURL string `json:",omitempty"`
	// AllowedAudiences are the audiences that an assertion for this server may
	// carry, from its metadata document.
	AllowedAudiences []string
	// RefreshedAt is when the metadata was last read whole.
	RefreshedAt time.Time
}

// A PartnerApplication is an application whose tokens the organization accepts
// (cmdlet reference 4.5, oauth-s2s reference 4.6).
type PartnerApplication struct {
	Common
	Enabled               bool
	ApplicationIdentifier string
	CertificateStrings    []string // direct trust only
	AuthMetadataURL       string   // direct trust only
	Realm                 string   // empty: any realm that the AuthServer vouches for
	// PendingCertificateStrings are what the document of a directly trusted
	// partner holds since it has no key in common with CertificateStrings. Nothing
	// is accepted by them until an administrator approves them.
	PendingCertificateStrings []string `json:",omitempty"`
	// DelegateStrings are the certificates of the partner's ES256 keys, which one of
	// CertificateStrings vouches for; direct trust only.
	DelegateStrings                     []string `json:",omitempty"`
	UseAuthServer                       bool
	AcceptSecurityIdentifierInformation bool
	LinkedAccount                       string
	IssuerIdentifier                    string
	AppOnlyPermissions                  []string
	ActAsPermissions                    []string
}

// A LinkedUser stands for applications: a disabled account, with which nobody signs
// in. Its roles are what the applications may do whose LinkedAccount it is
// (oauth-s2s reference 4.6).
type LinkedUser struct {
	Common
	Roles []string // of ApplicationRoles
}

// ExchangeOnlineAccount is the name of the linked user of the application Exchange Online.
const ExchangeOnlineAccount = "Exchange Online-ApplicationAccount"

// RoleUserApplication lets an application act as a user, with the user's rights.
const RoleUserApplication = "UserApplication"

// ApplicationRoles are the roles of linked users. Only RoleUserApplication has a
// meaning of its own here: any of them lets an application ask without a user.
func ApplicationRoles() []string {
	return []string{RoleUserApplication, "ArchiveApplication", "LegalHoldApplication", "Mailbox Search",
		"TeamMailboxLifecycleApplication", "MailboxSearchApplication", "MeetingGraphApplication"}
}

// CanonicalName is how a PartnerApplication names a linked user of o.
func (o *Organization) CanonicalName(u *LinkedUser) string {
	return o.DefaultDomain() + "/Users/" + u.Name
}

// LinkedUser is the one of that name, canonical name (of any container) or GUID; nil:
// none, as for "".
func (o *Organization) LinkedUser(identity string) *LinkedUser {
	if identity == "" {
		return nil
	}
	name := identity[strings.LastIndex(identity, "/")+1:]
	for i := range o.LinkedUsers {
		if u := &o.LinkedUsers[i]; strings.EqualFold(u.Name, name) || strings.EqualFold(u.GUID, identity) {
			return u
		}
	}
	return nil
}

// An IntraOrganizationConnector sends questions for its domains to a discovery
// endpoint, by OAuth (cmdlet reference 7).
type IntraOrganizationConnector struct {
	Common
	TargetAddressDomains []string // A-labels, lower case; "*.domain" covers subdomains
	DiscoveryEndpoint    string   // https URL of an autodiscover.svc
	TargetSharingEpr     string   // https URL of an EWS endpoint: Autodiscover is skipped
	Enabled              bool
}

// An OrganizationRelationship grants partner domains a level inward and says
// where to ask outward (cmdlet reference 9).
type OrganizationRelationship struct {
	Common
	DomainNames           []string
	Enabled               bool
	FreeBusyAccessEnabled bool
	FreeBusyAccessLevel   string // None, AvailabilityOnly, LimitedDetails
	TargetApplicationURI  string
	TargetSharingEpr      string
	TargetAutodiscoverEpr string

	// The rest is kept and shown for other programs; nothing here acts on it.
	TargetOwaURL          string `json:",omitempty"`
	OrganizationContact   string `json:",omitempty"` // an address
	ArchiveAccessEnabled  bool   `json:",omitempty"`
	DeliveryReportEnabled bool   `json:",omitempty"`
	MailboxMoveEnabled    bool   `json:",omitempty"`
	MailTipsAccessEnabled bool   `json:",omitempty"`
	MailTipsAccessLevel   string `json:",omitempty"` // None (also when empty), Limited, All
	PhotosEnabled         bool   `json:",omitempty"`
}

// An AvailabilityAddressSpace says how servers that cannot speak OAuth ask for
// a forest (cmdlet reference 8).
type AvailabilityAddressSpace struct {
	Common
	ForestName            string
	AccessMethod          string // InternalProxy, PerUserFB, OrgWideFB, OrgWideFBBasic, …
	UserName              string
	Password              Secret
	UseServiceAccount     bool
	ProxyURL              string
	TargetAutodiscoverEpr string
}

// AvailabilityConfig names the accounts that other forests may ask with.
type AvailabilityConfig struct {
	PerUserAccount, OrgWideAccount string
	// RevealUnknownRecipients: a partner learns that an address does not exist.
	// Otherwise that looks like a calendar it may not see.
	RevealUnknownRecipients bool `json:",omitempty"`
	// EWS is of Set-OrganizationConfig.
	EWS EWSAccess `json:",omitzero"`
}

// EWSAccess is who may use Exchange Web Services, as the organization itself says
// (Set-OrganizationConfig, cmdlet reference 11.2).
type EWSAccess struct {
	Enabled *bool `json:",omitempty"` // nil: nobody has said it; false: nobody may
	// AllowedAppIDs are the only applications that may, when Enabled is true.
	// Empty: all may.
	AllowedAppIDs []string `json:",omitempty"`
}

// A Server is one node of the organization as Get-ExchangeServer and
// Get-WebServicesVirtualDirectory show it.
type Server struct {
	Common
	HostNames               []string // the names it answers to, first the canonical one
	AdminDisplayVersion     Version
	InternalURL             string // EWS
	ExternalURL             string // EWS; empty: not reachable from outside
	AutodiscoverInternalURI string
	AutodiscoverSiteScope   []string `json:",omitempty"` // kept and shown only
	OAuthAuthentication     bool
	BasicAuthentication     bool
	// EWSApplications is which applications may use EWS here with a token, as far as
	// the organization lets them; who signs in himself may in any case. One of the
	// constants EWSAny….
	EWSApplications string `json:",omitempty"`
}

// The values of Server.EWSApplications (oauth-s2s reference 8.2).
const (
	EWSAnyApplication = "" // all whose token is accepted
	// EWSDedicatedApplications refuses ExchangeAppID, the principal that every
	// Exchange shares, as Exchange Online does since October 2025.
	EWSDedicatedApplications = "Dedicated"
	// EWSNoApplication refuses all that the organization does not name itself, with
	// Enabled true, as Exchange Online since October 2026.
	EWSNoApplication = "None"
)

// RefusesEWS reports whether EWS at a server of the organization, which may be
// nil, is not for the application, whatever its token says. Who signs in himself
// has the application "".
func (o *Organization) RefusesEWS(at *Server, applicationID string) bool {
	enabled := o.AvailabilityConfig.EWS.Enabled
	if enabled != nil && !*enabled {
		return true
	}
	if applicationID == "" {
		return false
	}
	policy, listed := EWSAnyApplication, enabled != nil && slices.Contains(o.AvailabilityConfig.EWS.AllowedAppIDs, applicationID)
	if at != nil {
		policy = at.EWSApplications
	}
	switch {
	case policy != EWSAnyApplication && applicationID == ExchangeAppID:
		return true
	case policy == EWSNoApplication:
		return !listed
	}
	return enabled != nil && len(o.AvailabilityConfig.EWS.AllowedAppIDs) > 0 && !listed
}

// A Secret holds bytes that are never printed, logged or marshalled. Marshalled,
// it only says whether there is one; stores keep the bytes sealed, beside the rest.
type Secret []byte

const hidden = "(secret)"

func (Secret) String() string       { return hidden }
func (Secret) GoString() string     { return hidden }
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText never gives the bytes away, and UnmarshalText does not set them.
func (s Secret) MarshalText() ([]byte, error) {
	if len(s) == 0 {
		return nil, nil
	}
	return []byte(hidden), nil
}

func (s *Secret) UnmarshalText([]byte) error {
	*s = nil
	return nil
}

// DefaultDomain is the default accepted domain, or "" when there is none.
func (o *Organization) DefaultDomain() string {
	for i := range o.AcceptedDomains {
		if o.AcceptedDomains[i].Default {
			return o.AcceptedDomains[i].DomainName
		}
	}
	return ""
}

// Accepts reports whether the domain is an accepted domain, or below one with "*.".
func (o *Organization) Accepts(domain string) bool {
	for i := range o.AcceptedDomains {
		if MatchDomain(o.AcceptedDomains[i].DomainName, domain) {
			return true
		}
	}
	return false
}

// ApplicationServer is the enabled authorization server of Entra by whose
// application (ApplicationIdentifier) other servers are asked about addresses in
// the domain: one whose DomainName covers it. nil: there is none.
func (o *Organization) ApplicationServer(domain string) *AuthServer {
	for i := range o.AuthServers {
		s := &o.AuthServers[i]
		if s.Enabled && s.Type == AuthServerAzureAD && s.ApplicationIdentifier != "" && matchAny(s.DomainName, domain) {
			return s
		}
	}
	return nil
}

// Realm is the organization's own realm: AuthConfig.Realm, else the tenant, else
// the default accepted domain.
func (o *Organization) Realm() string {
	switch {
	case o.AuthConfig.Realm != "":
		return o.AuthConfig.Realm
	case o.Tenant != "":
		return o.Tenant
	}
	return o.DefaultDomain()
}

// MaxLevel is the most that a requester of the given domain may see by
// organization relationships; ok is false when no relationship names the domain.
// One that names it exactly goes before one with "*.", a longer "*." before a
// shorter one.
func (o *Organization) MaxLevel(domain string) (level freebusy.Level, ok bool) {
	best := 0
	for i := range o.Relationships {
		r := &o.Relationships[i]
		if !r.Enabled {
			continue
		}
		for _, pattern := range r.DomainNames {
			n := len(pattern)
			if pattern == domain {
				n++ // longer than any pattern that covers it
			}
			if n > best && MatchDomain(pattern, domain) {
				best, level, ok = n, r.Level(), true
			}
		}
	}
	return level, ok
}

// Level is the most that the relationship lets its domains see.
func (r *OrganizationRelationship) Level() freebusy.Level {
	switch {
	case !r.FreeBusyAccessEnabled:
	case r.FreeBusyAccessLevel == "AvailabilityOnly":
		return freebusy.LevelTime
	case r.FreeBusyAccessLevel == "LimitedDetails":
		return freebusy.LevelLimited
	}
	return freebusy.LevelNone
}
