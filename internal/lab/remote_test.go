package lab_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/app/client"
	"busybridge/internal/app/shell"
	"busybridge/internal/lab"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// far is a shell of the directory in a lab that is joined, and the lines that it gave.
func far(t *testing.T, l *lab.Lab, file *client.LabFile) func(string) []string {
	t.Helper()
	var lines []string
	write := func(kind string) interp.Stream {
		return func(v any) error {
			text := object.String(v)
			if r, ok := v.(*object.ErrorRecord); ok {
				text = r.ID + ": " + r.Message()
			}
			lines = append(lines, kind+": "+text)
			return nil
		}
	}
	sh, err := l.Shell(t.Context(), lab.ShellOptions{Org: "directory", Screen: shell.Screen{
		Streams: interp.Streams{Error: write("error"), Warning: write("warning"), Verbose: write("verbose")},
		Credentials: func(context.Context, string, string) (*object.Credential, error) {
			a, ok := file.Administrator("cloud")
			if !ok {
				return nil, errors.New("the lab has no administrator of the cloud")
			}
			return &object.Credential{UserName: a.User, Password: object.NewSecureString(a.Password)}, nil
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sh.Close(); err != nil {
			t.Error(err)
		}
	})
	return func(text string) []string {
		lines = nil
		err := sh.Session.Run(t.Context(), "", text, func(v any) error {
			lines = append(lines, object.String(v))
			return nil
		})
		if r, ok := errors.AsType[*object.ErrorRecord](err); ok {
			lines = append(lines, "ended: "+r.ID+": "+r.Message())
		} else if err != nil {
			t.Fatal(err)
		}
		return lines
	}
}

// Step 7's session, over the wire: what is imported, how it runs, what is refused.
func TestRemoteSession(t *testing.T) {
	o := options(t)
	o.Dir = filepath.Join(t.TempDir(), "world")
	l, err := lab.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := l.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	file, err := client.ReadLabFile(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	run := far(t, l, file)
	const open = `$Session = New-PSSession -ConfigurationName Microsoft.Exchange -ConnectionUri https://partner.outlook.cn/powershell-liveid/ -Credential (Get-Credential)
`
	if got := run(open + `$m = Import-PSSession $Session -CommandName *-IntraOrganizationConnector, Get-Mailbox, Test-OAuthConnectivity`); got != nil {
		t.Fatal(got)
	}
	const outOfHere = "Proxy creation has been skipped for the following command: 'Get-Mailbox', because it would shadow an existing local command.  Use the AllowClobber parameter if you want to shadow existing local commands."
	for _, tt := range []struct {
		text string
		want []string
	}{
		{`(Get-Command *-IntraOrganizationConnector | % { "$($_.CommandType) $($_.Name)" }) -join ', '`, []string{
			"Function Get-IntraOrganizationConnector, Function New-IntraOrganizationConnector, Function Remove-IntraOrganizationConnector, Function Set-IntraOrganizationConnector"}},
		{`(Get-IntraOrganizationConnector).DiscoveryEndpoint.AbsoluteUri`, []string{"https://autodiscover.contoso.com/autodiscover/autodiscover.svc"}},
		{`(Get-IntraOrganizationConnector).PSComputerName`, []string{"partner.outlook.cn"}},
		{`Get-IntraOrganizationConnector ExchangeHybrid* | % Name`, []string{"ExchangeHybridOnlineToOnPremises"}},
		{`Get-IntraOrganizationConnector | Set-IntraOrganizationConnector -Enabled $false; (Get-IntraOrganizationConnector).Enabled`, []string{"False"}},
		{`Set-IntraOrganizationConnector ExchangeHybridOnlineToOnPremises -Enabled:$true; (Get-IntraOrganizationConnector).Enabled`, []string{"True"}},
		{`Set-IntraOrganizationConnector -Identity ExchangeHybridOnlineToOnPremises -TargetAddressDomains contoso.com, contoso.example -Confirm:$false; (Get-IntraOrganizationConnector).TargetAddressDomains -join ' '`, []string{"contoso.com contoso.example"}},
		{`(Get-Mailbox | measure).Count -gt 5`, []string{"True"}},
		{`Invoke-Command $Session { Get-Mailbox -Identity kim@contoso.com } | % { $_.PrimarySmtpAddress.ToString() }`, []string{"kim@contoso.com"}},
		{`Invoke-Command $Session { param($who) Get-Mailbox $who | Select-Object Name } -ArgumentList kim@contoso.com | % { "$_".Length -gt 0 }`, []string{"True"}},
		{`Invoke-Command $Session { Get-Mailbox | ForEach-Object { $_.Name } }`, []string{
			"error: ScriptsNotAllowed: The syntax is not supported by this runspace. This can occur if the runspace is in no-language mode."}},
		{`(Test-OAuthConnectivity -Service EWS -TargetUri https://mail.contoso.com/ews/exchange.asmx -Mailbox kim@contoso.com).ResultType`, []string{"Success"}},
		{`Import-PSSession $Session -CommandName Get-Mailbox, Get-AcceptedDomain | Out-Null`, []string{"warning: " + outOfHere}},
		{`New-PSSession -ConnectionUri https://partner.outlook.cn/powershell-liveid/ -Credential (Get-Credential)`, []string{
			`error: PSSessionOpenFailed: `}},
		{`New-PSSession -ConfigurationName Microsoft.Exchange -ConnectionUri https://nowhere.outlook.cn/powershell-liveid/ -Credential (Get-Credential)`, []string{
			`error: ComputerNotFound,PSSessionOpenFailed: `}},
		{`New-PSSession -ConfigurationName Microsoft.Exchange -ConnectionUri https://partner.outlook.cn/powershell-liveid/ -Credential (New-Object PSCredential 'kim@contoso.com', (ConvertTo-SecureString wrong -AsPlainText -Force))`, []string{
			`error: AccessDenied,PSSessionOpenFailed: `}},
		{`$d = New-PSSession -ConnectionUri https://login.partner.microsoftonline.cn/powershell/ -Credential (Get-Credential)
(Invoke-Command $d { Get-MsolServicePrincipal } | ? DisplayName -eq Microsoft.Exchange | measure).Count; Invoke-Command $d { Connect-MsolService }; Remove-PSSession $d`, []string{"1", "error: CommandNotFoundException: The term 'Connect-MsolService' is not recognized as the name of a cmdlet, function, script file, or operable program. Check the spelling of the name, or if a path was included, verify that the path is correct and try again."}},
		{`Remove-PSSession $Session; (Get-PSSession | measure).Count`, []string{"0"}},
	} {
		got := run(tt.text)
		for i := range min(len(got), len(tt.want)) {
			if strings.HasPrefix(tt.want[i], "error: ") && strings.Contains(got[i], "PSSessionOpen") {
				got[i] = tt.want[i]
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.text, diff)
		}
	}
	// Who guesses passwords has to wait, here as everywhere; who signed in before has not.
	var guesses []string
	for range 8 {
		guesses = append(guesses, run(`New-PSSession -ConfigurationName Microsoft.Exchange -ConnectionUri https://partner.outlook.cn/powershell-liveid/ -Credential (New-Object PSCredential 'kim@contoso.com', (ConvertTo-SecureString wrong -AsPlainText -Force))`)...)
	}
	if first, last := guesses[0], guesses[len(guesses)-1]; !strings.Contains(first, "Access is denied") || !strings.Contains(last, "asks to wait") {
		t.Errorf("first %q, last %q", first, last)
	}
	verbose := run(open + `Import-PSSession $Session -AllowClobber -CommandName Test-OAuthConnectivity, Get-Mailbox | Out-Null
Test-OAuthConnectivity -Service EWS -TargetUri https://mail.contoso.com/ews/exchange.asmx -Mailbox kim@contoso.com -Verbose | Out-Null; Get-Mailbox nobody@contoso.com`)
	if all := strings.Join(verbose, "\n"); !strings.Contains(all, "verbose: Exchange Outbound Oauth Log:") || !strings.Contains(all, "error: ") {
		t.Error(all)
	}
}

// What a session costs that has run a cmdlet: it has all of the cloud's cmdlets.
func TestMemoryOfRemoteSessions(t *testing.T) {
	o := options(t)
	o.Dir = filepath.Join(t.TempDir(), "world")
	l, err := lab.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	file, err := client.ReadLabFile(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	run := far(t, l, file)
	heap := func() int {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	const n = 4 // an account has five
	session := func(i int) []string {
		return run(fmt.Sprintf(`$s%d = New-PSSession -ConfigurationName Microsoft.Exchange -ConnectionUri https://partner.outlook.cn/powershell-liveid/ -Credential (Get-Credential)
Invoke-Command $s%d { Get-AcceptedDomain } | Out-Null`, i, i))
	}
	if got := session(n); got != nil { // what all share is there now
		t.Fatal(got)
	}
	before := heap()
	for i := range n {
		if got := session(i); got != nil {
			t.Fatal(got)
		}
	}
	per := (heap() - before) / n
	t.Logf("memory: %d KiB for a session with the cloud's cmdlets and its client", per>>10)
	if per > 2<<20 {
		t.Errorf("a session keeps %d bytes", per)
	}
}
