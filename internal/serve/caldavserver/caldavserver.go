// Package caldavserver is CalDAV (RFC 4791) over the calendars that are kept here:
// for calendar programs, which read and write the calendars of a mailbox, and ask
// for the free/busy of colleagues and of partner organizations by the outbox of RFC
// 6638. Changes are followed by RFC 6578, working hours are those of RFC 7953.
//
// The owner of a mailbox reads and writes its calendars. Who has the folder
// permission Owner reads them. Anybody else asks for busy times only, and is
// answered by the engine that answers everybody. What exists is not told to others.
//
// Nobody is invited by this server: it does not claim calendar-auto-schedule.
//
//	/caldav/                               where a program may begin
//	/caldav/principals/ADDRESS/            a calendar user
//	/caldav/calendars/ADDRESS/             the calendar home
//	/caldav/calendars/ADDRESS/NAME/        a calendar
//	/caldav/calendars/ADDRESS/NAME/OBJECT  an event or a series
//	/caldav/inbox/ADDRESS/                 has calendar-availability, and no messages
//	/caldav/outbox/ADDRESS/                takes questions about free/busy
package caldavserver

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"busybridge/internal/availability"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/serve/callers"
	"busybridge/internal/serve/mount"
	"busybridge/internal/spec/smtpaddr"
)

// The limits of a request, beside those of the calendars.
const (
	DefaultMaxBody = 4 << 20  // bytes of a request, and of an object
	maxAnswer      = 32 << 20 // bytes of an answer
	maxHrefs       = 5000     // of a calendar-multiget
	maxMember      = 1 << 10  // bytes of a property that a program invented
	maxZone        = 64 << 10 // bytes of calendar-timezone
	maxProperties  = 32       // that a calendar keeps
)

// An Asker answers questions; *availability.Engine is one.
type Asker interface {
	Ask(ctx context.Context, q *availability.Question) ([]availability.Answer, error)
}

// An Authenticator says who sent a request; *callers.Authenticator is one.
type Authenticator interface {
	Authenticate(r *http.Request) (*callers.Caller, error)
	Challenge(w http.ResponseWriter, r *http.Request, err error)
}

// Recipients looks addresses up. An unknown one is directory.ErrNotFound.
type Recipients interface {
	Recipient(ctx context.Context, org directory.OrgID, a smtpaddr.Address) (*directory.Recipient, error)
}

// An Object is one object of a calendar.
type Object struct {
	Name, ETag   string // ETag without quotes
	Text         []byte // where it was asked for
	Changed      time.Time
	Availability bool // a VAVAILABILITY
	FloatingZone string
}

// A Change is an object that is new, has changed, or (without ETag) is gone.
type Change struct {
	Name, ETag   string
	Availability bool
}

// A Condition is what a program wants to be so before it changes an object.
type Condition struct {
	ETag   string // the object is there with this ETag; "": not asked
	Exists bool   // the object is there
	Absent bool   // it is not
}

// The errors of Calendars that are the program's fault, beside directory.ErrNotFound.
var (
	ErrObject       = errors.New("not one event that can be read")
	ErrName         = errors.New("not a name that can be kept")
	ErrPrecondition = errors.New("the object was changed meanwhile")
	ErrTooLarge     = errors.New("the object is too large")
	ErrReadOnly     = errors.New("not to be changed here")
	ErrTooMany      = errors.New("too many calendars")
	ErrToken        = errors.New("the sync token is not known")
)

// A UIDConflictError says which object of the calendar has the UID already.
type UIDConflictError struct{ Name string }

func (e *UIDConflictError) Error() string { return "the UID is that of " + e.Name }

// Calendars are the calendars of mailboxes. The main one is named "" and is always
// there.
type Calendars interface {
	Folders(ctx context.Context, mailbox *directory.Recipient) ([]directory.CalendarFolder, error)
	// EditFolder lets fn change a calendar, or make it (created). An error of fn is
	// returned, and nothing is changed then.
	EditFolder(ctx context.Context, caller *callers.Caller, folder string, fn func(f *directory.CalendarFolder, created bool) error) error
	DeleteFolder(ctx context.Context, caller *callers.Caller, folder string) error
	// SyncToken is that of Changes from now on, as of f.
	SyncToken(f *directory.CalendarFolder) string
	// Changes returns what has changed after a token (""; all), at most limit of it,
	// and the token after that; more: there may be more.
	Changes(ctx context.Context, mailbox *directory.Recipient, folder, token string, limit int) (list []Change, next string, more bool, err error)
	// Object returns one object with its text.
	Object(ctx context.Context, mailbox *directory.Recipient, folder, name string) (*Object, error)
	Objects(ctx context.Context, mailbox *directory.Recipient, folder string) iter.Seq2[*Object, error]
	// ObjectsWithin yields those that may have an occurrence in [from, to), with their
	// texts. A zero time is no bound.
	ObjectsWithin(ctx context.Context, mailbox *directory.Recipient, folder string, from, to time.Time) iter.Seq2[*Object, error]
	// PutObject keeps an object, octet for octet, in a calendar that is there.
	PutObject(ctx context.Context, mailbox *directory.Recipient, folder, name string, text []byte, cond Condition) (etag string, created bool, err error)
	DeleteObject(ctx context.Context, mailbox *directory.Recipient, folder, name string, cond Condition) error
}

// A Config is what a Server needs.
type Config struct {
	Engine     Asker            // required
	Auth       Authenticator    // required
	Recipients Recipients       // required
	Calendars  Calendars        // required
	Now        func() time.Time // required
	Log        *slog.Logger     // required
	MaxBody    int64            // bytes of a request; 0: DefaultMaxBody
}

// A Server answers CalDAV.
type Server struct {
	cfg     Config
	methods []method
	reports []reportType
}

// New checks the configuration.
func New(cfg Config) (*Server, error) {
	if cfg.Engine == nil || cfg.Auth == nil || cfg.Recipients == nil || cfg.Calendars == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("CalDAV server: Engine, Auth, Recipients, Calendars, Now and Log are required")
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	return &Server{cfg, methods(), reports()}, nil
}

const root = "/caldav/"

// Routes are the routes of the server.
func (s *Server) Routes() []mount.Route {
	// The collections are named: /caldav/ as a whole would leave no room for /{realm}/…
	// of an authorization server on the same node.
	routes := []mount.Route{{Pattern: "/.well-known/caldav", Handler: wellKnown, Name: "caldav-discovery"}}
	for _, below := range []string{"{$}", "principals/", "calendars/", "inbox/", "outbox/"} {
		routes = append(routes, mount.Route{Pattern: root + below, Handler: s.serve, Name: "caldav"})
	}
	return routes
}

// wellKnown says where a program begins (RFC 6764 5), by a status with which it sends
// its body again.
func wellKnown(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, root, http.StatusTemporaryRedirect)
	return nil
}

// capabilities are the DAV header. Programs look for "calendar-schedule", which
// is from the drafts of RFC 6638, to find the outbox; "calendar-auto-schedule" would
// say that the server sends the invitations.
const capabilities = "1, 3, extended-mkcol, calendar-access, calendar-schedule, calendar-availability"

// A method is one of HTTP, and what it can be used with (nil: anything).
type method struct {
	name   string
	handle func(*call) error
	on     []kind
}

// methods are the methods in the order of Allow.
func methods() []method {
	return []method{
		{http.MethodOptions, (*call).options, nil},
		{http.MethodGet, (*call).get, []kind{objectKind}},
		{http.MethodHead, (*call).get, []kind{objectKind}},
		{http.MethodPut, (*call).put, []kind{objectKind}},
		{http.MethodDelete, (*call).delete, []kind{objectKind, calendarKind}},
		{http.MethodPost, (*call).post, []kind{outboxKind}},
		{"PROPFIND", (*call).propfind, nil},
		{"PROPPATCH", (*call).proppatch, nil},
		{"MKCALENDAR", (*call).mkcalendar, []kind{calendarKind}},
		{"MKCOL", (*call).mkcol, []kind{calendarKind}},
		{"REPORT", (*call).report, nil},
	}
}

// A kind of resource.
type kind uint8

const (
	noKind kind = iota
	rootKind
	principalKind
	homeKind
	calendarKind
	objectKind
	inboxKind
	outboxKind
)

// A resource is what a URL names.
type resource struct {
	kind    kind
	owner   *directory.Recipient      // nil of rootKind
	folder  *directory.CalendarFolder // of calendarKind and objectKind
	name    string                    // of the calendar, or of the object, as in the URL
	object  *Object                   // of objectKind; nil: not read
	foreign bool                      // it is not the caller's own, who reads it only
}

// A call is one request while it is answered.
type call struct {
	*Server
	w        http.ResponseWriter
	r        *http.Request
	caller   *callers.Caller
	path     []string // after /caldav/, decoded, in the case that it was sent in
	resource resource
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) error {
	c := &call{Server: s, w: w, r: r}
	err := c.serve()
	if err == nil {
		return nil
	}
	return c.fail(err)
}

func (c *call) serve() (err error) {
	if c.caller, err = c.cfg.Auth.Authenticate(c.r); err != nil {
		c.cfg.Auth.Challenge(c.w, c.r, err)
		return nil
	}
	c.w.Header().Set("DAV", capabilities)
	mount.AddAttrs(c.r.Context(), slog.String(mount.KeyOrg, string(c.caller.Org.ID)), slog.String(mount.KeyCaller, c.caller.Name()))
	own := c.caller.Recipient
	switch {
	case c.caller.Partner != nil && c.caller.Account == nil,
		// What is closed to it as EWS is not open here.
		c.caller.ApplicationID != "" && c.caller.Org.RefusesEWS(c.caller.Site.Server, c.caller.ApplicationID):
		return &problem{status: http.StatusForbidden, text: "The application may not use calendars."}
	case own == nil || !own.IsMailbox() || !own.Enabled:
		return &problem{status: http.StatusForbidden, text: "The account has no mailbox here."}
	}
	if err := c.split(); err != nil {
		return err
	}
	if err := c.locate(); err != nil {
		return err
	}
	for _, m := range c.methods {
		if m.name == c.r.Method && m.allowedOn(c.resource.kind) {
			return m.handle(c)
		}
	}
	c.w.Header().Set("Allow", c.allow())
	return &problem{status: http.StatusMethodNotAllowed, text: "That cannot be done with this resource."}
}

func (c *call) options() error {
	c.w.Header().Set("Allow", c.allow())
	c.w.Header().Set("Content-Length", "0")
	c.w.WriteHeader(http.StatusOK)
	return nil
}

// split takes the path apart. Names tell upper from lower case, and mount does not.
func (c *call) split() error {
	u, err := url.ParseRequestURI(c.r.RequestURI)
	if err != nil {
		return &problem{status: http.StatusBadRequest, text: "The URL cannot be read."}
	}
	rest, ok := cutPath(u.EscapedPath())
	if !ok {
		return errNotFound
	}
	c.path = rest
	return nil
}

// cutPath decodes what follows /caldav/.
func cutPath(escaped string) (rest []string, ok bool) {
	if len(escaped) < len(root) || !strings.EqualFold(escaped[:len(root)], root) {
		return nil, strings.EqualFold(escaped, strings.TrimSuffix(root, "/"))
	}
	escaped = strings.TrimSuffix(escaped[len(root):], "/")
	if escaped == "" {
		return nil, true
	}
	for part := range strings.SplitSeq(escaped, "/") {
		p, err := url.PathUnescape(part)
		if err != nil || p == "" {
			return nil, false
		}
		rest = append(rest, p)
	}
	return rest, true
}

var places = map[string]kind{"principals": principalKind, "calendars": homeKind, "inbox": inboxKind, "outbox": outboxKind}

// locate finds what the path names, as far as the caller may know. A calendar and an
// object need not be there.
func (c *call) locate() error {
	res, err := c.find(c.path)
	c.resource = res
	return err
}

func (c *call) find(path []string) (res resource, err error) {
	if len(path) == 0 {
		return resource{kind: rootKind}, nil
	}
	k := places[strings.ToLower(path[0])]
	if k == noKind || len(path) < 2 || len(path) > 2 && k != homeKind || len(path) > 4 {
		return res, errNotFound
	}
	res.kind = k
	if res.owner, err = c.owner(path[1], &res); err != nil {
		return resource{}, err
	}
	if len(path) == 2 {
		return res, nil
	}
	res.kind, res.name = calendarKind, folderName(path[2])
	if res.folder, err = c.folder(res.owner, res.name); err != nil {
		return resource{}, err
	}
	if len(path) == 4 {
		if res.folder == nil {
			return resource{}, &problem{status: c.missing(), text: "There is no such calendar."}
		}
		res.kind, res.name = objectKind, path[3]
	}
	return res, nil
}

// missing is the status of a request for something whose parent is not there (RFC
// 4918 9.7.1).
func (c *call) missing() int {
	if c.r.Method == http.MethodPut {
		return http.StatusConflict
	}
	return http.StatusNotFound
}

// owner is whose resource it is. Others' are there for who may read all of them,
// and to be asked about busy times.
func (c *call) owner(name string, res *resource) (*directory.Recipient, error) {
	a, err := smtpaddr.Parse(name)
	if err != nil {
		return nil, errNotFound
	}
	own := c.caller.Recipient
	if own.HasAddress(a) {
		return own, nil
	}
	if res.foreign = true; res.kind != homeKind {
		return nil, errNotFound
	}
	r, err := c.cfg.Recipients.Recipient(c.r.Context(), c.caller.Org.ID, a)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return nil, errNotFound
	case err != nil:
		return nil, fmt.Errorf("look up %s: %w", a, err)
	case !r.IsMailbox() || !r.Enabled:
		return nil, errNotFound
	case !c.readable(r) && c.r.Method != "REPORT":
		return nil, errNotFound
	}
	return r, nil
}

// readable says whether the caller may read all that a mailbox has.
func (c *call) readable(r *directory.Recipient) bool {
	return availability.NewViewer(c.caller.Org, c.caller.Asker()).Level(r) >= freebusy.LevelOwner
}

// folderName is the name of a calendar as it is kept.
func folderName(name string) string {
	if strings.EqualFold(name, directory.MainFolder) {
		return ""
	}
	return name
}

// folder is a calendar of a mailbox, nil if there is none of the name.
func (c *call) folder(owner *directory.Recipient, name string) (*directory.CalendarFolder, error) {
	list, err := c.cfg.Calendars.Folders(c.r.Context(), owner)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].Name == name {
			return &list[i], nil
		}
	}
	return nil, nil
}

// there is the resource, or why there is none.
func (c *call) there() error {
	switch r := &c.resource; {
	case r.kind == calendarKind && r.folder == nil:
		return errNotFound
	case r.kind != objectKind || r.object != nil:
		return nil
	default:
		o, err := c.object(r, r.name)
		r.object = o
		return err
	}
}

// object reads one object of a calendar. Those of VAVAILABILITY are none.
func (c *call) object(r *resource, name string) (*Object, error) {
	o, err := c.cfg.Calendars.Object(c.r.Context(), r.owner, r.folder.Name, name)
	if errors.Is(err, directory.ErrNotFound) || err == nil && o.Availability {
		return nil, errNotFound
	}
	return o, err
}

// own refuses to change what is another's, or a copy of what is kept elsewhere.
func (c *call) own() error {
	switch r := &c.resource; {
	case r.foreign:
		return readOnly("The calendar is another's: who may read it does not change it here.")
	case directory.IsSourceFolder(r.name) && r.kind == calendarKind, r.folder != nil && directory.IsSourceFolder(r.folder.Name):
		return readOnly("The calendar is the copy of a calendar source, and changes with it.")
	}
	return nil
}

func href(parts ...string) string {
	var b strings.Builder
	b.WriteString(root)
	for _, p := range parts {
		b.WriteString(url.PathEscape(p))
		b.WriteByte('/')
	}
	return b.String()
}

// href is the URL of a resource.
func (r *resource) href() string {
	switch r.kind {
	case principalKind:
		return principalOf(r.owner)
	case homeKind:
		return homeOf(r.owner)
	case inboxKind:
		return inboxOf(r.owner)
	case outboxKind:
		return outboxOf(r.owner)
	case calendarKind:
		return calendarOf(r.owner, r.name)
	case objectKind:
		return calendarOf(r.owner, r.folder.Name) + url.PathEscape(r.name)
	}
	return root
}

func principalOf(r *directory.Recipient) string { return href("principals", r.Primary.String()) }
func homeOf(r *directory.Recipient) string      { return href("calendars", r.Primary.String()) }
func inboxOf(r *directory.Recipient) string     { return href("inbox", r.Primary.String()) }
func outboxOf(r *directory.Recipient) string    { return href("outbox", r.Primary.String()) }

func calendarOf(r *directory.Recipient, folder string) string {
	if folder == "" {
		folder = directory.MainFolder
	}
	return href("calendars", r.Primary.String(), folder)
}
