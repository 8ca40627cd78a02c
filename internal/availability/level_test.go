package availability_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"busybridge/internal/availability"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/trust"
)

var levels = []freebusy.Level{freebusy.LevelNone, freebusy.LevelTime, freebusy.LevelLimited, freebusy.LevelFull, freebusy.LevelOwner}

func relationshipOf(name, level string, domains ...string) directory.OrganizationRelationship {
	return directory.OrganizationRelationship{Common: named(name), DomainNames: domains, Enabled: true, FreeBusyAccessEnabled: level != "off", FreeBusyAccessLevel: level}
}

// Every relation, every calendar permission, open and private entries: what an
// answer to a partner and to a colleague shows.
func TestRelationPermissionAndPrivacy(t *testing.T) {
	const nothing, times, flags, texts, ids = "-", "time", "flags", "text", "text+id"
	// By permission: None, AvailabilityOnly, LimitedDetails, Reviewer, Owner; "open private" each.
	want := map[string][5]string{
		"colleague":          {nothing, times + " " + times, texts + " " + flags, ids + " " + flags, ids + " " + ids},
		"no relationship":    {nothing, times + " " + times, texts + " " + flags, ids + " " + flags, ids + " " + flags},
		"LimitedDetails":     {nothing, times + " " + times, texts + " " + flags, texts + " " + flags, texts + " " + flags},
		"AvailabilityOnly":   {nothing, times + " " + times, times + " " + times, times + " " + times, times + " " + times},
		"None":               {nothing, nothing, nothing, nothing, nothing},
		"off":                {nothing, nothing, nothing, nothing, nothing},
		"an unknown wording": {nothing, nothing, nothing, nothing, nothing},
	}
	for relation, row := range want {
		for i, permission := range levels {
			t.Run(relation+"/"+permission.String(), func(t *testing.T) {
				w := newWorld()
				w.org.Relationships = nil
				caller := availability.Caller{Partner: &trust.Caller{SMTP: "x@wingtip.example", Realm: "wingtip.example"}}
				switch relation {
				case "colleague":
					caller = availability.Caller{Recipient: w.people[addr("bo")]}
				case "no relationship":
				default:
					w.org.Relationships = []directory.OrganizationRelationship{relationshipOf("r", relation, "wingtip.example")}
				}
				ana := w.people[addr("ana")]
				ana.Permissions = []directory.Permission{{User: "Default", Level: permission}}
				open, private := iv(freebusy.Busy, 9, 10), iv(freebusy.Busy, 11, 12)
				open.Detail = &freebusy.Detail{ID: "0A", Subject: "Budget", Location: "R1", Meeting: true}
				private.Detail = &freebusy.Detail{ID: "0B", Subject: "Dentist", Location: "Town", Private: true}
				w.calendars[ana.Primary.String()] = []freebusy.Interval{open, private}

				q := w.question(freebusy.ViewDetailedMerged, "ana")
				q.Caller = caller
				a := w.ask(t, q)[0]
				got := nothing
				if a.Err == nil {
					var parts []string
					for _, e := range a.Events {
						switch d := e.Detail; {
						case d == nil:
							parts = append(parts, times)
						case d.ID != "":
							parts = append(parts, ids)
						case d.Subject != "" || d.Location != "":
							parts = append(parts, texts)
						default:
							parts = append(parts, flags)
						}
					}
					got = strings.Join(parts, " ")
				}
				if got != row[i] {
					t.Errorf("sees %q, want %q", got, row[i])
				}
				// The engine says what the one decision says.
				v := availability.NewViewer(w.org, caller)
				if (v.Level(ana) == freebusy.LevelNone) != (a.Err != nil) {
					t.Errorf("level %v, answer %v", v.Level(ana), a.Err)
				}
			})
		}
	}
}

const foreignRealm = "2c19f25a-0000-4000-8000-000000000001"

// Which relationship is a partner's: what was proved goes before what is claimed.
func TestRelationOfAPartner(t *testing.T) {
	relationships := []directory.OrganizationRelationship{
		relationshipOf("Fabrikam", "AvailabilityOnly", "fabrikam.com"),
		relationshipOf("Tailspin", "LimitedDetails", "tailspintoys.com", "*.tailspintoys.com"),
		relationshipOf("Sales", "AvailabilityOnly", "sales.tailspintoys.com"),
		{Common: named("Disabled"), DomainNames: []string{"northwind.com"}, FreeBusyAccessLevel: "None"},
	}
	ours := relationshipOf("Cloud", "AvailabilityOnly", "contoso.com")
	direct := func(realm, metadata string) *directory.PartnerApplication {
		return &directory.PartnerApplication{Realm: realm, AuthMetadataURL: metadata}
	}
	vouched := &directory.PartnerApplication{UseAuthServer: true}
	tests := []struct {
		name string
		p    trust.Caller
		more []directory.OrganizationRelationship
		want freebusy.Level
	}{
		{"realm", trust.Caller{Realm: "tailspintoys.com"}, nil, freebusy.LevelLimited},
		{"realm below a wildcard", trust.Caller{Realm: "x.tailspintoys.com"}, nil, freebusy.LevelLimited},
		{"the exact name goes before the wildcard", trust.Caller{Realm: "sales.tailspintoys.com"}, nil, freebusy.LevelTime},
		{"a disabled relationship is none", trust.Caller{Realm: "northwind.com"}, nil, freebusy.LevelFull},
		{"a claimed user lowers", trust.Caller{Realm: "tailspintoys.com", SMTP: "x@fabrikam.com"}, nil, freebusy.LevelTime},
		{"a claimed user does not raise", trust.Caller{Realm: "fabrikam.com", SMTP: "x@tailspintoys.com"}, nil, freebusy.LevelTime},

		{"our other half, named by its user", trust.Caller{Realm: foreignRealm, Application: vouched, SMTP: "x@tailspintoys.com"}, nil, freebusy.LevelLimited},
		{"our other half names nobody", trust.Caller{Realm: foreignRealm, Application: vouched}, nil, freebusy.LevelFull},
		{"our other half names nobody, and has a relationship", trust.Caller{Realm: foreignRealm, Application: vouched}, []directory.OrganizationRelationship{ours}, freebusy.LevelTime},
		{"our other half names a stranger", trust.Caller{Realm: foreignRealm, Application: vouched, SMTP: "x@unknown.example"}, []directory.OrganizationRelationship{ours}, freebusy.LevelTime},

		{"direct, by its realm", trust.Caller{Realm: "tailspintoys.com", Application: direct("tailspintoys.com", "")}, nil, freebusy.LevelLimited},
		{"direct, realm is a GUID: by the host of its pinned keys", trust.Caller{Realm: foreignRealm,
			Application: direct(foreignRealm, "https://autodiscover.fabrikam.com/autodiscover/metadata/json/1"), SMTP: "x@unknown.example"}, nil, freebusy.LevelTime},
		{"direct, host below a wildcard", trust.Caller{Realm: foreignRealm,
			Application: direct(foreignRealm, "https://autodiscover.tailspintoys.com/autodiscover/metadata/json/1")}, nil, freebusy.LevelLimited},
		{"direct, host of another's name is no proof of that", trust.Caller{Realm: foreignRealm,
			Application: direct(foreignRealm, "https://tailspintoys.com.evil.example/m"), SMTP: "x@tailspintoys.com"}, nil, freebusy.LevelTime},
		{"direct, realm is a GUID and nothing else proved: the lowest of all", trust.Caller{Realm: foreignRealm, Application: direct(foreignRealm, ""), SMTP: "x@tailspintoys.com"},
			[]directory.OrganizationRelationship{relationshipOf("Closed", "None", "litware.com")}, freebusy.LevelNone},
		{"direct, without a relationship", trust.Caller{Realm: "wingtip.example", Application: direct("wingtip.example", "")}, nil, freebusy.LevelTime},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			org := &directory.Organization{ID: "contoso", Relationships: append(relationships[:len(relationships):len(relationships)], tt.more...),
				AcceptedDomains: []directory.AcceptedDomain{{DomainName: "contoso.com", Default: true}}}
			open := &directory.Recipient{ID: "1", Primary: addr("ana"), Permissions: []directory.Permission{{User: "Default", Level: freebusy.LevelOwner}}}
			if got := availability.NewViewer(org, availability.Caller{Partner: &tt.p}).Level(open); got != tt.want {
				t.Errorf("level %v, want %v", got, tt.want)
			}
		})
	}
}

// Whatever a partner claims, it sees no more than its relationship, no more than
// the calendar grants it, and less when either is lowered; never as the owner.
func TestPartnersLevelIsBoundedAndMonotone(t *testing.T) {
	names := []string{"None", "AvailabilityOnly", "LimitedDetails"}
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.IntRange(0, len(names)-1).Draw(t, "relation")
		permission := rapid.SampledFrom(levels).Draw(t, "permission")
		domain := rapid.SampledFrom([]string{"fabrikam.com", "tailspintoys.com", "contoso.com", "unknown.example", ""})
		p := &trust.Caller{
			Realm: "fabrikam.com", SMTP: "x@" + domain.Draw(t, "smtp"), UPN: "x@" + domain.Draw(t, "upn"),
			Application: rapid.SampledFrom([]*directory.PartnerApplication{nil, {UseAuthServer: true}, {Realm: "fabrikam.com"}}).Draw(t, "application"),
		}
		known := rapid.Bool().Draw(t, "a mail user here")
		level := func(relation int, permission freebusy.Level) freebusy.Level {
			org := &directory.Organization{ID: "contoso", Relationships: []directory.OrganizationRelationship{
				relationshipOf("Tailspin", "LimitedDetails", "tailspintoys.com"), relationshipOf("Fabrikam", names[relation], "fabrikam.com"),
			}, AcceptedDomains: []directory.AcceptedDomain{{DomainName: "contoso.com", Default: true}}}
			who := "Default"
			if known {
				p.User = &directory.Recipient{Org: "contoso", ID: "2", Type: directory.MailUser, Primary: addr("pat")}
				who = "pat@contoso.com"
			}
			r := &directory.Recipient{Org: "contoso", ID: "1", Type: directory.UserMailbox, Primary: addr("ana"), Permissions: []directory.Permission{{User: who, Level: permission}}}
			return availability.NewViewer(org, availability.Caller{Partner: p}).Level(r)
		}
		got := level(at, permission)
		if got > freebusy.Level(at) || got > permission || got >= freebusy.LevelOwner {
			t.Fatalf("sees %v with relation %s and permission %v", got, names[at], permission)
		}
		if at > 0 && level(at-1, permission) > got {
			t.Fatalf("sees more when the relation is lowered from %s", names[at])
		}
		if permission > 0 && level(at, permission-1) > got {
			t.Fatalf("sees more when the permission is lowered from %v", permission)
		}
	})
}

// To a partner, an address that does not exist and a calendar that it may not
// see are the same answer to the letter, unless the organization wants otherwise.
func TestNoAccessDoesNotTellWhatExists(t *testing.T) {
	w := newWorld()
	w.people[addr("ana")].Permissions = []directory.Permission{{User: "Default", Level: freebusy.LevelNone}}
	w.org.AcceptedDomains = append(w.org.AcceptedDomains,
		directory.AcceptedDomain{DomainName: "relay.contoso.com", DomainType: "InternalRelay"},
		directory.AcceptedDomain{DomainName: "litware.com", DomainType: "InternalRelay"})
	w.add("contact", "MailContact")
	w.add("lost", directory.MailUser) // without a target
	w.mailUser("astray", "astray@nowhere.example")
	w.mailUser("circle", "gone@contoso.com")
	w.group("board", "ana", "nobody")
	asked := []string{"ana", "board", "nobody", "contact", "lost", "astray", "circle", "nobody@relay.contoso.com", "nobody@litware.com", "moved", "bo"}
	const denied = "NoAccess: The caller does not have access to free/busy data."
	same := []string{denied, denied, denied, denied, denied, denied, denied, denied, denied}
	ask := func(caller availability.Caller) []string {
		q := w.question(freebusy.ViewDetailedMerged, asked...)
		q.Caller = caller
		var out []string
		for i, a := range w.ask(t, q) {
			if a.Address != addr(asked[i]) {
				t.Errorf("answer %d is for %v", i, a.Address)
			}
			s := text(a)
			if a.Err == nil {
				s = a.Merged
			}
			out = append(out, s)
		}
		return out
	}
	partner := availability.Caller{Partner: &trust.Caller{SMTP: "x@wingtip.example", Realm: "wingtip.example"}}
	got := ask(partner)
	if diff := cmp.Diff(append(same, "ProxyNotAllowed: The cross-organization request for mailbox moved@contoso.mail.example is not allowed because the requester is from a different organization", "33333333"), got); diff != "" {
		t.Errorf("a partner (-want +got):\n%s", diff)
	}
	first := func(list []string) []string {
		var out []string
		for _, s := range list[:9] {
			reason, _, _ := strings.Cut(s, ":")
			out = append(out, reason)
		}
		return out
	}
	told := []string{"NoAccess", "44444444", "RecipientNotFound", "RecipientNotFound", "NoRoute", "NoRoute", "RecipientNotFound", "NoRoute", "ProxyNotAllowed"}
	w.org = w.org.Clone()
	w.org.AvailabilityConfig.RevealUnknownRecipients = true
	if diff := cmp.Diff(told, first(ask(partner))); diff != "" {
		t.Errorf("a partner that is told (-want +got):\n%s", diff)
	}
	w.org.AvailabilityConfig.RevealUnknownRecipients = false
	told[8] = "20000000" // a colleague's question goes on
	if diff := cmp.Diff(told, first(ask(availability.Caller{Recipient: w.people[addr("bo")]}))); diff != "" {
		t.Errorf("a colleague (-want +got):\n%s", diff)
	}
	if got, want := fmt.Sprint(availability.NewViewer(w.org, partner).Refusal(addr("x"), true)), fmt.Sprint(availability.NewViewer(w.org, partner).Refusal(addr("x"), false)); got != want {
		t.Errorf("%q and %q", got, want)
	}
}

// To somebody anonymous every address is alike that is no mailbox open to all,
// and nothing is asked on for him, whatever the organization tells partners.
func TestAnonymousLearnsNothing(t *testing.T) {
	w := newWorld()
	w.org.AvailabilityConfig.RevealUnknownRecipients = true
	w.mailUser("pat", "pat@litware.com")
	w.group("team", "ana")
	ana := w.people[addr("ana")]
	ana.Permissions = []directory.Permission{{User: "Default", Level: freebusy.LevelFull}, {User: "Anonymous", Level: freebusy.LevelTime}}
	q := w.question(freebusy.ViewFreeBusyMerged, "ana", "bo", "nobody", "team", "pat")
	q.Caller = availability.Caller{Anonymous: true}
	answers := w.ask(t, q)
	if answers[0].Err != nil {
		t.Errorf("ana, who is open to all: %v", answers[0].Err)
	}
	for i, a := range answers[1:4] {
		if a.Err == nil || a.Err.Error() != "The caller does not have access to free/busy data." {
			t.Errorf("%s: %v", q.Attendees[i+1].Raw, a.Err)
		}
	}
	if me, ok := errors.AsType[*routing.MailboxError](answers[4].Err); !ok || me.Reason != routing.ProxyNotAllowed {
		t.Errorf("a mail user: %v, want that nothing is forwarded", answers[4].Err)
	}
}
