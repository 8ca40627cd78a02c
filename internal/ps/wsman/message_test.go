package wsman_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"busybridge/internal/ps/wsman"
)

const limit = 1 << 20

const spaces = `xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell" xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing" ` +
	`xmlns:wsman="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:wsmv="http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"`

// pypsrp is a request as pypsrp writes it.
func pypsrp(action, more, body string) string {
	return `<s:Envelope ` + spaces + `><s:Header><wsa:Action s:mustUnderstand="true">` + action + `</wsa:Action>` +
		`<wsmv:DataLocale s:mustUnderstand="false" xml:lang="en-US" /><wsman:Locale s:mustUnderstand="false" xml:lang="en-US" />` +
		`<wsman:MaxEnvelopeSize s:mustUnderstand="true">153600</wsman:MaxEnvelopeSize><wsa:MessageID>uuid:45E2</wsa:MessageID><wsman:OperationTimeout>PT20S</wsman:OperationTimeout>` +
		`<wsa:ReplyTo><wsa:Address s:mustUnderstand="true">http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</wsa:Address></wsa:ReplyTo>` +
		`<wsman:ResourceURI s:mustUnderstand="true">http://schemas.microsoft.com/powershell/Microsoft.Exchange</wsman:ResourceURI>` +
		`<wsmv:SessionId s:mustUnderstand="false">uuid:05BC</wsmv:SessionId><wsa:To>https://mail.contoso.com/powershell-liveid/</wsa:To>` + more + `</s:Header><s:Body>` + body + `</s:Body></s:Envelope>`
}

// request is what is the same in each of them.
func request(action wsman.Action, body wsman.Body) *wsman.Message {
	return &wsman.Message{Action: action, To: "https://mail.contoso.com/powershell-liveid/", ID: "uuid:45E2", Resource: wsman.ResourcePowerShell + "Microsoft.Exchange",
		MaxEnvelope: 153600, Timeout: 20 * time.Second, Locale: "en-US", DataLocale: "en-US", Session: "uuid:05BC", Body: body}
}

const shellID = "A0480669-31BE-4F8F-A70D-33A70E0898D7"

const selector = `<wsman:SelectorSet><wsman:Selector Name="ShellId">` + shellID + `</wsman:Selector></wsman:SelectorSet>`

// Requests of pypsrp and of Windows are read, and what we write of them is read as the same.
func TestRequests(t *testing.T) {
	with := func(m *wsman.Message, change func(*wsman.Message)) *wsman.Message {
		change(m)
		return m
	}
	of := func(m *wsman.Message) *wsman.Message {
		m.ShellID = shellID
		return m
	}
	for _, c := range []struct {
		name, text string
		want       *wsman.Message
	}{
		{"identify", `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header/><s:Body><i:Identify xmlns:i="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"/></s:Body></s:Envelope>`, &wsman.Message{}},
		{"create", pypsrp(string(wsman.Create), `<wsman:OptionSet s:mustUnderstand="true"><wsman:Option Name="protocolversion" MustComply="true">2.3</wsman:Option></wsman:OptionSet>`,
			`<rsp:Shell ShellId="`+shellID+`"><rsp:InputStreams>stdin pr</rsp:InputStreams><rsp:OutputStreams>stdout</rsp:OutputStreams><creationXml xmlns="http://schemas.microsoft.com/powershell">AAEC</creationXml></rsp:Shell>`),
			with(request(wsman.Create, &wsman.Shell{ID: shellID, Input: "stdin pr", Output: "stdout", Creation: []byte{0, 1, 2}}), func(m *wsman.Message) {
				m.Options = []wsman.Option{{Name: "protocolversion", Value: "2.3", MustComply: true}}
			})},
		{"create, from Windows", pypsrp(string(wsman.Create), `<rsp:CompressionType s:mustUnderstand="true">xpress</rsp:CompressionType><wsmv:SequenceId s:mustUnderstand="false">1</wsmv:SequenceId><wsmv:OperationID s:mustUnderstand="false">uuid:77</wsmv:OperationID>`,
			`<rsp:Shell Name="Session1"><rsp:IdleTimeOut>PT1800.000S</rsp:IdleTimeOut><rsp:InputStreams>stdin pr</rsp:InputStreams><rsp:OutputStreams>stdout</rsp:OutputStreams></rsp:Shell>`),
			with(request(wsman.Create, &wsman.Shell{Name: "Session1", Idle: 30 * time.Minute, Input: "stdin pr", Output: "stdout"}), func(m *wsman.Message) {
				m.Compressed, m.Operation = true, "uuid:77"
			})},
		{"command", pypsrp(string(wsman.Command), selector, `<rsp:CommandLine CommandId="05999C73"><rsp:Command /><rsp:Arguments>AAEC
 Aw==</rsp:Arguments></rsp:CommandLine>`), of(request(wsman.Command, &wsman.CommandLine{ID: "05999C73", Arguments: []byte{0, 1, 2, 3}}))},
		{"receive", pypsrp(string(wsman.Receive), `<wsman:OptionSet s:mustUnderstand="true"><wsman:Option Name="WSMAN_CMDSHELL_OPTION_KEEPALIVE">True</wsman:Option></wsman:OptionSet>`+selector,
			`<rsp:Receive><rsp:DesiredStream CommandId="05999C73">stdout</rsp:DesiredStream></rsp:Receive>`),
			with(of(request(wsman.Receive, &wsman.Desired{Names: []string{"stdout"}, Command: "05999C73"})), func(m *wsman.Message) {
				m.Options = []wsman.Option{{Name: wsman.OptionKeepAlive, Value: "True"}}
			})},
		{"send", pypsrp(string(wsman.Send), selector, `<rsp:Send><rsp:Stream Name="pr" CommandId="05999C73">AAEC</rsp:Stream><rsp:Stream Name="stdin" End="true" /></rsp:Send>`),
			of(request(wsman.Send, &wsman.Sent{Streams: []wsman.Stream{{Name: "pr", Command: "05999C73", Data: []byte{0, 1, 2}}, {Name: "stdin", End: true}}}))},
		{"signal", pypsrp(string(wsman.Signal), selector, `<rsp:Signal CommandId="05999C73"><rsp:Code>powershell/signal/crtl_c</rsp:Code></rsp:Signal>`), of(request(wsman.Signal, &wsman.Signaled{Command: "05999C73", Code: wsman.SignalStop}))},
		{"get", pypsrp(string(wsman.Get), selector, ""), of(request(wsman.Get, nil))},
		{"delete", pypsrp(string(wsman.Delete), selector, ""), of(request(wsman.Delete, nil))},
		{"disconnect", pypsrp(string(wsman.Disconnect), selector, "<rsp:Disconnect />"), of(request(wsman.Disconnect, &wsman.Leave{}))},
		{"disconnect, with a time-out", pypsrp(string(wsman.Disconnect), selector, "<rsp:Disconnect><rsp:IdleTimeOut>PT3600.000S</rsp:IdleTimeOut></rsp:Disconnect>"), of(request(wsman.Disconnect, &wsman.Leave{Idle: time.Hour}))},
		{"reconnect", pypsrp(string(wsman.Reconnect), selector, ""), of(request(wsman.Reconnect, &wsman.Return{}))},
		{"reconnect a command", pypsrp(string(wsman.Reconnect), selector, `<rsp:Reconnect CommandId="05999C73"/>`), of(request(wsman.Reconnect, &wsman.Return{Command: "05999C73"}))},
	} {
		t.Run(c.name, func(t *testing.T) {
			wide := []byte{}
			for _, u := range utf16.Encode([]rune(c.text)) {
				wide = append(wide, byte(u), byte(u>>8))
			}
			for form, text := range map[string][]byte{"theirs": []byte(c.text), "theirs in UTF-16": wide, "ours": c.want.Append(nil)} {
				got, err := wsman.Parse(text, limit)
				if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
					t.Errorf("%s: %v (-want +got):\n%s", form, err, diff)
				}
			}
		})
	}
}

// The answers to Create and Receive are what Windows answers, but for what tells about the server.
func TestAnswers(t *testing.T) {
	const head = `<s:Envelope xml:lang="en-US" xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:x="http://schemas.xmlsoap.org/ws/2004/09/transfer" ` +
		`xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell" xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd">`
	answer := func(action, body string) string {
		return head + `<s:Header><a:Action>` + action + `</a:Action><a:MessageID>uuid:0015</a:MessageID><a:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:To><a:RelatesTo>uuid:45E2</a:RelatesTo></s:Header><s:Body>` + body + `</s:Body></s:Envelope>`
	}
	const shell = `<rsp:Shell><rsp:ShellId>` + shellID + `</rsp:ShellId><rsp:ResourceUri>http://schemas.microsoft.com/powershell/Microsoft.Exchange</rsp:ResourceUri><rsp:Owner>admin@contoso.com</rsp:Owner><rsp:ClientIP>192.0.2.1</rsp:ClientIP>` +
		`<rsp:ProcessId>0</rsp:ProcessId><rsp:IdleTimeOut>PT900.000S</rsp:IdleTimeOut><rsp:InputStreams>stdin pr</rsp:InputStreams><rsp:OutputStreams>stdout</rsp:OutputStreams><rsp:MaxIdleTimeOut>PT900.000S</rsp:MaxIdleTimeOut>` +
		`<rsp:Locale>en-US</rsp:Locale><rsp:DataLocale>en-US</rsp:DataLocale><rsp:CompressionMode>NoCompression</rsp:CompressionMode><rsp:ProfileLoaded>No</rsp:ProfileLoaded><rsp:Encoding>UTF8</rsp:Encoding>` +
		`<rsp:BufferMode>Block</rsp:BufferMode><rsp:State>Connected</rsp:State><rsp:ShellRunTime>PT61.500S</rsp:ShellRunTime><rsp:ShellInactivity>PT0.000S</rsp:ShellInactivity></rsp:Shell>`
	state := wsman.Shell{ID: shellID, Resource: wsman.ResourcePowerShell + "Microsoft.Exchange", Owner: "admin@contoso.com", ClientIP: "192.0.2.1", Idle: 15 * time.Minute,
		Input: "stdin pr", Output: "stdout", State: "Connected", Age: 61500 * time.Millisecond}
	for _, c := range []struct {
		name string
		to   wsman.Action
		body wsman.Body
		want string
	}{
		{"create", wsman.Create, &wsman.Created{Address: "https://mail.contoso.com/powershell", Shell: state}, answer(string(wsman.Create)+"Response",
			`<x:ResourceCreated><a:Address>https://mail.contoso.com/powershell</a:Address><a:ReferenceParameters><w:ResourceURI>http://schemas.microsoft.com/powershell/Microsoft.Exchange</w:ResourceURI><w:SelectorSet><w:Selector Name="ShellId">`+shellID+`</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>`+shell)},
		{"get", wsman.Get, &state, answer(string(wsman.Get)+"Response", shell)},
		{"command", wsman.Command, &wsman.Started{ID: "05999C73"}, answer(string(wsman.Command)+"Response", `<rsp:CommandResponse><rsp:CommandId>05999C73</rsp:CommandId></rsp:CommandResponse>`)},
		{"receive", wsman.Receive, &wsman.Received{Streams: []wsman.Stream{{Name: "stdout", Command: "05999C73", Data: []byte{0, 1, 2}}}, Command: "05999C73", State: wsman.CommandDone},
			answer(string(wsman.Receive)+"Response", `<rsp:ReceiveResponse><rsp:Stream Name="stdout" CommandId="05999C73">AAEC</rsp:Stream><rsp:CommandState CommandId="05999C73" State="http://schemas.microsoft.com/wbem/wsman/1/windows/shell/CommandState/Done"><rsp:ExitCode>0</rsp:ExitCode></rsp:CommandState></rsp:ReceiveResponse>`)},
		{"send", wsman.Send, wsman.SendDone, answer(string(wsman.Send)+"Response", `<rsp:SendResponse></rsp:SendResponse>`)},
		{"signal", wsman.Signal, wsman.SignalDone, answer(string(wsman.Signal)+"Response", `<rsp:SignalResponse></rsp:SignalResponse>`)},
		{"delete", wsman.Delete, nil, answer(string(wsman.Delete)+"Response", "")},
		{"disconnect", wsman.Disconnect, nil, answer(string(wsman.Disconnect)+"Response", "")},
		{"reconnect", wsman.Reconnect, nil, answer(string(wsman.Reconnect)+"Response", "")},
		{"time-out", wsman.Receive, wsman.TimedOut.Fault(""), answer("http://schemas.dmtf.org/wbem/wsman/1/wsman/fault",
			`<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>w:TimedOut</s:Value></s:Subcode></s:Code><s:Reason><s:Text xml:lang="en-US">The WS-Management service cannot complete the operation within the time specified in OperationTimeout.</s:Text></s:Reason>`+
				`<s:Detail><f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="2150858793"><f:Message>The WS-Management service cannot complete the operation within the time specified in OperationTimeout.</f:Message></f:WSManFault></s:Detail></s:Fault>`)},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := request(c.to, nil).Reply("uuid:0015", c.body)
			got := m.Append(nil)
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			back, err := wsman.Parse(got, limit)
			if diff := cmp.Diff(m, back, cmpopts.EquateEmpty(), cmp.AllowUnexported(wsman.Kind{})); diff != "" || err != nil {
				t.Errorf("read again: %v (-want +got):\n%s", err, diff)
			}
		})
	}
	id := (&wsman.Message{}).Reply("uuid:1", &wsman.Identity{Vendor: "busybridge", Version: "OS: 0.0.0 SP: 0.0 Stack: 3.0"})
	got, err := wsman.Parse(id.Append(nil), limit)
	if diff := cmp.Diff(id.Body, got.Body); diff != "" || err != nil || !bytes.Contains(id.Append(nil), []byte("<s:Header></s:Header>")) {
		t.Errorf("identify: %v (-want +got):\n%s", err, diff)
	}
}

// Requests that cannot be answered say why, by the number that clients go by.
func TestRefuses(t *testing.T) {
	deep := strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100)
	for _, c := range []struct {
		name, text string
		kind       wsman.Kind
		header     bool // the answer can relate to the request
	}{
		{"nothing", "", wsman.Invalid, false},
		{"no XML", "GET / HTTP/1.1", wsman.Invalid, false},
		{"an entity", `<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>`, wsman.Invalid, false},
		{"SOAP 1.1", `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body/></s:Envelope>`, wsman.Invalid, false},
		{"too deep", pypsrp(string(wsman.Send), "", deep), wsman.Invalid, false},
		{"too large", pypsrp(string(wsman.Send), "", strings.Repeat(" ", limit)), wsman.TooLarge, false},
		{"unknown header", pypsrp(string(wsman.Delete), `<b:Magic xmlns:b="urn:b" s:mustUnderstand="1">x</b:Magic>`, ""), wsman.MustUnderstand, true},
		{"unknown action", pypsrp("urn:dance", "", ""), wsman.UnknownAction, true},
		{"connect", pypsrp(string(wsman.Connect), "", "<rsp:Connect/>"), wsman.Unsupported, true},
		{"no disconnect", pypsrp(string(wsman.Disconnect), "", ""), wsman.Invalid, true},
		{"a wait that is none", pypsrp(string(wsman.Disconnect), "", "<rsp:Disconnect><rsp:IdleTimeOut>-PT1S</rsp:IdleTimeOut></rsp:Disconnect>"), wsman.Invalid, true},
		{"enumerate", pypsrp("http://schemas.xmlsoap.org/ws/2004/09/enumeration/Enumerate", "", ""), wsman.UnknownAction, true},
		{"another compression", pypsrp(string(wsman.Create), `<rsp:CompressionType s:mustUnderstand="true">zip</rsp:CompressionType>`, "<rsp:Shell/>"), wsman.Unsupported, true},
		{"no shell", pypsrp(string(wsman.Create), "", ""), wsman.Invalid, true},
		{"no command", pypsrp(string(wsman.Command), "", "<rsp:Shell/>"), wsman.Invalid, true},
		{"no base64", pypsrp(string(wsman.Command), "", "<rsp:CommandLine><rsp:Arguments>?</rsp:Arguments></rsp:CommandLine>"), wsman.Invalid, true},
		{"no duration", strings.Replace(pypsrp(string(wsman.Delete), "", ""), "PT20S", "soon", 1), wsman.Invalid, true},
		{"no size", strings.Replace(pypsrp(string(wsman.Delete), "", ""), "153600", "-1", 1), wsman.Invalid, true},
		{"a long id", strings.Replace(pypsrp(string(wsman.Delete), "", ""), "uuid:45E2", strings.Repeat("x", 2000), 1), wsman.Invalid, true},
		{"many streams", pypsrp(string(wsman.Send), "", "<rsp:Send>"+strings.Repeat(`<rsp:Stream Name="stdin"/>`, 100)+"</rsp:Send>"), wsman.Invalid, true},
	} {
		m, err := wsman.Parse([]byte(c.text), limit)
		f, ok := errors.AsType[*wsman.Fault](err)
		if !ok || !f.Of(c.kind) || (m != nil) != c.header {
			t.Errorf("%s: %v, message %v", c.name, err, m)
			continue
		}
		if m == nil {
			m = &wsman.Message{}
		}
		back, err := wsman.Parse(m.Reply("uuid:1", f).Append(nil), limit)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if diff := cmp.Diff(f, back.Body, cmp.AllowUnexported(wsman.Kind{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestSignals(t *testing.T) {
	for code, want := range map[string]string{
		"powershell/signal/crtl_c": "stop", "powershell/signal/ctrl_c": "stop", "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/signal/ctrl_c": "stop",
		"http://schemas.microsoft.com/wbem/wsman/1/windows/shell/signal/Terminate": "end", "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/signal/TERMINATE": "end",
		"powershell/signal/dance": "",
	} {
		got := ""
		switch {
		case wsman.IsStop(code):
			got = "stop"
		case wsman.IsTerminate(code):
			got = "end"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", code, got, want)
		}
	}
}

// An answer that is filled as Room allows has the size that was asked for, at most 3 bytes less, and no byte more.
func TestRoom(t *testing.T) {
	for _, size := range []int{2048, 2049, 2050, 2051, 32 << 10, 150 << 10, 500 << 10} {
		r := &wsman.Received{Streams: []wsman.Stream{{Name: "stdout", Command: shellID}}, Command: shellID, State: wsman.CommandRunning}
		m := request(wsman.Receive, nil).Reply("uuid:0015", r)
		r.Streams[0].Data = make([]byte, m.Room(size))
		if n := len(m.Append(nil)); n > size || n < size-3 {
			t.Errorf("%d bytes of %d", n, size)
		}
	}
	if n := request(wsman.Receive, nil).Reply("uuid:0015", nil).Room(100); n != -1 {
		t.Errorf("there is room for %d bytes in too small an envelope", n)
	}
}

// What is read is written, and read the same again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(pypsrp(string(wsman.Send), selector, `<rsp:Send><rsp:Stream Name="stdin">AAEC</rsp:Stream></rsp:Send>`)))
	f.Add([]byte(pypsrp(string(wsman.Create), "", `<rsp:Shell><rsp:InputStreams>stdin</rsp:InputStreams><creationXml xmlns="http://schemas.microsoft.com/powershell">`+base64.StdEncoding.EncodeToString([]byte("x"))+`</creationXml></rsp:Shell>`)))
	f.Add(request(wsman.Receive, nil).Reply("uuid:1", &wsman.Received{Streams: []wsman.Stream{{Name: "stdout"}}, State: wsman.CommandDone}).Append(nil))
	f.Add(request(wsman.Create, nil).Reply("uuid:1", &wsman.Created{Shell: wsman.Shell{ID: shellID, State: "Connected"}}).Append(nil))
	f.Add(request(wsman.Receive, nil).Reply("uuid:1", wsman.TimedOut.Fault("")).Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := wsman.Parse(data, 1<<16)
		if err != nil {
			if _, ok := errors.AsType[*wsman.Fault](err); !ok {
				t.Errorf("%v cannot be answered", err)
			}
			return
		}
		first := m.Append(nil)
		back, err := wsman.Parse(first, 1<<20)
		if err != nil {
			t.Fatalf("%s: %v", first, err)
		}
		if second := back.Append(nil); !bytes.Equal(first, second) {
			t.Errorf("%s\nbecomes\n%s", first, second)
		}
	})
}
