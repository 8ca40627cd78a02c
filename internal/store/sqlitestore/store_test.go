package sqlitestore_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite"

	"busybridge/internal/audit"
	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/store/sqlitestore"
	"busybridge/internal/store/storetest"
)

var key = []byte("0123456789abcdef0123456789abcdef")

func options(t testing.TB) sqlitestore.Options {
	return sqlitestore.Options{
		Now:     func() time.Time { return time.Date(2014, 5, 6, 7, 8, 9, 0, time.UTC) },
		SealKey: key, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

func open(t testing.TB, path string) *sqlitestore.Store {
	t.Helper()
	s, err := sqlitestore.Open(t.Context(), path, options(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// database is a file; its name has characters that mean something in a URL.
type database string

func (d database) Open(t testing.TB, now func() time.Time) storetest.Store {
	o := options(t)
	o.Now = now
	s, err := sqlitestore.Open(t.Context(), string(d), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Database { return database(filepath.Join(t.TempDir(), "a?b%20 #c.db")) })
}

func TestOpen(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "a.db")
	s := open(t, path)
	o := storetest.Organization("Contoso", "contoso.com")
	if err := s.CreateOrganization(ctx, o); err != nil {
		t.Fatal(err)
	}
	t.Run("file is the owner's only", func(t *testing.T) {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			info, err := os.Stat(path + suffix)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v", info.Name(), info.Mode())
			}
		}
	})
	t.Run("rights of others are taken", func(t *testing.T) {
		other := filepath.Join(t.TempDir(), "b.db")
		if err := os.WriteFile(other, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		open(t, other)
		if info, err := os.Stat(other); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	})
	t.Run("secrets are not in the file", func(t *testing.T) {
		if err := s.Close(); err != nil { // moves the WAL into the file
			t.Fatal(err)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(raw, []byte("tailspintoys.com")) {
			t.Fatal("the test looks at the wrong bytes")
		}
		for name, secret := range map[string][]byte{"password": o.AddressSpaces[0].Password, "key": o.Certificates[0].Key} {
			for _, form := range [][]byte{secret, []byte(fmt.Sprintf("%x", secret)), base64Of(secret)} {
				if bytes.Contains(raw, form) {
					t.Errorf("%s is in the file", name)
				}
			}
		}
	})
	t.Run("another key is refused", func(t *testing.T) {
		opts := options(t)
		opts.SealKey = bytes.Repeat([]byte{7}, 32)
		if _, err := sqlitestore.Open(ctx, path, opts); !errors.Is(err, sqlitestore.ErrSealKey) {
			t.Errorf("got %v", err)
		}
		opts.SealKey = key[:16]
		if _, err := sqlitestore.Open(ctx, path, opts); err == nil || !strings.Contains(err.Error(), "want 32") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a newer database is refused", func(t *testing.T) {
		newer := filepath.Join(t.TempDir(), "newer.db")
		open(t, newer).Close()
		db, err := sql.Open("sqlite", newer)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`); err != nil {
			t.Fatal(err)
		}
		_, err = sqlitestore.Open(ctx, newer, options(t))
		if !errors.Is(err, sqlitestore.ErrNewer) || !strings.Contains(err.Error(), "9999") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a file that is no database is refused", func(t *testing.T) {
		other := filepath.Join(t.TempDir(), "c.db")
		if err := os.WriteFile(other, bytes.Repeat([]byte("no database "), 500), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := sqlitestore.Open(ctx, other, options(t)); err == nil || !strings.Contains(err.Error(), "c.db") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a sealed value does not open in another row", func(t *testing.T) {
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec(`UPDATE objects SET sealed = (SELECT sealed FROM objects WHERE kind = 4) WHERE kind = 9`); err != nil {
			t.Fatal(err)
		}
		_, err = open(t, path).Organization(ctx, o.ID)
		if err == nil || !strings.Contains(err.Error(), "sealed value") {
			t.Errorf("got %v", err)
		}
	})
}

// An older program's file opens, and nothing of it is lost.
func TestOpenOlder(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "old.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(ctx, 2); err != nil {
		t.Fatal(err)
	}
	const org, box = "11111111-2222-4333-8444-555555555550", "11111111-2222-4333-8444-555555555551"
	for _, row := range []string{
		`INSERT INTO organizations VALUES ('` + org + `', 'Contoso', 'contoso', '', 7)`,
		`INSERT INTO organization_domains VALUES ('contoso.com', '` + org + `')`,
		`INSERT INTO objects VALUES ('` + org + `', 1, '', 1, '{"ServiceName":"00000002-0000-0ff1-ce00-000000000000","Realm":"","CurrentCertificateThumbprint":"","PreviousCertificateThumbprint":"","NextCertificateThumbprint":"","NextCertificateEffectiveDate":null,"WhenCreated":"2014-05-06T07:08:09Z","WhenChanged":"2014-05-06T07:08:09Z"}', '')`,
		`INSERT INTO objects VALUES ('` + org + `', 2, '', 1, '{"PerUserAccount":"","OrgWideAccount":""}', '')`,
		`INSERT INTO objects VALUES ('` + org + `', 3, '11111111-2222-4333-8444-555555555552', 1, '{"name":"contoso.com","guid":"11111111-2222-4333-8444-555555555552","whenCreated":"2014-05-06T07:08:09Z","whenChanged":"2014-05-06T07:08:09Z","domainName":"contoso.com","domainType":"Authoritative","default":true}', '')`,
		`INSERT INTO objects VALUES ('` + org + `', 6, '11111111-2222-4333-8444-555555555555', 1, '{"name":"Exchange Online","guid":"11111111-2222-4333-8444-555555555555","whenCreated":"2014-05-06T07:08:09Z","whenChanged":"2014-05-06T07:08:09Z","Enabled":true,"ApplicationIdentifier":"00000002-0000-0ff1-ce00-000000000000","CertificateStrings":null,"AuthMetadataURL":"","Realm":"","UseAuthServer":true,"AcceptSecurityIdentifierInformation":false,"LinkedAccount":"contoso.com/Users/Exchange Online-ApplicationAccount","IssuerIdentifier":"","AppOnlyPermissions":null,"ActAsPermissions":null}', '')`,
		`INSERT INTO objects VALUES ('` + org + `', 8, '11111111-2222-4333-8444-555555555553', 1, '{"name":"Fabrikam","guid":"11111111-2222-4333-8444-555555555553","whenCreated":"2014-05-06T07:08:09Z","whenChanged":"2014-05-06T07:08:09Z","DomainNames":["fabrikam.com"],"Enabled":true,"FreeBusyAccessEnabled":true,"FreeBusyAccessLevel":"LimitedDetails","TargetApplicationURI":"","TargetSharingEpr":"","TargetAutodiscoverEpr":""}', '')`,
		`INSERT INTO objects VALUES ('` + org + `', 10, '11111111-2222-4333-8444-555555555554', 1, '{"name":"MAIL","guid":"11111111-2222-4333-8444-555555555554","whenCreated":"2014-05-06T07:08:09Z","whenChanged":"2014-05-06T07:08:09Z","HostNames":["mail.contoso.com"],"AdminDisplayVersion":"15.0.847.32","InternalURL":"","ExternalURL":"","AutodiscoverInternalURI":"","OAuthAuthentication":true,"BasicAuthentication":true}', '')`,
		`INSERT INTO recipients VALUES ('` + org + `', '` + box + `', 'alice example', 'alice@contoso.com', '{"Org":"` + org + `","ID":"` + box + `","Type":"UserMailbox","DisplayName":"Alice Example","Alias":"alice","Primary":"alice@contoso.com","Proxies":null,"UPN":"alice@contoso.com","ExternalAddress":"","Members":null,"Enabled":true,"Calendar":{"TimeZone":"UTC","WorkDays":62,"WorkStart":480,"WorkEnd":1020},"Permissions":null,"WhenCreated":"2014-05-06T07:08:09Z","WhenChanged":"2014-05-06T07:08:09Z"}')`,
		`INSERT INTO addresses VALUES ('` + org + `', 'alice@contoso.com', '` + box + `')`,
		`INSERT INTO accounts VALUES ('alice@contoso.com', '` + org + `', '$argon2id$x', 'alice@contoso.com', '["Organization Management"]', 1)`,
	} {
		if _, err := db.ExecContext(ctx, row); err != nil {
			t.Fatalf("%s: %v", row, err)
		}
	}
	s := open(t, path)
	for _, name := range []string{"ALICE", "alice example"} {
		list, err := s.RecipientsByName(ctx, org, name)
		if err != nil || len(list) != 1 || list[0].ID != box {
			t.Errorf("recipients named %s: %+v, %v", name, list, err)
		}
	}
	a, err := s.Account(ctx, "alice@contoso.com")
	if err != nil || a.Org != org || a.Realm != "" || !a.Enabled || !a.HasRole(directory.RoleAdmin) || a.Address != smtpaddr.Must("alice@contoso.com") {
		t.Errorf("account: %+v, %v", a, err)
	}
	// What is there was written without the newer fields, and is no change with them.
	o, err := s.UpdateOrganization(ctx, org, func(*directory.Organization) error { return nil })
	if err != nil || o.Version != 7 || len(o.Relationships) != 1 || len(o.Servers) != 1 {
		t.Errorf("organization: %+v, %v", o, err)
	}
	// The name of a linked account gave all roles.
	if u := o.LinkedUser(o.PartnerApplications[0].LinkedAccount); u == nil || !slices.Equal(u.Roles, directory.ApplicationRoles()) {
		t.Errorf("linked user: %+v", u)
	}
	r, err := s.UpdateRecipient(ctx, org, box, func(r *directory.Recipient) error { r.ResourceCapacity = 3; return nil })
	if err != nil || r.ResourceCapacity != 3 {
		t.Errorf("recipient: %+v, %v", r, err)
	}
}

func TestOpenAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	errs := make(chan error)
	const n = 6
	for range n {
		go func() {
			s, err := sqlitestore.Open(t.Context(), path, options(t))
			if err == nil {
				err = errors.Join(s.Ping(t.Context()), s.Close())
			}
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestChangeIsAllOrNothing(t *testing.T) {
	ctx := t.Context()
	s := open(t, filepath.Join(t.TempDir(), "a.db"))
	o := storetest.Organization("Contoso", "contoso.com")
	if err := s.CreateOrganization(ctx, o); err != nil {
		t.Fatal(err)
	}
	change := func(stop error) error {
		return s.Change(ctx, func(tx *sqlitestore.Tx) error {
			r := storetest.Mailbox(o.ID, "alice@contoso.com")
			if err := tx.CreateRecipient(ctx, r); err != nil {
				return err
			}
			if _, err := tx.Recipient(ctx, o.ID, r.Primary); err != nil {
				return fmt.Errorf("the transaction does not see its own change: %w", err)
			}
			if _, err := tx.UpdateOrganization(ctx, o.ID, func(o *directory.Organization) error { o.Name = "X"; return nil }); err != nil {
				return err
			}
			if err := tx.Record(ctx, audit.Event{Org: string(o.ID), Operation: "Op"}); err != nil {
				return err
			}
			return stop
		})
	}
	state := func() (name string, recipients, events int) {
		got, err := s.Organization(ctx, o.ID)
		if err != nil {
			t.Fatal(err)
		}
		for range s.Recipients(ctx, o.ID) {
			recipients++
		}
		for range s.AuditEvents(ctx, audit.Filter{Org: string(o.ID)}) {
			events++
		}
		return got.Name, recipients, events
	}
	stop := errors.New("stop")
	if err := change(stop); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if n, r, e := state(); n != "Contoso" || r != 0 || e != 0 {
		t.Errorf("after a failed change: name %q, %d recipients, %d events", n, r, e)
	}
	if err := change(nil); err != nil {
		t.Fatal(err)
	}
	if n, r, e := state(); n != "X" || r != 1 || e != 1 {
		t.Errorf("after a change: name %q, %d recipients, %d events", n, r, e)
	}
	if _, err := s.Organization(canceled(ctx), o.ID); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: got %v", err)
	}
}

// What a transaction finds by address, which no other address may look like.
func TestTransactionLookups(t *testing.T) {
	ctx := t.Context()
	s := open(t, filepath.Join(t.TempDir(), "a.db"))
	o, other := storetest.Organization("Contoso", "contoso.com"), storetest.Organization("Fabrikam", "fabrikam.com")
	for _, o := range []*directory.Organization{o, other} {
		if err := s.CreateOrganization(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	names := []string{"a_b&c@contoso.com", "axb&c@contoso.com", "50%!@contoso.com", "505!@contoso.com", "b_a@x.contoso.com"}
	err := s.Change(ctx, func(tx *sqlitestore.Tx) error {
		for i, a := range names {
			r := storetest.Mailbox(o.ID, a)
			r.Alias, r.SamAccountName = fmt.Sprint("m", i), ""
			if err := tx.CreateRecipient(ctx, r); err != nil {
				return err
			}
			if err := tx.PutAccount(ctx, &directory.Account{Org: o.ID, UserName: fmt.Sprintf("m%d@contoso.com", i), PasswordHash: "$argon2id$x", Address: r.Proxies[0]}); err != nil {
				return err
			}
		}
		return tx.CreateRecipient(ctx, storetest.Mailbox(other.ID, names[0]))
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Change(ctx, func(tx *sqlitestore.Tx) error {
		for i, a := range names {
			list, err := tx.RecipientsNaming(ctx, o.ID, smtpaddr.Must(a))
			if err != nil || len(list) != 1 || list[0].Primary.String() != a {
				t.Errorf("recipients naming %s: %d, %v", a, len(list), err)
			}
			accounts, err := tx.AccountsAt(ctx, o.ID, list[0].Proxies[0])
			if err != nil || len(accounts) != 1 || accounts[0].UserName != fmt.Sprintf("m%d@contoso.com", i) {
				t.Errorf("accounts at %s: %d, %v", list[0].Proxies[0], len(accounts), err)
			}
		}
		if accounts, err := tx.AccountsAt(ctx, o.ID, smtpaddr.Address{}); err != nil || len(accounts) != 0 {
			t.Errorf("accounts without an address: %d, %v", len(accounts), err)
		}
		for _, c := range []struct {
			pattern string
			besides []string
			want    string
		}{
			{"x.contoso.com", nil, "b_a@x.contoso.com"},
			{"fabrikam.com", nil, ""},
			{"x.contoso.com", []string{"*.contoso.com"}, ""},
			{"*.x.contoso.com", []string{"also.x.contoso.com"}, ""},
			{"*.contoso.com", []string{"also.contoso.com", "also.x.contoso.com"}, "b_a@x.contoso.com"},
		} {
			if got, err := tx.AddressIn(ctx, o.ID, c.pattern, c.besides...); err != nil || got != c.want {
				t.Errorf("address in %s besides %q: %q, %v, want %q", c.pattern, c.besides, got, err, c.want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func canceled(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

func BenchmarkRecipient(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "a.db"))
	o := storetest.Organization("Contoso", "contoso.com")
	if err := s.CreateOrganization(b.Context(), o); err != nil {
		b.Fatal(err)
	}
	err := s.Change(b.Context(), func(tx *sqlitestore.Tx) error {
		for i := range 5000 {
			if err := tx.CreateRecipient(b.Context(), storetest.Mailbox(o.ID, fmt.Sprintf("user%d@contoso.com", i))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	a := smtpaddr.Must("user4711@contoso.com")
	b.Run("recipient by address", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Recipient(b.Context(), o.ID, a); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("recipients by name", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if list, err := s.RecipientsByName(b.Context(), o.ID, "sam-user4711"); err != nil || len(list) != 1 {
				b.Fatal(len(list), err)
			}
		}
	})
	b.Run("stream of 5000 recipients", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, err := range s.Recipients(b.Context(), o.ID) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("organization", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Organization(b.Context(), o.ID); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func base64Of(b []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(b)) }
