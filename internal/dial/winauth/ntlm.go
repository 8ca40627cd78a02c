// Package winauth signs requests in as Windows does: NTLM, by itself or within
// Negotiate (MS-NTHT, RFC 4559).
package winauth

import (
	"bytes"
	"crypto/md5" //nolint:gosec // the hash of channel bindings (MS-NLMP 2.2.2.1)
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/Azure/go-ntlmssp"
)

var (
	// ErrNotOffered: the server wants somebody to sign in, but not by NTLM.
	ErrNotOffered = errors.New("the server offers neither NTLM nor Negotiate")
	// ErrChallenge: what the server says of NTLM cannot be used.
	ErrChallenge = errors.New("the NTLM challenge cannot be used")
)

// NTLM signs requests in to one server. The server knows a connection and not a
// request: whoever has the connection is the account. Base must therefore be a
// transport that nobody else uses, with one connection: see OneConnection. It is an
// http.RoundTripper; a request goes out once without credentials first, and the
// password only as an answer to a challenge, over https and bound to the
// certificate of the connection (RFC 5929 4).
type NTLM struct {
	Base           http.RoundTripper // required
	User, Password string            // User may be DOMAIN\user or user@domain
}

// OneConnection is a transport with the rules of t, for one account. Close its idle
// connections when it is no longer needed.
func OneConnection(t *http.Transport) *http.Transport {
	t = t.Clone()
	t.MaxConnsPerHost, t.MaxIdleConns, t.MaxIdleConnsPerHost = 1, 1, 1
	t.DisableKeepAlives = false
	return t
}

const (
	maxChallenge = 8 << 10
	maxDrained   = 64 << 10
)

// RoundTrip implements http.RoundTripper. Errors wrap ErrNotOffered or ErrChallenge,
// or are those of Base. A 401 is an answer: the account is not accepted.
func (n NTLM) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Response != nil { // it follows a redirect: nobody is told who asks
		return n.Base.RoundTrip(r)
	}
	body, err := bodyOf(r)
	if err != nil {
		return nil, err
	}
	resp, err := n.send(r, body, "")
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	scheme, _, ok := offered(resp.Header)
	drain(resp)
	switch {
	case !ok:
		return nil, ErrNotOffered
	case r.URL.Scheme != "https":
		return nil, fmt.Errorf("%w: it did not come over https", ErrChallenge)
	}
	hello, err := ntlmssp.NewNegotiateMessage("", "")
	if err != nil {
		return nil, fmt.Errorf("NTLM negotiate message: %w", err)
	}
	// The body of this one would only be thrown away.
	if resp, err = n.send(r, nil, scheme+" "+base64.StdEncoding.EncodeToString(hello)); err != nil {
		return nil, err
	}
	drain(resp)
	_, token, ok := offered(resp.Header)
	if resp.StatusCode != http.StatusUnauthorized || !ok || token == "" || len(token) > maxChallenge {
		return nil, fmt.Errorf("%w: status %d to the first message", ErrChallenge, resp.StatusCode)
	}
	challenge, err := base64.StdEncoding.DecodeString(token)
	if err == nil {
		challenge, err = bind(challenge, resp.TLS)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChallenge, err)
	}
	answer, err := ntlmssp.NewAuthenticateMessage(challenge, n.User, n.Password, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChallenge, err)
	}
	return n.send(r, body, scheme+" "+base64.StdEncoding.EncodeToString(answer))
}

// maxBody bounds what is sent again: our questions are a few kB.
const maxBody = 4 << 20

// bodyOf reads the body of r, which is sent twice.
func bodyOf(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	defer r.Body.Close()
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err == nil && len(b) > maxBody {
		err = fmt.Errorf("a body of more than %d bytes is not sent with NTLM", maxBody)
	}
	return b, err
}

func (n NTLM) send(r *http.Request, body []byte, authorization string) (*http.Response, error) {
	q := r.Clone(r.Context())
	q.Body, q.GetBody, q.ContentLength = http.NoBody, nil, int64(len(body))
	if len(body) > 0 {
		q.Body = io.NopCloser(bytes.NewReader(body))
		// A connection that was closed while nobody looked is no fault.
		q.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	q.Header.Del("Authorization")
	if authorization != "" {
		q.Header.Set("Authorization", authorization)
	}
	return n.Base.RoundTrip(q)
}

// drain reads what little a 401 says, so that the connection, which is what is
// signed in, is used again.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrained) // any error only costs the connection
	resp.Body.Close()
}

// offered is the scheme to use, NTLM before Negotiate, and the token beside it.
func offered(h http.Header) (scheme, token string, ok bool) {
	for _, want := range []string{"NTLM", "Negotiate"} {
		for _, line := range h.Values("Www-Authenticate") {
			if name, rest, _ := strings.Cut(strings.TrimSpace(line), " "); strings.EqualFold(name, want) {
				return want, strings.TrimSpace(rest), true
			}
		}
	}
	return "", "", false
}

// AV pairs of a challenge (MS-NLMP 2.2.2.1).
const (
	avEOL             = 0
	avChannelBindings = 10
)

// bind puts the hash of the channel bindings of a connection into the target info
// of a challenge message, of which the answer is made: a server with Extended
// Protection accepts it on that connection only (MS-NLMP 3.1.5.1.2). A challenge
// without target info, and a connection without TLS, stay as they are.
func bind(challenge []byte, state *tls.ConnectionState) ([]byte, error) {
	// The fields of MS-NLMP 2.2.1.2: TargetInfoFields are at 40.
	const fields = 48
	if len(challenge) < fields || string(challenge[:8]) != "NTLMSSP\x00" || binary.LittleEndian.Uint32(challenge[8:]) != 2 {
		return nil, errors.New("it is no challenge message")
	}
	size, at := int(binary.LittleEndian.Uint16(challenge[40:])), int(binary.LittleEndian.Uint32(challenge[44:]))
	if size == 0 || state == nil || len(state.PeerCertificates) == 0 {
		return challenge, nil
	}
	if at < fields || at > len(challenge) || size > len(challenge)-at {
		return nil, errors.New("its target info is outside of the message")
	}
	var info []byte
	for rest := challenge[at : at+size]; ; {
		if len(rest) < 4 {
			return nil, errors.New("its target info does not end")
		}
		id, n := binary.LittleEndian.Uint16(rest), 4+int(binary.LittleEndian.Uint16(rest[2:]))
		if id == avEOL {
			break
		}
		if n > len(rest) {
			return nil, errors.New("its target info is cut")
		}
		if id != avChannelBindings {
			info = append(info, rest[:n]...)
		}
		rest = rest[n:]
	}
	hash := bindingsHash(state.PeerCertificates[0])
	info = binary.LittleEndian.AppendUint16(info, avChannelBindings)
	info = binary.LittleEndian.AppendUint16(info, uint16(len(hash)))
	info = append(info, hash[:]...)
	info = append(info, 0, 0, 0, 0) // avEOL
	out := append(bytes.Clone(challenge), info...)
	binary.LittleEndian.PutUint16(out[40:], uint16(len(info)))
	binary.LittleEndian.PutUint16(out[42:], uint16(len(info)))
	binary.LittleEndian.PutUint32(out[44:], uint32(len(challenge)))
	return out, nil
}

// bindingsHash is the MD5 of a gss_channel_bindings_struct with the end point of a
// TLS server: the hash of its certificate by the hash of its signature, SHA-256
// instead of weaker ones (RFC 5929 4.1).
func bindingsHash(c *x509.Certificate) [md5.Size]byte {
	var sum []byte
	switch c.SignatureAlgorithm {
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384, x509.SHA384WithRSAPSS:
		h := sha512.Sum384(c.Raw)
		sum = h[:]
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512, x509.SHA512WithRSAPSS:
		h := sha512.Sum512(c.Raw)
		sum = h[:]
	default:
		h := sha256.Sum256(c.Raw)
		sum = h[:]
	}
	data := append([]byte("tls-server-end-point:"), sum...)
	b := make([]byte, 16, 20+len(data)) // no addresses: four zeros
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	return md5.Sum(append(b, data...))
}
