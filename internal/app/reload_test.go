package app_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"busybridge/internal/app"
	"busybridge/internal/app/config"
	"busybridge/internal/app/shell"
)

// lines passes each line of a log on.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// TestReload asks a node again and again to reload. What can change changes, what
// cannot is named, and a configuration with a fault changes nothing. Then it looks
// for the metrics that the dashboard and the alert rules name.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	pools := map[string]*x509.CertPool{"1": writeCertificate(t, dir, 1)}
	key := make([]byte, 32)
	rand.Read(key)
	file := filepath.Join(dir, "busybridge.yaml")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ops := freePort(t)
	text := `
node: {host_names: [` + host + `]}
listen: 127.0.0.1:0
ops_listen: ` + ops + `
tls: {certificate_file: cert.pem, key_file: key.pem}
seal_key_file: seal.key
drain: {wait: 0s}
log: {level: info}
`
	write("seal.key", base64.StdEncoding.EncodeToString(key))
	write("busybridge.yaml", text)
	load := func() (*config.Config, error) { return config.Load(file, nil) }
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	logged := make(lines, 1000)
	log, level, err := app.NewLogger(cfg.Log, logged)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	listen, ended, asked := make(chan string, 1), make(chan error, 1), make(chan os.Signal)
	go func() {
		ended <- app.Serve(ctx, cfg, slog.New(announced{log.Handler(), listen}), shell.Runspaces, app.Reload{Asked: asked, Load: load, Level: level})
	}()
	var addr string
	select {
	case addr = <-listen:
	case err := <-ended:
		t.Fatal(err)
	}
	// shown fails unless the node shows the certificate of this serial number.
	shown := func(serial string) error {
		conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: host, RootCAs: pools[serial]})
		if err != nil {
			return err
		}
		return conn.Close()
	}
	get := func(path string) string {
		t.Helper()
		resp, err := http.Get("http://" + ops + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	defer http.DefaultClient.CloseIdleConnections()

	for _, step := range []struct {
		name    string
		change  func()
		said    []string // in one or two lines of the log
		level   slog.Level
		serial  string
		success string
	}{
		{"nothing changed", func() {}, []string{`"msg":"reloaded","changed":null`}, slog.LevelInfo, "1", "1"},
		{"the log's level and a certificate under the same name", func() {
			pools["2"] = writeCertificate(t, dir, 2)
			write("busybridge.yaml", strings.Replace(text, "level: info", "level: debug", 1))
		}, []string{`"changed":["log.level"]`}, slog.LevelDebug, "2", "1"},
		{"a file that is no YAML", func() { write("busybridge.yaml", "node: [") }, []string{"reload is refused"}, slog.LevelDebug, "2", "0"},
		{"a limit out of bounds, and a level", func() {
			write("busybridge.yaml", strings.Replace(text, "level: info", "level: error", 1)+"limits: {user_at_once: 0}\n")
		}, []string{"limits.user_at_once: 0 is not between 1 and 65536"}, slog.LevelDebug, "2", "0"},
		{"a certificate whose key is another's", func() {
			write("busybridge.yaml", text)
			pem, err := os.ReadFile(filepath.Join(dir, "cert.pem"))
			if err != nil {
				t.Fatal(err)
			}
			writeCertificate(t, dir, 3)
			write("cert.pem", string(pem))
		}, []string{"private key does not match public key"}, slog.LevelDebug, "2", "0"},
		{"turns within what this node has, and keys that need a restart", func() {
			pools["4"] = writeCertificate(t, dir, 4)
			write("busybridge.yaml", text+"limits: {user_at_once: 3, at_once: 8, in_flight: 999}\nmetadata_refresh: 1h\n")
		}, []string{`"changed":["limits.at_once","limits.user_at_once","log.level"]`, `"keys":["limits.in_flight","metadata_refresh"]`}, slog.LevelInfo, "4", "0"},
		{"turns that only the new in_flight allows", func() {
			write("busybridge.yaml", text+"limits: {at_once: 900, in_flight: 999}\n")
		}, []string{"it needs a restart"}, slog.LevelInfo, "4", "0"},
		{"as at first", func() { write("busybridge.yaml", text) }, []string{`"changed":["limits.at_once","limits.user_at_once"]`}, slog.LevelInfo, "4", "1"},
	} {
		step.change()
		asked <- syscall.SIGHUP
		for _, want := range step.said {
			for line := ""; !strings.Contains(line, want); {
				select {
				case line = <-logged:
				case <-time.After(10 * time.Second):
					t.Fatalf("%s: the log does not say %s", step.name, want)
				}
			}
		}
		if got := level.Level(); got != step.level {
			t.Errorf("%s: the log's level is %v, want %v", step.name, got, step.level)
		}
		if err := shown(step.serial); err != nil {
			t.Errorf("%s: it does not show certificate %s: %v", step.name, step.serial, err)
		}
		want := "busybridge_reload_successful " + step.success + "\n"
		metrics := get("/metrics")
		for range 100 { // the line is logged before the gauge is set
			if strings.Contains(metrics, want) {
				break
			}
			metrics = get("/metrics")
		}
		if !strings.Contains(metrics, want) {
			t.Errorf("%s: no %q", step.name, want)
		}
	}
	knownMetrics(t, get("/metrics"))
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the node ended with %v", err)
	}
}

// knownMetrics fails when the dashboard or the alert rules name a metric that a
// node does not have.
func knownMetrics(t *testing.T, exposition string) {
	known := map[string]bool{"up": true}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(exposition, -1) {
		if m[2] == "histogram" {
			known[m[1]+"_bucket"] = true
		} else {
			known[m[1]] = true
		}
	}
	// These have no sample before there is a key, a source or an attempt.
	for _, name := range []string{"busybridge_key_days_left", "busybridge_calendar_sources", "busybridge_calendar_source_attempts_total"} {
		known[name] = true
	}
	packaging := filepath.Join("..", "..", "packaging")
	rules, err := os.ReadFile(filepath.Join(packaging, "prometheus", "busybridge.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	dashboard, err := os.ReadFile(filepath.Join(packaging, "grafana", "busybridge.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(dashboard, &board); err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{"the alert rules": string(rules)}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			texts["panel "+p.Title] += target.Expr + "\n"
		}
	}
	used := map[string]bool{}
	for where, text := range texts {
		for _, name := range regexp.MustCompile(`\b(?:busybridge|go|process)_[a-z_]+`).FindAllString(text, -1) {
			used[name] = true
			if !known[name] {
				t.Errorf("%s: the program has no metric %s", where, name)
			}
		}
	}
	for name := range known {
		if strings.HasPrefix(name, "busybridge_") && !used[name] {
			t.Errorf("%s is in no panel and no rule", name)
		}
	}
	operations, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	for name := range known {
		if name = strings.TrimSuffix(name, "_bucket"); strings.HasPrefix(name, "busybridge_") && !bytes.Contains(operations, []byte("`"+name+"`")) {
			t.Errorf("docs/operations.md does not know %s", name)
		}
	}
}

// freePort is an address on loopback that nobody listens at.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// TestRollingRestart has clients that ask without a pause, over connections that
// they keep, by two nodes of which one after the other is stopped and started
// again. They go to a node that said it is ready, as a load balancer does. No
// question is lost.
func TestRollingRestart(t *testing.T) {
	const wait = 300 * time.Millisecond
	type node struct {
		addr     string
		ready    atomic.Bool
		stop     context.CancelFunc
		ended    chan error
		answered atomic.Int64
	}
	start := func(n *node) {
		ln, err := net.Listen("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		n.addr, n.ended = ln.Addr().String(), make(chan error, 1)
		var ctx context.Context
		ctx, n.stop = context.WithCancel(context.WithoutCancel(t.Context()))
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(w, r.Body); err != nil {
				t.Error(err)
			}
			n.answered.Add(1)
		})
		drain := app.Drain{Begin: func() { n.ready.Store(false) }, Wait: wait}
		go func() {
			n.ended <- drain.ServeAll(ctx, slog.New(slog.DiscardHandler), app.Listener{Listener: ln, Handler: handler})
		}()
		n.ready.Store(true)
	}
	nodes := []*node{{addr: "127.0.0.1:0"}, {addr: "127.0.0.1:0"}}
	for _, n := range nodes {
		start(n)
	}
	asking, enough := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for c := range 4 {
		clients.Go(func() {
			transports := []*http.Transport{{}, {}}
			defer transports[0].CloseIdleConnections()
			defer transports[1].CloseIdleConnections()
			for i := 0; asking.Err() == nil; i++ {
				at := (c + i) % 2
				if !nodes[at].ready.Load() {
					transports[at].CloseIdleConnections() // nothing is left of a node that went
					at = 1 - at
				}
				n, transport := nodes[at], transports[at]
				want := fmt.Sprint(c, i)
				resp, err := (&http.Client{Transport: transport}).Post("http://"+n.addr, "text/plain", strings.NewReader(want))
				if err != nil {
					t.Errorf("question %s is lost: %v", want, err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || string(got) != want {
					t.Errorf("question %s: answer %q, %v", want, got, err)
					return
				}
			}
		})
	}
	for _, n := range slices.Concat(nodes, nodes) {
		for before := n.answered.Load(); n.answered.Load() < before+100 && !t.Failed(); {
			time.Sleep(time.Millisecond)
		}
		n.stop()
		if err := <-n.ended; err != nil {
			t.Error(err)
		}
		start(n)
	}
	enough()
	clients.Wait()
	for _, n := range nodes {
		n.stop()
		if err := <-n.ended; err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d and %d questions, none lost", nodes[0].answered.Load(), nodes[1].answered.Load())
}
