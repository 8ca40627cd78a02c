package interp

import (
	"context"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/ps/object"
	"busybridge/internal/ps/syntax"
)

// A Cmdlet does the work of a command. Its exported fields with a ps tag are its parameters. Run is called once for
// each pipeline object after the object has been bound, or once when the command has no input.
//
// The tag is `ps:"Name,option,…"`; options are mandatory, position=N, pipeline=value|name, alias=A|B, set=X|Y,
// default=text, rest (remaining arguments), values=A|B (allowed words), allownull, allowempty, notempty (also not
// null) and wildcard (takes patterns). `help:"…"` documents the parameter. A field of type bool wants a value; a switch is an object.Switch.
// A string type with a method PSType that gives an enumeration takes one of its names.
type Cmdlet interface {
	Run(ctx context.Context, c *Call) error
}

// A Beginner is called before the first object, an Ender after the last.
type (
	Beginner interface {
		Begin(ctx context.Context, c *Call) error
	}
	Ender interface {
		End(ctx context.Context, c *Call) error
	}
)

// A Binder is a parameter type that converts arguments itself. The method has a pointer receiver. With a method
// ParameterType() string it says what help calls it.
type Binder interface{ BindPS(v any) error }

// A Command registers a cmdlet.
type Command struct {
	Name          string
	Module        string
	Aliases       []string
	New           func() Cmdlet // a pointer to a new struct with its defaults
	ShouldProcess bool          // has -WhatIf and -Confirm
	Impact        string        // Low, Medium (default), High: High asks by default
	DefaultSet    string
	Synopsis      string
	Description   string
	Examples      []string
	Links         []string
	// Kind is Cmdlet (the default) or Function, as Get-Command shows it. A function takes the place of a script's.
	Kind string
	// Declared are parameters that are data, beside the fields of the cmdlet; [Call.Arguments] has their values.
	Declared []Param

	params []*Param
}

// Params lists the command's parameters in order of declaration, after registration.
func (c *Command) Params() []*Param { return c.params }

// A Param describes a parameter of a cmdlet or function.
type Param struct {
	Name                  string
	Aliases               []string
	Type                  *object.Type // nil: any object
	Switch                bool
	Mandatory             bool
	Position              int // -1: by name only
	ByValue, ByName, Rest bool
	Whole                 bool     // with Rest: one value that is a collection stays one value
	Sets                  []string // empty: all
	Values                []string
	AllowNull, AllowEmpty bool
	NotEmpty              bool
	Wildcard              bool // * and ? stand for others
	Default               string
	Help                  string
	HasRange              bool
	Min, Max              any
	checks                []func(e *env, v any) error
	field                 []int
	initial               syntax.Expr // default of a function's parameter
	typed                 bool        // a function's parameter with a type
	shown                 string      // what help calls a type that converts arguments itself
	declared              bool        // has no field: Call.Arguments has its value
}

func (p *Param) in(sets []string) bool {
	if len(p.Sets) == 0 || len(sets) == 0 {
		return true
	}
	return slices.ContainsFunc(p.Sets, func(s string) bool { return hasFold(sets, s) })
}

func hasFold(list []string, s string) bool {
	return slices.ContainsFunc(list, func(x string) bool { return strings.EqualFold(x, s) })
}

// goTypes maps the types of fields to the types that arguments are converted to.
var goTypes = map[reflect.Type]*object.Type{
	reflect.TypeFor[string]():               object.TString,
	reflect.TypeFor[int]():                  object.TInt,
	reflect.TypeFor[int32]():                object.TInt,
	reflect.TypeFor[int64]():                object.TLong,
	reflect.TypeFor[float64]():              object.TDouble,
	reflect.TypeFor[bool]():                 object.TBool,
	reflect.TypeFor[object.Switch]():        object.TSwitch,
	reflect.TypeFor[*url.URL]():             object.TURI,
	reflect.TypeFor[uuid.UUID]():            object.TGuid,
	reflect.TypeFor[time.Time]():            object.TDateTime,
	reflect.TypeFor[time.Duration]():        object.TTimeSpan,
	reflect.TypeFor[object.Version]():       object.TVersion,
	reflect.TypeFor[*ScriptBlock]():         object.TScriptBlock,
	reflect.TypeFor[*object.Hashtable]():    object.THashtable,
	reflect.TypeFor[*object.Credential]():   object.TCredential,
	reflect.TypeFor[*object.SecureString](): object.TSecureString,
	reflect.TypeFor[byte]():                 object.TByte,
}

// Register adds commands; a later one replaces an earlier one of the same name.
func (s *Session) Register(commands ...Command) error {
	for i := range commands {
		c := commands[i]
		if err := c.describe(); err != nil {
			return err
		}
		if c.Kind == "Function" {
			delete(s.functions, strings.ToLower(c.Name))
		}
		s.commands[strings.ToLower(c.Name)] = &c
		for _, a := range c.Aliases {
			s.aliases[strings.ToLower(a)] = c.Name
		}
	}
	return nil
}

// Unregister takes a command away.
func (s *Session) Unregister(name string) { delete(s.commands, strings.ToLower(name)) }

// Lookup is the registered command of that name or alias, nil when there is none.
func (s *Session) Lookup(name string) *Command {
	low := strings.ToLower(name)
	if a, ok := s.aliases[low]; ok {
		low = strings.ToLower(a)
	}
	return s.commands[low]
}

// Commands lists the registered commands by name.
func (s *Session) Commands() []*Command {
	list := make([]*Command, 0, len(s.commands))
	for _, c := range s.commands {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *Command) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	return list
}

func (c *Command) describe() error {
	if c.Name == "" || c.New == nil {
		return fmt.Errorf("%w: command %q", ErrConfig, c.Name)
	}
	t := reflect.TypeOf(c.New())
	if t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("%w: command %s is no pointer to a struct", ErrConfig, c.Name)
	}
	c.params = nil
	for i := range c.Declared {
		p := c.Declared[i]
		if p.Name == "" {
			return fmt.Errorf("%w: %s declares a parameter without a name", ErrConfig, c.Name)
		}
		p.Switch = p.Switch || p.Type == object.TSwitch
		p.declared = true
		c.params = append(c.params, &p)
	}
	return c.fields(t.Elem(), nil)
}

func (c *Command) fields(t reflect.Type, index []int) error {
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(slices.Clone(index), i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			if err := c.fields(f.Type, at); err != nil {
				return err
			}
			continue
		}
		tag, ok := f.Tag.Lookup("ps")
		if !ok {
			continue
		}
		p, err := readTag(tag, f.Tag.Get("help"))
		if err == nil {
			p.field = at
			err = p.goType(f.Type)
		}
		if err != nil {
			return fmt.Errorf("%w: %s.%s: %w", ErrConfig, c.Name, f.Name, err)
		}
		c.params = append(c.params, p)
	}
	return nil
}

func readTag(tag, help string) (*Param, error) {
	parts := strings.Split(tag, ",")
	p := &Param{Name: parts[0], Position: -1, Help: help}
	for _, opt := range parts[1:] {
		key, value, _ := strings.Cut(opt, "=")
		list := strings.Split(value, "|")
		switch key {
		case "mandatory":
			p.Mandatory = true
		case "position":
			n, err := strconv.Atoi(value)
			if err != nil {
				return nil, err
			}
			p.Position = n
		case "pipeline":
			p.ByValue, p.ByName = slices.Contains(list, "value"), slices.Contains(list, "name")
		case "alias":
			p.Aliases = list
		case "set":
			p.Sets = list
		case "default":
			p.Default = value
		case "rest":
			p.Rest = true
		case "values":
			p.Values = list
		case "allownull":
			p.AllowNull = true
		case "allowempty":
			p.AllowEmpty = true
		case "notempty":
			p.NotEmpty = true
		case "wildcard":
			p.Wildcard = true
		default:
			return nil, fmt.Errorf("unknown option %q", key)
		}
	}
	if p.Name == "" {
		return nil, fmt.Errorf("parameter without a name")
	}
	return p, nil
}

func (p *Param) goType(t reflect.Type) error {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[Binder]()) || t.Implements(reflect.TypeFor[Binder]()) {
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if n, ok := reflect.New(t).Interface().(interface{ ParameterType() string }); ok {
			p.shown = n.ParameterType()
		}
		return nil
	}
	if ty, ok := goTypes[t]; ok {
		p.Type, p.Switch = ty, ty == object.TSwitch
		return nil
	}
	switch t.Kind() {
	case reflect.String:
		// A kind of string whose type is an enumeration takes its members.
		if e, ok := reflect.Zero(t).Interface().(object.Typed); ok {
			p.Type = e.PSType()
			return nil
		}
	case reflect.Pointer:
		return p.goType(t.Elem())
	case reflect.Interface:
		return nil
	case reflect.Slice:
		q := *p
		if err := q.goType(t.Elem()); err != nil {
			return err
		}
		elem := q.Type
		if elem == nil {
			elem = object.TObject
		}
		p.Type = object.ArrayOf(elem)
		return nil
	}
	return fmt.Errorf("parameters of type %s are not possible", t)
}

// setField stores a converted value in a field.
func setField(f reflect.Value, v any) error {
	if f.CanAddr() {
		if b, ok := f.Addr().Interface().(Binder); ok {
			return b.BindPS(v)
		}
	}
	if f.Kind() == reflect.Pointer && f.Type().Implements(reflect.TypeFor[Binder]()) {
		if v == nil {
			f.SetZero()
			return nil
		}
		f.Set(reflect.New(f.Type().Elem()))
		return f.Interface().(Binder).BindPS(v)
	}
	if v == nil {
		f.SetZero()
		return nil
	}
	if f.Kind() == reflect.Interface {
		f.Set(reflect.ValueOf(v))
		return nil
	}
	b := object.Base(v)
	rv := reflect.ValueOf(b)
	switch {
	case rv.Type().AssignableTo(f.Type()):
		f.Set(rv)
	case f.Kind() == reflect.Int:
		n, err := object.Convert(b, object.TLong)
		if err != nil {
			return err
		}
		f.SetInt(n.(int64))
	case f.Kind() == reflect.String:
		f.SetString(object.String(b))
	case f.Kind() == reflect.Pointer:
		e := reflect.New(f.Type().Elem())
		if err := setField(e.Elem(), v); err != nil {
			return err
		}
		f.Set(e)
	case f.Kind() == reflect.Slice:
		items, ok := object.Items(b)
		if !ok {
			items = []any{v}
		}
		out := reflect.MakeSlice(f.Type(), len(items), len(items))
		for i, item := range items {
			if err := setField(out.Index(i), item); err != nil {
				return err
			}
		}
		f.Set(out)
	default:
		return fmt.Errorf("cannot convert %s to %s", object.TypeOf(b), f.Type())
	}
	return nil
}

// A ScriptBlock is code as a value.
type ScriptBlock struct {
	script *syntax.Script
	scope  *Scope // of a closure, else nil
}

// PSType is the type of script blocks.
func (b *ScriptBlock) PSType() *object.Type { return object.TScriptBlock }

// String is the text between the braces.
func (b *ScriptBlock) String() string { return b.script.Text }

// Script is the tree of the block.
func (b *ScriptBlock) Script() *syntax.Script { return b.script }

// closure is b with a copy of the variables of scope.
func (b *ScriptBlock) closure(scope *Scope) *ScriptBlock {
	c := newScope(scope.root())
	for k, v := range scope.vars {
		copied := *v
		c.vars[k] = &copied
	}
	return &ScriptBlock{script: b.script, scope: c}
}

func (s *Session) newBlock(text string) (*ScriptBlock, error) {
	script, err := syntax.Parse("", text)
	if err != nil {
		if pe, ok := err.(*syntax.ParseError); ok {
			return nil, ParseRecord(pe)
		}
		return nil, err
	}
	return &ScriptBlock{script: script}, nil
}

// A function is a defined function with its parameters.
type function struct {
	name          string
	script        *syntax.Script
	filter        bool
	params        []*Param
	advanced      bool
	shouldProcess bool
	impact        string
	defaultSet    string
	noPositional  bool
}

func (e *env) newFunction(name string, script *syntax.Script, filter bool) (*function, error) {
	f := &function{name: name, script: script, filter: filter}
	for _, a := range script.Attributes {
		switch attributeName(a.Name) {
		case "cmdletbinding":
			f.advanced = true
			for _, arg := range a.Args {
				v, err := e.attrValue(arg)
				if err != nil {
					return nil, err
				}
				switch strings.ToLower(arg.Name) {
				case "supportsshouldprocess":
					f.shouldProcess = object.Bool(v)
				case "confirmimpact":
					f.impact = object.String(v)
				case "defaultparametersetname":
					f.defaultSet = object.String(v)
				case "positionalbinding":
					f.noPositional = !object.Bool(v)
				}
			}
		case "outputtype", "alias", "diagnostics.codeanalysis.suppressmessage", "system.diagnostics.codeanalysis.suppressmessage":
		default:
			return nil, object.UnknownType(a.Name)
		}
	}
	for i, q := range script.Params {
		p := &Param{Name: q.Name, Position: i, initial: q.Default}
		if q.Type != nil {
			t, err := e.typeOf(q.Type)
			if err != nil {
				return nil, err
			}
			p.Type, p.Switch, p.typed = t, t == object.TSwitch, true
			if t == object.TObject {
				p.Type = nil
			}
			if p.Switch {
				p.Position = -1
			}
		}
		explicit := false
		for _, a := range q.Attributes {
			was, err := e.paramAttribute(p, a)
			if err != nil {
				return nil, err
			}
			if was {
				f.advanced, explicit = true, true
			}
		}
		if f.noPositional && explicit && p.Position == i {
			p.Position = -1
		}
		f.params = append(f.params, p)
	}
	// When one parameter has a position of its own, the others have none.
	for _, q := range script.Params {
		if hasPosition(q) {
			for i, other := range script.Params {
				if !hasPosition(other) {
					f.params[i].Position = -1
				}
			}
			break
		}
	}
	return f, nil
}

func hasPosition(q *syntax.Param) bool {
	for _, a := range q.Attributes {
		for _, arg := range a.Args {
			if strings.EqualFold(arg.Name, "Position") {
				return true
			}
		}
	}
	return false
}

func attributeName(s string) string {
	s = strings.ToLower(s)
	s = strings.TrimPrefix(s, "system.management.automation.")
	return strings.TrimSuffix(s, "attribute")
}

func (e *env) attrValue(a syntax.AttrArg) (any, error) {
	if a.Value == nil {
		return true, nil
	}
	return e.eval(a.Value)
}

func (e *env) paramAttribute(p *Param, a *syntax.Attribute) (parameter bool, err error) {
	var args []any
	for _, arg := range a.Args {
		v, err := e.attrValue(arg)
		if err != nil {
			return false, err
		}
		if arg.Name == "" || arg.Value == nil && attributeName(a.Name) != "parameter" {
			args = append(args, v)
			continue
		}
		if attributeName(a.Name) != "parameter" {
			continue
		}
		switch strings.ToLower(arg.Name) {
		case "mandatory":
			p.Mandatory = p.Mandatory || object.Bool(v)
		case "position":
			n, err := object.Convert(v, object.TInt)
			if err != nil {
				return false, err
			}
			p.Position = int(n.(int32))
		case "valuefrompipeline":
			p.ByValue = object.Bool(v)
		case "valuefrompipelinebypropertyname":
			p.ByName = object.Bool(v)
		case "valuefromremainingarguments":
			p.Rest = object.Bool(v)
		case "parametersetname":
			p.Sets = append(p.Sets, object.String(v))
		case "helpmessage":
			p.Help = object.String(v)
		}
	}
	switch attributeName(a.Name) {
	case "parameter":
		return true, nil
	case "alias":
		for _, v := range args {
			p.Aliases = append(p.Aliases, object.String(v))
		}
	case "validateset":
		for _, v := range args {
			p.Values = append(p.Values, object.String(v))
		}
	case "validatenotnullorempty", "validatenotnull":
		p.NotEmpty = true
	case "allownull":
		p.AllowNull = true
	case "allowemptystring", "allowemptycollection":
		p.AllowEmpty = true
	case "validaterange":
		if len(args) == 2 {
			p.HasRange, p.Min, p.Max = true, args[0], args[1]
		}
	case "validatepattern":
		if len(args) > 0 {
			pattern := object.String(args[0])
			p.checks = append(p.checks, func(_ *env, v any) error {
				ok, err := object.Comparison{Name: "match"}.Holds(object.String(v), pattern)
				if err == nil && !ok {
					err = fmt.Errorf("The argument \"%s\" does not match the \"%s\" pattern. Supply an argument that matches \"%s\" and try the command again.", object.String(v), pattern, pattern) // shown as it stands
				}
				return err
			})
		}
	case "validatelength", "validatecount":
		if len(args) == 2 {
			count := attributeName(a.Name) == "validatecount"
			p.checks = append(p.checks, func(_ *env, v any) error { return checkSize(v, args[0], args[1], count) })
		}
	case "validatescript":
		if len(args) > 0 {
			sb, ok := object.Base(args[0]).(*ScriptBlock)
			if !ok {
				break
			}
			p.checks = append(p.checks, func(e *env, v any) error {
				got, err := e.block(sb, v, nil)
				if err == nil && !object.Bool(object.Collapse(got)) {
					err = fmt.Errorf("The \"%s\" validation script for the argument with value \"%s\" did not return a result of True. Determine why the validation script failed, and then try the command again.", sb, object.String(v)) // shown as it stands
				}
				return err
			})
		}
	case "credential", "system.management.automation.credential", "argumentcompleter", "supportswildcards":
	default:
		return false, object.UnknownType(a.Name)
	}
	return false, nil
}

func checkSize(v, low, high any, count bool) error {
	n := int32(len([]rune(object.String(v))))
	word := "character length"
	if count {
		items, ok := object.Items(v)
		if !ok {
			items = []any{v}
		}
		n, word = int32(len(items)), "number of provided arguments"
	}
	if c, err := object.Compare(n, low, false); err != nil || c < 0 {
		return fmt.Errorf("The %s (%d) is smaller than the minimum, %s.", word, n, object.String(low)) // shown as it stands
	}
	if c, err := object.Compare(n, high, false); err != nil || c > 0 {
		return fmt.Errorf("The %s (%d) is larger than the maximum, %s.", word, n, object.String(high)) // shown as it stands
	}
	return nil
}
