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
	props   []*Property
	index   map[string]int           // lower-case name to position, made when the bag gets large
	Methods map[string]BoundedMethod // host methods by lower-case name
	Text    func() string            // what ToString gives; nil: the rule for property bags
	Default []string                 // names Format-List and Format-Table use when none are given (DefaultDisplayPropertySet)
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

func (o *Object) find(name string) *Property {
	if o.index != nil {
		if i, ok := o.index[strings.ToLower(name)]; ok {
			return o.props[i]
		}
		return nil
	}
	for _, p := range o.props {
		if strings.EqualFold(p.Name, name) {
			return p
		}
	}
	return nil
}

// Property is the own property with that name, or nil.
func (o *Object) Property(name string) *Property { return o.find(name) }

// Add sets the note property name, adding it at the end when it is new. It returns o, so that bags read as lists.
func (o *Object) Add(name string, value any) *Object {
	if p := o.find(name); p != nil {
		p.Value, p.Get, p.Set = value, nil, nil
		return o
	}
	return o.AddProperty(&Property{Name: name, Value: value})
}

// AddProperty adds p at the end or replaces the property of that name in its place.
func (o *Object) AddProperty(p *Property) *Object {
	for i, old := range o.props {
		if strings.EqualFold(old.Name, p.Name) {
			o.props[i] = p
			return o
		}
	}
	o.props = append(o.props, p)
	if o.index != nil {
		o.index[strings.ToLower(p.Name)] = len(o.props) - 1
	} else if len(o.props) > 12 {
		o.reindex()
	}
	return o
}

func (o *Object) reindex() {
	o.index = make(map[string]int, 2*len(o.props))
	for i, p := range o.props {
		o.index[strings.ToLower(p.Name)] = i
	}
}

// Remove takes the own property away.
func (o *Object) Remove(name string) {
	o.props = slices.DeleteFunc(o.props, func(p *Property) bool { return strings.EqualFold(p.Name, name) })
	if o.index != nil {
		o.reindex()
	}
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
	if p := o.find(name); p != nil {
		if p.Get != nil {
			v, err := p.Get(o)
			return v, true, err
		}
		return p.Value, true, nil
	}
	if o.Base != nil {
		v, ok := property(o.Base, name)
		return v, ok, nil
	}
	return nil, false, nil
}

// Own is the own properties, in order.
func (o *Object) Own() []*Property { return o.props }

// Copy is a bag with the same properties: values are shared, the list is not.
func (o *Object) Copy() *Object {
	c := &Object{Base: o.Base, names: slices.Clone(o.names), Methods: o.Methods, Text: o.Text, Default: o.Default}
	for _, p := range o.props {
		q := *p
		c.props = append(c.props, &q)
	}
	if o.index != nil {
		c.reindex()
	}
	return c
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
