package clixml

import (
	"encoding/base64"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/ps/object"
	"busybridge/internal/spec/soap"
)

// A Writer writes values.
type Writer struct {
	// Cipher encrypts secure strings; nil refuses them with ErrNoKey.
	Cipher Cipher

	b     []byte
	lines bool           // indented, with a root
	types map[string]int // type-name lists that were written
	refs  map[any]int    // objects of the top-level value that is written
	next  int            // RefId
}

// NewDocument begins a document for a file, as Export-Clixml writes it (cmdlet reference 16.5).
func NewDocument() *Writer {
	return &Writer{lines: true, b: []byte(`<Objs Version="1.1.0.1" xmlns="` + Space + `">`)}
}

// Add writes one value. Objects more than depth levels inside it are written as text; collections do not count as a level.
func (w *Writer) Add(v any, depth int) error {
	w.refs = nil
	return w.value(v, "", depth, 1)
}

// Len is how many bytes were written.
func (w *Writer) Len() int { return len(w.b) }

// Document ends a document and returns it.
func (w *Writer) Document() []byte { return append(w.b, "\r\n</Objs>"...) }

// Append appends v as a message holds it: bare, without white space.
func Append(b []byte, v any, depth int, c Cipher) ([]byte, error) {
	w := Writer{b: b, Cipher: c}
	if err := w.Add(v, depth); err != nil {
		return b, err
	}
	return w.b, nil
}

// line begins a line with a tag that is still open.
func (w *Writer) line(indent int, tag string) {
	if w.lines {
		w.b = append(w.b, "\r\n"...)
		for range indent {
			w.b = append(w.b, "  "...)
		}
	}
	w.b = append(append(w.b, '<'), tag...)
}

// start is a start tag alone on its line, end is its end.
func (w *Writer) start(indent int, tag string) {
	w.line(indent, tag)
	w.b = append(w.b, '>')
}

func (w *Writer) end(indent int, tag string) {
	w.line(indent, "/")
	w.b = append(append(w.b, tag...), '>')
}

func (w *Writer) name(name string) {
	if name != "" {
		w.b = append(soap.AppendAttr(append(w.b, ` N="`...), escape(name)), '"')
	}
}

func (w *Writer) ref(n int) {
	w.b = append(strconv.AppendInt(append(w.b, ` RefId="`...), int64(n), 10), '"')
}

func (w *Writer) text(indent int, tag, name, text string) {
	w.line(indent, tag)
	w.name(name)
	w.b = soap.AppendText(append(w.b, '>'), escape(text))
	w.b = append(append(append(w.b, "</"...), tag...), '>')
}

func (w *Writer) value(v any, name string, depth, indent int) error {
	if v == nil || v == object.Void {
		w.line(indent, "Nil")
		w.name(name)
		w.b = append(w.b, " />"...)
		return nil
	}
	o, isBag := v.(*object.Object)
	if !isBag || o.Base != nil && len(o.Own()) == 0 {
		if tag, text, err := w.primitive(object.Base(v)); err != nil || tag != "" {
			if err == nil {
				w.text(indent, tag, name, text)
			}
			return err
		}
	}
	if depth <= 0 && !container(v) || indent > 3*MaxLevels {
		w.text(indent, "S", name, object.String(v))
		return nil
	}
	shared := reflect.ValueOf(v).Kind() == reflect.Pointer
	if ref, ok := w.refs[v]; shared && ok {
		w.line(indent, "Ref")
		w.name(name)
		w.ref(ref)
		w.b = append(w.b, " />"...)
		return nil
	}
	if shared {
		if w.refs == nil {
			w.refs = map[any]int{}
		}
		w.refs[v] = w.next
	}
	w.line(indent, "Obj")
	w.name(name)
	w.ref(w.next)
	w.b = append(w.b, '>')
	w.next++
	if err := w.object(v, depth, indent+1); err != nil {
		return err
	}
	w.end(indent, "Obj")
	return nil
}

// container reports whether v holds others in a list or table: these do not count as a level.
func container(v any) bool {
	switch object.Base(v).(type) {
	case *object.Hashtable, *Bag:
		return true
	}
	_, isList := object.Items(v)
	return isList
}

func (w *Writer) object(v any, depth, indent int) error {
	switch x := v.(type) {
	case *Bag:
		return w.bag(x, depth, indent)
	case *object.Credential: // MS-PSRP 2.2.5.2.8: what is left of its properties
		w.typeNames(object.TypeNames(v), indent)
		w.text(indent, "ToString", "", object.String(v))
		return w.set("Props", []object.Listed{{Name: "UserName", Value: x.UserName}, {Name: "Password", Value: x.Password}}, depth, indent)
	case object.Enum:
		w.typeNames(object.TypeNames(v), indent)
		w.text(indent, "ToString", "", x.String())
		w.text(indent, "I32", "", strconv.FormatInt(x.Value, 10))
		return nil
	}
	w.typeNames(object.TypeNames(v), indent)
	base := object.Base(v)
	tag, text, err := w.primitive(base)
	switch h, isTable := base.(*object.Hashtable); {
	case err != nil:
		return err
	case tag != "":
		w.text(indent, tag, "", text)
	case isTable:
		w.start(indent, "DCT")
		for k, x := range h.All() {
			w.start(indent+1, "En")
			if err := w.value(k, "Key", depth, indent+2); err != nil {
				return err
			}
			if err := w.value(x, "Value", depth, indent+2); err != nil {
				return err
			}
			w.end(indent+1, "En")
		}
		w.end(indent, "DCT")
	default:
		items, ok := object.Items(base)
		if !ok {
			if !plainBag(v) {
				w.text(indent, "ToString", "", object.String(v))
			}
			return w.members(v, depth, indent)
		}
		w.start(indent, "LST")
		for _, x := range items {
			if err := w.value(x, "", depth, indent+1); err != nil {
				return err
			}
		}
		w.end(indent, "LST")
	}
	return w.set("MS", notes(v), depth-1, indent)
}

func (w *Writer) bag(b *Bag, depth, indent int) error {
	if len(b.Types) > 0 {
		w.typeNames(b.Types, indent)
	}
	if b.Text != "" {
		w.text(indent, "ToString", "", b.Text)
	}
	w.start(indent, "MS")
	for _, f := range b.fields {
		if err := w.value(f.value, f.name, depth, indent+1); err != nil {
			return err
		}
	}
	w.end(indent, "MS")
	return nil
}

// plainBag reports whether v is a PSCustomObject: all its properties are notes.
func plainBag(v any) bool {
	o, ok := v.(*object.Object)
	if !ok || o.Base != nil {
		return false
	}
	for _, n := range o.TypeNames() {
		if strings.EqualFold(strings.TrimPrefix(n, farPrefix), object.TCustom.Name) {
			return true
		}
	}
	return false
}

// notes is the notes of a value that has content of its own.
func notes(v any) []object.Listed {
	var out []object.Listed
	if o, ok := v.(*object.Object); ok && o.Base != nil {
		for _, p := range o.Own() {
			if !p.Hidden {
				x, _ := o.Get(p.Name)
				out = append(out, object.Listed{Name: p.Name, Kind: object.NoteProperty, Value: x})
			}
		}
	}
	return out
}

// members writes properties: notes, and those of the class, which a bag of a host's class has as notes. A bag that was
// read knows what was which.
func (w *Writer) members(v any, depth, indent int) error {
	o, bag := v.(*object.Object)
	bag, plain := bag && o.Base == nil, plainBag(v)
	bag = bag && !strings.HasPrefix(object.TypeNames(v)[0], farPrefix)
	var props, extra []object.Listed
	for _, p := range object.Properties(v) {
		switch {
		case p.Err != nil:
		case plain || !bag && p.Kind == object.NoteProperty:
			extra = append(extra, p)
		default:
			props = append(props, p)
		}
	}
	if err := w.set("Props", props, depth-1, indent); err != nil {
		return err
	}
	return w.set("MS", extra, depth-1, indent)
}

func (w *Writer) set(tag string, props []object.Listed, depth, indent int) error {
	if len(props) == 0 {
		return nil
	}
	w.start(indent, tag)
	for _, p := range props {
		if err := w.value(p.Value, p.Name, depth, indent+1); err != nil {
			return err
		}
	}
	w.end(indent, tag)
	return nil
}

func (w *Writer) typeNames(names []string, indent int) {
	key := strings.Join(names, "\x00")
	if n, ok := w.types[key]; ok {
		w.line(indent, "TNRef")
		w.ref(n)
		w.b = append(w.b, " />"...)
		return
	}
	if w.types == nil {
		w.types = map[string]int{}
	}
	n := len(w.types)
	w.types[key] = n
	w.line(indent, "TN")
	w.ref(n)
	w.b = append(w.b, '>')
	for _, t := range names {
		w.text(indent+1, "T", "", t)
	}
	w.end(indent, "TN")
}

// primitive is a value that has an element of its own (MS-PSRP 2.2.5.1).
func (w *Writer) primitive(v any) (tag, text string, err error) {
	switch x := v.(type) {
	case string:
		return "S", x, nil
	case bool:
		return "B", strconv.FormatBool(x), nil
	case object.Char:
		return "C", strconv.Itoa(int(x)), nil
	case int8:
		return "SB", strconv.Itoa(int(x)), nil
	case uint8:
		return "By", strconv.Itoa(int(x)), nil
	case int16:
		return "I16", strconv.Itoa(int(x)), nil
	case uint16:
		return "U16", strconv.Itoa(int(x)), nil
	case int32:
		return "I32", strconv.Itoa(int(x)), nil
	case uint32:
		return "U32", strconv.FormatUint(uint64(x), 10), nil
	case int64:
		return "I64", strconv.FormatInt(x, 10), nil
	case uint64:
		return "U64", strconv.FormatUint(x, 10), nil
	case float32:
		return "Sg", floatText(float64(x), 32), nil
	case float64:
		return "Db", floatText(x, 64), nil
	case object.Decimal:
		return "D", x.String(), nil
	case time.Time:
		return "DT", timeText(x), nil
	case time.Duration:
		return "TS", spanText(x), nil
	case uuid.UUID:
		return "G", x.String(), nil
	case *url.URL:
		return "URI", object.String(x), nil
	case object.Version:
		return "Version", x.String(), nil
	case *object.Array:
		if x.Elem == object.TByte {
			b, err := object.ToBytes(x)
			return "BA", base64.StdEncoding.EncodeToString(b), err
		}
	case *object.SecureString:
		if w.Cipher == nil {
			return "", "", ErrNoKey
		}
		sealed, err := w.Cipher.Seal(x.Reveal())
		return "SS", base64.StdEncoding.EncodeToString(sealed), err
	case *object.Credential:
		if w.Cipher == nil {
			return "", "", ErrNoKey
		}
	case object.Typed:
		if x.PSType() == object.TScriptBlock {
			return "SBK", object.String(v), nil
		}
	}
	return "", "", nil
}
