package peersource_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/source/peersource"
	"busybridge/internal/spec/autodiscover"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/soap"
	"busybridge/internal/spec/wintz"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

func at(h float64) time.Time { return monday.Add(time.Duration(h * float64(time.Hour))) }

const (
	autodiscoverPath = "/autodiscover/autodiscover.svc"
	ewsPath          = "/EWS/Exchange.asmx"
)

// A peer is another organization's server. Hooks change what it answers.
type peer struct {
	*httptest.Server
	discover func(w http.ResponseWriter, q *autodiscover.Request) []autodiscover.Answer // nil answer: it wrote by itself
	ask      func(w http.ResponseWriter, q *ews.AvailabilityRequest) []ews.FreeBusyResponse

	mu                 sync.Mutex // guards what follows
	discovered, asked  []string   // addresses, one entry for each request
	discoverHdr, ewsHd http.Header
	last               *ews.AvailabilityRequest
}

func newPeer(t *testing.T) *peer {
	p := &peer{}
	p.discover = func(_ http.ResponseWriter, q *autodiscover.Request) []autodiscover.Answer { return p.ewsURLs(q) }
	p.ask = func(_ http.ResponseWriter, q *ews.AvailabilityRequest) []ews.FreeBusyResponse { return busyAll(q) }
	mux := http.NewServeMux()
	mux.HandleFunc(autodiscoverPath, func(w http.ResponseWriter, r *http.Request) {
		env, err := soap.Read(r.Body, 1<<20)
		if err != nil {
			t.Errorf("autodiscover request: %v", err)
			return
		}
		q, err := autodiscover.ParseRequest(env)
		if err != nil {
			t.Errorf("autodiscover request: %v", err)
			return
		}
		p.mu.Lock()
		p.discovered = append(p.discovered, strings.Join(q.Subjects, " "))
		p.discoverHdr = r.Header
		p.mu.Unlock()
		if a := p.discover(w, q); a != nil {
			w.Header().Set("Content-Type", "text/xml; charset=utf-8")
			w.Write(autodiscover.AppendResponse(nil, &autodiscover.Response{Operation: q.Operation, ErrorCode: autodiscover.NoError, Answers: a}))
		}
	})
	mux.HandleFunc(ewsPath, func(w http.ResponseWriter, r *http.Request) {
		env, err := soap.Read(r.Body, 1<<20)
		if err != nil {
			t.Errorf("EWS request: %v", err)
			return
		}
		q, err := ews.ParseGetUserAvailability(env.Body[0])
		if err != nil {
			t.Errorf("EWS request: %v", err)
			return
		}
		if q.Header, err = ews.ParseHeader(env.Header); err != nil {
			t.Errorf("EWS request: %v", err)
			return
		}
		p.mu.Lock()
		p.asked = append(p.asked, strings.Join(addressesOf(q), " "))
		p.ewsHd, p.last = r.Header, q
		p.mu.Unlock()
		if a := p.ask(w, q); a != nil {
			w.Header().Set("Content-Type", "text/xml; charset=utf-8")
			w.Write(ews.AppendGetUserAvailabilityResponse(nil, &ews.AvailabilityResponse{Version: ews.ServerVersion{Major: 15}, FreeBusy: a}))
		}
	})
	p.Server = httptest.NewUnstartedServer(mux)
	p.Config.ErrorLog = log.New(t.Output(), "", 0)
	p.StartTLS()
	t.Cleanup(p.Close)
	return p
}

func (p *peer) endpoint() string { return p.URL + autodiscoverPath }
func (p *peer) ews() string      { return p.URL + ewsPath }

func (p *peer) ewsURLs(q *autodiscover.Request) []autodiscover.Answer {
	return slices.Repeat([]autodiscover.Answer{ewsURL(p.ews())}, len(q.Subjects))
}

func ewsURL(url string) autodiscover.Answer {
	return autodiscover.Answer{ErrorCode: autodiscover.NoError, Settings: []autodiscover.Setting{{Name: autodiscover.ExternalEwsURL, Value: url}}}
}

func redirectTo(a string) autodiscover.Answer {
	return autodiscover.Answer{ErrorCode: autodiscover.RedirectAddress, RedirectTarget: a}
}

func redirectURL(u string) autodiscover.Answer {
	return autodiscover.Answer{ErrorCode: autodiscover.RedirectURL, RedirectTarget: u}
}

func addressesOf(q *ews.AvailabilityRequest) []string {
	var out []string
	for _, m := range q.Mailboxes {
		out = append(out, m.Address)
	}
	return out
}

// busyAll answers everything: busy from 9 to 10.
func busyAll(q *ews.AvailabilityRequest) []ews.FreeBusyResponse {
	var out []ews.FreeBusyResponse
	for range q.Mailboxes {
		out = append(out, good())
	}
	return out
}

func good() ews.FreeBusyResponse {
	return ews.FreeBusyResponse{View: "DetailedMerged", Merged: "02000000", HasEvents: true, Events: []ews.CalendarEvent{
		{Start: at(9), End: at(10), BusyType: "Busy", Details: &ews.EventDetails{Subject: "Budget", Location: "R1", Meeting: true}},
	}}
}

// A rig is a source with its peers.
type rig struct {
	t     *testing.T
	cfg   peersource.Config
	src   *peersource.Source
	org   *directory.Organization
	conn  *directory.IntraOrganizationConnector
	now   time.Time
	nowMu sync.Mutex
	cl    *http.Client
	token error // that the transport fails with
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func newRig(t *testing.T, peers ...*peer) *rig {
	r := &rig{t: t, now: at(7)}
	pool := x509.NewCertPool()
	for _, p := range peers {
		pool.AddCert(p.Certificate())
	}
	httpCfg := safehttp.Config{Roots: pool, ConnectTo: map[string]string{}}
	for _, p := range peers {
		host := strings.TrimPrefix(p.URL, "https://")
		httpCfg.ConnectTo[host] = p.Listener.Addr().String()
	}
	transport, err := safehttp.Transport(httpCfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	r.cl = safehttp.Client(roundTripper(func(req *http.Request) (*http.Response, error) {
		if r.token != nil {
			return nil, r.token
		}
		return transport.RoundTrip(req)
	}), httpCfg)
	r.org = &directory.Organization{ID: "contoso", AcceptedDomains: []directory.AcceptedDomain{{DomainName: "contoso.com", DomainType: "Authoritative"}}}
	r.conn = &directory.IntraOrganizationConnector{Common: directory.Common{Name: "ToFabrikam", GUID: "g1"}, TargetAddressDomains: []string{"fabrikam.com"}, Enabled: true}
	if len(peers) > 0 {
		r.conn.DiscoveryEndpoint = peers[0].endpoint()
	}
	r.cfg = peersource.Config{
		Client: func(org *directory.Organization, q routing.Requester, _ *directory.AuthServer) *http.Client {
			return r.cl
		},
		Now: r.clock, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	r.make()
	return r
}

func (r *rig) make() {
	src, err := peersource.New(r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.src = src
}

func (r *rig) clock() time.Time {
	r.nowMu.Lock()
	defer r.nowMu.Unlock()
	return r.now
}

func (r *rig) pass(d time.Duration) {
	r.nowMu.Lock()
	defer r.nowMu.Unlock()
	r.now = r.now.Add(d)
}

func query(names ...string) routing.Query {
	q := routing.Query{
		Window: freebusy.Window{Start: at(8), End: at(16)}, View: freebusy.ViewDetailedMerged, Slot: time.Hour,
		Requester: routing.Requester{Org: "contoso", Address: smtpaddr.Must("ana@contoso.com"), UPN: "ana@contoso.com", RequestID: "5f6f5d2b-0000-4000-8000-000000000001"},
	}
	for _, n := range names {
		if !strings.Contains(n, "@") {
			n += "@fabrikam.com"
		}
		q.Addresses = append(q.Addresses, smtpaddr.Must(n))
	}
	return q
}

func (r *rig) route() routing.Route {
	return routing.Route{Kind: routing.Connector, Connector: r.conn}
}

func (r *rig) ask(q routing.Query) []routing.Reply {
	r.t.Helper()
	got, err := r.src.Ask(r.t.Context(), r.org, r.route(), q)
	if err != nil {
		r.t.Fatal(err)
	}
	if len(got) != len(q.Addresses) {
		r.t.Fatalf("%d replies to %d addresses", len(got), len(q.Addresses))
	}
	for i := range got {
		if got[i].Address != q.Addresses[i] {
			r.t.Errorf("reply %d is of %v, want %v", i, got[i].Address, q.Addresses[i])
		}
	}
	return got
}

// short writes replies in one line each: merged string, or reason, code and text.
func short(replies []routing.Reply) []string {
	var out []string
	for _, r := range replies {
		s := r.Address.Local() + " " + r.Merged
		if r.Err != nil {
			s = r.Address.Local() + " " + text(r.Err)
		}
		out = append(out, s)
	}
	return out
}

func text(err error) string {
	me, ok := errors.AsType[*routing.MailboxError](err)
	if !ok {
		return fmt.Sprintf("%T %v", err, err)
	}
	s := string(me.Reason) + ": "
	if me.Code != "" {
		s += me.Code + ": "
	}
	return s + me.Text
}

func (r *rig) want(got []routing.Reply, want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, short(got)); diff != "" {
		r.t.Errorf("replies (-want +got):\n%s", diff)
	}
}

func (r *rig) requests(p *peer, discovered, asked int) {
	r.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.discovered) != discovered || len(p.asked) != asked {
		r.t.Errorf("%d Autodiscover and %d EWS requests, want %d and %d\n%q\n%q", len(p.discovered), len(p.asked), discovered, asked, p.discovered, p.asked)
	}
}

func TestAskByConnector(t *testing.T) {
	p := newPeer(t)
	r := newRig(t, p)
	hours := &ews.WorkingHours{Zone: wintz.Rule{Bias: -60}, Periods: []ews.WorkingPeriod{{Days: 0b0111110, Start: 480, End: 1020}}}
	p.ask = func(_ http.ResponseWriter, q *ews.AvailabilityRequest) []ews.FreeBusyResponse {
		g := good()
		g.Hours = hours
		return []ews.FreeBusyResponse{g, {Message: ews.ResponseMessage{Class: "Error", Code: "ErrorNoFreeBusyAccess", Text: "The caller does not have access to free/busy data."}}}
	}
	got := r.ask(query("kim", "lee"))
	want := []routing.Reply{{
		Address: smtpaddr.Must("kim@fabrikam.com"), View: freebusy.ViewDetailedMerged, Merged: "02000000",
		Events: []freebusy.Interval{{Start: at(9), End: at(10), Status: freebusy.Busy, Detail: &freebusy.Detail{Subject: "Budget", Location: "R1", Meeting: true}}},
		Hours:  &routing.Hours{Zone: wintz.Rule{Bias: -60}, Periods: []routing.Period{{Days: 0b0111110, Start: 480, End: 1020}}},
	}, {
		Address: smtpaddr.Must("lee@fabrikam.com"),
		Err:     &routing.MailboxError{Reason: routing.Remote, Code: "ErrorNoFreeBusyAccess", Text: "The caller does not have access to free/busy data."},
	}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(smtpaddr.Address{})); diff != "" {
		t.Errorf("replies (-want +got):\n%s", diff)
	}
	r.requests(p, 1, 1)

	if diff := cmp.Diff([]string{"kim@fabrikam.com lee@fabrikam.com"}, p.discovered); diff != "" {
		t.Errorf("Autodiscover (-want +got):\n%s", diff)
	}
	const id = "5f6f5d2b-0000-4000-8000-000000000001"
	for name, want := range map[string]string{"User-Agent": "ASProxy/CrossForest/EmailDomain//15.00.0847.032", "Client-Request-Id": id} {
		if got := p.ewsHd.Get(name); got != want {
			t.Errorf("EWS header %s: %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{"User-Agent": "ASAutoDiscover/CrossForest/EmailDomain//15.00.0847.032", "Client-Request-Id": id} {
		if got := p.discoverHdr.Get(name); got != want {
			t.Errorf("Autodiscover header %s: %q, want %q", name, got, want)
		}
	}
	wantReq := &ews.AvailabilityRequest{
		Header: ews.Header{Version: "Exchange2013"}, Zone: &wintz.UTCRule,
		Mailboxes: []ews.MailboxData{{Address: "kim@fabrikam.com", AttendeeType: "Required"}, {Address: "lee@fabrikam.com", AttendeeType: "Required"}},
		FreeBusy:  &ews.FreeBusyOptions{Start: ews.DateTime{Time: at(8), Local: true}, End: ews.DateTime{Time: at(16), Local: true}, IntervalMinutes: 60, Views: []string{"DetailedMerged"}},
	}
	if p.last.Zone == nil || p.last.Zone.UTC(at(8)) != at(8) {
		t.Errorf("the question is not in UTC: %+v", p.last.Zone)
	}
	p.last.Zone = &wintz.UTCRule
	if diff := cmp.Diff(wantReq, p.last); diff != "" {
		t.Errorf("EWS question (-want +got):\n%s", diff)
	}
}

func TestFixedEndpointSkipsAutodiscover(t *testing.T) {
	p := newPeer(t)
	r := newRig(t, p)
	r.conn.TargetSharingEpr = p.ews()
	r.want(r.ask(query("kim")), "kim 02000000")
	r.requests(p, 0, 1)
}

func TestRelationships(t *testing.T) {
	p := newPeer(t)
	r := newRig(t, p)
	const fed = " wants a federation token; set TargetSharingEpr to an EWS URL that takes OAuth, or add an IntraOrganizationConnector."
	tests := []struct {
		name, sharing, discovery string
		want                     string
		discovered, asked        int
	}{
		{"sharing endpoint", p.ews(), "", "kim 02000000", 0, 1},
		{"sharing endpoint before discovery", p.ews(), p.endpoint() + "/WSSecurity", "kim 02000000", 0, 1},
		{"discovery endpoint", "", p.endpoint(), "kim 02000000", 1, 1},
		{"federated discovery", "", p.endpoint() + "/WSSecurity", `RelationshipBad: Organization relationship "Fabrikam" cannot be used: its endpoint ends in /WSSecurity, which` + fed, 0, 0},
		{"federated sharing", p.ews() + "/wssecurity/", p.endpoint(), `RelationshipBad: Organization relationship "Fabrikam" cannot be used: its endpoint ends in /WSSecurity, which` + fed, 0, 0},
		{"nothing", "", "", `RelationshipBad: Organization relationship "Fabrikam" cannot be used: it has neither TargetSharingEpr nor TargetAutodiscoverEpr.`, 0, 0},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p.discovered, p.asked = nil, nil
			route := routing.Route{Kind: routing.Relationship, Relationship: &directory.OrganizationRelationship{
				Common: directory.Common{Name: "Fabrikam", GUID: fmt.Sprint("rel", i)}, TargetSharingEpr: tt.sharing, TargetAutodiscoverEpr: tt.discovery,
			}}
			got, err := r.src.Ask(t.Context(), r.org, route, query("kim"))
			s := text(err)
			if err == nil {
				s = short(got)[0]
			}
			if diff := cmp.Diff(tt.want, s); diff != "" {
				t.Errorf("reply (-want +got):\n%s", diff)
			}
			r.requests(p, tt.discovered, tt.asked)
		})
	}
}

// An application of Entra asks about the domains that its server is for, and says
// for whom it asks; the other addresses go without it.
func TestApplicationsAskForTheirDomains(t *testing.T) {
	p := newPeer(t)
	r := newRig(t, p)
	evo := directory.AuthServer{Common: directory.Common{Name: "EvoSTS"}, Type: directory.AuthServerAzureAD, Enabled: true, ApplicationIdentifier: "app", DomainName: []string{"cloud.fabrikam.com"}}
	r.org.AuthServers = []directory.AuthServer{evo}
	r.conn.TargetAddressDomains = append(r.conn.TargetAddressDomains, "cloud.fabrikam.com")
	var mu sync.Mutex
	apps, asked := map[string]int{}, map[string]string{}
	r.cfg.Client = func(_ *directory.Organization, _ routing.Requester, app *directory.AuthServer) *http.Client {
		mu.Lock()
		defer mu.Unlock()
		name := ""
		if app != nil {
			name = app.Name
		}
		apps[name]++
		return r.cl
	}
	r.make()
	p.ask = func(_ http.ResponseWriter, q *ews.AvailabilityRequest) []ews.FreeBusyResponse {
		mu.Lock()
		defer mu.Unlock()
		var names []string
		for _, m := range q.Mailboxes {
			names = append(names, m.Address)
		}
		whom := ""
		if i := q.Header.Impersonate; i != nil {
			whom = i.Kind + " " + i.Value
		}
		asked[strings.Join(names, ",")] = whom
		return busyAll(q)
	}
	q := query("kim@cloud.fabrikam.com", "lee@fabrikam.com", "mia@cloud.fabrikam.com")
	r.ask(q)
	if d := cmp.Diff(map[string]int{"": 1, "EvoSTS": 1}, apps); d != "" {
		t.Error("clients:", d)
	}
	if d := cmp.Diff(map[string]string{"kim@cloud.fabrikam.com,mia@cloud.fabrikam.com": "PrimarySmtpAddress ana@contoso.com", "lee@fabrikam.com": ""}, asked); d != "" {
		t.Error("questions:", d)
	}
	q.Requester.Address = smtpaddr.Address{}
	clear(asked)
	r.ask(q)
	if got, ok := asked["kim@cloud.fabrikam.com,mia@cloud.fabrikam.com"]; got != "" || !ok {
		t.Errorf("for nobody: %q, %v", got, asked)
	}
}

func TestLocalRouteLeadsNowhere(t *testing.T) {
	r := newRig(t)
	if _, err := r.src.Ask(t.Context(), r.org, routing.Route{Kind: routing.Local}, query("kim")); err == nil {
		t.Error("a local route was asked")
	}
}

func TestNewChecks(t *testing.T) {
	if _, err := peersource.New(peersource.Config{}); err == nil {
		t.Error("New accepts an empty configuration")
	}
}

// What other servers do wrong in EWS, and what it costs.
func TestMisbehavingEWS(t *testing.T) {
	write := func(status int, body string, header ...string) func(http.ResponseWriter, *ews.AvailabilityRequest) []ews.FreeBusyResponse {
		return func(w http.ResponseWriter, _ *ews.AvailabilityRequest) []ews.FreeBusyResponse {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			io.WriteString(w, body)
			return nil
		}
	}
	answer := func(change func(*ews.FreeBusyResponse)) func(http.ResponseWriter, *ews.AvailabilityRequest) []ews.FreeBusyResponse {
		return func(_ http.ResponseWriter, q *ews.AvailabilityRequest) []ews.FreeBusyResponse {
			a := busyAll(q)
			change(&a[0])
			return a
		}
	}
	const failed = "ProxyFailed: Proxy web request failed. , inner exception: "
	event := func(from, to float64) ews.CalendarEvent {
		return ews.CalendarEvent{Start: at(from), End: at(to), BusyType: "Busy"}
	}
	tests := []struct {
		name string
		ask  func(http.ResponseWriter, *ews.AvailabilityRequest) []ews.FreeBusyResponse
		want string // of kim; lee too where all is said of all, else lee has a good answer
		all  bool
	}{
		{"token refused", write(401, "", "x-ms-diagnostics", `2000000;reason="The token has an invalid signature.";error_category="invalid_signature"`),
			failed + `The request failed with HTTP status 401: Unauthorized diagnostics: 2000000;reason="The token has an invalid signature.";error_category="invalid_signature"`, true},
		{"forbidden", write(403, "<html>"), failed + "The request failed with HTTP status 403: Forbidden", true},
		{"busy", write(503, ""), failed + "The request failed with HTTP status 503: Service Unavailable", true},
		{"redirect", write(302, "", "Location", "https://evil.example/EWS/Exchange.asmx"), failed + "The request failed with HTTP status 302: Found", true},
		{"internal error without fault", write(500, "oops"), failed + "The request failed with HTTP status 500: Internal Server Error", true},
		{"fault", write(500, string(soap.AppendFault(nil, &soap.Fault{Code: "ErrorServerBusy", String: "The server cannot service this request right now.", ResponseCode: "ErrorServerBusy"}))),
			"Remote: ErrorServerBusy: The server cannot service this request right now.", true},
		{"fault without code", write(500, string(soap.AppendFault(nil, &soap.Fault{Code: "Server", String: "no"}))), failed + "*soap fault Server: no", true},
		{"fault with a code that is none", write(500, string(soap.AppendFault(nil, &soap.Fault{Code: "Server", String: "no", ResponseCode: "Error<script>"}))), failed + "*soap fault Error<script>: no", true},
		{"web page", write(200, "<html><body>Welcome</body></html>", "Content-Type", "text/html"), failed + "*Response is not well-formed XML: ", true},
		{"no XML", write(200, "\x00\x01\x02"), failed + "*Response is not well-formed XML: ", true},
		{"half an answer", write(200, `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>`), failed + "*Response is not well-formed XML: ", true},
		{"DTD", write(200, `<!DOCTYPE x [<!ENTITY a "aaaa">]><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>&a;</s:Body></s:Envelope>`), failed + "*Response is not well-formed XML: ", true},
		{"another response", write(200, `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><x/></s:Body></s:Envelope>`), failed + "*The body is no GetUserAvailabilityResponse.", true},
		{"oversized", write(200, strings.Repeat(" ", 70_000)), failed + "*too large", true},
		{"too few answers", func(_ http.ResponseWriter, q *ews.AvailabilityRequest) []ews.FreeBusyResponse { return busyAll(q)[1:] },
			failed + "1 answers to 2 addresses", true},
		{"too many answers", func(_ http.ResponseWriter, q *ews.AvailabilityRequest) []ews.FreeBusyResponse {
			return append(busyAll(q), busyAll(q)...)
		}, failed + "4 answers to 2 addresses", true},
		{"no answers", func(http.ResponseWriter, *ews.AvailabilityRequest) []ews.FreeBusyResponse {
			return []ews.FreeBusyResponse{}
		},
			failed + "0 answers to 2 addresses", true},

		{"error", answer(func(a *ews.FreeBusyResponse) {
			a.Message = ews.ResponseMessage{Class: "Error", Code: "ErrorMailRecipientNotFound", Text: "Unable to resolve\x00 e-mail\r\naddress"}
		}), "Remote: ErrorMailRecipientNotFound: Unable to resolve\ufffd e-mail address", false},
		{"error without text", answer(func(a *ews.FreeBusyResponse) {
			a.Message = ews.ResponseMessage{Class: "Error", Code: "ErrorNoCalendar", Exception: &ews.Exception{Message: "no calendar"}}
		}), "Remote: ErrorNoCalendar: no calendar", false},
		{"endless error", answer(func(a *ews.FreeBusyResponse) {
			a.Message = ews.ResponseMessage{Class: "Error", Code: "ErrorNoCalendar", Text: strings.Repeat("é", 5000)}
		}), "Remote: ErrorNoCalendar: " + strings.Repeat("é", 1000), false},
		{"error without code", answer(func(a *ews.FreeBusyResponse) { a.Message = ews.ResponseMessage{Class: "Error", Text: "why"} }),
			failed + `the answer is an error without a code: "why"`, false},
		{"no view", answer(func(a *ews.FreeBusyResponse) { a.View = "None" }), failed + "the answer contains no free/busy data", false},
		{"too many entries", answer(func(a *ews.FreeBusyResponse) { a.Events = slices.Repeat(a.Events, 1001) }), failed + "the answer has 1001 calendar entries, limit 1000", false},
		{"short merged string is made anew", answer(func(a *ews.FreeBusyResponse) { a.Merged = "33" }), "02000000", false},
		{"merged string of letters is made anew", answer(func(a *ews.FreeBusyResponse) { a.Merged = "0x000000" }), "02000000", false},
		{"merged string that is missing is made", answer(func(a *ews.FreeBusyResponse) { a.Merged = "" }), "02000000", false},
		{"only a wrong merged string", answer(func(a *ews.FreeBusyResponse) { *a = ews.FreeBusyResponse{View: "MergedOnly", Merged: "0009"} }),
			failed + `the answer's merged string "0009" is not one of 8 digits`, false},
		{"only a merged string", answer(func(a *ews.FreeBusyResponse) { *a = ews.FreeBusyResponse{View: "MergedOnly", Merged: "01234000"} }), "01234000", false},
		{"entries outside the window, empty and reversed", answer(func(a *ews.FreeBusyResponse) {
			a.Merged = ""
			a.Events = append(a.Events, event(1, 8), event(16, 20), event(12, 12), event(13, 11))
		}), "02000000", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPeer(t)
			r := newRig(t, p)
			r.cfg.MaxBody = 64 << 10
			if strings.Contains(tt.name, "entries") || strings.Contains(tt.name, "endless") {
				r.cfg.MaxBody = 0
			}
			r.make()
			p.ask = tt.ask
			got := short(r.ask(query("kim", "lee")))
			lee := "lee 02000000"
			if tt.all {
				lee = "lee " + strings.TrimPrefix(got[0], "kim ")
			}
			if before, part, ok := strings.Cut(tt.want, "*"); ok {
				if !strings.HasPrefix(got[0], "kim "+before) || !strings.Contains(got[0], part) {
					t.Errorf("got %q, want %q … %q", got[0], before, part)
				}
			} else if diff := cmp.Diff("kim "+tt.want, got[0]); diff != "" {
				t.Errorf("reply (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(lee, got[1]); diff != "" {
				t.Errorf("the other address (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRepliesAreCutAndCleaned(t *testing.T) {
	long := strings.Repeat("ß", 300)
	dirty := good()
	dirty.Events = []ews.CalendarEvent{
		{Start: at(12), End: at(13), BusyType: "Sleeping"},
		{Start: at(7), End: at(9), BusyType: "OOF", Details: &ews.EventDetails{ID: "0A", Subject: long, Location: "a\u202eb\nc", Private: true}},
		{Start: at(14), End: at(15), BusyType: "WorkingElsewhere"},
	}
	dirty.Merged = "35555555"
	badHours := []*ews.WorkingHours{
		{Zone: wintz.Rule{Bias: 9000}, Periods: []ews.WorkingPeriod{{Days: 2, Start: 1, End: 2}}},
		{Periods: []ews.WorkingPeriod{{Days: 2, Start: 1000, End: 900}}},
		{Periods: []ews.WorkingPeriod{{Days: 0, Start: 1, End: 2}}},
		{Periods: slices.Repeat([]ews.WorkingPeriod{{Days: 2, Start: 1, End: 2}}, 15)},
	}
	detail := &freebusy.Detail{ID: "0A", Subject: long[:255*2], Location: "ab c", Private: true}
	events := func(d *freebusy.Detail) []freebusy.Interval {
		return []freebusy.Interval{
			{Start: at(7), End: at(9), Status: freebusy.OOF, Detail: d},
			{Start: at(12), End: at(13), Status: freebusy.NoData},
			{Start: at(14), End: at(15), Status: freebusy.WorkingElsewhere},
		}
	}
	tests := []struct {
		view freebusy.View
		want routing.Reply
	}{
		{freebusy.ViewMergedOnly, routing.Reply{View: freebusy.ViewMergedOnly, Merged: "34444444"}},
		{freebusy.ViewFreeBusy, routing.Reply{View: freebusy.ViewFreeBusy, Events: events(nil)}},
		{freebusy.ViewFreeBusyMerged, routing.Reply{View: freebusy.ViewFreeBusyMerged, Merged: "34444444", Events: events(nil)}},
		{freebusy.ViewDetailedMerged, routing.Reply{View: freebusy.ViewDetailedMerged, Merged: "34444444", Events: events(detail)}},
	}
	p := newPeer(t)
	r := newRig(t, p)
	for i, tt := range tests {
		t.Run(tt.view.String(), func(t *testing.T) {
			p.ask = func(http.ResponseWriter, *ews.AvailabilityRequest) []ews.FreeBusyResponse {
				d := dirty
				d.Hours = badHours[i]
				return []ews.FreeBusyResponse{d}
			}
			q := query("kim")
			q.View = tt.view
			tt.want.Address = q.Addresses[0]
			if diff := cmp.Diff(tt.want, r.ask(q)[0], cmp.AllowUnexported(smtpaddr.Address{})); diff != "" {
				t.Errorf("reply (-want +got):\n%s", diff)
			}
		})
	}
}

// What goes wrong before anybody answers.
func TestNobodyAnswers(t *testing.T) {
	dead := httptest.NewTLSServer(nil)
	deadURL := dead.URL
	dead.Close()
	plain := httptest.NewServer(nil)
	defer plain.Close()
	stranger := newPeer(t) // whose certificate nobody trusts here: only its URL is used
	tests := []struct {
		name string
		fix  func(r *rig)
		want string // prefix
		part string
	}{
		{"dead server", func(r *rig) { r.conn.TargetSharingEpr = deadURL + ewsPath },
			"kim ProxyFailed: Proxy web request failed. , inner exception: Unable to connect to the remote server 127.0.0.1:", "connection refused"},
		{"dead Autodiscover", func(r *rig) { r.conn.DiscoveryEndpoint = deadURL + autodiscoverPath },
			"kim AutodiscoverFailed: Autodiscover failed for email address kim@fabrikam.com with error Unable to connect to the remote server 127.0.0.1:", "connection refused"},
		{"no TLS", func(r *rig) { r.conn.TargetSharingEpr = strings.Replace(plain.URL, "http:", "https:", 1) + ewsPath },
			"kim ProxyFailed: Proxy web request failed. , inner exception: ", "HTTP response to HTTPS client"},
		{"wrong name in the certificate", func(r *rig) {
			r.conn.TargetSharingEpr = strings.Replace(stranger.URL, "127.0.0.1", "mail.fabrikam.com", 1) + ewsPath
		}, "kim ProxyFailed: Proxy web request failed. , inner exception: Could not create SSL/TLS secure channel with mail.fabrikam.com:", "certificate is valid for"},
		{"token for EWS", func(r *rig) {
			r.conn.TargetSharingEpr = "https://mail.fabrikam.com" + ewsPath
			r.token = errors.New("token of ACS for mail.fabrikam.com: invalid_client: AADSTS70002: Error validating credentials. AADSTS50012: Client assertion contains an invalid signature.")
		}, "kim ProxyFailed: Proxy web request failed. , inner exception: mail.fabrikam.com: token of ACS for mail.fabrikam.com: invalid_client: AADSTS70002: ", "AADSTS50012"},
		{"token for Autodiscover", func(r *rig) {
			r.conn.DiscoveryEndpoint = "https://mail.fabrikam.com" + autodiscoverPath
			r.token = errors.New("missing signing certificate")
		}, "kim AutodiscoverFailed: Autodiscover failed for email address kim@fabrikam.com with error mail.fabrikam.com: missing signing certificate", ""},
		{"plain Autodiscover URL", func(r *rig) { r.conn.DiscoveryEndpoint = "http://mail.fabrikam.com" + autodiscoverPath },
			"kim AutodiscoverFailed: Autodiscover failed for email address kim@fabrikam.com with error autodiscover endpoint: ", "not an https URL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			pool := x509.NewCertPool()
			pool.AddCert(stranger.Certificate())
			cfg := safehttp.Config{Roots: pool, ConnectTo: map[string]string{}}
			for _, u := range []string{deadURL, plain.URL, stranger.URL} {
				_, host, _ := strings.Cut(u, "://")
				cfg.ConnectTo[host] = host
				cfg.ConnectTo[strings.Replace(host, "127.0.0.1", "mail.fabrikam.com", 1)] = host
			}
			transport, err := safehttp.Transport(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer transport.CloseIdleConnections()
			r.cl = safehttp.Client(roundTripper(func(req *http.Request) (*http.Response, error) {
				if r.token != nil {
					return nil, r.token
				}
				return transport.RoundTrip(req)
			}), cfg)
			tt.fix(r)
			got := short(r.ask(query("kim")))[0]
			if !strings.HasPrefix(got, tt.want) || !strings.Contains(got, tt.part) {
				t.Errorf("got %q, want %q … %q", got, tt.want, tt.part)
			}
		})
	}
}

func TestConnectionResetIsTriedOnceMore(t *testing.T) {
	for _, resets := range []int{1, 2} {
		p := newPeer(t)
		r := newRig(t, p)
		n := 0
		p.ask = func(w http.ResponseWriter, q *ews.AvailabilityRequest) []ews.FreeBusyResponse {
			if n++; n <= resets {
				c, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return nil
				}
				c.Close()
				return nil
			}
			return busyAll(q)
		}
		got := short(r.ask(query("kim")))[0]
		if resets == 1 && got != "kim 02000000" {
			t.Errorf("after one reset: %q", got)
		}
		if resets == 2 && !strings.HasPrefix(got, "kim ProxyFailed: ") {
			t.Errorf("after two resets: %q", got)
		}
	}
}

// silent answers when the context of the request ends, and not before.
func silent(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestSlowPeers(t *testing.T) {
	const timedOut = "TimedOut: Request could not be processed in time. Timeout occurred during 'Waiting-For-Request-Completion'."
	tests := []struct {
		name  string
		fixed bool // EWS at once
		took  time.Duration
		want  string
	}{
		{"EWS", true, 20 * time.Second, timedOut},
		{"Autodiscover", false, 10 * time.Second, timedOut + " Autodiscover at 'https://mail.fabrikam.com/autodiscover/autodiscover.svc' gave no answer within 10s."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.cl = &http.Client{Transport: roundTripper(silent)}
				r.conn.DiscoveryEndpoint = "https://mail.fabrikam.com" + autodiscoverPath
				if tt.fixed {
					r.conn.TargetSharingEpr = "https://mail.fabrikam.com" + ewsPath
				}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				begin := time.Now()
				got, err := r.src.Ask(ctx, r.org, r.route(), query("kim", "lee"))
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				r.want(got, "kim "+tt.want, "lee "+tt.want)
			})
		})
	}
}

func TestSourcePanicsAreContained(t *testing.T) {
	r := newRig(t)
	r.cl = &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { panic("index out of range") })}
	r.conn.DiscoveryEndpoint = "https://mail.fabrikam.com" + autodiscoverPath
	r.want(r.ask(query("kim")), "kim AutodiscoverFailed: Autodiscover failed for email address kim@fabrikam.com with error internal error")
	r.conn.TargetSharingEpr = "https://mail.fabrikam.com" + ewsPath
	r.want(r.ask(query("kim")), "kim ProxyFailed: Proxy web request failed. , inner exception: internal error")
}

func FuzzChecked(f *testing.F) {
	f.Add(ews.AppendGetUserAvailabilityResponse(nil, &ews.AvailabilityResponse{FreeBusy: []ews.FreeBusyResponse{good()}}))
	bad := good()
	bad.Message = ews.ResponseMessage{Class: "Error", Code: "ErrorNoFreeBusyAccess", Text: "no"}
	f.Add(ews.AppendGetUserAvailabilityResponse(nil, &ews.AvailabilityResponse{FreeBusy: []ews.FreeBusyResponse{bad}}))
	f.Add([]byte(`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body/></s:Envelope>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		src, err := peersource.New(peersource.Config{
			Client: func(*directory.Organization, routing.Requester, *directory.AuthServer) *http.Client {
				return &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body))}, nil
				})}
			},
			Now: time.Now, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		q := query("kim")
		route := routing.Route{Kind: routing.Connector, Connector: &directory.IntraOrganizationConnector{TargetSharingEpr: "https://mail.fabrikam.com/ews"}}
		got, err := src.Ask(t.Context(), &directory.Organization{}, route, q)
		if err != nil || len(got) != 1 || got[0].Address != q.Addresses[0] {
			t.Fatalf("%v, %v", got, err)
		}
		r := got[0]
		if r.Err != nil {
			me, ok := errors.AsType[*routing.MailboxError](r.Err)
			if !ok || len([]rune(me.Text)) > 1000 {
				t.Fatalf("error %T of %d bytes", r.Err, len(r.Err.Error()))
			}
			return
		}
		if r.View&^q.View != 0 || r.View == 0 || r.View&freebusy.ViewMerged != 0 && len(r.Merged) != 8 || strings.Trim(r.Merged, "01234") != "" || !freebusy.Sorted(r.Events) {
			t.Fatalf("reply %+v", r)
		}
		for _, e := range r.Events {
			if !e.Start.Before(e.End) || !q.Window.Overlaps(e.Start, e.End) {
				t.Fatalf("entry %v", e)
			}
			if d := e.Detail; d != nil && len([]rune(d.Subject+d.Location+d.ID)) > 3*255 {
				t.Fatalf("detail %v", d)
			}
		}
	})
}
