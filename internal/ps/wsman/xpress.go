package wsman

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A chunk is up to 64 KiB of a stream behind two sizes: of what it stands for, and of what is there, each less one
// (MS-WSMV 3.1.4.1.31.4). With equal sizes it is stored as it is.
const (
	chunkSize = 1 << 16
	chunkHead = 4
)

var errXpress = errors.New("wsman: compressed data is damaged")

// Store is data in chunks that are not compressed, as a server may answer whoever asked for compression.
func Store(data []byte) []byte {
	out := make([]byte, 0, len(data)+chunkHead*(len(data)/chunkSize+1))
	for len(data) > 0 {
		n := min(len(data), chunkSize)
		out = binary.LittleEndian.AppendUint16(out, uint16(n-1))
		out = binary.LittleEndian.AppendUint16(out, uint16(n-1))
		out, data = append(out, data[:n]...), data[n:]
	}
	return out
}

// Decompress undoes the compression of a stream's data; what comes out has at most limit bytes.
func Decompress(data []byte, limit int) ([]byte, error) {
	var out []byte
	for len(data) > 0 {
		if len(data) < chunkHead {
			return nil, errXpress
		}
		size, stored := int(binary.LittleEndian.Uint16(data))+1, int(binary.LittleEndian.Uint16(data[2:]))+1
		data = data[chunkHead:]
		if len(data) < stored {
			return nil, errXpress
		}
		if len(out)+size > limit {
			return nil, fmt.Errorf("wsman: compressed data stands for more than %d bytes", limit)
		}
		if stored == size {
			out = append(out, data[:stored]...)
		} else {
			var err error
			if out, err = expand(out, data[:stored], size); err != nil {
				return nil, err
			}
		}
		data = data[stored:]
	}
	return out, nil
}

const (
	xpressSymbols = 512
	xpressTable   = xpressSymbols / 2 // bytes of code lengths
	xpressBits    = 15                // of the longest code
)

// expand appends the size bytes that one block of LZ77 with Huffman codes stands for (MS-XCA 2.2.4).
func expand(out, in []byte, size int) ([]byte, error) {
	if len(in) < xpressTable {
		return nil, errXpress
	}
	codes, err := newHuffman(in[:xpressTable])
	if err != nil {
		return nil, err
	}
	bits := newBitReader(in[xpressTable:])
	start := len(out)
	for len(out)-start < size {
		symbol := codes.next(bits)
		if symbol < 256 {
			out = append(out, byte(symbol))
			continue
		}
		length, shift := symbol&15, uint(symbol>>4&15)
		if length == 15 {
			length = bits.length()
		}
		length += 3
		distance := 1<<shift + int(bits.take(shift))
		if bits.bad || distance > len(out)-start || length > size-(len(out)-start) {
			return nil, errXpress
		}
		for range length { // the two may overlap
			out = append(out, out[len(out)-distance])
		}
	}
	if bits.bad {
		return nil, errXpress
	}
	return out, nil
}

// A huffman is a table of canonical codes: the symbol and the length for each value of the next 15 bits.
type huffman [1 << xpressBits]uint16

func newHuffman(lengths []byte) (*huffman, error) {
	var h huffman
	at := 0
	for n := 1; n <= xpressBits; n++ {
		for s := range xpressSymbols {
			if int(lengths[s/2]>>(s%2*4)&15) != n {
				continue
			}
			width := 1 << (xpressBits - n)
			if at+width > len(h) {
				return nil, errXpress
			}
			for i := range width {
				h[at+i] = uint16(s<<4 | n)
			}
			at += width
		}
	}
	if at != len(h) { // an incomplete code has bits without a meaning
		return nil, errXpress
	}
	return &h, nil
}

func (h *huffman) next(b *bitReader) int {
	e := h[b.window>>(32-xpressBits)]
	b.skip(uint(e & 15))
	return int(e >> 4)
}

// A bitReader gives bits from words of 16, and whole bytes from behind the words that it has taken.
type bitReader struct {
	in     []byte
	at     int
	window uint32
	spare  int // bits in the window beyond 16
	bad    bool
}

func newBitReader(in []byte) *bitReader {
	b := &bitReader{in: in, spare: 16}
	b.window = uint32(b.word())<<16 | uint32(b.word())
	return b
}

// word is the next word. Behind the end there are zeros: the last codes may look there, but only for so long.
func (b *bitReader) word() uint16 {
	at := b.at
	b.at += 2
	if at+2 > len(b.in) {
		b.bad = b.bad || at > len(b.in)+4
		return 0
	}
	return binary.LittleEndian.Uint16(b.in[at:])
}

func (b *bitReader) skip(n uint) {
	b.window <<= n
	if b.spare -= int(n); b.spare < 0 {
		b.window |= uint32(b.word()) << uint(-b.spare)
		b.spare += 16
	}
}

func (b *bitReader) take(n uint) uint32 {
	v := uint32(uint64(b.window) >> (32 - n))
	b.skip(n)
	return v
}

func (b *bitReader) bytes(n int) int {
	if b.at+n > len(b.in) {
		b.bad = true
		return 0
	}
	v := 0
	for i := range n {
		v |= int(b.in[b.at+i]) << (8 * i)
	}
	b.at += n
	return v
}

// length is the length of a match that has no room in its symbol.
func (b *bitReader) length() int {
	n := b.bytes(1)
	if n < 255 {
		return n + 15
	}
	if n = b.bytes(2); n == 0 {
		n = b.bytes(4)
	}
	if n < 15 { // it would have had room
		b.bad = true
	}
	return n
}
