package directory_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
)

// fill sets every field of v to something that is not zero, every list to two
// elements. A field of a kind that it does not know fails the test.
func fill(t *testing.T, v reflect.Value, n *int) {
	*n++
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(now.Add(time.Duration(*n) * time.Second)))
		return
	case v.Type() == reflect.TypeFor[smtpaddr.Address]():
		v.Set(reflect.ValueOf(smtpaddr.Must(fmt.Sprintf("a%d@contoso.com", *n))))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 4))
		for i := range v.Len() {
			fill(t, v.Index(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.String:
		v.SetString(fmt.Sprint("s", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8:
		v.SetUint(uint64(*n%250 + 1))
	default:
		t.Fatalf("a field of type %s: teach fill and Clone about it", v.Type())
	}
}

// shared returns the paths at which a and b use the same memory.
func shared(path string, a, b reflect.Value) (out []string) {
	if a.Type() == reflect.TypeFor[time.Time]() {
		return nil // values; the location is shared and never changed
	}
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			out = append(out, shared(path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))...)
		}
	case reflect.Slice:
		if a.Pointer() == b.Pointer() {
			return []string{path}
		}
		for i := range a.Len() {
			out = append(out, shared(fmt.Sprintf("%s[%d]", path, i), a.Index(i), b.Index(i))...)
		}
	case reflect.Pointer:
		if a.Pointer() == b.Pointer() {
			return []string{path}
		}
		out = shared(path, a.Elem(), b.Elem())
	}
	return out
}

func testClone[T any](t *testing.T, clone func(*T) *T) {
	t.Helper()
	var v T
	var n int
	fill(t, reflect.ValueOf(&v).Elem(), &n)
	c := clone(&v)
	if !reflect.DeepEqual(&v, c) {
		t.Errorf("the clone of a %T is another value:\n%+v\n%+v", v, v, *c)
	}
	if paths := shared(fmt.Sprintf("%T", v), reflect.ValueOf(&v).Elem(), reflect.ValueOf(c).Elem()); len(paths) > 0 {
		t.Errorf("the clone shares memory at %q", paths)
	}
	var zero T
	if !reflect.DeepEqual(&zero, clone(&zero)) {
		t.Errorf("the clone of a zero %T is another value", v)
	}
}

func TestClone(t *testing.T) {
	testClone(t, (*directory.Organization).Clone)
	testClone(t, (*directory.Realm).Clone)
	testClone(t, (*directory.Recipient).Clone)
	testClone(t, (*directory.Account).Clone)
	testClone(t, (*directory.AuthorityConfig).Clone)
}
