package clixml_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/ps/clixml"
	"busybridge/internal/ps/object"
)

func message(t *testing.T, text string) any {
	t.Helper()
	v, err := clixml.Read([]byte(text), clixml.Options{MaxBytes: 1 << 20})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// Every value is written as it was read, byte for byte.
func TestPrimitives(t *testing.T) {
	for _, want := range []string{
		"<Nil />", "<S>a b</S>", "<S></S>", "<S> x </S>", "<S>_x000D__x000A__x005F_x_xD83D__xDE00_&lt;&amp;é_x0085__xFFFE_</S>", "<C>65</C>", "<C>55357</C>",
		"<B>true</B>", "<B>false</B>", "<By>255</By>", "<SB>-128</SB>", "<I16>-5</I16>", "<U16>65535</U16>", "<I32>-2147483648</I32>", "<U32>4294967295</U32>",
		"<I64>9223372036854775807</I64>", "<U64>18446744073709551615</U64>", "<Sg>1.5</Sg>", "<Db>-INF</Db>", "<Db>NaN</Db>", "<Db>0.1</Db>", "<D>1.50</D>",
		"<DT>2014-05-01T12:00:00</DT>", "<DT>2014-05-01T12:00:00.1234567Z</DT>", "<DT>2014-05-01T12:00:00+05:45</DT>", "<TS>PT15M</TS>",
		"<G>f405559a-0cb1-4172-bbd3-2322e9a483bc</G>", "<URI>https://autodiscover.contoso.com/autodiscover/autodiscover.svc</URI>", "<Version>15.0.847.32</Version>", "<Version>2.3</Version>", "<BA>AAEC</BA>", "<BA></BA>",
		`<Obj RefId="0"><TN RefId="0"><T>Contoso.Colour</T><T>System.Enum</T><T>System.ValueType</T><T>System.Object</T></TN><ToString>Red</ToString><I32>3</I32></Obj>`,
		`<Obj RefId="0"><TN RefId="0"><T>System.DayOfWeek</T><T>System.Enum</T><T>System.ValueType</T><T>System.Object</T></TN><ToString>Friday</ToString><I32>5</I32></Obj>`,
		`<Obj RefId="0"><TN RefId="0"><T>System.Collections.ArrayList</T><T>System.Object</T></TN><LST><S>a</S><Nil /></LST></Obj>`,
		`<Obj RefId="0"><TN RefId="0"><T>System.Collections.Hashtable</T><T>System.Object</T></TN><DCT><En><S N="Key">a</S><I32 N="Value">1</I32></En><En><I32 N="Key">2</I32><Nil N="Value" /></En></DCT></Obj>`,
		`<Obj RefId="0"><TN RefId="0"><T>Deserialized.A</T><T>Deserialized.System.Object</T></TN><ToString>text</ToString><Props><S N="b">1</S><S N="A">2</S></Props><MS><S N="note_x000A_">3</S></MS></Obj>`,
		`<Obj RefId="0"><TN RefId="0"><T>Deserialized.System.Management.Automation.PSCustomObject</T><T>Deserialized.System.Object</T></TN><MS><S N="x">1</S></MS></Obj>`,
	} {
		got, err := clixml.Append(nil, message(t, want), 1, nil)
		if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
}

// A result as Exchange's shell gets it is written again as it came, but for the names that say it is a copy. Properties
// keep their order, which is the order in which they are shown.
func TestResult(t *testing.T) {
	const text = `<Obj RefId="0"><TN RefId="0"><T>Microsoft.Exchange.Data.Directory.SystemConfiguration.IntraOrganizationConnector</T>` +
		`<T>Microsoft.Exchange.Data.Directory.ADConfigurationObject</T><T>Microsoft.Exchange.Data.Directory.ADObject</T>` +
		`<T>Microsoft.Exchange.Data.Directory.ADRawEntry</T><T>Microsoft.Exchange.Data.ConfigurableObject</T><T>System.Object</T></TN>` +
		`<ToString>ExchangeHybridOnlineToOnPremises</ToString>` +
		`<Props><Obj N="TargetAddressDomains" RefId="1"><TN RefId="1"><T>System.Collections.ArrayList</T><T>System.Object</T></TN><LST><S>contoso.com</S></LST></Obj>` +
		`<URI N="DiscoveryEndpoint">https://autodiscover.contoso.com/autodiscover/autodiscover.svc</URI><B N="Enabled">true</B>` +
		`<S N="Identity">ExchangeHybridOnlineToOnPremises</S><G N="Guid">6a1e4a0c-0000-4000-8000-000000000000</G><S N="ObjectState">Unchanged</S>` +
		`<DT N="WhenChanged">2014-05-01T12:00:00</DT></Props></Obj>`
	for _, form := range []string{text, "\ufeff" + text, `<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">` + text + `</Objs>`} {
		got, err := clixml.Append(nil, message(t, form), 1, nil)
		if diff := cmp.Diff(text, strings.ReplaceAll(strings.Replace(string(got), "Deserialized.System.Object", "System.Object", 1), "Deserialized.", "")); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
}

// Objects in objects become text at the depth of a message; what is in lists and tables does not.
func TestDepth(t *testing.T) {
	inner := object.New("Contoso.Inner").Add("Deep", object.New("Contoso.Deepest"))
	outer := object.New("Contoso.Outer").Add("One", inner).Add("Two", object.NewArray(inner))
	got, err := clixml.Append(nil, object.NewArray(outer), 1, nil)
	want := `<Obj RefId="0"><TN RefId="0"><T>System.Object[]</T><T>System.Array</T><T>System.Object</T></TN><LST><Obj RefId="1"><TN RefId="1"><T>Contoso.Outer</T></TN><ToString>Contoso.Outer</ToString>` +
		`<Props><S N="One">Contoso.Inner</S><Obj N="Two" RefId="2"><TNRef RefId="0" /><LST><S>Contoso.Inner</S></LST></Obj></Props></Obj></LST></Obj>`
	if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	// Lists in lists end somewhere, and what is written can be read.
	var deep any = "end"
	for range 100 {
		deep = object.NewArray(deep)
	}
	got, err = clixml.Append(nil, deep, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	message(t, string(got))
	loop := object.NewArray(nil)
	loop.Items[0] = loop
	if got, err = clixml.Append(nil, loop, 1, nil); err != nil || !strings.Contains(string(got), `<LST><Ref RefId="0" /></LST>`) {
		t.Errorf("%s, %v", got, err)
	}
}

// A block is a value whose class is the script block's.
type block string

func (b block) PSType() *object.Type { return object.TScriptBlock }
func (b block) String() string       { return string(b) }

// Script blocks cross as text, in both directions.
func TestScriptBlocks(t *testing.T) {
	got, err := clixml.Append(nil, block("Get-X"), 1, nil)
	if diff := cmp.Diff("<SBK>Get-X</SBK>", string(got)); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if v := message(t, string(got)); v != "Get-X" {
		t.Errorf("got %T %v", v, v)
	}
}

// Forms that only others write.
func TestOthersForms(t *testing.T) {
	for text, want := range map[string]string{
		`<Obj RefId="0"><IE><S>a</S></IE></Obj>`: "ArrayList a", `<Obj RefId="0"><STK><S>a</S><I32>1</I32></STK></Obj>`: "ArrayList a 1", `<Obj RefId="0"><QUE><S>a</S></QUE></Obj>`: "ArrayList a",
		"<XD>&lt;a/&gt;</XD>": "String <a/>", "<S>a_xd83d_b</S>": "String a\ufffdb", "<S>_x00g0_</S>": "String _x00g0_", "": "",
		`<PR><AV>doing</AV><AI>3</AI><Nil /><PI>-1</PI><PC>50</PC><T>Processing</T><SR>-1</SR><SD>half</SD></PR>`:                                                      "PSCustomObject @{Activity=doing; ActivityId=3; ParentActivityId=-1; PercentComplete=50; Type=Processing; SecondsRemaining=-1; StatusDescription=half}",
		`<Obj RefId="0"><I32>5</I32><TN RefId="0"><T>System.DayOfWeek</T><T>System.Enum</T></TN><ToString>Friday</ToString></Obj>`:                                     "DayOfWeek Friday",
		`<Obj RefId="0"><TN RefId="0"><T>System.Management.Automation.SwitchParameter</T></TN><ToString>True</ToString><Props><B N="isPresent">true</B></Props></Obj>`: "SwitchParameter True",
		`<Obj RefId="0"><S>x</S></Obj>`: "String x",
	} {
		v := message(t, text)
		got := ""
		if v != nil {
			got = object.TypeOf(v).Title() + " " + object.String(v)
			if o, ok := v.(*object.Object); ok {
				var parts []string
				for _, p := range object.Properties(o) {
					parts = append(parts, p.Name+"="+object.String(p.Value))
				}
				got = object.TypeOf(v).Title() + " @{" + strings.Join(parts, "; ") + "}"
			}
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// reverse is a cipher of a test.
type reverse struct{}

func (reverse) Seal(s string) ([]byte, error) {
	b := []byte(s)
	slices.Reverse(b)
	return b, nil
}

func (reverse) Open(b []byte) (string, error) {
	if len(b) == 0 {
		return "", errors.New("nothing is sealed")
	}
	b = slices.Clone(b)
	slices.Reverse(b)
	return string(b), nil
}

func TestSecrets(t *testing.T) {
	cred := &object.Credential{UserName: "admin@contoso.com", Password: object.NewSecureString("abc")}
	for _, v := range []any{cred, cred.Password, object.New("X").Add("p", cred.Password), object.NewArray(cred)} {
		if got, err := clixml.Append(nil, v, 2, nil); !errors.Is(err, clixml.ErrNoKey) {
			t.Errorf("without a key: %s, %v", got, err)
		}
	}
	got, err := clixml.Append(nil, cred, 1, reverse{})
	want := `<Obj RefId="0"><TN RefId="0"><T>System.Management.Automation.PSCredential</T><T>System.Object</T></TN><ToString>System.Management.Automation.PSCredential</ToString><Props><S N="UserName">admin@contoso.com</S><SS N="Password">Y2Jh</SS></Props></Obj>`
	if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	o := clixml.Options{MaxBytes: 1 << 20, Cipher: reverse{}}
	v, err := clixml.Read(got, o)
	if c, ok := v.(*object.Credential); !ok || err != nil || c.UserName != cred.UserName || c.Password.Reveal() != "abc" {
		t.Errorf("got %v, %v", v, err)
	}
	for _, bad := range []string{"<SS></SS>", "<SS>?</SS>"} {
		if v, err := clixml.Read([]byte(bad), o); err == nil {
			t.Errorf("%s: %v", bad, v)
		}
	}
	if _, err := clixml.Read(got, clixml.Options{MaxBytes: 1 << 20}); !errors.Is(err, clixml.ErrNoKey) {
		t.Errorf("without a key: %v", err)
	}
}

// Small documents cannot stand for large ones, and errors repeat little of them.
func TestMessageLimits(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		o    clixml.Options
	}{
		"bytes":       {"<S>" + strings.Repeat("x", 1000) + "</S>", clixml.Options{MaxBytes: 500}},
		"values":      {`<Obj RefId="0"><LST>` + strings.Repeat("<Nil/>", 100) + `</LST></Obj>`, clixml.Options{MaxBytes: 1 << 20, MaxValues: 50}},
		"byte array":  {"<BA>" + strings.Repeat("AAAA", 100) + "</BA>", clixml.Options{MaxBytes: 1 << 20, MaxValues: 200}},
		"references":  {`<Obj RefId="0"><LST>` + laughs(5) + `</LST></Obj>`, clixml.Options{MaxBytes: 1 << 20, MaxValues: 1000}},
		"many values": {`<Objs xmlns="http://schemas.microsoft.com/powershell/2004/04"><S>1</S><S>2</S></Objs>`, clixml.Options{MaxBytes: 1 << 20}},
		"long text":   {"<B>" + strings.Repeat("é", 5000) + "</B>", clixml.Options{MaxBytes: 1 << 20}},
		"long tag":    {"<" + strings.Repeat("x", 500) + "/>", clixml.Options{MaxBytes: 1 << 20}},
	} {
		v, err := clixml.Read([]byte(c.text), c.o)
		if err == nil || len(err.Error()) > 300 {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
}

// What is read of a message is written the same from then on.
func FuzzMessage(f *testing.F) {
	f.Add([]byte(`<Obj RefId="0"><MS><Version N="protocolversion">2.3</Version><Obj N="x" RefId="1"><TN RefId="0"><T>A</T></TN><ToString>s</ToString><Props><S N="p">v</S></Props></Obj><Ref N="y" RefId="1" /></MS></Obj>`))
	f.Add([]byte(`<Obj RefId="0"><TN RefId="0"><T>System.DayOfWeek</T><T>System.Enum</T></TN><ToString>Friday</ToString><I32>5</I32></Obj>`))
	f.Add([]byte(`<Obj RefId="0"><DCT><En><S N="Key">a</S><SS N="Value">AAAA</SS></En></DCT><MS><DT N="x">2014-05-01T12:00:00</DT></MS></Obj>`))
	f.Add([]byte(`<PR><AV>doing</AV><PC>50</PC></PR>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		o := clixml.Options{MaxBytes: 1 << 16, MaxValues: 1 << 12, Cipher: reverse{}}
		text := func(data []byte) string {
			v, err := clixml.Read(data, o)
			if err != nil {
				return fmt.Sprint(err)
			}
			b, err := clixml.Append(nil, v, clixml.MaxLevels, reverse{})
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		if _, err := clixml.Read(data, o); err != nil {
			return
		}
		o.MaxBytes, o.MaxValues = 1<<24, 1<<20
		first := text(data)
		second := text([]byte(first))
		if third := text([]byte(second)); second != third {
			t.Errorf("%s\nbecomes\n%s\nand then\n%s", first, second, third)
		}
	})
}
