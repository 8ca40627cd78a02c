package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"busybridge/bench/dataset"
	"busybridge/bench/meter"
)

// A cyrus is C: Cyrus IMAP with the same data set, asked by a free/busy request
// to a calendar user's outbox (RFC 6638 5).
type cyrus struct {
	*meter.Child
	dir      string
	temp     bool
	imap     string // addresses
	http     string
	password string
	client   *http.Client
	loaded   time.Duration // 0: it was loaded by an earlier run
}

const (
	cyrusBin    = "/usr/lib/cyrus/bin" // of Debian
	cyrusUser   = "cyrus"
	cyrusSecret = "bench"
)

// findCyrus says why Cyrus cannot be run here; nil: it can.
func findCyrus() error {
	if _, err := os.Stat(filepath.Join(cyrusBin, "httpd")); err != nil {
		return errors.New("Cyrus is not installed")
	}
	if _, err := exec.LookPath("saslpasswd2"); err != nil {
		return errors.New("saslpasswd2 is not installed")
	}
	if os.Getuid() != 0 {
		return errors.New("Cyrus is started by root only")
	}
	return nil
}

// startCyrus starts it in dir, or in a temporary directory, and loads the data
// set unless it is there from an earlier run of the same numbers.
func startCyrus(ctx context.Context, dir string, set []dataset.Mailbox, mark string) (_ *cyrus, err error) {
	c := &cyrus{dir: dir, password: cyrusSecret, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	if dir == "" {
		if c.dir, err = os.MkdirTemp("", "busybridge-cyrus-"); err != nil {
			return nil, err
		}
		c.temp = true
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("cyrus: %w", err), c.stop())
		}
	}()
	markFile := filepath.Join(c.dir, "loaded")
	was, err := os.ReadFile(markFile)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if len(was) > 0 && string(was) != mark {
		return nil, fmt.Errorf("%s holds another data set (%s): remove it", c.dir, was)
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	c.imap, c.http = ports[0], ports[1]
	if err := c.configure(len(was) == 0, len(set)); err != nil {
		return nil, err
	}
	if c.Child, err = meter.Spawn(ctx, filepath.Join(c.dir, "cyrus.log"), filepath.Join(cyrusBin, "master"),
		"-C", filepath.Join(c.dir, "imapd.conf"), "-M", filepath.Join(c.dir, "cyrus.conf"), "-p", filepath.Join(c.dir, "master.pid")); err != nil {
		return nil, err
	}
	if len(was) > 0 {
		return c, listening(ctx, c.http)
	}
	start := time.Now() //nolint:forbidigo // a measurement is of now
	if err := c.makeMailboxes(ctx, len(set)); err != nil {
		return nil, err
	}
	if err := c.load(ctx, set); err != nil {
		return nil, err
	}
	c.loaded = time.Since(start) //nolint:forbidigo // the same
	return c, os.WriteFile(markFile, []byte(mark), 0o600)
}

func (c *cyrus) stop() error {
	if c.Child != nil {
		c.Stop()
	}
	if c.temp {
		return os.RemoveAll(c.dir)
	}
	return nil
}

// configure writes its files, and makes the directories and passwords of a fresh one.
func (c *cyrus) configure(fresh bool, mailboxes int) error {
	conf := map[string]string{
		"imapd.conf": `configdirectory: DIR/conf
proc_path: DIR/proc
mboxname_lockpath: DIR/lock
defaultpartition: default
partition-default: DIR/spool
httpmodules: caldav
servername: ` + ourHost + `
calendar_user_address_set: ` + dataset.Domain + `
caldav_create_attach: no
unixhierarchysep: yes
virtdomains: off
allowplaintext: yes
admins: ` + cyrusUser + `
sasl_mech_list: PLAIN
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: DIR/sasldb
`,
		"cyrus.conf": `START {
  recover cmd="BIN/ctl_cyrusdb -C DIR/imapd.conf -r"
}
SERVICES {
  imap cmd="BIN/imapd -C DIR/imapd.conf" listen="` + c.imap + `" prefork=0 maxchild=10
  http cmd="BIN/httpd -C DIR/imapd.conf" listen="` + c.http + `" prefork=0 maxchild=100
}
EVENTS {
}
`}
	for name, text := range conf {
		text = strings.NewReplacer("DIR", c.dir, "BIN", cyrusBin).Replace(text)
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if !fresh {
		return nil
	}
	for _, d := range []string{"proc", "lock", "spool", "conf/db", "conf/db.backup", "conf/socket", "conf/user", "conf/quota", "conf/log", "conf/msg"} {
		if err := os.MkdirAll(filepath.Join(c.dir, d), 0o750); err != nil {
			return err
		}
	}
	users := []string{cyrusUser}
	for i := range mailboxes {
		users = append(users, userOf(i))
	}
	for _, u := range users {
		cmd := exec.Command("saslpasswd2", "-f", filepath.Join(c.dir, "sasldb"), "-p", "-c", "-u", ourHost, u) //nolint:gosec,noctx // our own names; it takes no time
		cmd.Stdin = strings.NewReader(c.password + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("saslpasswd2: %w: %s", err, out)
		}
	}
	return c.own()
}

// own gives the directory to the user that Cyrus runs as.
func (c *cyrus) own() error {
	u, err := user.Lookup(cyrusUser)
	if err != nil {
		return err
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return errors.Join(err1, err2, filepath.WalkDir(c.dir, func(name string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(name, uid, gid)) //nolint:gosec // the directory is this run's own
	}))
}

func userOf(i int) string { return strings.TrimSuffix(dataset.Address(i), "@"+dataset.Domain) }

// listening waits until something takes connections at the address.
func listening(ctx context.Context, address string) error {
	for try := 0; ; try++ {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		if try == 500 {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// makeMailboxes makes what calendars hang from, by IMAP.
func (c *cyrus) makeMailboxes(ctx context.Context, n int) error {
	if err := listening(ctx, c.imap); err != nil {
		return err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.imap)
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	if _, err := in.ReadString('\n'); err != nil {
		return err
	}
	say := func(command string) error {
		if _, err := fmt.Fprintf(conn, "a %s\r\n", command); err != nil {
			return err
		}
		line, err := in.ReadString('\n')
		if err == nil && !strings.HasPrefix(line, "a OK") {
			err = fmt.Errorf("%s: %s", strings.Fields(command)[0], strings.TrimSpace(line))
		}
		return err
	}
	if err := say("LOGIN " + cyrusUser + " " + c.password); err != nil {
		return err
	}
	for i := range n {
		if err := say("CREATE user/" + userOf(i)); err != nil {
			return err
		}
	}
	return nil
}

// load puts each object of each mailbox, some mailboxes at a time.
func (c *cyrus) load(ctx context.Context, set []dataset.Mailbox) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i := range set {
		g.Go(func() error {
			// The first request of a user makes the default calendar.
			if _, err := c.do(ctx, i, "PROPFIND", "", nil, http.StatusMultiStatus); err != nil {
				return err
			}
			for n := range set[i].Objects {
				if _, err := c.do(ctx, i, http.MethodPut, "Default/"+strconv.Itoa(n)+".ics", set[i].Objects[n].File(), http.StatusCreated); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func (c *cyrus) do(ctx context.Context, i int, method, path string, body []byte, want int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.http+"/dav/calendars/user/"+userOf(i)+"/"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(userOf(i), c.password)
	req.Header.Set("Content-Type", "text/calendar; charset=utf-8")
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != want {
		err = fmt.Errorf("%s %s: %s: %.300s", method, path, resp.Status, b)
	}
	return b, err
}

const instantForm = "20060102T150405Z"

// ask sends the question to the outbox of the first mailbox.
func (c *cyrus) ask(ctx context.Context, q *question) ([]byte, error) {
	at := func(s int64) string { return time.Unix(s, 0).UTC().Format(instantForm) }
	b := []byte("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//busybridge//bench//EN\r\nMETHOD:REQUEST\r\nBEGIN:VFREEBUSY\r\nUID:bench\r\nDTSTAMP:20260101T000000Z\r\n")
	b = fmt.Appendf(b, "DTSTART:%s\r\nDTEND:%s\r\nORGANIZER:mailto:%s\r\n", at(q.window.Start), at(q.window.End), dataset.Address(0))
	for _, m := range q.of {
		b = append(b, "ATTENDEE:mailto:"+m.Address+"\r\n"...)
	}
	return c.do(ctx, 0, http.MethodPost, "Outbox/", append(b, "END:VFREEBUSY\r\nEND:VCALENDAR\r\n"...), http.StatusOK)
}

// right counts the mailboxes whose busy time is as the truth is: that of any
// kind, and that of firm events. CalDAV tells periods, not events.
func (c *cyrus) right(q *question, body []byte) (n int, err error) {
	var doc struct {
		Responses []struct {
			Recipient string `xml:"recipient>href"`
			Status    string `xml:"request-status"`
			Data      string `xml:"calendar-data"`
		} `xml:"response"`
	}
	if err := xml.Unmarshal(body, &doc); err != nil {
		return 0, fmt.Errorf("%w: %.300s", err, body)
	}
	byAddress := map[string]string{}
	for _, r := range doc.Responses {
		byAddress[strings.TrimPrefix(r.Recipient, "mailto:")] = r.Data
		if !strings.HasPrefix(r.Status, "2.0") {
			return 0, fmt.Errorf("%s: %s", r.Recipient, r.Status)
		}
	}
	for _, m := range q.of {
		got, err := periods(byAddress[m.Address])
		if err != nil {
			return n, err
		}
		want := m.In(q.window)
		if slices.Equal(union(got, dataset.Tentative, q.window), union(want, dataset.Tentative, q.window)) &&
			slices.Equal(union(got, dataset.Busy, q.window), union(want, dataset.Busy, q.window)) {
			n++
		}
	}
	return n, nil
}

// periods are the FREEBUSY properties of an answer.
func periods(data string) (out []dataset.Occurrence, err error) {
	data = strings.NewReplacer("\r\n ", "", "\n ", "").Replace(data)
	for line := range strings.Lines(data) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name != "FREEBUSY" && !strings.HasPrefix(name, "FREEBUSY;") {
			continue
		}
		status := dataset.Busy
		switch {
		case strings.Contains(name, "FBTYPE=BUSY-TENTATIVE"):
			status = dataset.Tentative
		case strings.Contains(name, "FBTYPE=FREE"):
			status = dataset.Free
		}
		for p := range strings.SplitSeq(value, ",") {
			from, to, _ := strings.Cut(p, "/")
			start, err := time.Parse(instantForm, from)
			if err != nil {
				return nil, err
			}
			end, err := time.Parse(instantForm, to)
			if err != nil {
				length, err := duration(to)
				if err != nil {
					return nil, fmt.Errorf("period %q: %w", p, err)
				}
				end = start.Add(length)
			}
			out = append(out, dataset.Occurrence{Start: start.Unix(), End: end.Unix(), Status: status})
		}
	}
	return out, nil
}

// duration reads P1DT2H30M (RFC 5545 3.3.6), and weeks beside days as Cyrus
// writes them: P1W7D.
func duration(s string) (time.Duration, error) {
	date, clock, _ := strings.Cut(strings.TrimPrefix(s, "P"), "T")
	days := 0
	for _, unit := range []struct {
		letter string
		days   int
	}{{"W", 7}, {"D", 1}} {
		count, rest, found := strings.Cut(date, unit.letter)
		if !found {
			continue
		}
		n, err := strconv.Atoi(count)
		if err != nil {
			return 0, err
		}
		days, date = days+n*unit.days, rest
	}
	if date != "" {
		return 0, fmt.Errorf("no duration: %q", s)
	}
	if clock == "" {
		clock = "0S"
	}
	rest, err := time.ParseDuration(strings.ToLower(clock))
	return time.Duration(days)*24*time.Hour + rest, err
}

// union is the time within w that is at least of the status, merged.
func union(list []dataset.Occurrence, least dataset.Status, w dataset.Window) (out []dataset.Window) {
	list = slices.SortedFunc(slices.Values(list), dataset.Occurrence.Compare)
	for _, o := range list {
		start, end := max(o.Start, w.Start), min(o.End, w.End)
		if o.Status < least || start >= end {
			continue
		}
		if n := len(out); n > 0 && start <= out[n-1].End {
			out[n-1].End = max(out[n-1].End, end)
		} else {
			out = append(out, dataset.Window{Start: start, End: end})
		}
	}
	return out
}
