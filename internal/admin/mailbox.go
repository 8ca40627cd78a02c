package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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

	FirstName, LastName, SamAccountName string
	ResourceCapacity                    int
}

func (p *MailboxParams) draft(org directory.OrgID) draft {
	return draft{
		r: &directory.Recipient{
			Org: org, Type: cmp.Or(p.Type, directory.UserMailbox), DisplayName: cmp.Or(p.DisplayName, p.Name), Alias: cmp.Or(p.Alias, aliasOf(p.Name)), UPN: p.UPN, Enabled: true,
			FirstName: p.FirstName, LastName: p.LastName, SamAccountName: p.SamAccountName, ResourceCapacity: p.ResourceCapacity,
			Calendar:    directory.DefaultCalendar(p.TimeZone),
			Permissions: []directory.Permission{{User: "Default", Level: freebusy.LevelTime}, {User: "Anonymous", Level: freebusy.LevelNone}},
		},
		name: p.Name, primary: p.Primary, proxies: p.Proxies, password: p.Password, roles: p.Roles,
	}
}

var errNoPassword = errors.New("a user mailbox needs a password")

// NewMailbox makes a mailbox whose calendar is kept here, with the default
// permissions and working hours, and the account that signs in to it with its
// UPN (cmdlet reference 12.1, 13.3).
func (s *Service) NewMailbox(ctx context.Context, actor Actor, org directory.OrgID, p MailboxParams) (Result[*directory.Recipient], error) {
	return s.newRecipient(ctx, actor, "New-Mailbox", p.draft(org))
}

// EnableMailbox makes a mailbox for an account that is there and has none. Of p,
// UPN, password and roles do not count: they are the account's. The name may be
// left out.
func (s *Service) EnableMailbox(ctx context.Context, actor Actor, org directory.OrgID, userName string, p MailboxParams) (Result[*directory.Recipient], error) {
	userName = canonicalUser(userName)
	if p.Name == "" {
		p.Name, _, _ = strings.Cut(userName, "@")
	}
	d := p.draft(org)
	d.userName = userName
	d.r.UPN = d.userName
	return s.newRecipient(ctx, actor, "Enable-Mailbox", d)
}

// SetMailbox changes the mailbox that identity names (FindRecipient says how).
// Its account, and the permissions that others gave to it, follow when its
// addresses or its user principal name change.
func (s *Service) SetMailbox(ctx context.Context, actor Actor, org directory.OrgID, identity string, fn func(*directory.Recipient) error) (Result[*directory.Recipient], error) {
	return s.setMailbox(ctx, actor, "Set-Mailbox", org, identity, fn)
}

func (s *Service) setMailbox(ctx context.Context, actor Actor, op string, org directory.OrgID, identity string, fn func(*directory.Recipient) error) (Result[*directory.Recipient], error) {
	return s.setRecipient(ctx, actor, op, org, identity, directory.MailboxTypes(), fn)
}

// DisableMailbox removes the mailbox with its calendar and keeps the account.
func (s *Service) DisableMailbox(ctx context.Context, actor Actor, org directory.OrgID, identity string) (Result[*directory.Recipient], error) {
	return s.removeRecipient(ctx, actor, "Disable-Mailbox", org, identity, directory.MailboxTypes(), true)
}

// RemoveMailbox removes the mailbox with its calendar, its account, and the
// permissions that others gave to it.
func (s *Service) RemoveMailbox(ctx context.Context, actor Actor, org directory.OrgID, identity string) (Result[*directory.Recipient], error) {
	return s.removeRecipient(ctx, actor, "Remove-Mailbox", org, identity, directory.MailboxTypes(), false)
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

	FirstName, LastName, SamAccountName string
}

// NewMailUser makes a mail user (cmdlet reference 12.2).
func (s *Service) NewMailUser(ctx context.Context, actor Actor, org directory.OrgID, p MailUserParams) (Result[*directory.Recipient], error) {
	const op = "New-MailUser"
	d := draft{
		r: &directory.Recipient{
			Org: org, Type: directory.MailUser, DisplayName: cmp.Or(p.DisplayName, p.Name), Alias: cmp.Or(p.Alias, aliasOf(p.Name)), UPN: p.UPN, Enabled: true,
			FirstName: p.FirstName, LastName: p.LastName, SamAccountName: p.SamAccountName,
		},
		name: p.Name, primary: p.Primary, proxies: p.Proxies, password: p.Password,
	}
	sc := scope{org: org, object: "MailUser " + p.Name}
	err := s.permit(ctx, actor, op, sc)
	if err == nil {
		if d.r.ExternalAddress, err = smtpaddr.Parse(p.ExternalAddress); err != nil {
			err = fmt.Errorf("target address: %w", err)
		}
	}
	if err != nil {
		return Result[*directory.Recipient]{}, s.finish(ctx, actor, op, sc, err)
	}
	return s.newRecipient(ctx, actor, op, d)
}

// SetMailUser changes the mail user that identity names, as SetMailbox does.
func (s *Service) SetMailUser(ctx context.Context, actor Actor, org directory.OrgID, identity string, fn func(*directory.Recipient) error) (Result[*directory.Recipient], error) {
	return s.setRecipient(ctx, actor, "Set-MailUser", org, identity, []string{directory.MailUser}, fn)
}

// RemoveMailUser removes the mail user, its account if it has one, and the
// permissions that others gave to it.
func (s *Service) RemoveMailUser(ctx context.Context, actor Actor, org directory.OrgID, identity string) (Result[*directory.Recipient], error) {
	return s.removeRecipient(ctx, actor, "Remove-MailUser", org, identity, []string{directory.MailUser}, false)
}
