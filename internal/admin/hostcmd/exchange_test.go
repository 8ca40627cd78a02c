package hostcmd_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/admin"
	"busybridge/internal/admin/exchangecmd"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/store/sqlitestore"
)

// newCloud makes the far side the shell of a hosted organization.
func newCloud(t *testing.T, n *near) {
	t.Helper()
	store, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "a.db"), sqlitestore.Options{Now: clock, SealKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	svc, err := admin.New(admin.Config{Store: admin.Over(store), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	system := admin.Actor{Name: "system", System: true}
	o, err := svc.NewOrganization(t.Context(), system, admin.OrganizationParams{Name: "Contoso", Domain: "contoso.partner.onmschina.cn", Tenant: "cb52ada4-5045-4d00-a59a-c7896ef052a1"})
	if err != nil {
		t.Fatal(err)
	}
	commands, err := exchangecmd.Commands(exchangecmd.Config{
		Admin: svc, Org: o.Object.ID, Hosted: true, Server: "partner.outlook.cn", RunspaceID: runspace, Now: clock,
		Actor: func(context.Context) (admin.Actor, error) {
			return admin.Actor{Name: "admin@contoso.partner.onmschina.cn", Org: o.Object.ID, Roles: []string{directory.RoleAdmin}}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if n.far.s, err = interp.New(interp.Config{Commands: commands, Now: clock, Remote: true}); err != nil {
		t.Fatal(err)
	}
}

func TestExchangeOverASession(t *testing.T) {
	n := newNear(t)
	newCloud(t, n)
	script := strings.NewReplacer("partner.outlook.cn", "far.contoso.com", "<your on-premises-Autodiscover endpoint>", "https://autodiscover.contoso.com/autodiscover/autodiscover.svc",
		"<your on-premises target address>", "contoso.com").Replace(seed(t, "step7.ps1"))
	if out, log := n.run(t, script); !strings.Contains(out, "Script     1.0        tmp_xxxxxxxx.xxx") || !strings.Contains(out, "ExchangeHybridOnlineToOnPremises") || log != "" {
		t.Fatalf("step 7: %q, log %q", out, log)
	}
	for _, tt := range []struct{ name, script, out, log string }{
		{"as a list", `Get-IntraOrganizationConnector | fl *unspace*, TargetAddressDomains, DiscoveryEndpoint, Enabled, WhenCreatedUTC`, `

RunspaceId           : ` + runspace + `
TargetAddressDomains : {contoso.com}
DiscoveryEndpoint    : https://autodiscover.contoso.com/autodiscover/autodiscover.svc
Enabled              : True
WhenCreatedUTC       : 5/6/2014 7:08:09 AM



`, ""},
		{"properties", `$c = Get-IntraOrganizationConnector; $c.TargetAddressDomains[0].Domain; $c.Guid -is [guid]; $c.WhenCreatedUTC.Year; $c.DiscoveryEndpoint.Host; $c.pstypenames[0]; $c.PSComputerName; $c.PSShowComputerName; @($c.psobject.Properties | ? Name -eq RunspaceId).Count`,
			"contoso.com\nTrue\n2014\nautodiscover.contoso.com\nDeserialized.Microsoft.Exchange.Data.Directory.SystemConfiguration.IntraOrganizationConnector\nfar.contoso.com\nFalse\n1\n", ""},
		{"by pipeline", `Get-IntraOrganizationConnector | Set-IntraOrganizationConnector -Enabled $false -TargetAddressDomains @{Add='fabrikam.com'}; $c = Get-IntraOrganizationConnector; "$($c.Enabled) $($c.TargetAddressDomains)"`, "False contoso.com fabrikam.com\n", ""},
		{"nothing changes", `Set-IntraOrganizationConnector ExchangeHybridOnlineToOnPremises -Enabled $false`, "",
			"Warning: The command completed successfully but no settings of 'ExchangeHybridOnlineToOnPremises' have been modified.\n"},
		{"not found", `Get-IntraOrganizationConnector nowhere -ErrorAction SilentlyContinue; $e = $Error[0]; "$e"; "$($e.CategoryInfo)"; try { Set-IntraOrganizationConnector nowhere -Enabled $true -ErrorAction Stop } catch { 'caught' }`,
			"Couldn't find object \"nowhere\". Please make sure that it was spelled correctly or specify a different object.\nNotSpecified: (:) [Get-IntraOrganizationConnector], ManagementObjectNotFoundException\ncaught\n", ""},
		{"removed", `Remove-IntraOrganizationConnector ExchangeHybridOnlineToOnPremises -Confirm:$false; @(Get-IntraOrganizationConnector).Count; Remove-PSSession $Session`, "0\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, log := n.run(t, tt.script)
			if d := cmp.Diff([]string{tt.out, tt.log}, []string{out, log}); d != "" {
				t.Error(d)
			}
		})
	}
}
