package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/smtpaddr"
)

// MailboxParams describe a new mailbox with its account.
type MailboxParams struct {
	Name     string // required; the display name unless DisplayName is set
	Alias    string // default from Name
	Primary  string // default alias@default accepted domain
	Proxies  []string
	UPN      string // default Primary
	Type     string // default UserMailbox
	TimeZone string // required: a Windows zone id
	// Password of the account. A room, equipment or shared mailbox may do without one.
	Password    string
	Roles       []string
	DisplayName string
}

var errNoPassword = errors.New("a user mailbox needs a password")

// NewMailbox makes a mailbox whose calendar is kept here, with the default
// permissions and working hours, and the account that signs in to it with its
// UPN (cmdlet reference 12.1, 13.3).
func (s *Service) NewMailbox(ctx context.Context, actor Actor, org directory.OrgID, p MailboxParams) (Result[*directory.Recipient], error) {
	p.Type = cmp.Or(p.Type, directory.UserMailbox)
	r := &directory.Recipient{
		Org: org, Type: p.Type, DisplayName: cmp.Or(p.DisplayName, p.Name), Alias: cmp.Or(p.Alias, aliasOf(p.Name)), UPN: p.UPN, Enabled: true,
		Calendar:    directory.DefaultCalendar(p.TimeZone),
		Permissions: []directory.Permission{{User: "Default", Level: freebusy.LevelTime}, {User: "Anonymous", Level: freebusy.LevelNone}},
	}
	return s.newRecipient(ctx, actor, "New-Mailbox", r, p.Primary, p.Proxies, p.Password, p.Roles)
}

// MailUserParams describe a new mail user: an entry whose calendar is elsewhere.
type MailUserParams struct {
	Name            string // required
	ExternalAddress string // required: the target address, which decides the route
	Alias           string
	Primary         string // default alias@default accepted domain
	Proxies         []string
	UPN             string // default Primary
	Password        string // empty: no account
	DisplayName     string
}

// NewMailUser makes a mail user (cmdlet reference 12.2).
func (s *Service) NewMailUser(ctx context.Context, actor Actor, org directory.OrgID, p MailUserParams) (Result[*directory.Recipient], error) {
	const op = "New-MailUser"
	r := &directory.Recipient{
		Org: org, Type: directory.MailUser, DisplayName: cmp.Or(p.DisplayName, p.Name), Alias: cmp.Or(p.Alias, aliasOf(p.Name)), UPN: p.UPN, Enabled: true,
	}
	sc := scope{org: org, object: "MailUser " + p.Name}
	err := s.permit(ctx, actor, op, sc)
	if err == nil {
		if r.ExternalAddress, err = smtpaddr.Parse(p.ExternalAddress); err != nil {
			err = fmt.Errorf("target address: %w", err)
		}
	}
	if err != nil {
		return Result[*directory.Recipient]{}, s.finish(ctx, actor, op, sc, err)
	}
	return s.newRecipient(ctx, actor, op, r, p.Primary, p.Proxies, p.Password, nil)
}

// aliasOf makes an alias of a name: what an address cannot have is left out.
func aliasOf(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
			return c
		}
		return -1
	}, name)
}

func (s *Service) newRecipient(ctx context.Context, actor Actor, op string, r *directory.Recipient, primary string, proxies []string, password string, roles []string) (Result[*directory.Recipient], error) {
	res := Result[*directory.Recipient]{Changed: true}
	sc := scope{org: r.Org, object: r.Type + " " + r.DisplayName}
	account, err := s.prepareRecipient(ctx, actor, op, sc, r, primary, proxies, password, roles)
	if err != nil {
		return res, s.finish(ctx, actor, op, sc, err)
	}
	err = s.run(ctx, actor, op, sc, func(tx Tx) (outcome, error) {
		if err := tx.CreateRecipient(ctx, r); err != nil {
			return outcome{}, err
		}
		if account != nil {
			if err := putNewAccount(ctx, tx, account); err != nil {
				return outcome{}, err
			}
		}
		return outcome{changed: true, after: r}, nil
	})
	res.Object = r
	return res, err
}

// prepareRecipient fills in addresses and makes the account; nil: none.
func (s *Service) prepareRecipient(ctx context.Context, actor Actor, op string, sc scope, r *directory.Recipient, primary string, proxies []string, password string, roles []string) (*directory.Account, error) {
	if err := s.permit(ctx, actor, op, sc); err != nil {
		return nil, err
	}
	o, err := s.Store.Organization(ctx, r.Org)
	if err != nil {
		return nil, err
	}
	if r.Primary, err = accepted(o, cmp.Or(primary, r.Alias+"@"+o.DefaultDomain())); err != nil {
		return nil, err
	}
	for _, p := range proxies {
		a, err := accepted(o, p)
		if err != nil {
			return nil, err
		}
		r.Proxies = append(r.Proxies, a)
	}
	upn, err := accepted(o, cmp.Or(r.UPN, r.Primary.String()))
	if err != nil {
		return nil, fmt.Errorf("user principal name: %w", err)
	}
	r.UPN = upn.String()
	switch {
	case password != "":
		return newAccount(r.Org, AccountParams{UserName: r.UPN, Password: password, Address: r.Primary, Roles: roles})
	case r.Type == directory.UserMailbox:
		return nil, errNoPassword
	}
	return nil, nil
}

// accepted parses an address that the organization must accept mail for.
func accepted(o *directory.Organization, s string) (smtpaddr.Address, error) {
	a, err := smtpaddr.Parse(s)
	if err != nil {
		return a, err
	}
	if !o.Accepts(a.Domain()) {
		return a, fmt.Errorf("address %s: %s is no accepted domain of %s", a, a.Domain(), o.Name)
	}
	return a, nil
}

// mailbox resolves an identity: an address, a user principal name or a GUID.
func (s *Service) mailbox(ctx context.Context, org directory.OrgID, identity string) (*directory.Recipient, error) {
	var r *directory.Recipient
	err := directory.ErrNotFound
	if id := strings.ToLower(identity); directory.IsGUID(id) {
		r, err = s.Store.RecipientByID(ctx, org, id)
	} else if a, bad := smtpaddr.Parse(identity); bad == nil {
		if r, err = s.Store.Recipient(ctx, org, a); errors.Is(err, directory.ErrNotFound) {
			r, err = s.Store.RecipientByUPN(ctx, org, a.String())
		}
	}
	switch {
	case errors.Is(err, directory.ErrNotFound) || err == nil && !r.IsMailbox():
		return nil, &NotFoundError{"mailbox", identity}
	case err != nil:
		return nil, err
	}
	return r, nil
}

// setMailbox changes the mailbox that identity names.
func (s *Service) setMailbox(ctx context.Context, actor Actor, op string, org directory.OrgID, identity string, fn func(*directory.Recipient) error) (Result[*directory.Recipient], error) {
	var res Result[*directory.Recipient]
	sc := scope{org: org, object: "Mailbox " + identity}
	err := s.permit(ctx, actor, op, sc)
	var r *directory.Recipient
	if err == nil {
		r, err = s.mailbox(ctx, org, identity)
	}
	if err != nil {
		return res, s.finish(ctx, actor, op, sc, err)
	}
	err = s.run(ctx, actor, op, sc, func(tx Tx) (outcome, error) {
		var before json.RawMessage
		now, err := tx.UpdateRecipient(ctx, org, r.ID, func(r *directory.Recipient) (err error) {
			if before, err = json.Marshal(r); err != nil {
				return err
			}
			return fn(r)
		})
		if err != nil {
			return outcome{}, err
		}
		after, err := json.Marshal(now)
		res = Result[*directory.Recipient]{Object: now, Changed: string(after) != string(before)}
		return outcome{res.Changed, before, json.RawMessage(after)}, err
	})
	return res, err
}

// SetMailboxCalendarConfiguration changes working hours and time zone (cmdlet
// reference 13.1).
func (s *Service) SetMailboxCalendarConfiguration(ctx context.Context, actor Actor, org directory.OrgID, mailbox string, fn func(*directory.CalendarConfiguration) error) (Result[*directory.Recipient], error) {
	return s.setMailbox(ctx, actor, "Set-MailboxCalendarConfiguration", org, mailbox, func(r *directory.Recipient) error { return fn(&r.Calendar) })
}

// SetMailboxFolderPermission says how much of the mailbox's calendar a user may
// see, in place of what was said before (cmdlet reference 13.3). User is Default,
// Anonymous, or a recipient of the organization.
func (s *Service) SetMailboxFolderPermission(ctx context.Context, actor Actor, org directory.OrgID, mailbox, user string, level freebusy.Level) (Result[*directory.Recipient], error) {
	return s.setMailbox(ctx, actor, "Set-MailboxFolderPermission", org, mailbox, func(r *directory.Recipient) error {
		user, err := s.folderUser(ctx, org, user)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(r.Permissions, func(p directory.Permission) bool { return p.User == user }); i >= 0 {
			r.Permissions[i].Level = level
			return nil
		}
		r.Permissions = append(r.Permissions, directory.Permission{User: user, Level: level})
		return nil
	})
}

func (s *Service) folderUser(ctx context.Context, org directory.OrgID, user string) (string, error) {
	for _, special := range []string{"Default", "Anonymous"} {
		if strings.EqualFold(user, special) {
			return special, nil
		}
	}
	a, err := smtpaddr.Parse(user)
	if err == nil {
		var r *directory.Recipient
		if r, err = s.Store.Recipient(ctx, org, a); err == nil {
			return r.Primary.String(), nil
		}
	}
	return "", fmt.Errorf("the user %q is no SMTP address, or nobody here has it: %w", user, err)
}

var errNoCalendars = errors.New("no calendars are kept here")

// ImportCalendar reads a calendar file into a mailbox: its own account may, and
// who has RoleImport.
func (s *Service) ImportCalendar(ctx context.Context, actor Actor, org directory.OrgID, mailbox, fileName string, file io.Reader) (directory.ImportSummary, error) {
	const op = "Import-Calendar"
	sc := scope{org: org, object: "Mailbox " + mailbox}
	sum, err := s.importCalendar(ctx, actor, op, &sc, mailbox, fileName, file)
	if err != nil {
		return sum, s.finish(ctx, actor, op, sc, err)
	}
	e, err := s.event(actor, op, sc, outcome{after: sum}, nil)
	if err == nil {
		err = s.Audit.Record(ctx, e)
	}
	if err != nil {
		return sum, fmt.Errorf("%s %s: imported, but not in the audit trail: %w", op, sc.object, err)
	}
	return sum, nil
}

func (s *Service) importCalendar(ctx context.Context, actor Actor, op string, sc *scope, mailbox, fileName string, file io.Reader) (directory.ImportSummary, error) {
	if s.Calendars == nil {
		return directory.ImportSummary{}, errNoCalendars
	}
	// Somebody of another organization does not learn which mailboxes there are.
	if !actor.System && actor.Org != sc.org {
		return directory.ImportSummary{}, s.permit(ctx, actor, op, *sc)
	}
	r, missing := s.mailbox(ctx, sc.org, mailbox)
	if missing == nil {
		sc.mailbox = r
	}
	if err := s.permit(ctx, actor, op, *sc); err != nil {
		return directory.ImportSummary{}, err
	}
	if missing != nil {
		return directory.ImportSummary{}, missing
	}
	return s.Calendars.Import(ctx, r, fileName, file)
}
