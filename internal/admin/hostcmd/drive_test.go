package hostcmd_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/admin/hostcmd"
	"busybridge/internal/ps/object"
)

func openDrive(t testing.TB) (*hostcmd.Drive, string) {
	t.Helper()
	dir := t.TempDir()
	d, err := hostcmd.OpenDrive(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, dir
}

func TestFullName(t *testing.T) {
	d, _ := openDrive(t)
	for _, c := range []struct{ name, want string }{
		{`C:\OAuthConfig\OAuthCert.cer`, `C:\OAuthConfig\OAuthCert.cer`},
		{`c:/a//b/./c`, `C:\a\b\c`},
		{`a\..\b`, `C:\b`},
		{`..\..\..\b`, `C:\b`},
		{`\b`, `C:\b`},
		{`C:`, `C:\`},
		{`C:b`, `C:\b`},
		{`b. . `, `C:\b`},
		{`Microsoft.PowerShell.Core\FileSystem::C:\b`, `C:\b`},
		{`D:\b`, `D:\b`},
		{`a|b`, `a|b`},
		{``, `C:\`},
	} {
		if got := d.FullName(c.name); got != c.want {
			t.Errorf("%q: got %q, want %q", c.name, got, c.want)
		}
	}
}

// Nothing outside of the folder can be read, written or seen, whatever the name or link.
func TestNothingOutsideIsReached(t *testing.T) {
	d, dir := openDrive(t)
	outside := filepath.Join(t.TempDir(), "secret.txt")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"abs": outside, "folder": filepath.Dir(outside), "rel": filepath.Join("..", filepath.Base(filepath.Dir(outside)), "secret.txt")} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Skip(err)
		}
	}
	names := []string{
		`..\secret.txt`, `C:\..\..\secret.txt`, outside, `C:` + outside, `abs`, `folder\secret.txt`, `FOLDER\secret.txt`, `rel`,
		`\\server\share\x`, `\\?\C:\x`, `\\.\pipe\x`, `D:\secret.txt`, `Cert:\secret.txt`, "a\x00b",
	}
	for _, name := range names {
		if b, err := d.ReadFile(name); err == nil || strings.Contains(err.Error(), dir) {
			t.Errorf("read %q: %q, %v", name, b, err)
		}
	}
	for _, name := range names { // some stay inside and may be written
		if err := d.WriteFile(name, []byte("changed")); err == nil && !strings.HasPrefix(d.FullName(name), `C:\`) {
			t.Errorf("wrote %q", name)
		}
	}
	if b, err := os.ReadFile(outside); err != nil || string(b) != "secret" {
		t.Errorf("the file outside is %q, %v", b, err)
	}
	if names, err := d.List(`C:\`); err != nil || strings.Contains(strings.Join(names, " "), "abs") {
		t.Errorf("links that lead outside are listed: %q, %v", names, err)
	}
}

func TestWindowsNames(t *testing.T) {
	d, dir := openDrive(t)
	for _, name := range []string{
		`nul`, `CON`, `com1.txt`, `C:\a\LPT9`, `aux .x`, `file.txt:stream`, `file.txt::$DATA`, `a*b`, `a?b`, `a<b`, `a"b`, "a\tb", `...`,
		`a\` + strings.Repeat("x", 256), strings.Repeat(`abcdefgh\`, 40) + "x", "a\xffb",
	} {
		if err := d.WriteFile(name, nil); err == nil {
			t.Errorf("wrote %q", name)
		}
	}
	for _, name := range []string{`console.txt`, `com10`, `nul1`, `ärger.txt`, `a [1].txt`, `.hidden`} {
		if err := d.WriteFile(name, []byte("x")); err != nil {
			t.Errorf("write %q: %v", name, err)
		}
	}
	// What Windows cannot name is not there.
	for _, name := range []string{"a:b", "nul.txt", "end.", "back\\slash"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Skip(err)
		}
	}
	got, err := d.List(`C:\`)
	want := []string{".hidden", "a [1].txt", "ärger.txt", "com10", "console.txt", "nul1"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestCaseDoesNotMatter(t *testing.T) {
	d, dir := openDrive(t)
	if err := os.MkdirAll(filepath.Join(dir, "OAuthConfig"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.WriteFile(`c:\oauthCONFIG\Cert.CER`, []byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := d.AppendFile(`C:\OAUTHCONFIG\cert.cer`, []byte("2")); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "OAuthConfig", "Cert.CER")); err != nil || string(b) != "12" {
		t.Errorf("got %q, %v", b, err)
	}
	if b, err := d.ReadFile(`C:\oauthconfig\CERT.cer`); err != nil || string(b) != "12" {
		t.Errorf("got %q, %v", b, err)
	}
	// A name that is spelled exactly wins over one that differs in case.
	if err := os.WriteFile(filepath.Join(dir, "OAuthConfig", "cert.cer"), []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := d.ReadFile(`oauthconfig\cert.cer`); string(b) != "other" && string(b) != "12" || err != nil {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestErrorsOfFiles(t *testing.T) {
	d, dir := openDrive(t)
	if err := os.WriteFile(filepath.Join(dir, "locked.txt"), nil, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	big, err := os.Create(filepath.Join(dir, "big.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(big.Truncate(hostcmd.MaxFile+1), big.Close()); err != nil {
		t.Fatal(err)
	}
	read := func(name string) error { _, err := d.ReadFile(name); return err }
	for _, c := range []struct {
		err   error
		class *object.Type
		want  string
	}{
		{read(`absent.txt`), object.TFileNotFound, `Could not find file 'C:\absent.txt'.`},
		{read(`no\absent.txt`), object.TDirNotFound, `Could not find a part of the path 'C:\no\absent.txt'.`},
		{read(`folder`), object.TUnauthorizedAccess, `Access to the path 'C:\folder' is denied.`},
		{read(`folder\x\y`), object.TDirNotFound, `Could not find a part of the path 'C:\folder\x\y'.`},
		{read(`big.bin`), object.TIOException, `The file 'C:\big.bin' is larger than 64 MiB and cannot be read into memory.`},
		{d.WriteFile(`no\x.txt`, nil), object.TDirNotFound, `Could not find a part of the path 'C:\no\x.txt'.`},
		{d.WriteFile(`locked.txt`, nil), object.TUnauthorizedAccess, `Access to the path 'C:\locked.txt' is denied.`},
		{d.WriteFile(`folder`, nil), object.TUnauthorizedAccess, `Access to the path 'C:\folder' is denied.`},
		{d.WriteFile(`C:\`, nil), object.TUnauthorizedAccess, `Access to the path 'C:\' is denied.`},
		{d.WriteFile(`E:\x`, nil), object.TDriveNotFound, `Cannot find drive. A drive with the name 'E' does not exist.`},
	} {
		x, ok := errors.AsType[*object.Exception](c.err)
		if !ok || x.Message != c.want || x.Type() != c.class {
			t.Errorf("got %v, want %s", c.err, c.want)
		}
	}
}

// The names of a drive never lead anywhere else, and are stable.
func FuzzFullName(f *testing.F) {
	for _, s := range []string{`C:\a\b`, `c:x`, `..\..`, `\\?\x`, `FileSystem::C:\x`, `Certificate::LocalMachine\My`, `a/b`, `nul`, `x:y`, `a. `, `~`, `[a-z]*`} {
		f.Add(s)
	}
	d, dir := openDrive(f)
	f.Fuzz(func(t *testing.T, name string) {
		full := d.FullName(name)
		if again := d.FullName(full); again != full {
			t.Errorf("%q: %q, then %q", name, full, again)
		}
		d.Stat(name)
		if _, err := d.ReadFile(name); err == nil || strings.Contains(err.Error(), dir) {
			t.Errorf("%q: %v", name, err)
		}
	})
}
