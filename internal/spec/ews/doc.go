// Package ews is the wire format of Exchange Web Services, as far as free/busy
// needs it: types of requests and responses, read from the tree of package soap
// and written by appending to a byte slice. Section numbers in comments are
// those of the EWS reference.
//
// Reading is by namespace and local name, in any order, and skips what it does
// not know. Writing keeps the order of the schema, for clients depend on it, and
// writes an empty array as start tag and end tag (1.4, 2.6).
package ews

import (
	"errors"
	"fmt"
	"strconv"

	"busybridge/internal/spec/soap"
)

// The namespaces of messages (m:), types (t:) and errors (e:).
const (
	NSMessages = "http://schemas.microsoft.com/exchange/services/2006/messages"
	NSTypes    = "http://schemas.microsoft.com/exchange/services/2006/types"
	NSErrors   = "http://schemas.microsoft.com/exchange/services/2006/errors"
)

var (
	// ErrTimeZone: a zone that cannot be (ErrorTimeZone).
	ErrTimeZone = errors.New("the time zone is not valid")
	// ErrDuplicateHeader: a SOAP header is there twice (ErrorDuplicateSOAPHeader).
	ErrDuplicateHeader = errors.New("a SOAP header occurs more than once")
	// ErrServerVersion: RequestServerVersion is no version (ErrorInvalidServerVersion).
	ErrServerVersion = errors.New("the request version is not valid")
	// ErrImpersonation: ConnectingSID does not name one user (ErrorInvalidExchangeImpersonationHeaderData).
	ErrImpersonation = errors.New("the ExchangeImpersonation header is not valid")
	// ErrAccessModes: several headers that each name a user (ErrorMoreThanOneAccessModeSpecified).
	ErrAccessModes = errors.New("more than one access mode is specified")
)

// A SchemaError is XML that is well-formed but not what the schema wants.
type SchemaError struct {
	Line, Col int
	Violation string
}

func (e *SchemaError) Error() string {
	return fmt.Sprintf("line %d, position %d: %s", e.Line, e.Col, e.Violation)
}

func violation(e *soap.Element, format string, args ...any) error {
	return &SchemaError{e.Line, e.Col, fmt.Sprintf(format, args...)}
}

func missing(e *soap.Element, child string) error {
	return violation(e, "The element '%s' has incomplete content: '%s' is expected.", e.Local, child)
}

func badValue(e *soap.Element, value string) error {
	return violation(e, "The '%s' element is invalid - the value %q is not allowed.", e.Local, clip(value))
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80]
	}
	return s
}

// A ServerVersion is the ServerVersionInfo header (1.3). The zero value means
// that there was none.
type ServerVersion struct {
	Major, Minor, Build, Revision int
	Schema                        string // V2017_07_11; may be empty
}

// ParseServerVersion reads the header of a response.
func ParseServerVersion(env *soap.Envelope) ServerVersion {
	for _, h := range env.Header {
		if h.Is(NSTypes, "ServerVersionInfo") {
			n := func(name string) int {
				v, err := strconv.Atoi(h.AttrValue(name))
				if err != nil || v < 0 {
					return 0 // an optional attribute, for information
				}
				return v
			}
			return ServerVersion{n("MajorVersion"), n("MinorVersion"), n("MajorBuildNumber"), n("MinorBuildNumber"), h.AttrValue("Version")}
		}
	}
	return ServerVersion{}
}

// AppendStart begins a response envelope, up to the start tag of Body;
// AppendEnd ends it.
func AppendStart(b []byte, v ServerVersion) []byte {
	b = append(b, `<?xml version="1.0" encoding="utf-8"?>`+"\n"+`<s:Envelope xmlns:s="`+soap.NS+`"><s:Header><h:ServerVersionInfo MajorVersion="`...)
	b = strconv.AppendInt(b, int64(v.Major), 10)
	b = append(b, `" MinorVersion="`...)
	b = strconv.AppendInt(b, int64(v.Minor), 10)
	b = append(b, `" MajorBuildNumber="`...)
	b = strconv.AppendInt(b, int64(v.Build), 10)
	b = append(b, `" MinorBuildNumber="`...)
	b = strconv.AppendInt(b, int64(v.Revision), 10)
	if v.Schema != "" {
		b = append(b, `" Version="`...)
		b = soap.AppendAttr(b, v.Schema)
	}
	return append(b, `" xmlns:h="`+NSTypes+`"/></s:Header><s:Body xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema">`...)
}

func AppendEnd(b []byte) []byte { return append(b, `</s:Body></s:Envelope>`...) }

// A ResponseMessage says how one part of a request went (1.4). The zero value
// is success.
type ResponseMessage struct {
	Class string // Success, Warning, Error; "" is written as Success
	Code  string // NoError, Error…; "" is written as NoError
	Text  string
	// Exception is the MessageXml of availability errors (2.7); nil: none.
	Exception *Exception
}

// An Exception is what Exchange's availability service says about an error.
type Exception struct {
	Type    string
	Code    int // 0: not known
	Server  string
	Message string
}

// OK reports whether there is an answer: success, or a warning.
func (m *ResponseMessage) OK() bool { return m.Class != "Error" }

func appendElement(b []byte, name, text string) []byte {
	b = append(append(append(b, '<'), name...), '>')
	b = soap.AppendText(b, text)
	return append(append(append(b, '<', '/'), name...), '>')
}

func appendInt(b []byte, name string, n int) []byte {
	b = append(append(append(b, '<'), name...), '>')
	b = strconv.AppendInt(b, int64(n), 10)
	return append(append(append(b, '<', '/'), name...), '>')
}

func appendBool(b []byte, name string, v bool) []byte {
	b = append(append(append(b, '<'), name...), '>')
	b = strconv.AppendBool(b, v)
	return append(append(append(b, '<', '/'), name...), '>')
}

// appendMessageStart writes the start tag of a ResponseMessageType element and
// its common children; prefix is "" or "m:".
func appendMessageStart(b []byte, prefix, name string, m *ResponseMessage) []byte {
	class, code := m.Class, m.Code
	if class == "" {
		class = "Success"
	}
	if code == "" {
		code = "NoError"
	}
	b = append(append(append(b, '<'), prefix...), name...)
	b = append(b, ` ResponseClass="`...)
	b = append(soap.AppendAttr(b, class), `">`...)
	if class != "Success" {
		b = appendElement(b, prefix+"MessageText", m.Text)
	}
	b = appendElement(b, prefix+"ResponseCode", code)
	if class != "Success" {
		b = appendElement(b, prefix+"DescriptiveLinkKey", "0")
	}
	if x := m.Exception; x != nil {
		const ns = ` xmlns="` + NSErrors + `">`
		b = append(append(append(b, '<'), prefix...), `MessageXml><ExceptionType`+ns...)
		b = soap.AppendText(b, x.Type)
		b = append(b, `</ExceptionType>`...)
		if x.Code != 0 {
			b = append(b, `<ExceptionCode`+ns...)
			b = strconv.AppendInt(b, int64(x.Code), 10)
			b = append(b, `</ExceptionCode>`...)
		}
		b = append(b, `<ExceptionServerName`+ns...)
		b = soap.AppendText(b, x.Server)
		b = append(b, `</ExceptionServerName><ExceptionMessage`+ns...)
		b = soap.AppendText(b, x.Message)
		b = append(append(append(b, `</ExceptionMessage></`...), prefix...), `MessageXml>`...)
	}
	return b
}

func appendMessage(b []byte, m *ResponseMessage) []byte {
	return append(appendMessageStart(b, "", "ResponseMessage", m), `</ResponseMessage>`...)
}

// parseMessage reads a ResponseMessageType. MessageXml is read by local names.
func parseMessage(e *soap.Element) ResponseMessage {
	m := ResponseMessage{
		Class: e.AttrValue("ResponseClass"),
		Code:  e.ChildText(NSMessages, "ResponseCode"),
		Text:  e.ChildText(NSMessages, "MessageText"),
	}
	if m.Class == "" && m.Code != "" && m.Code != "NoError" {
		m.Class = "Error"
	}
	if x := e.Child(NSMessages, "MessageXml"); x != nil && len(x.Children) > 0 {
		m.Exception = &Exception{}
		for _, c := range x.Children {
			switch c.Local {
			case "ExceptionType":
				m.Exception.Type = c.Trimmed()
			case "ExceptionCode":
				if n, err := strconv.Atoi(c.Trimmed()); err == nil {
					m.Exception.Code = n
				}
			case "ExceptionServerName":
				m.Exception.Server = c.Trimmed()
			case "ExceptionMessage":
				m.Exception.Message = c.Trimmed()
			}
		}
	}
	return m
}

// parseInt reads an xs:int within [lo, hi].
func parseInt(e *soap.Element, lo, hi int) (int, error) {
	text := e.Trimmed()
	if len(text) > 1 && text[0] == '+' && text[1] != '-' {
		text = text[1:]
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || int(n) < lo || int(n) > hi {
		return 0, badValue(e, e.Trimmed())
	}
	return int(n), nil
}

// parseBool reads an xs:boolean (1.4).
func parseBool(e *soap.Element) (bool, error) {
	switch e.Trimmed() {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, badValue(e, e.Trimmed())
}
