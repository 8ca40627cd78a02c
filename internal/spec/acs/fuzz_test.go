package acs_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/spec/acs"
)

// What is written of a request that was read reads as the same request.
func FuzzParseTokenRequest(f *testing.F) {
	for _, s := range []string{
		acs.TokenRequest{GrantType: acs.GrantJWTBearer, Assertion: "a.b.c", Resource: "p/h@t", Realm: "t"}.Encode(),
		"grant_type=x&assertion=%00&scope=p%2Fh%40t", "resource=a&resource=b", "assertion=%zz", "realm=\xff", "grant_type=" + strings.Repeat("a", 20<<10),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		form, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		r, err := acs.ParseTokenRequest(form)
		if err != nil {
			return
		}
		again, err := url.ParseQuery(r.Encode())
		if err != nil {
			t.Fatal(err)
		}
		got, err := acs.ParseTokenRequest(again)
		if d := cmp.Diff(r, got); err != nil || d != "" {
			t.Fatalf("%v %s", err, d)
		}
	})
}

// A name that is read has no second reading: it is written as it came, and no
// other kind of name is written like it.
func FuzzParseNames(f *testing.F) {
	for _, s := range []string{"p@t", "p/h@t", "p/h:443@t", "p@t@u", "p/h/i@t", "/h@t", "p/@t", "p/h@", "p@*", "p /h@t", "p/\x00@t", "p/mаil@t", "https://h/@t"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := acs.ParsePrincipalName(s)
		if err == nil && (p.String() != s || strings.ContainsAny(s, "/,\" \r\n") || strings.Count(s, "@") != 1) {
			t.Fatalf("%q is read as %+v", s, p)
		}
		a, err2 := acs.ParseAudience(s)
		if err2 == nil && (a.String() != s || err == nil || strings.Count(s, "@") != 1 || strings.Count(s, "/") != 1) {
			t.Fatalf("%q is read as %+v", s, a)
		}
		if err2 == nil && !acs.SameHost(a.Host, strings.ToUpper(a.Host)) && a.Host != ":443" {
			t.Fatalf("%q is another host in upper case", a.Host)
		}
	})
}

// What is written reads the same, and is one line of a header.
func FuzzParseDiagnostics(f *testing.F) {
	for _, s := range []string{`2000005;reason="The user does not exist.";error_category="invalid_user"`, `2000000; reason="x"; error_type="y"`,
		`1;reason="`, `-1;`, `99999999999999999999;`, "2000001;reason=\"a\r\nb\"", `2;x="y";reason="z"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := acs.ParseDiagnostics(s)
		if err != nil {
			return
		}
		text := d.String()
		if strings.ContainsAny(text, "\r\n\x00") || len(text) > 1200 {
			t.Fatalf("%q is written as %q", s, text)
		}
		again, err := acs.ParseDiagnostics(text)
		if err != nil || again.String() != text {
			t.Fatalf("%q is written as %q and then %q: %v", s, text, again, err)
		}
	})
}
