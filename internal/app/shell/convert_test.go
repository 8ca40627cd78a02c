package shell

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/admin/hostcmd"
	"busybridge/internal/ps/object"
	"busybridge/internal/ps/psrp"
)

func TestPlain(t *testing.T) {
	arg := func(name string, v any) psrp.Argument { return psrp.Argument{Name: name, Value: v} }
	alone := func(name string) psrp.Argument { return psrp.Argument{Name: name, Alone: true} }
	one := func(name string, args ...psrp.Argument) [][]psrp.Command {
		return [][]psrp.Command{{{Name: name, Arguments: args}}}
	}
	for _, tt := range []struct {
		text string
		args []any
		want [][]psrp.Command // nil: it has to go as a script
	}{
		{"Get-Mailbox", nil, one("Get-Mailbox")},
		{"Get-Mailbox -Identity 'a b' -Enabled:$true -All 3", nil, one("Get-Mailbox", alone("Identity"), arg("", "a b"), arg("Enabled", true), alone("All"), arg("", int32(3)))},
		{`param($n, $m = 'x') Get-Mailbox "$n@$m" $null`, []any{"kim"}, one("Get-Mailbox", arg("", "kim@x"), arg("", nil))},
		{"& Get-Mailbox @('a')", nil, one("Get-Mailbox", arg("", object.NewArray("a")))},
		{"Get-Mailbox a, b", nil, one("Get-Mailbox", arg("", object.NewArray("a", "b")))},
		{"Get-A | Set-B; Get-C", nil, [][]psrp.Command{{{Name: "Get-A"}, {Name: "Set-B"}}, {{Name: "Get-C"}}}},
		{"Get-A | ForEach-Object { $_ }", nil, nil},
		{"Get-A $x", nil, nil},
		{"Get-A (Get-B)", nil, nil},
		{"Get-A > file", nil, nil},
		{"1 + 1", nil, nil},
		{"$a = Get-A", nil, nil},
		{"if ($true) { Get-A }", nil, nil},
		{"Get-A", []any{"left over"}, nil},
		{"Get-A '", nil, nil},
	} {
		var args []hostcmd.Argument
		for _, a := range tt.args {
			args = append(args, hostcmd.Argument{Value: a})
		}
		got, ok := plain(tt.text, args)
		same := cmp.Comparer(func(a, b *object.Array) bool { return object.String(a) == object.String(b) })
		if diff := cmp.Diff(tt.want, got, same); diff != "" || ok != (tt.want != nil) {
			t.Errorf("%s: %v (-want +got):\n%s", tt.text, ok, diff)
		}
	}
}
