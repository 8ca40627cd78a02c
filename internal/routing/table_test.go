package routing_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"busybridge/internal/directory"
	"busybridge/internal/growthtest"
	"busybridge/internal/routing"
	"busybridge/internal/spec/smtpaddr"
)

func named(n string) directory.Common { return directory.Common{Name: n, GUID: "guid-" + n} }

func contoso() *directory.Organization {
	return &directory.Organization{
		ID: "contoso", Version: 1,
		AcceptedDomains: []directory.AcceptedDomain{
			{Common: named("contoso.com"), DomainName: "contoso.com", DomainType: "Authoritative", Default: true},
			{Common: named("sub"), DomainName: "*.contoso.com", DomainType: "Authoritative"},
			{Common: named("relay"), DomainName: "relay.contoso.com", DomainType: "InternalRelay"},
			{Common: named("shared"), DomainName: "shared.contoso.com", DomainType: "InternalRelay"},
		},
		Connectors: []directory.IntraOrganizationConnector{
			{Common: named("ToCloud"), TargetAddressDomains: []string{"contoso.mail.example", "shared.contoso.com"}, Enabled: true},
			{Common: named("Off"), TargetAddressDomains: []string{"tailspintoys.com", "litware.com"}},
			{Common: named("Everyone"), TargetAddressDomains: []string{"*.fabrikam.com"}, Enabled: true},
			{Common: named("East"), TargetAddressDomains: []string{"*.east.fabrikam.com"}, Enabled: true},
			{Common: named("Second"), TargetAddressDomains: []string{"contoso.mail.example", "Loop.Contoso.com"}, Enabled: true},
		},
		Relationships: []directory.OrganizationRelationship{
			{Common: named("Fabrikam"), DomainNames: []string{"fabrikam.com", "deep.east.fabrikam.com"}, Enabled: true, FreeBusyAccessEnabled: true},
			{Common: named("Tailspin"), DomainNames: []string{"tailspintoys.com"}, Enabled: true, FreeBusyAccessEnabled: true},
			{Common: named("NoFreeBusy"), DomainNames: []string{"litware.com"}, Enabled: true},
			{Common: named("Disabled"), DomainNames: []string{"litware.com"}, FreeBusyAccessEnabled: true},
		},
		AddressSpaces: []directory.AvailabilityAddressSpace{
			{Common: named("contoso.mail.example"), ForestName: "contoso.mail.example", AccessMethod: "InternalProxy"},
			{Common: named("litware.com"), ForestName: "litware.com", AccessMethod: "OrgWideFB"},
		},
	}
}

func mailUser(target string) *directory.Recipient {
	r := &directory.Recipient{Type: directory.MailUser, Primary: smtpaddr.Must("bo@contoso.com")}
	if target != "" {
		r.ExternalAddress = smtpaddr.Must(target)
	}
	return r
}

var (
	e2010 = &directory.Server{AdminDisplayVersion: directory.Version{Major: 14, Minor: 3, Build: 123, Revision: 4}}
	e2013 = &directory.Server{AdminDisplayVersion: directory.OAuthVersion}
)

func TestRoute(t *testing.T) {
	mailbox := &directory.Recipient{Type: directory.RoomMailbox, Primary: smtpaddr.Must("room1@contoso.com")}
	group := &directory.Recipient{Type: directory.MailGroup, Primary: smtpaddr.Must("all@contoso.com")}
	tests := []struct {
		name   string
		server *directory.Server
		asked  string
		r      *directory.Recipient
		want   string // kind, name, target, match; or kind, reason, target, text
	}{
		{"mailbox here", e2013, "room1@contoso.com", mailbox, "local  room1@contoso.com "},
		{"mailbox here by any of its addresses", e2013, "room1@fabrikam.com", mailbox, "local  room1@fabrikam.com "},
		{"group here", e2013, "all@contoso.com", group, "local  all@contoso.com "},
		{"mail user goes by its target address", e2013, "bo@contoso.com", mailUser("bo@contoso.mail.example"), "connector ToCloud bo@contoso.mail.example contoso.mail.example"},
		{"connector before address space, first of two connectors", nil, "x@contoso.mail.example", nil, "connector ToCloud x@contoso.mail.example contoso.mail.example"},
		{"unknown address goes by its domain", e2013, "kim@fabrikam.com", nil, "relationship Fabrikam kim@fabrikam.com fabrikam.com"},
		{"wildcard does not cover its own name", e2013, "kim@fabrikam.com", nil, "relationship Fabrikam kim@fabrikam.com fabrikam.com"},
		{"wildcard covers subdomains", e2013, "kim@west.fabrikam.com", nil, "connector Everyone kim@west.fabrikam.com *.fabrikam.com"},
		{"wildcard covers deep subdomains", e2013, "kim@a.b.west.fabrikam.com", nil, "connector Everyone kim@a.b.west.fabrikam.com *.fabrikam.com"},
		{"longest wildcard wins", e2013, "kim@a.east.fabrikam.com", nil, "connector East kim@a.east.fabrikam.com *.east.fabrikam.com"},
		{"a wildcard connector is before an exact relationship", e2013, "kim@deep.east.fabrikam.com", nil, "connector East kim@deep.east.fabrikam.com *.east.fabrikam.com"},
		{"wildcard ends at a label", e2013, "kim@notfabrikam.com", nil, "none NoRoute kim@notfabrikam.com Configuration information for forest/domain notfabrikam.com could not be found in Active Directory."},
		{"disabled connector falls to the relationship", e2013, "a@tailspintoys.com", nil, "relationship Tailspin a@tailspintoys.com tailspintoys.com"},
		{"relationships that are off fall to the address space", e2013, "a@litware.com", nil, "addressspace litware.com a@litware.com litware.com"},
		{"no route names the domain", e2013, "a@northwind.com", nil, "none NoRoute a@northwind.com Configuration information for forest/domain northwind.com could not be found in Active Directory."},
		{"no route names the target's domain", e2013, "bo@contoso.com", mailUser("bo@northwind.com"), "none NoRoute bo@northwind.com Configuration information for forest/domain northwind.com could not be found in Active Directory."},

		{"old server uses the address space", e2010, "bo@contoso.com", mailUser("bo@contoso.mail.example"), "addressspace contoso.mail.example bo@contoso.mail.example contoso.mail.example"},
		{"old server knows no connector", e2010, "kim@a.fabrikam.com", nil, `none NoRoute kim@a.fabrikam.com Configuration information for forest/domain a.fabrikam.com could not be found in Active Directory. This server (Version 14.3 (Build 123.4)) uses availability address spaces only, not connector "Everyone".`},
		{"old server knows no relationship", e2010, "kim@fabrikam.com", nil, `none NoRoute kim@fabrikam.com Configuration information for forest/domain fabrikam.com could not be found in Active Directory. This server (Version 14.3 (Build 123.4)) uses availability address spaces only, not organization relationship "Fabrikam".`},

		{"unknown in an authoritative domain", e2013, "nobody@contoso.com", nil, "none RecipientNotFound nobody@contoso.com Unable to resolve e-mail address nobody@contoso.com to an Active Directory object."},
		{"unknown in an authoritative subdomain", e2013, "nobody@x.contoso.com", nil, "none RecipientNotFound nobody@x.contoso.com Unable to resolve e-mail address nobody@x.contoso.com to an Active Directory object."},
		{"unknown in an authoritative domain in spite of a connector", e2013, "nobody@loop.contoso.com", nil, "none RecipientNotFound nobody@loop.contoso.com Unable to resolve e-mail address nobody@loop.contoso.com to an Active Directory object."},
		{"unknown in a relay domain goes by its domain", e2013, "kim@shared.contoso.com", nil, "connector ToCloud kim@shared.contoso.com shared.contoso.com"},
		{"unknown in a relay domain without route", e2013, "kim@relay.contoso.com", nil, "none NoRoute kim@relay.contoso.com Configuration information for forest/domain relay.contoso.com could not be found in Active Directory."},

		{"target in an own domain with a connector", e2013, "bo@contoso.com", mailUser("bo@loop.contoso.com"), "connector Second bo@loop.contoso.com loop.contoso.com"},
		{"target in an own domain does not loop", e2013, "bo@contoso.com", mailUser("gone@contoso.com"), "none RecipientNotFound gone@contoso.com Unable to resolve e-mail address gone@contoso.com to an Active Directory object."},
		{"target is the asked address itself", e2013, "bo@contoso.com", mailUser("bo@contoso.com"), "none RecipientNotFound bo@contoso.com Unable to resolve e-mail address bo@contoso.com to an Active Directory object."},
		{"mail user without target", e2013, "bo@contoso.com", mailUser(""), "none NoRoute bo@contoso.com Mail user bo@contoso.com has no target address."},
		{"recipient of an unknown kind", e2013, "bo@contoso.com", &directory.Recipient{Type: "Contact"}, "none RecipientNotFound bo@contoso.com Unable to resolve e-mail address bo@contoso.com to an Active Directory object."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := routing.NewTable(contoso(), tt.server).Route(smtpaddr.Must(tt.asked), tt.r)
			s := fmt.Sprintf("%v %s %v %s", got.Kind, got.Name(), got.Target, got.Match)
			if (got.Kind == routing.None) != (got.Err != nil) {
				t.Fatalf("kind %v with error %v", got.Kind, got.Err)
			}
			if got.Err != nil {
				s = fmt.Sprintf("%v %s %v %s", got.Kind, got.Err.Reason, got.Target, got.Err.Text)
			}
			if diff := cmp.Diff(tt.want, s); diff != "" {
				t.Errorf("Route (-want +got):\n%s", diff)
			}
			if got.Kind == routing.Local && got.Recipient != tt.r {
				t.Error("a local route without its recipient")
			}
		})
	}
}

func TestSameGroupsByObject(t *testing.T) {
	table := routing.NewTable(contoso(), e2013)
	route := func(a string) *routing.Route { r := table.Route(smtpaddr.Must(a), nil); return &r }
	if a, b := route("x@west.fabrikam.com"), route("y@north.fabrikam.com"); !a.Same(b) {
		t.Errorf("one connector, two routes: %+v, %+v", a, b)
	}
	if a, b := route("x@west.fabrikam.com"), route("x@a.east.fabrikam.com"); a.Same(b) {
		t.Errorf("two connectors, one route: %+v", a)
	}
}

// A table finds exactly what directory.MatchDomain finds, the longest first.
func TestFindAgreesWithMatchDomain(t *testing.T) {
	label := rapid.SampledFrom([]string{"a", "b", "ab", "com"})
	domain := rapid.Custom(func(t *rapid.T) string {
		s := label.Draw(t, "label")
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			s = label.Draw(t, "label") + "." + s
		}
		return s
	})
	rapid.Check(t, func(t *rapid.T) {
		org := &directory.Organization{}
		for i := range rapid.IntRange(0, 6).Draw(t, "connectors") {
			p := domain.Draw(t, "domain")
			if rapid.Bool().Draw(t, "wild") {
				p = "*." + p
			}
			org.Connectors = append(org.Connectors, directory.IntraOrganizationConnector{Common: named(fmt.Sprint(i)), TargetAddressDomains: []string{p}, Enabled: true})
		}
		asked := domain.Draw(t, "asked")
		want, best := "", -1
		for _, c := range org.Connectors {
			p := c.TargetAddressDomains[0]
			n := len(p) - 1 // an exact name is longer than any wildcard that covers it
			if p == asked {
				n = 1 << 10
			}
			if directory.MatchDomain(p, asked) && n > best {
				want, best = c.Name, n
			}
		}
		got := routing.NewTable(org, nil).Route(smtpaddr.Must("x@"+asked), nil)
		if got.Name() != want {
			t.Fatalf("%s goes by %q, want %q", asked, got.Name(), want)
		}
	})
}

func big(n int) *directory.Organization {
	org := contoso()
	for i := range n {
		org.Connectors = append(org.Connectors, directory.IntraOrganizationConnector{
			Common: named(fmt.Sprint("c", i)), Enabled: true,
			TargetAddressDomains: []string{fmt.Sprintf("p%d.example", i), fmt.Sprintf("*.p%d.example", i)},
		})
	}
	return org
}

// The look-up does not grow with the number of connectors.
func TestLookUpGrowsWithConnectors(t *testing.T) {
	few, many := routing.NewTable(big(1), e2013), routing.NewTable(big(10_000), e2013)
	for name, a := range map[string]string{"exact": "kim@p0.example", "wildcard": "kim@a.b.p0.example", "none": "kim@nowhere.example"} {
		t.Run(name, func(t *testing.T) {
			at := smtpaddr.Must(a)
			growthtest.Law(t, 1.2, func() { few.Route(at, nil) }, func() { many.Route(at, nil) })
		})
	}
}

func BenchmarkRoute(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		table := routing.NewTable(big(n), e2013)
		exact, wild := smtpaddr.Must("kim@p0.example"), smtpaddr.Must("kim@a.b.p0.example")
		b.Run(fmt.Sprintf("exact/%d-connectors", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				table.Route(exact, nil)
			}
		})
		b.Run(fmt.Sprintf("wildcard/%d-connectors", n), func(b *testing.B) {
			for b.Loop() {
				table.Route(wild, nil)
			}
		})
	}
}

func BenchmarkNewTable(b *testing.B) {
	org := big(10_000)
	for b.Loop() {
		routing.NewTable(org, e2013)
	}
}
