package trust

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"unsafe"
)

// A fingerprint stands for a text in the caches of this process. It is the GMAC of
// the text (NIST SP 800-38D) under a key that nobody else has, with one nonce for
// all, for no fingerprint ever leaves the process: whoever chooses two different
// texts of 16 KiB makes them collide with a probability of 2^-117. It costs a
// third of SHA-256.
type fingerprint [16]byte

// fingerprints makes them. It is safe for concurrent use.
type fingerprints struct {
	aead    cipher.AEAD
	scratch sync.Pool // of *fingerprintScratch
}

type fingerprintScratch struct {
	nonce [12]byte
	out   fingerprint
	text  []byte
}

func newFingerprints() (*fingerprints, error) {
	var key [16]byte
	rand.Read(key[:])
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("key of fingerprints: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("key of fingerprints: %w", err)
	}
	return &fingerprints{aead: aead, scratch: sync.Pool{New: func() any { return new(fingerprintScratch) }}}, nil
}

// of is the fingerprint of one text.
func (f *fingerprints) of(text string) fingerprint {
	s := f.scratch.Get().(*fingerprintScratch)
	defer f.scratch.Put(s)
	return s.seal(f.aead, unsafe.Slice(unsafe.StringData(text), len(text)))
}

// ofAll is the fingerprint of a list of texts: of no other list, also when their
// ends are moved.
func (f *fingerprints) ofAll(texts ...string) fingerprint {
	s := f.scratch.Get().(*fingerprintScratch)
	defer f.scratch.Put(s)
	s.text = s.text[:0]
	for _, t := range texts {
		s.text = append(binary.AppendUvarint(s.text, uint64(len(t))), t...)
	}
	out := s.seal(f.aead, s.text)
	clear(s.text) // it was a secret
	return out
}

func (s *fingerprintScratch) seal(aead cipher.AEAD, text []byte) fingerprint {
	aead.Seal(s.out[:0], s.nonce[:], nil, text)
	return s.out
}
