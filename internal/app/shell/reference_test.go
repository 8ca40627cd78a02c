package shell_test

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/app/shell"
	"busybridge/internal/ps/interp"
)

var update = flag.Bool("update", false, "write docs/cmdlets.md")

const referencePage = "../../../docs/cmdlets.md"

// TestReference holds the page of all cmdlets to the code.
func TestReference(t *testing.T) {
	p := newPlace(t, "")
	hosted := newPlace(t, "cb52ada4-5045-4d00-a59a-c7896ef052a1")
	plain, err := shell.Directory(shell.Config{Deployment: p.Deployment, Now: func() time.Time { return now }, Host: "accounts.accesscontrol.chinacloudapi.cn", Drive: p.drive})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	var all []interp.Command
	for _, s := range []*shell.Shell{p.shell(t, ""), hosted.shell(t, ""), plain} {
		for _, c := range s.Session.Commands() {
			if !seen[c.Name] {
				seen[c.Name] = true
				all = append(all, *c)
			}
		}
	}
	var got bytes.Buffer
	if err := interp.WriteReference(&got, all, exchangeParameters(t)); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(referencePage, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("docs/cmdlets.md is not what the code says; go test ./internal/app/shell -run TestReference -update writes it (-page +code):\n%s", d)
	}
}

// exchangeParameters reads what each cmdlet takes in the products: a line is
// the cmdlet, a colon, and its parameters.
func exchangeParameters(t *testing.T) map[string][]string {
	t.Helper()
	b, err := os.ReadFile("testdata/exchange-parameters.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for line := range strings.Lines(string(b)) {
		name, params, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		if _, twice := out[name]; twice {
			t.Errorf("%s stands there twice", name)
		}
		out[name] = strings.Fields(params)
	}
	return out
}
