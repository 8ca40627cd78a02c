package remoteserver_test

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/ps/psrp"
	"busybridge/internal/ps/wsman"
	"busybridge/internal/serve/remoteserver"
)

var update = flag.Bool("update", false, "write the golden files")

// The requests of testdata/pypsrp.txt are those that pypsrp 0.9.1 sent, one in a
// line. The answers are decoded and compared with testdata/answers.txt. As the
// client does, a request for results is repeated until the command has ended.
func TestTranscript(t *testing.T) {
	recorded, err := os.ReadFile("testdata/pypsrp.txt")
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t, remoteserver.Limits{})
	var out strings.Builder
	ended := map[string]bool{}
	names := map[string]string{} // of ids, in the order in which they appear
	for line := range strings.Lines(string(recorded)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			fmt.Fprintf(&out, "%s\n", line)
			continue
		}
		m, err := wsman.Parse([]byte(line), len(line))
		if err != nil {
			t.Fatal(err)
		}
		command := ""
		if d, ok := m.Body.(*wsman.Desired); ok {
			command = d.Command
		}
		if command != "" && ended[command] {
			continue
		}
		fmt.Fprintf(&out, "> %s\n", string(m.Action)[strings.LastIndexByte(string(m.Action), '/')+1:])
		for more := true; more; more = command != "" && !ended[command] {
			status, answer := s.post(t, "alice@contoso.com", line)
			if answer.RelatesTo != m.ID {
				t.Fatalf("%s is answered with one to %s", m.ID, answer.RelatesTo)
			}
			show(t, &out, status, answer)
			if r, ok := answer.Body.(*wsman.Received); ok && r.State == wsman.CommandDone {
				ended[command] = true
			}
		}
	}
	got := regexp.MustCompile(`(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).ReplaceAllStringFunc(out.String(), func(id string) string {
		id = strings.ToUpper(id)
		if names[id] == "" {
			names[id] = fmt.Sprintf("<id %d>", len(names)+1)
		}
		return names[id]
	})
	got = regexp.MustCompile(`(EncryptedSessionKey">)[^<]+`).ReplaceAllString(got, "$1…")
	const golden = "testdata/answers.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if s.Sessions() != 0 {
		t.Error("the session is still there")
	}
}

// show writes an answer down. Its streams are put together from fragments, for
// their bounds are of no matter.
func show(t *testing.T, out *strings.Builder, status int, m *wsman.Message) {
	t.Helper()
	switch b := m.Body.(type) {
	case *wsman.Fault:
		fmt.Fprintf(out, "< %d fault %d\n", status, b.Number)
	case *wsman.Created:
		fmt.Fprintf(out, "< %d session %s of %s, %s\n", status, b.ID, b.Owner, b.State)
	case *wsman.Started:
		fmt.Fprintf(out, "< %d command %s\n", status, b.ID)
	case *wsman.Received:
		for _, st := range b.Streams {
			for data := st.Data; len(data) > 0; {
				n := int(binary.BigEndian.Uint32(data[17:]))
				if data[16] != 3 {
					t.Fatal("an answer is cut, which this test does not expect")
				}
				msg, err := psrp.ParseMessage(data[21 : 21+n])
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(out, "  %v %s\n", msg.Type, bytes.TrimPrefix(msg.Data, []byte("\ufeff")))
				data = data[21+n:]
			}
		}
		if b.State == wsman.CommandDone {
			fmt.Fprintf(out, "< %d the command has ended\n", status)
		}
	default:
		fmt.Fprintf(out, "< %d %s\n", status, string(m.Action)[strings.LastIndexByte(string(m.Action), '/')+1:])
	}
}
