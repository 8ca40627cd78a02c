package deptest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// outward are the names of other packages by which a program reaches another
// machine or asks for its address. Only safehttp uses them: what it refuses, the
// program cannot reach. "!" before a name: a type that is not made, but may be
// used as the type of a parameter or a field.
var outward = map[string][]string{
	"net": {"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialIP", "DialUnix", "!Dialer", "!Resolver", "DefaultResolver", "FileConn",
		"LookupHost", "LookupIP", "LookupAddr", "LookupCNAME", "LookupMX", "LookupNS", "LookupPort", "LookupSRV", "LookupTXT",
		"ResolveIPAddr", "ResolveTCPAddr", "ResolveUDPAddr"},
	"net/http":   {"DefaultClient", "DefaultTransport", "Get", "Head", "Post", "PostForm", "!Client", "!Transport", "ProxyFromEnvironment", "ProxyURL", "NewFileTransport", "NewFileTransportFS"},
	"crypto/tls": {"Dial", "DialWithDialer", "!Dialer", "Client"},
	"syscall":    {"Connect", "Sendto", "Socket"},
}

// outwardPackages reach other machines by themselves. None is imported.
var outwardPackages = []string{"net/smtp", "net/rpc", "net/http/httputil", "golang.org/x/net/proxy", "golang.org/x/net/websocket", "golang.org/x/net/http2",
	"golang.org/x/sys/unix", "github.com/gorilla/websocket", "golang.org/x/oauth2", "google.golang.org/grpc", "os/exec", "plugin"}

// outwardExempt are packages that are not the program: they measure and compare.
var outwardExempt = []string{module + "/bench/", module + "/clients/", module + "/internal/deptest", module + "/internal/store/pgtest"}

func TestSafehttpIsTheOnlyWayOut(t *testing.T) {
	checked, safe := 0, 0
	for _, p := range packages(t) {
		if slices.ContainsFunc(outwardExempt, func(e string) bool { return strings.HasPrefix(p.ImportPath+"/", e) || p.ImportPath == e }) {
			continue
		}
		for _, name := range slices.Concat(p.GoFiles, p.IgnoredGoFiles) {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			src, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			found := ways(name, src)
			if path.Base(p.ImportPath) == "safehttp" {
				safe += len(found)
				continue
			}
			checked++
			for _, f := range found {
				t.Errorf("%s/%s: connections are made by safehttp", p.ImportPath, f)
			}
		}
	}
	if checked < 100 || safe == 0 {
		t.Errorf("%d files were checked, %d ways out are in safehttp: the test looks at the wrong files", checked, safe)
	}
}

// ways are the places in a file that lead out.
func ways(name string, src []byte) (found []string) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, 0)
	if err != nil {
		return []string{err.Error()}
	}
	say := func(n ast.Node, what string) {
		found = append(found, fmt.Sprintf("%s: %s", fset.Position(n.Pos()), what))
	}
	local := map[string]string{} // name in the file -> import path
	for _, imp := range f.Imports {
		of := strings.Trim(imp.Path.Value, `"`)
		if slices.ContainsFunc(outwardPackages, func(p string) bool { return of == p || strings.HasPrefix(of, p+"/") }) {
			say(imp, "imports "+of)
		}
		if outward[of] == nil {
			continue
		}
		as := path.Base(of)
		if imp.Name != nil {
			as = imp.Name.Name
		}
		if as == "." {
			say(imp, "imports "+of+" without its name")
		}
		local[as] = of
	}
	named := func(e ast.Expr) (full string, made bool, ok bool) {
		s, isSel := e.(*ast.SelectorExpr)
		if !isSel {
			return "", false, false
		}
		x, isID := s.X.(*ast.Ident)
		if !isID {
			return "", false, false
		}
		names := outward[local[x.Name]]
		if slices.Contains(names, s.Sel.Name) {
			return x.Name + "." + s.Sel.Name, false, true
		}
		return x.Name + "." + s.Sel.Name, true, slices.Contains(names, "!"+s.Sel.Name)
	}
	makes := func(e ast.Expr) {
		if full, made, ok := named(e); ok && made {
			say(e, "makes a "+full)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if full, made, ok := named(n); ok && !made {
				say(n, "uses "+full)
			}
		case *ast.CompositeLit:
			makes(n.Type)
			if list, ok := n.Type.(*ast.ArrayType); ok {
				makes(list.Elt)
			}
		case *ast.CallExpr: // new(http.Client)
			if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "new" && len(n.Args) == 1 {
				makes(n.Args[0])
			}
		case *ast.ValueSpec: // var c http.Client
			if n.Type != nil && len(n.Values) == 0 {
				makes(n.Type)
			}
		}
		return true
	})
	return found
}

func TestWaysAreFound(t *testing.T) {
	const bad = `package x
import (
	web "net/http"
	"net"
	"crypto/tls"
	"os/exec"
	. "net"
)
type holds struct { c *web.Client; t web.Transport; r *net.Resolver }
func f(c *web.Client, ln net.Listener) net.Conn {
	web.Get("x")
	_ = web.DefaultClient
	_ = web.Client{Transport: nil}
	_ = &web.Transport{}
	_ = new(web.Client)
	var zero web.Client
	d := net.Dialer{}
	net.LookupHost("x")
	dial := net.Dial
	tls.Client(nil, nil)
	_ = []web.Client{{}}
	_ = &web.Server{}
	_ = net.Listen
	c.Get("x")
	http.Get("not the package")
	_ = web.StatusOK
	return dial
}`
	var got []string
	for _, f := range ways("x.go", []byte(bad)) {
		got = append(got, strings.Split(f, ":")[1])
	}
	if want := "6 7 11 12 13 14 15 16 17 18 19 20 21"; strings.Join(got, " ") != want {
		t.Errorf("lines %s\nwant  %s", strings.Join(got, " "), want)
	}
}

// decisions are the places that may ask what a caller sees of a calendar: by
// name of the function or method, the packages that use it.
var decisions = map[string][]string{
	"LevelFor": {"availability"},              // a calendar's permissions
	"MaxLevel": {"availability", "directory"}, // organization relationships
	"Cut":      {"availability"},              // what of an entry is shown
}

// The detail level is decided in one place, for every protocol.
func TestDetailLevelIsDecidedInOnePlace(t *testing.T) {
	uses := map[string]int{}
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			src, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, name, src, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				s, ok := n.(*ast.SelectorExpr)
				if !ok || decisions[s.Sel.Name] == nil {
					return true
				}
				if x, ok := s.X.(*ast.Ident); s.Sel.Name == "Cut" && (!ok || x.Name != "freebusy") {
					return true // strings.Cut
				}
				uses[s.Sel.Name]++
				if !slices.Contains(decisions[s.Sel.Name], path.Base(p.ImportPath)) {
					t.Errorf("%s/%s: %s is for availability.Viewer: ask it", p.ImportPath, fset.Position(n.Pos()), s.Sel.Name)
				}
				return true
			})
		}
	}
	for name := range decisions {
		if uses[name] == 0 {
			t.Errorf("nobody uses %s: the test looks for the wrong name", name)
		}
	}
}
