package config

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/trust"
)

// The roles of a node.
const (
	RoleOrganization = "organization"
	RoleAuthority    = "authority"
)

// Off is the value of ops_listen that opens no listener.
const Off = "off"

// sealKeyHelp is how a key is made.
const sealKeyHelp = "make one with: openssl rand -base64 32 > seal.key && chmod 600 seal.key"

// Problems are all that is wrong or doubtful, in the order of the file. It
// reads the files that the configuration names, and changes nothing.
func (c *Config) Problems() []Problem {
	ch := &checker{c: c, all: slices.Clone(c.source.problems)}
	if c.source.unread {
		return ch.all
	}
	ch.required()
	ch.node()
	ch.listeners()
	ch.tls()
	ch.store()
	ch.secrets()
	ch.network()
	ch.cloud()
	ch.limits()
	ch.remotePowerShell()
	ch.openID()
	ch.log()
	slices.SortStableFunc(ch.all, func(a, b Problem) int { return a.Line - b.Line })
	return ch.all
}

// checker collects problems.
type checker struct {
	c   *Config
	all []Problem
}

func (ch *checker) bad(key, format string, args ...any) {
	ch.add(key, false, fmt.Sprintf(format, args...))
}
func (ch *checker) warn(key, format string, args ...any) {
	ch.add(key, true, fmt.Sprintf(format, args...))
}

func (ch *checker) add(key string, warning bool, text string) {
	if slices.ContainsFunc(ch.c.source.problems, func(p Problem) bool { return p.Key == key || p.Key == EnvName(key) }) {
		return // it could not be read; what it is now is the default
	}
	ch.all = append(ch.all, Problem{Line: ch.c.source.lines[key], Key: key, Text: text, Warning: warning})
}

func (ch *checker) required() {
	forEachField(reflect.ValueOf(ch.c).Elem(), "", func(f field) {
		if _, ok := f.tag("required"); !ok || f.value.Len() > 0 {
			return
		}
		if f.key == "seal_key_file" {
			ch.bad(f.key, "is required: the file of a key of 32 random bytes; %s", sealKeyHelp)
			return
		}
		ch.bad(f.key, "is required")
	})
}

func (ch *checker) node() {
	n := ch.c.Node
	for i, h := range n.HostNames {
		key := fmt.Sprintf("node.host_names[%d]", i)
		switch d, err := smtpaddr.ParseDomain(h); {
		case err != nil:
			ch.bad(key, "%q is no host name (without scheme and port)", h)
		case d != h:
			ch.bad(key, "%q must be written %q", h, d)
		case slices.Index(n.HostNames, h) < i:
			ch.bad(key, "%q is given twice", h)
		}
	}
	if len(n.Roles) == 0 {
		ch.bad("node.roles", "must name a role: %s, %s or both", RoleOrganization, RoleAuthority)
	}
	for i, r := range n.Roles {
		if r != RoleOrganization && r != RoleAuthority {
			ch.bad(fmt.Sprintf("node.roles[%d]", i), "%q is no role: want %s or %s", r, RoleOrganization, RoleAuthority)
		} else if slices.Index(n.Roles, r) < i {
			ch.bad(fmt.Sprintf("node.roles[%d]", i), "%q is given twice", r)
		}
	}
}

func (ch *checker) listeners() {
	ch.hostPort("listen", ch.c.Listen, true)
	if ch.c.OpsListen == Off {
		return
	}
	host, ok := ch.hostPort("ops_listen", ch.c.OpsListen, true)
	if !ok {
		return
	}
	if ch.c.OpsListen == ch.c.Listen {
		ch.bad("ops_listen", "%q is the address of listen too", ch.c.OpsListen)
	} else if a, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !a.IsLoopback()) {
		ch.warn("ops_listen", "%q is not a loopback address; metrics and health are shown to whoever can connect", ch.c.OpsListen)
	}
}

// hostPort checks "host:port"; an empty host is every address.
func (ch *checker) hostPort(key, s string, emptyHost bool) (host string, ok bool) {
	host, port, err := net.SplitHostPort(s)
	if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 0 || n > 65535 || (host == "" && !emptyHost) {
		ch.bad(key, "%q is not of the form host:port", s)
		return "", false
	}
	return host, true
}

func (ch *checker) tls() {
	t := ch.c.TLS
	if t.CertificateFile == "" || t.KeyFile == "" {
		return // required says it
	}
	certPEM, cerr := readFile(t.CertificateFile)
	if cerr != nil {
		ch.bad("tls.certificate_file", "%v", cerr)
	}
	keyPEM, kerr := readFile(t.KeyFile)
	if kerr != nil {
		ch.bad("tls.key_file", "%v", kerr)
	}
	if cerr != nil || kerr != nil {
		return
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		ch.bad("tls.certificate_file", "certificate and key: %s", strings.TrimPrefix(err.Error(), "tls: "))
		return
	}
	if now := time.Now(); now.After(pair.Leaf.NotAfter) {
		ch.warn("tls.certificate_file", "the certificate expired on %s", pair.Leaf.NotAfter.Format(time.DateOnly))
	} else if now.Before(pair.Leaf.NotBefore) {
		ch.warn("tls.certificate_file", "the certificate is not valid before %s", pair.Leaf.NotBefore.Format(time.RFC3339))
	}
	for _, h := range ch.c.Node.HostNames {
		if pair.Leaf.VerifyHostname(h) != nil {
			ch.warn("tls.certificate_file", "the certificate does not cover %s", h)
		}
	}
}

func (ch *checker) store() {
	s := ch.c.Store
	if s.URL != "" {
		u, err := url.Parse(s.URL)
		switch {
		case err != nil: // which would repeat it
			ch.bad("store.url", "is no URL")
		case u.Scheme != "postgres" && u.Scheme != "postgresql":
			ch.bad("store.url", "is of scheme %q; postgres://USER@HOST/DATABASE is known", u.Scheme)
		case u.User != nil && hasPassword(u), u.Query().Has("password"):
			ch.bad("store.url", "has a password: put it into the file of store.password_file")
		}
		if _, err := ch.c.StorePassword(); err != nil {
			ch.bad("store.password_file", "%v", err)
		}
		return
	}
	if s.PasswordFile != "" || s.Citus {
		ch.bad("store", "password_file and citus are for a store with url")
	}
	if ch.c.Store.Path == "" {
		ch.bad("store.path", "must name a file")
		return
	}
	dir := filepath.Dir(ch.c.Store.Path)
	if info, err := os.Stat(dir); err != nil {
		ch.bad("store.path", "%v", err)
	} else if !info.IsDir() {
		ch.bad("store.path", "%s is no folder", dir)
	}
	if info, err := os.Stat(ch.c.Store.Path); err == nil && info.IsDir() {
		ch.bad("store.path", "%s is a folder", ch.c.Store.Path)
	}
}

func hasPassword(u *url.URL) bool {
	_, ok := u.User.Password()
	return ok
}

// StorePassword reads the password of the store's database; "" where there is none.
func (c *Config) StorePassword() (string, error) {
	if c.Store.PasswordFile == "" {
		return "", nil
	}
	data, err := readFile(c.Store.PasswordFile)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}

func (ch *checker) secrets() {
	if ch.c.SealKeyFile != "" {
		if _, err := ch.c.SealKey(); err != nil {
			ch.bad("seal_key_file", "%v", err)
		}
	}
	forEachField(reflect.ValueOf(ch.c).Elem(), "", func(f field) {
		if _, ok := f.tag("secret"); !ok || f.value.String() == "" || runtime.GOOS == "windows" {
			return
		}
		if info, err := os.Stat(f.value.String()); err == nil && info.Mode().Perm()&0o007 != 0 {
			ch.warn(f.key, "%s can be read by everybody on this machine; chmod 600 %s", f.value.String(), f.value.String())
		}
	})
}

func (ch *checker) network() {
	for i, name := range ch.c.TrustedCAFiles {
		if err := appendCAs(x509.NewCertPool(), name); err != nil {
			ch.bad(fmt.Sprintf("trusted_ca_files[%d]", i), "%v", err)
		}
	}
	for _, from := range slices.Sorted(maps.Keys(ch.c.ConnectTo)) {
		key := join("connect_to", from)
		ch.hostPort(key, from, false)
		if to := ch.c.ConnectTo[from]; to == "" {
			ch.bad(key, "must name an address and port")
		} else {
			ch.hostPort(key, to, false)
		}
	}
	for i, p := range ch.c.AllowPrivateNetworks {
		if p != p.Masked() {
			ch.bad(fmt.Sprintf("allow_private_networks[%d]", i), "%s is an address in the network %s: write that", p, p.Masked())
		}
	}
	for i, p := range ch.c.TrustedProxies {
		if p != p.Masked() {
			ch.bad(fmt.Sprintf("trusted_proxies[%d]", i), "%s is an address in the network %s: write that", p, p.Masked())
		}
		if p.Bits() == 0 {
			ch.warn(fmt.Sprintf("trusted_proxies[%d]", i), "%s lets every client name its own address and host", p)
		}
	}
	key := "proxy_url"
	switch {
	case ch.c.ProxyURL != "" && ch.c.ProxyURLFile != "":
		ch.bad("proxy_url_file", "only one of proxy_url and proxy_url_file may be given")
		return
	case ch.c.ProxyURLFile != "":
		key = "proxy_url_file"
	}
	u, err := ch.c.Proxy()
	if err != nil {
		ch.bad(key, "%v", err)
	} else if u != nil && u.User != nil && key == "proxy_url" {
		ch.bad(key, "must hold no credentials; put the URL into a file and name it in proxy_url_file")
	}
}

func (ch *checker) cloud() {
	own := ch.c.Cloud
	if _, known := directory.Clouds[own.Preset]; own.Preset != "" && !known {
		ch.bad("cloud.preset", "%q is no preset: want one of %s", own.Preset, strings.Join(slices.Sorted(maps.Keys(directory.Clouds)), ", "))
		return
	}
	if !slices.Contains(ch.c.Node.Roles, RoleAuthority) {
		if !reflect.DeepEqual(own, Cloud{}) {
			ch.warn("cloud", "is not used: node.roles does not hold %s", RoleAuthority)
		}
		return
	}
	if reflect.DeepEqual(own, Cloud{}) {
		ch.bad("cloud.preset", "is required with the role %s, or all other keys of cloud", RoleAuthority)
		return
	}
	have := reflect.ValueOf(ch.c.CloudValues())
	forEachField(reflect.ValueOf(&own).Elem(), "cloud", func(f field) {
		if v := have.FieldByName(f.def.Name); v.IsValid() && v.Len() == 0 {
			ch.bad(f.key, "is required without a preset")
		}
	})
	for key, s := range map[string]string{"cloud.v1_issuer_base": own.V1IssuerBase, "cloud.authorization_uri": own.AuthorizationURI} {
		if u, err := url.Parse(s); s != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
			ch.bad(key, "%q is no https URL", s)
		}
	}
}

func (ch *checker) limits() {
	l := ch.c.Limits
	ch.between("limits.body_bytes", l.BodyBytes, 64<<10, 64<<20)
	ch.between("limits.peer_body_bytes", l.PeerBodyBytes, 64<<10, 256<<20)
	ch.between("limits.mailboxes", l.Mailboxes, 1, 100)
	ch.between("limits.in_flight", l.InFlight, 1, 1<<16)
	ch.between("limits.at_once", l.AtOnce, 0, 1<<16)
	if l.AtOnce > l.InFlight {
		ch.bad("limits.at_once", "%d is more than limits.in_flight, %d", l.AtOnce, l.InFlight)
	}
	ch.between("limits.user_at_once", l.UserAtOnce, 1, 1<<16)
	ch.between("limits.partner_at_once", l.PartnerAtOnce, 1, 1<<16)
	ch.between("limits.user_per_minute", l.UserPerMinute, 0, 1<<30)
	ch.between("limits.partner_per_minute", l.PartnerPerMinute, 0, 1<<30)
	ch.between("limits.cache_bytes", l.CacheBytes, 1<<20, 64<<30)
	ch.duration("limits.deadline", l.Deadline, time.Second, 2*time.Minute)
	ch.duration("limits.peer_deadline", l.PeerDeadline, time.Second, 2*time.Minute)
	if l.PeerDeadline > l.Deadline {
		ch.bad("limits.peer_deadline", "%v is longer than limits.deadline, %v", l.PeerDeadline, l.Deadline)
	}
	ch.duration("drain.wait", ch.c.Drain.Wait, 0, 5*time.Minute)
	ch.duration("drain.limit", ch.c.Drain.Limit, time.Second, 10*time.Minute)
	ch.duration("metadata_refresh", ch.c.MetadataRefresh, 5*time.Minute, 24*time.Hour)
	ch.duration("token_reuse", ch.c.TokenReuse, 0, time.Hour)
}

func (ch *checker) remotePowerShell() {
	const week = 7 * 24 * time.Hour
	r := ch.c.RemotePowerShell
	ch.between("remote_powershell.sessions", r.Sessions, 1, 1000)
	ch.between("remote_powershell.all_sessions", r.AllSessions, 1, 1<<16)
	ch.between("remote_powershell.new_sessions", r.NewSessions, 1, 10000)
	ch.between("remote_powershell.commands", r.Commands, 1, 100)
	ch.between("remote_powershell.memory_bytes", r.MemoryBytes, 256<<10, 1<<30)
	ch.between("remote_powershell.body_bytes", r.BodyBytes, 64<<10, 16<<20)
	ch.between("remote_powershell.envelope_bytes", r.EnvelopeBytes, 32<<10, 16<<20)
	ch.duration("remote_powershell.idle", r.Idle, time.Minute, 12*time.Hour)
	ch.duration("remote_powershell.max_idle", r.MaxIdle, r.Idle, week)
	ch.duration("remote_powershell.lifetime", r.Lifetime, 10*time.Minute, week)
	ch.duration("remote_powershell.run", r.Run, time.Second, 12*time.Hour)
	if r.Sessions > r.AllSessions {
		ch.bad("remote_powershell.sessions", "%d is more than remote_powershell.all_sessions, %d", r.Sessions, r.AllSessions)
	}
}

func (ch *checker) between(key string, n, lo, hi int) {
	if n < lo || n > hi {
		ch.bad(key, "%d is not between %d and %d", n, lo, hi)
	}
}

func (ch *checker) duration(key string, d, lo, hi time.Duration) {
	if d < lo || d > hi {
		ch.bad(key, "%v is not between %v and %v", d, lo, hi)
	}
}

func (ch *checker) openID() {
	o := ch.c.OpenID
	for _, domain := range slices.Sorted(maps.Keys(o.Issuers)) {
		key := join("openid.issuers", domain)
		if d, err := smtpaddr.ParseDomain(domain); err != nil {
			ch.bad(key, "%q is no domain", domain)
		} else if d != domain {
			ch.bad(key, "%q must be written %q", domain, d)
		}
		switch u, err := url.Parse(o.Issuers[domain]); {
		case err != nil:
			ch.bad(key, "is no URL")
		case u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
			ch.bad(key, "%q is no https URL of an issuer", u.Redacted())
		}
		if o.Audiences[domain] == "" {
			ch.bad("openid.audiences", "must name the audience of tokens for %s", domain)
		}
	}
	for key, values := range map[string]map[string]string{"openid.audiences": o.Audiences, "openid.address_claims": o.AddressClaims} {
		for domain, value := range values {
			switch _, known := o.Issuers[domain]; {
			case !known:
				ch.bad(join(key, domain), "openid.issuers has no such domain")
			case value == "":
				ch.bad(join(key, domain), "is empty")
			}
		}
	}
}

// UserIssuers are the providers of openid.
func (c *Config) UserIssuers() []trust.UserIssuer {
	var all []trust.UserIssuer
	for _, domain := range slices.Sorted(maps.Keys(c.OpenID.Issuers)) {
		all = append(all, trust.UserIssuer{Domain: domain, Issuer: c.OpenID.Issuers[domain], Audience: c.OpenID.Audiences[domain],
			AddressClaim: cmp.Or(c.OpenID.AddressClaims[domain], "email")})
	}
	return all
}

func (ch *checker) log() {
	if _, err := ch.c.Log.SlogLevel(); err != nil {
		ch.bad("log.level", "%v", err)
	}
	if f := ch.c.Log.Format; f != "json" && f != "text" {
		ch.bad("log.format", "%q is not json or text", f)
	}
}

// SlogLevel is the level as slog knows it.
func (l Log) SlogLevel() (slog.Level, error) {
	switch l.Level {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("%q is not debug, info, warn or error", l.Level)
}

// SealKey reads the key of seal_key_file: 32 bytes.
func (c *Config) SealKey() ([]byte, error) {
	data, err := readFile(c.SealKeyFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w; %s", err, sealKeyHelp)
	}
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(string(data))
	for _, decode := range []func(string) ([]byte, error){hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawURLEncoding.DecodeString} {
		if key, err := decode(text); err == nil && len(key) == 32 {
			if len(slices.Compact(slices.Clone(key))) == 1 {
				return nil, fmt.Errorf("%s is no random key; %s", c.SealKeyFile, sealKeyHelp)
			}
			return key, nil
		}
	}
	return nil, fmt.Errorf("%s does not hold 32 bytes in base64 or hex; %s", c.SealKeyFile, sealKeyHelp)
}

// Roots are the authorities of the system and of trusted_ca_files.
func (c *Config) Roots() (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("certificate authorities of the system: %w", err)
	}
	for _, name := range c.TrustedCAFiles {
		if err := appendCAs(pool, name); err != nil {
			return nil, err
		}
	}
	return pool, nil
}

func appendCAs(pool *x509.CertPool, name string) error {
	data, err := readFile(name)
	if err != nil {
		return err
	}
	if !pool.AppendCertsFromPEM(data) {
		return fmt.Errorf("%s holds no certificate in PEM form", name)
	}
	return nil
}

// Proxy is the URL of proxy_url or in proxy_url_file; nil when there is none.
// Its errors do not show the URL, which may hold a password.
func (c *Config) Proxy() (*url.URL, error) {
	text := c.ProxyURL
	if c.ProxyURLFile != "" {
		data, err := readFile(c.ProxyURLFile)
		if err != nil {
			return nil, err
		}
		text = strings.TrimSpace(string(data))
	} else if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil, errors.New("want http://host:port or https://host:port")
	}
	return u, nil
}

// CloudValues is the preset with the own values laid over it.
func (c *Config) CloudValues() directory.Cloud {
	d := directory.Clouds[c.Cloud.Preset]
	own, out := reflect.ValueOf(c.Cloud), reflect.ValueOf(&d).Elem()
	for i := range own.NumField() {
		if f := out.FieldByName(own.Type().Field(i).Name); f.IsValid() && own.Field(i).Len() > 0 {
			f.Set(own.Field(i))
		}
	}
	if d.Name == "" {
		d.Name = d.ACSHost
	}
	return d
}
