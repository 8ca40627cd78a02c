package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"busybridge/bench/dataset"
)

// What this program can be besides the one that measures, each a process of its
// own whose processor time is read.
const (
	asFixed   = "fixed"   // F: fixed bodies, by path
	asCompute = "compute" // K: the least that computes the answer
	asForeign = "foreign" // another organization's server: a challenge, then a fixed body
	asProxy   = "proxy"   // net/http/httputil's reverse proxy
)

// A role is how such a server is started.
type role struct {
	Is               string
	Listen           string // empty: any port
	CertFile         string
	KeyFile          string
	Bodies           string // directory of fixed bodies
	Token            string // that K knows
	Seed             uint64
	Mailboxes, Count int // of the data set of K
	To               string
}

// be is the process: it says on out where it is, and serves until ctx ends.
func be(ctx context.Context, text string, out io.Writer) error {
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return err
	}
	var h http.Handler
	var err error
	switch r.Is {
	case asFixed:
		h, err = fixedBodies(r.Bodies)
	case asCompute:
		h = newCompute(dataset.New(r.Seed, r.Mailboxes, r.Count), r.Token)
	case asForeign:
		h, err = foreignServer(r.Bodies)
	case asProxy:
		h, err = reverseProxy(&r)
	default:
		err = fmt.Errorf("no role is called %q", r.Is)
	}
	if err != nil {
		return err
	}
	cert, err := tls.LoadX509KeyPair(r.CertFile, r.KeyFile)
	if err != nil {
		return err
	}
	if r.Listen == "" {
		r.Listen = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", r.Listen)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(ln.Addr().String()); err != nil {
		return err
	}
	// As the program: HTTP/2 is offered, and no client of a run takes it.
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.ServeTLS(ln, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

const contentType = "text/xml; charset=utf-8"

// answer writes a body with one Write.
func answer(w http.ResponseWriter, body []byte) {
	w.Header()["Content-Type"] = []string{contentType}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	_, _ = w.Write(body) // the client went away
}

func readBodies(dir string) (map[string][]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	bodies := map[string][]byte{}
	for _, e := range entries {
		if bodies["/"+e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			return nil, err
		}
	}
	return bodies, nil
}

// fixedBodies answers a path with the file of that name, after the request was read.
func fixedBodies(dir string) (http.Handler, error) {
	bodies, err := readBodies(dir)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			answer(w, bodies[r.URL.Path])
		}
	}), err
}

// foreignServer is another organization: it wants a token, and then answers each
// question with the body that is named after the number of mailboxes in it.
func foreignServer(dir string) (http.Handler, error) {
	bodies, err := readBodies(dir)
	wants := challenge(partnerDomain, dataset.Domain).String()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		switch {
		case err != nil:
		case len(r.Header.Get("Authorization")) < 100: // the scheme alone
			w.Header().Set("WWW-Authenticate", wants)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			answer(w, bodies["/"+strconv.Itoa(strings.Count(string(b), "Address>")/2)])
		}
	}), err
}

// reverseProxy passes everything on, over kept connections.
func reverseProxy(r *role) (http.Handler, error) {
	cfg, err := trusting(r.CertFile, foreignHost)
	if err != nil {
		return nil, err
	}
	to, err := url.Parse(r.To)
	if err != nil {
		return nil, err
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(to) },
		Transport: &http.Transport{TLSClientConfig: cfg, MaxIdleConnsPerHost: 64},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Otherwise the server closes the request's body when the answer begins, and
		// on a busy machine the transport is just then looking for its end: it takes
		// that for an error and cuts the answer off.
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		proxy.ServeHTTP(w, r)
	}), nil
}
