package psrp_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"busybridge/internal/ps/clixml"
	"busybridge/internal/ps/object"
	"busybridge/internal/ps/psrp"
)

// pass moves all that waits in o to read and returns what happened there.
func pass(t *testing.T, o *psrp.Outbox, read func([]byte) ([]psrp.Event, error)) []psrp.Event {
	t.Helper()
	var all []psrp.Event
	for o.Len() > 0 {
		events, err := read(o.Take(300, 0))
		if err != nil {
			t.Fatal(err)
		}
		o.Commit()
		all = append(all, events...)
	}
	return all
}

func opened(t *testing.T, cfg psrp.ClientConfig) (*psrp.Client, *psrp.Server) {
	t.Helper()
	cfg.Pool = uuid.New()
	c, s := psrp.NewClient(cfg), psrp.NewServer(psrp.ServerConfig{})
	if err := c.Open(); err != nil {
		t.Fatal(err)
	}
	if e := pass(t, c.Out(), s.Read); len(e) != 1 || s.State() != psrp.PoolOpened {
		t.Fatalf("server: %v", e)
	}
	if e := pass(t, s.Out(), c.Read); len(e) != 1 || c.State() != psrp.PoolOpened {
		t.Fatalf("client: %v", e)
	}
	return c, s
}

// start begins p on both sides.
func start(t *testing.T, c *psrp.Client, s *psrp.Server, p *psrp.Pipeline) (*psrp.Run, *psrp.Job) {
	t.Helper()
	run, err := c.Start(uuid.New(), p)
	if err != nil {
		t.Fatal(err)
	}
	job := s.Job()
	if diff := gocmp.Diff([]psrp.Event{psrp.Started{}}, pass(t, run.Out(), job.Read)); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	return run, job
}

func one(name string, args ...psrp.Argument) *psrp.Pipeline {
	return &psrp.Pipeline{NoInput: true, Host: psrp.Host{OfPool: true}, Statements: [][]psrp.Command{{{Name: name, Arguments: args}}}}
}

// A pipeline arrives as it was sent: statements, merges, arguments.
func TestPipelineArrives(t *testing.T) {
	c, s := opened(t, psrp.ClientConfig{})
	want := &psrp.Pipeline{Nested: true, AddToHistory: true, History: "Get-A | Set-B; Get-C", Host: psrp.Host{Null: true}, Statements: [][]psrp.Command{
		{{Name: "Get-A", Arguments: []psrp.Argument{{Name: "Identity", Value: "x"}, {Value: int32(3)}, {Name: "All", Value: true}}}, {Name: "Set-B", Merge: psrp.Merge{Error: psrp.OutputStream, Information: psrp.NullStream}}},
		{{Name: "{ 1 + 1 }", Script: true}},
	}}
	_, job := start(t, c, s, want)
	if diff := gocmp.Diff(want, job.Pipeline); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// All streams arrive in order and as they were sent; then the end.
func TestStreams(t *testing.T) {
	c, s := opened(t, psrp.ClientConfig{Host: psrp.Host{Null: true}})
	run, job := start(t, c, s, one("Get-Everything"))
	thing := object.New("Contoso.Thing", "System.Object").Add("Name", "a").Add("Inner", object.New("Contoso.Inner").Add("X", int32(1))).Add("List", object.Strings("x", "y"))
	thing.Text = func() string { return "thing" }
	rec := object.NewError("Wrong,Get-Everything", object.InvalidData, object.TFormatException, "it is wrong")
	rec.Activity, rec.Target, rec.Details = "Get-Everything", "x", "look at it"
	at := time.Date(2014, 5, 1, 12, 0, 0, 0, time.UTC)
	for i, err := range []error{
		job.Output(thing), job.Output(nil), job.Note(psrp.Note{Kind: psrp.VerboseMessage, Text: "v"}), job.Note(psrp.Note{Kind: psrp.WarningMessage, Text: "w"}),
		job.Note(psrp.Note{Kind: psrp.DebugMessage, Text: "d"}), job.Progress(psrp.Progress{Activity: "a", Status: "s", Parent: -1, Percent: 100, Seconds: -1, Done: true}),
		job.Information(psrp.Information{Data: "i", Source: "here", At: at, Tags: []string{"PSHOST"}, User: "u", Computer: "c", Process: 7}), job.Error(rec),
		job.End(psrp.Failed, object.NewError("CommandNotFoundException", object.ObjectNotFound, object.TCommandNotFound, "no such command")),
	} {
		if err != nil {
			t.Fatal(i, err)
		}
	}
	if err := job.Output(1); !errors.Is(err, psrp.ErrEnded) {
		t.Errorf("an output after the end: %v", err)
	}
	events := pass(t, job.Out(), run.Read)
	show := func(v any) string {
		text, err := clixml.Append(nil, v, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var got []string
	for _, e := range events {
		switch e := e.(type) {
		case psrp.Output:
			got = append(got, "output "+show(e.Value))
		case psrp.Failure:
			r := e.Record
			got = append(got, fmt.Sprintf("error %s | %s | %s | %s | %s | %v %v", r.Message(), r.Exception.Message, r.ID, r.CategoryInfo(), e.Classes[0], r.Remote, r.Exception.Type()))
		case psrp.Finished:
			got = append(got, fmt.Sprintf("finished %d %s %s", e.State, e.Record.Message(), e.Classes[0]))
		default:
			got = append(got, fmt.Sprintf("%T %+v", e, e))
		}
	}
	want := []string{
		`output <Obj RefId="0"><TN RefId="0"><T>Deserialized.Contoso.Thing</T><T>Deserialized.System.Object</T></TN><ToString>thing</ToString><Props><S N="Name">a</S><S N="Inner">Contoso.Inner</S>` +
			`<Obj N="List" RefId="1"><TN RefId="1"><T>System.Collections.ArrayList</T><T>System.Object</T></TN><LST><S>x</S><S>y</S></LST></Obj></Props></Obj>`,
		"output <Nil />",
		"psrp.Note {Kind:VERBOSE_RECORD Text:v}", "psrp.Note {Kind:WARNING_RECORD Text:w}", "psrp.Note {Kind:DEBUG_RECORD Text:d}",
		"psrp.Progress {Activity:a Status:s Operation: ID:0 Parent:-1 Percent:100 Seconds:-1 Done:true}",
		"psrp.Information {Data:i Source:here User:u Computer:c At:2014-05-01 12:00:00 +0000 UTC Tags:[PSHOST] Process:7}",
		"error look at it | it is wrong | Wrong,Get-Everything | InvalidData: (x:String) [Get-Everything], FormatException | System.FormatException | true System.Management.Automation.RemoteException",
		"finished 5 no such command System.Management.Automation.CommandNotFoundException",
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if run.State() != psrp.Failed || job.State() != psrp.Failed {
		t.Errorf("states %v, %v", run.State(), job.State())
	}
	if err := run.Input("late"); !errors.Is(err, psrp.ErrEnded) {
		t.Errorf("input after the end: %v", err)
	}
}

// An id is taken while its pipeline runs, and free again afterwards.
func TestIDsAreFreeAgain(t *testing.T) {
	c, s := opened(t, psrp.ClientConfig{})
	for i := range 2 {
		run, err := c.Start(uuid.UUID{1}, one("Get-X"))
		if err != nil {
			t.Fatal(i, err)
		}
		if _, err := c.Start(uuid.UUID{1}, one("Get-Y")); err == nil {
			t.Errorf("%d: the id is given twice", i)
		}
		job := s.Job()
		pass(t, run.Out(), job.Read)
		if err := job.End(psrp.Completed, nil); err != nil {
			t.Fatal(i, err)
		}
		pass(t, job.Out(), run.Read)
	}
}

// A secret waits for the key of the session, crosses encrypted in both directions, and a credential with it.
func TestSecrets(t *testing.T) {
	c, s := opened(t, psrp.ClientConfig{})
	cred := &object.Credential{UserName: "admin@contoso.com", Password: object.NewSecureString("päss\U0001F511word")}
	p := one("Set-Secret", psrp.Argument{Name: "Credential", Value: cred}, psrp.Argument{Name: "Password", Value: cred.Password})
	if _, err := c.Start(uuid.New(), p); !errors.Is(err, clixml.ErrNoKey) {
		t.Fatalf("without a key: %v", err)
	}
	if err := s.RequestKey(); err != nil { // the client answers by itself
		t.Fatal(err)
	}
	pass(t, s.Out(), c.Read)
	if diff := gocmp.Diff([]psrp.Event{psrp.Keyed{}}, pass(t, c.Out(), s.Read)); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff([]psrp.Event{psrp.Keyed{}}, pass(t, s.Out(), c.Read)); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	run, err := c.Start(uuid.New(), p)
	if err != nil {
		t.Fatal(err)
	}
	wire := run.Out().Take(1<<20, 0)
	if bytes.Contains(wire, []byte("päss")) || !bytes.Contains(wire, []byte(`<SS N="Password">`)) {
		t.Errorf("on the wire: %s", wire)
	}
	job := s.Job()
	pass(t, run.Out(), job.Read)
	args := job.Pipeline.Statements[0][0].Arguments
	got := args[0].Value.(*object.Credential)
	if got.UserName != cred.UserName || got.Password.Reveal() != cred.Password.Reveal() || args[1].Value.(*object.SecureString).Reveal() != cred.Password.Reveal() {
		t.Errorf("got %v", args)
	}
	if err := job.Output(args[1].Value); err != nil {
		t.Fatal(err)
	}
	back := pass(t, job.Out(), run.Read)
	if back[0].(psrp.Output).Value.(*object.SecureString).Reveal() != cred.Password.Reveal() {
		t.Error("the secret did not come back")
	}
}

// A question goes to the host of the client and its answer comes by the stream for that.
func TestHostCalls(t *testing.T) {
	c, s := opened(t, psrp.ClientConfig{})
	run, job := start(t, c, s, one("Remove-X"))
	id, err := job.Call(psrp.PromptForChoice, "Confirm", "Sure?", psrp.Choices([]string{"&Yes", "&No"}, []string{"do it", "do not"}), int32(1))
	if err != nil || id == 0 {
		t.Fatal(id, err)
	}
	if id, err := job.Call(psrp.WriteLine, "done"); id != 0 || err != nil {
		t.Errorf("a call without an answer: %d, %v", id, err)
	}
	events := pass(t, job.Out(), run.Read)
	ask := events[0].(psrp.HostCall)
	choice := ask.Arguments[2].(*object.List).Items[1].(*object.Object)
	label, _ := choice.Get("label")
	if ask.ID != id || ask.Method != psrp.PromptForChoice || label != "&No" || ask.Arguments[3] != int32(1) {
		t.Errorf("got %+v", ask)
	}
	if write := events[1].(psrp.HostCall); write.Method != psrp.WriteLine || write.Arguments[0] != "done" {
		t.Errorf("got %+v", write)
	}
	for _, want := range []psrp.HostReply{{ID: id, Method: psrp.PromptForChoice, Value: int32(0)}, {ID: id, Method: psrp.PromptForChoice, Err: object.NewError("Cancelled", object.OperationStopped, nil, "cancelled")}} {
		out, err := run.Reply(want)
		if err != nil {
			t.Fatal(err)
		}
		got := pass(t, out, s.ReadReplies)[0].(psrp.HostReply)
		if got.ID != want.ID || got.Value != want.Value || (want.Err == nil) != (got.Err == nil) || got.Err != nil && got.Err.ID != want.Err.ID {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	out, err := c.Reply(psrp.HostReply{ID: 3, Value: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if got := pass(t, out, s.ReadReplies); got[0].(psrp.HostReply).Value != "x" {
		t.Errorf("got %+v", got)
	}
}

func TestAvailability(t *testing.T) {
	c, s := opened(t, psrp.ClientConfig{})
	ask := func() any {
		id, err := c.Availability()
		if err != nil {
			t.Fatal(err)
		}
		pass(t, c.Out(), s.Read)
		a := pass(t, s.Out(), c.Read)[0].(psrp.Available)
		if a.ID != id {
			t.Errorf("answer to %d for %d", a.ID, id)
		}
		return a.Answer
	}
	if got := ask(); got != int64(1) {
		t.Errorf("got %v", got)
	}
	_, job := start(t, c, s, one("Get-X"))
	if got := ask(); got != int64(0) {
		t.Errorf("while a pipeline runs: %v", got)
	}
	if err := job.End(psrp.Completed, nil); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != int64(1) {
		t.Errorf("after it: %v", got)
	}
}

func TestQuery(t *testing.T) {
	c, s := opened(t, psrp.ClientConfig{})
	run, err := c.Ask(uuid.New(), psrp.Query{Names: []string{"*-Intra*"}})
	if err != nil {
		t.Fatal(err)
	}
	job := s.Job()
	pass(t, run.Out(), job.Read)
	if diff := gocmp.Diff(&psrp.Query{Names: []string{"*-Intra*"}, Types: 399, Modules: []string{}}, job.Query); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want := []psrp.CommandInfo{{Name: "Get-A", Type: psrp.CmdletCommand, Outputs: []string{}}, {Name: "a", Type: psrp.AliasCommand, Resolved: "Get-A", Outputs: []string{}}}
	if err := errors.Join(job.Commands(want), job.End(psrp.Completed, nil)); err != nil {
		t.Fatal(err)
	}
	var got []psrp.CommandInfo
	for _, e := range pass(t, job.Out(), run.Read) {
		if o, ok := e.(psrp.Output); ok {
			if info, ok := psrp.ParseCommandInfo(o.Value); ok {
				got = append(got, info)
			}
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A pool that closes stops its pipelines, and both sides know.
func TestClose(t *testing.T) {
	c, s := opened(t, psrp.ClientConfig{})
	run, job := start(t, c, s, one("Get-X"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if f := pass(t, job.Out(), run.Read)[0].(psrp.Finished); f.State != psrp.Stopped || f.Record.ID != "PipelineStopped" {
		t.Errorf("got %+v", f)
	}
	if diff := gocmp.Diff([]psrp.Event{psrp.Ended{State: psrp.PoolClosed}}, pass(t, s.Out(), c.Read)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := c.Start(uuid.New(), one("Get-Y")); !errors.Is(err, psrp.ErrEnded) {
		t.Errorf("start: %v", err)
	}
	if _, err := s.Job().Read([]byte("x")); !errors.Is(err, psrp.ErrEnded) {
		t.Errorf("read: %v", err)
	}
}

// blob is messages in one fragment each.
func blob(messages ...psrp.Message) []byte {
	var b []byte
	for i, m := range messages {
		data := m.Append(nil)
		b = binary.BigEndian.AppendUint64(b, uint64(i+1))
		b = binary.BigEndian.AppendUint64(b, 0)
		b = binary.BigEndian.AppendUint32(append(b, 3), uint32(len(data)))
		b = append(b, data...)
	}
	return b
}

const (
	capability = `<Obj RefId="0"><MS><Version N="protocolversion">2.3</Version><Version N="PSVersion">2.0</Version><Version N="SerializationVersion">1.1.0.1</Version></MS></Obj>`
	initPool   = `<Obj RefId="0"><MS><I32 N="MinRunspaces">1</I32><I32 N="MaxRunspaces">1</I32></MS></Obj>`
	create     = `<Obj RefId="0"><MS><B N="NoInput">false</B><Obj N="PowerShell" RefId="1"><MS><Obj N="Cmds" RefId="2"><LST><Obj RefId="3"><MS><S N="Cmd">Get-X</S></MS></Obj></LST></Obj></MS></Obj></MS></Obj>`
)

func to(t psrp.Type, pipeline byte, data string) psrp.Message {
	return psrp.Message{ToServer: true, Type: t, Pool: psrp.ID{9}, Pipeline: psrp.ID{pipeline}, Data: []byte(data)}
}

// What does not come in its turn breaks the pool, whose client is told.
func TestServerRefuses(t *testing.T) {
	hello := []psrp.Message{to(psrp.SessionCapability, 0, capability), to(psrp.InitRunspacePool, 0, initPool)}
	other := to(psrp.GetAvailableRunspaces, 0, "<Nil/>")
	other.Pool = psrp.ID{8}
	reply := to(psrp.GetAvailableRunspaces, 0, "<Nil/>")
	reply.ToServer = false
	for _, c := range []struct {
		name, want string
		messages   []psrp.Message
	}{
		{"no capability", "INIT_RUNSPACEPOOL: it is for another pool", hello[1:]},
		{"two capabilities", "SESSION_CAPABILITY: it does not come in its turn", []psrp.Message{hello[0], hello[0]}},
		{"another protocol", "protocol 3.0, PSVersion 2.0", []psrp.Message{to(psrp.SessionCapability, 0, strings.Replace(capability, "2.3", "3.0", 1))}},
		{"no version", "protocol 0.0", []psrp.Message{to(psrp.SessionCapability, 0, "<S>x</S>")}},
		{"no runspaces", "0 to 1 runspaces", []psrp.Message{hello[0], to(psrp.InitRunspacePool, 0, strings.Replace(initPool, ">1<", ">0<", 1))}},
		{"another pool", "it is for another pool", append(slices.Clone(hello), other)},
		{"wrong way", "it is for the other side", append(slices.Clone(hello), reply)},
		{"a pipeline's id", "names a pipeline", append(slices.Clone(hello), to(psrp.CreatePipeline, 1, create))},
		{"a pipeline", "does not belong", append(slices.Clone(hello), to(psrp.CreatePipeline, 0, create))},
		{"a left pool", "cannot be joined", append(slices.Clone(hello), to(psrp.ConnectRunspacePool, 0, ""))},
		{"no key", "PUBLIC_KEY: it is not an RSA key", append(slices.Clone(hello), to(psrp.PublicKey, 0, `<Obj RefId="0"><MS><S N="PublicKey">AAAA</S></MS></Obj>`))},
		{"no XML", "xml: line 1", append(slices.Clone(hello), to(psrp.GetAvailableRunspaces, 0, "<"))},
		{"unknown type", "message 0x00000007", append(slices.Clone(hello), to(7, 0, ""))},
	} {
		s := psrp.NewServer(psrp.ServerConfig{})
		_, err := s.Read(blob(c.messages...))
		pe, ok := errors.AsType[*psrp.ProtocolError](err)
		if !ok || !strings.Contains(pe.Error(), c.want) || s.State() != psrp.PoolBroken {
			t.Errorf("%s: %v, state %d", c.name, err, s.State())
		}
		if got := s.Out().Take(1<<20, 0); !bytes.Contains(got, []byte(`<I32 N="RunspaceState">5</I32>`)) {
			t.Errorf("%s: the client is told %s", c.name, got)
		}
		if _, err := s.Read(blob(hello...)); err == nil {
			t.Errorf("%s: it goes on", c.name)
		}
	}
}

func TestJobRefuses(t *testing.T) {
	for _, c := range []struct {
		name, want string
		messages   []psrp.Message
	}{
		{"input first", "does not begin with it", []psrp.Message{to(psrp.PipelineInput, 1, "<S>x</S>")}},
		{"no id", "id is zero", []psrp.Message{to(psrp.CreatePipeline, 0, create)}},
		{"no command", "there is no command", []psrp.Message{to(psrp.CreatePipeline, 1, initPool)}},
		{"no name", "a command has no name", []psrp.Message{to(psrp.CreatePipeline, 1, strings.Replace(create, "Get-X", "", 1))}},
		{"two pipelines", "in its turn", []psrp.Message{to(psrp.CreatePipeline, 1, create), to(psrp.CreatePipeline, 1, create)}},
		{"another pipeline", "for another pipeline", []psrp.Message{to(psrp.CreatePipeline, 1, create), to(psrp.PipelineInput, 2, "<S>x</S>")}},
		{"input after its end", "in its turn", []psrp.Message{to(psrp.CreatePipeline, 1, create), to(psrp.EndOfPipelineInput, 1, ""), to(psrp.PipelineInput, 1, "<S>x</S>")}},
		{"input that nobody takes", "in its turn", []psrp.Message{to(psrp.CreatePipeline, 1, strings.Replace(create, "false", "true", 1)), to(psrp.PipelineInput, 1, "<S>x</S>")}},
		{"a secret without a key", "needs the key", []psrp.Message{to(psrp.CreatePipeline, 1, create), to(psrp.PipelineInput, 1, "<SS>AAAA</SS>")}},
	} {
		s := psrp.NewServer(psrp.ServerConfig{})
		if _, err := s.Read(blob(to(psrp.SessionCapability, 0, capability), to(psrp.InitRunspacePool, 0, initPool))); err != nil {
			t.Fatal(err)
		}
		job := s.Job()
		_, err := job.Read(blob(c.messages...))
		if err == nil || !strings.Contains(err.Error(), c.want) || job.State() != psrp.Failed || s.State() != psrp.PoolOpened {
			t.Errorf("%s: %v, state %d", c.name, err, job.State())
		}
		if got := job.Out().Take(1<<20, 0); !bytes.Contains(got, []byte(`<I32 N="PipelineState">5</I32>`)) {
			t.Errorf("%s: the client is told %s", c.name, got)
		}
	}
	// Two pipelines of one id.
	s := psrp.NewServer(psrp.ServerConfig{})
	if _, err := s.Read(blob(to(psrp.SessionCapability, 0, capability), to(psrp.InitRunspacePool, 0, initPool))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Job().Read(blob(to(psrp.CreatePipeline, 1, create))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Job().Read(blob(to(psrp.CreatePipeline, 1, create))); err == nil {
		t.Error("two pipelines have one id")
	}
}

// Limits hold before the data is there.
func TestLimits(t *testing.T) {
	s := psrp.NewServer(psrp.ServerConfig{MaxObject: 2000, MaxInput: 5000})
	if _, err := s.Read(blob(to(psrp.SessionCapability, 0, capability), to(psrp.InitRunspacePool, 0, initPool))); err != nil {
		t.Fatal(err)
	}
	job := s.Job()
	if _, err := job.Read(blob(to(psrp.CreatePipeline, 1, create))); err != nil {
		t.Fatal(err)
	}
	input := blob(to(psrp.PipelineInput, 1, "<S>"+strings.Repeat("x", 1800)+"</S>"))
	for range 2 {
		if _, err := job.Read(input); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := job.Read(input); !errors.Is(err, psrp.ErrTooLarge) {
		t.Errorf("more input than allowed: %v", err)
	}
	head := blob(to(psrp.GetAvailableRunspaces, 0, strings.Repeat("x", 2000)))[:21]
	if _, err := s.Read(head); !errors.Is(err, psrp.ErrTooLarge) {
		t.Errorf("a large object: %v", err)
	}
	c, s2 := opened(t, psrp.ClientConfig{MaxObject: 3000})
	if _, err := c.Start(uuid.New(), one("Get-X", psrp.Argument{Value: strings.Repeat("x", 3000)})); !errors.Is(err, psrp.ErrTooLarge) {
		t.Errorf("a large argument: %v", err)
	}
	if _, err := s2.Read(nil); err != nil {
		t.Error(err)
	}
}

// A random world: pipelines begin, take input, write, end and are stopped in any order; streams are cut anywhere,
// fragments are small or large, and what was taken is sometimes taken again. Every pipeline gets its input and gives its
// output in order, and ends once, as it was ended.
func TestClientAgainstServer(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("PSRP_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Logf("PSRP_SEED=%d", seed)
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	for i := range rounds {
		world(t, rand.New(rand.NewPCG(seed, uint64(i))))
		if t.Failed() {
			t.Fatalf("PSRP_SEED=%d, round %d", seed, i)
		}
	}
}

type pair struct {
	run             *psrp.Run
	job             *psrp.Job
	sent, got       []string // input
	wrote, read     []string // output
	sentEnd, gotEnd bool
	ended           psrp.State
	finished        []psrp.State
	down, up        []byte // bytes on their way
}

func world(t *testing.T, r *rand.Rand) {
	c, s := opened(t, psrp.ClientConfig{})
	var pairs []*pair
	begin := func() {
		p := one(fmt.Sprintf("Get-%d", len(pairs)), psrp.Argument{Name: "Text", Value: strings.Repeat("a", r.IntN(400))})
		p.NoInput = r.IntN(3) == 0
		run, err := c.Start(uuid.New(), p)
		if err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, &pair{run: run, job: s.Job(), sentEnd: p.NoInput, gotEnd: p.NoInput})
	}
	// some is the first bytes of what is on its way, cut anywhere.
	some := func(way *[]byte) []byte {
		b := (*way)[:r.IntN(len(*way)+1)]
		*way = (*way)[len(b):]
		return b
	}
	take := func(o *psrp.Outbox, way *[]byte) {
		room, limit := r.IntN(600), r.IntN(300)
		b := o.Take(room, limit)
		if len(b) > room {
			t.Fatalf("%d bytes in %d", len(b), room)
		}
		if r.IntN(3) > 0 {
			o.Commit()
			*way = append(*way, b...)
		}
	}
	text := func() string { return fmt.Sprintf("%d:%s", r.Uint32(), strings.Repeat("é_x\n", r.IntN(60))) }
	up := func(p *pair) {
		events, err := p.job.Read(some(&p.up))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			switch e := e.(type) {
			case psrp.Input:
				p.got = append(p.got, e.Value.(string))
			case psrp.InputEnd:
				p.gotEnd = true
			}
		}
	}
	down := func(p *pair) {
		events, err := p.run.Read(some(&p.down))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			switch e := e.(type) {
			case psrp.Output:
				p.read = append(p.read, e.Value.(string))
			case psrp.Finished:
				p.finished = append(p.finished, e.State)
			}
		}
	}
	step := func(p *pair, busy bool) {
		switch n := r.IntN(9); {
		case n < 2:
			take(p.run.Out(), &p.up)
		case n < 4:
			take(p.job.Out(), &p.down)
		case n == 4:
			up(p)
		case n == 5:
			down(p)
		case !busy:
		case n == 6 && p.run.State() == psrp.Running && !p.sentEnd:
			var err error
			if p.sentEnd = r.IntN(4) == 0; p.sentEnd {
				err = p.run.EndInput()
			} else {
				p.sent = append(p.sent, text())
				err = p.run.Input(p.sent[len(p.sent)-1])
			}
			if err != nil {
				t.Fatal(err)
			}
		case n == 7 && p.job.State() == psrp.Running:
			p.wrote = append(p.wrote, text())
			if err := p.job.Output(p.wrote[len(p.wrote)-1]); err != nil {
				t.Fatal(err)
			}
		case n == 8 && p.job.State() == psrp.Running && r.IntN(4) == 0:
			p.ended = []psrp.State{psrp.Completed, psrp.Failed, psrp.Stopped}[r.IntN(3)]
			err := error(nil)
			if p.ended == psrp.Stopped {
				err = p.job.Stop()
			} else {
				err = p.job.End(p.ended, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 400 {
		if len(pairs) == 0 || len(pairs) < 6 && r.IntN(40) == 0 {
			begin()
		}
		step(pairs[r.IntN(len(pairs))], true)
	}
	for _, p := range pairs { // then everything arrives
		for p.run.Out().Len()+p.job.Out().Len()+len(p.up)+len(p.down) > 0 {
			step(p, false)
		}
		if p.ended == psrp.NotStarted {
			p.ended = psrp.Completed
			if err := p.job.End(p.ended, nil); err != nil {
				t.Fatal(err)
			}
			for p.job.Out().Len()+len(p.down) > 0 {
				step(p, false)
			}
			if diff := gocmp.Diff(p.sent, p.got); diff != "" || p.sentEnd != p.gotEnd {
				t.Errorf("input, end %v %v (-sent +got):\n%s", p.sentEnd, p.gotEnd, diff)
			}
		} else if n := len(p.got); n > len(p.sent) || !slices.Equal(p.sent[:n], p.got) { // the rest came after the end
			t.Errorf("input: %d of %d arrived, not as they were sent", n, len(p.sent))
		}
		if diff := gocmp.Diff(p.wrote, p.read); diff != "" {
			t.Errorf("output (-sent +got):\n%s", diff)
		}
		if diff := gocmp.Diff([]psrp.State{p.ended}, p.finished); diff != "" || cmp.Compare(p.run.State(), p.ended) != 0 {
			t.Errorf("end (-want +got):\n%s", diff)
		}
	}
	if got := pass(t, s.Out(), c.Read); got != nil || s.State() != psrp.PoolOpened || c.State() != psrp.PoolOpened {
		t.Errorf("the pool: %v", got)
	}
}

// Whatever comes, a server keeps its senses: it answers, or refuses and stays refused.
func FuzzServer(f *testing.F) {
	hello := blob(to(psrp.SessionCapability, 0, capability), to(psrp.InitRunspacePool, 0, initPool))
	f.Add(hello, blob(to(psrp.CreatePipeline, 1, create), to(psrp.PipelineInput, 1, "<S>x</S>"), to(psrp.EndOfPipelineInput, 1, "")), 7)
	f.Add(append(hello, blob(to(psrp.GetAvailableRunspaces, 0, `<Obj RefId="0"><MS><I64 N="CI">1</I64></MS></Obj>`))...), []byte{}, 1)
	f.Add(hello[:50], hello, 100)
	f.Fuzz(func(t *testing.T, pool, job []byte, cut int) {
		s := psrp.NewServer(psrp.ServerConfig{MaxObject: 1 << 16, MaxInput: 1 << 17})
		cut = max(1, min(cut, len(pool)))
		failed := false
		for chunk := range slices.Chunk(pool, cut) {
			if _, err := s.Read(chunk); err != nil {
				failed = true
				break
			}
		}
		if failed != (s.State() == psrp.PoolBroken) {
			t.Errorf("failed %v, state %d", failed, s.State())
		}
		j := s.Job()
		if _, err := j.Read(job); err == nil && j.State() == psrp.Running && j.Pipeline == nil && j.Query == nil {
			t.Error("a pipeline runs nothing")
		}
		c := psrp.NewClient(psrp.ClientConfig{Pool: uuid.UUID{1}})
		if err := c.Open(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(s.Out().Take(1<<20, 0)); err == nil && s.State() == psrp.PoolBroken && c.State() == psrp.PoolOpened {
			t.Error("the client believes in a broken pool")
		}
	})
}

// A stream cut into fragments is put together again, however it is cut and however it arrives; another stream is refused
// or gives messages of the size that was there.
func FuzzFragments(f *testing.F) {
	f.Add([]byte("some bytes"), 30, 5, 3)
	f.Add(blob(to(psrp.PipelineInput, 1, "<S>x</S>")), 22, 1, 1)
	f.Fuzz(func(t *testing.T, data []byte, room, limit, cut int) {
		c, s := opened(t, psrp.ClientConfig{})
		run, err := c.Start(uuid.New(), one("Get-X"))
		if err != nil {
			t.Fatal(err)
		}
		job := s.Job()
		if _, err := job.Read(run.Out().Take(1<<20, 0)); err != nil {
			t.Fatal(err)
		}
		if err := job.Output(object.Bytes(data[:min(len(data), 1<<12)])); err != nil {
			t.Fatal(err)
		}
		room, limit, cut = 22+room&0xfff, 1+limit&0xfff, 1+cut&0xff
		var got []psrp.Event
		for job.Out().Len() > 0 {
			b := job.Out().Take(room, limit)
			if len(b) > room {
				t.Fatalf("%d bytes in %d", len(b), room)
			}
			job.Out().Commit()
			for chunk := range slices.Chunk(b, cut) {
				events, err := run.Read(chunk)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, events...)
			}
		}
		back, err := object.ToBytes(got[0].(psrp.Output).Value)
		if err != nil || !bytes.Equal(back, data[:min(len(data), 1<<12)]) {
			t.Errorf("%v: got %x, want %x", err, back, data)
		}
		if _, err := run.Read(data); err != nil && run.State() != psrp.Failed {
			t.Error("a refused stream does not end its pipeline")
		}
	})
}

// Old clients get what they know: their version, and no information stream.
func TestOldClient(t *testing.T) {
	s := psrp.NewServer(psrp.ServerConfig{})
	hello := strings.Replace(capability, "2.3", "2.1", 1)
	if _, err := s.Read(blob(to(psrp.SessionCapability, 0, hello), to(psrp.InitRunspacePool, 0, initPool))); err != nil {
		t.Fatal(err)
	}
	if got := s.Out().Take(1<<20, 0); !bytes.Contains(got, []byte(`<Version N="protocolversion">2.1</Version>`)) || !bytes.Contains(got, []byte(`<Version N="Value">2.1</Version>`)) {
		t.Errorf("got %s", got)
	}
	job := s.Job()
	if _, err := job.Read(blob(to(psrp.CreatePipeline, 1, create))); err != nil {
		t.Fatal(err)
	}
	if err := job.Information(psrp.Information{Data: "x"}); err != nil || job.Out().Len() != 0 {
		t.Errorf("%v, %d bytes", err, job.Out().Len())
	}
	s = psrp.NewServer(psrp.ServerConfig{}) // and a newer one gets ours: with 2.4 secrets would go in the clear
	if _, err := s.Read(blob(to(psrp.SessionCapability, 0, strings.Replace(capability, "2.3", "2.4", 1)), to(psrp.InitRunspacePool, 0, initPool))); err != nil {
		t.Fatal(err)
	}
	if got := s.Out().Take(1<<20, 0); !bytes.Contains(got, []byte(`<Version N="protocolversion">2.3</Version>`)) {
		t.Errorf("got %s", got)
	}
}

// What a server says out of turn breaks the client's pool, or fails the pipeline.
func TestClientRefuses(t *testing.T) {
	pool := uuid.MustParse("00000009-0000-0000-0000-000000000000")
	from := func(m psrp.Message) psrp.Message {
		m.ToServer = false
		return m
	}
	hello := []psrp.Message{from(to(psrp.SessionCapability, 0, capability)), from(to(psrp.RunspacePoolState, 0, `<Obj RefId="0"><MS><I32 N="RunspaceState">2</I32></MS></Obj>`))}
	for _, c := range []struct {
		name, want string
		pool       []psrp.Message
		run        []psrp.Message
	}{
		{"opened at once", "state 2 does not follow", hello[1:], nil},
		{"two capabilities", "does not belong", append(slices.Clone(hello), hello[0]), nil},
		{"wrong way", "for the other side", []psrp.Message{to(psrp.SessionCapability, 0, capability)}, nil},
		{"a key that nobody asked for", "nobody asked", append(slices.Clone(hello), from(to(psrp.EncryptedSessionKey, 0, "<Nil/>"))), nil},
		{"output of no pipeline", "does not belong", append(slices.Clone(hello), from(to(psrp.PipelineOutput, 0, "<Nil/>"))), nil},
		{"another pipeline", "for another pipeline", hello, []psrp.Message{from(to(psrp.PipelineOutput, 2, "<Nil/>"))}},
		{"unknown state", "state 9 is unknown", hello, []psrp.Message{from(to(psrp.PipelineStateMessage, 1, `<Obj RefId="0"><MS><I32 N="PipelineState">9</I32></MS></Obj>`))}},
		{"after the end", "has ended", hello, []psrp.Message{from(to(psrp.PipelineStateMessage, 1, `<Obj RefId="0"><MS><I32 N="PipelineState">4</I32></MS></Obj>`)), from(to(psrp.PipelineOutput, 1, "<Nil/>"))}},
		{"the pool's", "does not belong", hello, []psrp.Message{from(to(psrp.RunspacePoolState, 1, `<Nil/>`))}},
	} {
		c2 := psrp.NewClient(psrp.ClientConfig{Pool: pool})
		if err := c2.Open(); err != nil {
			t.Fatal(err)
		}
		fix := func(list []psrp.Message) []byte {
			list = slices.Clone(list)
			for i := range list {
				list[i].Pool = psrp.NewID(pool)
				if list[i].Pipeline != (psrp.ID{}) {
					list[i].Pipeline = psrp.NewID(uuid.UUID{3: list[i].Pipeline[0]})
				}
			}
			return blob(list...)
		}
		_, err := c2.Read(fix(c.pool))
		if c.run == nil {
			if err == nil || !strings.Contains(err.Error(), c.want) || c2.State() != psrp.PoolBroken {
				t.Errorf("%s: %v, state %d", c.name, err, c2.State())
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		run, err := c2.Start(uuid.UUID{3: 1}, one("Get-X"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := run.Read(fix(c.run)); err == nil || !strings.Contains(err.Error(), c.want) || run.State() != psrp.Failed {
			t.Errorf("%s: %v, state %d", c.name, err, run.State())
		}
	}
}

// BenchmarkOutput is a result object from a server to its client: made, cut, put together, read.
func BenchmarkOutput(b *testing.B) {
	c, s := psrp.NewClient(psrp.ClientConfig{Pool: uuid.New()}), psrp.NewServer(psrp.ServerConfig{})
	must := func(_ any, err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	must(nil, c.Open())
	must(s.Read(c.Out().Take(1<<20, 0)))
	must(c.Read(s.Out().Take(1<<20, 0)))
	run, err := c.Start(uuid.New(), one("Get-Connector"))
	must(nil, err)
	job := s.Job()
	must(job.Read(run.Out().Take(1<<20, 0)))
	o := object.New("Microsoft.Exchange.Data.Directory.SystemConfiguration.IntraOrganizationConnector", "Microsoft.Exchange.Data.Directory.ADObject", "System.Object")
	for i := range 20 {
		o.Add(fmt.Sprintf("Property%d", i), "some text of usual length")
	}
	o.Add("TargetAddressDomains", object.Strings("contoso.com", "fabrikam.com")).Add("Enabled", true)
	b.ReportAllocs()
	for b.Loop() {
		must(nil, job.Output(o))
		for job.Out().Len() > 0 {
			must(run.Read(job.Out().Take(380<<10, 0)))
			job.Out().Commit()
		}
	}
}
