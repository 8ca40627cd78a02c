// Package fedmeta reads and writes federation metadata: the XML document in
// which Entra ID (evoSTS) names its issuer and the certificates that it signs
// with (SAML metadata 2.0, WS-Federation 1.2 section 3; oauth-s2s reference 1.4
// and 1.5). An XML signature in the document is not looked at: what vouches for
// it is the TLS connection that it came by.
package fedmeta

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"busybridge/internal/spec/soap"
)

// ErrDocument is wrapped by every error of Parse.
var ErrDocument = errors.New("fedmeta: federation metadata refused")

// Limits of a document.
const (
	MaxDocument = 1 << 20
	maxKeys     = 32
	maxEntityID = 1024 // SAML metadata 2.3.2
)

// Namespaces.
const (
	nsMetadata   = "urn:oasis:names:tc:SAML:2.0:metadata"
	nsSignature  = "http://www.w3.org/2000/09/xmldsig#"
	nsFederation = "http://docs.oasis-open.org/wsfed/federation/200706"
	nsAddressing = "http://www.w3.org/2005/08/addressing"
	nsInstance   = "http://www.w3.org/2001/XMLSchema-instance"
)

// A Document is the federation metadata of one issuer.
type Document struct {
	ID       string // of the document; "": none
	EntityID string // the issuer: https://sts.windows.net/<tenant>/
	// Certificates are the DER certificates that the security token service
	// signs with, each once, in the document's order.
	Certificates [][]byte
	// Endpoint is the address of the security token service, or "".
	Endpoint string
	// Refused says of each signing key that was left out why.
	Refused []error
}

// Tenant is the last part of the path of the entity id, or "": the realm of
// https://sts.windows.net/<tenant>/.
func (d *Document) Tenant() string {
	u, err := url.Parse(d.EntityID)
	if err != nil {
		return ""
	}
	path := strings.Trim(u.Path, "/")
	return path[strings.LastIndexByte(path, '/')+1:]
}

// Parse reads a document. Keys are taken from KeyDescriptors with use="signing"
// of the security token service role only; keys for encryption, and those of
// applications, sign no tokens.
func Parse(data []byte) (*Document, error) {
	root, err := soap.ReadXML(bytes.NewReader(data), MaxDocument)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	if !root.Is(nsMetadata, "EntityDescriptor") {
		return nil, fmt.Errorf("%w: the root element is {%s}%s, want an EntityDescriptor", ErrDocument, clip(root.Space), clip(root.Local))
	}
	d := &Document{ID: clip(root.AttrValue("ID")), EntityID: strings.Clone(root.AttrValue("entityID"))}
	if d.EntityID == "" || len(d.EntityID) > maxEntityID {
		return nil, fmt.Errorf("%w: entityID of %d bytes, want 1 to %d", ErrDocument, len(d.EntityID), maxEntityID)
	}
	roles := 0
	for _, role := range root.Children {
		if !isTokenService(role) {
			continue
		}
		roles++
		if err := d.readKeys(role); err != nil {
			return nil, err
		}
		if d.Endpoint == "" {
			e := role.Child(nsFederation, "SecurityTokenServiceEndpoint")
			d.Endpoint = strings.Clone(e.Child(nsAddressing, "EndpointReference").ChildText(nsAddressing, "Address"))
		}
	}
	if roles == 0 {
		return nil, fmt.Errorf("%w: no RoleDescriptor of type SecurityTokenServiceType", ErrDocument)
	}
	return d, nil
}

// isTokenService: the prefix of an xsi:type is the document's own choice, and
// its namespace is what the role supports.
func isTokenService(e *soap.Element) bool {
	if !e.Is(nsMetadata, "RoleDescriptor") {
		return false
	}
	typ := ""
	for _, a := range e.Attr {
		if a.Space == nsInstance && a.Local == "type" {
			typ = a.Value[strings.LastIndexByte(a.Value, ':')+1:]
		}
	}
	return typ == "SecurityTokenServiceType" && slices.Contains(strings.Fields(e.AttrValue("protocolSupportEnumeration")), nsFederation)
}

func (d *Document) readKeys(role *soap.Element) error {
	for _, k := range role.Children {
		if !k.Is(nsMetadata, "KeyDescriptor") || k.AttrValue("use") != "signing" {
			continue
		}
		info := k.Child(nsSignature, "KeyInfo")
		if info == nil {
			continue
		}
		for _, data := range info.Children {
			if !data.Is(nsSignature, "X509Data") {
				continue
			}
			for _, c := range data.Children {
				if !c.Is(nsSignature, "X509Certificate") {
					continue
				}
				if err := d.addKey(c); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (d *Document) addKey(c *soap.Element) error {
	// Base64 in XML may be broken into lines (XML Signature 4.5.4).
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(c.Text), ""))
	if err == nil {
		_, err = x509.ParseCertificate(der)
	}
	switch {
	case err != nil:
		if len(d.Refused) < maxKeys {
			d.Refused = append(d.Refused, fmt.Errorf("line %d: certificate: %w", c.Line, err))
		}
	case slices.ContainsFunc(d.Certificates, func(o []byte) bool { return bytes.Equal(o, der) }):
	case len(d.Certificates) == maxKeys:
		return fmt.Errorf("%w: more than %d keys", ErrDocument, maxKeys)
	default:
		d.Certificates = append(d.Certificates, der)
	}
	return nil
}

// Append appends the document as Entra writes it, without a signature and
// without the roles for SAML and for applications.
func (d *Document) Append(b []byte) []byte {
	b = append(b, `<?xml version="1.0" encoding="utf-8"?><EntityDescriptor`...)
	if d.ID != "" {
		b = attr(b, "ID", d.ID)
	}
	b = append(attr(b, "entityID", d.EntityID), ` xmlns="`+nsMetadata+`">`...)
	b = append(b, `<RoleDescriptor xsi:type="fed:SecurityTokenServiceType" protocolSupportEnumeration="`+nsFederation+
		`" xmlns:xsi="`+nsInstance+`" xmlns:fed="`+nsFederation+`">`...)
	for _, der := range d.Certificates {
		b = append(b, `<KeyDescriptor use="signing"><KeyInfo xmlns="`+nsSignature+`"><X509Data><X509Certificate>`...)
		b = base64.StdEncoding.AppendEncode(b, der)
		b = append(b, `</X509Certificate></X509Data></KeyInfo></KeyDescriptor>`...)
	}
	if d.Endpoint != "" {
		b = append(b, `<fed:SecurityTokenServiceEndpoint><wsa:EndpointReference xmlns:wsa="`+nsAddressing+`"><wsa:Address>`...)
		b = soap.AppendText(b, d.Endpoint)
		b = append(b, `</wsa:Address></wsa:EndpointReference></fed:SecurityTokenServiceEndpoint>`...)
	}
	return append(b, `</RoleDescriptor></EntityDescriptor>`...)
}

func attr(b []byte, name, value string) []byte {
	b = append(b, ` `+name+`="`...)
	return append(soap.AppendAttr(b, value), '"')
}

// clip shortens what a peer wrote, and copies it: a part would keep the whole
// document in memory.
func clip(s string) string {
	if len(s) > 100 {
		s = s[:100]
	}
	return strings.ToValidUTF8(strings.Clone(s), "?")
}
