package psrp

import (
	"encoding/binary"
	"fmt"
)

// The head of a fragment (MS-PSRP 2.2.4).
const (
	fragmentHead = 21
	flagStart    = 1
	flagEnd      = 2
)

// DefaultFragment is the most data that a fragment carries, as Windows cuts them.
const DefaultFragment = 32 << 10

// An Outbox holds the messages of one stream until they were sent. The fragments of a message follow each other: none
// of another message comes between them.
type Outbox struct {
	ids   *uint64 // the sender's last object id
	queue [][]byte
	id    []uint64 // object ids of the queue: a sender's streams share one counter
	sent  cursor
	taken cursor // after what Take gave last
	bytes int    // of the queue
}

// A cursor is a place in a queue.
type cursor struct {
	message, offset int
	fragment        uint64
}

func (o *Outbox) add(message []byte) {
	*o.ids++
	o.queue = append(o.queue, message)
	o.id = append(o.id, *o.ids)
	o.bytes += len(message)
}

// Len is how many bytes of messages wait, without the heads of fragments.
func (o *Outbox) Len() int { return o.bytes - o.sent.offset }

// Take returns whole fragments of at most room bytes in all, each with at most limit bytes of data (0: DefaultFragment),
// and nil when nothing waits or there is no room. They stay here until Commit: without it Take gives the same data again.
func (o *Outbox) Take(room, limit int) []byte {
	if limit <= 0 {
		limit = DefaultFragment
	}
	o.taken = o.sent
	var b []byte
	for at := &o.taken; at.message < len(o.queue) && room > fragmentHead; {
		data := o.queue[at.message][at.offset:]
		n := min(len(data), limit, room-fragmentHead)
		var flags byte
		if at.offset == 0 {
			flags |= flagStart
		}
		if n == len(data) {
			flags |= flagEnd
		}
		b = binary.BigEndian.AppendUint64(b, o.id[at.message])
		b = binary.BigEndian.AppendUint64(b, at.fragment)
		b = binary.BigEndian.AppendUint32(append(b, flags), uint32(n))
		b = append(b, data[:n]...)
		room -= fragmentHead + n
		if n == len(data) {
			*at = cursor{message: at.message + 1}
		} else {
			at.offset += n
			at.fragment++
		}
	}
	return b
}

// Taken reports whether Take gave all that waits.
func (o *Outbox) Taken() bool { return o.taken.message == len(o.queue) }

// Commit forgets what Take returned last: it has arrived.
func (o *Outbox) Commit() {
	for _, m := range o.queue[:o.taken.message] {
		o.bytes -= len(m)
	}
	clear(o.queue[:o.taken.message])
	o.queue, o.id = o.queue[o.taken.message:], o.id[o.taken.message:]
	o.taken.message = 0
	o.sent = o.taken
}

// An inbox puts messages together from the fragments of one stream.
type inbox struct {
	maxObject, maxTotal int    // maxTotal 0: none
	head                []byte // the beginning of a fragment's head
	message             []byte
	object, fragment    uint64 // what must come next while a message is open
	open, last          bool   // a message is open; this is its last fragment
	left                int    // bytes of this fragment that are missing
	total               int
}

// add takes bytes of the stream, calls got with each message that is complete, and stops at its error.
func (in *inbox) add(b []byte, got func([]byte) error) error {
	for len(b) > 0 || in.left == 0 && in.last {
		if in.left == 0 && !in.last {
			n := min(len(b), fragmentHead-len(in.head))
			in.head, b = append(in.head, b[:n]...), b[n:]
			if len(in.head) < fragmentHead {
				return nil
			}
			if err := in.begin(in.head); err != nil {
				return err
			}
			in.head = in.head[:0]
		}
		n := min(len(b), in.left)
		in.message, b = append(in.message, b[:n]...), b[n:]
		if in.left -= n; in.left > 0 || !in.last {
			continue
		}
		m := in.message
		in.message, in.open, in.last = nil, false, false
		if err := got(m); err != nil {
			return err
		}
	}
	return nil
}

// begin reads the head of a fragment.
func (in *inbox) begin(head []byte) error {
	object, fragment, flags := binary.BigEndian.Uint64(head), binary.BigEndian.Uint64(head[8:]), head[16]
	n := int64(binary.BigEndian.Uint32(head[17:]))
	switch start := flags&flagStart != 0; {
	case start && in.open:
		return broken(0, "object %d begins before object %d has ended", object, in.object)
	case !start && !in.open:
		return broken(0, "object %d has no beginning", object)
	case start && fragment != 0:
		return broken(0, "object %d begins with fragment %d", object, fragment)
	case !start && (object != in.object || fragment != in.fragment):
		return broken(0, "object %d, fragment %d comes instead of object %d, fragment %d", object, fragment, in.object, in.fragment)
	case n > int64(in.maxObject-len(in.message)):
		return &ProtocolError{Err: fmt.Errorf("%w: more than %d bytes in a message", ErrTooLarge, in.maxObject)}
	case in.maxTotal > 0 && n > int64(in.maxTotal-in.total):
		return &ProtocolError{Err: fmt.Errorf("%w: more than %d bytes in a stream", ErrTooLarge, in.maxTotal)}
	}
	in.total += int(n)
	in.object, in.fragment, in.open = object, fragment+1, true
	in.last, in.left = flags&flagEnd != 0, int(n)
	return nil
}
