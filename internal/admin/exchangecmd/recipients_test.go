package exchangecmd_test

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/admin"
	"busybridge/internal/admin/exchangecmd"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/store/sqlitestore"
)

// A countingStore counts the recipients that were read one by one.
type countingStore struct {
	admin.Store
	read int
}

func (s *countingStore) Recipients(ctx context.Context, org directory.OrgID) iter.Seq2[*directory.Recipient, error] {
	return func(yield func(*directory.Recipient, error) bool) {
		for r, err := range s.Store.Recipients(ctx, org) {
			s.read++
			if !yield(r, err) {
				return
			}
		}
	}
}

// crowd is a session over an organization of n mailboxes.
func crowd(tb testing.TB, n int) (*interp.Session, *countingStore, *strings.Builder) {
	tb.Helper()
	clock := func() time.Time { return now }
	db, err := sqlitestore.Open(tb.Context(), filepath.Join(tb.TempDir(), "a.db"), sqlitestore.Options{Now: clock, SealKey: make([]byte, 32), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	store := &countingStore{Store: admin.Over(db)}
	service, err := admin.New(admin.Config{Store: store, Now: clock})
	if err != nil {
		tb.Fatal(err)
	}
	res, err := service.NewOrganization(tb.Context(), system, admin.OrganizationParams{Name: "Contoso", Domain: "contoso.com"})
	if err != nil {
		tb.Fatal(err)
	}
	err = store.Change(tb.Context(), func(tx admin.Tx) error {
		for i := range n {
			name := fmt.Sprintf("user%05d", i)
			if err := tx.CreateRecipient(tb.Context(), &directory.Recipient{
				Org: res.Object.ID, ID: uuid.NewString(), Type: directory.UserMailbox, DisplayName: name, Alias: name, Primary: smtpaddr.Must(name + "@contoso.com"),
				UPN: name + "@contoso.com", Enabled: true, Calendar: directory.DefaultCalendar("UTC"),
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	commands, err := exchangecmd.Commands(exchangecmd.Config{
		Admin: service, Org: res.Object.ID, Server: "dc-01.contoso.com", Now: clock,
		Actor: func(context.Context) (admin.Actor, error) { return system, nil },
	})
	if err != nil {
		tb.Fatal(err)
	}
	var log strings.Builder
	session, err := interp.New(interp.Config{Commands: commands, Now: clock, Streams: interp.Streams{Warning: func(v any) error {
		log.WriteString(object.String(v.(*interp.Message).Text))
		return nil
	}}})
	if err != nil {
		tb.Fatal(err)
	}
	return session, store, &log
}

// output is what text writes, joined by commas.
func output(tb testing.TB, s *interp.Session, text string) string {
	tb.Helper()
	var out []string
	if err := s.Run(tb.Context(), "", text, func(v any) error {
		out = append(out, object.String(v))
		return nil
	}); err != nil {
		tb.Fatal(err)
	}
	return strings.Join(out, ",")
}

func TestGetMailboxStreams(t *testing.T) {
	s, store, warnings := crowd(t, 1500)
	for _, c := range []struct {
		command, want, warning string
		reads                  int // at most
	}{
		{"Get-Mailbox -ResultSize Unlimited | Select-Object -First 3 | ForEach-Object Alias", "user00000,user00001,user00002", "", 3},
		{"(Get-Mailbox | Measure-Object).Count", "1000", "By default, only the first 1000 items are returned.", 1001},
		{"(Get-Mailbox -ResultSize 7 | Measure-Object).Count", "7", "There are more results available than are currently displayed.", 8},
		{"(Get-Mailbox -ResultSize 1500 | Measure-Object).Count", "1500", "", 1500},
		{"(Get-Mailbox -ResultSize Unlimited | Where-Object {$_.Alias -like '*7'} | Measure-Object).Count", "150", "", 1500},
		{"(Get-Mailbox -ResultSize Unlimited -Filter \"Alias -like '*7'\" | Measure-Object).Count", "150", "", 1500},
		{"(Get-Mailbox -ResultSize 2 -SortBy UserPrincipalName | ForEach-Object Alias) -join '+'", "user00000+user00001", "There are more results available", 1500},
		{"(Get-Mailbox user01499).Alias", "user01499", "", 0},
	} {
		warnings.Reset()
		store.read = 0
		if got := output(t, s, c.command); got != c.want {
			t.Errorf("%s: %q, want %q", c.command, got, c.want)
		}
		if store.read > c.reads {
			t.Errorf("%s: %d recipients were read, want at most %d", c.command, store.read, c.reads)
		}
		if got := warnings.String(); !strings.HasPrefix(got, c.warning) || c.warning == "" && got != "" {
			t.Errorf("%s warns %q, want %q", c.command, got, c.warning)
		}
	}
}

func TestGetMailboxStopsWhenCancelled(t *testing.T) {
	s, store, _ := crowd(t, 300)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Run(ctx, "", "Get-Mailbox -ResultSize Unlimited", func(any) error {
		cancel()
		return ctx.Err()
	})
	if err == nil || store.read > 1 {
		t.Errorf("%v after %d recipients", err, store.read)
	}
}

// Issue: ten thousand mailboxes in under two seconds of CPU, in bounded memory.
func BenchmarkGetMailbox(b *testing.B) {
	s, _, _ := crowd(b, 10000)
	for _, c := range []struct{ name, command string }{
		{"where", "(Get-Mailbox -ResultSize Unlimited | ? {$_.Alias -like '*7'} | measure).Count"},
		{"filter", "(Get-Mailbox -ResultSize Unlimited -Filter \"Alias -like '*7'\" | measure).Count"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := output(b, s, c.command); got != "1000" {
					b.Fatal(got)
				}
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.HeapSys)/(1<<20), "heap-MiB")
		})
	}
}
