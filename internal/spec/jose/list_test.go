package jose_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/spec/jose"
)

func TestTexts(t *testing.T) {
	for _, tt := range []struct {
		json string
		want []string
		ok   bool
	}{
		{`["full_access_as_app","Calendars.Read"]`, []string{"full_access_as_app", "Calendars.Read"}, true},
		{`[ "\u0061" ]`, []string{"a"}, true},
		{`[]`, nil, true},
		{`"full_access_as_app"`, nil, false},
		{`{"0":"full_access_as_app"}`, nil, false},
		{`["full_access_as_app",1]`, nil, false},
		{`["full_access_as_app",null]`, nil, false},
		{`["full_access_as_app",["x"]]`, nil, false},
		{`null`, nil, false},
		{`[` + strings.Repeat(`"r",`, 256) + `"r"]`, nil, false},
	} {
		o, err := jose.ParseObject([]byte(`{"roles":` + tt.json + `}`))
		if err != nil {
			t.Fatalf("%s: %v", tt.json, err)
		}
		v, _ := o.Get("roles")
		got, ok := v.Texts()
		if d := cmp.Diff(tt.want, got); d != "" || ok != tt.ok {
			t.Errorf("%.60s: ok %v, %s", tt.json, ok, d)
		}
	}
	if _, ok := (jose.Value{}).Texts(); ok {
		t.Error("no value is a list")
	}
}

func FuzzTexts(f *testing.F) {
	for _, s := range []string{`["full_access_as_app"]`, `[]`, `[null]`, `["\ud83d\ude00",""]`, `"x"`, `[["x"]]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := jose.ParseObject([]byte(`{"roles":` + text + `}`))
		if err != nil {
			return
		}
		v, _ := o.Get("roles")
		list, ok := v.Texts()
		if !ok && list != nil || len(list) > 256 {
			t.Errorf("ok %v, %d entries", ok, len(list))
		}
		if ok && !strings.HasPrefix(strings.TrimSpace(text), "[") {
			t.Errorf("%q is a list", text)
		}
	})
}
