package ews

import "busybridge/internal/spec/soap"

// A ServerTimeZonesRequest is GetServerTimeZones (5.6).
type ServerTimeZonesRequest struct {
	Full bool     // with periods and transitions
	All  bool     // no Ids element: every zone
	IDs  []string // Windows ids
}

// ParseGetServerTimeZones reads m:GetServerTimeZones. Full data is the default.
func ParseGetServerTimeZones(e *soap.Element) (*ServerTimeZonesRequest, error) {
	r := &ServerTimeZonesRequest{Full: true}
	switch v, ok := e.LookupAttr("ReturnFullTimeZoneData"); {
	case !ok, v == "true", v == "1":
	case v == "false", v == "0":
		r.Full = false
	default:
		return nil, badAttr(e, "ReturnFullTimeZoneData", v)
	}
	ids := e.Child(NSMessages, "Ids")
	r.All = ids == nil
	if ids != nil {
		for _, c := range ids.Children {
			if c.Is(NSTypes, "Id") {
				r.IDs = append(r.IDs, c.Trimmed())
			}
		}
	}
	return r, nil
}

// AppendTimeZoneDefinitions writes the content of the response message.
func AppendTimeZoneDefinitions(b []byte, zones []ZoneDefinition, full bool) []byte {
	b = append(b, `<m:TimeZoneDefinitions>`...)
	for i := range zones {
		b = appendZoneDefinition(b, &zones[i], full)
	}
	return append(b, `</m:TimeZoneDefinitions>`...)
}
