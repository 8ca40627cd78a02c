package acs

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ErrDocument is wrapped by every error of ParseDocument.
var ErrDocument = errors.New("acs: metadata document refused")

// Limits of a metadata document (oauth-s2s 1.3).
const (
	MaxDocument = 1 << 20
	maxKeys     = 32
	maxList     = 1024 // audiences and endpoints
)

// A Document is a metadata document (oauth-s2s 1.1 and 1.2).
type Document struct {
	ID, Version, Name, Realm, ServiceName, Issuer string
	AllowedAudiences                              []string
	Keys                                          []Key
	// Delegates are certificates of ES256 keys that a key of Keys has signed: a
	// member of our own (es256Keys), which others pass over.
	Delegates []Key
	Endpoints []Endpoint
	// Refused says of each signing key that was left out why.
	Refused []error
}

// A Key is a signing certificate.
type Key struct {
	Certificate []byte // DER
}

// An Endpoint is an address of the publisher.
type Endpoint struct {
	Location string `json:"location"`
	Protocol string `json:"protocol"` // OAuth2, DelegationIssuance1.0, …
	Usage    string `json:"usage"`    // issuance, management, metadata
}

// TokenEndpoint is the location of the OAuth2 issuance endpoint, or "".
func (d *Document) TokenEndpoint() string {
	for _, e := range d.Endpoints {
		if strings.EqualFold(e.Protocol, "OAuth2") && (e.Usage == "" || strings.EqualFold(e.Usage, "issuance")) {
			return e.Location
		}
	}
	return ""
}

// X5T is the base64url SHA-1 of the certificate, without padding.
func (k Key) X5T() string {
	sum := sha1.Sum(k.Certificate)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// wireKey has the members of both shapes; encoding/json compares names without
// regard to case, which is what oauth-s2s 1.3 asks of a reader.
type wireKey struct {
	Usage    string `json:"usage"`
	KeyInfo  *info  `json:"keyinfo"`
	KeyValue struct {
		Type    string `json:"type"`
		Value   string `json:"value"`
		KeyInfo *info  `json:"keyinfo"`
	} `json:"keyvalue"`
}

type info struct {
	X5T string `json:"x5t"`
}

// ParseDocument reads both shapes by the rules of oauth-s2s 1.3. Keys of another
// usage or type are passed over, a key whose x5t is not that of its certificate
// is refused (and told in Refused), and one x5t for two certificates refuses the
// document.
func ParseDocument(data []byte) (*Document, error) {
	if len(data) > MaxDocument {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrDocument, len(data), MaxDocument)
	}
	var w struct {
		ID               string     `json:"id"`
		Version          string     `json:"version"`
		Name             string     `json:"name"`
		Realm            string     `json:"realm"`
		ServiceName      string     `json:"serviceName"`
		Issuer           string     `json:"issuer"`
		AllowedAudiences []string   `json:"allowedAudiences"`
		Keys             []wireKey  `json:"keys"`
		Delegates        []wireKey  `json:"es256Keys"`
		Endpoints        []Endpoint `json:"endpoints"`
	}
	if err := json.Unmarshal(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), &w); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	if len(w.Keys) > maxKeys || len(w.Delegates) > maxKeys || len(w.AllowedAudiences) > maxList || len(w.Endpoints) > maxList {
		return nil, fmt.Errorf("%w: %d keys, %d audiences, %d endpoints", ErrDocument, len(w.Keys), len(w.AllowedAudiences), len(w.Endpoints))
	}
	if _, err := ParsePrincipalName(w.Issuer); err != nil {
		return nil, fmt.Errorf("%w: issuer: %w", ErrDocument, err)
	}
	d := &Document{ID: w.ID, Version: w.Version, Name: w.Name, Realm: w.Realm, ServiceName: w.ServiceName,
		Issuer: w.Issuer, AllowedAudiences: w.AllowedAudiences, Endpoints: w.Endpoints}
	named := make(map[string][]byte) // x5t, stated and computed -> certificate
	for i, k := range w.Keys {
		if !strings.EqualFold(k.Usage, "signing") || !strings.EqualFold(k.KeyValue.Type, "x509Certificate") {
			continue
		}
		der, err := DecodeCertificate(k.KeyValue.Value)
		if err != nil {
			d.Refused = append(d.Refused, fmt.Errorf("key %d: %w", i, err))
			continue
		}
		key := Key{der}
		computed, stated := key.X5T(), k.stated()
		for _, x := range []string{computed, stated} {
			if x == "" {
				continue
			}
			if other, ok := named[x]; ok && !bytes.Equal(other, der) {
				return nil, fmt.Errorf("%w: x5t %s names two certificates", ErrDocument, clip(x))
			}
			named[x] = der
		}
		switch {
		case stated != "" && stated != computed:
			d.Refused = append(d.Refused, fmt.Errorf("key %d: x5t is %q, that of the certificate %s", i, clip(stated), computed))
		case !d.has(der):
			d.Keys = append(d.Keys, key)
		}
	}
	for i, k := range w.Delegates {
		der, err := DecodeCertificate(k.KeyValue.Value)
		if err != nil {
			d.Refused = append(d.Refused, fmt.Errorf("ES256 key %d: %w", i, err))
			continue
		}
		d.Delegates = append(d.Delegates, Key{der})
	}
	return d, nil
}

func (d *Document) has(der []byte) bool {
	for _, k := range d.Keys {
		if bytes.Equal(k.Certificate, der) {
			return true
		}
	}
	return false
}

// stated is the x5t that the document gives for k in the base64url form without
// padding, or "" when it gives none.
func (k wireKey) stated() string {
	x := ""
	switch {
	case k.KeyInfo != nil && k.KeyInfo.X5T != "":
		x = k.KeyInfo.X5T
	case k.KeyValue.KeyInfo != nil:
		x = k.KeyValue.KeyInfo.X5T
	}
	return strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(x), "=")
}

// DecodeCertificate reads standard base64 of a DER certificate, without PEM
// armour, and checks that it is one.
func DecodeCertificate(s string) ([]byte, error) {
	der, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if _, err := x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return der, nil
}

// MarshalAuthority writes the shape of 1.1: keyInfo inside keyValue.
func (d *Document) MarshalAuthority() ([]byte, error) {
	type value struct {
		Type    string `json:"type"`
		Value   string `json:"value"`
		KeyInfo info   `json:"keyInfo"`
	}
	type key struct {
		Usage    string `json:"usage"`
		KeyValue value  `json:"keyValue"`
	}
	keys := make([]key, len(d.Keys))
	for i, k := range d.Keys {
		keys[i] = key{"signing", value{"x509Certificate", base64.StdEncoding.EncodeToString(k.Certificate), info{k.X5T()}}}
	}
	return marshal(struct {
		Keys             []key      `json:"keys"`
		Endpoints        []Endpoint `json:"endpoints"`
		Version          string     `json:"version"`
		Realm            string     `json:"realm"`
		Name             string     `json:"name"`
		AllowedAudiences []string   `json:"allowedAudiences"`
		Issuer           string     `json:"issuer"`
	}{keys, list(d.Endpoints), d.Version, d.Realm, d.Name, list(d.AllowedAudiences), d.Issuer})
}

// MarshalOrganization writes the shape of 1.2: keyinfo and keyvalue side by side.
func (d *Document) MarshalOrganization() ([]byte, error) {
	type value struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	}
	type key struct {
		Usage    string `json:"usage"`
		KeyInfo  info   `json:"keyinfo"`
		KeyValue value  `json:"keyvalue"`
	}
	wire := func(of []Key) []key {
		keys := make([]key, len(of))
		for i, k := range of {
			keys[i] = key{"signing", info{k.X5T()}, value{"x509Certificate", base64.StdEncoding.EncodeToString(k.Certificate)}}
		}
		return keys
	}
	return marshal(struct {
		ID               string     `json:"id"`
		Version          string     `json:"version"`
		Name             string     `json:"name"`
		Realm            string     `json:"realm"`
		ServiceName      string     `json:"serviceName"`
		Issuer           string     `json:"issuer"`
		AllowedAudiences []string   `json:"allowedAudiences"`
		Keys             []key      `json:"keys"`
		Delegates        []key      `json:"es256Keys,omitempty"`
		Endpoints        []Endpoint `json:"endpoints"`
	}{d.ID, d.Version, d.Name, d.Realm, d.ServiceName, d.Issuer, list(d.AllowedAudiences), wire(d.Keys), wire(d.Delegates), list(d.Endpoints)})
}

// marshal leaves <, > and & as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// list makes [] of no elements, never null.
func list[T any](s []T) []T { return append([]T{}, s...) }
