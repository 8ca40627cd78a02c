package interp_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// listedFiles is a drive whose folders can be listed.
type listedFiles struct{ *memoryFiles }

func (f listedFiles) List(dir string) ([]string, error) {
	switch strings.ToLower(strings.TrimSuffix(dir, `\`)) {
	case "c:":
		return []string{`My Folder\`, `OAuthConfig\`, "ExportAuthCert.ps1", "notes.txt"}, nil
	case `c:\oauthconfig`:
		return []string{"OAuthCert.cer", "it's.cer"}, nil
	case `c:\my folder`:
		return []string{"a b.ps1"}, nil
	}
	return nil, errors.New("there is no such folder")
}

type thing struct {
	Identity string        `ps:"Identity,mandatory,position=0" help:"Which thing."`
	Color    string        `ps:"Color,position=1,values=Red|Reddish brown|Green" help:"Its colour.\nSecond line."`
	Enabled  bool          `ps:"Enabled"`
	Entries  []string      `ps:"Entries,values=One|Two"`
	Quiet    object.Switch `ps:"Quiet"`
	Path     string        `ps:"Path"`
	Count    int           `ps:"Count"`
}

func (*thing) Run(context.Context, *interp.Call) error { return nil }

func completing(t testing.TB) *interp.Session {
	t.Helper()
	files := newMemoryFiles()
	s, err := interp.New(interp.Config{
		Now: func() time.Time { return time.Unix(0, 0) }, Files: listedFiles{files},
		Env: map[string]string{"SYSTEMDRIVE": "C:", "SystemRoot": `C:\Windows`},
		Commands: []interp.Command{
			{Name: "Set-Thing", New: func() interp.Cmdlet { return &thing{} }, ShouldProcess: true, Synopsis: "Changes a thing.", Aliases: []string{"sth"}},
			{Name: "Set-Thong", New: func() interp.Cmdlet { return &thing{} }},
		},
		Variables: map[string]any{"certPath": `C:\x`, "ran": "no"},
	})
	if err != nil {
		t.Fatal(err)
	}
	script := `$bag = [pscustomobject]@{ Name = 'a'; Names = @{ first = 1; 'two words' = 2 }; List = @([pscustomobject]@{ Inner = 1 }) }
		$bag | Add-Member ScriptProperty Bad { $global:ran = 'yes'; 'text' }
		${odd name} = 1
		function Use-Thing { [CmdletBinding()] param([ValidateSet('Big','Small')]$Size, [switch]$Force) }`
	if err := s.Run(t.Context(), "", script, nil); err != nil {
		t.Fatal(err)
	}
	s.SetVariable("ran", "no")
	return s
}

func TestComplete(t *testing.T) {
	s := completing(t)
	for _, tt := range []struct {
		line string // | marks the cursor when it is not at the end
		from string // the text that is replaced
		want string // the proposals, in order
	}{
		{"Set-Th", "Set-Th", "Set-Thing Set-Thong"},
		{"set-th¦ -Color Red", "set-th", "Set-Thing Set-Thong"},
		{"1 | ? { $_ } | Set-Thi", "Set-Thi", "Set-Thing"},
		{"$x = Set-Thi", "Set-Thi", "Set-Thing"},
		{"$x=Set-Thi", "Set-Thi", "Set-Thing"},
		{"if ($a) { Set-Thi", "Set-Thi", "Set-Thing"},
		{"if ($a) { 1 } Set-Thi", "Set-Thi", "Set-Thing"},
		{"if (Set-Thi", "Set-Thi", "Set-Thing"},
		{"foreach ($x in Set-Thi", "Set-Thi", "Set-Thing"},
		{"return Set-Thi", "Set-Thi", "Set-Thing"},
		{"@{ A = Set-Thi", "Set-Thi", "Set-Thing"},
		{"@{ Set-Thi", "Set-Thi", ""},
		{"*-Thing", "*-Thing", "Set-Thing Use-Thing"},
		{"sth", "sth", "sth"},
		{"use-t", "use-t", "Use-Thing"},
		{"# Set-Thi", "", ""},
		{"<# Set-Thi", "", ""},
		{"<# x #> Set-Thi", "Set-Thi", "Set-Thing"},
		{"$t = @'\nSet-Thi", "", ""},
		{"'it''s'; Set-Thi", "Set-Thi", "Set-Thing"},

		{"Set-Thing -", "-", "-Identity -Color -Enabled -Entries -Quiet -Path -Count -Verbose -Debug -ErrorAction -WarningAction -InformationAction -ErrorVariable -WarningVariable -InformationVariable -OutVariable -OutBuffer -PipelineVariable -WhatIf -Confirm"},
		{"Set-Thing –E", "–E", "-Enabled -Entries -ErrorAction -ErrorVariable"},
		{"Set-Thing -Enabled $true -E", "-E", "-Entries -ErrorAction -ErrorVariable"},
		{"sth -Co", "-Co", "-Color -Count -Confirm"},
		{"Use-Thing -F", "-F", "-Force"},
		{"Set-Thing x `\n  g", "g", "Green"},
		{"1 |\n  Set-Thing -Qu", "-Qu", "-Quiet"},
		{"No-Such -F", "-F", ""},
		{"Set-Thing (Get-Date -Y", "-Y", "-Year"},
		{"Set-Thing (Get-Date) -Qu", "-Qu", "-Quiet"},
		{"Set-Thing { a } -Qu", "-Qu", "-Quiet"},

		{"Set-Thing -Color ", "", "Red 'Reddish brown' Green"},
		{"Set-Thing -Color re", "re", "Red 'Reddish brown'"},
		{"Set-Thing -Col 'red", "'red", "'Red' 'Reddish brown'"},
		{`Set-Thing -Color "reddish b`, `"reddish b`, `"Reddish brown"`},
		{"Set-Thing -Color:g", "g", "Green"},
		{"Set-Thing x g", "g", "Green"},
		{"Set-Thing -Quiet x g", "g", "Green"},
		{"Set-Thing -Identity x g", "g", "Green"},
		{"Set-Thing x Red g", "g", ""},
		{"Set-Thing -Identity x -Entries One, t", "t", "Two"},
		{"Set-Thing -Enabled ", "", "$true $false"},
		{"Set-Thing -Enabled $t", "$t", "$true"},
		{"Set-Thing -Quiet:", "", "$true $false"},
		{"Set-Thing -ErrorAction s", "s", "SilentlyContinue Stop Suspend"},
		{"Set-Thing -Count ", "", ""},
		{"Use-Thing -Size b", "b", "Big"},
		{"Get-Help Set-Thi", "Set-Thi", "Set-Thing"},

		{"$cert", "$cert", "$certPath"},
		{"Set-Thing $CERT", "$CERT", "$certPath"},
		{`Set-Thing "in $cert`, "$cert", "$certPath"},
		{"'$cert", "'$cert", ""},
		{"$global:certp", "$global:certp", "$global:certPath"},
		{"$env:sys", "$env:sys", "$env:SYSTEMDRIVE $env:SystemRoot"},
		{"${odd", "${odd", "${odd name}"},
		{"$odd", "$odd", "${odd name}"},
		{"$tr", "$tr", "$true"},
		{"$bag.Na", "Na", "Name Names"},
		{"Set-Thing $bag.names.f", "f", "first"},
		{"Set-Thing $bag.names.two", "two", "'two words'"},
		{"$bag.ba", "ba", "Bad"},
		{"$bag.List[0].inn", "inn", "Inner"},
		{"$bag.List.inn", "inn", "Inner"},
		{"$bag.Name.ToU", "ToU", "ToUpper( ToUpperInvariant("},
		{"$bag.Bad.Len", "", ""},
		{"$nothing.x", "", ""},
		{"(Set-Thing).x", "", ""},

		{"[dateti", "dateti", "datetime System.DateTimeKind"},
		{"[System.Security.Cryptography.X509Certificates.X509Con", "System.Security.Cryptography.X509Certificates.X509Con", "System.Security.Cryptography.X509Certificates.X509ContentType"},
		{"$x -is [versi", "versi", "version"},
		{"[System.Security.Cryptography.X509Certificates.X509ContentType]::C", "C", "Cert"},
		{"[string]::For", "For", "Format"},
		{"[no.such]::x", "", ""},
		{"$x -no", "-no", "-notlike -notmatch -notcontains -notin -not"},
		{"(1 + 2) -sh", "-sh", "-shl -shr"},

		{`.\Exp`, `.\Exp`, `.\ExportAuthCert.ps1`},
		{`C:\n`, `C:\n`, ""},
		{`& C:\Exp`, `C:\Exp`, `C:\ExportAuthCert.ps1`},
		{`C:\My Folder\`, `Folder\`, ""},
		{`C:\m`, `C:\m`, `& 'C:\My Folder\'`},
		{`Set-Thing -Path C:\`, `C:\`, `'C:\My Folder\' C:\OAuthConfig\ C:\ExportAuthCert.ps1 C:\notes.txt`},
		{`Set-Thing -Path C:\oauthconfig\`, `C:\oauthconfig\`, `C:\oauthconfig\OAuthCert.cer 'C:\oauthconfig\it''s.cer'`},
		{`Set-Thing -Path 'C:\My F`, `'C:\My F`, `'C:\My Folder\'`},
		{`Set-Thing -Path no`, `no`, `notes.txt`},
		{`Set-Thing -Path C:\nowhere\x`, `C:\nowhere\x`, ""},
	} {
		t.Run(tt.line, func(t *testing.T) {
			line := tt.line
			pos := len(line)
			if before, after, ok := strings.Cut(line, "¦"); ok {
				line, pos = before+after, len(before)
			}
			got := s.Complete(line, pos)
			var items []string
			for _, it := range got.Items {
				items = append(items, it.Text)
			}
			if text := strings.Join(items, " "); text != tt.want || tt.want != "" && line[got.Start:got.End] != tt.from {
				t.Errorf("%q becomes %s\nwant %q becomes %s", line[got.Start:got.End], text, tt.from, tt.want)
			}
		})
	}
	if v, _ := s.Variable("ran"); v != "no" {
		t.Error("completion ran a script")
	}
}

// TestCompletionTellsWhatItIs looks at one item of each kind in full.
func TestCompletionTellsWhatItIs(t *testing.T) {
	s := completing(t)
	for line, want := range map[string]interp.CompletionItem{
		"Set-Thin":            {Text: "Set-Thing", Label: "Set-Thing", Kind: "Command", Help: "Changes a thing."},
		"sth":                 {Text: "sth", Label: "sth -> Set-Thing", Kind: "Alias", Help: "Changes a thing."},
		"Use-Thi":             {Text: "Use-Thing", Label: "Use-Thing", Kind: "Function"},
		"Set-Thing -Colo":     {Text: "-Color", Label: "-Color <String>", Kind: "Parameter", Help: "Its colour."},
		"Set-Thing -Qui":      {Text: "-Quiet", Label: "-Quiet", Kind: "Parameter"},
		"Set-Thing -Color Gr": {Text: "Green", Label: "Green", Kind: "Value"},
		"$certP":              {Text: "$certPath", Label: "$certPath", Kind: "Variable", Help: "[System.String]"},
		"$bag.List":           {Text: "List", Label: "List", Kind: "Member", Help: "[System.Object[]]"},
		"[uri":                {Text: "uri", Label: "uri", Kind: "Type", Help: "System.Uri"},
		"Set-Thing -Path not": {Text: "notes.txt", Label: "notes.txt", Kind: "Path"},
		"1 -shl":              {Text: "-shl", Label: "-shl", Kind: "Operator"},
	} {
		got := s.Complete(line, len(line))
		i := slices.IndexFunc(got.Items, func(it interp.CompletionItem) bool { return it.Text == want.Text })
		if i < 0 {
			t.Errorf("%q gives %v", line, got.Items)
			continue
		}
		if d := cmp.Diff(want, got.Items[i]); d != "" {
			t.Errorf("%q: %s", line, d)
		}
	}
}

func FuzzComplete(f *testing.F) {
	for _, s := range []string{"Set-Thing -Color re", "$bag.List[0].in", "[string]::F", `"a $b`, "@{ a = (1,2) }.x", "foreach ($x in 1) { $x.", "Set-Thing -Path 'C:\\My F", "a `", "@'\nx", ")}", "\u201ca\u201d -\u2013", "& . {"} {
		f.Add(s, len(s))
	}
	s := completing(f)
	f.Fuzz(func(t *testing.T, line string, pos int) {
		if len(line) > 1024 {
			return
		}
		got := s.Complete(line, pos)
		at := max(0, min(pos, len(line)))
		if got.Start < 0 || got.Start > got.End || got.End != at {
			t.Fatalf("%q at %d: from %d to %d", line, pos, got.Start, got.End)
		}
		for _, it := range got.Items {
			if it.Text == "" || it.Label == "" || it.Kind == "" || utf8.ValidString(line) && !utf8.ValidString(it.Text) {
				t.Fatalf("%q: %+v", line, it)
			}
		}
	})
}
