package lab

import (
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// A Fault is one thing that is broken on purpose.
type Fault struct {
	Name, Text string
	Editions   []string // whose steps it breaks
	// From and To are a question that fails by it.
	From, To string
	// Outside: what mends it is no cmdlet; Heal does.
	Outside bool
}

// The faults of steps.
const (
	faultKey         = "wrong-key-credential"
	faultSPN         = "missing-spn"
	faultExpired     = "expired-certificate"
	faultPartner     = "disabled-partner-application"
	faultConnector   = "missing-connector"
	faultIssuer      = "missing-auth-server"
	faultRole        = "missing-app-role"
	faultApplication = "missing-application"
	faultOther       = "wrong-application"
	faultDomain      = "uncovered-domain"
	faultStale       = "stale-keys"
	faultEntra       = "disabled-entra"
	faultAllowList   = "not-in-allow-list"
	faultClosed      = "ews-disabled"
	faultGraphRole   = "missing-graph-role"
)

// The faults of a world that is joined.
const (
	faultShared       = "shared-principal-blocked"
	faultCertificate  = "missing-certificate"
	faultNotUploaded  = "certificate-not-uploaded"
	faultAmbiguous    = "ambiguous-user"
	faultUser         = "unknown-user"
	faultApex         = "spn-apex"
	faultPerimeter    = "pre-authentication"
	faultLogin        = "autodiscover-redirects"
	faultUnreachable  = "endpoint-unreachable"
	faultTLSName      = "tls-name"
	faultTLSVersion   = "tls-version"
	faultClock        = "clock-off"
	faultElsewhere    = "autodiscover-elsewhere"
	faultURL          = "ews-url-elsewhere"
	faultMailbox      = "mailbox-unknown"
	faultCalendar     = "calendar-permission-none"
	faultRelationship = "relationship-level-none"
	faultLate         = "late-answer"
	faultMany         = "too-many-entries"
	faultEWS          = "ews-blocked"
	faultLoop         = "proxy-loop"
)

// Faults are the faults that a lab can be started with, by the step that they
// break; then those of a world that is joined. Where Exchange Web Services of the
// cloud are closed to every application anyway, a fault that ends in the same
// refusal would not be seen.
func Faults() []Fault {
	first, later := []string{Edition2014}, Editions()[1:]
	const alice, kim, bob = "alice@" + domain, "kim@" + domain, "bob@" + domain
	return []Fault{
		{Name: faultIssuer, Text: "step 1 is left out: on premises knows no authorization server", Editions: Editions(), From: alice, To: kim},
		{Name: faultPartner, Text: "step 2 is left out: the partner application stays disabled on premises", Editions: Editions(), From: kim, To: alice},
		{Name: faultExpired, Text: "step 3: the certificate that on premises signs with has expired", Editions: Editions(), From: alice, To: kim},
		{Name: faultKey, Text: "step 4: another certificate than the current one is uploaded", Editions: Editions(), From: alice, To: kim},
		{Name: faultRole, Text: "step 4: nobody consents to the role full_access_as_app of the application", Editions: later, From: alice, To: kim},
		{Name: faultApplication, Text: "step 4a is left out: on premises asks as the principal that all share", Editions: []string{Edition2025}, From: alice, To: kim},
		{Name: faultOther, Text: "step 4a: on premises asks as an application that the tenant has not", Editions: later, From: alice, To: kim},
		{Name: faultDomain, Text: "step 4a: the AuthServer of Entra is not for the target address domain", Editions: []string{Edition2025}, From: alice, To: kim},
		{Name: faultSPN, Text: "step 5 is left out: no host name of on premises is a service principal name", Editions: Editions(), From: kim, To: alice},
		{Name: faultConnector, Text: "step 6 is left out: on premises has no connector to the cloud", Editions: Editions(), From: alice, To: kim},
		{Name: faultStale, Text: "the cloud has old keys of Entra, in edition 2014 of ACS, and cannot read new ones", Editions: Editions(), From: alice, To: kim},
		{Name: faultEntra, Text: "the cloud's AuthServer of Entra is disabled", Editions: later, From: alice, To: kim},
		{Name: faultAllowList, Text: "the cloud allows Exchange Web Services to another application only", Editions: []string{Edition2025}, From: alice, To: kim},
		{Name: faultClosed, Text: "Exchange Web Services of the cloud are disabled for everybody", Editions: later, From: alice, To: kim},
		{Name: faultGraphRole, Text: "step 9 is left out: nobody consents to the role Calendars.ReadBasic.All of the application", Editions: []string{Edition2026}, From: alice, To: kim},

		{Name: faultShared, Text: "on premises asks a cloud of 2025 as it did in 2014", Editions: []string{Edition2025}, From: alice, To: kim},
		{Name: faultEWS, Text: "step 10 is left out: on premises asks Exchange Web Services of a cloud of 2026", Editions: []string{Edition2026}, From: alice, To: kim},
		{Name: faultCertificate, Text: "AuthConfig of on premises names a certificate that is not there", Editions: Editions(), From: alice, To: kim},
		{Name: faultNotUploaded, Text: "the certificate of on premises is no credential of anything", Editions: Editions(), From: alice, To: kim},
		{Name: faultAmbiguous, Text: "alice's user principal name is the address of somebody else in the cloud", Editions: first, From: alice, To: kim},
		{Name: faultUser, Text: "the cloud has no entry for bob", Editions: first, From: bob, To: kim},
		{Name: faultApex, Text: "the cloud asks at contoso.com, and only *.contoso.com is a service principal name", Editions: first, From: kim, To: alice},
		{Name: faultPerimeter, Text: "a firewall before on premises asks for a sign-in of its own", Editions: first, From: kim, To: alice},
		{Name: faultLogin, Text: "Autodiscover of on premises sends everybody to a page to sign in", Editions: first, From: kim, To: alice},
		{Name: faultUnreachable, Text: "the cloud asks for Autodiscover of on premises where nothing listens", Editions: first, From: kim, To: alice},
		{Name: faultTLSName, Text: "the host that the cloud asks has a certificate for another name", Editions: first, From: kim, To: alice},
		{Name: faultTLSVersion, Text: "the host that the cloud asks speaks no TLS 1.2", Editions: first, From: kim, To: alice},
		{Name: faultClock, Text: "the clock of on premises is ten minutes fast", Editions: first, From: alice, To: kim, Outside: true},
		{Name: faultElsewhere, Text: "the connector to the cloud leads to Autodiscover of on premises itself", Editions: first, From: alice, To: kim},
		{Name: faultURL, Text: "Autodiscover of on premises names a host where nothing listens", Editions: first, From: kim, To: alice},
		{Name: faultMailbox, Text: "the target address of kim is of no mailbox in the cloud", Editions: first, From: alice, To: kim},
		{Name: faultCalendar, Text: "kim's calendar shows nothing to others", Editions: first, From: alice, To: kim},
		{Name: faultRelationship, Text: "the cloud has an organization relationship with on premises that shows nothing", Editions: first, From: alice, To: kim},
		{Name: faultLate, Text: "Exchange Web Services of the cloud take questions and never answer", Editions: first, From: alice, To: kim, Outside: true},
		{Name: faultMany, Text: "bob's calendar has 1,200 entries on one day", Editions: first, From: kim, To: bob, Outside: true},
		{Name: faultLoop, Text: "the target address of kim is of an entry in the cloud that leads back", Editions: first, From: alice, To: kim},
	}
}

// byStep are the faults that spoil a step, or leave it out.
var byStep = []string{faultKey, faultSPN, faultExpired, faultPartner, faultConnector, faultIssuer, faultRole, faultApplication, faultOther, faultDomain, faultGraphRole}

// afterSteps reports whether the fault breaks what the steps have made.
func (f Fault) afterSteps() bool { return !slices.Contains(byStep, f.Name) }

// knownFault is the fault of that name.
func knownFault(name string) (Fault, bool) {
	all := Faults()
	i := slices.IndexFunc(all, func(f Fault) bool { return f.Name == name })
	if i < 0 {
		return Fault{}, false
	}
	return all[i], true
}

// leftOut reports whether the fault is that the step is not done.
func (s step) leftOut(fault string) bool { return slices.Contains(s.faults, fault) }

// runStep runs one step, in the way that the lab's fault spoils it.
func (l *Lab) runStep(ctx context.Context, t *transcript, s step) error {
	var edit *strings.Replacer
	drive := filepath.Join(l.o.Dir, driveName, "OAuthConfig")
	switch fault := l.o.Fault; {
	case fault == faultExpired && (s.script == exportScript && l.o.Steps == Edition2014 || s.script == serverScript):
		if err := l.expire(ctx); err != nil {
			return err
		}
	case fault == faultExpired && s.script == uploadScript:
		if err := t.run(ctx, s.in, "Connect-MsolService"); err != nil { // the next step needs it
			return err
		}
		return l.uploadExpired(ctx)
	case fault == faultKey && (s.script == uploadScript || s.script == appScript):
		cert, err := trust.NewSigningCertificate(trust.ExchangeCertificateSubject, l.o.Now(), l.o.Now().AddDate(5, 0, 0))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(drive, "OAuthCert.cer"), cert.DER, 0o600); err != nil {
			return err
		}
	case fault == faultRole && s.script == appScript:
		edit = strings.NewReplacer("New-AzureADServiceAppRoleAssignment", "#")
	case fault == faultOther && s.script == serverScript:
		edit = strings.NewReplacer("-ApplicationIdentifier $appId", "-ApplicationIdentifier "+nobodysApp)
	case fault == faultDomain && s.script == serverScript:
		edit = strings.NewReplacer(coexistence+",", "")
	}
	return t.step(ctx, s, edit)
}

// nobodysApp is an application that no tenant has.
const nobodysApp = "00000000-0000-4000-8000-0000000000a1"

// expire makes a certificate current that has expired. No operation does that.
func (l *Lab) expire(ctx context.Context) error {
	org, err := l.organization(ctx, onprem)
	if err != nil {
		return err
	}
	now := l.o.Now()
	cert, err := trust.NewSigningCertificate(trust.ExchangeCertificateSubject, now.AddDate(-5, 0, -3), now.AddDate(0, 0, -3))
	if err != nil {
		return err
	}
	_, err = l.deployments[onprem].Store.UpdateOrganization(ctx, org.ID, func(o *directory.Organization) error {
		o.Certificates = append(o.Certificates, cert)
		o.AuthConfig.CurrentCertificateThumbprint = cert.Thumbprint
		return nil
	})
	return err
}

// uploadExpired is step 4 as it was while the certificate was valid.
func (l *Lab) uploadExpired(ctx context.Context) error {
	org, err := l.organization(ctx, onprem)
	if err != nil {
		return err
	}
	der, err := currentCertificate(org)
	if err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	store := l.deployments[authorize].Store
	realm, err := store.Realm(ctx, initial)
	if err != nil {
		return err
	}
	_, err = store.UpdateRealm(ctx, realm.ID, func(r *directory.Realm) error {
		for i := range r.Principals {
			if p := &r.Principals[i]; p.AppPrincipalID == directory.ExchangeAppID {
				p.KeyCredentials = append(p.KeyCredentials, directory.KeyCredential{
					KeyID: "00000000-0000-4000-8000-00000000e0a1", Type: "Asymmetric", Usage: "Verify", Value: der,
					StartDate: cert.NotBefore, EndDate: cert.NotAfter,
				})
			}
		}
		return nil
	})
	return err
}
