package terminal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHistory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "history")
	h, err := openHistory(file)
	if err != nil {
		t.Fatal(err)
	}
	typed := []string{"Get-Mailbox", "Get-Mailbox", "  ", "if ($a) {\n  'ü'\n}", "$p = ConvertTo-SecureString hidden -AsPlainText -Force", "Get-Date "}
	for _, text := range typed {
		if err := h.add(text); err != nil {
			t.Fatal(err)
		}
	}
	kept := []string{"Get-Mailbox", "if ($a) {\n  'ü'\n}", "$p = ConvertTo-SecureString hidden -AsPlainText -Force", "Get-Date"}
	if diff := cmp.Diff(kept, h.Dump()); diff != "" {
		t.Errorf("in memory: %s", diff)
	}
	for name, want := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700 | os.ModeDir} {
		if st, err := os.Stat(name); err != nil || st.Mode() != want {
			t.Errorf("%s: %v, %v", name, st.Mode(), err)
		}
	}
	again, err := openHistory(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{kept[0], kept[1], kept[3]}, again.Dump()); diff != "" {
		t.Errorf("in the file: %s", diff)
	}
	if text, err := again.GetLine(1); err != nil || text != kept[1] {
		t.Errorf("GetLine(1) = %q, %v", text, err)
	}
	for _, i := range []int{-1, 3} {
		if _, err := again.GetLine(i); err == nil {
			t.Errorf("GetLine(%d) gives no error", i)
		}
	}
}

func TestHistorySecrets(t *testing.T) {
	for text, secret := range map[string]bool{
		`ConvertTo-SecureString "x" -AsPlainText -Force`:          true,
		`New-Mailbox a -Password $p`:                              true,
		`New-Mailbox a -Pass (Get-It)`:                            true,
		`$password = "x"`:                                         true,
		"Get-Thing\n$pwd2 = 'x'":                                  true,
		`New-MsolServicePrincipalCredential -Type Symmetric -V x`: true,
		`New-PartnerApplication -AppSecret x`:                     true,
		`$UserCredential = Get-Credential`:                        false,
		`New-PSSession -Credential $UserCredential`:               false,
		`Set-Variable a 1 -PassThru`:                              false,
		`Get-ChildItem -Path C:\ -Pa x`:                           false,
	} {
		if got := secrets.MatchString(text); got != secret {
			t.Errorf("%q: secret is %v", text, got)
		}
	}
}

func TestHistoryFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	write("\"a\"\nbroken\n\"\"\n[1]\n\"b\"\n\"cut")
	h, err := openHistory(file)
	if diff := cmp.Diff([]string{"a", "b"}, h.Dump()); diff != "" || err != nil {
		t.Errorf("broken lines: %v %s", err, diff)
	}
	if st, err := os.Stat(file); err != nil || st.Mode() != 0o600 {
		t.Errorf("others may read it: %v, %v", st.Mode(), err)
	}
	var long strings.Builder
	for i := range 2*maxHistory + 1 {
		fmt.Fprintf(&long, "\"%d\"\n", i)
	}
	write(long.String())
	h, err = openHistory(file)
	if err != nil || h.Len() != maxHistory || h.texts[0] != fmt.Sprint(maxHistory+1) {
		t.Fatalf("%d texts from %q, %v", h.Len(), h.texts[0], err)
	}
	if again, err := openHistory(file); err != nil || !cmp.Equal(h.texts, again.texts) {
		t.Errorf("after it was shortened: %d texts, %v", again.Len(), err)
	}
	write(strings.Repeat("\""+strings.Repeat("x", 1000)+"\"\n", 5000))
	if h, err = openHistory(file); err != nil || h.Len() > maxHistory {
		t.Errorf("a large file: %d texts, %v", h.Len(), err)
	}
	if st, err := os.Stat(file); err != nil || st.Size() > maxHistoryBytes {
		t.Errorf("a large file stays large: %d, %v", st.Size(), err)
	}
	if _, err := openHistory(filepath.Join(file, "below")); err == nil {
		t.Error("a file as a folder gives no error")
	}
	none, err := openHistory("")
	if err != nil || none.add("a") != nil || none.Len() != 1 {
		t.Errorf("without a file: %v", err)
	}
}
