package peersource_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/routing"
	"busybridge/internal/spec/autodiscover"
	"busybridge/internal/spec/ews"
)

// TestInternalProxy hands a question to a newer server of the organization.
func TestInternalProxy(t *testing.T) {
	p := newPeer(t)
	r := newRig(t, p)
	r.org.Servers = []directory.Server{
		{Common: directory.Common{Name: "MAIL"}, AdminDisplayVersion: directory.OAuthVersion, InternalURL: p.ews()},
		{Common: directory.Common{Name: "OLD"}, HostNames: []string{"old.contoso.com"}, AdminDisplayVersion: directory.Version{Major: 14, Minor: 3, Build: 123, Revision: 4}},
	}
	const unusable = `Availability address space "fabrikam.com" cannot be used: `
	service := func(org *directory.Organization, s *directory.AvailabilityAddressSpace, q routing.Requester) (*http.Client, error) {
		if org != r.org || s.Name != "fabrikam.com" || q.UPN != "ana@contoso.com" {
			t.Errorf("service account for %v, %v, %v", org.ID, s.Name, q)
		}
		return r.cl, nil
	}
	same := func(*directory.AvailabilityAddressSpace) {}
	url := func(url string) func(*directory.AvailabilityAddressSpace) {
		return func(s *directory.AvailabilityAddressSpace) { s.ProxyURL = url }
	}
	type client = func(*directory.Organization, *directory.AvailabilityAddressSpace, routing.Requester) (*http.Client, error)
	tests := []struct {
		name    string
		change  func(*directory.AvailabilityAddressSpace)
		service client
		asked   int
		want    string
	}{
		{"it is asked", same, service, 1, "kim 02000000"},
		{"no account here", same, nil, 0, "ProxyFailed: " + unusable + "this server has no way to sign in elsewhere."},
		{"account is disabled", same, func(*directory.Organization, *directory.AvailabilityAddressSpace, routing.Requester) (*http.Client, error) {
			return nil, errors.New("service account of contoso is disabled")
		}, 0, "ProxyFailed: Proxy web request failed. , inner exception: service account of contoso is disabled"},
		{"no URL", url(""), service, 0, "ProxyFailed: " + unusable + "it has no ProxyUrl."},
		{"somebody else's URL", url("https://mail.fabrikam.com/ews/exchange.asmx"), service, 0,
			"ProxyFailed: " + unusable + "mail.fabrikam.com is no server of this organization (Get-WebServicesVirtualDirectory), and the service account's password is sent to those only."},
		{"plain URL", url(strings.Replace(p.ews(), "https:", "http:", 1)), service, 0,
			`kim ProxyFailed: Proxy web request failed. , inner exception: EWS endpoint: "` + strings.Replace(p.ews(), "https:", "http:", 1) + `": not an https URL`},
		{"wrong path", url(p.URL + "/nowhere"), service, 0, "kim ProxyFailed: Proxy web request failed. , inner exception: The request failed with HTTP status 404: Not Found"},
		{"too old", url("https://old.contoso.com/ews/exchange.asmx"), service, 0,
			"ServiceDiscoveryFailed: Unable to find a Client Access server that can serve a request for an intraforest mailbox. " + unusable +
				"the server OLD is Version 14.3 (Build 123.4). A proxy has to be Version 15.0 (Build 847.32) or later."},
		{"without the service account", func(s *directory.AvailabilityAddressSpace) { s.UseServiceAccount = false }, service, 0,
			"ProxyFailed: " + unusable + "InternalProxy needs -UseServiceAccount $true."},
	}
	asked := 0
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r.cfg.Service = tt.service
			r.make()
			space := &directory.AvailabilityAddressSpace{Common: directory.Common{Name: "fabrikam.com", GUID: "s1"}, ForestName: "fabrikam.com",
				AccessMethod: directory.InternalProxy, ProxyURL: p.ews(), UseServiceAccount: true}
			tt.change(space)
			q := query("kim")
			q.Requester.Via = []string{"OLD", "MAIL"}
			got, err := r.src.Ask(t.Context(), r.org, routing.Route{Kind: routing.AddressSpace, AddressSpace: space}, q)
			s := text(err)
			if err == nil {
				s = short(got)[0]
			}
			if diff := cmp.Diff(tt.want, s); diff != "" {
				t.Errorf("reply (-want +got):\n%s", diff)
			}
			asked += tt.asked
			r.requests(p, 0, asked)
		})
	}
	wantHeader := ews.Header{Version: "Exchange2013", RequestType: ews.CrossSite, Impersonate: &ews.ConnectingSID{Kind: "PrimarySmtpAddress", Value: "ana@contoso.com"}}
	if diff := cmp.Diff(wantHeader, p.last.Header); diff != "" {
		t.Errorf("SOAP header (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{"User-Agent": "ASProxy/CrossSite/Directory//15.00.0847.032", "Via": "1.1 OLD, 1.1 MAIL"} {
		if got := p.ewsHd.Get(name); got != want {
			t.Errorf("%s %q, want %q", name, got, want)
		}
	}
}

// TestOtherForests asks another forest with an account of it.
func TestOtherForests(t *testing.T) {
	impersonating := &ews.ConnectingSID{Kind: "PrimarySmtpAddress", Value: "ana@contoso.com"}
	for method, as := range map[string]*ews.ConnectingSID{directory.PerUserFB: impersonating, directory.OrgWideFB: nil, directory.OrgWideFBBasic: nil} {
		t.Run(method, func(t *testing.T) {
			p := newPeer(t)
			r := newRig(t, p)
			space := &directory.AvailabilityAddressSpace{Common: directory.Common{Name: "fabrikam.com", GUID: "s1"}, ForestName: "fabrikam.com",
				AccessMethod: method, UserName: `fabrikam\svc`, Password: directory.Secret("hunter2"), TargetAutodiscoverEpr: p.URL + "/autodiscover/Autodiscover.xml"}
			r.cfg.Service = func(_ *directory.Organization, s *directory.AvailabilityAddressSpace, _ routing.Requester) (*http.Client, error) {
				if s != space {
					t.Errorf("client for %v", s)
				}
				return r.cl, nil
			}
			r.make()
			ask := func() string {
				q := query("kim")
				q.Requester.Via = []string{"OLD"}
				got, err := r.src.Ask(t.Context(), r.org, routing.Route{Kind: routing.AddressSpace, AddressSpace: space}, q)
				if err != nil {
					return text(err)
				}
				return short(got)[0]
			}
			for range 2 { // the second time it is known where
				if got := ask(); got != "kim 02000000" {
					t.Errorf("got %s", got)
				}
			}
			r.requests(p, 1, 2)
			if diff := cmp.Diff(ews.Header{Version: "Exchange2013", RequestType: ews.CrossForest, Impersonate: as}, p.last.Header); diff != "" {
				t.Errorf("SOAP header (-want +got):\n%s", diff)
			}
			if got := p.ewsHd.Get("User-Agent") + p.ewsHd.Get("Via"); got != "ASProxy/CrossForest/EmailDomain//15.00.0847.032" {
				t.Errorf("User-Agent and Via %q", got)
			}
			unauthorized := func(w http.ResponseWriter) {
				w.Header().Set("WWW-Authenticate", "Basic")
				w.WriteHeader(http.StatusUnauthorized)
			}
			p.ask = func(w http.ResponseWriter, _ *ews.AvailabilityRequest) []ews.FreeBusyResponse {
				unauthorized(w)
				return nil
			}
			const bad = `kim CrossForestCredentials: The credentials of availability address space "fabrikam.com", user fabrikam\svc, are not accepted. `
			if got, want := ask(), bad+"Proxy web request failed. , inner exception: The request failed with HTTP status 401: Unauthorized"; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			p.discover = func(w http.ResponseWriter, _ *autodiscover.Request) []autodiscover.Answer {
				unauthorized(w)
				return nil
			}
			r.make() // nothing is known any more
			if got, want := ask(), bad+"Autodiscover failed for email address kim@fabrikam.com with error The remote server returned an error: (401) Unauthorized."; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			space.UserName, space.Password, space.UseServiceAccount = "", nil, true
			if got := ask(); !strings.HasPrefix(got, `CrossForestCredentials: Availability address space "fabrikam.com" cannot be used: `) {
				t.Errorf("without credentials: %s", got)
			}
		})
	}
}
