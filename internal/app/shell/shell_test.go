package shell_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/admin/hostcmd"
	"busybridge/internal/app"
	"busybridge/internal/app/shell"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

var now = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

var system = admin.Actor{Name: "test", System: true}

// A place is a deployment with one organization, on a disk of its own.
type place struct {
	*app.Deployment
	org   *directory.Organization
	drive *hostcmd.Drive
	errs  strings.Builder // what the sessions wrote to their error streams
}

func newPlace(t testing.TB, tenant string) *place {
	t.Helper()
	dir := t.TempDir()
	d, err := app.Open(t.Context(), app.Settings{
		StorePath: filepath.Join(dir, "store.db"), SealKey: make([]byte, 32), Now: func() time.Time { return now },
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &place{Deployment: d}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := os.Mkdir(filepath.Join(dir, "drive"), 0o700); err != nil {
		t.Fatal(err)
	}
	if p.drive, err = hostcmd.OpenDrive(filepath.Join(dir, "drive")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.drive.Close() })
	res, err := d.Admin.NewOrganization(t.Context(), system, admin.OrganizationParams{Name: "Contoso", Domain: "contoso.com", Tenant: tenant})
	if err != nil {
		t.Fatal(err)
	}
	p.org = res.Object
	url := "https://mail.contoso.com/ews/exchange.asmx"
	if _, err := d.Admin.NewServer(t.Context(), system, p.org.ID, directory.Server{
		Common: directory.Common{Name: "MAIL"}, HostNames: []string{"mail.contoso.com"}, AdminDisplayVersion: directory.OAuthVersion, InternalURL: url, ExternalURL: url, OAuthAuthentication: true,
	}); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *place) account(t testing.TB, name string, roles ...string) string {
	t.Helper()
	res, err := p.Admin.NewAccount(t.Context(), system, p.org.ID, admin.AccountParams{UserName: name + "@contoso.com", Password: "correct horse " + name, Roles: roles})
	if err != nil {
		t.Fatal(err)
	}
	return res.Object.UserName
}

// shell opens the Exchange shell of an account; "" is the operator.
func (p *place) shell(t testing.TB, user string) *shell.Shell {
	t.Helper()
	actor := func(context.Context) (admin.Actor, error) { return system, nil }
	if user != "" {
		actor = shell.As(p.Deployment, user)
	}
	note := func(v any) error {
		_, err := fmt.Fprintln(&p.errs, v.(*object.ErrorRecord).Message())
		return err
	}
	s, err := shell.Exchange(shell.Config{
		Screen: shell.Screen{Streams: interp.Streams{Error: note}}, Deployment: p.Deployment, Now: func() time.Time { return now },
		Host: "mail.contoso.com", User: "operator", Drive: p.drive,
	}, p.org, actor)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run gives what text writes to the success stream.
func (p *place) run(t testing.TB, s *shell.Shell, text string) (out []any, err error) {
	t.Helper()
	err = s.Session.Run(t.Context(), "", text, func(v any) error {
		out = append(out, v)
		return nil
	})
	return out, err
}

// TestEveryCmdlet holds what every cmdlet must do: help with all sections, a
// syntax line, and for those that read, output that every formatter takes.
func TestEveryCmdlet(t *testing.T) {
	for _, tenant := range []string{"", "cb52ada4-5045-4d00-a59a-c7896ef052a1"} {
		p := newPlace(t, tenant)
		s := p.shell(t, p.account(t, "admin", directory.RoleAdmin))
		for _, c := range s.Session.Commands() {
			t.Run(c.Name, func(t *testing.T) {
				help, err := p.run(t, s, "Get-Help "+c.Name+" -Full")
				if err != nil || len(help) != 1 {
					t.Fatalf("help: %v, %d objects", err, len(help))
				}
				text := object.String(help[0])
				for _, section := range []string{"NAME", "SYNOPSIS", "SYNTAX", "DESCRIPTION", "PARAMETERS", "EXAMPLE"} {
					if !strings.Contains(text, section) {
						t.Errorf("the help has no section %s", section)
					}
				}
				for _, q := range c.Params() {
					if q.Help == "" {
						t.Errorf("parameter %s has no help", q.Name)
					}
				}
				if _, err := p.run(t, s, "Get-Command "+c.Name+" -Syntax"); err != nil {
					t.Errorf("syntax: %v", err)
				}
				if !strings.HasPrefix(c.Name, "Get-") || !strings.Contains(c.Module, "Exchange") || needsArguments(c) {
					return
				}
				for _, tail := range []string{"| fl *", "| ft Name,Enabled", "| ConvertTo-Json", `| Export-Csv C:\out.csv`, "| Out-String"} {
					p.errs.Reset()
					if _, err := p.run(t, s, c.Name+" "+tail); err != nil || p.errs.Len() > 0 {
						t.Errorf("%s %s: %v %s", c.Name, tail, err, p.errs.String())
					}
				}
			})
		}
	}
}

func needsArguments(c *interp.Command) bool {
	for _, q := range c.Params() {
		if q.Mandatory {
			return true
		}
	}
	return false
}

// arguments gives every parameter that a command cannot do without a value.
func arguments(c *interp.Command) string {
	var b strings.Builder
	set := ""
	for _, q := range c.Params() {
		if !q.Mandatory || set != "" && len(q.Sets) > 0 && q.Sets[0] != set {
			continue
		}
		if len(q.Sets) > 0 {
			set = q.Sets[0]
		}
		value := "x"
		special, known := map[string]string{"AccessRights": "None", "Service": "EWS", "AccessMethod": "OrgWideFB", "Services": "SMTP", "FileData": "1"}[q.Name]
		switch {
		case known:
			value = special
		case q.Name == "Identity" && strings.HasSuffix(c.Name, "FolderPermission"):
			value = `x:\Calendar`
		case q.Switch:
			b.WriteString(" -" + q.Name)
			continue
		case len(q.Values) > 0:
			value = q.Values[0]
		case q.Type == nil:
		case q.Type.Is(object.TURI):
			value = "https://x.example/autodiscover/autodiscover.svc"
		case q.Type.Is(object.TBool):
			value = "$true"
		case q.Type.Is(object.TInt):
			value = "1"
		case q.Type.Is(object.TSecureString):
			value = "(ConvertTo-SecureString 'a long enough one' -AsPlainText -Force)"
		case q.Type.Is(object.TDateTime):
			value = "1/1/2026"
		case q.Type.Is(object.TGuid):
			value = "11111111-1111-4111-8111-111111111111"
		case q.Type.Is(object.TByteArray):
			value = "([byte[]](1,2))"
		}
		b.WriteString(" -" + q.Name + " " + value)
	}
	return b.String()
}

// TestNoCmdletWithoutRole runs every Exchange cmdlet as an account that has no
// role: each must be refused, and change nothing.
func TestNoCmdletWithoutRole(t *testing.T) {
	p := newPlace(t, "")
	s := p.shell(t, p.account(t, "alice"))
	before, err := p.Store.Organization(t.Context(), p.org.ID)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range s.Session.Commands() {
		if !strings.Contains(c.Module, "Exchange") {
			continue
		}
		if strings.HasSuffix(c.Name, "-AppPassword") || strings.HasSuffix(c.Name, "-ClientCertificate") {
			continue // everybody has their own
		}
		n++
		p.errs.Reset()
		line := c.Name + arguments(c)
		if c.ShouldProcess {
			line += " -Confirm:$false"
		}
		out, err := p.run(t, s, line)
		text := p.errs.String()
		if err != nil {
			text += err.Error()
		}
		if !strings.Contains(text, "isn't allowed to run "+c.Name) || len(out) > 0 {
			t.Errorf("%s: %d objects, %s", line, len(out), text)
		}
	}
	if n < 40 {
		t.Errorf("%d cmdlets were tried", n)
	}
	after, err := p.Store.Organization(t.Context(), p.org.ID)
	if err != nil || after.Version != before.Version {
		t.Errorf("the organization went from version %d to %d, %v", before.Version, after.Version, err)
	}
}
