// Package autodiscoverserver answers Autodiscover: where is the mailbox of this
// address served? SOAP and POX for users and partner organizations that sign in,
// V2 JSON for anybody, and the metadata document of the organization.
//
// Whoever signs in sees one organization. An address of another one that the
// deployment hosts is answered exactly as an address that does not exist.
package autodiscoverserver

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/serve/callers"
	"busybridge/internal/serve/mount"
	"busybridge/internal/spec/autodiscover"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/soap"
)

// Limits of requests.
const (
	MaxSOAP      = 1 << 20  // bytes of a SOAP request
	MaxAnonymous = 64 << 10 // of one whose sender has not signed in
	MaxPOX       = 64 << 10 // bytes of a POX request
	MaxSubjects  = 100      // users or domains of one request
	MaxSettings  = 200      // different settings of one request: there are about 70
	maxEcho      = 64       // characters of an unknown setting's name that are repeated
)

// An Authenticator says who sent a request; *callers.Authenticator is one.
type Authenticator interface {
	// Authenticate returns who sent r, or the error that Challenge explains.
	Authenticate(r *http.Request) (*callers.Caller, error)
	// Challenge answers r with 401 and what the sender may do about it.
	Challenge(w http.ResponseWriter, r *http.Request, err error)
}

// A Directory looks recipients up. An unknown one is directory.ErrNotFound.
type Directory interface {
	Recipient(ctx context.Context, org directory.OrgID, a smtpaddr.Address) (*directory.Recipient, error)
	RecipientByID(ctx context.Context, org directory.OrgID, id string) (*directory.Recipient, error)
}

// A Config is what a Server needs.
type Config struct {
	Sites     callers.Sites    // required
	Auth      Authenticator    // required
	Directory Directory        // required
	Now       func() time.Time // required
	Log       *slog.Logger     // required
	// Metadata returns the document of /autodiscover/metadata/json/1 for a
	// host, or directory.ErrNotFound. nil: there is none.
	Metadata func(ctx context.Context, host string) ([]byte, error)
	// V2Redirect returns the host that a V2 question about a mail user with
	// the given target address is sent to; ConnectorHost is one. V2 is
	// anonymous: with it, strangers learn which addresses are mail users. nil:
	// they get the same answer as all others.
	V2Redirect func(org *directory.Organization, target smtpaddr.Address) (host string, ok bool)
}

// A Server answers Autodiscover.
type Server struct{ cfg Config }

// New returns a server.
func New(cfg Config) (*Server, error) {
	if cfg.Sites == nil || cfg.Auth == nil || cfg.Directory == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("autodiscover server: Sites, Auth, Directory, Now and Log are required")
	}
	return &Server{cfg}, nil
}

// Routes are the server's routes. Methods are told apart by the handlers, so
// that every answer carries the headers that clients look for.
func (s *Server) Routes() []mount.Route {
	const svc = "/autodiscover/autodiscover.svc"
	return []mount.Route{
		{Pattern: svc, Handler: s.at(s.serveSVC), Name: "autodiscover-soap"},
		{Pattern: svc + "/wssecurity", Handler: s.at(s.serveWSSecurity), Name: "autodiscover-wssecurity"},
		{Pattern: svc + "/wssecurity/{binding}", Handler: s.at(s.serveWSSecurity), Name: "autodiscover-wssecurity"},
		{Pattern: "/autodiscover/autodiscover.xml", Handler: s.at(s.servePOX), Name: "autodiscover-pox"},
		{Pattern: autodiscover.V2Path, Handler: s.at(s.serveV2), Name: "autodiscover-v2"},
		{Pattern: autodiscover.V2Path + "/v1.0/{email}", Handler: s.at(s.serveV2), Name: "autodiscover-v2"},
		{Pattern: "GET /autodiscover/metadata/json/1", Handler: s.at(s.serveMetadata), Name: "autodiscover-metadata"},
	}
}

type handler func(w http.ResponseWriter, r *http.Request, at *callers.SiteSet) error

// at finds what is served under the host of a request, and announces the
// abilities (Autodiscover reference 1.1). The letter case of these header names
// is what clients were written against.
func (s *Server) at(h handler) mount.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		set, err := s.cfg.Sites.Site(r.Context(), callers.HostOf(r))
		if errors.Is(err, directory.ErrNotFound) {
			http.Error(w, "This host is not served here.", http.StatusMisdirectedRequest)
			return nil
		}
		if err != nil {
			return err
		}
		w.Header()["X-SOAP-Enabled"] = []string{"True"}
		for _, site := range set.All() {
			if site.Server != nil && site.Server.OAuthAuthentication {
				w.Header()["X-OAuth-Enabled"] = []string{"True"}
				break
			}
		}
		return h(w, r, set)
	}
}

const page = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Autodiscover Service</title></head>
<body><h1>Autodiscover Service</h1><p>The service works. Programs send SOAP requests to this address by POST.</p></body></html>
`

func (s *Server) serveSVC(w http.ResponseWriter, r *http.Request, at *callers.SiteSet) error {
	switch r.Method {
	case http.MethodPost:
		return s.serveSOAP(w, r, at)
	case http.MethodGet, http.MethodHead:
		return write(w, http.StatusOK, "text/html; charset=utf-8", []byte(page))
	}
	return notAllowed(w, "GET, HEAD, POST")
}

// serveWSSecurity answers partners of the federation gateway (DAuth).
func (s *Server) serveWSSecurity(w http.ResponseWriter, r *http.Request, _ *callers.SiteSet) error {
	return writeFault(w, http.StatusInternalServerError, &soap.Fault{Code: "Client",
		String: "Federated sign-in with WS-Security is not offered by this server. Use OAuth at /autodiscover/autodiscover.svc."})
}

func (s *Server) serveMetadata(w http.ResponseWriter, r *http.Request, at *callers.SiteSet) error {
	err := fmt.Errorf("metadata: %w", directory.ErrNotFound)
	var doc []byte
	if s.cfg.Metadata != nil {
		doc, err = s.cfg.Metadata(r.Context(), at.Host)
	}
	if errors.Is(err, directory.ErrNotFound) {
		http.Error(w, "There is no metadata document here.", http.StatusNotFound)
		return nil
	}
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, "application/json; charset=utf-8", doc)
}

// signedIn returns the caller, or answers 401 and returns nil.
func (s *Server) signedIn(w http.ResponseWriter, r *http.Request) *callers.Caller {
	c, err := s.cfg.Auth.Authenticate(r)
	if err != nil {
		s.cfg.Auth.Challenge(w, r, err)
		return nil
	}
	mount.AddAttrs(r.Context(), slog.String(mount.KeyOrg, string(c.Org.ID)), slog.String(mount.KeyCaller, c.Name()))
	return c
}

// A found is what the directory says of an address. Exactly one field is set
// when there is no error.
type found struct {
	mailbox  *directory.Recipient
	redirect smtpaddr.Address // target address of a mail user
}

// see judges a recipient that look-up returned. Groups, disabled recipients and
// mail users that point to themselves are not found.
func see(r *directory.Recipient, err error) (found, error) {
	switch {
	case err != nil:
		return found{}, err
	case r.Enabled && r.IsMailbox():
		return found{mailbox: r}, nil
	case r.Enabled && r.Type == directory.MailUser && !r.ExternalAddress.IsZero() && !r.HasAddress(r.ExternalAddress):
		return found{redirect: r.ExternalAddress}, nil
	}
	return found{}, directory.ErrNotFound
}

func (s *Server) find(ctx context.Context, org *directory.Organization, a smtpaddr.Address) (found, error) {
	f, err := see(s.cfg.Directory.Recipient(ctx, org.ID, a))
	if err == nil && f.redirect == a { // known by its target address: it would be sent in a circle
		return found{}, directory.ErrNotFound
	}
	return f, err
}

// serverOf is the node that a caller asked; it has no URLs when there is none.
func serverOf(site callers.Site) *directory.Server {
	if site.Server != nil {
		return site.Server
	}
	return &directory.Server{}
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "private")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}

func notAllowed(w http.ResponseWriter, allow string) error {
	w.Header().Set("Allow", allow)
	http.Error(w, "Method not allowed.", http.StatusMethodNotAllowed)
	return nil
}

// hostNumber is the stable number that POX errors name a server by.
func hostNumber(host string) uint32 {
	h := fnv.New32a()
	_, _ = io.WriteString(h, host) // a hash takes everything
	return h.Sum32()
}
