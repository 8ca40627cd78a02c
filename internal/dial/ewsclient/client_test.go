package ewsclient_test

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/dial/ewsclient"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/soap"
	"busybridge/internal/spec/wintz"
)

func question() *ews.AvailabilityRequest {
	return &ews.AvailabilityRequest{
		Header: ews.Header{Version: "Exchange2013_SP1"}, RequestID: "id-1", Zone: &wintz.Rule{},
		Mailboxes: []ews.MailboxData{{Address: "ana@contoso.com", AttendeeType: "Required"}},
		FreeBusy: &ews.FreeBusyOptions{Start: ews.DateTime{Time: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)}, End: ews.DateTime{Time: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)},
			IntervalMinutes: 30, Views: []string{"DetailedMerged"}},
	}
}

var answer = &ews.AvailabilityResponse{
	Version:  ews.ServerVersion{Major: 15, Minor: 1, Build: 2507, Revision: 6, Schema: "V2017_07_11"},
	FreeBusy: []ews.FreeBusyResponse{{Message: ews.ResponseMessage{Class: "Success", Code: "NoError"}, View: "MergedOnly", Merged: "02"}},
}

const xml = "text/xml; charset=utf-8"

// ask sends the question to a server that answers with h.
func ask(t *testing.T, h http.HandlerFunc, maxBody int64) (*ews.AvailabilityResponse, error) {
	t.Helper()
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	c, err := ewsclient.New(ewsclient.Config{HTTP: srv.Client(), UserAgent: "ASProxy/CrossForest/EmailDomain//15.01.2507.006", MaxBody: maxBody})
	if err != nil {
		t.Fatal(err)
	}
	return c.GetUserAvailability(t.Context(), srv.URL+"/ews/exchange.asmx", question())
}

func TestRequest(t *testing.T) {
	var got *http.Request
	var body string
	resp, err := ask(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got, body = r, string(b)
		w.Header().Set("Content-Type", xml)
		w.Write(ews.AppendGetUserAvailabilityResponse(nil, answer))
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(answer, resp); diff != "" {
		t.Errorf("answer (-want +got)\n%s", diff)
	}
	if want := string(ews.AppendGetUserAvailabilityRequest(nil, question())); body != want {
		t.Errorf("body\n%s\nwant\n%s", body, want)
	}
	for name, want := range map[string]string{
		"Content-Type": xml, "SOAPAction": `"http://schemas.microsoft.com/exchange/services/2006/messages/GetUserAvailability"`,
		"client-request-id": "id-1", "X-AnchorMailbox": "ana@contoso.com", "User-Agent": "ASProxy/CrossForest/EmailDomain//15.01.2507.006",
	} {
		if v := got.Header.Get(name); v != want {
			t.Errorf("header %s is %q, want %q", name, v, want)
		}
	}
	if got.Method != http.MethodPost || got.URL.Path != "/ews/exchange.asmx" || got.ContentLength != int64(len(body)) {
		t.Errorf("got %s %s, length %d", got.Method, got.URL.Path, got.ContentLength)
	}
}

func TestAnswers(t *testing.T) {
	good := ews.AppendGetUserAvailabilityResponse(nil, answer)
	fault := soap.AppendFault(nil, &soap.Fault{Code: "ErrorServerBusy", String: "busy", ResponseCode: "ErrorServerBusy", Message: "busy", Values: []soap.Value{{Name: "BackOffMilliseconds", Value: "1000"}}})
	reply := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", xml)
			w.Header().Set("x-ms-diagnostics", `2000000;reason="The token has an invalid signature.";error_category="invalid_signature"`)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	isStatus := func(status int) func(error) bool {
		return func(err error) bool {
			se, ok := errors.AsType[*ewsclient.StatusError](err)
			return ok && se.Status == status && strings.HasPrefix(se.Diagnostics, "2000000;") && strings.HasSuffix(se.URL, "/ews/exchange.asmx")
		}
	}
	is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	isFault := func(err error) bool {
		f, ok := errors.AsType[*soap.Fault](err)
		return ok && f.ResponseCode == "ErrorServerBusy" && f.Value("BackOffMilliseconds") == "1000"
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    func(error) bool
	}{
		{"token refused", reply(401, ""), isStatus(401)},
		{"blocked", reply(403, "<html>"), isStatus(403)},
		{"not there", reply(404, "<html>"), isStatus(404)},
		{"queue is full", reply(503, ""), isStatus(503)},
		{"moved without an address", reply(302, ""), isStatus(302)},
		{"accepted", reply(202, string(good)), isStatus(202)},
		{"fault", reply(500, string(fault)), isFault},
		{"fault with status 200", reply(200, string(fault)), isFault},
		{"500 with a page", reply(500, "<html><body>Runtime Error"), isStatus(500)},
		{"500 with an answer", reply(500, string(good)), isStatus(500)},
		{"page", reply(200, "<html><head><meta></head></html>"), is(ewsclient.ErrNotXML)},
		{"sign-in page", reply(200, "<!DOCTYPE html><html></html>"), is(ewsclient.ErrNotXML)},
		{"nothing", reply(200, ""), is(ewsclient.ErrNotXML)},
		{"other XML", reply(200, "<Autodiscover/>"), is(ewsclient.ErrNotXML)},
		{"SOAP 1.2", reply(200, `<Envelope xmlns="http://www.w3.org/2003/05/soap-envelope"><Body/></Envelope>`), is(ewsclient.ErrNotXML)},
		{"entities", reply(200, `<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>`+string(good)), is(ewsclient.ErrNotXML)},
		{"another operation", reply(200, strings.ReplaceAll(string(good), "GetUserAvailabilityResponse", "GetFolderResponse")), is(ewsclient.ErrNotXML)},
		{"half of an answer", reply(200, string(good[:len(good)/2])), is(ewsclient.ErrNotXML)},
		{"too large", reply(200, string(good)+strings.Repeat(" ", 1<<20)), is(ewsclient.ErrTooLarge)},
		{"too large when unpacked", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, "<a>"+strings.Repeat(" ", 4<<20))
			z.Close()
		}, is(ewsclient.ErrTooLarge)},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			w.Write(good)
			if err := http.NewResponseController(w).Flush(); err != nil {
				panic(err)
			}
			panic(http.ErrAbortHandler)
		}, is(io.ErrUnexpectedEOF)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, err := ask(t, tt.handler, 1<<20)
			if err == nil {
				t.Fatalf("got %+v, want an error", resp)
			}
			if !tt.want(err) {
				t.Errorf("got another error: %v", err)
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		cancel()
		<-release
	}))
	defer srv.Close()
	defer close(release)
	c, err := ewsclient.New(ewsclient.Config{HTTP: srv.Client()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetUserAvailability(ctx, srv.URL, question()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// Clock readings come back in the zone of the request.
func TestZone(t *testing.T) {
	berlin := wintz.Rule{Bias: -60, Standard: wintz.Switch{Time: 3 * time.Hour, DayOrder: 5, Month: 10}, Daylight: wintz.Switch{Bias: -60, Time: 2 * time.Hour, DayOrder: 5, Month: 3}}
	event := func(h int) []ews.FreeBusyResponse {
		return []ews.FreeBusyResponse{{View: "FreeBusy", HasEvents: true, Events: []ews.CalendarEvent{{
			Start: time.Date(2026, 7, 1, h, 0, 0, 0, time.UTC), End: time.Date(2026, 7, 1, h+1, 0, 0, 0, time.UTC), BusyType: "Busy"}}}}
	}
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write(ews.AppendGetUserAvailabilityResponse(nil, &ews.AvailabilityResponse{FreeBusy: event(10)}))
	}))
	defer srv.Close()
	c, err := ewsclient.New(ewsclient.Config{HTTP: srv.Client()})
	if err != nil {
		t.Fatal(err)
	}
	inHeader := question()
	def := ews.DefineZone("W. Europe Standard Time", "", 2026, []wintz.Rule{berlin})
	inHeader.Zone, inHeader.Header.Zone = nil, &def
	inBody := question()
	inBody.Zone = &berlin
	for name, req := range map[string]*ews.AvailabilityRequest{"in the header": inHeader, "in the body": inBody} {
		resp, err := c.GetUserAvailability(t.Context(), srv.URL, req)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(event(8)[0].Events, resp.FreeBusy[0].Events); diff != "" {
			t.Errorf("zone %s (-want +got)\n%s", name, diff)
		}
	}
}

func TestNew(t *testing.T) {
	if _, err := ewsclient.New(ewsclient.Config{}); err == nil {
		t.Error("no HTTP client: accepted")
	}
	if _, err := ewsclient.New(ewsclient.Config{HTTP: &http.Client{}, MaxBody: -1}); err == nil {
		t.Error("negative MaxBody: accepted")
	}
}
