package admin

import (
	"context"
	"slices"
	"strings"

	"busybridge/internal/directory"
)

var servers = noun[directory.Server]{
	name:   "ExchangeServer",
	list:   func(o *directory.Organization) *[]directory.Server { return &o.Servers },
	common: func(v *directory.Server) *directory.Common { return &v.Common },
	also: func(v *directory.Server, identity string) bool {
		// Server\EWS (Default Web Site), or one of its host names.
		name, _, _ := strings.Cut(identity, `\`)
		return strings.EqualFold(v.Name, name) || slices.Contains(v.HostNames, strings.ToLower(name))
	},
	normalize: func(v *directory.Server) { v.HostNames = patterns(v.HostNames) },
}

// NewServer adds a node of the organization, as setup does.
func (s *Service) NewServer(ctx context.Context, actor Actor, org directory.OrgID, v directory.Server) (Result[directory.Server], error) {
	return create(ctx, s, actor, "New-ExchangeServer", org, servers, v)
}

// SetWebServicesVirtualDirectory changes the EWS addresses and authentication of
// a server (cmdlet reference 6.2).
func (s *Service) SetWebServicesVirtualDirectory(ctx context.Context, actor Actor, org directory.OrgID, identity string, fn func(*directory.Server) error) (Result[directory.Server], error) {
	return set(ctx, s, actor, "Set-WebServicesVirtualDirectory", org, servers, identity, fn)
}
