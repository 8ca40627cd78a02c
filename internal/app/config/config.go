// Package config reads the configuration of one node: a YAML file, then
// variables of the environment. The comments of Config are the manual; the
// example file and docs/configuration.md are generated from them.
package config

import (
	"net/netip"
	"time"

	"busybridge/internal/directory"
)

//go:generate go run gen.go

// Config is everything that a node must know before it opens its store.
// Organizations, connectors, mailboxes and service principals are objects of
// the store and not configured here.
//
// Tags: yaml is the key; default is the value of an absent key; required keys
// have none; example is what the example file shows; path marks names of files,
// which are relative to the configuration file; secret marks files that only
// their owner should read; reload marks keys that SIGHUP changes in a node that
// runs.
type Config struct {
	// Node says which node of the deployment this process is.
	Node Node `yaml:"node"`

	// Listen is the address and port of the HTTPS listener: Autodiscover,
	// Exchange Web Services and the authorization server.
	Listen string `yaml:"listen" default:":443"`

	// TLS is the certificate of the HTTPS listener. Other organizations verify it
	// against public authorities; it has nothing to do with the certificate that
	// signs tokens, which is kept in the store.
	TLS TLS `yaml:"tls"`

	// OpsListen is the address of the plain HTTP listener for /livez, /readyz and
	// /metrics. It has no authentication: keep it on loopback or on a network of
	// your own. "off" opens none.
	OpsListen string `yaml:"ops_listen" default:"127.0.0.1:9443"`

	// Store is where everything is kept.
	Store Store `yaml:"store"`

	// SealKeyFile holds the key that private keys and passwords of sources are
	// encrypted with in the store: 32 random bytes, in base64 or hex, on one line.
	// Make one with: openssl rand -base64 32
	// Keep a copy elsewhere: without it the store's secrets are lost.
	SealKeyFile string `yaml:"seal_key_file" required:"true" example:"seal.key" path:"true" secret:"true"`

	// TrustedCAFiles are PEM files of certificate authorities that servers of
	// others may have their certificate from, besides those of the system.
	TrustedCAFiles []string `yaml:"trusted_ca_files" example:"[partner-ca.pem]" path:"true"`

	// ConnectTo sends connections for "host:port" to another "address:port", as
	// curl's --connect-to does; names in requests and certificates stay. It is
	// meant for split DNS. The addresses named here may be private ones.
	ConnectTo map[string]string `yaml:"connect_to" example:"{\"mail.fabrikam.com:443\": \"192.0.2.10:443\"}"`

	// AllowPrivateNetworks are the networks of private, loopback or link-local
	// addresses that this node may connect to. All others of that kind are
	// refused, whatever a peer's name resolves to.
	AllowPrivateNetworks []netip.Prefix `yaml:"allow_private_networks" example:"[10.1.0.0/16]"`

	// ProxyURL is the HTTP proxy for connections to others, without credentials.
	// Absent: they are made directly; variables such as HTTPS_PROXY do not count.
	ProxyURL string `yaml:"proxy_url" example:"http://proxy.contoso.com:3128"`

	// ProxyURLFile holds the proxy's URL when it has credentials. Only one of
	// proxy_url and proxy_url_file may be given.
	ProxyURLFile string `yaml:"proxy_url_file" example:"proxy.url" path:"true" secret:"true"`

	// Cloud is used by a node with the role authority.
	Cloud Cloud `yaml:"cloud"`

	// Limits bound what one request may cost.
	Limits Limits `yaml:"limits"`

	// RemotePowerShell bounds the sessions of remote PowerShell.
	RemotePowerShell RemotePowerShell `yaml:"remote_powershell"`

	// MetadataRefresh is how often the metadata of each trusted authorization
	// server is read again; 5m to 24h.
	MetadataRefresh time.Duration `yaml:"metadata_refresh" default:"8h"`
	// TokenReuse is how long the authorization server hands the token that it has
	// issued to an application for a host out again to that application, instead of
	// signing another one. At least three quarters of its life are left then, and
	// any change of the realm ends it. 0: each request gets a token of its own.
	TokenReuse time.Duration `yaml:"token_reuse" default:"5m"`

	// OpenID names the providers whose tokens users may sign in with, besides
	// their password: each organization has at most one for each of its domains.
	OpenID OpenID `yaml:"openid"`

	// Drain says how a node stops without losing a request.
	Drain Drain `yaml:"drain"`

	// Log says what is written to standard error.
	Log Log `yaml:"log"`

	// TrustedProxies are the networks of reverse proxies in front of this node.
	// Only from these do X-Forwarded-For and X-Forwarded-Host count.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies" example:"[192.0.2.0/28]"`

	source source // where it came from; empty for a Config made in code
}

// Node says which node of the deployment this process is.
type Node struct {
	// HostNames are the names under which clients and other organizations reach
	// this node, without port.
	HostNames []string `yaml:"host_names" required:"true" example:"[mail.contoso.com, autodiscover.contoso.com]"`

	// Version is the Exchange version that the node shows. A node older than
	// 15.0.847.32 knows address spaces, but no connectors and relationships.
	Version directory.Version `yaml:"version" default:"15.0.847.32"`

	// Roles are what the node does: organization (Autodiscover, Exchange Web
	// Services), authority (metadata and token endpoints), or both.
	Roles []string `yaml:"roles" default:"[organization]"`
}

// TLS names the two PEM files of a certificate.
type TLS struct {
	// CertificateFile holds the certificate and the chain below the root. It must
	// cover every name of node.host_names. A changed file is read again without a
	// restart.
	CertificateFile string `yaml:"certificate_file" required:"true" example:"mail.contoso.com.pem" path:"true" reload:"true"`

	// KeyFile holds the certificate's private key, unencrypted.
	KeyFile string `yaml:"key_file" required:"true" example:"mail.contoso.com.key" path:"true" secret:"true" reload:"true"`

	// ClientCertificates lets clients sign in with a certificate that their account
	// names (Add-ClientCertificate). Which authority issued it does not matter.
	// Browsers and some mail programs then ask their user for one.
	ClientCertificates bool `yaml:"client_certificates" default:"false"`
}

// OpenID is the OpenID providers. In all of its maps a key is an accepted domain
// of the organization that the provider belongs to.
type OpenID struct {
	// Issuers are the providers' issuer URLs, exactly as their tokens have them.
	// Keys are fetched from what the issuer's /.well-known/openid-configuration names.
	Issuers map[string]string `yaml:"issuers" example:"{contoso.com: \"https://id.contoso.com/realms/staff\"}"`

	// Audiences are what the provider puts into the claim aud of tokens for this
	// server. Each domain of issuers needs one.
	Audiences map[string]string `yaml:"audiences" example:"{contoso.com: busybridge}"`

	// AddressClaims are the claims that hold the user's address, which must be of an
	// accepted domain of the organization. Absent: email, which counts only together
	// with email_verified. Name another claim, such as upn, only if users cannot
	// change it at the provider.
	AddressClaims map[string]string `yaml:"address_claims" example:"{contoso.com: upn}"`
}

// Store says where everything is kept.
type Store struct {
	// Path is the SQLite file. It is made when it does not exist. It must lie on a
	// local disk, never on a network file system. With url it is not used.
	Path string `yaml:"path" default:"busybridge.db" path:"true"`

	// URL is the PostgreSQL database that is used instead, which the nodes of a
	// deployment share; without a password.
	URL string `yaml:"url" example:"postgres://busybridge@db.contoso.com/busybridge?sslmode=verify-full"`

	// PasswordFile holds the password for url.
	PasswordFile string `yaml:"password_file" example:"db.password" path:"true" secret:"true"`

	// Citus distributes the tables of a new database by mailbox: url is that of the
	// coordinator of a Citus cluster.
	Citus bool `yaml:"citus" default:"false"`
}

// Cloud is the set of hosts and ids that the authorization server uses.
type Cloud struct {
	// Preset is worldwide, 21vianet or usgov. The keys below replace single values
	// of it. Without a preset all of them must be given.
	Preset string `yaml:"preset" example:"worldwide"`

	// ACSHost is the host of the ACS-shaped endpoints.
	ACSHost string `yaml:"acs_host" example:"accounts.contoso.com"`
	// ACSPrincipalID is the application id of ACS, left of "@" in its issuer.
	ACSPrincipalID string `yaml:"acs_principal_id" example:"00000001-0000-0000-c000-000000000000"`
	// LoginHosts are the hosts of the Entra-shaped endpoints; the first is named in answers.
	LoginHosts []string `yaml:"login_hosts" example:"[login.contoso.com]"`
	// V1IssuerBase is the issuer of version 1 tokens without the realm.
	V1IssuerBase string `yaml:"v1_issuer_base" example:"https://sts.contoso.com/"`
	// AuthorizationURI is named in challenges for people who sign in.
	AuthorizationURI string `yaml:"authorization_uri" example:"https://login.contoso.com/common/oauth2/authorize"`
	// EWSHost is the host of the cloud's Exchange Web Services.
	EWSHost string `yaml:"ews_host" example:"outlook.contoso.com"`
	// AutodiscoverHosts are the hosts of the cloud's Autodiscover.
	AutodiscoverHosts []string `yaml:"autodiscover_hosts" example:"[autodiscover-s.contoso.com]"`
	// CoexistenceSuffix follows a tenant's name in target addresses.
	CoexistenceSuffix string `yaml:"coexistence_suffix" example:"mail.cloud.contoso.com"`
	// InitialSuffix follows a tenant's name in its initial domain.
	InitialSuffix string `yaml:"initial_suffix" example:"cloud.contoso.com"`
	// GraphHost is the host of Microsoft Graph.
	GraphHost string `yaml:"graph_host" example:"graph.contoso.com"`
}

// Limits bound what one request may cost.
type Limits struct {
	// BodyBytes is the size of a request's body; 64 KiB to 64 MiB.
	BodyBytes int `yaml:"body_bytes" default:"4194304"`
	// PeerBodyBytes is the size of another server's answer; 64 KiB to 256 MiB.
	PeerBodyBytes int `yaml:"peer_body_bytes" default:"8388608"`
	// Mailboxes is how many one question may ask for; 1 to 100.
	Mailboxes int `yaml:"mailboxes" default:"100"`
	// Deadline is for one question as a whole; 1s to 2m. Mailboxes that are not
	// answered then get an error of their own.
	Deadline time.Duration `yaml:"deadline" default:"25s"`
	// PeerDeadline is for one other organization or server within it.
	PeerDeadline time.Duration `yaml:"peer_deadline" default:"20s"`
	// InFlight is how many requests are worked on at once; one more is answered 503.
	InFlight int `yaml:"in_flight" default:"512"`
	// AtOnce is how many of them are worked on when it is known who sent them; the
	// others wait, and senders take turns. 0 is half of in_flight.
	AtOnce int `yaml:"at_once" default:"0" reload:"true"`
	// UserAtOnce is how many of one user are worked on at once, and of one network
	// whose requests name nobody; 64 more wait, and what comes then is told to come
	// again. 27 is what Exchange lets a user have.
	UserAtOnce int `yaml:"user_at_once" default:"27" reload:"true"`
	// PartnerAtOnce is the same for a partner organization, and for an account that
	// asks for others.
	PartnerAtOnce int `yaml:"partner_at_once" default:"64" reload:"true"`
	// UserPerMinute is how many requests of one user, or of one such network, are
	// answered in a minute; 0 is any number.
	UserPerMinute int `yaml:"user_per_minute" default:"0" reload:"true"`
	// PartnerPerMinute is the same for a partner organization, and for an account
	// that asks for others.
	PartnerPerMinute int `yaml:"partner_per_minute" default:"0" reload:"true"`
	// CacheBytes is what is kept in memory of calendars (two thirds), mailboxes and
	// accounts, so that questions need not read the store; 1 MiB to 64 GiB.
	CacheBytes int `yaml:"cache_bytes" default:"50331648"`
}

// RemotePowerShell bounds the sessions of remote PowerShell.
type RemotePowerShell struct {
	// Sessions is how many one account may have open at once; 1 to 1000.
	Sessions int `yaml:"sessions" default:"5"`
	// AllSessions is how many all accounts together may have; 1 to 65536.
	AllSessions int `yaml:"all_sessions" default:"256"`
	// NewSessions is how many one account may open within five minutes; 1 to 10000.
	NewSessions int `yaml:"new_sessions" default:"60"`
	// Commands is how many pipelines of one session may run, or wait for their turn
	// or for a client that fetches their results; 1 to 100.
	Commands int `yaml:"commands" default:"8"`
	// MemoryBytes is what one session may keep of input and of results that its
	// client has not fetched; 256 KiB to 1 GiB. A pipeline with more waits.
	MemoryBytes int `yaml:"memory_bytes" default:"16777216"`
	// BodyBytes is the size of a request; 64 KiB to 16 MiB.
	BodyBytes int `yaml:"body_bytes" default:"1048576"`
	// EnvelopeBytes is the size of an answer; 32 KiB to 16 MiB. A client may ask for
	// smaller ones.
	EnvelopeBytes int `yaml:"envelope_bytes" default:"512000"`
	// Idle ends a session that nobody has used for so long; 1m to 12h. A client that
	// waits for results uses it.
	Idle time.Duration `yaml:"idle" default:"15m"`
	// MaxIdle is the longest that a client may ask for instead of idle; up to 7 days.
	MaxIdle time.Duration `yaml:"max_idle" default:"12h"`
	// Lifetime ends a session however it is used; 10m to 7 days.
	Lifetime time.Duration `yaml:"lifetime" default:"12h"`
	// Run is for one pipeline; 1s to 12h.
	Run time.Duration `yaml:"run" default:"10m"`
}

// Log says what is written to standard error.
type Log struct {
	// Level is debug, info, warn or error.
	Level string `yaml:"level" default:"info" reload:"true"`
	// Format is json or text.
	Format string `yaml:"format" default:"json"`
}

// Drain says how a node stops without losing a request.
type Drain struct {
	// Wait is how long a node that was told to stop answers as before, while /readyz
	// says 503 and clients are told to close their connections, so that load balancers
	// look elsewhere; 0 to 5m.
	Wait time.Duration `yaml:"wait" default:"5s"`
	// Limit is how long requests that are still being answered may then take; 1s to
	// 10m.
	Limit time.Duration `yaml:"limit" default:"30s"`
}
