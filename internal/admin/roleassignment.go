package admin

import (
	"context"
	"fmt"
	"slices"

	"busybridge/internal/directory"
)

// NewManagementRoleAssignment gives a role to an account.
func (s *Service) NewManagementRoleAssignment(ctx context.Context, actor Actor, org directory.OrgID, userName, role string) (Result[*directory.Account], error) {
	return s.setAccount(ctx, actor, "New-ManagementRoleAssignment", scope{org: org, object: "Account " + canonicalUser(userName)}, userName, func(a *directory.Account) error {
		if a.HasRole(role) {
			return fmt.Errorf("role %q of %s: %w", role, a.UserName, directory.ErrExists)
		}
		a.Roles = append(slices.Clone(a.Roles), role)
		return nil
	})
}

// RemoveManagementRoleAssignment takes a role from an account. The last
// administrator keeps the role.
func (s *Service) RemoveManagementRoleAssignment(ctx context.Context, actor Actor, org directory.OrgID, userName, role string) (Result[*directory.Account], error) {
	return s.setAccount(ctx, actor, "Remove-ManagementRoleAssignment", scope{org: org, object: "Account " + canonicalUser(userName)}, userName, func(a *directory.Account) error {
		if !a.HasRole(role) {
			return &NotFoundError{"ManagementRoleAssignment", role + "-" + a.UserName}
		}
		a.Roles = slices.DeleteFunc(slices.Clone(a.Roles), func(r string) bool { return r == role })
		return nil
	})
}
