package object

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Files is what the closed tables may do with files: the shell's drives.
type Files interface {
	// ReadFile, WriteFile and Stat take paths in the shell's notation (C:\x).
	ReadFile(name string) ([]byte, error)
	WriteFile(name string, data []byte) error
	// Stat reports what stands there; both false: nothing.
	Stat(name string) (isFile, isFolder bool)
	// FullName makes a path complete and normal, whether or not something is there.
	FullName(name string) string
}

// A Context is what members need from the shell. A nil field makes the members that need it fail.
type Context struct {
	Now     func() time.Time
	Zone    *time.Location // local time; nil: UTC
	Files   Files
	Getenv  func(name string) string
	NewGUID func() uuid.UUID // nil: random
	// Invoke runs a script block for .Where and .ForEach with item as $_ and gives what it wrote.
	Invoke func(block, item any, args []any) ([]any, error)
}

func (c *Context) now() (time.Time, error) {
	if c == nil || c.Now == nil {
		return time.Time{}, errors.New("The clock is not available here.")
	}
	zone := c.Zone
	if zone == nil {
		zone = time.UTC
	}
	return c.Now().In(zone), nil
}

func (c *Context) files() (Files, error) {
	if c == nil || c.Files == nil {
		return nil, errors.New("Files are not available here.")
	}
	return c.Files, nil
}

// Indexer is implemented by host values that take an index.
type Indexer interface {
	Index(key any) (any, error)
}

// A propertyDef is one property of the closed table.
type propertyDef struct {
	name string
	kind *Type // nil: object
	get  func(v any) any
}

// property is the value of a property of v, without member enumeration.
func property(v any, name string) (any, bool) {
	switch x := v.(type) {
	case nil:
		return nil, false
	case *Object:
		if r, ok := x.Get(name); ok {
			return r, true
		}
		if x.Base == nil {
			return common(v, name)
		}
		return nil, false
	case *Hashtable:
		if r, ok := x.Get(name); ok {
			return r, true
		}
	case *Group:
		if r, ok := x.get(strings.ToLower(name)); ok {
			return r, true
		}
	case Adapted:
		if r, ok := x.Get(name); ok {
			return r, true
		}
	}
	for t := TypeOf(v); t != nil; t = t.Base {
		for _, p := range properties(t) {
			if strings.EqualFold(p.name, name) {
				return p.get(v), true
			}
		}
	}
	return common(v, name)
}

// tableName is the name a type's members are found under: arrays share one table, as do lists of any element.
func tableName(t *Type) string {
	switch {
	case t.Elem != nil && t.Is(TArray):
		return TArray.Name
	case t.Elem != nil, t.Is(tCollection) && !t.Is(TDictionary):
		return TArrayList.Name
	case t.Is(TDictionary):
		return THashtable.Name
	case t.Enum != nil:
		return tEnumBase.Name
	}
	return t.Name
}

// common is the properties every value has.
func common(v any, name string) (any, bool) {
	switch strings.ToLower(name) {
	case "pstypenames":
		return &typeNameList{v}, true
	case "psobject":
		return meta(v), true
	}
	return nil, false
}

// Get is v.name as an expression: own members first, then for a collection the members of its elements, then Count and
// Length, which every value has. A missing one is null; ok tells whether it was there.
func Get(v any, name string) (value any, ok bool) {
	r, ok, _ := GetMember(v, name)
	return r, ok
}

// GetMember is [Get] with the error of a computed property.
func GetMember(v any, name string) (any, bool, error) {
	if o, isObject := v.(*Object); isObject {
		if r, found, err := o.get(name); found {
			return r, true, err
		}
	}
	if r, ok := property(v, name); ok {
		return r, true, nil
	}
	if items, ok := Items(v); ok {
		var out []any
		found, err := enumerate(items, name, &out, 0)
		if err != nil || found {
			return Collapse(out), true, err
		}
		return nil, false, nil
	}
	if strings.EqualFold(name, "Count") || strings.EqualFold(name, "Length") {
		if v == nil {
			return int32(0), true, nil
		}
		return int32(1), true, nil
	}
	return nil, false, nil
}

// enumerate fetches a member from every element; values that are collections are taken apart.
func enumerate(items []any, name string, out *[]any, depth int) (bool, error) {
	found := false
	for _, x := range items {
		var r any
		var ok bool
		var err error
		if o, isObject := x.(*Object); isObject {
			r, ok, err = o.get(name)
		}
		if err != nil {
			return true, err
		}
		if !ok {
			r, ok = property(x, name)
		}
		if !ok {
			if nested, isList := Items(x); isList && depth < 16 {
				f, err := enumerate(nested, name, out, depth+1)
				if err != nil {
					return true, err
				}
				found = found || f
			}
			continue
		}
		found = true
		if inner, isList := Items(r); isList {
			*out = append(*out, inner...)
		} else {
			*out = append(*out, r)
		}
	}
	return found, nil
}

func noProperty(name string) error {
	return NewError("PropertyNotFound", InvalidOperation, nil, "The property '%s' cannot be found on this object. Verify that the property exists and can be set.", name)
}

// Set is v.name = value.
func Set(v any, name string, value any) error {
	switch x := v.(type) {
	case nil:
		return noProperty(name)
	case *Object:
		if i := x.at(name); i >= 0 {
			switch p := x.shape.fields[i].special; {
			case p == nil:
			case p.Set != nil:
				return p.Set(x, value)
			case p.Get != nil:
				return readOnly(p.Name)
			}
			x.values[i] = value
			return nil
		}
		if x.Base != nil {
			return Set(x.Base, name, value)
		}
		return noProperty(name)
	case *Hashtable:
		x.Set(name, value)
		return nil
	case Adapted:
		if err := x.Set(name, value); !errors.Is(err, ErrNoMember) {
			return settingFailed(name, err)
		}
	case *Exception:
		if strings.EqualFold(name, "Message") {
			return readOnly("Message")
		}
	}
	if _, ok := property(v, name); ok {
		return readOnly(name)
	}
	return noProperty(name)
}

func readOnly(name string) error {
	return NewError("PropertyAssignmentException", InvalidOperation, nil, "'%s' is a ReadOnly property.", name)
}

func settingFailed(name string, err error) error {
	if err == nil {
		return nil
	}
	if r, ok := errors.AsType[*ErrorRecord](err); ok {
		return r
	}
	r := NewError("ExceptionWhenSetting", NotSpecified, tSetValueInvocation, "Exception setting \"%s\": \"%s\"", name, err)
	r.Exception.Inner = asException(err)
	return r
}

func asException(err error) *Exception {
	if e, ok := errors.AsType[*Exception](err); ok {
		return e
	}
	return &Exception{Class: TException, Message: err.Error(), Cause: err}
}

// Index is v[key]; a list of keys gives the list of values. Out of range is null.
func Index(v any, key any) (any, error) {
	b := Base(v)
	if b == nil {
		return nil, NewError("NullArray", InvalidOperation, nil, "Cannot index into a null array.")
	}
	k := Base(key)
	if h, ok := b.(*Hashtable); ok {
		return indexTable(h, k)
	}
	if k == nil {
		if _, ok := Items(b); ok {
			return nil, NewError("NullArrayIndex", InvalidOperation, nil, "Index operation failed; the array index evaluated to null.")
		}
	}
	if keys, ok := Items(k); ok {
		out := make([]any, 0, len(keys))
		for _, x := range keys {
			r, present, err := indexOne(b, Base(x))
			if err != nil {
				return nil, err
			}
			if present { // slices leave out what is out of range
				out = append(out, r)
			}
		}
		return &Array{Items: out}, nil
	}
	r, _, err := indexOne(b, k)
	return r, err
}

func indexTable(h *Hashtable, k any) (any, error) {
	if k == nil {
		return nil, nil
	}
	if h.Ordered {
		if i, ok := k.(int32); ok {
			if e := h.at(int(i)); e != nil {
				return e.Value, nil
			}
			return nil, nil
		}
	}
	if keys, ok := Items(k); ok {
		out := make([]any, len(keys))
		for i, x := range keys {
			r, err := indexTable(h, Base(x))
			if err != nil {
				return nil, err
			}
			out[i] = r
		}
		return &Array{Items: out}, nil
	}
	r, _ := h.Get(k)
	return r, nil
}

func indexOne(b, k any) (any, bool, error) {
	if x, ok := b.(Indexer); ok {
		r, err := x.Index(k)
		return r, err == nil, err
	}
	items, isList := Items(b)
	if !isList {
		if s, ok := b.(string); ok {
			u := utf16Of(s)
			items, isList = make([]any, len(u)), true
			for i, c := range u {
				items[i] = Char(c)
			}
		} else {
			items = []any{b}
		}
	}
	if m, ok := b.(*List); ok && m.Kind != nil && m.Kind.Name == "System.Text.RegularExpressions.GroupCollection" {
		if name, ok := k.(string); ok {
			for _, g := range items {
				if g.(*Group).match.re.groupLabel(g.(*Group).n) == name {
					return g, true, nil
				}
			}
			return nil, false, nil
		}
	}
	n, err := Convert(k, TInt)
	if err != nil {
		if !isList {
			return nil, false, NewError("CannotIndex", InvalidOperation, nil, "Unable to index into an object of type %s.", TypeOf(b).Name)
		}
		return nil, false, err
	}
	i := int(n.(int32))
	if i < 0 {
		i += len(items)
	}
	if i < 0 || i >= len(items) {
		return nil, false, nil
	}
	return items[i], true, nil
}

// SetIndex is v[key] = value.
func SetIndex(v, key, value any) error {
	b := Base(v)
	switch x := b.(type) {
	case nil:
		return NewError("NullArray", InvalidOperation, nil, "Cannot index into a null array.")
	case *Hashtable:
		k := Base(key)
		if k == nil {
			return NewError("System.ArgumentNullException", OperationStopped, tArgumentNull, "Key cannot be null.\r\nParameter name: key")
		}
		if i, ok := k.(int32); ok && x.Ordered {
			e := x.at(int(i))
			if e == nil {
				return NewError("System.ArgumentOutOfRangeException", OperationStopped, tArgumentRange,
					"Index was out of range. Must be non-negative and less than the size of the collection.\r\nParameter name: index")
			}
			e.Value = value
			return nil
		}
		x.Set(k, value)
		return nil
	case *Array:
		i, err := position(key, len(x.Items))
		if err != nil {
			return err
		}
		if i < 0 {
			return NewError("System.IndexOutOfRangeException", OperationStopped, tIndexRange, "Index was outside the bounds of the array.")
		}
		if x.Elem != nil {
			if value, err = Convert(value, x.Elem); err != nil {
				return err
			}
		}
		x.Items[i] = value
		return nil
	case *List:
		i, err := position(key, len(x.Items))
		if err != nil {
			return err
		}
		if i < 0 {
			return NewError("System.ArgumentOutOfRangeException", OperationStopped, tArgumentRange,
				"Index was out of range. Must be non-negative and less than the size of the collection.\r\nParameter name: index")
		}
		if x.Kind != nil && x.Kind.Elem != nil {
			if value, err = Convert(value, x.Kind.Elem); err != nil {
				return err
			}
		}
		x.Items[i] = value
		return nil
	}
	return NewError("CannotIndex", InvalidOperation, nil, "Unable to index into an object of type %s.", TypeOf(b).Name)
}

// position is key as a place in n items, counted from the end when negative; -1 when there is no such place.
func position(key any, n int) (int, error) {
	k, err := Convert(key, TInt)
	if err != nil {
		return 0, err
	}
	i := int(k.(int32))
	if i < 0 {
		i += n
	}
	if i < 0 || i >= n {
		return -1, nil
	}
	return i, nil
}

// typeNameList is PSTypeNames: a list that writes through.
type typeNameList struct{ of any }

func (l *typeNameList) PSType() *Type {
	return &Type{Name: "System.Collections.ObjectModel.Collection`1[[System.String]]", Base: TObject, Also: []*Type{tIList}}
}

func (l *typeNameList) Items() []any {
	names := TypeNames(l.of)
	out := make([]any, len(names))
	for i, n := range names {
		out[i] = n
	}
	return out
}

func (l *typeNameList) change(change func([]string) []string) error {
	o, ok := l.of.(*Object)
	if !ok {
		return errors.New("The type names of this value cannot be changed.")
	}
	o.names = change(slices.Clone(o.TypeNames()))
	return nil
}

// meta is $o.PSObject: what a value is made of.
func meta(v any) *Object {
	o := New("System.Management.Automation.PSObject", TObject.Name)
	o.Text = func() string { return Display(v) }
	o.AddProperty(&Property{Name: "Properties", Kind: DataProperty, Get: func(*Object) (any, error) { return &propertyList{v}, nil }})
	o.AddProperty(&Property{Name: "TypeNames", Kind: DataProperty, Get: func(*Object) (any, error) { return &typeNameList{v}, nil }})
	o.AddProperty(&Property{Name: "BaseObject", Kind: DataProperty, Get: func(*Object) (any, error) { return Base(v), nil }})
	o.AddMethod("Copy", func(*Context, *Object, []any) (any, error) {
		if bag, ok := v.(*Object); ok {
			return bag.Copy(), nil
		}
		return v, nil
	})
	return o
}

// propertyList is $o.PSObject.Properties.
type propertyList struct{ of any }

func (l *propertyList) PSType() *Type {
	return &Type{Name: "System.Management.Automation.PSMemberInfoIntegratingCollection`1[[System.Management.Automation.PSPropertyInfo]]", Base: TObject, Also: []*Type{tCollection}}
}

func (l *propertyList) Items() []any {
	var out []any
	for _, p := range Properties(l.of) {
		out = append(out, l.info(p))
	}
	return out
}

func (l *propertyList) info(p Listed) *Object {
	o := New("System.Management.Automation.PS"+string(p.Kind), "System.Management.Automation.PSPropertyInfo", "System.Management.Automation.PSMemberInfo", TObject.Name)
	o.AddProperty(&Property{Name: "MemberType", Value: string(p.Kind)})
	o.AddProperty(&Property{Name: "IsSettable", Value: p.Kind == NoteProperty})
	o.AddProperty(&Property{Name: "IsGettable", Value: true})
	o.AddProperty(&Property{
		Name: "Value",
		Get:  func(*Object) (any, error) { v, _, err := GetMember(l.of, p.Name); return v, err },
		Set:  func(_ *Object, v any) error { return Set(l.of, p.Name, v) },
	})
	o.AddProperty(&Property{Name: "TypeNameOfValue", Get: func(*Object) (any, error) {
		if t := TypeOf(p.Value); t != nil {
			return t.Name, nil
		}
		return TObject.Name, nil
	}})
	o.AddProperty(&Property{Name: "Name", Value: p.Name})
	o.AddProperty(&Property{Name: "IsInstance", Value: p.Kind == NoteProperty})
	o.Text = func() string { return fmt.Sprintf("%s=%s", p.Name, String(p.Value)) }
	return o
}

func (l *propertyList) Index(key any) (any, error) {
	for _, p := range Properties(l.of) {
		if strings.EqualFold(p.Name, String(key)) {
			return l.info(p), nil
		}
	}
	return nil, nil
}

// Listed is a property with its value, as formatting and Get-Member see it.
type Listed struct {
	Name  string
	Kind  MemberKind
	Type  *Type // declared type, nil when unknown
	Value any
	Err   error // of a computed property
}

// Spelling is a visible property's own spelling of its name.
func Spelling(v any, name string) (string, bool) {
	if o, ok := v.(*Object); ok {
		if i := o.at(name); i >= 0 {
			f := o.shape.fields[i]
			return f.name, f.special == nil || !f.special.Hidden && f.special.Kind != Method
		}
		if o.Base == nil {
			return "", false
		}
	}
	for _, p := range Properties(v) {
		if strings.EqualFold(p.Name, name) {
			return p.Name, true
		}
	}
	return "", false
}

// Properties lists the visible properties of v in order: those of the base value first, then its notes. The keys of
// a hashtable are not properties.
func Properties(v any) []Listed {
	switch x := v.(type) {
	case nil:
		return nil
	case *Object:
		var out []Listed
		if x.Base != nil {
			out = Properties(x.Base)
		}
		out = slices.Grow(out, len(x.values))
		for i := range x.values {
			l := Listed{Name: x.shape.fields[i].name, Kind: NoteProperty}
			if p := x.shape.fields[i].special; p != nil {
				if p.Hidden || p.Kind == Method {
					continue
				}
				if p.Kind != "" {
					l.Kind = p.Kind
				}
			}
			l.Value, l.Err = x.value(i)
			out = append(out, l)
		}
		return out
	case Adapted:
		var out []Listed
		for _, m := range x.Members() {
			if m.Kind != Method {
				r, _ := x.Get(m.Name)
				out = append(out, Listed{Name: m.Name, Kind: m.Kind, Value: r})
			}
		}
		return out
	}
	var out []Listed
	for t := TypeOf(v); t != nil; t = t.Base {
		for _, p := range properties(t) {
			out = append(out, Listed{Name: p.name, Kind: DataProperty, Type: p.kind, Value: p.get(v)})
		}
		if t.Elem != nil {
			break
		}
	}
	return out
}

// Members lists properties and methods as Get-Member does, each kind sorted by name.
func Members(v any) []Member {
	var out []Member
	var own []Member
	seen := map[string]bool{}
	add := func(m Member) {
		if k := strings.ToLower(m.Name); !seen[k] {
			seen[k] = true
			out = append(out, m)
		}
	}
	switch x := v.(type) {
	case *Object:
		for _, b := range x.Methods {
			add(Member{b.Name, Method, "System.Object " + b.Name + "(...)"})
		}
		if x.Base != nil {
			for _, m := range Members(x.Base) {
				add(m)
			}
		}
	case Adapted:
		own = x.Members()
	}
	for _, m := range own {
		add(m)
	}
	for t := TypeOf(v); t != nil; t = t.Base {
		for _, m := range methods(t) {
			add(Member{m.name, Method, m.definition()})
		}
	}
	for _, m := range methods(TObject) {
		add(Member{m.name, Method, m.definition()})
	}
	for _, p := range Properties(v) {
		t := p.Type
		if t == nil {
			if t = TypeOf(p.Value); t == nil {
				t = TObject
			}
		}
		def := typeLabel(t) + " " + p.Name
		if p.Kind == NoteProperty {
			def += "=" + noteText(p.Value)
		} else {
			def += " {get;}"
		}
		add(Member{p.Name, p.Kind, def})
	}
	rank := map[MemberKind]int{AliasProperty: 0, Method: 1, NoteProperty: 2, DataProperty: 3, ScriptProperty: 4}
	slices.SortStableFunc(out, func(a, b Member) int {
		if r := rank[a.Kind] - rank[b.Kind]; r != 0 {
			return r
		}
		return CompareStrings(a.Name, b.Name, false)
	})
	return out
}

func noteText(v any) string {
	if v == nil {
		return "null"
	}
	if _, ok := Items(v); ok {
		return TypeOf(v).Name
	}
	return String(v)
}

func typeLabel(t *Type) string {
	if t.Elem != nil && t.Is(TArray) {
		return typeLabel(t.Elem) + "[]"
	}
	if t.Short != "" {
		return t.Short
	}
	return strings.TrimPrefix(t.Name, "System.Management.Automation.")
}
