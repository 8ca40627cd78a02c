package directory

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"busybridge/internal/spec/smtpaddr"
)

// An Account is somebody who can sign in. It belongs to an organization or to a
// realm.
type Account struct {
	Org          OrgID  // empty: it belongs to Realm
	Realm        string `json:",omitempty"` // GUID
	UserName     string // lower case, as typed at sign-in: user@domain
	PasswordHash string `json:"-"` // PHC string, argon2id
	Address      smtpaddr.Address
	Roles        []string
	Enabled      bool
	AppPasswords []AppPassword `json:",omitempty"`
	// Certificates are those that a client may sign in with: the SHA-256 of the
	// DER as 64 lower-case hex digits. No two accounts have the same.
	Certificates []string `json:",omitempty"`
}

// An AppPassword is a password that we made for one program of an account's
// owner. It opens what programs use, never what administrators use.
type AppPassword struct {
	ID          string // GUID
	Name        string // unique in the account without regard to case
	Hash        string `json:"-"` // see trust.NewAppPassword
	WhenCreated time.Time
	LastUsed    time.Time // to the hour; zero: never
}

// Limits of one account.
const (
	MaxAppPasswords        = 32
	MaxAccountCertificates = 16
)

// Roles of an account.
const (
	// RoleAdmin may run every administrative operation of its organization.
	RoleAdmin = "Organization Management"
	// RoleView may run the reading ones.
	RoleView = "View-Only Organization Management"
	// RoleImport may write into every mailbox's calendar.
	RoleImport = "Mailbox Import Export"
	// RoleImpersonation may act as any mailbox owner (EWS ExchangeImpersonation).
	RoleImpersonation = "ApplicationImpersonation"
)

// Owner is the id of the organization or realm that the account belongs to.
func (a *Account) Owner() string { return cmp.Or(string(a.Org), a.Realm) }

// HasRole reports whether the account has the role. No role implies another: an
// administrator who may impersonate has been given that role.
func (a *Account) HasRole(role string) bool { return slices.Contains(a.Roles, role) }

// ForPrograms is the account as a program has it that signs in with an app
// password or a certificate: without the roles of administrators.
func (a *Account) ForPrograms() *Account {
	c := *a
	c.Roles = slices.DeleteFunc(slices.Clone(a.Roles), func(r string) bool { return r == RoleAdmin || r == RoleView })
	return &c
}

// AppPassword finds the app password with the id or the name; -1: there is none.
func (a *Account) AppPassword(identity string) int {
	return slices.IndexFunc(a.AppPasswords, func(p AppPassword) bool {
		return strings.EqualFold(p.ID, identity) || FoldKey(p.Name) == FoldKey(identity)
	})
}

// Validate checks names, forms of hashes and roles.
func (a *Account) Validate() error {
	c := &checker{}
	c.of("account", a.UserName)
	roles, allowed := once{}, []string{RoleAdmin, RoleView}
	switch {
	case a.Org == "":
		c.guid("Realm", a.Realm)
		if !a.Address.IsZero() {
			c.bad("Address", a.Address.String(), "an account of a realm has no mailbox")
		}
		if len(a.AppPasswords)+len(a.Certificates) > 0 {
			c.bad("AppPasswords", "", "an account of a realm has neither app passwords nor certificates")
		}
	case a.Realm != "":
		c.bad("Realm", a.Realm, "the account belongs to an organization already")
	default:
		c.guid("Org", string(a.Org))
		allowed = append(allowed, RoleImport, RoleImpersonation)
	}
	if u, err := smtpaddr.Parse(a.UserName); err != nil || u.String() != a.UserName {
		c.bad("UserName", a.UserName, "is not of the form user@domain in lower case")
	}
	if !strings.HasPrefix(a.PasswordHash, "$argon2id$") {
		c.bad("PasswordHash", "(secret)", "is no argon2id hash")
	}
	for _, r := range a.Roles {
		c.oneOf("Roles", r, allowed...)
		roles.add(c, "Roles", r, r, "this account already")
	}
	a.checkAppPasswords(c)
	a.checkCertificates(c)
	return c.err()
}

func (a *Account) checkAppPasswords(c *checker) {
	if n := len(a.AppPasswords); n > MaxAppPasswords {
		c.bad("AppPasswords", fmt.Sprint(n), "want at most %d", MaxAppPasswords)
	}
	names, ids := once{}, once{}
	for i := range a.AppPasswords {
		p := &a.AppPasswords[i]
		c.text("AppPasswords.Name", p.Name, maxName)
		c.guid("AppPasswords.ID", p.ID)
		names.add(c, "AppPasswords.Name", p.Name, FoldKey(p.Name), "another app password of the account")
		ids.add(c, "AppPasswords.ID", p.ID, p.ID, "another app password of the account")
		if !strings.HasPrefix(p.Hash, "$sha256$") {
			c.bad("AppPasswords.Hash", "(secret)", "is no hash of an app password")
		}
	}
}

func (a *Account) checkCertificates(c *checker) {
	if n := len(a.Certificates); n > MaxAccountCertificates {
		c.bad("Certificates", fmt.Sprint(n), "want at most %d", MaxAccountCertificates)
	}
	seen := once{}
	for _, f := range a.Certificates {
		if b, err := hex.DecodeString(f); err != nil || len(b) != 32 || f != strings.ToLower(f) {
			c.bad("Certificates", f, "is no SHA-256 of a certificate: want 64 lower-case hex digits")
		}
		seen.add(c, "Certificates", f, f, "this account already")
	}
}
