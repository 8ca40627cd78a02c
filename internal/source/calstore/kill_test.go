package calstore_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/source/calstore"
	"busybridge/internal/source/sourcetest"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/store/sqlitestore"
)

// childEnv makes the test binary import a file and do nothing else: its value is
// the database. The file comes from standard input after a first line; every
// progress line on standard output waits for a line on descriptor 3.
const childEnv = "BUSYBRIDGE_CALSTORE_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		if err := importChild(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func importChild(path string) error {
	ctx := context.Background()
	db, err := sqlitestore.Open(ctx, path, sqlitestore.Options{Now: time.Now, SealKey: make([]byte, 32), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	c, err := calstore.New(calstore.Config{Store: db, Now: func() time.Time { return sourcetest.Now }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	in := bufio.NewReader(os.Stdin)
	org, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	r, err := db.Recipient(ctx, directory.OrgID(strings.TrimSpace(org)), smtpaddr.Must("anna@contoso.com"))
	if err != nil {
		return err
	}
	replies := bufio.NewReader(os.NewFile(3, "replies"))
	s, err := c.ImportInto(ctx, r, "", "big.ics", in, func(done, total int) {
		fmt.Println(done, total)
		if _, err := replies.ReadString('\n'); err != nil {
			os.Exit(2)
		}
	})
	if err != nil {
		return err
	}
	_, err = fmt.Println("summary", s.Added, s.Replaced)
	return err
}

const killEvents = 1200

// bigFile is a file whose import takes a while and more memory than SQLite keeps
// before it begins to write; every event is of one generation.
func bigFile(generation int) string {
	var events []string
	for i := range killEvents {
		day := fmt.Sprintf("2026%02d%02d", 1+i%12, 1+i/12%28)
		events = append(events, event(fmt.Sprint("uid", i), fmt.Sprint("generation ", generation), day,
			fmt.Sprint("SEQUENCE:", generation), "DESCRIPTION:"+strings.Repeat("x", 2000)))
	}
	return sourcetest.Calendar(events...)
}

// killedImport runs an import in another process and kills it with SIGKILL when
// it has told of its progress so many times; after a reply it is not waited for.
// It reports whether the import said that it was done.
func killedImport(t *testing.T, path string, org directory.OrgID, text string, after int, reply bool) (done bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	cmd.Stdin = strings.NewReader(string(org) + "\n" + text)
	cmd.Stderr = t.Output()
	replies, send, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer send.Close()
	cmd.ExtraFiles = []*os.File{replies}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	replies.Close()
	lines := bufio.NewScanner(stdout)
	for n := 1; lines.Scan(); n++ {
		if strings.HasPrefix(lines.Text(), "summary") {
			done = true
			break
		}
		if n == after {
			if reply {
				fmt.Fprintln(send)
			}
			break
		}
		if _, err := fmt.Fprintln(send); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(stdout)
	if err != nil {
		t.Fatal(err)
	}
	done = done || strings.Contains(string(rest), "summary")
	if err := cmd.Wait(); err == nil && !done {
		t.Fatal("the import ended before it was killed")
	}
	return done
}

func TestKillDuringImport(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	w.loadText(r, "big.ics", bigFile(0))
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	// 2*killEvents half steps, a word at every 256: the second half is spoken
	// within the transaction, the last word just before its commit.
	const words = 2*killEvents/256 + 2
	generation := 0
	for i, k := range []struct {
		after int
		reply bool
	}{{1, false}, {words/2 + 1, true}, {words * 3 / 4, false}, {words - 1, false}, {words, true}, {words + 9, false}} {
		done := killedImport(t, w.path, w.org, bigFile(i+1), k.after, k.reply)
		switch got := present(t, w, r); {
		case got == i+1:
			generation = i + 1
			t.Logf("killed after %d words: in", k.after)
		case got != generation || done:
			t.Fatalf("killed after %d words: generation %d, said to be done: %v; want %d or %d", k.after, got, done, generation, i+1)
		default:
			t.Logf("killed after %d words: not in", k.after)
		}
	}
	if generation == 0 {
		t.Error("not even the import that was not killed is in")
	}
}

// present opens the database again, checks it, and returns the generation that
// all of its events and occurrences are of.
func present(t *testing.T, w *world, r *directory.Recipient) int {
	t.Helper()
	raw, err := sql.Open("sqlite", "file:"+w.path)
	if err != nil {
		t.Fatal(err)
	}
	var verdict string
	if err := errors.Join(raw.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict), raw.Close()); err != nil || verdict != "ok" {
		t.Fatalf("integrity check: %s, %v", verdict, err)
	}
	w.db = openStore(t, w.path)
	defer w.db.Close()
	c, _ := w.open(calstore.Config{})
	h, err := c.Health(t.Context(), r)
	if err != nil || h.Objects != killEvents || h.Occurrences != killEvents {
		t.Fatalf("health %+v, %v; want %d objects", h, err, killEvents)
	}
	generation := -1
	for o, err := range w.db.CalendarObjects(t.Context(), r.Org, r.ID, directory.CalendarFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if generation < 0 {
			generation = o.Sequence
		}
		if o.Sequence != generation {
			t.Fatalf("objects of generation %d and %d", o.Sequence, generation)
		}
	}
	iv, err := c.Busy(t.Context(), r.Org, r, span(t, "2026-01-01", "2027-01-01"), true)
	if err != nil || len(iv) != killEvents {
		t.Fatalf("%d entries, %v; want %d", len(iv), err, killEvents)
	}
	for _, i := range iv {
		if i.Detail.Subject != fmt.Sprint("generation ", generation) {
			t.Fatalf("%s among objects of generation %d", i.Detail.Subject, generation)
		}
	}
	return generation
}
