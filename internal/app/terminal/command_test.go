package terminal

import (
	"bytes"
	"io"
	"os"
	"testing"
	"time"

	"busybridge/internal/ps/interp"
)

// An interrupt that came while nothing ran stops nothing; the next one stops what runs.
func TestLateInterrupt(t *testing.T) {
	session, err := interp.New(interp.Config{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	s := newShell(Config{Session: session, Out: &out, Err: io.Discard})
	s.interrupts = make(chan os.Signal, 1)
	s.interrupts <- os.Interrupt
	if failed, err := s.command(t.Context(), "'ran'"); failed || err != nil || out.String() != "ran\n" {
		t.Errorf("failed %v, %v, %q", failed, err, out.String())
	}
	s.Out = writerFunc(func(p []byte) (int, error) {
		s.interrupts <- os.Interrupt
		return len(p), nil
	})
	if failed, err := s.command(t.Context(), "1; while ($true) {}"); !failed || err != nil {
		t.Errorf("failed %v, %v", failed, err)
	}
}

type writerFunc func([]byte) (int, error)

func (w writerFunc) Write(p []byte) (int, error) { return w(p) }
