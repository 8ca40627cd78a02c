package hostcmd_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/admin/hostcmd"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

func TestGetCredentialAsks(t *testing.T) {
	p := &prompts{answers: []string{"admin@contoso.com", "secret1", "secret2", "secret3"}}
	s := newShell(t, withPrompt(p))
	steps(t, s, []step{
		{`$c = Get-Credential; $c.UserName; $c.GetNetworkCredential().Password; "$($c.Password)"`, "admin@contoso.com\nsecret1\nSystem.Security.SecureString"},
		{`(Get-Credential 'CONTOSO\admin').GetNetworkCredential().Domain`, "CONTOSO"},
		{`(Get-Credential -UserName bob@contoso.com -Message 'The other side').UserName`, "bob@contoso.com"},
		{`(Get-Credential $c).UserName`, "admin@contoso.com"},
	})
	want := []string{
		"\nWindows PowerShell credential request\nEnter your credentials.\nUser: ", "secret Password for user admin@contoso.com: ",
		"secret \nWindows PowerShell credential request\nEnter your credentials.\nPassword for user CONTOSO\\admin: ",
		"secret \nWindows PowerShell credential request\nThe other side\nPassword for user bob@contoso.com: ",
	}
	if diff := cmp.Diff(want, p.asked); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGetCredentialWithoutATerminal(t *testing.T) {
	broken := errors.New("the file is gone")
	s := newShell(t, func(c *hostcmd.Config, _ *interp.Config) {
		c.Credentials = func(_ context.Context, user, _ string) (*object.Credential, error) {
			switch user {
			case "", "admin@contoso.com":
				return &object.Credential{UserName: "admin@contoso.com", Password: object.NewSecureString("x")}, nil
			case "broken@contoso.com":
				return nil, broken
			}
			return nil, hostcmd.ErrNoCredential
		}
	})
	steps(t, s, []step{
		{`(Get-Credential).UserName; (Get-Credential admin@contoso.com).UserName`, "admin@contoso.com\nadmin@contoso.com"},
		{`Get-Credential bob@contoso.com`, "Error: Windows PowerShell is in NonInteractive mode. Read and Prompt functionality is not available, and this shell was not given a credential for bob@contoso.com. [InvalidOperation,Microsoft.PowerShell.Commands.GetCredentialCommand]"},
		{`Get-Credential broken@contoso.com`, "Error: the file is gone [RuntimeException]"},
	})
}

func TestReadHost(t *testing.T) {
	p := &prompts{answers: []string{"contoso.com", "secret"}}
	s := newShell(t, withPrompt(p))
	steps(t, s, []step{
		{`Read-Host Mail domain`, "contoso.com"},
		{`(Read-Host -AsSecureString).GetType().Name`, "SecureString"},
	})
	if diff := cmp.Diff([]string{"Mail domain: ", "secret "}, p.asked); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	steps(t, newShell(t), []step{
		{`Read-Host x`, "Error: Windows PowerShell is in NonInteractive mode. Read and Prompt functionality is not available. [InvalidOperation,Microsoft.PowerShell.Commands.ReadHostCommand]"},
	})
}

func TestSecretsDoNotBecomeText(t *testing.T) {
	s := newShell(t)
	out := s.run(t, `$p = ConvertTo-SecureString 'topsecret' -AsPlainText -Force; ConvertFrom-SecureString $p; $p | ConvertFrom-SecureString -Key 1,2; $p | Export-Clixml p.xml; dir -Name`)
	want := "Error: Windows encrypts such text with a key of the user's account, which there is none of here, so the text would be the password itself. Keep the credential in a variable, or let Get-Credential ask for it again. [NotSupported,Microsoft.PowerShell.Commands.ConvertFromSecureStringCommand]\n"
	want += want + "Error: Cannot export the object: a secure string or credential cannot be written to a file by this shell; keep it in a variable, or let Get-Credential ask for it again. [ExportClixml,Microsoft.PowerShell.Commands.ExportClixmlCommand]"
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
