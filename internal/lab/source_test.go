package lab_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/app/client"
	"busybridge/internal/app/shell"
	"busybridge/internal/freebusy"
	"busybridge/internal/lab"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// A mailbox on premises whose owner has the calendar in the cloud is as busy as the
// one there: by Graph and by Exchange Web Services as an application, and by
// Exchange Web Services with a password, each against the lab's own cloud.
func TestMailboxesInTheCloudAsSources(t *testing.T) {
	const address = "paul@contoso.com"
	const tenant = `$s = Get-AuthServer EvoSTS; $at = @{ Tenant = $s.Realm; ApplicationId = $s.ApplicationIdentifier; Login = "https://login.partner.microsoftonline.cn" }; `
	for edition, sources := range map[string]map[string]string{
		lab.Edition2026: {
			"graph": tenant + `New-MailboxCalendarSource There -Mailbox graph@contoso.com -Kind Graph -Url "$($s.GraphBaseUrl)" -Address ` + address + ` @at`,
			"basic": `New-MailboxCalendarSource There -Mailbox basic@contoso.com -Kind Exchange -Url https://partner.outlook.cn/EWS/Exchange.asmx -Authentication Basic -Address ` + address + ` -Credential (Get-Credential)`,
		},
		lab.Edition2025: {
			"oauth": tenant + `New-MailboxCalendarSource There -Mailbox oauth@contoso.com -Kind Exchange -Url https://partner.outlook.cn/EWS/Exchange.asmx -Address ` + address + ` @at`,
		},
	} {
		t.Run(edition, func(t *testing.T) {
			t.Parallel()
			o := options(t)
			o.Edition, o.Dir = edition, filepath.Join(t.TempDir(), "world")
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
			run := onPremises(t, l, file, address)
			start := time.Now().UTC().Truncate(24 * time.Hour)
			w := freebusy.Window{Start: start, End: start.AddDate(0, 0, 14)}
			see := func(as string, whom ...string) []client.Answer {
				m, ok := file.Mailbox(as)
				if !ok {
					t.Fatal(as)
				}
				c, err := client.New(file.ForLab(m))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				list, err := c.Availability(t.Context(), whom, w, freebusy.ViewFreeBusyMerged)
				if err != nil {
					t.Fatal(err)
				}
				return list
			}
			want := see(address, address)[0]
			if want.Error != nil || strings.Trim(want.Merged, "0") == "" {
				t.Fatalf("the calendar there: %+v", want)
			}
			for name, line := range sources {
				run(`New-Mailbox ` + name + ` -PrimarySmtpAddress ` + name + `@contoso.com -Password (ConvertTo-SecureString "Pass word 1" -AsPlainText -Force)`)
				run(line)
				got := run(`Update-MailboxCalendarSource ` + name + `@contoso.com\There | % { "$($_.Condition) $($_.FailureText)" }; (Get-MailboxCalendarSource -Mailbox ` + name + `@contoso.com).CopiedTo -gt (Get-Date).AddDays(89)`)
				if d := cmp.Diff([]string{"Healthy ", "True"}, got); d != "" {
					t.Errorf("%s (-want +got):\n%s", name, d)
				}
				if a := see("alice@contoso.com", name+"@contoso.com")[0]; a.Error != nil || a.Merged != want.Merged {
					t.Errorf("%s:\ngot  %s, %v\nwant %s", name, a.Merged, a.Error, want.Merged)
				}
			}
			if edition != lab.Edition2026 {
				return
			}
			// The application asks by Graph only: Exchange Web Services are closed to it.
			if got := run(tenant + `New-MailboxCalendarSource Closed -Mailbox graph@contoso.com -Kind Exchange -Url https://partner.outlook.cn/EWS/Exchange.asmx -Address ` + address + ` @at | Out-Null; (Update-MailboxCalendarSource graph@contoso.com\Closed).Condition`); fmt.Sprint(got) != "[Forbidden]" {
				t.Errorf("Exchange Web Services that are closed: %v", got)
			}
			if got := run(`Set-MailboxCalendarSource graph@contoso.com\There -ApplicationId 00000000-0000-4000-8000-000000000001; (Update-MailboxCalendarSource graph@contoso.com\There).Condition`); fmt.Sprint(got) != "[TokenRefused]" {
				t.Errorf("an application that is not there: %v", got)
			}
		})
	}
}

// onPremises is the operator's shell, with the password of a mailbox as credential.
func onPremises(t *testing.T, l *lab.Lab, file *client.LabFile, address string) func(string) []string {
	t.Helper()
	var lines []string
	sh, err := l.Shell(t.Context(), lab.ShellOptions{Org: "onprem", User: lab.Operator, Screen: shell.Screen{
		Streams: interp.Streams{Error: func(v any) error {
			text := object.String(v)
			if r, ok := v.(*object.ErrorRecord); ok {
				text = r.Message()
			}
			lines = append(lines, "error: "+text)
			return nil
		}},
		Credentials: func(context.Context, string, string) (*object.Credential, error) {
			m, ok := file.Mailbox(address)
			if !ok {
				return nil, errors.New("the lab has no mailbox " + address)
			}
			return &object.Credential{UserName: m.User, Password: object.NewSecureString(m.Password)}, nil
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
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		for _, line := range lines {
			if strings.HasPrefix(line, "error: ") {
				t.Errorf("%s: %s", text, line)
			}
		}
		return lines
	}
}
