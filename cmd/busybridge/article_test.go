package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An article is one run of the article's steps by the command line, in a world
// of its own.
type article struct {
	t     *testing.T
	dir   string
	cloud string // USER=FILE of the cloud's administrator
}

func newArticle(t *testing.T) *article {
	t.Helper()
	if seedDir() == "" {
		t.Skip("the article's lines are not beside the repository")
	}
	work := t.TempDir()
	a := &article{t: t, dir: filepath.Join(work, "lab")}
	l, err := bareLab(a.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := copySeed(seedDir(), filepath.Join(a.dir, "drive")); err != nil {
		t.Fatal(err)
	}
	user, password, err := administrator(a.dir, "cloud")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(work, "password")
	if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	a.cloud = user + "=" + file
	return a
}

// shell runs text in the shell of org.
func (a *article) shell(org, text string) (stdout, stderr string, code int) {
	a.t.Helper()
	return a.busybridge("shell", "--lab", a.dir, "--org", org, "--credential", a.cloud, "-c", text)
}

func (a *article) busybridge(args ...string) (stdout, stderr string, code int) {
	a.t.Helper()
	var out, errs bytes.Buffer
	code = run(a.t.Context(), args, strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), code
}

// articleSteps are the steps as they are typed, with C: as the folder of the scripts.
var articleSteps = []struct{ org, text string }{
	1: {"onprem", `.\step1.ps1`},
	2: {"onprem", `.\step2.ps1`},
	3: {"onprem", `.\ExportAuthCert.ps1`},
	4: {"directory", `.\UploadAuthCert.ps1`},
	5: {"directory", `Connect-MsolService; .\RegisterEndpoints.ps1`},
	6: {"onprem", `.\step6.ps1`},
	7: {"directory", `.\step7.ps1`},
	8: {"onprem", `.\step8.ps1`},
}

// TestBrokenSteps leaves a step out or does it wrongly. The verification must
// fail and name what is missing: Test-OAuthConnectivity for steps 1 to 5, the
// question for free/busy for those that only route (6 to 8).
func TestBrokenSteps(t *testing.T) {
	if testing.Short() {
		t.Skip("many worlds")
	}
	const (
		fromPremises = `.\verify-onprem.ps1`
		fromCloud    = `.\verify-cloud.ps1`
	)
	for _, c := range []struct {
		name    string
		skip    int               // a step that is left out
		instead map[string]string // "step" number: what is typed instead of it; "N+": after it
		as      string            // who asks for free/busy; "": Test-OAuthConnectivity
		ask     string            // for whom, or the line of the test
		want    []string          // in the output
	}{
		{name: "no authorization server object", skip: 1, ask: fromPremises, want: []string{"New-AuthServer"}},
		{name: "authorization server object is disabled", instead: map[string]string{"1+": "Set-AuthServer MicrosoftAzureACS -Enabled $false"}, ask: fromPremises, want: []string{"MicrosoftAzureACS", "disabled"}},
		{name: "metadata of another realm's host", instead: map[string]string{"1": "New-AuthServer -Name MicrosoftAzureACS -AuthMetadataUrl https://accounts.accesscontrol.chinacloudapi.cn/fabrikam.com/metadata/json/1"}, ask: fromPremises, want: []string{"New-AuthServer"}},
		{name: "partner application stays disabled", skip: 2, ask: fromCloud, want: []string{"partner application", "Set-PartnerApplication"}},
		{name: "partner application is removed", instead: map[string]string{"2": "Get-PartnerApplication | Remove-PartnerApplication -Confirm:$false"}, ask: fromCloud, want: []string{"partner application"}},
		{name: "certificate is not uploaded", skip: 4, ask: fromPremises, want: []string{"New-MsolServicePrincipalCredential"}},
		{name: "another certificate is exported", instead: map[string]string{
			"3": `$c = New-ExchangeCertificate -SubjectName "cn=other" -Force; md C:\OAuthConfig; [System.IO.File]::WriteAllBytes("C:\OAuthConfig\OAuthCert.cer", (dir Cert:\LocalMachine\My | ? {$_.Thumbprint -eq $c.Thumbprint}).Export([System.Security.Cryptography.X509Certificates.X509ContentType]::Cert))`,
		}, ask: fromPremises, want: []string{"New-MsolServicePrincipalCredential"}},
		{name: "key credential has ended", instead: map[string]string{
			"4": `Connect-MsolService; $v = [Convert]::ToBase64String([IO.File]::ReadAllBytes("C:\OAuthConfig\OAuthCert.cer")); New-MsolServicePrincipalCredential -AppPrincipalId 00000002-0000-0ff1-ce00-000000000000 -Type asymmetric -Usage Verify -Value $v -StartDate (Get-Date).AddDays(-2) -EndDate (Get-Date).AddDays(-1)`,
		}, ask: fromPremises, want: []string{"New-MsolServicePrincipalCredential"}},
		{name: "no host name is registered", skip: 5, ask: fromCloud, want: []string{"mail.contoso.com", "Set-MsolServicePrincipal"}},
		{name: "only the bare domain is registered", instead: map[string]string{
			"5": `Connect-MsolService; $p = Get-MsolServicePrincipal -ServicePrincipalName 00000002-0000-0ff1-ce00-000000000000; $p.ServicePrincipalNames.Add("00000002-0000-0ff1-ce00-000000000000/contoso.com"); Set-MsolServicePrincipal -ObjectId $p.ObjectId -ServicePrincipalNames $p.ServicePrincipalNames`,
		}, ask: fromCloud, want: []string{"mail.contoso.com", "Set-MsolServicePrincipal"}},
		{name: "mailbox is not there", ask: `Test-OAuthConnectivity -Service EWS -TargetUri https://partner.outlook.cn/ews/exchange.asmx -Mailbox solo@contoso.com -Verbose | fl`,
			instead: map[string]string{"8+": `New-Mailbox -Name solo -UserPrincipalName solo@contoso.com -Password (ConvertTo-SecureString "a long enough one" -AsPlainText -Force)`}, want: []string{"solo@contoso.com"}},
		{name: "nobody answers at the target", ask: `Test-OAuthConnectivity -Service EWS -TargetUri https://nobody.contoso.com/ews/exchange.asmx -Mailbox alice@contoso.com -Verbose | fl`, want: []string{"nobody.contoso.com"}},
		{name: "no connector to the cloud", skip: 6, as: "alice@contoso.com", ask: "kim@contoso.com", want: []string{"contoso.partner.mail.onmschina.cn"}},
		{name: "connector for another domain", instead: map[string]string{"6": "New-IntraOrganizationConnector -name x -DiscoveryEndpoint https://partner.outlook.cn/autodiscover/autodiscover.svc -TargetAddressDomains fabrikam.com"}, as: "alice@contoso.com", ask: "kim@contoso.com", want: []string{"contoso.partner.mail.onmschina.cn"}},
		{name: "connector is disabled", instead: map[string]string{"6+": "Set-IntraOrganizationConnector ExchangeHybridOnPremisesToOnline -Enabled $false"}, as: "alice@contoso.com", ask: "kim@contoso.com", want: []string{"contoso.partner.mail.onmschina.cn"}},
		{name: "no connector from the cloud", skip: 7, as: "kim@contoso.com", ask: "alice@contoso.com", want: []string{"contoso.com"}},
		{name: "no address space", skip: 8, as: "judy@contoso.com", ask: "kim@contoso.com", want: []string{"contoso.partner.mail.onmschina.cn"}},
		{name: "address space leads nowhere", instead: map[string]string{"8": "Add-AvailabilityAddressSpace -AccessMethod InternalProxy -ProxyUrl https://nobody.contoso.com/ews/exchange.asmx -ForestName contoso.partner.mail.onmschina.cn -UseServiceAccount $True"}, as: "judy@contoso.com", ask: "kim@contoso.com", want: []string{"nobody.contoso.com"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := newArticle(t)
			for n, s := range articleSteps {
				text, other := c.instead[strconv.Itoa(n)]
				if !other {
					text = s.text
				}
				if n == 0 || n == c.skip {
					continue
				}
				out, errs, code := a.shell(s.org, text)
				if code != 0 || errs != "" && !other && !strings.HasPrefix(errs, "WARNING: ") {
					if !other {
						t.Fatalf("step %d: exit status %d\n%s\n%s", n, code, out, errs)
					}
				}
				if after, ok := c.instead[strconv.Itoa(n)+"+"]; ok {
					if out, errs, code := a.shell(s.org, after); code != 0 || errs != "" {
						t.Fatalf("after step %d: exit status %d\n%s\n%s", n, code, out, errs)
					}
				}
			}
			var out, errs string
			if c.as == "" {
				org := "onprem"
				if c.ask == fromCloud {
					org = "cloud"
				}
				out, errs, _ = a.shell(org, c.ask)
				if strings.Contains(out, "ResultType  : Success") || !strings.Contains(out, "ResultType  : Error") {
					t.Errorf("the verification does not fail:\n%s\n%s", out, errs)
				}
			} else {
				var code int
				out, errs, code = a.busybridge("availability", "--lab", a.dir, "--user", c.as, "--for", c.ask)
				if code == 0 {
					t.Errorf("the question is answered:\n%s", out)
				}
			}
			for _, w := range c.want {
				if !strings.Contains(out+errs, w) {
					t.Errorf("the output does not name %q:\n%s\n%s", w, out, errs)
				}
			}
		})
	}
}

// TestShellStartsFast starts a shell of a lab as a process of its own: it takes
// less than 100 ms of a processor until its first command has run.
func TestShellStartsFast(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	l, err := bareLab(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	best := time.Hour
	for range 3 { // another process may have been in the way
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Args = []string{"busybridge", "shell", "--lab", dir, "--org", "onprem", "-c", "Get-AuthConfig | Select-Object -ExpandProperty Name"}
		out, err := cmd.Output()
		if err != nil || string(out) != "Auth Configuration\n" {
			t.Fatalf("%v: %q", err, out)
		}
		best = min(best, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	}
	t.Logf("%v of a processor", best)
	if best > 100*time.Millisecond {
		t.Errorf("starting takes %v of a processor, at most 100 ms", best)
	}
}
