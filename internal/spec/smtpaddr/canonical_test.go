package smtpaddr

import (
	"testing"

	"golang.org/x/net/idna"
)

// What is taken as it is, is what the whole way would make of it.
func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"contoso.com", "a.b-c.d", "xn--bcher-kva.example", "-a.com", "a-.com", "ab--cd.com", "a..b", ".", "A.com", "a_b.com", "1.2.3.4", "bücher.example", "a.com."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !canonical(s) {
			return
		}
		if d, err := idna.Lookup.ToASCII(s); err != nil || d != s {
			t.Errorf("%q is taken as it is; IDNA makes %q of it, %v", s, d, err)
		}
	})
}

func TestMostDomainsAreCanonical(t *testing.T) {
	for s, want := range map[string]bool{"contoso.com": true, "mail-1.contoso.com": true, "xn--bcher-kva.example": false, "Contoso.com": false, "contoso.com.": false, "-.com": false, "": false} {
		if got := canonical(s); got != want {
			t.Errorf("canonical(%q) = %v", s, got)
		}
	}
}
