package interp_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"busybridge/internal/ps/format"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"

	"github.com/google/go-cmp/cmp"
)

// A langCase is one case of a language test file: #number title, input lines behind "> ", expected output. Every case
// starts a fresh session. Records of other streams stand between the output with their prefix; errors show their
// message behind "ERROR: ". A line that begins with ~ is a wildcard pattern.
type langCase struct {
	name  string
	line  int
	input string
	want  []string
}

var update = flag.Bool("update", false, "rewrite the golden files")

var caseHead = regexp.MustCompile(`^#(\d+) (.*)$`)

func parseCases(t *testing.T, file string) []langCase {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []langCase
	for i, line := range strings.Split(string(data), "\n") {
		if m := caseHead.FindStringSubmatch(line); m != nil {
			cases = append(cases, langCase{name: m[1] + " " + m[2], line: i + 1})
			continue
		}
		if len(cases) == 0 {
			if line != "" {
				t.Fatalf("%s:%d: text before the first case", file, i+1)
			}
			continue
		}
		c := &cases[len(cases)-1]
		if in, ok := strings.CutPrefix(line+" ", "> "); ok && len(c.want) == 0 {
			c.input += strings.TrimSuffix(in, " ") + "\n"
			continue
		}
		c.want = append(c.want, line)
	}
	return cases
}

// tidy drops trailing blanks of each line and blank lines at both ends.
func tidy(lines []string) []string {
	var out []string
	for _, l := range lines {
		out = append(out, strings.TrimRight(l, " \t\r"))
	}
	for len(out) > 0 && out[0] == "" {
		out = out[1:]
	}
	for len(out) > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}

// A lineWriter gets whole lines.
type lineWriter func(line string)

func (w lineWriter) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		w(strings.TrimSuffix(line, "\n"))
	}
	return len(p), nil
}

// runCase runs text in a fresh session and gives what a console shows.
func runCase(t *testing.T, text string, commands ...interp.Command) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var lines []string
	limit := 4
	var session *interp.Session
	out := format.NewWriter(lineWriter(func(line string) { lines = append(lines, line) }), format.WriterOptions{Width: 120, Limit: limit})
	message := func(prefix string) interp.Stream {
		return func(v any) error {
			text := ""
			switch m := v.(type) {
			case *object.ErrorRecord:
				text = m.Message()
			case *interp.Message:
				text = m.Text
			default:
				text = fmt.Sprint(v)
			}
			lines = append(lines, strings.Split(prefix+strings.ReplaceAll(text, "\r\n", "\n"), "\n")...)
			return nil
		}
	}
	session, err := interp.New(interp.Config{
		Commands: commands,
		Now:      func() time.Time { return time.Date(2024, 3, 19, 10, 0, 0, 0, time.UTC) }, Host: "EX01", User: "admin",
		Width: 120, Files: newMemoryFiles(), Formatter: &format.Formatter{}, Env: map[string]string{"COMPUTERNAME": "EX01", "SYSTEMDRIVE": "C:"},
		Streams: interp.Streams{
			Error: message("ERROR: "), Warning: message("WARNING: "), Verbose: message("VERBOSE: "), Debug: message("DEBUG: "), Information: message(""),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = session.Run(ctx, "", text, func(v any) error {
		if n, ok := session.Variable("FormatEnumerationLimit"); ok && object.IsNumber(n) {
			if now, _ := n.(int32); int(now) != limit {
				limit = int(now)
				out.SetLimit(limit)
			}
		}
		return out.Write(v)
	})
	if closeErr := out.Close(); closeErr != nil {
		t.Fatal(closeErr)
	}
	if exit := (*interp.ErrExit)(nil); errors.As(err, &exit) {
		err = nil
	}
	if err != nil {
		if r, ok := errors.AsType[*object.ErrorRecord](err); ok {
			err = errors.New(r.Message())
		} else if errors.Is(err, context.DeadlineExceeded) {
			t.Fatal("the script did not end")
		} else if len(session.Errors()) > 0 { // a parse error
			err = errors.New(session.Errors()[0].Message())
		}
		lines = append(lines, "ERROR: "+err.Error())
	}
	return tidy(lines)
}

func TestLanguage(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, file := range files {
		cases := parseCases(t, file)
		total += len(cases)
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					got := runCase(t, c.input)
					want := tidy(c.want)
					for i, w := range want { // patterns take what they match
						if p, ok := strings.CutPrefix(w, "~"); ok && i < len(got) && object.Like(got[i], p) {
							want[i] = got[i]
						}
					}
					if d := cmp.Diff(want, got); d != "" {
						t.Errorf("%s:%d\n%s%s", file, c.line, c.input, d)
					}
				})
			}
		})
	}
	if total < 231+300 {
		t.Errorf("%d cases found, want at least %d", total, 231+300)
	}
}

// memoryFiles is a drive C: in memory.
type memoryFiles struct{ files map[string][]byte }

func newMemoryFiles() *memoryFiles { return &memoryFiles{files: map[string][]byte{}} }

func (m *memoryFiles) FullName(name string) string {
	name = strings.ReplaceAll(name, "/", `\`)
	if len(name) < 2 || name[1] != ':' {
		name = `C:\` + strings.TrimPrefix(strings.TrimPrefix(name, `.\`), `\`)
	}
	return name
}

func (m *memoryFiles) key(name string) string { return strings.ToLower(m.FullName(name)) }

func (m *memoryFiles) ReadFile(name string) ([]byte, error) {
	b, ok := m.files[m.key(name)]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return b, nil
}

func (m *memoryFiles) WriteFile(name string, data []byte) error {
	m.files[m.key(name)] = data
	return nil
}

func (m *memoryFiles) AppendFile(name string, data []byte) error {
	m.files[m.key(name)] = append(m.files[m.key(name)], data...)
	return nil
}

func (m *memoryFiles) Stat(name string) (isFile, isFolder bool) {
	_, ok := m.files[m.key(name)]
	return ok, strings.EqualFold(m.FullName(name), `C:\`)
}

func (m *memoryFiles) Location() string { return `C:\` }
