package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
)

// SetMailboxCalendarConfiguration changes working hours and time zone (cmdlet
// reference 13.1).
func (s *Service) SetMailboxCalendarConfiguration(ctx context.Context, actor Actor, org directory.OrgID, mailbox string, fn func(*directory.CalendarConfiguration) error) (Result[*directory.Recipient], error) {
	return s.setMailbox(ctx, actor, "Set-MailboxCalendarConfiguration", org, mailbox, func(r *directory.Recipient) error { return fn(&r.Calendar) })
}

// A FolderUserError is the user of a folder permission who is not known here
// (cmdlet reference 13.3: the text is Exchange's).
type FolderUserError struct{ User string }

func (e *FolderUserError) Error() string {
	return fmt.Sprintf("The user %q is either not valid SMTP address, or there is no matching information.", e.User)
}

func (e *FolderUserError) Unwrap() error { return directory.ErrNotFound }

// A FolderPermissionError is an entry that is there already, or is not there.
type FolderPermissionError struct {
	User  string
	There bool
}

func (e *FolderPermissionError) Error() string {
	if e.There {
		return "An existing permission entry was found for user: " + e.User + "."
	}
	return "There is no existing permission entry found for user: " + e.User + "."
}

func (e *FolderPermissionError) Unwrap() error {
	if e.There {
		return directory.ErrExists
	}
	return directory.ErrNotFound
}

var errLastingEntry = errors.New("the entries Default and Anonymous stay: set them to None")

// AddMailboxFolderPermission lets a user see the mailbox's calendar, who has no
// entry yet (cmdlet reference 13.3). User is Default, Anonymous, or a recipient
// of the organization as FindRecipient knows it.
func (s *Service) AddMailboxFolderPermission(ctx context.Context, actor Actor, org directory.OrgID, mailbox, user string, level freebusy.Level) (Result[*directory.Recipient], error) {
	return s.setFolder(ctx, actor, "Add-MailboxFolderPermission", org, mailbox, user, func(r *directory.Recipient, user string, at int) error {
		if at >= 0 {
			return &FolderPermissionError{user, true}
		}
		r.Permissions = append(r.Permissions, directory.Permission{User: user, Level: level})
		return nil
	})
}

// SetMailboxFolderPermission changes the entry that a user has.
func (s *Service) SetMailboxFolderPermission(ctx context.Context, actor Actor, org directory.OrgID, mailbox, user string, level freebusy.Level) (Result[*directory.Recipient], error) {
	return s.setFolder(ctx, actor, "Set-MailboxFolderPermission", org, mailbox, user, func(r *directory.Recipient, user string, at int) error {
		if at < 0 {
			return &FolderPermissionError{user, false}
		}
		r.Permissions[at].Level = level
		return nil
	})
}

// RemoveMailboxFolderPermission takes the entry of a user away: what Default may
// see is left to it.
func (s *Service) RemoveMailboxFolderPermission(ctx context.Context, actor Actor, org directory.OrgID, mailbox, user string) (Result[*directory.Recipient], error) {
	return s.setFolder(ctx, actor, "Remove-MailboxFolderPermission", org, mailbox, user, func(r *directory.Recipient, user string, at int) error {
		switch {
		case at < 0:
			return &FolderPermissionError{user, false}
		case special(user) != "":
			return errLastingEntry
		}
		r.Permissions = slices.Delete(r.Permissions, at, at+1)
		return nil
	})
}

// setFolder changes the mailbox's permissions; fn gets the user as entries name
// it, and the index of its entry, -1: none.
func (s *Service) setFolder(ctx context.Context, actor Actor, op string, org directory.OrgID, mailbox, user string, fn func(r *directory.Recipient, user string, at int) error) (Result[*directory.Recipient], error) {
	sc := scope{org: org, object: "Mailbox " + mailbox}
	// Who may not change does not learn whom there is either.
	err := s.permit(ctx, actor, op, sc)
	var name string
	if err == nil {
		name, err = s.folderUser(ctx, org, user)
	}
	if err != nil {
		return Result[*directory.Recipient]{}, s.finish(ctx, actor, op, sc, err)
	}
	return s.setMailbox(ctx, actor, op, org, mailbox, func(r *directory.Recipient) error {
		return fn(r, name, slices.IndexFunc(r.Permissions, func(p directory.Permission) bool { return p.User == name }))
	})
}

// special is Default or Anonymous in its canonical form, or "".
func special(user string) string {
	for _, name := range []string{"Default", "Anonymous"} {
		if strings.EqualFold(user, name) {
			return name
		}
	}
	return ""
}

func (s *Service) folderUser(ctx context.Context, org directory.OrgID, user string) (string, error) {
	if name := special(user); name != "" {
		return name, nil
	}
	r, err := s.find(ctx, org, user)
	if errors.Is(err, directory.ErrNotFound) {
		return "", &FolderUserError{user}
	}
	if err != nil {
		return "", err
	}
	return r.Primary.String(), nil
}
