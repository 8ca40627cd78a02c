package exchangecmd

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/directory"
	"busybridge/internal/ps/object"
)

// A bag collects the properties of one object in Exchange's order.
type bag struct {
	*object.Object
	k *call
}

// bag begins an object of the class (full name).
func (k *call) bag(class string) bag {
	shape := k.shapes[class]
	if shape == nil {
		if k.shapes == nil {
			k.shapes = map[string]*object.Shape{}
		}
		shape = object.NewShape(class, "System.Object")
		k.shapes[class] = shape
	}
	o := shape.New()
	if k.RunspaceID != "" {
		o.Add("RunspaceId", guid(k.RunspaceID))
	}
	return bag{o, k}
}

// add appends a property. Values are Go values that object.From knows, or values of the language.
func (b bag) add(name string, v any) bag {
	b.Add(name, object.From(v))
	return b
}

// A kind is where objects of one noun stand in the directory (3.3).
type kind struct {
	container string // RDNs under the organization, most specific first; empty: the organization itself
	category  string // ms-Exch-Auth-Partner-Application
	classes   []string
	version   string // ExchangeVersion
}

// The ExchangeVersion of objects.
const (
	version2013   = "0.20 (15.0.0.0)"
	versionVDir   = "0.10 (14.0.100.0)"
	versionServer = "0.1 (8.0.535.0)"
)

// dn is the distinguished name of an object.
func (kd kind) dn(o *directory.Organization, name string) string {
	if kd.container == "" {
		return "CN=" + name + "," + base(o)
	}
	return "CN=" + name + "," + kd.container + "," + base(o)
}

// base is the distinguished name of the organization.
func base(o *directory.Organization) string {
	return "CN=" + o.Name + ",CN=Microsoft Exchange,CN=Services,CN=Configuration," + dcs(o)
}

// dcs is the default domain as DC=contoso,DC=com.
func dcs(o *directory.Organization) string {
	return "DC=" + strings.ReplaceAll(o.DefaultDomain(), ".", ",DC=")
}

// tail appends the block that directory objects end with (3.3). A property that
// the object has already stays where it is.
func (b bag) tail(o *directory.Organization, kd kind, c *directory.Common, state string) *object.Object {
	b.add("AdminDisplayName", "").add("ExchangeVersion", kd.version)
	if b.Property("Name") == nil {
		b.add("Name", c.Name)
	}
	return b.ids(o, kd, c, state)
}

// ids is the tail without its first three lines, for classes that have them elsewhere.
func (b bag) ids(o *directory.Organization, kd kind, c *directory.Common, state string) *object.Object {
	b.add("DistinguishedName", kd.dn(o, c.Name))
	if b.Property("Identity") == nil {
		b.add("Identity", c.Name)
	}
	if !b.k.Hosted {
		b.add("Guid", guid(c.GUID))
	}
	b.add("ObjectCategory", o.DefaultDomain()+"/Configuration/Schema/"+kd.category).add("ObjectClass", kd.classes)
	id, _ := b.Get("Identity")
	b.when(c.WhenChanged, c.WhenCreated)
	if b.k.Hosted {
		b.add("ExchangeObjectId", guid(c.GUID))
	}
	b.add("OrganizationId", b.k.organizationID(o)).add("Id", id)
	if b.k.Hosted {
		b.add("Guid", guid(c.GUID))
	}
	return b.add("OriginatingServer", b.k.Server).add("IsValid", true).add("ObjectState", state).Object
}

// when is the four time stamps, in the session's zone and in UTC.
func (b bag) when(changed, created time.Time) bag {
	return b.add("WhenChanged", b.k.local(changed)).add("WhenCreated", b.k.local(created)).
		add("WhenChangedUTC", utc(changed)).add("WhenCreatedUTC", utc(created))
}

// later reports whether objects have the properties that came after the 2013 edition.
func (k *call) later(o *directory.Organization) bool {
	return k.Hosted || slices.ContainsFunc(o.Servers, func(s directory.Server) bool { return !s.AdminDisplayVersion.Less(version2016) })
}

var version2016 = directory.Version{Major: 15, Minor: 1}

// listOrNull is a list that is shown as nothing when it is empty.
func listOrNull(list []string) any {
	if len(list) == 0 {
		return nil
	}
	return list
}

// single is the common part of an object that an organization has one of. Its
// GUID follows from the organization's.
func single(o *directory.Organization, name string) *directory.Common {
	return &directory.Common{Name: name, GUID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(string(o.ID)+"/"+name)).String()}
}

// local is t in the session's zone; no time is null.
func (k *call) local(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.In(k.Call.Now().Location())
}

// instant is a date of the language as an instant: one without a zone is of the session's.
func (k *call) instant(t time.Time) (time.Time, error) {
	v, err := object.CallMethod(k.Session().ObjectContext(), t, "ToUniversalTime", nil)
	if err != nil {
		return time.Time{}, err
	}
	at, ok := v.(time.Time)
	if !ok {
		return time.Time{}, fmt.Errorf("%s is no date", object.String(t))
	}
	return at, nil
}

// guid is s as a value of the language.
func guid(s string) any {
	if id, err := uuid.Parse(s); err == nil {
		return id
	}
	return s
}

func utc(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC()
}

func (x *exchange) organizationID(o *directory.Organization) string {
	if !x.Hosted {
		return ""
	}
	return o.DefaultDomain() + "/Microsoft Exchange Hosted Organizations/" + o.Name + " - " + o.DefaultDomain() + "/ConfigurationUnits/" + o.Name + "/Configuration"
}

// States of an object (3.3).
const (
	unchanged = "Unchanged"
	computed  = "Changed" // the getter filled something in
	fresh     = "New"     // a test result
)

// A controller is the parameter that every cmdlet of a directory has.
type controller struct {
	DomainController string `ps:"DomainController" help:"Accepted for scripts that name one. There is one store, and it is always asked."`
}

// uri is an address as a value of the language; empty is null.
func uri(s string) any {
	if s == "" {
		return nil
	}
	if u, err := object.ParseURI(s); err == nil {
		return u
	}
	return s
}

// address is a parameter of type Uri as text.
func address(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.String()
}
