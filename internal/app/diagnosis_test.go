package app

import (
	"crypto/tls"
	"errors"
	"net"
	"testing"

	"busybridge/internal/diagnose"
)

// Nothing in a value can end the string of a command that people paste.
func TestPSQuote(t *testing.T) {
	for in, want := range map[string]string{
		"plain":              "'plain'",
		"it's":               "'it''s'",
		"‘a’ ‚b‛":            "'‘‘a’’ ‚‚b‛‛'",
		"a\r\nRemove-Item x": "'aRemove-Item x'",
		"$(x) `y \"z":        "'$(x) `y \"z'",
	} {
		if got := psQuote(in); got != want {
			t.Errorf("psQuote(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestConnectionKind(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want diagnose.Kind
	}{
		{&net.DNSError{Err: "no such host", Name: "mail.contoso.com", IsNotFound: true}, diagnose.NameUnknown},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: protocol version not supported")}, diagnose.TLSVersion},
		{tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, diagnose.TLSVersion},
		{&tls.CertificateVerificationError{Err: errors.New("unknown authority")}, diagnose.TLSUntrusted},
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, diagnose.Unreachable},
	} {
		if got := connectionKind(tt.err); got != tt.want {
			t.Errorf("%v is %s, want %s", tt.err, got, tt.want)
		}
	}
}
