// Package ewsserver answers Exchange Web Services: free/busy in full, and the
// operations that clients call before they ask for it. Sections in comments are
// those of the EWS reference.
//
// A request that cannot be read, or whose sender may not enter, is a SOAP fault
// (status 500); what is wrong with one mailbox, folder or id stands in its own
// response message (1.5). Both are decided in fault.go.
package ewsserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"busybridge/internal/availability"
	"busybridge/internal/directory"
	"busybridge/internal/serve/callers"
	"busybridge/internal/serve/mount"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/soap"
)

// Limits of requests; Config may change the first two.
const (
	DefaultMaxBody      = 1 << 20
	DefaultMaxMailboxes = availability.MaxAttendees
	maxParts            = 1000      // ids, folders or items of one request
	flushAt             = 256 << 10 // bytes of an answer from which on it is sent in parts
	maxPooled           = 1 << 20   // bytes of a buffer that is kept for the next answer
)

// An Asker answers questions; *availability.Engine is one.
type Asker interface {
	Each(ctx context.Context, q *availability.Question, do func(i int, a *availability.Answer) error) error
	Suggest(ctx context.Context, q *availability.Question, s *availability.SuggestionQuery) ([]availability.SuggestionDay, error)
}

// An Authenticator says who sent a request; *callers.Authenticator is one.
type Authenticator interface {
	// Authenticate returns who sent r, or the error that Challenge explains.
	Authenticate(r *http.Request) (*callers.Caller, error)
	// Challenge answers r with 401 and what the sender may do about it.
	Challenge(w http.ResponseWriter, r *http.Request, err error)
}

// Recipients looks addresses up. An unknown one is directory.ErrNotFound.
type Recipients interface {
	Recipient(ctx context.Context, org directory.OrgID, a smtpaddr.Address) (*directory.Recipient, error)
}

// A Config is what a Server needs.
type Config struct {
	Engine     Asker            // required
	Auth       Authenticator    // required
	Recipients Recipients       // required: for impersonation
	Now        func() time.Time // required
	Log        *slog.Logger     // required
	// MaxBody is the size of a request in bytes; default DefaultMaxBody.
	MaxBody int64
	// MaxMailboxes is how many one question may name, at most and by default 100.
	MaxMailboxes int
}

// A Server answers EWS.
type Server struct {
	cfg     Config
	buffers sync.Pool // of *[]byte
}

// New checks the configuration.
func New(cfg Config) (*Server, error) {
	if cfg.Engine == nil || cfg.Auth == nil || cfg.Recipients == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("EWS server: Engine, Auth, Recipients, Now and Log are required")
	}
	if cfg.MaxBody < 0 || cfg.MaxMailboxes < 0 || cfg.MaxMailboxes > DefaultMaxMailboxes {
		return nil, fmt.Errorf("EWS server: MaxBody of %d bytes, MaxMailboxes %d", cfg.MaxBody, cfg.MaxMailboxes)
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	if cfg.MaxMailboxes == 0 {
		cfg.MaxMailboxes = DefaultMaxMailboxes
	}
	return &Server{cfg: cfg, buffers: sync.Pool{New: func() any { return new([]byte) }}}, nil
}

// Routes are the server's routes; every one needs authentication.
func (s *Server) Routes() []mount.Route {
	return []mount.Route{
		{Pattern: "POST /ews/exchange.asmx", Handler: s.serveSOAP, Name: "ews"},
		{Pattern: "GET /ews/exchange.asmx", Handler: s.servePage, Name: "ews-page"},
		{Pattern: "GET /ews/services.wsdl", Handler: s.serveSchema("services.wsdl"), Name: "ews-schema"},
		{Pattern: "GET /ews/messages.xsd", Handler: s.serveSchema("messages.xsd"), Name: "ews-schema"},
		{Pattern: "GET /ews/types.xsd", Handler: s.serveSchema("types.xsd"), Name: "ews-schema"},
	}
}

// A call is one request while it is answered.
type call struct {
	*Server
	ctx    context.Context
	caller *callers.Caller
	header ews.Header
	// mailbox is whose folders the caller sees and as whom it asks: its own, or
	// the impersonated one; nil: none.
	mailbox *directory.Recipient
	via     []string // the header lines of that name
	out     []byte   // the answer, appended to
	w       http.ResponseWriter
	begun   bool // a part of the answer was sent
}

// An operation answers the child of Body that names it. An error becomes a fault.
type operation func(c *call, e *soap.Element) error

// operations by their element in the messages namespace (1.4). What is not here
// is answered with the fault ErrorInvalidRequest.
var operations = map[string]operation{
	"GetUserAvailabilityRequest": (*call).getUserAvailability,
	"GetServerTimeZones":         (*call).getServerTimeZones,
	"GetUserOofSettingsRequest":  (*call).getUserOofSettings,
	"SetUserOofSettingsRequest":  (*call).setUserOofSettings,
	"ConvertId":                  (*call).convertID,
	"GetFolder":                  (*call).getFolder,
	"FindFolder":                 (*call).findFolder,
	"SyncFolderHierarchy":        (*call).syncFolderHierarchy,
	"FindItem":                   (*call).findItem,
	"SyncFolderItems":            (*call).syncFolderItems,
	"GetItem":                    (*call).noItems,
	"CreateItem":                 (*call).noItems,
	"UpdateItem":                 (*call).noItems,
	"DeleteItem":                 (*call).noItems,
	"ResolveNames":               (*call).noItems,
	"ExpandDL":                   (*call).noItems,
	"GetUserConfiguration":       (*call).noItems,
}

func (s *Server) serveSOAP(w http.ResponseWriter, r *http.Request) error {
	caller, err := s.authenticate(r)
	if busy, ok := errors.AsType[*mount.BusyError](err); ok {
		busy.Tell(w, r)
		fault, _ := faultFor(busy)
		return write(w, http.StatusInternalServerError, soap.AppendFault(nil, fault))
	}
	if err != nil {
		s.cfg.Auth.Challenge(w, r, err)
		return nil
	}
	if caller.Org.RefusesEWS(caller.Site.Server, caller.ApplicationID) {
		// As Exchange Online refuses them: the token is good, the service is not
		// for this application (oauth-s2s 8.2).
		mount.AddAttrs(r.Context(), slog.String("refused", cmp.Or(caller.ApplicationID, "everybody")))
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusForbidden)
		return nil
	}
	if !xmlType(r.Header.Get("Content-Type")) {
		http.Error(w, "Requests are SOAP 1.1: Content-Type: text/xml; charset=utf-8", http.StatusUnsupportedMediaType)
		return nil
	}
	buf := s.buffers.Get().(*[]byte)
	c := &call{Server: s, ctx: r.Context(), caller: caller, mailbox: caller.Recipient, via: r.Header["Via"], out: (*buf)[:0], w: w}
	defer func() {
		if cap(c.out) <= maxPooled {
			*buf = c.out
			s.buffers.Put(buf)
		}
	}()
	err = c.answer(r)
	switch {
	case err == nil && c.begun:
		_, err = w.Write(c.out)
		return err
	case err == nil:
		return write(w, http.StatusOK, c.out)
	case c.begun || r.Context().Err() != nil:
		return err // the client went away
	}
	fault, known := faultFor(err)
	c.out = soap.AppendFault(c.out[:0], fault)
	mount.AddAttrs(r.Context(), slog.String("fault", fault.Code))
	if writeErr := write(w, http.StatusInternalServerError, c.out); known || writeErr != nil {
		return writeErr
	}
	return err // not told to the client: for the log
}

func (s *Server) authenticate(r *http.Request) (*callers.Caller, error) {
	caller, err := s.cfg.Auth.Authenticate(r)
	if err != nil {
		return nil, err
	}
	mount.AddAttrs(r.Context(), slog.String(mount.KeyOrg, string(caller.Org.ID)), slog.String(mount.KeyCaller, caller.Name()))
	return caller, nil
}

// xmlType: requests in a form that a web page can make a browser send are
// refused. SOAP 1.2 has its own type and is answered by a fault.
func xmlType(contentType string) bool {
	if contentType == "" {
		return true
	}
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil { // clients write odd parameters
		t, _, _ = strings.Cut(contentType, ";")
		t = strings.ToLower(strings.TrimSpace(t))
	}
	return t == "text/xml" || t == "application/xml" || t == "application/soap+xml"
}

// answer reads the request and lets its operation write the answer.
func (c *call) answer(r *http.Request) error {
	if r.ContentLength > c.cfg.MaxBody {
		return fmt.Errorf("%w: %d bytes", soap.ErrTooLarge, r.ContentLength)
	}
	env, err := soap.Read(r.Body, c.cfg.MaxBody)
	if err != nil {
		if _, known := faultFor(err); !known { // of the connection
			return fmt.Errorf("%w: %w", errUnreadable, err)
		}
		return err
	}
	defer env.Release()
	if err := understood(env.Header); err != nil {
		return err
	}
	if c.header, err = ews.ParseHeader(env.Header); err != nil {
		return err
	}
	if err := c.actAs(); err != nil {
		return err
	}
	if len(env.Body) != 1 {
		return &ews.SchemaError{Line: env.At.Line, Col: env.At.Col, Violation: "The element 'Body' must have exactly one child."}
	}
	e := env.Body[0]
	op := operations[e.Local]
	if op == nil || e.Space != ews.NSMessages {
		return &unknownOperationError{e.Local}
	}
	mount.AddAttrs(c.ctx, slog.String("operation", e.Local))
	return op(c, e)
}

// understood refuses headers that must be understood and are not (SOAP 1.1
// 4.2.3). Those of the types namespace, and addressing, are ours.
func understood(headers []*soap.Element) error {
	for _, h := range headers {
		if h.Space == ews.NSTypes || h.Space == ews.NSMessages || strings.HasSuffix(h.Space, "/addressing") {
			continue
		}
		for _, a := range h.Attr {
			if a.Space == soap.NS && a.Local == "mustUnderstand" && (a.Value == "1" || a.Value == "true") {
				return &mustUnderstandError{h.Local}
			}
		}
	}
	return nil
}

// actAs puts the impersonated mailbox in the place of the caller's own (1.2).
func (c *call) actAs() error {
	if forest, perUser := c.caller.Forest(); forest {
		return c.actAsForest(perUser)
	}
	if c.header.Privileged != "" {
		return fmt.Errorf("%w: header %s", errAccessDenied, c.header.Privileged)
	}
	sid := c.header.Impersonate
	if sid == nil {
		return nil
	}
	partner := c.caller.Partner
	if (c.caller.Account == nil || !c.caller.Account.HasRole(directory.RoleImpersonation)) && (partner == nil || !partner.Impersonates) {
		return errImpersonateDenied
	}
	if sid.Kind == "SID" { // there are none here
		return errNoMailbox
	}
	addr, err := smtpaddr.Parse(sid.Value)
	if err != nil {
		return errNoMailbox
	}
	r, err := c.cfg.Recipients.Recipient(c.ctx, c.caller.Org.ID, addr)
	if errors.Is(err, directory.ErrNotFound) {
		return errNoMailbox
	}
	if err != nil {
		return fmt.Errorf("look up %s: %w", addr, err)
	}
	if partner != nil && (!r.Enabled || r.Type == directory.MailGroup) {
		return errNoMailbox
	}
	c.mailbox = r
	if partner != nil {
		// The validator's caller is shared between requests.
		p := *partner
		p.User, p.SMTP, p.UPN, p.AppOnly = r, addr.String(), "", false
		as := *c.caller
		as.Partner, as.Recipient = &p, r
		c.caller = &as
	}
	mount.AddAttrs(c.ctx, slog.String("acts_as", r.Primary.String()))
	return nil
}

// actAsForest is actAs for an account that another forest asks with. It has no
// mailbox. The user that it names counts where he is a mail user here, for
// GetUserAvailability reads a requester as what the directory knows of him; any
// other sees what everybody sees (EWS reference 3.4).
func (c *call) actAsForest(perUser bool) error {
	c.mailbox = nil
	name := c.header.SecurityContext
	if sid := c.header.Impersonate; sid != nil {
		name = sid.Value
	}
	if !perUser {
		if c.header.Impersonate != nil {
			return errImpersonateDenied
		}
		if c.header.Privileged != "" {
			return fmt.Errorf("%w: header %s", errAccessDenied, c.header.Privileged)
		}
		return nil
	}
	if c.header.Privileged != "" && c.header.Privileged != "SerializedSecurityContext" {
		return fmt.Errorf("%w: header %s", errAccessDenied, c.header.Privileged)
	}
	addr, err := smtpaddr.Parse(name)
	if err != nil {
		return nil //nolint:nilerr // whoever he is, he is not known here
	}
	r, err := c.cfg.Recipients.Recipient(c.ctx, c.caller.Org.ID, addr)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("look up %s: %w", addr, err)
	case r.Type == directory.MailUser && r.Enabled:
		c.mailbox = r
	}
	mount.AddAttrs(c.ctx, slog.String("acts_as", addr.String()))
	return nil
}

// version is what the node says that it is (1.3).
func (c *call) version() ews.ServerVersion {
	v := directory.Version{Major: 15, Minor: 1}
	if c.caller.Site.Server != nil {
		v = c.caller.Site.Server.AdminDisplayVersion
	}
	schema := "V2017_07_11"
	switch {
	case v.Major < 14:
		schema = "Exchange2007_SP1"
	case v.Major == 14 && v.Minor == 0:
		schema = "Exchange2010"
	case v.Major == 14 && v.Minor == 1:
		schema = "Exchange2010_SP1"
	case v.Major == 14:
		schema = "Exchange2010_SP2"
	case v.Major == 15 && v.Minor == 0 && v.Less(directory.OAuthVersion):
		schema = "Exchange2013"
	case v.Major == 15 && v.Minor == 0:
		schema = "Exchange2013_SP1"
	}
	return ews.ServerVersion{Major: v.Major, Minor: v.Minor, Build: v.Build, Revision: v.Revision, Schema: schema}
}

// serverName is the node's name in errors.
func (c *call) serverName() string {
	if c.caller.Site.Server != nil {
		return c.caller.Site.Server.Name
	}
	return ""
}

// write sends a whole XML answer at once.
func write(w http.ResponseWriter, status int, body []byte) error {
	headers(w.Header())
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}

// headers are those of every XML answer. The type is literally the one that
// clients compare with (1.1).
func headers(h http.Header) {
	h["Content-Type"] = []string{"text/xml; charset=utf-8"}
	h.Set("Cache-Control", "private")
	h.Set("X-Content-Type-Options", "nosniff")
}

// flush sends what there is of a large answer, so that many at once do not take
// much memory. There can be no fault any more.
func (c *call) flush() error {
	if !c.begun {
		c.begun = true
		headers(c.w.Header())
		c.w.WriteHeader(http.StatusOK)
	}
	_, err := c.w.Write(c.out)
	c.out = c.out[:0]
	return err
}
