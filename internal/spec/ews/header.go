package ews

import (
	"fmt"
	"slices"
	"strings"

	"busybridge/internal/spec/soap"
)

// Versions are the known values of RequestServerVersion, oldest first (1.2).
var versions = []string{
	"Exchange2007", "Exchange2007_SP1", "Exchange2009", "Exchange2010", "Exchange2010_SP1", "Exchange2010_SP2",
	"Exchange2012", "Exchange2013", "Exchange2013_SP1", "Exchange2015", "Exchange2016",
	"V2015_10_05", "V2016_01_06", "V2016_04_13", "V2016_07_13", "V2016_10_10", "V2017_01_07", "V2017_04_14",
	"V2017_07_11", "V2017_10_09", "V2018_01_08",
}

// Values of the RequestType header (3.2).
const (
	CrossSite   = "CrossSite"
	CrossForest = "CrossForest"
)

// A Header is what the SOAP headers of a request say (1.2).
type Header struct {
	// Version is RequestServerVersion; "" counts as the oldest.
	Version     string
	Impersonate *ConnectingSID
	// Zone is TimeZoneContext.
	Zone *ZoneDefinition
	// RequestType marks a proxied request: CrossSite, CrossForest or "".
	RequestType string
	// Privileged names a header by which only a server of the same organization
	// may speak for somebody: SerializedSecurityContext, ProxySecurityContext,
	// OpenAsAdminOrSystemService.
	Privileged string
	// SecurityContext is the address in a SerializedSecurityContext, if it has one.
	SecurityContext string
}

// A ConnectingSID names whom a caller acts as: Kind is PrincipalName, SID,
// PrimarySmtpAddress or SmtpAddress.
type ConnectingSID struct{ Kind, Value string }

// AtLeast reports whether the request was made for version v or a later one.
func (h *Header) AtLeast(v string) bool { return rank(h.Version) >= rank(v) }

// rank orders versions; one that is not known counts as the newest.
func rank(v string) int {
	if v == "" {
		return 0
	}
	if i := slices.Index(versions, v); i >= 0 {
		return i
	}
	return len(versions)
}

// plausible: a value that a newer client may send.
func plausible(v string) bool {
	rest, ok := strings.CutPrefix(v, "Exchange")
	if !ok {
		rest, ok = strings.CutPrefix(v, "V")
	}
	return ok && len(v) <= 32 && len(rest) >= 4 && rest >= "2007" && strings.Trim(rest[:4], "0123456789") == ""
}

// ParseHeader reads the headers of a request. Unknown ones are skipped. Errors
// are *SchemaError, or wrap ErrDuplicateHeader, ErrServerVersion,
// ErrImpersonation, ErrAccessModes or ErrTimeZone.
func ParseHeader(headers []*soap.Element) (Header, error) {
	var h Header
	seen := map[string]bool{}
	for _, e := range headers {
		if e.Space != NSTypes {
			continue
		}
		if seen[e.Local] {
			return h, fmt.Errorf("%w: %s", ErrDuplicateHeader, clip(e.Local))
		}
		seen[e.Local] = true
		switch e.Local {
		case "RequestServerVersion":
			if h.Version = e.AttrValue("Version"); !plausible(h.Version) {
				return h, fmt.Errorf("%w: %q", ErrServerVersion, clip(h.Version))
			}
		case "ExchangeImpersonation":
			sid := e.Child(NSTypes, "ConnectingSID")
			if sid == nil || len(sid.Children) != 1 || sid.Children[0].Trimmed() == "" {
				return h, ErrImpersonation
			}
			h.Impersonate = &ConnectingSID{sid.Children[0].Local, sid.Children[0].Trimmed()}
			switch h.Impersonate.Kind {
			case "PrincipalName", "SID", "PrimarySmtpAddress", "SmtpAddress":
			default:
				return h, ErrImpersonation
			}
		case "TimeZoneContext":
			def := e.Child(NSTypes, "TimeZoneDefinition")
			if def == nil {
				return h, missing(e, "TimeZoneDefinition")
			}
			var err error
			if h.Zone, err = parseZoneDefinition(def); err != nil {
				return h, err
			}
		case "RequestType", "ProxyRequestTypeHeader":
			// The text itself, or a child RequestType with it.
			value := e.Trimmed()
			if value == "" {
				value = e.ChildText(NSTypes, "RequestType")
			}
			if value != CrossSite && value != CrossForest {
				return h, badValue(e, value)
			}
			if h.RequestType != CrossForest {
				h.RequestType = value
			}
		case "SerializedSecurityContext", "ProxySecurityContext", "OpenAsAdminOrSystemService":
			if h.Privileged != "" {
				return h, ErrAccessModes
			}
			h.Privileged = e.Local
			if e.Local == "SerializedSecurityContext" {
				h.SecurityContext = e.ChildText(NSTypes, "PrimarySmtpAddress")
			}
		}
	}
	if h.Impersonate != nil && h.Privileged != "" {
		return h, ErrAccessModes
	}
	return h, nil
}

// append writes the headers of a request.
func (h *Header) append(b []byte) []byte {
	version := h.Version
	if version == "" {
		version = versions[0]
	}
	b = append(b, `<s:Header><t:RequestServerVersion Version="`...)
	b = append(soap.AppendAttr(b, version), `"/>`...)
	if h.RequestType != "" {
		b = appendElement(b, "t:RequestType", h.RequestType)
	}
	if i := h.Impersonate; i != nil {
		b = append(b, `<t:ExchangeImpersonation><t:ConnectingSID>`...)
		b = appendElement(b, "t:"+i.Kind, i.Value)
		b = append(b, `</t:ConnectingSID></t:ExchangeImpersonation>`...)
	}
	if h.Zone != nil {
		b = append(b, `<t:TimeZoneContext>`...)
		b = append(appendZoneDefinition(b, h.Zone, true), `</t:TimeZoneContext>`...)
	}
	return append(b, `</s:Header>`...)
}
