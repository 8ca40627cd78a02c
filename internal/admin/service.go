package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"time"

	"busybridge/internal/audit"
	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/trust"
)

// An Actor is who asks for an operation.
type Actor struct {
	Name  string          // of the account, or "system", "lab"
	Org   directory.OrgID // its organization; empty for an account of a realm
	Realm string          // its realm, or the tenant of its organization, if any: a GUID
	Roles []string
	// System is the operator of the deployment: everything is allowed.
	System    bool
	RequestID string // goes into the audit event
}

// A Reader finds objects; what is not there is directory.ErrNotFound.
type Reader interface {
	Organization(ctx context.Context, id directory.OrgID) (*directory.Organization, error)
	Recipient(ctx context.Context, org directory.OrgID, a smtpaddr.Address) (*directory.Recipient, error)
	RecipientByID(ctx context.Context, org directory.OrgID, id string) (*directory.Recipient, error)
	RecipientByUPN(ctx context.Context, org directory.OrgID, upn string) (*directory.Recipient, error)
	RecipientsByName(ctx context.Context, org directory.OrgID, name string) ([]*directory.Recipient, error)
	Recipients(ctx context.Context, org directory.OrgID) iter.Seq2[*directory.Recipient, error]
	Account(ctx context.Context, userName string) (*directory.Account, error)
	Accounts(ctx context.Context, owner string) ([]*directory.Account, error)
	AuditEvents(ctx context.Context, f audit.Filter) iter.Seq2[audit.Event, error]
	Realm(ctx context.Context, idOrDomain string) (*directory.Realm, error)
	AuthorityConfig(ctx context.Context) (*directory.AuthorityConfig, error)
	CalendarSources(ctx context.Context, org directory.OrgID, mailbox string) ([]*directory.CalendarSource, error)
}

// A Tx is one transaction of a store: its changes and its audit event are kept
// together or not at all. A name that is there already is directory.ErrExists.
type Tx interface {
	CreateOrganization(context.Context, *directory.Organization) error
	UpdateOrganization(context.Context, directory.OrgID, func(*directory.Organization) error) (*directory.Organization, error)
	// RestoreOrganization is UpdateOrganization that leaves identity and times as fn gives them.
	RestoreOrganization(context.Context, directory.OrgID, func(*directory.Organization) error) (*directory.Organization, error)
	CreateRecipient(context.Context, *directory.Recipient) error
	UpdateRecipient(ctx context.Context, org directory.OrgID, id string, fn func(*directory.Recipient) error) (*directory.Recipient, error)
	DeleteRecipient(ctx context.Context, org directory.OrgID, id string) error
	Recipient(ctx context.Context, org directory.OrgID, a smtpaddr.Address) (*directory.Recipient, error)
	RecipientsByName(ctx context.Context, org directory.OrgID, name string) ([]*directory.Recipient, error)
	// RecipientsNaming are those that hold the address in any of their fields.
	RecipientsNaming(ctx context.Context, org directory.OrgID, a smtpaddr.Address) ([]*directory.Recipient, error)
	// AddressIn is an address that the pattern covers and none of besides does; "": there is none.
	AddressIn(ctx context.Context, org directory.OrgID, pattern string, besides ...string) (string, error)
	Account(ctx context.Context, userName string) (*directory.Account, error)
	Accounts(ctx context.Context, owner string) ([]*directory.Account, error)
	AccountsAt(ctx context.Context, org directory.OrgID, a smtpaddr.Address) ([]*directory.Account, error)
	PutAccount(context.Context, *directory.Account) error
	DeleteAccount(ctx context.Context, owner, userName string) error
	CreateRealm(context.Context, *directory.Realm) error
	UpdateRealm(ctx context.Context, id string, fn func(*directory.Realm) error) (*directory.Realm, error)
	SetAuthorityConfig(context.Context, *directory.AuthorityConfig) error
	CalendarSources(ctx context.Context, org directory.OrgID, mailbox string) ([]*directory.CalendarSource, error)
	PutCalendarSource(context.Context, *directory.CalendarSource) error
	audit.Recorder
}

// A Store is what operations change. [Over] makes one.
type Store interface {
	Reader
	audit.Recorder
	Change(ctx context.Context, fn func(Tx) error) error
}

// Over makes a Store of one whose transactions have a type of their own.
func Over[T Tx](s interface {
	Reader
	audit.Recorder
	Change(ctx context.Context, fn func(T) error) error
}) Store {
	return over[T]{s, s, s.Change}
}

type over[T Tx] struct {
	Reader
	audit.Recorder
	change func(context.Context, func(T) error) error
}

func (o over[T]) Change(ctx context.Context, fn func(Tx) error) error {
	return o.change(ctx, func(tx T) error { return fn(tx) })
}

// Calendars is where calendar files go.
type Calendars interface {
	Import(ctx context.Context, mailbox *directory.Recipient, name string, r io.Reader) (directory.ImportSummary, error)
}

// Config of a Service.
type Config struct {
	Store     Store            // required
	Calendars Calendars        // needed by ImportCalendar
	Sources   CalendarSources  // needed by UpdateCalendarSource and TestCalendarSource
	Metadata  trust.Metadata   // needed where a metadata URL is given
	Audit     audit.Recorder   // keeps refusals and imports; default Store
	Now       func() time.Time // required
	Log       *slog.Logger     // default: nothing is logged
	// Published asks the authorization servers of an organization whether they know
	// its certificate, as trust.Tokens does; nil: nobody is asked.
	Published func(ctx context.Context, org *directory.Organization, thumbprint string) []trust.Publication
	// NewCertificate makes signing certificates; default trust.NewSigningCertificate.
	NewCertificate func(subject string, now, until time.Time) (directory.Certificate, error)
}

// A Service runs operations. It is safe for concurrent use.
type Service struct{ Config }

// New checks the configuration.
func New(c Config) (*Service, error) {
	if c.Store == nil || c.Now == nil {
		return nil, errors.New("admin: Config.Store and Now are required")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Audit == nil {
		c.Audit = c.Store
	}
	if c.NewCertificate == nil {
		c.NewCertificate = trust.NewSigningCertificate
	}
	return &Service{c}, nil
}

// A Result is what an operation leaves behind.
type Result[T any] struct {
	// Object is the object as it is now; that of a Remove is what it was.
	Object T
	// Changed is false when everything was so already (cmdlet reference 3.5).
	Changed  bool
	Warnings []string
}

// A scope is what an operation is about.
type scope struct {
	org     directory.OrgID
	realm   string // GUID
	object  string // kind and name, for the audit event
	account string // the user name whose own operation it is, if any
	mailbox *directory.Recipient
}

func (sc scope) owner() string {
	if sc.realm != "" {
		return sc.realm
	}
	return string(sc.org)
}

// An outcome is what happened in a transaction: before and after are written
// into the audit event as JSON, nil is nothing.
type outcome struct {
	changed       bool
	before, after any
	object        string // kind and name as they are in the store; "": as the scope says
}

// run is the way of every operation: permission, one transaction with its audit
// event. A failed operation is recorded by itself, for its transaction is gone.
func (s *Service) run(ctx context.Context, actor Actor, op string, sc scope, fn func(Tx) (outcome, error)) error {
	err := s.permit(ctx, actor, op, sc)
	if err == nil {
		err = s.Store.Change(ctx, func(tx Tx) error {
			o, err := fn(tx)
			if err != nil || !o.changed {
				return err
			}
			sc.object = cmp.Or(o.object, sc.object)
			e, err := s.event(actor, op, sc, o, nil)
			if err != nil {
				return err
			}
			return tx.Record(ctx, e)
		})
	}
	return s.finish(ctx, actor, op, sc, err)
}

// finish names the operation in err and records the failure.
func (s *Service) finish(ctx context.Context, actor Actor, op string, sc scope, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s %s: %w", op, sc.object, err)
	// The request may be over, and its failure is to be kept all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	e, failed := s.event(actor, op, sc, outcome{}, err)
	if failed == nil {
		failed = s.Audit.Record(ctx, e)
	}
	if failed != nil {
		s.Log.ErrorContext(ctx, "failed operation is not in the audit trail", "operation", op, "err", failed)
		err = errors.Join(err, failed)
	}
	return err
}

func (s *Service) event(actor Actor, op string, sc scope, o outcome, failure error) (audit.Event, error) {
	e := audit.Event{
		At: s.Now(), Org: sc.owner(), Actor: actor.Name, Operation: op, Object: sc.object, Outcome: "done", RequestID: actor.RequestID,
	}
	if failure != nil {
		e.Outcome = failure.Error()
	}
	if errors.Is(failure, ErrForbidden) && !actor.System {
		e.Org = cmp.Or(string(actor.Org), actor.Realm) // nothing in the trail of an organization that is not the actor's
	}
	for _, p := range []struct {
		text  *string
		value any
	}{{&e.Before, o.before}, {&e.After, o.after}} {
		if p.value == nil {
			continue
		}
		b, err := json.Marshal(p.value)
		if err != nil {
			return audit.Event{}, fmt.Errorf("audit event of %s: %w", op, err)
		}
		*p.text = string(b)
	}
	return e, nil
}
