package ewsserver

import (
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/soap"
)

// getUserOofSettings answers GetUserOofSettings (2.9): this server sends no
// automatic replies. Of another mailbox nothing is said.
func (c *call) getUserOofSettings(e *soap.Element) error {
	address, err := ews.ParseOofMailbox(e)
	if err != nil {
		return err
	}
	var m ews.ResponseMessage
	if a, err := smtpaddr.Parse(address); err != nil || c.mailbox == nil || !c.mailbox.HasAddress(a) {
		m = ews.ResponseMessage{Class: "Error", Code: partAccessDenied.code, Text: partAccessDenied.text}
	}
	c.out = ews.AppendOofResponse(c.out, c.version(), "GetUserOofSettings", &m)
	return nil
}

// setUserOofSettings refuses to change them.
func (c *call) setUserOofSettings(e *soap.Element) error {
	if _, err := ews.ParseOofMailbox(e); err != nil {
		return err
	}
	m := ews.ResponseMessage{Class: "Error", Code: "ErrorAccessDenied", Text: "Automatic replies are not available on this server."}
	c.out = ews.AppendOofResponse(c.out, c.version(), "SetUserOofSettings", &m)
	return nil
}
