package exchangecmd

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// certificates are the cmdlets of the organization's own certificates (5).
// The private key of one made here never leaves the store.
func (x *exchange) certificates() []entry {
	return []entry{
		{in: premises, Command: interp.Command{
			Name: "New-ExchangeCertificate", New: func() interp.Cmdlet { return &newCertificate{x: x} }, ShouldProcess: true,
			Synopsis: "Makes a self-signed certificate in this organization's store.",
			Description: "It is meant for signing tokens: RSA of 2048 bits, valid for five years. Its private key is kept encrypted and never leaves the store. " +
				"Set-AuthConfig puts it to use. Certificates of web servers are configured elsewhere.",
			Examples: []string{`New-ExchangeCertificate -KeySize 2048 -PrivateKeyExportable $false -SubjectName "cn=Microsoft Exchange Server Auth Certificate" -DomainName @() -FriendlyName "Microsoft Exchange Server Auth Certificate" -Services SMTP`},
			Links:    []string{"Get-ExchangeCertificate", "Set-AuthConfig"},
		}},
		{in: premises, Command: interp.Command{
			Name: "Get-ExchangeCertificate", New: func() interp.Cmdlet { return &getCertificate{x: x} }, DefaultSet: "Thumbprint",
			Synopsis:    "Shows the certificates in this organization's store.",
			Description: "The table shows the services as letters: I for IMAP, P for POP, U for UM, W for IIS, S for SMTP, F for Federation, R for UMCallRouter.",
			Examples:    []string{`Get-ExchangeCertificate (Get-AuthConfig).CurrentCertificateThumbprint | Format-List`},
			Links:       []string{"New-ExchangeCertificate", "Get-AuthConfig"},
		}},
		{in: premises, Command: interp.Command{
			Name: "Enable-ExchangeCertificate", New: func() interp.Cmdlet { return &enableCertificate{x: x} }, ShouldProcess: true, DefaultSet: "Thumbprint",
			Synopsis:    "Adds services that a certificate is for.",
			Description: "They are kept and shown, and cannot be taken away again. Which certificate signs tokens is said by Set-AuthConfig.",
			Examples:    []string{`Enable-ExchangeCertificate BC6BF924D6EF046E64F8D1987DC1D7D2F4C0042A -Services SMTP`},
			Links:       []string{"Get-ExchangeCertificate", "Set-AuthConfig"},
		}},
		{in: premises, Command: interp.Command{
			Name: "Import-ExchangeCertificate", New: func() interp.Cmdlet { return &importCertificate{x: x} }, ShouldProcess: true,
			Synopsis: "Puts a certificate that was made elsewhere into this organization's store, with its private key.",
			Description: "FileData is PEM (PKCS#8 keys, also encrypted), PKCS#12, or DER. The key is kept encrypted. " +
				"With PrivateKeyExportable it can be exported again; else it never leaves the store. Set-AuthConfig puts the certificate to use.",
			Examples: []string{`Import-ExchangeCertificate -FileData ([System.IO.File]::ReadAllBytes('C:\OAuthConfig\auth.pfx')) -Password (Read-Host -AsSecureString)`},
			Links:    []string{"Export-ExchangeCertificate", "Set-AuthConfig"},
		}},
		{in: premises, Command: interp.Command{
			Name: "Export-ExchangeCertificate", New: func() interp.Cmdlet { return &exportCertificate{x: x} }, ShouldProcess: true, DefaultSet: "Thumbprint",
			Synopsis: "Gives the bytes of a certificate, in FileData.",
			Description: "Without Password it is the public part: base64 text, or DER with BinaryEncoded. With Password it is PEM with the private key, encrypted under " +
				"the password; only a certificate that was imported with PrivateKeyExportable has a key that can be exported.",
			Examples: []string{`$f = Export-ExchangeCertificate (Get-AuthConfig).NextCertificateThumbprint -BinaryEncoded; [System.IO.File]::WriteAllBytes('C:\OAuthConfig\next.cer', $f.FileData)`},
			Links:    []string{"Import-ExchangeCertificate", "Get-ExchangeCertificate"},
		}},
		{in: premises, Command: interp.Command{
			Name: "Remove-ExchangeCertificate", New: func() interp.Cmdlet { return &removeCertificate{x: x} }, ShouldProcess: true, Impact: "High", DefaultSet: "Thumbprint",
			Synopsis:    "Removes a certificate with its private key from this organization's store.",
			Description: "One that Get-AuthConfig names is refused. The key cannot be had back.",
			Examples:    []string{`Remove-ExchangeCertificate BC6BF924D6EF046E64F8D1987DC1D7D2F4C0042A`},
			Links:       []string{"Get-ExchangeCertificate", "Set-AuthConfig"},
		}},
	}
}

const certificateType = "Microsoft.Exchange.Management.SystemConfigurationTasks.ExchangeCertificate"

// A thumbprint names a certificate: 40 hexadecimal digits as Windows shows them,
// Server\Thumbprint, or an object that has one.
type thumbprint struct{ text string }

// ParameterType is what help calls the type.
func (thumbprint) ParameterType() string { return "String" }

// BindPS implements interp.Binder.
func (t *thumbprint) BindPS(v any) error {
	if p, ok := object.Get(v, "Thumbprint"); ok && p != nil {
		v = p
	}
	s := object.String(v)
	s = s[strings.LastIndexByte(s, '\\')+1:]
	// Copied from the certificate dialog, it begins with an invisible mark.
	t.text = strings.ToUpper(strings.NewReplacer(" ", "", "\u200e", "").Replace(s))
	return nil
}

// certificateMethods are what scripts call on a certificate (17.4).
var certificateMethods = []string{"Export", "GetRawCertData", "GetRawCertDataString", "GetCertHashString", "GetSerialNumberString", "GetEffectiveDateString", "GetExpirationDateString"}

func (k *call) certificate(v *directory.Certificate) (any, error) {
	x, err := x509.ParseCertificate(v.DER)
	if err != nil {
		return nil, err
	}
	c, err := object.NewCertificate(v.DER)
	if err != nil {
		return nil, err
	}
	o := object.New(certificateType, object.TCertificate2.Name, object.TCertificate.Name, "System.Object")
	selfSigned, root, state := slices.Equal(x.RawSubject, x.RawIssuer), "Unknown", "Valid"
	if selfSigned {
		root = "None"
	}
	if now := k.Now(); now.Before(x.NotBefore) || !now.Before(x.NotAfter) {
		state = "DateInvalid"
	}
	serial, _ := object.Get(c, "SerialNumber")
	const listed = 14 // what Format-List shows unasked
	for i, p := range []struct {
		name  string
		value any
	}{
		{"AccessRules", object.NewArray()}, {"CertificateDomains", object.Strings(x.DNSNames...)}, {"HasPrivateKey", len(v.Key) > 0}, {"IsSelfSigned", selfSigned},
		{"Issuer", c.Issuer()}, {"NotAfter", k.local(x.NotAfter)}, {"NotBefore", k.local(x.NotBefore)}, {"PublicKeySize", keySize(x)},
		{"RootCAType", root}, {"SerialNumber", serial}, {"Services", serviceNames(v.Services)}, {"Status", state},
		{"Subject", c.Subject()}, {"Thumbprint", v.Thumbprint},
		{"FriendlyName", v.FriendlyName}, {"Identity", k.Server + `\` + v.Thumbprint}, {"RawData", object.Bytes(v.DER)}, {"Version", x.Version},
	} {
		o.Add(p.name, object.From(p.value))
		if i < listed {
			o.Default = append(o.Default, p.name)
		}
	}
	for _, name := range certificateMethods {
		o.AddMethod(name, func(ctx *object.Context, _ *object.Object, args []any) (any, error) {
			return object.CallMethod(ctx, c, name, args)
		})
	}
	o.Text = c.String
	return o, nil
}

func keySize(x *x509.Certificate) int {
	switch key := x.PublicKey.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen()
	case *ecdsa.PublicKey:
		return key.Params().BitSize
	}
	return 0
}

// serviceNames is the list as a value of the enumeration prints.
func serviceNames(list []string) string {
	v, err := object.Convert(strings.Join(list, ","), tServices)
	if err != nil {
		return "None"
	}
	return object.String(v)
}

// serviceLetters is the column of the default table: IP.WS..
func serviceLetters(v any) (any, error) {
	s, _ := object.Get(v, "Services")
	have := strings.Split(object.String(s), ", ")
	out := []byte("IPUWSFR")
	for i, n := range tServices.Enum[1:] {
		if !slices.Contains(have, n.Name) {
			out[i] = '.'
		}
	}
	return string(out), nil
}

type getCertificate struct {
	x          *exchange
	Thumbprint thumbprint  `ps:"Thumbprint,position=0,pipeline=value|name,allownull,set=Thumbprint" help:"Which certificate; all when it is left out."`
	Identity   thumbprint  `ps:"Identity,position=0,allownull,set=Identity" help:"Server\\Thumbprint, or the thumbprint alone."`
	DomainName multiValued `ps:"DomainName" help:"Only certificates that name all of these hosts."`
	Server     identity    `ps:"Server,set=Thumbprint|Instance" help:"Has no effect: the nodes of a deployment share one store."`
	Instance   thumbprint  `ps:"Instance,pipeline=name,set=Instance" help:"A certificate object; its thumbprint counts."`
	controller
}

// Run shows certificates.
func (p *getCertificate) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	want := p.Thumbprint.text + p.Identity.text + p.Instance.text // of three parameter sets
	if err := k.warnKeys(o, want); err != nil {
		return err
	}
	found := want == ""
	for i := range o.Certificates {
		v := &o.Certificates[i]
		if want != "" && want != v.Thumbprint {
			continue
		}
		found = true
		if ok, err := p.named(v); err != nil {
			return err
		} else if !ok {
			continue
		}
		shown, err := k.certificate(v)
		if err != nil {
			return err
		}
		if err := k.Emit(shown); err != nil {
			return err
		}
	}
	if !found {
		return k.WriteError(k.noCertificate(want))
	}
	return nil
}

func (k *call) noCertificate(print string) error {
	return k.record("InvalidOperationException", "The certificate with thumbprint %s was not found.", print)
}

// named reports whether the certificate carries the names that are asked for.
func (p *getCertificate) named(v *directory.Certificate) (bool, error) {
	if len(p.DomainName.set) == 0 {
		return true, nil
	}
	x, err := x509.ParseCertificate(v.DER)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(p.DomainName.set, func(name string) bool {
		return !slices.ContainsFunc(x.DNSNames, func(n string) bool { return strings.EqualFold(n, name) })
	}), nil
}

type newCertificate struct {
	x                        *exchange
	SubjectName              string        `ps:"SubjectName,default=cn=Microsoft Exchange Server Auth Certificate" help:"The name: CN= and a text without a comma."`
	DomainName               multiValued   `ps:"DomainName,allownull,allowempty" help:"Refused unless empty: certificates made here sign tokens and carry no host names."`
	FriendlyName             string        `ps:"FriendlyName,default=Microsoft Exchange" help:"A name for people."`
	KeySize                  int           `ps:"KeySize,default=2048" help:"2048, the only size made here."`
	PrivateKeyExportable     bool          `ps:"PrivateKeyExportable,default=False" help:"True is refused: a private key never leaves the store."`
	Services                 services      `ps:"Services" help:"What the certificate is for, kept and shown: None, IMAP, POP, UM, IIS, SMTP, Federation, UMCallRouter."`
	SubjectKeyIdentifier     string        `ps:"SubjectKeyIdentifier" help:"Refused: it is computed."`
	GenerateRequest          object.Switch `ps:"GenerateRequest" help:"Refused: certificates made here are self-signed."`
	RequestFile              string        `ps:"RequestFile" help:"Refused, as GenerateRequest."`
	BinaryEncoded            object.Switch `ps:"BinaryEncoded" help:"Refused, as GenerateRequest."`
	IncludeAcceptedDomains   object.Switch `ps:"IncludeAcceptedDomains" help:"Refused, as DomainName."`
	IncludeAutoDiscover      object.Switch `ps:"IncludeAutoDiscover" help:"Refused, as DomainName."`
	IncludeServerFQDN        object.Switch `ps:"IncludeServerFQDN" help:"Refused, as DomainName."`
	IncludeServerNetBIOSName object.Switch `ps:"IncludeServerNetBIOSName" help:"Refused, as DomainName."`
	Force                    object.Switch `ps:"Force" help:"Has no effect: nothing is overwritten, and nothing is asked."`
	Server                   identity      `ps:"Server" help:"Has no effect: the nodes of a deployment share one store."`
	controller
}

const (
	noHosts   = "Certificates made here sign tokens and carry no host names; the certificate of the web server is set in the configuration file."
	noRequest = "Certificates made here are self-signed, as those that sign tokens are."
)

// refused is the error for a value that cannot be had here.
func (p *newCertificate) refused(k *call) error {
	for _, r := range []struct {
		parameter string
		asked     bool
		reason    string
	}{
		{"DomainName", len(p.DomainName.set) > 0, noHosts},
		{"IncludeAcceptedDomains", bool(p.IncludeAcceptedDomains), noHosts}, {"IncludeAutoDiscover", bool(p.IncludeAutoDiscover), noHosts},
		{"IncludeServerFQDN", bool(p.IncludeServerFQDN), noHosts}, {"IncludeServerNetBIOSName", bool(p.IncludeServerNetBIOSName), noHosts},
		{"GenerateRequest", bool(p.GenerateRequest), noRequest}, {"RequestFile", p.RequestFile != "", noRequest}, {"BinaryEncoded", bool(p.BinaryEncoded), noRequest},
		{"KeySize", p.KeySize != directory.MinRSABits, fmt.Sprintf("Keys made here have %d bits.", directory.MinRSABits)},
		{"PrivateKeyExportable", p.PrivateKeyExportable, "A private key never leaves the store. Use $false."},
		{"SubjectKeyIdentifier", p.SubjectKeyIdentifier != "", "It is computed from the key."},
		{"SubjectName", !commonName(p.SubjectName), `Want one common name without a comma, such as "cn=Microsoft Exchange Server Auth Certificate".`},
	} {
		if r.asked {
			return k.invalid(r.parameter, "%s", r.reason)
		}
	}
	return nil
}

// commonName reports whether s is a subject of one CN.
func commonName(s string) bool {
	key, name, ok := strings.Cut(s, "=")
	return ok && strings.EqualFold(strings.TrimSpace(key), "CN") && strings.TrimSpace(name) != "" && !strings.ContainsAny(name, `,=+"\`)
}

// Run makes the certificate.
func (p *newCertificate) Run(ctx context.Context, c *interp.Call) error {
	k, _, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	if err := p.refused(k); err != nil {
		return k.WriteError(err)
	}
	if ok, err := k.should(`Creating certificate "%s".`, p.SubjectName); !ok {
		return err
	}
	res, err := k.Admin.NewExchangeCertificate(ctx, k.actor, k.Org, admin.CertificateParams{Subject: p.SubjectName, FriendlyName: p.FriendlyName, Services: p.Services.list()})
	if err != nil {
		return k.WriteError(k.fail(err))
	}
	if err := k.warn(res.Warnings); err != nil {
		return err
	}
	shown, err := k.certificate(&res.Object)
	if err != nil {
		return err
	}
	return k.Emit(shown)
}

// A certificateID names the certificate of a cmdlet that changes one.
type certificateID struct {
	Thumbprint thumbprint `ps:"Thumbprint,mandatory,position=0,pipeline=value|name,set=Thumbprint" help:"Which certificate."`
	Identity   thumbprint `ps:"Identity,mandatory,position=0,set=Identity" help:"Server\\Thumbprint, or the thumbprint alone."`
	Server     identity   `ps:"Server,set=Thumbprint" help:"Has no effect: the nodes of a deployment share one store."`
}

// find is the thumbprint of a certificate that is there, "" when it has reported that there is none.
func (p *certificateID) find(k *call, o *directory.Organization) (string, error) {
	want := p.Thumbprint.text + p.Identity.text // of two parameter sets
	if o.Certificate(want) == nil {
		return "", k.WriteError(k.noCertificate(want))
	}
	return want, nil
}

type enableCertificate struct {
	x *exchange
	certificateID
	Services              services      `ps:"Services,mandatory" help:"What the certificate is for besides: IMAP, POP, UM, IIS, SMTP, Federation, UMCallRouter; None adds nothing."`
	DoNotRequireSSL       object.Switch `ps:"DoNotRequireSsl" help:"Has no effect: every address of a server here is https."`
	NetworkServiceAllowed object.Switch `ps:"NetworkServiceAllowed" help:"Has no effect: only the program itself reads private keys."`
	Force                 object.Switch `ps:"Force" help:"Has no effect: nothing is overwritten, and nothing is asked."`
	controller
}

// Run adds the services.
func (p *enableCertificate) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	print, err := p.find(k, o)
	if print == "" {
		return err
	}
	if ok, err := k.should(`Enabling certificate "%s" for the services %s.`, print, p.Services); !ok {
		return err
	}
	res, err := k.Admin.EnableExchangeCertificate(ctx, k.actor, k.Org, print, p.Services.list())
	return changed(k, print, res, err)
}

// list is the names; None is no name.
func (s services) list() []string {
	if s == "" || s == "None" {
		return nil
	}
	return strings.Split(string(s), ", ")
}

type removeCertificate struct {
	x *exchange
	certificateID
	controller
}

// Run removes the certificate.
func (p *removeCertificate) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	print, err := p.find(k, o)
	if print == "" {
		return err
	}
	if ok, err := k.should(`Removing certificate "%s" from the store.`, print); !ok {
		return err
	}
	res, err := k.Admin.RemoveExchangeCertificate(ctx, k.actor, k.Org, print)
	return removed(k, res, err)
}

// fileData is the bytes of a file: a byte[], or numbers that fit.
type fileData []byte

// ParameterType is what help calls the type.
func (fileData) ParameterType() string { return "Byte[]" }

// BindPS implements interp.Binder.
func (d *fileData) BindPS(v any) (err error) {
	*d, err = object.ToBytes(v)
	return err
}

type importCertificate struct {
	x                    *exchange
	FileData             fileData             `ps:"FileData,mandatory" help:"The bytes of the file, as [System.IO.File]::ReadAllBytes gives them."`
	Password             *object.SecureString `ps:"Password" help:"What the private key is encrypted with."`
	FriendlyName         string               `ps:"FriendlyName" help:"A name for people. Its common name when it is left out."`
	PrivateKeyExportable bool                 `ps:"PrivateKeyExportable,default=False" help:"Whether the private key can be exported again."`
	Services             services             `ps:"Services" help:"What the certificate is for, kept and shown: None, IMAP, POP, UM, IIS, SMTP, Federation, UMCallRouter."`
	Server               identity             `ps:"Server" help:"Has no effect: the nodes of a deployment share one store."`
	controller
}

// Run imports the certificate.
func (p *importCertificate) Run(ctx context.Context, c *interp.Call) error {
	k, _, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	if ok, err := k.should("Importing a certificate."); !ok {
		return err
	}
	res, err := k.Admin.ImportExchangeCertificate(ctx, k.actor, k.Org, admin.ImportParams{
		Data: p.FileData, Password: p.Password.Reveal(), FriendlyName: p.FriendlyName, Services: p.Services.list(), Exportable: p.PrivateKeyExportable,
	})
	if err != nil {
		return k.WriteError(k.fail(err))
	}
	shown, err := k.certificate(&res.Object)
	if err != nil {
		return err
	}
	return k.Emit(shown)
}

type exportCertificate struct {
	x *exchange
	certificateID
	BinaryEncoded object.Switch        `ps:"BinaryEncoded" help:"The public part as DER instead of base64 text."`
	Password      *object.SecureString `ps:"Password" help:"Export the private key, too, encrypted under this password."`
	FileName      string               `ps:"FileName" help:"Refused: write FileData with [System.IO.File]::WriteAllBytes."`
	controller
}

const exportType = "Microsoft.Exchange.Management.SystemConfigurationTasks.BinaryFileDataObject"

// Run exports the certificate.
func (p *exportCertificate) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	if p.FileName != "" {
		return k.WriteError(k.invalid("FileName", "Write the property FileData of the result with [System.IO.File]::WriteAllBytes."))
	}
	print, err := p.find(k, o)
	if print == "" {
		return err
	}
	if ok, err := k.should(`Exporting certificate "%s".`, print); !ok {
		return err
	}
	password := p.Password.Reveal()
	if k.Bound("Password") && password == "" {
		return k.WriteError(k.invalid("Password", "A private key is exported under a password only."))
	}
	data, err := k.Admin.ExportExchangeCertificate(ctx, k.actor, k.Org, print, password)
	if err != nil {
		return k.WriteError(k.fail(err))
	}
	if password == "" && !bool(p.BinaryEncoded) {
		data = []byte(base64.StdEncoding.EncodeToString(data))
	}
	return k.Emit(object.New(exportType, "System.Object").Add("FileData", object.Bytes(data)))
}
