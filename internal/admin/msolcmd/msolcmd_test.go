package msolcmd_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/admin"
	"busybridge/internal/admin/hostcmd"
	"busybridge/internal/admin/msolcmd"
	"busybridge/internal/audit"
	"busybridge/internal/directory"
	"busybridge/internal/ps/format"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
	"busybridge/internal/store/sqlitestore"
	"busybridge/internal/trust"
)

const (
	tenant   = "cb52ada4-5045-4d00-a59a-c7896ef052a1"
	password = "correct horse"
	exchange = directory.ExchangeAppID
)

var (
	now    = time.Date(2014, 5, 6, 7, 8, 9, 0, time.UTC)
	system = admin.Actor{Name: "system", System: true}
	// The shell's zone: what scripts read and write are its times.
	zone = time.FixedZone("", 8*3600)
)

// authCert is made once: a key takes long.
var authCert = sync.OnceValue(func() directory.Certificate {
	c, err := trust.NewSigningCertificate(trust.ExchangeCertificateSubject, now.AddDate(0, 0, -1), now.AddDate(5, 0, 0))
	if err != nil {
		panic(err)
	}
	return c
})

// world is a directory shell over a store of its own.
type world struct {
	*interp.Session
	svc   *admin.Service
	store *sqlitestore.Store
	log   strings.Builder
	dir   string // C:
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir()}
	clock := func() time.Time { return now }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	w.store, err = sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "a.db"), sqlitestore.Options{Now: clock, SealKey: make([]byte, 32), Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	must(err)
	t.Cleanup(func() { w.store.Close() })
	w.svc, err = admin.New(admin.Config{Store: admin.Over(w.store), Now: clock})
	must(err)
	_, err = w.svc.SetAuthorityConfig(t.Context(), system, &directory.AuthorityConfig{Cloud: directory.Clouds["21vianet"], Certificates: []directory.Certificate{authCert()}, TokenLifetime: time.Hour})
	must(err)
	_, err = w.svc.NewRealm(t.Context(), system, admin.RealmParams{Name: "Contoso", InitialDomain: "contoso.partner.onmschina.cn", ID: tenant})
	must(err)
	_, err = w.svc.AddVerifiedDomain(t.Context(), system, tenant, "contoso.com")
	must(err)
	w.put(t, directory.Account{UserName: "admin@contoso.com", Roles: []string{directory.RoleAdmin}, Enabled: true})
	w.put(t, directory.Account{UserName: "reader@contoso.com", Roles: []string{directory.RoleView}, Enabled: true})
	commands, err := msolcmd.Commands(msolcmd.Config{
		Admin: w.svc,
		SignIn: func(ctx context.Context, c *object.Credential) (admin.Actor, string, error) {
			if c.Password.Reveal() != password {
				return admin.Actor{}, "", fmt.Errorf("sign in: %w", admin.ErrSignIn)
			}
			a, err := w.svc.ActorFor(ctx, c.UserName)
			return a, a.Realm, err
		},
		Credential: func(context.Context, *interp.Call) (*object.Credential, error) {
			return &object.Credential{UserName: "admin@contoso.com", Password: object.NewSecureString(password)}, nil
		},
	})
	must(err)
	drive, err := hostcmd.OpenDrive(w.dir)
	must(err)
	t.Cleanup(func() { drive.Close() })
	host, err := hostcmd.Commands(hostcmd.Config{Drive: drive, Modules: []string{msolcmd.Module, "msonlineextended", msolcmd.ModuleAzureAD}, Now: clock})
	must(err)
	line := func(v any) error {
		if m, ok := v.(*interp.Message); ok {
			fmt.Fprintf(&w.log, "%s: %s\n", m.Kind, m.Text)
		} else {
			fmt.Fprintf(&w.log, "%s\n", object.String(v))
		}
		return nil
	}
	w.Session, err = interp.New(interp.Config{
		Commands: append(commands, host...), Now: clock, Zone: zone, Files: drive, Env: map[string]string{"SYSTEMDRIVE": "C:"},
		Formatter: &format.Formatter{Views: msolcmd.Views()}, Streams: interp.Streams{Error: line, Warning: line, Information: line},
	})
	must(err)
	return w
}

// hash is made once: it takes long, as it shall.
var hash = sync.OnceValues(func() (string, error) { return trust.HashPassword(password) })

// put keeps an account of the realm.
func (w *world) put(t *testing.T, a directory.Account) {
	t.Helper()
	var err error
	a.Realm = tenant
	if a.PasswordHash, err = hash(); err != nil {
		t.Fatal(err)
	}
	if err := w.store.Change(t.Context(), func(tx *sqlitestore.Tx) error { return tx.PutAccount(t.Context(), &a) }); err != nil {
		t.Fatal(err)
	}
}

// run gives what the script shows and what went to the other streams.
func (w *world) run(t *testing.T, script string) (out, log string) {
	t.Helper()
	w.log.Reset()
	var items []any
	err := w.Run(t.Context(), "", script, func(v any) error {
		items = append(items, v)
		return nil
	})
	if err != nil {
		fmt.Fprintln(&w.log, err)
	}
	text, err := w.Format(items)
	if err != nil {
		t.Fatal(err)
	}
	return text, w.log.String()
}

func (w *world) exchange(t *testing.T) directory.ServicePrincipal {
	t.Helper()
	r, err := w.store.Realm(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	return r.Principals[0]
}

func value() string { return base64.StdEncoding.EncodeToString(authCert().DER) }

const warnsOfEnd = "Warning: The credential ends at 2015-05-06T07:08:09Z, but the certificate lives until 2019-05-06T07:08:09Z: give an end date, or upload it again in time.\n"

func TestCmdlets(t *testing.T) {
	const connect = "Connect-MsolService; "
	const get = "$p = Get-MsolServicePrincipal -ServicePrincipalName " + exchange + "; "
	for _, tt := range []struct{ name, script, out, log string }{
		{"nobody is connected", "Get-MsolServicePrincipal -All; $Error[0].FullyQualifiedErrorId; $Error[0].CategoryInfo.Reason; 'on'",
			"0,Microsoft.Online.Administration.Automation.GetServicePrincipal\nMicrosoftOnlineException\non\n", "You must call the Connect-MsolService cmdlet before calling any other cmdlets.\n"},
		{"wrong password", `$c = New-Object PSCredential 'admin@contoso.com', (ConvertTo-SecureString wrong -AsPlainText -Force); Connect-MsolService; try { Connect-MsolService -Credential $c } catch { "$_" }; Get-MsolDomain`,
			"Authentication Error: Bad username or password.\n", "You must call the Connect-MsolService cmdlet before calling any other cmdlets.\n"},
		{"a token", `try { Connect-MsolService -AccessToken x } catch { "$_" }`, "Signing in with a token is not possible here. Use -Credential.\n", ""},
		{"environment", "Connect-MsolService -AzureEnvironment azurechinacloud; $?; try { Connect-MsolService -AzureEnvironment Moon } catch { 'bad' }", "True\nbad\n", ""},
		{"a principal is a list", connect + "$FormatEnumerationLimit = 2; Get-MsolServicePrincipal -AppPrincipalId " + exchange + " | select * -ExcludeProperty ObjectId", `

ExtensionData         : System.Runtime.Serialization.ExtensionDataObject
AccountEnabled        : True
Addresses             : {}
AppPrincipalId        : 00000002-0000-0ff1-ce00-000000000000
DisplayName           : Microsoft.Exchange
ServicePrincipalNames : {00000002-0000-0ff1-ce00-000000000000, 00000002-0000-0ff1-ce00-000000000000/partner.outlook.cn..
                        .}
TrustedForDelegation  : True



`, ""},
		{"found by name", connect + get + "$p.ObjectId -is [guid]; (Get-MsolServicePrincipal -ServicePrincipalName " + exchange + "/Partner.Outlook.CN).AppPrincipalId -eq $p.AppPrincipalId; (Get-MsolServicePrincipal -ObjectId $p.ObjectId).DisplayName; (Get-MsolServicePrincipal -SearchString micro).DisplayName; @(Get-MsolServicePrincipal -SearchString x).Count",
			"True\nTrue\nMicrosoft.Exchange\nMicrosoft.Exchange\n0\n", ""},
		{"not found", connect + "Get-MsolServicePrincipal -AppPrincipalId " + tenant + "; $Error[0].FullyQualifiedErrorId; \"$($Error[0].CategoryInfo)\"",
			"Microsoft.Online.Administration.Automation.ServicePrincipalNotFoundException,Microsoft.Online.Administration.Automation.GetServicePrincipal\nOperationStopped: (:) [Get-MsolServicePrincipal], MicrosoftOnlineException\n", "Service principal was not found.\n"},
		{"more than asked for", connect + "$null = New-MsolServicePrincipal -DisplayName B -WarningAction Ignore; Get-MsolServicePrincipal -MaxResults 1 | % DisplayName; @(Get-MsolServicePrincipal -All).Count",
			"Microsoft.Exchange\n2\n", "Warning: More results are available. Please specify one of the All or MaxResults parameters.\n"},
		{"the list stays here until it is set", connect + get + "$p.ServicePrincipalNames.Add('" + exchange + "/*.contoso.com'); @($p.ServicePrincipalNames).Count; @((Get-MsolServicePrincipal -ObjectId $p.ObjectId).ServicePrincipalNames).Count", "4\n3\n", ""},
		{"by pipeline", connect + get + "$p | Set-MsolServicePrincipal -DisplayName Mail; (Get-MsolServicePrincipal -ObjectId $p.ObjectId).DisplayName", "Mail\n", ""},
		{"an empty list leaves the application id", connect + get + "Set-MsolServicePrincipal -AppPrincipalId $p.AppPrincipalId -ServicePrincipalNames @(); (Get-MsolServicePrincipal -ObjectId $p.ObjectId).ServicePrincipalNames", exchange + "\n", ""},
		{"a host of somebody else", connect + get + "Set-MsolServicePrincipal -ObjectId $p.ObjectId -ServicePrincipalNames " + exchange + "/mail.fabrikam.com -EA SilentlyContinue; $Error[0].FullyQualifiedErrorId; \"$($Error[0])\" -match 'fabrikam'",
			"Microsoft.Online.Administration.Automation.PropertyValidationException,Microsoft.Online.Administration.Automation.SetServicePrincipal\nTrue\n", ""},
		{"a name is taken", connect + get + "$q = New-MsolServicePrincipal -DisplayName B -ServicePrincipalNames https://mail.contoso.com -WarningAction Ignore; Set-MsolServicePrincipal -ObjectId $p.ObjectId -ServicePrincipalNames https://mail.contoso.com -EA SilentlyContinue; \"$($Error[0])\".Split('.')[0]",
			"A service principal with the name specified already exists\n", ""},
		{"whom", connect + "Set-MsolServicePrincipal -ObjectId $nothing -DisplayName x; New-MsolServicePrincipalCredential -AppPrincipalId $nothing.AppPrincipalId -Type asymmetric -Value x", "",
			"No service principal was given. Name it by ObjectId or AppPrincipalId; what the command got is empty.\nCannot bind argument to parameter 'AppPrincipalId' because it is null.\n"},
		{"reply addresses", connect + get + "Set-MsolServicePrincipal -ObjectId $p.ObjectId -Addresses x", "", "Reply addresses are not kept here: nobody signs in to applications of this directory. Leave -Addresses out.\n"},
		{"another tenant", connect + "Get-MsolDomain -TenantId " + exchange + " -EA SilentlyContinue; $Error[0].FullyQualifiedErrorId; @(Get-MsolDomain -TenantId " + tenant + ").Count",
			"Microsoft.Online.Administration.Automation.AccessDeniedException,Microsoft.Online.Administration.Automation.GetDomain\n2\n", ""},
		{"a certificate", connect + "New-MsolServicePrincipalCredential -AppPrincipalId " + exchange + " -Type asymmetric -Usage Verify -Value " + value() +
			"; Get-MsolServicePrincipalCredential -AppPrincipalId " + exchange + " -ReturnKeyValues 0 | select Type, Value, StartDate, EndDate, Usage", `

Type      : Asymmetric
Value     : 
StartDate : 5/6/2014 7:08:09 AM
EndDate   : 5/6/2015 7:08:09 AM
Usage     : Verify



`, warnsOfEnd},
		{"for its whole life", connect + "[System.IO.File]::WriteAllBytes('C:\\a.cer', [Convert]::FromBase64String('" + value() + "')); $cer = New-Object System.Security.Cryptography.X509Certificates.X509Certificate; $cer.Import('C:\\a.cer'); " +
			"New-MsolServicePrincipalCredential -AppPrincipalId " + exchange + " -Type Asymmetric -Value ([Convert]::ToBase64String($cer.GetRawCertData())) -StartDate $cer.GetEffectiveDateString() -EndDate $cer.GetExpirationDateString()" +
			"; $k = Get-MsolServicePrincipalCredential -ServicePrincipalName " + exchange + " -ReturnKeyValues $true; \"$($k.StartDate) $($k.EndDate)\"; $k.Value -eq [Convert]::ToBase64String($cer.GetRawCertData())",
			"05/05/2014 07:07:09 05/06/2019 07:08:09\nTrue\n", ""},
		{"dates outside of the certificate's", connect + "New-MsolServicePrincipalCredential -AppPrincipalId " + exchange + " -Type Asymmetric -Value " + value() + " -EndDate 1/1/2030 -EA SilentlyContinue; \"$($Error[0])\" -match 'EndDate'", "True\n", ""},
		{"a certificate is no symmetric key", connect + "New-MsolServicePrincipalCredential -AppPrincipalId " + exchange + " -Value " + value(), "", "The value is a certificate, and a key of type Symmetric is no certificate. Give -Type asymmetric.\n"},
		{"no symmetric keys", connect + "New-MsolServicePrincipalCredential -AppPrincipalId " + exchange + "; New-MsolServicePrincipalCredential -AppPrincipalId " + exchange + " -Type password -Value secret", "",
			"A key of type Symmetric is not possible: this directory trusts certificates only. Give -Type asymmetric and a certificate as -Value.\nA key of type password is not possible: this directory trusts certificates only. Give -Type asymmetric and a certificate as -Value.\n"},
		{"no certificate", connect + "foreach ($v in '', '!', 'AAAA', '-----BEGIN CERTIFICATE-----') { New-MsolServicePrincipalCredential -AppPrincipalId " + exchange + " -Type asymmetric -Value $v -EA SilentlyContinue; \"$($Error[0])\".Split('.:')[0] }",
			"There is no certificate\nThe value is not Base64\nThe value is no certificate in DER form\nThe value is a certificate in PEM form\n", ""},
		{"a key goes", connect + "New-MsolServicePrincipalCredential -AppPrincipalId " + exchange + " -Type asymmetric -Value " + value() + " -WA Ignore; $k = Get-MsolServicePrincipalCredential -AppPrincipalId " + exchange + " -ReturnKeyValues $false; " +
			"Remove-MsolServicePrincipalCredential -AppPrincipalId " + exchange + " -KeyId $k.KeyId; @(Get-MsolServicePrincipalCredential -AppPrincipalId " + exchange + " -ReturnKeyValues $false).Count; Remove-MsolServicePrincipalCredential -AppPrincipalId " + exchange + " -KeyId " + tenant,
			"0\n", "The key credential " + tenant + " was not found.\n"},
		{"a new principal", connect + "New-MsolServicePrincipal -DisplayName 'Calendar Gateway' -AppPrincipalId dd02c40f-1325-46c2-a118-4659db8a55d5 -Type asymmetric -Value " + value() + " | select * -ExcludeProperty ObjectId, KeyId", `

DisplayName           : Calendar Gateway
ServicePrincipalNames : {dd02c40f-1325-46c2-a118-4659db8a55d5}
AppPrincipalId        : dd02c40f-1325-46c2-a118-4659db8a55d5
TrustedForDelegation  : False
AccountEnabled        : True
Addresses             : {}
KeyType               : Asymmetric
StartDate             : 5/6/2014 7:08:09 AM
EndDate               : 5/6/2015 7:08:09 AM
Usage                 : Verify



`, warnsOfEnd},
		{"no new principal with a bad key", connect + "New-MsolServicePrincipal -DisplayName B -Type asymmetric -Value " + value() + " -EndDate 1/1/2030 -EA SilentlyContinue; @(Get-MsolServicePrincipal -All).Count", "1\n", ""},
		{"a principal goes", connect + "$q = New-MsolServicePrincipal -DisplayName B -AccountEnabled $false -WA Ignore; $q.AccountEnabled; Remove-MsolServicePrincipal -ObjectId $q.ObjectId; @(Get-MsolServicePrincipal -All).Count; Remove-MsolServicePrincipal -ObjectId $q.ObjectId",
			"False\n1\n", "Service principal was not found.\n"},
		{"domains", connect + "Get-MsolDomain; Get-MsolDomain -Status Unverified; Get-MsolDomain -DomainName nowhere.com", `
Name                         Status   Authentication
----                         ------   --------------
contoso.partner.onmschina.cn Verified Managed
contoso.com                  Verified Managed


`, "The domain nowhere.com was not found in this directory.\n"},
		{"a domain", connect + "Get-MsolDomain -DomainName Contoso.com | fl", `

ExtensionData  : System.Runtime.Serialization.ExtensionDataObject
Authentication : Managed
Capabilities   : Email
IsDefault      : False
IsInitial      : False
Name           : contoso.com
RootDomain     : 
Status         : Verified



`, ""},
		{"the company", connect + "$c = Get-MsolCompanyInformation; \"$($c.ObjectId) $($c.DisplayName) $($c.InitialDomain)\"", tenant + " Contoso contoso.partner.onmschina.cn\n", ""},
		{"help names what is used today", "(Get-Help Set-MsolServicePrincipal) -match 'Update-MgServicePrincipal'; @(Get-Command *-Msol* | ? { -not ((Get-Help $_.Name) -match 'Modern equivalents') }).Count", "True\n0\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, log := newWorld(t).run(t, tt.script)
			if d := cmp.Diff([]string{tt.out, tt.log}, []string{out, log}); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestOnlyAdministratorsChange(t *testing.T) {
	w := newWorld(t)
	out, log := w.run(t, `$c = New-Object PSCredential 'reader@contoso.com', (ConvertTo-SecureString 'correct horse' -AsPlainText -Force)
Connect-MsolService -Credential $c
$p = Get-MsolServicePrincipal -ServicePrincipalName 00000002-0000-0ff1-ce00-000000000000
$p.DisplayName
Set-MsolServicePrincipal -ObjectId $p.ObjectId -DisplayName x -EA SilentlyContinue
"$($Error[0])"
New-MsolServicePrincipal -DisplayName x -EA SilentlyContinue; Remove-MsolServicePrincipal -ObjectId $p.ObjectId -EA SilentlyContinue
New-MsolServicePrincipalCredential -ObjectId $p.ObjectId -Type asymmetric -Value `+value()+` -EA SilentlyContinue
$Error.Count`)
	if log != "" || !strings.HasPrefix(out, "Microsoft.Exchange\nAccess Denied. You do not have permissions to call this cmdlet. ") || !strings.HasSuffix(out, "\n4\n") {
		t.Errorf("got %q, log %q", out, log)
	}
	if p := w.exchange(t); p.DisplayName != "Microsoft.Exchange" || len(p.KeyCredentials) != 0 {
		t.Errorf("changed: %+v", p)
	}
}

func TestAnAccountThatIsDisabledIsOut(t *testing.T) {
	w := newWorld(t)
	w.run(t, "Connect-MsolService")
	w.put(t, directory.Account{UserName: "admin@contoso.com", Roles: []string{directory.RoleAdmin}})
	if out, log := w.run(t, "Get-MsolDomain"); out != "" || !strings.HasPrefix(log, "Access Denied.") {
		t.Errorf("got %q, log %q", out, log)
	}
}

// seed is a file of the administrators' lines.
func seed(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above")
		}
		dir = filepath.Dir(dir)
	}
	b, err := os.ReadFile(filepath.Join(dir, "..", "shared", "seed", name))
	if err != nil {
		t.Skipf("the seed scripts are not here: %v", err)
	}
	return string(b)
}

func TestSteps4And5(t *testing.T) {
	w := newWorld(t)
	if err := os.Mkdir(filepath.Join(w.dir, "OAuthConfig"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "OAuthConfig", "OAuthCert.cer"), authCert().DER, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, log := w.run(t, seed(t, "UploadAuthCert.ps1")); out != "" || log != warnsOfEnd {
		t.Errorf("step 4: %q, log %q", out, log)
	}
	if out, log := w.run(t, seed(t, "RegisterEndpoints.ps1")); out != "" || log != "" {
		t.Errorf("step 5: %q, log %q", out, log)
	}
	p := w.exchange(t)
	want := []string{exchange, exchange + "/partner.outlook.cn", exchange + "/autodiscover-s.partner.outlook.cn", exchange + "/*.contoso.com"}
	if d := cmp.Diff(want, p.ServicePrincipalNames); d != "" {
		t.Error(d)
	}
	if len(p.KeyCredentials) != 1 {
		t.Fatalf("%d keys", len(p.KeyCredentials))
	}
	cert, err := x509.ParseCertificate(p.KeyCredentials[0].Value)
	if err != nil || cert.Subject.CommonName != "Microsoft Exchange Server Auth Certificate" {
		t.Errorf("the key is %v, %v", cert, err)
	}
	var ops []string
	for e, err := range w.store.AuditEvents(t.Context(), audit.Filter{Org: tenant}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Actor == "admin@contoso.com" {
			ops = append(ops, e.Operation+" "+e.Outcome)
		}
	}
	if d := cmp.Diff([]string{"Set-MsolServicePrincipal done", "New-MsolServicePrincipalCredential done"}, ops); d != "" {
		t.Error(d)
	}
}
