package exchangecmd_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/admin"
	"busybridge/internal/admin/exchangecmd"
	"busybridge/internal/audit"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/syntax"
)

// noTest is an OAuthTester that is never asked.
type noTest struct{}

func (noTest) TestOAuth(context.Context, admin.Actor, *directory.Organization, exchangecmd.OAuthTest) (exchangecmd.OAuthReport, error) {
	return exchangecmd.OAuthReport{}, errors.New("nobody asks")
}

func commands(t *testing.T, hosted bool) []interp.Command {
	t.Helper()
	list, err := exchangecmd.Commands(exchangecmd.Config{
		Admin: &admin.Service{}, Org: "x", Actor: func(context.Context) (admin.Actor, error) { return admin.Actor{}, nil },
		Hosted: hosted, Server: "dc", Now: func() time.Time { return now }, OAuth: noTest{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func names(list []interp.Command) (out []string) {
	for _, c := range list {
		out = append(out, c.Name)
	}
	slices.Sort(out)
	return out
}

func TestIncompleteConfig(t *testing.T) {
	if _, err := exchangecmd.Commands(exchangecmd.Config{Org: "x"}); err == nil {
		t.Error("a configuration without a service is accepted")
	}
}

// What belongs to the operator of a cloud does not exist for its tenants.
func TestHostedOrganizationsLackWhatBelongsToTheOperator(t *testing.T) {
	here, there := names(commands(t, false)), names(commands(t, true))
	for _, n := range []string{
		"New-AuthServer", "Set-AuthServer", "Remove-AuthServer", "Get-AuthConfig", "Set-AuthConfig", "New-ExchangeCertificate", "Get-ExchangeCertificate",
		"Enable-ExchangeCertificate", "Remove-ExchangeCertificate", "Get-WebServicesVirtualDirectory", "Set-WebServicesVirtualDirectory", "Get-ExchangeServer",
	} {
		if !slices.Contains(here, n) || slices.Contains(there, n) {
			t.Errorf("%s: on premises %v, online %v", n, slices.Contains(here, n), slices.Contains(there, n))
		}
	}
	for _, n := range []string{
		"Get-AuthServer", "New-PartnerApplication", "Get-PartnerApplication", "Set-PartnerApplication", "Remove-PartnerApplication",
		"New-IntraOrganizationConnector", "Get-IntraOrganizationConnector", "Set-IntraOrganizationConnector", "Remove-IntraOrganizationConnector",
		"Get-IntraOrganizationConfiguration", "Add-AvailabilityAddressSpace", "Get-AvailabilityAddressSpace", "Remove-AvailabilityAddressSpace",
		"Get-AvailabilityConfig", "Set-AvailabilityConfig", "New-OrganizationRelationship", "Get-OrganizationRelationship", "Set-OrganizationRelationship",
		"Remove-OrganizationRelationship", "Get-Mailbox", "Test-OAuthConnectivity",
	} {
		if !slices.Contains(here, n) || !slices.Contains(there, n) {
			t.Errorf("%s: on premises %v, online %v", n, slices.Contains(here, n), slices.Contains(there, n))
		}
	}
}

// Each cmdlet and each parameter says what it is for; examples can be read.
func TestEveryCmdletIsDocumented(t *testing.T) {
	all := append(commands(t, false), commands(t, true)...)
	known := names(all)
	s, err := interp.New(interp.Config{Now: func() time.Time { return now }, Commands: all})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		for what, missing := range map[string]bool{
			"synopsis": !strings.HasSuffix(c.Synopsis, "."), "description": !strings.HasSuffix(c.Description, "."), "example": len(c.Examples) == 0, "link": len(c.Links) == 0,
			"module": c.Module != exchangecmd.Module,
		} {
			if missing {
				t.Errorf("%s has no %s", c.Name, what)
			}
		}
		for _, e := range c.Examples {
			if _, err := syntax.Parse("", e); err != nil || !strings.Contains(e, c.Name) {
				t.Errorf("%s: the example %q: %v", c.Name, e, err)
			}
		}
		for _, l := range c.Links {
			if !slices.Contains(known, l) {
				t.Errorf("%s: the link %s leads nowhere", c.Name, l)
			}
		}
		changes := !slices.Contains([]string{"Get", "Search", "Test"}, strings.Split(c.Name, "-")[0])
		if changes && !c.ShouldProcess {
			t.Errorf("%s changes something and has no -WhatIf", c.Name)
		}
		if asks := strings.HasPrefix(c.Name, "Remove-") || strings.HasPrefix(c.Name, "Disable-"); asks != (c.Impact == "High") {
			t.Errorf("%s: impact %q", c.Name, c.Impact)
		}
		for _, p := range s.Lookup(c.Name).Params() {
			if !strings.HasSuffix(p.Help, ".") {
				t.Errorf("%s -%s has no help", c.Name, p.Name)
			}
		}
	}
}

// With nobody at a terminal nothing dangerous happens unasked.
func TestWithoutATerminal(t *testing.T) {
	w := newWorld(t, false, map[string]any{"print": certificates()[1].Thumbprint}, silent)
	w.docs[metadataURL] = acsDocument()
	for _, c := range []struct{ name, command, want string }{
		{"a connector to remove", "New-IntraOrganizationConnector X -DiscoveryEndpoint https://x.fabrikam.com/autodiscover/autodiscover.svc -TargetAddressDomains fabrikam.com | Out-Null", ""},
		{"removal asks", "Remove-IntraOrganizationConnector X", "is in NonInteractive mode"},
		{"it is still there", "(Get-IntraOrganizationConnector).Name", "X"},
		{"unless it need not", "Remove-IntraOrganizationConnector X -Confirm:$false; (Get-IntraOrganizationConnector | measure).Count", "0"},
		{"a certificate to come", "New-ExchangeCertificate | Out-Null", ""},
		{"an early date asks", "Set-AuthConfig -NewCertificateThumbprint $print -NewCertificateEffectiveDate 5/7/2014", "run Set-AuthConfig with -Force"},
		{"and nothing was set", "(Get-AuthConfig).NextCertificateThumbprint -eq ''", "True"},
		{"unless forced", "Set-AuthConfig -NewCertificateThumbprint $print -NewCertificateEffectiveDate 5/7/2014 -Force; (Get-AuthConfig).NextCertificateThumbprint -eq $print", "True"},
		{"mandatory parameters", "New-PartnerApplication X", "one or more missing mandatory parameters: ApplicationIdentifier."},
		{"of two sets", "Set-AuthConfig -NewCertificateThumbprint $print", "one or more missing mandatory parameters: NewCertificateEffectiveDate."},
	} {
		got := strings.Join(strings.Fields(w.run(c.command)), " ")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %s\n%s", c.name, c.command, got)
		}
	}
}

// What an account may do is asked for each command.
func TestAnAccountThatIsGoneRunsNothing(t *testing.T) {
	w := newWorld(t, false, map[string]any{})
	if got := w.run("(Get-PartnerApplication).Name"); got != "Exchange Online\n" {
		t.Fatalf("got %q", got)
	}
	w.gone = errors.New("the account is disabled")
	for _, command := range []string{"Get-PartnerApplication", "Set-PartnerApplication 'Exchange Online' -Enabled $true", "Get-AuthConfig"} {
		if got := w.run(command); !strings.Contains(got, "The account is disabled.") {
			t.Errorf("%s: got %q", command, got)
		}
	}
	w.gone = nil
	if got := w.run("(Get-PartnerApplication).Enabled"); got != "False\n" {
		t.Errorf("it was changed: %q", got)
	}
}

// Changes and refusals are in the audit trail with who and what; secrets are not.
func TestAuditTrail(t *testing.T) {
	w := newWorld(t, false, map[string]any{})
	for _, command := range []string{
		"Get-PartnerApplication | Set-PartnerApplication -Enabled $true",
		"Get-PartnerApplication | Set-PartnerApplication -Enabled $true", // no change
		"Set-PartnerApplication 'Exchange Online' -Enabled $false -WhatIf",
		`$c = New-Object PSCredential("svc@fabrikam.com", (ConvertTo-SecureString "hunter2" -AsPlainText -Force)); Add-AvailabilityAddressSpace -ForestName fabrikam.com -AccessMethod OrgWideFB -Credentials $c | Out-Null`,
	} {
		w.run(command)
	}
	w.become("viewer")
	w.run("Set-PartnerApplication 'Exchange Online' -Enabled $false -WhatIf")
	w.become("nobody")
	w.run("Get-AuthServer")
	want := []string{
		"admin@contoso.com Set-PartnerApplication PartnerApplication Exchange Online: done",
		"admin@contoso.com Add-AvailabilityAddressSpace AvailabilityAddressSpace fabrikam.com: done",
		"viewer@contoso.com Set-PartnerApplication Organization: Set-PartnerApplication Organization: not allowed: viewer@contoso.com has no role for it",
		"nobody@contoso.com Get-AuthServer Organization: Get-AuthServer Organization: not allowed: nobody@contoso.com has no role for it",
	}
	var got []string
	for e, err := range w.store.AuditEvents(t.Context(), audit.Filter{Org: string(w.org)}) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(e.Before+e.After, "hunter2") {
			t.Errorf("a password is in the audit trail: %s", e.After)
		}
		if e.Actor != system.Name {
			got = append(got, e.Actor+" "+e.Operation+" "+e.Object+": "+e.Outcome)
		}
	}
	slices.Reverse(got) // the newest is the first
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// The article's connector in both directions of a pipeline, as Import-Csv would give it.
func TestPipelineBinding(t *testing.T) {
	w := newWorld(t, false, map[string]any{})
	w.run("New-OrganizationRelationship A -DomainNames a.fabrikam.com | Out-Null; New-OrganizationRelationship B -DomainNames b.fabrikam.com | Out-Null")
	for _, c := range []struct{ name, command, want string }{
		{"by value: a name", "'A' | Set-OrganizationRelationship -Enabled $false; (Get-OrganizationRelationship A).Enabled", "False\n"},
		{"by value: an object", "Get-OrganizationRelationship B | Set-OrganizationRelationship -Enabled $false; (Get-OrganizationRelationship B).Enabled", "False\n"},
		{"by value: an object of Select-Object", "Get-OrganizationRelationship B | select Identity | Set-OrganizationRelationship -Enabled $true; (Get-OrganizationRelationship B).Enabled", "True\n"},
		{"all of a list", "'A','B' | Get-OrganizationRelationship | % Name", "A\nB\n"},
		{"only a name is left", "[pscustomobject]@{Name='A'} | Get-OrganizationRelationship | % Name", "A\n"},
		{"an identity given goes before", "Get-OrganizationRelationship A | Get-OrganizationRelationship -Identity B | % Name", "InputObjectNotBound"},
		{"a GUID", "(Get-OrganizationRelationship A).Guid | Get-OrganizationRelationship | % Name", "A\n"},
	} {
		if got := w.run(c.command); got != c.want && !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// What the other side is told comes from the newest server that can be reached.
func TestConfigurationFollowsTheServers(t *testing.T) {
	w := newWorld(t, false, map[string]any{})
	ask := func() string {
		return w.run("Get-IntraOrganizationConfiguration -WarningAction SilentlyContinue | % { '{0} {1} {2}' -f $_.OnPremiseDiscoveryEndpoint, $_.OnPremiseWebServiceEndpoint, $_.DeploymentIsCompleteIOCReady }")
	}
	add := func(name string, v directory.Version, hosts ...string) {
		t.Helper()
		if _, err := w.admin.NewServer(t.Context(), system, w.org, directory.Server{
			Common: directory.Common{Name: name}, HostNames: hosts, AdminDisplayVersion: v, ExternalURL: "https://" + hosts[0] + ":8443/ews/exchange.asmx",
		}); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(name string) {
		t.Helper()
		if _, err := w.admin.RemoveServer(t.Context(), system, w.org, name); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what, want string) {
		t.Helper()
		if got := ask(); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	check("one of two is old", "https://autodiscover.mail.contoso.com/autodiscover/autodiscover.svc https://mail.contoso.com/ews/exchange.asmx False\n")
	remove("LEGACY")
	check("all are new", "/ews/exchange.asmx True\n")
	add("NEW", directory.Version{Major: 15, Minor: 1, Build: 225}, "new.contoso.com")
	check("the newest", "https://new.contoso.com:8443/autodiscover/autodiscover.svc https://new.contoso.com:8443/ews/exchange.asmx True\n")
	if got := w.run("(Get-PartnerApplication).AccountType"); got != "OrganizationalAccount\n" {
		t.Errorf("a property of 2016: %q", got)
	}
	remove("NEW")
	remove("MAIL")
	check("none", "No server has an external URL")
}
