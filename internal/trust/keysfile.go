package trust

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // older files; the hash is of no weight in PBKDF2
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"

	"software.sslmate.com/src/go-pkcs12"

	"busybridge/internal/directory"
	"busybridge/internal/spec/jose"
)

// ErrKeyFile: a file holds no certificate that can be used. What it wraps never
// quotes the file.
var ErrKeyFile = errors.New("file of a certificate cannot be used")

// Limits of a key file.
const (
	maxKeyFile        = 256 << 10
	maxKeyFileBlocks  = 16
	maxPBKDF2Rounds   = 2_000_000
	writePBKDF2Rounds = 600_000
)

// ReadKeyFile reads a certificate, and its private key when there is one: PEM with
// CERTIFICATE and PRIVATE KEY, ENCRYPTED PRIVATE KEY (PKCS#8, PBES2 with AES) or
// RSA or EC PRIVATE KEY; PKCS#12 (.pfx), with the encryption of Windows' default or
// AES; or DER. The certificate is the one of the key, else the only one.
func ReadKeyFile(data []byte, password string) (directory.Certificate, error) {
	fail := func(format string, args ...any) (directory.Certificate, error) {
		return directory.Certificate{}, fmt.Errorf("%w: %w", ErrKeyFile, fmt.Errorf(format, args...))
	}
	if len(data) > maxKeyFile {
		return fail("it has %d bytes, limit %d", len(data), maxKeyFile)
	}
	certs, key, err := readKeyFile(data, password)
	if err != nil {
		return fail("%w", err)
	}
	c := directory.Certificate{}
	for _, x := range certs {
		if key != nil && !key.belongsTo(x) {
			continue
		}
		if c.DER != nil {
			return fail("it holds several certificates")
		}
		c.DER, c.Thumbprint, c.FriendlyName = x.Raw, directory.Thumbprint(x.Raw), x.Subject.CommonName
	}
	switch {
	case len(certs) == 0:
		return fail("it holds no certificate")
	case c.DER == nil:
		return fail("none of its certificates belongs to its private key")
	case key != nil:
		if err := key.check(); err != nil {
			return fail("%w", err)
		}
		if c.Key, err = x509.MarshalPKCS8PrivateKey(key.private); err != nil {
			return fail("private key cannot be kept")
		}
	}
	return c, nil
}

// A fileKey is a private key of a file.
type fileKey struct{ private any }

func (k *fileKey) belongsTo(x *x509.Certificate) bool {
	switch private := k.private.(type) {
	case *rsa.PrivateKey:
		return private.PublicKey.Equal(x.PublicKey)
	case *ecdsa.PrivateKey:
		return private.PublicKey.Equal(x.PublicKey)
	}
	return false
}

func (k *fileKey) check() error {
	if private, ok := k.private.(*rsa.PrivateKey); ok && private.N.BitLen() < jose.MinModulus {
		return fmt.Errorf("RSA of %d bits, want %d", private.N.BitLen(), jose.MinModulus)
	}
	return nil
}

// readKeyFile returns what is in the file; key is nil when there is none.
func readKeyFile(data []byte, password string) (certs []*x509.Certificate, key *fileKey, err error) {
	block, rest := pem.Decode(data)
	if block == nil {
		if x, err := x509.ParseCertificate(data); err == nil {
			return []*x509.Certificate{x}, nil, nil
		}
		blocks, err := readPKCS12(data, password)
		if err != nil {
			return nil, nil, err
		}
		return readBlocks(blocks, password)
	}
	var blocks []*pem.Block
	for ; block != nil; block, rest = pem.Decode(rest) {
		if blocks = append(blocks, block); len(blocks) > maxKeyFileBlocks {
			return nil, nil, fmt.Errorf("it holds more than %d parts", maxKeyFileBlocks)
		}
	}
	return readBlocks(blocks, password)
}

func readPKCS12(data []byte, password string) ([]*pem.Block, error) {
	var outer asn1.RawValue
	if rest, err := asn1.Unmarshal(data, &outer); err != nil || len(rest) > 0 || outer.Tag != asn1.TagSequence {
		return nil, errors.New("it is neither PEM, PKCS#12 nor a DER certificate")
	}
	if !fewRounds(data, 0) {
		return nil, fmt.Errorf("its password would have to be hashed more than %d times", maxPBKDF2Rounds)
	}
	blocks, err := pkcs12.ToPEM(data, password) //nolint:staticcheck // its blocks are for nobody else
	switch unknown := pkcs12.NotImplementedError(""); {
	case err == nil && len(blocks) <= maxKeyFileBlocks:
		return blocks, nil
	case err == nil:
		return nil, fmt.Errorf("it holds more than %d parts", maxKeyFileBlocks)
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, errors.New("the password is wrong")
	case errors.As(err, &unknown):
		return nil, errors.New("its PKCS#12 uses encryption that is not read here: turn it into PEM with: openssl pkcs12 -in FILE -out FILE.pem")
	}
	return nil, errors.New("it is no PKCS#12 file that can be read")
}

// fewRounds looks at all derivations of keys in a PKCS#12 file: their parameters
// are a salt and a number of rounds, one after the other (RFC 7292 B, C; RFC 8018
// A.2). What cannot be read is for others to refuse.
func fewRounds(der []byte, depth int) bool {
	const deep = 16
	salt := false
	for len(der) > 0 && depth < deep {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(der, &v)
		if err != nil {
			return true
		}
		der = rest
		var rounds int64
		if salt && v.Class == asn1.ClassUniversal && v.Tag == asn1.TagInteger {
			if _, err := asn1.Unmarshal(v.FullBytes, &rounds); err != nil || rounds > maxPBKDF2Rounds {
				return false
			}
		}
		salt = v.Class == asn1.ClassUniversal && v.Tag == asn1.TagOctetString
		if (v.IsCompound || salt) && !fewRounds(v.Bytes, depth+1) {
			return false
		}
	}
	return true
}

func readBlocks(blocks []*pem.Block, password string) (certs []*x509.Certificate, key *fileKey, err error) {
	for _, b := range blocks {
		if b.Type == "CERTIFICATE" {
			x, err := x509.ParseCertificate(b.Bytes)
			if err != nil {
				return nil, nil, errors.New("a certificate cannot be parsed")
			}
			certs = append(certs, x)
			continue
		}
		private, err := readPrivate(b, password)
		switch {
		case err != nil:
			return nil, nil, err
		case private == nil: // parameters of a curve and the like
		case key != nil:
			return nil, nil, errors.New("it holds several private keys")
		default:
			key = &fileKey{private}
		}
	}
	return certs, key, nil
}

// readPrivate returns the private key of a block, nil for a block of another kind.
func readPrivate(b *pem.Block, password string) (private any, err error) {
	if b.Headers["DEK-Info"] != "" {
		return nil, errors.New("its private key has the encryption of old OpenSSL: turn it into PKCS#8 with: openssl pkcs8 -topk8 -in FILE")
	}
	der := b.Bytes
	switch b.Type {
	case "ENCRYPTED PRIVATE KEY":
		if der, err = openPKCS8(der, password); err != nil {
			return nil, err
		}
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
	default:
		return nil, nil
	}
	// PKCS#12 hands all forms out under one name.
	if private, err = x509.ParsePKCS8PrivateKey(der); err == nil {
		return private, nil
	}
	if private, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return private, nil
	}
	if private, err := x509.ParseECPrivateKey(der); err == nil {
		return private, nil
	}
	if b.Type == "ENCRYPTED PRIVATE KEY" {
		return nil, errors.New("the password is wrong")
	}
	return nil, errors.New("its private key cannot be parsed") // parsers quote what they read
}

// WriteKeyFile is the certificate with its private key as PEM, the key encrypted
// with the password (PKCS#8; PBES2, AES-256-CBC, PBKDF2 with HMAC-SHA-256).
func WriteKeyFile(c *directory.Certificate, password string) ([]byte, error) {
	if len(c.Key) == 0 {
		return nil, fmt.Errorf("certificate %s has no private key here", c.Thumbprint)
	}
	sealed, err := sealPKCS8(c.Key, password)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", c.Thumbprint, err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.DER}),
		pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: sealed})...), nil
}

// The structures of RFC 5958 and RFC 8018 appendix A.
type (
	encryptedKey struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	pbes2Params struct {
		KDF, Cipher pkix.AlgorithmIdentifier
	}
	pbkdf2Params struct {
		Salt      []byte
		Rounds    int
		KeyLength int                      `asn1:"optional"`
		PRF       pkix.AlgorithmIdentifier `asn1:"optional"`
	}
)

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidAES256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}

	pbkdf2Hashes = map[string]func() hash.Hash{
		"":                    sha1.New, // the default
		"1.2.840.113549.2.7":  sha1.New,
		oidSHA256.String():    sha256.New,
		"1.2.840.113549.2.10": sha512.New384,
		"1.2.840.113549.2.11": sha512.New,
	}
	aesKeyBytes = map[string]int{"2.16.840.1.101.3.4.1.2": 16, "2.16.840.1.101.3.4.1.22": 24, oidAES256.String(): 32}
)

var errOtherEncryption = errors.New("its private key is encrypted by another algorithm than PBES2 with AES: write it anew with: openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE")

// openPKCS8 decrypts a private key. A wrong password may give rubbish.
func openPKCS8(der []byte, password string) ([]byte, error) {
	var e encryptedKey
	var p pbes2Params
	var k pbkdf2Params
	var iv []byte
	if rest, err := asn1.Unmarshal(der, &e); err != nil || len(rest) > 0 {
		return nil, errors.New("its encrypted private key cannot be parsed")
	}
	if !e.Algorithm.Algorithm.Equal(oidPBES2) || !unmarshal(e.Algorithm.Parameters.FullBytes, &p) ||
		!p.KDF.Algorithm.Equal(oidPBKDF2) || !unmarshal(p.KDF.Parameters.FullBytes, &k) || !unmarshal(p.Cipher.Parameters.FullBytes, &iv) {
		return nil, errOtherEncryption
	}
	h, n := pbkdf2Hashes[k.PRF.Algorithm.String()], aesKeyBytes[p.Cipher.Algorithm.String()]
	switch {
	case h == nil || n == 0 || len(iv) != aes.BlockSize || k.KeyLength != 0 && k.KeyLength != n:
		return nil, errOtherEncryption
	case k.Rounds < 1 || k.Rounds > maxPBKDF2Rounds:
		return nil, fmt.Errorf("its password takes %d rounds, limit %d", k.Rounds, maxPBKDF2Rounds)
	case len(e.Data) == 0 || len(e.Data)%aes.BlockSize != 0:
		return nil, errors.New("its encrypted private key cannot be parsed")
	case password == "":
		return nil, errors.New("its private key is encrypted: give the password")
	}
	block, err := pbkdf2Cipher(h, password, k, n)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(e.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, e.Data)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > aes.BlockSize {
		return nil, errors.New("the password is wrong")
	}
	return plain[:len(plain)-pad], nil
}

func sealPKCS8(key []byte, password string) ([]byte, error) {
	if password == "" {
		return nil, errors.New("a private key is written under a password only")
	}
	k := pbkdf2Params{Salt: make([]byte, 16), Rounds: writePBKDF2Rounds, PRF: pkix.AlgorithmIdentifier{Algorithm: oidSHA256, Parameters: asn1.NullRawValue}}
	iv := make([]byte, aes.BlockSize)
	rand.Read(k.Salt)
	rand.Read(iv)
	block, err := pbkdf2Cipher(sha256.New, password, k, 32)
	if err != nil {
		return nil, err
	}
	pad := aes.BlockSize - len(key)%aes.BlockSize
	data := make([]byte, 0, len(key)+pad)
	data = append(data, key...)
	for range pad {
		data = append(data, byte(pad))
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(data, data)
	var p pbes2Params
	if p.KDF, err = identifier(oidPBKDF2, k); err != nil {
		return nil, err
	}
	if p.Cipher, err = identifier(oidAES256, iv); err != nil {
		return nil, err
	}
	e := encryptedKey{Data: data}
	if e.Algorithm, err = identifier(oidPBES2, p); err != nil {
		return nil, err
	}
	return asn1.Marshal(e)
}

func pbkdf2Cipher(h func() hash.Hash, password string, k pbkdf2Params, n int) (cipher.Block, error) {
	key, err := pbkdf2.Key(h, password, k.Salt, k.Rounds, n)
	if err != nil {
		return nil, fmt.Errorf("derive key from password: %w", err)
	}
	return aes.NewCipher(key)
}

func identifier(oid asn1.ObjectIdentifier, parameters any) (pkix.AlgorithmIdentifier, error) {
	der, err := asn1.Marshal(parameters)
	return pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.RawValue{FullBytes: der}}, err
}

func unmarshal(der []byte, v any) bool {
	rest, err := asn1.Unmarshal(der, v)
	return err == nil && len(rest) == 0
}
