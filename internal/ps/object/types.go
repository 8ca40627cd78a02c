package object

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// A Type is a type the language can name. Types are compared with [Type.Is], not by pointer: array and generic
// types are made when they are named.
type Type struct {
	Name  string  // full name, for example System.Int32
	Short string  // accelerator, for example int; empty when there is none
	Base  *Type   // nil for System.Object
	Also  []*Type // interfaces
	Elem  *Type   // element type of an array or a list
	Enum  []EnumName
	Flags bool // an enumeration whose values combine
}

// An EnumName is one member of an enumeration.
type EnumName struct {
	Name  string
	Value int64
}

// String is the full name, as [int].ToString() gives it.
func (t *Type) String() string { return t.Name }

// Title is the name after the namespace: Int32, Object[], List`1.
func (t *Type) Title() string {
	name, rest := t.Name, ""
	if i := strings.IndexByte(name, '['); i >= 0 {
		name, rest = name[:i], name[i:]
		if !strings.HasPrefix(rest, "[]") && !strings.HasPrefix(rest, "[,") {
			rest = ""
		}
	}
	return name[strings.LastIndexByte(name, '.')+1:] + rest
}

// Is reports whether t is other, derives from it or implements it.
func (t *Type) Is(other *Type) bool {
	if strings.EqualFold(other.Name, "System.Object") {
		return true
	}
	for x := t; x != nil; x = x.Base {
		if strings.EqualFold(x.Name, other.Name) {
			return true
		}
		for _, i := range x.Also {
			if i.Is(other) {
				return true
			}
		}
	}
	return false
}

// Names is the type-name list of a plain value of type t: its own name, then its bases.
func (t *Type) Names() []string {
	var names []string
	for x := t; x != nil; x = x.Base {
		names = append(names, x.Name)
	}
	if len(names) == 0 || names[len(names)-1] != TObject.Name {
		names = append(names, TObject.Name)
	}
	return names
}

func class(name, short string, base *Type, also ...*Type) *Type {
	return &Type{Name: name, Short: short, Base: base, Also: also}
}

// The types of the language. They never change.
var (
	TObject    = class("System.Object", "object", nil)
	tValueType = class("System.ValueType", "", TObject)
	tEnumBase  = class("System.Enum", "enum", tValueType)

	tEnumerable  = class("System.Collections.IEnumerable", "", TObject)
	tCollection  = class("System.Collections.ICollection", "", TObject, tEnumerable)
	tIList       = class("System.Collections.IList", "", TObject, tCollection)
	TDictionary  = class("System.Collections.IDictionary", "", TObject, tCollection)
	tDisposable  = class("System.IDisposable", "", TObject)
	tComparable  = class("System.IComparable", "", TObject)
	tFormattable = class("System.IFormattable", "", TObject)

	TBool     = class("System.Boolean", "bool", tValueType, tComparable)
	TSwitch   = class("System.Management.Automation.SwitchParameter", "switch", tValueType)
	TInt      = class("System.Int32", "int", tValueType, tComparable, tFormattable)
	TLong     = class("System.Int64", "long", tValueType, tComparable, tFormattable)
	TByte     = class("System.Byte", "byte", tValueType, tComparable, tFormattable)
	TSByte    = class("System.SByte", "sbyte", tValueType, tComparable, tFormattable)
	TShort    = class("System.Int16", "int16", tValueType, tComparable, tFormattable)
	TUShort   = class("System.UInt16", "uint16", tValueType, tComparable, tFormattable)
	TUInt     = class("System.UInt32", "uint32", tValueType, tComparable, tFormattable)
	TULong    = class("System.UInt64", "uint64", tValueType, tComparable, tFormattable)
	TDouble   = class("System.Double", "double", tValueType, tComparable, tFormattable)
	TSingle   = class("System.Single", "single", tValueType, tComparable, tFormattable)
	TDecimal  = class("System.Decimal", "decimal", tValueType, tComparable, tFormattable)
	TChar     = class("System.Char", "char", tValueType, tComparable)
	TString   = class("System.String", "string", TObject, tComparable, tEnumerable)
	TDateTime = class("System.DateTime", "datetime", tValueType, tComparable, tFormattable)
	TTimeSpan = class("System.TimeSpan", "timespan", tValueType, tComparable, tFormattable)
	TGuid     = class("System.Guid", "guid", tValueType, tComparable, tFormattable)
	TURI      = class("System.Uri", "uri", TObject)
	TVersion  = class("System.Version", "version", TObject, tComparable)
	TType     = class("System.RuntimeType", "", class("System.Type", "type", TObject))
	TRegex    = class("System.Text.RegularExpressions.Regex", "regex", TObject)
	TMatch    = class("System.Text.RegularExpressions.Match", "", tGroup)
	tCapture  = class("System.Text.RegularExpressions.Capture", "", TObject)
	tGroup    = class("System.Text.RegularExpressions.Group", "", tCapture)
	TArrayAny = &Type{Name: "System.Object[]", Base: TArray, Elem: TObject}
	TArray    = class("System.Array", "array", TObject, tIList)

	TArrayList   = &Type{Name: "System.Collections.ArrayList", Base: TObject, Also: []*Type{tIList}, Elem: TObject}
	TCollection  = &Type{Name: "System.Collections.ObjectModel.Collection`1[[System.Management.Automation.PSObject]]", Base: TObject, Also: []*Type{tIList}, Elem: TObject}
	TByteArray   = ArrayOf(TByte)
	TStringArray = ArrayOf(TString)
	THashtable   = class("System.Collections.Hashtable", "hashtable", TObject, TDictionary)
	TOrdered     = class("System.Collections.Specialized.OrderedDictionary", "ordered", TObject, TDictionary)
	tEntry       = class("System.Collections.DictionaryEntry", "", tValueType)

	TPSObject     = class("System.Management.Automation.PSObject", "psobject", TObject)
	TCustom       = class("System.Management.Automation.PSCustomObject", "pscustomobject", TObject)
	TScriptBlock  = class("System.Management.Automation.ScriptBlock", "scriptblock", TObject)
	TCredential   = class("System.Management.Automation.PSCredential", "pscredential", TObject)
	TSecureString = class("System.Security.SecureString", "securestring", TObject, tDisposable)
	TNetworkCred  = class("System.Net.NetworkCredential", "", TObject)
	TErrorRecord  = class("System.Management.Automation.ErrorRecord", "", TObject)
	TVoid         = class("System.Void", "void", tValueType)
	TMath         = class("System.Math", "math", TObject)
	tConvert      = class("System.Convert", "convert", TObject)
	tEnvironment  = class("System.Environment", "environment", TObject)
	tFile         = class("System.IO.File", "", TObject)
	tPath         = class("System.IO.Path", "", TObject)
	TFileSystem   = class("System.IO.FileSystemInfo", "", class("System.MarshalByRefObject", "", TObject))
	TFileInfo     = class("System.IO.FileInfo", "", TFileSystem)
	TDirectory    = class("System.IO.DirectoryInfo", "", TFileSystem)
	tBuilder      = class("System.Text.StringBuilder", "", TObject)
	tEncoding     = class("System.Text.Encoding", "", TObject)
	tCOMFiles     = class("System.__ComObject#{2a0b9d10-4b87-11d3-a97a-00104b365c9f}", "", class("System.__ComObject", "", TObject))
)

func enum(name string, flags bool, base int64, names ...string) *Type {
	t := &Type{Name: name, Base: tEnumBase, Flags: flags}
	for i, n := range names {
		t.Enum = append(t.Enum, EnumName{n, base + int64(i)})
	}
	return t
}

// The enumerations of the language. TContentType is what certificates are exported as (cmdlet reference 17.4).
var (
	TContentType = &Type{Name: "System.Security.Cryptography.X509Certificates.X509ContentType", Base: tEnumBase, Enum: []EnumName{
		{"Unknown", 0}, {"Cert", 1}, {"SerializedCert", 2}, {"Pfx", 3}, {"Pkcs12", 3}, {"SerializedStore", 4}, {"Pkcs7", 5}, {"Authenticode", 6},
	}}
	TDayOfWeek    = enum("System.DayOfWeek", false, 0, "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
	TDateTimeKind = enum("System.DateTimeKind", false, 0, "Unspecified", "Utc", "Local")
	TConsoleColor = enum("System.ConsoleColor", false, 0, "Black", "DarkBlue", "DarkGreen", "DarkCyan", "DarkRed", "DarkMagenta", "DarkYellow", "Gray",
		"DarkGray", "Blue", "Green", "Cyan", "Red", "Magenta", "Yellow", "White")
	TActionPreference = enum("System.Management.Automation.ActionPreference", false, 0, "SilentlyContinue", "Stop", "Continue", "Inquire", "Ignore", "Suspend")
	TConfirmImpact    = enum("System.Management.Automation.ConfirmImpact", false, 0, "None", "Low", "Medium", "High")
	TErrorCategory    = enum("System.Management.Automation.ErrorCategory", false, 0, "NotSpecified", "OpenError", "CloseError", "DeviceError",
		"DeadlockDetected", "InvalidArgument", "InvalidData", "InvalidOperation", "InvalidResult", "InvalidType", "MetadataError", "NotImplemented",
		"NotInstalled", "ObjectNotFound", "OperationStopped", "OperationTimeout", "SyntaxError", "ParserError", "PermissionDenied", "ResourceBusy",
		"ResourceExists", "ResourceUnavailable", "ReadError", "WriteError", "FromStdErr", "SecurityError", "ProtocolError", "ConnectionError",
		"AuthenticationError", "LimitsExceeded", "QuotaExceeded", "NotEnabled")
	TRegexOptions = &Type{Name: "System.Text.RegularExpressions.RegexOptions", Base: tEnumBase, Flags: true, Enum: []EnumName{
		{"None", 0}, {"IgnoreCase", 1}, {"Multiline", 2}, {"ExplicitCapture", 4}, {"Compiled", 8}, {"Singleline", 16},
		{"IgnorePatternWhitespace", 32}, {"CultureInvariant", 512},
	}}
	TStringComparison = enum("System.StringComparison", false, 0, "CurrentCulture", "CurrentCultureIgnoreCase", "InvariantCulture",
		"InvariantCultureIgnoreCase", "Ordinal", "OrdinalIgnoreCase")
	TSplitOptions = &Type{Name: "System.StringSplitOptions", Base: tEnumBase, Flags: true, Enum: []EnumName{{"None", 0}, {"RemoveEmptyEntries", 1}}}
	TMidpoint     = enum("System.MidpointRounding", false, 0, "ToEven", "AwayFromZero")
)

// builtin lists the types scripts can name; exceptions are in exception.go.
var builtin = []*Type{
	TObject, tValueType, tEnumBase, tEnumerable, tCollection, tIList, TDictionary, tDisposable, tComparable, tFormattable,
	TBool, TSwitch, TInt, TLong, TByte, TSByte, TShort, TUShort, TUInt, TULong, TDouble, TSingle, TDecimal, TChar, TString,
	TDateTime, TTimeSpan, TGuid, TURI, TVersion, TType.Base, TType, TRegex, TMatch, tGroup, tCapture, TArray, TArrayList, THashtable,
	TOrdered, tEntry, TPSObject, TCustom, TScriptBlock, TCredential, TSecureString, TNetworkCred, TErrorRecord, TVoid, TMath, tConvert,
	tEnvironment, tFile, tPath, TFileSystem, TFileInfo, TDirectory, tBuilder, tEncoding,
	TContentType, TDayOfWeek, TDateTimeKind, TConsoleColor, TActionPreference, TConfirmImpact, TErrorCategory, TRegexOptions,
	TStringComparison, TSplitOptions, TMidpoint, TCertificate, TCertificate2,
}

// aliases are second names of types, beside the accelerators in their Short field.
var aliases = map[string]*Type{
	"float": TSingle, "short": TShort, "ushort": TUShort, "uint": TUInt, "ulong": TULong,
	"collections.arraylist": TArrayList, "x509certificate": TCertificate,
}

var byName = func() map[string]*Type {
	m := make(map[string]*Type)
	add := func(t *Type) {
		m[strings.ToLower(t.Name)] = t
		if t.Short != "" {
			m[t.Short] = t
		}
	}
	for _, t := range builtin {
		add(t)
	}
	for _, t := range exceptionTypes {
		add(t)
	}
	for n, t := range aliases {
		m[n] = t
	}
	return m
}()

// KnownTypes lists the types that a script can name, by name.
func KnownTypes() []*Type {
	list := slices.Concat(builtin, exceptionTypes)
	slices.SortFunc(list, func(a, b *Type) int { return strings.Compare(a.Name, b.Name) })
	return slices.Compact(list)
}

// ArrayOf is the type elem[].
func ArrayOf(elem *Type) *Type {
	return &Type{Name: elem.Name + "[]", Base: TArray, Elem: elem}
}

// ListOf is the type System.Collections.Generic.List[elem].
func ListOf(elem *Type) *Type {
	return &Type{Name: "System.Collections.Generic.List`1[[" + elem.Name + "]]", Base: TObject, Also: []*Type{tIList}, Elem: elem}
}

// maxTypeDepth bounds nested array and generic names.
const maxTypeDepth = 16

// FindType looks a type name up: a full name, the same without System., an accelerator, name[] or
// name[argument]. Names are compared without case.
func FindType(name string) (*Type, bool) { return findType(strings.TrimSpace(name), 0) }

func findType(name string, depth int) (*Type, bool) {
	if depth > maxTypeDepth {
		return nil, false
	}
	if in, ok := strings.CutPrefix(name, "["); ok && strings.HasSuffix(in, "]") { // an argument written as [name]
		return findType(strings.TrimSpace(in[:len(in)-1]), depth+1)
	}
	if base, ok := strings.CutSuffix(name, "[]"); ok {
		t, ok := findType(strings.TrimSpace(base), depth+1)
		if !ok {
			return nil, false
		}
		return ArrayOf(t), true
	}
	if i := strings.IndexByte(name, '['); i > 0 && strings.HasSuffix(name, "]") {
		return genericType(strings.ToLower(strings.TrimSpace(name[:i])), strings.TrimSpace(name[i+1:len(name)-1]), depth)
	}
	low := strings.ToLower(name)
	if t, ok := byName[low]; ok {
		return t, true
	}
	t, ok := byName["system."+low]
	return t, ok
}

func genericType(name, args string, depth int) (*Type, bool) {
	name = strings.TrimPrefix(strings.TrimSuffix(strings.TrimSuffix(name, "`1"), "`2"), "system.")
	switch name {
	case "collections.generic.list", "collections.objectmodel.collection":
		elem, ok := findType(args, depth+1)
		if !ok {
			return nil, false
		}
		t := ListOf(elem)
		if name != "collections.generic.list" {
			t.Name = "System.Collections.ObjectModel.Collection`1[[" + elem.Name + "]]"
		}
		return t, true
	case "collections.generic.dictionary":
		k, v, ok := strings.Cut(args, ",")
		if !ok {
			return nil, false
		}
		kt, ok1 := findType(strings.TrimSpace(k), depth+1)
		vt, ok2 := findType(strings.TrimSpace(v), depth+1)
		if !ok1 || !ok2 {
			return nil, false
		}
		return &Type{Name: "System.Collections.Generic.Dictionary`2[[" + kt.Name + "],[" + vt.Name + "]]", Base: TObject, Also: []*Type{TDictionary}}, true
	case "nullable":
		return findType(args, depth+1)
	}
	return nil, false
}

// Typed is implemented by host values that know their type.
type Typed interface{ PSType() *Type }

// TypeOf is the .NET type of v. Null has none. The base object of an [Object] decides.
func TypeOf(v any) *Type {
	switch v := v.(type) {
	case nil:
		return nil
	case bool:
		return TBool
	case Switch:
		return TSwitch
	case int32:
		return TInt
	case int64:
		return TLong
	case uint8:
		return TByte
	case int8:
		return TSByte
	case int16:
		return TShort
	case uint16:
		return TUShort
	case uint32:
		return TUInt
	case uint64:
		return TULong
	case float64:
		return TDouble
	case float32:
		return TSingle
	case Decimal:
		return TDecimal
	case Char:
		return TChar
	case string:
		return TString
	case time.Time:
		return TDateTime
	case time.Duration:
		return TTimeSpan
	case uuid.UUID:
		return TGuid
	case *url.URL:
		return TURI
	case Version:
		return TVersion
	case Enum:
		return v.Type
	case *Array:
		return v.Type()
	case *List:
		return v.Type()
	case *Hashtable:
		return v.Type()
	case *Entry:
		return tEntry
	case *Type:
		return TType
	case *Regex:
		return TRegex
	case *Match:
		return TMatch
	case *Group:
		return tGroup
	case *Object:
		if v.Base != nil {
			return TypeOf(v.Base)
		}
		return TCustom
	case *ErrorRecord:
		return TErrorRecord
	case *Exception:
		return v.Type()
	case *Credential:
		return TCredential
	case *SecureString:
		return TSecureString
	case *builder:
		return tBuilder
	case Typed:
		return v.PSType()
	case Adapted:
		names := v.TypeNames()
		t := TObject
		for i := len(names) - 1; i >= 0; i-- {
			if names[i] != TObject.Name {
				t = class(names[i], "", t)
			}
		}
		return t
	}
	return TObject
}

// TypeNames is the type-name list of v (PSTypeNames): it decides formatting. Null has none.
func TypeNames(v any) []string {
	switch v := v.(type) {
	case nil:
		return nil
	case *Object:
		return v.TypeNames()
	case Adapted:
		return v.TypeNames()
	}
	return TypeOf(v).Names()
}

// IsA reports whether v is of type t, as -is does. A property bag is a PSCustomObject and a PSObject; every wrapped
// value is a PSObject.
func IsA(v any, t *Type) bool {
	if v == nil {
		return false
	}
	if o, ok := v.(*Object); ok {
		if strings.EqualFold(t.Name, TPSObject.Name) || strings.EqualFold(t.Name, TCustom.Name) && o.Base == nil {
			return true
		}
	}
	return TypeOf(v).Is(t)
}
