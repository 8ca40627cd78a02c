package directory_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/smtpaddr"
)

// A rule is a value that breaks one rule, and what the error says of it:
// object, field and value are all in want.
type rule[T any] struct {
	name   string
	break_ func(*T)
	want   string
}

// check runs the rules over fresh valid values: each gives exactly one problem
// (or as many as want has lines).
func check[T any](t *testing.T, fresh func() *T, validate func(*T) error, rules []rule[T]) {
	t.Helper()
	if err := validate(fresh()); err != nil {
		t.Fatalf("the fixture is not valid: %v", err)
	}
	for _, r := range rules {
		v := fresh()
		r.break_(v)
		err := validate(v)
		if err == nil {
			t.Errorf("%s: accepted", r.name)
			continue
		}
		if got := err.Error(); got != r.want && !(strings.HasSuffix(r.want, "…") && strings.HasPrefix(got, strings.TrimSuffix(r.want, "…"))) {
			t.Errorf("%s:\ngot  %s\nwant %s", r.name, got, r.want)
		}
		if _, ok := errors.AsType[*directory.FieldError](err); !ok {
			t.Errorf("%s: no FieldError", r.name)
		}
	}
}

func TestOrganizationRules(t *testing.T) {
	type org = directory.Organization
	k := keys()
	check(t, organization, (*org).Validate, []rule[org]{
		{"id", func(o *org) { o.ID = "X" }, `organization "Contoso": ID "X": is no lower-case GUID`},
		{"no name", func(o *org) { o.Name = "" }, `organization "": Name "": is empty`},
		{"long name", func(o *org) { o.Connectors[0].Name = strings.Repeat("n", 65) }, fmt.Sprintf(`intra-organization connector %q: Name %q: is longer than 64 characters`, strings.Repeat("n", 65), strings.Repeat("n", 65))},
		{"control character", func(o *org) { o.Name = "a\nb" }, `organization "a\nb": Name "a\nb": holds control characters or bytes that are no text`},
		{"white space", func(o *org) { o.Name = " a" }, `organization " a": Name " a": begins or ends with white space`},
		{"tenant", func(o *org) { o.Tenant = "CB52ADA4-5045-4D00-A59A-C7896EF052A1" }, `organization "Contoso": Tenant "CB52ADA4-5045-4D00-A59A-C7896EF052A1": is no lower-case GUID`},
		{"names differ in case only", func(o *org) { o.Servers[1].Name = "mail" }, `server "mail": Name "mail": is taken by another server`},
		{"two objects of a GUID", func(o *org) { o.Servers[1].GUID = guid(1) }, `server "LEGACY": GUID "11111111-2222-4333-8444-555555555551": is taken by another server`},

		{"no default domain", func(o *org) { o.AcceptedDomains[0].Default = false }, `organization "Contoso": AcceptedDomains "2": 0 of them are the default, want exactly one`},
		{"two default domains", func(o *org) {
			o.AcceptedDomains = append(o.AcceptedDomains, directory.AcceptedDomain{Common: object("x", 3), DomainName: "x.example", DomainType: "Authoritative", Default: true})
		}, `organization "Contoso": AcceptedDomains "3": 2 of them are the default, want exactly one`},
		{"wildcard is the default", func(o *org) {
			o.AcceptedDomains[0].Default, o.AcceptedDomains[1].Default = false, true
		}, `accepted domain "sub": Default "*.contoso.com": a domain with a wildcard cannot be the default`},
		{"domain not canonical", func(o *org) { o.AcceptedDomains[0].DomainName = "Contoso.com" }, `accepted domain "contoso.com": DomainName "Contoso.com": is not in canonical form, want "contoso.com"`},
		{"domain in Unicode", func(o *org) { o.AcceptedDomains[0].DomainName = "bücher.example" }, `accepted domain "contoso.com": DomainName "bücher.example": is not in canonical form, want "xn--bcher-kva.example"`},
		{"wildcard not canonical", func(o *org) { o.AcceptedDomains[1].DomainName = "*.Contoso.com" }, `accepted domain "sub": DomainName "*.Contoso.com": is not in canonical form, want "contoso.com"`},
		{"no domain", func(o *org) { o.AcceptedDomains[1].DomainName = "a b" }, `accepted domain "sub": DomainName "a b": is no domain name`},
		{"single label", func(o *org) { o.AcceptedDomains[1].DomainName = "*.com" }, `accepted domain "sub": DomainName "*.com": is a single label`},
		{"domain twice", func(o *org) { o.AcceptedDomains[1].DomainName = "contoso.com" }, `accepted domain "sub": DomainName "contoso.com": is taken by another accepted domain`},
		{"domain type", func(o *org) { o.AcceptedDomains[1].DomainType = "Relay" }, `accepted domain "sub": DomainType "Relay": is none of Authoritative, InternalRelay, ExternalRelay`},

		{"thumbprint", func(o *org) { o.Certificates[1].Thumbprint = "AB" }, `certificate "AB": Thumbprint "AB": is not the certificate's, which is ` + k.ec.Thumbprint},
		{"key of another certificate", func(o *org) { o.Certificates[1].Key = k.rsa.Key }, `certificate "` + k.ec.Thumbprint + `": Key "(secret)": does not belong to the certificate`},
		{"key that is none", func(o *org) { o.Certificates[1].Key = directory.Secret("PRIVATE") }, `certificate "` + k.ec.Thumbprint + `": Key "(secret)": is no PKCS#8 private key`},
		{"certificate that is none", func(o *org) { o.Certificates[1].DER = []byte{1} }, `certificate "` + k.ec.Thumbprint + `": Thumbprint "` + k.ec.Thumbprint + `": is not…`},
		{"certificate twice", func(o *org) { o.Certificates[1] = k.rsa }, `certificate "` + k.rsa.Thumbprint + `": Thumbprint "` + k.rsa.Thumbprint + `": is taken by another certificate`},
		{"service name", func(o *org) { o.AuthConfig.ServiceName = "Exchange" }, `auth configuration "Contoso": ServiceName "Exchange": is no lower-case GUID`},
		{"realm", func(o *org) { o.AuthConfig.Realm = "a@b" }, `auth configuration "Contoso": Realm "a@b": is no realm name`},
		{"current certificate is not there", func(o *org) { o.AuthConfig.CurrentCertificateThumbprint = "AB" }, `auth configuration "Contoso": CurrentCertificateThumbprint "AB": no certificate has this thumbprint`},
		{"current certificate without a key", func(o *org) { o.Certificates[0].Key = nil }, `auth configuration "Contoso": CurrentCertificateThumbprint "` + k.rsa.Thumbprint + `": the certificate has no private key here`},
		{"previous certificate is not there", func(o *org) { o.AuthConfig.PreviousCertificateThumbprint = "AB" }, `auth configuration "Contoso": PreviousCertificateThumbprint "AB": no certificate has this thumbprint`},
		{"next certificate without a date", func(o *org) { o.AuthConfig.NextCertificateThumbprint = k.ec.Thumbprint }, `auth configuration "Contoso": NextCertificateEffectiveDate "` + k.ec.Thumbprint + `": next certificate and effective date belong together`},

		{"auth server type", func(o *org) { o.AuthServers[0].Type = "ADFS" }, `auth server "ACS": Type "ADFS": is none of MicrosoftACS, AzureAD`},
		{"issuer with realm", func(o *org) { o.AuthServers[0].IssuerIdentifier = "a@b" }, `auth server "ACS": IssuerIdentifier "a@b": is no realm name`},
		{"issuer of AzureAD", func(o *org) { o.AuthServers[1].IssuerIdentifier = "http://sts.windows.net/" }, `auth server "EvoSTS": IssuerIdentifier "http://sts.windows.net/": is not https`},
		{"token endpoint", func(o *org) { o.AuthServers[0].TokenIssuingEndpoint = "http://acs.example/" }, `auth server "ACS": TokenIssuingEndpoint "http://acs.example/": is not https`},
		{"metadata URL with password", func(o *org) { o.AuthServers[0].AuthMetadataURL = "https://u:geheim@acs.example/" }, `auth server "ACS": AuthMetadataURL "https://u:xxxxx@acs.example/": carries a user name`},
		{"relative URL", func(o *org) { o.AuthServers[0].AuthMetadataURL = "/metadata" }, `auth server "ACS": AuthMetadataURL "/metadata": is no absolute URL`},
		{"weak key", func(o *org) { o.AuthServers[0].CertificateStrings = []string{base64Of(k.weak)} }, `auth server "ACS": CertificateStrings "` + base64Of(k.weak)[:80] + `…": is no usable certificate: its key is not RSA of 2048 bits or more`},
		{"EC key of an auth server", func(o *org) { o.AuthServers[0].CertificateStrings = []string{base64Of(k.ec)} }, `auth server "ACS": CertificateStrings "` + base64Of(k.ec)[:80] + `…": is no usable certificate: its key is not RSA of 2048 bits or more`},
		{"two default endpoints", func(o *org) { o.AuthServers[0].IsDefaultAuthorizationEndpoint = true }, `auth server "EvoSTS": IsDefaultAuthorizationEndpoint "true": is taken by another auth server`},

		{"application without id", func(o *org) { o.PartnerApplications[0].ApplicationIdentifier = "" }, `partner application "Exchange Online": ApplicationIdentifier "": is empty`},
		{"application twice in a realm", func(o *org) { o.PartnerApplications[0].Realm = "fabrikam.com" }, `partner application "Fabrikam": ApplicationIdentifier "` + directory.ExchangeAppID + `": is taken by another partner application of the same realm`},
		{"vouched for and direct", func(o *org) { o.PartnerApplications[0].CertificateStrings = []string{base64Of(k.rsa)} }, `partner application "Exchange Online": UseAuthServer "true": an application that an auth server vouches for has no metadata or certificates of its own`},
		{"direct without realm", func(o *org) { o.PartnerApplications[1].Realm, o.PartnerApplications[0].Realm = "", "x.example" }, `partner application "Fabrikam": Realm "": direct trust needs a realm`},
		{"direct realm of all", func(o *org) { o.PartnerApplications[1].Realm = "*" }, `partner application "Fabrikam": Realm "*": is no realm name`},
		{"direct without certificates", func(o *org) { o.PartnerApplications[1].CertificateStrings = nil }, `partner application "Fabrikam": CertificateStrings "": direct trust needs certificates`},

		{"connector without domains", func(o *org) { o.Connectors[1].TargetAddressDomains = nil }, `intra-organization connector "Other": TargetAddressDomains "": is empty`},
		{"domain of two enabled connectors", func(o *org) { o.Connectors[1].Enabled = true }, `intra-organization connector "Other": TargetAddressDomains "cloud.example": is taken by the connector "ToCloud"`},
		{"domain twice in a connector", func(o *org) { o.Connectors[0].TargetAddressDomains[1] = "cloud.example" }, `intra-organization connector "ToCloud": TargetAddressDomains "cloud.example": is taken by this connector already`},
		{"connector without endpoint", func(o *org) { o.Connectors[0].DiscoveryEndpoint = "" }, `intra-organization connector "ToCloud": DiscoveryEndpoint "": is empty`},
		{"connector by http", func(o *org) { o.Connectors[0].DiscoveryEndpoint = "http://cloud.example/" }, `intra-organization connector "ToCloud": DiscoveryEndpoint "http://cloud.example/": is not https`},

		{"relationship without domains", func(o *org) { o.Relationships[0].DomainNames = nil }, `organization relationship "Fabrikam": DomainNames "0": want 1 to 238 domains`},
		{"domain of two relationships", func(o *org) { o.Relationships[1].DomainNames = []string{"fabrikam.com"} }, `organization relationship "Tailspin": DomainNames "fabrikam.com": is taken by the relationship "Fabrikam"`},
		{"level", func(o *org) { o.Relationships[0].FreeBusyAccessLevel = "Reviewer" }, `organization relationship "Fabrikam": FreeBusyAccessLevel "Reviewer": is none of None, AvailabilityOnly, LimitedDetails`},

		{"forest", func(o *org) { o.AddressSpaces[0].ForestName = "*.cloud.example" }, `availability address space "cloud.example": ForestName "*.cloud.example": is no domain name`},
		{"forest twice", func(o *org) { o.AddressSpaces[1].ForestName = "cloud.example" }, `availability address space "old.example": ForestName "cloud.example": is taken by another availability address space`},
		{"access method", func(o *org) { o.AddressSpaces[1].AccessMethod = "PublicFolder" }, `availability address space "old.example": AccessMethod "PublicFolder": is none of InternalProxy, PerUserFB, OrgWideFB, OrgWideFBBasic`},
		{"proxy without InternalProxy", func(o *org) { o.AddressSpaces[1].ProxyURL = "https://x.example/" }, `availability address space "old.example": ProxyURL "https://x.example/": belongs to the access method InternalProxy`},
		{"password without user", func(o *org) { o.AddressSpaces[1].UserName, o.AddressSpaces[1].UseServiceAccount = "", true }, `availability address space "old.example": UserName "": a password without a user name`},
		{"no credentials", func(o *org) { o.AddressSpaces[1].UserName, o.AddressSpaces[1].Password = "", nil }, `availability address space "old.example": AccessMethod "OrgWideFB": needs the service account or credentials`},

		{"web mail", func(o *org) { o.Relationships[0].TargetOwaURL = "http://x.example/" }, `organization relationship "Fabrikam": TargetOwaURL "http://x.example/": is not https`},
		{"mail tips", func(o *org) { o.Relationships[0].MailTipsAccessLevel = "Some" }, `organization relationship "Fabrikam": MailTipsAccessLevel "Some": is none of None, Limited, All`},
		{"contact", func(o *org) { o.Relationships[0].OrganizationContact = "x" }, `organization relationship "Fabrikam": OrganizationContact "x": is no mail address`},
		{"site", func(o *org) { o.Servers[0].AutodiscoverSiteScope = []string{""} }, `server "MAIL": AutodiscoverSiteScope "": is empty`},
		{"server without host", func(o *org) { o.Servers[0].HostNames = nil }, `server "MAIL": HostNames "": is empty`},
		{"host of two servers", func(o *org) { o.Servers[1].HostNames = []string{"mail.contoso.com"} }, `server "LEGACY": HostNames "mail.contoso.com": is taken by the server "MAIL"`},
		{"version", func(o *org) { o.Servers[0].AdminDisplayVersion = directory.Version{} }, `server "MAIL": AdminDisplayVersion "Version 0.0 (Build 0.0)": want version 8.0 or later`},
		{"external URL", func(o *org) { o.Servers[0].ExternalURL = "https://mail.contoso.com/ews#x" }, `server "MAIL": ExternalURL "https://mail.contoso.com/ews#x": carries a fragment`},
		{"all problems at once", func(o *org) { o.Tenant, o.Connectors[0].DiscoveryEndpoint = "x", "y" }, "organization \"Contoso\": Tenant \"x\": is no lower-case GUID\n" +
			`intra-organization connector "ToCloud": DiscoveryEndpoint "y": is no absolute URL`},
	})
	taken := organization()
	taken.Servers[1].Name = "MAIL"
	if err := taken.Validate(); !errors.Is(err, directory.ErrExists) {
		t.Errorf("a name that is taken is not ErrExists: %v", err)
	}
}

func TestRealmRules(t *testing.T) {
	type r = directory.Realm
	const exchange, hybrid = `service principal "Microsoft.Exchange": `, `service principal "Hybrid": `
	id := directory.ExchangeAppID
	check(t, realm, (*r).Validate, []rule[r]{
		{"id", func(v *r) { v.ID = "x" }, `realm "contoso": ID "x": is no lower-case GUID`},
		{"no initial domain", func(v *r) { v.Domains[0].Initial = false }, `realm "contoso": Domains "2": 0 of them are the initial domain, want exactly one`},
		{"two default domains", func(v *r) { v.Domains[1].Default = true }, `realm "contoso": Domains "2": 2 of them are the default, want exactly one`},
		{"domain not canonical", func(v *r) { v.Domains = append(v.Domains, directory.VerifiedDomain{Name: "Fabrikam.com"}) }, `domain "Fabrikam.com": Name "Fabrikam.com": is not in canonical form, want "fabrikam.com"`},
		{"single label", func(v *r) { v.Domains = append(v.Domains, directory.VerifiedDomain{Name: "com"}) }, `domain "com": Name "com": is a single label`},
		{"domain twice", func(v *r) { v.Domains = append(v.Domains, directory.VerifiedDomain{Name: "contoso.com"}) }, `domain "contoso.com": Name "contoso.com": is taken by another domain of the realm`},
		{"application twice", func(v *r) {
			v.Principals[1].AppPrincipalID, v.Principals[1].ServicePrincipalNames = id, []string{id}
		}, `service principal "Hybrid": AppPrincipalID "` + id + `": is taken by another service principal` + "\n" + `service principal "Hybrid": ServicePrincipalNames "` + id + `": is taken by the service principal "Microsoft.Exchange"`},
		{"without its own id", func(v *r) { v.Principals[0].ServicePrincipalNames = v.Principals[0].ServicePrincipalNames[1:] }, exchange + `ServicePrincipalNames "": the application id ` + id + ` is not among them`},
		{"domain is not verified", func(v *r) { v.Principals[0].ServicePrincipalNames[1] = id + "/mail.fabrikam.com" }, exchange + `ServicePrincipalNames "` + id + `/mail.fabrikam.com": "` + id + `/mail.fabrikam.com": not a valid service principal name: mail.fabrikam.com is no verified domain of the realm nor below one`},
		{"not canonical", func(v *r) { v.Principals[0].ServicePrincipalNames[1] = id + "/Mail.contoso.com:443" }, exchange + `ServicePrincipalNames "` + id + `/Mail.contoso.com:443": is not in canonical form, want "` + id + `/mail.contoso.com"`},
		{"name of two principals", func(v *r) {
			v.Principals[0].ServicePrincipalNames[1] = "https://mail.contoso.com"
		}, `service principal "Hybrid": ServicePrincipalNames "https://mail.contoso.com": is taken by the service principal "Microsoft.Exchange"`},
		{"wildcard of a service host's parent", func(v *r) { v.Principals[0].ServicePrincipalNames[1] = id + "/*.outlook.cn" }, exchange + `ServicePrincipalNames "` + id + `/*.outlook.cn": "…`},
		{"weak key", func(v *r) { v.Principals[0].KeyCredentials[0].Value = keys().weak.DER }, exchange + `KeyCredentials.Value "` + guid(3) + `": is no usable certificate: its key is not RSA of 2048 bits or more`},
		{"EC key", func(v *r) { v.Principals[0].KeyCredentials[0].Value = keys().ec.DER }, exchange + `KeyCredentials.Value "` + guid(3) + `": is no usable certificate: its key is not RSA of 2048 bits or more`},
		{"credential type", func(v *r) { v.Principals[0].KeyCredentials[0].Type = "Symmetric" }, exchange + `KeyCredentials.Type "Symmetric": is none of Asymmetric`},
		{"ends after the certificate", func(v *r) { v.Principals[0].KeyCredentials[0].EndDate = now.AddDate(6, 0, 0) }, exchange + `KeyCredentials.EndDate "2020-05-06T07:08:09Z": is after the certificate ends at 2019-05-06T07:08:09Z`},
		{"starts before the certificate", func(v *r) { v.Principals[0].KeyCredentials[0].StartDate = now.Add(-time.Second) }, exchange + `KeyCredentials.StartDate "2014-05-06T07:08:08Z": is before the certificate becomes valid at 2014-05-06T07:08:09Z`},
		{"empty span", func(v *r) { v.Principals[0].KeyCredentials[0].EndDate = now }, exchange + `KeyCredentials.EndDate "2014-05-06T07:08:09Z": is not after the start 2014-05-06T07:08:09Z`},

		{"role without id", func(v *r) { v.Principals[1].AppRoles[0].ID, v.Principals[1].AppRoleAssignments = "", nil }, hybrid + `AppRoles.ID "": is no lower-case GUID`},
		{"role twice", func(v *r) { v.Principals[1].AppRoles = append(v.Principals[1].AppRoles, v.Principals[1].AppRoles[0]) },
			hybrid + `AppRoles.ID "` + guid(5) + `": is taken by another role` + "\n" + hybrid + `AppRoles.Value "Rooms.Read": is taken by another role`},
		{"role of the cloud's own name", func(v *r) {
			v.Principals[0].AppRoles = []directory.AppRole{{ID: guid(8), Value: "full_access_as_app", DisplayName: "x"}}
		}, exchange + `AppRoles.Value "full_access_as_app": is taken by another role`},
		{"role of two words", func(v *r) { v.Principals[1].AppRoles[0].Value = "Read rooms" }, hybrid + `AppRoles.Value "Read rooms": want 1 to 250 characters of ASCII without spaces`},
		{"role without value", func(v *r) { v.Principals[1].AppRoles[0].Value = "" }, hybrid + `AppRoles.Value "": want 1 to 250 characters of ASCII without spaces`},
		{"a role of nobody", func(v *r) { v.Principals[1].AppRoleAssignments[0].RoleID = guid(8) }, hybrid + `AppRoleAssignments.RoleID "` + guid(8) + `": is no role of an application ` + guid(1) + ` of the realm`},
		{"a role of another application", func(v *r) { v.Principals[1].AppRoleAssignments[0].ResourceID = guid(2) }, hybrid + `AppRoleAssignments.RoleID "` + directory.RoleFullAccessAsApp.ID + `": is no role of an application ` + guid(2) + ` of the realm`},
		{"a role of an application that is absent", func(v *r) { v.Principals[1].AppRoleAssignments[0].ResourceID = guid(9) }, hybrid + `AppRoleAssignments.RoleID "` + directory.RoleFullAccessAsApp.ID + `": is no role of an application ` + guid(9) + ` of the realm`},
		{"given twice", func(v *r) {
			again := v.Principals[1].AppRoleAssignments[0]
			again.ID = guid(8)
			v.Principals[1].AppRoleAssignments = append(v.Principals[1].AppRoleAssignments, again)
		}, hybrid + `AppRoleAssignments.RoleID "` + directory.RoleFullAccessAsApp.ID + `": is taken by another assignment to the same application`},
		{"assignment twice", func(v *r) { v.Principals[1].AppRoleAssignments[1].ID = guid(6) }, hybrid + `AppRoleAssignments.ID "` + guid(6) + `": is taken by another assignment`},
		{"tokens of a version to come", func(v *r) { v.Principals[1].TokenVersion = 3 }, hybrid + `TokenVersion "3": want 1 or 2`},
	})
}

func TestRecipientRules(t *testing.T) {
	type r = directory.Recipient
	const alice = `recipient "alice@contoso.com": `
	rules := []rule[r]{
		{"no primary address", func(v *r) { v.Primary = smtpaddr.Address{} }, `recipient "Alice": Primary "": is empty`},
		{"organization", func(v *r) { v.Org = "" }, alice + `Org "": is no lower-case GUID`},
		{"type", func(v *r) { v.Type = "RemoteUserMailbox" }, alice + `Type "RemoteUserMailbox": is none of…`},
		{"alias", func(v *r) { v.Alias = "a b" }, alice + `Alias "a b": holds characters that an alias cannot have`},
		{"address twice", func(v *r) { v.Proxies = append(v.Proxies, v.Primary) }, alice + `Proxies "alice@contoso.com": is taken by the primary address`},
		{"too many proxies", func(v *r) {
			v.Proxies = nil
			for i := range directory.MaxProxies + 1 {
				v.Proxies = append(v.Proxies, smtpaddr.Must(fmt.Sprintf("a%d@contoso.com", i)))
			}
		}, alice + `Proxies "401": want at most 400`},
		{"name", func(v *r) { v.Name = " a" }, alice + `Name " a": begins or ends with white space`},
		{"logon name", func(v *r) { v.SamAccountName = "a@b" }, alice + `SamAccountName "a@b": holds characters that a logon name cannot have`},
		{"seats", func(v *r) { v.ResourceCapacity = -1 }, alice + `ResourceCapacity "-1": want 0 or more`},
		{"no UPN", func(v *r) { v.UPN = "" }, alice + `UPN "": is empty`},
		{"UPN in upper case", func(v *r) { v.UPN = "Alice@contoso.com" }, alice + `UPN "Alice@contoso.com": is not of the form user@domain in lower case`},
		{"mailbox with a target address", func(v *r) { v.ExternalAddress = smtpaddr.Must("a@x.example") }, alice + `ExternalAddress "a@x.example": only a mail user has a target address`},
		{"mailbox with members", func(v *r) { v.Members = []smtpaddr.Address{v.Primary} }, alice + `Members "1": only a group has members`},
		{"zone", func(v *r) { v.Calendar.TimeZone = "Local" }, alice + `Calendar.TimeZone "Local": is no known time zone`},
		{"days", func(v *r) { v.Calendar.WorkDays = 0x80 }, alice + `Calendar.WorkDays "10000000": has more than seven days`},
		{"hours", func(v *r) { v.Calendar.WorkEnd = v.Calendar.WorkStart }, alice + `Calendar.WorkStart "480 to 480": want minutes of a day, the start before the end`},
		{"hours after midnight", func(v *r) { v.Calendar.WorkEnd = 1441 }, alice + `Calendar.WorkStart "480 to 1441": want minutes of a day, the start before the end`},
		{"permission of nobody", func(v *r) { v.Permissions[1].User = "Bob@contoso.com" }, alice + `Permissions "Bob@contoso.com": the user is neither Default, Anonymous nor an address in canonical form`},
		{"permission twice", func(v *r) { v.Permissions[1].User = "Default" }, alice + `Permissions "Default": is taken by another permission`},
		{"permission level", func(v *r) { v.Permissions[1].Level = 9 }, alice + `Permissions "Level(9)": is no detail level`},
	}
	check(t, mailbox, (*r).Validate, rules)
	check(t, func() *r {
		m := mailbox()
		m.Type, m.ExternalAddress, m.Calendar, m.Permissions = directory.MailUser, smtpaddr.Must("alice@cloud.example"), directory.CalendarConfiguration{}, nil
		return m
	}, (*r).Validate, []rule[r]{
		{"mail user without target", func(v *r) { v.ExternalAddress = smtpaddr.Address{} }, alice + `ExternalAddress "": a mail user needs a target address`},
		{"mail user with a calendar", func(v *r) { v.Calendar = directory.DefaultCalendar("UTC") }, alice + `Calendar "MailUser": only a mailbox has a calendar here`},
	})
	check(t, func() *r {
		m := mailbox()
		m.Type, m.UPN, m.Calendar, m.Permissions, m.Members = directory.MailGroup, "", directory.CalendarConfiguration{}, nil, []smtpaddr.Address{smtpaddr.Must("bob@contoso.com")}
		return m
	}, (*r).Validate, []rule[r]{
		{"group with UPN", func(v *r) { v.UPN = "g@contoso.com" }, alice + `UPN "g@contoso.com": a group cannot sign in`},
		{"member twice", func(v *r) { v.Members = append(v.Members, v.Members[0]) }, alice + `Members "bob@contoso.com": is taken by another member`},
		{"permissions", func(v *r) { v.Permissions = []directory.Permission{{User: "Default", Level: freebusy.LevelTime}} }, alice + `Permissions "1": only a mailbox has a calendar folder here`},
	})
}

func TestAccountAndAuthorityRules(t *testing.T) {
	type a = directory.Account
	check(t, func() *a {
		return &a{Org: directory.OrgID(guid(0)), UserName: "alice@contoso.com", PasswordHash: "$argon2id$x", Roles: []string{directory.RoleAdmin}}
	}, (*a).Validate, []rule[a]{
		{"name", func(v *a) { v.UserName = "Alice@contoso.com" }, `account "Alice@contoso.com": UserName "Alice@contoso.com": is not of the form user@domain in lower case`},
		{"hash", func(v *a) { v.PasswordHash = "geheim" }, `account "alice@contoso.com": PasswordHash "(secret)": is no argon2id hash`},
		{"role", func(v *a) { v.Roles = []string{"Emperor"} }, `account "alice@contoso.com": Roles "Emperor": is none of…`},
		{"of two", func(v *a) { v.Realm = guid(1) }, `account "alice@contoso.com": Realm "` + guid(1) + `": the account belongs to an organization already`},
		{"of nobody", func(v *a) { v.Org = "" }, `account "alice@contoso.com": Realm "": is no lower-case GUID`},
	})
	check(t, func() *a {
		return &a{Realm: guid(0), UserName: "alice@contoso.com", PasswordHash: "$argon2id$x", Roles: []string{directory.RoleAdmin, directory.RoleView}}
	}, (*a).Validate, []rule[a]{
		{"mailbox", func(v *a) { v.Address = smtpaddr.Must("a@contoso.com") }, `account "alice@contoso.com": Address "a@contoso.com": an account of a realm has no mailbox`},
		{"role of mailboxes", func(v *a) { v.Roles = []string{directory.RoleImport} }, `account "alice@contoso.com": Roles "Mailbox Import Export": is none of Organization Management, View-Only Organization Management`},
	})
	type c = directory.AuthorityConfig
	check(t, func() *c {
		return &c{Cloud: directory.Clouds["21vianet"], Certificates: []directory.Certificate{keys().rsa}, TokenLifetime: time.Hour}
	}, (*c).Validate, []rule[c]{
		{"lifetime", func(v *c) { v.TokenLifetime = 25 * time.Hour }, `authorization server "21vianet": TokenLifetime "25h0m0s": want more than 0 and at most 24h0m0s`},
		{"no certificate", func(v *c) { v.Certificates = nil }, `authorization server "21vianet": Certificates "": is empty`},
		{"first without key", func(v *c) { v.Certificates = slices.Clone(v.Certificates); v.Certificates[0].Key = nil }, `certificate "` + keys().rsa.Thumbprint + `": Key "": the first certificate signs and needs its private key`},
		{"first is the next", func(v *c) { v.Certificates = staged(v.Certificates[0]) }, `certificate "` + keys().rsa.Thumbprint + `": EffectiveAt "` + keys().rsa.Thumbprint + `": the first certificate signs: it is neither the next nor a former one`},
		{"EC key", func(v *c) { v.Certificates = []directory.Certificate{keys().ec} }, `certificate "` + keys().ec.Thumbprint + `": DER "` + keys().ec.Thumbprint + `": an authorization server signs with RSA`},
		{"host", func(v *c) { v.Cloud.ACSHost = "https://acs" }, `cloud "21vianet": ACSHost "https://acs": is no domain name`},
	})
	for name, cloud := range directory.Clouds {
		if err := (&c{Cloud: cloud, Certificates: []directory.Certificate{keys().rsa}, TokenLifetime: time.Hour}).Validate(); err != nil || cloud.Name != name {
			t.Errorf("preset %s: %v", name, err)
		}
	}
}

// staged is the certificate as the next one of an authorization server.
func staged(c directory.Certificate) []directory.Certificate {
	c.EffectiveAt = &now
	return []directory.Certificate{c}
}

func TestNextCertificateOfAnAuthority(t *testing.T) {
	first, other := keys().rsa, keys().weak
	for _, c := range []struct {
		name   string
		change func(next *directory.Certificate)
		want   string // "": allowed
	}{
		{"next", func(k *directory.Certificate) { k.EffectiveAt = &now }, ""},
		{"former", func(k *directory.Certificate) { k.RetiredAt = &now }, ""},
		{"former without key", func(k *directory.Certificate) { k.RetiredAt, k.Key = &now, nil }, ""},
		{"next without key", func(k *directory.Certificate) { k.EffectiveAt, k.Key = &now, nil }, "the next certificate is going to sign and needs its private key"},
		{"both", func(k *directory.Certificate) { k.EffectiveAt, k.RetiredAt = &now, &now }, "is both the next certificate and a former one"},
	} {
		k := other
		c.change(&k)
		a := directory.AuthorityConfig{Cloud: directory.Clouds["21vianet"], Certificates: []directory.Certificate{first, k}, TokenLifetime: time.Hour}
		err := a.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	o := organization()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	printed := string(text) + fmt.Sprintf("%v %+v %#v %s", o, *o, o, o.AddressSpaces[1].Password) + o.AddressSpaces[1].Password.LogValue().String()
	for _, secret := range []string{"correct horse", "Y29ycmVjdCBob3JzZQ", fmt.Sprint([]byte("correct horse")), base64Of(directory.Certificate{DER: o.Certificates[0].Key})[:40]} {
		if strings.Contains(printed, secret) {
			t.Errorf("%q is shown", secret)
		}
	}
	if !strings.Contains(string(text), `"Password":"(secret)"`) || !strings.Contains(string(text), `"Password":""`) {
		t.Error("whether there is a password is not to be seen")
	}
	var back directory.Organization
	if err := json.Unmarshal(text, &back); err != nil || back.AddressSpaces[1].Password != nil {
		t.Errorf("what stands for a secret became one: %q, %v", []byte(back.AddressSpaces[1].Password), err)
	}
	if text, err := json.Marshal(directory.Account{PasswordHash: "$argon2id$x"}); err != nil || strings.Contains(string(text), "argon2id") {
		t.Errorf("account: %s, %v", text, err)
	}
}
