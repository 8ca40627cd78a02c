package autodiscover

import (
	"fmt"
	"strings"

	"busybridge/internal/spec/soap"
)

// Namespaces of the SOAP form (Autodiscover reference 1.1). Some published
// samples write the first with https, which no server takes.
const (
	NS    = "http://schemas.microsoft.com/exchange/2010/Autodiscover"
	nsWSA = "http://www.w3.org/2005/08/addressing"
	nsXSI = "http://www.w3.org/2001/XMLSchema-instance"

	anonymous = nsWSA + "/anonymous"
)

// An Operation is what a SOAP request asks for.
type Operation string

// The operations that can be read and written.
const (
	GetUserSettings          Operation = "GetUserSettings"
	GetDomainSettings        Operation = "GetDomainSettings"
	GetFederationInformation Operation = "GetFederationInformation"
)

// Action is the wsa:Action and SOAPAction of a request for o. The word
// Autodiscover stands in it twice.
func (o Operation) Action() string { return NS + "/Autodiscover/" + string(o) }

// A Request is a SOAP request.
type Request struct {
	Operation Operation
	// Of the header; all may be empty.
	RequestedServerVersion, MessageID, To string
	// Subjects are mailbox addresses for GetUserSettings, else domains, as they
	// were written; exactly one for GetFederationInformation.
	Subjects []string
	// Settings are the names of the settings asked for.
	Settings []string
}

// ParseRequest reads a request. Users, domains and settings may be missing: that
// is answered with InvalidRequest, not with a fault. Errors are *soap.Fault.
func ParseRequest(env *soap.Envelope) (*Request, error) {
	q := &Request{}
	for _, h := range env.Header {
		switch {
		case h.Is(NS, "RequestedServerVersion"):
			q.RequestedServerVersion = h.Trimmed()
		case h.Is(nsWSA, "MessageID"):
			q.MessageID = h.Trimmed()
		case h.Is(nsWSA, "To"):
			q.To = h.Trimmed()
		case h.Space != NS && h.Space != nsWSA && mustUnderstand(h): // SOAP 1.1, 4.2.3
			return nil, &soap.Fault{Code: "MustUnderstand", String: fmt.Sprintf("The header %.80s is not understood.", h.Local)}
		}
	}
	if len(env.Body) != 1 {
		return nil, &soap.Fault{Code: "Client", String: "The SOAP body must hold exactly one element."}
	}
	body := env.Body[0]
	name, ok := strings.CutSuffix(body.Local, "RequestMessage")
	q.Operation = Operation(name)
	r := body.Child(NS, "Request")
	switch {
	case !ok || body.Space != NS:
		return nil, &soap.Fault{Code: "Client", String: fmt.Sprintf("There is no operation for the element %.80s in the namespace %.120s.", body.Local, body.Space)}
	case q.Operation == GetUserSettings:
		for _, u := range list(r.Child(NS, "Users"), "User") {
			q.Subjects = append(q.Subjects, u.ChildText(NS, "Mailbox"))
		}
	case q.Operation == GetDomainSettings:
		q.Subjects = texts(r.Child(NS, "Domains"), "Domain")
	case q.Operation == GetFederationInformation:
		q.Subjects = texts(r, "Domain")
	default:
		return nil, &soap.Fault{Code: "Client", String: fmt.Sprintf("The operation %.80s is not offered.", name)}
	}
	if q.Operation != GetFederationInformation {
		q.Settings = texts(r.Child(NS, "RequestedSettings"), "Setting")
	}
	return q, nil
}

// AppendRequest appends the envelope of q (Autodiscover reference 1.3, 1.5).
func AppendRequest(b []byte, q *Request) []byte {
	b = append(b, `<s:Envelope xmlns:s="`+soap.NS+`" xmlns:a="`+NS+`" xmlns:wsa="`+nsWSA+`"><s:Header>`...)
	if q.RequestedServerVersion != "" {
		b = appendText(b, "a:RequestedServerVersion", q.RequestedServerVersion)
	}
	b = append(b, `<wsa:Action s:mustUnderstand="1">`...)
	b = append(soap.AppendText(b, q.Operation.Action()), `</wsa:Action>`...)
	if q.MessageID != "" {
		b = appendText(b, "wsa:MessageID", q.MessageID)
	}
	b = append(b, `<wsa:ReplyTo><wsa:Address>`+anonymous+`</wsa:Address></wsa:ReplyTo>`...)
	if q.To != "" {
		b = append(b, `<wsa:To s:mustUnderstand="1">`...)
		b = append(soap.AppendText(b, q.To), `</wsa:To>`...)
	}
	b = append(b, `</s:Header><s:Body>`...)
	message := "a:" + string(q.Operation) + "RequestMessage"
	b = append(appendOpen(b, message), `<a:Request>`...)
	switch q.Operation {
	case GetUserSettings:
		b = append(b, `<a:Users>`...)
		for _, s := range q.Subjects {
			b = append(appendText(append(b, `<a:User>`...), "a:Mailbox", s), `</a:User>`...)
		}
		b = append(b, `</a:Users>`...)
	case GetDomainSettings:
		b = append(b, `<a:Domains>`...)
		for _, s := range q.Subjects {
			b = appendText(b, "a:Domain", s)
		}
		b = append(b, `</a:Domains>`...)
	case GetFederationInformation:
		for _, s := range q.Subjects {
			b = appendText(b, "a:Domain", s)
		}
	}
	if q.Operation != GetFederationInformation {
		b = append(b, `<a:RequestedSettings>`...)
		for _, s := range q.Settings {
			b = appendText(b, "a:Setting", s)
		}
		b = append(b, `</a:RequestedSettings>`...)
	}
	b = appendClose(append(b, `</a:Request>`...), message)
	return append(b, `</s:Body></s:Envelope>`...)
}

func mustUnderstand(h *soap.Element) bool {
	for _, a := range h.Attr {
		if a.Space == soap.NS && a.Local == "mustUnderstand" {
			return a.Value == "1" || a.Value == "true"
		}
	}
	return false
}

// list returns the children of e with the given name; e may be nil.
func list(e *soap.Element, local string) (l []*soap.Element) {
	if e == nil {
		return nil
	}
	for _, c := range e.Children {
		if c.Is(NS, local) {
			l = append(l, c)
		}
	}
	return l
}

func texts(e *soap.Element, local string) (l []string) {
	for _, c := range list(e, local) {
		l = append(l, c.Trimmed())
	}
	return l
}

func appendOpen(b []byte, name string) []byte { return append(append(append(b, '<'), name...), '>') }
func appendClose(b []byte, name string) []byte {
	return append(append(append(b, "</"...), name...), '>')
}

// appendText appends an element with text only.
func appendText(b []byte, name, text string) []byte {
	if text == "" {
		return append(append(append(b, '<'), name...), "/>"...)
	}
	return appendClose(soap.AppendText(appendOpen(b, name), text), name)
}
