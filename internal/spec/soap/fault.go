package soap

import (
	"strconv"
	"strings"
)

// Namespaces of the parts of an EWS fault (EWS reference 1.5).
const (
	ewsTypes  = "http://schemas.microsoft.com/exchange/services/2006/types"
	ewsErrors = "http://schemas.microsoft.com/exchange/services/2006/errors"
)

// A Fault is a SOAP 1.1 fault with the detail that EWS gives (EWS reference 1.5).
// It is an error.
type Fault struct {
	// Code is the local part of faultcode. One that begins with "Error" is in
	// the EWS types namespace, others (Client, Server, MustUnderstand,
	// VersionMismatch) in SOAP's.
	Code   string
	String string // faultstring, for people
	// The detail; without ResponseCode none is written.
	ResponseCode, Message string
	Values                []Value // of MessageXml: BackOffMilliseconds, …
	Line, Col             int     // where the request is wrong; 0: nowhere in particular
	Violation             string
}

// A Value is a named value of a fault's MessageXml.
type Value struct{ Name, Value string }

func (f *Fault) Error() string {
	code := f.ResponseCode
	if code == "" {
		code = f.Code
	}
	return "soap fault " + code + ": " + clip(f.String)
}

// Value returns the named value of MessageXml, or "".
func (f *Fault) Value(name string) string {
	for _, v := range f.Values {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

// AppendFault appends a whole envelope with f. It has no header, as in Exchange.
func AppendFault(b []byte, f *Fault) []byte {
	b = append(b, `<?xml version="1.0" encoding="utf-8"?>`+"\n"+`<s:Envelope xmlns:s="`+NS+`"><s:Body><s:Fault><faultcode`...)
	prefix := "s:"
	if strings.HasPrefix(f.Code, "Error") {
		b = append(b, ` xmlns:a="`+ewsTypes+`"`...)
		prefix = "a:"
	}
	b = append(append(b, '>'), prefix...)
	b = AppendText(b, f.Code)
	b = append(b, `</faultcode><faultstring xml:lang="en-US">`...)
	b = AppendText(b, f.String)
	b = append(b, `</faultstring>`...)
	if f.ResponseCode != "" {
		b = append(b, `<detail><e:ResponseCode xmlns:e="`+ewsErrors+`">`...)
		b = AppendText(b, f.ResponseCode)
		b = append(b, `</e:ResponseCode><e:Message xmlns:e="`+ewsErrors+`">`...)
		b = AppendText(b, f.Message)
		b = append(b, `</e:Message>`...)
		if f.Line > 0 || len(f.Values) > 0 || f.Violation != "" {
			b = f.appendMessageXML(b)
		}
		b = append(b, `</detail>`...)
	}
	return append(b, `</s:Fault></s:Body></s:Envelope>`...)
}

func (f *Fault) appendMessageXML(b []byte) []byte {
	b = append(b, `<t:MessageXml xmlns:t="`+ewsTypes+`">`...)
	if f.Line > 0 {
		b = append(b, `<t:LineNumber>`...)
		b = strconv.AppendInt(b, int64(f.Line), 10)
		b = append(b, `</t:LineNumber><t:LinePosition>`...)
		b = strconv.AppendInt(b, int64(f.Col), 10)
		b = append(b, `</t:LinePosition>`...)
	}
	if f.Violation != "" {
		b = append(b, `<t:Violation>`...)
		b = AppendText(b, f.Violation)
		b = append(b, `</t:Violation>`...)
	}
	for _, v := range f.Values {
		b = append(b, `<t:Value Name="`...)
		b = AppendAttr(b, v.Name)
		b = append(b, `">`...)
		b = AppendText(b, v.Value)
		b = append(b, `</t:Value>`...)
	}
	return append(b, `</t:MessageXml>`...)
}

// FaultOf returns the fault that env carries. The detail is read by local names:
// Exchange 2007 and others put it into other namespaces, or leave parts out.
func FaultOf(env *Envelope) (*Fault, bool) {
	if len(env.Body) == 0 || !env.Body[0].Is(NS, "Fault") {
		return nil, false
	}
	f := &Fault{}
	for _, c := range env.Body[0].Children {
		switch c.Local {
		case "faultcode":
			f.Code = c.Trimmed()
			if _, local, ok := strings.Cut(f.Code, ":"); ok {
				f.Code = local
			}
		case "faultstring":
			f.String = c.Trimmed()
		case "detail":
			f.readDetail(c)
		}
	}
	return f, true
}

func (f *Fault) readDetail(detail *Element) {
	for _, c := range detail.Children {
		switch c.Local {
		case "ResponseCode":
			f.ResponseCode = c.Trimmed()
		case "Message":
			f.Message = c.Trimmed()
		case "ErrorCode": // Exchange 2007: an HRESULT
			f.Values = append(f.Values, Value{"ErrorCode", c.Trimmed()})
		case "MessageXml":
			for _, v := range c.Children {
				switch v.Local {
				case "LineNumber":
					f.Line = number(v)
				case "LinePosition":
					f.Col = number(v)
				case "Violation":
					f.Violation = v.Trimmed()
				case "Value":
					f.Values = append(f.Values, Value{v.AttrValue("Name"), v.Trimmed()})
				}
			}
		}
	}
}

// number is a positive number, or 0.
func number(e *Element) int {
	n, err := strconv.Atoi(e.Trimmed())
	if err != nil || n < 0 {
		return 0
	}
	return n
}
