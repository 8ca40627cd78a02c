package admin

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/google/uuid"

	"busybridge/internal/directory"
)

// CalendarSources is what follows the sources of calendars.
type CalendarSources interface {
	// Update makes an attempt now, whose outcome is in source.State then. Of a source
	// that is disabled or Removed it deletes the copy, and asks nobody.
	Update(ctx context.Context, source *directory.CalendarSource) error
	// Test asks the source and keeps nothing.
	Test(ctx context.Context, source *directory.CalendarSource) directory.CalendarSourceTest
}

var errNoSources = errors.New("calendar sources are not followed here")

const sourceNoun = "CalendarSource"

// CalendarSources are those of a mailbox ("": of all) by name, without their
// secrets.
func (s *Service) CalendarSources(ctx context.Context, actor Actor, op string, org directory.OrgID, mailbox string) ([]*directory.CalendarSource, error) {
	if err := s.permitView(ctx, actor, op, scope{org: org, object: sourceNoun + "s"}); err != nil {
		return nil, err
	}
	id := ""
	if mailbox != "" {
		r, err := s.find(ctx, org, mailbox, directory.MailboxTypes()...)
		if err != nil {
			return nil, err
		}
		id = r.ID
	}
	list, err := s.Store.CalendarSources(ctx, org, id)
	list = slices.DeleteFunc(list, func(v *directory.CalendarSource) bool { return v.Removed })
	for _, v := range list {
		veil(v)
	}
	return list, err
}

// veil takes the secrets from a source.
func veil(v *directory.CalendarSource) {
	v.URL = directory.SecretURL(v.URL.String())
	withhold(&v.Password)
}

// NewCalendarSource adds a source to a mailbox; what has a default may be zero. It
// is asked as soon as a server runs.
func (s *Service) NewCalendarSource(ctx context.Context, actor Actor, org directory.OrgID, mailbox string, v directory.CalendarSource) (res Result[*directory.CalendarSource], err error) {
	const op = "New-MailboxCalendarSource"
	sc := scope{org: org, object: sourceNoun + " " + mailbox + `\` + v.Name}
	// Who may not change does not learn whom there is either.
	err = s.permit(ctx, actor, op, sc)
	var r *directory.Recipient
	if err == nil {
		r, err = s.find(ctx, org, mailbox, directory.MailboxTypes()...)
	}
	if err != nil {
		return res, s.finish(ctx, actor, op, sc, err)
	}
	v.Org, v.Mailbox, v.ID = org, r.ID, uuid.NewString()
	v.Complete(r)
	v.URL = canonicalURL(v.URL)
	err = s.run(ctx, actor, op, sc, func(tx Tx) (outcome, error) {
		list, err := tx.CalendarSources(ctx, org, r.ID)
		if err == nil && len(list) >= directory.MaxCalendarSources {
			err = fmt.Errorf("%s has %d calendar sources, the limit is %d", r.Primary, len(list), directory.MaxCalendarSources)
		}
		if err == nil {
			err = tx.PutCalendarSource(ctx, &v)
		}
		return outcome{changed: true, after: v}, err
	})
	veil(&v)
	return Result[*directory.CalendarSource]{Object: &v, Changed: true}, err
}

// canonicalURL knows the scheme by which calendars are subscribed to.
func canonicalURL(u directory.SecretURL) directory.SecretURL {
	for _, scheme := range []string{"webcal://", "webcals://"} {
		if n := len(scheme); len(u) > n && strings.EqualFold(string(u[:n]), scheme) {
			return "https://" + u[n:]
		}
	}
	return u
}

// SetCalendarSource changes the source with the id. Its copy stays until the source
// was read again; that of a disabled one goes away.
func (s *Service) SetCalendarSource(ctx context.Context, actor Actor, org directory.OrgID, id string, fn func(*directory.CalendarSource) error) (Result[*directory.CalendarSource], error) {
	return s.changeSource(ctx, actor, "Set-MailboxCalendarSource", org, id, func(v *directory.CalendarSource) error {
		was := *v
		if err := fn(v); err != nil {
			return err
		}
		v.Org, v.ID, v.Mailbox, v.Removed, v.State = was.Org, was.ID, was.Mailbox, was.Removed, was.State
		v.URL = canonicalURL(v.URL)
		return nil
	})
}

// RemoveCalendarSource removes the source with the id, and its copy.
func (s *Service) RemoveCalendarSource(ctx context.Context, actor Actor, org directory.OrgID, id string) (Result[*directory.CalendarSource], error) {
	return s.changeSource(ctx, actor, "Remove-MailboxCalendarSource", org, id, func(v *directory.CalendarSource) error {
		v.Removed, v.Password = true, nil
		return nil
	})
}

func (s *Service) changeSource(ctx context.Context, actor Actor, op string, org directory.OrgID, id string, fn func(*directory.CalendarSource) error) (res Result[*directory.CalendarSource], err error) {
	sc := scope{org: org, object: sourceNoun + " " + id}
	err = s.run(ctx, actor, op, sc, func(tx Tx) (outcome, error) {
		was, err := sourceOf(ctx, tx.CalendarSources, org, id)
		if err != nil {
			return outcome{}, err
		}
		v := *was
		res.Object = &v
		if err := fn(&v); err != nil {
			return outcome{}, err
		}
		if reflect.DeepEqual(&v, was) {
			return outcome{}, nil
		}
		res.Changed = true
		// An attempt may be under way with what was set before: what it leaves is not known.
		v.State.Forget()
		o := outcome{changed: true, before: was, after: &v, object: sourceNoun + " " + was.Name}
		if v.Removed {
			o.after = nil
		}
		return o, tx.PutCalendarSource(ctx, &v)
	})
	if err != nil {
		return Result[*directory.CalendarSource]{}, err
	}
	v := *res.Object
	if res.Changed && (v.Removed || !v.Enabled) {
		err := errNoSources
		if s.Sources != nil {
			err = s.Sources.Update(ctx, &v)
		}
		if err != nil {
			res.Warnings = append(res.Warnings, fmt.Sprintf("the copy of %s is still there (%v): a server that runs takes it away", v.Name, err))
		}
	}
	veil(res.Object)
	return res, nil
}

// sourceOf is the source with the id.
func sourceOf(ctx context.Context, sources func(ctx context.Context, org directory.OrgID, mailbox string) ([]*directory.CalendarSource, error), org directory.OrgID, id string) (*directory.CalendarSource, error) {
	list, err := sources(ctx, org, "")
	if err != nil {
		return nil, err
	}
	for _, v := range list {
		if strings.EqualFold(v.ID, id) && !v.Removed {
			return v, nil
		}
	}
	return nil, &NotFoundError{sourceNoun, id}
}

// UpdateCalendarSource asks the source with the id now.
func (s *Service) UpdateCalendarSource(ctx context.Context, actor Actor, org directory.OrgID, id string) (*directory.CalendarSource, error) {
	v, err := s.ask(ctx, actor, "Update-MailboxCalendarSource", org, id, func(v *directory.CalendarSource) (any, error) {
		err := s.Sources.Update(ctx, v)
		return v.State, err
	})
	if v != nil {
		veil(v)
	}
	return v, err
}

// TestCalendarSource asks the source with the id and keeps nothing.
func (s *Service) TestCalendarSource(ctx context.Context, actor Actor, org directory.OrgID, id string) (t directory.CalendarSourceTest, err error) {
	_, err = s.ask(ctx, actor, "Test-MailboxCalendarSource", org, id, func(v *directory.CalendarSource) (any, error) {
		t = s.Sources.Test(ctx, v)
		return t, nil
	})
	return t, err
}

// ask runs what asks a source on behalf of the actor; what do returns is kept in
// the audit trail.
func (s *Service) ask(ctx context.Context, actor Actor, op string, org directory.OrgID, id string, do func(*directory.CalendarSource) (any, error)) (v *directory.CalendarSource, err error) {
	sc := scope{org: org, object: sourceNoun + " " + id}
	if err = s.permit(ctx, actor, op, sc); err == nil && s.Sources == nil {
		err = errNoSources
	}
	if err == nil {
		v, err = sourceOf(ctx, s.Store.CalendarSources, org, id)
	}
	var after any
	if err == nil {
		sc.object = sourceNoun + " " + v.Name
		after, err = do(v)
	}
	if err != nil {
		return nil, s.finish(ctx, actor, op, sc, err)
	}
	e, err := s.event(actor, op, sc, outcome{after: after}, nil)
	if err == nil {
		err = s.Audit.Record(ctx, e)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: done, but not in the audit trail: %w", op, sc.object, err)
	}
	return v, nil
}
