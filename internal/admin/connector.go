package admin

import (
	"context"

	"busybridge/internal/directory"
)

var connectors = noun[directory.IntraOrganizationConnector]{
	name: "IntraOrganizationConnector",
	list: func(o *directory.Organization) *[]directory.IntraOrganizationConnector { return &o.Connectors },
	common: func(c *directory.IntraOrganizationConnector) *directory.Common {
		return &c.Common
	},
	normalize: func(c *directory.IntraOrganizationConnector) {
		c.TargetAddressDomains = patterns(c.TargetAddressDomains)
	},
}

// NewIntraOrganizationConnector adds a connector (cmdlet reference 7.1; article
// steps 6 and 7).
func (s *Service) NewIntraOrganizationConnector(ctx context.Context, actor Actor, org directory.OrgID, c directory.IntraOrganizationConnector) (Result[directory.IntraOrganizationConnector], error) {
	return create(ctx, s, actor, "New-IntraOrganizationConnector", org, connectors, c)
}

// SetIntraOrganizationConnector changes a connector (cmdlet reference 7.3).
func (s *Service) SetIntraOrganizationConnector(ctx context.Context, actor Actor, org directory.OrgID, identity string, fn func(*directory.IntraOrganizationConnector) error) (Result[directory.IntraOrganizationConnector], error) {
	return set(ctx, s, actor, "Set-IntraOrganizationConnector", org, connectors, identity, fn)
}

// RemoveIntraOrganizationConnector removes a connector (cmdlet reference 7.4).
func (s *Service) RemoveIntraOrganizationConnector(ctx context.Context, actor Actor, org directory.OrgID, identity string) (Result[directory.IntraOrganizationConnector], error) {
	return remove(ctx, s, actor, "Remove-IntraOrganizationConnector", org, connectors, identity)
}
