package autodiscoverserver_test

import (
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/dial/autodiscoverclient"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/serve/autodiscoverserver"
	"busybridge/internal/serve/callers"
	"busybridge/internal/spec/autodiscover"
	"busybridge/internal/spec/smtpaddr"
)

var _ autodiscoverserver.Authenticator = (*callers.Authenticator)(nil)

// partner is a transport with the token of a partner of the host's first organization.
type partner struct{ http.RoundTripper }

func (p partner) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer partner-0")
	return p.RoundTripper.RoundTrip(r)
}

// The whole step of a requesting organization (Autodiscover reference part 5):
// the organization redirects to the target address, the cloud gives its EWS URL.
func TestOurClientAsksOurServer(t *testing.T) {
	w := newWorld()
	for alias, host := range map[string]string{"mail.example.com": "mail.contoso.com", "cloud.example.com": "partner.outlook.cn"} {
		sites := w.sites[host].All()
		w.sites[alias] = callers.NewSiteSet(alias, sites)
	}
	s := httptest.NewUnstartedServer(handler(t, w.config(t)))
	s.Config.ErrorLog = log.New(t.Output(), "", 0)
	s.StartTLS()
	defer s.Close()
	addr := s.Listener.Addr().String()
	cfg := safehttp.Config{Roots: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
		ConnectTo: map[string]string{"mail.example.com:443": addr, "cloud.example.com:443": addr}}
	tr, err := safehttp.Transport(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.CloseIdleConnections()
	c, err := autodiscoverclient.New(autodiscoverclient.Config{HTTP: safehttp.Client(partner{tr}, cfg)})
	if err != nil {
		t.Fatal(err)
	}

	ask := func(endpoint string, addresses ...string) (out []string) {
		t.Helper()
		var list []smtpaddr.Address
		for _, a := range addresses {
			list = append(list, smtpaddr.Must(a))
		}
		got, err := c.UserSettings(t.Context(), endpoint, list, []string{autodiscover.ExternalEwsVersion})
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range got.Users {
			s := u.Address.String() + ": " + u.EWSURL + " " + u.EWSVersion + u.RedirectAddress.String() + u.RedirectURL
			if u.Err != nil {
				s += u.Err.Error()
			}
			out = append(out, s)
		}
		return out
	}
	got := append(ask("https://mail.example.com/autodiscover/autodiscover.svc", "ana@hq.sub.contoso.com", "bo@contoso.com", "stranger@contoso.com"),
		ask("https://cloud.example.com/Autodiscover/Autodiscover.svc", "bo@contoso.partner.mail.onmschina.cn", "mia@fabrikam.com")...)
	want := []string{
		"ana@hq.sub.contoso.com: https://mail.contoso.com/EWS/Exchange.asmx 15.00.0847.032",
		"bo@contoso.com:  bo@contoso.partner.mail.onmschina.cn",
		"stranger@contoso.com: https://mail.contoso.com/EWS/Exchange.asmx 15.00.0847.032", // a partner does not learn that there is none
		"bo@contoso.partner.mail.onmschina.cn: https://partner.outlook.cn/EWS/Exchange.asmx 15.01.2507.006",
		"mia@fabrikam.com:  The response from the Autodiscover service at 'https://cloud.example.com/Autodiscover/Autodiscover.svc' failed due to an error in user setting 'ExternalEwsUrl'. Error message: InvalidUser.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	_, err = c.UserSettings(t.Context(), "https://cloud.example.com/autodiscover/autodiscover.svc/wssecurity", []smtpaddr.Address{smtpaddr.Must("bo@contoso.com")}, nil)
	if err == nil {
		t.Error("WS-Security: no error")
	}
	t.Log(err)
}
