package lab_test

import (
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"busybridge/internal/app/client"
	"busybridge/internal/lab"
)

// TestOnceHoldsInLaterEditions joins the world as it is today: on premises asks
// as an application of its own, in 2026 by Graph: Exchange Web Services are refused
// even so.
func TestOnceHoldsInLaterEditions(t *testing.T) {
	for edition, want := range map[string][]string{
		lab.Edition2025: {"free/busy from on premises to the cloud: alice@contoso.com asked", "free/busy from the old server to the cloud: judy@contoso.com asked"},
		lab.Edition2026: {
			"OAuth from onprem to cloud is refused: Exchange Web Services of the cloud are closed",
			"free/busy from on premises to the cloud: alice@contoso.com asked", "free/busy from the old server to the cloud: judy@contoso.com asked",
			"free/busy from the cloud to on premises: kim@contoso.com asked",
		},
	} {
		t.Run(edition, func(t *testing.T) {
			var out strings.Builder
			o := options(t)
			o.Edition = edition
			o.Out = io.MultiWriter(&out, t.Output())
			r, err := lab.Once(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			checks := map[string]int{lab.Edition2025: 17, lab.Edition2026: 19}[edition]
			if r.Failed != 0 || len(r.Checks) != checks || r.Edition != edition {
				t.Errorf("edition %s: %d checks, %d failed; want %d, none failed", r.Edition, len(r.Checks), r.Failed, checks)
			}
			for _, w := range want {
				if !strings.Contains(out.String(), "ok    "+w) {
					t.Errorf("the output lacks %q", w)
				}
			}
		})
	}
}

// TestTheSharedPrincipalIsRefused joins a cloud of 2025 by the steps of 2014.
func TestTheSharedPrincipalIsRefused(t *testing.T) {
	var out strings.Builder
	o := options(t)
	o.Edition, o.Steps = lab.Edition2025, lab.Edition2014
	o.Out = io.MultiWriter(&out, t.Output())
	r, err := lab.Once(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Checks {
		outward := strings.HasSuffix(c.Name, "to the cloud") && strings.HasPrefix(c.Name, "free/busy") || c.Name == "OAuth from onprem to cloud"
		switch {
		case strings.HasPrefix(c.Name, "an address that does not exist"): // asks the cloud, too
		case outward && (c.OK || !strings.Contains(c.Error, "403")):
			t.Errorf("%s: %+v, want status 403", c.Name, c)
		case c.Name == "OAuth from onprem to cloud" && !strings.Contains(c.Cause, "Set-AuthServer"):
			t.Errorf("%s: the cause does not say what to do: %s", c.Name, c.Cause)
		case !outward && !c.OK:
			t.Errorf("%s: %s", c.Name, c.Error)
		}
	}
}

func TestEditionsAreChecked(t *testing.T) {
	o := options(t)
	o.Edition = "2030"
	if _, err := lab.Start(t.Context(), o); !errors.Is(err, lab.ErrUsage) {
		t.Errorf("an edition that does not exist: %v", err)
	}
	o.Edition, o.Fault = lab.Edition2026, "missing-application"
	if _, err := lab.Start(t.Context(), o); !errors.Is(err, lab.ErrUsage) {
		t.Errorf("a fault of edition 2025 in 2026: %v", err)
	}
	o.Edition, o.Fault, o.Dir = lab.Edition2025, "", filepath.Join(t.TempDir(), "world")
	l, err := lab.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	f, err := client.ReadLabFile(o.Dir)
	if err != nil || f.Edition != lab.Edition2025 {
		t.Errorf("lab.json says edition %v, %v", f, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	o.Edition = lab.Edition2014
	if _, err := lab.Start(t.Context(), o); !errors.Is(err, lab.ErrUsage) || !strings.Contains(err.Error(), "--edition 2025") {
		t.Errorf("another edition in the same world: %v", err)
	}
}
