package trust

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/sync/semaphore"
)

// ErrPasswordHash is wrapped when a password hash cannot be used.
var ErrPasswordHash = errors.New("not a usable password hash")

// passwordHash is an argon2id hash with its parameters (RFC 9106), as a PHC
// string: $argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>.
type passwordHash struct {
	memory     uint32 // KiB
	time       uint32
	threads    uint8
	salt, hash []byte
}

// The parameters of new hashes, and the bounds of those that are verified: a
// hostile hash must not cost gigabytes or minutes.
const (
	passwordMemory  = 19 * 1024
	passwordTime    = 2
	passwordThreads = 1
	passwordSalt    = 16
	passwordKey     = 32

	maxPasswordMemory  = 64 * 1024
	maxPasswordTime    = 10
	maxPasswordThreads = 4
	minPasswordBytes   = 8 // of salt and hash
	maxPasswordBytes   = 64
	maxPasswordText    = 256
	maxPassword        = 1024
)

// hashing bounds the memory of all hashes that are computed at once.
var hashing = semaphore.NewWeighted(2)

// HashPassword returns the PHC string of a new random salt and pw.
func HashPassword(pw string) (string, error) {
	if pw == "" || len(pw) > maxPassword {
		return "", fmt.Errorf("hash a password of %d bytes: want 1 to %d", len(pw), maxPassword)
	}
	h := passwordHash{memory: passwordMemory, time: passwordTime, threads: passwordThreads, salt: make([]byte, passwordSalt)}
	rand.Read(h.salt)
	var err error
	h.hash, err = h.derive(context.Background(), pw, passwordKey)
	return h.String(), err
}

// NoPassword returns a hash string of today's cost that no password is known
// for: verified for a user who is not there, it takes as long as for another.
func NoPassword() string {
	h := passwordHash{memory: passwordMemory, time: passwordTime, threads: passwordThreads, salt: make([]byte, passwordSalt), hash: make([]byte, passwordKey)}
	rand.Read(h.salt)
	rand.Read(h.hash)
	return h.String()
}

// VerifyPassword reports whether pw belongs to the PHC string, and whether it
// should be hashed anew because the parameters are no longer ours. It waits
// while two others are computed; ctx ends the waiting.
func VerifyPassword(ctx context.Context, hash, pw string) (ok, rehash bool, err error) {
	h, err := parsePasswordHash(hash)
	if err != nil {
		return false, false, err
	}
	if len(pw) > maxPassword {
		return false, false, nil
	}
	got, err := h.derive(ctx, pw, len(h.hash))
	if err != nil {
		return false, false, err
	}
	ok = subtle.ConstantTimeCompare(got, h.hash) == 1
	ours := h.memory == passwordMemory && h.time == passwordTime && h.threads == passwordThreads && len(h.salt) == passwordSalt && len(h.hash) == passwordKey
	return ok, ok && !ours, nil
}

func (h passwordHash) derive(ctx context.Context, pw string, size int) ([]byte, error) {
	if err := hashing.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("wait for a password check: %w", err)
	}
	defer hashing.Release(1)
	return argon2.IDKey([]byte(pw), h.salt, h.time, h.memory, h.threads, uint32(size)), nil
}

// String is the PHC form.
func (h passwordHash) String() string {
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads, enc.EncodeToString(h.salt), enc.EncodeToString(h.hash))
}

// parsePasswordHash accepts exactly what String writes, within the bounds. The
// text is never part of an error.
func parsePasswordHash(s string) (passwordHash, error) {
	bad := func(why string) (passwordHash, error) {
		return passwordHash{}, fmt.Errorf("%w: %s", ErrPasswordHash, why)
	}
	if len(s) > maxPasswordText {
		return bad("too long")
	}
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return bad("no argon2id string")
	}
	if parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return bad("unknown version")
	}
	var h passwordHash
	params := strings.Split(parts[3], ",")
	if len(params) != 3 {
		return bad("want the parameters m, t and p")
	}
	var n [3]uint32
	for i, p := range []struct {
		name     string
		min, max uint64
	}{{"m=", 8, maxPasswordMemory}, {"t=", 1, maxPasswordTime}, {"p=", 1, maxPasswordThreads}} {
		text, found := strings.CutPrefix(params[i], p.name)
		v, err := strconv.ParseUint(text, 10, 32)
		if !found || err != nil || v < p.min || v > p.max || strconv.FormatUint(v, 10) != text {
			return bad("the parameter " + p.name + " is out of bounds")
		}
		n[i] = uint32(v)
	}
	h.memory, h.time, h.threads = n[0], n[1], uint8(n[2])
	for i, b := range []*[]byte{&h.salt, &h.hash} {
		v, err := base64.RawStdEncoding.Strict().DecodeString(parts[4+i])
		if err != nil || strings.ContainsAny(parts[4+i], "\r\n") {
			return bad("salt or hash is no base64")
		}
		if len(v) < minPasswordBytes || len(v) > maxPasswordBytes {
			return bad("salt or hash is of an unusable length")
		}
		*b = v
	}
	return h, nil
}
