package availability_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/availability"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/trust"
)

// TestLoops: a question that would go round ends, and its error names the servers
// that it went by.
func TestLoops(t *testing.T) {
	mail := &directory.Server{Common: named("MAIL"), HostNames: []string{"mail.contoso.com"}, AdminDisplayVersion: directory.OAuthVersion}
	legacy := &directory.Server{Common: named("LEGACY"), HostNames: []string{"legacy.contoso.com"}, AdminDisplayVersion: directory.Version{Major: 14, Minor: 3}}
	refusal := func(context.Context, routing.Route, routing.Query) ([]routing.Reply, error) {
		return []routing.Reply{{Err: &routing.MailboxError{Reason: routing.Remote, Code: "ErrorProxyRequestNotAllowed", Text: "It is not allowed. Name of the server where exception originated: CLOUD"}}}, nil
	}
	const crossForest = "ProxyNotAllowed: The cross-organization request for mailbox x@wingtip.com is not allowed because the requester is from a different organization"
	tests := []struct {
		name    string
		at      *directory.Server
		proxied availability.Proxied
		via     []string
		caller  availability.Caller
		address string
		proxy   string // of the address space
		peer    func(context.Context, routing.Route, routing.Query) ([]routing.Reply, error)
		want    string
		asked   []string // Via of the question that was asked on
	}{
		{name: "one server", at: mail, address: "x@wingtip.com", proxy: "https://mail.contoso.com/ews/exchange.asmx",
			want: `ProxyNotAllowed: The request for mailbox x@wingtip.com is not allowed: availability address space "wingtip.com" leads from server MAIL back to it, and no connector is for its domain there. Name of the server where exception originated: MAIL`},
		{name: "the first of two", at: legacy, address: "x@wingtip.com", proxy: "https://mail.contoso.com/ews/exchange.asmx", want: "<nil>", asked: []string{"LEGACY"}},
		{name: "the second of two", at: mail, proxied: availability.CrossSite, via: []string{"LEGACY"}, address: "x@wingtip.com", proxy: "https://mail.contoso.com/ews/exchange.asmx",
			want: `ProxyNotAllowed: The request for mailbox x@wingtip.com is not allowed because it was proxied already (servers on the way: LEGACY, MAIL): no connector is for its domain here, and availability address space "wingtip.com" would send it on. Name of the server where exception originated: MAIL`},
		{name: "the second of two, when the first does not say who it is", at: mail, proxied: availability.CrossSite, address: "x@wingtip.com",
			want: `ProxyNotAllowed: The request for mailbox x@wingtip.com is not allowed because it was proxied already: no connector is for its domain here, and availability address space "wingtip.com" would send it on. Name of the server where exception originated: MAIL`},
		{name: "the second of three, when the third refuses", at: mail, proxied: availability.CrossSite, via: []string{"LEGACY"}, address: "kim@litware.com", peer: refusal,
			want: "Remote: It is not allowed. Name of the server where exception originated: CLOUD. Servers on the way: LEGACY, MAIL."},
		{name: "the third of three", at: mail, proxied: availability.CrossForest, caller: availability.Caller{Partner: &trust.Caller{Realm: "litware.com"}}, address: "x@wingtip.com",
			want: crossForest + ". Name of the server where exception originated: MAIL"},
		{name: "two forests, by an account", at: mail, proxied: availability.NotProxied, caller: availability.Caller{Forest: true}, address: "x@wingtip.com",
			want: crossForest + ". Name of the server where exception originated: MAIL"},
		{name: "two forests, by the header", at: mail, proxied: availability.CrossForest, address: "x@wingtip.com", want: crossForest + ". Name of the server where exception originated: MAIL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			w.peer = tt.peer
			w.org.Servers = []directory.Server{*mail, *legacy}
			w.org.AddressSpaces[0].ProxyURL = tt.proxy
			q := w.question(freebusy.ViewMergedOnly, tt.address)
			q.Server, q.Proxied, q.Via, q.Caller = tt.at, tt.proxied, tt.via, tt.caller
			if got := text(w.ask(t, q)[0]); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			var asked []string
			for _, list := range w.queries["wingtip.com"] {
				asked = list.Requester.Via
			}
			if d := cmp.Diff(tt.asked, asked); d != "" {
				t.Errorf("servers that the next one was told (-want +got):\n%s", d)
			}
		})
	}
}

// TestForest asks by an account that another forest has: it sees what everybody
// sees, its mail users what they may, and nobody learns who exists.
func TestForest(t *testing.T) {
	w := newWorld()
	w.mailUser("dan", "dan@fabrikam.com")
	ana := w.people[addr("ana")]
	ana.Permissions = []directory.Permission{{User: "Default", Level: freebusy.LevelTime}, {User: "dan@contoso.com", Level: freebusy.LevelLimited}, {User: "bo@contoso.com", Level: freebusy.LevelFull}}
	w.calendars["ana@contoso.com"] = []freebusy.Interval{detailed(freebusy.Busy, 9, 10, freebusy.Detail{Subject: "Budget"})}
	for who, want := range map[string]string{"": "time", "dan": "Budget", "bo": "time"} {
		q := w.question(freebusy.ViewDetailed, "ana", "nobody")
		q.Caller = availability.Caller{Forest: true}
		if who != "" {
			q.Caller.Recipient = w.people[addr(who)]
		}
		got := w.ask(t, q)
		sees := "time"
		if d := got[0].Events[0].Detail; d != nil {
			sees = d.Subject
		}
		if sees != want || text(got[1]) != "NoAccess: The caller does not have access to free/busy data." {
			t.Errorf("%q sees %q, want %q, and of nobody %s", who, sees, want, text(got[1]))
		}
	}
	w.org.AvailabilityConfig.RevealUnknownRecipients = true
	q := w.question(freebusy.ViewDetailed, "nobody")
	q.Caller = availability.Caller{Forest: true}
	if got := short(w.ask(t, q))[0]; got != "nobody RecipientNotFound" {
		t.Error(got)
	}
}
