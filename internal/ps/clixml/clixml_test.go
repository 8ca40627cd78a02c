package clixml_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/ps/clixml"
	"busybridge/internal/ps/object"
)

// A file as Windows PowerShell writes it: $c = [pscustomobject]@{...}; $c, 'two' | Export-Clixml.
const windowsCLIXML = `<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">
  <Obj RefId="0">
    <TN RefId="0">
      <T>System.Management.Automation.PSCustomObject</T>
      <T>System.Object</T>
    </TN>
    <MS>
      <S N="Name">ToCloud</S>
      <B N="Enabled">true</B>
      <Nil N="Sharing" />
      <URI N="DiscoveryEndpoint">https://autodiscover.contoso.com/autodiscover/autodiscover.svc</URI>
      <Obj N="Domains" RefId="1">
        <TN RefId="1">
          <T>System.Object[]</T>
          <T>System.Array</T>
          <T>System.Object</T>
        </TN>
        <LST>
          <S>contoso.com</S>
          <S>a_x000D__x000A_b_x005F_x</S>
        </LST>
      </Obj>
      <Obj N="Table" RefId="2">
        <TN RefId="2">
          <T>System.Collections.Hashtable</T>
          <T>System.Object</T>
        </TN>
        <DCT>
          <En>
            <S N="Key">k</S>
            <I32 N="Value">5</I32>
          </En>
        </DCT>
      </Obj>
      <Obj N="Day" RefId="3">
        <TN RefId="3">
          <T>System.DayOfWeek</T>
          <T>System.Enum</T>
          <T>System.ValueType</T>
          <T>System.Object</T>
        </TN>
        <ToString>Friday</ToString>
        <I32>5</I32>
      </Obj>
      <Ref N="Same" RefId="1" />
      <DT N="Utc">2024-03-19T17:54:07.5Z</DT>
      <DT N="Plain">2024-03-19T17:54:07</DT>
      <TS N="Span">P1DT2H3M4.5S</TS>
      <G N="Guid">f405559a-0cb1-4172-bbd3-2322e9a483bc</G>
      <Version N="Version">15.0.847.32</Version>
      <BA N="Raw">AAEC</BA>
      <Db N="Double">1.5</Db>
      <D N="Decimal">1.50</D>
      <C N="Char">65</C>
      <I64 N="Long">10000000000</I64>
      <By N="Byte">7</By>
    </MS>
  </Obj>
  <S>two</S>
</Objs>`

// read reads a document as Import-Clixml does.
func read(data []byte) ([]any, error) {
	return clixml.ReadDocument(data, clixml.Options{MaxBytes: 1 << 24, EnumText: true})
}

func TestRead(t *testing.T) {
	list, err := read([]byte(windowsCLIXML))
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	var got []string
	for _, p := range object.Properties(list[0]) {
		text := object.String(p.Value)
		if p.Value != nil {
			text = object.TypeOf(p.Value).Title() + " " + text
		}
		got = append(got, p.Name+": "+text)
	}
	want := []string{
		"Name: String ToCloud", "Enabled: Boolean True", "Sharing: ", "DiscoveryEndpoint: Uri https://autodiscover.contoso.com/autodiscover/autodiscover.svc",
		"Domains: ArrayList contoso.com a\r\nb_x", "Table: Hashtable System.Collections.Hashtable", "Day: String Friday", "Same: ArrayList contoso.com a\r\nb_x",
		"Utc: DateTime 03/19/2024 17:54:07", "Plain: DateTime 03/19/2024 17:54:07", "Span: TimeSpan 1.02:03:04.5000000", "Guid: Guid f405559a-0cb1-4172-bbd3-2322e9a483bc",
		"Version: Version 15.0.847.32", "Raw: Byte[] 0 1 2", "Double: Double 1.5", "Decimal: Decimal 1.50", "Char: Char A", "Long: Int64 10000000000", "Byte: Byte 7",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Deserialized.System.Management.Automation.PSCustomObject", "Deserialized.System.Object"}, object.TypeNames(list[0])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if list[1] != "two" {
		t.Errorf("got %v", list[1])
	}
}

// What is read is written the same again, but for what reading makes of types.
func TestWrite(t *testing.T) {
	inner := object.New("Contoso.Inner", "System.Object").Add("Deep", object.New("Contoso.Deepest", "System.Object").Add("X", int32(1)))
	o := object.New("Contoso.Thing", "System.Object").Add("Name", "a<b>&\n").Add("Inner", inner).Add("Again", inner).Add("List", object.Strings("x")).
		Add("Switch", object.EnumOf(object.TDayOfWeek, "Monday")).Add("None", nil)
	w := clixml.NewDocument()
	for _, v := range []any{o, object.Wrap("text").Add("Side", "=="), int32(7)} {
		if err := w.Add(v, 2); err != nil {
			t.Fatal(err)
		}
	}
	want := `<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">
  <Obj RefId="0">
    <TN RefId="0">
      <T>Contoso.Thing</T>
      <T>System.Object</T>
    </TN>
    <ToString>Contoso.Thing</ToString>
    <Props>
      <S N="Name">a&lt;b&gt;&amp;_x000A_</S>
      <Obj N="Inner" RefId="1">
        <TN RefId="1">
          <T>Contoso.Inner</T>
          <T>System.Object</T>
        </TN>
        <ToString>Contoso.Inner</ToString>
        <Props>
          <S N="Deep">Contoso.Deepest</S>
        </Props>
      </Obj>
      <Ref N="Again" RefId="1" />
      <Obj N="List" RefId="2">
        <TN RefId="2">
          <T>System.String[]</T>
          <T>System.Array</T>
          <T>System.Object</T>
        </TN>
        <LST>
          <S>x</S>
        </LST>
      </Obj>
      <Obj N="Switch" RefId="3">
        <TN RefId="3">
          <T>System.DayOfWeek</T>
          <T>System.Enum</T>
          <T>System.ValueType</T>
          <T>System.Object</T>
        </TN>
        <ToString>Monday</ToString>
        <I32>1</I32>
      </Obj>
      <Nil N="None" />
    </Props>
  </Obj>
  <Obj RefId="4">
    <TN RefId="4">
      <T>System.String</T>
      <T>System.Object</T>
    </TN>
    <S>text</S>
    <MS>
      <S N="Side">==</S>
    </MS>
  </Obj>
  <I32>7</I32>
</Objs>`
	if diff := cmp.Diff(want, strings.ReplaceAll(string(w.Document()), "\r\n", "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReadRefuses(t *testing.T) {
	doc := func(body string) string {
		return `<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">` + body + `</Objs>`
	}
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"<Objs/>", "not Objs"},
		{`<!DOCTYPE a [<!ENTITY x "y">]>` + doc("<S>&x;</S>"), ""},
		{doc("<What/>"), "element What: it is not known"},
		{doc("<I32>x</I32>"), "element I32"},
		{doc("<I32>99999999999</I32>"), "element I32"},
		{doc("<B>maybe</B>"), "is no Boolean"},
		{doc("<C>70000</C>"), "element C"},
		{doc("<DT>noon</DT>"), "is no time"},
		{doc("<TS>P1Y</TS>"), "is no duration"},
		{doc("<TS>P99999999999D</TS>"), "is no duration"},
		{doc(`<Ref RefId="3" />`), `RefId "3" names no object`},
		{doc(`<Obj RefId="0"><TNRef RefId="9" /></Obj>`), `RefId "9" names no types`},
		{doc(`<Obj RefId="0"><LST /><DCT /></Obj>`), "one content"},
		{doc(`<Obj RefId="0"><MS><S>x</S></MS></Obj>`), "a property has a name"},
		{doc(`<Obj RefId="0"><DCT><En><Nil N="Key" /></En></DCT></Obj>`), "no simple value"},
		{doc("<SS>0100</SS>"), "needs the key of a session"},
		{doc(strings.Repeat("<Obj><LST>", 100)), ""},
		{doc(laughs(8)), "more than"},
	} {
		if v, err := read([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v", c.text, v, err)
		}
	}
}

// laughs is n lists, each of which holds the one before ten times.
func laughs(n int) string {
	var b strings.Builder
	b.WriteString(`<Obj RefId="0"><LST><S>ha</S></LST></Obj>`)
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, `<Obj RefId="%d"><LST>%s</LST></Obj>`, i, strings.Repeat(fmt.Sprintf(`<Ref RefId="%d" />`, i-1), 10))
	}
	return b.String()
}

func TestNothingContainsItself(t *testing.T) {
	list, err := read([]byte(`<Objs xmlns="http://schemas.microsoft.com/powershell/2004/04"><Obj RefId="0"><LST><Ref RefId="0" /><I32>1</I32></LST></Obj></Objs>`))
	if err != nil {
		t.Fatal(err)
	}
	if items, _ := object.Items(list[0]); len(items) != 2 || items[0] != nil {
		t.Errorf("got %v", items)
	}
}

func TestDurations(t *testing.T) {
	for _, want := range []string{"PT0S", "PT1H", "P1D", "P1DT1S", "-PT1M0.5S", "PT0.0000001S", "P106751DT23H47M16.8547758S"} {
		v, err := clixml.Read([]byte("<TS>"+want+"</TS>"), clixml.Options{MaxBytes: 1 << 10})
		if err != nil {
			t.Fatal(err)
		}
		got, err := clixml.Append(nil, v, 1, nil)
		if diff := cmp.Diff("<TS>"+want+"</TS>", string(got)); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
}

// Reading never fails badly, and what was read is stable: written and read again it is written the same.
func FuzzDocument(f *testing.F) {
	f.Add([]byte(windowsCLIXML))
	f.Add([]byte(`<Objs xmlns="http://schemas.microsoft.com/powershell/2004/04"><Obj RefId="0"><LST><Ref RefId="0" /></LST></Obj></Objs>`))
	f.Add([]byte(`<Objs xmlns="http://schemas.microsoft.com/powershell/2004/04"><Obj RefId="0"><Props><TS N="_x000D_">-P1D</TS></Props></Obj><S>_xD83D__xDE00_</S></Objs>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		text := func(data []byte) []byte {
			list, err := read(data)
			if err != nil {
				return nil
			}
			w := clixml.NewDocument()
			for _, v := range list {
				if err := w.Add(v, clixml.MaxLevels); err != nil {
					t.Fatal(err)
				}
			}
			return w.Document()
		}
		first := text(data)
		if first == nil {
			return
		}
		second := text(first)
		if third := text(second); second == nil || !bytes.Equal(second, third) {
			t.Errorf("%s\nbecomes\n%s\nand then\n%s", first, second, third)
		}
	})
}
