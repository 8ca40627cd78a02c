package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"

	"busybridge/internal/app/client"
	"busybridge/internal/lab"
)

func TestMain(m *testing.M) {
	testscript.Main(cleaning{m}, map[string]func(){
		"busybridge": func() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// cleaning removes what tests share when they are done.
type cleaning struct{ *testing.M }

func (c cleaning) Run() int {
	code := c.M.Run()
	if templateDir != "" {
		os.RemoveAll(templateDir)
	}
	return code
}

// seedDir is the folder of the article's lines, beside the repository; "" where
// it is absent.
func seedDir() string {
	dir, err := filepath.Abs("../../../shared/seed")
	if err != nil {
		return ""
	}
	if _, err := os.Stat(filepath.Join(dir, "step1.ps1")); err != nil {
		return ""
	}
	return dir
}

// placeholders are what the article's lines leave to the reader.
var placeholders = strings.NewReplacer(
	"<your verified-domain>", "contoso.com",
	"<your tenant initial domain>", "contoso.partner.onmschina.cn",
	"<your service target address>", "contoso.partner.mail.onmschina.cn",
	"<your Office 365 service target address>", "contoso.partner.mail.onmschina.cn",
	"<your on-premises-Autodiscover endpoint>", "https://autodiscover.contoso.com/autodiscover/autodiscover.svc",
	"<your on-premises target address>", "contoso.com",
	"<your on-premises External Web Services URL>", "https://mail.contoso.com/ews/exchange.asmx",
	"<On-Premises Mailbox>", "alice@contoso.com",
	"<external hostname authority of your Exchange On-Premises deployment>", "https://mail.contoso.com",
)

// template is a world that nobody has joined: its people cost seconds of a
// processor, for their passwords, so it is made once and copied.
var template = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "busybridge-template-")
	if err != nil {
		return "", err
	}
	templateDir = dir
	l, err := startLab(filepath.Join(dir, "lab"))
	if err != nil {
		return "", err
	}
	return dir, l.Close()
})

var templateDir string // "" before the template is made

func startLab(dir string) (*lab.Lab, error) {
	return lab.Start(context.Background(), lab.Options{Dir: dir, Now: time.Now, Log: slog.New(slog.DiscardHandler), Out: io.Discard})
}

// bareLab starts a copy of the template.
func bareLab(dir string) (*lab.Lab, error) {
	from, err := template()
	if err != nil {
		return nil, err
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(from, "lab"))); err != nil {
		return nil, err
	}
	return startLab(dir)
}

// What differs from run to run, and what stands for it in golden files.
var changing = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "GUID"},
	{regexp.MustCompile(`\b\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d\d:\d\d [AP]M\b`), "TIME"},
	{regexp.MustCompile(` *\d{1,2}/\d{1,2}/\d{4} +\d{1,2}:\d\d [AP]M\b`), " TIME"},
	{regexp.MustCompile(`\b[0-9A-F]{40}\b`), "THUMBPRINT"},
	{regexp.MustCompile(`\bMII[A-Za-z0-9+/=]{20,}(\.\.\.)?`), "CERTIFICATE"},
	{regexp.MustCompile(`\btmp_[a-z0-9]{8}\.[a-z0-9]{3}\b`), "MODULE"},
	{regexp.MustCompile(`\b[0-9A-F]{8},Microsoft\.`), "HASH,Microsoft."},
	{regexp.MustCompile(`was [0-9]+ minutes ago`), "was MINUTES ago"},
	{regexp.MustCompile(`"(nbf|exp)": "[0-9]+"`), `"$1": "EPOCH"`},
	{regexp.MustCompile(`"(x5t|kid)":"[^"]+"`), `"$1":"KEY"`},
	{regexp.MustCompile(`sts\.chinacloudapi\.cn/[0-9a-f]{4}\.\.\.`), "sts.chinacloudapi.cn/GUID..."},
	{regexp.MustCompile(`[ \t]+\n`), "\n"},
}

// masked is s without what differs from run to run. Lines that the screen's
// width of 120 broke are put together first: a break falls into any word.
func masked(s string) string {
	var b strings.Builder
	full := false
	for line := range strings.Lines(s) {
		text := strings.TrimSuffix(line, "\n")
		if more := strings.TrimLeft(text, " "); full && len(text)-len(more) >= 10 {
			b.WriteString(more)
		} else {
			b.WriteString("\n" + text)
		}
		full = utf8.RuneCountInString(text) == 120
	}
	s = strings.TrimPrefix(b.String(), "\n") + "\n"
	for _, c := range changing {
		s = c.pattern.ReplaceAllString(s, c.with)
	}
	return s
}

// TestScripts runs testdata/script. Commands of our own:
//
//	labup [bare]         a lab in this process, in the directory lab of the script, joined unless bare; it stops with the script
//	seed                 the article's lines, placeholders filled in, in the directory seed and on the lab's C:
//	password ORG FILE    the password of the lab's administrator of ORG; $ADMIN is the user
//	fingerprint stdout   the fingerprint of keys in what a command wrote, as $FINGERPRINT
//	maskcmp stdout FILE  compares without what differs from run to run
//
// The condition [seed] tells whether the article's lines are beside the repository.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("TZ", "Asia/Shanghai")
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "seed" {
				return seedDir() != "", nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"labup": func(ts *testscript.TestScript, neg bool, args []string) {
				l, err := bareLab(ts.MkAbs("lab"))
				ts.Check(err)
				ts.Defer(func() { ts.Check(l.Close()) })
				if len(args) == 0 {
					ts.Check(l.Join(context.Background()))
				}
			},
			"seed": func(ts *testscript.TestScript, neg bool, args []string) {
				ts.Check(copySeed(seedDir(), ts.MkAbs("seed"), ts.MkAbs("lab/drive")))
			},
			"password": func(ts *testscript.TestScript, neg bool, args []string) {
				user, password, err := administrator(ts.MkAbs("lab"), args[0])
				ts.Check(err)
				ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(password+"\n"), 0o600))
				ts.Setenv("ADMIN", user)
			},
			"fingerprint": func(ts *testscript.TestScript, neg bool, args []string) {
				found := fingerprint.FindString(ts.ReadFile(args[0]))
				if found == "" {
					ts.Fatalf("%s has no fingerprint", args[0])
				}
				ts.Setenv("FINGERPRINT", strings.ReplaceAll(found, " ", "-"))
			},
			"maskcmp": func(ts *testscript.TestScript, neg bool, args []string) {
				got := masked(ts.ReadFile(args[0]))
				if *update {
					ts.Check(rewrite(ts.Name(), args[1], got))
					return
				}
				want := ts.ReadFile(args[1])
				if d := cmp.Diff(want, got); d != "" {
					ts.Fatalf("%s and %s differ (-want +got):\n%s\nwhole:\n%s", args[0], args[1], d, got)
				}
			},
		},
	})
}

var fingerprint = regexp.MustCompile(`\d{5}( \d{5}){5}`)

var update = flag.Bool("update", false, "write what maskcmp compares with into the scripts")

// rewrite replaces one file of a script.
func rewrite(script, name, data string) error {
	file := filepath.Join("testdata", "script", script+".txtar")
	a, err := txtar.ParseFile(file)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == name })
	if i < 0 {
		i = len(a.Files)
		a.Files = append(a.Files, txtar.File{Name: name})
	}
	a.Files[i].Data = []byte(data)
	return os.WriteFile(file, txtar.Format(a), 0o644)
}

// copySeed fills in the placeholders of every file below from, and writes them
// to each directory.
func copySeed(from string, to ...string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".ps1" {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		for _, dir := range to {
			file := filepath.Join(dir, rel)
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(placeholders.Replace(string(b))), 0o600)); err != nil {
				return err
			}
		}
		return nil
	})
}

// administrator is the account that lab.json names.
func administrator(dir, org string) (user, password string, err error) {
	f, err := client.ReadLabFile(dir)
	if err != nil {
		return "", "", err
	}
	a, ok := f.Administrator(org)
	if !ok {
		return "", "", fmt.Errorf("the lab has no administrator of %s", org)
	}
	return a.User, a.Password, nil
}
