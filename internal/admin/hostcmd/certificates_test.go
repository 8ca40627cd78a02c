package hostcmd_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/admin/hostcmd"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

func TestCertificateDrive(t *testing.T) {
	old := certificate(t, "old.contoso.com", noon.AddDate(0, 0, -1))
	mail := certificate(t, "mail.contoso.com", noon.AddDate(1, 0, 0))
	s := newShell(t, withCertificates(old, mail))
	steps(t, s, []step{
		{`(dir Cert:\LocalMachine\My).Count; @(dir cert:\currentuser\my).Count`, "2\n2"},
		{`dir Cert:\ | % Location; dir Cert:\LocalMachine | % Name`, "CurrentUser\nLocalMachine\nMy"},
		{`dir Cert:\LocalMachine\My | ? { $_.Subject -match 'mail' } | % { $_.Thumbprint, $_.PSParentPath, $_.PSChildName }`,
			mail.Thumbprint() + "\nMicrosoft.PowerShell.Security\\Certificate::LocalMachine\\My\n" + mail.Thumbprint()},
		{`(Get-Item Cert:\LocalMachine\My\` + strings.ToLower(mail.Thumbprint()) + `).Subject`, "CN=mail.contoso.com"},
		{`(dir Cert:\LocalMachine\My\` + mail.Thumbprint()[:6] + `*).Subject`, "CN=mail.contoso.com"},
		{`dir Cert:\LocalMachine\My | Get-Item | % Subject`, "CN=old.contoso.com\nCN=mail.contoso.com"},
		{`dir Cert:\ -Recurse | ? { $_.Thumbprint } | % Subject | select -First 1`, "CN=old.contoso.com"},
		{`(dir Cert:\LocalMachine\My -ExpiringInDays 0).Subject`, "CN=old.contoso.com"},
		{`(dir Cert:\LocalMachine\My -DnsName mail*).Subject`, "CN=mail.contoso.com"},
		{`@(dir Cert:\LocalMachine\My -SSLServerAuthentication).Count; @(dir Cert:\LocalMachine\My -CodeSigningCert).Count; @(dir Cert:\LocalMachine\My -Eku 'Server*').Count`, "2\n0\n2"},
		{`dir Cert:\LocalMachine\Root`, `Error: Cannot find path 'Cert:\LocalMachine\Root' because it does not exist. [PathNotFound,Microsoft.PowerShell.Commands.GetChildItemCommand]`},
		{`gc Cert:\LocalMachine\My\` + mail.Thumbprint(), `Error: Cannot read 'Cert:\LocalMachine\My\` + mail.Thumbprint() + `' as a file. Use Get-Item and the method Export. [NotSupported,Microsoft.PowerShell.Commands.GetContentCommand]`},
		{`sc Cert:\LocalMachine\My\x y`, `Error: The drive Cert: shows the organization's certificates and cannot be changed. Use New-ExchangeCertificate, Import-ExchangeCertificate or Remove-ExchangeCertificate. [NotSupported,Microsoft.PowerShell.Commands.SetContentCommand]`},
	})
	want := "   PSParentPath: Microsoft.PowerShell.Security\\Certificate::LocalMachine\\My\n\nThumbprint                                Subject\n----------                                -------\n" +
		old.Thumbprint() + "  CN=old.contoso.com\n" + mail.Thumbprint() + "  CN=mail.contoso.com"
	if diff := cmp.Diff(want, strings.Trim(s.show(t, `dir Cert:\LocalMachine\My`), "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// getAuthConfig stands for the cmdlet of an organization.
type getAuthConfig struct{ thumbprint string }

func (g *getAuthConfig) Run(_ context.Context, c *interp.Call) error {
	return c.Emit(object.New("Microsoft.Exchange.Data.Directory.SystemConfiguration.AuthConfig").Add("CurrentCertificateThumbprint", g.thumbprint))
}

// The article's step 3: the certificate in use lands in a file, the second run finds its folder.
func TestExportAuthCertScript(t *testing.T) {
	script := seed(t, "ExportAuthCert.ps1")
	auth := certificate(t, "auth.contoso.com", noon.AddDate(5, 0, 0))
	s := newShell(t, withCertificates(certificate(t, "other.contoso.com", noon), auth), func(_ *hostcmd.Config, c *interp.Config) {
		c.Commands = append(c.Commands, interp.Command{Name: "Get-AuthConfig", New: func() interp.Cmdlet { return &getAuthConfig{auth.Thumbprint()} }})
	})
	s.write(t, "ExportAuthCert.ps1", script)
	steps(t, s, []step{
		{`.\ExportAuthCert.ps1 | % FullName; "$PWD"`, "C:\\OAuthConfig\nC:\\OAuthConfig"},
		{`..\ExportAuthCert.ps1; "$PWD"`, `C:\OAuthConfig`},
	})
	if got := s.read(t, "OAuthConfig/OAuthCert.cer"); got != string(auth.Raw()) {
		t.Errorf("the file holds %d bytes that are not the certificate", len(got))
	}
	// Step 4 reads it again.
	steps(t, s, []step{{`$CertFile = "$env:SYSTEMDRIVE\OAuthConfig\OAuthCert.cer"
$objFSO = New-Object -ComObject Scripting.FileSystemObject;
$CertFile = $objFSO.GetAbsolutePathName($CertFile);
$cer = New-Object System.Security.Cryptography.X509Certificates.X509Certificate
$cer.Import($CertFile);
$cer.GetCertHashString()`, auth.Thumbprint()}})
}
