package hybrid

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A Runner applies a desired state and takes it back.
type Runner struct {
	Desired *Desired         // required
	Sides   *Sides           // required
	Journal JournalFile      // required
	Now     func() time.Time // required
	// Progress is told each step when it is done; may be nil.
	Progress func(text string)
	// Stop is asked between any two things that are written; an error ends the run
	// there, as a crash would. nil: nothing stops it. For tests.
	Stop func() error
}

// ErrConflict is wrapped when an administrator has to decide first.
var ErrConflict = errors.New("to be decided first")

func (r *Runner) stop() error {
	if r.Stop == nil {
		return nil
	}
	return r.Stop()
}

func (r *Runner) progress(text string) {
	if r.Progress != nil {
		r.Progress(text)
	}
}

// Plan compares the desired state with what is there now.
func (r *Runner) Plan(ctx context.Context) (*Plan, error) {
	st, err := r.Sides.Read(ctx, r.Desired, r.Now())
	if err != nil {
		return nil, err
	}
	return r.Desired.Plan(st), nil
}

// maxSteps is more than any plan has.
const maxSteps = 1000

// Apply does the steps of the plan that can be done from here, one after the
// other, and returns what is left: the steps of others. Stopped anywhere, it goes
// on where it was when it runs again.
func (r *Runner) Apply(ctx context.Context) (*Plan, error) {
	j, err := r.settle(ctx)
	if err != nil {
		return nil, err
	}
	last := ""
	for range maxSteps {
		p, err := r.Plan(ctx)
		if err != nil {
			return nil, err
		}
		if len(p.Conflicts) > 0 {
			return p, fmt.Errorf("%w: %s", ErrConflict, p.Conflicts[0])
		}
		s, ok := p.next()
		if !ok {
			return p, nil
		}
		if text := s.Text(); text == last {
			return p, fmt.Errorf("%s: it was done, and nothing has changed", text)
		} else {
			last = text
		}
		if err := r.do(ctx, j, s); err != nil {
			return p, err
		}
		r.progress(fmt.Sprintf("%s: %s %s: done", s.Number, s.target.Kind, s.target.Key))
	}
	return nil, errors.New("the plan does not end")
}

// do does one step between two entries of the journal.
func (r *Runner) do(ctx context.Context, j *Journal, s *Step) error {
	id, before, err := r.image(ctx, s.target)
	if err != nil {
		return err
	}
	j.Pending = &JournalChange{Step: s.Number, Target: s.target}
	j.Pending.Kind, j.Pending.ID, j.Pending.Before = s.target.Kind, id, before
	if err := r.Journal.Write(j); err != nil {
		return err
	}
	if err := r.stop(); err != nil {
		return err
	}
	if err := s.run(ctx, r.Sides); err != nil {
		return fmt.Errorf("%s: %w", s.Number, err)
	}
	if err := r.stop(); err != nil {
		return err
	}
	if err := r.finish(ctx, j); err != nil {
		return err
	}
	return r.stop()
}

// settle reads the journal. A step that was stopped may have been done or not:
// what its object is now tells.
func (r *Runner) settle(ctx context.Context) (*Journal, error) {
	j, err := r.Journal.Read()
	if err != nil || j.Pending == nil {
		return j, err
	}
	return j, r.finish(ctx, j)
}

// finish turns what was pending into a change, if there was one.
func (r *Runner) finish(ctx context.Context, j *Journal) error {
	c := *j.Pending
	id, after, err := r.image(ctx, c.Target)
	if err != nil {
		return err
	}
	var before bytes.Buffer // the file may have indented it
	if len(c.Before) > 0 {
		if err := json.Compact(&before, c.Before); err != nil {
			return fmt.Errorf("journal %s: %w", r.Journal, err)
		}
	}
	if j.Pending = nil; !bytes.Equal(before.Bytes(), after) {
		c.ID, c.After = id, after
		j.Changes = append(j.Changes, c)
	}
	return r.Journal.Write(j)
}

func (r *Runner) image(ctx context.Context, t target) (string, json.RawMessage, error) {
	st, err := r.Sides.Read(ctx, r.Desired, r.Now())
	if err != nil {
		return "", nil, err
	}
	return st.image(t)
}

// Undo takes back what the journal holds, the last change first, and empties it.
// What others have changed since stays.
func (r *Runner) Undo(ctx context.Context) error {
	j, err := r.settle(ctx)
	if err != nil {
		return err
	}
	if len(j.Changes) == 0 {
		return fmt.Errorf("%w: %s holds no change", ErrNoJournal, r.Journal)
	}
	for len(j.Changes) > 0 {
		c := &j.Changes[len(j.Changes)-1]
		changed, err := r.restore(ctx, c)
		if err != nil {
			return err
		}
		if err := r.stop(); err != nil {
			return err
		}
		what := "taken back"
		if !changed {
			what = "was taken back already"
		}
		text := fmt.Sprintf("%s: %s %s: %s", c.Step, c.Kind, c.Target.Key, what)
		j.Changes = j.Changes[:len(j.Changes)-1]
		if err := r.Journal.Write(j); err != nil {
			return err
		}
		r.progress(text)
		if err := r.stop(); err != nil {
			return err
		}
	}
	return nil
}

func (r *Runner) restore(ctx context.Context, c *JournalChange) (bool, error) {
	side := r.Sides.Here
	switch {
	case c.Target.Where == Tenant && r.Sides.Tenant != nil:
		t := r.Sides.Tenant
		return t.Admin.RestoreServicePrincipal(ctx, t.Actor, t.ID, c.Change)
	case c.Target.Where == There:
		side = r.Sides.There
	case c.Target.Where == Tenant:
		side = nil
	}
	if side == nil {
		return false, fmt.Errorf("%s was changed by apply, and cannot be reached now: name the same configurations as then", c.Target.Where)
	}
	return side.Admin.RestoreObject(ctx, side.Actor, side.Org, c.Change)
}
