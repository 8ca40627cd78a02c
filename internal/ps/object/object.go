package object

import (
	"slices"
	"strings"
)

// MemberKind says what a member is, in the words of Get-Member.
type MemberKind string

// The kinds of members.
const (
	NoteProperty   MemberKind = "NoteProperty"
	DataProperty   MemberKind = "Property"
	ScriptProperty MemberKind = "ScriptProperty"
	AliasProperty  MemberKind = "AliasProperty"
	Method         MemberKind = "Method"
)

// A Property is one property of an [Object]. Get and Set are for properties that are computed; both nil means Value holds.
type Property struct {
	Name   string
	Kind   MemberKind // "": NoteProperty
	Value  any
	Get    func(this *Object) (any, error)
	Set    func(this *Object, v any) error
	Hidden bool // readable by name, not listed
}

// An Object is a bag of ordered properties with a type-name list; names are compared without case. With a Base it is
// that value plus notes.
type Object struct {
	Base    any // nil: PSCustomObject
	names   []string
	shape   *Shape                   // names of values; nil while there are none
	values  []any                    // of the first properties of shape
	private bool                     // no other object has the shape
	Methods map[string]BoundedMethod // host methods by lower-case name
	Text    func() string            // what ToString gives; nil: the rule for property bags
	Default []string                 // names Format-List and Format-Table use when none are given (DefaultDisplayPropertySet)
}

// A Shape is the type names and property names that many bags have in common: they are kept once. The first bag
// teaches it. A bag that goes another way gets a shape of its own, so that a Shape never changes what bags hold. It is
// for one goroutine at a time, together with its bags.
type Shape struct {
	types  []string
	fields []field
	index  map[string]int // lower-case name to position, made when there are many
}

// A field is a property without its value.
type field struct {
	name    string
	special *Property // nil: a note
}

// maxScan is the number of names that are searched one by one.
const maxScan = 128

// NewShape makes the shape of bags with these type names.
func NewShape(typeNames ...string) *Shape { return &Shape{types: typeNames} }

// New makes an empty bag. It is cheapest when its properties are added in the order of the bags before.
func (s *Shape) New() *Object {
	return &Object{names: s.types, shape: s, values: make([]any, 0, len(s.fields))}
}

func sameName(a, b string) bool {
	n := len(a) - 1
	if n != len(b)-1 || n < 0 {
		return n == len(b)-1
	}
	if x, y := a[n], b[n]; x|y < 0x80 && x|0x20 != y|0x20 { // most names end differently
		return false
	}
	return a == b || strings.EqualFold(a, b)
}

// at is the position of a name among the first n, or -1.
func (s *Shape) at(name string, n int) int {
	if s.index != nil {
		if i, ok := s.index[strings.ToLower(name)]; ok && i < n {
			return i
		}
		return -1
	}
	for i := range s.fields[:n] {
		if sameName(s.fields[i].name, name) {
			return i
		}
	}
	return -1
}

func (s *Shape) append(f field) {
	s.fields = append(s.fields, f)
	switch {
	case s.index != nil:
		s.index[strings.ToLower(f.name)] = len(s.fields) - 1
	case len(s.fields) > maxScan:
		s.index = make(map[string]int, 2*len(s.fields))
		for i := range s.fields {
			s.index[strings.ToLower(s.fields[i].name)] = i
		}
	}
}

// same reports whether g can stand for f. Computed properties may differ in what they captured.
func (f field) same(g field) bool {
	switch {
	case f.name != g.name:
		return false
	case f.special == nil || g.special == nil:
		return f.special == g.special
	}
	x, y := f.special, g.special
	return x.Kind == y.Kind && x.Hidden == y.Hidden && x.Get == nil && y.Get == nil && x.Set == nil && y.Set == nil
}

// A BoundedMethod is a method the host gives to an object.
type BoundedMethod struct {
	Name string
	Call func(c *Context, this *Object, args []any) (any, error) // [Void] when it returns nothing
}

// New makes an empty property bag. Without names it is a PSCustomObject.
func New(typeNames ...string) *Object { return &Object{names: typeNames} }

// TypeNames is the type-name list, most derived first.
func (o *Object) TypeNames() []string {
	if len(o.names) > 0 {
		return o.names
	}
	if o.Base != nil {
		return TypeNames(o.Base)
	}
	return TCustom.Names()
}

// SetTypeNames replaces the type-name list.
func (o *Object) SetTypeNames(names ...string) { o.names = names }

// InsertTypeName puts name at the head of the list.
func (o *Object) InsertTypeName(name string) { o.names = append([]string{name}, o.TypeNames()...) }

func (o *Object) at(name string) int {
	if o.shape == nil {
		return -1
	}
	return o.shape.at(name, len(o.values))
}

// own gives o a shape that no other object has, with only its own fields.
func (o *Object) own() {
	if o.private {
		return
	}
	s := &Shape{}
	if o.shape != nil {
		for _, f := range o.shape.fields[:len(o.values)] {
			s.append(f)
		}
	}
	o.shape, o.private = s, true
}

// push adds a property at the end; no other one has its name.
func (o *Object) push(f field, value any) {
	n := len(o.values)
	if o.shape == nil || n < len(o.shape.fields) && !o.shape.fields[n].same(f) {
		o.own()
	}
	if n == len(o.shape.fields) {
		o.shape.append(f)
	}
	o.values = append(o.values, value)
}

func (o *Object) property(i int) *Property {
	f := o.shape.fields[i]
	if f.special == nil {
		return &Property{Name: f.name, Value: o.values[i]}
	}
	p := *f.special
	p.Value = o.values[i]
	return &p
}

// Property is a copy of the own property with that name, or nil.
func (o *Object) Property(name string) *Property {
	if i := o.at(name); i >= 0 {
		return o.property(i)
	}
	return nil
}

// Add sets the note property name, adding it at the end when it is new. It returns o, so that bags read as lists.
func (o *Object) Add(name string, value any) *Object {
	if n := len(o.values); o.shape != nil && n < len(o.shape.fields) {
		if f := &o.shape.fields[n]; f.special == nil && f.name == name { // as the bags before
			o.values = append(o.values, value)
			return o
		}
	}
	i := o.at(name)
	if i < 0 {
		o.push(field{name: name}, value)
		return o
	}
	if p := o.shape.fields[i].special; p != nil && (p.Get != nil || p.Set != nil) {
		o.own()
		o.shape.fields[i].special = &Property{Name: p.Name, Kind: p.Kind, Hidden: p.Hidden}
	}
	o.values[i] = value
	return o
}

// AddProperty adds p at the end or replaces the property of that name in its place.
func (o *Object) AddProperty(p *Property) *Object {
	f := field{name: p.Name}
	if p.Kind != "" || p.Get != nil || p.Set != nil || p.Hidden {
		f.special = &Property{Name: p.Name, Kind: p.Kind, Get: p.Get, Set: p.Set, Hidden: p.Hidden}
	}
	i := o.at(p.Name)
	if i < 0 {
		o.push(f, p.Value)
		return o
	}
	if !o.shape.fields[i].same(f) {
		o.own()
		o.shape.fields[i] = f
	}
	o.values[i] = p.Value
	return o
}

// Remove takes the own property away.
func (o *Object) Remove(name string) {
	at := o.at(name)
	if at < 0 {
		return
	}
	old := o.shape.fields[:len(o.values)]
	o.shape, o.private = &Shape{}, true
	for i, f := range old {
		if i != at {
			o.shape.append(f)
		}
	}
	o.values = slices.Delete(o.values, at, at+1)
}

// AddMethod gives o a method.
func (o *Object) AddMethod(name string, call func(c *Context, this *Object, args []any) (any, error)) *Object {
	if o.Methods == nil {
		o.Methods = make(map[string]BoundedMethod)
	}
	o.Methods[strings.ToLower(name)] = BoundedMethod{name, call}
	return o
}

// Get is the value of a property, own or of the base.
func (o *Object) Get(name string) (any, bool) {
	v, ok, err := o.get(name)
	return v, ok && err == nil
}

func (o *Object) get(name string) (any, bool, error) {
	if i := o.at(name); i >= 0 {
		v, err := o.value(i)
		return v, true, err
	}
	if o.Base != nil {
		v, ok := property(o.Base, name)
		return v, ok, nil
	}
	return nil, false, nil
}

func (o *Object) value(i int) (any, error) {
	if p := o.shape.fields[i].special; p != nil && p.Get != nil {
		return p.Get(o)
	}
	return o.values[i], nil
}

// Own is copies of the own properties, in order.
func (o *Object) Own() []*Property {
	list := make([]*Property, len(o.values))
	for i := range o.values {
		list[i] = o.property(i)
	}
	return list
}

// Copy is a bag with the same properties: values are shared, the list is not.
func (o *Object) Copy() *Object {
	o.private = false
	c := *o
	c.names, c.values = slices.Clone(o.names), slices.Clone(o.values)
	return &c
}

// Adapted is implemented by host values that have members of their own: the host decides which.
type Adapted interface {
	// TypeNames is the type-name list, most derived first.
	TypeNames() []string
	// Members lists properties and methods in order of display.
	Members() []Member
	// Get is the value of the property; ok is false when there is none.
	Get(name string) (v any, ok bool)
	// Set changes a property; an error that wraps [ErrNoMember] says there is none.
	Set(name string, v any) error
	// Call runs a method; an error that wraps [ErrNoMember] says there is none. [Void] means no result.
	Call(c *Context, name string, args []any) (any, error)
}

// A Member describes a member, as Get-Member lists it.
type Member struct {
	Name       string
	Kind       MemberKind
	Definition string
}

// Void is the result of a method that returns nothing: it writes nothing to the pipeline.
var Void = &void{}

type void struct{}

// Base is the value inside an [Object] that wraps one; other values are themselves.
func Base(v any) any {
	for {
		o, ok := v.(*Object)
		if !ok || o.Base == nil {
			return v
		}
		v = o.Base
	}
}

// Wrap is v as an [Object], to which notes can be added.
func Wrap(v any) *Object {
	if o, ok := v.(*Object); ok {
		return o
	}
	return &Object{Base: v}
}
