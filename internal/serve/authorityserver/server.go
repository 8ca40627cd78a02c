// Package authorityserver is the face of the authorization server: metadata
// documents of tenants and the token endpoint (oauth-s2s reference, 1.1 and 3).
package authorityserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/url"

	"busybridge/internal/directory"
	"busybridge/internal/serve/callers"
	"busybridge/internal/serve/mount"
	"busybridge/internal/spec/acs"
	"busybridge/internal/trust"
)

// maxForm bounds the body of a token request.
const maxForm = 64 << 10

// A Config is what a Server needs.
type Config struct {
	Authority *trust.Authority // required
}

// A Server answers for one authorization server.
type Server struct{ cfg Config }

// New checks the configuration.
func New(cfg Config) (*Server, error) {
	if cfg.Authority == nil {
		return nil, errors.New("authorityserver: Authority is required")
	}
	return &Server{cfg}, nil
}

// Routes are the routes of the server. Other hosts of the same process fall
// through to 404.
func (s *Server) Routes() []mount.Route {
	return []mount.Route{
		{Pattern: "GET /{realm}/metadata/json/1", Handler: s.metadata, Name: "acs-metadata"},
		{Pattern: "GET /metadata/json/1", Handler: s.metadata, Name: "acs-metadata"},
		{Pattern: "GET /{realm}/federationmetadata/2007-06/federationmetadata.xml", Handler: s.federationMetadata, Name: "federation-metadata"},
		{Pattern: "POST /{realm}/tokens/oauth/2", Handler: s.token, Name: "acs-token"},
	}
}

// metadata takes the realm from the path or from the parameter (oauth-s2s 1.1).
func (s *Server) metadata(w http.ResponseWriter, r *http.Request) error {
	realm := r.PathValue("realm")
	if realm == "" {
		realm = r.URL.Query().Get("realm")
	}
	doc, err := s.cfg.Authority.Metadata(r.Context(), realm, callers.HostOf(r))
	if errors.Is(err, directory.ErrNotFound) {
		return writeNotFound(w)
	}
	if err != nil {
		return err
	}
	body, err := doc.MarshalAuthority()
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, typeJSON, body)
}

// federationMetadata is what New-AuthServer -Type AzureAD reads (oauth-s2s 1.5).
func (s *Server) federationMetadata(w http.ResponseWriter, r *http.Request) error {
	doc, err := s.cfg.Authority.FederationMetadata(r.Context(), r.PathValue("realm"), callers.HostOf(r))
	if errors.Is(err, directory.ErrNotFound) {
		return writeNotFound(w)
	}
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, "application/xml; charset=utf-8", doc.Append(nil))
}

// token answers a token request; nothing about it may be cached (RFC 6749 5.1).
func (s *Server) token(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	ok, err := s.cfg.Authority.Serves(r.Context(), callers.HostOf(r))
	if err != nil {
		return err
	}
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return nil
	}
	req, err := readForm(w, r)
	if err != nil {
		status := http.StatusBadRequest
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			status = http.StatusRequestEntityTooLarge
		}
		return writeJSON(w, status, &acs.Error{Code: "invalid_request",
			Description: "AADSTS9000411: The request is not properly formatted. " + err.Error(), Codes: []int{9000411}})
	}
	resp, err := s.cfg.Authority.Issue(r.Context(), r.PathValue("realm"), req)
	if refusal, ok := errors.AsType[*acs.Error](err); ok {
		mount.AddAttrs(r.Context(), slog.String("oauth_error", refusal.Code), slog.Any("codes", refusal.Codes))
		return writeJSON(w, refusal.Status, refusal)
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, resp)
}

// readForm reads the parameters of the body only: a token request in the URL is
// none.
func readForm(w http.ResponseWriter, r *http.Request) (acs.TokenRequest, error) {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || t != "application/x-www-form-urlencoded" {
		return acs.TokenRequest{}, fmt.Errorf("%w token request: content type is not application/x-www-form-urlencoded", acs.ErrInvalid)
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	// ParseForm would take what is in the URL as well.
	r.URL = &url.URL{Path: r.URL.Path}
	if err := r.ParseForm(); err != nil {
		return acs.TokenRequest{}, err
	}
	req, err := acs.ParseTokenRequest(r.PostForm)
	req.CorrelationID = r.Header.Get("client-request-id")
	return req, err
}

func writeNotFound(w http.ResponseWriter) error {
	return writeJSON(w, http.StatusNotFound, &acs.Error{Code: "not_found", Description: "AADSTS90002: Tenant not found.", Codes: []int{90002}})
}

const typeJSON = "application/json; charset=utf-8"

func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return write(w, status, typeJSON, body)
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}
