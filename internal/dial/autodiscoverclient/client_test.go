package autodiscoverclient_test

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/dial/autodiscoverclient"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/spec/autodiscover"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/soap"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	endpoint = "https://autodiscover.example.com/autodiscover/autodiscover.svc"
	ews      = "https://mail.example.com/EWS/Exchange.asmx"
)

// bearer adds the token of the host that is called, as trust.Transport does.
type bearer struct{ http.RoundTripper }

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer for-"+r.URL.Hostname())
	return b.RoundTripper.RoundTrip(r)
}

// client asks a TLS server on loopback that has every name under example.com.
func client(t *testing.T, h http.HandlerFunc) *autodiscoverclient.Client {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(t.Output(), "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	cfg := safehttp.Config{
		Roots:     s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
		ConnectTo: map[string]string{},
	}
	for _, name := range []string{"autodiscover", "other", "mail"} {
		cfg.ConnectTo[name+".example.com:443"] = s.Listener.Addr().String()
	}
	tr, err := safehttp.Transport(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.CloseIdleConnections)
	c, err := autodiscoverclient.New(autodiscoverclient.Config{HTTP: safehttp.Client(bearer{tr}, cfg),
		NewID: func() string { return "6a1f7c4e-0001-4c57-9a39-0d5f6f5d2b11" }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func answer(answers ...autodiscover.Answer) []byte {
	return autodiscover.AppendResponse(nil, &autodiscover.Response{Operation: autodiscover.GetUserSettings, ErrorCode: autodiscover.NoError, Answers: answers,
		Version: &autodiscover.ServerVersion{Major: 15, Minor: 1, Build: 2507, Revision: 6, Schema: "Exchange2013_SP1"}})
}

func found(url string) autodiscover.Answer {
	return autodiscover.Answer{ErrorCode: autodiscover.NoError, Settings: []autodiscover.Setting{{Name: "ExternalEwsUrl", Value: url}, {Name: "ExternalEwsVersion", Value: "15.01.2507.006"}}}
}

var bo = smtpaddr.Must("bo@contoso.partner.mail.onmschina.cn")

func TestRequestOnTheWire(t *testing.T) {
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		var b strings.Builder
		fmt.Fprintf(&b, "%s https://%s%s\n", r.Method, r.Host, r.RequestURI)
		for _, k := range slices.Sorted(maps.Keys(r.Header)) {
			fmt.Fprintf(&b, "%s: %s\n", k, strings.Join(r.Header[k], " | "))
		}
		b.WriteByte('\n')
		if _, err := io.Copy(&b, r.Body); err != nil {
			t.Error(err)
		}
		path := filepath.Join("testdata", "request.txt")
		if *update {
			if err := os.WriteFile(path, []byte(b.String()), 0o666); err != nil {
				t.Error(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		w.Write(answer(found(ews), autodiscover.Answer{ErrorCode: autodiscover.InvalidUser, ErrorMessage: "The e-mail address cannot be found."}))
	})
	got, err := c.UserSettings(t.Context(), endpoint, []smtpaddr.Address{bo, smtpaddr.Must("x@contoso.com")}, []string{"ExternalEwsVersion", "ExternalEwsUrl"})
	if err != nil {
		t.Fatal(err)
	}
	want := &autodiscoverclient.UserSettings{
		Endpoint: endpoint,
		Version:  &autodiscover.ServerVersion{Major: 15, Minor: 1, Build: 2507, Revision: 6, Schema: "Exchange2013_SP1"},
		Users: []autodiscoverclient.User{
			{Address: bo, EWSURL: ews, EWSVersion: "15.01.2507.006", Settings: map[string]string{"ExternalEwsUrl": ews, "ExternalEwsVersion": "15.01.2507.006"}},
			{Address: smtpaddr.Must("x@contoso.com"), Err: &autodiscoverclient.UserError{Endpoint: endpoint, Code: "InvalidUser", Message: "The e-mail address cannot be found."}},
		},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b smtpaddr.Address) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestAnswersAboutAUser(t *testing.T) {
	tests := []struct {
		name   string
		answer autodiscover.Answer
		want   string // EWSURL, RedirectAddress, RedirectURL or the error
	}{
		{"found", found(ews), "ews " + ews},
		{"redirect to an address", autodiscover.Answer{ErrorCode: autodiscover.RedirectAddress, RedirectTarget: "Bo@Contoso.com"}, "address bo@contoso.com"},
		{"redirect to no address", autodiscover.Answer{ErrorCode: autodiscover.RedirectAddress, RedirectTarget: "contoso.com"},
			`: RedirectAddress to "contoso.com": not a valid SMTP address.`},
		{"redirect to nothing", autodiscover.Answer{ErrorCode: autodiscover.RedirectAddress}, `: RedirectAddress to "": not a valid SMTP address.`},
		{"redirect to a URL", autodiscover.Answer{ErrorCode: autodiscover.RedirectURL, RedirectTarget: "https://other.example.com/autodiscover/autodiscover.svc"}, "url https://other.example.com/autodiscover/autodiscover.svc"},
		{"redirect to a URL without TLS", autodiscover.Answer{ErrorCode: autodiscover.RedirectURL, RedirectTarget: "http://other.example.com/"}, `: RedirectUrl to "http://other.example.com/": not an https URL.`},
		{"unknown user", autodiscover.Answer{ErrorCode: autodiscover.InvalidUser, ErrorMessage: "The e-mail address cannot be found."}, ": InvalidUser."},
		{"busy", autodiscover.Answer{ErrorCode: autodiscover.ServerBusy}, ": ServerBusy."},
		{"no error code", autodiscover.Answer{}, ": the answer has no ErrorCode."},
		{"setting is not available", autodiscover.Answer{ErrorCode: autodiscover.NoError, SettingErrors: []autodiscover.SettingError{{ErrorCode: autodiscover.SettingIsNotAvailable, Name: "ExternalEwsUrl"}}}, ": SettingIsNotAvailable."},
		{"setting is left out", autodiscover.Answer{ErrorCode: autodiscover.NoError}, ": SettingIsNotAvailable."},
		{"setting is empty", found(""), ": SettingIsNotAvailable."},
		{"URL without TLS", found("http://mail.example.com/EWS/Exchange.asmx"), `: "http://mail.example.com/EWS/Exchange.asmx": not an https URL.`},
		{"URL of a file", found("file:///etc/passwd"), `: "file:///etc/passwd": not an https URL.`},
		{"relative URL", found("/EWS/Exchange.asmx"), `: "/EWS/Exchange.asmx": not an https URL.`},
		{"URL with credentials", found("https://u:secret@mail.example.com/"), `: "https://u:xxxxx@mail.example.com/": URL carries credentials.`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := client(t, func(w http.ResponseWriter, r *http.Request) { w.Write(answer(tt.answer)) })
			got, err := c.UserSettings(t.Context(), endpoint, []smtpaddr.Address{bo}, nil)
			if err != nil {
				t.Fatal(err)
			}
			u, text := got.Users[0], ""
			switch {
			case u.Err != nil:
				text = u.Err.Error()
				const prefix = "The response from the Autodiscover service at '" + endpoint + "' failed due to an error in user setting 'ExternalEwsUrl'. Error message"
				text = strings.TrimPrefix(text, prefix)
			case u.EWSURL != "":
				text = "ews " + u.EWSURL
			case u.RedirectURL != "":
				text = "url " + u.RedirectURL
			default:
				text = "address " + u.RedirectAddress.String()
			}
			if text != tt.want {
				t.Errorf("got %q, want %q", text, tt.want)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	status := func(n int, header, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if header != "" {
				w.Header().Set("x-ms-diagnostics", header)
			}
			w.WriteHeader(n)
			io.WriteString(w, body)
		}
	}
	fault := string(soap.AppendFault(nil, &soap.Fault{Code: "Client", String: "no such thing"}))
	all := func(n int) []smtpaddr.Address { return slices.Repeat([]smtpaddr.Address{bo}, n) }
	tests := []struct {
		name     string
		endpoint string
		ask      []smtpaddr.Address
		answer   http.HandlerFunc
		is       error
		as       func(error) bool
		text     string
	}{
		{name: "no address", ask: nil, text: "0 addresses, want 1 to 100"},
		{name: "101 addresses", ask: all(101), text: "101 addresses, want 1 to 100"},
		{name: "endpoint without TLS", endpoint: "http://autodiscover.example.com/", ask: all(1), is: safehttp.ErrNotHTTPS},
		{name: "endpoint on a private address", endpoint: "https://127.0.0.1:1/", ask: all(1), is: safehttp.ErrAddress},
		{name: "token refused", ask: all(1), answer: status(401, `2000003;reason="The hostname component of the audience claim value 'x' is invalid";error_category="invalid_resource"`, ""),
			as: func(err error) bool {
				e, ok := errors.AsType[*autodiscoverclient.StatusError](err)
				return ok && e.Status == 401 && strings.HasPrefix(e.Diagnostics, "2000003;") && e.URL == endpoint
			}, text: "status 401 Unauthorized: 2000003;"},
		{name: "diagnostics without end", ask: all(1), answer: status(401, strings.Repeat("x", 10000), ""),
			as: func(err error) bool {
				e, ok := errors.AsType[*autodiscoverclient.StatusError](err)
				return ok && len(e.Diagnostics) < 3000
			}},
		{name: "not found", ask: all(1), answer: status(404, "", "<html>"), text: "autodiscover " + endpoint + ": status 404 Not Found"},
		{name: "fault", ask: all(1), answer: status(500, "", fault), as: func(err error) bool {
			f, ok := errors.AsType[*soap.Fault](err)
			_, status := errors.AsType[*autodiscoverclient.StatusError](err)
			return ok && status && f.Code == "Client"
		}},
		{name: "fault with status 200", ask: all(1), answer: status(200, "", fault), as: func(err error) bool { _, ok := errors.AsType[*soap.Fault](err); return ok }},
		{name: "a web page", ask: all(1), answer: status(200, "", "<!DOCTYPE html><html><br></html>"), as: func(err error) bool { _, ok := errors.AsType[*soap.SyntaxError](err); return ok }},
		{name: "not SOAP", ask: all(1), answer: status(200, "", "<x/>"), is: soap.ErrNotSOAP},
		{name: "nothing", ask: all(1), answer: status(200, "", ""), as: func(err error) bool { _, ok := errors.AsType[*soap.SyntaxError](err); return ok }},
		{name: "no content", ask: all(1), answer: status(204, "", ""), as: func(err error) bool { _, ok := errors.AsType[*autodiscoverclient.StatusError](err); return ok }},
		{name: "too large", ask: all(1), answer: status(200, "", strings.Repeat(" ", autodiscoverclient.DefaultMaxBody+1)), is: safehttp.ErrTooLarge},
		{name: "too large error page", ask: all(1), answer: status(503, "", strings.Repeat(" ", autodiscoverclient.DefaultMaxBody+1)), text: "status 503"},
		{name: "other operation", ask: all(1), answer: status(200, "", string(autodiscover.AppendResponse(nil, &autodiscover.Response{Operation: autodiscover.GetDomainSettings, ErrorCode: "NoError"}))), is: autodiscover.ErrUnexpected},
		{name: "too few answers", ask: all(2), answer: status(200, "", string(answer(found(ews)))), is: autodiscover.ErrUnexpected},
		{name: "too many answers", ask: all(1), answer: status(200, "", string(answer(found(ews), found(ews)))), is: autodiscover.ErrUnexpected},
		{name: "refused as a whole", ask: all(1), answer: status(200, "", string(autodiscover.AppendResponse(nil, &autodiscover.Response{Operation: autodiscover.GetUserSettings, ErrorCode: autodiscover.ServerBusy, ErrorMessage: "later"}))),
			as: func(err error) bool {
				e, ok := errors.AsType[*autodiscoverclient.ResponseError](err)
				return ok && e.Code == autodiscover.ServerBusy && e.Message == "later"
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at := endpoint
			if tt.endpoint != "" {
				at = tt.endpoint
			}
			_, err := client(t, tt.answer).UserSettings(t.Context(), at, tt.ask, nil)
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) || tt.as != nil && !tt.as(err) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "for-autodiscover") {
				t.Errorf("the error tells the token: %v", err)
			}
		})
	}
}

func TestHTTPRedirects(t *testing.T) {
	const other = "https://other.example.com/autodiscover/autodiscover.svc"
	tests := []struct {
		name   string
		status int
		to     string
		want   string // the endpoint that answered; empty: an error
		err    error
	}{
		{"302 to another host gets that host's token", 302, other, other, nil},
		{"301", 301, other, other, nil},
		{"303 stays a POST", 303, other, other, nil},
		{"307", 307, other, other, nil},
		{"308", 308, other, other, nil},
		{"relative", 302, "/else", "https://autodiscover.example.com/else", nil},
		{"fragment is dropped", 302, other + "#x", other, nil},
		{"to http", 302, "http://other.example.com/", "", safehttp.ErrNotHTTPS},
		{"to a private address", 302, "https://10.0.0.1/", "", safehttp.ErrAddress},
		{"with credentials", 302, "https://u:p@other.example.com/", "", nil},
		{"without location", 302, "", "", http.ErrNoLocation},
		{"in a circle", 302, endpoint, "", autodiscoverclient.ErrRedirects},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			c := client(t, func(w http.ResponseWriter, r *http.Request) {
				asked++
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				if host := strings.TrimSuffix(r.Host, ":443"); r.Header.Get("Authorization") != "Bearer for-"+host || r.Method != "POST" || !strings.Contains(string(body), bo.String()) ||
					!strings.Contains(string(body), ">https://"+r.Host+r.RequestURI+"</wsa:To>") {
					t.Errorf("%s %s with %q: %s", r.Method, r.Host, r.Header.Get("Authorization"), body)
				}
				if r.Host+r.RequestURI == strings.TrimPrefix(endpoint, "https://") {
					if tt.to != "" {
						w.Header().Set("Location", tt.to)
					}
					w.WriteHeader(tt.status)
					return
				}
				w.Write(answer(found(ews)))
			})
			got, err := c.UserSettings(t.Context(), endpoint, []smtpaddr.Address{bo}, nil)
			if tt.want == "" {
				if err == nil || tt.err != nil && !errors.Is(err, tt.err) {
					t.Errorf("got %v, %v, want %v", got, err, tt.err)
				}
			} else if err != nil || got.Endpoint != tt.want {
				t.Errorf("got %v, %v, want %s", got, err, tt.want)
			}
			if asked > autodiscover.MaxRedirects+1 {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}

func TestNewRequiresHTTP(t *testing.T) {
	if _, err := autodiscoverclient.New(autodiscoverclient.Config{}); err == nil {
		t.Error("no error")
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Whatever a server answers, each user has exactly one outcome, and URLs are https.
func FuzzUserSettings(f *testing.F) {
	f.Add(200, answer(found(ews)))
	f.Add(200, answer(autodiscover.Answer{ErrorCode: autodiscover.RedirectURL, RedirectTarget: "https://other.example.com/"}))
	f.Add(200, answer(autodiscover.Answer{ErrorCode: autodiscover.RedirectAddress, RedirectTarget: "bo@contoso.com"}))
	f.Add(500, soap.AppendFault(nil, &soap.Fault{Code: "Client", String: "no"}))
	f.Add(302, []byte("x"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 200 || status > 599 {
			return
		}
		c, err := autodiscoverclient.New(autodiscoverclient.Config{MaxBody: 1 << 16, HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			h := http.Header{"Location": {string(body[:min(len(body), 50)])}}
			return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(string(body))), ContentLength: -1, Request: r}, nil
		})}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.UserSettings(t.Context(), endpoint, []smtpaddr.Address{bo}, nil)
		if err != nil {
			return
		}
		u, outcomes := got.Users[0], 0
		for _, is := range []bool{u.EWSURL != "", !u.RedirectAddress.IsZero(), u.RedirectURL != "", u.Err != nil} {
			if is {
				outcomes++
			}
		}
		if outcomes != 1 || len(got.Users) != 1 {
			t.Errorf("%d outcomes of %+v", outcomes, got)
		}
		for _, s := range []string{u.EWSURL, u.RedirectURL} {
			if s != "" && !strings.HasPrefix(s, "https://") {
				t.Errorf("URL %q", s)
			}
		}
	})
}
