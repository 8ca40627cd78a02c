package ewsserver

import (
	"slices"
	"time"

	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/soap"
	"busybridge/internal/spec/wintz"
)

// Years of rules in a definition. Clients sort the groups by their id as text,
// so there are at most ten.
const (
	zoneYearsBack = 5
	zoneYears     = 10
)

// getServerTimeZones answers GetServerTimeZones (5.6). Ids that are not known
// are left out.
func (c *call) getServerTimeZones(e *soap.Element) error {
	req, err := ews.ParseGetServerTimeZones(e)
	if err != nil {
		return err
	}
	ids := req.IDs
	if req.All {
		ids = wintz.IDs()
	}
	year := c.cfg.Now().Year() - zoneYearsBack
	var zones []ews.ZoneDefinition
	for _, id := range ids {
		if slices.ContainsFunc(zones, func(d ews.ZoneDefinition) bool { return d.ID == id }) {
			continue // asked for twice
		}
		if _, known := wintz.IANA(id); !known {
			continue
		}
		loc, ok := wintz.Location(id)
		if !ok {
			continue
		}
		var rules []wintz.Rule
		if req.Full {
			for y := year; y < year+zoneYears; y++ {
				rules = append(rules, wintz.RuleAt(loc, time.Date(y, 1, 2, 0, 0, 0, 0, time.UTC)))
			}
		}
		zones = append(zones, ews.DefineZone(id, wintz.DisplayName(id), year, rules))
	}
	const op = "GetServerTimeZones"
	c.out = ews.AppendMessageStart(ews.AppendResponseStart(c.out, c.version(), op), op, &ews.ResponseMessage{})
	c.out = ews.AppendTimeZoneDefinitions(c.out, zones, req.Full)
	c.out = ews.AppendResponseEnd(ews.AppendMessageEnd(c.out, op), op)
	return nil
}
