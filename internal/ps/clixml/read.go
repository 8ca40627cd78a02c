package clixml

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/ps/object"
	"busybridge/internal/spec/soap"
)

const farPrefix = "Deserialized."

// maxQuoted bounds how much of a document an error repeats.
const maxQuoted = 200

// Options say how values are read.
type Options struct {
	MaxBytes int64 // required
	// MaxValues bounds the values of a document with references followed, so that a small one cannot stand for a text
	// without end. A byte of a byte[] counts as one. 0: 1<<22.
	MaxValues int
	Cipher    Cipher // opens secure strings; nil refuses them with ErrNoKey
	EnumText  bool   // members of enumerations become their names, not an object.Enum
}

// A reader reads what Writer and PowerShell write.
type reader struct {
	Options
	objects map[string]any // by RefId, nil while they are read: nothing contains itself
	sizes   map[string]int // values inside the object, references followed
	types   map[string][]string
	size    int // of all so far
}

func newReader(o Options) *reader {
	if o.MaxValues == 0 {
		o.MaxValues = 1 << 22
	}
	return &reader{Options: o, objects: map[string]any{}, sizes: map[string]int{}, types: map[string][]string{}}
}

// ReadDocument is the top-level values of a document.
func ReadDocument(data []byte, o Options) ([]any, error) {
	root, err := soap.ReadXML(bytes.NewReader(data), o.MaxBytes)
	if err != nil {
		return nil, err
	}
	if !root.Is(Space, "Objs") {
		return nil, fmt.Errorf("the root element is %q, not Objs", root.Local)
	}
	return newReader(o).values(root)
}

// Read is the value of a message: bare, or the only one of a document. An empty message is null.
func Read(data []byte, o Options) (any, error) {
	if len(bytes.TrimPrefix(data, []byte("\ufeff"))) == 0 {
		return nil, nil
	}
	root, err := soap.ReadXML(bytes.NewReader(data), o.MaxBytes)
	if err != nil {
		return nil, err
	}
	if root.Local != "Objs" {
		return newReader(o).value(root)
	}
	list, err := newReader(o).values(root)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	if len(list) > 1 {
		return nil, fmt.Errorf("line %d: element Objs: a message holds one value", root.Line)
	}
	return list[0], nil
}

func (r *reader) values(e *soap.Element) ([]any, error) {
	out := make([]any, 0, len(e.Children))
	for _, x := range e.Children {
		v, err := r.value(x)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// intTypes are the elements of whole numbers.
var intTypes = map[string]*object.Type{
	"By": object.TByte, "SB": object.TSByte, "I16": object.TShort, "U16": object.TUShort, "I32": object.TInt, "U32": object.TUInt,
	"I64": object.TLong, "U64": object.TULong, "D": object.TDecimal,
}

func (r *reader) value(e *soap.Element) (any, error) {
	bad := func(err error) error {
		if s := err.Error(); len(s) > maxQuoted {
			err = errors.New(strings.ToValidUTF8(s[:maxQuoted], "") + "...")
		}
		return fmt.Errorf("line %d: element %.20s: %w", e.Line, e.Local, err)
	}
	r.size++
	if e.Local == "Ref" {
		r.size += r.sizes[e.AttrValue("RefId")]
	}
	text := unescape(e.Text)
	var v any
	var err error
	switch e.Local {
	case "Nil":
	case "S", "SBK", "XD":
		v = text
	case "B":
		if v, err = strconv.ParseBool(text); err != nil {
			err = fmt.Errorf("%q is no Boolean", text)
		}
	case "C":
		n, perr := strconv.ParseUint(text, 10, 16)
		v, err = object.Char(n), perr
	case "By", "SB", "I16", "U16", "I32", "U32", "I64", "U64", "D":
		v, err = object.Convert(strings.TrimSpace(text), intTypes[e.Local])
	case "Sg", "Db":
		bits := map[string]int{"Sg": 32, "Db": 64}[e.Local]
		f, perr := strconv.ParseFloat(strings.TrimSpace(text), bits)
		if v, err = any(f), perr; bits == 32 {
			v = float32(f)
		}
	case "DT":
		v, err = readTime(text)
	case "TS":
		v, err = ParseDuration(text)
	case "G":
		v, err = uuid.Parse(text)
	case "URI":
		v, err = object.ParseURI(text)
	case "Version":
		v, err = object.ParseVersion(text)
	case "BA":
		var b []byte
		if b, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), "")); r.add(len(b)) {
			v = object.Bytes(b)
		}
	case "SS":
		v, err = r.secret(text)
	case "PR":
		return r.progress(e)
	case "Ref":
		known := false
		if v, known = r.objects[e.AttrValue("RefId")]; !known {
			err = fmt.Errorf("RefId %q names no object before it", e.AttrValue("RefId"))
		}
	case "Obj":
		if r.add(0) {
			return r.object(e)
		}
	default:
		err = errors.New("it is not known")
	}
	if err == nil && !r.add(0) {
		err = fmt.Errorf("there are more than %d values", r.MaxValues)
	}
	if err != nil {
		return nil, bad(err)
	}
	return v, nil
}

// add counts n more values and reports whether that is within the limit.
func (r *reader) add(n int) bool {
	r.size += n
	return r.size <= r.MaxValues
}

func (r *reader) secret(text string) (any, error) {
	if r.Cipher == nil {
		return nil, ErrNoKey
	}
	sealed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	open, err := r.Cipher.Open(sealed)
	if err != nil {
		return nil, err
	}
	return object.NewSecureString(open), nil
}

// progressNames are the parts of a PR element (MS-PSRP 2.2.5.1.25).
var progressNames = map[string]string{
	"AV": "Activity", "AI": "ActivityId", "S": "CurrentOperation", "PI": "ParentActivityId", "PC": "PercentComplete", "T": "Type",
	"SR": "SecondsRemaining", "SD": "StatusDescription",
}

func (r *reader) progress(e *soap.Element) (any, error) {
	o := object.New(far([]string{"System.Management.Automation.ProgressRecord", "System.Object"})...)
	for _, x := range e.Children {
		name := progressNames[x.Local]
		if name == "" {
			continue
		}
		var v any = unescape(x.Text)
		if n, err := strconv.ParseInt(x.Text, 10, 32); err == nil && slices.Contains([]string{"AI", "PI", "PC", "SR"}, x.Local) {
			v = int32(n)
		}
		o.AddProperty(&object.Property{Name: name, Kind: object.DataProperty, Value: v})
	}
	return o, nil
}

func (r *reader) object(e *soap.Element) (any, error) {
	var names []string
	var content, text *soap.Element
	for _, x := range e.Children {
		switch x.Local {
		case "TN":
			for _, t := range x.Children {
				names = append(names, unescape(t.Text))
			}
			r.types[x.AttrValue("RefId")] = names
		case "TNRef":
			known := false
			if names, known = r.types[x.AttrValue("RefId")]; !known {
				return nil, fmt.Errorf("line %d: RefId %q names no types before it", x.Line, x.AttrValue("RefId"))
			}
		case "ToString":
			text = x
		case "Props", "MS":
		default:
			if content != nil {
				return nil, fmt.Errorf("line %d: element %s: an object has one content", x.Line, x.Local)
			}
			content = x
		}
	}
	id, known := e.LookupAttr("RefId")
	start := r.size
	if known {
		r.objects[id] = nil
	}
	v, err := r.content(e, names, text, content)
	if err == nil && known {
		r.objects[id], r.sizes[id] = v, r.size-start
	}
	return v, err
}

// content is an object of these types whose parts were found.
func (r *reader) content(e *soap.Element, names []string, text, content *soap.Element) (any, error) {
	if content == nil {
		o := object.New(far(names)...)
		if text != nil && !is(names, object.TCustom) {
			s := unescape(text.Text)
			o.Text = func() string { return s }
		}
		if err := r.members(e, o); err != nil {
			return nil, err
		}
		return known(names, o), nil
	}
	var v any
	var err error
	switch content.Local {
	case "LST", "STK", "QUE", "IE":
		list := &object.List{}
		v = list
		if list.Items, err = r.values(content); err != nil {
			return nil, err
		}
	case "DCT":
		table := object.NewHashtable()
		table.Ordered = len(names) > 0 && strings.HasSuffix(names[0], "OrderedDictionary")
		v = table
		for _, en := range content.Children {
			if err := r.entry(table, en); err != nil {
				return nil, err
			}
		}
	default:
		if v, err = r.value(content); err != nil {
			return nil, err
		}
		if text != nil && isEnum(names) {
			return r.enum(names, unescape(text.Text), v), nil
		}
	}
	o := object.Wrap(v)
	if err := r.members(e, o); err != nil {
		return nil, err
	}
	if len(o.Own()) == 0 {
		return v, nil
	}
	return o, nil
}

// enum is a member of an enumeration; one that is not known here has a type with this member only.
func (r *reader) enum(names []string, text string, value any) any {
	n, err := object.Convert(value, object.TLong)
	if r.EnumText || err != nil {
		return text
	}
	name := strings.TrimPrefix(names[0], farPrefix)
	t, ok := object.FindType(name)
	if !ok || t.Enum == nil {
		t = &object.Type{Name: name, Base: object.TErrorCategory.Base, Enum: []object.EnumName{{Name: text, Value: n.(int64)}}}
	}
	return object.Enum{Type: t, Value: n.(int64)}
}

// known is the value that a bag of a type that we know stands for.
func known(names []string, o *object.Object) any {
	switch {
	case is(names, object.TSwitch):
		if on, ok := o.Get("IsPresent"); ok {
			return object.Switch(object.Bool(on))
		}
	case is(names, object.TCredential):
		user, _ := o.Get("UserName")
		password, _ := o.Get("Password")
		if p, ok := password.(*object.SecureString); ok {
			return &object.Credential{UserName: object.String(user), Password: p}
		}
	}
	return o
}

func (r *reader) entry(table *object.Hashtable, en *soap.Element) error {
	var key, value any
	for _, x := range en.Children {
		v, err := r.value(x)
		if err != nil {
			return err
		}
		switch x.AttrValue("N") {
		case "Key":
			key = v
		case "Value":
			value = v
		}
	}
	switch object.Base(key).(type) {
	case string, bool, int32, int64, float64, object.Char, object.Enum, uuid.UUID, time.Time, time.Duration, uint8, int16, uint16, uint32, uint64, int8, float32, object.Decimal:
		table.Set(key, value)
		return nil
	}
	return fmt.Errorf("line %d: element En: the key is no simple value", en.Line)
}

func (r *reader) members(e *soap.Element, o *object.Object) error {
	for _, set := range e.Children {
		kind := object.NoteProperty
		switch set.Local {
		case "Props":
			kind = object.DataProperty
		case "MS":
		default:
			continue
		}
		for _, x := range set.Children {
			name, ok := x.LookupAttr("N")
			if !ok || name == "" {
				return fmt.Errorf("line %d: element %s: a property has a name", x.Line, x.Local)
			}
			v, err := r.value(x)
			if err != nil {
				return err
			}
			o.AddProperty(&object.Property{Name: unescape(name), Kind: kind, Value: v})
		}
	}
	return nil
}

// far is the type names of an object that was read: it is a copy without methods.
func far(names []string) []string {
	if len(names) == 0 {
		names = object.TCustom.Names()
	}
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = farPrefix + strings.TrimPrefix(n, farPrefix)
	}
	return out
}

// is reports whether an object of these type names is of type t; one without is a PSCustomObject.
func is(names []string, t *object.Type) bool {
	return len(names) == 0 && t == object.TCustom || len(names) > 0 && strings.TrimPrefix(names[0], farPrefix) == t.Name
}

func isEnum(names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.TrimPrefix(n, farPrefix) == "System.Enum" })
}
