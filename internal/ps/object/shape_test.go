package object_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/ps/object"
)

// contents is name=value of the properties in order, with the kind where it is not a note.
func contents(o *object.Object) []string {
	var out []string
	for _, p := range object.Properties(o) {
		s := fmt.Sprintf("%s=%v", p.Name, p.Value)
		if p.Kind != object.NoteProperty {
			s += " " + string(p.Kind)
		}
		out = append(out, s)
	}
	return out
}

// TestShape does to bags of one shape what can be done to bags, and checks that the others do not see it.
func TestShape(t *testing.T) {
	double := func(this *object.Object) (any, error) {
		v, _ := this.Get("A")
		return v.(int) * 2, nil
	}
	for _, tc := range []struct {
		name   string
		change func(o *object.Object)
		want   []string
	}{
		{"as the first", func(*object.Object) {}, []string{"A=2", "B=b", "C=c Property"}},
		{"another value", func(o *object.Object) { o.Add("b", "x") }, []string{"A=2", "B=x", "C=c Property"}},
		{"one more", func(o *object.Object) { o.Add("D", "d") }, []string{"A=2", "B=b", "C=c Property", "D=d"}},
		{"one less", func(o *object.Object) { o.Remove("a") }, []string{"B=b", "C=c Property"}},
		{"less and more", func(o *object.Object) { o.Remove("B"); o.Add("B", "n") }, []string{"A=2", "C=c Property", "B=n"}},
		{"computed instead", func(o *object.Object) {
			o.AddProperty(&object.Property{Name: "B", Kind: object.ScriptProperty, Get: double})
		}, []string{"A=2", "B=4 ScriptProperty", "C=c Property"}},
		{"computed and fixed again", func(o *object.Object) {
			o.AddProperty(&object.Property{Name: "B", Kind: object.ScriptProperty, Get: double})
			o.Add("b", "fixed")
		}, []string{"A=2", "B=fixed ScriptProperty", "C=c Property"}},
		{"hidden", func(o *object.Object) {
			o.AddProperty(&object.Property{Name: "A", Value: 2, Hidden: true})
		}, []string{"B=b", "C=c Property"}},
		{"a copy that goes its way", func(o *object.Object) {
			c := o.Copy()
			c.Add("D", 1)
			c.Add("A", 9)
			c.Remove("B")
			o.Add("E", "e")
		}, []string{"A=2", "B=b", "C=c Property", "E=e"}},
		{"set by a script", func(o *object.Object) {
			if err := object.Set(o, "B", "s"); err != nil {
				panic(err)
			}
		}, []string{"A=2", "B=s", "C=c Property"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			shape := object.NewShape("Contoso.Thing", "System.Object")
			fill := func(n int) *object.Object {
				return shape.New().Add("A", n).Add("B", "b").AddProperty(&object.Property{Name: "C", Kind: object.DataProperty, Value: "c"})
			}
			first, changed := fill(1), fill(2)
			tc.change(changed)
			last := fill(3)
			for _, c := range []struct {
				o    *object.Object
				want []string
			}{{first, []string{"A=1", "B=b", "C=c Property"}}, {changed, tc.want}, {last, []string{"A=3", "B=b", "C=c Property"}}} {
				if d := cmp.Diff(c.want, contents(c.o)); d != "" {
					t.Error(d)
				}
			}
			if got := object.TypeNames(last)[0]; got != "Contoso.Thing" {
				t.Errorf("type name %q", got)
			}
		})
	}
}

// TestManyProperties checks that the index of a large bag stays right.
func TestManyProperties(t *testing.T) {
	o := object.New()
	for i := range 500 {
		o.Add(fmt.Sprintf("Property%d", i), i)
	}
	for i := 0; i < 500; i += 2 {
		o.Remove(fmt.Sprintf("PROPERTY%d", i))
	}
	o.Add("property7", "seven")
	for i := range 500 {
		v, ok := o.Get(fmt.Sprintf("pRoperty%d", i))
		var want any = i
		switch {
		case i%2 == 0:
			want = nil
		case i == 7:
			want = "seven"
		}
		if ok != (want != nil) || v != want {
			t.Fatalf("property %d is %v, %v; want %v", i, v, ok, want)
		}
	}
}

func names(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("Property%02d", i)
	}
	return list
}

// BenchmarkBag is one bag of 60 properties, made and asked for one of them.
func BenchmarkBag(b *testing.B) {
	list := names(60)
	for _, kind := range []string{"alone", "shape"} {
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			shape := object.NewShape("Contoso.Thing")
			for b.Loop() {
				o := object.New("Contoso.Thing")
				if kind == "shape" {
					o = shape.New()
				}
				for _, n := range list {
					o.Add(n, true)
				}
				if _, ok := o.Get("property40"); !ok {
					b.Fatal("the property is gone")
				}
			}
		})
	}
}
