package directory_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
)

func askedSource(kind string, server directory.SourceServer) *directory.CalendarSource {
	v := &directory.CalendarSource{Org: directory.OrgID(uuid.NewString()), ID: uuid.NewString(), Mailbox: uuid.NewString(), Name: "there", Kind: kind,
		URL: "https://mail.fabrikam.com/EWS/Exchange.asmx", UserName: `FABRIKAM\svc`, Password: directory.Secret("4f2a"), Enabled: true, Server: server}
	if server.Authentication == directory.SourceOAuth {
		v.UserName, v.Password = "11111111-0000-4000-8000-000000000001", nil
	}
	a, err := smtpaddr.Parse("kim@contoso.com")
	if err != nil {
		panic(err)
	}
	v.Complete(&directory.Recipient{Primary: a})
	return v
}

// What is left out has a default, and what cannot be is refused by field.
func TestSourceServers(t *testing.T) {
	const (
		tenant = "22222222-0000-4000-8000-000000000002"
		login  = "https://login.microsoftonline.com"
	)
	oauth := directory.SourceServer{Tenant: tenant}
	if got, want := askedSource(directory.SourceExchange, oauth).Server, (directory.SourceServer{Address: "kim@contoso.com", Authentication: directory.SourceOAuth, Tenant: tenant, Login: login}); got.Authentication != want.Authentication || got.Address != want.Address || got.Login != want.Login {
		t.Errorf("with a tenant: %+v", got)
	}
	if got := askedSource(directory.SourceExchange, directory.SourceServer{}).Server; got.Authentication != directory.SourceNTLM || got.Login != "" {
		t.Errorf("without: %+v", got)
	}
	graph := directory.SourceServer{Tenant: "fabrikam.com", Authentication: directory.SourceOAuth}
	for _, tt := range []struct {
		name   string
		v      *directory.CalendarSource
		change func(*directory.CalendarSource)
		want   string // the field that is wrong; "": none
	}{
		{"Exchange with NTLM", askedSource(directory.SourceExchange, directory.SourceServer{}), nil, ""},
		{"Exchange as an application", askedSource(directory.SourceExchange, directory.SourceServer{Tenant: tenant, Authentication: directory.SourceOAuth}), nil, ""},
		{"Graph", askedSource(directory.SourceGraph, graph), nil, ""},
		{"another method", askedSource(directory.SourceExchange, directory.SourceServer{}), func(v *directory.CalendarSource) { v.Method = directory.MethodGetSchedule }, "Method"},
		{"no address", askedSource(directory.SourceExchange, directory.SourceServer{}), func(v *directory.CalendarSource) { v.Server.Address = "kim" }, "Address"},
		{"Graph with NTLM", askedSource(directory.SourceGraph, graph), func(v *directory.CalendarSource) { v.Server.Authentication = directory.SourceNTLM }, "Authentication"},
		{"no password", askedSource(directory.SourceExchange, directory.SourceServer{}), func(v *directory.CalendarSource) { v.Password = nil }, "UserName"},
		{"no password any more", askedSource(directory.SourceExchange, directory.SourceServer{}), func(v *directory.CalendarSource) { v.Password, v.Removed = nil, true }, ""},
		{"a password that is not used", askedSource(directory.SourceGraph, graph), func(v *directory.CalendarSource) { v.Password = directory.Secret("4f2a") }, "Password"},
		{"an application by name", askedSource(directory.SourceGraph, graph), func(v *directory.CalendarSource) { v.UserName = "app" }, "ApplicationId"},
		{"no tenant", askedSource(directory.SourceGraph, graph), func(v *directory.CalendarSource) { v.Server.Tenant = "" }, "Tenant"},
		{"a login page", askedSource(directory.SourceGraph, graph), func(v *directory.CalendarSource) { v.Server.Login = login + "/common" }, "Login"},
		{"a tenant without OAuth", askedSource(directory.SourceExchange, directory.SourceServer{}), func(v *directory.CalendarSource) { v.Server.Tenant = tenant }, "Tenant"},
		{"an anchor of Exchange", askedSource(directory.SourceExchange, directory.SourceServer{}), func(v *directory.CalendarSource) { v.Server.Anchor = "a@fabrikam.com" }, "Anchor"},
		{"Graph impersonates nobody", askedSource(directory.SourceGraph, graph), func(v *directory.CalendarSource) { v.Server.Impersonate = true }, "Impersonate"},
		{"years back", askedSource(directory.SourceExchange, directory.SourceServer{}), func(v *directory.CalendarSource) { v.Server.DaysBack = 367 }, "DaysBack"},
		{"years ahead", askedSource(directory.SourceExchange, directory.SourceServer{}), func(v *directory.CalendarSource) { v.Server.DaysAhead = -1 }, "DaysAhead"},
		{"a file has no server", askedSource(directory.SourceExchange, directory.SourceServer{}), func(v *directory.CalendarSource) { v.Kind = directory.SourceICalendar }, "Kind"},
	} {
		if tt.change != nil {
			tt.change(tt.v)
		}
		err := tt.v.Validate()
		switch {
		case (err == nil) != (tt.want == ""), err != nil && !strings.Contains(err.Error(), ": "+tt.want+" "):
			t.Errorf("%s: %v, want a problem with %q", tt.name, err, tt.want)
		case err != nil && strings.Contains(err.Error(), "4f2a"):
			t.Errorf("%s: the password is shown: %v", tt.name, err)
		}
	}
}

func TestSourceDays(t *testing.T) {
	now := time.Date(2026, 3, 2, 23, 59, 0, 0, time.FixedZone("", -3600)) // the 3rd in UTC
	day := func(m time.Month, d int) time.Time { return time.Date(2026, m, d, 0, 0, 0, 0, time.UTC) }
	for _, tt := range []struct {
		s        directory.SourceServer
		from, to time.Time
	}{
		{directory.SourceServer{}, day(3, 2), day(6, 2)},
		{directory.SourceServer{DaysBack: 3, DaysAhead: 7}, day(2, 28), day(3, 11)},
	} {
		if from, to := tt.s.Days(now); !from.Equal(tt.from) || !to.Equal(tt.to) {
			t.Errorf("%+v: %v to %v", tt.s, from, to)
		}
	}
}

func TestSourceClouds(t *testing.T) {
	for _, c := range directory.SourceClouds() {
		for _, u := range []string{c.Login, c.Graph, c.EWS} {
			if !strings.HasPrefix(u, "https://") || strings.HasSuffix(u, "/") {
				t.Errorf("%s: %s", c.Name, u)
			}
		}
	}
}
