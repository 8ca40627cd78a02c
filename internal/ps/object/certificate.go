package object

import (
	"bytes"
	"crypto/sha1" // thumbprints are SHA-1 by definition
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
	"time"
)

// The certificate classes (cmdlet reference 17.4).
var (
	TCertificate  = class("System.Security.Cryptography.X509Certificates.X509Certificate", "", TObject, tDisposable)
	TCertificate2 = class("System.Security.Cryptography.X509Certificates.X509Certificate2", "", TCertificate)
)

// A Certificate is an X509Certificate, or an X509Certificate2 when Second is set. An empty one waits for Import.
type Certificate struct {
	Second        bool
	FriendlyName  string
	HasPrivateKey bool
	Parent        string // PSParentPath of a drive item
	// PKCS12 exports with the private key; nil when the key is not exportable.
	PKCS12 func(password string) ([]byte, error)
	x      *x509.Certificate
}

// NewCertificate reads DER, PEM or a PKCS#7 file's first certificate.
func NewCertificate(data []byte) (*Certificate, error) {
	c := &Certificate{Second: true}
	return c, c.load(data)
}

const maxCertificate = 1 << 20

func (c *Certificate) load(data []byte) error {
	if len(data) > maxCertificate {
		return failure(tCryptographic, "The certificate is too large.")
	}
	if b, _ := pem.Decode(bytes.TrimSpace(data)); b != nil && b.Type == "CERTIFICATE" {
		data = b.Bytes
	}
	x, err := x509.ParseCertificate(data)
	if err != nil {
		return failure(tCryptographic, "Cannot find the requested object.")
	}
	c.x = x
	return nil
}

// PSType is the certificate's class.
func (c *Certificate) PSType() *Type {
	if c.Second {
		return TCertificate2
	}
	return TCertificate
}

// Raw is the DER form, nil for an empty certificate.
func (c *Certificate) Raw() []byte {
	if c.x == nil {
		return nil
	}
	return c.x.Raw
}

// Thumbprint is the SHA-1 of the DER form in upper-case hexadecimal.
func (c *Certificate) Thumbprint() string {
	if c.x == nil {
		return ""
	}
	sum := sha1.Sum(c.x.Raw)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// Subject is the distinguished name as Windows writes it: most specific part first, a comma and a blank between.
func (c *Certificate) Subject() string {
	if c.x == nil {
		return ""
	}
	return windowsName(c.x.Subject.String())
}

// Issuer is the issuer's name, written like [Certificate.Subject].
func (c *Certificate) Issuer() string {
	if c.x == nil {
		return ""
	}
	return windowsName(c.x.Issuer.String())
}

func windowsName(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		b.WriteByte(s[i])
		if s[i] == ',' && (i == 0 || s[i-1] != '\\') {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// String is what ToString gives.
func (c *Certificate) String() string {
	if c.x == nil {
		return c.PSType().Name
	}
	return fmt.Sprintf("[Subject]\r\n  %s\r\n\r\n[Issuer]\r\n  %s\r\n\r\n[Serial Number]\r\n  %s\r\n\r\n[Not Before]\r\n  %s\r\n\r\n[Not After]\r\n  %s\r\n\r\n[Thumbprint]\r\n  %s\r\n",
		c.Subject(), c.Issuer(), c.serial(), FormatDate(c.x.NotBefore, "G"), FormatDate(c.x.NotAfter, "G"), c.Thumbprint())
}

func (c *Certificate) serial() string {
	if c.x == nil {
		return ""
	}
	s := strings.ToUpper(hex.EncodeToString(c.x.SerialNumber.Bytes()))
	if s == "" {
		return "00"
	}
	return s
}

func certProp(name string, t *Type, get func(c *Certificate) any) propertyDef {
	return prop(name, t, func(c *Certificate) any { return get(c) })
}

func withX(get func(c *Certificate) any) func(c *Certificate) any {
	return func(c *Certificate) any {
		if c.x == nil {
			return nil
		}
		return get(c)
	}
}

var certificateProperties = []propertyDef{
	certProp("Handle", TInt, func(*Certificate) any { return int32(0) }),
	certProp("Issuer", TString, func(c *Certificate) any { return c.Issuer() }),
	certProp("Subject", TString, func(c *Certificate) any { return c.Subject() }),
}

var certificate2Properties = []propertyDef{
	certProp("Thumbprint", TString, func(c *Certificate) any { return c.Thumbprint() }),
	certProp("FriendlyName", TString, func(c *Certificate) any { return c.FriendlyName }),
	certProp("NotBefore", TDateTime, withX(func(c *Certificate) any { return c.x.NotBefore })),
	certProp("NotAfter", TDateTime, withX(func(c *Certificate) any { return c.x.NotAfter })),
	certProp("SerialNumber", TString, func(c *Certificate) any { return c.serial() }),
	certProp("HasPrivateKey", TBool, func(c *Certificate) any { return c.HasPrivateKey }),
	certProp("DnsNameList", tCollection, withX(func(c *Certificate) any { return Strings(c.x.DNSNames...) })),
	certProp("RawData", TByteArray, func(c *Certificate) any { return Bytes(c.Raw()) }),
	certProp("Version", TInt, withX(func(c *Certificate) any { return int32(c.x.Version) })),
	certProp("PSParentPath", TString, func(c *Certificate) any { return c.Parent }),
}

var errEmptyCertificate = failure(tCryptographic, "m_safeCertContext is an invalid handle.")

func certMethod(name string, f func(ctx *Context, c *Certificate, a []any) (any, error), sigs ...signature) methodDef {
	return method(name, func(ctx *Context, v any, a []any) (any, error) {
		c := v.(*Certificate)
		if c.x == nil && name != "Import" && name != "Reset" && name != "Dispose" {
			return nil, errEmptyCertificate
		}
		return f(ctx, c, a)
	}, sigs...)
}

func certDate(name string, get func(*x509.Certificate) time.Time) methodDef {
	return certMethod(name, func(ctx *Context, c *Certificate, _ []any) (any, error) {
		return FormatDate(get(c.x).In(ctx.zone()), "G"), nil
	})
}

var certificateMethods = []methodDef{
	certMethod("Export", func(_ *Context, c *Certificate, a []any) (any, error) {
		switch kind := a[0].(Enum).Value; kind {
		case 1:
			return Bytes(c.x.Raw), nil
		case 3:
			if c.PKCS12 == nil {
				return nil, failure(tCryptographic, "Key not valid for use in specified state.")
			}
			password := ""
			if len(a) > 1 {
				password = String(a[1])
				if s, ok := Base(a[1]).(*SecureString); ok {
					password = s.Reveal()
				}
			}
			b, err := c.PKCS12(password)
			return Bytes(b), err
		}
		return nil, failure(tCryptographic, "Invalid content type.")
	}, sig(TContentType), sig(TContentType, TObject)),
	certMethod("Import", func(ctx *Context, c *Certificate, a []any) (any, error) {
		data, err := fileOrBytes(ctx, a[0])
		if err != nil {
			return nil, err
		}
		return Void, c.load(data)
	}, sig(TObject)),
	certMethod("GetRawCertData", func(_ *Context, c *Certificate, _ []any) (any, error) { return Bytes(c.x.Raw), nil }),
	certMethod("GetRawCertDataString", func(_ *Context, c *Certificate, _ []any) (any, error) {
		return strings.ToUpper(hex.EncodeToString(c.x.Raw)), nil
	}),
	certMethod("GetCertHashString", func(_ *Context, c *Certificate, _ []any) (any, error) { return c.Thumbprint(), nil }),
	certMethod("GetSerialNumberString", func(_ *Context, c *Certificate, _ []any) (any, error) { return c.serial(), nil }),
	certDate("GetEffectiveDateString", func(x *x509.Certificate) time.Time { return x.NotBefore }),
	certDate("GetExpirationDateString", func(x *x509.Certificate) time.Time { return x.NotAfter }),
	certMethod("Reset", func(_ *Context, c *Certificate, _ []any) (any, error) { c.x = nil; return Void, nil }),
	certMethod("Dispose", func(_ *Context, c *Certificate, _ []any) (any, error) { c.x = nil; return Void, nil }),
}

// fileOrBytes is a byte array as it is, or the content of the file a text names.
func fileOrBytes(ctx *Context, v any) ([]byte, error) {
	if s, ok := Base(v).(string); ok {
		files, err := ctx.files()
		if err != nil {
			return nil, err
		}
		b, err := files.ReadFile(s)
		if err != nil {
			return nil, fileError(s, err)
		}
		return b, nil
	}
	return ToBytes(v)
}

// ToBytes is v as bytes: a byte[] or a list of numbers that fit.
func ToBytes(v any) ([]byte, error) {
	c, err := Convert(v, TByteArray)
	if err != nil {
		return nil, err
	}
	a, ok := Base(c).(*Array)
	if !ok {
		return nil, failure(tArgumentNull, "Value cannot be null.\r\nParameter name: bytes")
	}
	b := make([]byte, len(a.Items))
	for i, x := range a.Items {
		b[i] = x.(uint8)
	}
	return b, nil
}
