package ewsserver

import (
	"embed"
	"fmt"
	"net/http"
	"strings"

	"busybridge/internal/serve/mount"
)

// The description of the implemented operations, written for this server. As in
// Exchange it has no wsdl:service: clients know the address (1.1).
//
//go:embed schema/services.wsdl schema/messages.xsd schema/types.xsd
var schema embed.FS

// serveSchema serves one of the schema files.
func (s *Server) serveSchema(name string) mount.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if _, err := s.authenticate(r); err != nil {
			s.cfg.Auth.Challenge(w, r, err)
			return nil
		}
		body, err := schema.ReadFile("schema/" + name)
		if err != nil {
			return fmt.Errorf("schema: %w", err)
		}
		return write(w, http.StatusOK, body)
	}
}

const page = "This is the Exchange Web Services endpoint. Programs send SOAP 1.1 requests to this address by POST.\n" +
	"Its description is Services.wsdl.\n"

// servePage answers a browser, and ?wsdl with the description.
func (s *Server) servePage(w http.ResponseWriter, r *http.Request) error {
	for key := range r.URL.Query() {
		if strings.EqualFold(key, "wsdl") {
			return s.serveSchema("services.wsdl")(w, r)
		}
	}
	if _, err := s.authenticate(r); err != nil {
		s.cfg.Auth.Challenge(w, r, err)
		return nil
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := w.Write([]byte(page))
	return err
}
