package interp_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// show writes the arguments that it was given.
type show struct{ Own string }

func (*show) Run(_ context.Context, c *interp.Call) error {
	var b strings.Builder
	for _, a := range c.Arguments() {
		fmt.Fprintf(&b, "%s=%s(%s) ", a.Name, object.TypeOf(a.Value).Title(), object.String(a.Value))
	}
	return c.Emit(strings.TrimSpace(b.String()))
}

// mixed has a field beside what is declared.
type mixed struct {
	show
	Field int `ps:"Field,default=7"`
}

func (m *mixed) Run(_ context.Context, c *interp.Call) error {
	return c.Emit(fmt.Sprint(m.Field, " ", len(c.Arguments())))
}

func declaredWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	params := []interp.Param{
		{Name: "Name", Type: object.TString, Mandatory: true, Position: 0, ByName: true, Sets: []string{"Name"}},
		{Name: "Identity", Position: 0, ByValue: true, Sets: []string{"Identity"}},
		{Name: "Count", Aliases: []string{"N"}, Type: object.TInt, Position: 1, Default: "4"},
		{Name: "Force", Type: object.TSwitch, Position: -1},
		{Name: "Kind", Type: object.TString, Position: -1, Values: []string{"Red", "Green"}},
	}
	err := w.s.Register(
		interp.Command{Name: "Show-Data", Kind: "Function", ShouldProcess: true, DefaultSet: "Identity", Declared: params, New: func() interp.Cmdlet { return &show{} }},
		interp.Command{Name: "Show-Mixed", Declared: params[2:3], New: func() interp.Cmdlet { return &mixed{} }},
	)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestDeclaredParameters(t *testing.T) {
	for _, tt := range []struct{ name, src, want, log string }{
		{"by name and alias", "Show-Data -Name x -N '5' -Force", "Name=String(x) Count=Int32(5) Force=SwitchParameter(True)", ""},
		{"by position, the set's", "Show-Data 7 2", "Identity=Int32(7) Count=Int32(2)", ""},
		{"defaults are not arguments", "Show-Data", "", ""},
		{"common parameters are", "Show-Data -WhatIf -Verbose:$false", "WhatIf=SwitchParameter(True) Verbose=SwitchParameter(False)", ""},
		{"by pipeline", "1,'a' | Show-Data -Force", "Force=SwitchParameter(True) Identity=Int32(1),Force=SwitchParameter(True) Identity=String(a)", ""},
		{"converted", "Show-Data -Name x -Count y", "", "Error:Cannot process argument transformation on parameter 'Count'. Cannot convert value \"y\" to type \"System.Int32\". Error: \"Input string was not in a correct format.\"\n"},
		{"checked", "Show-Data -Kind blue", "", "Error:Cannot validate argument on parameter 'Kind'. The argument \"blue\" does not belong to the set \"Red,Green\" specified by the ValidateSet attribute. Supply an argument that is in the set and then try the command again.\n"},
		{"sets exclude each other", "Show-Data -Name x -Identity y", "", "Error:Parameter set cannot be resolved using the specified named parameters.\n"},
		{"beside fields", "Show-Mixed -Count 1; Show-Mixed -Field 2", "7 1,2 1", ""},
		{"as a command", "$c = Get-Command Show-Data; \"$($c.CommandType)\"; (Get-Command Show-Data -Syntax) -match 'Count.*<int'", "Function,True", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := declaredWorld(t)
			got, err := w.run(t, tt.src)
			if d := cmp.Diff([]string{tt.want, tt.log}, []string{got, w.log.String()}); d != "" || err != nil {
				t.Error(d, err)
			}
		})
	}
}

func TestDeclaredFunctionsTakeThePlaceOfScripts(t *testing.T) {
	w := newWorld(t)
	if got, err := w.run(t, "function Show-Data { 'script' }; Show-Data"); got != "script" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	for _, name := range []string{"Show-Data", "where", "get-count"} {
		if !w.s.Defined(name) {
			t.Errorf("%s is not there", name)
		}
	}
	if w.s.Defined("Show-Nothing") {
		t.Error("Show-Nothing is there")
	}
	if err := w.s.Register(interp.Command{Name: "Show-Data", Kind: "Function", New: func() interp.Cmdlet { return &show{} }}); err != nil {
		t.Fatal(err)
	}
	if got, err := w.run(t, "Show-Data"); got != "" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if err := w.s.Register(interp.Command{Name: "Show-Bad", Declared: []interp.Param{{}}, New: func() interp.Cmdlet { return &show{} }}); !errors.Is(err, interp.ErrConfig) {
		t.Errorf("a parameter without a name: %v", err)
	}
}

func TestInvoke(t *testing.T) {
	cmd := func(name string, args ...interp.Argument) interp.Invoked {
		return interp.Invoked{Text: name, Arguments: args}
	}
	block := func(text string, args ...any) interp.Invoked {
		i := interp.Invoked{Text: text, Script: true}
		for _, a := range args {
			i.Arguments = append(i.Arguments, interp.Argument{Value: a})
		}
		return i
	}
	for _, tt := range []struct {
		name           string
		in             interp.Invocation
		want, log, err string
		sent           int
	}{
		{"a command", interp.Invocation{Commands: []interp.Invoked{cmd("Show-Data", interp.Argument{Name: "Name", Value: "x"}, interp.Argument{Name: "Force", Value: object.Switch(true)})}}, "Name=String(x) Force=SwitchParameter(True)", "", "", 0},
		{"a pipeline", interp.Invocation{Commands: []interp.Invoked{cmd("Get-Count", interp.Argument{Value: 100000}), cmd("Select-Object", interp.Argument{Name: "First", Value: 2})}}, "1,2", "", "", 2},
		{"input", interp.Invocation{Commands: []interp.Invoked{block("process { $_ * 2 }"), block("$input | sort -desc")}, Input: []any{1, 2}}, "4,2", "", "", 0},
		{"input that nobody wants any more", interp.Invocation{Commands: []interp.Invoked{block("process { $_ }"), cmd("Select-Object", interp.Argument{Name: "First", Value: 1})}, Input: []any{1, 2}}, "1", "", "", 0},
		{"empty input", interp.Invocation{Commands: []interp.Invoked{cmd("Show-Data")}, Input: []any{}}, "", "", "", 0},
		{"arguments of a block", interp.Invocation{Commands: []interp.Invoked{block("param($a) $a; $args", 1, 2)}}, "1,2", "", "", 0},
		{"nothing", interp.Invocation{}, "", "", "", 0},
		{"an unknown command", interp.Invocation{Commands: []interp.Invoked{cmd("Get-Nothing")}}, "", "", "The term 'Get-Nothing' is not recognized", 0},
		{"a bad block", interp.Invocation{Commands: []interp.Invoked{block("if (")}}, "", "", "ends too early", 0},
		{"throw", interp.Invocation{Commands: []interp.Invoked{block("1; throw 'x'; 2")}}, "1", "", "x", 0},
		{"errors and warnings", interp.Invocation{Commands: []interp.Invoked{block("Remove-Thing bad -cf:$false; Write-Warning w; Get-Nothing; 'on'")}}, "on", "it is bad|w|The term 'Get-Nothing' is not recog|", "", 0},
		{"exit", interp.Invocation{Commands: []interp.Invoked{block("1; exit 3; 2")}}, "1", "", "exit 3", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := declaredWorld(t)
			var out []string
			var log strings.Builder
			line := func(v any) error {
				text := object.String(v)
				if m, ok := v.(*interp.Message); ok {
					text = m.Text
				}
				fmt.Fprintf(&log, "%.35s|", text)
				return nil
			}
			tt.in.Streams = interp.Streams{Error: line, Warning: line}
			err := w.s.Invoke(t.Context(), tt.in, func(v any) error {
				out = append(out, object.String(v))
				return nil
			})
			text := ""
			if err != nil {
				text = err.Error()
			}
			if d := cmp.Diff([]string{tt.want, tt.log}, []string{strings.Join(out, ","), log.String()}); d != "" || !strings.Contains(text, tt.err) || tt.err == "" && err != nil || w.log.Len() > 0 || w.sent != tt.sent {
				t.Errorf("%v; %d sent; session's log %q; %s", err, w.sent, &w.log, d)
			}
		})
	}
}

// inside runs something in another session.
type inside struct{ other *interp.Session }

func (i *inside) Run(ctx context.Context, c *interp.Call) error {
	return i.other.Invoke(ctx, interp.Invocation{Commands: []interp.Invoked{{Text: "Remove-Thing bad -cf:$false; 'on'", Script: true}}}, c.Emit)
}

func TestInvokeInsideOfATryOfItsOwnSession(t *testing.T) {
	s, err := interp.New(interp.Config{Now: func() time.Time { return time.Unix(0, 0) }, Commands: []interp.Command{{Name: "Remove-Thing", New: func() interp.Cmdlet { return &removeThing{} }, ShouldProcess: true}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Register(interp.Command{Name: "Invoke-Inside", New: func() interp.Cmdlet { return &inside{s} }}); err != nil {
		t.Fatal(err)
	}
	var got []string
	err = s.Run(t.Context(), "", "try { Invoke-Inside; Get-Nothing; 'not here' } catch { 'caught' }", func(v any) error {
		got = append(got, object.String(v))
		return nil
	})
	if d := cmp.Diff([]string{"on", "caught"}, got); d != "" || err != nil {
		t.Error(d, err)
	}
}
