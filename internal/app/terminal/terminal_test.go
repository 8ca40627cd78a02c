package terminal_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"busybridge/internal/app/terminal"
	"busybridge/internal/ps/format"
	"busybridge/internal/ps/interp"
)

// askThing asks everything that can be asked.
type askThing struct {
	Kind string `ps:"Kind,position=0,values=Line|Secret|Choice"`
}

func (a *askThing) Run(ctx context.Context, c *interp.Call) error {
	p := c.Prompt()
	if p == nil {
		return errors.New("nobody can be asked")
	}
	var text string
	var err error
	switch a.Kind {
	case "Line":
		text, err = p.Line(ctx, "Supply values:\nName: ")
	case "Secret":
		text, err = p.Secret(ctx, "Password: ")
	default:
		var n int
		n, err = p.Choice(ctx, "Confirm", "Sure?", []string{"&Yes", "Yes to &All", "&No"}, 2)
		text = strconv.Itoa(n)
	}
	if err != nil {
		return err
	}
	return c.Emit("got <" + text + ">")
}

// waitForever waits until it is stopped.
type waitForever struct{}

func (waitForever) Run(ctx context.Context, c *interp.Call) error {
	if err := c.WriteHost(&interp.Message{Text: "waiting"}); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

// newUploadThing has the name that a damaged script runs into its variable.
type newUploadThing struct {
	Name string `ps:"Name,mandatory,position=0"`
}

func (u *newUploadThing) Run(_ context.Context, c *interp.Call) error {
	return c.Emit("uploaded " + u.Name)
}

// open makes a session with the core cmdlets and those above.
func open(t interface{ Fatal(...any) }, streams interp.Streams, prompt interp.Prompt, more ...interp.Command) *interp.Session {
	s, err := interp.New(interp.Config{
		Now:       func() time.Time { return time.Date(2030, 6, 1, 12, 0, 0, 0, time.UTC) },
		Formatter: &format.Formatter{}, Streams: streams, Prompt: prompt,
		Commands: append(more, []interp.Command{
			{Name: "Read-Thing", New: func() interp.Cmdlet { return &askThing{Kind: "Choice"} }},
			{Name: "Wait-Forever", New: func() interp.Cmdlet { return &waitForever{} }},
			{Name: "New-UploadThing", New: func() interp.Cmdlet { return &newUploadThing{} }},
		}...),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type result struct {
	Exit     int
	Out, Err string
}

// config is a terminal over buffers.
func config(t *testing.T, in string) (terminal.Config, *bytes.Buffer, *bytes.Buffer) {
	var out, errs bytes.Buffer
	return terminal.Config{
		Session: open(t, terminal.Streams(&out, &errs, false), nil),
		In:      strings.NewReader(in), Out: &out, Err: &errs, Banner: "banner", Prompt: func() string { return "prompt>" },
	}, &out, &errs
}

func TestRunText(t *testing.T) {
	parse := "At line:1 char:11\n+ $a = \"one\"$b = 'two'; $b\n+           ~~\nUnexpected token '$b' in expression or statement.\n" +
		"    + CategoryInfo          : ParserError: (:) [], ParentContainsErrorRecordException\n    + FullyQualifiedErrorId : UnexpectedToken\n\n"
	boo := "boo\nAt line:1 char:4\n+ 1; throw 'boo'; 2\n+    ~~~~~~~~~~~\n    + CategoryInfo          : OperationStopped: (boo:String) [], RuntimeException\n    + FullyQualifiedErrorId : boo\n\n"
	for _, tc := range []struct {
		name, file, text string
		repair           bool
		want             result
	}{
		{"objects make one table", "", "[pscustomobject]@{A=1}; [pscustomobject]@{A=2}", false, result{0, "\nA\n-\n1\n2\n\n\n", ""}},
		{"exit", "", "1; exit 7; 2", false, result{7, "1\n", ""}},
		{"exit of a file", `C:\x.ps1`, "exit 3", false, result{3, "", ""}},
		{"uncaught error", "", "1; throw 'boo'; 2", false, result{1, "1\n", boo}},
		{"uncaught error of a file", `C:\x.ps1`, "1; throw 'boo'; 2", false, result{1, "1\n", strings.Replace(boo, "line:1", `C:\x.ps1:1`, 1)}},
		{"last command of a line failed", "", "1; Write-Error bad -ErrorAction SilentlyContinue", false, result{1, "1\n", ""}},
		{"an earlier command of a line failed", "", "Write-Error bad -ErrorAction SilentlyContinue; 1", false, result{0, "1\n", ""}},
		{"last command of a file failed", "x.ps1", "1; Write-Error bad -ErrorAction SilentlyContinue", false, result{0, "1\n", ""}},
		{"damaged text", "", `$a = "one"$b = 'two'; $b`, false,
			result{1, "", "The text was damaged on its way. With --repair it runs with these changes:\n  line:1 char:11 a new statement before $b =\n" + parse}},
		{"damaged text, repaired", "", `$a = "one"$b = 'two'; $b`, true,
			result{0, "two\n", "WARNING: The text was damaged on its way. It runs with these changes:\n  line:1 char:11 a new statement before $b =\n"}},
		{"damage by a known command", "", "$Name = 'x'\n.\nif ($true) {\n}\nNew-UploadThing $NameNew-UploadThing -Name y", true,
			result{0, "uploaded x\nuploaded y\n", "WARNING: The text was damaged on its way. It runs with these changes:\n" +
				"  line:2 char:1 a line with nothing but a dot dropped\n  line:5 char:22 a new statement behind $Name\n"}},
		{"text that nothing repairs", "", "1 +", true, result{1, "", "At line:1 char:4\n+ 1 +\n+    ~\nYou must provide a value expression following the '+' operator.\n" +
			"    + CategoryInfo          : ParserError: (:) [], ParentContainsErrorRecordException\n    + FullyQualifiedErrorId : ExpectedValueExpression\n\n"}},
		{"streams", "", "Write-Host h -NoNewline; Write-Host i; Write-Warning w; Write-Verbose v -Verbose; Write-Debug d -Debug; Write-Information n -InformationAction Continue; Write-Progress p; 'o'", false,
			result{0, "hi\no\n", "WARNING: w\nVERBOSE: v\nDEBUG: d\nn\n"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, out, errs := config(t, "")
			c.Repair = tc.repair
			exit, err := terminal.RunText(t.Context(), c, tc.file, tc.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, result{exit, out.String(), errs.String()}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRunTextInterrupted(t *testing.T) {
	c, out, errs := config(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	c.Out = writer(func(p []byte) (int, error) { // the first object ends it
		cancel()
		return out.Write(p)
	})
	exit, err := terminal.RunText(ctx, c, "", "'a'; while ($true) {}")
	if exit != 130 || err != nil || out.String() != "a\n" || errs.String() != "" {
		t.Errorf("exit %d, %v; out %q, err %q", exit, err, out, errs)
	}
}

func TestRunTextOutputGone(t *testing.T) {
	c, _, errs := config(t, "")
	gone := errors.New("gone")
	c.Out = writer(func([]byte) (int, error) { return 0, gone })
	exit, err := terminal.RunText(t.Context(), c, "", "1..1000")
	if exit != 1 || !errors.Is(err, gone) || errs.String() != "" {
		t.Errorf("exit %d, %v; err %q", exit, err, errs)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestInteractiveWithoutTerminal(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, tc := range []struct {
		name, in string
		want     result
	}{
		{"lines", "1 + 1\n\n'b'", result{0, "2\nb\n", ""}},
		{"a text of several lines", "\ufeffforeach ($i in 1..2) {\r\n  \"=$i\"\r\n}\r\n@'\na\n\nb\n'@\n", result{0, "=1\n=2\na\n\nb\n", ""}},
		{"variables stay", "$a = 4\n$a * 2\n", result{0, "8\n", ""}},
		{"exit", "'a'\nexit 5\n'b'\n", result{5, "a\n", ""}},
		{"an error does not end it", "Write-Error bad -ErrorAction SilentlyContinue\n'a'\n", result{0, "a\n", ""}},
		{"the last text failed", "'a'\nWrite-Error bad -ErrorAction SilentlyContinue\n", result{1, "a\n", ""}},
		{"the input ends within a text", "'a'\nif (1) {\n2\n", result{1, "a\n", "At line:1 char:8\n+ if (1) {\n+        ~\nMissing closing '}' in statement block or type definition.\n" +
			"    + CategoryInfo          : ParserError: (:) [], ParentContainsErrorRecordException\n    + FullyQualifiedErrorId : MissingEndCurlyBrace\n\n"}},
		{"nobody can be asked", "try { Read-Thing } catch { \"$_\" }", result{0, "nobody can be asked\n", ""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, out, errs := config(t, tc.in)
			exit, err := terminal.Interactive(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, result{exit, out.String(), errs.String()}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestInteractiveEnds(t *testing.T) {
	t.Run("with its context, though the input waits", func(t *testing.T) {
		c, _, _ := config(t, "")
		r, w := io.Pipe()
		defer w.Close()
		c.In = r
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, _ = io.WriteString(w, "1\n")
			cancel()
		}()
		if exit, err := terminal.Interactive(ctx, c); exit != 130 || err != nil {
			t.Errorf("exit %d, %v", exit, err)
		}
	})
	t.Run("with its input", func(t *testing.T) {
		c, out, _ := config(t, "")
		broken := errors.New("broken")
		c.In = io.MultiReader(strings.NewReader("1\n"), reader(func([]byte) (int, error) { return 0, broken }))
		if exit, err := terminal.Interactive(t.Context(), c); exit != 1 || !errors.Is(err, broken) || out.String() != "1\n" {
			t.Errorf("exit %d, %v, out %q", exit, err, out)
		}
	})
}

type reader func([]byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }

func TestRan(t *testing.T) {
	c, _, _ := config(t, "1\n\nif (1) {\n2}\nWrite-Error bad -ErrorAction SilentlyContinue\nthrow 'x'\nexit\n")
	type ran struct {
		Text   string
		Failed bool
	}
	var got []ran
	c.Ran = func(text string, start, end time.Time, failed bool) {
		if start.IsZero() || end.Before(start) {
			t.Errorf("%q from %v to %v", text, start, end)
		}
		got = append(got, ran{text, failed})
	}
	if _, err := terminal.Interactive(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	want := []ran{{"1", false}, {"if (1) {\n2}", false}, {"Write-Error bad -ErrorAction SilentlyContinue", true}, {"throw 'x'", true}, {"exit", false}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestStreamsPainted(t *testing.T) {
	var out, errs bytes.Buffer
	c := terminal.Config{Session: open(t, terminal.Streams(&out, &errs, true), nil), Out: &out, Err: &errs, Color: true}
	text := `Write-Host a -ForegroundColor Green; Write-Host b -NoNewline; Write-Warning w
Write-Progress Copying -Status files -PercentComplete 40; 7; throw 'boo'`
	exit, err := terminal.RunText(t.Context(), c, "", text)
	if err != nil {
		t.Fatal(err)
	}
	want := result{1, "\x1b[K\x1b[92ma\x1b[0m\n\x1b[Kb\x1b[K7\n", "\x1b[K\x1b[93mWARNING: w\x1b[0m\n\r\x1b[KCopying: files (40%)\r\x1b[K\x1b[91mboo\n" +
		"At line:2 char:62\n+ Write-Progress Copying -Status files -PercentComplete 40; 7; throw 'boo'\n+" + strings.Repeat(" ", 62) + "~~~~~~~~~~~\n" +
		"    + CategoryInfo          : OperationStopped: (boo:String) [], RuntimeException\n    + FullyQualifiedErrorId : boo\n\x1b[0m\n"}
	if diff := cmp.Diff(want, result{exit, out.String(), errs.String()}); diff != "" {
		t.Error(diff)
	}
}

// What a terminal gets holds no control characters of others; what a file gets is as it was.
func TestControlCharacters(t *testing.T) {
	for color, want := range map[bool]result{
		true:  {0, "\x1b[Ka\ufffd[2Jb\n\x1b[Kh\ufffd\ti\ufffdj\n", "\x1b[K\x1b[93mWARNING: w\ufffd\ufffd\x1b[0m\n"},
		false: {0, "a\x1b[2Jb\nh\x07\ti\rj\n", "WARNING: w\u009b\x7f\n"},
	} {
		var out, errs bytes.Buffer
		c := terminal.Config{Session: open(t, terminal.Streams(&out, &errs, color), nil), Out: &out, Err: &errs, Color: color}
		text := "'a\x1b[2Jb'; Write-Host 'h\x07\ti\rj'; Write-Warning 'w\u009b\x7f'"
		exit, err := terminal.RunText(t.Context(), c, "", text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, result{exit, out.String(), errs.String()}); diff != "" {
			t.Errorf("on a terminal %v: %s", color, diff)
		}
	}
}

func TestNotATerminal(t *testing.T) {
	if p := terminal.NewPrompt(strings.NewReader(""), io.Discard); p != nil {
		t.Errorf("NewPrompt = %v", p)
	}
	var out bytes.Buffer
	if err := terminal.Clear(&out); err != nil || out.Len() > 0 {
		t.Errorf("Clear: %v, %q", err, out.String())
	}
}

// BenchmarkRunText is what -c costs beside opening the session.
func BenchmarkRunText(b *testing.B) {
	c := terminal.Config{Out: io.Discard, Err: io.Discard, Session: open(b, interp.Streams{}, nil)}
	for b.Loop() {
		if _, err := terminal.RunText(b.Context(), c, "", "1"); err != nil {
			b.Fatal(err)
		}
	}
}
