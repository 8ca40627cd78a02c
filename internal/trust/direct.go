package trust

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/jose"
)

// FreeBusyPermission is the least that an application needs to ask for free/busy.
const FreeBusyPermission = "Calendars.ReadBasic"

// ownName is who an organization is to those who trust it directly.
func ownName(org *directory.Organization) acs.PrincipalName {
	return acs.PrincipalName{PID: serviceName(org), Realm: org.Realm()}
}

// trustsUs reports whether the resource names the organization itself among its
// issuers.
func (p *purpose) trustsUs() bool {
	own := ownName(p.org)
	return own.Realm != "" && slices.ContainsFunc(p.ch.TrustedIssuers, func(i acs.PrincipalName) bool { return i == own })
}

// directWay is a token that the organization issues itself (oauth-s2s 4.2). The
// realm of its audience is the resource's, where the challenge names it, else
// the organization's own.
func (t *Tokens) directWay(p *purpose, trace *Trace) (*way, error) {
	own := ownName(p.org)
	realm := p.ch.Realm
	if realm == "" {
		realm = own.Realm
	}
	resource, err := p.resource(realm)
	if err != nil {
		return nil, &RequestError{Step: "choose issuer", Err: err}
	}
	g, err := t.signers.current(p.org, t.cfg.Now())
	if err != nil {
		return nil, &RequestError{Step: "sign token", Err: err}
	}
	if g, err = g.taken(p.ch); err != nil {
		return nil, &RequestError{Step: "sign token", Err: err}
	}
	trace.direct(own, resource)
	return &way{actorKey{p.org.ID, g.x5t, own.Realm, own.PID, resource}, p.org, nil, g, ""}, nil
}

// selfIssue signs the actor token of direct trust. It lives as long as an outer
// token, 8 hours (oauth-s2s 4.2).
func (t *Tokens) selfIssue(by *way) (actorToken, error) {
	now, key := t.cfg.Now(), by.key
	until := now.Add(t.cfg.OuterLifetime)
	if until.After(by.sign.notAfter) {
		until = by.sign.notAfter
	}
	name := acs.PrincipalName{PID: key.pid, Realm: key.tenant}.String()
	var w jose.Writer
	w.Text("aud", key.audience).Text("iss", name)
	w.Text("nbf", unixText(now)).Text("exp", unixText(until))
	w.Text("nameid", name).Text("trustedfordelegation", "true")
	text, err := by.sign.sign(&w)
	if err != nil {
		return actorToken{}, &RequestError{Step: "sign token", Err: err}
	}
	return actorToken{text: text, nameid: name, expires: until}, nil
}

// PartnerFrom pins the document of an organization or application that issues its
// own tokens: p with its identifier, issuer, realm and keys (oauth-s2s 4.6). A
// realm that p has already must be the document's; a document for every realm is
// refused unless p has one.
func PartnerFrom(doc *acs.Document, p directory.PartnerApplication) (directory.PartnerApplication, error) {
	issuer, err := acs.ParsePrincipalName(doc.Issuer)
	switch {
	case err != nil:
		return p, fmt.Errorf("%w: issuer: %w", ErrMetadata, err)
	case doc.Realm == acs.AnyRealm && p.Realm == "":
		return p, fmt.Errorf("%w: its realm is *: name the realm that is meant", ErrMetadata)
	case doc.Realm != acs.AnyRealm && p.Realm != "" && doc.Realm != p.Realm:
		return p, fmt.Errorf("%w: its realm is %q, want %q", ErrMetadata, doc.Realm, p.Realm)
	case len(doc.Keys) == 0:
		return p, errors.Join(append([]error{fmt.Errorf("%w: no signing key", ErrMetadata)}, doc.Refused...)...)
	}
	p.UseAuthServer, p.ApplicationIdentifier, p.IssuerIdentifier = false, doc.ServiceName, issuer.PID
	if p.ApplicationIdentifier == "" {
		p.ApplicationIdentifier = issuer.PID
	}
	if p.Realm == "" {
		p.Realm = doc.Realm
	}
	p.CertificateStrings, p.PendingCertificateStrings, p.DelegateStrings = nil, nil, vouchedFor(doc)
	for _, k := range doc.Keys {
		p.CertificateStrings = append(p.CertificateStrings, base64.StdEncoding.EncodeToString(k.Certificate))
	}
	return p, nil
}

// FollowPartner is p with what its document says now, which n was made of. Keys
// are followed only when a certificate that was pinned before, and has not
// expired, is among them still; others wait for a person in
// PendingCertificateStrings. Another identity is an error, and nothing changes.
func FollowPartner(p, n directory.PartnerApplication, now time.Time) (directory.PartnerApplication, error) {
	if n.ApplicationIdentifier != p.ApplicationIdentifier || n.IssuerIdentifier != p.IssuerIdentifier || n.Realm != p.Realm {
		return p, fmt.Errorf("%w: %s: it is now that of %s@%s, was that of %s@%s", ErrMetadata, p.AuthMetadataURL,
			n.ApplicationIdentifier, n.Realm, p.ApplicationIdentifier, p.Realm)
	}
	known := slices.ContainsFunc(n.CertificateStrings, func(c string) bool {
		return slices.Contains(p.CertificateStrings, c) && unexpired(c, now)
	})
	if known || sameSet(p.CertificateStrings, n.CertificateStrings) {
		p.CertificateStrings, p.PendingCertificateStrings, p.DelegateStrings = n.CertificateStrings, nil, n.DelegateStrings
	} else {
		p.PendingCertificateStrings = n.CertificateStrings
	}
	return p, nil
}

func unexpired(certificate string, now time.Time) bool {
	der, err := base64.StdEncoding.DecodeString(certificate)
	if err != nil {
		return false
	}
	c, err := x509.ParseCertificate(der)
	return err == nil && now.Before(c.NotAfter)
}

func sameSet(a, b []string) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(c string) bool { return !slices.Contains(b, c) })
}

// OwnFingerprint is that of the keys which the organization publishes (see
// OrganizationDocument): what its partners pin.
func OwnFingerprint(org *directory.Organization, now time.Time) (string, error) {
	doc, err := OrganizationDocument(org, "localhost", now)
	if err != nil {
		return "", err
	}
	var keys []string
	for _, k := range doc.Keys {
		keys = append(keys, base64.StdEncoding.EncodeToString(k.Certificate))
	}
	return directory.Fingerprint(keys), nil
}
