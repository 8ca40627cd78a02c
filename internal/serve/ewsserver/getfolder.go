package ewsserver

import (
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/soap"
)

// getFolder answers GetFolder (5.2).
func (c *call) getFolder(e *soap.Element) error {
	req, err := ews.ParseGetFolder(e)
	if err != nil {
		return err
	}
	if len(req.Folders) > maxParts {
		return errTooManyParts
	}
	const op = "GetFolder"
	c.out = ews.AppendResponseStart(c.out, c.version(), op)
	for _, ref := range req.Folders {
		i, bad := c.find(ref)
		if bad != nil {
			c.out = ews.AppendErrorMessage(c.out, op, bad.code, bad.text)
			continue
		}
		c.out = ews.AppendMessageStart(c.out, op, &ews.ResponseMessage{})
		c.out = ews.AppendFolders(c.out, []ews.Folder{c.folder(i)}, req.Shape)
		c.out = ews.AppendMessageEnd(c.out, op)
	}
	c.out = ews.AppendResponseEnd(c.out, op)
	return nil
}
