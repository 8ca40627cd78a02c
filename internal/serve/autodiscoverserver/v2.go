package autodiscoverserver

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/serve/callers"
	"busybridge/internal/spec/autodiscover"
	"busybridge/internal/spec/smtpaddr"
)

// serveV2 answers anybody (Autodiscover reference part 3), so it must not tell
// which addresses exist: all of an accepted domain get the same answer, and
// those of other domains another one.
func (s *Server) serveV2(w http.ResponseWriter, r *http.Request, at *callers.SiteSet) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return notAllowed(w, "GET, HEAD")
	}
	q, e := autodiscover.ParseV2(r.PathValue("email"), r.URL.RawQuery)
	if e != nil {
		return writeV2Error(w, e)
	}
	address, err := smtpaddr.Parse(q.Email)
	if err != nil {
		return writeV2Error(w, autodiscover.V2Malformed)
	}
	site, ok := at.ByDomain(address.Domain())
	if !ok {
		return writeV2Error(w, autodiscover.V2NotFound)
	}
	answers := []autodiscover.V2Answer{{Protocol: autodiscover.V2POX, URL: "https://" + at.Host + "/autodiscover/autodiscover.xml"}}
	if u := serverOf(site).ExternalURL; u != "" {
		answers = append(answers, autodiscover.V2Answer{Protocol: autodiscover.V2EWS, URL: u})
	}
	i := slices.IndexFunc(answers, func(a autodiscover.V2Answer) bool { return strings.EqualFold(a.Protocol, q.Protocol) })
	if i < 0 {
		var supported []string
		for _, a := range answers {
			supported = append(supported, a.Protocol)
		}
		return writeV2Error(w, autodiscover.V2Unsupported(q.Protocol, supported))
	}
	if host, ok, err := s.elsewhere(r, at, site, q, address); err != nil {
		return err
	} else if ok {
		q.RedirectCount++
		w.Header().Set("Location", "https://"+host+q.URI())
		return write(w, http.StatusFound, v2Type, nil)
	}
	return write(w, http.StatusOK, v2Type, answers[i].JSON())
}

const v2Type = "application/json; charset=utf-8"

// elsewhere is the host that answers for a mail user, when redirects are
// configured and not too many were followed already.
func (s *Server) elsewhere(r *http.Request, at *callers.SiteSet, site callers.Site, q *autodiscover.V2Request, a smtpaddr.Address) (host string, ok bool, err error) {
	if s.cfg.V2Redirect == nil || q.RedirectCount >= autodiscover.MaxRedirects {
		return "", false, nil
	}
	f, err := s.find(r.Context(), site.Org, a)
	if errors.Is(err, directory.ErrNotFound) {
		return "", false, nil
	}
	if err != nil || f.mailbox != nil {
		return "", false, err
	}
	host, ok = s.cfg.V2Redirect(site.Org, f.redirect)
	return host, ok && !strings.EqualFold(host, at.Host), nil
}

// ConnectorHost is the host of the discovery endpoint of the enabled connector
// that covers the domain of target.
func ConnectorHost(org *directory.Organization, target smtpaddr.Address) (host string, ok bool) {
	for i := range org.Connectors {
		c := &org.Connectors[i]
		if c.Enabled && slices.ContainsFunc(c.TargetAddressDomains, func(p string) bool { return directory.MatchDomain(p, target.Domain()) }) {
			host = hostIn(c.DiscoveryEndpoint)
			return host, host != ""
		}
	}
	return "", false
}

func writeV2Error(w http.ResponseWriter, e *autodiscover.V2Error) error {
	return write(w, e.Status, v2Type, e.JSON())
}
