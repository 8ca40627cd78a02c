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

// count emits numbers and tells how many were taken.
type count struct {
	To   int `ps:"To,position=0"`
	sent *int
}

func (c *count) Run(ctx context.Context, call *interp.Call) error {
	for i := 1; i <= c.To; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		*c.sent++
		if err := call.Emit(i); err != nil {
			return err
		}
	}
	return nil
}

// removeThing asks before it acts.
type removeThing struct {
	Identity string `ps:"Identity,mandatory,position=0,pipeline=value|name"`
	Enabled  *bool  `ps:"Enabled"`
}

func (r *removeThing) Run(_ context.Context, c *interp.Call) error {
	if r.Identity == "bad" {
		return c.WriteError(errors.New("it is bad"))
	}
	ok, err := c.ShouldProcessText(`Removing thing "`+r.Identity+`".`, "")
	if err != nil || !ok {
		return err
	}
	text := "removed " + r.Identity
	if r.Enabled != nil {
		text += " " + object.String(*r.Enabled)
	}
	return c.Emit(text)
}

type world struct {
	s    *interp.Session
	log  strings.Builder
	sent int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	note := func(v any) error {
		if m, ok := v.(*interp.Message); ok {
			w.log.WriteString(m.Kind + ":" + m.Text + "\n")
		} else {
			w.log.WriteString("Error:" + object.String(v) + "\n")
		}
		return nil
	}
	s, err := interp.New(interp.Config{
		Now: func() time.Time { return time.Date(2024, 3, 19, 8, 0, 0, 0, time.UTC) },
		Commands: []interp.Command{
			{Name: "Get-Count", New: func() interp.Cmdlet { return &count{sent: &w.sent} }},
			{Name: "Remove-Thing", New: func() interp.Cmdlet { return &removeThing{} }, ShouldProcess: true, Impact: "High"},
		},
		Streams: interp.Streams{Error: note, Warning: note, Verbose: note, Information: note},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.s = s
	return w
}

func (w *world) run(t *testing.T, src string) (string, error) {
	t.Helper()
	var out []string
	err := w.s.Run(t.Context(), "", src, func(v any) error {
		out = append(out, object.String(v))
		return nil
	})
	return strings.Join(out, ","), err
}

func TestFirstStopsWhatComesBefore(t *testing.T) {
	w := newWorld(t)
	got, err := w.run(t, "Get-Count 1000000 | Where-Object { $_ % 2 } | Select-Object -First 2")
	if err != nil || got != "1,3" || w.sent != 3 {
		t.Errorf("got %q, %v after %d objects", got, err, w.sent)
	}
}

func TestCancelEndsALoop(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := w.s.Run(ctx, "", "while ($true) { 1 }", func(any) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got, err := w.run(t, "'on'"); got != "on" || err != nil {
		t.Errorf("the session is dead: %q, %v", got, err)
	}
}

func TestCmdlets(t *testing.T) {
	for _, tt := range []struct{ name, src, want, log, err string }{
		{"what-if", "Remove-Thing a -WhatIf", "", "Information:What if: Removing thing \"a\".\n", ""},
		{"confirmed", "Remove-Thing a -Confirm:$false", "removed a", "", ""},
		{"a question without a person", "Remove-Thing a", "", "Error:Windows PowerShell is in NonInteractive mode. Read and Prompt functionality is not available. Use -Confirm:$false to run the command without a question.\n", ""},
		{"optional Boolean", "Remove-Thing a -Enabled $false -cf:$false", "removed a False", "", ""},
		{"by property name", "[pscustomobject]@{Identity='x'} | Remove-Thing -Confirm:$false", "removed x", "", ""},
		{"errors do not stop the others", "'bad','b' | Remove-Thing -Confirm:$false", "removed b", "Error:it is bad\n", ""},
		{"unless asked to", "'bad','b' | Remove-Thing -Confirm:$false -EA Stop", "", "", "it is bad"},
		{"Ignore does not record", "Remove-Thing bad -ea Ignore; $Error.Count", "0", "", ""},
		{"error variable", "Remove-Thing bad -ea SilentlyContinue -ev x; $x.Count; $?", "1,True", "", ""},
		{"unknown parameter", "Remove-Thing a -Nope", "", "Error:A parameter cannot be found that matches parameter name 'Nope'.\n", ""},
		{"missing mandatory", "Remove-Thing", "", "Error:Cannot process command because of one or more missing mandatory parameters: Identity.\n", ""},
		{"exit ends the run", "1; exit 3; 2", "1", "", "exit 3"},
		{"throw ends the run", "1; throw 'x'; 2", "1", "", "x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			got, err := w.run(t, tt.src)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if d := cmp.Diff([]string{tt.want, tt.log, tt.err}, []string{got, w.log.String(), text}); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestEndlessRecursionIsAnError(t *testing.T) {
	w := newWorld(t)
	if _, err := w.run(t, "function f { f }; f"); err == nil || !strings.Contains(err.Error(), "call depth") {
		t.Errorf("got %v", err)
	}
}

func FuzzRun(f *testing.F) {
	for _, s := range []string{"1..3 | % { $_ * 2 }", "try { throw 'x' } catch { $_ } finally { 1 }", "function f([int]$x = 2) { $x }; f 3", "$h = @{a=1}; $h.a++; $h['a']", "'a,b'.Split(',')[-1]", "switch (1,2) { 1 {'x'} default {$_} }"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 512 {
			return
		}
		s, err := interp.New(interp.Config{Now: func() time.Time { return time.Unix(0, 0) }, Sleep: func(context.Context, time.Duration) error { return nil }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		n := 0
		err = s.Run(ctx, "", src, func(any) error {
			if n++; n > 10_000 {
				cancel()
			}
			return nil
		})
		if err != nil && strings.Contains(err.Error(), "interp: ") {
			t.Error(err)
		}
	})
}
