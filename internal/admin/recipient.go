package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
)

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

// A draft is a recipient to be made, with what its addresses and account come from.
type draft struct {
	r        *directory.Recipient
	name     string // CommonName
	primary  string
	proxies  []string
	password string // of the account to be made; "": none
	roles    []string
	userName string // of an account that is there and gets the recipient; "": none
}

// objectOf names a recipient in the audit trail, however its identity was typed.
func objectOf(r *directory.Recipient) string {
	return kindOf([]string{r.Type}) + " " + r.Primary.String()
}

// kindOf is what recipients of the types are called in the audit trail; none: any.
func kindOf(types []string) string {
	switch {
	case len(types) == 0:
		return "Recipient"
	case slices.Contains(directory.MailboxTypes(), types[0]):
		return "Mailbox"
	}
	return types[0]
}

func (s *Service) newRecipient(ctx context.Context, actor Actor, op string, d draft) (Result[*directory.Recipient], error) {
	res := Result[*directory.Recipient]{Changed: true}
	sc := scope{org: d.r.Org, object: kindOf([]string{d.r.Type}) + " " + cmp.Or(d.userName, d.name)}
	account, err := s.prepareRecipient(ctx, actor, op, sc, &d)
	if err != nil {
		return res, s.finish(ctx, actor, op, sc, err)
	}
	err = s.run(ctx, actor, op, sc, func(tx Tx) (outcome, error) {
		var err error
		switch {
		case account != nil:
			err = putNewAccount(ctx, tx, account)
		case d.userName != "":
			err = giveMailbox(ctx, tx, d.userName, d.r)
		}
		if err == nil {
			err = tx.CreateRecipient(ctx, d.r)
		}
		if err == nil {
			err = ownName(ctx, tx, d.r)
		}
		return outcome{changed: true, after: d.r, object: objectOf(d.r)}, err
	})
	res.Object = d.r
	return res, err
}

// giveMailbox makes r the mailbox of an account that has none.
func giveMailbox(ctx context.Context, tx Tx, userName string, r *directory.Recipient) error {
	a, err := accountOf(ctx, tx, string(r.Org), userName)
	if err != nil {
		return err
	}
	if !a.Address.IsZero() {
		return fmt.Errorf("account %q has a mailbox, %s: %w", userName, a.Address, directory.ErrExists)
	}
	a.Address = r.Primary
	return tx.PutAccount(ctx, a)
}

// ownName refuses a common name that another recipient has.
func ownName(ctx context.Context, tx Tx, r *directory.Recipient) error {
	list, err := tx.RecipientsByName(ctx, r.Org, r.CommonName())
	if err != nil {
		return err
	}
	for _, other := range list {
		if other.ID != r.ID && directory.FoldKey(other.CommonName()) == directory.FoldKey(r.CommonName()) {
			return &directory.FieldError{Object: objectOf(r), Field: "Name", Value: r.CommonName(), Problem: "is taken by " + objectOf(other), Err: directory.ErrExists}
		}
	}
	return nil
}

// prepareRecipient fills in name and addresses and makes the account; nil: none.
func (s *Service) prepareRecipient(ctx context.Context, actor Actor, op string, sc scope, d *draft) (*directory.Account, error) {
	if err := s.permit(ctx, actor, op, sc); err != nil {
		return nil, err
	}
	r := d.r
	o, err := s.Store.Organization(ctx, r.Org)
	if err != nil {
		return nil, err
	}
	if d.name != r.DisplayName {
		r.Name = d.name
	}
	if r.Primary, err = accepted(o, cmp.Or(d.primary, r.Alias+"@"+o.DefaultDomain())); err != nil {
		return nil, err
	}
	for _, p := range d.proxies {
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
	case d.userName != "":
		return nil, nil
	case d.password != "":
		return newAccount(r.Org, AccountParams{UserName: r.UPN, Password: d.password, Address: r.Primary, Roles: d.roles})
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

// setRecipient changes the recipient of one of the types that identity names.
func (s *Service) setRecipient(ctx context.Context, actor Actor, op string, org directory.OrgID, identity string, types []string, fn func(*directory.Recipient) error) (Result[*directory.Recipient], error) {
	var res Result[*directory.Recipient]
	sc := scope{org: org, object: kindOf(types) + " " + identity}
	r, o, err := s.forChange(ctx, actor, op, sc, identity, types)
	if err != nil {
		return res, s.finish(ctx, actor, op, sc, err)
	}
	sc.object = objectOf(r)
	err = s.run(ctx, actor, op, sc, func(tx Tx) (outcome, error) {
		var was *directory.Recipient
		is, err := tx.UpdateRecipient(ctx, org, r.ID, func(r *directory.Recipient) error {
			was = r.Clone()
			if err := fn(r); err != nil {
				return err
			}
			return checkChange(o, was, r)
		})
		if err != nil {
			return outcome{}, err
		}
		before, after, err := marshal(was, is)
		if err != nil {
			return outcome{}, err
		}
		res = Result[*directory.Recipient]{Object: is, Changed: string(before) != string(after)}
		if !res.Changed {
			return outcome{}, nil
		}
		if err := ownName(ctx, tx, is); err != nil {
			return outcome{}, err
		}
		return outcome{changed: true, before: before, after: after}, follow(ctx, tx, was, is)
	})
	return res, err
}

// marshal is for values whose lists may be changed later.
func marshal(before, after any) (b, a json.RawMessage, err error) {
	if b, err = json.Marshal(before); err != nil {
		return nil, nil, err
	}
	a, err = json.Marshal(after)
	return b, a, err
}

// forChange finds the recipient after the actor was found to be permitted.
func (s *Service) forChange(ctx context.Context, actor Actor, op string, sc scope, identity string, types []string) (*directory.Recipient, *directory.Organization, error) {
	if err := s.permit(ctx, actor, op, sc); err != nil {
		return nil, nil, err
	}
	o, err := s.Store.Organization(ctx, sc.org)
	if err != nil {
		return nil, nil, err
	}
	r, err := s.find(ctx, sc.org, identity, types...)
	return r, o, err
}

// checkChange refuses another kind of recipient, and new addresses in foreign domains.
func checkChange(o *directory.Organization, was, is *directory.Recipient) error {
	if is.Type != was.Type && !(is.IsMailbox() && was.IsMailbox()) {
		return fmt.Errorf("%s cannot become a %s", objectOf(was), is.Type)
	}
	addresses := is.Addresses()
	if upn, err := smtpaddr.Parse(is.UPN); err == nil && is.UPN != was.UPN {
		addresses = append(addresses, upn)
	}
	for _, a := range addresses {
		if was.HasAddress(a) || a.IsZero() {
			continue
		}
		if _, err := accepted(o, a.String()); err != nil {
			return err
		}
	}
	return nil
}

// follow lets accounts and permissions follow a recipient whose addresses have
// changed: an address that is given up may be another's tomorrow.
func follow(ctx context.Context, tx Tx, was, is *directory.Recipient) error {
	for _, a := range was.Addresses() {
		if a == is.Primary || a != was.Primary && is.HasAddress(a) {
			continue
		}
		accounts, err := tx.AccountsAt(ctx, is.Org, a)
		if err != nil {
			return err
		}
		for _, account := range accounts {
			account.Address = is.Primary
			if err := tx.PutAccount(ctx, account); err != nil {
				return err
			}
		}
		if err := replaceAddress(ctx, tx, is.Org, a, is.Primary); err != nil {
			return err
		}
	}
	if was.UPN == is.UPN {
		return nil
	}
	// The account signs in with the user principal name.
	account, err := tx.Account(ctx, was.UPN)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return nil
	case err != nil:
		return err
	case account.Org != is.Org || !is.HasAddress(account.Address):
		return nil // somebody else's
	}
	if err := tx.DeleteAccount(ctx, string(is.Org), was.UPN); err != nil {
		return err
	}
	account.UserName = is.UPN
	return putNewAccount(ctx, tx, account)
}

// replaceAddress puts an address in the place of another in all permissions and
// groups; the zero address takes them out.
func replaceAddress(ctx context.Context, tx Tx, org directory.OrgID, from, to smtpaddr.Address) error {
	list, err := tx.RecipientsNaming(ctx, org, from)
	if err != nil {
		return err
	}
	for _, r := range list {
		if _, err := tx.UpdateRecipient(ctx, org, r.ID, func(r *directory.Recipient) error {
			has := func(p directory.Permission) bool { return p.User == to.String() }
			if to.IsZero() || slices.ContainsFunc(r.Permissions, has) {
				r.Permissions = slices.DeleteFunc(r.Permissions, func(p directory.Permission) bool { return p.User == from.String() })
			}
			for i := range r.Permissions {
				if p := &r.Permissions[i]; p.User == from.String() {
					p.User = to.String()
				}
			}
			if to.IsZero() || slices.Contains(r.Members, to) {
				r.Members = slices.DeleteFunc(r.Members, func(a smtpaddr.Address) bool { return a == from })
			}
			if i := slices.Index(r.Members, from); i >= 0 {
				r.Members[i] = to
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// removeRecipient removes the recipient of one of the types that identity names,
// with everything that is kept for it. Its accounts go too, unless they are kept.
func (s *Service) removeRecipient(ctx context.Context, actor Actor, op string, org directory.OrgID, identity string, types []string, keepAccounts bool) (Result[*directory.Recipient], error) {
	var res Result[*directory.Recipient]
	sc := scope{org: org, object: kindOf(types) + " " + identity}
	r, _, err := s.forChange(ctx, actor, op, sc, identity, types)
	if err != nil {
		return res, s.finish(ctx, actor, op, sc, err)
	}
	sc.object = objectOf(r)
	err = s.run(ctx, actor, op, sc, func(tx Tx) (outcome, error) {
		// As it is now: it may have got addresses meanwhile.
		r, err := tx.UpdateRecipient(ctx, org, r.ID, func(*directory.Recipient) error { return nil })
		if err != nil {
			return outcome{}, err
		}
		gone := struct {
			*directory.Recipient
			Accounts []string `json:",omitempty"`
		}{Recipient: r}
		for _, a := range r.Addresses() {
			accounts, err := tx.AccountsAt(ctx, org, a)
			if err != nil {
				return outcome{}, err
			}
			for _, account := range accounts {
				if keepAccounts {
					account.Address = smtpaddr.Address{}
					err = tx.PutAccount(ctx, account)
				} else {
					gone.Accounts = append(gone.Accounts, account.UserName)
					err = removeAccount(ctx, tx, actor, account)
				}
				if err != nil {
					return outcome{}, err
				}
			}
			if err := replaceAddress(ctx, tx, org, a, smtpaddr.Address{}); err != nil {
				return outcome{}, err
			}
		}
		res = Result[*directory.Recipient]{Object: r, Changed: true}
		return outcome{changed: true, before: gone}, tx.DeleteRecipient(ctx, org, r.ID)
	})
	return res, err
}
