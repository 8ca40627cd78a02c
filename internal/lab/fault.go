package lab

import (
	"context"
	"crypto/x509"
	"encoding/base64"
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
}

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

// Faults are the faults that a lab can be started with, by the step that they
// break. Where Exchange Web Services of the cloud are closed to every application
// anyway, a fault that ends in the same refusal would not be seen.
func Faults() []Fault {
	later := Editions()[1:]
	return []Fault{
		{faultIssuer, "step 1 is left out: on premises knows no authorization server", Editions()},
		{faultPartner, "step 2 is left out: the partner application stays disabled on premises", Editions()},
		{faultExpired, "step 3: the certificate that on premises signs with has expired", Editions()},
		{faultKey, "step 4: another certificate than the current one is uploaded", Editions()},
		{faultRole, "step 4: nobody consents to the role full_access_as_app of the application", later},
		{faultApplication, "step 4a is left out: on premises asks as the principal that all share", []string{Edition2025}},
		{faultOther, "step 4a: on premises asks as an application that the tenant has not", later},
		{faultDomain, "step 4a: the AuthServer of Entra is not for the target address domain", []string{Edition2025}},
		{faultSPN, "step 5 is left out: no host name of on premises is a service principal name", Editions()},
		{faultConnector, "step 6 is left out: on premises has no connector to the cloud", Editions()},
		{faultStale, "the cloud has old keys of Entra and cannot read new ones", later},
		{faultEntra, "the cloud's AuthServer of Entra is disabled", later},
		{faultAllowList, "the cloud allows Exchange Web Services to another application only", []string{Edition2025}},
		{faultClosed, "Exchange Web Services of the cloud are disabled for everybody", later},
		{faultGraphRole, "step 9 is left out: nobody consents to the role Calendars.ReadBasic.All of the application", []string{Edition2026}},
	}
}

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

// spoilCloud breaks what the steps do not touch, when they are done.
func (l *Lab) spoilCloud(ctx context.Context) error {
	if !slices.Contains([]string{faultStale, faultEntra, faultAllowList, faultClosed}, l.o.Fault) {
		return nil
	}
	now := l.o.Now()
	old, err := trust.NewSigningCertificate("CN=old", now, now.AddDate(5, 0, 0))
	if err != nil {
		return err
	}
	org, err := l.organization(ctx, cloud)
	if err != nil {
		return err
	}
	_, err = l.deployments[cloud].Store.UpdateOrganization(ctx, org.ID, func(o *directory.Organization) error {
		i := slices.IndexFunc(o.AuthServers, func(s directory.AuthServer) bool { return s.Type == directory.AuthServerAzureAD })
		switch s := &o.AuthServers[i]; l.o.Fault {
		case faultStale:
			s.CertificateStrings, s.AuthMetadataURL = []string{base64.StdEncoding.EncodeToString(old.DER)}, s.AuthMetadataURL+"/moved"
		case faultEntra:
			s.Enabled = false
		case faultAllowList:
			o.AvailabilityConfig.EWS = directory.EWSAccess{Enabled: new(true), AllowedAppIDs: []string{nobodysApp}}
		case faultClosed:
			o.AvailabilityConfig.EWS.Enabled = new(false)
		}
		return nil
	})
	return err
}

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
