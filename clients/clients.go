// Package clients runs programs of others against a lab, so that somebody else's
// reading of the protocol is tested and not only ours. The programs are beside
// it; scripts/test-deps.sh installs what they need.
package clients

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The clients.
const (
	Exchangelib = "exchangelib"        // Python, Debian's python3-exchangelib
	EWSJS       = "ews-javascript-api" // Node, from the npm registry
	GraphJS     = "microsoft-graph-client"
	CalDAV      = "python-caldav" // Debian's python3-caldav
	Vdirsyncer  = "vdirsyncer"    // Debian's package of that name
)

// Names are those that ask by Exchange Web Services; GraphJS asks by Graph, CalDAV and
// Vdirsyncer use calendars.
var Names = []string{Exchangelib, EWSJS}

// interpreters are tried in order; the one on the path may be another Python
// than the one that Debian's packages are installed for.
var pythons = []string{"/usr/bin/python3", "python3"}

// Available returns nil when the client name can run here, or why it cannot.
func Available(name string) error {
	_, err := command(name)
	return err
}

// Run runs the client name with args (the path of a lab.json first) and returns
// its standard output, one JSON object. Standard error is part of the error.
func Run(ctx context.Context, name string, args ...string) ([]byte, error) {
	argv, err := command(name)
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], append(argv[1:], args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// Whatever proxy this machine has, the lab is on loopback.
	cmd.Env = append(os.Environ(), "NO_PROXY=*", "no_proxy=*", "PYTHONDONTWRITEBYTECODE=1")
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return stdout.Bytes(), fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(tail(stderr.String(), 4096)))
	}
	return stdout.Bytes(), nil
}

// command is the interpreter and program of a client.
func command(name string) ([]string, error) {
	dir, err := folder()
	if err != nil {
		return nil, err
	}
	switch name {
	case Exchangelib:
		return python(dir, "exchangelib", "exchangelib", "ask.py")
	case CalDAV:
		return python(dir, "caldav", "calendarprograms", "usecaldav.py")
	case Vdirsyncer:
		return python(dir, "vdirsyncer", "calendarprograms", "usevdirsyncer.py")
	case EWSJS:
		return script(dir, "ask.js", "ews-javascript-api", "@ewsjs/xhr")
	case GraphJS:
		return script(dir, "schedule.js", "@microsoft/microsoft-graph-client")
	}
	return nil, fmt.Errorf("%q is no client; want one of %s", name, strings.Join(append(Names, GraphJS, CalDAV, Vdirsyncer), ", "))
}

// python is a program for the first Python that has the module.
func python(dir, module string, path ...string) ([]string, error) {
	var tried []string
	for _, python := range pythons {
		out, err := exec.Command(python, "-c", "import "+module).CombinedOutput()
		if err == nil {
			return []string{python, filepath.Join(append([]string{dir}, path...)...)}, nil
		}
		tried = append(tried, fmt.Sprintf("%s: %v %s", python, err, lastLine(out)))
	}
	return nil, fmt.Errorf("no Python with %s (%s); run scripts/test-deps.sh", module, strings.Join(tried, "; "))
}

// script is a program for Node that needs the modules.
func script(dir, name string, modules ...string) ([]string, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, fmt.Errorf("no Node.js: %w", err)
	}
	for _, module := range modules {
		if _, err := os.Stat(filepath.Join(dir, "node", "node_modules", module, "package.json")); err != nil {
			return nil, fmt.Errorf("npm package %s is not installed; run scripts/test-deps.sh: %w", module, err)
		}
	}
	return []string{node, filepath.Join(dir, "node", name)}, nil
}

// folder is this package's folder in the source tree, found from the folder of
// whatever test is running.
func folder() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		clients := filepath.Join(dir, "clients")
		_, modErr := os.Stat(filepath.Join(dir, "go.mod"))
		if modErr == nil {
			_, err := os.Stat(filepath.Join(clients, "clients.go"))
			return clients, err
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		return "", fmt.Errorf("the source tree is not here: %w", fs.ErrNotExist)
	}
}

func lastLine(b []byte) string {
	s := strings.TrimSpace(string(b))
	return s[strings.LastIndexByte(s, '\n')+1:]
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + strings.ToValidUTF8(s[len(s)-n:], "")
	}
	return s
}
