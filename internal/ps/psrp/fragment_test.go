package psrp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// fragment is one with its head.
func fragment(object, n uint64, flags byte, data string) []byte {
	b := binary.BigEndian.AppendUint64(nil, object)
	b = binary.BigEndian.AppendUint64(b, n)
	b = binary.BigEndian.AppendUint32(append(b, flags), uint32(len(data)))
	return append(b, data...)
}

func TestFragments(t *testing.T) {
	join := func(list ...[]byte) []byte { return bytes.Join(list, nil) }
	for _, c := range []struct {
		name, want, err string
		stream          []byte
	}{
		{"one", "abc", "", fragment(1, 0, 3, "abc")},
		{"two messages", "abc|d", "", join(fragment(1, 0, 3, "abc"), fragment(2, 0, 3, "d"))},
		{"three fragments", "abcdef", "", join(fragment(7, 0, 1, "ab"), fragment(7, 1, 0, "cd"), fragment(7, 2, 2, "ef"))},
		{"empty ones", "|a", "", join(fragment(1, 0, 3, ""), fragment(2, 0, 1, ""), fragment(2, 1, 0, "a"), fragment(2, 2, 2, ""))},
		{"reserved flags", "a", "", fragment(1, 0, 0xff, "a")},
		{"half a head", "", "", fragment(1, 0, 3, "abc")[:20]},
		{"half the data", "", "", fragment(1, 0, 3, "abc")[:22]},
		{"no beginning", "", "object 1 has no beginning", fragment(1, 0, 2, "a")},
		{"two beginnings", "", "object 2 begins before object 1", join(fragment(1, 0, 1, "a"), fragment(2, 0, 1, "a"))},
		{"a late beginning", "", "begins with fragment 1", fragment(1, 1, 3, "a")},
		{"a gap", "", "fragment 2 comes instead of object 1, fragment 1", join(fragment(1, 0, 1, "a"), fragment(1, 2, 2, "a"))},
		{"twice the same", "", "fragment 1 comes instead of object 1, fragment 2", join(fragment(1, 0, 1, "a"), fragment(1, 1, 0, "a"), fragment(1, 1, 2, "a"))},
		{"another object", "", "object 2, fragment 1 comes instead", join(fragment(1, 0, 1, "a"), fragment(2, 1, 2, "a"))},
		{"too large", "", "too much data", fragment(1, 0, 3, strings.Repeat("a", 101))[:21]},
		{"too large together", "", "too much data", join(fragment(1, 0, 1, strings.Repeat("a", 60)), fragment(1, 1, 2, strings.Repeat("a", 41))[:21])},
		{"too much in all", "aaa|aaa", "too much data", join(fragment(1, 0, 3, "aaa"), fragment(2, 0, 3, "aaa"), fragment(3, 0, 3, strings.Repeat("a", 95)))},
	} {
		for _, cut := range []int{1, 5, 21, len(c.stream)} {
			in := inbox{maxObject: 100, maxTotal: 102}
			if c.name == "too much in all" {
				in.maxTotal = 100
			}
			var got []string
			var err error
			for b := c.stream; len(b) > 0 && err == nil; {
				n := min(cut, len(b))
				err = in.add(b[:n], func(m []byte) error {
					got = append(got, string(m))
					return nil
				})
				b = b[n:]
			}
			pe, _ := errors.AsType[*ProtocolError](err)
			if s := strings.Join(got, "|"); s != c.want || (err == nil) != (c.err == "") || err != nil && (pe == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%s, cut at %d: %q, %v", c.name, cut, s, err)
			}
		}
	}
}

// A message that was taken and not committed is given again, also in smaller pieces, and nothing is lost or doubled.
func TestOutboxGivesAgain(t *testing.T) {
	var ids uint64
	o := Outbox{ids: &ids}
	o.add([]byte("first message"))
	o.add([]byte("second"))
	if b := o.Take(fragmentHead, 0); b != nil {
		t.Errorf("without room: %x", b)
	}
	all := o.Take(1000, 0)
	if o.Len() != 19 || !bytes.Equal(all, o.Take(1000, 0)) {
		t.Errorf("%d bytes wait", o.Len())
	}
	want := append(fragment(1, 0, 1, "first "), fragment(1, 1, 2, "message")...)
	if got := o.Take(27, 0); !bytes.Equal(got, want[:27]) {
		t.Errorf("got %q", got)
	}
	o.Commit()
	if got := o.Take(60, 0); !bytes.Equal(got, append(want[27:], fragment(2, 0, 3, "second")...)) || o.Len() != 13 {
		t.Errorf("got %q, %d wait", got, o.Len())
	}
	o.Commit()
	if got := o.Take(60, 0); got != nil || o.Len() != 0 {
		t.Errorf("got %q, %d wait", got, o.Len())
	}
}
