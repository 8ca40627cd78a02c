package terminal_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"busybridge/internal/app/terminal"
	"busybridge/internal/ps/interp"
)

// The line editor works on the terminal of its process only. So these tests run this binary again, as a shell on a
// pseudo terminal of its own, type keys and look at what its screen shows.

const childVariable = "BUSYBRIDGE_TERMINAL_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(child())
	}
	os.Exit(m.Run())
}

type fatal struct{}

func (fatal) Fatal(v ...any) { panic(fmt.Sprint(v...)) }

// child is a shell with the commands of the tests.
func child() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var many []interp.Command
	for i := range 100 {
		many = append(many, interp.Command{Name: fmt.Sprintf("Test-Many%dThings", i), New: func() interp.Cmdlet { return &waitForever{} }})
	}
	s := open(fatal{}, terminal.Streams(os.Stdout, os.Stderr, true), terminal.NewPrompt(os.Stdin, os.Stderr), many...)
	exit, err := terminal.Interactive(ctx, terminal.Config{
		Session: s, In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Color: true, Banner: "a banner", Prompt: func() string { return `[PS] C:\>` },
		History: os.Getenv("HISTORY"), Repair: os.Getenv("REPAIR") != "",
	})
	fmt.Println("left with", exit, err)
	return exit
}

// A tty is a shell on a pseudo terminal.
type tty struct {
	t       *testing.T
	master  *os.File
	slave   *os.File
	cmd     *exec.Cmd
	changed chan struct{}

	mu     sync.Mutex
	screen screen // guarded by mu
}

// openPTY opens both ends of a pseudo terminal.
func openPTY(t *testing.T, width, height int) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo terminals here:", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	conn, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	cerr := conn.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			n, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
		if err == nil {
			err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(height), Col: uint16(width)})
		}
	})
	if err = errors.Join(err, cerr); err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo terminals here:", err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	return master, slave
}

// start starts a shell and waits for its first prompt.
func start(t *testing.T, env ...string) *tty {
	t.Helper()
	const width, height = 100, 24 // the tests reach the bottom
	y := &tty{t: t, changed: make(chan struct{}, 1)}
	y.screen.width, y.screen.height = width, height
	y.master, y.slave = openPTY(t, width, height)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	y.cmd = exec.CommandContext(t.Context(), self)
	y.cmd.Env = append([]string{childVariable + "=1", "TERM=xterm", "INPUTRC=/dev/null", "GORACE=atexit_sleep_ms=0", "HOME=" + t.TempDir()}, env...)
	y.cmd.Stdin, y.cmd.Stdout, y.cmd.Stderr = y.slave, y.slave, y.slave
	y.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := y.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		y.pump()
	}()
	t.Cleanup(func() {
		if y.cmd.ProcessState == nil {
			_ = y.cmd.Process.Kill()
			_ = y.cmd.Wait()
		}
		_ = y.master.SetReadDeadline(time.Unix(1, 0))
		<-done
	})
	y.shows("a banner\n" + `[PS] C:\>`)
	return y
}

// pump draws what the shell writes, and answers where the cursor is.
func (y *tty) pump() {
	buf := make([]byte, 4096)
	for {
		n, err := y.master.Read(buf)
		if err != nil {
			return
		}
		y.mu.Lock()
		answer := y.screen.draw(buf[:n])
		y.mu.Unlock()
		if answer != "" {
			if _, err := y.master.WriteString(answer); err != nil {
				return
			}
		}
		select {
		case y.changed <- struct{}{}:
		default:
		}
	}
}

// patience is how long a screen may take.
const patience = 10 * time.Second

// shows waits until the screen ends with text.
func (y *tty) shows(text string) {
	y.t.Helper()
	y.until(text, strings.HasSuffix)
}

func (y *tty) until(text string, is func(screen, text string) bool) {
	y.t.Helper()
	timeout := time.After(patience)
	for {
		y.mu.Lock()
		now := y.screen.String()
		y.mu.Unlock()
		if is(now, text) {
			return
		}
		select {
		case <-y.changed:
		case <-timeout:
			y.t.Fatalf("the screen lacks\n%s\nit shows\n%s", text, now)
		}
	}
}

// sees waits until the screen shows text anywhere.
func (y *tty) sees(text string) {
	y.t.Helper()
	y.until(text, strings.Contains)
}

func (y *tty) keys(keys ...string) {
	y.t.Helper()
	for _, k := range keys {
		if _, err := y.master.WriteString(k); err != nil {
			y.t.Fatal(err)
		}
	}
}

// leaves waits for the shell's end and checks its exit status and that the terminal is as it was.
func (y *tty) leaves(status int) {
	y.t.Helper()
	y.shows(fmt.Sprintf("left with %d <nil>\n", status))
	if err := y.cmd.Wait(); y.cmd.ProcessState.ExitCode() != status {
		y.t.Errorf("exit status: %v", err)
	}
	if !cooked(y.t, y.slave) {
		y.t.Error("the terminal stays in raw mode")
	}
}

func cooked(t *testing.T, f *os.File) bool {
	t.Helper()
	conn, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var state *unix.Termios
	if cerr := conn.Control(func(fd uintptr) { state, err = unix.IoctlGetTermios(int(fd), unix.TCGETS) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	const flags = unix.ICANON | unix.ECHO | unix.ISIG
	return state.Lflag&flags == flags
}

// The keys.
const (
	enter, tab, escape = "\r", "\t", "\x1b"
	ctrlC, ctrlD       = "\x03", "\x04"
	up, down, left     = "\x1b[A", "\x1b[B", "\x1b[D"
	shiftTab           = "\x1b[Z"
)

func paste(text string) string {
	return "\x1b[200~" + strings.ReplaceAll(text, "\n", "\r") + "\x1b[201~"
}

const prompt = "\n" + `[PS] C:\>`

func TestEditor(t *testing.T) {
	t.Parallel()
	y := start(t)
	y.keys("'Grüße – " + "ok'" + enter)
	y.shows("\nGrüße – ok" + prompt)

	y.keys("1 + 3", left, "2", enter)
	y.shows(`1 + 23` + "\n24" + prompt)

	y.keys("if ($true) {" + enter)
	y.shows("if ($true) {\n>>")
	y.keys("'inner'" + enter + "}" + enter)
	y.shows("\ninner" + prompt)

	y.keys("half a line")
	y.shows("half a line")
	y.keys(ctrlC)
	y.shows("half a line" + prompt)
	y.keys("foreach ($i in 1) {" + enter)
	y.shows("\n>>")
	y.keys(ctrlC)
	y.shows("\n>>" + prompt)

	y.keys(up)
	y.shows("if ($true) {\n│        'inner'\n>>       }")
	y.keys(enter)
	y.shows("\ninner" + prompt)
	y.keys(up, up)
	y.shows(prompt + "1 + 23")
	y.keys(down, down, "'after'"+enter)
	y.shows("\nafter" + prompt)

	y.keys("Write-Host open -NoNewline" + enter)
	y.shows("\nopen" + prompt)

	y.keys("1..30" + enter) // to the bottom of the screen
	y.shows("\n29\n30" + prompt)
	long := "'" + strings.Repeat("wide ", 50)
	y.keys(long + "'")
	shown := `[PS] C:\>` + long + "'"
	y.shows("\n30\n" + strings.TrimRight(shown[:100], " ") + "\n" + strings.TrimRight(shown[100:200], " ") + "\n" + shown[200:])
	y.keys(" | out-null" + enter)
	y.shows("' | out-null" + prompt)

	y.keys("exit 4" + enter)
	y.leaves(4)
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	for _, term := range []string{"xterm", "dumb"} {
		t.Run(term, func(t *testing.T) {
			t.Parallel()
			y := start(t, "TERM="+term)
			for _, text := range []string{"Wait-Forever", "Write-Host waiting; while ($true) {}", "Write-Host waiting; Start-Sleep 1000", "1..3 | % { Wait-Forever }"} {
				y.keys(text + enter)
				y.shows("\nwaiting\n")
				y.keys(ctrlC)
				y.shows("\nwaiting\n^C" + prompt)
			}
			y.keys("'alive'" + enter)
			y.shows("\nalive" + prompt)
			y.keys(ctrlD)
			y.leaves(0)
		})
	}
}

func TestPlainOnTerminal(t *testing.T) {
	t.Parallel()
	y := start(t, "TERM=dumb")
	y.keys("if ($true) {\n")
	y.shows("if ($true) {\n>>")
	y.keys("Read-Thing Line }\n")
	y.shows("Supply values:\nName:")
	y.keys("Ä\r")
	y.shows("\ngot <Ä>" + prompt)
	y.keys("exit 2\n")
	y.leaves(2)
}

func TestPaste(t *testing.T) {
	t.Parallel()
	y := start(t)
	y.keys(paste("$a = 5\nforeach ($i in 1..2) {\n\t\"$i – $a\"\n}\n'end'"))
	y.shows("\n│        }\n>>       'end'") // nothing runs yet
	y.keys(enter)
	y.shows("\n1 – 5\n2 – 5\nend" + prompt)

	const question = "Repair\nRun the repaired text?\n[Y] Yes  [N] No  [?] Help (default is \"N\"):"
	glued := "$Name = 'x'$b = 'y'; \"$Name$b\""
	y.keys(paste(glued) + enter)
	y.shows("line:1 char:12: Unexpected token '$b' in expression or statement.\nThe text was damaged on its way. With these changes it runs:\n" +
		"  line:1 char:12 a new statement before $b =\nRepaired:\n    $Name = 'x'\n    $b = 'y'; \"$Name$b\"\n" + question)
	y.keys(enter) // no
	y.shows("Unexpected token '$b' in expression or statement.\n    + CategoryInfo          : ParserError: (:) [], ParentContainsErrorRecordException\n" +
		"    + FullyQualifiedErrorId : UnexpectedToken\n" + prompt)
	y.keys(up, enter)
	y.shows(question)
	y.keys("y" + enter)
	y.shows("\nxy" + prompt)
	y.keys(up, enter)
	y.shows(question)
	y.keys(ctrlC)
	y.shows(question + prompt)
	y.keys(ctrlD)
	y.leaves(0)
}

func TestPasteRepaired(t *testing.T) {
	t.Parallel()
	y := start(t, "REPAIR=1")
	y.keys(paste("$Name = 'x'$b = 'y'; \"$Name$b\"") + enter)
	y.shows("\nWARNING: The text was damaged on its way. It runs with these changes:\n  line:1 char:12 a new statement before $b =\nxy" + prompt)
	y.keys("exit" + enter)
	y.leaves(0)
}

func TestTab(t *testing.T) {
	t.Parallel()
	y := start(t)
	y.keys("new-upl", tab)
	y.shows(prompt + "New-UploadThing")
	y.keys(" 'x' | foreach-obj", tab, " { $_ }"+enter)
	y.shows("ForEach-Object { $_ }\nuploaded x" + prompt)

	y.keys("write-ver", tab, " x -Verb", tab, enter)
	y.shows("\nVERBOSE: x" + prompt)

	y.keys("sort-", tab, " -", tab) // several: the first one, and the menu
	y.shows(prompt + `Sort-Object -Property
-Property <Object[]>   -- The properties to sort by: names, script blocks, or @{Expression={...};...
-Descending            -- Largest first.
-Unique                -- One of several that are equal.
-CaseSensitive         -- Tells upper and lower case apart.
-Culture <String>      -- Accepted; the order is always the one of en-US.
-InputObject <Object>  -- The objects, usually from the pipeline.
-Verbose                               -Debug
-ErrorAction <ActionPreference>        -WarningAction <ActionPreference>
-InformationAction <ActionPreference>  -ErrorVariable <String>
-WarningVariable <String>              -InformationVariable <String>
-OutVariable <String>                  -OutBuffer <Int32>
-PipelineVariable <String>`)
	y.keys(tab)
	y.sees("Sort-Object -Descending\n")
	y.keys(shiftTab)
	y.sees("Sort-Object -Property\n")
	y.keys(shiftTab)
	y.sees("Sort-Object -PipelineVariable\n")
	y.keys(tab, tab, tab+" | out-nu", tab, enter) // a key that is none of the menu's takes what is chosen
	y.shows("Sort-Object -Unique | Out-Null" + prompt)

	y.keys(tab) // more than the screen has room for
	y.sees("\n" + `[PS] C:\>Add-Member` + "\n")
	y.sees(" more; type some letters\nAdd-Member ")
	y.keys(ctrlC)
	y.shows(prompt)
	y.keys("'alive'" + enter)
	y.shows("\nalive" + prompt)
}

func TestQuestions(t *testing.T) {
	t.Parallel()
	y := start(t)
	y.keys("Read-Thing Line" + enter)
	y.shows("Supply values:\nName:")
	y.keys("Jürgéx\x7fn" + enter)
	y.shows("Name: Jürgén\ngot <Jürgén>" + prompt)

	y.keys("$s = Read-Thing Secret" + enter)
	y.shows("Password:")
	y.keys("hidden" + enter)
	y.shows("Password:\n" + `[PS] C:\>`)
	y.keys("$s.Length" + enter)
	y.shows("\n12" + prompt)

	const choices = "Confirm\nSure?\n[Y] Yes  [A] Yes to All  [N] No  [?] Help (default is \"N\"):"
	for answer, want := range map[string]string{"": "2", "a": "1", "YES": "0", "yes to all ": "1"} {
		y.keys("Read-Thing Choice" + enter)
		y.shows(choices)
		y.keys(answer + enter)
		y.shows("\ngot <" + want + ">" + prompt)
	}
	y.keys("Read-Thing Choice" + enter)
	y.shows(choices)
	y.keys("x" + enter + "?" + enter)
	y.shows("?\nY - Yes\nA - Yes to All\nN - No\n[Y] Yes  [A] Yes to All  [N] No  [?] Help (default is \"N\"):")
	y.keys("n" + enter)
	y.shows("\ngot <2>" + prompt)

	for _, key := range []string{ctrlC, ctrlD} { // the command ends, and with it its text
		y.keys("1; Read-Thing Line; 2" + enter)
		y.shows("Name:")
		y.keys("x\x7f", key)
		y.shows("\nName:\n" + `[PS] C:\>`)
	}
	y.keys("exit" + enter)
	y.leaves(0)
}

// The end of the context ends the shell wherever it waits, and the terminal is as it was.
func TestTerminated(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, keys, shows string }{
		{"at the prompt", "", ""},
		{"in a line", "1 + ", "1 +"},
		{"in a command", "Wait-Forever\r", "waiting\n"},
		{"at a question", "Read-Thing Secret\r", "Password:"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			y := start(t)
			y.keys(tc.keys)
			y.shows(tc.shows)
			if err := y.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			y.leaves(130)
		})
	}
}

func TestHistoryAcrossShells(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "dir", "history")
	y := start(t, "HISTORY="+file)
	y.keys("'kept'" + enter)
	y.shows("\nkept" + prompt)
	y.keys("$password = 'hidden'" + enter)
	y.shows("hidden'" + prompt)
	y.keys(up)
	y.shows(prompt + "$password = 'hidden'")
	y.keys(ctrlC)
	y.shows("'hidden'" + prompt)
	y.keys("exit" + enter)
	y.leaves(0)

	text, err := os.ReadFile(file)
	if want := "\"'kept'\"\n\"exit\"\n"; err != nil || string(text) != want {
		t.Fatalf("%q, %v, want %q", text, err, want)
	}
	y = start(t, "HISTORY="+file)
	y.keys(up, up)
	y.shows(prompt + "'kept'")
	y.keys(enter)
	y.shows("\nkept" + prompt)
	y.keys(ctrlD)
	y.leaves(0)
}

// Without a terminal SIGINT ends the shell.
func TestInterruptWithoutTerminal(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]string{"in a command": "Wait-Forever\n", "waiting for a line": "Write-Host waiting\n"} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), self)
			cmd.Env = []string{childVariable + "=1"}
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer stdin.Close()
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := stdin.Write([]byte(in)); err != nil {
				t.Fatal(err)
			}
			out := bufio.NewScanner(stdout)
			var lines []string
			for out.Scan() {
				if lines = append(lines, out.Text()); out.Text() == "waiting" {
					if err := cmd.Process.Signal(os.Interrupt); err != nil {
						t.Fatal(err)
					}
				}
			}
			_ = cmd.Wait() // the status is what counts
			if diff := cmp.Diff([]string{"waiting", "left with 130 <nil>"}, lines); diff != "" || cmd.ProcessState.ExitCode() != 130 {
				t.Error(cmd.ProcessState, diff)
			}
		})
	}
}

func TestClear(t *testing.T) {
	master, slave := openPTY(t, 80, 25)
	if err := terminal.Clear(slave); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	if n, err := master.Read(buf); err != nil || string(buf[:n]) != "\x1b[H\x1b[2J\x1b[3J" {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

// A screen draws what a terminal gets: as much of ECMA-48 as the shell uses.
type screen struct {
	width, height int
	rows          [][]rune
	x, y          int
	pending       []byte // a sequence that is not complete
}

// String is the screen without blanks at the ends of lines and without empty lines below the cursor.
func (s *screen) String() string {
	var lines []string
	last := 0
	for i, r := range s.rows {
		lines = append(lines, strings.TrimRight(string(r), " "))
		if lines[i] != "" || i == s.y {
			last = i + 1
		}
	}
	return strings.Join(lines[:last], "\n")
}

// draw draws bytes; the answer goes to the shell.
func (s *screen) draw(p []byte) (answer string) {
	text := string(append(s.pending, p...))
	s.pending = nil
	for text != "" {
		if text[0] == escape[0] {
			n, reply, ok := s.sequence(text)
			if !ok {
				s.pending = []byte(text)
				return answer
			}
			answer += reply
			text = text[n:]
			continue
		}
		r := []rune(text[:min(len(text), 4)])[0]
		if r == '\ufffd' && len(text) < 4 {
			s.pending = []byte(text)
			return answer
		}
		text = text[len(string(r)):]
		switch r {
		case '\r':
			s.x = 0
		case '\n':
			s.y++
		case '\b':
			s.x = max(0, s.x-1)
		case '\a':
		default:
			if s.x == s.width { // the edge wraps with the next character
				s.x, s.y = 0, s.y+1
			}
			s.scroll()
			s.rows[s.y][s.x] = r
			s.x++
		}
		s.scroll()
	}
	return answer
}

// scroll makes the row of the cursor.
func (s *screen) scroll() {
	blank := func() []rune { return []rune(strings.Repeat(" ", s.width)) }
	for s.y >= s.height {
		s.rows, s.y = s.rows[1:], s.y-1
	}
	for len(s.rows) <= s.y {
		s.rows = append(s.rows, blank())
	}
}

// sequence obeys the escape sequence that text begins with.
func (s *screen) sequence(text string) (n int, answer string, ok bool) {
	if len(text) < 2 {
		return 0, "", false
	}
	if text[1] != '[' {
		if text[1] == 'D' {
			s.y++
			s.scroll()
		}
		return 2, "", true
	}
	end := strings.IndexFunc(text[2:], func(r rune) bool { return r >= 0x40 })
	if end < 0 {
		return 0, "", false
	}
	arg, command := text[2:2+end], text[2+end]
	count, _ := strconv.Atoi(arg)
	times := max(1, count)
	wipe := func(from, to int) {
		for i := from; i < to; i++ {
			s.rows[s.y][i] = ' '
		}
	}
	s.scroll()
	switch command {
	case 'A':
		s.y = max(0, s.y-times)
	case 'B':
		s.y = min(s.height-1, s.y+times)
	case 'C':
		s.x = min(s.width-1, s.x+times)
	case 'D':
		s.x = max(0, s.x-times)
	case 'H':
		s.x, s.y = 0, 0
	case 'K':
		switch count {
		case 0:
			wipe(min(s.x, s.width), s.width)
		case 1:
			wipe(0, min(s.x+1, s.width))
		default:
			wipe(0, s.width)
		}
	case 'J':
		wipe(min(s.x, s.width), s.width)
		s.rows = s.rows[:s.y+1]
	}
	s.scroll()
	return 2 + end + 1, answer, true
}
