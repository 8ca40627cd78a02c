package deptest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// imports is the table of the imports between the parts of the program. In
// "a < b", b may import a and all that a may import. A name stands for the
// folder of that name and all below it. docs/architecture.md shows the same lines.
const imports = `
# Formats, plain values, the record of who did what and the report of a diagnosis
# need nothing of ours.
NONE < spec, freebusy, audit, diagnose
# A language knows formats only.
spec < ps
# So do clients for other servers, and the wire of the language's sessions: a
# bearer token reaches a client as an http.RoundTripper.
ps < dial
# Objects and their rules.
spec, freebusy < directory
# Two decisions over the objects: where an address lives, and whom to believe.
directory, audit < routing, trust
# The engine declares what it needs of calendars and peers; it imports neither.
routing, trust < availability
# Changes never reach around the interfaces: no store, no source.
routing, trust, ps, diagnose < admin
# Servers turn bytes into questions; app hands them what they need: no source,
# dial, store or admin.
availability, ps < serve
# Sources ask others, and know nothing of each other.
routing, dial < source
# A store keeps objects and the audit's events.
directory, audit < store
# Only app sees all; lab is made of whole apps.
serve, admin, source, store < app
app < lab
lab < cmd, bench
# Tests of the repository and of outside clients, and what tests share, are not
# part of the program.
NONE < deptest, growthtest, clients
`

// apart are the folders whose children do not import each other. A conformance
// test beside them (…test) may be imported by its family's tests only.
var apart = []string{"source", "store"}

// trunk is what the children of store have in common.
const trunk = module + "/internal/store/sqlstore"

// pure are the parts that do no I/O, and packages that would let them.
var (
	pure = []string{"freebusy", "routing", "directory"}
	doIO = []string{"database/sql", "io/fs", "net/http", "os", "os/exec", "log"}
)

// testOnly are modules that the binary must not hold.
var testOnly = []string{"pgregory.net/rapid", "github.com/google/go-cmp", "go.uber.org/goleak", "github.com/rogpeppe/go-internal", "github.com/prometheus/client_golang/prometheus/testutil", "testing"}

// A pkg is what go list says of a package.
type pkg struct {
	ImportPath, Name, Dir             string
	Imports                           []string
	GoFiles, CgoFiles, IgnoredGoFiles []string
	TestGoFiles, XTestGoFiles         []string
	DepOnly                           bool
	Error                             *struct{ Err string }
}

const module = "busybridge"

// root is the folder with go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.mod in any parent folder")
		}
		dir = filepath.Dir(dir)
	}
}

var list = sync.OnceValues(func() ([]pkg, error) {
	out, err := exec.Command("go", "list", "-e", "-json=ImportPath,Name,Dir,Imports,GoFiles,CgoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles", module+"/...").Output()
	if err != nil {
		if ee, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, ee.Stderr)
		}
		return nil, fmt.Errorf("go list: %w", err)
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		all = append(all, p)
	}
})

func packages(t *testing.T) []pkg {
	t.Helper()
	all, err := list()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("go list shows %d packages", len(all))
	}
	return all
}

// unit is the part that an import path belongs to: spec of
// busybridge/internal/spec/ical; "" for a package of others.
func unit(importPath string) string {
	rest, ok := strings.CutPrefix(importPath, module+"/")
	if !ok {
		return ""
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(rest, "internal/"), "/")
	return first
}

// rules parses a table into unit -> units that it may import, transitively.
func rules(table string) (map[string]map[string]bool, error) {
	may := map[string]map[string]bool{}
	for line := range strings.Lines(table) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		left, right, ok := strings.Cut(line, " < ")
		if !ok {
			return nil, fmt.Errorf("line %q is not of the form a < b", line)
		}
		for b := range strings.SplitSeq(right, ", ") {
			if may[b] != nil {
				return nil, fmt.Errorf("%s has two lines", b)
			}
			may[b] = map[string]bool{}
			for a := range strings.SplitSeq(left, ", ") {
				if a == "NONE" {
					continue
				}
				if may[a] == nil {
					return nil, fmt.Errorf("%s is used in %q before its own line", a, line)
				}
				may[b][a] = true
				for below := range may[a] {
					may[b][below] = true
				}
			}
		}
	}
	return may, nil
}

func TestImports(t *testing.T) {
	may, err := rules(imports)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages(t) {
		u := unit(p.ImportPath)
		allowed, known := may[u]
		if !known {
			t.Errorf("%s: no line of the table names %s", p.ImportPath, u)
			continue
		}
		for _, imp := range p.Imports {
			v := unit(imp)
			switch {
			case v == "" && slices.Contains(pure, u) && slices.Contains(doIO, imp):
				t.Errorf("%s imports %s: it does no I/O", p.ImportPath, imp)
			case v == "" || strings.HasSuffix(path.Base(p.ImportPath), "test") && v != u:
			case imp == trunk && u == "store":
			case v == u && slices.Contains(apart, u):
				t.Errorf("%s imports %s: those of %s know nothing of each other", p.ImportPath, imp, u)
			case v != u && !allowed[v]:
				t.Errorf("%s imports %s: %s may not import %s", p.ImportPath, imp, u, v)
			}
		}
	}
}

// The documentation draws the table that the test holds.
func TestArchitectureShowsTheTable(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join(root(t), "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(doc), "```imports\n")
	block, _, ok2 := strings.Cut(rest, "```")
	if !ok || !ok2 {
		t.Fatal("docs/architecture.md has no block of imports")
	}
	want, err := rules(imports)
	if err != nil {
		t.Fatal(err)
	}
	got, err := rules(block)
	if err != nil {
		t.Fatal(err)
	}
	for u := range want {
		if fmt.Sprint(got[u]) != fmt.Sprint(want[u]) {
			t.Errorf("%s: docs/architecture.md says %v, the test %v", u, got[u], want[u])
		}
	}
	if len(got) != len(want) {
		t.Errorf("docs/architecture.md names %d parts, the test %d", len(got), len(want))
	}
}

func TestRulesAreTransitiveAndStrict(t *testing.T) {
	may, err := rules("NONE < a\na < b\n# why\nb < c, d")
	if err != nil {
		t.Fatal(err)
	}
	if !may["d"]["a"] || may["a"]["d"] || may["c"]["d"] {
		t.Errorf("got %v", may)
	}
	for _, bad := range []string{"a", "x < b", "NONE < a\nNONE < a"} {
		if _, err := rules(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// A package is found by its last name alone, and the name says what it gives.
func TestNames(t *testing.T) {
	banned := []string{"util", "utils", "common", "helper", "helpers", "types", "core", "misc", "shared", "base", "lib", "model", "models"}
	seen := map[string]string{}
	for _, p := range packages(t) {
		leaf := path.Base(p.ImportPath)
		if other := seen[leaf]; other != "" {
			t.Errorf("%s and %s have the same last name", p.ImportPath, other)
		}
		seen[leaf] = p.ImportPath
		if slices.Contains(banned, leaf) {
			t.Errorf("%s: %q does not say what the package gives", p.ImportPath, leaf)
		}
		if p.Name != "main" && p.Name != leaf {
			t.Errorf("%s is package %s", p.ImportPath, p.Name)
		}
		if len(p.CgoFiles) > 0 {
			t.Errorf("%s uses cgo: %v", p.ImportPath, p.CgoFiles)
		}
		for _, imp := range p.Imports {
			if slices.ContainsFunc(testOnly, func(m string) bool { return imp == m || strings.HasPrefix(imp, m+"/") }) && !strings.HasSuffix(leaf, "test") {
				t.Errorf("%s imports %s outside a test", p.ImportPath, imp)
			}
		}
	}
}

// defaults are the names of net/http that use a client, a transport or a mux
// that everybody shares, without time-outs and without our checks of addresses.
var defaults = []string{"DefaultClient", "DefaultTransport", "DefaultServeMux", "Get", "Head", "Post", "PostForm", "Handle", "HandleFunc", "ListenAndServe", "ListenAndServeTLS"}

func TestSource(t *testing.T) {
	for _, p := range packages(t) {
		for _, name := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles, p.IgnoredGoFiles) {
			file := filepath.Join(p.Dir, name)
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range findings(t, name, src, path.Base(p.ImportPath) == "safehttp") {
				t.Errorf("%s/%s", p.ImportPath, f)
			}
		}
	}
}

// findings are the places in a file that break a rule.
func findings(t *testing.T, name string, src []byte, isSafehttp bool) []string {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, 0)
	if err != nil {
		return []string{err.Error()}
	}
	test := strings.HasSuffix(name, "_test.go")
	var found []string
	say := func(n ast.Node, text string) {
		found = append(found, fmt.Sprintf("%s: %s", fset.Position(n.Pos()), text))
	}
	httpName := ""
	for _, imp := range f.Imports {
		if imp.Path.Value == `"net/http"` {
			httpName = "http"
			if imp.Name != nil {
				httpName = imp.Name.Name
			}
		}
	}
	ofHTTP := func(e ast.Expr, names ...string) string {
		s, ok := e.(*ast.SelectorExpr)
		if !ok || httpName == "" {
			return ""
		}
		if x, ok := s.X.(*ast.Ident); ok && x.Name == httpName && slices.Contains(names, s.Sel.Name) {
			return s.Sel.Name
		}
		return ""
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				say(n, "an init function: what is needed arrives in a struct")
			}
		case *ast.KeyValueExpr:
			if id, ok := n.Key.(*ast.Ident); ok && id.Name == "InsecureSkipVerify" {
				say(n, "InsecureSkipVerify: certificates are verified always")
			}
		case *ast.AssignStmt:
			for _, l := range n.Lhs {
				if s, ok := l.(*ast.SelectorExpr); ok && s.Sel.Name == "InsecureSkipVerify" {
					say(n, "InsecureSkipVerify: certificates are verified always")
				}
			}
		case *ast.SelectorExpr:
			if d := ofHTTP(n, defaults...); d != "" && !isSafehttp && !test {
				say(n, "http."+d+": use a client of safehttp, a server with time-outs")
			}
		case *ast.CompositeLit:
			if ofHTTP(n.Type, "Client") != "" && !isSafehttp && !test && !slices.ContainsFunc(n.Elts, func(e ast.Expr) bool {
				kv, ok := e.(*ast.KeyValueExpr)
				return ok && kv.Key.(*ast.Ident).Name == "Transport"
			}) {
				say(n, "http.Client without Transport is the default transport: use safehttp")
			}
		}
		return true
	})
	return found
}

// The rules find what they are for.
func TestFindings(t *testing.T) {
	const bad = `package x
import web "net/http"
func init() {}
func f() {
	_ = &tls.Config{InsecureSkipVerify: true}
	cfg.InsecureSkipVerify = off
	web.Get("x")
	_ = web.DefaultClient
	_ = web.Client{}
	_ = &web.Client{Timeout: 1}
	_ = &web.Client{Transport: rt}
	http.Get("not the package")
	x.Get("y")
}`
	lines := func(found []string) string {
		var at []string
		for _, f := range found {
			at = append(at, strings.Split(f, ":")[1])
		}
		return strings.Join(at, " ")
	}
	if got := lines(findings(t, "x.go", []byte(bad), false)); got != "3 5 6 7 8 9 10" {
		t.Errorf("lines %s", got)
	}
	if got := lines(findings(t, "x_test.go", []byte(bad), false)); got != "3 5 6" {
		t.Errorf("in a test: lines %s", got)
	}
	if got := lines(findings(t, "x.go", []byte(bad), true)); got != "3 5 6" {
		t.Errorf("in safehttp: lines %s", got)
	}
}

// Nothing in the repository names a place on the machine of whoever wrote it.
// The words are put together here, or this file would be found.
var machinePath = regexp.MustCompile(`(^|[^A-Za-z0-9_.~:/-])/(` + strings.Join([]string{"wor" + "k", "roo" + "t"}, "|") + `)[/"'` + "`" + `\s)]`)

func TestNoMachinePaths(t *testing.T) {
	dir := root(t)
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("not a git checkout: %v", err)
	}
	n := 0
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted, not committed yet
		}
		if err != nil {
			t.Error(err)
			continue
		}
		n++
		for i, line := range bytes.Split(data, []byte("\n")) {
			if machinePath.Match(line) {
				t.Errorf("%s:%d: names a path of one machine: %.120s", name, i+1, line)
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d files were read", n)
	}
	for s, want := range map[string]bool{"at /wor" + "k/main x": true, "\"/roo" + "t/x\"": true, "https://x.example/wor" + "k/": false, "a/wor" + "k/b": false, "/roo" + "ts/x": false} {
		if machinePath.MatchString(s) != want {
			t.Errorf("%q: want %v", s, want)
		}
	}
}
