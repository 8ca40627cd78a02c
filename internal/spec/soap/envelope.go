package soap

import (
	"fmt"
	"io"
)

// An Envelope is a SOAP 1.1 message: the children of Header and of Body.
type Envelope struct {
	Header, Body []*Element
	At           *Element // the Body element, for its position
	memory       *memory
}

// Read reads a SOAP 1.1 envelope of at most limit bytes. Errors are those of
// ReadXML, or wrap ErrNotSOAP or ErrVersion12.
func Read(r io.Reader, limit int64) (*Envelope, error) {
	return ReadWith(r, limit, func(text []byte) (*Envelope, error) { return Parse(text, limit) })
}

// ReadWith reads at most limit bytes and lets parse make an envelope of them, which
// Parse helps with. It may not keep the text.
func ReadWith(r io.Reader, limit int64, parse func(text []byte) (*Envelope, error)) (env *Envelope, err error) {
	err = withBytes(r, limit, func(text []byte) error {
		env, err = parse(text)
		return err
	})
	return env, err
}

// Parse is Read for what was read already. The limit counts for the elements.
func Parse(text []byte, limit int64) (*Envelope, error) {
	m := memories.Get().(*memory)
	root, err := parse(text, limit, m)
	var env *Envelope
	if err == nil {
		env, err = EnvelopeOf(root)
	}
	if err != nil {
		m.release()
		return nil, err
	}
	env.memory = m
	return env, nil
}

// Release gives the elements of an envelope from Read away, so that the next one
// is read into their memory: neither they nor the envelope may be used any more.
// Their strings may. An envelope that is not released costs garbage only.
func (e *Envelope) Release() {
	if m := e.memory; m != nil {
		*e = Envelope{}
		m.release()
	}
}

func (m *memory) release() {
	if m.used <= maxKept {
		m.reset()
		memories.Put(m)
	}
}

// EnvelopeOf takes the parts of an envelope that was read as XML.
func EnvelopeOf(root *Element) (*Envelope, error) {
	if root.Is(NS12, "Envelope") {
		return nil, ErrVersion12
	}
	if !root.Is(NS, "Envelope") {
		return nil, fmt.Errorf("%w: the root element is {%s}%s", ErrNotSOAP, clip(root.Space), clip(root.Local))
	}
	env := &Envelope{}
	for i, c := range root.Children {
		switch {
		case c.Is(NS, "Header") && i == 0:
			env.Header = c.Children
		case c.Is(NS, "Body") && env.At == nil:
			env.At, env.Body = c, c.Children
		default:
			return nil, fmt.Errorf("%w: line %d, position %d: <%s> is not expected in the envelope", ErrNotSOAP, c.Line, c.Col, clip(c.Local))
		}
	}
	if env.At == nil {
		return nil, fmt.Errorf("%w: the envelope has no body", ErrNotSOAP)
	}
	return env, nil
}
