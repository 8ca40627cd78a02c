package syntax_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/ps/syntax"
)

// same compares trees without positions, source texts and layout.
func same(a, b reflect.Value) bool {
	if a.Kind() != b.Kind() {
		return false
	}
	switch a.Kind() {
	case reflect.Interface, reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return a.Elem().Type() == b.Elem().Type() && same(a.Elem(), b.Elem())
	case reflect.Slice:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !same(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Struct:
		switch a.Type() {
		case reflect.TypeFor[syntax.Extent](), reflect.TypeFor[syntax.Source]():
			return true
		}
		for i := range a.NumField() {
			f := a.Type().Field(i)
			if f.Name == "Text" && a.Type() == reflect.TypeFor[syntax.Script]() || f.Name == "Value" && a.Type() == reflect.TypeFor[syntax.Number]() {
				continue
			}
			if !same(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	}
	return a.Equal(b)
}

func sameTree(a, b *syntax.Script) bool { return same(reflect.ValueOf(a), reflect.ValueOf(b)) }

// roundTrip checks that printing and parsing again gives the same tree.
func roundTrip(t *testing.T, src string) *syntax.Script {
	t.Helper()
	s, err := syntax.Parse("", src)
	if err != nil {
		t.Fatalf("parse: %v\n%s", err, src)
	}
	printed := syntax.Print(s)
	again, err := syntax.Parse("", printed)
	if err != nil {
		t.Fatalf("parse of what was printed: %v\n%s\nfrom\n%s", err, printed, src)
	}
	if !sameTree(s, again) {
		t.Fatalf("tree changed: %q printed as\n%s\nthen\n%s", src, printed, syntax.Print(again))
	}
	return s
}

// shape writes a tree as a line that shows its structure.
func shape(src string) string {
	s, err := syntax.Parse("", src)
	if err != nil {
		return "error: " + err.Error()
	}
	return strings.Join(strings.Fields(syntax.Print(s)), " ")
}

func TestPrint(t *testing.T) {
	for _, tt := range []struct{ name, src, want string }{
		{"comma binds tighter than plus", "1,2 + 3", "1, 2 + 3"},
		{"dash class", "1 –eq 1", "1 -eq 1"},
		{"explicitly insensitive", "'a' -IEQ 'b'", "'a' -eq 'b'"},
		{"case-sensitive", "'a' -cEQ 'b'", "'a' -ceq 'b'"},
		{"no space before an operator", `"0000"-eq "0000"-and "" -eq ""`, "'0000' -eq '0000' -and '' -eq ''"},
		{"alias and block without a blank", "a|?{$_ -gt 1}", "a | `? { ${_} -gt 1 }"},
		{"expandable word", `cd $env:SYSTEMDRIVE\OAuthConfig`, "cd ${env:SYSTEMDRIVE}`\\OAuthConfig"},
		{"web address", "a https://h/x.y?z=1#f", "a https://h/x.y?z=1`#f"},
		{"quoted start ends the argument", `w "a"b`, "w 'a' b"},
		{"quotes inside a word", `w a"b c"d`, "w ab` cd"},
		{"number and word", "w 5 5x", "w 5 5''x"},
		{"list of words", "fl A,B, C", "fl A, B, C"},
		{"member in an argument", "w $p.X.Y -Z $q[0]", "w ${p}.X.Y -Z ${q}[0]"},
		{"parameter with colon", "w -A:$true -B: 2 -C", "w -A:${true} -B:2 -C"},
		{"end of parameters", "w -- -A", "w -- `-A"},
		{"splat", "w @h -x", "w @h -x"},
		{"redirections", "w 2>$null 3>&1 *>> f", "w 2> ${null} 3>&1 *>> f"},
		{"cast of an index", "[string]@(1)[0]", "[string]@(1)[0]"},
		{"type operand", "$x -is [int] -and $y", "${x} -is [int] -and ${y}"},
		{"generic type", "[System.Collections.Generic.List[string]]::new()", "[System.Collections.Generic.List[string]]::new()"},
		{"negative range", "-3..-1", "-3 .. -1"},
		{"double minus", "- -6", "- -6"},
		{"statement as a value", "$x = if (1) { 2 } else { 3 }", "${x} = if (1) { 2 } else { 3 }"},
		{"statement behind a block", "if (1) { 2 }w 3", "if (1) { 2 } w 3"},
		{"else on its own line", "if (1) {}\n\nelse {2}", "if (1) {} else { 2 }"},
		{"multiple targets", "$a, $b = 1, 2", "${a}, ${b} = 1, 2"},
		{"label", ":outer foreach ($i in 1..3) { continue outer }", ":outer foreach (${i} in 1 .. 3) { continue outer }"},
		{"switch", "switch -w ($x) { 'a*' {1} {$_} {2} default {3} }", "switch -Wildcard (${x}) { 'a*' { 1 } { ${_} } { 2 } default { 3 } }"},
		{"named blocks", "function f { begin {1} process {2} end {3} }", "function f { begin { 1 } process { 2 } end { 3 } }"},
		{"parameters", "function f([int]$a = 1, $b) { }", "function f { param([int]${a} = 1, ${b}) }"},
		{"empty head and a param block", "function f() { param($a) }", "function f { param(${a}) }"},
		{"scope on a parameter", "function f($script:a) { }", "function f { param(${a}) }"},
		{"comment is no operator", "1 # 2\n# x\n3 <# 4 #>", "1 3"},
		{"continuation", "1 + `\n 2", "1 + 2"},
		{"here-string", "@\"\nx \"$a\"\n\"@", `"x ` + "`\"${a}`\"" + `"`},
		{"quotes in a subexpression", "\"x $(if ($true) { `\"y`\" })\"", "\"x $(if (${true}) { 'y' })\""},
		{"where method", "(0..9).Where{ $_ % 2 }", "(0 .. 9).Where({ ${_} % 2 })"},
		{"verbatim rest", "w --% -a | x", "w --% -a | x"},
		{"using is skipped", "using namespace System.Text\n1", "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := shape(tt.src); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			roundTrip(t, tt.src)
		})
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		src, id    string
		line, col  int
		incomplete bool
	}{
		{".", "MissingExpression", 1, 1, false},
		{"1 +", "ExpectedValueExpression", 1, 4, true},
		{"if (1) {", "MissingEndCurlyBrace", 1, 8, true},
		{"1\n}", "UnexpectedToken", 2, 1, false},
		{"$a $b", "UnexpectedToken", 1, 4, false},
		{"'abc", "TerminatorExpectedAtEndOfString", 1, 5, true},
		{"<# x", "MissingTerminatorMultiLineComment", 1, 1, true},
		{"a | ", "EmptyPipeElement", 1, 5, true},
		{"| a", "EmptyPipeElement", 1, 1, false},
		{"a && b", "InvalidEndOfLine", 1, 3, false},
		{"a || b", "InvalidEndOfLine", 1, 3, false},
		{"a &", "AmpersandNotAllowed", 1, 3, false},
		{"$x ? 1 : 2", "NotSupported", 1, 4, false},
		{"$x ?? 1", "NotSupported", 1, 4, false},
		{"class A { }", "NotSupported", 1, 1, false},
		{"enum A { B }", "NotSupported", 1, 1, false},
		{"workflow w { }", "NotSupported", 1, 1, false},
		{"data { 1 }", "NotSupported", 1, 1, false},
		{"configuration c { }", "NotSupported", 1, 1, false},
		{"using module x", "NotSupported", 1, 1, false},
		{"function f { dynamicparam { } }", "NotSupported", 1, 14, false},
		{"[ValidateSet('a')]$x = 1", "UnexpectedAttribute", 1, 1, false},
		{"foreach -parallel ($x in 1) {}", "NotSupported", 1, 9, false},
		{"a < b", "RedirectionNotSupported", 1, 3, false},
		{"1 2>&3", "RedirectionNotSupported", 1, 3, false},
		{"try { 1 }", "MissingCatchOrFinally", 1, 10, true},
		{"@{a=1;A=2}", "DuplicateKeyInHashLiteral", 1, 7, false},
		{"@{a}", "MissingEqualsInHashLiteral", 1, 4, false},
		{"5 = 3", "InvalidLeftHandSide", 1, 1, false},
		{"$x = ", "ExpectedValueExpression", 1, 6, true},
		{"w a,", "MissingArgument", 1, 5, true},
		{"w ,a", "MissingArgument", 1, 3, false},
		{"\"$a: b\"", "InvalidVariableReferenceWithDrive", 1, 2, false},
		{"1 | 2", "ExpressionsMustBeFirstInPipeline", 1, 5, false},
		{"@x", "SplattingNotPermitted", 1, 1, false},
		{"from x", "ReservedKeywordNotAllowed", 1, 1, false},
		{"@' x\n'@", "UnexpectedCharactersAfterHereStringHeader", 1, 4, false},
		{"function f($a, $A) {}", "DuplicateFormalParameter", 1, 16, false},
		{strings.Repeat("(", 5000), "ScriptTooComplicated", 0, 0, false},
		{"1" + strings.Repeat("+1", 5000), "ScriptTooComplicated", 0, 0, false},
	} {
		name := tt.src
		if len(name) > 40 {
			name = name[:40]
		}
		t.Run(name, func(t *testing.T) {
			_, err := syntax.Parse("", tt.src)
			pe, ok := errors.AsType[*syntax.ParseError](err)
			if !ok {
				t.Fatalf("got %v, want a ParseError", err)
			}
			if tt.line == 0 {
				return
			}
			type result struct {
				ID         string
				Line, Col  int
				Incomplete bool
			}
			line, col := pe.Source.Position(pe.Extent.Start)
			if d := cmp.Diff(result{tt.id, tt.line, tt.col, tt.incomplete}, result{pe.ID, line, col, pe.Incomplete}); d != "" {
				t.Errorf("%s\n%s", d, pe.Text)
			}
		})
	}
}

func TestPositions(t *testing.T) {
	const src = "w a\n  $x = \"p $(Get-It -Name 'ü' | b)\"\r\ny"
	s := roundTrip(t, src)
	a := s.End.Stmts[1].(*syntax.Assign)
	if got := s.Source.Slice(a.Span()); got != "$x = \"p $(Get-It -Name 'ü' | b)\"" {
		t.Errorf("assignment: %q", got)
	}
	x := a.Value.(*syntax.Pipeline).Elements[0].(*syntax.CommandExpr).X.(*syntax.Expandable)
	cmd := x.Parts[1].(*syntax.Sub).Body.Stmts[0].(*syntax.Pipeline).Elements[1]
	if got := s.Source.Slice(cmd.Span()); got != "b" {
		t.Errorf("command inside a text: %q", got)
	}
	if line, col := s.Source.Position(cmd.Span().Start); line != 2 || col != 32 {
		t.Errorf("command inside a text at %d:%d", line, col)
	}
	if line, col := s.Source.Position(s.End.Stmts[2].Span().Start); line != 3 || col != 1 {
		t.Errorf("last statement at %d:%d", line, col)
	}
}

func TestNumbers(t *testing.T) {
	for src, want := range map[string]any{
		"1": int32(1), "2147483648": int64(2147483648), "-5": int32(-5), "0xFF": int32(255), "0xFFFFFFFF": int32(-1), "1kb": int32(1024),
		"512mb": int32(512 << 20), "4gb": int64(4 << 30), "1.5": 1.5, "1e3": 1000.0, ".5": 0.5, "10l": int64(10), "1.5kb": 1536.0,
	} {
		s := roundTrip(t, src)
		n, ok := s.End.Stmts[0].(*syntax.Pipeline).Elements[0].(*syntax.CommandExpr).X.(*syntax.Number)
		if !ok || n.Value != want {
			t.Errorf("%s: got %#v, want %#v", src, n, want)
		}
	}
	n := roundTrip(t, "1.10d").End.Stmts[0].(*syntax.Pipeline).Elements[0].(*syntax.CommandExpr).X.(*syntax.Number).Value.(*syntax.Decimal)
	if n.Scale != 2 || n.Unscaled.Int64() != 110 {
		t.Errorf("1.10d: %v / 10^%d", n.Unscaled, n.Scale)
	}
}

func TestDecode(t *testing.T) {
	for _, b := range []string{"a€", "\xEF\xBB\xBFa€", "\xFF\xFEa\x00\xAC\x20", "\xFE\xFF\x00a\x20\xAC"} {
		if got, err := syntax.Decode([]byte(b)); got != "a€" || err != nil {
			t.Errorf("%q: got %q, %v", b, got, err)
		}
	}
}

// seed is the folder of the article's lines.
func seed(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	dir = filepath.Join(dir, "../shared/seed")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the article's lines are not here")
	}
	return dir
}

func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text, err := syntax.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// placeholder puts a value where the article has <your …>.
func placeholder(s string) string {
	for {
		i := strings.IndexByte(s, '<')
		j := strings.IndexByte(s, '>')
		if i < 0 || j < i {
			return s
		}
		s = s[:i] + "contoso.com" + s[j+1:]
	}
}

func TestSeedParses(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(seed(t), "*.ps1"))
	if err != nil || len(files) == 0 {
		t.Fatal(err, len(files))
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) { roundTrip(t, placeholder(read(t, f))) })
	}
}

func TestRepairSeed(t *testing.T) {
	dir := seed(t)
	for name, rules := range map[string]string{"ExportAuthCert.ps1": "cbbbbd", "UploadAuthCert.ps1": "bfe", "RegisterEndpoints.ps1": "a"} {
		t.Run(name, func(t *testing.T) {
			fixed, changes, ok := syntax.Repair(read(t, filepath.Join(dir, "as-printed", name)))
			if !ok {
				t.Fatalf("not repaired: %v\n%s", changes, fixed)
			}
			got := ""
			for _, c := range changes {
				got += c.Rule
			}
			if got != rules {
				t.Errorf("rules: got %s, want %s: %v", got, rules, changes)
			}
			want, err := syntax.Parse("", read(t, filepath.Join(dir, name)))
			if err != nil {
				t.Fatal(err)
			}
			have, err := syntax.Parse("", fixed)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(syntax.Print(want), syntax.Print(have)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRepairLeavesGoodScripts(t *testing.T) {
	const src = "if ($a) { 1 } elseif($b) { 2 }\n[int]$x = 3"
	if fixed, changes, ok := syntax.Repair(src); fixed != src || changes != nil || !ok {
		t.Errorf("got %q, %v, %v", fixed, changes, ok)
	}
	if _, _, ok := syntax.Repair("if ("); ok {
		t.Error("a script without a known joint counts as repaired")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"1,2 + 3", "a|?{$_ -gt 1}", "\"x $(if (1) { `\"y`\" }) ${a b} $x.y\"", "@\"\n$a\n\"@", "function f { param([Parameter(Mandatory=$true)][string]$a = 'x') process { $_ } }",
		"switch -Regex ($x) { 'a' { break } default { 1 } }", "try { throw 'x' } catch [System.Exception], [int] { 1 } finally { 2 }", "$h = @{ a = 1; 'b c' = if (1) {2} }",
		"w -A:$x @h `-b a`$c \"q\"'r' $env:X\\y --% z", "[a.b[c,d]]::E($f, (1)).G[0]++", "for ($i = 0; $i -lt 3; $i++) { continue x }", "1 –eq “a” 2>&1 > f", "\"$( ')' <# ( #> )\"", "- -5..-3 -join ','", "0\"\"%", "0\"%$a\"", "0A @b:0", "0. 0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 1<<12 {
			return
		}
		if _, err := syntax.Parse("", src); err != nil {
			return
		}
		roundTrip(t, src)
	})
}

func FuzzRepair(f *testing.F) {
	f.Add("$a = (x).Yif((z) -eq 1){ b}c $d = 1")
	f.Add(".\n$a = New-Object B$a.C()")
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 1<<12 {
			return
		}
		fixed, changes, ok := syntax.Repair(src)
		if !ok {
			return
		}
		if _, err := syntax.Parse("", fixed); err != nil {
			t.Errorf("called repaired, but: %v (%v)", err, changes)
		}
	})
}
