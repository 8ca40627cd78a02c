package directory_test

import (
	"errors"
	"testing"

	"busybridge/internal/directory"
)

func TestAddressSpaceCheck(t *testing.T) {
	org := &directory.Organization{Servers: []directory.Server{
		{Common: directory.Common{Name: "MAIL"}, HostNames: []string{"mail.contoso.com"}, AdminDisplayVersion: directory.OAuthVersion, ExternalURL: "https://Outside.contoso.com/ews/exchange.asmx"},
		{Common: directory.Common{Name: "RTM"}, HostNames: []string{"rtm.contoso.com"}, AdminDisplayVersion: directory.Version{Major: 15, Build: 847, Revision: 31}},
		{Common: directory.Common{Name: "LEGACY"}, HostNames: []string{"legacy.contoso.com"}, AdminDisplayVersion: directory.Version{Major: 14, Minor: 3, Build: 123, Revision: 4}},
	}}
	proxy := func(url string) directory.AvailabilityAddressSpace {
		return directory.AvailabilityAddressSpace{AccessMethod: directory.InternalProxy, ProxyURL: url, UseServiceAccount: true}
	}
	space := proxy("https://mail.contoso.com/ews/exchange.asmx")
	space.UseServiceAccount = false
	secret := directory.Secret("hunter2")
	tests := []struct {
		name   string
		space  directory.AvailabilityAddressSpace
		reason directory.AddressSpaceReason
		want   string
	}{
		{"first version that may", proxy("https://MAIL.contoso.com./ews/exchange.asmx"), 0, ""},
		{"name of its address", proxy("https://outside.contoso.com/ews/exchange.asmx"), 0, ""},
		{"last that may not", proxy("https://rtm.contoso.com/ews/exchange.asmx"), directory.TooOld, "the server RTM is Version 15.0 (Build 847.31). A proxy has to be Version 15.0 (Build 847.32) or later."},
		{"old", proxy("https://legacy.contoso.com/ews/exchange.asmx"), directory.TooOld, "the server LEGACY is Version 14.3 (Build 123.4). A proxy has to be Version 15.0 (Build 847.32) or later."},
		{"not ours", proxy("https://mail.contoso.com.evil.example/ews/exchange.asmx"), directory.NotConfigured,
			"mail.contoso.com.evil.example is no server of this organization (Get-WebServicesVirtualDirectory), and the service account's password is sent to those only."},
		{"no URL", proxy(""), directory.NotConfigured, "it has no ProxyUrl."},
		{"broken URL", proxy("https://[/"), directory.NotConfigured, "its ProxyUrl is no URL."},
		{"no service account", space, directory.NotConfigured, "InternalProxy needs -UseServiceAccount $true."},
		{"credentials", directory.AvailabilityAddressSpace{AccessMethod: directory.OrgWideFB, UserName: "svc", Password: secret}, 0, ""},
		{"user without password", directory.AvailabilityAddressSpace{AccessMethod: directory.OrgWideFBBasic, UserName: "svc"}, directory.NoCredentials,
			"it has no credentials. Use -Credentials with an account of the other forest."},
		{"service account in another forest", directory.AvailabilityAddressSpace{AccessMethod: directory.PerUserFB, UseServiceAccount: true}, directory.NoCredentials,
			"the service account of the organization is unknown in another forest. Use -Credentials."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.space.Check(org)
			e, _ := errors.AsType[*directory.AddressSpaceError](err)
			switch {
			case (err == nil) != (tt.want == ""):
				t.Errorf("got %v, want %q", err, tt.want)
			case err != nil && (e.Text != tt.want || e.Reason != tt.reason):
				t.Errorf("got %d %q, want %d %q", e.Reason, e.Text, tt.reason, tt.want)
			}
		})
	}
}

func TestDiscovery(t *testing.T) {
	for epr, want := range map[string]string{
		"": "https://autodiscover.fabrikam.com/autodiscover/autodiscover.svc",
		"https://mail.fabrikam.com/Autodiscover/Autodiscover.xml": "https://mail.fabrikam.com/Autodiscover/autodiscover.svc",
		"https://mail.fabrikam.com/autodiscover/autodiscover.svc": "https://mail.fabrikam.com/autodiscover/autodiscover.svc",
	} {
		a := directory.AvailabilityAddressSpace{ForestName: "fabrikam.com", TargetAutodiscoverEpr: epr}
		if got := a.Discovery(); got != want {
			t.Errorf("%q: got %q, want %q", epr, got, want)
		}
	}
}

func TestIsForest(t *testing.T) {
	c := directory.AvailabilityConfig{PerUserAccount: "Users@contoso.com", OrgWideAccount: "all@contoso.com"}
	for account, want := range map[string][2]bool{"users@contoso.com": {true, true}, "all@contoso.com": {true, false}, "alice@contoso.com": {}, "": {}} {
		if forest, perUser := c.IsForest(account); forest != want[0] || perUser != want[1] {
			t.Errorf("%q: got %v %v, want %v", account, forest, perUser, want)
		}
	}
	if forest, _ := new(directory.AvailabilityConfig).IsForest(""); forest {
		t.Error("nobody is a forest")
	}
}
