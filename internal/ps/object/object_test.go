package object_test

import (
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"busybridge/internal/ps/object"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func typ(t testing.TB, name string) *object.Type {
	t.Helper()
	ty, ok := object.FindType(name)
	if !ok {
		t.Fatalf("FindType(%q) found nothing", name)
	}
	return ty
}

func arr(v ...any) *object.Array { return object.NewArray(v...) }

func dec(t testing.TB, s string) object.Decimal {
	t.Helper()
	d, err := object.ParseDecimal(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// show is a value with its type, so that 1 and 1L differ.
func show(v any) string {
	if v == nil {
		return "null"
	}
	if items, ok := object.Items(v); ok {
		parts := make([]string, len(items))
		for i, x := range items {
			parts[i] = show(x)
		}
		return object.TypeOf(v).Title() + "(" + strings.Join(parts, ", ") + ")"
	}
	return object.TypeOf(v).Title() + " " + object.Display(v)
}

func TestConvert(t *testing.T) {
	h := object.NewHashtable()
	h.Set("b", int32(1))
	h.Set("a", int32(2))
	for _, tc := range []struct {
		name string
		in   any
		to   string
		want string // show, or ! and the error's message
	}{
		{"bool of null", nil, "bool", "Boolean False"},
		{"bool of the word False", "False", "bool", "Boolean True"},
		{"bool of empty list", arr(), "bool", "Boolean False"},
		{"bool of one zero", arr(int32(0)), "bool", "Boolean False"},
		{"bool of two zeros", arr(int32(0), int32(0)), "bool", "Boolean True"},
		{"bool of empty hashtable", object.NewHashtable(), "bool", "Boolean True"},
		{"bool of zero decimal", dec(t, "0.0"), "bool", "Boolean False"},
		{"string of null", nil, "string", "String "},
		{"string of double", 0.1 + 0.2, "string", "String 0.3"},
		{"string of large double", 1e15, "string", "String 1E+15"},
		{"string of double below the limit", 123456789012345.0, "string", "String 123456789012345"},
		{"string of small double", 0.00001, "string", "String 1E-05"},
		{"string of date", object.Date(2024, 3, 19, 17, 5, 6, 0), "string", "String 03/19/2024 17:05:06"},
		{"string of array", arr(int32(1), nil, "x"), "string", "String 1  x"},
		{"string of hashtable", h, "string", "String System.Collections.Hashtable"},
		{"string of bag", object.New().Add("N", int32(1)).Add("M", arr("a", "b")), "string", "String @{N=1; M=a b}"},
		{"int of null", nil, "int", "Int32 0"},
		{"int of empty string", "", "int", "Int32 0"},
		{"int rounds half to even down", 2.5, "int", "Int32 2"},
		{"int rounds half to even up", 3.5, "int", "Int32 4"},
		{"int of decimal", dec(t, "-2.5"), "int", "Int32 -2"},
		{"int of padded string", " 12 ", "int", "Int32 12"},
		{"int of real string", "1.6", "int", "Int32 2"},
		{"int of hex string", "0xF", "int", "Int32 15"},
		{"int of multiplier string", "2kb", "int", "Int32 2048"},
		{"int of thousands", "1,000", "int", "Int32 1000"},
		{"int of word", "abc", "int", `!Cannot convert value "abc" to type "System.Int32". Error: "Input string was not in a correct format."`},
		{"int overflow", int64(math.MaxInt32) + 1, "int", `!Cannot convert value "2147483648" to type "System.Int32". Error: "Value was either too large or too small for an Int32."`},
		{"byte overflow", int32(256), "byte", `!Cannot convert value "256" to type "System.Byte". Error: "Value was either too large or too small for an unsigned byte."`},
		{"int of array", arr(int32(1), int32(2)), "int", `!Cannot convert the "System.Object[]" value of type "System.Object[]" to type "System.Int32".`},
		{"int of char", object.Char('A'), "int", "Int32 65"},
		{"long of bool", true, "long", "Int64 1"},
		{"double of string", "1.5", "double", "Double 1.5"},
		{"decimal keeps zeros", "1.10", "decimal", "Decimal 1.10"},
		{"char of int", int32(66), "char", "Char B"},
		{"char of long string", "ab", "char", `!Cannot convert value "ab" to type "System.Char". Error: "String must be exactly one character long."`},
		{"date month first", "03/04/2024", "datetime", "DateTime 3/4/2024 12:00:00 AM"},
		{"date ISO with time", "2024-03-19T17:54:07", "datetime", "DateTime 3/19/2024 5:54:07 PM"},
		{"date with zone", "2024-03-19T17:54:07+02:00", "datetime", "DateTime 3/19/2024 3:54:07 PM"},
		{"date culture form", "11/19/2024 5:54:07 PM", "datetime", "DateTime 11/19/2024 5:54:07 PM"},
		{"date word", "soon", "datetime", `!Cannot convert value "soon" to type "System.DateTime". Error: "The string was not recognized as a valid DateTime. There is an unknown word starting at index 0."`},
		{"date of null", nil, "datetime", `!Cannot convert null to type "System.DateTime".`},
		{"timespan", "1.02:03:04", "timespan", "TimeSpan 1.02:03:04"},
		{"timespan of ticks", int32(10000000), "timespan", "TimeSpan 00:00:01"},
		{"timespan bad", "25:00:00", "timespan", `!Cannot convert value "25:00:00" to type "System.TimeSpan". Error: "String was not recognized as a valid TimeSpan."`},
		{"guid in braces", "{00000002-0000-0FF1-CE00-000000000000}", "guid", "Guid 00000002-0000-0ff1-ce00-000000000000"},
		{"guid bad", "x", "guid", `!Cannot convert value "x" to type "System.Guid". Error: "Guid should contain 32 digits with 4 dashes (xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx)."`},
		{"uri", "HTTPS://Mail.Contoso.com:443/EWS/Exchange.asmx", "uri", "Uri https://mail.contoso.com/EWS/Exchange.asmx"},
		{"version", "15.0.847.32", "version", "Version 15.0.847.32"},
		{"enum any case", "asymmetric", "System.ConsoleColor", `!Cannot convert value "asymmetric" to type "System.ConsoleColor" due to enumeration values that are not valid. Specify one of the following enumeration values and try again. The possible enumeration values are "Black,DarkBlue,DarkGreen,DarkCyan,DarkRed,DarkMagenta,DarkYellow,Gray,DarkGray,Blue,Green,Cyan,Red,Magenta,Yellow,White".`},
		{"enum name", "darkRED", "ConsoleColor", "ConsoleColor DarkRed"},
		{"enum prefix", "Cy", "ConsoleColor", "ConsoleColor Cyan"},
		{"enum number", int32(2), "System.Management.Automation.ActionPreference", "ActionPreference Continue"},
		{"enum flags", "IgnoreCase, Multiline", "System.Text.RegularExpressions.RegexOptions", "RegexOptions IgnoreCase, Multiline"},
		{"array of scalar", "a", "string[]", "String[](String a)"},
		{"array of array", arr("1", int32(2)), "int[]", "Int32[](Int32 1, Int32 2)"},
		{"array of null", nil, "int[]", "null"},
		{"chars", "ab", "char[]", "Char[](Char a, Char b)"},
		{"list", arr("1"), "System.Collections.Generic.List[int]", "List`1(Int32 1)"},
		{"type of name", "int", "type", "RuntimeType System.Int32"},
		{"int of bag", object.New(), "int", `!Cannot convert the "@{}" value of type "System.Management.Automation.PSCustomObject" to type "System.Int32".`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := object.Convert(tc.in, typ(t, tc.to))
			s := show(got)
			if err != nil {
				s = "!" + err.Error()
			}
			if d := cmp.Diff(tc.want, s); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestConvertArgument(t *testing.T) {
	_, err := object.ConvertArgument("yes", object.TBool)
	want := `Cannot convert value "System.String" to type "System.Boolean". Boolean parameters accept only Boolean values and numbers, such as $True, $False, 1 or 0.`
	if err == nil || err.Error() != want {
		t.Errorf("ConvertArgument = %v, want %s", err, want)
	}
	if v, err := object.ConvertArgument(int32(1), object.TBool); err != nil || v != true {
		t.Errorf("ConvertArgument(1) = %v, %v", v, err)
	}
}

func TestConversionErrorsCarryClassAndID(t *testing.T) {
	_, err := object.Convert("abc", object.TInt)
	r := object.AsRecord(err)
	got := []any{r.ID, r.Category.String(), r.Exception.Type().Name, r.Exception.Matches(object.TPSInvalidCast), r.Exception.Matches(object.TFormatException)}
	want := []any{"InvalidCastFromStringToInteger", "InvalidArgument", "System.Management.Automation.RuntimeException", true, true}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestArithmetic(t *testing.T) {
	day := object.Date(2024, 3, 19, 0, 0, 0, 0)
	h := object.NewHashtable()
	h.Set("a", int32(1))
	for _, tc := range []struct {
		name string
		op   func(a, b any) (any, error)
		a, b any
		want string
	}{
		{"ints", object.Add, int32(2), int32(3), "Int32 5"},
		{"overflow becomes double", object.Add, int32(math.MaxInt32), int32(1), "Double 2147483648"},
		{"long stays long", object.Add, int64(math.MaxInt32), int32(1), "Int64 2147483648"},
		{"large product", object.Mul, int32(1 << 29), int32(1 << 29), "Double 2.88230376151712E+17"},
		{"exact quotient", object.Div, int32(10), int32(5), "Int32 2"},
		{"real quotient", object.Div, int32(10), int32(4), "Double 2.5"},
		{"division by zero", object.Div, int32(1), int32(0), "!Attempted to divide by zero."},
		{"double by zero", object.Div, 1.0, int32(0), "Double Infinity"},
		{"remainder sign", object.Mod, int32(-7), int32(3), "Int32 -1"},
		{"decimal wins", object.Add, dec(t, "1.10"), int32(1), "Decimal 2.10"},
		{"decimal quotient", object.Div, dec(t, "1"), int32(8), "Decimal 0.125"},
		{"number plus text", object.Add, int32(6), "3", "Int32 9"},
		{"number plus real text", object.Add, int32(6), "1.5", "Double 7.5"},
		{"number plus word", object.Add, int32(6), "x", `!Cannot convert value "x" to type "System.Int32". Error: "Input string was not in a correct format."`},
		{"text plus number", object.Add, "file", int32(16), "String file16"},
		{"text minus number", object.Sub, "8", int32(3), "Int32 5"},
		{"text times", object.Mul, "ab", int32(3), "String ababab"},
		{"array plus scalar", object.Add, arr(int32(1)), int32(2), "Object[](Int32 1, Int32 2)"},
		{"array plus array", object.Add, arr(int32(1)), arr(int32(2), nil), "Object[](Int32 1, Int32 2, null)"},
		{"array times", object.Mul, arr("!"), int32(2), "Object[](String !, String !)"},
		{"number plus array", object.Add, int32(1), arr(int32(2)), "!Method invocation failed because [System.Object[]] does not contain a method named 'op_Addition'."},
		{"null plus", object.Add, nil, int32(2), "Int32 2"},
		{"null minus", object.Sub, nil, int32(2), "Int32 -2"},
		{"bool plus", object.Add, true, int32(2), "Int32 3"},
		{"hash plus number", object.Add, h, int32(1), "!A hash table can only be added to another hash table."},
		{"hash plus same key", object.Add, h, h, "!Item has already been added. Key in dictionary: 'a'  Key being added: 'a'"},
		{"date minus date", object.Sub, object.Date(2024, 3, 20, 1, 0, 0, 0), day, "TimeSpan 1.01:00:00"},
		{"date plus span", object.Add, day, 36 * time.Hour, "DateTime 3/20/2024 12:00:00 PM"},
		{"bag plus", object.Add, object.New(), int32(1), "!Method invocation failed because [System.Management.Automation.PSCustomObject] does not contain a method named 'op_Addition'."},
		{"huge text", object.Mul, "aaaa", int32(math.MaxInt32), "!The string is too large."},
		{"negative repeat", object.Mul, "a", int32(-1), "!Specified argument was out of the range of valid values.\r\nParameter name: times"},
		{"char plus text", object.Add, object.Char('a'), "b", "String ab"},
		{"char plus int", object.Add, object.Char('a'), int32(1), "Int32 98"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.op(tc.a, tc.b)
			s := show(got)
			if err != nil {
				s = "!" + err.Error()
			}
			if d := cmp.Diff(tc.want, s); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestBitwise(t *testing.T) {
	for _, tc := range []struct {
		op   string
		a, b any
		want string
	}{
		{"band", int32(5), int32(3), "Int32 1"},
		{"bor", int32(5), int32(3), "Int32 7"},
		{"bxor", int32(5), int32(3), "Int32 6"},
		{"shl", int32(102), int32(2), "Int32 408"},
		{"shr", int32(-8), int32(1), "Int32 -4"},
		{"shl", int32(1), int32(33), "Int32 2"},
		{"shl", int64(1), int32(33), "Int64 8589934592"},
		{"band", "7", 2.6, "Int32 3"},
		{"bor", object.EnumOf(object.TRegexOptions, "IgnoreCase"), "Multiline", "RegexOptions IgnoreCase, Multiline"},
	} {
		got, err := object.Bitwise(tc.op, tc.a, tc.b)
		if err != nil || show(got) != tc.want {
			t.Errorf("%v -%s %v = %s, %v, want %s", tc.a, tc.op, tc.b, show(got), err, tc.want)
		}
	}
	if got, err := object.BitNot(int32(10)); err != nil || got != int32(-11) {
		t.Errorf("BitNot(10) = %v, %v", got, err)
	}
}

func TestComparison(t *testing.T) {
	v1, v2 := object.Version{Major: 15, Build: 1076, Revision: 9}, object.Version{Major: 15, Build: 847, Revision: 32}
	for _, tc := range []struct {
		name  string
		op    string
		exact bool
		a, b  any
		want  string
	}{
		{"number and text", "eq", false, int32(1), "1.0", "Boolean True"},
		{"text and number", "eq", false, "1.0", int32(1), "Boolean False"},
		{"false and empty", "eq", false, false, "", "Boolean True"},
		{"null and empty", "eq", false, nil, "", "Boolean False"},
		{"case ignored", "eq", false, "abc", "ABC", "Boolean True"},
		{"case kept", "eq", true, "abc", "ABC", "Boolean False"},
		{"int and double", "eq", false, int32(1), 1.0, "Boolean True"},
		{"guid and text", "eq", false, uuid.MustParse("00000002-0000-0ff1-ce00-000000000000"), "00000002-0000-0FF1-CE00-000000000000", "Boolean True"},
		{"enum and text", "eq", false, object.EnumOf(object.TDayOfWeek, "Monday"), "monday", "Boolean True"},
		{"text and enum", "eq", false, "MONDAY", object.EnumOf(object.TDayOfWeek, "Monday"), "Boolean True"},
		{"date and text", "eq", false, object.Date(2024, 3, 19, 0, 0, 0, 0), "3/19/2024", "Boolean True"},
		{"type and type", "eq", false, object.TInt, typ(t, "System.Int32"), "Boolean True"},
		{"filter", "eq", false, arr("zzz", "def", "ZZZ"), "zzz", "Object[](String zzz, String ZZZ)"},
		{"filter nothing", "eq", false, arr(int32(1)), int32(3), "Object[]()"},
		{"array on the right", "eq", false, "abc", arr("abc", "def"), "Boolean False"},
		{"strip nulls", "ne", false, arr(int32(1), nil, int32(2)), nil, "Object[](Int32 1, Int32 2)"},
		{"text order of numbers", "gt", false, "10", int32(9), "Boolean False"},
		{"number order of text", "gt", false, int32(10), "9", "Boolean True"},
		{"lower case sorts first", "lt", true, "macOS", "MacOS", "Boolean True"},
		{"but not without case", "lt", false, "macOS", "MacOS", "Boolean False"},
		{"letters after digits", "lt", false, "9", "a", "Boolean True"},
		{"underscore before digits", "lt", false, "_", "1", "Boolean True"},
		{"hyphen counts last", "lt", false, "co-op", "coot", "Boolean True"},
		{"accent counts less than letter", "lt", false, "é", "f", "Boolean True"},
		{"versions", "ge", false, v1, v2, "Boolean True"},
		{"version and text", "lt", false, v2, "15.0.1076.9", "Boolean True"},
		{"null before", "lt", false, nil, "a", "Boolean True"},
		{"not comparable", "gt", false, object.NewHashtable(), int32(1), `!Cannot compare "System.Collections.Hashtable" to "1" because the objects are not the same type or the object "System.Collections.Hashtable" does not implement "IComparable".`},
		{"order with a word", "gt", false, int32(1), "x", `!Could not compare "1" to "x". Error: "Cannot convert value "x" to type "System.Int32". Error: "Input string was not in a correct format.""`},
		{"like", "like", false, "PowerShell", "Power[p-w]*", "Boolean True"},
		{"like is whole", "like", false, "PowerShell", "shell", "Boolean False"},
		{"notlike", "notlike", false, "PowerShell", "*shell", "Boolean False"},
		{"match ignores case", "match", false, "Bag", "b[a]g", "Boolean True"},
		{"match case", "match", true, "Bag", "b[a]g", "Boolean False"},
		{"match filters", "match", false, arr("Bag", "Big"), "b[i]g", "Object[](String Big)"},
		{"bad pattern", "match", false, "a", "(", `!The regular expression pattern ( is not valid.`},
		{"contains", "contains", false, arr("abc", "def"), "DEF", "Boolean True"},
		{"contains no part", "contains", false, arr("PowerShell"), "Shell", "Boolean False"},
		{"in", "in", false, "def", arr("abc", "def"), "Boolean True"},
		{"notin", "notin", false, "def", arr("abc", "def"), "Boolean False"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, _, err := object.Comparison{Name: tc.op, CaseSensitive: tc.exact}.Apply(tc.a, tc.b)
			s := show(got)
			if err != nil {
				s = "!" + err.Error()
			}
			if d := cmp.Diff(tc.want, s); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestMatchesTable(t *testing.T) {
	_, m, err := object.Comparison{Name: "match"}.Apply(`on CONTOSO\jsmith`, `(on) (?<domain>.+)\\(?<user>.+)`)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for k, v := range m.GroupsTable().All() {
		got[show(k)] = show(v)
	}
	want := map[string]string{
		"Int32 0": `String on CONTOSO\jsmith`, "Int32 1": "String on", "String domain": "String CONTOSO", "String user": "String jsmith",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestWildcard(t *testing.T) {
	for _, tc := range []struct {
		pattern, text string
		want          bool
	}{
		{"*shell", "PowerShell", true}, {"Power?hell", "PowerShell", true}, {"f`?`?", "f??", true}, {"f`?`?", "for", false},
		{"[abc]*", "Bob", true}, {"[!a]x", "!x", true}, {"a*b*c", "aXbYbZc", true}, {"a*b*c", "aXc", false}, {"", "", true}, {"*", "", true},
		{"[]]", "]", true}, {"a`*b", "a*b", true},
	} {
		if got := object.Like(tc.text, tc.pattern); got != tc.want {
			t.Errorf("Like(%q, %q) = %v", tc.text, tc.pattern, got)
		}
	}
	if _, err := object.CompileWildcard("[a", false); err == nil {
		t.Error("CompileWildcard accepts a bracket without end")
	}
}

func TestFormat(t *testing.T) {
	id := uuid.MustParse("00000002-0000-0ff1-ce00-000000000000")
	day := object.Date(2024, 3, 9, 17, 4, 5, 67_000_000)
	for _, tc := range []struct {
		format string
		args   []any
		want   string
	}{
		{"{0} {1,-10} {2:N}", []any{int32(1), "hello", math.Pi}, "1 hello      3.14"},
		{"{0:00} {1:000} {2:000000}", []any{int32(7), int32(24), int32(365)}, "07 024 000365"},
		{"{0} vs. {{0}}", []any{"foo"}, "foo vs. {0}"},
		{"{0:X4} {0:x} {0:X}", []any{int32(255)}, "00FF ff FF"},
		{"{0:X}", []any{int32(-1)}, "FFFFFFFF"},
		{"{0:N2} {0:F1} {0:C} {0:P0} {0:E2}", []any{1234.5}, "1,234.50 1234.5 $1,234.50 123,450 % 1.23E+003"},
		{"{0:N2}", []any{2.345}, "2.35"},
		{"{0:n0}", []any{int64(-1234567)}, "-1,234,567"},
		{"{0:C}", []any{int32(-5)}, "($5.00)"},
		{"{0:D5} {1:D3}", []any{int32(42), int32(-7)}, "00042 -007"},
		{"{0:#,##0.00} {0:0.###} {0:#} {0:0%}", []any{1234.5}, "1,234.50 1234.5 1235 123450%"},
		{"{0:#,##0.##;(#,##0.##);zero}", []any{int32(-1234)}, "(1,234)"},
		{"{0:#;-#;zero}", []any{int32(0)}, "zero"},
		{"{0:000-0000}", []any{int32(5551234)}, "555-1234"},
		{"{0:0,}k", []any{int32(12345)}, "12k"},
		{"{0:0.0 'units'}", []any{2.25}, "2.3 units"},
		{"{0:0.0E+0}", []any{12345.0}, "1.2E+4"},
		{"{0:0.00}", []any{dec(t, "1.005")}, "1.01"},
		{"{0,8:F2}|", []any{3.14159}, "    3.14|"},
		{"{0:yyyy-MM-dd HH:mm:ss.fff}", []any{day}, "2024-03-09 17:04:05.067"},
		{"{0:d} {0:t} {0:G}", []any{day}, "3/9/2024 5:04 PM 3/9/2024 5:04:05 PM"},
		{"{0:F}", []any{day}, "Saturday, March 9, 2024 5:04:05 PM"},
		{"{0:s} {0:o}", []any{day}, "2024-03-09T17:04:05 2024-03-09T17:04:05.0670000"},
		{"{0:u}", []any{day.UTC()}, "2024-03-09 17:04:05Z"},
		{"{0:o}", []any{time.Date(2024, 3, 9, 1, 2, 3, 0, time.UTC)}, "2024-03-09T01:02:03.0000000Z"},
		{"{0:ddd MMM d h tt 'at' \\y}", []any{day}, "Sat Mar 9 5 PM at y"},
		{`{0:hh\:mm} {0:c} {0:g}`, []any{26*time.Hour + 3*time.Minute}, "02:03 1.02:03:00 1:2:03:00"},
		{"{0:N} {0:B}", []any{id}, "00000002" + "00000ff1ce00000000000000 {00000002-0000-0ff1-ce00-000000000000}"},
		{"{0:d}", []any{object.EnumOf(object.TDayOfWeek, "Friday")}, "5"},
		{"{0}{1}{2}", []any{nil, true, "x"}, "Truex"},
		{"{1} {0}", []any{"a"}, "!Error formatting a string: Index (zero based) must be greater than or equal to zero and less than the size of the argument list.."},
		{"{0", []any{"a"}, "!Error formatting a string: Input string was not in a correct format.."},
		{"}", nil, "!Error formatting a string: Input string was not in a correct format.."},
		{"{0:D}", []any{1.5}, "!Error formatting a string: Format specifier was invalid.."},
	} {
		got, err := object.Format(tc.format, tc.args...)
		if err != nil {
			got = "!" + err.Error()
		}
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("%q: %s", tc.format, d)
		}
	}
}

func TestParseNumber(t *testing.T) {
	for in, want := range map[string]string{
		"1": "Int32 1", "2147483648": "Int64 2147483648", "9223372036854775808": "Decimal 9223372036854775808", "1e3": "Double 1000", "1.5": "Double 1.5",
		"0xFF": "Int32 255", "0xFFFFFFFF": "Int32 -1", "0x80000000": "Int32 -2147483648", "0x1FFFFFFFF": "Int64 8589934591", "1kb": "Int32 1024",
		"512MB": "Int32 536870912", "2gb": "Int64 2147483648", "1.5kb": "Double 1536", "1.10d": "Decimal 1.10", "5l": "Int64 5", ".5": "Double 0.5", "-3": "Int32 -3",
		"1.": "Double 1", "10d": "Decimal 10", "1kbx": "null", "": "null", "0x": "null", "1e": "null", "--1": "null", "1e400": "null",
	} {
		v, ok := object.ParseNumber(in)
		if !ok {
			v = nil
		}
		if got := show(v); got != want {
			t.Errorf("ParseNumber(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestFindType(t *testing.T) {
	for name, want := range map[string]string{
		"int": "System.Int32", "INT32": "System.Int32", "system.int32": "System.Int32", "string[]": "System.String[]", "int[][]": "System.Int32[][]",
		"Collections.Generic.List[string]": "System.Collections.Generic.List`1[[System.String]]", "System.Collections.Generic.List[ [int] ]": "System.Collections.Generic.List`1[[System.Int32]]",
		"System.Collections.Generic.Dictionary[string,int]":             "System.Collections.Generic.Dictionary`2[[System.String],[System.Int32]]",
		"System.Security.Cryptography.X509Certificates.X509ContentType": "System.Security.Cryptography.X509Certificates.X509ContentType",
		"No.Such": "", "": "", "[]": "", "List[": "", strings.Repeat("[", 100) + strings.Repeat("]", 100): "",
	} {
		got := ""
		if ty, ok := object.FindType(name); ok {
			got = ty.Name
		}
		if got != want {
			t.Errorf("FindType(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestUnknownURIForms(t *testing.T) {
	u, err := object.ParseURI("https://mail.contoso.com")
	if err != nil {
		t.Fatal(err)
	}
	want := &url.URL{Scheme: "https", Host: "mail.contoso.com", Path: "/"}
	if d := cmp.Diff(want, u); d != "" {
		t.Error(d)
	}
}

func FuzzParseNumber(f *testing.F) {
	for _, s := range []string{"1", "0xFF", "1.5e3kb", "-12d", "99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, ok := object.ParseNumber(s)
		if !ok {
			return
		}
		if !object.IsNumber(v) {
			t.Fatalf("ParseNumber(%q) = %T", s, v)
		}
		if f, isFloat := v.(float64); isFloat && (math.IsInf(f, 0) || f != f) {
			return
		}
		// Its text reads back as an equal number; doubles show 15 digits only.
		back, err := object.Convert(object.String(v), object.TypeOf(v))
		if err != nil {
			t.Fatalf("%q → %s: %v", s, object.String(v), err)
		}
		if _, isFloat := v.(float64); !isFloat && !object.Equal(v, back, true) {
			t.Errorf("%q → %s → %s", s, show(v), show(back))
		}
	})
}

func FuzzFormat(f *testing.F) {
	for _, s := range []string{"{0:N2} {1,-5}|", "{{0}}", "{0:#,##0.00;(0)}", "{0:yyyy'x'}", "{0:0.0E+00}"} {
		f.Add(s, 1.5, int32(7))
	}
	f.Fuzz(func(t *testing.T, format string, x float64, n int32) {
		if strings.ContainsAny(format, "0123456789") && len(format) > 60 {
			return
		}
		for _, v := range []any{x, n, object.Date(2024, 1, 2, 3, 4, 5, 6), time.Duration(n)} {
			_, _ = object.Format(format, v, "b")
		}
		// A text without braces stands for itself.
		if !strings.ContainsAny(format, "{}") {
			if got, err := object.Format(format); err != nil || got != format {
				t.Errorf("Format(%q) = %q, %v", format, got, err)
			}
		}
	})
}

func FuzzParseDate(f *testing.F) {
	for _, s := range []string{"3/19/2024", "2024-03-19T17:54:07Z", "Tuesday, May 31, 2005 12:00:00 AM", "1 January 2001 5 PM"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := object.ParseDate(s)
		if err != nil || d.Year() < 1 || d.Year() > 9999 {
			return
		}
		back, err := object.ParseDate(object.String(d))
		if err != nil || !back.Equal(d.Truncate(time.Second)) && d.Location() != time.UTC {
			t.Errorf("%q → %s → %s, %v", s, object.String(d), back, err)
		}
	})
}
