package safehttp

import (
	"strings"
	"testing"
)

func FuzzHostPort(f *testing.F) {
	for _, s := range []string{"mail.contoso.com:443", "[::1]:8443", "[::ffff:127.0.0.1]:1", "127.0.0.11:8443", "MÜNCHEN.example:443", "a:0", ":1", "[fe80::1%eth0]:1", "a..b:1", "x:65536", "a.:1", "\x91:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := hostPort(s)
		if err != nil {
			return
		}
		again, err := hostPort(got)
		if err != nil || again != got {
			t.Errorf("hostPort(%q) = %q, but again %q, %v", s, got, again, err)
		}
		if strings.ContainsAny(got, " /@?#\r\n\x00") {
			t.Errorf("hostPort(%q) = %q", s, got)
		}
	})
}
