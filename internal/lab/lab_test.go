package lab_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"busybridge/internal/app/client"
	"busybridge/internal/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func options(t *testing.T) lab.Options {
	return lab.Options{Now: time.Now, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})), Out: t.Output()}
}

func TestOnceHolds(t *testing.T) {
	var out strings.Builder
	o := options(t)
	o.Out = io.MultiWriter(&out, t.Output())
	r, err := lab.Once(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed != 0 || len(r.Checks) != 16 {
		t.Errorf("%d checks, %d failed; want 16, none failed", len(r.Checks), r.Failed)
	}
	for _, want := range []string{
		"step 8", "free/busy from the old server to the cloud", "as kim@contoso.com sees it from partner.outlook.cn",
		"\nbob@contoso.com        onprem ······························████··············\n", // Tuesday 15:00 to 17:00 in China
		"\nkim@contoso.com        cloud  ··················█·····························\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q", want)
		}
	}
}

// causes are what a fault has to be called by the check that it breaks, by edition;
// "": the edition has not the fault, or it shows as in the one before.
var causes = []struct{ fault, in2014, in2025, in2026 string }{
	{"missing-auth-server", "step 1", "trusts no authorization server", ""},
	{"disabled-partner-application", "partner application is unknown or disabled", "is missing or disabled in the organization at mail", ""},
	{"expired-certificate", "has expired", "has expired", ""},
	{"wrong-key-credential", "no key credential for the certificate", "is no key credential of the service principal", ""},
	{"missing-app-role", "", "has not the role full_access_as_app in its tenant", "has not the role full_access_as_app in its tenant"},
	{"missing-application", "", "run here Set-AuthServer \"EvoSTS\" -ApplicationIdentifier", ""},
	{"wrong-application", "", "00000000-0000-4000-8000-0000000000a1 is missing or disabled in the tenant", ""},
	{"uncovered-domain", "", "is for the domains contoso.com, and no enabled connector leads", ""},
	{"missing-spn", "not among the ServicePrincipalNames", "not among the ServicePrincipalNames", ""},
	{"missing-connector", "step 6", "step 6", "step 6"},
	{"stale-keys", "has stale keys of the authorization server", "has stale keys of the authorization server", ""},
	{"disabled-entra", "", "no enabled AuthServer for the issuer", ""},
	{"not-in-allow-list", "", "Set-OrganizationConfig -EwsEnabled $true -EwsAllowedAppIDs", ""},
	{"ews-disabled", "", "Set-OrganizationConfig -EwsEnabled $true -EwsAllowedAppIDs", "Get-OrganizationConfig: EwsEnabled"},
	{"missing-graph-role", "", "", "has not the role Calendars.ReadBasic.All"},
}

// TestOnceNamesTheCause breaks one step at a time.
func TestOnceNamesTheCause(t *testing.T) { namesTheCause(t, lab.Edition2014) }

// TestOnceNamesTheCauseIn2025 is the same where on premises asks as an application
// of its own.
func TestOnceNamesTheCauseIn2025(t *testing.T) { namesTheCause(t, lab.Edition2025) }

// TestOnceNamesTheCauseIn2026 is the same where the cloud is closed even so: what
// goes wrong before is told nevertheless.
func TestOnceNamesTheCauseIn2026(t *testing.T) { namesTheCause(t, lab.Edition2026) }

func namesTheCause(t *testing.T, edition string) {
	if testing.Short() && edition != lab.Edition2014 {
		t.Skip("many worlds")
	}
	for i, f := range lab.Faults() {
		if i >= len(causes) {
			break // of a world that is joined: TestEveryFaultIsDiagnosedAndHealed
		}
		if f.Name != causes[i].fault {
			t.Fatalf("fault %s has no cause here", f.Name)
		}
		want := map[string]string{lab.Edition2014: causes[i].in2014, lab.Edition2025: causes[i].in2025, lab.Edition2026: causes[i].in2026}[edition]
		if has := slices.Contains(f.Editions, edition); !has && want != "" || has && want == "" && edition != lab.Edition2026 {
			t.Errorf("fault %s is of editions %v", f.Name, f.Editions)
		}
		if want == "" {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			o := options(t)
			o.Edition, o.Fault = edition, f.Name
			r, err := lab.Once(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			named := 0
			for _, c := range r.Checks {
				if c.OK {
					continue
				}
				if strings.HasPrefix(c.Name, "step") {
					t.Errorf("%s failed: %s", c.Name, c.Error)
				}
				if strings.Contains(c.Cause, want) {
					named++
				} else if c.Cause == "" {
					t.Errorf("%s: no cause is named for %s", c.Name, c.Error)
				}
			}
			if named == 0 {
				t.Errorf("no check names the cause %q: %+v", want, r.Checks)
			}
		})
	}
}

// TestTheWorldIsKept starts a world again in the same directory.
func TestTheWorldIsKept(t *testing.T) {
	o := options(t)
	o.Dir = filepath.Join(t.TempDir(), "world")
	var passwords [2]string
	for i := range passwords {
		l, err := lab.Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		f, err := client.ReadLabFile(o.Dir)
		if err != nil {
			t.Fatal(err)
		}
		m, ok := f.Mailbox("kim@contoso.com")
		if !ok {
			t.Fatal("lab.json has no kim@contoso.com")
		}
		passwords[i] = m.Password
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(o.Dir, client.LabFileName)); !os.IsNotExist(err) {
			t.Errorf("lab.json is left after the end: %v", err)
		}
	}
	if passwords[0] == "" || passwords[0] != passwords[1] {
		t.Errorf("passwords of the two runs are %q", passwords)
	}
	o.Fault = "missing-spn"
	if _, err := lab.Start(context.Background(), o); err == nil || !strings.Contains(err.Error(), "was made with fault") {
		t.Errorf("another fault in the same world: %v", err)
	}
}
