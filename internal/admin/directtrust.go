package admin

import (
	"context"
	"errors"
	"fmt"

	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// ErrFingerprint is wrapped when keys are not those whose fingerprint was given.
var ErrFingerprint = errors.New("the fingerprint is another one")

var errNothingPending = errors.New("no keys of it wait for approval")

// directPartner fills in what the partner's own document says.
func (s *Service) directPartner(ctx context.Context, p directory.PartnerApplication) (directory.PartnerApplication, error) {
	doc, err := s.fetch(ctx, p.AuthMetadataURL)
	if err != nil {
		return p, err
	}
	n, err := trust.PartnerFrom(doc, p)
	if err != nil {
		return p, &MetadataError{p.AuthMetadataURL, err}
	}
	return n, nil
}

// ApprovePartnerKeys pins the keys that wait, in the place of those that were
// pinned, when the fingerprint is theirs. It is Set-PartnerApplication to the
// table of permissions and in the audit trail.
func (s *Service) ApprovePartnerKeys(ctx context.Context, actor Actor, org directory.OrgID, identity, fingerprint string) (Result[directory.PartnerApplication], error) {
	return set(ctx, s, actor, "Set-PartnerApplication", org, partnerApplications, identity, func(p *directory.PartnerApplication) error {
		if len(p.PendingCertificateStrings) == 0 {
			return errNothingPending
		}
		if fingerprint == "" {
			return fmt.Errorf("%w: it is needed to approve keys", ErrFingerprint)
		}
		if err := compareFingerprint(fingerprint, p.PendingCertificateStrings); err != nil {
			return err
		}
		p.CertificateStrings, p.PendingCertificateStrings = p.PendingCertificateStrings, nil
		return nil
	})
}

// OwnFingerprint is that of the keys which the organization's document holds: what
// its partners pin, and are told to compare.
func (s *Service) OwnFingerprint(ctx context.Context, actor Actor, org directory.OrgID) (string, error) {
	o, err := s.ViewOrganization(ctx, actor, "Get-PartnerApplication", org)
	if err != nil {
		return "", err
	}
	return trust.OwnFingerprint(o, s.Now())
}

// compareFingerprint checks what somebody typed; "" is no wish to compare.
func compareFingerprint(expected string, certificates []string) error {
	if expected == "" {
		return nil
	}
	if got := directory.Fingerprint(certificates); !directory.SameFingerprint(expected, got) {
		return fmt.Errorf("%w: the document's keys have %s", ErrFingerprint, got)
	}
	return nil
}

// pinWarnings are what an administrator has to compare with the partner.
func pinWarnings(p *directory.PartnerApplication, pinned bool) []string {
	switch {
	case len(p.PendingCertificateStrings) > 0:
		f := directory.Fingerprint(p.PendingCertificateStrings)
		return []string{fmt.Sprintf("The document of %q holds none of the keys that are pinned. Its keys have the fingerprint %s; no token is accepted by them. "+
			"Ask the partner for theirs, by another way than mail, and if it is the same run: Set-PartnerApplication %q -ApproveFingerprint %q", p.Name, f, p.Name, f)}
	case pinned && !p.UseAuthServer:
		return []string{fmt.Sprintf("The keys of %q are pinned as they came. Their fingerprint is %s: compare it with the partner's, by another way than mail.",
			p.Name, directory.Fingerprint(p.CertificateStrings))}
	}
	return nil
}
