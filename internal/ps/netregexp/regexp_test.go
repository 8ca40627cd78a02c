package netregexp_test

import (
	"errors"
	"strings"
	"testing"

	"busybridge/internal/ps/netregexp"

	"github.com/google/go-cmp/cmp"
)

func TestFind(t *testing.T) {
	for _, tc := range []struct {
		name, pattern, input string
		options              netregexp.Options
		want                 []string // groups; "-" took no part; nil: no match
	}{
		{"literal", "b", "abc", 0, []string{"b"}},
		{"no match", "x", "abc", 0, nil},
		{"case is ignored on request", "B[U]G", "a bug", netregexp.IgnoreCase, []string{"bug"}},
		{"negated class ignores case", "[^A]", "ab", netregexp.IgnoreCase, []string{"b"}},
		{"greedy and lazy", `<(.+?)>.*>`, "<a><b>", 0, []string{"<a><b>", "a"}},
		{"named groups come after unnamed ones", `(?<n>a)(b)`, "ab", 0, []string{"ab", "b", "a"}},
		{"dash beside a class", `^[\w-.]+$`, "a-b.c", 0, []string{"a-b.c"}},
		{"class subtraction", `[a-z-[aeiou]]+`, "aeixyz", 0, []string{"xyz"}},
		{"look ahead", `\d+(?=px)`, "3em 4px", 0, []string{"4"}},
		{"negative look ahead", `a(?!b)`, "abac", 0, []string{"a"}},
		{"look behind", `(?<=\$)\d+`, "3 $45", 0, []string{"45"}},
		{"negative look behind", `(?<!\$)\b\d+`, "$45 6", 0, []string{"6"}},
		{"back reference", `(\w)\1`, "hello", 0, []string{"ll", "l"}},
		{"named back reference", `(?<q>['"]).*?\k<q>`, `x "a'b" y`, 0, []string{`"a'b"`, `"`}},
		{"atomic group gives nothing back", `(?>a+)ab`, "aaab", 0, nil},
		{"counted", `^\d{2,3}$`, "1234", 0, nil},
		{"brace that is no count", `a{x}`, "a{x}", 0, []string{"a{x}"}},
		{"anchors by line", `(?m)^b$`, "a\nb\nc", 0, []string{"b"}},
		{"end before a last line feed", `b$`, "ab\n", 0, []string{"b"}},
		{"very end", `b\z`, "ab\n", 0, nil},
		{"dot takes no line feed", `a.c`, "a\nc", 0, nil},
		{"dot takes it in single-line mode", `(?s)a.c`, "a\nc", 0, []string{"a\nc"}},
		{"pattern white space", `(?x) a b # comment`, "ab", 0, []string{"ab"}},
		{"inline option for a group", `a(?i:b)c`, "aBc", 0, []string{"aBc"}},
		{"empty rounds end", `(a*)*b`, "b", 0, []string{"b", ""}},
		{"group without part", `(a)|b`, "b", 0, []string{"b", "-"}},
		{"condition on a group", `^(<)?a(?(1)>)$`, "<a>", 0, []string{"<a>", "<"}},
		{"condition fails", `^(<)?a(?(1)>)$`, "<a", 0, nil},
		{"escapes", `\x41\u0042\t\.`, "AB\t.", 0, []string{"AB\t."}},
		{"category", `^\p{Lu}\P{Lu}$`, "Ab", 0, []string{"Ab"}},
		{"explicit capture", `(a)(?<n>b)`, "ab", netregexp.ExplicitCapture, []string{"ab", "b"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			re, err := netregexp.Compile(tc.pattern, tc.options)
			if err != nil {
				t.Fatal(err)
			}
			m, err := re.Find([]rune(tc.input), 0)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			if m != nil {
				for g := range re.Groups() {
					s, ok := m.Group(g)
					if !ok {
						s = "-"
					}
					got = append(got, s)
				}
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestReplace(t *testing.T) {
	for _, tc := range []struct{ pattern, input, replacement, want string }{
		{`(.+)`, "5.72", `$ $1`, "$ 5.72"},
		{`(.+)`, "5.72", `$$$1`, "$5.72"},
		{`(.+)`, "5.72", `$$1`, "$1"},
		{`(?<a>\w+)\\(?<b>\w+)`, `dom\user`, `${b}@${a}`, "user@dom"},
		{`b`, "abc", "[$`|$&|$']", "a[a|b|c]c"},
		{`b`, "abc", `$9${no}`, "a$9${no}c"},
		{``, "ab", "-", "-a-b-"},
		{`(a)(b)?`, "a", "<$+>", "<>"},
	} {
		re, err := netregexp.Compile(tc.pattern, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := re.Replace(tc.input, tc.replacement); err != nil || got != tc.want {
			t.Errorf("Replace(%q, %q, %q) = %q, %v, want %q", tc.input, tc.pattern, tc.replacement, got, err, tc.want)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for pattern, want := range map[string]string{
		"(":         "Not enough )'s.",
		")":         "Too many )'s.",
		"[a":        "Unterminated [] set.",
		"[z-a]":     "reverse order",
		"*a":        "following nothing",
		`\q`:        `Unrecognized escape sequence \q.`,
		`(a)\2`:     "Reference to undefined group number 2.",
		`\k<x>`:     "Reference to undefined group name x.",
		"(?<a-b>x)": "Balancing groups are not supported.",
		"a{3,1}":    "Illegal {x,y} with x > y.",
		`\`:         `Illegal \ at end of pattern.`,
		strings.Repeat("(", 300) + strings.Repeat(")", 300): "Too deeply nested.",
	} {
		_, err := netregexp.Compile(pattern, 0)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Compile(%.20q) = %v, want %q", pattern, err, want)
		}
	}
}

func TestBudget(t *testing.T) {
	re, err := netregexp.Compile(`^(a+)+$`, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := re.MatchString(strings.Repeat("a", 40) + "b"); !errors.Is(err, netregexp.ErrBudget) {
		t.Errorf("MatchString = %v, want ErrBudget", err)
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{`^(?<a>[\w-.]+)\\(\d{2,}?)$`, `(?i:x)|[^a-z-[q]]*+`, `(?<=a)b(?!c)\1`, `(?(1)a|b)()`} {
		f.Add(s, "abc\\12")
	}
	f.Fuzz(func(t *testing.T, pattern, input string) {
		if len(input) > 12 || len(pattern) > 40 {
			return
		}
		re, err := netregexp.Compile(pattern, 0)
		if err != nil {
			return
		}
		parts, err := re.Split(input, 0)
		if err != nil {
			return
		}
		// Splitting without groups and putting the matches back gives the input.
		if re.Groups() > 1 {
			return
		}
		var seps []string
		if err := re.All([]rune(input), func(m *netregexp.Match) bool { s, _ := m.Group(0); seps = append(seps, s); return true }); err != nil {
			t.Fatal(err)
		}
		got := parts[0]
		for i, s := range seps {
			got += s + parts[i+1]
		}
		if want := string([]rune(input)); got != want {
			t.Errorf("split and join of %q by %q = %q", input, pattern, got)
		}
		// An escaped text matches itself.
		esc, err := netregexp.Compile("^"+netregexp.Escape(input)+`\z`, 0)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := esc.MatchString(input); !ok || err != nil {
			t.Errorf("Escape(%q) does not match itself: %v", input, err)
		}
	})
}
