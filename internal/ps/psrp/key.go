package psrp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"unicode/utf16"
)

// The heads of the two key blobs (MS-PSRP 2.2.2.3, 2.2.2.4): a public RSA key of 2048 bits, and a session key of AES-256
// that is encrypted with it.
var (
	publicHead  = []byte{0x06, 0x02, 0, 0, 0, 0xa4, 0, 0, 'R', 'S', 'A', '1', 0, 0x08, 0, 0}
	sessionHead = []byte{0x01, 0x02, 0, 0, 0x10, 0x66, 0, 0, 0, 0xa4, 0, 0}
)

const (
	rsaBytes     = 256
	sessionBytes = 32
)

// A sessionKey encrypts secure strings. Its fixed vector hides nothing from who can guess and does not prove who wrote:
// TLS around it must.
type sessionKey struct{ block cipher.Block }

func newSessionKey(key []byte) (*sessionKey, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return &sessionKey{block}, nil
}

// Seal implements clixml.Cipher.
func (k *sessionKey) Seal(text string) ([]byte, error) {
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	pad := aes.BlockSize - len(b)%aes.BlockSize
	b = append(b, bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(k.block, make([]byte, aes.BlockSize)).CryptBlocks(b, b)
	return b, nil
}

var errSealed = errors.New("the secure string is not encrypted with the session's key")

// Open implements clixml.Cipher.
func (k *sessionKey) Open(sealed []byte) (string, error) {
	if len(sealed) == 0 || len(sealed)%aes.BlockSize != 0 {
		return "", errSealed
	}
	b := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(k.block, make([]byte, aes.BlockSize)).CryptBlocks(b, sealed)
	pad := int(b[len(b)-1])
	if pad == 0 || pad > aes.BlockSize || (len(b)-pad)%2 != 0 || !bytes.Equal(b[len(b)-pad:], bytes.Repeat([]byte{byte(pad)}, pad)) {
		return "", errSealed
	}
	units := make([]uint16, (len(b)-pad)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units)), nil
}

// publicText is a public key as PUBLIC_KEY carries it.
func publicText(key *rsa.PublicKey) (string, error) {
	if key.Size() != rsaBytes {
		return "", fmt.Errorf("psrp: the key has %d bits, not %d", key.N.BitLen(), 8*rsaBytes)
	}
	b := binary.LittleEndian.AppendUint32(slices.Clone(publicHead), uint32(key.E))
	modulus := key.N.FillBytes(make([]byte, rsaBytes))
	slices.Reverse(modulus)
	return base64.StdEncoding.EncodeToString(append(b, modulus...)), nil
}

func parsePublic(text string) (*rsa.PublicKey, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(b, publicHead)
	if !ok || len(rest) != 4+rsaBytes {
		return nil, fmt.Errorf("it is not an RSA key of %d bits", 8*rsaBytes)
	}
	modulus := slices.Clone(rest[4:])
	slices.Reverse(modulus)
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(binary.LittleEndian.Uint32(rest))}
	if key.N.BitLen() != 8*rsaBytes || key.N.Bit(0) == 0 || key.E < 3 || key.E%2 == 0 || key.E > 1<<31-1 {
		return nil, errors.New("it is no RSA key")
	}
	return key, nil
}

// makeSession makes a session's key and its text for the owner of the public key.
func makeSession(public string) (*sessionKey, string, error) {
	key, err := parsePublic(public)
	if err != nil {
		return nil, "", err
	}
	session := make([]byte, sessionBytes)
	if _, err := rand.Read(session); err != nil {
		return nil, "", err
	}
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, key, session) //nolint:staticcheck // MS-PSRP 2.2.2.4 knows no other padding
	if err != nil {
		return nil, "", err
	}
	slices.Reverse(sealed)
	k, err := newSessionKey(session)
	return k, base64.StdEncoding.EncodeToString(append(slices.Clone(sessionHead), sealed...)), err
}

// openSession reads the session's key from the text that was made for the owner of key.
func openSession(key *rsa.PrivateKey, text string) (*sessionKey, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	sealed, ok := bytes.CutPrefix(b, sessionHead)
	if !ok || len(sealed) != rsaBytes {
		return nil, errors.New("it is no session key")
	}
	sealed = slices.Clone(sealed)
	slices.Reverse(sealed)
	session := make([]byte, sessionBytes)
	if _, err := rand.Read(session); err != nil { // stays when the padding is wrong: nobody learns that it was
		return nil, err
	}
	if err := rsa.DecryptPKCS1v15SessionKey(nil, key, sealed, session); err != nil { //nolint:staticcheck // as above
		return nil, err
	}
	return newSessionKey(session)
}
