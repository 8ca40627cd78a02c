package hybrid

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/admin/exchangecmd"
	"busybridge/internal/diagnose"
	"busybridge/internal/directory"
)

// Where a step is done, as in a diagnosis.
const (
	Here   = diagnose.Here
	There  = diagnose.There
	Tenant = diagnose.Tenant
)

// A Side is an organization that can be read and changed.
type Side struct {
	Admin    *admin.Service // required
	Actor    admin.Actor
	Org      directory.OrgID // required
	OAuth    exchangecmd.OAuthTester
	FreeBusy exchangecmd.FreeBusyTester
}

// A Realm is the directory of a tenant that can be read and changed.
type Realm struct {
	Admin *admin.Service // required
	Actor admin.Actor
	ID    string // required
}

// Sides are those of a plan. One that is nil belongs to somebody else: its commands
// are told, and what it holds is not known.
type Sides struct {
	Here, There *Side
	Tenant      *Realm
}

// A State is what the directories hold; nil: not known.
type State struct {
	Here, There *directory.Organization
	Tenant      *directory.Realm
	// The fingerprints of the sides' own keys, for direct trust; "": not known.
	HereKeys, ThereKeys string
	At                  time.Time
}

// Read reads all sides that can be read.
func (s *Sides) Read(ctx context.Context, d *Desired, now time.Time) (*State, error) {
	st := &State{At: now, HereKeys: d.Here.Fingerprint, ThereKeys: d.There.Fingerprint}
	for _, x := range []struct {
		side *Side
		org  **directory.Organization
		keys *string
	}{{s.Here, &st.Here, &st.HereKeys}, {s.There, &st.There, &st.ThereKeys}} {
		if x.side == nil {
			continue
		}
		o, err := x.side.Admin.ViewOrganization(ctx, x.side.Actor, "Get-AuthServer", x.side.Org)
		if err != nil {
			return nil, err
		}
		*x.org = o
		if d.Trust == Direct {
			if *x.keys, err = x.side.Admin.OwnFingerprint(ctx, x.side.Actor, x.side.Org); err != nil {
				return nil, err
			}
		}
	}
	if s.Tenant != nil && d.Trust == OAuth {
		var err error
		if st.Tenant, err = s.Tenant.Admin.ViewRealm(ctx, s.Tenant.Actor, "Get-MsolServicePrincipal", s.Tenant.ID); err != nil {
			return nil, err
		}
	}
	return st, nil
}

// A target is the object that a step makes or changes. Its key is the name, or
// the application id of a service principal.
type target struct {
	Where string `json:"where"`
	Kind  string `json:"kind"`
	Key   string `json:"key"`
}

// The kinds of objects, as in the audit trail.
const (
	kindAuthServer = "AuthServer"
	kindPartner    = "PartnerApplication"
	kindConnector  = "IntraOrganizationConnector"
	kindRelation   = "OrganizationRelationship"
	kindSpace      = "AvailabilityAddressSpace"
	kindPrincipal  = "ServicePrincipal"
)

// image is the id and the JSON of the target; "" and nil: it is not there.
func (st *State) image(t target) (id string, data json.RawMessage, err error) {
	o := st.Here
	if t.Where == There {
		o = st.There
	}
	var v any
	common := func(c *directory.Common, is any) {
		if directory.FoldKey(c.Name) == directory.FoldKey(t.Key) {
			id, v = c.GUID, is
		}
	}
	switch {
	case t.Where == Tenant:
		if st.Tenant == nil {
			break
		}
		for i := range st.Tenant.Principals {
			if p := &st.Tenant.Principals[i]; p.AppPrincipalID == t.Key {
				id, v = p.ObjectID, p
			}
		}
	case o == nil:
	case t.Kind == kindAuthServer:
		for i := range o.AuthServers {
			common(&o.AuthServers[i].Common, &o.AuthServers[i])
		}
	case t.Kind == kindPartner:
		for i := range o.PartnerApplications {
			common(&o.PartnerApplications[i].Common, &o.PartnerApplications[i])
		}
	case t.Kind == kindConnector:
		for i := range o.Connectors {
			common(&o.Connectors[i].Common, &o.Connectors[i])
		}
	case t.Kind == kindRelation:
		for i := range o.Relationships {
			common(&o.Relationships[i].Common, &o.Relationships[i])
		}
	case t.Kind == kindSpace:
		for i := range o.AddressSpaces {
			common(&o.AddressSpaces[i].Common, &o.AddressSpaces[i])
		}
	default:
		return "", nil, fmt.Errorf("no object is a %q", t.Kind)
	}
	if v == nil {
		return "", nil, nil
	}
	data, err = json.Marshal(v)
	return id, data, err
}
