package lab

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/oidc"
	"busybridge/internal/spec/wintz"
)

// TestAttacksOnEntra is TestAttacks for the tokens of applications and users
// (kinds E and F of oauth-s2s reference 4.4), and for the endpoint that issues
// them: edition 2025.
func TestAttacksOnEntra(t *testing.T) {
	s := newScene(t, Edition2025)
	attackEntra(t, s, slices.Concat(entraAttacks(), confusions(), premisesAttacks()))
	t.Run("a token of the authority, before and after consent is withdrawn", func(t *testing.T) { consent(t, s) })
	s.leavesNothing(t)
}

// TestAttacksWhereEWSIsClosed is the same for edition 2026. There a token that is
// in order is answered 403 by the cloud, and all others as they were: what is
// closed is no way to find out more.
func TestAttacksWhereEWSIsClosed(t *testing.T) {
	s := newScene(t, Edition2026)
	s.closed = true
	attackEntra(t, s, slices.Concat(entraAttacks(), confusions(), premisesAttacks()))
	t.Run("who may enter, as the organization says", func(t *testing.T) { allowList(t, s) })
	s.leavesNothing(t)
}

func attackEntra(t *testing.T, s *scene, attacks []attack) {
	s.app = s.application(t)
	s.bound = s.measure(t)
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) { s.run(t, a) })
	}
	for _, a := range slices.Concat(appAttacks(), assertionAttacks()) {
		t.Run(a.name, func(t *testing.T) { s.runGrant(t, a) })
	}
}

// leavesNothing is what every suite ends with.
func (s *scene) leavesNothing(t *testing.T) {
	t.Run("nothing is fetched from where a token says", func(t *testing.T) {
		if n := s.caught.Load(); n > 0 || strings.Contains(s.logs.String(), trapPath) {
			t.Errorf("%d connections to the address that tokens name", n)
		}
	})
	t.Run("no log and no audit record holds a secret", func(t *testing.T) {
		s.leaks(t, "the log", s.logs.String())
		s.leaks(t, "the audit", s.auditText(t))
	})
}

// allowList opens closed Exchange Web Services to one application after the other.
func allowList(t *testing.T, s *scene) {
	s.t, s.closed = t, false
	defer func() { s.closed = true }()
	denied := want{status: http.StatusForbidden}
	present := func(name string, b *bearer, w want) {
		t.Helper()
		s.expect(t, name, s.send(t, b), w)
	}
	set := func(enabled *bool, ids ...string) {
		s.change(t, cloud, s.hosted, func(o *directory.Organization) {
			o.AvailabilityConfig.EWS = directory.EWSAccess{Enabled: enabled, AllowedAppIDs: ids}
		})
	}
	defer set(nil)
	present("nobody is named", s.entraBearer(), denied)
	set(nil, s.app)
	present("named, but not enabled", s.entraBearer(), denied)
	set(new(true), thirdApp)
	present("another one is named", s.entraBearer(), denied)
	present("another one is named: of a user", s.userBearer(), denied)
	set(new(true), s.app, directory.ExchangeAppID)
	present("named", s.entraBearer(), accepted)
	present("named: of a user", s.userBearer(), accepted)
	present("the shared principal, named", s.bearerFor(s.Lab.cloud.EWSHost), denied)
	b := s.entraBearer()
	b.actor.claims.set("roles", []string{"Mail.Read"})
	present("named, without the role", b, refused(2000008))
	set(new(false), s.app)
	present("closed to everybody", s.entraBearer(), denied)
	kim, ok := s.file.Mailbox("kim@" + domain)
	if !ok {
		t.Fatal("no kim")
	}
	b = s.userBearer()
	b.auth = []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(kim.User+":"+kim.Password))}
	present("closed to everybody: kim herself", b, denied)
	set(nil)
	present("kim herself", b, accepted)
}

// application is the app id that contoso has of its own in its tenant.
func (s *scene) application(t testing.TB) string {
	t.Helper()
	org, err := s.deployments[onprem].Store.Organization(t.Context(), s.premises)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range org.AuthServers {
		if a.ApplicationIdentifier != "" {
			return a.ApplicationIdentifier
		}
	}
	t.Fatal("no authorization server has an application")
	return ""
}

func (s *scene) issuerV2(tenant string) string {
	return "https://" + s.Lab.cloud.LoginHosts[0] + "/" + tenant + "/v2.0"
}

func (s *scene) issuer(tenant string) string { return s.Lab.cloud.V1IssuerBase + tenant + "/" }

// impersonating asks for kim's free/busy as somebody else.
func (s *scene) impersonating(who string) []byte { return s.questionAs(who, "kim@"+domain) }

// questionAs asks for one mailbox's free/busy as somebody, "" for nobody else.
func (s *scene) questionAs(who, about string) []byte {
	w := s.nextWeek()
	zone := wintz.UTCRule
	h := ews.Header{Version: "Exchange2013_SP1"}
	if who != "" {
		h.Impersonate = &ews.ConnectingSID{Kind: "PrimarySmtpAddress", Value: who}
	}
	return ews.AppendGetUserAvailabilityRequest(nil, &ews.AvailabilityRequest{
		Header: h, Zone: &zone, Mailboxes: []ews.MailboxData{{Address: about, AttendeeType: "Required"}},
		FreeBusy: &ews.FreeBusyOptions{Start: ews.DateTime{Time: w.Start}, End: ews.DateTime{Time: w.End}, IntervalMinutes: 30,
			Views: []string{freebusy.ViewFreeBusyMerged.String()}},
	})
}

// entraBearer is a token of contoso's own application for the cloud, which asks
// for alice.
func (s *scene) entraBearer() *bearer {
	b := s.bearerFor(s.Lab.cloud.EWSHost)
	now := s.now()
	b.appOnly()
	b.body = s.impersonating("alice@" + domain)
	b.actor.claims = jsonObject{
		{"aud", "https://" + s.Lab.cloud.EWSHost}, {"iss", s.issuer(s.tenant)}, {"iat", now.Unix()}, {"nbf", now.Unix()}, {"exp", now.Add(24 * time.Hour).Unix()},
		{"app_displayname", "ExchangeServerApp"}, {"appid", s.app}, {"appidacr", "2"}, {"idp", s.issuer(s.tenant)}, {"idtyp", "app"},
		{"oid", "a1b2c3d4-0007-4000-8000-00000000e0a1"}, {"roles", []string{"full_access_as_app"}}, {"sub", "a1b2c3d4-0007-4000-8000-00000000e0a1"},
		{"tid", s.tenant}, {"uti", rand.Text()}, {"ver", "1.0"},
	}
	return b
}

// userBearer is a token of kim, to whom an application signed in.
func (s *scene) userBearer() *bearer {
	b := s.entraBearer()
	b.body = s.impersonating("")
	b.actor.claims.del("roles")
	b.actor.claims.del("idtyp")
	b.actor.claims.set("scp", "EWS.AccessAsUser.All openid")
	b.actor.claims.set("upn", "kim@"+domain)
	return b
}

// inVersion2 makes a token of version 1 one of version 2.
func (s *scene) inVersion2(f *forged) {
	f.header = jsonObject{{"typ", "JWT"}, {"alg", "RS256"}, {"kid", s.authority.x5t()}}
	for _, name := range []string{"appid", "appidacr", "app_displayname", "idp"} {
		f.claims.del(name)
	}
	f.claims.set("iss", s.issuerV2(s.tenant))
	f.claims.set("azp", s.app)
	f.claims.set("azpacr", "2")
	f.claims.set("ver", "2.0")
}

func set(name string, w want, claim string, v func(*scene) any) try {
	return actor(name, w, func(s *scene, f *forged) {
		if x := v(s); x != nil {
			f.claims.set(claim, x)
		} else {
			f.claims.del(claim)
		}
	})
}

func is(v any) func(*scene) any { return func(*scene) any { return v } }

func entraAttacks() []attack {
	start := (*scene).entraBearer
	aud := func(name string, w want, v any) try { return set("audience: "+name, w, "aud", is(v)) }
	return []attack{
		{name: "E: algorithms", start: start, tries: []try{
			actor("none", refused(2000001), func(_ *scene, f *forged) { f.header.set("alg", "none"); f.key = nil }),
			actor("none with a signature", refused(2000001), func(_ *scene, f *forged) { f.header.set("alg", "none") }),
			hmacWith("the certificate", func(s *scene) []byte { return s.authority.der }),
			hmacWith("the modulus", func(s *scene) []byte { return s.authority.key.N.Bytes() }),
			otherAlgorithm("RS384", func(s *scene, in string) []byte { return rs(s.authority, crypto.SHA384)(in) }),
			otherAlgorithm("RS512", func(s *scene, in string) []byte { return rs(s.authority, crypto.SHA512)(in) }),
			otherAlgorithm("PS256", pss), otherAlgorithm("ES256", es256),
			actor("no signature", refused(2000000), func(_ *scene, f *forged) { f.key = nil }),
		}},
		{name: "E: keys", start: start, tries: append([]try{
			signedBy("the application's own", refused(2000000), func(s *scene) (*signingKey, *signingKey) { return s.org, s.org }),
			signedBy("the cloud's", refused(2000000), func(s *scene) (*signingKey, *signingKey) { return s.cloudOrg, s.cloudOrg }),
			signedBy("nobody's, with the authority's x5t", refused(2000000), func(s *scene) (*signingKey, *signingKey) { return s.nobody, s.authority }),
			actor("x5t and kid disagree, the key is the kid's", refused(2000000), func(s *scene, f *forged) {
				f.header.set("x5t", s.nobody.x5t())
				f.header.set("kid", s.authority.x5t())
			}),
			actor("x5t and kid disagree, the key is the x5t's", accepted, func(s *scene, f *forged) { f.header.set("kid", s.nobody.x5t()) }),
			actor("only a kid", accepted, func(_ *scene, f *forged) { f.header.del("x5t") }),
			actor("only a kid of nobody", refused(2000000), func(s *scene, f *forged) {
				f.header.del("x5t")
				f.header.set("kid", s.nobody.x5t())
				f.key = s.nobody
			}),
			actor("neither", refused(2000000), func(_ *scene, f *forged) { f.header.del("x5t"); f.header.del("kid") }),
		}, keyLocations()...)},
		{name: "E: issuer and tenant", start: start, tries: []try{
			set("another tenant's issuer", refused(2000009), "iss", func(s *scene) any { return s.issuer(s.other) }),
			set("another tenant's tid", refused(2000009), "tid", func(s *scene) any { return s.other }),
			actor("another tenant", refused(2000009), func(s *scene, f *forged) {
				f.claims.set("iss", s.issuer(s.other))
				f.claims.set("tid", s.other)
			}),
			set("no tid", refused(2000009), "tid", is(nil)),
			set("a list as tid", refused(2000009), "tid", func(s *scene) any { return []string{s.tenant} }),
			set("upper-case tid", refused(2000009), "tid", func(s *scene) any { return strings.ToUpper(s.tenant) }),
			set("no slash at the end", refused(2000009), "iss", func(s *scene) any { return strings.TrimSuffix(s.issuer(s.tenant), "/") }),
			set("two slashes at the end", refused(2000009), "iss", func(s *scene) any { return s.issuer(s.tenant) + "/" }),
			set("by http", refused(2000009), "iss", func(s *scene) any { return strings.Replace(s.issuer(s.tenant), "https", "http", 1) }),
			set("another host", refused(2000009), "iss", func(s *scene) any { return "https://" + evilHost + "/" + s.tenant + "/" }),
			set("another cloud", refused(2000009), "iss", func(s *scene) any { return "https://sts.windows.net/" + s.tenant + "/" }),
			set("a host before it", refused(2000009), "iss", func(s *scene) any { return "https://" + evilHost + "/" + s.issuer(s.tenant) }),
			set("user information", refused(2000009), "iss", func(s *scene) any { return strings.Replace(s.issuer(s.tenant), "https://", "https://a@", 1) }),
			set("the template", refused(2000009), "iss", func(s *scene) any { return s.issuer("{tenantid}") }),
			set("the principal name of the authority in another tenant", refused(2000003), "iss", func(s *scene) any { return s.acs + "@" + s.other }),
			set("version 2 by its issuer only", refused(2000009), "iss", func(s *scene) any { return s.issuerV2(s.tenant) }),
			set("version 2 of another tenant", refused(2000009), "iss", func(s *scene) any { return "https://" + s.Lab.cloud.LoginHosts[0] + "/" + s.other + "/v2.0" }),
		}},
		{name: "E: audience", start: start, tries: []try{
			aud("on premises", refused(2000003), "https://"+mailHost), aud("http", refused(2000003), "http://partner.outlook.cn"),
			aud("a path", refused(2000003), "https://partner.outlook.cn/EWS/Exchange.asmx"), aud("a query", refused(2000003), "https://partner.outlook.cn/?x"),
			aud("a fragment", refused(2000003), "https://partner.outlook.cn/#x"), aud("user information", refused(2000003), "https://x@partner.outlook.cn/"),
			aud("a list", refused(2000003), []string{"https://partner.outlook.cn"}), aud("the id", refused(2000003), directory.ExchangeAppID),
			aud("a sibling", refused(2000003), "https://autodiscover-s.partner.outlook.cn"), aud("a suffix", refused(2000003), "https://partner.outlook.cn.evil.test"),
			aud("a prefix", refused(2000003), "https://evilpartner.outlook.cn"), aud("trailing dot", refused(2000003), "https://partner.outlook.cn."),
			aud("another port", refused(2000003), "https://partner.outlook.cn:444"), aud("Graph", refused(2000003), "https://microsoftgraph.chinacloudapi.cn"),
			aud("a look-alike", refused(2000003), "https://pаrtner.outlook.cn"), aud("nothing", refused(2000003), nil), aud("empty", refused(2000003), ""),
			aud("a backslash", refused(2000003), `https://evil.test\@partner.outlook.cn`),
			aud("an S2S audience", refused(2000003), directory.ExchangeAppID+"/partner.outlook.cn@"+domain),
			aud("a slash", accepted, "https://partner.outlook.cn/"), aud("upper case", accepted, "https://PARTNER.outlook.cn"), aud("the default port", accepted, "https://partner.outlook.cn:443/"),
		}},
		{name: "E: application", start: start, tries: []try{
			set("none", refused(2000006), "appid", is(nil)), set("a list", refused(2000006), "appid", is([]string{thirdApp})),
			set("no GUID", refused(2000006), "appid", is("https://contoso.com/app")),
			set("a public client", refused(2000006), "appidacr", is("0")), set("no proof", refused(2000006), "appidacr", is(nil)), set("a number", refused(2000006), "appidacr", is(2)),
			set("the shared principal", want{status: http.StatusForbidden}, "appid", is(directory.ExchangeAppID)),
		}},
		{name: "E: roles", start: start, tries: []try{
			set("none", refused(2000008), "roles", is(nil)), set("an empty list", refused(2000008), "roles", is([]string{})),
			set("a text", refused(2000008), "roles", is("full_access_as_app")), set("others", refused(2000008), "roles", is([]string{"Mail.Read", "full_access"})),
			set("another letter case", refused(2000008), "roles", is([]string{"Full_Access_As_App"})), set("a space", refused(2000008), "roles", is([]string{"full_access_as_app "})),
			set("within", refused(2000008), "roles", is([][]string{{"full_access_as_app"}})), set("an object", refused(2000008), "roles", is(map[string]bool{"full_access_as_app": true})),
			actor("by another name", refused(2000008), func(_ *scene, f *forged) { f.claims.del("roles"); f.claims.add("role", []string{"full_access_as_app"}) }),
			set("among others", accepted, "roles", is([]string{"Calendars.Read", "full_access_as_app"})),
		}},
		{name: "E: times", start: start, tries: []try{
			times("ended 4:59 ago", accepted, -time.Hour, -5*time.Minute+time.Second), times("ended 5:00 ago", refused(2000002), -time.Hour, -5*time.Minute),
			times("begins in 5:00", accepted, 5*time.Minute, time.Hour), times("begins in 5:01", refused(2000002), 5*time.Minute+time.Second, time.Hour),
			times("ten years", refused(2000002), 0, 87600*time.Hour), rawTime("absent", refused(2000002), ""), rawTime("1e300", refused(2000002), "1e300"),
		}},
		{name: "E: JSON that readers disagree about", start: start, tries: jsonTricks("token", actor)},
		{name: "E: other kinds around it and in its place", start: start, tries: []try{
			{"in an outer token", func(s *scene, b *bearer) {
				b.outer = s.bearerFor(s.Lab.cloud.EWSHost).outer
			}, refused(2000009)},
			{"in an outer token of its own claims", func(_ *scene, b *bearer) {
				b.outer = &forged{header: jsonObject{{"typ", "JWT"}, {"alg", "none"}}, claims: b.actor.claims}
			}, refused(2000009)},
			actor("with an actor token in it", refused(2000001), func(s *scene, f *forged) { f.claims.add("actortoken", s.actorFor(s.Lab.cloud.EWSHost).String()) }),
			{"the shared principal's actor token", func(s *scene, b *bearer) { b.actor = s.actorFor(s.Lab.cloud.EWSHost) }, want{status: http.StatusForbidden}},
			{"the shared principal acts for alice", func(s *scene, b *bearer) { *b = *s.bearerFor(s.Lab.cloud.EWSHost) }, want{status: http.StatusForbidden}},
			{"at on premises, where the application is no partner", func(_ *scene, b *bearer) {
				b.host = mailHost
				b.actor.claims.set("aud", "https://"+mailHost)
			}, refused(2000006)},
			{"the client assertion", func(s *scene, b *bearer) { b.actor = s.appAssertion(oidc.V1) }, refused(2000009)},
		}},
		{name: "E: impersonation", start: start, tries: []try{
			{"of another tenant's user", func(s *scene, b *bearer) { b.body = s.impersonating("uma@" + otherDomain) }, want{status: http.StatusInternalServerError, fault: "ErrorNonExistentMailbox"}},
			{"of nobody", func(s *scene, b *bearer) { b.body = s.impersonating("nobody@" + domain) }, want{status: http.StatusInternalServerError, fault: "ErrorNonExistentMailbox"}},
		}},
		{name: "E: AuthServer disabled", start: start, with: atHosted(func(s *scene, o *directory.Organization) {
			for i := range o.AuthServers {
				o.AuthServers[i].Enabled = o.AuthServers[i].Type != directory.AuthServerAzureAD
			}
		}), tries: []try{{"the token", same, refused(2000009)}}},
		{name: "E: application disabled", start: start, with: atHosted(func(s *scene, o *directory.Organization) {
			o.PartnerApplications = append(o.PartnerApplications, directory.PartnerApplication{
				Common: directory.Common{Name: "own"}, ApplicationIdentifier: s.app, UseAuthServer: true})
		}), tries: []try{{"the token", same, refused(2000006)}}},
		{name: "E: known, then the AuthServer's keys go", start: start, tries: after("again", refused(2000000), func(s *scene) {
			s.change(s.t, cloud, s.hosted, func(o *directory.Organization) {
				for i := range o.AuthServers {
					o.AuthServers[i].CertificateStrings = []string{s.nobody.base64()}
				}
			})
		})},
		{name: "F: tokens of users", start: (*scene).userBearer, tries: []try{
			set("no scope for EWS", refused(2000008), "scp", is("openid profile Mail.Read")), set("part of a scope", refused(2000008), "scp", is("EWS.AccessAsUser")),
			set("a list of scopes", refused(2000008), "scp", is([]string{"EWS.AccessAsUser.All"})),
			set("a mail user", refused(2000005), "upn", is("alice@"+domain)), set("another tenant's user", refused(2000005), "upn", is("uma@"+otherDomain)),
			set("nobody", refused(2000005), "upn", is("nobody@"+domain)), set("no user", refused(2000005), "upn", is(nil)),
			set("another tenant", refused(2000009), "tid", func(s *scene) any { return s.other }),
			set("a public client", accepted, "appidacr", is("0")),
			{"impersonates", func(s *scene, b *bearer) { b.body = s.impersonating("lee@" + domain) }, want{status: http.StatusInternalServerError, fault: "ErrorImpersonateUserDenied"}},
			actor("with the role of an application", accepted, func(_ *scene, f *forged) { f.claims.add("roles", []string{"full_access_as_app"}) }),
			{"with the role of an application, impersonates", func(s *scene, b *bearer) {
				b.actor.claims.add("roles", []string{"full_access_as_app"})
				b.body = s.impersonating("lee@" + domain)
			}, want{status: http.StatusInternalServerError, fault: "ErrorImpersonateUserDenied"}},
		}},
	}
}

// confusions are genuine parts of one kind of token in another.
func confusions() []attack {
	start := (*scene).entraBearer
	start2 := func(s *scene) *bearer {
		b := s.entraBearer()
		s.inVersion2(b.actor)
		return b
	}
	no := refused(2000001)
	idToken := func(change func(*scene, *forged)) func(*scene, *forged) {
		return func(s *scene, f *forged) {
			for _, name := range []string{"appid", "appidacr", "app_displayname", "idtyp", "roles"} {
				f.claims.del(name)
			}
			f.claims.set("aud", s.app)
			for _, m := range []member{{"nonce", "n-0S6_WzA2Mj"}, {"at_hash", "77QmUPtjPfzWtF2AnpK9RQ"}, {"upn", "kim@" + domain}, {"email", "kim@" + domain},
				{"preferred_username", "kim@" + domain}, {"roles", []string{"full_access_as_app"}}} {
				f.claims.set(m.name, m.value)
			}
			f.claims.set("sub", "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ")
			if change != nil {
				change(s, f)
			}
		}
	}
	forResource := func(_ *scene, f *forged) { f.claims.set("aud", "https://partner.outlook.cn") }
	return []attack{
		{name: "E: versions", start: start, tries: []try{
			set("no version", refused(2000009), "ver", is(nil)), set("version 2 in a token of version 1", refused(2000009), "ver", is("2.0")),
			set("version 3", refused(2000009), "ver", is("3.0")), set("a number", refused(2000009), "ver", is(json.RawMessage("1.0"))),
			actor("all of version 2", accepted, func(s *scene, f *forged) { s.inVersion2(f) }),
			actor("azp beside appid", accepted, func(_ *scene, f *forged) { f.claims.add("azp", thirdApp) }),
			actor("azp in place of appid", refused(2000006), func(s *scene, f *forged) {
				f.claims.del("appid")
				f.claims.add("azp", s.app)
			}),
			actor("azpacr in place of appidacr", refused(2000006), func(_ *scene, f *forged) {
				f.claims.del("appidacr")
				f.claims.add("azpacr", "2")
			}),
		}},
		{name: "E: version 2", start: start2, tries: []try{
			set("version 1", refused(2000009), "ver", is("1.0")), set("the issuer of version 1", refused(2000009), "iss", func(s *scene) any { return s.issuer(s.tenant) }),
			set("the template of common", refused(2000009), "iss", func(s *scene) any { return s.issuerV2("{tenantid}") }),
			set("common", refused(2000009), "iss", func(s *scene) any { return s.issuerV2("common") }),
			set("another login host's", refused(2000009), "iss", func(s *scene) any { return "https://login.microsoftonline.com/" + s.tenant + "/v2.0" }),
			set("no application", refused(2000006), "azp", is(nil)), set("a public client", refused(2000006), "azpacr", is("0")),
			actor("appid in place of azp", refused(2000006), func(s *scene, f *forged) {
				f.claims.del("azp")
				f.claims.add("appid", s.app)
			}),
			actor("appid of another beside azp", accepted, func(_ *scene, f *forged) { f.claims.add("appid", directory.ExchangeAppID) }),
			actor("the shared principal as azp, ours as appid", want{status: http.StatusForbidden}, func(s *scene, f *forged) {
				f.claims.set("azp", directory.ExchangeAppID)
				f.claims.add("appid", s.app)
			}),
			set("the id as audience", refused(2000003), "aud", is(directory.ExchangeAppID)),
		}},
		{name: "E F: what kind of token it is", start: start, tries: []try{
			set("a user's", no, "idtyp", is("user")), set("another letter case", no, "idtyp", is("App")), set("a list", no, "idtyp", is([]string{"app"})), set("a device's", no, "idtyp", is("device")),
			set("empty", no, "idtyp", is("")), set("not said, about itself", accepted, "idtyp", is(nil)),
			actor("not said, about a user", no, func(_ *scene, f *forged) {
				f.claims.del("idtyp")
				f.claims.set("sub", "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ")
				f.claims.add("upn", "kim@"+domain)
			}),
			actor("not said, about nothing", no, func(_ *scene, f *forged) {
				for _, name := range []string{"idtyp", "oid", "sub"} {
					f.claims.del(name)
				}
			}),
			actor("an application's with a scope", no, func(_ *scene, f *forged) {
				f.claims.add("scp", "EWS.AccessAsUser.All")
				f.claims.add("upn", "kim@"+domain)
			}),
			actor("a user's with a scope and roles", refused(2000005), func(_ *scene, f *forged) {
				f.claims.set("idtyp", "user")
				f.claims.add("scp", "EWS.AccessAsUser.All")
				f.claims.add("upn", "alice@"+domain) // no mailbox of the cloud
			}),
			actor("roles in another claim", refused(2000008), func(_ *scene, f *forged) {
				f.claims.del("roles")
				f.claims.add("wids", []string{"full_access_as_app"})
			}),
			set("the id of the role", refused(2000008), "roles", is([]string{directory.RoleFullAccessAsApp.ID})),
		}},
		{name: "E F: ID tokens", start: start, tries: []try{
			actor("of the application", refused(2000003), idToken(nil)),
			actor("for this server", refused(2000006), idToken(forResource)),
			actor("with an application", no, idToken(func(s *scene, f *forged) {
				forResource(s, f)
				f.claims.add("appid", s.app)
			})),
			actor("with an application that proved itself", no, idToken(func(s *scene, f *forged) {
				forResource(s, f)
				f.claims.add("appid", s.app)
				f.claims.add("appidacr", "2")
			})),
			actor("of version 2", refused(2000003), idToken(func(s *scene, f *forged) {
				s.inVersion2(f)
				f.claims.set("aud", s.app)
			})),
		}},
		{name: "A11 A12: the keys are common to all tenants", start: start, tries: []try{
			actor("a tenant without AuthServer of Entra", refused(2000009), func(s *scene, f *forged) {
				f.claims.set("iss", s.issuer(s.other))
				f.claims.set("tid", s.other)
			}),
			actor("the same in version 2", refused(2000009), func(s *scene, f *forged) {
				s.inVersion2(f)
				f.claims.set("iss", s.issuerV2(s.other))
				f.claims.set("tid", s.other)
			}),
			actor("no tenant at all", refused(2000009), func(_ *scene, f *forged) {
				f.claims.set("iss", "https://sts.chinacloudapi.cn/")
				f.claims.del("tid")
			}),
			{"claims of ACS in an issuer of Entra", func(s *scene, b *bearer) {
				b.actor = s.actorFor(s.Lab.cloud.EWSHost)
				b.actor.claims.set("iss", s.issuer(s.tenant))
			}, refused(2000009)},
			{"claims of Entra in an issuer of ACS", func(s *scene, b *bearer) { b.actor.claims.set("iss", s.acs+"@"+s.tenant) }, refused(2000003)},
			{"claims of Entra, issuer and audience of ACS", func(s *scene, b *bearer) {
				b.actor.claims.set("iss", s.acs+"@"+s.tenant)
				b.actor.claims.set("aud", directory.ExchangeAppID+"/"+s.Lab.cloud.EWSHost+"@"+s.tenant)
			}, refused(2000006)},
		}},
		{name: "A11 A12: another tenant of the cloud trusts Entra, too", start: start, with: func(t *testing.T, s *scene) {
			s.change(t, cloud, s.hosted2, func(o *directory.Organization) {
				o.AuthServers = append(o.AuthServers, directory.AuthServer{
					Common: directory.Common{Name: "EvoSTS"}, Type: directory.AuthServerAzureAD, Enabled: true, IssuerIdentifier: s.issuer(s.other), Realm: s.other,
					TokenIssuingEndpoint: "https://" + s.Lab.cloud.LoginHosts[0] + "/common/oauth2/token", CertificateStrings: []string{s.authority.base64()},
				})
			})
		}, tries: []try{
			actor("the issuer of one, the tenant of the other", refused(2000009), func(s *scene, f *forged) { f.claims.set("iss", s.issuer(s.other)) }),
			actor("the tenant of one, the issuer of the other", refused(2000009), func(s *scene, f *forged) { f.claims.set("tid", s.other) }),
			{"its token for a user of ours", func(s *scene, b *bearer) {
				b.actor.claims.set("iss", s.issuer(s.other))
				b.actor.claims.set("tid", s.other)
			}, want{status: http.StatusInternalServerError, fault: "ErrorNonExistentMailbox"}},
			{"its user's token, with our user", func(s *scene, b *bearer) {
				*b = *s.userBearer()
				b.actor.claims.set("iss", s.issuer(s.other))
				b.actor.claims.set("tid", s.other)
			}, refused(2000005)},
		}},
	}
}

// premisesAttacks are tokens of Entra at an organization on premises, where the
// application has to be a partner, and the actor tokens of 2014 that it takes
// still.
func premisesAttacks() []attack {
	start := func(s *scene) *bearer {
		b := s.entraBearer()
		b.host = mailHost
		b.actor.claims.set("aud", "https://"+mailHost)
		b.actor.claims.set("appid", directory.ExchangeAppID)
		b.body = s.questionAs("bob@"+domain, "alice@"+domain)
		return b
	}
	atPremises := func(fn func(*scene, *directory.Organization)) func(*testing.T, *scene) {
		return func(t *testing.T, s *scene) {
			s.change(t, onprem, s.premises, func(o *directory.Organization) { fn(s, o) })
		}
	}
	return []attack{
		{name: "E: on premises", start: start, tries: []try{
			set("an application that is no partner", refused(2000006), "appid", func(s *scene) any { return s.app }),
			set("the cloud's audience", refused(2000003), "aud", is("https://partner.outlook.cn")), set("a sibling's", refused(2000003), "aud", is("https://"+mail2Host)),
			actor("another tenant", refused(2000009), func(s *scene, f *forged) {
				f.claims.set("iss", s.issuer(s.other))
				f.claims.set("tid", s.other)
			}),
			set("the tenant by its domain", refused(2000009), "tid", is(domain)),
			set("no role", refused(2000008), "roles", is(nil)), set("a user's", refused(2000001), "idtyp", is("user")),
			signedBy("a partner that is trusted directly", refused(2000000), func(s *scene) (*signingKey, *signingKey) { return s.partner, s.partner }),
			actor("issued by the partner", refused(2000009), func(s *scene, f *forged) {
				f.key = s.partner
				f.header.set("x5t", s.partner.x5t())
				f.claims.set("iss", "https://"+partnerRealm+"/")
			}),
		}},
		{name: "A33: on premises, the partner application is disabled", start: start, with: atPremises(func(_ *scene, o *directory.Organization) {
			for i := range o.PartnerApplications {
				o.PartnerApplications[i].Enabled = o.PartnerApplications[i].Name != exchangeName
			}
		}), tries: []try{{"the token", same, refused(2000006)}}},
		{name: "A33: on premises, the partner application is of another tenant", start: start, with: atPremises(func(s *scene, o *directory.Organization) {
			for i := range o.PartnerApplications {
				if p := &o.PartnerApplications[i]; p.Name == exchangeName {
					p.Realm = s.other
				}
			}
		}), tries: []try{{"the token", same, refused(2000006)}}},
		{name: "A13: on premises, the AuthServer of Entra is disabled", start: start, with: atPremises(func(_ *scene, o *directory.Organization) {
			for i := range o.AuthServers {
				o.AuthServers[i].Enabled = o.AuthServers[i].Type != directory.AuthServerAzureAD
			}
		}), tries: []try{{"the token", same, refused(2000009)}}},
		{name: "A10 A14: actor tokens of 2014 on premises", tries: []try{
			{"tenant swap", func(s *scene, b *bearer) {
				b.outer.claims.set("iss", directory.ExchangeAppID+"@"+s.other)
				b.aud(directory.ExchangeAppID + "/" + mailHost + "@" + s.tenant)
			}, refused(2000004)},
			signedBy("the application's own key", refused(2000000), func(s *scene) (*signingKey, *signingKey) { return s.org, s.org }),
			{"contoso's application as the actor", func(s *scene, b *bearer) {
				b.actor.claims.set("nameid", s.app+"@"+s.tenant)
				b.outer.claims.set("iss", s.app+"@"+s.tenant)
			}, refused(2000006)},
			{"a token of Entra as the actor", func(s *scene, b *bearer) { b.actor = start(s).actor }, refused(2000009)},
		}},
	}
}

// atHosted changes contoso in the cloud for the time of an attack.
func atHosted(fn func(*scene, *directory.Organization)) func(*testing.T, *scene) {
	return func(t *testing.T, s *scene) {
		s.change(t, cloud, s.hosted, func(o *directory.Organization) { fn(s, o) })
	}
}

// appAssertion is how contoso's application proves who it is.
func (s *scene) appAssertion(v oidc.Version) *forged {
	now := s.now()
	return &forged{
		header: jsonObject{{"typ", "JWT"}, {"alg", "RS256"}, {"x5t", s.org.x5t()}},
		claims: jsonObject{{"aud", "https://" + s.Lab.cloud.LoginHosts[0] + v.TokenPath(s.tenant)}, {"iss", s.app}, {"sub", s.app}, {"jti", rand.Text()},
			{"nbf", now.Unix()}, {"iat", now.Unix()}, {"exp", now.Add(5 * time.Minute).Unix()}},
		key: s.org,
	}
}

// appGrant asks for a token of contoso's application for the cloud.
func (s *scene) appGrant(v oidc.Version) *grantForm {
	form := url.Values{"grant_type": {oidc.GrantClientCredentials}, "client_id": {s.app}, "client_assertion_type": {oidc.AssertionTypeJWT}}
	if v == oidc.V2 {
		form.Set("scope", "https://"+s.Lab.cloud.EWSHost+"/.default")
	} else {
		form.Set("resource", "https://"+s.Lab.cloud.EWSHost)
	}
	return &grantForm{realm: s.tenant, path: strings.TrimPrefix(v.TokenPath("x"), "/x"), field: "client_assertion", host: s.Lab.cloud.LoginHosts[0],
		assertion: s.appAssertion(v), kind: "application/x-www-form-urlencoded", form: form}
}

func field(name string, w denied, key, value string) grantTry {
	return grantTry{name, func(_ *scene, g *grantForm) {
		if value == "" {
			g.form.Del(key)
		} else {
			g.form.Set(key, value)
		}
	}, w}
}

func appAttacks() []grantAttack {
	v1 := func(s *scene) *grantForm { return s.appGrant(oidc.V1) }
	v2 := func(s *scene) *grantForm { return s.appGrant(oidc.V2) }
	badProof := badClient(700027)
	scope := func(name string, w denied, v string) grantTry { return field("scope "+name, w, "scope", v) }
	target := func(name string, w denied, v string) grantTry { return field("resource "+name, w, "resource", v) }
	badScope := func(number int) denied { return denied{http.StatusBadRequest, "invalid_scope", number} }
	proof := []grantTry{
		assertion("none", badClient(50027), func(_ *scene, f *forged) { f.header.set("alg", "none"); f.key = nil }),
		assertion("HS256 with the certificate", badClient(50027), func(s *scene, f *forged) { f.header.set("alg", "HS256"); f.sign = hs(s.org.der) }),
		assertion("RS512", badClient(50027), func(s *scene, f *forged) { f.header.set("alg", "RS512") }),
		assertion("ES256", badClient(50027), func(s *scene, f *forged) {
			f.header.set("alg", "ES256")
			f.sign = func(in string) string { return b64(string(es256(s, in))) }
		}),
		assertion("PS256 with a signature of RS256", badProof, func(_ *scene, f *forged) { f.header.set("alg", "PS256") }),
		assertion("nobody's key", badProof, func(s *scene, f *forged) { f.key = s.nobody; f.header.set("x5t", s.nobody.x5t()) }),
		assertion("nobody's key, our x5t", badProof, func(s *scene, f *forged) { f.key = s.nobody }),
		assertion("the cloud's key, a credential of another principal", badProof, func(s *scene, f *forged) { f.key = s.cloudOrg; f.header.set("x5t", s.cloudOrg.x5t()) }),
		assertion("another tenant's key", badProof, func(s *scene, f *forged) { f.key = s.otherOrg; f.header.set("x5t", s.otherOrg.x5t()) }),
		assertion("no x5t", badProof, func(_ *scene, f *forged) { f.header.del("x5t") }),
		assertion("x5t and x5t#S256 of two certificates", badProof, func(s *scene, f *forged) { f.header.add("x5t#S256", sha256Of(s.nobody)) }),
		assertion("only the x5t#S256 of another", badProof, func(s *scene, f *forged) { f.header.del("x5t"); f.header.add("x5t#S256", sha256Of(s.nobody)) }),
		assertion("jwk and jku", badProof, func(s *scene, f *forged) {
			f.key = s.nobody
			f.header.set("x5t", s.nobody.x5t())
			f.header.add("jwk", map[string]string{"kty": "RSA", "e": "AQAB", "n": b64(string(s.nobody.key.N.Bytes()))})
			f.header.add("jku", s.trapURLs()[2])
			f.header.add("x5u", s.trapURLs()[0])
		}),
		assertion("only x5t#S256", denied{}, func(s *scene, f *forged) { f.header.del("x5t"); f.header.add("x5t#S256", sha256Of(s.org)) }),
		assertion("PS256", denied{}, func(s *scene, f *forged) {
			f.header.set("alg", "PS256")
			f.sign = func(in string) string {
				as := *s.org
				return b64(string(pss(&scene{authority: &as}, in)))
			}
		}),
		claim("another tenant's endpoint", badClient(700023), "aud", func(s *scene) any { return "https://" + s.Lab.cloud.LoginHosts[0] + oidc.V1.TokenPath(s.other) }),
		claim("by http", badClient(700023), "aud", func(s *scene) any { return "http://" + s.Lab.cloud.LoginHosts[0] + oidc.V1.TokenPath(s.tenant) }),
		claim("another host", badClient(700023), "aud", func(s *scene) any { return "https://" + evilHost + oidc.V1.TokenPath(s.tenant) }),
		claim("ACS", badClient(700023), "aud", func(s *scene) any { return s.acs + "/" + s.Lab.cloud.ACSHost + "@" + s.tenant }),
		claim("the resource", badClient(700023), "aud", func(s *scene) any { return "https://" + s.Lab.cloud.EWSHost }),
		claim("nobody", badClient(700023), "aud", is(nil)),
		claim("for a list", badClient(700023), "aud", func(s *scene) any {
			return []string{"https://" + s.Lab.cloud.LoginHosts[0] + oidc.V1.TokenPath(s.tenant)}
		}),
		claim("another subject", badClient(50027), "sub", is(directory.ExchangeAppID)), claim("no subject", badClient(50027), "sub", is(nil)),
		claim("another issuer", badClient(700021), "iss", is(directory.ExchangeAppID)), claim("no issuer", badClient(700021), "iss", is(nil)),
		claim("no end", badClient(700024), "exp", is(nil)), claim("a fraction", badClient(700024), "exp", is(json.RawMessage("1.5"))),
		assertion("ten years", badClient(700024), func(s *scene, f *forged) { f.valid(s, 0, 87600*time.Hour) }),
		assertion("ended 5:00 ago", badClient(700024), func(s *scene, f *forged) { f.valid(s, -10*time.Minute, -5*time.Minute) }),
		assertion("begins in 5:01", badClient(700024), func(s *scene, f *forged) { f.valid(s, 5*time.Minute+time.Second, 10*time.Minute) }),
		assertion("iss twice", malformed, func(_ *scene, f *forged) { f.claims.add("iss", "x") }),
		assertion("crit", malformed, func(_ *scene, f *forged) { f.header.add("crit", []string{"exp"}) }),
		field("client id of Exchange", badClient(700021), "client_id", directory.ExchangeAppID),
		field("no client id", badRequest(900144), "client_id", ""),
		field("another type of assertion", badRequest(90023), "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"),
		field("another grant", denied{http.StatusBadRequest, "unsupported_grant_type", 70003}, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
		{"a secret", func(_ *scene, g *grantForm) { g.assertion = nil; g.form.Set("client_secret", "a-secret-of-nobody") }, badClient(7000215)},
		{"no proof", func(_ *scene, g *grantForm) { g.assertion = nil }, badClient(7000216)},
		{"another tenant", func(s *scene, g *grantForm) { g.realm = s.other }, denied{http.StatusBadRequest, "unauthorized_client", 700016}},
		{"common", func(_ *scene, g *grantForm) { g.realm = "common" }, badRequest(50059)},
		{"unknown tenant", func(_ *scene, g *grantForm) { g.realm = "nobody.example.com" }, badRequest(90002)},
		{"an application that is not there", func(_ *scene, g *grantForm) {
			g.form.Set("client_id", thirdApp)
			g.assertion.claims.set("iss", thirdApp)
			g.assertion.claims.set("sub", thirdApp)
		}, denied{http.StatusBadRequest, "unauthorized_client", 700016}},
		{"a form of ACS", func(s *scene, g *grantForm) {
			path, host, realm := g.path, g.host, g.realm
			*g = *s.grant()
			g.path, g.host, g.realm = path, host, realm
		}, denied{http.StatusBadRequest, "unsupported_grant_type", 70003}},
	}
	return []grantAttack{
		{name: "application tokens: proof, version 1", start: v1, tries: proof},
		{name: "application tokens: proof, version 2", start: v2, tries: proof},
		{name: "application tokens: resource, version 1", start: v1, tries: []grantTry{
			target("nobody's", badResource, "https://"+evilHost), target("another tenant's", badResource, "https://mail."+otherDomain),
			target("the apex", badResource, "https://"+domain), target("by wildcard", badResource, "https://*."+domain),
			target("http", badResource, "http://partner.outlook.cn"), target("a path", badResource, "https://partner.outlook.cn/x"),
			target("the authority", badResource, "00000001-0002-0000-c000-000000000000"), target("a line end", badResource, "https://partner.outlook.cn\r\nx"),
			target("none", badRequest(900144), ""),
		}},
		{name: "application tokens: scope, version 2", start: v2, tries: []grantTry{
			scope("of a user", badScope(1002012), "https://partner.outlook.cn/EWS.AccessAsUser.All"), scope("two", badScope(28000), "https://partner.outlook.cn/.default https://graph.microsoft.com/.default"),
			scope("without resource", badResource, "/.default"), scope("nobody's", badResource, "https://"+evilHost+"/.default"),
			scope("only openid", badScope(1002012), "openid"), scope("none", badRequest(900144), ""),
		}},
	}
}

// assertionAttacks are client assertions that were made for something else, or used before.
func assertionAttacks() []grantAttack {
	v1 := func(s *scene) *grantForm { return s.appGrant(oidc.V1) }
	v2 := func(s *scene) *grantForm { return s.appGrant(oidc.V2) }
	again := func(later time.Duration) func(*scene, *grantForm) {
		return func(s *scene, g *grantForm) {
			text := g.assertion.String()
			g.assertion.text = func(string) string { return text }
			s.expectGrant(s.t, "first", s.requestToken(s.t, g), denied{})
			s.later(s.t, later)
		}
	}
	badProof := badClient(700027)
	audOf := func(name string, w denied, v func(*scene) string) grantTry {
		return claim("for "+name, w, "aud", func(s *scene) any { return v(s) })
	}
	login := func(s *scene) string { return "https://" + s.Lab.cloud.LoginHosts[0] }
	tries := []grantTry{
		{"once more within its life", again(time.Minute), denied{}}, // and is logged: programs do send again
		{"the jti of another one", func(s *scene, g *grantForm) {
			first := s.appGrant(oidc.V1)
			first.assertion.claims.set("jti", "a-jti-that-comes-twice")
			s.expectGrant(s.t, "first", s.requestToken(s.t, first), denied{})
			g.assertion.claims.set("jti", "a-jti-that-comes-twice")
		}, denied{}},
		audOf("the other version's endpoint", denied{}, func(s *scene) string { return login(s) + oidc.V2.TokenPath(s.tenant) }),
		audOf("the endpoint by domain", denied{}, func(s *scene) string { return login(s) + oidc.V1.TokenPath(domain) }),
		audOf("the tenant's issuer", denied{}, func(s *scene) string { return login(s) + "/" + s.tenant + "/v2.0" }),
		audOf("common", badClient(700023), func(s *scene) string { return login(s) + oidc.V1.TokenPath("common") }),
		audOf("another tenant by domain", badClient(700023), func(s *scene) string { return login(s) + oidc.V2.TokenPath(otherDomain) }),
		audOf("the endpoint of ACS", badClient(700023), func(s *scene) string { return "https://" + s.Lab.cloud.ACSHost + "/" + s.tenant + "/tokens/OAuth/2" }),
		audOf("the authorize endpoint", badClient(700023), func(s *scene) string { return login(s) + "/" + s.tenant + "/oauth2/authorize" }),
		audOf("a path behind the endpoint", badClient(700023), func(s *scene) string { return login(s) + oidc.V1.TokenPath(s.tenant) + "/" }),
		audOf("a query", badClient(700023), func(s *scene) string { return login(s) + oidc.V1.TokenPath(s.tenant) + "?x" }),
		audOf("user information", badClient(700023), func(s *scene) string {
			return strings.Replace(login(s), "https://", "https://x@", 1) + oidc.V1.TokenPath(s.tenant)
		}),
		audOf("another port", badClient(700023), func(s *scene) string { return login(s) + ":444" + oidc.V1.TokenPath(s.tenant) }),
		assertion("PS256 with x5t#S256", denied{}, func(s *scene, f *forged) { signPS256(s, f, s.org) }),
		assertion("PS256 of nobody, with our x5t#S256", badProof, func(s *scene, f *forged) {
			signPS256(s, f, s.nobody)
			f.header.set("x5t#S256", sha256Of(s.org))
		}),
		assertion("PS256 of nobody", badProof, func(s *scene, f *forged) { signPS256(s, f, s.nobody) }),
		assertion("PS256 of another tenant", badProof, func(s *scene, f *forged) { signPS256(s, f, s.otherOrg) }),
		assertion("a signature of PS256 called RS256", badProof, func(s *scene, f *forged) {
			signPS256(s, f, s.org)
			f.header.set("alg", "RS256")
		}),
		assertion("PS256 with a salt of no bytes", badProof, func(s *scene, f *forged) { signPSS(s, f, s.org, crypto.SHA256, 0) }),
		assertion("PS256 with SHA-384", badProof, func(s *scene, f *forged) { signPSS(s, f, s.org, crypto.SHA384, 48) }),
		assertion("PS384", badClient(50027), func(s *scene, f *forged) {
			signPSS(s, f, s.org, crypto.SHA384, 48)
			f.header.set("alg", "PS384")
		}),
		assertion("x5t#S256 of SHA-1", badProof, func(s *scene, f *forged) { f.header.add("x5t#S256", s.org.x5t()) }),
		assertion("x5t of SHA-256", badProof, func(s *scene, f *forged) { f.header.set("x5t", sha256Of(s.org)) }),
		assertion("x5t#S256 is empty", badProof, func(_ *scene, f *forged) { f.header.add("x5t#S256", "") }),
		assertion("x5t#S256 is a number", badProof, func(_ *scene, f *forged) { f.header.add("x5t#S256", 1) }),
		assertion("X5T#S256", malformed, func(s *scene, f *forged) {
			f.header.add("x5t#S256", sha256Of(s.org))
			f.header.add("X5T#S256", sha256Of(s.nobody))
		}),
		{"a token that was issued", func(s *scene, g *grantForm) { g.assertion = s.entraBearer().actor }, badClient(700021)},
		{"a token that was issued, about itself", func(s *scene, g *grantForm) {
			g.assertion = s.entraBearer().actor
			g.assertion.claims.set("iss", s.app)
			g.assertion.claims.set("sub", s.app)
		}, badProof},
		{"an assertion for ACS", func(s *scene, g *grantForm) { g.assertion = s.assertionOf(s.org, s.tenant) }, badClient(700021)},
	}
	return []grantAttack{
		{name: "A41 client assertions, version 1", start: v1, tries: tries},
		{name: "A41 client assertions, version 2", start: v2, tries: tries},
		{name: "A41 a client assertion after its life", start: v2, tries: []grantTry{{"again", again(10 * time.Minute), badClient(700024)}}},
		{name: "A41 a client assertion at ACS", tries: []grantTry{
			{"as it is", func(s *scene, g *grantForm) { g.assertion = s.appAssertion(oidc.V1) }, badClient(50027)},
			{"with the audience of ACS", func(s *scene, g *grantForm) {
				g.assertion = s.appAssertion(oidc.V1)
				g.assertion.claims.set("aud", s.acs+"/"+s.Lab.cloud.ACSHost+"@"+s.tenant)
			}, badClient(50027)},
			{"in the name of Exchange", func(s *scene, g *grantForm) {
				g.assertion = s.appAssertion(oidc.V1)
				g.assertion.claims.set("aud", s.acs+"/"+s.Lab.cloud.ACSHost+"@"+s.tenant)
				g.assertion.claims.set("iss", directory.ExchangeAppID+"@"+s.tenant)
			}, badKey},
		}, start: func(s *scene) *grantForm {
			g := s.grant() // the cloud's own: no key of contoso is Exchange's any more
			g.assertion = s.assertionOf(s.cloudOrg, s.tenant)
			g.form.Set("resource", directory.ExchangeAppID+"/"+mailHost+"@"+s.tenant)
			return g
		}},
	}
}

// signPS256 signs as newer libraries do (oauth-s2s reference 3.4).
func signPS256(s *scene, f *forged, k *signingKey) {
	signPSS(s, f, k, crypto.SHA256, rsa.PSSSaltLengthEqualsHash)
}

func signPSS(_ *scene, f *forged, k *signingKey, h crypto.Hash, salt int) {
	f.header = jsonObject{{"typ", "JWT"}, {"alg", "PS256"}, {"x5t#S256", sha256Of(k)}}
	f.sign = func(in string) string {
		d := h.New()
		d.Write([]byte(in))
		sig, err := rsa.SignPSS(rand.Reader, k.key, h, d.Sum(nil), &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			panic(err)
		}
		return b64(string(sig))
	}
}

func sha256Of(k *signingKey) string {
	sum := sha256.Sum256(k.der)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// consent asks for tokens of the authority itself, before and after the role
// was taken from the application.
func consent(t *testing.T, s *scene) {
	s.t = t
	present := func(name string, w want) {
		t.Helper()
		a := s.requestToken(t, s.appGrant(oidc.V2))
		s.expectGrant(t, name, a, denied{})
		var issued struct {
			Token string `json:"access_token"`
		}
		if err := json.Unmarshal(a.body, &issued); err != nil {
			t.Fatal(err)
		}
		b := s.entraBearer()
		b.text = func(string) string { return issued.Token }
		s.expect(t, name, s.send(t, b), w)
	}
	present("with the role", accepted)
	s.changeRealm(t, func(r *directory.Realm) {
		for i := range r.Principals {
			r.Principals[i].AppRoleAssignments = nil
		}
	})
	present("without the role", refused(2000008))
}
