package storetest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"sync"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/smtpaddr"
)

// now is the time of the tests' clock when it starts.
var now = time.Date(2014, 5, 6, 7, 8, 9, 123456000, time.UTC)

// signing is one certificate with its key for all tests: making an RSA key takes long.
var signing = sync.OnceValue(func() directory.Certificate {
	key, err := rsa.GenerateKey(rand.Reader, directory.MinRSABits)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Microsoft Exchange Server Auth Certificate"},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(4, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return directory.Certificate{
		Thumbprint: directory.Thumbprint(der), FriendlyName: "Microsoft Exchange Server Auth Certificate",
		DER: der, Key: pkcs8, Services: []string{"SMTP"},
	}
})

func named(name string) directory.Common { return directory.Common{Name: name} }

// Organization returns a valid organization with an object of every kind, which
// accepts mail for domain and answers at mail.domain.
func Organization(name, domain string) *directory.Organization {
	cert := signing()
	der := base64.StdEncoding.EncodeToString(cert.DER)
	effective := now.AddDate(0, 1, 0)
	return &directory.Organization{
		ID: directory.OrgID(uuid.NewString()), Name: name, Tenant: uuid.NewString(),
		AcceptedDomains: []directory.AcceptedDomain{
			{Common: named(domain), DomainName: domain, DomainType: "Authoritative", Default: true},
			{Common: named("all of " + domain), DomainName: "*." + domain, DomainType: "InternalRelay"},
		},
		AuthConfig: directory.AuthConfig{
			ServiceName: directory.ExchangeAppID, CurrentCertificateThumbprint: cert.Thumbprint,
			NextCertificateThumbprint: cert.Thumbprint, NextCertificateEffectiveDate: &effective,
		},
		Certificates: []directory.Certificate{cert},
		AuthServers: []directory.AuthServer{{
			Common: named("MicrosoftAzureACS"), Type: directory.AuthServerACS, Enabled: true,
			IssuerIdentifier: "00000001-0002-0000-c000-000000000000", Realm: uuid.NewString(),
			TokenIssuingEndpoint: "https://accounts.accesscontrol.chinacloudapi.cn/tokens/OAuth/2",
			AuthMetadataURL:      "https://accounts.accesscontrol.chinacloudapi.cn/contoso.com/metadata/json/1",
			CertificateStrings:   []string{der}, DomainName: []string{domain}, AllowedAudiences: []string{"a@b"}, RefreshedAt: now,
		}},
		LinkedUsers: []directory.LinkedUser{{Common: named("Fabrikam"), Roles: []string{directory.RoleUserApplication}}},
		PartnerApplications: []directory.PartnerApplication{
			{Common: named("Exchange Online"), ApplicationIdentifier: directory.ExchangeAppID, UseAuthServer: true, LinkedAccount: "Fabrikam", ActAsPermissions: []string{"Calendars.Read"}},
			{Common: named("Neighbour"), Enabled: true, ApplicationIdentifier: directory.ExchangeAppID, Realm: "fabrikam.com", CertificateStrings: []string{der}},
		},
		Connectors: []directory.IntraOrganizationConnector{{
			Common: named("ToCloud"), Enabled: true, TargetAddressDomains: []string{"contoso.partner.mail.onmschina.cn"},
			DiscoveryEndpoint: "https://partner.outlook.cn/autodiscover/autodiscover.svc",
		}},
		Relationships: []directory.OrganizationRelationship{{
			Common: named("Fabrikam"), Enabled: true, DomainNames: []string{"fabrikam.com", "*.fabrikam.com"}, FreeBusyAccessEnabled: true, FreeBusyAccessLevel: "LimitedDetails",
			TargetOwaURL: "https://mail.fabrikam.com/owa", OrganizationContact: "admin@fabrikam.com", ArchiveAccessEnabled: true, DeliveryReportEnabled: true,
			MailboxMoveEnabled: true, MailTipsAccessEnabled: true, MailTipsAccessLevel: "Limited", PhotosEnabled: true,
		}},
		AddressSpaces: []directory.AvailabilityAddressSpace{{
			Common: named("tailspintoys.com"), ForestName: "tailspintoys.com", AccessMethod: "OrgWideFB", UserName: "svc@tailspintoys.com", Password: directory.Secret("correct horse"),
		}},
		AvailabilityConfig: directory.AvailabilityConfig{OrgWideAccount: "svc@" + domain, RevealUnknownRecipients: true,
			EWS: directory.EWSAccess{Enabled: new(true), AllowedAppIDs: []string{directory.ExchangeAppID}}},
		Servers: []directory.Server{{
			Common: named("MAIL"), HostNames: []string{"mail." + domain, "autodiscover." + domain}, AdminDisplayVersion: directory.OAuthVersion,
			ExternalURL: "https://mail." + domain + "/ews/exchange.asmx", OAuthAuthentication: true, AutodiscoverSiteScope: []string{"Headquarters"},
		}},
	}
}

// Mailbox returns a valid mailbox of the organization with two addresses.
func Mailbox(org directory.OrgID, address string) *directory.Recipient {
	a := smtpaddr.Must(address)
	return &directory.Recipient{
		Org: org, Type: directory.UserMailbox, DisplayName: a.Local(), Alias: a.Local(), Primary: a,
		Proxies: []smtpaddr.Address{smtpaddr.Must(a.Local() + "@also." + a.Domain())}, UPN: a.String(), Enabled: true,
		Calendar:    directory.DefaultCalendar("China Standard Time"),
		Permissions: []directory.Permission{{User: "Default", Level: freebusy.LevelTime}, {User: "Anonymous", Level: freebusy.LevelNone}},
		Name:        "Mailbox of " + a.Local(), FirstName: "First", LastName: "Last", SamAccountName: "sam-" + a.Local(),
		HiddenFromAddressLists: true, ResourceCapacity: 1,
	}
}

// Realm returns a valid realm whose initial domain is domain.
func Realm(domain string) *directory.Realm {
	exchange := uuid.NewString()
	return &directory.Realm{
		ID: uuid.NewString(), Name: domain, ServiceHosts: []string{"partner.outlook.cn"},
		Domains: []directory.VerifiedDomain{{Name: domain, Initial: true, Default: true}},
		Principals: []directory.ServicePrincipal{{
			ObjectID: exchange, AppPrincipalID: directory.ExchangeAppID, DisplayName: "Microsoft.Exchange", AccountEnabled: true, TrustedForDelegation: true,
			ServicePrincipalNames: []string{directory.ExchangeAppID, directory.ExchangeAppID + "/partner.outlook.cn", directory.ExchangeAppID + "/*." + domain},
			KeyCredentials: []directory.KeyCredential{{
				KeyID: uuid.NewString(), Type: "Asymmetric", Usage: "Verify", Value: signing().DER, StartDate: now, EndDate: now.AddDate(1, 0, 0),
			}},
			AppRoles:           []directory.AppRole{{ID: "2e1d0c9b-0001-4000-8000-000000000001", Value: "Rooms.Read", DisplayName: "Read rooms", Enabled: true}},
			AppRoleAssignments: []directory.AppRoleAssignment{{ID: uuid.NewString(), ResourceID: exchange, RoleID: directory.RoleFullAccessAsApp.ID, CreatedAt: now}},
			TokenVersion:       2,
		}},
	}
}
