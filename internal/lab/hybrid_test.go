package lab_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/admin"
	"busybridge/internal/admin/hybrid"
	"busybridge/internal/app"
	"busybridge/internal/directory"
	"busybridge/internal/lab"
)

// A joining is a bare world, and what it shall be.
type joining struct {
	*patient
	t       *testing.T
	sides   *hybrid.Sides
	stores  []*app.Deployment // here, there, tenant
	journal hybrid.JournalFile
}

func newJoining(t *testing.T, edition string) *joining {
	t.Helper()
	l, err := lab.Start(t.Context(), lab.Options{Edition: edition, Bare: true, Now: time.Now, Log: slog.New(slog.DiscardHandler), Out: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	w := &joining{patient: &patient{Lab: l, shells: map[string]*lab.Shell{}}, t: t, journal: hybrid.JournalFile(filepath.Join(t.TempDir(), "journal.json"))}
	t.Cleanup(func() { w.patient.close(t) })
	w.stores, err = lab.OpenOthers(t.Context(), l.Dir(), "", time.Now, slog.New(slog.DiscardHandler))
	w.must(err)
	t.Cleanup(func() {
		for _, d := range w.stores {
			w.must(d.Close())
		}
	})
	operator := admin.Actor{Name: "operator", System: true}
	var sides [2]*hybrid.Side
	for i, d := range w.stores[:2] {
		sides[i] = &hybrid.Side{Admin: d.Admin, Actor: operator, Org: w.organization(i).ID, OAuth: d, FreeBusy: d}
	}
	w.sides = &hybrid.Sides{Here: sides[0], There: sides[1], Tenant: &hybrid.Realm{Admin: w.stores[2].Admin, Actor: operator, ID: w.realm().ID}}
	return w
}

func (w *joining) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *joining) organization(i int) *directory.Organization {
	w.t.Helper()
	o, err := w.stores[i].Organization(context.Background(), "")
	w.must(err)
	return o
}

func (w *joining) realm() *directory.Realm {
	w.t.Helper()
	r, err := w.stores[2].Store.Realm(context.Background(), "contoso.partner.onmschina.cn")
	w.must(err)
	return r
}

// export is everything that both organizations and the realm hold, but for the
// counters of their changes.
func (w *joining) export() string {
	w.t.Helper()
	here, there, realm := w.organization(0).Clone(), w.organization(1).Clone(), w.realm().Clone()
	here.Version, there.Version, realm.Version = 0, 0, 0
	b, err := json.MarshalIndent([]any{here, there, realm}, "", " ")
	w.must(err)
	return string(b)
}

var (
	anyGUID = regexp.MustCompile(`"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"`)
	anyTime = regexp.MustCompile(`"\d{4}-\d\d-\d\dT[^"]+Z"`)
)

// likeness is an export without what is new each time.
func likeness(export string) string {
	return anyTime.ReplaceAllString(anyGUID.ReplaceAllString(export, `"GUID"`), `"TIME"`)
}

func (w *joining) desired(edition string) *hybrid.Desired {
	w.t.Helper()
	text := strings.Replace(hybrid.Example, `edition: "2014"`, `edition: "`+edition+`"`, 1)
	if edition == hybrid.Direct {
		text = strings.NewReplacer("trust: oauth", "trust: direct", `edition: "2014"`, "", "cloud: 21vianet", "", "tenant: contoso.partner.onmschina.cn", "", "old_servers: true", "level: LimitedDetails").Replace(hybrid.Example)
	}
	d, err := hybrid.Parse([]byte(text))
	w.must(err)
	return d
}

func (w *joining) runner(d *hybrid.Desired, stop func() error) *hybrid.Runner {
	return &hybrid.Runner{Desired: d, Sides: w.sides, Journal: w.journal, Now: time.Now, Stop: stop, Progress: func(s string) { w.t.Log(s) }}
}

var errStopped = errors.New("stopped")

// stopAt stops a run at its nth chance.
func stopAt(n int) func() error {
	return func() error {
		if n--; n == 0 {
			return errStopped
		}
		return nil
	}
}

// again runs do until it is not stopped any more, each time to another one of the
// chances, and returns how often that was.
func (w *joining) again(d *hybrid.Desired, chances []int, do func(*hybrid.Runner) error) (stopped int) {
	w.t.Helper()
	for {
		err := do(w.runner(d, stopAt(chances[stopped%len(chances)])))
		if err == nil {
			return stopped
		}
		if !errors.Is(err, errStopped) {
			w.t.Fatal(err)
		}
		stopped++
	}
}

func (w *joining) apply(r *hybrid.Runner) error { _, err := r.Apply(w.t.Context()); return err }
func (w *joining) undo(r *hybrid.Runner) error  { return r.Undo(w.t.Context()) }

// undoRest is undo when the last run may have been stopped at its very end.
func (w *joining) undoRest(r *hybrid.Runner) error {
	if err := w.undo(r); !errors.Is(err, hybrid.ErrNoJournal) {
		return err
	}
	return nil
}

func (w *joining) plan(d *hybrid.Desired) *hybrid.Plan {
	w.t.Helper()
	p, err := w.runner(d, nil).Plan(w.t.Context())
	w.must(err)
	return p
}

func (w *joining) same(what, want, got string) {
	w.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// TestHybrid joins a bare world in each edition, and by direct trust, proves
// that questions are answered, and leaves no trace; stopped at every point, it ends the
// same; and the commands that it shows do what it does.
func TestHybrid(t *testing.T) {
	steps := map[string]int{hybrid.Edition2014: 7, hybrid.Edition2025: 11, hybrid.Edition2026: 13, hybrid.Direct: 5}
	for _, edition := range lab.Editions() {
		if testing.Short() && edition != lab.Edition2014 {
			continue // a world is dear
		}
		w := newJoining(t, edition)
		trusts := []string{edition}
		if edition == lab.Edition2014 {
			trusts = []string{hybrid.Direct, edition}
		}
		for _, trust := range trusts {
			t.Run(trust, func(t *testing.T) {
				w.t = t
				w.joins(w.desired(trust), steps[trust])
			})
		}
		if w.t = t; edition == lab.Edition2014 {
			t.Run("the other side is somebody else's", func(t *testing.T) {
				w.t = t
				w.joinsForeign(w.desired(edition))
			})
			w.t = t
		}
	}
}

func (w *joining) joins(d *hybrid.Desired, steps int) {
	t, bare := w.t, w.export()
	if p := w.plan(d); len(p.Steps) != steps || p.Done() || len(p.Conflicts) > 0 {
		t.Fatalf("a bare world asks for %d steps, want %d; conflicts %v", len(p.Steps), steps, p.Conflicts)
	}
	w.must(w.apply(w.runner(d, nil)))
	if p := w.plan(d); !p.Done() || len(p.Steps) > 0 {
		t.Fatalf("after apply is left: %+v", p.Steps)
	}
	joined := likeness(w.export())
	v, err := w.runner(d, nil).Verify(t.Context())
	w.must(err)
	var b strings.Builder
	if _, err := v.WriteTo(&b); err != nil || v.Failed > 0 || len(v.Checks) != 4 || strings.Contains(b.String(), "skip") {
		t.Errorf("verify: %v\n%s", err, b.String())
	}
	t.Log(b.String())
	w.drifts(d)
	w.must(w.undo(w.runner(d, nil)))
	w.same("undo left traces", bare, w.export())
	if err := w.undo(w.runner(d, nil)); !errors.Is(err, hybrid.ErrNoJournal) {
		t.Errorf("undo of nothing: %v", err)
	}

	// Before and after each operation; after each entry of the journal.
	for _, chances := range [][]int{{1, 2}, {3}} {
		if n := w.again(d, chances, w.apply); n < steps {
			t.Errorf("stopped %d times in %d steps", n, steps)
		}
		w.same("apply that was stopped ended otherwise", joined, likeness(w.export()))
		w.again(d, []int{1, 2}, w.undoRest)
		w.same("undo that was stopped left traces", bare, w.export())
	}

	w.types(w.plan(d).Steps)
	w.same("the commands of the plan do something else", joined, likeness(w.export()))
	if p := w.plan(d); !p.Done() {
		t.Errorf("after the commands is left: %+v", p.Steps)
	}
	w.forget(bare)
}

// types types the commands of steps into the shells of their places.
func (w *joining) types(steps []hybrid.Step) {
	w.t.Helper()
	place := map[string]string{hybrid.Here: "onprem", hybrid.There: "cloud", hybrid.Tenant: "directory"}
	for _, s := range steps {
		for _, line := range s.Commands {
			w.run(w.t, place[s.Where], line)
		}
	}
}

// joinsForeign does its own side, is told what the other side has to do, and sees
// from outside when it was done.
func (w *joining) joinsForeign(d *hybrid.Desired) {
	t, bare, all := w.t, w.export(), w.sides
	w.sides = &hybrid.Sides{Here: all.Here}
	defer func() { w.sides = all }()
	left, err := w.runner(d, nil).Apply(t.Context())
	w.must(err)
	if !left.Done() || len(left.Steps) != 3 || len(left.Foreign()) != 3 {
		t.Fatalf("what is left to the other side: %+v", left.Steps)
	}
	v, err := w.runner(d, nil).Verify(t.Context())
	w.must(err)
	if v.Failed != 2 || v.Checks[2].Skipped == "" || v.Checks[3].Skipped == "" {
		t.Errorf("before the other side has done its part: %+v", v)
	}
	w.types(left.Steps)
	if v, err = w.runner(d, nil).Verify(t.Context()); err != nil || v.Failed != 0 {
		t.Errorf("after the other side has done its part: %+v, %v", v, err)
	}
	w.must(w.undo(w.runner(d, nil)))
	for _, s := range slices.Backward(left.Steps) {
		if len(s.Back) == 0 {
			t.Errorf("nobody says how %s is taken back", s.Object)
		}
		for _, line := range s.Back {
			w.run(t, map[string]string{hybrid.There: "cloud", hybrid.Tenant: "directory"}[s.Where], line)
		}
	}
	w.same("what was told to take it back left traces", bare, w.export())
}

// drifts changes what was applied, sees it in the plan, and has it mended.
func (w *joining) drifts(d *hybrid.Desired) {
	t := w.t
	here := w.sides.Here
	name := w.organization(0).Connectors[0].Name
	_, err := here.Admin.SetIntraOrganizationConnector(t.Context(), here.Actor, here.Org, name, func(c *directory.IntraOrganizationConnector) error {
		c.Enabled = false
		return nil
	})
	w.must(err)
	if p := w.plan(d); len(p.Steps) != 1 || !strings.Contains(strings.Join(p.Steps[0].Commands, "\n"), "-Enabled $true") {
		t.Errorf("a disabled connector asks for %+v", p.Steps)
	}
	w.must(w.apply(w.runner(d, nil)))
	if p := w.plan(d); !p.Done() {
		t.Errorf("drift is left: %+v", p.Steps)
	}
}

// forget makes the world bare again after commands that nobody has recorded.
func (w *joining) forget(bare string) {
	w.t.Helper()
	var was struct {
		here, there directory.Organization
		realm       directory.Realm
	}
	w.must(json.Unmarshal([]byte(bare), &[]any{&was.here, &was.there, &was.realm}))
	for i, o := range []*directory.Organization{&was.here, &was.there} {
		_, err := w.stores[i].Store.UpdateOrganization(w.t.Context(), o.ID, func(n *directory.Organization) error {
			n.AuthServers, n.PartnerApplications = o.AuthServers, o.PartnerApplications
			n.Connectors, n.AddressSpaces = o.Connectors, o.AddressSpaces
			return nil
		})
		w.must(err)
	}
	_, err := w.stores[2].Store.UpdateRealm(w.t.Context(), was.realm.ID, func(r *directory.Realm) error {
		r.Principals = slices.Clone(was.realm.Principals)
		return nil
	})
	w.must(err)
}
