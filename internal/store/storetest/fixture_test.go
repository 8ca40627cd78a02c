package storetest

import (
	"reflect"
	"testing"

	"busybridge/internal/directory"
)

// secrets notes at which paths v can hold a secret, and whether one is there.
func secrets(path string, v reflect.Value, found map[string]bool) {
	if v.Type() == reflect.TypeFor[directory.Secret]() {
		found[path] = found[path] || v.Len() > 0
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			secrets(path+"."+v.Type().Field(i).Name, v.Field(i), found)
		}
	case reflect.Slice:
		for i := range v.Len() {
			secrets(path, v.Index(i), found)
		}
	}
}

// A new field or a new secret must be in the fixtures, or no test would see a
// store lose it.
func TestFixturesAreComplete(t *testing.T) {
	o, r := Organization("Contoso", "contoso.com"), Realm("contoso.com")
	o.Version, r.Version = 1, 1
	for _, v := range []reflect.Value{reflect.ValueOf(*o), reflect.ValueOf(*r), reflect.ValueOf(*Mailbox(o.ID, "a@contoso.com"))} {
		for i := range v.NumField() {
			switch name := v.Type().Field(i).Name; name {
			case "ID", "ExternalAddress", "Members", "WhenCreated", "WhenChanged": // set by the store, or of other types
			default:
				if v.Field(i).IsZero() {
					t.Errorf("%s.%s is not set", v.Type(), name)
				}
			}
		}
	}
	found := map[string]bool{}
	secrets("Organization", reflect.ValueOf(*o), found)
	secrets("Realm", reflect.ValueOf(*r), found)
	for path, set := range found {
		if !set {
			t.Errorf("the secret %s is not set", path)
		}
	}
	if err := o.Validate(); err == nil {
		t.Error("an organization whose objects have no identity yet is valid")
	}
}
