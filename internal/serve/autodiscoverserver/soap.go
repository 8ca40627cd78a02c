package autodiscoverserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/serve/callers"
	"busybridge/internal/serve/mount"
	"busybridge/internal/spec/autodiscover"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/soap"
)

const xmlType = "text/xml; charset=utf-8"

func (s *Server) serveSOAP(w http.ResponseWriter, r *http.Request, at *callers.SiteSet) error {
	if r.Header.Get("Authorization") == "" {
		// Federation information is for strangers (Autodiscover reference 1.5).
		// Anything else, and an empty question for the challenge, is 401.
		if q, err := readSOAP(r, MaxAnonymous); err == nil && q.Operation == autodiscover.GetFederationInformation {
			site, _ := at.Only()
			return writeResponse(w, q, serverOf(site), notFederated())
		}
	}
	c := s.signedIn(w, r)
	if c == nil {
		return nil
	}
	q, err := readSOAP(r, MaxSOAP)
	if err != nil {
		status, f := faultOf(err)
		if f == nil {
			return err
		}
		return writeFault(w, status, f)
	}
	mount.AddAttrs(r.Context(), slog.Int(mount.KeyMailboxes, len(q.Subjects)))
	var resp *autodiscover.Response
	switch q.Operation {
	case autodiscover.GetUserSettings:
		resp, err = s.userSettings(r.Context(), c, q)
	case autodiscover.GetDomainSettings:
		resp = domainSettings(c, q)
	default:
		resp = notFederated()
	}
	if err != nil {
		return err
	}
	return writeResponse(w, q, serverOf(c.Site), resp)
}

func readSOAP(r *http.Request, limit int64) (*autodiscover.Request, error) {
	env, err := soap.Read(r.Body, limit)
	if err != nil {
		return nil, err
	}
	return autodiscover.ParseRequest(env)
}

// faultOf is the one place where a refused document becomes a fault; nil means
// that it could not be read for another reason.
func faultOf(err error) (int, *soap.Fault) {
	if f, ok := errors.AsType[*soap.Fault](err); ok {
		return http.StatusInternalServerError, f
	}
	if e, ok := errors.AsType[*soap.SyntaxError](err); ok {
		return http.StatusInternalServerError, &soap.Fault{Code: "Client", String: "The request is not well-formed: " + e.Error()}
	}
	switch {
	case errors.Is(err, soap.ErrTooLarge):
		return http.StatusRequestEntityTooLarge, &soap.Fault{Code: "Client", String: fmt.Sprintf("The request is too large, the limit is %d bytes.", MaxSOAP)}
	case errors.Is(err, soap.ErrVersion12):
		return http.StatusUnsupportedMediaType, &soap.Fault{Code: "VersionMismatch", String: "SOAP 1.2 is not supported, use SOAP 1.1."}
	case errors.Is(err, soap.ErrNotSOAP):
		return http.StatusInternalServerError, &soap.Fault{Code: "Client", String: "The request is not a SOAP 1.1 envelope."}
	}
	return 0, nil
}

func (s *Server) userSettings(ctx context.Context, c *callers.Caller, q *autodiscover.Request) (*autodiscover.Response, error) {
	names := distinct(q.Settings)
	if resp := refuse(q, names, "user"); resp != nil {
		return resp, nil
	}
	resp := &autodiscover.Response{ErrorCode: autodiscover.NoError, Answers: make([]autodiscover.Answer, 0, len(q.Subjects))}
	for _, u := range q.Subjects {
		a, err := s.userAnswer(ctx, c, u, names)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			s.cfg.Log.LogAttrs(ctx, slog.LevelError, "autodiscover: look up recipient", slog.String(mount.KeyRequestID, mount.RequestID(ctx)),
				slog.String(mount.KeyOrg, string(c.Org.ID)), slog.String("mailbox", u), slog.Any(mount.KeyErr, err))
			a = autodiscover.Answer{ErrorCode: autodiscover.InternalServerError, ErrorMessage: "The server could not look up the address."}
		}
		resp.Answers = append(resp.Answers, a)
	}
	return resp, nil
}

func (s *Server) userAnswer(ctx context.Context, c *callers.Caller, user string, names []string) (autodiscover.Answer, error) {
	unknown := autodiscover.Answer{ErrorCode: autodiscover.InvalidUser, ErrorMessage: "The e-mail address cannot be found."}
	address, err := smtpaddr.Parse(user)
	if err != nil {
		return unknown, nil //nolint:nilerr // the answer says what is wrong with the address
	}
	f, err := s.find(ctx, c.Org, address)
	switch {
	case errors.Is(err, directory.ErrNotFound) && blind(c) && c.Org.Accepts(address.Domain()):
		// As for a mailbox that is here: EWS says that there is no access.
	case errors.Is(err, directory.ErrNotFound):
		return unknown, nil
	case err != nil:
		return autodiscover.Answer{}, err
	case f.mailbox == nil:
		return autodiscover.Answer{ErrorCode: autodiscover.RedirectAddress, ErrorMessage: "Redirection address.", RedirectTarget: f.redirect.String()}, nil
	}
	return give(names, func(name string) string { return setting(name, c, f.mailbox) }), nil
}

// blind reports whether the caller is not told which mailboxes exist: a partner,
// unless the organization wants otherwise. It gets what is true of all of them.
func blind(c *callers.Caller) bool {
	return c.Partner != nil && !c.Org.AvailabilityConfig.RevealUnknownRecipients
}

// give answers the named settings from value, where "" is no value.
func give(names []string, value func(name string) string) autodiscover.Answer {
	a := autodiscover.Answer{ErrorCode: autodiscover.NoError, ErrorMessage: "No error."}
	for _, name := range names {
		v := value(name)
		switch {
		case v != "":
			a.Settings = append(a.Settings, autodiscover.Setting{Name: name, Value: v})
		case autodiscover.KnownSetting(name):
			a.SettingErrors = append(a.SettingErrors, autodiscover.SettingError{ErrorCode: autodiscover.SettingIsNotAvailable,
				ErrorMessage: "The setting is not available.", Name: name})
		default:
			a.SettingErrors = append(a.SettingErrors, autodiscover.SettingError{ErrorCode: autodiscover.InvalidSetting,
				ErrorMessage: "There is no such setting.", Name: fmt.Sprintf("%.*s", maxEcho, name)})
		}
	}
	return a
}

// setting is the value of a user setting, or "" (Autodiscover reference 1.4).
func setting(name string, c *callers.Caller, r *directory.Recipient) string {
	v := serverOf(c.Site)
	if blind(c) {
		switch name {
		case autodiscover.UserDisplayName, autodiscover.UserDN, autodiscover.AutoDiscoverSMTPAddress:
			return ""
		}
	}
	switch name {
	case autodiscover.ExternalEwsURL, autodiscover.ExternalEwsVersion:
		return externalEWS(name, v)
	case autodiscover.InternalEwsURL:
		if v.InternalURL != "" {
			return v.InternalURL
		}
		return v.ExternalURL
	case autodiscover.EwsSupportedSchemas:
		return strings.Join(schemas(v.AdminDisplayVersion), ", ")
	case autodiscover.CasVersion:
		return v.AdminDisplayVersion.Padded()
	case autodiscover.UserDisplayName:
		return r.DisplayName
	case autodiscover.UserDN:
		return recipientDN(c.Org, r)
	case autodiscover.UserDeploymentID:
		return string(c.Org.ID)
	case autodiscover.AutoDiscoverSMTPAddress:
		return r.Primary.String()
	case autodiscover.UserMSOnline:
		return boolean(c.Org.Tenant != "")
	case autodiscover.CrossOrganizationSharingEnabled, autodiscover.MapiHTTPEnabled:
		return boolean(false) // sharing invitations and MAPI are not served
	}
	return ""
}

func externalEWS(name string, v *directory.Server) string {
	switch {
	case v.ExternalURL == "":
		return ""
	case name == autodiscover.ExternalEwsURL:
		return v.ExternalURL
	case name == autodiscover.ExternalEwsVersion:
		return v.AdminDisplayVersion.Padded()
	}
	return ""
}

func domainSettings(c *callers.Caller, q *autodiscover.Request) *autodiscover.Response {
	names := distinct(q.Settings)
	if resp := refuse(q, names, "domain"); resp != nil {
		return resp
	}
	resp := &autodiscover.Response{ErrorCode: autodiscover.NoError, Answers: make([]autodiscover.Answer, 0, len(q.Subjects))}
	for _, s := range q.Subjects {
		a := autodiscover.Answer{ErrorCode: autodiscover.InvalidDomain, ErrorMessage: "The domain is not accepted here."}
		domain, err := smtpaddr.ParseDomain(s)
		if err == nil && slices.ContainsFunc(c.Org.AcceptedDomains, func(d directory.AcceptedDomain) bool { return directory.MatchDomain(d.DomainName, domain) }) {
			a = give(names, func(name string) string { return externalEWS(name, serverOf(c.Site)) })
		}
		resp.Answers = append(resp.Answers, a)
	}
	return resp
}

// refuse answers a request that asks for nothing or for too much.
func refuse(q *autodiscover.Request, names []string, what string) *autodiscover.Response {
	msg := ""
	switch {
	case len(q.Subjects) == 0:
		msg = "The request names no " + what + "."
	case len(q.Subjects) > MaxSubjects:
		msg = fmt.Sprintf("The request names %d %ss, the limit is %d.", len(q.Subjects), what, MaxSubjects)
	case len(names) == 0:
		msg = "The request names no setting."
	case len(names) > MaxSettings:
		msg = fmt.Sprintf("The request names %d settings, the limit is %d.", len(names), MaxSettings)
	default:
		return nil
	}
	return &autodiscover.Response{ErrorCode: autodiscover.InvalidRequest, ErrorMessage: msg}
}

func notFederated() *autodiscover.Response {
	return &autodiscover.Response{ErrorCode: autodiscover.NotFederated, ErrorMessage: "The organization has no federation trust. Use OAuth.",
		Federation: &autodiscover.Federation{}}
}

// distinct returns names in their order without repetitions.
func distinct(names []string) []string {
	seen, out := make(map[string]bool, len(names)), make([]string, 0, len(names))
	for _, n := range names {
		if !seen[n] {
			seen[n] = true
			out = append(out, n)
		}
	}
	return out
}

func writeResponse(w http.ResponseWriter, q *autodiscover.Request, v *directory.Server, resp *autodiscover.Response) error {
	resp.Operation, resp.RelatesTo = q.Operation, q.MessageID
	if n := v.AdminDisplayVersion; n != (directory.Version{}) {
		known := schemas(n)
		resp.Version = &autodiscover.ServerVersion{Major: n.Major, Minor: n.Minor, Build: n.Build, Revision: n.Revision, Schema: known[len(known)-1]}
	}
	return write(w, http.StatusOK, xmlType, autodiscover.AppendResponse(nil, resp))
}

func writeFault(w http.ResponseWriter, status int, f *soap.Fault) error {
	return write(w, status, xmlType, soap.AppendFault(nil, f))
}

// The schema versions of EWS and the first build that has each.
var schemaBuilds = []struct {
	since directory.Version
	name  string
}{
	{directory.Version{}, "Exchange2007"},
	{directory.Version{Major: 8, Minor: 1}, "Exchange2007_SP1"},
	{directory.Version{Major: 14}, "Exchange2010"},
	{directory.Version{Major: 14, Minor: 1}, "Exchange2010_SP1"},
	{directory.Version{Major: 14, Minor: 2}, "Exchange2010_SP2"},
	{directory.Version{Major: 15}, "Exchange2013"},
	{directory.Version{Major: 15, Build: 847}, "Exchange2013_SP1"},
}

// schemas are the names of the schemas that v knows, at least one, oldest first.
func schemas(v directory.Version) []string {
	var names []string
	for _, s := range schemaBuilds {
		if !v.Less(s.since) {
			names = append(names, s.name)
		}
	}
	return names
}

func boolean(b bool) string {
	if b {
		return "True"
	}
	return "False"
}
