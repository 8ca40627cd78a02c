package directory

import (
	"slices"
	"time"
)

// A Realm is a tenant at an authorization server: its verified domains and the
// service principals of the applications in it.
type Realm struct {
	ID         string // tenant GUID, lower case
	Name       string
	Domains    []VerifiedDomain
	Principals []ServicePrincipal
	// ServiceHosts are hosts of the cloud's own services: names of principals
	// may use them besides the verified domains.
	ServiceHosts []string
	Version      int64
}

// A VerifiedDomain names the realm. The initial domain cannot be removed.
type VerifiedDomain struct {
	Name             string // A-label, lower case
	Initial, Default bool
}

// A ServicePrincipal is an application's entry in a realm (MSOnline; oauth-s2s
// reference 5.2).
type ServicePrincipal struct {
	ObjectID             string // GUID
	AppPrincipalID       string // GUID
	DisplayName          string
	AccountEnabled       bool
	TrustedForDelegation bool
	// ServicePrincipalNames are "<appid>", "<appid>/<authority>" (exact, or
	// with "*" as the whole left-most label) or "https://<authority>".
	ServicePrincipalNames []string
	KeyCredentials        []KeyCredential
	// AppRoles are the roles that the application offers to others, beside those
	// of the cloud's own applications; see Roles.
	AppRoles []AppRole `json:",omitempty"`
	// AppRoleAssignments are the roles of other applications that an administrator
	// has consented to give to this one.
	AppRoleAssignments []AppRoleAssignment `json:",omitempty"`
	// TokenVersion is that of the tokens for this application: 2, or 1 for any
	// other value.
	TokenVersion int `json:",omitempty"`
}

// An AppRole is what one application may be allowed to do at another one, without
// a user (oauth-s2s reference 3.4).
type AppRole struct {
	ID          string // GUID
	Value       string // as in the token's roles
	DisplayName string
	Enabled     bool
}

// An AppRoleAssignment gives the application that has it a role of another one.
type AppRoleAssignment struct {
	ID         string // GUID
	ResourceID string // object id of the application whose role it is
	RoleID     string
	CreatedAt  time.Time
}

// RoleFullAccessAsApp lets an application use Exchange Web Services on every
// mailbox (oauth-s2s reference 3.4).
var RoleFullAccessAsApp = AppRole{ID: "dc890d15-9560-4a4c-9b7f-a736ec74ec40", Value: "full_access_as_app",
	DisplayName: "Use Exchange Web Services with full access to all mailboxes", Enabled: true}

// graphRoles let an application ask for the free/busy of everybody (getSchedule
// reference 8).
var graphRoles = []AppRole{
	{ID: "8ba4a692-bc31-4128-9094-475872af8a53", Value: "Calendars.ReadBasic.All", DisplayName: "Read basic details of calendars in all mailboxes", Enabled: true},
	{ID: "798ee544-9d2d-430c-a058-570e29e34338", Value: "Calendars.Read", DisplayName: "Read calendars in all mailboxes", Enabled: true},
	{ID: "ef54d2bf-783f-4e0f-bca1-3210c0444d99", Value: "Calendars.ReadWrite", DisplayName: "Read and write calendars in all mailboxes", Enabled: true},
}

// Roles are the roles that the application offers: those of one of the cloud's
// own applications are the same in every realm.
func (p *ServicePrincipal) Roles() []AppRole {
	switch p.AppPrincipalID {
	case ExchangeAppID:
		return append([]AppRole{RoleFullAccessAsApp}, p.AppRoles...)
	case GraphAppID:
		return slices.Concat(graphRoles, p.AppRoles)
	}
	return p.AppRoles
}

// Role is the role with the id, or nil.
func (p *ServicePrincipal) Role(id string) *AppRole {
	roles := p.Roles()
	for i := range roles {
		if roles[i].ID == id {
			return &roles[i]
		}
	}
	return nil
}

// Principal is the application with the object id, or nil.
func (r *Realm) Principal(objectID string) *ServicePrincipal {
	for i := range r.Principals {
		if r.Principals[i].ObjectID == objectID {
			return &r.Principals[i]
		}
	}
	return nil
}

// A KeyCredential is a certificate that assertions of the principal may be
// signed with while StartDate <= now <= EndDate.
type KeyCredential struct {
	KeyID     string // GUID
	Type      string // Asymmetric
	Usage     string // Verify
	Value     []byte // DER certificate, RSA of 2048 bits or more
	StartDate time.Time
	EndDate   time.Time
}

// An AuthorityConfig is what the authorization server itself needs: which cloud
// it is and the certificates it signs tokens with (oauth-s2s reference 0.2).
type AuthorityConfig struct {
	Cloud        Cloud
	Certificates []Certificate // the first signs, all are published
	// TokenLifetime is exp - nbf of an actor token without the 5 minutes of back-dating.
	TokenLifetime time.Duration
}

// A Cloud is the set of hosts and ids of one national cloud. They are data,
// never constants in code.
type Cloud struct {
	Name              string // worldwide, 21vianet, usgov, or one's own
	ACSHost           string
	ACSPrincipalID    string
	LoginHosts        []string // first the current one
	V1IssuerBase      string   // https://sts…/
	AuthorizationURI  string
	EWSHost           string
	AutodiscoverHosts []string
	CoexistenceSuffix string // partner.mail.onmschina.cn
	InitialSuffix     string // partner.onmschina.cn
	GraphHost         string
}

// Clouds are the presets (oauth-s2s reference 0.2). The ACS principal id of the
// US Government cloud is not established; MS-XOAUTH's example is used.
var Clouds = map[string]Cloud{
	"worldwide": {
		Name: "worldwide", ACSHost: "accounts.accesscontrol.windows.net",
		ACSPrincipalID: "00000001-0000-0000-c000-000000000000",
		LoginHosts:     []string{"login.microsoftonline.com", "login.windows.net"},
		V1IssuerBase:   "https://sts.windows.net/", AuthorizationURI: "https://login.microsoftonline.com/common/oauth2/authorize",
		EWSHost: "outlook.office365.com", AutodiscoverHosts: []string{"autodiscover-s.outlook.com"},
		CoexistenceSuffix: "mail.onmicrosoft.com", InitialSuffix: "onmicrosoft.com", GraphHost: "graph.microsoft.com",
	},
	"21vianet": {
		Name: "21vianet", ACSHost: "accounts.accesscontrol.chinacloudapi.cn",
		ACSPrincipalID: "00000001-0002-0000-c000-000000000000",
		LoginHosts:     []string{"login.partner.microsoftonline.cn", "login.chinacloudapi.cn"},
		V1IssuerBase:   "https://sts.chinacloudapi.cn/", AuthorizationURI: "https://login.chinacloudapi.cn/common/oauth2/authorize",
		EWSHost: "partner.outlook.cn", AutodiscoverHosts: []string{"partner.outlook.cn", "autodiscover-s.partner.outlook.cn"},
		CoexistenceSuffix: "partner.mail.onmschina.cn", InitialSuffix: "partner.onmschina.cn", GraphHost: "microsoftgraph.chinacloudapi.cn",
	},
	"usgov": {
		Name: "usgov", ACSHost: "login.microsoftonline.us",
		ACSPrincipalID: "00000001-0001-0000-c000-000000000000",
		LoginHosts:     []string{"login.microsoftonline.us"},
		V1IssuerBase:   "https://sts.windows.net/", AuthorizationURI: "https://login.microsoftonline.us/common/oauth2/authorize",
		EWSHost: "outlook.office365.us", AutodiscoverHosts: []string{"autodiscover-s.office365.us"},
		CoexistenceSuffix: "mail.onmicrosoft.us", InitialSuffix: "onmicrosoft.us", GraphHost: "graph.microsoft.us",
	},
}
