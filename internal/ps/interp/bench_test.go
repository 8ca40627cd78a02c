package interp_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// things emits bags of 60 properties.
type things struct {
	N int `ps:"N,position=0"`
}

func (t *things) Run(_ context.Context, c *interp.Call) error {
	shape := object.NewShape("Contoso.Thing")
	for i := range t.N {
		o := shape.New().Add("A", "x")
		if i%3 == 0 {
			o.Add("A", "y")
		}
		for j := range 59 {
			o.Add(thingNames[j], true)
		}
		if err := c.Emit(o); err != nil {
			return err
		}
	}
	return nil
}

var thingNames = func() (list [59]string) {
	for i := range list {
		list[i] = fmt.Sprintf("Property%02d", i)
	}
	return list
}()

func benchSession(b *testing.B) *interp.Session {
	b.Helper()
	s, err := interp.New(interp.Config{
		Now:      func() time.Time { return time.Unix(0, 0) },
		Commands: []interp.Command{{Name: "Get-Thing", New: func() interp.Cmdlet { return &things{} }}},
	})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkPipeline is a pipeline over 10,000 bags of 60 properties.
func BenchmarkPipeline(b *testing.B) {
	for _, tc := range []struct{ name, src string }{
		{"emit", "Get-Thing 10000 | Out-Null"},
		{"where-measure", "Get-Thing 10000 | ? {$_.A -eq 'x'} | measure"},
		{"where-property", "Get-Thing 10000 | ? A -eq x | measure"},
		{"select", "Get-Thing 10000 | select A,Property01 | Out-Null"},
		{"foreach", "Get-Thing 10000 | % { $_.A } | Out-Null"},
		{"sort", "Get-Thing 10000 | sort A | Out-Null"},
		{"list", "Get-Thing 1000 | fl | Out-String | Out-Null"},
		{"table", "Get-Thing 10000 | ft A,Property01 | Out-String | Out-Null"},
		{"csv", "Get-Thing 1000 | ConvertTo-Csv | Out-Null"},
		{"json", "Get-Thing 1000 | ConvertTo-Json | Out-Null"},
		{"loop", "$s = 0; foreach ($i in 1..10000) { $s += $i }"},
	} {
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			s := benchSession(b)
			for b.Loop() {
				if err := s.Run(b.Context(), "", tc.src, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkNew is the start of a session with 200 commands beside the core ones.
func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	var commands []interp.Command
	for i := range 200 {
		commands = append(commands, interp.Command{Name: fmt.Sprintf("Set-Thing%d", i), New: func() interp.Cmdlet { return &interp.WhereObject{} }, ShouldProcess: true})
	}
	for b.Loop() {
		if _, err := interp.New(interp.Config{Now: func() time.Time { return time.Unix(0, 0) }, Commands: commands}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkComplete is what a person waits for after Tab.
func BenchmarkComplete(b *testing.B) {
	s := completing(b)
	for b.Loop() {
		if got := s.Complete("Get-Date | Set-Thing -Color 'Red' -E", 36); len(got.Items) == 0 {
			b.Fatal("nothing was proposed")
		}
	}
}
