package object

import (
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf16"

	"busybridge/internal/ps/netregexp"

	"github.com/google/uuid"
)

func utf16Of(s string) []uint16 { return utf16.Encode([]rune(s)) }

func utf16Len(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r > 0xFFFF {
			n++
		}
	}
	return n
}

func fromUTF16(u []uint16) string { return string(utf16.Decode(u)) }

// builder is a StringBuilder.
type builder struct{ b strings.Builder }

func (b *builder) String() string { return b.b.String() }

func prop[T any](name string, t *Type, get func(T) any) propertyDef {
	return propertyDef{name, t, func(v any) any { return get(v.(T)) }}
}

// The closed tables of members by type name. They are made at first use: their functions look into them.
var (
	propertyOnce, methodOnce, staticOnce sync.Once
	propertyMap                          map[string][]propertyDef
	methodMap, staticMap                 map[string][]methodDef
)

func properties(t *Type) []propertyDef {
	propertyOnce.Do(func() { propertyMap = propertyTable() })
	return propertyMap[tableName(t)]
}

func methods(t *Type) []methodDef {
	methodOnce.Do(func() { methodMap = methodTable() })
	return methodMap[tableName(t)]
}

func staticMethods(name string) []methodDef {
	staticOnce.Do(func() { staticMap = staticTable() })
	return staticMap[name]
}

// propertyTable is the properties by type name.
func propertyTable() map[string][]propertyDef {
	return map[string][]propertyDef{
		TString.Name: {prop("Length", TInt, func(s string) any { return int32(utf16Len(s)) })},
		TArray.Name: {
			prop("Count", TInt, func(a *Array) any { return int32(len(a.Items)) }),
			prop("Length", TInt, func(a *Array) any { return int32(len(a.Items)) }),
			prop("LongLength", TLong, func(a *Array) any { return int64(len(a.Items)) }),
			prop("Rank", TInt, func(*Array) any { return int32(1) }),
			prop("IsReadOnly", TBool, func(*Array) any { return false }),
			prop("IsFixedSize", TBool, func(*Array) any { return true }),
		},
		TArrayList.Name: {
			{"Count", TInt, func(v any) any { items, _ := Items(v); return int32(len(items)) }},
			{"IsReadOnly", TBool, func(any) any { return false }},
		},
		THashtable.Name: {
			prop("Count", TInt, func(h *Hashtable) any { return int32(h.Len()) }),
			prop("Keys", tCollection, func(h *Hashtable) any { return &List{Kind: keyCollection, Items: h.Keys()} }),
			prop("Values", tCollection, func(h *Hashtable) any { return &List{Kind: keyCollection, Items: h.Values()} }),
			prop("IsReadOnly", TBool, func(*Hashtable) any { return false }),
			prop("IsFixedSize", TBool, func(*Hashtable) any { return false }),
		},
		tEntry.Name: {
			prop("Name", TString, func(e *Entry) any { return e.Key }),
			prop("Key", TObject, func(e *Entry) any { return e.Key }),
			prop("Value", TObject, func(e *Entry) any { return e.Value }),
		},
		TSwitch.Name: {prop("IsPresent", TBool, func(s Switch) any { return bool(s) })},
		TDateTime.Name: {
			prop("Date", TDateTime, func(t time.Time) any {
				return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
			}),
			prop("Day", TInt, func(t time.Time) any { return int32(t.Day()) }),
			prop("DayOfWeek", TDayOfWeek, func(t time.Time) any { return Enum{TDayOfWeek, int64(t.Weekday())} }),
			prop("DayOfYear", TInt, func(t time.Time) any { return int32(t.YearDay()) }),
			prop("Hour", TInt, func(t time.Time) any { return int32(t.Hour()) }),
			prop("Kind", TDateTimeKind, func(t time.Time) any { return kindOf(t) }),
			prop("Millisecond", TInt, func(t time.Time) any { return int32(t.Nanosecond() / 1e6) }),
			prop("Minute", TInt, func(t time.Time) any { return int32(t.Minute()) }),
			prop("Month", TInt, func(t time.Time) any { return int32(t.Month()) }),
			prop("Second", TInt, func(t time.Time) any { return int32(t.Second()) }),
			prop("Ticks", TLong, func(t time.Time) any { return ticks(t) }),
			prop("TimeOfDay", TTimeSpan, func(t time.Time) any {
				return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())
			}),
			prop("Year", TInt, func(t time.Time) any { return int32(t.Year()) }),
			prop("DateTime", TString, func(t time.Time) any { return FormatDate(t, "F") }),
		},
		TTimeSpan.Name: {
			prop("Days", TInt, func(d time.Duration) any { return int32(d / (24 * time.Hour)) }),
			prop("Hours", TInt, func(d time.Duration) any { return int32(d / time.Hour % 24) }),
			prop("Milliseconds", TInt, func(d time.Duration) any { return int32(d / time.Millisecond % 1000) }),
			prop("Minutes", TInt, func(d time.Duration) any { return int32(d / time.Minute % 60) }),
			prop("Seconds", TInt, func(d time.Duration) any { return int32(d / time.Second % 60) }),
			prop("Ticks", TLong, func(d time.Duration) any { return int64(d / 100) }),
			prop("TotalDays", TDouble, func(d time.Duration) any { return d.Hours() / 24 }),
			prop("TotalHours", TDouble, func(d time.Duration) any { return d.Hours() }),
			prop("TotalMilliseconds", TDouble, func(d time.Duration) any { return float64(d) / 1e6 }),
			prop("TotalMinutes", TDouble, func(d time.Duration) any { return d.Minutes() }),
			prop("TotalSeconds", TDouble, func(d time.Duration) any { return d.Seconds() }),
		},
		TURI.Name: {
			prop("AbsolutePath", TString, func(u *url.URL) any { return absolute(u, u.EscapedPath()) }),
			prop("AbsoluteUri", TString, func(u *url.URL) any { return absolute(u, uriText(u)) }),
			prop("LocalPath", TString, func(u *url.URL) any { return absolute(u, u.Path) }),
			prop("Authority", TString, func(u *url.URL) any { return absolute(u, u.Host) }),
			prop("IsDefaultPort", TBool, func(u *url.URL) any { return u.IsAbs() && u.Port() == "" }),
			prop("PathAndQuery", TString, func(u *url.URL) any { return absolute(u, u.RequestURI()) }),
			prop("Query", TString, func(u *url.URL) any {
				if u.RawQuery == "" {
					return absolute(u, "")
				}
				return absolute(u, "?"+u.RawQuery)
			}),
			prop("Fragment", TString, func(u *url.URL) any {
				if u.Fragment == "" {
					return absolute(u, "")
				}
				return absolute(u, "#"+u.EscapedFragment())
			}),
			prop("Scheme", TString, func(u *url.URL) any { return absolute(u, u.Scheme) }),
			prop("Host", TString, func(u *url.URL) any { return absolute(u, u.Hostname()) }),
			prop("Port", TInt, func(u *url.URL) any {
				if !u.IsAbs() {
					return nil
				}
				p := u.Port()
				if p == "" {
					p = defaultPort(u.Scheme)
				}
				if n, ok := ParseNumber(p); ok {
					return n
				}
				return int32(-1)
			}),
			prop("OriginalString", TString, func(u *url.URL) any { return u.String() }),
			prop("DnsSafeHost", TString, func(u *url.URL) any { return absolute(u, u.Hostname()) }),
			prop("IsAbsoluteUri", TBool, func(u *url.URL) any { return u.IsAbs() }),
			prop("UserInfo", TString, func(u *url.URL) any { return absolute(u, u.User.String()) }),
			prop("Segments", TStringArray, func(u *url.URL) any {
				var s []string
				for rest := u.EscapedPath(); rest != ""; {
					i := strings.IndexByte(rest, '/') + 1
					if i == 0 {
						i = len(rest)
					}
					s, rest = append(s, rest[:i]), rest[i:]
				}
				return Strings(s...)
			}),
		},
		TVersion.Name: {
			prop("Major", TInt, func(v Version) any { return int32(v.Major) }),
			prop("Minor", TInt, func(v Version) any { return int32(v.Minor) }),
			prop("Build", TInt, func(v Version) any { return int32(v.Build) }),
			prop("Revision", TInt, func(v Version) any { return int32(v.Revision) }),
		},
		tEnumBase.Name: {prop("value__", TInt, func(e Enum) any { return shrink(e.Value) })},
		TType.Name: {
			prop("Name", TString, func(t *Type) any { return t.Title() }),
			prop("FullName", TString, func(t *Type) any { return t.Name }),
			prop("Namespace", TString, func(t *Type) any {
				name, _, _ := strings.Cut(t.Name, "[")
				return name[:max(0, strings.LastIndexByte(name, '.'))]
			}),
			prop("BaseType", TType, func(t *Type) any {
				if t.Base == nil {
					return nil
				}
				return t.Base
			}),
			prop("IsEnum", TBool, func(t *Type) any { return t.Enum != nil }),
			prop("IsArray", TBool, func(t *Type) any { return t.Is(TArray) && t.Elem != nil }),
			prop("IsValueType", TBool, func(t *Type) any { return t.Is(tValueType) }),
		},
		TRegex.Name: {
			prop("Options", TRegexOptions, func(r *Regex) any { return Enum{TRegexOptions, int64(r.Options())} }),
		},
		TMatch.Name: {
			prop("Groups", tCollection, func(m *Match) any { return m.groups() }),
			prop("Success", TBool, func(*Match) any { return true }),
			prop("Index", TInt, func(m *Match) any { s, _ := m.m.Span(0); return int32(s) }),
			prop("Length", TInt, func(m *Match) any { return int32(utf16Len(m.String())) }),
			prop("Value", TString, func(m *Match) any { return m.String() }),
		},
		tGroup.Name: {
			groupProp("Success", TBool), groupProp("Name", TString), groupProp("Index", TInt), groupProp("Length", TInt), groupProp("Value", TString),
		},
		TCredential.Name: {
			prop("UserName", TString, func(c *Credential) any { return c.UserName }),
			prop("Password", TSecureString, func(c *Credential) any { return c.Password }),
		},
		TSecureString.Name: {prop("Length", TInt, func(s *SecureString) any { return int32(utf16Len(s.Reveal())) })},
		tBuilder.Name:      {prop("Length", TInt, func(b *builder) any { return int32(utf16Len(b.String())) })},
		TException.Name: {
			prop("Message", TString, func(e *Exception) any { return e.Message }),
			prop("Data", TDictionary, func(*Exception) any { return NewHashtable() }),
			prop("InnerException", TException, func(e *Exception) any {
				if e.Inner == nil {
					return nil
				}
				return e.Inner
			}),
			prop("StackTrace", TString, func(*Exception) any { return nil }),
			prop("HelpLink", TString, func(*Exception) any { return nil }),
			prop("Source", TString, func(*Exception) any { return nil }),
			prop("HResult", TInt, func(e *Exception) any { return e.HResult }),
		},
		TErrorRecord.Name: {
			prop("PSMessageDetails", TString, func(*ErrorRecord) any { return nil }),
			prop("Exception", TException, func(r *ErrorRecord) any {
				if r.Exception == nil {
					return nil
				}
				return r.Exception
			}),
			prop("TargetObject", TObject, func(r *ErrorRecord) any { return r.Target }),
			prop("CategoryInfo", nil, func(r *ErrorRecord) any { return r.categoryObject() }),
			prop("FullyQualifiedErrorId", TString, func(r *ErrorRecord) any { return r.ID }),
			prop("ErrorDetails", nil, func(r *ErrorRecord) any {
				if r.Details == "" {
					return nil
				}
				o := New("System.Management.Automation.ErrorDetails", TObject.Name).Add("Message", r.Details).Add("RecommendedAction", "")
				o.Text = func() string { return r.Details }
				return o
			}),
			prop("InvocationInfo", nil, func(r *ErrorRecord) any { return r.invocationObject() }),
			prop("ScriptStackTrace", TString, func(r *ErrorRecord) any { return r.StackTrace }),
			prop("PipelineIterationInfo", nil, func(*ErrorRecord) any { return NewArray() }),
		},
		TCertificate.Name:  certificateProperties,
		TCertificate2.Name: certificate2Properties,
	}
}

// keyCollection is the type of a hashtable's Keys and Values.
var keyCollection = &Type{Name: "System.Collections.Hashtable+KeyCollection", Base: TObject, Also: []*Type{tCollection}}

func groupProp(name string, t *Type) propertyDef {
	return prop(name, t, func(g *Group) any { v, _ := g.get(strings.ToLower(name)); return v })
}

func absolute(u *url.URL, s string) any {
	if !u.IsAbs() {
		return nil
	}
	return s
}

func kindOf(t time.Time) Enum {
	switch t.Location() {
	case unspecified:
		return Enum{TDateTimeKind, 0}
	case time.UTC:
		return Enum{TDateTimeKind, 1}
	}
	return Enum{TDateTimeKind, 2}
}

// ticks is 100 ns since the year 1, by the clock's face.
func ticks(t time.Time) int64 {
	w := wall(t)
	return w.Unix()*1e7 + 621355968000000000 + int64(w.Nanosecond()/100)
}

func (r *ErrorRecord) categoryObject() *Object {
	o := New("System.Management.Automation.ErrorCategoryInfo", TObject.Name)
	o.Add("Category", Enum{TErrorCategory, int64(r.Category)}).Add("Activity", r.Activity).Add("Reason", r.reason())
	o.Add("TargetName", r.targetName()).Add("TargetType", r.targetType())
	o.Text = r.CategoryInfo
	return o
}

func (r *ErrorRecord) invocationObject() any {
	inv := r.Invocation
	if inv == nil {
		if r.Position == nil {
			return nil
		}
		inv = &Invocation{Position: *r.Position}
	}
	at := inv.Position
	if r.Position != nil {
		at = *r.Position
	}
	return InvocationObject(inv.Command, at)
}

// InvocationObject is $MyInvocation and the InvocationInfo of an error.
func InvocationObject(command string, at Position) *Object {
	o := New("System.Management.Automation.InvocationInfo", TObject.Name)
	o.Add("MyCommand", command).Add("ScriptLineNumber", int32(at.Line)).Add("OffsetInLine", int32(at.Column))
	o.Add("ScriptName", at.File).Add("Line", at.Source).Add("PositionMessage", at.PositionText()).Add("InvocationName", command)
	return o
}

// methodTable is the instance methods by type name.
func methodTable() map[string][]methodDef {
	return map[string][]methodDef{
		TObject.Name: {
			method("Equals", func(_ *Context, v any, a []any) (any, error) { return Equal(v, a[0], true) && netEquals(v, a[0]), nil }, sig(TObject)),
			method("GetHashCode", func(_ *Context, v any, _ []any) (any, error) { return hashCode(String(v)), nil }),
			method("GetType", func(_ *Context, v any, _ []any) (any, error) { return TypeOf(v), nil }),
			method("ToString", func(_ *Context, v any, a []any) (any, error) {
				if len(a) == 0 {
					return Display(v), nil
				}
				f := ""
				if s, ok := a[0].(string); ok {
					f = s
				}
				return ToStringFormat(v, f)
			}, sig(), sig(TString), sig(TString, TObject)),
			method("CompareTo", func(_ *Context, v any, a []any) (any, error) {
				n, err := Compare(v, a[0], true)
				return int32(n), err
			}, sig(TObject)),
		},
		TString.Name:       stringMethods,
		TArray.Name:        arrayMethods,
		TArrayList.Name:    listMethods,
		THashtable.Name:    tableMethods,
		TDateTime.Name:     dateMethods,
		TTimeSpan.Name:     spanMethods,
		TRegex.Name:        regexMethods,
		tBuilder.Name:      builderMethods,
		TCertificate.Name:  certificateMethods,
		TCertificate2.Name: nil,
		tEnumBase.Name: {
			method("HasFlag", func(_ *Context, v any, a []any) (any, error) {
				e := v.(Enum)
				f, err := convertEnum(Base(a[0]), e.Type)
				if err != nil {
					return nil, err
				}
				n := f.(Enum).Value
				return e.Value&n == n, nil
			}, sig(TObject)),
		},
		TType.Name: {
			method("IsInstanceOfType", func(_ *Context, v any, a []any) (any, error) { return IsA(a[0], v.(*Type)), nil }, sig(TObject)),
			method("IsAssignableFrom", func(_ *Context, v any, a []any) (any, error) {
				t, ok := a[0].(*Type)
				return ok && t.Is(v.(*Type)), nil
			}, sig(TObject)),
			method("GetEnumNames", func(_ *Context, v any, _ []any) (any, error) { return enumNames(v.(*Type)), nil }),
		},
		TException.Name: {
			method("GetBaseException", func(_ *Context, v any, _ []any) (any, error) {
				e := v.(*Exception)
				for e.Inner != nil {
					e = e.Inner
				}
				return e, nil
			}),
		},
		TCredential.Name: {
			method("GetNetworkCredential", func(_ *Context, v any, _ []any) (any, error) { return v.(*Credential).network(), nil }),
		},
		TSecureString.Name: {
			method("AppendChar", func(_ *Context, v any, a []any) (any, error) {
				v.(*SecureString).text += a[0].(Char).String()
				return Void, nil
			}, sig(TChar)),
			method("Dispose", func(*Context, any, []any) (any, error) { return Void, nil }),
			method("MakeReadOnly", func(*Context, any, []any) (any, error) { return Void, nil }),
		},
	}
}

func netEquals(a, b any) bool {
	x, y := TypeOf(a), TypeOf(b)
	return x != nil && y != nil && strings.EqualFold(x.Name, y.Name)
}

func hashCode(s string) int32 {
	h := uint32(2166136261)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return int32(h)
}

func enumNames(t *Type) *Array {
	var names []string
	for _, n := range t.Enum {
		names = append(names, n.Name)
	}
	return Strings(names...)
}

func str(name string, f func(s string, a []any) (any, error), sigs ...signature) methodDef {
	return method(name, func(_ *Context, v any, a []any) (any, error) { return f(v.(string), a) }, sigs...)
}

// charSet is the characters an argument of Split or Trim names: a string, a character or a list of them.
func charSet(args []any) string {
	var b strings.Builder
	for _, a := range args {
		if items, ok := Items(a); ok {
			b.WriteString(charSet(items))
		} else {
			b.WriteString(String(a))
		}
	}
	return b.String()
}

func trim(f func(string, string) string) func(string, []any) (any, error) {
	return func(s string, a []any) (any, error) {
		cut := charSet(a)
		if len(a) == 0 {
			cut = " \t\n\v\f\r\u0085\u00a0\u2028\u2029"
		}
		return f(s, cut), nil
	}
}

var errStartIndex = failure(tArgumentRange, "startIndex cannot be larger than length of string.\r\nParameter name: startIndex")

// foldIf folds case when the StringComparison argument says so.
func foldIf(a []any, at int, s ...string) []string {
	if len(a) > at && strings.HasSuffix(String(a[at]), "IgnoreCase") {
		for i := range s {
			s[i] = foldString(s[i])
		}
	}
	return s
}

func indexOf(s, sub string, from int) int {
	u, w := utf16Of(s), utf16Of(sub)
	for i := from; i+len(w) <= len(u); i++ {
		if slices.Equal(u[i:i+len(w)], w) {
			return i
		}
	}
	return -1
}

// stringMethods follow System.String; positions count UTF-16 units.
var stringMethods = []methodDef{
	str("Contains", func(s string, a []any) (any, error) {
		f := foldIf(a, 1, s, String(a[0]))
		return strings.Contains(f[0], f[1]), nil
	}, sig(TString), sig(TString, TStringComparison)),
	str("StartsWith", func(s string, a []any) (any, error) {
		f := foldIf(a, 1, s, String(a[0]))
		return strings.HasPrefix(f[0], f[1]), nil
	}, sig(TString), sig(TString, TStringComparison)),
	str("EndsWith", func(s string, a []any) (any, error) {
		f := foldIf(a, 1, s, String(a[0]))
		return strings.HasSuffix(f[0], f[1]), nil
	}, sig(TString), sig(TString, TStringComparison)),
	str("Equals", func(s string, a []any) (any, error) {
		t, ok := a[0].(string)
		f := foldIf(a, 1, s, t)
		return ok && f[0] == f[1], nil
	}, sig(TObject), sig(TString, TStringComparison)),
	str("IndexOf", func(s string, a []any) (any, error) {
		from := 0
		if len(a) > 1 {
			if n, ok := a[1].(int32); ok {
				from = int(n)
			}
		}
		if from < 0 || from > utf16Len(s) {
			return nil, failure(tArgumentRange, "Index was out of range. Must be non-negative and less than the size of the collection.\r\nParameter name: startIndex")
		}
		f := foldIf(a, len(a)-1, s, String(a[0]))
		return int32(indexOf(f[0], f[1], from)), nil
	}, sig(TString), sig(TString, TInt), sig(TString, TStringComparison), sig(TString, TInt, TStringComparison)),
	str("LastIndexOf", func(s string, a []any) (any, error) {
		f := foldIf(a, len(a)-1, s, String(a[0]))
		i := strings.LastIndex(f[0], f[1])
		if i > 0 {
			i = utf16Len(f[0][:i])
		}
		return int32(i), nil
	}, sig(TString), sig(TString, TStringComparison)),
	str("IndexOfAny", func(s string, a []any) (any, error) {
		i := strings.IndexAny(s, charSet(a))
		if i > 0 {
			i = utf16Len(s[:i])
		}
		return int32(i), nil
	}, sig(ArrayOf(TChar))),
	str("Insert", func(s string, a []any) (any, error) {
		u, at := utf16Of(s), int(a[0].(int32))
		if at < 0 || at > len(u) {
			return nil, failure(tArgumentRange, "Specified argument was out of the range of valid values.\r\nParameter name: startIndex")
		}
		return fromUTF16(u[:at]) + a[1].(string) + fromUTF16(u[at:]), nil
	}, sig(TInt, TString)),
	str("Remove", func(s string, a []any) (any, error) {
		u, at := utf16Of(s), int(a[0].(int32))
		if at < 0 || at >= len(u) && !(at == len(u) && len(a) > 1) {
			return nil, failure(tArgumentRange, "startIndex must be less than length of string.\r\nParameter name: startIndex")
		}
		n := len(u) - at
		if len(a) > 1 {
			if n = int(a[1].(int32)); n < 0 || at+n > len(u) {
				return nil, failure(tArgumentRange, "Index and count must refer to a location within the string.\r\nParameter name: count")
			}
		}
		return fromUTF16(slices.Delete(u, at, at+n)), nil
	}, sig(TInt), sig(TInt, TInt)),
	str("Substring", func(s string, a []any) (any, error) {
		u, at := utf16Of(s), int(a[0].(int32))
		if at < 0 {
			return nil, failure(tArgumentRange, "StartIndex cannot be less than zero.\r\nParameter name: startIndex")
		}
		if at > len(u) {
			return nil, errStartIndex
		}
		n := len(u) - at
		if len(a) > 1 {
			n = int(a[1].(int32))
			if n < 0 {
				return nil, failure(tArgumentRange, "Length cannot be less than zero.\r\nParameter name: length")
			}
			if at+n > len(u) {
				return nil, failure(tArgumentRange, "Index and length must refer to a location within the string.\r\nParameter name: length")
			}
		}
		return fromUTF16(u[at : at+n]), nil
	}, sig(TInt), sig(TInt, TInt)),
	str("PadLeft", pad(true), sig(TInt), sig(TInt, TChar)),
	str("PadRight", pad(false), sig(TInt), sig(TInt, TChar)),
	str("Replace", func(s string, a []any) (any, error) {
		old, with := String(a[0]), String(a[1])
		if old == "" {
			return nil, failure(TArgumentException, "String cannot be of zero length.\r\nParameter name: oldValue")
		}
		if n := strings.Count(s, old); len(s)+n*len(with) > maxStringLength {
			return nil, tooLarge("string")
		}
		return strings.ReplaceAll(s, old, with), nil
	}, sig(TString, TString)),
	str("Split", split, sig(), sig(TObject), sig(TObject, TObject), sig(TObject, TInt, TSplitOptions), variadic(TChar)),
	str("ToCharArray", func(s string, _ []any) (any, error) {
		v, err := Convert(s, ArrayOf(TChar))
		return v, err
	}),
	str("GetEnumerator", func(s string, _ []any) (any, error) { return Convert(s, ArrayOf(TChar)) }),
	str("Chars", func(s string, a []any) (any, error) {
		v, err := Index(s, a[0])
		if v == nil && err == nil {
			return nil, failure(tIndexRange, "Index was outside the bounds of the array.")
		}
		return v, err
	}, sig(TInt)),
	str("ToLower", func(s string, _ []any) (any, error) { return strings.ToLower(s), nil }),
	str("ToLowerInvariant", func(s string, _ []any) (any, error) { return strings.ToLower(s), nil }),
	str("ToUpper", func(s string, _ []any) (any, error) { return strings.ToUpper(s), nil }),
	str("ToUpperInvariant", func(s string, _ []any) (any, error) { return strings.ToUpper(s), nil }),
	str("ToString", func(s string, _ []any) (any, error) { return s, nil }),
	str("Trim", trim(strings.Trim), sig(), variadic(TObject)),
	str("TrimStart", trim(strings.TrimLeft), sig(), variadic(TObject)),
	str("TrimEnd", trim(strings.TrimRight), sig(), variadic(TObject)),
	str("Clone", func(s string, _ []any) (any, error) { return s, nil }),
	str("CompareTo", func(s string, a []any) (any, error) { return int32(CompareStrings(s, String(a[0]), true)), nil }, sig(TObject)),
}

func pad(left bool) func(string, []any) (any, error) {
	return func(s string, a []any) (any, error) {
		fill := " "
		if len(a) > 1 {
			fill = a[1].(Char).String()
		}
		n := int(a[0].(int32))
		if n > maxFormatWidth {
			return nil, tooLarge("string")
		}
		p := strings.Repeat(fill, max(0, n-utf16Len(s)))
		if left {
			return p + s, nil
		}
		return s + p, nil
	}
}

// split is String.Split: a single text is a set of characters, a list with longer texts is a list of separators.
func split(s string, a []any) (any, error) {
	removeEmpty, limit := false, -1
	var seps []any
	for i, x := range a {
		b := Base(x)
		if i > 0 {
			if n, ok := b.(int32); ok {
				limit = int(n)
				continue
			}
			if e, err := convertEnum(b, TSplitOptions); err == nil {
				removeEmpty = e.(Enum).Value&1 != 0
				continue
			}
		}
		if items, ok := Items(b); ok {
			seps = append(seps, items...)
		} else {
			for _, c := range utf16Of(String(b)) {
				seps = append(seps, Char(c))
			}
		}
	}
	if len(seps) == 0 {
		for _, c := range " \t\n\v\f\r\u0085\u00a0" {
			seps = append(seps, Char(c))
		}
	}
	var parts []string
	start := 0
	for i := 0; i < len(s) && (limit < 0 || len(parts) < limit-1); {
		n := 0
		for _, sep := range seps {
			if t := String(sep); t != "" && strings.HasPrefix(s[i:], t) {
				n = len(t)
				break
			}
		}
		if n == 0 {
			i++
			continue
		}
		if !removeEmpty || i > start {
			parts = append(parts, s[start:i])
		}
		i += n
		start = i
	}
	if limit == 0 {
		return Strings(), nil
	}
	if !removeEmpty || start < len(s) {
		parts = append(parts, s[start:])
	}
	return Strings(parts...), nil
}

func indexIn(items []any, v any) int {
	return slices.IndexFunc(items, func(x any) bool { return netSame(x, v) })
}

// netSame is Object.Equals: same type and value, strings with case.
func netSame(a, b any) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return netEquals(a, b) && Equal(a, b, true)
}

var errFixedSize = failure(TNotSupported, "Collection was of a fixed size.")

func fixed(*Context, any, []any) (any, error) { return nil, errFixedSize }

var arrayMethods = []methodDef{
	method("Add", fixed, sig(TObject)),
	method("Clear", func(_ *Context, v any, _ []any) (any, error) { clear(v.(*Array).Items); return Void, nil }),
	method("Remove", fixed, sig(TObject)),
	method("RemoveAt", fixed, sig(TInt)),
	method("Insert", fixed, sig(TInt, TObject)),
	method("Clone", func(_ *Context, v any, _ []any) (any, error) {
		a := v.(*Array)
		return &Array{Elem: a.Elem, Items: slices.Clone(a.Items)}, nil
	}),
	method("Contains", func(_ *Context, v any, a []any) (any, error) { return indexIn(v.(*Array).Items, a[0]) >= 0, nil }, sig(TObject)),
	method("IndexOf", func(_ *Context, v any, a []any) (any, error) { return int32(indexIn(v.(*Array).Items, a[0])), nil }, sig(TObject)),
	method("GetEnumerator", func(_ *Context, v any, _ []any) (any, error) { return v, nil }),
	method("GetLength", func(_ *Context, v any, _ []any) (any, error) { return int32(len(v.(*Array).Items)), nil }, sig(TInt)),
	method("GetUpperBound", func(_ *Context, v any, _ []any) (any, error) { return int32(len(v.(*Array).Items) - 1), nil }, sig(TInt)),
	method("GetValue", func(_ *Context, v any, a []any) (any, error) {
		i, items := int(a[0].(int32)), v.(*Array).Items
		if i < 0 || i >= len(items) {
			return nil, failure(tIndexRange, "Index was outside the bounds of the array.")
		}
		return items[i], nil
	}, sig(TInt)),
	method("SetValue", func(_ *Context, v any, a []any) (any, error) { return Void, SetIndex(v, a[1], a[0]) }, sig(TObject, TInt)),
	method("Get", func(_ *Context, v any, a []any) (any, error) { return Index(v, a[0]) }, sig(TInt)),
	method("Set", func(_ *Context, v any, a []any) (any, error) { return Void, SetIndex(v, a[0], a[1]) }, sig(TInt, TObject)),
}

var errListRange = failure(tArgumentRange, "Index was out of range. Must be non-negative and less than the size of the collection.\r\nParameter name: index")

func listMethod(name string, f func(l *List, a []any) (any, error), sigs ...signature) methodDef {
	return method(name, func(_ *Context, v any, a []any) (any, error) {
		switch x := v.(type) {
		case *List:
			return f(x, a)
		case *typeNameList:
			l := &List{Kind: ListOf(TString), Items: x.Items()}
			r, err := f(l, a)
			if err == nil {
				err = x.change(func([]string) []string {
					var names []string
					for _, n := range l.Items {
						names = append(names, String(n))
					}
					return names
				})
			}
			return r, err
		case *propertyList:
			return x.call(name, a)
		}
		items, _ := Items(v)
		return f(&List{Items: slices.Clone(items)}, a)
	}, sigs...)
}

// call is Add and Remove on $o.PSObject.Properties.
func (l *propertyList) call(name string, a []any) (any, error) {
	o, ok := l.of.(*Object)
	if !ok {
		return nil, failure(TNotSupported, "The members of this value cannot be changed.")
	}
	switch name {
	case "Remove":
		o.Remove(String(a[0]))
		return Void, nil
	case "Add":
		p, ok := a[0].(*Object)
		if !ok {
			return nil, failure(TArgumentException, "A property is needed.")
		}
		label, _ := p.Get("Name")
		value, _ := p.Get("Value")
		o.AddProperty(&Property{Name: String(label), Value: value})
		return Void, nil
	case "GetEnumerator":
		return NewArray(l.Items()...), nil
	}
	return nil, failure(TNotSupported, "The method "+name+" is not supported here.")
}

var listMethods = []methodDef{
	listMethod("Add", func(l *List, a []any) (any, error) {
		if err := l.Add(a[0]); err != nil {
			return nil, err
		}
		if l.Kind == nil {
			return int32(len(l.Items) - 1), nil
		}
		return Void, nil
	}, sig(TObject)),
	listMethod("AddRange", func(l *List, a []any) (any, error) {
		items, ok := Items(a[0])
		if !ok {
			items = a
		}
		for _, x := range items {
			if err := l.Add(x); err != nil {
				return nil, err
			}
		}
		return Void, nil
	}, sig(TObject)),
	listMethod("Clear", func(l *List, _ []any) (any, error) { l.Items = nil; return Void, nil }),
	listMethod("Contains", func(l *List, a []any) (any, error) { return indexIn(l.Items, a[0]) >= 0, nil }, sig(TObject)),
	listMethod("IndexOf", func(l *List, a []any) (any, error) { return int32(indexIn(l.Items, a[0])), nil }, sig(TObject)),
	listMethod("Insert", func(l *List, a []any) (any, error) {
		i := int(a[0].(int32))
		if i < 0 || i > len(l.Items) {
			return nil, errListRange
		}
		added := &List{Kind: l.Kind}
		if err := added.Add(a[1]); err != nil {
			return nil, err
		}
		l.Items = slices.Insert(l.Items, i, added.Items[0])
		return Void, nil
	}, sig(TInt, TObject)),
	listMethod("Remove", func(l *List, a []any) (any, error) {
		i := indexIn(l.Items, a[0])
		if i >= 0 {
			l.Items = slices.Delete(l.Items, i, i+1)
		}
		if l.Kind == nil {
			return Void, nil
		}
		return i >= 0, nil
	}, sig(TObject)),
	listMethod("RemoveAt", func(l *List, a []any) (any, error) {
		i := int(a[0].(int32))
		if i < 0 || i >= len(l.Items) {
			return nil, errListRange
		}
		l.Items = slices.Delete(l.Items, i, i+1)
		return Void, nil
	}, sig(TInt)),
	listMethod("RemoveRange", func(l *List, a []any) (any, error) {
		i, n := int(a[0].(int32)), int(a[1].(int32))
		if i < 0 || n < 0 || i+n > len(l.Items) {
			return nil, failure(TArgumentException, "Offset and length were out of bounds for the array or count is greater than the number of elements from index to the end of the source collection.")
		}
		l.Items = slices.Delete(l.Items, i, i+n)
		return Void, nil
	}, sig(TInt, TInt)),
	listMethod("Reverse", func(l *List, _ []any) (any, error) { slices.Reverse(l.Items); return Void, nil }),
	listMethod("Sort", func(l *List, _ []any) (any, error) { return Void, sortItems(l.Items) }),
	listMethod("ToArray", func(l *List, _ []any) (any, error) {
		a := &Array{Items: slices.Clone(l.Items)}
		if l.Kind != nil && l.Kind.Elem != nil && l.Kind.Elem.Name != TObject.Name {
			a.Elem = l.Kind.Elem
		}
		return a, nil
	}),
	listMethod("GetRange", func(l *List, a []any) (any, error) {
		i, n := int(a[0].(int32)), int(a[1].(int32))
		if i < 0 || n < 0 || i+n > len(l.Items) {
			return nil, failure(TArgumentException, "Offset and length were out of bounds for the array or count is greater than the number of elements from index to the end of the source collection.")
		}
		return &List{Kind: l.Kind, Items: slices.Clone(l.Items[i : i+n])}, nil
	}, sig(TInt, TInt)),
	listMethod("GetEnumerator", func(l *List, _ []any) (any, error) { return NewArray(l.Items...), nil }),
	listMethod("Clone", func(l *List, _ []any) (any, error) { return &List{Kind: l.Kind, Items: slices.Clone(l.Items)}, nil }),
	listMethod("Item", func(l *List, a []any) (any, error) { return Index(l, a[0]) }, sig(TObject)),
}

func sortItems(items []any) (err error) {
	slices.SortStableFunc(items, func(a, b any) int {
		n, e := Compare(a, b, true)
		if e != nil && err == nil {
			err = failure(TInvalidOperation, "Failed to compare two elements in the array.")
		}
		return n
	})
	return err
}

func tableMethod(name string, f func(h *Hashtable, a []any) (any, error), sigs ...signature) methodDef {
	return method(name, func(_ *Context, v any, a []any) (any, error) {
		if len(a) > 0 && name != "ContainsValue" && Base(a[0]) == nil {
			return nil, failure(tArgumentNull, "Key cannot be null.\r\nParameter name: key")
		}
		return f(v.(*Hashtable), a)
	}, sigs...)
}

var tableMethods = []methodDef{
	tableMethod("Add", func(h *Hashtable, a []any) (any, error) {
		if old, dup := h.index[hashKey(a[0])]; dup {
			return nil, failure(TArgumentException, "Item has already been added. Key in dictionary: '"+String(h.entries[old].Key)+"'  Key being added: '"+String(a[0])+"'")
		}
		h.Set(a[0], a[1])
		return Void, nil
	}, sig(TObject, TObject)),
	tableMethod("Clear", func(h *Hashtable, _ []any) (any, error) { h.Clear(); return Void, nil }),
	tableMethod("Clone", func(h *Hashtable, _ []any) (any, error) { return h.Clone(), nil }),
	tableMethod("Contains", func(h *Hashtable, a []any) (any, error) { _, ok := h.Get(a[0]); return ok, nil }, sig(TObject)),
	tableMethod("ContainsKey", func(h *Hashtable, a []any) (any, error) { _, ok := h.Get(a[0]); return ok, nil }, sig(TObject)),
	tableMethod("ContainsValue", func(h *Hashtable, a []any) (any, error) { return indexIn(h.Values(), a[0]) >= 0, nil }, sig(TObject)),
	tableMethod("GetEnumerator", func(h *Hashtable, _ []any) (any, error) {
		out := []any{}
		for _, e := range h.Entries() {
			out = append(out, e)
		}
		return &Array{Items: out}, nil
	}),
	tableMethod("Remove", func(h *Hashtable, a []any) (any, error) { h.Remove(a[0]); return Void, nil }, sig(TObject)),
	tableMethod("Item", func(h *Hashtable, a []any) (any, error) { v, _ := h.Get(a[0]); return v, nil }, sig(TObject)),
}

func dateAdd(name string, f func(t time.Time, n float64) time.Time) methodDef {
	return method(name, func(_ *Context, v any, a []any) (any, error) { return f(v.(time.Time), a[0].(float64)), nil }, sig(TDouble))
}

func addUnit(unit time.Duration) func(time.Time, float64) time.Time {
	return func(t time.Time, n float64) time.Time {
		whole := time.Duration(n)
		if unit == 24*time.Hour { // days by the clock's face, as DateTime has no zone
			return t.AddDate(0, 0, int(whole)).Add(time.Duration((n - float64(whole)) * float64(unit)))
		}
		return t.Add(time.Duration(n * float64(unit)))
	}
}

// addMonths keeps the day of the month, or takes the last one.
func addMonths(t time.Time, n int) time.Time {
	first := time.Date(t.Year(), t.Month(), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location()).AddDate(0, n, 0)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1)
}

func dateText(name, format string) methodDef {
	return method(name, func(_ *Context, v any, _ []any) (any, error) { return FormatDate(v.(time.Time), format), nil })
}

var dateMethods = []methodDef{
	dateAdd("AddDays", addUnit(24*time.Hour)), dateAdd("AddHours", addUnit(time.Hour)), dateAdd("AddMinutes", addUnit(time.Minute)),
	dateAdd("AddSeconds", addUnit(time.Second)), dateAdd("AddMilliseconds", addUnit(time.Millisecond)),
	method("AddMonths", func(_ *Context, v any, a []any) (any, error) { return addMonths(v.(time.Time), int(a[0].(int32))), nil }, sig(TInt)),
	method("AddYears", func(_ *Context, v any, a []any) (any, error) {
		return addMonths(v.(time.Time), 12*int(a[0].(int32))), nil
	}, sig(TInt)),
	method("AddTicks", func(_ *Context, v any, a []any) (any, error) {
		return v.(time.Time).Add(time.Duration(a[0].(int64) * 100)), nil
	}, sig(TLong)),
	method("Add", func(_ *Context, v any, a []any) (any, error) { return Add(v, a[0]) }, sig(TTimeSpan)),
	method("Subtract", func(_ *Context, v any, a []any) (any, error) { return Sub(v, a[0]) }, sig(TObject)),
	method("ToUniversalTime", func(c *Context, v any, _ []any) (any, error) {
		t := v.(time.Time)
		if t.Location() == unspecified { // taken as local
			t = time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), c.zone())
		}
		return t.UTC(), nil
	}),
	method("ToLocalTime", func(c *Context, v any, _ []any) (any, error) { return v.(time.Time).In(c.zone()), nil }),
	dateText("ToShortDateString", "d"), dateText("ToLongDateString", "D"), dateText("ToShortTimeString", "t"), dateText("ToLongTimeString", "T"),
}

func (c *Context) zone() *time.Location {
	if c == nil || c.Zone == nil {
		return time.UTC
	}
	return c.Zone
}

var spanMethods = []methodDef{
	method("Add", func(_ *Context, v any, a []any) (any, error) { return Add(v, a[0]) }, sig(TTimeSpan)),
	method("Subtract", func(_ *Context, v any, a []any) (any, error) { return Sub(v, a[0]) }, sig(TTimeSpan)),
	method("Negate", func(_ *Context, v any, _ []any) (any, error) { return -v.(time.Duration), nil }),
	method("Duration", func(_ *Context, v any, _ []any) (any, error) { return v.(time.Duration).Abs(), nil }),
}

func (re *Regex) matchAt(s string) (any, error) {
	m, err := re.find(s, 0)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return noMatch(), nil
	}
	return m, nil
}

// noMatch is the Match of a search that found nothing.
func noMatch() *Object {
	return New(TMatch.Names()...).Add("Groups", NewArray()).Add("Success", false).Add("Index", int32(0)).Add("Length", int32(0)).Add("Value", "")
}

func (re *Regex) allMatches(s string) (any, error) {
	in := []rune(s)
	out := &List{Kind: &Type{Name: "System.Text.RegularExpressions.MatchCollection", Base: TObject, Also: []*Type{tCollection}}}
	err := re.All(in, func(m *netregexp.Match) bool {
		out.Items = append(out.Items, &Match{re, in, m})
		return len(out.Items) < maxItems
	})
	if err != nil {
		return nil, regexFailure(err)
	}
	return out, nil
}

func regexMethod(name string, f func(c *Context, re *Regex, s string, a []any) (any, error), sigs ...signature) methodDef {
	return method(name, func(c *Context, v any, a []any) (any, error) { return f(c, v.(*Regex), a[0].(string), a[1:]) }, sigs...)
}

// regexReplace takes a text or a script block that gets the match.
func regexReplace(c *Context, re *Regex, s string, a []any) (any, error) {
	if text, ok := Base(a[0]).(string); ok {
		return re.Replace(s, text)
	}
	in := []rune(s)
	return re.ReplaceFunc(s, -1, func(m *netregexp.Match) (string, error) {
		r, err := c.invoke(Base(a[0]), nil, []any{&Match{re, in, m}})
		return String(Collapse(r)), err
	})
}

var regexMethods = []methodDef{
	regexMethod("IsMatch", func(_ *Context, re *Regex, s string, _ []any) (any, error) { return re.MatchString(s) }, sig(TString)),
	regexMethod("Match", func(_ *Context, re *Regex, s string, _ []any) (any, error) { return re.matchAt(s) }, sig(TString)),
	regexMethod("Matches", func(_ *Context, re *Regex, s string, _ []any) (any, error) { return re.allMatches(s) }, sig(TString)),
	regexMethod("Replace", regexReplace, sig(TString, TObject)),
	regexMethod("Split", func(_ *Context, re *Regex, s string, _ []any) (any, error) {
		parts, err := re.Split(s, 0)
		return Strings(parts...), err
	}, sig(TString)),
	method("ToString", func(_ *Context, v any, _ []any) (any, error) { return v.(*Regex).String(), nil }),
}

func build(name string, f func(b *builder, a []any) error, sigs ...signature) methodDef {
	return method(name, func(_ *Context, v any, a []any) (any, error) {
		b := v.(*builder)
		if err := f(b, a); err != nil {
			return nil, err
		}
		if b.b.Len() > maxStringLength {
			return nil, tooLarge("string")
		}
		return b, nil
	}, sigs...)
}

var builderMethods = []methodDef{
	build("Append", func(b *builder, a []any) error { b.b.WriteString(String(a[0])); return nil }, sig(TObject)),
	build("AppendLine", func(b *builder, a []any) error {
		if len(a) > 0 {
			b.b.WriteString(String(a[0]))
		}
		b.b.WriteString("\r\n")
		return nil
	}, sig(), sig(TString)),
	build("AppendFormat", func(b *builder, a []any) error {
		s, err := Format(String(a[0]), formatArgs(a[1:])...)
		b.b.WriteString(s)
		return err
	}, variadic(TString, TObject)),
	build("Clear", func(b *builder, _ []any) error { b.b.Reset(); return nil }),
	method("ToString", func(_ *Context, v any, _ []any) (any, error) { return v.(*builder).String(), nil }),
}

// formatArgs is the arguments of a composite format: one array stands for its elements.
func formatArgs(a []any) []any {
	if len(a) == 1 {
		if items, ok := Base(a[0]).(*Array); ok {
			return items.Items
		}
	}
	return a
}

// guid makes a new GUID.
func (c *Context) guid() uuid.UUID {
	if c != nil && c.NewGUID != nil {
		return c.NewGUID()
	}
	return uuid.New()
}
