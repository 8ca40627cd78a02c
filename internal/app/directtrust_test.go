package app_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/admin/exchangecmd"
	"busybridge/internal/app"
	"busybridge/internal/app/client"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/trust"
)

// A pair is two organizations that trust each other and nobody else: there is no
// authorization server in this world.
type pair struct {
	*hybrid
	contoso, fabrikam *side
	caFile            string
}

const fred = "fred@fabrikam.com"

func (p *pair) host(s *side) string {
	if s == p.contoso {
		return "mail.contoso.com"
	}
	return "mail.fabrikam.com"
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{hybrid: &hybrid{t: t, connectTo: map[string]string{}}, contoso: new(side), fabrikam: new(side)}
	listeners := map[*side]net.Listener{}
	for _, s := range []*side{p.contoso, p.fabrikam} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		p.must(err)
		listeners[s], p.connectTo[p.host(s)+":443"] = ln, ln.Addr().String()
	}
	pool, cert := p.certificate([]string{"mail.contoso.com", "mail.fabrikam.com"})
	p.caFile = filepath.Join(t.TempDir(), "ca.pem")
	p.must(os.WriteFile(p.caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), 0o600))
	quiet := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	for s, ln := range listeners {
		var err error
		s.Deployment, err = app.Open(t.Context(), app.Settings{
			StorePath: filepath.Join(t.TempDir(), "a.db"), SealKey: make([]byte, 32), Roles: []string{app.RoleOrganization}, Now: s.now, Log: quiet,
			Dial: safehttp.Config{Roots: pool, ConnectTo: p.connectTo},
		})
		p.must(err)
		run, stop := context.WithCancel(context.WithoutCancel(t.Context()))
		done := make(chan error, 1)
		go func() {
			done <- app.RunAll(run, []*app.Deployment{s.Deployment}, func(ctx context.Context) error {
				srv := &http.Server{Handler: s.Handler(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
				go func() {
					<-ctx.Done()
					srv.Close()
				}()
				if err := srv.Serve(tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}})); !errors.Is(err, http.ErrServerClosed) {
					return err
				}
				return nil
			})
		}()
		t.Cleanup(func() {
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
			s.Close()
		})
		p.populateSide(s)
	}
	return p
}

// populateSide makes a user with a calendar. Those of the other side are in no directory here.
func (p *pair) populateSide(s *side) {
	p.t.Helper()
	ctx, mine, theirs, other := p.t.Context(), alice, fred, p.fabrikam
	if s == p.fabrikam {
		mine, theirs, other = fred, alice, p.contoso
	}
	domain := mine[strings.IndexByte(mine, '@')+1:]
	org, err := s.Admin.NewOrganization(ctx, operator, admin.OrganizationParams{Name: domain, Domain: domain})
	p.must(err)
	s.org = org.Object.ID
	url := "https://" + p.host(s) + "/ews/exchange.asmx"
	_, err = s.Admin.NewServer(ctx, operator, s.org, directory.Server{Common: directory.Common{Name: "SERVER"}, HostNames: []string{p.host(s)},
		AdminDisplayVersion: directory.OAuthVersion, InternalURL: url, ExternalURL: url, OAuthAuthentication: true, BasicAuthentication: true})
	p.must(err)
	_, err = s.Admin.NewMailbox(ctx, operator, s.org, admin.MailboxParams{Name: mine[:strings.IndexByte(mine, '@')], Primary: mine, TimeZone: "UTC", Password: "correct horse battery"})
	p.must(err)
	const event = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:test\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260302T090000Z\r\nDTEND:20260302T100000Z\r\nSUMMARY:Planning\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	_, err = s.Admin.ImportCalendar(ctx, operator, s.org, mine, "a.ics", strings.NewReader(event))
	p.must(err)
	_, err = s.Admin.NewIntraOrganizationConnector(ctx, operator, s.org, directory.IntraOrganizationConnector{Common: directory.Common{Name: "Partner"}, Enabled: true,
		TargetAddressDomains: []string{theirs[strings.IndexByte(theirs, '@')+1:]}, DiscoveryEndpoint: "https://" + p.host(other) + "/autodiscover/autodiscover.svc"})
	p.must(err)
}

func (p *pair) metadata(s *side) string {
	return "https://" + p.host(s) + "/autodiscover/metadata/json/1"
}

// pin makes s trust of, whose administrator has read the fingerprint out.
func (p *pair) pin(s, of *side, fingerprint string) (directory.PartnerApplication, error) {
	res, err := s.Admin.PinPartnerApplication(p.t.Context(), operator, s.org, directory.PartnerApplication{Common: directory.Common{Name: "Partner"}, Enabled: true,
		AuthMetadataURL: p.metadata(of), ActAsPermissions: []string{"Calendars.ReadBasic"}}, fingerprint)
	return res.Object, err
}

func (p *pair) fingerprint(s *side) string {
	p.t.Helper()
	f, err := s.Admin.OwnFingerprint(p.t.Context(), operator, s.org)
	p.must(err)
	return f
}

func (p *pair) partner(s *side) directory.PartnerApplication {
	p.t.Helper()
	for _, a := range s.organization(p.t).PartnerApplications {
		if a.Name == "Partner" {
			return a
		}
	}
	p.t.Fatal("no partner")
	return directory.PartnerApplication{}
}

// ask asks as the user of s for the user of the other side.
func (p *pair) ask(s *side) string {
	p.t.Helper()
	user, address := alice, fred
	if s == p.fabrikam {
		user, address = fred, alice
	}
	c, err := client.New(client.Options{Server: "https://" + p.host(s), User: user, Password: "correct horse battery", ConnectTo: p.connectTo, CAFile: p.caFile})
	p.must(err)
	defer c.Close()
	day := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	answers, err := c.Availability(p.t.Context(), []string{address}, freebusy.Window{Start: day, End: day.Add(4 * time.Hour)}, freebusy.ViewFreeBusyMerged)
	p.must(err)
	if e := answers[0].Error; e != nil {
		return e.Error()
	}
	return answers[0].Merged
}

const planned = "00220000" // busy from nine to ten

func TestDirectTrust(t *testing.T) {
	p := newPair(t)
	if got := p.ask(p.contoso); !strings.Contains(got, "401") && !strings.Contains(got, "trusted issuers") {
		t.Errorf("before anybody trusts anybody: %s", got)
	}
	if _, err := p.pin(p.contoso, p.fabrikam, "12345 12345 12345 12345 12345 12345"); !errors.Is(err, admin.ErrFingerprint) {
		t.Errorf("pin with a wrong fingerprint: %v", err)
	}
	pinned, err := p.pin(p.contoso, p.fabrikam, strings.ReplaceAll(p.fingerprint(p.fabrikam), " ", "-"))
	p.must(err)
	if pinned.Realm != "fabrikam.com" || pinned.UseAuthServer || directory.Fingerprint(pinned.CertificateStrings) != p.fingerprint(p.fabrikam) {
		t.Errorf("pinned %+v", pinned)
	}
	// One side trusts: it can be asked, and cannot ask.
	if got := p.ask(p.fabrikam); got != planned {
		t.Errorf("fabrikam.com asks contoso.com, which trusts it: %s", got)
	}
	if got := p.ask(p.contoso); got == planned {
		t.Error("fabrikam.com answered before it trusted contoso.com")
	}
	p.explains(p.contoso, "does not trust contoso.com directly")
	_, err = p.pin(p.fabrikam, p.contoso, p.fingerprint(p.contoso))
	p.must(err)
	p.contoso.ahead.Add(int64(10 * time.Second)) // that it was refused is remembered for a moment
	for _, s := range []*side{p.contoso, p.fabrikam} {
		if got := p.ask(s); got != planned {
			t.Errorf("%s asks: %s, want %s", p.host(s), got, planned)
		}
	}
	rep := p.test(p.contoso, exchangecmd.OAuthTest{Service: "EWS", TargetURI: "https://mail.fabrikam.com", Mailbox: p.mailbox(p.contoso, alice)})
	if missing := lacks(rep.Detail, "issuing the actor token for resource", "actor: "); !rep.Success || missing != "" {
		t.Errorf("Test-OAuthConnectivity lacks %q: %s\n%s", missing, rep.Cause, rep.Detail)
	}

	// A key that is announced before it signs is followed; nobody notices.
	p.rollOver(p.fabrikam, true)
	if got := p.ask(p.fabrikam); got != planned {
		t.Errorf("after a roll-over: %s", got)
	}
	if got := p.partner(p.contoso); len(got.PendingCertificateStrings) != 0 || directory.Fingerprint(got.CertificateStrings) != p.fingerprint(p.fabrikam) {
		t.Errorf("pinned after a roll-over: %s, want %s", directory.Fingerprint(got.CertificateStrings), p.fingerprint(p.fabrikam))
	}

	// Keys that have nothing in common with those that are pinned wait for a person.
	was := p.partner(p.contoso).CertificateStrings
	p.rollOver(p.fabrikam, false)
	if got := p.ask(p.fabrikam); !strings.Contains(got, "2000000") {
		t.Errorf("signed with a strange key: %s, want 2000000", got)
	}
	p.explains(p.fabrikam, "has not pinned the key", p.fingerprint(p.fabrikam))
	res, err := p.contoso.Admin.SetPartnerApplication(t.Context(), operator, p.contoso.org, "Partner", true, nil)
	p.must(err)
	if len(res.Warnings) == 0 && len(p.partner(p.contoso).PendingCertificateStrings) == 0 {
		t.Error("nothing says that keys wait")
	}
	waiting := p.partner(p.contoso)
	if fmt.Sprint(waiting.CertificateStrings) != fmt.Sprint(was) || directory.Fingerprint(waiting.PendingCertificateStrings) != p.fingerprint(p.fabrikam) {
		t.Errorf("pinned %s, waiting %s", directory.Fingerprint(waiting.CertificateStrings), directory.Fingerprint(waiting.PendingCertificateStrings))
	}
	for _, wrong := range []string{"", "12345 12345 12345 12345 12345 12345", directory.Fingerprint(was)} {
		if _, err := p.contoso.Admin.ApprovePartnerKeys(t.Context(), operator, p.contoso.org, "Partner", wrong); !errors.Is(err, admin.ErrFingerprint) {
			t.Errorf("approve with %q: %v", wrong, err)
		}
	}
	_, err = p.contoso.Admin.ApprovePartnerKeys(t.Context(), operator, p.contoso.org, "Partner", p.fingerprint(p.fabrikam))
	p.must(err)
	if got := p.ask(p.fabrikam); got != planned {
		t.Errorf("after the approval: %s", got)
	}
}

// explains checks what Test-OAuthConnectivity says of a failure.
func (p *pair) explains(s *side, texts ...string) {
	p.t.Helper()
	user, other := alice, p.fabrikam
	if s == p.fabrikam {
		user, other = fred, p.contoso
	}
	rep := p.test(s, exchangecmd.OAuthTest{Service: "EWS", TargetURI: "https://" + p.host(other), Mailbox: p.mailbox(s, user)})
	if missing := lacks(rep.Cause, texts...); rep.Success || missing != "" {
		p.t.Errorf("the cause lacks %q: %s", missing, rep.Cause)
	}
}

// rollOver gives s a new certificate: announced, read by the other side and then
// current; or current at once and alone.
func (p *pair) rollOver(s *side, announced bool) {
	p.t.Helper()
	cert, err := trust.NewSigningCertificate(trust.ExchangeCertificateSubject, time.Now().Add(-time.Minute), time.Now().AddDate(1, 0, 0))
	p.must(err)
	if announced {
		p.changeOrg(s, func(o *directory.Organization) {
			at := time.Now().Add(48 * time.Hour)
			o.Certificates = append(o.Certificates, cert)
			o.AuthConfig.NextCertificateThumbprint, o.AuthConfig.NextCertificateEffectiveDate = cert.Thumbprint, &at
		})
		other := p.contoso
		if s == p.contoso {
			other = p.fabrikam
		}
		_, err := other.Admin.SetPartnerApplication(p.t.Context(), operator, other.org, "Partner", true, nil)
		p.must(err)
	}
	p.changeOrg(s, func(o *directory.Organization) {
		a := &o.AuthConfig
		if announced {
			a.PreviousCertificateThumbprint = a.CurrentCertificateThumbprint
		} else {
			o.Certificates, a.PreviousCertificateThumbprint = append(o.Certificates, cert), ""
		}
		a.CurrentCertificateThumbprint, a.NextCertificateThumbprint, a.NextCertificateEffectiveDate = cert.Thumbprint, "", nil
	})
}

// A document is only worth what its address is: another identity there is no
// roll-over.
func TestDirectTrustKeepsTheIdentity(t *testing.T) {
	p := newPair(t)
	_, err := p.pin(p.contoso, p.fabrikam, "")
	p.must(err)
	was := p.partner(p.contoso)
	p.changeOrg(p.fabrikam, func(o *directory.Organization) { o.AuthConfig.Realm = "evil.example" })
	_, err = p.contoso.Admin.SetPartnerApplication(t.Context(), operator, p.contoso.org, "Partner", true, nil)
	if !errors.Is(err, trust.ErrMetadata) {
		t.Errorf("the document of another realm: %v", err)
	}
	if is := p.partner(p.contoso); fmt.Sprint(is) != fmt.Sprint(was) {
		t.Errorf("the partner has changed: %+v, was %+v", is, was)
	}
}
