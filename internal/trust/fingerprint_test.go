package trust

import (
	"strings"
	"testing"
)

// Lists of texts that differ, also only in where one ends, differ in it.
func TestFingerprints(t *testing.T) {
	f, err := newFingerprints()
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[fingerprint]string)
	for _, list := range [][]string{nil, {""}, {"", ""}, {"a"}, {"a", ""}, {"", "a"}, {"ab"}, {"a", "b"}, {"b", "a"}, {"\x01a"}, {"a\x01b"},
		{strings.Repeat("x", 127)}, {strings.Repeat("x", 128)}, {strings.Repeat("x", 128), "y"}, {strings.Repeat("x", 16<<10)}} {
		got := f.ofAll(list...)
		if other, ok := seen[got]; ok {
			t.Errorf("%.40q and %s have the same", list, other)
		}
		seen[got] = strings.Join(list, ",")
		if f.ofAll(list...) != got {
			t.Errorf("%.40q has two", list)
		}
	}
	token := f.of("token")
	if again := f.of("token"); again != token || f.of("tokem") == token {
		t.Error("of does not tell texts apart")
	}
	other, err := newFingerprints()
	if err != nil {
		t.Fatal(err)
	}
	if other.of("token") == token {
		t.Error("two processes agree: a fingerprint could be made outside")
	}
	for name, make := range map[string]func(){"of": func() { f.of("token") }, "ofAll": func() { f.ofAll("a", "b") }} {
		if n := testing.AllocsPerRun(100, make); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
