package hostcmd_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"busybridge/internal/admin/hostcmd"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// emit writes one value, and shows what it was given.
type emit struct {
	Value any `ps:"Value,allownull"`
	v     any
}

func (e *emit) Run(_ context.Context, c *interp.Call) error {
	if c.Bound("Value") {
		return c.Emit(shape(e.Value))
	}
	return c.Emit(e.v)
}

// shape is a value with its types and properties as text.
func shape(v any) string {
	if v == nil {
		return "null"
	}
	if items, ok := object.Items(v); ok {
		s := object.TypeNames(v)[0] + "("
		for i, x := range items {
			if i > 0 {
				s += ", "
			}
			s += shape(x)
		}
		return s + ")"
	}
	s := object.TypeNames(v)[0]
	if h, ok := object.Base(v).(*object.Hashtable); ok {
		s += "@{"
		for k, x := range h.All() {
			s += shape(k) + "=" + shape(x) + ";"
		}
		return s + "}"
	}
	s += " " + object.String(v)
	if o, ok := v.(*object.Object); ok {
		s += fmt.Sprintf("{methods %d", len(o.Methods))
		for _, p := range o.Own() {
			s += ", " + p.Name + ": " + shape(p.Value)
		}
		s += "}"
	}
	return s
}

func TestWhatCrosses(t *testing.T) {
	id := uuid.MustParse(runspace)
	bag := func() *object.Object { return object.New("Contoso.Thing", "System.Object") }
	method := bag().Add("A", int32(1))
	method.AddMethod("Kill", func(*object.Context, *object.Object, []any) (any, error) { return nil, nil })
	computed := bag()
	computed.AddProperty(&object.Property{Name: "Now", Get: func(*object.Object) (any, error) { return int32(7), nil }})
	computed.AddProperty(&object.Property{Name: "Bad", Get: func(*object.Object) (any, error) { return nil, errors.New("x") }})
	computed.Text = func() string { return "the text" }
	loop := object.NewArray(nil)
	loop.Items[0] = bag().Add("Up", loop)
	for _, tt := range []struct {
		name string
		v    any
		want string
	}{
		{"string", "x", "System.String x"},
		{"int", int32(4), "System.Int32 4"},
		{"date", time.Date(2014, 1, 2, 3, 4, 5, 0, time.UTC), "System.DateTime 01/02/2014 03:04:05"},
		{"guid", id, "System.Guid " + runspace},
		{"uri", &url.URL{Scheme: "https", Host: "x.contoso.com", Path: "/"}, "System.Uri https://x.contoso.com/"},
		{"enum is its name", object.EnumOf(object.TDayOfWeek, "Friday"), "System.String Friday"},
		{"bytes", object.Bytes([]byte{1, 2}), "System.Byte[](System.Byte 1, System.Byte 2)"},
		{"array grows over there", object.Strings("a", "b"), "System.Collections.ArrayList(System.String a, System.String b)"},
		{"hashtable", func() any { h := object.NewHashtable(); h.Set("k", object.Strings("v")); return h }(), "System.Collections.Hashtable@{System.String k=System.Collections.ArrayList(System.String v);}"},
		{"a value with notes", object.Wrap("contoso.com").Add("Domain", "contoso.com"), "System.String contoso.com{methods 0, Domain: System.String contoso.com}"},
		{"a wrapped value", object.Wrap(int32(4)), "System.Int32 4"},
		{"object without methods", method, "Deserialized.Contoso.Thing Contoso.Thing{methods 0, A: System.Int32 1}"},
		{"custom object", object.New().Add("A", nil), "Deserialized.System.Management.Automation.PSCustomObject @{A=}{methods 0, A: null}"},
		{"computed", computed, "Deserialized.Contoso.Thing the text{methods 0, Now: System.Int32 7}"},
		{"deep", bag().Add("B", bag().Add("C", bag().Add("D", bag().Add("E", "e")))),
			"Deserialized.Contoso.Thing Contoso.Thing{methods 0, B: Deserialized.Contoso.Thing Contoso.Thing{methods 0, C: Deserialized.Contoso.Thing Contoso.Thing{methods 0, D: System.String Contoso.Thing}}}"},
		{"error", object.NewError("Id", object.InvalidData, nil, "broken"), "System.Management.Automation.ErrorRecord broken"},
		{"secret", &object.Credential{UserName: "u", Password: object.NewSecureString("p")}, "System.Management.Automation.PSCredential System.Management.Automation.PSCredential"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := interp.New(interp.Config{Now: clock, Commands: []interp.Command{{Name: "Get-Value", New: func() interp.Cmdlet { return &emit{v: tt.v} }}}})
			if err != nil {
				t.Fatal(err)
			}
			r := hostcmd.InProcess(s, hostcmd.RemoteInfo{ComputerName: "far"})
			run := func(args ...hostcmd.Argument) (got any) {
				err := r.Run(t.Context(), hostcmd.Pipeline{Commands: []hostcmd.RemoteCommand{{Text: "Get-Value", Arguments: args}}}, func(v any) error {
					got = v
					return nil
				}, interp.Streams{})
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
			if d := cmp.Diff([]string{tt.want, tt.want}, []string{shape(run()), object.String(run(hostcmd.Argument{Name: "Value", Value: tt.v}))}); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestWhatLoopsEnds(t *testing.T) {
	loop := object.NewArray(nil)
	loop.Items[0] = object.New("Contoso.Thing").Add("Up", loop)
	s, err := interp.New(interp.Config{Now: clock, Commands: []interp.Command{{Name: "Get-Value", New: func() interp.Cmdlet { return &emit{v: loop.Items[0]} }}}})
	if err != nil {
		t.Fatal(err)
	}
	r := hostcmd.InProcess(s, hostcmd.RemoteInfo{})
	err = r.Run(t.Context(), hostcmd.Pipeline{Commands: []hostcmd.RemoteCommand{{Text: "Get-Value"}}}, nil, interp.Streams{})
	if err != nil {
		t.Error(err)
	}
	err = r.Run(t.Context(), hostcmd.Pipeline{Commands: []hostcmd.RemoteCommand{{Text: "Get-Value"}}}, func(any) error { return nil }, interp.Streams{})
	if err != nil {
		t.Error(err)
	}
	r.Close()
	if err := r.Run(t.Context(), hostcmd.Pipeline{}, nil, interp.Streams{}); err == nil {
		t.Error("a closed session ran something")
	}
	if _, err := r.Commands(t.Context(), nil); err == nil {
		t.Error("a closed session has commands")
	}
}
