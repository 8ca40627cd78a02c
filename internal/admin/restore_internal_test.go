package admin

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRestore(t *testing.T) {
	type thing struct {
		ID, Name string
		On       bool
		Names    []string
		At       int64 `json:",omitempty"`
	}
	id := func(v *thing) string { return v.ID }
	text := func(v *thing) json.RawMessage {
		if v == nil {
			return nil
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	other := thing{ID: "2", Name: "other"}
	for _, c := range []struct {
		name          string
		before, after *thing
		now, want     []thing
		err           error
	}{
		{"what was made is removed", nil, &thing{ID: "1"}, []thing{{ID: "1", Name: "renamed"}, other}, []thing{other}, nil},
		{"what was made is gone", nil, &thing{ID: "1"}, []thing{other}, []thing{other}, nil},
		{"what was changed is as before", &thing{ID: "1", At: 5}, &thing{ID: "1", On: true, Names: []string{"a"}, At: 9},
			[]thing{{ID: "1", On: true, Names: []string{"a"}, At: 9}}, []thing{{ID: "1", At: 5}}, nil},
		{"what others have changed since stays", &thing{ID: "1", Name: "x", Names: []string{"a"}, At: 5}, &thing{ID: "1", Name: "x", On: true, Names: []string{"a", "b"}, At: 9},
			[]thing{{ID: "1", Name: "y", On: true, Names: []string{"a", "b", "c"}, At: 11}}, []thing{{ID: "1", Name: "y", Names: []string{"a", "c"}, At: 11}}, nil},
		{"another value than ours stays", &thing{ID: "1", Name: "x"}, &thing{ID: "1", Name: "y"}, []thing{{ID: "1", Name: "z"}}, []thing{{ID: "1", Name: "z"}}, nil},
		{"what was taken out comes back in its place", &thing{ID: "1", Names: []string{"a", "b"}}, &thing{ID: "1", Names: []string{"b"}},
			[]thing{{ID: "1", Names: []string{"b", "c"}}}, []thing{{ID: "1", Names: []string{"a", "b", "c"}}}, nil},
		{"twice is once", &thing{ID: "1", At: 5}, &thing{ID: "1", On: true, At: 9}, []thing{{ID: "1", At: 5}}, []thing{{ID: "1", At: 5}}, nil},
		{"what was removed is not made anew", &thing{ID: "1"}, nil, []thing{other}, []thing{other}, errNoRemoved},
	} {
		got := append([]thing(nil), c.now...)
		out, err := restore(&got, id, Change{Kind: "thing", ID: "1", Before: text(c.before), After: text(c.after)})
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if changed := cmp.Diff(c.now, got) != ""; out.changed != changed {
			t.Errorf("%s: changed is %t", c.name, out.changed)
		}
	}
	list := []thing{{ID: "1"}}
	if _, err := restore(&list, id, Change{ID: "1", Before: json.RawMessage(`{"ID":"7"}`), After: json.RawMessage(`{"ID":"1"}`)}); err == nil {
		t.Error("a change becomes another object")
	}
}
