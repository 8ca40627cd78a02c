package ewsserver

import (
	"errors"
	"slices"

	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/soap"
)

// findFolder answers FindFolder (5.2).
func (c *call) findFolder(e *soap.Element) error {
	const op = "FindFolder"
	req, err := ews.ParseFindFolder(e)
	if errors.Is(err, ews.ErrRestriction) {
		c.out = ews.AppendResponseStart(c.out, c.version(), op)
		c.out = ews.AppendErrorMessage(c.out, op, "ErrorUnsupportedPathForQuery", sentence(err))
		c.out = ews.AppendResponseEnd(c.out, op)
		return nil
	}
	if err != nil {
		return err
	}
	if len(req.Parents) > maxParts {
		return errTooManyParts
	}
	c.out = ews.AppendResponseStart(c.out, c.version(), op)
	for _, ref := range req.Parents {
		i, bad := c.find(ref)
		if bad != nil {
			c.out = ews.AppendErrorMessage(c.out, op, bad.code, bad.text)
			continue
		}
		list := c.below(i, req.Deep)
		if req.Match != nil {
			list = slices.DeleteFunc(list, func(f ews.Folder) bool { return !req.Match(&f) })
		}
		page, next, last := pageOf(list, req)
		c.out = ews.AppendMessageStart(c.out, op, &ews.ResponseMessage{})
		c.out = ews.AppendRootFolder(c.out, page, req.Shape, next, len(list), last)
		c.out = ews.AppendMessageEnd(c.out, op)
	}
	c.out = ews.AppendResponseEnd(c.out, op)
	return nil
}

// pageOf cuts list to the page that was asked for. next is the offset of the
// following page, counted from the same end.
func pageOf(list []ews.Folder, req *ews.FindFolderRequest) (page []ews.Folder, next int, last bool) {
	n := len(list)
	from := min(req.Offset, n)
	to := n
	if req.Max > 0 {
		to = from + min(req.Max, n-from)
	}
	if req.FromEnd {
		return list[n-to : n-from], to, to == n
	}
	return list[from:to], to, to == n
}
