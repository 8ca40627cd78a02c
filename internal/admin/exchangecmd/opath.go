package exchangecmd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"busybridge/internal/ps/object"
)

// Limits of a filter.
const (
	maxFilterLength = 10000 // bytes
	maxFilterDepth  = 50    // parentheses and -not inside each other
)

// A filter is the condition of a -Filter parameter (OPATH, 12.1): comparisons of
// properties with constants, joined by -and, -or, -not and parentheses.
type filter interface {
	// holds decides with the properties that get gives; they have all been checked by parseFilter.
	holds(get func(name string) any) bool
	// String is the filter in canonical form, which parses to the same filter.
	String() string
}

type (
	// joined is several filters with -and or -or between them.
	joined struct {
		or    bool
		parts []filter
	}
	negated    struct{ filter }
	comparison struct {
		property, op string  // op in lower case without dash
		written      any     // the constant: string, bool or nil
		value        any     // it in the property's type
		pattern      *string // of -like, for object.Like
	}
)

// A filterError is a filter that cannot be used; Position counts from 1.
type filterError struct {
	Filter   string
	Position int
	Problem  string
}

func (e *filterError) Error() string {
	return fmt.Sprintf("%s For a description of the filter parameter syntax see the command help. \"%s\" at position %d.", e.Problem, e.Filter, e.Position)
}

// filterScope is what a filter may name.
type filterScope struct {
	// sample is a value of the property's type: string, bool, int32 or time.Time; ok is false when there is no such property.
	sample   func(property string) (v any, ok bool)
	variable func(name string) any // value of $name in the caller's scope; nil: there is none
}

// parseFilter reads a filter. -and and -or do not mix without parentheses: which
// of them would bind tighter is documented nowhere.
func parseFilter(text string, scope filterScope) (filter, error) {
	p := &filterParser{text: text, scope: scope}
	if len(text) > maxFilterLength {
		return nil, p.bad("The filter is too long.")
	}
	f, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	if p.blank(); p.at < len(text) {
		return nil, p.bad("Invalid filter syntax.")
	}
	return f, nil
}

type filterParser struct {
	text  string
	at    int
	scope filterScope
}

func (p *filterParser) bad(problem string) error {
	return &filterError{Filter: p.text, Position: p.at + 1, Problem: problem}
}

func (p *filterParser) blank() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// operator reads -name when it is one of names.
func (p *filterParser) operator(names ...string) (string, bool) {
	p.blank()
	rest := p.text[p.at:]
	if !strings.HasPrefix(rest, "-") {
		return "", false
	}
	n := 1 + wordLength(rest[1:])
	for _, name := range names {
		if strings.EqualFold(rest[1:n], name) {
			p.at += n
			return name, true
		}
	}
	return "", false
}

// wordLength is the length of the name that s begins with.
func wordLength(s string) int {
	for i := range len(s) {
		if c := s[i] | 0x20; (c < 'a' || c > 'z') && (s[i] < '0' || s[i] > '9') && s[i] != '_' {
			return i
		}
	}
	return len(s)
}

func (p *filterParser) expression(depth int) (filter, error) {
	first, err := p.operand(depth)
	if err != nil {
		return nil, err
	}
	j := &joined{parts: []filter{first}}
	for {
		op, ok := p.operator("and", "or")
		switch {
		case !ok && len(j.parts) == 1:
			return first, nil
		case !ok:
			return j, nil
		case len(j.parts) > 1 && (op == "or") != j.or:
			return nil, p.bad("-and and -or need parentheses that say which belongs together.")
		}
		j.or = op == "or"
		next, err := p.operand(depth)
		if err != nil {
			return nil, err
		}
		j.parts = append(j.parts, next)
	}
}

func (p *filterParser) operand(depth int) (filter, error) {
	if depth > maxFilterDepth {
		return nil, p.bad("The filter is nested too deep.")
	}
	p.blank()
	not := false
	if strings.HasPrefix(p.text[p.at:], "!") {
		p.at++
		not = true
	} else {
		_, not = p.operator("not")
	}
	if not {
		f, err := p.operand(depth + 1)
		if err != nil {
			return nil, err
		}
		return negated{f}, nil
	}
	if !strings.HasPrefix(p.text[p.at:], "(") {
		return p.comparison()
	}
	p.at++
	f, err := p.expression(depth + 1)
	if err != nil {
		return nil, err
	}
	if p.blank(); !strings.HasPrefix(p.text[p.at:], ")") {
		return nil, p.bad("Invalid filter syntax: a closing parenthesis is missing.")
	}
	p.at++
	return f, nil
}

func (p *filterParser) comparison() (filter, error) {
	start := p.at
	n := wordLength(p.text[p.at:])
	if n == 0 {
		return nil, p.bad("Invalid filter syntax: a property name is missing.")
	}
	c := &comparison{property: p.text[p.at : p.at+n]}
	p.at += n
	var ok bool
	if c.op, ok = p.operator("eq", "ne", "like", "notlike", "gt", "lt", "ge", "le"); !ok {
		return nil, p.bad("Invalid filter syntax: one of -eq, -ne, -like, -notlike, -gt, -lt, -ge and -le is missing.")
	}
	sample, ok := p.scope.sample(c.property)
	if !ok {
		p.at = start
		return nil, p.bad(fmt.Sprintf("\"%s\" is not a recognized filterable property.", c.property))
	}
	p.blank()
	start = p.at
	var err error
	if c.written, err = p.value(); err != nil {
		return nil, err
	}
	if err := c.convert(sample); err != nil {
		p.at = start
		return nil, p.bad(err.Error())
	}
	return c, nil
}

var errLike = errors.New("-like and -notlike take a text.")

// convert brings the constant to the type of sample.
func (c *comparison) convert(sample any) (err error) {
	text, isText := c.written.(string)
	switch {
	case strings.HasSuffix(c.op, "like"):
		if !isText {
			return errLike
		}
		pattern := escapeWildcards.Replace(text)
		c.pattern = &pattern
		return nil
	case c.written == nil:
		return nil
	}
	switch sample.(type) {
	case bool:
		c.value, err = strconv.ParseBool(strings.ToLower(object.String(c.written)))
	default:
		c.value, err = object.Convert(object.String(c.written), object.TypeOf(sample))
	}
	if err != nil {
		return fmt.Errorf("The value \"%s\" could not be converted to type %s.", object.String(c.written), object.TypeOf(sample).Title())
	}
	return nil
}

// escapeWildcards leaves "*" as the only wildcard.
var escapeWildcards = strings.NewReplacer("`", "``", "[", "`[", "]", "`]", "?", "`?")

// value reads a constant: 'text', "text", $true, $false, $null, $variable or a bare word.
func (p *filterParser) value() (any, error) {
	rest := p.text[p.at:]
	switch {
	case rest == "":
		return nil, p.bad("Invalid filter syntax: a value is missing.")
	case rest[0] == '\'' || rest[0] == '"':
		return p.quoted(rest[0])
	case rest[0] == '$':
		n := 1 + wordLength(rest[1:])
		if n == 1 || n < len(rest) && strings.IndexByte(".:[(", rest[n]) >= 0 {
			return nil, p.bad("Invalid filter syntax: only $true, $false, $null and the name of a variable are possible here; quote the filter in \" to have an expression replaced by its value.")
		}
		name := strings.ToLower(rest[1:n])
		switch name {
		case "true", "false":
			p.at += n
			return name == "true", nil
		case "null":
			p.at += n
			return nil, nil
		}
		v := p.scope.variable(name)
		if v == nil {
			return nil, p.bad(fmt.Sprintf("The variable $%s has no value.", rest[1:n]))
		}
		p.at += n
		if b, ok := object.Base(v).(bool); ok {
			return b, nil
		}
		return object.String(v), nil
	}
	n := strings.IndexAny(rest, " \t\r\n()'\"$")
	if n < 0 {
		n = len(rest)
	}
	if n == 0 {
		return nil, p.bad("Invalid filter syntax: a value is missing.")
	}
	p.at += n
	return rest[:n], nil
}

// quoted reads a text in quotation marks; a doubled mark stands for itself.
func (p *filterParser) quoted(mark byte) (any, error) {
	var b strings.Builder
	for i := p.at + 1; i < len(p.text); i++ {
		if p.text[i] != mark {
			b.WriteByte(p.text[i])
			continue
		}
		if i+1 < len(p.text) && p.text[i+1] == mark {
			b.WriteByte(mark)
			i++
			continue
		}
		p.at = i + 1
		return b.String(), nil
	}
	return nil, p.bad("Invalid filter syntax: the closing quotation mark is missing.")
}

func (j *joined) holds(get func(string) any) bool {
	for _, f := range j.parts {
		if f.holds(get) == j.or {
			return j.or
		}
	}
	return !j.or
}

func (j *joined) String() string {
	op := " -and "
	if j.or {
		op = " -or "
	}
	texts := make([]string, len(j.parts))
	for i, f := range j.parts {
		texts[i] = f.String()
	}
	return "(" + strings.Join(texts, op) + ")"
}

func (n negated) holds(get func(string) any) bool { return !n.filter.holds(get) }
func (n negated) String() string                  { return "-not " + n.filter.String() }

func (c *comparison) String() string {
	value := "$null"
	switch v := c.written.(type) {
	case string:
		value = "'" + strings.ReplaceAll(v, "'", "''") + "'"
	case bool:
		value = "$" + strconv.FormatBool(v)
	}
	return c.property + " -" + c.op + " " + value
}

// holds compares: a list has a value when one of its elements has it, and an
// empty property is $null.
func (c *comparison) holds(get func(string) any) bool {
	v := get(c.property)
	items, ok := object.Items(object.Base(v))
	if !ok {
		items = []any{v}
	}
	switch c.op {
	case "ne", "notlike":
		for _, i := range items {
			if c.same(i) {
				return false
			}
		}
		return c.written != nil || len(items) > 0
	}
	for _, i := range items {
		if c.same(i) {
			return true
		}
	}
	return len(items) == 0 && c.op == "eq" && c.written == nil
}

// same compares one value.
func (c *comparison) same(v any) bool {
	switch {
	case c.pattern != nil:
		return v != nil && object.Like(object.String(v), *c.pattern)
	case c.written == nil:
		return (c.op == "eq" || c.op == "ne") && (v == nil || object.String(v) == "")
	case v == nil:
		return false
	}
	text, isText := object.Base(v).(string)
	if want, ok := c.value.(string); ok && isText && (c.op == "eq" || c.op == "ne") {
		return strings.EqualFold(text, want)
	}
	n, err := object.Compare(v, c.value, false)
	if err != nil {
		return false
	}
	switch c.op {
	case "gt":
		return n > 0
	case "ge":
		return n >= 0
	case "lt":
		return n < 0
	case "le":
		return n <= 0
	}
	return n == 0
}
