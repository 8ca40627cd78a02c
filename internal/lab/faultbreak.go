package lab

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/trust"
)

// clockOff is what faultClock makes of the clock of on premises.
const clockOff = 10 * time.Minute

// clockOf is the clock of a deployment.
func (l *Lab) clockOf(name deploymentName) func() time.Time {
	return func() time.Time {
		if name == onprem && l.broken.is(faultClock) {
			return l.o.Now().Add(clockOff)
		}
		return l.o.Now()
	}
}

// broken is what a fault does between the hosts of a world: to clocks, to TLS, and
// at the host that stands before on premises. The zero value does nothing.
type broken struct {
	mu     sync.Mutex
	fault  string        // guarded by mu
	healed chan struct{} // closed when fault ends; guarded by mu
}

func (b *broken) set(fault string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.healed != nil {
		close(b.healed)
	}
	b.fault, b.healed = fault, make(chan struct{})
}

func (b *broken) is(fault string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fault == fault
}

// before is h behind what is broken.
func (b *broken) before(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		late, healed := b.fault == faultLate, b.healed
		b.mu.Unlock()
		if late && r.TLS != nil && r.TLS.ServerName == directory.Clouds[cloudName].EWSHost && strings.EqualFold(r.URL.Path, "/ews/exchange.asmx") && len(r.Header.Get("Authorization")) > len("Bearer ") {
			select {
			case <-healed:
			case <-r.Context().Done():
				return
			}
		}
		h.ServeHTTP(w, r)
	})
}

// ServeHTTP is what stands before on premises: nothing, without a fault.
func (b *broken) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case b.is(faultPerimeter):
		w.Header().Add("WWW-Authenticate", "Negotiate")
		w.Header().Add("WWW-Authenticate", `Basic realm="gateway"`)
		http.Error(w, "Sign in to the gateway.", http.StatusUnauthorized)
	case b.is(faultLogin) && r.URL.Path != "/login":
		http.Redirect(w, r, "https://"+edgeHost+"/login", http.StatusFound)
	case b.is(faultLogin):
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!DOCTYPE html><title>Sign in</title><form></form>")
	default:
		http.NotFound(w, r)
	}
}

// tlsOf is the TLS of a host where a fault has spoiled it; nil: it has not.
func (b *broken) tlsOf(of deploymentName, certs map[string]*tls.Certificate) *tls.Config {
	switch {
	case of != edge:
	case b.is(faultTLSName):
		return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*certs[mailHost]}}
	case b.is(faultTLSVersion):
		return &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11, Certificates: []tls.Certificate{*certs[edgeHost]}} //nolint:gosec // that is the fault
	}
	return nil
}

// Heal ends what a fault does outside of the stores. What it has changed in them
// stays: that is for whoever diagnoses it.
func (l *Lab) Heal() { l.broken.set("") }

// Break does what the fault of that name does, to a world that is joined.
func (l *Lab) Break(ctx context.Context, fault string) error {
	if _, ok := knownFault(fault); !ok {
		return fmt.Errorf("%w: no fault is called %q", ErrUsage, fault)
	}
	if err := l.breakStores(ctx, fault); err != nil {
		return fmt.Errorf("break %s: %w", fault, err)
	}
	l.broken.set(fault)
	return nil
}

func (l *Lab) breakStores(ctx context.Context, fault string) error {
	alice, kim := "alice@"+domain, "kim@"+domain
	change := func(name deploymentName, do func(*directory.Organization)) error {
		org, err := l.organization(ctx, name)
		if err != nil {
			return err
		}
		_, err = l.deployments[name].Store.UpdateOrganization(ctx, org.ID, func(o *directory.Organization) error {
			do(o)
			return nil
		})
		return err
	}
	tenant := func(do func(*directory.Realm)) error {
		r, err := l.deployments[authorize].Store.Realm(ctx, initial)
		if err != nil {
			return err
		}
		_, err = l.deployments[authorize].Store.UpdateRealm(ctx, r.ID, func(r *directory.Realm) error {
			do(r)
			return nil
		})
		return err
	}
	recipient := func(name deploymentName, address string, do func(*directory.Recipient)) error {
		org, err := l.organization(ctx, name)
		if err != nil {
			return err
		}
		r, err := l.deployments[name].Store.Recipient(ctx, org.ID, mustAddress(address))
		if err != nil {
			return err
		}
		_, err = l.deployments[name].Store.UpdateRecipient(ctx, org.ID, r.ID, func(r *directory.Recipient) error {
			do(r)
			return nil
		})
		return err
	}
	// discovery is where the cloud looks for Autodiscover of on premises.
	discovery := func(host string) error {
		return change(cloud, func(o *directory.Organization) {
			o.Connectors[0].DiscoveryEndpoint = "https://" + host + "/autodiscover/autodiscover.svc"
		})
	}
	certificate, err := trust.NewSigningCertificate("CN=old", l.o.Now(), l.o.Now().AddDate(5, 0, 0))
	if err != nil {
		return err
	}
	switch fault {
	case faultIssuer:
		return change(onprem, func(o *directory.Organization) { o.AuthServers = nil })
	case faultPartner:
		return change(onprem, func(o *directory.Organization) {
			for i := range o.PartnerApplications {
				o.PartnerApplications[i].Enabled = false
			}
		})
	case faultExpired:
		if err := l.expire(ctx); err != nil {
			return err
		}
		return l.uploadExpired(ctx)
	case faultCertificate:
		return change(onprem, func(o *directory.Organization) { o.AuthConfig.CurrentCertificateThumbprint = "" })
	case faultKey: // the next certificate signs, and the one before is uploaded
		next, err := trust.NewSigningCertificate(trust.ExchangeCertificateSubject, l.o.Now(), l.o.Now().AddDate(5, 0, 0))
		if err != nil {
			return err
		}
		return change(onprem, func(o *directory.Organization) {
			o.Certificates = append(o.Certificates, next)
			o.AuthConfig.PreviousCertificateThumbprint, o.AuthConfig.CurrentCertificateThumbprint = o.AuthConfig.CurrentCertificateThumbprint, next.Thumbprint
		})
	case faultNotUploaded:
		own, err := l.organization(ctx, onprem)
		if err != nil {
			return err
		}
		return tenant(func(r *directory.Realm) {
			for i := range r.Principals {
				p := &r.Principals[i]
				p.KeyCredentials = slices.DeleteFunc(p.KeyCredentials, func(k directory.KeyCredential) bool { return own.Certificate(directory.Thumbprint(k.Value)) != nil })
			}
		})
	case faultRole, faultGraphRole:
		return tenant(func(r *directory.Realm) {
			role := directory.RoleFullAccessAsApp.ID
			if fault == faultGraphRole {
				role = "8ba4a692-bc31-4128-9094-475872af8a53" // Calendars.ReadBasic.All
			}
			for i := range r.Principals {
				p := &r.Principals[i]
				p.AppRoleAssignments = slices.DeleteFunc(p.AppRoleAssignments, func(a directory.AppRoleAssignment) bool { return a.RoleID == role })
			}
		})
	case faultApplication, faultOther, faultDomain, faultEWS:
		return change(onprem, func(o *directory.Organization) {
			switch s := entraOf(o); fault {
			case faultApplication:
				s.ApplicationIdentifier, s.DomainName = "", nil
			case faultOther:
				s.ApplicationIdentifier = nobodysApp
			case faultDomain:
				s.DomainName = slices.DeleteFunc(s.DomainName, func(d string) bool { return d == coexistence })
			case faultEWS:
				s.GraphBaseURL = ""
			}
		})
	case faultShared:
		own, err := l.organization(ctx, onprem)
		if err != nil {
			return err
		}
		der, err := currentCertificate(own)
		if err != nil {
			return err
		}
		if err := tenant(func(r *directory.Realm) {
			for i := range r.Principals {
				if p := &r.Principals[i]; p.AppPrincipalID == directory.ExchangeAppID {
					now := l.o.Now()
					p.KeyCredentials = append(p.KeyCredentials, directory.KeyCredential{
						KeyID: "00000000-0000-4000-8000-00000000e0a2", Type: "Asymmetric", Usage: "Verify", Value: der, StartDate: now, EndDate: now.AddDate(1, 0, 0),
					})
				}
			}
		}); err != nil {
			return err
		}
		return change(onprem, func(o *directory.Organization) {
			o.AuthServers = slices.DeleteFunc(o.AuthServers, func(s directory.AuthServer) bool { return s.Type == directory.AuthServerAzureAD })
		})
	case faultSPN:
		return tenant(func(r *directory.Realm) {
			for i := range r.Principals {
				if p := &r.Principals[i]; p.AppPrincipalID == directory.ExchangeAppID {
					p.ServicePrincipalNames = slices.DeleteFunc(p.ServicePrincipalNames, func(n string) bool { return strings.HasSuffix(n, domain) })
				}
			}
		})
	case faultConnector:
		return change(onprem, func(o *directory.Organization) { o.Connectors = nil })
	case faultStale, faultEntra, faultAllowList, faultClosed:
		return change(cloud, func(o *directory.Organization) {
			s := entraOf(o)
			if s == nil {
				s = &o.AuthServers[0]
			}
			switch fault {
			case faultStale:
				s.CertificateStrings, s.AuthMetadataURL = []string{base64.StdEncoding.EncodeToString(certificate.DER)}, s.AuthMetadataURL+"/moved"
			case faultEntra:
				s.Enabled = false
			case faultAllowList:
				o.AvailabilityConfig.EWS = directory.EWSAccess{Enabled: new(true), AllowedAppIDs: []string{nobodysApp}}
			case faultClosed:
				o.AvailabilityConfig.EWS.Enabled = new(false)
			}
		})
	case faultAmbiguous:
		const other = "alice.moved@" + domain
		org, err := l.organization(ctx, cloud)
		if err != nil {
			return err
		}
		if _, err := l.deployments[cloud].Admin.NewMailUser(ctx, operator, org.ID, admin.MailUserParams{
			Name: "Alice (moved)", Alias: "alice.moved", Primary: other, ExternalAddress: "alice@fabrikam.com",
		}); err != nil {
			return err
		}
		return recipient(onprem, alice, func(r *directory.Recipient) { r.UPN = other })
	case faultUser:
		org, err := l.organization(ctx, cloud)
		if err != nil {
			return err
		}
		_, err = l.deployments[cloud].Admin.RemoveMailUser(ctx, operator, org.ID, "bob@"+domain)
		return err
	case faultApex:
		if err := change(onprem, func(o *directory.Organization) { o.Servers[0].HostNames = append(o.Servers[0].HostNames, domain) }); err != nil {
			return err
		}
		return discovery(domain)
	case faultPerimeter, faultLogin, faultTLSName, faultTLSVersion:
		return discovery(edgeHost)
	case faultUnreachable:
		return discovery(goneHost)
	case faultURL:
		return change(onprem, func(o *directory.Organization) {
			o.Servers[0].ExternalURL = "https://" + goneHost + "/ews/exchange.asmx"
		})
	case faultElsewhere:
		return change(onprem, func(o *directory.Organization) {
			o.Connectors[0].DiscoveryEndpoint = "https://" + discoverHost + "/autodiscover/autodiscover.svc"
		})
	case faultMailbox:
		return recipient(onprem, kim, func(r *directory.Recipient) { r.ExternalAddress = mustAddress("kim.old@" + coexistence) })
	case faultCalendar:
		org, err := l.organization(ctx, cloud)
		if err != nil {
			return err
		}
		_, err = l.deployments[cloud].Admin.SetMailboxFolderPermission(ctx, operator, org.ID, kim, "Default", freebusy.LevelNone)
		return err
	case faultRelationship:
		return change(cloud, func(o *directory.Organization) {
			o.Relationships = append(o.Relationships, directory.OrganizationRelationship{
				Common: directory.Common{Name: "On premises", GUID: "00000000-0000-4000-8000-00000000e0a3"}, DomainNames: []string{domain}, Enabled: true, FreeBusyAccessEnabled: true, FreeBusyAccessLevel: "None",
			})
		})
	case faultMany:
		return l.fill(ctx)
	case faultLoop:
		org, err := l.organization(ctx, cloud)
		if err != nil {
			return err
		}
		if _, err := l.deployments[cloud].Admin.NewMailUser(ctx, operator, org.ID, admin.MailUserParams{
			Name: "Kim (moved)", Alias: "kim.moved", Primary: "kim.moved@" + coexistence, ExternalAddress: kim,
		}); err != nil {
			return err
		}
		return recipient(onprem, kim, func(r *directory.Recipient) { r.ExternalAddress = mustAddress("kim.moved@" + coexistence) })
	}
	return nil // faultClock, faultLate: nothing is in the stores
}

// mustAddress is an address of this world.
func mustAddress(s string) smtpaddr.Address {
	a, err := smtpaddr.Parse(s)
	if err != nil {
		panic("lab: " + err.Error())
	}
	return a
}

// entraOf is the AuthServer of Entra; nil: there is none.
func entraOf(o *directory.Organization) *directory.AuthServer {
	for i := range o.AuthServers {
		if s := &o.AuthServers[i]; s.Type == directory.AuthServerAzureAD {
			return s
		}
	}
	return nil
}

// fill gives bob more entries on one day than an answer may have.
func (l *Lab) fill(ctx context.Context) error {
	const entries = freebusy.MaxEvents + freebusy.MaxEvents/5
	org, err := l.organization(ctx, onprem)
	if err != nil {
		return err
	}
	start := l.o.Now().UTC().Truncate(time.Hour)
	var b strings.Builder
	b.WriteString("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//busybridge//lab//EN\r\n")
	for i := range entries {
		at := start.Add(time.Duration(i) * 24 * time.Hour / entries).Truncate(time.Second)
		fmt.Fprintf(&b, "BEGIN:VEVENT\r\nUID:many-%d@%s\r\nDTSTAMP:%[3]s\r\nDTSTART:%[3]s\r\nDURATION:PT30S\r\nSUMMARY:Entry %[1]d\r\nEND:VEVENT\r\n", i, domain, at.Format("20060102T150405Z"))
	}
	b.WriteString("END:VCALENDAR\r\n")
	_, err = l.deployments[onprem].Admin.ImportCalendar(ctx, operator, org.ID, "bob@"+domain, "many.ics", strings.NewReader(b.String()))
	return err
}
