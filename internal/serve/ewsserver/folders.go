package ewsserver

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/smtpaddr"
)

// A mailbox has a fixed hierarchy: what clients want at start-up (4.2, 5.2).
// Folders are named by their place in this list, so it may only grow.
var hierarchy = []struct {
	distinguished, name, kind, class string
	parent                           int // -1: none
}{
	{"root", "root", "Folder", "", -1},
	{"msgfolderroot", "Top of Information Store", "Folder", "IPF.Note", 0},
	{"calendar", "Calendar", "CalendarFolder", "IPF.Appointment", 1},
	{"contacts", "Contacts", "ContactsFolder", "IPF.Contact", 1},
	{"deleteditems", "Deleted Items", "Folder", "IPF.Note", 1},
	{"drafts", "Drafts", "Folder", "IPF.Note", 1},
	{"inbox", "Inbox", "Folder", "IPF.Note", 1},
	{"junkemail", "Junk Email", "Folder", "IPF.Note", 1},
	{"outbox", "Outbox", "Folder", "IPF.Note", 1},
	{"sentitems", "Sent Items", "Folder", "IPF.Note", 1},
}

// hierarchyVersion is part of every change key and sync state: a client with
// another one starts again.
const hierarchyVersion = "1"

var changeKey = base64.StdEncoding.EncodeToString([]byte("hierarchy " + hierarchyVersion))

// opaque makes a stable id of kind for a mailbox: what it names, and a check sum
// that binds the parts. An id gives no right; whose it is decides.
func opaque(kind string, mailbox *directory.Recipient, part string) string {
	text := strings.Join([]string{kind, string(mailbox.Org), mailbox.ID, part}, "\x00")
	sum := sha256.Sum256([]byte("busybridge EWS id\x00" + text))
	return base64.StdEncoding.EncodeToString(append(sum[:8:8], text...))
}

// openOpaque is the reverse of opaque.
func openOpaque(kind, id string) (org directory.OrgID, mailbox, part string, ok bool) {
	b, err := base64.StdEncoding.Strict().DecodeString(id)
	if err != nil || len(b) < 8 {
		return "", "", "", false
	}
	parts := strings.Split(string(b[8:]), "\x00")
	sum := sha256.Sum256(append([]byte("busybridge EWS id\x00"), b[8:]...))
	if subtle.ConstantTimeCompare(sum[:8], b[:8]) != 1 || len(parts) != 4 || parts[0] != kind {
		return "", "", "", false
	}
	return directory.OrgID(parts[1]), parts[2], parts[3], true
}

const (
	folderKind = "folder"
	stateKind  = "hierarchy state"
)

func folderID(mailbox *directory.Recipient, i int) string {
	return opaque(folderKind, mailbox, strconv.Itoa(i))
}

// isFolderID reports whether id is one of ours, of any mailbox.
func isFolderID(id string) bool {
	_, _, _, ok := openOpaque(folderKind, id)
	return ok
}

// folder is folder i of the caller's mailbox.
func (c *call) folder(i int) ews.Folder {
	h := &hierarchy[i]
	f := ews.Folder{Kind: h.kind, ID: folderID(c.mailbox, i), ChangeKey: changeKey, Class: h.class, Name: h.name, Distinguished: h.distinguished}
	if h.parent >= 0 {
		f.ParentID, f.ParentChange = folderID(c.mailbox, h.parent), changeKey
	}
	for j := range hierarchy {
		if hierarchy[j].parent == i {
			f.Children++
		}
	}
	return f
}

// below lists the folders in folder i; deep ones too.
func (c *call) below(i int, deep bool) []ews.Folder {
	var list []ews.Folder
	for j := range hierarchy {
		for p := hierarchy[j].parent; p >= 0; p = hierarchy[p].parent {
			if p == i {
				list = append(list, c.folder(j))
			}
			if !deep {
				break
			}
		}
	}
	return list
}

// A partError is why one id or folder of a request is not served. It becomes a
// response message.
type partError struct{ code, text string }

var (
	partMalformed      = &partError{"ErrorInvalidIdMalformed", "Id is malformed."}
	partFolderNotFound = &partError{"ErrorFolderNotFound", "The specified folder could not be found in the store."}
	partAccessDenied   = &partError{"ErrorAccessDenied", "Access is denied. Check credentials and try again."}
	partNonExistent    = &partError{"ErrorNonExistentMailbox", "The SMTP address has no mailbox associated with it."}
	partNoMailbox      = &partError{"ErrorMissingEmailAddress", "When making a request as an account that does not have a mailbox, you must specify the mailbox primary SMTP address for any distinguished folder Ids."}
)

// find returns the place of a folder of the caller's own mailbox. The folders of
// others are denied, whether they exist or not.
func (c *call) find(ref ews.FolderRef) (int, *partError) {
	own := c.mailbox != nil && c.mailbox.IsMailbox()
	if !ref.Distinguished {
		org, mailbox, part, ok := openOpaque(folderKind, ref.ID)
		if !ok {
			return 0, partMalformed
		}
		if !own || org != c.mailbox.Org || mailbox != c.mailbox.ID {
			return 0, partAccessDenied
		}
		i, err := strconv.Atoi(part)
		if err != nil || i < 0 || i >= len(hierarchy) {
			return 0, partFolderNotFound
		}
		return i, nil
	}
	if ref.Mailbox != "" {
		switch addr, err := smtpaddr.Parse(ref.Mailbox); {
		case err != nil || c.mailbox == nil || !c.mailbox.HasAddress(addr):
			return 0, partAccessDenied
		case !own: // a mail user: the mailbox is elsewhere
			return 0, partNonExistent
		}
	}
	if !own {
		return 0, partNoMailbox
	}
	for i := range hierarchy {
		if hierarchy[i].distinguished == ref.ID {
			return i, nil
		}
	}
	return 0, partFolderNotFound
}
