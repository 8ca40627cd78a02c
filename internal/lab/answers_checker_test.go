package lab_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// An act is a change of a thing or an answer about it, as seen from outside:
// it happened at some moment between from and to.
type act[S comparable] struct {
	what     string
	node     int
	from, to time.Duration
	// change is what the thing became; false: that cannot have happened to it.
	// It is nil for an answer.
	change func(S) (S, bool)
	// says is what the thing as it was would have answered.
	says func(S) string
	got  string // the answer
	// also are further states that the answer may be of; nil: none.
	also func(S) []S
}

// fits reports whether the answer is that of the state.
func (a *act[S]) fits(s S) bool {
	if a.says(s) == a.got {
		return true
	}
	return a.also != nil && slices.ContainsFunc(a.also(s), func(s S) bool { return a.says(s) == a.got })
}

// behind is how old an answer may be of what another node changed.
const behind = time.Second

// explain finds an order of all acts in which each change was possible and each
// answer is that of the state at its moment, or says why there is none. Acts that
// did not overlap in time keep their order; an answer may leave out what another
// node changed in the last moments before the question.
//
// It is the search of Wing and Gong with Lowe's memory. An answer changes
// nothing, so it is put where it first fits.
func explain[S comparable](start S, acts []act[S], behind time.Duration) error {
	h := history[S]{acts: acts, before: make([]bits, len(acts)), tried: map[turn[S]]bool{}}
	for i := range acts {
		h.before[i] = newBits(len(acts))
		for j := range acts {
			if comesBefore(&acts[j], &acts[i], behind) {
				h.before[i].set(j)
			}
		}
	}
	if h.from(start, newBits(len(acts))) {
		return nil
	}
	return h.stuck()
}

// comesBefore: a was over when b began.
func comesBefore[S comparable](a, b *act[S], behind time.Duration) bool {
	end := a.to
	if a.change != nil && b.change == nil && a.node != b.node {
		end += behind
	}
	if a.change == nil && b.change == nil && a.node != b.node {
		return false // one of the nodes may be behind
	}
	return end < b.from
}

type history[S comparable] struct {
	acts   []act[S]
	before []bits // for each act, those that come before it
	tried  map[turn[S]]bool

	most  int // acts that were in order in the best attempt
	done  bits
	state S
}

// A turn is where an attempt was.
type turn[S comparable] struct {
	done  string
	state S
}

// from tries to put all acts that are not done in order.
func (h *history[S]) from(state S, done bits) bool {
	count := 0
	for more := true; more; {
		more, count = false, 0
		for i := range h.acts {
			a := &h.acts[i]
			if !done.has(i) && a.change == nil && done.all(h.before[i]) && a.fits(state) {
				done.set(i)
				more = true
			}
			if done.has(i) {
				count++
			}
		}
	}
	if count > h.most || h.done == nil {
		h.most, h.done, h.state = count, slices.Clone(done), state
	}
	if count == len(h.acts) {
		return true
	}
	here := turn[S]{done.key(), state}
	if h.tried[here] {
		return false
	}
	h.tried[here] = true
	for i := range h.acts {
		if a := &h.acts[i]; a.change != nil && !done.has(i) && done.all(h.before[i]) {
			if next, ok := a.change(state); ok {
				more := slices.Clone(done)
				more.set(i)
				if h.from(next, more) {
					return true
				}
			}
		}
	}
	return false
}

// stuck tells what could come next in the best attempt, and does not fit.
func (h *history[S]) stuck() error {
	var b strings.Builder
	fmt.Fprintf(&b, "no order of %d acts explains them; %d could be put in order. The state was then\n  %+v", len(h.acts), h.most, h.state)
	shown := 0
	for i := range h.acts {
		a := &h.acts[i]
		if h.done.has(i) || !h.done.all(h.before[i]) || shown == 6 {
			continue
		}
		shown++
		fmt.Fprintf(&b, "\nnext could be on node %d, %v to %v: %s", a.node, a.from, a.to, a.what)
		if a.change == nil {
			fmt.Fprintf(&b, "\n  got  %s\n  want %s", a.got, a.says(h.state))
		}
	}
	return fmt.Errorf("%s", b.String())
}

// bits is a set of small numbers.
type bits []uint64

func newBits(n int) bits { return make(bits, (n+63)/64) }

func (b bits) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bits) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

// all reports whether every member of sub is in b.
func (b bits) all(sub bits) bool {
	for i, w := range sub {
		if w&^b[i] != 0 {
			return false
		}
	}
	return true
}

func (b bits) key() string {
	k := make([]byte, 0, 8*len(b))
	for _, w := range b {
		for s := 0; s < 64; s += 8 {
			k = append(k, byte(w>>s))
		}
	}
	return string(k)
}

// A register is the smallest thing that can be changed and asked.
func TestExplain(t *testing.T) {
	const ms = time.Millisecond
	put := func(node, from, to, v int) act[int] {
		return act[int]{what: fmt.Sprint("put ", v), node: node, from: time.Duration(from) * ms, to: time.Duration(to) * ms, change: func(int) (int, bool) { return v, true }}
	}
	add := func(from, to, was int) act[int] {
		return act[int]{what: fmt.Sprint("raise ", was), from: time.Duration(from) * ms, to: time.Duration(to) * ms, change: func(s int) (int, bool) { return s + 1, s == was }}
	}
	get := func(node, from, to, v int) act[int] {
		return act[int]{what: "get", node: node, from: time.Duration(from) * ms, to: time.Duration(to) * ms, says: func(s int) string { return fmt.Sprint(s) }, got: fmt.Sprint(v)}
	}
	tests := []struct {
		name string
		acts []act[int]
		ok   bool
	}{
		{"nothing", nil, true},
		{"what was there at first", []act[int]{get(0, 0, 1, 0)}, true},
		{"what was never there", []act[int]{get(0, 0, 1, 7), put(0, 2, 3, 7)}, false},
		{"what was put", []act[int]{put(0, 0, 1, 7), get(0, 2, 3, 7)}, true},
		{"older than what was acknowledged", []act[int]{put(0, 0, 1, 7), get(0, 2, 3, 0)}, false},
		{"during a change: before or after", []act[int]{put(0, 0, 9, 7), get(0, 1, 2, 0), get(0, 3, 4, 7)}, true},
		{"after and then before", []act[int]{put(0, 0, 9, 7), get(0, 1, 2, 7), get(0, 3, 4, 0)}, false},
		{"two at once in any order", []act[int]{put(0, 0, 9, 7), put(0, 0, 9, 8), get(0, 10, 11, 7)}, true},
		{"two at once in one order", []act[int]{put(0, 0, 9, 7), put(0, 0, 9, 8), get(0, 10, 11, 7), get(0, 12, 13, 8)}, false},
		{"a change is not lost", []act[int]{add(0, 9, 0), add(0, 9, 1), get(0, 10, 11, 1)}, false},
		{"both changes", []act[int]{add(0, 9, 1), add(0, 9, 0), get(0, 10, 11, 2)}, true},
		{"a change that was not possible", []act[int]{add(0, 1, 0), add(2, 3, 0)}, false},
		{"another node may be behind", []act[int]{put(0, 0, 1, 7), get(1, 2, 3, 0)}, true},
		{"but only so much", []act[int]{put(0, 0, 1, 7), get(1, 52, 53, 0)}, false},
		{"not ahead", []act[int]{get(1, 0, 1, 7), put(0, 2, 3, 7)}, false},
		{"not to and fro", []act[int]{put(0, 0, 1, 7), get(1, 2, 3, 7), get(1, 4, 5, 0)}, false},
		{"answers in any order of the list", []act[int]{get(0, 4, 5, 0), get(0, 2, 3, 0), get(0, 0, 1, 0)}, true},
		{"its own changes are seen at once", []act[int]{put(1, 0, 1, 7), get(1, 2, 3, 0)}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := explain(0, tt.acts, 50*ms); (err == nil) != tt.ok {
				t.Errorf("explained: %v, want %v; %v", err == nil, tt.ok, err)
			}
		})
	}
}
