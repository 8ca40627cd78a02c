package hostcmd

import (
	"crypto/x509"
	"strings"
	"time"

	"busybridge/internal/ps/object"
)

// certificateFilter is the parameters that Get-ChildItem has on Cert:.
type certificateFilter struct {
	DNSName                 string        `ps:"DnsName" help:"On Cert: only certificates for this host name; wildcards are allowed."`
	EKU                     string        `ps:"Eku" help:"On Cert: only certificates with this extended key usage: its name or number; wildcards are allowed."`
	ExpiringInDays          int           `ps:"ExpiringInDays" help:"On Cert: only certificates that end within so many days; 0: those that have ended."`
	CodeSigningCert         object.Switch `ps:"CodeSigningCert" help:"On Cert: only certificates that sign code."`
	SSLServerAuthentication object.Switch `ps:"SSLServerAuthentication" help:"On Cert: only certificates of TLS servers."`
	DocumentEncryptionCert  object.Switch `ps:"DocumentEncryptionCert" help:"On Cert: only certificates that encrypt documents: there are none."`
}

// usages are the names and numbers of extended key usages.
var usages = map[x509.ExtKeyUsage][2]string{
	x509.ExtKeyUsageServerAuth:      {"Server Authentication", "1.3.6.1.5.5.7.3.1"},
	x509.ExtKeyUsageClientAuth:      {"Client Authentication", "1.3.6.1.5.5.7.3.2"},
	x509.ExtKeyUsageCodeSigning:     {"Code Signing", "1.3.6.1.5.5.7.3.3"},
	x509.ExtKeyUsageEmailProtection: {"Secure Email", "1.3.6.1.5.5.7.3.4"},
	x509.ExtKeyUsageTimeStamping:    {"Time Stamping", "1.3.6.1.5.5.7.3.8"},
	x509.ExtKeyUsageOCSPSigning:     {"OCSP Signing", "1.3.6.1.5.5.7.3.9"},
}

// matches reports whether an entry is wanted; without a filter everything is.
func (f *certificateFilter) matches(e entry, now time.Time) bool {
	if f.DNSName == "" && f.EKU == "" && f.ExpiringInDays < 0 && !bool(f.CodeSigningCert) && !bool(f.SSLServerAuthentication) && !bool(f.DocumentEncryptionCert) {
		return true
	}
	if e.cert == nil {
		return false
	}
	x, err := x509.ParseCertificate(e.cert.Raw())
	if err != nil {
		return false
	}
	switch {
	case f.DNSName != "" && !anyName(x, f.DNSName), f.EKU != "" && !anyUsage(x, f.EKU),
		f.ExpiringInDays >= 0 && x.NotAfter.After(now.AddDate(0, 0, f.ExpiringInDays)),
		bool(f.CodeSigningCert) && !anyUsage(x, usages[x509.ExtKeyUsageCodeSigning][1]),
		bool(f.SSLServerAuthentication) && !anyUsage(x, usages[x509.ExtKeyUsageServerAuth][1]),
		bool(f.DocumentEncryptionCert):
		return false
	}
	return true
}

func anyName(x *x509.Certificate, pattern string) bool {
	for _, n := range append([]string{x.Subject.CommonName}, x.DNSNames...) {
		if object.Like(n, pattern) || strings.EqualFold(n, pattern) {
			return true
		}
	}
	return false
}

func anyUsage(x *x509.Certificate, pattern string) bool {
	for _, u := range x.ExtKeyUsage {
		if n := usages[u]; object.Like(n[0], pattern) || n[1] == pattern {
			return true
		}
	}
	return false
}
