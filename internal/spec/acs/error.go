package acs

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// An Error is the OAuth error body of a token endpoint (oauth-s2s 3.3).
type Error struct {
	Status        int    // of HTTP; not in the body
	Code          string // invalid_client, invalid_resource, …
	Description   string // the whole text, with trace lines when they came
	Codes         []int  // the AADSTS numbers
	Timestamp     string
	TraceID       string
	CorrelationID string
	URI           string
}

// Error names code and description; both are from the peer.
func (e *Error) Error() string {
	first, _, _ := strings.Cut(e.Description, "\r\n")
	return fmt.Sprintf("authorization server answered %d %s: %s", e.Status, e.Code, first)
}

// Has reports whether code is among the AADSTS numbers, which are also looked
// for in the description.
func (e *Error) Has(code int) bool {
	for _, c := range e.Codes {
		if c == code {
			return true
		}
	}
	return strings.Contains(e.Description, fmt.Sprintf("AADSTS%d:", code))
}

// Finish returns a copy with the trace lines, time and address that an answer
// carries. Host is that of the authorization server.
func (e Error) Finish(traceID, correlationID, host string, at time.Time) *Error {
	e.TraceID, e.CorrelationID = traceID, correlationID
	e.Timestamp = at.UTC().Format("2006-01-02 15:04:05Z")
	e.Description += "\r\nTrace ID: " + e.TraceID + "\r\nCorrelation ID: " + e.CorrelationID + "\r\nTimestamp: " + e.Timestamp
	if len(e.Codes) > 0 {
		e.URI = fmt.Sprintf("https://%s/error?code=%d", host, e.Codes[0])
	}
	return &e
}

type errorBody struct {
	Code          string `json:"error"`
	Description   string `json:"error_description"`
	Codes         []int  `json:"error_codes,omitempty"`
	Timestamp     string `json:"timestamp,omitempty"`
	TraceID       string `json:"trace_id,omitempty"`
	CorrelationID string `json:"correlation_id,omitempty"`
	URI           string `json:"error_uri,omitempty"`
}

// MarshalJSON writes the body.
func (e *Error) MarshalJSON() ([]byte, error) {
	return json.Marshal(errorBody{e.Code, e.Description, e.Codes, e.Timestamp, e.TraceID, e.CorrelationID, e.URI})
}

// ParseError reads the body of an answer of the given status. A body that is no
// OAuth error gives ErrInvalid.
func ParseError(status int, data []byte) (*Error, error) {
	var b errorBody
	if err := json.Unmarshal(data, &b); err != nil {
		return nil, fmt.Errorf("%w error body: %w", ErrInvalid, err)
	}
	if b.Code == "" || len(b.Code) > 100 {
		return nil, fmt.Errorf("%w error body: no error", ErrInvalid)
	}
	return &Error{status, b.Code, b.Description, b.Codes, b.Timestamp, b.TraceID, b.CorrelationID, b.URI}, nil
}
