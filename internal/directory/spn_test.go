package directory_test

import (
	"errors"
	"testing"

	"busybridge/internal/directory"
)

const app = directory.ExchangeAppID

func TestParseSPN(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{app, app},
		{"00000002-0000-0FF1-CE00-000000000000/Mail.Contoso.com.", app + "/mail.contoso.com"},
		{app + "/mail.contoso.com:443", app + "/mail.contoso.com"},
		{app + "/mail.contoso.com:8443", app + "/mail.contoso.com:8443"},
		{app + "/*.contoso.com", app + "/*.contoso.com"},
		{app + "/bücher.example", app + "/xn--bcher-kva.example"},
		{"HTTPS://Mail.contoso.com/", "https://mail.contoso.com"},
		{"https://mail.contoso.com:444", "https://mail.contoso.com:444"},
		{"", ""}, {"/", ""}, {app + "/", ""}, {app + "/*", ""}, {app + "/*.com", ""}, {app + "/*.", ""}, {app + "/a.*.com", ""}, {app + "/m*.contoso.com", ""},
		{app + "/mail.contoso.com/", ""}, {app + "/a/b", ""}, {app + "/mail.contoso.com:0", ""}, {app + "/mail.contoso.com:65536", ""}, {app + "/mail.contoso.com:", ""},
		{app + "/[::1]", ""}, {"https://*.contoso.com", ""}, {"https://", ""}, {"https://mail.contoso.com/ews", ""}, {"https://u@mail.contoso.com", ""},
		{"http://mail.contoso.com", ""}, {"mail.contoso.com", ""}, {"HTTP/mail.contoso.com", ""}, {app + "@contoso.com", ""}, {app + "/mail contoso.com", ""},
	} {
		n, err := directory.ParseSPN(c.in)
		if c.want == "" {
			if !errors.Is(err, directory.ErrSPN) {
				t.Errorf("%q: got %q, %v, want ErrSPN", c.in, n, err)
			}
			continue
		}
		if err != nil || n.String() != c.want {
			t.Errorf("%q: got %q, %v, want %q", c.in, n, err, c.want)
		}
	}
}

func TestSPNCovers(t *testing.T) {
	for _, c := range []struct {
		spn, host string
		port      int
		want      bool
	}{
		{app + "/mail.contoso.com", "mail.contoso.com", 0, true},
		{app + "/mail.contoso.com", "mail.contoso.com", 443, true},
		{app + "/mail.contoso.com", "mail.contoso.com", 8443, false},
		{app + "/mail.contoso.com:8443", "mail.contoso.com", 8443, true},
		{app + "/*.contoso.com", "mail.contoso.com", 0, true},
		{app + "/*.contoso.com", "contoso.com", 0, false}, // article step 5: the apex needs its own entry
		{app + "/*.contoso.com", "a.mail.contoso.com", 0, false},
		{app + "/*.contoso.com", ".contoso.com", 0, false},
		{app + "/*.contoso.com", "mailcontoso.com", 0, false},
		{app, "mail.contoso.com", 0, false},
		{app, "", 0, false},
		{"https://mail.contoso.com", "mail.contoso.com", 0, true},
	} {
		n, err := directory.ParseSPN(c.spn)
		if err != nil {
			t.Fatal(err)
		}
		if got := n.Covers(c.host, c.port); got != c.want {
			t.Errorf("%s covers %s:%d: %t", c.spn, c.host, c.port, got)
		}
	}
}

func FuzzParseSPN(f *testing.F) {
	for _, s := range []string{app, app + "/*.contoso.com:8443", "https://mail.contoso.com/", app + "/[::1]:1", app + "/*.*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := directory.ParseSPN(s)
		if err != nil {
			return
		}
		again, err := directory.ParseSPN(n.String())
		if err != nil || again != n {
			t.Errorf("%q is %q, which is %q, %v", s, n, again, err)
		}
		if n.Covers("com", 0) && n.Host != "com" {
			t.Errorf("%q covers a whole top-level domain", s)
		}
	})
}

// The registration rules of oauth-s2s reference 5.3 and the attack A43 of 8.4.
func TestCheckSPN(t *testing.T) {
	realm := &directory.Realm{
		Domains:      []directory.VerifiedDomain{{Name: "contoso.partner.onmschina.cn", Initial: true}, {Name: "contoso.com"}, {Name: "example.co.uk"}, {Name: "co.uk"}},
		ServiceHosts: []string{"partner.outlook.cn"},
	}
	for spn, ok := range map[string]bool{
		app:                                                     true,
		app + "/mail2.contoso.com":                              true,
		app + "/contoso.com":                                    true,
		app + "/Autodiscover.Contoso.com":                       true,
		app + "/*.contoso.com":                                  true,
		app + "/mail.contoso.com:8443":                          true,
		app + "/partner.outlook.cn":                             true,
		app + "/m\u00fcnchen.contoso.com":                       true,
		"https://mail.contoso.com/":                             true,
		app + "/*.outlook.cn":                                   false,
		app + "/*.co.uk":                                        false,
		app + "/litware.com":                                    false,
		app + "/evilcontoso.com":                                false,
		app + "/contoso.com.evil.test":                          false,
		app + "/m\u0430il.contoso.com":                          false,
		app + "/xn--mil-7cd.contoso.com":                        false, // the same in A-label form
		app + "/mail.*.contoso.com":                             false,
		"https://mail.contoso.com/owa":                          false,
		"00000004-0000-0ff1-ce00-000000000000":                  false, // another application
		"00000004-0000-0ff1-ce00-000000000000/mail.contoso.com": false,
	} {
		if _, err := realm.CheckSPN(app, spn); (err == nil) != ok || err != nil && !errors.Is(err, directory.ErrSPN) {
			t.Errorf("%q: %v", spn, err)
		}
	}
}
