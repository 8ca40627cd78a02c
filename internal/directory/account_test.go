package directory_test

import (
	"fmt"
	"strings"
	"testing"

	"busybridge/internal/directory"
)

func TestSignInRules(t *testing.T) {
	type a = directory.Account
	const of = `account "alice@contoso.com": `
	print := strings.Repeat("0a", 32)
	app := func(n byte, name string) directory.AppPassword {
		return directory.AppPassword{ID: guid(n), Name: name, Hash: "$sha256$eA"}
	}
	check(t, func() *a {
		return &a{Org: directory.OrgID(guid(0)), UserName: "alice@contoso.com", PasswordHash: "$argon2id$x", Certificates: []string{print},
			AppPasswords: []directory.AppPassword{app(1, "phone"), app(2, "script")}}
	}, (*a).Validate, []rule[a]{
		{"no name", func(v *a) { v.AppPasswords[0].Name = "" }, of + `AppPasswords.Name "": is empty`},
		{"same name", func(v *a) { v.AppPasswords[1].Name = "PHONE" }, of + `AppPasswords.Name "PHONE": is taken by another app password of the account`},
		{"same id", func(v *a) { v.AppPasswords[1].ID = guid(1) }, of + `AppPasswords.ID "` + guid(1) + `": is taken by another app password of the account`},
		{"no hash", func(v *a) { v.AppPasswords[0].Hash = "abcde-fghij" }, of + `AppPasswords.Hash "(secret)": is no hash of an app password`},
		{"too many", func(v *a) {
			for i := range directory.MaxAppPasswords - 1 {
				p := app(1, fmt.Sprint(i))
				p.ID = p.ID[:34] + fmt.Sprintf("%02x", i+0x80)
				v.AppPasswords = append(v.AppPasswords, p)
			}
		}, of + `AppPasswords "33": want at most 32`},
		{"upper case", func(v *a) { v.Certificates[0] = strings.ToUpper(print) }, of + `Certificates "` + strings.ToUpper(print) + `": is no SHA-256 of a certificate: want 64 lower-case hex digits`},
		{"SHA-1", func(v *a) { v.Certificates[0] = print[:40] }, of + `Certificates "` + print[:40] + `": is no SHA-256 of a certificate: want 64 lower-case hex digits`},
		{"same certificate", func(v *a) { v.Certificates = append(v.Certificates, print) }, of + `Certificates "` + print + `": is taken by this account already`},
		{"of a realm", func(v *a) { v.Org, v.Realm = "", guid(0) }, of + `AppPasswords "": an account of a realm has neither app passwords nor certificates`},
	})
}

func TestAppPasswordIsFound(t *testing.T) {
	a := &directory.Account{AppPasswords: []directory.AppPassword{{ID: guid(1), Name: "phone"}, {ID: guid(2), Name: "Script 1"}}}
	for identity, want := range map[string]int{"phone": 0, "PHONE": 0, guid(2): 1, strings.ToUpper(guid(2)): 1, "script 1": 1, "": -1, "x": -1} {
		if got := a.AppPassword(identity); got != want {
			t.Errorf("%q: %d, want %d", identity, got, want)
		}
	}
}
