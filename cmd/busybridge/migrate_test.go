package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"busybridge/internal/store/pgtest"
)

// A deployment moves to PostgreSQL, from a back-up of that into a file again, and is
// the same everywhere.
func TestMigrate(t *testing.T) {
	url := pgtest.Start(t).URL(t)
	dir := t.TempDir()
	t.Setenv(passwordVariable, "a-long-password")
	script, err := os.ReadFile("testdata/script/keys.txtar") // it has a certificate
	if err != nil {
		t.Fatal(err)
	}
	part := func(name string) string {
		_, rest, ok := strings.Cut(string(script), "-- "+name+" --\n")
		if !ok {
			t.Fatalf("there is no %s", name)
		}
		text, _, _ := strings.Cut(rest, "\n-- ")
		return text + "\n"
	}
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, name := range []string{"seal.key", "cert.pem", "key.pem"} {
		write(name, part(name))
	}
	configuration := func(name, store string) string {
		return write(name, "node: {host_names: [mail.contoso.com]}\nstore: {"+store+"}\ntls: {certificate_file: cert.pem, key_file: key.pem}\nseal_key_file: seal.key\n")
	}
	lite, pg, again := configuration("lite.yaml", "path: lite.db"), configuration("pg.yaml", "url: \""+url+"\""), configuration("again.yaml", "path: again.db")
	command := func(want int, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if got := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr); got != want {
			t.Fatalf("busybridge %s: status %d, want %d\n%s%s", strings.Join(args, " "), got, want, stdout.Bytes(), stderr.Bytes())
		}
		return stdout.String() + stderr.String()
	}
	command(0, "setup", "--config", lite, "--organization", "Contoso", "--domain", "contoso.com", "--administrator", "admin@contoso.com")
	keys := command(0, "keys", "--config", lite)
	if !strings.Contains(keys, "Contoso") {
		t.Fatalf("keys: %s", keys)
	}
	from := "sqlite://" + filepath.Join(dir, "lite.db")
	if out := command(0, "migrate", "--from", from, "--to", url); !strings.Contains(out, "organizations                   1  ") {
		t.Errorf("migrate: %s", out)
	}
	if out := command(1, "migrate", "--from", from, "--to", url); !strings.Contains(out, "is not empty") {
		t.Errorf("migrate into a store: %s", out)
	}
	if out := command(1, "migrate", "--from", "sqlite://"+filepath.Join(dir, "none.db"), "--to", url); !strings.Contains(out, "no such file") {
		t.Errorf("migrate nothing: %s", out)
	}
	command(2, "migrate", "--from", from, "--to", from)
	command(2, "migrate", "--from", "lite.db", "--to", url)
	file := filepath.Join(dir, "backup")
	command(0, "backup", "--config", pg, file)
	if out := command(0, "backup", "--verify", file); !strings.Contains(out, "a whole archive of postgres://postgres@") {
		t.Errorf("verify: %s", out)
	}
	command(0, "restore", "--config", again, file)
	for _, config := range []string{pg, again} {
		command(0, "check", "--config", config)
		if out := command(0, "keys", "--config", config); out != keys {
			t.Errorf("%s: keys were\n%s, are\n%s", config, keys, out)
		}
	}
}
