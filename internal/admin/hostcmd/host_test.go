package hostcmd_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/admin/hostcmd"
	"busybridge/internal/ps/format"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

var noon = time.Date(2024, 3, 19, 12, 0, 0, 0, time.UTC)

// A shell is a session over a folder of its own.
type shell struct {
	*interp.Session
	dir string
	cfg hostcmd.Config
	log strings.Builder // warnings, errors and host output
}

type option func(*hostcmd.Config, *interp.Config)

func newShell(t *testing.T, opts ...option) *shell {
	t.Helper()
	sh := &shell{dir: t.TempDir()}
	drive, err := hostcmd.OpenDrive(sh.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { drive.Close() })
	now := func() time.Time { return noon }
	sh.cfg = hostcmd.Config{Drive: drive, Now: now}
	note := func(v any) error {
		switch m := v.(type) {
		case *interp.Message:
			sh.log.WriteString(m.Kind + ": " + m.Text + "\n")
		case *object.ErrorRecord:
			sh.log.WriteString("Error: " + m.Message() + " [" + m.ID + "]\n")
		}
		return nil
	}
	cfg := interp.Config{
		Now: now, Files: drive, User: "administrator", Env: map[string]string{"SYSTEMDRIVE": "C:"},
		Formatter: &format.Formatter{Views: hostcmd.Views()},
		Streams:   interp.Streams{Error: note, Warning: note, Information: note},
	}
	for _, o := range opts {
		o(&sh.cfg, &cfg)
	}
	commands, err := hostcmd.Commands(sh.cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Commands = append(cfg.Commands, commands...)
	if sh.Session, err = interp.New(cfg); err != nil {
		t.Fatal(err)
	}
	return sh
}

// run gives what a text writes, one value a line, then errors and messages.
func (s *shell) run(t *testing.T, src string) string {
	t.Helper()
	s.log.Reset()
	var out strings.Builder
	err := s.Run(t.Context(), "", src, func(v any) error {
		out.WriteString(object.Display(v) + "\n")
		return nil
	})
	out.WriteString(s.log.String())
	if rec, ok := errors.AsType[*object.ErrorRecord](err); ok {
		out.WriteString("Stop: " + rec.Message() + " [" + rec.ID + "]\n")
	} else if err != nil {
		out.WriteString("Stop: " + err.Error() + "\n")
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// show is what the screen shows of a text.
func (s *shell) show(t *testing.T, src string) string {
	t.Helper()
	var items []any
	if err := s.Run(t.Context(), "", src, func(v any) error { items = append(items, v); return nil }); err != nil {
		t.Fatal(err)
	}
	text, err := s.Format(items)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (s *shell) write(t *testing.T, name, text string) {
	t.Helper()
	full := filepath.Join(s.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(full, noon, noon); err != nil {
		t.Fatal(err)
	}
}

func (s *shell) read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A step is run in a shell after those before it.
type step struct{ src, want string }

func steps(t *testing.T, s *shell, list []step) {
	t.Helper()
	for _, c := range list {
		if diff := cmp.Diff(c.want, s.run(t, c.src)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.src, diff)
		}
	}
}

// prompts answers questions in order and keeps what was asked.
type prompts struct {
	answers []string
	choice  int
	asked   []string
}

func (p *prompts) take(text string) (string, error) {
	p.asked = append(p.asked, text)
	if len(p.answers) == 0 {
		return "", errors.New("nobody is there")
	}
	a := p.answers[0]
	p.answers = p.answers[1:]
	return a, nil
}

func (p *prompts) Line(_ context.Context, text string) (string, error) { return p.take(text) }
func (p *prompts) Secret(_ context.Context, text string) (string, error) {
	return p.take("secret " + text)
}
func (p *prompts) Choice(_ context.Context, _, message string, _ []string, _ int) (int, error) {
	p.asked = append(p.asked, message)
	return p.choice, nil
}

func withPrompt(p *prompts) option {
	return func(_ *hostcmd.Config, c *interp.Config) { c.Prompt = p }
}

func certificate(t *testing.T, name string, end time.Time) *object.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: noon.AddDate(-1, 0, 0), NotAfter: end, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, x, x, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := object.NewCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func withCertificates(list ...*object.Certificate) option {
	return func(c *hostcmd.Config, _ *interp.Config) {
		c.Certificates = func(context.Context) ([]*object.Certificate, error) { return list, nil }
	}
}

func TestCommandsNeedADrive(t *testing.T) {
	if _, err := hostcmd.Commands(hostcmd.Config{}); err == nil {
		t.Error("no error without a drive and a clock")
	}
}

func TestEveryCommandIsExplained(t *testing.T) {
	s := newShell(t)
	commands, err := hostcmd.Commands(s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		if c.Synopsis == "" || len(c.Examples) == 0 || c.Module == "" {
			t.Errorf("%s lacks a synopsis, an example or its module", c.Name)
		}
		for _, p := range s.Lookup(c.Name).Params() {
			if p.Help == "" {
				t.Errorf("%s -%s is not explained", c.Name, p.Name)
			}
		}
	}
}
