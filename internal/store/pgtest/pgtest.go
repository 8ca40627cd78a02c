// Package pgtest runs a PostgreSQL server for tests: Debian's, in a temporary folder,
// on a Unix socket. Where there is none, tests skip.
package pgtest

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"
)

// A Server is one that runs. It ends with the test that started it.
type Server struct {
	dir, bin string
	cmd      *exec.Cmd
	log      bytes.Buffer
	stores   atomic.Int64
}

// Start starts a server, or skips the test where PostgreSQL is not installed.
func Start(t testing.TB) *Server {
	t.Helper()
	bin, ok := programs()
	if !ok {
		t.Skip("PostgreSQL is not installed: scripts/test-deps.sh")
	}
	dir, err := os.MkdirTemp("", "busybridge-pg") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{dir: dir, bin: bin}
	t.Cleanup(func() {
		if s.cmd != nil {
			s.Kill(t)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	as, err := credential()
	if err != nil {
		t.Skip(err)
	}
	if as != nil {
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := s.command("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s.Run(t)
	return s
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Run starts a server that was killed again.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	s.log.Reset()
	s.cmd = s.command("postgres", "-D", s.data(), "-k", s.dir, "-c", "listen_addresses=", "-c", "max_connections=300",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "logging_collector=off")
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", s.url(""))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for range 600 {
		if err = db.PingContext(t.Context()); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond) // there is nothing that tells
	}
	s.Kill(t)
	t.Fatalf("PostgreSQL does not start: %v\n%s", err, s.log.Bytes())
}

// Kill ends the server as a crash does.
func (s *Server) Kill(t testing.TB) {
	if err := s.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Error(err)
	}
	_ = s.cmd.Wait() // it did not end well
	s.cmd = nil
}

// URL is that of a new, empty store.
func (s *Server) URL(t testing.TB) string {
	t.Helper()
	schema := fmt.Sprintf("store%d", s.stores.Add(1))
	db, err := sql.Open("pgx", s.url(""))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "CREATE SCHEMA "+schema); err != nil {
		t.Fatal(err)
	}
	return s.url(schema)
}

func (s *Server) url(schema string) string {
	q := url.Values{"host": {s.dir}}
	if schema != "" {
		q.Set("search_path", schema)
	}
	return (&url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres", RawQuery: q.Encode()}).String()
}

// replaceHost puts another folder of a socket into the URL.
func replaceHost(of, dir string) string {
	u, err := url.Parse(of)
	if err != nil {
		panic(err) // it is ours
	}
	q := u.Query()
	q.Set("host", dir)
	u.RawQuery = q.Encode()
	return u.String()
}

// command is one of PostgreSQL's programs, which do not run as root.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), filepath.Join(s.bin, name), args...) //nolint:gosec // programs of PostgreSQL, named here
	cmd.Dir = "/"
	as, _ := credential() // Start has seen its error
	// Whatever happens to the test, no server stays behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as, Pdeathsig: syscall.SIGQUIT}
	return cmd
}

// programs is the folder that PostgreSQL's programs are in.
func programs() (dir string, ok bool) {
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is valid
	slices.SortFunc(debian, func(a, b string) int { return len(b)<<8 - len(a)<<8 + bytes.Compare([]byte(b), []byte(a)) })
	for _, d := range debian {
		if _, err := os.Stat(filepath.Join(d, "initdb")); err == nil {
			return d, true
		}
	}
	p, err := exec.LookPath("initdb")
	return filepath.Dir(p), err == nil
}

// credential is the user that servers run as; nil: this one.
func credential() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}
