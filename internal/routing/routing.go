// Package routing decides where an address lives: here, behind a connector, an
// organization relationship or an address space. It is a table and does no I/O.
package routing

import (
	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
)

// A Kind is the kind of a route.
type Kind uint8

// The routes in the order in which they are tried (design, the way of a request).
const (
	None Kind = iota
	Local
	Connector
	Relationship
	AddressSpace
)

var kindNames = [...]string{"none", "local", "connector", "relationship", "addressspace"}

func (k Kind) String() string { return kindNames[k] }

// A Route says where one address is asked for. Exactly the field that belongs
// to Kind is set.
type Route struct {
	Kind   Kind
	Target smtpaddr.Address // the address to ask for: a mail user's target address

	Recipient    *directory.Recipient                  // Local
	Connector    *directory.IntraOrganizationConnector // Connector
	Relationship *directory.OrganizationRelationship   // Relationship
	AddressSpace *directory.AvailabilityAddressSpace   // AddressSpace
	Err          *MailboxError                         // None: why there is no route

	Match string // what decided: the domain or "*.domain" of the object, for logs
}

// Name is the name of the object that the route goes by, or "".
func (r Route) Name() string {
	switch r.Kind {
	case Connector:
		return r.Connector.Name
	case Relationship:
		return r.Relationship.Name
	case AddressSpace:
		return r.AddressSpace.Name
	}
	return ""
}

// Same reports whether both go by the same object: what both ask for fits into one
// question. They are of one table.
func (r *Route) Same(other *Route) bool {
	return r.Connector == other.Connector && r.Relationship == other.Relationship && r.AddressSpace == other.AddressSpace
}
