package calstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
)

// An occurrence is one instance of an object as it is packed. Times are Unix
// seconds: iCalendar knows no fractions (RFC 5545 3.3.12).
type occurrence struct {
	object            objectKey
	start, end        int64
	status            freebusy.Status
	flags             uint8
	subject, location string
}

// An objectKey stands for an object of a mailbox: the head of a hash of both. Of
// the 10,000 objects of a mailbox two have the same one with a chance of 3e-12.
type objectKey [8]byte

const (
	flagMeeting = 1 << iota
	flagRecurring
	flagException
	flagReminder
	flagPrivate
	flagUnavailable // time that a VAVAILABILITY leaves out
)

// The packed form of a month, all numbers little-endian:
//
//	header  4 bytes  format, currently 2, and three zeros
//	        u32      number of occurrences
//	        u32      number of parts
//	entries 16 bytes each, in the order of their start:
//	        u64      start << 24 | part
//	        u64      end << 24 | status << 8 | flags
//	reach   u64 for each 32 entries: the latest end up to and with them
//	parts   16 bytes each: what the entries of an object have in common
//	        8 bytes  objectKey
//	        u32      offset of subject and location in the texts
//	        u16, u16 their lengths
//	texts
//
// A start or end is a Unix time plus 2^39 in 40 bits. The bytes are searched as
// they are: nothing is unpacked to answer a question.
const (
	monthFormat = 2
	headerSize  = 12
	entrySize   = 16
	reachEvery  = 32
	reachSize   = 8
	partSize    = 16

	timeBias = 1 << 39
	maxParts = 1 << 24
	maxText  = 1024 // bytes of one subject or location
)

var errMonth = errors.New("calendar month is damaged")

// A month is a packed month, checked, in one piece. The zero month is empty.
type month struct {
	data  string
	n     int32 // entries
	parts int32
}

// packMonth packs occurrences, which it sorts. No occurrences are nil.
func packMonth(occs []occurrence) ([]byte, error) {
	if len(occs) == 0 {
		return nil, nil
	}
	slices.SortStableFunc(occs, func(a, b occurrence) int {
		switch {
		case a.start != b.start:
			return cmpInt(a.start, b.start)
		case a.end != b.end:
			return cmpInt(a.end, b.end)
		}
		return slices.Compare(a.object[:], b.object[:])
	})
	type part struct {
		object            objectKey
		subject, location string
	}
	type place struct{ offset, subject, location int }
	var (
		numbers = map[part]uint64{}
		parts   []part
		places  []place
		texts   strings.Builder
		offsets = map[[2]string]int{}
	)
	number := func(o *occurrence) uint64 {
		p := part{o.object, cutText(o.subject), cutText(o.location)}
		n, ok := numbers[p]
		if !ok {
			n = uint64(len(parts))
			text := [2]string{p.subject, p.location}
			off, ok := offsets[text]
			if !ok {
				off = texts.Len()
				offsets[text] = off
				texts.WriteString(p.subject)
				texts.WriteString(p.location)
			}
			numbers[p], parts, places = n, append(parts, p), append(places, place{off, len(p.subject), len(p.location)})
		}
		return n
	}
	b := make([]byte, headerSize, headerSize+len(occs)*(entrySize+1)+1)
	b[0] = monthFormat
	var reach []byte
	latest := int64(-timeBias)
	for i := range occs {
		o := &occs[i]
		b = binary.LittleEndian.AppendUint64(b, uint64(o.start+timeBias)<<24|number(o))
		b = binary.LittleEndian.AppendUint64(b, uint64(o.end+timeBias)<<24|uint64(o.status)<<8|uint64(o.flags))
		latest = max(latest, o.end)
		if i%reachEvery == reachEvery-1 || i == len(occs)-1 {
			reach = binary.LittleEndian.AppendUint64(reach, uint64(latest+timeBias))
		}
	}
	if len(parts) > maxParts || texts.Len() > 1<<31 {
		return nil, fmt.Errorf("month of %d occurrences is too large", len(occs))
	}
	binary.LittleEndian.PutUint32(b[4:], uint32(len(occs)))
	binary.LittleEndian.PutUint32(b[8:], uint32(len(parts)))
	b = append(b, reach...)
	for i, p := range parts {
		b = append(b, p.object[:]...)
		b = binary.LittleEndian.AppendUint32(b, uint32(places[i].offset))
		b = binary.LittleEndian.AppendUint16(b, uint16(places[i].subject))
		b = binary.LittleEndian.AppendUint16(b, uint16(places[i].location))
	}
	return append(b, texts.String()...), nil
}

func cmpInt(a, b int64) int {
	if a < b {
		return -1
	}
	return 1
}

// cutText bounds a text, on a rune border, and keeps it valid UTF-8.
func cutText(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// openMonth checks packed bytes, so that reading them later cannot go wrong.
func openMonth(b []byte) (*month, error) {
	if len(b) == 0 {
		return &month{}, nil
	}
	if len(b) >= headerSize && b[0] == 1 {
		b = fromFormat1(b)
	}
	if len(b) < headerSize || b[0] != monthFormat {
		return nil, fmt.Errorf("%w: header", errMonth)
	}
	n, p := int(binary.LittleEndian.Uint32(b[4:])), int(binary.LittleEndian.Uint32(b[8:]))
	room := len(b) - headerSize
	r := (n + reachEvery - 1) / reachEvery
	if n == 0 || n > room/entrySize || p > room/partSize || p > maxParts || n*entrySize+r*reachSize+p*partSize > room {
		return nil, fmt.Errorf("%w: %d occurrences, %d parts, %d bytes", errMonth, n, p, room)
	}
	m := &month{string(b), int32(n), int32(p)}
	texts := len(b) - m.textsAt()
	var last, latest int64 = -timeBias, -timeBias
	for i := range n {
		start, end := m.start(i), m.end(i)
		latest = max(latest, end)
		if start < last || end <= start || m.part(i) >= p || m.status(i) > freebusy.NoData || m.data[entryAt(i)+10] != 0 {
			return nil, fmt.Errorf("%w: occurrence %d", errMonth, i)
		}
		if (i%reachEvery == reachEvery-1 || i == n-1) && m.reachOf(i/reachEvery) != latest {
			return nil, fmt.Errorf("%w: reach of %d", errMonth, i)
		}
		last = start
	}
	for i := range p {
		off, subject, location := m.place(i)
		if off+subject+location > texts {
			return nil, fmt.Errorf("%w: text %d", errMonth, i)
		}
	}
	return m, nil
}

// fromFormat1 returns a month of format 1, whose keys had 16 bytes, in today's
// format; nil where it is damaged.
func fromFormat1(b []byte) []byte {
	const more = 8 // bytes of each key
	n, p := int(binary.LittleEndian.Uint32(b[4:])), int(binary.LittleEndian.Uint32(b[8:]))
	if n > len(b)/entrySize || p > len(b)/partSize {
		return nil
	}
	parts := entryAt(n) + (n+reachEvery-1)/reachEvery*reachSize
	texts := parts + p*(partSize+more)
	if texts > len(b) {
		return nil
	}
	out := append(make([]byte, 0, len(b)-p*more), b[:parts]...)
	out[0] = monthFormat
	for i := range p {
		part := b[parts+i*(partSize+more):][:partSize+more]
		out = append(append(out, part[:len(objectKey{})]...), part[len(objectKey{})+more:]...)
	}
	return append(out, b[texts:]...)
}

// u64 and u32 are those of encoding/binary for a string.
func u64(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func u32(s string) uint32 {
	_ = s[3]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

func entryAt(i int) int { return headerSize + i*entrySize }

func (m *month) reaches() int { return (int(m.n) + reachEvery - 1) / reachEvery }

func (m *month) partAt(i int) int { return entryAt(int(m.n)) + m.reaches()*reachSize + i*partSize }

func (m *month) textsAt() int { return m.partAt(int(m.parts)) }

func (m *month) len() int { return int(m.n) }

// size is what the month takes in memory, about.
func (m *month) size() int { return len(m.data) }

func (m *month) start(i int) int64 { return int64(u64(m.data[entryAt(i):])>>24) - timeBias }

func (m *month) end(i int) int64 { return int64(u64(m.data[entryAt(i)+8:])>>24) - timeBias }

func (m *month) part(i int) int { return int(u32(m.data[entryAt(i):]) & (maxParts - 1)) }

func (m *month) flags(i int) uint8 { return m.data[entryAt(i)+8] }

func (m *month) status(i int) freebusy.Status { return freebusy.Status(m.data[entryAt(i)+9]) }

func (m *month) reachOf(i int) int64 {
	return int64(u64(m.data[entryAt(int(m.n))+i*reachSize:])) - timeBias
}

func (m *month) object(part int) (k objectKey) {
	copy(k[:], m.data[m.partAt(part):])
	return k
}

func (m *month) place(part int) (offset, subject, location int) {
	s := m.data[m.partAt(part)+len(objectKey{}):]
	lengths := u32(s[4:])
	return int(u32(s)), int(lengths & 0xffff), int(lengths >> 16)
}

func (m *month) text(part int) (subject, location string) {
	off, s, l := m.place(part)
	off += m.textsAt()
	return m.data[off:][:s], m.data[off+s:][:l]
}

// reaching is the index from which occurrences may reach over a time: those
// before it have ended.
func (m *month) reaching(from int64) int {
	return sort.Search(m.reaches(), func(i int) bool { return m.reachOf(i) > from }) * reachEvery
}

// contains reports whether the month has an occurrence of one of the objects.
func (m *month) contains(objects map[objectKey]bool) bool {
	if len(objects) == 0 {
		return false
	}
	for p := range int(m.parts) {
		if objects[m.object(p)] {
			return true
		}
	}
	return false
}

// unpack appends the occurrences that keep wants.
func (m *month) unpack(occs []occurrence, keep func(objectKey) bool) []occurrence {
	for i := range m.len() {
		p := m.part(i)
		key := m.object(p)
		if !keep(key) {
			continue
		}
		subject, location := m.text(p)
		occs = append(occs, occurrence{key, m.start(i), m.end(i), m.status(i), m.flags(i), subject, location})
	}
	return occs
}

// monthOf is the number of the UTC month that t is in.
func monthOf(t time.Time) int {
	y, m, _ := t.UTC().Date()
	return 12*y + int(m) - 1
}

// monthStart is the Unix time at which a month begins.
func monthStart(n int) int64 {
	if n == directory.LongMonth {
		return -timeBias
	}
	return time.Date(n/12, time.Month(n%12+1), 1, 0, 0, 0, 0, time.UTC).Unix()
}
