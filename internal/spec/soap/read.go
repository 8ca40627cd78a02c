package soap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits that do not depend on the caller.
const (
	MaxDepth      = 64  // nested elements, the root included
	MaxAttributes = 64  // of one element, namespace declarations included
	MaxNamespaces = 256 // declarations in scope at one time
	// bytesPerElement times the size limit is how many elements a document may
	// have: real ones need more than this for each.
	bytesPerElement = 32
	minElements     = 1024
)

var (
	// ErrTooLarge is returned for a document over the size limit, in bytes or
	// in elements.
	ErrTooLarge = errors.New("soap: document is too large")
	// ErrNotSOAP is returned for well-formed XML that is no SOAP envelope.
	ErrNotSOAP = errors.New("soap: not a SOAP 1.1 envelope")
	// ErrVersion12 is returned for an envelope of SOAP 1.2.
	ErrVersion12 = errors.New("soap: SOAP 1.2 is not supported, use SOAP 1.1")
)

// A SyntaxError says where and why a document was refused.
type SyntaxError struct {
	Line, Col int // 1-based, in characters
	Violation string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("xml: line %d, position %d: %s", e.Line, e.Col, e.Violation)
}

// ReadXML reads one document of at most limit bytes in UTF-8, or in UTF-16 with
// a byte order mark, and returns its root. Errors are *SyntaxError, ErrTooLarge,
// or wrap the reader's.
func ReadXML(r io.Reader, limit int64) (root *Element, err error) {
	err = withBytes(r, limit, func(text []byte) error {
		root, err = parse(text, limit, new(memory))
		return err
	})
	return root, err
}

// withBytes reads a whole document, which is there until do returns.
func withBytes(r io.Reader, limit int64, do func(text []byte) error) error {
	buf := buffers.Get().(*bytes.Buffer)
	defer func() {
		if buf.Cap() <= maxPooled {
			buf.Reset()
			buffers.Put(buf)
		}
	}()
	n, err := buf.ReadFrom(io.LimitReader(r, limit+1))
	if n > limit {
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	if err != nil {
		return fmt.Errorf("read document: %w", err)
	}
	return do(buf.Bytes())
}

func parse(b []byte, limit int64, m *memory) (*Element, error) {
	text, wide, err := decode(b)
	if err != nil {
		return nil, err
	}
	s := scanner{src: text, wide: wide, left: max(int(limit/bytesPerElement), minElements), memory: m}
	return s.document()
}

const maxPooled = 1 << 20

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// decode returns the text of a document in UTF-8 without byte order mark; wide
// says that it came as UTF-16.
func decode(b []byte) (text string, wide bool, err error) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(b, []byte{0xef, 0xbb, 0xbf}):
		b = b[3:]
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	}
	if order == nil {
		return string(b), false, nil
	}
	b = b[2:]
	if len(b)%2 != 0 {
		return "", false, &SyntaxError{1, 1, "UTF-16 text ends inside a character"}
	}
	out := make([]byte, 0, len(b)/2+len(b)/8)
	for i := 0; i < len(b); i += 2 {
		r := rune(order.Uint16(b[i:]))
		if utf16.IsSurrogate(r) {
			var low rune
			if i+2 < len(b) {
				low = rune(order.Uint16(b[i+2:]))
			}
			if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
				line, col := position(string(out), len(out))
				return "", false, &SyntaxError{line, col, "unpaired surrogate in UTF-16 text"}
			}
			i += 2
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out), true, nil
}

// position is the line and column of offset off in s.
func position(s string, off int) (line, col int) {
	var p place
	p.advance(s, min(off, len(s)), false)
	return p.line + 1, p.col + 1
}

// A place walks through a text and counts.
type place struct{ off, line, col int }

func (p *place) advance(s string, off int, ascii bool) {
	if ascii {
		part := s[p.off:off]
		p.off = off
		if n := strings.Count(part, "\n"); n > 0 {
			p.line, p.col = p.line+n, len(part)-strings.LastIndexByte(part, '\n')-1
		} else {
			p.col += len(part)
		}
		return
	}
	for i := p.off; i < off; i++ {
		switch c := s[i]; {
		case c == '\n':
			p.line, p.col = p.line+1, 0
		case c&0xc0 != 0x80: // not a continuation byte
			p.col++
		}
	}
	p.off = off
}
