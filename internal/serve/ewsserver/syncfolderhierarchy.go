package ewsserver

import (
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/soap"
)

// syncFolderHierarchy answers SyncFolderHierarchy (5.2): everything to a client
// without state, nothing new to one that has it.
func (c *call) syncFolderHierarchy(e *soap.Element) error {
	req, err := ews.ParseSyncFolderHierarchy(e)
	if err != nil {
		return err
	}
	const op = "SyncFolderHierarchy"
	c.out = ews.AppendResponseStart(c.out, c.version(), op)
	ref := ews.FolderRef{Distinguished: true, ID: "msgfolderroot"}
	if req.Folder != nil {
		ref = *req.Folder
	}
	i, bad := c.find(ref)
	var state string
	if bad == nil {
		state = opaque(stateKind, c.mailbox, hierarchyVersion+" "+hierarchy[i].distinguished)
		if req.State != "" && req.State != state {
			bad = &partError{"ErrorInvalidSyncStateData", "The synchronization state data is invalid."}
		}
	}
	if bad != nil {
		c.out = ews.AppendErrorMessage(c.out, op, bad.code, bad.text)
	} else {
		var created []ews.Folder
		if req.State == "" {
			created = c.below(i, true)
		}
		c.out = ews.AppendMessageStart(c.out, op, &ews.ResponseMessage{})
		c.out = ews.AppendFolderChanges(c.out, state, created, req.Shape)
		c.out = ews.AppendMessageEnd(c.out, op)
	}
	c.out = ews.AppendResponseEnd(c.out, op)
	return nil
}
