package interp_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/ps/interp"
)

// TestCoreCommandsAreExplained checks that every cmdlet of the language says what it does, how, and with an example that
// is a script.
func TestCoreCommandsAreExplained(t *testing.T) {
	s, err := interp.New(interp.Config{Now: func() time.Time { return time.Unix(0, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range s.Commands() {
		if c.Synopsis == "" || len(c.Examples) == 0 {
			t.Errorf("%s has no synopsis or no example", c.Name)
		}
		if !strings.Contains(strings.Join(c.Examples, " "), c.Name) {
			t.Errorf("the examples of %s do not use it", c.Name)
		}
		for _, p := range c.Params() {
			if p.Help == "" {
				t.Errorf("%s -%s has no help", c.Name, p.Name)
			}
		}
	}
}

// TestGetHelp compares help texts with those that were read in review; -update rewrites them.
func TestGetHelp(t *testing.T) {
	commands := []interp.Command{{
		Name: "Set-Thing", Module: "Contoso", New: func() interp.Cmdlet { return &thing{} }, ShouldProcess: true, Synopsis: "Changes a thing.",
		Description: "What is given changes. " + strings.Repeat("A long explanation goes on in the next line. ", 4) + "\nA second paragraph.",
		Aliases:     []string{"sth"}, Examples: []string{"Set-Thing a -Color Red", "$x = 'a'\nSet-Thing $x -Quiet"}, Links: []string{"Get-Thing", "https://contoso.com/things"},
	}, {
		Name: "Set-Other", Module: "Contoso", New: func() interp.Cmdlet { return &twoWays{} }, DefaultSet: "ById", Synopsis: "Changes another.",
	}}
	var page strings.Builder
	for _, src := range []string{
		"Get-Help Set-Thing", "Get-Help sth -Full", "Get-Help Set-Thing -Detailed", "Get-Help Set-Thing -Examples", "Get-Help Set-Thing -Parameter co*", "Get-Help Set-Other -Full",
		"Get-Help Set-*th*", "Get-Help *-Other | Out-String -Stream | select -First 3", "(Get-Help Set-Thing).Synopsis; (Get-Help Set-Thing).Examples.Count", "Get-Help No-Such", "Get-Help Set-Thing -Parameter Nope", "Get-Help Set-Thing -Online",
		"function Use-It { [CmdletBinding()] param([Parameter(Mandatory)][string[]]$Names, [switch]$Fast) }; Get-Help Use-It; Get-Command Use-It -Syntax", "Get-Command Set-Thing, Set-Other -Syntax",
	} {
		page.WriteString("> " + src + "\n" + strings.Join(runCase(t, src, commands...), "\n") + "\n\n")
	}
	const file = "testdata/help.golden"
	if *update {
		if err := os.WriteFile(file, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(page.String(), "\n")); d != "" {
		t.Error(d)
	}
}

type twoWays struct {
	thing
	Name string `ps:"Name,mandatory,set=ByName,pipeline=name,alias=N|Title" help:"By its name."`
	ID   int    `ps:"Id,mandatory,set=ById,position=2,pipeline=value,default=1,wildcard" help:"By its number."`
}
