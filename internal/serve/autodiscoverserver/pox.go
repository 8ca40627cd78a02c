package autodiscoverserver

import (
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/serve/callers"
	"busybridge/internal/spec/autodiscover"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/soap"
)

// servePOX answers the older form (Autodiscover reference part 2). Everything
// but sign-in is answered with status 200, and GET with an error: clients probe
// by it, without credentials, for the headers.
func (s *Server) servePOX(w http.ResponseWriter, r *http.Request, at *callers.SiteSet) error {
	if r.Method != http.MethodPost {
		return s.writePOXError(w, at, autodiscover.POXInvalidRequest)
	}
	c := s.signedIn(w, r)
	if c == nil {
		return nil
	}
	q, err := readPOX(r)
	if err == nil {
		var f found
		if f, err = s.findPOX(r, c, q); err == nil {
			return writePOX(w, c, f)
		}
	}
	e, ok := errors.AsType[*autodiscover.POXError](err)
	if !ok {
		return err
	}
	return s.writePOXError(w, at, e)
}

func readPOX(r *http.Request) (*autodiscover.POXRequest, error) {
	root, err := soap.ReadXML(r.Body, MaxPOX)
	if _, ok := errors.AsType[*soap.SyntaxError](err); ok || errors.Is(err, soap.ErrTooLarge) {
		return nil, autodiscover.POXInvalidRequest
	}
	if err != nil {
		return nil, err
	}
	return autodiscover.ParsePOX(root)
}

func (s *Server) findPOX(r *http.Request, c *callers.Caller, q *autodiscover.POXRequest) (f found, err error) {
	if q.LegacyDN != "" {
		err = directory.ErrNotFound
		if id, ok := recipientID(c.Org, q.LegacyDN); ok {
			f, err = see(s.cfg.Directory.RecipientByID(r.Context(), c.Org.ID, id))
		}
	} else {
		var a smtpaddr.Address
		if a, err = smtpaddr.Parse(q.Address); err != nil {
			return f, autodiscover.POXNotFound
		}
		f, err = s.find(r.Context(), c.Org, a)
	}
	if errors.Is(err, directory.ErrNotFound) || err == nil && f.mailbox != nil && blind(c) { // partners ask by SOAP
		return f, autodiscover.POXNotFound
	}
	if err == nil && f.mailbox != nil && len(protocols(c)) == 0 {
		return f, autodiscover.POXBadAddress
	}
	return f, err
}

func writePOX(w http.ResponseWriter, c *callers.Caller, f found) error {
	if f.mailbox == nil {
		return write(w, http.StatusOK, xmlType, autodiscover.AppendPOXRedirect(nil, f.redirect.String()))
	}
	return write(w, http.StatusOK, xmlType, autodiscover.AppendPOXSettings(nil, &autodiscover.POXSettings{
		DisplayName: f.mailbox.DisplayName, LegacyDN: recipientDN(c.Org, f.mailbox), Address: f.mailbox.Primary.String(),
		DeploymentID: string(c.Org.ID), MicrosoftOnline: c.Org.Tenant != "", Protocols: protocols(c),
	}))
}

// protocols are the ways to the mailboxes of the caller's organization; there
// are none when the server has no URL.
func protocols(c *callers.Caller) (l []autodiscover.POXProtocol) {
	v := serverOf(c.Site)
	auth := ""
	if v.BasicAuthentication {
		auth = "Basic"
	}
	inside := v.InternalURL
	if inside == "" {
		inside = v.ExternalURL
	}
	if host := hostIn(inside); host != "" {
		n := v.AdminDisplayVersion
		l = append(l, autodiscover.POXProtocol{Type: "EXCH", Server: host, ServerDN: serverDN(c.Org, v),
			ServerVersion: autodiscover.POXVersion(n.Major, n.Minor, n.Build), AuthPackage: auth, EWSURL: inside, OABURL: "https://" + host + "/OAB/"})
	}
	if host := hostIn(v.ExternalURL); host != "" {
		l = append(l, autodiscover.POXProtocol{Type: "EXPR", Server: host, AuthPackage: auth, EWSURL: v.ExternalURL, OABURL: "https://" + host + "/OAB/"})
	}
	return l
}

func (s *Server) writePOXError(w http.ResponseWriter, at *callers.SiteSet, e *autodiscover.POXError) error {
	return write(w, http.StatusOK, xmlType, autodiscover.AppendPOXError(nil, e, s.cfg.Now(), hostNumber(at.Host)))
}

func hostIn(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Host
}

// The legacy distinguished names that old clients know things by. They are
// derived, so that nothing needs to be kept for them.
func orgDN(o *directory.Organization) string {
	return "/o=" + strings.ReplaceAll(o.Name, "/", "-") + "/ou=Exchange Administrative Group (FYDIBOHF23SPDLT)"
}

func serverDN(o *directory.Organization, v *directory.Server) string {
	return orgDN(o) + "/cn=Configuration/cn=Servers/cn=" + strings.ReplaceAll(v.Name, "/", "-")
}

const recipientsCN = "/cn=Recipients/cn="

func recipientDN(o *directory.Organization, r *directory.Recipient) string {
	return orgDN(o) + recipientsCN + strings.ReplaceAll(r.ID, "-", "")
}

// recipientID is the Recipient.ID in a name that recipientDN made.
func recipientID(o *directory.Organization, dn string) (string, bool) {
	prefix := orgDN(o) + recipientsCN
	if len(dn) != len(prefix)+32 || !strings.EqualFold(dn[:len(prefix)], prefix) {
		return "", false
	}
	raw, err := hex.DecodeString(dn[len(prefix):])
	if err != nil {
		return "", false
	}
	h := hex.EncodeToString(raw)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:], true
}
