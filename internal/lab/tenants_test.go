package lab

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/app/client"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
)

// TestTenantsOfOneDeploymentAreStrangers puts a second organization into the
// cloud deployment, under the same host names. Each sees its own people, and of
// the other only what a route leads to.
func TestTenantsOfOneDeploymentAreStrangers(t *testing.T) {
	ctx := t.Context()
	l, err := Start(ctx, Options{Now: time.Now, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})), Out: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := l.Join(ctx); err != nil {
		t.Fatal(err)
	}
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	dir, hosted := l.deployments[authorize].Admin, l.deployments[cloud].Admin
	realm, err := dir.NewRealm(ctx, operator, admin.RealmParams{InitialDomain: "fabrikam.partner.onmschina.cn"})
	must("realm", err)
	org, err := hosted.NewOrganization(ctx, operator, admin.OrganizationParams{Name: "fabrikam", Domain: "fabrikam.com", Tenant: realm.Object.ID})
	must("organization", err)
	_, err = hosted.NewServer(ctx, operator, org.Object.ID, server("CLOUD", cloudVersion, l.cloud.EWSHost))
	must("server", err)
	const password = "a-password-of-fabrikam"
	for _, name := range []string{"uma", "vera"} {
		_, err = hosted.NewMailbox(ctx, operator, org.Object.ID, admin.MailboxParams{Name: name, Primary: name + "@fabrikam.com", TimeZone: chinaZone, Password: password})
		must("mailbox", err)
	}

	uma, err := client.New(client.Options{Server: "https://" + l.cloud.EWSHost, User: "uma@fabrikam.com", Password: password, ConnectTo: l.file.ConnectTo(), CAFile: l.file.CAFile})
	must("client", err)
	defer uma.Close()
	w := l.nextWeek()
	ask := func() []client.Answer {
		t.Helper()
		answers, err := uma.Availability(ctx, []string{"vera@fabrikam.com", "kim@contoso.com", "alice@contoso.com"}, w, freebusy.ViewFreeBusyMerged)
		must("ask", err)
		if answers[0].Error != nil || len(answers[0].Merged) != 7*48 {
			t.Errorf("a colleague: %+v", answers[0])
		}
		return answers
	}
	for _, a := range ask()[1:] {
		if a.Error == nil || a.Error.Code != "ErrorAddressSpaceNotFound" {
			t.Errorf("%s of the other tenant, no route: %+v, want ErrorAddressSpaceNotFound", a.Address, a)
		}
	}

	// A connector leads to the other tenant's front door, where the token of a
	// third organization's realm is not trusted.
	der, err := currentCertificate(org.Object)
	must("certificate", err)
	_, err = dir.NewServicePrincipalCredential(ctx, operator, realm.Object.ID, directory.ExchangeAppID, admin.CredentialParams{Value: der})
	must("credential", err)
	_, err = hosted.NewAuthServer(ctx, operator, org.Object.ID, directory.AuthServer{Common: directory.Common{Name: "ACS"}, AuthMetadataURL: l.metadataURL(realm.Object.ID), Enabled: true})
	must("authorization server", err)
	_, err = hosted.NewIntraOrganizationConnector(ctx, operator, org.Object.ID, directory.IntraOrganizationConnector{
		Common: directory.Common{Name: "ToContoso"}, TargetAddressDomains: []string{domain}, Enabled: true,
		DiscoveryEndpoint: "https://" + discoverHost + "/autodiscover/autodiscover.svc",
	})
	must("connector", err)
	for _, a := range ask()[1:] {
		if a.Error == nil || a.Error.Code != "ErrorAutoDiscoverFailed" {
			t.Errorf("%s with a connector and no trust: %+v, want ErrorAutoDiscoverFailed", a.Address, a)
		}
	}

	// And the other way round: nobody of contoso sees fabrikam.
	answers, err := l.ask(ctx, "kim@"+domain, []string{"uma@fabrikam.com"}, w, freebusy.ViewMergedOnly)
	must("ask as kim", err)
	if e := answers[0].Error; e == nil || !strings.Contains(e.Text, "fabrikam.com") || e.Code != "ErrorAddressSpaceNotFound" {
		t.Errorf("kim asks for uma: %+v", answers[0])
	}
}
