package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Limits of every HTTP listener. The body limits are the handlers'; a whole
// answer may take long (a question has up to two minutes, an import more), so
// there is no write time-out: handlers run under deadlines of their own.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 128 << 10 // a bearer token with an actor token inside has up to 16 KiB; oauth-s2s reference 9 asks for 64 KiB
	drainTimeout      = 30 * time.Second
)

// A Listener is one address with what answers there.
type Listener struct {
	net.Listener
	Handler http.Handler
	TLS     *tls.Config // nil: plain HTTP
}

// ServeAll serves every listener until ctx ends, then lets requests under way
// finish within drainTimeout. It closes the listeners.
func ServeAll(ctx context.Context, log *slog.Logger, listeners ...Listener) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, l := range listeners {
		srv := &http.Server{
			Handler: l.Handler, TLSConfig: l.TLS, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
			ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
			BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		}
		g.Go(func() error {
			var err error
			if l.TLS != nil {
				err = srv.ServeTLS(l.Listener, "", "")
			} else {
				err = srv.Serve(l.Listener)
			}
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			return fmt.Errorf("listener %s: %w", l.Addr(), err)
		})
		g.Go(func() error {
			<-gctx.Done()
			drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
			defer cancel()
			if err := srv.Shutdown(drain); err != nil {
				return errors.Join(fmt.Errorf("listener %s: requests were cut off: %w", l.Addr(), err), srv.Close())
			}
			return nil
		})
	}
	return g.Wait()
}

// A certificateFile is a TLS certificate that is read again when its files change.
type certificateFile struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu      sync.Mutex // guards the fields below
	cert    *tls.Certificate
	stamp   [2]time.Time // modification times of the files that cert came from
	checked time.Time
}

// recheck is how often the files' times are looked at.
const recheck = 10 * time.Second

func newCertificateFile(certFile, keyFile string, log *slog.Logger, now func() time.Time) (*certificateFile, error) {
	c := &certificateFile{certFile: certFile, keyFile: keyFile, log: log, now: now}
	return c, c.load()
}

// get is tls.Config.GetCertificate. Files that cannot be read leave the
// certificate that was read before in use.
func (c *certificateFile) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.checked) >= recheck {
		c.checked = now
		if stamp, err := c.times(); err != nil || stamp != c.stamp {
			if err := c.load(); err != nil {
				c.log.Error("certificate is not renewed", "file", c.certFile, "err", err)
			} else {
				c.log.Info("certificate is renewed", "file", c.certFile, "until", c.cert.Leaf.NotAfter)
			}
		}
	}
	return c.cert, nil
}

func (c *certificateFile) load() error {
	stamp, err := c.times()
	if err != nil {
		return err
	}
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("certificate %s, key %s: %w", c.certFile, c.keyFile, err)
	}
	c.cert, c.stamp = &cert, stamp
	return nil
}

func (c *certificateFile) times() (t [2]time.Time, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return t, err
		}
		t[i] = info.ModTime()
	}
	return t, nil
}
