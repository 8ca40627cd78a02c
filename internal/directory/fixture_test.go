package directory_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"sync"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/smtpaddr"
)

var now = time.Date(2014, 5, 6, 7, 8, 9, 0, time.UTC)

// keys are made once: an RSA key takes long.
var keys = sync.OnceValue(func() (k struct{ rsa, weak, ec directory.Certificate }) {
	strong, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	must(err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	k.rsa, k.weak, k.ec = certificate(strong, strong.Public()), certificate(weak, weak.Public()), certificate(ec, ec.Public())
	return k
})

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func certificate(key, public any) directory.Certificate {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: now, NotAfter: now.AddDate(5, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	must(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	return directory.Certificate{Thumbprint: directory.Thumbprint(der), DER: der, Key: pkcs8}
}

func base64Of(c directory.Certificate) string { return base64.StdEncoding.EncodeToString(c.DER) }

// guid makes a GUID that ends in the digit n.
func guid(n byte) string { return "11111111-2222-4333-8444-55555555555" + string('0'+n) }

func object(name string, n byte) directory.Common { return directory.Common{Name: name, GUID: guid(n)} }

// organization is valid and has objects of every kind.
func organization() *directory.Organization {
	k := keys()
	return &directory.Organization{
		ID: directory.OrgID(guid(0)), Name: "Contoso",
		AcceptedDomains: []directory.AcceptedDomain{
			{Common: object("contoso.com", 1), DomainName: "contoso.com", DomainType: "Authoritative", Default: true},
			{Common: object("sub", 2), DomainName: "*.contoso.com", DomainType: "InternalRelay"},
		},
		Certificates: []directory.Certificate{k.rsa, k.ec},
		AuthConfig:   directory.AuthConfig{ServiceName: directory.ExchangeAppID, CurrentCertificateThumbprint: k.rsa.Thumbprint},
		AuthServers: []directory.AuthServer{
			{Common: object("ACS", 1), Type: directory.AuthServerACS, IssuerIdentifier: guid(9), CertificateStrings: []string{base64Of(k.rsa)}, Enabled: true},
			{Common: object("EvoSTS", 2), Type: directory.AuthServerAzureAD, IssuerIdentifier: "https://sts.windows.net/x/", IsDefaultAuthorizationEndpoint: true},
		},
		PartnerApplications: []directory.PartnerApplication{
			{Common: object("Exchange Online", 1), ApplicationIdentifier: directory.ExchangeAppID, UseAuthServer: true, Enabled: true},
			{Common: object("Fabrikam", 2), ApplicationIdentifier: directory.ExchangeAppID, Realm: "fabrikam.com", CertificateStrings: []string{base64Of(k.ec)}, Enabled: true},
		},
		Connectors: []directory.IntraOrganizationConnector{
			{Common: object("ToCloud", 1), Enabled: true, TargetAddressDomains: []string{"cloud.example", "*.cloud.example"}, DiscoveryEndpoint: "https://cloud.example/autodiscover/autodiscover.svc"},
			{Common: object("Other", 2), TargetAddressDomains: []string{"cloud.example"}, TargetSharingEpr: "https://cloud.example/ews/exchange.asmx"},
		},
		Relationships: []directory.OrganizationRelationship{
			{Common: object("Fabrikam", 1), Enabled: true, DomainNames: []string{"fabrikam.com"}, FreeBusyAccessEnabled: true, FreeBusyAccessLevel: "LimitedDetails"},
			{Common: object("Tailspin", 2), Enabled: true, DomainNames: []string{"*.tailspintoys.com"}, FreeBusyAccessLevel: "None"},
		},
		AddressSpaces: []directory.AvailabilityAddressSpace{
			{Common: object("cloud.example", 1), ForestName: "cloud.example", AccessMethod: "InternalProxy", UseServiceAccount: true, ProxyURL: "https://mail.contoso.com/ews/exchange.asmx"},
			{Common: object("old.example", 2), ForestName: "old.example", AccessMethod: "OrgWideFB", UserName: `old\svc`, Password: directory.Secret("correct horse")},
		},
		Servers: []directory.Server{
			{Common: object("MAIL", 1), HostNames: []string{"mail.contoso.com"}, AdminDisplayVersion: directory.OAuthVersion, ExternalURL: "https://mail.contoso.com/ews/exchange.asmx"},
			{Common: object("LEGACY", 2), HostNames: []string{"legacy.contoso.com"}, AdminDisplayVersion: directory.Version{Major: 14, Minor: 3}},
		},
	}
}

func mailbox() *directory.Recipient {
	return &directory.Recipient{
		Org: directory.OrgID(guid(0)), ID: guid(1), Type: directory.UserMailbox, DisplayName: "Alice", Alias: "alice",
		Primary: smtpaddr.Must("alice@contoso.com"), Proxies: []smtpaddr.Address{smtpaddr.Must("a@contoso.com")}, UPN: "alice@contoso.com", Enabled: true,
		Calendar:    directory.DefaultCalendar("China Standard Time"),
		Permissions: []directory.Permission{{User: "Default", Level: freebusy.LevelTime}, {User: "bob@contoso.com", Level: freebusy.LevelFull}},
	}
}

func realm() *directory.Realm {
	return &directory.Realm{
		ID: guid(0), Name: "contoso", ServiceHosts: []string{"partner.outlook.cn"},
		Domains: []directory.VerifiedDomain{{Name: "contoso.partner.onmschina.cn", Initial: true, Default: true}, {Name: "contoso.com"}},
		Principals: []directory.ServicePrincipal{
			{
				ObjectID: guid(1), AppPrincipalID: directory.ExchangeAppID, DisplayName: "Microsoft.Exchange",
				ServicePrincipalNames: []string{directory.ExchangeAppID, directory.ExchangeAppID + "/partner.outlook.cn", directory.ExchangeAppID + "/*.contoso.com"},
				KeyCredentials:        []directory.KeyCredential{{KeyID: guid(3), Type: "Asymmetric", Usage: "Verify", Value: keys().rsa.DER, StartDate: now, EndDate: now.AddDate(1, 0, 0)}},
			},
			{
				ObjectID: guid(2), AppPrincipalID: guid(4), DisplayName: "Hybrid", ServicePrincipalNames: []string{guid(4), "https://mail.contoso.com"},
				AppRoles:           []directory.AppRole{{ID: guid(5), Value: "Rooms.Read", DisplayName: "Read rooms", Enabled: true}},
				AppRoleAssignments: []directory.AppRoleAssignment{{ID: guid(6), ResourceID: guid(1), RoleID: directory.RoleFullAccessAsApp.ID, CreatedAt: now}, {ID: guid(7), ResourceID: guid(2), RoleID: guid(5)}},
				TokenVersion:       2,
			},
		},
	}
}
