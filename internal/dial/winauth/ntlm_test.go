package winauth_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/md4" //nolint:staticcheck // MS-NLMP 3.3.1

	"busybridge/internal/dial/safehttp"
	"busybridge/internal/dial/winauth"
)

// The server's side of NTLMv2, from MS-NLMP 3.3.2.

func wide(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(md5.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func responseKey(user, domain, password string) []byte {
	h := md4.New()
	h.Write(wide(password))
	return mac(h.Sum(nil), wide(strings.ToUpper(user)+domain))
}

func proof(key, challenge, temp []byte) []byte { return mac(key, challenge, temp) }

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The server of these tests computes what the specification says.
func TestVectorsOfMSNLMP(t *testing.T) {
	key := responseKey("User", "Domain", "Password") // 4.2.4.1.1
	if d := cmp.Diff(unhex(t, "0c868a403bfd7a93a3001ef22ef02e3f"), key); d != "" {
		t.Errorf("NTOWFv2 (-want +got):\n%s", d)
	}
	temp := unhex(t, "0101000000000000 0000000000000000 aaaaaaaaaaaaaaaa 00000000 02000c0044006f006d00610069006e00 01000c005300650072007600650072000000000000000000") // 4.2.4.1.3
	if d := cmp.Diff(unhex(t, "68cd0ab851e51c96aabc927bebef6a1c"), proof(key, unhex(t, "0123456789abcdef"), temp)); d != "" {
		t.Errorf("NTProofStr (-want +got):\n%s", d)
	}
}

var serverChallenge = []byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}

func av(id uint16, value []byte) []byte {
	b := binary.LittleEndian.AppendUint16(nil, id)
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(value))), value...)
}

// challengeMessage is MS-NLMP 2.2.1.2 with the names Server and Domain.
func challengeMessage(info []byte) []byte {
	name := wide("Domain")
	b := append([]byte("NTLMSSP\x00"), 2, 0, 0, 0)
	at := 56
	field := func(n int) {
		b = binary.LittleEndian.AppendUint16(b, uint16(n))
		b = binary.LittleEndian.AppendUint16(b, uint16(n))
		b = binary.LittleEndian.AppendUint32(b, uint32(at))
		at += n
	}
	field(len(name))
	b = binary.LittleEndian.AppendUint32(b, 0x00898201) // unicode, NTLM, target info, extended session security
	b = append(append(b, serverChallenge...), make([]byte, 8)...)
	field(len(info))
	b = append(b, 6, 0, 0x70, 0x17, 0, 0, 0, 15)
	return append(append(b, name...), info...)
}

func targetInfo() []byte {
	info := append(av(2, wide("Domain")), av(1, wide("Server"))...)
	return append(append(info, av(7, []byte{0, 0x40, 0x9d, 0x1c, 0xd6, 0xa9, 0xdc, 1})...), av(0, nil)...)
}

// An exchange is a server that knows DOMAIN\svc with the password "correct", and
// wants to be asked on the connection that the account signed in on.
type exchange struct {
	*httptest.Server
	scheme string // of the challenge; "": Basic only
	first  string // sent as challenge instead, unless ""

	mu       sync.Mutex          // guards what follows
	signedIn map[net.Conn]string // user by connection
	steps    []string
	wire     bytes.Buffer // all that came in headers and bodies
}

type connKey struct{}

func newExchange(t *testing.T, scheme string) (*exchange, *http.Transport) {
	t.Helper()
	s := &exchange{scheme: scheme, signedIn: map[net.Conn]string{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.handle))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) }
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	rt, err := safehttp.Transport(safehttp.Config{Roots: roots, ConnectTo: map[string]string{"example.com:443": s.Listener.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.CloseIdleConnections)
	return s, rt
}

func (s *exchange) handle(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	conn := r.Context().Value(connKey{}).(net.Conn)
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	message, _ := base64.StdEncoding.DecodeString(token)
	s.wire.WriteString(r.Header.Get("Authorization"))
	s.wire.Write(message)
	s.wire.Write(body)
	refuse := func(step, challenge string) {
		s.steps = append(s.steps, step)
		w.Header()["Www-Authenticate"] = []string{challenge, `Basic realm="example.com"`}
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, "not signed in")
	}
	switch {
	case s.signedIn[conn] != "" && token == "":
	case s.scheme == "":
		refuse("who?", `Bearer`)
		return
	case len(message) < 12:
		refuse("who?", s.scheme)
		return
	case message[8] == 1:
		challenge := base64.StdEncoding.EncodeToString(challengeMessage(targetInfo()))
		if s.first != "" {
			challenge = s.first
		}
		refuse("challenge", s.scheme+" "+challenge)
		return
	case scheme != s.scheme || !s.accepts(message):
		refuse("refused", s.scheme)
		return
	default:
		s.signedIn[conn] = "svc"
	}
	s.steps = append(s.steps, "answered "+string(body))
	io.WriteString(w, "hello "+s.signedIn[conn])
}

// accepts checks an AUTHENTICATE message (MS-NLMP 2.2.1.3, 3.3.2), that it is bound
// to the certificate among it (Extended Protection).
func (s *exchange) accepts(m []byte) bool {
	field := func(at int) []byte {
		n, off := int(binary.LittleEndian.Uint16(m[at:])), int(binary.LittleEndian.Uint32(m[at+4:]))
		return m[off : off+n]
	}
	if len(m) < 64 || string(m[:8]) != "NTLMSSP\x00" || m[8] != 3 {
		return false
	}
	nt, domain, user := field(20), field(28), field(36)
	if !bytes.Equal(domain, wide("DOMAIN")) || !bytes.Equal(user, wide("svc")) || len(nt) < 44 {
		return false
	}
	if !hmac.Equal(nt[:16], proof(responseKey("svc", "DOMAIN", "correct"), serverChallenge, nt[16:])) {
		return false
	}
	sum := sha256.Sum256(s.Certificate().Raw)
	data := append([]byte("tls-server-end-point:"), sum[:]...)
	bindings := append(binary.LittleEndian.AppendUint32(make([]byte, 16), uint32(len(data))), data...)
	hash := md5.Sum(bindings)
	return bytes.Contains(nt[44:], av(10, hash[:])) && bytes.Contains(nt[44:], av(1, wide("Server")))
}

func (s *exchange) took() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.steps
	s.steps = nil
	return list
}

func post(t *testing.T, rt http.RoundTripper, body string) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://example.com/EWS/Exchange.asmx", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Status[:3] + " " + string(b), nil
}

// One connection is signed in once, with NTLM or with Negotiate, and a connection
// that is new is signed in again.
func TestNTLM(t *testing.T) {
	for _, scheme := range []string{"NTLM", "Negotiate"} {
		t.Run(scheme, func(t *testing.T) {
			s, rt := newExchange(t, scheme)
			own := winauth.OneConnection(rt)
			defer own.CloseIdleConnections()
			n := winauth.NTLM{Base: own, User: `DOMAIN\svc`, Password: "correct"}
			for i, want := range [][]string{{"who?", "challenge", "answered one"}, {"answered two"}, {"who?", "challenge", "answered three"}} {
				body := []string{"one", "two", "three"}[i]
				if i == 2 {
					own.CloseIdleConnections()
				}
				got, err := post(t, n, body)
				if err != nil || got != "200 hello svc" {
					t.Fatalf("%s: %q, %v", body, got, err)
				}
				if d := cmp.Diff(want, s.took()); d != "" {
					t.Errorf("%s (-want +got):\n%s", body, d)
				}
			}
			if strings.Contains(s.wire.String(), "correct") || bytes.Contains(s.wire.Bytes(), wide("correct")) {
				t.Error("the password was sent")
			}
		})
	}
}

// Whoever has a connection is the account that signed in on it: two accounts never
// have one together.
func TestAccountsDoNotShareConnections(t *testing.T) {
	s, rt := newExchange(t, "NTLM")
	good, bad := winauth.OneConnection(rt), winauth.OneConnection(rt)
	defer good.CloseIdleConnections()
	defer bad.CloseIdleConnections()
	if got, err := post(t, winauth.NTLM{Base: good, User: `DOMAIN\svc`, Password: "correct"}, "a"); err != nil || got != "200 hello svc" {
		t.Fatalf("%q, %v", got, err)
	}
	for _, n := range []http.RoundTripper{winauth.NTLM{Base: bad, User: `DOMAIN\svc`, Password: "wrong"}, rt} {
		if got, err := post(t, n, "b"); err != nil || !strings.HasPrefix(got, "401 ") {
			t.Errorf("%T: %q, %v", n, got, err)
		}
	}
	if d := cmp.Diff([]string{"who?", "challenge", "answered a", "who?", "challenge", "refused", "who?"}, s.took()); d != "" {
		t.Errorf("steps (-want +got):\n%s", d)
	}
}

func TestUnusableChallenges(t *testing.T) {
	good := challengeMessage(targetInfo())
	at := func(off int, v ...byte) string {
		b := bytes.Clone(good)
		copy(b[off:], v)
		return base64.StdEncoding.EncodeToString(b)
	}
	for name, tt := range map[string]struct {
		scheme, first string
		want          error
	}{
		"no NTLM":                         {"", "", winauth.ErrNotOffered},
		"no base64":                       {"NTLM", "!", winauth.ErrChallenge},
		"too short":                       {"NTLM", "TlRMTVNTUAACAAAA", winauth.ErrChallenge},
		"another message":                 {"NTLM", at(8, 3), winauth.ErrChallenge},
		"target info is elsewhere":        {"NTLM", at(44, 0xff, 0xff, 0xff, 0x7f), winauth.ErrChallenge},
		"target info is inside":           {"NTLM", at(44, 1, 0, 0, 0), winauth.ErrChallenge},
		"target info is longer":           {"NTLM", at(40, 0xff, 0xff), winauth.ErrChallenge},
		"target info does not end":        {"NTLM", base64.StdEncoding.EncodeToString(challengeMessage(av(2, wide("Domain")))), winauth.ErrChallenge},
		"a value is cut":                  {"NTLM", base64.StdEncoding.EncodeToString(challengeMessage([]byte{2, 0, 9, 0, 1, 1})), winauth.ErrChallenge},
		"a challenge of many megabytes":   {"NTLM", strings.Repeat("A", 60<<10), winauth.ErrChallenge},
		"key exchange, which we have not": {"NTLM", at(20, 0x01, 0x82, 0x89, 0x40), winauth.ErrChallenge},
	} {
		s, rt := newExchange(t, tt.scheme)
		s.first = tt.first
		own := winauth.OneConnection(rt)
		_, err := post(t, winauth.NTLM{Base: own, User: `DOMAIN\svc`, Password: "correct"}, "x")
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		if strings.Contains(s.wire.String(), "NTLMSSP\x00\x03") {
			t.Errorf("%s: it was answered", name)
		}
		own.CloseIdleConnections()
	}
}

// answers is a RoundTripper in memory.
type answers func(*http.Request) *http.Response

func (f answers) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

// A challenge is not answered without TLS, nor where a redirect leads.
func TestNobodyElseIsTold(t *testing.T) {
	asked := 0
	rt := answers(func(r *http.Request) *http.Response {
		asked++
		if r.Header.Get("Authorization") != "" {
			t.Errorf("%s is told something", r.URL)
		}
		resp := &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {"NTLM"}}, Body: http.NoBody, Request: r}
		if r.URL.Host == "a.example" {
			resp.StatusCode = http.StatusTemporaryRedirect
			resp.Header.Set("Location", "https://b.example/")
		}
		return resp
	})
	n := winauth.NTLM{Base: rt, User: "svc", Password: "correct"}
	for _, u := range []string{"http://example.com/", "https://a.example/"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := (&http.Client{Transport: n}).Do(r); err == nil {
			resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s: %s", u, resp.Status)
			}
		} else if !errors.Is(err, winauth.ErrChallenge) {
			t.Errorf("%s: %v", u, err)
		}
	}
	if asked != 3 {
		t.Errorf("%d requests, want 3", asked)
	}
}
