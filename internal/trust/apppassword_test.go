package trust_test

import (
	"regexp"
	"strings"
	"testing"

	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

func TestAppPassword(t *testing.T) {
	const alice = "alice@contoso.com"
	phone, phoneHash := trust.NewAppPassword(alice)
	script, scriptHash := trust.NewAppPassword(alice)
	if !regexp.MustCompile(`^([a-z2-7]{5}-){4}[a-z2-7]{5}$`).MatchString(phone) || phone == script {
		t.Fatalf("%q, %q", phone, script)
	}
	if strings.Contains(phoneHash, strings.ReplaceAll(phone, "-", "")) || !strings.HasPrefix(phoneHash, "$sha256$") {
		t.Errorf("hash %q", phoneHash)
	}
	a := &directory.Account{UserName: alice, AppPasswords: []directory.AppPassword{{Name: "phone", Hash: phoneHash}, {Name: "script", Hash: scriptHash}}}
	bob := a.Clone()
	bob.UserName = "bob@contoso.com"
	last := map[bool]string{true: "b", false: "a"}[phone[len(phone)-1] == 'a']
	for _, tt := range []struct {
		name, password string
		account        *directory.Account
		want           string // name; "": none
	}{
		{"as it was shown", phone, a, "phone"},
		{"the other", script, a, "script"},
		{"as people type it", strings.ToUpper(strings.ReplaceAll(phone, "-", "  ")), a, "phone"},
		{"without hyphens", strings.ReplaceAll(phone, "-", ""), a, "phone"},
		{"one letter wrong", phone[:len(phone)-1] + last, a, ""},
		{"too short", phone[1:], a, ""},
		{"too long", phone + "a", a, ""},
		{"other characters", strings.Replace(phone, "-", "_", 1), a, ""},
		{"endless", phone + strings.Repeat("-", 1000), a, ""},
		{"empty", "", a, ""},
		{"the hash is no password", phoneHash, a, ""},
		{"of another account", phone, bob, ""},
		{"an account without any", phone, &directory.Account{UserName: alice}, ""},
		{"an empty hash is nobody's", phone, &directory.Account{UserName: alice, AppPasswords: make([]directory.AppPassword, 1)}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if p := trust.FindAppPassword(tt.account, tt.password); p != nil {
				got = p.Name
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzFindAppPassword(f *testing.F) {
	const alice = "alice@contoso.com"
	password, hash := trust.NewAppPassword(alice)
	a := &directory.Account{UserName: alice, AppPasswords: []directory.AppPassword{{Hash: hash}}}
	letters := strings.NewReplacer("-", "", " ", "")
	for _, s := range []string{password, strings.ToUpper(password), "", "-----", strings.Repeat("a", 25), "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		same := strings.EqualFold(letters.Replace(s), letters.Replace(password))
		if (trust.FindAppPassword(a, s) != nil) && !same {
			t.Errorf("%q is taken for %q", s, password)
		}
	})
}

func BenchmarkFindAppPassword(b *testing.B) {
	password, hash := trust.NewAppPassword("alice@contoso.com")
	a := &directory.Account{UserName: "alice@contoso.com", AppPasswords: []directory.AppPassword{{Hash: hash}}}
	for b.Loop() {
		if trust.FindAppPassword(a, password) == nil {
			b.Fatal("not found")
		}
	}
}
