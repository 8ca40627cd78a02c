package soap

import "strings"

// An Element is one element of a document. Strings are parts of the text that
// was read: one that is kept for long keeps the whole text.
type Element struct {
	Space, Local string // namespace name ("": none) and local name
	Attr         []Attr // without namespace declarations, in document order
	// Text is the character data directly inside, its runs joined. White space
	// next to child elements is left out.
	Text      string
	Children  []*Element
	Line, Col int // of the start tag, 1-based, in characters
	Off       int // of the start tag, in bytes of the text
}

// An Attr is an attribute. One without prefix is in no namespace.
type Attr struct{ Space, Local, Value string }

// Is reports whether e has the given name.
func (e *Element) Is(space, local string) bool { return e.Local == local && e.Space == space }

// Child returns the first child of the given name, or nil. It may be called on nil.
func (e *Element) Child(space, local string) *Element {
	if e == nil {
		return nil
	}
	for _, c := range e.Children {
		if c.Is(space, local) {
			return c
		}
	}
	return nil
}

// ChildText returns the text of the first child of the given name without white
// space around it, or "".
func (e *Element) ChildText(space, local string) string {
	if c := e.Child(space, local); c != nil {
		return c.Trimmed()
	}
	return ""
}

// Trimmed is the text without white space around it.
func (e *Element) Trimmed() string { return strings.Trim(e.Text, " \t\r\n") }

// AttrValue returns the value of the first attribute with the given local name, or "".
func (e *Element) AttrValue(local string) string {
	v, _ := e.LookupAttr(local)
	return v
}

// LookupAttr is AttrValue that tells an absent attribute from an empty one.
func (e *Element) LookupAttr(local string) (value string, ok bool) {
	if e != nil {
		for i := range e.Attr {
			if e.Attr[i].Local == local {
				return e.Attr[i].Value, true
			}
		}
	}
	return "", false
}
