package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"busybridge/bench/dataset"
	"busybridge/internal/admin"
	"busybridge/internal/app"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/trust"
)

// A world is a directory with an organization that has the mailboxes of the data
// set, and what it is asked with. The store begins without events.
type world struct {
	dir              string
	listen, ops      string // of the program
	foreign          string // where the other organization's server is
	token            string // of that organization, for one of its users
	user, password   string // of the organization itself
	mailboxes        int
	certFile, config string
}

const partnerDomain = "fabrikam.com"

// makeWorld writes it. The program is not running.
func makeWorld(ctx context.Context, dir string, mailboxes int) (*world, error) {
	now := time.Now() //nolint:forbidigo // a measurement is of now
	w := &world{dir: dir, user: "bench@" + dataset.Domain, password: rand.Text(), mailboxes: mailboxes,
		certFile: filepath.Join(dir, "server.pem"), config: filepath.Join(dir, "busybridge.yaml")}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	w.listen, w.ops, w.foreign = ports[0], ports[1], ports[2]
	keyFile := filepath.Join(dir, "server.key")
	if err := makeCertificate(w.certFile, keyFile, now); err != nil {
		return nil, err
	}
	seal := make([]byte, 32)
	rand.Read(seal)
	sealFile := filepath.Join(dir, "seal.key")
	if err := os.WriteFile(sealFile, []byte(base64.StdEncoding.EncodeToString(seal)+"\n"), 0o600); err != nil {
		return nil, err
	}
	store := filepath.Join(dir, "busybridge.db")
	if err := w.writeConfig(store, keyFile, sealFile); err != nil {
		return nil, err
	}
	d, err := app.Open(ctx, app.Settings{StorePath: store, SealKey: seal, Now: time.Now, Log: slog.New(slog.DiscardHandler)}) //nolint:forbidigo // the same
	if err != nil {
		return nil, err
	}
	return w, errors.Join(w.populate(ctx, d, now), d.Close())
}

// writeConfig writes a configuration; JSON is YAML.
func (w *world) writeConfig(store, keyFile, sealFile string) error {
	b, err := json.MarshalIndent(map[string]any{
		"node":   map[string]any{"host_names": []string{ourHost}},
		"listen": w.listen, "ops_listen": w.ops,
		"tls":           map[string]any{"certificate_file": w.certFile, "key_file": keyFile},
		"store":         map[string]any{"path": store},
		"seal_key_file": sealFile, "trusted_ca_files": []string{w.certFile},
		"connect_to": map[string]any{foreignHost + ":443": w.foreign},
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(w.config, b, 0o600)
}

func freePorts(n int) ([]string, error) {
	var out []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close() // all are open until all are known
		out = append(out, ln.Addr().String())
	}
	return out, nil
}

var operator = admin.Actor{Name: "bench", System: true}

func (w *world) populate(ctx context.Context, d *app.Deployment, now time.Time) error {
	res, err := d.Admin.NewOrganization(ctx, operator, admin.OrganizationParams{Name: "contoso", Domain: dataset.Domain})
	if err != nil {
		return err
	}
	id, url := res.Object.ID, "https://"+ourHost+"/EWS/Exchange.asmx"
	if _, err := d.Admin.NewServer(ctx, operator, id, directory.Server{Common: directory.Common{Name: "MAIL"}, HostNames: []string{ourHost},
		AdminDisplayVersion: directory.OAuthVersion, InternalURL: url, ExternalURL: url, OAuthAuthentication: true, BasicAuthentication: true}); err != nil {
		return err
	}
	if _, err := d.Admin.NewAccount(ctx, operator, id, admin.AccountParams{UserName: w.user, Password: w.password, Roles: []string{directory.RoleAdmin, directory.RoleImport}}); err != nil {
		return err
	}
	for i := range w.mailboxes {
		address, err := smtpaddr.Parse(dataset.Address(i))
		if err != nil {
			return err
		}
		if err := d.Store.CreateRecipient(ctx, &directory.Recipient{
			Org: id, ID: uuid.NewString(), Type: directory.UserMailbox, DisplayName: address.Local(), Alias: address.Local(), Primary: address, UPN: address.String(), Enabled: true,
			Calendar:    directory.DefaultCalendar("UTC"),
			Permissions: []directory.Permission{{User: "Default", Level: freebusy.LevelTime}, {User: "Anonymous", Level: freebusy.LevelNone}},
		}); err != nil {
			return err
		}
	}
	return w.trustPartner(ctx, d, res.Object, now)
}

// trustPartner makes the two organizations trust each other directly.
func (w *world) trustPartner(ctx context.Context, d *app.Deployment, org *directory.Organization, now time.Time) error {
	cert, err := trust.NewSigningCertificate("CN="+partnerDomain, now.Add(-time.Hour), now.AddDate(1, 0, 0))
	if err != nil {
		return err
	}
	if _, err := d.Store.UpdateOrganization(ctx, org.ID, func(o *directory.Organization) error {
		o.PartnerApplications = append(o.PartnerApplications, directory.PartnerApplication{
			Common: directory.Common{Name: "Fabrikam", GUID: uuid.NewString()}, Enabled: true, ApplicationIdentifier: directory.ExchangeAppID, IssuerIdentifier: directory.ExchangeAppID,
			Realm: partnerDomain, CertificateStrings: []string{base64.StdEncoding.EncodeToString(cert.DER)}, ActAsPermissions: []string{trust.FreeBusyPermission},
		})
		o.Relationships = append(o.Relationships, directory.OrganizationRelationship{
			Common: directory.Common{Name: "Fabrikam", GUID: uuid.NewString()}, Enabled: true, DomainNames: []string{partnerDomain}, FreeBusyAccessEnabled: true, FreeBusyAccessLevel: "LimitedDetails",
		})
		o.Connectors = append(o.Connectors, directory.IntraOrganizationConnector{
			Common: directory.Common{Name: "Fabrikam", GUID: uuid.NewString()}, Enabled: true, TargetAddressDomains: []string{partnerDomain},
			DiscoveryEndpoint: "https://" + foreignHost + "/autodiscover/autodiscover.svc", TargetSharingEpr: "https://" + foreignHost + "/EWS/Exchange.asmx",
		})
		return nil
	}); err != nil {
		return err
	}
	// A token as the partner makes it: of its own, and for one of its users.
	fabrikam := &directory.Organization{
		ID: "fabrikam", Name: "fabrikam", AcceptedDomains: []directory.AcceptedDomain{{DomainName: partnerDomain, Default: true}},
		AuthConfig:   directory.AuthConfig{ServiceName: directory.ExchangeAppID, CurrentCertificateThumbprint: cert.Thumbprint},
		Certificates: []directory.Certificate{cert},
	}
	tokens, err := trust.NewTokens(trust.TokensConfig{Endpoint: noEndpoint{}, Now: time.Now, Log: slog.New(slog.DiscardHandler)}) //nolint:forbidigo // a measurement is of now
	if err != nil {
		return err
	}
	ch := challenge(dataset.Domain, partnerDomain)
	asker := "fred@" + partnerDomain
	if w.token, err = tokens.Bearer(ctx, fabrikam, ch, ourHost, &trust.User{UPN: asker, SMTP: asker, SIP: asker}); err != nil {
		return fmt.Errorf("token of the partner: %w", err)
	}
	return nil
}

// challenge is what a server of the realm says when it trusts the other directly.
func challenge(realm, trusted string) acs.Challenge {
	return acs.Challenge{ClientID: directory.ExchangeAppID, Realm: realm, TrustedIssuers: []acs.PrincipalName{{PID: directory.ExchangeAppID, Realm: trusted}}}
}

// noEndpoint: nobody is asked for a token here.
type noEndpoint struct{ trust.TokenEndpoint }
