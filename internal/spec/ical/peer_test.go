package ical_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"busybridge/internal/spec/ical"

	goical "github.com/emersion/go-ical"
)

// A decoder reads a file and says how many events it found.
type decoder func(data []byte) (events int, err error)

func ours(data []byte) (events int, err error) {
	cal, _, err := ical.Parse(data, ical.Limits{})
	if err != nil {
		return 0, err
	}
	for _, root := range cal.Components {
		for _, c := range root.Components {
			if c.Name == "VEVENT" {
				events++
			}
		}
	}
	return events, nil
}

// theirs is go-ical. It panics at some files.
func theirs(data []byte) (events int, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	d := goical.NewDecoder(bytes.NewReader(data))
	for {
		cal, err := d.Decode()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return 0, err
		}
		events += len(cal.Events())
	}
}

// large are the large files of the corpus.
func large(t testing.TB) map[string][]byte {
	files := map[string][]byte{}
	for _, pattern := range []string{"large/*.ics", "copyleft/large/*.ics"} {
		names, err := filepath.Glob(filepath.Join(corpus(t), filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if files[filepath.Base(name)], err = os.ReadFile(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(files) < 7 {
		t.Fatalf("only %d large files", len(files))
	}
	return files
}

// cpu is the processor time that this process has used.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cost is the processor time of one decoding, that of the collector with it: the
// least of some rounds in turn, for others share the machine.
func cost(t testing.TB, data []byte, decode [2]decoder) (least [2]time.Duration) {
	n := 1 + 2_000_000/len(data)
	for range 5 {
		for i, d := range decode {
			runtime.GC()
			began := cpu(t)
			for range n {
				if _, err := d(data); err != nil {
					t.Fatal(err)
				}
			}
			if took := (cpu(t) - began) / time.Duration(n); least[i] == 0 || took < least[i] {
				least[i] = took
			}
		}
	}
	return least
}

// TestThreeTimesAsFast holds what the decoder costs against another one in the
// same run.
func TestThreeTimesAsFast(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("measures time")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	var all [2]time.Duration
	events := 0
	for name, data := range large(t) {
		want, err := theirs(data)
		if err != nil {
			t.Logf("%s: the other decoder refuses it: %v", name, err)
			continue
		}
		if got, err := ours(data); err != nil || got != want {
			t.Fatalf("%s: %d events, %v; want %d", name, got, err, want)
		}
		c := cost(t, data, [2]decoder{ours, theirs})
		ratio := float64(c[1]) / float64(c[0])
		t.Logf("%-28s %5d events, %7.0f a second of CPU, %4.1f times the other's", name, want, float64(want)/c[0].Seconds(), ratio)
		all[0], all[1], events = all[0]+c[0], all[1]+c[1], events+want
	}
	ratio := float64(all[1]) / float64(all[0])
	t.Logf("%.0f events a second of CPU, the other %.0f: %.1f times", float64(events)/all[0].Seconds(), float64(events)/all[1].Seconds(), ratio)
	if ratio < 3 {
		t.Errorf("%.1f times as fast as the other decoder, want 3", ratio)
	}
}

func BenchmarkLarge(b *testing.B) {
	for name, data := range large(b) {
		for who, decode := range map[string]decoder{"ours": ours, "theirs": theirs} {
			b.Run(name+"/"+who, func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				events := 0
				for b.Loop() {
					n, err := decode(data)
					if err != nil {
						b.Skip(err)
					}
					events += n
				}
				b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}
