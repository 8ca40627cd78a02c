package admin

import (
	"context"

	"busybridge/internal/directory"
)

var relationships = noun[directory.OrganizationRelationship]{
	name:   "OrganizationRelationship",
	list:   func(o *directory.Organization) *[]directory.OrganizationRelationship { return &o.Relationships },
	common: func(r *directory.OrganizationRelationship) *directory.Common { return &r.Common },
	normalize: func(r *directory.OrganizationRelationship) {
		r.DomainNames = patterns(r.DomainNames)
		if r.FreeBusyAccessLevel == "" {
			r.FreeBusyAccessLevel = "None"
		}
	},
}

// NewOrganizationRelationship adds a relationship (cmdlet reference 9.1). An
// empty access level is None.
func (s *Service) NewOrganizationRelationship(ctx context.Context, actor Actor, org directory.OrgID, r directory.OrganizationRelationship) (Result[directory.OrganizationRelationship], error) {
	return create(ctx, s, actor, "New-OrganizationRelationship", org, relationships, r)
}

// SetOrganizationRelationship changes a relationship (cmdlet reference 9.1).
func (s *Service) SetOrganizationRelationship(ctx context.Context, actor Actor, org directory.OrgID, identity string, fn func(*directory.OrganizationRelationship) error) (Result[directory.OrganizationRelationship], error) {
	return set(ctx, s, actor, "Set-OrganizationRelationship", org, relationships, identity, fn)
}

// RemoveOrganizationRelationship removes a relationship (cmdlet reference 9.3).
func (s *Service) RemoveOrganizationRelationship(ctx context.Context, actor Actor, org directory.OrgID, identity string) (Result[directory.OrganizationRelationship], error) {
	return remove(ctx, s, actor, "Remove-OrganizationRelationship", org, relationships, identity)
}
