package interp_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/ps/interp"
)

// TestWriteReference compares the page of two cmdlets with the one that was read in review; -update rewrites it.
func TestWriteReference(t *testing.T) {
	elsewhere := map[string][]string{
		"Set-Thing": {"Identity", "Color", "Enabled", "Shape", "WhatIf"}, "Get-Nothing": {"A"}, "Get-Count": {"To", "Verbose"},
	}
	commands := []interp.Command{
		{Name: "Set-Thing", Module: "Contoso", New: func() interp.Cmdlet { return &thing{} }, ShouldProcess: true, Synopsis: "Changes a | thing.", Description: "It takes <one> thing.", Aliases: []string{"sth"}},
		{Name: "Get-Count", Module: "Contoso", New: func() interp.Cmdlet { return &count{} }, Synopsis: "Counts."},
		{Name: "New-Own", New: func() interp.Cmdlet { return &wanting{} }},
	}
	var page strings.Builder
	if err := interp.WriteReference(&page, commands, elsewhere); err != nil {
		t.Fatal(err)
	}
	const file = "testdata/reference.md"
	if *update {
		if err := os.WriteFile(file, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), page.String()); d != "" {
		t.Error(d)
	}
}

// TestReferenceNeedsSoundCommands checks that a command that is declared badly is an error of the page.
func TestReferenceNeedsSoundCommands(t *testing.T) {
	if err := interp.WriteReference(&strings.Builder{}, []interp.Command{{Name: "Get-X"}}, nil); err == nil {
		t.Error("a command without New was taken")
	}
}
