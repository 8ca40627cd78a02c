package clients_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"busybridge/clients"
)

func TestUnknownClient(t *testing.T) {
	if err := clients.Available("outlook"); err == nil || !strings.Contains(err.Error(), `"outlook" is no client`) {
		t.Errorf("got %v", err)
	}
}

// The library itself must run and fail for the reason that it names: there is
// no server. That it succeeds is tested with a lab.
func TestErrorsNameTheCause(t *testing.T) {
	const lab = `{"port": 1, "ca_file": "ca.pem", "hosts": {"mail.contoso.com": "127.0.0.1"},
		"mailboxes": [{"address": "ana@contoso.com", "org": "onprem", "user": "u", "password": "hunter2"}, {"address": "li@contoso.com", "org": "cloud", "user": "u", "password": "p"}],
		"urls": {"ews_onprem": "https://mail.contoso.com/EWS/Exchange.asmx", "ews_cloud": "https://mail.contoso.com/EWS/Exchange.asmx",
		"graph_onprem": "https://mail.contoso.com/v1.0", "graph_cloud": "https://mail.contoso.com/v1.0"}}`
	for _, name := range append(clients.Names, clients.GraphJS) {
		t.Run(name, func(t *testing.T) {
			if err := clients.Available(name); err != nil {
				t.Skip(err)
			}
			dir := t.TempDir()
			for file, text := range map[string]string{"lab.json": lab, "ca.pem": ""} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			out, err := clients.Run(t.Context(), name, filepath.Join(dir, "lab.json"))
			if err == nil {
				t.Fatalf("succeeded: %s", out)
			}
			t.Log(err)
			if !strings.Contains(strings.ToLower(err.Error()), "refused") {
				t.Errorf("the cause is not named: %v", err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("a password is in the error")
			}
			if _, err := clients.Run(t.Context(), name, filepath.Join(dir, "none.json")); err == nil || !strings.Contains(err.Error(), "none.json") {
				t.Errorf("no lab.json: %v", err)
			}
		})
	}
}
