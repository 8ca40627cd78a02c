package remoteserver_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/ps/object"
	"busybridge/internal/ps/psrp"
	"busybridge/internal/ps/wsman"
	"busybridge/internal/serve/remoteserver"
)

// A wire is the client's role over HTTP, as moody as clients can be: its fragments
// and envelopes have any size, and it may compress what it sends.
type wire struct {
	s          *stage
	id         string
	session    string // p:SessionId
	envelope   int
	compressed bool
	doomed     bool // the session is deleted under what runs
	deleted    atomic.Bool

	here sync.RWMutex // held for writing while the client is disconnected

	mu sync.Mutex // guards both below
	r  *rand.Rand
	cl *psrp.Client
}

func (w *wire) n(most int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.r.IntN(most)
}

// try sends a request once. A fault is an error.
func (w *wire) try(ctx context.Context, action wsman.Action, body wsman.Body) (*wsman.Message, error) {
	m := &wsman.Message{Action: action, To: w.s.http.URL, ID: "uuid:" + uuid.NewString(), Resource: wsman.ResourcePowerShell + "Microsoft.Exchange", ShellID: w.id,
		MaxEnvelope: w.envelope, Timeout: 2 * time.Second, Session: w.session, Compressed: w.compressed && action == wsman.Create, Body: body}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.s.http.URL+"/powershell", bytes.NewReader(m.Append(nil)))
	if err != nil {
		return nil, err
	}
	r.SetBasicAuth("alice@contoso.com", "secret")
	res, err := w.s.http.Client().Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if len(b) > w.envelope {
		return nil, fmt.Errorf("an answer to %s of %d bytes, the client takes %d", action, len(b), w.envelope)
	}
	answer, err := wsman.Parse(b, len(b))
	if err != nil {
		return nil, fmt.Errorf("%w in %q", err, b)
	}
	if answer.RelatesTo != m.ID {
		return nil, fmt.Errorf("%s is answered with one to %s", m.ID, answer.RelatesTo)
	}
	if f, ok := answer.Body.(*wsman.Fault); ok {
		return nil, f
	}
	return answer, nil
}

// do sends a request, and again when the client was disconnected.
func (w *wire) do(ctx context.Context, action wsman.Action, body wsman.Body) (*wsman.Message, error) {
	for {
		m, err := w.try(ctx, action, body)
		if f, ok := errors.AsType[*wsman.Fault](err); !ok || !f.Of(wsman.Left) && !f.Of(wsman.Displaced) {
			return m, err
		}
		w.here.RLock()   // until it is back
		w.here.RUnlock() //nolint:staticcheck // nothing is read under it
	}
}

func (w *wire) pack(data []byte) []byte {
	switch {
	case !w.compressed:
		return data
	case w.n(2) == 0:
		return wsman.Store(data)
	}
	return squeeze(data)
}

func (w *wire) unpack(t testing.TB, data []byte) []byte {
	t.Helper()
	if w.compressed {
		var err error
		if data, err = wsman.Decompress(data, 1<<20); err != nil {
			t.Error(err)
		}
	}
	return data
}

// fragments takes some of what waits in o.
func (w *wire) fragments(o *psrp.Outbox) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := o.Take(100+w.r.IntN(6000), 1+w.r.IntN(3000))
	o.Commit()
	return b
}

// send sends all that waits in o.
func (w *wire) send(ctx context.Context, o *psrp.Outbox, command string) error {
	for {
		var streams []wsman.Stream
		for range 1 + w.n(3) {
			if b := w.fragments(o); b != nil {
				streams = append(streams, wsman.Stream{Name: "stdin", Command: command, Data: w.pack(b)})
			}
		}
		if streams == nil {
			return nil
		}
		if _, err := w.do(ctx, wsman.Send, &wsman.Sent{Streams: streams}); err != nil {
			return err
		}
	}
}

func newWire(t testing.TB, s *stage, r *rand.Rand, compressed bool) *wire {
	t.Helper()
	w := &wire{s: s, r: r, id: strings.ToUpper(uuid.NewString()), session: "uuid:" + uuid.NewString(), envelope: 8<<10 + r.IntN(40<<10), compressed: compressed}
	w.cl = psrp.NewClient(psrp.ClientConfig{Pool: uuid.New()})
	if err := w.cl.Open(); err != nil {
		t.Fatal(err)
	}
	creation := w.fragments(w.cl.Out())
	if _, err := w.do(t.Context(), wsman.Create, &wsman.Shell{ID: w.id, Input: "stdin pr", Output: "stdout", Creation: creation}); err != nil {
		t.Fatal(err)
	}
	if err := w.send(t.Context(), w.cl.Out(), ""); err != nil {
		t.Fatal(err)
	}
	for w.cl.State() != psrp.PoolOpened {
		m, err := w.do(t.Context(), wsman.Receive, &wsman.Desired{Names: []string{"stdout"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range m.Body.(*wsman.Received).Streams {
			if _, err := w.cl.Read(w.unpack(t, st.Data)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return w
}

// What became of a pipeline.
type outcome struct {
	out   []string
	ended []psrp.State
	gone  bool // it was forgotten, or its session ended
}

// leave disconnects the client and lets it come back.
func (w *wire) leave(t testing.TB) {
	t.Helper()
	w.here.Lock()
	defer w.here.Unlock()
	for _, step := range []struct {
		action wsman.Action
		body   wsman.Body
	}{{wsman.Disconnect, &wsman.Leave{}}, {wsman.Reconnect, &wsman.Return{}}} {
		if _, err := w.try(t.Context(), step.action, step.body); err != nil && !w.deleted.Load() {
			t.Error(err)
		}
	}
}

// close deletes the session.
func (w *wire) close(t testing.TB) {
	t.Helper()
	if w.deleted.Swap(true) {
		return
	}
	if _, err := w.do(t.Context(), wsman.Delete, nil); err != nil {
		t.Error(err)
	}
}

// run runs a pipeline with its input. what may stop it or forget it in the midst.
func (w *wire) run(t testing.TB, p *psrp.Pipeline, input []string, what string) (got outcome) {
	t.Helper()
	id := uuid.New()
	command := strings.ToUpper(id.String())
	w.mu.Lock()
	run, err := w.cl.Start(id, p)
	for i := 0; err == nil && !p.NoInput && i <= len(input); i++ {
		if i == len(input) {
			err = run.EndInput()
		} else {
			err = run.Input(input[i])
		}
	}
	w.mu.Unlock()
	if err != nil {
		t.Error(err)
		return got
	}
	over := func(err error) bool {
		f, ok := errors.AsType[*wsman.Fault](err)
		got.gone = ok && (f.Of(wsman.UnknownShell) || f.Of(wsman.Aborted))
		if !got.gone {
			t.Errorf("%s: %v", what, err)
		}
		return true
	}
	if _, err := w.do(t.Context(), wsman.Command, &wsman.CommandLine{ID: command, Arguments: w.fragments(run.Out())}); err != nil && over(err) {
		return got
	}
	var side sync.WaitGroup
	defer side.Wait()
	side.Go(func() {
		if err := w.send(t.Context(), run.Out(), command); err != nil {
			if f, ok := errors.AsType[*wsman.Fault](err); !ok || !f.Of(wsman.UnknownShell) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
	signal := func(code string) {
		if _, err := w.do(t.Context(), wsman.Signal, &wsman.Signaled{Command: command, Code: code}); err != nil {
			if f, ok := errors.AsType[*wsman.Fault](err); !ok || !f.Of(wsman.UnknownShell) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	for fetched := 0; ; {
		if fetched == 1 {
			switch what {
			case "stop":
				signal(wsman.SignalStop)
			case "forget":
				signal(wsman.SignalTerminate)
			}
		}
		switch w.n(12) {
		case 0:
			w.leave(t)
		case 1:
			if w.doomed {
				w.close(t)
			}
		}
		m, err := w.do(t.Context(), wsman.Receive, &wsman.Desired{Names: []string{"stdout"}, Command: command})
		if f, ok := errors.AsType[*wsman.Fault](err); ok && f.Of(wsman.TimedOut) {
			fetched++
			continue
		}
		if err != nil && over(err) {
			return got
		}
		fetched++
		r := m.Body.(*wsman.Received)
		for _, st := range r.Streams {
			w.mu.Lock()
			events, err := run.Read(w.unpack(t, st.Data))
			w.mu.Unlock()
			if err != nil {
				t.Errorf("%s: %v", what, err)
				return got
			}
			for _, e := range events {
				switch e := e.(type) {
				case psrp.Output:
					name, _ := object.Get(e.Value, "Name")
					number, _ := object.Get(e.Value, "Number")
					got.out = append(got.out, fmt.Sprintf("%v %v", name, number))
				case psrp.Finished:
					got.ended = append(got.ended, e.State)
				}
			}
		}
		if r.State == wsman.CommandDone {
			signal(wsman.SignalTerminate)
			return got
		}
	}
}

// Client against server over HTTP: many pipelines of one session at once, fragments
// and envelopes of any size, stops, forgotten commands, a client that disconnects
// and comes back, a session that is deleted under what runs. Each pipeline gets
// its input and gives its results whole and in order, up to where it was ended.
func TestClientAgainstServer(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("PSRP_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	rounds := 12
	if raceEnabled || testing.Short() {
		rounds = 4
	}
	s := newStage(t, remoteserver.Limits{Memory: 256 << 10, Commands: 8, NewSessions: 1000, Poll: 200 * time.Millisecond})
	for round := range rounds {
		storm(t, s, rand.New(rand.NewPCG(seed, uint64(round))))
		if t.Failed() {
			t.Fatalf("PSRP_SEED=%d, round %d", seed, round)
		}
	}
	if s.Sessions() != 0 {
		t.Errorf("%d sessions are left", s.Sessions())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if !strings.HasPrefix(e.Object, "Session ") || e.Object != "Session "+e.RequestID {
			t.Errorf("an event without its session: %+v", e)
		}
	}
}

func storm(t *testing.T, s *stage, r *rand.Rand) {
	w := newWire(t, s, r, r.IntN(2) == 0)
	w.doomed = w.n(4) == 0
	var wg sync.WaitGroup
	for range 2 + w.n(5) {
		var input, want []string
		p := pipeline(cmd("Get-Thing"))
		what := []string{"run", "run", "stop", "forget"}[w.n(4)]
		if w.n(2) == 0 { // each object of the input comes back
			p.NoInput, input = false, []string{}
			for i := range w.n(60) {
				input = append(input, strings.Repeat("é_x and some words ", w.n(40))+strconv.Itoa(i))
				want = append(want, input[i]+" 0")
			}
		} else {
			name := strings.Repeat("n", 1+w.n(500))
			count := w.n(600)
			p = pipeline(cmd("Get-Thing", "Identity", name, "Count", int32(count)))
			for i := range count {
				want = append(want, fmt.Sprintf("%s %d", name, i))
			}
		}
		wg.Go(func() {
			got := w.run(t, p, input, what)
			switch {
			case len(got.out) > len(want) || !slices.Equal(got.out, want[:len(got.out)]):
				t.Errorf("%s: %d results, not the first of %d", what, len(got.out), len(want))
			case got.gone && (w.doomed || what == "forget"):
			case got.gone:
				t.Errorf("%s: it is gone", what)
			case len(got.ended) != 1:
				t.Errorf("%s: it ended %v", what, got.ended)
			case got.ended[0] == psrp.Completed && len(got.out) == len(want):
			case got.ended[0] == psrp.Stopped && (what == "stop" || what == "forget" || w.doomed):
			default:
				t.Errorf("%s: ended %v with %d of %d results", what, got.ended, len(got.out), len(want))
			}
		})
	}
	wg.Wait()
	w.close(t)
}

// What a client compresses arrives as it was; what is damaged is refused, and what
// would become too large, too.
func TestCompressedSend(t *testing.T) {
	s := newStage(t, remoteserver.Limits{Memory: 256 << 10})
	w := newWire(t, s, rand.New(rand.NewPCG(1, 2)), true)
	text := strings.Repeat("Objects that are sent back as input. ", 200)
	p := pipeline(cmd("Get-Thing"))
	p.NoInput = false
	id := uuid.New()
	run, err := w.cl.Start(id, p)
	if err != nil {
		t.Fatal(err)
	}
	command := strings.ToUpper(id.String())
	if _, err := w.do(t.Context(), wsman.Command, &wsman.CommandLine{ID: command, Arguments: run.Out().Take(1<<20, 0)}); err != nil {
		t.Fatal(err)
	}
	run.Out().Commit()
	if err := errors.Join(run.Input(text), run.EndInput()); err != nil {
		t.Fatal(err)
	}
	plain := run.Out().Take(1<<20, 0)
	packed := squeeze(plain)
	if len(packed) >= len(plain) {
		t.Fatalf("%d bytes became %d", len(plain), len(packed))
	}
	send := func(data []byte) error {
		_, err := w.do(t.Context(), wsman.Send, &wsman.Sent{Streams: []wsman.Stream{{Name: "stdin", Command: command, Data: data}}})
		return err
	}
	fault(t, send(packed[:len(packed)/2]), wsman.Invalid)
	fault(t, send(plain), wsman.Invalid)
	fault(t, send(bytes.Repeat(wsman.Store(make([]byte, 1<<16)), 5)), wsman.Invalid)
	if err := send(packed); err != nil {
		t.Fatal(err)
	}
	m, err := w.do(t.Context(), wsman.Receive, &wsman.Desired{Names: []string{"stdout"}, Command: command})
	if err != nil {
		t.Fatal(err)
	}
	events, err := run.Read(w.unpack(t, m.Body.(*wsman.Received).Streams[0].Data))
	if err != nil || len(events) == 0 {
		t.Fatal(events, err)
	}
	if got, _ := object.Get(events[0].(psrp.Output).Value, "Name"); got != text {
		t.Errorf("%v", got)
	}
	w.close(t)
}

// squeeze compresses a stream's data as MS-XCA 2.1 has it, with literals only:
// 85 bytes that are frequent in text have codes of 7 bits, one of 8, all others of
// 9. Blocks that would not become smaller are stored.
func squeeze(data []byte) []byte {
	var lengths [512]byte
	for s := range 256 {
		switch {
		case s >= 0x20 && s < 0x20+85:
			lengths[s] = 7
		case s == 0:
			lengths[s] = 8
		default:
			lengths[s] = 9
		}
	}
	var codes [256]uint32
	code := uint32(0)
	for n := byte(7); n <= 9; n++ {
		for s := range 256 {
			if lengths[s] == n {
				codes[s] = code >> (9 - n)
				code += 1 << (9 - n)
			}
		}
	}
	var out []byte
	for block := range slices.Chunk(data, 1<<16) {
		var packed []byte
		for i := 0; i < 512; i += 2 {
			packed = append(packed, lengths[i]|lengths[i+1]<<4)
		}
		bits, n := uint64(0), 0
		for _, b := range block {
			bits, n = bits<<lengths[b]|uint64(codes[b]), n+int(lengths[b])
			for n >= 16 {
				packed = binary.LittleEndian.AppendUint16(packed, uint16(bits>>(n-16)))
				n -= 16
			}
		}
		packed = binary.LittleEndian.AppendUint16(packed, uint16(bits<<(16-n)))
		packed = append(packed, 0, 0)
		if len(packed) >= len(block) {
			out = append(out, wsman.Store(block)...)
			continue
		}
		out = binary.LittleEndian.AppendUint16(out, uint16(len(block)-1))
		out = binary.LittleEndian.AppendUint16(out, uint16(len(packed)-1))
		out = append(out, packed...)
	}
	return out
}
