package remoteserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"busybridge/internal/audit"
	"busybridge/internal/dial/remoteclient"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
	"busybridge/internal/ps/psrp"
	"busybridge/internal/ps/wsman"
	"busybridge/internal/serve/callers"
	"busybridge/internal/serve/mount"
	"busybridge/internal/serve/remoteserver"
)

// A stage is a server with cmdlets of its own, and what it kept.
type stage struct {
	*remoteserver.Server
	http *httptest.Server

	mu      sync.Mutex
	events  []audit.Event
	now     time.Time
	denied  map[string]bool // commands that nobody may run any more
	running chan struct{}   // told when Get-Slow has begun
	tries   int             // of Get-Slow that ended
}

// Authenticate implements remoteserver.Authenticator: any user whose password is "secret".
func (s *stage) Authenticate(r *http.Request) (*callers.Caller, error) {
	user, password, ok := r.BasicAuth()
	if !ok || password != "secret" {
		return nil, callers.ErrBadCredentials
	}
	c := &callers.Caller{}
	if user != "partner" {
		c.Account = &directory.Account{Org: "org", UserName: user}
	}
	return c, nil
}

// Challenge implements remoteserver.Authenticator.
func (s *stage) Challenge(w http.ResponseWriter, _ *http.Request, _ error) {
	w.Header().Set("WWW-Authenticate", "Basic")
	w.WriteHeader(http.StatusUnauthorized)
}

// Record implements audit.Recorder.
func (s *stage) Record(_ context.Context, e audit.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	return nil
}

func (s *stage) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *stage) advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// A cmdlet of the stage: what it does is a function.
type getThing struct {
	Identity any    `ps:"Identity,position=0,pipeline=value|name"`
	Count    int    `ps:"Count,default=1"`
	Service  string `ps:"Service"`
	run      func(context.Context, *interp.Call, *getThing) error
}

func (g *getThing) Run(ctx context.Context, c *interp.Call) error { return g.run(ctx, c, g) }

type setSecret struct {
	Password *object.SecureString `ps:"Password,mandatory"`
	Back     object.Switch        `ps:"Back"`
}

func (s *setSecret) Run(_ context.Context, c *interp.Call) error {
	if s.Back {
		return c.Emit(object.New("System.Object").Add("Secret", s.Password))
	}
	return c.Emit(fmt.Sprintf("%d characters", len(s.Password.Reveal())))
}

func (s *stage) commands() []interp.Command {
	c := func(name string, run func(context.Context, *interp.Call, *getThing) error) interp.Command {
		return interp.Command{Name: name, Module: "Stage", Synopsis: "Is " + name + ".", New: func() interp.Cmdlet { return &getThing{run: run} }}
	}
	confirm := c("Remove-Thing", func(_ context.Context, c *interp.Call, g *getThing) error {
		ok, err := c.ShouldProcess(object.String(g.Identity), "")
		if err != nil || !ok {
			return err
		}
		return c.Emit("removed " + object.String(g.Identity))
	})
	confirm.ShouldProcess, confirm.Impact = true, "High"
	list := []interp.Command{
		c("Get-Thing", func(_ context.Context, c *interp.Call, g *getThing) error {
			if strings.HasPrefix(object.String(g.Identity), "nobody") {
				return c.WriteError(object.NewError("NotFound", object.ObjectNotFound, nil, "%v is not there", g.Identity))
			}
			for i := range g.Count {
				if err := c.Emit(object.New("Stage.Thing", "System.Object").Add("Name", object.String(g.Identity)).Add("Number", int32(i))); err != nil {
					return err
				}
			}
			return nil
		}),
		c("Test-Streams", func(_ context.Context, c *interp.Call, _ *getThing) error {
			err := errors.Join(c.WriteVerbose("a verbose"), c.WriteWarning("a warning"), c.WriteProgress("work", "half", 50), c.WriteInformation("told", "tag"),
				c.WriteHost(&interp.Message{Text: "on the screen", Tags: []string{"PSHOST"}}), c.WriteError(object.NewError("Soft", object.InvalidData, nil, "not so bad")))
			if err != nil {
				return err
			}
			return c.Emit("after")
		}),
		c("Get-Slow", func(ctx context.Context, _ *interp.Call, _ *getThing) error {
			s.running <- struct{}{}
			<-ctx.Done()
			s.mu.Lock()
			s.tries++
			s.mu.Unlock()
			return ctx.Err()
		}),
		c("Test-Panic", func(context.Context, *interp.Call, *getThing) error { panic("a secret of the inside") }),
		c("Get-Forbidden", func(_ context.Context, c *interp.Call, _ *getThing) error { return c.Emit("reached") }),
		confirm,
		{Name: "Set-Secret", Module: "Stage", New: func() interp.Cmdlet { return &setSecret{} }},
	}
	for _, name := range []string{"Get-IntraOrganizationConnector", "Get-Mailbox", "Test-OAuthConnectivity"} { // of the transcript
		c := list[0]
		c.Name = name
		if name == "Test-OAuthConnectivity" {
			c.New = list[1].New
		}
		list = append(list, c)
	}
	return list
}

func newStage(t testing.TB, limits remoteserver.Limits, change ...func(*remoteserver.Config)) *stage {
	t.Helper()
	s := &stage{now: time.Date(2014, 5, 6, 7, 8, 9, 0, time.UTC), denied: map[string]bool{"Get-Forbidden": true}, running: make(chan struct{}, 100)}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	cfg := remoteserver.Config{
		Auth: s, Audit: s, Now: s.clock, Log: log, Limits: limits,
		Runspaces: func(_ context.Context, r remoteserver.Request) (*remoteserver.Runspace, error) {
			switch {
			case r.Caller.Account.UserName == "nobody":
				return nil, remoteserver.ErrForbidden
			case r.Configuration != "Microsoft.Exchange":
				return nil, errors.ErrUnsupported
			}
			return &remoteserver.Runspace{
				Config: func() (interp.Config, error) {
					return interp.Config{Commands: s.commands(), Now: s.clock, Variables: map[string]any{"VerbosePreference": "Continue"}}, nil
				},
				Permits: func(_ context.Context, name string) (bool, error) {
					s.mu.Lock()
					defer s.mu.Unlock()
					return !s.denied[name], nil
				},
			}, nil
		},
	}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	if s.Server, err = remoteserver.New(cfg); err != nil {
		t.Fatal(err)
	}
	s.http = httptest.NewUnstartedServer(mount.New(mount.Config{Routes: s.Routes(), Log: cfg.Log, Now: s.clock, MaxInFlight: 4}))
	s.http.StartTLS()
	t.Cleanup(func() {
		s.Close()
		s.http.Close()
	})
	return s
}

func (s *stage) url(t testing.TB, path string) *url.URL {
	t.Helper()
	u, err := url.Parse(s.http.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (s *stage) open(t testing.TB, change ...func(*remoteclient.Config)) *remoteclient.Session {
	t.Helper()
	c, err := s.tryOpen(t, change...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *stage) tryOpen(t testing.TB, change ...func(*remoteclient.Config)) (*remoteclient.Session, error) {
	t.Helper()
	cfg := remoteclient.Config{HTTP: s.http.Client(), URL: s.url(t, "/PowerShell-LiveID/?PSVersion=5.1.17763.1"), User: "alice@contoso.com", Password: "secret", Configuration: "Microsoft.Exchange"}
	for _, f := range change {
		f(&cfg)
	}
	c, err := remoteclient.Open(t.Context(), cfg)
	if err == nil {
		t.Cleanup(func() { _ = c.Close() }) // a test that closes it looks at the error
	}
	return c, err
}

func cmd(name string, args ...any) psrp.Command {
	c := psrp.Command{Name: name}
	for i := 0; i+1 < len(args); i += 2 {
		c.Arguments = append(c.Arguments, psrp.Argument{Name: args[i].(string), Value: args[i+1]})
	}
	return c
}

func pipeline(list ...psrp.Command) *psrp.Pipeline {
	return &psrp.Pipeline{NoInput: true, Host: psrp.Host{OfPool: true}, Statements: [][]psrp.Command{list}}
}

// ran is what a pipeline gave, as lines.
func ran(t testing.TB, c *remoteclient.Session, p *psrp.Pipeline, input []any) []string {
	t.Helper()
	var lines []string
	p.NoInput = input == nil
	err := c.Run(t.Context(), p, input, func(e psrp.Event) error {
		lines = append(lines, line(e))
		return nil
	})
	if r, ok := errors.AsType[*object.ErrorRecord](err); ok {
		lines = append(lines, fmt.Sprintf("ended: %s: %s", r.ID, r.Message()))
	} else if err != nil {
		lines = append(lines, "failed: "+err.Error())
	}
	return lines
}

func line(e psrp.Event) string {
	switch e := e.(type) {
	case psrp.Output:
		if o, ok := e.Value.(*object.Object); ok && o.Base == nil {
			if id, ok := o.Get("FullyQualifiedErrorId"); ok {
				return "record: " + object.String(id)
			}
			var b strings.Builder
			b.WriteString(strings.TrimPrefix(object.TypeNames(o)[0], "Deserialized."))
			for _, p := range object.Properties(o) {
				fmt.Fprintf(&b, " %s=%s", p.Name, object.String(p.Value))
			}
			return b.String()
		}
		return object.String(e.Value)
	case psrp.Failure:
		return "error: " + e.Record.ID + ": " + e.Record.Message()
	case psrp.Note:
		return e.Kind.String() + ": " + e.Text
	case psrp.Progress:
		return fmt.Sprintf("progress: %s %s %d", e.Activity, e.Status, e.Percent)
	case psrp.Information:
		return fmt.Sprintf("information: %v %v", object.String(e.Data), e.Tags)
	}
	return fmt.Sprintf("%T", e)
}

const notFound = "is not recognized as the name of a cmdlet, function, script file, or operable program. Check the spelling of the name, or if a path was included, verify that the path is correct and try again."

func gone(name string) []string {
	return []string{"ended: CommandNotFoundException: The term '" + name + "' " + notFound}
}

// What a session runs, and what it refuses.
func TestPipelines(t *testing.T) {
	s := newStage(t, remoteserver.Limits{})
	c := s.open(t)
	const script = "ended: ScriptsNotAllowed: The syntax is not supported by this runspace. This can occur if the runspace is in no-language mode."
	for _, tt := range []struct {
		name  string
		p     *psrp.Pipeline
		input []any
		want  []string
	}{
		{"a cmdlet with parameters", pipeline(cmd("Get-Thing", "Identity", "a", "Count", int32(2))), nil, []string{"Stage.Thing Name=a Number=0", "Stage.Thing Name=a Number=1"}},
		{"names have no case, parameters may be short or have no name", pipeline(cmd("get-THING", "", "b", "cou", int32(1))), nil, []string{"Stage.Thing Name=b Number=0"}},
		{"names that stand alone", pipeline(psrp.Command{Name: "Get-Thing", Arguments: []psrp.Argument{{Name: "Verb", Alone: true}, {Name: "Identity", Alone: true}, {Value: "a"}, {Name: "Count", Alone: true}, {Value: int32(1)}}}), nil, []string{"Stage.Thing Name=a Number=0"}},
		{"every stream", pipeline(cmd("Test-Streams")), nil, []string{"VERBOSE_RECORD: a verbose", "WARNING_RECORD: a warning", "progress: work half 50", "information: on the screen [PSHOST]", "error: Soft: not so bad", "after"}},
		{"errors go with the results", pipeline(psrp.Command{Name: "Test-Streams", Merge: psrp.Merge{My: psrp.ErrorStream, To: psrp.OutputStream}, Arguments: []psrp.Argument{{Name: "WarningAction", Value: "Ignore"}}}), nil,
			[]string{"VERBOSE_RECORD: a verbose", "progress: work half 50", "information: on the screen [PSHOST]", "record: Soft", "after"}},
		{"an error ends it where that is asked for", pipeline(cmd("Test-Streams", "ErrorAction", "Stop", "Verbose", false, "WarningAction", "SilentlyContinue")), nil,
			[]string{"progress: work half 50", "information: on the screen [PSHOST]", "ended: Soft: not so bad"}},
		{"input", pipeline(cmd("Measure-Object")), []any{"a", "b", "c"}, []string{"Microsoft.PowerShell.Commands.GenericMeasureInfo Count=3 Average= Sum= Maximum= Minimum= Property="}},
		{"no input is none", pipeline(cmd("Measure-Object")), []any{}, []string{"Microsoft.PowerShell.Commands.GenericMeasureInfo Count=0 Average= Sum= Maximum= Minimum= Property="}},
		{"a pipeline", pipeline(cmd("Get-Thing", "", "a", "Count", int32(3)), cmd("Select-Object", "Property", object.Strings("Number"))), nil,
			[]string{"Selected.Stage.Thing Number=0", "Selected.Stage.Thing Number=1", "Selected.Stage.Thing Number=2"}},
		{"statements", &psrp.Pipeline{Statements: [][]psrp.Command{{cmd("Get-Thing", "", "a")}, {cmd("Get-Thing", "", "b")}}}, nil, []string{"Stage.Thing Name=a Number=0", "Stage.Thing Name=b Number=0"}},
		{"what comes back is bound", pipeline(cmd("Get-Thing")), []any{object.New("Deserialized.Stage.Thing").Add("Identity", "back")}, []string{"Stage.Thing Name=Stage.Thing Number=0"}},
		{"a panic says nothing", pipeline(cmd("Test-Panic")), nil, nil},
		{"unknown parameter", pipeline(cmd("Get-Thing", "Nonsense", int32(1))), nil, []string{"ended: NamedParameterNotFound: A parameter cannot be found that matches parameter name 'Nonsense'."}},
		{"no formats are given away", pipeline(cmd("Get-FormatData", "TypeName", object.Strings("*"))), nil, nil},
		{"and none can be counted", pipeline(cmd("Get-FormatData", "TypeName", object.Strings("*")), cmd("Measure-Object")), nil, []string{"Microsoft.PowerShell.Commands.GenericMeasureInfo Count=0 Average= Sum= Maximum= Minimum= Property="}},
		{"help", pipeline(cmd("Get-Help", "Name", "*Thing", "Category", "Cmdlet")), nil, []string{"HelpInfoShort Name=Get-Thing Category=Cmdlet Module=Stage Synopsis=Is Get-Thing.", "HelpInfoShort Name=Remove-Thing Category=Cmdlet Module=Stage Synopsis=Is Remove-Thing."}},
		{"help knows no forbidden command", pipeline(cmd("Get-Help", "Name", "Get-Forbidden")), nil, []string{"error: HelpNotFound,Microsoft.PowerShell.Commands.GetHelpCommand: Get-Help could not find Get-Forbidden in a help file in this session."}},
		{"a question nobody can answer", pipeline(cmd("Remove-Thing", "", "x")), nil, []string{"ended: InvalidOperation: Windows PowerShell is in NonInteractive mode. Read and Prompt functionality is not available. Use -Confirm:$false to run the command without a question."}},
		{"no question", pipeline(cmd("Remove-Thing", "", "x", "Confirm", false)), nil, []string{"removed x"}},
		{"what if", pipeline(cmd("Remove-Thing", "", "x", "WhatIf", true)), nil, []string{`information: What if: Performing the operation "Remove-Thing" on target "x". [PSHOST]`}},

		{"a script", pipeline(psrp.Command{Name: "Get-Thing", Script: true}), nil, []string{script}},
		{"a script behind a command", pipeline(cmd("Get-Thing"), psrp.Command{Name: "$_", Script: true}), nil, []string{script}},
		{"a forbidden command", pipeline(cmd("Get-Forbidden")), nil, gone("Get-Forbidden")},
		{"no such command", pipeline(cmd("Get-Nope")), nil, gone("Get-Nope")},
		{"a cmdlet of the language", pipeline(cmd("Invoke-Expression", "", "1 + 1")), nil, gone("Invoke-Expression")},
		{"a block", pipeline(cmd("ForEach-Object", "", "{ 1 }")), []any{"a"}, gone("ForEach-Object")},
		{"a pattern", pipeline(cmd("Get-Thin?")), nil, gone("Get-Thin?")},
		{"a module in front", pipeline(cmd(`Stage\Get-Thing`)), nil, gone(`Stage\Get-Thing`)},
		{"a path", pipeline(cmd(`C:\a.ps1`)), nil, gone(`C:\a.ps1`)},
		{"get- is not put in front", pipeline(cmd("Thing")), nil, gone("Thing")},
		{"a variable", pipeline(cmd("Get-Thing", "OutVari", "x")), nil, []string{"ended: VariableReferenceNotAllowed: A session without language has no variables: -OutVari is not possible."}},
		{"an expression to select by", pipeline(cmd("Get-Thing"), cmd("Select-Object", "ExpandProperty", "Number")), nil, []string{"ended: NamedParameterNotFound: A parameter cannot be found that matches parameter name 'ExpandProperty'."}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ran(t, c, tt.p, tt.input)
			if strings.HasSuffix(tt.name, "says nothing") {
				if len(got) != 1 || !strings.HasPrefix(got[0], "ended: InternalError: An internal error occurred.") || strings.Contains(got[0], "secret") {
					t.Error(got)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What an account may not do any more holds at once, in the list too.
func TestRolesAreAskedEachTime(t *testing.T) {
	s := newStage(t, remoteserver.Limits{})
	c := s.open(t)
	names := func() (list []string) {
		found, err := c.Commands(t.Context(), psrp.Query{Names: []string{"*-Thing", "Get-Forbidden", "Get-Command"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			list = append(list, f.Name)
		}
		return list
	}
	if diff := cmp.Diff([]string{"Get-Command", "Get-Thing", "Remove-Thing"}, names()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.mu.Lock()
	s.denied["Get-Thing"] = true
	s.mu.Unlock()
	if diff := cmp.Diff([]string{"Get-Command", "Remove-Thing"}, names()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(gone("Get-Thing"), ran(t, c, pipeline(cmd("Get-Thing")), nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want := []string{"System.Management.Automation.CmdletInfo CommandType=Cmdlet Name=Remove-Thing"}
	if got := ran(t, c, pipeline(cmd("Get-Command", "", object.Strings("*-Thing"))), nil); len(got) != 1 || !strings.HasPrefix(got[0], want[0]) {
		t.Error(got)
	}
}

// Secrets cross both ways, by a key that is exchanged when it is needed.
func TestSecrets(t *testing.T) {
	s := newStage(t, remoteserver.Limits{})
	c := s.open(t)
	if diff := cmp.Diff([]string{"9 characters"}, ran(t, c, pipeline(cmd("Set-Secret", "Password", object.NewSecureString("pass word"))), nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var back string
	err := c.Run(t.Context(), pipeline(cmd("Set-Secret", "Password", object.NewSecureString("back"), "Back", true)), nil, func(e psrp.Event) error {
		v, _ := object.Get(e.(psrp.Output).Value, "Secret")
		back = v.(*object.SecureString).Reveal()
		return nil
	})
	if err != nil || back != "back" {
		t.Error(back, err)
	}
	for _, e := range s.events {
		if strings.Contains(e.After, "pass word") || !strings.Contains(e.After, "***") {
			t.Error(e.After)
		}
	}
}

// A person answers questions.
type person struct {
	interp.Prompt
	asked  []string
	answer int
}

func (p *person) Choice(_ context.Context, caption, message string, labels []string, def int) (int, error) {
	p.asked = append(p.asked, fmt.Sprint(caption, "|", message, "|", labels, def))
	return p.answer, nil
}

func TestQuestions(t *testing.T) {
	s := newStage(t, remoteserver.Limits{})
	p := &person{}
	var screen []string
	c := s.open(t, func(c *remoteclient.Config) {
		c.Prompt, c.Show = p, func(text string, _ bool) error {
			screen = append(screen, text)
			return nil
		}
	})
	if diff := cmp.Diff([]string{"removed x"}, ran(t, c, pipeline(cmd("Remove-Thing", "", "x")), nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	p.answer = 2
	if got := ran(t, c, pipeline(cmd("Remove-Thing", "", "y")), nil); got != nil {
		t.Error(got)
	}
	if len(p.asked) != 2 || !strings.HasSuffix(p.asked[0], "[&Yes Yes to &All &No No to A&ll &Suspend] 0") || !strings.Contains(p.asked[1], `"y"`) {
		t.Error(p.asked)
	}
	if got := ran(t, c, pipeline(cmd("Get-Thing", "", "a"), cmd("Out-Default")), nil); got != nil || !slices.ContainsFunc(screen, func(l string) bool { return strings.Contains(l, "Number") }) {
		t.Errorf("%q, screen %q", got, screen)
	}
}

// Results of any size arrive whole, in envelopes that the client takes.
func TestBigResults(t *testing.T) {
	s := newStage(t, remoteserver.Limits{Memory: 1 << 20})
	c := s.open(t)
	n := 0
	err := c.Run(t.Context(), pipeline(cmd("Get-Thing", "", strings.Repeat("ü", 300), "Count", int32(10000))), nil, func(e psrp.Event) error {
		if got, _ := object.Get(e.(psrp.Output).Value, "Number"); got != int32(n) {
			return fmt.Errorf("object %d is %v", n, got)
		}
		n++
		return nil
	})
	if err != nil || n != 10000 {
		t.Errorf("%d objects, %v", n, err)
	}
	big := strings.Repeat("x", 600<<10) // one message of many envelopes, both ways
	if got := ran(t, c, pipeline(cmd("Get-Thing", "", big)), nil); len(got) != 1 || len(got[0]) != len(big)+len("Stage.Thing Name= Number=0") {
		t.Error(len(got))
	}
}

// A pipeline that runs another one while its own results are taken does not wait for ever.
func TestNested(t *testing.T) {
	s := newStage(t, remoteserver.Limits{Memory: 256 << 10})
	c := s.open(t)
	n := 0
	err := c.Run(t.Context(), pipeline(cmd("Get-Thing", "", strings.Repeat("x", 1000), "Count", int32(500))), nil, func(psrp.Event) error {
		if n++; n == 1 {
			if got := ran(t, c, pipeline(cmd("Get-Thing", "", "in")), nil); len(got) != 1 {
				t.Error(got)
			}
		}
		return nil
	})
	if err != nil || n != 500 {
		t.Error(n, err)
	}
}

func fault(t testing.TB, err error, want wsman.Kind) {
	t.Helper()
	if f, ok := errors.AsType[*wsman.Fault](err); !ok || !f.Of(want) {
		t.Errorf("%v, want %d", err, want.Number)
	}
}

// Who may open a session, and how many.
func TestOpening(t *testing.T) {
	s := newStage(t, remoteserver.Limits{Sessions: 2, AllSessions: 3})
	for _, path := range []string{"/powershell", "/powershell/", "/powershell-liveid", "/powershell-liveid/", "/WSMan"} {
		if err := s.open(t, func(c *remoteclient.Config) { c.URL = s.url(t, path) }).Close(); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	_, err := s.tryOpen(t, func(c *remoteclient.Config) { c.Password = "wrong" })
	if !errors.Is(err, remoteclient.ErrAccessDenied) {
		t.Error(err)
	}
	for _, user := range []string{"nobody", "partner"} {
		if _, err = s.tryOpen(t, func(c *remoteclient.Config) { c.User = user }); !errors.Is(err, remoteclient.ErrAccessDenied) {
			t.Error(user, err)
		}
	}
	_, err = s.tryOpen(t, func(c *remoteclient.Config) { c.Configuration = "Other" })
	fault(t, err, wsman.UnknownResource)
	_, err = s.tryOpen(t, func(c *remoteclient.Config) { c.URL = s.url(t, "/powershell"); c.URL.Scheme = "http" })
	if err == nil || !strings.Contains(err.Error(), "unprotected") {
		t.Error(err)
	}
	first := s.open(t)
	s.open(t)
	_, err = s.tryOpen(t)
	fault(t, err, wsman.Quota)
	s.open(t, func(c *remoteclient.Config) { c.User = "bob@contoso.com" })
	_, err = s.tryOpen(t, func(c *remoteclient.Config) { c.User = "carol@contoso.com" })
	fault(t, err, wsman.Quota)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	s.open(t)
	if s.Sessions() != 3 {
		t.Error(s.Sessions())
	}
}

// A stop ends what runs; the session goes on.
func TestStop(t *testing.T) {
	s := newStage(t, remoteserver.Limits{})
	c := s.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx, pipeline(cmd("Get-Slow")), nil, func(psrp.Event) error { return nil }) }()
	<-s.running
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := ran(t, c, pipeline(cmd("Get-Thing", "", "a")), nil); len(got) != 1 {
		t.Error(got)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tries != 1 || len(s.events) != 2 || s.events[0].Outcome != "the pipeline has been stopped" || s.events[1].Outcome != audit.Done {
		t.Errorf("%d ended, events %+v", s.tries, s.events)
	}
}

// A pipeline that runs too long is ended.
func TestRunTime(t *testing.T) {
	s := newStage(t, remoteserver.Limits{Run: 10 * time.Millisecond})
	got := ran(t, s.open(t), pipeline(cmd("Get-Slow")), nil)
	if diff := cmp.Diff([]string{"ended: OperationTimeout: The pipeline took longer than 10ms and was ended."}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The audit says who ran what, in which session.
func TestAudit(t *testing.T) {
	s := newStage(t, remoteserver.Limits{})
	c := s.open(t)
	ran(t, c, pipeline(cmd("Get-Thing", "Identity", strings.Repeat("a", 500)), cmd("Select-Object", "", "Name")), nil)
	ran(t, c, pipeline(psrp.Command{Name: "rm -r /", Script: true}), nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.events) != 2 {
		t.Fatal(s.events)
	}
	e := s.events[0]
	if e.Actor != "alice@contoso.com" || e.Org != "org" || e.Operation != "Invoke-Command" || e.Outcome != audit.Done || !strings.HasSuffix(e.Object, e.RequestID) || e.RequestID == "" {
		t.Errorf("%+v", e)
	}
	for _, part := range []string{`"name":"Get-Thing","parameters":{"Identity":"aaa`, `"name":"Select-Object"`, `"objects":1`, `"from":"127.0.0.1:`} {
		if !strings.Contains(e.After, part) {
			t.Errorf("%s lacks %s", e.After, part)
		}
	}
	if len(e.After) > 1000 {
		t.Error("values are not cut")
	}
	if e = s.events[1]; !strings.HasPrefix(e.Outcome, "ScriptsNotAllowed") || !strings.Contains(e.After, `"script: rm -r /"`) {
		t.Errorf("%+v", e)
	}
}

// post sends a request as another client would.
func (s *stage) post(t testing.TB, user, body string, header ...string) (int, *wsman.Message) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.http.URL+"/powershell", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/soap+xml;charset=UTF-8")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if user != "" {
		r.SetBasicAuth(user, "secret")
	}
	res, err := s.http.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) == 0 {
		return res.StatusCode, nil
	}
	m, err := wsman.Parse(b, len(b))
	if err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return res.StatusCode, m
}

func request(action wsman.Action, shell string, body wsman.Body) string {
	m := &wsman.Message{Action: action, To: "https://x/", ID: "uuid:1", Resource: wsman.ResourcePowerShell + "Microsoft.Exchange", ShellID: shell, MaxEnvelope: 153600, Timeout: 40 * time.Millisecond, Body: body}
	return string(m.Append(nil))
}

// Requests out of the way are answered with faults that clients know.
func TestFaults(t *testing.T) {
	s := newStage(t, remoteserver.Limits{Body: 64 << 10, Commands: 1})
	c := s.open(t)
	id := strings.ToUpper(c.ID())
	want := func(name string, kind wsman.Kind, user, body string) {
		t.Helper()
		status, m := s.post(t, user, body)
		if f, ok := m.Body.(*wsman.Fault); status != http.StatusInternalServerError || !ok || !f.Of(kind) {
			t.Errorf("%s: %d %+v", name, status, m.Body)
		}
	}
	const alice, bob = "alice@contoso.com", "bob@contoso.com"
	stdout := func(command string) *wsman.Desired {
		return &wsman.Desired{Names: []string{"stdout"}, Command: command}
	}
	want("nothing to tell", wsman.TimedOut, alice, request(wsman.Receive, id, stdout("")))
	want("a session of somebody else", wsman.UnknownShell, bob, request(wsman.Receive, id, stdout("")))
	want("of somebody else to be deleted", wsman.UnknownShell, bob, request(wsman.Delete, id, nil))
	want("no session", wsman.UnknownShell, alice, request(wsman.Get, "5B1B5E9C-2F5E-4E5B-8F55-D7C3A0D10F3A", nil))
	want("no command", wsman.UnknownShell, alice, request(wsman.Receive, id, stdout("5B1B5E9C-2F5E-4E5B-8F55-D7C3A0D10F3A")))
	want("another stream", wsman.Invalid, alice, request(wsman.Receive, id, &wsman.Desired{Names: []string{"stderr"}}))
	want("no XML", wsman.Invalid, alice, "rubbish")
	want("too large", wsman.TooLarge, alice, request(wsman.Send, id, &wsman.Sent{Streams: []wsman.Stream{{Name: "stdin", Data: make([]byte, 64<<10)}}}))
	want("unknown action", wsman.UnknownAction, alice, strings.ReplaceAll(request(wsman.Get, id, nil), "/Get<", "/Put<"))
	want("connect", wsman.Unsupported, alice, strings.ReplaceAll(request(wsman.Get, id, nil), string(wsman.Get), string(wsman.Connect)))
	want("rubbish to the pool", wsman.Invalid, alice, request(wsman.Create, "", &wsman.Shell{ID: "5B1B5E9C-2F5E-4E5B-8F55-D7C3A0D10F3A", Input: "stdin pr", Output: "stdout", Creation: []byte(strings.Repeat("x", 50))}))
	want("an id in use", wsman.Invalid, bob, request(wsman.Create, "", &wsman.Shell{ID: id, Input: "stdin pr", Output: "stdout"}))
	want("unknown signal", wsman.Invalid, alice, request(wsman.Signal, id, &wsman.Signaled{Command: "x", Code: "y"}))
	want("stop of nothing", wsman.UnknownShell, alice, request(wsman.Signal, id, &wsman.Signaled{Command: "x", Code: wsman.SignalStop}))

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx, pipeline(cmd("Get-Slow")), nil, func(psrp.Event) error { return nil }) }()
	<-s.running
	if err := c.Run(t.Context(), pipeline(cmd("Get-Thing")), nil, func(psrp.Event) error { return nil }); err == nil {
		t.Error("more commands than are allowed")
	} else {
		fault(t, err, wsman.Busy)
	}
	cancel()
	<-done

	if status, m := s.post(t, "", request(wsman.Create, "", nil)); status != http.StatusUnauthorized || m != nil {
		t.Error(status, m)
	}
	status, m := s.post(t, "", `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header/><s:Body><i:Identify xmlns:i="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"/></s:Body></s:Envelope>`,
		"WSMANIDENTIFY", "unauthenticated")
	if i, ok := m.Body.(*wsman.Identity); status != http.StatusOK || !ok || i.Version != "OS: 0.0.0 SP: 0.0 Stack: 3.0" {
		t.Error(status, m)
	}
	status, m = s.post(t, "", request(wsman.Get, id, nil), "WSMANIDENTIFY", "unauthenticated")
	if f, ok := m.Body.(*wsman.Fault); status != http.StatusInternalServerError || !ok || !f.Of(wsman.AccessDenied) {
		t.Error(status, m)
	}
}

// A session that nobody uses ends; one whose client waits does not.
func TestIdle(t *testing.T) {
	s := newStage(t, remoteserver.Limits{Idle: 5 * time.Minute, Sessions: 1})
	id := "5B1B5E9C-2F5E-4E5B-8F55-D7C3A0D10F3A"
	cl := psrp.NewClient(psrp.ClientConfig{})
	if err := cl.Open(); err != nil {
		t.Fatal(err)
	}
	create := request(wsman.Create, "", &wsman.Shell{ID: id, Input: "stdin pr", Output: "stdout", Creation: cl.Out().Take(32<<10, 0)})
	if status, m := s.post(t, "alice@contoso.com", create); status != http.StatusOK {
		t.Fatal(m.Body)
	}
	s.advance(5*time.Minute - 1)
	if status, m := s.post(t, "alice@contoso.com", request(wsman.Get, id, nil)); status != http.StatusOK || m.Body.(*wsman.Shell).State != "Connected" {
		t.Fatal(m.Body)
	}
	s.advance(5 * time.Minute)
	if status, _ := s.post(t, "alice@contoso.com", request(wsman.Get, id, nil)); status != http.StatusInternalServerError {
		t.Error("the session is still there")
	}
	c := s.open(t) // in its place
	s.advance(time.Hour)
	if got := ran(t, c, pipeline(cmd("Get-Thing", "", "a")), nil); len(got) != 1 || s.Sessions() != 1 {
		t.Error(got, s.Sessions())
	}
}

// Sessions end with the server: pipelines stop, waiting clients are told, nothing stays behind.
func TestShutdown(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	s := newStage(t, remoteserver.Limits{})
	c := s.open(t)
	done := make(chan error)
	go func() {
		done <- c.Run(t.Context(), pipeline(cmd("Get-Slow")), nil, func(psrp.Event) error { return nil })
	}()
	<-s.running
	s.Close()
	if err := <-done; err == nil {
		t.Error("the pipeline ended well")
	}
	if _, err := s.tryOpen(t); err == nil {
		t.Error("a session of a closed server")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	s.http.Close()
	s.http.Client().CloseIdleConnections()
	goleak.VerifyNone(t, leaks)
}
