package wsman_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"

	"busybridge/internal/ps/wsman"
)

// plain is what the blocks of testdata/xpress.txt stand for.
func plain(name string) []byte {
	var b []byte
	switch name {
	case "alphabet":
		return []byte("abcdefghijklmnopqrstuvwxyz")
	case "abc":
		return bytes.Repeat([]byte("abc"), 100)
	case "one letter":
		return bytes.Repeat([]byte("x"), 1<<16)
	case "numbers":
		for i := range 1500 {
			b = fmt.Appendf(b, "<I32>%d</I32>", i*i)
		}
	case "squares":
		for i := range 20000 {
			b = append(b, byte(i*i/7))
		}
	case "far":
		var head []byte
		for i := range 60 {
			head = append(head, byte(i*7%251))
		}
		return append(append(bytes.Clone(head), bytes.Repeat([]byte("-"), 60000)...), head...)
	}
	return b
}

// chunk is a block of a stream behind its sizes.
func chunk(size int, block []byte) []byte {
	b := binary.LittleEndian.AppendUint16(nil, uint16(size-1))
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(block)-1)), block...)
}

func blocks(t testing.TB) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("testdata/xpress.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for line := range strings.Lines(string(text)) {
		name, data, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok {
			continue
		}
		if out[name], err = base64.StdEncoding.DecodeString(data); err != nil {
			t.Fatal(err)
		}
	}
	if len(out) != 6 {
		t.Fatalf("there are %d blocks", len(out))
	}
	return out
}

// What another encoder has compressed is read, chunk after chunk, stored ones between.
func TestDecompress(t *testing.T) {
	var stream, want []byte
	for name, block := range blocks(t) {
		p := plain(name)
		b := chunk(len(p), block)
		if got, err := wsman.Decompress(b, len(p)); err != nil || !bytes.Equal(got, p) {
			t.Errorf("%s: %v, %d bytes, want %d", name, err, len(got), len(p))
		}
		if _, err := wsman.Decompress(b, len(p)-1); err == nil {
			t.Errorf("%s: more than the limit is accepted", name)
		}
		for _, cut := range []int{1, 3, len(b) / 2, len(b) - 5} {
			if got, err := wsman.Decompress(b[:cut], len(p)); err == nil {
				t.Errorf("%s: %d of %d bytes give %d", name, cut, len(b), len(got))
			}
		}
		stream = append(append(stream, b...), wsman.Store([]byte(name))...)
		want = append(append(want, p...), name...)
	}
	if got, err := wsman.Decompress(stream, 1<<20); err != nil || !bytes.Equal(got, want) {
		t.Errorf("together: %v, %d bytes, want %d", err, len(got), len(want))
	}
}

// Damage is refused or gives other data of the right size; nothing is read or written out of bounds.
func TestDamaged(t *testing.T) {
	refused := 0
	for name, block := range blocks(t) {
		p := plain(name)
		b := chunk(len(p), block)
		for at := 4; at < len(b); at += 1 + len(b)/20 {
			for _, x := range []byte{1, 0x10, 0x80, 0xff} {
				bad := bytes.Clone(b)
				bad[at] ^= x
				got, err := wsman.Decompress(bad, len(p))
				if err != nil {
					refused++
				} else if len(got) != len(p) {
					t.Errorf("%s, byte %d: %d bytes, want %d", name, at, len(got), len(p))
				}
			}
		}
		table := make([]byte, 256)
		table[0x80], table[0x88] = 0x01, 0x01 // two symbols: matches of 3 at distance 1, and at distance 2 or 3
		if got, err := wsman.Decompress(chunk(5, append(table, 0, 0, 0, 0)), 5); err == nil {
			t.Errorf("a match before the beginning gives %x", got)
		}
	}
	if refused == 0 {
		t.Error("no damage was seen")
	}
}

func TestStore(t *testing.T) {
	for _, n := range []int{0, 1, 1<<16 - 1, 1 << 16, 1<<16 + 1, 200000} {
		want := bytes.Repeat([]byte{7}, n)
		got, err := wsman.Decompress(wsman.Store(want), n)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %v, %d", n, err, len(got))
		}
	}
}

func FuzzDecompress(f *testing.F) {
	for name, block := range blocks(f) {
		f.Add(chunk(len(plain(name)), block))
	}
	f.Add(wsman.Store([]byte("stored")))
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 18
		out, err := wsman.Decompress(data, limit)
		if err == nil && len(out) > limit {
			t.Errorf("%d bytes", len(out))
		}
	})
}
