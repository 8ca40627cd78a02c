package object

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"busybridge/internal/ps/netregexp"

	"github.com/google/uuid"
)

// statics are the static properties by type name.
var statics = map[string][]struct {
	name string
	get  func(c *Context) (any, error)
}{
	TInt.Name:    {{"MaxValue", constant(int32(math.MaxInt32))}, {"MinValue", constant(int32(math.MinInt32))}},
	TLong.Name:   {{"MaxValue", constant(int64(math.MaxInt64))}, {"MinValue", constant(int64(math.MinInt64))}},
	TByte.Name:   {{"MaxValue", constant(uint8(255))}, {"MinValue", constant(uint8(0))}},
	TShort.Name:  {{"MaxValue", constant(int16(math.MaxInt16))}, {"MinValue", constant(int16(math.MinInt16))}},
	TUInt.Name:   {{"MaxValue", constant(uint32(math.MaxUint32))}, {"MinValue", constant(uint32(0))}},
	TULong.Name:  {{"MaxValue", constant(uint64(math.MaxUint64))}, {"MinValue", constant(uint64(0))}},
	TUShort.Name: {{"MaxValue", constant(uint16(math.MaxUint16))}, {"MinValue", constant(uint16(0))}},
	TDouble.Name: {
		{"MaxValue", constant(math.MaxFloat64)}, {"MinValue", constant(-math.MaxFloat64)}, {"NaN", constant(math.NaN())},
		{"PositiveInfinity", constant(math.Inf(1))}, {"NegativeInfinity", constant(math.Inf(-1))}, {"Epsilon", constant(math.SmallestNonzeroFloat64)},
	},
	TDecimal.Name: {{"MaxValue", constant(Decimal{maxDecimal, 0})}, {"MinValue", constant(Decimal{maxDecimal, 0}.neg())}, {"Zero", constant(NewDecimal(0, 0))}, {"One", constant(NewDecimal(1, 0))}},
	TString.Name:  {{"Empty", constant("")}},
	TBool.Name:    {{"TrueString", constant("True")}, {"FalseString", constant("False")}},
	TChar.Name:    {{"MaxValue", constant(Char(0xFFFF))}, {"MinValue", constant(Char(0))}},
	TMath.Name:    {{"PI", constant(math.Pi)}, {"E", constant(math.E)}},
	TGuid.Name:    {{"Empty", constant(uuid.UUID{})}},
	TTimeSpan.Name: {
		{"Zero", constant(time.Duration(0))}, {"TicksPerDay", constant(int64(864000000000))}, {"TicksPerSecond", constant(int64(10000000))},
	},
	TDateTime.Name: {
		{"Now", func(c *Context) (any, error) { return c.now() }},
		{"UtcNow", func(c *Context) (any, error) { t, err := c.now(); return t.UTC(), err }},
		{"Today", func(c *Context) (any, error) {
			t, err := c.now()
			return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location()), err
		}},
		{"MinValue", constant(Date(1, 1, 1, 0, 0, 0, 0))}, {"MaxValue", constant(Date(9999, 12, 31, 23, 59, 59, 999999900))},
	},
	tEnvironment.Name: {
		{"NewLine", constant("\r\n")},
		{"MachineName", func(c *Context) (any, error) { return c.env("COMPUTERNAME") }},
		{"UserName", func(c *Context) (any, error) { return c.env("USERNAME") }},
	},
	tEncoding.Name: {
		{"UTF8", constant(encodingObject("UTF8"))}, {"ASCII", constant(encodingObject("ASCII"))}, {"Unicode", constant(encodingObject("Unicode"))},
		{"Default", constant(encodingObject("UTF8"))},
	},
	tPath.Name: {{"DirectorySeparatorChar", constant(Char('\\'))}},
}

func constant(v any) func(*Context) (any, error) {
	return func(*Context) (any, error) { return v, nil }
}

func (c *Context) env(name string) (any, error) {
	if c == nil || c.Getenv == nil {
		return nil, nil
	}
	return c.Getenv(name), nil
}

// StaticGet is [t]::name: a static property or a member of an enumeration. A missing one is null, as in 5.1.
func StaticGet(c *Context, t *Type, name string) (any, error) {
	for _, n := range t.Enum {
		if strings.EqualFold(n.Name, name) {
			return Enum{t, n.Value}, nil
		}
	}
	for _, s := range statics[t.Name] {
		if strings.EqualFold(s.name, name) {
			v, err := s.get(c)
			if err != nil {
				return nil, NewError("ExceptionWhenGetting", NotSpecified, tGetValue, "Exception getting \"%s\": \"%s\"", s.name, err)
			}
			return v, nil
		}
	}
	return nil, nil
}

// StaticNames lists the static members of t, for completion and Get-Member -Static.
func StaticNames(t *Type) []string {
	var names []string
	for _, n := range t.Enum {
		names = append(names, n.Name)
	}
	for _, s := range statics[t.Name] {
		names = append(names, s.name)
	}
	for _, m := range staticMethods(t.Name) {
		names = append(names, m.name)
	}
	return names
}

// CallStatic is [t]::name(args).
func CallStatic(c *Context, t *Type, name string, args []any) (any, error) {
	if strings.EqualFold(name, "new") {
		return Construct(c, t, args)
	}
	key := t.Name
	for _, table := range []string{key, tableName(t)} {
		for i := range staticMethods(table) {
			m := &staticMethods(table)[i]
			if strings.EqualFold(m.name, name) {
				return m.run(c, t, args)
			}
		}
	}
	switch {
	case strings.EqualFold(name, "Parse") && len(args) == 1 && t.Enum == nil && parseable(t):
		r, err := Convert(String(args[0]), t)
		if err != nil {
			inner := AsRecord(err).Exception
			for inner.Inner != nil {
				inner = inner.Inner
			}
			return nil, invocation("Parse", 1, failure(TFormatException, inner.Message))
		}
		return r, nil
	}
	return nil, NewError("MethodNotFound", InvalidOperation, nil, "Method invocation failed because [%s] does not contain a method named '%s'.", t.Name, name)
}

func parseable(t *Type) bool {
	_, number := numeric[t.Name]
	return number || slices.Contains([]string{TDateTime.Name, TTimeSpan.Name, TGuid.Name, TVersion.Name, TChar.Name}, t.Name)
}

func static(name string, f func(a []any) (any, error), sigs ...signature) methodDef {
	return method(name, func(_ *Context, _ any, a []any) (any, error) { return f(a) }, sigs...)
}

func math1(name string, f func(float64) float64) methodDef {
	return static(name, func(a []any) (any, error) { return f(a[0].(float64)), nil }, sig(TDouble))
}

// keepKind applies f to a double and gives back the kind of number that came: decimals stay decimals.
func keepKind(name string, f func(float64) float64) methodDef {
	return static(name, func(a []any) (any, error) {
		v, err := numberArg(a[0])
		if err != nil {
			return nil, err
		}
		if d, ok := v.(Decimal); ok {
			return toDecimalOrNil(f(d.Float()))
		}
		return f(toFloat(v)), nil
	}, sig(TObject))
}

func toDecimalOrNil(f float64) (any, error) {
	d, err := toDecimal(f)
	return d, err
}

func numberArg(v any) (any, error) {
	n, ok, err := number(Base(v))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, castError(v, TDouble)
	}
	return n, nil
}

func pick(name string, want int) methodDef {
	return static(name, func(a []any) (any, error) {
		x, err := numberArg(a[0])
		if err != nil {
			return nil, err
		}
		y, err := numberArg(a[1])
		if err != nil {
			return nil, err
		}
		r := y
		if compareNumbers(x, y)*want > 0 {
			r = x
		}
		if z, err := Add(x, y); err == nil { // the wider type of the two
			return Convert(r, TypeOf(z))
		}
		return r, nil
	}, sig(TObject, TObject))
}

// roundTo is Math.Round: half to even, or away from zero.
func roundTo(a []any) (any, error) {
	v, err := numberArg(a[0])
	if err != nil {
		return nil, err
	}
	places, away := 0, false
	for _, x := range a[1:] {
		if n, ok := Base(x).(int32); ok {
			places = int(n)
			continue
		}
		e, err := convertEnum(Base(x), TMidpoint)
		if err != nil {
			return nil, err
		}
		away = e.(Enum).Value == 1
	}
	if places < 0 || places > 15 {
		return nil, failure(tArgumentRange, "Rounding digits must be between 0 and 15, inclusive.\r\nParameter name: digits")
	}
	if d, ok := v.(Decimal); ok {
		if d.scale <= places {
			return d, nil
		}
		n := divRound(d.int(), pow10(d.scale-places))
		return Decimal{n, places}, nil
	}
	f := toFloat(v)
	p := math.Pow10(places)
	if away {
		return math.Round(f*p) / p, nil
	}
	return math.RoundToEven(f*p) / p, nil
}

func fileMethod(name string, f func(files Files, name string, a []any) (any, error), sigs ...signature) methodDef {
	return method(name, func(c *Context, _ any, a []any) (any, error) {
		files, err := c.files()
		if err != nil {
			return nil, err
		}
		path := a[0].(string)
		if path == "" {
			return nil, failure(TArgumentException, "Empty path name is not legal.")
		}
		r, err := f(files, path, a[1:])
		if err != nil {
			return nil, fileError(files.FullName(path), err)
		}
		return r, nil
	}, sigs...)
}

// fileError is what .NET says about a file that could not be used.
func fileError(name string, err error) error {
	if _, ok := errors.AsType[*Exception](err); ok {
		return err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return failure(TFileNotFound, "Could not find file '"+name+"'.")
	case errors.Is(err, fs.ErrPermission):
		return failure(TUnauthorizedAccess, "Access to the path '"+name+"' is denied.")
	}
	return &Exception{Class: TIOException, Message: err.Error(), Cause: err}
}

// decodeText reads UTF-8 with or without mark, and UTF-16 with mark.
func decodeText(b []byte) string {
	switch {
	case len(b) >= 2 && b[0] == 0xFF && b[1] == 0xFE:
		return decode16(b[2:], 0, 1)
	case len(b) >= 2 && b[0] == 0xFE && b[1] == 0xFF:
		return decode16(b[2:], 1, 0)
	}
	s := strings.TrimPrefix(string(b), "\ufeff")
	return strings.ToValidUTF8(s, "\ufffd")
}

func decode16(b []byte, low, high int) string {
	u := make([]uint16, len(b)/2)
	for i := range u {
		u[i] = uint16(b[2*i+low]) | uint16(b[2*i+high])<<8
	}
	return fromUTF16(u)
}

func lines(s string) []string {
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
	s = strings.TrimSuffix(s, "\n")
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

func encodingObject(name string) *Object {
	o := New("System.Text."+name+"Encoding", tEncoding.Name, TObject.Name)
	o.Add("EncodingName", name)
	o.AddMethod("GetBytes", func(_ *Context, _ *Object, a []any) (any, error) {
		if len(a) != 1 {
			return nil, failure(TArgumentException, "One text is needed.")
		}
		return Bytes(encode(name, String(a[0]))), nil
	})
	o.AddMethod("GetString", func(_ *Context, _ *Object, a []any) (any, error) {
		if len(a) != 1 {
			return nil, failure(TArgumentException, "One byte array is needed.")
		}
		b, err := ToBytes(a[0])
		if err != nil {
			return nil, err
		}
		if name == "Unicode" {
			return decode16(b, 0, 1), nil
		}
		return strings.ToValidUTF8(string(b), "\ufffd"), nil
	})
	return o
}

func encode(name, s string) []byte {
	switch name {
	case "Unicode":
		var b []byte
		for _, u := range utf16Of(s) {
			b = append(b, byte(u), byte(u>>8))
		}
		return b
	case "ASCII":
		return []byte(strings.Map(func(r rune) rune {
			if r > 127 {
				return '?'
			}
			return r
		}, s))
	}
	return []byte(s)
}

func charTest(name string, f func(rune) bool) methodDef {
	return static(name, func(a []any) (any, error) { return f(rune(a[0].(Char))), nil }, sig(TChar))
}

func regexStatic(name string, f func(c *Context, re *Regex, s string, a []any) (any, error), more ...*Type) methodDef {
	base := append([]*Type{TString, TString}, more...)
	return method(name, func(c *Context, _ any, a []any) (any, error) {
		var options int64
		if len(a) > len(base) {
			options = a[len(base)].(Enum).Value
		}
		re, err := CompileRegex(a[1].(string), options)
		if err != nil {
			return nil, failure(TArgumentException, err.Error())
		}
		return f(c, re, a[0].(string), a[2:])
	}, sig(base...), sig(append(slices.Clip(base), TRegexOptions)...))
}

func fromUnit(name string, unit time.Duration) methodDef {
	return static(name, func(a []any) (any, error) {
		f := a[0].(float64) * float64(unit)
		if math.IsNaN(f) || math.Abs(f) > math.MaxInt64 {
			return nil, failure(tOverflow, "TimeSpan overflowed because the duration is too long.")
		}
		return time.Duration(math.Round(f/1e6) * 1e6), nil
	}, sig(TDouble))
}

func pathMethod(name string, f func(p string) any) methodDef {
	return static(name, func(a []any) (any, error) { return f(a[0].(string)), nil }, sig(TString))
}

// lastSlash is the place after the last separator of a path.
func lastSlash(p string) int { return strings.LastIndexAny(p, `\/:`) + 1 }

func extension(p string) string {
	name := p[lastSlash(p):]
	if i := strings.LastIndexByte(name, '.'); i >= 0 && i < len(name)-1 {
		return name[i:]
	}
	return ""
}

func parentPath(p string) any {
	i := strings.LastIndexAny(p, `\/`)
	if i < 0 {
		return ""
	}
	if i == len(p)-1 && strings.HasSuffix(p[:i], ":") {
		return nil
	}
	if i > 0 && p[i-1] == ':' {
		return p[:i+1]
	}
	return p[:i]
}

func combine(a []any) (any, error) {
	out := ""
	for _, x := range a {
		p := String(x)
		switch {
		case p == "":
		case out == "" || strings.HasPrefix(p, `\`) || strings.HasPrefix(p, "/") || len(p) > 1 && p[1] == ':':
			out = p
		case strings.HasSuffix(out, `\`) || strings.HasSuffix(out, "/") || strings.HasSuffix(out, ":"):
			out += p
		default:
			out += `\` + p
		}
	}
	return out, nil
}

// staticTable is the static methods by type name.
func staticTable() map[string][]methodDef {
	return map[string][]methodDef{
		TString.Name: {
			method("Format", func(_ *Context, _ any, a []any) (any, error) {
				s, err := Format(a[0].(string), formatArgs(a[1:])...)
				if err != nil {
					return nil, failure(TFormatException, strings.TrimSuffix(strings.TrimPrefix(err.Error(), "Error formatting a string: "), "."))
				}
				return s, nil
			}, variadic(TString, TObject)),
			static("Join", func(a []any) (any, error) {
				return JoinWith(&Array{Items: joinArgs(a[1:])}, a[0].(string)), nil
			}, variadic(TString, TObject)),
			static("Concat", func(a []any) (any, error) { return JoinWith(&Array{Items: joinArgs(a)}, ""), nil }, variadic(TObject)),
			static("IsNullOrEmpty", func(a []any) (any, error) { return a[0].(string) == "", nil }, sig(TString)),
			static("IsNullOrWhiteSpace", func(a []any) (any, error) { return strings.TrimSpace(a[0].(string)) == "", nil }, sig(TString)),
			static("Equals", func(a []any) (any, error) { return netSame(a[0], a[1]), nil }, sig(TObject, TObject)),
			static("Compare", func(a []any) (any, error) {
				exact := len(a) < 3
				if len(a) == 3 {
					if b, ok := Base(a[2]).(bool); ok {
						exact = !b
					} else {
						exact = !strings.HasSuffix(String(a[2]), "IgnoreCase")
					}
				}
				return int32(CompareStrings(a[0].(string), a[1].(string), exact)), nil
			}, sig(TString, TString), sig(TString, TString, TObject)),
		},
		TMath.Name: {
			static("Abs", func(a []any) (any, error) {
				v, err := numberArg(a[0])
				if err == nil && compareNumbers(v, int32(0)) < 0 {
					return Sub(int32(0), v)
				}
				return v, err
			}, sig(TObject)),
			keepKind("Ceiling", math.Ceil), keepKind("Floor", math.Floor), keepKind("Truncate", math.Trunc),
			static("Round", roundTo, sig(TObject), sig(TObject, TObject), sig(TObject, TObject, TObject)),
			pick("Max", 1), pick("Min", -1),
			static("Pow", func(a []any) (any, error) { return math.Pow(a[0].(float64), a[1].(float64)), nil }, sig(TDouble, TDouble)),
			math1("Sqrt", math.Sqrt), math1("Log10", math.Log10), math1("Exp", math.Exp), math1("Sin", math.Sin), math1("Cos", math.Cos), math1("Tan", math.Tan),
			static("Log", func(a []any) (any, error) {
				if len(a) == 2 {
					return math.Log(a[0].(float64)) / math.Log(a[1].(float64)), nil
				}
				return math.Log(a[0].(float64)), nil
			}, sig(TDouble), sig(TDouble, TDouble)),
			static("Sign", func(a []any) (any, error) {
				v, err := numberArg(a[0])
				if err != nil {
					return nil, err
				}
				return int32(compareNumbers(v, int32(0))), nil
			}, sig(TObject)),
		},
		tConvert.Name: {
			static("ToBase64String", func(a []any) (any, error) {
				b, err := ToBytes(a[0])
				if err != nil {
					return nil, err
				}
				return base64.StdEncoding.EncodeToString(b), nil
			}, sig(TByteArray)),
			static("FromBase64String", func(a []any) (any, error) {
				s := strings.Map(func(r rune) rune {
					if unicode.IsSpace(r) {
						return -1
					}
					return r
				}, a[0].(string))
				b, err := base64.StdEncoding.DecodeString(s)
				if err != nil {
					if len(s)%4 != 0 {
						return nil, failure(TFormatException, "Invalid length for a Base-64 char array or string.")
					}
					return nil, failure(TFormatException, "The input is not a valid Base-64 string as it contains a non-base 64 character, more than two padding characters, or an illegal character among the padding characters. ")
				}
				return Bytes(b), nil
			}, sig(TString)),
			static("ToString", func(a []any) (any, error) {
				if len(a) == 2 {
					return radix(a[0], a[1])
				}
				return Display(a[0]), nil
			}, sig(TObject), sig(TObject, TObject)),
			static("ToInt32", func(a []any) (any, error) {
				if len(a) == 2 {
					base := a[1].(int32)
					if !slices.Contains([]int32{2, 8, 10, 16}, base) {
						return nil, failure(TArgumentException, "Invalid Base.")
					}
					s := String(a[0])
					if base == 16 {
						s = strings.TrimPrefix(strings.ToLower(s), "0x")
					}
					n, err := strconv.ParseUint(s, int(base), 32)
					if err != nil {
						return nil, failure(TFormatException, "Could not find any recognizable digits.")
					}
					return int32(uint32(n)), nil
				}
				return Convert(a[0], TInt)
			}, sig(TObject), sig(TObject, TInt)),
			converter("ToInt64", TLong), converter("ToDouble", TDouble), converter("ToBoolean", TBool), converter("ToByte", TByte), converter("ToChar", TChar),
			converter("ToDecimal", TDecimal), converter("ToDateTime", TDateTime),
		},
		TDateTime.Name: {
			static("DaysInMonth", func(a []any) (any, error) {
				y, m := int(a[0].(int32)), int(a[1].(int32))
				if m < 1 || m > 12 {
					return nil, failure(tArgumentRange, "Month must be between one and twelve.\r\nParameter name: month")
				}
				return int32(time.Date(y, time.Month(m)+1, 0, 0, 0, 0, 0, time.UTC).Day()), nil
			}, sig(TInt, TInt)),
			static("IsLeapYear", func(a []any) (any, error) {
				return time.Date(int(a[0].(int32)), 12, 31, 0, 0, 0, 0, time.UTC).YearDay() == 366, nil
			}, sig(TInt)),
			static("Compare", func(a []any) (any, error) { return int32(order(Base(a[0]), Base(a[1]))), nil }, sig(TDateTime, TDateTime)),
		},
		TTimeSpan.Name: {
			fromUnit("FromDays", 24*time.Hour), fromUnit("FromHours", time.Hour), fromUnit("FromMinutes", time.Minute), fromUnit("FromSeconds", time.Second),
			fromUnit("FromMilliseconds", time.Millisecond),
			static("FromTicks", func(a []any) (any, error) { return Convert(a[0], TTimeSpan) }, sig(TLong)),
		},
		TGuid.Name: {
			method("NewGuid", func(c *Context, _ any, _ []any) (any, error) { return c.guid(), nil }),
		},
		TURI.Name: {
			static("EscapeDataString", func(a []any) (any, error) {
				return strings.ReplaceAll(url.QueryEscape(a[0].(string)), "+", "%20"), nil
			}, sig(TString)),
			static("UnescapeDataString", func(a []any) (any, error) {
				s, err := url.PathUnescape(a[0].(string))
				if err != nil {
					return a[0], nil //nolint:nilerr // escapes that are none stay
				}
				return s, nil
			}, sig(TString)),
			static("IsWellFormedUriString", func(a []any) (any, error) {
				u, err := url.Parse(a[0].(string))
				return err == nil && (u.IsAbs() && u.Host != "" || !strings.EqualFold(String(a[1]), "Absolute") && !strings.Contains(a[0].(string), " ")), nil
			}, sig(TString, TObject)),
		},
		tFile.Name: {
			fileMethod("WriteAllBytes", func(f Files, p string, a []any) (any, error) {
				b, err := ToBytes(a[0])
				if err != nil {
					return nil, err
				}
				return Void, f.WriteFile(p, b)
			}, sig(TString, TByteArray)),
			fileMethod("ReadAllBytes", func(f Files, p string, _ []any) (any, error) {
				b, err := f.ReadFile(p)
				return Bytes(b), err
			}, sig(TString)),
			fileMethod("ReadAllText", func(f Files, p string, _ []any) (any, error) {
				b, err := f.ReadFile(p)
				return decodeText(b), err
			}, sig(TString), sig(TString, TObject)),
			fileMethod("ReadAllLines", func(f Files, p string, _ []any) (any, error) {
				b, err := f.ReadFile(p)
				return Strings(lines(decodeText(b))...), err
			}, sig(TString), sig(TString, TObject)),
			fileMethod("WriteAllText", func(f Files, p string, a []any) (any, error) {
				return Void, f.WriteFile(p, []byte(a[0].(string)))
			}, sig(TString, TString), sig(TString, TString, TObject)),
			fileMethod("WriteAllLines", func(f Files, p string, a []any) (any, error) {
				s := ""
				if items, _ := Items(a[0]); len(items) > 0 {
					s = JoinWith(a[0], "\r\n") + "\r\n"
				}
				return Void, f.WriteFile(p, []byte(s))
			}, sig(TString, TStringArray), sig(TString, TStringArray, TObject)),
			method("Exists", func(c *Context, _ any, a []any) (any, error) {
				f, err := c.files()
				if err != nil {
					return nil, err
				}
				file, _ := f.Stat(a[0].(string))
				return file, nil
			}, sig(TString)),
		},
		tPath.Name: {
			static("Combine", combine, variadic(TString)),
			pathMethod("GetFileName", func(p string) any { return p[lastSlash(p):] }),
			pathMethod("GetExtension", func(p string) any { return extension(p) }),
			pathMethod("GetFileNameWithoutExtension", func(p string) any { return strings.TrimSuffix(p[lastSlash(p):], extension(p)) }),
			pathMethod("GetDirectoryName", parentPath),
			method("GetFullPath", func(c *Context, _ any, a []any) (any, error) {
				f, err := c.files()
				if err != nil {
					return nil, err
				}
				return f.FullName(a[0].(string)), nil
			}, sig(TString)),
		},
		tEnvironment.Name: {
			method("GetEnvironmentVariable", func(c *Context, _ any, a []any) (any, error) {
				v, err := c.env(a[0].(string))
				if v == "" {
					v = nil
				}
				return v, err
			}, sig(TString), sig(TString, TObject)),
		},
		TRegex.Name: {
			static("Escape", func(a []any) (any, error) { return netregexp.Escape(a[0].(string)), nil }, sig(TString)),
			regexStatic("IsMatch", func(_ *Context, re *Regex, s string, _ []any) (any, error) { return re.MatchString(s) }),
			regexStatic("Match", func(_ *Context, re *Regex, s string, _ []any) (any, error) { return re.matchAt(s) }),
			regexStatic("Matches", func(_ *Context, re *Regex, s string, _ []any) (any, error) { return re.allMatches(s) }),
			regexStatic("Replace", regexReplace, TObject),
			regexStatic("Split", func(_ *Context, re *Regex, s string, _ []any) (any, error) {
				parts, err := re.Split(s, 0)
				return Strings(parts...), err
			}),
		},
		TChar.Name: {
			charTest("IsDigit", unicode.IsDigit), charTest("IsLetter", unicode.IsLetter), charTest("IsUpper", unicode.IsUpper), charTest("IsLower", unicode.IsLower),
			charTest("IsWhiteSpace", unicode.IsSpace), charTest("IsPunctuation", unicode.IsPunct),
			charTest("IsLetterOrDigit", func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }),
			static("ToUpper", func(a []any) (any, error) { return Char(unicode.ToUpper(rune(a[0].(Char)))), nil }, sig(TChar)),
			static("ToLower", func(a []any) (any, error) { return Char(unicode.ToLower(rune(a[0].(Char)))), nil }, sig(TChar)),
			static("GetNumericValue", func(a []any) (any, error) {
				if c := a[0].(Char); c >= '0' && c <= '9' {
					return float64(c - '0'), nil
				}
				return float64(-1), nil
			}, sig(TChar)),
		},
		TDouble.Name: {
			static("IsNaN", func(a []any) (any, error) { return math.IsNaN(a[0].(float64)), nil }, sig(TDouble)),
			static("IsInfinity", func(a []any) (any, error) { return math.IsInf(a[0].(float64), 0), nil }, sig(TDouble)),
		},
		TArray.Name: {
			static("Reverse", func(a []any) (any, error) {
				if items, ok := Items(a[0]); ok {
					slices.Reverse(items)
				}
				return Void, nil
			}, sig(TObject)),
			static("Sort", func(a []any) (any, error) {
				items, _ := Items(a[0])
				return Void, sortItems(items)
			}, sig(TObject)),
			static("IndexOf", func(a []any) (any, error) {
				items, _ := Items(a[0])
				return int32(indexIn(items, a[1])), nil
			}, sig(TObject, TObject)),
		},
		tEnumBase.Name: {
			static("GetNames", func(a []any) (any, error) {
				t, err := enumType(a[0])
				if err != nil {
					return nil, err
				}
				return enumNames(t), nil
			}, sig(TType)),
			static("GetValues", func(a []any) (any, error) {
				t, err := enumType(a[0])
				if err != nil {
					return nil, err
				}
				out := &Array{Elem: t}
				for _, n := range t.Enum {
					out.Items = append(out.Items, Enum{t, n.Value})
				}
				return out, nil
			}, sig(TType)),
			static("Parse", func(a []any) (any, error) {
				t, err := enumType(a[0])
				if err != nil {
					return nil, err
				}
				return convertEnum(a[1], t)
			}, sig(TType, TString), sig(TType, TString, TBool)),
			static("IsDefined", func(a []any) (any, error) {
				t, err := enumType(a[0])
				if err != nil {
					return nil, err
				}
				return slices.ContainsFunc(t.Enum, func(n EnumName) bool {
					v, isNumber := small(Base(a[1]))
					return n.Name == String(a[1]) || isNumber && v == n.Value
				}), nil
			}, sig(TType, TObject)),
		},
	}
}

func enumType(v any) (*Type, error) {
	t, ok := v.(*Type)
	if !ok || t.Enum == nil {
		return nil, failure(TArgumentException, "Type provided must be an Enum.\r\nParameter name: enumType")
	}
	return t, nil
}

func converter(name string, t *Type) methodDef {
	return static(name, func(a []any) (any, error) { return Convert(a[0], t) }, sig(TObject))
}

// radix is Convert.ToString(number, 2, 8, 10 or 16).
func radix(v, base any) (any, error) {
	b, err := Convert(base, TInt)
	if err != nil {
		return nil, err
	}
	n, ok := twosComplement(Base(v))
	if !ok || !slices.Contains([]int32{2, 8, 10, 16}, b.(int32)) {
		return nil, failure(TArgumentException, "Invalid Base.")
	}
	if b.(int32) == 10 {
		return Display(v), nil
	}
	return strconv.FormatUint(n, int(b.(int32))), nil
}

func joinArgs(a []any) []any {
	if len(a) == 1 {
		if items, ok := Items(a[0]); ok {
			return items
		}
	}
	return a
}

// Construct is [t]::new(args) and New-Object. What the table does not know cannot be made.
func Construct(c *Context, t *Type, args []any) (any, error) {
	noOverload := NewError("ConstructorInvokedThrowException", InvalidOperation, TPSArgument, "Cannot find an overload for \"%s\" and the argument count: \"%d\".", t.Title(), len(args))
	arg := func(i int) any { return Base(args[i]) }
	switch {
	case t.Elem != nil && t.Is(TArray):
		if len(args) != 1 {
			return nil, noOverload
		}
		n, err := Convert(args[0], TInt)
		if err != nil {
			return nil, err
		}
		if n.(int32) < 0 || n.(int32) > maxItems {
			return nil, NewError("OverflowException", InvalidOperation, tOverflow, "Array dimensions exceeded supported range.")
		}
		a := &Array{Items: make([]any, n.(int32))}
		if t.Elem.Name != TObject.Name {
			a.Elem = t.Elem
			for i := range a.Items {
				if t.Elem.Is(tValueType) {
					if a.Items[i], err = Convert(nil, t.Elem); err != nil {
						return nil, err
					}
				}
			}
		}
		return a, nil
	case tableName(t) == TArrayList.Name:
		l := &List{Kind: t}
		if t.Name == TArrayList.Name {
			l.Kind = nil
		}
		if len(args) == 1 {
			if items, ok := Items(args[0]); ok {
				for _, x := range items {
					if err := l.Add(x); err != nil {
						return nil, err
					}
				}
			} else if _, err := Convert(args[0], TInt); err != nil {
				return nil, err
			}
		}
		return l, nil
	case t.Is(TDictionary) && t.Name != TDictionary.Name:
		h := &Hashtable{Ordered: t.Name == TOrdered.Name}
		if strings.Contains(t.Name, "Dictionary`2") {
			h.Kind = t
		}
		if len(args) > 0 {
			if src, ok := arg(0).(*Hashtable); ok {
				for k, v := range src.All() {
					h.Set(k, v)
				}
			}
		}
		return h, nil
	case t.Is(TException):
		e := &Exception{Class: t, Message: "Exception of type '" + t.Name + "' was thrown."}
		if len(args) > 0 {
			e.Message = String(args[0])
		}
		if len(args) > 1 {
			e.Inner, _ = arg(1).(*Exception)
		}
		if len(args) > 2 {
			return nil, noOverload
		}
		return e, nil
	case t.Is(TCertificate):
		cert := &Certificate{Second: t.Name == TCertificate2.Name}
		if len(args) > 0 {
			data, err := fileOrBytes(c, args[0])
			if err == nil {
				err = cert.load(data)
			}
			if err != nil {
				return nil, constructing(len(args), err)
			}
		}
		return cert, nil
	}
	switch t.Name {
	case TObject.Name, TPSObject.Name, TCustom.Name:
		if len(args) == 1 {
			if h, ok := arg(0).(*Hashtable); ok {
				return Convert(h, TCustom)
			}
			return Wrap(args[0]), nil
		}
		return New(), nil
	case TString.Name:
		switch len(args) {
		case 1:
			if items, ok := Items(args[0]); ok {
				return JoinWith(&Array{Items: items}, ""), nil
			}
			return String(args[0]), nil
		case 2:
			n, err := Convert(args[1], TInt)
			if err != nil {
				return nil, err
			}
			if n.(int32) < 0 || n.(int32) > maxStringLength {
				return nil, noOverload
			}
			return strings.Repeat(String(args[0]), int(n.(int32))), nil
		}
	case tBuilder.Name:
		b := &builder{}
		if len(args) > 0 {
			if s, ok := arg(0).(string); ok {
				b.b.WriteString(s)
			}
		}
		return b, nil
	case TDateTime.Name:
		f := [7]int{1, 1, 1}
		if len(args) == 1 {
			return Convert(args[0], TDateTime)
		}
		if len(args) == 0 || len(args) >= 3 && len(args) <= 7 {
			for i, a := range args {
				n, err := Convert(a, TInt)
				if err != nil {
					return nil, err
				}
				f[i] = int(n.(int32))
			}
			d := Date(f[0], time.Month(f[1]), f[2], f[3], f[4], f[5], f[6]*1e6)
			if d.Year() != f[0] || int(d.Month()) != f[1] || d.Day() != f[2] || d.Hour() != f[3] || d.Minute() != f[4] || d.Second() != f[5] || f[0] < 1 || f[0] > 9999 {
				return nil, constructing(len(args), failure(tArgumentRange, "Year, Month, and Day parameters describe an un-representable DateTime."))
			}
			return d, nil
		}
	case TTimeSpan.Name:
		var n [4]int64
		for i, a := range args[:min(4, len(args))] {
			v, err := Convert(a, TLong)
			if err != nil {
				return nil, err
			}
			if n[i] = v.(int64); n[i] > math.MaxInt32 || n[i] < math.MinInt32 {
				return nil, noOverload
			}
		}
		switch len(args) {
		case 0:
			return time.Duration(0), nil
		case 1:
			return Convert(args[0], TTimeSpan)
		case 3:
			n = [4]int64{0, n[0], n[1], n[2]}
			fallthrough
		case 4:
			return time.Duration(((n[0]*24+n[1])*60+n[2])*60+n[3]) * time.Second, nil
		}
	case TVersion.Name:
		if len(args) == 0 {
			return Version{0, 0, -1, -1}, nil
		}
		parts := make([]string, len(args))
		for i, a := range args {
			parts[i] = String(a)
		}
		v, err := ParseVersion(strings.Join(parts, "."))
		if err != nil {
			return nil, constructing(len(args), failure(TArgumentException, "Version string portion was too short or too long."))
		}
		return v, nil
	case TGuid.Name, TURI.Name, TRegex.Name:
		if len(args) == 0 && t.Name == TGuid.Name {
			return uuid.UUID{}, nil
		}
		if t.Name == TRegex.Name && len(args) == 2 {
			o, err := Convert(args[1], TRegexOptions)
			if err != nil {
				return nil, err
			}
			re, err := CompileRegex(String(args[0]), o.(Enum).Value)
			if err != nil {
				return nil, constructing(2, failure(TArgumentException, err.Error()))
			}
			return re, nil
		}
		if len(args) >= 1 {
			r, err := Convert(args[0], t)
			if err != nil {
				inner := AsRecord(err).Exception
				for inner.Inner != nil {
					inner = inner.Inner
				}
				return nil, constructing(len(args), inner)
			}
			return r, nil
		}
	case TSecureString.Name:
		return &SecureString{}, nil
	case TCredential.Name:
		if len(args) == 2 {
			s, ok := arg(1).(*SecureString)
			if ok && String(args[0]) != "" {
				return &Credential{String(args[0]), s}, nil
			}
		}
	default:
		if _, ok := numeric[t.Name]; ok && len(args) == 0 {
			return Convert(nil, t)
		}
		return nil, NewError("CannotFindAppropriateCtor", ObjectNotFound, TPSArgument,
			"A constructor was not found. Cannot find an appropriate constructor for type %s.", t.Name)
	}
	return nil, noOverload
}

// constructing wraps what a constructor failed with.
func constructing(n int, err error) error {
	r := AsRecord(invocation(".ctor", n, err))
	r.ID = "ConstructorInvokedThrowException"
	return r
}

// ConstructByName is New-Object name: text may name a type that is not in the table.
func ConstructByName(c *Context, name string, args []any) (any, error) {
	t, ok := FindType(name)
	if !ok {
		return nil, NewError("TypeNotFound", InvalidType, TPSArgument, "Cannot find type [%s]: verify that the assembly containing this type is loaded.", name)
	}
	return Construct(c, t, args)
}

// UnknownType is the error of a type literal that names nothing.
func UnknownType(name string) *ErrorRecord {
	r := NewError("TypeNotFound", InvalidOperation, nil, "Unable to find type [%s].", name)
	r.TargetName, r.TargetType = name, "TypeName"
	return r
}

// ConstructCOM is New-Object -ComObject: Scripting.FileSystemObject, with the methods that only look at names (17.3).
func ConstructCOM(c *Context, progID string) (any, error) {
	if !strings.EqualFold(progID, "Scripting.FileSystemObject") {
		return nil, NewError("NoCOMClassIdentified", InvalidType, tCOMException,
			"Retrieving the COM class factory for component with CLSID {00000000-0000-0000-0000-000000000000} failed due to the following error: 80040154 Class not registered (Exception from HRESULT: 0x80040154 (REGDB_E_CLASSNOTREG)).")
	}
	o := New(tCOMFiles.Names()...)
	text := func(name string, n int, f func(files Files, a []string) any) {
		o.AddMethod(name, func(c *Context, _ *Object, args []any) (any, error) {
			files, err := c.files()
			if err != nil {
				return nil, err
			}
			if len(args) != n {
				return nil, NewError("MethodCountCouldNotFindBest", NotSpecified, TMethodException,
					"Cannot find an overload for \"%s\" and the argument count: \"%d\".", name, len(args))
			}
			a := make([]string, n)
			for i, x := range args {
				a[i] = String(x)
			}
			return f(files, a), nil
		})
	}
	text("GetAbsolutePathName", 1, func(f Files, a []string) any { return f.FullName(a[0]) })
	text("FileExists", 1, func(f Files, a []string) any { file, _ := f.Stat(a[0]); return file })
	text("FolderExists", 1, func(f Files, a []string) any { _, folder := f.Stat(a[0]); return folder })
	text("GetFileName", 1, func(_ Files, a []string) any { return a[0][lastSlash(a[0]):] })
	text("GetBaseName", 1, func(_ Files, a []string) any { return strings.TrimSuffix(a[0][lastSlash(a[0]):], extension(a[0])) })
	text("GetExtensionName", 1, func(_ Files, a []string) any { return strings.TrimPrefix(extension(a[0]), ".") })
	text("GetParentFolderName", 1, func(_ Files, a []string) any { return String(parentPath(a[0])) })
	text("BuildPath", 2, func(_ Files, a []string) any { p, _ := combine([]any{a[0], a[1]}); return p })
	return o, nil
}
