// Package caldav starts CalDAV servers of others on loopback, each in a directory of
// its own, for tests that read calendars from them. scripts/test-deps.sh installs them.
package caldav

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The servers, by their Debian packages.
const (
	Radicale = "radicale"
	Xandikos = "xandikos"
	Cyrus    = "cyrus-caldav"
)

// Names are all of them.
var Names = []string{Radicale, Xandikos, Cyrus}

// User and Password open every server; Address is the user's.
const (
	User     = "kim"
	Password = "app-password"
	Domain   = "contoso.com"
	Address  = User + "@" + Domain
)

const cyrusBin = "/usr/lib/cyrus/bin" // of Debian

// programs are what each server needs.
var programs = map[string][]string{
	Radicale: {"/usr/bin/radicale"}, // with Debian's Python, whatever the path finds
	Xandikos: {"/usr/bin/xandikos"},
	Cyrus:    {cyrusBin + "/master", cyrusBin + "/httpd", cyrusBin + "/imapd", "/usr/sbin/saslpasswd2"},
}

// Available returns nil when the server can run here, or why it cannot.
func Available(name string) error {
	for _, p := range programs[name] {
		if _, err := os.Stat(p); err != nil {
			return fmt.Errorf("%s is not installed; run scripts/test-deps.sh: %w", name, err)
		}
	}
	if len(programs[name]) == 0 {
		return fmt.Errorf("%q is no server; want one of %s", name, strings.Join(Names, ", "))
	}
	if name == Cyrus && os.Getuid() != 0 {
		return errors.New("Cyrus is started by root only")
	}
	return nil
}

// A Server runs until Stop.
type Server struct {
	Name    string
	Version string
	Address string // host and port, of plain HTTP
	Home    string // path of the user's calendars, with a slash at the end
	cmd     *exec.Cmd
	log     *os.File
	client  *http.Client
}

// Start starts a server in an empty directory, with one user.
func Start(ctx context.Context, name, dir string) (_ *Server, err error) {
	if err := Available(name); err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	s := &Server{Name: name, Address: ports[0], Version: version(ctx, name), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", name, errors.Join(err, s.Stop()))
		}
	}()
	write := func(file, text string) {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file), []byte(strings.NewReplacer("DIR", dir, "BIN", cyrusBin, "HTTP", ports[0], "IMAP", ports[1]).Replace(text)), 0o600)
		}
	}
	var argv []string
	switch name {
	case Radicale:
		write("users", User+":"+Password+"\n")
		write("config", "[server]\nhosts = HTTP\n[auth]\ntype = htpasswd\nhtpasswd_filename = DIR/users\nhtpasswd_encryption = plain\ndelay = 0\n[rights]\ntype = owner_only\n[storage]\nfilesystem_folder = DIR/collections\n[logging]\nlevel = warning\n")
		s.Home, argv = "/"+User+"/", []string{programs[name][0], "--config", filepath.Join(dir, "config")}
	case Xandikos:
		host, port, _ := net.SplitHostPort(ports[0])
		s.Home, argv = "/"+User+"/calendars/", []string{programs[name][0], "-d", filepath.Join(dir, "root"), "--defaults", "--current-user-principal", "/" + User + "/", "-l", host, "-p", port}
		err = os.Mkdir(filepath.Join(dir, "root"), 0o700)
	case Cyrus:
		write("imapd.conf", cyrusConf)
		write("cyrus.conf", cyrusServices)
		if err == nil {
			err = prepareCyrus(dir)
		}
		s.Home, argv = "/dav/calendars/user/"+User+"/", []string{programs[name][0], "-C", filepath.Join(dir, "imapd.conf"), "-M", filepath.Join(dir, "cyrus.conf"), "-p", filepath.Join(dir, "master.pid")}
	}
	if err != nil {
		return nil, err
	}
	if s.log, err = os.Create(filepath.Join(dir, "server.log")); err != nil {
		return nil, err
	}
	s.cmd = exec.Command(argv[0], argv[1:]...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = dir, s.log, s.log
	s.cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "HOME="+dir, "GIT_CONFIG_NOSYSTEM=1")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if err := listening(ctx, ports[0]); err != nil {
		return nil, err
	}
	if name == Cyrus {
		if err := cyrusMailbox(ctx, ports[1]); err != nil {
			return nil, err
		}
	}
	// The first request of a user makes what calendars hang from.
	_, err = s.Do(ctx, "PROPFIND", s.Home, "", nil)
	return s, err
}

// Stop ends the server and its children.
func (s *Server) Stop() error {
	var errs []error
	if s.cmd != nil && s.cmd.Process != nil {
		errs = append(errs, syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL))
		_ = s.cmd.Wait() // killed: it is an error in every case
		s.cmd = nil
	}
	if s.log != nil {
		errs = append(errs, s.log.Close())
		s.log = nil
	}
	return errors.Join(errs...)
}

// Do makes one request as the user. A status that is not 2xx is an error, as is the
// multistatus by which Xandikos refuses an object.
func (s *Server) Do(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.Address+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(User, Password)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode/100 != 2 || method == http.MethodPut && resp.StatusCode == http.StatusMultiStatus) {
		err = fmt.Errorf("%s %s: %s: %.300s", method, path, resp.Status, b)
	}
	return b, err
}

// MakeCalendar makes a calendar below the home.
func (s *Server) MakeCalendar(ctx context.Context, name string) error {
	_, err := s.Do(ctx, "MKCALENDAR", s.Home+name+"/", "", nil)
	return err
}

// Put puts an object into a calendar.
func (s *Server) Put(ctx context.Context, calendar, name string, text []byte) error {
	_, err := s.Do(ctx, http.MethodPut, s.Home+calendar+"/"+name, "text/calendar; charset=utf-8", text)
	return err
}

// version is that of the Debian package; "": not known.
func version(ctx context.Context, name string) string {
	out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Version}", name).Output()
	if err != nil {
		return ""
	}
	return string(out)
}

const (
	cyrusUser = "cyrus"
	cyrusConf = `configdirectory: DIR/conf
proc_path: DIR/proc
mboxname_lockpath: DIR/lock
defaultpartition: default
partition-default: DIR/spool
httpmodules: caldav
servername: ` + cyrusHost + `
calendar_user_address_set: ` + Domain + `
caldav_create_attach: no
unixhierarchysep: yes
virtdomains: off
allowplaintext: yes
admins: ` + cyrusUser + `
sasl_mech_list: PLAIN
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: DIR/sasldb
`
	cyrusHost     = "calendar.contoso.com"
	cyrusServices = `START {
  recover cmd="BIN/ctl_cyrusdb -C DIR/imapd.conf -r"
}
SERVICES {
  imap cmd="BIN/imapd -C DIR/imapd.conf" listen="IMAP" prefork=0 maxchild=2
  http cmd="BIN/httpd -C DIR/imapd.conf" listen="HTTP" prefork=0 maxchild=20
}
EVENTS {
}
`
)

// prepareCyrus makes directories and passwords, for the user that Cyrus runs as.
func prepareCyrus(dir string) error {
	for _, d := range []string{"proc", "lock", "spool", "conf/db", "conf/db.backup", "conf/socket", "conf/user", "conf/quota", "conf/log", "conf/msg"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o750); err != nil {
			return err
		}
	}
	for _, u := range []string{cyrusUser, User} {
		cmd := exec.Command("saslpasswd2", "-f", filepath.Join(dir, "sasldb"), "-p", "-c", "-u", cyrusHost, u)
		cmd.Stdin = strings.NewReader(Password + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("saslpasswd2: %w: %s", err, out)
		}
	}
	u, err := user.Lookup(cyrusUser)
	if err != nil {
		return err
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	// The directories of a test belong to who runs it: others may pass through them.
	for d := filepath.Dir(dir); d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o711); err != nil {
			return err
		}
	}
	return filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(name, uid, gid))
	})
}

// cyrusMailbox makes the mailbox that calendars hang from, by IMAP.
func cyrusMailbox(ctx context.Context, address string) error {
	if err := listening(ctx, address); err != nil {
		return err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	if _, err := in.ReadString('\n'); err != nil {
		return err
	}
	for _, command := range []string{"LOGIN " + cyrusUser + " " + Password, "CREATE user/" + User} {
		if _, err := fmt.Fprintf(conn, "a %s\r\n", command); err != nil {
			return err
		}
		line, err := in.ReadString('\n')
		if err == nil && !strings.HasPrefix(line, "a OK") {
			err = fmt.Errorf("%s: %s", strings.Fields(command)[0], strings.TrimSpace(line))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// listening waits until something takes connections at the address.
func listening(ctx context.Context, address string) error {
	for try := 0; ; try++ {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		if try == 1000 || ctx.Err() != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// freePorts are addresses on loopback that nobody listens at.
func freePorts(n int) (list []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		list = append(list, l.Addr().String())
	}
	return list, nil
}
