package trust_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/trust"
)

// servers keeps one organization and answers for its metadata.
type servers struct {
	mu      sync.Mutex
	org     *directory.Organization
	doc     *acs.Document
	err     error
	fetched []time.Time
}

func (s *servers) Organizations(context.Context) ([]*directory.Organization, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []*directory.Organization{s.org}, nil
}

func (s *servers) UpdateAuthServer(_ context.Context, id directory.OrgID, name string, fn func(*directory.AuthServer) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	org := s.org.Clone()
	for i := range org.AuthServers {
		if org.ID == id && org.AuthServers[i].Name == name {
			if err := fn(&org.AuthServers[i]); err != nil {
				return err
			}
			org.Version++
			s.org = org
			return nil
		}
	}
	return directory.ErrNotFound
}

func (s *servers) FetchMetadata(_ context.Context, url string) (*acs.Document, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetched = append(s.fetched, time.Now())
	if url != s.org.AuthServers[0].AuthMetadataURL {
		return nil, errors.New("unknown address")
	}
	return s.doc, s.err
}

func (s *servers) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.fetched)
}

func (s *servers) set(f func(*servers)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func newServers(keys ...string) *servers {
	d := &acs.Document{Realm: tenant, Issuer: acsPID + "@" + tenant, AllowedAudiences: []string{"new"},
		Endpoints: []acs.Endpoint{{Location: "https://" + acsHost + "/new/tokens/OAuth/2", Protocol: "OAuth2", Usage: "issuance"}}}
	for _, k := range keys {
		d.Keys = append(d.Keys, acs.Key{Certificate: certKey(k).cert.DER})
	}
	return &servers{org: onpremises(), doc: d}
}

func newRefresher(t *testing.T, s *servers) *trust.Refresher {
	t.Helper()
	r, err := trust.NewRefresher(trust.RefresherConfig{Metadata: s, Servers: s, Now: time.Now, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRefresh(t *testing.T) {
	s := newServers("as", "stranger")
	s.org.AuthServers[0].Realm = "" // left open, as in a cloud
	if err := newRefresher(t, s).Refresh(t.Context(), s.org.ID, "MicrosoftAzureACS"); err != nil {
		t.Fatal(err)
	}
	got := s.org.AuthServers[0]
	if got.Realm != "" || got.TokenIssuingEndpoint != "https://"+acsHost+"/new/tokens/OAuth/2" || !got.Enabled || time.Since(got.RefreshedAt) > time.Minute {
		t.Errorf("%+v", got)
	}
	want := []string{certKey("as").base64(), certKey("stranger").base64()}
	if d := cmp.Diff(want, got.CertificateStrings); d != "" {
		t.Error(d)
	}
}

// After a failure the old keys stay.
func TestRefreshThatFailsChangesNothing(t *testing.T) {
	for name, change := range map[string]func(*servers){
		"no answer":      func(s *servers) { s.err = errBroken },
		"another issuer": func(s *servers) { s.doc.Issuer = "00000001-0000-0000-c000-000000000000@" + tenant },
		"another realm":  func(s *servers) { s.doc.Realm, s.doc.Issuer = tenantB, acsPID+"@"+tenantB },
		"any realm":      func(s *servers) { s.doc.Realm, s.doc.Issuer = "*", acsPID+"@*" },
		"no keys":        func(s *servers) { s.doc.Keys = nil },
		"http endpoint":  func(s *servers) { s.doc.Endpoints[0].Location = "http://" + acsHost + "/" },
	} {
		s := newServers("stranger")
		change(s)
		before := s.org
		if err := newRefresher(t, s).Refresh(t.Context(), s.org.ID, "MicrosoftAzureACS"); err == nil || s.org != before {
			t.Errorf("%s: %v, changed: %v", name, err, s.org != before)
		}
	}
	s := newServers("as")
	if err := newRefresher(t, s).Refresh(t.Context(), s.org.ID, "nobody"); !errors.Is(err, directory.ErrNotFound) {
		t.Error(err)
	}
}

func TestRefreshOnSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServers("as")
		began := time.Now()
		s.org.AuthServers[0].RefreshedAt = began
		r := newRefresher(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { _ = r.Run(ctx) })
		time.Sleep(24*time.Hour + time.Minute)
		synctest.Wait()
		s.set(func(s *servers) {
			if len(s.fetched) != 3 {
				t.Errorf("%d fetches in a day: %v", len(s.fetched), s.fetched)
			}
			s.fetched, s.err = nil, errBroken
		})
		// Failures are tried again, ever more seldom, and cost nothing else.
		time.Sleep(16 * time.Hour)
		synctest.Wait()
		s.set(func(s *servers) {
			if n := len(s.fetched); n < 3 || n > 12 {
				t.Errorf("%d tries in the eight hours after the first failure: %v", n, s.fetched)
			}
			if s.org.AuthServers[0].CertificateStrings[0] != base64.StdEncoding.EncodeToString(certKey("as").cert.DER) {
				t.Error("the old key is gone")
			}
		})
		cancel()
		wg.Wait()
	})
}

// An unknown key is looked for at most once a minute.
func TestRefreshForUnknownKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServers("as", "stranger")
		s.org.AuthServers[0].RefreshedAt = time.Now()
		id := s.org.ID
		r := newRefresher(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { _ = r.Run(ctx) })
		for range 1000 {
			r.UnknownKey(id, "MicrosoftAzureACS")
		}
		synctest.Wait()
		if n := s.count(); n != 1 {
			t.Errorf("%d fetches at once", n)
		}
		time.Sleep(time.Minute - time.Second)
		r.UnknownKey(id, "MicrosoftAzureACS")
		synctest.Wait()
		if n := s.count(); n != 1 {
			t.Errorf("%d fetches in a minute", n)
		}
		time.Sleep(time.Second)
		r.UnknownKey(id, "MicrosoftAzureACS")
		synctest.Wait()
		if n := s.count(); n != 2 {
			t.Errorf("%d fetches after a minute", n)
		}
		cancel()
		wg.Wait()
	})
}

// meanwhile changes the AuthServer while its metadata is read.
type meanwhile struct{ *servers }

func (m meanwhile) FetchMetadata(ctx context.Context, url string) (*acs.Document, error) {
	doc, err := m.servers.FetchMetadata(ctx, url)
	m.set(func(s *servers) {
		s.org = s.org.Clone()
		s.org.AuthServers[0].CertificateStrings = []string{certKey("stranger").base64()}
	})
	return doc, err
}

// What somebody else read meanwhile is not overwritten with what may be older.
func TestRefreshLeavesWhatIsNewer(t *testing.T) {
	s := newServers("as")
	r, err := trust.NewRefresher(trust.RefresherConfig{Metadata: meanwhile{s}, Servers: s, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Refresh(t.Context(), s.org.ID, "MicrosoftAzureACS"); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{certKey("stranger").base64()}, s.org.AuthServers[0].CertificateStrings); d != "" {
		t.Error(d)
	}
}

// A clock that was set back does not stop unknown keys from being looked for.
func TestUnknownKeyAfterTheClockWasSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServers("as", "stranger")
		s.org.AuthServers[0].RefreshedAt = time.Now()
		ahead := time.Hour
		var mu sync.Mutex
		now := func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return time.Now().Add(ahead)
		}
		r, err := trust.NewRefresher(trust.RefresherConfig{Metadata: s, Servers: s, Now: now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = r.Run(ctx) })
		r.UnknownKey(s.org.ID, "MicrosoftAzureACS")
		synctest.Wait()
		mu.Lock()
		ahead = 0
		mu.Unlock()
		r.UnknownKey(s.org.ID, "MicrosoftAzureACS")
		synctest.Wait()
		if n := s.count(); n != 2 {
			t.Errorf("%d fetches, want 2", n)
		}
		cancel()
		wg.Wait()
	})
}

// A46: what a new key signs is refused until the metadata is read again.
func TestNewKeyIsFoundAfterItsFirstToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServers("as", "stranger")
		s.org.AuthServers[0].RefreshedAt = time.Now()
		r := newRefresher(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { _ = r.Run(ctx) })
		scene := newScene()
		scene.actor.header["x5t"], scene.actor.key = certKey("stranger").x5t(), certKey("stranger")
		v, err := trust.NewValidator(trust.ValidatorConfig{Organizations: newest{s}, Recipients: scene.people, Now: fixed(start), UnknownKey: r.UnknownKey})
		if err != nil {
			t.Fatal(err)
		}
		text := scene.text()
		if _, err := v.Validate(ctx, text, onprem); err == nil {
			t.Error("accepted before the refresh")
		}
		synctest.Wait()
		if _, err := v.Validate(ctx, text, onprem); err != nil {
			t.Errorf("after the refresh: %v", err)
		}
		cancel()
		wg.Wait()
	})
}

type newest struct{ *servers }

func (n newest) OrganizationsAt(ctx context.Context, _ string) ([]*directory.Organization, error) {
	return n.Organizations(ctx)
}

// halfDead answers for one host only; the other takes connections and says nothing.
type halfDead struct {
	*servers
	asked map[string]int // by host
}

func (h *halfDead) FetchMetadata(ctx context.Context, address string) (*acs.Document, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.asked[u.Host]++
	h.mu.Unlock()
	if u.Host == "dead.example" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return h.doc, nil
}

// A server of metadata that hangs holds up nobody else's, however many objects
// name it.
func TestHangingMetadataHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &halfDead{newServers("as"), map[string]int{}}
		good := s.org.AuthServers[0]
		for i := range 50 {
			dead := good
			dead.Name, dead.AuthMetadataURL = fmt.Sprintf("Dead %d", i), fmt.Sprintf("https://dead.example/%d", i)
			s.org.AuthServers = append([]directory.AuthServer{dead}, s.org.AuthServers...)
		}
		r, err := trust.NewRefresher(trust.RefresherConfig{Metadata: s, Servers: s, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		time.Sleep(15 * time.Second)
		synctest.Wait()
		s.mu.Lock()
		refreshed, dead, alive := s.org.AuthServers[50].RefreshedAt, s.asked["dead.example"], s.asked[acsHost]
		s.mu.Unlock()
		if refreshed.IsZero() || dead != 1 || alive != 1 {
			t.Errorf("after 15 s: refreshed %v; %d requests to the dead host, %d to the other", refreshed, dead, alive)
		}
		time.Sleep(time.Hour) // another of its documents may be there: each round tries one
		s.mu.Lock()
		dead = s.asked["dead.example"]
		s.mu.Unlock()
		if dead < 3 || dead > 10 {
			t.Errorf("%d requests to the dead host within an hour", dead)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
