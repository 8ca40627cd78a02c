package hostcmd

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/google/uuid"

	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
	"busybridge/internal/spec/soap"
)

// clixmlSpace is the namespace of serialized objects.
const clixmlSpace = "http://schemas.microsoft.com/powershell/2004/04"

// errSecret refuses to write secrets to files: Windows encrypts them with a key that there is none of here.
var errSecret = errors.New("a secure string or credential cannot be written to a file by this shell; keep it in a variable, or let Get-Credential ask for it again")

// A clixmlWriter writes values as Export-Clixml does (cmdlet reference 16.5).
type clixmlWriter struct {
	b     bytes.Buffer
	types map[string]int // type-name lists that were written
	refs  map[any]int    // objects of the top-level value that is written
	next  int            // RefId
}

func newCLIXMLWriter() *clixmlWriter {
	w := &clixmlWriter{types: map[string]int{}}
	w.b.WriteString(`<Objs Version="1.1.0.1" xmlns="` + clixmlSpace + `">`)
	return w
}

// add writes one top-level value; objects more than depth levels inside it are written as text.
func (w *clixmlWriter) add(v any, depth int) error {
	w.refs = map[any]int{}
	return w.value(v, "", depth, 1)
}

// bytes ends the document.
func (w *clixmlWriter) bytes() []byte {
	w.b.WriteString("\r\n</Objs>")
	return w.b.Bytes()
}

func (w *clixmlWriter) line(indent int, format string, args ...any) {
	w.b.WriteString("\r\n" + strings.Repeat("  ", indent))
	fmt.Fprintf(&w.b, format, args...)
}

func attribute(name, value string) string {
	if value == "" {
		return ""
	}
	return " " + name + `="` + string(soap.AppendAttr(nil, escapeCLIXML(value))) + `"`
}

func (w *clixmlWriter) text(indent int, tag, name, text string) {
	w.line(indent, "<%s%s>%s</%s>", tag, attribute("N", name), soap.AppendText(nil, escapeCLIXML(text)), tag)
}

// maxLevels bounds nesting, whatever -Depth says: what is read back may nest no deeper.
const maxLevels = 20

func (w *clixmlWriter) value(v any, name string, depth, indent int) error {
	if v == nil || v == object.Void {
		w.line(indent, "<Nil%s />", attribute("N", name))
		return nil
	}
	o, isBag := v.(*object.Object)
	if !isBag || o.Base != nil && len(o.Own()) == 0 {
		if tag, text, err := primitive(object.Base(v)); err != nil || tag != "" {
			if err == nil {
				w.text(indent, tag, name, text)
			}
			return err
		}
	}
	if depth <= 0 && !container(v) || indent > 3*maxLevels {
		w.text(indent, "S", name, object.String(v))
		return nil
	}
	if ref, ok := w.refs[v]; ok {
		w.line(indent, `<Ref%s RefId="%d" />`, attribute("N", name), ref)
		return nil
	}
	w.refs[v] = w.next
	w.line(indent, `<Obj%s RefId="%d">`, attribute("N", name), w.next)
	w.next++
	if err := w.object(v, depth, indent+1); err != nil {
		return err
	}
	w.line(indent, "</Obj>")
	return nil
}

// container reports whether v holds others in a list or table: these do not count as a level.
func container(v any) bool {
	_, isTable := object.Base(v).(*object.Hashtable)
	_, isList := object.Items(v)
	return isTable || isList
}

func (w *clixmlWriter) object(v any, depth, indent int) error {
	w.typeNames(object.TypeNames(v), indent)
	base := object.Base(v)
	props := object.Properties(v)
	tag, text, err := primitive(base)
	switch h, isTable := base.(*object.Hashtable); {
	case err != nil:
		return err
	case tag != "":
		w.text(indent, tag, "", text)
		props = notesOf(v)
	case isTable:
		w.line(indent, "<DCT>")
		for k, x := range h.All() {
			w.line(indent+1, "<En>")
			if err := w.value(k, "Key", depth, indent+2); err != nil {
				return err
			}
			if err := w.value(x, "Value", depth, indent+2); err != nil {
				return err
			}
			w.line(indent+1, "</En>")
		}
		w.line(indent, "</DCT>")
		props = notesOf(v)
	default:
		if items, ok := object.Items(base); ok {
			w.line(indent, "<LST>")
			for _, x := range items {
				if err := w.value(x, "", depth, indent+1); err != nil {
					return err
				}
			}
			w.line(indent, "</LST>")
			props = notesOf(v)
			break
		}
		if e, ok := base.(object.Enum); ok {
			w.text(indent, "ToString", "", e.String())
			w.text(indent, "I32", "", strconv.FormatInt(e.Value, 10))
			return nil
		}
		if !plainBag(v) {
			w.text(indent, "ToString", "", object.String(v))
		}
	}
	return w.members(v, props, depth, indent)
}

// plainBag reports whether v is a PSCustomObject: all its properties are notes.
func plainBag(v any) bool {
	o, ok := v.(*object.Object)
	if !ok || o.Base != nil {
		return false
	}
	for _, n := range o.TypeNames() {
		if strings.EqualFold(strings.TrimPrefix(n, "Deserialized."), object.TCustom.Name) {
			return true
		}
	}
	return false
}

// notesOf is the notes of a value that has content of its own.
func notesOf(v any) []object.Listed {
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

// members writes properties: notes, and those of the class, which a bag of a host's class has as notes.
func (w *clixmlWriter) members(v any, props []object.Listed, depth, indent int) error {
	o, bag := v.(*object.Object)
	bag, plain := bag && o.Base == nil, plainBag(v)
	isNote := func(p object.Listed) bool { return plain || !bag && p.Kind == object.NoteProperty }
	for _, set := range []string{"Props", "MS"} {
		open := false
		for _, p := range props {
			if p.Err != nil || isNote(p) != (set == "MS") {
				continue
			}
			if !open {
				open = true
				w.line(indent, "<%s>", set)
			}
			if err := w.value(p.Value, p.Name, depth-1, indent+1); err != nil {
				return err
			}
		}
		if open {
			w.line(indent, "</%s>", set)
		}
	}
	return nil
}

func (w *clixmlWriter) typeNames(names []string, indent int) {
	key := strings.Join(names, "\x00")
	if n, ok := w.types[key]; ok {
		w.line(indent, `<TNRef RefId="%d" />`, n)
		return
	}
	n := len(w.types)
	w.types[key] = n
	w.line(indent, `<TN RefId="%d">`, n)
	for _, t := range names {
		w.text(indent+1, "T", "", t)
	}
	w.line(indent, "</TN>")
}

// primitive is a value that has an element of its own.
func primitive(v any) (tag, text string, err error) {
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
	case *interp.ScriptBlock:
		return "SBK", x.String(), nil
	case *object.Array:
		if x.Elem == object.TByte {
			b, err := object.ToBytes(x)
			return "BA", base64.StdEncoding.EncodeToString(b), err
		}
	case *object.SecureString, *object.Credential:
		return "", "", errSecret
	}
	return "", "", nil
}

func floatText(f float64, bits int) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "INF"
	case math.IsInf(f, -1):
		return "-INF"
	}
	return strconv.FormatFloat(f, 'G', -1, bits)
}

// timeText is the round-trip form: the kind decides whether there is a zone.
func timeText(t time.Time) string {
	const layout = "2006-01-02T15:04:05.9999999"
	kind, _ := object.Get(t, "Kind")
	switch object.String(kind) {
	case "Utc":
		return t.Format(layout) + "Z"
	case "Local":
		return t.Format(layout + "-07:00")
	}
	return t.Format(layout)
}

func readTime(s string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02T15:04:05.9999999Z07:00", "2006-01-02T15:04:05.9999999"} {
		t, err := time.Parse(layout, s)
		switch {
		case err != nil:
			continue
		case len(layout) == len("2006-01-02T15:04:05.9999999"):
			return object.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond()), nil
		case strings.HasSuffix(s, "Z"):
			return t.UTC(), nil
		}
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%q is no time", s)
}

// spanText is a duration as XML Schema writes it, in days at most.
func spanText(d time.Duration) string {
	sign := ""
	n := uint64(d / 100)
	if d < 0 {
		sign, n = "-", uint64(-(d / 100))
	}
	var b strings.Builder
	b.WriteString(sign + "P")
	sec, frac := n/1e7, n%1e7
	if days := sec / 86400; days > 0 {
		fmt.Fprintf(&b, "%dD", days)
	}
	rest := sec % 86400
	if rest == 0 && frac == 0 && sec > 0 {
		return b.String()
	}
	b.WriteByte('T')
	if h := rest / 3600; h > 0 {
		fmt.Fprintf(&b, "%dH", h)
	}
	if m := rest / 60 % 60; m > 0 {
		fmt.Fprintf(&b, "%dM", m)
	}
	if s := rest % 60; s > 0 || frac > 0 || rest == 0 {
		b.WriteString(strconv.FormatUint(s, 10))
		if frac > 0 {
			b.WriteString("." + strings.TrimRight(fmt.Sprintf("%07d", frac), "0"))
		}
		b.WriteByte('S')
	}
	return b.String()
}

func readSpan(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no duration", s)
	rest, negative := strings.CutPrefix(s, "-")
	rest, ok := strings.CutPrefix(rest, "P")
	if !ok || rest == "" {
		return 0, bad
	}
	var total float64
	var whole time.Duration
	inTime := false
	for rest != "" {
		if r, ok := strings.CutPrefix(rest, "T"); ok && !inTime {
			rest, inTime = r, true
			continue
		}
		n := strings.IndexAny(rest, "DHMS")
		if n <= 0 {
			return 0, bad
		}
		unit, known := map[string]time.Duration{"falseD": 24 * time.Hour, "trueH": time.Hour, "trueM": time.Minute, "trueS": time.Second}[strconv.FormatBool(inTime)+rest[n:n+1]]
		if !known {
			return 0, bad
		}
		f, err := strconv.ParseFloat(rest[:n], 64)
		if err != nil || f < 0 || strings.ContainsAny(rest[:n], "eExXnN_+") {
			return 0, bad
		}
		if total += f * unit.Seconds(); total > math.MaxInt64/1e9 {
			return 0, bad
		}
		i, frac := math.Modf(f)
		whole += time.Duration(i)*unit + time.Duration(math.Round(frac*1e7))*unit/1e7
		rest = rest[n+1:]
	}
	if negative {
		whole = -whole
	}
	return whole, nil
}

// escapeCLIXML writes control characters and lone halves of pairs as _xHHHH_, as PowerShell does.
func escapeCLIXML(s string) string {
	plain := func(r rune) bool { return r >= ' ' && (r < 0x7f || r > 0x9f) && r <= 0xffff }
	if utf8.ValidString(s) && !strings.Contains(s, "_x") && !strings.Contains(s, "_X") && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '_' && i+1 < len(s) && (s[i+1] == 'x' || s[i+1] == 'X'):
			b.WriteString("_x005F_")
		case plain(r):
			b.WriteRune(r)
		default:
			for _, u := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, "_x%04X_", u)
			}
		}
	}
	return b.String()
}

// unescapeCLIXML undoes escapeCLIXML.
func unescapeCLIXML(s string) string {
	if !strings.Contains(s, "_x") {
		return s
	}
	var units []uint16
	for i := 0; i < len(s); {
		if i+7 <= len(s) && s[i] == '_' && s[i+1] == 'x' && s[i+6] == '_' {
			if n, err := strconv.ParseUint(s[i+2:i+6], 16, 16); err == nil {
				units = append(units, uint16(n))
				i += 7
				continue
			}
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		units = utf16.AppendRune(units, r)
		i += size
	}
	return string(utf16.Decode(units))
}

// A clixmlReader reads what clixmlWriter and PowerShell write.
type clixmlReader struct {
	objects map[string]any // by RefId, nil while they are read: nothing contains itself
	sizes   map[string]int // values inside the object, references followed
	types   map[string][]string
	size    int // of all so far
}

// maxValues bounds the values of a document with references followed, so that
// a small one cannot stand for a text without end.
const maxValues = 1 << 22

// readCLIXML is the top-level values of a document of at most MaxFile bytes.
func readCLIXML(data []byte) ([]any, error) {
	root, err := soap.ReadXML(bytes.NewReader(data), MaxFile)
	if err != nil {
		return nil, err
	}
	if !root.Is(clixmlSpace, "Objs") {
		return nil, fmt.Errorf("the root element is %q, not Objs", root.Local)
	}
	r := &clixmlReader{objects: map[string]any{}, sizes: map[string]int{}, types: map[string][]string{}}
	var out []any
	for _, e := range root.Children {
		v, err := r.value(e)
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

func (r *clixmlReader) value(e *soap.Element) (any, error) {
	bad := func(err error) error {
		return fmt.Errorf("line %d: element %s: %w", e.Line, e.Local, err)
	}
	if r.size += 1 + r.sizes[e.AttrValue("RefId")]; r.size > maxValues {
		return nil, bad(fmt.Errorf("there are more than %d values", maxValues))
	}
	text := unescapeCLIXML(e.Text)
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
		v, err = readSpan(text)
	case "G":
		v, err = uuid.Parse(text)
	case "URI":
		v, err = object.ParseURI(text)
	case "Version":
		v, err = object.ParseVersion(text)
	case "BA":
		b, perr := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		v, err = object.Bytes(b), perr
	case "SS":
		err = errors.New("a secret that Windows has encrypted for one user of one machine cannot be read here")
	case "Ref":
		known := false
		if v, known = r.objects[e.AttrValue("RefId")]; !known {
			err = fmt.Errorf("RefId %q names no object before it", e.AttrValue("RefId"))
		}
	case "Obj":
		return r.object(e)
	default:
		err = errors.New("it is not known")
	}
	if err != nil {
		return nil, bad(err)
	}
	return v, nil
}

func (r *clixmlReader) object(e *soap.Element) (any, error) {
	var names []string
	var content, text *soap.Element
	for _, x := range e.Children {
		switch x.Local {
		case "TN":
			for _, t := range x.Children {
				names = append(names, unescapeCLIXML(t.Text))
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
func (r *clixmlReader) content(e *soap.Element, names []string, text, content *soap.Element) (any, error) {
	if content != nil && text != nil && len(names) > 0 && isEnum(names) {
		return unescapeCLIXML(text.Text), nil
	}
	if content == nil {
		o := object.New(far(names)...)
		if text != nil && !plainNames(names) {
			s := unescapeCLIXML(text.Text)
			o.Text = func() string { return s }
		}
		return o, r.members(e, o)
	}
	var v any
	var err error
	switch content.Local {
	case "LST", "STK", "QUE", "IE":
		list := &object.List{}
		v = list
		for _, x := range content.Children {
			item, err := r.value(x)
			if err != nil {
				return nil, err
			}
			list.Items = append(list.Items, item)
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

func (r *clixmlReader) entry(table *object.Hashtable, en *soap.Element) error {
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
	case string, bool, int32, int64, float64, object.Char, uuid.UUID, time.Time, time.Duration, uint8, int16, uint16, uint32, uint64, int8, float32, object.Decimal:
		table.Set(key, value)
		return nil
	}
	return fmt.Errorf("line %d: element En: the key is no simple value", en.Line)
}

func (r *clixmlReader) members(e *soap.Element, o *object.Object) error {
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
			o.AddProperty(&object.Property{Name: unescapeCLIXML(name), Kind: kind, Value: v})
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
		out[i] = "Deserialized." + strings.TrimPrefix(n, "Deserialized.")
	}
	return out
}

func plainNames(names []string) bool {
	return len(names) == 0 || strings.TrimPrefix(names[0], "Deserialized.") == object.TCustom.Name
}

func isEnum(names []string) bool {
	for _, n := range names {
		if n == "System.Enum" {
			return true
		}
	}
	return false
}

type exportCLIXML struct {
	h           *host
	Path        string        `ps:"Path,mandatory,position=0,set=ByPath" help:"The file."`
	LiteralPath string        `ps:"LiteralPath,alias=PSPath,mandatory,set=ByLiteralPath" help:"The file, taken as it is."`
	InputObject any           `ps:"InputObject,mandatory,pipeline=value,allownull,allowempty" help:"What is written."`
	Depth       int           `ps:"Depth,default=2" help:"How many levels of objects in objects are kept; what is deeper becomes text. At most 20."`
	Encoding    string        `ps:"Encoding,values=ASCII|BigEndianUnicode|Default|OEM|Unicode|UTF8" help:"How the text is encoded; Unicode without it."`
	NoClobber   object.Switch `ps:"NoClobber,alias=NoOverwrite" help:"Fails when the file is there."`
	Force       object.Switch `ps:"Force" help:"Writes a read-only file too."`

	w *clixmlWriter
}

// Begin begins the document.
func (p *exportCLIXML) Begin(_ context.Context, c *interp.Call) error {
	if p.Depth < 1 || p.Depth > maxLevels {
		return object.NewError("ParameterArgumentValidationError,"+class(c), object.InvalidData, object.TParameterValidation, "Cannot validate argument on parameter 'Depth'. It is a number from 1 to %d.", maxLevels)
	}
	p.w = newCLIXMLWriter()
	return nil
}

// Run writes one object (Export-Clixml).
func (p *exportCLIXML) Run(_ context.Context, c *interp.Call) error {
	err := p.w.add(p.InputObject, p.Depth)
	if err == nil && p.w.b.Len() > MaxFile {
		err = fmt.Errorf("more than %d MiB", MaxFile>>20)
	}
	if err != nil {
		return object.NewError("ExportClixml,"+class(c), object.InvalidOperation, object.TInvalidOperation, "Cannot export the object: %s.", err)
	}
	return nil
}

// End writes the file.
func (p *exportCLIXML) End(_ context.Context, c *interp.Call) error {
	name := p.Path
	if p.LiteralPath != "" {
		name = p.LiteralPath
	}
	name = p.h.home(c, name)
	at, err := p.h.Drive.parse(name, false)
	if err != nil {
		return p.h.fail(c, err, name)
	}
	if err := p.h.changeable(c, at); err != nil {
		return err
	}
	if ok, err := c.ShouldProcess(at.String(), "Export-Clixml"); !ok {
		return err
	}
	if isFile, _ := p.h.Drive.Stat(at.String()); isFile && bool(p.NoClobber) {
		return object.NewError("NoClobber,"+class(c), object.ResourceExists, object.TIOException, "The file '%s' already exists.", at)
	}
	if p.Force {
		if err := p.h.Drive.writable(at); err != nil {
			return p.h.fail(c, err, name)
		}
	}
	if p.Encoding == "" {
		p.Encoding = "Unicode"
	}
	enc := encodings[strings.ToLower(p.Encoding)]
	return p.h.fail(c, p.h.Drive.WriteFile(at.String(), append([]byte(enc.mark), enc.encode(string(p.w.bytes()))...)), name)
}

type importCLIXML struct {
	h           *host
	Path        []string `ps:"Path,mandatory,position=0,pipeline=value|name,set=ByPath" help:"Files; wildcards are allowed."`
	LiteralPath []string `ps:"LiteralPath,alias=PSPath,mandatory,pipeline=name,set=ByLiteralPath" help:"Files, taken as they are."`
	First       int      `ps:"First" help:"How many objects."`
	Skip        int      `ps:"Skip" help:"How many objects are left out at the beginning."`
}

// Run reads objects from files (Import-Clixml).
func (p *importCLIXML) Run(ctx context.Context, c *interp.Call) error {
	return p.h.each(ctx, c, p.Path, p.LiteralPath, func(e entry) error {
		b, err := p.h.Drive.read(e.at)
		if err != nil {
			return c.WriteError(p.h.fail(c, err, e.at.String()))
		}
		list, err := readCLIXML(b)
		if err != nil {
			return object.NewError("ImportClixml,"+class(c), object.InvalidData, object.TFormatException, "The file '%s' holds no objects that can be read: %s.", e.at, err)
		}
		for _, v := range cut(list[min(max(p.Skip, 0), len(list)):], int64(p.First), -1) {
			if err := c.Emit(v); err != nil {
				return err
			}
		}
		return nil
	})
}

func (h *host) objects() []interp.Command {
	return []interp.Command{
		{Name: "Export-Clixml", Module: moduleUtility, New: func() interp.Cmdlet { return &exportCLIXML{h: h} }, DefaultSet: "ByPath", ShouldProcess: true,
			Synopsis: "Keeps objects in a file.", Description: "Objects come back as copies: properties without methods. Secrets are refused.",
			Examples: []string{`Get-IntraOrganizationConnector | Export-Clixml C:\Backup\connectors.xml`}, Links: []string{"Import-Clixml"}},
		{Name: "Import-Clixml", Module: moduleUtility, New: func() interp.Cmdlet { return &importCLIXML{h: h, First: -1} }, DefaultSet: "ByPath",
			Synopsis: "Reads objects that Export-Clixml has kept.", Examples: []string{`$old = Import-Clixml C:\Backup\connectors.xml`}, Links: []string{"Export-Clixml"}},
	}
}
