package admin

import (
	"context"
	"fmt"
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

// serverOps are the cmdlets that change a server.
var serverOps = []string{
	"Set-WebServicesVirtualDirectory", "Set-AutodiscoverVirtualDirectory", "Set-ClientAccessServer", "Set-ClientAccessService",
}

// SetServer changes a server's addresses and authentication, as the cmdlet op
// does (cmdlet reference 6.2, 6.5, 6.6).
func (s *Service) SetServer(ctx context.Context, actor Actor, op string, org directory.OrgID, identity string, fn func(*directory.Server) error) (Result[directory.Server], error) {
	if !slices.Contains(serverOps, op) {
		return Result[directory.Server]{}, fmt.Errorf("%s changes no server: want one of %s", op, strings.Join(serverOps, ", "))
	}
	return set(ctx, s, actor, op, org, servers, identity, fn)
}

// RemoveServer removes a node, as setup does when it is taken away.
func (s *Service) RemoveServer(ctx context.Context, actor Actor, org directory.OrgID, identity string) (Result[directory.Server], error) {
	return remove(ctx, s, actor, "Remove-ExchangeServer", org, servers, identity)
}
