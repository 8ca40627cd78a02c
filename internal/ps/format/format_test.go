package format_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"busybridge/internal/ps/format"
	"busybridge/internal/ps/object"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func bag(pairs ...any) *object.Object {
	o := object.New()
	for i := 0; i < len(pairs); i += 2 {
		o.Add(pairs[i].(string), pairs[i+1])
	}
	return o
}

func ints(n int) *object.Array {
	a := object.NewArray()
	for i := range n {
		a.Items = append(a.Items, int32(i+1))
	}
	return a
}

func list(cols ...format.Column) func(items ...any) []any {
	return shaped(format.Options{Shape: format.List, Columns: cols})
}

func table(cols ...format.Column) func(items ...any) []any {
	return shaped(format.Options{Shape: format.Table, Columns: cols})
}

func shaped(o format.Options) func(items ...any) []any {
	return func(items ...any) []any {
		var out []any
		for _, item := range items {
			out = append(out, &format.Entry{Options: &o, Item: item})
		}
		return append(out, &format.Entry{Options: &o, End: true})
	}
}

func twice(v any) (any, error) {
	n, _ := object.Get(v, "N")
	return object.Mul(n, int32(2))
}

func failing(any) (any, error) { return nil, errors.New("no value") }

func dir(name, mode string, size any) *object.Object {
	o := object.New("System.IO.DirectoryInfo")
	return o.Add("Mode", mode).Add("LastWriteTime", object.Date(2013, 8, 27, 19, 23, 0, 0)).Add("Length", size).Add("Name", name).Add("PSParentPath", `C:\`)
}

func TestText(t *testing.T) {
	h := object.NewHashtable()
	h.Set("key", "value")
	o := object.NewOrdered()
	o.Set(int32(1), "one")
	o.Set(int32(2), "two")
	id := uuid.MustParse("00000002-0000-0ff1-ce00-000000000000")
	long := bag("Name", strings.Repeat("abcde ", 8), "Id", int32(7))
	typed := object.New("Contoso.Thing").Add("B", int32(1))
	computer := bag("A", int32(1), "PSComputerName", "srv", "RunspaceId", id, "PSShowComputerName", false)
	defaulted := bag("A", int32(1), "B", int32(2), "C", int32(3))
	defaulted.Default = []string{"C", "A"}
	rec := object.NewError("AddHashTableToNonHashTable", object.InvalidOperation, nil, "A hash table can only be added to another hash table.")
	rec.Position = &object.Position{Line: 2, Column: 1, Source: "$a += 1", Length: 7}
	for _, tc := range []struct {
		name  string
		items []any
		width int
		limit int
	}{
		{"hashtable", []any{h}, 120, 4},
		{"ordered hashtable", []any{o}, 120, 4},
		{"hashtable as a list", list()(h), 120, 4},
		{"one property", []any{bag("key", "value")}, 120, 4},
		{"numbers to the right", []any{bag("One", int32(1), "TWO", int32(3), "Three", int32(3))}, 120, 4},
		{"five properties make a list", []any{bag("A", int32(1), "B", int32(2), "C", int32(3), "D", int32(4), "E", int32(5))}, 120, 4},
		{"list labels padded", list()(bag("Name", "a", "LongerName", int32(1))), 120, 4},
		{"collection cut at four", list()(bag("A", ints(5))), 120, 4},
		{"collection in full", list()(bag("A", ints(5), "B", object.NewArray(), "C", ints(16))), 120, 16},
		{"collection unlimited", list()(bag("A", ints(20))), 120, -1},
		{"values in a list", list()(bag("B", true, "N", nil, "D", object.Date(2024, 3, 19, 17, 54, 7, 0), "G", id, "H", h, "T", 26*time.Hour, "X", 0.1+0.2, "L", object.Bytes([]byte{0, 1, 0, 0, 9}), "O", bag("I", int32(1)))), 120, 4},
		{"label keeps its own case", list(format.Column{Name: "name"})(bag("Name", "a", "Other", int32(2))), 120, 4},
		{"calculated property", list(format.Column{Label: "Twice", Expr: twice})(bag("N", int32(2))), 120, 4},
		{"missing and failing properties", list(format.Column{Name: "nope"}, format.Column{Name: "no*"}, format.Column{Label: "Bad", Expr: failing})(bag("A", int32(1))), 120, 4},
		{"wildcards", list(format.Column{Name: "server"}, format.Column{Name: "*url*"})(bag("Server", "s", "InternalUrl", "i", "ExternalUrl", "e", "Name", "n")), 120, 4},
		{"embedded line break", list()(bag("Text", "one\ntwo")), 120, 4},
		{"long value goes on in its column", list()(long), 30, 4},
		{"two objects in a list", list()(bag("A", int32(1)), bag("A", int32(2))), 120, 4},
		{"scalars", []any{int32(1), "two", true, 1.5, nil, object.EnumOf(object.TDayOfWeek, "Monday"), object.NewArray("in", "array")}, 120, 4},
		{"date alone", []any{object.Date(2005, 5, 31, 0, 0, 0, 0)}, 120, 4},
		{"timespan alone", []any{90 * time.Minute}, 120, 4},
		{"guid and version alone", []any{id, object.Version{Major: 15, Build: 847, Revision: 32}}, 120, 4},
		{"later type is a list", []any{bag("A", int32(1)), typed}, 120, 4},
		{"text between rows", []any{bag("A", int32(1)), "text", bag("A", int32(2))}, 120, 4},
		{"row without the property", []any{bag("A", int32(1)), bag("B", int32(2))}, 120, 4},
		{"cell too long", []any{long}, 30, 4},
		{"number too long", table(format.Column{Name: "N", Width: 5})(bag("N", int32(1234567))), 30, 4},
		{"column that does not fit", table()(bag("A", strings.Repeat("x", 20), "B", strings.Repeat("y", 20), "C", "z")), 25, 4},
		{"wrapped cells", shaped(format.Options{Shape: format.Table, Wrap: true})(long), 30, 4},
		{"header wraps", table(format.Column{Name: "LongHeader", Width: 4}, format.Column{Name: "B"})(bag("LongHeader", "a", "B", "b")), 30, 4},
		{"no headers", shaped(format.Options{Shape: format.Table, HideHeaders: true})(bag("A", int32(1), "B", "x")), 30, 4},
		{"multi-line cell", []any{bag("A", "one\ntwo", "B", int32(1))}, 30, 4},
		{"formatted and aligned columns", table(format.Column{Name: "N", Format: "N2", Label: "Number"}, format.Column{Name: "S", Align: format.AlignRight}, format.Column{Name: "S", Align: format.AlignCenter, Label: "Middle"})(bag("N", int32(1234), "S", "ab")), 60, 4},
		{"missing column", table(format.Column{Name: "A"}, format.Column{Name: "Nope"})(bag("A", "x")), 60, 4},
		{"group", shaped(format.Options{Shape: format.Table, GroupBy: &format.Column{Name: "G"}, Columns: []format.Column{{Name: "A"}}})(bag("G", "x", "A", int32(1)), bag("G", "x", "A", int32(2)), bag("G", "y", "A", int32(3))), 60, 4},
		{"wide", shaped(format.Options{Shape: format.Wide})(bag("Name", "one"), bag("Name", "two"), bag("Name", "three")), 40, 4},
		{"wide by itself", shaped(format.Options{Shape: format.Wide, AutoSize: true})(bag("Name", "one"), bag("Name", "two"), bag("Name", "three")), 12, 4},
		{"folder", []any{dir("OAuthConfig", "d-----", nil), dir("a.txt", "-a----", int64(12))}, 120, 4},
		{"remote properties", list()(computer), 120, 4},
		{"default properties", list()(defaulted), 120, 4},
		{"east asian width", []any{bag("A", "日本", "B", "x"), bag("A", "abcdef", "B", "y")}, 30, 4},
		{"error in the output", []any{rec}, 120, 4},
		{"type", []any{object.TInt}, 120, 4},
		{"strings in a table sheet", table()("a", "b"), 120, 4},
		{"credential", []any{&object.Credential{UserName: "admin", Password: object.NewSecureString("secret")}}, 120, 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := &format.Formatter{}
			got, err := f.Text(tc.items, tc.width, tc.limit)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(got) {
				if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > tc.width {
					t.Errorf("a line has %d characters, width %d: %s", n, tc.width, line)
				}
			}
			golden(t, tc.name, got)
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", strings.ReplaceAll(name, " ", "-")+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Error(d)
	}
}

func TestErrorLayout(t *testing.T) {
	r := object.NewError("[Server=EXCHANGE1,RequestId=c45a6d57-2c60-43d1-a36d-67bbbccc8bcf,TimeStamp=5/19/2020 10:19:41 PM] [FailureCategory=Cmdlet-ManagementObjectNotFoundException] 1082ECE3,Microsoft.Exchange.Management.RecipientTasks.GetMailbox",
		object.NotSpecified, nil, "The operation couldn't be performed because object 'user9' couldn't be found on 'AD1.DOMAIN.LOCAL'.")
	r.Activity, r.Reason = "Get-Mailbox", "ManagementObjectNotFoundException"
	r.Extra = []object.Note{{Name: "PSComputerName", Text: "EXCHANGE1.DOMAIN.LOCAL"}}
	golden(t, "remote error", format.Error(r, 120)+"\n")

	r = object.NewError("CommandNotFoundException", object.ObjectNotFound, object.TCommandNotFound, "The term 'x' is not recognized.")
	r.Target = "x"
	r.Position = &object.Position{File: `C:\a.ps1`, Line: 3, Column: 5, Source: "    x -y | z\r\n", Length: 4}
	golden(t, "script error", format.Error(r, 120)+"\n")

	r = object.NewError("Microsoft.PowerShell.Commands.WriteErrorException", object.NotSpecified, object.TWriteError, "bad")
	r.Activity = "Write-Error"
	r.Position = &object.Position{Line: 1, Column: 1, Source: "Write-Error bad", Length: 15}
	golden(t, "cmdlet error", format.Error(r, 120)+"\n")
}

// TestTableStreams checks what a table waits for: rows enough to compute widths by, time, or nothing when they are fixed.
func TestTableStreams(t *testing.T) {
	now := time.Unix(0, 0)
	for _, tc := range []struct {
		name string
		opts format.WriterOptions
		wrap func(any) any
		rows int // until the first lines are out
	}{
		{"by number", format.WriterOptions{}, nil, 5000},
		{"by time", format.WriterOptions{Now: func() time.Time { now = now.Add(100 * time.Millisecond); return now }}, nil, 4},
		{"fixed widths", format.WriterOptions{Views: format.Views{"Thing": {Shape: format.Table, Columns: []format.Column{{Name: "N", Width: 5}}}}}, nil, 1},
		{"list", format.WriterOptions{}, each(format.Options{Shape: format.List}), 1},
		{"wide", format.WriterOptions{}, each(format.Options{Shape: format.Wide, PerLine: 3}), 3},
		{"computed after all", format.WriterOptions{}, each(format.Options{Shape: format.Table, AutoSize: true}), 6001},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var b strings.Builder
			w := format.NewWriter(&b, tc.opts)
			rows := 0
			for b.Len() == 0 && rows <= 6000 {
				rows++
				var item any = object.New("Thing").Add("N", int32(rows))
				if tc.wrap != nil {
					item = tc.wrap(item)
				}
				if err := w.Write(item); err != nil {
					t.Fatal(err)
				}
			}
			if rows != tc.rows {
				t.Errorf("the first lines came after %d objects, want %d", rows, tc.rows)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if b.Len() == 0 {
				t.Error("nothing was written at all")
			}
		})
	}
}

func each(o format.Options) func(any) any {
	return func(item any) any { return &format.Entry{Options: &o, Item: item} }
}

type broken struct{ err error }

func (b broken) Write([]byte) (int, error) { return 0, b.err }

func TestWriteErrorStops(t *testing.T) {
	stop := errors.New("closed")
	w := format.NewWriter(broken{stop}, format.WriterOptions{})
	if err := w.Write("x"); !errors.Is(err, stop) {
		t.Errorf("Write = %v, want the error of the writer", err)
	}
}

func FuzzText(f *testing.F) {
	f.Add("name", "a\nb", "日本語", 10)
	f.Add("", strings.Repeat("long word ", 9), "x", 3)
	f.Fuzz(func(t *testing.T, name, a, b string, width int) {
		if width < 8 || width > 200 || name == "" || strings.EqualFold(name, "z") {
			return
		}
		items := []any{bag(name, a, "Z", b), bag(name, b, "Z", int32(1))}
		for _, shape := range []format.Shape{format.Auto, format.List, format.Table, format.Wide} {
			for _, wrap := range []bool{false, true} {
				var all []any
				all = append(all, shaped(format.Options{Shape: shape, Wrap: wrap})(items...)...)
				if _, err := (&format.Formatter{}).Text(all, width, 4); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
