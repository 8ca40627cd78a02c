package autodiscover

import (
	"fmt"
	"strconv"
	"time"

	"busybridge/internal/spec/soap"
)

// Namespaces of the POX form (MS-OXDSCLI; Autodiscover reference part 2).
const (
	nsPOXRequest    = "http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"
	nsMobileRequest = "http://schemas.microsoft.com/exchange/autodiscover/mobilesync/requestschema/2006"
	nsPOXResponse   = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
	nsPOXOutlook    = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
)

// A POXRequest asks for the settings of one mailbox. LegacyDN wins when both are there.
type POXRequest struct{ Address, LegacyDN string }

// A POXError is an error answer; it travels with HTTP status 200.
type POXError struct {
	Code    int
	Message string
}

func (e *POXError) Error() string {
	return "autodiscover error " + strconv.Itoa(e.Code) + ": " + e.Message
}

// The POX errors (Autodiscover reference 2.3).
var (
	POXNotFound       = &POXError{500, "The email address can't be found."}
	POXBadAddress     = &POXError{501, "Bad Address"}
	POXInvalidRequest = &POXError{600, "Invalid Request"}
	POXProvider       = &POXError{601, "Provider is not available"}
)

// ParsePOX reads a request. Errors are POXInvalidRequest, or POXProvider for
// one that accepts none of the response schemas that are written here.
func ParsePOX(root *soap.Element) (*POXRequest, error) {
	if root.Local != "Autodiscover" || root.Space != nsPOXRequest && root.Space != nsMobileRequest {
		return nil, POXInvalidRequest
	}
	r := root.Child(root.Space, "Request")
	q := &POXRequest{Address: r.ChildText(root.Space, "EMailAddress"), LegacyDN: r.ChildText(root.Space, "LegacyDN")}
	if q.Address == "" && q.LegacyDN == "" {
		return nil, POXInvalidRequest
	}
	// An absent schema is taken for Outlook's, for some scripts leave it out.
	if s := r.Child(root.Space, "AcceptableResponseSchema"); s != nil && s.Trimmed() != nsPOXOutlook || s == nil && root.Space != nsPOXRequest {
		return nil, POXProvider
	}
	return q, nil
}

// POXSettings are the answer for a mailbox that is here.
type POXSettings struct {
	DisplayName, LegacyDN, Address, DeploymentID string
	MicrosoftOnline                              bool
	Protocols                                    []POXProtocol
}

// A POXProtocol is one way to reach the mailbox.
type POXProtocol struct {
	Type          string // EXCH inside, EXPR outside
	Server        string // host name
	ServerDN      string // EXCH only
	ServerVersion string // see POXVersion; EXCH only
	AuthPackage   string // Basic; empty: not told
	EWSURL        string // written as ASUrl, EwsUrl and OOFUrl, which different clients read
	OABURL        string // evolution and GNOME Online Accounts give up without one
}

// POXVersion is the form of ServerVersion: 4 bits 7, 6 bits major, 6 bits minor,
// one bit 1, 15 bits build, in hexadecimal.
func POXVersion(major, minor, build int) string {
	return fmt.Sprintf("%08X", 7<<28|uint32(major&0x3f)<<22|uint32(minor&0x3f)<<16|1<<15|uint32(build&0x7fff))
}

const (
	poxStart   = `<?xml version="1.0" encoding="utf-8"?>` + "\n" + `<Autodiscover xmlns="` + nsPOXResponse + `">` + "\n"
	poxOutlook = ` <Response xmlns="` + nsPOXOutlook + `">` + "\n"
	poxEnd     = " </Response>\n</Autodiscover>\n"
)

// AppendPOXSettings appends the answer s (Autodiscover reference 2.2): one
// element per line and without prefixes, for scripts that search the text.
func AppendPOXSettings(b []byte, s *POXSettings) []byte {
	b = append(b, poxStart+poxOutlook+"  <User>\n"...)
	b = appendLine(b, "   ", "DisplayName", s.DisplayName)
	b = appendLine(b, "   ", "LegacyDN", s.LegacyDN)
	b = appendLine(b, "   ", "AutoDiscoverSMTPAddress", s.Address)
	b = appendLine(b, "   ", "DeploymentId", s.DeploymentID)
	b = append(b, "  </User>\n  <Account>\n"...)
	b = appendLine(b, "   ", "AccountType", "email")
	b = appendLine(b, "   ", "Action", "settings")
	online := "False"
	if s.MicrosoftOnline {
		online = "True"
	}
	b = appendLine(b, "   ", "MicrosoftOnline", online)
	for _, p := range s.Protocols {
		b = append(b, "   <Protocol>\n"...)
		b = appendLine(b, "    ", "Type", p.Type)
		b = appendLine(b, "    ", "Server", p.Server)
		if p.Type == "EXPR" {
			b = appendLine(b, "    ", "SSL", "On")
		}
		b = appendLine(b, "    ", "ServerDN", p.ServerDN)
		b = appendLine(b, "    ", "ServerVersion", p.ServerVersion)
		b = appendLine(b, "    ", "AuthPackage", p.AuthPackage)
		b = appendLine(b, "    ", "ASUrl", p.EWSURL)
		b = appendLine(b, "    ", "EwsUrl", p.EWSURL)
		b = appendLine(b, "    ", "OOFUrl", p.EWSURL)
		b = appendLine(b, "    ", "OABUrl", p.OABURL)
		b = append(b, "   </Protocol>\n"...)
	}
	return append(b, "  </Account>\n"+poxEnd...)
}

// AppendPOXRedirect appends the answer "start again with this address".
func AppendPOXRedirect(b []byte, address string) []byte {
	b = append(b, poxStart+poxOutlook+"  <Account>\n"...)
	b = appendLine(b, "   ", "Action", "redirectAddr")
	b = appendLine(b, "   ", "RedirectAddr", address)
	return append(b, "  </Account>\n"+poxEnd...)
}

// AppendPOXError appends the error e as of now; id is a number of the server.
// Its Response is in the outer namespace.
func AppendPOXError(b []byte, e *POXError, now time.Time, id uint32) []byte {
	b = append(b, poxStart+" <Response>\n  <Error Time=\""...)
	b = append(now.AppendFormat(b, "15:04:05.0000000"), `" Id="`...)
	b = append(strconv.AppendUint(b, uint64(id), 10), "\">\n"...)
	b = appendLine(b, "   ", "ErrorCode", strconv.Itoa(e.Code))
	b = appendLine(b, "   ", "Message", e.Message)
	return append(b, "   <DebugData/>\n  </Error>\n"+poxEnd...)
}

// appendLine appends an element with text on a line of its own, or nothing when
// there is no text.
func appendLine(b []byte, indent, name, text string) []byte {
	if text == "" {
		return b
	}
	return append(appendText(append(b, indent...), name, text), '\n')
}
