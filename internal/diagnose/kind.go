package diagnose

import "regexp"

// A Kind names a failure. docs/diagnose.md has a section for each.
type Kind string

// The kinds.
const (
	AskerUnknown       Kind = "asker-unknown"
	RecipientUnknown   Kind = "recipient-unknown"
	NoTargetAddress    Kind = "no-target-address"
	NoRoute            Kind = "no-route"
	RouteDisabled      Kind = "route-disabled"
	RouteUnusable      Kind = "route-unusable"
	MetadataStale      Kind = "metadata-stale"
	CertificateMissing Kind = "certificate-missing"
	CertificateExpired Kind = "certificate-expired"
	NotUploaded        Kind = "certificate-not-uploaded"
	OldUploaded        Kind = "certificate-uploaded-old"
	CredentialExpired  Kind = "credential-expired"
	NotPinned          Kind = "key-not-pinned"
	NameUnknown        Kind = "name-not-resolved"
	Unreachable        Kind = "endpoint-unreachable"
	TLSName            Kind = "tls-name"
	TLSUntrusted       Kind = "tls-untrusted"
	TLSVersion         Kind = "tls-version"
	PreAuthentication  Kind = "pre-authentication"
	NoOAuth            Kind = "no-oauth"
	NotExchange        Kind = "not-exchange"
	NoCommonIssuer     Kind = "no-common-issuer"
	SigningFailed      Kind = "signing-failed"
	AuthorityDown      Kind = "authority-unreachable"
	ClockOff           Kind = "clock-off"
	SPNMissing         Kind = "spn-missing"
	SPNApex            Kind = "spn-apex"
	ApplicationUnknown Kind = "application-unknown"
	SharedPrincipal    Kind = "shared-principal"
	TokenRefused       Kind = "token-refused"
	KeysStale          Kind = "stale-keys"
	HostUnknown        Kind = "host-name-unknown"
	WrongTenant        Kind = "wrong-tenant"
	UserUnknown        Kind = "user-unknown"
	UserAmbiguous      Kind = "user-ambiguous"
	PartnerDisabled    Kind = "partner-disabled"
	RoleMissing        Kind = "role-missing"
	IssuerUnknown      Kind = "issuer-unknown"
	NotDelegated       Kind = "not-delegated"
	DiscoveryFailed    Kind = "autodiscover-failed"
	DiscoveryElsewhere Kind = "autodiscover-elsewhere"
	EWSBlockedShared   Kind = "shared-principal-blocked"
	EWSBlocked         Kind = "ews-blocked"
	GraphRoleMissing   Kind = "graph-role-missing"
	CalendarNone       Kind = "calendar-permission-none"
	RelationshipNone   Kind = "relationship-level-none"
	NoAccess           Kind = "no-access"
	MailboxUnknown     Kind = "mailbox-unknown"
	TooLate            Kind = "answer-too-late"
	TooMany            Kind = "too-many-entries"
	ProxyLoop          Kind = "proxy-loop"
	Busy               Kind = "server-busy"
	Unexplained        Kind = "unexplained"
)

// A kindOf is the hop that shows a failure, and what people call it.
type kindOf struct {
	kind  Kind
	hop   Hop
	title string
}

var kinds = []kindOf{
	{AskerUnknown, Asker, "The asker has no mailbox here"},
	{RecipientUnknown, Recipient, "The address is not in the directory"},
	{NoTargetAddress, Recipient, "The mail user has no target address"},
	{NoRoute, Route, "No connector covers the domain"},
	{RouteDisabled, Route, "The connector for the domain is disabled"},
	{RouteUnusable, Route, "The object for the domain leads nowhere"},
	{MetadataStale, Metadata, "The metadata of the authorization server is out of date"},
	{CertificateMissing, Certificate, "There is no certificate to sign with"},
	{CertificateExpired, Certificate, "The certificate to sign with has expired"},
	{NotUploaded, Registration, "The certificate was not uploaded"},
	{OldUploaded, Registration, "Another certificate is uploaded than the one that signs"},
	{CredentialExpired, Registration, "The uploaded copy of the certificate has expired"},
	{NotPinned, Registration, "The partner has not pinned our key"},
	{NameUnknown, Connection, "The host name cannot be resolved"},
	{Unreachable, Connection, "The host cannot be reached"},
	{TLSName, Connection, "The host's certificate is for another name"},
	{TLSUntrusted, Connection, "The host's certificate is not trusted"},
	{TLSVersion, Connection, "The host speaks no TLS 1.2"},
	{PreAuthentication, Challenge, "Something before the host asks for a sign-in of its own"},
	{NoOAuth, Challenge, "The host takes no OAuth tokens"},
	{NotExchange, Challenge, "What answers is no Exchange"},
	{NoCommonIssuer, Challenge, "The two sides trust no common authorization server"},
	{SigningFailed, Assertion, "The assertion cannot be signed"},
	{AuthorityDown, Token, "The authorization server does not answer"},
	{ClockOff, Token, "The clocks differ"},
	{SPNMissing, Token, "The host name is no service principal name"},
	{SPNApex, Token, "The wildcard does not cover the domain itself"},
	{ApplicationUnknown, Token, "The application is missing or disabled in the tenant"},
	{SharedPrincipal, Registration, "Asked as the shared principal, which has not our certificate"},
	{TokenRefused, Token, "The authorization server refuses to issue a token"},
	{KeysStale, Acceptance, "The other side has stale keys of the authorization server"},
	{HostUnknown, Acceptance, "The other side does not know itself by that host name"},
	{WrongTenant, Acceptance, "The token is of another tenant"},
	{UserUnknown, Acceptance, "The other side does not know who asks"},
	{UserAmbiguous, Acceptance, "The other side knows several entries for who asks"},
	{PartnerDisabled, Acceptance, "The partner application is disabled or missing"},
	{RoleMissing, Acceptance, "The application has no permission"},
	{IssuerUnknown, Acceptance, "The other side does not trust the authorization server"},
	{NotDelegated, Acceptance, "The token may not speak for users"},
	{DiscoveryFailed, Autodiscover, "Autodiscover has no answer for the address"},
	{DiscoveryElsewhere, Autodiscover, "Autodiscover points elsewhere"},
	{EWSBlockedShared, Permission, "Exchange Web Services are closed to the shared principal"},
	{EWSBlocked, Permission, "Exchange Web Services are closed to the application"},
	{GraphRoleMissing, Permission, "The application has no role at Graph"},
	{CalendarNone, Permission, "The calendar shows nothing"},
	{RelationshipNone, Permission, "The organization relationship shows nothing"},
	{NoAccess, Permission, "The other side shows nothing of the calendar"},
	{MailboxUnknown, Permission, "The other side has no such mailbox"},
	{TooLate, Answer, "The answer comes too late"},
	{TooMany, Answer, "The calendar has too many entries"},
	{ProxyLoop, Answer, "The question goes round"},
	{Busy, Answer, "The server is busy or not ready"},
	{Unexplained, Answer, "The failure is not recognised"},
}

// Kinds are all failures that are told apart, by hop.
func Kinds() []Kind {
	out := make([]Kind, len(kinds))
	for i, k := range kinds {
		out[i] = k.kind
	}
	return out
}

// Hop is where the failure shows, as a rule.
func (k Kind) Hop() Hop { return k.of().hop }

// Title is what people call it.
func (k Kind) Title() string { return k.of().title }

func (k Kind) of() kindOf {
	for _, x := range kinds {
		if x.kind == k {
			return x
		}
	}
	return kindOf{k, Answer, string(k)}
}

// tokenText is how every token begins: base64 of {" in its header.
var tokenText = regexp.MustCompile(`\beyJ[\w-]+(\.[\w-]*)*`)
