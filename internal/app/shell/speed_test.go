package shell_test

import (
	"context"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/store/sqlitestore"
)

// people puts n mailboxes into the organization, without accounts.
func (p *place) people(t testing.TB, n int) {
	t.Helper()
	if err := p.Store.Change(t.Context(), func(tx *sqlitestore.Tx) error {
		for i := range n {
			name := fmt.Sprintf("user%05d", i)
			a, err := smtpaddr.Parse(name + "@contoso.com")
			if err != nil {
				return err
			}
			if err := tx.CreateRecipient(t.Context(), &directory.Recipient{
				Org: p.org.ID, Type: directory.UserMailbox, DisplayName: name, Alias: name, Primary: a, UPN: a.String(), Enabled: true,
				Calendar: directory.DefaultCalendar("UTC"), Permissions: []directory.Permission{{User: "Default", Level: freebusy.LevelTime}},
			}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// cpu is the processor time that this process has used.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A probe notes how much memory is in use when the first and the last objects pass.
type probe struct {
	InputObject any `ps:"InputObject,pipeline=value"`
	seen        *int
	heap        map[int]uint64
}

func (p *probe) Run(_ context.Context, c *interp.Call) error {
	if *p.seen++; *p.seen == 200 || *p.seen == 9_800 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		p.heap[*p.seen] = m.HeapAlloc
	}
	return c.Emit(p.InputObject)
}

// TestTenThousandMailboxes streams: memory does not grow with what has passed,
// and it takes less than two seconds of a processor.
func TestTenThousandMailboxes(t *testing.T) {
	p := newPlace(t, "")
	p.people(t, 10_000)
	s := p.shell(t, "")
	seen, heap := 0, map[int]uint64{}
	if err := s.Session.Register(interp.Command{Name: "Measure-Heap", New: func() interp.Cmdlet { return &probe{seen: &seen, heap: heap} }}); err != nil {
		t.Fatal(err)
	}
	began := cpu(t)
	out, err := p.run(t, s, `Get-Mailbox -ResultSize Unlimited | ? {$_.Alias -like "user*7"} | measure`)
	if err != nil || len(out) != 1 {
		t.Fatalf("%v, %d objects, %s", err, len(out), p.errs.String())
	}
	if used := cpu(t) - began; used > 2*time.Second && !raceEnabled {
		t.Errorf("the pipeline took %v of a processor, at most 2 s", used)
	} else {
		t.Logf("the pipeline took %v of a processor", used)
	}
	if n, _ := object.Get(out[0], "Count"); object.String(n) != "1000" {
		t.Errorf("%v mailboxes end with 7, want 1000", n)
	}
	for _, tail := range []string{"measure", "Out-Null", `Export-Csv C:\all.csv`, "Format-Table Name,Alias | Out-Null"} {
		seen = 0
		if _, err := p.run(t, s, "Get-Mailbox -ResultSize Unlimited | Measure-Heap | "+tail); err != nil {
			t.Fatal(err)
		}
		if seen != 10_000 {
			t.Errorf("%s: %d mailboxes passed", tail, seen)
		}
		if grown := int64(heap[9_800]) - int64(heap[200]); grown > 4<<20 {
			t.Errorf("%s: the heap grew by %d KiB over 9,600 mailboxes", tail, grown>>10)
		}
	}
	seen = 0
	if _, err := p.run(t, s, "Get-Mailbox -ResultSize Unlimited | Measure-Heap | Select-Object -First 3"); err != nil || seen != 3 {
		t.Errorf("%d mailboxes were read for three: %v", seen, err)
	}
}

func BenchmarkTenThousandMailboxes(b *testing.B) {
	p := newPlace(b, "")
	p.people(b, 10_000)
	s := p.shell(b, "")
	for b.Loop() {
		if _, err := p.run(b, s, `Get-Mailbox -ResultSize Unlimited | ? {$_.Alias -like "user*7"} | measure`); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen is what a session costs before its first command.
func BenchmarkOpen(b *testing.B) {
	p := newPlace(b, "")
	for b.Loop() {
		p.shell(b, "")
	}
}
