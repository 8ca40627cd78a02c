package lab_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
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

// TestOnceNamesTheCause breaks one step at a time.
func TestOnceNamesTheCause(t *testing.T) {
	causes := map[string]string{
		"missing-auth-server":          "step 1",
		"disabled-partner-application": "partner application is unknown or disabled",
		"expired-certificate":          "has expired",
		"wrong-key-credential":         "no key credential for the certificate",
		"missing-spn":                  "not among the ServicePrincipalNames",
		"missing-connector":            "step 6",
	}
	for _, f := range lab.Faults() {
		t.Run(f.Name, func(t *testing.T) {
			o := options(t)
			o.Fault = f.Name
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
				if strings.Contains(c.Cause, causes[f.Name]) {
					named++
				} else if c.Cause == "" {
					t.Errorf("%s: no cause is named for %s", c.Name, c.Error)
				}
			}
			if named == 0 || causes[f.Name] == "" {
				t.Errorf("no check names the cause %q: %+v", causes[f.Name], r.Checks)
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
