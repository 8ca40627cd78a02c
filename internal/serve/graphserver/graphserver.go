// Package graphserver answers getSchedule of Microsoft Graph, and nothing else of
// Graph. Sections in comments are those of the getSchedule reference.
//
// A call that cannot be answered at all has a status and a JSON error; what is
// wrong with one address stands in its own entry, with status 200 (3). Both are
// decided in problem.go. Who may see what of a calendar is the engine's decision,
// the same as for Exchange Web Services.
package graphserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/availability"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/serve/callers"
	"busybridge/internal/serve/mount"
	"busybridge/internal/spec/graph"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/wintz"
)

// DefaultMaxBody is the size of a request in bytes.
const DefaultMaxBody = 1 << 20

// An Asker answers questions; *availability.Engine is one.
type Asker interface {
	Ask(ctx context.Context, q *availability.Question) ([]availability.Answer, error)
}

// An Authenticator says who sent a request; *callers.Authenticator is one.
type Authenticator interface {
	Authenticate(r *http.Request) (*callers.Caller, error)
	Challenge(w http.ResponseWriter, r *http.Request, err error)
}

// Recipients looks mailboxes up. An unknown one is directory.ErrNotFound.
type Recipients interface {
	Recipient(ctx context.Context, org directory.OrgID, a smtpaddr.Address) (*directory.Recipient, error)
	RecipientByID(ctx context.Context, org directory.OrgID, id string) (*directory.Recipient, error)
	RecipientByUPN(ctx context.Context, org directory.OrgID, upn string) (*directory.Recipient, error)
}

// A Config is what a Server needs.
type Config struct {
	Engine     Asker            // required
	Auth       Authenticator    // required: for tokens of trust.Graph
	Recipients Recipients       // required
	Now        func() time.Time // required
	Log        *slog.Logger     // required
	MaxBody    int64            // bytes of a request; 0: DefaultMaxBody
}

// A Server answers Graph.
type Server struct{ cfg Config }

// New checks the configuration.
func New(cfg Config) (*Server, error) {
	if cfg.Engine == nil || cfg.Auth == nil || cfg.Recipients == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("Graph server: Engine, Auth, Recipients, Now and Log are required")
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	return &Server{cfg}, nil
}

// Routes are the server's routes; every one needs authentication. The action has
// a long name, too.
func (s *Server) Routes() []mount.Route {
	var routes []mount.Route
	for _, action := range []string{"getschedule", "microsoft.graph.getschedule"} {
		routes = append(routes,
			mount.Route{Pattern: "POST /v1.0/users/{id}/calendar/" + action, Handler: s.answered((*call).getSchedule), Name: "graph"},
			mount.Route{Pattern: "POST /v1.0/me/calendar/" + action, Handler: s.answered((*call).getSchedule), Name: "graph"})
	}
	// Not all below /v1.0: an authority on the same node has paths that begin with any realm.
	for _, path := range []string{"/v1.0/users/", "/v1.0/me", "/v1.0/me/"} {
		routes = append(routes, mount.Route{Pattern: path, Handler: s.answered((*call).unknown), Name: "graph-unknown"})
	}
	return routes
}

// A call is one request while it is answered.
type call struct {
	*Server
	r      *http.Request
	caller *callers.Caller
}

// answered runs an operation for whoever is let in. An operation returns the body
// of its answer and the zone that it is in.
func (s *Server) answered(op func(*call) ([]byte, string, error)) mount.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		c := &call{Server: s, r: r}
		var err error
		if c.caller, err = s.cfg.Auth.Authenticate(r); err != nil {
			return c.refuse(w, err)
		}
		mount.AddAttrs(r.Context(), slog.String(mount.KeyOrg, string(c.caller.Org.ID)), slog.String(mount.KeyCaller, c.caller.Name()))
		body, zone, err := op(c)
		if err != nil {
			return c.fail(w, err)
		}
		if zone != "" {
			w.Header().Set("Preference-Applied", graph.PreferZone(zone))
		}
		return write(w, http.StatusOK, body)
	}
}

func write(w http.ResponseWriter, status int, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "private")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}

// unknown is for the rest of Graph.
func (c *call) unknown() ([]byte, string, error) {
	path := strings.Trim(strings.TrimPrefix(c.r.URL.Path, "/v1.0"), "/")
	return nil, "", &problem{http.StatusBadRequest, "BadRequest",
		fmt.Sprintf("Resource not found for the segment '%s'.", clip(path[strings.LastIndexByte(path, '/')+1:]))}
}

// getSchedule answers for the addresses of the body (2, 3).
func (c *call) getSchedule() ([]byte, string, error) {
	if t, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return nil, "", errNotJSON // a web page can make a browser send other types
	}
	if err := c.anchor(); err != nil {
		return nil, "", err
	}
	prefer := graph.ZoneOf(c.r.Header.Values("Prefer"))
	zone, err := graph.Location(prefer)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, c.r.Body, c.cfg.MaxBody))
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", errUnreadable, err)
	}
	req, err := graph.ParseRequest(body)
	if err != nil {
		return nil, "", err
	}
	q, err := c.question(req)
	if err != nil {
		return nil, "", err
	}
	answers, err := c.cfg.Engine.Ask(c.r.Context(), q)
	if err != nil {
		return nil, "", fmt.Errorf("ask about %d schedules: %w", len(q.Attendees), err)
	}
	if len(answers) != len(q.Attendees) {
		return nil, "", fmt.Errorf("ask about %d schedules: got %d answers", len(q.Attendees), len(answers))
	}
	name := prefer
	if name == "" {
		name = "UTC"
	}
	list := make([]graph.Schedule, len(answers))
	for i := range answers {
		list[i] = c.schedule(q.Attendees[i].Raw, &answers[i].Reply, zone, name)
	}
	b, err := graph.Response("https://"+c.r.Host+"/v1.0", list)
	return b, prefer, err
}

// anchor checks the mailbox that the path names (1). Whose calendars are asked for
// does not depend on it. A partner does not learn which mailboxes exist: to it,
// every name in a domain of the organization is one.
func (c *call) anchor() error {
	id := c.r.PathValue("id")
	partner := c.caller.Partner
	if id == "" { // me
		switch r := c.caller.Recipient; {
		case partner != nil:
			return errNotDelegated
		case r == nil || !r.IsMailbox():
			return errNoMailbox
		}
		return nil
	}
	address, err := smtpaddr.Parse(id)
	if !directory.IsGUID(id) && (err != nil || !c.caller.Org.Accepts(address.Domain())) {
		return invalidUser(id)
	}
	if partner != nil && !c.caller.Org.AvailabilityConfig.RevealUnknownRecipients {
		return nil
	}
	r, err := c.mailbox(id, address)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return invalidUser(id)
	case err != nil:
		return fmt.Errorf("look up %s: %w", clip(id), err)
	case !r.IsMailbox() || !r.Enabled:
		return errNoMailbox
	}
	return nil
}

// mailbox looks up by GUID, by user principal name, and by address.
func (c *call) mailbox(id string, address smtpaddr.Address) (*directory.Recipient, error) {
	ctx, org := c.r.Context(), c.caller.Org.ID
	if address.IsZero() {
		return c.cfg.Recipients.RecipientByID(ctx, org, strings.ToLower(id))
	}
	r, err := c.cfg.Recipients.RecipientByUPN(ctx, org, strings.ToLower(id))
	if errors.Is(err, directory.ErrNotFound) {
		return c.cfg.Recipients.Recipient(ctx, org, address)
	}
	return r, err
}

// question checks the limits of a call (2).
func (c *call) question(req *graph.Request) (*availability.Question, error) {
	mount.AddAttrs(c.r.Context(), slog.Int(mount.KeyMailboxes, len(req.Schedules)))
	switch n := len(req.Schedules); {
	case n == 0:
		return nil, badRequest("ErrorMailboxDataArrayEmpty", "There are no target users in the schedules array.")
	case n > graph.MaxSchedules:
		return nil, badRequest("ErrorMailboxDataArrayTooBig",
			fmt.Sprintf("There are too many target users in the schedules array. The allowed size = %d; the actual size = %d.", graph.MaxSchedules, n))
	}
	slot := freebusy.DefaultSlot
	if m := req.Interval; m != 0 {
		if m < graph.Minutes(freebusy.MinSlot/time.Minute) || m > graph.Minutes(freebusy.MaxSlot/time.Minute) {
			return nil, badRequest("ErrorInvalidMergedFreeBusyInterval", fmt.Sprintf("The availabilityViewInterval is invalid. The allowed values are %d to %d minutes.",
				freebusy.MinSlot/time.Minute, freebusy.MaxSlot/time.Minute))
		}
		slot = time.Duration(m) * time.Minute
	}
	start, err := req.Start.UTC()
	if err != nil {
		return nil, err
	}
	end, err := req.End.UTC()
	if err != nil {
		return nil, err
	}
	// In seconds: centuries do not fit into a Duration.
	switch seconds := end.Unix() - start.Unix(); {
	case !start.Before(end):
		return nil, badRequest("ErrorInvalidTimeInterval", "The time duration specified for startTime and endTime is invalid.")
	case seconds > int64(freebusy.MaxWindow/time.Second):
		const day = 24 * 60 * 60
		return nil, badRequest("ErrorTimeIntervalTooBig", fmt.Sprintf("The requested time duration specified for startTime and endTime is too long. The allowed limit = %d days; the actual limit = %d days.",
			freebusy.MaxWindow/(24*time.Hour), (seconds+day-1)/day))
	}
	window, err := freebusy.NewWindow(start, end)
	if err != nil {
		return nil, err
	}
	q := &availability.Question{
		Org: c.caller.Org, Server: c.caller.Site.Server, Caller: c.caller.Asker(),
		Attendees: make([]availability.Attendee, len(req.Schedules)), Window: window, View: freebusy.ViewDetailedMerged, Slot: slot,
		RequestID: mount.RequestID(c.r.Context()),
	}
	for i, name := range req.Schedules {
		q.Attendees[i].Raw = name
		q.Attendees[i].Address, _ = smtpaddr.Parse(name) // what is none gets an answer of its own
	}
	return q, nil
}

// schedule is the entry of one address, in the zone of the answer.
func (c *call) schedule(id string, r *routing.Reply, zone *time.Location, name string) graph.Schedule {
	if r.Err != nil {
		return graph.Schedule{ID: id, Error: c.mailboxError(r.Err)}
	}
	s := graph.Schedule{ID: id, View: r.Merged, Items: make([]graph.Item, len(r.Events))}
	for i := range r.Events {
		e, it := &r.Events[i], &s.Items[i]
		*it = graph.Item{
			Status: e.Status.GraphName(),
			Start:  graph.DateTime{Wall: wintz.Wall(zone, e.Start), Zone: name}, End: graph.DateTime{Wall: wintz.Wall(zone, e.End), Zone: name},
		}
		if d := e.Detail; d != nil && (!d.Private || d.ID != "") { // only who may see it has the ID of a private one
			it.Private, it.Subject, it.Location = &d.Private, d.Subject, d.Location
		}
	}
	if r.Hours != nil && len(r.Hours.Periods) > 0 {
		p := r.Hours.Periods[0]
		s.Hours = &graph.WorkingHours{Days: p.Days, Start: p.Start, End: p.End, Zone: r.Hours.Zone}
	}
	return s
}

// clientRequest is the caller's own id of a request, a GUID (2).
func (c *call) clientRequest(own string) string {
	if id, err := uuid.Parse(c.r.Header.Get("client-request-id")); err == nil {
		return id.String()
	}
	return own
}

func (c *call) errorBody(code, message string) ([]byte, error) {
	id := mount.RequestID(c.r.Context())
	return json.Marshal(&graph.Error{Code: code, Message: message, Date: c.cfg.Now(), RequestID: id, ClientRequest: c.clientRequest(id)})
}
