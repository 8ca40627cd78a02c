package autodiscover

import (
	"errors"
	"fmt"
	"strconv"

	"busybridge/internal/spec/soap"
)

// An ErrorCode is the outcome of a request, of one user or domain in it, or of
// one setting (Autodiscover reference 1.2).
type ErrorCode string

// The error codes.
const (
	NoError               ErrorCode = "NoError"
	RedirectAddress       ErrorCode = "RedirectAddress"       // user: start again with the address RedirectTarget
	RedirectURL           ErrorCode = "RedirectUrl"           // user, domain: start again at the URL RedirectTarget
	InvalidUser           ErrorCode = "InvalidUser"           // user
	InvalidDomain         ErrorCode = "InvalidDomain"         // domain
	InvalidRequest        ErrorCode = "InvalidRequest"        // response
	InvalidSetting        ErrorCode = "InvalidSetting"        // setting: no such name
	SettingIsNotAvailable ErrorCode = "SettingIsNotAvailable" // setting: no value here
	ServerBusy            ErrorCode = "ServerBusy"            // response, user
	NotFederated          ErrorCode = "NotFederated"          // federation
	InternalServerError   ErrorCode = "InternalServerError"   // all
)

// ErrUnexpected is wrapped by errors of ParseResponse: well-formed SOAP that is
// not the answer to the question.
var ErrUnexpected = errors.New("unexpected Autodiscover answer")

// A Response is a SOAP answer. ErrorCode is about the request as a whole: it
// stays NoError when single answers failed.
type Response struct {
	Operation    Operation
	Version      *ServerVersion // of the header; nil: not told
	RelatesTo    string         // MessageID of the request, or ""
	ErrorCode    ErrorCode
	ErrorMessage string
	// Answers are one for each user or domain asked for, in the same order.
	Answers []Answer
	// Federation is set for GetFederationInformation only.
	Federation *Federation
}

// A ServerVersion is the build of a server and the newest schema that it knows.
type ServerVersion struct {
	Major, Minor, Build, Revision int
	Schema                        string // Exchange2013_SP1
}

// An Answer is what is said of one user (UserResponse) or domain (DomainResponse).
type Answer struct {
	ErrorCode      ErrorCode
	ErrorMessage   string
	RedirectTarget string // empty: nil
	SettingErrors  []SettingError
	Settings       []Setting // text settings only; others are not read and never written
}

// A Setting is a StringSetting or DomainStringSetting.
type Setting struct{ Name, Value string }

// A SettingError is a setting that was asked for and is not given.
type SettingError struct {
	ErrorCode          ErrorCode
	ErrorMessage, Name string
}

// Setting returns the value of the named setting; ok is false when it is not there.
func (a *Answer) Setting(name string) (value string, ok bool) {
	for _, s := range a.Settings {
		if s.Name == name {
			return s.Value, true
		}
	}
	return "", false
}

// Federation is the body of GetFederationInformation.
type Federation struct {
	ApplicationURI string
	Domains        []string
	TokenIssuers   []TokenIssuer
}

// A TokenIssuer is a federation gateway.
type TokenIssuer struct{ Endpoint, URI string }

// The element names that differ between users and domains.
type answerNames struct{ list, one, errors, err, settings, setting, typ string }

var answers = map[Operation]answerNames{
	GetUserSettings:   {"UserResponses", "UserResponse", "UserSettingErrors", "UserSettingError", "UserSettings", "UserSetting", "StringSetting"},
	GetDomainSettings: {"DomainResponses", "DomainResponse", "DomainSettingErrors", "DomainSettingError", "DomainSettings", "DomainSetting", "DomainStringSetting"},
}

// AppendResponse appends the envelope of r (Autodiscover reference 1.3, 1.5).
// Inside an answer the order is that of the schema: the error first, then the
// rest by name, so that RedirectTarget is the third child of a UserResponse and
// the last of a DomainResponse.
func AppendResponse(b []byte, r *Response) []byte {
	b = append(b, `<s:Envelope xmlns:s="`+soap.NS+`" xmlns:wsa="`+nsWSA+`"><s:Header><wsa:Action s:mustUnderstand="1">`...)
	b = append(soap.AppendText(b, r.Operation.Action()), `Response</wsa:Action>`...)
	if v := r.Version; v != nil {
		b = append(b, `<h:ServerVersionInfo xmlns:h="`+NS+`" xmlns:i="`+nsXSI+`">`...)
		b = appendInt(b, "h:MajorVersion", v.Major)
		b = appendInt(b, "h:MinorVersion", v.Minor)
		b = appendInt(b, "h:MajorBuildNumber", v.Build)
		b = appendInt(b, "h:MinorBuildNumber", v.Revision)
		b = append(appendText(b, "h:Version", v.Schema), `</h:ServerVersionInfo>`...)
	}
	if r.RelatesTo != "" {
		b = appendText(b, "wsa:RelatesTo", r.RelatesTo)
	}
	b = append(b, `</s:Header><s:Body><`...)
	message := string(r.Operation) + "ResponseMessage"
	b = append(append(b, message...), ` xmlns="`+NS+`"><Response xmlns:i="`+nsXSI+`">`...)
	b = appendText(b, "ErrorCode", string(r.ErrorCode))
	b = appendText(b, "ErrorMessage", r.ErrorMessage)
	if n, ok := answers[r.Operation]; ok {
		b = appendList(b, n.list, r.Answers, func(b []byte, a Answer) []byte { return appendAnswer(b, &a, n) })
	}
	if f := r.Federation; f != nil {
		b = appendText(b, "ApplicationUri", f.ApplicationURI)
		b = appendList(b, "Domains", f.Domains, func(b []byte, d string) []byte { return appendText(b, "Domain", d) })
		b = appendList(b, "TokenIssuers", f.TokenIssuers, func(b []byte, t TokenIssuer) []byte {
			b = appendText(append(b, `<TokenIssuer>`...), "Endpoint", t.Endpoint)
			return append(appendText(b, "Uri", t.URI), `</TokenIssuer>`...)
		})
	}
	b = appendClose(append(b, `</Response>`...), message)
	return append(b, `</s:Body></s:Envelope>`...)
}

func appendAnswer(b []byte, a *Answer, n answerNames) []byte {
	b = appendText(appendOpen(b, n.one), "ErrorCode", string(a.ErrorCode))
	b = appendText(b, "ErrorMessage", a.ErrorMessage)
	if n.one == "UserResponse" {
		b = appendNillable(b, "RedirectTarget", a.RedirectTarget)
	}
	b = appendList(b, n.errors, a.SettingErrors, func(b []byte, e SettingError) []byte {
		b = appendText(appendOpen(b, n.err), "ErrorCode", string(e.ErrorCode))
		b = appendText(b, "ErrorMessage", e.ErrorMessage)
		return appendClose(appendText(b, "SettingName", e.Name), n.err)
	})
	b = appendList(b, n.settings, a.Settings, func(b []byte, s Setting) []byte {
		b = append(append(append(b, '<'), n.setting...), ` i:type="`...)
		b = append(append(b, n.typ...), `">`...)
		return appendClose(appendText(appendText(b, "Name", s.Name), "Value", s.Value), n.setting)
	})
	if n.one == "DomainResponse" {
		b = appendNillable(b, "RedirectTarget", a.RedirectTarget)
	}
	return appendClose(b, n.one)
}

// ParseResponse reads the answer to a question of operation op. Errors are
// *soap.Fault when the server sent one, else they wrap ErrUnexpected.
func ParseResponse(env *soap.Envelope, op Operation) (*Response, error) {
	if f, ok := soap.FaultOf(env); ok {
		return nil, f
	}
	if len(env.Body) != 1 || !env.Body[0].Is(NS, string(op)+"ResponseMessage") {
		return nil, fmt.Errorf("%w: no %sResponseMessage", ErrUnexpected, op)
	}
	e := env.Body[0].Child(NS, "Response")
	if e == nil {
		return nil, fmt.Errorf("%w: empty %sResponseMessage", ErrUnexpected, op)
	}
	r := &Response{Operation: op, ErrorCode: ErrorCode(e.ChildText(NS, "ErrorCode")), ErrorMessage: e.ChildText(NS, "ErrorMessage")}
	if r.ErrorCode == "" {
		return nil, fmt.Errorf("%w: no ErrorCode", ErrUnexpected)
	}
	for _, h := range env.Header {
		switch {
		case h.Is(nsWSA, "RelatesTo"):
			r.RelatesTo = h.Trimmed()
		case h.Is(NS, "ServerVersionInfo"):
			r.Version = &ServerVersion{
				Major: number(h, "MajorVersion"), Minor: number(h, "MinorVersion"),
				Build: number(h, "MajorBuildNumber"), Revision: number(h, "MinorBuildNumber"),
				Schema: h.ChildText(NS, "Version"),
			}
		}
	}
	if n, ok := answers[op]; ok {
		for _, c := range list(e.Child(NS, n.list), n.one) {
			r.Answers = append(r.Answers, parseAnswer(c, n))
		}
		return r, nil
	}
	r.Federation = &Federation{ApplicationURI: e.ChildText(NS, "ApplicationUri"), Domains: texts(e.Child(NS, "Domains"), "Domain")}
	for _, t := range list(e.Child(NS, "TokenIssuers"), "TokenIssuer") {
		r.Federation.TokenIssuers = append(r.Federation.TokenIssuers, TokenIssuer{t.ChildText(NS, "Endpoint"), t.ChildText(NS, "Uri")})
	}
	return r, nil
}

func parseAnswer(e *soap.Element, n answerNames) Answer {
	a := Answer{
		ErrorCode: ErrorCode(e.ChildText(NS, "ErrorCode")), ErrorMessage: e.ChildText(NS, "ErrorMessage"),
		RedirectTarget: e.ChildText(NS, "RedirectTarget"),
	}
	for _, c := range list(e.Child(NS, n.errors), n.err) {
		a.SettingErrors = append(a.SettingErrors, SettingError{
			ErrorCode(c.ChildText(NS, "ErrorCode")), c.ChildText(NS, "ErrorMessage"), c.ChildText(NS, "SettingName"),
		})
	}
	for _, c := range list(e.Child(NS, n.settings), n.setting) {
		if v := c.Child(NS, "Value"); v != nil {
			a.Settings = append(a.Settings, Setting{c.ChildText(NS, "Name"), v.Trimmed()})
		}
	}
	return a
}

// number is a small number, or 0: it serves people, nothing is decided by it.
func number(e *soap.Element, local string) int {
	n, err := strconv.ParseUint(e.ChildText(NS, local), 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}

// appendList appends an element with one child for each item.
func appendList[T any](b []byte, name string, items []T, item func(b []byte, v T) []byte) []byte {
	if len(items) == 0 {
		return appendText(b, name, "")
	}
	b = appendOpen(b, name)
	for _, v := range items {
		b = item(b, v)
	}
	return appendClose(b, name)
}

func appendInt(b []byte, name string, n int) []byte {
	return appendClose(strconv.AppendInt(appendOpen(b, name), int64(n), 10), name)
}

func appendNillable(b []byte, name, text string) []byte {
	if text == "" {
		return append(append(append(b, '<'), name...), ` i:nil="true"/>`...)
	}
	return appendText(b, name, text)
}
