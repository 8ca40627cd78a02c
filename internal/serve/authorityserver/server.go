// Package authorityserver is the face of the authorization server: metadata
// documents of tenants and the token endpoints, of ACS at its own host and of Entra
// ID at the login hosts (oauth-s2s reference, 0.2, 1.1, 1.5 and 3).
package authorityserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"net/url"

	"busybridge/internal/directory"
	"busybridge/internal/serve/callers"
	"busybridge/internal/serve/mount"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/oidc"
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
		{Pattern: "GET /{realm}/.well-known/openid-configuration", Handler: s.discovery(oidc.V1), Name: "openid-configuration"},
		{Pattern: "GET /{realm}/v2.0/.well-known/openid-configuration", Handler: s.discovery(oidc.V2), Name: "openid-configuration"},
		{Pattern: "GET /{realm}/discovery/keys", Handler: s.keys(oidc.V1), Name: "openid-keys"},
		{Pattern: "GET /{realm}/discovery/v2.0/keys", Handler: s.keys(oidc.V2), Name: "openid-keys"},
		{Pattern: "POST /{realm}/oauth2/token", Handler: s.appToken(oidc.V1), Name: "oauth2-token"},
		{Pattern: "POST /{realm}/oauth2/v2.0/token", Handler: s.appToken(oidc.V2), Name: "oauth2-token"},
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

// discovery is the OpenID discovery document of a tenant, or of all (oauth-s2s 1.5).
func (s *Server) discovery(v oidc.Version) mount.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		doc, err := s.cfg.Authority.Discovery(r.Context(), r.PathValue("realm"), callers.HostOf(r), v)
		return document(w, doc, err)
	}
}

// keys are what tokens of a tenant are checked with (oauth-s2s 1.5).
func (s *Server) keys(v oidc.Version) mount.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		set, err := s.cfg.Authority.KeySet(r.Context(), r.PathValue("realm"), callers.HostOf(r), v)
		return document(w, set, err)
	}
}

func document(w http.ResponseWriter, doc any, err error) error {
	if errors.Is(err, directory.ErrNotFound) {
		return writeNotFound(w)
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, doc)
}

// token answers a token request to ACS.
func (s *Server) token(w http.ResponseWriter, r *http.Request) error {
	isACS, _, err := s.cfg.Authority.Serves(r.Context(), callers.HostOf(r))
	if err != nil {
		return err
	}
	return answer(w, r, isACS, acs.ParseTokenRequest, func(req acs.TokenRequest) (any, error) {
		req.CorrelationID = r.Header.Get("client-request-id")
		return s.cfg.Authority.Issue(r.Context(), r.PathValue("realm"), req)
	})
}

// appToken answers a token request to Entra ID.
func (s *Server) appToken(v oidc.Version) mount.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		_, isLogin, err := s.cfg.Authority.Serves(r.Context(), callers.HostOf(r))
		if err != nil {
			return err
		}
		return answer(w, r, isLogin, oidc.ParseTokenRequest, func(req oidc.TokenRequest) (any, error) {
			req.CorrelationID = r.Header.Get("client-request-id")
			return s.cfg.Authority.IssueApp(r.Context(), r.PathValue("realm"), v, req)
		})
	}
}

// answer reads a token request, has it decided, and writes the answer or the
// refusal. Nothing about it may be cached (RFC 6749 5.1). Served is whether there
// is a token endpoint at this host.
func answer[R any](w http.ResponseWriter, r *http.Request, served bool, parse func(url.Values) (R, error), issue func(R) (any, error)) error {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	if !served {
		w.WriteHeader(http.StatusNotFound)
		return nil
	}
	var req R
	form, err := readForm(w, r)
	if err == nil {
		req, err = parse(form)
	}
	if err != nil {
		status := http.StatusBadRequest
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			status = http.StatusRequestEntityTooLarge
		}
		return writeJSON(w, status, &acs.Error{Code: "invalid_request",
			Description: "AADSTS9000411: The request is not properly formatted. " + err.Error(), Codes: []int{9000411}})
	}
	resp, err := issue(req)
	if refusal, ok := errors.AsType[*acs.Error](err); ok {
		mount.AddAttrs(r.Context(), slog.String("oauth_error", refusal.Code), slog.Any("codes", refusal.Codes))
		return writeJSON(w, refusal.Status, refusal)
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, resp)
}

// errForm: a token request is a form.
var errForm = errors.New("content type is not application/x-www-form-urlencoded")

// readForm reads the parameters of the body only: a token request in the URL is
// none.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || t != "application/x-www-form-urlencoded" {
		return nil, errForm
	}
	size := min(max(r.ContentLength, 0), maxForm) // what was announced, in one piece
	body := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxForm)); err != nil {
		return nil, err
	}
	return url.ParseQuery(body.String())
}

func writeNotFound(w http.ResponseWriter) error {
	return writeJSON(w, http.StatusNotFound, &acs.Error{Code: "not_found", Description: "AADSTS90002: Tenant not found.", Codes: []int{90002}})
}

const typeJSON = "application/json; charset=utf-8"

func writeJSON(w http.ResponseWriter, status int, v any) error {
	marshal := func() ([]byte, error) { return json.Marshal(v) }
	if m, ok := v.(json.Marshaler); ok {
		marshal = m.MarshalJSON // json.Marshal would read what it wrote once more
	}
	body, err := marshal()
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
