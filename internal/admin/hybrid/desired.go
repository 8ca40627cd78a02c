package hybrid

import (
	"bytes"
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"

	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/trust"
)

// How the organizations trust each other.
const (
	OAuth  = "oauth"  // by an authorization server, as the article
	Direct = "direct" // each pins the other's keys
)

// The editions of the article's steps (oauth-s2s reference 8.2).
const (
	Edition2014 = "2014" // the Exchange service principal that all share
	Edition2025 = "2025" // an application of the organization's own, by Entra
	Edition2026 = "2026" // the same, asking Graph
)

const maxFile = 64 << 10 // bytes of a file of desired state

// Example is a file of desired state with comments: the world of the lab.
//
//go:embed example.yaml
var Example string

// Desired is what shall be.
type Desired struct {
	Trust   string `yaml:"trust"`   // default oauth
	Edition string `yaml:"edition"` // with oauth; default 2014
	Cloud   string `yaml:"cloud"`   // with oauth: a name of directory.Clouds, whose hosts Hosts may replace
	// Tenant is the initial domain of the tenant, with oauth.
	Tenant string     `yaml:"tenant"`
	Hosts  CloudHosts `yaml:"cloud_hosts"`
	// Application is the display name of the organization's own application in
	// the tenant, from edition 2025 on; ApplicationID its id, where it is there already.
	Application   string `yaml:"application"`
	ApplicationID string `yaml:"application_id"`
	// Here is the organization on premises, There the one in the cloud; with direct
	// trust they are any two.
	Here  Organization `yaml:"here"`
	There Organization `yaml:"there"`
}

// CloudHosts are hosts of a cloud that has others than its preset.
type CloudHosts struct {
	ACS   string `yaml:"acs"`
	Login string `yaml:"login"`
	Graph string `yaml:"graph"`
}

// Organization is one side.
type Organization struct {
	// Domains are those of the target addresses that the other side asks for here.
	Domains      []string `yaml:"domains"`
	Autodiscover string   `yaml:"autodiscover"` // https URL of autodiscover.svc
	EWS          string   `yaml:"ews"`          // https URL
	// ServicePrincipalNames are the hosts that tokens are issued for; default "*."
	// with the first domain, and the hosts of the two URLs that it does not cover.
	ServicePrincipalNames []string `yaml:"service_principal_names"`
	OldServers            bool     `yaml:"old_servers"` // there are servers that know address spaces only
	// Level is the most that the other side sees: AvailabilityOnly, LimitedDetails,
	// None. Empty: what each calendar says.
	Level string `yaml:"level"`
	// Document and Fingerprint are of its own keys, with direct trust: the address
	// of its metadata (default: at the host of EWS) and what it has told.
	Document    string `yaml:"document"`
	Fingerprint string `yaml:"fingerprint"`
	Mailbox     string `yaml:"mailbox"` // asks and is asked for when all is verified
}

// Parse reads a file of desired state; every problem is in the error.
func Parse(data []byte) (*Desired, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("the file has more than %d bytes", maxFile)
	}
	d := &Desired{}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(d); err != nil {
		return nil, err
	}
	return d, d.complete()
}

// complete fills in defaults and checks.
func (d *Desired) complete() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	d.Trust = cmp.Or(d.Trust, OAuth)
	switch d.Trust {
	case OAuth:
		d.Edition = cmp.Or(d.Edition, Edition2014)
		if !slices.Contains([]string{Edition2014, Edition2025, Edition2026}, d.Edition) {
			bad("edition: %q is none of 2014, 2025, 2026", d.Edition)
		}
		c, ok := directory.Clouds[d.Cloud]
		if !ok && d.Hosts == (CloudHosts{}) {
			bad("cloud: %q is none of 21vianet, usgov, worldwide", d.Cloud)
		}
		d.Hosts.ACS, d.Hosts.Graph = cmp.Or(d.Hosts.ACS, c.ACSHost), cmp.Or(d.Hosts.Graph, c.GraphHost)
		if d.Hosts.Login == "" && len(c.LoginHosts) > 0 {
			d.Hosts.Login = c.LoginHosts[0]
		}
		for _, h := range []struct {
			name  string
			value *string
		}{{"acs", &d.Hosts.ACS}, {"login", &d.Hosts.Login}, {"graph", &d.Hosts.Graph}} {
			host, err := smtpaddr.ParseDomain(*h.value)
			if err != nil {
				bad("cloud_hosts.%s: %q is no host name", h.name, *h.value)
				continue
			}
			*h.value = host
		}
		t, err := smtpaddr.ParseDomain(d.Tenant)
		if err != nil {
			bad("tenant: %q is no domain: want the tenant's initial domain, as contoso.partner.onmschina.cn", d.Tenant)
		}
		d.Tenant = t
	case Direct:
		if d.Edition+d.Cloud+d.Tenant+d.Application+d.ApplicationID != "" || d.Hosts != (CloudHosts{}) {
			bad("trust: direct needs neither edition, cloud, tenant nor application")
		}
	default:
		bad("trust: %q is neither oauth nor direct", d.Trust)
	}
	d.Here.complete("here", bad)
	d.There.complete("there", bad)
	if d.Trust == OAuth && d.Edition != Edition2014 && len(errs) == 0 {
		d.Application = cmp.Or(d.Application, "ExchangeServerApp-"+d.Here.Domains[0])
		// The same everywhere and always, so that commands can name it before it is there.
		made := uuid.NewSHA1(uuid.NameSpaceDNS, []byte(d.Tenant+"/"+d.Application)).String()
		d.ApplicationID = strings.ToLower(cmp.Or(d.ApplicationID, made))
		if strings.ContainsFunc(d.Application, unicode.IsControl) {
			bad("application: %q has characters that are no text", d.Application)
		}
		if !directory.IsGUID(d.ApplicationID) {
			bad("application_id: %q is no GUID", d.ApplicationID)
		}
	}
	return errors.Join(errs...)
}

func (o *Organization) complete(side string, bad func(string, ...any)) {
	if len(o.Domains) == 0 {
		bad("%s.domains: want the domains that the other side asks for", side)
	}
	for i, s := range o.Domains {
		domain, err := smtpaddr.ParseDomain(s)
		if err != nil {
			bad("%s.domains: %q is no domain", side, s)
		}
		o.Domains[i] = domain
	}
	if !slices.Contains([]string{"", "None", "AvailabilityOnly", "LimitedDetails"}, o.Level) {
		bad("%s.level: %q is none of AvailabilityOnly, LimitedDetails, None", side, o.Level)
	}
	hosts := make([]string, 0, 2)
	for _, f := range []struct{ name, value string }{{"autodiscover", o.Autodiscover}, {"ews", o.EWS}} {
		u, err := url.Parse(f.value)
		if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || awkward(f.value) {
			bad("%s.%s: %q is no https address", side, f.name, f.value)
			continue
		}
		hosts = append(hosts, strings.ToLower(u.Hostname()))
	}
	if len(o.Domains) == 0 || len(hosts) < 2 {
		return
	}
	if len(o.ServicePrincipalNames) == 0 {
		o.ServicePrincipalNames = []string{"*." + o.Domains[0]}
		for _, h := range hosts {
			if !covered(o.ServicePrincipalNames, h) {
				o.ServicePrincipalNames = append(o.ServicePrincipalNames, h)
			}
		}
	}
	o.Document = cmp.Or(o.Document, "https://"+hosts[1]+trust.DocumentPath)
	if u, err := url.Parse(o.Document); err != nil || u.Scheme != "https" || awkward(o.Document) {
		bad("%s.document: %q is no https address", side, o.Document)
	}
	if strings.ContainsFunc(o.Fingerprint, unicode.IsControl) {
		bad("%s.fingerprint: %q is none", side, o.Fingerprint)
	}
	if o.Mailbox != "" {
		if _, err := smtpaddr.Parse(o.Mailbox); err != nil {
			bad("%s.mailbox: %q is no address", side, o.Mailbox)
		}
	}
}

// awkward: no address has such characters, and a line of a plan must not end in one.
func awkward(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r == '\'' || r == '"' || unicode.IsSpace(r) || unicode.IsControl(r) })
}

// covered reports whether one of the names, which may begin with "*." for one
// label, is that of the host.
func covered(names []string, host string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		if n == host {
			return true
		}
		base, wild := strings.CutPrefix(n, "*.")
		_, rest, _ := strings.Cut(host, ".")
		return wild && rest == base
	})
}
