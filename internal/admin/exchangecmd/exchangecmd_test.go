package exchangecmd_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/admin"
	"busybridge/internal/admin/exchangecmd"
	"busybridge/internal/directory"
	"busybridge/internal/ps/format"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/fedmeta"
	"busybridge/internal/store/sqlitestore"
	"busybridge/internal/trust"
)

var update = flag.Bool("update", false, "write the transcripts")

var now = time.Date(2014, 5, 6, 7, 8, 9, 0, time.UTC)

const (
	tenant      = "cb52ada4-5045-4d00-a59a-c7896ef052a1"
	metadataURL = "https://accounts.accesscontrol.chinacloudapi.cn/contoso.com/metadata/json/1"
)

// certificates are made once, for a key takes long. All has a fixed length in them.
var certificates = sync.OnceValue(func() (list []directory.Certificate) {
	for _, until := range []time.Time{now.AddDate(5, 0, 0), now.AddDate(5, 0, 0), now.Add(-time.Hour), now.AddDate(0, 0, 20)} {
		key, err := rsa.GenerateKey(rand.Reader, directory.MinRSABits)
		if err != nil {
			panic(err)
		}
		serial, _ := new(big.Int).SetString("22AEC57F54869DBD4B2AC9FA4C14AB89", 16)
		template := &x509.Certificate{
			SerialNumber: serial, Subject: pkix.Name{CommonName: strings.TrimPrefix(trust.ExchangeCertificateSubject, "CN=")},
			NotBefore: now.AddDate(-1, 0, 0), NotAfter: until, SignatureAlgorithm: x509.SHA256WithRSA,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			panic(err)
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			panic(err)
		}
		list = append(list, directory.Certificate{Thumbprint: directory.Thumbprint(der), DER: der, Key: private})
	}
	return list
})

// A world is one organization with a shell over it.
type world struct {
	t       *testing.T
	admin   *admin.Service
	store   *sqlitestore.Store
	org     directory.OrgID
	actor   admin.Actor
	session *interp.Session
	docs    map[string]*acs.Document
	answers []int
	gone    error // who runs the commands has no account any more
	out     strings.Builder
	made    int // certificates
}

var (
	system  = admin.Actor{Name: "system", System: true}
	actorOf = map[string][]string{"admin": {directory.RoleAdmin}, "viewer": {directory.RoleView}, "nobody": nil, "importer": {directory.RoleImport}}
)

// silent is a session with nobody at a terminal.
func silent(c *interp.Config) { c.Prompt = nil }

func newWorld(t *testing.T, hosted bool, variables map[string]any, options ...func(*interp.Config)) *world {
	t.Helper()
	clock := func() time.Time { return now }
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	store, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "a.db"), sqlitestore.Options{Now: clock, SealKey: make([]byte, 32), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	w := &world{t: t, store: store, docs: map[string]*acs.Document{}}
	w.admin, err = admin.New(admin.Config{Store: admin.Over(store), Sources: sources{}, Metadata: w, Now: clock, Log: log, Published: published,
		NewCertificate: func(string, time.Time, time.Time) (directory.Certificate, error) {
			w.made++
			return certificates()[w.made-1], nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	p, server := admin.OrganizationParams{Name: "Contoso", Domain: "contoso.com", MoreDomains: []string{"sales.contoso.com"}}, "mail.contoso.com"
	if hosted {
		p = admin.OrganizationParams{Name: "contoso", Domain: "contoso.partner.onmschina.cn", MoreDomains: []string{"contoso.partner.mail.onmschina.cn", "contoso.com"}, Tenant: tenant}
		server = "partner.outlook.cn"
	}
	res, err := w.admin.NewOrganization(t.Context(), system, p)
	if err != nil {
		t.Fatal(err)
	}
	w.org = res.Object.ID
	for _, s := range []directory.Server{
		{Common: directory.Common{Name: "LEGACY"}, HostNames: []string{"legacy.contoso.com"}, AdminDisplayVersion: directory.Version{Major: 14, Minor: 3, Build: 123}, ExternalURL: "https://legacy.contoso.com/ews/exchange.asmx"},
		{Common: directory.Common{Name: "MAIL"}, HostNames: []string{server, "autodiscover." + server}, AdminDisplayVersion: directory.OAuthVersion, ExternalURL: "https://" + server + "/ews/exchange.asmx"},
	} {
		if hosted && s.Name == "LEGACY" {
			continue
		}
		if _, err := w.admin.NewServer(t.Context(), system, w.org, s); err != nil {
			t.Fatal(err)
		}
	}
	w.become("admin")
	cfg := exchangecmd.Config{
		Admin: w.admin, Org: w.org, Hosted: hosted, Server: "dc-01.contoso.com", Now: clock,
		Actor: func(context.Context) (admin.Actor, error) { return w.actor, w.gone },
	}
	if hosted {
		cfg.Server, cfg.RunspaceID = "CN01.partner.outlook.cn", "351e931b-be37-4ec6-a819-3cdf611f8ca4"
	}
	commands, err := exchangecmd.Commands(cfg)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(variables, map[string]any{"FormatEnumerationLimit": int32(16), "metadataUrl": metadataURL})
	config := interp.Config{
		Commands: commands, Now: clock, Zone: time.FixedZone("CST", 8*3600), Width: 120, Formatter: &format.Formatter{Views: exchangecmd.Views()}, Prompt: w, Variables: variables,
		Streams: interp.Streams{Error: w.note, Warning: w.note, Verbose: w.note, Information: w.note},
	}
	for _, o := range options {
		o(&config)
	}
	w.session, err = interp.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// published stands for authorization servers that know the first certificate only;
// one that is called Gone does not answer.
func published(_ context.Context, o *directory.Organization, thumbprint string) (out []trust.Publication) {
	for i := range o.AuthServers {
		p := trust.Publication{AuthServer: o.AuthServers[i].Name, Application: directory.ExchangeAppID, Realm: tenant, Asked: true}
		switch {
		case p.AuthServer == "Gone":
			p.Asked, p.Err = false, errors.New("connection refused")
		case thumbprint == certificates()[0].Thumbprint:
			p.Known = true
		default:
			p.Err = errors.New("the key was not found")
		}
		out = append(out, p)
	}
	return out
}

func acsDocument() *acs.Document {
	return &acs.Document{
		Version: "1.0", Realm: tenant, Name: "sts", Issuer: "00000001-0002-0000-c000-000000000000@" + tenant,
		Endpoints: []acs.Endpoint{{Location: "https://accounts.accesscontrol.chinacloudapi.cn/" + tenant + "/tokens/OAuth/2", Protocol: "OAuth2", Usage: "issuance"}},
		Keys:      []acs.Key{{Certificate: certificates()[1].DER}},
	}
}

// become changes who runs the commands.
func (w *world) become(name string) {
	roles, ok := actorOf[name]
	if !ok {
		w.t.Fatalf("nobody is called %q", name)
	}
	w.actor = admin.Actor{Name: name + "@contoso.com", Org: w.org, Roles: roles, RequestID: "c45a6d57-2c60-43d1-a36d-67bbbccc8bcf"}
}

func (w *world) FetchMetadata(_ context.Context, url string) (*acs.Document, error) {
	if d, ok := w.docs[url]; ok {
		return d, nil
	}
	return nil, errors.New("The underlying connection was closed: An unexpected error occurred on a receive.")
}

func (w *world) FetchFederationMetadata(_ context.Context, url string) (*fedmeta.Document, error) {
	if url == "https://login.chinacloudapi.cn/contoso.com/federationmetadata/2007-06/federationmetadata.xml" {
		return &fedmeta.Document{
			EntityID: "https://sts.chinacloudapi.cn/" + tenant + "/", Endpoint: "https://login.chinacloudapi.cn/" + tenant + "/wsfed", Certificates: [][]byte{certificates()[1].DER},
		}, nil
	}
	return nil, errors.New("The underlying connection was closed: An unexpected error occurred on a receive.")
}

func (w *world) note(v any) error {
	switch r := v.(type) {
	case *object.ErrorRecord:
		w.out.WriteString(format.Error(r, 160))
		w.out.WriteString("\n")
	case *interp.Message:
		prefix := map[string]string{"Warning": "WARNING: ", "Verbose": "VERBOSE: "}[r.Kind]
		fmt.Fprintf(&w.out, "%s%s\n", prefix, r.Text)
	}
	return nil
}

func (w *world) Line(context.Context, string) (string, error) {
	return "", errors.New("nobody answers")
}
func (w *world) Secret(context.Context, string) (string, error) {
	return "", errors.New("nobody answers")
}

func (w *world) Choice(_ context.Context, caption, message string, labels []string, def int) (int, error) {
	if len(w.answers) == 0 {
		return 0, errors.New("nobody answers")
	}
	n := w.answers[0]
	w.answers = w.answers[1:]
	fmt.Fprintf(&w.out, "%s\n%s\n%s (default %s): %s\n", caption, message, strings.Join(labels, " "), labels[def], labels[n])
	return n, nil
}

// run is what a command shows.
func (w *world) run(text string) string {
	w.out.Reset()
	var items []any
	err := w.session.Run(w.t.Context(), "", text, func(v any) error {
		items = append(items, v)
		return nil
	})
	shown, ferr := w.session.Format(items)
	if ferr != nil {
		w.t.Errorf("%s: %v", text, ferr)
	}
	w.out.WriteString(shown)
	if err != nil {
		if rec, ok := errors.AsType[*object.ErrorRecord](err); ok {
			err = w.note(rec)
		}
		if err != nil {
			fmt.Fprintf(&w.out, "ERROR: %v\n", err)
		}
	}
	return w.out.String()
}

var (
	anyGUID       = regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`)
	anyThumbprint = regexp.MustCompile(`\b[0-9A-F]{40}\b`)
	anyFingers    = regexp.MustCompile(`\b\d{5}( \d{5}){5}\b`)
	anyBase64     = regexp.MustCompile(`[A-Za-z0-9+/]{48,}=*`)
)

// steady replaces what differs in each run by texts of the same length.
func steady(known map[string]string, s string) string {
	number := func(pattern string, keep func(string) bool) func(string) string {
		return func(v string) string {
			if keep(v) {
				return v
			}
			if known[v] == "" {
				n := 1
				for other := range known {
					if len(other) == len(v) {
						n++
					}
				}
				known[v] = fmt.Sprintf(pattern, n)
			}
			return known[v]
		}
	}
	s = anyGUID.ReplaceAllStringFunc(s, number("00000000-0000-0000-0000-%012d", func(v string) bool {
		return slices.Contains([]string{tenant, directory.ExchangeAppID, "00000001-0002-0000-c000-000000000000", "351e931b-be37-4ec6-a819-3cdf611f8ca4", "c45a6d57-2c60-43d1-a36d-67bbbccc8bcf"}, v)
	}))
	s = anyFingers.ReplaceAllStringFunc(s, number("00000 00000 00000 00000 00000 %05d", func(v string) bool { return strings.HasPrefix(v, "12345 12345") }))
	s = anyThumbprint.ReplaceAllStringFunc(s, number("%040d", func(string) bool { return false }))
	return anyBase64.ReplaceAllStringFunc(s, func(v string) string { return strings.Repeat("b", len(v)) })
}

// TestTranscripts runs the commands of testdata/*.txt, each in a world of its
// own: lines that begin with "PS> " are commands, what follows is what they show.
// "#as NAME" changes who runs them, "#answer N" is the next answer at a prompt.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			thumbprints := map[string]any{}
			for i, c := range certificates() {
				thumbprints[fmt.Sprintf("thumbprint%d", i+1)] = c.Thumbprint
			}
			ends := certificates()[3]
			thumbprints["keyFile"] = object.Bytes(append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ends.DER}),
				pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: ends.Key})...))
			thumbprints["password"] = object.NewSecureString("pass word")
			w := newWorld(t, strings.HasPrefix(filepath.Base(name), "hosted"), thumbprints)
			w.docs[metadataURL] = acsDocument()
			w.docs["https://hrapp.contoso.com/metadata/json/1"] = &acs.Document{
				Version: "1.0", Realm: "contoso.com", Name: "hrapp", Issuer: "12345678-0000-4000-8000-123456789abc@contoso.com", Keys: []acs.Key{{Certificate: certificates()[1].DER}},
			}
			known := map[string]string{}
			var got strings.Builder
			lines := strings.Split(string(data), "\n")
			for i := 0; i < len(lines); i++ {
				switch line := lines[i]; {
				case strings.HasPrefix(line, "#as "):
					w.become(line[4:])
				case strings.HasPrefix(line, "#answer "):
					w.answers = append(w.answers, strings.Index("YANLS", line[8:9]))
				case strings.HasPrefix(line, "PS> "):
					command := line[4:]
					for i+1 < len(lines) && strings.HasPrefix(lines[i+1], ">> ") {
						i++
						line, command = line+"\n"+lines[i], command+"\n"+lines[i][3:]
					}
					got.WriteString(line + "\n" + steady(known, w.run(command)))
					continue
				case !strings.HasPrefix(line, "# "):
					continue
				}
				got.WriteString(lines[i] + "\n")
			}
			if *update {
				if err := os.WriteFile(name, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if d := cmp.Diff(string(data), got.String()); d != "" && !*update {
				t.Error(d)
			}
			if len(w.answers) > 0 {
				t.Errorf("%d answers are left: a command did not ask", len(w.answers))
			}
		})
	}
}
