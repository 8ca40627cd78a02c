package ical_test

import (
	"bytes"
	"testing"

	"busybridge/internal/spec/ical"
)

func TestWithoutStamps(t *testing.T) {
	for in, want := range map[string]string{
		"":                                     "",
		"A:1":                                  "A:1",
		"DTSTAMP:20260301T000000Z":             "",
		"A:1\r\nDTSTAMP:x\r\nB:2\r\n":          "A:1\r\nB:2\r\n",
		"A:1\ndtstamp;X=y:x\nB:2\nDTSTAMP:z\n": "A:1\nB:2\n",
		"DTSTAMPS:1\r\nX-DTSTAMP:1\r\n DTSTAMP:1": "DTSTAMPS:1\r\nX-DTSTAMP:1\r\n DTSTAMP:1",
	} {
		if got := string(ical.WithoutStamps([]byte(in))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzWithoutStamps(f *testing.F) {
	for _, s := range []string{"A:1\r\nDTSTAMP:x\r\nB:2\r\n", "DTSTAMP", "DTSTAMP:", "\nDTSTAMP;"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		once := ical.WithoutStamps(b)
		if !bytes.Equal(b, before) {
			t.Error("the text was changed")
		}
		if again := ical.WithoutStamps(once); !bytes.Equal(again, once) {
			t.Errorf("%q: %q becomes %q", b, once, again)
		}
	})
}
