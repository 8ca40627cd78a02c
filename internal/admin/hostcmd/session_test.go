package hostcmd_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/admin/hostcmd"
	"busybridge/internal/ps/format"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// far is the organization at the other end, with commands that show what arrives.
type far struct {
	s      *interp.Session
	opened int
	moved  *url.URL // where the endpoint points to
}

const runspace = "6291d162-f57f-44f8-8022-d8e17cbca62a"

// Connect implements hostcmd.Connector.
func (f *far) Connect(_ context.Context, t hostcmd.Target) (hostcmd.Remote, error) {
	switch {
	case t.URI == nil || t.URI.Hostname() == "nowhere.contoso.com":
		return nil, hostcmd.ErrUnknownHost
	case t.URI.Hostname() == "closed.contoso.com":
		return nil, fmt.Errorf("dial: %w", hostcmd.ErrCannotConnect)
	case t.URI.Hostname() == "moved.contoso.com":
		return nil, &hostcmd.RedirectError{URI: f.moved}
	case t.Credential == nil || t.Credential.UserName != "admin@contoso.com" || t.Credential.Password.Reveal() != "correct horse":
		return nil, hostcmd.ErrAccessDenied
	}
	f.opened++
	return hostcmd.InProcess(f.s, hostcmd.RemoteInfo{ComputerName: t.URI.Hostname(), RunspaceID: runspace, Configuration: t.Configuration}), nil
}

type newConnector struct {
	Name                 string   `ps:"Name,mandatory,position=0"`
	DiscoveryEndpoint    *url.URL `ps:"DiscoveryEndpoint,mandatory"`
	TargetAddressDomains []string `ps:"TargetAddressDomains,mandatory"`
	Enabled              bool     `ps:"Enabled,default=true"`
}

func (p *newConnector) Run(_ context.Context, c *interp.Call) error {
	if ok, err := c.ShouldProcess(p.Name, ""); !ok {
		return err
	}
	if p.Name == "taken" {
		r := object.NewError("[Server=EX1] 1082ECE3,NewConnector", object.NotSpecified, nil, "%s is taken.", p.Name)
		r.Reason = "ADObjectAlreadyExistsException"
		return c.WriteError(r)
	}
	inner := object.New("Contoso.Inner").Add("Deep", object.New("Contoso.Deep").Add("Deeper", object.New("Contoso.Deeper").Add("X", int32(1))))
	o := object.New("Contoso.Connector", "System.Object").Add("Name", p.Name).Add("DiscoveryEndpoint", p.DiscoveryEndpoint).
		Add("TargetAddressDomains", object.Strings(p.TargetAddressDomains...)).Add("Enabled", p.Enabled).Add("Inner", inner)
	o.AddMethod("Kill", func(*object.Context, *object.Object, []any) (any, error) { return nil, errors.New("called") })
	return c.Emit(o)
}

type getNumber struct {
	Identity any           `ps:"Identity,position=0,pipeline=value"`
	Count    int           `ps:"Count,default=3"`
	Loud     object.Switch `ps:"Loud"`
	sent     *int
}

func (p *getNumber) Run(_ context.Context, c *interp.Call) error {
	if p.Loud {
		return errors.Join(c.WriteWarning("loud"), c.WriteVerbose("about to count"), c.WriteHost(&interp.Message{Text: "hello"}))
	}
	if p.Identity != nil {
		return c.Emit(fmt.Sprintf("%s %s", strings.Join(object.TypeNames(p.Identity), ","), object.String(p.Identity)))
	}
	for i := range p.Count {
		*p.sent++
		if err := c.Emit(int32(i + 1)); err != nil {
			return err
		}
	}
	return nil
}

type fakePrompt struct{ asked []string }

func (p *fakePrompt) Line(_ context.Context, text string) (string, error) {
	p.asked = append(p.asked, text)
	return "", nil
}

func (p *fakePrompt) Secret(_ context.Context, text string) (string, error) {
	p.asked = append(p.asked, text)
	return "correct horse", nil
}

func (p *fakePrompt) Choice(_ context.Context, _, text string, _ []string, def int) (int, error) {
	p.asked = append(p.asked, text)
	return def, nil
}

// A near is the shell under test.
type near struct {
	*interp.Session
	far    *far
	log    strings.Builder
	prompt fakePrompt
	sent   int // numbers that the far side has made
}

func clock() time.Time { return time.Date(2014, 5, 6, 7, 8, 9, 0, time.UTC) }

func newNear(t *testing.T) *near {
	t.Helper()
	n := &near{far: &far{moved: &url.URL{Scheme: "https", Host: "far.contoso.com", Path: "/powershell-liveid/"}}}
	var err error
	n.far.s, err = interp.New(interp.Config{Now: clock, Remote: true, Commands: []interp.Command{
		{Name: "New-IntraOrganizationConnector", Module: "Exchange", ShouldProcess: true, New: func() interp.Cmdlet { return &newConnector{} }, Synopsis: "Makes a connector."},
		{Name: "Get-Number", Module: "Exchange", New: func() interp.Cmdlet { return &getNumber{sent: &n.sent} }},
		{Name: "Frobnicate-Number", Module: "Other", New: func() interp.Cmdlet { return &getNumber{sent: &n.sent} }},
	}})
	if err != nil {
		t.Fatal(err)
	}
	drive, err := hostcmd.OpenDrive(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { drive.Close() })
	cfg := hostcmd.Config{Drive: drive, Connector: n.far, Modules: []string{"MSOnline", "msonlineextended"}, Now: clock,
		Credentials: func(_ context.Context, user, _ string) (*object.Credential, error) {
			if user != "" {
				return nil, hostcmd.ErrNoCredential
			}
			return &object.Credential{UserName: "admin@contoso.com", Password: object.NewSecureString("correct horse")}, nil
		}}
	commands, err := hostcmd.Commands(cfg)
	if err != nil {
		t.Fatal(err)
	}
	commands = append(commands, interp.Command{Name: "Get-MsolDomain", Module: "MSOnline", New: func() interp.Cmdlet { return &getNumber{sent: &n.sent} }})
	line := func(v any) error {
		switch x := v.(type) {
		case *object.ErrorRecord:
			n.log.WriteString(format.Error(x, 200) + "\n")
		case *interp.Message:
			fmt.Fprintf(&n.log, "%s: %s\n", x.Kind, x.Text)
		}
		return nil
	}
	n.Session, err = interp.New(interp.Config{
		Commands: commands, Now: clock, Prompt: &n.prompt, Files: drive, Formatter: &format.Formatter{Views: hostcmd.Views()},
		Streams: interp.Streams{Error: line, Warning: line, Verbose: line, Information: line},
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// run gives what the script shows and what went to the other streams.
func (n *near) run(t *testing.T, script string) (out, log string) {
	t.Helper()
	n.log.Reset()
	var items []any
	err := n.Run(t.Context(), "", script, func(v any) error {
		items = append(items, v)
		return nil
	})
	if err != nil {
		fmt.Fprintln(&n.log, err)
	}
	text, err := n.Format(items)
	if err != nil {
		t.Fatal(err)
	}
	random := regexp.MustCompile(`tmp_[a-z0-5]{8}\.[a-z0-5]{3}`)
	return random.ReplaceAllString(text, "tmp_xxxxxxxx.xxx"), random.ReplaceAllString(n.log.String(), "tmp_xxxxxxxx.xxx")
}

const open = `$s = New-PSSession -ConfigurationName Microsoft.Exchange -ConnectionUri https://far.contoso.com/powershell-liveid/ -Credential (Get-Credential); `

func TestSessions(t *testing.T) {
	for _, tt := range []struct{ name, script, out, log string }{
		{"a session in a table", open + `$s`, `
 Id Name            ComputerName    ComputerType    State         ConfigurationName     Availability
 -- ----            ------------    ------------    -----         -----------------     ------------
  1 Session1        far.contoso.com RemoteMachine   Opened        Microsoft.Exchange       Available


`, ""},
		{"wrong password", `$c = New-Object System.Management.Automation.PSCredential 'admin@contoso.com', (ConvertTo-SecureString wrong -AsPlainText -Force)
New-PSSession -ConnectionUri https://far.contoso.com/powershell-liveid/ -Credential $c`, "", `New-PSSession : [far.contoso.com] Connecting to remote server far.contoso.com failed with the following error message : Access is denied. For more information, see the about_Remote_Troubleshooting
Help topic.
At line:2 char:1
+ New-PSSession -ConnectionUri https://far.contoso.com/powershell-liveid/ -Credential $c
+ ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
    + CategoryInfo          : OpenError: (System.Manageme....RemoteRunspace:RemoteRunspace) [New-PSSession], PSRemotingTransportException
    + FullyQualifiedErrorId : AccessDenied,PSSessionOpenFailed
`},
		{"errors by kind", `foreach ($h in 'nowhere','closed') { try { New-PSSession -URI https://$h.contoso.com/x -EA Stop } catch [System.Management.Automation.Remoting.PSRemotingTransportException] { $_.FullyQualifiedErrorId } }`,
			"ComputerNotFound,PSSessionOpenFailed\nCannotConnect,PSSessionOpenFailed\n", ""},
		{"a redirect is followed when allowed", `$c = Get-Credential; (New-PSSession -URI https://moved.contoso.com/x -Credential $c -AllowRedirection).ComputerName
try { New-PSSession -URI https://moved.contoso.com/x -Credential $c -EA Stop } catch { $_.FullyQualifiedErrorId }`,
			"far.contoso.com\nURIRedirected,PSSessionOpenFailed\n", "Warning: Your connection has been redirected to the following URI: \"https://far.contoso.com/powershell-liveid/\"\n"},
		{"a user's name asks for the password", `(New-PSSession -URI https://far.contoso.com/x -Credential admin@contoso.com -Name mine).Name`, "mine\n", ""},
		{"certificates stay verified", `$o = New-PSSessionOption -SkipCACheck; (New-PSSession -URI https://far.contoso.com/x -Credential (Get-Credential) -SessionOption $o).State`,
			"Opened\n", "Warning: SkipCACheck has no effect. The server's certificate is verified.\n"},
		{"removed by pipeline", open + `Get-PSSession | Remove-PSSession; $s.State; $s.Availability; @(Get-PSSession).Count`, "Closed\nNone\n0\n", ""},
		{"removed by name and id", open + open + `Remove-PSSession -Id 1; Get-PSSession -Name Sess* | % Id; Get-PSSession -Id 9 -EA SilentlyContinue; $Error[0].Exception.Message`,
			"2\nThe remote session with the session ID 9 is not available.\n", ""},
		{"a block runs there", open + `$x = 1; $r = Invoke-Command $s { param($n) $n + 1; "$x" } -ArgumentList 41; $r[0]; $r[1] -eq ''; $r[0].PSComputerName; "$($r[0].RunspaceId)"; $r[0].PSShowComputerName`,
			"42\nTrue\nfar.contoso.com\n" + runspace + "\nTrue\n", ""},
		{"input of a block", open + `1,2 | Invoke-Command -Session $s { $input | % { $_ * 2 } }`, "2\n4\n", ""},
		{"a block still runs here", `$y = 1; Invoke-Command { param($n) $y + $n } -ArgumentList 2; Invoke-Command { $y = 5 } -NoNewScope; $y`, "3\n5\n", ""},
		{"a session for one command", `Invoke-Command -ConnectionUri https://far.contoso.com/x -Credential (Get-Credential) { Get-Number -Count 1 } -HideComputerName; @(Get-PSSession).Count`, "1\n0\n", ""},
		{"an error there is one here", open + `try { Invoke-Command $s { throw 'broken' }; 'not here' } catch { "caught $_" }`, "caught broken\n", ""},
		{"what is not in it is refused", open + `try { Invoke-Command $s { $using:s } } catch { $_.FullyQualifiedErrorId }`, "UsingNotSupported\n", ""},
		{"host values and blocks", open + `$r = Invoke-Command $s { {1+1}; New-Object System.Security.Cryptography.X509Certificates.X509Certificate2; Get-Number -Count 1 | ft -HideTableHeaders }; $r[0].GetType().Name; $r[1].pstypenames[0]; $r[1].HasPrivateKey; $r[2..9]`,
			"String\nDeserialized.System.Security.Cryptography.X509Certificates.X509Certificate2\nFalse\n1\n", ""},
		{"jobs are refused", open + `try { Invoke-Command $s { 1 } -AsJob } catch { 'no' }`, "no\n", ""},
		{"exit there does not end this shell", open + `Invoke-Command $s { 1; exit 3; 2 }; 'here'`, "1\nhere\n", ""},
		{"a closed session", open + `Remove-PSSession $s; try { Import-PSSession $s } catch { $_.Exception.Message }`, "The session is closed. Open a new one with New-PSSession.\n", ""},
		{"no session at all", `Import-PSSession $null`, "", `Import-PSSession : Cannot validate argument on parameter 'Session'. The argument is null or empty. Provide an argument that is not null or empty, and then try the command again.
At line:1 char:1
+ Import-PSSession $null
+ ~~~~~~~~~~~~~~~~~~~~~~
    + CategoryInfo          : InvalidData: (:) [Import-PSSession], ParameterBindingValidationException
    + FullyQualifiedErrorId : ParameterArgumentValidationError
`},
		{"no PSSession", `try { Import-PSSession 'x' } catch { $_.Exception.Message }`, "Cannot process argument transformation on parameter 'Session'. Cannot convert the \"x\" value of type \"System.String\" to type \"System.Management.Automation.Runspaces.PSSession\".\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNear(t)
			out, log := n.run(t, tt.script)
			if d := cmp.Diff([]string{tt.out, tt.log}, []string{out, log}); d != "" {
				t.Error(d)
			}
		})
	}
}

const imported = open + `$m = Import-PSSession $s -DisableNameChecking; `

func TestImport(t *testing.T) {
	for _, tt := range []struct{ name, script, out, log string }{
		{"the module in a table", open + `Import-PSSession $s`, `
ModuleType Version    Name                                ExportedCommands
---------- -------    ----                                ----------------
Script     1.0        tmp_xxxxxxxx.xxx                    {Frobnicate-Number, Get-Number, New-IntraOrganizationConnec...


`, "Warning: The names of some imported commands from the module 'tmp_xxxxxxxx.xxx' include unapproved verbs that might make them less discoverable. To find the commands with unapproved verbs, run the Import-Module command again with the Verbose parameter. For a list of approved verbs, type Get-Verb.\n"},
		{"local commands are not replaced", `function Get-Number { 'mine' }; ` + imported + `Get-Number; $m.Description`, "mine\nImplicit remoting for https://far.contoso.com/powershell-liveid/\n",
			"Warning: Proxy creation has been skipped for the following command: 'Get-Number', because it would shadow an existing local command.  Use the AllowClobber parameter if you want to shadow existing local commands.\n"},
		{"unless asked to", `function Get-Number { 'mine' }; ` + open + `$null = Import-PSSession $s -CommandName Get-* -AllowClobber; Get-Number -Count 1; (Get-Command Get-Number).CommandType`, "1\nFunction\n", ""},
		{"all would be", `function Get-Number { 'mine' }; ` + open + `try { Import-PSSession $s -CommandName Get-Number } catch { $_.Exception.Message }`,
			"No command proxies have been created, because all of the requested remote commands would shadow existing local commands.  Use the AllowClobber parameter if you want to shadow existing local commands.\n", "Warning: Proxy creation has been skipped for the following command: 'Get-Number', because it would shadow an existing local command.  Use the AllowClobber parameter if you want to shadow existing local commands.\n"},
		{"with a prefix, the session's names are told", `function Get-CloudNumber { 'mine' }; ` + open + `$null = Import-PSSession $s -Prefix Cloud -Module Exchange; Get-CloudNumber; Get-Command *-Cloud* | % Name`, "mine\nGet-CloudNumber\nNew-CloudIntraOrganizationConnector\n",
			"Warning: Proxy creation has been skipped for the following command: 'Get-Number', because it would shadow an existing local command.  Use the AllowClobber parameter if you want to shadow existing local commands.\n"},
		{"nothing matches", open + `try { Import-PSSession $s -CommandName Get-Nothing } catch { $_.Exception.Message }`, "Running the Get-Command command in a remote session returned no results.\n", ""},
		{"with a prefix", open + `$null = Import-PSSession $s -Prefix Cloud -Module Exchange; Get-CloudNumber -Count 1; Get-Command *-Cloud* | % Name`, "1\nGet-CloudNumber\nNew-CloudIntraOrganizationConnector\n", ""},
		{"values are copies", imported + `$c = New-IntraOrganizationConnector a -DiscoveryEndpoint https://x.contoso.com/a.svc -TargetAddressDomains contoso.com, fabrikam.com
$c.PSTypeNames[0]; $c.TargetAddressDomains.Count; $c.Inner.PSTypeNames[0]; "$($c.Inner.Deep.GetType().Name)"; $c.Enabled; try { $c.Kill() } catch { 'no method' }`,
			"Deserialized.Contoso.Connector\n2\nDeserialized.Contoso.Inner\nPSCustomObject\nTrue\nno method\n", ""},
		{"as a list", imported + `New-IntraOrganizationConnector -Name a -TargetAddressDomains contoso.com -DiscoveryEndpoint https://x.contoso.com/a.svc -Enabled $false | fl Name, Enabled, RunspaceId`,
			"\n\nName       : a\nEnabled    : False\nRunspaceId : " + runspace + "\n\n\n\n", ""},
		{"errors look as Exchange's", imported + `New-IntraOrganizationConnector taken -DiscoveryEndpoint https://x.contoso.com/ -TargetAddressDomains contoso.com; 'on'`, "on\n", `taken is taken.
    + CategoryInfo          : NotSpecified: (:) [New-IntraOrganizationConnector], ADObjectAlreadyExistsException
    + FullyQualifiedErrorId : [Server=EX1] 1082ECE3,NewConnector
    + PSComputerName        : far.contoso.com
`},
		{"errors can end the script", imported + `try { New-IntraOrganizationConnector taken -DiscoveryEndpoint https://x.contoso.com/ -TargetAddressDomains contoso.com -ErrorAction Stop; 'not here' } catch { "caught $_" }`, "caught taken is taken.\n", ""},
		{"WhatIf goes over", imported + `New-IntraOrganizationConnector a -DiscoveryEndpoint https://x.contoso.com/ -TargetAddressDomains contoso.com -WhatIf`, "",
			"Information: What if: Performing the operation \"New-IntraOrganizationConnector\" on target \"a\".\n"},
		{"streams", imported + `Get-Number -Loud -Verbose`, "", "Warning: loud\nVerbose: about to count\nInformation: hello\n"},
		{"streams have a preference here", imported + `Get-Number -Loud -WarningAction SilentlyContinue`, "", "Information: hello\n"},
		{"by pipeline", imported + `'x', 5 | Get-Number; Get-Module | Get-Number | select -First 1`,
			"System.String,System.Object x\nSystem.Int32,System.ValueType,System.Object 5\nDeserialized.System.Management.Automation.PSModuleInfo,Deserialized.System.Object Microsoft.PowerShell.Management\n", ""},
		{"proxies in one pipeline", imported + `Get-Number -Count 2 | Get-Number`, "System.Int32,System.ValueType,System.Object 1\nSystem.Int32,System.ValueType,System.Object 2\n", ""},
		{"mandatory parameters", imported + `try { New-IntraOrganizationConnector -Nope } catch { $_.Exception.Message }`, "A parameter cannot be found that matches parameter name 'Nope'.\n", ""},
		{"help comes along", imported + `(Get-Help New-IntraOrganizationConnector -Full) -match 'Makes a connector'`, "True\n", ""},
		{"a closed session opens again", imported + `Remove-PSSession $s; Get-Number -Count 1; Get-PSSession | % Id; Frobnicate-Number -Count 1`, "1\n2\n1\n",
			"Information: Creating a new session for implicit remoting of \"Get-Number\" command...\n"},
		{"removing the module", imported + `Remove-Module $m; try { Get-Number } catch { $_.FullyQualifiedErrorId }; @(Get-Module tmp_*).Count`, "CommandNotFoundException\n0\n", ""},
		{"what it replaced comes back", open + `$null = Import-PSSession $s -CommandName Get-Number; $m = Import-PSSession $s -CommandName Get-Number -Prefix '' -AllowClobber; Get-Module $m.Name | Remove-Module; Get-Number -Count 1`, "1\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNear(t)
			out, log := n.run(t, tt.script)
			if d := cmp.Diff([]string{tt.out, tt.log}, []string{out, log}); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestModules(t *testing.T) {
	for _, tt := range []struct{ name, script, out, log string }{
		{"a shim", `Import-Module msonlineextended; Import-Module MSOnline -PassThru | % { "$($_.Name) $($_.Version)" }; Get-Module mso* | % Name; Remove-Module msonlineextended; Import-Module msonlineextended; @(Get-Module msonline*).Count`, "MSOnline 1.0\nMSOnline\nmsonlineextended\n2\n", ""},
		{"several at once", `'msonlineextended','MSOnline' | Import-Module; Import-Module Microsoft.PowerShell.Core, Microsoft.PowerShell.Utility; $?`, "True\n", ""},
		{"missing", `Import-Module nothing`, "", `Import-Module : The specified module 'nothing' was not loaded because no valid module file was found in any module directory.
At line:1 char:1
+ Import-Module nothing
+ ~~~~~~~~~~~~~~~~~~~~~
    + CategoryInfo          : ResourceUnavailable: (nothing:String) [Import-Module], FileNotFoundException
    + FullyQualifiedErrorId : Modules_ModuleNotFound,Microsoft.PowerShell.Commands.ImportModuleCommand
`},
		{"taken away and back", `Remove-Module MSOnline; try { Get-MsolDomain } catch { 'gone' }; Get-Module MSOnline -ListAvailable | % Name; Import-Module MSOnline; Get-MsolDomain -Count 1`, "gone\nMSOnline\n1\n", ""},
		{"not there", `Remove-Module nothing -EA SilentlyContinue; $Error[0].Exception.Message; Remove-Module noth*`,
			"No modules were removed. Verify that the specification of modules to remove is correct and those modules exist in the runspace.\n", ""},
		{"the language's own stay", `try { Remove-Module Microsoft.PowerShell.Utility } catch { $_.FullyQualifiedErrorId }`, "Modules_ModuleIsConstant,Microsoft.PowerShell.Commands.RemoveModuleCommand\n", ""},
		{"the result of an import is a module", open + `Import-Module (Import-PSSession $s -DisableNameChecking) -Global; Get-Number -Count 1`, "1\n", ""},
		{"verbs", `Get-Verb Un* | ? Group -eq Lifecycle | % Verb`, "Uninstall\nUnregister\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNear(t)
			out, log := n.run(t, tt.script)
			if d := cmp.Diff([]string{tt.out, tt.log}, []string{out, log}); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestStoppingHereStopsThere(t *testing.T) {
	n := newNear(t)
	out, log := n.run(t, imported+`Get-Number -Count 100000 | select -First 2`)
	if out != "1\n2\n" || log != "" || n.sent != 2 {
		t.Errorf("got %q, log %q; %d were made", out, log, n.sent)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := n.Run(ctx, "", `try { Get-Number -Count 100000 } catch { 'caught' }`, func(any) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || n.sent > 10 {
		t.Errorf("got %v; %d were made", err, n.sent)
	}
	if out, log := n.run(t, `Get-Number -Count 1`); out != "1\n" {
		t.Errorf("the session is dead: %q, %q", out, log)
	}
}

func TestReopeningAsksForThePassword(t *testing.T) {
	n := newNear(t)
	out, log := n.run(t, imported+`Remove-PSSession $s; Get-Number -Count 1`)
	want := "\nWindows PowerShell credential request\nEnter your credentials for https://far.contoso.com/powershell-liveid/.\nPassword for user admin@contoso.com: "
	if d := cmp.Diff([]string{want}, n.prompt.asked); d != "" || n.far.opened != 2 || out != "1\n" {
		t.Errorf("%d opened, got %q, log %q, %s", n.far.opened, out, log, d)
	}
}

func TestNoConnector(t *testing.T) {
	drive, err := hostcmd.OpenDrive(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer drive.Close()
	commands, err := hostcmd.Commands(hostcmd.Config{Drive: drive, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	s, err := interp.New(interp.Config{Commands: commands, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context(), "", `New-PSSession -URI https://far.contoso.com/x`, nil); err != nil {
		t.Fatal(err)
	}
	if e := s.Errors(); len(e) != 1 || !strings.Contains(e[0].Message(), "No sessions with other organizations are possible in this shell.") {
		t.Errorf("got %v", e)
	}
}

// seed is a file of the administrators' lines.
func seed(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
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

func TestStep7(t *testing.T) {
	n := newNear(t)
	script := strings.NewReplacer("partner.outlook.cn", "far.contoso.com", "<your on-premises-Autodiscover endpoint>", "https://autodiscover.contoso.com/autodiscover/autodiscover.svc",
		"<your on-premises target address>", "contoso.com").Replace(seed(t, "step7.ps1"))
	out, log := n.run(t, script+"\n$Session.State")
	for _, want := range []string{"Script     1.0        tmp_xxxxxxxx.xxx", "ExchangeHybridOnlineToOnPremises", "https://autodiscover.contoso.com/autodiscover/autodiscover.svc", "{contoso.com}", "Opened\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s%s", want, out, log)
		}
	}
}
