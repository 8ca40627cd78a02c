package ewsserver

import (
	"strings"

	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/soap"
)

// convertID answers ConvertId (5.7). Ids of this server have one form only,
// EwsId, which is EwsLegacyId too. The answer names the owner's real address: a
// client learns it from here.
func (c *call) convertID(e *soap.Element) error {
	req, err := ews.ParseConvertID(e)
	if err != nil {
		return err
	}
	if len(req.Sources) > maxParts {
		return errTooManyParts
	}
	const op = "ConvertId"
	isEws := func(format string) bool { return strings.HasPrefix(format, "Ews") }
	c.out = ews.AppendResponseStart(c.out, c.version(), op)
	for _, id := range req.Sources {
		var bad *partError
		if !isEws(id.Format) {
			bad = partMalformed // no id of another form is ours
		} else if _, bad = c.find(ews.FolderRef{ID: id.ID}); bad == nil && !isEws(req.Destination) {
			bad = &partError{"ErrorUnsupportedTypeForConversion", "The Id has no form of the requested type."}
		}
		if bad != nil {
			c.out = ews.AppendErrorMessage(c.out, op, bad.code, bad.text)
			continue
		}
		c.out = ews.AppendMessageStart(c.out, op, &ews.ResponseMessage{})
		c.out = ews.AppendAlternateID(c.out, &ews.AlternateID{Format: req.Destination, ID: id.ID, Mailbox: c.mailbox.Primary.String()})
		c.out = ews.AppendMessageEnd(c.out, op)
	}
	c.out = ews.AppendResponseEnd(c.out, op)
	return nil
}
