package ews

import "busybridge/internal/spec/soap"

// AppendGetFolderRequest appends a whole envelope that asks for the id of one
// distinguished folder (5.2).
func AppendGetFolderRequest(b []byte, h *Header, f FolderRef) []byte {
	b = append(b, `<?xml version="1.0" encoding="utf-8"?>`+"\n"+`<s:Envelope xmlns:s="`+soap.NS+`" xmlns:m="`+NSMessages+`" xmlns:t="`+NSTypes+`">`...)
	b = h.append(b)
	b = append(b, `<s:Body><m:GetFolder><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape><m:FolderIds><t:DistinguishedFolderId Id="`...)
	b = append(soap.AppendAttr(b, f.ID), `">`...)
	if f.Mailbox != "" {
		b = append(b, `<t:Mailbox>`...)
		b = append(appendElement(b, "t:EmailAddress", f.Mailbox), `</t:Mailbox>`...)
	}
	return append(b, `</t:DistinguishedFolderId></m:FolderIds></m:GetFolder></s:Body></s:Envelope>`...)
}

// FirstError is the first response message of an answer to a request for several
// things that is not a success; ok is false when all are.
func FirstError(env *soap.Envelope) (m ResponseMessage, ok bool) {
	if len(env.Body) == 0 {
		return m, false
	}
	list := env.Body[0].Child(NSMessages, "ResponseMessages")
	if list == nil {
		return m, false
	}
	for _, c := range list.Children {
		if m = parseMessage(c); m.Class == "Error" {
			return m, true
		}
	}
	return ResponseMessage{}, false
}
