package sqlstore

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"busybridge/internal/directory"
)

// ErrSealKey is returned by Open when the database was sealed with another key.
var ErrSealKey = errors.New("the seal key does not open this database")

// A sealer encrypts what must not be read from the file: AES-256-GCM with a
// random nonce. The place (table and key of the row) is authenticated, so that
// a sealed value cannot be moved to another row.
type sealer struct{ aead cipher.AEAD }

func newSealer(key []byte) (*sealer, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("seal key has %d bytes, want 32", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &sealer{aead}, err
}

// seal returns base64 text, and "" when there is no secret.
func (s *sealer) seal(place string, secrets []directory.Secret) (string, error) {
	if len(secrets) == 0 {
		return "", nil
	}
	plain := make([][]byte, len(secrets))
	for i, v := range secrets {
		plain[i] = v
	}
	b, err := json.Marshal(plain)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(s.aead.Seal(nil, nil, b, []byte(place))), nil
}

func (s *sealer) open(place, sealed string) ([]directory.Secret, error) {
	if sealed == "" {
		return nil, nil
	}
	b, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		return nil, fmt.Errorf("sealed value at %s: %w", place, err)
	}
	if b, err = s.aead.Open(nil, nil, b, []byte(place)); err != nil {
		return nil, fmt.Errorf("sealed value at %s: %w", place, err)
	}
	var plain [][]byte
	if err := json.Unmarshal(b, &plain); err != nil {
		return nil, fmt.Errorf("sealed value at %s: %w", place, err)
	}
	out := make([]directory.Secret, len(plain))
	for i, v := range plain {
		out[i] = v
	}
	return out, nil
}

// checkKey writes a sealed row into a new database and opens it in an old one.
func (s *Store) checkKey(ctx context.Context) error {
	const name = "seal-check"
	return s.tx(ctx, false, func(tx *sql.Tx) error {
		var sealed string
		err := tx.QueryRowContext(ctx, `SELECT sealed FROM settings WHERE name = $1`, name).Scan(&sealed)
		if errors.Is(err, sql.ErrNoRows) {
			if sealed, err = s.sealer.seal(name, []directory.Secret{[]byte(rand.Text())}); err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, `INSERT INTO settings (name, version, body, sealed) VALUES ($1, 1, '{}', $2)`, name, sealed)
			return err
		}
		if err != nil {
			return err
		}
		if _, err := s.sealer.open(name, sealed); err != nil {
			return ErrSealKey
		}
		return nil
	})
}
