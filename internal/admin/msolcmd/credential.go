package msolcmd

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// maxValue bounds the text of a certificate.
const maxValue = 64 << 10

// credentials are the cmdlets of the keys of service principals (14.5, 14.6).
func (o *online) credentials() []interp.Command {
	return []interp.Command{
		{
			Name: "New-MsolServicePrincipalCredential", New: func() interp.Cmdlet { return &newCredential{o: o} }, DefaultSet: "ObjectId",
			Synopsis: "Uploads a certificate that an application signs with.",
			Description: "Value is the certificate in DER form, as Base64. Without dates the key is good for one year from now, or until the certificate ends if that is sooner; " +
				"give -StartDate $cer.GetEffectiveDateString() -EndDate $cer.GetExpirationDateString() for the certificate's whole life. " +
				"Modern equivalents: New-AzureADServicePrincipalKeyCredential -Type AsymmetricX509Cert, Update-MgServicePrincipal -KeyCredentials, which replaces all keys.",
			Examples: []string{"$cer = New-Object System.Security.Cryptography.X509Certificates.X509Certificate\n$cer.Import('C:\\OAuthConfig\\OAuthCert.cer')\n" +
				"New-MsolServicePrincipalCredential -AppPrincipalId 00000002-0000-0ff1-ce00-000000000000 -Type asymmetric -Usage Verify -Value ([System.Convert]::ToBase64String($cer.GetRawCertData()))"},
			Links: []string{"Get-MsolServicePrincipalCredential", "Remove-MsolServicePrincipalCredential"},
		},
		{
			Name: "Get-MsolServicePrincipalCredential", New: func() interp.Cmdlet { return &getCredential{o: o} }, DefaultSet: "ObjectId",
			Synopsis:    "Shows the keys of a service principal.",
			Description: "Modern equivalents: Get-AzureADServicePrincipalKeyCredential, (Get-MgServicePrincipal ...).KeyCredentials.",
			Examples:    []string{`Get-MsolServicePrincipalCredential -AppPrincipalId 00000002-0000-0ff1-ce00-000000000000 -ReturnKeyValues $false`},
			Links:       []string{"New-MsolServicePrincipalCredential"},
		},
		{
			Name: "Remove-MsolServicePrincipalCredential", New: func() interp.Cmdlet { return &removeCredential{o: o} }, DefaultSet: "ObjectId",
			Synopsis:    "Removes keys of a service principal.",
			Description: "Modern equivalents: Remove-AzureADServicePrincipalKeyCredential -KeyId, Update-MgServicePrincipal -KeyCredentials with the others.",
			Examples:    []string{`Remove-MsolServicePrincipalCredential -AppPrincipalId 00000002-0000-0ff1-ce00-000000000000 -KeyIds bc2795f3-2387-4543-a95d-f92c85c7a1b0`},
			Links:       []string{"Get-MsolServicePrincipalCredential"},
		},
	}
}

// The parameters of a key.
type keyParams struct {
	Type      string    `ps:"Type,pipeline=name,values=Asymmetric|Symmetric|Password|Other,default=Symmetric" help:"asymmetric: a certificate. The module's default, symmetric, and password are refused: this directory trusts certificates only."`
	Value     string    `ps:"Value,pipeline=name" help:"The certificate in DER form, as Base64."`
	StartDate time.Time `ps:"StartDate,pipeline=name" help:"When the key begins to be good; not before the certificate is. The default is now."`
	EndDate   time.Time `ps:"EndDate,pipeline=name" help:"When the key ends; not after the certificate. The default is one year after the start."`
	Usage     string    `ps:"Usage,pipeline=name,values=Verify|Sign,default=Verify" help:"Verify. Sign is for symmetric keys."`
}

// credential reads the parameters.
func (p *keyParams) credential(c *interp.Call) (v admin.CredentialParams, err error) {
	bad := func(format string, args ...any) (admin.CredentialParams, error) {
		return v, record(c, "PropertyValidationException", format, args...)
	}
	if len(p.Value) > maxValue {
		return bad("The value has more than %d characters. Give one certificate.", maxValue)
	}
	if v.Value, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(p.Value), "")); err != nil {
		v.Value = nil
	}
	_, notCertificate := x509.ParseCertificate(v.Value)
	switch {
	case !strings.EqualFold(p.Type, "Asymmetric") && notCertificate == nil:
		return bad("The value is a certificate, and a key of type %s is no certificate. Give -Type asymmetric.", p.Type)
	case !strings.EqualFold(p.Type, "Asymmetric"):
		return bad("A key of type %s is not possible: this directory trusts certificates only. Give -Type asymmetric and a certificate as -Value.", p.Type)
	case !strings.EqualFold(p.Usage, "Verify"):
		return bad("The usage of a certificate is Verify, not %s.", p.Usage)
	case p.Value == "":
		return bad("There is no certificate. Give it as -Value, in DER form as Base64.")
	case strings.Contains(p.Value, "-----BEGIN"):
		return bad("The value is a certificate in PEM form. Give the Base64 text between its first and last line.")
	case v.Value == nil:
		return bad("The value is not Base64: %v.", err)
	case notCertificate != nil:
		return bad("The value is no certificate in DER form: %v.", notCertificate)
	}
	for _, d := range []struct {
		name string
		from time.Time
		to   **time.Time
	}{{"StartDate", p.StartDate, &v.StartDate}, {"EndDate", p.EndDate, &v.EndDate}} {
		if !c.Bound(d.name) {
			continue
		}
		// A date without a zone is one of the session's, as the texts of certificates are.
		t, err := object.CallMethod(c.Session().ObjectContext(), d.from, "ToUniversalTime", nil)
		if err != nil {
			return v, err
		}
		at := t.(time.Time)
		*d.to = &at
	}
	return v, nil
}

type newCredential struct {
	o *online
	principalID
	keyParams
	tenantID
}

// Run uploads the certificate.
func (p *newCredential) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.o.begin(ctx, c, p.tenantID)
	if err != nil {
		return c.WriteError(err)
	}
	params, err := p.credential(c)
	if err != nil {
		return c.WriteError(err)
	}
	id, err := k.which(p.identity(c))
	if err != nil {
		return c.WriteError(err)
	}
	res, err := k.Admin.NewServicePrincipalCredential(ctx, k.actor, k.realm, id, params)
	if err != nil {
		return c.WriteError(k.fail(err))
	}
	return k.warn(res.Warnings)
}

type getCredential struct {
	o *online
	principalID
	ReturnKeyValues bool `ps:"ReturnKeyValues,mandatory" help:"Whether Value is filled in."`
	tenantID
}

// Run shows the keys.
func (p *getCredential) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.o.begin(ctx, c, p.tenantID)
	if err != nil {
		return c.WriteError(err)
	}
	r, err := k.directory()
	if err != nil {
		return c.WriteError(err)
	}
	var v *directory.ServicePrincipal
	if id := p.identity(c); id != nil {
		v = id.find(r)
	}
	if v == nil {
		return c.WriteError(k.noPrincipal())
	}
	for _, key := range v.KeyCredentials {
		var value any
		if p.ReturnKeyValues {
			value = base64.StdEncoding.EncodeToString(key.Value)
		}
		if err := c.Emit(object.New("Microsoft.Online.Administration.ServicePrincipalCredential", "System.Object").Add("Type", key.Type).Add("Value", value).
			Add("KeyId", guid(key.KeyID)).Add("StartDate", key.StartDate.UTC()).Add("EndDate", key.EndDate.UTC()).Add("Usage", key.Usage)); err != nil {
			return err
		}
	}
	return nil
}

type removeCredential struct {
	o *online
	principalID
	KeyIDs []uuid.UUID `ps:"KeyIds,mandatory" help:"The ids of the keys to remove."`
	tenantID
}

// Run removes the keys.
func (p *removeCredential) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.o.begin(ctx, c, p.tenantID)
	if err != nil {
		return c.WriteError(err)
	}
	id, err := k.which(p.identity(c))
	if err != nil {
		return c.WriteError(err)
	}
	ids := make([]string, len(p.KeyIDs))
	for i, v := range p.KeyIDs {
		ids[i] = v.String()
	}
	_, err = k.Admin.RemoveServicePrincipalCredential(ctx, k.actor, k.realm, id, ids...)
	return c.WriteError(k.fail(err))
}
