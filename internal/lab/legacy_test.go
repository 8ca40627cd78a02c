package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"busybridge/clients"
	"busybridge/internal/admin"
	"busybridge/internal/app/client"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
)

// An outcome is the answer for one address: code and a part of the text of an
// error, or neither.
type outcome struct{ code, text string }

// TestOldServer asks as a user of the old server, by exchangelib where it is
// installed, for the cloud and for domains whose way there is wrong, each in its
// own way, in one question. Each has its own code and text, none spoils another,
// and nothing waits for its time-out.
func TestOldServer(t *testing.T) {
	ctx := t.Context()
	l, err := Start(ctx, Options{Now: time.Now, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})), Out: io.Discard})
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
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	here, there := l.deployments[onprem].Admin, l.deployments[cloud].Admin
	org, err := l.organization(ctx, onprem)
	must(err)
	hosted, err := l.organization(ctx, cloud)
	must(err)
	add := func(a directory.AvailabilityAddressSpace) {
		t.Helper()
		_, err := here.AddAvailabilityAddressSpace(ctx, operator, org.ID, a)
		must(err)
	}
	proxy := func(domain, url string) {
		t.Helper()
		add(directory.AvailabilityAddressSpace{ForestName: domain, AccessMethod: directory.InternalProxy, UseServiceAccount: true, ProxyURL: url})
	}
	connector := func(change func(*directory.IntraOrganizationConnector)) {
		t.Helper()
		_, err := here.SetIntraOrganizationConnector(ctx, operator, org.ID, "ExchangeHybridOnPremisesToOnline", func(c *directory.IntraOrganizationConnector) error {
			change(c)
			return nil
		})
		must(err)
	}
	account := func(user string, enabled bool) {
		t.Helper()
		_, err := here.SetAccount(ctx, operator, org.ID, user, func(a *directory.Account) error { a.Enabled = enabled; return nil })
		must(err)
	}

	_, err = here.NewServer(ctx, operator, org.ID, server("RTM", directory.Version{Major: 15, Build: 847, Revision: 31}, "rtm.contoso.com"))
	must(err)
	// A mail user on both sides: each says that the other has the mailbox.
	const ring = "ring@" + coexistence
	_, err = there.NewMailUser(ctx, operator, hosted.ID, admin.MailUserParams{Name: "Ring", Alias: "ring", Primary: ring, ExternalAddress: "ring@" + domain})
	must(err)
	connector(func(c *directory.IntraOrganizationConnector) {
		c.TargetSharingEpr = "https://" + l.cloud.EWSHost + "/ews/exchange.asmx" // else Autodiscover finds it out
	})
	front := "https://" + mailHost + "/ews/exchange.asmx"
	proxy("elsewhere.example", "https://mail.fabrikam.com/ews/exchange.asmx")
	proxy("path.example", "https://"+mailHost+"/owa/")
	proxy("old.example", "https://rtm.contoso.com/ews/exchange.asmx")
	proxy("one.example", "https://"+legacyHost+"/ews/exchange.asmx")
	proxy("two.example", front)
	const unusable = `Availability address space "`
	want := map[string]outcome{
		"kim@" + domain:       {}, // by mail.contoso.com
		"paul@" + coexistence: {},
		"nobody@" + domain:    {"ErrorMailRecipientNotFound", "Unable to resolve e-mail address nobody@contoso.com"},
		"x@removed.example":   {"ErrorAddressSpaceNotFound", "Configuration information for forest/domain removed.example could not be found in Active Directory."},
		"x@elsewhere.example": {"ErrorProxyRequestProcessingFailed", unusable + `elsewhere.example" cannot be used: mail.fabrikam.com is no server of this organization`},
		"x@path.example":      {"ErrorProxyRequestProcessingFailed", "Proxy web request failed. , inner exception: The request failed with HTTP status 404: Not Found"},
		"x@old.example":       {"ErrorServiceDiscoveryFailed", unusable + `old.example" cannot be used: the server RTM is Version 15.0 (Build 847.31). A proxy has to be Version 15.0 (Build 847.32) or later.`},
		"x@one.example":       {"ErrorProxyRequestNotAllowed", `"one.example" leads from server LEGACY back to it`},
		"x@two.example":       {"ErrorProxyRequestNotAllowed", "was proxied already (servers on the way: LEGACY, MAIL)"},
		ring:                  {"ErrorProxyRequestNotAllowed", "because the requester is from a different organization. Name of the server where exception originated: CLOUD. Servers on the way: LEGACY, MAIL."},
	}
	ask := l.asJudy
	if err := clients.Available(clients.Exchangelib); err != nil {
		t.Logf("our own client asks: %v", err)
	} else {
		ask = l.asExchangelib
	}
	check := func(t *testing.T, ask func(context.Context, ...string) (map[string]outcome, error), want map[string]outcome) {
		t.Helper()
		began := time.Now()
		got, err := ask(ctx, slices.Sorted(maps.Keys(want))...)
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d > 20*time.Second { // a question has 25 s
			t.Errorf("it took %v", d)
		}
		for address, want := range want {
			if o, ok := got[address]; !ok || o.code != want.code || !strings.Contains(o.text, want.text) {
				t.Errorf("%s: got  %+v\nwant %+v", address, got[address], want)
			}
		}
	}
	t.Run("all at once", func(t *testing.T) {
		check(t, ask, want)
		if _, err := l.compare(ctx, "judy@"+domain, "lee@"+domain, nil, []string{"kim@" + domain, "paul@" + domain}, l.nextWeek()); err != nil {
			t.Error(err)
		}
	})
	t.Run("without connector", func(t *testing.T) {
		connector(func(c *directory.IntraOrganizationConnector) { c.Enabled = false })
		check(t, l.asJudy, map[string]outcome{"kim@" + domain: {"ErrorProxyRequestNotAllowed", "was proxied already (servers on the way: LEGACY, MAIL)"}})
		connector(func(c *directory.IntraOrganizationConnector) { c.Enabled, c.TargetSharingEpr = true, "" })
	})
	t.Run("a loop that Autodiscover finds", func(t *testing.T) {
		check(t, l.asJudy, map[string]outcome{ring: {"ErrorAutoDiscoverFailed", "has no endpoint for " + ring + ": it is redirected to ring@contoso.com, which is in a domain of this organization"}})
	})
	t.Run("the service account is disabled", func(t *testing.T) {
		account("svc-availability@"+domain, false)
		check(t, ask, map[string]outcome{"kim@" + domain: {"ErrorProxyRequestProcessingFailed", "service account: svc-availability@contoso.com is disabled"}})
		account("svc-availability@"+domain, true)
		check(t, l.asJudy, map[string]outcome{"kim@" + domain: {}})
	})
	t.Run("the address space is removed", func(t *testing.T) {
		_, err := here.RemoveAvailabilityAddressSpace(ctx, operator, org.ID, coexistence)
		must(err)
		check(t, l.asJudy, map[string]outcome{"kim@" + domain: {"ErrorAddressSpaceNotFound",
			`This server (Version 14.3 (Build 123.4)) uses availability address spaces only, not connector "ExchangeHybridOnPremisesToOnline".`}})
	})
	t.Run("the other front end", func(t *testing.T) {
		proxy(coexistence, "https://"+mail2Host+"/ews/exchange.asmx")
		check(t, l.asJudy, map[string]outcome{"kim@" + domain: {}})
	})

	// The cloud lets another forest ask with two accounts.
	const secret = "a password of a forest"
	for _, name := range []string{"forest", "users"} {
		_, err = there.NewAccount(ctx, operator, hosted.ID, admin.AccountParams{UserName: name + "@" + initial, Password: secret})
		must(err)
	}
	_, err = there.SetAvailabilityConfig(ctx, operator, hosted.ID, func(c *directory.AvailabilityConfig) error {
		c.OrgWideAccount, c.PerUserAccount = "forest@"+initial, "users@"+initial
		return nil
	})
	must(err)
	_, err = there.AddMailboxFolderPermission(ctx, operator, hosted.ID, "rosa@"+domain, "judy@"+domain, freebusy.LevelLimited)
	must(err)
	for _, tt := range []struct {
		method, user, password string
		details                bool // of rosa, who shows judy more than others
		want                   outcome
	}{
		{directory.OrgWideFB, "forest@" + initial, secret, false, outcome{}},
		{directory.OrgWideFBBasic, "forest@" + initial, secret, false, outcome{}},
		{directory.PerUserFB, "users@" + initial, secret, true, outcome{}},
		{directory.OrgWideFBBasic, "forest@" + initial, "wrong", false, outcome{"ErrorInvalidCrossForestCredentials",
			`The credentials of availability address space "contoso.partner.mail.onmschina.cn", user forest@contoso.partner.onmschina.cn, are not accepted.`}},
	} {
		t.Run(tt.method+" with "+tt.password, func(t *testing.T) {
			_, err := here.RemoveAvailabilityAddressSpace(ctx, operator, org.ID, coexistence)
			must(err)
			add(directory.AvailabilityAddressSpace{ForestName: coexistence, AccessMethod: tt.method, UserName: tt.user, Password: directory.Secret(tt.password),
				TargetAutodiscoverEpr: "https://" + l.cloud.AutodiscoverHosts[0] + "/autodiscover/autodiscover.xml"})
			check(t, l.asJudy, map[string]outcome{"kim@" + domain: tt.want})
			if tt.want.code != "" {
				return
			}
			check(t, l.asJudy, map[string]outcome{
				"kim@" + domain: {}, "nobody@" + coexistence: {"ErrorNoFreeBusyAccess", ""},
				ring: {"ErrorProxyRequestNotAllowed", "because the requester is from a different organization. Name of the server where exception originated: CLOUD. Servers on the way: LEGACY."},
			})
			answers, err := l.ask(ctx, "judy@"+domain, []string{"rosa@" + domain}, l.nextWeek(), freebusy.ViewDetailed)
			must(err)
			if a := answers[0]; a.Error != nil || len(a.Events) == 0 || (a.Events[0].Detail != nil) != tt.details {
				t.Errorf("rosa: %+v, want details: %v", a, tt.details)
			}
		})
	}
	t.Run("whose turns they were", func(t *testing.T) { // judy's here, and at the front end those of the old server
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.file.Ops[string(onprem)]+"/metrics", nil)
		must(err)
		resp, err := http.DefaultClient.Do(req)
		must(err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		must(err)
		http.DefaultClient.CloseIdleConnections()
		for _, caller := range []string{"user", "partner"} {
			series := `busybridge_turns_total{caller="` + caller + `",outcome="at_once"} `
			if _, n, ok := strings.Cut(string(b), series); !ok || strings.HasPrefix(n, "0\n") {
				t.Errorf("no turn of a %s", caller)
			}
		}
	})
	t.Run("her own account is disabled", func(t *testing.T) {
		account("judy@"+domain, false)
		if _, err := l.asJudy(ctx, "kim@"+domain); err == nil || !strings.Contains(err.Error(), "did not accept the password of judy@contoso.com") {
			t.Errorf("got %v", err)
		}
	})
}

// asJudy asks at the old server with our own client.
func (l *Lab) asJudy(ctx context.Context, addresses ...string) (map[string]outcome, error) {
	answers, err := l.ask(ctx, "judy@"+domain, addresses, l.nextWeek(), freebusy.ViewFreeBusyMerged)
	out := map[string]outcome{}
	for _, a := range answers {
		out[a.Address] = outcome{}
		if a.Error != nil {
			out[a.Address] = outcome{a.Error.Code, a.Error.Text}
		}
	}
	return out, err
}

// asExchangelib asks with exchangelib, for which judy is the user of ews_legacy.
func (l *Lab) asExchangelib(ctx context.Context, addresses ...string) (map[string]outcome, error) {
	args := append([]string{filepath.Join(l.Dir(), client.LabFileName)}, addresses...)
	b, err := clients.Run(ctx, clients.Exchangelib, append(args, "--urls", "ews_legacy")...)
	if err != nil {
		return nil, err
	}
	var got struct {
		Organizations []struct {
			As        string
			Mailboxes []struct{ Address, Merged, Error, Text string }
		}
	}
	if err := json.Unmarshal(b, &got); err != nil {
		return nil, err
	}
	if len(got.Organizations) != 1 || got.Organizations[0].As != "judy@"+domain {
		return nil, fmt.Errorf("not one answer for judy: %s", b)
	}
	out := map[string]outcome{}
	for _, m := range got.Organizations[0].Mailboxes {
		if m.Error == "" && m.Merged == "" {
			return nil, fmt.Errorf("%s: an empty answer", m.Address)
		}
		out[m.Address] = outcome{m.Error, m.Text}
	}
	return out, nil
}
