package psrp

import (
	"busybridge/internal/ps/clixml"
	"busybridge/internal/ps/object"
)

// Versions that both sides tell (MS-PSRP 2.2.2.1). PowerShell insists on the last two.
var (
	protocol      = object.Version{Major: 2, Minor: 3, Build: -1, Revision: -1}
	shellVersion  = object.Version{Major: 2, Minor: 0, Build: -1, Revision: -1}
	serialization = object.Version{Major: 1, Minor: 1, Build: 0, Revision: 1}
)

// A Capability is what one side can do.
type Capability struct{ Protocol, PSVersion, Serialization object.Version }

func (c Capability) bag() *clixml.Bag {
	return new(clixml.Bag).Add("protocolversion", c.Protocol).Add("PSVersion", c.PSVersion).Add("SerializationVersion", c.Serialization)
}

func parseCapability(v any) (Capability, error) {
	f := fieldsOf(v)
	c := Capability{f.version("protocolversion"), f.version("PSVersion"), f.version("SerializationVersion")}
	if c.Protocol.Major != 2 || c.PSVersion.Major != 2 || c.Serialization.Major != 1 {
		return c, broken(SessionCapability, "protocol %v, PSVersion %v and serialization %v are not supported", c.Protocol, c.PSVersion, c.Serialization)
	}
	return c, nil
}

// agreed is the newest protocol that both sides speak. From 2.4 on, secrets would not be encrypted.
func agreed(other object.Version) object.Version {
	if other.Minor > protocol.Minor {
		return protocol
	}
	return other
}

// An Init is what a client wants of its pool (MS-PSRP 2.2.2.2).
type Init struct {
	Min, Max  int32
	Threads   any // enumerations, kept as they came
	Apartment any
	Host      Host
	Arguments any // ApplicationArguments, nil: none
}

func (i *Init) bag() *clixml.Bag {
	return new(clixml.Bag).Add("MinRunspaces", i.Min).Add("MaxRunspaces", i.Max).Add("PSThreadOptions", i.Threads).Add("ApartmentState", i.Apartment).
		Add("HostInfo", i.Host.bag()).Add("ApplicationArguments", i.Arguments)
}

func parseInit(v any) (*Init, error) {
	f := fieldsOf(v)
	i := &Init{Min: int32(f.number("MinRunspaces", 1)), Max: int32(f.number("MaxRunspaces", 1)), Threads: f.any("PSThreadOptions"),
		Apartment: f.any("ApartmentState"), Host: parseHost(f.any("HostInfo")), Arguments: f.any("ApplicationArguments")}
	if i.Min < 1 || i.Max < i.Min {
		return nil, broken(InitRunspacePool, "%d to %d runspaces cannot be made", i.Min, i.Max)
	}
	return i, nil
}

// primitiveDictionary is a table of the type by which PowerShell knows the tables of a pool.
func primitiveDictionary() *object.Hashtable {
	h := object.NewHashtable()
	h.Kind = &object.Type{Name: automation + "PSPrimitiveDictionary", Base: object.THashtable}
	return h
}
