package ews

import "busybridge/internal/spec/soap"

// ParseOofMailbox reads whose settings m:GetUserOofSettingsRequest or
// m:SetUserOofSettingsRequest is about (2.9).
func ParseOofMailbox(e *soap.Element) (address string, err error) {
	m := e.Child(NSTypes, "Mailbox")
	if m == nil {
		return "", missing(e, "Mailbox")
	}
	if m.Child(NSTypes, "Address") == nil {
		return "", missing(m, "Address")
	}
	return m.ChildText(NSTypes, "Address"), nil
}

// AppendOofResponse writes the response envelope of op, GetUserOofSettings or
// SetUserOofSettings. With a success of the former, settings say that the owner
// is not away.
func AppendOofResponse(b []byte, v ServerVersion, op string, m *ResponseMessage) []byte {
	b = append(append(append(AppendStart(b, v), '<'), op...), `Response xmlns="`+NSMessages+`">`...)
	b = appendMessage(b, m)
	if op == "GetUserOofSettings" && m.OK() {
		b = append(b, `<OofSettings xmlns="`+NSTypes+`"><OofState>Disabled</OofState><ExternalAudience>None</ExternalAudience>`+
			`<InternalReply><Message></Message></InternalReply><ExternalReply><Message></Message></ExternalReply></OofSettings>`+
			`<AllowExternalOof>None</AllowExternalOof>`...)
	}
	return AppendEnd(append(append(append(b, '<', '/'), op...), `Response>`...))
}
