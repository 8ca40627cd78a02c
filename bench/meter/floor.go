package meter

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// A floor is a fixed body from net/http over TLS: the least that an answer of
// that size can cost.
const floorHost = "floor.example"

// floorUp is what a floor says when it is up.
type floorUp struct {
	Address string
	DER     []byte // its certificate
}

// ServeFloor reads each request and answers it with the file's content, until
// ctx ends. A request for a path of work does that work first. It says on out
// where it is.
func ServeFloor(ctx context.Context, name, contentType string, work map[string]func() error, out io.Writer) error {
	body, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now() //nolint:forbidigo // a measurement is of now
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{floorHost}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(floorUp{ln.Addr().String(), der}); err != nil {
		return err
	}
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return // the client went away
			}
			if do := work[r.URL.Path]; do != nil {
				if err := do(); err != nil {
					http.Error(w, err.Error(), http.StatusInternalServerError)
					return
				}
			}
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			_, _ = w.Write(body) // the same
		})}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.ServeTLS(ln, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// A Floor is a floor that runs, and a client of it.
type Floor struct {
	*Child
	HTTP *http.Client
	URL  string // with a slash at its end
}

// StartFloor starts this program again, with -floor and the name of a file that
// holds the body: it must call ServeFloor then.
func StartFloor(ctx context.Context, body []byte) (*Floor, error) {
	f, err := os.CreateTemp("", "busybridge-floor-")
	if err != nil {
		return nil, err
	}
	_, err = f.Write(body)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var up floorUp
	c, err := start(ctx, f.Name(), &up, self, "-floor", f.Name())
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(up.DER)
	if err != nil {
		c.Stop()
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return &Floor{c, overHTTP1(&tls.Config{RootCAs: roots, ServerName: floorHost, MinVersion: tls.VersionTLS13}, up.Address), "https://" + floorHost + "/"}, nil
}
