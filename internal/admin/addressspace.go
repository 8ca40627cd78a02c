package admin

import (
	"context"

	"busybridge/internal/directory"
)

var addressSpaces = noun[directory.AvailabilityAddressSpace]{
	name:   "AvailabilityAddressSpace",
	list:   func(o *directory.Organization) *[]directory.AvailabilityAddressSpace { return &o.AddressSpaces },
	common: func(a *directory.AvailabilityAddressSpace) *directory.Common { return &a.Common },
	normalize: func(a *directory.AvailabilityAddressSpace) {
		a.ForestName = pattern(a.ForestName)
		a.Name = a.ForestName // cmdlet reference 8.1: it becomes the object name
	},
}

// AddAvailabilityAddressSpace adds an address space (cmdlet reference 8.1;
// article step 8). There is no Set: remove and add.
func (s *Service) AddAvailabilityAddressSpace(ctx context.Context, actor Actor, org directory.OrgID, a directory.AvailabilityAddressSpace) (Result[directory.AvailabilityAddressSpace], error) {
	a.Name = a.ForestName
	return create(ctx, s, actor, "Add-AvailabilityAddressSpace", org, addressSpaces, a)
}

// RemoveAvailabilityAddressSpace removes an address space (cmdlet reference 8.3).
func (s *Service) RemoveAvailabilityAddressSpace(ctx context.Context, actor Actor, org directory.OrgID, identity string) (Result[directory.AvailabilityAddressSpace], error) {
	return remove(ctx, s, actor, "Remove-AvailabilityAddressSpace", org, addressSpaces, identity)
}

// SetAvailabilityConfig changes the accounts that other forests may ask with
// (cmdlet reference 8.4).
func (s *Service) SetAvailabilityConfig(ctx context.Context, actor Actor, org directory.OrgID, fn func(*directory.AvailabilityConfig) error) (Result[directory.AvailabilityConfig], error) {
	var res Result[directory.AvailabilityConfig]
	err := s.run(ctx, actor, "Set-AvailabilityConfig", scope{org: org, object: "AvailabilityConfig"}, func(tx Tx) (outcome, error) {
		var before directory.AvailabilityConfig
		var version int64
		o, err := tx.UpdateOrganization(ctx, org, func(o *directory.Organization) error {
			before, version = o.AvailabilityConfig, o.Version
			return fn(&o.AvailabilityConfig)
		})
		if err != nil {
			return outcome{}, err
		}
		res = Result[directory.AvailabilityConfig]{Object: o.AvailabilityConfig, Changed: o.Version != version}
		return outcome{changed: res.Changed, before: before, after: res.Object}, nil
	})
	return res, err
}
