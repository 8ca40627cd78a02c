package main

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"busybridge/bench/meter"
	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/jose"
	"busybridge/internal/spec/wintz"
	"busybridge/internal/store/sqlitestore"
)

// A world is a running lab, and the key of its organization on premises: the
// measuring client asks for tokens as that organization.
type world struct {
	lab        *meter.Lab
	onprem     *directory.Organization
	cloud      *directory.Organization
	people     *sqlitestore.Store // the cloud's
	key        *rsa.PrivateKey
	x5t        string
	server     *directory.AuthServer // of the organization
	tokens     *http.Client
	endpoint   string
	audienceOf string       // of assertions
	ahead      chan string  // assertions that are signed already
	next       atomic.Int64 // number of the next assertion, or of the next host
}

// hostsBelow is a wildcard of the tenant: each host below it is another audience.
const hostsBelow = ".bench.contoso.com"

func open(ctx context.Context, binary string) (_ *world, err error) {
	w := &world{}
	if w.lab, err = meter.StartLab(ctx, binary); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	onprem, err := w.store(ctx, "onprem")
	if err != nil {
		return nil, err
	}
	defer onprem.Close()
	if w.people, err = w.store(ctx, "cloud"); err != nil {
		return nil, err
	}
	if w.onprem, err = only(ctx, onprem); err != nil {
		return nil, err
	}
	if w.cloud, err = only(ctx, w.people); err != nil {
		return nil, err
	}
	if err := w.credentials(); err != nil {
		return nil, err
	}
	if err := w.register(ctx); err != nil {
		return nil, err
	}
	w.endpoint = w.server.TokenIssuingEndpoint
	host := strings.Split(w.endpoint, "/")[2]
	if w.tokens, err = w.lab.Client(host); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *world) close() {
	if w.people != nil {
		_ = w.people.Close() // nothing was written
	}
	w.lab.Stop()
}

// store opens a store of the lab beside the lab.
func (w *world) store(ctx context.Context, name string) (*sqlitestore.Store, error) {
	b, err := os.ReadFile(filepath.Join(w.lab.Dir, "state.json"))
	if err != nil {
		return nil, err
	}
	var state struct{ SealKey []byte }
	if err := json.Unmarshal(b, &state); err != nil {
		return nil, err
	}
	return sqlitestore.Open(ctx, filepath.Join(w.lab.Dir, name+".db"), sqlitestore.Options{Now: time.Now, SealKey: state.SealKey}) //nolint:forbidigo // a measurement is of now
}

func only(ctx context.Context, s *sqlitestore.Store) (*directory.Organization, error) {
	orgs, err := s.Organizations(ctx)
	if err == nil && len(orgs) != 1 {
		err = fmt.Errorf("%d organizations, want one", len(orgs))
	}
	if err != nil {
		return nil, err
	}
	return orgs[0], nil
}

// credentials finds what the organization signs with, and where it asks.
func (w *world) credentials() error {
	c := w.onprem.Certificate(w.onprem.AuthConfig.CurrentCertificateThumbprint)
	if c == nil {
		return errors.New("the organization on premises has no current certificate")
	}
	private, err := x509.ParsePKCS8PrivateKey(c.Key)
	if err != nil {
		return err
	}
	key, ok := private.(*rsa.PrivateKey)
	if !ok {
		return fmt.Errorf("the current certificate has a key of type %T", private)
	}
	w.key, w.x5t = key, acs.Key{Certificate: c.DER}.X5T()
	at := slices.IndexFunc(w.onprem.AuthServers, func(s directory.AuthServer) bool { return s.Type == directory.AuthServerACS })
	if at < 0 {
		return errors.New("the organization on premises has no authorization server of type " + directory.AuthServerACS)
	}
	w.server = &w.onprem.AuthServers[at]
	for _, a := range w.server.AllowedAudiences {
		if strings.HasSuffix(a, "@"+w.server.Realm) {
			w.audienceOf = a
		}
	}
	return nil
}

// register makes hosts below hostsBelow audiences of the tenant.
func (w *world) register(ctx context.Context) error {
	s, err := w.store(ctx, "directory")
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.UpdateRealm(ctx, w.server.Realm, func(r *directory.Realm) error {
		for i := range r.Principals {
			if p := &r.Principals[i]; p.AppPrincipalID == directory.ExchangeAppID {
				p.ServicePrincipalNames = append(p.ServicePrincipalNames, directory.ExchangeAppID+"/*"+hostsBelow)
				return nil
			}
		}
		return fmt.Errorf("the tenant has no principal %s", directory.ExchangeAppID)
	})
	return err
}

// signed is an assertion that nobody has seen (oauth-s2s 3.1).
func (w *world) signed() string {
	now := time.Now().Unix() //nolint:forbidigo // a measurement is of now
	var c jose.Writer
	c.Text("aud", w.audienceOf).Text("iss", acs.PrincipalName{PID: directory.ExchangeAppID, Realm: w.server.Realm}.String())
	c.Text("nbf", strconv.FormatInt(now, 10)).Text("exp", strconv.FormatInt(now+1800, 10)).Number("jti", w.next.Add(1))
	a, err := jose.SignRS256(w.key, w.x5t, "", &c)
	if err != nil {
		panic(err) // it was a key to sign with when the world was opened
	}
	return a
}

// signAhead signs n assertions before something is measured.
func (w *world) signAhead(n int) {
	w.ahead = make(chan string, n)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for range n / runtime.GOMAXPROCS(0) {
				w.ahead <- w.signed()
			}
		})
	}
	wg.Wait()
}

// assertion is one of those, or a new one when they are used up.
func (w *world) assertion() string {
	select {
	case a := <-w.ahead:
		return a
	default:
		return w.signed()
	}
}

// audience is that of a host for the tenant.
func (w *world) audience(host string) string {
	return acs.Audience{PID: directory.ExchangeAppID, Host: host, Realm: w.server.Realm}.String()
}

// ask asks for a token and returns the answer's body.
func (w *world) ask(ctx context.Context, audience, assertion string) ([]byte, error) {
	form := acs.TokenRequest{GrantType: acs.GrantJWTBearer, Assertion: assertion, Resource: audience}.Encode()
	return post(ctx, w.tokens, w.endpoint, "application/x-www-form-urlencoded", form, nil)
}

// unasked is an audience that nobody has asked for.
func (w *world) unasked() string {
	return w.audience("h" + strconv.FormatInt(w.next.Add(1), 10) + hostsBelow)
}

func post(ctx context.Context, c *http.Client, url, contentType, body string, change func(*http.Request)) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	if change != nil {
		change(req)
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s, %s: %.300s", url, resp.Status, resp.Header.Get(acs.DiagnosticsHeader), b)
	}
	return b, err
}

// actor is an actor token for the cloud's EWS.
func (w *world) actor(ctx context.Context) (string, error) {
	body, err := w.ask(ctx, w.audience(w.cloudHost()), w.signed())
	if err != nil {
		return "", err
	}
	resp, err := acs.ParseTokenResponse(body)
	if err != nil {
		return "", err
	}
	return resp.AccessToken, nil
}

func (w *world) cloudHost() string { return strings.Split(w.lab.File.URLs["ews_cloud"], "/")[2] }

// outer wraps an actor token for a user on premises (oauth-s2s 4.3). Salt makes
// it another text.
func (w *world) outer(actor string, salt int) string {
	now := time.Now().Unix() //nolint:forbidigo // a measurement is of now
	user := ""
	for _, m := range w.lab.File.Mailboxes {
		if m.Org == "onprem" {
			user = m.Address
			break
		}
	}
	var c jose.Writer
	c.Text("aud", w.audience(w.cloudHost())).Text("iss", acs.PrincipalName{PID: directory.ExchangeAppID, Realm: w.server.Realm}.String())
	c.Text("nbf", strconv.FormatInt(now, 10)).Text("exp", strconv.FormatInt(now+28800-int64(salt), 10))
	c.Text("nameid", "10032000A1B2C3D4").Text("nii", "urn:federation:MicrosoftOnline")
	return jose.Unsigned(c.Text("upn", user).Text("smtp", user).Text("sip", user).Text("actortoken", actor))
}

// question asks for a week of one mailbox of the cloud.
func (w *world) question() string {
	zone := wintz.UTCRule
	start := time.Now().UTC().Truncate(24 * time.Hour) //nolint:forbidigo // a measurement is of now
	q := &ews.AvailabilityRequest{
		Header: ews.Header{Version: "Exchange2013_SP1"}, Zone: &zone,
		FreeBusy: &ews.FreeBusyOptions{
			Start: ews.DateTime{Time: start}, End: ews.DateTime{Time: start.AddDate(0, 0, 7)}, IntervalMinutes: 30, Views: []string{"FreeBusyMerged"},
		},
	}
	for _, m := range w.lab.File.Mailboxes {
		if m.Org == "cloud" {
			q.Mailboxes = []ews.MailboxData{{Address: m.Address, AttendeeType: "Required"}}
			break
		}
	}
	return string(ews.AppendGetUserAvailabilityRequest(nil, q))
}

// authorityKey is the key that the authorization server signs with, as the cloud
// has it.
func (w *world) authorityKey(actor string) (*rsa.PublicKey, error) {
	t, err := jose.ParseUnverified(actor)
	if err != nil {
		return nil, err
	}
	for i := range w.cloud.AuthServers {
		for _, text := range w.cloud.AuthServers[i].CertificateStrings {
			der, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return nil, err
			}
			cert, err := x509.ParseCertificate(der)
			if err != nil {
				return nil, err
			}
			if key, ok := cert.PublicKey.(*rsa.PublicKey); ok && t.VerifyRS256(key) == nil {
				return key, nil
			}
		}
	}
	return nil, errors.New("the cloud has no key of the authorization server that verifies its token")
}
