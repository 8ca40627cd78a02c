package exchangecmd

import (
	"context"
	"slices"
	"strings"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// roleAssignments are the cmdlets of what accounts may do.
func (x *exchange) roleAssignments() []entry {
	const about = "The roles are " + directory.RoleAdmin + " (everything in the organization), " + directory.RoleView + " (all that reads), " + directory.RoleImport +
		" (write calendars of others) and " + directory.RoleImpersonation + " (ask in the name of others). No role contains another. Linked users have roles of applications: UserApplication (ask as a user) and others."
	return []entry{
		{in: everywhere, Command: interp.Command{
			Name: "Get-ManagementRoleAssignment", New: func() interp.Cmdlet { return &getRoleAssignment{x: x} },
			Synopsis: "Shows which accounts have which roles.", Description: about,
			Examples: []string{`Get-ManagementRoleAssignment -Role "Organization Management"`},
			Links:    []string{"New-ManagementRoleAssignment", "Remove-ManagementRoleAssignment"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "New-ManagementRoleAssignment", New: func() interp.Cmdlet { return &newRoleAssignment{x: x} }, ShouldProcess: true,
			Synopsis: "Gives a role to an account.", Description: about,
			Examples: []string{`New-ManagementRoleAssignment -Role "View-Only Organization Management" -User kim@contoso.com`},
			Links:    []string{"Get-ManagementRoleAssignment"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Remove-ManagementRoleAssignment", New: func() interp.Cmdlet { return &removeRoleAssignment{x: x} }, ShouldProcess: true, Impact: "High",
			Synopsis: "Takes a role from an account.", Description: about + " The last administrator keeps the role.",
			Examples: []string{`Get-ManagementRoleAssignment -RoleAssignee kim@contoso.com | Remove-ManagementRoleAssignment -Confirm:$false`},
			Links:    []string{"Get-ManagementRoleAssignment"},
		}},
	}
}

// rolesOf are the roles that an account can have, or a linked user.
func rolesOf(linked bool) []string {
	if linked {
		return directory.ApplicationRoles()
	}
	return []string{directory.RoleAdmin, directory.RoleView, directory.RoleImport, directory.RoleImpersonation}
}

// An assignee is who can have roles: an account or a linked user.
type assignee struct {
	name    string
	roles   []string
	enabled bool
	linked  bool
}

func assigneeOf(a *directory.Account) *assignee {
	return &assignee{a.UserName, a.Roles, a.Enabled, false}
}

func linkedAssignee(u *directory.LinkedUser) *assignee { return &assignee{u.Name, u.Roles, true, true} }

// assignees are all of the organization.
func (k *call) assignees() (list []*assignee, accounts []*directory.Account, o *directory.Organization, err error) {
	if accounts, err = k.Admin.Accounts(k.ctx, k.actor, k.Name(), k.Org); err != nil {
		return nil, nil, nil, k.fail(err)
	}
	if o, err = k.view(); err != nil {
		return nil, nil, nil, err
	}
	for _, a := range accounts {
		list = append(list, assigneeOf(a))
	}
	for i := range o.LinkedUsers {
		list = append(list, linkedAssignee(&o.LinkedUsers[i]))
	}
	return list, accounts, o, nil
}

// role is the role of that name as it is kept, one of those; "" when there is none, which has been reported.
func (k *call) role(name string, roles []string) (string, error) {
	for _, r := range roles {
		if strings.EqualFold(r, name) {
			return r, nil
		}
	}
	return "", k.WriteError(k.record("ManagementObjectNotFoundException", "The role \"%s\" couldn't be found. There are %s.", name, strings.Join(roles, ", ")))
}

func assignmentName(role, userName string) string { return role + "-" + userName }

func (k *call) roleAssignment(role, userName string, enabled bool) any {
	name := assignmentName(role, userName)
	return k.bag(configurationTypes+"ExchangeRoleAssignmentPresentation").
		add("Role", role).add("RoleAssignee", userName).add("RoleAssigneeName", userName).add("RoleAssigneeType", "User").
		add("AssignmentMethod", "Direct").add("RoleAssignmentDelegationType", "Regular").add("Enabled", enabled).add("EffectiveUserName", userName).
		add("RecipientReadScope", "Organization").add("ConfigReadScope", "OrganizationConfig").add("Name", name).add("Identity", name).add("IsValid", true).
		add("ObjectState", unchanged).Object
}

// account is the account that id names: its name, or an identity of its
// mailbox; nil when there is none, which has been reported.
func (k *call) account(accounts []*directory.Account, id recipientID) (*directory.Account, error) {
	find := func(same func(*directory.Account) bool) *directory.Account {
		if i := slices.IndexFunc(accounts, same); i >= 0 {
			return accounts[i]
		}
		return nil
	}
	if a := find(func(a *directory.Account) bool { return strings.EqualFold(a.UserName, id.text) }); a != nil {
		return a, nil
	}
	r, _, err := k.recipient(id, nil)
	if r == nil {
		return nil, err
	}
	if a := find(func(a *directory.Account) bool { return a.Address == r.Primary || a.UserName == r.UPN }); a != nil {
		return a, nil
	}
	return nil, k.WriteError(k.record("ManagementObjectNotFoundException", "%s has no account: nobody signs in with it.", id))
}

type getRoleAssignment struct {
	x            *exchange
	Identity     identity    `ps:"Identity,position=0,pipeline=value|name,allownull,allowempty" help:"The name of an assignment: role, hyphen, account."`
	Role         string      `ps:"Role,notempty" help:"Only this role."`
	RoleAssignee recipientID `ps:"RoleAssignee,alias=User,allownull" help:"Only the roles of this account: its name, or an identity of its mailbox."`
	Enabled      *bool       `ps:"Enabled" help:"Only of accounts that are enabled, or that are not."`
	controller
}

// Run shows assignments, by account.
func (p *getRoleAssignment) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	all, accounts, o, err := k.assignees()
	if err != nil {
		return k.WriteError(err)
	}
	role := ""
	if p.Role != "" {
		if role, err = k.role(p.Role, slices.Concat(rolesOf(false), rolesOf(true))); role == "" {
			return err
		}
	}
	if p.RoleAssignee.given() {
		a, err := k.assignee(accounts, o, p.RoleAssignee)
		if a == nil {
			return err
		}
		all = []*assignee{a}
	}
	found := false
	for _, a := range all {
		for _, r := range a.roles {
			named := directory.Common{Name: assignmentName(r, a.name)}
			if role != "" && r != role || p.Enabled != nil && *p.Enabled != a.enabled || p.Identity.given() && !p.Identity.matches(&named, "") {
				continue
			}
			found = true
			if err := k.Emit(k.roleAssignment(r, a.name, a.enabled)); err != nil {
				return err
			}
		}
	}
	if !found && p.Identity.given() && !p.Identity.pattern() {
		return k.WriteError(k.notFound(p.Identity.text))
	}
	return nil
}

type newRoleAssignment struct {
	x             *exchange
	Role          string      `ps:"Role,mandatory,notempty" help:"Which role."`
	User          recipientID `ps:"User,mandatory" help:"Which account: its name, or an identity of its mailbox."`
	Name          string      `ps:"Name,position=0" help:"Accepted. An assignment is named after role and account."`
	SecurityGroup absent      `ps:"SecurityGroup" help:"Refused: accounts have roles, groups have none."`
	Delegating    refused     `ps:"Delegating" help:"Refused: a role does not allow to give it to others, except Organization Management."`
	controller
}

// Run gives the role.
func (p *newRoleAssignment) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	_, accounts, o, err := k.assignees()
	if err != nil {
		return k.WriteError(err)
	}
	a, err := k.assignee(accounts, o, p.User)
	if a == nil {
		return err
	}
	role, err := k.role(p.Role, rolesOf(a.linked))
	if role == "" {
		return err
	}
	if slices.Contains(a.roles, role) {
		return k.WriteError(k.record("ADObjectAlreadyExistsException", "Active Directory operation failed on %s. The object '%s' already exists.", k.Server, assignmentName(role, a.name)))
	}
	if ok, err := k.should("Adding a new assignment of role \"%s\" to user \"%s\".", role, a.name); !ok {
		return err
	}
	var warnings []string
	if a.linked {
		_, err = k.Admin.NewApplicationRoleAssignment(ctx, k.actor, k.Org, a.name, role)
	} else {
		var res admin.Result[*directory.Account]
		res, err = k.Admin.NewManagementRoleAssignment(ctx, k.actor, k.Org, a.name, role)
		warnings = res.Warnings
	}
	if err != nil {
		return k.WriteError(k.fail(err))
	}
	if err := k.warn(warnings); err != nil {
		return err
	}
	return k.Emit(k.roleAssignment(role, a.name, a.enabled))
}

// assignee is the account or the linked user that id names; nil when there is none, which has been reported.
func (k *call) assignee(accounts []*directory.Account, o *directory.Organization, id recipientID) (*assignee, error) {
	if u := o.LinkedUser(id.text); u != nil {
		return linkedAssignee(u), nil
	}
	a, err := k.account(accounts, id)
	if a == nil {
		return nil, err
	}
	return assigneeOf(a), nil
}

type removeRoleAssignment struct {
	x        *exchange
	Identity identity      `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which assignment: role, hyphen, account, as Get-ManagementRoleAssignment shows it."`
	Force    object.Switch `ps:"Force" help:"Accepted. -Confirm:$false is what leaves the question out."`
	controller
}

// Run takes the role.
func (p *removeRoleAssignment) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	all, _, _, err := k.assignees()
	if err != nil {
		return k.WriteError(err)
	}
	for _, a := range all {
		for _, role := range a.roles {
			if !strings.EqualFold(assignmentName(role, a.name), p.Identity.text) {
				continue
			}
			if ok, err := k.should("Removing the assignment of role \"%s\" to user \"%s\".", role, a.name); !ok {
				return err
			}
			if a.linked {
				res, err := k.Admin.RemoveApplicationRoleAssignment(ctx, k.actor, k.Org, a.name, role)
				return removed(k, res, err)
			}
			res, err := k.Admin.RemoveManagementRoleAssignment(ctx, k.actor, k.Org, a.name, role)
			return removed(k, res, err)
		}
	}
	return k.WriteError(k.notFound(p.Identity.text))
}
