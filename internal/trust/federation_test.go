package trust_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/fedmeta"
	"busybridge/internal/trust"
)

const federationURL = "https://login.chinacloudapi.cn/contoso.com/federationmetadata/2007-06/federationmetadata.xml"

// FetchFederationMetadata: these servers have none.
func (*servers) FetchFederationMetadata(context.Context, string) (*fedmeta.Document, error) {
	return nil, errors.New("no federation metadata here")
}

// evoSTS are servers whose second AuthServer is of the type AzureAD.
type evoSTS struct {
	*servers
	doc *fedmeta.Document
}

func (e *evoSTS) FetchFederationMetadata(_ context.Context, url string) (*fedmeta.Document, error) {
	if url != federationURL {
		return nil, errors.New("unknown address")
	}
	return e.doc, nil
}

func federation() *fedmeta.Document {
	return &fedmeta.Document{EntityID: "https://sts.chinacloudapi.cn/" + tenant + "/",
		Certificates: [][]byte{certKey("stranger").cert.DER, certKey("as").cert.DER}}
}

// The table of oauth-s2s 1.4, right column.
func TestFederationServer(t *testing.T) {
	got, err := trust.FederationServerFrom(federation(), "EvoSTS", federationURL, start)
	if err != nil {
		t.Fatal(err)
	}
	want := directory.AuthServer{
		Common: directory.Common{Name: "EvoSTS", WhenCreated: start, WhenChanged: start}, Type: directory.AuthServerAzureAD, Enabled: true,
		IssuerIdentifier: "https://sts.chinacloudapi.cn/" + tenant + "/", Realm: tenant,
		TokenIssuingEndpoint:  "https://login.chinacloudapi.cn/common/oauth2/token",
		AuthorizationEndpoint: "https://login.chinacloudapi.cn/common/oauth2/authorize",
		AuthMetadataURL:       federationURL, CertificateStrings: []string{certKey("stranger").base64(), certKey("as").base64()}, RefreshedAt: start,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for name, change := range map[string]func(*fedmeta.Document){
		"no keys":          func(d *fedmeta.Document) { d.Certificates, d.Refused = nil, []error{errBroken} },
		"template":         func(d *fedmeta.Document) { d.EntityID = "https://sts.chinacloudapi.cn/{tenantid}/" },
		"no tenant":        func(d *fedmeta.Document) { d.EntityID = "https://sts.chinacloudapi.cn/" },
		"http":             func(d *fedmeta.Document) { d.EntityID = "http://sts.chinacloudapi.cn/" + tenant + "/" },
		"user information": func(d *fedmeta.Document) { d.EntityID = "https://a:b@sts.chinacloudapi.cn/" + tenant + "/" },
		"URN":              func(d *fedmeta.Document) { d.EntityID = "urn:federation:contoso" },
	} {
		d := federation()
		change(d)
		if s, err := trust.FederationServerFrom(d, "EvoSTS", federationURL, start); !errors.Is(err, trust.ErrMetadata) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	if _, err := trust.ReadAuthServer(t.Context(), newServers("as"), directory.AuthServer{Type: "ADFS", AuthMetadataURL: federationURL}, start); !errors.Is(err, trust.ErrMetadata) {
		t.Errorf("another type: %v", err)
	}
}

// A refresh reads both kinds, each in its own form, and an issuer of people
// does not disturb that of applications: same realm, other keys.
func TestAzureADDoesNotDisturbACS(t *testing.T) {
	e := &evoSTS{newServers("as"), federation()}
	s, err := trust.FederationServerFrom(e.doc, "EvoSTS", federationURL, start)
	if err != nil {
		t.Fatal(err)
	}
	s.IsDefaultAuthorizationEndpoint = true
	e.org.AuthServers = append([]directory.AuthServer{s}, e.org.AuthServers...)
	e.doc.Certificates = e.doc.Certificates[1:]
	r, err := trust.NewRefresher(trust.RefresherConfig{Metadata: e, Servers: e, Now: fixed(start.Add(time.Hour)), Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Refresh(t.Context(), e.org.ID, "EvoSTS"); err != nil {
		t.Fatal(err)
	}
	want := s
	want.CertificateStrings, want.RefreshedAt = []string{certKey("as").base64()}, start.Add(time.Hour)
	if d := cmp.Diff(want, e.org.AuthServers[0]); d != "" {
		t.Error(d)
	}
	e.doc.EntityID = "https://sts.chinacloudapi.cn/" + tenantB + "/"
	if err := r.Refresh(t.Context(), e.org.ID, "EvoSTS"); !errors.Is(err, trust.ErrMetadata) {
		t.Errorf("another tenant: %v", err)
	}

	ch := trust.ChallengeFor([]*directory.Organization{e.org})
	wantChallenge := acs.Challenge{ClientID: exchange, AuthorizationURI: "https://login.chinacloudapi.cn/common/oauth2/authorize",
		TrustedIssuers: []acs.PrincipalName{{PID: acsPID, Realm: tenant}, {PID: exchange, Realm: "fabrikam.com"}}}
	if d := cmp.Diff(wantChallenge, ch, cmpopts.IgnoreFields(acs.Challenge{}, "Issuers")); d != "" {
		t.Error(d)
	}
	scene := newScene()
	scene.org.AuthServers = append([]directory.AuthServer{s}, scene.org.AuthServers...)
	if _, err := scene.validate(t); err != nil {
		t.Errorf("a token of ACS: %v", err)
	}
	scene.actor.claims["iss"] = s.IssuerIdentifier
	delete(scene.outer.claims, "actortoken")
	_, err = scene.validate(t)
	if te, ok := errors.AsType[*trust.TokenError](err); !ok || te.ID != trust.InvalidIssuer {
		t.Errorf("a token of the issuer of people: %v", err)
	}
}

// The schedule covers both kinds.
func TestFederationMetadataIsRefreshedOnSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &evoSTS{newServers("as"), federation()}
		s, err := trust.FederationServerFrom(e.doc, "EvoSTS", federationURL, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		e.org.AuthServers = append(e.org.AuthServers, s)
		e.doc.Certificates = e.doc.Certificates[1:]
		r, err := trust.NewRefresher(trust.RefresherConfig{Metadata: e, Servers: e, Now: time.Now, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = r.Run(ctx) })
		time.Sleep(8*time.Hour + 15*time.Minute)
		synctest.Wait()
		e.set(func(*servers) {
			if got := e.org.AuthServers[1]; len(got.CertificateStrings) != 1 || !got.RefreshedAt.After(s.RefreshedAt) {
				t.Errorf("%+v", got)
			}
		})
		cancel()
		wg.Wait()
	})
}

func TestFederationMetadata(t *testing.T) {
	a, _ := newAuthority(t, realms{testRealm()}, fixed(start), nil)
	for _, name := range []string{tenant, "contoso.com", "Contoso.COM", "contoso.partner.onmschina.cn"} {
		got, err := a.FederationMetadata(t.Context(), name, "login.chinacloudapi.cn")
		if err != nil {
			t.Fatal(err)
		}
		want := &fedmeta.Document{ID: "_" + tenant, EntityID: "https://sts.chinacloudapi.cn/" + tenant + "/",
			Endpoint: "https://login.chinacloudapi.cn/" + tenant + "/wsfed", Certificates: [][]byte{certKey("as").cert.DER}}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	for _, at := range [][2]string{{"fabrikam.com", "login.chinacloudapi.cn"}, {"contoso.com", acsHost}, {"contoso.com", onprem}, {"", "login.chinacloudapi.cn"}} {
		if d, err := a.FederationMetadata(t.Context(), at[0], at[1]); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%v: %v, %v", at, d, err)
		}
	}
	a, _ = newAuthority(t, realms{testRealm()}, fixed(start), func(c *trust.AuthorityConfig) {
		c.Authority = func(context.Context) (*directory.AuthorityConfig, error) {
			cfg := authorityConfig()
			cfg.Cloud.V1IssuerBase = ""
			return cfg, nil
		}
	})
	if _, err := a.FederationMetadata(t.Context(), "contoso.com", "login.chinacloudapi.cn"); !errors.Is(err, directory.ErrNotFound) || !strings.Contains(err.Error(), "there is none") {
		t.Errorf("a cloud without issuer: %v", err)
	}
}
