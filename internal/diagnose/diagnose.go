// Package diagnose is what a diagnosis of free/busy says: the hops that a
// question takes, the first one that failed, why, and what mends it; as text, as
// JSON and as a page to hand on. It follows no question itself.
package diagnose

import (
	"fmt"
	"strings"
	"time"
)

// A Hop is one thing that has to hold for a question to be answered, in the
// order in which a question needs them. The number is what people name it by.
type Hop int

// The hops.
const (
	Asker        Hop = iota + 1 // who asks, at which server
	Recipient                   // the directory entry that is asked for
	Route                       // the object that leads to its calendar
	Metadata                    // documents of authorization servers and partners
	Certificate                 // that the organization signs with
	Registration                // its copy where tokens are issued, or at the partner
	Connection                  // name, address and TLS of the first host that is asked
	Challenge                   // which token that host wants
	Assertion                   // signed for the authorization server
	Token                       // that it issues
	Acceptance                  // of the token by the other side
	Autodiscover                // where the mailbox is served
	Endpoint                    // the host that serves it
	Permission                  // what the asker may see there
	Answer                      // what came
)

var hopNames = [...]string{
	Asker: "asker", Recipient: "recipient", Route: "route", Metadata: "metadata", Certificate: "certificate", Registration: "registration",
	Connection: "connection", Challenge: "challenge", Assertion: "assertion", Token: "token", Acceptance: "acceptance",
	Autodiscover: "Autodiscover", Endpoint: "endpoint", Permission: "permission", Answer: "answer",
}

// Hops is how many there are.
const Hops = len(hopNames) - 1

func (h Hop) String() string { return hopNames[h] }

// A Verdict is how a hop came out.
type Verdict string

// The verdicts.
const (
	Passed        Verdict = "ok"
	Warned        Verdict = "warning" // it holds, and should be looked after
	Failed        Verdict = "failed"
	NotReached    Verdict = "not reached"
	NotApplicable Verdict = "does not apply"
)

// A Step is one hop as the question took it.
type Step struct {
	Hop     Hop     `json:"hop"`
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	// Took is 0 for what costs no time worth telling.
	Took  Duration `json:"ms"`
	Facts []Fact   `json:"facts,omitempty"`
}

// A Fact is one thing that was seen.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A Duration is in milliseconds in JSON.
type Duration time.Duration

// MarshalJSON implements json.Marshaler.
func (d Duration) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%.3f", float64(d)/float64(time.Millisecond)), nil
}

func (d Duration) String() string {
	if d == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// Where a command of a remedy is typed.
const (
	Here   = "here"   // the management shell of the organization that asks
	There  = "there"  // of the organization that is asked
	Tenant = "tenant" // the directory of the authorization server
)

// A Remedy is one thing to do. Commands are complete lines for that place's
// management shell; none: the text says what no cmdlet does.
type Remedy struct {
	Where    string   `json:"where"`
	Text     string   `json:"text"`
	Commands []string `json:"commands,omitempty"`
}

// A Failure is why a question is not answered.
type Failure struct {
	Kind  Kind   `json:"kind"`
	Hop   Hop    `json:"hop"`
	Title string `json:"title"`
	// Cause says it in words with the object and the value at fault.
	Cause  string `json:"cause"`
	Object string `json:"object,omitempty"`
	Value  string `json:"value,omitempty"`
	// Said is what the other side said itself.
	Said     string   `json:"said,omitempty"`
	Remedies []Remedy `json:"remedies,omitempty"`
	// More is where docs/diagnose.md tells of it.
	More string `json:"more"`
}

// A Report is one diagnosis. It holds no token, key or password.
type Report struct {
	From         string    `json:"from"`
	To           string    `json:"to"`
	Organization string    `json:"organization"`
	Server       string    `json:"server,omitempty"`
	At           time.Time `json:"at"`
	Start        time.Time `json:"start"` // of the window that was asked for
	End          time.Time `json:"end"`
	Took         Duration  `json:"ms"`
	// CorrelationID is in the logs of both organizations and of the authorization
	// server as client_request_id.
	CorrelationID string   `json:"correlationId"`
	Healthy       bool     `json:"healthy"`
	Steps         []Step   `json:"steps"`
	Failure       *Failure `json:"failure,omitempty"`
	Warnings      []string `json:"warnings,omitempty"`
	Log           []string `json:"log,omitempty"` // of the token, in Exchange's words
}

// New is a report of which nothing is known yet.
func New(from, to string, at time.Time) *Report {
	r := &Report{From: from, To: to, At: at, Steps: make([]Step, Hops)}
	for i := range r.Steps {
		h := Hop(i + 1)
		r.Steps[i] = Step{Hop: h, Name: h.String(), Verdict: NotReached}
	}
	return r
}

// Step is the step of a hop.
func (r *Report) Step(h Hop) *Step { return &r.Steps[h-1] }

// Pass says that a hop holds, unless it was judged before.
func (r *Report) Pass(hops ...Hop) {
	for _, h := range hops {
		if s := r.Step(h); s.Verdict == NotReached {
			s.Verdict = Passed
		}
	}
}

// Skip says that the question has no such hop.
func (r *Report) Skip(hops ...Hop) {
	for _, h := range hops {
		r.Step(h).Verdict = NotApplicable
	}
}

// Warn says that a hop holds, and what should be done.
func (r *Report) Warn(h Hop, format string, args ...any) {
	if s := r.Step(h); s.Verdict == NotReached || s.Verdict == Passed {
		s.Verdict = Warned
	}
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}

// Fact adds what was seen at a hop; an empty value is none.
func (r *Report) Fact(h Hop, name, value string) {
	if value = clean(value); value != "" {
		s := r.Step(h)
		s.Facts = append(s.Facts, Fact{name, value})
	}
}

// Factf is Fact with a formatted value.
func (r *Report) Factf(h Hop, name, format string, args ...any) {
	r.Fact(h, name, fmt.Sprintf(format, args...))
}

// Fail names the failure. The hops before it that were not judged hold, for the
// question came as far; what was seen of later ones does not count.
func (r *Report) Fail(f Failure) {
	if f.Hop == 0 {
		f.Hop = f.Kind.Hop()
	}
	f.Title, f.More = f.Kind.Title(), "docs/diagnose.md#"+string(f.Kind)
	f.Said, f.Cause = clean(f.Said), clean(f.Cause)
	for i := range r.Steps {
		switch s := &r.Steps[i]; {
		case s.Hop < f.Hop && s.Verdict == NotReached:
			s.Verdict = Passed
		case s.Hop == f.Hop:
			s.Verdict = Failed
		case s.Hop > f.Hop && s.Verdict != NotApplicable:
			s.Verdict = NotReached
		}
	}
	r.Failure = &f
}

// clean makes text of others fit for a line: without control characters, and
// without what looks like a token.
func clean(s string) string {
	const limit = 4096
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), func(c rune) bool {
		return c <= ' ' || 0x7f <= c && c < 0xa0 || c == 0x2028 || c == 0x2029 || 0x202a <= c && c <= 0x202e || 0x2066 <= c && c <= 0x2069
	}), " ")
	s = tokenText.ReplaceAllString(s, "<redacted>")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}
