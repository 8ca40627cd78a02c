package psrp

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"busybridge/internal/ps/clixml"
	"busybridge/internal/ps/object"
)

// What a Windows 5.1 server sent on the stream of a shell: SESSION_CAPABILITY, then RUNSPACEPOOL_STATE as its third object.
var windowsServer = []string{
	"AAAAAAAAAAEAAAAAAAAAAAMAAADKAQAAAAIAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAO+7vzxPYmogUmVmSWQ9IjAiPjxNUz48VmVyc2lvbiBOPSJwcm90b2NvbHZlcnNpb24iPjIuMzwvVmVyc2lvbj48VmVyc2lvbiBOPSJQU1ZlcnNpb24iPjIuMDwvVmVyc2lvbj48VmVyc2lvbiBOPSJTZXJpYWxpemF0aW9uVmVyc2lvbiI+MS4xLjAuMTwvVmVyc2lvbj48L01TPjwvT2JqPg==",
	"AAAAAAAAAAMAAAAAAAAAAAMAAABnAQAAAAUQAgB2BWqEUdxPJJJiyipVRksrAAAAAAAAAAAAAAAAAAAAAO+7vzxPYmogUmVmSWQ9IjAiPjxNUz48STMyIE49IlJ1bnNwYWNlU3RhdGUiPjI8L0kzMj48L01TPjwvT2JqPg==",
}

// The creationXml of pypsrp for the shell 76056A84-51DC-4F24-9262-CA2A55464B2B: SESSION_CAPABILITY and INIT_RUNSPACEPOOL,
// with the pool's id in the order of RFC 4122.
const pypsrpCreation = "AAAAAAAAAAEAAAAAAAAAAAMAAADHAgAAAAIAAQB2BWqEUdxPJJJiyipVRksrAAAAAAAAAAAAAAAAAAAAADxPYmogUmVmSWQ9IjAiPjxNUz48VmVyc2lvbiBOPSJwcm90b2NvbHZlcnNpb24iPjIuMzwvVmVyc2lvbj48VmVyc2lvbiBOPSJQU1ZlcnNpb24iPjIuMDwvVmVyc2lvbj48VmVyc2lvbiBOPSJTZXJpYWxpemF0aW9uVmVyc2lvbiI+MS4xLjAuMTwvVmVyc2lvbj48L01TPjwvT2JqPgAAAAAAAAACAAAAAAAAAAADAAAC/QIAAAAEAAEAdgVqhFHcTySSYsoqVUZLKwAAAAAAAAAAAAAAAAAAAAA8T2JqIFJlZklkPSIwIj48TVM+PEkzMiBOPSJNaW5SdW5zcGFjZXMiPjE8L0kzMj48STMyIE49Ik1heFJ1bnNwYWNlcyI+MTwvSTMyPjxPYmogTj0iUFNUaHJlYWRPcHRpb25zIiBSZWZJZD0iMSI+PFROIFJlZklkPSIwIj48VD5TeXN0ZW0uTWFuYWdlbWVudC5BdXRvbWF0aW9uLlJ1bnNwYWNlcy5QU1RocmVhZE9wdGlvbnM8L1Q+PFQ+U3lzdGVtLkVudW08L1Q+PFQ+U3lzdGVtLlZhbHVlVHlwZTwvVD48VD5TeXN0ZW0uT2JqZWN0PC9UPjwvVE4+PFRvU3RyaW5nPkRlZmF1bHQ8L1RvU3RyaW5nPjxJMzI+MDwvSTMyPjwvT2JqPjxPYmogTj0iQXBhcnRtZW50U3RhdGUiIFJlZklkPSIyIj48VE4gUmVmSWQ9IjEiPjxUPlN5c3RlbS5NYW5hZ2VtZW50LkF1dG9tYXRpb24uUnVuc3BhY2VzLkFwYXJ0bWVudFN0YXRlPC9UPjxUPlN5c3RlbS5FbnVtPC9UPjxUPlN5c3RlbS5WYWx1ZVR5cGU8L1Q+PFQ+U3lzdGVtLk9iamVjdDwvVD48L1ROPjxUb1N0cmluZz5VTktOT1dOPC9Ub1N0cmluZz48STMyPjI8L0kzMj48L09iaj48T2JqIE49Ikhvc3RJbmZvIiBSZWZJZD0iMyI+PE1TPjxCIE49Il9pc0hvc3ROdWxsIj50cnVlPC9CPjxCIE49Il9pc0hvc3RVSU51bGwiPnRydWU8L0I+PEIgTj0iX2lzSG9zdFJhd1VJTnVsbCI+dHJ1ZTwvQj48QiBOPSJfdXNlUnVuc3BhY2VIb3N0Ij50cnVlPC9CPjwvTVM+PC9PYmo+PE5pbCBOPSJBcHBsaWNhdGlvbkFyZ3VtZW50cyIgLz48L01TPjwvT2JqPg=="

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// decode is the only value in b; what it came in is checked.
func decode(t *testing.T, b []byte) any {
	t.Helper()
	v, err := clixml.Read(b, clixml.Options{MaxBytes: 1 << 20})
	if err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return v
}

// again is what was parsed of v, written anew.
func again(t *testing.T, m Type, v any) *clixml.Bag {
	t.Helper()
	switch m {
	case SessionCapability:
		c, err := parseCapability(v)
		if err != nil {
			t.Fatal(err)
		}
		return c.bag()
	case InitRunspacePool:
		i, err := parseInit(v)
		if err != nil {
			t.Fatal(err)
		}
		return i.bag()
	case RunspacePoolState:
		return stateOf("RunspaceState", int32(fieldsOf(v).number("RunspaceState", -1)), nil)
	}
	t.Fatal(m)
	return nil
}

// Recorded streams are read and written again byte for byte: fragments, heads, marks and CLIXML.
func TestGoldenStreams(t *testing.T) {
	for name, c := range map[string]struct {
		stream []byte
		ids    []uint64 // of the objects
		types  []Type
		mark   string
	}{
		"Windows capability": {unbase64(t, windowsServer[0]), []uint64{1}, []Type{SessionCapability}, byteOrder},
		"Windows state":      {unbase64(t, windowsServer[1]), []uint64{3}, []Type{RunspacePoolState}, byteOrder},
		"pypsrp creation":    {unbase64(t, pypsrpCreation), []uint64{1, 2}, []Type{SessionCapability, InitRunspacePool}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var id uint64
			out := Outbox{ids: &id}
			var types []Type
			in := inbox{maxObject: MaxObject}
			err := in.add(c.stream, func(raw []byte) error {
				m, err := ParseMessage(raw)
				if err != nil {
					return err
				}
				id = c.ids[len(types)] - 1
				types = append(types, m.Type)
				body, err := clixml.Append([]byte(c.mark), again(t, m.Type, decode(t, m.Data)), outputDepth, nil)
				if err != nil {
					return err
				}
				m.Data = body
				out.add(m.Append(nil))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.types, types); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(hex.Dump(c.stream), hex.Dump(out.Take(1<<20, 0))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A server answers the recorded creation as Windows did.
func TestGoldenAnswer(t *testing.T) {
	s := NewServer(ServerConfig{})
	events, err := s.Read(unbase64(t, pypsrpCreation))
	if err != nil || len(events) != 1 {
		t.Fatal(events, err)
	}
	if o := events[0].(Opened); o.Init.Host != (Host{true, true, true, true}) || o.Capability.Protocol.String() != "2.3" {
		t.Errorf("got %+v", o)
	}
	got := s.Out().Take(1<<20, 0)
	first, last := unbase64(t, windowsServer[0]), unbase64(t, windowsServer[1])
	if !strings.HasPrefix(string(got), string(first)) || !strings.HasSuffix(string(got), string(last)) {
		t.Errorf("got\n%s", hex.Dump(got))
	}
	middle := string(got[len(first)+fragmentHead+messageHead+len(byteOrder) : len(got)-len(last)])
	const want = `<Obj RefId="0"><MS><Obj N="ApplicationPrivateData" RefId="1"><TN RefId="0"><T>System.Management.Automation.PSPrimitiveDictionary</T><T>System.Collections.Hashtable</T><T>System.Object</T></TN>` +
		`<DCT><En><S N="Key">PSVersionTable</S><Obj N="Value" RefId="2"><TNRef RefId="0" /><DCT>` +
		`<En><S N="Key">PSVersion</S><Version N="Value">5.1.17763.1</Version></En><En><S N="Key">PSEdition</S><S N="Value">Desktop</S></En>` +
		`<En><S N="Key">WSManStackVersion</S><Version N="Value">3.0</Version></En>` +
		`<En><S N="Key">PSRemotingProtocolVersion</S><Version N="Value">2.3</Version></En>` +
		`<En><S N="Key">SerializationVersion</S><Version N="Value">1.1.0.1</Version></En></DCT></Obj></En></DCT></Obj></MS></Obj>`
	if diff := cmp.Diff(want, middle); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Our client creates a shell as pypsrp does, but for the order of the pool's id and whose host counts.
func TestClientCreation(t *testing.T) {
	c := NewClient(ClientConfig{Pool: uuid.MustParse("846A0576-DC51-244F-9262-CA2A55464B2B"), Host: Host{true, true, true, true}})
	if err := c.Open(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(hex.Dump(unbase64(t, pypsrpCreation)), hex.Dump(c.Out().Take(1<<20, 0))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestID(t *testing.T) {
	got := NewID(uuid.MustParse("A0480669-31BE-4F8F-A70D-33A70E0898D7"))
	if diff := cmp.Diff("690648a0be318f4fa70d33a70e0898d7", hex.EncodeToString(got[:])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Records are written as PowerShell writes them.
func TestGoldenRecords(t *testing.T) {
	notFound := object.NewError("CommandNotFoundException", object.ObjectNotFound, object.TCommandNotFound, "message")
	notFound.Target = "Get-Nope"
	for name, c := range map[string]struct {
		bag  *clixml.Bag
		want string
	}{
		"verbose": {Note{VerboseMessage, "text"}.bag(), `<Obj RefId="0"><TN RefId="0"><T>System.Management.Automation.VerboseRecord</T><T>System.Management.Automation.InformationalRecord</T><T>System.Object</T></TN>` +
			`<MS><S N="InformationalRecord_Message">text</S><B N="InformationalRecord_SerializeInvocationInfo">false</B></MS></Obj>`},
		"progress": {Progress{Activity: "a", ID: 1, Status: "half", Parent: -1, Percent: 50, Seconds: -1}.bag(),
			`<Obj RefId="0"><MS><S N="Activity">a</S><I32 N="ActivityId">1</I32><S N="StatusDescription">half</S><Nil N="CurrentOperation" /><I32 N="ParentActivityId">-1</I32>` +
				`<I32 N="PercentComplete">50</I32><Obj N="Type" RefId="1"><TN RefId="0"><T>System.Management.Automation.ProgressRecordType</T><T>System.Enum</T><T>System.ValueType</T><T>System.Object</T></TN><ToString>Processing</ToString><I32>0</I32></Obj><I32 N="SecondsRemaining">-1</I32></MS></Obj>`},
		"error": {errorBag(notFound), `<Obj RefId="0"><TN RefId="0"><T>System.Management.Automation.ErrorRecord</T><T>System.Object</T></TN><ToString>message</ToString><MS>` +
			`<Obj N="Exception" RefId="1"><TN RefId="1"><T>System.Management.Automation.CommandNotFoundException</T><T>System.Management.Automation.RuntimeException</T><T>System.SystemException</T><T>System.Exception</T><T>System.Object</T></TN>` +
			`<ToString>System.Management.Automation.CommandNotFoundException: message</ToString><Props><S N="Message">message</S><Nil N="InnerException" /><I32 N="HResult">0</I32></Props></Obj>` +
			`<S N="TargetObject">Get-Nope</S><S N="FullyQualifiedErrorId">CommandNotFoundException</S><Nil N="InvocationInfo" />` +
			`<I32 N="ErrorCategory_Category">13</I32><S N="ErrorCategory_Activity"></S><S N="ErrorCategory_Reason">CommandNotFoundException</S><S N="ErrorCategory_TargetName">Get-Nope</S>` +
			`<S N="ErrorCategory_TargetType">String</S><S N="ErrorCategory_Message">ObjectNotFound: (Get-Nope:String) [], CommandNotFoundException</S><B N="SerializeExtendedInfo">false</B></MS></Obj>`},
		"state": {stateOf("PipelineState", int32(Completed), nil), `<Obj RefId="0"><MS><I32 N="PipelineState">4</I32></MS></Obj>`},
		"count": {countBag(2), `<Obj RefId="0"><TN RefId="0"><T>Selected.Microsoft.PowerShell.Commands.GenericMeasureInfo</T><T>System.Management.Automation.PSCustomObject</T><T>System.Object</T></TN><MS><I32 N="Count">2</I32></MS></Obj>`},
		"call": {HostCall{voidCall, WriteLine, []any{"x"}}.bag(), `<Obj RefId="0"><MS><I64 N="ci">-100</I64><Obj N="mi" RefId="1"><TN RefId="0"><T>System.Management.Automation.Remoting.RemoteHostMethodId</T><T>System.Enum</T><T>System.ValueType</T><T>System.Object</T></TN>` +
			`<ToString>WriteLine2</ToString><I32>16</I32></Obj><Obj N="mp" RefId="2"><TN RefId="1"><T>System.Collections.ArrayList</T><T>System.Object</T></TN><LST><S>x</S></LST></Obj></MS></Obj>`},
	} {
		got, err := clixml.Append(nil, c.bag, outputDepth, nil)
		if diff := cmp.Diff(c.want, string(got)); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

// The command of a proxy, with a parameter, as implicit remoting reads it.
func TestGoldenCommandInfo(t *testing.T) {
	want := CommandInfo{Name: "Get-IntraOrganizationConnector", Module: "Microsoft.Exchange.Management.PowerShell.E2010", Type: CmdletCommand,
		Outputs:    []string{"System.Object"},
		Parameters: []ParameterInfo{{Name: "Identity", Type: "System.String", Aliases: []string{"Id"}}, {Name: "WhatIf", Type: "System.Management.Automation.SwitchParameter", Aliases: []string{}, Switch: true}}}
	text, err := clixml.Append(nil, want.bag(), outputDepth, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		`<MS><S N="Name">Get-IntraOrganizationConnector</S><S N="Namespace">Microsoft.Exchange.Management.PowerShell.E2010</S><S N="HelpUri"></S><Obj N="CommandType" RefId="1"><TN RefId="1"><T>System.Management.Automation.CommandTypes</T><T>System.Enum</T><T>System.ValueType</T><T>System.Object</T></TN><ToString>Cmdlet</ToString><I32>8</I32></Obj><Nil N="ResolvedCommandName" />`,
		`<T>System.Management.Automation.ParameterMetadata</T><T>System.Object</T></TN><ToString>System.Management.Automation.ParameterMetadata</ToString><Props><S N="Name">Identity</S><S N="ParameterType">System.String</S><Obj N="Aliases" `,
		`<B N="IsDynamic">false</B><B N="SwitchParameter">false</B></Props></Obj></En>`,
	} {
		if !strings.Contains(string(text), part) {
			t.Errorf("%s\nlacks\n%s", text, part)
		}
	}
	got, ok := ParseCommandInfo(decode(t, text))
	if diff := cmp.Diff(want, got); diff != "" || !ok {
		t.Errorf("%v (-want +got):\n%s", ok, diff)
	}
	if c, ok := ParseCommandInfo(decode(t, []byte(`<Obj RefId="0"><MS><I32 N="Count">2</I32></MS></Obj>`))); ok {
		t.Errorf("the count is taken for %+v", c)
	}
}

// The arguments of a command as pypsrp sends them: by name, a preference, by position, a switch; and a switch and an
// enumeration as PowerShell does. Another client puts the content of an enumeration before its type names.
func TestCommandArguments(t *testing.T) {
	const text = `<Obj RefId="0"><MS><S N="Cmd">Get-X</S><B N="IsScript">false</B><Nil N="UseLocalScope" />` +
		`<Obj RefId="12" N="MergeMyResult"><I32>2</I32><TN RefId="4"><T>System.Management.Automation.Runspaces.PipelineResultTypes</T><T>System.Enum</T><T>System.ValueType</T><T>System.Object</T></TN><ToString>Error</ToString></Obj><I32 N="MergeToResult">1</I32><Ref RefId="12" N="MergeError" />` +
		`<Obj N="Args" RefId="10"><LST><Obj RefId="11"><MS><S N="N">Identity</S><S N="V">Exchange*</S></MS></Obj><Obj RefId="15"><MS><S N="N">-ErrorAction:</S><S N="V">Stop</S></MS></Obj>` +
		`<Obj RefId="13"><MS><Nil N="N"/><S N="V">pos1</S></MS></Obj><Obj RefId="14"><MS><S N="N">Verbose</S><B N="V">true</B></MS></Obj>` +
		`<Obj RefId="16"><MS><S N="N">Force</S><Obj N="V" RefId="17"><TN RefId="7"><T>System.Management.Automation.SwitchParameter</T><T>System.ValueType</T><T>System.Object</T></TN><ToString>True</ToString><Props><B N="IsPresent">true</B></Props></Obj></MS></Obj>` +
		`<Obj RefId="18"><MS><S N="N">-All</S><Nil N="V"/></MS></Obj></LST></Obj></MS></Obj>`
	want := Command{Name: "Get-X", Merge: Merge{My: ErrorStream, To: OutputStream, Error: ErrorStream}, Arguments: []Argument{
		{Name: "Identity", Value: "Exchange*"}, {Name: "ErrorAction", Value: "Stop"}, {Value: "pos1"}, {Name: "Verbose", Value: true}, {Name: "Force", Value: object.Switch(true)},
		{Name: "All", Alone: true}}}
	if diff := cmp.Diff(want, parseCommand(decode(t, []byte(text)))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
