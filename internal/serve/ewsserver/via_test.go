package ewsserver

import (
	"strings"
	"testing"
)

func FuzzServersOf(f *testing.F) {
	for _, s := range []string{"", "1.1 LEGACY", "1.1 LEGACY, 1.1 MAIL (comment, with comma)", "HTTP/1.1 a.example:443,,1.1  ", "1.1 \x00", strings.Repeat("1.1 A,", 20)} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		names := serversOf([]string{a, b})
		if len(names) > maxVia {
			t.Errorf("%d names", len(names))
		}
		for _, n := range names {
			if n == "" || len(n) > maxViaName || strings.ContainsFunc(n, func(r rune) bool { return r < ' ' || r > '~' || r == ',' }) {
				t.Errorf("name %q", n)
			}
		}
		if len(names) == 0 || strings.ContainsAny(a+b, "()") { // within a comment anything goes
			return
		}
		// What is passed on reads back the same.
		again := serversOf([]string{"1.1 " + strings.Join(names, ", 1.1 ")})
		if strings.Join(again, "|") != strings.Join(names, "|") {
			t.Errorf("%q, and again %q", names, again)
		}
	})
}
