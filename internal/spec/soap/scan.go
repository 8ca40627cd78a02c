package soap

import (
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"
)

const (
	xmlNS   = "http://www.w3.org/XML/1998/namespace"
	xmlnsNS = "http://www.w3.org/2000/xmlns/"
)

// A scanner reads one document: XML 1.0 without document type declarations and
// processing instructions, with Namespaces in XML 1.0. It is strict: what it
// accepts, every conforming parser reads the same way.
type scanner struct {
	src  string
	off  int
	wide bool // the text came as UTF-16
	left int  // elements that may still come
	at   place

	ascii bool
	*memory
}

// A memory is what a document is made in.
type memory struct {
	bound    []binding    // namespace declarations in scope
	raw      []rawAttr    // attributes of the tag being read
	pending  []*Element   // children of the open elements, of the outermost first
	elements [][]Element  // chunks
	used     int          // elements
	kids     [][]*Element // chunks of places for children; all but the last are full
	free     []*Element   // of the last
	stack    []open       // the open elements; not on a goroutine's, which it would make grow
	deepest  int          // of stack, that was used
}

// A document with more elements than maxKept does not leave its memory behind.
const (
	chunk   = 64
	maxKept = 16 * chunk
)

var memories = sync.Pool{New: func() any { return new(memory) }}

// reset makes m empty; nothing that was made in it may be in use.
func (m *memory) reset() {
	for i := 0; i < m.used; i += chunk {
		clear(m.elements[i/chunk][:min(chunk, m.used-i)])
	}
	for i, k := range m.kids {
		if i == len(m.kids)-1 {
			k = k[:len(k)-len(m.free)]
		}
		clear(k)
	}
	clear(m.stack[:m.deepest])
	clear(m.pending[:cap(m.pending)])
	clear(m.raw[:cap(m.raw)])
	clear(m.bound[:cap(m.bound)])
	m.deepest, m.used, m.pending, m.raw, m.bound, m.free = 0, 0, m.pending[:0], m.raw[:0], m.bound[:0], nil
	if len(m.kids) > 1 {
		m.kids = m.kids[:1]
	}
	if len(m.kids) == 1 {
		m.free = m.kids[0]
	}
}

func (m *memory) element() *Element {
	if m.used == chunk*len(m.elements) {
		m.elements = append(m.elements, make([]Element, chunk))
	}
	e := &m.elements[m.used/chunk][m.used%chunk]
	m.used++
	return e
}

// children keeps the pending children of an element that ends.
func (m *memory) children(from int) []*Element {
	n := len(m.pending) - from
	if n == 0 {
		return nil
	}
	if n > len(m.free) {
		m.free = make([]*Element, max(n, 4*chunk))
		m.kids = append(m.kids, m.free)
	}
	out := m.free[:n:n]
	m.free = m.free[n:]
	copy(out, m.pending[from:])
	m.pending = m.pending[:from]
	return out
}

type binding struct{ prefix, uri string }

type rawAttr struct {
	name, value string
	off         int
}

// An open element: its raw name for the end tag, and what was bound and pending
// before it.
type open struct {
	el             *Element
	name           string
	bound, pending int
	parent         bool // it has children
	// The character data so far: one run, or several joined in more. solid says
	// that there is something beside white space.
	text  string
	more  []byte
	solid bool
}

func (o *open) add(run string) {
	blank := isBlank(run)
	switch {
	case blank && o.parent:
		return
	case o.more != nil:
		o.more = append(o.more, run...)
	case o.text == "":
		o.text = run
	default:
		o.more = append(append(make([]byte, 0, 2*(len(o.text)+len(run))), o.text...), run...)
	}
	o.solid = o.solid || !blank
}

// child adds a child element; white space before the first one is no text.
func (s *scanner) child(o *open, e *Element) {
	if !o.solid {
		o.text, o.more = "", nil
	}
	o.parent = true
	s.pending = append(s.pending, e)
}

func (s *scanner) close(o *open) *Element {
	o.el.Text = o.text
	if o.more != nil {
		o.el.Text = string(o.more)
	}
	o.el.Children = s.children(o.pending)
	return o.el
}

func (s *scanner) fail(off int, format string, args ...any) error {
	line, col := position(s.src, off)
	return &SyntaxError{line, col, fmt.Sprintf(format, args...)}
}

func (s *scanner) document() (*Element, error) {
	if err := s.characters(); err != nil {
		return nil, err
	}
	if err := s.declaration(); err != nil {
		return nil, err
	}
	s.bound = append(s.bound, binding{"xml", xmlNS})
	if err := s.misc("the root element"); err != nil {
		return nil, err
	}
	if s.off == len(s.src) {
		return nil, s.fail(s.off, "the document has no root element")
	}
	root, err := s.tree()
	if err != nil {
		return nil, err
	}
	if err := s.misc("the end of the document"); err != nil {
		return nil, err
	}
	if s.off < len(s.src) {
		return nil, s.fail(s.off, "the document has a second root element")
	}
	return root, nil
}

// characters refuses bad UTF-8 and what XML 1.0 2.2 forbids, in the whole text.
func (s *scanner) characters() error {
	s.ascii = true
	for i := 0; i < len(s.src); i++ {
		if i+8 <= len(s.src) && plain8(s.src[i:i+8]) {
			i += 7
			continue
		}
		c := s.src[i]
		if c < 0x20 && c != '\t' && c != '\n' && c != '\r' {
			s.ascii = false // not known
			return s.fail(i, "character U+%04X is forbidden", c)
		}
		s.ascii = s.ascii && c < utf8.RuneSelf
	}
	if s.ascii {
		return nil
	}
	for i, r := range s.src {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s.src[i:]); n == 1 {
				return s.fail(i, "the text is not UTF-8")
			}
		}
		if r == 0xfffe || r == 0xffff {
			return s.fail(i, "character U+%04X is forbidden", r)
		}
	}
	return nil
}

// plain8 reports whether all of eight bytes are from 0x20 to 0x7f.
func plain8(s string) bool {
	_ = s[7]
	v := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	const low, high = 0x2020202020202020, 0x8080808080808080
	return (v|(v-low)&^v)&high == 0
}

// declaration reads <?xml … ?> (XML 1.0 2.8), which may only be at the very beginning.
func (s *scanner) declaration() error {
	if !strings.HasPrefix(s.src, "<?xml") || len(s.src) < 6 || !isSpace(s.src[5]) {
		return nil
	}
	s.off = 5
	want := []string{"version", "encoding", "standalone"}
	for n := 0; ; n++ {
		blank := s.blank()
		if strings.HasPrefix(s.src[s.off:], "?>") {
			if n == 0 {
				return s.fail(s.off, "the XML declaration has no version")
			}
			s.off += 2
			return nil
		}
		start := s.off
		name, err := s.name()
		if err != nil || !blank {
			return s.fail(start, "bad XML declaration")
		}
		for len(want) > 0 && want[0] != name && n > 0 {
			want = want[1:]
		}
		if len(want) == 0 || want[0] != name {
			return s.fail(start, "bad XML declaration at %q", clip(name))
		}
		want = want[1:]
		value, err := s.quoted()
		if err != nil {
			return err
		}
		switch enc := strings.ToLower(value); name {
		case "version":
			if value != "1.0" {
				return s.fail(start, "XML version %q is not supported", clip(value))
			}
		case "encoding":
			switch {
			case s.wide && (enc == "utf-16" || enc == "utf-16le" || enc == "utf-16be"):
			case !s.wide && enc == "utf-8":
			case !s.wide && (enc == "us-ascii" || enc == "ascii"):
				if i := strings.IndexFunc(s.src, func(r rune) bool { return r >= utf8.RuneSelf }); i >= 0 {
					return s.fail(i, "the text is not %s", enc)
				}
			default:
				return s.fail(start, "encoding %q is not supported, or not what the text is in", clip(value))
			}
		case "standalone":
			if value != "yes" && value != "no" {
				return s.fail(start, "bad XML declaration at %q", clip(name))
			}
		}
	}
}

// misc skips white space and comments outside of the root element.
func (s *scanner) misc(where string) error {
	for {
		s.blank()
		if s.off == len(s.src) {
			return nil
		}
		if s.src[s.off] != '<' {
			return s.fail(s.off, "text before %s", where)
		}
		switch {
		case strings.HasPrefix(s.src[s.off:], "<!--"):
			if err := s.comment(); err != nil {
				return err
			}
		case strings.HasPrefix(s.src[s.off:], "<!"), strings.HasPrefix(s.src[s.off:], "<?"):
			return s.refuse()
		default:
			return nil
		}
	}
}

// refuse names the markup declaration or instruction at the offset.
func (s *scanner) refuse() error {
	switch rest := s.src[s.off:]; {
	case strings.HasPrefix(rest, "<!DOCTYPE"):
		return s.fail(s.off, "a document type declaration is not allowed")
	case strings.HasPrefix(rest, "<?"):
		return s.fail(s.off, "processing instructions are not allowed")
	}
	return s.fail(s.off, "markup declarations are not allowed here")
}

// tree reads an element and everything in it.
func (s *scanner) tree() (*Element, error) {
	if s.stack == nil {
		s.stack = make([]open, MaxDepth)
	}
	stack, depth := s.stack, 0
	for {
		// At a '<' that begins a tag.
		if depth > 0 && strings.HasPrefix(s.src[s.off:], "</") {
			top := &stack[depth-1]
			start := s.off
			s.off += 2
			if !strings.HasPrefix(s.src[s.off:], top.name) {
				return nil, s.fail(start, "end tag does not match start tag <%s>", clip(top.name))
			}
			s.off += len(top.name)
			s.blank()
			if s.off == len(s.src) || s.src[s.off] != '>' {
				return nil, s.fail(start, "end tag does not match start tag <%s>", clip(top.name))
			}
			s.off++
			s.bound = s.bound[:top.bound]
			el := s.close(top)
			if depth--; depth == 0 {
				return el, nil
			}
		} else {
			if depth == MaxDepth {
				return nil, s.fail(s.off, "elements are nested deeper than %d", MaxDepth)
			}
			o := open{bound: len(s.bound), pending: len(s.pending)}
			empty, err := s.startTag(&o)
			if err != nil {
				return nil, err
			}
			if depth > 0 {
				s.child(&stack[depth-1], o.el)
				o.pending++
			}
			if empty {
				s.bound = s.bound[:o.bound]
				if depth == 0 {
					return o.el, nil
				}
			} else {
				stack[depth] = o
				depth++
				s.deepest = max(s.deepest, depth)
			}
		}
		if err := s.content(&stack[depth-1]); err != nil {
			return nil, err
		}
	}
}

// content reads text, CDATA sections and comments up to the next tag.
func (s *scanner) content(o *open) error {
	for {
		rest := s.src[s.off:]
		n := strings.IndexByte(rest, '<')
		if n < 0 {
			return s.fail(len(s.src), "the document ends inside <%s>", clip(o.name))
		}
		if n > 0 {
			text, err := s.text(n)
			if err != nil {
				return err
			}
			o.add(text)
			rest = s.src[s.off:]
		}
		if len(rest) < 2 || rest[1] != '!' && rest[1] != '?' {
			return nil
		}
		switch {
		case strings.HasPrefix(rest, "<!--"):
			if err := s.comment(); err != nil {
				return err
			}
		case strings.HasPrefix(rest, "<![CDATA["):
			end := strings.Index(rest, "]]>")
			if end < 0 {
				return s.fail(s.off, "CDATA section without end")
			}
			o.add(newlines(rest[len("<![CDATA["):end]))
			s.off += end + len("]]>")
		default:
			return s.refuse()
		}
	}
}

// text reads n bytes of character data.
func (s *scanner) text(n int) (string, error) {
	raw := s.src[s.off : s.off+n]
	if i := strings.Index(raw, "]]>"); i >= 0 {
		return "", s.fail(s.off+i, `"]]>" in text`)
	}
	start := s.off
	s.off += n
	return s.unescape(raw, start, false)
}

func (s *scanner) comment() error {
	body := s.src[s.off+len("<!--"):]
	end := strings.Index(body, "--")
	if end < 0 {
		return s.fail(s.off, "comment without end")
	}
	if !strings.HasPrefix(body[end:], "-->") {
		return s.fail(s.off, `"--" inside a comment`)
	}
	s.off += len("<!--") + end + len("-->")
	return nil
}

// startTag reads <name attributes> or <name attributes/> into o.
func (s *scanner) startTag(o *open) (empty bool, err error) {
	start := s.off
	if s.left--; s.left < 0 {
		return false, fmt.Errorf("%w: too many elements", ErrTooLarge)
	}
	s.off++
	if o.name, err = s.name(); err != nil {
		return false, err
	}
	s.raw = s.raw[:0]
	for {
		blank := s.blank()
		rest := s.src[s.off:]
		if strings.HasPrefix(rest, ">") {
			s.off++
			break
		}
		if strings.HasPrefix(rest, "/>") {
			s.off += 2
			empty = true
			break
		}
		if !blank || rest == "" {
			return false, s.fail(s.off, "start tag <%s> is not well-formed", clip(o.name))
		}
		a := rawAttr{off: s.off}
		if a.name, err = s.name(); err != nil {
			return false, err
		}
		if a.value, err = s.quoted(); err != nil {
			return false, err
		}
		if s.raw = append(s.raw, a); len(s.raw) > MaxAttributes {
			return false, s.fail(a.off, "<%s> has more than %d attributes", clip(o.name), MaxAttributes)
		}
	}
	return empty, s.resolve(o, start)
}

// resolve makes the element of a start tag: Namespaces in XML 1.0.
func (s *scanner) resolve(o *open, start int) error {
	declared := 0
	for _, a := range s.raw {
		prefix, isDecl := strings.CutPrefix(a.name, "xmlns:")
		if !isDecl {
			if a.name != "xmlns" {
				continue
			}
			prefix = ""
		}
		declared++
		switch {
		case prefix == "xmlns", (prefix == "xml") != (a.value == xmlNS), a.value == xmlnsNS:
			return s.fail(a.off, "namespace declaration %s=%q is not allowed", clip(a.name), clip(a.value))
		case prefix != "" && a.value == "":
			return s.fail(a.off, "prefix %q cannot be undeclared", clip(prefix))
		}
		for _, b := range s.bound[o.bound:] {
			if b.prefix == prefix {
				return s.fail(a.off, "attribute %q is there twice", clip(a.name))
			}
		}
		if len(s.bound) == MaxNamespaces {
			return s.fail(a.off, "more than %d namespace declarations", MaxNamespaces)
		}
		s.bound = append(s.bound, binding{prefix, a.value})
	}
	e := s.element()
	s.at.advance(s.src, start, s.ascii)
	e.Line, e.Col, e.Off = s.at.line+1, s.at.col+1, start
	var err error
	if e.Space, e.Local, err = s.lookup(o.name, start+1, true); err != nil {
		return err
	}
	if n := len(s.raw) - declared; n > 0 {
		e.Attr = make([]Attr, 0, n)
	}
	for _, a := range s.raw {
		if a.name == "xmlns" || strings.HasPrefix(a.name, "xmlns:") {
			continue
		}
		space, local, err := s.lookup(a.name, a.off, false)
		if err != nil {
			return err
		}
		for i := range e.Attr {
			if e.Attr[i].Local == local && e.Attr[i].Space == space {
				return s.fail(a.off, "attribute %q is there twice", clip(a.name))
			}
		}
		e.Attr = append(e.Attr, Attr{space, local, a.value})
	}
	o.el = e
	return nil
}

// lookup resolves a qualified name; only element names take the default namespace.
func (s *scanner) lookup(name string, off int, element bool) (space, local string, err error) {
	prefix, local, ok := strings.Cut(name, ":")
	if !ok {
		if !element {
			return "", name, nil
		}
		prefix, local = "", name
	}
	for i := len(s.bound) - 1; i >= 0; i-- {
		if s.bound[i].prefix == prefix {
			return s.bound[i].uri, local, nil
		}
	}
	if prefix == "" {
		return "", local, nil
	}
	return "", "", s.fail(off, "prefix %q is not declared", clip(prefix))
}

// name reads a qualified name: at most one colon, with a name on both sides.
func (s *scanner) name() (string, error) {
	start, first := s.off, true
	colon := false
	for s.off < len(s.src) {
		c := s.src[s.off]
		if c < utf8.RuneSelf {
			k := nameClass[c]
			if c == ':' {
				if first || colon {
					return "", s.fail(s.off, "bad name")
				}
				colon, first = true, true
				s.off++
				continue
			}
			if k == 0 {
				break
			}
			if first && k != nameStart {
				return "", s.fail(s.off, "bad name")
			}
			s.off++
		} else {
			r, n := utf8.DecodeRuneInString(s.src[s.off:])
			if !wideNameStart(r) && (first || !wideName(r)) {
				return "", s.fail(s.off, "bad name")
			}
			s.off += n
		}
		first = false
	}
	if first {
		return "", s.fail(s.off, "a name is missing")
	}
	return s.src[start:s.off], nil
}

// quoted reads = "value" or = 'value'.
func (s *scanner) quoted() (string, error) {
	s.blank()
	if s.off == len(s.src) || s.src[s.off] != '=' {
		return "", s.fail(s.off, "attribute without value")
	}
	s.off++
	s.blank()
	if s.off == len(s.src) || s.src[s.off] != '"' && s.src[s.off] != '\'' {
		return "", s.fail(s.off, "attribute value without quotes")
	}
	start := s.off + 1
	n := strings.IndexByte(s.src[start:], s.src[s.off])
	if n < 0 {
		return "", s.fail(s.off, "attribute value without end")
	}
	raw := s.src[start : start+n]
	if i := strings.IndexByte(raw, '<'); i >= 0 {
		return "", s.fail(start+i, `"<" in an attribute value`)
	}
	s.off = start + n + 1
	return s.unescape(raw, start, true)
}

// unescape resolves references and normalizes white space (XML 1.0 2.11, 3.3.3)
// in raw, which is at offset off. CDATA sections do not come here.
func (s *scanner) unescape(raw string, off int, attr bool) (string, error) {
	special := "&\r"
	if attr {
		special = "&\r\n\t"
	}
	i := strings.IndexAny(raw, special)
	if i < 0 {
		return raw, nil
	}
	out := make([]byte, 0, len(raw))
	for {
		out = append(out, raw[:i]...)
		c := raw[i]
		raw, off = raw[i+1:], off+i+1
		switch {
		case c == '&':
			r, n, err := s.reference(raw, off)
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
			raw, off = raw[n:], off+n
		case attr:
			if c == '\r' && strings.HasPrefix(raw, "\n") {
				raw, off = raw[1:], off+1
			}
			out = append(out, ' ')
		default:
			if !strings.HasPrefix(raw, "\n") {
				out = append(out, '\n')
			}
		}
		if i = strings.IndexAny(raw, special); i < 0 {
			return string(append(out, raw...)), nil
		}
	}
}

// reference reads what follows an ampersand, the semicolon included.
func (s *scanner) reference(raw string, off int) (r rune, n int, err error) {
	end := strings.IndexByte(raw[:min(len(raw), 12)], ';')
	if end < 1 {
		return 0, 0, s.fail(off-1, `"&" without a reference`)
	}
	name := raw[:end]
	if name[0] != '#' {
		r, ok := entities[name]
		if !ok {
			return 0, 0, s.fail(off-1, "entity %q is not declared", clip(name))
		}
		return r, end + 1, nil
	}
	digits, base := name[1:], rune(10)
	if strings.HasPrefix(digits, "x") {
		digits, base = digits[1:], 16
	}
	for i := range len(digits) {
		d := hexValue(digits[i])
		if d >= base {
			return 0, 0, s.fail(off-1, "bad character reference %q", clip(name))
		}
		if r = r*base + d; r > utf8.MaxRune {
			break
		}
	}
	if digits == "" || !isChar(r) {
		return 0, 0, s.fail(off-1, "bad character reference %q", clip(name))
	}
	return r, end + 1, nil
}

var entities = map[string]rune{"amp": '&', "lt": '<', "gt": '>', "quot": '"', "apos": '\''}

// blank skips white space and reports whether there was any.
func (s *scanner) blank() bool {
	start := s.off
	for s.off < len(s.src) && isSpace(s.src[s.off]) {
		s.off++
	}
	return s.off > start
}

func newlines(s string) string {
	if strings.IndexByte(s, '\r') < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func isBlank(s string) bool {
	for i := range len(s) {
		if !isSpace(s[i]) {
			return false
		}
	}
	return true
}

// isChar is production [2] of XML 1.0.
func isChar(r rune) bool {
	switch {
	case r < 0x20:
		return r == '\t' || r == '\n' || r == '\r'
	case r < 0xd800:
		return true
	case r < 0xe000, r == 0xfffe, r == 0xffff:
		return false
	}
	return r <= utf8.MaxRune
}

func hexValue(c byte) rune {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0')
	case c >= 'a' && c <= 'f':
		return rune(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return rune(c-'A') + 10
	}
	return 16
}

// Classes of ASCII characters in names, XML 1.0 [4] and [4a].
const (
	nameStart = 1
	nameRest  = 2
)

var nameClass = func() (t [utf8.RuneSelf]byte) {
	for c := range t {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
			t[c] = nameStart
		case c >= '0' && c <= '9', c == '-', c == '.':
			t[c] = nameRest
		}
	}
	return t
}()

func wideNameStart(r rune) bool {
	for _, x := range [...][2]rune{{0xc0, 0xd6}, {0xd8, 0xf6}, {0xf8, 0x2ff}, {0x370, 0x37d}, {0x37f, 0x1fff}, {0x200c, 0x200d},
		{0x2070, 0x218f}, {0x2c00, 0x2fef}, {0x3001, 0xd7ff}, {0xf900, 0xfdcf}, {0xfdf0, 0xfffd}, {0x10000, 0xeffff}} {
		if r >= x[0] && r <= x[1] {
			return true
		}
	}
	return false
}

func wideName(r rune) bool {
	return r == 0xb7 || r >= 0x300 && r <= 0x36f || r == 0x203f || r == 0x2040
}

// clip shortens what a message quotes.
func clip(s string) string {
	const limit = 80
	if len(s) <= limit {
		return s
	}
	n := limit
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
