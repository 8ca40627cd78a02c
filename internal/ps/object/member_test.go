package object_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"time"

	"busybridge/internal/ps/object"

	"github.com/google/go-cmp/cmp"
)

// files is a drive in memory.
type files map[string][]byte

func (f files) ReadFile(name string) ([]byte, error) {
	if b, ok := f[name]; ok {
		return b, nil
	}
	return nil, fmt.Errorf("read %s: %w", name, fs.ErrNotExist)
}

func (f files) WriteFile(name string, data []byte) error {
	if strings.HasPrefix(name, `D:`) {
		return fs.ErrPermission
	}
	f[name] = data
	return nil
}

func (f files) Stat(name string) (bool, bool) { _, ok := f[name]; return ok, name == `C:\` }

func (f files) FullName(name string) string {
	if len(name) > 1 && name[1] == ':' {
		return name
	}
	return `C:\` + name
}

func testContext() *object.Context {
	return &object.Context{
		Now:   func() time.Time { return time.Date(2024, 3, 19, 10, 0, 0, 0, time.UTC) },
		Zone:  time.FixedZone("CET", 3600),
		Files: files{},
		Getenv: func(name string) string {
			return map[string]string{"COMPUTERNAME": "EX01"}[name]
		},
		Invoke: func(block, item any, _ []any) ([]any, error) { return block.(func(any) []any)(item), nil },
	}
}

func call(t *testing.T, v any, name string, args ...any) string {
	t.Helper()
	r, err := object.CallMethod(testContext(), v, name, args)
	return outcome(r, err)
}

func outcome(r any, err error) string {
	switch {
	case err != nil:
		return "!" + err.Error()
	case r == object.Void:
		return "void"
	}
	return show(r)
}

func TestCallMethod(t *testing.T) {
	day := object.Date(2024, 1, 31, 17, 5, 6, 0)
	bag := object.New().Add("N", int32(1))
	for _, tc := range []struct {
		v    any
		name string
		args []any
		want string
	}{
		{"a,b;c", "Split", []any{",;"}, "String[](String a, String b, String c)"},
		{"a b", "Split", nil, "String[](String a, String b)"},
		{"a::b", "Split", []any{object.Strings("::"), "None"}, "String[](String a, String b)"},
		{"abc", "substring", []any{int32(1)}, "String bc"},
		{"abc", "Substring", []any{"1", "1"}, "String b"},
		{"abc", "Substring", []any{int32(4)}, `!Exception calling "Substring" with "1" argument(s): "startIndex cannot be larger than length of string.` + "\r\n" + `Parameter name: startIndex"`},
		{"abc", "Substring", nil, `!Cannot find an overload for "Substring" and the argument count: "0".`},
		{"abc", "Foo", nil, "!Method invocation failed because [System.String] does not contain a method named 'Foo'."},
		{nil, "Foo", nil, "!You cannot call a method on a null-valued expression."},
		{"a😀b", "IndexOf", []any{"b"}, "Int32 3"},
		{"abc", "PadLeft", []any{int32(5), "."}, "String ..abc"},
		{"abc", "Equals", []any{"ABC"}, "Boolean False"},
		{int32(5), "ToString", []any{"D3"}, "String 005"},
		{int32(5), "GetType", nil, "RuntimeType System.Int32"},
		{day, "AddMonths", []any{int32(1)}, "DateTime 2/29/2024 5:05:06 PM"},
		{day, "ToUniversalTime", nil, "DateTime 1/31/2024 4:05:06 PM"},
		{day, "ToString", []any{"yyyyMMdd"}, "String 20240131"},
		{arr("a", "b"), "ToUpper", nil, "Object[](String A, String B)"},
		{arr("a", nil), "ToUpper", nil, "!You cannot call a method on a null-valued expression."},
		{arr(int32(1)), "Add", []any{int32(2)}, `!Exception calling "Add" with "1" argument(s): "Collection was of a fixed size."`},
		{&object.List{}, "Add", []any{"x"}, "Int32 0"},
		{&object.List{Kind: object.ListOf(object.TString)}, "Add", []any{"x"}, "void"},
		{arr(int32(3), int32(4)), "Where", []any{func(v any) []any { return []any{v == int32(4)} }}, "Collection`1(Int32 4)"},
		{arr("one", "two"), "ForEach", []any{"ToUpper"}, "Collection`1(String ONE, String TWO)"},
		{bag, "Nope", nil, "!Method invocation failed because [System.Management.Automation.PSCustomObject] does not contain a method named 'Nope'."},
		{bag, "ToString", nil, "String @{N=1}"},
		{object.EnumOf(object.TRegexOptions, "IgnoreCase"), "HasFlag", []any{"IgnoreCase"}, "Boolean True"},
		{object.NewHashtable(), "Add", []any{nil, 1}, `!Exception calling "Add" with "2" argument(s): "Key cannot be null.` + "\r\n" + `Parameter name: key"`},
	} {
		if got := call(t, tc.v, tc.name, tc.args...); got != tc.want {
			t.Errorf("%s.%s(%v) = %s, want %s", show(tc.v), tc.name, tc.args, got, tc.want)
		}
	}
}

func TestStatic(t *testing.T) {
	for _, tc := range []struct {
		typ, name string
		args      []any
		want      string
	}{
		{"string", "Format", []any{"{0}/{1}", "a", int32(2)}, "String a/2"},
		{"string", "Format", []any{"{0}-{1}", arr("a", "b")}, "String a-b"},
		{"string", "Format", []any{"{9}", "a"}, `!Exception calling "Format" with "2" argument(s): "Index (zero based) must be greater than or equal to zero and less than the size of the argument list."`},
		{"string", "IsNullOrEmpty", []any{nil}, "Boolean True"},
		{"convert", "ToBase64String", []any{object.NewArray(int32(1), int32(2), int32(3))}, "String AQID"},
		{"convert", "FromBase64String", []any{"AQID"}, "Byte[](Byte 1, Byte 2, Byte 3)"},
		{"convert", "FromBase64String", []any{"AQ"}, `!Exception calling "FromBase64String" with "1" argument(s): "Invalid length for a Base-64 char array or string."`},
		{"System.IO.File", "WriteAllBytes", []any{`C:\a`, object.Bytes([]byte{1})}, "void"},
		{"System.IO.File", "WriteAllBytes", []any{`D:\a`, object.Bytes([]byte{1})}, `!Exception calling "WriteAllBytes" with "2" argument(s): "Access to the path 'D:\a' is denied."`},
		{"System.IO.File", "ReadAllText", []any{`C:\none`}, `!Exception calling "ReadAllText" with "1" argument(s): "Could not find file 'C:\none'."`},
		{"System.IO.Path", "Combine", []any{`C:\a`, "b", "c"}, `String C:\a\b\c`},
		{"System.IO.Path", "GetDirectoryName", []any{`C:\a\b`}, `String C:\a`},
		{"math", "Round", []any{2.5}, "Double 2"},
		{"math", "Max", []any{int32(1), 2.5}, "Double 2.5"},
		{"math", "Ceiling", []any{"1.2"}, "Double 2"},
		{"int", "Parse", []any{"12"}, "Int32 12"},
		{"int", "Parse", []any{"x"}, `!Exception calling "Parse" with "1" argument(s): "Input string was not in a correct format."`},
		{"regex", "Replace", []any{"a1", `\d`, "<$&>"}, "String a<1>"},
		{"enum", "GetNames", []any{object.TDateTimeKind}, "String[](String Unspecified, String Utc, String Local)"},
		{"uri", "EscapeDataString", []any{"a b&c"}, "String a%20b%26c"},
		{"environment", "GetEnvironmentVariable", []any{"NOSUCH"}, "null"},
		{"int", "Nope", nil, "!Method invocation failed because [System.Int32] does not contain a method named 'Nope'."},
		{"version", "new", []any{int32(1), int32(2)}, "Version 1.2"},
		{"datetime", "new", []any{int32(2024), int32(13), int32(1)}, `!Exception calling ".ctor" with "3" argument(s): "Year, Month, and Day parameters describe an un-representable DateTime."`},
		{"System.Diagnostics.Process", "Start", []any{"cmd"}, "!no type"},
	} {
		ty, ok := object.FindType(tc.typ)
		got := "!no type"
		if ok {
			got = outcome(object.CallStatic(testContext(), ty, tc.name, tc.args))
		}
		if got != tc.want {
			t.Errorf("[%s]::%s(%v) = %s, want %s", tc.typ, tc.name, tc.args, got, tc.want)
		}
	}
	now, err := object.StaticGet(testContext(), object.TDateTime, "Now")
	if got := outcome(now, err); got != "DateTime 3/19/2024 11:00:00 AM" {
		t.Errorf("[datetime]::Now = %s", got)
	}
	if _, err := object.StaticGet(&object.Context{}, object.TDateTime, "Now"); err == nil {
		t.Error("[datetime]::Now works without a clock")
	}
}

func TestMembers(t *testing.T) {
	h := object.NewHashtable()
	h.Set("Count", "mine")
	bags := arr(object.New().Add("N", arr(int32(1), int32(2))), object.New().Add("N", nil), object.New(), nil)
	for _, tc := range []struct {
		v    any
		name string
		want string
	}{
		{nil, "Count", "Int32 0"}, {int32(4), "Count", "Int32 1"}, {arr(), "Length", "Int32 0"}, {h, "count", "String mine"}, {h, "keys", "Hashtable+KeyCollection(String Count)"},
		{nil, "X", "null"}, {"abc", "Nope", "null"}, {bags, "N", "Object[](Int32 1, Int32 2, null)"}, {bags, "Nope", "null"}, {arr("a", "bb"), "Length", "Int32 2"},
		{object.Wrap("abc").Add("Note", "x"), "Note", "String x"}, {object.Wrap("abc").Add("Note", "x"), "Length", "Int32 3"},
		{object.Switch(true), "IsPresent", "Boolean True"},
	} {
		got, _ := object.Get(tc.v, tc.name)
		if s := show(got); s != tc.want {
			t.Errorf("%s.%s = %s, want %s", show(tc.v), tc.name, s, tc.want)
		}
	}
	if err := object.Set("abc", "Length", 1); err == nil || err.Error() != "'Length' is a ReadOnly property." {
		t.Errorf("Set of a read-only property = %v", err)
	}
	o := object.New().AddProperty(&object.Property{Name: "Bad", Get: func(*object.Object) (any, error) { return nil, errors.New("no") }})
	if _, _, err := object.GetMember(o, "bad"); err == nil {
		t.Error("the error of a computed property is lost")
	}
}

func TestIndex(t *testing.T) {
	a := arr(int32(0), int32(1), int32(2))
	o := object.NewOrdered()
	o.Set("b", "x")
	o.Set(int32(5), "five")
	for _, tc := range []struct {
		v, key any
		want   string
	}{
		{a, int32(-1), "Int32 2"}, {a, int32(9), "null"}, {a, arr(int32(2), int32(0), int32(9)), "Object[](Int32 2, Int32 0)"}, {"abc", int32(1), "Char b"},
		{int32(7), int32(0), "Int32 7"}, {int32(7), int32(1), "null"}, {o, int32(1), "String five"}, {o, "B", "String x"},
		{nil, int32(0), "!Cannot index into a null array."}, {int32(7), "x", "!Unable to index into an object of type System.Int32."},
		{a, nil, "!Index operation failed; the array index evaluated to null."},
	} {
		r, err := object.Index(tc.v, tc.key)
		if got := outcome(r, err); got != tc.want {
			t.Errorf("%s[%s] = %s, want %s", show(tc.v), show(tc.key), got, tc.want)
		}
	}
	typed := &object.Array{Elem: object.TInt, Items: []any{int32(1)}}
	if err := object.SetIndex(typed, int32(0), "5"); err != nil || typed.Items[0] != int32(5) {
		t.Errorf("SetIndex = %v, items %v", err, typed.Items)
	}
	if err := object.SetIndex(typed, int32(3), int32(5)); err == nil {
		t.Error("SetIndex accepts a place outside")
	}
}

func TestHashtableKeepsOrderWhenKeysGo(t *testing.T) {
	h := object.NewHashtable()
	for i := range 100 {
		h.Set(fmt.Sprint("k", i), int32(i))
	}
	for i := range 100 {
		if i%10 != 3 {
			h.Remove(fmt.Sprint("K", i))
		}
	}
	h.Set("K13", "changed")
	h.Set("new", true)
	var got []string
	for k, v := range h.All() {
		got = append(got, object.String(k)+"="+object.String(v))
	}
	want := []string{"k3=3", "k13=changed", "k23=23", "k33=33", "k43=43", "k53=53", "k63=63", "k73=73", "k83=83", "k93=93", "new=True"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestBagIndexes(t *testing.T) {
	o := object.New()
	for i := range 40 {
		o.Add(fmt.Sprint("P", i), int32(i))
	}
	o.Remove("p7")
	if _, ok := o.Get("P7"); ok {
		t.Error("a removed property is found")
	}
	if v, _ := o.Get("p39"); v != int32(39) {
		t.Errorf("p39 = %v", v)
	}
	c := o.Copy()
	c.Add("P1", "new")
	if v, _ := o.Get("P1"); v != int32(1) {
		t.Errorf("the copy changed the original: %v", v)
	}
}

func certificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(255), Subject: pkix.Name{CommonName: "Microsoft Exchange Server Auth Certificate", Organization: []string{"Contoso"}},
		NotBefore: time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC), NotAfter: time.Date(2029, 1, 2, 3, 4, 5, 0, time.UTC), DNSNames: []string{"mail.contoso.com"},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestCertificate(t *testing.T) {
	der := certificate(t)
	c := testContext()
	c.Files.(files)[`C:\a.cer`] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	ty := typ(t, "System.Security.Cryptography.X509Certificates.X509Certificate")
	empty, err := object.Construct(c, ty, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := object.CallMethod(c, empty, "GetRawCertData", nil); err == nil {
		t.Error("an empty certificate gives data")
	}
	if r, err := object.CallMethod(c, empty, "Import", []any{`C:\a.cer`}); err != nil || r != object.Void {
		t.Fatalf("Import = %v, %v", r, err)
	}
	raw, err := object.CallMethod(c, empty, "GetRawCertData", nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := object.ToBytes(raw)
	if d := cmp.Diff(der, b); d != "" || err != nil {
		t.Errorf("GetRawCertData: %v %s", err, d)
	}
	second, err := object.NewCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	exported, err := object.CallMethod(c, second, "Export", []any{object.EnumOf(object.TContentType, "Cert")})
	if err != nil || len(exported.(*object.Array).Items) != len(der) {
		t.Errorf("Export = %v", err)
	}
	if _, err := object.CallMethod(c, second, "Export", []any{"Pfx"}); err == nil {
		t.Error("Export gives a key that is not there")
	}
	got := map[string]string{}
	for _, p := range []string{"Subject", "SerialNumber", "NotAfter", "DnsNameList", "HasPrivateKey"} {
		v, _ := object.Get(second, p)
		got[p] = show(v)
	}
	want := map[string]string{
		"Subject": "String CN=Microsoft Exchange Server Auth Certificate, O=Contoso", "SerialNumber": "String FF", "NotAfter": "DateTime 1/2/2029 3:04:05 AM",
		"DnsNameList": "String[](String mail.contoso.com)", "HasPrivateKey": "Boolean False",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if r, err := object.CallMethod(c, second, "GetExpirationDateString", nil); r != "1/2/2029 4:04:05 AM" || err != nil {
		t.Errorf("GetExpirationDateString = %v, %v", r, err)
	}
	if _, err := object.NewCertificate([]byte("junk")); err == nil {
		t.Error("NewCertificate accepts junk")
	}
}

func TestFileSystemObject(t *testing.T) {
	c := testContext()
	o, err := object.ConstructCOM(c, "scripting.filesystemobject")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		args []any
		want string
	}{
		{"GetAbsolutePathName", []any{"a.cer"}, `String C:\a.cer`}, {"GetFileName", []any{`C:\x\a.cer`}, "String a.cer"}, {"GetParentFolderName", []any{`C:\x\a.cer`}, `String C:\x`},
		{"BuildPath", []any{`C:\x`, "a"}, `String C:\x\a`}, {"FileExists", []any{"x"}, "Boolean False"}, {"FolderExists", []any{`C:\`}, "Boolean True"},
		{"FileExists", nil, `!Cannot find an overload for "FileExists" and the argument count: "0".`},
	} {
		r, err := object.CallMethod(c, o, tc.name, tc.args)
		if got := outcome(r, err); got != tc.want {
			t.Errorf("%s(%v) = %s, want %s", tc.name, tc.args, got, tc.want)
		}
	}
}

func TestSecretsStayOut(t *testing.T) {
	c := &object.Credential{UserName: `CONTOSO\admin`, Password: object.NewSecureString("hunter2")}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "cred", c, "pw", c.Password)
	all := log.String() + fmt.Sprintf("%v %+v %#v %s", c, *c, c.Password, c.Password) + object.String(c) + object.Display(c.Password)
	if strings.Contains(all, "hunter2") {
		t.Errorf("the password shows in %s", all)
	}
	n, err := object.CallMethod(testContext(), c, "GetNetworkCredential", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"UserName": "admin", "Domain": "CONTOSO", "Password": "hunter2"} {
		if v, _ := object.Get(n, name); v != want {
			t.Errorf("%s = %v, want %s", name, v, want)
		}
	}
}

func TestErrorRecord(t *testing.T) {
	r := object.Thrown("boom")
	if got, want := r.CategoryInfo(), "OperationStopped: (boom:String) [], RuntimeException"; got != want {
		t.Errorf("CategoryInfo = %s, want %s", got, want)
	}
	if got := object.AsRecord(fmt.Errorf("step: %w", r)); got != r {
		t.Errorf("AsRecord lost the record: %v", got)
	}
	cause := errors.New("cause")
	if !errors.Is(object.AsRecord(cause), cause) {
		t.Error("AsRecord loses the cause")
	}
	p := &object.Position{Line: 2, Column: 3, Source: "  $a += 1  ", Length: 7}
	if got, want := p.PositionText(), "At line:2 char:3\n+ $a += 1\n+ ~~~~~~~"; got != want {
		t.Errorf("PositionText = %q, want %q", got, want)
	}
}

func FuzzWildcard(f *testing.F) {
	f.Add("a*[b-d]?`*", "axbq*")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		w, err := object.CompileWildcard(pattern, true)
		if err != nil {
			return
		}
		got := w.Match(text)
		if !object.HasWildcard(pattern) && !strings.Contains(pattern, "`") && got != (string([]rune(pattern)) == string([]rune(text))) {
			t.Errorf("%q without wildcards matches %q: %v", pattern, text, got)
		}
	})
}

func FuzzFindType(f *testing.F) {
	for _, s := range []string{"int[]", "System.Collections.Generic.List[string]", "[[int]]", "Dictionary[a,b]", "\u023a[]]" /* grows in lower case */} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		ty, ok := object.FindType(name)
		if !ok || strings.Contains(ty.Name, "`") {
			return
		}
		if again, ok := object.FindType(ty.Name); !ok || again.Name != ty.Name {
			t.Errorf("FindType(%q) = %s, which is not found again", name, ty.Name)
		}
	})
}

func FuzzParseTimeSpan(f *testing.F) {
	for _, s := range []string{"1.02:03:04", "-00:00:01.5", "7", "1:2:3:4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := object.ParseTimeSpan(s)
		if err != nil {
			return
		}
		if back, err := object.ParseTimeSpan(object.String(d)); err != nil || back != d {
			t.Errorf("%q → %s → %v, %v", s, object.String(d), back, err)
		}
	})
}
