package interp

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"busybridge/internal/ps/object"
)

func commonParam(name, alias string, t *object.Type) *Param {
	return &Param{Name: name, Aliases: []string{alias}, Type: t, Switch: t == object.TSwitch, Position: -1, AllowNull: true, AllowEmpty: true}
}

// The common parameters (7.3). They are shared and never change.
var commonParams = []*Param{
	commonParam("Verbose", "vb", object.TSwitch), commonParam("Debug", "db", object.TSwitch),
	commonParam("ErrorAction", "ea", object.TActionPreference), commonParam("WarningAction", "wa", object.TActionPreference),
	commonParam("InformationAction", "infa", object.TActionPreference), commonParam("ErrorVariable", "ev", object.TString),
	commonParam("WarningVariable", "wv", object.TString), commonParam("InformationVariable", "iv", object.TString),
	commonParam("OutVariable", "ov", object.TString), commonParam("OutBuffer", "ob", object.TInt), commonParam("PipelineVariable", "pv", object.TString),
}

var processParams = []*Param{commonParam("WhatIf", "wi", object.TSwitch), commonParam("Confirm", "cf", object.TSwitch)}

// CommonParams lists the parameters that commands have beside their own.
func CommonParams(shouldProcess bool) []*Param {
	if shouldProcess {
		return slices.Concat(commonParams, processParams)
	}
	return slices.Clone(commonParams)
}

// An argument as it was evaluated.
type argument struct {
	name  string // of a parameter, "" for a value
	value any
	given bool // a value belongs to the name
	// written is a number as it stands in the text, where the value is one: a
	// parameter that takes text gets 007 and not 7.
	written string
}

// of is the value for p.
func (a argument) of(p *Param) any {
	if a.written == "" {
		return a.value
	}
	t := p.Type
	if t != nil && t.Elem != nil {
		t = t.Elem
	}
	if t == object.TString || t == nil && p.shown != "" {
		return a.written
	}
	return a.value
}

// A binding is the arguments of one call on their way to its parameters.
type binding struct {
	e        *env
	command  string
	params   []*Param
	common   []*Param
	advanced bool // refuses what it does not know
	script   bool // a function: types of arrays are joined when not advanced
	defSet   string
	values   map[*Param]any
	order    []*Param
	extra    []any
	sets     []string // candidates; nil: no sets
	prompted bool
}

func bindError(id, format string, args ...any) *object.ErrorRecord {
	return object.NewError(id, object.InvalidArgument, object.TParameterBinding, format, args...)
}

// all is the command's parameters and the common ones.
func (b *binding) all() []*Param { return slices.Concat(b.params, b.common) }

func (b *binding) find(name string) (*Param, error) {
	all := b.all()
	for _, p := range all {
		if strings.EqualFold(p.Name, name) || hasFold(p.Aliases, name) {
			return p, nil
		}
	}
	var found []*Param
	for _, p := range all {
		match := hasPrefixFold(p.Name, name)
		for _, a := range p.Aliases {
			match = match || hasPrefixFold(a, name)
		}
		if match {
			found = append(found, p)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		// A parameter of the command wins over the common ones.
		var names strings.Builder
		for _, p := range found {
			names.WriteString(" -" + p.Name)
		}
		return nil, bindError("AmbiguousParameter", "Parameter cannot be processed because the parameter name '%s' is ambiguous. Possible matches include:%s.", name, names.String())
	}
	return nil, nil
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// bind takes the arguments: named ones first, then by position.
func (b *binding) bind(args []argument) error {
	b.values = map[*Param]any{}
	for _, p := range b.params {
		for _, s := range p.Sets {
			if !hasFold(b.sets, s) {
				b.sets = append(b.sets, s)
			}
		}
	}
	var rest []argument
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a.name == "" {
			rest = append(rest, a)
			continue
		}
		p, err := b.find(a.name)
		if err != nil {
			return err
		}
		if p == nil {
			if b.advanced {
				r := bindError("NamedParameterNotFound", "A parameter cannot be found that matches parameter name '%s'.", a.name)
				return r
			}
			rest = append(rest, argument{value: "-" + a.name})
			if a.given {
				rest = append(rest, argument{value: a.value})
			}
			continue
		}
		if _, ok := b.values[p]; ok {
			return bindError("ParameterAlreadyBound", "Cannot bind parameter because parameter '%s' is specified more than once. To provide multiple values to parameters that can accept multiple values, use the array syntax. For example, \"-parameter value1,value2,value3\".", p.Name)
		}
		v := a.of(p)
		switch {
		case a.given:
		case p.Switch:
			v = object.Switch(true)
		case i+1 < len(args) && args[i+1].name == "":
			i++
			v = args[i].of(p)
		default:
			return bindError("MissingArgument", "Missing an argument for parameter '%s'. Specify a parameter of type '%s' and try again.", p.Name, typeName(p))
		}
		if err := b.set(p, v); err != nil {
			return err
		}
	}
	return b.positional(rest)
}

func typeName(p *Param) string {
	if p.Type == nil {
		return "System.Object"
	}
	return p.Type.Name
}

func (b *binding) positional(rest []argument) error {
	for len(rest) > 0 {
		// The lowest free position; where several sets share it, the type decides.
		var best []*Param
		for _, p := range b.params {
			if _, ok := b.values[p]; ok || p.Position < 0 || p.Rest || !p.in(b.sets) {
				continue
			}
			switch {
			case len(best) == 0 || p.Position < best[0].Position:
				best = []*Param{p}
			case p.Position == best[0].Position:
				best = append(best, p)
			}
		}
		if len(best) == 0 {
			break
		}
		p := best[0]
		for _, c := range best {
			if direct(c, rest[0].value) {
				p = c
				break
			}
		}
		if !direct(p, rest[0].value) {
			for _, c := range best {
				if c.in([]string{b.defSet}) && b.defSet != "" && c.Type != object.TScriptBlock {
					p = c
				}
			}
			if p.Type == object.TScriptBlock {
				for _, c := range best {
					if c.Type != object.TScriptBlock {
						p = c
						break
					}
				}
			}
		}
		if err := b.set(p, rest[0].of(p)); err != nil {
			return err
		}
		rest = rest[1:]
	}
	for _, p := range b.params {
		if p.Rest && len(rest) > 0 && p.in(b.sets) {
			if _, ok := b.values[p]; ok {
				continue
			}
			var items []any
			for _, a := range rest {
				items = append(items, a.value)
			}
			v := any(object.NewArray(items...))
			if len(items) == 1 && !p.Whole {
				v = items[0]
			}
			if err := b.set(p, v); err != nil {
				return err
			}
			rest = nil
		}
	}
	if len(rest) > 0 {
		if b.advanced {
			return bindError("PositionalParameterNotFound", "A positional parameter cannot be found that accepts argument '%s'.", object.String(rest[0].value))
		}
		for _, a := range rest {
			b.extra = append(b.extra, a.value)
		}
	}
	return nil
}

// direct reports whether v fits p without a conversion.
func direct(p *Param, v any) bool {
	if p.Type == nil {
		return true
	}
	if v == nil {
		return false
	}
	if object.IsA(v, p.Type) {
		return true
	}
	if p.Type.Elem != nil && p.Type.Is(object.TArray) {
		if p.Type.Elem == object.TObject {
			return true
		}
		items, ok := object.Items(v)
		if !ok {
			items = []any{v}
		}
		for _, x := range items {
			if !object.IsA(x, p.Type.Elem) {
				return false
			}
		}
		return len(items) > 0
	}
	return false
}

// set converts and checks v and gives it to p.
func (b *binding) set(p *Param, v any) error {
	v, err := b.convert(p, v)
	if err != nil {
		return err
	}
	b.values[p] = v
	b.order = append(b.order, p)
	if len(p.Sets) > 0 && len(b.sets) > 0 {
		var left []string
		for _, s := range b.sets {
			if hasFold(p.Sets, s) {
				left = append(left, s)
			}
		}
		if left == nil {
			return bindError("AmbiguousParameterSet", "Parameter set cannot be resolved using the specified named parameters.")
		}
		b.sets = left
	}
	return nil
}

func (b *binding) convert(p *Param, v any) (any, error) {
	if v == object.Void {
		v = nil
	}
	c := v
	var err error
	switch {
	case p.Type == nil:
	case p.Type == object.TScriptBlock:
		if _, ok := object.Base(v).(*ScriptBlock); !ok && v != nil {
			err = object.NewError("CannotConvertArgument", object.InvalidArgument, nil, "Cannot convert the \"%s\" value of type \"%s\" to type \"%s\".", object.String(v), object.TypeOf(v).Name, p.Type.Name)
		}
	case v == nil && (p.Type != object.TBool && p.Type != object.TSwitch) && !b.script:
		// A cmdlet's parameter keeps null; setField makes the zero value of it.
	case p.Type == object.TString:
		if _, ok := object.Items(v); ok && b.advanced {
			err = object.NewError("ParameterArgumentTransformationError", object.InvalidData, nil, "Cannot convert value to type System.String.")
		} else if ok {
			c = b.e.text(v)
		} else {
			c, err = object.ConvertArgument(v, p.Type)
		}
	case p.Type.Elem != nil && p.Type.Elem == object.TScriptBlock:
	default:
		c, err = object.ConvertArgument(v, p.Type)
	}
	if err != nil {
		inner := object.AsRecord(err)
		r := object.NewError("ParameterArgumentTransformationError", object.InvalidData, object.TArgumentTransform, "Cannot process argument transformation on parameter '%s'. %s", p.Name, inner.Message())
		r.Exception.Inner = inner.Exception
		return nil, r
	}
	return c, b.check(p, c)
}

func (b *binding) check(p *Param, v any) error {
	invalid := func(format string, args ...any) error {
		return object.NewError("ParameterArgumentValidationError", object.InvalidData, object.TParameterValidation,
			"Cannot validate argument on parameter '%s'. %s", p.Name, fmt.Sprintf(format, args...))
	}
	null := func(what string) error {
		return object.NewError("ParameterArgumentValidationError"+what, object.InvalidData, object.TParameterValidation,
			"Cannot bind argument to parameter '%s' because it is %s.", p.Name, what)
	}
	items, isList := object.Items(v)
	s, isString := object.Base(v).(string)
	switch {
	case p.NotEmpty && v == nil:
		return invalid("The argument is null or empty. Provide an argument that is not null or empty, and then try the command again.")
	case p.NotEmpty && (isString && s == "" || isList && len(items) == 0):
		return invalid("The argument is null or empty. Provide an argument that is not null or empty, and then try the command again.")
	case p.Mandatory && v == nil && !p.AllowNull:
		return renamed(null("null"), "ParameterArgumentValidationErrorNullNotAllowed")
	case p.Mandatory && isString && s == "" && !p.AllowEmpty:
		return renamed(null("an empty string"), "ParameterArgumentValidationErrorEmptyStringNotAllowed")
	case p.Mandatory && isList && len(items) == 0 && !p.AllowEmpty && p.Type != nil:
		return renamed(null("an empty collection"), "ParameterArgumentValidationErrorEmptyCollectionNotAllowed")
	}
	if !isList {
		items = []any{v}
	}
	for _, item := range items {
		if len(p.Values) > 0 && !hasFold(p.Values, object.String(item)) {
			return invalid("The argument \"%s\" does not belong to the set \"%s\" specified by the ValidateSet attribute. Supply an argument that is in the set and then try the command again.", object.String(item), strings.Join(p.Values, ","))
		}
		if p.HasRange {
			if c, err := object.Compare(item, p.Max, false); err != nil || c > 0 {
				return invalid("The %s argument is greater than the maximum allowed range of %s. Supply an argument that is less than or equal to %s and then try the command again.", object.String(item), object.String(p.Max), object.String(p.Max))
			}
			if c, err := object.Compare(item, p.Min, false); err != nil || c < 0 {
				return invalid("The %s argument is less than the minimum allowed range of %s. Supply an argument that is greater than or equal to %s and then try the command again.", object.String(item), object.String(p.Min), object.String(p.Min))
			}
		}
		for _, check := range p.checks {
			if err := check(b.e, item); err != nil {
				if passes(err) {
					return err
				}
				return invalid("%s", object.AsRecord(err).Message())
			}
		}
	}
	return nil
}

func renamed(err error, id string) error {
	r := err.(*object.ErrorRecord)
	r.ID = id
	return r
}

// finish checks that nothing mandatory is missing. piped means that input will still be bound.
func (b *binding) finish(piped bool) error {
	sets := b.sets
	if len(sets) > 1 && hasFold(sets, b.defSet) {
		sets = []string{b.defSet}
	} else if len(sets) > 1 {
		// The sets whose mandatory parameters are all there.
		var whole []string
		for _, s := range sets {
			if len(b.missing([]string{s}, piped)) == 0 {
				whole = append(whole, s)
			}
		}
		if len(whole) > 0 {
			sets = whole[:1]
		} else {
			sets = sets[:1]
		}
	}
	missing := b.missing(sets, piped)
	if len(missing) == 0 {
		return nil
	}
	if b.e.s.cfg.Prompt != nil && !b.prompted {
		b.prompted = true
		return b.ask(missing)
	}
	var names strings.Builder
	for _, p := range missing {
		names.WriteString(" " + p.Name)
	}
	return bindError("MissingMandatoryParameter", "Cannot process command because of one or more missing mandatory parameters:%s.", names.String())
}

// ask asks the person for mandatory parameters (cmdlet reference 18).
func (b *binding) ask(missing []*Param) error {
	prompt, ctx := b.e.s.cfg.Prompt, b.e.ctx
	text := fmt.Sprintf("\ncmdlet %s at command pipeline position %d\nSupply values for the following parameters:\n", b.command, b.e.index+1)
	if b.script && slices.ContainsFunc(missing, func(p *Param) bool { return p.Help != "" }) {
		text += "(Type !? for Help.)\n"
	}
	line := func(name string, read func(context.Context, string) (string, error), p *Param) (string, error) {
		for {
			s, err := read(ctx, text+name+": ")
			text = ""
			if err != nil || s != "!?" {
				return s, err
			}
			if text = p.Help + "\n"; p.Help == "" {
				text = "There is no help for " + p.Name + ".\n"
			}
		}
	}
	for _, p := range missing {
		var v any
		var err error
		switch {
		case p.Type == object.TSecureString:
			var s string
			s, err = line(p.Name, prompt.Secret, p)
			v = object.NewSecureString(s)
		case p.Type == object.TCredential:
			var user, password string
			if user, err = line("User", prompt.Line, p); err == nil {
				password, err = prompt.Secret(ctx, "Password for user "+user+": ")
			}
			v = &object.Credential{UserName: user, Password: object.NewSecureString(password)}
		case p.Type != nil && p.Type.Elem != nil && p.Type.Is(object.TArray): // element by element, to an empty line
			list := object.NewArray()
			for s := "-"; s != "" && err == nil; {
				if s, err = line(fmt.Sprintf("%s[%d]", p.Name, len(list.Items)), prompt.Line, p); s != "" {
					list.Items = append(list.Items, s)
				}
			}
			v = list
		default:
			var s string
			s, err = line(p.Name, prompt.Line, p)
			if v = s; p.Type == object.TBool || p.Switch {
				if on, ok := boolWords[strings.ToLower(s)]; ok {
					v = on
				}
			}
		}
		if err != nil {
			return err
		}
		if err := b.set(p, v); err != nil {
			return err
		}
	}
	return nil
}

// boolWords are the answers that mean a Boolean.
var boolWords = map[string]bool{"$true": true, "true": true, "$false": false, "false": false}

func (b *binding) missing(sets []string, piped bool) []*Param {
	var list []*Param
	for _, p := range b.params {
		if _, ok := b.values[p]; ok || !p.Mandatory || !p.in(sets) || piped && (p.ByValue || p.ByName) {
			continue
		}
		list = append(list, p)
	}
	return list
}

// input binds one pipeline object; it gives the values for this object only.
func (b *binding) input(v any) (map[*Param]any, error) {
	got := map[*Param]any{}
	takes := false
	var firstErr error
	for _, p := range b.params {
		if _, ok := b.values[p]; ok || !p.ByValue && !p.ByName || !p.in(b.sets) {
			continue
		}
		takes = true
		var prop any
		named := false
		if p.ByName && v != nil {
			for _, n := range append([]string{p.Name}, p.Aliases...) {
				if prop, named = ownProperty(v, n); named {
					break
				}
			}
		}
		switch {
		case p.ByValue && direct(p, v):
			named, prop = true, v
		case named && direct(p, prop):
		case p.ByValue && (!named || v == nil):
			named, prop = true, v
		}
		if !named {
			continue
		}
		c, err := b.convert(p, prop)
		if err != nil {
			if firstErr == nil {
				firstErr = err
			}
			continue
		}
		got[p] = c
	}
	if len(got) == 0 {
		if firstErr != nil && takes {
			if r := object.AsRecord(firstErr); v == nil || strings.HasPrefix(r.ID, "ParameterArgumentValidationError") {
				return nil, firstErr
			}
		}
		r := object.NewError("InputObjectNotBound", object.InvalidArgument, object.TParameterBinding,
			"The input object cannot be bound to any parameters for the command either because the command does not take pipeline input or the input and its properties do not match any of the parameters that take pipeline input.")
		r.Target = v
		return nil, r
	}
	return got, nil
}

// ownProperty is a property of one object, without member enumeration.
func ownProperty(v any, name string) (any, bool) {
	if _, ok := object.Items(v); ok {
		return nil, false
	}
	if h, ok := object.Base(v).(*object.Hashtable); ok {
		return h.Get(name)
	}
	return object.Get(v, name)
}
