package exchangecmd

import (
	"context"
	"errors"
	"slices"
	"strings"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// folderPermissions are the cmdlets of the Calendar folder's permissions (13.3).
func (x *exchange) folderPermissions() []entry {
	const about = "The Calendar folder is the only one there is. Default is everybody of the organization without an entry of their own, and what other organizations " +
		"see at most; Anonymous is everybody else."
	links := []string{"Get-MailboxFolderPermission", "Add-MailboxFolderPermission", "Set-MailboxFolderPermission", "Remove-MailboxFolderPermission"}
	return []entry{
		{in: everywhere, tasks: storeTasks, Command: interp.Command{
			Name: "Get-MailboxFolderPermission", New: func() interp.Cmdlet { return &getFolderPermission{x: x} },
			Synopsis: "Shows who may see how much of a calendar.", Description: about, Links: links[1:],
			Examples: []string{`Get-MailboxFolderPermission kim@contoso.com:\Calendar`},
		}},
		{in: everywhere, tasks: storeTasks, Command: interp.Command{
			Name: "Add-MailboxFolderPermission", New: func() interp.Cmdlet { return &addFolderPermission{x: x} }, ShouldProcess: true,
			Synopsis: "Lets a user see a calendar.", Description: about, Links: links,
			Examples: []string{`Add-MailboxFolderPermission kim@contoso.com:\Calendar -User chris@contoso.com -AccessRights LimitedDetails`},
		}},
		{in: everywhere, tasks: storeTasks, Command: interp.Command{
			Name: "Set-MailboxFolderPermission", New: func() interp.Cmdlet { return &setFolderPermission{x: x} }, ShouldProcess: true,
			Synopsis: "Changes how much of a calendar a user may see.", Description: about, Links: links,
			Examples: []string{`Set-MailboxFolderPermission kim@contoso.com:\Calendar -User Default -AccessRights LimitedDetails`},
		}},
		{in: everywhere, tasks: storeTasks, Command: interp.Command{
			Name: "Remove-MailboxFolderPermission", New: func() interp.Cmdlet { return &removeFolderPermission{x: x} }, ShouldProcess: true, Impact: "High",
			Synopsis: "Takes a user's own entry away: what Default may see holds again.", Description: about, Links: links,
			Examples: []string{`Remove-MailboxFolderPermission kim@contoso.com:\Calendar -User chris@contoso.com -Confirm:$false`},
		}},
	}
}

// A folder is the -Identity of these cmdlets: a mailbox and its Calendar folder.
type folder struct {
	Identity recipientID `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"The folder, as kim@contoso.com:\\Calendar."`
}

const calendarFolder = "Calendar"

// mailbox is the mailbox whose Calendar folder is meant; nil when there is none, which has been reported.
func (f *folder) mailbox(k *call) (*directory.Recipient, error) {
	id := f.Identity
	mailbox, path, ok := strings.Cut(id.text, `:\`)
	if !ok || !strings.EqualFold(strings.Trim(path, `\`), calendarFolder) {
		return nil, k.WriteError(k.record("ManagementObjectNotFoundException",
			`The operation couldn't be performed because '%s' couldn't be found. The only folder of a mailbox is Calendar: write it as %s:\Calendar.`, id.text, mailbox))
	}
	id.text, id.guid = mailbox, ""
	return k.storeMailbox(id)
}

// A folderUser is the -User of these cmdlets.
type folderUser struct{ recipientID }

// special is Default or Anonymous as it is kept; "" for a recipient.
func (u folderUser) special() string {
	for _, s := range []string{"Default", "Anonymous"} {
		if strings.EqualFold(u.text, s) {
			return s
		}
	}
	return ""
}

// resolve is how entries name the user, and how the user is shown.
func (u folderUser) resolve(k *call) (key, shown string, err error) {
	if s := u.special(); s != "" {
		return s, s, nil
	}
	r, err := k.Admin.FindRecipient(k.ctx, k.actor, k.Name(), k.Org, u.key())
	if _, missing := errors.AsType[*admin.NotFoundError](err); missing {
		return "", "", k.record("InvalidExternalUserIdException", "The user \"%s\" is either not valid SMTP address, or there is no matching information.", u)
	}
	if err != nil {
		return "", "", k.fail(err)
	}
	return r.Primary.String(), r.DisplayName, nil
}

// accessRight is the type of -AccessRights: the roles and the single rights.
type accessRight string

var tAccessRight = enumeration("Microsoft.Exchange.Management.StoreTasks.MailboxFolderAccessRight", false, "None", "AvailabilityOnly", "LimitedDetails", "Reviewer", "Owner",
	"Author", "Contributor", "Editor", "NonEditingAuthor", "PublishingAuthor", "PublishingEditor", "ReadItems", "CreateItems", "EditOwnedItems", "DeleteOwnedItems",
	"EditAllItems", "DeleteAllItems", "CreateSubfolders", "FolderOwner", "FolderContact", "FolderVisible")

// PSType is the enumeration.
func (accessRight) PSType() *object.Type { return tAccessRight }

// level is the level that rights stand for: those that can be given here say what
// may be seen, for calendars are changed by imports only.
func (k *call) level(rights []accessRight) (freebusy.Level, error) {
	names := make([]string, len(rights))
	for i, r := range rights {
		names[i] = string(r)
	}
	slices.Sort(names)
	switch strings.Join(slices.Compact(names), ",") {
	case "None":
		return freebusy.LevelNone, nil
	case "AvailabilityOnly":
		return freebusy.LevelTime, nil
	case "LimitedDetails":
		return freebusy.LevelLimited, nil
	case "Reviewer", "FolderVisible,ReadItems":
		return freebusy.LevelFull, nil
	case "Owner":
		return freebusy.LevelOwner, nil
	}
	return 0, k.invalid("AccessRights", "%s can't be given: nobody writes into a calendar from outside here. "+
		"One of None, AvailabilityOnly, LimitedDetails, Reviewer (all but private details) and Owner (everything) can.", strings.Join(names, ", "))
}

func (k *call) folderPermission(p directory.Permission, shown string) any {
	user := object.Wrap(shown).AddProperty(&object.Property{Name: "DisplayName", Value: shown, Hidden: true})
	b := k.bag("Microsoft.Exchange.Management.StoreTasks.MailboxFolderPermission").
		add("FolderName", calendarFolder).add("User", user).add("AccessRights", []string{p.Level.String()})
	if k.Hosted {
		b.add("SharingPermissionFlags", nil)
	}
	return b.add("Identity", shown).add("IsValid", true).add("ObjectState", fresh).Object
}

// failEntry is the error of a change, which names the user as they are shown.
func (k *call) failEntry(err error, shown string) error {
	e, ok := errors.AsType[*admin.FolderPermissionError](err)
	switch {
	case !ok:
		return k.fail(err)
	case e.There:
		return k.record("UserAlreadyExistsInPermissionEntryException", "An existing permission entry was found for user: %s.", shown)
	}
	return k.record("UserNotFoundInPermissionEntryException", "There is no existing permission entry found for user: %s.", shown)
}

type getFolderPermission struct {
	x *exchange
	folder
	User folderUser `ps:"User,allownull" help:"Only this user's entry: an identity, Default or Anonymous."`
	controller
}

// Run shows the entries.
func (p *getFolderPermission) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	r, err := p.mailbox(k)
	if r == nil {
		return err
	}
	if p.User.given() {
		key, shown, err := p.User.resolve(k)
		if err != nil {
			return k.WriteError(err)
		}
		i := slices.IndexFunc(r.Permissions, func(e directory.Permission) bool { return e.User == key })
		if i < 0 {
			return k.WriteError(k.failEntry(&admin.FolderPermissionError{User: key}, shown))
		}
		return k.Emit(k.folderPermission(r.Permissions[i], shown))
	}
	for _, e := range r.Permissions {
		user := folderUser{recipientID{identity: identity{e.User}}}
		_, shown, err := user.resolve(k)
		if err != nil {
			return k.WriteError(err)
		}
		if err := k.Emit(k.folderPermission(e, shown)); err != nil {
			return err
		}
	}
	return nil
}

type addFolderPermission struct {
	x *exchange
	folder
	User                   folderUser    `ps:"User,mandatory" help:"Who: an identity of the organization, Default or Anonymous."`
	AccessRights           []accessRight `ps:"AccessRights,mandatory" help:"None, AvailabilityOnly, LimitedDetails, Reviewer or Owner. Rights to write can't be given."`
	SharingPermissionFlags refused       `ps:"SharingPermissionFlags" help:"Only None is possible: nobody acts for another here. Owner shows private details."`
	SendNotificationToUser refused       `ps:"SendNotificationToUser" help:"Only False is possible: no mail is sent."`
	controller
}

// Run adds an entry.
func (p *addFolderPermission) Run(ctx context.Context, c *interp.Call) error {
	return p.x.permit(ctx, c, &p.folder, p.User, p.AccessRights, "Adding", func(k *call, r *directory.Recipient, key, shown string, level freebusy.Level) error {
		res, err := k.Admin.AddMailboxFolderPermission(ctx, k.actor, k.Org, r.ID, key, level)
		if err != nil {
			return k.WriteError(k.failEntry(err, shown))
		}
		if err := k.warn(res.Warnings); err != nil {
			return err
		}
		return k.Emit(k.folderPermission(directory.Permission{User: key, Level: level}, shown))
	})
}

type setFolderPermission struct {
	x *exchange
	folder
	User                   folderUser    `ps:"User,mandatory" help:"Whose entry: an identity of the organization, Default or Anonymous."`
	AccessRights           []accessRight `ps:"AccessRights,mandatory" help:"None, AvailabilityOnly, LimitedDetails, Reviewer or Owner. They replace what was there."`
	SharingPermissionFlags refused       `ps:"SharingPermissionFlags" help:"Only None is possible: nobody acts for another here. Owner shows private details."`
	SendNotificationToUser refused       `ps:"SendNotificationToUser" help:"Only False is possible: no mail is sent."`
	controller
}

// Run changes an entry.
func (p *setFolderPermission) Run(ctx context.Context, c *interp.Call) error {
	return p.x.permit(ctx, c, &p.folder, p.User, p.AccessRights, "Setting", func(k *call, r *directory.Recipient, key, shown string, level freebusy.Level) error {
		res, err := k.Admin.SetMailboxFolderPermission(ctx, k.actor, k.Org, r.ID, key, level)
		if err != nil {
			err = k.failEntry(err, shown)
		}
		return changed(k, p.Identity.text, res, err)
	})
}

// entry is a mailbox and one of the users of its folder: as the entry names it, and
// as it is shown. No mailbox: the error, if any, is all that is left to return.
func (k *call) entry(f *folder, user folderUser) (r *directory.Recipient, key, shown string, err error) {
	if r, err = f.mailbox(k); r == nil {
		return nil, "", "", err
	}
	if key, shown, err = user.resolve(k); err != nil {
		return nil, "", "", k.WriteError(err)
	}
	return r, key, shown, nil
}

// permit is what adding and changing have in common: do gets the mailbox and the user.
func (x *exchange) permit(ctx context.Context, c *interp.Call, f *folder, user folderUser, rights []accessRight, doing string,
	do func(k *call, r *directory.Recipient, key, shown string, level freebusy.Level) error,
) error {
	k, err := x.begin(ctx, c)
	if err != nil {
		return err
	}
	level, err := k.level(rights)
	if err != nil {
		return k.WriteError(err)
	}
	r, key, shown, err := k.entry(f, user)
	if r == nil {
		return err
	}
	if ok, err := k.should("%s mailbox folder permission on Identity:\"%s\" for user \"%s\" with access rights \"%s\".", doing, f.Identity, shown, level); !ok {
		return err
	}
	return do(k, r, key, shown, level)
}

type removeFolderPermission struct {
	x *exchange
	folder
	User folderUser `ps:"User,mandatory" help:"Whose entry: an identity of the organization. Those of Default and Anonymous stay."`
	controller
}

// Run removes an entry.
func (p *removeFolderPermission) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	r, key, shown, err := k.entry(&p.folder, p.User)
	if r == nil {
		return err
	}
	if ok, err := k.should("Removing mailbox folder permission on Identity:\"%s\" for user \"%s\".", p.Identity, shown); !ok {
		return err
	}
	res, err := k.Admin.RemoveMailboxFolderPermission(ctx, k.actor, k.Org, r.ID, key)
	if err != nil {
		err = k.failEntry(err, shown)
	}
	return removed(k, res, err)
}
