package calstore

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"busybridge/internal/directory"
)

// A patch is one small change that stands beside the months, so that a write
// costs what it changes and not the months that it touches: an endless series is
// in all of them. Patches are kept under month numbers from firstPatch downwards,
// the newest last, and are put on the months when these are read. When there are
// many, the next change works them into the months.
type patch struct {
	drop   map[objectKey]bool // objects whose occurrences before it do not count
	months map[int]*month     // what it adds
}

const (
	firstPatch = directory.LongMonth - 1

	maxPatchEntries = 1 << 15 // in all patches of a calendar
	maxPatchObjects = 16      // in one
)

// The packed form of a patch, all numbers little-endian: a byte format, currently
// 1, and three zeros; u32 number of dropped objects and their keys; then for each
// month its number (i32), the length (u32) and the packed month.
const patchFormat = 1

func packPatch(drop map[objectKey]bool, add map[int][]occurrence) ([]byte, error) {
	b := []byte{patchFormat, 0, 0, 0}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(drop)))
	for _, k := range slices.SortedFunc(maps.Keys(drop), func(x, y objectKey) int { return slices.Compare(x[:], y[:]) }) {
		b = append(b, k[:]...)
	}
	for _, n := range slices.Sorted(maps.Keys(add)) {
		m, err := packMonth(add[n])
		if err != nil {
			return nil, err
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(int32(n)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(m)))
		b = append(b, m...)
	}
	return b, nil
}

func openPatch(b []byte) (*patch, error) {
	p := &patch{drop: map[objectKey]bool{}, months: map[int]*month{}}
	if len(b) < 8 || b[0] != patchFormat {
		return nil, fmt.Errorf("%w: patch header", errMonth)
	}
	n := int(binary.LittleEndian.Uint32(b[4:]))
	b = b[8:]
	if n > len(b)/len(objectKey{}) {
		return nil, fmt.Errorf("%w: %d objects in a patch of %d bytes", errMonth, n, len(b))
	}
	for ; n > 0; n-- {
		p.drop[objectKey(b)] = true
		b = b[len(objectKey{}):]
	}
	for len(b) > 0 {
		if len(b) < 8 || uint64(binary.LittleEndian.Uint32(b[4:])) > uint64(len(b)-8) {
			return nil, fmt.Errorf("%w: month of a patch", errMonth)
		}
		number, size := int(int32(binary.LittleEndian.Uint32(b))), int(binary.LittleEndian.Uint32(b[4:]))
		m, err := openMonth(b[8:][:size])
		if err != nil {
			return nil, err
		}
		p.months[number] = m
		b = b[8+size:]
	}
	return p, nil
}

// entries is the number of occurrences that p adds, counted with each month.
func (p *patch) entries() int {
	n := 0
	for _, m := range p.months {
		n += m.len()
	}
	return n
}

// split divides what CalendarMonths returned into months and patches, the oldest
// patch first.
func split(rows []directory.CalendarMonth) (months []directory.CalendarMonth, patches []*patch, err error) {
	var packed []directory.CalendarMonth
	for _, r := range rows {
		if r.Month <= firstPatch {
			packed = append(packed, r)
		} else {
			months = append(months, r)
		}
	}
	slices.SortFunc(packed, func(a, b directory.CalendarMonth) int { return cmp.Compare(b.Month, a.Month) })
	for i, r := range packed {
		p, err := openPatch(r.Data)
		if err == nil && r.Month != firstPatch-i {
			err = fmt.Errorf("%w: patch %d of %d is not there", errMonth, i, len(packed))
		}
		if err != nil {
			return nil, nil, fmt.Errorf("patch %d: %w", r.Month, err)
		}
		patches = append(patches, p)
	}
	return months, patches, nil
}

// dropped are the objects of which the months hold what does not count any more.
func dropped(patches []*patch) map[objectKey]bool {
	drop := map[objectKey]bool{}
	for _, p := range patches {
		maps.Copy(drop, p.drop)
	}
	return drop
}

// added appends what patches add to month n.
func added(occs []occurrence, patches []*patch, n int) []occurrence {
	for i, p := range patches {
		if m := p.months[n]; m != nil {
			occs = m.unpack(occs, func(k objectKey) bool {
				return !slices.ContainsFunc(patches[i+1:], func(later *patch) bool { return later.drop[k] })
			})
		}
	}
	return occs
}

// patched is month n as it is with patches.
func patched(m *month, n int, patches []*patch, drop map[objectKey]bool) (*month, error) {
	add := added(nil, patches, n)
	if len(add) == 0 && !m.contains(drop) {
		return m, nil
	}
	data, err := packMonth(m.unpack(add, func(k objectKey) bool { return !drop[k] }))
	if err != nil {
		return nil, err
	}
	return openMonth(data)
}
