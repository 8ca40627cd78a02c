// Package probe looks at a host that looks like Exchange from outside, without
// credentials: what it offers, as whom it presents itself, and what stands before
// it.
package probe

import (
	"context"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"time"

	"busybridge/internal/dial/safehttp"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/autodiscover"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/trust"
)

// Limits of a look.
const (
	maxBody    = acs.MaxDocument
	maxNames   = 20 // of a certificate
	perRequest = 10 * time.Second
	agent      = "busybridge/probe"
)

// Config is what a look needs.
type Config struct {
	HTTP *http.Client     // required; of safehttp
	Now  func() time.Time // required
}

// A Report is what was seen of a host.
type Report struct {
	Host        string       `json:"host"`
	At          time.Time    `json:"at"`
	Address     string       `json:"address,omitempty"`
	TLS         string       `json:"tls,omitempty"`
	Certificate *Certificate `json:"certificate,omitempty"`
	Server      []Header     `json:"server,omitempty"` // headers that tell versions
	Doors       []Door       `json:"doors"`
	Documents   []Document   `json:"documents,omitempty"`
	Findings    []string     `json:"findings"`
	// Usable is whether another organization could ask here with a token.
	Usable bool `json:"usable"`
}

// A Certificate is the one that the host shows.
type Certificate struct {
	Subject    string    `json:"subject"`
	Names      []string  `json:"names"`
	Issuer     string    `json:"issuer"`
	NotAfter   time.Time `json:"notAfter"`
	Thumbprint string    `json:"thumbprint"`
	Problem    string    `json:"problem,omitempty"` // why it is not trusted
}

// A Header is one of an answer.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A Door is one address of a service.
type Door struct {
	Name      string     `json:"name"`
	URL       string     `json:"url"`
	Status    int        `json:"status,omitempty"`
	Offers    []string   `json:"offers,omitempty"` // ways to sign in
	Challenge *Challenge `json:"challenge,omitempty"`
	Location  string     `json:"location,omitempty"`
	Type      string     `json:"contentType,omitempty"`
	Took      float64    `json:"ms"`
	Error     string     `json:"error,omitempty"`

	header http.Header
	err    error
}

// A Challenge is what a door says of the tokens that it takes.
type Challenge struct {
	ClientID         string `json:"client_id"`
	Realm            string `json:"realm,omitempty"`
	TrustedIssuers   string `json:"trusted_issuers,omitempty"`
	TokenTypes       string `json:"token_types,omitempty"`
	AuthorizationURI string `json:"authorization_uri,omitempty"`
}

// A Document is a metadata document.
type Document struct {
	URL    string   `json:"url"`
	Issuer string   `json:"issuer,omitempty"`
	Realm  string   `json:"realm,omitempty"`
	Name   string   `json:"name,omitempty"`
	Keys   []string `json:"keys,omitempty"` // x5t and end of each
	Status int      `json:"status,omitempty"`
	Error  string   `json:"error,omitempty"`
}

// Host reads "mail.contoso.com", "mail.contoso.com:8443" or an https URL.
func Host(s string) (string, error) {
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := safehttp.ParseURL(s)
	if err != nil {
		return "", err
	}
	if _, err := smtpaddr.ParseDomain(u.Hostname()); err != nil {
		return "", fmt.Errorf("%q is no host name", u.Hostname())
	}
	return strings.ToLower(u.Host), nil
}

// Run looks at a host. An error means that nothing could be asked at all; a host that does
// not answer is a finding.
func Run(ctx context.Context, cfg Config, host string) (*Report, error) {
	if cfg.HTTP == nil || cfg.Now == nil {
		return nil, errors.New("probe: HTTP and Now are required")
	}
	host, err := Host(host)
	if err != nil {
		return nil, err
	}
	hc := *cfg.HTTP
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // where it sends to is a finding
	cfg.HTTP = &hc
	r := &Report{Host: host, At: cfg.Now()}
	for _, d := range doors(host) {
		door := r.knock(ctx, cfg, d)
		r.Doors = append(r.Doors, door)
		if door.err != nil && door.Status == 0 {
			break // no connection: the other doors have none either
		}
	}
	if last := r.Doors[len(r.Doors)-1]; last.Status != 0 {
		for _, path := range []string{trust.DocumentPath, "/metadata/json/1"} {
			r.Documents = append(r.Documents, read(ctx, cfg, "https://"+host+path))
		}
	}
	r.judge()
	return r, ctx.Err()
}

// A request to a door.
type knock struct {
	name, method, path, action string
	body                       []byte
}

func doors(host string) []knock {
	name := host
	if u, err := url.Parse("https://" + host); err == nil {
		name = u.Hostname()
	}
	address := "probe@" + name
	soap := autodiscover.AppendRequest(nil, &autodiscover.Request{
		Operation: autodiscover.GetUserSettings, RequestedServerVersion: "Exchange2013", To: "https://" + host + "/autodiscover/autodiscover.svc",
		Subjects: []string{address}, Settings: []string{autodiscover.ExternalEwsURL},
	})
	folder := ews.AppendGetFolderRequest(nil, &ews.Header{Version: "Exchange2013_SP1"}, ews.FolderRef{Distinguished: true, ID: "calendar"})
	pox := []byte(`<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request><EMailAddress>` + address +
		`</EMailAddress><AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema></Request></Autodiscover>`)
	return []knock{
		{"Exchange Web Services", http.MethodPost, "/ews/exchange.asmx", ews.NSMessages + "/GetFolder", folder},
		{"Autodiscover (SOAP)", http.MethodPost, "/autodiscover/autodiscover.svc", autodiscover.GetUserSettings.Action(), soap},
		{"Autodiscover (POX)", http.MethodPost, "/autodiscover/autodiscover.xml", "", pox},
		{"Autodiscover (JSON)", http.MethodGet, "/autodiscover/autodiscover.json?Email=" + url.QueryEscape(address) + "&Protocol=EWS", "", nil},
	}
}

// knock asks at one door, as a server begins: with the name of the scheme and no token.
func (r *Report) knock(ctx context.Context, cfg Config, k knock) Door {
	d := Door{Name: k.name, URL: "https://" + r.Host + k.path}
	began := cfg.Now()
	resp, err := send(ctx, cfg, k, &r.Address, d.URL)
	d.Took = float64(cfg.Now().Sub(began)) / float64(time.Millisecond)
	if err != nil {
		d.err, d.Error = err, trust.OneLine(err.Error())
		if ue, ok := errors.AsType[*url.Error](err); ok {
			d.Error = trust.OneLine(ue.Err.Error())
		}
		if ve, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(ve.UnverifiedCertificates) > 0 {
			r.Certificate = certificateOf(ve.UnverifiedCertificates[0])
			r.Certificate.Problem = trust.OneLine(ve.Err.Error())
		}
		return d
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection is used again
	d.Status, d.header = resp.StatusCode, resp.Header
	d.Type = trust.OneLine(resp.Header.Get("Content-Type"))
	if u, err := resp.Location(); err == nil {
		u.RawQuery = ""
		d.Location = trust.OneLine(u.Redacted())
	}
	d.signIns()
	if r.TLS == "" && resp.TLS != nil {
		r.TLS = tls.VersionName(resp.TLS.Version) + ", " + tls.CipherSuiteName(resp.TLS.CipherSuite)
		if len(resp.TLS.PeerCertificates) > 0 {
			r.Certificate = certificateOf(resp.TLS.PeerCertificates[0])
		}
	}
	for _, name := range []string{"Server", "X-OWA-Version", "X-FEServer", "X-BEServer", "X-AspNet-Version", "X-Powered-By", "Via"} {
		if v := trust.OneLine(resp.Header.Get(name)); v != "" && !slices.Contains(r.Server, Header{name, v}) && len(r.Server) < maxNames {
			r.Server = append(r.Server, Header{name, v})
		}
	}
	return d
}

func send(ctx context.Context, cfg Config, k knock, address *string, to string) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, perRequest)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		*address = i.Conn.RemoteAddr().String()
	}})
	req, err := http.NewRequestWithContext(ctx, k.method, to, strings.NewReader(string(k.body)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", agent)
	req.Header.Set("Authorization", "Bearer")
	if k.method == http.MethodPost {
		req.Header.Set("Content-Type", "text/xml; charset=utf-8")
	}
	if k.action != "" {
		req.Header.Set("SOAPAction", `"`+k.action+`"`)
	}
	resp, err := cfg.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() // this one: another takes its place
	body, err := safehttp.ReadBody(resp, maxBody)
	if err != nil && !errors.Is(err, safehttp.ErrTooLarge) && !errors.Is(err, safehttp.ErrEncoding) {
		return nil, err
	}
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	return resp, nil
}

// signIns reads the ways to sign in that a door offers.
func (d *Door) signIns() {
	for _, line := range d.header.Values("WWW-Authenticate") {
		list, err := acs.ParseAuthenticate(line)
		if err != nil {
			continue
		}
		for _, s := range list {
			if n := trust.OneLine(s.Name); !slices.Contains(d.Offers, n) {
				d.Offers = append(d.Offers, n)
			}
		}
	}
	all, _ := acs.ParseChallenges(d.header) // an unreadable line does not spoil a readable one
	for _, c := range all {
		if c.ClientID != "" {
			d.Challenge = &Challenge{trust.OneLine(c.ClientID), trust.OneLine(c.Realm), trust.OneLine(c.Issuers), trust.OneLine(strings.Join(c.TokenTypes, " ")), trust.OneLine(c.AuthorizationURI)}
			return
		}
	}
}

func certificateOf(c *x509.Certificate) *Certificate {
	sum := sha1.Sum(c.Raw)
	out := &Certificate{Subject: trust.OneLine(c.Subject.String()), Issuer: trust.OneLine(c.Issuer.String()), NotAfter: c.NotAfter, Thumbprint: strings.ToUpper(hex.EncodeToString(sum[:]))}
	for _, n := range c.DNSNames[:min(len(c.DNSNames), maxNames)] {
		out.Names = append(out.Names, trust.OneLine(n))
	}
	return out
}

// read reads a metadata document.
func read(ctx context.Context, cfg Config, address string) Document {
	d := Document{URL: address}
	var at string
	resp, err := send(ctx, cfg, knock{method: http.MethodGet}, &at, address) //nolint:bodyclose // send has read it
	if err != nil {
		d.Error = trust.OneLine(err.Error())
		return d
	}
	body, err := io.ReadAll(resp.Body)
	d.Status = resp.StatusCode
	if err != nil || d.Status != http.StatusOK {
		return d
	}
	doc, err := acs.ParseDocument(body)
	if err != nil {
		d.Error = trust.OneLine(err.Error())
		return d
	}
	d.Issuer, d.Realm, d.Name = trust.OneLine(doc.Issuer), trust.OneLine(doc.Realm), trust.OneLine(doc.Name)
	for _, k := range doc.Keys {
		text := k.X5T()
		if c, err := x509.ParseCertificate(k.Certificate); err == nil {
			text += " until " + c.NotAfter.UTC().Format(time.DateOnly)
		}
		d.Keys = append(d.Keys, text)
	}
	return d
}

// Challenged reports whether a service at address wants a token as Exchange does.
func Challenged(ctx context.Context, hc *http.Client, address string) bool {
	client := *hc
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	var at string
	resp, err := send(ctx, Config{HTTP: &client}, knock{method: http.MethodPost}, &at, address) //nolint:bodyclose // the same
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return false
	}
	d := Door{header: resp.Header}
	d.signIns()
	return d.Challenge != nil
}
