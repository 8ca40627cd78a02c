package syntax

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of one parse. They bound the work and the depth of the tree; field
// scripts stay far below.
const (
	MaxSource     = 8 << 20 // bytes of text
	maxDepth      = 600     // nesting of statements and expressions
	maxChain      = 1000    // operators or members in one chain
	maxStatements = 200_000
)

// ErrTooLarge is returned for a source of more than MaxSource bytes.
var ErrTooLarge = errors.New("script is too large")

// A Source is a script's text and the name of the file it came from ("" for
// typed input).
type Source struct {
	Name string
	Text string
}

// An Extent is the half-open span [Start, End) of byte offsets in a Source.
type Extent struct{ Start, End int }

// Span returns the extent; nodes embed Extent and so have the method.
func (e Extent) Span() Extent { return e }

// Position returns the line and the column of a byte offset, both from 1.
// Columns count characters.
func (s *Source) Position(offset int) (line, column int) {
	offset = min(max(offset, 0), len(s.Text))
	line, start := 1, 0
	for i := 0; i < offset; i++ {
		switch s.Text[i] {
		case '\r':
			if i+1 < len(s.Text) && s.Text[i+1] == '\n' {
				continue
			}
			line, start = line+1, i+1
		case '\n':
			line, start = line+1, i+1
		}
	}
	return line, utf8.RuneCountInString(s.Text[start:offset]) + 1
}

// Line returns the text of the line that holds a byte offset, without its end.
func (s *Source) Line(offset int) string {
	offset = min(max(offset, 0), len(s.Text))
	start := strings.LastIndexAny(s.Text[:offset], "\r\n") + 1
	if n := strings.IndexAny(s.Text[start:], "\r\n"); n >= 0 {
		return s.Text[start : start+n]
	}
	return s.Text[start:]
}

// Slice returns the text of e.
func (s *Source) Slice(e Extent) string {
	if e.Start < 0 || e.End > len(s.Text) || e.Start > e.End {
		return ""
	}
	return s.Text[e.Start:e.End]
}

// Decode returns the text of a script file: UTF-8 with or without a byte order
// mark, or UTF-16 with one. Bytes that are no character become U+FFFD.
func Decode(b []byte) (string, error) {
	if len(b) > 2*MaxSource {
		return "", ErrTooLarge
	}
	var order binary.ByteOrder
	switch {
	case len(b) >= 3 && b[0] == 0xEF && b[1] == 0xBB && b[2] == 0xBF:
		b = b[3:]
	case len(b) >= 2 && b[0] == 0xFF && b[1] == 0xFE:
		order = binary.LittleEndian
	case len(b) >= 2 && b[0] == 0xFE && b[1] == 0xFF:
		order = binary.BigEndian
	}
	if order == nil {
		return strings.ToValidUTF8(string(b), "\uFFFD"), nil
	}
	b = b[2:]
	if len(b)%2 != 0 {
		return "", fmt.Errorf("UTF-16 text of %d bytes: odd length", len(b))
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = order.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units)), nil
}

// A ParseError says why a script is refused, and where. Nothing of a script
// with an error runs.
type ParseError struct {
	Source *Source
	Extent Extent
	ID     string // PowerShell's error id: UnexpectedToken, MissingEndCurlyBrace, …; NotSupported for what the subset leaves out
	Text   string // the message without the place

	// Incomplete means that the text ended too early: a prompt reads on.
	Incomplete bool
}

func (e *ParseError) Error() string {
	line, col := e.Source.Position(e.Extent.Start)
	name := e.Source.Name
	if name == "" {
		name = "line"
	}
	return fmt.Sprintf("%s:%d char:%d: %s", name, line, col, e.Text)
}

// Message returns the text without the place.
func (e *ParseError) Message() string { return e.Text }
