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
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Limits of every HTTP listener. The body limits are the handlers'; a whole
// answer may take long (a question has up to two minutes, an import more), so
// there is no write time-out: handlers run under deadlines of their own.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 128 << 10        // a bearer token with an actor token inside has up to 16 KiB; oauth-s2s reference 9 asks for 64 KiB
	drainTimeout      = 30 * time.Second // where a Drain has no Limit
)

// A Listener is one address with what answers there.
type Listener struct {
	net.Listener
	Handler http.Handler
	TLS     *tls.Config // nil: plain HTTP
}

// A Drain says how listeners stop.
type Drain struct {
	// Begin is called first; nil: nothing is.
	Begin func()
	// Wait is how long everything is answered as before, but with the word that the
	// connection closes: clients come back by another one, to another node.
	Wait time.Duration
	// Limit is how long requests under way may then take; 0: drainTimeout.
	Limit time.Duration
}

// ServeAll is Drain.ServeAll without a wait.
func ServeAll(ctx context.Context, log *slog.Logger, listeners ...Listener) error {
	return Drain{}.ServeAll(ctx, log, listeners...)
}

// ServeAll serves every listener until ctx ends, then drains and closes them.
func (dr Drain) ServeAll(ctx context.Context, log *slog.Logger, listeners ...Listener) error {
	if dr.Limit == 0 {
		dr.Limit = drainTimeout
	}
	g, gctx := errgroup.WithContext(ctx)
	var leaving atomic.Bool
	left := make(chan struct{})
	g.Go(func() error {
		defer close(left)
		<-gctx.Done()
		leaving.Store(true)
		if dr.Begin != nil {
			dr.Begin()
		}
		if ctx.Err() != nil { // else a listener has failed
			time.Sleep(dr.Wait)
		}
		return nil
	})
	for _, l := range listeners {
		srv := &http.Server{
			Handler: leave(&leaving, l.Handler), TLSConfig: l.TLS, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
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
			<-left
			drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), dr.Limit)
			defer cancel()
			if err := srv.Shutdown(drain); err != nil {
				return errors.Join(fmt.Errorf("listener %s: requests were cut off: %w", l.Addr(), err), srv.Close())
			}
			return nil
		})
	}
	return g.Wait()
}

// leave lets clients close their connections, HTTP/2's too, when leaving is set. A
// server that closed idle ones would lose what is sent at that moment.
func leave(leaving *atomic.Bool, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if leaving.Load() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

// A certificateFile is a TLS certificate that is read again when its files change.
type certificateFile struct {
	log *slog.Logger
	now func() time.Time

	mu sync.Mutex // guards the fields below

	certFile, keyFile string

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

// use reads the certificate of these files now, and keeps to the former ones when
// it cannot.
func (c *certificateFile) use(certFile, keyFile string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := certificateFile{certFile: certFile, keyFile: keyFile}
	if err := next.load(); err != nil {
		return err
	}
	c.certFile, c.keyFile, c.cert, c.stamp, c.checked = certFile, keyFile, next.cert, next.stamp, c.now()
	return nil
}

// until is the end of the certificate in use.
func (c *certificateFile) until() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cert.Leaf.NotAfter
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
