package ewsserver

import (
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/soap"
)

// Items are not served: calendars are read through free/busy. What is answered
// instead, so that clients go on without them:
//
//	FindItem, SyncFolderItems  ErrorAccessDenied for a folder that exists, else the folder's error
//	CreateItem                 ErrorAccessDenied
//	GetItem, UpdateItem,       ErrorInvalidIdMalformed: this server gave out no item id;
//	  DeleteItem               ErrorCannotUseFolderIdForItemId for the id of a folder
//	ResolveNames, ExpandDL     ErrorNameResolutionNoResults
//	GetUserConfiguration       ErrorItemNotFound
var (
	partNoItems        = &partError{"ErrorAccessDenied", "Items are not available on this server."}
	partFolderAsItem   = &partError{"ErrorCannotUseFolderIdForItemId", "The Id is that of a folder, not of an item."}
	partNoResults      = &partError{"ErrorNameResolutionNoResults", "No results were found."}
	partNoSuchSettings = &partError{"ErrorItemNotFound", "The specified object was not found in the store."}
)

// noItems answers the operations that never have an item to give.
func (c *call) noItems(e *soap.Element) error {
	op := e.Local
	var answers []*partError
	switch op {
	case "GetItem", "DeleteItem", "UpdateItem":
		list := e.Child(ews.NSMessages, "ItemIds")
		if op == "UpdateItem" {
			list = e.Child(ews.NSMessages, "ItemChanges")
		}
		if list == nil {
			return incomplete(e)
		}
		for _, part := range list.Children {
			id := part
			if op == "UpdateItem" && len(part.Children) > 0 {
				id = part.Children[0]
			}
			bad := partMalformed
			if isFolderID(id.AttrValue("Id")) {
				bad = partFolderAsItem
			}
			answers = append(answers, bad)
		}
	case "CreateItem":
		list := e.Child(ews.NSMessages, "Items")
		if list == nil {
			return incomplete(e)
		}
		for range list.Children {
			answers = append(answers, partNoItems)
		}
	case "ResolveNames", "ExpandDL":
		answers = append(answers, partNoResults)
	case "GetUserConfiguration":
		answers = append(answers, partNoSuchSettings)
	}
	return c.refuseParts(e, answers)
}

// refuseParts writes one error for each part of the request.
func (c *call) refuseParts(e *soap.Element, answers []*partError) error {
	switch {
	case len(answers) == 0:
		return incomplete(e)
	case len(answers) > maxParts:
		return errTooManyParts
	}
	c.out = ews.AppendResponseStart(c.out, c.version(), e.Local)
	for _, bad := range answers {
		c.out = ews.AppendErrorMessage(c.out, e.Local, bad.code, bad.text)
	}
	c.out = ews.AppendResponseEnd(c.out, e.Local)
	return nil
}

func (c *call) findItem(e *soap.Element) error { return c.inFolders(e, "ParentFolderIds") }

func (c *call) syncFolderItems(e *soap.Element) error { return c.inFolders(e, "SyncFolderId") }

// inFolders answers for each folder of the named child that it is not there, or
// that its items are not served.
func (c *call) inFolders(e *soap.Element, child string) error {
	refs, err := ews.ParseFolderRefs(e, child)
	if err != nil {
		return err
	}
	answers := make([]*partError, len(refs))
	for i, ref := range refs {
		if _, answers[i] = c.find(ref); answers[i] == nil {
			answers[i] = partNoItems
		}
	}
	return c.refuseParts(e, answers)
}

func incomplete(e *soap.Element) error {
	return &ews.SchemaError{Line: e.Line, Col: e.Col, Violation: "The element '" + e.Local + "' has incomplete content."}
}
