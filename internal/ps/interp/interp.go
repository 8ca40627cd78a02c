package interp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"busybridge/internal/ps/format"
	"busybridge/internal/ps/object"
	"busybridge/internal/ps/syntax"
)

// maxCallDepth bounds nested calls of functions and script blocks.
const maxCallDepth = 200

// Files is the shell's drives: what redirection, scripts, Export-Csv and the closed tables of types may do with files.
type Files interface {
	object.Files
	// AppendFile adds data at the end of a file, making it when it is absent.
	AppendFile(name string, data []byte) error
	// Location is the current folder in the shell's notation ($PWD).
	Location() string
}

// A Stream receives the records of one stream. The kinds are *object.ErrorRecord for errors and *Message for the
// others.
type Stream func(v any) error

// Streams are where a session's records go that nothing redirects. A nil one discards.
type Streams struct {
	Error, Warning, Verbose, Debug, Information, Progress Stream
}

// A Message is a record of the warning, verbose, debug, information or progress stream.
type Message struct {
	Kind      string // Warning, Verbose, Debug, Information, Progress
	Text      string
	Tags      []string // PSHOST on what Write-Host wrote
	NoNewline bool
	// Foreground is the colour that Write-Host was given, "" for none.
	Foreground string
	Activity   string // progress
	Percent    int    // progress, -1 unknown
}

// Prompt asks the person at the terminal.
type Prompt interface {
	// Line asks for a line of text.
	Line(ctx context.Context, prompt string) (string, error)
	// Secret asks without echo.
	Secret(ctx context.Context, prompt string) (string, error)
	// Choice asks one of the labels ("&Yes"); def is the index of the default.
	Choice(ctx context.Context, caption, message string, labels []string, def int) (int, error)
}

// Formatter turns objects into text: package format implements it.
type Formatter interface {
	// Writer writes objects to w as the end of a pipeline shows them, in lines of at most width characters.
	// limit is $FormatEnumerationLimit.
	Writer(w io.Writer, width, limit int) *format.Writer
}

// Config is what a session needs.
type Config struct {
	Commands  []Command
	Now       func() time.Time // required
	Zone      *time.Location   // nil: UTC
	Host      string           // computer name
	User      string
	Width     int // of the screen; 0: 120
	Files     Files
	Prompt    Prompt // nil: not interactive
	Formatter Formatter
	Streams   Streams
	Env       map[string]string // $env:, by name without case
	Variables map[string]any    // further global variables
	Remote    bool              // the session serves a remote caller
	// Sleep waits for Start-Sleep; nil: a timer.
	Sleep func(ctx context.Context, d time.Duration) error
	// NoCore leaves the core cmdlets out.
	NoCore bool
}

// A Session keeps variables, functions and errors between runs. It is for one goroutine at a time.
type Session struct {
	cfg       Config
	global    *Scope
	commands  map[string]*Command
	aliases   map[string]string
	functions map[string]*function
	env       map[string]string
	envNames  map[string]string
	errors    []*object.ErrorRecord // newest first
	errList   *object.List          // what $Error shows
	success   bool                  // $?
	exitCode  int
	tries     int
	depth     int
	ctxObj    *object.Context
	run       *env // of the innermost call, for members that invoke blocks
}

// ErrConfig says what is missing in a Config.
var ErrConfig = errors.New("interp: incomplete configuration")

// New makes a session.
func New(cfg Config) (*Session, error) {
	if cfg.Now == nil {
		return nil, fmt.Errorf("%w: Now", ErrConfig)
	}
	if cfg.Width == 0 {
		cfg.Width = 120
	}
	if cfg.Zone == nil {
		cfg.Zone = time.UTC
	}
	s := &Session{cfg: cfg, commands: map[string]*Command{}, aliases: map[string]string{}, functions: map[string]*function{},
		env: map[string]string{}, envNames: map[string]string{}, success: true}
	for k, v := range cfg.Env {
		s.env[strings.ToLower(k)] = v
		s.envNames[strings.ToLower(k)] = k
	}
	s.errList = &object.List{}
	s.global = newScope(nil)
	s.ctxObj = &object.Context{Now: cfg.Now, Zone: cfg.Zone, Getenv: func(n string) string { return s.env[strings.ToLower(n)] }, Invoke: s.invokeFor}
	if cfg.Files != nil {
		s.ctxObj.Files = cfg.Files
	}
	s.preset()
	if !cfg.NoCore {
		if err := s.Register(core()...); err != nil {
			return nil, err
		}
		for a, n := range coreAliases {
			s.aliases[a] = n
		}
	}
	return s, s.Register(cfg.Commands...)
}

func (s *Session) preset() {
	for name, v := range map[string]any{
		"ErrorActionPreference": "Continue", "WarningPreference": "Continue", "VerbosePreference": "SilentlyContinue",
		"DebugPreference": "SilentlyContinue", "InformationPreference": "SilentlyContinue", "ProgressPreference": "Continue",
		"ConfirmPreference": "High", "WhatIfPreference": false, "FormatEnumerationLimit": int32(4),
		"HOME": `C:\Users\` + s.cfg.User, "PID": int32(1), "PSDefaultParameterValues": object.NewHashtable(),
		"PSVersionTable": versionTable(), "Host": s.hostObject(), "MaximumHistoryCount": int32(4096), "PSCulture": "en-US", "PSUICulture": "en-US",
		"ShellId": "Microsoft.PowerShell", "PSHOME": `C:\Windows\System32\WindowsPowerShell\v1.0`, "OutputEncoding": nil,
	} {
		s.global.set(name, v)
	}
	s.global.set("Error", s.errList)
	for k, v := range s.cfg.Variables {
		s.global.set(k, v)
	}
}

func versionTable() *object.Hashtable {
	h := object.NewHashtable()
	v := object.Version{Major: 5, Minor: 1, Build: 0, Revision: -1}
	h.Set("PSVersion", v)
	h.Set("PSEdition", "Desktop")
	return h
}

func (s *Session) hostObject() *object.Object {
	const space = "System.Management.Automation.Internal.Host.InternalHost"
	size := object.New("System.Management.Automation.Host.Size").Add("Width", int32(s.cfg.Width)).Add("Height", int32(3000))
	raw := object.New(space+"RawUserInterface").Add("WindowTitle", "").Add("BufferSize", size).Add("WindowSize", size)
	return object.New(space).Add("Name", "ConsoleHost").Add("Version", object.Version{Major: 5, Minor: 1, Build: -1, Revision: -1}).
		Add("CurrentCulture", "en-US").Add("UI", object.New(space+"UserInterface").Add("RawUI", raw))
}

// Variable is the value of a global variable.
func (s *Session) Variable(name string) (any, bool) {
	if v := s.global.find(name); v != nil {
		return v.value, true
	}
	return nil, false
}

// SetVariable sets a global variable.
func (s *Session) SetVariable(name string, v any) { s.global.set(name, object.From(v)) }

// ExitCode is $LASTEXITCODE.
func (s *Session) ExitCode() int { return s.exitCode }

// Succeeded is $?: whether the last command wrote no error.
func (s *Session) Succeeded() bool { return s.success }

// Errors is $Error, newest first.
func (s *Session) Errors() []*object.ErrorRecord { return s.errors }

// ObjectContext is what members of values need from this session.
func (s *Session) ObjectContext() *object.Context { return s.ctxObj }

// ErrExit is returned by Run after exit; Code is its number.
type ErrExit struct{ Code int }

func (e *ErrExit) Error() string { return fmt.Sprintf("exit %d", e.Code) }

// Run parses and runs text. out receives each object of the success stream as it comes; name is the file of the text,
// "" for typed input. A parse error is a *syntax.ParseError, an uncaught terminating error an *object.ErrorRecord; it
// has been added to $Error, not written to the error stream.
func (s *Session) Run(ctx context.Context, name, text string, out func(any) error) error {
	script, err := syntax.Parse(name, text)
	if err != nil {
		if pe, ok := errors.AsType[*syntax.ParseError](err); ok {
			s.remember(ParseRecord(pe))
		}
		return err
	}
	return s.RunScript(ctx, script, out)
}

// RunScript runs a parsed script in the global scope.
func (s *Session) RunScript(ctx context.Context, script *syntax.Script, out func(any) error) error {
	if out == nil {
		out = func(any) error { return nil }
	}
	if script.Named {
		return s.finish((&env{s: s, ctx: ctx, scope: s.global, out: out, streams: s.cfg.Streams, src: script.Source}).callScript(script, nil, nil, out))
	}
	e := &env{s: s, ctx: ctx, scope: s.global, out: out, streams: s.cfg.Streams, src: script.Source}
	return s.finish(e.guard(func() error { return e.body(script.End) }))
}

func (s *Session) finish(err error) error {
	s.tries, s.depth = 0, 0
	switch e := err.(type) {
	case nil:
		return nil
	case *termError:
		s.success = false
		if !e.seen {
			s.remember(e.rec)
		}
		return e.rec
	case *flowError:
		if e.kind == "exit" {
			s.exitCode = e.code
			return &ErrExit{e.code}
		}
		return nil
	case *stopError:
		return nil
	}
	return err
}

// remember adds rec to $Error.
func (s *Session) remember(rec *object.ErrorRecord) {
	if len(s.errors) > 0 && s.errors[0] == rec {
		return
	}
	s.errors = append([]*object.ErrorRecord{rec}, s.errors...)
	if len(s.errors) > 256 {
		s.errors = s.errors[:256]
	}
	s.errList.Items = s.errList.Items[:0]
	for _, r := range s.errors {
		s.errList.Items = append(s.errList.Items, r)
	}
}

// ParseRecord is a parse error as a record.
func ParseRecord(pe *syntax.ParseError) *object.ErrorRecord {
	r := object.NewError(pe.ID, object.ParserError, object.TParseException, "%s", pe.Text)
	r.Reason = "ParentContainsErrorRecordException"
	p := position(pe.Source, pe.Extent)
	r.Position = &p
	return r
}

func position(src *syntax.Source, e syntax.Extent) object.Position {
	if src == nil {
		return object.Position{}
	}
	line, col := src.Position(e.Start)
	text := src.Line(e.Start)
	piece := src.Slice(e)
	if i := strings.IndexAny(piece, "\r\n"); i >= 0 {
		piece = piece[:i]
	}
	return object.Position{File: src.Name, Line: line, Column: col, Source: text, Length: len([]rune(piece))}
}

// termError is a terminating error on its way out. script means that it ends the script, not only its statement.
type termError struct {
	rec    *object.ErrorRecord
	script bool
	seen   bool // already in $Error
}

func (e *termError) Error() string { return e.rec.Message() }
func (e *termError) Unwrap() error { return e.rec }

// flowError is break, continue, return or exit on its way out.
type flowError struct {
	kind, label string
	code        int
}

func (e *flowError) Error() string { return e.kind + " outside of a loop" }

// stopError ends what runs before a stage of a pipeline.
type stopError struct {
	run   *pipelineRun
	stage int
}

func (e *stopError) Error() string { return "pipeline stopped" }

// passes reports whether err is not an error of the script but must reach its receiver.
func passes(err error) bool {
	switch err.(type) {
	case *termError, *flowError, *stopError:
		return true
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
