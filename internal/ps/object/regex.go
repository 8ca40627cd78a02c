package object

import (
	"strings"

	"busybridge/internal/ps/netregexp"
)

// A Regex is a compiled regular expression ([regex]).
type Regex struct{ *netregexp.Regexp }

// CompileRegex reads a pattern with RegexOptions.
func CompileRegex(pattern string, options int64) (*Regex, error) {
	re, err := netregexp.Compile(pattern, netregexp.Options(options))
	if err != nil {
		return nil, err
	}
	return &Regex{re}, nil
}

// asRegex is the right side of -match, -replace and -split.
func asRegex(v any, caseSensitive bool) (*Regex, error) {
	if re, ok := Base(v).(*Regex); ok {
		return re, nil
	}
	options := int64(netregexp.IgnoreCase)
	if caseSensitive {
		options = 0
	}
	re, err := CompileRegex(String(v), options)
	if err != nil {
		r := NewError("InvalidRegularExpression", InvalidOperation, nil, "The regular expression pattern %s is not valid.", String(v))
		r.Exception.Inner = &Exception{Class: TArgumentException, Message: err.Error()}
		return nil, r
	}
	return re, nil
}

// A Match is a successful match of a Regex.
type Match struct {
	re    *Regex
	input []rune
	m     *netregexp.Match
}

// A Group is one captured group.
type Group struct {
	match *Match
	n     int
}

func (re *Regex) find(s string, from int) (*Match, error) {
	in := []rune(s)
	m, err := re.Find(in, from)
	if err != nil {
		return nil, regexFailure(err)
	}
	if m == nil {
		return nil, nil
	}
	return &Match{re, in, m}, nil
}

func regexFailure(err error) error {
	return NewError("RegexMatchTimeoutException", OperationTimeout, TTimeout, "%s", err)
}

// String is the matched text.
func (m *Match) String() string { s, _ := m.m.Group(0); return s }

// String is the group's text.
func (g *Group) String() string { s, _ := g.match.m.Group(g.n); return s }

func (g *Group) get(name string) (any, bool) {
	text, ok := g.match.m.Group(g.n)
	start := 0
	if ok {
		start, _ = g.match.m.Span(g.n)
	}
	switch name {
	case "value":
		return text, true
	case "success":
		return ok, true
	case "index":
		return int32(start), true
	case "length":
		return int32(utf16Len(text)), true
	case "name":
		return g.match.re.groupLabel(g.n), true
	}
	return nil, false
}

func (re *Regex) groupLabel(n int) string {
	if name := re.GroupName(n); name != "" {
		return name
	}
	return String(int32(n))
}

func (m *Match) groups() *List {
	l := &List{Kind: &Type{Name: "System.Text.RegularExpressions.GroupCollection", Base: TObject, Also: []*Type{tCollection}}}
	for g := range m.re.Groups() {
		l.Items = append(l.Items, &Group{m, g})
	}
	return l
}

// Replace is v -replace spec: spec is the pattern or pattern and replacement; a collection on the left is mapped.
func Replace(v, spec any, caseSensitive bool) (any, error) {
	pattern, with := spec, any("")
	if items, ok := Items(spec); ok {
		switch len(items) {
		case 0:
			pattern = ""
		case 1:
			pattern = items[0]
		case 2:
			pattern, with = items[0], items[1]
		default:
			return nil, NewError("BadReplaceArgument", InvalidOperation, nil, "The -ireplace operator allows only two elements to follow it, not %d.", len(items))
		}
	}
	re, err := asRegex(pattern, caseSensitive)
	if err != nil {
		return nil, err
	}
	replacement := String(with)
	one := func(x any) (any, error) {
		s, err := re.Replace(String(x), replacement)
		if err != nil {
			return nil, regexFailure(err)
		}
		return s, nil
	}
	items, ok := Items(v)
	if !ok {
		return one(v)
	}
	out := make([]any, 0, len(items))
	for _, x := range items {
		s, err := one(x)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return &Array{Items: out}, nil
}

// Split is v -split spec: spec is the pattern, or pattern, limit and options (SimpleMatch, RegexMatch, ...). The elements
// of a collection on the left are split one after the other. A script block as pattern is the interpreter's.
func Split(v, spec any, caseSensitive bool) (any, error) {
	pattern, limit, simple := spec, int32(0), false
	var options int64
	if items, ok := Items(spec); ok && len(items) > 0 {
		pattern = items[0]
		if len(items) > 1 {
			n, err := Convert(items[1], TInt)
			if err != nil {
				return nil, err
			}
			limit = n.(int32)
		}
		if len(items) > 2 {
			for _, o := range strings.Split(String(items[2]), ",") {
				switch strings.ToLower(strings.TrimSpace(o)) {
				case "simplematch":
					simple = true
				case "ignorecase":
					caseSensitive = false
				case "singleline":
					options |= int64(netregexp.Singleline)
				case "multiline":
					options |= int64(netregexp.Multiline)
				case "explicitcapture":
					options |= int64(netregexp.ExplicitCapture)
				case "ignorepatternwhitespace":
					options |= int64(netregexp.IgnoreSpace)
				case "regexmatch", "cultureinvariant", "none", "0", "":
				default:
					return nil, NewError("InvalidSplitOption", InvalidArgument, nil, "Cannot convert value \"%s\" to type \"System.Management.Automation.SplitOptions\".", o)
				}
			}
		}
	}
	text := String(pattern)
	if simple {
		text = netregexp.Escape(text)
	}
	if !caseSensitive {
		options |= int64(netregexp.IgnoreCase)
	}
	re, isRegex := Base(pattern).(*Regex)
	if !isRegex || simple {
		var err error
		if re, err = CompileRegex(text, options); err != nil {
			return nil, NewError("InvalidRegularExpression", InvalidOperation, nil, "%s", err)
		}
	}
	items, ok := Items(v)
	if !ok {
		items = []any{v}
	}
	out := []any{}
	for _, x := range items {
		parts, err := re.Split(String(x), int(max(limit, 0)))
		if err != nil {
			return nil, regexFailure(err)
		}
		for _, p := range parts {
			out = append(out, p)
		}
	}
	return &Array{Elem: TString, Items: out}, nil
}

// SplitFields is unary -split: the words between white space.
func SplitFields(v any) *Array {
	items, ok := Items(v)
	if !ok {
		items = []any{v}
	}
	var out []string
	for _, x := range items {
		out = append(out, strings.Fields(String(x))...)
	}
	return Strings(out...)
}

// JoinWith is v -join sep.
func JoinWith(v any, sep string) string {
	items, ok := Items(v)
	if !ok {
		return String(v)
	}
	var b strings.Builder
	for i, x := range items {
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(String(x))
	}
	return b.String()
}
