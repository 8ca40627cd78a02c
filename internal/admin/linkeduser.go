package admin

import (
	"context"
	"fmt"
	"slices"

	"busybridge/internal/directory"
)

var linkedUsers = noun[directory.LinkedUser]{
	name:      "LinkedUser",
	list:      func(o *directory.Organization) *[]directory.LinkedUser { return &o.LinkedUsers },
	common:    func(u *directory.LinkedUser) *directory.Common { return &u.Common },
	normalize: func(*directory.LinkedUser) {},
}

// NewLinkedUser makes an account that stands for applications. It has no roles.
func (s *Service) NewLinkedUser(ctx context.Context, actor Actor, org directory.OrgID, name string) (Result[directory.LinkedUser], error) {
	return create(ctx, s, actor, "New-LinkedUser", org, linkedUsers, directory.LinkedUser{Common: directory.Common{Name: name}})
}

// RemoveLinkedUser removes one that no partner application names.
func (s *Service) RemoveLinkedUser(ctx context.Context, actor Actor, org directory.OrgID, identity string) (Result[directory.LinkedUser], error) {
	return remove(ctx, s, actor, "Remove-LinkedUser", org, linkedUsers, identity)
}

// NewApplicationRoleAssignment gives a linked user a role.
func (s *Service) NewApplicationRoleAssignment(ctx context.Context, actor Actor, org directory.OrgID, identity, role string) (Result[directory.LinkedUser], error) {
	return set(ctx, s, actor, "New-ManagementRoleAssignment", org, linkedUsers, identity, func(u *directory.LinkedUser) error {
		if slices.Contains(u.Roles, role) {
			return fmt.Errorf("role %q of %s: %w", role, u.Name, directory.ErrExists)
		}
		u.Roles = append(slices.Clone(u.Roles), role)
		return nil
	})
}

// RemoveApplicationRoleAssignment takes a role from a linked user: what tokens of
// its applications allow ends at once.
func (s *Service) RemoveApplicationRoleAssignment(ctx context.Context, actor Actor, org directory.OrgID, identity, role string) (Result[directory.LinkedUser], error) {
	return set(ctx, s, actor, "Remove-ManagementRoleAssignment", org, linkedUsers, identity, func(u *directory.LinkedUser) error {
		if !slices.Contains(u.Roles, role) {
			return &NotFoundError{"ManagementRoleAssignment", role + "-" + u.Name}
		}
		u.Roles = slices.DeleteFunc(slices.Clone(u.Roles), func(r string) bool { return r == role })
		return nil
	})
}
