package config_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"busybridge/internal/app/config"
	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// folder is a folder with all files that the example names.
func folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	cert, key := certificate(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "mail.contoso.com", "autodiscover.contoso.com")
	for name, data := range map[string][]byte{
		"mail.contoso.com.pem": cert, "mail.contoso.com.key": key, "partner-ca.pem": cert,
		"seal.key":  []byte("mB1d3Wm2K3u6v7w8x9yzABCDEFGHIJKLMNOPQRSTUVU=\n"),
		"proxy.url": []byte("http://user:secret@proxy.contoso.com:3128\n"), "db.password": []byte("secret\n"),
	} {
		write(t, filepath.Join(dir, name), data, 0o600)
	}
	return dir
}

func write(t testing.TB, path string, data []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
}

func certificate(t testing.TB, from, to time.Time, names ...string) (certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, NotBefore: from, NotAfter: to, DNSNames: names, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	kder, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kder})
}

func load(t *testing.T, dir, text string, environ ...string) (*config.Config, error) {
	t.Helper()
	path := filepath.Join(dir, "busybridge.yaml")
	write(t, path, []byte(text), 0o600)
	return config.Load(path, environ)
}

const minimal = `node:
  host_names: [mail.contoso.com, autodiscover.contoso.com]
tls:
  certificate_file: mail.contoso.com.pem
  key_file: mail.contoso.com.key
seal_key_file: seal.key
`

func TestLoadMinimal(t *testing.T) {
	dir := folder(t)
	got, err := load(t, dir, minimal)
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Config{
		Node:            config.Node{HostNames: []string{"mail.contoso.com", "autodiscover.contoso.com"}, Version: directory.OAuthVersion, Roles: []string{"organization"}},
		Listen:          ":443",
		TLS:             config.TLS{CertificateFile: filepath.Join(dir, "mail.contoso.com.pem"), KeyFile: filepath.Join(dir, "mail.contoso.com.key")},
		OpsListen:       "127.0.0.1:9443",
		Store:           config.Store{Path: filepath.Join(dir, "busybridge.db")},
		SealKeyFile:     filepath.Join(dir, "seal.key"),
		Limits:          config.Limits{BodyBytes: 4 << 20, PeerBodyBytes: 8 << 20, Mailboxes: 100, Deadline: 25 * time.Second, PeerDeadline: 20 * time.Second, InFlight: 512, UserAtOnce: 27, PartnerAtOnce: 64, CacheBytes: 48 << 20},
		MetadataRefresh: 8 * time.Hour, TokenReuse: 5 * time.Minute,
		RemotePowerShell: config.RemotePowerShell{Sessions: 5, AllSessions: 256, NewSessions: 60, Commands: 8, MemoryBytes: 16 << 20, BodyBytes: 1 << 20, EnvelopeBytes: 512000,
			Idle: 15 * time.Minute, MaxIdle: 12 * time.Hour, Lifetime: 12 * time.Hour, Run: 10 * time.Minute},
		Drain: config.Drain{Wait: 5 * time.Second, Limit: 30 * time.Second},
		Log:   config.Log{Level: "info", Format: "json"},
	}
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(config.Config{}), cmpopts.EquateComparable(netip.Prefix{})); d != "" {
		t.Error(d)
	}
	if p := got.Problems(); len(p) != 0 {
		t.Errorf("problems: %v", p)
	}
	key, err := got.SealKey()
	if err != nil || len(key) != 32 {
		t.Errorf("seal key of %d bytes, %v", len(key), err)
	}
	if _, err := got.Roots(); err != nil {
		t.Error(err)
	}
}

func TestExampleIsCommittedAndLoads(t *testing.T) {
	committed, err := os.ReadFile("../../../busybridge.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(committed, config.Example()) {
		t.Error("busybridge.example.yaml is not what the code embeds: run go generate ./internal/app/config")
	}
	if _, err := load(t, folder(t), string(committed)); err != nil {
		t.Error(err)
	}
}

// Every key of the example that is commented out must be a key with a value of
// the right form, and those that say a default must say the true one.
func TestExampleUncommented(t *testing.T) {
	text := regexp.MustCompile(`(?m)^( *)#([a-z])`).ReplaceAllString(string(config.Example()), "$1$2")
	if strings.Contains(text, "\n#host") || text == string(config.Example()) {
		t.Fatal("nothing was uncommented")
	}
	// The one pair of keys that exclude each other.
	text = regexp.MustCompile(`(?m)^proxy_url:.*\n`).ReplaceAllString(text, "")
	text = strings.Replace(text, "roles: [organization]", "roles: [organization, authority]", 1)
	got, err := load(t, folder(t), text)
	if err != nil {
		t.Fatal(err)
	}
	def := config.Default()
	if d := cmp.Diff(def.Limits, got.Limits); d != "" {
		t.Error(d)
	}
	for _, pair := range [][2]any{{def.RemotePowerShell, got.RemotePowerShell}, {def.Listen, got.Listen}, {def.OpsListen, got.OpsListen}, {def.MetadataRefresh, got.MetadataRefresh}, {def.Log, got.Log}, {def.Node.Version, got.Node.Version}} {
		if pair[0] != pair[1] {
			t.Errorf("default %v, example %v", pair[0], pair[1])
		}
	}
	if want := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")}; !slices.Equal(got.TrustedProxies, want) {
		t.Errorf("trusted_proxies %v, want %v", got.TrustedProxies, want)
	}
	if want := "192.0.2.10:443"; got.ConnectTo["mail.fabrikam.com:443"] != want {
		t.Errorf("connect_to %v", got.ConnectTo)
	}
	if u, err := got.Proxy(); err != nil || u.Host != "proxy.contoso.com:3128" || u.User.Username() != "user" {
		t.Errorf("proxy %v, %v", u, err)
	}
	if c := got.CloudValues(); c.ACSHost != "accounts.contoso.com" || c.Name != "worldwide" {
		t.Errorf("cloud %+v", c)
	}
}

func TestProblems(t *testing.T) {
	tests := []struct {
		name    string
		text    string // replaces, or is added to, minimal: see add
		add     bool
		environ []string
		want    []string
	}{
		{"an empty file lacks what is required", "", false, nil, []string{
			"node.host_names: is required", "tls.certificate_file: is required", "tls.key_file: is required",
			"seal_key_file: is required: the file of a key of 32 random bytes; make one with: openssl rand -base64 32 > seal.key && chmod 600 seal.key",
		}},
		{"bad syntax has a line", "node:\n  host_names: [a\nlisten: x", false, nil, []string{"line 1: did not find expected ',' or ']'"}},
		{"unknown keys are named with what was meant", "limit:\n  x: 1\nlisten: :443\nlog: {levle: info}\n", true, nil, []string{
			"line 7: limit: is no known key; did you mean limits?", "line 10: log.levle: is no known key; did you mean level?",
		}},
		{"a key given twice", "listen: \":1\"\nlisten: \":2\"\n", true, nil, []string{"line 8: listen: is given twice, first in line 7"}},
		{"anchors and aliases", "listen: &a \":1\"\nops_listen: *a\n", true, nil, []string{
			"line 7: listen: anchors and aliases are not supported", "line 8: ops_listen: anchors and aliases are not supported",
		}},
		{"values of the wrong form, all at once", "limits: {deadline: soon, body_bytes: many, mailboxes: [1]}\ntrusted_proxies: 10.0.0.0/8\nallow_private_networks: [10.0.0.0/8, x]\nlog: loud\n", true, nil, []string{
			`line 7: limits.deadline: "soon" is no duration such as 25s or 8h`, `line 7: limits.body_bytes: "many" is no whole number`, `line 7: limits.mailboxes: must be a single value`,
			"line 8: trusted_proxies: must be a list", `line 9: allow_private_networks[1]: "x" is not valid: netip.ParsePrefix("x"): no '/'`, "line 10: log: must be keys with values",
		}},
		{"two documents", "---\nlisten: \":1\"\n", true, nil, []string{"the file holds more than one document"}},
		{"turns", "limits:\n  in_flight: 10\n  at_once: 11\n  user_at_once: 0\n  partner_per_minute: -1\n", true, nil, []string{
			"line 9: limits.at_once: 11 is more than limits.in_flight, 10", "line 10: limits.user_at_once: 0 is not between 1 and 65536",
			"line 11: limits.partner_per_minute: -1 is not between 0 and 1073741824",
		}},
		{"ranges", "limits:\n  deadline: 5m\n  peer_deadline: 10m\n  body_bytes: 1\n  mailboxes: 101\n  in_flight: 0\nmetadata_refresh: 1s\nlog: {level: loud, format: xml}\n", true, nil, []string{
			"line 8: limits.deadline: 5m0s is not between 1s and 2m0s", "line 9: limits.peer_deadline: 10m0s is not between 1s and 2m0s",
			"line 9: limits.peer_deadline: 10m0s is longer than limits.deadline, 5m0s", "line 10: limits.body_bytes: 1 is not between 65536 and 67108864",
			"line 11: limits.mailboxes: 101 is not between 1 and 100", "line 12: limits.in_flight: 0 is not between 1 and 65536", "line 13: metadata_refresh: 1s is not between 5m0s and 24h0m0s",
			`line 14: log.level: "loud" is not debug, info, warn or error`, `line 14: log.format: "xml" is not json or text`,
		}},
		{"ranges of sessions", "remote_powershell:\n  sessions: 20\n  all_sessions: 10\n  new_sessions: 0\n  commands: 101\n  memory_bytes: 1\n  body_bytes: 1\n  envelope_bytes: 1\n  idle: 1h\n  max_idle: 30m\n  lifetime: 1m\n  run: 0s\n", true, nil, []string{
			"line 8: remote_powershell.sessions: 20 is more than remote_powershell.all_sessions, 10", "line 10: remote_powershell.new_sessions: 0 is not between 1 and 10000",
			"line 11: remote_powershell.commands: 101 is not between 1 and 100", "line 12: remote_powershell.memory_bytes: 1 is not between 262144 and 1073741824",
			"line 13: remote_powershell.body_bytes: 1 is not between 65536 and 16777216", "line 14: remote_powershell.envelope_bytes: 1 is not between 32768 and 16777216",
			"line 16: remote_powershell.max_idle: 30m0s is not between 1h0m0s and 168h0m0s", "line 17: remote_powershell.lifetime: 1m0s is not between 10m0s and 168h0m0s",
			"line 18: remote_powershell.run: 0s is not between 1s and 12h0m0s",
		}},
		{"listeners", "listen: 443\nops_listen: 0.0.0.0:9443\n", true, nil, []string{
			`line 7: listen: "443" is not of the form host:port`, `line 8: warning: ops_listen: "0.0.0.0:9443" is not a loopback address; metrics and health are shown to whoever can connect`,
		}},
		{"no ops listener", "ops_listen: \"off\"\n", true, nil, nil},
		{"network", "connect_to: {\"a.example\": \"b:1\", \"a.example:443\": \"\"}\nallow_private_networks: [10.1.2.3/8]\ntrusted_proxies: [0.0.0.0/0]\nproxy_url: http://u:p@proxy.contoso.com\n", true, nil, []string{
			`line 7: connect_to.a.example: "a.example" is not of the form host:port`, "line 7: connect_to.a.example:443: must name an address and port",
			"line 8: allow_private_networks[0]: 10.1.2.3/8 is an address in the network 10.0.0.0/8: write that",
			"line 9: warning: trusted_proxies[0]: 0.0.0.0/0 lets every client name its own address and host",
			"line 10: proxy_url: must hold no credentials; put the URL into a file and name it in proxy_url_file",
		}},
		{"a bad proxy URL is not shown", "proxy_url: \"socks://u:hunter2@x\"\n", true, nil, []string{"line 7: proxy_url: want http://host:port or https://host:port"}},
		{"the authority needs a cloud", "", true, []string{"BUSYBRIDGE_NODE_ROLES=authority"}, []string{"cloud.preset: is required with the role authority, or all other keys of cloud"}},
		{"a cloud of one's own must be whole", "cloud: {acs_host: a.example, v1_issuer_base: \"http://x\"}\n", true, []string{"BUSYBRIDGE_NODE_ROLES=organization, authority"}, []string{
			"cloud.acs_principal_id: is required without a preset", "cloud.login_hosts: is required without a preset", "cloud.authorization_uri: is required without a preset",
			"cloud.ews_host: is required without a preset", "cloud.autodiscover_hosts: is required without a preset", "cloud.coexistence_suffix: is required without a preset",
			"cloud.initial_suffix: is required without a preset", "cloud.graph_host: is required without a preset",
			`line 7: cloud.v1_issuer_base: "http://x" is no https URL`,
		}},
		{"providers", "openid:\n  issuers: {contoso.com: \"http://id.contoso.com\", FABRIKAM.com: \"https://id.fabrikam.com\", a b: \"https://u:p@x\"}\n  audiences: {FABRIKAM.com: bb, a b: bb, litware.com: bb}\n  address_claims: {FABRIKAM.com: \"\"}\n",
			true, []string{"BUSYBRIDGE_TLS_CLIENT_CERTIFICATES=perhaps"}, []string{
				`BUSYBRIDGE_TLS_CLIENT_CERTIFICATES: "perhaps" is neither true nor false`,
				`line 8: openid.issuers.contoso.com: "http://id.contoso.com" is no https URL of an issuer`, `line 8: openid.issuers.FABRIKAM.com: "FABRIKAM.com" must be written "fabrikam.com"`,
				`line 8: openid.issuers.a b: "a b" is no domain`, `line 8: openid.issuers.a b: "https://u:xxxxx@x" is no https URL of an issuer`,
				"line 9: openid.audiences: must name the audience of tokens for contoso.com", "line 9: openid.audiences.litware.com: openid.issuers has no such domain",
				"line 10: openid.address_claims.FABRIKAM.com: is empty",
			}},
		{"a cloud without the role", "cloud: {preset: usgov}\n", true, nil, []string{"line 7: warning: cloud: is not used: node.roles does not hold authority"}},
		{"an unknown preset", "cloud: {preset: moon}\n", true, nil, []string{`line 7: cloud.preset: "moon" is no preset: want one of 21vianet, usgov, worldwide`}},
		{"files that are not there", "trusted_ca_files: [none.pem]\nstore: {path: none/x.db}\n", true, nil, []string{
			"line 7: trusted_ca_files[0]: stat DIR/none.pem: no such file or directory", "line 8: store.path: stat DIR/none: no such file or directory",
		}},
		{"a store that is no database", "store: {url: \"mysql://kim@db/x\", password_file: none}\n", true, nil, []string{
			`line 7: store.url: is of scheme "mysql"; postgres://USER@HOST/DATABASE is known`, "line 7: store.password_file: stat DIR/none: no such file or directory",
		}},
		{"a password of the store is not shown", "store: {url: \"postgres://kim:hunter2@db/x\"}\n", true, nil, []string{"line 7: store.url: has a password: put it into the file of store.password_file"}},
		{"nor where the URL is none", "store: {url: \"postgres://kim:hunter2@db:x/y\"}\n", true, nil, []string{"line 7: store.url: is no URL"}},
		{"a file with what a database needs", "store: {citus: true}\n", true, nil, []string{"line 7: store: password_file and citus are for a store with url"}},
		{"host names", "", true, []string{"BUSYBRIDGE_NODE_HOST_NAMES=https://mail.contoso.com,MAIL.contoso.com,mail.contoso.com,mail.contoso.com"}, []string{
			"line 4: warning: tls.certificate_file: the certificate does not cover https://mail.contoso.com",
			`node.host_names[0]: "https://mail.contoso.com" is no host name (without scheme and port)`, `node.host_names[1]: "MAIL.contoso.com" must be written "mail.contoso.com"`,
			`node.host_names[3]: "mail.contoso.com" is given twice`,
		}},
		{"roles", "", true, []string{"BUSYBRIDGE_NODE_ROLES=king, organization, organization"}, []string{
			`node.roles[0]: "king" is no role: want organization or authority`, `node.roles[2]: "organization" is given twice`,
		}},
		{"variables", "limits: {deadline: x}\n", true, []string{"BUSYBRIDGE_LIMITS_DEADLINE=12s", "BUSYBRIDGE_LISTN=:1", "BUSYBRIDGE_CONNECT_TO=a", "BUSYBRIDGE_LIMITS_IN_FLIGHT=x", "BUSYBRIDGE_PASSWORD=x", "HOME=x"}, []string{
			"warning: BUSYBRIDGE_LISTN: is no known variable; did you mean BUSYBRIDGE_LISTEN?", `BUSYBRIDGE_CONNECT_TO: "a" is not of the form key=value`,
			`BUSYBRIDGE_LIMITS_IN_FLIGHT: "x" is no whole number`, "limits.peer_deadline: 20s is longer than limits.deadline, 12s",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := folder(t)
			text := tt.text
			if tt.add {
				text = minimal + tt.text
			}
			c, err := load(t, dir, text, tt.environ...)
			if c == nil {
				t.Fatal(err)
			}
			var got []string
			fatal := false
			for _, p := range c.Problems() {
				got = append(got, strings.ReplaceAll(p.String(), dir, "DIR"))
				fatal = fatal || !p.Warning
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(tt.want))
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			ie, isInvalid := errors.AsType[*config.InvalidError](err)
			if isInvalid != fatal {
				t.Errorf("error %v, want one: %v", err, fatal)
			}
			if isInvalid && strings.Contains(ie.Error(), "hunter2") {
				t.Error("a password is in the error")
			}
		})
	}
}

func TestUserIssuers(t *testing.T) {
	c, err := load(t, folder(t), minimal, "BUSYBRIDGE_TLS_CLIENT_CERTIFICATES=true", "BUSYBRIDGE_OPENID_ISSUERS=contoso.com=https://id.contoso.com,fabrikam.com=https://id.fabrikam.com",
		"BUSYBRIDGE_OPENID_AUDIENCES=contoso.com=a,fabrikam.com=b", "BUSYBRIDGE_OPENID_ADDRESS_CLAIMS=fabrikam.com=upn")
	if err != nil {
		t.Fatal(err)
	}
	want := []trust.UserIssuer{
		{Domain: "contoso.com", Issuer: "https://id.contoso.com", Audience: "a", AddressClaim: "email"},
		{Domain: "fabrikam.com", Issuer: "https://id.fabrikam.com", Audience: "b", AddressClaim: "upn"},
	}
	if d := cmp.Diff(want, c.UserIssuers()); d != "" || !c.TLS.ClientCertificates {
		t.Errorf("client certificates %t, %s", c.TLS.ClientCertificates, d)
	}
}

func TestFilesWithSecrets(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits")
	}
	const good = "mB1d3Wm2K3u6v7w8x9yzABCDEFGHIJKLMNOPQRSTUVU="
	tests := []struct {
		name, key string
		mode      os.FileMode
		want      string // "" : no problem
	}{
		{"base64", good, 0o600, ""},
		{"hex", "981d5b1a8d4b9b0e1b9b2a3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70", 0o600, ""},
		{"readable by everybody", good, 0o644, "warning: seal_key_file: DIR/seal.key can be read by everybody on this machine; chmod 600 DIR/seal.key"},
		{"too short", "c2hvcnQ=", 0o600, "seal_key_file: DIR/seal.key does not hold 32 bytes in base64 or hex; make one with: openssl rand -base64 32 > seal.key && chmod 600 seal.key"},
		{"all the same", strings.Repeat("00", 32), 0o600, "seal_key_file: DIR/seal.key is no random key; make one with: openssl rand -base64 32 > seal.key && chmod 600 seal.key"},
		{"too large", strings.Repeat("a", 1<<20+1), 0o600, "seal_key_file: read DIR/seal.key: is larger than 1048576 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := folder(t)
			path := filepath.Join(dir, "seal.key")
			write(t, path, []byte(tt.key), tt.mode)
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			c, _ := load(t, dir, minimal)
			var got []string
			for _, p := range c.Problems() {
				p.Line = 0
				got = append(got, strings.ReplaceAll(p.String(), dir, "DIR"))
			}
			if strings.Join(got, "\n") != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCertificateProblems(t *testing.T) {
	now := time.Now()
	tests := []struct {
		name     string
		from, to time.Time
		names    []string
		want     string
	}{
		{"expired", now.Add(-48 * time.Hour), now.Add(-24 * time.Hour), []string{"mail.contoso.com", "autodiscover.contoso.com"}, "the certificate expired on"},
		{"not yet valid", now.Add(time.Hour), now.Add(2 * time.Hour), []string{"mail.contoso.com", "autodiscover.contoso.com"}, "the certificate is not valid before"},
		{"another name", now.Add(-time.Hour), now.Add(time.Hour), []string{"mail.contoso.com"}, "the certificate does not cover autodiscover.contoso.com"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := folder(t)
			cert, key := certificate(t, tt.from, tt.to, tt.names...)
			write(t, filepath.Join(dir, "mail.contoso.com.pem"), cert, 0o600)
			write(t, filepath.Join(dir, "mail.contoso.com.key"), key, 0o600)
			c, err := load(t, dir, minimal)
			if err != nil {
				t.Fatal(err)
			}
			if p := c.Problems(); len(p) != 1 || !p[0].Warning || p[0].Line != 4 || !strings.HasPrefix(p[0].Text, tt.want) {
				t.Errorf("got %v, want a warning %q", p, tt.want)
			}
		})
	}
	t.Run("key of another certificate", func(t *testing.T) {
		dir := folder(t)
		_, key := certificate(t, now, now.Add(time.Hour), "x.example")
		write(t, filepath.Join(dir, "mail.contoso.com.key"), key, 0o600)
		_, err := load(t, dir, minimal)
		if err == nil || !strings.Contains(err.Error(), "private key does not match public key") {
			t.Errorf("got %v", err)
		}
	})
}

// Every key can be set by a variable.
func TestEveryKeyHasAVariable(t *testing.T) {
	md, err := os.ReadFile("../../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`(BUSYBRIDGE_[A-Z0-9_]+)`").FindAllStringSubmatch(string(md), -1)
	if len(names) < 30 {
		t.Fatalf("only %d variables in docs/configuration.md", len(names))
	}
	for _, n := range names {
		c, err := load(t, folder(t), minimal, n[1]+"=")
		if c == nil {
			t.Fatal(err)
		}
		for _, p := range c.Problems() {
			if strings.Contains(p.Text, "no known variable") || strings.Contains(p.Text, "cannot be set") {
				t.Error(p)
			}
		}
	}
}

// FuzzLoad: whatever a file holds, reading it ends with a Config and problems
// that say where, and what is accepted has values in their ranges.
func FuzzLoad(f *testing.F) {
	f.Add(config.Example(), "BUSYBRIDGE_LISTEN=:1")
	f.Add([]byte(minimal), "")
	f.Add([]byte("a: &a [*a]\n"), "")
	f.Add([]byte("connect_to: {? [x] : y}\nlisten: !!binary aGk=\n"), "BUSYBRIDGE_CONNECT_TO=a=b,c=d")
	f.Add([]byte("node: {node: {node: {node: {node: {}}}}}\n<<: {listen: x}\n"), "BUSYBRIDGE_NODE_VERSION=999999")
	dir := folder(f)
	f.Fuzz(func(t *testing.T, data []byte, env string) {
		c, err := config.Parse(filepath.Join(dir, "busybridge.yaml"), data, []string{env})
		if c == nil {
			t.Fatal("no Config")
		}
		lines := bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) + bytes.Count(data, []byte("\u2028")) + bytes.Count(data, []byte("\u2029")) + bytes.Count(data, []byte("\u0085")) + 2
		for _, p := range c.Problems() {
			if p.Text == "" || p.Line < 0 || p.Line > lines {
				t.Errorf("problem %q at line %d of %d", p, p.Line, lines)
			}
		}
		if err == nil && (c.Limits.Deadline < time.Second || c.Limits.InFlight < 1 || len(c.Node.HostNames) == 0) {
			t.Errorf("accepted %+v", c)
		}
	})
}
