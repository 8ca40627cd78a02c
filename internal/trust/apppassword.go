package trust

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"busybridge/internal/directory"
)

// An app password is 25 letters and digits of RFC 4648's base32, 125 random
// bits, in groups of five. Nobody guesses one, so its hash needs no salt against
// tables and no cost against guessing: SHA-256 it is, bound to the account. A
// program that signs in with it costs a microsecond where a person's password
// costs tens of milliseconds and megabytes, and never waits behind guesses.
const (
	appPasswordLetters = 25
	appPasswordGroup   = 5
	appPasswordScheme  = "$sha256$"
)

// NewAppPassword makes an app password for the account and the hash to keep.
func NewAppPassword(userName string) (password, hash string) {
	letters := strings.ToLower(rand.Text()[:appPasswordLetters])
	var b strings.Builder
	for i := 0; i < len(letters); i += appPasswordGroup {
		if i > 0 {
			b.WriteByte('-')
		}
		b.WriteString(letters[i : i+appPasswordGroup])
	}
	return b.String(), hashAppPassword(userName, letters)
}

// FindAppPassword returns which of the account's app passwords it is, written
// with or without hyphens and spaces, in any letter case; nil: none.
func FindAppPassword(a *directory.Account, password string) *directory.AppPassword {
	letters, ok := appPassword(password)
	if !ok {
		return nil
	}
	hash := []byte(hashAppPassword(a.UserName, letters))
	for i := range a.AppPasswords {
		if subtle.ConstantTimeCompare(hash, []byte(a.AppPasswords[i].Hash)) == 1 {
			return &a.AppPasswords[i]
		}
	}
	return nil
}

// appPassword is the letters of what has the form of an app password.
func appPassword(s string) (string, bool) {
	if len(s) > 2*appPasswordLetters {
		return "", false
	}
	letters := make([]byte, 0, appPasswordLetters)
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z' || '2' <= c && c <= '7':
			letters = append(letters, c)
		case 'A' <= c && c <= 'Z':
			letters = append(letters, c+'a'-'A')
		case c != '-' && c != ' ':
			return "", false
		}
	}
	return string(letters), len(letters) == appPasswordLetters
}

func hashAppPassword(userName, letters string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "app password\x00%s\x00%s", userName, letters))
	return appPasswordScheme + base64.RawStdEncoding.EncodeToString(sum[:])
}
