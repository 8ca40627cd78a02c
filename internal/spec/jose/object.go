package jose

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"
)

// ErrObject is wrapped by errors about header and claims: not a single JSON
// object, a duplicate member, too deep or too large.
var ErrObject = errors.New("jose: not a single strict JSON object")

// Limits of a header or claims object.
const (
	maxDepth   = 8
	maxMembers = 64
)

// An Object is a JSON object whose top-level members are read by exact name.
type Object struct{ members []member }

type member struct {
	name  string
	value Value
}

// A Value is one member's value as it stands in the text.
type Value struct{ raw []byte }

// ParseObject reads data strictly: one object and nothing else, valid UTF-8, no
// lone surrogates, no name twice at any level. At the top level names that
// differ only in letter case count as the same, for readers that fold case
// would see one of them. The object is a view of data, which must not be changed
// any more.
func ParseObject(data []byte) (Object, error) {
	if !utf8.Valid(data) {
		return Object{}, fmt.Errorf("%w: invalid UTF-8", ErrObject)
	}
	s := scanner{b: data}
	o := Object{members: make([]member, 0, 12)}
	s.space()
	if err := s.object(0, &o); err != nil {
		return Object{}, fmt.Errorf("%w: byte %d: %w", ErrObject, s.i, err)
	}
	if s.space(); s.i != len(data) {
		return Object{}, fmt.Errorf("%w: byte %d: text after the object", ErrObject, s.i)
	}
	return o, nil
}

// Get returns the member with exactly this name.
func (o Object) Get(name string) (Value, bool) {
	for i := range o.members {
		if o.members[i].name == name {
			return o.members[i].value, true
		}
	}
	return Value{}, false
}

// Has reports whether there is a member of this name.
func (o Object) Has(name string) bool {
	_, ok := o.Get(name)
	return ok
}

// Text returns the named member when it is a JSON string.
func (o Object) Text(name string) (string, bool) {
	v, ok := o.Get(name)
	if !ok {
		return "", false
	}
	return v.Text()
}

// Time returns the named member as Value.Time does; an absent one is an error.
func (o Object) Time(name string) (time.Time, error) {
	v, ok := o.Get(name)
	if !ok {
		return time.Time{}, fmt.Errorf("%s is absent", name)
	}
	t, err := v.Time()
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// Text returns the string that v is.
func (v Value) Text() (string, bool) {
	if len(v.raw) < 2 || v.raw[0] != '"' {
		return "", false
	}
	return unquote(v.raw), true
}

// IsTrue reports whether v is true or "true" (oauth-s2s 4.5 step 14).
func (v Value) IsTrue() bool {
	return string(v.raw) == "true" || string(v.raw) == `"true"`
}

// maxTime is the end of the year 9999.
const maxTime = 253402300799

// Time reads seconds since 1970, written as a number or as a decimal string
// (oauth-s2s 3.1). Digits only: fractions, exponents, signs, leading zeros and
// times after the year 9999 are errors.
func (v Value) Time() (time.Time, error) {
	digits := v.raw
	if n := len(digits); n > 1 && digits[0] == '"' {
		digits = digits[1 : n-1]
	}
	if len(digits) == 0 || len(digits) > 12 || digits[0] == '0' && len(digits) > 1 {
		return time.Time{}, errors.New("not a time in seconds")
	}
	var n int64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return time.Time{}, errors.New("not a time in seconds")
		}
		n = n*10 + int64(c-'0')
	}
	if n > maxTime {
		return time.Time{}, errors.New("not a time in seconds")
	}
	return time.Unix(n, 0).UTC(), nil
}

// nameOf is unquote without a copy where there is nothing to decode: the name lives
// as long as the object, whose text is not changed any more.
func nameOf(raw []byte) string {
	if len(raw) == 2 || bytes.IndexByte(raw, '\\') >= 0 {
		return unquote(raw)
	}
	return unsafe.String(&raw[1], len(raw)-2)
}

// unquote decodes a string that the scanner has checked.
func unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		panic("jose: scanner let pass " + strconv.Quote(string(raw)))
	}
	return s
}

// A scanner checks the grammar of RFC 8259 from i on.
type scanner struct {
	b []byte
	i int
}

// object reads an object; into takes the members, nil for nested ones.
func (s *scanner) object(depth int, into *Object) error {
	if depth == maxDepth {
		return fmt.Errorf("more than %d levels", maxDepth)
	}
	if !s.take('{') {
		return errors.New("want an object")
	}
	var names []string
	s.space()
	if s.take('}') {
		return nil
	}
	for n := 0; ; n++ {
		if n == maxMembers {
			return fmt.Errorf("more than %d members", maxMembers)
		}
		s.space()
		start := s.i
		if err := s.text(); err != nil {
			return err
		}
		name := nameOf(s.b[start:s.i])
		if into != nil {
			for i := range into.members {
				if strings.EqualFold(into.members[i].name, name) {
					return fmt.Errorf("member %q twice", name)
				}
			}
		} else {
			for _, other := range names {
				if other == name {
					return fmt.Errorf("member %q twice", name)
				}
			}
			names = append(names, name)
		}
		s.space()
		if !s.take(':') {
			return errors.New("want a colon")
		}
		s.space()
		start = s.i
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if into != nil {
			into.members = append(into.members, member{name, Value{s.b[start:s.i]}})
		}
		s.space()
		if s.take('}') {
			return nil
		}
		if !s.take(',') {
			return errors.New("want a comma")
		}
	}
}

func (s *scanner) value(depth int) error {
	if s.i == len(s.b) {
		return errors.New("want a value")
	}
	switch c := s.b[s.i]; {
	case c == '"':
		return s.text()
	case c == '{':
		return s.object(depth, nil)
	case c == '[':
		return s.array(depth)
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	}
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(s.b[s.i:], []byte(word)) {
			s.i += len(word)
			return nil
		}
	}
	return errors.New("want a value")
}

func (s *scanner) array(depth int) error {
	if depth == maxDepth {
		return fmt.Errorf("more than %d levels", maxDepth)
	}
	s.i++
	s.space()
	if s.take(']') {
		return nil
	}
	for {
		s.space()
		if err := s.value(depth + 1); err != nil {
			return err
		}
		s.space()
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return errors.New("want a comma")
		}
	}
}

func (s *scanner) text() error {
	if !s.take('"') {
		return errors.New("want a string")
	}
	for {
		i, b := s.i, s.b
		for i+8 <= len(b) && plain(binary.LittleEndian.Uint64(b[i:])) {
			i += 8
		}
		for i < len(b) && b[i] >= ' ' && b[i] != '"' && b[i] != '\\' {
			i++
		}
		s.i = i
		switch {
		case i == len(b):
			return errors.New("string has no end")
		case b[i] == '"':
			s.i++
			return nil
		case b[i] < ' ':
			return errors.New("control character in a string")
		}
		if s.i++; s.i == len(b) {
			return errors.New("string has no end")
		}
		switch b[s.i] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			s.i++
		case 'u':
			s.i--
			r, err := s.unit()
			if err != nil {
				return err
			}
			if r >= 0xd800 && r < 0xe000 {
				low, err := s.unit()
				if err != nil || r >= 0xdc00 || low < 0xdc00 || low >= 0xe000 {
					return errors.New("lone surrogate")
				}
			}
		default:
			return errors.New("unknown escape")
		}
	}
}

// plain reports whether none of the eight bytes of v ends or interrupts the plain
// text of a string: a quote, a backslash, what is below a space. It may say no to
// others.
func plain(v uint64) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	quote, slash := v^ones*'"', v^ones*'\\'
	return ((v-ones*' ')&^v|(quote-ones)&^quote|(slash-ones)&^slash)&highs == 0
}

// unit reads \uXXXX.
func (s *scanner) unit() (uint64, error) {
	if len(s.b)-s.i < 6 || s.b[s.i] != '\\' || s.b[s.i+1] != 'u' {
		return 0, errors.New("want four hexadecimal digits")
	}
	n, err := strconv.ParseUint(string(s.b[s.i+2:s.i+6]), 16, 16)
	if err != nil {
		return 0, errors.New("want four hexadecimal digits")
	}
	s.i += 6
	return n, nil
}

func (s *scanner) number() error {
	s.take('-')
	switch {
	case s.take('0'):
	case s.digits() == 0:
		return errors.New("want a digit")
	}
	if s.take('.') && s.digits() == 0 {
		return errors.New("want a digit")
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		if s.digits() == 0 {
			return errors.New("want a digit")
		}
	}
	return nil
}

func (s *scanner) digits() (n int) {
	for s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9' {
		s.i++
		n++
	}
	return n
}

func (s *scanner) take(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\t' || s.b[s.i] == '\n' || s.b[s.i] == '\r') {
		s.i++
	}
}
