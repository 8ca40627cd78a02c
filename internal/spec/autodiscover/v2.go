package autodiscover

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// MaxRedirects is after how many redirects clients and servers give up
// (Autodiscover reference 2.3, part 3).
const MaxRedirects = 10

// V2Path is where V2 requests go; "/v1.0/" and the address may follow.
const V2Path = "/autodiscover/autodiscover.json"

// The protocols that a V2 answer can name.
const (
	V2EWS = "EWS"
	V2POX = "AutodiscoverV1"
)

// A V2Request asks for the URL of one protocol for one address (Autodiscover
// reference part 3).
type V2Request struct {
	Email, Protocol string
	InPath          bool // the address is the last part of the path
	RedirectCount   int
}

// A V2Answer says where.
type V2Answer struct {
	Protocol string `json:"Protocol"`
	URL      string `json:"Url"`
}

// A V2Error is an error answer with its HTTP status.
type V2Error struct {
	Status  int    `json:"-"`
	Code    string `json:"ErrorCode"`
	Message string `json:"ErrorMessage"`
}

func (e *V2Error) Error() string { return e.Code + ": " + e.Message }

// The V2 errors. The one for an unknown protocol is made by V2Unsupported.
var (
	V2Malformed       = &V2Error{http.StatusBadRequest, "MandatoryParameterMissing", "The get request sent does not match the valid format."}
	V2MissingProtocol = &V2Error{http.StatusBadRequest, "MissingProtocol", "A valid value must be provided for the query parameter 'Protocol'."}
	V2NotFound        = &V2Error{http.StatusNotFound, "UserNotFound", "The given user is not found."}
)

// V2Unsupported is the error for a protocol that is not among the supported ones.
func V2Unsupported(protocol string, supported []string) *V2Error {
	return &V2Error{http.StatusBadRequest, "ProtocolNotSupported", fmt.Sprintf("Protocol: The protocol '%.40s' is not supported. Supported protocols are: '%s'.", protocol, strings.Join(supported, ","))}
}

// ParseV2 reads a request from its raw query and from the last part of its path,
// which is empty when the address is in the query. Parameter names are taken
// without regard to case; others than those of V2Request are ignored.
func ParseV2(pathEmail, rawQuery string) (*V2Request, *V2Error) {
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, V2Malformed
	}
	q := &V2Request{Email: pathEmail, InPath: pathEmail != ""}
	for name, v := range values {
		dup := len(v) > 1
		switch strings.ToLower(name) {
		case "email":
			dup = dup || q.Email != ""
			q.Email = v[0]
		case "protocol":
			dup = dup || q.Protocol != ""
			q.Protocol = v[0]
		case "redirectcount":
			n, err := strconv.ParseUint(v[0], 10, 16)
			dup = dup || err != nil || q.RedirectCount != 0
			q.RedirectCount = int(n)
		default:
			dup = false
		}
		if dup {
			return nil, V2Malformed
		}
	}
	switch {
	case q.Email == "":
		return nil, V2Malformed
	case q.Protocol == "":
		return nil, V2MissingProtocol
	}
	return q, nil
}

// URI is the path and query of q, in the form that it was asked in.
func (q *V2Request) URI() string {
	s := V2Path + "?Email=" + url.QueryEscape(q.Email) + "&"
	if q.InPath {
		s = V2Path + "/v1.0/" + url.PathEscape(q.Email) + "?"
	}
	s += "Protocol=" + url.QueryEscape(q.Protocol)
	if q.RedirectCount > 0 {
		s += "&RedirectCount=" + strconv.Itoa(q.RedirectCount)
	}
	return s
}

// JSON returns the body of the answer.
func (a V2Answer) JSON() []byte { return mustJSON(a) }

// JSON returns the body of the error answer.
func (e *V2Error) JSON() []byte { return mustJSON(e) }

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // structs of strings always marshal
	}
	return b
}
