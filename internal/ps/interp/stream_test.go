package interp_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// TestNothingIsKept checks that what passes objects on does so one by one: the first result comes before the second
// object is made.
func TestNothingIsKept(t *testing.T) {
	for _, stage := range []string{
		"Where-Object { $_ }", "ForEach-Object { $_ }", "Select-Object @{ n = 'A'; e = { $_ } }", "Tee-Object -Variable x", "Get-Unique", "Write-Output",
		"ConvertTo-Csv -NoTypeInformation", "Select-Object @{ n = 'A'; e = { $_ } } | Format-List | Out-String -Stream",
		"Format-Wide @{ e = { $_ } } -Column 1 | Out-String -Stream", "Out-String -Stream",
	} {
		t.Run(stage, func(t *testing.T) {
			w := newWorld(t)
			if _, err := w.run(t, "Get-Count 100000 | "+stage+" | Select-Object -First 1"); err != nil {
				t.Fatal(err)
			}
			if w.sent != 1 {
				t.Errorf("%d objects were made for the first result", w.sent)
			}
		})
	}
}

// pieces notes how a file is written.
type pieces struct {
	*memoryFiles
	most  int
	calls int
}

func (p *pieces) note(data []byte) {
	p.calls++
	p.most = max(p.most, len(data))
}

func (p *pieces) WriteFile(name string, data []byte) error {
	p.note(data)
	return p.memoryFiles.WriteFile(name, data)
}

func (p *pieces) AppendFile(name string, data []byte) error {
	p.note(data)
	return p.memoryFiles.AppendFile(name, data)
}

// TestFilesAreWrittenInPieces checks that no command keeps a whole file.
func TestFilesAreWrittenInPieces(t *testing.T) {
	for _, tt := range []struct{ src, first, last string }{
		{"1..40000 | Out-File big.txt", "1", "40000"},
		{"1..40000 > big.txt", "1", "40000"},
		{"1..40000 | Tee-Object big.txt", "1", "40000"},
		{"1..40000 | Select-Object @{ n = 'A'; e = { $_ } } | Export-Csv big.txt -NoTypeInformation", `"A"`, `"40000"`},
	} {
		t.Run(tt.src, func(t *testing.T) {
			files := &pieces{memoryFiles: newMemoryFiles()}
			s, err := interp.New(interp.Config{Now: func() time.Time { return time.Unix(0, 0) }, Files: files})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Run(t.Context(), "", tt.src, nil); err != nil {
				t.Fatal(err)
			}
			data, err := files.ReadFile("big.txt")
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Fields(string(data))
			if lines[0] != tt.first || lines[len(lines)-1] != tt.last || len(lines) < 40000 {
				t.Errorf("%d lines from %q to %q", len(lines), lines[0], lines[len(lines)-1])
			}
			if files.calls < 3 || files.most > 80<<10 {
				t.Errorf("%d pieces of at most %d bytes", files.calls, files.most)
			}
		})
	}
}

// TestFinallyAfterCancel checks what Ctrl-C leaves: finally blocks run, their output goes nowhere, and the session lives.
func TestFinallyAfterCancel(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	var got []any
	err := w.s.Run(ctx, "", "try { while ($true) { 1 } } finally { $global:cleaned = 'yes'; 'unseen'; Write-Host bye }; 'not reached'", func(v any) error {
		got = append(got, v)
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	v, _ := w.s.Variable("cleaned")
	if d := cmp.Diff([]any{int32(1), "yes", "Information:bye\n"}, append(got, v, w.log.String())); d != "" {
		t.Error(d)
	}
}

// answers is a person who types what is listed.
type answers struct {
	list  []string
	asked strings.Builder
}

func (a *answers) next(prompt string) (string, error) {
	a.asked.WriteString(prompt)
	if len(a.list) == 0 {
		return "", errors.New("nobody answers")
	}
	s := a.list[0]
	a.list = a.list[1:]
	return s, nil
}

func (a *answers) Line(_ context.Context, prompt string) (string, error) { return a.next(prompt) }

func (a *answers) Secret(_ context.Context, prompt string) (string, error) {
	return a.next("(secret) " + prompt)
}

func (a *answers) Choice(context.Context, string, string, []string, int) (int, error) { return 0, nil }

type wanting struct {
	Name       string               `ps:"Name,mandatory,position=0"`
	Domains    []string             `ps:"Domains,mandatory"`
	Enabled    bool                 `ps:"Enabled,mandatory"`
	Credential *object.Credential   `ps:"Credential,mandatory"`
	Key        *object.SecureString `ps:"Key,mandatory"`
}

func (n *wanting) Run(_ context.Context, c *interp.Call) error {
	return c.Emit(strings.Join([]string{n.Name, strings.Join(n.Domains, "+"), object.String(n.Enabled), n.Credential.UserName, n.Credential.Password.Reveal(), n.Key.Reveal()}, "|"))
}

func TestMandatoryParametersAreAskedFor(t *testing.T) {
	for _, tt := range []struct {
		name, src     string
		answers       []string
		want, err     string
		asked, unseen string
	}{
		{
			"each in its way", "New-Wanting -Name n", []string{"a", "b", "", "$false", "u@contoso.com", "p", "k"}, "n|a+b|False|u@contoso.com|p|k", "",
			"\ncmdlet New-Wanting at command pipeline position 1\nSupply values for the following parameters:\n" +
				"Domains[0]: Domains[1]: Domains[2]: Enabled: User: (secret) Password for user u@contoso.com: (secret) Key: ", "",
		},
		{"nothing is nothing", "New-Wanting", []string{""}, "", "Cannot bind argument to parameter 'Name' because it is an empty string.", "Name: ", "Domains"},
		{"no answer", "New-Wanting", nil, "", "nobody answers", "Name: ", ""},
		{"the second of a pipeline", "1 | ForEach-Object { $_ } | New-Wanting", []string{"x"}, "", "nobody answers", "at command pipeline position 3", ""},
		{"help of a function", "function f { param([Parameter(Mandatory, HelpMessage='a colour')]$C) $C }; f", []string{"!?", "red"}, "red", "", "(Type !? for Help.)\nC: a colour\nC: ", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			person := &answers{list: tt.answers}
			var errs []string
			s, err := interp.New(interp.Config{
				Now: func() time.Time { return time.Unix(0, 0) }, Prompt: person,
				Commands: []interp.Command{{Name: "New-Wanting", New: func() interp.Cmdlet { return &wanting{} }}},
				Streams:  interp.Streams{Error: func(v any) error { errs = append(errs, object.String(v)); return nil }},
			})
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			if err := s.Run(t.Context(), "", tt.src, func(v any) error { out = append(out, object.String(v)); return nil }); err != nil {
				errs = append(errs, err.Error())
			}
			if d := cmp.Diff([]string{tt.want, tt.err}, []string{strings.Join(out, ","), strings.Join(errs, ",")}); d != "" {
				t.Error(d)
			}
			if asked := person.asked.String(); !strings.Contains(asked, tt.asked) || tt.unseen != "" && strings.Contains(asked, tt.unseen) {
				t.Errorf("asked %q", asked)
			}
		})
	}
}
